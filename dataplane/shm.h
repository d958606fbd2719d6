/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The memory file that dataplane and control share: <runtime_dir>/<node>.shm. The dataplane creates
 * it at every start (under a temporary name, then renamed: a reader never sees half a file) and
 * holds a lock on it while it runs; control, the standfast command and tests map it. Nothing in it
 * is a pointer: places are byte offsets from its beginning. No DPDK library is needed to read it.
 *
 * Who writes what: each part names its one writer. Values are single 64-bit words that are stored
 * and loaded whole (dp_shm_load), so a reader never disturbs the data path and sees each value as
 * of some recent moment; values of one struct may be of slightly different moments.
 */
#pragma once

#include "config/histogram.h"
#include "config/settings.h"
#include "dataplane/box.h"
#include "dataplane/counters.h"
#include "recovery/log_format.h"
#include "recovery/snapshot.h"
#include "replication/core.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DP_SHM_MAGIC 0x5453464e41545331ull
#define DP_SHM_VERSION 4
#define DP_SHM_REFUSAL_BYTES 1024
#define DP_SHM_MAX_MARKS 8 /* digests remembered per worker */
#define DP_SHM_RING_SLOTS 1024
#define DP_SHM_MESSAGE_BYTES 64
#define DP_SHM_FILL_BYTES (8ull << 20)
#define DP_SHM_STAGE_ENTRIES 1024	 /* of the log, lent to a learner at once */
#define DP_SHM_PIECE_BYTES (64ull << 10) /* of a snapshot, lent at once, or asked for */
#define DP_SHM_WHY_BYTES 256
#define DP_SHM_KEEP_BYTES (1ull << 20) /* of a snapshot that comes in: power of two */

/* What a node's latency is made of, each a histogram in ns. The first three have the sequencer as
 * writer, the last the worker. */
enum dp_stage {
	DP_STAGE_SEQUENCED,    /* received by the port → sequenced */
	DP_STAGE_SENT,	       /* sequenced → handed to the replication port */
	DP_STAGE_ACKNOWLEDGED, /* sent → acknowledged by the standby */
	DP_STAGE_ANSWERED,     /* received → answer handed to the client port */
	DP_STAGES,
};
static inline const char *dp_stage_name(enum dp_stage stage)
{
	static const char *const names[DP_STAGES] = {
		"sequenced", "sent", "acknowledged", "answered"};
	return names[stage];
}
#define DP_SHM_HISTOGRAM_DIGITS 2
#define DP_SHM_HISTOGRAM_HIGHEST_NS 10000000000ull

/* Writer: the sequencer, once per round that changed something and at least each millisecond. */
struct dp_shm_status {
	uint64_t heartbeat_ns; /* CLOCK_MONOTONIC of the last writing: old means stuck or dead */
	uint64_t role;	       /* enum rep_role */
	uint64_t mode;	       /* enum rep_mode */
	uint64_t reason;       /* enum rep_reason */
	uint64_t epoch;
	uint64_t sequence;
	uint64_t committed;
	uint64_t applied; /* passed by all workers */
	uint64_t durable;
	uint64_t sessions;
	uint64_t peer_incarnation;
	uint64_t peer_heard_ns; /* CLOCK_MONOTONIC-like time of the last new frame; 0: never */
	uint64_t peer_reachable;
	uint64_t peer_acked; /* primary: by the standby */
	uint64_t peer_durable;
	uint64_t peer_committed;
	uint64_t last_change_unix_ns; /* of mode or reason */
	uint64_t rtt_ns;
	uint64_t told; /* roles are by the pair record, which is: */
	uint64_t pair_epoch, pair_primary, pair_in_sync, pair_holder;
	uint64_t record_epoch, record_mode, amnesiac;
	uint64_t peer_mode;
	uint64_t arbiter_back;
	uint64_t held; /* maintenance */
} __attribute__((aligned(64)));

/* A digest mark: the sum of one writer at one sequence. Written by dp_shm_marks_add only: the place
 * is emptied, then gets the sum, then the sequence; a reader loads the sequence, the sum, and the
 * sequence again, so it never takes the sum of one mark for that of another. */
struct dp_shm_mark {
	uint64_t sequence; /* 0: none */
	uint64_t sum;
};

struct dp_shm_marks {
	uint64_t next; /* count of marks written; the place is next % DP_SHM_MAX_MARKS */
	struct dp_shm_mark marks[DP_SHM_MAX_MARKS];
} __attribute__((aligned(64)));

/* One per worker; writer: that worker. */
struct dp_shm_worker {
	struct dp_worker_counters counters;
	struct dp_reply_counters replies;
	struct dp_shm_marks marks; /* assets + answers */
	uint64_t assets;
} __attribute__((aligned(64)));

/* The log as its journal sees it. Writer: the journal. */
struct dp_shm_log {
	uint64_t io;	 /* enum cfg_io that was chosen: CFG_IO_URING or CFG_IO_PWRITEV2 */
	uint64_t direct; /* O_DIRECT is in use */
	uint64_t sync;	 /* enum cfg_sync in force */
	uint64_t segment;
	uint64_t offset;
	uint64_t copied;  /* entries up to here have left the arena for the journal's buffers */
	uint64_t written; /* … were given to the kernel */
	uint64_t durable; /* … are on stable storage, as far as sync promises it */
	uint64_t failed;  /* errno of the write or sync that ended this log; 0: none */
	uint64_t full; /* no further segment can be prepared: log.reserve; what is ready is used */
	uint64_t entries;
	uint64_t groups;
	uint64_t bytes;
	uint64_t syncs;
	uint64_t rotations;
	uint64_t held_up;    /* polls that found entries and no free buffer */
	uint64_t unprepared; /* polls whose group had no place: the next segment is not ready */
	uint64_t prepared;   /* newest segment that is */
	/* CLOCK_MONOTONIC since when the disk has been at a write or sync of the log, or at a new
	 * segment; 0: at none. A disk that hangs shows here while it does. */
	uint64_t writing_since_ns, preparing_since_ns;
	uint64_t longest_sync_ns;
} __attribute__((aligned(64)));

/* Replay: control fills the node's memory through a ring of bytes in this file (fill_at,
 * fill_bytes, a power of two). Records are aligned to 8 and never wrap: a record of type
 * DP_FILL_SKIP fills the rest before the end. head and tail only grow. */
enum dp_fill_type {
	DP_FILL_SKIP = 1,
	DP_FILL_BEGIN,
	DP_FILL_SNAPSHOT,     /* struct snap_header: its blocks follow */
	DP_FILL_BLOCK,	      /* struct snap_block with its records, verified by control */
	DP_FILL_SNAPSHOT_END, /* all blocks were there */
	DP_FILL_GROUPS,	      /* whole groups as they stand in the log, verified by control */
	DP_FILL_END,	      /* struct dp_fill_end: the node may start */
};
struct dp_fill_record {
	uint32_t bytes; /* with this header, multiple of 8 */
	uint32_t type;
};
enum dp_fill_state {
	DP_FILL_NONE,	 /* log.enabled = off */
	DP_FILL_WANTED,	 /* the node waits for control */
	DP_FILL_RUNNING, /* BEGIN was taken */
	DP_FILL_DONE,	 /* the node runs */
	DP_FILL_REFUSED, /* control's plan refuses; fill.refusal and control's log say why */
};
/* The node goes on behind what was filled. */
struct dp_fill_end {
	struct rep_history history;
	struct log_position position; /* the journal's: the first block of a new segment */
	uint64_t durable;
	uint64_t refill;	  /* number of the refill that this is; 0: the node's start */
	uint64_t held;		  /* maintenance */
	struct rep_record record; /* at the start: made ready for this life, and durable */
};
struct dp_shm_fill {
	uint64_t head __attribute__((aligned(64))); /* writer: control */
	uint64_t refused;			    /* writer: control; 1: see DP_FILL_REFUSED */
	uint64_t tail __attribute__((aligned(64))); /* writer: sequencer */
	uint64_t state;				    /* enum dp_fill_state; writer: sequencer */
	uint64_t sequence; /* entries up to here are in the arena and with their workers */
	uint64_t snapshot; /* sequence of the snapshot that was filled; 0: none yet */
	uint64_t fault;	   /* 0, or the sequence of a record that does not fit: the replay ends */
	/* Writer: control, before it sets refused: file, offset, reason, remedy. */
	char refusal[DP_SHM_REFUSAL_BYTES] __attribute__((aligned(64)));
};

/* Control's copy of the state and its snapshots. Writer: control's checkpoint thread. */
struct dp_shm_checkpoint {
	uint64_t sequence;	    /* the copy has come so far */
	uint64_t snapshot_sequence; /* newest good snapshot; 0: none */
	uint64_t snapshot_unix_ns;
	uint64_t snapshot_bytes;
	uint64_t snapshot_took_ns;
	uint64_t snapshots;	   /* written in this life of control */
	uint64_t snapshots_failed; /* and not written */
	uint64_t segments_removed;
	uint64_t compared;    /* digests that were the same */
	uint64_t audit_fault; /* sequence at which they were not; 0: never */
	uint64_t damage; /* the log was not as it should be behind this sequence, + 1; 0: never */
} __attribute__((aligned(64)));

/* The role machine's servant is control: it writes the role record, asks the arbiter, reads and
 * cuts the log. What the core wants of it stands here until it is done: a control that was killed
 * in between finds it again. Each want has a number of its own, and is answered once under it.
 *
 * Writer: the sequencer. bell is a futex: raised and rung after every change. */
struct dp_want_record {
	struct rep_record record; /* its write number is the want's */
	uint64_t settle;	  /* in both copies before it counts */
	uint64_t lineage_count;
	struct rep_lineage lineage[REP_MAX_LINEAGE];
};
struct dp_want_refill {
	uint64_t number, keep;
	uint64_t snapshot; /* the one that was kept becomes the state */
};
struct dp_want_stage {
	uint64_t number, first;
};
struct dp_want_piece {
	uint64_t number;
	uint64_t sequence, offset; /* of the newest snapshot */
};
struct dp_shm_wants {
	uint32_t bell __attribute__((aligned(64)));
	uint32_t reserved;
	uint64_t kept;	       /* bytes of the keep ring that are written */
	uint64_t staged_taken; /* number of the newest lent entries that are in use */
	uint64_t piece_taken;
	DP_BOX(struct dp_want_record) record;
	DP_BOX(struct rep_ask) ask;
	DP_BOX(struct dp_want_refill) refill;
	DP_BOX(struct dp_want_stage) stage;
	DP_BOX(struct dp_want_piece) piece;
};

/* Writer: control. bell is raised after every change; the sequencer looks at the rest only then.
 * Lent entries and bytes lie in the half number % 2 of their area: the other half may be in use
 * until wants says that this one was taken. Entries have the arena's stride. */
struct dp_give_operation {
	uint64_t number;
	uint64_t operation; /* enum rep_operation */
};
struct dp_give_stage {
	uint64_t number;
	struct rep_range range; /* count 0: they cannot be had now */
};
struct dp_give_piece {
	uint64_t number;
	uint64_t newest; /* sequence of the newest snapshot; 0: none */
	uint64_t sequence, total;
	struct rep_range range;
};
struct dp_shm_gives {
	uint64_t bell __attribute__((aligned(64)));
	uint64_t persisted; /* newest write number that is durable */
	uint64_t log_first; /* oldest entry that can be lent; 0: not known */
	uint64_t taken;	    /* bytes of the keep ring that are on the disk */
	DP_BOX(struct rep_answer) answer;
	DP_BOX(struct dp_give_operation) operation;
	DP_BOX(struct dp_give_stage) stage;
	DP_BOX(struct dp_give_piece) piece;
};
/* For people: how the servant does. Writer: control. */
struct dp_shm_servant {
	uint64_t arbiter_kind;	   /* enum cfg_arbiter */
	uint64_t arbiter_answered; /* CLOCK_MONOTONIC of the last certain answer; 0: none */
	uint64_t arbiter_asked;	   /* the same, of the last question */
	uint64_t arbiter_unknown;  /* answers that were not certain, in a row */
	uint64_t record_writes;
	uint64_t record_error; /* errno that ended the role record; 0: all is well */
	uint64_t quarantine_bytes;
	DP_BOX(struct { char text[DP_SHM_WHY_BYTES]; }) arbiter_why;
};
/* In the keep ring, aligned to 8; a piece never wraps: one of 0 bytes fills the rest. */
struct dp_kept_piece {
	uint64_t bytes; /* of the snapshot; they follow */
	struct rep_piece piece;
};

/* Messages between control and dataplane: 64 bytes by value. Each carries who it is meant for, so
 * that what a restarted process left behind is recognised and dropped. */
enum dp_shm_message_type {
	DP_COMMAND_PING = 1,   /* answered by DP_EVENT_DONE */
	DP_COMMAND_DIGEST = 2, /* mark the current sequence; DP_EVENT_DONE: value = sequence */
	DP_EVENT_DONE = 64,
	DP_EVENT_MODE = 65, /* value = mode << 32 | reason, at = unix ns */
};
struct dp_shm_message {
	uint64_t incarnation; /* of the dataplane */
	uint64_t generation;  /* of control */
	uint64_t request;     /* id, chosen by control; 0 for events nobody asked for */
	uint32_t type;	      /* enum dp_shm_message_type */
	uint32_t reserved;
	uint64_t value;
	uint64_t at;
	uint64_t spare[2];
};
_Static_assert(sizeof(struct dp_shm_message) == DP_SHM_MESSAGE_BYTES, "ring element");

/* The rings are set up anew, under a new generation, whenever control attaches. Control asks by
 * raising wanted; the dataplane, which alone initialises them, answers by setting granted. */
struct dp_shm_attach {
	uint64_t wanted __attribute__((aligned(64)));  /* writer: control */
	uint64_t granted __attribute__((aligned(64))); /* writer: dataplane */
	/* Writer: control, about each 100 ms: CLOCK_MONOTONIC; old means that control is down. */
	uint64_t control_heartbeat_ns __attribute__((aligned(64)));
	uint64_t control_pid;
};

struct dp_shm {
	uint64_t magic;
	uint32_t version;
	uint32_t header_bytes; /* sizeof(struct dp_shm): a guard against other builds */
	uint64_t total_bytes;
	uint64_t incarnation;
	uint64_t former_epoch; /* highest that this node was in before this life; 0: none known */
	uint64_t pid;
	uint64_t started_unix_ns;
	uint64_t config_digest;
	uint64_t digest_interval;
	char node[CFG_NAME_BYTES];
	char peer[CFG_NAME_BYTES];
	char cluster[CFG_NAME_BYTES];
	char model[CFG_NAME_BYTES];
	uint8_t ack; /* enum cfg_ack */
	uint8_t node_id;
	uint8_t hugepages;
	uint8_t reserved[5];
	uint32_t ingresses;
	uint32_t workers;
	uint32_t lcores;
	uint32_t histogram_bytes; /* stride of one histogram */
	/* Byte offsets. */
	uint64_t command_ring_at; /* control → dataplane, a struct rte_ring with its elements */
	uint64_t event_ring_at;	  /* dataplane → control */
	uint64_t ring_bytes;
	uint64_t lcores_at;	/* struct dp_lcore_counters per data lcore */
	uint64_t ingresses_at;	/* struct dp_ingress_counters + struct dp_reply_counters each */
	uint64_t workers_at;	/* struct dp_shm_worker each */
	uint64_t histograms_at; /* sequencer's DP_STAGES, then one ANSWERED per worker */
	uint64_t fill_at;	/* the ring of bytes; fill_bytes is 0 without a log */
	uint64_t fill_bytes;
	uint64_t stage_at; /* two halves of DP_SHM_STAGE_ENTRIES at stage_stride_bytes */
	uint64_t stage_stride_bytes;
	uint64_t piece_at; /* two halves of DP_SHM_PIECE_BYTES */
	uint64_t keep_at;
	struct dp_shm_attach attach;
	struct dp_shm_status status;
	struct dp_sequencer_counters sequencer;
	struct dp_reply_counters sequencer_replies;
	struct dp_shm_marks session_marks; /* writer: the sequencer */
	struct dp_shm_log log;
	struct dp_shm_fill fill;
	struct dp_shm_wants wants;
	struct dp_shm_gives gives;
	struct dp_shm_servant servant;
	struct dp_shm_checkpoint checkpoint;
	uint64_t mbufs_in_use
		__attribute__((aligned(64))); /* writer: main thread, each status round */
	uint64_t mbufs_baseline;
	uint64_t port_missed[2]; /* client, replication */
	uint64_t link_up[2];
};

/* The places of lent entries and bytes: number says which half. */
static inline uint8_t *dp_shm_staged(const struct dp_shm *shm, uint64_t number)
{
	uint64_t half = DP_SHM_STAGE_ENTRIES * shm->stage_stride_bytes;
	return (uint8_t *)(uintptr_t)shm + shm->stage_at + (number & 1) * half;
}
static inline uint8_t *dp_shm_piece(const struct dp_shm *shm, uint64_t number)
{
	return (uint8_t *)(uintptr_t)shm + shm->piece_at + (number & 1) * DP_SHM_PIECE_BYTES;
}

struct dp_shm_ingress {
	struct dp_ingress_counters counters;
	struct dp_reply_counters replies;
};

static inline uint64_t dp_shm_load(const uint64_t *word)
{
	return __atomic_load_n(word, __ATOMIC_RELAXED);
}

static inline void dp_shm_store(uint64_t *word, uint64_t value)
{
	__atomic_store_n(word, value, __ATOMIC_RELAXED);
}

static inline struct dp_shm_worker *dp_shm_worker(const struct dp_shm *shm, uint32_t index)
{
	return (struct dp_shm_worker *)((uint8_t *)(uintptr_t)shm + shm->workers_at) + index;
}

static inline struct dp_shm_ingress *dp_shm_ingress(const struct dp_shm *shm, uint32_t index)
{
	return (struct dp_shm_ingress *)((uint8_t *)(uintptr_t)shm + shm->ingresses_at) + index;
}

static inline struct dp_lcore_counters *dp_shm_lcore(const struct dp_shm *shm, uint32_t index)
{
	return (struct dp_lcore_counters *)((uint8_t *)(uintptr_t)shm + shm->lcores_at) + index;
}

/* Index: a stage of the sequencer, or DP_STAGES + worker for a worker's ANSWERED. */
static inline struct sf_histogram *dp_shm_histogram(const struct dp_shm *shm, uint32_t index)
{
	return (struct sf_histogram
			*)((uint8_t *)(uintptr_t)shm + shm->histograms_at + (uint64_t)index * shm->histogram_bytes);
}

/* Adds a mark in place of the oldest. By the one writer of these marks. */
static inline void dp_shm_marks_add(struct dp_shm_marks *marks, uint64_t sequence, uint64_t sum)
{
	struct dp_shm_mark *mark = &marks->marks[marks->next % DP_SHM_MAX_MARKS];
	dp_shm_store(&mark->sequence, 0);
	/* Release: whoever sees this sum sees that the old sequence is gone. */
	__atomic_store_n(&mark->sum, sum, __ATOMIC_RELEASE);
	/* Release: whoever sees this sequence sees its sum. */
	__atomic_store_n(&mark->sequence, sequence, __ATOMIC_RELEASE);
	dp_shm_store(&marks->next, marks->next + 1);
}

/* The history that they belong to is not the node's any more. By their one writer. */
static inline void dp_shm_marks_clear(struct dp_shm_marks *marks)
{
	for (uint32_t i = 0; i < DP_SHM_MAX_MARKS; i++)
		dp_shm_store(&marks->marks[i].sequence, 0);
}

/* Creates <runtime_dir> and its parents; what exists is fine. 0 or a negative errno. */
int dp_shm_make_directory(const struct cfg_settings *settings);

/* One process of a kind per node: takes the lock <runtime_dir>/<node><suffix>, which ends with the
 * process, or when *fd is closed. -EEXIST with a sentence, which begins with holder, when another
 * has it. dp_shm_locked only asks. */
#define DP_SHM_LOCK ".lock"
int dp_shm_lock(
	const struct cfg_settings *settings,
	const char *suffix,
	const char *holder,
	int *fd,
	char *error,
	size_t error_bytes
);
bool dp_shm_locked(const struct cfg_settings *settings, const char *suffix);

/* Creates the file of a node that starts. Takes the node's lock (a second process of the same node
 * gets -EEXIST and a sentence). ring_bytes: what rte_ring_get_memsize_elem says. The incarnation is
 * higher than that of the file found there before, if any. 0 or a negative errno with error. */
int dp_shm_create(
	const struct cfg_settings *settings,
	uint64_t ring_bytes,
	struct dp_shm **shm,
	int *lock_fd,
	char *error,
	size_t error_bytes
);

/* Maps the file of a node for reading, or for reading and writing (control). -ENOENT when the node
 * was never started here; the result may be of a dead process: see dp_shm_alive. */
int dp_shm_attach_file(
	const struct cfg_settings *settings,
	bool writable,
	struct dp_shm **shm,
	char *error,
	size_t error_bytes
);
void dp_shm_detach(struct dp_shm *shm);
/* False when the process that wrote the file is gone (its lock is free). */
bool dp_shm_alive(const struct cfg_settings *settings);
/* True when the path now names another file than the mapped one: the node was started again. */
bool dp_shm_replaced(const struct cfg_settings *settings, const struct dp_shm *shm);

/* The newest sequence at which the sequencer and all workers have marks, and the digest there;
 * false when there is none. */
bool dp_shm_digest(const struct dp_shm *shm, uint64_t *sequence, uint64_t *digest);
/* The digest at one sequence; false when it is not (or no longer) there. */
bool dp_shm_digest_at(const struct dp_shm *shm, uint64_t sequence, uint64_t *digest);
