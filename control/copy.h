/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Control's own copy of the node's state: the session table and one shard with all partitions, the
 * same code that the dataplane runs, advanced by the entries of the log. Snapshots are written from
 * it and read into it, and its digest is held against the dataplane's (a running audit).
 *
 * Owner: one thread.
 */
#pragma once

#include "config/settings.h"
#include "dataplane/shard.h"
#include "recovery/disk.h"
#include "recovery/snapshot.h"

struct ctl_copy {
	struct rep_session_table sessions;
	struct dp_shard shard;
	uint64_t sequence; /* entries up to here are in it */
	uint32_t epoch;	   /* highest of them */
	uint32_t lineage_count;
	struct rep_lineage lineage[REP_MAX_LINEAGE];
	void *memory;
	uint64_t memory_bytes;
};

/* 0 or a negative errno. */
int ctl_copy_init(struct ctl_copy *copy, const struct cfg_settings *settings);
void ctl_copy_free(struct ctl_copy *copy);

/* The next entry of the log. */
enum rep_session_fault ctl_copy_apply(struct ctl_copy *copy, const struct rep_entry *entry);
uint64_t ctl_copy_digest(const struct ctl_copy *copy);
/* What a snapshot of these settings has to be made for. */
void ctl_copy_shape(const struct cfg_settings *settings, struct snap_shape *shape);

/* Takes over a checked snapshot; only into a copy that is empty. False: it does not fit. */
bool ctl_copy_load(struct ctl_copy *copy, const struct snap_header *header);
/* Writes the copy as a snapshot into an open file, not yet synced. header has its place in the log,
 * incarnation and time; the rest is completed. 0 or a negative errno. */
int ctl_copy_write(
	const struct ctl_copy *copy,
	const struct log_identity *identity,
	struct disk *disk,
	int file,
	struct snap_header *header
);
