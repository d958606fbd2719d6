/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/request.h"

#include <string.h>

#define IDS_BYTES 16 /* clientId and requestSeq, first in a block */

void dp_request_limits_init(
	struct dp_request_limits *limits, const struct dp_model *model, uint16_t max_payload_bytes
)
{
	limits->max_payload_bytes = max_payload_bytes;
	for (int opcode = 0; opcode < 256; opcode++)
		limits->kinds[opcode] = (uint8_t)model->kind((uint8_t)opcode);
}

static void mark(uint8_t *message, struct dp_datagram *datagram, enum dp_mark mark_value)
{
	sf_store16(message + offsetof(struct cli_header, template_id), (uint16_t)mark_value);
	datagram->marked++;
}

static void
check_update(const struct dp_request_limits *limits, uint8_t *message, struct dp_datagram *datagram)
{
	const struct cli_update_request *request =
		(const struct cli_update_request *)dp_request_block(message);
	bool read_only = request->flags & CLI_REQUEST_READ_ONLY;
	enum dp_operation_kind kind = limits->kinds[request->opcode];
	bool good = (request->flags & ~CLI_REQUEST_READ_ONLY) == 0 &&
		    request->first_incomplete_seq >= 1 &&
		    request->first_incomplete_seq <= request->request_seq &&
		    dp_request_payload_bytes(message) <= limits->max_payload_bytes &&
		    (kind == DP_OPERATION_UNKNOWN || (kind == DP_OPERATION_READ) == read_only);
	if (!good)
		mark(message, datagram, DP_MARK_BAD_UPDATE);
	else if (read_only)
		sf_store16(message + offsetof(struct cli_header, template_id), DP_MARK_READ);
}

static void check_message(
	const struct dp_request_limits *limits, uint8_t *message, struct dp_datagram *datagram
)
{
	switch (dp_request_template(message)) {
	case CLI_UPDATE_REQUEST:
		check_update(limits, message, datagram);
		break;
	case CLI_OPEN_SESSION:
		if (sf_load64(dp_request_block(message)) == 0 ||
		    dp_request_payload_bytes(message) != 0)
			mark(message, datagram, DP_MARK_BAD_OPEN);
		break;
	case CLI_CLOSE_SESSION:
		break;
	case CLI_UPDATE_RESPONSE:
	case CLI_SESSION_OPENED:
		/* A node's own words are never answered: two nodes would talk for ever. */
		mark(message, datagram, DP_MARK_UNKNOWN);
		break;
	default:
		mark(message,
		     datagram,
		     dp_request_block_bytes(message) >= IDS_BYTES ? DP_MARK_BAD_TEMPLATE
								  : DP_MARK_UNKNOWN);
	}
	datagram->messages++;
}

/* Smallest block of a template; 0 for what we do not know, which may have any. */
static uint32_t least_block_bytes(uint16_t template_id)
{
	switch (template_id) {
	case CLI_UPDATE_REQUEST:
		return sizeof(struct cli_update_request);
	case CLI_OPEN_SESSION:
		return sizeof(struct cli_open_session);
	case CLI_CLOSE_SESSION:
		return sizeof(struct cli_close_session);
	}
	return 0;
}

static void note_broken(const uint8_t *message, uint32_t bytes, struct dp_datagram *datagram)
{
	datagram->broken = true;
	if (bytes < sizeof(struct cli_header) + IDS_BYTES)
		return;
	if (dp_request_template(message) != CLI_UPDATE_REQUEST ||
	    sf_load16(message + offsetof(struct cli_header, schema_id)) != CLI_SCHEMA_ID ||
	    sf_load16(message) < IDS_BYTES)
		return;
	const uint8_t *block = dp_request_block(message);
	datagram->broken_has_ids = true;
	datagram->broken_client_id = sf_load64(block);
	datagram->broken_request_seq = sf_load64(block + 8);
	if (bytes >= sizeof(struct cli_header) + 32 && sf_load16(message) >= 32)
		datagram->broken_asset_id = sf_load64(block + 24);
}

void dp_request_check(
	const struct dp_request_limits *limits,
	uint8_t *data,
	uint32_t bytes,
	struct dp_datagram *datagram
)
{
	const uint32_t framing = sizeof(struct cli_header) + sizeof(uint16_t);
	uint32_t offset = 0;
	memset(datagram, 0, sizeof(*datagram));
	/* A datagram without a message is as broken as one that ends within a message. */
	do {
		uint8_t *message = data + offset;
		uint32_t left = bytes - offset;
		if (left < framing) {
			note_broken(message, left, datagram);
			return;
		}
		uint32_t block_bytes = sf_load16(message);
		uint32_t schema = sf_load16(message + offsetof(struct cli_header, schema_id));
		if (schema != CLI_SCHEMA_ID || block_bytes > left - framing ||
		    block_bytes < least_block_bytes(dp_request_template(message)) ||
		    dp_request_payload_bytes(message) > left - framing - block_bytes) {
			note_broken(message, left, datagram);
			return;
		}
		check_message(limits, message, datagram);
		offset += dp_request_message_bytes(message);
	} while (offset < bytes);
}
