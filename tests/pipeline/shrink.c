/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Shortening a broken schedule. Its choices are a list of actors, and what the list leaves out is
 * filled in by the plainest schedule; so first the end of the list goes, then pieces of it, halves
 * first, as long as the same monitor breaks; then choices of one actor are drawn together.
 */
#include "tests/pipeline/explore.h"

/* A schedule that goes round and round is long, and thousands of it would take minutes. */
#define STEPS_MOST 50000000

struct shrinker {
	struct pl_explorer *explorer;
	struct pl_found *found;
	uint8_t *trial; /* as long as the choices */
	uint32_t runs;
	uint64_t steps; /* that may still be made */
};

/* Runs a candidate; keeps it when the same breaks. */
static bool try_it(struct shrinker *s, uint32_t count)
{
	if (s->runs == 0)
		return false;
	s->runs--;
	struct pl_strategy strategy;
	pl_strategy_replay(&strategy, s->trial, count);
	uint32_t broken = pl_explorer_run(s->explorer, &strategy, s->found->seed);
	uint64_t made = s->explorer->world->steps;
	s->steps -= made < s->steps ? made : s->steps;
	if (s->steps == 0)
		s->runs = 0;
	if (broken != s->found->broken)
		return false;
	memcpy(s->found->choices, s->trial, count);
	s->found->choice_count = count;
	memcpy(s->found->verdict, s->explorer->system.verdict, sizeof(s->found->verdict));
	return true;
}

/* The shortest beginning that still leads there. */
static void cut_end(struct shrinker *s)
{
	uint32_t low = 0, high = s->found->choice_count;
	while (low < high && s->runs > 0) {
		uint32_t middle = (low + high) / 2;
		memcpy(s->trial, s->found->choices, middle);
		if (try_it(s, middle))
			high = middle;
		else
			low = middle + 1;
	}
}

static void cut_pieces(struct shrinker *s)
{
	for (uint32_t piece = s->found->choice_count / 2; piece > 0 && s->runs > 0; piece /= 2) {
		for (uint32_t at = 0; at < s->found->choice_count && s->runs > 0;) {
			uint32_t count = s->found->choice_count;
			uint32_t gone = piece < count - at ? piece : count - at;
			memcpy(s->trial, s->found->choices, at);
			memcpy(s->trial + at, s->found->choices + at + gone, count - at - gone);
			if (!try_it(s, count - gone))
				at += piece;
		}
	}
}

/* A choice of the actor that ran before is moved up to it, over those between. */
static void draw_together(struct shrinker *s)
{
	uint8_t *choices = s->found->choices;
	for (uint32_t i = 1; i < s->found->choice_count && s->runs > 0; i++) {
		uint32_t count = s->found->choice_count, j = i;
		while (j < count && j < i + 16 && choices[j] != choices[i - 1])
			j++;
		if (j == i || j == count || j == i + 16)
			continue;
		memcpy(s->trial, choices, count);
		memmove(s->trial + i + 1, s->trial + i, j - i);
		s->trial[i] = choices[j];
		try_it(s, count);
	}
}

void pl_shrink(struct pl_explorer *explorer, struct pl_found *found, uint32_t runs)
{
	if (found->broken == PL_BROKEN_NOTHING || !found->choices || found->choice_count == 0)
		return;
	struct shrinker s = {
		.explorer = explorer,
		.found = found,
		.trial = malloc(found->choice_count),
		.runs = runs,
		.steps = STEPS_MOST,
	};
	if (!s.trial)
		return;
	cut_end(&s);
	cut_pieces(&s);
	draw_together(&s);
	cut_pieces(&s);
	free(s.trial);
}
