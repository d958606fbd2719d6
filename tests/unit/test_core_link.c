/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The core as transcripts: who is heard, when the primary stops, how the pair comes back.
 */
#include "tests/unit/pair.h"
#include "tests/unit/unit.h"

#include <string.h>

static struct rep_core *core_of(struct pair *pair, int who)
{
	return &pair->nodes[who].core;
}

/* --- Silence and cuts --- */

static void silence_when_window_passes_then_blocked_and_not_before(void **state)
{
	struct pair *pair = pair_new_paired();
	pair->nodes[PAIR_S].paused = true;
	uint64_t heard_ns = core_of(pair, PAIR_P)->heard_ns;
	pair_run_until(pair, heard_ns + 10 * MS);
	pair_expect_state(pair, PAIR_P, REP_MODE_PAIRED, REP_REASON_NONE);
	assert_true(rep_core_peer_reachable(core_of(pair, PAIR_P), pair->now_ns));
	pair_run_until(pair, heard_ns + 10 * MS + 1);
	pair_expect_state(pair, PAIR_P, REP_MODE_BLOCKED, REP_REASON_PEER_SILENT);
	assert_false(rep_core_peer_reachable(core_of(pair, PAIR_P), pair->now_ns));
	assert_int_equal(rep_core_room(core_of(pair, PAIR_P)), 0);
	assert_int_equal(core_of(pair, PAIR_P)->stats.times_blocked, 1);
	assert_int_equal(core_of(pair, PAIR_P)->stats.own_gaps, 0);
	pair_free(pair);
}

static void silence_when_few_misses_are_allowed_then_still_detected_at_deadlines(void **state)
{
	for (uint32_t misses = 1; misses <= 6; misses++) {
		struct pair *pair = pair_new();
		pair->nodes[0].config.heartbeat_misses = misses;
		pair->nodes[1].config.heartbeat_misses = misses;
		pair_boot(pair, PAIR_P);
		pair_boot(pair, PAIR_S);
		pair_run_for(pair, 3 * MS);
		pair_expect_state(pair, PAIR_P, REP_MODE_PAIRED, REP_REASON_NONE);
		pair->nodes[PAIR_S].paused = true;
		pair_run_for(pair, (misses + 2) * MS);
		pair_expect_state(pair, PAIR_P, REP_MODE_BLOCKED, REP_REASON_PEER_SILENT);
		pair_free(pair);
	}
}

static void silence_when_standby_hears_nothing_then_says_so_and_recovers(void **state)
{
	struct pair *pair = pair_new_paired();
	pair->cut[PAIR_S] = true;
	pair_run_for(pair, 12 * MS);
	pair_expect_state(pair, PAIR_S, REP_MODE_STANDBY, REP_REASON_PEER_SILENT);
	pair->cut[PAIR_S] = false;
	pair_run_for(pair, 2 * MS);
	pair_expect_state(pair, PAIR_S, REP_MODE_STANDBY, REP_REASON_NONE);
	pair_free(pair);
}

static void cut_when_only_one_way_then_peer_deaf(void **state)
{
	struct pair *pair = pair_new_paired();
	pair->cut[PAIR_S] = true;
	pair_run_for(pair, 9 * MS);
	pair_expect_state(pair, PAIR_P, REP_MODE_PAIRED, REP_REASON_NONE);
	pair_run_for(pair, 3 * MS);
	pair_expect_state(pair, PAIR_P, REP_MODE_BLOCKED, REP_REASON_PEER_DEAF);
	pair->cut[PAIR_S] = false;
	pair_run_for(pair, 3 * MS);
	pair_expect_state(pair, PAIR_P, REP_MODE_PAIRED, REP_REASON_NONE);
	pair_free(pair);
}

static void cut_when_the_other_way_then_peer_silent(void **state)
{
	struct pair *pair = pair_new_paired();
	pair->cut[PAIR_P] = true;
	pair_run_for(pair, 12 * MS);
	pair_expect_state(pair, PAIR_P, REP_MODE_BLOCKED, REP_REASON_PEER_SILENT);
	pair_expect_state(pair, PAIR_S, REP_MODE_STANDBY, REP_REASON_NONE);
	pair_free(pair);
}

static void cut_when_shorter_than_the_window_then_only_a_pause(void **state)
{
	struct pair *pair = pair_new_paired();
	pair->cut[PAIR_P] = pair->cut[PAIR_S] = true;
	pair_poll(pair, PAIR_P, 3);
	pair_run_for(pair, 8 * MS);
	pair->cut[PAIR_P] = pair->cut[PAIR_S] = false;
	pair_run_for(pair, 20 * MS);
	pair_expect_state(pair, PAIR_P, REP_MODE_PAIRED, REP_REASON_NONE);
	assert_int_equal(core_of(pair, PAIR_P)->stats.times_blocked, 0);
	assert_int_equal(pair->nodes[PAIR_P].committed, 3);
	pair_free(pair);
}

static void cut_when_healed_after_long_then_caught_up_within_milliseconds(void **state)
{
	const uint64_t lengths_ns[] = {15 * MS, 300 * MS, 60000 * MS};
	for (int i = 0; i < 3; i++) {
		struct pair *pair = pair_new_paired();
		pair->quiet = true;
		pair->cut[PAIR_P] = pair->cut[PAIR_S] = true;
		pair_poll(pair, PAIR_P, 8);
		pair_run_for(pair, lengths_ns[i]);
		pair_expect_state(pair, PAIR_P, REP_MODE_BLOCKED, REP_REASON_PEER_SILENT);
		assert_int_equal(pair->nodes[PAIR_P].committed, 0);
		pair->cut[PAIR_P] = pair->cut[PAIR_S] = false;
		pair_run_for(pair, 5 * MS);
		pair_expect_state(pair, PAIR_P, REP_MODE_PAIRED, REP_REASON_NONE);
		assert_int_equal(pair->nodes[PAIR_P].committed, 8);
		pair_poll(pair, PAIR_P, 2);
		pair_run_for(pair, MS);
		assert_int_equal(pair->nodes[PAIR_P].committed, 10);
		pair_free(pair);
	}
}

static void blocked_when_acks_come_then_commits_only_after_it_is_level(void **state)
{
	/* Entries acknowledged while BLOCKED are answered when the pair is level, not before. */
	struct pair *pair = pair_new_paired();
	pair->cut[PAIR_P] = true;
	pair_poll(pair, PAIR_P, 2);
	pair_run_for(pair, 12 * MS);
	pair_expect_state(pair, PAIR_P, REP_MODE_BLOCKED, REP_REASON_PEER_SILENT);
	assert_int_equal(core_of(pair, PAIR_S)->last_sequence, 2);
	assert_int_equal(pair->nodes[PAIR_P].committed, 0);
	assert_int_equal(pair->nodes[PAIR_P].confirmed_frame, 0);
	pair->cut[PAIR_P] = false;
	pair_run_for(pair, 2 * MS);
	pair_expect_state(pair, PAIR_P, REP_MODE_PAIRED, REP_REASON_NONE);
	assert_int_equal(pair->nodes[PAIR_P].committed, 2);
	pair_free(pair);
}

/* --- Whose fault it is --- */

static void own_gap_when_loop_was_late_then_peer_is_not_accused(void **state)
{
	struct pair *pair = pair_new_paired();
	pair->nodes[PAIR_P].paused = true;
	pair_run_for(pair, 500 * MS);
	pair->nodes[PAIR_P].paused = false;
	pair_poll(pair, PAIR_P, 0);
	pair_expect_state(pair, PAIR_P, REP_MODE_PAIRED, REP_REASON_NONE);
	assert_int_equal(core_of(pair, PAIR_P)->stats.own_gaps, 1);
	pair_run_for(pair, 20 * MS);
	pair_expect_state(pair, PAIR_P, REP_MODE_PAIRED, REP_REASON_NONE);
	assert_int_equal(core_of(pair, PAIR_P)->stats.times_blocked, 0);
	pair_free(pair);
}

static void own_gap_when_the_peer_is_lost_already_then_it_stays_lost(void **state)
{
	struct pair *pair = pair_new_paired();
	pair->nodes[PAIR_S].paused = true;
	pair_run_for(pair, 30 * MS);
	pair_expect_state(pair, PAIR_P, REP_MODE_BLOCKED, REP_REASON_PEER_SILENT);
	pair->nodes[PAIR_P].paused = true;
	pair_run_for(pair, 500 * MS);
	pair->nodes[PAIR_P].paused = false;
	pair_poll(pair, PAIR_P, 0);
	assert_int_equal(core_of(pair, PAIR_P)->stats.own_gaps, 1);
	pair_expect_state(pair, PAIR_P, REP_MODE_BLOCKED, REP_REASON_PEER_SILENT);
	pair->nodes[PAIR_S].paused = false;
	pair_run_for(pair, 30 * MS);
	pair_expect_state(pair, PAIR_P, REP_MODE_PAIRED, REP_REASON_NONE);
	pair_free(pair);
}

static void own_gap_when_the_queue_was_not_drained_then_no_accusation(void **state)
{
	struct pair *pair = pair_new_paired();
	pair->nodes[PAIR_S].paused = true;
	pair->nodes[PAIR_P].undrained = true;
	pair_run_for(pair, 30 * MS);
	pair_expect_state(pair, PAIR_P, REP_MODE_PAIRED, REP_REASON_NONE);
	pair->nodes[PAIR_P].undrained = false;
	pair_run_for(pair, 2 * MS);
	pair_expect_state(pair, PAIR_P, REP_MODE_BLOCKED, REP_REASON_PEER_SILENT);
	pair_free(pair);
}

static void own_gap_when_it_is_over_then_round_trip_estimate_is_not_spoilt(void **state)
{
	/* The echo lay in our queue while we were away: it does not measure the wire. */
	struct pair *pair = pair_new_paired();
	pair->quiet = true;
	pair_run_for(pair, 5 * MS);
	uint64_t rto_before = core_of(pair, PAIR_P)->rtt_ns;
	for (int i = 0; i < 5; i++) {
		pair->nodes[PAIR_P].paused = true;
		pair_run_for(pair, 1000 * MS);
		pair->nodes[PAIR_P].paused = false;
		pair_run_for(pair, 5 * MS);
	}
	assert_true(core_of(pair, PAIR_P)->rtt_ns < 2 * rto_before + 100 * US);
	pair_free(pair);
}

static void heard_when_frame_is_old_then_proves_nothing(void **state)
{
	/* N20: a duplicate of an earlier heartbeat does not keep the pair alive. */
	struct pair *pair = pair_new_paired();
	pair_run_for(pair, 150 * US);
	struct rep_header old = {
		.version = REP_FRAME_VERSION,
		.type = REP_FRAME_HEARTBEAT,
		.source = PAIR_S,
		.destination = PAIR_P,
		.cluster_tag = 7,
		.epoch = 5,
		.source_incarnation = pair->nodes[PAIR_S].config.incarnation,
		.destination_incarnation = pair->nodes[PAIR_P].config.incarnation,
		.frame_number = 1,
		.heard_frame = 1,
		.flags = REP_FLAG_LINK_UP,
	};
	pair->cut[PAIR_P] = true;
	for (int i = 0; i < 12; i++) {
		pair_inject(pair, PAIR_P, &old);
		pair_poll(pair, PAIR_P, 0);
		pair_run_for(pair, MS);
	}
	pair_expect_state(pair, PAIR_P, REP_MODE_BLOCKED, REP_REASON_PEER_SILENT);
	pair_free(pair);
}

/* --- Lives --- */

static void restart_when_standby_had_acknowledged_then_primary_stays_blocked(void **state)
{
	struct pair *pair = pair_new_paired();
	pair->quiet = true;
	pair_poll(pair, PAIR_P, 3);
	pair_run_for(pair, MS);
	assert_int_equal(pair->nodes[PAIR_P].committed, 3);
	pair_boot(pair, PAIR_S);
	pair_run_for(pair, 50 * MS);
	pair_expect_state(pair, PAIR_P, REP_MODE_BLOCKED, REP_REASON_PEER_LOST_MEMORY);
	assert_int_equal(rep_core_room(core_of(pair, PAIR_P)), 0);
	assert_int_equal(core_of(pair, PAIR_S)->last_sequence, 0);
	/* And again: a second restart changes nothing. */
	pair_boot(pair, PAIR_S);
	pair_run_for(pair, 50 * MS);
	pair_expect_state(pair, PAIR_P, REP_MODE_BLOCKED, REP_REASON_PEER_LOST_MEMORY);
	pair_free(pair);
}

static void restart_when_nothing_was_acknowledged_then_pairs_and_resends(void **state)
{
	struct pair *pair = pair_new_paired();
	pair->cut[PAIR_P] = true;
	pair_poll(pair, PAIR_P, 3);
	pair_run_for(pair, MS);
	assert_int_equal(core_of(pair, PAIR_S)->last_sequence, 3);
	pair_boot(pair, PAIR_S);
	pair->cut[PAIR_P] = false;
	pair_run_for(pair, 10 * MS);
	pair_expect_state(pair, PAIR_P, REP_MODE_PAIRED, REP_REASON_NONE);
	assert_int_equal(core_of(pair, PAIR_S)->last_sequence, 3);
	assert_int_equal(pair->nodes[PAIR_P].committed, 3);
	pair_free(pair);
}

static void
restart_when_primary_is_new_and_standby_holds_entries_then_they_are_taken_over(void **state)
{
	struct pair *pair = pair_new_paired();
	pair_poll(pair, PAIR_P, 3);
	pair_run_for(pair, MS);
	pair_boot(pair, PAIR_P);
	pair_run_for(pair, 50 * MS);
	pair_expect_state(pair, PAIR_P, REP_MODE_PAIRED, REP_REASON_NONE);
	pair_expect_state(pair, PAIR_S, REP_MODE_STANDBY, REP_REASON_NONE);
	assert_int_equal(core_of(pair, PAIR_P)->last_sequence, 3);
	assert_int_equal(core_of(pair, PAIR_P)->stats.entries_merged, 3);
	pair_free(pair);
}

static void restart_when_primary_is_new_and_standby_is_empty_then_pairs(void **state)
{
	struct pair *pair = pair_new_paired();
	pair_boot(pair, PAIR_P);
	pair_run_for(pair, 10 * MS);
	pair_expect_state(pair, PAIR_P, REP_MODE_PAIRED, REP_REASON_NONE);
	pair_poll(pair, PAIR_P, 2);
	pair_run_for(pair, 2 * MS);
	assert_int_equal(pair->nodes[PAIR_P].committed, 2);
	pair_free(pair);
}

static void restart_when_standby_kept_entries_beyond_a_gap_then_they_are_forgotten(void **state)
{
	/* 2-3 of the old primary wait behind the lost 1; the new primary writes other ones there.
	 */
	struct pair *pair = pair_new_paired();
	pair_poll(pair, PAIR_P, 1);
	pair_poll(pair, PAIR_P, 2);
	pair_lose(pair, PAIR_S);
	pair->cut[PAIR_S] = pair->cut[PAIR_P] = true;
	pair_run_for(pair, 500 * US);
	assert_int_equal(core_of(pair, PAIR_S)->highest, 3);
	assert_int_equal(core_of(pair, PAIR_S)->last_sequence, 0);
	pair_boot(pair, PAIR_P);
	pair->cut[PAIR_S] = pair->cut[PAIR_P] = false;
	pair_run_for(pair, 10 * MS);
	pair_expect_state(pair, PAIR_P, REP_MODE_PAIRED, REP_REASON_NONE);
	pair_poll(pair, PAIR_P, 1);
	pair_run_for(pair, 2 * MS);
	assert_int_equal(core_of(pair, PAIR_S)->last_sequence, 1);
	pair_poll(pair, PAIR_P, 4);
	pair_run_for(pair, 2 * MS);
	assert_int_equal(core_of(pair, PAIR_S)->last_sequence, 5);
	assert_int_equal(pair->nodes[PAIR_P].committed, 5);
	pair_free(pair);
}

static void lives_when_frames_of_an_older_one_arrive_then_dropped(void **state)
{
	struct pair *pair = pair_new_paired();
	pair->cut[PAIR_P] = true;
	pair_poll(pair, PAIR_P, 2);
	pair_run_for(pair, 200 * US);
	pair->cut[PAIR_P] = false;
	/* An ACK of the standby's first life is still on its way when its second begins. */
	pair_poll(pair, PAIR_P, 1);
	pair_deliver_all(pair, PAIR_S);
	pair_poll(pair, PAIR_S, 0);
	assert_int_equal(pair->wire[PAIR_P].count, 1);
	pair->wire[PAIR_P].frames[0].due_ns = pair->now_ns + 20 * MS;
	pair_boot(pair, PAIR_S);
	pair->cut[PAIR_S] = true;
	pair_run_for(pair, 5 * MS);
	assert_int_equal(core_of(pair, PAIR_P)->acked, 0);
	uint64_t dropped = core_of(pair, PAIR_P)->stats.dropped_other_life;
	pair_run_for(pair, 16 * MS);
	assert_int_equal(core_of(pair, PAIR_P)->stats.dropped_other_life, dropped + 1);
	assert_int_equal(core_of(pair, PAIR_P)->acked, 0);
	assert_int_equal(pair->nodes[PAIR_P].committed, 0);
	pair_free(pair);
}

static void lives_when_a_late_hello_of_an_older_one_arrives_then_it_stays_dead(void **state)
{
	struct pair *pair = pair_new();
	pair_boot(pair, PAIR_P);
	pair_boot(pair, PAIR_S);
	pair->nodes[PAIR_P].paused = true;
	pair_run_for(pair, 300 * US);
	struct pair_frame late = pair->wire[PAIR_P].count > 0 ? pair->wire[PAIR_P].frames[0]
							      : pair->nodes[PAIR_P].inbox.frames[0];
	pair_boot(pair, PAIR_S);
	pair->nodes[PAIR_P].paused = false;
	pair_run_for(pair, 3 * MS);
	pair_expect_state(pair, PAIR_P, REP_MODE_PAIRED, REP_REASON_NONE);
	uint64_t life = core_of(pair, PAIR_P)->peer_incarnation;
	pair->nodes[PAIR_P].inbox.frames[pair->nodes[PAIR_P].inbox.count++] = late;
	pair_poll(pair, PAIR_P, 0);
	pair_expect_state(pair, PAIR_P, REP_MODE_PAIRED, REP_REASON_NONE);
	assert_int_equal(core_of(pair, PAIR_P)->peer_incarnation, life);
	assert_int_equal(core_of(pair, PAIR_P)->stats.dropped_other_life, 1);
	pair_free(pair);
}

static void goodbye_when_standby_leaves_then_blocked_at_once_and_its_life_is_over(void **state)
{
	struct pair *pair = pair_new_paired();
	struct rep_update update;
	rep_core_leave(core_of(pair, PAIR_S), &update);
	assert_int_equal(update.send_count, 1);
	assert_int_equal(update.send[0].type, REP_FRAME_GOODBYE);
	assert_int_equal(core_of(pair, PAIR_S)->mode, REP_MODE_HALTED);
	assert_int_equal(rep_core_deadline_ns(core_of(pair, PAIR_S)), UINT64_MAX);
	struct rep_header header;
	rep_core_header(core_of(pair, PAIR_S), &update.send[0], pair->now_ns, &header);
	pair->nodes[PAIR_S].paused = true;
	pair_inject(pair, PAIR_P, &header);
	pair_poll(pair, PAIR_P, 0);
	pair_expect_state(pair, PAIR_P, REP_MODE_BLOCKED, REP_REASON_PEER_LEFT);
	/* A frame of the life that said goodbye counts for nothing. */
	header.type = REP_FRAME_HEARTBEAT;
	header.frame_number++;
	pair_inject(pair, PAIR_P, &header);
	pair_poll(pair, PAIR_P, 0);
	pair_expect_state(pair, PAIR_P, REP_MODE_BLOCKED, REP_REASON_PEER_LEFT);
	pair_boot(pair, PAIR_S);
	pair_run_for(pair, 5 * MS);
	pair_expect_state(pair, PAIR_P, REP_MODE_PAIRED, REP_REASON_NONE);
	pair_free(pair);
}

static void halt_when_entry_does_not_fit_then_takes_no_part(void **state)
{
	struct pair *pair = pair_new_paired();
	rep_core_halt(core_of(pair, PAIR_S), REP_REASON_BAD_ENTRY);
	pair->nodes[PAIR_S].mode = REP_MODE_HALTED;
	pair->nodes[PAIR_S].reason = REP_REASON_BAD_ENTRY;
	pair_poll(pair, PAIR_P, 2);
	pair_run_for(pair, 12 * MS);
	pair_expect_state(pair, PAIR_S, REP_MODE_HALTED, REP_REASON_BAD_ENTRY);
	pair_expect_state(pair, PAIR_P, REP_MODE_BLOCKED, REP_REASON_PEER_SILENT);
	assert_int_equal(core_of(pair, PAIR_S)->last_sequence, 0);
	pair_free(pair);
}

/* --- What does not go together --- */

static struct pair *run_mismatched(void (*change)(struct rep_core_config *standby))
{
	struct pair *pair = pair_new();
	change(&pair->nodes[PAIR_S].config);
	pair_boot(pair, PAIR_P);
	pair_boot(pair, PAIR_S);
	pair_run_for(pair, 20 * MS);
	assert_int_equal(rep_core_room(core_of(pair, PAIR_P)), 0);
	/* A HELLO each interval and one for the first meeting; not an endless exchange. */
	assert_true(core_of(pair, PAIR_P)->frame_number <= 25);
	assert_true(core_of(pair, PAIR_S)->frame_number <= 25);
	return pair;
}

static void make_primary(struct rep_core_config *config)
{
	config->role = REP_PRIMARY;
}
static void change_digest(struct rep_core_config *config)
{
	config->config_digest++;
}
static void raise_epoch(struct rep_core_config *config)
{
	config->epoch++;
}

static void mismatch_when_both_are_primary_then_role_conflict(void **state)
{
	struct pair *pair = run_mismatched(make_primary);
	pair_expect_state(pair, PAIR_P, REP_MODE_BLOCKED, REP_REASON_ROLE_CONFLICT);
	pair_expect_state(pair, PAIR_S, REP_MODE_BLOCKED, REP_REASON_ROLE_CONFLICT);
	pair_free(pair);
}

static void mismatch_when_settings_differ_then_config_mismatch(void **state)
{
	struct pair *pair = run_mismatched(change_digest);
	pair_expect_state(pair, PAIR_P, REP_MODE_BLOCKED, REP_REASON_CONFIG_MISMATCH);
	pair_expect_state(pair, PAIR_S, REP_MODE_STANDBY, REP_REASON_CONFIG_MISMATCH);
	/* Restarted with the right settings it is taken. */
	pair->nodes[PAIR_S].config.config_digest--;
	pair_boot(pair, PAIR_S);
	pair_run_for(pair, 5 * MS);
	pair_expect_state(pair, PAIR_P, REP_MODE_PAIRED, REP_REASON_NONE);
	pair_free(pair);
}

static void mismatch_when_epochs_differ_then_epoch_mismatch(void **state)
{
	struct pair *pair = run_mismatched(raise_epoch);
	pair_expect_state(pair, PAIR_P, REP_MODE_BLOCKED, REP_REASON_EPOCH_MISMATCH);
	pair_expect_state(pair, PAIR_S, REP_MODE_STANDBY, REP_REASON_EPOCH_MISMATCH);
	pair_free(pair);
}

static void standby_that_holds_nothing_when_the_primary_restarts_then_follows_its_epoch(void **state
)
{
	struct pair *pair = pair_new();
	uint32_t epoch = pair->nodes[PAIR_P].config.epoch;
	pair->nodes[PAIR_S].config.epoch = 0; /* any */
	pair_boot(pair, PAIR_P);
	pair_boot(pair, PAIR_S);
	pair_run_for(pair, 20 * MS);
	pair_expect_state(pair, PAIR_P, REP_MODE_PAIRED, REP_REASON_NONE);
	assert_int_equal(core_of(pair, PAIR_S)->epoch, epoch);
	pair_boot(pair, PAIR_P);
	pair_run_for(pair, 20 * MS);
	pair_expect_state(pair, PAIR_P, REP_MODE_PAIRED, REP_REASON_NONE);
	assert_int_equal(core_of(pair, PAIR_S)->epoch, epoch + 2);
	pair_free(pair);
}

static struct rep_header foreign_ack(const struct pair *pair, uint32_t epoch)
{
	return (struct rep_header){
		.version = REP_FRAME_VERSION,
		.type = REP_FRAME_ACK,
		.source = PAIR_S,
		.destination = PAIR_P,
		.cluster_tag = 7,
		.epoch = epoch,
		.source_incarnation = pair->nodes[PAIR_S].config.incarnation,
		.destination_incarnation = pair->nodes[PAIR_P].config.incarnation,
		.frame_number = 1000,
		.heard_frame = 1,
		.position = 2,
		.flags = REP_FLAG_LINK_UP,
	};
}

static void epoch_when_a_frame_is_stale_then_dropped_and_told_so_at_most_each_interval(void **state)
{
	struct pair *pair = pair_new_paired();
	pair_poll(pair, PAIR_P, 2);
	pair_forget(pair);
	for (int i = 0; i < 10; i++) {
		struct rep_header header = foreign_ack(pair, 4);
		pair_inject(pair, PAIR_P, &header);
		pair_poll(pair, PAIR_P, 0);
	}
	pair_expect(pair, "P 3500us: send STALE\n");
	assert_int_equal(core_of(pair, PAIR_P)->acked, 0);
	assert_int_equal(core_of(pair, PAIR_P)->stats.dropped_epoch_stale, 10);
	pair_free(pair);
}

static void epoch_when_a_frame_is_higher_then_dropped_and_counted(void **state)
{
	struct pair *pair = pair_new_paired();
	pair_poll(pair, PAIR_P, 2);
	pair_forget(pair);
	struct rep_header header = foreign_ack(pair, 6);
	pair_inject(pair, PAIR_P, &header);
	pair_poll(pair, PAIR_P, 0);
	pair_expect(pair, "");
	assert_int_equal(core_of(pair, PAIR_P)->acked, 0);
	assert_int_equal(core_of(pair, PAIR_P)->stats.dropped_epoch_higher, 1);
	pair_free(pair);
}

static void ack_when_it_names_what_was_never_sent_then_dropped(void **state)
{
	struct pair *pair = pair_new_paired();
	struct rep_header header = foreign_ack(pair, 5);
	header.position = 1;
	pair_inject(pair, PAIR_P, &header);
	pair_poll(pair, PAIR_P, 0);
	assert_int_equal(core_of(pair, PAIR_P)->stats.dropped_bad_ack, 1);
	assert_int_equal(core_of(pair, PAIR_P)->acked, 0);
	pair_free(pair);
}

/* --- Reads --- */

static void read_when_it_arrives_then_only_an_echo_of_a_later_frame_confirms(void **state)
{
	struct pair *pair = pair_new_paired();
	struct pair_node *p = &pair->nodes[PAIR_P];
	pair_run_for(pair, 150 * US);
	pair_forget(pair);
	/* A heartbeat is under way to P that was sent before the read came. */
	pair->nodes[PAIR_S].core.echo_due = true;
	pair_poll(pair, PAIR_S, 0);
	uint64_t read_frame = rep_core_read_frame(&p->core);
	p->reads = true;
	pair_poll(pair, PAIR_P, 0);
	pair_deliver_all(pair, PAIR_P);
	pair_poll(pair, PAIR_P, 0);
	assert_true(p->confirmed_frame < read_frame);
	pair_deliver_all(pair, PAIR_S);
	pair_poll(pair, PAIR_S, 0);
	pair_deliver_all(pair, PAIR_P);
	pair_poll(pair, PAIR_P, 0);
	assert_true(p->confirmed_frame >= read_frame);
	pair_expect(
		pair,
		"S 3650us: send ACK 0\n"
		"P 3650us: send HEARTBEAT echo\n"
		"S 3650us: send ACK 0\n"
	);
	pair_free(pair);
}

static void read_when_entries_go_out_too_then_their_ack_confirms(void **state)
{
	struct pair *pair = pair_new_paired();
	struct pair_node *p = &pair->nodes[PAIR_P];
	uint64_t read_frame = rep_core_read_frame(&p->core);
	p->reads = true;
	pair_poll(pair, PAIR_P, 1);
	pair_deliver_all(pair, PAIR_S);
	pair_poll(pair, PAIR_S, 0);
	pair_deliver_all(pair, PAIR_P);
	pair_poll(pair, PAIR_P, 0);
	assert_true(p->confirmed_frame >= read_frame);
	pair_expect(
		pair,
		"P 3500us: append 1-1 send DATA 1-1\n"
		"S 3500us: append 1-1 send ACK 1\n"
		"P 3500us: commit 1\n"
	);
	pair_free(pair);
}

static void read_when_peer_restarts_then_its_echoes_start_over(void **state)
{
	struct pair *pair = pair_new_paired();
	struct pair_node *p = &pair->nodes[PAIR_P];
	pair_run_for(pair, 2 * MS);
	assert_true(p->confirmed_frame > 0);
	pair_boot(pair, PAIR_S);
	uint64_t read_frame = rep_core_read_frame(&p->core);
	pair_run_for(pair, 300 * US);
	assert_true(p->confirmed_frame < read_frame);
	pair_run_for(pair, 5 * MS);
	pair_expect_state(pair, PAIR_P, REP_MODE_PAIRED, REP_REASON_NONE);
	assert_true(p->confirmed_frame >= read_frame);
	pair_free(pair);
}

static void names_when_asked_then_every_reason_has_name_and_sentence(void **state)
{
	for (uint32_t i = 0; i < REP_REASONS; i++) {
		assert_non_null(rep_reason_name((enum rep_reason)i));
		assert_non_null(rep_reason_text((enum rep_reason)i));
		for (uint32_t k = 0; k < i; k++)
			assert_string_not_equal(
				rep_reason_name((enum rep_reason)i),
				rep_reason_name((enum rep_reason)k)
			);
	}
	assert_string_equal(rep_reason_name(REP_REASONS), "unknown");
	assert_string_equal(rep_reason_text(REP_REASONS), "unknown");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(silence_when_window_passes_then_blocked_and_not_before),
		cmocka_unit_test(
			silence_when_few_misses_are_allowed_then_still_detected_at_deadlines
		),
		cmocka_unit_test(silence_when_standby_hears_nothing_then_says_so_and_recovers),
		cmocka_unit_test(cut_when_only_one_way_then_peer_deaf),
		cmocka_unit_test(cut_when_the_other_way_then_peer_silent),
		cmocka_unit_test(cut_when_shorter_than_the_window_then_only_a_pause),
		cmocka_unit_test(cut_when_healed_after_long_then_caught_up_within_milliseconds),
		cmocka_unit_test(blocked_when_acks_come_then_commits_only_after_it_is_level),
		cmocka_unit_test(own_gap_when_loop_was_late_then_peer_is_not_accused),
		cmocka_unit_test(own_gap_when_the_peer_is_lost_already_then_it_stays_lost),
		cmocka_unit_test(own_gap_when_the_queue_was_not_drained_then_no_accusation),
		cmocka_unit_test(own_gap_when_it_is_over_then_round_trip_estimate_is_not_spoilt),
		cmocka_unit_test(heard_when_frame_is_old_then_proves_nothing),
		cmocka_unit_test(restart_when_standby_had_acknowledged_then_primary_stays_blocked),
		cmocka_unit_test(restart_when_nothing_was_acknowledged_then_pairs_and_resends),
		cmocka_unit_test(
			restart_when_primary_is_new_and_standby_holds_entries_then_they_are_taken_over
		),
		cmocka_unit_test(restart_when_primary_is_new_and_standby_is_empty_then_pairs),
		cmocka_unit_test(
			restart_when_standby_kept_entries_beyond_a_gap_then_they_are_forgotten
		),
		cmocka_unit_test(lives_when_frames_of_an_older_one_arrive_then_dropped),
		cmocka_unit_test(lives_when_a_late_hello_of_an_older_one_arrives_then_it_stays_dead
		),
		cmocka_unit_test(
			goodbye_when_standby_leaves_then_blocked_at_once_and_its_life_is_over
		),
		cmocka_unit_test(halt_when_entry_does_not_fit_then_takes_no_part),
		cmocka_unit_test(mismatch_when_both_are_primary_then_role_conflict),
		cmocka_unit_test(mismatch_when_settings_differ_then_config_mismatch),
		cmocka_unit_test(mismatch_when_epochs_differ_then_epoch_mismatch),
		cmocka_unit_test(
			standby_that_holds_nothing_when_the_primary_restarts_then_follows_its_epoch
		),
		cmocka_unit_test(
			epoch_when_a_frame_is_stale_then_dropped_and_told_so_at_most_each_interval
		),
		cmocka_unit_test(epoch_when_a_frame_is_higher_then_dropped_and_counted),
		cmocka_unit_test(ack_when_it_names_what_was_never_sent_then_dropped),
		cmocka_unit_test(read_when_it_arrives_then_only_an_echo_of_a_later_frame_confirms),
		cmocka_unit_test(read_when_entries_go_out_too_then_their_ack_confirms),
		cmocka_unit_test(read_when_peer_restarts_then_its_echoes_start_over),
		cmocka_unit_test(names_when_asked_then_every_reason_has_name_and_sentence),
	};
	return cmocka_run_group_tests(tests, NULL, NULL) != 0;
}
