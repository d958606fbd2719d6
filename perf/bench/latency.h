/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The two latency histograms of a run (3 digits, up to an hour): "intended", from the time at which
 * the plan wanted the request sent, which is the headline because a stall cannot hide in it
 * (coordinated omission: Gil Tene; wrk2); and "actual", from the first real send. When intervals
 * are kept, each second's counts are stored compactly and written as an interval log at the end, so
 * that nothing is compressed or written while the load runs.
 */
#pragma once

#include "config/histogram.h"

#include <stdbool.h>
#include <stdint.h>

#define BENCH_INTERVAL_NS 1000000000ull

struct bench_interval;

struct bench_latency {
	struct sf_histogram *intended, *actual; /* being recorded: of the interval, or of all */
	struct sf_histogram *all_intended, *all_actual;
	struct bench_interval *intervals; /* newest first */
	uint64_t interval_start_unix_ns;
	bool keeps_intervals;
	bool closed_loop; /* both are the same by definition: only intended is recorded */
};

int bench_latency_open(struct bench_latency *l, bool keep_intervals, bool closed_loop);
void bench_latency_close(struct bench_latency *l);

static inline void
bench_latency_record(struct bench_latency *l, uint64_t intended_ns, uint64_t actual_ns)
{
	sf_histogram_record(l->intended, intended_ns, 1);
	if (!l->closed_loop)
		sf_histogram_record(l->actual, actual_ns, 1);
}

/* Begins the first interval. */
void bench_latency_start(struct bench_latency *l, uint64_t now_unix_ns);
/* Ends an interval and begins the next one; also needed once at the end, before reading all_…. */
void bench_latency_turn(struct bench_latency *l, uint64_t now_unix_ns);
/* Writes all intervals with the tags "intended" and "actual"; 0 or a negative errno. */
int bench_latency_save_log(const struct bench_latency *l, const char *path);
