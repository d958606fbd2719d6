/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What the fronts of all databases share: the writes that are under way, what a write meets while
 * the database is failed (params.outage), and the switch of its sides.
 *
 *   serves   writes are taken; one for which there is no place is answered FULL, which is no
 *            failure: come again
 *   fenced   a planned switch: new writes are answered FULL, those under way come to their end
 *   forced   a forced switch: the same, and those under way are answered FAILED, because they stand
 *            on the old side only
 *   failed   refuses new writes, holds them until it is back, or until they time out (after
 *            params.poll_ns); those under way come to their end and are answered as they ended
 */
#pragma once

#include "tests/pipeline/handlers.h"

/* A step answers each of them at most, and a command besides. */
#define PL_WRITES_MAX 6

/* The last two are of those that switch, and the last one of those that leave something behind. */
enum pl_front_state { PL_FRONT_SERVES, PL_FRONT_FAILED, PL_FRONT_FENCED, PL_FRONT_FORCED };
#define PL_FRONT_STATES 4
#define PL_OUTAGE_REFUSE 0
#define PL_OUTAGE_BLOCK 1
#define PL_OUTAGE_TIME_OUT 2

struct pl_front_write {
	struct pl_record record;
	uint64_t due_ns;	 /* held: when it times out */
	uint32_t caller_request; /* 0: this place is free */
	uint32_t request;	 /* of its writes to the members */
	uint8_t caller;
	uint8_t region; /* the caller's, and when it has begun the member's */
	uint8_t held;	/* not begun: the database is failed */
	uint8_t asked_all;
	uint8_t acks, nays; /* bits by member: they have it, they have it not */
	uint8_t conflict;
	uint8_t count; /* of answers, whoever gave them: as the models count */
};

struct pl_front {
	struct pl_params params;
	uint64_t started_ns; /* of the switch */
	uint64_t left_behind;
	uint64_t back_off_ns;
	uint32_t state;
	uint32_t epoch;	 /* 1 at first; each switch raises it */
	uint32_t active; /* region */
	uint32_t last_request;
	uint32_t asked; /* the open question to a replicator, 0: none */
	uint32_t switch_from, switch_request, switch_to;
	uint32_t fail_after;		      /* FAIL came during a forced switch */
	uint32_t outstanding[PL_REGIONS_MAX]; /* writes that each member has not answered */
	uint32_t zero;
	struct pl_front_write writes[PL_WRITES_MAX];
};

extern const char *const pl_front_states[PL_FRONT_STATES];

void pl_front_init(struct pl_front *front, const struct pl_params *params, struct pl_out *out);
uint32_t pl_front_request(struct pl_front *front);
/* 0 … of the member with this address; PL_REGIONS_MAX: none. */
uint32_t pl_front_member(const struct pl_front *front, uint8_t address);

/* A place for this write, or NULL when there is none. */
struct pl_front_write *pl_front_take(struct pl_front *front, const struct pl_message *m);
/* The write with this request to the members, or NULL. */
struct pl_front_write *pl_front_find(struct pl_front *front, uint32_t request);
bool pl_front_under_way(const struct pl_front *front);
void pl_front_to_member(
	struct pl_front *front, struct pl_front_write *write, uint32_t member, struct pl_out *out
);
/* WRITE_DONE; the place is free. */
void pl_front_answer(
	struct pl_front *front,
	struct pl_front_write *write,
	enum pl_status status,
	struct pl_out *out
);

/* A write that comes while it is failed, and the time when held ones time out. */
void pl_front_hold(
	struct pl_front *front, const struct pl_message *m, uint64_t now_ns, struct pl_out *out
);
void pl_front_time_out(struct pl_front *front, uint64_t now_ns, struct pl_out *out);
void pl_front_enter(struct pl_front *front, uint32_t state, struct pl_out *out);

/* The switch: remembers who asked; says how it ended. */
void pl_front_switch(
	struct pl_front *front,
	const struct pl_message *m,
	uint32_t state,
	uint64_t now_ns,
	struct pl_out *out
);
void pl_front_switch_done(
	struct pl_front *front, enum pl_status status, uint64_t position, struct pl_out *out
);
void pl_front_flip(struct pl_front *front, uint64_t position, uint64_t now_ns, struct pl_out *out);

/* Handlers for all fronts. */
void pl_front_busy(void *state, const struct pl_message *m, uint64_t now_ns, struct pl_out *out);
void pl_front_fail_forced(
	void *state, const struct pl_message *m, uint64_t now_ns, struct pl_out *out
);
void pl_front_recover_forced(
	void *state, const struct pl_message *m, uint64_t now_ns, struct pl_out *out
);
uint32_t pl_front_state_of(const void *state);

/* clang-format off */
#define PL_NOT_A_FRONTS_BUSINESS                                                                   \
	PL_NO_TRANSPORT, PL_NO_WATCH, PL_NO_MEMBER, PL_NO_REPLICATOR, PL_NO_API, PL_NO_ROUTING,    \
	PL_NO_SOURCE, PL_NO_REGIONS, PL_STRAY_TRANSPORT, PL_STRAY_WATCH, PL_STRAY_DATABASE,        \
	PL_STRAY_API, PL_STRAY_ROUTING, [PL_PUBLISHED] = pl_stray,                                 \
	/* Only workers forget: a database's state is on disk. */                                  \
	[PL_CRASH] = pl_refuse
/* clang-format on */
