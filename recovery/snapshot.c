/* SPDX-License-Identifier: BSD-3-Clause */
#include "recovery/snapshot.h"

#include "config/bytes.h"

#include <string.h>

#define CRC_AT offsetof(struct snap_header, crc)

static uint32_t header_crc(const void *block)
{
	const uint8_t *p = block;
	static const uint8_t zeros[4];
	uint32_t crc = sf_crc32c(SF_CRC32C_INIT, p, CRC_AT);
	crc = sf_crc32c(crc, zeros, sizeof(zeros));
	return sf_crc32c_end(sf_crc32c(crc, p + CRC_AT + 4, SNAP_HEADER_BYTES - CRC_AT - 4));
}

static uint32_t block_crc(const struct snap_block *block, uint64_t sequence)
{
	const uint8_t *p = (const uint8_t *)block;
	uint32_t crc = sf_crc32c_u64(SF_CRC32C_INIT, sequence);
	return sf_crc32c_end(sf_crc32c(crc, p + 8, block->bytes - 8));
}

/* --- Writing --- */

void snap_block_seal(struct snap_block *block, struct snap_header *header)
{
	CHECK(block->bytes % 8 == 0 && block->bytes <= SNAP_MAX_BLOCK_BYTES);
	if (header->blocks == 0) {
		header->blocks_crc = SF_CRC32C_INIT;
		header->file_bytes = SNAP_HEADER_BYTES;
	}
	block->magic = SNAP_BLOCK_MAGIC;
	block->number = header->blocks++;
	block->crc = block_crc(block, header->sequence);
	header->blocks_crc = sf_crc32c_u32(header->blocks_crc, block->crc);
	header->file_bytes += block->bytes;
}

void snap_header_seal(struct snap_header *header, const struct log_identity *identity)
{
	if (header->blocks == 0)
		header->file_bytes = SNAP_HEADER_BYTES;
	header->magic = SNAP_MAGIC;
	header->version = SNAP_VERSION;
	header->cluster_hash = identity->cluster_hash;
	header->node = identity->node;
	memcpy(header->cluster, identity->cluster, LOG_NAME_BYTES);
	memcpy(header->node_name, identity->node_name, LOG_NAME_BYTES);
	header->crc = header_crc(header);
}

/* --- Reading --- */

static enum log_fault
check_header(const struct snap_header *header, uint64_t bytes, const struct log_identity *identity)
{
	if (bytes < SNAP_HEADER_BYTES)
		return LOG_SHORT;
	if (header->magic != SNAP_MAGIC)
		return LOG_BAD_MAGIC;
	if (header->crc != header_crc(header))
		return LOG_BAD_CRC;
	if (header->version != SNAP_VERSION)
		return LOG_BAD_VERSION;
	if (header->cluster_hash != identity->cluster_hash)
		return LOG_OTHER_CLUSTER;
	if (header->node != identity->node)
		return LOG_OTHER_NODE;
	if (header->sequence == 0 || header->segment == 0 || header->offset < LOG_BLOCK_BYTES ||
	    header->offset % LOG_BLOCK_BYTES != 0 || header->lineage_count > REP_MAX_LINEAGE)
		return LOG_BAD_LENGTH;
	return bytes < header->file_bytes ? LOG_SHORT : LOG_OK;
}

static enum log_fault
check_block(const struct snap_block *block, uint64_t bytes, uint64_t sequence, uint32_t number)
{
	if (bytes < sizeof(*block))
		return LOG_SHORT;
	if (block->magic != SNAP_BLOCK_MAGIC)
		return LOG_BAD_MAGIC;
	if (block->bytes < sizeof(*block) || block->bytes > SNAP_MAX_BLOCK_BYTES ||
	    block->bytes % 8 != 0)
		return LOG_BAD_LENGTH;
	if (block->bytes > bytes)
		return LOG_SHORT;
	if (block->crc != block_crc(block, sequence))
		return LOG_BAD_CRC;
	return block->number != number ? LOG_OTHER_PLACE : LOG_OK;
}

enum log_fault snap_check(
	const void *data,
	uint64_t bytes,
	const struct log_identity *identity,
	const struct snap_header **header,
	uint64_t *at
)
{
	const struct snap_header *h = data;
	uint32_t crc = SF_CRC32C_INIT;
	*at = 0;
	enum log_fault fault = check_header(h, bytes, identity);
	if (fault != LOG_OK)
		return fault;
	*at = SNAP_HEADER_BYTES;
	for (uint32_t i = 0; i < h->blocks; i++) {
		const struct snap_block *block = (const void *)((const uint8_t *)data + *at);
		fault = check_block(block, bytes - *at, h->sequence, i);
		if (fault != LOG_OK)
			return fault;
		crc = sf_crc32c_u32(crc, block->crc);
		*at += block->bytes;
	}
	if (*at != h->file_bytes || bytes != h->file_bytes)
		return LOG_BAD_LENGTH;
	if (h->blocks > 0 && crc != h->blocks_crc)
		return LOG_BAD_CHAIN;
	*header = h;
	return LOG_OK;
}

bool snap_restore_sessions(struct rep_session_table *table, const struct snap_block *block)
{
	const uint8_t *at = (const uint8_t *)(block + 1);
	uint32_t left = block->bytes - (uint32_t)sizeof(*block);
	for (uint32_t i = 0; i < block->count; i++) {
		const struct snap_session *saved = (const void *)at;
		uint64_t bytes = sizeof(*saved);
		if (left < bytes)
			return false;
		bytes += (uint64_t)saved->live * sizeof(struct rep_session_slot);
		struct rep_session session = {
			.client_id = saved->client_id,
			.nonce = saved->nonce,
			.first_incomplete_seq = saved->first_incomplete_seq,
			.last_sequence = saved->last_sequence,
			.key_id = saved->key_id,
		};
		if (left < bytes ||
		    !rep_session_restore(
			    table, saved->index, &session, (const void *)(saved + 1), saved->live
		    ))
			return false;
		at += bytes;
		left -= (uint32_t)bytes;
	}
	return left == 0;
}

bool snap_fits(const struct snap_shape *ours, const struct snap_shape *theirs, const char **field)
{
	*field = strncmp(ours->model, theirs->model, SNAP_NAME_BYTES) != 0 ? "assets.model"
		 : ours->state_bytes != theirs->state_bytes		   ? "the model's state"
		 : ours->max_assets != theirs->max_assets		   ? "assets.max"
		 : ours->max_sessions != theirs->max_sessions		   ? "limits.max_sessions"
		 : ours->max_inflight != theirs->max_inflight		   ? "limits.max_inflight"
		 : ours->max_answer_bytes != theirs->max_answer_bytes	   ? "limits.max_answer"
									   : NULL;
	return *field == NULL;
}
