/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/vdev/lab.h"

#include "config/bytes.h"
#include "config/devices.h"
#include "config/exit_codes.h"
#include "dataplane/eal.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define HEADER_BYTES 14
#define NUMBER_AT HEADER_BYTES
#define LENGTH_AT (NUMBER_AT + 4)
#define BYTES_AT (LENGTH_AT + 4)

uint64_t lab_now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

/* ---- processes ---- */

pid_t lab_fork(int (*scenario)(void *context), void *context)
{
	fflush(NULL);
	pid_t child = fork();

	if (child != 0)
		return child;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	/* cmocka's handlers would jump back into the test runner, now in the child as well. */
	static const int fatal[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGSYS};
	for (size_t i = 0; i < sizeof(fatal) / sizeof(fatal[0]); i++)
		signal(fatal[i], SIG_DFL);
	int rc = scenario(context);
	fflush(NULL);
	/* Not exit: the drivers' destructors and the parent's handlers have no business here. */
	_exit(rc);
}

int lab_wait(pid_t child, unsigned seconds)
{
	uint64_t deadline_ns = lab_now_ns() + seconds * 1000000000ull;
	struct timespec tick = {.tv_nsec = 2000000};
	int status = 0;

	while (waitpid(child, &status, WNOHANG) == 0) {
		if (lab_now_ns() > deadline_ns) {
			kill(child, SIGKILL);
			waitpid(child, &status, 0);
			fprintf(stderr, "a child did not end within %u s\n", seconds);
			return -1;
		}
		nanosleep(&tick, NULL);
	}
	if (WIFEXITED(status))
		return WEXITSTATUS(status);
	if (WTERMSIG(status) != SIGKILL)
		fprintf(stderr, "a child ended by signal %d\n", WTERMSIG(status));
	return -2;
}

void lab_make_directory(char *path, size_t bytes)
{
	snprintf(path, bytes, "/tmp/standfast-lab-XXXXXX");
	if (mkdtemp(path) == NULL) {
		perror("mkdtemp");
		exit(1);
	}
}

void lab_remove(const char *path)
{
	if (strncmp(path, "/tmp/standfast-lab-", 19) == 0)
		lab_run("rm -rf '%s'", path);
}

bool lab_run(const char *format, ...)
{
	char command[1024];
	va_list list;

	va_start(list, format);
	vsnprintf(command, sizeof(command), format, list);
	va_end(list);
	int status = system(command);
	return status != -1 && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static bool write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	bool done = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

	if (fd >= 0)
		close(fd);
	return done;
}

bool lab_enter_namespace(void)
{
	char map[64];
	unsigned uid = getuid();

	if (unshare(CLONE_NEWNET) == 0)
		return true;
	if (unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0)
		return false;
	snprintf(map, sizeof(map), "0 %u 1", uid);
	return write_file("/proc/self/uid_map", map);
}

/* ---- DPDK ---- */

bool lab_start_eal(uint32_t memory_mib, uint32_t lcore_count)
{
	char prefix[32], line[4096], error[512];
	bool hugepages;
	struct dp_eal_needs needs = {
		.program = "lab",
		.prefix = prefix,
		.memory_bytes = (uint64_t)memory_mib << 20,
		.hugepages = CFG_OFF,
		.lcore_count = lcore_count,
	};

	snprintf(prefix, sizeof(prefix), "lab%d", (int)getpid());
	if (dp_eal_start(&needs, line, sizeof(line), &hugepages, error, sizeof(error)) == 0)
		return true;
	fprintf(stderr, "%s\n", error);
	return false;
}

bool lab_open(const char *device, uint16_t mtu_bytes, struct dp_port *port)
{
	struct cfg_port config = {.mtu_bytes = mtu_bytes, .descriptors = 256};
	struct dp_port_needs needs = {
		.name = "lab",
		.owner = "test",
		.rx_queues = 1,
		.tx_queues = 1,
		.rx_mbufs = 512,
		.tx_mbufs = 512,
		.promiscuous = true,
	};
	char error[512] = "not a device";

	if (cfg_parse_device(device, &config) == NULL &&
	    dp_port_open(&config, &needs, port, error, sizeof(error)) == 0)
		return true;
	fprintf(stderr, "%s\n", error);
	return false;
}

bool lab_wait_link(const struct dp_port *port, bool up, unsigned seconds)
{
	uint64_t deadline_ns = lab_now_ns() + seconds * 1000000000ull;

	while (dp_port_link_up(port) != up) {
		if (lab_now_ns() > deadline_ns)
			return false;
		sched_yield();
	}
	return true;
}

/* ---- frames ---- */

static const uint8_t addresses[12] = {
	0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02, 'l', 'a', 'b', 0, 1};

static uint8_t filler(uint32_t number, uint32_t at)
{
	/* Any change of one byte of the number changes this. */
	uint32_t folded = number ^ number >> 8 ^ number >> 16 ^ number >> 24;

	return (uint8_t)(folded * 31 + at * 7 + 1);
}

struct rte_mbuf *lab_make_frame(struct rte_mempool *pool, uint32_t number, uint32_t bytes)
{
	struct rte_mbuf *frame = rte_pktmbuf_alloc(pool);
	uint8_t *at = frame ? (uint8_t *)rte_pktmbuf_append(frame, (uint16_t)bytes) : NULL;

	if (at == NULL) {
		rte_pktmbuf_free(frame);
		return NULL;
	}
	memcpy(at, addresses, sizeof(addresses));
	at[12] = LAB_ETHERTYPE >> 8;
	at[13] = LAB_ETHERTYPE & 0xff;
	sf_store32(at + NUMBER_AT, number);
	sf_store32(at + LENGTH_AT, bytes);
	for (uint32_t i = BYTES_AT; i < bytes; i++)
		at[i] = filler(number, i);
	return frame;
}

int lab_read_frame(const struct rte_mbuf *frame, uint32_t *number)
{
	const uint8_t *at = rte_pktmbuf_mtod(frame, const uint8_t *);

	if (frame->nb_segs != 1 || frame->data_len < LAB_MIN_FRAME_BYTES)
		return -1;
	if (at[12] != LAB_ETHERTYPE >> 8 || at[13] != (LAB_ETHERTYPE & 0xff))
		return 0;
	if (memcmp(at, addresses, sizeof(addresses)) != 0)
		return -1;
	*number = sf_load32(at + NUMBER_AT);
	if (sf_load32(at + LENGTH_AT) != frame->data_len)
		return -1;
	for (uint32_t i = BYTES_AT; i < frame->data_len; i++)
		if (at[i] != filler(*number, i))
			return -1;
	return 1;
}

static uint32_t size_of(uint32_t number, uint32_t max_bytes)
{
	/* Both extremes are among them. */
	return LAB_MIN_FRAME_BYTES + number * 13 % (max_bytes - LAB_MIN_FRAME_BYTES + 1);
}

static unsigned send_some(struct dp_port *from, uint32_t sent, uint32_t count, uint32_t max_bytes)
{
	struct rte_mbuf *frames[DP_BURST];
	unsigned made = 0, taken;

	while (made < DP_BURST && sent + made < count) {
		uint32_t number = sent + made;
		uint32_t bytes = number + 1 == count ? max_bytes : size_of(number, max_bytes);
		frames[made] = lab_make_frame(from->tx_pool, number, bytes);
		if (frames[made] == NULL)
			break;
		made++;
	}
	taken = dp_port_tx(from, 0, frames, (uint16_t)made);
	rte_pktmbuf_free_bulk(frames + taken, made - taken);
	return taken;
}

bool lab_exchange(struct dp_port *from, struct dp_port *to, uint32_t count, uint32_t max_bytes)
{
	uint64_t deadline_ns = lab_now_ns() + 10000000000ull;
	uint32_t sent = 0, received = 0;
	uint32_t baseline = dp_port_mbufs_in_use(from) + dp_port_mbufs_in_use(to);

	while (received < count && lab_now_ns() < deadline_ns) {
		struct rte_mbuf *frames[DP_BURST];
		/* Not more under way than any of the devices holds. */
		if (sent < count && sent - received < 64)
			sent += send_some(from, sent, count, max_bytes);
		uint16_t got = dp_port_rx(to, 0, frames, DP_BURST);
		for (uint16_t i = 0; i < got; i++) {
			uint32_t number = 0;
			int kind = lab_read_frame(frames[i], &number);
			if (kind < 0 || (kind > 0 && number != received)) {
				fprintf(stderr, "frame %u is damaged or not %u\n", number, received
				);
				rte_pktmbuf_free_bulk(frames + i, got - i);
				return false;
			}
			received += kind > 0;
			rte_pktmbuf_free(frames[i]);
		}
		if (got == 0)
			sched_yield();
	}
	uint32_t now = dp_port_mbufs_in_use(from) + dp_port_mbufs_in_use(to);
	/* Devices that prefill their receive queues do so within the first frames. */
	if (received < count || now > baseline + 2 * 256) {
		fprintf(stderr,
			"%u of %u arrived; %u mbufs, %u before\n",
			received,
			count,
			now,
			baseline);
		return false;
	}
	return true;
}
