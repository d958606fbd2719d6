/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The API container: called with a record, it writes it to its database, then calls the next API
 * or publishes to a stream, and answers OK only when all succeeded. The caller keeps its record
 * until then, so nothing is tried again here but what was FULL.
 *
 *   idle                  nobody calls
 *   writes, passes-on     waits for that reply
 *   waits-for-room        the step was answered FULL: it is tried again
 *   stopped               the last call failed at a dependency. The next call is the probe: it is
 *                         tried, and what comes of it is the answer
 *   failed                by itself: every call is answered FAILED
 *
 * It has one call at a time; another one is answered FULL, which asks the caller to come again.
 * FAIL and CRASH break the connection of an open call: its caller sees FAILED at once, and may do
 * the call again, whatever had been done of it: each step is idempotent by record id.
 */
#include "tests/pipeline/handlers.h"

enum api_state {
	API_IDLE,
	API_WRITES,
	API_PASSES_ON,
	API_WAITS_FOR_ROOM,
	API_STOPPED,
	API_FAILED,
	API_STATES,
};
static const char *const api_states[] = {
	"idle",
	"writes",
	"passes-on",
	"waits-for-room",
	"stopped",
	"failed",
};

struct api {
	struct pl_params params;
	struct pl_watch watch; /* of calls answered OK, the same record done again apart */
	uint64_t back_off_ns;
	uint64_t succeeded; /* id of the last record answered OK */
	uint32_t state;
	uint32_t step; /* writes or passes on: what is done again after waiting */
	uint32_t life;
	uint32_t request, last_request;
	uint32_t caller, caller_request; /* of the open call; request 0: none */
	struct pl_record record;
};

static size_t api_bytes(const struct pl_params *params)
{
	return sizeof(struct api);
}

static void api_init(void *state, const struct pl_params *params, struct pl_out *out)
{
	struct api *a = state;
	memcpy(&a->params, params, sizeof(a->params));
	a->params.scenario = NULL;
	out->timer_ns = PL_NEVER;
}

static void enter(struct api *a, uint32_t state, struct pl_out *out)
{
	bool was_well = a->state < API_STOPPED, is_well = state < API_STOPPED;
	if (!was_well || !is_well)
		pl_state_effect(out, a->state, state);
	a->state = state;
}

static void begin(struct api *a, uint32_t step, struct pl_out *out)
{
	bool writes = step == API_WRITES, calls = a->params.next != PL_NOBODY;
	uint8_t to = writes ? a->params.database : calls ? a->params.next : a->params.output;
	if (pl_has(a->params.defects, PL_DEFECT_CONTAINER_WRONG_REGION) && !writes &&
	    a->record.id % 8 == 0)
		to = a->params.region == 1 ? to + 1 : to - 1;
	a->request = a->last_request = pl_request_after(a->last_request, a->life);
	struct pl_message *m =
		pl_send(out,
			to,
			writes	? PL_WRITE
			: calls ? PL_CALL
				: PL_SEND,
			a->request);
	m->count = 1;
	m->records[0] = a->record;
	a->step = step;
	enter(a, step, out);
	out->timer_ns = PL_NEVER;
}

/* The write comes first, then what follows; a defect turns that round. */
static uint32_t first_step(const struct api *a)
{
	return pl_has(a->params.defects, PL_DEFECT_SEND_FIRST) ? API_PASSES_ON : API_WRITES;
}

static void answer(struct api *a, enum pl_status status, struct pl_out *out)
{
	if (a->caller_request == 0)
		return;
	struct pl_message *m = pl_send(out, (uint8_t)a->caller, PL_CALL_DONE, a->caller_request);
	m->status = (uint8_t)status;
	m->count = 1;
	m->records[0] = a->record;
	a->caller = a->caller_request = a->request = 0;
	a->record = (struct pl_record){0};
}

PL_ON(called)
{
	struct api *a = state;
	if (m->count != 1 || m->records[0].id == 0) {
		pl_reply(out, m, PL_CALL_DONE, PL_FAILED);
		return;
	}
	a->caller = m->from;
	a->caller_request = m->request;
	a->record = m->records[0];
	if (pl_has(a->params.defects, PL_DEFECT_CHANGES_VALUE) && a->record.id % 8 == 0)
		a->record.value++;
	pl_effect(out, PL_EFFECT_IN_HAND, a->record);
	begin(a, first_step(a), out);
}

PL_ON(called_busy)
{
	pl_reply(out, m, PL_CALL_DONE, PL_FULL);
}

/* The call is the probe. */
PL_ON(called_stopped)
{
	struct api *a = state;
	if (pl_has(a->params.defects, PL_DEFECT_EDGE_RECOVERY) ||
	    pl_has(a->params.defects, PL_DEFECT_NEVER_PROBES))
		pl_refuse(a, m, now_ns, out);
	else
		called(a, m, now_ns, out);
}

static bool
succeeded(struct api *a, const struct pl_message *m, uint64_t now_ns, struct pl_out *out)
{
	if (m->request != a->request && !pl_has(a->params.defects, PL_DEFECT_NO_REQUEST_IDS)) {
		pl_stray(a, m, now_ns, out);
		return false;
	}
	if (m->status == PL_OK)
		return true;
	if (m->status == PL_FULL) {
		a->request = 0;
		enter(a, API_WAITS_FOR_ROOM, out);
		out->timer_ns = now_ns + pl_back_off(&a->back_off_ns, &a->params);
		return false;
	}
	answer(a, PL_FAILED, out);
	enter(a, API_STOPPED, out);
	return false;
}

static void all_done(struct api *a, struct pl_out *out)
{
	a->back_off_ns = 0;
	if (a->record.id != a->succeeded)
		a->watch.taken++;
	a->succeeded = a->record.id;
	answer(a, PL_OK, out);
	enter(a, API_IDLE, out);
	pl_watch_look(&a->watch, out);
}

PL_ON(written)
{
	struct api *a = state;
	if (!succeeded(a, m, now_ns, out))
		return;
	if (first_step(a) == API_WRITES)
		begin(a, API_PASSES_ON, out);
	else
		all_done(a, out);
}

/* The reply of the next API or of the stream; `wrong`: it has the other one's kind. */
PL_ON(passed_on)
{
	struct api *a = state;
	bool calls = a->params.next != PL_NOBODY;
	if (calls != (m->kind == PL_CALL_DONE)) {
		pl_stray(a, m, now_ns, out);
		return;
	}
	if (!succeeded(a, m, now_ns, out))
		return;
	if (first_step(a) == API_PASSES_ON)
		begin(a, API_WRITES, out);
	else
		all_done(a, out);
}

PL_ON(do_again)
{
	struct api *a = state;
	begin(a, a->step, out);
}

PL_ON(hint)
{
	struct api *a = state;
	if (!pl_has(a->params.defects, PL_DEFECT_NEVER_PROBES))
		enter(a, API_IDLE, out);
	pl_reply(out, m, PL_COMMAND_DONE, PL_OK);
}

PL_ON(fail)
{
	struct api *a = state;
	answer(a, PL_FAILED, out);
	enter(a, API_FAILED, out);
	out->timer_ns = PL_NEVER;
	pl_reply(out, m, PL_COMMAND_DONE, PL_OK);
}

PL_ON(recover)
{
	enter(state, API_IDLE, out);
	pl_reply(out, m, PL_COMMAND_DONE, PL_OK);
}

PL_ON(crash)
{
	struct api *a = state;
	answer(a, PL_FAILED, out);
	a->back_off_ns = 0;
	a->last_request = 0;
	a->life++;
	if (a->state != API_FAILED) /* whoever failed it has not recovered it */
		enter(a, API_IDLE, out);
	out->timer_ns = PL_NEVER;
	pl_reply(out, m, PL_COMMAND_DONE, PL_OK);
}

PL_ON(watch)
{
	pl_watch_set(&((struct api *)state)->watch, m, out);
}

/* clang-format off */
#define NOT_AN_APIS_BUSINESS                                                                       \
	PL_NO_TRANSPORT, PL_NO_DATABASE, PL_NO_MEMBER, PL_NO_REPLICATOR, PL_NO_ROUTING,            \
	PL_NO_SOURCE, PL_NO_SIDES, PL_NO_REGIONS, PL_NO_CARRYING, PL_STRAY_WATCH, PL_STRAY_MEMBER, \
	PL_STRAY_REPLICATOR, PL_STRAY_ROUTING, PL_STRAY_COMMANDS, [PL_DELIVERY] = pl_stray,        \
	[PL_REMOVE_DONE] = pl_stray, [PL_NOTIFY_AT] = watch, [PL_CRASH] = crash
#define NO_ANSWER_DUE                                                                              \
	PL_STRAY_DATABASE, PL_STRAY_API, [PL_SEND_DONE] = pl_stray
PL_HANDLERS(handlers, API_STATES) = {
	[API_IDLE] = {
		[PL_CALL] = called, [PL_FAIL] = fail, [PL_RECOVER] = pl_agree,
		[PL_TIMER] = pl_no_timer, NO_ANSWER_DUE, NOT_AN_APIS_BUSINESS,
	},
	[API_WRITES] = {
		[PL_CALL] = called_busy, [PL_WRITE_DONE] = written,
		PL_STRAY_API, [PL_SEND_DONE] = pl_stray, [PL_TIMER] = pl_no_timer,
		[PL_FAIL] = fail, [PL_RECOVER] = pl_agree, NOT_AN_APIS_BUSINESS,
	},
	[API_PASSES_ON] = {
		[PL_CALL] = called_busy, [PL_SEND_DONE] = passed_on, [PL_CALL_DONE] = passed_on,
		PL_STRAY_DATABASE, [PL_TIMER] = pl_no_timer,
		[PL_FAIL] = fail, [PL_RECOVER] = pl_agree, NOT_AN_APIS_BUSINESS,
	},
	[API_WAITS_FOR_ROOM] = {
		[PL_CALL] = called_busy, [PL_TIMER] = do_again, NO_ANSWER_DUE,
		[PL_FAIL] = fail, [PL_RECOVER] = pl_agree, NOT_AN_APIS_BUSINESS,
	},
	[API_STOPPED] = {
		[PL_CALL] = called_stopped, [PL_RECOVER] = hint, [PL_FAIL] = fail,
		[PL_TIMER] = pl_no_timer, NO_ANSWER_DUE, NOT_AN_APIS_BUSINESS,
	},
	[API_FAILED] = {
		[PL_CALL] = pl_refuse, [PL_RECOVER] = recover, [PL_FAIL] = pl_agree,
		[PL_TIMER] = pl_no_timer, NO_ANSWER_DUE, NOT_AN_APIS_BUSINESS,
	},
};
/* clang-format on */

static void api_step(void *state, const struct pl_message *m, uint64_t now_ns, struct pl_out *out)
{
	if (m->kind < PL_MESSAGE_KINDS)
		handlers[((struct api *)state)->state][m->kind](state, m, now_ns, out);
}

static uint32_t api_state_of(const void *state)
{
	return ((const struct api *)state)->state;
}

const struct pl_kind pl_api_container = {
	.name = "api-container",
	.states = api_states,
	.state_count = API_STATES,
	.bytes = api_bytes,
	.init = api_init,
	.step = api_step,
	.state_of = api_state_of,
};
