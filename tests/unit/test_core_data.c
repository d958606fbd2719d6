/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The core as transcripts: pairing, updates, acknowledgements, loss and its repair.
 */
#include "tests/unit/pair.h"
#include "tests/unit/unit.h"

static void pair_when_both_start_then_greet_and_pair(void **state)
{
	struct pair *pair = pair_new();
	pair_boot(pair, PAIR_P);
	pair_boot(pair, PAIR_S);
	assert_int_equal(rep_core_room(&pair->nodes[PAIR_P].core), 0);
	pair_run_for(pair, 900 * US);
	pair_expect(
		pair,
		"P 1200us: send HELLO 0\n"
		"S 1200us: send HELLO 0\n"
		"P 1400us: send HELLO 0\n"
		"S 1400us: send HELLO 0\n"
		"P 1450us: ->PAIRED(none)\n"
		"S 1450us: ->STANDBY(none)\n"
		"P 1600us: send HELLO 0 up\n"
		"S 1600us: send HELLO 0 up\n"
	);
	assert_int_equal(rep_core_room(&pair->nodes[PAIR_P].core), 8);
	pair_free(pair);
}

static void pair_when_peer_comes_late_then_greets_every_interval_until_then(void **state)
{
	struct pair *pair = pair_new();
	pair_boot(pair, PAIR_P);
	pair_boot(pair, PAIR_S);
	pair->nodes[PAIR_S].paused = true;
	pair_run_for(pair, 3 * MS);
	pair_expect(
		pair,
		"P 1200us: send HELLO 0\n"
		"P 2200us: send HELLO 0\n"
		"P 3200us: send HELLO 0\n"
	);
	pair->nodes[PAIR_S].paused = false;
	pair_run_for(pair, MS);
	pair_expect(
		pair,
		"S 4000us: send HELLO 0\n"
		"P 4050us: ->PAIRED(none) send HELLO 0 up\n"
		"S 4100us: ->STANDBY(none)\n"
		"S 4200us: send HELLO 0 up\n"
	);
	pair_free(pair);
}

static void submit_when_paired_then_data_ack_commit(void **state)
{
	struct pair *pair = pair_new_paired();
	pair_poll(pair, PAIR_P, 1);
	pair_advance(pair, 50 * US);
	pair_deliver_all(pair, PAIR_S);
	pair_poll(pair, PAIR_S, 0);
	pair_advance(pair, 50 * US);
	pair_deliver_all(pair, PAIR_P);
	pair_poll(pair, PAIR_P, 0);
	pair_expect(
		pair,
		"P 3500us: append 1-1 send DATA 1-1\n"
		"S 3550us: append 1-1 send ACK 1\n"
		"P 3600us: commit 1\n"
	);
	pair_free(pair);
}

static void submit_when_several_then_one_ack_covers_all(void **state)
{
	struct pair *pair = pair_new_paired();
	pair_poll(pair, PAIR_P, 2);
	pair_poll(pair, PAIR_P, 6);
	pair_advance(pair, 50 * US);
	pair_deliver_all(pair, PAIR_S);
	pair_poll(pair, PAIR_S, 0);
	pair_deliver_all(pair, PAIR_P);
	pair_poll(pair, PAIR_P, 0);
	pair_expect(
		pair,
		"P 3500us: append 1-2 send DATA 1-2\n"
		"P 3500us: append 3-8 send DATA 3-6 DATA 7-8\n"
		"S 3550us: append 1-8 send ACK 8\n"
		"P 3550us: commit 8\n"
	);
	pair_free(pair);
}

static void loss_when_a_data_frame_is_lost_then_nak_and_resend(void **state)
{
	struct pair *pair = pair_new_paired();
	pair_poll(pair, PAIR_P, 1);
	pair_poll(pair, PAIR_P, 1);
	pair_poll(pair, PAIR_P, 1);
	pair_advance(pair, 50 * US);
	pair_deliver(pair, PAIR_S);
	pair_lose(pair, PAIR_S);
	pair_deliver(pair, PAIR_S);
	pair_poll(pair, PAIR_S, 0);
	pair_advance(pair, 50 * US);
	pair_deliver_all(pair, PAIR_P);
	pair_poll(pair, PAIR_P, 0);
	pair_advance(pair, 50 * US);
	pair_deliver_all(pair, PAIR_S);
	pair_poll(pair, PAIR_S, 0);
	pair_deliver_all(pair, PAIR_P);
	pair_poll(pair, PAIR_P, 0);
	pair_expect(
		pair,
		"P 3500us: append 1-1 send DATA 1-1\n"
		"P 3500us: append 2-2 send DATA 2-2\n"
		"P 3500us: append 3-3 send DATA 3-3\n"
		"S 3550us: append 1-1 send NAK 2-2 ACK 1\n"
		"P 3600us: commit 1 send DATA 2-2\n"
		"S 3650us: append 2-3 commit 1 send ACK 3\n"
		"P 3650us: commit 3\n"
	);
	pair_free(pair);
}

static void
loss_when_a_range_of_frames_arrives_in_two_polls_then_its_hole_is_named_at_once(void **state)
{
	/* 1-4 tells that 8 exists before 5-8 can have come: that is no reason to wait when a hole
	 * shows. */
	struct pair *pair = pair_new_paired();
	pair_poll(pair, PAIR_P, 6);
	pair_poll(pair, PAIR_P, 2);
	pair_advance(pair, 50 * US);
	pair_deliver(pair, PAIR_S);
	pair_poll(pair, PAIR_S, 0);
	pair_lose(pair, PAIR_S);
	pair_deliver(pair, PAIR_S);
	pair_poll(pair, PAIR_S, 0);
	pair_expect(
		pair,
		"P 3500us: append 1-6 send DATA 1-4 DATA 5-6\n"
		"P 3500us: append 7-8 send DATA 7-8\n"
		"S 3550us: append 1-4 send ACK 4\n"
		"S 3550us: send NAK 5-6 ACK 4\n"
	);
	pair_free(pair);
}

static void nak_when_an_ack_has_overtaken_it_then_nothing_is_resent(void **state)
{
	struct pair *pair = pair_new_paired();
	pair_poll(pair, PAIR_P, 1);
	pair_poll(pair, PAIR_P, 1);
	pair_poll(pair, PAIR_P, 3);
	pair_swap(pair, PAIR_S);
	pair_deliver(pair, PAIR_S);
	pair_poll(pair, PAIR_S, 0);
	pair_deliver(pair, PAIR_S);
	pair_poll(pair, PAIR_S, 0);
	/* NAK 1, ACK 0, ACK 2 are on the wire: the NAK comes last. */
	pair_duplicate(pair, PAIR_P);
	pair_lose(pair, PAIR_P);
	pair_deliver_all(pair, PAIR_P);
	pair_poll(pair, PAIR_P, 0);
	pair_expect(
		pair,
		"P 3500us: append 1-1 send DATA 1-1\n"
		"P 3500us: append 2-2 send DATA 2-2\n"
		"P 3500us: append 3-5 send DATA 3-5\n"
		"S 3500us: send NAK 1-1 ACK 0\n"
		"S 3500us: append 1-2 send ACK 2\n"
		"P 3500us: commit 2\n"
	);
	assert_int_equal(pair->nodes[PAIR_P].core.stats.naks_received, 1);
	pair_free(pair);
}

static void nak_when_many_holes_then_each_is_named(void **state)
{
	struct pair *pair = pair_new_paired();
	for (int i = 0; i < 8; i++)
		pair_poll(pair, PAIR_P, 1);
	for (int i = 0; i < 8; i++)
		i % 2 == 0 ? pair_lose(pair, PAIR_S) : pair_deliver(pair, PAIR_S);
	pair_forget(pair);
	pair_poll(pair, PAIR_S, 0);
	pair_deliver_all(pair, PAIR_P);
	pair_poll(pair, PAIR_P, 0);
	pair_deliver_all(pair, PAIR_S);
	pair_poll(pair, PAIR_S, 0);
	pair_expect(
		pair,
		"S 3500us: send NAK 1-1 NAK 3-3 NAK 5-5 NAK 7-7 ACK 0\n"
		"P 3500us: send DATA 1-1 DATA 3-3 DATA 5-5 DATA 7-7\n"
		"S 3500us: append 1-8 send ACK 8\n"
	);
	pair_free(pair);
}

static void nak_when_it_is_lost_then_repeated_after_the_round_trip_time(void **state)
{
	struct pair *pair = pair_new_paired();
	pair_poll(pair, PAIR_P, 1);
	pair_poll(pair, PAIR_P, 1);
	pair_lose(pair, PAIR_S);
	pair->cut[PAIR_P] = true;
	pair->nodes[PAIR_P].paused = true;
	pair_run_for(pair, 600 * US);
	pair_expect(
		pair,
		"P 3500us: append 1-1 send DATA 1-1\n"
		"P 3500us: append 2-2 send DATA 2-2\n"
		"S 3550us: send NAK 1-1 ACK 0\n"
		"S 3750us: send NAK 1-1\n"
		"S 3950us: send NAK 1-1\n"
	);
	pair_free(pair);
}

static void nak_when_its_numbers_are_absurd_then_harmless(void **state)
{
	struct pair *pair = pair_new_paired();
	struct rep_core *core = &pair->nodes[PAIR_P].core;
	pair_poll(pair, PAIR_P, 3);
	const struct rep_nak naks[] = {
		{0, 0}, {0, UINT64_MAX}, {UINT64_MAX, UINT64_MAX}, {UINT64_MAX, 1}, {4, 1}, {2, 0}};
	for (size_t i = 0; i < sizeof(naks) / sizeof(naks[0]); i++)
		pair_nak(pair, &naks[i]);
	pair_forget(pair);
	pair_poll(pair, PAIR_P, 0);
	pair_expect(pair, "P 3500us: send DATA 1-3\n");
	assert_int_equal(core->stats.naks_received, 6);
	assert_int_equal(core->stats.entries_resent, 3);
	pair_free(pair);
}

static void loss_when_the_tail_is_lost_then_timer_resends_with_back_off(void **state)
{
	struct pair *pair = pair_new_paired();
	pair->cut[PAIR_S] = true;
	pair_poll(pair, PAIR_P, 2);
	pair_run_for(pair, 5 * MS);
	pair_expect(
		pair,
		"P 3500us: append 1-2 send DATA 1-2\n"
		"S 3600us: send HEARTBEAT 0\n"
		"P 3700us: send DATA 1-2\n"
		"P 4100us: send DATA 1-2\n"
		"S 4600us: send HEARTBEAT 0\n"
		"P 4900us: send DATA 1-2\n"
		"S 5600us: send HEARTBEAT 0\n"
		"P 5900us: send HEARTBEAT\n"
		"P 6500us: send DATA 1-2\n"
		"S 6600us: send HEARTBEAT 0\n"
		"P 7500us: send HEARTBEAT\n"
		"S 7600us: send HEARTBEAT 0\n"
		"P 8500us: send HEARTBEAT\n"
	);
	pair->cut[PAIR_S] = false;
	pair_run_for(pair, 8 * MS);
	pair_expect(
		pair,
		"S 8600us: send HEARTBEAT 0\n"
		"P 9500us: send HEARTBEAT\n"
		"S 9600us: send HEARTBEAT 0\n"
		"P 9700us: send DATA 1-2\n"
		"S 9750us: append 1-2 send ACK 2\n"
		"P 9800us: commit 2\n"
		"P 10700us: send HEARTBEAT\n"
		"S 10750us: commit 2 send ACK 2\n"
		"P 11700us: send HEARTBEAT\n"
		"S 11750us: send HEARTBEAT 2\n"
		"P 12700us: send HEARTBEAT\n"
		"S 12750us: send HEARTBEAT 2\n"
		"P 13700us: send HEARTBEAT\n"
		"S 13750us: send HEARTBEAT 2\n"
		"P 14700us: send HEARTBEAT\n"
		"S 14750us: send HEARTBEAT 2\n"
		"P 15700us: send HEARTBEAT\n"
		"S 15750us: send HEARTBEAT 2\n"
	);
	pair_free(pair);
}

static void loss_when_an_ack_is_lost_then_the_next_covers_it(void **state)
{
	struct pair *pair = pair_new_paired();
	pair_poll(pair, PAIR_P, 1);
	pair_deliver_all(pair, PAIR_S);
	pair_poll(pair, PAIR_S, 0);
	pair_lose(pair, PAIR_P);
	pair_poll(pair, PAIR_P, 1);
	pair_deliver_all(pair, PAIR_S);
	pair_poll(pair, PAIR_S, 0);
	pair_deliver_all(pair, PAIR_P);
	pair_poll(pair, PAIR_P, 0);
	pair_expect(
		pair,
		"P 3500us: append 1-1 send DATA 1-1\n"
		"S 3500us: append 1-1 send ACK 1\n"
		"P 3500us: append 2-2 send DATA 2-2\n"
		"S 3500us: append 2-2 send ACK 2\n"
		"P 3500us: commit 2\n"
	);
	pair_free(pair);
}

static void loss_when_the_last_ack_is_lost_then_resend_is_answered(void **state)
{
	struct pair *pair = pair_new_paired();
	pair_poll(pair, PAIR_P, 1);
	pair_deliver_all(pair, PAIR_S);
	pair_poll(pair, PAIR_S, 0);
	pair_lose(pair, PAIR_P);
	pair_run_for(pair, 500 * US);
	pair_expect(
		pair,
		"P 3500us: append 1-1 send DATA 1-1\n"
		"S 3500us: append 1-1 send ACK 1\n"
		"P 3710us: send DATA 1-1\n"
		"S 3760us: send ACK 1\n"
		"P 3810us: commit 1\n"
	);
	assert_int_equal(pair->nodes[PAIR_S].core.stats.entries_duplicate, 1);
	pair_free(pair);
}

static void data_when_duplicated_then_stored_once_and_acknowledged(void **state)
{
	struct pair *pair = pair_new_paired();
	pair_poll(pair, PAIR_P, 3);
	pair_duplicate(pair, PAIR_S);
	pair_duplicate(pair, PAIR_S);
	pair_deliver(pair, PAIR_S);
	pair_deliver(pair, PAIR_S);
	pair_poll(pair, PAIR_S, 0);
	pair_deliver_all(pair, PAIR_S);
	pair_poll(pair, PAIR_S, 0);
	pair_duplicate(pair, PAIR_P);
	pair_deliver_all(pair, PAIR_P);
	pair_poll(pair, PAIR_P, 0);
	pair_expect(
		pair,
		"P 3500us: append 1-3 send DATA 1-3\n"
		"S 3500us: append 1-3 send ACK 3\n"
		"S 3500us: send ACK 3\n"
		"P 3500us: commit 3\n"
	);
	assert_int_equal(pair->nodes[PAIR_S].core.stats.entries_duplicate, 6);
	pair_free(pair);
}

static void data_when_reordered_within_a_poll_then_appended_in_order(void **state)
{
	struct pair *pair = pair_new_paired();
	pair_poll(pair, PAIR_P, 1);
	pair_poll(pair, PAIR_P, 2);
	pair_swap(pair, PAIR_S);
	pair_deliver_all(pair, PAIR_S);
	pair_poll(pair, PAIR_S, 0);
	pair_expect(
		pair,
		"P 3500us: append 1-1 send DATA 1-1\n"
		"P 3500us: append 2-3 send DATA 2-3\n"
		"S 3500us: append 1-3 send ACK 3\n"
	);
	pair_free(pair);
}

static void data_when_reordered_over_polls_then_kept_until_the_gap_is_filled(void **state)
{
	struct pair *pair = pair_new_paired();
	pair_poll(pair, PAIR_P, 1);
	pair_poll(pair, PAIR_P, 2);
	pair_swap(pair, PAIR_S);
	pair_deliver(pair, PAIR_S);
	pair_poll(pair, PAIR_S, 0);
	pair_deliver(pair, PAIR_S);
	pair_poll(pair, PAIR_S, 0);
	pair_expect(
		pair,
		"P 3500us: append 1-1 send DATA 1-1\n"
		"P 3500us: append 2-3 send DATA 2-3\n"
		"S 3500us: send NAK 1-1 ACK 0\n"
		"S 3500us: append 1-3 send ACK 3\n"
	);
	assert_int_equal(pair->nodes[PAIR_S].core.stats.entries_out_of_order, 2);
	pair_free(pair);
}

static void window_when_full_then_no_room_until_an_ack(void **state)
{
	struct pair *pair = pair_new_paired();
	const struct rep_core *core = &pair->nodes[PAIR_P].core;
	pair_poll(pair, PAIR_P, 5);
	assert_int_equal(rep_core_room(core), 3);
	pair_poll(pair, PAIR_P, 3);
	assert_int_equal(rep_core_room(core), 0);
	pair_deliver(pair, PAIR_S);
	pair_poll(pair, PAIR_S, 0);
	pair_deliver_all(pair, PAIR_P);
	pair_poll(pair, PAIR_P, 0);
	assert_int_equal(core->acked, 4);
	assert_int_equal(rep_core_room(core), 4);
	pair_free(pair);
}

static void arena_when_own_consumers_lag_then_room_ends_at_its_slots(void **state)
{
	struct pair *pair = pair_new_paired();
	struct pair_node *p = &pair->nodes[PAIR_P];
	p->passed_is_held = true;
	pair_poll(pair, PAIR_P, 8);
	pair_run_for(pair, 300 * US);
	assert_int_equal(p->committed, 8);
	pair_poll(pair, PAIR_P, 8);
	pair_run_for(pair, 300 * US);
	assert_int_equal(p->committed, 16);
	assert_int_equal(rep_core_room(&p->core), 0);
	p->passed = 5;
	pair_poll(pair, PAIR_P, 0);
	assert_int_equal(rep_core_room(&p->core), 5);
	pair_free(pair);
}

static void arena_when_standbys_consumers_lag_then_primary_waits_for_its_limit(void **state)
{
	struct pair *pair = pair_new_paired();
	struct pair_node *p = &pair->nodes[PAIR_P], *s = &pair->nodes[PAIR_S];
	s->passed_is_held = true;
	pair_poll(pair, PAIR_P, 8);
	pair_run_for(pair, 300 * US);
	pair_poll(pair, PAIR_P, 8);
	pair_run_for(pair, 300 * US);
	assert_int_equal(p->committed, 16);
	pair_forget(pair);
	pair_poll(pair, PAIR_P, 4);
	pair_run_for(pair, 3 * MS);
	assert_int_equal(p->committed, 16);
	assert_false(pair_said(pair, "DATA"));
	pair_forget(pair);
	s->passed = 2;
	pair_run_for(pair, 1500 * US);
	assert_int_equal(p->committed, 18);
	assert_true(pair_said(pair, "send DATA 17-18\n"));
	s->passed_is_held = false;
	pair_run_for(pair, 1500 * US);
	assert_int_equal(p->committed, 20);
	assert_int_equal(s->core.stats.entries_no_room, 0);
	pair_free(pair);
}

static void idle_when_nothing_happens_then_heartbeats_keep_the_pair(void **state)
{
	struct pair *pair = pair_new_paired();
	pair_run_for(pair, 3 * MS);
	pair_expect(
		pair,
		"P 3600us: send HEARTBEAT\n"
		"S 3600us: send HEARTBEAT 0\n"
		"P 4600us: send HEARTBEAT\n"
		"S 4600us: send HEARTBEAT 0\n"
		"P 5600us: send HEARTBEAT\n"
		"S 5600us: send HEARTBEAT 0\n"
	);
	pair_run_for(pair, 200 * MS);
	pair_expect_state(pair, PAIR_P, REP_MODE_PAIRED, REP_REASON_NONE);
	assert_int_equal(pair->nodes[PAIR_P].core.stats.times_blocked, 0);
	pair_free(pair);
}

static void commit_when_standby_hears_it_then_follows(void **state)
{
	struct pair *pair = pair_new_paired();
	pair_poll(pair, PAIR_P, 2);
	pair_run_for(pair, 2 * MS);
	pair_expect(
		pair,
		"P 3500us: append 1-2 send DATA 1-2\n"
		"S 3550us: append 1-2 send ACK 2\n"
		"P 3600us: commit 2\n"
		"P 4500us: send HEARTBEAT\n"
		"S 4550us: commit 2 send ACK 2\n"
		"P 5500us: send HEARTBEAT\n"
	);
	assert_int_equal(pair->nodes[PAIR_S].committed, 2);
	pair_free(pair);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pair_when_both_start_then_greet_and_pair),
		cmocka_unit_test(pair_when_peer_comes_late_then_greets_every_interval_until_then),
		cmocka_unit_test(submit_when_paired_then_data_ack_commit),
		cmocka_unit_test(submit_when_several_then_one_ack_covers_all),
		cmocka_unit_test(loss_when_a_data_frame_is_lost_then_nak_and_resend),
		cmocka_unit_test(
			loss_when_a_range_of_frames_arrives_in_two_polls_then_its_hole_is_named_at_once
		),
		cmocka_unit_test(nak_when_an_ack_has_overtaken_it_then_nothing_is_resent),
		cmocka_unit_test(nak_when_many_holes_then_each_is_named),
		cmocka_unit_test(nak_when_it_is_lost_then_repeated_after_the_round_trip_time),
		cmocka_unit_test(nak_when_its_numbers_are_absurd_then_harmless),
		cmocka_unit_test(loss_when_the_tail_is_lost_then_timer_resends_with_back_off),
		cmocka_unit_test(loss_when_an_ack_is_lost_then_the_next_covers_it),
		cmocka_unit_test(loss_when_the_last_ack_is_lost_then_resend_is_answered),
		cmocka_unit_test(data_when_duplicated_then_stored_once_and_acknowledged),
		cmocka_unit_test(data_when_reordered_within_a_poll_then_appended_in_order),
		cmocka_unit_test(data_when_reordered_over_polls_then_kept_until_the_gap_is_filled),
		cmocka_unit_test(window_when_full_then_no_room_until_an_ack),
		cmocka_unit_test(arena_when_own_consumers_lag_then_room_ends_at_its_slots),
		cmocka_unit_test(arena_when_standbys_consumers_lag_then_primary_waits_for_its_limit
		),
		cmocka_unit_test(idle_when_nothing_happens_then_heartbeats_keep_the_pair),
		cmocka_unit_test(commit_when_standby_hears_it_then_follows),
	};
	return cmocka_run_group_tests(tests, NULL, NULL) != 0;
}
