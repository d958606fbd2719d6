/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The role record on disk (roles.md, section 3): what a node must not forget of its role, in two
 * copies, each a block in a file of its own, `role.0` and `role.1`. recovery/README.md has every
 * byte, and a row for whatever may be found.
 *
 * A record is first written to the copy of its number modulo 2, and is durable when that is synced;
 * the other copy holds the record before, until it takes the new one as well. So a crash leaves the
 * old record or the new one (P11), and one copy that rots takes nothing with it (S14): were the
 * copies written in turn and no more, then the one that is left could be the older, with a right
 * that was given away since, or without the amnesia.
 *
 * Pure: bytes in, facts and a verdict out. Everything is little-endian.
 */
#pragma once

#include "recovery/log_format.h"
#include "replication/core.h"
#include "replication/record.h"

#define REC_ROLE_VERSION 1
#define REC_ROLE_MAGIC 0x31454c4f52465453ull /* "STFROLE1" */
#define REC_ROLE_BYTES LOG_BLOCK_BYTES	     /* of a copy, and of its file */
#define REC_ROLE_COPIES 2

/* Of the arbiter that answered last: less than this is an old or a blank one, and is refused. */
struct rec_arbiter_seen {
	uint64_t cluster_id; /* etcd's; 0: none has answered yet */
	uint64_t mod_revision;
	uint32_t epoch;
	uint32_t reserved;
};

/* All that a copy holds, but for whose it is. */
struct rec_role {
	struct rep_record record;
	struct rec_arbiter_seen arbiter;
	uint64_t written_unix_ns; /* for people */
	uint32_t lineage_count;
	uint32_t reserved;
	struct rep_lineage lineage[REP_MAX_LINEAGE]; /* epochs rising */
};

/* What is wrong with a copy. */
enum rec_copy_fault {
	REC_COPY_OK,
	REC_COPY_ABSENT,     /* there is no file */
	REC_COPY_UNREADABLE, /* the disk gave an error */
	REC_COPY_EMPTY,	     /* zeros: a file never has its name before its bytes */
	REC_COPY_SHORT,
	REC_COPY_LONG,
	REC_COPY_BAD_MAGIC,
	REC_COPY_BAD_CRC,
	REC_COPY_BAD_VERSION, /* of another release; all below: the CRC fits */
	REC_COPY_OTHER_CLUSTER,
	REC_COPY_OTHER_NODE,
	REC_COPY_OTHER_PLACE, /* this is the other copy's block */
	REC_COPY_BAD_PADDING,
	REC_COPY_BAD_VALUE, /* no node is in such a state */
	REC_COPY_FAULTS,
};
const char *rec_copy_fault_name(enum rec_copy_fault fault);
const char *rec_copy_fault_text(enum rec_copy_fault fault); /* a sentence for people */

/* Can a node be in this state? What cannot is never written, and refused where it is read. */
bool rec_role_is_valid(const struct rec_role *role);

/* Fills a block of REC_ROLE_BYTES with this copy of a valid role. Cluster and node are the
 * identity's, whatever the record says. */
void rec_role_encode(
	void *block, const struct log_identity *identity, const struct rec_role *role, uint32_t copy
);

/* Judges a file's bytes as this copy. Reads only [data, data + bytes); any alignment. REC_COPY_OK:
 * *role is what it holds; else *role is as it was. */
enum rec_copy_fault rec_role_decode(
	const void *data,
	uint64_t bytes,
	const struct log_identity *identity,
	uint32_t copy,
	struct rec_role *role
);

/* Whose copy it is by its own word, if its CRC fits and it is of our version. For a look at a
 * folder that might be anybody's. */
bool rec_role_whose(const void *data, uint64_t bytes, struct log_identity *identity);

/* --- Both --- */

enum rec_role_verdict {
	REC_ROLE_FRESH,	  /* none was ever written: blank, and may found a cluster */
	REC_ROLE_WHOLE,	  /* both are good */
	REC_ROLE_ONE_BAD, /* the other one is good, and counts */
	/* Blank, and a learner only: the node had a role, and nobody can say which (S14). */
	REC_ROLE_LOST,	   /* no copies, beside a log that was used */
	REC_ROLE_BOTH_BAD, /* none of them is good, and one at least is there */
	REC_ROLE_CONFLICT, /* of one number, and different */
	/* Refusals: the node does not start. */
	REC_ROLE_UNREADABLE,	 /* none is good, and the disk gives errors: it may be there */
	REC_ROLE_OTHER_IDENTITY, /* of another cluster or node (S16, inv. 32) */
	REC_ROLE_OTHER_VERSION,
	REC_ROLE_VERDICTS,
};
static inline bool rec_role_refuses(enum rec_role_verdict verdict)
{
	return verdict >= REC_ROLE_UNREADABLE;
}
/* Blank, and yet it must not found a cluster: it may only learn. The role says it too (BLANK and
 * amnesiac), so that the next start still knows. */
static inline bool rec_role_learns_only(enum rec_role_verdict verdict)
{
	return verdict >= REC_ROLE_LOST && verdict < REC_ROLE_UNREADABLE;
}
const char *rec_role_verdict_name(enum rec_role_verdict verdict);
const char *rec_role_verdict_text(enum rec_role_verdict verdict); /* a sentence */
/* What to do; "" where nothing is to be done. */
const char *rec_role_verdict_remedy(enum rec_role_verdict verdict);

/* What was found of a copy. */
struct rec_role_copy {
	enum rec_copy_fault state; /* ABSENT or UNREADABLE, else OK: the bytes are judged */
	const void *data;
	uint64_t bytes;
};

struct rec_role_choice {
	enum rec_role_verdict verdict;
	uint32_t copy;				    /* that counts; REC_ROLE_COPIES: none */
	enum rec_copy_fault fault[REC_ROLE_COPIES]; /* of each */
	uint64_t number[REC_ROLE_COPIES];	    /* write numbers; 0 where it is not good */
};

/* From both copies to the record that counts, by the table in recovery/README.md. used: something
 * beside them says that this node has had a log. *role is always filled: blank where no copy
 * counts, and amnesiac too where there was one once. */
void rec_role_choose(
	struct rec_role_choice *choice,
	struct rec_role *role,
	const struct log_identity *identity,
	const struct rec_role_copy copies[REC_ROLE_COPIES],
	bool used
);
