/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The container, of a queue (one record at a time) and of a stream (a batch): for each delivery it
 * receives, writes to the database, sends on, removes from its input; the next step only after the
 * one before succeeded.
 *
 *   asks, writes, sends, removes   at work; waits for that reply
 *   waits-for-room                 the step was answered FULL: no failure, it is tried again
 *   stopped                        a dependency answered FAILED: the record in hand is let go of;
 *                                  when the time has come (or somebody says RECOVER, which is only
 *                                  a hint) it asks its input again, and so does that record again
 *   failed                         by itself; at RECOVER the step that it was at is done again
 *
 * Each step is idempotent by record id, so doing one again is always right. CRASH may come between
 * any two messages: the record in hand and the open request are forgotten, a new life begins with
 * asking the input. Request ids of different lives differ, so what the old life asked is a stray.
 */
#include "tests/pipeline/handlers.h"

enum container_state {
	CONTAINER_ASKS,
	CONTAINER_WRITES,
	CONTAINER_SENDS,
	CONTAINER_REMOVES,
	CONTAINER_WAITS_FOR_ROOM,
	CONTAINER_STOPPED,
	CONTAINER_FAILED,
	CONTAINER_STATES,
};
static const char *const container_states[] = {
	"asks",
	"writes",
	"sends",
	"removes",
	"waits-for-room",
	"stopped",
	"failed",
};

struct container {
	struct pl_params params;
	struct pl_watch watch; /* of records taken from the input; no part of its memory */
	uint64_t seen;	       /* the last position taken, in `seen_incarnation` */
	uint64_t back_off_ns;  /* the last one; 0: none since the last success */
	uint64_t position;     /* of the delivery in hand */
	uint32_t seen_incarnation;
	uint32_t incarnation; /* of the input, as the delivery said */
	uint32_t state;
	uint32_t step; /* asks … removes: what is done again after waiting or failing */
	uint32_t life;
	uint32_t request, last_request; /* the open one, 0: none; the last one given away */
	uint32_t count, written;
	struct pl_record records[PL_BATCH_MAX];
};

static size_t container_bytes(const struct pl_params *params)
{
	return sizeof(struct container);
}

static struct pl_message *
request(struct container *c, uint8_t to, enum pl_message_kind kind, struct pl_out *out)
{
	c->request = c->last_request = pl_request_after(c->last_request, c->life);
	return pl_send(out, to, kind, c->request);
}

static void let_go(struct container *c)
{
	memset(c->records, 0, sizeof(c->records));
	c->position = 0;
	c->count = c->written = c->incarnation = 0;
}

static void ask(struct container *c, struct pl_out *out)
{
	let_go(c);
	request(c, c->params.input, PL_RECEIVE, out);
}

static void write_next(struct container *c, struct pl_out *out)
{
	struct pl_message *m = request(c, c->params.database, PL_WRITE, out);
	m->count = 1;
	m->records[0] = c->records[c->written];
}

static void copy_hand(const struct container *c, struct pl_message *m)
{
	m->count = (uint8_t)c->count;
	for (uint32_t i = 0; i < c->count; i++)
		m->records[i] = c->records[i];
}

static void send_on(struct container *c, struct pl_out *out)
{
	uint8_t to = c->params.output;
	/* The two regions' machines of one component have addresses side by side. */
	if (pl_has(c->params.defects, PL_DEFECT_CONTAINER_WRONG_REGION) &&
	    c->records[0].id % 8 == 0)
		to = c->params.region == 1 ? to + 1 : to - 1;
	copy_hand(c, request(c, to, PL_SEND, out));
}

static void remove_from_input(struct container *c, struct pl_out *out)
{
	struct pl_message *m = request(c, c->params.input, PL_REMOVE, out);
	copy_hand(c, m);
	m->position = c->position;
	m->incarnation = c->incarnation;
}

static void enter(struct container *c, uint32_t state, struct pl_out *out)
{
	/* What the scenario sees is whether it works, is stopped or failed. */
	if (state >= CONTAINER_STOPPED || c->state >= CONTAINER_STOPPED)
		pl_state_effect(out, c->state, state);
	c->state = state;
}

/* Begins a step, for the first time or again. */
static void begin(struct container *c, uint32_t step, struct pl_out *out)
{
	out->timer_ns = PL_NEVER;
	enter(c, step, out);
	c->step = step;
	switch (step) {
	case CONTAINER_ASKS:
		ask(c, out);
		break;
	case CONTAINER_WRITES:
		write_next(c, out);
		break;
	case CONTAINER_SENDS:
		send_on(c, out);
		break;
	default:
		remove_from_input(c, out);
	}
}

static uint32_t step_after(const struct container *c, uint32_t step)
{
	static const uint8_t right[] = {
		[CONTAINER_ASKS] = CONTAINER_WRITES,
		[CONTAINER_WRITES] = CONTAINER_SENDS,
		[CONTAINER_SENDS] = CONTAINER_REMOVES,
		[CONTAINER_REMOVES] = CONTAINER_ASKS,
	};
	static const uint8_t remove_first[] = {
		[CONTAINER_ASKS] = CONTAINER_REMOVES,
		[CONTAINER_REMOVES] = CONTAINER_WRITES,
		[CONTAINER_WRITES] = CONTAINER_SENDS,
		[CONTAINER_SENDS] = CONTAINER_ASKS,
	};
	static const uint8_t send_first[] = {
		[CONTAINER_ASKS] = CONTAINER_SENDS,
		[CONTAINER_SENDS] = CONTAINER_WRITES,
		[CONTAINER_WRITES] = CONTAINER_REMOVES,
		[CONTAINER_REMOVES] = CONTAINER_ASKS,
	};
	static const uint8_t remove_before_send[] = {
		[CONTAINER_ASKS] = CONTAINER_WRITES,
		[CONTAINER_WRITES] = CONTAINER_REMOVES,
		[CONTAINER_REMOVES] = CONTAINER_SENDS,
		[CONTAINER_SENDS] = CONTAINER_ASKS,
	};
	if (c->params.defects == 0)
		return right[step];
	if (pl_has(c->params.defects, PL_DEFECT_REMOVE_FIRST))
		return remove_first[step];
	if (pl_has(c->params.defects, PL_DEFECT_SEND_FIRST))
		return send_first[step];
	if (pl_has(c->params.defects, PL_DEFECT_REMOVE_BEFORE_SEND))
		return remove_before_send[step];
	return right[step];
}

static void next_step(struct container *c, struct pl_out *out)
{
	begin(c, step_after(c, c->step), out);
}

static void stop(struct container *c, uint64_t now_ns, struct pl_out *out)
{
	let_go(c);
	c->request = 0;
	c->step = CONTAINER_ASKS;
	enter(c, CONTAINER_STOPPED, out);
	out->timer_ns = now_ns + pl_back_off(&c->back_off_ns, &c->params);
	if (pl_has(c->params.defects, PL_DEFECT_EDGE_RECOVERY) ||
	    pl_has(c->params.defects, PL_DEFECT_NEVER_PROBES))
		out->timer_ns = PL_NEVER;
}

static void wait_for_room(struct container *c, uint64_t now_ns, struct pl_out *out)
{
	c->request = 0;
	enter(c, CONTAINER_WAITS_FOR_ROOM, out);
	out->timer_ns = now_ns + pl_back_off(&c->back_off_ns, &c->params);
}

/* Is this what it waits for? */
static bool expected(struct container *c, const struct pl_message *m, struct pl_out *out)
{
	if (m->request == c->request || pl_has(c->params.defects, PL_DEFECT_NO_REQUEST_IDS))
		return true;
	pl_stray(c, m, 0, out);
	return false;
}

static void container_init(void *state, const struct pl_params *params, struct pl_out *out)
{
	struct container *c = state;
	memcpy(&c->params, params, sizeof(c->params));
	c->params.scenario = NULL;
	begin(c, CONTAINER_ASKS, out);
}

/* Counts each place of the input once, however often it is delivered. */
static void count_taken(struct container *c, const struct pl_message *m, struct pl_out *out)
{
	uint64_t last = m->position + m->count - 1;
	uint64_t known = m->incarnation == c->seen_incarnation ? c->seen : 0;
	if (last <= known)
		return;
	c->watch.taken += m->position > known ? m->count : last - known;
	c->seen = last;
	c->seen_incarnation = m->incarnation;
	pl_watch_look(&c->watch, out);
}

PL_ON(delivered)
{
	struct container *c = state;
	if (!expected(c, m, out))
		return;
	if (m->status != PL_OK || m->count == 0 || m->count > PL_BATCH_MAX) {
		stop(c, now_ns, out);
		return;
	}
	c->count = m->count;
	c->written = 0;
	c->position = m->position;
	c->incarnation = m->incarnation;
	for (uint32_t i = 0; i < m->count; i++) {
		c->records[i] = m->records[i];
		if (pl_has(c->params.defects, PL_DEFECT_CHANGES_VALUE) && m->records[i].id % 8 == 0)
			c->records[i].value++;
	}
	pl_effect(out, PL_EFFECT_IN_HAND, c->records[0]);
	count_taken(c, m, out);
	next_step(c, out);
}

/* OK goes on, FULL waits, all else stops: a conflict too, which a probe may find resolved. */
static bool
succeeded(struct container *c, const struct pl_message *m, uint64_t now_ns, struct pl_out *out)
{
	if (!expected(c, m, out))
		return false;
	if (m->status == PL_OK)
		return true;
	if (m->status == PL_FULL)
		wait_for_room(c, now_ns, out);
	else
		stop(c, now_ns, out);
	return false;
}

PL_ON(written)
{
	struct container *c = state;
	if (!succeeded(c, m, now_ns, out))
		return;
	c->written++;
	if (c->written < c->count)
		begin(c, CONTAINER_WRITES, out);
	else
		next_step(c, out);
}

PL_ON(sent)
{
	struct container *c = state;
	if (succeeded(c, m, now_ns, out))
		next_step(c, out);
}

PL_ON(removed)
{
	struct container *c = state;
	if (!expected(c, m, out))
		return;
	/* NOTHING: it was removed before, by a removal whose answer was not waited for. */
	if (m->status != PL_OK && m->status != PL_NOTHING) {
		stop(c, now_ns, out);
		return;
	}
	c->back_off_ns = 0;
	next_step(c, out);
}

PL_ON(do_again)
{
	struct container *c = state;
	begin(c, c->step, out);
}

PL_ON(hint)
{
	struct container *c = state;
	pl_reply(out, m, PL_COMMAND_DONE, PL_OK);
	if (!pl_has(c->params.defects, PL_DEFECT_NEVER_PROBES))
		begin(c, CONTAINER_ASKS, out);
}

PL_ON(fail)
{
	struct container *c = state;
	c->request = 0;
	out->timer_ns = PL_NEVER;
	enter(c, CONTAINER_FAILED, out);
	pl_reply(out, m, PL_COMMAND_DONE, PL_OK);
}

PL_ON(recover)
{
	struct container *c = state;
	pl_reply(out, m, PL_COMMAND_DONE, PL_OK);
	begin(c, c->step, out);
}

static void forget(struct container *c)
{
	let_go(c);
	c->back_off_ns = 0;
	c->request = c->last_request = 0;
	c->step = CONTAINER_ASKS;
	c->life++; /* what its host gives it, not what it remembers */
}

PL_ON(crash)
{
	struct container *c = state;
	forget(c);
	pl_reply(out, m, PL_COMMAND_DONE, PL_OK);
	begin(c, CONTAINER_ASKS, out);
}

/* It stays failed: whoever failed it has not recovered it. */
PL_ON(crash_failed)
{
	forget(state);
	pl_reply(out, m, PL_COMMAND_DONE, PL_OK);
}

PL_ON(watch)
{
	pl_watch_set(&((struct container *)state)->watch, m, out);
}

/* clang-format off */
#define NOT_A_CONTAINERS_BUSINESS                                                                  \
	PL_NO_TRANSPORT, PL_NO_DATABASE, PL_NO_MEMBER, PL_NO_REPLICATOR, PL_NO_API, PL_NO_ROUTING, \
	PL_NO_SOURCE, PL_NO_SIDES, PL_NO_REGIONS, PL_NO_CARRYING, PL_STRAY_WATCH,                  \
	PL_STRAY_MEMBER, PL_STRAY_REPLICATOR, PL_STRAY_API, PL_STRAY_ROUTING, PL_STRAY_COMMANDS,   \
	[PL_NOTIFY_AT] = watch
#define AT_WORK [PL_FAIL] = fail, [PL_RECOVER] = pl_agree, [PL_CRASH] = crash
PL_HANDLERS(handlers, CONTAINER_STATES) = {
	[CONTAINER_ASKS] = {
		[PL_DELIVERY] = delivered, [PL_SEND_DONE] = pl_stray, [PL_REMOVE_DONE] = pl_stray,
		[PL_WRITE_DONE] = pl_stray, [PL_TIMER] = pl_no_timer,
		AT_WORK, NOT_A_CONTAINERS_BUSINESS,
	},
	[CONTAINER_WRITES] = {
		[PL_WRITE_DONE] = written, PL_STRAY_TRANSPORT, [PL_TIMER] = pl_no_timer,
		AT_WORK, NOT_A_CONTAINERS_BUSINESS,
	},
	[CONTAINER_SENDS] = {
		[PL_SEND_DONE] = sent, [PL_DELIVERY] = pl_stray, [PL_REMOVE_DONE] = pl_stray,
		[PL_WRITE_DONE] = pl_stray, [PL_TIMER] = pl_no_timer,
		AT_WORK, NOT_A_CONTAINERS_BUSINESS,
	},
	[CONTAINER_REMOVES] = {
		[PL_REMOVE_DONE] = removed, [PL_DELIVERY] = pl_stray, [PL_SEND_DONE] = pl_stray,
		[PL_WRITE_DONE] = pl_stray, [PL_TIMER] = pl_no_timer,
		AT_WORK, NOT_A_CONTAINERS_BUSINESS,
	},
	[CONTAINER_WAITS_FOR_ROOM] = {
		[PL_TIMER] = do_again, PL_STRAY_TRANSPORT, [PL_WRITE_DONE] = pl_stray,
		AT_WORK, NOT_A_CONTAINERS_BUSINESS,
	},
	[CONTAINER_STOPPED] = {
		[PL_TIMER] = do_again, [PL_RECOVER] = hint, [PL_FAIL] = fail, [PL_CRASH] = crash,
		PL_STRAY_TRANSPORT, [PL_WRITE_DONE] = pl_stray,
		NOT_A_CONTAINERS_BUSINESS,
	},
	[CONTAINER_FAILED] = {
		[PL_RECOVER] = recover, [PL_FAIL] = pl_agree, [PL_CRASH] = crash_failed,
		/* No answer is waited for: the step will be done again. */
		PL_STRAY_TRANSPORT, [PL_WRITE_DONE] = pl_stray, [PL_TIMER] = pl_no_timer,
		NOT_A_CONTAINERS_BUSINESS,
	},
};
/* clang-format on */

static void
container_step(void *state, const struct pl_message *m, uint64_t now_ns, struct pl_out *out)
{
	if (m->kind < PL_MESSAGE_KINDS)
		handlers[((struct container *)state)->state][m->kind](state, m, now_ns, out);
}

static uint32_t container_state_of(const void *state)
{
	return ((const struct container *)state)->state;
}

/* The same machine twice: what is delivered to it makes the difference. */
const struct pl_kind pl_container = {
	.name = "container",
	.states = container_states,
	.state_count = CONTAINER_STATES,
	.bytes = container_bytes,
	.init = container_init,
	.step = container_step,
	.state_of = container_state_of,
};

const struct pl_kind pl_stream_container = {
	.name = "stream-container",
	.states = container_states,
	.state_count = CONTAINER_STATES,
	.bytes = container_bytes,
	.init = container_init,
	.step = container_step,
	.state_of = container_state_of,
};
