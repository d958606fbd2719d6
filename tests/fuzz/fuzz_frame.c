/* SPDX-License-Identifier: BSD-3-Clause
 *
 * rep_frame_decode, and what a node does with a frame that it took. Three quarters of the inputs
 * get their checksums made right first: a fuzzer does not guess them, and what stands behind them
 * would never run.
 */
#include "replication/core.h"
#include "tests/fuzz/fuzz_target.h"
#include "tests/unit/random.h"

#include <stdlib.h>
#include <string.h>

#define SLOTS 64
#define MAX_PAYLOAD 256
#define PREFIX_BYTES                                                                \
	4 /* of the input: which node, whether checksums are made right, which role \
	   */

uint64_t fuzz_accepted;

static struct rep_core cores[2];
static uint64_t held[2][SLOTS / 64];

static struct rep_link_identity identity(int role)
{
	return (struct rep_link_identity){
		.cluster_tag = 7,
		.node = (uint8_t)role,
		.peer = (uint8_t)!role,
		.max_payload_bytes = MAX_PAYLOAD,
	};
}

/* A node with a pair record, in any mode and with any policy. */
static void start_with_record(int node, uint8_t choice)
{
	static const enum rep_mode modes[] = {
		REP_MODE_WAITING,
		REP_MODE_LEARNER,
		REP_MODE_STANDBY,
		REP_MODE_CANDIDATE,
		REP_MODE_PAIRED,
		REP_MODE_ALONE,
		REP_MODE_BLOCKED,
		REP_MODE_ASYNC,
	};
	struct rep_core *core = &cores[node];
	struct rep_core_config config = {
		.link = identity(node),
		.policy = (enum rep_policy)(REP_POLICY_ARBITER + (choice >> 3 & 3)),
		.ack = (enum rep_ack)(choice >> 5 & 1),
		.incarnation = 1,
		.slots = SLOTS,
		.window = SLOTS / 2,
		.heartbeat_interval_ns = 1000000,
		.heartbeat_misses = 10,
		.retransmit_min_ns = 200000,
		.has_log = true,
		.bootstrap = true,
		.ask_timeout_ns = 1000000,
		.record_fresh_ns = 5000000,
		.fetch_bytes = 4096,
	};
	struct rep_record record = {
		.write_number = 1,
		.incarnation = 1,
		.mode = (uint8_t)(choice >> 6),
		.epoch = 1,
		.pair = {.epoch = 1, .primary = (uint8_t)(choice >> 5 & 1), .in_sync = 3},
	};
	struct rep_history history = {
		.last_sequence = 20,
		.arena_first = 1,
		.epoch = 1,
		.lineage_count = 1,
		.lineage = {{.epoch = 1, .first_sequence = 1}},
	};
	record.pair.holder = choice & 1 ? (uint8_t)node : REP_HOLDER_ARBITER;
	rep_core_init(core, &config, held[node], 0);
	rep_core_start_with(core, &history, &record, 0);
	core->mode = modes[choice & 7];
	core->primary = core->mode == REP_MODE_PAIRED || core->mode == REP_MODE_ALONE ||
			core->mode == REP_MODE_BLOCKED || core->mode == REP_MODE_ASYNC;
	core->stream = choice >> 4 & 1;
	core->fetch.active = core->mode == REP_MODE_LEARNER && (choice >> 5 & 1);
}

static void start(int role)
{
	struct rep_core_config config = {
		.link = identity(role),
		.role = role == 0 ? REP_PRIMARY : REP_STANDBY,
		.epoch = 1,
		.incarnation = 1,
		.slots = SLOTS,
		.window = SLOTS / 2,
		.heartbeat_interval_ns = 1000000,
		.heartbeat_misses = 10,
		.retransmit_min_ns = 200000,
	};
	rep_core_init(&cores[role], &config, held[role], 0);
	rep_core_start(&cores[role], &(struct rep_history){0}, 0);
}

/* Makes the CRCs of the entries and of the frame right, as far as its lengths make sense. */
static void correct(uint8_t *data, size_t bytes)
{
	struct rep_header *header = (struct rep_header *)data;
	if (bytes < REP_FRAME_HEADER_BYTES || header->bytes < REP_FRAME_HEADER_BYTES ||
	    header->bytes > bytes)
		return;
	uint32_t body_bytes = header->bytes - REP_FRAME_HEADER_BYTES;
	uint8_t *body = data + REP_FRAME_HEADER_BYTES;
	uint16_t entry_count = header->entry_count;
	uint32_t crc = SF_CRC32C_INIT, offset = 0;
	if (header->type != REP_FRAME_DATA) {
		rep_frame_seal(header, body, body_bytes);
		return;
	}
	for (uint32_t i = 0; i < entry_count; i++) {
		struct rep_entry *entry = (struct rep_entry *)(body + offset);
		if (body_bytes - offset < REP_ENTRY_HEADER_BYTES ||
		    body_bytes - offset < rep_entry_bytes(entry->payload_bytes))
			break;
		entry->crc = rep_entry_crc(entry);
		crc = sf_crc32c_u32(crc, entry->crc);
		offset += rep_entry_bytes(entry->payload_bytes);
	}
	rep_frame_seal_data(header, entry_count, body_bytes, crc);
}

static void
check_update(const struct rep_core *core, const struct rep_update *update, uint32_t have)
{
	bool good = update->store_count <= REP_MAX_STORES && update->send_count <= REP_MAX_SENDS &&
		    update->committed <= core->last_sequence &&
		    core->highest - core->last_sequence <= SLOTS;
	for (uint32_t i = 0; i < update->store_count; i++)
		good &= update->store[i].skip + update->store[i].count <= have;
	if (!good)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	static uint8_t copy[9000 + 2] __attribute__((aligned(8)));
	static struct rep_update update;
	if (bytes < PREFIX_BYTES || bytes > 9000)
		return 0;
	int role = data[0] & 1;
	bool fixed = data[0] & 4;
	size_t frame_bytes = bytes - PREFIX_BYTES;
	struct rep_link_identity id = identity(role);
	struct rep_frame frame;
	const uint8_t *input = data + PREFIX_BYTES;
	if (data[1] & 3) {
		memcpy(copy + 2, input, frame_bytes);
		correct(copy + 2, frame_bytes);
		input = copy + 2;
	}
	if (rep_frame_decode(&id, input, (uint32_t)frame_bytes, &frame) != REP_FRAME_OK)
		return 0;
	fuzz_accepted++;
	if (fixed)
		start(role);
	else
		start_with_record(role, data[2]);
	cores[role].peer_incarnation = frame.header->source_incarnation;
	cores[role].link_up = data[0] & 2;
	struct rep_event event = {.frames = &frame, .frame_count = 1, .rx_drained = true};
	for (int i = 0; i < 4; i++) {
		event.now_ns += 300000;
		event.persisted = cores[role].record.write_number;
		event.durable = cores[role].last_sequence;
		rep_core_step(&cores[role], &event, &update);
		check_update(&cores[role], &update, frame.header->entry_count);
		for (uint32_t k = 0; k < update.send_count; k++) {
			struct rep_header header;
			rep_core_header(&cores[role], &update.send[k], event.now_ns, &header);
		}
		rep_core_deadline_ns(&cores[role]);
	}
	return 0;
}

size_t fuzz_example(uint64_t seed, uint8_t *data, size_t room)
{
	static const uint16_t body_bytes[] = {
		0,
		0,
		sizeof(struct rep_hello),
		0,
		0,
		0,
		sizeof(struct rep_nak),
		0,
		sizeof(struct rep_change),
		sizeof(struct rep_change),
		sizeof(struct rep_fetch),
		sizeof(struct rep_piece) + 64,
	};
	struct random random = random_seeded(seed);
	int role = (int)random_below(&random, 2);
	uint32_t type = 1 + (uint32_t)random_below(&random, 11);
	struct rep_header *header = (struct rep_header *)(data + PREFIX_BYTES);
	uint8_t *body = data + PREFIX_BYTES + REP_FRAME_HEADER_BYTES;
	memset(data, 0, room);
	data[0] = (uint8_t)(role | 2 | (random_below(&random, 2) << 2));
	data[2] = (uint8_t)random_u64(&random);
	data[1] = (uint8_t)random_u64(&random);
	*header = (struct rep_header){
		.version = REP_FRAME_VERSION,
		.type = (uint8_t)type,
		.source = (uint8_t)!role,
		.destination = (uint8_t)role,
		.cluster_tag = 7,
		.epoch = 1,
		.source_incarnation = 1,
		.destination_incarnation = 1,
		.frame_number = 1,
		.limit = SLOTS,
		.flags = role == 0 ? 0 : REP_FLAG_PRIMARY,
	};
	if (type != REP_FRAME_DATA) {
		for (uint32_t i = 0; i < body_bytes[type]; i += 8)
			sf_store64(body + i, random_below(&random, 3));
		if (type == REP_FRAME_SNAPSHOT) { /* it must fit itself */
			const struct rep_piece piece = {.sequence = 30, .total = 64};
			memcpy(body, &piece, sizeof(piece));
		}
		rep_frame_seal(header, body, body_bytes[type]);
		return PREFIX_BYTES + header->bytes;
	}
	uint64_t first = 1 + random_below(&random, 3);
	uint32_t count = 1 + (uint32_t)random_below(&random, 6), offset = 0;
	for (uint32_t i = 0; i < count; i++) {
		struct rep_entry *entry = (struct rep_entry *)(body + offset);
		*entry = (struct rep_entry){
			.epoch = 1,
			.sequence = first + i,
			.client_id = random_u64(&random),
			.payload_bytes = (uint16_t)random_below(&random, 40),
			.kind = (uint8_t)(1 + random_below(&random, 3)),
		};
		offset += rep_entry_bytes(entry->payload_bytes);
	}
	header->bytes = (uint16_t)(REP_FRAME_HEADER_BYTES + offset);
	header->entry_count = (uint16_t)count;
	correct(data + PREFIX_BYTES, header->bytes);
	return PREFIX_BYTES + header->bytes;
}
