/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A snapshot of the peer, received piece by piece, and put in the place of the whole own log
 * (replication/fetch.c is the core's half). The pieces go to `snap/incoming.tmp`.
 *
 * It was made on the other node: its place in the log (segment, offset, chain) and its identity are
 * that one's. The blocks say nothing of either, so only the header is rewritten and sealed anew:
 * cluster and node are ours, the place is the beginning of segment 1, and the chain there is the
 * CRC over the blocks, so that what is written behind it belongs to this snapshot and no other.
 * Sequence, epoch, lineage, counts and digests stay, and incarnation and time say who made it.
 *
 * Installing: verified, sealed, synced, renamed to `snap/incoming.snap`; then the identity says
 * VOID with the snapshot's sequence, and from that moment on (one rename) it is the log; the old
 * log and its snapshots go to quarantine, the snapshot gets its name, its segment is made
 * (control/cut.h). A crash before that leaves the old log, one behind it the new one, which
 * ctl_log_carry_out completes.
 *
 * Precondition of install: no journal, and nothing else, writes to the folder. Owner: one thread.
 */
#pragma once

#include "control/cut.h"
#include "replication/frame.h"

struct ctl_incoming {
	struct ctl_log *log; /* borrowed: initialised */
	const struct cfg_settings *settings;
	int file; /* or -1 */
	uint64_t sequence, total;
	uint64_t bytes; /* there so far */
};

void ctl_incoming_init(
	struct ctl_incoming *incoming, struct ctl_log *log, const struct cfg_settings *settings
);
/* Takes the next piece; one with offset 0 begins anew. Pieces that follow each other may come as
 * one. 0, or a negative errno with a sentence: -EINVAL for a piece that does not follow, which
 * changes nothing; after any other one, of the disk, only a beginning is taken. */
int ctl_incoming_keep(
	struct ctl_incoming *incoming,
	const struct rep_piece *piece,
	const void *data,
	uint32_t bytes,
	char *text,
	size_t text_bytes
);
/* All of it is there: in place of the log. 0, or a negative errno with a sentence. -EINVAL: not
 * this one, or not all of it; -EBADMSG: it is not good, or not for these settings, and nothing was
 * changed. Any other is the disk's: the log is the old one or this one, and a look says which.
 * Needs memory for a copy of the state, to hold it against the digests. */
int ctl_incoming_install(
	struct ctl_incoming *incoming,
	uint64_t sequence,
	struct ctl_cut *result,
	char *text,
	size_t text_bytes
);
/* Forgets what is there. */
void ctl_incoming_drop(struct ctl_incoming *incoming);
