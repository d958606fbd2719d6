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
	for (uint32_t i = 0; i < REP_PARTITIONS; i++)
		shard->own_index[i] = (uint8_t)(i / config->workers);
	shard->assets = (uint8_t *)memory + sf_round_up(REP_PARTITIONS * sizeof(uint32_t), 64);
	shard->answers = shard->assets + sf_round_up(assets_bytes(config), 64);
}

/* --- Assets: open addressing within a partition; assets are never removed. --- */

/* The next slot of a partition; behind its last one its first. */
static struct dp_asset *
asset_next(const struct dp_shard *shard, const struct dp_asset *asset, uint8_t own_index)
{
	uint8_t *partition = shard->assets + own_index * shard->partition_bytes;
	uint8_t *next = (uint8_t *)(uintptr_t)asset + shard->asset_stride_bytes;
	if (next == partition + shard->partition_bytes)
		next = partition;
	return (struct dp_asset *)next;
}

/* The asset, or the empty slot where it would be. A partition always keeps an empty slot. */
static inline struct dp_asset *find_asset(
	const struct dp_shard *shard, struct dp_asset *home, uint64_t asset_id, uint8_t own_index
)
{
	struct dp_asset *asset = home;
	while (asset->asset_id != asset_id && asset->version != 0)
		asset = asset_next(shard, asset, own_index);
	return asset;
}

static uint64_t asset_hash(const struct dp_shard *shard, const struct dp_asset *asset)
{
	uint64_t h = sf_mix(KEY_ASSET ^ asset->asset_id, asset->last_sequence) ^ asset->version;
	for (uint32_t i = 0; i < shard->config.model->state_bytes; i += 8)
		h = sf_mix(h, sf_load64(asset->state + i));
	return h;
}

/* --- Answers --- */

static uint64_t answer_hash(const struct dp_answer *answer)
{
	/* Client and request number are the sequence's, and stand in the session's digest. */
	uint64_t kind = (uint64_t)answer->status << 16 | answer->payload_bytes;
	uint64_t h = sf_mix(KEY_ANSWER ^ answer->sequence, answer->asset_version ^ kind << 40);
	uint32_t i = 0;
	for (; i + 8 <= answer->payload_bytes; i += 8)
		h = sf_mix(h, sf_load64(answer->payload + i));
	if (i < answer->payload_bytes) {
		uint64_t rest = 0;
		memcpy(&rest, answer->payload + i, answer->payload_bytes - i);
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
	uint32_t own_index = place->own_index;
	struct dp_asset *asset = find_asset(shard, place->home, entry->asset_id, place->own_index);
	struct dp_answer *answer = place->answer;
	struct dp_result result = {.payload = answer->payload};
	bool fresh = asset->version == 0;
	answer->sequence = entry->sequence;
	if (fresh && shard->asset_counts[own_index] >= shard->partition_limit) {
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
		if (fresh) {
			asset->asset_id = entry->asset_id;
			shard->asset_counts[own_index]++;
			shard->asset_count++;
		}
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
	uint8_t own_index;
	struct dp_asset *home = dp_shard_home(shard, operation->asset_id, &own_index);
	const struct dp_asset *asset = find_asset(shard, home, operation->asset_id, own_index);
	operation->sequence = 0;
	operation->timestamp_ns = 0;
	operation->last_update_sequence = asset->last_sequence;
	operation->answer_limit = limit_for(shard, operation->payload_bytes);
	*asset_version = asset->version;
	return shard->config.model->read(asset->state, operation, result);
}
