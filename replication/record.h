/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The pair record, and what a node must not forget of it: the role record. Rules R1 … R20 of
 * roles.md; the scheme is PacificA's (Lin et al., 2008): the configuration of the pair is one
 * record that is changed only by compare-and-set on its whole previous value.
 *
 * Pure data; the bytes on disk are recovery/record_file.h's.
 */
#pragma once

#include "config/check.h"

#include <stdbool.h>
#include <stdint.h>

/* Who may commit. Every change raises the epoch; the lowest bit of an epoch is the node that
 * appends in it, so an epoch has one author under every policy. */
struct rep_pair {
	uint32_t epoch;	 /* 0: there is no record */
	uint8_t primary; /* node id, 0 or 1 */
	uint8_t in_sync; /* bit per node id; the primary's is always set */
	uint8_t holder;	 /* who may change it: a node id, or REP_HOLDER_ARBITER */
	uint8_t reserved;
};
STATIC_CHECK(sizeof(struct rep_pair) == 8, "compared and stored as one value");
#define REP_HOLDER_ARBITER 0xff

static inline bool rep_pair_equal(const struct rep_pair *a, const struct rep_pair *b)
{
	return a->epoch == b->epoch && a->primary == b->primary && a->in_sync == b->in_sync;
}

/* The next epoch whose author is this node. */
static inline uint32_t rep_next_epoch(uint32_t epoch, uint8_t author)
{
	uint32_t next = epoch + 1;
	return (next & 1) == author ? next : next + 1;
}

/* Where the pair record is kept, and so which moves are automatic (roles.md, section 4). */
enum rep_policy {
	REP_POLICY_FIXED,	       /* no record: roles come from the configuration */
	REP_POLICY_ARBITER,	       /* W */
	REP_POLICY_PRIMARY_CONTINUES,  /* N1: on the primary's disk; the standby never promotes */
	REP_POLICY_STANDBY_TAKES_OVER, /* N2: on the standby's, while there is one in sync */
	REP_POLICY_SPLIT_ALLOWED,      /* N3: each has its own copy */
};

/* What acknowledged means. */
enum rep_ack {
	REP_ACK_RECEIVED, /* R2M: both have it in memory */
	REP_ACK_DURABLE,  /* R2D: it is durable on both */
	REP_ACK_NONE,	  /* R18: the primary has sequenced it */
};

/* What the node was when the record was written. */
enum rep_record_mode {
	REP_RECORD_BLANK,   /* never had a role: may only learn (inv. 18) */
	REP_RECORD_LEARNER, /* may lack what was acknowledged */
	REP_RECORD_STANDBY, /* in the in-sync set of `epoch` */
	REP_RECORD_PAIRED,  /* primary of `epoch` with a standby */
	REP_RECORD_ALONE, /* primary of `epoch` by itself: its log holds all that it acknowledged */
	REP_RECORD_MODES,
};

/* Section 3 of roles.md. Written and synced before the node acts on it. */
struct rep_record {
	uint64_t write_number; /* of the record's writes; the newest good copy counts */
	uint64_t incarnation;  /* of the node's life; raised and synced before any frame leaves */
	uint64_t boots;
	uint64_t committed;	 /* known to be committed and durable when this was written */
	uint64_t final_sequence; /* of a clean stop: the whole history, durable */
	uint64_t final_digest;
	uint64_t safety_hash; /* of the settings that both nodes must agree on */
	uint64_t cluster_hash;
	struct rep_pair pair; /* as last known, or held */
	uint32_t epoch;	      /* that `mode` speaks of */
	uint8_t mode;	      /* enum rep_record_mode */
	uint8_t node;
	bool amnesiac; /* R7: may lack what it acknowledged; it never votes itself in */
	bool clean;    /* stopped in good order */
};
STATIC_CHECK(sizeof(struct rep_record) == 80, "role record");

/* R7: what a record becomes when its node starts again, before any frame leaves: a new life, and
 * amnesiac unless its log is known to hold whatever it acknowledged. */
void rep_record_boot(struct rep_record *record, uint64_t incarnation, enum rep_ack ack);

/* Has the node all that was acknowledged in the epoch of this pair record? */
bool rep_record_complete(const struct rep_record *record, const struct rep_pair *pair);
