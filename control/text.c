/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/text.h"

#include "replication/core.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#define S_NS 1000000000ull

const char *ctl_mode_name(uint64_t mode)
{
	return rep_mode_name((enum rep_mode)(mode < REP_MODES ? mode : REP_MODES));
}

const char *ctl_role_name(uint64_t mode)
{
	switch (mode) {
	case REP_MODE_PAIRED:
	case REP_MODE_BLOCKED:
	case REP_MODE_ALONE:
	case REP_MODE_ASYNC:
		return "primary";
	default:
		return ctl_mode_name(mode);
	}
}

void ctl_time_text(uint64_t unix_ns, char text[CTL_TIME_BYTES])
{
	time_t seconds = (time_t)(unix_ns / S_NS);
	struct tm utc;
	size_t used = 0;
	if (gmtime_r(&seconds, &utc))
		used = strftime(text, CTL_TIME_BYTES, "%Y-%m-%dT%H:%M:%S", &utc);
	snprintf(
		text + used, CTL_TIME_BYTES - used, ".%03uZ", (unsigned)(unix_ns % S_NS / 1000000)
	);
}

void ctl_duration_text(uint64_t ns, char text[CTL_DURATION_BYTES])
{
	uint64_t s = ns / S_NS;
	if (ns < 1000)
		snprintf(text, CTL_DURATION_BYTES, "%" PRIu64 " ns", ns);
	else if (ns < 1000000)
		snprintf(text, CTL_DURATION_BYTES, "%.1f us", (double)ns / 1e3);
	else if (ns < S_NS)
		snprintf(text, CTL_DURATION_BYTES, "%.1f ms", (double)ns / 1e6);
	else if (s < 60)
		snprintf(text, CTL_DURATION_BYTES, "%.1f s", (double)ns / 1e9);
	else if (s < 3600)
		snprintf(text, CTL_DURATION_BYTES, "%" PRIu64 " min %" PRIu64 " s", s / 60, s % 60);
	else if (s < 86400)
		snprintf(
			text,
			CTL_DURATION_BYTES,
			"%" PRIu64 " h %" PRIu64 " min",
			s / 3600,
			s / 60 % 60
		);
	else
		snprintf(
			text,
			CTL_DURATION_BYTES,
			"%" PRIu64 " d %" PRIu64 " h",
			s / 86400,
			s / 3600 % 24
		);
}

static uint64_t read_clock(clockid_t clock)
{
	struct timespec now;
	clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * S_NS + (uint64_t)now.tv_nsec;
}

uint64_t ctl_monotonic_ns(void)
{
	return read_clock(CLOCK_MONOTONIC);
}

uint64_t ctl_unix_ns(void)
{
	return read_clock(CLOCK_REALTIME);
}
