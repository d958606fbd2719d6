/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The judges of a run. They see effects (rows that stand, records handed over), never requests or
 * the insides of a machine, and know nothing of how the components work. Each has a set of places
 * that must have been reached, so nothing passes without having looked; each is judged while the
 * run goes on, again when nothing moves any more, and goes on looking after "done".
 *
 *   order        active-passive: at each queue and database the distinct records come in the
 * source's order, over both regions; an immediate repeat is allowed, but never at the destination.
 *                Others: each region's queues have an order of their own, and each record passes
 * one region's chain removal      nothing is removed from a queue or stream before it is in the
 * database and sent on convergence  at the end all members of a database hold the same rows
 *   destination  each record once, with its value
 *   complete     at the end each record has been at each transport and database of its chain
 *   liveness     after the last recovery, done within a bound (of steps: the explorer's; of
 * seconds) split        how many records each region got, where the scenario says so
 *
 * Memory: one block without pointers, taken by the caller; the same monitors judge the explorer and
 * the live mode. One thread at a time.
 */
#pragma once

#include "tests/pipeline/topology.h"

#define PL_VERDICT_BYTES 240
#define PL_IDS_MAX 65536

enum pl_monitor {
	PL_MONITOR_ORDER,
	PL_MONITOR_REMOVAL,
	PL_MONITOR_CONVERGENCE,
	PL_MONITOR_DESTINATION,
	PL_MONITOR_COMPLETE,
	PL_MONITOR_SPLIT,
	PL_MONITORS,
};

/* What a scenario promises; what it does not promise is not judged. */
struct pl_promise {
	uint32_t records;  /* 1 … records are published in the whole run */
	uint64_t monitors; /* bits of enum pl_monitor */
	uint32_t
		split[2]; /* records that each region's first transport or API accepts; 0, 0: any */
	uint64_t defects; /* PL_DEFECT_MODELLED_MONITORS: judge as the models do */
};

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
/* Nothing moves any more, and no further step follows. */
bool pl_monitors_end(struct pl_monitors *monitors);
/* NULL, or what is broken: "order: record 12 after 13 at preprocess-core-queue.1". */
const char *pl_monitors_verdict(const struct pl_monitors *monitors);
/* Which one; PL_MONITORS when nothing is broken. */
enum pl_monitor pl_monitors_broken(const struct pl_monitors *monitors);
/* For reports: records answered OK by a database and not on the other side when it was switched by
 * force; distinct records at the destination. */
uint32_t pl_monitors_left_behind(const struct pl_monitors *monitors);
uint32_t pl_monitors_arrived(const struct pl_monitors *monitors);
