/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The whole load generator, engine and ledger, against fake nodes in this process: honest pairs on
 * a bad network, and nodes that break one promise each. */
#include "client/messages.h"
#include "perf/bench/report.h"
#include "tests/unit/fake_node.h"
#include "tests/unit/unit.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define NODES 2
#define QUEUE 1024u

struct queued {
	uint32_t node, bytes;
	uint8_t data[CLI_MAX_DATAGRAM_BYTES];
};

/* Datagrams that are lost, doubled and turned round on both ways to two nodes of one state. */
struct fake_net {
	struct bench_transport base;
	struct fake_node node; /* of the pair */
	uint32_t primary;
	uint32_t takeover_every, datagrams; /* 0: never */
	uint32_t silent_datagrams;	    /* before a takeover, swallowed by the dead primary */
	bool hints;
	uint32_t loss_percent, double_percent, reorder_percent;
	uint64_t random;
	struct bench_datagram prepared[BENCH_BURST];
	uint8_t out[BENCH_BURST][CLI_MAX_DATAGRAM_BYTES];
	struct queued queue[QUEUE], handed[BENCH_BURST];
	uint32_t head, tail;
};

static struct fake_net net;
static struct bench_options options;
static struct bench_engine engine;
static struct bench_result result;
static volatile sig_atomic_t stop;

static uint32_t dice(void)
{
	net.random ^= net.random << 13;
	net.random ^= net.random >> 7;
	net.random ^= net.random << 17;
	return (uint32_t)((net.random >> 32) * 100 >> 32);
}

static struct bench_datagram *net_prepare(struct bench_transport *t, uint32_t node)
{
	for (uint32_t i = 0; i < BENCH_BURST; i++)
		net.prepared[i].bytes = net.out[i];
	return net.prepared;
}

static void put_answers(uint32_t node, const uint8_t *data, uint32_t bytes)
{
	if (bytes == 0 || dice() < net.loss_percent || net.tail - net.head == QUEUE)
		return;
	struct queued *q = &net.queue[net.tail++ % QUEUE];
	q->node = node;
	q->bytes = bytes;
	memcpy(q->data, data, bytes);
	if (net.tail - net.head > 1 && dice() < net.reorder_percent) {
		struct queued kept = *q, *other = &net.queue[net.head % QUEUE];
		*q = *other;
		*other = kept;
	}
}

static void deliver(uint32_t node, const struct bench_datagram *d)
{
	uint8_t answers[4 * CLI_MAX_DATAGRAM_BYTES];
	bool primary = node == net.primary;
	if (net.takeover_every != 0 && primary && ++net.datagrams >= net.takeover_every) {
		if (net.datagrams < net.takeover_every + net.silent_datagrams)
			return;
		net.datagrams = 0;
		net.primary ^= 1;
		net.node.epoch++;
		primary = false;
	}
	uint32_t hint = net.hints ? 100 + net.primary : 0;
	uint32_t bytes = fake_node_handle(&net.node, primary, hint, d->bytes, d->length, answers);
	assert_true(bytes <= CLI_MAX_DATAGRAM_BYTES);
	put_answers(node, answers, bytes);
}

static void net_send(struct bench_transport *t, uint32_t node, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		struct bench_datagram *d = &net.prepared[i];
		assert_true(d->length <= CLI_MAX_DATAGRAM_BYTES);
		/* The sum that the engine kept is that of the bytes, as far as ones' complement
		 * goes. */
		assert_int_equal(d->sum % 0xffff, bench_sum_bytes(d->bytes, d->length) % 0xffff);
		if (dice() >= net.loss_percent)
			deliver(node, d);
		if (dice() < net.double_percent)
			deliver(node, d);
	}
}

static uint32_t net_receive(struct bench_transport *t, struct bench_datagram *d)
{
	uint32_t count = 0;
	for (; net.head != net.tail && count < BENCH_BURST; count++, net.head++) {
		net.handed[count] = net.queue[net.head % QUEUE];
		d[count] = (struct bench_datagram){
			.bytes = net.handed[count].data,
			.length = net.handed[count].bytes,
			.node = net.handed[count].node,
		};
	}
	return count;
}

static uint32_t net_find_node(const struct bench_transport *t, uint32_t address, uint16_t port)
{
	assert_int_equal(port, CLI_DEFAULT_PORT);
	return address >= 100 && address < 100 + NODES ? address - 100 : NODES;
}

static uint64_t test_seed(void)
{
	static uint64_t seed;
	const char *given = getenv("SEED");
	if (seed == 0) {
		seed = given != NULL ? strtoull(given, NULL, 0) : (uint64_t)time(NULL);
		print_message("replay: SEED=%llu test_bench_engine\n", (unsigned long long)seed);
	}
	return seed;
}

static void prepare(enum fake_sin sin, uint64_t sin_every)
{
	memset(&net, 0, sizeof(net));
	net.base.node_count = NODES;
	net.base.prepare = net_prepare;
	net.base.send = net_send;
	net.base.receive = net_receive;
	net.base.find_node = net_find_node;
	net.random = test_seed() * 2 + 1;
	fake_node_init(&net.node, sin, sin_every);
	options = (struct bench_options){
		.outstanding = 32,
		.batch = 1,
		.payload = 8,
		.updates = 3000,
		.assets = 50,
		.first_asset = 1,
		.seed = test_seed(),
		.timeout_ns = 1000000,
		.drain_ns = 20000000000ull,
		.ledger = true,
	};
}

/* Runs the load and judges it; the engine stays open for a look inside. */
static void run(void)
{
	struct bench_verdict verdict;
	assert_int_equal(bench_engine_open(&engine, &options, &net.base, &stop), 0);
	assert_int_equal(bench_engine_run(&engine), 0);
	bench_ledger_check(&engine.ledger, &verdict);
	bench_result_of(&result, &options, &engine, &net.base, &verdict);
}

static void assert_good(void)
{
	if (!result.kept || !result.answered_all)
		bench_print_text(&result, stderr);
	assert_true(result.kept);
	assert_true(result.answered_all);
	assert_int_equal(result.verdict.unchecked_assets, 0);
	assert_int_equal(engine.counters.acked, result.verdict.updates);
	assert_int_equal(engine.counters.acked + engine.counters.reads, options.updates);
	assert_int_equal(engine.latency.all_intended->total, options.updates);
	assert_int_equal(engine.latency.all_actual->total, options.updates);
	assert_int_equal(engine.counters.bad_answers, 0);
	/* Each update once, and nothing else: the node's versions say so. */
	uint64_t applied = 0;
	for (uint32_t i = 0; i < FAKE_ASSETS; i++)
		applied += net.node.assets[i].version;
	assert_int_equal(applied, engine.counters.acked);
}

static void run_when_network_is_good_then_every_update_counts_once(void **state)
{
	prepare(FAKE_HONEST, 0);
	run();
	assert_good();
	assert_int_equal(engine.counters.retried, 0);
	assert_int_equal(engine.session_count, 1);
	bench_engine_close(&engine);
}

static void run_when_more_is_outstanding_than_a_window_then_takes_more_sessions(void **state)
{
	prepare(FAKE_HONEST, 0);
	options.outstanding = 200;
	options.batch = 7;
	options.read_percent = 30;
	run();
	assert_good();
	assert_int_equal(engine.session_count, 4);
	assert_true(engine.counters.reads > options.updates / 5);
	assert_true(engine.counters.reads < options.updates / 2);
	bench_engine_close(&engine);
}

static void run_when_network_is_bad_then_every_update_counts_once(void **state)
{
	prepare(FAKE_HONEST, 0);
	net.loss_percent = 10;
	net.double_percent = 10;
	net.reorder_percent = 30;
	options.read_percent = 20;
	options.batch = 3;
	run();
	assert_good();
	assert_true(engine.counters.retried > 0);
	assert_true(engine.counters.duplicates > 0);
	bench_engine_close(&engine);
}

static void run_when_primary_changes_then_follows_with_and_without_hints(void **state)
{
	for (int hints = 0; hints <= 1; hints++) {
		prepare(FAKE_HONEST, 0);
		net.takeover_every = 500;
		net.silent_datagrams = 40;
		net.loss_percent = 1;
		net.hints = hints;
		options.read_percent = 10;
		run();
		assert_good();
		assert_true(engine.counters.target_changes >= 4);
		assert_true(engine.counters.not_primary > 0);
		bench_engine_close(&engine);
	}
}

static void run_when_rate_is_given_then_keeps_it(void **state)
{
	prepare(FAKE_HONEST, 0);
	options.rate = 20000;
	options.outstanding = 0;
	options.batch = 2;
	run();
	assert_good();
	/* Never faster than asked for; slower only when this machine is busy elsewhere. */
	assert_true(result.rate <= 20000 * 1.0001);
	assert_true(result.seconds >= 0.1499);
	assert_true(
		sf_histogram_percentile(engine.latency.all_intended, 50) >=
		sf_histogram_percentile(engine.latency.all_actual, 50)
	);
	bench_engine_close(&engine);
}

/* The plan goes on during a stall, and the latency counts from the plan. */
static void run_when_node_stalls_then_the_stall_is_in_the_intended_latency(void **state)
{
	prepare(FAKE_HONEST, 0);
	options.rate = 20000;
	options.outstanding = 0;
	options.clients = 1;
	options.updates = 2000;
	net.takeover_every = 400;
	net.silent_datagrams = 200; /* more than the window: ends by probes and retries */
	run();
	assert_true(result.kept && result.answered_all);
	assert_true(engine.longest_gap_ns >= options.timeout_ns);
	/* Requests that were due in the gap, but did not fit into the window, waited as well. */
	assert_true(engine.latency.all_intended->max >= engine.longest_gap_ns / 2);
	assert_true(
		sf_histogram_mean(engine.latency.all_intended) >
		sf_histogram_mean(engine.latency.all_actual)
	);
	bench_engine_close(&engine);
}

static void run_when_sessions_are_forgotten_then_outcomes_are_unknown_not_broken(void **state)
{
	prepare(FAKE_FORGETS, 700);
	net.loss_percent = 20; /* some answers are lost, and then their sessions are */
	run();
	assert_true(net.node.sins >= 2);
	assert_true(result.kept);
	assert_true(engine.counters.unanswered > 0);
	assert_int_equal(engine.counters.unanswered, result.verdict.unknown);
	assert_int_equal(engine.counters.acked + engine.counters.unanswered, engine.counters.sent);
	assert_false(result.answered_all);
	assert_int_equal(result.verdict.unchecked_assets, 0);
	assert_true(engine.counters.sessions_opened > 1);
	bench_engine_close(&engine);
}

static void run_when_nobody_answers_then_times_out(void **state)
{
	prepare(FAKE_HONEST, 0);
	net.loss_percent = 100;
	options.drain_ns = 30000000;
	assert_int_equal(bench_engine_open(&engine, &options, &net.base, &stop), 0);
	assert_int_equal(bench_engine_run(&engine), -ETIMEDOUT);
	bench_engine_close(&engine);
}

/* Canaries: one broken promise each. */

static void run_when_node_loses_an_update_then_says_so(void **state)
{
	prepare(FAKE_LOSES, 1999);
	run();
	assert_int_equal(net.node.sins, 1);
	assert_false(result.kept);
	assert_true(result.verdict.lost_after_ack > 0);
	bench_engine_close(&engine);
}

static void run_when_node_applies_twice_then_says_so(void **state)
{
	prepare(FAKE_DOUBLES, 1999);
	run();
	assert_int_equal(net.node.sins, 1);
	assert_false(result.kept);
	assert_int_equal(result.verdict.applied_twice, 1);
	bench_engine_close(&engine);
}

static void run_when_node_answers_a_wrong_value_then_says_so(void **state)
{
	prepare(FAKE_LIES, 1999);
	run();
	assert_int_equal(net.node.sins, 1);
	assert_false(result.kept);
	assert_true(result.verdict.wrong_values > 0);
	bench_engine_close(&engine);
}

static void run_when_node_applies_a_repeat_again_then_says_so(void **state)
{
	prepare(FAKE_APPLIES_REPEAT, 20);
	net.loss_percent = 5;
	net.double_percent = 5;
	run();
	assert_true(net.node.sins > 0);
	assert_false(result.kept);
	assert_true(result.verdict.applied_twice > 0);
	assert_true(engine.counters.differing_repeats > 0);
	bench_engine_close(&engine);
}

static void run_when_node_reads_old_state_then_says_so(void **state)
{
	prepare(FAKE_READS_OLD, 400);
	options.read_percent = 50;
	options.outstanding = 1;
	run();
	assert_true(net.node.sins > 0);
	assert_false(result.kept);
	assert_true(engine.counters.stale_reads > 0);
	bench_engine_close(&engine);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(run_when_network_is_good_then_every_update_counts_once),
		cmocka_unit_test(run_when_more_is_outstanding_than_a_window_then_takes_more_sessions
		),
		cmocka_unit_test(run_when_network_is_bad_then_every_update_counts_once),
		cmocka_unit_test(run_when_primary_changes_then_follows_with_and_without_hints),
		cmocka_unit_test(run_when_rate_is_given_then_keeps_it),
		cmocka_unit_test(run_when_node_stalls_then_the_stall_is_in_the_intended_latency),
		cmocka_unit_test(
			run_when_sessions_are_forgotten_then_outcomes_are_unknown_not_broken
		),
		cmocka_unit_test(run_when_nobody_answers_then_times_out),
		cmocka_unit_test(run_when_node_loses_an_update_then_says_so),
		cmocka_unit_test(run_when_node_applies_twice_then_says_so),
		cmocka_unit_test(run_when_node_answers_a_wrong_value_then_says_so),
		cmocka_unit_test(run_when_node_applies_a_repeat_again_then_says_so),
		cmocka_unit_test(run_when_node_reads_old_state_then_says_so),
	};
	return cmocka_run_group_tests(tests, NULL, NULL) != 0;
}
