/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The role machine's servant: does what the core in the dataplane wants (dataplane/shm.h: wants and
 * gives). It decides nothing. One thread writes the role record, lends entries and snapshots, and
 * keeps the pieces of a snapshot that come in; another one asks the arbiter, which may take as long
 * as its time-out. Killed at any moment, the next one finds the same wants and goes on: a record is
 * written again, a question asked again (a compare-and-set that was carried out is recognised by
 * its own value).
 *
 * Owner: control's main thread, which boots the node through it, and passes the operator's words
 * on.
 */
#pragma once

#include "config/settings.h"
#include "control/arbiter.h"
#include "control/incoming.h"
#include "control/lend.h"
#include "control/log_store.h"
#include "dataplane/shm.h"
#include "recovery/record_store.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

struct ctl_servant {
	const struct cfg_settings *settings;
	struct dp_shm *shm;
	struct ctl_log log; /* whose folder it is */
	bool running;
	uint64_t stop;

	/* The role record; the lock is for the boot, which is another thread's. */
	pthread_mutex_t lock;
	bool opened;
	struct rec_role_store store;

	/* The thread of records and loans. */
	pthread_t thread;
	struct ctl_lend lend;
	uint8_t *lent; /* entries as they come, before they have their places */
	bool log_changed;
	uint64_t fetched_ns; /* when a piece of the snapshot in hand was last lent */
	struct ctl_incoming incoming;
	uint64_t stage_done, piece_done; /* numbers of the questions that are answered */

	/* The arbiter's thread. */
	pthread_t arbiter_thread;
	bool arbiter_runs;
	struct ctl_arbiter *arbiter; /* NULL: the record is on the nodes' disks */
	uint64_t asked;		     /* id of the question that is answered */
	uint64_t probe_ns;	     /* when it is probed next */

	uint64_t operations; /* number of the last one */
};

/* Serves the dataplane that is attached, until stop. A second start ends the first. */
void ctl_servant_start(struct ctl_servant *servant, const struct cfg_settings *settings);
void ctl_servant_stop(struct ctl_servant *servant);

/* Is this node's role by the pair record? Without a log roles are as configured. */
bool ctl_servant_wanted(const struct cfg_settings *settings);

/* A new life of the node: reads the role record, makes it ready (R7), and writes it durably. 0; or
 * a negative errno with a sentence, and the node does not start. used: the log has held entries. */
int ctl_servant_boot(
	struct ctl_servant *servant,
	uint64_t incarnation,
	bool used,
	struct rep_record *record,
	char *text,
	size_t text_bytes
);

/* The snapshot of this sequence that came in becomes the node's own. 0, or a negative errno. */
int ctl_servant_install(
	struct ctl_servant *servant, uint64_t sequence, char *text, size_t text_bytes
);

/* The log was cut or replaced: what is known of its segments holds no more. Any thread. */
void ctl_servant_log_changed(struct ctl_servant *servant);

/* Maintenance: kept as a file in the node's folder, so that it lasts over restarts. 0, or a
 * negative errno. */
int ctl_servant_hold(struct ctl_servant *servant, bool held);
bool ctl_servant_is_held(const struct ctl_servant *servant);

/* Passes the operator's word to the core. False: no dataplane is attached. */
bool ctl_servant_operate(struct ctl_servant *servant, enum rep_operation operation);
