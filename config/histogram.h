/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Latency histograms with the bucket arithmetic of HdrHistogram (Gil Tene): lowest value 1 ns, a
 * fixed number of significant digits, counts in one flat array. Pure: recording needs no memory but
 * the counts, which the caller owns; one writer per histogram, readers may look at any time and see
 * a state that is at most one record old. The writer of .hgrm and .hlog files is
 * config/histogram_file.h.
 *
 * 2 digits up to 10 s (the data path): 28 KiB. 3 digits up to 1 h (the load generator): 264 KiB.
 */
#pragma once

#include "config/check.h"

#include <stdbool.h>
#include <stdint.h>

#define SF_HISTOGRAM_2D_HALF_MAG 7  /* sub-bucket count 256 */
#define SF_HISTOGRAM_3D_HALF_MAG 10 /* sub-bucket count 2048 */
#define SF_HISTOGRAM_2D_10S_COUNTS 3584u

/* The shape and the counts; values above highest are recorded as highest and counted in clipped. */
struct sf_histogram {
	uint64_t highest; /* ns */
	uint64_t max;	  /* exact largest value recorded */
	uint64_t min;	  /* exact smallest value recorded; UINT64_MAX when empty */
	uint64_t total;
	uint64_t clipped;
	uint32_t count_slots;
	uint16_t half_mag;
	uint16_t digits;
	uint64_t counts[]; /* count_slots of them */
};

/* Buckets (each doubles the range) and slots that a histogram of this many digits (2 or 3) needs to
 * track values up to highest (2 … 2^62 - 1). */
uint32_t sf_histogram_buckets(uint32_t digits, uint64_t highest);
uint32_t sf_histogram_slots(uint32_t digits, uint64_t highest);
/* Bytes for the struct with its counts. */
uint64_t sf_histogram_bytes(uint32_t digits, uint64_t highest);
void sf_histogram_init(struct sf_histogram *h, uint32_t digits, uint64_t highest);
void sf_histogram_reset(struct sf_histogram *h);
/* Adds all of from to into; the shapes must be equal (CHECKed). */
void sf_histogram_add(struct sf_histogram *into, const struct sf_histogram *from);

/* Slot of a value, and the largest value that shares the slot. */
static inline uint32_t sf_histogram_index(const struct sf_histogram *h, uint64_t value)
{
	uint32_t half = h->half_mag;
	uint64_t mask = (2ull << half) - 1;
	uint32_t bucket = 64 - (uint32_t)__builtin_clzll(value | mask) - (half + 1);
	uint32_t sub = (uint32_t)(value >> bucket);
	return ((bucket + 1) << half) + sub - (1u << half);
}
uint64_t sf_histogram_highest_equivalent(const struct sf_histogram *h, uint64_t value);
uint64_t sf_histogram_median_equivalent(const struct sf_histogram *h, uint64_t value);
/* Lowest value of a slot. */
uint64_t sf_histogram_value_at(const struct sf_histogram *h, uint32_t index);

/* Counts times values. Single writer; plain stores, so that a reader in another process may copy.
 */
static inline void sf_histogram_record(struct sf_histogram *h, uint64_t value, uint64_t times)
{
	if (__builtin_expect(value > h->highest, 0)) {
		h->clipped += times;
		value = h->highest;
	}
	if (value > h->max)
		h->max = value;
	if (value < h->min)
		h->min = value;
	h->total += times;
	h->counts[sf_histogram_index(h, value)] += times;
}

/* Values that come in runs of the same, recorded run by run: what one poll found has one time.
 * Begin with {0}; end the run before anybody is to see it. */
struct sf_histogram_run {
	uint64_t value;
	uint64_t times;
};
static inline void sf_histogram_run_end(struct sf_histogram_run *run, struct sf_histogram *h)
{
	if (run->times > 0)
		sf_histogram_record(h, run->value, run->times);
	run->times = 0;
}
static inline void sf_histogram_run_add(
	struct sf_histogram_run *run, struct sf_histogram *h, uint64_t value, uint64_t times
)
{
	if (value != run->value) {
		sf_histogram_run_end(run, h);
		run->value = value;
	}
	run->times += times;
}

/* Value at a percentile 0..100 (highest equivalent); 0 when empty. */
uint64_t sf_histogram_percentile(const struct sf_histogram *h, double percentile);
double sf_histogram_mean(const struct sf_histogram *h);
double sf_histogram_stddev(const struct sf_histogram *h);
