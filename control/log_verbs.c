/* SPDX-License-Identifier: BSD-3-Clause
 *
 * `standfast log info|verify|dump|diff`: offline looks at a node's log. Nothing is written; a node
 * that runs may be looked at too (its newest groups then count as a tail that is being written).
 */
#include "config/bytes.h"
#include "control/cli.h"
#include "control/log_store.h"
#include "control/text.h"

#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

#define LOOKS 3

/* --- Which log --- */

/* Whose segment it is, if its header is whole, by whoever's word. */
static bool take_identity(const struct ctl_map *map, struct log_identity *identity)
{
	const struct log_segment_header *header = (const void *)map->data;
	if (map->bytes < LOG_BLOCK_BYTES)
		return false;
	struct log_identity its = {.cluster_hash = header->cluster_hash, .node = header->node};
	memcpy(its.cluster, header->cluster, LOG_NAME_BYTES - 1);
	memcpy(its.node_name, header->node_name, LOG_NAME_BYTES - 1);
	if (log_segment_header_check(map->data, map->bytes, &its, header->number, &header) !=
	    LOG_OK)
		return false;
	*identity = its;
	return true;
}

/* The folder of a node, or its log/ folder; whose it is stands in its first header that is whole.
 */
static int open_folder(struct cli *cli, const char *folder, struct ctl_log *log)
{
	char path[CTL_PATH_BYTES], error[1024];
	struct stat status;
	size_t length = strlen(folder);
	*log = (struct ctl_log){.disk = &disk_real};
	if (length + 40 > sizeof(log->folder))
		return cli_fail(cli, SF_EXIT_USAGE, "%s: too long", folder);
	snprintf(log->folder, sizeof(log->folder), "%s", folder);
	while (length > 1 && log->folder[length - 1] == '/')
		log->folder[--length] = 0;
	snprintf(path, sizeof(path), "%.480s/log", log->folder);
	if (stat(path, &status) != 0 && length > 4 && strcmp(log->folder + length - 4, "/log") == 0)
		log->folder[length - 4] = 0;
	if (stat(log->folder, &status) != 0)
		return cli_fail(cli, SF_EXIT_FAILED, "%s: there is no such folder", folder);
	if (ctl_log_look(log, false, error, sizeof(error)) < 0)
		return cli_fail(cli, SF_EXIT_FAILED, "%s", error);
	for (uint32_t i = 0; i < log->count; i++) {
		struct ctl_map map;
		if (ctl_log_map(log, log->segments[i].number, &map) < 0)
			continue;
		bool whole = take_identity(&map, &log->identity);
		ctl_log_unmap(&map);
		if (whole)
			break;
	}
	return SF_EXIT_OK;
}

static int open_log(struct cli *cli, const char *folder, struct ctl_log *log)
{
	if (folder != NULL)
		return open_folder(cli, folder, log);
	int result = cli_load(cli);
	if (result != SF_EXIT_OK)
		return result;
	ctl_log_init(log, &cli->settings, &disk_real);
	return SF_EXIT_OK;
}

/* --- info and verify --- */

static json_t *snapshots_of(const struct ctl_log *log)
{
	json_t *list = json_array();
	for (uint32_t i = 0; i < log->snapshot_count; i++) {
		struct ctl_snapshot snapshot;
		json_t *tree = json_object();
		ctl_snapshot_open(log, log->snapshots[i], &snapshot);
		cli_set(tree, "sequence", log->snapshots[i]);
		cli_set_text(tree, "state", log_fault_name(snapshot.fault));
		cli_set(tree, "bytes", snapshot.map.bytes);
		if (snapshot.header != NULL) {
			cli_set(tree, "segment", snapshot.header->segment);
			cli_set(tree, "offset", snapshot.header->offset);
			cli_set(tree, "assets", snapshot.header->assets);
			cli_set(tree, "sessions", snapshot.header->sessions);
			cli_set(tree, "answers", snapshot.header->answers);
			cli_set(tree, "written", snapshot.header->written_unix_ns);
		}
		json_array_append_new(list, tree);
		ctl_snapshot_close(&snapshot);
	}
	return list;
}

static json_t *tree_of(const struct ctl_log *log, const struct rec_plan *plan)
{
	char text[1024];
	json_t *tree = json_object(), *list = json_array();
	uint64_t bytes = 0, durable = 0, groups = 0;
	for (uint32_t i = 0; i < log->count; i++) {
		const struct rec_segment *s = &log->segments[i];
		json_t *segment = json_object();
		cli_set(segment, "number", s->number);
		cli_set_text(segment, "header", log_fault_name(s->header));
		if (s->header == LOG_OK) {
			cli_set(segment, "first", s->first_sequence);
			cli_set(segment, "last", s->last_sequence);
			cli_set(segment, "epoch", s->header_epoch);
			cli_set(segment, "incarnation", s->incarnation);
			cli_set(segment, "bytes", s->end_offset);
		}
		json_array_append_new(list, segment);
		bytes += s->header == LOG_OK ? s->end_offset : 0;
		groups += s->groups;
		durable = sf_max64(durable, s->durable);
	}
	ctl_log_say(log, plan, text, sizeof(text));
	cli_set_text(tree, "folder", log->folder);
	cli_set_text(tree, "cluster", log->identity.cluster);
	cli_set_text(tree, "node", log->identity.node_name);
	cli_set_text(tree, "verdict", rec_verdict_name(plan->verdict));
	cli_set_text(tree, "text", text);
	json_object_set_new(tree, "refused", json_boolean(rec_refuses(plan->verdict)));
	cli_set(tree, "first", log->count > 0 ? log->segments[0].first_sequence : 0);
	cli_set(tree, "last", plan->last_sequence);
	cli_set(tree, "durable_mark", durable);
	cli_set(tree, "bytes", bytes);
	cli_set(tree, "groups", groups);
	cli_set(tree, "cut_bytes", plan->cut_bytes);
	bool closed = plan->last_segment != 0 &&
		      log->segments[plan->last_segment - log->segments[0].number].closed;
	json_object_set_new(tree, "closed", json_boolean(closed));
	json_object_set_new(tree, "segments", list);
	json_object_set_new(tree, "snapshots", snapshots_of(log));
	return tree;
}

static void draw_log(const json_t *tree, FILE *to)
{
	const json_t *list = json_object_get(tree, "segments"), *segment;
	size_t index;
	fprintf(to,
		"log        of node %s, cluster %s: %s\n",
		cli_get_text(tree, "node"),
		cli_get_text(tree, "cluster"),
		cli_get_text(tree, "folder"));
	json_array_foreach(json_object_get(tree, "snapshots"), index, segment)
	{
		if (strcmp(cli_get_text(segment, "state"), "ok") != 0) {
			fprintf(to,
				"snapshot   at %" PRIu64 ": %s\n",
				cli_get(segment, "sequence"),
				cli_get_text(segment, "state"));
			continue;
		}
		fprintf(to,
			"snapshot   at %" PRIu64 ": %" PRIu64 " assets, %" PRIu64
			" sessions, %.1f MiB; the log goes on in segment %" PRIu64 "\n",
			cli_get(segment, "sequence"),
			cli_get(segment, "assets"),
			cli_get(segment, "sessions"),
			(double)cli_get(segment, "bytes") / 1048576,
			cli_get(segment, "segment"));
	}
	json_array_foreach((json_t *)(uintptr_t)list, index, segment)
	{
		if (strcmp(cli_get_text(segment, "header"), "ok") != 0) {
			fprintf(to,
				"%10" PRIu64 " %s\n",
				cli_get(segment, "number"),
				strcmp(cli_get_text(segment, "header"), "empty") == 0
					? "prepared, not used"
					: cli_get_text(segment, "header"));
			continue;
		}
		fprintf(to,
			"%10" PRIu64 " entries %" PRIu64 " to %" PRIu64 ", %.1f MiB, epoch %" PRIu64
			"\n",
			cli_get(segment, "number"),
			cli_get(segment, "first"),
			cli_get(segment, "last"),
			(double)cli_get(segment, "bytes") / 1048576,
			cli_get(segment, "epoch"));
	}
	fprintf(to,
		"entries    %" PRIu64 " to %" PRIu64 ", durable mark %" PRIu64 "%s\n",
		cli_get(tree, "first"),
		cli_get(tree, "last"),
		cli_get(tree, "durable_mark"),
		json_is_true(json_object_get(tree, "closed")) ? ", stopped in good order" : "");
	if (json_object_get(tree, "seconds"))
		fprintf(to,
			"read       %.1f MiB in %.3f s, %.0f MiB/s\n",
			(double)cli_get(tree, "bytes") / 1048576,
			json_real_value(json_object_get(tree, "seconds")),
			(double)cli_get(tree, "bytes") / 1048576 /
				json_real_value(json_object_get(tree, "seconds")));
	else
		fprintf(to,
			"read       the newest segments, of older ones the headers; `log verify` "
			"reads all\n");
	fprintf(to, "verdict    %s\n", cli_get_text(tree, "text"));
}

static int look(struct cli *cli, bool deep)
{
	struct ctl_log log;
	struct rec_plan plan;
	struct ctl_snapshot snapshot;
	char warning[1024];
	char error[1024];
	int result = open_log(cli, cli->more[0], &log);
	if (result != SF_EXIT_OK)
		return result;
	double seconds = 0;
	/* Where a node is writing, a look may find a group that is half there. */
	for (int look = 0; look == 0 || (look < LOOKS && rec_refuses(plan.verdict)); look++) {
		uint64_t before_ns = ctl_monotonic_ns();
		if (ctl_log_look(&log, deep, error, sizeof(error)) < 0)
			return cli_fail(cli, SF_EXIT_FAILED, "%s", error);
		seconds = (double)(ctl_monotonic_ns() - before_ns) / 1e9;
		ctl_log_plan(&log, &plan, &snapshot, warning, sizeof(warning));
		ctl_snapshot_close(&snapshot);
	}
	if (*warning)
		fprintf(stderr, "standfast: snapshot not good: %s\n", warning);
	json_t *tree = tree_of(&log, &plan);
	if (deep)
		json_object_set_new(tree, "seconds", json_real(seconds));
	cli_show(cli, tree, draw_log);
	ctl_log_free(&log);
	return rec_refuses(plan.verdict) ? SF_EXIT_DATA : SF_EXIT_OK;
}

/* --- Entry by entry --- */

struct walker {
	struct ctl_log log;
	uint32_t next; /* segment */
	struct ctl_map map;
	struct log_position position;
	const struct rep_entry *entry;
	uint32_t left;	      /* entries of the group in hand */
	enum log_fault fault; /* LOG_EMPTY: the log ended where position stands */
};

/* The next segment, if it continues what was read; false at the end, or where fault stands. */
static bool walk_on(struct walker *w)
{
	if (w->next == w->log.count)
		return false;
	const struct rec_segment *s = &w->log.segments[w->next];
	bool first = w->next++ == 0;
	uint64_t before = w->position.segment;
	struct log_position end = w->position;
	w->position = (struct log_position){
		.segment = s->number,
		.offset = LOG_BLOCK_BYTES,
		.next_sequence = s->first_sequence,
		.chain = s->chain,
	};
	w->fault = s->header;
	if (s->header != LOG_OK)
		return false; /* empty: it was prepared, and so are those behind it */
	if (!first && s->number != before + 1)
		w->fault = LOG_OTHER_PLACE;
	else if (!first && (s->first_sequence != end.next_sequence || s->chain != end.chain))
		w->fault = LOG_BAD_CHAIN;
	else if (ctl_log_map(&w->log, s->number, &w->map) < 0)
		w->fault = LOG_SHORT;
	return w->fault == LOG_OK;
}

/* The next entry; NULL at the end, or where fault stands. */
static const struct rep_entry *walk(struct walker *w)
{
	while (w->left == 0) {
		const struct log_group *group;
		if (w->map.data == NULL && !walk_on(w))
			return NULL;
		w->fault = w->position.offset >= w->map.bytes
				   ? LOG_EMPTY
				   : log_group_check(
					     w->map.data + w->position.offset,
					     w->map.bytes - w->position.offset,
					     &w->log.identity,
					     &w->position,
					     &group
				     );
		if (w->fault == LOG_EMPTY) {
			ctl_log_unmap(&w->map);
			continue;
		}
		if (w->fault != LOG_OK)
			return NULL;
		w->left = group->count;
		w->entry = log_group_first(group);
	}
	const struct rep_entry *entry = w->entry;
	w->entry = log_next_entry(entry);
	w->left--;
	return entry;
}

/* True when a walk ended before what a start would take. */
static bool is_broken(const struct walker *w)
{
	struct rec_plan plan;
	struct ctl_snapshot snapshot;
	char warning[1024];
	if (w->fault == LOG_OK || w->fault == LOG_EMPTY)
		return false;
	ctl_log_plan(&w->log, &plan, &snapshot, warning, sizeof(warning));
	ctl_snapshot_close(&snapshot);
	return rec_refuses(plan.verdict) || w->position.segment != plan.last_segment ||
	       w->position.next_sequence <= plan.last_sequence;
}

/* Says where a walk ended at damage; the exit code. */
static int judge_walk(const struct walker *w)
{
	char path[CTL_PATH_BYTES];
	if (w->fault == LOG_OK || w->fault == LOG_EMPTY)
		return SF_EXIT_OK;
	bool broken = is_broken(w);
	ctl_log_path(&w->log, w->position.segment, path);
	fprintf(stderr,
		"standfast log: %s%s at offset %" PRIu64 ": %s\n",
		broken ? "" : "a tail that a start would cut: ",
		path,
		w->position.offset,
		log_fault_text(w->fault));
	return broken ? SF_EXIT_DATA : SF_EXIT_OK;
}

static int begin_walk(struct cli *cli, const char *folder, struct walker *w)
{
	char error[1024];
	*w = (struct walker){0};
	int result = open_log(cli, folder, &w->log);
	if (result == SF_EXIT_OK && ctl_log_look(&w->log, false, error, sizeof(error)) < 0)
		return cli_fail(cli, SF_EXIT_FAILED, "%s", error);
	return result;
}

static void end_walk(struct walker *w)
{
	ctl_log_unmap(&w->map);
	ctl_log_free(&w->log);
}

static const char *kind_name(uint8_t kind)
{
	static const char *const names[] = {"?", "update", "open", "close"};
	return kind < 4 ? names[kind] : "?";
}

static int dump(struct cli *cli)
{
	struct walker w;
	const struct rep_entry *entry;
	uint64_t from = 0;
	if (cli->at != NULL && sscanf(cli->at, "%" SCNu64, &from) != 1)
		return cli_fail(cli, SF_EXIT_USAGE, "--at %s is no sequence", cli->at);
	int result = begin_walk(cli, cli->more[0], &w);
	if (result != SF_EXIT_OK)
		return result;
	while ((entry = walk(&w)) != NULL) {
		if (entry->sequence < from)
			continue;
		printf(cli->json ? "{\"sequence\": %" PRIu64 ", \"epoch\": %u, \"kind\": \"%s\", "
				   "\"client\": %" PRIu64 ", \"request\": %" PRIu64
				   ", \"asset\": %" PRIu64
				   ", \"opcode\": %u, \"timestamp_ns\": %" PRIu64
				   ", \"payload\": \""
				 : "%" PRIu64 " epoch %u %s client %" PRIu64 " request %" PRIu64
				   " asset %" PRIu64 " opcode %u at %" PRIu64 " ",
		       entry->sequence,
		       entry->epoch,
		       kind_name(entry->kind),
		       entry->client_id,
		       entry->request_seq,
		       entry->asset_id,
		       entry->opcode,
		       entry->timestamp_ns);
		for (uint32_t i = 0; i < entry->payload_bytes; i++)
			printf("%02x", entry->payload[i]);
		printf(cli->json ? "\"}\n" : "\n");
	}
	result = judge_walk(&w);
	end_walk(&w);
	return result;
}

static void draw_diff(const json_t *tree, FILE *to)
{
	fprintf(to, "%s\n", cli_get_text(tree, "text"));
}

static int diff(struct cli *cli)
{
	struct walker a, b;
	char text[1200];
	if (cli->more[0] == NULL || cli->more[1] == NULL)
		return cli_fail(cli, SF_EXIT_USAGE, "diff takes two folders");
	int result = begin_walk(cli, cli->more[0], &a);
	if (result == SF_EXIT_OK)
		result = begin_walk(cli, cli->more[1], &b);
	if (result != SF_EXIT_OK)
		return result;
	const struct rep_entry *x = walk(&a), *y = walk(&b);
	/* Logs may begin at different entries, when old segments are gone. */
	while (x != NULL && y != NULL && x->sequence < y->sequence)
		x = walk(&a);
	while (x != NULL && y != NULL && y->sequence < x->sequence)
		y = walk(&b);
	uint64_t equal = 0;
	while (x != NULL && y != NULL && x->epoch == y->epoch && x->crc == y->crc &&
	       x->sequence == y->sequence) {
		equal = x->sequence;
		x = walk(&a);
		y = walk(&b);
	}
	bool differ = x != NULL && y != NULL;
	const struct walker *shorter = x == NULL ? &a : &b;
	json_t *tree = json_object();
	json_object_set_new(tree, "differ", json_boolean(differ));
	cli_set(tree, "equal_up_to", equal);
	if (differ)
		snprintf(
			text,
			sizeof(text),
			"first difference at sequence %" PRIu64
			": %s has epoch %u, checksum %08x; %s has epoch %u, checksum %08x",
			x->sequence,
			cli->more[0],
			x->epoch,
			x->crc,
			cli->more[1],
			y->epoch,
			y->crc
		);
	else if (x != NULL || y != NULL || is_broken(shorter))
		snprintf(
			text,
			sizeof(text),
			"equal up to sequence %" PRIu64 ", where %s %s",
			equal,
			cli->more[x != NULL],
			is_broken(shorter) ? "is damaged" : "ends"
		);
	else
		snprintf(text, sizeof(text), "equal, up to sequence %" PRIu64, equal);
	cli_set_text(tree, "text", text);
	cli_show(cli, tree, draw_diff);
	/* Nobody knows whether what cannot be read is equal. */
	bool whole = judge_walk(&a) == SF_EXIT_OK;
	whole = judge_walk(&b) == SF_EXIT_OK && whole;
	end_walk(&a);
	end_walk(&b);
	return differ ? SF_EXIT_FAILED : whole ? SF_EXIT_OK : SF_EXIT_DATA;
}

int cli_log(struct cli *cli)
{
	const char *what = cli->operand != NULL ? cli->operand : "";
	if (strcmp(what, "info") == 0)
		return look(cli, false);
	if (strcmp(what, "verify") == 0)
		return look(cli, true);
	if (strcmp(what, "dump") == 0)
		return dump(cli);
	if (strcmp(what, "diff") == 0)
		return diff(cli);
	return cli_fail(cli, SF_EXIT_USAGE, "log info, log verify, log dump or log diff");
}
