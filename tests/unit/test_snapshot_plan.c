/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Plans with snapshots: every small log, every place of a snapshot in it, every damage.
 */
#include "recovery/plan.h"
#include "tests/unit/unit.h"

#include <stdio.h>
#include <string.h>

/* --- Logs as facts: each segment has GROUPS groups of two entries and one block each --- */

#define SEGMENTS 3
#define GROUPS 3
#define PER_GROUP 2
#define FIRST_NUMBER 5

/* Places are counted over the whole log: 0 is its beginning, each group makes one more. */
#define PLACES (SEGMENTS * GROUPS)

static uint32_t chain_at(uint32_t behind)
{
	return behind == 0 ? 0 : 1000 + behind;
}

static struct rec_segment whole(uint32_t index)
{
	uint32_t before = index * GROUPS;
	return (struct rec_segment){
		.number = FIRST_NUMBER + index,
		.file_bytes = (uint64_t)(GROUPS + 3) * LOG_BLOCK_BYTES,
		.header = LOG_OK,
		.first_sequence = before * PER_GROUP + 1,
		.chain = chain_at(before),
		.groups = GROUPS,
		.last_sequence = (before + GROUPS) * PER_GROUP,
		.end_offset = (uint64_t)(1 + GROUPS) * LOG_BLOCK_BYTES,
		.end_chain = chain_at(before + GROUPS),
		.durable = (before + GROUPS - 1) * PER_GROUP,
		.end = LOG_EMPTY,
	};
}

/* Whole up to so many groups. */
static void cut(struct rec_segment *s, uint32_t groups, enum log_fault end)
{
	uint32_t before = (uint32_t)(s->number - FIRST_NUMBER) * GROUPS;
	s->groups = groups;
	s->last_sequence = (before + groups) * PER_GROUP;
	s->end_offset = (uint64_t)(1 + groups) * LOG_BLOCK_BYTES;
	s->end_chain = chain_at(before + groups);
	s->durable = groups > 0 ? (before + groups - 1) * PER_GROUP : 0;
	s->end = end;
}

/* A snapshot behind a place; each place between two segments has two names. */
static struct rec_base base_at(uint32_t behind, bool in_next, uint64_t reach)
{
	uint32_t segment = behind / GROUPS, groups = behind % GROUPS;
	if (behind > 0 && groups == 0 && !in_next) {
		segment--;
		groups = GROUPS;
	}
	return (struct rec_base){
		.sequence = behind * PER_GROUP,
		.durable = behind * PER_GROUP,
		.reach = reach,
		.position =
			{
				.segment = FIRST_NUMBER + segment,
				.offset = (uint64_t)(1 + groups) * LOG_BLOCK_BYTES,
				.next_sequence = behind * PER_GROUP + 1,
				.chain = chain_at(behind),
			},
	};
}

static const struct rec_segment *
find(const struct rec_segment *segments, uint32_t count, uint64_t number)
{
	for (uint32_t i = 0; i < count; i++)
		if (segments[i].number == number)
			return &segments[i];
	return NULL;
}

/* What every plan that starts must keep. */
static void expect_sound(
	const struct rec_plan *plan,
	const struct rec_segment *segments,
	uint32_t count,
	const struct rec_base *base
)
{
	assert_true(plan->last_sequence >= base->sequence);
	assert_true(plan->last_sequence >= base->durable);
	assert_int_equal(plan->position.next_sequence, plan->last_sequence + 1);
	assert_int_equal(plan->position.offset, LOG_BLOCK_BYTES);
	assert_true(plan->start.next_sequence <= plan->last_sequence + 1);
	if (base->sequence == 0)
		return;
	const struct rec_segment *start = find(segments, count, plan->start.segment);
	assert_non_null(start);
	assert_memory_equal(&plan->start, &base->position, sizeof(plan->start));
	assert_true(plan->start.offset <= start->end_offset);
	assert_true(plan->position.segment > plan->start.segment);
	for (uint64_t n = plan->start.segment; n <= plan->last_segment; n++)
		assert_non_null(find(segments, count, n));
	assert_true(
		plan->reach.segment < plan->start.segment ||
		(plan->reach.segment == plan->start.segment &&
		 plan->reach.offset <= plan->start.offset)
	);
	assert_int_equal(plan->reach.offset, LOG_BLOCK_BYTES);
	for (uint64_t n = plan->reach.segment; n < plan->start.segment; n++) {
		const struct rec_segment *a = find(segments, count, n),
					 *b = find(segments, count, n + 1);
		assert_true(a != NULL && b != NULL);
		assert_int_equal(a->last_sequence + 1, b->first_sequence);
		assert_int_equal(a->end_chain, b->chain);
	}
	if (plan->cut_bytes > 0 && plan->at_segment == plan->start.segment)
		assert_true(plan->at_offset >= plan->start.offset);
	if (plan->cut_bytes > 0)
		assert_true(plan->at_segment >= plan->start.segment);
}

struct row {
	struct rec_segment segments[SEGMENTS + 1];
	uint32_t count;
};

static void make_row(struct row *row, uint32_t count)
{
	row->count = count;
	for (uint32_t i = 0; i < count; i++)
		row->segments[i] = whole(i);
}

static enum rec_verdict
judge(const struct row *row, const struct rec_base *base, struct rec_plan *plan)
{
	rec_plan_make(plan, REC_IDENTITY_OURS, row->segments, row->count, base);
	if (!rec_refuses(plan->verdict))
		expect_sound(plan, row->segments, row->count, base);
	return plan->verdict;
}

static void newest_segment_when_cut_anywhere_then_torn_only_behind_the_snapshot(void **state)
{
	struct rec_plan plan;
	uint32_t rows = 0;
	for (uint32_t count = 1; count <= SEGMENTS; count++)
		for (uint32_t behind = 1; behind <= count * GROUPS; behind++)
			for (uint32_t cuts = 0; cuts < 3 * (GROUPS + 1) * 2; cuts++) {
				uint32_t groups = cuts % (GROUPS + 1),
					 how = cuts / (GROUPS + 1) % 3;
				bool in_next = cuts >= 3 * (GROUPS + 1);
				struct rec_base base = base_at(behind, in_next, 0);
				struct row row;
				make_row(&row, count);
				struct rec_segment *last = &row.segments[count - 1];
				/* The file ends there, it is damaged there, or there is a hole. */
				cut(last, groups, how == 0 ? LOG_EMPTY : LOG_BAD_CRC);
				last->groups_behind = how == 2;
				uint32_t left = (count - 1) * GROUPS + groups;
				enum rec_verdict verdict = judge(&row, &base, &plan);
				if (base.position.segment > last->number)
					assert_true(rec_refuses(verdict));
				else if (left < behind)
					assert_int_equal(verdict, REC_DAMAGED);
				else
					assert_int_equal(
						verdict,
						how == 0   ? REC_CLEAN
						: how == 1 ? REC_TORN_TAIL
							   : REC_HOLE
					);
				if (!rec_refuses(verdict))
					assert_int_equal(plan.last_sequence, left * PER_GROUP);
				rows++;
			}
	printf("%u rows\n", rows);
}

static void mark_when_of_a_damaged_newer_snapshot_then_nothing_below_it_is_a_tail(void **state)
{
	struct rec_plan plan;
	for (uint32_t behind = 0; behind <= PLACES; behind++)
		for (uint64_t durable = behind * PER_GROUP; durable <= PLACES * PER_GROUP + 1;
		     durable++)
			for (uint32_t cuts = 0; cuts < 2 * (GROUPS + 1); cuts++) {
				struct rec_base base = base_at(behind, false, 0);
				struct row row;
				make_row(&row, SEGMENTS);
				cut(&row.segments[SEGMENTS - 1],
				    cuts / 2,
				    cuts % 2 ? LOG_BAD_CRC : LOG_EMPTY);
				base.durable = durable;
				if (behind == 0)
					base.position = (struct log_position){0};
				uint64_t left = ((SEGMENTS - 1) * GROUPS + cuts / 2) * PER_GROUP;
				enum rec_verdict verdict = judge(&row, &base, &plan);
				bool refused = left < durable || left < base.sequence;
				assert_int_equal(
					verdict,
					refused	   ? REC_DAMAGED
					: cuts % 2 ? REC_TORN_TAIL
						   : REC_CLEAN
				);
			}
}

/* Everything that can be wrong with one segment. */
enum fault_kind { GONE, HEADLESS, UNUSED, BAD_HEADER, FOREIGN, NO_JOIN, NOT_WHOLE, KINDS };

static void spoil(struct row *row, uint32_t index, enum fault_kind kind)
{
	struct rec_segment *s = &row->segments[index];
	switch (kind) {
	case GONE:
		row->count--;
		memmove(s, s + 1, (row->count - index) * sizeof(*s));
		return;
	case HEADLESS:
	case UNUSED:
		*s = (struct rec_segment){
			.number = s->number,
			.file_bytes = s->file_bytes,
			.header = LOG_EMPTY,
			.end_offset = LOG_BLOCK_BYTES,
			.end = kind == HEADLESS ? LOG_BAD_MAGIC : LOG_EMPTY,
			.groups_behind = kind == HEADLESS,
		};
		return;
	case BAD_HEADER:
		s->header = LOG_BAD_CRC;
		return;
	case FOREIGN:
		s->header = LOG_OTHER_NODE;
		return;
	case NO_JOIN:
		s->chain++;
		s->end_chain++;
		return;
	case NOT_WHOLE:
	default:
		cut(s, 1, LOG_BAD_CRC);
	}
}

static void segment_when_older_than_the_snapshot_then_its_faults_do_not_matter(void **state)
{
	struct rec_plan plan, sound;
	uint32_t rows = 0;
	for (uint32_t behind = 1; behind <= PLACES; behind++)
		for (int next = 0; next < 2; next++)
			for (uint32_t at = 0; at < SEGMENTS; at++)
				for (int kind = 0; kind < KINDS; kind++) {
					struct rec_base base = base_at(behind, next, 100);
					struct row row;
					make_row(&row, SEGMENTS);
					enum rec_verdict before = judge(&row, &base, &sound);
					spoil(&row, at, (enum fault_kind)kind);
					enum rec_verdict verdict = judge(&row, &base, &plan);
					rows++;
					uint64_t number = FIRST_NUMBER + at;
					if (number == base.position.segment && kind <= FOREIGN)
						assert_true(rec_refuses(verdict));
					if (number >= base.position.segment)
						continue;
					assert_int_equal(verdict, before);
					if (rec_refuses(before))
						continue;
					assert_memory_equal(
						&plan.start, &sound.start, sizeof(plan.start)
					);
					assert_memory_equal(
						&plan.position,
						&sound.position,
						sizeof(plan.position)
					);
					assert_int_equal(plan.last_sequence, sound.last_sequence);
					/* The way back ends at the fault. */
					assert_true(plan.reach.segment > number);
				}
	printf("%u rows\n", rows);
}

static void place_when_its_segment_is_missing_then_refused_as_missing(void **state)
{
	struct rec_plan plan;
	struct row row;
	/* Only older ones are there. */
	make_row(&row, 2);
	struct rec_base base = base_at(7, false, 0);
	assert_int_equal(judge(&row, &base, &plan), REC_MISSING);
	assert_int_equal(plan.at_segment, FIRST_NUMBER + 2);
	/* Older ones, and prepared ones behind the gap. */
	row.segments[2] = whole(2);
	row.segments[3] = whole(2);
	row.count = 4;
	spoil(&row, 2, UNUSED);
	spoil(&row, 3, UNUSED);
	row.segments[3].number++;
	assert_true(rec_refuses(judge(&row, &base, &plan)));
	/* Only newer ones. */
	make_row(&row, 3);
	spoil(&row, 0, GONE);
	base = base_at(2, false, 0);
	assert_int_equal(judge(&row, &base, &plan), REC_NO_BEGIN);
	/* None at all. */
	row.count = 0;
	assert_int_equal(judge(&row, &base, &plan), REC_LOST);
}

/* A log that ends where the snapshot does, and is not the one that it was made from. */
static void end_when_it_is_the_snapshots_place_then_it_must_be_the_same_log(void **state)
{
	struct rec_plan plan;
	for (uint32_t behind = 1; behind <= PLACES; behind++) {
		uint32_t count = (behind - 1) / GROUPS + 1;
		struct rec_base base = base_at(behind, false, 0);
		struct row row;
		make_row(&row, count);
		cut(&row.segments[count - 1], behind - (count - 1) * GROUPS, LOG_EMPTY);
		assert_int_equal(judge(&row, &base, &plan), REC_CLEAN);
		row.segments[count - 1].end_chain++;
		assert_true(rec_refuses(judge(&row, &base, &plan)));
		row.segments[count - 1].end_chain--;
		row.segments[count - 1].last_sequence += PER_GROUP;
		assert_true(rec_refuses(judge(&row, &base, &plan)));
	}
	/* The same where the next segment begins there. */
	for (uint32_t segment = 1; segment < SEGMENTS; segment++) {
		struct rec_base base = base_at(segment * GROUPS, false, 0);
		struct row row;
		make_row(&row, SEGMENTS);
		assert_int_equal(judge(&row, &base, &plan), REC_CLEAN);
		base.position.chain++;
		assert_true(rec_refuses(judge(&row, &base, &plan)));
		base = base_at(segment * GROUPS, true, 0);
		assert_int_equal(judge(&row, &base, &plan), REC_CLEAN);
		base.position.chain++;
		assert_true(rec_refuses(judge(&row, &base, &plan)));
		/* A place that the segment does not reach. */
		base = base_at(segment * GROUPS, false, 0);
		base.position.offset += LOG_BLOCK_BYTES;
		assert_true(rec_refuses(judge(&row, &base, &plan)));
	}
}

static void headless_newest_when_a_snapshot_names_it_then_damaged_else_removed(void **state)
{
	struct rec_plan plan;
	for (uint32_t behind = 1; behind <= PLACES; behind++)
		for (uint64_t more = 0; more < 3; more++)
			for (int marked = 0; marked < 2; marked++) {
				struct rec_base base = base_at(behind, false, 0);
				struct row row;
				make_row(&row, SEGMENTS);
				spoil(&row, SEGMENTS - 1, HEADLESS);
				uint64_t left = (SEGMENTS - 1) * GROUPS * PER_GROUP;
				row.segments[SEGMENTS - 1].durable_behind = marked ? left + 1 : 0;
				base.durable += more;
				enum rec_verdict verdict = judge(&row, &base, &plan);
				assert_int_equal(
					rec_refuses(verdict), base.durable > left || marked
				);
				if (rec_refuses(verdict))
					continue;
				assert_int_equal(verdict, REC_HOLE);
				assert_int_equal(plan.position.segment, FIRST_NUMBER + 2);
				assert_int_equal(plan.last_sequence, left);
			}
}

static void identity_when_not_ours_then_a_snapshot_does_not_help(void **state)
{
	static const enum rec_verdict with_log[] = {
		[REC_IDENTITY_NONE] = REC_NO_IDENTITY,
		[REC_IDENTITY_NEW] = REC_CLEAN,
		[REC_IDENTITY_OURS] = REC_CLEAN,
		[REC_IDENTITY_OTHER] = REC_OTHER_IDENTITY,
		[REC_IDENTITY_BAD] = REC_NO_IDENTITY,
	};
	struct rec_plan plan;
	struct row row;
	make_row(&row, SEGMENTS);
	for (uint32_t behind = 1; behind <= PLACES; behind++)
		for (int i = 0; i <= REC_IDENTITY_BAD; i++) {
			struct rec_base base = base_at(behind, false, 0);
			rec_plan_make(&plan, (enum rec_identity)i, row.segments, row.count, &base);
			assert_int_equal(plan.verdict, with_log[i]);
			rec_plan_make(&plan, (enum rec_identity)i, NULL, 0, &base);
			assert_int_equal(
				plan.verdict,
				i == REC_IDENTITY_OTHER ? REC_OTHER_IDENTITY : REC_LOST
			);
		}
}

/* Emptied on purpose: nothing is no loss, but what is there counts in full. */
static void identity_when_emptied_then_only_an_empty_folder_is_no_loss(void **state)
{
	const struct rec_base none = {0};
	struct rec_plan plan, ours;
	struct row row;
	rec_plan_make(&plan, REC_IDENTITY_EMPTIED, NULL, 0, &none);
	assert_int_equal(plan.verdict, REC_FRESH);
	for (uint32_t behind = 1; behind <= PLACES; behind++) {
		struct rec_base base = base_at(behind, false, 0);
		rec_plan_make(&plan, REC_IDENTITY_EMPTIED, NULL, 0, &base);
		assert_int_equal(plan.verdict, REC_LOST);
		for (uint32_t count = 1; count <= SEGMENTS; count++) {
			make_row(&row, count);
			rec_plan_make(&plan, REC_IDENTITY_EMPTIED, row.segments, row.count, &base);
			rec_plan_make(&ours, REC_IDENTITY_OURS, row.segments, row.count, &base);
			assert_memory_equal(&plan, &ours, sizeof(plan));
		}
	}
}

/* Given up: what is there does not count; a snapshot that begins a segment stands for all of it. */
static void identity_when_void_then_nothing_but_its_snapshot_counts(void **state)
{
	const struct rec_base none = {0};
	struct rec_base base = base_at(0, false, 0);
	struct rec_plan plan, again;
	struct row row;
	make_row(&row, SEGMENTS);
	rec_plan_make(&plan, REC_IDENTITY_VOID, row.segments, row.count, &none);
	assert_int_equal(plan.verdict, REC_FRESH);
	assert_int_equal(plan.position.segment, 1);
	base.sequence = base.durable = 42;
	base.position.segment = 1;
	base.position.next_sequence = 43;
	base.position.chain = 7;
	rec_plan_make(&plan, REC_IDENTITY_VOID, row.segments, row.count, &base);
	rec_plan_make(&again, REC_IDENTITY_VOID, NULL, 0, &base);
	assert_memory_equal(&plan, &again, sizeof(plan));
	assert_int_equal(plan.verdict, REC_CLEAN);
	assert_int_equal(plan.last_sequence, 42);
	assert_int_equal(plan.last_segment, 0);
	assert_memory_equal(&plan.start, &base.position, sizeof(plan.start));
	assert_int_equal(plan.position.segment, 2);
	assert_int_equal(plan.position.offset, LOG_BLOCK_BYTES);
	assert_int_equal(plan.position.next_sequence, 43);
	assert_int_equal(plan.position.chain, 7);
	/* One that cannot be read was to be there; one of a place in the middle was not made so. */
	base.position.offset += LOG_BLOCK_BYTES;
	rec_plan_make(&plan, REC_IDENTITY_VOID, NULL, 0, &base);
	assert_int_equal(plan.verdict, REC_MISSING);
	base.sequence = 0;
	rec_plan_make(&plan, REC_IDENTITY_VOID, NULL, 0, &base);
	assert_int_equal(plan.verdict, REC_LOST);
}

static void reach_when_wanted_then_back_to_it_and_no_further(void **state)
{
	struct rec_plan plan;
	struct row row;
	make_row(&row, SEGMENTS);
	for (uint32_t behind = 1; behind <= PLACES; behind++)
		for (uint64_t reach = 0; reach <= PLACES * PER_GROUP + 4; reach++) {
			struct rec_base base = base_at(behind, false, reach);
			assert_int_equal(judge(&row, &base, &plan), REC_CLEAN);
			const struct rec_segment *at =
				find(row.segments, row.count, plan.reach.segment);
			uint64_t last = PLACES * PER_GROUP;
			uint64_t wanted = last >= reach ? last - reach + 1 : 1;
			assert_int_equal(plan.reach.next_sequence, at->first_sequence);
			assert_int_equal(plan.reach.chain, at->chain);
			assert_true(
				plan.reach.next_sequence <= wanted ||
				plan.reach.segment == FIRST_NUMBER
			);
			/* One less would not do, unless replay begins there. */
			if (plan.reach.segment < base.position.segment)
				assert_true(at->last_sequence >= wanted);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(newest_segment_when_cut_anywhere_then_torn_only_behind_the_snapshot
		),
		cmocka_unit_test(
			mark_when_of_a_damaged_newer_snapshot_then_nothing_below_it_is_a_tail
		),
		cmocka_unit_test(segment_when_older_than_the_snapshot_then_its_faults_do_not_matter
		),
		cmocka_unit_test(place_when_its_segment_is_missing_then_refused_as_missing),
		cmocka_unit_test(end_when_it_is_the_snapshots_place_then_it_must_be_the_same_log),
		cmocka_unit_test(headless_newest_when_a_snapshot_names_it_then_damaged_else_removed
		),
		cmocka_unit_test(identity_when_not_ours_then_a_snapshot_does_not_help),
		cmocka_unit_test(identity_when_emptied_then_only_an_empty_folder_is_no_loss),
		cmocka_unit_test(identity_when_void_then_nothing_but_its_snapshot_counts),
		cmocka_unit_test(reach_when_wanted_then_back_to_it_and_no_further),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
