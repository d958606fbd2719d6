/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What a node's control answers for the name of its pair: which of the two nodes serves, as far as
 * this node can know. Judged from the status of the own node alone, which holds what the peer said
 * over the replication link; nobody is probed. Pure.
 *
 *   own node                    peer                            answer
 *   serves (paired, alone,      –                               this node
 *     asynchronous)
 *   does not serve              heard, and serves               the peer
 *   does not serve              heard, and does not serve       nobody serves: the node that the
 *   does not serve              not heard, or never             pair record names; shown as
 *                                                               unhealthy
 *   does not run, or is stuck   –                               SERVFAIL: nothing is known, and the
 *                                                               peer's control knows
 *
 * "Does not serve" is every other mode: blocked, standby, waiting, learner, candidate, halted. A
 * standby that has lost its primary so goes on naming it until it is primary itself, and an old
 * primary that was cut off, and waits, names the node that the record names as far as it has read
 * it: such an answer may be of the past, as any answer kept for its TTL may; the node that is asked
 * wrongly says NOT_PRIMARY, and acknowledges nothing. Without a log nobody says its mode to the
 * other: a standby then takes a primary that it hears for one that serves.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define CTL_PAIR_NODES 2

/* A node's status, as dataplane/shm.h has it. */
struct ctl_pair_view {
	bool is_alive;		/* the process lives, has written a status and is not stuck */
	bool is_told;		/* roles are by the pair record */
	bool peer_is_heard;	/* within the detection window */
	uint8_t own_id;		/* 0 or 1 */
	uint8_t record_primary; /* with is_told: the node that the record names */
	bool record_is_there;	/* epoch above 0 */
	bool own_is_primary;	/* by its role, serving or not */
	bool own_serves, peer_serves;
};

struct ctl_pair_verdict {
	bool is_silent; /* nothing is known */
	bool serves[CTL_PAIR_NODES];
	uint8_t first; /* the node to name when none serves */
};

struct ctl_pair_verdict ctl_pair_judge(const struct ctl_pair_view *view);
