/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The record source: publishes what PUBLISH says, one record at a time, where its DNS says: to a
 * queue or stream, or, when params.next is set, by calling an API. The next record follows when the
 * last was accepted; a refusal ends it, and PUBLISHED says how far it came. FULL is no refusal: the
 * same record is tried again after a back-off.
 *
 * It keeps a DNS answer as long as the answer says; params.ttl_ns above that is a resolver that
 * keeps it too long.
 */
#include "tests/pipeline/handlers.h"

enum source_state { SOURCE_IDLE, SOURCE_RESOLVES, SOURCE_PUBLISHES, SOURCE_WAITS, SOURCE_STATES };
static const char *const source_states[] = {"idle", "resolves", "publishes", "waits-for-room"};

struct source {
	struct pl_params params;
	uint64_t back_off_ns;
	uint64_t next, end;	/* ids: the record in hand, the first one behind the batch */
	uint64_t kept_until_ns; /* the DNS answer below */
	uint32_t state;
	uint32_t life, request, last_request;
	uint32_t endpoint, region;	    /* region 0: nothing is kept */
	uint32_t asked_from, asked_request; /* PUBLISH */
};

static size_t source_bytes(const struct pl_params *params)
{
	return sizeof(struct source);
}

static void source_init(void *state, const struct pl_params *params, struct pl_out *out)
{
	struct source *s = state;
	memcpy(&s->params, params, sizeof(s->params));
	s->params.scenario = NULL;
	out->timer_ns = PL_NEVER;
}

static struct pl_record in_hand(const struct source *s)
{
	return (struct pl_record){.id = s->next, .value = pl_value_of(s->params.seed, s->next)};
}

static struct pl_message *
request(struct source *s, uint8_t to, enum pl_message_kind kind, struct pl_out *out)
{
	s->request = s->last_request = pl_request_after(s->last_request, s->life);
	return pl_send(out, to, kind, s->request);
}

static void publish_one(struct source *s, struct pl_out *out)
{
	bool calls = s->params.next != PL_NOBODY;
	struct pl_message *m = request(s, (uint8_t)s->endpoint, calls ? PL_CALL : PL_SEND, out);
	m->count = 1;
	m->records[0] = in_hand(s);
	s->state = SOURCE_PUBLISHES;
}

static void begin_record(struct source *s, uint64_t now_ns, struct pl_out *out)
{
	out->timer_ns = PL_NEVER;
	if (s->region != 0 && now_ns < s->kept_until_ns) {
		publish_one(s, out);
		return;
	}
	s->region = 0;
	request(s, s->params.through, PL_RESOLVE, out)->region = 0;
	s->state = SOURCE_RESOLVES;
}

static void finish(struct source *s, enum pl_status status, struct pl_out *out)
{
	struct pl_message *m = pl_send(out, (uint8_t)s->asked_from, PL_PUBLISHED, s->asked_request);
	m->status = (uint8_t)status;
	m->position = s->next;
	s->state = SOURCE_IDLE;
	s->request = s->asked_from = s->asked_request = 0;
	s->back_off_ns = 0;
	out->timer_ns = PL_NEVER;
}

PL_ON(publish)
{
	struct source *s = state;
	s->asked_from = m->from;
	s->asked_request = m->request;
	s->next = m->position;
	s->end = m->position + m->argument;
	if (m->position == 0)
		finish(s, PL_FAILED, out);
	else if (m->argument == 0)
		finish(s, PL_OK, out);
	else
		begin_record(s, now_ns, out);
}

PL_ON(publish_busy)
{
	pl_reply(out, m, PL_PUBLISHED, PL_FAILED)->position = m->position;
}

static bool expected(struct source *s, const struct pl_message *m, struct pl_out *out)
{
	if (m->request == s->request || pl_has(s->params.defects, PL_DEFECT_NO_REQUEST_IDS))
		return true;
	pl_stray(s, m, 0, out);
	return false;
}

static void refused(struct source *s, struct pl_out *out)
{
	pl_effect_in(out, PL_EFFECT_REFUSED, s->region, in_hand(s));
	s->region = 0; /* what is kept did not serve: ask again next time */
	finish(s, PL_FAILED, out);
}

PL_ON(resolved)
{
	struct source *s = state;
	if (!expected(s, m, out))
		return;
	if (m->status != PL_OK) {
		refused(s, out);
		return;
	}
	uint64_t keep_ns = m->position > s->params.ttl_ns ? m->position : s->params.ttl_ns;
	s->endpoint = m->argument;
	s->region = m->region;
	s->kept_until_ns = now_ns + keep_ns;
	publish_one(s, out);
}

PL_ON(answered)
{
	struct source *s = state;
	bool calls = s->params.next != PL_NOBODY;
	if (calls != (m->kind == PL_CALL_DONE)) {
		pl_stray(s, m, now_ns, out);
		return;
	}
	if (!expected(s, m, out))
		return;
	if (m->status == PL_FULL) {
		s->request = 0;
		s->state = SOURCE_WAITS;
		out->timer_ns = now_ns + pl_back_off(&s->back_off_ns, &s->params);
		return;
	}
	if (m->status != PL_OK) {
		refused(s, out);
		return;
	}
	pl_send(out, s->params.through, PL_ROUTE_USED, s->request)->argument =
		(uint16_t)s->endpoint;
	pl_effect_in(out, PL_EFFECT_PUBLISHED, s->region, in_hand(s));
	s->back_off_ns = 0;
	s->next++;
	if (s->next == s->end)
		finish(s, PL_OK, out);
	else
		begin_record(s, now_ns, out);
}

PL_ON(try_again)
{
	begin_record(state, now_ns, out);
}

/* It forgets what it publishes; who asked for it hears how far it came. */
PL_ON(crash)
{
	struct source *s = state;
	if (s->asked_request != 0)
		finish(s, PL_FAILED, out);
	s->life++;
	s->last_request = s->region = 0;
	pl_reply(out, m, PL_COMMAND_DONE, PL_OK);
}

/* clang-format off */
#define NOT_A_SOURCES_BUSINESS                                                                     \
	PL_NO_TRANSPORT, PL_NO_WATCH, PL_NO_DATABASE, PL_NO_MEMBER, PL_NO_REPLICATOR, PL_NO_API,   \
	PL_NO_ROUTING, PL_NO_SIDES, PL_NO_REGIONS, PL_NO_CARRYING, PL_STRAY_WATCH,                 \
	PL_STRAY_DATABASE, PL_STRAY_MEMBER, PL_STRAY_REPLICATOR, PL_STRAY_COMMANDS,                \
	[PL_DELIVERY] = pl_stray, [PL_REMOVE_DONE] = pl_stray,                                     \
	/* It is not one of what fails. */                                                         \
	[PL_FAIL] = pl_refuse, [PL_RECOVER] = pl_agree, [PL_CRASH] = crash
#define NO_ANSWER_DUE [PL_SEND_DONE] = pl_stray, PL_STRAY_API
PL_HANDLERS(handlers, SOURCE_STATES) = {
	[SOURCE_IDLE] = {
		[PL_PUBLISH] = publish, NO_ANSWER_DUE, PL_STRAY_ROUTING, [PL_TIMER] = pl_no_timer,
		NOT_A_SOURCES_BUSINESS,
	},
	[SOURCE_RESOLVES] = {
		[PL_PUBLISH] = publish_busy, [PL_RESOLVED] = resolved, NO_ANSWER_DUE,
		[PL_TIMER] = pl_no_timer, NOT_A_SOURCES_BUSINESS,
	},
	[SOURCE_PUBLISHES] = {
		[PL_PUBLISH] = publish_busy, [PL_SEND_DONE] = answered, [PL_CALL_DONE] = answered,
		PL_STRAY_ROUTING, [PL_TIMER] = pl_no_timer, NOT_A_SOURCES_BUSINESS,
	},
	[SOURCE_WAITS] = {
		[PL_PUBLISH] = publish_busy, [PL_TIMER] = try_again, NO_ANSWER_DUE,
		PL_STRAY_ROUTING, NOT_A_SOURCES_BUSINESS,
	},
};
/* clang-format on */

static void
source_step(void *state, const struct pl_message *m, uint64_t now_ns, struct pl_out *out)
{
	if (m->kind < PL_MESSAGE_KINDS)
		handlers[((struct source *)state)->state][m->kind](state, m, now_ns, out);
}

static uint32_t source_state_of(const void *state)
{
	return ((const struct source *)state)->state;
}

const struct pl_kind pl_source = {
	.name = "source",
	.states = source_states,
	.state_count = SOURCE_STATES,
	.bytes = source_bytes,
	.init = source_init,
	.step = source_step,
	.state_of = source_state_of,
};
