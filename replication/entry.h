/* SPDX-License-Identifier: BSD-3-Clause
 *
 * An entry: an update (or the opening or closing of a session) with its place in the log. The same
 * bytes stand in the arena, in DATA frames and, later, in log segments: 64 bytes of header, then
 * the payload, padded with zeros to a multiple of 8. The CRC is computed once, where the entry is
 * sequenced, and whatever carries the entry builds on it.
 *
 * In a received frame an entry may stand at any even address, so the struct claims no more
 * alignment than that. client_id … asset_id have the order and sizes of the client protocol's
 * UpdateRequest block, so that filling an entry is one copy of 32 bytes.
 */
#pragma once

#include "config/bytes.h"
#include "config/check.h"
#include "config/crc32c.h"

#include <stdint.h>

enum rep_entry_kind {
	REP_ENTRY_UPDATE = 1,
	REP_ENTRY_OPEN = 2,  /* client_id: the new session, request_seq: nonce, asset_id: key id */
	REP_ENTRY_CLOSE = 3, /* client_id: the session */
};

#define REP_ENTRY_HEADER_BYTES 64
#define REP_MAX_PAYLOAD_BYTES 1334

struct rep_entry {
	uint32_t crc;	       /* CRC32C of all that follows, padding included */
	uint32_t epoch;	       /* of its author; (epoch, sequence) names one content (inv. 4) */
	uint64_t sequence;     /* first is 1 */
	uint64_t timestamp_ns; /* unix time by the author's sequencer; never decreases */
	uint64_t client_id;
	uint64_t request_seq;
	uint64_t first_incomplete_seq;
	uint64_t asset_id;
	uint16_t payload_bytes;
	uint8_t kind; /* enum rep_entry_kind */
	uint8_t opcode;
	uint32_t reserved; /* 0 */
	uint8_t payload[];
} __attribute__((packed, aligned(2)));
STATIC_CHECK(sizeof(struct rep_entry) == REP_ENTRY_HEADER_BYTES, "one cache line");
STATIC_CHECK(offsetof(struct rep_entry, client_id) == 24, "copied with request_seq … asset_id");
STATIC_CHECK(offsetof(struct rep_entry, payload_bytes) == 56, "after four words of the request");

/* Bytes of an entry with this payload: always a multiple of 8. */
static inline uint32_t rep_entry_bytes(uint32_t payload_bytes)
{
	return REP_ENTRY_HEADER_BYTES + (uint32_t)sf_round_up(payload_bytes, 8);
}

/* Copies an entry with its padding. */
static inline void rep_entry_copy(void *to, const struct rep_entry *entry)
{
	memcpy(to, entry, REP_ENTRY_HEADER_BYTES);
	sf_copy_short(
		(uint8_t *)to + REP_ENTRY_HEADER_BYTES,
		entry->payload,
		rep_entry_bytes(entry->payload_bytes) - REP_ENTRY_HEADER_BYTES
	);
}

/* Zeroes the padding behind the payload; before the CRC is taken. */
static inline void rep_entry_pad(struct rep_entry *entry)
{
	uint32_t end = entry->payload_bytes;
	while (end % 8 != 0)
		entry->payload[end++] = 0;
}

static inline uint32_t rep_entry_crc(const struct rep_entry *entry)
{
	const uint8_t *p = (const uint8_t *)entry;
	const uint8_t *end = p + rep_entry_bytes(entry->payload_bytes);
	/* The first word holds the CRC itself: its place counts as zero. The header's other seven
	 * words stand here one by one, since this is most of the work on short entries. */
	uint32_t crc = sf_crc32c_u64(SF_CRC32C_INIT, (uint64_t)entry->epoch << 32);
	crc = sf_crc32c_u64(crc, sf_load64(p + 8));
	crc = sf_crc32c_u64(crc, sf_load64(p + 16));
	crc = sf_crc32c_u64(crc, sf_load64(p + 24));
	crc = sf_crc32c_u64(crc, sf_load64(p + 32));
	crc = sf_crc32c_u64(crc, sf_load64(p + 40));
	crc = sf_crc32c_u64(crc, sf_load64(p + 48));
	crc = sf_crc32c_u64(crc, sf_load64(p + 56));
	for (p += REP_ENTRY_HEADER_BYTES; p < end; p += 8)
		crc = sf_crc32c_u64(crc, sf_load64(p));
	return sf_crc32c_end(crc);
}

/* The arena: a power-of-two array of fixed slots, indexed by sequence. */
struct rep_arena {
	uint8_t *base; /* aligned to 64 */
	uint32_t stride_bytes;
	uint32_t mask; /* slots - 1 */
};

static inline struct rep_entry *rep_arena_entry(const struct rep_arena *arena, uint64_t sequence)
{
	return (struct rep_entry
			*)(arena->base + (uint64_t)arena->stride_bytes * (sequence & arena->mask));
}
