/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Monotonic time of the data path: the CPU's time stamp counter scaled to nanoseconds, set to
 * CLOCK_MONOTONIC once at start. All timers use it; nothing replicated depends on it.
 */
#pragma once

#include <rte_cycles.h>

#include <stdint.h>

struct dp_clock {
	uint64_t base_cycles;
	uint64_t base_ns;
	uint64_t ns_per_cycle_q32; /* nanoseconds per cycle, 32 fractional bits */
};

extern struct dp_clock dp_clock; /* written once, by dp_clock_start */

/* Measures nothing itself: DPDK knows the counter's rate after EAL start. */
void dp_clock_start(void);
uint64_t dp_clock_monotonic_ns(void); /* CLOCK_MONOTONIC, a system call at worst */
uint64_t dp_clock_unix_ns(void);

/* 0 when to is before from: the two may have been read on different cores, or out of order. */
static inline uint64_t dp_elapsed_ns(uint64_t from_ns, uint64_t to_ns)
{
	return to_ns > from_ns ? to_ns - from_ns : 0;
}

static inline uint64_t dp_now_ns(void)
{
	uint64_t cycles = rte_rdtsc() - dp_clock.base_cycles;
	/* A counter that steps back (another core's, after a suspend) counts as no time (T08). */
	if ((int64_t)cycles < 0)
		cycles = 0;
	return dp_clock.base_ns +
	       (uint64_t)(((unsigned __int128)cycles * dp_clock.ns_per_cycle_q32) >> 32);
}
