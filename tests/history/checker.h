/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Private to the checkers: the items that both start from, and their memory. An item is one thing
 * that is to be placed in the order of its asset; which answers of a client count is decided here
 * once (items.c), what they mean is decided by each checker for itself.
 */
#pragma once

#include "tests/history/history.h"

enum hist_role {
	HIST_UPDATE,  /* answered OK: made `version` */
	HIST_REFUSED, /* answered REJECTED: saw `version` */
	HIST_LOOK,    /* a read, answered OK; every answer of a request is one */
	HIST_END,     /* what a node held in the end: a read after everything */
	HIST_MAYBE, /* an update with unknown outcome: once, at any time after it was sent, or never
		     */
};

struct hist_item {
	uint64_t asset_id;
	uint64_t version; /* HIST_MAYBE: UINT64_MAX, so that they stand last */
	uint64_t sequence;
	uint64_t invoked_ns;
	uint64_t returned_ns; /* HIST_MAYBE and HIST_END: HIST_NEVER */
	int64_t value;
	int64_t argument[2];
	uint32_t operation; /* HIST_END: HIST_NONE */
	uint32_t epoch;
	uint16_t reason;
	uint8_t opcode;
	uint8_t node;
	uint8_t role;
	bool repeat;
};

/* One version of one asset. */
struct hist_slot {
	uint64_t deadline_ns; /* who made it was sent at that time or before */
	int64_t value;
	int64_t low; /* what refused ADDs say of the value */
	int64_t high;
	uint32_t update; /* item, HIST_NONE: none known */
	uint32_t seen;	 /* item that told the value of a version without update */
	bool known;
};

/* Consecutive versions that nobody reported, up to one with a known value or a free end. */
struct hist_run {
	uint32_t first; /* version */
	uint32_t count;
	uint32_t ways; /* of a run of one: how many kinds of unknown operations fit */
	bool open;     /* nothing tells its last value */
};

/* A place in such a run, in the order in which places are filled. */
struct hist_place {
	uint32_t version;
	uint32_t kind; /* tried now */
	uint32_t item; /* chosen */
	int64_t value; /* after it */
	bool first;    /* of its run */
	bool open;     /* its run is */
};

/* Unknown operations with equal opcode and arguments: interchangeable but for when they were sent.
 */
struct hist_like {
	uint32_t begin;
	uint32_t end;
};

struct hist_state {
	uint64_t done; /* bit per item */
	uint64_t version;
	int64_t value;
	uint64_t generation; /* of the search that wrote it; others are empty */
};

struct hist_checker {
	struct hist_limits limits;
	uint32_t max_items;
	uint32_t items;
	struct hist_item *item;
	uint32_t *order; /* of items, by asset and place in it */
	struct hist_slot *slot;
	struct hist_run *run;
	struct hist_place *place;
	struct hist_like *like;
	uint32_t *maybe; /* items of one asset with unknown outcome, by likeness and time */
	bool *used;	 /* by item */
	uint64_t *scratch;
	struct hist_state *state;
	uint64_t state_mask;
	uint64_t generation;
};

/* Fills item and order; adds what is wrong in the answers themselves when `judge`. False: the
 * history does not fit. */
bool hist_items(
	struct hist_checker *checker,
	const struct hist_history *history,
	bool judge,
	struct hist_verdict *verdict
);
/* The end of the asset that starts at this place of `order`. */
uint32_t hist_asset_end(const struct hist_checker *checker, uint32_t first);
void hist_add(
	struct hist_verdict *verdict,
	enum hist_kind kind,
	uint64_t asset_id,
	uint64_t version,
	uint32_t first,
	uint32_t other
);
/* Finds makers for the versions 1 … last that have none; the asset has no violation so far. */
void hist_fill_gaps(
	struct hist_checker *checker,
	uint64_t asset_id,
	uint32_t last,
	uint32_t maybes,
	struct hist_verdict *verdict
);
