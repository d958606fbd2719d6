/* SPDX-License-Identifier: BSD-3-Clause
 *
 * `standfast role`: a look at a node's role record, also while no node runs. Nothing is written.
 */
#include "config/bytes.h"
#include "control/cli.h"
#include "control/log_store.h"
#include "control/text.h"
#include "recovery/record_store.h"

#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

static const struct {
	const char *name, *words;
} modes[REP_RECORD_MODES] = {
	[REP_RECORD_BLANK] = {"blank", "it has no role"},
	[REP_RECORD_LEARNER] = {"learner", "it may lack what was acknowledged"},
	[REP_RECORD_STANDBY] = {"standby", "in sync"},
	[REP_RECORD_PAIRED] = {"paired", "primary, with a standby"},
	[REP_RECORD_ALONE] = {"alone", "primary by itself"},
};

/* --- Which folder --- */

/* Bytes of a file in the folder; 0 also when there is none. */
static uint64_t read_file(const char *folder, const char *name, uint8_t block[REC_ROLE_BYTES])
{
	char path[CTL_PATH_BYTES + 16];
	snprintf(path, sizeof(path), "%s/%s", folder, name);
	int file = disk_real.open(&disk_real, path, DISK_READ);
	if (file < 0)
		return 0;
	ssize_t got = disk_real.read(&disk_real, file, block, REC_ROLE_BYTES, 0);
	disk_real.close(&disk_real, file);
	return got > 0 ? (uint64_t)got : 0;
}

/* A folder that might be anybody's: whose it is, a copy says. */
static int find_folder(struct cli *cli, const char *given, struct ctl_log *log)
{
	_Alignas(8) uint8_t block[REC_ROLE_BYTES];
	struct stat status;
	size_t length = strlen(given);
	*log = (struct ctl_log){.disk = &disk_real};
	if (length >= REC_ROLE_FOLDER_BYTES)
		return cli_fail(cli, SF_EXIT_USAGE, "%s: too long", given);
	snprintf(log->folder, sizeof(log->folder), "%s", given);
	while (length > 1 && log->folder[length - 1] == '/')
		log->folder[--length] = 0;
	if (stat(log->folder, &status) != 0 || !S_ISDIR(status.st_mode))
		return cli_fail(cli, SF_EXIT_FAILED, "%s: there is no such folder", given);
	if (!rec_role_whose(block, read_file(log->folder, "role.0", block), &log->identity))
		rec_role_whose(block, read_file(log->folder, "role.1", block), &log->identity);
	return SF_EXIT_OK;
}

static int open_store(struct cli *cli, struct rec_role_store *store)
{
	_Alignas(8) uint8_t block[REC_ROLE_BYTES];
	struct ctl_log log;
	int result;
	if (cli->operand != NULL) {
		result = find_folder(cli, cli->operand, &log);
	} else {
		result = cli_load(cli);
		if (result == SF_EXIT_OK)
			ctl_log_init(&log, &cli->settings, &disk_real);
	}
	if (result != SF_EXIT_OK)
		return result;
	if (strlen(log.folder) >= REC_ROLE_FOLDER_BYTES)
		return cli_fail(cli, SF_EXIT_USAGE, "%s: too long", log.folder);
	uint64_t bytes = read_file(log.folder, "identity", block);
	bool used = rec_identity_used(rec_identity_check(block, bytes, &log.identity));
	rec_role_store_open(store, &disk_real, &log.identity, log.folder, used);
	return SF_EXIT_OK;
}

/* --- As a tree --- */

/* Numbers that may not fit in a JSON integer. */
static void set_hex(json_t *object, const char *key, uint64_t value)
{
	char text[32];
	snprintf(text, sizeof(text), "%016" PRIx64, value);
	cli_set_text(object, key, text);
}

static json_t *pair_of(const struct rep_pair *pair)
{
	json_t *tree = json_object(), *in_sync = json_array();
	char holder[16];
	if (pair->epoch == 0) {
		json_decref(tree);
		json_decref(in_sync);
		return json_null();
	}
	for (int node = 0; node < 2; node++)
		if (pair->in_sync >> node & 1)
			json_array_append_new(in_sync, json_integer(node));
	snprintf(holder, sizeof(holder), "node %u", pair->holder);
	cli_set(tree, "epoch", pair->epoch);
	cli_set(tree, "primary", pair->primary);
	json_object_set_new(tree, "in_sync", in_sync);
	cli_set_text(tree, "holder", pair->holder == REP_HOLDER_ARBITER ? "arbiter" : holder);
	return tree;
}

static json_t *lineage_of(const struct rec_role *role)
{
	json_t *list = json_array();
	for (uint32_t i = 0; i < role->lineage_count; i++) {
		json_t *one = json_object();
		cli_set(one, "epoch", role->lineage[i].epoch);
		cli_set(one, "first", role->lineage[i].first_sequence);
		json_array_append_new(list, one);
	}
	return list;
}

static json_t *arbiter_of(const struct rec_arbiter_seen *seen)
{
	if (seen->cluster_id == 0 && seen->mod_revision == 0 && seen->epoch == 0)
		return json_null();
	json_t *tree = json_object();
	cli_set(tree, "epoch", seen->epoch);
	cli_set(tree, "mod_revision", seen->mod_revision);
	set_hex(tree, "cluster_id", seen->cluster_id);
	return tree;
}

static json_t *record_of(const struct rec_role *role)
{
	const struct rep_record *record = &role->record;
	json_t *tree = json_object();
	cli_set_text(tree, "mode", modes[record->mode].name);
	cli_set(tree, "epoch", record->epoch);
	json_object_set_new(tree, "amnesiac", json_boolean(record->amnesiac));
	json_object_set_new(tree, "clean", json_boolean(record->clean));
	json_object_set_new(tree, "pair", pair_of(&record->pair));
	cli_set(tree, "incarnation", record->incarnation);
	cli_set(tree, "boots", record->boots);
	cli_set(tree, "committed", record->committed);
	if (record->clean) {
		cli_set(tree, "final_sequence", record->final_sequence);
		set_hex(tree, "final_digest", record->final_digest);
	}
	set_hex(tree, "safety_hash", record->safety_hash);
	json_object_set_new(tree, "lineage", lineage_of(role));
	json_object_set_new(tree, "arbiter", arbiter_of(&role->arbiter));
	cli_set(tree, "number", record->write_number);
	cli_set(tree, "written", role->written_unix_ns);
	return tree;
}

static json_t *copies_of(const struct rec_role_choice *choice)
{
	json_t *list = json_array();
	for (uint32_t i = 0; i < REC_ROLE_COPIES; i++) {
		json_t *copy = json_object();
		char name[16];
		snprintf(name, sizeof(name), "role.%u", i);
		cli_set_text(copy, "file", name);
		cli_set_text(copy, "state", rec_copy_fault_name(choice->fault[i]));
		cli_set(copy, "number", choice->number[i]);
		json_object_set_new(copy, "counts", json_boolean(choice->copy == i));
		json_array_append_new(list, copy);
	}
	return list;
}

static json_t *tree_of(const struct rec_role_store *store)
{
	char text[2048];
	json_t *tree = json_object();
	enum rec_role_verdict verdict = store->choice.verdict;
	rec_role_store_say(store, text, sizeof(text));
	cli_set_text(tree, "folder", store->folder);
	cli_set_text(tree, "cluster", store->identity.cluster);
	cli_set_text(tree, "node", store->identity.node_name);
	cli_set(tree, "node_id", store->identity.node);
	cli_set_text(tree, "verdict", rec_role_verdict_name(verdict));
	cli_set_text(tree, "text", text);
	json_object_set_new(tree, "refused", json_boolean(rec_role_refuses(verdict)));
	json_object_set_new(tree, "copies", copies_of(&store->choice));
	json_object_set_new(tree, "record", store->have ? record_of(&store->role) : json_null());
	return tree;
}

/* --- In words --- */

static const char *words_of(const char *mode)
{
	for (int i = 0; i < REP_RECORD_MODES; i++)
		if (strcmp(mode, modes[i].name) == 0)
			return modes[i].words;
	return "";
}

static void draw_pair(const json_t *pair, FILE *to)
{
	const json_t *node;
	size_t index;
	if (!json_is_object(pair)) {
		fprintf(to, "pair       no record of it is known\n");
		return;
	}
	fprintf(to,
		"pair       epoch %" PRIu64 ", primary is node %" PRIu64 ", in sync:",
		cli_get(pair, "epoch"),
		cli_get(pair, "primary"));
	json_array_foreach(json_object_get(pair, "in_sync"), index, node)
		fprintf(to, " node %d", (int)json_integer_value(node));
	fprintf(to, "; held by %s\n", cli_get_text(pair, "holder"));
}

static void draw_arbiter(const json_t *arbiter, FILE *to)
{
	if (json_is_object(arbiter))
		fprintf(to,
			"arbiter    last seen: epoch %" PRIu64 ", revision %" PRIu64
			", cluster %s\n",
			cli_get(arbiter, "epoch"),
			cli_get(arbiter, "mod_revision"),
			cli_get_text(arbiter, "cluster_id"));
	else
		fprintf(to, "arbiter    none has answered yet\n");
}

static void draw_lineage(const json_t *list, FILE *to)
{
	const json_t *one;
	size_t index;
	fprintf(to, "lineage    %s", json_array_size(list) == 0 ? "none" : "");
	json_array_foreach((json_t *)(uintptr_t)list, index, one)
		fprintf(to,
			"%sepoch %" PRIu64 " from %" PRIu64,
			index > 0 ? ", " : "",
			cli_get(one, "epoch"),
			cli_get(one, "first"));
	fprintf(to, "\n");
}

static void draw_record(const json_t *record, FILE *to)
{
	char when[CTL_TIME_BYTES];
	const char *mode = cli_get_text(record, "mode");
	fprintf(to,
		"mode       %s, epoch %" PRIu64 ": %s\n",
		mode,
		cli_get(record, "epoch"),
		words_of(mode));
	fprintf(to,
		"memory     %s\n",
		json_is_true(json_object_get(record, "amnesiac"))
			? "amnesiac: it may lack what it acknowledged, and does not vote itself in"
			: "whole");
	draw_pair(json_object_get(record, "pair"), to);
	fprintf(to,
		"life       incarnation %" PRIu64 ", %" PRIu64 " boots\n",
		cli_get(record, "incarnation"),
		cli_get(record, "boots"));
	if (json_is_true(json_object_get(record, "clean")))
		fprintf(to,
			"stopped    in good order at sequence %" PRIu64 ", digest %s\n",
			cli_get(record, "final_sequence"),
			cli_get_text(record, "final_digest"));
	else
		fprintf(to, "stopped    not in good order, or it runs\n");
	fprintf(to, "committed  %" PRIu64 ", when this was written\n", cli_get(record, "committed")
	);
	draw_lineage(json_object_get(record, "lineage"), to);
	draw_arbiter(json_object_get(record, "arbiter"), to);
	ctl_time_text(cli_get(record, "written"), when);
	fprintf(to, "written    %s, number %" PRIu64 "\n", when, cli_get(record, "number"));
}

static void draw_role(const json_t *tree, FILE *to)
{
	const json_t *copy, *record = json_object_get(tree, "record");
	size_t index;
	fprintf(to,
		"role       of node %s, cluster %s: %s\n",
		*cli_get_text(tree, "node") ? cli_get_text(tree, "node") : "?",
		*cli_get_text(tree, "cluster") ? cli_get_text(tree, "cluster") : "?",
		cli_get_text(tree, "folder"));
	json_array_foreach(json_object_get(tree, "copies"), index, copy)
	{
		fprintf(to,
			"copy       %s: %s",
			cli_get_text(copy, "file"),
			cli_get_text(copy, "state"));
		if (strcmp(cli_get_text(copy, "state"), "ok") == 0)
			fprintf(to, ", number %" PRIu64, cli_get(copy, "number"));
		if (json_is_true(json_object_get(copy, "counts")))
			fprintf(to, ", counts");
		fprintf(to, "\n");
	}
	if (json_is_object(record))
		draw_record(record, to);
	fprintf(to, "verdict    %s\n", cli_get_text(tree, "text"));
}

int cli_role(struct cli *cli)
{
	static struct rec_role_store store;
	int result = open_store(cli, &store);
	if (result != SF_EXIT_OK)
		return result;
	enum rec_role_verdict verdict = store.choice.verdict;
	cli_show(cli, tree_of(&store), draw_role);
	rec_role_store_close(&store);
	return rec_role_refuses(verdict) || rec_role_learns_only(verdict) ? SF_EXIT_DATA
									  : SF_EXIT_OK;
}
