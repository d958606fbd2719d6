/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What a live run was worth: the monitors see all its effects in their order, and the figures and
 * the series of the picture are counted from the same effects. Called when the threads have ended.
 */
#pragma once

#include "tests/pipeline/live/databases.h"
#include "tests/pipeline/scenario.h"

#define PL_VERDICT_MOST 400
#define PL_SERIES_NS 20000000ull /* one row of the series */

/* When the driver came to a step, and when it came to its end. */
struct pl_step_times {
	uint32_t count;
	uint64_t at_ns[PL_STEPS_MAX + 1];
};

struct pl_live_judgement {
	bool good;
	uint32_t broken; /* enum pl_monitor or pl_broken */
	char verdict[PL_VERDICT_MOST];
	uint32_t arrived, left_behind;
	uint64_t effects, repeats, rewritten;
	uint64_t first_ns, last_arrival_ns;
	uint64_t fault_ns, switched_ns, back_ns; /* 0: there was none */
};

/* What broke first stays; call it before the monitors for what they can not know. */
void pl_live_break(struct pl_live_judgement *judgement, uint32_t broken, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/* 0 or -ENOMEM. */
int pl_live_judge(
	struct pl_runtime *runtime,
	const struct pl_topology *topology,
	const struct pl_scenario *scenario,
	const struct pl_step_times *times,
	uint64_t seed,
	struct pl_live_judgement *judgement
);
/* FOLDER/series.csv: records at each stage and region in each 20 ms; FOLDER/steps.csv. */
int pl_live_write_series(
	struct pl_runtime *runtime,
	const struct pl_topology *topology,
	const struct pl_scenario *scenario,
	const struct pl_step_times *times,
	const char *folder
);
