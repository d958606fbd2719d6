/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/fuzz/snapshot_input.h"

#include "config/bytes.h"
#include "control/copy.h"
#include "tests/unit/random.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

const struct log_identity snapshot_input_identity = {
	.cluster_hash = 0x1122334455667788ull,
	.node = 1,
	.cluster = "test",
	.node_name = "b",
};

void snapshot_input_settings(struct cfg_settings *settings)
{
	memset(settings, 0, sizeof(*settings));
	memcpy(settings->assets.model, "register", 9);
	settings->assets.max = 64;
	settings->limits.max_sessions = SNAPSHOT_INPUT_SESSIONS;
	settings->limits.max_inflight = SNAPSHOT_INPUT_INFLIGHT;
	settings->limits.max_answer_bytes = 64;
}

/* --- A snapshot, written into memory --- */

static int
write_memory(struct disk *disk, int file, const void *data, size_t bytes, uint64_t offset)
{
	struct snapshot_input_disk *memory = (struct snapshot_input_disk *)disk;
	if (offset + bytes > SNAPSHOT_INPUT_FILE_ROOM)
		return -ENOSPC;
	memcpy(memory->data + offset, data, bytes);
	memory->bytes = sf_max64(memory->bytes, offset + bytes);
	return 0;
}

void snapshot_input_disk_init(struct snapshot_input_disk *memory)
{
	memory->disk = (struct disk){.write = write_memory};
	memory->bytes = 0;
}

/* A few sessions with a few requests each. */
static void make_history(struct ctl_copy *copy, struct random *random, uint32_t updates)
{
	static _Alignas(8) uint8_t room[REP_ENTRY_HEADER_BYTES + 8];
	struct rep_entry *entry = (struct rep_entry *)(void *)room;
	uint64_t clients[SNAPSHOT_INPUT_SESSIONS], next[SNAPSHOT_INPUT_SESSIONS];
	uint32_t sessions = 1 + (uint32_t)random_below(random, SNAPSHOT_INPUT_SESSIONS);
	uint64_t sequence = 0;
	for (uint32_t i = 0; i < sessions + updates; i++) {
		uint32_t who = i < sessions ? i : (uint32_t)random_below(random, sessions);
		memset(room, 0, sizeof(room));
		entry->epoch = i < sessions ? 3 : 5;
		entry->sequence = ++sequence;
		if (i < sessions) {
			entry->kind = REP_ENTRY_OPEN;
			clients[i] = entry->client_id = rep_session_client_id(3, sequence);
			entry->request_seq = random_u64(random) | 1;
			next[i] = 1;
		} else {
			entry->kind = REP_ENTRY_UPDATE;
			entry->client_id = clients[who];
			entry->request_seq = next[who]++;
			uint64_t window = sf_min64(entry->request_seq, SNAPSHOT_INPUT_INFLIGHT);
			entry->first_incomplete_seq =
				entry->request_seq - random_below(random, window);
			entry->asset_id = random_below(random, 12);
			entry->opcode = (uint8_t)(1 + random_below(random, 2));
			entry->payload_bytes = 8;
			sf_store64(entry->payload, random_below(random, 1000));
		}
		if (ctl_copy_apply(copy, entry) != REP_SESSION_OK)
			abort();
	}
}

static struct snapshot_input_disk *make_file(uint64_t seed, uint32_t updates)
{
	static struct snapshot_input_disk memory;
	static struct cfg_settings settings;
	struct random random = random_seeded(seed);
	struct ctl_copy copy;
	struct snap_header *header = calloc(1, sizeof(*header));
	snapshot_input_settings(&settings);
	if (header == NULL || ctl_copy_init(&copy, &settings) != 0)
		abort();
	make_history(&copy, &random, updates);
	header->segment = 2;
	header->offset = 3 * LOG_BLOCK_BYTES;
	header->chain = 9;
	snapshot_input_disk_init(&memory);
	if (ctl_copy_write(&copy, &snapshot_input_identity, &memory.disk, 0, header) != 0)
		abort();
	ctl_copy_free(&copy);
	free(header);
	return &memory;
}

static size_t
pack(const struct snapshot_input_disk *memory, uint8_t seal, uint8_t *data, size_t room)
{
	struct snapshot_input_head head = {.header_bytes = SNAP_HEADER_BYTES, .seal = seal};
	while (memory->data[head.header_bytes - 1] == 0)
		head.header_bytes--;
	size_t blocks = memory->bytes - SNAP_HEADER_BYTES;
	size_t bytes = sizeof(head) + head.header_bytes + blocks;
	if (bytes > room)
		return 0;
	memcpy(data, &head, sizeof(head));
	memcpy(data + sizeof(head), memory->data, head.header_bytes);
	memcpy(data + sizeof(head) + head.header_bytes, memory->data + SNAP_HEADER_BYTES, blocks);
	return bytes;
}

size_t snapshot_input_random(uint64_t seed, uint8_t *data, size_t room)
{
	struct random random = random_seeded(seed);
	uint8_t seal = random_below(&random, 4) == 0 ? 0 : SNAPSHOT_SEAL_ALL;
	uint32_t updates = (uint32_t)random_below(&random, 40);
	return pack(make_file(seed, updates), seal, data, room);
}

/* --- Cases --- */

enum snapshot_case {
	CASE_SMALL,
	CASE_USUAL,
	CASE_UNSEALED,
	CASE_SHORT,
	CASE_FLIPPED,
	CASE_OTHER_NODE,
	CASE_OTHER_SHAPE,
	CASE_NO_BLOCKS,
	CASE_COUNT_TOO_HIGH,
	CASE_COUNT_TOO_LOW,
	CASE_LENGTH_ZERO,
	CASE_LENGTH_TOO_HIGH,
	CASE_OTHER_TYPE,
	CASE_OTHER_PARTITION,
	CASE_LIVE_TOO_HIGH,
	CASE_INDEX_TOO_HIGH,
	CASE_NO_CLIENT,
	CASE_REQUESTS_WRAP,
	CASE_ASSET_TWICE,
	CASE_ANSWER_TOO_LONG,
	CASE_ANSWER_LOST,
	CASES,
};

static const char *const names[CASES] = {
	[CASE_SMALL] = "small",
	[CASE_USUAL] = "usual",
	[CASE_UNSEALED] = "unsealed",
	[CASE_SHORT] = "short",
	[CASE_FLIPPED] = "flipped",
	[CASE_OTHER_NODE] = "other-node",
	[CASE_OTHER_SHAPE] = "other-shape",
	[CASE_NO_BLOCKS] = "no-blocks",
	[CASE_COUNT_TOO_HIGH] = "count-too-high",
	[CASE_COUNT_TOO_LOW] = "count-too-low",
	[CASE_LENGTH_ZERO] = "length-zero",
	[CASE_LENGTH_TOO_HIGH] = "length-too-high",
	[CASE_OTHER_TYPE] = "other-type",
	[CASE_OTHER_PARTITION] = "other-partition",
	[CASE_LIVE_TOO_HIGH] = "live-too-high",
	[CASE_INDEX_TOO_HIGH] = "index-too-high",
	[CASE_NO_CLIENT] = "no-client",
	[CASE_REQUESTS_WRAP] = "requests-wrap",
	[CASE_ASSET_TWICE] = "asset-twice",
	[CASE_ANSWER_TOO_LONG] = "answer-too-long",
	[CASE_ANSWER_LOST] = "answer-lost",
};

static struct snap_block *find_block(struct snapshot_input_disk *memory, uint8_t type)
{
	struct snap_block *block = (void *)(memory->data + SNAP_HEADER_BYTES);
	while (block->type != type)
		block = (void *)((uint8_t *)block + block->bytes);
	return block;
}

static void spoil(struct snapshot_input_disk *memory, enum snapshot_case number)
{
	struct snap_header *header = (void *)memory->data;
	struct snap_block *sessions = find_block(memory, SNAP_SESSIONS);
	struct snap_block *assets = find_block(memory, SNAP_ASSETS);
	struct snap_block *answers = find_block(memory, SNAP_ANSWERS);
	struct snap_session *session = (void *)(sessions + 1);
	struct snap_answer *answer = (void *)(answers + 1);
	header->node ^= number == CASE_OTHER_NODE;
	header->shape.max_inflight *= number == CASE_OTHER_SHAPE ? 2 : 1;
	if (number == CASE_NO_BLOCKS)
		memory->bytes = SNAP_HEADER_BYTES;
	memory->data[memory->bytes - 20] ^= number == CASE_FLIPPED;
	sessions->count += number == CASE_COUNT_TOO_HIGH;
	assets->count -= number == CASE_COUNT_TOO_LOW;
	assets->bytes = number == CASE_LENGTH_ZERO	 ? 0
			: number == CASE_LENGTH_TOO_HIGH ? UINT32_MAX
							 : assets->bytes;
	assets->type = number == CASE_OTHER_TYPE ? 4 : assets->type;
	assets->partition ^= number == CASE_OTHER_PARTITION;
	session->live = number == CASE_LIVE_TOO_HIGH ? UINT32_MAX : session->live;
	session->index = number == CASE_INDEX_TOO_HIGH ? UINT32_MAX : session->index;
	session->client_id = number == CASE_NO_CLIENT ? 0 : session->client_id;
	if (number == CASE_REQUESTS_WRAP)
		session->first_incomplete_seq = UINT64_MAX - 1;
	if (number == CASE_ASSET_TWICE) {
		struct snap_block *next = (void *)((uint8_t *)assets + assets->bytes);
		memcpy(next, assets, sf_min64(assets->bytes, next->bytes));
	}
	answer->payload_bytes = number == CASE_ANSWER_TOO_LONG ? UINT16_MAX : answer->payload_bytes;
	if (number == CASE_ANSWER_LOST)
		memory->bytes = (uint64_t)((uint8_t *)answers - memory->data);
}

size_t snapshot_input_case(uint32_t number, uint8_t *data, const char **name)
{
	if (number >= CASES)
		return 0;
	*name = names[number];
	struct snapshot_input_disk *memory =
		make_file(number < 2 ? number : 7, number == 0 ? 3 : 30);
	spoil(memory, (enum snapshot_case)number);
	uint8_t seal = number == CASE_UNSEALED || number == CASE_FLIPPED ? 0
		       : number == CASE_OTHER_NODE			 ? SNAPSHOT_SEAL_HEADER
		       : number == CASE_OTHER_SHAPE ? SNAPSHOT_SEAL_ALL & ~SNAPSHOT_SEAL_SHAPE
						    : SNAPSHOT_SEAL_ALL;
	size_t bytes = pack(memory, seal, data, SNAPSHOT_INPUT_ROOM);
	if (bytes > 0 && number == CASE_SHORT)
		data[offsetof(struct snapshot_input_head, missing)] = 40;
	return bytes;
}
