/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The client protocol's messages as C structs: SBE 1.0 message header, fixed block, one var-data
 * field, all little-endian. client/messages.xml is the schema; the layouts are asserted below. This
 * header is shared by the node, the C client and the load generator, and depends on nothing.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define CLI_SCHEMA_ID 0x5346
#define CLI_SCHEMA_VERSION 1
#define CLI_DEFAULT_PORT 9400
#define CLI_MAX_DATAGRAM_BYTES 1400 /* UDP payload, both directions */
#define CLI_MAX_PAYLOAD_BYTES 1334  /* of an update request */
#define CLI_MAX_ANSWER_BYTES 1326   /* of an asset model */

enum cli_template {
	CLI_UPDATE_REQUEST = 1,
	CLI_UPDATE_RESPONSE = 2,
	CLI_OPEN_SESSION = 3,
	CLI_SESSION_OPENED = 4,
	CLI_CLOSE_SESSION = 5,
};

enum cli_status {
	CLI_OK = 0,
	CLI_REJECTED = 1,
	CLI_NOT_PRIMARY = 2,
	CLI_BUSY = 3,
	CLI_BAD_REQUEST = 4,
	CLI_FORGOTTEN = 5,
	CLI_UNAUTHORIZED = 6,
	CLI_OVERLOADED = 7,
};

#define CLI_REQUEST_READ_ONLY 0x01 /* cli_update_request.flags */
#define CLI_RESPONSE_REPEAT 0x01   /* cli_update_response.flags */

/* Opcodes and reasons of the built-in asset model "register". */
enum cli_register_opcode {
	CLI_REGISTER_ADD = 1,
	CLI_REGISTER_SET = 2,
	CLI_REGISTER_GET = 3,
	CLI_REGISTER_CAS = 4,
};
enum cli_register_reason {
	CLI_REGISTER_MISMATCH = 1,
	CLI_REGISTER_OVERFLOW = 2,
	CLI_REGISTER_BAD_OPERATION = 3,
};
/* Of every model: the node's asset table has no room for one more asset. */
#define CLI_REASON_ASSETS_FULL 0xffff

struct cli_header {
	uint16_t block_bytes;
	uint16_t template_id;
	uint16_t schema_id;
	uint16_t version;
} __attribute__((packed));

struct cli_update_request {
	uint64_t client_id;
	uint64_t request_seq;
	uint64_t first_incomplete_seq;
	uint64_t asset_id;
	uint8_t opcode;
	uint8_t flags;
	uint8_t reserved[6];
} __attribute__((packed));

struct cli_update_response {
	uint64_t client_id;
	uint64_t request_seq;
	uint64_t asset_id;
	uint64_t sequence;
	uint32_t epoch;
	uint8_t status;
	uint8_t flags;
	uint8_t reserved[2];
	uint64_t asset_version;
} __attribute__((packed));

struct cli_open_session {
	uint64_t nonce;
	uint8_t reserved[8];
} __attribute__((packed));

struct cli_session_opened {
	uint64_t nonce;
	uint64_t client_id;
	uint32_t epoch;
	uint8_t status;
	uint8_t flags;
	uint16_t max_inflight;
} __attribute__((packed));

struct cli_close_session {
	uint64_t client_id;
} __attribute__((packed));

/* Bytes of a whole message with its header, block, length field and payload. */
#define CLI_MESSAGE_BYTES(block, payload) \
	(sizeof(struct cli_header) + sizeof(block) + sizeof(uint16_t) + (payload))

#ifdef __cplusplus
#define CLI_ASSERT static_assert
#else
#define CLI_ASSERT _Static_assert
#endif
#define CLI_AT(type, field, offset) \
	CLI_ASSERT(offsetof(struct type, field) == (offset), #type "." #field)
CLI_ASSERT(sizeof(struct cli_header) == 8, "SBE message header");
CLI_AT(cli_header, template_id, 2);
CLI_AT(cli_header, schema_id, 4);
CLI_AT(cli_header, version, 6);
CLI_ASSERT(sizeof(struct cli_update_request) == 40, "UpdateRequest");
CLI_AT(cli_update_request, request_seq, 8);
CLI_AT(cli_update_request, first_incomplete_seq, 16);
CLI_AT(cli_update_request, asset_id, 24);
CLI_AT(cli_update_request, opcode, 32);
CLI_AT(cli_update_request, flags, 33);
CLI_AT(cli_update_request, reserved, 34);
CLI_ASSERT(sizeof(struct cli_update_response) == 48, "UpdateResponse");
CLI_AT(cli_update_response, request_seq, 8);
CLI_AT(cli_update_response, asset_id, 16);
CLI_AT(cli_update_response, sequence, 24);
CLI_AT(cli_update_response, epoch, 32);
CLI_AT(cli_update_response, status, 36);
CLI_AT(cli_update_response, flags, 37);
CLI_AT(cli_update_response, reserved, 38);
CLI_AT(cli_update_response, asset_version, 40);
CLI_ASSERT(sizeof(struct cli_open_session) == 16, "OpenSession");
CLI_AT(cli_open_session, reserved, 8);
CLI_ASSERT(sizeof(struct cli_session_opened) == 24, "SessionOpened");
CLI_AT(cli_session_opened, client_id, 8);
CLI_AT(cli_session_opened, epoch, 16);
CLI_AT(cli_session_opened, status, 20);
CLI_AT(cli_session_opened, flags, 21);
CLI_AT(cli_session_opened, max_inflight, 22);
CLI_ASSERT(sizeof(struct cli_close_session) == 8, "CloseSession");
#undef CLI_AT
#undef CLI_ASSERT
