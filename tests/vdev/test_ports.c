/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Ports of every kind that this machine can make: frames of all sizes arrive whole and in order.
 */
#include "config/exit_codes.h"
#include "tests/vdev/lab.h"

#include <cmocka.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define SECONDS 30
#define FRAMES 3000

static char directory[64];

/* ---- rings ---- */

static int ring_pair(void *unused)
{
	struct dp_port_needs needs = {
		.name = "ring",
		.owner = "test",
		.rx_queues = 1,
		.tx_queues = 2,
		.tx_mbufs = 512,
	};
	struct dp_port a, b;
	char error[512];

	LAB_CHECK(lab_start_eal(128, 1));
	LAB_CHECK(
		dp_port_open_ring_pair(&needs, &needs, 9000, 256, &a, &b, error, sizeof(error)) == 0
	);
	LAB_CHECK(lab_exchange(&a, &b, FRAMES, 9014));
	LAB_CHECK(lab_exchange(&b, &a, FRAMES, 9014));
	LAB_CHECK(dp_port_mbufs_in_use(&a) == 0 && dp_port_mbufs_in_use(&b) == 0);
	dp_port_close(&a);
	dp_port_close(&b);
	LAB_CHECK(lab_open("ring:x", 1500, &a));
	LAB_CHECK(lab_open("ring:x", 1500, &b));
	struct dp_port c;
	LAB_CHECK(!lab_open("ring:x", 1500, &c));
	LAB_CHECK(lab_exchange(&a, &b, FRAMES, 1514));
	dp_port_close(&b);
	LAB_CHECK(lab_open("ring:x", 1500, &b));
	LAB_CHECK(lab_exchange(&b, &a, FRAMES, 1514));
	return 0;
}

static void ring_pair_when_frames_are_sent_then_they_arrive(void **state)
{
	assert_int_equal(lab_wait(lab_fork(ring_pair, NULL), SECONDS), 0);
}

/* ---- memif ---- */

struct memif_end {
	char device[96];
	uint32_t frames; /* 0: echo for ever */
	bool wait_for_server;
};

/* Sends everything back that comes; ends by being killed. */
static int memif_echo(void *context)
{
	struct memif_end *end = context;
	struct rte_mbuf *frames[DP_BURST];
	struct dp_port port;
	uint64_t deadline_ns = lab_now_ns() + SECONDS * 1000000000ull;

	LAB_CHECK(lab_start_eal(64, 1));
	LAB_CHECK(lab_open(end->device, 9000, &port));
	while (lab_now_ns() < deadline_ns) {
		uint16_t got = dp_port_rx(&port, 0, frames, DP_BURST);
		uint16_t taken = dp_port_tx(&port, 0, frames, got);
		rte_pktmbuf_free_bulk(frames + taken, (unsigned)(got - taken));
		if (got == 0)
			sched_yield();
	}
	return 1;
}

static int memif_ask(void *context)
{
	struct memif_end *end = context;
	struct dp_port port;

	LAB_CHECK(lab_start_eal(64, 1));
	LAB_CHECK(lab_open(end->device, 9000, &port));
	LAB_CHECK(lab_wait_link(&port, true, 10));
	LAB_CHECK(lab_exchange(&port, &port, end->frames, 9014));
	LAB_CHECK(dp_port_mbufs_in_use(&port) == 0);
	dp_port_close(&port);
	return 0;
}

static void memif_when_client_starts_first_then_frames_come_back(void **state)
{
	struct memif_end server = {.frames = 0}, client = {.frames = FRAMES};

	snprintf(server.device, sizeof(server.device), "memif-server:%s/a", directory);
	snprintf(client.device, sizeof(client.device), "memif-client:%s/a", directory);
	pid_t asker = lab_fork(memif_ask, &client);
	pid_t echo = lab_fork(memif_echo, &server);
	assert_int_equal(lab_wait(asker, SECONDS), 0);
	/* The server is killed and leaves its socket; a new one takes the path, and the next client
	 * finds it. */
	kill(echo, SIGKILL);
	assert_int_equal(lab_wait(echo, SECONDS), -2);
	assert_int_equal(access(strchr(server.device, ':') + 1, F_OK), 0);
	echo = lab_fork(memif_echo, &server);
	assert_int_equal(lab_wait(lab_fork(memif_ask, &client), SECONDS), 0);
	assert_int_equal(lab_wait(lab_fork(memif_ask, &client), SECONDS), 0);
	kill(echo, SIGKILL);
	assert_int_equal(lab_wait(echo, SECONDS), -2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ring_pair_when_frames_are_sent_then_they_arrive),
		cmocka_unit_test(memif_when_client_starts_first_then_frames_come_back),
	};

	lab_make_directory(directory, sizeof(directory));
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	lab_remove(directory);
	return failed ? SF_EXIT_FAILED : SF_EXIT_OK;
}
