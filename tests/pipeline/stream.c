/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The stream: a log with an offset for each consumer group. RECEIVE hands out what stands at the
 * group's offset, up to a batch; a short rest at once as well, so that nothing waits for company:
 * batches fill by themselves when the consumer is slower than the producer. REMOVE advances the
 * offset, when it names the delivery that begins there: position, incarnation and records. What is
 * below the offsets of all groups that ever asked makes room for new records.
 *
 * A SEND that begins as the last one of the same sender did is that one done again, by a container
 * that forgot that it had sent (its batch may have grown since then): only what goes beyond it is
 * appended. Failing keeps the content; CRASH makes the stream anew, as it does a queue.
 */
#include "tests/pipeline/handlers.h"

#define STREAM_GROUPS_MAX 2

enum stream_state { STREAM_SERVES, STREAM_FAILED, STREAM_STATES };
static const char *const stream_states[] = {"serves", "failed"};

struct stream_group {
	uint64_t offset;  /* position of what it gets next; 0: this group never asked */
	uint32_t request; /* of who waits, 0: nobody */
	uint32_t from;
};

struct stream {
	uint64_t defects;
	uint64_t base, end; /* positions of the oldest record kept, and of the next one to come */
	uint32_t state;
	uint32_t incarnation;
	uint32_t capacity, first; /* records[first] is at `base` */
	uint32_t sender, accepted_count;
	uint64_t accepted[PL_BATCH_MAX]; /* ids of the last SEND that was accepted */
	struct pl_watch watch;
	struct stream_group groups[STREAM_GROUPS_MAX];
	struct pl_record records[]; /* ring of `capacity` */
};

static size_t stream_bytes(const struct pl_params *params)
{
	return sizeof(struct stream) + params->capacity * sizeof(struct pl_record);
}

static void stream_init(void *state, const struct pl_params *params, struct pl_out *out)
{
	struct stream *s = state;
	s->defects = params->defects;
	s->capacity = params->capacity;
	s->incarnation = 1;
	s->base = s->end = 1;
	out->timer_ns = PL_NEVER;
}

/* Of a position from `base` up to `base + capacity - 1`. */
static struct pl_record *record_at(struct stream *s, uint64_t position)
{
	uint32_t slot = s->first + (uint32_t)(position - s->base);
	return &s->records[slot < s->capacity ? slot : slot - s->capacity];
}

/* Hands out up to a batch from the group's offset; 0: there is nothing. */
static uint32_t
hand_out(struct stream *s, uint64_t offset, uint8_t to, uint32_t request, struct pl_out *out)
{
	uint64_t left = s->end - offset;
	uint32_t count = left < PL_BATCH_MAX ? (uint32_t)left : PL_BATCH_MAX;
	if (count == 0)
		return 0;
	struct pl_message *delivery = pl_send(out, to, PL_DELIVERY, request);
	delivery->count = (uint8_t)count;
	delivery->position = offset;
	delivery->incarnation = s->incarnation;
	for (uint32_t i = 0; i < count; i++) {
		delivery->records[i] = *record_at(s, offset + i);
		pl_effect(out, PL_EFFECT_DELIVERED, delivery->records[i]);
	}
	return count;
}

static void serve_waiters(struct stream *s, struct pl_out *out)
{
	for (uint32_t i = 0; i < STREAM_GROUPS_MAX; i++) {
		struct stream_group *group = &s->groups[i];
		if (group->request != 0 &&
		    hand_out(s, group->offset, (uint8_t)group->from, group->request, out) > 0)
			group->request = group->from = 0;
	}
}

/* How many records at the beginning of this SEND were accepted with the last one. */
static uint32_t done_before(const struct stream *s, const struct pl_message *m)
{
	uint32_t count = 0;
	if (s->sender != m->from)
		return 0;
	while (count < m->count && count < s->accepted_count &&
	       s->accepted[count] == m->records[count].id)
		count++;
	return count;
}

static void append(struct stream *s, struct pl_record record, struct pl_out *out)
{
	s->watch.taken++;
	if (pl_has(s->defects, PL_DEFECT_QUEUE_DROPS) && record.id % 8 == 0)
		return;
	*record_at(s, s->end) = record;
	s->end++;
	pl_effect(out, PL_EFFECT_ACCEPTED, record);
}

PL_ON(take)
{
	struct stream *s = state;
	if (m->count == 0 || m->count > PL_BATCH_MAX) {
		pl_reply(out, m, PL_SEND_DONE, PL_FAILED);
		return;
	}
	for (uint32_t i = 0; i < m->count; i++)
		pl_effect(out, PL_EFFECT_SENT, m->records[i]);
	uint32_t before = done_before(s, m);
	if (s->end - s->base + m->count - before > s->capacity) {
		pl_reply(out, m, PL_SEND_DONE, PL_FULL);
		return;
	}
	for (uint32_t i = before; i < m->count; i++)
		append(s, m->records[i], out);
	s->sender = m->from;
	s->accepted_count = m->count;
	for (uint32_t i = 0; i < PL_BATCH_MAX; i++)
		s->accepted[i] = i < m->count ? m->records[i].id : 0;
	pl_reply(out, m, PL_SEND_DONE, PL_OK);
	serve_waiters(s, out);
	pl_watch_look(&s->watch, out);
}

PL_ON(take_failed)
{
	for (uint32_t i = 0; i < m->count && i < PL_BATCH_MAX; i++)
		pl_effect(out, PL_EFFECT_SENT, m->records[i]);
	pl_reply(out, m, PL_SEND_DONE, PL_FAILED);
}

/* One consumer of a group waits at a time; another one's request takes over from it. */
static void refuse_waiter(struct stream_group *group, struct pl_out *out)
{
	if (group->request != 0)
		pl_send(out, (uint8_t)group->from, PL_DELIVERY, group->request)->status = PL_FAILED;
	group->request = group->from = 0;
}

PL_ON(receive)
{
	struct stream *s = state;
	if (m->argument >= STREAM_GROUPS_MAX) {
		pl_reply(out, m, PL_DELIVERY, PL_FAILED);
		return;
	}
	struct stream_group *group = &s->groups[m->argument];
	if (group->offset == 0)
		group->offset = s->base;
	if (hand_out(s, group->offset, m->from, m->request, out) > 0)
		return;
	if (group->from != m->from)
		refuse_waiter(group, out);
	group->request = m->request;
	group->from = m->from;
}

/* What all groups are done with makes room; at most a batch at a time, so a step stays short. */
static void make_room(struct stream *s)
{
	for (uint32_t freed = 0; freed < PL_BATCH_MAX && s->base < s->end; freed++) {
		for (uint32_t i = 0; i < STREAM_GROUPS_MAX; i++)
			if (s->groups[i].offset != 0 && s->groups[i].offset <= s->base)
				return;
		s->records[s->first] = (struct pl_record){0};
		s->first = s->first + 1 < s->capacity ? s->first + 1 : 0;
		s->base++;
	}
}

static bool
names_what_stands(struct stream *s, const struct stream_group *group, const struct pl_message *m)
{
	if (m->incarnation != s->incarnation || m->position != group->offset ||
	    group->offset == 0 || m->position + m->count > s->end)
		return false;
	for (uint32_t i = 0; i < m->count; i++)
		if (record_at(s, m->position + i)->id != m->records[i].id)
			return false;
	return true;
}

PL_ON(advance)
{
	struct stream *s = state;
	if (m->argument >= STREAM_GROUPS_MAX || m->count == 0 || m->count > PL_BATCH_MAX) {
		pl_reply(out, m, PL_REMOVE_DONE, PL_NOTHING);
		return;
	}
	struct stream_group *group = &s->groups[m->argument];
	bool named = names_what_stands(s, group, m);
	uint64_t count = m->count;
	if (pl_has(s->defects, PL_DEFECT_REMOVE_BY_POSITION) && group->offset != 0) {
		named = s->end > group->offset;
		count = count < s->end - group->offset ? count : s->end - group->offset;
	}
	if (!named) {
		for (uint32_t i = 0; i < m->count; i++)
			pl_effect(out, PL_EFFECT_NOT_REMOVED, m->records[i]);
		pl_reply(out, m, PL_REMOVE_DONE, PL_NOTHING);
		return;
	}
	for (uint64_t i = 0; i < count; i++)
		pl_effect(out, PL_EFFECT_REMOVED, *record_at(s, group->offset + i));
	group->offset += count;
	make_room(s);
	pl_reply(out, m, PL_REMOVE_DONE, PL_OK);
}

/* What waits for the group that `argument` names. */
PL_ON(depth)
{
	struct stream *s = state;
	uint64_t offset = m->argument < STREAM_GROUPS_MAX ? s->groups[m->argument].offset : 0;
	pl_reply(out, m, PL_DEPTH_DONE, PL_OK)->position = s->end - (offset ? offset : s->base);
}

PL_ON(watch)
{
	pl_watch_set(&((struct stream *)state)->watch, m, out);
}

PL_ON(fail)
{
	struct stream *s = state;
	s->state = STREAM_FAILED;
	for (uint32_t i = 0; i < STREAM_GROUPS_MAX; i++)
		refuse_waiter(&s->groups[i], out);
	pl_state_effect(out, STREAM_SERVES, STREAM_FAILED);
	pl_reply(out, m, PL_COMMAND_DONE, PL_OK);
}

PL_ON(recover)
{
	struct stream *s = state;
	s->state = STREAM_SERVES;
	pl_state_effect(out, STREAM_FAILED, STREAM_SERVES);
	pl_reply(out, m, PL_COMMAND_DONE, PL_OK);
}

PL_ON(make_anew)
{
	struct stream *s = state;
	for (uint32_t i = 0; i < STREAM_GROUPS_MAX; i++) {
		refuse_waiter(&s->groups[i], out);
		s->groups[i].offset = 0;
	}
	memset(s->records, 0, s->capacity * sizeof(s->records[0]));
	memset(s->accepted, 0, sizeof(s->accepted));
	s->accepted_count = s->sender = s->first = 0;
	s->base = s->end = 1;
	s->incarnation++;
	pl_reply(out, m, PL_COMMAND_DONE, PL_OK)->incarnation = s->incarnation;
}

/* clang-format off */
#define NOT_A_STREAMS_BUSINESS                                                                     \
	PL_NO_DATABASE, PL_NO_MEMBER, PL_NO_REPLICATOR, PL_NO_API, PL_NO_ROUTING, PL_NO_SOURCE,    \
	PL_NO_SIDES, PL_NO_REGIONS, PL_NO_CARRYING, PL_STRAY_TRANSPORT, PL_STRAY_WATCH,            \
	PL_STRAY_DATABASE, PL_STRAY_MEMBER, PL_STRAY_REPLICATOR, PL_STRAY_API, PL_STRAY_ROUTING,   \
	PL_STRAY_COMMANDS, [PL_TIMER] = pl_no_timer
PL_HANDLERS(handlers, STREAM_STATES) = {
	[STREAM_SERVES] = {
		[PL_SEND] = take, [PL_RECEIVE] = receive, [PL_REMOVE] = advance,
		[PL_DEPTH] = depth, [PL_NOTIFY_AT] = watch,
		[PL_FAIL] = fail, [PL_RECOVER] = pl_agree, [PL_CRASH] = make_anew,
		NOT_A_STREAMS_BUSINESS,
	},
	[STREAM_FAILED] = {
		[PL_SEND] = take_failed, [PL_RECEIVE] = pl_refuse, [PL_REMOVE] = pl_refuse,
		[PL_DEPTH] = pl_refuse, [PL_NOTIFY_AT] = watch,
		[PL_FAIL] = pl_agree, [PL_RECOVER] = recover, [PL_CRASH] = make_anew,
		NOT_A_STREAMS_BUSINESS,
	},
};
/* clang-format on */

static void
stream_step(void *state, const struct pl_message *m, uint64_t now_ns, struct pl_out *out)
{
	if (m->kind < PL_MESSAGE_KINDS)
		handlers[((struct stream *)state)->state][m->kind](state, m, now_ns, out);
}

static uint32_t stream_state_of(const void *state)
{
	return ((const struct stream *)state)->state;
}

const struct pl_kind pl_stream = {
	.name = "stream",
	.states = stream_states,
	.state_count = STREAM_STATES,
	.bytes = stream_bytes,
	.init = stream_init,
	.step = stream_step,
	.state_of = stream_state_of,
};
