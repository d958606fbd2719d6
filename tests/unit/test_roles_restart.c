/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What counts as committed (R2, R3), and who may go on after a restart (R7, R11).
 */
#include "tests/unit/roles_world.h"
#include "tests/unit/unit.h"

static struct world *new_pair(enum rep_policy policy, enum rep_ack ack)
{
	struct world *world = world_new(policy, ack);
	world_pair_up(world);
	return world;
}

/* --- R2, R3 --- */

static void entry_when_one_disk_does_not_hold_it_then_committed_as_the_setting_says(void **state)
{
	for (int slow = 0; slow < 2; slow++) {
		struct world *world = new_pair(REP_POLICY_ARBITER, REP_ACK_DURABLE);
		world->nodes[slow].slow_log = true;
		world_submit(world, WORLD_A, 3);
		world_run(world, 5 * MS);
		assert_int_equal(world_core(world, WORLD_A)->committed, 0);
		world_log_done(world, slow);
		world_run(world, 5 * MS);
		assert_int_equal(world_core(world, WORLD_A)->committed, 3);
		world_free(world);

		world = new_pair(REP_POLICY_ARBITER, REP_ACK_RECEIVED);
		world->nodes[slow].slow_log = true;
		world_submit(world, WORLD_A, 3);
		world_run(world, 5 * MS);
		assert_int_equal(world_core(world, WORLD_A)->committed, 3);
		world_free(world);
	}
}

static void entry_when_blocked_or_alone_then_committed_only_by_the_own_disk(void **state)
{
	struct world *world = new_pair(REP_POLICY_ARBITER, REP_ACK_RECEIVED);
	struct world_node *a = &world->nodes[WORLD_A];
	world->on_exchange = ARBITER_HOLDS;
	world_crash(world, WORLD_B);
	world_submit(world, WORLD_A, 3);
	world_run(world, 20 * MS);
	world_expect(world, WORLD_A, REP_MODE_BLOCKED, REP_REASON_GOING_ALONE);
	assert_int_equal(a->core.committed, 0);
	world->on_exchange = ARBITER_ANSWERS;
	world_run_until(world, WORLD_A, REP_MODE_ALONE);
	assert_int_equal(a->core.committed, 3);
	a->slow_log = true;
	world_submit(world, WORLD_A, 2);
	world_run(world, 5 * MS);
	assert_int_equal(a->core.committed, 3);
	world_log_done(world, WORLD_A);
	world_run(world, MS);
	assert_int_equal(a->core.committed, 5);
	world_free(world);
}

static void admission_when_its_outcome_is_unknown_then_nothing_is_served(void **state)
{
	struct world *world = world_new(REP_POLICY_ARBITER, REP_ACK_DURABLE);
	world_start(world, WORLD_A);
	world_run(world, 30 * MS);
	world_start(world, WORLD_B);
	world_run_until(world, WORLD_A, REP_MODE_ALONE);
	world->on_exchange = ARBITER_FAILS;
	world_run_until(world, WORLD_A, REP_MODE_BLOCKED);
	world_run(world, 200 * MS);
	world_expect(world, WORLD_A, REP_MODE_BLOCKED, REP_REASON_ADMITTING);
	world_crash(world, WORLD_B); /* nor is it given up for that */
	world_run(world, 100 * MS);
	world_expect(world, WORLD_A, REP_MODE_BLOCKED, REP_REASON_ADMITTING);
	world->on_exchange = ARBITER_ANSWERS;
	world_run_until(world, WORLD_A, REP_MODE_ALONE);
	assert_int_equal(world->record.epoch, 6); /* both, then alone */
	world_free(world);
}

/* --- R11 --- */

static void primary_when_it_was_alone_then_it_goes_on_in_a_new_epoch(void **state)
{
	static const enum rep_policy with[] = {
		REP_POLICY_ARBITER,
		REP_POLICY_PRIMARY_CONTINUES,
		REP_POLICY_STANDBY_TAKES_OVER,
		REP_POLICY_SPLIT_ALLOWED,
	};
	for (int i = 0; i < 4; i++) {
		struct world *world = world_new(with[i], REP_ACK_RECEIVED);
		world_start(world, WORLD_A);
		world_start(world, WORLD_B);
		world_run_until(world, WORLD_A, REP_MODE_ALONE);
		world_cut(world, true, true);
		world_crash(world, WORLD_B);
		world_submit(world, WORLD_A, 3);
		world_run(world, 5 * MS);
		uint32_t epoch = world_core(world, WORLD_A)->epoch;
		world_crash(world, WORLD_A);
		world_start(world, WORLD_A);
		world_run_until(world, WORLD_A, REP_MODE_ALONE);
		assert_int_equal(world_core(world, WORLD_A)->epoch, epoch + 2);
		assert_int_equal(world_core(world, WORLD_A)->committed, 3);
		world_free(world);
	}
}

static void pair_when_both_lost_memory_then_the_primary_takes_the_longer_log(void **state)
{
	for (int longer = 0; longer < 2; longer++) {
		struct world *world = new_pair(REP_POLICY_ARBITER, REP_ACK_RECEIVED);
		world->nodes[!longer].slow_log = true;
		world_submit(world, WORLD_A, 7);
		world_run(world, 5 * MS);
		assert_int_equal(world_core(world, WORLD_A)->committed, 7);
		world_crash(world, WORLD_A);
		world_crash(world, WORLD_B);
		world->nodes[!longer].slow_log = false;
		world_start(world, WORLD_A);
		world_run(world, 50 * MS);
		world_expect(world, WORLD_A, REP_MODE_WAITING, REP_REASON_WAIT_PEER);
		world_start(world, WORLD_B);
		world_run_until(world, WORLD_A, REP_MODE_PAIRED);
		world_run_until(world, WORLD_B, REP_MODE_STANDBY);
		assert_int_equal(world_core(world, WORLD_A)->committed, 7);
		assert_int_equal(
			world_core(world, WORLD_A)->stats.entries_merged, longer == WORLD_B ? 7 : 0
		);
		world_free(world);
	}
}

/* Its disk is gone, and with it all that the node was. */
static void wipe(struct world *world, int who)
{
	struct world_node *node = &world->nodes[who];
	world_crash(world, who);
	node->disk = (struct rep_record){.mode = REP_RECORD_BLANK, .amnesiac = true};
	node->written = node->durable = 0;
}

static void node_when_its_disk_is_lost_then_it_only_learns(void **state)
{
	struct world *world = new_pair(REP_POLICY_ARBITER, REP_ACK_DURABLE);
	world_submit(world, WORLD_A, 4);
	world_run(world, 5 * MS);
	world_crash(world, WORLD_B);
	world_run_until(world, WORLD_A, REP_MODE_ALONE);
	wipe(world, WORLD_A);
	world_start(world, WORLD_A);
	world_run(world, 100 * MS);
	/* The record names it; but what it acknowledged is gone. */
	world_expect(world, WORLD_A, REP_MODE_WAITING, REP_REASON_WAIT_PEER);
	world_start(world, WORLD_B);
	world_run(world, 100 * MS);
	assert_int_equal(world_core(world, WORLD_A)->mode, REP_MODE_WAITING);
	world_expect(world, WORLD_B, REP_MODE_WAITING, REP_REASON_WAIT_PRIMARY);
	/* The operator may: B serves with what it holds, and A learns. */
	world_order(world, WORLD_B, REP_OPERATION_FORCE);
	world_run_until(world, WORLD_A, REP_MODE_STANDBY);
	assert_int_equal(world_core(world, WORLD_B)->committed, 4);
	assert_int_equal(world_core(world, WORLD_A)->last_sequence, 4);
	world_free(world);
}

static void
primary_when_it_lost_memory_and_the_peer_its_disk_then_it_waits_for_the_operator(void **state)
{
	struct world *world = new_pair(REP_POLICY_ARBITER, REP_ACK_RECEIVED);
	world_submit(world, WORLD_A, 4);
	world_run(world, 5 * MS);
	world_crash(world, WORLD_A);
	wipe(world, WORLD_B);
	world_start(world, WORLD_A);
	world_start(world, WORLD_B);
	world_run(world, 100 * MS);
	world_expect(world, WORLD_A, REP_MODE_WAITING, REP_REASON_PEER_BLANK);
	world_order(world, WORLD_A, REP_OPERATION_FORCE);
	world_run_until(world, WORLD_A, REP_MODE_PAIRED);
	assert_int_equal(world_core(world, WORLD_A)->committed, 4);
	world_free(world);
}

static void right_when_given_and_not_heard_of_then_nobody_serves_until_it_is(void **state)
{
	struct world *world = new_pair(REP_POLICY_PRIMARY_CONTINUES, REP_ACK_DURABLE);
	world_submit(world, WORLD_A, 4);
	world_run(world, 5 * MS);
	world->nodes[WORLD_A].slow_record = true;
	world_order(world, WORLD_A, REP_OPERATION_SWITCHOVER);
	world_run_until(world, WORLD_A, REP_MODE_BLOCKED);
	world_cut(world, true, true);
	world->nodes[WORLD_A].slow_record = false;
	world_record_done(world, WORLD_A);
	world_run(world, 10 * MS);
	world_expect(world, WORLD_A, REP_MODE_BLOCKED, REP_REASON_HANDING_OVER);
	world_run(world, 100 * MS);
	world_expect(world, WORLD_A, REP_MODE_WAITING, REP_REASON_WAIT_PRIMARY);
	assert_int_equal(world_core(world, WORLD_B)->mode, REP_MODE_STANDBY);
	/* What a restart brings back is the same. */
	world_crash(world, WORLD_A);
	world_start(world, WORLD_A);
	world_run(world, 50 * MS);
	world_expect(world, WORLD_A, REP_MODE_WAITING, REP_REASON_WAIT_PRIMARY);
	world_cut(world, false, false);
	world_run_until(world, WORLD_B, REP_MODE_PAIRED);
	assert_int_equal(world_core(world, WORLD_B)->committed, 4);
	assert_int_equal(world_core(world, WORLD_B)->pair.holder, WORLD_B);
	world_free(world);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			entry_when_one_disk_does_not_hold_it_then_committed_as_the_setting_says
		),
		cmocka_unit_test(entry_when_blocked_or_alone_then_committed_only_by_the_own_disk),
		cmocka_unit_test(admission_when_its_outcome_is_unknown_then_nothing_is_served),
		cmocka_unit_test(primary_when_it_was_alone_then_it_goes_on_in_a_new_epoch),
		cmocka_unit_test(pair_when_both_lost_memory_then_the_primary_takes_the_longer_log),
		cmocka_unit_test(node_when_its_disk_is_lost_then_it_only_learns),
		cmocka_unit_test(
			primary_when_it_lost_memory_and_the_peer_its_disk_then_it_waits_for_the_operator
		),
		cmocka_unit_test(right_when_given_and_not_heard_of_then_nobody_serves_until_it_is),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
