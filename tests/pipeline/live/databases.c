/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/pipeline/live/databases.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define NODES "10.77.0.1:9400,10.77.0.2:9400"
#define CONNECT_NS 10000000000ull
#define RETRY_MIN_NS 30000000ull
#define RETRY_MAX_NS 200000000ull
#define ASSET(table, id) ((uint64_t)(table) << 32 | (id))

/* ---- requests ---- */

bool pl_databases_submit(
	struct pl_databases *databases,
	uint32_t table,
	uint32_t pair,
	bool reads,
	const struct pl_message *asked,
	uint64_t deadline_ns
)
{
	uint32_t i = 0;
	while (i < PL_LIVE_SLOTS && databases->slots[i].used)
		i++;
	if (i == PL_LIVE_SLOTS)
		return false;
	const struct pl_record *record = &asked->records[0];
	struct cli_request request = {
		.asset_id = ASSET(databases->tables[table].number, record->id),
		.user = i,
		.deadline_ns = deadline_ns,
		.payload = &record->value,
		.payload_bytes = reads ? 0 : sizeof(record->value),
		.opcode = reads ? CLI_REGISTER_GET : CLI_REGISTER_SET,
		.read_only = reads,
	};
	if (cli_submit(databases->pairs[pair].client, &request) != 0)
		return false;
	databases->slots[i] = (struct pl_live_slot){
		.used = true,
		.reads = reads,
		.table = (uint8_t)table,
		.pair = (uint8_t)pair,
		.asked = *asked,
	};
	return true;
}

void pl_databases_tell(
	struct pl_databases *databases,
	const struct pl_live_table *table,
	uint32_t id,
	uint32_t region,
	struct pl_out *out
)
{
	struct pl_row *row = &table->rows[id];
	uint8_t bit = (uint8_t)(1 << region);
	struct pl_record record = {.id = id, .value = row->value};
	pl_effect(out, row->members & bit ? PL_EFFECT_REWRITTEN : PL_EFFECT_WRITTEN, record);
	struct pl_effect *effect = &out->effects[out->effect_count - 1];
	effect->machine = table->members[region - 1];
	effect->region = (uint8_t)region;
	row->members |= bit;
	(void)databases;
}

static uint64_t value_in(const struct cli_result *result)
{
	uint64_t value = 0;
	if (result->payload_bytes >= sizeof(value))
		memcpy(&value, result->payload, sizeof(value));
	return value;
}

static void
wrote(struct pl_databases *databases,
      const struct pl_live_slot *slot,
      const struct cli_result *result,
      struct pl_out *out,
      uint64_t now_ns)
{
	struct pl_live_table *table = &databases->tables[slot->table];
	const struct pl_live_pair *pair = &databases->pairs[slot->pair];
	struct pl_record record = slot->asked.records[0];
	struct pl_row *row = &table->rows[record.id];
	if (result->outcome != CLI_OUTCOME_OK) {
		databases->refused++;
		pl_reply(out, &slot->asked, PL_WRITE_DONE, PL_FAILED);
		return;
	}
	row->value = record.value = value_in(result);
	row->version = result->asset_version;
	if (!row->answered)
		row->answered_ns = now_ns;
	row->answered = true;
	row->left_behind = false;
	row->pair = slot->pair;
	databases->writes++;
	pl_databases_tell(databases, table, (uint32_t)record.id, pair->active, out);
	if (pair->synchronous)
		pl_databases_tell(databases, table, (uint32_t)record.id, 3u - pair->active, out);
	pl_effect(out, PL_EFFECT_ANSWERED, record);
	pl_reply(out, &slot->asked, PL_WRITE_DONE, PL_OK);
}

bool pl_databases_collect(struct pl_databases *databases, uint32_t index, uint64_t now_ns)
{
	struct cli_client *client = databases->pairs[index].client;
	struct cli_result result;
	bool worked = false;
	cli_flush(client);
	while (cli_engine_result(cli_engine_of(client), &result)) {
		struct pl_live_slot *slot = &databases->slots[result.user % PL_LIVE_SLOTS];
		worked = true;
		if (!slot->used)
			continue;
		if (slot->reads) {
			pl_databases_read(databases, slot, &result);
		} else {
			struct pl_out out;
			uint32_t front = databases->tables[slot->table].front;
			pl_runtime_prepare(databases->runtime, front, &out);
			wrote(databases, slot, &result, &out, now_ns);
			pl_runtime_give(databases->runtime, front, &out, now_ns);
		}
		slot->used = false;
	}
	return worked;
}

/* ---- the machine ---- */

static int table_of(const struct pl_databases *databases, uint32_t address)
{
	for (uint32_t i = 0; i < databases->table_count; i++) {
		const struct pl_live_table *table = &databases->tables[i];
		if (table->front == address)
			return (int)i;
		for (uint32_t m = 0; m < PL_REGIONS_MAX; m++)
			if (table->members[m] == address)
				return (int)i;
	}
	return -1;
}

static void write_row(
	struct pl_databases *databases,
	uint32_t index,
	const struct pl_message *message,
	uint64_t now_ns,
	struct pl_out *out
)
{
	struct pl_live_table *table = &databases->tables[index];
	struct pl_record record = message->records[0];
	if (message->count != 1 || record.id == 0 || record.id > databases->ids) {
		pl_reply(out, message, PL_WRITE_DONE, PL_CONFLICT);
		return;
	}
	struct pl_row *row = &table->rows[record.id];
	if (row->answered && row->value != record.value) {
		pl_effect(out, PL_EFFECT_CONFLICT, record);
		pl_reply(out, message, PL_WRITE_DONE, PL_CONFLICT);
		return;
	}
	if (pl_has(databases->defects, PL_DEFECT_REPLICATOR_DROPS) && record.id % 8 == 0) {
		/* The canary of the live judge: answered, and never written. */
		row->value = record.value;
		row->answered = true;
		row->pair = table->pairs[message->region == 2];
		pl_databases_tell(
			databases,
			table,
			(uint32_t)record.id,
			databases->pairs[table->pairs[message->region == 2]].active,
			out
		);
		pl_effect(out, PL_EFFECT_ANSWERED, record);
		pl_reply(out, message, PL_WRITE_DONE, PL_OK);
		return;
	}
	uint32_t pair = table->pairs[message->region == 2];
	uint64_t deadline_ns = now_ns + databases->timeout_ns;
	if (!pl_databases_submit(databases, index, pair, false, message, deadline_ns)) {
		databases->refused++;
		pl_reply(out, message, PL_WRITE_DONE, PL_FAILED);
	}
}

static void
database_step(void *state, const struct pl_message *message, uint64_t now_ns, struct pl_out *out)
{
	struct pl_databases *databases = state;
	int table = table_of(databases, out->self);
	switch (message->kind) {
	case PL_WRITE:
		if (table >= 0 && databases->tables[table].front == out->self)
			write_row(databases, (uint32_t)table, message, now_ns, out);
		else
			pl_reply(out, message, PL_WRITE_DONE, PL_FAILED);
		break;
	case PL_FAIL:
	case PL_RECOVER:
	case PL_SWITCH:
	case PL_SWITCH_FORCED:
	case PL_STOP_CARRYING:
	case PL_CARRY_AGAIN:
		pl_databases_command(databases, out->self, message, now_ns, out);
		break;
	case PL_CRASH:
	case PL_OFFLINE:
	case PL_ONLINE:
		pl_reply(out, message, PL_COMMAND_DONE, PL_FAILED);
		break;
	default:
		pl_effect(out, PL_EFFECT_STRAY, (struct pl_record){0});
	}
}

static const char *const database_states[] = {"serves"};

static uint32_t database_state_of(const void *state)
{
	(void)state;
	return 0;
}

const struct pl_kind pl_live_database = {
	.name = "live-database",
	.states = database_states,
	.state_count = 1,
	.step = database_step,
	.state_of = database_state_of,
};

/* ---- what comes from outside ---- */

static bool look(void *context, uint64_t now_ns)
{
	struct pl_databases *databases = context;
	bool worked = false;
	for (uint32_t i = 0; i < databases->pair_count; i++)
		worked |= pl_databases_collect(databases, i, now_ns);
	return pl_databases_job(databases, now_ns) || worked;
}

static uint64_t due(void *context)
{
	const struct pl_databases *databases = context;
	uint64_t first = PL_NEVER;
	for (uint32_t i = 0; i < databases->pair_count; i++) {
		uint64_t expiry = cli_engine_expiry(cli_engine_of(databases->pairs[i].client));
		first = expiry < first ? expiry : first;
	}
	return first;
}

static bool look_at_nothing(void *context, uint64_t now_ns)
{
	(void)context;
	(void)now_ns;
	return false;
}

static uint64_t never_due(void *context)
{
	(void)context;
	return PL_NEVER;
}

/* ---- beginning and end ---- */

static struct cli_client *connect_in(const char *namespace, int *error)
{
	char path[128];
	struct cli_client *client = NULL;
	struct cli_options options = {
		.window = PL_LIVE_SLOTS,
		.retry_min_ns = RETRY_MIN_NS,
		.retry_max_ns = RETRY_MAX_NS};
	snprintf(path, sizeof(path), "/run/netns/%s", namespace);
	int home = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	int away = open(path, O_RDONLY | O_CLOEXEC);
	if (home >= 0 && away >= 0 && setns(away, CLONE_NEWNET) == 0) {
		*error = cli_connect(&client, NODES, &options, CONNECT_NS);
		/* The socket stays in the namespace; this thread does not. */
		if (setns(home, CLONE_NEWNET) != 0)
			abort();
	} else {
		*error = -errno;
	}
	close(home);
	close(away);
	return client;
}

int pl_databases_connect(
	struct pl_databases *databases, char *const namespaces[], char *error, size_t bytes
)
{
	for (uint32_t i = 0; i < databases->pair_count; i++) {
		int rc = 0;
		databases->pairs[i].client = connect_in(namespaces[i], &rc);
		if (databases->pairs[i].client == NULL) {
			snprintf(error, bytes, "no session with pair %u: %s", i, strerror(-rc));
			return rc ? rc : -EIO;
		}
	}
	return 0;
}

void pl_databases_close(struct pl_databases *databases)
{
	for (uint32_t i = 0; i < databases->pair_count; i++)
		cli_close(databases->pairs[i].client);
	for (uint32_t i = 0; i < PL_STAGES_MAX; i++)
		free(databases->tables[i].rows);
	memset(databases, 0, sizeof(*databases));
}

static int place_table(
	struct pl_databases *databases,
	struct pl_live_table *table,
	const struct pl_topology *topology,
	uint32_t thread
)
{
	const struct pl_params *front = &topology->machines[table->front].params;
	int rc = pl_runtime_place(
		databases->runtime, table->front, thread, &pl_live_database, front, databases
	);
	for (uint32_t i = 0; i < PL_REGIONS_MAX && rc == 0; i++) {
		table->members[i] = front->members[i];
		if (table->members[i] == PL_NOBODY)
			continue;
		const struct pl_params *member = &topology->machines[table->members[i]].params;
		rc = pl_runtime_place(
			databases->runtime,
			table->members[i],
			thread,
			&pl_live_database,
			member,
			databases
		);
	}
	free(table->rows);
	table->rows = calloc(databases->ids + 1, sizeof(*table->rows));
	return table->rows ? rc : -ENOMEM;
}

int pl_databases_place(
	struct pl_databases *databases,
	struct pl_runtime *runtime,
	const struct pl_topology *topology,
	uint32_t thread
)
{
	int rc = 0;
	databases->runtime = runtime;
	databases->table_count = topology->database_count;
	databases->ids = topology->machines[topology->source].params.ids;
	memset(databases->slots, 0, sizeof(databases->slots));
	memset(&databases->job, 0, sizeof(databases->job));
	databases->writes = databases->refused = databases->lost_records = 0;
	databases->first_lost_ns = databases->last_lost_ns = 0;
	databases->switch_ns = databases->switches = 0;
	databases->forced = 0;
	databases->error[0] = 0;
	for (uint32_t i = 0; i < databases->pair_count; i++) {
		struct pl_live_pair *pair = &databases->pairs[i];
		pair->active = pair->home;
		pair->is_cut = pair->is_down = false;
	}
	for (uint32_t i = 0; i < databases->table_count && rc == 0; i++) {
		databases->tables[i].front = topology->databases[i];
		databases->tables[i].number = (uint8_t)(i + 1);
		rc = place_table(databases, &databases->tables[i], topology, thread);
	}
	struct pl_listener listener = {
		.fd = databases->helper->from, .context = databases, .look = look, .due = due};
	pl_runtime_listen(runtime, thread, &listener);
	for (uint32_t i = 0; i < databases->pair_count; i++) {
		listener.fd = cli_fd(databases->pairs[i].client);
		listener.look = look_at_nothing; /* one look takes in all; this wakes it */
		listener.due = never_due;
		pl_runtime_listen(runtime, thread, &listener);
	}
	return rc;
}
