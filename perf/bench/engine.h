/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The load generator's engine: opens sessions, reads the assets, sends requests by plan (open loop)
 * or as answers come (closed loop), follows the primary, retries, notes everything in the ledger,
 * reads the assets again. One thread; the caller owns options and transport, the engine the rest.
 *
 * Open loop: request n is due at start + n/rate, whatever happens before; a request that cannot be
 * sent in time (window full, process not scheduled) is sent late, and its latency counts from when
 * it was due. Retries carry the same requestSeq (RIFL, SOSP'15), so they are never new requests.
 *
 * Steady state: no allocation, no lock, no search; a request is a slot in a flat array, indexed by
 * its requestSeq.
 */
#pragma once

#include "perf/bench/latency.h"
#include "perf/bench/ledger.h"
#include "perf/bench/options.h"
#include "perf/bench/transport.h"

#include <signal.h>

enum bench_kind { BENCH_UPDATE, BENCH_READ, BENCH_FIRST_READ, BENCH_LAST_READ };

/* One request; two cache lines would hold two of them. */
struct bench_slot {
	uint64_t request_seq; /* 0: never used */
	uint64_t intended_ns;
	uint64_t sent_ns; /* first time */
	union {
		uint64_t retry_at_ns; /* waiting */
		uint64_t sequence;    /* answered */
	};
	union {
		uint64_t least_version; /* waiting: what a read must see at least */
		uint64_t version;	/* answered */
	};
	int64_t value; /* answered */
	uint32_t asset;
	int32_t delta;
	uint8_t kind; /* enum bench_kind */
	uint8_t attempts;
	bool waiting;
	bool answered; /* sequence, version and value are those of an OK */
	uint8_t pad[4];
};

enum bench_session_state {
	BENCH_SESSION_CLOSED,
	BENCH_SESSION_OPENING,
	BENCH_SESSION_OPEN,
	BENCH_SESSION_FORGOTTEN, /* closed by the node; opened anew when nothing is under way */
};

struct bench_session {
	uint64_t client_id;
	uint64_t next_seq;
	uint64_t first_incomplete;
	struct bench_slot *slots; /* slot_mask + 1 of them */
	uint32_t slot_mask;
	uint32_t max_inflight;
	uint32_t waiting; /* requests under way */
	enum bench_session_state state;
	uint64_t nonce;
	uint64_t retry_at_ns;
	uint8_t attempts;
};

/* Everything is counted from the start of the run; reads of the ledger are not in it. */
struct bench_counters {
	uint64_t sent;	   /* requests, not datagrams */
	uint64_t answered; /* OK or REJECTED */
	uint64_t acked;	   /* updates answered OK */
	uint64_t reads;	   /* answered OK */
	uint64_t rejected;
	uint64_t unanswered;  /* given up, or forgotten by the nodes */
	uint64_t retried;     /* requests sent again */
	uint64_t duplicates;  /* answers to what was answered already */
	uint64_t not_primary; /* answers with that status, … */
	uint64_t busy;
	uint64_t overloaded;
	uint64_t bad_request;
	uint64_t forgotten;
	uint64_t unauthorized;
	uint64_t bad_answers;	    /* not understood */
	uint64_t stray_answers;	    /* of other sessions, or older than the window */
	uint64_t stale_reads;	    /* broken promise: a read that missed an acknowledged update */
	uint64_t differing_repeats; /* broken promise: a repeated answer unlike the first */
	uint64_t behind_schedule;   /* open loop: sent more than 1 ms after it was due */
	uint64_t worst_behind_ns;
	uint64_t target_changes;
	uint64_t sessions_opened;
};

struct bench_trace {
	uint64_t intended_ns, answered_ns; /* monotonic */
};

enum bench_phase {
	BENCH_OPENING,
	BENCH_FIRST_READS,
	BENCH_RUNNING,
	BENCH_DRAINING,
	BENCH_LAST_READS,
	BENCH_DONE,
};

struct bench_engine {
	const struct bench_options *options;
	struct bench_transport *transport;
	struct bench_ledger ledger;
	struct bench_latency latency;
	struct bench_counters counters;
	const volatile sig_atomic_t *stop; /* not 0: end the run now, and check */

	struct bench_session *sessions;
	uint32_t session_count;
	uint32_t session_room;
	uint32_t cursor;	/* session that sends next */
	uint32_t *by_client_id; /* hash table of session index + 1 */
	uint32_t by_client_id_mask;
	struct bench_session *last_found;

	enum bench_phase phase;
	uint32_t waiting;     /* requests under way in all sessions */
	uint32_t outstanding; /* closed loop, and reads of the ledger */
	uint64_t remaining;   /* requests still to be sent in this phase */
	uint32_t next_asset;  /* reads of the ledger */
	uint32_t asset_passes;
	uint64_t random;
	uint64_t read_limit;	       /* of 2^32: share of reads */
	uint64_t update_sum, read_sum; /* of the messages' constant bytes, for checksums */

	uint64_t start_ns; /* of the run, monotonic */
	uint64_t start_unix_ns;
	uint64_t stop_sending_ns;
	uint64_t last_answer_ns;
	uint64_t due_q10; /* when the next batch is due, since start, in 1/1024 ns */
	uint64_t step_q10;
	uint32_t batch_left; /* of the batch that is due */
	uint64_t batch_intended_ns;

	uint32_t target;      /* node that we take for the primary */
	uint32_t epoch;	      /* highest seen */
	uint64_t heard_ns;    /* last useful answer of the target, or when it became the target */
	uint64_t progress_ns; /* last OK, or when requests began to wait */
	uint64_t longest_gap_ns;
	uint64_t next_sweep_ns;
	uint64_t next_probe_ns;
	uint32_t probe_node;
	uint64_t turn_at_ns; /* end of the histogram interval */

	struct bench_trace *trace;
	uint64_t trace_count, trace_room;
};

/* 0 or a negative errno. Nothing is sent yet. */
int bench_engine_open(
	struct bench_engine *e,
	const struct bench_options *options,
	struct bench_transport *transport,
	const volatile sig_atomic_t *stop
);
void bench_engine_close(struct bench_engine *e);

/* Everything from opening the sessions to the last read. 0; -ETIMEDOUT when no node opened a
 * session or nobody answered the reads before the run. */
int bench_engine_run(struct bench_engine *e);

/* Steps of it. A round sends what is due, takes what has come, and returns the work done. */
void bench_engine_begin(struct bench_engine *e, enum bench_phase phase);
unsigned bench_engine_round(struct bench_engine *e);
void bench_engine_load(struct bench_engine *e);

uint64_t bench_now_ns(void);
uint64_t bench_unix_ns(void);

/* Between the engine's files. */

/* 0 when since is later: the clock is read several times in a round. */
static inline uint64_t bench_elapsed_ns(uint64_t now, uint64_t since)
{
	return now > since ? now - since : 0;
}

/* Sends new requests that are due; returns how many. */
unsigned bench_send_due(struct bench_engine *e, uint64_t now);
/* Sends again what has waited too long, opens sessions, looks for the primary. */
void bench_sweep(struct bench_engine *e, uint64_t now);
/* Sends everything that waits soon again: the primary was found after an outage. */
void bench_hurry(struct bench_engine *e, uint64_t now);
void bench_close_sessions(struct bench_engine *e);
/* Takes up to a burst of datagrams; returns how many. */
unsigned bench_take_answers(struct bench_engine *e);
/* The request will not be waited for any more; its outcome is unknown. */
void bench_give_up(
	struct bench_engine *e, struct bench_session *s, struct bench_slot *slot, uint64_t now
);
void bench_set_target(struct bench_engine *e, uint32_t node, uint64_t now);
void bench_prepare_sums(struct bench_engine *e);
void bench_map_client_ids(struct bench_engine *e);
/* A jittered pause: base doubled per attempt, at most cap, less up to a quarter. */
uint64_t bench_back_off(struct bench_engine *e, uint64_t base_ns, unsigned attempts, uint64_t cap);

static inline uint64_t bench_random(struct bench_engine *e)
{
	uint64_t x = e->random;
	x ^= x >> 12;
	x ^= x << 25;
	x ^= x >> 27;
	e->random = x;
	return x * 0x2545f4914f6cdd1dull;
}

static inline struct bench_slot *bench_slot_of(const struct bench_session *s, uint64_t request_seq)
{
	return &s->slots[request_seq & s->slot_mask];
}

/* firstIncompleteSeq moves over everything that is not waited for. */
static inline void
bench_slot_done(struct bench_engine *e, struct bench_session *s, struct bench_slot *slot)
{
	slot->waiting = false;
	s->waiting--;
	e->waiting--;
	while (s->first_incomplete < s->next_seq && !bench_slot_of(s, s->first_incomplete)->waiting)
		s->first_incomplete++;
}
