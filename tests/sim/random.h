/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The simulator's only source of randomness: a counter, mixed (the finaliser known as splitmix64).
 * Every purpose has a stream of its own, drawn from the seed, so that switching one fault off does
 * not change what the others draw.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct sim_random {
	uint64_t state;
};

static inline uint64_t sim_next(struct sim_random *random)
{
	uint64_t z = random->state += 0x9e3779b97f4a7c15ull;
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
	return z ^ (z >> 31);
}

static inline struct sim_random sim_stream(uint64_t seed, uint64_t purpose)
{
	struct sim_random random = {.state = seed * 0xd1342543de82ef95ull + purpose};
	random.state = sim_next(&random) ^ purpose;
	return random;
}

/* 0 … bound - 1; bound > 0. */
static inline uint64_t sim_below(struct sim_random *random, uint64_t bound)
{
	return (uint64_t)(((unsigned __int128)sim_next(random) * bound) >> 64);
}

/* low … high, both included. */
static inline uint64_t sim_between(struct sim_random *random, uint64_t low, uint64_t high)
{
	return low + sim_below(random, high - low + 1);
}

static inline bool sim_chance(struct sim_random *random, uint32_t permille)
{
	return sim_below(random, 1000) < permille;
}
