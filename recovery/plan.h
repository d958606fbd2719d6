/* SPDX-License-Identifier: BSD-3-Clause
 *
 * From what lies in a node's log directory to what is done about it: a scan of each segment gives
 * facts, and the facts of all give a plan, by a decision table that leaves nothing out (the idea of
 * TigerBeetle's journal recovery). recovery/README.md has a paragraph for each row.
 *
 * What was called durable must be there: damage at or below a durable mark is refused with file,
 * offset and remedy. What a crash may leave behind the last mark is cut, and said.
 *
 * Pure: the caller reads the files and carries the plan out.
 */
#pragma once

#include "recovery/log_format.h"
#include "replication/core.h"

#define REC_MAX_SEGMENTS 65536

/* What one segment file holds. */
struct rec_segment {
	uint64_t number;
	uint64_t file_bytes;
	enum log_fault header;	 /* LOG_EMPTY: prepared and never used */
	uint64_t first_sequence; /* the header's */
	uint32_t chain;		 /* the header's: of the last group before */
	uint32_t header_epoch;
	uint64_t incarnation;
	/* Of the groups that follow each other from the beginning. */
	uint64_t groups;
	uint64_t last_sequence; /* first_sequence - 1: no entry */
	uint64_t end_offset;	/* behind the last of them */
	uint32_t end_chain;
	uint64_t durable; /* highest mark among them */
	bool closed;	  /* the last of them says so */
	/* Where they end: LOG_EMPTY when only zeros follow, or the file ends there. */
	enum log_fault end;
	/* Whole groups of ours behind that, and the highest mark among them. */
	uint64_t groups_behind;
	uint64_t durable_behind;
};

/* Reads a whole segment file. data: aligned to 8. */
void rec_scan(
	const void *data,
	uint64_t bytes,
	const struct log_identity *identity,
	uint64_t number,
	struct rec_segment *segment
);

/* The header alone, for a segment that another one continues: what its groups hold is taken from
 * that one's header, until somebody verifies them. */
void rec_scan_header(
	const void *data,
	uint64_t bytes,
	uint64_t file_bytes,
	const struct log_identity *identity,
	uint64_t number,
	const struct rec_segment *next,
	struct rec_segment *segment
);

enum rec_verdict {
	REC_FRESH,     /* nothing is there, and nothing was: a new log begins */
	REC_CLEAN,     /* everything is whole */
	REC_TORN_TAIL, /* what was being written when the node died is cut */
	REC_HOLE,      /* later groups reached the disk before earlier ones: cut at the hole */
	/* Refusals. */
	REC_LOST,	    /* the node had a log, and its directory is empty */
	REC_NO_IDENTITY,    /* a log is there, and no identity */
	REC_OTHER_IDENTITY, /* identity or segment of another cluster or node */
	REC_OTHER_VERSION,
	REC_MISSING,  /* a segment is missing, or swapped with another */
	REC_DAMAGED,  /* below what was durable */
	REC_NO_BEGIN, /* the oldest segment does not begin with the first entry, nor with a snapshot
		       */
	REC_VERDICTS,
};
static inline bool rec_refuses(enum rec_verdict verdict)
{
	return verdict >= REC_LOST;
}
const char *rec_verdict_name(enum rec_verdict verdict);
const char *rec_verdict_text(enum rec_verdict verdict); /* a sentence */
const char *rec_verdict_remedy(enum rec_verdict verdict
); /* what to do; "" for what is no refusal */

enum rec_identity {
	REC_IDENTITY_NONE,
	REC_IDENTITY_NEW, /* ours, and the log beside it has held nothing yet */
	REC_IDENTITY_OURS,
	REC_IDENTITY_OTHER,
	REC_IDENTITY_BAD,
	/* Ours, used, and then emptied on purpose: that nothing is left is no loss. It ends with
	 * the next entry that is durable. */
	REC_IDENTITY_EMPTIED,
	/* The log was given up in this moment: what lies in the folder does not count any more and
	 * goes to quarantine, but for one snapshot that takes its place, if there is one. */
	REC_IDENTITY_VOID,
};
/* Has the log of this identity ever held an entry? The role record's reader asks for that. */
static inline bool rec_identity_used(enum rec_identity identity)
{
	return identity == REC_IDENTITY_OURS || identity == REC_IDENTITY_EMPTIED ||
	       identity == REC_IDENTITY_VOID;
}

struct rec_plan {
	enum rec_verdict verdict;
	enum log_fault fault; /* of what was found, for the message */
	uint64_t at_segment;  /* where; 0: nowhere in particular */
	uint64_t at_offset;
	uint64_t first_segment, last_segment; /* that hold entries; 0: none */
	uint64_t last_sequence;		      /* that remains */
	uint64_t cut_bytes;		      /* of the last segment, from at_offset on */
	struct log_position start;	      /* where replay begins: behind the snapshot */
	struct log_position reach;    /* entries from here on are still wanted for the arena: there,
				       * or before it */
	struct log_position position; /* where the journal goes on: a new segment */
};

/* The snapshots beside the log. */
struct rec_base {
	uint64_t sequence;	      /* of the one that replay begins with; 0: with none */
	struct log_position position; /* its place in the log; next_sequence = sequence + 1 */
	uint64_t durable;	      /* highest sequence of all snapshots: it was durable */
	uint64_t reach; /* so many of the newest entries are wanted, also those in the snapshot */
};

/* segments: rising by number. Those before the base's are not looked at. With REC_IDENTITY_VOID
 * there are none, and base is the snapshot that takes the log's place: the plan's last_segment is
 * then 0, its position the segment behind the one that carrying out makes at base->position. */
void rec_plan_make(
	struct rec_plan *plan,
	enum rec_identity identity,
	const struct rec_segment *segments,
	uint32_t count,
	const struct rec_base *base
);

/* The identity file: one block that says whose folder this is, and whether its log has ever held an
 * entry (used): only then does an empty folder mean a loss. */
void rec_identity_write(
	void *block, const struct log_identity *identity, bool used, uint64_t unix_ns
);
enum rec_identity
rec_identity_check(const void *block, uint64_t bytes, const struct log_identity *identity);
/* The same with each of the states NEW, OURS, EMPTIED and VOID. base: with VOID, the sequence of
 * the snapshot that takes the log's place; else 0. */
void rec_identity_mark(
	void *block,
	const struct log_identity *identity,
	enum rec_identity state,
	uint64_t base,
	uint64_t unix_ns
);
/* Of a block that was found to be VOID. */
uint64_t rec_identity_base(const void *block);
