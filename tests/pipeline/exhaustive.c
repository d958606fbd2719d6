/* SPDX-License-Identifier: BSD-3-Clause
 *
 * All schedules of a small scenario: depth first, with a set of the states that were seen, whole
 * worlds by hash (machines, messages under way in their order, timers, monitors).
 *
 * Untimed: a delivery takes no time, and time moves only when a timer comes. A timer comes when
 * nothing else can be delivered, the earliest first; beyond that the earliest may come although
 * something can be delivered, at most options->early_timers times on a path. So it ends: between
 * two timers there are finitely many deliveries, the early ones are counted, and the others stop
 * when the driver is done and nothing moved for a while, as in every strategy. Every path is one
 * that can happen (deliveries may be as fast as they like), so what it finds is real; what it
 * leaves out is timers that come early more often than that, or not in their order.
 */
#include "tests/pipeline/explore.h"

struct frame {
	uint64_t ready, due; /* still to be tried */
	bool early;
	uint8_t choice; /* the one that led on from here */
	uint32_t earlies;
	struct pl_world *world;
};

struct search {
	struct pl_explorer *explorer;
	const struct pl_explore_options *options;
	struct pl_found *found;
	struct frame *frames;
	uint32_t depth, most;
	uint32_t dirty; /* what of the world is not as in the topmost frame */
};

/* The marks of choices that are no actor: an early timer is followed by the timer's own choice, so
 * it needs none in a list that is replayed with time; the list is for reading. */
#define CHOICE_EARLY (PL_ACTORS - 1)

#define DIRTY_NOTHING PL_ACTORS
#define DIRTY_ALL (PL_ACTORS + 1) /* below: one machine made a step */

static void keep(struct search *s)
{
	struct pl_found *found = s->found;
	const struct pl_world *world = s->explorer->world;
	found->broken = world->broken;
	found->seed = s->options->seed;
	memcpy(found->verdict, s->explorer->system.verdict, sizeof(found->verdict));
	found->choices = malloc(s->depth + 1);
	found->choice_count = found->choices ? s->depth : 0;
	found->full_choices = found->choice_count;
	for (uint32_t i = 0; i < found->choice_count; i++)
		found->choices[i] = s->frames[i].choice;
}

/* Puts the world on the stack with all that can be done in it, after the jumps that need no choice.
 * False: there is no memory. A world that was seen, or has come to its end, is not put there. */
static bool push(struct search *s, uint32_t earlies)
{
	struct pl_system *system = &s->explorer->system;
	struct pl_world *world = s->explorer->world;
	while (!(pl_world_ready(world) | pl_world_due(world))) {
		if (!pl_world_jump(system, world)) {
			s->found->paths++;
			s->dirty = DIRTY_ALL;
			return true;
		}
	}
	if (!pl_set_add(&s->explorer->states, pl_world_hash(system, world) + earlies))
		return true;
	struct frame *frame = &s->frames[s->depth];
	if (!frame->world)
		frame->world = pl_world_new(system);
	if (!frame->world)
		return false;
	memcpy(frame->world, world, pl_world_bytes(system, world));
	frame->ready = pl_world_ready(world);
	frame->due = pl_world_due(world);
	frame->early =
		earlies < s->options->early_timers && world->look_ns != PL_NEVER && frame->due == 0;
	frame->earlies = earlies;
	s->depth++;
	s->dirty = DIRTY_NOTHING;
	return true;
}

/* Takes the next untried choice of the frame. */
static bool advance(struct search *s, struct frame *frame)
{
	struct pl_system *system = &s->explorer->system;
	struct pl_world *world = s->explorer->world;
	uint32_t actor, earlies = frame->earlies;
	if (s->dirty == DIRTY_ALL)
		memcpy(world, frame->world, pl_world_bytes(system, frame->world));
	else if (s->dirty != DIRTY_NOTHING)
		pl_world_take_back(system, world, frame->world, s->dirty);
	s->dirty = DIRTY_ALL;
	if (frame->ready) {
		actor = (uint32_t)__builtin_ctzll(frame->ready);
		frame->ready &= frame->ready - 1;
	} else if (frame->due) {
		actor = PL_MACHINES_MAX + (uint32_t)__builtin_ctzll(frame->due);
		frame->due &= frame->due - 1;
	} else {
		frame->early = false;
		pl_world_early(world);
		actor = CHOICE_EARLY;
		earlies++;
	}
	frame->choice = (uint8_t)actor;
	if (actor != CHOICE_EARLY) {
		s->found->steps++;
		pl_world_step(system, world, actor);
		pl_world_rehash(system, world, actor % PL_MACHINES_MAX);
		s->dirty = actor % PL_MACHINES_MAX;
	}
	bool good = world->broken != PL_BROKEN_NOTHING || push(s, earlies);
	if (world->broken != PL_BROKEN_NOTHING)
		keep(s);
	return good;
}

static bool search(struct search *s)
{
	bool good = push(s, 0);
	while (good && s->depth > 0 && s->found->broken == PL_BROKEN_NOTHING) {
		struct frame *frame = &s->frames[s->depth - 1];
		if (!frame->ready && !frame->due && !frame->early) {
			s->depth--;
			s->dirty = DIRTY_ALL;
		} else if (s->depth == s->most || s->explorer->states.count >= s->options->states_most)
			good = false;
		else
			good = advance(s, frame);
	}
	return good;
}

void pl_explore_all(
	struct pl_explorer *explorer,
	const struct pl_explore_options *options,
	struct pl_found *found
)
{
	struct search s = {
		.explorer = explorer,
		.options = options,
		.found = found,
		.most = explorer->system.steps_most,
	};
	s.frames = calloc(s.most + 1, sizeof(struct frame));
	uint64_t tick_ns = explorer->system.tick_ns;
	explorer->system.tick_ns = 0;
	explorer->states.count = 0;
	memset(explorer->states.keys, 0, (explorer->states.mask + 1) * sizeof(uint64_t));
	pl_world_begin(&explorer->system, explorer->world, options->seed);
	pl_world_rehash(&explorer->system, explorer->world, PL_MACHINES_MAX);
	found->complete = s.frames && search(&s) && found->broken == PL_BROKEN_NOTHING;
	explorer->system.tick_ns = tick_ns;
	for (uint32_t i = 0; s.frames && i <= s.most; i++)
		free(s.frames[i].world);
	free(s.frames);
	found->schedules = found->paths;
	found->states = explorer->states.count;
	found->arrived_least = 0;
}
