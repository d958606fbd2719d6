/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Writes the histograms that the oracles read back (histogram_oracle.py), into the folder given:
 * NAME.hgrm and NAME.counts (lowest value of each slot, its count) for each, and all of them as
 * tagged lines, the first one also untagged, of all.hlog.
 */
#include "config/exit_codes.h"
#include "config/histogram_file.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define HOUR_NS 3600000000000ull
#define BASE_UNIX_NS 1700000000000000000ull
#define INTERVAL_NS 1000000000ull

static uint64_t random_state;

static uint64_t next_random(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state;
}

static void fill_empty(struct sf_histogram *h)
{
}

static void fill_zero(struct sf_histogram *h)
{
	sf_histogram_record(h, 0, 3);
}

static void fill_highest(struct sf_histogram *h)
{
	sf_histogram_record(h, h->highest, 1);
	sf_histogram_record(h, h->highest + 1000, 1);
	sf_histogram_record(h, 1, 1);
}

static void fill_huge(struct sf_histogram *h)
{
	sf_histogram_record(h, 12345, 1ull << 40);
	sf_histogram_record(h, 12347, 1);
	sf_histogram_record(h, 99999999, 63);
	sf_histogram_record(h, 100999999, 64);
}

static void fill_neighbours(struct sf_histogram *h)
{
	/* Runs of no, one and two empty slots, and the last linear and first doubled slot. */
	static const uint64_t values[] = {0, 1, 2, 4, 7, 2046, 2047, 2048, 2049, 2052, 4095, 4096};
	for (unsigned i = 0; i < sizeof(values) / sizeof(values[0]); i++)
		sf_histogram_record(h, values[i], i + 1);
}

static void fill_latencies(struct sf_histogram *h)
{
	for (unsigned i = 0; i < 100000; i++) {
		uint64_t value = 8000 + next_random() % 800;
		if (next_random() % 100 == 0)
			value += next_random() % 20000;
		if (next_random() % 10000 == 0)
			value += next_random() % 50000000;
		sf_histogram_record(h, value, 1);
	}
}

static void fill_everywhere(struct sf_histogram *h)
{
	for (unsigned i = 0; i < 20000; i++) {
		uint64_t value = next_random() >> 22 >> next_random() % 42;
		sf_histogram_record(h, value, 1 + next_random() % 3);
	}
}

static const struct {
	const char *name;
	uint32_t digits;
	uint64_t highest;
	void (*fill)(struct sf_histogram *h);
} cases[] = {
	{"latencies", 3, HOUR_NS, fill_latencies},
	{"empty", 3, HOUR_NS, fill_empty},
	{"zero", 3, HOUR_NS, fill_zero},
	{"highest", 3, HOUR_NS, fill_highest},
	{"huge", 3, HOUR_NS, fill_huge},
	{"neighbours", 3, HOUR_NS, fill_neighbours},
	{"everywhere", 3, HOUR_NS, fill_everywhere},
	{"two-digits", 2, 10000000000ull, fill_latencies},
	{"two-digits-highest", 2, 10000000000ull, fill_highest},
};

static int save_counts(const struct sf_histogram *h, const char *path)
{
	FILE *file = fopen(path, "we");
	if (file == NULL)
		return -1;
	for (uint32_t i = 0; i < h->count_slots; i++)
		if (h->counts[i] != 0)
			fprintf(file,
				"%" PRIu64 " %" PRIu64 "\n",
				sf_histogram_value_at(h, i),
				h->counts[i]);
	return fclose(file);
}

static int save_case(const char *folder, unsigned i, struct sf_histogram_log *log)
{
	char path[512];
	int failed = 0;
	struct sf_histogram *h = malloc(sf_histogram_bytes(cases[i].digits, cases[i].highest));
	if (h == NULL)
		return 1;
	sf_histogram_init(h, cases[i].digits, cases[i].highest);
	cases[i].fill(h);

	snprintf(path, sizeof(path), "%s/%s.hgrm", folder, cases[i].name);
	failed |= sf_histogram_save_hgrm(h, path) != 0;
	snprintf(path, sizeof(path), "%s/%s.counts", folder, cases[i].name);
	failed |= save_counts(h, path) != 0;
	uint64_t start = BASE_UNIX_NS + i * INTERVAL_NS;
	if (i == 0)
		failed |= sf_histogram_log_write(log, NULL, start, INTERVAL_NS, h) != 0;
	failed |= sf_histogram_log_write(log, cases[i].name, start, INTERVAL_NS, h) != 0;
	/* Names that would break the line are refused, not written. */
	failed |= sf_histogram_log_write(log, "a,b", start, INTERVAL_NS, h) == 0;
	failed |= sf_histogram_log_write(log, "a b", start, INTERVAL_NS, h) == 0;
	free(h);
	return failed;
}

int main(int argc, char **argv)
{
	struct sf_histogram_log log;
	char path[512];
	int failed = 0;

	if (argc != 3) {
		fprintf(stderr, "usage: histogram_files FOLDER SEED\n");
		return SF_EXIT_USAGE;
	}
	random_state = strtoull(argv[2], NULL, 0) | 1;
	snprintf(path, sizeof(path), "%s/all.hlog", argv[1]);
	if (sf_histogram_log_open(&log, path, BASE_UNIX_NS) != 0)
		return SF_EXIT_FAILED;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		failed |= save_case(argv[1], i, &log);
	failed |= sf_histogram_log_close(&log) != 0;
	/* The number of hlog lines that the oracles must find. */
	printf("%zu\n", sizeof(cases) / sizeof(cases[0]) + 1);
	return failed ? SF_EXIT_FAILED : SF_EXIT_OK;
}
