/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The canaries of the checkers: ways in which a correct history is made wrong. A plan mutation is a
 * bug that the reference execution then has; an edit changes what the clients heard.
 */
#pragma once

#include "tests/history/generate.h"

struct mutation {
	const char *name;
	/* Either; false: this history has no place for it. */
	bool (*plan)(struct gen_plan *plan, struct random *random);
	bool (*edit)(struct gen_plan *plan, struct random *random, struct gen_history *made);
	uint64_t claims; /* bit per enum hist_kind of the checker by versions, one of which must
			    bite */
	/* Wrong by construction whenever plan and edit say true; else the search decides. */
	bool certain;
};

extern const struct mutation mutations[];
extern const uint32_t mutation_count;
