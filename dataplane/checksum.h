/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The Internet checksum (RFC 1071), whose sum may be taken over words of any width in the machine's
 * own byte order. DPDK's walks 16 bits at a time, which for a short datagram is more work than all
 * the rest of receiving it; this one takes 64.
 */
#pragma once

#include "config/bytes.h"

#include <stddef.h>
#include <stdint.h>

/* Addition with the carry brought round: compilers make two instructions of it. */
static inline uint64_t dp_sum_word(uint64_t sum, uint64_t word)
{
	sum += word;
	return sum + (sum < word);
}

/* Adds bytes to a running sum (first 0). All but the last piece have an even number of bytes. */
static inline uint64_t dp_sum(uint64_t sum, const void *data, uint32_t bytes)
{
	const uint8_t *p = data;
	for (; bytes >= 32; bytes -= 32, p += 32) {
		sum = dp_sum_word(sum, sf_load64(p));
		sum = dp_sum_word(sum, sf_load64(p + 8));
		sum = dp_sum_word(sum, sf_load64(p + 16));
		sum = dp_sum_word(sum, sf_load64(p + 24));
	}
	for (; bytes >= 8; bytes -= 8, p += 8)
		sum = dp_sum_word(sum, sf_load64(p));
	if (bytes & 4) {
		sum = dp_sum_word(sum, sf_load32(p));
		p += 4;
	}
	if (bytes & 2) {
		sum = dp_sum_word(sum, sf_load16(p));
		p += 2;
	}
	return bytes & 1 ? dp_sum_word(sum, *p) : sum;
}

/* 16 bits of ones' complement sum; 0xffff over sound data that holds its own checksum. */
static inline uint16_t dp_sum_fold(uint64_t sum)
{
	uint32_t half = (uint32_t)sum + (uint32_t)(sum >> 32);
	half += half < (uint32_t)sum;
	uint32_t quarter = (half & 0xffff) + (half >> 16);
	return (uint16_t)(quarter + (quarter >> 16));
}
