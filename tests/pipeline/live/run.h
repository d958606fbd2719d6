/* SPDX-License-Identifier: BSD-3-Clause
 *
 * One run of a planned scenario on pairs that are up: machines on threads, from the first step to
 * quiet, then the judgement.
 */
#pragma once

#include "tests/pipeline/live/judge.h"
#include "tests/pipeline/live/names.h"
#include "tests/pipeline/live/plan.h"

/* What stays from run to run. */
struct pl_live_stage {
	struct pl_live_plan plan;
	struct pl_pairs helper;
	struct pl_live_names names;
	struct pl_databases databases;
	struct pl_runtime runtime;
	struct pl_step_times times;
	uint64_t asked_in_all; /* DNS queries */
};

/* The run with this seed. False: it could not be made at all, and why is in the judgement. */
bool pl_live_one(
	struct pl_live_stage *stage,
	const struct pl_live_options *options,
	uint64_t seed,
	struct pl_live_judgement *judgement
);

/* Ctrl-C and SIGTERM: the run ends, and everything is taken down. */
extern volatile int pl_live_interrupted;
