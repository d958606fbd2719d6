/* SPDX-License-Identifier: BSD-3-Clause
 *
 * CRC32C (Castagnoli, reflected polynomial 0x82f63b78), the one checksum of frames, entries and
 * files. Short inputs only on the hot path, so a plain chain of the SSE4.2 instruction is used
 * where the compiler may emit it, and a table elsewhere; both give the same values, which the tests
 * compare with ISA-L's.
 *
 * The functions work on the raw register: start with SF_CRC32C_INIT and take sf_crc32c_end() last.
 */
#pragma once

#include <stdint.h>
#include <string.h>
#ifdef __SSE4_2__
#include <nmmintrin.h>
#endif

#define SF_CRC32C_INIT 0xffffffffu

extern const uint32_t sf_crc32c_table[256];

static inline uint32_t sf_crc32c_u64(uint32_t crc, uint64_t word)
{
#ifdef __SSE4_2__
	return (uint32_t)_mm_crc32_u64(crc, word);
#else
	for (int i = 0; i < 8; i++, word >>= 8)
		crc = (crc >> 8) ^ sf_crc32c_table[(crc ^ word) & 0xff];
	return crc;
#endif
}

static inline uint32_t sf_crc32c_u32(uint32_t crc, uint32_t word)
{
#ifdef __SSE4_2__
	return _mm_crc32_u32(crc, word);
#else
	for (int i = 0; i < 4; i++, word >>= 8)
		crc = (crc >> 8) ^ sf_crc32c_table[(crc ^ word) & 0xff];
	return crc;
#endif
}

static inline uint32_t sf_crc32c_u8(uint32_t crc, uint8_t byte)
{
	return (crc >> 8) ^ sf_crc32c_table[(crc ^ byte) & 0xff];
}

static inline uint32_t sf_crc32c(uint32_t crc, const void *data, uint64_t bytes)
{
	const uint8_t *p = data;
	for (; bytes >= 8; bytes -= 8, p += 8) {
		uint64_t word;
		memcpy(&word, p, 8);
		crc = sf_crc32c_u64(crc, word);
	}
	for (; bytes > 0; bytes--, p++)
		crc = sf_crc32c_u8(crc, *p);
	return crc;
}

static inline uint32_t sf_crc32c_end(uint32_t crc)
{
	return ~crc;
}
