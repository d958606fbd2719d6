/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A value of several words in the memory file that one process writes and others read whole: a
 * seqlock (Lameter, "Effective synchronization on Linux/NUMA systems", 2005). Whoever reads while
 * it is written gets nothing, and looks again later; nobody ever waits. A writer that was killed in
 * the middle leaves a box that cannot be read until it is written again.
 *
 * The type's size must be a multiple of 8.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define DP_BOX(type)                                                      \
	struct {                                                          \
		uint64_t version __attribute__((aligned(64))); /* odd: */ \
		type value;                                               \
	}

static inline void dp_box_write(uint64_t *version, void *to, const void *from, size_t bytes)
{
	uint64_t odd = __atomic_load_n(version, __ATOMIC_RELAXED) | 1;
	uint64_t *words = to;
	const uint8_t *source = from;
	__atomic_store_n(version, odd, __ATOMIC_RELAXED);
	for (size_t i = 0; i < bytes / 8; i++) {
		uint64_t word;
		memcpy(&word, source + i * 8, 8);
		/* Release: whoever sees this word sees that it is being written. */
		__atomic_store_n(&words[i], word, __ATOMIC_RELEASE);
	}
	/* Release: whoever sees the new version sees all words. */
	__atomic_store_n(version, odd + 1, __ATOMIC_RELEASE);
}

/* False: it is being written, or was never. */
static inline bool dp_box_read(const uint64_t *version, const void *from, void *to, size_t bytes)
{
	const uint64_t *words = from;
	uint8_t *target = to;
	uint64_t before = __atomic_load_n(version, __ATOMIC_ACQUIRE);
	if (before == 0 || (before & 1) != 0)
		return false;
	for (size_t i = 0; i < bytes / 8; i++) {
		/* Acquire: the version is looked at again after it. */
		uint64_t word = __atomic_load_n(&words[i], __ATOMIC_ACQUIRE);
		memcpy(target + i * 8, &word, 8);
	}
	return __atomic_load_n(version, __ATOMIC_RELAXED) == before;
}

#define dp_box_put(box, from) \
	dp_box_write(&(box)->version, &(box)->value, (from), sizeof((box)->value))
#define dp_box_get(box, to) dp_box_read(&(box)->version, &(box)->value, (to), sizeof((box)->value))
