/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The simulator: two nodes with their disks and control processes, an arbiter, a network, clients
 * and checkers in one thread and virtual time, all of it drawn from one 64-bit seed. Replication
 * core with its role machine, session table, intake, frames and shards are the product's own object
 * code; everything in this folder is what surrounds them, and the checkers, which keep their own
 * ledgers and share no code with what they check.
 *
 * One struct sim is reused for all runs of a process. Nothing here reads a clock or depends on an
 * address, so a seed gives the same transcript every time.
 */
#pragma once

#include "client/messages.h"
#include "config/canary.h"
#include "dataplane/shard.h"
#include "replication/core.h"
#include "replication/expiry.h"
#include "replication/intake.h"
#include "replication/session.h"
#include "tests/history/history.h"
#include "tests/sim/random.h"

#include <setjmp.h>
#include <stdbool.h>
#include <stdint.h>

#define SIM_MAX_SLOTS 256
#define SIM_MAX_WORKERS 5
#define SIM_MAX_CLIENTS 6
#define SIM_MAX_ASSETS 12
#define SIM_MAX_SESSIONS 8
#define SIM_MAX_INFLIGHT 16
#define SIM_MAX_PAYLOAD 40
#define SIM_MAX_MTU 1500
#define SIM_MAX_ENTRY (REP_ENTRY_HEADER_BYTES + SIM_MAX_PAYLOAD)
#define SIM_MAX_HISTORY 4096
#define SIM_MAX_FACTS 8192
#define SIM_MAX_LIVES 12
#define SIM_MAX_EPOCHS 512
#define SIM_MAX_OPERATIONS 2048
#define SIM_STAGE 24	  /* entries that control fetches from the log at once */
#define SIM_FRAMES 2048	  /* in flight and in receive queues */
#define SIM_MESSAGES 2048 /* of clients, in flight and queued */
#define SIM_EVENTS 16384
#define SIM_BURST 32
#define SIM_RX_RING 128
#define SIM_SIDE_ITEMS 64 /* reads and repeats that a node holds */
#define SIM_WORKER_ITEMS 512
#define SIM_PAST_FRAMES 32
#define SIM_NOTES 200
#define SIM_ETHERNET_BYTES 14
#define SIM_ASSET_BASE 7000

/* Kinds of faults; which of them exist in a run is drawn (swarm testing, Groce et al. 2012). */
#define SIM_FAULT_LIST(X)                 \
	X(LOSS, "loss")                   \
	X(DUPLICATE, "duplicate")         \
	X(REORDER, "reorder")             \
	X(DELAY, "delay")                 \
	X(CORRUPT, "corrupt")             \
	X(CUT_BOTH, "cut-both")           \
	X(CUT_ONE, "cut-one")             \
	X(INJECT, "inject")               \
	X(PAUSE, "pause")                 \
	X(RESTART, "restart")             \
	X(RESTART_BOTH, "restart-both")   \
	X(LATE_START, "late-start")       \
	X(CLIENT_NET, "client-net")       \
	X(CLIENT_LIES, "client-lies")     \
	X(WORKER_LAG, "worker-lag")       \
	X(SMALL_QUEUE, "small-queue")     \
	X(SESSION_END, "session-end")     \
	X(ARBITER_SLOW, "arbiter-slow")   \
	X(ARBITER_LOSES, "arbiter-loses") \
	X(ARBITER_AWAY, "arbiter-away")   \
	X(ARBITER_BACK, "arbiter-back")   \
	X(DISK_SLOW, "disk-slow")         \
	X(DISK_FAILS, "disk-fails")       \
	X(DISK_FULL, "disk-full")         \
	X(DISK_LOST, "disk-lost")         \
	X(DISK_ROTS, "disk-rots")         \
	X(OPERATOR, "operator")

enum sim_fault {
#define X(id, name) SIM_FAULT_##id,
	SIM_FAULT_LIST(X)
#undef X
		SIM_FAULTS
};

/* What the command line may take away from a run, to shrink a failure. */
struct sim_options {
	uint32_t without;     /* bit per enum sim_fault */
	uint32_t max_percent; /* of the drawn length of the phase with faults; 100: all */
	uint32_t max_clients;
	bool trace;
};

/* Everything about a run that is drawn before it starts. */
struct sim_plan {
	uint32_t slots[2], workers[2], window;
	uint32_t max_sessions, max_inflight, max_payload, mtu;
	uint64_t interval_ns, retransmit_min_ns;
	uint32_t misses;
	uint64_t session_timeout_ns, session_min_idle_ns;
	uint32_t faults;
	uint32_t loss, duplicate, corrupt, long_delay; /* permille */
	uint64_t delay_ns, jitter_ns, long_delay_ns;
	uint64_t client_delay_ns;
	uint32_t client_loss, client_duplicate;
	uint32_t rx_ring;
	uint32_t early_restart, early_restart_node; /* after so many entries; 0: none */
	uint32_t crash_at, crash_role; /* kill the node that just entered this mode so often */
	uint64_t lag_ns;
	uint32_t clients, assets, client_window, operations;
	bool honest; /* clients send one content under one number: their history is checked */
	uint32_t retry_ns_factor;
	uint64_t think_ns;
	uint64_t faults_end_ns, liveness_ns;
	enum rep_policy policy;
	enum rep_ack ack;
	bool power; /* a node that is killed loses what was not durable */
	uint64_t sync_ns, record_ns, boot_ns, refill_ns, stage_ns;
	uint64_t takeover_delay_ns, hold_down_ns;
	uint32_t snapshot_every; /* entries; 0: no snapshots, the log stays whole */
	uint32_t fetch_bytes;
	uint64_t ask_timeout_ns, arbiter_delay_ns, arbiter_long_ns, fresh_ns;
	uint32_t arbiter_loss; /* permille, each way */
};

/* --- Events and what they carry --- */

enum sim_event_kind {
	SIM_EVENT_FRAME,   /* arrives at node; argument: frame */
	SIM_EVENT_REQUEST, /* arrives at node; argument: message */
	SIM_EVENT_ANSWER,  /* arrives at a client; argument: message */
	SIM_EVENT_POLL,
	SIM_EVENT_CLIENT, /* a client's turn */
	SIM_EVENT_START,  /* of a node: its control boots it */
	SIM_EVENT_BOOTED, /* argument: life */
	SIM_EVENT_RECORD, /* the role record is on the disk; argument: life */
	SIM_EVENT_REFILL, /* argument: life */
	SIM_EVENT_STAGE,  /* argument: life */
	SIM_EVENT_PIECE,  /* argument: life */
	SIM_EVENT_ASKED,  /* at the arbiter; argument: question */
	SIM_EVENT_TOLD,	  /* its answer at the node; argument: question */
	SIM_EVENT_ARBITER_BACK,
	SIM_EVENT_FAULT,
	SIM_EVENT_HEAL, /* argument: directions, a bit each */
};

struct sim_event {
	uint64_t time_ns;
	uint32_t order; /* equal times: first come, first served */
	uint16_t kind;
	uint16_t node; /* or client */
	uint32_t argument;
};

struct sim_frame {
	uint32_t next; /* in the free list */
	uint32_t bytes;
	bool damaged; /* on purpose: must not be accepted */
	bool injected;
	_Alignas(64) uint8_t room[SIM_ETHERNET_BYTES + SIM_MAX_MTU];
};

enum sim_message_kind { SIM_OPEN, SIM_CLOSE, SIM_UPDATE, SIM_READ };

/* A request, or its answer. */
struct sim_message {
	uint32_t next; /* in the free list */
	uint8_t kind;
	uint8_t client;
	uint8_t opcode;
	uint8_t status; /* of an answer */
	uint32_t epoch; /* of who answers */
	uint8_t node;	/* the same */
	bool repeat;
	uint16_t payload_bytes;
	/* As in the client protocol's block. */
	uint64_t client_id; /* OPEN: the nonce stands in request_seq */
	uint64_t request_seq;
	uint64_t first_incomplete_seq;
	uint64_t asset_id;
	uint64_t sequence;
	uint64_t asset_version;
	uint64_t floor_version; /* read: what was acknowledged of the asset when it was sent */
	uint8_t payload[SIM_MAX_PAYLOAD];
};

/* --- Nodes --- */

/* An item of a worker's queue: an entry, or a read or repeat in its place between entries. */
struct sim_item {
	uint8_t kind; /* enum sim_message_kind */
	bool repeat;
	uint8_t client; /* whom to answer; UINT8_MAX: nobody */
	uint8_t status;
	uint16_t payload_bytes;
	uint32_t session;
	uint64_t sequence; /* of the entry; read: everything up to here must be committed */
	uint64_t client_id, request_seq, asset_id;
	uint64_t frame;	     /* read: rep_core_read_frame */
	uint64_t sent_frame; /* read: the same by our own count */
	uint64_t floor_version, asset_version;
	uint8_t payload[SIM_MAX_PAYLOAD];
};

struct sim_worker {
	struct dp_shard shard;
	uint64_t busy_until_ns;
	uint32_t head, tail; /* of the queue */
	uint32_t held_count;
	struct sim_item queue[SIM_WORKER_ITEMS];
	struct sim_item held[SIM_WORKER_ITEMS]; /* executed, not answered yet */
};

/* A node's log, as indexes of facts, and its role record. */
struct sim_disk {
	uint64_t written, durable;
	uint64_t busy_until_ns; /* 0: nothing is on its way */
	uint64_t full_until_ns;
	uint64_t log_first; /* what is older is in the snapshot only; 0: nothing is */
	uint64_t snapshot;  /* its sequence; 0: there is none */
	uint32_t log[SIM_MAX_HISTORY + 1];
	struct rep_record older; /* what the other copy says, until then: */
	uint64_t settled_ns;
	struct rep_record record;  /* durable; mode BLANK: none */
	struct rep_record writing; /* on its way; write_number 0: nothing is */
	struct rep_record wanted;  /* after that; the same */
};

enum sim_state { SIM_DOWN, SIM_BOOTING, SIM_RUNNING };

/* What the checkers know about one life of a node. */
struct sim_life {
	uint64_t length;	/* most entries that it ever held */
	uint64_t durable;	/* most that its log held durably */
	uint32_t standby_epoch; /* newest in which it was STANDBY */
};

struct sim_node {
	uint32_t id;
	enum sim_state state;
	uint32_t life; /* from 0 */
	uint64_t incarnations[SIM_MAX_LIVES];
	struct sim_life lives[SIM_MAX_LIVES];
	struct rep_core core;
	struct rep_session_table sessions;
	struct rep_intake intake;
	struct rep_expiry expiry;
	struct sim_worker workers[SIM_MAX_WORKERS];
	uint32_t worker_count;
	uint32_t side_items;
	struct sim_random random;
	uint64_t next_poll_ns, paused_until_ns;
	uint64_t confirmed_frame;

	uint32_t rx[SIM_RX_RING], rx_head, rx_tail;
	uint32_t requests[SIM_RX_RING], request_head, request_tail;

	/* Of its control process. */
	uint64_t persisted;
	bool answered;
	struct rep_answer answer;
	uint64_t refill_number, refill_keep;
	struct rep_range staged;
	uint64_t stage_wanted;
	uint64_t piece_sequence, piece_offset, piece_count; /* of a snapshot, ready to be sent */
	bool piece_wanted;
	uint64_t kept; /* bytes of a snapshot that is being received */
	bool refill_snapshot;
	enum rep_operation operation; /* of the operator, with the next poll */
	bool stop_due;		      /* is to be stopped in good order */

	/* Ledger of the checkers. */
	uint64_t history_count; /* entries held in this life's memory */
	uint32_t log[SIM_MAX_HISTORY + 1];
	uint64_t committed_before;
	uint64_t frames_sent;
	uint64_t frame_heard; /* highest number of a frame that this node decoded, in any life */
	uint32_t epoch_told;  /* the same, with what waits for its core */
	uint32_t epoch_seen;  /* highest that a frame told this life of */
	enum rep_mode mode_before;
	uint64_t standby_heard; /* the same, when it was STANDBY for the last time */

	struct sim_disk disk;
	/* A snapshot here is all entries up to its sequence, one behind the other. */
	_Alignas(8) uint8_t snapshot_in[SIM_MAX_HISTORY * SIM_MAX_ENTRY];
	uint64_t last_used_ns[SIM_MAX_SESSIONS];
	uint64_t core_memory[SIM_MAX_SLOTS / 64 + 1];
	_Alignas(64) uint8_t session_memory[16384];
	_Alignas(64) uint8_t arena_memory[SIM_MAX_SLOTS * 128];
	_Alignas(64) uint8_t shard_memory[SIM_MAX_WORKERS][256 * 1024];
};

/* --- Arbiter --- */

#define SIM_QUESTIONS 64
struct sim_question {
	bool used;
	uint32_t node, life;
	struct rep_ask ask;
	struct rep_answer answer;
};
struct sim_arbiter {
	struct rep_pair pair;
	struct rep_pair old[16]; /* what it once was, a ring */
	uint32_t old_count;
	bool restored; /* to one of these: it has forgotten */
	bool away;
	bool mute;   /* decides, and its answers are lost */
	uint8_t cut; /* bit per node: the way between them is cut */
	struct sim_question questions[SIM_QUESTIONS];
};

/* --- Clients --- */

struct sim_request {
	bool open; /* not finished */
	bool read;
	uint64_t request_seq;
	uint64_t asset_id;
	uint64_t retry_ns;
	uint64_t born_ns;
	uint32_t operation; /* of the history */
	uint8_t opcode;
	uint16_t payload_bytes;
	uint8_t payload[SIM_MAX_PAYLOAD];
};

struct sim_client {
	uint64_t nonce;
	uint64_t client_id; /* 0: no session yet */
	uint64_t next_seq;
	uint64_t open_retry_ns;
	struct sim_request requests[SIM_MAX_INFLIGHT * 2]; /* by request_seq */
	uint64_t finished;
	uint32_t epoch;	 /* highest of the answers that it heard */
	uint32_t target; /* the node that it takes for the primary */
	bool final_done; /* a request born after the faults has finished */
	struct sim_random random;
};

/* --- Checkers --- */

/* What the checkers know about one entry: (epoch, sequence) names it, and what came before it. */
struct sim_fact {
	uint32_t epoch;
	uint32_t before; /* the entry before it: an index; 0: it is the first */
	uint64_t sequence;
	uint64_t hash; /* of all its bytes */
	uint64_t client_id, request_seq, first_incomplete_seq, asset_id;
	uint64_t timestamp_ns;
	uint8_t kind, opcode;
	/* By the checkers' own register model. */
	uint8_t status;
	uint16_t payload_bytes;
	uint8_t payload[16];
	uint64_t version;
	int64_t value;	 /* of the asset after it */
	uint64_t digest; /* of the reference: the same history with one worker */
	bool known;	 /* the results are filled in */
	bool answered;	 /* without the repeat flag */
	_Alignas(8) uint8_t bytes[SIM_MAX_ENTRY];
};

struct sim_asset {
	int64_t value;
	uint64_t version, last_sequence;
};

#define SIM_SET_SLOTS 16384

/* The state after a node's entries, by the checkers' own means: a register model, the sessions, and
 * a reference that replays with a single worker. */
struct sim_view {
	uint64_t count; /* entries */
	uint32_t epoch; /* of its newest entry */
	uint64_t open_sessions;
	struct sim_asset assets[SIM_MAX_ASSETS];
	uint32_t log[SIM_MAX_HISTORY + 1];
	bool session_open[SIM_MAX_HISTORY + 1];	     /* by the sequence of its OPEN */
	uint64_t session_first[SIM_MAX_HISTORY + 1]; /* highest firstIncompleteSeq in its entries */
	uint16_t set[SIM_SET_SLOTS]; /* of (client, requestSeq): the sequence that applied it */
	struct rep_session_table sessions;
	struct dp_shard shard;
	_Alignas(64) uint8_t session_memory[16384];
	_Alignas(64) uint8_t shard_memory[256 * 1024];
};

struct sim_ledger {
	uint32_t fact_count;
	struct sim_fact facts[SIM_MAX_FACTS]; /* from 1 */
	uint16_t places[SIM_SET_SLOTS];	      /* by (epoch, sequence): index of the fact */
	struct sim_view views[2];
	/* The one history of what was committed by anybody (the model's g). */
	uint64_t committed;
	uint32_t history[SIM_MAX_HISTORY + 1];
	uint64_t acked_version[SIM_MAX_ASSETS];
	struct {
		uint32_t epoch, node, life;
		bool used;
	} authors[SIM_MAX_EPOCHS];
};

/* --- What a run exercised: a checker that never meets its case proves nothing --- */

#define SIM_COUNT_LIST(X)                       \
	X(UPDATES, "updates answered")          \
	X(REPEATS, "repeats answered")          \
	X(READS, "reads answered")              \
	X(FORGOTTEN, "forgotten")               \
	X(OVERLOADED, "overloaded")             \
	X(BUSY, "busy")                         \
	X(NOT_PRIMARY, "not primary")           \
	X(GONE, "answers gone")                 \
	X(CLOSED, "sessions closed")            \
	X(RESENT, "entries resent")             \
	X(OUT_OF_ORDER, "out of order")         \
	X(BLOCKED, "times blocked")             \
	X(DAMAGED, "damaged frames")            \
	X(INJECTED, "injected frames")          \
	X(REUSED, "slots reused")               \
	X(HISTORIES, "histories checked")       \
	X(SEARCHED, "histories searched")       \
	X(DIGESTS, "digests compared")          \
	X(CRASHES, "crashes")                   \
	X(TAKEOVERS, "takeovers")               \
	X(ALONE, "times alone")                 \
	X(RESTARTS, "restarts alone")           \
	X(MERGES, "merges")                     \
	X(MERGED, "entries merged")             \
	X(ADMISSIONS, "admissions")             \
	X(HANDOVERS, "hand-overs")              \
	X(RESUMED, "resumed while moving")      \
	X(REFILLS, "refills")                   \
	X(CUT, "entries cut")                   \
	X(SNAPSHOTS, "snapshots taken over")    \
	X(STAGED, "entries from the log")       \
	X(UNKNOWN, "unknown outcomes")          \
	X(EXCUSED, "excused losses")            \
	X(ARBITER_RESTORED, "arbiter restored") \
	X(FORCED, "forced by the operator")     \
	X(LOST, "entries lost by force")        \
	X(RECOVERED, "runs recovered")

enum sim_count {
#define X(id, name) SIM_COUNT_##id,
	SIM_COUNT_LIST(X)
#undef X
		SIM_COUNTS
};

/* Bugs in what surrounds the core, for checkers that no canary of config/canary.h reaches. They
 * exist in the twin binary only. */
#define SIM_CANARY_LIST(X)                               \
	X(ANSWERS_EARLY, "worker-answers-early")         \
	X(READS_UNCOMMITTED, "worker-reads-uncommitted") \
	X(SKIPS_ENTRY, "worker-skips-entry")             \
	X(DURABLE_EARLY, "durable-before-sync")          \
	X(RECORD_EARLY, "record-before-sync")            \
	X(PASSES_UNLOGGED, "slot-reused-before-logged")  \
	X(DAMAGE_IS_TAIL, "damage-taken-for-tail")       \
	X(APPLIES_TWICE, "worker-applies-twice")         \
	X(PASSES_EARLY, "worker-passes-early")           \
	X(REPEAT_AS_FIRST, "repeat-as-first")            \
	X(ANSWERS_BLOCKED, "worker-answers-blocked")     \
	X(FORGETS_WRONGLY, "forgets-wrongly")            \
	X(DAMAGE_UNSEEN, "damage-unseen")                \
	X(DEPENDS_ON_ADDRESS, "depends-on-address")

enum sim_canary {
	SIM_CANARY_NONE,
#define X(id, name) SIM_CANARY_##id,
	SIM_CANARY_LIST(X)
#undef X
		SIM_CANARY_COUNT
};

#ifdef SF_CANARIES
extern enum sim_canary sim_canary;
#define SIM_CANARY(id) (sim_canary == SIM_CANARY_##id)
#else
#define SIM_CANARY(id) 0
#endif

/* --- Transcript --- */

#define SIM_NOTE_LIST(X)                                               \
	X(SEND, "send", "type", "frame", "position/first")             \
	X(TAKE, "take", "type", "frame", "position/first")             \
	X(REFUSE, "refuse frame", "fault", "bytes", "injected")        \
	X(DROP, "network drops", "bytes", "why", "")                   \
	X(DAMAGE, "network damages", "bytes", "", "")                  \
	X(INJECT, "injected", "kind", "type", "frame")                 \
	X(CUT, "cut", "directions", "for_ns", "")                      \
	X(HEAL, "heal", "directions", "", "")                          \
	X(PAUSE, "pause", "for_ns", "", "")                            \
	X(START, "start", "life", "incarnation", "")                   \
	X(STOP, "stop", "goodbye", "", "")                             \
	X(MODE, "mode", "", "reason", "last")                          \
	X(APPEND, "append", "sequence", "client", "request")           \
	X(COMMIT, "commit", "sequence", "", "")                        \
	X(REQUEST, "request", "client", "request", "kind")             \
	X(TAKEN, "taken", "client", "request", "verdict")              \
	X(ANSWER, "answer", "client", "request", "status|repeat<<8")   \
	X(RECEIVE, "client hears", "client", "request", "status")      \
	X(CLOSE, "close idle", "client", "", "")                       \
	X(RECORD, "role record", "mode", "epoch", "amnesiac")          \
	X(ASK, "asks", "id", "to", "")                                 \
	X(DECIDE, "arbiter", "outcome", "epoch", "primary|in_sync<<8") \
	X(ARBITER, "arbiter is", "away", "", "")                       \
	X(REFILL, "refill", "keep", "had", "done")                     \
	X(SERVE, "serves", "epoch", "last", "move")                    \
	X(DISK, "disk", "what", "until", "")                           \
	X(OPERATE, "operator", "what", "", "")                         \
	X(CALM, "faults end", "", "", "")                              \
	X(END, "end", "history", "digest", "")

enum sim_note_kind {
#define X(id, name, a, b, c) SIM_NOTE_##id,
	SIM_NOTE_LIST(X)
#undef X
		SIM_NOTES_KINDS
};

struct sim_note {
	uint64_t time_ns, a, b, c;
	uint16_t kind, node;
};

struct sim_past {
	uint32_t bytes;
	uint8_t data[SIM_MAX_MTU];
};

struct sim_link {
	struct sim_random random;
	bool cut;
	uint64_t last_arrival_ns;
	uint32_t past_count;
	struct sim_past past[SIM_PAST_FRAMES]; /* genuine frames, for replay and forgery */
};

struct sim {
	uint64_t seed;
	struct sim_options options;
	struct sim_plan plan;
	const struct sim_plan *given; /* by a script, which makes the faults too; NULL: drawn */
	uint64_t now_ns;
	bool calm;   /* the faults are over */
	bool paired; /* since then, for the first time */
	struct sim_arbiter arbiter;
	uint32_t crash_entries; /* into plan.crash_role so far */
	struct sim_node nodes[2];
	struct sim_link links[2]; /* by sender */
	struct sim_client clients[SIM_MAX_CLIENTS];
	struct sim_ledger ledger;
	struct sim_random fault_random, client_net_random;
	uint32_t operations_left;
	bool over;   /* both copies of something acknowledged are gone: the run ends, and is counted
		      */
	bool forced; /* by the operator, where nothing else helps: what is lost is counted */
	uint64_t forced_ns;
	bool wiped;   /* a disk was lost */
	bool rotted;  /* a role record was */
	bool consent; /* two may serve from now on (R17) */

	struct hist_history history; /* what honest clients saw */
	struct hist_operation operations[SIM_MAX_OPERATIONS];
	struct hist_answer answers[2 * SIM_MAX_OPERATIONS];
	struct hist_final finals[2 * SIM_MAX_ASSETS];

	uint32_t event_count, event_order;
	struct sim_event events[SIM_EVENTS];
	uint32_t frame_free, message_free;
	struct sim_frame frames[SIM_FRAMES];
	struct sim_message messages[SIM_MESSAGES];

	uint64_t transcript_hash;
	uint64_t note_count;
	struct sim_note notes[SIM_NOTES];
	uint64_t steps;
	uint64_t address; /* of a canary: what changes from run to run */
	uint64_t counts[SIM_COUNTS];
	uint64_t slowest_percent, slowest_seed; /* to be level again, of the bound, over all runs */

	jmp_buf failed;
	char failure[512];
};

/* --- disk.c --- */
/* What was under way may be done; what was appended since begins. */
void sim_disk_step(struct sim *sim, struct sim_node *node);
uint64_t sim_disk_passed(const struct sim_node *node);
void sim_disk_kill(struct sim *sim, struct sim_node *node);
/* Fills the node's empty memory from the first `count` entries of its disk. */
void sim_disk_replay(
	struct sim *sim, struct sim_node *node, uint64_t count, struct rep_history *history
);
/* Begins to write a role record. */
void sim_disk_record(struct sim *sim, struct sim_node *node, const struct rep_record *record);
void sim_disk_record_done(struct sim *sim, struct sim_node *node);

/* --- control.c: what a node's control process does --- */
void sim_control_boot(struct sim *sim, uint32_t node);
void sim_control_booted(struct sim *sim, uint32_t node);
void sim_control_carry_out(struct sim *sim, struct sim_node *node, const struct rep_update *update);
void sim_control_refilled(struct sim *sim, struct sim_node *node);
void sim_control_staged(struct sim *sim, struct sim_node *node);
void sim_control_piece(struct sim *sim, struct sim_node *node);
/* Keeps a piece of a snapshot that has come. */
void sim_control_keep(struct sim *sim, struct sim_node *node, const struct rep_frame *frame);
/* Bytes of the snapshot of so many entries; copies [offset, offset + count) of them. */
uint64_t sim_snapshot_bytes(struct sim *sim, const struct sim_node *node, uint64_t sequence);
void sim_snapshot_copy(
	struct sim *sim, const struct sim_node *node, uint64_t offset, uint64_t count, uint8_t *to
);

/* --- arbiter.c --- */
void sim_arbiter_ask(struct sim *sim, const struct sim_node *node, const struct rep_ask *ask);
/* W07, W08: what it says now is what it once said. */
void sim_arbiter_restore(struct sim *sim);
void sim_arbiter_asked(struct sim *sim, uint32_t question);
void sim_arbiter_told(struct sim *sim, uint32_t question);

/* --- sim.c, run.c --- */
_Noreturn void sim_fail(struct sim *sim, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
#define SIM_REQUIRE(sim, condition, ...)               \
	do {                                           \
		if (__builtin_expect(!(condition), 0)) \
			sim_fail(sim, __VA_ARGS__);    \
	} while (0)
void sim_note(
	struct sim *sim, enum sim_note_kind kind, uint32_t node, uint64_t a, uint64_t b, uint64_t c
);
void sim_print_note(const struct sim_note *note);
static inline void sim_count(struct sim *sim, enum sim_count count)
{
	sim->counts[count]++;
}
const char *sim_count_name(enum sim_count count);
const char *sim_fault_name(enum sim_fault fault);
static inline bool sim_has(const struct sim *sim, enum sim_fault fault)
{
	return !sim->calm && (sim->plan.faults >> fault & 1);
}
/* Draws the plan of a seed. */
void sim_draw_plan(struct sim *sim);
/* One whole run; false, and sim->failure says why. */
bool sim_run(struct sim *sim, uint64_t seed, const struct sim_options *options);
/* A run of this plan, in which the script makes time pass and the faults; the same. */
bool sim_play(
	struct sim *sim,
	uint64_t seed,
	const struct sim_plan *plan,
	void (*script)(struct sim *sim, void *context),
	void *context
);
/* The next event, unless it comes after this time: then time is there, and it returns false. */
bool sim_step(struct sim *sim, uint64_t until_ns);
void sim_kill(struct sim *sim, uint32_t node);
/* The faults are over. */
void sim_calm_down(struct sim *sim);
/* Both run, one serves with the other, and they hold the same. */
bool sim_level(const struct sim *sim);

/* --- faults.c --- */
void sim_faults_schedule(struct sim *sim);
/* One of those that exist in this run, or none; and schedules the next. */
void sim_faults_make(struct sim *sim);
/* Kills at the worst moments, after each step of a node. before: its mode before the step. */
void sim_faults_kill_early(struct sim *sim);
void sim_faults_kill_in_mode(struct sim *sim, uint32_t id, enum rep_mode before);

/* --- canaries.c --- */
void sim_list_canaries(void);
/* Switches the bug on, by going on as the twin binary where need be. 0, or an exit code. */
int sim_choose_canary(const char *name, char **argv);

/* --- network.c --- */
void sim_network_reset(struct sim *sim);
void sim_schedule(
	struct sim *sim,
	uint64_t time_ns,
	enum sim_event_kind kind,
	uint32_t node,
	uint32_t argument
);
bool sim_next_event(struct sim *sim, struct sim_event *event);
uint32_t sim_message_new(struct sim *sim);
void sim_message_release(struct sim *sim, uint32_t index);
void sim_frame_release(struct sim *sim, uint32_t index);
/* A node puts a frame on the wire. */
void sim_network_send(struct sim *sim, uint32_t from, const uint8_t *data, uint32_t bytes);
/* Something that an adversarial past could have left on the wire towards a node. */
void sim_network_inject(struct sim *sim, uint32_t to);
/* Messages of clients: towards a node (request) or back (answer); takes the message over. */
void sim_client_send(struct sim *sim, uint32_t node, uint32_t message);
void sim_client_answer(struct sim *sim, uint32_t message);

/* --- node.c, worker.c --- */
/* Empty memory, for replay. */
void sim_node_clear(struct sim *sim, struct sim_node *node);
void sim_node_start(struct sim *sim, struct sim_node *node);
void sim_node_kill(struct sim *sim, uint32_t node, bool goodbye);
void sim_node_wake(struct sim *sim, uint32_t node, uint64_t time_ns);
void sim_node_poll(struct sim *sim, uint32_t node);
/* Worker side of a node: hand an item on, work, answer what may be answered. */
void sim_worker_push(struct sim *sim, struct sim_node *node, const struct sim_item *item);
void sim_workers_run(struct sim *sim, struct sim_node *node);
void sim_workers_answer(struct sim *sim, struct sim_node *node);
/* R10: what nobody here may answer any more. */
void sim_workers_drop(struct sim_node *node);
/* Everything up to here is applied, and answered where somebody waits for it. */
uint64_t sim_workers_passed(const struct sim_node *node);
/* Answers a request at once, without an entry. */
void sim_node_refuse(
	struct sim *sim,
	struct sim_node *node,
	const struct sim_message *request,
	enum cli_status status
);
static inline bool sim_running(const struct sim_node *node)
{
	return node->state == SIM_RUNNING;
}

/* --- clients.c --- */
void sim_clients_start(struct sim *sim);
void sim_client_turn(struct sim *sim, uint32_t client);
void sim_client_hear(struct sim *sim, const struct sim_message *answer);
bool sim_clients_done(const struct sim *sim);

/* --- ledger.c: what the checkers know --- */
void sim_ledger_start(struct sim *sim);
static inline struct sim_fact *sim_fact_of(struct sim *sim, uint32_t index)
{
	return &sim->ledger.facts[index];
}
/* The sequence of the OPEN that a clientId names, in this view; 0: there is none. */
uint64_t sim_session_of(struct sim *sim, const struct sim_view *view, uint64_t client_id);
/* A view of nothing. */
void sim_view_clear(struct sim *sim, struct sim_view *view);
/* The entry that a node has given its next sequence: it is new to the world. */
uint32_t sim_fact_new(struct sim *sim, uint32_t node, const struct rep_entry *entry);
/* The entry that was made in this epoch under this sequence; 0: none. */
uint32_t sim_fact_find(struct sim *sim, uint32_t epoch, uint64_t sequence);
/* The view goes on with this entry. */
void sim_view_extend(struct sim *sim, uint32_t node, uint32_t index);
uint64_t sim_hash_bytes(const void *data, uint32_t bytes);

/* --- client_history.c: the clients' own history, and its checkers (tests/history) --- */
void sim_history_start(struct sim *sim);
void sim_history_invoke(struct sim *sim, uint64_t client_id, struct sim_request *request);
void sim_history_answer(
	struct sim *sim, const struct sim_request *request, const struct sim_message *answer
);
void sim_history_check(struct sim *sim, const struct sim_node *primary);

/* --- checker.c, answers.c --- */
void sim_check_append(struct sim *sim, struct sim_node *node, const struct rep_entry *entry);
/* The primary has just given an entry its sequence. */
void sim_check_taken(struct sim *sim, struct sim_node *node);
/* A slot is taken for this sequence. */
void sim_check_slot(struct sim *sim, const struct sim_node *node, uint64_t sequence);
/* This is what the node holds under this sequence. */
void sim_check_wire(
	struct sim *sim,
	const struct sim_node *node,
	const struct rep_entry *entry,
	uint64_t sequence
);
void sim_check_step(struct sim *sim, struct sim_node *node);
/* A node is gone: is there still a copy of everything that was committed? */
void sim_check_crash(struct sim *sim);
void sim_check_cut(struct sim *sim, const struct sim_node *node, uint64_t keep);
void sim_check_answer(struct sim *sim, struct sim_node *node, const struct sim_message *answer);
void sim_check_read(struct sim *sim, struct sim_node *node, const struct sim_item *item);
/* An answer that is no longer kept: only a client that said it needs it no more may see that. */
void sim_check_unanswered(
	struct sim *sim, const struct sim_node *node, const struct sim_item *item
);
void sim_check_digest(struct sim *sim, const struct sim_node *node);
void sim_check_end(struct sim *sim);
