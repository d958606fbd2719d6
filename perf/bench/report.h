/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What a run says at its end: a summary for people, the same as JSON, and the files of --out. */
#pragma once

#include "perf/bench/engine.h"

#include <stdio.h>

struct bench_result {
	const struct bench_options *options;
	const struct bench_engine *engine;
	const struct bench_transport *transport;
	struct bench_verdict verdict; /* all 0 without a ledger */
	double seconds;		      /* from the first due request to the last answer */
	double rate;		      /* answered requests a second */
	bool answered_all;	      /* every request has its answer */
	bool in_time;		      /* open loop: at least 99 % of the rate asked for */
	bool kept;		      /* no promise was broken */
};

/* Judges a finished run. */
void bench_result_of(
	struct bench_result *r,
	const struct bench_options *options,
	const struct bench_engine *engine,
	const struct bench_transport *transport,
	const struct bench_verdict *verdict
);

void bench_print_text(const struct bench_result *r, FILE *out);
void bench_print_json(const struct bench_result *r, FILE *out);

/* Writes the files; 0, or a negative errno with the file's name in error. */
int bench_save(const struct bench_result *r, char *error, size_t error_bytes);
