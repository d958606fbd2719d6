/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Who is next: the strategies that walk one schedule each. All draw from one seed, so (scenario,
 * strategy, seed) is the schedule.
 *
 *   random   each actor that may run is equally likely
 *   pct      each actor has a priority, drawn at the start; the highest that may run does, but at
 *            d - 1 steps, drawn over the schedule's expected length, the one that would run drops
 *            below all others. Finds any bug that d ordered events make with a probability that
 *            does not shrink with the number of schedules there are. Fair: an actor that could run
 *            all through a window of half the expected length and did not is put first; else a
 *            destination that polls, or a worker that probes, could run for ever.
 *   list     a recorded schedule: the next choice that may run; those that may not are skipped;
 *            behind its end, and with an empty list, one actor runs until it has nothing to do,
 *            then the next higher one (round-robin): the schedule with the fewest switches
 *
 * Source: Burckhardt et al., "A Randomized Scheduler with Probabilistic Guarantees of Finding
 * Bugs", ASPLOS 2010.
 */
#pragma once

#include "tests/pipeline/world.h"

#define PL_CHANGE_POINTS_MAX 16

enum pl_strategy_kind {
	PL_STRATEGY_RANDOM,
	PL_STRATEGY_PCT,
	PL_STRATEGY_EXHAUSTIVE, /* exhaustive.h: many schedules at once */
	PL_STRATEGY_LIST,
	PL_STRATEGIES,
};
extern const char *const pl_strategy_names[]; /* NULL at the end; without the list */

struct pl_strategy {
	enum pl_strategy_kind kind;
	uint64_t random;
	uint32_t step;
	/* pct */
	uint32_t expected_steps, window, change_points;
	uint32_t changes[PL_CHANGE_POINTS_MAX]; /* steps, sorted */
	uint32_t change;			/* the next one */
	int32_t lowest, highest;
	int32_t priorities[PL_ACTORS];
	uint64_t waiting[2]; /* could run in this window since it began, and did not */
	/* list */
	const uint8_t *choices;
	uint32_t choice_count, choice;
	uint32_t last; /* actor */
};

void pl_strategy_begin(
	struct pl_strategy *strategy,
	enum pl_strategy_kind kind,
	uint32_t expected_steps,
	uint32_t change_points,
	uint64_t seed
);
void pl_strategy_replay(struct pl_strategy *strategy, const uint8_t *choices, uint32_t count);
/* One of the actors in ready (messages) and due (timers); at least one is. */
uint32_t pl_strategy_pick(struct pl_strategy *strategy, uint64_t ready, uint64_t due);
