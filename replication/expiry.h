/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Which sessions the primary closes: idle longer than session_timeout, or, when the table is full
 * and a new one is asked for, the one idle longest if that is longer than session_min_idle and
 * nothing of it is unanswered. Idle time is the primary's own monotonic time since the session's
 * last request; it is not replicated, and counts from the moment the node became primary.
 *
 * The closing itself is an entry (rep_intake_close), decided here and executed by everybody.
 */
#pragma once

#include "replication/session.h"

#include <stdint.h>

struct rep_expiry {
	uint64_t *last_used_ns; /* per session index; the caller's memory, max_sessions words */
	uint32_t cursor;	/* next session to look at */
	uint64_t full_scan_ns;	/* no search for a victim before this time */
};

void rep_expiry_init(
	struct rep_expiry *expiry, uint64_t *last_used_ns, uint32_t max_sessions, uint64_t now_ns
);

/* At every request of a session, its opening included: the index may have been another's. */
static inline void rep_expiry_touch(struct rep_expiry *expiry, uint32_t session, uint64_t now_ns)
{
	expiry->last_used_ns[session] = now_ns;
}

/* Looks at the next few sessions; the index of one that has timed out, or REP_SESSION_NONE. */
uint32_t rep_expiry_next(
	struct rep_expiry *expiry,
	const struct rep_session_table *table,
	uint64_t committed,
	uint64_t timeout_ns,
	uint64_t now_ns
);

/* The session to close for a new one, or REP_SESSION_NONE. There is one search per moment (poll),
 * and one that found nothing is not repeated for a hundredth of min_idle_ns, so that asking cannot
 * occupy the sequencer. */
uint32_t rep_expiry_victim(
	struct rep_expiry *expiry,
	const struct rep_session_table *table,
	uint64_t committed,
	uint64_t min_idle_ns,
	uint64_t now_ns
);
