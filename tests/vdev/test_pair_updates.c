/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Updates and reads through two whole nodes: client, primary, standby, answer.
 */
#include "tests/vdev/pair.h"

#include <string.h>

enum { OK, REJECTED, NOT_PRIMARY, BUSY, BAD_REQUEST, FORGOTTEN, UNAUTHORIZED, OVERLOADED };
enum { ADD = 1, SET, GET, CAS };

static int64_t value_of(const struct pair_answer *answer)
{
	assert_true(answer->payload_bytes >= 8);
	return (int64_t)get(answer->payload, 8);
}

static void update_when_paired_then_applied_on_both_and_answered_once(void **state)
{
	struct pair *pair = pair_make(NULL);
	struct pair_client client = pair_open_session(pair, 1);
	const struct pair_answer *answer = pair_call(pair, &client, 7, ADD, 5);
	assert_int_equal(answer->status, OK);
	assert_int_equal(answer->flags, 0);
	assert_int_equal(answer->sequence, 2); /* the session was the first entry */
	assert_int_equal(answer->asset_id, 7);
	assert_int_equal(answer->asset_version, 1);
	assert_int_equal(answer->epoch, pair->sides[0].node.commit.epoch);
	assert_int_equal(answer->port, client.port);
	assert_int_equal(answer->ip, client.ip);
	assert_int_equal(value_of(answer), 5);
	answer = pair_call(pair, &client, 7, SET, -9);
	assert_int_equal(answer->asset_version, 2);
	assert_int_equal(value_of(answer), -9);
	answer = pair_call(pair, &client, 7, GET, 0);
	assert_int_equal(answer->status, OK);
	assert_int_equal(answer->sequence, 0);
	assert_int_equal(answer->asset_version, 2);
	assert_int_equal(answer->payload_bytes, 16);
	assert_int_equal(value_of(answer), -9);
	assert_int_equal(get(answer->payload + 8, 8), 3);
	pair_check_equal(pair);
	assert_null(pair_next(pair));
	assert_int_equal(pair_workers(pair, 1).applied, 3);
	assert_int_equal(pair_replies(pair, 1).messages, 0);
	pair_end(pair);
}

static void refusals_of_the_model_when_given_then_both_nodes_agree(void **state)
{
	struct pair *pair = pair_make(NULL);
	struct pair_client client = pair_open_session(pair, 1);
	struct pair_datagram datagram = {0};
	uint8_t payload[16];
	pair_call(pair, &client, 1, SET, 10);

	put64(payload, 11);
	put64(payload + 8, 12);
	pair_add_update(&datagram, client.id, 2, 2, 1, CAS, 0, payload, 16);
	put64(payload, 10);
	pair_add_update(&datagram, client.id, 3, 2, 1, CAS, 0, payload, 16);
	put64(payload, INT64_MAX);
	pair_add_update(&datagram, client.id, 4, 2, 1, ADD, 0, payload, 8);
	pair_add_update(&datagram, client.id, 5, 2, 1, ADD, 0, payload, 7);
	pair_add_update(&datagram, client.id, 6, 2, 1, 200, 0, payload, 8);
	pair_add_update(&datagram, client.id, 7, 2, 1, GET, 1, payload, 1);
	pair_send(pair, 0, &client, &datagram);
	static const struct {
		uint8_t status;
		uint16_t reason;
		uint64_t version;
	} wanted[] = {
		{REJECTED, 1, 1},
		{OK, 0, 2},
		{REJECTED, 2, 2},
		{REJECTED, 3, 2},
		{REJECTED, 3, 2},
		{REJECTED, 3, 2}};
	for (unsigned i = 0; i < 6; i++) {
		const struct pair_answer *answer = pair_wait_for(pair, client.id, 2 + i);
		assert_int_equal(answer->status, wanted[i].status);
		assert_int_equal(answer->asset_version, wanted[i].version);
		assert_int_equal(answer->sequence, i < 5 ? 3 + i : 0);
		if (wanted[i].reason)
			assert_int_equal(get(answer->payload, 2), wanted[i].reason);
		if (i == 0) /* a mismatch names the current value */
			assert_int_equal(get(answer->payload + 2, 8), 10);
	}
	pair_check_equal(pair);
	pair_end(pair);
}

static void repeat_when_first_was_answered_then_same_answer_whatever_it_names(void **state)
{
	struct pair *pair = pair_make(NULL);
	struct pair_client client = pair_open_session(pair, 1);
	struct pair_client elsewhere = client;
	uint8_t payload[16] = {0};
	struct pair_answer first = *pair_call(pair, &client, 7, ADD, 5);
	client.completed = 1; /* so the node may not forget it */
	pair_call(pair, &client, 8, ADD, 1);
	uint64_t digest = pair_digest(pair, 0);
	elsewhere.port = 9;
	elsewhere.ip++;
	elsewhere.mac[5]++;
	/* The same; another asset, payload, opcode; a read; from another address. */
	for (unsigned i = 0; i < 5; i++) {
		struct pair_datagram datagram = {0};
		uint64_t asset = i == 1 ? 1234567 : 7;
		put64(payload, i == 2 ? 99 : 5);
		if (i == 3)
			pair_add_update(&datagram, client.id, 1, 1, asset, GET, 1, NULL, 0);
		else
			pair_add_update(
				&datagram, client.id, 1, 1, asset, i == 2 ? SET : ADD, 0, payload, 8
			);
		pair_send(pair, 0, i == 4 ? &elsewhere : &client, &datagram);
		const struct pair_answer *answer = pair_wait_for(pair, client.id, 1);
		assert_int_equal(answer->status, OK);
		assert_int_equal(answer->flags, 1);
		assert_int_equal(answer->sequence, first.sequence);
		assert_int_equal(answer->asset_version, first.asset_version);
		assert_int_equal(answer->payload_bytes, first.payload_bytes);
		assert_memory_equal(answer->payload, first.payload, first.payload_bytes);
		assert_int_equal(answer->asset_id, asset); /* echoed */
		assert_int_equal(answer->port, i == 4 ? 9 : client.port);
	}
	assert_int_equal(pair_counters(pair, 0)->repeats, 5);
	pair_check_equal(pair);
	assert_int_equal(pair_digest(pair, 0), digest);
	pair_end(pair);
}

static void repeat_when_first_is_under_way_then_joined_and_applied_once(void **state)
{
	struct pair *pair = pair_make(NULL);
	struct pair_client client = pair_open_session(pair, 1);
	struct pair_datagram datagram = {0};
	uint8_t payload[8] = {1};
	pair->paused[0] = pair_sequencer(pair, 1); /* nothing is acknowledged */
	for (unsigned i = 0; i < 3; i++)
		pair_add_update(&datagram, client.id, 1, 1, 7, ADD, 0, payload, 8);
	pair_send(pair, 0, &client, &datagram);
	pair_rounds(pair, 20);
	assert_null(pair_next(pair));
	assert_int_equal(pair_counters(pair, 0)->updates, 1);
	pair->paused[0] = NULL;
	for (unsigned i = 0; i < 3; i++) {
		const struct pair_answer *answer = pair_wait(pair);
		assert_int_equal(answer->status, OK);
		assert_int_equal(answer->flags, i > 0);
		assert_int_equal(value_of(answer), 1);
	}
	pair_check_equal(pair);
	pair_end(pair);
}

static void answers_when_requests_came_in_one_datagram_then_packed_and_in_order(void **state)
{
	struct pair *pair = pair_make(NULL);
	struct pair_client client = pair_open_session(pair, 1);
	struct pair_datagram datagram = {0};
	for (unsigned i = 0; i < 20; i++)
		pair_add_simple(&datagram, &client, 7, ADD, 1);
	pair_send(pair, 0, &client, &datagram);
	uint32_t number = 0;
	for (unsigned i = 1; i <= 20; i++) {
		const struct pair_answer *answer = pair_wait(pair);
		number = number ? number : answer->datagram;
		assert_int_equal(answer->datagram, number);
		assert_int_equal(answer->request_seq, i);
		assert_int_equal(answer->sequence, 1 + i);
		assert_int_equal(answer->asset_version, i);
		assert_int_equal(value_of(answer), i);
	}
	pair_end(pair);
}

static void small_mtu(struct cfg_settings *settings, int node)
{
	settings->client.port.mtu_bytes = 1280;
}

static void answers_when_mtu_is_small_then_no_datagram_is_longer(void **state)
{
	struct pair *pair = pair_make(&(struct pair_options){.adjust = small_mtu});
	struct pair_client client = pair_open_session(pair, 1);
	struct pair_datagram datagram[2] = {{0}, {0}};
	for (unsigned i = 0; i < 40; i++)
		pair_add_simple(&datagram[i / 20], &client, 7, ADD, 1);
	pair_send(pair, 0, &client, &datagram[0]);
	pair_send(pair, 0, &client, &datagram[1]);
	/* The harness checks each frame against the MTU. */
	for (unsigned i = 1; i <= 40; i++)
		assert_int_equal(pair_wait(pair)->request_seq, i);
	pair_end(pair);
}

static void forgotten_and_overloaded_when_outside_the_window_then_nothing_is_sequenced(void **state)
{
	struct pair *pair = pair_make(NULL);
	struct pair_client client = pair_open_session(pair, 1);
	uint16_t inflight = pair->sides[0].settings.limits.max_inflight;
	uint8_t payload[8] = {1};
	for (unsigned i = 0; i < 3; i++)
		pair_call(pair, &client, 7, ADD, 1); /* completed is 4 with the next */
	pair_call(pair, &client, 7, ADD, 1);
	pair_settle(pair);
	uint64_t digest = pair_digest(pair, 0);
	uint64_t sequence = pair_sequencer(pair, 0)->core.last_sequence;
	static const struct {
		int64_t client_offset;
		uint64_t seq, first;
		bool read, over;
		uint8_t status;
	} cases[] = {
		{0, 1, 1, false, false, FORGOTTEN}, /* completed before */
		{0, 3, 3, false, false, FORGOTTEN},
		{0, 3, 3, true, false, FORGOTTEN},
		{1, 1, 1, false, false, FORGOTTEN}, /* never opened */
		{1, 1, 1, true, false, FORGOTTEN},
		{0, 4, 4, false, true, OVERLOADED}, /* + max_inflight */
		{0, 4, 4, true, true, OVERLOADED},
	};
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct pair_datagram datagram = {0};
		uint64_t id = client.id + (uint64_t)cases[i].client_offset;
		uint64_t seq = cases[i].seq + (cases[i].over ? inflight : 0);
		pair_add_update(
			&datagram,
			id,
			seq,
			cases[i].first,
			7,
			cases[i].read ? GET : ADD,
			cases[i].read,
			payload,
			cases[i].read ? 0 : 8
		);
		pair_send(pair, 0, &client, &datagram);
		const struct pair_answer *answer = pair_wait_for(pair, id, seq);
		assert_int_equal(answer->status, cases[i].status);
		assert_int_equal(answer->sequence, 0);
		assert_int_equal(answer->payload_bytes, 0);
	}
	assert_int_equal(pair_counters(pair, 0)->refused_forgotten, 5);
	assert_int_equal(pair_counters(pair, 0)->refused_overloaded, 2);
	assert_int_equal(pair_sequencer(pair, 0)->core.last_sequence, sequence);
	assert_int_equal(pair_digest(pair, 0), digest);
	/* The last number of the window is taken, with gaps below it. */
	struct pair_datagram datagram = {0};
	pair_add_update(&datagram, client.id, 4u + inflight - 1, 4, 7, ADD, 0, payload, 8);
	pair_send(pair, 0, &client, &datagram);
	assert_int_equal(pair_wait_for(pair, client.id, 4u + inflight - 1)->status, OK);
	pair_check_equal(pair);
	pair_end(pair);
}

static void bad_requests_when_sent_then_refused_and_the_good_ones_beside_them_answered(void **state)
{
	struct pair *pair = pair_make(NULL);
	struct pair_client client = pair_open_session(pair, 1);
	struct pair_datagram datagram = {0};
	uint8_t payload[300] = {1}, block[40];
	pair_add_update(&datagram, client.id, 1, 1, 7, ADD, 0, payload, 8);
	pair_add_update(&datagram, client.id, 102, 1, 7, ADD, 2, payload, 8); /* flags */
	pair_add_update(&datagram, client.id, 103, 0, 7, ADD, 0, payload, 8);
	pair_add_update(&datagram, client.id, 104, 105, 7, ADD, 0, payload, 8);
	pair_add_update(&datagram, client.id, 105, 1, 7, ADD, 0, payload, 257);
	pair_add_update(&datagram, client.id, 106, 1, 7, ADD, 1, payload, 8); /* no read */
	pair_add_update(&datagram, client.id, 107, 1, 7, GET, 0, payload, 0);
	pair_add_open(&datagram, 0);
	put64(block, client.id);
	put64(block + 8, 108);
	pair_add(&datagram, 99, block, 40, NULL, 0);
	pair_add(&datagram, 98, block, 15, NULL, 0); /* cannot be answered */
	pair_add(&datagram, 2, block, 40, NULL, 0);  /* a node's own: must not be */
	pair_add(&datagram, 0xfff3, block, 16, NULL, 0);
	pair_add_update(&datagram, client.id, 2, 1, 7, ADD, 0, payload, 8);
	pair_send(pair, 0, &client, &datagram);
	unsigned bad = 0, good = 0;
	while (bad + good < 11) {
		const struct pair_answer *answer = pair_wait(pair);
		if (answer->template_id == 2 && answer->request_seq < 100) {
			assert_int_equal(answer->status, OK);
			assert_int_equal(answer->sequence, 2 + good);
			good++;
		} else {
			assert_int_equal(answer->status, BAD_REQUEST);
			bad++;
		}
	}
	assert_int_equal(good, 2);
	assert_int_equal(pair_ingress(pair, 0)->bad_request, 9);
	assert_int_equal(pair_ingress(pair, 0)->drop_unknown_template, 4);
	pair_rounds(pair, 20);
	assert_null(pair_next(pair));
	pair_check_equal(pair);
	pair_end(pair);
}

static void newer_schema_when_blocks_are_longer_then_accepted(void **state)
{
	struct pair *pair = pair_make(NULL);
	struct pair_client client = pair_client(1);
	struct pair_datagram datagram = {0};
	uint8_t block[64] = {0}, payload[8] = {3};
	memset(block + 16, 0xee, 48);
	put64(block, 77);
	pair_add(&datagram, 3, block, 40, NULL, 0);
	put16(datagram.data + 6, 2); /* version */
	pair_send(pair, 0, &client, &datagram);
	const struct pair_answer *opened = pair_wait(pair);
	assert_int_equal(opened->status, OK);
	client.id = opened->client_id;
	put64(block, client.id);
	put64(block + 8, 1);
	put64(block + 16, 1);
	put64(block + 24, 7);
	block[32] = ADD;
	block[33] = 0;
	datagram.bytes = 0;
	pair_add(&datagram, 1, block, 64, payload, 8);
	put16(datagram.data + 6, 9);
	pair_send(pair, 0, &client, &datagram);
	const struct pair_answer *answer = pair_wait(pair);
	assert_int_equal(answer->status, OK);
	assert_int_equal(value_of(answer), 3);
	pair_check_equal(pair);
	pair_end(pair);
}

static void read_when_an_update_is_under_way_then_it_sees_it_and_waits_for_it(void **state)
{
	struct pair *pair = pair_make(NULL);
	struct pair_client client = pair_open_session(pair, 1);
	struct pair_datagram datagram = {0};
	pair_call(pair, &client, 7, SET, 1);
	pair->paused[0] = pair_sequencer(pair, 1);
	pair_add_simple(&datagram, &client, 7, SET, 2);
	pair_add_simple(&datagram, &client, 7, GET, 0);
	pair_add_simple(&datagram, &client, 99, GET, 0); /* of an asset that never was */
	pair_send(pair, 0, &client, &datagram);
	pair_rounds(pair, 20);
	assert_null(pair_next(pair));
	pair->paused[0] = NULL;
	assert_int_equal(pair_wait(pair)->request_seq, 2);
	const struct pair_answer *answer = pair_wait(pair);
	assert_int_equal(answer->request_seq, 3);
	assert_int_equal(value_of(answer), 2);
	assert_int_equal(answer->asset_version, 2);
	answer = pair_wait(pair);
	assert_int_equal(value_of(answer), 0);
	assert_int_equal(answer->asset_version, 0);
	pair_check_equal(pair);
	assert_int_equal(pair_workers(pair, 0).reads, 2);
	pair_end(pair);
}

static enum pair_verdict drop_all(struct pair *pair, int from, uint8_t *frame, uint32_t *bytes)
{
	return PAIR_DROP;
}

static void read_when_the_standby_is_cut_off_then_unanswered_until_it_is_back(void **state)
{
	struct pair *pair = pair_make(NULL);
	struct pair_client client = pair_open_session(pair, 1);
	struct pair_datagram datagram = {0};
	pair_settle(pair);
	pair->judge = drop_all;
	pair_add_simple(&datagram, &client, 7, GET, 0);
	pair_send(pair, 0, &client, &datagram);
	pair_rounds(pair, 50);
	assert_null(pair_next(pair));
	pair->judge = NULL;
	assert_int_equal(pair_wait(pair)->status, OK);
	pair_end(pair);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(update_when_paired_then_applied_on_both_and_answered_once),
		cmocka_unit_test(refusals_of_the_model_when_given_then_both_nodes_agree),
		cmocka_unit_test(repeat_when_first_was_answered_then_same_answer_whatever_it_names),
		cmocka_unit_test(repeat_when_first_is_under_way_then_joined_and_applied_once),
		cmocka_unit_test(answers_when_requests_came_in_one_datagram_then_packed_and_in_order
		),
		cmocka_unit_test(answers_when_mtu_is_small_then_no_datagram_is_longer),
		cmocka_unit_test(
			forgotten_and_overloaded_when_outside_the_window_then_nothing_is_sequenced
		),
		cmocka_unit_test(
			bad_requests_when_sent_then_refused_and_the_good_ones_beside_them_answered
		),
		cmocka_unit_test(newer_schema_when_blocks_are_longer_then_accepted),
		cmocka_unit_test(read_when_an_update_is_under_way_then_it_sees_it_and_waits_for_it),
		cmocka_unit_test(read_when_the_standby_is_cut_off_then_unanswered_until_it_is_back),
	};
	pair_start_eal(1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
