/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/fuzz/log_input.h"

#include "tests/unit/random.h"

#include <string.h>

#define MAX_FILES 6
#define MAX_BLOCKS 8 /* per file */
#define FILE_BYTES (MAX_BLOCKS * LOG_BLOCK_BYTES)
#define INCARNATION 3

const struct log_identity log_input_identity = {
	.cluster_hash = 0x1122334455667788ull,
	.node = 1,
	.cluster = "test",
	.node_name = "b",
};

/* A log in memory, before its zeros go. */
struct maker {
	struct random random;
	struct log_position position;
	uint32_t count;
	uint32_t blocks[MAX_FILES];
	uint16_t next[MAX_FILES]; /* the mark before the file; 0 for the first */
	uint64_t durable;	  /* the next group's mark */
};
static _Alignas(LOG_BLOCK_BYTES) uint8_t files[MAX_FILES][FILE_BYTES];

static void begin(struct maker *m, uint64_t seed, uint64_t first_sequence)
{
	memset(files, 0, sizeof(files));
	*m = (struct maker){.random = random_seeded(seed)};
	m->position.next_sequence = first_sequence;
}

static void add_file(struct maker *m, uint32_t blocks, bool used)
{
	m->blocks[m->count] = blocks;
	m->next[m->count] = m->count == 0 ? 0 : LOG_INPUT_NEXT;
	m->position.segment++;
	m->position.offset = LOG_BLOCK_BYTES;
	if (used)
		log_segment_header_write(
			files[m->count],
			&log_input_identity,
			&m->position,
			(uint64_t)sf_max64(blocks, 2) * LOG_BLOCK_BYTES,
			INCARNATION,
			5,
			1000
		);
	m->count++;
}

/* A group at the end of the last file. */
static void add_group(struct maker *m, uint32_t entries, uint32_t payload, uint8_t flags)
{
	struct log_group_builder builder;
	uint8_t *buffer = files[m->count - 1] + m->position.offset;
	uint32_t room = (uint32_t)(FILE_BYTES - m->position.offset);
	uint64_t first = m->position.next_sequence;
	log_group_begin(&builder, buffer, room, first);
	for (uint32_t i = 0; i < entries; i++) {
		uint32_t bytes = rep_entry_bytes(payload);
		struct rep_entry *entry = log_group_room(&builder, bytes);
		if (entry == NULL)
			break;
		memset(entry, 0, bytes);
		entry->epoch = 5;
		entry->sequence = first + i;
		entry->client_id = 1 + random_below(&m->random, 9);
		entry->request_seq = entry->sequence;
		entry->first_incomplete_seq = 1;
		entry->kind = (uint8_t)(1 + random_below(&m->random, 3));
		entry->payload_bytes = (uint16_t)payload;
		memset(entry->payload, (int)(1 + i), payload);
		entry->crc = rep_entry_crc(entry);
		log_group_added(&builder, bytes, entry->crc);
	}
	log_group_seal(
		&builder, &m->position, &log_input_identity, INCARNATION, 5, m->durable, flags, 2000
	);
	m->durable = first - 1;
}

/* Appends a chunk; 0 when there is no room. */
static size_t put_chunk(uint8_t *data, size_t at, uint16_t head, const uint8_t *content)
{
	uint16_t bytes = content != NULL ? head : 0;
	if (at + sizeof(head) + bytes > LOG_INPUT_ROOM)
		return 0;
	memcpy(data + at, &head, sizeof(head));
	if (bytes > 0)
		memcpy(data + at + sizeof(head), content, bytes);
	return at + sizeof(head) + bytes;
}

/* Takes the zeros out. 0 when it does not fit. */
static size_t pack(const struct maker *m, struct log_input_head head, uint8_t *data)
{
	size_t at = sizeof(head);
	memcpy(data, &head, sizeof(head));
	for (uint32_t f = 0; f < m->count; f++) {
		if (m->next[f] != 0)
			at = put_chunk(data, at, m->next[f], NULL);
		for (uint32_t b = 0; b < m->blocks[f] && at > 0; b++) {
			const uint8_t *block = files[f] + b * LOG_BLOCK_BYTES;
			uint32_t bytes = LOG_BLOCK_BYTES;
			while (bytes > 0 && block[bytes - 1] == 0)
				bytes--;
			at = bytes == 0 ? put_chunk(data, at, LOG_INPUT_ZEROS, NULL)
					: put_chunk(data, at, (uint16_t)bytes, block);
		}
		if (at == 0)
			return 0;
	}
	return at;
}

/* --- Cases --- */

static struct log_group *group_at(uint32_t file, uint32_t block)
{
	return (struct log_group *)(void *)(files[file] + block * LOG_BLOCK_BYTES);
}

static struct log_segment_header *header_of(uint32_t file)
{
	return (struct log_segment_header *)(void *)files[file];
}

/* Four files with groups, as four rotations leave them, and one that was prepared. */
static void make_many(struct maker *m)
{
	for (uint32_t f = 0; f < 4; f++) {
		add_file(m, 4, true);
		add_group(m, 2, 8, 0);
		add_group(m, 1, 16, 0);
	}
	add_file(m, 3, false);
}

enum log_case {
	CASE_CLEAN,
	CASE_CLOSED,
	CASE_LONG_GROUP,
	CASE_MARK_ONLY,
	CASE_MANY,
	CASE_EMPTY_FILE,
	CASE_PREPARED,
	CASE_HEADER_ONLY,
	CASE_TORN,
	CASE_TORN_ODD,
	CASE_HOLE,
	CASE_HEADLESS,
	CASE_HEADLESS_ALONE,
	CASE_HEADLESS_BEHIND_GAP,
	CASE_DAMAGED,
	CASE_OLD_NOT_WHOLE,
	CASE_OLD_FLIPPED,
	CASE_OLD_ZEROED,
	CASE_MISSING,
	CASE_PREPARED_BEHIND_GAP,
	CASE_SWAPPED,
	CASE_NO_BEGIN,
	CASE_SNAPSHOT,
	CASE_LOST,
	CASE_LENGTH_WRAPS,
	CASE_SEQUENCE_WRAPS,
	CASE_COUNT_TOO_HIGH,
	CASE_OTHER_CLUSTER,
	CASE_OTHER_VERSION,
	CASE_IDENTITY,
	CASE_IDENTITY_NEW,
	CASE_IDENTITY_SHORT,
	CASES,
};

static const char *const case_names[CASES] = {
	[CASE_CLEAN] = "clean",
	[CASE_CLOSED] = "closed",
	[CASE_LONG_GROUP] = "long-group",
	[CASE_MARK_ONLY] = "mark-only",
	[CASE_MANY] = "many",
	[CASE_EMPTY_FILE] = "empty-file",
	[CASE_PREPARED] = "prepared",
	[CASE_HEADER_ONLY] = "header-only",
	[CASE_TORN] = "torn",
	[CASE_TORN_ODD] = "torn-odd",
	[CASE_HOLE] = "hole",
	[CASE_HEADLESS] = "headless",
	[CASE_HEADLESS_ALONE] = "headless-alone",
	[CASE_HEADLESS_BEHIND_GAP] = "headless-behind-gap",
	[CASE_DAMAGED] = "damaged",
	[CASE_OLD_NOT_WHOLE] = "old-not-whole",
	[CASE_OLD_FLIPPED] = "old-flipped",
	[CASE_OLD_ZEROED] = "old-zeroed",
	[CASE_MISSING] = "missing",
	[CASE_PREPARED_BEHIND_GAP] = "prepared-behind-gap",
	[CASE_SWAPPED] = "swapped",
	[CASE_NO_BEGIN] = "no-begin",
	[CASE_SNAPSHOT] = "snapshot",
	[CASE_LOST] = "lost",
	[CASE_LENGTH_WRAPS] = "length-wraps",
	[CASE_SEQUENCE_WRAPS] = "sequence-wraps",
	[CASE_COUNT_TOO_HIGH] = "count-too-high",
	[CASE_OTHER_CLUSTER] = "other-cluster",
	[CASE_OTHER_VERSION] = "other-version",
	[CASE_IDENTITY] = "identity",
	[CASE_IDENTITY_NEW] = "identity-new",
	[CASE_IDENTITY_SHORT] = "identity-short",
};

/* One file: three groups, the last names what the first holds. */
static void make_one(struct maker *m, uint32_t last_entries)
{
	add_file(m, 6, true);
	add_group(m, 2, 8, 0);
	add_group(m, 3, 20, 0);
	add_group(m, last_entries, 0, last_entries == 0 ? LOG_GROUP_CLOSED : 0);
}

static void make_one_file(struct maker *m, enum log_case which, struct log_input_head *head)
{
	switch (which) {
	case CASE_LONG_GROUP:
		add_file(m, 8, true);
		add_group(m, 14, 70, 0);
		add_group(m, 1, 8, 0);
		return;
	case CASE_HEADER_ONLY:
		add_file(m, 3, true);
		head->plan = REC_IDENTITY_NEW;
		return;
	case CASE_EMPTY_FILE:
		add_file(m, 0, false);
		head->plan = REC_IDENTITY_NEW;
		return;
	case CASE_PREPARED:
	case CASE_LOST:
		add_file(m, 5, false);
		head->plan = which == CASE_LOST ? REC_IDENTITY_OURS : REC_IDENTITY_NEW;
		return;
	case CASE_LENGTH_WRAPS:
		/* The file ends with the entry: 97 times 40 bytes are cut. */
		add_file(m, 2, true);
		add_group(m, 1, 56, 0);
		head->cut = 40;
		return;
	case CASE_SEQUENCE_WRAPS:
		m->position.next_sequence = UINT64_MAX;
		head->seal = LOG_SEAL_ENTRIES | LOG_SEAL_GROUPS;
		break;
	default:
		break;
	}
	make_one(m, which == CASE_CLOSED || which == CASE_MARK_ONLY ? 0 : 2);
}

static void break_one_file(struct maker *m, enum log_case which, struct log_input_head *head)
{
	switch (which) {
	case CASE_MARK_ONLY:
		group_at(0, 3)->flags = 0;
		head->seal = LOG_SEAL_GROUPS;
		break;
	case CASE_TORN:
		memset(files[0] + 3 * LOG_BLOCK_BYTES + 100, 0, 100);
		break;
	case CASE_TORN_ODD:
		head->cut = 2 * LOG_BLOCK_BYTES / 97 + 11;
		break;
	case CASE_HOLE:
		group_at(0, 3)->durable = 0;
		memset(group_at(0, 2), 0, LOG_BLOCK_BYTES);
		head->seal = LOG_SEAL_GROUPS;
		break;
	case CASE_HEADLESS_ALONE:
		memset(files[0], 0, LOG_BLOCK_BYTES);
		break;
	case CASE_DAMAGED:
		group_at(0, 1)->written_unix_ns ^= 1;
		break;
	case CASE_LENGTH_WRAPS:
		group_at(0, 1)->bytes = UINT32_MAX - 7;
		group_at(0, 1)->count++;
		break;
	case CASE_COUNT_TOO_HIGH:
		group_at(0, 2)->count = UINT32_MAX;
		head->seal = LOG_SEAL_GROUPS;
		break;
	case CASE_OTHER_CLUSTER:
		header_of(0)->cluster_hash ^= 1;
		head->seal = LOG_SEAL_HEADER;
		break;
	case CASE_OTHER_VERSION:
		header_of(0)->version++;
		head->seal = LOG_SEAL_HEADER;
		break;
	default:
		break;
	}
}

static void break_many(struct maker *m, enum log_case which, struct log_input_head *head)
{
	uint8_t saved[LOG_BLOCK_BYTES];
	switch (which) {
	case CASE_HEADLESS:
		memset(files[3], 0, LOG_BLOCK_BYTES);
		group_at(3, 1)->durable = group_at(3, 2)->durable = 0;
		head->seal = LOG_SEAL_GROUPS;
		break;
	case CASE_HEADLESS_BEHIND_GAP:
		memset(files[3], 0, LOG_BLOCK_BYTES);
		m->next[3] = LOG_INPUT_NEXT + 2;
		break;
	case CASE_OLD_NOT_WHOLE:
		files[2][3 * LOG_BLOCK_BYTES] = 1;
		break;
	case CASE_OLD_FLIPPED:
		files[0][2 * LOG_BLOCK_BYTES + 130] ^= 4;
		break;
	case CASE_OLD_ZEROED:
		memset(group_at(0, 2), 0, LOG_BLOCK_BYTES);
		break;
	case CASE_MISSING:
		m->next[2] = LOG_INPUT_NEXT + 1;
		break;
	case CASE_PREPARED_BEHIND_GAP:
		m->next[4] = LOG_INPUT_NEXT + 1;
		break;
	case CASE_SWAPPED:
		memcpy(saved, files[1], sizeof(saved));
		memcpy(files[1], files[2], sizeof(saved));
		memcpy(files[2], saved, sizeof(saved));
		break;
	case CASE_NO_BEGIN:
		memmove(files[0], files[1], sizeof(files) - sizeof(files[0]));
		m->count--;
		break;
	case CASE_SNAPSHOT:
		head->plan = REC_IDENTITY_OURS | 7 << 3;
		break;
	default:
		break;
	}
}

static void make_identity(struct maker *m, enum log_case which, struct log_input_head *head)
{
	head->kind = LOG_INPUT_IDENTITY;
	head->cut = which == CASE_IDENTITY_SHORT;
	m->blocks[m->count++] = 1;
	rec_identity_write(files[0], &log_input_identity, which == CASE_IDENTITY, 7);
}

static bool has_many(enum log_case which)
{
	switch (which) {
	case CASE_MANY:
	case CASE_HEADLESS:
	case CASE_HEADLESS_BEHIND_GAP:
	case CASE_OLD_NOT_WHOLE:
	case CASE_OLD_FLIPPED:
	case CASE_OLD_ZEROED:
	case CASE_MISSING:
	case CASE_PREPARED_BEHIND_GAP:
	case CASE_SWAPPED:
	case CASE_NO_BEGIN:
	case CASE_SNAPSHOT:
		return true;
	default:
		return false;
	}
}

size_t log_input_case(uint32_t number, uint8_t *data, const char **name)
{
	struct log_input_head head = {.plan = REC_IDENTITY_OURS};
	enum log_case which = (enum log_case)number;
	struct maker maker;
	if (which >= CASES)
		return 0;
	*name = case_names[which];
	begin(&maker, number, 1);
	if (which >= CASE_IDENTITY) {
		make_identity(&maker, which, &head);
	} else if (has_many(which)) {
		make_many(&maker);
		break_many(&maker, which, &head);
	} else {
		make_one_file(&maker, which, &head);
		break_one_file(&maker, which, &head);
	}
	return pack(&maker, head, data);
}

size_t log_input_random(uint64_t seed, uint8_t *data, size_t room)
{
	struct maker m;
	struct log_input_head head = {.plan = REC_IDENTITY_OURS};
	uint8_t whole[LOG_INPUT_ROOM];
	begin(&m, seed, 1);
	head.seal = (uint8_t)random_u64(&m.random);
	if (random_below(&m.random, 16) == 0) {
		make_identity(&m, CASE_IDENTITY, &head);
		head.cut = 0;
	} else {
		uint32_t used = 1 + (uint32_t)random_below(&m.random, 4);
		for (uint32_t f = 0; f < used; f++) {
			uint32_t groups = 1 + (uint32_t)random_below(&m.random, 2);
			add_file(&m, groups + 1 + (uint32_t)random_below(&m.random, 2), true);
			for (uint32_t g = 0; g < groups; g++) {
				uint32_t entries = 1 + (uint32_t)random_below(&m.random, 2);
				add_group(&m, entries, (uint32_t)random_below(&m.random, 24), 0);
			}
		}
		if (random_below(&m.random, 4) == 0)
			add_file(&m, 2, false);
	}
	size_t bytes = pack(&m, head, whole);
	if (bytes == 0 || bytes > room)
		return 0;
	memcpy(data, whole, bytes);
	return bytes;
}
