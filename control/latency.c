/* SPDX-License-Identifier: BSD-3-Clause
 *
 * `standfast latency`: what a node's latency is made of, per stage, since its start or, with
 * --watch, in the last second; and as .hgrm files.
 */
#include "config/histogram_file.h"
#include "control/cli.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* The histograms of a node at one moment: copies, one per stage. */
struct picture {
	struct sf_histogram *stages[DP_STAGES];
};

static void picture_free(struct picture *picture)
{
	for (int i = 0; i < DP_STAGES; i++)
		free(picture->stages[i]);
	memset(picture, 0, sizeof(*picture));
}

static bool picture_make(struct picture *picture)
{
	uint64_t bytes = sf_histogram_bytes(DP_SHM_HISTOGRAM_DIGITS, DP_SHM_HISTOGRAM_HIGHEST_NS);
	memset(picture, 0, sizeof(*picture));
	for (int i = 0; i < DP_STAGES; i++) {
		picture->stages[i] = malloc(bytes);
		if (!picture->stages[i]) {
			picture_free(picture);
			return false;
		}
		sf_histogram_init(
			picture->stages[i], DP_SHM_HISTOGRAM_DIGITS, DP_SHM_HISTOGRAM_HIGHEST_NS
		);
	}
	return true;
}

/* Adds a histogram that another process writes meanwhile. Its shape is ours (the file was checked),
 * and the total is the sum of the counts as read, so that the percentiles are those of the copy. */
static void add_live(struct sf_histogram *into, const struct sf_histogram *live)
{
	for (uint32_t i = 0; i < into->count_slots; i++) {
		uint64_t count = dp_shm_load(&live->counts[i]);
		into->counts[i] += count;
		into->total += count;
	}
	uint64_t max = dp_shm_load(&live->max), min = dp_shm_load(&live->min);
	into->max = max > into->max && max <= into->highest ? max : into->max;
	into->min = min < into->min ? min : into->min;
	into->clipped += dp_shm_load(&live->clipped);
}

static void picture_take(struct picture *picture, const struct dp_shm *shm)
{
	for (int i = 0; i < DP_STAGES; i++) {
		sf_histogram_reset(picture->stages[i]);
		add_live(picture->stages[i], dp_shm_histogram(shm, (uint32_t)i));
	}
	for (uint32_t i = 0; i < shm->workers; i++)
		add_live(picture->stages[DP_STAGE_ANSWERED], dp_shm_histogram(shm, DP_STAGES + i));
}

/* What was recorded between two pictures. The largest and smallest value are known to the slot. */
static void difference(
	struct sf_histogram *into, const struct sf_histogram *now, const struct sf_histogram *then
)
{
	sf_histogram_reset(into);
	for (uint32_t i = 0; i < into->count_slots; i++) {
		uint64_t count = now->counts[i] - then->counts[i];
		if (count == 0)
			continue;
		uint64_t lowest = sf_histogram_value_at(into, i);
		into->counts[i] = count;
		into->total += count;
		into->min = into->total == count ? lowest : into->min;
		into->max = sf_histogram_highest_equivalent(into, lowest);
	}
	if (into->max > now->max)
		into->max = now->max;
}

static const struct {
	const char *key, *title;
	double percentile;
} columns[] = {
	{"p50_ns", "p50", 50},
	{"p90_ns", "p90", 90},
	{"p99_ns", "p99", 99},
	{"p999_ns", "p99.9", 99.9},
	{"max_ns", "max", 100},
};
#define COLUMNS (sizeof(columns) / sizeof(columns[0]))

static json_t *picture_build(const struct picture *picture, const struct dp_shm *shm)
{
	json_t *tree = json_object(), *stages = json_object();
	cli_set_text(tree, "node", shm->node);
	for (int i = 0; i < DP_STAGES; i++) {
		const struct sf_histogram *h = picture->stages[i];
		json_t *stage = json_object();
		cli_set(stage, "count", h->total);
		for (uint32_t j = 0; j < COLUMNS; j++)
			cli_set(stage,
				columns[j].key,
				h->total == 0 ? 0
				: columns[j].percentile >= 100.0
					? h->max
					: sf_histogram_percentile(h, columns[j].percentile));
		json_object_set_new(stages, dp_stage_name((enum dp_stage)i), stage);
	}
	json_object_set_new(tree, "stages", stages);
	return tree;
}

static void picture_draw(const json_t *tree, FILE *to)
{
	const char *name;
	json_t *stage;
	fprintf(to, "%-14s %12s", "us", "count");
	for (uint32_t j = 0; j < COLUMNS; j++)
		fprintf(to, " %10s", columns[j].title);
	fprintf(to, "\n");
	json_object_foreach(json_object_get(tree, "stages"), name, stage)
	{
		uint64_t count = cli_get(stage, "count");
		fprintf(to, "%-14s %12" PRIu64, name, count);
		for (uint32_t j = 0; j < COLUMNS; j++) {
			if (count == 0)
				fprintf(to, " %10s", "-");
			else
				fprintf(to, " %10.1f", (double)cli_get(stage, columns[j].key) / 1000
				);
		}
		fprintf(to, "\n");
	}
}

static int save(const struct cli *cli, const struct picture *picture)
{
	char path[4096];
	if (mkdir(cli->hgrm, 0777) < 0 && errno != EEXIST)
		return cli_fail(
			cli, SF_EXIT_FAILED, "cannot create %s: %s", cli->hgrm, strerror(errno)
		);
	for (int i = 0; i < DP_STAGES; i++) {
		snprintf(
			path,
			sizeof(path),
			"%s/%s-%s.hgrm",
			cli->hgrm,
			cli->settings.node.name,
			dp_stage_name((enum dp_stage)i)
		);
		int result = sf_histogram_save_hgrm(picture->stages[i], path);
		if (result < 0)
			return cli_fail(
				cli, SF_EXIT_FAILED, "cannot write %s: %s", path, strerror(-result)
			);
	}
	return SF_EXIT_OK;
}

/* One table a second of what that second brought, until the node ends. */
static int watch(struct cli *cli, struct picture *last)
{
	struct picture now, between;
	int result = SF_EXIT_FAILED;
	bool made = picture_make(&now);
	if (!made || !picture_make(&between)) {
		if (made)
			picture_free(&now);
		return cli_fail(cli, SF_EXIT_FAILED, "no memory");
	}
	while (cli_wait_a_second()) {
		if (!dp_shm_alive(&cli->settings) || dp_shm_replaced(&cli->settings, cli->shm)) {
			result = cli_fail(cli, SF_EXIT_NOT_RUNNING, "the node has ended");
			break;
		}
		picture_take(&now, cli->shm);
		for (int i = 0; i < DP_STAGES; i++)
			difference(between.stages[i], now.stages[i], last->stages[i]);
		cli_show(cli, picture_build(&between, cli->shm), picture_draw);
		struct picture swap = *last;
		*last = now;
		now = swap;
	}
	picture_free(&now);
	picture_free(&between);
	return result;
}

int cli_latency(struct cli *cli)
{
	struct picture picture;
	int result = cli_attach(cli);
	if (result != SF_EXIT_OK)
		return result;
	if (!picture_make(&picture))
		return cli_fail(cli, SF_EXIT_FAILED, "no memory");
	picture_take(&picture, cli->shm);
	if (cli->hgrm)
		result = save(cli, &picture);
	if (result == SF_EXIT_OK)
		cli_show(cli, picture_build(&picture, cli->shm), picture_draw);
	if (result == SF_EXIT_OK && cli->watch)
		result = watch(cli, &picture);
	picture_free(&picture);
	return result;
}
