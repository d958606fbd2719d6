/* SPDX-License-Identifier: BSD-3-Clause */
#include "perf/bench/ledger.h"

#include "config/check.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

STATIC_CHECK(sizeof(struct bench_record) == 32, "10^7 updates in 320 MB");

/* Bounds of the search for a fitting set of unknown updates, per gap: steps, and depth. */
#define SEARCH_STEPS (1u << 20)
#define SEARCH_DEPTH 64u

#define LEAST_RECORDS 100000u

int bench_ledger_open(struct bench_ledger *l, uint32_t asset_count, uint64_t record_room)
{
	void *room;
	memset(l, 0, sizeof(*l));
	if (asset_count == 0 || record_room == 0)
		return -EINVAL;
	/* A host that counts reservations may not grant that many: then half of it, and so on. */
	for (;; record_room /= 2) {
		room =
			mmap(NULL,
			     record_room * sizeof(*l->records),
			     PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
			     -1,
			     0);
		if (room != MAP_FAILED)
			break;
		if (record_room <= LEAST_RECORDS)
			return -ENOMEM;
	}
	/* Clearing a huge page at once would be a pause that the latency shows. */
	madvise(room, record_room * sizeof(*l->records), MADV_NOHUGEPAGE);
	l->records = room;
	l->record_room = record_room;
	l->asset_count = asset_count;
	l->assets = calloc(asset_count, sizeof(*l->assets));
	if (l->assets == NULL) {
		bench_ledger_close(l);
		return -ENOMEM;
	}
	return 0;
}

void bench_ledger_close(struct bench_ledger *l)
{
	if (l->records != NULL)
		munmap(l->records, l->record_room * sizeof(*l->records));
	free(l->unknowns);
	free(l->assets);
	memset(l, 0, sizeof(*l));
}

int bench_ledger_unknown(struct bench_ledger *l, uint32_t asset, int32_t delta)
{
	if (l->unknown_count == l->unknown_room) {
		uint64_t room = l->unknown_room ? 2 * l->unknown_room : 1024;
		void *bigger = realloc(l->unknowns, room * sizeof(*l->unknowns));
		if (bigger == NULL)
			return -ENOMEM;
		l->unknowns = bigger;
		l->unknown_room = room;
	}
	l->unknowns[l->unknown_count++] = (struct bench_unknown){.asset = asset, .delta = delta};
	return 0;
}

void bench_ledger_first(struct bench_ledger *l, const struct bench_record *read)
{
	struct bench_asset *asset = &l->assets[read->asset];
	asset->first_version = read->version;
	asset->first_value = read->value;
	asset->first_sequence = read->sequence;
	asset->acked_version = read->version;
	asset->first_read = true;
}

void bench_ledger_last(struct bench_ledger *l, const struct bench_record *read)
{
	struct bench_asset *asset = &l->assets[read->asset];
	asset->last_version = read->version;
	asset->last_value = read->value;
	asset->last_sequence = read->sequence;
	asset->last_read = true;
}

/* By asset, then version; at the same version the update stands before the reads that saw it. */
static int compare_records(const void *left, const void *right)
{
	const struct bench_record *a = left, *b = right;
	if (a->asset != b->asset)
		return a->asset < b->asset ? -1 : 1;
	if (a->version != b->version)
		return a->version < b->version ? -1 : 1;
	return (a->delta == 0) - (b->delta == 0);
}

static int compare_unknowns(const void *left, const void *right)
{
	const struct bench_unknown *a = left, *b = right;
	if (a->asset != b->asset)
		return a->asset < b->asset ? -1 : 1;
	return (a->delta > b->delta) - (a->delta < b->delta);
}

enum fit { FITS, FITS_NOT, TOO_MANY };

/* Is there a set of count of these deltas with this sum? With the first one, else without it. */
static enum fit search_set(
	const struct bench_unknown *unknowns,
	uint64_t unknown_count,
	uint64_t count,
	int64_t sum,
	uint32_t *steps
)
{
	if (count == 0)
		return sum == 0 ? FITS : FITS_NOT;
	for (; unknown_count >= count; unknowns++, unknown_count--) {
		if ((*steps)++ >= SEARCH_STEPS)
			return TOO_MANY;
		enum fit fit = search_set(
			unknowns + 1, unknown_count - 1, count - 1, sum - unknowns->delta, steps
		);
		if (fit != FITS_NOT)
			return fit;
	}
	return FITS_NOT;
}

static enum fit
find_set(const struct bench_unknown *unknowns, uint64_t unknown_count, uint64_t count, int64_t sum)
{
	uint32_t steps = 0;
	if (count < unknown_count && count > SEARCH_DEPTH)
		return TOO_MANY;
	if (count < unknown_count)
		return search_set(unknowns, unknown_count, count, sum, &steps);
	for (uint64_t i = 0; i < unknown_count; i++)
		sum -= unknowns[i].delta;
	return sum == 0 ? FITS : FITS_NOT;
}

/* One asset under examination. */
struct examination {
	const struct bench_unknown *unknowns;
	uint64_t unknown_count;
	struct bench_verdict *verdict;
	uint64_t gaps; /* updates applied that nobody acknowledged */
};

static void note_broken(struct bench_verdict *v, const struct bench_record *at, uint64_t *kind)
{
	if (!bench_verdict_is_broken(v)) {
		v->example_asset = at->asset;
		v->example_version = at->version;
	}
	(*kind)++;
}

/* From one point of an asset's history to the next. */
static void
check_step(struct examination *x, const struct bench_record *from, const struct bench_record *to)
{
	struct bench_verdict *v = x->verdict;
	uint64_t own = to->delta != 0;

	if (to->version < from->version + own) {
		/* Two updates were given the same version: one of them is no longer there. */
		note_broken(v, to, &v->lost_after_ack);
		return;
	}
	if (to->version > from->version ? to->sequence <= from->sequence
					: to->sequence != from->sequence)
		note_broken(v, to, &v->wrong_order);
	uint64_t between = to->version - from->version - own;
	int64_t moved = (int64_t)((uint64_t)to->value - (uint64_t)from->value);
	x->gaps += between;
	if (between > x->unknown_count)
		return; /* counted for the asset as a whole */
	switch (find_set(x->unknowns, x->unknown_count, between, moved - to->delta)) {
	case FITS:
		break;
	case FITS_NOT:
		note_broken(v, to, &v->wrong_values);
		break;
	case TOO_MANY:
		v->undecided++;
		break;
	}
}

static void check_asset(
	struct examination *x,
	const struct bench_asset *asset,
	uint32_t index,
	const struct bench_record *records,
	uint64_t count
)
{
	struct bench_verdict *v = x->verdict;
	struct bench_record at = {
		.asset = index,
		.version = asset->first_version,
		.sequence = asset->first_sequence,
		.value = asset->first_value,
	};
	const struct bench_record last = {
		.asset = index,
		.version = asset->last_version,
		.sequence = asset->last_sequence,
		.value = asset->last_value,
	};

	if (!asset->first_read || !asset->last_read) {
		v->unchecked_assets++;
		return;
	}
	for (uint64_t i = 0; i < count; i++) {
		if (records[i].version > last.version) {
			note_broken(v, &records[i], &v->lost_after_ack);
			continue;
		}
		check_step(x, &at, &records[i]);
		at = records[i];
	}
	if (at.version <= last.version)
		check_step(x, &at, &last);
	else
		note_broken(v, &last, &v->lost_after_ack);
	if (x->gaps > x->unknown_count) {
		note_broken(v, &last, &v->applied_twice);
		v->applied_twice += x->gaps - x->unknown_count - 1;
		x->gaps = x->unknown_count;
	}
	v->unknown_applied += x->gaps;
}

void bench_ledger_check(struct bench_ledger *l, struct bench_verdict *verdict)
{
	uint64_t record = 0, unknown = 0;

	memset(verdict, 0, sizeof(*verdict));
	qsort(l->records, l->record_count, sizeof(*l->records), compare_records);
	if (l->unknown_count != 0)
		qsort(l->unknowns, l->unknown_count, sizeof(*l->unknowns), compare_unknowns);
	verdict->unknown = l->unknown_count;
	for (uint32_t asset = 0; asset < l->asset_count; asset++) {
		struct examination x = {.verdict = verdict};
		const struct bench_record *records = &l->records[record];
		uint64_t count = 0;
		for (; record < l->record_count && l->records[record].asset == asset; record++) {
			count++;
			if (l->records[record].delta != 0)
				verdict->updates++;
			else
				verdict->reads++;
		}
		x.unknowns = l->unknowns + unknown;
		for (; unknown < l->unknown_count && l->unknowns[unknown].asset == asset; unknown++)
			x.unknown_count++;
		check_asset(&x, &l->assets[asset], asset, records, count);
	}
}

bool bench_verdict_is_broken(const struct bench_verdict *verdict)
{
	return verdict->lost_after_ack != 0 || verdict->applied_twice != 0 ||
	       verdict->wrong_values != 0 || verdict->wrong_order != 0;
}
