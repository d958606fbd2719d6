/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/pipeline/world.h"

#include "config/hash.h"

#include <stdarg.h>
#include <stdlib.h>

#define HEADER_BYTES offsetof(struct pl_message, records)
#define ALIGN(x) (((x) + 63) / 64 * 64)

/* Effects that mean that a record, or a database, moved on; deliveries and repeats do not. */
#define PROGRESS                                                                        \
	(1u << PL_EFFECT_ACCEPTED | 1u << PL_EFFECT_REMOVED | 1u << PL_EFFECT_WRITTEN | \
	 1u << PL_EFFECT_PUBLISHED | 1u << PL_EFFECT_ARRIVED | 1u << PL_EFFECT_SWITCHED)

void *pl_world_state(const struct pl_system *system, const struct pl_world *world, uint32_t machine)
{
	return (char *)world + system->offsets[machine];
}

struct pl_monitors *pl_world_monitors(const struct pl_system *system, const struct pl_world *world)
{
	return (struct pl_monitors *)((char *)world + system->monitors_at);
}

static inline struct pl_slot *slots_of(const struct pl_system *system, const struct pl_world *world)
{
	return (struct pl_slot *)((char *)world + system->slots_at);
}

void pl_world_break(
	struct pl_system *system, struct pl_world *world, uint32_t broken, const char *format, ...
)
{
	if (world->broken != PL_BROKEN_NOTHING)
		return;
	world->broken = (uint8_t)broken;
	va_list list;
	va_start(list, format);
	vsnprintf(system->verdict, sizeof(system->verdict), format, list);
	va_end(list);
}

/* ---- building ---- */

static uint8_t number_of_kind(struct pl_system *system, const struct pl_kind *kind)
{
	uint32_t i = 0;
	while (i < system->kind_count && system->kinds[i] != kind)
		i++;
	if (i == system->kind_count)
		system->kinds[system->kind_count++] = kind;
	return (uint8_t)i;
}

static uint64_t most(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

bool pl_system_init(
	struct pl_system *system,
	const struct pl_topology *topology,
	const struct pl_scenario *scenario,
	uint64_t defects
)
{
	memset(system, 0, sizeof(*system));
	system->topology = topology;
	system->scenario = scenario;
	system->defects = defects;
	system->tick_ns = PL_TICK_NS;
	size_t at = ALIGN(sizeof(struct pl_world));
	uint64_t longest_ns = 0;
	for (uint32_t i = 0; i < topology->count; i++) {
		const struct pl_machine *machine = &topology->machines[i];
		struct pl_params *params = &system->params[i];
		*params = machine->params;
		params->defects = defects;
		longest_ns = most(longest_ns, most(params->probe_max_ns, params->poll_ns));
		longest_ns = most(longest_ns, most(params->ttl_ns, params->step_ns));
		system->kind_of[i] = number_of_kind(system, machine->kind);
		system->offsets[i] = (uint32_t)at;
		at = ALIGN(at + machine->kind->bytes(params));
	}
	system->settle_ns = 4 * longest_ns;
	system->stuck_ns = 20 * longest_ns;
	uint32_t records = scenario->promise.records;
	system->steps_most = 20000 + 4000 * records;
	system->monitors_at = (uint32_t)at;
	at = ALIGN(at + pl_monitors_bytes(topology, &scenario->promise));
	system->slots_at = (uint32_t)at;
	system->bytes = (uint32_t)(at + PL_SLOTS * sizeof(struct pl_slot));
	system->values = calloc(records + 1, sizeof(uint64_t));
	if (scenario->failover)
		system->answered_ns = calloc(records + 1, PL_MACHINES_MAX * sizeof(uint64_t));
	bool good = system->values && (system->answered_ns || !scenario->failover);
	if (!good)
		snprintf(system->verdict, sizeof(system->verdict), "no memory");
	return good;
}

void pl_system_free(struct pl_system *system)
{
	free(system->values);
	free(system->answered_ns);
	system->values = system->answered_ns = NULL;
}

struct pl_world *pl_world_new(const struct pl_system *system)
{
	struct pl_world *world = aligned_alloc(64, ALIGN(system->bytes));
	if (world)
		memset(world, 0, ALIGN(system->bytes));
	return world;
}

size_t pl_world_bytes(const struct pl_system *system, const struct pl_world *world)
{
	return system->slots_at + world->used * sizeof(struct pl_slot);
}

static void copy_part(struct pl_world *to, const struct pl_world *from, size_t at, size_t end)
{
	memcpy((char *)to + at, (const char *)from + at, end - at);
}

void pl_world_take_back(
	const struct pl_system *system,
	struct pl_world *world,
	const struct pl_world *before,
	uint32_t machine
)
{
	uint32_t next = machine + 1;
	size_t end = next < system->topology->count ? system->offsets[next] : system->monitors_at;
	copy_part(world, before, 0, sizeof(*world));
	copy_part(world, before, system->offsets[machine], end);
	if (system->out.effect_count > 0)
		copy_part(world, before, system->monitors_at, system->slots_at);
	copy_part(world, before, system->slots_at, pl_world_bytes(system, before));
}

/* ---- messages ---- */

static void post(struct pl_system *system, struct pl_world *world, const struct pl_message *message)
{
	struct pl_slot *slots = slots_of(system, world);
	uint32_t to = message->to;
	if (to >= system->topology->count) {
		pl_world_break(
			system,
			world,
			PL_BROKEN_MACHINE,
			"%s sends %s to nobody",
			system->topology->machines[message->from].name,
			pl_message_name(message->kind)
		);
		return;
	}
	uint16_t slot = world->free;
	if (slot != PL_NO_SLOT) {
		world->free = slots[slot].next;
	} else if (world->used < PL_SLOTS) {
		slot = world->used++;
	} else {
		pl_world_break(
			system,
			world,
			PL_BROKEN_MACHINE,
			"more than %d messages under way",
			PL_SLOTS
		);
		return;
	}
	struct pl_message *copy = &slots[slot].message;
	memcpy(copy, message, HEADER_BYTES + sizeof(struct pl_record));
	for (uint32_t i = 1; i < message->count; i++)
		copy->records[i] = message->records[i];
	slots[slot].next = PL_NO_SLOT;
	if (world->ready >> to & 1)
		slots[world->tail[to]].next = slot;
	else
		world->head[to] = slot;
	world->tail[to] = slot;
	world->ready |= 1ull << to;
}

static inline uint64_t state_key(uint32_t machine, uint32_t state)
{
	uint64_t x = (machine * 64ull + state + 1) * 0x9e3779b97f4a7c15;
	x = (x ^ x >> 29) * 0xbf58476d1ce4e5b9;
	return x ^ x >> 32;
}

/* RTO and RPO. */
static void
note_failover(struct pl_system *system, struct pl_world *world, const struct pl_effect *effect)
{
	uint64_t *answered_ns = system->answered_ns + effect->machine;
	uint64_t id = effect->record.id;
	if (effect->kind == PL_EFFECT_ARRIVED && world->back_ns == 0 &&
	    effect->region == world->new_region)
		world->back_ns = world->now_ns;
	if (id > system->scenario->promise.records)
		return;
	if (effect->kind == PL_EFFECT_ANSWERED)
		answered_ns[id * PL_MACHINES_MAX] = world->now_ns;
	if (effect->kind == PL_EFFECT_LEFT_BEHIND)
		world->lost_ns =
			most(world->lost_ns, world->now_ns - answered_ns[id * PL_MACHINES_MAX]);
}

static void
note_effect(struct pl_system *system, struct pl_world *world, const struct pl_effect *effect)
{
	if (PROGRESS >> effect->kind & 1)
		world->progress_ns = world->now_ns;
	if (__builtin_expect(system->answered_ns != NULL, 0))
		note_failover(system, world, effect);
	if (!pl_monitors_see(pl_world_monitors(system, world), effect)) {
		const struct pl_monitors *monitors = pl_world_monitors(system, world);
		pl_world_break(
			system,
			world,
			pl_monitors_broken(monitors),
			"%s",
			pl_monitors_verdict(monitors)
		);
	}
	if (__builtin_expect(system->watcher.effect != NULL, 0))
		system->watcher.effect(system->watcher.context, world, effect);
}

/* Faults and switches of the scenario, as the driver sends them. */
static void note_command(struct pl_world *world, const struct pl_message *message)
{
	bool switches = message->kind == PL_SWITCH || message->kind == PL_SWITCH_FORCED ||
			message->kind == PL_OFFLINE;
	if (!switches && message->kind != PL_FAIL && message->kind != PL_CRASH)
		return;
	if (world->fault_ns == 0)
		world->fault_ns = world->now_ns;
	if (!switches)
		return;
	uint8_t region = message->kind == PL_OFFLINE ? 3 - message->region : message->region;
	if (world->new_region == 0)
		world->new_region = region;
	/* What came from there before the last step of the switch was done does not count. */
	if (world->new_region == region && world->back_ns == 0)
		world->switched_ns = world->now_ns;
}

/* What a machine gave: its state, timer, messages and effects. */
static void take_out(struct pl_system *system, struct pl_world *world, uint32_t machine)
{
	const struct pl_kind *kind = system->kinds[system->kind_of[machine]];
	struct pl_out *out = &system->out;
	uint32_t state = kind->state_of((char *)world + system->offsets[machine]);
	if (state != world->state[machine]) {
		world->components ^=
			state_key(machine, world->state[machine]) ^ state_key(machine, state);
		world->state[machine] = (uint8_t)state;
	}
	if (out->timer_ns != world->timer_ns[machine]) {
		uint64_t bit = 1ull << machine;
		world->timer_ns[machine] = out->timer_ns;
		world->due &= ~bit;
		world->armed &= ~bit;
		if (out->timer_ns != PL_NEVER) {
			world->armed |= bit;
			if (out->timer_ns < world->look_ns)
				world->look_ns = out->timer_ns;
		}
	}
	for (uint32_t i = 0; i < out->message_count; i++)
		post(system, world, &out->messages[i]);
	if (__builtin_expect(machine == system->topology->driver, 0))
		for (uint32_t i = 0; i < out->message_count; i++)
			note_command(world, &out->messages[i]);
	for (uint32_t i = 0; i < out->effect_count; i++)
		note_effect(system, world, &out->effects[i]);
}

static inline void begin_out(struct pl_system *system, struct pl_world *world, uint32_t machine)
{
	struct pl_out *out = &system->out;
	out->timer_ns = world->timer_ns[machine];
	out->message_count = 0;
	out->effect_count = 0;
	out->self = (uint8_t)machine;
	out->region = system->params[machine].region;
}

void pl_world_begin(struct pl_system *system, struct pl_world *world, uint64_t seed)
{
	memset(world, 0, system->monitors_at);
	world->look_ns = PL_NEVER;
	world->free = PL_NO_SLOT;
	world->broken = PL_BROKEN_NOTHING;
	system->verdict[0] = 0;
	uint32_t records = system->scenario->promise.records;
	for (uint32_t i = 1; i <= records; i++)
		system->values[i - 1] = pl_value_of(seed, i);
	struct pl_promise promise = system->scenario->promise;
	promise.defects = system->defects;
	pl_monitors_begin(
		pl_world_monitors(system, world), system->topology, &promise, system->values
	);
	for (uint32_t i = 0; i < system->topology->count; i++)
		world->timer_ns[i] = PL_NEVER;
	for (uint32_t i = 0; i < system->topology->count; i++) {
		struct pl_params *params = &system->params[i];
		/* The source's values come from the run's seed; the others draw on their own. */
		params->seed =
			i == system->topology->source ? seed : pl_value_of(seed, 1000000 + i);
		begin_out(system, world, i);
		system->kinds[system->kind_of[i]]->init(
			pl_world_state(system, world, i), params, &system->out
		);
		take_out(system, world, i);
	}
}

/* ---- time ---- */

/* Timers that are due and busy spells that are over; look_ns is the next moment to look again. */
static void look(struct pl_world *world)
{
	uint64_t next = PL_NEVER;
	for (uint64_t left = world->armed & ~world->due; left; left &= left - 1) {
		uint32_t i = (uint32_t)__builtin_ctzll(left);
		if (world->timer_ns[i] <= world->now_ns)
			world->due |= 1ull << i;
		else if (world->timer_ns[i] < next)
			next = world->timer_ns[i];
	}
	for (uint64_t left = world->busy; left; left &= left - 1) {
		uint32_t i = (uint32_t)__builtin_ctzll(left);
		if (world->busy_ns[i] <= world->now_ns)
			world->busy &= ~(1ull << i);
		else if (world->busy_ns[i] < next)
			next = world->busy_ns[i];
	}
	world->look_ns = next;
}

bool pl_world_early(struct pl_world *world)
{
	look(world);
	if (world->look_ns == PL_NEVER)
		return false;
	world->now_ns = world->look_ns;
	look(world);
	return true;
}

static bool end(struct pl_system *system, struct pl_world *world)
{
	struct pl_monitors *monitors = pl_world_monitors(system, world);
	if (!pl_monitors_end(monitors))
		pl_world_break(
			system,
			world,
			pl_monitors_broken(monitors),
			"%s",
			pl_monitors_verdict(monitors)
		);
	return false;
}

static bool stuck(struct pl_system *system, struct pl_world *world, const char *why)
{
	char step[160] = "the end";
	const void *driver = pl_world_state(system, world, system->topology->driver);
	uint32_t at = pl_driver_at(driver);
	if (at < system->scenario->step_count)
		pl_step_text(
			&system->scenario->steps[at], system->topology, at, step, sizeof(step)
		);
	pl_world_break(system, world, PL_BROKEN_LIVENESS, "liveness: %s at %s", why, step);
	return false;
}

bool pl_world_jump(struct pl_system *system, struct pl_world *world)
{
	const void *driver = pl_world_state(system, world, system->topology->driver);
	bool done = pl_driver_done(driver);
	look(world);
	if (world->look_ns == PL_NEVER)
		return done ? end(system, world)
			    : stuck(system, world, "nothing can move any more");
	/* A busy machine holds a record up, and does not stand. */
	uint64_t still_ns = world->look_ns - world->progress_ns;
	bool quiet = world->busy == 0 && world->look_ns > world->progress_ns;
	if (done && quiet && still_ns > system->settle_ns)
		return end(system, world);
	if (!done && quiet && still_ns > system->stuck_ns && !pl_driver_sleeps(driver))
		return stuck(system, world, "no record moves any more");
	world->now_ns = world->look_ns;
	look(world);
	return true;
}

/* ---- one delivery ---- */

static void look_at_driver(struct pl_system *system, struct pl_world *world)
{
	const void *driver = pl_world_state(system, world, system->topology->driver);
	char text[300];
	uint32_t at = pl_driver_at(driver);
	/* Asking a queue again and again whether it is empty moves nothing. */
	if (at != world->driver_at)
		world->progress_ns = world->now_ns;
	world->driver_at = at;
	if (!pl_driver_good(driver, system->topology, text, sizeof(text)))
		pl_world_break(system, world, PL_BROKEN_EXPECT, "expect: %s", text);
}

bool pl_world_step(struct pl_system *system, struct pl_world *world, uint32_t actor)
{
	static const struct pl_slot timer = {.message.kind = PL_TIMER};
	uint32_t machine = actor & (PL_MACHINES_MAX - 1);
	const struct pl_kind *kind = system->kinds[system->kind_of[machine]];
	struct pl_slot *slots = slots_of(system, world);
	const struct pl_slot *slot = &timer;
	world->now_ns += system->tick_ns;
	begin_out(system, world, machine);
	if (actor < PL_MACHINES_MAX) {
		uint16_t number = world->head[machine];
		slot = &slots[number];
		world->head[machine] = slot->next;
		if (slot->next == PL_NO_SLOT)
			world->ready &= ~(1ull << machine);
		slots[number].next = world->free;
		world->free = number;
	} else {
		world->due &= ~(1ull << machine);
		world->armed &= ~(1ull << machine);
		world->timer_ns[machine] = PL_NEVER;
		system->out.timer_ns = PL_NEVER;
	}
	system->coverage.pairs[system->kind_of[machine]][world->state[machine]] |=
		1ull << slot->message.kind;
	if (__builtin_expect(system->watcher.delivery != NULL, 0))
		system->watcher.delivery(system->watcher.context, world, actor, &slot->message);
	kind->step(
		(char *)world + system->offsets[machine],
		&slot->message,
		world->now_ns,
		&system->out
	);
	take_out(system, world, machine);
	if (__builtin_expect(system->params[machine].step_ns > 0, 0)) {
		world->busy |= 1ull << machine;
		world->busy_ns[machine] = world->now_ns + system->params[machine].step_ns;
		if (world->busy_ns[machine] < world->look_ns)
			world->look_ns = world->busy_ns[machine];
	}
	if (__builtin_expect(machine == system->topology->driver, 0))
		look_at_driver(system, world);
	if (world->now_ns >= world->look_ns)
		look(world);
	if (__builtin_expect(++world->steps >= system->steps_most, 0))
		stuck(system, world, "it goes round and round");
	return world->broken == PL_BROKEN_NOTHING;
}

/* ---- hash ---- */

/* Four lanes, because each waits for a multiplication. */
static uint64_t hash_bytes(uint64_t hash, const void *bytes, size_t count)
{
	const char *at = bytes;
	uint64_t lanes[4] = {hash, hash + 1, hash + 2, hash + 3}, word[8];
	for (; count >= sizeof(word); at += sizeof(word), count -= sizeof(word)) {
		memcpy(word, at, sizeof(word));
		for (uint32_t i = 0; i < 4; i++)
			lanes[i] = sf_mix(lanes[i] ^ word[2 * i], word[2 * i + 1]);
	}
	memset(word, 0, sizeof(word));
	memcpy(word, at, count);
	for (uint32_t i = 0; i < 4; i++)
		lanes[i] = sf_mix(lanes[i] ^ word[2 * i], word[2 * i + 1] + count);
	return sf_mix(sf_mix(lanes[0], lanes[1]), sf_mix(lanes[2], lanes[3]));
}

static void rehash(const struct pl_system *system, struct pl_world *world, uint32_t i)
{
	bool monitors = i == system->topology->count;
	uint32_t at = monitors ? system->monitors_at : system->offsets[i];
	uint32_t end = monitors				  ? system->slots_at
		       : i + 1 == system->topology->count ? system->monitors_at
							  : system->offsets[i + 1];
	world->hashes[i] = hash_bytes(i, (const char *)world + at, end - at);
}

void pl_world_rehash(const struct pl_system *system, struct pl_world *world, uint32_t machine)
{
	uint32_t count = system->topology->count;
	if (machine < count)
		rehash(system, world, machine);
	else
		for (uint32_t i = 0; i < count; i++)
			rehash(system, world, i);
	if (machine >= count || system->out.effect_count > 0)
		rehash(system, world, count);
}

uint64_t pl_world_hash(const struct pl_system *system, const struct pl_world *world)
{
	const struct pl_slot *slots = slots_of(system, world);
	uint64_t hash = world->broken;
	for (uint32_t i = 0; i <= system->topology->count; i++)
		hash = sf_mix(hash, world->hashes[i]);
	for (uint64_t left = world->ready; left; left &= left - 1) {
		uint32_t machine = (uint32_t)__builtin_ctzll(left);
		for (uint16_t i = world->head[machine]; i != PL_NO_SLOT; i = slots[i].next)
			hash = hash_bytes(
				hash + machine,
				&slots[i].message,
				HEADER_BYTES + slots[i].message.count * sizeof(struct pl_record)
			);
	}
	for (uint64_t left = world->armed; left; left &= left - 1) {
		uint32_t machine = (uint32_t)__builtin_ctzll(left);
		hash = sf_mix(hash + machine, world->timer_ns[machine] - world->now_ns);
	}
	return sf_mix(hash, world->due);
}
