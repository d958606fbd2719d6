/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Snapshots made of any bytes (tests/fuzz/snapshot_input.h says how an input becomes a file). What
 * must hold:
 *
 * - the check reads only the file, and says the same twice; what is good, is good for us alone;
 * - loading refuses, or gives a state that is whole: every session is found by both its keys, each
 *   live request has its answer, and the places that are free are as many as they should be;
 * - shards of three workers take what one took, with the same sum;
 * - written again and loaded again it is the same state, and it goes on: new sessions open as long
 *   as there is room, and when all are closed the digest is that of no session.
 */
#include "config/bytes.h"
#include "control/copy.h"
#include "tests/fuzz/fuzz_target.h"
#include "tests/fuzz/snapshot_input.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WORKERS 3

uint64_t fuzz_accepted;

static struct cfg_settings settings;

static void need(bool good, const char *what)
{
	if (good)
		return;
	fprintf(stderr, "fuzz_snapshot: not so: %s\n", what);
	abort();
}

/* --- Making right --- */

static void seal_blocks(struct snap_header *header, uint8_t *data, uint64_t bytes)
{
	uint64_t at = SNAP_HEADER_BYTES;
	header->blocks = 0;
	while (at + sizeof(struct snap_block) <= bytes) {
		struct snap_block *block = (void *)(data + at);
		if (block->bytes < sizeof(*block) || block->bytes % 8 != 0 ||
		    block->bytes > SNAP_MAX_BLOCK_BYTES || block->bytes > bytes - at)
			break;
		snap_block_seal(block, header);
		at += block->bytes;
	}
	header->file_bytes = bytes;
}

/* The header claims what the records say, as far as they are taken. */
static void seal_sums(struct snap_header *header)
{
	struct ctl_copy copy;
	const struct snap_block *block = snap_first(header);
	need(ctl_copy_init(&copy, &settings) == 0, "memory for a copy");
	header->answers = 0;
	for (uint32_t i = 0; i < header->blocks; i++, block = snap_next(block)) {
		bool fits = block->type == SNAP_SESSIONS
				    ? snap_restore_sessions(&copy.sessions, block)
				    : dp_shard_restore(&copy.shard, block);
		if (!fits)
			break;
		header->answers += block->type == SNAP_ANSWERS ? block->count : 0;
	}
	header->sessions = copy.sessions.count;
	header->assets = copy.shard.asset_count;
	header->sessions_digest = copy.sessions.digest;
	header->assets_digest = copy.shard.assets_digest;
	ctl_copy_free(&copy);
}

static void seal(uint8_t *data, uint64_t bytes, unsigned what)
{
	struct snap_header *header = (void *)data;
	if (bytes < SNAP_HEADER_BYTES)
		return;
	if (what & SNAPSHOT_SEAL_SHAPE)
		ctl_copy_shape(&settings, &header->shape);
	if (what & SNAPSHOT_SEAL_BLOCKS)
		seal_blocks(header, data, bytes);
	if ((what & SNAPSHOT_SEAL_BLOCKS) && (what & SNAPSHOT_SEAL_SUMS))
		seal_sums(header);
	if (what & SNAPSHOT_SEAL_HEADER)
		snap_header_seal(header, &snapshot_input_identity);
}

/* --- What must hold --- */

static void check_sessions(const struct ctl_copy *copy)
{
	const struct rep_session_table *table = &copy->sessions;
	uint32_t open = 0, free_places = 0;
	for (uint32_t i = 0; i < SNAPSHOT_INPUT_SESSIONS; i++) {
		const struct rep_session *session = &table->sessions[i];
		if (session->client_id == 0)
			continue;
		open++;
		need(rep_session_look_up(table, session->client_id) == i, "found by its client");
		need(rep_session_find_nonce(table, session->nonce) == i, "found by its nonce");
		for (uint32_t j = 0; j < SNAPSHOT_INPUT_INFLIGHT; j++) {
			const struct rep_session_slot *slot =
				&table->slots[i * SNAPSHOT_INPUT_INFLIGHT + j];
			struct rep_verdict_detail detail;
			if (!rep_session_slot_lives(session, slot))
				continue;
			need(rep_session_check(
				     table,
				     session->client_id,
				     slot->request_seq,
				     session->first_incomplete_seq,
				     &detail
			     ) == REP_REPEAT,
			     "a live request is a repeat");
			need(dp_shard_answer(&copy->shard, i, slot->request_seq, slot->sequence) !=
				     NULL,
			     "and has its answer");
		}
	}
	for (uint32_t i = table->first_free; i != REP_SESSION_NONE;
	     i = table->sessions[i].next_free) {
		need(i < SNAPSHOT_INPUT_SESSIONS && table->sessions[i].client_id == 0 &&
			     free_places++ < SNAPSHOT_INPUT_SESSIONS,
		     "the list of free places is one");
	}
	need(open == table->count && open + free_places == SNAPSHOT_INPUT_SESSIONS,
	     "every place is free or taken");
}

static void check_split(const struct ctl_copy *copy, const struct snap_header *header)
{
	const struct snap_block *block = snap_first(header);
	struct dp_shard shards[WORKERS];
	void *memory[WORKERS];
	uint64_t digest = 0, assets = 0;
	for (uint32_t i = 0; i < WORKERS; i++) {
		struct dp_shard_config config = copy->shard.config;
		config.workers = WORKERS;
		config.worker = i;
		uint64_t bytes = sf_round_up(dp_shard_bytes(&config), 64);
		memory[i] = aligned_alloc(64, bytes);
		need(memory[i] != NULL, "memory for a shard");
		memset(memory[i], 0, bytes);
		dp_shard_init(&shards[i], &config, memory[i]);
	}
	for (uint32_t i = 0; i < header->blocks; i++, block = snap_next(block))
		if (block->type != SNAP_SESSIONS)
			need(dp_shard_restore(&shards[block->partition % WORKERS], block),
			     "what one worker takes, three take");
	for (uint32_t i = 0; i < WORKERS; i++) {
		digest += shards[i].assets_digest;
		assets += shards[i].asset_count;
		free(memory[i]);
	}
	need(digest == copy->shard.assets_digest && assets == copy->shard.asset_count,
	     "and come to the same");
}

static void check_again(const struct ctl_copy *copy, const struct snap_header *from)
{
	static struct snapshot_input_disk memory;
	static struct snap_header place;
	const struct snap_header *header;
	struct ctl_copy second;
	uint64_t at;
	memset(&place, 0, sizeof(place));
	place.segment = from->segment;
	place.offset = from->offset;
	snapshot_input_disk_init(&memory);
	need(ctl_copy_write(copy, &snapshot_input_identity, &memory.disk, 0, &place) == 0,
	     "what was loaded can be written");
	need(snap_check(memory.data, memory.bytes, &snapshot_input_identity, &header, &at) ==
		     LOG_OK,
	     "and is good");
	need(ctl_copy_init(&second, &settings) == 0, "memory for a copy");
	need(ctl_copy_load(&second, header), "and can be loaded");
	need(ctl_copy_digest(&second) == ctl_copy_digest(copy) &&
		     second.sequence == copy->sequence &&
		     second.sessions.count == copy->sessions.count,
	     "and is the same");
	ctl_copy_free(&second);
}

static void check_goes_on(struct ctl_copy *copy)
{
	struct rep_session_table *table = &copy->sessions;
	struct rep_entry entry = {.kind = REP_ENTRY_OPEN, .sequence = copy->sequence};
	for (uint32_t i = 0; i <= SNAPSHOT_INPUT_SESSIONS; i++) {
		entry.sequence++;
		entry.client_id = 0x7777000000000000ull + i;
		entry.request_seq = 0x9999000000000000ull + i;
		bool full = table->count == SNAPSHOT_INPUT_SESSIONS;
		enum rep_session_fault fault = ctl_copy_apply(copy, &entry);
		need(fault == REP_SESSION_DUPLICATE || (fault == REP_SESSION_OK) == !full,
		     "sessions open while there is room");
	}
	for (uint32_t i = 0; i < SNAPSHOT_INPUT_SESSIONS; i++) {
		entry.sequence++;
		entry.kind = REP_ENTRY_CLOSE;
		entry.client_id = table->sessions[i].client_id;
		if (entry.client_id != 0)
			need(ctl_copy_apply(copy, &entry) == REP_SESSION_OK, "each is closed");
	}
	need(table->count == 0 && table->digest == 0, "nothing is left of them");
}

static void run(const uint8_t *data, uint64_t bytes)
{
	const struct snap_header *header = NULL, *other = NULL;
	struct log_identity foreign = snapshot_input_identity;
	struct ctl_copy copy;
	uint64_t at, again;
	foreign.node ^= 1;
	enum log_fault fault = snap_check(data, bytes, &snapshot_input_identity, &header, &at);
	need(fault == snap_check(data, bytes, &snapshot_input_identity, &other, &again) &&
		     at == again,
	     "a file is judged the same twice");
	need(at <= bytes || bytes < SNAP_HEADER_BYTES, "the place of a fault lies in the file");
	need(snap_check(data, bytes, &foreign, &other, &again) != LOG_OK, "it is nobody else's");
	if (fault != LOG_OK)
		return;
	need(at == bytes && header->file_bytes == bytes, "all of it was looked at");
	need(ctl_copy_init(&copy, &settings) == 0, "memory for a copy");
	if (ctl_copy_load(&copy, header)) {
		fuzz_accepted++;
		check_sessions(&copy);
		check_split(&copy, header);
		check_again(&copy, header);
		check_goes_on(&copy);
	}
	ctl_copy_free(&copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	struct snapshot_input_head head;
	if (bytes < sizeof(head))
		return 0;
	memcpy(&head, data, sizeof(head));
	data += sizeof(head);
	bytes -= sizeof(head);
	snapshot_input_settings(&settings);
	uint64_t taken = sf_min64(head.header_bytes % (SNAP_HEADER_BYTES + 1), bytes);
	uint64_t all = SNAP_HEADER_BYTES + bytes - taken;
	all -= sf_min64(head.missing, all);
	/* Of exactly that size, so that a sanitizer sees a read beyond it. */
	uint8_t *file = calloc(1, all);
	need(file != NULL, "memory for a file");
	memcpy(file, data, sf_min64(taken, all));
	if (all > SNAP_HEADER_BYTES)
		memcpy(file + SNAP_HEADER_BYTES, data + taken, all - SNAP_HEADER_BYTES);
	seal(file, all, head.seal);
	run(file, all);
	free(file);
	return 0;
}

size_t fuzz_example(uint64_t seed, uint8_t *data, size_t room)
{
	return snapshot_input_random(seed, data, room);
}
