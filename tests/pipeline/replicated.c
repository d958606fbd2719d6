/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The fronts of the two databases that answer when one member has the row and carry it to the other
 * one later: the async pair (one active side) and the global table (each region's caller writes to
 * its own member). A write is answered and given to the replicator in the same step, so what was
 * answered and is not yet on the other side is exactly what stands in the ring `uncarried`.
 * When that is full, writes are answered FULL.
 *
 * Async pair, SWITCH: fence, let the writes under way end, drain the replicator, flip, raise the
 * epoch; position says how long it took in ns. Refused, with all as before, when the replicator
 * stands or the other member does not take the records. SWITCH_FORCED: the replicator drops what is
 * left, the front tells of it (LEFT_BEHIND) and flips; position = how many. Refused while the
 * database is failed. A global table has no side to switch to and refuses both.
 */
#include "tests/pipeline/front.h"

#define LISTED_PER_STEP 16 /* LEFT_BEHIND effects */

struct replicated {
	struct pl_front front;
	uint32_t global;	      /* table */
	uint32_t first;		      /* of the ring */
	uint32_t count[2];	      /* given to the replicator and not carried; async pair: [0] */
	struct pl_record uncarried[]; /* async pair: ring of capacity */
};

static size_t async_bytes(const struct pl_params *params)
{
	return sizeof(struct replicated) + params->capacity * sizeof(struct pl_record);
}

static size_t global_bytes(const struct pl_params *params)
{
	return sizeof(struct replicated);
}

static void async_init(void *state, const struct pl_params *params, struct pl_out *out)
{
	pl_front_init(state, params, out);
}

static void global_init(void *state, const struct pl_params *params, struct pl_out *out)
{
	pl_front_init(state, params, out);
	((struct replicated *)state)->global = 1;
}

/* The replicator, 0 or 1, that carries from this member to the other one. */
static uint32_t replicator_of(const struct replicated *d, uint32_t member)
{
	return d->global ? member : 0;
}

static bool has_room(const struct replicated *d, uint32_t member)
{
	uint32_t given = d->count[replicator_of(d, member)];
	return given + d->front.outstanding[member] < d->front.params.capacity;
}

static void begin_write(struct replicated *d, struct pl_front_write *write, struct pl_out *out)
{
	uint32_t member = (d->global ? write->region : d->front.active) - 1;
	if (!has_room(d, member)) {
		pl_front_answer(&d->front, write, PL_FULL, out);
		return;
	}
	write->region = (uint8_t)(member + 1);
	pl_front_to_member(&d->front, write, member, out);
}

static bool is_write(const struct replicated *d, const struct pl_message *m)
{
	return m->count == 1 && (!d->global || m->region == 1 || m->region == 2);
}

PL_ON(write_row)
{
	struct replicated *d = state;
	struct pl_front_write *write = NULL;
	if (!is_write(d, m)) {
		pl_reply(out, m, PL_WRITE_DONE, PL_FAILED);
		return;
	}
	write = pl_front_take(&d->front, m);
	if (write)
		begin_write(d, write, out);
	else
		pl_reply(out, m, PL_WRITE_DONE, PL_FULL);
}

PL_ON(write_failed)
{
	struct replicated *d = state;
	if (is_write(d, m))
		pl_front_hold(&d->front, m, now_ns, out);
	else
		pl_reply(out, m, PL_WRITE_DONE, PL_FAILED);
}

static void
carry(struct replicated *d, uint32_t member, struct pl_record record, struct pl_out *out)
{
	uint32_t replicator = replicator_of(d, member), other = 1 - member;
	struct pl_message *m = pl_send(
		out, d->front.params.replicators[replicator], PL_CARRY, pl_front_request(&d->front)
	);
	m->argument = d->front.params.members[other];
	m->region = (uint8_t)(other + 1);
	m->incarnation = d->front.epoch;
	m->count = 1;
	m->records[0] = record;
	if (!d->global) {
		uint32_t slot = d->first + d->count[0], capacity = d->front.params.capacity;
		d->uncarried[slot < capacity ? slot : slot - capacity] = record;
	}
	d->count[replicator]++;
}

/* The next part of a planned switch, when it may come. */
static void drain(struct replicated *d, struct pl_out *out)
{
	struct pl_front *front = &d->front;
	if (front->state != PL_FRONT_FENCED || front->asked != 0 || pl_front_under_way(front))
		return;
	front->asked = pl_front_request(front);
	pl_send(out, front->params.replicators[0], PL_DRAIN, front->asked);
}

PL_ON(member_done)
{
	struct replicated *d = state;
	struct pl_front_write *write = pl_front_find(&d->front, m->request);
	uint32_t member = pl_front_member(&d->front, m->from);
	if (!write || member >= 2 || member != write->region - 1u) {
		pl_stray(d, m, now_ns, out);
		return;
	}
	d->front.outstanding[member]--;
	enum pl_status status = m->status;
	/* It stands on the side that is given up, if anywhere: its caller has to write it again. */
	if (d->front.state == PL_FRONT_FORCED || m->incarnation != d->front.epoch)
		status = PL_FAILED;
	if (status == PL_OK)
		carry(d, member, write->record, out);
	pl_front_answer(&d->front, write, status, out);
	drain(d, out);
}

static struct pl_record take_off(struct replicated *d)
{
	struct pl_record record = d->uncarried[d->first];
	d->uncarried[d->first] = (struct pl_record){0};
	d->first = d->first + 1 < d->front.params.capacity ? d->first + 1 : 0;
	d->count[0]--;
	return record;
}

PL_ON(carried)
{
	struct replicated *d = state;
	uint32_t which = d->global && m->from == d->front.params.replicators[1];
	if (m->from != d->front.params.replicators[which] || d->count[which] == 0 ||
	    (m->status != PL_OK && m->status != PL_CONFLICT)) {
		pl_stray(d, m, now_ns, out);
		return;
	}
	if (d->global)
		d->count[which]--;
	else
		take_off(d);
}

/* ---- the switch of an async pair ---- */

/* True when there is something to do; otherwise the command is answered. */
static bool may_switch(const struct replicated *d, const struct pl_message *m, struct pl_out *out)
{
	if (d->global || m->region < 1 || m->region > 2) {
		pl_reply(out, m, PL_COMMAND_DONE, PL_FAILED);
		return false;
	}
	if (m->region == d->front.active) {
		pl_reply(out, m, PL_COMMAND_DONE, PL_OK)->incarnation = d->front.epoch;
		return false;
	}
	return true;
}

static void force_replicator(struct replicated *d, struct pl_out *out)
{
	d->front.asked = pl_front_request(&d->front);
	pl_send(out, d->front.params.replicators[0], PL_SWITCH_FORCED, d->front.asked);
}

PL_ON(switch_planned)
{
	struct replicated *d = state;
	if (!may_switch(d, m, out))
		return;
	pl_front_switch(&d->front, m, PL_FRONT_FENCED, now_ns, out);
	if (pl_has(d->front.params.defects, PL_DEFECT_SWITCH_UNDRAINED)) {
		/* It is turned round as it is, and what it had to carry goes nowhere. */
		force_replicator(d, out);
		while (d->count[0] > 0)
			take_off(d);
		pl_front_flip(&d->front, 0, now_ns, out);
		return;
	}
	drain(d, out);
}

PL_ON(drained)
{
	struct replicated *d = state;
	if (d->front.asked == 0 || m->request != d->front.asked) {
		pl_stray(d, m, now_ns, out);
		return;
	}
	if (m->status == PL_OK)
		pl_front_flip(&d->front, now_ns - d->front.started_ns, now_ns, out);
	else
		pl_front_switch_done(&d->front, PL_FAILED, m->position, out);
}

PL_ON(switch_forced)
{
	struct replicated *d = state;
	if (!may_switch(d, m, out))
		return;
	if (d->front.state == PL_FRONT_FENCED)
		pl_front_switch_done(&d->front, PL_FAILED, 0, out); /* the planned one */
	pl_front_switch(&d->front, m, PL_FRONT_FORCED, now_ns, out);
	force_replicator(d, out);
}

/* A step at a time, because there may be many. */
PL_ON(list_left_behind)
{
	struct replicated *d = state;
	out->timer_ns = PL_NEVER;
	if (d->front.asked != 0)
		return;
	for (uint32_t i = 0; i < LISTED_PER_STEP && d->count[0] > 0; i++) {
		struct pl_record record = take_off(d);
		pl_effect_in(out, PL_EFFECT_LEFT_BEHIND, d->front.active, record);
		d->front.left_behind++;
	}
	if (d->count[0] > 0)
		out->timer_ns = now_ns;
	else
		pl_front_flip(&d->front, d->front.left_behind, now_ns, out);
}

PL_ON(replicator_dropped)
{
	struct replicated *d = state;
	if (d->front.asked == 0 || m->request != d->front.asked)
		return; /* an answer to what was only passed on */
	d->front.asked = 0;
	list_left_behind(d, m, now_ns, out);
}

/* ---- outages ---- */

PL_ON(fail)
{
	struct replicated *d = state;
	if (d->front.state == PL_FRONT_FENCED)
		pl_front_switch_done(&d->front, PL_FAILED, 0, out);
	pl_front_enter(&d->front, PL_FRONT_FAILED, out);
	pl_reply(out, m, PL_COMMAND_DONE, PL_OK);
}

PL_ON(recover)
{
	struct replicated *d = state;
	pl_front_enter(&d->front, PL_FRONT_SERVES, out);
	out->timer_ns = PL_NEVER;
	pl_reply(out, m, PL_COMMAND_DONE, PL_OK);
	for (uint32_t i = 0; i < PL_WRITES_MAX; i++) {
		if (!d->front.writes[i].held)
			continue;
		d->front.writes[i].held = 0;
		d->front.writes[i].due_ns = 0;
		begin_write(d, &d->front.writes[i], out);
	}
}

PL_ON(time_out)
{
	pl_front_time_out(state, now_ns, out);
}

/* To its replicators: to all, or to the one that carries from `region`. */
PL_ON(pass_on)
{
	struct replicated *d = state;
	for (uint32_t i = 0; i < 1 + d->global; i++)
		if (m->region == 0 || !d->global || m->region == i + 1)
			pl_send(out,
				d->front.params.replicators[i],
				m->kind,
				pl_front_request(&d->front));
	pl_reply(out, m, PL_COMMAND_DONE, PL_OK);
}

/* clang-format off */
#define IN_EACH_STATE                                                                              \
	PL_NOT_A_FRONTS_BUSINESS, [PL_MEMBER_DONE] = member_done, [PL_CARRIED] = carried,          \
	[PL_STOP_CARRYING] = pass_on, [PL_CARRY_AGAIN] = pass_on
PL_HANDLERS(handlers, PL_FRONT_STATES) = {
	[PL_FRONT_SERVES] = {
		[PL_WRITE] = write_row, [PL_SWITCH] = switch_planned,
		[PL_SWITCH_FORCED] = switch_forced, [PL_FAIL] = fail, [PL_RECOVER] = pl_agree,
		[PL_DRAINED] = pl_stray, [PL_COMMAND_DONE] = pl_ignore, [PL_TIMER] = pl_no_timer,
		IN_EACH_STATE,
	},
	[PL_FRONT_FENCED] = {
		[PL_WRITE] = pl_front_busy, [PL_SWITCH] = pl_refuse,
		[PL_SWITCH_FORCED] = switch_forced, [PL_FAIL] = fail, [PL_RECOVER] = pl_agree,
		[PL_DRAINED] = drained, [PL_COMMAND_DONE] = pl_ignore, [PL_TIMER] = pl_no_timer,
		IN_EACH_STATE,
	},
	[PL_FRONT_FORCED] = {
		[PL_WRITE] = pl_front_busy, [PL_SWITCH] = pl_refuse,
		[PL_SWITCH_FORCED] = pl_refuse, [PL_FAIL] = pl_front_fail_forced,
		[PL_RECOVER] = pl_front_recover_forced, [PL_DRAINED] = pl_stray,
		[PL_COMMAND_DONE] = replicator_dropped, [PL_TIMER] = list_left_behind,
		IN_EACH_STATE,
	},
	[PL_FRONT_FAILED] = {
		[PL_WRITE] = write_failed, [PL_SWITCH] = pl_refuse, [PL_SWITCH_FORCED] = pl_refuse,
		[PL_FAIL] = pl_agree, [PL_RECOVER] = recover, [PL_DRAINED] = pl_stray,
		[PL_COMMAND_DONE] = pl_ignore, [PL_TIMER] = time_out,
		IN_EACH_STATE,
	},
};
/* clang-format on */

static void
replicated_step(void *state, const struct pl_message *m, uint64_t now_ns, struct pl_out *out)
{
	if (m->kind < PL_MESSAGE_KINDS)
		handlers[((struct pl_front *)state)->state][m->kind](state, m, now_ns, out);
}

const struct pl_kind pl_async_pair = {
	.name = "async-pair",
	.states = pl_front_states,
	.state_count = PL_FRONT_STATES,
	.bytes = async_bytes,
	.init = async_init,
	.step = replicated_step,
	.state_of = pl_front_state_of,
};

const struct pl_kind pl_global_table = {
	.name = "global-table",
	.states = pl_front_states,
	.state_count = PL_FRONT_FAILED + 1,
	.bytes = global_bytes,
	.init = global_init,
	.step = replicated_step,
	.state_of = pl_front_state_of,
};
