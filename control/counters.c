/* SPDX-License-Identifier: BSD-3-Clause
 *
 * `standfast counters`, and the part of them that status shows. The names are those of
 * dataplane/counters.h: every counter of every block is there by construction.
 */
#include "control/cli.h"

#include <inttypes.h>
#include <string.h>

struct row {
	const char *name;
	size_t offset; /* of the word in its block */
};

#define ROWS(table, list, type) static const struct row table[] = {list(ROW_OF_##type)};
#define ROW_OF_ingress(field) {#field, offsetof(struct dp_ingress_counters, field)},
#define ROW_OF_sequencer(field) {#field, offsetof(struct dp_sequencer_counters, field)},
#define ROW_OF_worker(field) {#field, offsetof(struct dp_worker_counters, field)},
#define ROW_OF_reply(field) {"replies_" #field, offsetof(struct dp_reply_counters, field)},
#define ROW_OF_lcore(field) {#field, offsetof(struct dp_lcore_counters, field)},
#define ROW_OF_log(field) {#field, offsetof(struct dp_shm_log, field)},
#define LOG_COUNTERS(X) \
	X(entries)      \
	X(groups) X(bytes) X(syncs) X(rotations) X(held_up) X(unprepared) X(longest_sync_ns)
ROWS(log_rows, LOG_COUNTERS, log)
ROWS(ingress_rows, DP_INGRESS_COUNTERS, ingress)
ROWS(sequencer_rows, DP_SEQUENCER_COUNTERS, sequencer)
ROWS(worker_rows, DP_WORKER_COUNTERS, worker)
ROWS(reply_rows, DP_REPLY_COUNTERS, reply)
ROWS(lcore_rows, DP_LCORE_COUNTERS, lcore)
#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

static void add_rows(json_t *block, const struct row *rows, size_t count, const void *counters)
{
	for (size_t i = 0; i < count; i++) {
		const uint8_t *word = (const uint8_t *)counters + rows[i].offset;
		cli_set(block, rows[i].name, dp_shm_load((const uint64_t *)word));
	}
}

static json_t *block_of(json_t *tree, const char *name, uint32_t index)
{
	char key[32];
	json_t *block = json_object();
	snprintf(key, sizeof(key), "%s.%u", name, index);
	json_object_set_new(tree, key, block);
	return block;
}

static void add_node(json_t *tree, const struct dp_shm *shm)
{
	json_t *node = json_object();
	uint64_t assets = 0;
	for (uint32_t i = 0; i < shm->workers; i++)
		assets += dp_shm_load(&dp_shm_worker(shm, i)->assets);
	cli_set(node, "assets", assets);
	cli_set(node, "mbufs_in_use", dp_shm_load(&shm->mbufs_in_use));
	cli_set(node, "mbufs_baseline", dp_shm_load(&shm->mbufs_baseline));
	cli_set(node, "client_port_missed", dp_shm_load(&shm->port_missed[0]));
	cli_set(node, "replication_port_missed", dp_shm_load(&shm->port_missed[1]));
	cli_set(node, "client_link_up", dp_shm_load(&shm->link_up[0]));
	cli_set(node, "replication_link_up", dp_shm_load(&shm->link_up[1]));
	json_object_set_new(tree, "node", node);
}

json_t *cli_counters_build(const struct dp_shm *shm)
{
	json_t *tree = json_object();
	add_node(tree, shm);
	for (uint32_t i = 0; i < shm->ingresses; i++) {
		const struct dp_shm_ingress *ingress = dp_shm_ingress(shm, i);
		json_t *block = block_of(tree, "ingress", i);
		add_rows(block, ingress_rows, COUNT(ingress_rows), &ingress->counters);
		add_rows(block, reply_rows, COUNT(reply_rows), &ingress->replies);
	}
	json_t *sequencer = json_object();
	add_rows(sequencer, sequencer_rows, COUNT(sequencer_rows), &shm->sequencer);
	add_rows(sequencer, reply_rows, COUNT(reply_rows), &shm->sequencer_replies);
	json_object_set_new(tree, "sequencer", sequencer);
	for (uint32_t i = 0; i < shm->workers; i++) {
		const struct dp_shm_worker *worker = dp_shm_worker(shm, i);
		json_t *block = block_of(tree, "worker", i);
		add_rows(block, worker_rows, COUNT(worker_rows), &worker->counters);
		add_rows(block, reply_rows, COUNT(reply_rows), &worker->replies);
	}
	json_t *log = json_object();
	add_rows(log, log_rows, COUNT(log_rows), &shm->log);
	json_object_set_new(tree, "log", log);
	for (uint32_t i = 0; i < shm->lcores; i++)
		add_rows(
			block_of(tree, "lcore", i),
			lcore_rows,
			COUNT(lcore_rows),
			dp_shm_lcore(shm, i)
		);
	return tree;
}

/* Names that begin so say why something was not served or not taken. */
static bool is_rejection(const char *name)
{
	static const char *const beginnings[] = {"drop_", "refused_", "core_dropped_", "bad_"};
	for (size_t i = 0; i < COUNT(beginnings); i++)
		if (strncmp(name, beginnings[i], strlen(beginnings[i])) == 0)
			return true;
	return false;
}

json_t *cli_rejected_build(const struct dp_shm *shm)
{
	json_t *all = cli_counters_build(shm), *rejected = json_object(), *block, *count;
	const char *block_name, *name;
	json_object_foreach(all, block_name, block) json_object_foreach(block, name, count)
	{
		char key[96];
		uint64_t value = (uint64_t)json_integer_value(count);
		if (value == 0 || !is_rejection(name))
			continue;
		/* "ingress.0" and "ingress.1" are one here. */
		snprintf(
			key, sizeof(key), "%.*s.%s", (int)strcspn(block_name, "."), block_name, name
		);
		cli_set(rejected, key, cli_get(rejected, key) + value);
	}
	json_decref(all);
	return rejected;
}

/* --- Verb --- */

static void draw(const json_t *tree, bool zeros, FILE *to)
{
	json_t *block, *count;
	const char *block_name, *name;
	json_object_foreach((json_t *)(uintptr_t)tree, block_name, block)
	{
		const char *title = block_name;
		json_object_foreach(block, name, count)
		{
			uint64_t value = (uint64_t)json_integer_value(count);
			if (value == 0 && !zeros)
				continue;
			fprintf(to, "%-12s %-32s %16" PRIu64 "\n", title, name, value);
			title = "";
		}
	}
}

static void draw_some(const json_t *tree, FILE *to)
{
	draw(tree, false, to);
}

static void draw_all(const json_t *tree, FILE *to)
{
	draw(tree, true, to);
}

int cli_counters(struct cli *cli)
{
	int result = cli_attach(cli);
	if (result == SF_EXIT_OK)
		cli_show(cli, cli_counters_build(cli->shm), cli->all ? draw_all : draw_some);
	return result;
}
