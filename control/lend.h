/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Reads the node's own log, and its newest snapshot, for a learner that is behind what the arena
 * holds. The journal goes on writing meanwhile, and the checkpoint thread removes segments and
 * snapshots: only what is whole is lent, and what is gone is not lent any more.
 *
 * Entries come as they stand in the log, which is as in the arena (replication/entry.h). Each group
 * is verified like at a replay: place, author, chain, CRC of group and entries. A place is kept, so
 * reading on costs one pass over the bytes; going back a little finds one of the places noted on
 * the way.
 *
 * The end: a group that is not complete ends the reading and is no damage, as long as nothing says
 * that it should be there: a segment that was begun behind it, or `written`. Damage is told once,
 * with a sentence; what is lent from then on lies behind it, from the next segment on.
 *
 * After a cut, an install or an emptying: ctl_lend_close, and init again. Owner: one thread, of its
 * own if the disk may make it wait. Memory: 1 MiB, and with a snapshot its size while it is judged.
 */
#pragma once

#include "control/log_store.h"

#define CTL_LEND_PLACES 64

struct ctl_lend {
	struct ctl_log log; /* its own: who and where; segments by number with their headers */
	/* Told by the owner, before a read: entries up to here were written (dp_shm_log.written).
	 * 0: not known; then damage in the newest segment looks like its end. */
	uint64_t written;
	char text[512];	     /* the newest damage, "": none */
	uint64_t damage;     /* how often */
	uint64_t bad_header; /* segment: told once */

	/* The place. */
	int file;		      /* of position.segment, or -1 */
	struct log_position position; /* of the next group */
	uint8_t *chunk;
	uint64_t chunk_at, chunk_bytes;
	const struct rep_entry *entry; /* the next one, in the chunk */
	uint32_t left;		       /* of its group */
	uint64_t next;		       /* its sequence */
	uint64_t floor;		       /* nothing before this: damage */
	uint32_t place_count;
	struct log_position places[CTL_LEND_PLACES]; /* a ring: where chunks began */

	/* The snapshot. */
	int snapshot; /* file, or -1 */
	uint64_t sequence, total;
};

/* like: identity, folder and disk are taken over. 0 or -ENOMEM. */
int ctl_lend_init(struct ctl_lend *lend, const struct ctl_log *like);
void ctl_lend_close(struct ctl_lend *lend);

/* The oldest entry that can be lent; 0: no segment was begun. Looks at the folder; a segment's
 * header is read once. 0 or a negative errno. */
int ctl_lend_first(struct ctl_lend *lend, uint64_t *first);

/* Copies whole entries from sequence `first` on, one behind the other, rep_entry_bytes each, as
 * many as there are and as fit into room bytes; buffer is aligned to 8. 0 (and *count 0: not
 * written yet), or a negative errno with nothing copied. -ERANGE: first is older than what
 * ctl_lend_first says now. -EBADMSG: damage at first; text says where, and ctl_lend_first has risen
 * behind it (when entries before the damage were lent by the same call, the next call says
 * -ERANGE). -ENOBUFS: no room for one entry. */
int ctl_lend_read(
	struct ctl_lend *lend,
	uint64_t first,
	void *buffer,
	uint64_t room,
	uint32_t *count,
	uint64_t *bytes
);

/* Takes the newest good snapshot in hand and keeps its file open, so that it can be lent to its end
 * also when it is replaced meanwhile. 0, *sequence 0 when there is none, or a negative errno. The
 * one in hand is only given up for a newer one. */
int ctl_lend_snapshot(struct ctl_lend *lend, uint64_t *sequence, uint64_t *total);
/* By name: the newest on the disk; another one than that in hand: it was replaced. 0: none. */
int ctl_lend_newest(struct ctl_lend *lend, uint64_t *sequence);
/* Bytes of the snapshot in hand; how many, or a negative errno; -ESTALE: sequence is not in hand.
 */
ssize_t ctl_lend_bytes(
	struct ctl_lend *lend, uint64_t sequence, uint64_t offset, void *buffer, size_t bytes
);
