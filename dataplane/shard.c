/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/shard.h"

#include "config/bytes.h"
#include "config/hash.h"

/* Keys of the digest's parts; changing one changes the digest of every node. */
#define KEY_ASSET 0x4173736574486173ull
#define KEY_ANSWER 0x416e737765724861ull

/* Client-protocol.md: a node never answers with more than 4 x request message + 256 bytes; 198 of
 * those remain for the payload behind the response's header and block. */
#define ANSWER_PER_REQUEST 4
#define ANSWER_EXTRA_BYTES 198

static uint32_t own_partitions(const struct dp_shard_config *config)
{
	return (REP_PARTITIONS - config->worker + config->workers - 1) / config->workers;
}

/* A partition takes a quarter more than its even share, for the spread of the hash. */
static uint32_t partition_limit(uint32_t max_assets)
{
	uint32_t share = (max_assets + REP_PARTITIONS - 1) / REP_PARTITIONS;
	return share + share / 4 + 16;
}

static uint32_t partition_slots(uint32_t max_assets)
{
	return (uint32_t)sf_next_power_of_two(partition_limit(max_assets) * 4ull / 3);
}

/* Small records get a cache line of their own. */
static uint32_t stride(uint32_t bytes)
{
	return (uint32_t)sf_round_up(bytes, bytes <= 64 ? 64 : 16);
}

static uint16_t answer_limit(const struct dp_shard_config *config)
{
	uint16_t model = config->model->answer_bytes;
	return model < config->max_answer_bytes ? model : config->max_answer_bytes;
}

static uint64_t assets_bytes(const struct dp_shard_config *config)
{
	uint64_t record = stride(sizeof(struct dp_asset) + config->model->state_bytes);
	return own_partitions(config) * (uint64_t)partition_slots(config->max_assets) * record;
}

static uint64_t answers_bytes(const struct dp_shard_config *config)
{
	uint64_t record = stride(sizeof(struct dp_answer) + answer_limit(config));
	return (uint64_t)config->max_sessions * config->max_inflight * record;
}

uint64_t dp_shard_bytes(const struct dp_shard_config *config)
{
	return sf_round_up(REP_PARTITIONS * sizeof(uint32_t), 64) +
	       sf_round_up(assets_bytes(config), 64) + answers_bytes(config);
}

void dp_shard_init(struct dp_shard *shard, const struct dp_shard_config *config, void *memory)
{
	CHECK(config->workers >= 1 && config->workers <= REP_PARTITIONS);
	CHECK(config->worker < config->workers && sf_is_power_of_two(config->max_inflight));
	CHECK(config->model->state_bytes % 8 == 0);
	*shard = (struct dp_shard){
		.config = *config,
		.asset_stride_bytes = stride(sizeof(struct dp_asset) + config->model->state_bytes),
		.partition_slots = partition_slots(config->max_assets),
		.partition_limit = partition_limit(config->max_assets),
		.answer_limit = answer_limit(config),
		.answer_stride_bytes = stride(sizeof(struct dp_answer) + answer_limit(config)),
		.asset_counts = memory,
	};
	shard->partition_bytes = (uint64_t)shard->partition_slots * shard->asset_stride_bytes;
	uint8_t *assets = (uint8_t *)memory + sf_round_up(REP_PARTITIONS * sizeof(uint32_t), 64);
	for (uint32_t i = config->worker; i < REP_PARTITIONS; i += config->workers)
		shard->partitions[i] = assets + i / config->workers * shard->partition_bytes;
	shard->answers = assets + sf_round_up(assets_bytes(config), 64);
}

/* --- Assets: open addressing within a partition; assets are never removed. --- */

/* The next slot of an asset's partition; behind its last one its first. */
static struct dp_asset *
asset_next(const struct dp_shard *shard, const struct dp_asset *asset, uint64_t asset_id)
{
	uint8_t *partition = shard->partitions[rep_partition(asset_id)];
	uint8_t *next = (uint8_t *)(uintptr_t)asset + shard->asset_stride_bytes;
	if (next == partition + shard->partition_bytes)
		next = partition;
	return (struct dp_asset *)next;
}

/* The asset, or the empty slot where it would be. A partition always keeps an empty slot. */
static inline struct dp_asset *
find_asset(const struct dp_shard *shard, struct dp_asset *home, uint64_t asset_id)
{
	struct dp_asset *asset = home;
	while (asset->asset_id != asset_id && asset->version != 0)
		asset = asset_next(shard, asset, asset_id);
	return asset;
}

/* May the asset's partition take one more? Apart, as is all that happens once in an asset's life.
 */
static __attribute__((noinline)) bool has_room(const struct dp_shard *shard, uint64_t asset_id)
{
	return shard->asset_counts[rep_partition(asset_id)] < shard->partition_limit;
}

static __attribute__((noinline)) void
begin_asset(struct dp_shard *shard, struct dp_asset *asset, uint64_t asset_id)
{
	asset->asset_id = asset_id;
	shard->asset_counts[rep_partition(asset_id)]++;
	shard->asset_count++;
}

/* One multiplication for a state of one word. The fields are folded into the words at different
 * places: a hash that differs when any one of them does is what a digest of equal histories needs.
 */
static inline uint64_t asset_hash(const struct dp_shard *shard, const struct dp_asset *asset)
{
	uint64_t h = KEY_ASSET ^ asset->asset_id ^ sf_rotate(asset->last_sequence, 32) ^
		     sf_rotate(asset->version, 16);
	uint32_t i = 0;
	do {
		h = sf_mix(h, sf_load64(asset->state + i));
		i += 8;
	} while (i < shard->config.model->state_bytes);
	return h;
}

/* --- Answers --- */

/* As for assets. Client and request number are the sequence's, and stand in the session's digest.
 */
static inline uint64_t answer_hash(const struct dp_answer *answer)
{
	uint32_t bytes = answer->payload_bytes;
	uint64_t h = KEY_ANSWER ^ answer->sequence ^ sf_rotate(answer->asset_version, 32) ^
		     sf_rotate((uint64_t)answer->status << 16 | bytes, 24);
	uint32_t i = 0;
	for (; i + 8 <= bytes; i += 8)
		h = sf_mix(h, sf_load64(answer->payload + i));
	if (i < bytes || bytes == 0) {
		uint64_t rest = 0;
		memcpy(&rest, answer->payload + i, bytes - i);
		h = sf_mix(h, rest);
	}
	return h;
}

static uint16_t limit_for(const struct dp_shard *shard, uint16_t payload_bytes)
{
	uint32_t request = CLI_MESSAGE_BYTES(struct cli_update_request, payload_bytes);
	uint32_t limit = ANSWER_PER_REQUEST * request + ANSWER_EXTRA_BYTES;
	return (uint16_t)sf_min64(shard->answer_limit, limit);
}

const struct dp_answer *dp_shard_apply_at(
	struct dp_shard *shard, const struct rep_entry *entry, const struct dp_shard_place *place
)
{
	struct dp_asset *asset = find_asset(shard, place->home, entry->asset_id);
	struct dp_answer *answer = place->answer;
	struct dp_result result = {.payload = answer->payload};
	bool fresh = asset->version == 0;
	answer->sequence = entry->sequence;
	if (fresh && !has_room(shard, entry->asset_id)) {
		sf_store16(answer->payload, CLI_REASON_ASSETS_FULL);
		result.payload_bytes = 2;
		answer->status = CLI_REJECTED;
	} else {
		struct dp_operation operation = {
			.asset_id = entry->asset_id,
			.client_id = entry->client_id,
			.sequence = entry->sequence,
			.timestamp_ns = entry->timestamp_ns,
			.last_update_sequence = asset->last_sequence,
			.payload = entry->payload,
			.payload_bytes = entry->payload_bytes,
			.answer_limit = limit_for(shard, entry->payload_bytes),
			.opcode = entry->opcode,
		};
		answer->status =
			(uint8_t)shard->config.model->apply(asset->state, &operation, &result);
	}
	if (answer->status == CLI_OK) {
		if (fresh)
			begin_asset(shard, asset, entry->asset_id);
		asset->version++;
		asset->last_sequence = entry->sequence;
		shard->assets_digest -= asset->hash;
		asset->hash = asset_hash(shard, asset);
		shard->assets_digest += asset->hash;
	}
	answer->asset_version = asset->version;
	answer->payload_bytes = result.payload_bytes;
	shard->answers_digest += answer_hash(answer);
	return answer;
}

const struct dp_answer *dp_shard_answer(
	const struct dp_shard *shard, uint32_t session, uint64_t request_seq, uint64_t sequence
)
{
	const struct dp_answer *answer = dp_shard_answer_place(shard, session, request_seq);
	return answer->sequence == sequence ? answer : NULL;
}

enum cli_status dp_shard_read(
	const struct dp_shard *shard,
	struct dp_operation *operation,
	struct dp_result *result,
	uint64_t *asset_version
)
{
	struct dp_asset *home = dp_shard_home(shard, operation->asset_id);
	const struct dp_asset *asset = find_asset(shard, home, operation->asset_id);
	operation->sequence = 0;
	operation->timestamp_ns = 0;
	operation->last_update_sequence = asset->last_sequence;
	operation->answer_limit = limit_for(shard, operation->payload_bytes);
	*asset_version = asset->version;
	return shard->config.model->read(asset->state, operation, result);
}

/* --- Snapshots --- */

void dp_shard_shape(const struct dp_shard_config *config, struct snap_shape *shape)
{
	*shape = (struct snap_shape){
		.state_bytes = config->model->state_bytes,
		.max_assets = config->max_assets,
		.max_sessions = config->max_sessions,
		.max_inflight = config->max_inflight,
		.max_answer_bytes = config->max_answer_bytes,
	};
	for (uint32_t i = 0; i + 1 < SNAP_NAME_BYTES && config->model->name[i]; i++)
		shape->model[i] = config->model->name[i];
}

static bool restore_asset(struct dp_shard *shard, const struct snap_asset *saved, uint8_t partition)
{
	if (rep_partition(saved->asset_id) != partition || saved->version == 0)
		return false;
	struct dp_asset *asset =
		find_asset(shard, dp_shard_home(shard, saved->asset_id), saved->asset_id);
	if (asset->version != 0 || !has_room(shard, saved->asset_id))
		return false;
	begin_asset(shard, asset, saved->asset_id);
	asset->version = saved->version;
	asset->last_sequence = saved->last_sequence;
	memcpy(asset->state, saved->state, shard->config.model->state_bytes);
	asset->hash = asset_hash(shard, asset);
	shard->assets_digest += asset->hash;
	return true;
}

static bool restore_answer(struct dp_shard *shard, const struct snap_answer *saved)
{
	if (saved->session >= shard->config.max_sessions || saved->sequence == 0 ||
	    saved->payload_bytes > shard->answer_limit)
		return false;
	struct dp_answer *answer = dp_shard_answer_place(shard, saved->session, saved->request_seq);
	if (answer->sequence != 0)
		return false;
	answer->sequence = saved->sequence;
	answer->asset_version = saved->asset_version;
	answer->status = saved->status;
	answer->payload_bytes = saved->payload_bytes;
	memcpy(answer->payload, saved->payload, saved->payload_bytes);
	return true;
}

bool dp_shard_restore(struct dp_shard *shard, const struct snap_block *block)
{
	const uint8_t *at = (const uint8_t *)(block + 1);
	uint32_t left = block->bytes - (uint32_t)sizeof(*block);
	if (block->type != SNAP_ASSETS && block->type != SNAP_ANSWERS)
		return false;
	if (block->partition >= REP_PARTITIONS || shard->partitions[block->partition] == NULL)
		return false;
	for (uint32_t i = 0; i < block->count; i++) {
		uint32_t bytes =
			(uint32_t)sizeof(struct snap_asset) + shard->config.model->state_bytes;
		if (block->type == SNAP_ANSWERS) {
			const struct snap_answer *saved = (const void *)at;
			if (left < sizeof(*saved))
				return false;
			bytes = snap_answer_bytes(saved->payload_bytes);
		}
		if (left < bytes)
			return false;
		bool fits = block->type == SNAP_ANSWERS
				    ? restore_answer(shard, (const void *)at)
				    : restore_asset(shard, (const void *)at, block->partition);
		if (!fits)
			return false;
		at += bytes;
		left -= bytes;
	}
	return left == 0;
}

uint32_t dp_shard_save_assets(
	const struct dp_shard *shard,
	uint8_t partition,
	uint32_t *cursor,
	void *to,
	uint32_t room_bytes,
	uint32_t *count
)
{
	uint32_t state_bytes = shard->config.model->state_bytes;
	uint32_t bytes = (uint32_t)sizeof(struct snap_asset) + state_bytes;
	uint32_t used = 0;
	*count = 0;
	for (; *cursor < shard->partition_slots && used + bytes <= room_bytes; (*cursor)++) {
		const struct dp_asset *asset =
			(const void
				 *)(shard->partitions[partition] + (uint64_t)*cursor * shard->asset_stride_bytes);
		if (asset->version == 0)
			continue;
		struct snap_asset *saved = (void *)((uint8_t *)to + used);
		*saved = (struct snap_asset){
			.asset_id = asset->asset_id,
			.version = asset->version,
			.last_sequence = asset->last_sequence,
		};
		memcpy(saved->state, asset->state, state_bytes);
		used += bytes;
		(*count)++;
	}
	return used;
}

bool dp_shard_save_answer(
	const struct dp_shard *shard,
	uint32_t session,
	const struct rep_session_slot *slot,
	struct snap_answer *to,
	uint32_t *bytes
)
{
	const struct dp_answer *answer =
		dp_shard_answer(shard, session, slot->request_seq, slot->sequence);
	if (answer == NULL)
		return false;
	*bytes = snap_answer_bytes(answer->payload_bytes);
	memset(to, 0, *bytes);
	to->session = session;
	to->request_seq = slot->request_seq;
	to->sequence = answer->sequence;
	to->asset_version = answer->asset_version;
	to->status = answer->status;
	to->payload_bytes = answer->payload_bytes;
	memcpy(to->payload, answer->payload, answer->payload_bytes);
	return true;
}
