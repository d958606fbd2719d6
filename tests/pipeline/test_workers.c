/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Containers, the API container, source, destination and DNS, row by row.
 */
#include "tests/pipeline/bench.h"

static struct pl_message delivery(const struct pl_message *asked, uint64_t first, uint32_t count)
{
	struct pl_message m = bench_answer(asked, PL_DELIVERY, PL_OK);
	m.count = (uint8_t)count;
	m.position = first;
	m.incarnation = 1;
	for (uint32_t i = 0; i < count; i++)
		m.records[i] = (struct pl_record){.id = first + i, .value = 100 * (first + i)};
	return m;
}

/* Answers the only message that it sent; what it sent then. */
static struct pl_message *answer_ok(struct bench *b, enum pl_message_kind kind)
{
	static const uint8_t answers[PL_MESSAGE_KINDS] = {
		[PL_WRITE] = PL_WRITE_DONE,
		[PL_SEND] = PL_SEND_DONE,
		[PL_REMOVE] = PL_REMOVE_DONE,
		[PL_CALL] = PL_CALL_DONE,
	};
	struct pl_message asked = *bench_only(b, kind);
	bench_feed(b, bench_answer(&asked, answers[kind], PL_OK));
	return &b->out.messages[0];
}

static void answer_with(struct bench *b, enum pl_message_kind kind, enum pl_status status)
{
	struct pl_message asked = b->out.messages[b->out.message_count - 1];
	bench_feed(b, bench_answer(&asked, kind, status));
}

static void container_receives_writes_sends_and_removes_in_that_order(void **unused)
{
	struct bench b = bench_of(&pl_container);
	bench_feed(&b, delivery(bench_only(&b, PL_RECEIVE), 1, 1));
	assert_int_equal(bench_effects(&b, PL_EFFECT_IN_HAND), 1);
	assert_int_equal(bench_only(&b, PL_WRITE)->to, 3);
	assert_int_equal(b.out.messages[0].region, 1);
	assert_int_equal(answer_ok(&b, PL_WRITE)->to, 5);
	answer_ok(&b, PL_SEND);
	assert_int_equal(bench_only(&b, PL_REMOVE)->to, 1);
	assert_int_equal(b.out.messages[0].position, 1);
	assert_int_equal(b.out.messages[0].incarnation, 1);
	assert_int_equal(b.out.messages[0].records[0].id, 1);
	answer_ok(&b, PL_REMOVE);
	bench_only(&b, PL_RECEIVE);
	bench_end(&b);
}

static void stream_container_writes_each_record_and_sends_the_batch(void **unused)
{
	struct bench b = bench_of(&pl_stream_container);
	bench_feed(&b, delivery(bench_only(&b, PL_RECEIVE), 1, 5));
	for (uint64_t id = 1; id <= 5; id++) {
		assert_int_equal(bench_only(&b, PL_WRITE)->records[0].id, id);
		answer_ok(&b, PL_WRITE);
	}
	assert_int_equal(bench_only(&b, PL_SEND)->count, 5);
	assert_int_equal(answer_ok(&b, PL_SEND)->count, 5);
	bench_end(&b);
}

static void container_stops_and_asks_its_input_again_when_a_dependency_failed(void **unused)
{
	static const enum pl_message_kind replies[] = {
		PL_DELIVERY,
		PL_WRITE_DONE,
		PL_SEND_DONE,
		PL_REMOVE_DONE,
	};
	for (uint32_t step = 0; step < 4; step++) {
		struct bench b = bench_of(&pl_container);
		uint64_t wait_ns = 100;
		for (uint32_t turn = 0; turn < 4; turn++) {
			if (step > 0)
				bench_feed(&b, delivery(bench_only(&b, PL_RECEIVE), 1, 1));
			for (uint32_t i = 1; i < step; i++)
				answer_with(&b, replies[i], PL_OK);
			answer_with(&b, replies[step], PL_FAILED);
			assert_string_equal(bench_state(&b), "stopped");
			assert_int_equal(b.out.message_count, 0);
			assert_int_equal(b.out.timer_ns, b.now_ns + wait_ns);
			wait_ns = wait_ns < 400 ? 2 * wait_ns : 400;
			bench_timer(&b);
			bench_only(&b, PL_RECEIVE);
		}
		bench_end(&b);
	}
}

static void recover_is_a_hint_that_a_stopped_container_follows_at_once(void **unused)
{
	struct bench b = bench_of(&pl_container);
	bench_command(&b, PL_RECOVER, 0, PL_OK);
	assert_int_equal(b.out.message_count, 1);
	bench_end(&b);
	b = bench_of(&pl_container);
	answer_with(&b, PL_DELIVERY, PL_FAILED);
	bench_command(&b, PL_RECOVER, 0, PL_OK);
	assert_non_null(bench_sent(&b, PL_RECEIVE));
	assert_int_equal(b.out.timer_ns, PL_NEVER);
	bench_end(&b);
}

static void stopped_container_does_not_probe_when_those_defects_are_on(void **unused)
{
	for (uint32_t hint = 0; hint < 2; hint++) {
		struct pl_params params = bench_params();
		params.defects = 1u << (hint ? PL_DEFECT_EDGE_RECOVERY : PL_DEFECT_NEVER_PROBES);
		struct bench b = bench_begin(&pl_container, params);
		answer_with(&b, PL_DELIVERY, PL_FAILED);
		assert_int_equal(b.out.timer_ns, PL_NEVER);
		bench_command(&b, PL_RECOVER, 0, PL_OK);
		assert_int_equal(bench_sent(&b, PL_RECEIVE) != NULL, hint);
		bench_end(&b);
	}
}

static void full_is_no_failure_and_the_same_step_is_tried_again(void **unused)
{
	struct bench b = bench_of(&pl_container);
	bench_feed(&b, delivery(bench_only(&b, PL_RECEIVE), 1, 1));
	answer_with(&b, PL_WRITE_DONE, PL_FULL);
	assert_string_equal(bench_state(&b), "waits-for-room");
	bench_timer(&b);
	answer_ok(&b, PL_WRITE);
	answer_with(&b, PL_SEND_DONE, PL_FULL);
	bench_timer(&b);
	assert_int_equal(bench_only(&b, PL_SEND)->records[0].id, 1);
	bench_end(&b);
}

static void failed_container_does_its_step_again_when_it_is_recovered(void **unused)
{
	struct bench b = bench_of(&pl_container);
	bench_feed(&b, delivery(bench_only(&b, PL_RECEIVE), 1, 1));
	answer_ok(&b, PL_WRITE);
	struct pl_message send = *bench_only(&b, PL_SEND);
	bench_command(&b, PL_FAIL, 0, PL_OK);
	bench_feed(&b, bench_answer(&send, PL_SEND_DONE, PL_OK));
	assert_int_equal(bench_effects(&b, PL_EFFECT_STRAY), 1);
	assert_int_equal(b.out.message_count, 0);
	bench_command(&b, PL_FAIL, 0, PL_OK);
	bench_command(&b, PL_RECOVER, 0, PL_OK);
	assert_int_equal(bench_sent(&b, PL_SEND)->records[0].id, 1);
	answer_with(&b, PL_SEND_DONE, PL_OK);
	answer_with(&b, PL_REMOVE_DONE, PL_NOTHING); /* it had been removed */
	bench_only(&b, PL_RECEIVE);
	bench_end(&b);
}

static void crash_forgets_all_between_any_two_steps_and_old_answers_are_strays(void **unused)
{
	static const enum pl_message_kind replies[] = {
		PL_DELIVERY,
		PL_WRITE_DONE,
		PL_SEND_DONE,
		PL_REMOVE_DONE,
	};
	for (uint32_t step = 0; step < 4; step++) {
		struct bench b = bench_of(&pl_container);
		if (step > 0)
			bench_feed(&b, delivery(bench_only(&b, PL_RECEIVE), 1, 1));
		for (uint32_t i = 1; i < step; i++)
			answer_with(&b, replies[i], PL_OK);
		struct pl_message open = b.out.messages[0];
		bench_command(&b, PL_CRASH, 0, PL_OK);
		struct pl_message asked = *bench_sent(&b, PL_RECEIVE);
		bench_feed(&b, bench_answer(&open, replies[step], PL_OK));
		assert_int_equal(bench_effects(&b, PL_EFFECT_STRAY), 1);
		assert_int_equal(b.out.message_count, 0);
		bench_feed(&b, delivery(&asked, 1, 1));
		bench_only(&b, PL_WRITE);
		bench_end(&b);
	}
}

static void steps_come_in_the_wrong_order_when_those_defects_are_on(void **unused)
{
	static const struct {
		enum pl_defect defect;
		enum pl_message_kind steps[3];
	} rows[] = {
		{PL_DEFECT_REMOVE_FIRST, {PL_REMOVE, PL_WRITE, PL_SEND}},
		{PL_DEFECT_SEND_FIRST, {PL_SEND, PL_WRITE, PL_REMOVE}},
		{PL_DEFECT_REMOVE_BEFORE_SEND, {PL_WRITE, PL_REMOVE, PL_SEND}},
	};
	for (uint32_t i = 0; i < 3; i++) {
		struct pl_params params = bench_params();
		params.defects = 1u << rows[i].defect;
		struct bench b = bench_begin(&pl_container, params);
		bench_feed(&b, delivery(bench_only(&b, PL_RECEIVE), 1, 1));
		for (uint32_t s = 0; s < 3; s++)
			answer_ok(&b, rows[i].steps[s]);
		bench_only(&b, PL_RECEIVE);
		bench_end(&b);
	}
}

static void eighth_record_goes_wrong_when_those_defects_are_on(void **unused)
{
	struct pl_params params = bench_params();
	params.defects = 1u << PL_DEFECT_CONTAINER_WRONG_REGION | 1u << PL_DEFECT_CHANGES_VALUE;
	struct bench b = bench_begin(&pl_container, params);
	bench_feed(&b, delivery(bench_only(&b, PL_RECEIVE), 8, 1));
	assert_int_equal(bench_only(&b, PL_WRITE)->records[0].value, 801);
	assert_int_equal(answer_ok(&b, PL_WRITE)->to, 6);
	bench_end(&b);
}

/* ---- API container ---- */

static void call(struct bench *b, uint32_t request, uint64_t id)
{
	bench_feed(b, say_record(PL_CALL, BENCH_ASKER, request, id));
}

static void api_answers_ok_only_when_all_that_follows_succeeded(void **unused)
{
	struct bench b = bench_of(&pl_api_container);
	call(&b, 1, 1);
	answer_ok(&b, PL_WRITE);
	call(&b, 2, 2); /* another one meanwhile */
	assert_int_equal(bench_only(&b, PL_CALL_DONE)->status, PL_FULL);
	bench_command(&b, PL_RECOVER, 0, PL_OK);
	bench_end(&b);
	struct pl_params params = bench_params();
	params.next = 9;
	b = bench_begin(&pl_api_container, params);
	call(&b, 1, 1);
	assert_int_equal(answer_ok(&b, PL_WRITE)->to, 9);
	answer_ok(&b, PL_CALL);
	assert_int_equal(bench_only(&b, PL_CALL_DONE)->status, PL_OK);
	assert_int_equal(b.out.messages[0].request, 1);
	bench_end(&b);
}

static void api_tells_its_caller_when_a_dependency_failed_and_tries_the_next_call(void **unused)
{
	struct bench b = bench_of(&pl_api_container);
	call(&b, 1, 1);
	answer_ok(&b, PL_WRITE);
	answer_with(&b, PL_SEND_DONE, PL_FULL);
	bench_timer(&b);
	answer_with(&b, PL_SEND_DONE, PL_FAILED);
	assert_int_equal(bench_only(&b, PL_CALL_DONE)->status, PL_FAILED);
	assert_string_equal(bench_state(&b), "stopped");
	call(&b, 2, 1);
	answer_ok(&b, PL_WRITE);
	answer_ok(&b, PL_SEND);
	assert_int_equal(bench_only(&b, PL_CALL_DONE)->status, PL_OK);
	assert_string_equal(bench_state(&b), "idle");
	bench_end(&b);
}

static void api_breaks_the_open_call_when_it_fails_or_crashes(void **unused)
{
	static const enum pl_message_kind ends[] = {PL_FAIL, PL_CRASH};
	for (uint32_t i = 0; i < 2; i++) {
		struct bench b = bench_of(&pl_api_container);
		call(&b, 1, 1);
		struct pl_message open = *bench_only(&b, PL_WRITE);
		bench_command(&b, ends[i], 0, PL_OK);
		assert_int_equal(bench_sent(&b, PL_CALL_DONE)->status, PL_FAILED);
		bench_feed(&b, bench_answer(&open, PL_WRITE_DONE, PL_OK));
		assert_int_equal(bench_effects(&b, PL_EFFECT_STRAY), 1);
		call(&b, 2, 1);
		assert_int_equal(bench_sent(&b, PL_WRITE) != NULL, ends[i] == PL_CRASH);
		bench_command(&b, PL_RECOVER, 0, PL_OK);
		bench_end(&b);
	}
}

/* ---- source, DNS, destination ---- */

static void resolve_to(struct bench *b, uint8_t endpoint, uint8_t region, uint64_t ttl_ns)
{
	struct pl_message m = bench_answer(bench_only(b, PL_RESOLVE), PL_RESOLVED, PL_OK);
	m.argument = endpoint;
	m.region = region;
	m.position = ttl_ns;
	bench_feed(b, m);
}

static void publish(struct bench *b, uint64_t first, uint16_t count)
{
	struct pl_message m = say(PL_PUBLISH, BENCH_ASKER, 70);
	m.position = first;
	m.argument = count;
	bench_feed(b, m);
}

static void source_publishes_one_after_the_other_and_stops_at_a_refusal(void **unused)
{
	struct bench b = bench_of(&pl_source);
	publish(&b, 1, 3);
	resolve_to(&b, 1, 1, 0);
	assert_int_equal(bench_only(&b, PL_SEND)->records[0].value, pl_value_of(7, 1));
	answer_with(&b, PL_SEND_DONE, PL_OK);
	assert_int_equal(bench_sent(&b, PL_ROUTE_USED)->argument, 1);
	assert_int_equal(bench_effects(&b, PL_EFFECT_PUBLISHED), 1);
	struct pl_message resolve = *bench_sent(&b, PL_RESOLVE); /* ttl 0: asks each time */
	publish(&b, 9, 1);
	assert_int_equal(bench_only(&b, PL_PUBLISHED)->status, PL_FAILED);
	assert_int_equal(b.out.messages[0].position, 9);
	struct pl_message to = bench_answer(&resolve, PL_RESOLVED, PL_OK);
	to.argument = to.region = 2;
	bench_feed(&b, to);
	assert_int_equal(bench_only(&b, PL_SEND)->to, 2);
	answer_with(&b, PL_SEND_DONE, PL_FULL);
	assert_int_equal(b.out.message_count, 0);
	bench_timer(&b);
	resolve_to(&b, 2, 2, 0);
	answer_with(&b, PL_SEND_DONE, PL_FAILED);
	assert_int_equal(bench_effects(&b, PL_EFFECT_REFUSED), 1);
	assert_int_equal(bench_only(&b, PL_PUBLISHED)->status, PL_FAILED);
	assert_int_equal(b.out.messages[0].position, 2);
	bench_end(&b);
}

static void source_keeps_an_answer_for_its_time_to_live_and_longer_when_it_is_stale(void **unused)
{
	for (uint64_t stale_ns = 0; stale_ns <= 500; stale_ns += 500) {
		struct pl_params params = bench_params();
		params.ttl_ns = stale_ns;
		params.next = 9;
		struct bench b = bench_begin(&pl_source, params);
		publish(&b, 1, 3);
		resolve_to(&b, 1, 1, 100);
		b.now_ns = 99;
		answer_with(&b, PL_CALL_DONE, PL_OK);
		assert_int_equal(b.out.messages[1].kind, PL_CALL);
		b.now_ns = 100;
		answer_with(&b, PL_CALL_DONE, PL_OK);
		assert_int_equal(b.out.messages[1].kind, stale_ns ? PL_CALL : PL_RESOLVE);
		bench_end(&b);
	}
}

static uint32_t resolved_region(struct bench *b)
{
	bench_feed(b, say(PL_RESOLVE, BENCH_ASKER, 1));
	struct pl_message *m = bench_only(b, PL_RESOLVED);
	return m->status == PL_OK ? m->region : 0;
}

static void use_region(struct bench *b, uint16_t endpoint)
{
	struct pl_message m = say(PL_ROUTE_USED, BENCH_ASKER, 1);
	m.argument = endpoint;
	bench_feed(b, m);
	assert_int_equal(b->out.message_count, 0);
}

static void dns_alternates_when_a_record_was_accepted_and_skips_who_is_offline(void **unused)
{
	struct pl_params params = bench_params();
	params.policy = CTL_ROUTE_ALTERNATE;
	struct bench b = bench_begin(&pl_dns, params);
	assert_int_equal(resolved_region(&b), 1);
	assert_int_equal(resolved_region(&b), 1);
	use_region(&b, 1);
	assert_int_equal(resolved_region(&b), 2);
	bench_command(&b, PL_OFFLINE, 2, PL_OK);
	assert_int_equal(resolved_region(&b), 1);
	struct pl_message own = say(PL_RESOLVE, BENCH_ASKER, 1);
	own.region = 2;
	bench_feed(&b, own);
	assert_int_equal(bench_only(&b, PL_RESOLVED)->argument, 2);
	bench_command(&b, PL_OFFLINE, 1, PL_OK);
	assert_int_equal(resolved_region(&b), 0);
	bench_command(&b, PL_ONLINE, 2, PL_OK);
	assert_int_equal(resolved_region(&b), 2);
	bench_command(&b, PL_SWITCH, 2, PL_FAILED);
	bench_command(&b, PL_OFFLINE, 3, PL_FAILED);
	bench_end(&b);
	params.defects = 1u << PL_DEFECT_ALTERNATE_ALWAYS;
	b = bench_begin(&pl_dns, params);
	assert_int_equal(resolved_region(&b), 1);
	assert_int_equal(resolved_region(&b), 2);
	bench_end(&b);
}

static void dns_leads_to_the_other_region_and_back_when_it_is_switched(void **unused)
{
	struct pl_params params = bench_params();
	params.ttl_ns = 55;
	struct bench b = bench_begin(&pl_dns, params);
	assert_int_equal(resolved_region(&b), 1);
	assert_int_equal(b.out.messages[0].position, 55);
	bench_command(&b, PL_SWITCH, 2, PL_OK);
	assert_int_equal(bench_effects(&b, PL_EFFECT_SWITCHED), 1);
	assert_int_equal(resolved_region(&b), 2);
	bench_command(&b, PL_SWITCH, 1, PL_OK);
	assert_int_equal(resolved_region(&b), 1);
	bench_end(&b);
}

static void destination_counts_each_record_once_and_removes_where_it_came_from(void **unused)
{
	struct bench b = bench_of(&pl_destination);
	resolve_to(&b, 1, 1, 0);
	struct pl_message watch = say(PL_NOTIFY_AT, BENCH_ASKER, 77), asked = b.out.messages[0];
	watch.position = 2;
	bench_feed(&b, watch);
	bench_feed(&b, delivery(&asked, 1, 1));
	assert_int_equal(bench_effects(&b, PL_EFFECT_ARRIVED), 1);
	assert_int_equal(bench_only(&b, PL_REMOVE)->to, 1);
	answer_with(&b, PL_REMOVE_DONE, PL_NOTHING);
	asked = *bench_only(&b, PL_RECEIVE);
	bench_feed(&b, delivery(&asked, 1, 1));
	assert_int_equal(bench_effects(&b, PL_EFFECT_REPEATED), 1);
	assert_null(bench_sent(&b, PL_NOTIFY));
	answer_with(&b, PL_REMOVE_DONE, PL_OK);
	bench_feed(&b, delivery(bench_only(&b, PL_RECEIVE), 2, 1));
	assert_int_equal(bench_sent(&b, PL_NOTIFY)->request, 77);
	/* Marks outlive a crash. */
	bench_command(&b, PL_CRASH, 0, PL_OK);
	struct pl_message to = bench_answer(bench_sent(&b, PL_RESOLVE), PL_RESOLVED, PL_OK);
	to.argument = to.region = 1;
	bench_feed(&b, to);
	bench_feed(&b, delivery(bench_only(&b, PL_RECEIVE), 2, 1));
	assert_int_equal(bench_effects(&b, PL_EFFECT_REPEATED), 1);
	bench_end(&b);
}

static void destination_resolves_again_when_nothing_came_or_its_endpoint_failed(void **unused)
{
	struct bench b = bench_of(&pl_destination);
	resolve_to(&b, 1, 1, 0);
	struct pl_message old = *bench_only(&b, PL_RECEIVE);
	bench_timer(&b);
	assert_int_equal(b.now_ns, 1000);
	resolve_to(&b, 1, 1, 0);
	assert_int_equal(b.out.message_count, 0); /* it waits there already */
	bench_timer(&b);
	resolve_to(&b, 2, 2, 0);
	assert_int_equal(bench_only(&b, PL_RECEIVE)->to, 2);
	struct pl_message asked = b.out.messages[0];
	bench_feed(&b, delivery(&old, 1, 1));
	assert_int_equal(bench_effects(&b, PL_EFFECT_STRAY), 1);
	assert_int_equal(bench_effects(&b, PL_EFFECT_ARRIVED), 0);
	bench_feed(&b, bench_answer(&asked, PL_DELIVERY, PL_FAILED));
	assert_int_equal(b.out.message_count, 0);
	assert_int_equal(b.out.timer_ns, b.now_ns + 100);
	bench_timer(&b);
	bench_only(&b, PL_RESOLVE);
	bench_end(&b);
}

static void destination_polls_both_regions_when_it_has_two_consumers(void **unused)
{
	struct pl_params params = bench_params();
	params.consumers = 2;
	struct bench b = bench_begin(&pl_destination, params);
	assert_int_equal(b.out.message_count, 2);
	struct pl_message asked[2] = {b.out.messages[0], b.out.messages[1]};
	for (uint8_t i = 0; i < 2; i++) {
		assert_int_equal(asked[i].region, i + 1);
		struct pl_message to = bench_answer(&asked[i], PL_RESOLVED, PL_OK);
		to.argument = to.region = i + 1;
		bench_feed(&b, to);
		asked[i] = *bench_only(&b, PL_RECEIVE);
	}
	for (uint8_t i = 0; i < 2; i++) {
		bench_feed(&b, delivery(&asked[1 - i], 1u + i, 1));
		assert_int_equal(bench_only(&b, PL_REMOVE)->to, 2 - i);
		assert_int_equal(b.out.effects[0].region, 2 - i);
	}
	bench_end(&b);
	/* As modelled: one consumer polls both, and removes where the name leads. */
	params.consumers = 1;
	params.defects = 1u << PL_DEFECT_DOUBLE_POLL;
	b = bench_begin(&pl_destination, params);
	struct pl_message first = b.out.messages[0], second = b.out.messages[1];
	struct pl_message to = bench_answer(&first, PL_RESOLVED, PL_OK);
	to.argument = to.region = 1;
	bench_feed(&b, to);
	to = bench_answer(&second, PL_RESOLVED, PL_OK);
	to.argument = to.region = 2;
	bench_feed(&b, to);
	bench_feed(&b, delivery(bench_only(&b, PL_RECEIVE), 1, 1));
	assert_int_equal(bench_only(&b, PL_REMOVE)->to, 1);
	bench_end(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test(name)
		T(container_receives_writes_sends_and_removes_in_that_order),
		T(stream_container_writes_each_record_and_sends_the_batch),
		T(container_stops_and_asks_its_input_again_when_a_dependency_failed),
		T(recover_is_a_hint_that_a_stopped_container_follows_at_once),
		T(stopped_container_does_not_probe_when_those_defects_are_on),
		T(full_is_no_failure_and_the_same_step_is_tried_again),
		T(failed_container_does_its_step_again_when_it_is_recovered),
		T(crash_forgets_all_between_any_two_steps_and_old_answers_are_strays),
		T(steps_come_in_the_wrong_order_when_those_defects_are_on),
		T(eighth_record_goes_wrong_when_those_defects_are_on),
		T(api_answers_ok_only_when_all_that_follows_succeeded),
		T(api_tells_its_caller_when_a_dependency_failed_and_tries_the_next_call),
		T(api_breaks_the_open_call_when_it_fails_or_crashes),
		T(source_publishes_one_after_the_other_and_stops_at_a_refusal),
		T(source_keeps_an_answer_for_its_time_to_live_and_longer_when_it_is_stale),
		T(dns_alternates_when_a_record_was_accepted_and_skips_who_is_offline),
		T(dns_leads_to_the_other_region_and_back_when_it_is_switched),
		T(destination_counts_each_record_once_and_removes_where_it_came_from),
		T(destination_resolves_again_when_nothing_came_or_its_endpoint_failed),
		T(destination_polls_both_regions_when_it_has_two_consumers),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
