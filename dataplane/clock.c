/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/clock.h"

#include <time.h>

struct dp_clock dp_clock;

static uint64_t read_clock(clockid_t clock)
{
	struct timespec now;
	clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * 1000000000ull + (uint64_t)now.tv_nsec;
}

uint64_t dp_clock_monotonic_ns(void)
{
	return read_clock(CLOCK_MONOTONIC);
}

uint64_t dp_clock_unix_ns(void)
{
	return read_clock(CLOCK_REALTIME);
}

void dp_clock_start(void)
{
	unsigned __int128 second = (unsigned __int128)1000000000ull << 32;
	dp_clock.ns_per_cycle_q32 = (uint64_t)(second / rte_get_tsc_hz());
	dp_clock.base_ns = dp_clock_monotonic_ns();
	dp_clock.base_cycles = rte_rdtsc();
}
