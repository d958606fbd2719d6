/* SPDX-License-Identifier: BSD-3-Clause */
#include "perf/bench/latency.h"

#include "config/histogram_file.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define DIGITS 3
#define HIGHEST_NS 3600000000000ull

/* The used slots of both histograms over one interval. */
struct bench_interval {
	struct bench_interval *older;
	uint64_t start_unix_ns, length_ns;
	struct sf_histogram heads[2]; /* without counts; count_slots says how many are kept */
	uint64_t counts[];
};

static struct sf_histogram *new_histogram(void)
{
	struct sf_histogram *h = malloc(sf_histogram_bytes(DIGITS, HIGHEST_NS));
	if (h != NULL)
		sf_histogram_init(h, DIGITS, HIGHEST_NS);
	return h;
}

int bench_latency_open(struct bench_latency *l, bool keep_intervals, bool closed_loop)
{
	memset(l, 0, sizeof(*l));
	l->keeps_intervals = keep_intervals;
	l->closed_loop = closed_loop;
	l->all_intended = new_histogram();
	l->all_actual = new_histogram();
	l->intended = keep_intervals ? new_histogram() : l->all_intended;
	l->actual = keep_intervals ? new_histogram() : l->all_actual;
	if (l->all_intended && l->all_actual && l->intended && l->actual)
		return 0;
	bench_latency_close(l);
	return -ENOMEM;
}

void bench_latency_close(struct bench_latency *l)
{
	if (l->keeps_intervals) {
		free(l->intended);
		free(l->actual);
	}
	free(l->all_intended);
	free(l->all_actual);
	while (l->intervals != NULL) {
		struct bench_interval *older = l->intervals->older;
		free(l->intervals);
		l->intervals = older;
	}
	memset(l, 0, sizeof(*l));
}

void bench_latency_start(struct bench_latency *l, uint64_t now_unix_ns)
{
	l->interval_start_unix_ns = now_unix_ns;
}

static uint32_t used_slots(const struct sf_histogram *h)
{
	return sf_histogram_index(h, h->max) + 1;
}

void bench_latency_turn(struct bench_latency *l, uint64_t now_unix_ns)
{
	if (l->closed_loop) {
		sf_histogram_reset(l->actual);
		sf_histogram_add(l->actual, l->intended);
	}
	if (!l->keeps_intervals)
		return;
	struct sf_histogram *both[2] = {l->intended, l->actual};
	uint64_t slots = (uint64_t)used_slots(both[0]) + used_slots(both[1]);
	struct bench_interval *kept = malloc(sizeof(*kept) + slots * sizeof(kept->counts[0]));
	/* Without memory the interval is missing in the log; the sums stay right. */
	if (kept != NULL) {
		uint64_t *at = kept->counts;
		for (unsigned i = 0; i < 2; i++) {
			kept->heads[i] = *both[i];
			kept->heads[i].count_slots = used_slots(both[i]);
			memcpy(at, both[i]->counts, kept->heads[i].count_slots * sizeof(*at));
			at += kept->heads[i].count_slots;
		}
		kept->start_unix_ns = l->interval_start_unix_ns;
		kept->length_ns = now_unix_ns - l->interval_start_unix_ns;
		kept->older = l->intervals;
		l->intervals = kept;
	}
	sf_histogram_add(l->all_intended, l->intended);
	sf_histogram_add(l->all_actual, l->actual);
	sf_histogram_reset(l->intended);
	sf_histogram_reset(l->actual);
	l->interval_start_unix_ns = now_unix_ns;
}

/* Turns the list round, oldest first. */
static struct bench_interval *reversed(struct bench_interval *list)
{
	struct bench_interval *done = NULL;
	while (list != NULL) {
		struct bench_interval *next = list->older;
		list->older = done;
		done = list;
		list = next;
	}
	return done;
}

static int save_interval(struct sf_histogram_log *log, const struct bench_interval *kept)
{
	static const char *const tags[2] = {"intended", "actual"};
	const uint64_t *at = kept->counts;
	struct sf_histogram *h = new_histogram();
	int result = h != NULL ? 0 : -ENOMEM;

	for (unsigned i = 0; i < 2 && result == 0; i++) {
		sf_histogram_reset(h);
		h->max = kept->heads[i].max;
		h->min = kept->heads[i].min;
		h->total = kept->heads[i].total;
		memcpy(h->counts, at, kept->heads[i].count_slots * sizeof(*at));
		at += kept->heads[i].count_slots;
		result = sf_histogram_log_write(
			log, tags[i], kept->start_unix_ns, kept->length_ns, h
		);
	}
	free(h);
	return result;
}

int bench_latency_save_log(const struct bench_latency *l, const char *path)
{
	struct sf_histogram_log log;
	struct bench_interval *oldest = reversed(l->intervals);
	uint64_t base = oldest != NULL ? oldest->start_unix_ns : 0;

	int result = sf_histogram_log_open(&log, path, base);
	for (const struct bench_interval *i = oldest; i != NULL && result == 0; i = i->older)
		result = save_interval(&log, i);
	reversed(oldest); /* the list is as before: its newest one is l->intervals again */
	if (log.file != NULL) {
		int closed = sf_histogram_log_close(&log);
		result = result != 0 ? result : closed;
	}
	return result;
}
