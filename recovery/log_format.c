/* SPDX-License-Identifier: BSD-3-Clause */
#include "recovery/log_format.h"

#include "config/bytes.h"
#include "config/hash.h"

#include <string.h>

#define CRC_AT_SEGMENT offsetof(struct log_segment_header, crc)
#define NUMBER_DIGITS 20
STATIC_CHECK(offsetof(struct log_group, crc) == 4, "log_group_crc leaves it out");

static const char *const fault_texts[LOG_FAULTS][2] = {
	[LOG_OK] = {"ok", "nothing is wrong"},
	[LOG_EMPTY] = {"empty", "nothing was written here"},
	[LOG_SHORT] = {"short", "the file ends in the middle of it"},
	[LOG_BAD_MAGIC] = {"bad_magic", "it does not begin as one of ours"},
	[LOG_BAD_VERSION] = {"bad_version", "it has the format of another release"},
	[LOG_BAD_CRC] = {"bad_crc", "its checksum does not fit its bytes"},
	[LOG_BAD_LENGTH] = {"bad_length", "its sizes contradict each other"},
	[LOG_BAD_PADDING] = {"bad_padding", "there are bytes where only zeros belong"},
	[LOG_OTHER_CLUSTER] = {"other_cluster", "it belongs to another cluster"},
	[LOG_OTHER_NODE] = {"other_node", "it belongs to the other node"},
	[LOG_OTHER_PLACE] = {"other_place", "it belongs to another place of the log"},
	[LOG_BAD_CHAIN] = {"bad_chain", "it does not follow what stands before it"},
	[LOG_BAD_SEQUENCE] = {"bad_sequence", "its entries do not follow those before"},
	[LOG_BAD_ENTRY] = {"bad_entry", "an entry's checksum or shape is wrong"},
};

const char *log_fault_name(enum log_fault fault)
{
	return fault < LOG_FAULTS ? fault_texts[fault][0] : "unknown";
}

const char *log_fault_text(enum log_fault fault)
{
	return fault < LOG_FAULTS ? fault_texts[fault][1] : "unknown";
}

uint64_t log_cluster_hash(const char *cluster)
{
	uint64_t hash = 0x636c7573746572ull;
	for (; *cluster; cluster++)
		hash = sf_mix(hash, (uint8_t)*cluster);
	return hash;
}

static bool is_zero(const void *data, uint64_t bytes)
{
	const uint8_t *p = data;
	/* Equal to its own beginning, shifted by one, and that is zero. */
	return bytes == 0 || (p[0] == 0 && memcmp(p, p + 1, bytes - 1) == 0);
}

static uint32_t segment_crc(const void *block)
{
	const uint8_t *p = block;
	static const uint8_t zeros[4];
	uint32_t crc = sf_crc32c(SF_CRC32C_INIT, p, CRC_AT_SEGMENT);
	crc = sf_crc32c(crc, zeros, sizeof(zeros));
	crc = sf_crc32c(crc, p + CRC_AT_SEGMENT + 4, LOG_BLOCK_BYTES - CRC_AT_SEGMENT - 4);
	return sf_crc32c_end(crc);
}

/* The register over the entries' CRC fields comes first, so that it can grow with each entry. */
static uint32_t group_crc(const struct log_group *group, uint32_t entries_crc)
{
	const uint8_t *p = (const uint8_t *)group;
	uint32_t crc = sf_crc32c_u64(entries_crc, sf_load32(p));
	for (uint32_t at = 8; at < sizeof(*group); at += 8)
		crc = sf_crc32c_u64(crc, sf_load64(p + at));
	return sf_crc32c_end(crc);
}

/* --- Writing --- */

void log_segment_header_write(
	void *block,
	const struct log_identity *identity,
	const struct log_position *position,
	uint64_t segment_bytes,
	uint64_t incarnation,
	uint32_t epoch,
	uint64_t unix_ns
)
{
	struct log_segment_header *header = block;
	memset(block, 0, LOG_BLOCK_BYTES);
	*header = (struct log_segment_header){
		.magic = LOG_SEGMENT_MAGIC,
		.version = LOG_VERSION,
		.cluster_hash = identity->cluster_hash,
		.number = position->segment,
		.segment_bytes = segment_bytes,
		.first_sequence = position->next_sequence,
		.incarnation = incarnation,
		.created_unix_ns = unix_ns,
		.chain = position->chain,
		.epoch = epoch,
		.node = identity->node,
	};
	memcpy(header->cluster, identity->cluster, LOG_NAME_BYTES);
	memcpy(header->node_name, identity->node_name, LOG_NAME_BYTES);
	header->crc = segment_crc(block);
}

void log_group_begin(
	struct log_group_builder *builder,
	void *buffer,
	uint32_t room_bytes,
	uint64_t first_sequence
)
{
	CHECK(room_bytes >= LOG_BLOCK_BYTES && room_bytes <= LOG_MAX_GROUP_BYTES);
	builder->group = buffer;
	builder->room_bytes = room_bytes;
	builder->crc = SF_CRC32C_INIT;
	*builder->group = (struct log_group){
		.magic = LOG_GROUP_MAGIC,
		.bytes = sizeof(struct log_group),
		.first_sequence = first_sequence,
	};
}

uint32_t log_group_seal(
	struct log_group_builder *builder,
	struct log_position *position,
	const struct log_identity *identity,
	uint64_t incarnation,
	uint32_t epoch,
	uint64_t durable,
	uint8_t flags,
	uint64_t unix_ns
)
{
	struct log_group *group = builder->group;
	uint32_t space = (uint32_t)log_group_space(group->bytes);
	CHECK(group->first_sequence == position->next_sequence);
	group->chain = position->chain;
	group->epoch = epoch;
	group->cluster_hash = identity->cluster_hash;
	group->incarnation = incarnation;
	group->segment = position->segment;
	group->offset = position->offset;
	group->durable = durable;
	group->written_unix_ns = unix_ns;
	group->node = identity->node;
	group->flags = flags;
	group->crc = group_crc(group, builder->crc);
	memset((uint8_t *)group + group->bytes, 0, space - group->bytes);
	position->chain = group->crc;
	position->offset += space;
	position->next_sequence += group->count;
	return space;
}

/* --- Reading --- */

enum log_fault log_segment_header_check(
	const void *block,
	uint64_t bytes,
	const struct log_identity *identity,
	uint64_t number,
	const struct log_segment_header **header
)
{
	const struct log_segment_header *h = block;
	if (is_zero(block, sf_min64(bytes, LOG_BLOCK_BYTES)))
		return LOG_EMPTY;
	if (bytes < LOG_BLOCK_BYTES)
		return LOG_SHORT;
	if (h->magic != LOG_SEGMENT_MAGIC)
		return LOG_BAD_MAGIC;
	if (h->crc != segment_crc(block))
		return LOG_BAD_CRC;
	if (h->version != LOG_VERSION)
		return LOG_BAD_VERSION;
	if (h->cluster_hash != identity->cluster_hash)
		return LOG_OTHER_CLUSTER;
	if (h->node != identity->node)
		return LOG_OTHER_NODE;
	if (h->number != number)
		return LOG_OTHER_PLACE;
	if (h->segment_bytes < 2 * LOG_BLOCK_BYTES || h->segment_bytes % LOG_BLOCK_BYTES != 0 ||
	    h->segment_bytes > LOG_MAX_SEGMENT_BYTES || h->first_sequence == 0)
		return LOG_BAD_LENGTH;
	*header = h;
	return LOG_OK;
}

/* All entries: shape, CRC, dense sequences. *crc is the register over their CRC fields. */
static enum log_fault check_entries(const struct log_group *group, uint32_t *crc)
{
	const uint8_t *at = (const uint8_t *)(group + 1);
	const uint8_t *end = (const uint8_t *)group + group->bytes;
	*crc = SF_CRC32C_INIT;
	/* So that the sequence of the next entry is a number too. */
	if (group->count > UINT64_MAX - group->first_sequence)
		return LOG_BAD_SEQUENCE;
	for (uint32_t i = 0; i < group->count; i++) {
		const struct rep_entry *entry = (const struct rep_entry *)at;
		if ((uint64_t)(end - at) < REP_ENTRY_HEADER_BYTES ||
		    entry->payload_bytes > REP_MAX_PAYLOAD_BYTES ||
		    (uint64_t)(end - at) < rep_entry_bytes(entry->payload_bytes))
			return LOG_BAD_LENGTH;
		if (entry->crc != rep_entry_crc(entry) || entry->kind < REP_ENTRY_UPDATE ||
		    entry->kind > REP_ENTRY_CLOSE)
			return LOG_BAD_ENTRY;
		if (entry->sequence != group->first_sequence + i)
			return LOG_BAD_SEQUENCE;
		*crc = sf_crc32c_u32(*crc, entry->crc);
		at += rep_entry_bytes(entry->payload_bytes);
	}
	return at == end ? LOG_OK : LOG_BAD_LENGTH;
}

/* Sizes, then checksums: what does not depend on whose group it is, or where. */
static enum log_fault check_whole(const struct log_group *group, uint64_t bytes)
{
	uint32_t crc;
	if (bytes < sizeof(*group))
		return is_zero(group, bytes) ? LOG_EMPTY : LOG_SHORT;
	if (group->magic != LOG_GROUP_MAGIC)
		return is_zero(group, sf_min64(bytes, LOG_BLOCK_BYTES)) ? LOG_EMPTY : LOG_BAD_MAGIC;
	if (group->bytes < sizeof(*group) || log_group_space(group->bytes) > LOG_MAX_GROUP_BYTES)
		return LOG_BAD_LENGTH;
	if (log_group_space(group->bytes) > bytes)
		return LOG_SHORT;
	enum log_fault fault = check_entries(group, &crc);
	if (fault != LOG_OK)
		return fault;
	if (group->crc != group_crc(group, crc))
		return LOG_BAD_CRC;
	const uint8_t *end = (const uint8_t *)group + group->bytes;
	return is_zero(end, log_group_space(group->bytes) - group->bytes) ? LOG_OK
									  : LOG_BAD_PADDING;
}

enum log_fault log_group_check_alone(
	const void *data,
	uint64_t bytes,
	const struct log_identity *identity,
	uint64_t segment,
	uint64_t offset,
	const struct log_group **group
)
{
	const struct log_group *g = data;
	enum log_fault fault = check_whole(g, bytes);
	if (fault != LOG_OK)
		return fault;
	if (g->cluster_hash != identity->cluster_hash)
		return LOG_OTHER_CLUSTER;
	if (g->node != identity->node)
		return LOG_OTHER_NODE;
	if (g->segment != segment || g->offset != offset)
		return LOG_OTHER_PLACE;
	*group = g;
	return LOG_OK;
}

enum log_fault log_group_check(
	const void *data,
	uint64_t bytes,
	const struct log_identity *identity,
	struct log_position *position,
	const struct log_group **group
)
{
	const struct log_group *g;
	enum log_fault fault = log_group_check_alone(
		data, bytes, identity, position->segment, position->offset, &g
	);
	if (fault != LOG_OK)
		return fault;
	if (g->chain != position->chain)
		return LOG_BAD_CHAIN;
	if (g->first_sequence != position->next_sequence || g->durable >= g->first_sequence)
		return LOG_BAD_SEQUENCE;
	position->chain = g->crc;
	position->offset += log_group_space(g->bytes);
	position->next_sequence += g->count;
	*group = g;
	return LOG_OK;
}

/* --- Names --- */

void log_number_name(char *text, uint64_t number, const char *suffix)
{
	memset(text, '0', NUMBER_DIGITS);
	strcpy(text + NUMBER_DIGITS, suffix);
	for (int at = NUMBER_DIGITS - 1; number > 0; at--, number /= 10)
		text[at] = (char)('0' + number % 10);
}

uint64_t log_name_number(const char *name, const char *suffix)
{
	uint64_t number = 0;
	for (int at = 0; at < NUMBER_DIGITS; at++) {
		if (name[at] < '0' || name[at] > '9')
			return 0;
		uint64_t digit = (uint64_t)(name[at] - '0');
		if (number > (UINT64_MAX - digit) / 10)
			return 0;
		number = number * 10 + digit;
	}
	return strcmp(name + NUMBER_DIGITS, suffix) == 0 ? number : 0;
}
