/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Memif peers that come and go. DPDK 22.11's memif driver connects a client once, at port start,
 * and when the peer dies, its interrupt thread unmaps the shared memory while a data lcore may be
 * in the middle of a burst. Both are no good for a link whose other end is killed on purpose.
 *
 * So the driver never talks to the peer's control socket itself. A thread of ours per port stands
 * between: it listens at (or connects to) the public path, the driver is connected to a private
 * socket beside it ("PATH~", for a client "PATH~PID"), and the few messages of the handshake are
 * passed on with their file descriptors. When the peer goes, we close the port's gate, wait until
 * no burst is under way, and only then let the driver disconnect. The memory's file stays valid as
 * long as it is mapped, whatever happens to the peer.
 *
 * The gate is the flag half of Dekker's algorithm: a burst sets its queue's busy flag and then
 * reads closed; the thread sets closed and then reads the busy flags; both sequentially consistent,
 * so one of them sees the other.
 */
#include "config/bytes.h"
#include "dataplane/port_private.h"

#include <rte_lcore.h>
#include <rte_log.h>

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

/* Of the memif protocol: every control message has 128 bytes and begins with its type. */
#define MESSAGE_BYTES 128
enum {
	MESSAGE_ADD_REGION = 4, /* u16 index, u64 bytes, without padding */
	MESSAGE_ADD_RING = 5,	/* u16 flags, u16 index, u16 region, u32 offset, u8 log2 of slots */
	MESSAGE_CONNECT = 6,
	MESSAGE_CONNECTED = 7,
	MESSAGE_DISCONNECT = 8,
};
#define RING_HEADER_BYTES 256 /* at most */
#define DESCRIPTOR_BYTES 16

#define RETRY_MS 20
#define HANDSHAKE_MS 2000
#define HANG_UP_MS 5000

struct busy_flag {
	_Alignas(RTE_CACHE_LINE_SIZE) uint32_t busy; /* written by the queue's lcore */
};

struct dp_port_gate {
	_Alignas(RTE_CACHE_LINE_SIZE) uint32_t closed; /* written by the thread, read by lcores */
	bool stop;				       /* written by dp_memif_stop */
	uint16_t port_id;
	bool server;
	bool started;	     /* the DPDK port is; thread only */
	int listener;	     /* server: where peers come; else -1 */
	uint32_t room_bytes; /* of our mbufs */
	uint64_t peer_bytes; /* server: memory that the peer offers in this handshake */
	uint64_t most_bytes; /* server: what its rings need at our MTU */
	bool complained;     /* once is enough, it comes again and again */
	int peer;	     /* connection to the peer, -1: none */
	int driver;	     /* connection to the driver, -1: none */
	pthread_t thread;
	struct sockaddr_un public_address;
	struct sockaddr_un private_address;
	uint16_t rx_queues;
	uint16_t flag_count;
	struct busy_flag flags[]; /* receive queues, then transmit queues */
};

/* ---- the lcores' side ---- */

static bool enter(struct dp_port_gate *gate, struct busy_flag *flag)
{
	/* An exchange, because the store must be seen before closed is read. */
	__atomic_exchange_n(&flag->busy, 1, __ATOMIC_SEQ_CST);
	if (__atomic_load_n(&gate->closed, __ATOMIC_SEQ_CST) == 0)
		return true;
	__atomic_store_n(&flag->busy, 0, __ATOMIC_RELEASE);
	return false;
}

static void leave(struct busy_flag *flag)
{
	/* Release: everything that the burst read of shared memory comes before. */
	__atomic_store_n(&flag->busy, 0, __ATOMIC_RELEASE);
}

uint16_t dp_port_gated_rx(
	const struct dp_port *port, uint16_t queue, struct rte_mbuf **frames, uint16_t count
)
{
	struct busy_flag *flag = &port->gate->flags[queue];

	if (!enter(port->gate, flag))
		return 0;
	count = rte_eth_rx_burst(port->id, queue, frames, count);
	leave(flag);
	return count;
}

uint16_t dp_port_gated_tx(
	const struct dp_port *port, uint16_t queue, struct rte_mbuf **frames, uint16_t count
)
{
	struct busy_flag *flag = &port->gate->flags[port->gate->rx_queues + queue];

	if (!enter(port->gate, flag))
		return 0;
	count = rte_eth_tx_burst(port->id, queue, frames, count);
	leave(flag);
	return count;
}

/* ---- the thread's side ---- */

static void pause_ms(unsigned ms)
{
	struct timespec pause = {.tv_nsec = (long)ms * 1000000};

	nanosleep(&pause, NULL);
}

static bool stopping(const struct dp_port_gate *gate)
{
	return __atomic_load_n(&gate->stop, __ATOMIC_ACQUIRE);
}

static void gate_close(struct dp_port_gate *gate)
{
	__atomic_store_n(&gate->closed, 1, __ATOMIC_SEQ_CST);
	/* A burst takes microseconds; its lcore may have lost the CPU in the middle of it. */
	for (uint16_t i = 0; i < gate->flag_count; i++)
		while (__atomic_load_n(&gate->flags[i].busy, __ATOMIC_SEQ_CST))
			pause_ms(1);
}

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static int listen_at(const struct sockaddr_un *address)
{
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return -errno;
	if (bind(fd, (const struct sockaddr *)address, sizeof(*address)) == 0 && listen(fd, 4) == 0)
		return fd;
	int rc = -errno;
	close(fd);
	return rc;
}

static int connect_to(const struct sockaddr_un *address)
{
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	if (connect(fd, (const struct sockaddr *)address, sizeof(*address)) == 0)
		return fd;
	int rc = -errno;
	close(fd);
	return rc;
}

static int accept_within(int listener, int timeout_ms)
{
	struct pollfd wait = {.fd = listener, .events = POLLIN};

	if (poll(&wait, 1, timeout_ms) <= 0)
		return -1;
	return accept4(listener, NULL, NULL, SOCK_CLOEXEC);
}

static bool start_driver(struct dp_port_gate *gate)
{
	if (!gate->started)
		gate->started = rte_eth_dev_start(gate->port_id) == 0;
	return gate->started;
}

static void stop_driver(struct dp_port_gate *gate)
{
	if (gate->started)
		rte_eth_dev_stop(gate->port_id);
	gate->started = false;
}

/* The driver of a client connects when it is started, to a socket that exists only for that moment,
 * so that a kill leaves nothing behind. */
static int start_client_driver(struct dp_port_gate *gate)
{
	int fd = -1;

	unlink(gate->private_address.sun_path);
	int listener = listen_at(&gate->private_address);
	if (listener < 0)
		return -1;
	if (start_driver(gate))
		fd = accept_within(listener, HANDSHAKE_MS);
	unlink(gate->private_address.sun_path);
	close(listener);
	return fd;
}

/* Waits for the HELLO with which a server's driver begins. Without it, when we hang up first, the
 * driver leaves a closed descriptor with EAL's interrupt thread, which aborts the process. */
static int start_server_driver(struct dp_port_gate *gate)
{
	struct pollfd wait = {.events = POLLIN};

	if (!start_driver(gate))
		return -1;
	wait.fd = connect_to(&gate->private_address);
	while (wait.fd >= 0 && poll(&wait, 1, 10000) < 0)
		continue; /* interrupted; a listening driver always answers */
	return wait.fd;
}

/* Both halves of the way: peer, we, driver. */
static bool join(struct dp_port_gate *gate)
{
	if (gate->server) {
		gate->peer = accept_within(gate->listener, RETRY_MS);
		if (gate->peer < 0)
			return false;
		gate->driver = start_server_driver(gate);
	} else {
		gate->peer = connect_to(&gate->public_address);
		if (gate->peer < 0) {
			pause_ms(RETRY_MS);
			return false;
		}
		gate->driver = start_client_driver(gate);
	}
	return gate->driver >= 0;
}

/* A client says how large the buffers are, and the driver of 22.11 copies a whole buffer into an
 * mbuf without asking for the mbuf's room: a peer with a larger MTU must not get as far as CONNECT.
 * The sum of what it offers is compared with what its rings need at our MTU. */
static bool peer_fits(struct dp_port_gate *gate, uint16_t type, const uint8_t *message)
{
	if (!gate->server)
		return true;
	if (type == MESSAGE_ADD_REGION) {
		uint64_t bytes = sf_load64(message + 4);
		gate->peer_bytes += sf_min64(bytes, 1ull << 40);
	} else if (type == MESSAGE_ADD_RING) {
		uint64_t slots = 1ull << (message[12] & 15);
		gate->most_bytes +=
			RING_HEADER_BYTES + slots * (DESCRIPTOR_BYTES + gate->room_bytes);
	} else if (type == MESSAGE_CONNECT && gate->peer_bytes > gate->most_bytes) {
		if (!gate->complained)
			RTE_LOG(ERR,
				USER1,
				"memif %s: the peer's MTU is larger than ours, it is not let in\n",
				gate->public_address.sun_path);
		gate->complained = true;
		return false;
	}
	return true;
}

/* Passes one message on, with the descriptors that came with it. Returns its type, 0 when there was
 * none, -1 when the connection has ended or the message is not to be passed on. */
static int pass_on(struct dp_port_gate *gate, int from, int to)
{
	uint8_t message[MESSAGE_BYTES];
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(4 * sizeof(int)) + CMSG_SPACE(sizeof(struct ucred))];
	} control;
	struct iovec part = {.iov_base = message, .iov_len = sizeof(message)};
	struct msghdr header = {
		.msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control),
	};
	uint16_t type;
	int rc = -1;
	ssize_t bytes = recvmsg(from, &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

	if (bytes < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (bytes <= 0)
		return -1;
	memcpy(&type, message, sizeof(type));
	if (bytes == MESSAGE_BYTES && type != MESSAGE_DISCONNECT &&
	    (from != gate->peer || peer_fits(gate, type, message)) &&
	    !(header.msg_flags & (MSG_TRUNC | MSG_CTRUNC))) {
		header.msg_flags = 0;
		if (sendmsg(to, &header, MSG_NOSIGNAL | MSG_DONTWAIT) == MESSAGE_BYTES)
			rc = type;
	}
	if (header.msg_controllen >= sizeof(struct cmsghdr))
		for (struct cmsghdr *c = CMSG_FIRSTHDR(&header); c; c = CMSG_NXTHDR(&header, c)) {
			if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
				continue;
			size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
			for (size_t i = 0; i < count; i++) {
				int fd;
				memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(fd));
				close(fd);
			}
		}
	return rc;
}

static uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static bool driver_says_up(const struct dp_port_gate *gate)
{
	struct rte_eth_link link;

	return rte_eth_link_get_nowait(gate->port_id, &link) == 0 &&
	       link.link_status == RTE_ETH_LINK_UP;
}

/* From the first message of the handshake until either side ends it. */
static void serve(struct dp_port_gate *gate)
{
	struct pollfd wait[2] = {
		{.fd = gate->peer, .events = POLLIN},
		{.fd = gate->driver, .events = POLLIN},
	};
	uint64_t deadline_ms = now_ms() + HANDSHAKE_MS;
	bool connected = false, open = false;

	gate->peer_bytes = gate->most_bytes = 0;
	while (!stopping(gate)) {
		/* CONNECTED is the last message, but the driver acts on it in its own thread. */
		if (connected && !open && driver_says_up(gate)) {
			__atomic_store_n(&gate->closed, 0, __ATOMIC_SEQ_CST);
			open = true;
		}
		if (!open && now_ms() > deadline_ms)
			return;
		if (poll(wait, 2, open ? 100 : 1) <= 0)
			continue;
		for (unsigned i = 0; i < 2; i++) {
			if (!wait[i].revents)
				continue;
			int type = pass_on(gate, wait[i].fd, wait[!i].fd);
			if (type < 0)
				return;
			if (type == MESSAGE_CONNECTED)
				connected = true;
		}
	}
}

/* Lets the driver disconnect in EAL's interrupt thread, which may still be busy with the handshake
 * and locks nothing against a stop from here. It closes its end as the last thing. */
static void hang_up(struct dp_port_gate *gate)
{
	struct pollfd wait = {.fd = gate->driver, .events = POLLIN};
	uint64_t deadline_ms = now_ms() + HANG_UP_MS;
	uint8_t message[MESSAGE_BYTES];

	if (gate->driver < 0)
		return;
	shutdown(gate->driver, SHUT_WR);
	while (now_ms() < deadline_ms) {
		if (poll(&wait, 1, RETRY_MS) <= 0)
			continue;
		ssize_t bytes = recv(gate->driver, message, sizeof(message), MSG_DONTWAIT);
		if (bytes == 0 || (bytes < 0 && errno != EAGAIN && errno != EINTR))
			return;
	}
}

static void *run(void *argument)
{
	struct dp_port_gate *gate = argument;

	while (!stopping(gate)) {
		if (join(gate))
			serve(gate);
		if (gate->peer < 0)
			continue;
		gate_close(gate);
		hang_up(gate);
		stop_driver(gate);
		close_fd(&gate->driver);
		close_fd(&gate->peer);
	}
	return NULL;
}

/* ---- start and stop ---- */

void dp_memif_private_path(const struct cfg_port *config, char *path, size_t bytes)
{
	if (config->kind == CFG_DEVICE_MEMIF_SERVER)
		snprintf(path, bytes, "%s~", config->device);
	else
		snprintf(path, bytes, "%s~%d", config->device, (int)getpid());
}

static int fill_address(struct sockaddr_un *address, const char *path)
{
	memset(address, 0, sizeof(*address));
	address->sun_family = AF_UNIX;
	if (strlen(path) >= sizeof(address->sun_path))
		return -ENAMETOOLONG;
	memcpy(address->sun_path, path, strlen(path));
	return 0;
}

/* A socket that nobody listens at any more is left over from a killed process. */
static int remove_stale(const struct sockaddr_un *address)
{
	struct stat status;

	if (lstat(address->sun_path, &status) != 0)
		return errno == ENOENT ? 0 : -errno;
	if (!S_ISSOCK(status.st_mode))
		return -ENOTSOCK;
	int fd = connect_to(address);
	if (fd >= 0) {
		close(fd);
		return -EADDRINUSE;
	}
	return unlink(address->sun_path) == 0 || errno == ENOENT ? 0 : -errno;
}

/* The directory must be there for both roles; the server also needs the path for itself. */
static int check_place(const struct cfg_port *config, const struct sockaddr_un *address)
{
	char directory[CFG_TEXT_BYTES];

	snprintf(directory, sizeof(directory), "%s", config->device);
	char *slash = strrchr(directory, '/');
	if (slash == NULL)
		return -EINVAL;
	slash[slash == directory] = 0;
	if (access(directory, R_OK | W_OK | X_OK) != 0)
		return -errno;
	return config->kind == CFG_DEVICE_MEMIF_SERVER ? remove_stale(address) : 0;
}

int dp_memif_prepare(const struct cfg_port *config, char *error, size_t error_bytes)
{
	struct sockaddr_un public_address, private_address;
	char private_path[CFG_TEXT_BYTES + 16];

	dp_memif_private_path(config, private_path, sizeof(private_path));
	int rc = fill_address(&public_address, config->device);
	if (rc == 0)
		rc = fill_address(&private_address, private_path);
	if (rc == 0)
		rc = check_place(config, &public_address);
	/* Only we may use the private path, and now we know that the public one is ours. */
	if (rc == 0)
		unlink(private_path);
	if (rc == 0)
		return 0;
	snprintf(
		error,
		error_bytes,
		"memif socket %s: %s",
		config->device,
		rc == -EADDRINUSE ? "another process listens at it"
		: rc == -ENOTSOCK ? "there is a file of that name that is no socket"
		: rc == -EINVAL	  ? "the path must have a directory"
				  : strerror(-rc)
	);
	return rc;
}

int dp_memif_start(
	const struct cfg_port *config, struct dp_port *port, char *error, size_t error_bytes
)
{
	char private_path[CFG_TEXT_BYTES + 16];
	uint16_t flag_count = (uint16_t)(port->rx_queues + port->tx_queues);
	size_t bytes = sizeof(struct dp_port_gate) + flag_count * sizeof(struct busy_flag);
	struct dp_port_gate *gate = NULL;
	int rc = posix_memalign((void **)&gate, RTE_CACHE_LINE_SIZE, bytes);

	if (rc != 0) {
		snprintf(error, error_bytes, "no memory for a memif port");
		return -rc;
	}
	memset(gate, 0, bytes);
	gate->closed = 1;
	gate->port_id = port->id;
	gate->server = config->kind == CFG_DEVICE_MEMIF_SERVER;
	gate->listener = gate->peer = gate->driver = -1;
	gate->rx_queues = port->rx_queues;
	gate->room_bytes = dp_port_room_bytes(config);
	gate->flag_count = flag_count;
	dp_memif_private_path(config, private_path, sizeof(private_path));
	fill_address(&gate->public_address, config->device);
	fill_address(&gate->private_address, private_path);
	if (gate->server) {
		gate->listener = listen_at(&gate->public_address);
		rc = gate->listener < 0 ? -gate->listener : 0;
	}
	if (rc == 0)
		rc = rte_ctrl_thread_create(&gate->thread, "sf-memif", NULL, run, gate);
	if (rc != 0) {
		rc = rc < 0 ? -rc : rc;
		snprintf(error, error_bytes, "memif socket %s: %s", config->device, strerror(rc));
		if (gate->listener >= 0)
			close(gate->listener);
		free(gate);
		return -rc;
	}
	port->gate = gate;
	return 0;
}

void dp_memif_stop(struct dp_port *port)
{
	struct dp_port_gate *gate = port->gate;

	if (gate == NULL)
		return;
	__atomic_store_n(&gate->stop, true, __ATOMIC_RELEASE);
	pthread_join(gate->thread, NULL);
	if (gate->server) {
		unlink(gate->public_address.sun_path);
		close_fd(&gate->listener);
	}
	port->gate = NULL;
	free(gate);
}
