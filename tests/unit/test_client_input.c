/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The client engine and broken datagrams: each way to be broken has its counter, and nothing that
 * arrives harms what is in flight.
 */
#include "tests/unit/client_world.h"

#include <errno.h>
#include <stdio.h>

static struct world w;

/* Puts a good OK for requestSeq 1 into w.data. */
static void put_good(void)
{
	struct cli_update_response response = response_to(&w, 1, CLI_OK, 4);
	uint64_t value = 5;
	put_message(&w, CLI_UPDATE_RESPONSE, &response, sizeof(response));
	put_payload(&w, &value, sizeof(value));
}

static void begin_with_one_in_flight(void)
{
	begin_open(&w, 8);
	assert_int_equal(submit(&w, 1), 0);
	pump(&w);
}

static void finish_well(void)
{
	assert_no_result(&w);
	put_good();
	deliver(&w, NODE_A);
	assert_int_equal(next_result(&w).outcome, CLI_OUTCOME_OK);
	end(&w);
}

static void datagram_when_cut_anywhere_then_counted_and_harmless(void **state)
{
	begin_with_one_in_flight();
	put_good();
	size_t whole = w.bytes;
	for (size_t bytes = 1; bytes < whole; bytes++) {
		/* A copy of exactly that size, so that a sanitizer sees the first byte too many. */
		uint8_t *cut = test_malloc(bytes);
		memcpy(cut, w.data, bytes);
		cli_engine_read(w.engine, &NODE_A, cut, bytes, w.now_ns);
		test_free(cut);
	}
	w.bytes = 0;
	assert_int_equal(counters_of(&w).short_header, 7);
	assert_int_equal(counters_of(&w).truncated, whole - 8);
	finish_well();
}

static void datagram_when_broken_then_its_reason_is_counted(void **state)
{
	struct cli_counters counters;
	begin_with_one_in_flight();
	put_good();
	w.data[4]++; /* schemaId */
	deliver(&w, NODE_A);
	put_good();
	w.data[6] = 0; /* version */
	deliver(&w, NODE_A);
	put_good();
	deliver(&w, NODE_C); /* not a node that we know */
	put_good();
	w.bytes = CLI_MAX_DATAGRAM_BYTES + 1;
	deliver(&w, NODE_A);
	struct cli_update_response response = response_to(&w, 1, CLI_OK, 4);
	put_message(&w, CLI_UPDATE_RESPONSE, &response, sizeof(response) - 8);
	put_payload(&w, NULL, 0);
	deliver(&w, NODE_A);
	response.status = CLI_OVERLOADED + 1;
	put_message(&w, CLI_UPDATE_RESPONSE, &response, sizeof(response));
	put_payload(&w, NULL, 0);
	deliver(&w, NODE_A);
	answer(&w, NODE_A, 0, CLI_OK, 9, NULL);
	answer(&w, NODE_A, 2, CLI_OK, 9, NULL);
	response = response_to(&w, 1, CLI_OK, 9);
	response.client_id++;
	put_message(&w, CLI_UPDATE_RESPONSE, &response, sizeof(response));
	put_payload(&w, NULL, 0);
	deliver(&w, NODE_A);
	counters = counters_of(&w);
	assert_int_equal(counters.wrong_schema, 2);
	assert_int_equal(counters.foreign_source, 1);
	assert_int_equal(counters.oversize, 1);
	assert_int_equal(counters.short_block, 1);
	assert_int_equal(counters.bad_value, 1);
	assert_int_equal(counters.never_asked, 2);
	assert_int_equal(counters.foreign_session, 1);
	assert_int_equal(cli_engine_epoch(w.engine), 4); /* none of them was believed */
	finish_well();
}

static void hint_when_odd_then_taken_as_none(void **state)
{
	const uint8_t odd[3][7] = {{10, 0, 0, 9, 1}, {10, 0, 0, 9, 0, 0}, {0, 0, 0, 0, 1, 1}};
	const uint16_t odd_bytes[3] = {5, 6, 6};
	for (int i = 0; i < 3; i++) {
		begin_with_one_in_flight();
		struct cli_update_response response = response_to(&w, 1, CLI_NOT_PRIMARY, 4);
		put_message(&w, CLI_UPDATE_RESPONSE, &response, sizeof(response));
		put_payload(&w, odd[i], odd_bytes[i]);
		deliver(&w, NODE_A);
		run_to_expiry(&w);
		assert_true(went_to(last_sent(&w), NODE_B));
		assert_int_equal(counters_of(&w).bad_value, 1);
		finish_well();
	}
}

static void block_when_longer_than_ours_then_the_rest_is_skipped(void **state)
{
	uint8_t block[sizeof(struct cli_update_response) + 24];
	uint64_t value = 5;
	begin_with_one_in_flight();
	struct cli_update_response response = response_to(&w, 1, CLI_OK, 4);
	memset(block, 0xee, sizeof(block));
	memcpy(block, &response, sizeof(response));
	put_message(&w, CLI_UPDATE_RESPONSE, block, sizeof(block));
	put_payload(&w, &value, sizeof(value));
	deliver(&w, NODE_A);
	struct cli_result result = next_result(&w);
	assert_int_equal(result.outcome, CLI_OUTCOME_OK);
	assert_int_equal(result.payload_bytes, 8);
	assert_memory_equal(result.payload, &value, 8);
	end(&w);
}

static void template_when_unknown_then_skipped_and_the_next_one_is_read(void **state)
{
	uint8_t block[5] = {0};
	begin_with_one_in_flight();
	put_message(&w, 99, block, sizeof(block));
	put_payload(&w, block, 3);
	put_good();
	deliver(&w, NODE_A);
	assert_int_equal(counters_of(&w).not_an_answer, 1);
	assert_int_equal(next_result(&w).outcome, CLI_OUTCOME_OK);
	end(&w);
}

static void options_when_out_of_range_then_refused(void **state)
{
	struct cli_engine *engine;
	struct cli_options options = {.nodes = {NODE_A}, .node_count = 0};
	assert_int_equal(cli_engine_create(&engine, &options, 0), -EINVAL);
	options.node_count = CLI_MAX_NODES + 1;
	assert_int_equal(cli_engine_create(&engine, &options, 0), -EINVAL);
	options.node_count = 1;
	options.window = CLI_MAX_WINDOW + 1;
	assert_int_equal(cli_engine_create(&engine, &options, 0), -EINVAL);
	options.window = 0;
	options.retry_min_ns = 2000 * MS;
	assert_int_equal(cli_engine_create(&engine, &options, 0), -EINVAL);
	assert_null(engine);
}

static uint64_t random_state;

static uint64_t random_below(uint64_t limit)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state % limit;
}

/* A datagram of one to three plausible messages, then some of its bytes spoiled. */
static void put_spoiled(void)
{
	uint8_t payload[32];
	for (uint64_t count = 1 + random_below(3); count > 0; count--) {
		for (size_t i = 0; i < sizeof(payload); i++)
			payload[i] = (uint8_t)random_below(256);
		if (random_below(4) != 0) {
			uint64_t seq = cli_engine_first_incomplete(w.engine) + random_below(12) - 2;
			struct cli_update_response response = response_to(
				&w, seq, (uint8_t)random_below(9), (uint32_t)random_below(8)
			);
			put_message(&w, CLI_UPDATE_RESPONSE, &response, sizeof(response));
		} else {
			struct cli_session_opened o = {
				.nonce = w.sent_count > 0 ? last_sent(&w)->nonce : 0,
				.client_id = random_below(3),
				.epoch = (uint32_t)random_below(8),
				.status = (uint8_t)random_below(9),
				.max_inflight = (uint16_t)random_below(3),
			};
			/* Being refused ends the engine's work; the test wants it to go on. */
			if (o.status == CLI_BAD_REQUEST || o.status == CLI_UNAUTHORIZED)
				o.status = CLI_OK;
			put_message(&w, CLI_SESSION_OPENED, &o, sizeof(o));
		}
		put_payload(&w, payload, random_below(3) == 0 ? 6 : (uint16_t)random_below(33));
	}
	for (uint64_t spoil = random_below(4); spoil > 0; spoil--)
		w.data[random_below(w.bytes)] ^= (uint8_t)(1u << random_below(8));
	if (random_below(8) == 0)
		w.bytes = random_below(w.bytes + 1);
}

static void random_datagrams_when_read_then_every_request_gets_exactly_one_result(void **state)
{
	const uint64_t seed = 20261120;
	uint64_t submitted = 0, finished = 0;
	struct cli_result result;
	printf("seed %llu\n", (unsigned long long)seed);
	random_state = seed;
	begin_open(&w, 16);
	for (int i = 0; i < 200000; i++) {
		w.sent_count = w.sent_count > 400 ? 0 : w.sent_count;
		if (submit(&w, submitted + 1) == 0)
			submitted++;
		pump(&w);
		put_spoiled();
		size_t bytes = w.bytes;
		w.bytes = 0;
		cli_engine_read(
			w.engine, random_below(2) ? &NODE_A : &NODE_B, w.data, bytes, w.now_ns
		);
		w.now_ns += random_below(3 * MS);
		while (random_below(2) && cli_engine_result(w.engine, &result))
			finished++;
		assert_true(cli_engine_state(w.engine) != CLI_STATE_CLOSED);
		if (cli_engine_state(w.engine) == CLI_STATE_REFUSED) {
			while (cli_engine_result(w.engine, &result))
				finished++;
			assert_int_equal(submitted, finished);
			end(&w);
			begin_open(&w, 16);
		}
	}
	cli_engine_close(w.engine, w.now_ns);
	while (cli_engine_result(w.engine, &result))
		finished++;
	assert_int_equal(submitted, finished);
	assert_true(finished > 10000);
	end(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(datagram_when_cut_anywhere_then_counted_and_harmless),
		cmocka_unit_test(datagram_when_broken_then_its_reason_is_counted),
		cmocka_unit_test(hint_when_odd_then_taken_as_none),
		cmocka_unit_test(block_when_longer_than_ours_then_the_rest_is_skipped),
		cmocka_unit_test(template_when_unknown_then_skipped_and_the_next_one_is_read),
		cmocka_unit_test(options_when_out_of_range_then_refused),
		cmocka_unit_test(
			random_datagrams_when_read_then_every_request_gets_exactly_one_result
		),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
