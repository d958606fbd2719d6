/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Where what is taken out of a node's log goes:
 * `<log.dir>/<node>/quarantine/<time>-<first>-<last>/` with the folders log/ and snap/ as in a
 * node's own, so that `standfast log dump` reads it. Nothing there is ever read again by the
 * product, nor deleted: that is the operator's.
 *
 * Files are moved, not copied, each for good before the next; one that stays in part is copied.
 * A call that was interrupted and is made again begins a folder of its own.
 *
 * Owner: one thread, while no journal writes. Errors: a negative errno.
 */
#pragma once

#include "control/log_store.h"

struct ctl_quarantine {
	const struct ctl_log *log;
	char path[CTL_PATH_BYTES]; /* of the folder, absolute */
	uint64_t files, bytes;	   /* in it so far */
	bool made;
};

/* Finds a name that is free; the folder is made with the first file. first, last: entries. */
int ctl_quarantine_begin(
	struct ctl_quarantine *quarantine, const struct ctl_log *log, uint64_t first, uint64_t last
);
/* Moves a file of the node's folder: from is `<folder>/<in>/<name>`, in "log" or "snap". */
int ctl_quarantine_move(struct ctl_quarantine *quarantine, const char *in, const char *name);
/* Puts these bytes there as a file. */
int ctl_quarantine_put(
	struct ctl_quarantine *quarantine,
	const char *in,
	const char *name,
	const void *data,
	uint64_t bytes
);

/* Names in a folder, owned by the caller: free them with ctl_file_names_free. A folder that is not
 * there has none. */
struct ctl_file_names {
	uint32_t count, room;
	char (*list)[256];
};
int ctl_file_names_read(struct disk *disk, const char *path, struct ctl_file_names *names);
void ctl_file_names_free(struct ctl_file_names *names);

/* What lies in quarantine, for the status. */
struct ctl_quarantine_sum {
	uint64_t folders, files, bytes;
};
int ctl_quarantine_measure(const struct ctl_log *log, struct ctl_quarantine_sum *sum);
