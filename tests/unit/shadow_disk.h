/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A disk in memory that knows what is on stable storage and what is not, as POSIX promises it and
 * no better: what was written is durable when the file was synced, a name when its directory was.
 * A crash loses, keeps or tears (at sectors of 512 bytes) each write that was not synced, whatever
 * its order, and keeps some first part of the changes of names. A sync that fails leaves its writes
 * readable and never makes them durable, also when a later sync says 0 (fsyncgate).
 *
 * It can fail at its Nth call. All functions may be called from any thread, but for shadow_free.
 */
#pragma once

#include "recovery/disk.h"

#define SHADOW_SECTOR_BYTES 512
#define SHADOW_SHORT 1 /* instead of an errno: a part is written, then -EIO */

enum shadow_loss {
	SHADOW_LOSE_NONE, /* the process was killed: nothing is lost, nothing more is durable */
	SHADOW_LOSE_SOME, /* the power failed: random */
	SHADOW_LOSE_ALL,  /* all that was not durable */
};

struct shadow *shadow_new(void);
void shadow_free(struct shadow *shadow);
struct disk *shadow_disk(struct shadow *shadow);

/* What would be there after a crash at this moment, as a disk of its own; the one that goes on is
 * not touched. Faults, lies and the limit of space are not taken over. */
struct shadow *shadow_crash(struct shadow *shadow, enum shadow_loss loss, uint64_t seed);

/* The Nth call from now on (1: the next) of those that can fail fails with this error: ENOSPC, EIO
 * or SHADOW_SHORT; with `on`, all that follow, too. nth 0: none. */
void shadow_fail(struct shadow *shadow, uint64_t nth, int error, bool on);
uint64_t shadow_failed(struct shadow *shadow); /* calls that failed so since shadow_fail */
uint64_t shadow_calls(struct shadow *shadow);  /* that can fail, since shadow_new */

/* Bytes that fit on it: more is ENOSPC, and free_bytes tells what is left. */
void shadow_limit(struct shadow *shadow, uint64_t bytes);

/* For canaries: syncs say 0 and do nothing · a sync that fails says 0. */
void shadow_lie(struct shadow *shadow, bool never_syncs, bool hides_failures);
