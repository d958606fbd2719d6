/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The journal: takes the entries in sequence order from the arena and has them written to the log.
 * The agent is a cursor over the arena: it copies what was appended into group buffers and hands a
 * buffer on when it is full, or when the writer has nothing to do. So a group holds what gathered
 * while the disk was busy (group commit, as in most databases). Where an acknowledgement waits for
 * the disk nothing else is waited for; where none does, groups keep a pace, since each write costs
 * a CPU that is shared, and its caches, some ten microseconds. The agent never calls the kernel.
 *
 * Two threads do: the writer writes the buffers in order and syncs as log.sync says; the preparer
 * makes the next segments, all zeros and synced, so that the turn to one costs nothing. A failed
 * write or sync is the end of this log: nothing is written or called durable after it (inv. 31).
 *
 * Between agent and writer stands a circle of buffers with two counts: `handed` is the agent's,
 * `done` the writer's.
 */
#pragma once

#include "config/settings.h"
#include "dataplane/commit.h"
#include "dataplane/shm.h"
#include "recovery/disk.h"
#include "recovery/log_format.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#define DP_JOURNAL_GROUP_BYTES (256u << 10)
#define DP_JOURNAL_PACE_NS 4000000ull /* where no acknowledgement waits for the disk */
#define DP_JOURNAL_READY 2	      /* segments that are prepared ahead */

struct dp_journal_buffer {
	uint8_t *block; /* room for a segment's header, then for the group; block-aligned */
	uint32_t bytes; /* to write, from `from` on */
	uint32_t from;	/* 0: with the header of a new segment; LOG_BLOCK_BYTES: without */
	uint64_t segment, offset;
	uint64_t last_sequence; /* of the log up to and with this group */
	bool sync;		/* whatever log.sync says */
};

struct dp_journal {
	/* Set at open. */
	struct log_identity identity;
	uint64_t incarnation;
	const struct rep_arena *arena;
	const struct dp_commit *commit;
	struct disk *disk;
	struct dp_shm_log *shm;
	char folder[CFG_TEXT_BYTES + CFG_NAME_BYTES + 16]; /* of the segments */
	uint64_t segment_bytes;
	uint64_t sync_interval_ns;
	uint64_t reserve_bytes;
	enum cfg_sync sync;
	unsigned open_how;
	bool passed_when_durable;
	uint64_t pace_ns; /* least time between groups that are not full */
	uint32_t buffer_count;
	struct dp_journal_buffer *buffers;
	void *memory;
	pthread_t writer_thread, preparer_thread;
	bool threads_run;

	/* The agent's. */
	bool begun;
	bool open;   /* a group is in the making in buffers[handed] */
	bool turned; /* since the last group a new segment began: it needs its header */
	struct log_position position;
	struct log_group_builder builder;
	uint64_t marked; /* durable mark of the newest group */
	uint64_t idle_since;
	uint64_t handed_ns; /* when the newest group was handed on */
	uint64_t handed __attribute__((aligned(64)));

	/* The writer's. */
	uint64_t done __attribute__((aligned(64)));
	uint64_t written;
	uint64_t durable;
	uint64_t failed; /* errno */

	/* Odd: everybody rests (dp_journal_rest), and says so with that number. */
	uint64_t rest __attribute__((aligned(64)));
	uint64_t agent_rests, writer_rests, preparer_rests;

	/* The preparer's: highest segment that is ready; and what it shall work towards. */
	uint64_t prepared __attribute__((aligned(64)));
	uint64_t wanted; /* by the agent: this one and those before */
	uint64_t begin;	 /* by dp_journal_begin: the first one; 0: not yet */
	uint64_t stop;
};

/* Starts the threads; the log's folders are made. 0, or a negative errno with a sentence. The
 * journal waits until dp_journal_begin says where the log goes on. */
int dp_journal_open(
	struct dp_journal *journal,
	const struct cfg_settings *settings,
	struct disk *disk,
	uint64_t incarnation,
	const struct rep_arena *arena,
	const struct dp_commit *commit,
	struct dp_shm_log *shm,
	char *error,
	size_t error_bytes
);
/* Nothing is appended any more, and the log is to be changed by somebody else: true once all that
 * was appended is durable and neither agent nor threads touch a file. Called again until then; the
 * way back is dp_journal_begin. */
bool dp_journal_rest(struct dp_journal *journal);
/* The log goes on with position->next_sequence in a new segment; all before is durable. Called at
 * the start and after a rest, on any lcore. */
void dp_journal_begin(struct dp_journal *journal, const struct log_position *position);
unsigned dp_journal_poll(void *journal);
/* The agents have ended: writes what is left, then the mark of a clean stop. */
void dp_journal_close(struct dp_journal *journal);

/* Acquire: what was read of the arena was read before. */
static inline uint64_t dp_journal_durable(const struct dp_journal *journal)
{
	return __atomic_load_n(&journal->durable, __ATOMIC_ACQUIRE);
}
/* Slots up to here may be used again. */
static inline uint64_t dp_journal_passed(const struct dp_journal *journal)
{
	return journal->passed_when_durable ? dp_journal_durable(journal)
					    : __atomic_load_n(&journal->written, __ATOMIC_ACQUIRE);
}
/* errno of the write or sync that ended the log; 0: all is well. */
static inline int dp_journal_failed(const struct dp_journal *journal)
{
	return (int)__atomic_load_n(&journal->failed, __ATOMIC_RELAXED);
}

/* Does somebody wait for the disk? Then entries are written as they come, and synced. */
static inline bool dp_journal_hurries(const struct dp_journal *journal)
{
	return journal->pace_ns == 0 || dp_shm_load(&journal->commit->sync) != 0;
}

/* --- journal_threads.c --- */
int dp_journal_start_threads(struct dp_journal *journal);
void dp_journal_join_threads(struct dp_journal *journal);
void dp_journal_path(const struct dp_journal *journal, uint64_t segment, char *path, size_t bytes);
