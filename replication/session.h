/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The session table: what makes "exactly once" possible in bounded memory (RIFL, SOSP'15). It is
 * advanced in sequence order by the sequencer on both nodes, by replay and by checkpoints, and
 * depends on the log's prefix alone: never on the number of workers, never on time.
 *
 * One table holds max_sessions open sessions; for each the highest firstIncompleteSeq seen and, for
 * the max_inflight request numbers from there on, the sequence and asset partition of the entry.
 *
 * Owner: the sequencer's lcore. All memory is the caller's, given once.
 */
#pragma once

#include "config/check.h"
#include "config/hash.h"
#include "replication/entry.h"

#include <stdbool.h>
#include <stdint.h>

#define REP_SESSION_NONE UINT32_MAX

/* Assets are spread over a fixed number of partitions, and partitions over workers: so nothing that
 * both nodes must agree on depends on how many workers a node has. */
#define REP_PARTITIONS 64

/* One hash of an asset's id serves for everything: its highest bits are the partition, its lowest
 * the place in tables. */
static inline uint64_t rep_asset_hash(uint64_t asset_id)
{
	return sf_mix(0x506172746974696full, asset_id);
}

static inline uint8_t rep_partition_of_hash(uint64_t hash)
{
	return (uint8_t)(hash >> 58);
}

static inline uint8_t rep_partition(uint64_t asset_id)
{
	return rep_partition_of_hash(rep_asset_hash(asset_id));
}

struct rep_session_limits {
	uint32_t max_sessions;
	uint32_t max_inflight; /* power of two */
};

/* One request number of a session's window. */
struct rep_session_slot {
	uint64_t request_seq; /* 0: none */
	uint64_t sequence;
	uint8_t partition;
	uint8_t reserved[7];
};

struct rep_session {
	uint64_t client_id; /* 0: free */
	uint64_t nonce;
	uint64_t first_incomplete_seq;
	uint64_t identity_hash; /* of client_id, nonce and key_id */
	uint64_t last_sequence; /* of its newest entry */
	uint64_t key_id;
	uint64_t live_hash; /* sum of the hashes of live requests: part of the digest */
	uint32_t next_free; /* in the list of free indexes, while client_id is 0 */
	uint32_t reserved;
};
STATIC_CHECK(sizeof(struct rep_session) == 64, "one cache line");

struct rep_session_table {
	struct rep_session_limits limits;
	uint32_t count; /* open sessions */
	uint32_t first_free;
	uint32_t map_mask;
	uint32_t recent;     /* session of the last update: the first place to look */
	uint32_t *by_client; /* open addressing: index + 1, 0 is empty */
	uint32_t *by_nonce;
	struct rep_session *sessions;
	struct rep_session_slot *slots; /* max_inflight per session */
	uint64_t digest;		/* of all sessions, kept incrementally */
};

enum rep_verdict {
	REP_FRESH,	/* sequence it */
	REP_REPEAT,	/* already an entry: its owner answers again once that is committed */
	REP_FORGOTTEN,	/* no such session, or below firstIncompleteSeq */
	REP_OVERLOADED, /* max_inflight or more above firstIncompleteSeq */
};

/* The earlier entry of a REPEAT, and the session of all but a FORGOTTEN unknown one. */
struct rep_verdict_detail {
	uint32_t session; /* index, REP_SESSION_NONE if unknown */
	uint64_t sequence;
	uint8_t partition;
};

uint64_t rep_session_table_bytes(const struct rep_session_limits *limits);
/* memory: rep_session_table_bytes, aligned to 64, kept until the table is no longer used. */
void rep_session_table_init(
	struct rep_session_table *table, const struct rep_session_limits *limits, void *memory
);

/* Index of an open session, or REP_SESSION_NONE. Requests come in runs of one client, so the
 * session of the last update is looked at before the map. */
uint32_t rep_session_look_up(const struct rep_session_table *table, uint64_t client_id);
static inline uint32_t rep_session_find(const struct rep_session_table *table, uint64_t client_id)
{
	/* A closed session has client_id 0. */
	if (table->sessions[table->recent].client_id == client_id && client_id != 0)
		return table->recent;
	return rep_session_look_up(table, client_id);
}
uint32_t rep_session_find_nonce(const struct rep_session_table *table, uint64_t nonce);

/* What to do with an update request. Wants 1 <= first_incomplete_seq <= request_seq (checked by the
 * parser). Changes nothing. */
enum rep_verdict rep_session_check(
	const struct rep_session_table *table,
	uint64_t client_id,
	uint64_t request_seq,
	uint64_t first_incomplete_seq,
	struct rep_verdict_detail *detail
);

/* Why an entry does not fit the table: cannot happen with entries that a correct primary wrote, but
 * entries come from wire and disk, so it is an answer and not a CHECK. */
enum rep_session_fault {
	REP_SESSION_OK,
	REP_SESSION_UNKNOWN,   /* update or close of a session that is not open */
	REP_SESSION_DUPLICATE, /* request or nonce that is already there */
	REP_SESSION_FULL,
	REP_SESSION_BAD, /* numbers out of their range */
};

/* Advances the table by the next entry of the log. partition is the asset's partition (a pure
 * function of asset_id). *session is the index that the entry belongs to; after a CLOSE it is the
 * index that became free. On a fault the table is unchanged. */
enum rep_session_fault rep_session_apply(
	struct rep_session_table *table,
	const struct rep_entry *entry,
	uint8_t partition,
	uint32_t *session
);

/* The same for an UPDATE that rep_session_check has just called FRESH: nothing is looked up or
 * checked again. session is the detail's. */
void rep_session_advance(
	struct rep_session_table *table,
	const struct rep_entry *entry,
	uint8_t partition,
	uint32_t session
);

/* The same for count entries of the arena from first on, in sequence order: each detail names the
 * session and the partition (0 for what is no update) of its entry. Returns how many fitted; *fault
 * names the first that did not. */
uint32_t rep_session_apply_run(
	struct rep_session_table *table,
	const struct rep_arena *arena,
	uint64_t first,
	uint32_t count,
	struct rep_verdict_detail *details,
	enum rep_session_fault *fault
);

/* --- From a snapshot --- */

/* Puts a session back at its index with count live requests. False when it does not fit: the table
 * is then of no use. Behind the last one comes rep_session_restored. */
bool rep_session_restore(
	struct rep_session_table *table,
	uint32_t index,
	const struct rep_session
		*saved, /* client_id to first_incomplete_seq, last_sequence, key_id */
	const struct rep_session_slot *slots,
	uint32_t count
);
/* All are there: the free places are found anew. */
void rep_session_restored(struct rep_session_table *table);
/* Is this slot of a session a request that its client may repeat? */
static inline bool
rep_session_slot_lives(const struct rep_session *session, const struct rep_session_slot *slot)
{
	return slot->request_seq != 0 && slot->request_seq >= session->first_incomplete_seq;
}

/* Sequence of the OPEN entry of a session. */
static inline uint64_t rep_session_open_sequence(const struct rep_session *session)
{
	return session->client_id & 0xffffffffffffull;
}

/* The clientId that an OPEN entry at this place gives (client-protocol.md). */
static inline uint64_t rep_session_client_id(uint32_t epoch, uint64_t sequence)
{
	return (uint64_t)(epoch & 0xffff) << 48 | (sequence & 0xffffffffffffull);
}
