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
	/* Raised when the node loses its role, before anything that comes later is published:
	 * answers of before are not the node's to give any more (R10). */
	uint64_t generation;
	uint64_t sync;	  /* every write of the log is synced, whatever log.sync says */
	uint64_t primary; /* the node has the service address */
} __attribute__((aligned(64)));
