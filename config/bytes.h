/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Small helpers for bytes and bits. Wire and disk formats are little-endian, and so is every
 * machine that we build for (config/check.h), so a load is a memcpy.
 */
#pragma once

#include "config/check.h"

#include <stdint.h>
#include <string.h>

static inline uint16_t sf_load16(const void *p)
{
	uint16_t v;
	memcpy(&v, p, sizeof(v));
	return v;
}

static inline uint32_t sf_load32(const void *p)
{
	uint32_t v;
	memcpy(&v, p, sizeof(v));
	return v;
}

static inline uint64_t sf_load64(const void *p)
{
	uint64_t v;
	memcpy(&v, p, sizeof(v));
	return v;
}

static inline void sf_store16(void *p, uint16_t v)
{
	memcpy(p, &v, sizeof(v));
}

static inline void sf_store32(void *p, uint32_t v)
{
	memcpy(p, &v, sizeof(v));
}

static inline void sf_store64(void *p, uint64_t v)
{
	memcpy(p, &v, sizeof(v));
}

/* As memcpy; eight bytes, by far the most frequent payload and answer, without a call. */
static inline void sf_copy_short(void *to, const void *from, uint32_t bytes)
{
	if (bytes == 8)
		memcpy(to, from, 8);
	else
		memcpy(to, from, bytes);
}

static inline uint64_t sf_min64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static inline uint64_t sf_max64(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

static inline bool sf_is_power_of_two(uint64_t v)
{
	return v != 0 && (v & (v - 1)) == 0;
}

/* Rounds up to a multiple of unit, a power of two. */
static inline uint64_t sf_round_up(uint64_t v, uint64_t unit)
{
	return (v + unit - 1) & ~(unit - 1);
}

/* Smallest power of two that is at least v; 1 for 0. */
static inline uint64_t sf_next_power_of_two(uint64_t v)
{
	return v <= 1 ? 1 : 1ull << (64 - __builtin_clzll(v - 1));
}
