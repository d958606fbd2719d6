/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/pipeline/strategy.h"

const char *const pl_strategy_names[] = {"random", "pct", "exhaustive", NULL};

static inline uint64_t draw(struct pl_strategy *s)
{
	uint64_t x = s->random += 0x9e3779b97f4a7c15;
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
	x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
	return x ^ (x >> 31);
}

/* 0 … below - 1; the bias is far below what any number of schedules could show. */
static inline uint32_t draw_below(struct pl_strategy *s, uint32_t below)
{
	return (uint32_t)((draw(s) >> 32) * below >> 32);
}

static void begin_pct(struct pl_strategy *s)
{
	for (uint32_t i = 0; i < PL_ACTORS; i++) {
		uint32_t j = draw_below(s, i + 1);
		s->priorities[i] = s->priorities[j];
		s->priorities[j] = (int32_t)i;
	}
	s->lowest = 0;
	s->highest = PL_ACTORS - 1;
	for (uint32_t i = 0; i < s->change_points; i++) {
		uint32_t step = 1 + draw_below(s, s->expected_steps), j = i;
		for (; j > 0 && s->changes[j - 1] > step; j--)
			s->changes[j] = s->changes[j - 1];
		s->changes[j] = step;
	}
}

void pl_strategy_begin(
	struct pl_strategy *strategy,
	enum pl_strategy_kind kind,
	uint32_t expected_steps,
	uint32_t change_points,
	uint64_t seed
)
{
	if (expected_steps < 64)
		expected_steps = 64;
	*strategy = (struct pl_strategy){
		.kind = kind,
		.random = seed * 0x2545f4914f6cdd1d + kind,
		.expected_steps = expected_steps,
		.window = expected_steps / 2,
		.change_points =
			change_points < PL_CHANGE_POINTS_MAX ? change_points : PL_CHANGE_POINTS_MAX,
	};
	if (kind == PL_STRATEGY_PCT)
		begin_pct(strategy);
}

void pl_strategy_replay(struct pl_strategy *strategy, const uint8_t *choices, uint32_t count)
{
	*strategy = (struct pl_strategy
	){.kind = PL_STRATEGY_LIST, .choices = choices, .choice_count = count};
}

static inline uint32_t nth(uint64_t mask, uint32_t n)
{
	while (n-- > 0)
		mask &= mask - 1;
	return (uint32_t)__builtin_ctzll(mask);
}

static uint32_t pick_random(struct pl_strategy *s, uint64_t ready, uint64_t due)
{
	uint32_t messages = (uint32_t)__builtin_popcountll(ready);
	uint32_t all = messages + (uint32_t)__builtin_popcountll(due);
	uint32_t n = all == 1 ? 0 : draw_below(s, all);
	return n < messages ? nth(ready, n) : PL_MACHINES_MAX + nth(due, n - messages);
}

static uint32_t highest_of(const struct pl_strategy *s, uint64_t ready, uint64_t due)
{
	int32_t best = INT32_MIN;
	uint32_t actor = 0;
	for (; ready; ready &= ready - 1) {
		uint32_t i = (uint32_t)__builtin_ctzll(ready);
		if (s->priorities[i] > best) {
			best = s->priorities[i];
			actor = i;
		}
	}
	for (; due; due &= due - 1) {
		uint32_t i = PL_MACHINES_MAX + (uint32_t)__builtin_ctzll(due);
		if (s->priorities[i] > best) {
			best = s->priorities[i];
			actor = i;
		}
	}
	return actor;
}

/* The end of a window: who waited all through it goes first, the lowest of them last. */
static void be_fair(struct pl_strategy *s, uint64_t ready, uint64_t due)
{
	for (uint32_t i = 0; i < PL_ACTORS; i++)
		if (s->waiting[i / 64] >> i % 64 & 1)
			s->priorities[i] = ++s->highest;
	s->waiting[0] = ready;
	s->waiting[1] = due;
}

static uint32_t pick_pct(struct pl_strategy *s, uint64_t ready, uint64_t due)
{
	/* Who cannot run now did not wait all the time. */
	s->waiting[0] &= ready;
	s->waiting[1] &= due;
	if (s->step % s->window == 0)
		be_fair(s, ready, due);
	uint32_t actor = highest_of(s, ready, due);
	while (s->change < s->change_points && s->step >= s->changes[s->change]) {
		s->change++;
		s->priorities[actor] = --s->lowest;
		actor = highest_of(s, ready, due);
	}
	s->waiting[actor / 64] &= ~(1ull << actor % 64);
	return actor;
}

static bool may_run(uint32_t actor, uint64_t ready, uint64_t due)
{
	return (actor < PL_MACHINES_MAX ? ready >> actor : due >> (actor - PL_MACHINES_MAX)) & 1;
}

static uint32_t pick_listed(struct pl_strategy *s, uint64_t ready, uint64_t due)
{
	while (s->choice < s->choice_count) {
		uint32_t actor = s->choices[s->choice++] & (PL_ACTORS - 1);
		if (may_run(actor, ready, due))
			return s->last = actor;
	}
	for (uint32_t i = 0; i < PL_ACTORS; i++) {
		uint32_t actor = (s->last + i) % PL_ACTORS;
		if (may_run(actor, ready, due))
			return s->last = actor;
	}
	return s->last;
}

uint32_t pl_strategy_pick(struct pl_strategy *strategy, uint64_t ready, uint64_t due)
{
	uint32_t actor;
	if (strategy->kind == PL_STRATEGY_RANDOM)
		actor = pick_random(strategy, ready, due);
	else if (strategy->kind == PL_STRATEGY_PCT)
		actor = pick_pct(strategy, ready, due);
	else
		actor = pick_listed(strategy, ready, due);
	strategy->step++;
	return actor;
}
