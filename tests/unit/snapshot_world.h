/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Random histories of a small node, and snapshots of them: what the tests of snapshots share. The
 * entries are such as a primary writes: sessions come and go, requests are completed, repeated
 * numbers do not occur, and some updates are rejected.
 */
#pragma once

#include "control/copy.h"
#include "tests/unit/random.h"

#define WORLD_SESSIONS 24
#define WORLD_INFLIGHT 16
#define WORLD_ENTRY_BYTES (REP_ENTRY_HEADER_BYTES + 24)

extern const struct log_identity world_identity;

struct world_client {
	uint64_t client_id; /* 0: has no session */
	uint64_t first_incomplete, next_seq;
};

struct world {
	struct cfg_settings settings;
	struct random random;
	struct ctl_copy copy; /* the history so far */
	struct world_client clients[WORLD_SESSIONS];
	uint32_t epoch;
	uint32_t assets; /* ids that are drawn from */
	uint32_t rejected;
	_Alignas(8) uint8_t entry[WORLD_ENTRY_BYTES]; /* the newest */
};

/* Settings of such a node, without files or folders. */
void world_settings(struct cfg_settings *settings);
struct world *world_make(uint64_t seed, uint32_t assets);
void world_free(struct world *world);
/* The next entry, applied to the copy. */
const struct rep_entry *world_step(struct world *world);
void world_steps(struct world *world, uint32_t count);

/* A snapshot in memory; of exactly that size, so that a sanitizer sees a read beyond it. */
struct image {
	uint8_t *data;
	uint64_t bytes;
};
/* Through a real file. place: where the log goes on. */
struct image world_snapshot(const struct world *world, const struct log_position *place);
struct image image_copy(const struct image *image);
/* Makes all CRCs good again, and the counts that hang on them, as far as the blocks follow each
 * other. */
void image_seal(struct image *image);
struct snap_block *image_block(const struct image *image, uint32_t number);

/* Fails unless both hold the same sessions, requests, answers and assets. answers: compare those
 * too. */
void world_expect_equal(
	const struct world *world, const struct ctl_copy *a, const struct ctl_copy *b, bool answers
);
