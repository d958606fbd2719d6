/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Taking away from a node's log: its end, when the history that counts is shorter (a learner's,
 * R10, inv. 16), or all of it, when a snapshot of the peer takes its place or the operator gives it
 * up. What goes, goes to quarantine (control/quarantine.h), complete and readable.
 *
 * Cutting at `keep`. At any moment the folder is a valid log: one that holds more than keep, of
 * which the cut is asked for again, or the one that was asked for. So the order is:
 *   1. all that is to stay is verified, and the plan is made for what would be left; if that is not
 *      a log that ends with keep, nothing is touched;
 *   2. the shorter form of the segment that holds keep is written beside it, and it is copied to
 *      quarantine;
 *   3. snapshots beyond keep, the newest first: their names say what was durable, so the log may
 *      only become shorter when they are gone;
 *   4. segments behind it, the newest first: each is the end of a valid log when it is the last;
 *   5. the shorter form takes the segment's name.
 * Each step is durable before the next. A group that goes beyond keep is sealed anew with fewer
 * entries: nothing in what remains chains on it, and no mark in it names more than keep, since a
 * group's mark lies before its own first entry. Only when what is beyond keep is damaged itself,
 * and a snapshot beyond keep had covered that, a crash may leave a refusal between 3 and 5; the cut
 * can be asked for again all the same.
 *
 * Giving up the whole log has no such order, since a log that begins with a snapshot has no valid
 * first part. There the identity decides: from the moment that it says VOID (one rename), what lies
 * in the folder does not count any more; it is brought to quarantine, and then the identity says
 * EMPTIED, or OURS when a snapshot took the log's place. Whoever finds VOID at a start goes on with
 * that (ctl_log_carry_out). So after a crash it is the old log, or none.
 *
 * How the plan begins afterwards: of an emptied log as at a first start (REC_FRESH, segment 1,
 * sequence 1), and no loss is seen in that until an entry is durable. Behind a snapshot at S:
 * segment 1 holds a header and no group, its first sequence is S + 1 and its chain the CRC over the
 * snapshot's blocks; the snapshot's place is its beginning, and the journal goes on in segment 2.
 *
 * Precondition of all: no journal, and nothing else, writes to the folder. Owner: one thread.
 */
#pragma once

#include "control/log_store.h"

struct ctl_cut {
	uint64_t last;		     /* entry of the log before, as far as it can be read */
	uint64_t entries;	     /* that went, of those that can be read */
	uint64_t files, bytes;	     /* in quarantine by this call */
	char folder[CTL_PATH_BYTES]; /* of them; "": nothing went */
};

/* The log then ends with entry keep, durably; 0: it is empty. log: initialised; it is looked at
 * here, and again at the end. Asked for again it does what is left to do, often nothing.
 * 0, or a negative errno with a sentence; with these nothing was touched:
 *   -ERANGE   the log does not reach to keep
 *   -ENODATA  it does not begin at or before keep: no snapshot and no first entry leads there
 *   -EBADMSG  damage in what is to be kept, or another's folder
 * Any other is the disk's (-EIO, -ENOSPC), and the cut is to be asked for again. */
int ctl_log_cut(
	struct ctl_log *log, uint64_t keep, struct ctl_cut *result, char *text, size_t text_bytes
);

/* All goes, whatever it is worth: also damaged, or refused. But nothing of another cluster, node or
 * release: -EBADMSG. Else as ctl_log_cut with keep 0, which is the same. */
int ctl_log_empty(struct ctl_log *log, struct ctl_cut *result, char *text, size_t text_bytes);

/* Of names and identity that were looked at: LOG_OK, or why nothing here may be touched. */
enum log_fault ctl_log_whose(const struct ctl_log *log);

/* Goes on where the identity says VOID: the rest to quarantine, the snapshot of log->base in place,
 * its segment, the identity. Part of ctl_log_carry_out. */
int ctl_log_give_up(struct ctl_log *log, struct ctl_cut *result);
