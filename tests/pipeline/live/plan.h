/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What a scenario becomes in live mode: real times instead of virtual ones, batches of another
 * size, and which Standfast pairs its databases stand on.
 *
 *   async-pair        all in one pair, ack = none, node a in region 1, node b in region 2
 *   global-table      two pairs, ack = none, one at home in each region; a region writes to its own
 *   majority-triple   one pair, ack = received: two nodes must hold a row. The third member exists
 * in the explorer only
 *
 * A pair fails as a whole, so databases that the scenario fails stand on pairs of their own, apart
 * from the others; with ack = durable, because only the disk keeps what was answered when both
 * nodes are killed at once.
 *
 * A scenario that loses a region (it switches databases by force) loses its nodes too, just before
 * its services, and its lines just before its nodes. Replicators are not stopped by hand there:
 * what they had not carried is what is to be measured. Pure.
 */
#pragma once

#include "tests/pipeline/live.h"
#include "tests/pipeline/live/databases.h"

#define PL_LIVE_TIMES 20 /* a virtual time of the explorer is so many times as long here */

struct pl_live_plan {
	struct pl_topology topology;
	struct pl_scenario scenario;
	uint32_t pair_count;
	uint8_t homes[PL_PAIRS_MAX];
	const char *acks[PL_PAIRS_MAX];
	uint8_t groups[2][2]; /* pairs of databases that stand, and that fail; by region */
	bool loses_a_region;
	char left_out[200]; /* steps without a meaning here, and why; "" for none */
	uint64_t failing;   /* fronts that any run may fail */
};

/* False, and why it is to be skipped. */
bool pl_live_plan(
	struct pl_live_plan *plan,
	const struct pl_topology *topology,
	const struct pl_scenario *scenario,
	const struct pl_live_options *options,
	char *why,
	size_t bytes
);
/* The pairs of each database, by the caller's region, in the run with this seed. */
void pl_live_plan_tables(
	const struct pl_live_plan *plan, uint64_t seed, uint8_t pairs[PL_STAGES_MAX][2]
);
