/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Reads the messages of one client datagram (client-protocol.md). Pure: no DPDK, no state. Reads
 * and marks only [data, data + bytes).
 *
 * A datagram with broken framing is dropped whole. In a well-framed one, a message that the
 * protocol forbids is marked in place (its templateId becomes one of the DP_MARK values), so that
 * whoever walks the messages afterwards trusts every other one without checking again.
 */
#pragma once

#include "client/messages.h"
#include "config/bytes.h"
#include "dataplane/model/model.h"

#include <stdbool.h>
#include <stdint.h>

/* Template ids of our own; what a client sends in their place becomes DP_MARK_UNKNOWN. */
enum dp_mark {
	DP_MARK_UNKNOWN = 0xfff0,    /* a template we do not know: no answer is possible */
	DP_MARK_BAD_UPDATE = 0xfff1, /* answer BAD_REQUEST */
	DP_MARK_BAD_OPEN = 0xfff2,
	DP_MARK_READ = 0xfff3,	       /* a good UpdateRequest with the read-only flag */
	DP_MARK_BAD_TEMPLATE = 0xfff4, /* as UNKNOWN, but its first words may be answered */
};

struct dp_request_limits {
	uint16_t max_payload_bytes;
	uint8_t kinds[256]; /* enum dp_operation_kind per opcode */
};

struct dp_datagram {
	uint32_t messages; /* well-formed ones */
	uint32_t marked;   /* of them, bad or unknown */
	bool broken;	   /* framing: drop it all */
	/* Of the broken message, when they could be read: BAD_REQUEST is answered to these. */
	bool broken_has_ids;
	uint64_t broken_client_id;
	uint64_t broken_request_seq;
	uint64_t broken_asset_id; /* 0 if it was not there */
};

void dp_request_limits_init(
	struct dp_request_limits *limits, const struct dp_model *model, uint16_t max_payload_bytes
);

void dp_request_check(
	const struct dp_request_limits *limits,
	uint8_t *data,
	uint32_t bytes,
	struct dp_datagram *datagram
);

/* The parts of a message that dp_request_check found well-formed. */
static inline uint32_t dp_request_block_bytes(const uint8_t *message)
{
	return sf_load16(message);
}

static inline uint16_t dp_request_template(const uint8_t *message)
{
	return sf_load16(message + offsetof(struct cli_header, template_id));
}

static inline const uint8_t *dp_request_block(const uint8_t *message)
{
	return message + sizeof(struct cli_header);
}

static inline uint16_t dp_request_payload_bytes(const uint8_t *message)
{
	return sf_load16(dp_request_block(message) + dp_request_block_bytes(message));
}

static inline const uint8_t *dp_request_payload(const uint8_t *message)
{
	return dp_request_block(message) + dp_request_block_bytes(message) + sizeof(uint16_t);
}

static inline uint32_t dp_request_message_bytes(const uint8_t *message)
{
	return (uint32_t
	)(dp_request_payload(message) + dp_request_payload_bytes(message) - message);
}
