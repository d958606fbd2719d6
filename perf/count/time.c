/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/clock.h"
#include "perf/count/count.h"

#include <time.h>

/* 2020-09-13: an arbitrary start, the same in every run and every process. */
static uint64_t virtual_ns = 1600000000000000000ull;

int __wrap_clock_gettime(clockid_t clock, struct timespec *now);

/* The linker puts it in place of the C library's, for our own code only (meson.build). */
int __wrap_clock_gettime(clockid_t clock, struct timespec *now)
{
	now->tv_sec = (time_t)(virtual_ns / 1000000000ull);
	now->tv_nsec = (long)(virtual_ns % 1000000000ull);
	return 0;
}

void count_time_start(void)
{
	dp_clock_start();
	/* The cycle counter runs on, but no longer moves the time. */
	dp_clock.ns_per_cycle_q32 = 0;
	dp_clock.base_ns = virtual_ns;
}

void count_time_pass(uint64_t ns)
{
	virtual_ns += ns;
	dp_clock.base_ns = virtual_ns;
}
