/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Commands to a database, done to real nodes. One at a time: a question to the process that holds
 * the pairs for each pair concerned, then, after a switch, what stands on the new side is read.
 */
#include "tests/pipeline/live/databases.h"

#include <stdio.h>

#define READ_BACK_MOST 48 /* reads on the way beside the containers' writes */
#define READ_NS 10000000000ull
#define CHECK_NS 60000000000ull

/* ---- beginning ---- */

static int table_at(const struct pl_databases *databases, uint32_t address, uint32_t *region)
{
	*region = 0;
	for (uint32_t i = 0; i < databases->table_count; i++) {
		const struct pl_live_table *table = &databases->tables[i];
		for (uint32_t m = 0; m < PL_REGIONS_MAX; m++)
			if (table->members[m] == address) {
				*region = m + 1;
				return (int)i;
			}
		if (table->front == address)
			return (int)i;
	}
	return -1;
}

static char node_in(const struct pl_live_pair *pair, uint32_t region)
{
	return region == pair->home ? 'a' : 'b';
}

static void
done(struct pl_databases *databases, enum pl_status status, uint64_t position, uint64_t now_ns)
{
	struct pl_job *job = &databases->job;
	struct pl_out out;
	pl_runtime_prepare(databases->runtime, job->address, &out);
	pl_reply(&out, &job->command, PL_COMMAND_DONE, status)->position = position;
	job->phase = PL_JOB_NONE;
	pl_runtime_give(databases->runtime, job->address, &out, now_ns);
}

/* The question for one pair; NULL: nothing is to be done there. */
static const char *
question(struct pl_databases *databases, uint32_t index, uint32_t region, char *text, size_t bytes)
{
	struct pl_live_pair *pair = &databases->pairs[index];
	const struct pl_message *command = &databases->job.command;
	char lost = node_in(pair, region ? region : pair->active);
	switch (command->kind) {
	case PL_FAIL:
		if (pair->is_down)
			return NULL;
		if (databases->loses_a_region)
			snprintf(text, bytes, "lose %u %c", index, lost);
		else if (region)
			snprintf(text, bytes, "kill %u %c", index, lost);
		else
			snprintf(text, bytes, "kill %u ab", index);
		return text;
	case PL_RECOVER:
		if (!pair->is_down)
			return NULL;
		snprintf(text, bytes, "start %u ab", index);
		return text;
	case PL_SWITCH:
	case PL_SWITCH_FORCED:
		if (pair->active == command->region)
			return NULL;
		snprintf(
			text,
			bytes,
			"%s %u %c",
			command->kind == PL_SWITCH ? "switchover" : "promote",
			index,
			node_in(pair, command->region)
		);
		return text;
	case PL_STOP_CARRYING:
		if (pair->is_cut)
			return NULL;
		snprintf(text, bytes, "cut %u", index);
		return text;
	default:
		if (pair->is_down)
			snprintf(text, bytes, "start %u ab", index);
		else if (pair->is_cut)
			snprintf(text, bytes, "heal %u", index);
		else
			return NULL;
		return text;
	}
}

static void begin_reading(struct pl_databases *databases, uint64_t now_ns);

/* Asks for the next pair that the command concerns; when there is none, goes on. */
static void ask_next(struct pl_databases *databases, uint64_t now_ns)
{
	struct pl_job *job = &databases->job;
	uint32_t region;
	char text[64];
	(void)table_at(databases, job->address, &region);
	while (job->pairs_left) {
		uint32_t pair = (uint32_t)__builtin_ctz(job->pairs_left);
		job->pairs_left &= (uint8_t)(job->pairs_left - 1);
		const char *words = question(databases, pair, region, text, sizeof(text));
		if (words == NULL)
			continue;
		job->pair = (uint8_t)pair;
		job->tag = pl_pairs_ask(databases->helper, "%s", words);
		if (job->tag == 0)
			done(databases, PL_FAILED, 0, now_ns);
		return;
	}
	if (job->command.kind == PL_SWITCH || job->command.kind == PL_SWITCH_FORCED)
		begin_reading(databases, now_ns);
	else
		done(databases, PL_OK, now_ns - job->begin_ns, now_ns);
}

void pl_databases_command(
	struct pl_databases *databases,
	uint32_t address,
	const struct pl_message *message,
	uint64_t now_ns,
	struct pl_out *out
)
{
	struct pl_job *job = &databases->job;
	uint32_t region;
	int table = table_at(databases, address, &region);
	if (table < 0 || job->phase != PL_JOB_NONE) {
		pl_reply(out, message, PL_COMMAND_DONE, PL_FAILED);
		return;
	}
	const struct pl_live_table *of = &databases->tables[table];
	*job = (struct pl_job){
		.phase = PL_JOB_ASKED,
		.address = (uint8_t)address,
		.table = (uint8_t)table,
		.command = *message,
		.begin_ns = now_ns,
		.pairs_left = (uint8_t)(1 << of->pairs[0] | 1 << of->pairs[1]),
	};
	/* A region's part of a table that both regions write to is the pair at home there. */
	if (region > 0 && of->pairs[0] != of->pairs[1])
		job->pairs_left = (uint8_t)(1 << of->pairs[region == 2]);
	ask_next(databases, now_ns);
}

/* ---- what the other process said ---- */

/* `text` of a start: the node that serves now, which after a takeover is not the one before. */
static void came_true(struct pl_databases *databases, const char *text)
{
	struct pl_job *job = &databases->job;
	struct pl_live_pair *pair = &databases->pairs[job->pair];
	switch (job->command.kind) {
	case PL_FAIL:
		pair->is_down = true;
		break;
	case PL_SWITCH:
	case PL_SWITCH_FORCED:
		pair->active = job->command.region;
		break;
	case PL_STOP_CARRYING:
		pair->is_cut = true;
		break;
	default:
		if (text[0] == 'a' || text[0] == 'b')
			pair->active = text[0] == 'a' ? pair->home : (uint8_t)(3 - pair->home);
		pair->is_down = pair->is_cut = false;
	}
}

static bool take_answer(struct pl_databases *databases, uint64_t now_ns)
{
	struct pl_job *job = &databases->job;
	char text[PL_ERROR_BYTES];
	bool good;
	uint32_t tag = pl_pairs_answer(databases->helper, &good, text, sizeof(text));
	if (tag == 0)
		return false;
	if (job->phase != PL_JOB_ASKED || tag != job->tag)
		return true;
	if (good) {
		came_true(databases, text);
		ask_next(databases, now_ns);
	} else {
		memcpy(databases->error, text, sizeof(text));
		done(databases, PL_FAILED, 0, now_ns);
	}
	return true;
}

/* ---- reading back ---- */

static void begin_reading(struct pl_databases *databases, uint64_t now_ns)
{
	struct pl_job *job = &databases->job;
	struct pl_live_table *table = &databases->tables[job->table];
	job->phase = PL_JOB_READS;
	job->next = 1;
	job->open = 0;
	/* Of the databases on one pair the first one's command turns it. */
	if (job->tag != 0) {
		databases->switch_ns += now_ns - job->begin_ns;
		databases->switches++;
	}
	for (uint32_t id = 1; id <= databases->ids; id++)
		table->rows[id].found = false;
}

void pl_databases_read(
	struct pl_databases *databases, struct pl_live_slot *slot, const struct cli_result *result
)
{
	struct pl_row *row = &databases->tables[slot->table].rows[slot->asked.records[0].id];
	uint64_t value = 0;
	if (result->outcome == CLI_OUTCOME_OK && result->payload_bytes >= sizeof(value))
		memcpy(&value, result->payload, sizeof(value));
	row->found = result->outcome == CLI_OUTCOME_OK && value == row->value;
	if (databases->job.open > 0)
		databases->job.open--;
}

/* Effects of the rows that were read, in their order, in portions that fit. */
static void tell_rows(struct pl_databases *databases, uint32_t index, uint64_t now_ns)
{
	const struct pl_job *job = &databases->job;
	struct pl_live_table *table = &databases->tables[index];
	bool forced = job->command.kind == PL_SWITCH_FORCED;
	struct pl_out out;
	pl_runtime_prepare(databases->runtime, table->front, &out);
	for (uint32_t id = 1; id <= databases->ids; id++) {
		struct pl_row *row = &table->rows[id];
		bool here = row->members >> job->command.region & 1;
		if (!row->answered)
			continue;
		if (row->found && !here) {
			pl_databases_tell(databases, table, id, job->command.region, &out);
		} else if (!row->found && forced && !row->left_behind) {
			row->left_behind = true;
			databases->lost_records++;
			if (databases->first_lost_ns == 0 ||
			    row->answered_ns < databases->first_lost_ns)
				databases->first_lost_ns = row->answered_ns;
			if (row->answered_ns > databases->last_lost_ns)
				databases->last_lost_ns = row->answered_ns;
			pl_effect(
				&out,
				PL_EFFECT_LEFT_BEHIND,
				(struct pl_record){.id = id, .value = row->value}
			);
		}
		if (out.effect_count == PL_OUT_EFFECTS_MAX)
			pl_runtime_give(databases->runtime, table->front, &out, now_ns);
	}
	pl_runtime_give(databases->runtime, table->front, &out, now_ns);
}

static void end_reading(struct pl_databases *databases, uint64_t now_ns)
{
	struct pl_job *job = &databases->job;
	uint64_t lost = databases->lost_records, took_ns = now_ns - job->begin_ns;
	bool forced = job->command.kind == PL_SWITCH_FORCED;
	struct pl_out out;
	tell_rows(databases, job->table, now_ns);
	pl_runtime_prepare(databases->runtime, job->address, &out);
	pl_effect(&out, PL_EFFECT_SWITCHED, (struct pl_record){.value = took_ns});
	out.effects[0].region = job->command.region;
	pl_runtime_give(databases->runtime, job->address, &out, now_ns);
	databases->forced += forced;
	done(databases, PL_OK, forced ? databases->lost_records - lost : took_ns, now_ns);
}

static bool read_on(struct pl_databases *databases, uint64_t now_ns)
{
	struct pl_job *job = &databases->job;
	struct pl_live_table *table = &databases->tables[job->table];
	bool worked = false;
	while (job->next <= databases->ids && job->open < READ_BACK_MOST) {
		struct pl_message asked = {.count = 1, .records = {{.id = job->next}}};
		if (table->rows[job->next].answered &&
		    !pl_databases_submit(
			    databases, job->table, table->pairs[0], true, &asked, now_ns + READ_NS
		    ))
			break;
		job->open += table->rows[job->next].answered;
		job->next++;
		worked = true;
	}
	if (worked)
		cli_flush(databases->pairs[table->pairs[0]].client);
	if (job->next > databases->ids && job->open == 0) {
		end_reading(databases, now_ns);
		return true;
	}
	return worked;
}

bool pl_databases_job(struct pl_databases *databases, uint64_t now_ns)
{
	bool worked = take_answer(databases, now_ns);
	if (databases->job.phase == PL_JOB_READS)
		worked |= read_on(databases, now_ns);
	return worked;
}

/* ---- at the end ---- */

static bool
read_all(struct pl_databases *databases, uint32_t index, uint32_t region, char *error, size_t bytes)
{
	struct pl_live_table *table = &databases->tables[index];
	uint32_t pair = table->pairs[region - 1];
	uint64_t until_ns = pl_clock_ns() + READ_NS;
	struct pl_job *job = &databases->job;
	memset(job, 0, sizeof(*job));
	for (uint32_t id = 1; id <= databases->ids; id++)
		table->rows[id].found = false;
	for (uint32_t id = 1; id <= databases->ids || job->open > 0;) {
		struct pl_message asked = {.count = 1, .records = {{.id = id}}};
		while (id <= databases->ids && job->open < READ_BACK_MOST &&
		       pl_databases_submit(databases, index, pair, true, &asked, until_ns)) {
			job->open++;
			asked.records[0].id = ++id;
		}
		struct cli_result result;
		struct cli_client *client = databases->pairs[pair].client;
		if (cli_wait(client, READ_NS, &result) != 0) {
			snprintf(error, bytes, "the rows of table %u cannot be read", index + 1);
			return false;
		}
		struct pl_live_slot *slot = &databases->slots[result.user % PL_LIVE_SLOTS];
		if (slot->used && slot->reads)
			pl_databases_read(databases, slot, &result);
		slot->used = false;
	}
	return true;
}

/* Both nodes hold what the primary was read to hold, by their digests. */
static bool tell_table(
	struct pl_databases *databases, uint32_t index, uint32_t region, char *error, size_t bytes
)
{
	struct pl_live_table *table = &databases->tables[index];
	struct pl_out out;
	if (!read_all(databases, index, region, error, bytes))
		return false;
	pl_runtime_prepare(databases->runtime, table->front, &out);
	for (uint32_t id = 1; id <= databases->ids; id++) {
		struct pl_row *row = &table->rows[id];
		/* A table of two pairs: each holds the rows that its region wrote. */
		bool mine = row->pair == table->pairs[region - 1];
		if (!row->answered || !mine || row->left_behind)
			continue;
		if (!row->found) {
			snprintf(
				error,
				bytes,
				"the row of record %u in table %u was answered and does not stand",
				id,
				index + 1
			);
			return false;
		}
		for (uint32_t member = 1; member <= 2; member++)
			if (!(row->members >> member & 1))
				pl_databases_tell(databases, table, id, member, &out);
		if (out.effect_count + 2 > PL_OUT_EFFECTS_MAX)
			pl_runtime_give(databases->runtime, table->front, &out, pl_clock_ns());
	}
	pl_runtime_give(databases->runtime, table->front, &out, pl_clock_ns());
	return true;
}

bool pl_databases_check(struct pl_databases *databases, char *error, size_t bytes)
{
	char text[PL_ERROR_BYTES], a[32], b[32];
	unsigned long long sequence;
	memset(databases->slots, 0, sizeof(databases->slots));
	for (uint32_t i = 0; i < databases->pair_count; i++) {
		/* What the scenario leaves down comes back for this: a node is judged by what it
		 * holds when it is whole again. */
		if (databases->pairs[i].is_down)
			pl_pairs_do(
				databases->helper, text, sizeof(text), CHECK_NS, "start %u ab", i
			);
		bool good = pl_pairs_do(
			databases->helper, text, sizeof(text), CHECK_NS, "digests %u", i
		);
		if (!good || sscanf(text, "%llu %31s %31s", &sequence, a, b) != 3) {
			snprintf(error, bytes, "no digests of pair %u: %s", i, text);
			return false;
		}
		if (strcmp(a, b) != 0) {
			snprintf(
				error,
				bytes,
				"pair %u: at sequence %llu the nodes hold %s and %s",
				i,
				sequence,
				a,
				b
			);
			return false;
		}
	}
	/* One place for all: each table by the pairs that hold it. */
	for (uint32_t i = 0; i < databases->table_count; i++) {
		const struct pl_live_table *table = &databases->tables[i];
		if (!tell_table(databases, i, 1, error, bytes))
			return false;
		if (table->pairs[0] != table->pairs[1] &&
		    !tell_table(databases, i, 2, error, bytes))
			return false;
	}
	return true;
}
