/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A set of 64-bit hashes that only grows: which states were seen. Two states with the same hash
 * count as one; among 10^8 states there is such a pair with a probability of 3 in 10,000.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

struct pl_set {
	uint64_t *keys; /* owned; 0: free */
	uint64_t mask, count;
};

static inline bool pl_set_init(struct pl_set *set, uint32_t bits)
{
	set->keys = calloc(1ull << bits, sizeof(uint64_t));
	set->mask = (1ull << bits) - 1;
	set->count = 0;
	return set->keys != NULL;
}

static inline void pl_set_free(struct pl_set *set)
{
	free(set->keys);
	set->keys = NULL;
}

static inline bool pl_set_put(uint64_t *keys, uint64_t mask, uint64_t key)
{
	uint64_t at = key * 0x9e3779b97f4a7c15 >> 20 & mask;
	while (keys[at] != 0 && keys[at] != key)
		at = (at + 1) & mask;
	bool fresh = keys[at] == 0;
	keys[at] = key;
	return fresh;
}

/* True: it was not there. Without memory to grow it fills up, and then says false. */
static inline bool pl_set_add(struct pl_set *set, uint64_t key)
{
	if (set->count * 4 > set->mask * 3) {
		uint64_t mask = set->mask * 2 + 1;
		uint64_t *keys = calloc(mask + 1, sizeof(uint64_t));
		if (!keys && set->count + 1 >= set->mask)
			return false;
		if (keys) {
			for (uint64_t i = 0; i <= set->mask; i++)
				if (set->keys[i] != 0)
					pl_set_put(keys, mask, set->keys[i]);
			free(set->keys);
			set->keys = keys;
			set->mask = mask;
		}
	}
	bool fresh = pl_set_put(set->keys, set->mask, key ? key : 1);
	set->count += fresh;
	return fresh;
}
