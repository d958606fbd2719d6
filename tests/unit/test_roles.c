/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Roles: limits to moves, who may not take part, leaving in good order, room, words for all this.
 */
#include "tests/unit/roles_world.h"
#include "tests/unit/unit.h"

#include <string.h>

static const enum rep_policy policies[] = {
	REP_POLICY_ARBITER,
	REP_POLICY_PRIMARY_CONTINUES,
	REP_POLICY_STANDBY_TAKES_OVER,
	REP_POLICY_SPLIT_ALLOWED,
};

static struct world *new_pair(enum rep_policy policy, enum rep_ack ack)
{
	struct world *world = world_new(policy, ack);
	world_pair_up(world);
	return world;
}

/* B dies and comes back: one move for going alone, and one to admit it if that is allowed. */
static void lose_standby_once(struct world *world)
{
	world_crash(world, WORLD_B);
	world_run_until(world, WORLD_A, REP_MODE_ALONE);
	world_start(world, WORLD_B);
	world_run(world, 100 * MS);
}

/* --- R15 --- */

static void
moves_when_one_of_the_hour_is_left_then_no_admission_until_the_hour_has_passed(void **state)
{
	struct world *world = world_new(REP_POLICY_ARBITER, REP_ACK_DURABLE);
	world->nodes[WORLD_A].config.max_moves_per_hour = 5;
	world_pair_up(world); /* the first */
	lose_standby_once(world);
	world_expect(world, WORLD_A, REP_MODE_PAIRED, REP_REASON_NONE); /* three */
	lose_standby_once(world);					/* four */
	world_expect(world, WORLD_A, REP_MODE_ALONE, REP_REASON_FLAPPING);
	world_expect(world, WORLD_B, REP_MODE_LEARNER, REP_REASON_CATCHING_UP);
	uint64_t committed = world_core(world, WORLD_A)->committed;
	world_submit(world, WORLD_A, 3);
	world_run(world, 5 * MS);
	assert_int_equal(world_core(world, WORLD_A)->committed, committed + 3);
	assert_int_equal(world_core(world, WORLD_A)->stats.moves, 5); /* and the bootstrap */

	world_stand_still(world, HOUR - 1000 * MS);
	world_run(world, 100 * MS);
	world_expect(world, WORLD_A, REP_MODE_ALONE, REP_REASON_FLAPPING);
	world_stand_still(world, 1000 * MS);
	world_run_until(world, WORLD_A, REP_MODE_PAIRED);
	world_run_until(world, WORLD_B, REP_MODE_STANDBY);
	world_expect(world, WORLD_A, REP_MODE_PAIRED, REP_REASON_NONE);
	world_free(world);
}

static void moves_when_one_of_the_hour_is_left_then_it_serves_for_a_lost_standby(void **state)
{
	struct world *world = world_new(REP_POLICY_ARBITER, REP_ACK_DURABLE);
	world->nodes[WORLD_A].config.max_moves_per_hour = 6;
	world_pair_up(world);
	lose_standby_once(world);
	lose_standby_once(world);
	world_expect(world, WORLD_A, REP_MODE_PAIRED, REP_REASON_NONE); /* five */
	lose_standby_once(world);
	world_expect(world, WORLD_A, REP_MODE_ALONE, REP_REASON_FLAPPING);
	world_free(world);
}

static void moves_when_one_of_the_hour_is_left_then_it_serves_for_a_lost_primary(void **state)
{
	struct world *world = world_new(REP_POLICY_ARBITER, REP_ACK_DURABLE);
	world->nodes[WORLD_A].config.max_moves_per_hour = 6;
	world->nodes[WORLD_B].config.max_moves_per_hour = 2;
	world_pair_up(world);
	world_crash(world, WORLD_A);
	world_run_until(world, WORLD_B, REP_MODE_ALONE);
	world_start(world, WORLD_A);
	world_run(world, 100 * MS);
	world_expect(world, WORLD_B, REP_MODE_ALONE, REP_REASON_FLAPPING);
	world_free(world);
}

static void moves_when_their_number_is_not_limited_then_admission_goes_on(void **state)
{
	struct world *world = new_pair(REP_POLICY_ARBITER, REP_ACK_DURABLE);
	for (uint32_t round = 0; round < 40; round++) {
		world->asked_count = 0;
		lose_standby_once(world);
		world_expect(world, WORLD_A, REP_MODE_PAIRED, REP_REASON_NONE);
	}
	world_free(world);
}

static void promotion_when_within_hold_down_then_it_waits(void **state)
{
	for (int i = 0; i < 4; i++) {
		if (policies[i] == REP_POLICY_PRIMARY_CONTINUES)
			continue;
		struct world *world = world_new(policies[i], REP_ACK_DURABLE);
		world->nodes[WORLD_B].config.hold_down_ns = 200 * MS;
		world_pair_up(world);
		uint64_t admitted_ns = world_core(world, WORLD_B)->admitted_ns;
		world_crash(world, WORLD_A);
		world_run(world, admitted_ns + 200 * MS - WORLD_TICK_NS - world->now_ns);
		world_expect(world, WORLD_B, REP_MODE_STANDBY, REP_REASON_PEER_SILENT);
		world_run(world, 10 * MS);
		world_expect(world, WORLD_B, REP_MODE_ALONE, REP_REASON_NONE);
		world_free(world);
	}
}

static void hand_over_when_within_hold_down_then_it_does_not_wait(void **state)
{
	for (int i = 0; i < 4; i++) {
		struct world *world = world_new(policies[i], REP_ACK_DURABLE);
		world->nodes[WORLD_A].config.hold_down_ns = 3600 * 1000 * MS;
		world->nodes[WORLD_B].config.hold_down_ns = 3600 * 1000 * MS;
		world_pair_up(world);
		world_submit(world, WORLD_A, 5);
		world_order(world, WORLD_A, REP_OPERATION_SWITCHOVER);
		world_run(world, 100 * MS);
		world_expect(world, WORLD_B, REP_MODE_PAIRED, REP_REASON_NONE);
		world_expect(world, WORLD_A, REP_MODE_STANDBY, REP_REASON_NONE);
		assert_int_equal(world_core(world, WORLD_B)->committed, 5);
		world_free(world);
	}
}

/* --- Who may not take part --- */

static void settings_when_they_differ_then_no_link_and_no_role(void **state)
{
	for (int i = 0; i < 4; i++) {
		struct world *world = world_new(policies[i], REP_ACK_DURABLE);
		world->nodes[WORLD_B].config.config_digest++;
		world_start(world, WORLD_A);
		world_start(world, WORLD_B);
		world_run(world, 200 * MS);
		for (int who = 0; who < 2; who++) {
			world_expect(world, who, REP_MODE_WAITING, REP_REASON_CONFIG_MISMATCH);
			assert_false(world_core(world, who)->link_up);
			assert_int_equal(world_core(world, who)->pair.epoch, 0);
			assert_int_equal(world->nodes[who].write_count, 0);
		}
		world_free(world);
	}
}

static void
settings_when_they_differ_after_a_restart_then_primary_serves_alone_until_they_agree(void **state)
{
	struct world *world = new_pair(REP_POLICY_ARBITER, REP_ACK_DURABLE);
	world->nodes[WORLD_B].config.config_digest++;
	lose_standby_once(world);
	world_expect(world, WORLD_A, REP_MODE_ALONE, REP_REASON_NONE);
	world_expect(world, WORLD_B, REP_MODE_WAITING, REP_REASON_CONFIG_MISMATCH);
	assert_false(world_core(world, WORLD_A)->link_up);
	world_crash(world, WORLD_B);
	world->nodes[WORLD_B].config.config_digest--;
	world_start(world, WORLD_B);
	world_run_until(world, WORLD_B, REP_MODE_STANDBY);
	world_free(world);
}

/* A serves by the record of `epoch`; two entries that B knows to be committed are not among its
 * own. */
static struct world *new_fork(enum rep_policy policy, enum rep_ack ack, uint32_t epoch)
{
	struct world *world = world_new(policy, ack);
	world->forks = true;
	bool arbiter = policy == REP_POLICY_ARBITER;
	struct rep_pair before = {.epoch = 2, .primary = WORLD_A, .in_sync = 3};
	struct rep_pair alone = {.epoch = epoch, .primary = WORLD_A, .in_sync = 1};
	before.holder = arbiter ? REP_HOLDER_ARBITER : WORLD_B;
	alone.holder = arbiter ? REP_HOLDER_ARBITER : WORLD_A;
	world_fill_log(world, WORLD_A, 2, 3);
	world_fill_log(world, WORLD_A, epoch, 4);
	world_fill_log(world, WORLD_B, 2, 5);
	world_fill_record(world, WORLD_A, REP_RECORD_ALONE, epoch, alone);
	world_fill_record(world, WORLD_B, REP_RECORD_STANDBY, 2, before);
	world->record = alone;
	world_start(world, WORLD_A);
	world_run(world, 50 * MS);
	assert_true(rep_core_serves(world_core(world, WORLD_A)));
	world_start(world, WORLD_B);
	world_run(world, 100 * MS);
	return world;
}

static void primary_when_it_lacks_what_is_known_to_be_committed_then_standby_halts(void **state)
{
	static const enum rep_policy with[] = {REP_POLICY_ARBITER, REP_POLICY_PRIMARY_CONTINUES};
	for (int i = 0; i < 2; i++) {
		struct world *world = new_fork(with[i], REP_ACK_DURABLE, 4);
		world_expect(world, WORLD_B, REP_MODE_HALTED, REP_REASON_OTHER_HISTORY);
		assert_int_equal(world->nodes[WORLD_B].written, 5); /* nothing was cut */
		assert_int_equal(world_core(world, WORLD_B)->stats.entries_forked, 0);
		assert_int_equal(rep_core_deadline_ns(world_core(world, WORLD_B)), UINT64_MAX);
		/* A halted node is not moved by anything any more. */
		world_order(world, WORLD_B, REP_OPERATION_FORCE);
		world_run(world, 50 * MS);
		world_expect(world, WORLD_B, REP_MODE_HALTED, REP_REASON_OTHER_HISTORY);
		world_expect(world, WORLD_A, REP_MODE_ALONE, REP_REASON_NONE);
		world_free(world);
	}
}

static void expect_fork_counted(struct world *world, enum rep_mode mode)
{
	const struct rep_core *core = world_core(world, WORLD_B);
	assert_int_equal(core->mode, mode);
	assert_int_equal(core->stats.entries_forked, 2);
	assert_int_equal(core->stats.entries_cut, 2);
	assert_int_equal(core->last_sequence, 4);
	assert_int_equal(core->lineage[core->lineage_count - 1].epoch & 1, WORLD_A);
	world_free(world);
}

static void primary_when_the_operator_consented_to_loss_then_what_is_lost_is_counted(void **state)
{
	expect_fork_counted(new_fork(REP_POLICY_ARBITER, REP_ACK_NONE, 4), REP_MODE_LEARNER);
	expect_fork_counted(
		new_fork(REP_POLICY_SPLIT_ALLOWED, REP_ACK_DURABLE, 4), REP_MODE_STANDBY
	);
	expect_fork_counted(
		new_fork(REP_POLICY_ARBITER, REP_ACK_DURABLE, 0x10002), REP_MODE_STANDBY
	);
	expect_fork_counted(
		new_fork(REP_POLICY_PRIMARY_CONTINUES, REP_ACK_DURABLE, 0x10002), REP_MODE_STANDBY
	);
}

/* --- Leaving in good order --- */

static void standby_when_it_leaves_then_primary_stays_paired_until_the_move_is_learned(void **state)
{
	struct world *world = new_pair(REP_POLICY_ARBITER, REP_ACK_DURABLE);
	struct world_node *a = &world->nodes[WORLD_A];
	world->on_exchange = ARBITER_HOLDS;
	a->slow_record = true;
	world_order(world, WORLD_B, REP_OPERATION_LEAVE);
	world_run(world, 4 * MS);
	world_expect(world, WORLD_A, REP_MODE_PAIRED, REP_REASON_NONE);
	assert_int_equal(a->core.move.kind, REP_MOVE_GO_ALONE);
	assert_int_equal(a->core.move.phase, REP_PHASE_ISSUED);
	world_submit(world, WORLD_A, 4);
	world_run(world, 3 * MS);
	assert_int_equal(a->core.committed, 4);
	world_expect(world, WORLD_B, REP_MODE_STANDBY, REP_REASON_NONE);

	world->on_exchange = ARBITER_ANSWERS; /* from the next question on */
	world_run_until(world, WORLD_A, REP_MODE_BLOCKED);
	world_expect(world, WORLD_A, REP_MODE_BLOCKED, REP_REASON_BARRIER);
	world_run(world, 20 * MS);
	world_expect(world, WORLD_A, REP_MODE_BLOCKED, REP_REASON_BARRIER);
	world_record_done(world, WORLD_A);
	world_run(world, MS);
	world_expect(world, WORLD_A, REP_MODE_ALONE, REP_REASON_NONE);
	a->slow_record = false;

	/* It is not taken in again while it is about to go. */
	world_run(world, 50 * MS);
	world_expect(world, WORLD_A, REP_MODE_ALONE, REP_REASON_NONE);
	assert_int_equal(world_core(world, WORLD_B)->mode, REP_MODE_WAITING);
	world_leave(world, WORLD_B);
	assert_true(world->nodes[WORLD_B].disk.clean);
	assert_int_equal(world->nodes[WORLD_B].disk.final_sequence, 4);
	world_run(world, MS);
	assert_true(a->core.peer_left);
	world_start(world, WORLD_B);
	world_run_until(world, WORLD_B, REP_MODE_STANDBY);
	world_free(world);
}

static void primary_when_it_leaves_then_it_hands_over_first(void **state)
{
	for (int i = 0; i < 4; i++) {
		struct world *world = new_pair(policies[i], REP_ACK_DURABLE);
		world_submit(world, WORLD_A, 7);
		world_order(world, WORLD_A, REP_OPERATION_LEAVE);
		world_run(world, 100 * MS);
		world_expect(world, WORLD_B, REP_MODE_ALONE, REP_REASON_NONE);
		assert_int_equal(world_core(world, WORLD_A)->mode, REP_MODE_WAITING);
		assert_int_equal(world_core(world, WORLD_B)->committed, 7);
		assert_true(world->nodes[WORLD_A].answers_dropped > 0);
		world_leave(world, WORLD_A);
		assert_true(world->nodes[WORLD_A].disk.clean);
		assert_int_equal(world->nodes[WORLD_A].disk.final_sequence, 7);
		world_start(world, WORLD_A);
		assert_false(world->nodes[WORLD_A].disk.clean);
		world_run_until(world, WORLD_A, REP_MODE_STANDBY);
		world_free(world);
	}
}

static void leave_when_the_log_is_not_durable_then_no_clean_record(void **state)
{
	struct world *world = new_pair(REP_POLICY_ARBITER, REP_ACK_RECEIVED);
	struct world_node *b = &world->nodes[WORLD_B];
	b->slow_log = true;
	world_submit(world, WORLD_A, 3);
	world_run(world, 2 * MS);
	assert_int_equal(b->core.last_sequence, 3);
	uint32_t writes = b->write_count;
	world_leave(world, WORLD_B);
	assert_int_equal(b->write_count, writes);
	assert_false(b->disk.clean);
	b->slow_log = false;
	world_start(world, WORLD_B);
	assert_true(b->disk.amnesiac);
	world_run_until(world, WORLD_B, REP_MODE_STANDBY);

	/* With its log durable it is whole after a restart, although it acknowledges from memory.
	 */
	world_leave(world, WORLD_B);
	assert_true(b->disk.clean);
	assert_int_equal(b->disk.final_sequence, 3);
	world_start(world, WORLD_B);
	assert_false(b->disk.amnesiac);
	assert_false(b->disk.clean);
	world_free(world);
}

/* --- Room --- */

static void room_when_alone_then_only_own_consumers_hold_slots(void **state)
{
	struct world *world = new_pair(REP_POLICY_ARBITER, REP_ACK_DURABLE);
	struct world_node *a = &world->nodes[WORLD_A];
	world_crash(world, WORLD_B);
	world_run_until(world, WORLD_A, REP_MODE_ALONE);
	a->passed_is_held = true;
	a->passed = a->written;
	assert_int_equal(rep_core_room(&a->core), WORLD_SLOTS);
	world_submit(world, WORLD_A, 10);
	assert_int_equal(rep_core_room(&a->core), WORLD_SLOTS - 10);
	world_submit(world, WORLD_A, 6);
	assert_int_equal(rep_core_room(&a->core), 0);
	a->passed += 4;
	world_run(world, MS);
	assert_int_equal(rep_core_room(&a->core), 4);
	world_free(world);
}

static void room_when_draining_then_none(void **state)
{
	struct world *world = new_pair(REP_POLICY_ARBITER, REP_ACK_DURABLE);
	struct world_node *a = &world->nodes[WORLD_A];
	world_crash(world, WORLD_B);
	world_run_until(world, WORLD_A, REP_MODE_ALONE);
	/* The learner is near, but its log is not durable: so it is not admitted yet. */
	world->nodes[WORLD_B].slow_log = true;
	world_submit(world, WORLD_A, 1);
	world_start(world, WORLD_B);
	world_run_until(world, WORLD_B, REP_MODE_LEARNER);
	world_run(world, 3 * MS);
	world_expect(world, WORLD_A, REP_MODE_ALONE, REP_REASON_NONE);
	assert_true(a->core.draining);
	assert_int_equal(rep_core_room(&a->core), 0);
	/* Nobody waits for its disk longer than a window. */
	world_run(world, 12 * MS);
	world_expect(world, WORLD_A, REP_MODE_ALONE, REP_REASON_NONE);
	assert_false(a->core.draining);
	assert_true(rep_core_room(&a->core) > 0);
	world_crash(world, WORLD_B);
	world_run(world, 30 * MS);
	assert_int_equal(rep_core_room(&a->core), WORLD_SLOTS);
	world->nodes[WORLD_B].slow_log = false;
	world_start(world, WORLD_B);
	world_run_until(world, WORLD_A, REP_MODE_PAIRED);
	assert_int_equal(rep_core_room(&a->core), WORLD_SLOTS);

	/* PAIRED, with entries that the consumers of a primary that hands over still hold. */
	a->passed_is_held = true;
	a->passed = a->written;
	world_submit(world, WORLD_A, 2);
	world_order(world, WORLD_A, REP_OPERATION_SWITCHOVER);
	world_run(world, 5 * MS);
	world_expect(world, WORLD_A, REP_MODE_PAIRED, REP_REASON_NONE);
	assert_int_equal(rep_core_room(&a->core), 0);
	a->passed_is_held = false;
	world_run_until(world, WORLD_B, REP_MODE_PAIRED);
	world_free(world);
}

static void
room_when_asynchronous_then_a_near_follower_holds_slots_and_a_far_one_does_not(void **state)
{
	struct world *world = world_new(REP_POLICY_ARBITER, REP_ACK_NONE);
	struct world_node *a = &world->nodes[WORLD_A];
	world_start(world, WORLD_A);
	world_start(world, WORLD_B);
	world_run_until(world, WORLD_A, REP_MODE_ASYNC);
	world_run_until(world, WORLD_B, REP_MODE_LEARNER);
	world_run(world, 5 * MS);
	assert_int_equal(rep_core_room(&a->core), WORLD_SLOTS);
	world_cut(world, true, false);
	world_submit(world, WORLD_A, 12);
	world_run(world, 2 * MS);
	assert_int_equal(a->core.committed, 12); /* sequenced is enough */
	assert_int_equal(rep_core_room(&a->core), WORLD_SLOTS - 12);
	world_cut(world, false, false);
	world_run(world, 5 * MS);
	assert_int_equal(rep_core_room(&a->core), WORLD_SLOTS);

	/* Who is not heard holds nothing; it comes back far behind, and is caught up from the log.
	 */
	world_crash(world, WORLD_B);
	world_submit(world, WORLD_A, WORLD_SLOTS);
	assert_int_equal(rep_core_room(&a->core), 0);
	world_run(world, 30 * MS);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(rep_core_room(&a->core), WORLD_SLOTS);
		world_submit(world, WORLD_A, WORLD_SLOTS);
		world_run(world, MS);
	}
	world_start(world, WORLD_B);
	world_run_until(world, WORLD_B, REP_MODE_LEARNER);
	world_run(world, 50 * MS);
	assert_int_equal(world_core(world, WORLD_B)->last_sequence, 12 + 4 * WORLD_SLOTS);
	assert_int_equal(world_core(world, WORLD_A)->mode, REP_MODE_ASYNC);
	assert_int_equal(world->record.in_sync, 1);
	world_free(world);
}

/* --- Words --- */

static void expect_distinct(const char *const *words, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		assert_non_null(words[i]);
		assert_true(words[i][0] != 0);
		assert_string_not_equal(words[i], "unknown");
		for (uint32_t k = 0; k < i; k++)
			assert_string_not_equal(words[i], words[k]);
	}
}

static void words_when_asked_for_then_each_value_has_its_own(void **state)
{
	const char *modes[REP_MODES], *reasons[REP_REASONS], *texts[REP_REASONS];
	const char *types[REP_FRAME_SNAPSHOT], *faults[REP_FRAME_FAULTS];
	for (uint32_t i = 0; i < REP_MODES; i++)
		modes[i] = rep_mode_name((enum rep_mode)i);
	for (uint32_t i = 0; i < REP_REASONS; i++) {
		reasons[i] = rep_reason_name((enum rep_reason)i);
		texts[i] = rep_reason_text((enum rep_reason)i);
	}
	for (uint32_t i = 0; i < REP_FRAME_SNAPSHOT; i++)
		types[i] = rep_frame_type_name((enum rep_frame_type)(i + REP_FRAME_STALE));
	for (uint32_t i = 0; i < REP_FRAME_FAULTS; i++)
		faults[i] = rep_frame_fault_name((enum rep_frame_fault)i);
	expect_distinct(modes, REP_MODES);
	expect_distinct(reasons, REP_REASONS);
	expect_distinct(texts, REP_REASONS);
	expect_distinct(types, REP_FRAME_SNAPSHOT);
	expect_distinct(faults, REP_FRAME_FAULTS);
	assert_string_equal(rep_mode_name(REP_MODES), "unknown");
	assert_string_equal(rep_reason_name(REP_REASONS), "unknown");
	assert_string_equal(rep_reason_text(REP_REASONS), "unknown");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			moves_when_one_of_the_hour_is_left_then_no_admission_until_the_hour_has_passed
		),
		cmocka_unit_test(
			moves_when_one_of_the_hour_is_left_then_it_serves_for_a_lost_standby
		),
		cmocka_unit_test(
			moves_when_one_of_the_hour_is_left_then_it_serves_for_a_lost_primary
		),
		cmocka_unit_test(moves_when_their_number_is_not_limited_then_admission_goes_on),
		cmocka_unit_test(promotion_when_within_hold_down_then_it_waits),
		cmocka_unit_test(hand_over_when_within_hold_down_then_it_does_not_wait),
		cmocka_unit_test(settings_when_they_differ_then_no_link_and_no_role),
		cmocka_unit_test(
			settings_when_they_differ_after_a_restart_then_primary_serves_alone_until_they_agree
		),
		cmocka_unit_test(
			primary_when_it_lacks_what_is_known_to_be_committed_then_standby_halts
		),
		cmocka_unit_test(
			primary_when_the_operator_consented_to_loss_then_what_is_lost_is_counted
		),
		cmocka_unit_test(
			standby_when_it_leaves_then_primary_stays_paired_until_the_move_is_learned
		),
		cmocka_unit_test(primary_when_it_leaves_then_it_hands_over_first),
		cmocka_unit_test(leave_when_the_log_is_not_durable_then_no_clean_record),
		cmocka_unit_test(room_when_alone_then_only_own_consumers_hold_slots),
		cmocka_unit_test(room_when_draining_then_none),
		cmocka_unit_test(
			room_when_asynchronous_then_a_near_follower_holds_slots_and_a_far_one_does_not
		),
		cmocka_unit_test(words_when_asked_for_then_each_value_has_its_own),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
