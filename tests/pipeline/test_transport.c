/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Queue and stream, row by row of the table of components.
 */
#include "tests/pipeline/bench.h"

static void send_one(struct bench *b, uint64_t id, enum pl_status status)
{
	bench_feed(b, say_record(PL_SEND, BENCH_ASKER, (uint32_t)id, id));
	assert_int_equal(bench_sent(b, PL_SEND_DONE)->status, status);
}

static struct pl_message receive(struct bench *b, uint64_t first, uint32_t count)
{
	bench_feed(b, say(PL_RECEIVE, 30, 5));
	struct pl_message *m = bench_only(b, PL_DELIVERY);
	assert_int_equal(m->status, PL_OK);
	assert_int_equal(m->count, count);
	assert_int_equal(m->records[0].id, first);
	return *m;
}

static enum pl_status remove_delivered(struct bench *b, const struct pl_message *delivery)
{
	struct pl_message m = *delivery;
	m.kind = PL_REMOVE;
	m.from = 30;
	m.request = 6;
	bench_feed(b, m);
	assert_int_equal(bench_only(b, PL_REMOVE_DONE)->request, 6);
	return b->out.messages[0].status;
}

static uint64_t depth(struct bench *b)
{
	bench_feed(b, say(PL_DEPTH, BENCH_ASKER, 8));
	return bench_only(b, PL_DEPTH_DONE)->position;
}

static void queue_hands_out_its_head_without_removing_it_when_it_is_asked(void **unused)
{
	struct bench b = bench_of(&pl_queue);
	send_one(&b, 1, PL_OK);
	assert_int_equal(bench_effects(&b, PL_EFFECT_SENT), 1);
	assert_int_equal(bench_effects(&b, PL_EFFECT_ACCEPTED), 1);
	send_one(&b, 2, PL_OK);
	struct pl_message first = receive(&b, 1, 1);
	receive(&b, 1, 1);
	assert_int_equal(depth(&b), 2);
	assert_int_equal(remove_delivered(&b, &first), PL_OK);
	assert_int_equal(bench_effects(&b, PL_EFFECT_REMOVED), 1);
	receive(&b, 2, 1);
	assert_int_equal(depth(&b), 1);
	bench_end(&b);
}

static void queue_removes_nothing_when_a_removal_names_nothing_that_stands(void **unused)
{
	struct bench b = bench_of(&pl_queue);
	send_one(&b, 1, PL_OK);
	send_one(&b, 2, PL_OK);
	struct pl_message right = receive(&b, 1, 1), wrong = right;
	wrong.position++;
	assert_int_equal(remove_delivered(&b, &wrong), PL_NOTHING);
	wrong = right;
	wrong.incarnation++;
	assert_int_equal(remove_delivered(&b, &wrong), PL_NOTHING);
	wrong = right;
	wrong.records[0].id = 2;
	assert_int_equal(remove_delivered(&b, &wrong), PL_NOTHING);
	assert_int_equal(bench_effects(&b, PL_EFFECT_NOT_REMOVED), 1);
	assert_int_equal(depth(&b), 2);
	assert_int_equal(remove_delivered(&b, &right), PL_OK);
	assert_int_equal(remove_delivered(&b, &right), PL_NOTHING);
	assert_int_equal(depth(&b), 1);
	bench_end(&b);
}

static void queue_removes_any_head_when_it_is_as_modelled(void **unused)
{
	struct pl_params params = bench_params();
	params.defects = 1u << PL_DEFECT_REMOVE_BY_POSITION;
	struct bench b = bench_begin(&pl_queue, params);
	send_one(&b, 1, PL_OK);
	send_one(&b, 2, PL_OK);
	struct pl_message one = receive(&b, 1, 1);
	assert_int_equal(remove_delivered(&b, &one), PL_OK);
	assert_int_equal(remove_delivered(&b, &one), PL_OK);
	assert_int_equal(depth(&b), 0);
	bench_end(&b);
}

static void queue_answers_the_newest_request_when_a_record_comes(void **unused)
{
	struct bench b = bench_of(&pl_queue);
	bench_feed(&b, say(PL_RECEIVE, 30, 1));
	assert_int_equal(b.out.message_count, 0);
	bench_feed(&b, say(PL_RECEIVE, 30, 2));
	bench_feed(&b, say(PL_RECEIVE, 31, 9));
	send_one(&b, 1, PL_OK);
	assert_int_equal(b.out.message_count, 3);
	assert_int_equal(b.out.messages[1].request, 2);
	assert_int_equal(b.out.messages[2].request, 9);
	send_one(&b, 2, PL_OK);
	assert_int_equal(b.out.message_count, 1);
	bench_end(&b);
}

static void queue_is_full_when_its_capacity_stands_and_goes_on_when_one_is_removed(void **unused)
{
	struct pl_params params = bench_params();
	params.capacity = 2;
	struct bench b = bench_begin(&pl_queue, params);
	send_one(&b, 1, PL_OK);
	send_one(&b, 2, PL_OK);
	send_one(&b, 3, PL_FULL);
	assert_int_equal(bench_effects(&b, PL_EFFECT_ACCEPTED), 0);
	/* What stands already needs no room. */
	send_one(&b, 2, PL_OK);
	for (uint64_t id = 1; id < 20; id++) {
		struct pl_message m = receive(&b, id, 1);
		assert_int_equal(remove_delivered(&b, &m), PL_OK);
		send_one(&b, id + 2, PL_OK);
	}
	bench_end(&b);
}

static void queue_keeps_one_copy_when_its_sender_repeats_its_last_record(void **unused)
{
	struct bench b = bench_of(&pl_queue);
	send_one(&b, 1, PL_OK);
	send_one(&b, 1, PL_OK);
	assert_int_equal(bench_effects(&b, PL_EFFECT_SENT), 1);
	assert_int_equal(bench_effects(&b, PL_EFFECT_ACCEPTED), 0);
	assert_int_equal(depth(&b), 1);
	struct pl_message m = receive(&b, 1, 1);
	assert_int_equal(remove_delivered(&b, &m), PL_OK);
	send_one(&b, 1, PL_OK); /* also when it is through already */
	assert_int_equal(depth(&b), 0);
	bench_end(&b);
}

static void queue_refuses_all_and_keeps_its_content_when_it_is_failed(void **unused)
{
	struct bench b = bench_of(&pl_queue);
	bench_feed(&b, say(PL_RECEIVE, 30, 4));
	bench_command(&b, PL_FAIL, 0, PL_OK);
	assert_int_equal(bench_sent(&b, PL_DELIVERY)->status, PL_FAILED);
	assert_int_equal(bench_sent(&b, PL_DELIVERY)->request, 4);
	bench_command(&b, PL_RECOVER, 0, PL_OK);
	send_one(&b, 1, PL_OK);
	struct pl_message m = receive(&b, 1, 1);
	bench_command(&b, PL_FAIL, 0, PL_OK);
	bench_command(&b, PL_FAIL, 0, PL_OK);
	assert_string_equal(bench_state(&b), "failed");
	send_one(&b, 2, PL_FAILED);
	assert_int_equal(remove_delivered(&b, &m), PL_FAILED);
	bench_feed(&b, say(PL_RECEIVE, 30, 4));
	assert_int_equal(bench_only(&b, PL_DELIVERY)->status, PL_FAILED);
	bench_feed(&b, say(PL_DEPTH, 30, 4));
	assert_int_equal(bench_only(&b, PL_DEPTH_DONE)->status, PL_FAILED);
	bench_command(&b, PL_RECOVER, 0, PL_OK);
	/* The same incarnation: what was delivered before may be removed now. */
	assert_int_equal(remove_delivered(&b, &m), PL_OK);
	bench_end(&b);
}

static void removal_names_nothing_when_queue_or_stream_was_made_anew(void **unused)
{
	const struct pl_kind *kinds[] = {&pl_queue, &pl_stream};
	for (uint32_t i = 0; i < 2; i++) {
		struct bench b = bench_of(kinds[i]);
		send_one(&b, 1, PL_OK);
		struct pl_message old = receive(&b, 1, 1);
		bench_command(&b, PL_CRASH, 0, PL_OK);
		send_one(&b, 1, PL_OK);
		receive(&b, 1, 1);
		assert_int_equal(remove_delivered(&b, &old), PL_NOTHING);
		receive(&b, 1, 1);
		bench_end(&b);
	}
}

static void watch_is_answered_when_so_many_were_taken_now_or_before(void **unused)
{
	const struct pl_kind *kinds[] = {&pl_queue, &pl_stream};
	for (uint32_t i = 0; i < 2; i++) {
		struct bench b = bench_of(kinds[i]);
		struct pl_message watch = say(PL_NOTIFY_AT, BENCH_ASKER, 77);
		watch.position = 2;
		bench_feed(&b, watch);
		assert_int_equal(b.out.message_count, 0);
		send_one(&b, 1, PL_OK);
		send_one(&b, 1, PL_OK);
		assert_null(bench_sent(&b, PL_NOTIFY));
		send_one(&b, 2, PL_OK);
		assert_int_equal(bench_sent(&b, PL_NOTIFY)->request, 77);
		send_one(&b, 3, PL_OK);
		assert_null(bench_sent(&b, PL_NOTIFY));
		bench_feed(&b, watch);
		assert_int_equal(bench_only(&b, PL_NOTIFY)->position, 2);
		bench_end(&b);
	}
}

/* ---- what a stream does otherwise ---- */

static void send_batch(struct bench *b, uint64_t first, uint32_t count, enum pl_status status)
{
	struct pl_message m = say(PL_SEND, BENCH_ASKER, 3);
	m.count = (uint8_t)count;
	for (uint32_t i = 0; i < count; i++)
		m.records[i] = (struct pl_record){.id = first + i, .value = 1};
	bench_feed(b, m);
	assert_int_equal(bench_sent(b, PL_SEND_DONE)->status, status);
}

static void stream_hands_out_batches_of_five_and_a_short_rest_when_it_is_asked(void **unused)
{
	struct bench b = bench_of(&pl_stream);
	send_batch(&b, 1, 4, PL_OK);
	send_batch(&b, 5, 3, PL_OK);
	struct pl_message m = receive(&b, 1, 5);
	assert_int_equal(m.records[4].id, 5);
	assert_int_equal(remove_delivered(&b, &m), PL_OK);
	assert_int_equal(bench_effects(&b, PL_EFFECT_REMOVED), 5);
	m = receive(&b, 6, 2);
	assert_int_equal(remove_delivered(&b, &m), PL_OK);
	assert_int_equal(remove_delivered(&b, &m), PL_NOTHING);
	assert_int_equal(depth(&b), 0);
	bench_feed(&b, say(PL_RECEIVE, 30, 5));
	assert_int_equal(b.out.message_count, 0);
	send_batch(&b, 8, 1, PL_OK);
	assert_int_equal(bench_sent(&b, PL_DELIVERY)->count, 1);
	bench_end(&b);
}

static void stream_keeps_a_record_until_each_group_that_asked_is_past_it(void **unused)
{
	struct pl_params params = bench_params();
	params.capacity = 5;
	struct bench b = bench_begin(&pl_stream, params);
	send_batch(&b, 1, 5, PL_OK);
	struct pl_message m = receive(&b, 1, 5);
	struct pl_message other = say(PL_RECEIVE, 31, 9);
	other.argument = 1;
	bench_feed(&b, other);
	struct pl_message second = *bench_only(&b, PL_DELIVERY);
	assert_int_equal(remove_delivered(&b, &m), PL_OK);
	send_batch(&b, 6, 1, PL_FULL);
	second.argument = 1;
	assert_int_equal(remove_delivered(&b, &second), PL_OK);
	send_batch(&b, 6, 5, PL_OK);
	receive(&b, 6, 5);
	other.argument = 2;
	bench_feed(&b, other);
	assert_int_equal(bench_only(&b, PL_DELIVERY)->status, PL_FAILED);
	bench_end(&b);
}

static void stream_appends_only_the_rest_when_a_batch_is_sent_again_and_has_grown(void **unused)
{
	struct bench b = bench_of(&pl_stream);
	send_batch(&b, 1, 3, PL_OK);
	send_batch(&b, 1, 5, PL_OK);
	assert_int_equal(bench_effects(&b, PL_EFFECT_ACCEPTED), 2);
	assert_int_equal(depth(&b), 5);
	/* A record that was sent long ago and comes alone is one of its own. */
	send_batch(&b, 6, 1, PL_OK);
	send_batch(&b, 1, 1, PL_OK);
	assert_int_equal(bench_effects(&b, PL_EFFECT_ACCEPTED), 1);
	bench_end(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(queue_hands_out_its_head_without_removing_it_when_it_is_asked),
		cmocka_unit_test(queue_removes_nothing_when_a_removal_names_nothing_that_stands),
		cmocka_unit_test(queue_removes_any_head_when_it_is_as_modelled),
		cmocka_unit_test(queue_answers_the_newest_request_when_a_record_comes),
		cmocka_unit_test(
			queue_is_full_when_its_capacity_stands_and_goes_on_when_one_is_removed
		),
		cmocka_unit_test(queue_keeps_one_copy_when_its_sender_repeats_its_last_record),
		cmocka_unit_test(queue_refuses_all_and_keeps_its_content_when_it_is_failed),
		cmocka_unit_test(removal_names_nothing_when_queue_or_stream_was_made_anew),
		cmocka_unit_test(watch_is_answered_when_so_many_were_taken_now_or_before),
		cmocka_unit_test(stream_hands_out_batches_of_five_and_a_short_rest_when_it_is_asked
		),
		cmocka_unit_test(stream_keeps_a_record_until_each_group_that_asked_is_past_it),
		cmocka_unit_test(
			stream_appends_only_the_rest_when_a_batch_is_sent_again_and_has_grown
		),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
