/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Writes histograms (config/histogram.h, values in ns) in the two text formats of the HdrHistogram
 * family, so that its own tools read and plot them: ".hgrm", a percentile distribution of one
 * histogram, and ".hlog", an interval log (format 1.3) with one compressed histogram per line.
 * Values in both files are microseconds with three decimals, so a nanosecond value is exact.
 *
 * Never called on a data core: this allocates, compresses and writes. The caller passes a copy, or
 * a histogram whose writer has stopped.
 *
 * Errors: 0 or a negative errno.
 */
#pragma once

#include "config/histogram.h"

#include <stdint.h>
#include <stdio.h>

int sf_histogram_write_hgrm(const struct sf_histogram *h, FILE *out);
/* The same into a new file. */
int sf_histogram_save_hgrm(const struct sf_histogram *h, const char *path);

/* The compressed V2 encoding in base64, zero-terminated; the caller frees it. NULL: no memory. */
char *sf_histogram_encode(const struct sf_histogram *h);

/* An interval log being written. Timestamps in the file are relative to base_unix_ns. */
struct sf_histogram_log {
	FILE *file;
	uint64_t base_unix_ns;
};

/* Creates the file (an old one of that name is replaced) and writes the head. */
int sf_histogram_log_open(struct sf_histogram_log *log, const char *path, uint64_t base_unix_ns);

/* Adds one line for the interval [start, start + length). The tag may be NULL; one that holds a
 * comma, blank or control character is -EINVAL. */
int sf_histogram_log_write(
	struct sf_histogram_log *log,
	const char *tag,
	uint64_t start_unix_ns,
	uint64_t length_ns,
	const struct sf_histogram *h
);

/* Flushes and closes; reports a write that failed earlier. Closing twice is harmless. */
int sf_histogram_log_close(struct sf_histogram_log *log);
