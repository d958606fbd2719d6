/* SPDX-License-Identifier: BSD-3-Clause */
#include "client/wire.h"

#include "config/bytes.h"

/* 0 for templates that no node sends. */
static uint16_t least_block_bytes(uint16_t template_id)
{
	switch (template_id) {
	case CLI_UPDATE_RESPONSE:
		return sizeof(struct cli_update_response);
	case CLI_SESSION_OPENED:
		return sizeof(struct cli_session_opened);
	default:
		return 0;
	}
}

enum cli_wire_reason cli_wire_next(struct cli_cursor *cursor, struct cli_message *message)
{
	struct cli_header header;
	size_t left = cursor->left_bytes;
	if (left == 0)
		return CLI_WIRE_END;
	if (left < sizeof(header))
		return CLI_WIRE_SHORT_HEADER;
	memcpy(&header, cursor->at, sizeof(header));
	left -= sizeof(header);
	if (header.schema_id != CLI_SCHEMA_ID || header.version == 0)
		return CLI_WIRE_WRONG_SCHEMA;
	if (left < (size_t)header.block_bytes + sizeof(uint16_t))
		return CLI_WIRE_TRUNCATED;
	left -= header.block_bytes + sizeof(uint16_t);
	const uint8_t *block = cursor->at + sizeof(header);
	const uint8_t *length = block + header.block_bytes;
	uint16_t payload_bytes = sf_load16(length);
	if (left < payload_bytes)
		return CLI_WIRE_TRUNCATED;
	uint16_t least_bytes = least_block_bytes(header.template_id);
	if (header.block_bytes < least_bytes)
		return CLI_WIRE_SHORT_BLOCK;

	cursor->at = length + sizeof(uint16_t) + payload_bytes;
	cursor->left_bytes = left - payload_bytes;
	*message = (struct cli_message){
		.template_id = header.template_id,
		.payload_bytes = payload_bytes,
		.block = block,
		.payload = length + sizeof(uint16_t),
	};
	return least_bytes == 0 ? CLI_WIRE_NOT_AN_ANSWER : CLI_WIRE_OK;
}

bool cli_wire_append(
	uint8_t *data,
	size_t *bytes,
	size_t limit_bytes,
	uint16_t template_id,
	const void *block,
	uint16_t block_bytes,
	const void *payload,
	uint16_t payload_bytes
)
{
	struct cli_header header = {block_bytes, template_id, CLI_SCHEMA_ID, CLI_SCHEMA_VERSION};
	size_t need = sizeof(header) + block_bytes + sizeof(uint16_t) + payload_bytes;
	if (*bytes > limit_bytes || limit_bytes - *bytes < need)
		return false;
	uint8_t *p = data + *bytes;
	memcpy(p, &header, sizeof(header));
	memcpy(p + sizeof(header), block, block_bytes);
	p += sizeof(header) + block_bytes;
	sf_store16(p, payload_bytes);
	if (payload_bytes > 0)
		memcpy(p + sizeof(uint16_t), payload, payload_bytes);
	*bytes += need;
	return true;
}
