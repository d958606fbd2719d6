/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Seeded numbers for randomised tests: the same seed gives the same test. SEED in the environment
 * replaces the test's own, and the printed line replays it.
 */
#pragma once

#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

struct random {
	uint64_t state;
};

/* xorshift64* (Vigna); the state is never 0. */
static inline uint64_t random_u64(struct random *random)
{
	random->state ^= random->state >> 12;
	random->state ^= random->state << 25;
	random->state ^= random->state >> 27;
	return random->state * 0x2545f4914f6cdd1dull;
}

/* 0 … bound - 1. */
static inline uint64_t random_below(struct random *random, uint64_t bound)
{
	return (random_u64(random) >> 11) % bound;
}

static inline struct random random_seeded(uint64_t seed)
{
	/* One step apart seeds must not give similar streams. */
	struct random random = {.state = (seed + 1) * 0x9e3779b97f4a7c15ull | 1};
	random_u64(&random);
	random_u64(&random);
	return random;
}

/* The seed to use, printed with the command that replays it. */
static inline uint64_t random_test_seed(const char *test, uint64_t own)
{
	const char *given = getenv("SEED");
	uint64_t seed = given != NULL ? strtoull(given, NULL, 0) : own;
	printf("replay: SEED=%" PRIu64 " %s\n", seed, test);
	return seed;
}
