/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The replicator: carries the records that a database's front gives it to the other member, one at
 * a time and in order. CARRY says where to: argument = the member's address, region = its region;
 * an async pair's replicator turns when that changes, which it does only when nothing is left.
 *
 * While it stands (STOP_CARRYING, FAIL) it keeps what it has to carry. A member that answers FAILED
 * is asked again, with back-off. DRAIN is answered OK when nothing is left, and FAILED when it
 * stands or the member does not take the records: a planned switch must not wait for either.
 *
 * SWITCH_FORCED, from the front: what is left is dropped, but for the record that is under way; it
 * is answered when that one's fate is known, so that the front knows exactly what was left behind.
 */
#include "tests/pipeline/handlers.h"

enum replicator_state { REPLICATOR_CARRIES, REPLICATOR_STANDS, REPLICATOR_STATES };
static const char *const replicator_states[] = {"carries", "stands"};

struct replicator_load {
	struct pl_record record;
	uint32_t request; /* of the CARRY */
	uint32_t epoch;
};

struct replicator {
	struct pl_params params;
	uint64_t back_off_ns;
	uint32_t state;
	uint32_t life, request, last_request; /* request: of the write under way, 0: none */
	uint32_t first, count;
	uint32_t owner;			    /* the front */
	uint32_t target, region;	    /* the member, and its region */
	uint32_t drain_from, drain_request; /* request 0: nobody waits for it */
	uint32_t forced_from, forced_request;
	uint32_t zero;
	struct replicator_load loads[]; /* ring of params.capacity */
};

static size_t replicator_bytes(const struct pl_params *params)
{
	return sizeof(struct replicator) + params->capacity * sizeof(struct replicator_load);
}

static void replicator_init(void *state, const struct pl_params *params, struct pl_out *out)
{
	struct replicator *r = state;
	memcpy(&r->params, params, sizeof(r->params));
	r->params.scenario = NULL;
	out->timer_ns = PL_NEVER;
}

static struct replicator_load *load_at(struct replicator *r, uint32_t index)
{
	uint32_t slot = r->first + index;
	return &r->loads[slot < r->params.capacity ? slot : slot - r->params.capacity];
}

static void drained(struct replicator *r, enum pl_status status, struct pl_out *out)
{
	if (r->drain_request == 0)
		return;
	struct pl_message *m = pl_send(out, (uint8_t)r->drain_from, PL_DRAINED, r->drain_request);
	m->status = (uint8_t)status;
	m->position = r->count;
	r->drain_from = r->drain_request = 0;
}

/* The oldest load is done with: carried, or dropped. */
static void take_off(struct replicator *r)
{
	memset(load_at(r, 0), 0, sizeof(struct replicator_load));
	r->first = r->first + 1 < r->params.capacity ? r->first + 1 : 0;
	r->count--;
}

static void tell_carried(struct replicator *r, struct pl_out *out)
{
	struct replicator_load *load = load_at(r, 0);
	struct pl_message *m = pl_send(out, (uint8_t)r->owner, PL_CARRIED, load->request);
	m->incarnation = load->epoch;
	m->count = 1;
	m->records[0] = load->record;
	take_off(r);
}

/* Begins to carry what is oldest, if nothing is under way and it may. */
static void carry_next(struct replicator *r, struct pl_out *out)
{
	if (r->state == REPLICATOR_STANDS || r->request != 0)
		return;
	if (r->count > 0 && pl_has(r->params.defects, PL_DEFECT_REPLICATOR_DROPS) &&
	    load_at(r, 0)->record.id % 8 == 0)
		tell_carried(r, out);
	if (r->count == 0) {
		drained(r, PL_OK, out);
		return;
	}
	if (r->count > 1 && pl_has(r->params.defects, PL_DEFECT_REPLICATOR_SWAPS)) {
		struct replicator_load load = *load_at(r, 0);
		*load_at(r, 0) = *load_at(r, 1);
		*load_at(r, 1) = load;
	}
	r->request = r->last_request = pl_request_after(r->last_request, r->life);
	struct pl_message *m = pl_send(out, (uint8_t)r->target, PL_MEMBER_WRITE, r->request);
	m->region = (uint8_t)r->region;
	m->incarnation = load_at(r, 0)->epoch;
	m->count = 1;
	m->records[0] = load_at(r, 0)->record;
}

PL_ON(load)
{
	struct replicator *r = state;
	/* Full: the front counts what it gave, so this is one that does not know how to count. */
	if (m->count != 1 || r->count == r->params.capacity || r->forced_request != 0) {
		pl_reply(out, m, PL_CARRIED, PL_FULL);
		return;
	}
	struct replicator_load *place = load_at(r, r->count);
	place->record = m->records[0];
	place->request = m->request;
	place->epoch = m->incarnation;
	r->count++;
	r->owner = m->from;
	r->target = m->argument;
	r->region = m->region;
	/* A time that is set belongs to a record that is tried again. */
	if (out->timer_ns == PL_NEVER)
		carry_next(r, out);
}

static void forced_done(struct replicator *r, struct pl_out *out)
{
	pl_send(out, (uint8_t)r->forced_from, PL_COMMAND_DONE, r->forced_request);
	r->forced_from = r->forced_request = 0;
}

PL_ON(member_done)
{
	struct replicator *r = state;
	if (r->request == 0 || m->request != r->request) {
		pl_stray(r, m, now_ns, out);
		return;
	}
	r->request = 0;
	/* A conflict can never be carried; the member told of it, and what comes behind goes on. */
	bool carried = m->status == PL_OK || m->status == PL_CONFLICT;
	if (carried) {
		r->back_off_ns = 0;
		tell_carried(r, out);
	}
	if (r->forced_request != 0) {
		if (!carried)
			take_off(r);
		forced_done(r, out);
	}
	if (carried || r->count == 0) {
		carry_next(r, out);
		return;
	}
	drained(r, PL_FAILED, out);
	if (r->state == REPLICATOR_CARRIES)
		out->timer_ns = now_ns + pl_back_off(&r->back_off_ns, &r->params);
}

PL_ON(try_again)
{
	out->timer_ns = PL_NEVER;
	carry_next(state, out);
}

PL_ON(drain)
{
	struct replicator *r = state;
	drained(r, PL_FAILED, out); /* an older one */
	r->drain_from = m->from;
	r->drain_request = m->request;
	if (r->count == 0)
		drained(r, PL_OK, out);
	else if (out->timer_ns != PL_NEVER) /* the member does not take them */
		drained(r, PL_FAILED, out);
}

PL_ON(drain_standing)
{
	struct replicator *r = state;
	pl_reply(out, m, PL_DRAINED, r->count ? PL_FAILED : PL_OK)->position = r->count;
}

PL_ON(stand)
{
	struct replicator *r = state;
	r->state = REPLICATOR_STANDS;
	out->timer_ns = PL_NEVER;
	drained(r, PL_FAILED, out);
	pl_state_effect(out, REPLICATOR_CARRIES, REPLICATOR_STANDS);
	pl_reply(out, m, PL_COMMAND_DONE, PL_OK);
}

PL_ON(go_on)
{
	struct replicator *r = state;
	r->state = REPLICATOR_CARRIES;
	pl_state_effect(out, REPLICATOR_STANDS, REPLICATOR_CARRIES);
	pl_reply(out, m, PL_COMMAND_DONE, PL_OK);
	carry_next(r, out);
}

PL_ON(force)
{
	struct replicator *r = state;
	uint32_t under_way = r->request != 0;
	if (r->count > 0 && m->from != r->owner) {
		pl_refuse(r, m, now_ns, out); /* only its front knows what was answered */
		return;
	}
	if (r->forced_request != 0)
		forced_done(r, out); /* an older one; there is one front, so there is none */
	/* From the youngest: the oldest is the one under way. */
	while (r->count > under_way) {
		memset(load_at(r, r->count - 1), 0, sizeof(struct replicator_load));
		r->count--;
	}
	r->forced_from = m->from;
	r->forced_request = m->request;
	out->timer_ns = PL_NEVER;
	r->back_off_ns = 0;
	if (under_way)
		return;
	forced_done(r, out);
	drained(r, PL_OK, out);
}

/* What it has to carry is on disk; what it had under way is done again. */
PL_ON(crash)
{
	struct replicator *r = state;
	r->life++;
	r->request = r->last_request = 0;
	r->back_off_ns = 0;
	out->timer_ns = PL_NEVER;
	pl_reply(out, m, PL_COMMAND_DONE, PL_OK);
	if (r->forced_request != 0) {
		/* Whether the record under way came there is not known any more: left behind. */
		take_off(r);
		forced_done(r, out);
	}
	carry_next(r, out);
}

/* clang-format off */
#define NOT_A_REPLICATORS_BUSINESS                                                                 \
	PL_NO_TRANSPORT, PL_NO_WATCH, PL_NO_DATABASE, PL_NO_MEMBER, PL_NO_API, PL_NO_ROUTING,      \
	PL_NO_SOURCE, PL_NO_REGIONS, PL_STRAY_TRANSPORT, PL_STRAY_WATCH, PL_STRAY_DATABASE,        \
	PL_STRAY_REPLICATOR, PL_STRAY_API, PL_STRAY_ROUTING, PL_STRAY_COMMANDS,                    \
	[PL_SWITCH] = pl_refuse, [PL_SWITCH_FORCED] = force, [PL_CRASH] = crash,                   \
	[PL_CARRY] = load, [PL_MEMBER_DONE] = member_done
PL_HANDLERS(handlers, REPLICATOR_STATES) = {
	[REPLICATOR_CARRIES] = {
		[PL_DRAIN] = drain, [PL_TIMER] = try_again, [PL_STOP_CARRYING] = stand,
		[PL_CARRY_AGAIN] = pl_agree, [PL_FAIL] = stand, [PL_RECOVER] = pl_agree,
		NOT_A_REPLICATORS_BUSINESS,
	},
	[REPLICATOR_STANDS] = {
		[PL_DRAIN] = drain_standing, [PL_TIMER] = pl_no_timer, [PL_STOP_CARRYING] = pl_agree,
		[PL_CARRY_AGAIN] = go_on, [PL_FAIL] = pl_agree, [PL_RECOVER] = go_on,
		NOT_A_REPLICATORS_BUSINESS,
	},
};
/* clang-format on */

static void
replicator_step(void *state, const struct pl_message *m, uint64_t now_ns, struct pl_out *out)
{
	if (m->kind < PL_MESSAGE_KINDS)
		handlers[((struct replicator *)state)->state][m->kind](state, m, now_ns, out);
}

static uint32_t replicator_state_of(const void *state)
{
	return ((const struct replicator *)state)->state;
}

const struct pl_kind pl_replicator = {
	.name = "replicator",
	.states = replicator_states,
	.state_count = REPLICATOR_STATES,
	.bytes = replicator_bytes,
	.init = replicator_init,
	.step = replicator_step,
	.state_of = replicator_state_of,
};
