/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A node's folder <log.dir>/<node>: which segments there are, what they hold, the plan that
 * follows, and carrying it out. Everything goes through a struct disk.
 * Segments are read into memory rather than mapped: a bad sector is then an error with a sentence,
 * and not the end of control by a signal.
 */
#pragma once

#include "config/settings.h"
#include "recovery/disk.h"
#include "recovery/plan.h"

#define CTL_PATH_BYTES 512

struct ctl_log {
	struct log_identity identity;
	struct disk *disk;
	char folder[CTL_PATH_BYTES]; /* of the node */
	uint32_t count;
	struct rec_segment *segments; /* owned, rising by number */
	enum rec_identity identity_state;
};

/* What was read of a segment file; data is NULL for an empty file. */
struct ctl_segment_map {
	const uint8_t *data; /* owned */
	uint64_t bytes;
	uint64_t file_bytes;
};

void ctl_log_init(struct ctl_log *log, const struct cfg_settings *settings, struct disk *disk);
/* Looks at everything that is there. deep: scans all segments, else only the newest two that hold
 * anything, and of the others the headers. 0 or a negative errno with a sentence. */
int ctl_log_look(struct ctl_log *log, bool deep, char *error, size_t error_bytes);
void ctl_log_free(struct ctl_log *log);
void ctl_log_path(const struct ctl_log *log, uint64_t number, char path[CTL_PATH_BYTES]);
int ctl_log_map(const struct ctl_log *log, uint64_t number, struct ctl_segment_map *map);
void ctl_log_unmap(struct ctl_segment_map *map);

/* Cuts, and removes files that were prepared and never used; makes folders and identity at a first
 * start. */
int ctl_log_carry_out(
	struct ctl_log *log, const struct rec_plan *plan, char *error, size_t error_bytes
);
/* Writes the identity anew; used: the log has held entries. */
int ctl_log_identify(struct ctl_log *log, bool used);

/* What a plan says, for people: verdict, file, offset, reason, remedy. */
void ctl_log_say(
	const struct ctl_log *log, const struct rec_plan *plan, char *text, size_t text_bytes
);
