/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/pipeline/live/plan.h"

#include <stdio.h>
#include <stdlib.h>

/* ---- times and sizes ---- */

static void set_times(struct pl_params *params, bool is_dns)
{
	params->probe_min_ns *= PL_LIVE_TIMES;
	params->probe_max_ns *= PL_LIVE_TIMES;
	params->poll_ns *= PL_LIVE_TIMES;
	params->step_ns *= PL_LIVE_TIMES;
	params->ttl_ns *= PL_LIVE_TIMES;
	/* The DNS says whole seconds. */
	if (is_dns && params->ttl_ns > 0 && params->ttl_ns < 1000000000u)
		params->ttl_ns = 1000000000u;
}

static uint32_t scaled_up(uint32_t records, uint32_t before, uint32_t batch)
{
	return (uint32_t)(((uint64_t)records * batch + before - 1) / before);
}

/* Where a half is no whole number region 1, whose turn is first, has the odd record, and region 2
 * the next one. */
static void set_split(struct pl_promise *promise, uint32_t before, uint32_t batch, uint32_t batches)
{
	uint32_t first = 0, scaled = 0; /* region 1's until now, before and after */
	if (promise->split[0] + promise->split[1] == 0)
		return;
	promise->split[0] = scaled_up(promise->split[0], before, batch);
	promise->split[1] = batch * batches - promise->split[0];
	for (uint32_t i = 0; promise->batch > 0 && i < batches; i++) {
		first += promise->batch_split[i][0];
		uint32_t now = scaled_up(first, before, batch);
		promise->batch_split[i][0] = now - scaled;
		promise->batch_split[i][1] = batch - (now - scaled);
		scaled = now;
	}
	if (promise->batch > 0)
		promise->batch = batch;
}

static void set_batch(struct pl_live_plan *plan, uint32_t batch)
{
	struct pl_scenario *scenario = &plan->scenario;
	uint32_t before = scenario->batch, ids = batch * scenario->batches;
	uint32_t ids_before = before * scenario->batches;
	for (uint32_t i = 0; i < scenario->step_count; i++) {
		struct pl_step *step = &scenario->steps[i];
		if (step->op != PL_OP_AWAIT && step->op != PL_OP_EXPECT_DEPTH)
			continue;
		step->number = step->number * batch / before;
		step->most = step->most * batch / before;
	}
	set_split(&scenario->promise, before, batch, scenario->batches);
	for (uint32_t i = 0; i < plan->topology.count; i++) {
		struct pl_params *params = &plan->topology.machines[i].params;
		params->ids = ids;
		/* What has room for all records has it still. */
		if (params->capacity >= ids_before)
			params->capacity += ids - ids_before;
	}
	scenario->promise.records = ids;
	scenario->batch = batch;
}

static bool set_speeds(
	struct pl_live_plan *plan, const struct pl_live_options *options, char *why, size_t bytes
)
{
	for (uint32_t i = 0; i < options->speed_count; i++) {
		char name[PL_NAME_BYTES];
		unsigned long us;
		if (sscanf(options->speeds[i], "%47[^=]=%lu", name, &us) != 2 || us > 10000000) {
			snprintf(why, bytes, "%s is not NAME=MICROSECONDS", options->speeds[i]);
			return false;
		}
		uint64_t machines = pl_topology_match(&plan->topology, name);
		if (machines == 0) {
			snprintf(why, bytes, "%s is no component here", name);
			return false;
		}
		for (uint32_t m = 0; m < plan->topology.count; m++)
			if (machines >> m & 1)
				plan->topology.machines[m].params.step_ns = us * 1000;
	}
	return true;
}

/* ---- pairs ---- */

static bool is_database(const struct pl_topology *topology, uint32_t address)
{
	for (uint32_t i = 0; i < topology->database_count; i++)
		if (topology->databases[i] == address)
			return true;
	return false;
}

/* The databases among these machines, by their fronts. */
static uint64_t fronts_of(const struct pl_topology *topology, uint64_t machines)
{
	uint64_t found = 0;
	for (uint32_t i = 0; i < topology->count; i++) {
		const struct pl_machine *machine = &topology->machines[i];
		if (!(machines >> i & 1))
			continue;
		if (machine->kind == &pl_member)
			found |= 1ull << machine->params.database;
		else if (is_database(topology, i))
			found |= 1ull << i;
	}
	return found;
}

/* The databases that a step fails; of a random choice those of this seed, or, without one, all that
 * it may be. */
static uint64_t
failed_by(const struct pl_topology *topology, const struct pl_step *step, const uint64_t *seed)
{
	uint64_t machines = 0;
	bool command = step->op == PL_OP_COMMAND && step->command == PL_FAIL;
	if (!command && step->op != PL_OP_CHOOSE)
		return 0;
	for (uint32_t i = 0; i < step->count; i++)
		machines |= 1ull << step->targets[i];
	if (step->op == PL_OP_CHOOSE && seed)
		machines = pl_driver_choice(step, *seed);
	return fronts_of(topology, machines);
}

void pl_live_plan_tables(
	const struct pl_live_plan *plan, uint64_t seed, uint8_t pairs[PL_STAGES_MAX][2]
)
{
	const struct pl_topology *topology = &plan->topology;
	uint64_t failing = 0;
	for (uint32_t i = 0; i < plan->scenario.step_count && !plan->loses_a_region; i++)
		failing |= failed_by(topology, &plan->scenario.steps[i], &seed);
	for (uint32_t i = 0; i < topology->database_count; i++)
		memcpy(pairs[i], plan->groups[failing >> topology->databases[i] & 1], 2);
}

static uint8_t add_pair(struct pl_live_plan *plan, uint32_t home, const char *ack)
{
	plan->homes[plan->pair_count] = (uint8_t)home;
	plan->acks[plan->pair_count] = ack;
	return (uint8_t)plan->pair_count++;
}

static void
add_group(struct pl_live_plan *plan, const struct pl_live_options *options, uint32_t group)
{
	const struct pl_topology *topology = &plan->topology;
	const struct pl_kind *kind = topology->machines[topology->databases[0]].kind;
	const char *ack = kind == &pl_majority_triple ? "received" : "none";
	/* Both nodes are killed at once: nothing but the disk keeps what was answered. */
	if (group == 1)
		ack = "durable";
	if (options->ack)
		ack = options->ack;
	plan->groups[group][0] = plan->groups[group][1] = add_pair(plan, 1, ack);
	if (kind == &pl_global_table)
		plan->groups[group][1] = add_pair(plan, 2, ack);
}

/* ---- steps ---- */

static void leave_out_stops(struct pl_live_plan *plan)
{
	struct pl_scenario *scenario = &plan->scenario;
	for (uint32_t i = 0; i < scenario->step_count;) {
		const struct pl_step *step = &scenario->steps[i];
		if (step->op != PL_OP_COMMAND || step->command != PL_STOP_CARRYING) {
			i++;
			continue;
		}
		snprintf(
			plan->left_out,
			sizeof(plan->left_out),
			"line %u, stop carrying: skipped: what real replication had not carried "
			"when the region was lost is measured instead",
			step->line
		);
		scenario->step_count--;
		memmove(&scenario->steps[i],
			&scenario->steps[i + 1],
			(scenario->step_count - i) * sizeof(scenario->steps[0]));
	}
}

/* A region that is lost loses its nodes too, and first. */
static void lose_nodes(struct pl_live_plan *plan)
{
	struct pl_scenario *scenario = &plan->scenario;
	uint32_t at = 0;
	while (at < scenario->step_count &&
	       !(scenario->steps[at].op == PL_OP_COMMAND && scenario->steps[at].command == PL_FAIL))
		at++;
	if (at == scenario->step_count || scenario->step_count == PL_STEPS_MAX)
		return;
	memmove(&scenario->steps[at + 1],
		&scenario->steps[at],
		(scenario->step_count - at) * sizeof(scenario->steps[0]));
	scenario->step_count++;
	struct pl_step *step = &scenario->steps[at];
	step->count = 0;
	for (uint32_t i = 0; i < plan->topology.database_count; i++)
		step->targets[step->count++] = plan->topology.databases[i];
}

static bool read_steps(struct pl_live_plan *plan, char *why, size_t bytes)
{
	struct pl_scenario *scenario = &plan->scenario;
	for (uint32_t i = 0; i < scenario->step_count; i++) {
		struct pl_step *step = &scenario->steps[i];
		if (step->op == PL_OP_COMMAND && step->command == PL_SWITCH_FORCED)
			plan->loses_a_region = true;
		if (step->op == PL_OP_WAIT)
			step->number *= PL_LIVE_TIMES;
		plan->failing |= failed_by(&plan->topology, step, NULL);
	}
	if (scenario->broken != PL_BROKEN_NOTHING) {
		snprintf(
			why,
			bytes,
			"a counter-example needs a schedule to be found, and live nobody chooses it"
		);
		return false;
	}
	return true;
}

bool pl_live_plan(
	struct pl_live_plan *plan,
	const struct pl_topology *topology,
	const struct pl_scenario *scenario,
	const struct pl_live_options *options,
	char *why,
	size_t bytes
)
{
	memset(plan, 0, sizeof(*plan));
	plan->topology = *topology;
	plan->scenario = *scenario;
	for (uint32_t i = 0; i < topology->count; i++) {
		struct pl_machine *machine = &plan->topology.machines[i];
		set_times(&machine->params, machine->kind == &pl_dns);
		machine->params.defects = options->defects;
		if (machine->kind == &pl_majority_triple)
			machine->params.members[2] = PL_NOBODY;
		if (machine->kind == &pl_driver)
			machine->params.scenario = &plan->scenario;
	}
	if (!read_steps(plan, why, bytes) || !set_speeds(plan, options, why, bytes))
		return false;
	if (options->batch > 0 && (uint64_t)options->batch * scenario->batches > PL_IDS_MAX) {
		snprintf(why, bytes, "more than %u records", PL_IDS_MAX);
		return false;
	}
	if (options->batch > 0)
		set_batch(plan, options->batch);
	add_group(plan, options, 0);
	if (plan->failing && !plan->loses_a_region)
		add_group(plan, options, 1);
	if (plan->loses_a_region) {
		leave_out_stops(plan);
		lose_nodes(plan);
	}
	return true;
}
