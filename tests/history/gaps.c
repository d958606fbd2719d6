/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Versions that nobody was told about, and the operations with unknown outcome that may have made
 * them: each operation makes at most one, each version needs exactly one. An operation fits a
 * version when it leads from the value before to the value after (where those are known) and was
 * sent before anybody was answered who saw that version or a later one.
 *
 * What fits a version in time fits every later one, so of operations that do the same the one that
 * was sent last is the right one to take, and a gap too many is found by counting. What is left,
 * which of different operations to take, is a search: most constrained places first, with a limit.
 */
#include "tests/history/checker.h"

#include <stdlib.h>

static int compare_i64(int64_t a, int64_t b)
{
	return (a > b) - (a < b);
}

static int compare_likeness(const struct hist_item *a, const struct hist_item *b)
{
	if (a->opcode != b->opcode)
		return (int)a->opcode - (int)b->opcode;
	int c = compare_i64(a->argument[0], b->argument[0]);
	return c != 0 ? c : compare_i64(a->argument[1], b->argument[1]);
}

static int by_likeness(const void *left, const void *right, void *context)
{
	const struct hist_checker *checker = context;
	const struct hist_item *a = &checker->item[*(const uint32_t *)left];
	const struct hist_item *b = &checker->item[*(const uint32_t *)right];
	int c = compare_likeness(a, b);
	return c != 0 ? c : (a->invoked_ns > b->invoked_ns) - (a->invoked_ns < b->invoked_ns);
}

/* Those sent last come first, so that those that fit more places are kept. */
static int by_first_sent(const void *left, const void *right, void *context)
{
	const struct hist_checker *checker = context;
	const struct hist_like *a = left, *b = right;
	uint64_t sent_a = checker->item[checker->maybe[a->begin]].invoked_ns;
	uint64_t sent_b = checker->item[checker->maybe[b->begin]].invoked_ns;
	if (sent_a != sent_b)
		return sent_a > sent_b ? -1 : 1;
	return (a->begin > b->begin) - (a->begin < b->begin);
}

static uint32_t find_likes(struct hist_checker *checker, uint32_t maybes)
{
	uint32_t count = 0;
	qsort_r(checker->maybe, maybes, sizeof(*checker->maybe), by_likeness, checker);
	for (uint32_t i = 0; i < maybes; i++) {
		const struct hist_item *item = &checker->item[checker->maybe[i]];
		if (i == 0 || compare_likeness(&checker->item[checker->maybe[i - 1]], item) != 0) {
			checker->like[count].begin = i;
			count++;
		}
		checker->like[count - 1].end = i + 1;
	}
	qsort_r(checker->like, count, sizeof(*checker->like), by_first_sent, checker);
	return count;
}

/* Whether the operation has an effect on this value, and which. */
static bool leads(const struct hist_item *item, int64_t before, int64_t *after)
{
	*after = item->argument[0];
	switch (item->opcode) {
	case CLI_REGISTER_ADD:
		return !__builtin_add_overflow(before, item->argument[0], after);
	case CLI_REGISTER_SET:
		return true;
	case CLI_REGISTER_CAS:
		*after = item->argument[1];
		return before == item->argument[0];
	}
	return false;
}

static bool fits(const struct hist_slot *slot, int64_t value)
{
	if (slot->known && slot->value != value)
		return false;
	return value >= slot->low && value <= slot->high;
}

/* Of those that do the same: the one sent last of those sent in time, not used yet. */
static uint32_t
pick(const struct hist_checker *checker, const struct hist_like *like, uint64_t deadline_ns)
{
	uint32_t low = like->begin, high = like->end;
	while (low < high) {
		uint32_t middle = low + (high - low) / 2;
		if (checker->item[checker->maybe[middle]].invoked_ns <= deadline_ns)
			low = middle + 1;
		else
			high = middle;
	}
	while (low > like->begin) {
		low--;
		if (!checker->used[checker->maybe[low]])
			return checker->maybe[low];
	}
	return HIST_NONE;
}

/* Those that do exactly this. */
static struct hist_like find_like(
	const struct hist_checker *checker,
	uint32_t maybes,
	uint8_t opcode,
	int64_t first,
	int64_t second
)
{
	const struct hist_item wanted = {.opcode = opcode, .argument = {first, second}};
	uint32_t bound[2];
	for (int upper = 0; upper < 2; upper++) {
		uint32_t low = 0, high = maybes;
		while (low < high) {
			uint32_t middle = low + (high - low) / 2;
			const struct hist_item *item = &checker->item[checker->maybe[middle]];
			if (compare_likeness(item, &wanted) < upper)
				low = middle + 1;
			else
				high = middle;
		}
		bound[upper] = low;
	}
	return (struct hist_like){.begin = bound[0], .end = bound[1]};
}

#define LEADING 3

/* The only three kinds of operation that lead from one value to another: one of each that fits in
 * time and is not used yet, the one sent last first, so that those that fit more places are kept.
 * Returns how many there are. */
static uint32_t find_leading(
	const struct hist_checker *checker,
	uint32_t maybes,
	const struct hist_slot *slot,
	int64_t before,
	uint32_t found[LEADING]
)
{
	struct hist_like like[LEADING] = {
		find_like(checker, maybes, CLI_REGISTER_SET, slot->value, 0),
		find_like(checker, maybes, CLI_REGISTER_CAS, before, slot->value),
	};
	int64_t delta;
	if (!__builtin_sub_overflow(slot->value, before, &delta))
		like[2] = find_like(checker, maybes, CLI_REGISTER_ADD, delta, 0);
	uint32_t count = 0;
	for (uint32_t k = 0; k < LEADING; k++) {
		uint32_t item = pick(checker, &like[k], slot->deadline_ns);
		if (item == HIST_NONE)
			continue;
		uint64_t sent_ns = checker->item[item].invoked_ns;
		uint32_t i = count++;
		for (; i > 0 && checker->item[found[i - 1]].invoked_ns < sent_ns; i--)
			found[i] = found[i - 1];
		found[i] = item;
	}
	return count;
}

static uint32_t count_ways(const struct hist_checker *checker, uint32_t version, uint32_t maybes)
{
	const struct hist_slot *slot = &checker->slot[version];
	uint32_t found[LEADING];
	return slot->known ? find_leading(checker, maybes, slot, slot[-1].value, found) : 0;
}

static bool is_gap(const struct hist_checker *checker, uint32_t version)
{
	return checker->slot[version].update == HIST_NONE;
}

static uint32_t find_runs(struct hist_checker *checker, uint32_t last, uint32_t maybes)
{
	uint32_t count = 0;
	bool open = false;
	for (uint32_t v = 1; v <= last; v++) {
		if (!is_gap(checker, v)) {
			open = false;
			continue;
		}
		if (!open)
			checker->run[count++] = (struct hist_run){.first = v};
		checker->run[count - 1].count++;
		open = checker->run[count - 1].open = !checker->slot[v].known;
	}
	for (uint32_t i = 0; i < count; i++) {
		struct hist_run *run = &checker->run[i];
		if (run->count == 1)
			run->ways = count_ways(checker, run->first, maybes);
	}
	return count;
}

/* What is determined comes first, the most constrained before the others; open ends, in order of
 * version, take what is left over. */
static int by_freedom(const void *left, const void *right)
{
	const struct hist_run *a = left, *b = right;
	if (a->open != b->open)
		return (int)a->open - (int)b->open;
	if (!a->open && a->count != b->count)
		return (a->count > b->count) - (a->count < b->count);
	if (!a->open && a->ways != b->ways)
		return (a->ways > b->ways) - (a->ways < b->ways);
	return (a->first > b->first) - (a->first < b->first);
}

static uint32_t find_places(struct hist_checker *checker, uint32_t runs)
{
	uint32_t count = 0;
	qsort(checker->run, runs, sizeof(*checker->run), by_freedom);
	for (uint32_t i = 0; i < runs; i++) {
		for (uint32_t j = 0; j < checker->run[i].count; j++) {
			checker->place[count++] = (struct hist_place){
				.version = checker->run[i].first + j,
				.item = HIST_NONE,
				.first = j == 0,
				.open = checker->run[i].open,
			};
		}
	}
	return count;
}

/* The first of these versions, given in rising order, for which, with those before it, too few
 * unused operations were sent in time; 0: none. Deadlines grow with the version, and so does what
 * fits them, so counting is enough (Hall). */
static uint32_t find_excess(
	const struct hist_checker *checker,
	const struct hist_place *place,
	uint32_t places,
	uint32_t maybes
)
{
	const uint32_t *by_time = (const uint32_t *)checker->scratch;
	uint32_t in_time = 0, next = 0;
	for (uint32_t i = 0; i < places; i++) {
		uint64_t deadline_ns = checker->slot[place[i].version].deadline_ns;
		for (; next < maybes; next++) {
			if (checker->item[by_time[next]].invoked_ns > deadline_ns)
				break;
			in_time += checker->used[by_time[next]] ? 0 : 1;
		}
		if (in_time <= i)
			return place[i].version;
	}
	return 0;
}

/* Takes the next operation that fits, from place->kind on; a place that is come back to sees the
 * same operations used as before, so the numbers mean the same. */
static bool try_place(
	struct hist_checker *checker,
	struct hist_place *place,
	uint32_t likes,
	uint32_t maybes,
	uint64_t *steps
)
{
	const struct hist_slot *slot = &checker->slot[place->version];
	int64_t before = place->first ? slot[-1].value : place[-1].value;
	uint32_t found[LEADING], kinds = likes;
	if (slot->known)
		kinds = find_leading(checker, maybes, slot, before, found);
	while (place->kind < kinds) {
		uint32_t kind = place->kind++;
		uint32_t item = slot->known
					? found[kind]
					: pick(checker, &checker->like[kind], slot->deadline_ns);
		++*steps;
		if (item == HIST_NONE || !leads(&checker->item[item], before, &place->value) ||
		    !fits(slot, place->value))
			continue;
		place->item = item;
		checker->used[item] = true;
		return true;
	}
	return false;
}

enum outcome { FILLED, IMPOSSIBLE, GAVE_UP };

/* --- What led nowhere: (place, operations used, value) as in the other checker (Lowe) --- */

/* The sum of these over the operations used stands for their set. */
static uint64_t mark_of(uint32_t item)
{
	uint64_t h = (item + 1) * 0x9e3779b97f4a7c15ull;
	h = (h ^ h >> 30) * 0xbf58476d1ce4e5b9ull;
	h = (h ^ h >> 27) * 0x94d049bb133111ebull;
	return h ^ h >> 31;
}

struct dead_ends {
	uint64_t used; /* sum of marks */
	uint32_t count;
};

/* The entry of the state before this place is filled, or the free one for it. */
static struct hist_state *
find_state(struct hist_checker *checker, const struct dead_ends *ends, uint32_t depth)
{
	const struct hist_place *place = &checker->place[depth];
	int64_t value = place->first ? 0 : place[-1].value;
	uint64_t hash = (ends->used ^ (uint64_t)value * 0x9e3779b97f4a7c15ull) + depth;
	for (uint64_t i = hash;; i++) {
		struct hist_state *s = &checker->state[i & checker->state_mask];
		if (s->generation != checker->generation) {
			s->done = ends->used;
			s->version = depth;
			s->value = value;
			return s;
		}
		if (s->done == ends->used && s->version == depth && s->value == value)
			return s;
	}
}

static bool is_dead_end(struct hist_checker *checker, const struct dead_ends *ends, uint32_t depth)
{
	return find_state(checker, ends, depth)->generation == checker->generation;
}

static void add_dead_end(struct hist_checker *checker, struct dead_ends *ends, uint32_t depth)
{
	if (ends->count == checker->limits.search_states)
		return; /* half the table: forgetting costs time only */
	ends->count++;
	find_state(checker, ends, depth)->generation = checker->generation;
}

/* --- The search --- */

static enum outcome
search(struct hist_checker *checker,
       uint32_t places,
       uint32_t likes,
       uint32_t maybes,
       uint32_t *deepest)
{
	struct dead_ends ends = {0};
	uint64_t steps = 0;
	uint32_t depth = 0, closed = 0;
	checker->generation++;
	while (closed < places && !checker->place[closed].open)
		closed++;
	*deepest = 0;
	while (depth < places) {
		if (++steps > checker->limits.gap_steps)
			return GAVE_UP;
		struct hist_place *place = &checker->place[depth];
		/* No order of what is left over makes it enough: back to what was determined. */
		bool hopeful = place->kind > 0 || !is_dead_end(checker, &ends, depth);
		if (hopeful && depth == closed && place->kind == 0)
			hopeful = find_excess(checker, place, places - closed, maybes) == 0;
		if (hopeful && try_place(checker, place, likes, maybes, &steps)) {
			ends.used += mark_of(place->item);
			depth++;
			if (depth < places)
				checker->place[depth].kind = 0;
			*deepest = depth > *deepest ? depth : *deepest;
			continue;
		}
		if (depth == 0)
			return IMPOSSIBLE;
		add_dead_end(checker, &ends, depth);
		depth--;
		checker->used[checker->place[depth].item] = false;
		ends.used -= mark_of(checker->place[depth].item);
	}
	return FILLED;
}

static int by_time(const void *left, const void *right, void *context)
{
	const struct hist_checker *checker = context;
	uint64_t a = checker->item[*(const uint32_t *)left].invoked_ns;
	uint64_t b = checker->item[*(const uint32_t *)right].invoked_ns;
	return (a > b) - (a < b);
}

/* Who made the version after, or else who saw this one. */
static uint32_t witness(const struct hist_checker *checker, uint32_t version, uint32_t last)
{
	const struct hist_slot *slot = &checker->slot[version];
	uint32_t seen = version < last && slot[1].update != HIST_NONE ? slot[1].update : slot->seen;
	return seen == HIST_NONE ? HIST_NONE : checker->item[seen].operation;
}

void hist_fill_gaps(
	struct hist_checker *checker,
	uint64_t asset_id,
	uint32_t last,
	uint32_t maybes,
	struct hist_verdict *verdict
)
{
	uint32_t *sorted = (uint32_t *)checker->scratch, gaps = 0, deepest = 0;
	for (uint32_t i = 0; i < maybes; i++) {
		sorted[i] = checker->maybe[i];
		checker->used[sorted[i]] = false;
	}
	qsort_r(sorted, maybes, sizeof(*sorted), by_time, checker);
	for (uint32_t v = 1; v <= last; v++) {
		if (is_gap(checker, v))
			checker->place[gaps++].version = v;
	}
	uint32_t excess = find_excess(checker, checker->place, gaps, maybes);
	if (excess != 0) {
		uint32_t operation = witness(checker, excess, last);
		hist_add(verdict, HIST_GAP, asset_id, excess, operation, HIST_NONE);
		return;
	}
	uint32_t likes = find_likes(checker, maybes);
	uint32_t runs = find_runs(checker, last, maybes);
	uint32_t places = find_places(checker, runs);
	switch (search(checker, places, likes, maybes, &deepest)) {
	case FILLED:
		verdict->gaps += places;
		break;
	case GAVE_UP:
		verdict->gave_up++;
		break;
	case IMPOSSIBLE: {
		uint32_t version = checker->place[deepest].version;
		uint32_t operation = witness(checker, version, last);
		hist_add(verdict, HIST_GAP, asset_id, version, operation, HIST_NONE);
		break;
	}
	}
}
