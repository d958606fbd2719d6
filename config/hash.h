/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Non-cryptographic mixing, for digests and hash tables. The mixer folds the 128-bit product of its
 * inputs (the construction known from wyhash): one multiplication, and every input bit reaches
 * every output bit. Both nodes must compute the same values, so the constants are part of the
 * configuration digest's version and never change silently.
 */
#pragma once

#include <stdint.h>

#define SF_MIX_A 0x9e3779b97f4a7c15ull
#define SF_MIX_B 0xd6e8feb86659fd93ull

/* Never loses an input: the product of 0 and anything is 0, so both are offset by odd keys. */
static inline uint64_t sf_mix(uint64_t a, uint64_t b)
{
	unsigned __int128 product = (unsigned __int128)(a ^ SF_MIX_A) * (b ^ SF_MIX_B);
	return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static inline uint64_t sf_rotate(uint64_t word, unsigned bits)
{
	return word << bits | word >> (64 - bits);
}
