/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A snapshot on disk: the whole state of a node at one place of its log, so that older segments are
 * no longer needed and a start takes the time of the newest part only. Control writes it from its
 * own copy of the state (control/checkpoint.h); the data path is never asked.
 *
 * A header block, then blocks of records: sessions first, then the assets and the answers of each
 * partition. The header names the place in the log behind which replay goes on (segment, offset,
 * chain: always the end of a group), the digests of the three parts, and the CRC over the CRCs of
 * all blocks; a block's CRC is seeded with the snapshot's sequence and the block's number. So no
 * block is lost, swapped, stale or of another snapshot without being noticed. The header is written
 * last.
 *
 * Pure. Everything is little-endian; records are multiples of 8 bytes.
 */
#pragma once

#include "recovery/log_format.h"
#include "replication/core.h"
#include "replication/session.h"

#define SNAP_VERSION 1
#define SNAP_MAGIC 0x315041534c465453ull /* "STFLSAP1" */
#define SNAP_BLOCK_MAGIC 0x42504e53u	 /* "SNPB" */
#define SNAP_HEADER_BYTES LOG_BLOCK_BYTES
#define SNAP_MAX_BLOCK_BYTES (256u << 10)
#define SNAP_MAX_BYTES (1ull << 38) /* no file is longer */
#define SNAP_NAME_BYTES 32

/* What the state's meaning depends on: a snapshot is only restored where all of it is the same. */
struct snap_shape {
	char model[SNAP_NAME_BYTES];
	uint32_t state_bytes;
	uint32_t max_assets;
	uint32_t max_sessions;
	uint32_t max_inflight;
	uint32_t max_answer_bytes;
	uint32_t reserved;
};

struct snap_header {
	uint64_t magic;
	uint32_t version;
	uint32_t crc; /* CRC32C of the whole block with this field as zero */
	uint64_t cluster_hash;
	uint64_t sequence;    /* of the last entry that is in it */
	uint64_t segment;     /* the log goes on here, … */
	uint64_t offset;      /* … at this byte, … */
	uint32_t chain;	      /* … with a group that follows this one */
	uint32_t epoch;	      /* highest of the log up to here */
	uint64_t incarnation; /* of the dataplane whose log was read */
	uint64_t written_unix_ns;
	uint64_t file_bytes;
	uint64_t sessions, assets, answers;
	uint64_t sessions_digest, assets_digest, answers_digest;
	uint32_t blocks;
	uint32_t blocks_crc; /* CRC32C over the blocks' crc fields */
	uint8_t node;
	uint8_t reserved[3];
	uint32_t lineage_count;
	struct snap_shape shape;
	char cluster[LOG_NAME_BYTES];
	char node_name[LOG_NAME_BYTES];
	struct rep_lineage lineage[REP_MAX_LINEAGE];
};
STATIC_CHECK(sizeof(struct snap_header) <= SNAP_HEADER_BYTES, "one block");

enum snap_type {
	SNAP_SESSIONS = 1, /* struct snap_session, each with its live requests */
	SNAP_ASSETS = 2,   /* struct snap_asset, all of one partition */
	SNAP_ANSWERS = 3,  /* struct snap_answer, all of one partition */
};

struct snap_block {
	uint32_t magic;
	uint32_t crc;	 /* of all that follows, seeded with sequence and number */
	uint32_t bytes;	 /* with this header */
	uint32_t count;	 /* records */
	uint32_t number; /* from 0 */
	uint8_t type;	 /* enum snap_type */
	uint8_t partition;
	uint8_t reserved[2];
};
STATIC_CHECK(sizeof(struct snap_block) == 24, "block header");

struct snap_session {
	uint32_t index; /* its place in the table: answers name it */
	uint32_t live;	/* struct rep_session_slot that follow */
	uint64_t client_id;
	uint64_t nonce;
	uint64_t first_incomplete_seq;
	uint64_t last_sequence;
	uint64_t key_id;
};
struct snap_asset {
	uint64_t asset_id;
	uint64_t version;
	uint64_t last_sequence;
	uint8_t state[]; /* shape.state_bytes */
};
struct snap_answer {
	uint32_t session;
	uint16_t payload_bytes;
	uint8_t status;
	uint8_t reserved;
	uint64_t request_seq;
	uint64_t sequence;
	uint64_t asset_version;
	uint8_t payload[]; /* and zeros up to a multiple of 8 */
};
static inline uint32_t snap_answer_bytes(uint32_t payload_bytes)
{
	return (uint32_t)(sizeof(struct snap_answer) + sf_round_up(payload_bytes, 8));
}

/* --- Writing --- */

/* Completes a block (magic, crc) whose other fields and records are there, and takes it into the
 * header's sums. header->sequence stands. */
void snap_block_seal(struct snap_block *block, struct snap_header *header);
/* Completes the header in a block of SNAP_HEADER_BYTES that is zero behind the struct. */
void snap_header_seal(struct snap_header *header, const struct log_identity *identity);

/* --- Reading --- */

/* Judges a whole snapshot file: header, identity, each block's place and CRC, and that nothing is
 * missing or left over. LOG_OK: *header is it, and its blocks stand one after the other behind
 * SNAP_HEADER_BYTES. Else *at is the offset of what is wrong. data: aligned to 8. What records say
 * is judged where they are restored. */
enum log_fault snap_check(
	const void *data,
	uint64_t bytes,
	const struct log_identity *identity,
	const struct snap_header **header,
	uint64_t *at
);
/* The blocks of a checked snapshot: header->blocks of them, one behind the other. */
static inline const struct snap_block *snap_first(const struct snap_header *header)
{
	return (const struct snap_block *)((const uint8_t *)header + SNAP_HEADER_BYTES);
}
static inline const struct snap_block *snap_next(const struct snap_block *block)
{
	return (const struct snap_block *)((const uint8_t *)block + block->bytes);
}

/* Puts the sessions of a block back; false when one does not fit. rep_session_restored comes behind
 * the last block. */
bool snap_restore_sessions(struct rep_session_table *table, const struct snap_block *block);

/* The same shape? If not, *field names what differs. */
bool snap_fits(const struct snap_shape *ours, const struct snap_shape *theirs, const char **field);

/* "00000000000000000042.snap": the number is the sequence. text holds LOG_FILE_NAME_BYTES. */
static inline void snap_file_name(char *text, uint64_t sequence)
{
	log_number_name(text, sequence, ".snap");
}
/* The sequence of a snapshot file's name; 0 when it is none. */
static inline uint64_t snap_file_sequence(const char *name)
{
	return log_name_number(name, ".snap");
}
