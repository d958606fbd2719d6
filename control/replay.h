/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Replay, control's half (dataplane/fill.c is the other): a thread that looks at the node's log,
 * makes the plan, streams the entries into the dataplane's memory through the ring of the memory
 * file, verifying each group in the very place that the dataplane reads it from, and then cuts a
 * torn tail. In a refill the log is cut first, or replaced by a snapshot. Control's main thread
 * goes on serving meanwhile. Killed at any moment, nothing but the cut has changed on disk, and the
 * next control begins again.
 *
 * Owner: control's main thread; progress is read by it at any time.
 */
#pragma once

#include "config/settings.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

enum ctl_replay_state {
	CTL_REPLAY_NONE, /* not asked for */
	CTL_REPLAY_RUNNING,
	CTL_REPLAY_DONE,
	CTL_REPLAY_REFUSED, /* text says why, and what helps */
	CTL_REPLAY_ENDED,   /* dataplane or control went away meanwhile */
};

struct ctl_servant;

struct ctl_replay {
	const struct cfg_settings *settings;
	struct ctl_servant *servant; /* boots the node, and installs a snapshot that came in */
	pthread_t thread;
	bool running; /* the thread is to be joined */
	uint64_t stop;
	uint64_t state; /* enum ctl_replay_state; release by the thread, after text */
	uint64_t entries, bytes, total_bytes;
	uint64_t started_ns;
	char text[1024];
};

/* Starts when the attached dataplane waits to be filled, at its start or again; does nothing
 * otherwise. The servant runs. */
void ctl_replay_start(
	struct ctl_replay *replay, const struct cfg_settings *settings, struct ctl_servant *servant
);
void ctl_replay_stop(struct ctl_replay *replay);
enum ctl_replay_state ctl_replay_look(const struct ctl_replay *replay);
