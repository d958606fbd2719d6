/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The live mode: the same machines on threads, with real DNS and real databases.
 */
#pragma once

#include "tests/pipeline/scenario.h"

struct pl_live_options {
	uint64_t seed;
	bool json;
	const char *trace; /* file, or NULL */
};

/* Runs it once and prints what happened. Returns an exit code of config/exit_codes.h; SKIPPED where
 * this machine, or this build, cannot. */
int pl_live_run(
	const struct pl_topology *topology,
	const struct pl_scenario *scenario,
	const struct pl_live_options *options
);
