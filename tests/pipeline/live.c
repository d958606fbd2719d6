/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/pipeline/live.h"

#include "config/exit_codes.h"

#include <stdio.h>

int pl_live_run(
	const struct pl_topology *topology,
	const struct pl_scenario *scenario,
	const struct pl_live_options *options
)
{
	fprintf(stderr, "%s: this build has no live mode\n", scenario->name);
	return SF_EXIT_SKIPPED;
}
