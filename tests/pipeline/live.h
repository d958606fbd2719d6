/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The live mode: the same machines on threads, with real DNS and real databases (live/). It makes
 * the Standfast pairs that the scenario's databases stand on, in network namespaces of its own,
 * runs the scenario on them as often as asked, judges each run by its effects and by what the nodes
 * hold, and takes everything down again.
 *
 * Needs root (namespaces), a checkout with its build (the nodes' programs), python3.
 */
#pragma once

#include "tests/pipeline/scenario.h"

#define PL_LIVE_SPEEDS_MAX 16

struct pl_live_options {
	uint64_t seed; /* of the first run; each run has the next one */
	uint64_t defects;
	bool json;
	bool thread_each;   /* a thread for each machine; else one for each stage of a region */
	const char *trace;  /* file, or NULL: all effects of the last run */
	const char *folder; /* for series.csv, steps.csv and the picture; NULL: none */
	const char *ack;    /* of the pairs: none, received, durable; NULL: as the databases are */
	uint32_t batch;	    /* records; 0: as the scenario says */
	uint32_t runs;	    /* 0: one */
	uint32_t link_delay_us; /* between the regions, each way */
	uint64_t patience_ns;	/* for a run; 0: by its records */
	uint32_t speed_count;	/* "NAME=MICROSECONDS" for each message */
	const char *speeds[PL_LIVE_SPEEDS_MAX];
};

/* Runs it and prints what happened. Returns an exit code of config/exit_codes.h; SKIPPED where this
 * machine cannot, or where the scenario has no meaning in live mode. */
int pl_live_run(
	const struct pl_topology *topology,
	const struct pl_scenario *scenario,
	const struct pl_live_options *options
);
