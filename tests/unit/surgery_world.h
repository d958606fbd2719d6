/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A node's folder on a shadow disk, with a log of real entries and snapshots of it, and what must
 * be found in it after something was taken out: what the tests of cut, incoming and lend share.
 * Every entry is kept, and the digest of the state behind it.
 *
 * Checks return a sentence that says what is wrong, or "", so that a canary can ask for it.
 */
#pragma once

#include "control/log_store.h"
#include "tests/unit/shadow_disk.h"
#include "tests/unit/snapshot_world.h"

#define SURGERY_MAX_ENTRIES 8192
#define SURGERY_SEGMENT_BLOCKS 64

struct surgery_world {
	struct world *world;
	struct shadow *shadow; /* owned */
	struct ctl_log log;    /* on that */
	struct log_position position;
	uint8_t *entries[SURGERY_MAX_ENTRIES];
	uint64_t digests[SURGERY_MAX_ENTRIES];
	uint64_t snapshots[16];
	uint32_t snapshot_count;
	bool closed; /* segments end with a mark */
	char problem[1024];
};

/* A node with an empty log; node: its id. */
struct surgery_world *surgery_new(uint64_t seed, uint8_t node);
void surgery_free(struct surgery_world *s);
/* A segment of so many groups of so many entries; behind each group a snapshot, when its bit is
 * set. prepared: zeros behind. All durable. */
void surgery_segment(
	struct surgery_world *s,
	uint32_t groups,
	uint32_t entries,
	uint32_t snapshots,
	bool prepared
);
/* Files that were prepared and not used. */
void surgery_prepare(struct surgery_world *s, uint32_t count);
static inline uint64_t surgery_last(const struct surgery_world *s)
{
	return s->world->copy.sequence;
}
/* Is this, byte for byte, the entry of its sequence? */
bool surgery_same(const struct surgery_world *s, const struct rep_entry *entry);
/* Another disk, with this one's entries to compare: a crash of it. */
struct ctl_log surgery_log(const struct surgery_world *s, struct shadow *shadow);

/* Everything that lies in the node's folder here, on another disk, whose folders are there. */
void surgery_copy(const struct surgery_world *s, const struct ctl_log *to);
void surgery_remove(struct shadow *shadow, const char *path);
void surgery_flip(struct shadow *shadow, const char *path, uint64_t at);

/* The folder is a log that is not refused, whose replay gives the state of exactly `least` … `most`
 * entries; *last: how many. */
const char *surgery_check(
	struct surgery_world *s,
	struct shadow *shadow,
	uint64_t least,
	uint64_t most,
	uint64_t *last
);
/* The same on any disk. */
const char *surgery_check_log(
	struct surgery_world *s, struct ctl_log *log, uint64_t least, uint64_t most, uint64_t *last
);
/* Each entry from first to last can be read in quarantine, and each snapshot of `snapshots` above
 * `above` is there. */
const char *surgery_check_quarantine(
	struct surgery_world *s,
	struct shadow *shadow,
	uint64_t first,
	uint64_t last,
	uint64_t above
);
