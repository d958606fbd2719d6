/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What standfast-pipeline prints: of each exploration, as text or as one JSON object in a line, and
 * of all together what no scenario reached.
 */
#pragma once

#include "tests/pipeline/explore.h"

struct pl_report {
	const struct pl_scenario *scenario;
	const struct pl_topology *topology;
	const struct pl_explore_options *options;
	const struct pl_found *found;
	const char *again;    /* options that it takes to see the same again: " --defect …" */
	uint32_t trace_lines; /* of the shortened schedule */
};

/* What it should have found, was it? */
bool pl_as_expected(const struct pl_scenario *scenario, const struct pl_found *found);
void pl_report_text(const struct pl_report *report, FILE *to);
void pl_report_json(const struct pl_report *report, FILE *to);
void pl_json_text(const char *text, FILE *to);

/* Coverage, by kind of machine, over many scenarios. */
#define PL_COVERED_KINDS 32
struct pl_covered {
	uint32_t count;
	const struct pl_kind *kinds[PL_COVERED_KINDS];
	uint64_t pairs[PL_COVERED_KINDS][32]; /* [kind][state]: bits by message */
};

void pl_covered_add(struct pl_covered *covered, const struct pl_system *system);
/* Prints how much of it was reached, and, when asked, what was not. Returns per mille of the pairs
 * (state, message) that can be. */
uint32_t pl_covered_print(const struct pl_covered *covered, bool list, FILE *to);
