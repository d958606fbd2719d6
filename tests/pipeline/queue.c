/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The queue: first in, first out. It hands out its head without removing it, to whoever asks, and
 * removes it when a removal names it: position, incarnation and record.
 *
 * A SEND that repeats what its sender had accepted last is that one done again, by a container that
 * forgot that it had sent: it is confirmed and not appended. Without this, each crash would add a
 * copy that all components behind carry along. It is an economy: a repeat that slips through
 * (another sender came between) passes as a record of its own, directly behind the first, and the
 * destination tells it from a new one.
 *
 * Failing keeps the content. Only CRASH makes the queue anew, empty and of another incarnation;
 * a removal from before then names nothing.
 */
#include "tests/pipeline/handlers.h"

#define QUEUE_WAITERS_MAX 4

enum queue_state { QUEUE_SERVES, QUEUE_FAILED, QUEUE_STATES };
static const char *const queue_states[] = {"serves", "failed"};

struct queue_waiter {
	uint32_t request; /* 0: nobody waits here */
	uint32_t from;
};

struct queue {
	uint64_t defects;
	uint64_t head;	   /* position of the head: 1, 2, 3 … in the life of this queue */
	uint64_t accepted; /* id of the last record accepted, and its sender */
	uint32_t sender;
	uint32_t state;
	uint32_t incarnation;
	uint32_t capacity, count, first; /* records[first] is the head */
	struct pl_watch watch;
	struct queue_waiter waiters[QUEUE_WAITERS_MAX];
	struct pl_record records[]; /* ring of `capacity` */
};

static size_t queue_bytes(const struct pl_params *params)
{
	return sizeof(struct queue) + params->capacity * sizeof(struct pl_record);
}

static void queue_init(void *state, const struct pl_params *params, struct pl_out *out)
{
	struct queue *q = state;
	q->defects = params->defects;
	q->capacity = params->capacity;
	q->incarnation = 1;
	q->head = 1;
	out->timer_ns = PL_NEVER;
}

static uint32_t slot_at(const struct queue *q, uint32_t index)
{
	uint32_t slot = q->first + index;
	return slot < q->capacity ? slot : slot - q->capacity;
}

static void hand_out(struct queue *q, uint8_t to, uint32_t request, struct pl_out *out)
{
	if (pl_has(q->defects, PL_DEFECT_QUEUE_LIFO)) {
		struct pl_record *youngest = &q->records[slot_at(q, q->count - 1)];
		struct pl_record head = q->records[q->first];
		q->records[q->first] = *youngest;
		*youngest = head;
	}
	struct pl_message *delivery = pl_send(out, to, PL_DELIVERY, request);
	delivery->count = 1;
	delivery->position = q->head;
	delivery->incarnation = q->incarnation;
	delivery->records[0] = q->records[q->first];
	pl_effect(out, PL_EFFECT_DELIVERED, q->records[q->first]);
}

static void serve_waiters(struct queue *q, struct pl_out *out)
{
	for (uint32_t i = 0; i < QUEUE_WAITERS_MAX; i++) {
		if (q->waiters[i].request == 0)
			continue;
		hand_out(q, (uint8_t)q->waiters[i].from, q->waiters[i].request, out);
		q->waiters[i].request = q->waiters[i].from = 0;
	}
}

static void append(struct queue *q, struct pl_record record, struct pl_out *out)
{
	q->watch.taken++;
	if (pl_has(q->defects, PL_DEFECT_QUEUE_DROPS) && record.id % 8 == 0)
		return;
	q->records[slot_at(q, q->count)] = record;
	q->count++;
	pl_effect(out, PL_EFFECT_ACCEPTED, record);
}

PL_ON(take)
{
	struct queue *q = state;
	struct pl_record record = m->records[0];
	if (m->count != 1 || record.id == 0) {
		pl_reply(out, m, PL_SEND_DONE, PL_FAILED);
		return;
	}
	pl_effect(out, PL_EFFECT_SENT, record);
	bool again = q->accepted == record.id && q->sender == m->from;
	if (!again && q->count == q->capacity) {
		pl_reply(out, m, PL_SEND_DONE, PL_FULL);
		return;
	}
	if (!again)
		append(q, record, out);
	q->accepted = record.id;
	q->sender = m->from;
	pl_reply(out, m, PL_SEND_DONE, PL_OK);
	if (q->count > 0)
		serve_waiters(q, out);
	pl_watch_look(&q->watch, out);
}

PL_ON(take_failed)
{
	if (m->count == 1)
		pl_effect(out, PL_EFFECT_SENT, m->records[0]);
	pl_reply(out, m, PL_SEND_DONE, PL_FAILED);
}

PL_ON(receive)
{
	struct queue *q = state;
	struct queue_waiter *place = NULL;
	if (q->count > 0) {
		hand_out(q, m->from, m->request, out);
		return;
	}
	for (uint32_t i = 0; i < QUEUE_WAITERS_MAX; i++) {
		struct queue_waiter *waiter = &q->waiters[i];
		if (waiter->request != 0 && waiter->from == m->from) {
			place = waiter; /* a newer one of the same sender replaces the older */
			break;
		}
		if (waiter->request == 0 && !place)
			place = waiter;
	}
	if (!place) {
		pl_reply(out, m, PL_DELIVERY, PL_FAILED);
		return;
	}
	place->request = m->request;
	place->from = m->from;
}

PL_ON(remove_head)
{
	struct queue *q = state;
	struct pl_record head = q->count > 0 ? q->records[q->first] : (struct pl_record){0};
	bool named = m->count == 1 && m->position == q->head && m->incarnation == q->incarnation &&
		     m->records[0].id == head.id;
	if (pl_has(q->defects, PL_DEFECT_REMOVE_BY_POSITION))
		named = true;
	if (q->count == 0 || !named) {
		pl_effect(
			out,
			PL_EFFECT_NOT_REMOVED,
			m->count > 0 ? m->records[0] : (struct pl_record){0}
		);
		pl_reply(out, m, PL_REMOVE_DONE, PL_NOTHING);
		return;
	}
	q->records[q->first] = (struct pl_record){0};
	q->first = slot_at(q, 1);
	q->count--;
	q->head++;
	pl_effect(out, PL_EFFECT_REMOVED, head);
	pl_reply(out, m, PL_REMOVE_DONE, PL_OK);
}

PL_ON(depth)
{
	pl_reply(out, m, PL_DEPTH_DONE, PL_OK)->position = ((struct queue *)state)->count;
}

/* Taken in every state: it is the scenario that watches, no operation on the queue. */
PL_ON(watch)
{
	pl_watch_set(&((struct queue *)state)->watch, m, out);
}

static void refuse_waiters(struct queue *q, struct pl_out *out)
{
	for (uint32_t i = 0; i < QUEUE_WAITERS_MAX; i++) {
		if (q->waiters[i].request == 0)
			continue;
		pl_send(out, (uint8_t)q->waiters[i].from, PL_DELIVERY, q->waiters[i].request)
			->status = PL_FAILED;
		q->waiters[i].request = q->waiters[i].from = 0;
	}
}

PL_ON(fail)
{
	struct queue *q = state;
	q->state = QUEUE_FAILED;
	refuse_waiters(q, out);
	pl_state_effect(out, QUEUE_SERVES, QUEUE_FAILED);
	pl_reply(out, m, PL_COMMAND_DONE, PL_OK);
}

PL_ON(recover)
{
	struct queue *q = state;
	q->state = QUEUE_SERVES;
	pl_state_effect(out, QUEUE_FAILED, QUEUE_SERVES);
	pl_reply(out, m, PL_COMMAND_DONE, PL_OK);
}

/* The queue is lost and made anew. Its watch stays, and so does the count of what it ever took. */
PL_ON(make_anew)
{
	struct queue *q = state;
	refuse_waiters(q, out);
	memset(q->records, 0, q->capacity * sizeof(q->records[0]));
	q->count = q->first = 0;
	q->head = 1;
	q->accepted = q->sender = 0;
	q->incarnation++;
	pl_reply(out, m, PL_COMMAND_DONE, PL_OK)->incarnation = q->incarnation;
}

/* clang-format off */
#define NOT_A_QUEUES_BUSINESS                                                                      \
	PL_NO_DATABASE, PL_NO_MEMBER, PL_NO_REPLICATOR, PL_NO_API, PL_NO_ROUTING, PL_NO_SOURCE,    \
	PL_NO_SIDES, PL_NO_REGIONS, PL_NO_CARRYING, PL_STRAY_TRANSPORT, PL_STRAY_WATCH,            \
	PL_STRAY_DATABASE, PL_STRAY_MEMBER, PL_STRAY_REPLICATOR, PL_STRAY_API, PL_STRAY_ROUTING,   \
	PL_STRAY_COMMANDS, [PL_TIMER] = pl_no_timer
PL_HANDLERS(handlers, QUEUE_STATES) = {
	[QUEUE_SERVES] = {
		[PL_SEND] = take, [PL_RECEIVE] = receive, [PL_REMOVE] = remove_head,
		[PL_DEPTH] = depth, [PL_NOTIFY_AT] = watch,
		[PL_FAIL] = fail, [PL_RECOVER] = pl_agree, [PL_CRASH] = make_anew,
		NOT_A_QUEUES_BUSINESS,
	},
	[QUEUE_FAILED] = {
		[PL_SEND] = take_failed, [PL_RECEIVE] = pl_refuse, [PL_REMOVE] = pl_refuse,
		[PL_DEPTH] = pl_refuse, [PL_NOTIFY_AT] = watch,
		[PL_FAIL] = pl_agree, [PL_RECOVER] = recover, [PL_CRASH] = make_anew,
		NOT_A_QUEUES_BUSINESS,
	},
};
/* clang-format on */

static void queue_step(void *state, const struct pl_message *m, uint64_t now_ns, struct pl_out *out)
{
	if (m->kind < PL_MESSAGE_KINDS)
		handlers[((struct queue *)state)->state][m->kind](state, m, now_ns, out);
}

static uint32_t queue_state_of(const void *state)
{
	return ((const struct queue *)state)->state;
}

const struct pl_kind pl_queue = {
	.name = "queue",
	.states = queue_states,
	.state_count = QUEUE_STATES,
	.bytes = queue_bytes,
	.init = queue_init,
	.step = queue_step,
	.state_of = queue_state_of,
};
