/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A node's folder <log.dir>/<node>: which segments and snapshots there are, what they hold, the
 * plan that follows, and carrying it out. Everything goes through a struct disk. Files are read
 * into memory rather than mapped: a bad sector is then an error with a sentence, and not the end of
 * control by a signal.
 */
#pragma once

#include "config/settings.h"
#include "recovery/disk.h"
#include "recovery/plan.h"
#include "recovery/snapshot.h"

#define CTL_PATH_BYTES 512
#define CTL_MAX_SNAPSHOTS 16 /* that are looked at; two are kept */

struct ctl_log {
	struct log_identity identity;
	struct disk *disk;
	uint64_t reach;		     /* the arena's slots: struct rec_base */
	char folder[CTL_PATH_BYTES]; /* of the node */
	uint32_t count;
	struct rec_segment *segments; /* owned, rising by number */
	enum rec_identity identity_state;
	uint64_t
		base; /* with REC_IDENTITY_VOID: the snapshot that takes the log's place; 0: none */
	uint32_t snapshot_count;
	uint64_t snapshots[CTL_MAX_SNAPSHOTS]; /* by their names, newest first */
};

/* What was read of a file; data is NULL for an empty one. */
struct ctl_map {
	const uint8_t *data; /* owned */
	uint64_t bytes;
	uint64_t file_bytes;
};

void ctl_log_init(struct ctl_log *log, const struct cfg_settings *settings, struct disk *disk);
/* Looks at everything that is there. deep: scans all segments, else only the newest that holds
 * anything, and of the others the headers. Of a log that was given up (REC_IDENTITY_VOID) only what
 * takes its place. 0 or a negative errno with a sentence. */
int ctl_log_look(struct ctl_log *log, bool deep, char *error, size_t error_bytes);
/* Only whose it is. */
int ctl_log_look_identity(struct ctl_log *log);
/* Only which files there are. */
int ctl_log_look_names(struct ctl_log *log, char *error, size_t error_bytes);
void ctl_log_free(struct ctl_log *log);
void ctl_log_path(const struct ctl_log *log, uint64_t number, char path[CTL_PATH_BYTES]);
int ctl_log_map(const struct ctl_log *log, uint64_t number, struct ctl_map *map);
void ctl_log_unmap(struct ctl_map *map);
/* Any file; a longer one than limit is -EFBIG. */
int ctl_read_file(struct disk *disk, const char *path, uint64_t limit, struct ctl_map *map);

/* Snapshots: by sequence. The header is NULL when the file is not good; then fault and at say why.
 */
struct ctl_snapshot {
	struct ctl_map map;
	const struct snap_header *header;
	enum log_fault fault;
	uint64_t at;
};
void ctl_snapshot_path(const struct ctl_log *log, uint64_t sequence, char path[CTL_PATH_BYTES]);
/* Where a snapshot of the peer lies until what it replaces is out of the way. */
void ctl_snapshot_incoming_path(const struct ctl_log *log, char path[CTL_PATH_BYTES]);
/* Opens and judges one; 0 or a negative errno. The caller closes it. */
int ctl_snapshot_open(const struct ctl_log *log, uint64_t sequence, struct ctl_snapshot *snapshot);
void ctl_snapshot_close(struct ctl_snapshot *snapshot);

/* The plan for what was looked at, with the newest snapshot that is good and that the log goes on
 * from: that one stays open (header NULL: none). A snapshot that is not good is named in
 * `warning`. */
void ctl_log_plan(
	const struct ctl_log *log,
	struct rec_plan *plan,
	struct ctl_snapshot *snapshot,
	char *warning,
	size_t warning_bytes
);

/* Cuts, and removes files that were prepared and never used; makes folders and identity at a first
 * start; brings what was given up to quarantine (control/cut.h). */
int ctl_log_carry_out(
	struct ctl_log *log, const struct rec_plan *plan, char *error, size_t error_bytes
);
/* Writes the identity anew; used: the log has held entries. */
int ctl_log_identify(struct ctl_log *log, bool used);
/* The same with any state that a file can say. All or nothing, whenever it ends. */
int ctl_log_mark(struct ctl_log *log, enum rec_identity state, uint64_t base);
/* The node's folder with log/ and snap/. */
int ctl_log_make_folders(struct ctl_log *log);

/* What a plan says, for people: verdict, file, offset, reason, remedy. */
void ctl_log_say(
	const struct ctl_log *log, const struct rec_plan *plan, char *text, size_t text_bytes
);
