/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What one asset worker owns: the assets of its partitions and the answers that may be asked for
 * again. Pure (no DPDK, no clock, no allocation), so that the worker, the simulator and, later,
 * replay and checkpoints run the same code.
 *
 * Assets are spread over REP_PARTITIONS fixed partitions, and partition p belongs to worker
 * p % workers. Each partition has its own bound, so that "no room for one more asset" happens at
 * the same entry whatever the number of workers.
 *
 * The digest has two sums modulo 2^64, and neither depends on order or number of workers: a keyed
 * hash per asset that was ever updated, and one per answer ever given (never taken out again: so it
 * covers the whole history of answers, and forgetting one needs no message between workers).
 */
#pragma once

#include "dataplane/model/model.h"
#include "recovery/snapshot.h"
#include "replication/session.h"

#include <stdbool.h>
#include <stdint.h>

struct dp_shard_config {
	const struct dp_model *model;
	uint32_t workers;    /* of this node, 1 … REP_PARTITIONS */
	uint32_t worker;     /* this one, from 0 */
	uint32_t max_assets; /* of the node */
	uint32_t max_sessions;
	uint32_t max_inflight; /* power of two */
	uint16_t max_answer_bytes;
};

/* The answer to an applied update, kept until its place is needed: exactly-once rests on it. */
struct dp_answer {
	uint64_t sequence; /* 0: none yet */
	uint64_t asset_version;
	uint16_t payload_bytes;
	uint8_t status; /* enum cli_status */
	uint8_t reserved[5];
	uint8_t payload[];
};

struct dp_asset {
	uint64_t asset_id;
	uint64_t version; /* 0: the slot is empty */
	uint64_t last_sequence;
	uint64_t hash; /* as it stands in the digest */
	uint8_t state[];
};

struct dp_shard {
	struct dp_shard_config config;
	uint32_t asset_stride_bytes;
	uint32_t partition_slots; /* power of two */
	uint32_t partition_limit; /* assets per partition */
	uint32_t answer_stride_bytes;
	uint16_t answer_limit; /* of model and configuration */
	uint64_t partition_bytes;
	uint8_t *partitions[REP_PARTITIONS]; /* assets of those that are the shard's own */
	uint8_t *answers;
	uint32_t *asset_counts; /* per partition */
	uint64_t asset_count;
	uint64_t assets_digest;
	uint64_t answers_digest;
};

uint64_t dp_shard_bytes(const struct dp_shard_config *config);
/* memory: dp_shard_bytes, aligned to 64, all zero (fresh pages: they are not touched here, so a
 * large bound costs nothing until it is used). */
void dp_shard_init(struct dp_shard *shard, const struct dp_shard_config *config, void *memory);

/* The slot where the search for an asset begins. */
static inline struct dp_asset *dp_shard_home(const struct dp_shard *shard, uint64_t asset_id)
{
	uint64_t hash = rep_asset_hash(asset_id);
	uint64_t slot = hash & (shard->partition_slots - 1);
	return (struct dp_asset
			*)(shard->partitions[rep_partition_of_hash(hash)] + slot * shard->asset_stride_bytes);
}

/* Where the answer to a request of a session stands. */
static inline struct dp_answer *
dp_shard_answer_place(const struct dp_shard *shard, uint32_t session, uint64_t request_seq)
{
	uint64_t inflight = shard->config.max_inflight;
	uint64_t place = session * inflight + (request_seq & (inflight - 1));
	return (struct dp_answer *)(shard->answers + place * shard->answer_stride_bytes);
}

/* Where an entry's asset and answer are, or will be: found once, ahead of use. */
struct dp_shard_place {
	struct dp_asset *home; /* where the search for the asset begins */
	struct dp_answer *answer;
};

/* Finds the places of an UPDATE entry of one of this shard's partitions, and brings their cache
 * lines near. Entries may be located a burst ahead, in any order. */
static inline void dp_shard_locate(
	const struct dp_shard *shard,
	const struct rep_entry *entry,
	uint32_t session,
	struct dp_shard_place *place
)
{
	place->home = dp_shard_home(shard, entry->asset_id);
	place->answer = dp_shard_answer_place(shard, session, entry->request_seq);
	__builtin_prefetch(place->home, 1);
	__builtin_prefetch(place->answer, 1);
}

/* Applies a located entry and keeps the answer, which is returned and stays valid until the
 * session's request number request_seq + max_inflight is applied. */
const struct dp_answer *dp_shard_apply_at(
	struct dp_shard *shard, const struct rep_entry *entry, const struct dp_shard_place *place
);

/* Both in one. */
static inline const struct dp_answer *
dp_shard_apply(struct dp_shard *shard, const struct rep_entry *entry, uint32_t session)
{
	struct dp_shard_place place;
	dp_shard_locate(shard, entry, session, &place);
	return dp_shard_apply_at(shard, entry, &place);
}

/* The kept answer of a session's request. The caller knows from the session table that this shard
 * applied it as `sequence`; NULL if the place holds another (never for a REPEAT). */
const struct dp_answer *dp_shard_answer(
	const struct dp_shard *shard, uint32_t session, uint64_t request_seq, uint64_t sequence
);

/* Executes a read; the answer's payload goes to result, whose buffer holds answer_limit bytes. */
enum cli_status dp_shard_read(
	const struct dp_shard *shard,
	struct dp_operation *operation,
	struct dp_result *result,
	uint64_t *asset_version
);

/* --- Snapshots --- */

/* What the shards' meaning depends on. */
void dp_shard_shape(const struct dp_shard_config *config, struct snap_shape *shape);
/* Puts the records of a block of assets or answers back; false when one does not fit (another type,
 * not this shard's partition, twice there, beyond a bound): the shard is then of no use. The sum of
 * answers ever given is not in the records: the caller adds it to answers_digest of one shard. */
bool dp_shard_restore(struct dp_shard *shard, const struct snap_block *block);
/* Writes assets of a partition, or answers, as records into [to, to + room_bytes). *cursor: 0 to
 * begin with; left behind the last slot that was looked at. Returns the bytes, *count the records;
 * 0 bytes: there are no more. */
uint32_t dp_shard_save_assets(
	const struct dp_shard *shard,
	uint8_t partition,
	uint32_t *cursor,
	void *to,
	uint32_t room_bytes,
	uint32_t *count
);
/* The kept answer of a live request; false when the shard does not have it. *bytes: written. */
bool dp_shard_save_answer(
	const struct dp_shard *shard,
	uint32_t session,
	const struct rep_session_slot *slot,
	struct snap_answer *to,
	uint32_t *bytes
);
