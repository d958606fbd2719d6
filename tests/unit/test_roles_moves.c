/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Moves of the pair record: what the arbiter says and when it is believed, and in which order
 * a move becomes durable.
 */
#include "tests/unit/roles_world.h"
#include "tests/unit/unit.h"

#include <string.h>

static struct world *new_pair(enum rep_policy policy)
{
	struct world *world = world_new(policy, REP_ACK_DURABLE);
	world_pair_up(world);
	return world;
}

static bool same_move(const struct rep_ask *a, const struct rep_ask *b)
{
	return memcmp(&a->from, &b->from, sizeof(a->from)) == 0 &&
	       memcmp(&a->to, &b->to, sizeof(a->to)) == 0;
}

/* The n-th exchange that this node asked for. */
static const struct rep_ask *exchange_of(const struct world *world, int who, uint32_t n)
{
	for (uint32_t i = 0; i < world->asked_count; i++) {
		const struct rep_ask *ask = &world->asked[i].ask;
		if (world->asked[i].who == who && ask->exchange && n-- == 0)
			return ask;
	}
	fail_msg("no such question");
	return NULL;
}

/* --- The arbiter forgets --- */

static void arbiter_when_it_says_less_than_before_then_it_is_not_believed_until_forced(void **state)
{
	struct world *world = new_pair(REP_POLICY_ARBITER);
	struct rep_core *a = world_core(world, WORLD_A);
	struct rep_pair older = {.epoch = 2, .primary = WORLD_A, .in_sync = 1};
	older.holder = REP_HOLDER_ARBITER;
	world->record = older;

	/* A standby that wants to leave makes the primary look. */
	world_order(world, WORLD_B, REP_OPERATION_LEAVE);
	world_run(world, 20 * MS);
	assert_true(a->stats.arbiter_went_back > 0);
	assert_true(a->arbiter_back);
	world_submit(world, WORLD_A, 5);
	world_run(world, 3 * MS);
	world_expect(world, WORLD_A, REP_MODE_PAIRED, REP_REASON_NONE);
	assert_int_equal(a->committed, 5);
	assert_int_equal(a->pair.epoch, 4);

	/* Without the standby it cannot go on. */
	world_crash(world, WORLD_B);
	world_run(world, 50 * MS);
	assert_int_equal(a->mode, REP_MODE_BLOCKED);
	assert_int_equal(world_asked(world, WORLD_A, true, 0), 0);
	world_crash(world, WORLD_A);
	world_start(world, WORLD_A);
	world_run(world, 50 * MS);
	world_expect(world, WORLD_A, REP_MODE_WAITING, REP_REASON_ARBITER_BACK);
	assert_memory_equal(&world->record, &older, sizeof(older));

	/* The operator's word replaces what stands there, far beyond all that was known. */
	world_order(world, WORLD_A, REP_OPERATION_FORCE);
	world_run_until(world, WORLD_A, REP_MODE_ALONE);
	assert_int_equal(world->record.epoch, a->epoch);
	assert_true(a->epoch > 0x10000);
	assert_int_equal(a->committed, 5);
	assert_false(a->arbiter_back);
	world_start(world, WORLD_B);
	world_run_until(world, WORLD_B, REP_MODE_STANDBY);
	world_free(world);
}

static void arbiter_when_it_says_less_and_the_pair_is_forced_then_serving_goes_on(void **state)
{
	struct world *world = new_pair(REP_POLICY_ARBITER);
	struct rep_core *a = world_core(world, WORLD_A);
	world_submit(world, WORLD_A, 5);
	world_order(world, WORLD_A, REP_OPERATION_FORCE);
	world_run(world, 20 * MS);
	/* Whoever serves by a record that is there is not forced. */
	world_expect(world, WORLD_A, REP_MODE_PAIRED, REP_REASON_NONE);
	assert_int_equal(a->stats.step_downs, 0);

	world->record = (struct rep_pair){0}; /* the arbiter is blank */
	world_order(world, WORLD_B, REP_OPERATION_LEAVE);
	world_run(world, 20 * MS);
	world_expect(world, WORLD_A, REP_MODE_PAIRED, REP_REASON_NONE);
	world_order(world, WORLD_A, REP_OPERATION_FORCE);
	world_run_until(world, WORLD_A, REP_MODE_ALONE);
	assert_int_equal(a->stats.step_downs, 1);
	assert_int_equal(a->committed, 5);
	assert_int_equal(world->record.epoch, a->epoch);
	world_free(world);
}

static void arbiter_when_what_it_says_is_no_record_then_it_is_not_believed(void **state)
{
	static const struct rep_pair nonsense[] = {
		{.epoch = 8, .primary = 2, .in_sync = 7},
		{.epoch = 8, .primary = 0, .in_sync = 2},
		{.epoch = 8, .primary = 0, .in_sync = 7},
		{.epoch = 0, .primary = 0, .in_sync = 1},
	};
	for (int i = 0; i < 4; i++) {
		struct world *world = new_pair(REP_POLICY_ARBITER);
		world->record = nonsense[i];
		world_crash(world, WORLD_B);
		world_run(world, 50 * MS);
		assert_int_equal(world_core(world, WORLD_A)->mode, REP_MODE_BLOCKED);
		assert_true(world_core(world, WORLD_A)->stats.arbiter_went_back > 0);
		assert_int_equal(world_core(world, WORLD_A)->pair.epoch, 4);
		world_free(world);
	}
}

/* --- Answers that are late, or say nothing --- */

static void answer_when_it_is_late_then_it_is_ignored(void **state)
{
	struct world *world = new_pair(REP_POLICY_ARBITER);
	struct world_node *a = &world->nodes[WORLD_A];
	world->on_exchange = ARBITER_HOLDS;
	world_crash(world, WORLD_B);
	world_run_until(world, WORLD_A, REP_MODE_BLOCKED);
	while (world_asked(world, WORLD_A, true, 0) == 0)
		world_run(world, WORLD_TICK_NS);
	struct rep_ask first = *exchange_of(world, WORLD_A, 0);
	world->on_read = ARBITER_HOLDS;
	world_run(world, 20 * MS); /* it has been given up, and asked about */
	assert_true(a->core.ask.id > first.id);
	a->answer = (struct rep_answer){first.id, REP_ANSWER_WON, first.to};
	a->wake = true;
	world_run(world, 3 * MS);
	assert_int_equal(a->core.mode, REP_MODE_BLOCKED);
	assert_int_equal(a->core.move.phase, REP_PHASE_ISSUED);
	assert_int_equal(a->core.pair.epoch, 4);
	/* An answer to what is not asked at all. */
	a->answer = (struct rep_answer){first.id + 1000, REP_ANSWER_WON, first.to};
	a->wake = true;
	world_run(world, 3 * MS);
	assert_int_equal(a->core.move.phase, REP_PHASE_ISSUED);
	world->on_read = world->on_exchange = ARBITER_ANSWERS;
	world_run_until(world, WORLD_A, REP_MODE_ALONE);
	assert_true(same_move(exchange_of(world, WORLD_A, 1), &first));
	world_free(world);
}

static void outcome_when_unknown_then_read_and_the_same_again_until_it_is_known(void **state)
{
	static const enum world_arbiter how[] = {ARBITER_FAILS, ARBITER_HOLDS};
	for (int i = 0; i < 2; i++) {
		struct world *world = new_pair(REP_POLICY_ARBITER);
		struct rep_core *a = world_core(world, WORLD_A);
		world->on_exchange = how[i];
		world_crash(world, WORLD_B);
		world_run(world, 200 * MS);
		world_expect(world, WORLD_A, REP_MODE_BLOCKED, REP_REASON_GOING_ALONE);
		uint32_t exchanges = world_asked(world, WORLD_A, true, 0);
		assert_true(exchanges > 10);
		assert_true(a->stats.asks_unanswered >= exchanges - 1);
		for (uint32_t k = 1; k < exchanges; k++)
			assert_true(same_move(
				exchange_of(world, WORLD_A, 0), exchange_of(world, WORLD_A, k)
			));
		for (uint32_t k = 1; k < world->asked_count; k++) /* never twice without a look */
			assert_false(
				world->asked[k - 1].ask.exchange && world->asked[k].ask.exchange
			);
		world->on_exchange = ARBITER_ANSWERS;
		world_run_until(world, WORLD_A, REP_MODE_ALONE);
		assert_int_equal(a->epoch, exchange_of(world, WORLD_A, 0)->to.epoch);
		world_free(world);
	}
}

static void outcome_when_unknown_but_done_then_the_own_value_is_recognised(void **state)
{
	struct world *world = new_pair(REP_POLICY_ARBITER);
	world->on_exchange = ARBITER_DOES_ONLY;
	world_crash(world, WORLD_B);
	world_run_until(world, WORLD_A, REP_MODE_ALONE);
	assert_int_equal(world_asked(world, WORLD_A, true, 0), 1);
	assert_int_equal(world_core(world, WORLD_A)->stats.moves, 3); /* bootstrap, admit, this */
	world_free(world);
}

static void outcome_when_unknown_and_the_record_is_anothers_then_deposed(void **state)
{
	struct world *world = new_pair(REP_POLICY_ARBITER);
	world->on_exchange = ARBITER_FAILS;
	world_cut(world, true, true);
	world_run(world, 12 * MS);
	world_expect(world, WORLD_A, REP_MODE_BLOCKED, REP_REASON_GOING_ALONE);
	world->record = (struct rep_pair){.epoch = 5, .primary = WORLD_B, .in_sync = 2};
	world_run(world, 50 * MS);
	world_expect(world, WORLD_A, REP_MODE_WAITING, REP_REASON_WAIT_PRIMARY);
	assert_true(world->nodes[WORLD_A].disk.amnesiac);
	assert_int_equal(world->nodes[WORLD_A].disk.mode, REP_RECORD_LEARNER);
	assert_true(world->nodes[WORLD_A].answers_dropped > 0);
	/* Whoever it names was not asked by it, and takes what both hold before it serves. */
	world_expect(world, WORLD_B, REP_MODE_WAITING, REP_REASON_WAIT_PEER);
	world->on_exchange = ARBITER_ANSWERS;
	world_cut(world, false, false);
	world_run_until(world, WORLD_B, REP_MODE_PAIRED);
	world_free(world);
}

/* --- R20 --- */

static void
standby_when_back_while_going_alone_then_paired_goes_on_until_the_move_is_learned(void **state)
{
	struct world *world = new_pair(REP_POLICY_ARBITER);
	struct world_node *a = &world->nodes[WORLD_A];
	world->on_exchange = ARBITER_HOLDS;
	world_cut(world, true, false); /* so that the standby suspects nobody yet */
	world_run_until(world, WORLD_A, REP_MODE_BLOCKED);
	world_run(world, MS / 2);
	world_expect(world, WORLD_A, REP_MODE_BLOCKED, REP_REASON_GOING_ALONE);
	world_cut(world, false, false);
	world_run_until(world, WORLD_A, REP_MODE_PAIRED);
	assert_int_equal(a->core.move.phase, REP_PHASE_ISSUED);
	world_submit(world, WORLD_A, 3);
	world_run(world, 3 * MS);
	world_expect(world, WORLD_A, REP_MODE_PAIRED, REP_REASON_NONE);
	assert_int_equal(a->core.committed, 3);
	assert_int_equal(world_core(world, WORLD_B)->last_sequence, 3);

	/* It goes on asking, and one day finds that the move took place. */
	world->on_exchange = ARBITER_DOES_ONLY;
	a->slow_record = true;
	world_run_until(world, WORLD_A, REP_MODE_BLOCKED);
	world_expect(world, WORLD_A, REP_MODE_BLOCKED, REP_REASON_BARRIER);
	assert_int_equal(world->record.in_sync, 1);
	world_run(world, 10 * MS);
	world_expect(world, WORLD_A, REP_MODE_BLOCKED, REP_REASON_BARRIER);
	world->on_exchange = ARBITER_ANSWERS;
	world_record_done(world, WORLD_A);
	a->slow_record = false;
	world_run_until(world, WORLD_A, REP_MODE_ALONE);
	assert_int_equal(a->core.epoch, 6);
	world_run_until(world, WORLD_A, REP_MODE_PAIRED);
	world_run_until(world, WORLD_B, REP_MODE_STANDBY);
	assert_int_equal(a->core.committed, 3);
	world_free(world);
}

static void standby_when_back_in_another_life_while_going_alone_then_blocked(void **state)
{
	struct world *world = new_pair(REP_POLICY_ARBITER);
	world->on_exchange = ARBITER_HOLDS;
	world_crash(world, WORLD_B);
	world_run(world, 20 * MS);
	world_expect(world, WORLD_A, REP_MODE_BLOCKED, REP_REASON_GOING_ALONE);
	world_start(world, WORLD_B);
	world_run(world, 50 * MS);
	world_expect(world, WORLD_A, REP_MODE_BLOCKED, REP_REASON_GOING_ALONE);
	world->on_exchange = ARBITER_ANSWERS;
	world_run_until(world, WORLD_A, REP_MODE_PAIRED);
	assert_int_equal(world->record.epoch, 8); /* alone, then admitted */
	world_free(world);
}

static void exchange_when_nothing_was_read_then_it_is_not_asked_for(void **state)
{
	for (int lost = 0; lost < 2; lost++) {
		struct world *world = new_pair(REP_POLICY_ARBITER);
		int who = !lost;
		world->on_read = ARBITER_HOLDS;
		world_crash(world, lost);
		world_run(world, 100 * MS);
		assert_true(world_asked(world, who, false, 0) > 3);
		assert_int_equal(world_asked(world, who, true, 0), 0);
		world->on_read = ARBITER_FAILS;
		world_run(world, 100 * MS);
		assert_int_equal(world_asked(world, who, true, 0), 0);
		world_expect(
			world,
			who,
			who == WORLD_A ? REP_MODE_BLOCKED : REP_MODE_STANDBY,
			REP_REASON_PEER_SILENT
		);
		world->on_read = ARBITER_ANSWERS;
		world_run_until(world, who, REP_MODE_ALONE);
		world_free(world);
	}
}

static void exchange_when_the_answer_took_too_long_then_it_is_read_again(void **state)
{
	struct world *world = world_new(REP_POLICY_ARBITER, REP_ACK_DURABLE);
	world->nodes[WORLD_A].config.ask_timeout_ns = 100 * MS;
	world_pair_up(world);
	world->on_read = ARBITER_HOLDS;
	world_crash(world, WORLD_B);
	while (world->asked_count == 0)
		world_run(world, WORLD_TICK_NS);
	world_run(world, 20 * MS); /* fresh is what is younger */
	world_arbiter_release(world, WORLD_A, true);
	world_run(world, 5 * MS);
	assert_int_equal(world_asked(world, WORLD_A, true, 0), 0);
	assert_int_equal(world_asked(world, WORLD_A, false, 0), 2);
	world_arbiter_release(world, WORLD_A, true);
	world_run(world, MS);
	assert_int_equal(world_asked(world, WORLD_A, true, 0), 1);
	world_expect(world, WORLD_A, REP_MODE_ALONE, REP_REASON_NONE);
	world_free(world);
}

static void
exchange_when_the_question_is_older_than_the_suspicion_then_it_is_read_again(void **state)
{
	struct world *world = world_new(REP_POLICY_ARBITER, REP_ACK_DURABLE);
	world->nodes[WORLD_A].config.ask_timeout_ns = 1000 * MS;
	world->nodes[WORLD_A].config.record_fresh_ns = 1000 * MS;
	world_pair_up(world);
	world->on_read = ARBITER_HOLDS;
	world_cut(world, true, false);
	world_run_until(world, WORLD_A, REP_MODE_BLOCKED);
	world_run(world, MS);
	assert_int_equal(world_asked(world, WORLD_A, false, 0), 1);
	world_cut(world, false, false);
	world_run_until(world, WORLD_A, REP_MODE_PAIRED);
	world_cut(world, true, false);
	world_run_until(world, WORLD_A, REP_MODE_BLOCKED);
	world_arbiter_release(world, WORLD_A, true); /* of the first suspicion */
	world_run(world, 3 * MS);
	assert_int_equal(world_asked(world, WORLD_A, true, 0), 0);
	assert_int_equal(world_asked(world, WORLD_A, false, 0), 2);
	world_arbiter_release(world, WORLD_A, true);
	world_run(world, MS);
	assert_int_equal(world_asked(world, WORLD_A, true, 0), 1);
	world_free(world);
}

/* --- The barrier --- */

/* `who` is left with entries that its disk does not hold yet, and a disk that waits for the test.
 */
static struct world *new_barrier(enum rep_policy policy, int who)
{
	struct world *world = world_new(policy, REP_ACK_RECEIVED);
	world_pair_up(world);
	world->nodes[who].slow_log = true;
	world_submit(world, WORLD_A, 3);
	world_run(world, 3 * MS);
	world_cut(world, true, true);
	world->nodes[who].slow_record = true;
	world_crash(world, !who);
	return world;
}

static void expect_barrier(struct world *world, int who)
{
	struct world_node *node = &world->nodes[who];
	uint64_t committed = node->core.committed;
	enum rep_mode waits = who == WORLD_A ? REP_MODE_BLOCKED : REP_MODE_CANDIDATE;
	world_run(world, 50 * MS);
	if (node->core.move.phase == REP_PHASE_ISSUED) { /* its own copy of the pair record */
		assert_int_not_equal(world_wrote(world, who)->record.mode, REP_RECORD_ALONE);
		assert_int_equal(
			world_wrote(world, who)->record.pair.epoch, node->core.move.to.epoch
		);
		world_record_done(world, who);
		world_run(world, 10 * MS);
	}
	/* The log first. */
	world_expect(world, who, waits, REP_REASON_BARRIER);
	assert_int_equal(node->core.move.phase, REP_PHASE_LOG);
	assert_int_not_equal(world_wrote(world, who)->record.mode, REP_RECORD_ALONE);
	assert_int_equal(rep_core_room(&node->core), 0);
	assert_false(rep_core_serves(&node->core));
	assert_int_equal(node->core.committed, committed);
	/* Then the role record, with all that the disk holds by now. */
	world_log_done(world, who);
	world_run(world, 10 * MS);
	world_expect(world, who, waits, REP_REASON_BARRIER);
	assert_int_equal(node->core.move.phase, REP_PHASE_RECORD);
	assert_int_equal(world_wrote(world, who)->record.mode, REP_RECORD_ALONE);
	assert_int_equal(world_wrote(world, who)->record.epoch, node->core.epoch);
	assert_false(world_wrote(world, who)->record.amnesiac);
	assert_int_equal(rep_core_room(&node->core), 0);
	assert_int_equal(node->core.committed, committed);
	/* Only then anybody is served. */
	world_record_done(world, who);
	world_run(world, MS);
	world_expect(world, who, REP_MODE_ALONE, REP_REASON_NONE);
	assert_int_equal(node->core.committed, 3);
	assert_true(rep_core_room(&node->core) > 0);
	world_free(world);
}

static void barrier_when_passed_then_log_before_record_before_service(void **state)
{
	expect_barrier(new_barrier(REP_POLICY_ARBITER, WORLD_A), WORLD_A);
	expect_barrier(new_barrier(REP_POLICY_ARBITER, WORLD_B), WORLD_B);
	expect_barrier(new_barrier(REP_POLICY_PRIMARY_CONTINUES, WORLD_A), WORLD_A);
	expect_barrier(new_barrier(REP_POLICY_STANDBY_TAKES_OVER, WORLD_B), WORLD_B);
	expect_barrier(new_barrier(REP_POLICY_SPLIT_ALLOWED, WORLD_A), WORLD_A);
	expect_barrier(new_barrier(REP_POLICY_SPLIT_ALLOWED, WORLD_B), WORLD_B);
}

static void admission_when_the_record_is_slow_then_nobody_counts_before_it_is_durable(void **state)
{
	struct world *world = world_new(REP_POLICY_ARBITER, REP_ACK_DURABLE);
	struct world_node *a = &world->nodes[WORLD_A], *b = &world->nodes[WORLD_B];
	world_start(world, WORLD_A);
	world_start(world, WORLD_B);
	world_run_until(world, WORLD_B, REP_MODE_LEARNER);
	world_submit(world, WORLD_A, 2);
	a->slow_record = b->slow_record = true;
	world_run(world, 15 * MS);
	world_expect(world, WORLD_A, REP_MODE_BLOCKED, REP_REASON_ADMITTING);
	assert_int_equal(world->record.in_sync, 3);
	assert_int_equal(b->core.mode, REP_MODE_LEARNER);
	world_record_done(world, WORLD_A);
	world_run(world, 5 * MS);
	world_expect(world, WORLD_A, REP_MODE_PAIRED, REP_REASON_NONE);
	world_submit(world, WORLD_A, 2);
	world_run(world, 3 * MS);
	assert_int_equal(b->core.mode, REP_MODE_LEARNER);
	assert_int_equal(a->core.committed, 2);
	assert_int_equal(world_wrote(world, WORLD_B)->record.mode, REP_RECORD_STANDBY);
	world_record_done(world, WORLD_B);
	world_run(world, 10 * MS);
	world_expect(world, WORLD_B, REP_MODE_STANDBY, REP_REASON_NONE);
	assert_int_equal(a->core.committed, 4);
	world_free(world);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			arbiter_when_it_says_less_than_before_then_it_is_not_believed_until_forced
		),
		cmocka_unit_test(
			arbiter_when_it_says_less_and_the_pair_is_forced_then_serving_goes_on
		),
		cmocka_unit_test(arbiter_when_what_it_says_is_no_record_then_it_is_not_believed),
		cmocka_unit_test(answer_when_it_is_late_then_it_is_ignored),
		cmocka_unit_test(outcome_when_unknown_then_read_and_the_same_again_until_it_is_known
		),
		cmocka_unit_test(outcome_when_unknown_but_done_then_the_own_value_is_recognised),
		cmocka_unit_test(outcome_when_unknown_and_the_record_is_anothers_then_deposed),
		cmocka_unit_test(
			standby_when_back_while_going_alone_then_paired_goes_on_until_the_move_is_learned
		),
		cmocka_unit_test(standby_when_back_in_another_life_while_going_alone_then_blocked),
		cmocka_unit_test(exchange_when_nothing_was_read_then_it_is_not_asked_for),
		cmocka_unit_test(exchange_when_the_answer_took_too_long_then_it_is_read_again),
		cmocka_unit_test(
			exchange_when_the_question_is_older_than_the_suspicion_then_it_is_read_again
		),
		cmocka_unit_test(barrier_when_passed_then_log_before_record_before_service),
		cmocka_unit_test(
			admission_when_the_record_is_slow_then_nobody_counts_before_it_is_durable
		),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
