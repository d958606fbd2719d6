/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Histories for the checkers' test: a plan says who asks what, when it takes effect and what the
 * client hears; running it against a reference register gives the history. A plan as drawn gives a
 * correct history; each bug is a field that the reference execution obeys.
 */
#pragma once

#include "tests/history/history.h"
#include "tests/unit/random.h"

#define GEN_OPERATIONS 320
#define GEN_ANSWERS 1200
#define GEN_FINALS 16
#define GEN_ASSETS 4
#define GEN_EPOCHS 5

struct gen_operation {
	struct hist_operation asked;
	uint64_t effect_ns; /* HIST_NEVER: none */
	uint64_t return_ns; /* HIST_NEVER: the client hears nothing of it */
	uint32_t repeats;   /* further answers */
	uint32_t same_as;   /* an executed-again read: the operation that it repeats, HIST_NONE */
	/* Bugs. */
	uint64_t again_ns;     /* takes effect once more */
	bool rolled_back;      /* answered, and then its effect is gone */
	bool old_primary;      /* answered in the epoch before the one of its effect */
	bool answered_again;   /* the second effect is answered too */
	bool accepted_wrongly; /* a CAS that does not match */
	bool refused_wrongly;  /* a CAS that matches */
	/* What came of it. */
	struct hist_answer answer;
	struct hist_answer second;
	bool took_place;
	uint32_t index; /* in the history */
};

struct gen_plan {
	struct gen_operation operation[GEN_OPERATIONS];
	uint32_t count;
	uint32_t assets;
	uint32_t finals; /* nodes that tell what they hold in the end */
	uint64_t end_ns;
	uint32_t epochs;
	struct {
		uint64_t from_ns;
		uint32_t epoch;
		uint8_t node;
	} epoch[GEN_EPOCHS];
	/* Bugs: an asset jumps over a version, gets an update from nowhere, forgets to an earlier
	 * time. */
	uint64_t skip_ns;
	uint64_t phantom_ns;
	uint64_t amnesia_ns;
	uint64_t remembered_ns;
};

struct gen_history {
	struct hist_history history;
	struct hist_operation operations[GEN_OPERATIONS];
	struct hist_answer answers[GEN_ANSWERS];
	struct hist_final finals[GEN_FINALS];
};

void gen_draw(struct gen_plan *plan, struct random *random);
void gen_run(struct gen_plan *plan, struct random *random, struct gen_history *out);
