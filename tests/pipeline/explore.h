/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Very many schedules of one scenario: runs them one after the other until one breaks something,
 * counts what was seen, shortens a broken one, and shows it as messages.
 *
 * A schedule is (scenario, defects, strategy, seed); schedule i of an exploration that began with
 * seed S has seed S + i.
 */
#pragma once

#include "tests/pipeline/set.h"
#include "tests/pipeline/strategy.h"

struct pl_explore_options {
	enum pl_strategy_kind strategy;
	uint64_t seed, schedules;
	uint32_t change_points;
	uint64_t defects;      /* beside the scenario's own */
	uint64_t states_most;  /* exhaustive: gives up behind so many */
	uint32_t early_timers; /* exhaustive: on one path */
};

struct pl_found {
	uint64_t schedules, steps;
	double seconds;
	uint64_t states; /* distinct vectors of component states; exhaustive: of whole worlds */
	uint64_t paths;	 /* exhaustive: that came to an end */
	bool complete;	 /* exhaustive: there is nothing else */
	uint32_t broken; /* enum pl_broken or pl_monitor */
	uint64_t seed;	 /* of the broken schedule */
	char verdict[PL_VERDICT_MOST];
	uint8_t *choices; /* owned: the broken schedule */
	uint32_t choice_count;
	uint32_t full_choices; /* before it was shortened */
	/* Of those that came to their end. */
	uint64_t rto_max_ns, rto_sum_ns, rto_count;
	uint64_t lost_max_ns;
	uint64_t lost_max, lost_sum; /* answered by a database, left behind by a forced switch */
	uint64_t arrived_least;
	uint64_t overlooked; /* schedules that passed for monitors that had stopped looking */
};

/* Room that the explorations share. */
struct pl_explorer {
	struct pl_system system;
	struct pl_world *world;
	uint8_t *choices; /* of the schedule that runs */
	uint32_t choice_count;
	uint32_t expected_steps;
	struct pl_set states;
};

/* False without memory. Free in any case. */
bool pl_explorer_init(
	struct pl_explorer *explorer,
	const struct pl_topology *topology,
	const struct pl_scenario *scenario,
	uint64_t defects
);
void pl_explorer_free(struct pl_explorer *explorer);

/* One schedule, from its beginning to its end or to what breaks; tells what broke. */
uint32_t pl_explorer_run(struct pl_explorer *explorer, struct pl_strategy *strategy, uint64_t seed);
/* All of them, until one breaks. found->choices is to be freed. */
void pl_explore(
	struct pl_explorer *explorer,
	const struct pl_explore_options *options,
	struct pl_found *found
);
/* exhaustive.c */
void pl_explore_all(
	struct pl_explorer *explorer,
	const struct pl_explore_options *options,
	struct pl_found *found
);
/* shrink.c: fewer choices, and fewer switches between machines, that break the same. At most `runs`
 * schedules are tried. */
void pl_shrink(struct pl_explorer *explorer, struct pl_found *found, uint32_t runs);

/* trace.c: every delivery of the broken schedule as a line, the last `lines` of them. Returns how
 * many there were. */
uint32_t
pl_trace(struct pl_explorer *explorer, const struct pl_found *found, uint32_t lines, FILE *to);
