/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The simulator: two nodes, a network, clients and checkers in one thread and virtual time, all of
 * it drawn from one 64-bit seed. Replication core, session table, intake, frames and shards are the
 * product's own object code; everything in this folder is what surrounds them, and the checkers,
 * which keep their own ledgers and share no code with what they check.
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
#define SIM_MAX_LIVES 6
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
#define SIM_EPOCH 2 /* of the first life of node 0, its author; later lives have higher ones */

/* Kinds of faults; which of them exist in a run is drawn (swarm testing, Groce et al. 2012). */
#define SIM_FAULT_LIST(X)             \
	X(LOSS, "loss")               \
	X(DUPLICATE, "duplicate")     \
	X(REORDER, "reorder")         \
	X(DELAY, "delay")             \
	X(CORRUPT, "corrupt")         \
	X(CUT_BOTH, "cut-both")       \
	X(CUT_ONE, "cut-one")         \
	X(INJECT, "inject")           \
	X(PAUSE, "pause")             \
	X(RESTART, "restart")         \
	X(LATE_START, "late-start")   \
	X(CLIENT_NET, "client-net")   \
	X(CLIENT_LIES, "client-lies") \
	X(WORKER_LAG, "worker-lag")   \
	X(SMALL_QUEUE, "small-queue") \
	X(SESSION_END, "session-end")

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
	uint64_t lag_ns;
	uint32_t clients, assets, client_window, operations;
	uint32_t retry_ns_factor;
	uint64_t think_ns;
	uint64_t faults_end_ns, liveness_ns;
	bool log;	   /* the nodes have one, and come back from it */
	bool durable_acks; /* with a log only */
	bool power;	   /* a node that is killed loses what was not durable */
	uint64_t sync_ns;
};

/* --- Events and what they carry --- */

enum sim_event_kind {
	SIM_EVENT_FRAME,   /* arrives at node; argument: frame */
	SIM_EVENT_REQUEST, /* arrives at node; argument: message */
	SIM_EVENT_ANSWER,  /* arrives at a client; argument: message */
	SIM_EVENT_POLL,
	SIM_EVENT_CLIENT, /* a client's turn */
	SIM_EVENT_START,  /* of a node */
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

/* disk.c */
struct sim_disk {
	uint64_t written, durable;
	uint64_t busy_until_ns; /* 0: nothing is on its way */
	_Alignas(8) uint8_t entries[SIM_MAX_HISTORY + 1][SIM_MAX_ENTRY];
};

struct sim_node {
	uint32_t id;
	bool running;
	uint32_t life; /* from 0 */
	uint64_t incarnations[SIM_MAX_LIVES];
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

	/* Ledger of the checkers, by life. */
	uint64_t history_count; /* appended in this life */
	uint64_t lengths[SIM_MAX_LIVES];
	uint64_t committed_before;
	uint64_t frames_sent;
	uint64_t frame_heard; /* highest number of a frame that this node decoded, in any life */
	bool answered_poll;

	struct sim_disk disk;
	uint64_t last_used_ns[SIM_MAX_SESSIONS];
	uint64_t core_memory[SIM_MAX_SLOTS / 64 + 1];
	_Alignas(64) uint8_t session_memory[16384];
	_Alignas(64) uint8_t arena_memory[SIM_MAX_SLOTS * 128];
	_Alignas(64) uint8_t shard_memory[SIM_MAX_WORKERS][256 * 1024];
};

/* --- Clients --- */

struct sim_request {
	bool open; /* not finished */
	bool read;
	uint64_t request_seq;
	uint64_t asset_id;
	uint64_t retry_ns;
	uint64_t born_ns;
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
	bool final_done; /* a request born after the faults has finished */
	struct sim_random random;
};

/* --- Checkers --- */

/* What the checkers know about one entry of the one history. */
struct sim_fact {
	uint32_t epoch;
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
	bool answered;	 /* without the repeat flag */
	bool session_open;
	uint64_t session_first; /* OPEN: highest firstIncompleteSeq in the session's entries */
};

struct sim_asset {
	int64_t value;
	uint64_t version, last_sequence, acked_version;
};

#define SIM_SET_SLOTS 8192

struct sim_ledger {
	uint32_t epoch;	    /* of its newest entry */
	uint64_t count;	    /* entries in the history */
	uint64_t committed; /* of them, by the primary */
	uint64_t open_sessions;
	struct sim_fact facts[SIM_MAX_HISTORY + 1];
	struct sim_asset assets[SIM_MAX_ASSETS];
	_Alignas(8) uint8_t entries[SIM_MAX_HISTORY + 1][SIM_MAX_ENTRY];
	uint64_t set[SIM_SET_SLOTS]; /* of (client, requestSeq): the sequence that applied it */
	struct rep_session_table sessions;
	struct dp_shard shard;
	_Alignas(64) uint8_t session_memory[16384];
	_Alignas(64) uint8_t shard_memory[256 * 1024];
};

/* --- What a run exercised: a checker that never meets its case proves nothing --- */

#define SIM_COUNT_LIST(X)                         \
	X(UPDATES, "updates answered")            \
	X(REPEATS, "repeats answered")            \
	X(READS, "reads answered")                \
	X(FORGOTTEN, "forgotten")                 \
	X(OVERLOADED, "overloaded")               \
	X(BUSY, "busy")                           \
	X(NOT_PRIMARY, "not primary")             \
	X(GONE, "answers gone")                   \
	X(CLOSED, "sessions closed")              \
	X(RESENT, "entries resent")               \
	X(OUT_OF_ORDER, "out of order")           \
	X(BLOCKED, "times blocked")               \
	X(DAMAGED, "damaged frames")              \
	X(INJECTED, "injected frames")            \
	X(REUSED, "slots reused")                 \
	X(DIGESTS, "digests compared")            \
	X(MEMORY_LOST, "memory lost")             \
	X(PRIMARY_LOST, "primary empty")          \
	X(REPLAYED, "replays")                    \
	X(MERGED, "entries merged")               \
	X(CUT_OFF, "unacknowledged entries gone") \
	X(EXCUSED, "excused losses")              \
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
	X(PASSES_UNLOGGED, "slot-reused-before-logged")  \
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

#define SIM_NOTE_LIST(X)                                             \
	X(SEND, "send", "type", "frame", "position/first")           \
	X(TAKE, "take", "type", "frame", "position/first")           \
	X(REFUSE, "refuse frame", "fault", "bytes", "injected")      \
	X(DROP, "network drops", "bytes", "why", "")                 \
	X(DAMAGE, "network damages", "bytes", "", "")                \
	X(INJECT, "injected", "kind", "type", "frame")               \
	X(CUT, "cut", "directions", "for_ns", "")                    \
	X(HEAL, "heal", "directions", "", "")                        \
	X(PAUSE, "pause", "for_ns", "", "")                          \
	X(START, "start", "life", "incarnation", "")                 \
	X(STOP, "stop", "goodbye", "", "")                           \
	X(MODE, "mode", "mode", "reason", "last")                    \
	X(APPEND, "append", "sequence", "client", "request")         \
	X(COMMIT, "commit", "sequence", "", "")                      \
	X(REQUEST, "request", "client", "request", "kind")           \
	X(TAKEN, "taken", "client", "request", "verdict")            \
	X(ANSWER, "answer", "client", "request", "status|repeat<<8") \
	X(RECEIVE, "client hears", "client", "request", "status")    \
	X(CLOSE, "close idle", "client", "", "")                     \
	X(CALM, "faults end", "", "", "")                            \
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
	uint64_t now_ns;
	bool calm;   /* the faults are over */
	bool paired; /* since then: PAIRED, and all from before is committed */
	uint64_t calm_sequence;
	struct sim_node nodes[2];
	struct sim_link links[2]; /* by sender */
	struct sim_client clients[SIM_MAX_CLIENTS];
	struct sim_ledger ledger;
	struct sim_random fault_random, client_net_random;
	uint32_t operations_left;
	bool primary_empty; /* the primary restarted without a log, and was not PAIRED since */
	bool exposed;	    /* acknowledged entries were in no memory and, maybe, on no disk */
	bool over;	    /* what was exposed is lost: the run ends here, and is counted */
	bool memory_lost;   /* the standby restarted although something had been committed */

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
void sim_disk_reset(struct sim_node *node);
/* What was under way may be done; what was appended since begins. */
void sim_disk_step(struct sim *sim, struct sim_node *node);
uint64_t sim_disk_passed(const struct sim *sim, const struct sim_node *node);
void sim_disk_kill(struct sim *sim, struct sim_node *node);
/* Fills the node's empty memory from its disk. */
void sim_disk_replay(struct sim *sim, struct sim_node *node, struct rep_history *history);

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
void sim_node_start(struct sim *sim, uint32_t node);
void sim_node_stop(struct sim *sim, uint32_t node, bool goodbye);
void sim_node_wake(struct sim *sim, uint32_t node, uint64_t time_ns);
void sim_node_poll(struct sim *sim, uint32_t node);
/* Worker side of a node: hand an item on, work, answer what may be answered. */
void sim_worker_push(struct sim *sim, struct sim_node *node, const struct sim_item *item);
void sim_workers_run(struct sim *sim, struct sim_node *node);
void sim_workers_answer(struct sim *sim, struct sim_node *node);
/* Everything up to here is applied, and answered where somebody waits for it. */
uint64_t sim_workers_passed(const struct sim_node *node);
/* Answers a request at once, without an entry. */
void sim_node_refuse(
	struct sim *sim,
	struct sim_node *node,
	const struct sim_message *request,
	enum cli_status status
);

/* --- clients.c --- */
void sim_clients_start(struct sim *sim);
void sim_client_turn(struct sim *sim, uint32_t client);
void sim_client_hear(struct sim *sim, const struct sim_message *answer);
bool sim_clients_done(const struct sim *sim);

/* --- checker.c, answers.c --- */
void sim_ledger_start(struct sim *sim);
/* The primary is PAIRED, and this is what both hold: what was sequenced beyond is gone. */
void sim_check_paired(struct sim *sim, const struct sim_node *node);
/* The opening entry of a session, by the place that its clientId names; NULL: there is none. */
struct sim_fact *sim_session_of(struct sim_ledger *ledger, uint64_t client_id);
void sim_check_append(struct sim *sim, struct sim_node *node, const struct rep_entry *entry);
/* The primary has just given an entry its sequence: the history grows by it. */
void sim_check_taken(struct sim *sim, const struct sim_node *node);
/* A slot is taken for this sequence. */
void sim_check_slot(struct sim *sim, const struct sim_node *node, uint64_t sequence);
void sim_check_wire(struct sim *sim, const struct rep_entry *entry, uint64_t sequence);
void sim_check_step(struct sim *sim, struct sim_node *node);
void sim_check_answer(struct sim *sim, struct sim_node *node, const struct sim_message *answer);
void sim_check_read(struct sim *sim, struct sim_node *node, const struct sim_item *item);
/* An answer that is no longer kept: only a client that said it needs it no more may see that. */
void sim_check_unanswered(struct sim *sim, const struct sim_item *item);
void sim_check_digest(struct sim *sim, const struct sim_node *node);
void sim_check_end(struct sim *sim);
