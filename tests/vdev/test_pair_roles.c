/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Who answers what, and what both nodes agree on: NOT_PRIMARY, faults of the link, digests at equal
 * sequences, and control's rings.
 */
#include "config/bytes.h"
#include "tests/vdev/pair.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { OK, REJECTED, NOT_PRIMARY, BUSY, BAD_REQUEST, FORGOTTEN, UNAUTHORIZED, OVERLOADED };
enum { ADD = 1, SET, GET, CAS };

static uint64_t random_state;

static uint32_t draw(uint32_t below)
{
	random_state = random_state * 6364136223846793005ull + 1442695040888963407ull;
	return (uint32_t)(random_state >> 33) % below;
}

static void standby_when_asked_then_names_its_primary_while_it_hears_it(void **state)
{
	struct pair *pair = pair_make(NULL);
	struct pair_client client = pair_open_session(pair, 1);
	struct pair_datagram datagram = {0};
	pair_add_simple(&datagram, &client, 7, ADD, 1);
	pair_add_simple(&datagram, &client, 7, GET, 0);
	pair_add_open(&datagram, 5);
	pair_add_close(&datagram, client.id);
	pair_send(pair, 1, &client, &datagram);
	static const uint8_t hint[6] = {10, 77, 0, 1, 9400 & 0xff, 9400 >> 8};
	for (unsigned i = 0; i < 3; i++) {
		const struct pair_answer *answer = pair_wait(pair);
		assert_int_equal(answer->node, 1);
		assert_int_equal(answer->template_id, i < 2 ? 2 : 4);
		assert_int_equal(answer->status, NOT_PRIMARY);
		assert_int_equal(answer->sequence, 0);
		assert_int_equal(answer->payload_bytes, 6);
		assert_memory_equal(answer->payload, hint, 6);
	}
	assert_int_equal(pair_counters(pair, 1)->refused_not_primary, 3);
	assert_int_equal(pair_sequencer(pair, 0)->sessions.count, 1);
	assert_int_equal(pair_call(pair, &client, 7, ADD, 1)->status, OK);
	pair_end(pair);
}

static enum pair_verdict drop_all(struct pair *pair, int from, uint8_t *frame, uint32_t *bytes)
{
	return PAIR_DROP;
}

static enum pair_verdict drop_acks(struct pair *pair, int from, uint8_t *frame, uint32_t *bytes)
{
	return from == 1 ? PAIR_DROP : PAIR_PASS;
}

static void quick(struct cfg_settings *settings, int node)
{
	settings->replication.heartbeat_interval_ns = 5000000;
	settings->replication.heartbeat_misses = 40;
}

/* inv. 8, inv. 10: nothing is answered OK, nothing sequenced, and what was under way is not lost.
 */
static void cut_and_heal(struct pair *pair, struct pair_client *client)
{
	struct pair_datagram under_way = {0}, datagram = {0};
	pair_add_simple(&under_way, client, 7, ADD, 1);
	pair_send(pair, 0, client, &under_way);
	PAIR_UNTIL(pair, !pair_is_paired(pair));
	assert_null(pair_next(pair));
	uint64_t sequence = pair_sequencer(pair, 0)->core.last_sequence;
	pair_add_update(&datagram, client->id, 1000, 1000, 7, ADD, 0, "12345678", 8);
	pair_add_update(&datagram, client->id, 1001, 1001, 7, GET, 1, NULL, 0);
	pair_add_update(&datagram, client->id + 1, 1, 1, 7, ADD, 0, "12345678", 8);
	pair_send(pair, 0, client, &datagram);
	for (unsigned i = 0; i < 3; i++) {
		const struct pair_answer *answer = pair_wait(pair);
		assert_int_equal(answer->status, NOT_PRIMARY);
		assert_int_equal(answer->payload_bytes, 0);
	}
	assert_int_equal(pair_sequencer(pair, 0)->core.last_sequence, sequence);
	pair->judge = NULL;
	const struct pair_answer *answer = pair_wait_for(pair, client->id, client->seq);
	assert_int_equal(answer->status, OK);
	assert_int_equal(answer->flags, 0);
	assert_true(pair_is_paired(pair));
	client->completed = client->seq + 1;
	pair_check_equal(pair);
}

static void primary_when_cut_off_then_blocked_and_later_answers_what_was_under_way(void **state)
{
	struct pair *pair = pair_make(&(struct pair_options){.adjust = quick});
	struct pair_client client = pair_open_session(pair, 1);
	pair->judge = drop_all;
	cut_and_heal(pair, &client);
	pair->judge = drop_acks; /* N02: only one way passes */
	cut_and_heal(pair, &client);
	assert_int_equal(pair_sequencer(pair, 0)->core.stats.times_blocked, 2);
	pair_end(pair);
}

/* Loss, repetition, damage and old frames again, each with the given chance. */
static enum pair_verdict storm(struct pair *pair, int from, uint8_t *frame, uint32_t *bytes)
{
	static uint8_t old[2][PAIR_MAX_FRAME];
	static uint32_t old_bytes[2];
	uint32_t percent = *(uint32_t *)pair->context;
	if (draw(100) < percent && old_bytes[from] > 0)
		pair_inject(pair, !from, old[from], old_bytes[from]);
	if (draw(100) < percent && *bytes <= PAIR_MAX_FRAME) {
		memcpy(old[from], frame, *bytes);
		old_bytes[from] = *bytes;
	}
	if (draw(100) < percent)
		return PAIR_DROP;
	if (draw(100) < percent)
		return PAIR_TWICE;
	if (draw(100) < percent)
		frame[14 + draw(*bytes - 14)] ^= (uint8_t)(1 << draw(8));
	else if (draw(100) < percent)
		*bytes = 14 + draw(*bytes - 14);
	return PAIR_PASS;
}

static void link_when_bad_then_every_update_applied_once_and_digests_equal(void **state)
{
	static const uint32_t percents[] = {1, 10, 30};
	const char *given = getenv("SEED");
	random_state = given ? strtoull(given, NULL, 10) : pair_now_ns();
	printf("SEED=%llu replays this test\n", (unsigned long long)random_state);
	for (unsigned p = 0; p < 3; p++) {
		struct pair *pair = pair_make(NULL);
		struct pair_client clients[8];
		uint32_t percent = percents[p];
		unsigned seen[8][101] = {{0}};
		for (unsigned i = 0; i < 8; i++)
			clients[i] = pair_open_session(pair, (uint16_t)(1 + i));
		pair->context = &percent;
		pair->judge = storm;
		/* Each client keeps up to 10 requests under way, and asks again for the oldest. */
		unsigned left = 8 * 100;
		uint64_t until_ns = pair_now_ns() + 3 * PAIR_DEADLINE_NS;
		while (left > 0) {
			assert_true(pair_now_ns() < until_ns);
			for (unsigned i = 0; i < 8; i++) {
				struct pair_datagram datagram = {0};
				struct pair_client *c = &clients[i];
				if (c->seq < 100 && c->seq + 1 < c->completed + 10) {
					pair_add_simple(&datagram, c, 1 + draw(50), ADD, 1);
				} else if (c->completed <= 100 && draw(16) == 0) {
					uint8_t one[8] = {1};
					pair_add_update(
						&datagram,
						c->id,
						c->completed,
						c->completed,
						99,
						ADD,
						0,
						one,
						8
					);
				}
				if (datagram.bytes > 0)
					pair_send(pair, 0, c, &datagram);
			}
			pair_rounds(pair, 2);
			const struct pair_answer *answer;
			while ((answer = pair_next(pair)) != NULL) {
				unsigned i = answer->port - 20001u;
				if (answer->status == BUSY || answer->status == NOT_PRIMARY ||
				    answer->status == FORGOTTEN)
					continue; /* of a copy; FORGOTTEN of one answered since */
				assert_int_equal(answer->status, OK);
				left -= seen[i][answer->request_seq]++ == 0;
				while (clients[i].completed <= 100 &&
				       seen[i][clients[i].completed] > 0)
					clients[i].completed++;
			}
		}
		pair->judge = NULL;
		pair_check_equal(pair);
		/* 800 requests were sequenced once each, whatever went over the wire. */
		assert_int_equal(pair_counters(pair, 0)->updates, 800);
		assert_int_equal(pair_sequencer(pair, 1)->core.last_sequence, 808);
		uint64_t damaged =
			0; /* seen as such: which field was hit decides how it is called */
		for (int node = 0; node < 2; node++)
			damaged += pair_counters(pair, node)->drop_bad_crc +
				   pair_counters(pair, node)->drop_bad_entry;
		assert_true(percent < 10 || damaged > 0);
		pair_end(pair);
	}
}

static uint32_t workers[2];

static void many_workers(struct cfg_settings *settings, int node)
{
	settings->workers = workers[node];
}

/* The newest digest both nodes have a mark for. */
static void check_marks(struct pair *pair, uint64_t sequence)
{
	uint64_t at[2], digest[2];
	for (int node = 0; node < 2; node++)
		assert_true(dp_shm_digest(pair->sides[node].shm, &at[node], &digest[node]));
	assert_int_equal(at[0], sequence);
	assert_int_equal(at[1], sequence);
	assert_int_equal(digest[0], digest[1]);
}

static void digests_when_numbers_of_workers_differ_then_equal_at_equal_sequences(void **state)
{
	static const uint32_t numbers[][2] = {{1, 3}, {3, 64}, {64, 1}};
	uint64_t found[3];
	for (unsigned i = 0; i < 3; i++) {
		memcpy(workers, numbers[i], sizeof(workers));
		struct pair *pair = pair_make(&(struct pair_options){.adjust = many_workers});
		struct pair_client client = pair_open_session(pair, 1);
		for (unsigned j = 0; j < 200; j++)
			assert_int_equal(
				pair_call(pair, &client, 1 + j * 37 % 120, j % 3 ? ADD : SET, j)
					->status,
				OK
			);
		pair_check_equal(pair);
		check_marks(pair, 192); /* the interval is 64, and 201 entries there are */
		for (uint64_t mark = 64; mark <= 192; mark += 64) {
			uint64_t a, b;
			assert_true(dp_shm_digest_at(pair->sides[0].shm, mark, &a));
			assert_true(dp_shm_digest_at(pair->sides[1].shm, mark, &b));
			assert_int_equal(a, b);
		}
		/* Timestamps do not enter, so the same updates give the same digest each time. */
		found[i] = pair_digest(pair, 0);
		pair_end(pair);
	}
	assert_int_equal(found[0], found[1]);
	assert_int_equal(found[1], found[2]);
}

/* --- Control's side of the rings --- */

static struct rte_ring *ring(struct pair *pair, int node, bool commands)
{
	struct dp_shm *shm = pair->sides[node].shm;
	return (struct rte_ring
			*)((uint8_t *)shm + (commands ? shm->command_ring_at : shm->event_ring_at));
}

static void attach(struct pair *pair, int node, uint64_t generation)
{
	struct dp_shm *shm = pair->sides[node].shm;
	__atomic_store_n(&shm->attach.wanted, generation, __ATOMIC_RELEASE);
	PAIR_UNTIL(pair, __atomic_load_n(&shm->attach.granted, __ATOMIC_ACQUIRE) == generation);
}

static void command(struct pair *pair, int node, struct dp_shm_message message)
{
	message.incarnation += pair->sides[node].shm->incarnation;
	assert_int_equal(
		rte_ring_sp_enqueue_elem(ring(pair, node, true), &message, sizeof(message)), 0
	);
}

static struct dp_shm_message event(struct pair *pair, int node)
{
	struct dp_shm_message message;
	PAIR_UNTIL(
		pair,
		rte_ring_sc_dequeue_elem(ring(pair, node, false), &message, sizeof(message)) == 0
	);
	return message;
}

static void digest_when_control_asks_then_marked_at_the_current_sequence(void **state)
{
	struct pair *pair = pair_make(NULL);
	struct pair_client client = pair_open_session(pair, 1);
	for (unsigned i = 0; i < 9; i++)
		pair_call(pair, &client, i, ADD, 1);
	pair_settle(pair);
	for (int node = 0; node < 2; node++) {
		struct dp_shm_message ask = {
			.generation = 5, .request = 77, .type = DP_COMMAND_DIGEST};
		attach(pair, node, 5);
		command(pair, node, ask);
		struct dp_shm_message done = event(pair, node);
		assert_int_equal(done.type, DP_EVENT_DONE);
		assert_int_equal(done.request, 77);
		assert_int_equal(done.value, 10);
	}
	pair_rounds(pair, 4);
	check_marks(pair, 10);
	uint64_t sequence, digest;
	dp_shm_digest(pair->sides[0].shm, &sequence, &digest);
	assert_int_equal(digest, pair_digest(pair, 0));
	pair_end(pair);
}

static void commands_when_stale_or_garbage_then_dropped_and_counted(void **state)
{
	struct pair *pair = pair_make(NULL);
	struct dp_sequencer_counters *counters = pair_counters(pair, 0);
	attach(pair, 0, 8);
	struct dp_shm_message ping = {.generation = 8, .request = 1, .type = DP_COMMAND_PING};
	struct dp_shm_message stale = ping, other_life = ping, unknown = ping, zero = {0};
	stale.generation = 7;
	other_life.incarnation = 1;
	unknown.type = 0xdeadbeef;
	command(pair, 0, stale);
	command(pair, 0, other_life);
	command(pair, 0, unknown);
	command(pair, 0, zero);
	random_state = 4;
	for (unsigned i = 0; i < 500; i++) {
		struct dp_shm_message garbage;
		for (unsigned j = 0; j < sizeof(garbage); j++)
			((uint8_t *)&garbage)[j] = (uint8_t)draw(256);
		command(pair, 0, garbage);
	}
	command(pair, 0, ping);
	assert_int_equal(event(pair, 0).request, 1);
	assert_int_equal(counters->control_dropped, 504);
	assert_int_equal(counters->control_commands, 1);
	/* What the former control left behind is gone with the new generation. */
	command(pair, 0, ping);
	attach(pair, 0, 9);
	assert_int_equal(rte_ring_count(ring(pair, 0, false)), 0);
	ping.generation = 9;
	command(pair, 0, ping);
	assert_int_equal(event(pair, 0).generation, 9);
	pair_end(pair);
}

static void digests_when_asked_faster_than_workers_answer_then_commands_wait(void **state)
{
	struct pair *pair = pair_make(NULL);
	struct pair_client client = pair_open_session(pair, 1);
	attach(pair, 0, 3);
	pair_call(pair, &client, 7, ADD, 1);
	pair->paused[0] = &pair->sides[0].node.workers[0];
	for (unsigned i = 0; i < 1000; i++)
		command(pair,
			0,
			(struct dp_shm_message
			){.generation = 3, .request = i, .type = DP_COMMAND_DIGEST});
	PAIR_UNTIL(pair, pair_counters(pair, 0)->control_commands >= DP_ASKED_MARKS);
	uint64_t start_ns = pair_now_ns();
	while (pair_now_ns() - start_ns < 20000000)
		pair_round(pair);
	assert_int_equal(pair_counters(pair, 0)->control_commands, DP_ASKED_MARKS);
	pair->paused[0] = NULL;
	for (unsigned i = 0; i < 1000; i++)
		assert_int_equal(event(pair, 0).request, i);
	pair_end(pair);
}

static void ring_of_events_when_nobody_reads_then_events_are_dropped_and_counted(void **state)
{
	struct pair *pair = pair_make(NULL);
	struct dp_sequencer_counters *counters = pair_counters(pair, 0);
	attach(pair, 0, 3);
	for (unsigned i = 0; i < 1200; i++) {
		PAIR_UNTIL(pair, rte_ring_free_count(ring(pair, 0, true)) > 0);
		command(pair,
			0,
			(struct dp_shm_message
			){.generation = 3, .request = i, .type = DP_COMMAND_PING});
	}
	PAIR_UNTIL(pair, counters->control_commands == 1200);
	assert_int_equal(counters->control_dropped, 1200 - (DP_SHM_RING_SLOTS - 1));
	struct pair_client client = pair_open_session(pair, 1);
	assert_int_equal(pair_call(pair, &client, 7, ADD, 1)->status, OK);
	pair_end(pair);
}

static void node_when_stopped_then_says_goodbye_and_the_primary_is_blocked(void **state)
{
	struct pair *pair = pair_make(NULL);
	struct pair_client client = pair_open_session(pair, 1);
	pair_settle(pair);
	pair->sides[1].node.stop = 1;
	PAIR_UNTIL(pair, !pair_is_paired(pair));
	assert_int_equal(pair_sequencer(pair, 0)->core.reason, REP_REASON_PEER_LEFT);
	assert_int_equal(pair_call(pair, &client, 7, ADD, 1)->status, NOT_PRIMARY);
	pair_end(pair);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(standby_when_asked_then_names_its_primary_while_it_hears_it),
		cmocka_unit_test(
			primary_when_cut_off_then_blocked_and_later_answers_what_was_under_way
		),
		cmocka_unit_test(link_when_bad_then_every_update_applied_once_and_digests_equal),
		cmocka_unit_test(
			digests_when_numbers_of_workers_differ_then_equal_at_equal_sequences
		),
		cmocka_unit_test(digest_when_control_asks_then_marked_at_the_current_sequence),
		cmocka_unit_test(commands_when_stale_or_garbage_then_dropped_and_counted),
		cmocka_unit_test(digests_when_asked_faster_than_workers_answer_then_commands_wait),
		cmocka_unit_test(
			ring_of_events_when_nobody_reads_then_events_are_dropped_and_counted
		),
		cmocka_unit_test(node_when_stopped_then_says_goodbye_and_the_primary_is_blocked),
	};
	pair_start_eal(1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
