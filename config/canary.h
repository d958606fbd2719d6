/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Deliberate bugs that prove that the checkers bite (TigerBeetle calls them canaries). In the
 * products CANARY() is the constant 0 and nothing of it is compiled; the simulator's twin binary
 * builds the same sources with SF_CANARIES and switches one on by name.
 */
#pragma once

#define SF_CANARY_LIST(X)                                   \
	X(ACK_BEFORE_RECEIPT, "ack-before-receipt")         \
	X(WRONG_WINDOW_EDGE, "wrong-window-edge")           \
	X(RETRANSMIT_SKIPS_ONE, "retransmit-skips-one")     \
	X(REPEAT_APPLIED_TWICE, "repeat-applied-twice")     \
	X(REPEAT_OTHER_ASSET, "repeat-other-asset")         \
	X(STALE_EPOCH_ACCEPTED, "stale-epoch-accepted")     \
	X(COMMIT_MOVES_BACK, "commit-moves-back")           \
	X(STALE_SESSION_ACK, "stale-session-ack")           \
	X(READ_WITHOUT_ECHO, "read-without-echo")           \
	X(BLOCKED_COMMITS, "blocked-commits")               \
	X(HELD_OF_OTHER_LIFE, "held-of-other-life")         \
	X(MERGE_SKIPS_ONE, "merge-skips-one")               \
	X(LONGER_STANDBY_IGNORED, "longer-standby-ignored") \
	X(ACK_BEFORE_DURABLE, "ack-before-durable")         \
	X(AMNESIA_FORGOTTEN, "amnesia-forgotten")           \
	X(ADMIT_EARLY, "admit-early")                       \
	X(NO_BARRIER, "no-barrier")                         \
	X(RECORD_BEFORE_LOG, "record-before-log")           \
	X(ALONE_FROM_MEMORY, "alone-from-memory")           \
	X(LAST_PRIMARY_SERVES, "last-primary-serves")       \
	X(SAME_EPOCH, "same-epoch")                         \
	X(CANDIDATE_ACKS, "candidate-acks")                 \
	X(ANSWER_SURVIVES, "answer-survives")               \
	X(STATE_SURVIVES, "state-survives")                 \
	X(CAS_ABANDONED, "cas-abandoned")                   \
	X(UNKNOWN_IS_WON, "unknown-is-won")                 \
	X(RIGHT_KEPT, "right-kept")                         \
	X(BOTH_AUTOMATIC, "both-automatic")                 \
	X(STANDBY_BEFORE_RECORD, "standby-before-record")   \
	X(CUT_TOO_FAR, "cut-too-far")                       \
	X(BLANK_SERVES, "blank-serves")                     \
	X(PROMOTE_UNREAD, "promote-unread")                 \
	X(COUNTS_OWN_MEMORY, "counts-own-memory")           \
	X(RESUME_AFTER_RESTART, "resume-after-restart")

enum sf_canary {
	SF_CANARY_NONE,
#define X(id, name) SF_CANARY_##id,
	SF_CANARY_LIST(X)
#undef X
		SF_CANARY_COUNT
};

#ifdef SF_CANARIES
extern enum sf_canary sf_canary;
#define CANARY(id) (sf_canary == SF_CANARY_##id)
#else
#define CANARY(id) 0
#endif
