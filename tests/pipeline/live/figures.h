/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What is printed of live runs: each as text or as one JSON object in a line, and of several their
 * distribution. RPO: rows that a database had answered and that were not on the new side after a
 * forced switch, and the time from the answer of the oldest of them to the fault, or to the
 * youngest when the region went on answering after it. RTO: from the fault, or the begin of the
 * switch, to the first record that arrives after it.
 */
#pragma once

#include "tests/pipeline/live/run.h"

#include <stdio.h>

struct pl_live_figures {
	uint32_t count, good, room;
	double *rto_ms, *rpo_rows, *rpo_ms, *rate;
	uint64_t records, rewritten, repeats;
};

void pl_live_print(
	const struct pl_live_stage *stage,
	const struct pl_live_options *options,
	uint64_t seed,
	uint32_t run,
	const struct pl_live_judgement *judgement,
	FILE *to
);
void pl_live_figures_add(
	struct pl_live_figures *figures,
	const struct pl_live_stage *stage,
	const struct pl_live_judgement *judgement
);
void pl_live_print_figures(
	const struct pl_live_stage *stage,
	const struct pl_live_options *options,
	struct pl_live_figures *figures,
	FILE *to
);
void pl_live_figures_free(struct pl_live_figures *figures);
/* All effects of the run in their order, a line each. */
void pl_live_write_effects(
	struct pl_runtime *runtime, const struct pl_topology *topology, FILE *to
);
