/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A register node in a few lines, without replication, for tests of the load generator: honest, or
 * breaking one promise on purpose, to see that the load generator notices. Not a product node. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define FAKE_WINDOW 64u
#define FAKE_SESSIONS 512u
#define FAKE_ASSETS 4096u

enum fake_sin {
	FAKE_HONEST,
	FAKE_LOSES,	     /* says OK to an update and does not apply it */
	FAKE_DOUBLES,	     /* applies an update twice */
	FAKE_LIES,	     /* answers a wrong value */
	FAKE_APPLIES_REPEAT, /* takes a repeated request for a new one */
	FAKE_READS_OLD,	     /* answers a read with the state before the last update */
	FAKE_FORGETS,	     /* closes all sessions: allowed, and outcomes become unknown */
};

struct fake_state {
	uint64_t version, sequence;
	int64_t value;
};

struct fake_answer {
	uint64_t request_seq;
	struct fake_state state;
};

struct fake_session {
	uint64_t nonce, client_id; /* client_id 0: closed */
	uint64_t first_incomplete;
	struct fake_answer answers[FAKE_WINDOW];
};

struct fake_node {
	enum fake_sin sin;
	uint64_t sin_every; /* updates (or reads, repeats) between two sins */
	uint64_t sin_countdown, sins;
	uint32_t epoch;
	uint64_t sequence, sessions_opened;
	struct fake_session sessions[FAKE_SESSIONS];
	struct fake_state assets[FAKE_ASSETS], before[FAKE_ASSETS];
};

void fake_node_init(struct fake_node *n, enum fake_sin sin, uint64_t sin_every);

/* Handles a datagram of requests; writes the answers (NOT_PRIMARY with the hint, or an empty one
 * when hint is 0, unless primary); returns their bytes. out has room for 1400. */
uint32_t fake_node_handle(
	struct fake_node *n,
	bool primary,
	uint32_t hint_address,
	const uint8_t *in,
	uint32_t in_bytes,
	uint8_t *out
);
