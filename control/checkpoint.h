/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Checkpoints, beside the data path: a thread follows the log on disk into control's own copy of
 * the state (control/copy.h), as far as it is durable, and writes a snapshot of it now and then (by
 * time, and by entries). A snapshot gets its name when it is whole, on disk, and read again; then
 * what two good snapshots no longer need is removed: older snapshots, and whole segments. When the
 * disk has no room for the log any more, a snapshot is written early, and one is enough.
 *
 * The audit: at every digest mark the copy's digest is compared with the dataplane's at the same
 * sequence. A difference is an alarm, and no snapshot is written after it.
 *
 * Facts go to the memory file (struct dp_shm_checkpoint), where `standfast status` reads them.
 *
 * Owner: control's main thread.
 */
#pragma once

#include "config/settings.h"
#include "control/copy.h"
#include "dataplane/shm.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

struct ctl_checkpoint {
	const struct cfg_settings *settings;
	pthread_t thread;
	bool running; /* the thread is to be joined */
	uint64_t stop;
	uint64_t alarm; /* release by the thread, after text */
	char text[512];
};

/* Starts when a dataplane with a log is attached. */
void ctl_checkpoint_start(struct ctl_checkpoint *checkpoint, const struct cfg_settings *settings);
void ctl_checkpoint_stop(struct ctl_checkpoint *checkpoint);
/* Is there an alarm? text says which. */
static inline bool ctl_checkpoint_alarm(const struct ctl_checkpoint *checkpoint)
{
	return __atomic_load_n(&checkpoint->alarm, __ATOMIC_ACQUIRE) != 0;
}

/* The newest digests of the copy, until the dataplane's are there. */
struct ctl_audit {
	uint32_t next;
	struct dp_shm_mark marks[DP_SHM_MAX_MARKS]; /* sequence 0: compared, or none */
};
/* The copy is at a mark. */
void ctl_audit_note(struct ctl_audit *audit, uint64_t sequence, uint64_t digest);
/* Compares what can be; false as soon as a digest is another one than the dataplane's. */
bool ctl_audit_compare(struct ctl_audit *audit, struct dp_shm *shm);
