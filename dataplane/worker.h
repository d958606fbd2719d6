/* SPDX-License-Identifier: BSD-3-Clause
 *
 * An asset worker: the only one to touch its assets. It takes work from its ring in order, applies
 * it at once (that overlaps the replication round trip), and keeps what must be answered in a queue
 * of held answers until the sequencer publishes that it is committed.
 *
 * The ring carries u64 elements, never payload: a sequence (the entry is in the arena), or with
 * bit 63 a place in this worker's side arena (reads and repeats), or with bit 62 a digest mark; or
 * with both a block of a snapshot, at this offset of the memory file's ring (fill.c).
 */
#pragma once

#include "dataplane/commit.h"
#include "dataplane/net.h"
#include "dataplane/replies.h"
#include "dataplane/shard.h"
#include "dataplane/shm.h"
#include "replication/intake.h"

#include <rte_ring.h>

#include <stdint.h>

#define DP_ELEMENT_SIDE (1ull << 63)
#define DP_ELEMENT_MARK (1ull << 62)
#define DP_ELEMENT_ANSWER (1ull << 61) /* of a sequence: this node answers the client */
#define DP_ELEMENT_VALUE (DP_ELEMENT_ANSWER - 1)

#define DP_ELEMENT_BLOCK (DP_ELEMENT_SIDE | DP_ELEMENT_MARK)
#define DP_ELEMENT_RESET (DP_ELEMENT_MARK | DP_ELEMENT_ANSWER) /* value: the new generation */
#define DP_ELEMENT_FORGET (DP_ELEMENT_RESET | DP_ELEMENT_SIDE) /* the same */

/* Digest marks that control asked for and that may wait in a ring. */
#define DP_ASKED_MARKS 32

/* What a node knows of an entry beyond the entry: one per arena slot. Writer: the sequencer, before
 * the sequence goes into the ring; reader: the entry's worker. */
struct dp_meta {
	struct dp_address client; /* primary only */
	uint64_t received_ns;
	uint32_t session;
	uint32_t reserved;
};
STATIC_CHECK(sizeof(struct dp_meta) == 32, "two to a cache line");

enum dp_side_kind { DP_SIDE_READ, DP_SIDE_REPEAT, DP_SIDE_REPEAT_OPEN };

/* A read or a repeated request: no entry, so it has its own place. Writer: the sequencer, until the
 * place goes into the ring; then the worker, until it publishes side_tail beyond it. */
struct dp_side {
	struct dp_address client;
	uint64_t client_id;
	uint64_t request_seq; /* REPEAT_OPEN: the nonce */
	uint64_t asset_id;
	uint64_t sequence; /* answered when committed up to here; repeats: of the first entry */
	uint64_t frame;	   /* reads: and when the standby echoed this frame */
	uint64_t asset_version; /* reads: result, from here on */
	uint32_t session;
	uint16_t payload_bytes;
	uint8_t kind;
	uint8_t opcode;
	uint8_t status;
	uint8_t reserved[7];
	uint8_t payload[]; /* the request's, then the answer's */
};

struct dp_worker {
	/* Written at start, read by the worker (W) and the sequencer (S). */
	uint32_t index;
	uint16_t max_inflight;
	struct rte_ring *ring; /* S produces, W consumes */
	const struct dp_commit *commit;
	struct rep_arena arena;
	const struct dp_meta *meta;
	uint8_t *side;
	uint32_t side_stride_bytes;
	uint32_t side_mask;
	const uint8_t *fill;	   /* the memory file's ring of bytes */
	struct dp_shm_worker *shm; /* counters and marks: W writes */
	struct sf_histogram *answered;
	void *shard_memory;
	uint64_t shard_bytes;

	/* W only. */
	struct dp_shard shard;
	struct dp_replies replies;
	uint64_t *held; /* elements that wait for their commit, in ring order */
	uint32_t held_mask;
	uint64_t held_head, held_tail;
	uint64_t done;	     /* as last published */
	uint64_t generation; /* of the answers that may leave: commit.h */
	bool forgetting;     /* the shard is being cleared, a part in each poll */
	uint64_t forgotten_bytes;

	/* W writes, S reads. */
	uint64_t done_sequence __attribute__((aligned(64))); /* W needs no slot up to here */
	uint64_t side_tail;  /* places of the side arena that are free again */
	uint64_t marks_done; /* digest marks written */
	uint64_t restored;   /* blocks of a snapshot that were taken */
	bool misfit;	     /* one of them did not fit; before restored */
	uint64_t forgotten;  /* generation in which all state was forgotten */

	/* S only. */
	uint64_t pushed_sequence __attribute__((aligned(64)));
	uint64_t passed_sequence; /* needs no slot up to here, its own entries or others' */
	uint64_t side_head;
	uint64_t restores; /* blocks pushed */
	uint32_t batch_count;
	uint64_t batch[DP_BURST];
};

unsigned dp_worker_poll(void *worker);

static inline struct dp_side *dp_worker_side(const struct dp_worker *worker, uint64_t place)
{
	return (struct dp_side
			*)(worker->side + (place & worker->side_mask) * worker->side_stride_bytes);
}
