/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The replication core: one state machine per node, without I/O, clock, allocation or log. The
 * dataplane's sequencer and the simulator run the same object code. Shape as in cowsql/raft and
 * ngtcp2: events and explicit time in, one update out, a deadline for the next call.
 *
 * The caller owns the arena (entries by sequence) and every buffer; the core never touches payload.
 * One rep_core_step per poll, with everything that the poll found. The caller carries an update out
 * in this order:
 *   1. copy the entries of `store` from the received frames into the arena;
 *   2. hand the entries of `append` on, in sequence order (session table, journal, workers);
 *   3. publish `committed` and `confirmed_frame` (answers may leave);
 *   4. encode and send the frames of `send`, in order, each with rep_core_header.
 * Frames that could not be sent count as lost: acknowledgements and timers repair that.
 *
 * Loss is repaired by NAK (the standby names the gaps) and by a timer for a lost tail, with the
 * round-trip estimate of RFC 6298; acknowledgements are cumulative.
 *
 * Roles (roles.c, moves.c) follow roles.md, R1 … R20. The core decides; the caller, and control
 * behind it, is its servant for what is slow: role record, arbiter, disk. What it wants is in the
 * update (persist, ask, refill, stage), what came of it in a later event, in any order and as late
 * as it may be; nothing is taken for done before.
 *
 * With REP_POLICY_FIXED roles come from the configuration and never change (fixed.c): a primary
 * that has lost its standby is BLOCKED until the standby is back and level.
 *
 * Limits: one owner (the sequencer's lcore). Sequences and frame numbers are u64 and never wrap.
 */
#pragma once

#include "replication/frame.h"

#include <stdbool.h>
#include <stdint.h>

#define REP_MAX_STORES 64
#define REP_MAX_SENDS 24
#define REP_MAX_NAKS 8	      /* gaps named in one step */
#define REP_MAX_RESENDS 16    /* asked-for ranges that are kept */
#define REP_MAX_FRAMES 32     /* received in one step */
#define REP_CHUNK_ENTRIES 512 /* most entries sent again, or caught up, in one step */
#define REP_SENT_TIMES 256    /* newest own frames whose echo measures the round trip */
/* A learner gets so many entries for each that is sequenced: faster than they come. And so many in
 * a step when clients have left that long free, or at least that often. */
#define REP_CATCH_UP_SHARE 3
#define REP_CATCH_UP_ENTRIES 64
#define REP_CATCH_UP_REST_NS 100000
#define REP_CATCH_UP_PACE_NS 1000000
#define REP_TAIL_ENTRIES 32 /* sent again when the tail's timer fires */

enum rep_role { REP_PRIMARY, REP_STANDBY };

enum rep_mode {
	REP_MODE_STANDBY,   /* in sync, whether or not it hears the primary */
	REP_MODE_PAIRED,    /* of a primary: commits what the standby acknowledges */
	REP_MODE_BLOCKED,   /* of a primary: sequences nothing, commits nothing */
	REP_MODE_HALTED,    /* own state is in doubt: takes no part any more */
	REP_MODE_ALONE,	    /* of a primary: commits what its own disk holds */
	REP_MODE_ASYNC,	    /* of a primary: commits what it has sequenced (ack = none) */
	REP_MODE_WAITING,   /* without a role: looks for a primary, or for the right to be one */
	REP_MODE_LEARNER,   /* is being sent what it misses; counts for nothing yet */
	REP_MODE_CANDIDATE, /* has asked for the pair record to name it */
	REP_MODES,
};

const char *rep_mode_name(enum rep_mode mode);

/* Why a primary is BLOCKED, or what a standby waits for. */
enum rep_reason {
	REP_REASON_NONE,
	REP_REASON_START,	     /* the peer was not heard yet */
	REP_REASON_PEER_SILENT,	     /* nothing heard within the detection window */
	REP_REASON_PEER_DEAF,	     /* heard, but it does not hear us: one-way cut */
	REP_REASON_PEER_LEFT,	     /* said GOODBYE */
	REP_REASON_PEER_RESTARTED,   /* a new life of the peer: HELLO under way */
	REP_REASON_CATCHING_UP,	     /* resending from the arena until level */
	REP_REASON_PEER_LOST_MEMORY, /* restarted empty, and there is no log to refill it from */
	REP_REASON_HISTORY_GONE,     /* what the peer misses has left the arena */
	REP_REASON_OTHER_HISTORY,    /* it holds entries of another primary's life */
	REP_REASON_ROLE_CONFLICT,    /* both have the same role */
	REP_REASON_CONFIG_MISMATCH,  /* settings that must be equal differ */
	REP_REASON_EPOCH_MISMATCH,
	REP_REASON_BAD_ENTRY,	   /* an entry from the peer does not fit the session table */
	REP_REASON_REPLAYING,	   /* not started: the node's own log is being read */
	REP_REASON_MERGING,	   /* the standby holds more than we do: taking that over first */
	REP_REASON_LOG_FAILED,	   /* a write or sync of the log failed */
	REP_REASON_NO_RECORD,	   /* blank, and there is no pair: `standfast init` */
	REP_REASON_ARBITER_SILENT, /* the pair record has not been read */
	REP_REASON_ARBITER_BACK,   /* the arbiter says less than it once said */
	REP_REASON_WAIT_PRIMARY,   /* the pair record names the peer: only it may serve */
	REP_REASON_WAIT_PEER,	   /* the peer may hold what was acknowledged and is not here */
	REP_REASON_PEER_BLANK,	   /* it is here, but has lost everything */
	REP_REASON_REFILLING,	   /* own state is rebuilt from the log, up to what is common */
	REP_REASON_GOING_ALONE,	   /* the pair record is being changed */
	REP_REASON_TAKING_OVER,
	REP_REASON_BARRIER, /* log and role record are being made durable */
	REP_REASON_ADMITTING,
	REP_REASON_HANDING_OVER,
	REP_REASON_FLAPPING,   /* too many role changes within the hour */
	REP_REASON_DEPOSED,    /* a newer epoch was seen */
	REP_REASON_GAVE_UP,    /* so that the primary can take over what we hold */
	REP_REASON_DISK_STUCK, /* own log makes no progress, and half the arena waits for it */
	REP_REASON_NO_RIGHT,   /* the policy leaves this to the peer, or to the operator */
	REP_REASON_HELD,       /* maintenance */
	REP_REASONS,
};
const char *rep_reason_name(enum rep_reason reason);
/* The same as a sentence for the operator. */
const char *rep_reason_text(enum rep_reason reason);

struct rep_core_config {
	struct rep_link_identity link;
	enum rep_policy policy;
	enum rep_ack ack;
	enum rep_role role; /* only REP_POLICY_FIXED, as is epoch */
	/* Primary: of this life, higher than of any before, its lowest bit the node id (inv. 5, 7).
	 * Standby: the lowest that it would follow, 0 for any. */
	uint32_t epoch;
	uint64_t incarnation;	/* not 0; higher at every start of this node */
	uint64_t config_digest; /* must be equal on both nodes */
	uint32_t slots;		/* of the arena; power of two, at least 8 */
	uint32_t window;	/* most entries without acknowledgement; at most slots */
	uint64_t heartbeat_interval_ns;
	uint32_t heartbeat_misses; /* detection window = interval x misses */
	uint64_t retransmit_min_ns;
	bool has_log;	/* the pair comes back from its logs; always but with REP_POLICY_FIXED */
	bool bootstrap; /* two blank nodes make a pair by themselves (R19) */
	uint8_t preferred_primary;   /* of the two */
	uint64_t takeover_delay_ns;  /* D: so much later than the primary the standby acts (R5) */
	uint64_t hold_down_ns;	     /* no promotion so soon after an admission (R15) */
	uint32_t max_moves_per_hour; /* of the pair record; 0: any number (R15) */
	uint64_t ask_timeout_ns;     /* an arbiter that has not answered by then is asked again */
	uint32_t fetch_bytes;	     /* of a snapshot, asked for at once */
	uint64_t record_fresh_ns;    /* how old what the arbiter said may be (R20) */
};

/* Counters; grow only. */
struct rep_stats {
	uint64_t frames_taken;
	uint64_t entries_sent;
	uint64_t entries_resent;
	uint64_t entries_duplicate;    /* received again */
	uint64_t entries_out_of_order; /* kept for a gap before them */
	uint64_t entries_no_room;      /* beyond our arena's room: not taken, will come again */
	uint64_t naks_sent;
	uint64_t naks_received;
	uint64_t tail_timeouts;
	uint64_t dropped_epoch_stale;
	uint64_t dropped_epoch_higher;
	uint64_t dropped_other_life; /* of another incarnation of either side */
	uint64_t dropped_no_link;
	uint64_t dropped_bad_ack;    /* acknowledges what was never sent */
	uint64_t dropped_wrong_role; /* DATA at a primary, NAK at a standby */
	uint64_t dropped_not_started;
	uint64_t entries_merged; /* of the standby's, by a primary that held less */
	uint64_t own_gaps;	 /* our loop was late: suspicion restarted (R14) */
	uint64_t times_blocked;
	uint64_t snapshot_bytes;      /* kept, of a snapshot that replaces what we hold */
	uint64_t pieces_out_of_order; /* of it; asked for again */
	uint64_t dropped_no_stream;   /* entries, or an acknowledgement, that nobody waits for */
	uint64_t asks;
	uint64_t asks_unanswered;
	uint64_t arbiter_went_back;
	uint64_t moves; /* of the pair record, by this node */
	uint64_t step_downs;
	uint64_t refills;
	uint64_t entries_cut;	 /* of the log, at refills; each is in quarantine */
	uint64_t entries_forked; /* of them, committed: by consent of the operator only */
};

struct rep_range {
	uint64_t first;
	uint64_t count;
};

/* What a node holds when it starts. One author per epoch makes (epoch, sequence) the identity of an
 * entry, so two histories are compared by their lineages: where each epoch began. */
#define REP_MAX_LINEAGE 64
struct rep_lineage {
	uint32_t epoch;
	uint32_t reserved;
	uint64_t first_sequence;
};
struct rep_history {
	uint64_t last_sequence; /* 0: empty */
	uint64_t arena_first;	/* entries from here to last_sequence stand in the arena */
	uint32_t epoch;		/* highest that the node has been in */
	uint32_t lineage_count; /* newest; older epochs are forgotten */
	struct rep_lineage lineage[REP_MAX_LINEAGE]; /* rising */
};

/* What the peer says about itself, by its newest HELLO and the headers since. */
struct rep_peer {
	bool described; /* a HELLO of its present life, mode and epoch has come */
	uint8_t mode;	/* enum rep_mode */
	bool leaving;
	uint32_t epoch;
	uint8_t hello_mode;   /* when it sent the HELLO: what it says holds for no other */
	uint32_t hello_epoch; /* the same */
	uint64_t hello_ns;    /* when it came */
	struct rep_hello hello;
};

/* A change of the pair record that is under way. */
enum rep_move_kind {
	REP_MOVE_NONE,
	REP_MOVE_GO_ALONE,
	REP_MOVE_PROMOTE,
	REP_MOVE_RESTART,
	REP_MOVE_MERGE,
	REP_MOVE_ADMIT,
	REP_MOVE_BOOTSTRAP,
	REP_MOVE_FORCE,
	REP_MOVE_GIVE, /* the right to change it goes to the peer (N2, and hand-over in N1) */
	REP_MOVE_TAKE, /* it has come from the peer */
};
enum rep_move_phase {
	REP_PHASE_NONE,
	REP_PHASE_ISSUED, /* until its outcome is known */
	REP_PHASE_LOG,	  /* learned: the log is being made durable */
	REP_PHASE_RECORD, /* and then the role record */
};
struct rep_move {
	enum rep_move_kind kind;
	enum rep_move_phase phase;
	struct rep_pair from, to;
};

/* What the arbiter is asked: to read the pair record, or to change it. */
struct rep_ask {
	uint64_t id;   /* 0: nothing is asked */
	bool exchange; /* compare with `from`, set to `to` */
	struct rep_pair from, to;
};
enum rep_outcome {
	REP_ANSWER_READ,    /* pair is the record; epoch 0: there is none */
	REP_ANSWER_WON,	    /* pair is what was asked for */
	REP_ANSWER_LOST,    /* pair is what stands there instead */
	REP_ANSWER_UNKNOWN, /* no answer, or none that makes sense */
};
struct rep_answer {
	uint64_t id;
	enum rep_outcome outcome;
	struct rep_pair pair;
};

enum rep_operation {
	REP_OPERATION_NONE,
	REP_OPERATION_SWITCHOVER, /* R16 */
	REP_OPERATION_FORCE,	  /* R17: serve here, whatever the peer may hold */
	REP_OPERATION_LEAVE,	  /* the node is to be stopped in good order */
	REP_OPERATION_INIT,	  /* R19: found a pair, as with config.bootstrap */
	REP_OPERATION_HOLD,    /* maintenance: no change of the pair record but by the operator */
	REP_OPERATION_RELEASE, /* of that */
	REP_OPERATIONS,
};

struct rep_core {
	struct rep_core_config config;
	enum rep_mode mode;
	enum rep_reason reason;
	bool primary;	/* BLOCKED, PAIRED, ALONE, ASYNC; with fixed roles always the same */
	uint32_t epoch; /* that the node is in; without a role the highest it knows of */
	struct rep_stats stats;

	/* Own history. */
	uint64_t last_sequence; /* newest entry without a gap before it */
	uint64_t committed;
	uint64_t passed_sequence; /* local consumers are past these */
	uint64_t durable;
	bool started;
	uint64_t arena_first; /* oldest entry that ever stood in this life's arena */
	uint64_t arena_top;   /* newest that ever stood there, also if it is forgotten by now */
	uint32_t lineage_count;
	struct rep_lineage lineage[REP_MAX_LINEAGE]; /* of the entries held, rising */

	/* Roles. */
	struct rep_peer peer;
	struct rep_pair pair;	  /* record, as last known; epoch 0: not known */
	struct rep_record record; /* as it is, or shall be, on the disk */
	uint64_t persisted;	  /* write number of it that is durable */
	bool persist_due;
	struct rep_move move;
	struct rep_ask ask;
	uint64_t ask_ns; /* when it was sent */
	uint64_t ask_count;
	bool arbiter_back; /* it says less than it once said: it is not believed */
	bool ask_due;
	bool read_wanted;
	bool read_first; /* a move's outcome is not known: look, before it is asked for again */
	uint32_t change_from; /* the epoch before, in ADMIT and SWITCHOVER */
	uint64_t change_last; /* and the last entry */
	bool disk_stuck;
	uint64_t disk_ns;     /* when the own log last made progress, or had nothing to do */
	bool noted;	      /* the lineage covers all entries held */
	uint64_t led_ns;      /* LEARNER: when a frame of its epoch was last heard */
	uint64_t next_ask_ns; /* not before */
	uint64_t read_ns;     /* when the question was sent whose answer `pair` is; 0: never */
	uint64_t suspect_ns;  /* since when the peer counts as lost; 0: it does not */
	uint64_t role_ns;     /* when this mode was entered */
	uint64_t admitted_ns;
	struct rep_pair admission; /* LEARNER: becomes STANDBY by it once that is durable */
	uint64_t drain_ns;	   /* since when, or when it was given up for a while */
	uint64_t drain_goal;	   /* the learner's log must have come so far before the next one */
	bool draining;		   /* ALONE: takes nothing any more, to admit or hand over */
	bool handing_over;
	bool leaving;
	bool on_hold; /* maintenance: the caller keeps it over restarts */
	bool forced;  /* the operator's word: FORCE as soon as it is possible */
	bool drop_answers_due;
	uint64_t change_due_ns; /* ADMIT or SWITCHOVER is told again then; 0: not */
	struct {
		bool wanted;
		bool snapshot;
		uint64_t keep; /* the history ends there */
	} refill;
	bool refill_due;
	uint64_t refill_number; /* told in the update, and with the refill's end */
	/* Of what has been filled in again; the node speaks of its old history until that ends. */
	uint32_t filled_count;
	struct rep_lineage filled[REP_MAX_LINEAGE];
	struct {	     /* a snapshot that is on its way */
		bool active; /* LEARNER: it replaces all that we hold */
		bool asked;  /* primary: a piece is due, or being fetched from the disk */
		uint64_t sequence, total, offset;
		uint64_t goal;	 /* end of what was asked for */
		uint64_t due_ns; /* LEARNER: ask again then */
	} fetch;
	uint64_t log_first;    /* oldest entry of the own log; 1 until it is told otherwise */
	uint64_t stage_wanted; /* first entry that is to be fetched from the log; 0: none */
	struct rep_range staged;
	uint64_t move_times[32]; /* of the newest changes of the pair record seen, a ring */
	uint32_t move_time_count;

	/* Link session: both sides' lives are known, and with fixed roles the histories fit. */
	bool link_up;
	bool stream; /* entries flow: from us as primary, to us as LEARNER or STANDBY */
	bool peer_left;
	uint64_t peer_incarnation; /* highest seen */
	uint64_t frame_number;	   /* last used */
	uint64_t heard_frame;
	uint64_t heard_ns;
	uint64_t peer_heard_frame; /* highest own frame that the peer heard in this link session */
	uint64_t confirmed_frame;  /* the same, as a standby of this epoch: reads rely on it */
	uint64_t echo_ns;	   /* when that last rose */
	uint64_t last_sent_ns;
	uint64_t last_hello_ns;
	uint64_t last_step_ns;
	uint64_t last_stale_ns;

	/* Round-trip estimate, RFC 6298, and when each of the newest frames was sent, by number. */
	uint64_t rtt_ns, rtt_var_ns;
	uint64_t sent_ns[REP_SENT_TIMES];

	/* Primary. */
	uint64_t sent; /* last sequence put on the wire in this link session */
	uint64_t acked;
	uint64_t acked_ever;
	uint64_t peer_durable;
	uint64_t peer_limit;
	uint64_t merge_end; /* BLOCKED until we hold what the standby holds; 0: no more than ours */
	uint64_t progress_ns;
	uint32_t submitted;	 /* in this step */
	uint64_t catch_up_ns;	 /* then a learner gets more than its share */
	uint64_t catch_up_by_ns; /* then at the latest */
	uint32_t tail_backoff;
	uint32_t resend_count;
	struct rep_range resends[REP_MAX_RESENDS];

	/* Standby. */
	uint64_t highest;	 /* newest entry in the arena, gaps or not */
	uint64_t known_position; /* of the primary: what exists */
	uint64_t nak_due_ns;	 /* 0: nothing is missing */
	bool hole_named;	 /* the timer runs for a hole, not only for a missing tail */

	uint64_t nak_mark;   /* last_sequence when the gaps were last looked at */
	uint64_t told_limit; /* the last that a frame of ours named */
	uint64_t told_durable;
	uint8_t refusal; /* enum rep_reason: of the peer's history, for our HELLO */
	uint64_t *held;	 /* bit per slot: entry is there, beyond a gap */

	/* Due at the end of the step. */
	bool ack_due, hello_due, stale_due, echo_due;
};

struct rep_store {
	uint32_t frame; /* index into the event's frames */
	uint32_t skip;	/* entries of that frame to pass over */
	uint32_t count; /* entries to copy, each to the slot of its sequence */
};

struct rep_send {
	enum rep_frame_type type;
	uint8_t flags;
	bool staged;		/* DATA: from what was fetched out of the log, not from the arena */
	struct rep_range range; /* DATA: entries to encode, in as many frames as the MTU asks for;
				 * NAK: what is missing; SNAPSHOT: bytes of it, likewise */
};

struct rep_event {
	uint64_t now_ns;       /* local monotonic time, never lower than before */
	uint32_t submit_count; /* entries that the caller has filled, at most rep_core_room */
	const struct rep_frame *frames;
	uint32_t frame_count;
	bool rx_drained;	  /* no frame waits in the receive queue any more */
	bool reads;		  /* a read came with this poll: it wants an echo at once */
	uint64_t passed_sequence; /* every local consumer is past these slots; never falls */
	uint64_t durable;	  /* of the own log */
	uint64_t persisted;	  /* newest write number of the role record that is durable */
	const struct rep_answer *answer; /* of the arbiter; NULL: none */
	enum rep_operation operation;
	struct rep_range staged; /* entries of the own log that lie ready to be sent; they stay
				  * until others are wanted */
	uint64_t log_first;	 /* oldest entry of the own log; 0: as before */
	struct {		 /* bytes of a snapshot that lie ready to be sent, likewise */
		uint64_t newest; /* sequence of the newest on the disk */
		uint64_t sequence, total;
		struct rep_range staged;
	} snapshot;
};

struct rep_update {
	uint32_t store_count;
	uint32_t send_count;
	struct rep_range append;
	uint64_t committed;
	uint64_t confirmed_frame; /* reads that noted at most this frame number may be answered */
	bool mode_changed;
	bool persist;	   /* core->record is to be written and synced; in both copies, when
			    * rep_core_settles, before it counts as durable */
	bool drop_answers; /* held answers are another's to give now: drop them (R10) */
	struct rep_ask ask;
	struct {
		uint64_t number; /* of the refill; 0: none. Everything else waits: end the log
				  * durably with `keep`, what is beyond goes to quarantine; rebuild
				  * the state up to there, then rep_core_refilled */
		uint64_t keep;
		bool snapshot; /* the state is that of the snapshot that was kept, of sequence
				* `keep`; nothing of the own log remains */
	} refill;
	uint64_t stage; /* fetch entries of the own log from here on; 0: nothing */
	struct {
		bool wanted; /* fetch bytes of this snapshot, the newest, from offset on */
		uint64_t sequence, offset;
	} stage_snapshot;
	struct {
		uint32_t frames; /* bit by index: the pieces in these frames are the next ones */
	} keep;
	struct rep_store store[REP_MAX_STORES];
	struct rep_send send[REP_MAX_SENDS];
};

/* Bytes of memory behind rep_core_init (the bitmap of held entries). */
uint64_t rep_core_memory_bytes(const struct rep_core_config *config);
/* memory is aligned to 8 and kept. Until rep_core_start the core is BLOCKED or STANDBY for
 * REP_REASON_REPLAYING: it sends nothing and takes nothing. */
void rep_core_init(
	struct rep_core *core, const struct rep_core_config *config, void *memory, uint64_t now_ns
);
/* START. config.epoch of a primary must be higher than history->epoch (inv. 7): it is raised to the
 * next of the node's own otherwise. */
void rep_core_start(struct rep_core *core, const struct rep_history *history, uint64_t now_ns);
/* The same with a role record that rep_record_boot has made ready and that is durable. Required
 * unless roles are fixed. */
void rep_core_start_with(
	struct rep_core *core,
	const struct rep_history *history,
	const struct rep_record *record,
	uint64_t now_ns
);
/* The end of a refill: what the node holds now. number: the update's. */
void rep_core_refilled(
	struct rep_core *core, uint64_t number, const struct rep_history *history, uint64_t now_ns
);
/* What the core holds now, as for a start. */
void rep_core_history(const struct rep_core *core, struct rep_history *history);
/* A new epoch at the end of a lineage; of the oldest, more than REP_MAX_LINEAGE are forgotten. */
void rep_lineage_add(
	struct rep_lineage lineage[REP_MAX_LINEAGE],
	uint32_t *count,
	uint32_t epoch,
	uint64_t first_sequence
);
/* Whoever appends entries of the peer, or of the log, tells where an epoch begins. */
void rep_core_begin_epoch(struct rep_core *core, uint32_t epoch, uint64_t first_sequence);
static inline void rep_core_note(struct rep_core *core, uint32_t epoch, uint64_t sequence)
{
	if (core->refill.wanted || core->lineage_count == 0 ||
	    core->lineage[core->lineage_count - 1].epoch != epoch)
		rep_core_begin_epoch(core, epoch, sequence);
}

/* The lineage that replay and refill build; *count may be changed. */
struct rep_lineage *rep_core_filled(struct rep_core *core, uint32_t **count);

/* Sequences that a SUBMIT may take right now: 0 while not serving. */
uint32_t rep_core_room(const struct rep_core *core);
/* True when a request may be sequenced or a read executed, room or not. */
static inline bool rep_core_serves(const struct rep_core *core)
{
	return core->mode == REP_MODE_PAIRED || core->mode == REP_MODE_ALONE ||
	       core->mode == REP_MODE_ASYNC;
}
/* Must every write of the log be synced at once, whatever the configuration says? */
static inline bool rep_core_wants_sync(const struct rep_core *core)
{
	return core->config.policy != REP_POLICY_FIXED && core->mode != REP_MODE_PAIRED &&
	       core->mode != REP_MODE_STANDBY;
}
/* A read that arrives now is answered when confirmed_frame has reached this number. */
static inline uint64_t rep_core_read_frame(const struct rep_core *core)
{
	return core->frame_number + 1;
}

void rep_core_step(struct rep_core *core, const struct rep_event *event, struct rep_update *update);
/* When the next step is due at the latest; UINT64_MAX: never. */
uint64_t rep_core_deadline_ns(const struct rep_core *core);
/* Is a step due because of what the consumers have done since? Room that becomes free must not wait
 * for a frame or a heartbeat: a full primary takes no requests, so that nothing else may happen. Of
 * a standby it is what the primary was not told, each eighth of the arena in a frame of its own. */
static inline bool
rep_core_calls(const struct rep_core *core, uint64_t passed_sequence, uint64_t durable)
{
	uint64_t slots = core->config.slots;
	bool follows = core->mode == REP_MODE_STANDBY ||
		       (core->mode == REP_MODE_LEARNER && core->admission.epoch == 0);
	bool tells = follows && core->link_up; /* nobody else answers at once */
	bool waits = core->config.ack == REP_ACK_DURABLE || core->mode == REP_MODE_ALONE ||
		     core->mode == REP_MODE_LEARNER || core->move.phase == REP_PHASE_LOG;
	uint64_t known = tells ? core->told_limit : core->passed_sequence + slots;
	/* A hand-over waits for the workers. */
	bool drains = core->draining && passed_sequence != core->passed_sequence;
	return passed_sequence + slots - known >= slots / 8 || (waits && durable > core->durable) ||
	       drains;
}

/* Does the role record give a right to the peer, or stand in for one that was given? A damaged copy
 * must not bring it back, so both say it before it counts as written (found in the model). */
bool rep_core_settles(const struct rep_core *core);

/* Fills a header for the next frame and counts it; body, sizes and CRC are still to come. */
void rep_core_header(
	struct rep_core *core,
	const struct rep_send *send,
	uint64_t now_ns,
	struct rep_header *header
);
/* Bodies of HELLO, of ADMIT and SWITCHOVER, and of FETCH. */
void rep_core_fetch(const struct rep_core *core, struct rep_fetch *fetch);
void rep_core_change(const struct rep_core *core, struct rep_change *change);
void rep_core_hello(const struct rep_core *core, struct rep_hello *hello);

/* The caller found that an entry of the peer does not fit: stop taking part. It must then not carry
 * out the rest of the update at hand. */
void rep_core_halt(struct rep_core *core, enum rep_reason reason);

/* The node is about to leave: one GOODBYE is due, and nothing is served any more. */
void rep_core_leave(struct rep_core *core, struct rep_update *update);

/* For status: is the peer heard within the detection window? */
bool rep_core_peer_reachable(const struct rep_core *core, uint64_t now_ns);
