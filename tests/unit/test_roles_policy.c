/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What each policy leaves to whom (roles.md, section 4): who goes on when the other is lost, where
 * the right to change the pair record lies, hand-over.
 */
#include "tests/unit/roles_world.h"
#include "tests/unit/unit.h"

static struct world *new_pair(enum rep_policy policy)
{
	struct world *world = world_new(policy, REP_ACK_DURABLE);
	world_pair_up(world);
	return world;
}

/* What becomes of a node that loses the other, for whatever reason. */
static void expect_after_loss(enum rep_policy policy, bool a_serves, bool b_serves)
{
	static const bool dies[3][2] = {{true, false}, {false, true}, {false, false}};
	for (int i = 0; i < 3; i++) {
		struct world *world = new_pair(policy);
		world->forks = policy == REP_POLICY_SPLIT_ALLOWED;
		world_submit(world, WORLD_A, 4);
		world_run(world, 3 * MS);
		world_cut(world, true, true);
		for (int who = 0; who < 2; who++) {
			if (dies[i][who])
				world_crash(world, who);
		}
		world_run(world, 100 * MS);
		/* With both alive the arbiter decides for one: for the primary. */
		bool b_loses = policy == REP_POLICY_ARBITER && !dies[i][WORLD_A];
		if (!dies[i][WORLD_A])
			assert_int_equal(
				world_core(world, WORLD_A)->mode,
				a_serves ? REP_MODE_ALONE : REP_MODE_BLOCKED
			);
		if (!dies[i][WORLD_B] && !b_loses)
			assert_int_equal(
				world_core(world, WORLD_B)->mode,
				b_serves ? REP_MODE_ALONE : REP_MODE_STANDBY
			);
		if (!dies[i][WORLD_B] && b_loses)
			assert_int_equal(world_core(world, WORLD_B)->mode, REP_MODE_WAITING);
		if (!dies[i][WORLD_A] && !a_serves)
			assert_int_equal(world_core(world, WORLD_A)->reason, REP_REASON_NO_RIGHT);

		/* Whatever was lost comes back: one of them serves, the other follows, nothing of
		 * what was committed is gone. */
		world_cut(world, false, false);
		for (int who = 0; who < 2; who++) {
			if (dies[i][who])
				world_start(world, who);
		}
		world_run(world, 300 * MS);
		bool a = world_core(world, WORLD_A)->mode == REP_MODE_PAIRED;
		int winner = a ? WORLD_A : WORLD_B;
		world_expect(world, winner, REP_MODE_PAIRED, REP_REASON_NONE);
		world_expect(world, !winner, REP_MODE_STANDBY, REP_REASON_NONE);
		assert_int_equal(world_core(world, winner)->committed, 4);
		world_free(world);
	}
}

/* Maintenance: nobody takes or leaves a role by itself; the operator's words still count. */
static void peer_when_lost_on_hold_then_nothing_changes_until_released(void **state)
{
	(void)state;
	for (int dies = 0; dies < 2; dies++) {
		struct world *world = new_pair(REP_POLICY_ARBITER);
		uint32_t epoch = world_core(world, WORLD_A)->pair.epoch;
		world_order(world, WORLD_A, REP_OPERATION_HOLD);
		world_order(world, WORLD_B, REP_OPERATION_HOLD);
		world_submit(world, WORLD_A, 4);
		world_run(world, 10 * MS);
		world_crash(world, dies);
		world_run(world, 200 * MS);
		const struct rep_core *left = world_core(world, !dies);
		assert_int_equal(left->mode, dies == WORLD_A ? REP_MODE_STANDBY : REP_MODE_BLOCKED);
		assert_int_equal(left->reason, REP_REASON_HELD);
		assert_int_equal(left->pair.epoch, epoch);
		world_order(world, !dies, REP_OPERATION_RELEASE);
		world_run(world, 200 * MS);
		world_expect(world, !dies, REP_MODE_ALONE, REP_REASON_NONE);
		world_free(world);
	}
}

static void role_when_handed_over_on_hold_then_it_changes(void **state)
{
	(void)state;
	struct world *world = new_pair(REP_POLICY_ARBITER);
	world_order(world, WORLD_A, REP_OPERATION_HOLD);
	world_order(world, WORLD_B, REP_OPERATION_HOLD);
	world_run(world, 10 * MS);
	world_order(world, WORLD_A, REP_OPERATION_SWITCHOVER);
	world_run(world, 200 * MS);
	world_expect(world, WORLD_B, REP_MODE_ALONE, REP_REASON_NONE);
	/* It is counted in again when maintenance is over. */
	world_order(world, WORLD_B, REP_OPERATION_RELEASE);
	world_run(world, 200 * MS);
	world_expect(world, WORLD_B, REP_MODE_PAIRED, REP_REASON_NONE);
	world_free(world);
}

static void peer_when_lost_then_the_policy_says_who_goes_on(void **state)
{
	expect_after_loss(REP_POLICY_ARBITER, true, true);
	expect_after_loss(REP_POLICY_PRIMARY_CONTINUES, true, false);
	expect_after_loss(REP_POLICY_STANDBY_TAKES_OVER, false, true);
	expect_after_loss(REP_POLICY_SPLIT_ALLOWED, true, true);
}

static void split_when_over_then_the_higher_epoch_stays_and_the_other_is_counted(void **state)
{
	struct world *world = new_pair(REP_POLICY_SPLIT_ALLOWED);
	world->forks = true;
	world_submit(world, WORLD_A, 4);
	world_run(world, 3 * MS);
	world_cut(world, true, true);
	world_run(world, 50 * MS);
	world_submit(world, WORLD_A, 2);
	world_submit(world, WORLD_B, 3);
	world_run(world, 5 * MS);
	assert_int_equal(world_core(world, WORLD_A)->committed, 6);
	assert_int_equal(world_core(world, WORLD_B)->committed, 7);
	bool a = world_core(world, WORLD_A)->epoch > world_core(world, WORLD_B)->epoch;
	world_cut(world, false, false);
	world_run(world, 100 * MS);
	int winner = a ? WORLD_A : WORLD_B;
	world_expect(world, winner, REP_MODE_PAIRED, REP_REASON_NONE);
	world_expect(world, !winner, REP_MODE_STANDBY, REP_REASON_NONE);
	assert_int_equal(world_core(world, winner)->stats.entries_forked, 0);
	assert_int_equal(world_core(world, !winner)->stats.entries_forked, a ? 3 : 2);
	assert_int_equal(world_core(world, !winner)->last_sequence, a ? 6 : 7);
	world_free(world);
}

static void
expect_holder(enum rep_policy policy, uint8_t paired_a, uint8_t alone_b, uint8_t paired_b)
{
	struct world *world = new_pair(policy);
	assert_int_equal(world_core(world, WORLD_A)->pair.holder, paired_a);
	assert_int_equal(world->nodes[WORLD_B].disk.pair.holder, paired_a);
	/* By hand-over, and alone for as long as A cannot follow. */
	world_order(world, WORLD_A, REP_OPERATION_SWITCHOVER);
	world_run_until(world, WORLD_B, REP_MODE_ALONE);
	assert_int_equal(world_core(world, WORLD_B)->pair.holder, alone_b);
	world_run_until(world, WORLD_B, REP_MODE_PAIRED);
	world_run_until(world, WORLD_A, REP_MODE_STANDBY);
	assert_int_equal(world_core(world, WORLD_B)->pair.holder, paired_b);
	assert_int_equal(world->nodes[WORLD_A].disk.pair.holder, paired_b);
	assert_int_equal(world->nodes[WORLD_B].disk.pair.holder, paired_b);
	world_free(world);
}

static void holder_when_admitted_and_handed_over_then_as_the_policy_says(void **state)
{
	expect_holder(
		REP_POLICY_ARBITER, REP_HOLDER_ARBITER, REP_HOLDER_ARBITER, REP_HOLDER_ARBITER
	);
	expect_holder(REP_POLICY_PRIMARY_CONTINUES, WORLD_A, WORLD_B, WORLD_B);
	expect_holder(REP_POLICY_STANDBY_TAKES_OVER, WORLD_B, WORLD_B, WORLD_A);
}

/* Each write that gives the right away settles, and nothing else but what stands in for it: the
 * writes of an admission. */
static void expect_settled(struct world *world, uint32_t *given)
{
	bool arbiter = world->nodes[WORLD_A].config.policy == REP_POLICY_ARBITER;
	for (int who = 0; who < 2; who++) {
		const struct world_node *node = &world->nodes[who];
		uint8_t held = REP_HOLDER_ARBITER;
		assert_true(node->write_count <= WORLD_MAX_WRITES);
		for (uint32_t i = 0; i < node->write_count; i++) {
			const struct world_write *write = &node->writes[i];
			bool gives = held == who && write->record.pair.holder == !who;
			bool admits = write->record.pair.in_sync == 3 &&
				      write->record.pair.primary == who &&
				      write->mode == REP_MODE_BLOCKED;
			if (gives)
				assert_true(write->settles);
			if (write->settles)
				assert_true(gives || admits);
			if (arbiter)
				assert_false(write->settles);
			*given += gives;
			held = write->record.pair.holder;
		}
	}
}

static void right_when_given_then_the_write_settles_and_no_other(void **state)
{
	static const uint32_t expected[] = {
		[REP_POLICY_ARBITER] = 0,
		/* By the hand-over; by each admission, and by the standby that came back. */
		[REP_POLICY_PRIMARY_CONTINUES] = 1,
		[REP_POLICY_STANDBY_TAKES_OVER] = 4,
	};
	for (int policy = REP_POLICY_ARBITER; policy <= REP_POLICY_STANDBY_TAKES_OVER; policy++) {
		struct world *world = world_new((enum rep_policy)policy, REP_ACK_RECEIVED);
		uint32_t given = 0;
		world_pair_up(world);
		world_crash(world, WORLD_B);
		world_run(world, 30 * MS);
		world_start(world, WORLD_B); /* amnesiac: in N2 it gives back what it cannot use */
		world_run_until(world, WORLD_A, REP_MODE_PAIRED);
		world_run_until(world, WORLD_B, REP_MODE_STANDBY);
		world_order(world, WORLD_A, REP_OPERATION_SWITCHOVER);
		world_run_until(world, WORLD_B, REP_MODE_PAIRED);
		world_run_until(world, WORLD_A, REP_MODE_STANDBY);
		expect_settled(world, &given);
		assert_int_equal(given, expected[policy]);
		assert_false(rep_core_settles(world_core(world, WORLD_A)));
		assert_false(rep_core_settles(world_core(world, WORLD_B)));
		world_free(world);
	}
}

static void
hand_over_when_the_standby_is_slow_to_take_it_then_the_primary_does_not_compete(void **state)
{
	static const enum rep_policy with[] = {REP_POLICY_ARBITER, REP_POLICY_SPLIT_ALLOWED};
	for (int i = 0; i < 2; i++) {
		struct world *world = new_pair(with[i]);
		world_submit(world, WORLD_A, 4);
		world->nodes[WORLD_B].slow_record = true;
		world->on_exchange = ARBITER_HOLDS;
		world_order(world, WORLD_A, REP_OPERATION_SWITCHOVER);
		world_run_until(world, WORLD_B, REP_MODE_CANDIDATE);
		world_run(world, 15 * MS);
		world_expect(world, WORLD_A, REP_MODE_BLOCKED, REP_REASON_HANDING_OVER);
		assert_int_equal(world_asked(world, WORLD_A, true, 0), 0);
		world->on_exchange = ARBITER_ANSWERS;
		world->nodes[WORLD_B].slow_record = false;
		world_record_done(world, WORLD_B);
		world_run_until(world, WORLD_B, REP_MODE_PAIRED);
		world_run_until(world, WORLD_A, REP_MODE_STANDBY);
		assert_int_equal(world_core(world, WORLD_A)->stats.entries_cut, 0);
		world_free(world);
	}
}

static void hand_over_when_the_standby_is_gone_then_the_primary_goes_on(void **state)
{
	static const enum rep_policy with[] = {REP_POLICY_ARBITER, REP_POLICY_SPLIT_ALLOWED};
	for (int i = 0; i < 2; i++) {
		struct world *world = new_pair(with[i]);
		world_submit(world, WORLD_A, 4);
		world_run(world, 3 * MS);
		world_order(world, WORLD_A, REP_OPERATION_SWITCHOVER);
		world_cut(world, false, true);
		world_run_until(world, WORLD_A, REP_MODE_BLOCKED);
		world_crash(world, WORLD_B);
		world_run_until(world, WORLD_A, REP_MODE_ALONE);
		assert_int_equal(world_core(world, WORLD_A)->committed, 4);
		assert_false(world_core(world, WORLD_A)->handing_over);
		world_free(world);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(peer_when_lost_on_hold_then_nothing_changes_until_released),
		cmocka_unit_test(role_when_handed_over_on_hold_then_it_changes),
		cmocka_unit_test(peer_when_lost_then_the_policy_says_who_goes_on),
		cmocka_unit_test(
			split_when_over_then_the_higher_epoch_stays_and_the_other_is_counted
		),
		cmocka_unit_test(holder_when_admitted_and_handed_over_then_as_the_policy_says),
		cmocka_unit_test(right_when_given_then_the_write_settles_and_no_other),
		cmocka_unit_test(
			hand_over_when_the_standby_is_slow_to_take_it_then_the_primary_does_not_compete
		),
		cmocka_unit_test(hand_over_when_the_standby_is_gone_then_the_primary_goes_on),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
