/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/pipeline/explore.h"

#include <time.h>

bool pl_explorer_init(
	struct pl_explorer *explorer,
	const struct pl_topology *topology,
	const struct pl_scenario *scenario,
	uint64_t defects
)
{
	memset(explorer, 0, sizeof(*explorer));
	bool good =
		pl_system_init(&explorer->system, topology, scenario, defects | scenario->defects);
	explorer->world = good ? pl_world_new(&explorer->system) : NULL;
	explorer->choices = malloc(explorer->system.steps_most + 1);
	if (!pl_set_init(&explorer->states, 12) || !explorer->world || !explorer->choices)
		return false;
	/* How long a schedule is, for pct: of the plainest one, so that it is the same in every
	 * run. */
	struct pl_strategy plain;
	pl_strategy_replay(&plain, NULL, 0);
	pl_explorer_run(explorer, &plain, 0);
	explorer->expected_steps = explorer->world->steps;
	return true;
}

void pl_explorer_free(struct pl_explorer *explorer)
{
	pl_set_free(&explorer->states);
	free(explorer->choices);
	free(explorer->world);
	pl_system_free(&explorer->system);
}

uint32_t pl_explorer_run(struct pl_explorer *explorer, struct pl_strategy *strategy, uint64_t seed)
{
	struct pl_system *system = &explorer->system;
	struct pl_world *world = explorer->world;
	uint64_t components = 0;
	pl_world_begin(system, world, seed);
	explorer->choice_count = 0;
	while (world->broken == PL_BROKEN_NOTHING) {
		uint64_t ready = pl_world_ready(world), due = pl_world_due(world);
		if (!(ready | due)) {
			if (!pl_world_jump(system, world))
				break;
			continue;
		}
		uint32_t actor = pl_strategy_pick(strategy, ready, due);
		explorer->choices[explorer->choice_count++] = (uint8_t)actor;
		pl_world_step(system, world, actor);
		/* Every 16th step: a look into a large table costs as much as a delivery. */
		if (world->steps % 16 == 0 && world->components != components) {
			components = world->components;
			pl_set_add(&explorer->states, components);
		}
	}
	return world->broken;
}

static double seconds(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static void keep_broken(struct pl_explorer *explorer, struct pl_found *found, uint64_t seed)
{
	found->broken = explorer->world->broken;
	found->seed = seed;
	memcpy(found->verdict, explorer->system.verdict, sizeof(found->verdict));
	found->choice_count = found->full_choices = explorer->choice_count;
	found->choices = malloc(explorer->choice_count + 1);
	if (found->choices)
		memcpy(found->choices, explorer->choices, explorer->choice_count);
	else
		found->choice_count = 0;
}

static void measure(struct pl_explorer *explorer, struct pl_found *found)
{
	const struct pl_world *world = explorer->world;
	const struct pl_monitors *monitors = pl_world_monitors(&explorer->system, world);
	if (world->back_ns > 0) {
		uint64_t rto_ns = world->back_ns - world->fault_ns;
		found->rto_sum_ns += rto_ns;
		found->rto_count++;
		if (rto_ns > found->rto_max_ns)
			found->rto_max_ns = rto_ns;
	}
	if (world->lost_ns > found->lost_max_ns)
		found->lost_max_ns = world->lost_ns;
	uint64_t lost = pl_monitors_left_behind(monitors);
	found->lost_sum += lost;
	if (lost > found->lost_max)
		found->lost_max = lost;
	found->overlooked +=
		world->broken == PL_BROKEN_NOTHING && pl_monitors_overlooked(monitors) > 0;
	uint64_t arrived = pl_monitors_arrived(monitors);
	if (arrived < found->arrived_least)
		found->arrived_least = arrived;
}

void pl_explore(
	struct pl_explorer *explorer,
	const struct pl_explore_options *options,
	struct pl_found *found
)
{
	struct pl_strategy strategy;
	double begun = seconds();
	*found = (struct pl_found){.broken = PL_BROKEN_NOTHING, .arrived_least = UINT64_MAX};
	if (options->strategy == PL_STRATEGY_EXHAUSTIVE) {
		pl_explore_all(explorer, options, found);
		found->seconds = seconds() - begun;
		return;
	}
	for (uint64_t i = 0; i < options->schedules && found->broken == PL_BROKEN_NOTHING; i++) {
		uint64_t seed = options->seed + i;
		pl_strategy_begin(
			&strategy,
			options->strategy,
			explorer->expected_steps,
			options->change_points,
			seed
		);
		uint32_t broken = pl_explorer_run(explorer, &strategy, seed);
		found->schedules++;
		found->steps += explorer->world->steps;
		measure(explorer, found);
		if (broken != PL_BROKEN_NOTHING)
			keep_broken(explorer, found, seed);
	}
	found->states = explorer->states.count;
	found->seconds = seconds() - begun;
}
