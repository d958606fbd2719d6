/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Inside of the engine, for engine.c (time and what goes out) and engine_read.c (what comes in).
 *
 * A request lives in a slot of a fixed pool: QUEUED (taken, not sent, in the order of submission),
 * then SENT (has a requestSeq and stands in the window), then DONE (waits to be collected). The
 * window is a ring by requestSeq; it begins at first_incomplete and ends before next_seq.
 */
#pragma once

#include "client/route.h"

#define CLI_NONE UINT32_MAX

struct cli_slot {
	struct cli_result result;
	uint64_t due_ns; /* SENT: when the next copy may go */
	uint64_t sent_ns;
	uint64_t deadline_ns;
	uint32_t target;   /* index of the node that got the last copy */
	uint32_t attempts; /* exponent of its back-off */
	uint32_t next;	   /* in the list that it is in */
	bool awaiting;	   /* the last copy was neither answered nor timed out */
	bool read_only;
	uint8_t opcode;
	uint16_t request_bytes;
	uint8_t bytes[CLI_MAX_PAYLOAD_BYTES]; /* the request's payload, then the answer's */
};

_Static_assert(
	CLI_MAX_ANSWER_BYTES <= CLI_MAX_PAYLOAD_BYTES, "an answer fits where its request was"
);

struct cli_list {
	uint32_t head, tail;
};

struct cli_engine {
	struct cli_options options;
	struct cli_route route;
	struct cli_counters counters;
	struct cli_slot *slots;
	uint32_t *window; /* slot of requestSeq & window_mask, or CLI_NONE */
	uint32_t window_mask;
	struct cli_list free, queued, done;
	uint32_t pending_count; /* all slots that are not free */
	enum cli_state state;
	bool say_close;
	bool open_awaiting;
	uint16_t max_inflight;
	uint32_t open_attempts, open_target;
	uint64_t open_due_ns, open_sent_ns;
	uint64_t nonce, client_id;
	uint64_t next_seq, first_incomplete;
	uint64_t hold_ns;  /* nothing is sent before: the pair has no primary to be found now */
	uint64_t fresh_ns; /* no first copy is sent before: the primary was busy */
	uint64_t used_ns;  /* last request of this session, or its opening */
	uint64_t wake_ns;  /* nothing is due before */
	uint64_t random_state;
};

/* Half to all of an exponentially growing pause, in ns. */
uint64_t cli_engine_pause(struct cli_engine *engine, uint32_t attempts);

/* Moves the slot out of the window or the queue's hands into DONE; the caller has unlinked it from
 * the queue. Advances first_incomplete. */
void cli_engine_finish(
	struct cli_engine *engine,
	struct cli_slot *slot,
	enum cli_outcome outcome,
	enum cli_cause cause,
	uint64_t now_ns
);

/* Ends all QUEUED requests as not sent. */
void cli_engine_drop_queued(
	struct cli_engine *engine, enum cli_cause cause, uint8_t status, uint64_t now_ns
);

/* Ends all SENT requests as unknown. */
void cli_engine_drop_sent(struct cli_engine *engine, enum cli_cause cause, uint64_t now_ns);

/* Forgets the session, if any, and begins to ask for a new one with a new nonce. */
void cli_engine_reopen(struct cli_engine *engine, uint64_t now_ns);

static inline void cli_engine_wake(struct cli_engine *engine, uint64_t at_ns)
{
	if (at_ns < engine->wake_ns)
		engine->wake_ns = at_ns;
}
