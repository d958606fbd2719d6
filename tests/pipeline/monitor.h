/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The judges of a run. They see effects (rows that stand, records handed over), never requests or
 * the insides of a machine, and know nothing of how the components work. Each has a set of places
 * that must have been reached, so nothing passes without having looked; each is judged while the
 * run goes on, again when nothing moves any more, and goes on looking after "done".
 *
 *   order        Total: at each stage the distinct records come in the source's order, over both
 *                regions; a member's rows too. Per region: the same in each region's own chain. In
 *                both, what a queue hands out and lets go of is its oldest (stream: its next), an
 *                immediate repeat is allowed at a component, and a record stays in one region.
 *   removal      a record is sent on when its row stands, and let go of (by the source, a queue, a
 *                stream) when the next one holds it.
 *   convergence  members of a database agree: a row stands once, with one value, at the end in all.
 *   destination  each record once, with its value, and nothing that the source does not know.
 *   complete     at the end each record has passed each transport of one region's chain and stands
 *                in each database, with its value, and no transport holds anything back.
 *   split        how many records each region got, in all or of each batch, where the scenario says
 *                so.
 *   answered     a database that answers OK holds the row (of three members two do), and what it
 *                answered is on the new side after a switch, or was told as left behind.
 *
 * Liveness (after the last recovery, done within a bound) is the explorer's to judge: monitors know
 * no steps and no time.
 *
 * Order of calls: the effects of a step are seen before any message of that step is delivered, in
 * the order in which the machine gave them; live, under one lock.
 *
 * Memory: one block without pointers, taken by the caller; the same monitors judge the explorer and
 * the live mode. One thread at a time.
 */
#pragma once

#include "tests/pipeline/topology.h"

#define PL_VERDICT_BYTES 240
#define PL_IDS_MAX 65536
#define PL_BATCHES_MAX 60

enum pl_monitor {
	PL_MONITOR_ORDER,
	PL_MONITOR_REMOVAL,
	PL_MONITOR_CONVERGENCE,
	PL_MONITOR_DESTINATION,
	PL_MONITOR_COMPLETE,
	PL_MONITOR_SPLIT,
	PL_MONITOR_ANSWERED,
	PL_MONITORS,
};

/* What a scenario promises; what it does not promise is not judged. */
struct pl_promise {
	uint32_t records;  /* 1 … records are published in the whole run */
	uint64_t monitors; /* bits of enum pl_monitor */
	uint32_t
		split[2]; /* records that each region's first transport or API accepts; 0, 0: any */
	uint32_t batch;	  /* records in each; 0: only the whole run's split is promised */
	uint32_t batch_split[PL_BATCHES_MAX][2]; /* the same of each batch; sums up to `split` */
	uint64_t defects; /* PL_DEFECT_MODELLED_MONITORS: judge as the models do */
	bool leftovers;	  /* a region was lost: records may stand in its transports at the end */
};

/* "order" … */
const char *pl_monitor_name(uint32_t monitor);

struct pl_monitors; /* of pl_monitors_bytes() bytes */

size_t pl_monitors_bytes(const struct pl_topology *topology, const struct pl_promise *promise);
void pl_monitors_begin(
	struct pl_monitors *monitors,
	const struct pl_topology *topology,
	const struct pl_promise *promise,
	const uint64_t *values /* of record 1 …; copied */
);
/* One effect. False: something is broken; the first verdict stands. Cheap: it is called for every
 * effect of every step. */
bool pl_monitors_see(struct pl_monitors *monitors, const struct pl_effect *effect);
/* Nothing moves any more, and no further step follows. A run in which there was nothing to see is
 * broken, and so is one that nobody was asked to judge. */
bool pl_monitors_end(struct pl_monitors *monitors);
/* NULL, or what is broken: "order: record 12 after 13 at preprocess-core-queue.1". */
const char *pl_monitors_verdict(const struct pl_monitors *monitors);
/* Which one; PL_MONITORS when nothing is broken. */
enum pl_monitor pl_monitors_broken(const struct pl_monitors *monitors);
/* For reports: records answered OK by a database and not on the other side when it was switched by
 * force; distinct records at the destination. */
uint32_t pl_monitors_left_behind(const struct pl_monitors *monitors);
uint32_t pl_monitors_arrived(const struct pl_monitors *monitors);
/* Judged as the models do: effects that came after the watch had ended; else 0. A verdict beside a
 * number here was given without having looked at the rest. */
uint64_t pl_monitors_overlooked(const struct pl_monitors *monitors);
