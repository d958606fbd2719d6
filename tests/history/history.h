/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A history of register operations as clients saw them, and two independent checkers of it
 * (README.md says what they check and where the ideas come from).
 *
 * The owner of a history gives the arrays; appending allocates nothing and never fails loudly: what
 * has no room is counted in `dropped`, and a history that dropped something is never called good.
 * Times are ticks of one clock that all clients share (virtual time, or one host's
 * CLOCK_MONOTONIC). Nothing here is shared with the product but the numbers of client/messages.h.
 */
#pragma once

#include "client/messages.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define HIST_NONE UINT32_MAX
#define HIST_NEVER UINT64_MAX
#define HIST_SEARCH_MAX 64 /* operations of one asset that the search takes: bits of a word */
#define HIST_SHOWN 32	   /* violations kept with their details; all are counted */

/* One (client, request): what was asked and when it was first sent. */
struct hist_operation {
	uint64_t client_id;
	uint64_t request_seq;
	uint64_t asset_id;
	uint64_t invoked_ns;
	int64_t argument[2];   /* ADD delta; SET value; CAS expected, new */
	uint32_t first_answer; /* HIST_NONE: none came, the outcome is unknown */
	uint32_t last_answer;
	uint32_t line;	/* of the file that it came from, 0: none */
	uint8_t opcode; /* enum cli_register_opcode */
};

/* One answer to it. The first OK or REJECTED one decides; a repeat must equal it (inv. 21). */
struct hist_answer {
	uint64_t returned_ns;
	uint64_t sequence; /* GET: that of the asset's last update, from the payload */
	uint64_t version;  /* assetVersion */
	int64_t value;	   /* OK: the value; REJECTED mismatch: the current one; else 0 */
	uint32_t epoch;
	uint32_t next; /* set by hist_answer */
	uint32_t line;
	uint16_t reason; /* of REJECTED */
	uint8_t status;	 /* enum cli_status */
	uint8_t node;	 /* that answered: 1, 2, …; 0: not known */
	bool repeat;
};

/* What a node held of an asset when everything was over. */
struct hist_final {
	uint64_t asset_id;
	uint64_t version;
	uint64_t sequence; /* of its last update; 0: not known */
	int64_t value;
	uint32_t line;
	uint8_t node;
};

struct hist_room {
	struct hist_operation *operations;
	struct hist_answer *answers;
	struct hist_final *finals;
	uint32_t max_operations;
	uint32_t max_answers;
	uint32_t max_finals;
};

struct hist_history {
	struct hist_room room;
	uint32_t operations;
	uint32_t answers;
	uint32_t finals;
	uint64_t dropped;
};

void hist_init(struct hist_history *history, const struct hist_room *room);
/* Both copy what they are given. invoke returns the operation's number for hist_answer, HIST_NONE
 * when there was no room; answers of HIST_NONE are dropped and counted. */
uint32_t hist_invoke(struct hist_history *history, const struct hist_operation *operation);
bool hist_answer(
	struct hist_history *history, uint32_t operation, const struct hist_answer *answer
);
bool hist_final(struct hist_history *history, const struct hist_final *final);

/* What can be wrong: name, text, and whether it makes the asset's history not linearizable by
 * itself, so that the search has to refuse it too. */
#define HIST_KIND_LIST(X)                                                                         \
	X(INCOMPLETE, "incomplete", "the history had no room for everything", 0)                  \
	X(NUMBER, "number-twice", "two operations have the same client and request number", 0)    \
	X(ANSWER, "impossible-answer", "no node could have sent this answer", 0)                  \
	X(REPEAT, "repeat-differs", "a repeated answer differs from the first (inv. 21)", 0)      \
	X(SEQUENCE_TWICE, "sequence-twice", "two requests have one sequence (inv. 4)", 0)         \
	X(SEQUENCE_ORDER, "sequence-order", "sequences contradict versions or real time", 0)      \
	X(EPOCH, "epoch-falls", "the epoch falls with the sequence or with time (inv. 5)", 0)     \
	X(AUTHOR, "two-authors", "two nodes answered in one epoch (inv. 6)", 0)                   \
	X(FINALS_DIFFER, "finals-differ", "the nodes ended in different states (inv. 2)", 0)      \
	X(VERSION_TWICE, "version-twice", "two updates have one version (inv. 1, 27)", 1)         \
	X(GAP, "version-gap", "nothing can have made this version (inv. 19, 20, 27)", 1)          \
	X(VALUE, "value", "the value does not follow from the version before (inv. 27)", 1)       \
	X(READ, "read-value", "a read saw another value than this version had (inv. 28)", 1)      \
	X(REJECTED, "rejected", "refused without cause at this version (inv. 20)", 1)             \
	X(REAL_TIME, "real-time", "older than what was answered before it was sent (inv. 28)", 1) \
	X(LOST, "acknowledged-lost", "an acknowledged update is not in the end (inv. 1, 20)", 1)  \
	X(FINAL, "final-value", "the value in the end is not that of its version (inv. 1)", 1)    \
	X(NOT_LINEARIZABLE, "not-linearizable", "no order of the operations explains it", 1)

enum hist_kind {
#define X(id, name, text, linearizable) HIST_##id,
	HIST_KIND_LIST(X)
#undef X
		HIST_KINDS
};

struct hist_violation {
	enum hist_kind kind;
	uint64_t asset_id;
	uint64_t version;
	uint32_t first; /* operations, HIST_NONE: none; the one that is at fault */
	uint32_t other; /* and the one that it contradicts */
};

struct hist_verdict {
	uint64_t violations; /* all of them */
	uint64_t counts[HIST_KINDS];
	struct hist_violation shown[HIST_SHOWN];
	uint32_t shown_count;
	uint64_t assets;    /* looked at */
	uint64_t gaps;	    /* versions that unknown operations were found for */
	uint64_t gave_up;   /* assets that the limit of work ended: undecided */
	uint64_t too_large; /* assets that the search does not take */
	uint64_t states;    /* that the search saw */
	uint64_t reads;
	uint64_t updates; /* with an answer */
	uint64_t unknown;
};

struct hist_limits {
	uint32_t operations; /* of a history, at most */
	uint32_t answers;
	uint32_t finals;
	uint32_t gap_steps;	/* per asset, 0: 20,000,000 */
	uint32_t search_states; /* per asset, 0: 100,000 */
};

/* Memory of both checkers, allocated once and used again for every history. NULL: no memory. */
struct hist_checker *hist_checker_new(const struct hist_limits *limits);
void hist_checker_free(struct hist_checker *checker);

/* Each adds what it finds to the verdict, which the caller has zeroed. The history is larger than
 * the checker's limits: INCOMPLETE.
 *
 * By assetVersion, O(n log n) but for gaps, which are filled by a bounded search. */
void hist_check_versions(
	struct hist_checker *checker,
	const struct hist_history *history,
	struct hist_verdict *verdict
);
/* Wing and Gong's search with Lowe's memory, asset by asset; needs no version if values_only. */
void hist_check_search(
	struct hist_checker *checker,
	const struct hist_history *history,
	bool values_only,
	struct hist_verdict *verdict
);

bool hist_good(const struct hist_verdict *verdict); /* no violation, nothing undecided */
const char *hist_kind_name(enum hist_kind kind);
const char *hist_kind_text(enum hist_kind kind);
bool hist_kind_linearizable(enum hist_kind kind);
/* One line for a person, without a newline; as snprintf. */
int hist_describe(
	const struct hist_history *history,
	const struct hist_violation *violation,
	char *text,
	size_t bytes
);
