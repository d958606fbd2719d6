/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The fault-injecting relay between two memif ports of one process: every fault does what it says,
 * within five standard deviations, and its counters tell exactly what arrives.
 * test_relay PATH-OF-RELAY [SEED]
 */
#include "config/exit_codes.h"
#include "tests/vdev/lab.h"

#include <cmocka.h>
#include <math.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define SECONDS 90
#define FRAMES 20000
#define FRAME_BYTES 120
#define ROUND_NS 10000000000ull

static const char *relay_program;
static unsigned long seed = 20260;
static char directory[64];

/* ---- talking to the relay ---- */

static bool command(const char *text, char *answer, size_t answer_bytes)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	ssize_t bytes = -1;

	snprintf(address.sun_path, sizeof(address.sun_path), "%s/control", directory);
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0 &&
	    send(fd, text, strlen(text), MSG_NOSIGNAL) > 0)
		bytes = recv(fd, answer, answer_bytes - 1, 0);
	close(fd);
	answer[bytes > 0 ? bytes : 0] = 0;
	return bytes > 0 && strncmp(answer, "error", 5) != 0;
}

static bool tell(const char *text)
{
	char answer[2048];

	if (command(text, answer, sizeof(answer)))
		return true;
	fprintf(stderr, "relay: %s: %s\n", text, answer);
	return false;
}

struct stats {
	uint64_t received, forwarded, lost, duplicated, reordered, corrupted, truncated, cut,
		overflow, no_link, queued;
};

static uint64_t number_after(const char *text, const char *name)
{
	char quoted[32];

	snprintf(quoted, sizeof(quoted), "\"%s\":", name);
	const char *at = strstr(text, quoted);
	return at ? strtoull(at + strlen(quoted), NULL, 10) : UINT64_MAX;
}

static bool read_stats(const char *way, struct stats *stats)
{
	char answer[4096], quoted[16];

	snprintf(quoted, sizeof(quoted), "\"%s\":", way);
	if (!command("stats", answer, sizeof(answer)) || !strstr(answer, quoted))
		return false;
	const char *at = strstr(answer, quoted);
	*stats = (struct stats){
		.received = number_after(at, "received"),
		.forwarded = number_after(at, "forwarded"),
		.lost = number_after(at, "lost"),
		.duplicated = number_after(at, "duplicated"),
		.reordered = number_after(at, "reordered"),
		.corrupted = number_after(at, "corrupted"),
		.truncated = number_after(at, "truncated"),
		.cut = number_after(at, "cut"),
		.overflow = number_after(at, "overflow"),
		.no_link = number_after(at, "no_link"),
		.queued = number_after(at, "queued"),
	};
	return true;
}

/* ---- a round: frames through one way until everything has come to rest ---- */

struct bed {
	pid_t relay;
	struct dp_port ports[2];
};

struct result {
	struct stats stats; /* of this round */
	uint32_t arrived;
	uint32_t whole;
	uint32_t twice;
	uint32_t out_of_order;
	uint32_t farthest;    /* how many numbers late a frame came */
	uint64_t first_ns;    /* from the first sending to the first arrival */
	uint64_t fingerprint; /* of which numbers came, in which order */
	double seconds;
};

static void note(struct result *result, const struct rte_mbuf *frame, uint8_t *seen, uint32_t *top)
{
	uint32_t number;

	result->arrived++;
	if (lab_read_frame(frame, &number) != 1 || number >= 10 * FRAMES)
		return;
	result->whole++;
	result->fingerprint = result->fingerprint * 1099511628211ull + number + 1;
	result->twice += seen[number]++ == 1;
	if (number < *top) {
		result->out_of_order++;
		if (*top - number > result->farthest)
			result->farthest = *top - number;
	} else {
		*top = number;
	}
}

static unsigned send_from(struct dp_port *port, uint32_t sent, uint32_t count)
{
	struct rte_mbuf *frames[DP_BURST];
	unsigned made = 0;

	while (made < DP_BURST && sent + made < count) {
		frames[made] = lab_make_frame(port->tx_pool, sent + made, FRAME_BYTES);
		if (frames[made] == NULL)
			break;
		made++;
	}
	unsigned taken = dp_port_tx(port, 0, frames, (uint16_t)made);
	rte_pktmbuf_free_bulk(frames + taken, made - taken);
	return taken;
}

static void subtract(struct stats *now, const struct stats *before)
{
	uint64_t *left = (uint64_t *)now;
	const uint64_t *right = (const uint64_t *)before;

	for (size_t i = 0; i < sizeof(*now) / sizeof(*left); i++)
		left[i] -= right[i];
}

/* At rest: the relay has received all, keeps none, and we have all that it sent. */
static bool
at_rest(const char *way, const struct stats *before, uint32_t count, struct result *result)
{
	if (!read_stats(way, &result->stats))
		return false;
	bool empty = result->stats.queued == 0;
	subtract(&result->stats, before);
	return empty && result->stats.received == count &&
	       result->stats.forwarded == result->arrived;
}

static bool run_round(struct bed *bed, int from, uint32_t count, struct result *result)
{
	static uint8_t seen[10 * FRAMES];
	const char *way = from == 0 ? "a-b" : "b-a";
	struct dp_port *out = &bed->ports[from], *in = &bed->ports[!from];
	uint64_t start_ns, next_look_ns = 0;
	struct stats before;
	uint32_t sent = 0, top = 0;

	memset(result, 0, sizeof(*result));
	memset(seen, 0, sizeof(seen));
	if (!read_stats(way, &before))
		return false;
	start_ns = lab_now_ns();
	while (lab_now_ns() < start_ns + ROUND_NS) {
		struct rte_mbuf *frames[DP_BURST];
		unsigned taken = send_from(out, sent, count);
		uint16_t got = dp_port_rx(in, 0, frames, DP_BURST);
		if (got && result->arrived == 0)
			result->first_ns = lab_now_ns() - start_ns;
		for (uint16_t i = 0; i < got; i++)
			note(result, frames[i], seen, &top);
		rte_pktmbuf_free_bulk(frames, got);
		sent += taken;
		if (got == 0 && taken == 0)
			sched_yield();
		if (sent == count && got == 0 && lab_now_ns() > next_look_ns) {
			result->seconds = (double)(lab_now_ns() - start_ns) / 1e9;
			if (at_rest(way, &before, count, result))
				return true;
			next_look_ns = lab_now_ns() + 1000000;
		}
	}
	fprintf(stderr, "%s: %u sent, %u arrived, no rest\n", way, sent, result->arrived);
	return false;
}

static bool about(uint64_t count, uint64_t of, double probability)
{
	double expected = (double)of * probability;
	double deviation = sqrt(expected * (1 - probability));

	if (fabs((double)count - expected) <= 5 * deviation + 1)
		return true;
	fprintf(stderr,
		"%llu of %llu is not %g\n",
		(unsigned long long)count,
		(unsigned long long)of,
		probability);
	return false;
}

/* ---- what each fault must do ---- */

static int check_clean(struct bed *bed, int from)
{
	struct result r;

	LAB_CHECK(run_round(bed, from, FRAMES, &r));
	LAB_CHECK(r.whole == FRAMES && r.twice == 0 && r.out_of_order == 0);
	return 0;
}

static int check_loss(struct bed *bed, int from)
{
	struct result r, other;

	LAB_CHECK(tell(from == 0 ? "set a-b loss=0.1" : "set b-a loss=0.1"));
	LAB_CHECK(run_round(bed, from, FRAMES, &r));
	LAB_CHECK(about(r.stats.lost, FRAMES, 0.1));
	LAB_CHECK(r.whole == FRAMES - r.stats.lost && r.out_of_order == 0 && r.twice == 0);
	LAB_CHECK(run_round(bed, !from, FRAMES, &other));
	LAB_CHECK(other.whole == FRAMES && other.stats.lost == 0);
	LAB_CHECK(tell("clear"));
	return 0;
}

static int check_duplicates(struct bed *bed)
{
	struct result r;

	LAB_CHECK(tell("set both dup=0.05"));
	LAB_CHECK(run_round(bed, 0, FRAMES, &r));
	LAB_CHECK(about(r.stats.duplicated, FRAMES, 0.05));
	LAB_CHECK(r.whole == FRAMES + r.stats.duplicated && r.twice == r.stats.duplicated);
	LAB_CHECK(tell("clear"));
	return 0;
}

static int check_reordering(struct bed *bed)
{
	struct result r;

	LAB_CHECK(tell("set a-b reorder=0.1"));
	LAB_CHECK(run_round(bed, 0, FRAMES, &r));
	LAB_CHECK(about(r.stats.reordered, FRAMES, 0.1));
	LAB_CHECK(r.whole == FRAMES && r.twice == 0);
	/* Neighbours that are both kept back may come in order again. */
	LAB_CHECK(r.out_of_order > r.stats.reordered / 2 && r.out_of_order <= r.stats.reordered);
	LAB_CHECK(r.farthest >= 1 && r.farthest <= 32);
	/* A frame with nothing behind it is not kept for ever. */
	LAB_CHECK(tell("set a-b reorder=1"));
	LAB_CHECK(run_round(bed, 0, 1, &r));
	LAB_CHECK(r.whole == 1 && r.stats.reordered == 1 && r.first_ns >= 1000000);
	LAB_CHECK(tell("clear"));
	return 0;
}

static int check_damage(struct bed *bed)
{
	struct result r;

	LAB_CHECK(tell("set b-a corrupt=0.02"));
	LAB_CHECK(run_round(bed, 1, FRAMES, &r));
	LAB_CHECK(about(r.stats.corrupted, FRAMES, 0.02));
	LAB_CHECK(r.arrived == FRAMES && r.whole == FRAMES - r.stats.corrupted);
	LAB_CHECK(tell("set b-a corrupt=0 truncate=0.05"));
	LAB_CHECK(run_round(bed, 1, FRAMES, &r));
	LAB_CHECK(about(r.stats.truncated, FRAMES, 0.05));
	LAB_CHECK(r.arrived == FRAMES && r.whole == FRAMES - r.stats.truncated);
	LAB_CHECK(tell("clear"));
	return 0;
}

static int check_delay(struct bed *bed)
{
	struct result r;

	LAB_CHECK(tell("set a-b delay_us=30000"));
	LAB_CHECK(run_round(bed, 0, 100, &r));
	LAB_CHECK(r.whole == 100 && r.out_of_order == 0 && r.first_ns >= 30000000);
	/* More than the queue holds. */
	LAB_CHECK(tell("set a-b delay_us=2000000"));
	LAB_CHECK(run_round(bed, 0, 6000, &r));
	LAB_CHECK(r.stats.overflow == 6000 - 4096 && r.whole == 4096);
	LAB_CHECK(tell("clear"));
	return 0;
}

static int check_cut(struct bed *bed, int from)
{
	struct result r;

	LAB_CHECK(tell(from == 0 ? "cut a-b" : "cut b-a"));
	LAB_CHECK(run_round(bed, from, 1000, &r));
	LAB_CHECK(r.arrived == 0 && r.stats.cut == 1000);
	LAB_CHECK(run_round(bed, !from, 1000, &r));
	LAB_CHECK(r.whole == 1000 && r.stats.cut == 0);
	LAB_CHECK(tell(from == 0 ? "heal a-b" : "heal"));
	LAB_CHECK(run_round(bed, from, 1000, &r));
	LAB_CHECK(r.whole == 1000 && r.stats.cut == 0);
	LAB_CHECK(tell("cut both"));
	LAB_CHECK(run_round(bed, from, 1000, &r) && r.arrived == 0);
	LAB_CHECK(run_round(bed, !from, 1000, &r) && r.arrived == 0);
	LAB_CHECK(tell("heal both"));
	return 0;
}

static int check_commands(void)
{
	static const char *const bad[] = {
		"",
		"cut",
		"cut c-d",
		"cut a-b loss=1",
		"set a-b",
		"set loss=0.1",
		"set a-b loss=2",
		"set a-b loss=-0.1",
		"set a-b loss=nan",
		"set a-b loss",
		"set a-b delay_us=1e99",
		"set a-b loss=0.1x",
		"set both loss=0.5 x=1",
		"stats now",
		"heal c",
		"hello",
	};
	char answer[2048];
	struct stats stats;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		LAB_CHECK(!command(bad[i], answer, sizeof(answer)));
	LAB_CHECK(read_stats("a-b", &stats) && stats.queued == 0);
	LAB_CHECK(lab_run("'%s' --send %s/control 'set both loss=0'", relay_program, directory));
	LAB_CHECK(!lab_run("'%s' --send %s/control 'nonsense'", relay_program, directory));
	LAB_CHECK(!lab_run("'%s' --send %s/nobody stats 2>&1", relay_program, directory));
	return 0;
}

/* ---- the test bed ---- */

static bool start_bed(struct bed *bed)
{
	char a[96], b[96], control[96], number[32], device[96];

	snprintf(a, sizeof(a), "memif-client:%s/a", directory);
	snprintf(b, sizeof(b), "memif-client:%s/b", directory);
	snprintf(control, sizeof(control), "%s/control", directory);
	snprintf(number, sizeof(number), "%lu", seed);
	fflush(NULL);
	bed->relay = fork();
	if (bed->relay == 0) {
		execl(relay_program,
		      relay_program,
		      "--a",
		      a,
		      "--b",
		      b,
		      "--control",
		      control,
		      "--seed",
		      number,
		      (char *)NULL);
		_exit(1);
	}
	if (!lab_start_eal(128, 1))
		return false;
	for (int i = 0; i < 2; i++) {
		snprintf(device, sizeof(device), "memif-server:%s/%c", directory, "ab"[i]);
		if (!lab_open(device, 1500, &bed->ports[i]))
			return false;
	}
	uint64_t deadline_ns = lab_now_ns() + ROUND_NS;
	while (access(control, F_OK) != 0 && lab_now_ns() < deadline_ns)
		sched_yield();
	return lab_wait_link(&bed->ports[0], true, 10) && lab_wait_link(&bed->ports[1], true, 10);
}

static int end_bed(struct bed *bed)
{
	LAB_CHECK(tell("quit"));
	LAB_CHECK(lab_wait(bed->relay, 10) == 0);
	LAB_CHECK(lab_run("! test -e %s/control", directory));
	LAB_CHECK(dp_port_mbufs_in_use(&bed->ports[0]) == 0);
	LAB_CHECK(dp_port_mbufs_in_use(&bed->ports[1]) == 0);
	dp_port_close(&bed->ports[0]);
	dp_port_close(&bed->ports[1]);
	return 0;
}

static int all_faults(void *unused)
{
	struct bed bed;
	int rc;

	LAB_CHECK(start_bed(&bed));
	rc = check_clean(&bed, 0) || check_clean(&bed, 1) || check_loss(&bed, 0) ||
	     check_loss(&bed, 1) || check_duplicates(&bed) || check_reordering(&bed) ||
	     check_damage(&bed) || check_delay(&bed) || check_commands();
	if (rc != 0)
		kill(bed.relay, SIGKILL);
	return rc ? rc : end_bed(&bed);
}

static int cuts(void *unused)
{
	struct bed bed;
	int rc;

	LAB_CHECK(start_bed(&bed));
	rc = check_cut(&bed, 0) || check_cut(&bed, 1);
	if (rc != 0)
		kill(bed.relay, SIGKILL);
	return rc ? rc : end_bed(&bed);
}

/* Which frames come through when all faults that draw are on. */
static int fingerprint(void *context)
{
	struct bed bed;
	struct result r;

	LAB_CHECK(start_bed(&bed));
	LAB_CHECK(tell("set both loss=0.1 dup=0.1 corrupt=0.05 truncate=0.05"));
	LAB_CHECK(run_round(&bed, 0, FRAMES, &r));
	*(uint64_t *)context = r.fingerprint;
	return end_bed(&bed);
}

static int speed(void *unused)
{
	struct bed bed;
	struct result r;

	LAB_CHECK(start_bed(&bed));
	LAB_CHECK(run_round(&bed, 0, 10 * FRAMES, &r) && r.whole == 10 * FRAMES);
	printf("relay: %.0f frames/s of %d bytes through, made and checked included\n",
	       10 * FRAMES / r.seconds,
	       FRAME_BYTES);
	return end_bed(&bed);
}

static void relay_when_faults_are_set_then_frames_suffer_them(void **state)
{
	assert_int_equal(lab_wait(lab_fork(all_faults, NULL), SECONDS), 0);
}

static void relay_when_cut_then_that_way_is_silent_until_healed(void **state)
{
	assert_int_equal(lab_wait(lab_fork(cuts, NULL), SECONDS), 0);
}

static void relay_when_seed_is_the_same_then_faults_are_the_same(void **state)
{
	uint64_t *seen =
		mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	assert_true(seen != MAP_FAILED);
	for (int i = 0; i < 2; i++)
		assert_int_equal(lab_wait(lab_fork(fingerprint, &seen[i]), SECONDS), 0);
	seed++;
	assert_int_equal(lab_wait(lab_fork(fingerprint, &seen[2]), SECONDS), 0);
	seed--;
	assert_true(seen[0] == seen[1]);
	assert_true(seen[0] != seen[2]);
	munmap(seen, 4096);
}

static void relay_when_nothing_is_set_then_all_frames_pass(void **state)
{
	assert_int_equal(lab_wait(lab_fork(speed, NULL), SECONDS), 0);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(relay_when_nothing_is_set_then_all_frames_pass),
		cmocka_unit_test(relay_when_faults_are_set_then_frames_suffer_them),
		cmocka_unit_test(relay_when_cut_then_that_way_is_silent_until_healed),
		cmocka_unit_test(relay_when_seed_is_the_same_then_faults_are_the_same),
	};

	if (argc < 2) {
		fprintf(stderr, "usage: test_relay PATH-OF-RELAY [SEED]\n");
		return SF_EXIT_USAGE;
	}
	relay_program = argv[1];
	if (argc > 2)
		seed = strtoul(argv[2], NULL, 10);
	printf("seed %lu: replay with %s %s %lu\n", seed, argv[0], argv[1], seed);
	lab_make_directory(directory, sizeof(directory));
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	lab_remove(directory);
	return failed ? SF_EXIT_FAILED : SF_EXIT_OK;
}
