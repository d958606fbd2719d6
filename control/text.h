/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Times, durations and the names of roles and modes, as people and JSON read them
 * (operator-interface.md), and the clocks.
 */
#pragma once

#include <stdint.h>

#define CTL_TIME_BYTES 32
#define CTL_DURATION_BYTES 32

/* "standby", "paired", "blocked", "halted"; "unknown" for any other number. */
const char *ctl_mode_name(uint64_t mode);
/* The role of a node in this mode: "standby", "primary", "halted"; "unknown". */
const char *ctl_role_name(uint64_t mode);

/* "2026-11-21T00:12:43.123Z" */
void ctl_time_text(uint64_t unix_ns, char text[CTL_TIME_BYTES]);
/* "412 ns", "3.2 ms", "12.3 s", "3 min 12 s", "2 d 3 h" */
void ctl_duration_text(uint64_t ns, char text[CTL_DURATION_BYTES]);

uint64_t ctl_monotonic_ns(void);
uint64_t ctl_unix_ns(void);
