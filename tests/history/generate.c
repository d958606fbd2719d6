/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The reference execution: a log of register updates, written once more for the test.
 */
#include "tests/history/generate.h"

#include "config/check.h"

#include <stdlib.h>
#include <string.h>

struct asset {
	int64_t value;
	uint64_t version;
	uint64_t sequence; /* of the last update */
};

struct event {
	uint64_t at_ns;
	uint32_t operation; /* or one of those below */
	bool again;
};

enum { SKIP = GEN_OPERATIONS, PHANTOM, REMEMBER, FORGET };

struct world {
	struct gen_plan *plan;
	struct asset asset[GEN_ASSETS];
	struct asset remembered[GEN_ASSETS];
	uint64_t sequence;
};

/* --- Drawing --- */

static bool one_in(struct random *random, uint32_t n)
{
	return random_below(random, n) == 0;
}

static int64_t draw_value(struct random *random)
{
	if (one_in(random, 24))
		return one_in(random, 2) ? INT64_MAX - 1 : INT64_MIN + 1;
	return (int64_t)random_below(random, 7) - 2;
}

static void draw_epochs(struct gen_plan *plan, struct random *random)
{
	plan->epochs = 1 + (uint32_t)random_below(random, GEN_EPOCHS);
	uint64_t from_ns = 0;
	uint32_t epoch = 2;
	for (uint32_t i = 0; i < plan->epochs; i++) {
		plan->epoch[i].from_ns = from_ns;
		plan->epoch[i].epoch = epoch;
		plan->epoch[i].node = (uint8_t)(1 + random_below(random, 2));
		from_ns += 1 + random_below(random, 2 * plan->end_ns / plan->epochs);
		epoch += 1 + (uint32_t)random_below(random, 2);
	}
}

static void draw_fate(struct gen_operation *o, const struct gen_plan *plan, struct random *random)
{
	uint64_t latency_ns = 1 + random_below(random, one_in(random, 6) ? 400 : 40);
	o->effect_ns = o->asked.invoked_ns + random_below(random, latency_ns + 1);
	o->return_ns = o->asked.invoked_ns + latency_ns;
	o->again_ns = HIST_NEVER;
	o->same_as = HIST_NONE;
	if (one_in(random, 5))
		o->repeats = 1 + (uint32_t)random_below(random, 2);
	if (!one_in(random, 8))
		return;
	/* The answer is lost, or the request; what is applied may be applied late. */
	o->return_ns = HIST_NEVER;
	if (one_in(random, 2))
		o->effect_ns = HIST_NEVER;
	else if (one_in(random, 2))
		o->effect_ns = o->asked.invoked_ns + random_below(random, plan->end_ns);
}

void gen_draw(struct gen_plan *plan, struct random *random)
{
	memset(plan, 0, sizeof(*plan));
	plan->assets = 1 + (uint32_t)random_below(random, GEN_ASSETS);
	plan->count = 4 + (uint32_t)random_below(random, 22 * plan->assets);
	plan->finals = (uint32_t)random_below(random, 3);
	plan->end_ns = 20 + plan->count * (2 + random_below(random, 30));
	plan->skip_ns = plan->phantom_ns = plan->amnesia_ns = HIST_NEVER;
	draw_epochs(plan, random);
	uint32_t clients = 1 + (uint32_t)random_below(random, 6);
	uint32_t writes = 1 + (uint32_t)random_below(random, 4);
	uint64_t request[8] = {0};
	for (uint32_t i = 0; i < plan->count; i++) {
		struct gen_operation *o = &plan->operation[i];
		uint64_t client = random_below(random, clients);
		uint8_t opcode = (uint8_t)(1 + random_below(random, 4));
		if (opcode == CLI_REGISTER_GET && one_in(random, writes))
			opcode = CLI_REGISTER_ADD;
		o->asked = (struct hist_operation){
			.client_id = 70 + client,
			.request_seq = ++request[client],
			.asset_id = 1 + random_below(random, plan->assets),
			.invoked_ns = 1 + random_below(random, plan->end_ns),
			.argument = {draw_value(random), draw_value(random)},
			.opcode = opcode,
		};
		if (opcode != CLI_REGISTER_CAS)
			o->asked.argument[1] = 0;
		if (opcode == CLI_REGISTER_GET)
			o->asked.argument[0] = 0;
		draw_fate(o, plan, random);
	}
	/* Some reads are sent twice, and executed twice. */
	uint32_t drawn = plan->count;
	for (uint32_t i = 0; i < drawn; i++) {
		struct gen_operation *o = &plan->operation[i];
		if (o->asked.opcode != CLI_REGISTER_GET || !one_in(random, 8))
			continue;
		struct gen_operation *twin = &plan->operation[plan->count++];
		*twin = *o;
		draw_fate(twin, plan, random);
		twin->same_as = i;
	}
	CHECK(plan->count <= GEN_OPERATIONS);
}

/* --- Running --- */

static uint32_t epoch_at(const struct gen_plan *plan, uint64_t now_ns)
{
	uint32_t i = plan->epochs - 1;
	while (i > 0 && plan->epoch[i].from_ns > now_ns)
		i--;
	return i;
}

/* Who answers: the primary of the effect if it still is, with the epoch that it then has; else the
 * new one, as a repeat. */
static void
stamp(const struct gen_plan *plan,
      const struct gen_operation *o,
      uint64_t now_ns,
      struct hist_answer *answer)
{
	uint32_t from = epoch_at(plan, o->effect_ns), to = epoch_at(plan, now_ns);
	if (o->asked.opcode == CLI_REGISTER_GET)
		to = from;
	for (uint32_t i = from; i < to; i++) {
		if (plan->epoch[i].node != plan->epoch[to].node)
			answer->repeat = true;
	}
	if (o->old_primary && from > 0)
		to = from - 1;
	answer->epoch = plan->epoch[to].epoch;
	answer->node = plan->epoch[to].node;
}

static struct hist_answer execute(struct world *world, const struct gen_operation *o)
{
	struct asset *asset = &world->asset[o->asked.asset_id - 1];
	const int64_t *argument = o->asked.argument;
	struct hist_answer answer = {.status = CLI_OK, .value = argument[0]};
	struct asset old = *asset;
	bool mismatch = false;
	if (o->asked.opcode == CLI_REGISTER_GET) {
		answer.value = asset->value;
		answer.version = asset->version;
		answer.sequence = asset->sequence;
		return answer;
	}
	answer.sequence = ++world->sequence;
	if (o->asked.opcode == CLI_REGISTER_ADD) {
		if (__builtin_add_overflow(asset->value, argument[0], &answer.value))
			answer.reason = CLI_REGISTER_OVERFLOW;
	} else if (o->asked.opcode == CLI_REGISTER_CAS) {
		mismatch = asset->value != argument[0];
		mismatch = (mismatch && !o->accepted_wrongly) || o->refused_wrongly;
		answer.value = mismatch ? asset->value : argument[1];
		answer.reason = mismatch ? CLI_REGISTER_MISMATCH : 0;
	}
	if (answer.reason == 0) {
		asset->value = answer.value;
		asset->version++;
		asset->sequence = answer.sequence;
	} else {
		answer.status = CLI_REJECTED;
		if (!mismatch)
			answer.value = 0;
	}
	answer.version = asset->version;
	if (o->rolled_back) {
		*asset = old;
		world->sequence--;
	}
	return answer;
}

static int by_time(const void *left, const void *right)
{
	const struct event *a = left, *b = right;
	if (a->at_ns != b->at_ns)
		return a->at_ns < b->at_ns ? -1 : 1;
	return (a->operation > b->operation) - (a->operation < b->operation);
}

static uint32_t list_events(const struct gen_plan *plan, struct event *event)
{
	uint32_t count = 0;
	for (uint32_t i = 0; i < plan->count; i++) {
		const struct gen_operation *o = &plan->operation[i];
		if (o->effect_ns != HIST_NEVER)
			event[count++] = (struct event){o->effect_ns, i, false};
		if (o->again_ns != HIST_NEVER)
			event[count++] = (struct event){o->again_ns, i, true};
	}
	if (plan->skip_ns != HIST_NEVER)
		event[count++] = (struct event){plan->skip_ns, SKIP, false};
	if (plan->phantom_ns != HIST_NEVER)
		event[count++] = (struct event){plan->phantom_ns, PHANTOM, false};
	if (plan->amnesia_ns != HIST_NEVER) {
		event[count++] = (struct event){plan->remembered_ns, REMEMBER, false};
		event[count++] = (struct event){plan->amnesia_ns, FORGET, false};
	}
	qsort(event, count, sizeof(*event), by_time);
	return count;
}

static void run_event(struct world *world, const struct event *event)
{
	struct gen_operation *o;
	switch (event->operation) {
	case SKIP:
		world->asset[0].version++;
		return;
	case PHANTOM:
		world->asset[0].version++;
		world->asset[0].value ^= 1;
		world->asset[0].sequence = ++world->sequence;
		return;
	case REMEMBER:
		memcpy(world->remembered, world->asset, sizeof(world->asset));
		return;
	case FORGET:
		memcpy(world->asset, world->remembered, sizeof(world->asset));
		return;
	}
	o = &world->plan->operation[event->operation];
	if (event->again) {
		o->second = execute(world, o);
		return;
	}
	o->answer = execute(world, o);
	o->took_place = true;
}

/* Answers that finish nothing: of another node, of a full one, or when nobody remembers. */
static void tell_nothing(
	const struct gen_plan *plan,
	struct random *random,
	struct gen_operation *o,
	struct hist_history *history
)
{
	static const uint8_t statuses[] = {CLI_NOT_PRIMARY, CLI_BUSY, CLI_FORGOTTEN};
	uint64_t now_ns = o->asked.invoked_ns + random_below(random, 100);
	uint32_t e = epoch_at(plan, now_ns);
	struct hist_answer answer = {
		.returned_ns = now_ns,
		.status = statuses[random_below(random, 3)],
		.epoch = plan->epoch[e].epoch,
		.node = plan->epoch[e].node,
	};
	if (answer.status == CLI_NOT_PRIMARY)
		answer.node = (uint8_t)(3 - answer.node);
	hist_answer(history, o->index, &answer);
}

static void
tell(const struct gen_plan *plan,
     struct random *random,
     struct gen_operation *o,
     struct hist_history *history)
{
	if (one_in(random, 10) && o->asked.opcode != CLI_REGISTER_GET)
		tell_nothing(plan, random, o, history);
	if (o->return_ns == HIST_NEVER || !o->took_place)
		return;
	uint32_t repeats = o->asked.opcode == CLI_REGISTER_GET ? 0 : o->repeats;
	struct hist_answer answer = o->answer;
	answer.returned_ns = o->return_ns;
	stamp(plan, o, o->return_ns, &answer);
	o->answer = answer;
	/* Datagrams overtake one another: a repeat may come before the first. */
	bool late = repeats > 0 && one_in(random, 3);
	if (!late)
		hist_answer(history, o->index, &answer);
	for (uint32_t i = 0; i < repeats; i++) {
		struct hist_answer repeat = o->answer;
		repeat.returned_ns += random_below(random, 60);
		stamp(plan, o, repeat.returned_ns, &repeat);
		repeat.repeat = repeat.repeat || one_in(random, 2);
		if (!repeat.repeat && repeat.epoch != o->answer.epoch)
			repeat.repeat = true;
		hist_answer(history, o->index, &repeat);
	}
	if (late)
		hist_answer(history, o->index, &answer);
	if (o->answered_again) {
		o->second.returned_ns = o->again_ns + 1;
		stamp(plan, o, o->second.returned_ns, &o->second);
		hist_answer(history, o->index, &o->second);
	}
}

void gen_run(struct gen_plan *plan, struct random *random, struct gen_history *out)
{
	struct hist_room room = {
		out->operations,
		out->answers,
		out->finals,
		GEN_OPERATIONS,
		GEN_ANSWERS,
		GEN_FINALS,
	};
	struct world world = {.plan = plan};
	struct event event[2 * GEN_OPERATIONS + 4];
	uint32_t events = list_events(plan, event);
	for (uint32_t i = 0; i < events; i++)
		run_event(&world, &event[i]);
	hist_init(&out->history, &room);
	for (uint32_t i = 0; i < plan->count; i++) {
		struct gen_operation *o = &plan->operation[i];
		o->index = o->same_as != HIST_NONE ? plan->operation[o->same_as].index
						   : hist_invoke(&out->history, &o->asked);
	}
	for (uint32_t i = 0; i < plan->count; i++)
		tell(plan, random, &plan->operation[i], &out->history);
	for (uint32_t node = 1; node <= plan->finals; node++) {
		for (uint32_t a = 0; a < plan->assets; a++) {
			struct hist_final final = {
				.asset_id = a + 1,
				.version = world.asset[a].version,
				.sequence = world.asset[a].sequence,
				.value = world.asset[a].value,
				.node = (uint8_t)node,
			};
			hist_final(&out->history, &final);
		}
	}
	CHECK(out->history.dropped == 0);
}
