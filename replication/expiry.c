/* SPDX-License-Identifier: BSD-3-Clause */
#include "replication/expiry.h"

#include "config/bytes.h"

#define LOOK_AT 8 /* sessions per call of rep_expiry_next */

void rep_expiry_init(
	struct rep_expiry *expiry, uint64_t *last_used_ns, uint32_t max_sessions, uint64_t now_ns
)
{
	*expiry = (struct rep_expiry){.last_used_ns = last_used_ns};
	for (uint32_t i = 0; i < max_sessions; i++)
		last_used_ns[i] = now_ns;
}

static bool may_close(
	const struct rep_expiry *expiry,
	const struct rep_session_table *table,
	uint32_t index,
	uint64_t committed,
	uint64_t idle_ns,
	uint64_t now_ns
)
{
	const struct rep_session *session = &table->sessions[index];
	return session->client_id != 0 && session->last_sequence <= committed &&
	       now_ns - expiry->last_used_ns[index] > idle_ns;
}

uint32_t rep_expiry_next(
	struct rep_expiry *expiry,
	const struct rep_session_table *table,
	uint64_t committed,
	uint64_t timeout_ns,
	uint64_t now_ns
)
{
	for (uint32_t i = 0; i < LOOK_AT && i < table->limits.max_sessions; i++) {
		uint32_t index = expiry->cursor;
		expiry->cursor = index + 1 < table->limits.max_sessions ? index + 1 : 0;
		if (may_close(expiry, table, index, committed, timeout_ns, now_ns))
			return index;
	}
	return REP_SESSION_NONE;
}

uint32_t rep_expiry_victim(
	struct rep_expiry *expiry,
	const struct rep_session_table *table,
	uint64_t committed,
	uint64_t min_idle_ns,
	uint64_t now_ns
)
{
	uint32_t victim = REP_SESSION_NONE;
	if (now_ns < expiry->full_scan_ns)
		return victim;
	for (uint32_t i = 0; i < table->limits.max_sessions; i++) {
		if (!may_close(expiry, table, i, committed, min_idle_ns, now_ns))
			continue;
		if (victim == REP_SESSION_NONE ||
		    expiry->last_used_ns[i] < expiry->last_used_ns[victim])
			victim = i;
	}
	/* Not again in this poll: a burst of openings must not hold up the heartbeat by a search
	 * of the whole table each. */
	expiry->full_scan_ns = now_ns + (victim == REP_SESSION_NONE ? min_idle_ns / 100 : 1);
	return victim;
}
