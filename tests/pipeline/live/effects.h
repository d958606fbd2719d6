/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What happened in a live run: each thread writes the effects of its machines to a log of its own,
 * each with a number from one counter of the whole run and the time. The number of a step's effects
 * is taken before any message of that step leaves, so by the numbers every effect comes after those
 * that led to it. Read when the threads have ended.
 *
 * Memory: chunks, taken as needed, at most PL_EFFECTS_MAX entries in a thread; what is beyond them
 * is counted, and a run with such a count can not be judged.
 */
#pragma once

#include "tests/pipeline/machine.h"

#define PL_EFFECTS_CHUNK 16384
#define PL_EFFECTS_CHUNKS 1024
#define PL_EFFECTS_MAX (PL_EFFECTS_CHUNK * PL_EFFECTS_CHUNKS)

struct pl_seen {
	uint64_t number, time_ns;
	struct pl_effect effect;
};

struct pl_effects {
	uint64_t count, dropped;
	uint64_t read; /* for pl_effects_next */
	struct pl_seen *chunks[PL_EFFECTS_CHUNKS];
};

/* The effects of one step; *counter is the run's. */
void pl_effects_add(
	struct pl_effects *log, uint64_t *counter, const struct pl_out *out, uint64_t now_ns
);
/* The next one by number of all logs; NULL at the end. */
const struct pl_seen *pl_effects_next(struct pl_effects *logs, uint32_t count);
void pl_effects_rewind(struct pl_effects *logs, uint32_t count);
void pl_effects_free(struct pl_effects *log);
