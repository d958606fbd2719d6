/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The transaction log on disk: segments of fixed size, each a header block and then groups. A group
 * is what gathered while the disk was busy: a header, entries as they stand in the arena, zeros up
 * to the next block. recovery/README.md has every byte.
 *
 * Every group names its place (segment, offset), its author (cluster, node, incarnation, epoch) and
 * the CRC of the group before it, and its own CRC covers all that and each entry's CRC, which
 * covers the entry: so nothing is misplaced, stale, swapped or flipped without being noticed, and
 * the cost per entry is four bytes of CRC (the per-group identity is ours; the chain is that of
 * TigerBeetle's and etcd's logs).
 *
 * The durable mark: each group says up to where the log was known to be on stable storage when it
 * was assembled. Damage at or below the highest mark that the log itself holds is corruption;
 * beyond it, it is what a crash leaves (a torn tail). When nothing has been written for a while,
 * and at a clean stop, a group without entries carries the last mark.
 *
 * Pure: no I/O, clock, allocation or log. Everything is little-endian.
 */
#pragma once

#include "config/check.h"
#include "replication/entry.h"

#include <stdbool.h>
#include <stdint.h>

#define LOG_VERSION 1
#define LOG_BLOCK_BYTES 4096 /* alignment of headers and groups, in the file and in memory */
#define LOG_SEGMENT_MAGIC 0x31474f4c46444e53ull /* "SNDFLOG1" */
#define LOG_GROUP_MAGIC 0x47464e53u		/* "SNFG" */
#define LOG_MAX_GROUP_BYTES (1u << 20)		/* header, entries and padding */
#define LOG_MAX_SEGMENT_BYTES (1ull << 32)
#define LOG_NAME_BYTES 32

/* Whose log it is: nothing of another cluster or node is ever read as ours (inv. 32). */
struct log_identity {
	uint64_t cluster_hash; /* log_cluster_hash of the name */
	uint8_t node;
	char cluster[LOG_NAME_BYTES]; /* for people: names in the segment header, for messages */
	char node_name[LOG_NAME_BYTES];
};
uint64_t log_cluster_hash(const char *cluster);

/* The first block of a segment; the rest of the block is zero. A segment that was prepared ahead
 * and not yet used is all zeros. */
struct log_segment_header {
	uint64_t magic;
	uint32_t version;
	uint32_t crc; /* CRC32C of the block with this field as zero */
	uint64_t cluster_hash;
	uint64_t number;	 /* from 1, dense; also the file's name */
	uint64_t segment_bytes;	 /* of the file, when it was prepared */
	uint64_t first_sequence; /* of the first entry that is, or would be, in it */
	uint64_t incarnation;	 /* of the node's life that opened it; every life opens its own */
	uint64_t created_unix_ns;
	uint32_t chain; /* CRC of the last group before; 0: there is none */
	uint32_t epoch; /* of the node when it was opened */
	uint8_t node;
	uint8_t reserved[7];
	char cluster[LOG_NAME_BYTES];
	char node_name[LOG_NAME_BYTES];
};
STATIC_CHECK(sizeof(struct log_segment_header) == 144, "segment header");

#define LOG_GROUP_CLOSED 0x01 /* the last of a life that stopped in good order */

struct log_group {
	uint32_t magic;
	uint32_t crc;	/* CRC32C of this header with this field as zero, then of each entry's crc
			 * field in turn */
	uint32_t bytes; /* header and entries; zeros follow up to the next block */
	uint32_t count; /* entries; 0: only the mark */
	uint32_t chain; /* crc of the group before, over segments too; 0: it is the first of all */
	uint32_t epoch; /* of the node when it wrote this (the entries have their own) */
	uint64_t cluster_hash;
	uint64_t incarnation;
	uint64_t segment;
	uint64_t offset;	 /* in the segment, multiple of LOG_BLOCK_BYTES */
	uint64_t first_sequence; /* of its first entry; of a mark: of the next entry to come */
	uint64_t durable;	 /* mark: all up to here was durable when this was assembled */
	uint64_t written_unix_ns;
	uint8_t node;
	uint8_t flags;
	uint8_t reserved[14];
};
STATIC_CHECK(sizeof(struct log_group) == 96, "group header");

/* Bytes that a group takes in the file. Wider than its length field, whose highest values would
 * come out as none. */
static inline uint64_t log_group_space(uint32_t bytes)
{
	return sf_round_up(bytes, LOG_BLOCK_BYTES);
}

/* --- Writing: where the log goes on. Owner: the journal agent. --- */

struct log_position {
	uint64_t segment;
	uint64_t offset;	/* where the next group goes */
	uint64_t next_sequence; /* of the next entry */
	uint32_t chain;		/* CRC of the last group */
};

/* Fills a block of LOG_BLOCK_BYTES: the header of position->segment, whose groups then begin at
 * offset LOG_BLOCK_BYTES. */
void log_segment_header_write(
	void *block,
	const struct log_identity *identity,
	const struct log_position *position,
	uint64_t segment_bytes,
	uint64_t incarnation,
	uint32_t epoch,
	uint64_t unix_ns
);

/* A group in the making: entries are appended right behind the header in a buffer of the caller's
 * (aligned to LOG_BLOCK_BYTES). */
struct log_group_builder {
	struct log_group *group;
	uint32_t room_bytes; /* of the buffer, at most LOG_MAX_GROUP_BYTES */
	uint32_t crc;	     /* register over the entries' CRCs */
};
void log_group_begin(
	struct log_group_builder *builder,
	void *buffer,
	uint32_t room_bytes,
	uint64_t first_sequence
);
/* Where the next entry of so many bytes goes; NULL when the group is full. The caller copies the
 * entry there (rep_entry_copy), then calls log_group_added. */
static inline void *log_group_room(const struct log_group_builder *builder, uint32_t entry_bytes)
{
	if (log_group_space(builder->group->bytes + entry_bytes) > builder->room_bytes)
		return NULL;
	return (uint8_t *)builder->group + builder->group->bytes;
}
static inline void
log_group_added(struct log_group_builder *builder, uint32_t entry_bytes, uint32_t entry_crc)
{
	builder->crc = sf_crc32c_u32(builder->crc, entry_crc);
	builder->group->bytes += entry_bytes;
	builder->group->count++;
}
/* Completes the group for its place, zeroes its padding, and moves position behind it. Returns the
 * bytes to write at the old position. */
uint32_t log_group_seal(
	struct log_group_builder *builder,
	struct log_position *position,
	const struct log_identity *identity,
	uint64_t incarnation,
	uint32_t epoch,
	uint64_t durable,
	uint8_t flags,
	uint64_t unix_ns
);

/* --- Reading --- */

enum log_fault {
	LOG_OK,
	LOG_EMPTY, /* all zeros: nothing was written here */
	LOG_SHORT, /* the bytes end before the header or group does */
	LOG_BAD_MAGIC,
	LOG_BAD_VERSION, /* of another release: later, or too old */
	LOG_BAD_CRC,
	LOG_BAD_LENGTH,	 /* sizes that contradict each other */
	LOG_BAD_PADDING, /* not zero where zeros belong */
	LOG_OTHER_CLUSTER,
	LOG_OTHER_NODE,
	LOG_OTHER_PLACE,  /* of another segment or offset: misplaced, stale or swapped */
	LOG_BAD_CHAIN,	  /* does not follow the group before */
	LOG_BAD_SEQUENCE, /* entries are not dense, or do not follow those before */
	LOG_BAD_ENTRY,	  /* an entry's CRC, size or kind */
	LOG_FAULTS,
};
const char *log_fault_name(enum log_fault fault);
const char *log_fault_text(enum log_fault fault); /* a sentence for people */

/* Judges the first block of a segment file (bytes: what is there of it). LOG_OK: *header is it. A
 * header of another cluster, node or version is named as that, as long as its CRC fits. */
enum log_fault log_segment_header_check(
	const void *block,
	uint64_t bytes,
	const struct log_identity *identity,
	uint64_t number,
	const struct log_segment_header **header
);

/* Judges the group at data as the one that follows position: identity, place, chain, sequence, CRC,
 * each entry, padding. bytes: from here to the end of what is there. On LOG_OK *group is it and
 * position is moved behind it. Reads only [data, data + bytes). data: aligned to 8. */
enum log_fault log_group_check(
	const void *data,
	uint64_t bytes,
	const struct log_identity *identity,
	struct log_position *position,
	const struct log_group **group
);

/* The same without what comes before: is this block the beginning of any whole group of ours at
 * this place (segment, offset), whatever the chain? For the search behind damage. */
enum log_fault log_group_check_alone(
	const void *data,
	uint64_t bytes,
	const struct log_identity *identity,
	uint64_t segment,
	uint64_t offset,
	const struct log_group **group
);

/* The entries of a checked group: begin with the first, count steps. */
static inline const struct rep_entry *log_group_first(const struct log_group *group)
{
	return (const struct rep_entry *)(group + 1);
}
static inline const struct rep_entry *log_next_entry(const struct rep_entry *entry)
{
	return (const struct rep_entry
			*)((const uint8_t *)entry + rep_entry_bytes(sf_load16(&entry->payload_bytes)));
}

/* "00000000000000000042.seg"; text holds LOG_FILE_NAME_BYTES. */
#define LOG_FILE_NAME_BYTES 32
void log_number_name(char *text, uint64_t number, const char *suffix);
static inline void log_file_name(char *text, uint64_t number)
{
	log_number_name(text, number, ".seg");
}
/* The number in a file's name; 0 when it is none with this suffix. */
uint64_t log_name_number(const char *name, const char *suffix);
static inline uint64_t log_file_number(const char *name)
{
	return log_name_number(name, ".seg");
}
