/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The log's format and the plan of a recovery, against everything that can happen to the bytes:
 * every cut, every flip, and segments that are missing, swapped, zeroed, stale or somebody else's.
 */
#include "config/bytes.h"
#include "recovery/plan.h"
#include "tests/unit/unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct rec_base no_base;

#define SEGMENT_BYTES (64u << 10)
#define MAX_SEGMENTS 40
#define INCARNATION 77

static const struct log_identity identity = {
	.cluster_hash = 0x1122334455667788ull,
	.node = 1,
	.cluster = "test",
	.node_name = "b",
};

struct group_place {
	uint32_t segment; /* index */
	uint64_t offset;
	uint64_t last_sequence, durable;
};

/* A log in memory. */
struct fixture {
	uint8_t *data[MAX_SEGMENTS];
	uint64_t bytes[MAX_SEGMENTS];
	uint32_t count;
	struct log_position position;
	struct group_place groups[4096];
	uint32_t group_count;
	uint64_t random;
	struct rec_segment facts[MAX_SEGMENTS];
	struct rec_plan plan;
};

static uint64_t draw(struct fixture *f, uint64_t below)
{
	f->random = f->random * 6364136223846793005ull + 1442695040888963407ull;
	return (f->random >> 33) % below;
}

static void next_segment(struct fixture *f)
{
	assert_true(f->count < MAX_SEGMENTS);
	f->data[f->count] = aligned_alloc(LOG_BLOCK_BYTES, SEGMENT_BYTES);
	memset(f->data[f->count], 0, SEGMENT_BYTES);
	f->bytes[f->count] = SEGMENT_BYTES;
	f->position.segment++;
	f->position.offset = LOG_BLOCK_BYTES;
	log_segment_header_write(
		f->data[f->count], &identity, &f->position, SEGMENT_BYTES, INCARNATION, 5, 1000
	);
	f->count++;
}

/* A group of entries with payloads up to most; durable: its mark. */
static void
put_group(struct fixture *f, uint32_t entries, uint32_t most, uint64_t durable, uint8_t flags)
{
	_Alignas(LOG_BLOCK_BYTES) static uint8_t buffer[SEGMENT_BYTES];
	struct log_group_builder builder;
	log_group_begin(
		&builder, buffer, SEGMENT_BYTES - LOG_BLOCK_BYTES, f->position.next_sequence
	);
	for (uint32_t i = 0; i < entries; i++) {
		uint8_t room[REP_ENTRY_HEADER_BYTES + REP_MAX_PAYLOAD_BYTES + 8] = {0};
		struct rep_entry *entry = (struct rep_entry *)room;
		entry->epoch = 5;
		entry->sequence = f->position.next_sequence + i;
		entry->client_id = draw(f, 1000);
		entry->request_seq = entry->sequence;
		entry->kind = REP_ENTRY_UPDATE;
		entry->payload_bytes = (uint16_t)(1 + draw(f, most));
		for (uint32_t j = 0; j < entry->payload_bytes; j++)
			entry->payload[j] = (uint8_t)(1 + draw(f, 255));
		entry->crc = rep_entry_crc(entry);
		uint32_t bytes = rep_entry_bytes(entry->payload_bytes);
		void *place = log_group_room(&builder, bytes);
		assert_non_null(place);
		rep_entry_copy(place, entry);
		log_group_added(&builder, bytes, entry->crc);
	}
	uint32_t space = log_group_space(builder.group->bytes);
	if (f->count == 0 || f->position.offset + space > SEGMENT_BYTES)
		next_segment(f);
	f->groups[f->group_count++] = (struct group_place){
		.segment = f->count - 1,
		.offset = f->position.offset,
		.last_sequence = f->position.next_sequence + entries - 1,
		.durable = durable,
	};
	uint64_t offset = f->position.offset;
	assert_int_equal(
		log_group_seal(
			&builder, &f->position, &identity, INCARNATION, 5, durable, flags, 2000
		),
		space
	);
	memcpy(f->data[f->count - 1] + offset, buffer, space);
}

/* Many groups; each names what was durable two groups before it. */
static struct fixture *make_log(uint32_t groups, uint32_t most_entries, uint32_t most_payload)
{
	struct fixture *f = calloc(1, sizeof(*f));
	f->random = 42;
	f->position.next_sequence = 1;
	for (uint32_t i = 0; i < groups; i++) {
		uint64_t durable = i >= 2 ? f->groups[f->group_count - 2].last_sequence : 0;
		put_group(f, 1 + (uint32_t)draw(f, most_entries), most_payload, durable, 0);
	}
	return f;
}

static void free_log(struct fixture *f)
{
	for (uint32_t i = 0; i < f->count; i++)
		free(f->data[i]);
	free(f);
}

static enum rec_verdict judge(struct fixture *f)
{
	for (uint32_t i = 0; i < f->count; i++)
		rec_scan(f->data[i], f->bytes[i], &identity, i + 1, &f->facts[i]);
	rec_plan_make(&f->plan, REC_IDENTITY_OURS, f->facts, f->count, &no_base);
	return f->plan.verdict;
}

/* Highest sequence that the log itself calls durable. */
static uint64_t mark_of(const struct fixture *f)
{
	return f->groups[f->group_count - 1].durable;
}

static void log_when_whole_then_clean_and_the_journal_goes_on_behind_it(void **state)
{
	struct fixture *f = make_log(300, 8, 200);
	assert_true(f->count > 3);
	assert_int_equal(judge(f), REC_CLEAN);
	assert_int_equal(f->plan.last_sequence, f->position.next_sequence - 1);
	assert_int_equal(f->plan.position.segment, f->count + 1);
	assert_int_equal(f->plan.position.next_sequence, f->position.next_sequence);
	assert_int_equal(f->plan.position.chain, f->position.chain);
	put_group(f, 0, 1, f->position.next_sequence - 1, LOG_GROUP_CLOSED);
	assert_int_equal(judge(f), REC_CLEAN);
	assert_true(f->facts[f->count - 1].closed);
	free_log(f);
}

static void tail_when_cut_at_any_byte_then_torn_and_cut_behind_the_last_whole_group(void **state)
{
	struct fixture *f = make_log(120, 3, 60);
	/* The last 64 entries, but not over the beginning of the last segment. */
	uint32_t last = f->count - 1;
	uint64_t from = LOG_BLOCK_BYTES;
	for (uint32_t i = 0; i < f->group_count; i++)
		if (f->groups[i].segment == last &&
		    f->groups[i].last_sequence + 64 < f->position.next_sequence)
			from = f->groups[i].offset;
	uint64_t cuts = 0;
	for (uint64_t bytes = from; bytes < f->position.offset; bytes++) {
		uint64_t kept = f->facts[last].first_sequence;
		f->bytes[last] = bytes;
		enum rec_verdict verdict = judge(f);
		kept = 0;
		for (uint32_t i = 0; i < f->group_count; i++) {
			bool end_in = i + 1 < f->group_count && f->groups[i + 1].segment == last
					      ? f->groups[i + 1].offset <= bytes
					      : f->position.offset <= bytes;
			if (f->groups[i].segment < last || end_in)
				kept = f->groups[i].last_sequence;
		}
		bool at_edge = f->facts[last].end_offset == bytes;
		assert_int_equal(verdict, at_edge ? REC_CLEAN : REC_TORN_TAIL);
		assert_int_equal(f->plan.last_sequence, kept);
		cuts++;
	}
	printf("%lu cuts, all of them a torn tail\n", cuts);
	assert_true(cuts > 20000);
	free_log(f);
}

static void
byte_when_flipped_anywhere_then_detected_and_what_was_durable_is_never_a_tail(void **state)
{
	bool full = getenv("STANDFAST_TESTS") && strcmp(getenv("STANDFAST_TESTS"), "full") == 0;
	struct fixture *f = make_log(full ? 400 : 24, 8, 200);
	uint64_t flips = 0, tails = 0;
	assert_int_equal(judge(f), REC_CLEAN);
	for (uint32_t s = 0; s < f->count; s++)
		for (uint64_t at = 0; at < f->bytes[s]; at++) {
			uint8_t mask = (uint8_t)(1u << (at * 7 + s) % 8);
			f->data[s][at] ^= mask;
			rec_scan(f->data[s], f->bytes[s], &identity, s + 1, &f->facts[s]);
			rec_plan_make(&f->plan, REC_IDENTITY_OURS, f->facts, f->count, &no_base);
			f->data[s][at] ^= mask;
			enum rec_verdict verdict = f->plan.verdict;
			if (verdict == REC_CLEAN || verdict == REC_FRESH)
				fail_msg("segment %u byte %lu: not noticed", s + 1, at);
			if (!rec_refuses(verdict)) {
				tails++;
				if (f->plan.last_sequence < mark_of(f))
					fail_msg(
						"segment %u byte %lu: taken for a tail, below the "
						"mark",
						s + 1,
						at
					);
			}
			flips++;
			rec_scan(f->data[s], f->bytes[s], &identity, s + 1, &f->facts[s]);
		}
	printf("%lu bytes flipped, all noticed; %lu behind the mark count as torn tail\n",
	       flips,
	       tails);
	free_log(f);
}

static void block_when_zeroed_or_stale_then_damage_below_the_mark_and_a_hole_above(void **state)
{
	struct fixture *f = make_log(40, 2, 60);
	for (uint32_t i = 0; i + 1 < f->group_count; i++) {
		const struct group_place *place = &f->groups[i];
		uint8_t *block = f->data[place->segment] + place->offset, saved[LOG_BLOCK_BYTES];
		memcpy(saved, block, sizeof(saved));
		for (int stale = 0; stale < 2; stale++) {
			/* Stale: the same place of the segment before it was used again. */
			if (stale)
				((struct log_group *)(void *)block)->segment += 3;
			else
				memset(block, 0, sizeof(saved));
			bool durable = place->last_sequence <= mark_of(f);
			bool last_segment = place->segment == f->count - 1;
			enum rec_verdict verdict = judge(f);
			if (durable || !last_segment)
				assert_true(rec_refuses(verdict));
			else
				assert_int_equal(verdict, REC_HOLE);
			memcpy(block, saved, sizeof(saved));
		}
	}
	free_log(f);
}

static void segment_when_missing_swapped_or_anothers_then_refused_by_name(void **state)
{
	struct fixture *f = make_log(200, 8, 200);
	assert_true(f->count >= 4);
	judge(f);
	/* Missing. */
	struct rec_segment facts[MAX_SEGMENTS];
	memcpy(facts, f->facts, sizeof(facts));
	memmove(facts + 1, facts + 2, sizeof(facts[0]) * (f->count - 2));
	rec_plan_make(&f->plan, REC_IDENTITY_OURS, facts, f->count - 1, &no_base);
	assert_int_equal(f->plan.verdict, REC_MISSING);
	assert_int_equal(f->plan.at_segment, 2);
	/* The oldest is missing, and nothing else tells of those entries; with a snapshot it is
	 * well. */
	rec_plan_make(&f->plan, REC_IDENTITY_OURS, f->facts + 1, f->count - 1, &no_base);
	assert_int_equal(f->plan.verdict, REC_NO_BEGIN);
	struct rec_base base = {
		.sequence = f->facts[1].first_sequence - 1,
		.durable = f->facts[1].first_sequence - 1,
		.position =
			{
				.segment = f->facts[1].number,
				.offset = LOG_BLOCK_BYTES,
				.next_sequence = f->facts[1].first_sequence,
				.chain = f->facts[1].chain,
			},
	};
	rec_plan_make(&f->plan, REC_IDENTITY_OURS, f->facts + 1, f->count - 1, &base);
	assert_int_equal(f->plan.verdict, REC_CLEAN);
	/* Swapped. */
	uint8_t *other = f->data[1];
	f->data[1] = f->data[2];
	f->data[2] = other;
	assert_int_equal(judge(f), REC_MISSING);
	f->data[2] = f->data[1];
	f->data[1] = other;
	assert_int_equal(judge(f), REC_CLEAN);
	/* Of the other node, of another cluster, of another release. */
	struct log_identity wrong = identity;
	wrong.node = 0;
	rec_scan(f->data[0], f->bytes[0], &wrong, 1, &facts[0]);
	assert_int_equal(facts[0].header, LOG_OTHER_NODE);
	rec_plan_make(&f->plan, REC_IDENTITY_OURS, facts, 1, &no_base);
	assert_int_equal(f->plan.verdict, REC_OTHER_IDENTITY);
	wrong = identity;
	wrong.cluster_hash++;
	rec_scan(f->data[0], f->bytes[0], &wrong, 1, &facts[0]);
	assert_int_equal(facts[0].header, LOG_OTHER_CLUSTER);
	free_log(f);
}

static void directory_when_empty_then_fresh_only_if_nothing_was_there(void **state)
{
	struct rec_plan plan;
	rec_plan_make(&plan, REC_IDENTITY_NONE, NULL, 0, &no_base);
	assert_int_equal(plan.verdict, REC_FRESH);
	assert_int_equal(plan.position.segment, 1);
	assert_int_equal(plan.position.next_sequence, 1);
	rec_plan_make(&plan, REC_IDENTITY_NEW, NULL, 0, &no_base);
	assert_int_equal(plan.verdict, REC_FRESH);
	rec_plan_make(&plan, REC_IDENTITY_OURS, NULL, 0, &no_base);
	assert_int_equal(plan.verdict, REC_LOST);
	/* Files that were prepared and never used say nothing of those that were. */
	struct rec_segment unused = {.number = 2, .header = LOG_EMPTY, .end = LOG_EMPTY};
	rec_plan_make(&plan, REC_IDENTITY_OURS, &unused, 1, &no_base);
	assert_int_equal(plan.verdict, REC_LOST);
	rec_plan_make(&plan, REC_IDENTITY_NEW, &unused, 1, &no_base);
	assert_int_equal(plan.verdict, REC_FRESH);
	rec_plan_make(&plan, REC_IDENTITY_OTHER, NULL, 0, &no_base);
	assert_int_equal(plan.verdict, REC_OTHER_IDENTITY);
	struct fixture *f = make_log(3, 2, 60);
	judge(f);
	rec_plan_make(&plan, REC_IDENTITY_NONE, f->facts, f->count, &no_base);
	assert_int_equal(plan.verdict, REC_NO_IDENTITY);
	rec_plan_make(&plan, REC_IDENTITY_BAD, f->facts, f->count, &no_base);
	assert_int_equal(plan.verdict, REC_NO_IDENTITY);
	for (int v = 0; v < REC_VERDICTS; v++) {
		assert_true(strlen(rec_verdict_text((enum rec_verdict)v)) > 10);
		assert_int_equal(
			rec_refuses((enum rec_verdict)v),
			strlen(rec_verdict_remedy((enum rec_verdict)v)) > 0
		);
	}
	free_log(f);
}

static void first_entry_when_torn_away_then_lost_if_the_identity_says_used(void **state)
{
	struct fixture *f = make_log(1, 2, 60);
	f->data[0][LOG_BLOCK_BYTES + 8] ^= 1;
	assert_int_equal(judge(f), REC_LOST);
	rec_plan_make(&f->plan, REC_IDENTITY_NEW, f->facts, f->count, &no_base);
	assert_int_equal(f->plan.verdict, REC_TORN_TAIL);
	memset(f->data[0], 0, LOG_BLOCK_BYTES);
	assert_int_equal(judge(f), REC_LOST);
	free_log(f);
}

static void old_segment_when_not_whole_then_damaged_though_the_next_one_continues_it(void **state)
{
	struct fixture *f = make_log(3, 2, 60);
	next_segment(f);
	put_group(f, 2, 60, 0, 0);
	assert_int_equal(judge(f), REC_CLEAN);
	f->data[0][5 * LOG_BLOCK_BYTES + 40] = 1;
	assert_int_equal(judge(f), REC_DAMAGED);
	assert_int_equal(f->plan.at_segment, 1);
	assert_int_equal(f->plan.at_offset, 4 * LOG_BLOCK_BYTES);
	assert_int_equal(f->plan.fault, LOG_BAD_PADDING);
	free_log(f);
}

static void number_when_missing_before_prepared_segments_then_refused(void **state)
{
	struct fixture *f = make_log(30, 4, 100);
	uint32_t used = f->count;
	judge(f);
	for (uint32_t i = 0; i < 2; i++)
		f->facts[used + i] = (struct rec_segment
		){.number = used + 1 + i, .header = LOG_EMPTY, .end = LOG_EMPTY};
	rec_plan_make(&f->plan, REC_IDENTITY_OURS, f->facts, used + 2, &no_base);
	assert_int_equal(f->plan.verdict, REC_CLEAN);
	/* The newest that was used is gone. */
	f->facts[used - 1] = f->facts[used];
	f->facts[used] = f->facts[used + 1];
	rec_plan_make(&f->plan, REC_IDENTITY_OURS, f->facts, used + 1, &no_base);
	assert_int_equal(f->plan.verdict, REC_MISSING);
	assert_int_equal(f->plan.at_segment, used);
	free_log(f);
}

static void group_when_its_length_wraps_then_refused_by_its_length(void **state)
{
	struct fixture *f = make_log(1, 1, 60);
	struct log_group *group = (struct log_group *)(void *)(f->data[0] + LOG_BLOCK_BYTES);
	struct log_position position = {
		.segment = 1, .offset = LOG_BLOCK_BYTES, .next_sequence = 1};
	const struct log_group *found;
	for (uint32_t bytes = UINT32_MAX - 5000; bytes != 95; bytes++) {
		group->bytes = bytes;
		assert_int_equal(
			log_group_check(
				group, SEGMENT_BYTES - LOG_BLOCK_BYTES, &identity, &position, &found
			),
			LOG_BAD_LENGTH
		);
	}
	free_log(f);
}

static void prepared_segments_when_never_used_then_they_do_not_count(void **state)
{
	struct fixture *f = make_log(30, 4, 100);
	uint64_t last = f->position.next_sequence - 1;
	for (int i = 0; i < 2; i++) {
		f->data[f->count] = aligned_alloc(LOG_BLOCK_BYTES, SEGMENT_BYTES);
		memset(f->data[f->count], 0, SEGMENT_BYTES);
		f->bytes[f->count++] = SEGMENT_BYTES;
	}
	assert_int_equal(judge(f), REC_CLEAN);
	assert_int_equal(f->plan.last_sequence, last);
	assert_int_equal(f->plan.position.segment, f->count - 1);
	/* One whose preparation was cut short, too. */
	f->bytes[f->count - 1] = 5000;
	assert_int_equal(judge(f), REC_CLEAN);
	f->bytes[f->count - 1] = 0;
	assert_int_equal(judge(f), REC_CLEAN);
	free_log(f);
}

static void header_when_it_never_reached_the_disk_then_what_is_in_the_segment_goes(void **state)
{
	struct fixture *f = make_log(30, 4, 100);
	uint64_t last = f->position.next_sequence - 1;
	next_segment(f);
	put_group(f, 2, 60, last, 0);
	memset(f->data[f->count - 1], 0, LOG_BLOCK_BYTES);
	assert_int_equal(judge(f), REC_HOLE);
	assert_int_equal(f->plan.last_sequence, last);
	assert_int_equal(f->plan.position.segment, f->count);
	/* But not when a group in it says that they were durable. */
	put_group(f, 1, 60, last + 2, 0);
	assert_int_equal(judge(f), REC_DAMAGED);
	free_log(f);
}

static void identity_when_any_byte_is_flipped_then_bad(void **state)
{
	_Alignas(8) uint8_t block[LOG_BLOCK_BYTES];
	rec_identity_write(block, &identity, true, 7);
	assert_int_equal(rec_identity_check(block, sizeof(block), &identity), REC_IDENTITY_OURS);
	for (uint32_t i = 0; i < sizeof(block); i++) {
		block[i] ^= 0x10;
		assert_int_equal(
			rec_identity_check(block, sizeof(block), &identity), REC_IDENTITY_BAD
		);
		block[i] ^= 0x10;
		assert_int_equal(rec_identity_check(block, i, &identity), REC_IDENTITY_BAD);
	}
	struct log_identity other = identity;
	other.node = 0;
	assert_int_equal(rec_identity_check(block, sizeof(block), &other), REC_IDENTITY_OTHER);
	rec_identity_write(block, &identity, false, 7);
	assert_int_equal(rec_identity_check(block, sizeof(block), &identity), REC_IDENTITY_NEW);
}

static void identity_when_marked_then_it_says_so(void **state)
{
	_Alignas(8) uint8_t block[LOG_BLOCK_BYTES];
	const enum rec_identity states[] = {
		REC_IDENTITY_NEW, REC_IDENTITY_OURS, REC_IDENTITY_EMPTIED, REC_IDENTITY_VOID};
	for (uint64_t i = 0; i < sizeof(states) / sizeof(states[0]); i++) {
		rec_identity_mark(block, &identity, states[i], 1000 + i, 7);
		assert_int_equal(rec_identity_check(block, sizeof(block), &identity), states[i]);
		assert_int_equal(rec_identity_base(block), 1000 + i);
		assert_int_equal(rec_identity_used(states[i]), i > 0);
	}
	assert_false(rec_identity_used(REC_IDENTITY_NONE));
	assert_false(rec_identity_used(REC_IDENTITY_BAD));
	assert_false(rec_identity_used(REC_IDENTITY_OTHER));
}

static void names_when_made_and_read_then_the_same(void **state)
{
	char name[LOG_FILE_NAME_BYTES];
	const uint64_t numbers[] = {1, 9, 10, 12345678901234ull, UINT64_MAX};
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		log_file_name(name, numbers[i]);
		assert_int_equal(strlen(name), 24);
		assert_true(log_file_number(name) == numbers[i]);
	}
	assert_int_equal(log_file_number("x"), 0);
	assert_int_equal(log_file_number("00000000000000000001.tmp"), 0);
	assert_int_equal(log_file_number("99999999999999999999.seg"), 0);
	assert_int_equal(log_file_number("000000000000000000011.seg"), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(log_when_whole_then_clean_and_the_journal_goes_on_behind_it),
		cmocka_unit_test(
			tail_when_cut_at_any_byte_then_torn_and_cut_behind_the_last_whole_group
		),
		cmocka_unit_test(
			byte_when_flipped_anywhere_then_detected_and_what_was_durable_is_never_a_tail
		),
		cmocka_unit_test(
			block_when_zeroed_or_stale_then_damage_below_the_mark_and_a_hole_above
		),
		cmocka_unit_test(segment_when_missing_swapped_or_anothers_then_refused_by_name),
		cmocka_unit_test(directory_when_empty_then_fresh_only_if_nothing_was_there),
		cmocka_unit_test(first_entry_when_torn_away_then_lost_if_the_identity_says_used),
		cmocka_unit_test(
			old_segment_when_not_whole_then_damaged_though_the_next_one_continues_it
		),
		cmocka_unit_test(number_when_missing_before_prepared_segments_then_refused),
		cmocka_unit_test(group_when_its_length_wraps_then_refused_by_its_length),
		cmocka_unit_test(prepared_segments_when_never_used_then_they_do_not_count),
		cmocka_unit_test(
			header_when_it_never_reached_the_disk_then_what_is_in_the_segment_goes
		),
		cmocka_unit_test(identity_when_any_byte_is_flipped_then_bad),
		cmocka_unit_test(identity_when_marked_then_it_says_so),
		cmocka_unit_test(names_when_made_and_read_then_the_same),
	};
	return cmocka_run_group_tests(tests, NULL, NULL) != 0;
}
