/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What the sequencer publishes to the agents that answer; on a cache line of its own.
 */
#pragma once

#include <stdint.h>

struct dp_commit {
	uint64_t committed;
	uint64_t confirmed_frame;
	uint64_t epoch;	   /* u32 in a word */
	uint64_t appended; /* entries up to here stand in the arena, for the journal to take */
} __attribute__((aligned(64)));
