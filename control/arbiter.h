/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The arbiter: whoever keeps the pair record for both nodes, one register with compare-and-set
 * (roles.md, sections 4 and 6). Two kinds, by arbiter.kind of the configuration:
 *
 *   file   a file that is replaced as a whole, under a lock, for two nodes on one host. Local file
 *          systems only.
 *   etcd   one key of an etcd cluster in a third failure domain, by its JSON gateway. Every move is
 *          one transaction that compares the whole value; no lease, no lock, no election, and
 *          nothing of it is on the data path.
 *
 * What is certain, and only that, is reported as such (R6, R12): a question that had no answer, or
 * one that does not make sense, has the outcome REP_ANSWER_UNKNOWN and a reason in words. A
 * compare-and-set whose answer was lost is not made again as if it were new: the record is read,
 * and counts as won when it is what was asked for (W04; an epoch has one author, so it can only be
 * by us), as lost when it is something else, and as unknown when it has not changed: it may still
 * come to pass.
 *
 * An arbiter is not believed (W07, W08, W09) when it knows less than it, or another one before it,
 * once told this node: no record although there was one, a lower epoch or modification revision,
 * another etcd cluster, the same epoch with another meaning; nor when what stands there is not a
 * pair record of this cluster and release. That too is REP_ANSWER_UNKNOWN, with an alarm in the
 * status, and lasts until the arbiter says something better or the operator has decided
 * (ctl_arbiter_trust). The role record keeps what was seen over restarts.
 *
 * Owner: one thread of control makes an arbiter, asks and probes, one question at a time; each
 * blocks for at most arbiter.timeout and little more (of kind file the disk's own time comes on
 * top: a sync that hangs cannot be given up). Status, seen and trust are for any thread. Nothing
 * here ends the process.
 */
#pragma once

#include "config/settings.h"
#include "recovery/record_file.h"

#define CTL_ARBITER_WHY_BYTES 512

/* As etcd's cluster id in what was seen: "file" in ASCII, so that a change of kind is noticed. */
#define CTL_ARBITER_FILE_ID 0x656c6966ull

struct ctl_arbiter;

/* Why an arbiter that answers is not believed. */
enum ctl_arbiter_alarm {
	CTL_ARBITER_TRUSTED,
	CTL_ARBITER_BLANK,     /* W07: no record, though there was one */
	CTL_ARBITER_WENT_BACK, /* W08: less than it once said */
	CTL_ARBITER_OTHER,     /* W08: another cluster of etcd, or of another kind */
	CTL_ARBITER_FOREIGN,   /* W09: what stands there is not ours */
	CTL_ARBITER_ALARMS,
};
/* "trusted", "blank", "went-back", "other-arbiter", "foreign-value" */
const char *ctl_arbiter_alarm_name(enum ctl_arbiter_alarm alarm);

struct ctl_arbiter_status {
	enum cfg_arbiter kind;
	bool reachable;		      /* the last question or probe was answered, believed or not */
	enum ctl_arbiter_alarm alarm; /* of the last answer */
	char why[CTL_ARBITER_WHY_BYTES]; /* why not reachable, or not believed; "" when all is well
					  */
	uint64_t answered_ns;		 /* monotonic, last time; 0: never */
	uint64_t longest_ns;		 /* of all questions that were answered */
	/* Counters; grow only. */
	uint64_t asked, read, won, lost, unknown;
	uint64_t recognised; /* of won: seen by reading, after the answer was lost */
	uint64_t refused;    /* of unknown: answers that were not believed */
	uint64_t probes;
};

/* settings are kept by reference. seen: of the role record, all zeros at a first start. NULL with a
 * sentence when the settings cannot work: kind none, a folder that cannot be made, a file of
 * certificates that is not there, a password that others may read, a build without etcd. That the
 * arbiter is away is no error. */
struct ctl_arbiter *ctl_arbiter_open(
	const struct cfg_settings *settings,
	const struct rec_arbiter_seen *seen,
	char *error,
	size_t error_bytes
);
void ctl_arbiter_close(struct ctl_arbiter *arbiter); /* NULL is fine */

/* Asks, and fills the answer; answer->id is the question's. why: the reason of REP_ANSWER_UNKNOWN,
 * else "". A record that was never made is REP_ANSWER_READ with epoch 0; an exchange from epoch 0
 * makes it, if none is there and none was ever seen. LOST has the record that stands there instead,
 * never the one that the exchange was from. The process must ignore SIGPIPE. */
void ctl_arbiter_ask(
	struct ctl_arbiter *arbiter,
	const struct rep_ask *ask,
	struct rep_answer *answer,
	char *why,
	size_t why_bytes
);

/* Could a move be made now? Asks for one that cannot be (its old value is none), so that etcd looks
 * for a quorum, for room on its disk, and at the right to write, which a read would not tell.
 * Changes nothing. For an early alarm (W11). */
bool ctl_arbiter_probe(struct ctl_arbiter *arbiter, char *why, size_t why_bytes);

/* What the role record is to keep. */
struct rec_arbiter_seen ctl_arbiter_seen(struct ctl_arbiter *arbiter);

/* The operator's word (init, promote --force): whatever a good answer holds from now on is taken,
 * and what was seen is forgotten. A value that is not ours is refused as before. */
void ctl_arbiter_trust(struct ctl_arbiter *arbiter);

void ctl_arbiter_status(struct ctl_arbiter *arbiter, struct ctl_arbiter_status *status);
