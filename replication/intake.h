/* SPDX-License-Identifier: BSD-3-Clause
 *
 * From requests to entries, and from received entries to the session table: the pure part of the
 * sequencer around the core. The primary asks for each request in its order (verdict, then an
 * arena slot, then the session table), and submits what was taken in the next rep_core_step. The
 * standby follows with each appended entry.
 *
 * This file fills the arena's slots; the core decides when they may be used again.
 */
#pragma once

#include "replication/core.h"
#include "replication/session.h"

#include <stdint.h>

/* Bytes of one slot for payloads of at most this size. */
uint32_t rep_arena_stride(uint32_t max_payload_bytes);

/* Entries that one poll may take: bounds the work of a poll and of its core step. */
#define REP_MAX_PER_POLL 512

struct rep_intake {
	struct rep_core *core;
	struct rep_session_table *sessions;
	struct rep_arena arena;
	uint64_t timestamp_ns; /* unix time for entries of this poll; set by the caller, never lower
				*/
	uint32_t room;	       /* left in this poll; rep_intake_begin reads it from the core */
	uint32_t pending;      /* taken in this poll: the next event's submit_count */
	/* Digest marks: whenever an entry whose sequence is a multiple of the interval has advanced
	 * the table, mark_sequence names it and mark_digest is the table's digest right there. The
	 * caller looks after each entry, takes the mark and sets mark_sequence to 0. */
	uint64_t mark_interval; /* 0: none */
	uint64_t next_mark;	/* no multiple before this one */
	uint64_t mark_sequence;
	uint64_t mark_digest;
};

enum rep_taken {
	REP_TAKEN,	  /* sequenced; detail names the sequence and the session */
	REP_TAKEN_REPEAT, /* detail names the first entry */
	REP_REFUSED_FORGOTTEN,
	REP_REFUSED_OVERLOADED,
	REP_REFUSED_BUSY,
	REP_REFUSED_NOT_PRIMARY,
};

/* Begins a poll: what may be taken now. */
void rep_intake_begin(struct rep_intake *intake, uint64_t timestamp_ns);

/* An update. block: clientId, requestSeq, firstIncompleteSeq and assetId as in the client protocol
 * (32 bytes, unaligned), already checked for 1 <= firstIncompleteSeq <= requestSeq; payload_bytes
 * is within the configured limit. partition: rep_partition(assetId). */
enum rep_taken rep_intake_update(
	struct rep_intake *intake,
	const void *block,
	uint8_t opcode,
	const void *payload,
	uint16_t payload_bytes,
	uint8_t partition,
	struct rep_verdict_detail *detail
);

/* A new session; the same nonce again is a REPEAT of the first. nonce is not 0, checked by the
 * parser (0 is FORGOTTEN here). BUSY also when the table is full:
 * the caller may close an idle session and ask again. The clientId is in the entry, or in the
 * session named by detail. */
enum rep_taken
rep_intake_open(struct rep_intake *intake, uint64_t nonce, struct rep_verdict_detail *detail);

/* Closes an open session, for its client or for idleness. FORGOTTEN when it is not open. */
enum rep_taken rep_intake_close(struct rep_intake *intake, uint64_t client_id);

/* The standby's next appended entries, in sequence order, from first on: each advances the session
 * table, and its detail names its session and partition (0 for what is no update). Returns how many
 * were followed: fewer than count behind a digest mark (the caller takes it and goes on), or in
 * front of an entry that does not fit, which *fault then names: the caller halts the core. */
uint32_t rep_intake_follow(
	struct rep_intake *intake,
	uint64_t first,
	uint32_t count,
	struct rep_verdict_detail *details,
	enum rep_session_fault *fault
);
