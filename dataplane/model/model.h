/* SPDX-License-Identifier: BSD-3-Clause
 *
 * An asset model: what an update means. A model is a table of pure functions over the state of one
 * asset; the same calls run on both nodes, in replay and in checkpoints, and must give the same
 * bytes everywhere: no clock, no randomness, no pointer values, no allocation, no failure other
 * than the answer REJECTED (invariant 26). State is plain bytes, all zero for an asset that was
 * never updated, and is hashed and stored as it is: padding inside it must stay zero.
 *
 * A model of one's own: implement struct dp_model, add it to the list in model.c, name it in
 * `assets.model`. Both nodes compare the name through the configuration digest.
 */
#pragma once

#include "client/messages.h"

#include <stdint.h>

enum dp_operation_kind {
	DP_OPERATION_WRITE,   /* sequenced; also what the model does not know: it then rejects it */
	DP_OPERATION_READ,    /* must carry the read-only flag */
	DP_OPERATION_UNKNOWN, /* with or without the flag: the model answers REJECTED */
};

struct dp_operation {
	uint64_t asset_id;
	uint64_t client_id;
	uint64_t sequence;	       /* of this update; 0 for a read */
	uint64_t timestamp_ns;	       /* of the entry; 0 for a read */
	uint64_t last_update_sequence; /* of the asset, before this operation; 0: never */
	const uint8_t *payload;
	uint16_t payload_bytes;
	uint16_t answer_limit; /* bytes: cut there, deterministically */
	uint8_t opcode;
};

/* Where the answer goes: at most operation->answer_limit bytes. */
struct dp_result {
	uint8_t *payload;
	uint16_t payload_bytes;
};

struct dp_model {
	const char *name;
	uint32_t state_bytes;  /* multiple of 8 */
	uint16_t answer_bytes; /* no answer is longer */
	enum dp_operation_kind (*kind)(uint8_t opcode);
	/* CLI_OK, or CLI_REJECTED with the state unchanged and a u16 reason first in the payload.
	 */
	enum cli_status (*apply
	)(void *state, const struct dp_operation *operation, struct dp_result *result);
	enum cli_status (*read
	)(const void *state, const struct dp_operation *operation, struct dp_result *result);
};

extern const struct dp_model dp_model_register;

/* A model by its name in the configuration; NULL if there is none. */
const struct dp_model *dp_model_find(const char *name);
