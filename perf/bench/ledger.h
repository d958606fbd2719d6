/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What the nodes promised, and whether they kept it. The load generator notes every acknowledged
 * update (an ADD of a delta), every read, and every update whose outcome stayed unknown; it reads
 * each asset before the first update and after the last one. The check then puts each asset's
 * points in the order of their versions: between two neighbours the value must have changed by
 * exactly the deltas of the updates between them, and updates between them that nobody acknowledged
 * must be unknown ones. It assumes that nobody else updates these assets meanwhile.
 *
 * The deltas are random, so a doubled or lost update can hardly be mistaken for another one; and
 * versions count applied updates, so it costs a sort, not a search (design.md, "exactly once").
 *
 * Memory is one reservation of virtual memory that fills as records come, 32 bytes each. One
 * thread. Times and clocks do not matter here.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* An acknowledged update, or a read when delta is 0. */
struct bench_record {
	uint32_t asset; /* index from 0 */
	int32_t delta;
	uint64_t version;  /* of the asset: this update included */
	uint64_t sequence; /* in the log; of a read: that of the asset's last update */
	int64_t value;
};

/* An update that may or may not have been applied. */
struct bench_unknown {
	uint32_t asset;
	int32_t delta;
};

struct bench_asset {
	uint64_t first_version, last_version; /* as read before and after the run */
	int64_t first_value, last_value;
	uint64_t first_sequence, last_sequence;
	uint64_t acked_version; /* highest one acknowledged so far, for the check of reads */
	bool first_read, last_read;
};

struct bench_ledger {
	struct bench_record *records;
	uint64_t record_count, record_room;
	struct bench_unknown *unknowns;
	uint64_t unknown_count, unknown_room;
	struct bench_asset *assets;
	uint32_t asset_count;
};

/* The answers; everything but updates, reads and the two "un…" must be 0. */
struct bench_verdict {
	uint64_t updates; /* acknowledged */
	uint64_t reads;
	uint64_t unknown;	  /* updates with unknown outcome */
	uint64_t unknown_applied; /* … that were applied, as the versions tell */
	uint64_t lost_after_ack; /* acknowledged, and not in the state or its version given twice */
	uint64_t applied_twice;	 /* applied more often than acknowledged and unknown ones explain */
	uint64_t wrong_values;	 /* a value that its neighbours do not lead to */
	uint64_t wrong_order;	 /* a later version of the asset with an earlier sequence */
	uint64_t unchecked_assets; /* could not be read before or after the run */
	uint64_t undecided;	   /* too many unknown updates to tell which ones were applied */
	uint32_t example_asset;	   /* of the first thing broken */
	uint64_t example_version;
};

/* 0, -ENOMEM or -EINVAL. record_room is an upper bound (l->record_room says what was granted); only
 * what is used takes memory. */
int bench_ledger_open(struct bench_ledger *l, uint32_t asset_count, uint64_t record_room);
void bench_ledger_close(struct bench_ledger *l);

static inline bool bench_ledger_is_full(const struct bench_ledger *l)
{
	return l->record_count == l->record_room;
}

/* Notes an update (delta not 0) or a read (delta 0); ignored when full. */
static inline void bench_ledger_add(struct bench_ledger *l, const struct bench_record *record)
{
	struct bench_asset *asset = &l->assets[record->asset];
	if (bench_ledger_is_full(l))
		return;
	l->records[l->record_count++] = *record;
	if (record->version > asset->acked_version)
		asset->acked_version = record->version;
}

/* Notes an update whose outcome stays unknown; -ENOMEM when there is no room for it. */
int bench_ledger_unknown(struct bench_ledger *l, uint32_t asset, int32_t delta);

/* The state of an asset before and after all updates. */
void bench_ledger_first(struct bench_ledger *l, const struct bench_record *read);
void bench_ledger_last(struct bench_ledger *l, const struct bench_record *read);

/* Sorts the records and judges them; may be called once, at the end. */
void bench_ledger_check(struct bench_ledger *l, struct bench_verdict *verdict);

/* True when something promised was not kept (not: something could not be read). */
bool bench_verdict_is_broken(const struct bench_verdict *verdict);
