/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A node's log on a shadow disk, as dataplane and control use it: control's look, plan and carrying
 * out, then a life of the real journal with its two threads over an arena that the test fills. A
 * world lives through several lives; what each entry must hold is known from who wrote it last.
 *
 * Checks say what is wrong in world->problem rather than fail, so that a canary can ask for it.
 * Long pauses of the journal's threads take a small part of their time here.
 */
#pragma once

#include "control/log_store.h"
#include "dataplane/journal.h"
#include "tests/unit/random.h"
#include "tests/unit/shadow_disk.h"

#define WORLD_SLOTS 256
#define WORLD_MAX_ENTRIES 20000

struct world {
	struct dp_journal journal;
	struct dp_commit commit;
	struct dp_shm_log shm;
	struct cfg_settings settings;
	struct shadow *shadow; /* owned */
	struct rep_arena arena;
	struct random random;
	uint64_t seed;
	uint32_t most_payload;
	bool open;
	uint64_t close_ns; /* what the last close took */
	uint64_t next;	   /* sequence of the next entry */
	uint8_t life;
	uint8_t life_of[WORLD_MAX_ENTRIES]; /* that wrote it last */
	struct rec_plan plan;		    /* of the last world_recover */
	char problem[512];		    /* the first one; "": none */
};

struct world *world_new(uint64_t seed, enum cfg_sync sync);
void world_free(struct world *world); /* closes the journal */
void world_problem(struct world *world, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* Control's part of a start, on world->shadow: 0 or a negative errno; a refusal is a problem. */
int world_recover(struct world *world);
/* The dataplane's: a new life goes on where the plan says. */
int world_open(struct world *world);
void world_close(struct world *world);
/* Closed in time with a disk that works, and yet not all is durable. On a machine that stands still
 * the close may have given up, which is its right. */
bool world_closed_short(const struct world *world);
/* Appends up to count entries, as far as the arena has room; how many. */
uint32_t world_append(struct world *world, uint32_t count);
void world_poll(struct world *world, uint32_t times);
void world_pause(long ns);

/* The log of this disk must not be refused, reach to `least` and not beyond `most`, and hold each
 * entry byte for byte. Returns its last sequence. */
uint64_t
world_check(struct world *world, struct shadow *shadow, uint64_t least, uint64_t most, bool deep);
/* The same after a crash at this moment, with what the journal says now. */
void world_check_crash(struct world *world, enum shadow_loss loss);
/* The node ends here, and its disk is what a crash leaves. */
void world_crash(struct world *world, enum shadow_loss loss);

bool world_full_count(void); /* STANDFAST_TESTS=full */
