/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/routing/server.h"

#include "control/routing/rate.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define ROUND_DATAGRAMS 64
#define DATAGRAM_BYTES 2048
#define LISTEN_BACKLOG 64
#define ACCEPTS_PER_ROUND 8
#define SOCKET_BUFFER_BYTES (1 << 20)
#define PORT_TRIES 16
#define DEFAULT_RATE 1000
#define DEFAULT_RATE_ALL 20000
#define IDLE_WAIT_NS 1000000000ull
#define ACCEPT_PAUSE_NS 100000000ull /* when the system has no room for a connection */

struct connection {
	int fd; /* -1: free */
	uint32_t address;
	uint32_t query_count;
	uint64_t deadline_ns;
	size_t in_bytes, out_bytes, out_sent; /* out_bytes 0: it is the asker's turn */
	uint8_t in[2 + CTL_SERVER_QUERY_BYTES];
	uint8_t out[2 + CTL_DNS_ANSWER_BYTES];
};

struct ctl_name_server {
	struct ctl_name_server_options options;
	struct ctl_responder *responder;
	struct ctl_rate rate;
	int udp_fd, tcp_fd, stop_fd;
	uint16_t port;
	bool is_running;
	pthread_t thread;
	uint64_t tick_ns;   /* of the next */
	uint64_t accept_ns; /* no connection is taken before */
	uint64_t counts[CTL_SERVER_DROPS];
	struct connection connections[CTL_SERVER_CONNECTIONS];
};

const char *ctl_server_drop_name(enum ctl_server_drop drop)
{
	static const char *const names[CTL_SERVER_DROPS] = {
		"datagrams",
		"source_over",
		"deferred",
		"all_over",
		"oversize",
		"send_failed",
		"connects",
		"tcp_queries",
		"tcp_evicted",
		"tcp_late",
		"tcp_broken",
		"tcp_over",
		"accept_failed",
	};
	return drop < CTL_SERVER_DROPS ? names[drop] : "unknown";
}

static uint64_t now_of(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void count(struct ctl_name_server *s, enum ctl_server_drop drop)
{
	/* Relaxed: numbers for people, which order nothing. */
	__atomic_fetch_add(&s->counts[drop], 1, __ATOMIC_RELAXED);
}

uint64_t ctl_name_server_count(const struct ctl_name_server *server, enum ctl_server_drop drop)
{
	return __atomic_load_n(&server->counts[drop], __ATOMIC_RELAXED);
}

uint16_t ctl_name_server_port(const struct ctl_name_server *server)
{
	return server->port;
}

const struct ctl_responder *ctl_name_server_responder(const struct ctl_name_server *server)
{
	return server->responder;
}

/* --- UDP --- */

static size_t answer_datagram(
	struct ctl_name_server *s,
	const uint8_t *query,
	size_t bytes,
	uint32_t address,
	uint64_t now_ns,
	uint8_t *answer
)
{
	uint64_t refused;
	count(s, CTL_SERVER_DATAGRAMS);
	switch (ctl_rate_take(&s->rate, address, false, now_ns, &refused)) {
	case CTL_RATE_PASS:
		break;
	case CTL_RATE_SOURCE:
		if (ctl_names_canary("no-rate"))
			break;
		if (refused % 2 == 0) {
			size_t put = ctl_responder_defer(query, bytes, answer);
			if (put > 0) {
				count(s, CTL_SERVER_DEFERRED);
				return put;
			}
		}
		count(s, CTL_SERVER_SOURCE_OVER);
		return 0;
	default:
		count(s, CTL_SERVER_ALL_OVER);
		return 0;
	}
	if (bytes > DATAGRAM_BYTES) {
		count(s, CTL_SERVER_OVERSIZE);
		return 0;
	}
	return ctl_responder_answer(s->responder, query, bytes, false, answer);
}

/* The answer leaves from the address that was asked, which the kernel would choose anew when we
 * listen on all of them. */
static void answer_from(struct msghdr *message, struct in_pktinfo *asked)
{
	struct cmsghdr *part = CMSG_FIRSTHDR(message);
	for (; part != NULL; part = CMSG_NXTHDR(message, part)) {
		if (part->cmsg_level != IPPROTO_IP || part->cmsg_type != IP_PKTINFO)
			continue;
		memcpy(asked, CMSG_DATA(part), sizeof(*asked));
		/* The way is the routing table's. */
		asked->ipi_ifindex = 0;
		memcpy(CMSG_DATA(part), asked, sizeof(*asked));
	}
}

/* A round takes a bounded number, so that connections and ticks have their turn in a flood. */
static void read_datagrams(struct ctl_name_server *s, uint64_t now_ns)
{
	uint8_t query[DATAGRAM_BYTES + 1], answer[CTL_DNS_ANSWER_BYTES];
	for (int i = 0; i < ROUND_DATAGRAMS; i++) {
		struct sockaddr_in from;
		struct in_pktinfo asked;
		union {
			struct cmsghdr aligned;
			uint8_t bytes[CMSG_SPACE(sizeof(asked))];
		} control;
		struct iovec part = {.iov_base = query, .iov_len = sizeof(query)};
		struct msghdr message = {
			.msg_name = &from,
			.msg_namelen = sizeof(from),
			.msg_iov = &part,
			.msg_iovlen = 1,
			.msg_control = &control,
			.msg_controllen = sizeof(control),
		};
		ssize_t got = recvmsg(s->udp_fd, &message, MSG_DONTWAIT);
		if (got < 0)
			return; /* nothing more, or an error of an earlier answer */
		part = (struct iovec){.iov_base = answer};
		part.iov_len = answer_datagram(
			s, query, (size_t)got, ntohl(from.sin_addr.s_addr), now_ns, answer
		);
		answer_from(&message, &asked);
		message.msg_flags = 0;
		/* Port 0 cannot be answered. */
		if (part.iov_len > 0 &&
		    sendmsg(s->udp_fd, &message, MSG_DONTWAIT) != (ssize_t)part.iov_len)
			count(s, CTL_SERVER_SEND_FAILED);
	}
}

/* --- TCP --- */

static void drop(struct connection *c)
{
	close(c->fd);
	c->fd = -1;
}

/* A free place, or that of the one whose patience ends first: of the newcomer's own network when
 * that has its share of places, so that one network cannot push out all others. */
static struct connection *place(struct ctl_name_server *s, uint32_t address)
{
	struct connection *oldest = NULL, *oldest_own = NULL, *free_one = NULL;
	uint32_t own = 0;
	for (uint32_t i = 0; i < CTL_SERVER_CONNECTIONS; i++) {
		struct connection *c = &s->connections[i];
		if (c->fd < 0) {
			free_one = c;
			continue;
		}
		if (oldest == NULL || c->deadline_ns < oldest->deadline_ns)
			oldest = c;
		if (c->address >> 8 != address >> 8)
			continue;
		own++;
		if (oldest_own == NULL || c->deadline_ns < oldest_own->deadline_ns)
			oldest_own = c;
	}
	if (own >= CTL_SERVER_CONNECTIONS_OF_ONE && !ctl_names_canary("no-share"))
		free_one = NULL, oldest = oldest_own;
	if (free_one != NULL)
		return free_one;
	count(s, CTL_SERVER_TCP_EVICTED);
	drop(oldest);
	return oldest;
}

static void accept_connections(struct ctl_name_server *s, uint64_t now_ns)
{
	for (int i = 0; i < ACCEPTS_PER_ROUND; i++) {
		struct sockaddr_in from;
		socklen_t from_bytes = sizeof(from);
		int fd =
			accept4(s->tcp_fd,
				(struct sockaddr *)&from,
				&from_bytes,
				SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd < 0 &&
		    (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)) {
			/* The socket stays readable: waiting on it would go round and round. */
			count(s, CTL_SERVER_ACCEPT_FAILED);
			s->accept_ns = now_ns + ACCEPT_PAUSE_NS;
		}
		if (fd < 0)
			return;
		count(s, CTL_SERVER_CONNECTS);
		uint32_t address = ntohl(from.sin_addr.s_addr);
		struct connection *c = place(s, address);
		c->fd = fd;
		c->address = address;
		c->query_count = 0;
		c->deadline_ns = now_ns + CTL_SERVER_PATIENCE_NS;
		c->in_bytes = c->out_bytes = c->out_sent = 0;
	}
}

static void write_connection(struct ctl_name_server *s, struct connection *c)
{
	ssize_t put = send(
		c->fd, c->out + c->out_sent, c->out_bytes - c->out_sent, MSG_NOSIGNAL | MSG_DONTWAIT
	);
	if (put < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (put <= 0) {
		count(s, CTL_SERVER_TCP_BROKEN);
		drop(c);
		return;
	}
	c->out_sent += (size_t)put;
	if (c->out_sent < c->out_bytes)
		return;
	c->out_bytes = c->out_sent = 0;
	if (c->query_count == CTL_SERVER_QUERIES_MAX)
		drop(c);
}

/* One whole query that has come in; false: the connection is gone. */
static bool answer_connection(struct ctl_name_server *s, struct connection *c, uint64_t now_ns)
{
	uint64_t refused;
	size_t length = (size_t)c->in[0] << 8 | c->in[1];
	count(s, CTL_SERVER_TCP_QUERIES);
	if (ctl_rate_take(&s->rate, c->address, true, now_ns, &refused) != CTL_RATE_PASS) {
		count(s, CTL_SERVER_TCP_OVER);
		drop(c);
		return false;
	}
	size_t bytes = ctl_responder_answer(s->responder, c->in + 2, length, true, c->out + 2);
	c->in_bytes -= 2 + length;
	memmove(c->in, c->in + 2 + length, c->in_bytes);
	c->query_count++;
	c->deadline_ns = now_ns + CTL_SERVER_PATIENCE_NS;
	if (bytes == 0) {
		drop(c); /* whoever sends what has no answer is no asker */
		return false;
	}
	c->out[0] = (uint8_t)(bytes >> 8);
	c->out[1] = (uint8_t)bytes;
	c->out_bytes = 2 + bytes;
	c->out_sent = 0;
	write_connection(s, c);
	return c->fd >= 0;
}

static void read_connection(struct ctl_name_server *s, struct connection *c, uint64_t now_ns)
{
	if (c->out_bytes == 0 && c->in_bytes < sizeof(c->in)) {
		ssize_t got =
			recv(c->fd, c->in + c->in_bytes, sizeof(c->in) - c->in_bytes, MSG_DONTWAIT);
		bool later = got < 0 && (errno == EAGAIN || errno == EINTR);
		if (got <= 0 && !later) {
			if (got < 0)
				count(s, CTL_SERVER_TCP_BROKEN);
			drop(c);
			return;
		}
		c->in_bytes += got > 0 ? (size_t)got : 0;
	}
	while (c->out_bytes == 0 && c->in_bytes >= 2) {
		size_t length = (size_t)c->in[0] << 8 | c->in[1];
		if (length < CTL_DNS_HEADER_BYTES || length > CTL_SERVER_QUERY_BYTES) {
			count(s, CTL_SERVER_TCP_BROKEN);
			drop(c);
			return;
		}
		if (c->in_bytes < 2 + length || !answer_connection(s, c, now_ns))
			return;
	}
}

static void step_connections(struct ctl_name_server *s, uint64_t now_ns)
{
	for (uint32_t i = 0; i < CTL_SERVER_CONNECTIONS; i++) {
		struct connection *c = &s->connections[i];
		if (c->fd >= 0 && c->out_bytes > 0)
			write_connection(s, c);
		if (c->fd >= 0 && c->out_bytes == 0)
			read_connection(s, c, now_ns);
		if (c->fd >= 0 && now_ns >= c->deadline_ns) {
			count(s, CTL_SERVER_TCP_LATE);
			drop(c);
		}
	}
}

/* --- The thread --- */

static uint64_t wait_until(const struct ctl_name_server *s, uint64_t now_ns)
{
	uint64_t until_ns = now_ns + IDLE_WAIT_NS;
	if (s->options.tick_interval_ns > 0 && s->tick_ns < until_ns)
		until_ns = s->tick_ns;
	if (s->accept_ns > now_ns && s->accept_ns < until_ns)
		until_ns = s->accept_ns;
	for (uint32_t i = 0; i < CTL_SERVER_CONNECTIONS; i++)
		if (s->connections[i].fd >= 0 && s->connections[i].deadline_ns < until_ns)
			until_ns = s->connections[i].deadline_ns;
	return until_ns > now_ns ? until_ns : now_ns;
}

/* False: it is to end. */
static bool wait_for_input(struct ctl_name_server *s)
{
	struct pollfd set[3 + CTL_SERVER_CONNECTIONS];
	nfds_t used = 0;
	uint64_t now_ns = now_of(), wait_ns = wait_until(s, now_ns) - now_ns;
	struct timespec wait = {
		.tv_sec = (time_t)(wait_ns / 1000000000u),
		.tv_nsec = (long)(wait_ns % 1000000000u)};
	set[used++] = (struct pollfd){.fd = s->stop_fd, .events = POLLIN};
	set[used++] = (struct pollfd){.fd = s->udp_fd, .events = POLLIN};
	bool accepts = now_ns >= s->accept_ns || ctl_names_canary("spin");
	set[used++] = (struct pollfd){.fd = accepts ? s->tcp_fd : -1, .events = POLLIN};
	for (uint32_t i = 0; i < CTL_SERVER_CONNECTIONS; i++)
		if (s->connections[i].fd >= 0)
			set[used++] = (struct pollfd
			){.fd = s->connections[i].fd,
			  .events = s->connections[i].out_bytes > 0 ? POLLOUT : POLLIN};
	ppoll(set, used, &wait, NULL);
	return !(set[0].revents & POLLIN);
}

static void *run(void *argument)
{
	struct ctl_name_server *s = argument;
	while (wait_for_input(s)) {
		uint64_t now_ns = now_of();
		if (s->options.tick_interval_ns > 0 && now_ns >= s->tick_ns) {
			s->options.tick(s->options.context);
			s->tick_ns = now_ns + s->options.tick_interval_ns;
		}
		read_datagrams(s, now_ns);
		if (now_ns >= s->accept_ns)
			accept_connections(s, now_ns);
		step_connections(s, now_ns);
	}
	return NULL;
}

/* --- Start and stop --- */

static int open_socket(int type, uint32_t address, uint16_t port)
{
	const int on = 1, buffer_bytes = SOCKET_BUFFER_BYTES;
	struct sockaddr_in in = {
		.sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {htonl(address)}};
	int fd = socket(AF_INET, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	/* Not for UDP, where it would let a second server take half of the queries. */
	if (type == SOCK_STREAM)
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	else
		setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &buffer_bytes, sizeof(buffer_bytes));
	if (type == SOCK_DGRAM)
		setsockopt(fd, IPPROTO_IP, IP_PKTINFO, &on, sizeof(on));
	if (bind(fd, (struct sockaddr *)&in, sizeof(in)) < 0 ||
	    (type == SOCK_STREAM && listen(fd, LISTEN_BACKLOG) < 0)) {
		int result = -errno;
		close(fd);
		return result;
	}
	return fd;
}

/* Both on one port; any port must be free for both. */
static int open_sockets(struct ctl_name_server *s)
{
	int result = -EADDRINUSE;
	uint16_t wanted = s->options.port;
	for (int i = 0; i < PORT_TRIES && result == -EADDRINUSE; i++) {
		struct sockaddr_in in;
		socklen_t bytes = sizeof(in);
		s->udp_fd = open_socket(SOCK_DGRAM, s->options.address, wanted);
		if (s->udp_fd < 0)
			return s->udp_fd;
		if (getsockname(s->udp_fd, (struct sockaddr *)&in, &bytes) < 0)
			return -errno;
		s->port = ntohs(in.sin_port);
		result = s->tcp_fd = open_socket(SOCK_STREAM, s->options.address, s->port);
		if (result >= 0 || wanted != 0)
			break;
		close(s->udp_fd);
		s->udp_fd = -1;
	}
	return result < 0 ? result : 0;
}

static int start_thread(struct ctl_name_server *s)
{
	sigset_t all, before;
	/* Signals are for the thread that started us. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	int result = -pthread_create(&s->thread, NULL, run, s);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	s->is_running = result == 0;
	if (s->is_running)
		pthread_setname_np(s->thread, "names");
	return result;
}

int ctl_name_server_start(
	const struct ctl_name_server_options *options,
	struct ctl_name_server **server,
	char *error,
	size_t error_bytes
)
{
	uint64_t salt = 0;
	const char *failed = "name server";
	struct ctl_name_server *s = calloc(1, sizeof(*s));
	*server = NULL;
	if (s == NULL)
		return -ENOMEM;
	s->options = *options;
	s->udp_fd = s->tcp_fd = s->stop_fd = -1;
	for (uint32_t i = 0; i < CTL_SERVER_CONNECTIONS; i++)
		s->connections[i].fd = -1;
	/* Without it an attacker could aim at a set of the table, and no more. */
	(void)!getrandom(&salt, sizeof(salt), 0);
	ctl_rate_init(
		&s->rate,
		options->rate ? options->rate : DEFAULT_RATE,
		options->rate_all ? options->rate_all : DEFAULT_RATE_ALL,
		salt
	);
	int result = ctl_responder_create(&s->responder, &options->responder);
	if (result == 0) {
		failed = "UDP and TCP sockets";
		result = open_sockets(s);
	}
	if (result == 0 && (s->stop_fd = eventfd(0, EFD_CLOEXEC)) < 0)
		result = -errno;
	if (result == 0) {
		failed = "thread";
		result = start_thread(s);
	}
	if (result < 0) {
		snprintf(
			error,
			error_bytes,
			"%s of port %u: %s",
			failed,
			options->port,
			strerror(-result)
		);
		ctl_name_server_stop(s);
		return result;
	}
	*server = s;
	return 0;
}

static void close_one(int fd)
{
	if (fd >= 0)
		close(fd);
}

void ctl_name_server_stop(struct ctl_name_server *server)
{
	const uint64_t one = 1;
	if (server == NULL)
		return;
	if (server->is_running) {
		(void)!write(server->stop_fd, &one, sizeof(one));
		pthread_join(server->thread, NULL);
	}
	for (uint32_t i = 0; i < CTL_SERVER_CONNECTIONS; i++)
		close_one(server->connections[i].fd);
	close_one(server->udp_fd);
	close_one(server->tcp_fd);
	close_one(server->stop_fd);
	ctl_responder_destroy(server->responder);
	free(server);
}
