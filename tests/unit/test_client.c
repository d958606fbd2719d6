/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The client engine as transcripts in virtual time: what it sends, when, to whom, and what it
 * makes of each answer.
 */
#include "tests/unit/client_world.h"

#include <errno.h>

static struct world w;

/* ---- sessions ---- */

static void open_when_not_answered_then_same_nonce_after_growing_pauses(void **state)
{
	begin(&w, 8);
	pump(&w);
	assert_int_equal(w.sent_count, 1);
	assert_int_equal(w.sent[0].template_id, CLI_OPEN_SESSION);
	assert_true(w.sent[0].nonce != 0);
	uint64_t full_ns = 20 * MS;
	for (int i = 0; i < 9; i++) {
		uint64_t pause_ns = run_to_expiry(&w);
		assert_in_range(pause_ns, full_ns / 2, full_ns);
		assert_true(last_sent(&w)->nonce == w.sent[0].nonce);
		full_ns = full_ns * 2 < 1000 * MS ? full_ns * 2 : 1000 * MS;
	}
	/* Two time-outs without a sign of A, then B, and so on. */
	assert_true(went_to(&w.sent[1], NODE_A));
	assert_true(went_to(&w.sent[2], NODE_B));
	assert_true(went_to(&w.sent[3], NODE_B));
	assert_true(went_to(&w.sent[4], NODE_A));
	end(&w);
}

static void open_when_hinted_then_hinted_node_is_asked_at_once(void **state)
{
	begin(&w, 8);
	pump(&w);
	opened(&w, NODE_A, CLI_NOT_PRIMARY, 4, 0, &NODE_C);
	assert_int_equal(run_to_expiry(&w), 0);
	assert_true(went_to(last_sent(&w), NODE_C));
	assert_true(w.sent[1].nonce == w.sent[0].nonce);
	opened(&w, NODE_C, CLI_OK, 4, CLIENT_ID, NULL);
	assert_int_equal(cli_engine_state(w.engine), CLI_STATE_OPEN);
	assert_int_equal(cli_engine_max_inflight(w.engine), 8);
	end(&w);
}

static void open_when_busy_then_same_nonce_after_a_pause(void **state)
{
	begin(&w, 8);
	pump(&w);
	opened(&w, NODE_A, CLI_BUSY, 4, 0, NULL);
	assert_in_range(run_to_expiry(&w), 10 * MS, 20 * MS);
	assert_true(went_to(last_sent(&w), NODE_A));
	assert_true(w.sent[1].nonce == w.sent[0].nonce);
	end(&w);
}

static void open_when_unauthorized_then_requests_end_as_not_sent(void **state)
{
	begin(&w, 8);
	assert_int_equal(submit(&w, 1), 0);
	pump(&w);
	opened(&w, NODE_A, CLI_UNAUTHORIZED, 4, 0, NULL);
	struct cli_result result = next_result(&w);
	assert_int_equal(result.outcome, CLI_OUTCOME_NOT_SENT);
	assert_int_equal(result.cause, CLI_CAUSE_SESSION);
	assert_int_equal(result.status, CLI_UNAUTHORIZED);
	assert_int_equal(submit(&w, 2), -EACCES);
	assert_true(cli_engine_expiry(w.engine) == CLI_NEVER);
	end(&w);
}

static void opened_when_of_other_nonce_or_repeated_then_ignored(void **state)
{
	begin(&w, 8);
	pump(&w);
	struct cli_session_opened other = {
		.nonce = 1, .client_id = 9, .epoch = 9, .max_inflight = 1};
	put_message(&w, CLI_SESSION_OPENED, &other, sizeof(other));
	put_hint(&w, NULL);
	deliver(&w, NODE_A);
	assert_int_equal(cli_engine_state(w.engine), CLI_STATE_OPENING);
	assert_int_equal(cli_engine_epoch(w.engine), 0);
	opened(&w, NODE_A, CLI_OK, 4, CLIENT_ID, NULL);
	opened(&w, NODE_A, CLI_OK, 4, CLIENT_ID + 1, NULL);
	assert_true(cli_engine_client_id(w.engine) == CLIENT_ID);
	assert_int_equal(counters_of(&w).foreign_session, 1);
	assert_int_equal(counters_of(&w).duplicate, 1);
	end(&w);
}

static void session_when_long_idle_then_a_new_one_is_opened_first(void **state)
{
	begin_open(&w, 8);
	assert_int_equal(submit(&w, 1), 0);
	pump(&w);
	answer(&w, NODE_A, 1, CLI_OK, 4, NULL);
	next_result(&w);
	w.now_ns += 1801 * 1000 * MS;
	assert_int_equal(submit(&w, 2), 0);
	pump(&w);
	assert_int_equal(last_sent(&w)->template_id, CLI_OPEN_SESSION);
	opened(&w, NODE_A, CLI_OK, 4, CLIENT_ID + 1, NULL);
	pump(&w);
	assert_int_equal(last_sent(&w)->template_id, CLI_UPDATE_REQUEST);
	assert_true(last_sent(&w)->request.client_id == CLIENT_ID + 1);
	assert_true(last_sent(&w)->request.request_seq == 1);
	end(&w);
}

/* ---- requests and answers ---- */

static void submit_when_several_then_one_datagram_in_order(void **state)
{
	begin_open(&w, 8);
	for (uint64_t i = 1; i <= 5; i++)
		assert_int_equal(submit(&w, i), 0);
	pump(&w);
	assert_int_equal(w.sent_count, 5);
	assert_int_equal(w.datagram_count, 1);
	for (uint32_t i = 0; i < 5; i++) {
		assert_true(w.sent[i].request.request_seq == i + 1);
		assert_true(w.sent[i].request.first_incomplete_seq == 1);
		assert_true(w.sent[i].request.client_id == CLIENT_ID);
		assert_int_equal(w.sent[i].request.opcode, CLI_REGISTER_ADD);
		assert_int_equal(w.sent[i].payload[0], i + 1);
		assert_int_equal(w.sent[i].payload_bytes, 8);
	}
	end(&w);
}

static void submit_when_large_then_no_datagram_above_its_limit(void **state)
{
	uint8_t payload[CLI_MAX_PAYLOAD_BYTES + 1] = {0};
	struct cli_request request = {.payload = payload, .payload_bytes = 700};
	begin_open(&w, 8);
	assert_int_equal(cli_engine_submit(w.engine, &request, w.now_ns), 0);
	assert_int_equal(cli_engine_submit(w.engine, &request, w.now_ns), 0);
	request.payload_bytes = CLI_MAX_PAYLOAD_BYTES;
	assert_int_equal(cli_engine_submit(w.engine, &request, w.now_ns), 0);
	request.payload_bytes++;
	assert_int_equal(cli_engine_submit(w.engine, &request, w.now_ns), -EINVAL);
	pump(&w); /* asserts the limit */
	assert_int_equal(w.sent_count, 3);
	assert_int_equal(w.datagram_count, 3);
	end(&w);
}

static void answer_when_ok_then_result_carries_all_of_it(void **state)
{
	int64_t value = -5;
	begin_open(&w, 8);
	submit(&w, 77);
	pump(&w);
	struct cli_update_response response = response_to(&w, 1, CLI_OK, 5);
	response.asset_version = 3;
	response.flags = CLI_RESPONSE_REPEAT;
	put_message(&w, CLI_UPDATE_RESPONSE, &response, sizeof(response));
	put_payload(&w, &value, sizeof(value));
	w.now_ns += 3 * MS;
	deliver(&w, NODE_A);
	struct cli_result result = next_result(&w);
	assert_int_equal(result.outcome, CLI_OUTCOME_OK);
	assert_true(result.user == 77 && result.request_seq == 1 && result.sequence == 101);
	assert_true(result.asset_version == 3 && result.epoch == 5 && result.repeat);
	assert_true(result.finished_ns - result.first_sent_ns == 3 * MS);
	assert_int_equal(result.copies, 1);
	assert_int_equal(result.payload_bytes, 8);
	assert_memory_equal(result.payload, &value, 8);
	assert_int_equal(cli_engine_epoch(w.engine), 5);
	assert_int_equal(cli_engine_pending(w.engine), 0);
	end(&w);
}

static void answer_when_rejected_then_result_has_the_reason(void **state)
{
	uint16_t reason = CLI_REGISTER_OVERFLOW;
	begin_open(&w, 8);
	submit(&w, 1);
	pump(&w);
	struct cli_update_response response = response_to(&w, 1, CLI_REJECTED, 4);
	put_message(&w, CLI_UPDATE_RESPONSE, &response, sizeof(response));
	put_payload(&w, &reason, sizeof(reason));
	deliver(&w, NODE_A);
	struct cli_result result = next_result(&w);
	assert_int_equal(result.outcome, CLI_OUTCOME_REJECTED);
	assert_memory_equal(result.payload, &reason, 2);
	end(&w);
}

static void answers_when_out_of_order_then_first_incomplete_waits_for_the_lowest(void **state)
{
	begin_open(&w, 16);
	for (uint64_t i = 1; i <= 4; i++)
		submit(&w, i);
	pump(&w);
	answer(&w, NODE_A, 3, CLI_OK, 4, NULL);
	answer(&w, NODE_A, 2, CLI_OK, 4, NULL);
	assert_true(cli_engine_first_incomplete(w.engine) == 1);
	submit(&w, 5);
	pump(&w);
	assert_true(last_sent(&w)->request.first_incomplete_seq == 1);
	answer(&w, NODE_A, 1, CLI_OK, 4, NULL);
	assert_true(cli_engine_first_incomplete(w.engine) == 4);
	submit(&w, 6);
	pump(&w);
	assert_true(last_sent(&w)->request.request_seq == 6);
	assert_true(last_sent(&w)->request.first_incomplete_seq == 4);
	end(&w);
}

static void answer_when_duplicated_then_one_result(void **state)
{
	begin_open(&w, 8);
	submit(&w, 1);
	submit(&w, 2);
	pump(&w);
	answer(&w, NODE_A, 2, CLI_OK, 4, NULL);
	answer(&w, NODE_A, 2, CLI_OK, 4, NULL);
	answer(&w, NODE_A, 2, CLI_FORGOTTEN, 4, NULL);
	next_result(&w);
	assert_no_result(&w);
	assert_int_equal(counters_of(&w).duplicate, 2);
	assert_int_equal(cli_engine_state(w.engine), CLI_STATE_OPEN);
	end(&w);
}

static void answer_when_lost_then_same_request_seq_and_payload_again(void **state)
{
	begin_open(&w, 8);
	w.now_ns += MS;
	submit(&w, 9);
	pump(&w);
	assert_in_range(run_to_expiry(&w), 10 * MS, 20 * MS);
	assert_in_range(run_to_expiry(&w), 20 * MS, 40 * MS);
	assert_in_range(run_to_expiry(&w), 40 * MS, 80 * MS);
	assert_int_equal(w.sent_count, 4);
	for (int i = 1; i < 4; i++) {
		assert_memory_equal(
			&w.sent[i].request, &w.sent[0].request, sizeof(w.sent[0].request)
		);
		assert_memory_equal(w.sent[i].payload, w.sent[0].payload, 8);
	}
	assert_true(went_to(&w.sent[1], NODE_A));
	assert_true(went_to(&w.sent[2], NODE_B));
	answer(&w, NODE_B, 1, CLI_OK, 5, NULL);
	assert_int_equal(next_result(&w).copies, 4);
	end(&w);
}

static void window_when_full_then_fresh_requests_wait_or_are_not_taken(void **state)
{
	begin_open(&w, 10); /* the session's maxInflight is 8 */
	for (uint64_t i = 1; i <= 10; i++)
		assert_int_equal(submit(&w, i), 0);
	assert_int_equal(submit(&w, 11), -EAGAIN);
	pump(&w);
	assert_int_equal(w.sent_count, 8);
	answer(&w, NODE_A, 2, CLI_OK, 4, NULL);
	pump(&w);
	assert_int_equal(w.sent_count, 8); /* 1 is still open: 9 would be 8 above it */
	answer(&w, NODE_A, 1, CLI_OK, 4, NULL);
	pump(&w);
	assert_int_equal(w.sent_count, 10);
	assert_true(last_sent(&w)->request.first_incomplete_seq == 3);
	assert_int_equal(submit(&w, 11), -EAGAIN);
	next_result(&w);
	assert_int_equal(submit(&w, 11), 0);
	end(&w);
}

/* ---- which node ---- */

static void not_primary_when_hinted_then_same_seq_to_the_hint_at_once(void **state)
{
	begin_open(&w, 8);
	submit(&w, 1);
	pump(&w);
	answer(&w, NODE_A, 1, CLI_NOT_PRIMARY, 5, &NODE_C);
	assert_int_equal(run_to_expiry(&w), 0);
	assert_int_equal(w.sent_count, 2);
	assert_true(went_to(last_sent(&w), NODE_C));
	assert_true(last_sent(&w)->request.request_seq == 1);
	answer(&w, NODE_C, 1, CLI_OK, 5, NULL);
	assert_int_equal(next_result(&w).outcome, CLI_OUTCOME_OK);
	end(&w);
}

static void not_primary_when_empty_then_other_node_after_a_pause(void **state)
{
	begin_open(&w, 8);
	submit(&w, 1);
	pump(&w);
	answer(&w, NODE_A, 1, CLI_NOT_PRIMARY, 4, NULL);
	assert_in_range(run_to_expiry(&w), 10 * MS, 20 * MS);
	assert_true(went_to(last_sent(&w), NODE_B));
	assert_int_equal(w.sent_count, 2);
	end(&w);
}

static void not_primary_when_of_lower_epoch_then_hint_is_ignored(void **state)
{
	begin_open(&w, 8);
	submit(&w, 1);
	pump(&w);
	answer(&w, NODE_A, 1, CLI_NOT_PRIMARY, 3, &NODE_C);
	assert_in_range(run_to_expiry(&w), 10 * MS, 20 * MS);
	assert_true(went_to(last_sent(&w), NODE_B));
	assert_int_equal(counters_of(&w).stale_epoch, 1);
	assert_int_equal(cli_engine_epoch(w.engine), 4);
	end(&w);
}

static void not_primary_when_nodes_point_at_each_other_then_paused(void **state)
{
	begin_open(&w, 8);
	submit(&w, 1);
	pump(&w);
	uint64_t begun_ns = w.now_ns;
	for (int i = 0; i < 10; i++) {
		bool a = went_to(last_sent(&w), NODE_A);
		answer(&w, a ? NODE_A : NODE_B, 1, CLI_NOT_PRIMARY, 4, a ? &NODE_B : &NODE_A);
		run_to_expiry(&w);
	}
	assert_int_equal(w.sent_count, 11);
	assert_true(w.now_ns - begun_ns > 1000 * MS);
	end(&w);
}

static void not_primary_when_many_in_flight_then_moves_once(void **state)
{
	begin_open(&w, 8);
	for (uint64_t i = 1; i <= 8; i++)
		submit(&w, i);
	pump(&w);
	for (uint64_t i = 1; i <= 8; i++)
		answer(&w, NODE_A, i, CLI_NOT_PRIMARY, 4, NULL);
	run_to_expiry(&w);
	assert_int_equal(w.sent_count, 16);
	assert_int_equal(w.datagram_count, 2);
	for (int i = 8; i < 16; i++)
		assert_true(went_to(&w.sent[i], NODE_B));
	assert_int_equal(counters_of(&w).moves, 1);
	end(&w);
}

static void not_primary_when_a_newer_copy_is_elsewhere_then_no_further_copy(void **state)
{
	begin_open(&w, 8);
	w.now_ns += MS;
	submit(&w, 1);
	pump(&w);
	run_to_expiry(&w);
	run_to_expiry(&w);
	assert_true(went_to(last_sent(&w), NODE_B));
	answer(&w, NODE_A, 1, CLI_NOT_PRIMARY, 4, &NODE_B);
	pump(&w);
	assert_int_equal(w.sent_count, 3);
	end(&w);
}

static void ok_when_of_lower_epoch_then_it_is_true(void **state)
{
	begin_open(&w, 8);
	submit(&w, 1);
	submit(&w, 2);
	pump(&w);
	answer(&w, NODE_A, 1, CLI_OK, 6, NULL);
	answer(&w, NODE_A, 2, CLI_OK, 4, NULL);
	next_result(&w);
	struct cli_result result = next_result(&w);
	assert_int_equal(result.outcome, CLI_OUTCOME_OK);
	assert_int_equal(result.epoch, 4);
	assert_int_equal(cli_engine_epoch(w.engine), 6);
	end(&w);
}

static void forgotten_when_of_lower_epoch_then_ignored(void **state)
{
	begin_open(&w, 8);
	submit(&w, 1);
	pump(&w);
	answer(&w, NODE_A, 1, CLI_FORGOTTEN, 3, NULL);
	assert_no_result(&w);
	assert_int_equal(cli_engine_state(w.engine), CLI_STATE_OPEN);
	run_to_expiry(&w);
	assert_true(went_to(last_sent(&w), NODE_B));
	answer(&w, NODE_B, 1, CLI_OK, 4, NULL);
	assert_int_equal(next_result(&w).outcome, CLI_OUTCOME_OK);
	end(&w);
}

/* ---- pauses and outcomes ---- */

static void busy_when_answered_then_all_sending_backs_off(void **state)
{
	begin_open(&w, 8);
	submit(&w, 1);
	pump(&w);
	uint64_t begun_ns = w.now_ns;
	answer(&w, NODE_A, 1, CLI_BUSY, 4, NULL);
	submit(&w, 2);
	pump(&w);
	assert_int_equal(w.sent_count, 1);
	run_to_expiry(&w);
	assert_in_range(w.now_ns - begun_ns, 10 * MS, 20 * MS);
	assert_int_equal(w.sent_count, 3);
	assert_true(w.sent[1].request.request_seq == 1);
	assert_true(w.sent[2].request.request_seq == 2);
	assert_true(went_to(last_sent(&w), NODE_A));
	answer(&w, NODE_A, 1, CLI_OVERLOADED, 4, NULL);
	answer(&w, NODE_A, 2, CLI_OK, 4, NULL);
	begun_ns = w.now_ns;
	run_to_expiry(&w);
	assert_in_range(w.now_ns - begun_ns, 20 * MS, 40 * MS);
	assert_true(last_sent(&w)->request.request_seq == 1);
	assert_int_equal(counters_of(&w).busy, 1);
	assert_int_equal(counters_of(&w).overloaded, 1);
	end(&w);
}

static void forgotten_when_session_is_gone_then_unknown_and_unsent_move_to_a_new_one(void **state)
{
	begin_open(&w, 16);
	for (uint64_t i = 1; i <= 10; i++)
		submit(&w, i);
	pump(&w);
	assert_int_equal(w.sent_count, 8);
	answer(&w, NODE_A, 3, CLI_OK, 4, NULL);
	answer(&w, NODE_A, 1, CLI_FORGOTTEN, 4, NULL);
	assert_true(next_result(&w).user == 3);
	for (int i = 0; i < 7; i++) {
		struct cli_result result = next_result(&w);
		assert_int_equal(result.outcome, CLI_OUTCOME_UNKNOWN);
		assert_int_equal(result.cause, CLI_CAUSE_SESSION);
		assert_true(result.client_id == CLIENT_ID);
		assert_int_equal(result.status, i == 0 ? CLI_FORGOTTEN : CLI_NO_STATUS);
	}
	assert_no_result(&w);
	pump(&w);
	assert_int_equal(last_sent(&w)->template_id, CLI_OPEN_SESSION);
	answer(&w, NODE_A, 2, CLI_OK, 4, NULL); /* of the old session, too late */
	opened(&w, NODE_A, CLI_OK, 4, CLIENT_ID + 5, NULL);
	pump(&w);
	assert_true(last_sent(&w)->request.request_seq == 2);
	assert_true(last_sent(&w)->request.client_id == CLIENT_ID + 5);
	assert_int_equal(last_sent(&w)->payload[0], 10);
	assert_int_equal(counters_of(&w).unknown, 7);
	end(&w);
}

static void deadline_when_passed_then_unknown_if_sent_and_not_sent_else(void **state)
{
	struct cli_request request = {.deadline_ns = 0};
	begin_open(&w, 16);
	request.deadline_ns = w.now_ns + 15 * MS;
	for (request.user = 1; request.user <= 9; request.user++)
		assert_int_equal(cli_engine_submit(w.engine, &request, w.now_ns), 0);
	pump(&w);
	while (w.now_ns < request.deadline_ns)
		run_to_expiry(&w);
	assert_true(w.now_ns == request.deadline_ns);
	for (uint64_t i = 1; i <= 9; i++) {
		struct cli_result result = next_result(&w);
		assert_true(result.user == i);
		assert_int_equal(
			result.outcome, i <= 8 ? CLI_OUTCOME_UNKNOWN : CLI_OUTCOME_NOT_SENT
		);
		assert_int_equal(result.cause, CLI_CAUSE_DEADLINE);
	}
	/* The window is free again, and the nodes are told. */
	answer(&w, NODE_A, 1, CLI_OK, 4, NULL);
	assert_no_result(&w);
	submit(&w, 10);
	pump(&w);
	assert_true(last_sent(&w)->request.request_seq == 9);
	assert_true(last_sent(&w)->request.first_incomplete_seq == 9);
	end(&w);
}

static void bad_request_when_only_copy_then_refused_else_unknown(void **state)
{
	begin_open(&w, 8);
	submit(&w, 1);
	pump(&w);
	answer(&w, NODE_A, 1, CLI_BAD_REQUEST, 4, NULL);
	assert_int_equal(next_result(&w).outcome, CLI_OUTCOME_REFUSED);
	submit(&w, 2);
	pump(&w);
	run_to_expiry(&w);
	answer(&w, NODE_A, 2, CLI_UNAUTHORIZED, 4, NULL);
	struct cli_result result = next_result(&w);
	assert_int_equal(result.outcome, CLI_OUTCOME_UNKNOWN);
	assert_int_equal(result.cause, CLI_CAUSE_ANSWER);
	assert_int_equal(result.status, CLI_UNAUTHORIZED);
	end(&w);
}

static void close_when_in_flight_then_unknown_and_close_is_said_once(void **state)
{
	begin_open(&w, 16);
	for (uint64_t i = 1; i <= 9; i++)
		submit(&w, i);
	pump(&w);
	cli_engine_close(w.engine, w.now_ns);
	for (uint64_t i = 1; i <= 9; i++)
		assert_int_equal(
			next_result(&w).outcome, i <= 8 ? CLI_OUTCOME_UNKNOWN : CLI_OUTCOME_NOT_SENT
		);
	pump(&w);
	assert_int_equal(w.sent_count, 9);
	assert_int_equal(last_sent(&w)->template_id, CLI_CLOSE_SESSION);
	assert_true(last_sent(&w)->nonce == CLIENT_ID);
	assert_int_equal(submit(&w, 10), -ESHUTDOWN);
	assert_true(cli_engine_expiry(w.engine) == CLI_NEVER);
	end(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(open_when_not_answered_then_same_nonce_after_growing_pauses),
		cmocka_unit_test(open_when_hinted_then_hinted_node_is_asked_at_once),
		cmocka_unit_test(open_when_busy_then_same_nonce_after_a_pause),
		cmocka_unit_test(open_when_unauthorized_then_requests_end_as_not_sent),
		cmocka_unit_test(opened_when_of_other_nonce_or_repeated_then_ignored),
		cmocka_unit_test(session_when_long_idle_then_a_new_one_is_opened_first),
		cmocka_unit_test(submit_when_several_then_one_datagram_in_order),
		cmocka_unit_test(submit_when_large_then_no_datagram_above_its_limit),
		cmocka_unit_test(answer_when_ok_then_result_carries_all_of_it),
		cmocka_unit_test(answer_when_rejected_then_result_has_the_reason),
		cmocka_unit_test(
			answers_when_out_of_order_then_first_incomplete_waits_for_the_lowest
		),
		cmocka_unit_test(answer_when_duplicated_then_one_result),
		cmocka_unit_test(answer_when_lost_then_same_request_seq_and_payload_again),
		cmocka_unit_test(window_when_full_then_fresh_requests_wait_or_are_not_taken),
		cmocka_unit_test(not_primary_when_hinted_then_same_seq_to_the_hint_at_once),
		cmocka_unit_test(not_primary_when_empty_then_other_node_after_a_pause),
		cmocka_unit_test(not_primary_when_of_lower_epoch_then_hint_is_ignored),
		cmocka_unit_test(not_primary_when_nodes_point_at_each_other_then_paused),
		cmocka_unit_test(not_primary_when_many_in_flight_then_moves_once),
		cmocka_unit_test(not_primary_when_a_newer_copy_is_elsewhere_then_no_further_copy),
		cmocka_unit_test(ok_when_of_lower_epoch_then_it_is_true),
		cmocka_unit_test(forgotten_when_of_lower_epoch_then_ignored),
		cmocka_unit_test(busy_when_answered_then_all_sending_backs_off),
		cmocka_unit_test(
			forgotten_when_session_is_gone_then_unknown_and_unsent_move_to_a_new_one
		),
		cmocka_unit_test(deadline_when_passed_then_unknown_if_sent_and_not_sent_else),
		cmocka_unit_test(bad_request_when_only_copy_then_refused_else_unknown),
		cmocka_unit_test(close_when_in_flight_then_unknown_and_close_is_said_once),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
