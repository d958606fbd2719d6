/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A schedule as a sequence of messages: time, who to whom, what, which records; behind each what it
 * did (effects), and which state the machine went to.
 */
#include "tests/pipeline/explore.h"

#include <ctype.h>

struct tracer {
	FILE *to; /* NULL: only counted */
	uint32_t seen, skip;
	const struct pl_topology *topology;
	const struct pl_system *system;
};

static void lower(FILE *to, const char *name)
{
	for (; *name; name++)
		fputc(*name == '_' ? ' ' : tolower((unsigned char)*name), to);
}

static void print_records(FILE *to, const struct pl_message *message)
{
	uint32_t count = message->count < PL_BATCH_MAX ? message->count : PL_BATCH_MAX;
	for (uint32_t i = 0; i < count; i++)
		fprintf(to, "%s#%llu", i ? "," : " ", (unsigned long long)message->records[i].id);
}

static void print_delivery(
	void *context,
	const struct pl_world *world,
	uint32_t actor,
	const struct pl_message *message
)
{
	struct tracer *tracer = context;
	const struct pl_machine *machines = tracer->topology->machines;
	if (tracer->seen++ < tracer->skip || !tracer->to)
		return;
	FILE *to = tracer->to;
	fprintf(to, "\n%9.3f ms  ", (double)world->now_ns * 1e-6);
	if (actor >= PL_MACHINES_MAX) {
		fprintf(to, "%-28s    timer", machines[actor - PL_MACHINES_MAX].name);
		return;
	}
	fprintf(to, "%-28s -> %-28s ", machines[message->from].name, machines[message->to].name);
	lower(to, pl_message_name(message->kind));
	print_records(to, message);
	if (message->status != PL_OK) {
		fprintf(to, " ");
		lower(to, pl_status_name(message->status));
	}
	if (message->position > 0 && message->count == 0 && message->position != PL_NEVER)
		fprintf(to, " %llu", (unsigned long long)message->position);
}

static void
print_effect(void *context, const struct pl_world *world, const struct pl_effect *effect)
{
	struct tracer *tracer = context;
	const struct pl_machine *machine = &tracer->topology->machines[effect->machine];
	(void)world;
	if (tracer->seen <= tracer->skip || !tracer->to)
		return;
	FILE *to = tracer->to;
	if (effect->kind == PL_EFFECT_STATE) {
		uint64_t from = effect->record.id, into = effect->record.value;
		if (from < machine->kind->state_count && into < machine->kind->state_count)
			fprintf(to,
				"  [%s: %s -> %s]",
				machine->name,
				machine->kind->states[from],
				machine->kind->states[into]);
		return;
	}
	fprintf(to, "  [");
	lower(to, pl_effect_name(effect->kind));
	if (effect->record.id > 0)
		fprintf(to, " #%llu", (unsigned long long)effect->record.id);
	fprintf(to, "]");
}

/* Where each machine stands in the end, but for those that are as at the beginning. */
static void print_states(const struct pl_explorer *explorer, FILE *to)
{
	const struct pl_topology *topology = explorer->system.topology;
	for (uint32_t i = 0; i < topology->count; i++) {
		const struct pl_kind *kind = topology->machines[i].kind;
		uint32_t state = explorer->world->state[i];
		if (state > 0 && state < kind->state_count)
			fprintf(to, "    %s: %s\n", topology->machines[i].name, kind->states[state]
			);
	}
}

static void replay(struct pl_explorer *explorer, const struct pl_found *found)
{
	struct pl_strategy strategy;
	pl_strategy_replay(&strategy, found->choices, found->choice_count);
	pl_explorer_run(explorer, &strategy, found->seed);
}

uint32_t
pl_trace(struct pl_explorer *explorer, const struct pl_found *found, uint32_t lines, FILE *to)
{
	struct tracer tracer = {.topology = explorer->system.topology, .system = &explorer->system};
	explorer->system.watcher = (struct pl_watcher){print_delivery, print_effect, &tracer};
	replay(explorer, found);
	uint32_t all = tracer.seen;
	tracer.seen = 0;
	tracer.skip = all > lines ? all - lines : 0;
	tracer.to = to;
	replay(explorer, found);
	fprintf(to, "\n%9.3f ms  %s\n", (double)explorer->world->now_ns * 1e-6, found->verdict);
	print_states(explorer, to);
	explorer->system.watcher = (struct pl_watcher){0};
	return all;
}
