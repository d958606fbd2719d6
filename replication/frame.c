/* SPDX-License-Identifier: BSD-3-Clause */
#include "replication/frame.h"

static const char *const fault_names[REP_FRAME_FAULTS] = {
	[REP_FRAME_OK] = "ok",
	[REP_FRAME_SHORT] = "short",
	[REP_FRAME_BAD_VERSION] = "bad_version",
	[REP_FRAME_OTHER_CLUSTER] = "other_cluster",
	[REP_FRAME_REFLECTED] = "reflected",
	[REP_FRAME_BAD_NODE] = "bad_node",
	[REP_FRAME_BAD_LENGTH] = "bad_length",
	[REP_FRAME_BAD_CRC] = "bad_crc",
	[REP_FRAME_BAD_TYPE] = "bad_type",
	[REP_FRAME_BAD_BODY] = "bad_body",
	[REP_FRAME_BAD_ENTRY] = "bad_entry",
};

const char *rep_frame_fault_name(enum rep_frame_fault fault)
{
	return fault < REP_FRAME_FAULTS ? fault_names[fault] : "unknown";
}

const char *rep_frame_type_name(enum rep_frame_type type)
{
	switch (type) {
	case REP_FRAME_STALE:
		return "STALE";
	case REP_FRAME_HELLO:
		return "HELLO";
	case REP_FRAME_DATA:
		return "DATA";
	case REP_FRAME_ACK:
		return "ACK";
	case REP_FRAME_HEARTBEAT:
		return "HEARTBEAT";
	case REP_FRAME_NAK:
		return "NAK";
	case REP_FRAME_GOODBYE:
		return "GOODBYE";
	case REP_FRAME_ADMIT:
		return "ADMIT";
	case REP_FRAME_SWITCHOVER:
		return "SWITCHOVER";
	case REP_FRAME_FETCH:
		return "FETCH";
	case REP_FRAME_SNAPSHOT:
		return "SNAPSHOT";
	}
	return "unknown";
}

/* CRC register over the header, its crc field as zero, beginning from the body's register: entries
 * and header may so be summed in either order of arrival. */
static uint32_t header_crc(const struct rep_header *header, uint32_t body_crc)
{
	const uint8_t *p = (const uint8_t *)header;
	uint32_t crc = body_crc;
	for (uint32_t i = 0; i < REP_FRAME_HEADER_BYTES; i += 8) {
		uint64_t word = sf_load64(p + i);
		/* The word at 48 is heard_age_us and crc: keep the lower half. */
		if (i == offsetof(struct rep_header, heard_age_us))
			word &= 0xffffffffull;
		crc = sf_crc32c_u64(crc, word);
	}
	return sf_crc32c_end(crc);
}

/* Walks the entries of a DATA body. On success *crc is the register over their CRC fields. */
static enum rep_frame_fault check_entries(
	const struct rep_link_identity *identity,
	const struct rep_header *header,
	const uint8_t *body,
	uint32_t body_bytes,
	uint32_t *crc,
	uint64_t *first_sequence
)
{
	const uint8_t *at = body, *end = body + body_bytes;
	uint32_t max_payload_bytes = identity->max_payload_bytes, epoch = header->epoch;
	uint32_t register_ = SF_CRC32C_INIT;
	if (header->entry_count == 0)
		return REP_FRAME_BAD_BODY;
	if (body_bytes < REP_ENTRY_HEADER_BYTES)
		return REP_FRAME_BAD_LENGTH;
	uint64_t expected = ((const struct rep_entry *)at)->sequence;
	*first_sequence = expected;
	if (expected == 0 || expected > UINT64_MAX - header->entry_count)
		return REP_FRAME_BAD_ENTRY;
	for (uint32_t i = header->entry_count; i > 0; i--) {
		if (end - at < REP_ENTRY_HEADER_BYTES)
			return REP_FRAME_BAD_LENGTH;
		const struct rep_entry *entry = (const struct rep_entry *)at;
		uint32_t payload_bytes = entry->payload_bytes;
		if (payload_bytes > max_payload_bytes)
			return REP_FRAME_BAD_ENTRY;
		uint32_t bytes = rep_entry_bytes(payload_bytes);
		if (end - at < bytes)
			return REP_FRAME_BAD_LENGTH;
		bool known = (uint8_t)(entry->kind - REP_ENTRY_UPDATE) <=
			     REP_ENTRY_CLOSE - REP_ENTRY_UPDATE;
		if (entry->sequence != expected || entry->epoch > epoch || !known ||
		    rep_entry_crc(entry) != entry->crc)
			return REP_FRAME_BAD_ENTRY;
		register_ = sf_crc32c_u32(register_, entry->crc);
		expected++;
		at += bytes;
	}
	*crc = register_;
	return at == end ? REP_FRAME_OK : REP_FRAME_BAD_LENGTH;
}

/* A piece lies within its snapshot. */
static bool piece_fits(const uint8_t *body, uint32_t body_bytes)
{
	struct rep_piece piece;
	if (body_bytes <= sizeof(piece))
		return false;
	memcpy(&piece, body, sizeof(piece));
	uint64_t bytes = body_bytes - sizeof(piece);
	return piece.sequence != 0 && piece.offset < piece.total &&
	       bytes <= piece.total - piece.offset;
}

static enum rep_frame_fault
check_body(const struct rep_header *header, const uint8_t *body, uint32_t body_bytes)
{
	uint32_t wanted = 0;
	switch (header->type) {
	case REP_FRAME_HELLO:
		wanted = sizeof(struct rep_hello);
		break;
	case REP_FRAME_NAK:
		wanted = sizeof(struct rep_nak);
		break;
	case REP_FRAME_ADMIT:
	case REP_FRAME_SWITCHOVER:
		wanted = sizeof(struct rep_change);
		break;
	case REP_FRAME_FETCH:
		wanted = sizeof(struct rep_fetch);
		break;
	case REP_FRAME_SNAPSHOT:
		wanted = piece_fits(body, body_bytes) ? body_bytes : UINT32_MAX;
		break;
	case REP_FRAME_STALE:
	case REP_FRAME_ACK:
	case REP_FRAME_HEARTBEAT:
	case REP_FRAME_GOODBYE:
		break;
	default:
		return REP_FRAME_BAD_TYPE;
	}
	if (header->entry_count != 0)
		return REP_FRAME_BAD_BODY;
	return body_bytes == wanted ? REP_FRAME_OK : REP_FRAME_BAD_BODY;
}

enum rep_frame_fault rep_frame_decode(
	const struct rep_link_identity *identity,
	const void *data,
	uint32_t bytes,
	struct rep_frame *frame
)
{
	const struct rep_header *header = data;
	if (bytes < REP_FRAME_HEADER_BYTES)
		return REP_FRAME_SHORT;
	if (header->version != REP_FRAME_VERSION)
		return REP_FRAME_BAD_VERSION;
	if (header->bytes < REP_FRAME_HEADER_BYTES || header->bytes > bytes)
		return REP_FRAME_BAD_LENGTH;

	const uint8_t *body = (const uint8_t *)data + REP_FRAME_HEADER_BYTES;
	uint32_t body_bytes = header->bytes - REP_FRAME_HEADER_BYTES;
	uint32_t crc = SF_CRC32C_INIT;
	enum rep_frame_fault fault = REP_FRAME_OK;
	frame->first_sequence = 0;
	if (header->type == REP_FRAME_DATA)
		fault = check_entries(
			identity, header, body, body_bytes, &crc, &frame->first_sequence
		);
	else
		crc = sf_crc32c(crc, body, body_bytes);
	/* A damaged frame is called damaged, whatever its fields pretend. */
	if (fault == REP_FRAME_OK && header_crc(header, crc) != header->crc)
		return REP_FRAME_BAD_CRC;
	if (fault != REP_FRAME_OK)
		return fault;

	if (header->cluster_tag != identity->cluster_tag)
		return REP_FRAME_OTHER_CLUSTER;
	/* The header is whole even where it is not for us: callers look at it to find a node that
	 * was given our own id. */
	frame->header = header;
	frame->body = body;
	frame->body_bytes = body_bytes;
	if (header->source == identity->node)
		return REP_FRAME_REFLECTED;
	if (header->source != identity->peer || header->destination != identity->node)
		return REP_FRAME_BAD_NODE;
	if (header->source_incarnation == 0 || header->frame_number == 0)
		return REP_FRAME_BAD_BODY;
	return header->type == REP_FRAME_DATA ? REP_FRAME_OK : check_body(header, body, body_bytes);
}

void rep_frame_seal_data(
	struct rep_header *header, uint32_t entry_count, uint32_t body_bytes, uint32_t body_crc
)
{
	header->bytes = (uint16_t)(REP_FRAME_HEADER_BYTES + body_bytes);
	header->entry_count = (uint16_t)entry_count;
	header->crc = header_crc(header, body_crc);
}

void rep_frame_seal(struct rep_header *header, const void *body, uint32_t body_bytes)
{
	header->bytes = (uint16_t)(REP_FRAME_HEADER_BYTES + body_bytes);
	header->entry_count = 0;
	header->crc = header_crc(header, sf_crc32c(SF_CRC32C_INIT, body, body_bytes));
}
