/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Fronts, members and replicators, row by row of the table of components.
 */
#include "tests/pipeline/bench.h"

static struct pl_message ask_write(struct bench *b, uint8_t from, uint64_t id, uint8_t region)
{
	struct pl_message m = say_record(PL_WRITE, from, (uint32_t)(100 + id), id);
	m.region = region;
	bench_feed(b, m);
	return b->out.message_count ? b->out.messages[0] : (struct pl_message){0};
}

static void member_answers(struct bench *b, const struct pl_message *asked, enum pl_status status)
{
	struct pl_message m = bench_answer(asked, PL_MEMBER_DONE, status);
	m.incarnation = asked->incarnation;
	m.count = 1;
	m.records[0] = asked->records[0];
	bench_feed(b, m);
}

/* Writes a record through an async pair; the CARRY that came of it. */
static struct pl_message write_and_carry(struct bench *b, uint64_t id)
{
	struct pl_message to_member = ask_write(b, BENCH_ASKER, id, 1);
	assert_int_equal(to_member.kind, PL_MEMBER_WRITE);
	member_answers(b, &to_member, PL_OK);
	assert_int_equal(bench_sent(b, PL_WRITE_DONE)->status, PL_OK);
	return *bench_sent(b, PL_CARRY);
}

static void carried(struct bench *b, const struct pl_message *carry)
{
	bench_feed(b, bench_answer(carry, PL_CARRIED, PL_OK));
	assert_int_equal(bench_effects(b, PL_EFFECT_STRAY), 0);
}

static struct pl_message command(enum pl_message_kind kind, uint8_t region)
{
	struct pl_message m = say(kind, BENCH_ASKER, 500);
	m.region = region;
	return m;
}

static enum pl_status member_write(struct bench *b, uint64_t id, uint64_t value, uint32_t epoch)
{
	struct pl_message m = say_record(PL_MEMBER_WRITE, 3, 9, id);
	m.records[0].value = value;
	m.region = 1;
	m.incarnation = epoch;
	bench_feed(b, m);
	return bench_only(b, PL_MEMBER_DONE)->status;
}

static void member_keeps_one_row_for_each_id_when_written_again(void **unused)
{
	struct bench b = bench_of(&pl_member);
	assert_int_equal(member_write(&b, 64, 5, 1), PL_OK);
	assert_int_equal(bench_effects(&b, PL_EFFECT_WRITTEN), 1);
	assert_int_equal(member_write(&b, 64, 5, 1), PL_OK);
	assert_int_equal(bench_effects(&b, PL_EFFECT_REWRITTEN), 1);
	assert_int_equal(member_write(&b, 64, 6, 1), PL_CONFLICT);
	assert_int_equal(bench_effects(&b, PL_EFFECT_CONFLICT), 1);
	assert_int_equal(member_write(&b, 65, 6, 1), PL_FAILED);
	assert_int_equal(member_write(&b, 0, 6, 1), PL_FAILED);
	bench_end(&b);
}

static void member_refuses_an_older_epoch_and_all_when_it_is_failed(void **unused)
{
	struct bench b = bench_of(&pl_member);
	assert_int_equal(member_write(&b, 1, 5, 2), PL_OK);
	assert_int_equal(member_write(&b, 2, 5, 1), PL_FAILED);
	bench_command(&b, PL_FAIL, 0, PL_OK);
	assert_int_equal(member_write(&b, 3, 5, 2), PL_FAILED);
	bench_command(&b, PL_RECOVER, 0, PL_OK);
	assert_int_equal(member_write(&b, 1, 5, 2), PL_OK);
	assert_int_equal(bench_effects(&b, PL_EFFECT_REWRITTEN), 1);
	struct pl_message quiet = say_record(PL_MEMBER_WRITE, 3, 9, 4);
	quiet.incarnation = 2;
	bench_feed(&b, quiet);
	assert_int_equal(b.out.message_count, 0);
	assert_int_equal(bench_effects(&b, PL_EFFECT_WRITTEN), 1);
	bench_end(&b);
}

static void carry_to(struct bench *b, uint64_t id)
{
	struct pl_message m = say_record(PL_CARRY, 3, (uint32_t)id, id);
	m.argument = 12;
	m.region = 2;
	bench_feed(b, m);
}

static void replicator_carries_one_after_the_other_in_order(void **unused)
{
	struct bench b = bench_of(&pl_replicator);
	carry_to(&b, 1);
	struct pl_message under_way = *bench_only(&b, PL_MEMBER_WRITE);
	assert_int_equal(under_way.to, 12);
	carry_to(&b, 2);
	carry_to(&b, 3);
	assert_int_equal(b.out.message_count, 0);
	bench_feed(&b, say(PL_DRAIN, 3, 50));
	assert_int_equal(b.out.message_count, 0);
	for (uint64_t id = 1; id <= 3; id++) {
		assert_int_equal(under_way.records[0].id, id);
		member_answers(&b, &under_way, PL_OK);
		assert_int_equal(bench_sent(&b, PL_CARRIED)->request, id);
		if (id < 3)
			under_way = *bench_sent(&b, PL_MEMBER_WRITE);
	}
	assert_int_equal(bench_sent(&b, PL_DRAINED)->status, PL_OK);
	member_answers(&b, &under_way, PL_OK);
	assert_int_equal(bench_effects(&b, PL_EFFECT_STRAY), 1);
	bench_end(&b);
}

static void replicator_keeps_what_it_has_when_it_stands_or_its_member_fails(void **unused)
{
	struct bench b = bench_of(&pl_replicator);
	bench_command(&b, PL_STOP_CARRYING, 0, PL_OK);
	carry_to(&b, 1);
	carry_to(&b, 2);
	assert_int_equal(b.out.message_count, 0);
	bench_feed(&b, say(PL_DRAIN, 3, 50));
	assert_int_equal(bench_only(&b, PL_DRAINED)->status, PL_FAILED);
	assert_int_equal(b.out.messages[0].position, 2);
	bench_command(&b, PL_CARRY_AGAIN, 0, PL_OK);
	struct pl_message under_way = *bench_sent(&b, PL_MEMBER_WRITE);
	bench_feed(&b, say(PL_DRAIN, 3, 51));
	member_answers(&b, &under_way, PL_FAILED);
	assert_int_equal(bench_only(&b, PL_DRAINED)->status, PL_FAILED);
	assert_int_equal(b.out.timer_ns, b.now_ns + 100);
	bench_timer(&b);
	under_way = *bench_only(&b, PL_MEMBER_WRITE);
	assert_int_equal(under_way.records[0].id, 1);
	/* A crash: what it has to carry stays; the open answer is a stray. */
	bench_command(&b, PL_CRASH, 0, PL_OK);
	assert_int_equal(bench_sent(&b, PL_MEMBER_WRITE)->records[0].id, 1);
	member_answers(&b, &under_way, PL_OK);
	assert_int_equal(bench_effects(&b, PL_EFFECT_STRAY), 1);
	bench_end(&b);
}

static void async_pair_answers_when_the_active_member_has_it_and_then_carries(void **unused)
{
	struct bench b = bench_of(&pl_async_pair);
	struct pl_message to_member = ask_write(&b, BENCH_ASKER, 1, 2);
	assert_int_equal(to_member.to, 11);
	assert_int_equal(b.out.message_count, 1);
	member_answers(&b, &to_member, PL_OK);
	assert_int_equal(bench_sent(&b, PL_CARRY)->argument, 12);
	assert_int_equal(bench_sent(&b, PL_CARRY)->to, 14);
	assert_int_equal(bench_sent(&b, PL_WRITE_DONE)->request, 101);
	assert_int_equal(bench_effects(&b, PL_EFFECT_ANSWERED), 1);
	member_answers(&b, &to_member, PL_OK);
	assert_int_equal(bench_effects(&b, PL_EFFECT_STRAY), 1);
	assert_int_equal(b.out.message_count, 0);
	to_member = ask_write(&b, BENCH_ASKER, 2, 1);
	member_answers(&b, &to_member, PL_CONFLICT);
	assert_int_equal(bench_only(&b, PL_WRITE_DONE)->status, PL_CONFLICT);
	bench_end(&b);
}

static void async_pair_answers_full_when_too_much_is_not_carried(void **unused)
{
	struct pl_params params = bench_params();
	params.capacity = 2;
	struct bench b = bench_begin(&pl_async_pair, params);
	struct pl_message first = write_and_carry(&b, 1);
	write_and_carry(&b, 2);
	assert_int_equal(ask_write(&b, BENCH_ASKER, 3, 1).status, PL_FULL);
	carried(&b, &first);
	write_and_carry(&b, 3);
	bench_end(&b);
}

static void planned_switch_fences_drains_and_flips_and_back(void **unused)
{
	struct bench b = bench_of(&pl_async_pair);
	struct pl_message to_member = ask_write(&b, BENCH_ASKER, 1, 1);
	b.now_ns = 1000;
	bench_feed(&b, command(PL_SWITCH, 2));
	assert_int_equal(b.out.message_count, 0);
	assert_int_equal(ask_write(&b, 21, 2, 1).status, PL_FULL);
	bench_feed(&b, command(PL_SWITCH, 2));
	assert_int_equal(bench_only(&b, PL_COMMAND_DONE)->status, PL_FAILED);
	member_answers(&b, &to_member, PL_OK);
	struct pl_message carry = *bench_sent(&b, PL_CARRY), drain = *bench_sent(&b, PL_DRAIN);
	assert_ptr_equal(bench_sent(&b, PL_DRAIN), &b.out.messages[2]);
	carried(&b, &carry);
	b.now_ns = 1700;
	bench_feed(&b, bench_answer(&drain, PL_DRAINED, PL_OK));
	struct pl_message done = *bench_only(&b, PL_COMMAND_DONE);
	assert_int_equal(done.status, PL_OK);
	assert_int_equal(done.position, 700);
	assert_int_equal(done.incarnation, 2);
	assert_int_equal(bench_effects(&b, PL_EFFECT_SWITCHED), 1);
	assert_int_equal(ask_write(&b, BENCH_ASKER, 3, 1).to, 12);
	member_answers(&b, &b.out.messages[0], PL_OK);
	carry = *bench_sent(&b, PL_CARRY);
	assert_int_equal(carry.argument, 11);
	carried(&b, &carry);
	bench_feed(&b, command(PL_SWITCH, 1));
	bench_feed(&b, bench_answer(bench_only(&b, PL_DRAIN), PL_DRAINED, PL_OK));
	assert_int_equal(ask_write(&b, BENCH_ASKER, 4, 1).to, 11);
	bench_command(&b, PL_SWITCH, 1, PL_OK);
	bench_command(&b, PL_SWITCH, 3, PL_FAILED);
	bench_end(&b);
}

static void planned_switch_is_refused_when_the_replicator_stands_or_the_database_fails(void **unused
)
{
	struct bench b = bench_of(&pl_async_pair);
	write_and_carry(&b, 1);
	bench_feed(&b, command(PL_SWITCH, 2));
	struct pl_message drain = *bench_only(&b, PL_DRAIN);
	bench_feed(&b, bench_answer(&drain, PL_DRAINED, PL_FAILED));
	assert_int_equal(bench_only(&b, PL_COMMAND_DONE)->status, PL_FAILED);
	assert_int_equal(ask_write(&b, BENCH_ASKER, 2, 1).to, 11);
	member_answers(&b, &b.out.messages[0], PL_OK);
	bench_feed(&b, command(PL_SWITCH, 2));
	drain = *bench_only(&b, PL_DRAIN);
	bench_command(&b, PL_FAIL, 0, PL_OK);
	assert_int_equal(b.out.messages[0].status, PL_FAILED);
	assert_int_equal(b.out.messages[0].request, 500);
	bench_feed(&b, bench_answer(&drain, PL_DRAINED, PL_OK));
	assert_int_equal(bench_effects(&b, PL_EFFECT_STRAY), 1);
	bench_command(&b, PL_RECOVER, 0, PL_OK);
	assert_int_equal(ask_write(&b, BENCH_ASKER, 3, 1).to, 11);
	bench_end(&b);
}

static void undrained_switch_flips_at_once_when_that_defect_is_on(void **unused)
{
	struct pl_params params = bench_params();
	params.defects = 1u << PL_DEFECT_SWITCH_UNDRAINED;
	struct bench b = bench_begin(&pl_async_pair, params);
	write_and_carry(&b, 1);
	bench_feed(&b, command(PL_SWITCH, 2));
	assert_int_equal(bench_sent(&b, PL_COMMAND_DONE)->status, PL_OK);
	assert_int_equal(bench_effects(&b, PL_EFFECT_LEFT_BEHIND), 0);
	bench_end(&b);
}

static void forced_switch_tells_what_it_leaves_behind_and_raises_the_epoch(void **unused)
{
	struct pl_params params = bench_params();
	params.capacity = 64;
	struct bench b = bench_begin(&pl_async_pair, params);
	struct pl_message first = write_and_carry(&b, 1);
	for (uint64_t id = 2; id <= 40; id++)
		write_and_carry(&b, id);
	struct pl_message open = ask_write(&b, BENCH_ASKER, 41, 1);
	bench_feed(&b, command(PL_SWITCH_FORCED, 2));
	struct pl_message force = *bench_only(&b, PL_SWITCH_FORCED);
	assert_int_equal(ask_write(&b, 21, 50, 1).status, PL_FULL);
	carried(&b, &first); /* the one that was under way */
	bench_feed(&b, bench_answer(&force, PL_COMMAND_DONE, PL_OK));
	uint32_t left = bench_effects(&b, PL_EFFECT_LEFT_BEHIND);
	for (uint32_t i = 0; i < 9 && !bench_sent(&b, PL_COMMAND_DONE); i++) {
		bench_timer(&b);
		left += bench_effects(&b, PL_EFFECT_LEFT_BEHIND);
	}
	assert_int_equal(left, 39);
	assert_int_equal(bench_only(&b, PL_COMMAND_DONE)->position, 39);
	assert_int_equal(b.out.messages[0].incarnation, 2);
	/* What the old side had not answered is to be written again. */
	member_answers(&b, &open, PL_OK);
	assert_int_equal(bench_only(&b, PL_WRITE_DONE)->status, PL_FAILED);
	struct pl_message again = ask_write(&b, BENCH_ASKER, 41, 1);
	assert_int_equal(again.to, 12);
	assert_int_equal(again.incarnation, 2);
	bench_end(&b);
}

static void replicator_drops_all_but_what_is_under_way_when_forced(void **unused)
{
	struct bench b = bench_of(&pl_replicator);
	for (uint64_t id = 1; id <= 3; id++)
		carry_to(&b, id);
	struct pl_message force = say(PL_SWITCH_FORCED, 3, 60);
	bench_feed(&b, force);
	assert_int_equal(b.out.message_count, 0);
	struct pl_message under_way = say(PL_MEMBER_WRITE, BENCH_SELF, 1);
	under_way.to = 12;
	member_answers(&b, &under_way, PL_OK);
	assert_int_equal(b.out.messages[0].kind, PL_CARRIED);
	assert_int_equal(b.out.messages[1].kind, PL_COMMAND_DONE);
	assert_int_equal(b.out.message_count, 2);
	bench_feed(&b, say(PL_DRAIN, 3, 61));
	assert_int_equal(bench_only(&b, PL_DRAINED)->position, 0);
	bench_end(&b);
}

static void failed_database_refuses_holds_or_times_out_as_it_is_told(void **unused)
{
	for (uint8_t outage = 0; outage < 3; outage++) {
		struct pl_params params = bench_params();
		params.outage = outage;
		struct bench b = bench_begin(&pl_global_table, params);
		struct pl_message open = ask_write(&b, BENCH_ASKER, 1, 1);
		bench_command(&b, PL_FAIL, 0, PL_OK);
		member_answers(&b, &open, PL_OK); /* it ends as it ends */
		assert_int_equal(bench_sent(&b, PL_WRITE_DONE)->status, PL_OK);
		ask_write(&b, BENCH_ASKER, 2, 1);
		if (outage == 0) {
			assert_int_equal(bench_only(&b, PL_WRITE_DONE)->status, PL_FAILED);
		} else {
			assert_int_equal(b.out.message_count, 0);
		}
		if (outage == 2) {
			bench_timer(&b);
			assert_int_equal(b.now_ns, 1000);
			assert_int_equal(bench_only(&b, PL_WRITE_DONE)->status, PL_FAILED);
		}
		bench_command(&b, PL_RECOVER, 0, PL_OK);
		assert_int_equal(bench_sent(&b, PL_MEMBER_WRITE) != NULL, outage == 1);
		bench_end(&b);
	}
}

static void global_table_writes_in_the_callers_region_and_has_no_switch(void **unused)
{
	struct bench b = bench_of(&pl_global_table);
	for (uint8_t region = 1; region <= 2; region++) {
		struct pl_message to_member = ask_write(&b, BENCH_ASKER, region, region);
		assert_int_equal(to_member.to, 10 + region);
		member_answers(&b, &to_member, PL_OK);
		assert_int_equal(bench_sent(&b, PL_CARRY)->to, 13 + region);
		assert_int_equal(bench_sent(&b, PL_CARRY)->region, 3 - region);
	}
	assert_int_equal(ask_write(&b, BENCH_ASKER, 3, 3).status, PL_FAILED);
	bench_command(&b, PL_SWITCH, 2, PL_FAILED);
	bench_command(&b, PL_SWITCH_FORCED, 2, PL_FAILED);
	struct pl_message stop = command(PL_STOP_CARRYING, 2);
	bench_feed(&b, stop);
	assert_int_equal(bench_sent(&b, PL_STOP_CARRYING)->to, 15);
	assert_int_equal(b.out.message_count, 2);
	bench_end(&b);
}

/* ---- majority ---- */

static void majority_is_two_distinct_members_for_that_very_request(void **unused)
{
	struct bench b = bench_of(&pl_majority_triple);
	struct pl_message first = ask_write(&b, BENCH_ASKER, 1, 1);
	assert_int_equal(first.to, 11);
	member_answers(&b, &first, PL_OK);
	assert_int_equal(b.out.message_count, 2);
	struct pl_message second = b.out.messages[0], third = b.out.messages[1];
	assert_int_equal(second.to, 12);
	assert_int_equal(third.to, 13);
	/* The same member again is no second one. */
	member_answers(&b, &first, PL_OK);
	assert_int_equal(b.out.message_count, 0);
	member_answers(&b, &third, PL_OK);
	assert_int_equal(bench_only(&b, PL_WRITE_DONE)->status, PL_OK);
	/* The late answer of the second does not count for the next write. */
	struct pl_message other = ask_write(&b, BENCH_ASKER, 2, 1);
	member_answers(&b, &other, PL_OK);
	member_answers(&b, &second, PL_OK);
	assert_int_equal(b.out.message_count, 0);
	bench_end(&b);
}

static void majority_counts_late_answers_and_ones_when_those_defects_are_on(void **unused)
{
	struct pl_params params = bench_params();
	params.defects = 1u << PL_DEFECT_MAJORITY_OF_ONE;
	struct bench b = bench_begin(&pl_majority_triple, params);
	struct pl_message first = ask_write(&b, BENCH_ASKER, 1, 1);
	member_answers(&b, &first, PL_OK);
	assert_int_equal(bench_sent(&b, PL_WRITE_DONE)->status, PL_OK);
	bench_end(&b);
	params.defects = 1u << PL_DEFECT_NO_REQUEST_IDS;
	b = bench_begin(&pl_majority_triple, params);
	first = ask_write(&b, BENCH_ASKER, 1, 1);
	member_answers(&b, &first, PL_OK);
	struct pl_message second = b.out.messages[0], third = b.out.messages[1];
	member_answers(&b, &second, PL_OK);
	struct pl_message other = ask_write(&b, BENCH_ASKER, 2, 1);
	member_answers(&b, &third, PL_OK);
	member_answers(&b, &other, PL_OK);
	assert_int_equal(bench_sent(&b, PL_WRITE_DONE)->request, 102);
	bench_end(&b);
}

static void majority_goes_on_without_a_member_and_brings_it_up_later(void **unused)
{
	struct bench b = bench_of(&pl_majority_triple);
	struct pl_message first = ask_write(&b, BENCH_ASKER, 1, 1);
	member_answers(&b, &first, PL_FAILED);
	struct pl_message second = b.out.messages[0], third = b.out.messages[1];
	member_answers(&b, &second, PL_OK);
	member_answers(&b, &third, PL_OK);
	assert_int_equal(bench_only(&b, PL_WRITE_DONE)->status, PL_OK);
	bench_timer(&b);
	struct pl_message again = *bench_only(&b, PL_MEMBER_WRITE);
	assert_int_equal(again.to, 11);
	assert_int_equal(again.records[0].id, 1);
	member_answers(&b, &again, PL_FAILED);
	assert_int_equal(b.out.timer_ns, b.now_ns + 200);
	bench_timer(&b);
	member_answers(&b, bench_only(&b, PL_MEMBER_WRITE), PL_OK);
	assert_int_equal(b.out.timer_ns, PL_NEVER);
	/* Two without it: no majority. */
	first = ask_write(&b, BENCH_ASKER, 2, 1);
	member_answers(&b, &first, PL_OK);
	second = b.out.messages[0];
	third = b.out.messages[1];
	member_answers(&b, &second, PL_FAILED);
	member_answers(&b, &third, PL_FAILED);
	assert_int_equal(bench_only(&b, PL_WRITE_DONE)->status, PL_FAILED);
	bench_end(&b);
}

static void majority_switch_turns_the_order_when_the_open_writes_have_ended(void **unused)
{
	struct bench b = bench_of(&pl_majority_triple);
	struct pl_message first = ask_write(&b, BENCH_ASKER, 1, 1);
	bench_feed(&b, command(PL_SWITCH, 2));
	assert_int_equal(b.out.message_count, 0);
	assert_int_equal(ask_write(&b, BENCH_ASKER, 2, 1).status, PL_FULL);
	member_answers(&b, &first, PL_OK);
	struct pl_message second = b.out.messages[0];
	member_answers(&b, &second, PL_OK);
	assert_int_equal(bench_sent(&b, PL_COMMAND_DONE)->status, PL_OK);
	first = ask_write(&b, BENCH_ASKER, 2, 1);
	assert_int_equal(first.to, 12);
	member_answers(&b, &first, PL_OK);
	assert_int_equal(b.out.messages[0].to, 13);
	assert_int_equal(b.out.messages[1].to, 11);
	bench_feed(&b, command(PL_SWITCH_FORCED, 1));
	assert_int_equal(bench_only(&b, PL_COMMAND_DONE)->position, 0);
	bench_end(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test(name)
		T(member_keeps_one_row_for_each_id_when_written_again),
		T(member_refuses_an_older_epoch_and_all_when_it_is_failed),
		T(replicator_carries_one_after_the_other_in_order),
		T(replicator_keeps_what_it_has_when_it_stands_or_its_member_fails),
		T(replicator_drops_all_but_what_is_under_way_when_forced),
		T(async_pair_answers_when_the_active_member_has_it_and_then_carries),
		T(async_pair_answers_full_when_too_much_is_not_carried),
		T(planned_switch_fences_drains_and_flips_and_back),
		T(planned_switch_is_refused_when_the_replicator_stands_or_the_database_fails),
		T(undrained_switch_flips_at_once_when_that_defect_is_on),
		T(forced_switch_tells_what_it_leaves_behind_and_raises_the_epoch),
		T(failed_database_refuses_holds_or_times_out_as_it_is_told),
		T(global_table_writes_in_the_callers_region_and_has_no_switch),
		T(majority_is_two_distinct_members_for_that_very_request),
		T(majority_counts_late_answers_and_ones_when_those_defects_are_on),
		T(majority_goes_on_without_a_member_and_brings_it_up_later),
		T(majority_switch_turns_the_order_when_the_open_writes_have_ended),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
