/* SPDX-License-Identifier: BSD-3-Clause */
#include "config/bytes.h"
#include "config/hash.h"
#include "dataplane/shard.h"
#include "tests/unit/random.h"
#include "tests/unit/unit.h"

#include <stdlib.h>
#include <string.h>

#define SESSIONS 4
#define INFLIGHT 8

static struct dp_shard_config config_of(uint32_t workers, uint32_t worker, uint32_t max_assets)
{
	return (struct dp_shard_config){
		.model = &dp_model_register,
		.workers = workers,
		.worker = worker,
		.max_assets = max_assets,
		.max_sessions = SESSIONS,
		.max_inflight = INFLIGHT,
		.max_answer_bytes = 256,
	};
}

static void *start(struct dp_shard *shard, uint32_t workers, uint32_t worker, uint32_t max_assets)
{
	struct dp_shard_config config = config_of(workers, worker, max_assets);
	uint64_t bytes = sf_round_up(dp_shard_bytes(&config), 64);
	void *memory = aligned_alloc(64, bytes);
	assert_non_null(memory);
	memset(memory, 0, bytes);
	dp_shard_init(shard, &config, memory);
	return memory;
}

struct request {
	uint64_t asset_id;
	uint64_t request_seq;
	uint32_t session;
	uint8_t opcode;
	uint16_t payload_bytes;
	int64_t a, b;
};

static const struct dp_answer *
apply(struct dp_shard *shard, uint64_t sequence, const struct request *request)
{
	static union {
		struct rep_entry entry;
		uint8_t bytes[REP_ENTRY_HEADER_BYTES + 64];
	} slot __attribute__((aligned(64)));
	slot.entry = (struct rep_entry){
		.sequence = sequence,
		.client_id = 1000 + request->session,
		.request_seq = request->request_seq,
		.first_incomplete_seq = 1,
		.asset_id = request->asset_id,
		.payload_bytes = request->payload_bytes,
		.kind = REP_ENTRY_UPDATE,
		.opcode = request->opcode,
	};
	memset(slot.entry.payload, 0, 64);
	sf_store64(slot.entry.payload, (uint64_t)request->a);
	sf_store64(slot.entry.payload + 8, (uint64_t)request->b);
	return dp_shard_apply(shard, &slot.entry, request->session);
}

/* One operation on asset 42 by session 0. */
static const struct dp_answer *
one(struct dp_shard *shard, uint64_t sequence, uint8_t opcode, uint16_t bytes, int64_t a, int64_t b)
{
	struct request request = {
		.asset_id = 42,
		.request_seq = sequence,
		.opcode = opcode,
		.payload_bytes = bytes,
		.a = a,
		.b = b,
	};
	return apply(shard, sequence, &request);
}

static void expect_ok(const struct dp_answer *answer, int64_t value, uint64_t version)
{
	assert_int_equal(answer->status, CLI_OK);
	assert_int_equal(answer->payload_bytes, 8);
	assert_int_equal((int64_t)sf_load64(answer->payload), value);
	assert_int_equal(answer->asset_version, version);
}

static void expect_rejected(const struct dp_answer *answer, uint16_t reason, uint64_t version)
{
	assert_int_equal(answer->status, CLI_REJECTED);
	assert_int_equal(sf_load16(answer->payload), reason);
	assert_int_equal(answer->payload_bytes, reason == CLI_REGISTER_MISMATCH ? 10 : 2);
	assert_int_equal(answer->asset_version, version);
}

static int64_t read_value(const struct dp_shard *shard, uint64_t *sequence, uint64_t *version)
{
	uint8_t payload[16];
	struct dp_operation operation = {.asset_id = 42, .opcode = CLI_REGISTER_GET};
	struct dp_result result = {.payload = payload};
	assert_int_equal(dp_shard_read(shard, &operation, &result, version), CLI_OK);
	assert_int_equal(result.payload_bytes, 16);
	*sequence = sf_load64(payload + 8);
	return (int64_t)sf_load64(payload);
}

static void register_when_operations_are_good_then_values_and_versions(void **state)
{
	struct dp_shard shard;
	uint64_t sequence, version;
	void *memory = start(&shard, 1, 0, 100);
	assert_int_equal(read_value(&shard, &sequence, &version), 0);
	assert_int_equal(sequence, 0);
	assert_int_equal(version, 0);
	assert_int_equal(shard.asset_count, 0);
	expect_ok(one(&shard, 1, CLI_REGISTER_ADD, 8, 5, 0), 5, 1);
	expect_ok(one(&shard, 2, CLI_REGISTER_ADD, 8, -7, 0), -2, 2);
	expect_ok(one(&shard, 3, CLI_REGISTER_SET, 8, INT64_MIN, 0), INT64_MIN, 3);
	expect_ok(one(&shard, 4, CLI_REGISTER_CAS, 16, INT64_MIN, INT64_MAX), INT64_MAX, 4);
	expect_ok(one(&shard, 5, CLI_REGISTER_ADD, 8, 0, 0), INT64_MAX, 5);
	assert_int_equal(read_value(&shard, &sequence, &version), INT64_MAX);
	assert_int_equal(sequence, 5);
	assert_int_equal(version, 5);
	assert_int_equal(shard.asset_count, 1);
	free(memory);
}

static void register_when_operations_are_refused_then_reason_and_nothing_changes(void **state)
{
	struct dp_shard shard;
	uint64_t sequence, version;
	void *memory = start(&shard, 1, 0, 100);
	/* Of an asset that was never updated: it stays so. */
	expect_rejected(one(&shard, 1, 99, 8, 1, 0), CLI_REGISTER_BAD_OPERATION, 0);
	expect_rejected(one(&shard, 2, CLI_REGISTER_CAS, 16, 1, 2), CLI_REGISTER_MISMATCH, 0);
	assert_int_equal(shard.asset_count, 0);
	assert_int_equal(shard.assets_digest, 0);

	expect_ok(one(&shard, 3, CLI_REGISTER_SET, 8, INT64_MAX, 0), INT64_MAX, 1);
	uint64_t digest = shard.assets_digest;
	expect_rejected(one(&shard, 4, CLI_REGISTER_ADD, 8, 1, 0), CLI_REGISTER_OVERFLOW, 1);
	const struct dp_answer *mismatch = one(&shard, 5, CLI_REGISTER_CAS, 16, 7, 8);
	expect_rejected(mismatch, CLI_REGISTER_MISMATCH, 1);
	assert_int_equal((int64_t)sf_load64(mismatch->payload + 2), INT64_MAX);
	for (uint16_t bytes = 0; bytes <= 24; bytes++) {
		uint64_t at = 100 + bytes * 4u;
		if (bytes != 8) {
			expect_rejected(
				one(&shard, at, CLI_REGISTER_ADD, bytes, 1, 1),
				CLI_REGISTER_BAD_OPERATION,
				1
			);
			expect_rejected(
				one(&shard, at + 1, CLI_REGISTER_SET, bytes, 1, 1),
				CLI_REGISTER_BAD_OPERATION,
				1
			);
		}
		if (bytes != 16)
			expect_rejected(
				one(&shard, at + 2, CLI_REGISTER_CAS, bytes, INT64_MAX, 1),
				CLI_REGISTER_BAD_OPERATION,
				1
			);
	}
	/* A read that came without its flag is what the dataplane refuses; the model does too. */
	expect_rejected(one(&shard, 300, CLI_REGISTER_GET, 0, 0, 0), CLI_REGISTER_BAD_OPERATION, 1);
	assert_int_equal(read_value(&shard, &sequence, &version), INT64_MAX);
	assert_int_equal(sequence, 3);
	assert_int_equal(shard.assets_digest, digest);

	expect_ok(one(&shard, 400, CLI_REGISTER_SET, 8, INT64_MIN, 0), INT64_MIN, 2);
	expect_rejected(one(&shard, 401, CLI_REGISTER_ADD, 8, -1, 0), CLI_REGISTER_OVERFLOW, 2);
	free(memory);
}

static void read_when_operation_is_wrong_then_rejected(void **state)
{
	struct dp_shard shard;
	uint64_t version;
	uint8_t payload[16];
	struct dp_result result = {.payload = payload};
	void *memory = start(&shard, 1, 0, 100);
	struct dp_operation long_get = {
		.asset_id = 42, .opcode = CLI_REGISTER_GET, .payload_bytes = 1};
	struct dp_operation write = {.asset_id = 42, .opcode = CLI_REGISTER_ADD};
	assert_int_equal(dp_shard_read(&shard, &long_get, &result, &version), CLI_REJECTED);
	assert_int_equal(sf_load16(payload), CLI_REGISTER_BAD_OPERATION);
	assert_int_equal(dp_shard_read(&shard, &write, &result, &version), CLI_REJECTED);
	assert_int_equal(result.payload_bytes, 2);
	free(memory);
}

static void model_when_asked_by_name_or_opcode_then_known_ones_only(void **state)
{
	assert_ptr_equal(dp_model_find("register"), &dp_model_register);
	assert_null(dp_model_find("registe"));
	assert_null(dp_model_find("registers"));
	assert_null(dp_model_find(""));
	const struct dp_model *model = &dp_model_register;
	assert_int_equal(model->kind(CLI_REGISTER_ADD), DP_OPERATION_WRITE);
	assert_int_equal(model->kind(CLI_REGISTER_SET), DP_OPERATION_WRITE);
	assert_int_equal(model->kind(CLI_REGISTER_CAS), DP_OPERATION_WRITE);
	assert_int_equal(model->kind(CLI_REGISTER_GET), DP_OPERATION_READ);
	assert_int_equal(model->kind(0), DP_OPERATION_UNKNOWN);
	assert_int_equal(model->kind(5), DP_OPERATION_UNKNOWN);
}

static void answer_when_kept_then_found_until_its_place_is_needed(void **state)
{
	struct dp_shard shard;
	void *memory = start(&shard, 1, 0, 100);
	struct request request = {
		.asset_id = 42,
		.session = 1,
		.opcode = CLI_REGISTER_ADD,
		.payload_bytes = 8,
		.a = 1};
	for (request.request_seq = 1; request.request_seq <= INFLIGHT; request.request_seq++)
		apply(&shard, 10 + request.request_seq, &request);
	for (uint64_t seq = 1; seq <= INFLIGHT; seq++) {
		const struct dp_answer *answer = dp_shard_answer(&shard, 1, seq, 10 + seq);
		assert_non_null(answer);
		expect_ok(answer, (int64_t)seq, seq);
	}
	assert_null(dp_shard_answer(&shard, 1, 1, 12));
	assert_null(dp_shard_answer(&shard, 0, 1, 11));
	request.request_seq = INFLIGHT + 1;
	apply(&shard, 50, &request);
	assert_null(dp_shard_answer(&shard, 1, 1, 11));
	expect_ok(dp_shard_answer(&shard, 1, INFLIGHT + 1, 50), INFLIGHT + 1, INFLIGHT + 1);
	assert_non_null(dp_shard_answer(&shard, 1, 2, 12));
	free(memory);
}

/* Whose request an entry was stands in the session table's digest. */
static void digest_when_any_answer_or_asset_differs_then_differs(void **state)
{
	uint64_t digests[4][2];
	for (int i = 0; i < 4; i++) {
		struct dp_shard shard;
		void *memory = start(&shard, 1, 0, 100);
		struct request request = {
			.asset_id = i == 1 ? 43 : 42,
			.request_seq = 1,
			.opcode = CLI_REGISTER_ADD,
			.payload_bytes = 8,
			.a = i == 2 ? 2 : 1,
		};
		apply(&shard, i == 3 ? 2 : 1, &request);
		digests[i][0] = shard.assets_digest;
		digests[i][1] = shard.answers_digest;
		for (int k = 0; k < i; k++)
			assert_true(
				digests[i][0] != digests[k][0] || digests[i][1] != digests[k][1]
			);
		free(memory);
	}
	/* The asset's id is in its own hash only. */
	assert_int_not_equal(digests[0][0], digests[1][0]);
	assert_int_equal(digests[0][1], digests[1][1]);
}

/* --- Any number of workers --- */

#define HISTORY 20000
#define ASSET_IDS 2000
#define MAX_ASSETS 256

struct outcome {
	uint64_t assets_digest, answers_digest, asset_count;
	uint64_t statuses; /* hash of every answer in order */
	uint64_t full;	   /* updates refused for lack of room */
};

static void make_history(struct request *history, uint64_t seed)
{
	struct random random = random_seeded(seed);
	uint64_t next_seq[SESSIONS] = {0};
	for (uint32_t i = 0; i < HISTORY; i++) {
		struct request *r = &history[i];
		r->session = (uint32_t)random_below(&random, SESSIONS);
		r->request_seq = ++next_seq[r->session];
		r->asset_id = random_below(&random, ASSET_IDS) * 0x10001;
		r->opcode = (uint8_t)random_below(&random, 6);
		r->payload_bytes = r->opcode == CLI_REGISTER_CAS ? 16 : 8;
		if (random_below(&random, 20) == 0)
			r->payload_bytes = (uint16_t)random_below(&random, 17);
		r->a = random_below(&random, 3) == 0 ? (int64_t)random_u64(&random)
						     : (int64_t)random_below(&random, 3);
		r->b = (int64_t)random_below(&random, 3);
	}
}

/* The hashes of shard.c's digest, written down a second time: an asset's and an answer's. */
static uint64_t hash_of_asset(const struct dp_asset *asset)
{
	uint64_t id = 0x4173736574486173ull ^ asset->asset_id;
	uint64_t places = asset->last_sequence << 32 | asset->last_sequence >> 32;
	places ^= asset->version << 16 | asset->version >> 48;
	return sf_mix(id ^ places, sf_load64(asset->state));
}

static uint64_t hash_of_answer(uint64_t sequence, const struct dp_answer *answer)
{
	uint64_t kind = (uint64_t)answer->status << 16 | answer->payload_bytes;
	uint64_t h = 0x416e737765724861ull ^ sequence ^ (kind << 24 | kind >> 40);
	h ^= answer->asset_version << 32 | answer->asset_version >> 32;
	for (uint32_t i = 0; i < answer->payload_bytes || i == 0; i += 8) {
		uint64_t word = 0;
		uint32_t left = answer->payload_bytes - i;
		memcpy(&word, answer->payload + i, left < 8 ? left : 8);
		h = sf_mix(h, word);
	}
	return h;
}

/* The digest of a shard's assets from scratch. */
static uint64_t digest_from_scratch(const struct dp_shard *shard, uint64_t *count)
{
	const struct dp_shard_config *config = &shard->config;
	uint32_t own = (REP_PARTITIONS - config->worker + config->workers - 1) / config->workers;
	uint64_t sum = 0;
	for (uint64_t i = 0; i < (uint64_t)own * shard->partition_slots; i++) {
		const struct dp_asset *asset =
			(const struct dp_asset
				 *)(shard->partitions[config->worker] + i * shard->asset_stride_bytes);
		if (asset->version == 0)
			continue;
		assert_int_equal(rep_partition(asset->asset_id) % config->workers, config->worker);
		sum += hash_of_asset(asset);
		(*count)++;
	}
	return sum;
}

static struct outcome run_with(uint32_t workers, const struct request *history)
{
	struct dp_shard shards[REP_PARTITIONS];
	void *memory[REP_PARTITIONS];
	struct outcome outcome = {0};
	uint64_t answers_digest = 0;
	for (uint32_t w = 0; w < workers; w++)
		memory[w] = start(&shards[w], workers, w, MAX_ASSETS);
	for (uint32_t i = 0; i < HISTORY; i++) {
		uint32_t owner = rep_partition(history[i].asset_id) % workers;
		const struct dp_answer *answer = apply(&shards[owner], i + 1, &history[i]);
		outcome.statuses = sf_mix(outcome.statuses, answer->status);
		outcome.statuses = sf_mix(outcome.statuses, answer->asset_version);
		outcome.statuses = sf_mix(outcome.statuses, sf_load16(answer->payload));
		answers_digest += hash_of_answer(i + 1, answer);
		outcome.full += answer->status == CLI_REJECTED &&
				sf_load16(answer->payload) == CLI_REASON_ASSETS_FULL;
	}
	for (uint32_t w = 0; w < workers; w++) {
		uint64_t count = 0;
		assert_int_equal(digest_from_scratch(&shards[w], &count), shards[w].assets_digest);
		assert_int_equal(count, shards[w].asset_count);
		outcome.assets_digest += shards[w].assets_digest;
		outcome.answers_digest += shards[w].answers_digest;
		outcome.asset_count += count;
		free(memory[w]);
	}
	assert_int_equal(outcome.answers_digest, answers_digest);
	return outcome;
}

static void shards_when_number_of_workers_differs_then_same_answers_and_digest(void **state)
{
	static struct request history[HISTORY];
	make_history(history, random_test_seed("test_shard", 99));
	struct outcome expected = run_with(1, history);
	/* Assets that found no room were among them, and not every id was refused. */
	assert_true(expected.full > 100);
	assert_true(expected.asset_count > MAX_ASSETS && expected.asset_count < ASSET_IDS);
	const uint32_t workers[] = {2, 3, 7, 63, 64};
	for (size_t i = 0; i < sizeof(workers) / sizeof(workers[0]); i++) {
		struct outcome outcome = run_with(workers[i], history);
		assert_memory_equal(&outcome, &expected, sizeof(outcome));
	}
}

static void assets_when_partition_is_full_then_old_ones_still_work(void **state)
{
	struct dp_shard shard;
	void *memory = start(&shard, 1, 0, 1);
	struct request request = {.opcode = CLI_REGISTER_ADD, .payload_bytes = 8, .a = 1};
	uint64_t sequence = 0, last_taken = 0;
	uint32_t full = 0;
	/* Ids of one partition only. */
	for (uint64_t id = 0; full < 5; id++) {
		if (rep_partition(id) != 3)
			continue;
		request.asset_id = id;
		request.request_seq = ++sequence;
		const struct dp_answer *answer = apply(&shard, sequence, &request);
		if (answer->status == CLI_OK) {
			assert_int_equal(full, 0);
			last_taken = id;
			continue;
		}
		full++;
		expect_rejected(answer, CLI_REASON_ASSETS_FULL, 0);
	}
	assert_int_equal(shard.asset_count, shard.partition_limit);
	assert_true(shard.partition_limit < shard.partition_slots);
	request.asset_id = last_taken;
	request.request_seq = ++sequence;
	expect_ok(apply(&shard, sequence, &request), 2, 2);
	free(memory);
}

static void bytes_when_split_over_workers_then_assets_take_the_same_memory(void **state)
{
	struct dp_shard_config all = config_of(1, 0, 100000);
	uint64_t answers = (uint64_t)SESSIONS * INFLIGHT * 64, counts = REP_PARTITIONS * 4;
	uint64_t whole = dp_shard_bytes(&all) - answers - counts;
	for (uint32_t workers = 2; workers <= REP_PARTITIONS; workers++) {
		uint64_t sum = 0;
		for (uint32_t w = 0; w < workers; w++) {
			struct dp_shard_config part = config_of(workers, w, 100000);
			sum += dp_shard_bytes(&part) - answers - counts;
		}
		assert_int_equal(sum, whole);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(register_when_operations_are_good_then_values_and_versions),
		cmocka_unit_test(
			register_when_operations_are_refused_then_reason_and_nothing_changes
		),
		cmocka_unit_test(read_when_operation_is_wrong_then_rejected),
		cmocka_unit_test(model_when_asked_by_name_or_opcode_then_known_ones_only),
		cmocka_unit_test(answer_when_kept_then_found_until_its_place_is_needed),
		cmocka_unit_test(digest_when_any_answer_or_asset_differs_then_differs),
		cmocka_unit_test(shards_when_number_of_workers_differs_then_same_answers_and_digest
		),
		cmocka_unit_test(assets_when_partition_is_full_then_old_ones_still_work),
		cmocka_unit_test(bytes_when_split_over_workers_then_assets_take_the_same_memory),
	};
	return cmocka_run_group_tests(tests, NULL, NULL) != 0;
}
