/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What the components of a pipeline are made of: pure state machines that take one message or one
 * timer at a time and give messages, effects and a timer back. A machine knows no I/O, no clock, no
 * allocation and no other machine but by address, so the explorer runs it in virtual time and the
 * live mode on a thread of its own, unchanged.
 *
 * State. A machine's state is one block of memory without pointers, of the size that its kind asks
 * for; it may be copied and compared as bytes (the exhaustive explorer does). It is zeroed before
 * init.
 *
 * Messages. Each goes from one address to another, arrives once, and those of one sender to one
 * receiver arrive in order. Every request carries an id of the sender's choosing, never 0, and its
 * reply carries the same one; a reply that answers nothing is dropped by its receiver and told as
 * an effect (PL_EFFECT_STRAY).
 *
 * Totality. Every pair of state and message has a defined result: each kind has a table
 * [state][message] of handlers, in which "ignored" is an entry like any other, written down.
 *
 * Time. `now_ns` is virtual in the explorer and monotonic in live mode; a machine has one timer.
 *
 * Sources: the P models of transaction pipelines for what the components do; the actor model for
 * how.
 */
#pragma once

#include "control/routing/policy.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define PL_MACHINES_MAX 64 /* the explorer keeps who may run in one word */
#define PL_BATCH_MAX 5	   /* records in one message: the batch of a stream */
#define PL_OUT_MESSAGES_MAX 8
#define PL_OUT_EFFECTS_MAX 24
#define PL_REGIONS_MAX 3
#define PL_NEVER UINT64_MAX
#define PL_NOBODY 0xff /* no address */

struct pl_record {
	uint64_t id; /* 1, 2, 3 … through the batches of a run; 0: none */
	uint64_t value;
};

/* X(name, what it says; → what answers it) */
#define PL_MESSAGES(X)                                                                            \
	/* queue and stream */                                                                    \
	X(SEND)	       /* records → SEND_DONE */                                                \
	X(SEND_DONE)   /* status: OK, FAILED, FULL (nothing was taken; try again later) */        \
	X(RECEIVE)     /* → DELIVERY, at once or when something comes. A newer one of the same  \
			* sender replaces the waiting one. Stream: argument = consumer group */   \
	X(DELIVERY)    /* status, records (queue: one), position = place of the first in the life \
			* of this queue or stream, incarnation */                                 \
	X(REMOVE)      /* what DELIVERY said: records, position, incarnation → REMOVE_DONE */   \
	X(REMOVE_DONE) /* status: OK, NOTHING (it named nothing that stands here), FAILED */      \
	X(DEPTH)       /* → DEPTH_DONE */                                                       \
	X(DEPTH_DONE)  /* position = records that wait, status */                                 \
	/* queue, stream, container, destination */                                               \
	X(NOTIFY_AT) /* position = N → NOTIFY once N records were taken in all, also when they  \
		      * were taken before */                                                      \
	X(NOTIFY)    /* position = N */                                                           \
	/* database */                                                                            \
	X(WRITE)	/* one record, region = the caller's → WRITE_DONE */                    \
	X(WRITE_DONE)	/* status: OK, FAILED, CONFLICT (another value under this id), FULL       \
			 * (nothing was written; try again later: a fence, or no room) */         \
	X(MEMBER_WRITE) /* front → member → MEMBER_DONE, or, region 0, no answer */           \
	X(MEMBER_DONE)	/* status, region of the member, the record */                            \
	X(CARRY)	/* to a replicator: one record for the other member, whose address is     \
			 * argument, whose region is region; → CARRIED */                       \
	X(CARRIED)	/* replicator's write came to the member */                               \
	X(DRAIN)	/* to a replicator: answer when nothing is left to carry → DRAINED */   \
	X(DRAINED)	/* status FAILED: the replicator stands; position = records left */       \
	/* API */                                                                                 \
	X(CALL)	     /* one record → CALL_DONE */                                               \
	X(CALL_DONE) /* status: OK only when all that follows succeeded, FAILED, FULL (busy:      \
		      * nothing was taken; call again later) */                                   \
	/* routing */                                                                             \
	X(RESOLVE)    /* to a DNS → RESOLVED. Region 0: as the policy says; else that region's  \
		       * own endpoint, whatever the policy */                                     \
	X(RESOLVED)   /* argument = address of the endpoint, region, time to live in position */  \
	X(ROUTE_USED) /* argument = address: a record was accepted there; no answer */            \
	/* commands of the scenario; each is answered by COMMAND_DONE, in every state */          \
	X(FAIL)                                                                                   \
	X(RECOVER)                                                                                \
	X(CRASH)	 /* a worker loses its memory between any two steps, and begins anew; a   \
			  * queue or stream loses its content and is made anew; a database, whose \
			  * state is on disk, refuses */                                          \
	X(SWITCH)	 /* database, DNS: to region `region`; planned: fence, drain, flip */     \
	X(SWITCH_FORCED) /* database: raise the epoch, flip, list what is left behind */          \
	X(OFFLINE)	 /* DNS: region `region` gets nothing */                                  \
	X(ONLINE)                                                                                 \
	X(STOP_CARRYING) /* database: its replicators only */                                     \
	X(CARRY_AGAIN)                                                                            \
	X(PUBLISH)   /* source: records position … position + argument - 1; → PUBLISHED */    \
	X(PUBLISHED) /* status OK, or FAILED: stopped at a refusal; position = the next id */     \
	X(COMMAND_DONE                                                                            \
	)	 /* status; position = how long it took in ns, or how many it left behind */      \
	X(TIMER) /* what a machine gets when its time has come; from itself */

enum pl_message_kind {
#define PL_X(name) PL_##name,
	PL_MESSAGES(PL_X)
#undef PL_X
		PL_MESSAGE_KINDS,
};

enum pl_status {
	PL_OK,
	PL_FAILED,
	PL_FULL,
	PL_NOTHING,
	PL_CONFLICT,
	PL_STATUSES,
};

struct pl_message {
	uint8_t kind; /* enum pl_message_kind */
	uint8_t from, to;
	uint8_t status; /* enum pl_status */
	uint8_t count;	/* records */
	uint8_t region;
	uint16_t argument;
	uint32_t request;     /* of the sender's choosing; the reply's is its request's */
	uint32_t incarnation; /* of the queue or stream that delivered; of a database: its epoch */
	uint64_t position;
	struct pl_record records[PL_BATCH_MAX]; /* only the first `count` mean anything */
};

/* What really happened, for the monitors: rows that stand, records that were handed over; never
 * what somebody asked for. */
#define PL_EFFECTS(X)                                                                              \
	X(SENT)	     /* a SEND came to the queue or stream, taken or not */                        \
	X(ACCEPTED)  /* it stands in the queue or stream */                                        \
	X(DELIVERED) /* handed out, not removed */                                                 \
	X(REMOVED)                                                                                 \
	X(NOT_REMOVED) /* a removal named nothing that stands here */                              \
	X(WRITTEN)     /* a new row in the member of `region` */                                   \
	X(REWRITTEN)   /* the same row again: nothing changed */                                   \
	X(CONFLICT)    /* another value under the id: refused */                                   \
	X(DUPLICATED)  /* a second row under the id (only where the unique key is switched off) */ \
	X(ANSWERED)    /* a database answered OK to a write */                                     \
	X(LEFT_BEHIND) /* a forced switch: answered by the old side, not on the new one */         \
	X(PUBLISHED)   /* the source's record was accepted; region = where */                      \
	X(REFUSED)     /* it was refused */                                                        \
	X(ARRIVED)     /* at the destination, for the first time; region = where from */           \
	X(REPEATED)    /* at the destination, again */                                             \
	X(STATE)       /* the machine is in another state: record.id = old, record.value = new */  \
	X(SWITCHED)    /* region = the new one; record.value = ns it took */                       \
	X(STRAY)       /* a reply that answers nothing, dropped */                                 \
	X(IN_HAND)     /* a worker begins with a record (stream: its first) */

enum pl_effect_kind {
#define PL_X(name) PL_EFFECT_##name,
	PL_EFFECTS(PL_X)
#undef PL_X
		PL_EFFECT_KINDS,
};

struct pl_effect {
	uint8_t kind;	 /* enum pl_effect_kind */
	uint8_t machine; /* address of who did it; filled by pl_effect() */
	uint8_t region;	 /* of the machine, unless the list above says otherwise */
	struct pl_record record;
};

struct pl_out {
	uint64_t timer_ns; /* in: as it stands; out: when the TIMER is due, or PL_NEVER */
	uint32_t message_count, effect_count;
	uint8_t self, region;
	struct pl_message messages[PL_OUT_MESSAGES_MAX];
	struct pl_effect effects[PL_OUT_EFFECTS_MAX];
};

/* Deliberate faults, each of them off in the product. The first group is that of the P models
 * (`--as-modelled`), the second are canaries for the monitors. */
#define PL_DEFECTS(X)                                                                              \
	X(REMOVE_BY_POSITION, "as-modelled: a removal takes the head, whatever it names")          \
	X(EDGE_RECOVERY, "as-modelled: a worker that stopped on a dependency waits to be told")    \
	X(NO_REQUEST_IDS, "as-modelled: a reply is taken for the answer whatever it answers")      \
	X(DOUBLE_POLL, "as-modelled: the failover DNS's destination polls both regions' queues")   \
	X(NO_UNIQUE_KEY, "as-modelled: a row written again is a second row")                       \
	X(MODELLED_MONITORS, "as-modelled: requests are counted, the first finish ends the watch") \
	X(REMOVE_FIRST, "a container removes a record before it is written")                       \
	X(SEND_FIRST, "a container sends a record on before it is written")                        \
	X(REMOVE_BEFORE_SEND, "a container removes a record before it was sent on")                \
	X(DESTINATION_FORGETS, "the destination counts a repeat as new")                           \
	X(SWITCH_UNDRAINED, "a planned switch does not wait for the replicator")                   \
	X(QUEUE_LIFO, "a queue hands out its youngest record")                                     \
	X(QUEUE_DROPS, "a queue confirms every eighth record without keeping it")                  \
	X(REPLICATOR_DROPS, "a replicator loses every eighth record")                              \
	X(REPLICATOR_SWAPS, "a replicator carries two records in the wrong order")                 \
	X(MAJORITY_OF_ONE, "a majority write is answered after the first member")                  \
	X(ALTERNATE_ALWAYS, "the alternate policy moves on at a refusal too")                      \
	X(CONTAINER_WRONG_REGION, "a container sends every eighth record to the other region")     \
	X(CHANGES_VALUE, "a container changes every eighth record's value")                        \
	X(NEVER_PROBES, "a worker that stopped on a dependency does not probe it")

enum pl_defect {
#define PL_X(name, text) PL_DEFECT_##name,
	PL_DEFECTS(PL_X)
#undef PL_X
		PL_DEFECT_COUNT,
};

struct pl_scenario;

/* What a machine is told at its beginning. Addresses that it does not need are PL_NOBODY. */
struct pl_params {
	uint64_t defects; /* bits of enum pl_defect */
	uint64_t seed;
	uint64_t probe_min_ns, probe_max_ns; /* back-off of a stopped worker: doubles from to */
	/* Destination: after so long without a record it resolves again. Database with outage 2: so
	 * long after it came, a write times out. */
	uint64_t poll_ns;
	uint64_t ttl_ns;   /* DNS: said in its answers; source: for how long it keeps one */
	uint32_t capacity; /* queue, stream, replicator, and front (not carried yet): records */
	uint32_t ids; /* highest record id of the run: rows of a database, marks of a destination */
	uint8_t self, region; /* region 0: of no one region */
	uint8_t input, database,
		output; /* container: queue or stream, database's front, queue/stream */
	/* API container: the API it calls, instead of output. Source: set when its endpoints are
	 * APIs, which it calls; otherwise it sends. */
	uint8_t next;
	uint8_t through;		 /* source, destination: their DNS */
	uint8_t members[PL_REGIONS_MAX]; /* database's front: its members, region 1 first */
	uint8_t replicators[2]; /* front: 1 → 2, 2 → 1 (async pair: the first serves both ways) */
	uint8_t endpoints[CTL_ROUTE_ENDPOINTS_MAX]; /* DNS: targets, region 1 first */
	uint8_t endpoint_count;
	uint8_t policy;	   /* DNS: enum ctl_route_policy */
	uint8_t consumers; /* destination: 1 polls where its DNS says, 2 polls each region */
	uint8_t outage;	   /* database: 0 refuse, 1 block (answers when it is back), 2 time out */
	/* How long it is busy with each message, beyond what everybody is: its speed. The machine
	 * itself knows nothing of it; who runs the machine keeps the next message back so long. */
	uint64_t step_ns;
	const struct pl_scenario *scenario; /* driver: what it does, copied by init */
};

/* The value of a record in the run with this seed: what the source publishes and the monitors
 * expect. Never 0. */
static inline uint64_t pl_value_of(uint64_t seed, uint64_t id)
{
	uint64_t x = seed + id * 0x9e3779b97f4a7c15;
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
	x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
	return (x ^ (x >> 31)) % 100000 + 1;
}

/* A kind of machine. `step` handles message (TIMER included) and never keeps a pointer to it.
 * `state_of` tells which of `states` (names, `state_count`) it is in, for coverage. */
struct pl_kind {
	const char *name;
	const char *const *states;
	uint32_t state_count;
	size_t (*bytes)(const struct pl_params *params);
	void (*init)(void *state, const struct pl_params *params, struct pl_out *out);
	void (*step
	)(void *state, const struct pl_message *message, uint64_t now_ns, struct pl_out *out);
	uint32_t (*state_of)(const void *state);
};

extern const struct pl_kind pl_queue, pl_stream;
extern const struct pl_kind pl_container, pl_stream_container, pl_api_container;
extern const struct pl_kind pl_async_pair, pl_global_table, pl_majority_triple; /* fronts */
extern const struct pl_kind pl_member, pl_replicator;
extern const struct pl_kind pl_source, pl_destination, pl_dns;
extern const struct pl_kind pl_driver; /* scenario.h */

const char *pl_message_name(uint32_t kind);
const char *pl_effect_name(uint32_t kind);
const char *pl_status_name(uint32_t status);
const char *pl_defect_name(uint32_t defect); /* "remove-by-position" */
const char *pl_defect_text(uint32_t defect);

/* ---- for the machines ---- */

static inline bool pl_has(uint64_t defects, enum pl_defect defect)
{
	return defects >> defect & 1;
}

/* A message to send; the caller fills in the rest. There is always room: the most that a step gives
 * is a matter of the machine, not of its input (the explorer checks it). */
static inline struct pl_message *
pl_send(struct pl_out *out, uint8_t to, enum pl_message_kind kind, uint32_t request)
{
	struct pl_message *message = &out->messages[out->message_count++];
	memset(message, 0, offsetof(struct pl_message, records));
	message->kind = (uint8_t)kind;
	message->from = out->self;
	message->to = to;
	message->request = request;
	message->region = out->region;
	return message;
}

static inline struct pl_message *pl_reply(
	struct pl_out *out,
	const struct pl_message *to,
	enum pl_message_kind kind,
	enum pl_status status
)
{
	struct pl_message *message = pl_send(out, to->from, kind, to->request);
	message->status = (uint8_t)status;
	return message;
}

static inline void pl_effect(struct pl_out *out, enum pl_effect_kind kind, struct pl_record record)
{
	struct pl_effect *effect = &out->effects[out->effect_count++];
	effect->kind = (uint8_t)kind;
	effect->machine = out->self;
	effect->region = out->region;
	effect->record = record;
}
