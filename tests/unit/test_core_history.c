/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Nodes that start with a history: what they take over from each other, and what keeps them apart.
 */
#include "tests/unit/pair.h"
#include "tests/unit/unit.h"

static struct rep_core *core_of(struct pair *pair, int who)
{
	return &pair->nodes[who].core;
}

static void expect_level(struct pair *pair, uint64_t sequence)
{
	pair_expect_state(pair, PAIR_P, REP_MODE_PAIRED, REP_REASON_NONE);
	pair_expect_state(pair, PAIR_S, REP_MODE_STANDBY, REP_REASON_NONE);
	assert_int_equal(core_of(pair, PAIR_P)->last_sequence, sequence);
	assert_int_equal(core_of(pair, PAIR_S)->last_sequence, sequence);
	assert_int_equal(core_of(pair, PAIR_P)->committed, sequence);
}

/* A pair that holds count entries, all acknowledged. */
static struct pair *pair_with(uint32_t count)
{
	struct pair *pair = pair_new_paired();
	pair->nodes[PAIR_P].config.has_log = pair->nodes[PAIR_S].config.has_log = true;
	core_of(pair, PAIR_P)->config.has_log = core_of(pair, PAIR_S)->config.has_log = true;
	for (uint32_t i = 0; i < count; i++) {
		pair_poll(pair, PAIR_P, 1);
		pair_run_for(pair, 200 * US);
	}
	pair_run_for(pair, 2 * MS);
	expect_level(pair, count);
	return pair;
}

static void start_when_it_has_not_come_then_frames_are_dropped_and_counted(void **state)
{
	struct pair *pair = pair_new();
	struct pair_node *p = &pair->nodes[PAIR_P];
	pair_boot(pair, PAIR_S);
	pair_boot(pair, PAIR_P);
	rep_core_init(&p->core, &p->config, p->memory, pair->now_ns);
	p->reason = p->core.reason;
	pair_expect_state(pair, PAIR_P, REP_MODE_BLOCKED, REP_REASON_REPLAYING);
	pair_run_for(pair, 20 * MS);
	assert_true(core_of(pair, PAIR_P)->stats.dropped_not_started > 0);
	assert_int_equal(core_of(pair, PAIR_P)->frame_number, 0);
	assert_int_equal(rep_core_room(core_of(pair, PAIR_P)), 0);
	rep_core_start(&p->core, &(struct rep_history){0}, pair->now_ns);
	p->reason = p->core.reason;
	pair_run_for(pair, 20 * MS);
	pair_expect_state(pair, PAIR_P, REP_MODE_PAIRED, REP_REASON_NONE);
	pair_free(pair);
}

static void restart_when_both_hold_the_same_then_they_pair_in_a_new_epoch(void **state)
{
	struct pair *pair = pair_with(4);
	uint32_t epoch = core_of(pair, PAIR_P)->epoch;
	pair_restart(pair, PAIR_P, 4);
	pair_restart(pair, PAIR_S, 4);
	pair_run_for(pair, 50 * MS);
	expect_level(pair, 4);
	assert_true(core_of(pair, PAIR_P)->epoch > epoch);
	assert_int_equal(core_of(pair, PAIR_S)->epoch, core_of(pair, PAIR_P)->epoch);
	pair_poll(pair, PAIR_P, 2);
	pair_run_for(pair, 2 * MS);
	expect_level(pair, 6);
	assert_int_equal(core_of(pair, PAIR_P)->lineage_count, 2);
	assert_int_equal(core_of(pair, PAIR_S)->lineage_count, 2);
	assert_int_equal(core_of(pair, PAIR_S)->lineage[1].first_sequence, 5);
	pair_free(pair);
}

static void
epoch_of_a_start_when_it_is_not_above_the_history_then_raised_to_the_nodes_next(void **state)
{
	static uint64_t memory[PAIR_MAX_SLOTS / 64];
	struct pair *pair = pair_new();
	struct rep_core core;
	struct rep_core_config config = pair->nodes[PAIR_P].config;
	struct rep_history history = {.last_sequence = 3, .arena_first = 1, .epoch = 90};
	config.incarnation = 1;
	config.epoch = 8;
	rep_core_init(&core, &config, memory, 0);
	rep_core_start(&core, &history, 0);
	assert_int_equal(core.epoch, 92);
	config.link.node = 1;
	rep_core_init(&core, &config, memory, 0);
	rep_core_start(&core, &history, 0);
	assert_int_equal(core.epoch, 93);
	pair_free(pair);
}

static void restart_when_the_primary_holds_less_then_it_takes_the_rest_from_its_standby(void **state
)
{
	struct pair *pair = pair_with(6);
	pair_restart(pair, PAIR_P, 2);
	pair_run_for(pair, 50 * MS);
	expect_level(pair, 6);
	assert_int_equal(core_of(pair, PAIR_P)->stats.entries_merged, 4);
	pair_free(pair);
}

static void merge_when_its_frames_are_lost_then_asked_for_again(void **state)
{
	struct pair *pair = pair_with(6);
	pair_restart(pair, PAIR_P, 2);
	for (int i = 0; i < 2000 && core_of(pair, PAIR_P)->reason != REP_REASON_MERGING; i++)
		pair_run_for(pair, 50 * US);
	pair_expect_state(pair, PAIR_P, REP_MODE_BLOCKED, REP_REASON_MERGING);
	pair->cut[PAIR_P] = true;
	pair_run_for(pair, 3 * MS);
	pair_expect_state(pair, PAIR_P, REP_MODE_BLOCKED, REP_REASON_MERGING);
	pair->cut[PAIR_P] = false;
	pair_run_for(pair, 50 * MS);
	expect_level(pair, 6);
	pair_free(pair);
}

static void merge_when_the_standby_is_killed_in_it_then_what_it_kept_counts(void **state)
{
	struct pair *pair = pair_with(6);
	pair_restart(pair, PAIR_P, 2);
	for (int i = 0; i < 2000 && core_of(pair, PAIR_P)->reason != REP_REASON_MERGING; i++)
		pair_run_for(pair, 50 * US);
	pair->cut[PAIR_P] = pair->cut[PAIR_S] = true;
	pair_restart(pair, PAIR_S, 4);
	pair_run_for(pair, 5 * MS);
	pair->cut[PAIR_P] = pair->cut[PAIR_S] = false;
	pair_run_for(pair, 100 * MS);
	expect_level(pair, 4);
	pair_free(pair);
}

static void
restart_when_the_standby_holds_less_than_it_acknowledged_then_it_is_sent_the_rest(void **state)
{
	struct pair *pair = pair_with(6);
	pair_restart(pair, PAIR_S, 1);
	pair_run_for(pair, 100 * MS);
	expect_level(pair, 6);
	assert_int_equal(core_of(pair, PAIR_P)->stats.entries_merged, 0);
	pair_free(pair);
}

static void restart_when_the_standby_lost_all_of_its_log_then_it_is_sent_everything(void **state)
{
	struct pair *pair = pair_with(6);
	pair_restart(pair, PAIR_S, 0);
	pair_run_for(pair, 50 * MS);
	expect_level(pair, 6);
	pair_free(pair);
}

static void histories_when_neither_is_part_of_the_other_then_the_nodes_stay_apart(void **state)
{
	struct pair *pair = pair_with(6);
	pair_restart(pair, PAIR_P, 3);
	pair_restart(pair, PAIR_S, 6);
	/* The primary's last entry is of an epoch that the standby never saw. */
	struct rep_core *p = core_of(pair, PAIR_P);
	rep_core_begin_epoch(p, p->epoch - 1, 3);
	pair_run_for(pair, 100 * MS);
	pair_expect_state(pair, PAIR_P, REP_MODE_BLOCKED, REP_REASON_OTHER_HISTORY);
	pair_expect_state(pair, PAIR_S, REP_MODE_STANDBY, REP_REASON_OTHER_HISTORY);
	assert_int_equal(core_of(pair, PAIR_S)->last_sequence, 6);
	pair_free(pair);
}

static void history_when_the_rest_has_left_the_arena_then_gone(void **state)
{
	struct pair *pair = pair_with(6);
	pair_restart(pair, PAIR_P, 2);
	pair_restart(pair, PAIR_S, 6);
	core_of(pair, PAIR_S)->arena_first = 4;
	pair_run_for(pair, 100 * MS);
	pair_expect_state(pair, PAIR_P, REP_MODE_BLOCKED, REP_REASON_HISTORY_GONE);
	assert_int_equal(core_of(pair, PAIR_P)->last_sequence, 2);
	pair_free(pair);
}

static void
durable_acknowledgements_when_the_standby_has_not_synced_then_nothing_is_committed(void **state)
{
	struct pair *pair = pair_new();
	pair->nodes[PAIR_P].config.ack = pair->nodes[PAIR_S].config.ack = REP_ACK_DURABLE;
	pair->nodes[PAIR_P].config.has_log = pair->nodes[PAIR_S].config.has_log = true;
	pair_boot(pair, PAIR_P);
	pair_boot(pair, PAIR_S);
	pair_run_for(pair, 20 * MS);
	pair_poll(pair, PAIR_P, 3);
	pair_run_for(pair, 2 * MS);
	assert_int_equal(core_of(pair, PAIR_P)->acked, 3);
	assert_int_equal(core_of(pair, PAIR_P)->committed, 0);
	/* Told at once, not with the next heartbeat. */
	pair->nodes[PAIR_S].durable = 2;
	pair_poll(pair, PAIR_S, 0);
	pair_run_for(pair, 200 * US);
	assert_int_equal(core_of(pair, PAIR_P)->committed, 2);
	/* The own log alone commits nothing. */
	pair->nodes[PAIR_P].durable = 3;
	pair_run_for(pair, 20 * MS);
	assert_int_equal(core_of(pair, PAIR_P)->committed, 2);
	pair->nodes[PAIR_S].durable = 3;
	pair_run_for(pair, 20 * MS);
	assert_int_equal(core_of(pair, PAIR_P)->committed, 3);
	pair_free(pair);
}

static void lineage_when_there_are_many_epochs_then_the_newest_are_kept(void **state)
{
	struct pair *pair = pair_with(1);
	struct rep_core *p = core_of(pair, PAIR_P);
	for (uint32_t i = 0; i < REP_MAX_LINEAGE + 5; i++)
		rep_core_begin_epoch(p, 1000 + 2 * i, 2 + i);
	assert_int_equal(p->lineage_count, REP_MAX_LINEAGE);
	assert_int_equal(p->lineage[REP_MAX_LINEAGE - 1].epoch, 1000 + 2 * (REP_MAX_LINEAGE + 4));
	assert_int_equal(p->lineage[0].epoch, 1000 + 2 * 5);
	pair_free(pair);
}

/* As the sequencer does: a poll without frames makes a step only when the core calls for it. */
static bool poll_if_called(struct pair *pair, int who)
{
	struct pair_node *node = &pair->nodes[who];
	if (!rep_core_calls(&node->core, node->passed, node->durable))
		return false;
	pair_poll(pair, who, 0);
	return true;
}

/* A pair of 64 slots, full: nothing of it has passed through the log (or workers) of one node. */
static struct pair *pair_that_is_full(int slow)
{
	struct pair *pair = pair_new();
	for (int who = 0; who < 2; who++) {
		pair->nodes[who].config.slots = 64;
		pair->nodes[who].config.window = 32;
		pair->nodes[who].config.has_log = true;
		pair_boot(pair, who);
	}
	pair_run_for(pair, 2 * MS);
	pair->nodes[slow].passed_is_held = true;
	for (int i = 0; i < 4; i++) {
		pair_poll(pair, PAIR_P, 16);
		pair_run_for(pair, 300 * US);
	}
	expect_level(pair, 64);
	assert_int_equal(rep_core_room(core_of(pair, PAIR_P)), 0);
	assert_false(poll_if_called(pair, slow));
	pair_forget(pair);
	return pair;
}

static void room_when_a_full_standby_gets_on_then_told_at_once_an_eighth_in_a_frame(void **state)
{
	struct pair *pair = pair_that_is_full(PAIR_S);
	struct pair_node *s = &pair->nodes[PAIR_S];
	uint64_t frames = s->core.frame_number;
	for (s->passed = 1; s->passed < 8; s->passed++)
		assert_false(poll_if_called(pair, PAIR_S));
	assert_true(poll_if_called(pair, PAIR_S));
	assert_true(pair_said(pair, "send ACK 64\n"));
	assert_false(poll_if_called(pair, PAIR_S));
	pair_deliver(pair, PAIR_P);
	pair_poll(pair, PAIR_P, 0);
	assert_int_equal(rep_core_room(core_of(pair, PAIR_P)), 8);
	for (; s->passed < 64; s->passed++)
		poll_if_called(pair, PAIR_S);
	poll_if_called(pair, PAIR_S);
	assert_int_equal(s->core.frame_number, frames + 8);
	pair_free(pair);
}

/* A frame of the primary that the standby need not answer must not swallow a part of an eighth. */
static void room_when_steps_come_between_then_counted_from_what_was_told(void **state)
{
	struct pair *pair = pair_that_is_full(PAIR_S);
	struct pair_node *s = &pair->nodes[PAIR_S];
	for (s->passed = 1; s->passed < 8; s->passed++)
		pair_poll(pair, PAIR_S, 0);
	assert_false(pair_said(pair, "send"));
	assert_true(poll_if_called(pair, PAIR_S));
	assert_true(pair_said(pair, "send ACK 64\n"));
	pair_free(pair);
}

static void room_when_a_full_primary_gets_on_then_there_without_a_frame(void **state)
{
	struct pair *pair = pair_that_is_full(PAIR_P);
	struct pair_node *p = &pair->nodes[PAIR_P];
	for (p->passed = 1; p->passed < 8; p->passed++)
		assert_false(poll_if_called(pair, PAIR_P));
	assert_true(poll_if_called(pair, PAIR_P));
	assert_int_equal(rep_core_room(&p->core), 8);
	assert_false(pair_said(pair, "send"));
	assert_false(poll_if_called(pair, PAIR_P));
	pair_free(pair);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(start_when_it_has_not_come_then_frames_are_dropped_and_counted),
		cmocka_unit_test(restart_when_both_hold_the_same_then_they_pair_in_a_new_epoch),
		cmocka_unit_test(
			epoch_of_a_start_when_it_is_not_above_the_history_then_raised_to_the_nodes_next
		),
		cmocka_unit_test(
			restart_when_the_primary_holds_less_then_it_takes_the_rest_from_its_standby
		),
		cmocka_unit_test(merge_when_its_frames_are_lost_then_asked_for_again),
		cmocka_unit_test(merge_when_the_standby_is_killed_in_it_then_what_it_kept_counts),
		cmocka_unit_test(
			restart_when_the_standby_holds_less_than_it_acknowledged_then_it_is_sent_the_rest
		),
		cmocka_unit_test(
			restart_when_the_standby_lost_all_of_its_log_then_it_is_sent_everything
		),
		cmocka_unit_test(
			histories_when_neither_is_part_of_the_other_then_the_nodes_stay_apart
		),
		cmocka_unit_test(history_when_the_rest_has_left_the_arena_then_gone),
		cmocka_unit_test(
			durable_acknowledgements_when_the_standby_has_not_synced_then_nothing_is_committed
		),
		cmocka_unit_test(
			room_when_a_full_standby_gets_on_then_told_at_once_an_eighth_in_a_frame
		),
		cmocka_unit_test(room_when_steps_come_between_then_counted_from_what_was_told),
		cmocka_unit_test(room_when_a_full_primary_gets_on_then_there_without_a_frame),
		cmocka_unit_test(lineage_when_there_are_many_epochs_then_the_newest_are_kept),
	};
	return cmocka_run_group_tests(tests, NULL, NULL) != 0;
}
