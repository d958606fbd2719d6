/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Framing of the client's datagrams: walks the messages of one that came in, appends messages to
 * one that goes out. Pure; owns no memory. A decoded message points into the datagram. Nothing that
 * a datagram holds can make a reader look outside of it: every length is checked against what is
 * left, and each way to be broken has its reason, which the engine counts.
 */
#pragma once

#include "client/messages.h"

#include <stdbool.h>

enum cli_wire_reason {
	CLI_WIRE_OK,
	CLI_WIRE_END,		/* nothing left: a clean end */
	CLI_WIRE_SHORT_HEADER,	/* fewer than 8 bytes left */
	CLI_WIRE_WRONG_SCHEMA,	/* schemaId not ours, or version 0 */
	CLI_WIRE_TRUNCATED,	/* block, length field or payload goes beyond the datagram */
	CLI_WIRE_SHORT_BLOCK,	/* block shorter than this schema's */
	CLI_WIRE_NOT_AN_ANSWER, /* template unknown, or one that only clients send; may be skipped
				 */
};

struct cli_message {
	uint16_t template_id;
	uint16_t payload_bytes;
	const uint8_t *block; /* at least as long as the template's struct */
	const uint8_t *payload;
};

struct cli_cursor {
	const uint8_t *at;
	size_t left_bytes;
};

/* Takes the next message that a node sends. After CLI_WIRE_NOT_AN_ANSWER the cursor stands behind
 * that message and the walk may go on; after any other reason the rest is unreadable. */
enum cli_wire_reason cli_wire_next(struct cli_cursor *cursor, struct cli_message *message);

/* Appends one message at data + *bytes and moves *bytes; false, and nothing written, when it does
 * not fit in limit_bytes. block_bytes and payload_bytes are the caller's own, never the wire's. */
bool cli_wire_append(
	uint8_t *data,
	size_t *bytes,
	size_t limit_bytes,
	uint16_t template_id,
	const void *block,
	uint16_t block_bytes,
	const void *payload,
	uint16_t payload_bytes
);
