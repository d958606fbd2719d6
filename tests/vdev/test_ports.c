/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Ports of every kind that this machine can make: frames of all sizes arrive whole and in order.
 */
#include "config/devices.h"
#include "config/exit_codes.h"
#include "dataplane/eal.h"
#include "tests/vdev/lab.h"

#include <rte_lcore.h>

#include <cmocka.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
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
	uint32_t frames; /* to send, or the MTU */
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

static int memif_mismatch(void *context)
{
	struct memif_end *end = context;
	struct dp_port port;
	uint64_t deadline_ns;

	LAB_CHECK(lab_start_eal(64, 1));
	LAB_CHECK(lab_open(end->device, (uint16_t)end->frames, &port));
	/* A good peer is connected after some 20 ms; the bad one tries again and again. */
	deadline_ns = lab_now_ns() + 1500000000;
	while (lab_now_ns() < deadline_ns) {
		LAB_CHECK(!dp_port_link_up(&port));
		sched_yield();
	}
	dp_port_close(&port);
	return 0;
}

static void memif_server_when_peer_has_a_larger_mtu_then_it_is_not_let_in(void **state)
{
	struct memif_end server = {.frames = 1500}, client = {.frames = 1564};

	snprintf(server.device, sizeof(server.device), "memif-server:%s/m", directory);
	snprintf(client.device, sizeof(client.device), "memif-client:%s/m", directory);
	pid_t first = lab_fork(memif_mismatch, &server);
	pid_t second = lab_fork(memif_mismatch, &client);
	assert_int_equal(lab_wait(first, SECONDS), 0);
	assert_int_equal(lab_wait(second, SECONDS), 0);
}

/* ---- memif peers that are killed ---- */

#define KILLS 10
#define FRAMES_PER_LIFE 20000

/* Shared by the processes of one test. */
struct survivor {
	char device[96];
	char peer_device[96];
	uint64_t received;
	uint32_t stop;
};

/* Full speed both ways, whatever happens to the other end, and nearly all the time inside of
 * bursts: what a full ring does not take is offered again as it is. */
static int blast(const char *device, uint64_t *received, const uint32_t *stop)
{
	struct rte_mbuf *in[DP_BURST], *out[DP_BURST];
	struct dp_port port;
	uint64_t deadline_ns = lab_now_ns() + 2 * SECONDS * 1000000000ull;
	uint16_t made = 0, taken = 0;

	LAB_CHECK(lab_start_eal(64, 1));
	LAB_CHECK(lab_open(device, 1500, &port));
	for (uint64_t round = 1; !__atomic_load_n(stop, __ATOMIC_RELAXED); round++) {
		uint16_t got = dp_port_rx(&port, 0, in, DP_BURST);
		rte_pktmbuf_free_bulk(in, got);
		__atomic_fetch_add(received, got, __ATOMIC_RELAXED);
		if (taken == made) {
			taken = 0;
			for (made = 0; made < DP_BURST; made++)
				out[made] = lab_make_frame(port.tx_pool, made, 200);
		}
		taken += dp_port_tx(&port, 0, out + taken, made - taken);
		if (round % 1000 == 0 && lab_now_ns() > deadline_ns)
			return 1;
	}
	rte_pktmbuf_free_bulk(out + taken, (unsigned)(made - taken));
	LAB_CHECK(dp_port_mbufs_in_use(&port) == 0);
	dp_port_close(&port);
	return 0;
}

static int survive(void *context)
{
	struct survivor *shared = context;
	cpu_set_t one;

	/* On one CPU, so that the thread that disconnects interrupts a burst as often as can be. */
	CPU_ZERO(&one);
	CPU_SET(sched_getcpu(), &one);
	sched_setaffinity(0, sizeof(one), &one);
	return blast(shared->device, &shared->received, &shared->stop);
}

static int die(void *context)
{
	struct survivor *shared = context;
	static uint64_t received;

	return blast(shared->peer_device, &received, &shared->stop);
}

static bool wait_for_more(const uint64_t *counter, uint64_t more)
{
	uint64_t deadline_ns = lab_now_ns() + 10000000000ull;
	uint64_t first = __atomic_load_n(counter, __ATOMIC_RELAXED);

	while (__atomic_load_n(counter, __ATOMIC_RELAXED) < first + more) {
		if (lab_now_ns() > deadline_ns)
			return false;
		usleep(500);
	}
	return true;
}

static void kill_peers_of(const char *role, const char *peer_role)
{
	struct survivor *shared = mmap(
		NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0
	);
	assert_true(shared != MAP_FAILED);
	snprintf(shared->device, sizeof(shared->device), "%s:%s/k", role, directory);
	snprintf(shared->peer_device, sizeof(shared->peer_device), "%s:%s/k", peer_role, directory);
	pid_t survivor = lab_fork(survive, shared);
	for (unsigned i = 0; i < KILLS; i++) {
		pid_t peer = lab_fork(die, shared);
		bool alive = wait_for_more(&shared->received, FRAMES_PER_LIFE + i * 37);
		kill(peer, SIGKILL);
		assert_int_equal(lab_wait(peer, SECONDS), -2);
		if (!alive)
			fail_msg(
				"no frames from peer %u: survivor ended with %d",
				i,
				lab_wait(survivor, 1)
			);
	}
	__atomic_store_n(&shared->stop, 1, __ATOMIC_RELAXED);
	assert_int_equal(lab_wait(survivor, SECONDS), 0);
	munmap(shared, sizeof(*shared));
}

static void memif_server_when_clients_are_killed_under_load_then_it_serves_the_next(void **state)
{
	kill_peers_of("memif-server", "memif-client");
}

static void memif_client_when_servers_are_killed_under_load_then_it_connects_again(void **state)
{
	kill_peers_of("memif-client", "memif-server");
}

/* ---- what the operator is told ---- */

static bool
refused_with(const struct cfg_port *config, const struct dp_port_needs *needs, const char *words)
{
	struct dp_port port;
	char error[512] = "";

	if (dp_port_open(config, needs, &port, error, sizeof(error)) == 0) {
		fprintf(stderr, "opened, though \"%s\" was expected\n", words);
		return false;
	}
	if (strstr(error, words))
		return true;
	fprintf(stderr, "\"%s\" does not say \"%s\"\n", error, words);
	return false;
}

static bool device_refused_with(const char *device, uint16_t mtu_bytes, const char *words)
{
	struct cfg_port config = {.mtu_bytes = mtu_bytes, .descriptors = 256};
	struct dp_port_needs needs = {
		.name = "client",
		.owner = "test",
		.rx_queues = 1,
		.tx_queues = 1,
	};

	return cfg_parse_device(device, &config) == NULL && refused_with(&config, &needs, words);
}

static int refusals(void *unused)
{
	struct cfg_port null = {
		.kind = CFG_DEVICE_VDEV,
		.device = "net_null7",
		.mtu_bytes = 1500,
		.descriptors = 256,
	};
	struct dp_port_needs needs = {
		.name = "client",
		.owner = "test",
		.rx_queues = 1,
		.tx_queues = 1,
	};
	char text[128];
	struct dp_port port;

	bool apart = lab_enter_namespace();
	LAB_CHECK(lab_start_eal(64, 1));
	LAB_CHECK(device_refused_with("af_packet:nosuch0", 1500, "nosuch0 does not exist"));
	LAB_CHECK(device_refused_with("af_xdp:nosuch0", 1500, "nosuch0 does not exist"));
	LAB_CHECK(device_refused_with("0000:fe:1f.7", 1500, "no PCI device 0000:fe:1f.7"));
	LAB_CHECK(device_refused_with("vdev:net_nosuch0", 1500, "net_nosuch0"));
	LAB_CHECK(device_refused_with("memif-server:/nosuch/x", 1500, "No such file"));
	snprintf(text, sizeof(text), "memif-server:%s/file", directory);
	LAB_CHECK(lab_run("touch %s/file", directory));
	LAB_CHECK(device_refused_with(text, 1500, "is no socket"));
	LAB_CHECK(lab_run("test -f %s/file", directory));
	snprintf(text, sizeof(text), "memif-server:%s/taken", directory);
	LAB_CHECK(lab_open(text, 1500, &port));
	LAB_CHECK(device_refused_with(text, 1500, "another process listens"));
	dp_port_close(&port);
	LAB_CHECK(lab_open(text, 1500, &port));
	dp_port_close(&port);
	LAB_CHECK(lab_run("! test -e %s/taken", directory));
	if (apart && lab_run("ip link add va type veth peer name vb")) {
		LAB_CHECK(device_refused_with("af_packet:va", 1500, "va is down"));
		LAB_CHECK(lab_run("ip link set va up"));
		LAB_CHECK(device_refused_with("af_packet:va", 4000, "MTU 1500, 4000 are asked for")
		);
		LAB_CHECK(device_refused_with("tap:va", 1500, "exists already"));
		LAB_CHECK(lab_run("ip link set va mtu 9000"));
		LAB_CHECK(device_refused_with("af_xdp:va", 9000, "MTU 9000 is too large"));
	}
	needs.rx_mbufs = 1000000;
	LAB_CHECK(refused_with(&null, &needs, "no memory for"));
	needs.rx_mbufs = 100;
	null.descriptors = 100;
	LAB_CHECK(refused_with(&null, &needs, "no power of two"));
	null.descriptors = 128;
	null.mtu_bytes = 9200;
	LAB_CHECK(refused_with(&null, &needs, "MTU 9200"));
	null.mtu_bytes = 1500;
	needs.rx_queues = 2000;
	LAB_CHECK(refused_with(&null, &needs, "2000 and 1 are needed"));
	/* After all that, the process is as good as new. */
	needs.rx_queues = 1;
	LAB_CHECK(lab_open("vdev:net_null7", 1500, &port));
	dp_port_close(&port);
	return 0;
}

static void port_when_it_cannot_be_opened_then_a_sentence_says_why(void **state)
{
	assert_int_equal(lab_wait(lab_fork(refusals, NULL), SECONDS), 0);
}

static bool eal_refused_with(const struct dp_eal_needs *needs, const char *words)
{
	char error[8192] = "", line[4096];
	bool hugepages;

	if (dp_eal_start(needs, line, sizeof(line), &hugepages, error, sizeof(error)) == 0)
		return false;
	if (strstr(error, words))
		return true;
	fprintf(stderr, "\"%s\" does not say \"%s\"\n", error, words);
	return false;
}

static int eal_refusals(void *unused)
{
	struct dp_eal_needs needs = {
		.program = "test",
		.prefix = "test",
		.memory_bytes = 64 << 20,
		.hugepages = CFG_OFF,
		.lcore_count = 1,
	};
	static const char *const bad[] = {"--vdev=net_nosuch0"};

	needs.lcore_count = 2;
	needs.cpus[1] = "0-";
	LAB_CHECK(eal_refused_with(&needs, "lcore 1: \"0-\" is no list of CPUs"));
	needs.cpus[1] = "1,,2";
	LAB_CHECK(eal_refused_with(&needs, "is no list of CPUs"));
	needs.cpus[1] = "127";
	LAB_CHECK(eal_refused_with(&needs, "may not use all of CPUs \"127\""));
	LAB_CHECK(!dp_eal_cpus_are_exclusive(&needs));
	needs.lcore_count = DP_EAL_MAX_LCORES + 1;
	LAB_CHECK(eal_refused_with(&needs, "68 lcores are asked for"));
	needs.lcore_count = 1;
	needs.memory_bytes = 1ull << 50;
	LAB_CHECK(eal_refused_with(&needs, "MiB of memory are needed"));
	needs.hugepages = CFG_ON;
	LAB_CHECK(eal_refused_with(&needs, "hugepages are asked for"));
	needs.hugepages = CFG_OFF;
	needs.memory_bytes = 64 << 20;
	needs.extra = bad;
	needs.extra_count = 1;
	LAB_CHECK(eal_refused_with(&needs, "DPDK does not start"));
	return 0;
}

static void eal_when_it_cannot_start_then_a_sentence_says_why(void **state)
{
	assert_int_equal(lab_wait(lab_fork(eal_refusals, NULL), SECONDS), 0);
}

static int eal_lcores(void *unused)
{
	struct dp_eal_needs needs = {.lcore_count = 3};
	cpu_set_t set;

	/* As on any machine with two CPUs for us. */
	sched_getaffinity(0, sizeof(set), &set);
	if (!CPU_ISSET(0, &set) || !CPU_ISSET(1, &set))
		return SF_EXIT_SKIPPED;
	CPU_ZERO(&set);
	CPU_SET(0, &set);
	CPU_SET(1, &set);
	sched_setaffinity(0, sizeof(set), &set);
	LAB_CHECK(!dp_eal_cpus_are_exclusive(&needs));
	needs.cpus[1] = "1";
	LAB_CHECK(!dp_eal_cpus_are_exclusive(&needs)); /* 0 and 2 share CPU 0 */
	needs.lcore_count = 2;
	LAB_CHECK(dp_eal_cpus_are_exclusive(&needs));
	needs.cpus[0] = "0-1";
	LAB_CHECK(!dp_eal_cpus_are_exclusive(&needs));
	/* RUNTIME_DIRECTORY as systemd writes several, none of which is there. */
	char value[160];
	snprintf(value, sizeof(value), "%s/run/deep:%s/other", directory, directory);
	setenv("RUNTIME_DIRECTORY", value, 1);
	LAB_CHECK(lab_start_eal(64, 3));
	LAB_CHECK(rte_lcore_count() == 3 && rte_get_main_lcore() == 0 && rte_lcore_is_enabled(2));
	LAB_CHECK(lab_run("test -d %s/run/deep", directory));
	return 0;
}

static void eal_when_lcores_share_cpus_then_they_are_not_exclusive(void **state)
{
	int rc = lab_wait(lab_fork(eal_lcores, NULL), SECONDS);

	if (rc == SF_EXIT_SKIPPED)
		print_message("two CPUs are not there for this\n");
	else
		assert_int_equal(rc, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ring_pair_when_frames_are_sent_then_they_arrive),
		cmocka_unit_test(memif_when_client_starts_first_then_frames_come_back),
		cmocka_unit_test(memif_server_when_peer_has_a_larger_mtu_then_it_is_not_let_in),
		cmocka_unit_test(
			memif_server_when_clients_are_killed_under_load_then_it_serves_the_next
		),
		cmocka_unit_test(
			memif_client_when_servers_are_killed_under_load_then_it_connects_again
		),
		cmocka_unit_test(port_when_it_cannot_be_opened_then_a_sentence_says_why),
		cmocka_unit_test(eal_when_it_cannot_start_then_a_sentence_says_why),
		cmocka_unit_test(eal_when_lcores_share_cpus_then_they_are_not_exclusive),
	};

	lab_make_directory(directory, sizeof(directory));
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	lab_remove(directory);
	return failed ? SF_EXIT_FAILED : SF_EXIT_OK;
}
