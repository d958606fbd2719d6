/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/pipeline/front.h"

const char *const pl_front_states[PL_FRONT_STATES] = {"serves", "failed", "fenced", "forced"};

void pl_front_init(struct pl_front *front, const struct pl_params *params, struct pl_out *out)
{
	memcpy(&front->params, params, sizeof(front->params));
	front->params.scenario = NULL;
	front->epoch = 1;
	front->active = 1;
	out->timer_ns = PL_NEVER;
}

uint32_t pl_front_request(struct pl_front *front)
{
	return front->last_request = pl_request_after(front->last_request, 0);
}

uint32_t pl_front_member(const struct pl_front *front, uint8_t address)
{
	uint32_t member = 0;
	while (member < PL_REGIONS_MAX && front->params.members[member] != address)
		member++;
	return member;
}

struct pl_front_write *pl_front_take(struct pl_front *front, const struct pl_message *m)
{
	for (uint32_t i = 0; i < PL_WRITES_MAX; i++) {
		struct pl_front_write *write = &front->writes[i];
		if (write->caller_request != 0)
			continue;
		write->record = m->records[0];
		write->caller = m->from;
		write->caller_request = m->request;
		write->region = m->region;
		write->request = pl_front_request(front);
		return write;
	}
	return NULL;
}

struct pl_front_write *pl_front_find(struct pl_front *front, uint32_t request)
{
	for (uint32_t i = 0; i < PL_WRITES_MAX; i++) {
		struct pl_front_write *write = &front->writes[i];
		if (write->caller_request != 0 && !write->held && write->request == request)
			return write;
	}
	return NULL;
}

bool pl_front_under_way(const struct pl_front *front)
{
	for (uint32_t i = 0; i < PL_WRITES_MAX; i++)
		if (front->writes[i].caller_request != 0 && !front->writes[i].held)
			return true;
	return false;
}

void pl_front_to_member(
	struct pl_front *front, struct pl_front_write *write, uint32_t member, struct pl_out *out
)
{
	struct pl_message *m =
		pl_send(out, front->params.members[member], PL_MEMBER_WRITE, write->request);
	m->region = (uint8_t)(member + 1);
	m->incarnation = front->epoch;
	m->count = 1;
	m->records[0] = write->record;
	front->outstanding[member]++;
}

void pl_front_answer(
	struct pl_front *front,
	struct pl_front_write *write,
	enum pl_status status,
	struct pl_out *out
)
{
	struct pl_message *m = pl_send(out, write->caller, PL_WRITE_DONE, write->caller_request);
	m->status = (uint8_t)status;
	m->incarnation = front->epoch;
	m->count = 1;
	m->records[0] = write->record;
	if (status == PL_OK)
		pl_effect_in(out, PL_EFFECT_ANSWERED, write->region, write->record);
	memset(write, 0, sizeof(*write));
}

static void set_time_out(const struct pl_front *front, struct pl_out *out)
{
	out->timer_ns = PL_NEVER;
	for (uint32_t i = 0; i < PL_WRITES_MAX; i++) {
		const struct pl_front_write *write = &front->writes[i];
		if (write->held && write->due_ns < out->timer_ns)
			out->timer_ns = write->due_ns;
	}
}

void pl_front_hold(
	struct pl_front *front, const struct pl_message *m, uint64_t now_ns, struct pl_out *out
)
{
	struct pl_front_write *write = NULL;
	if (front->params.outage != PL_OUTAGE_REFUSE && m->count == 1)
		write = pl_front_take(front, m);
	if (!write) {
		pl_reply(out, m, PL_WRITE_DONE, PL_FAILED);
		return;
	}
	bool times_out = front->params.outage == PL_OUTAGE_TIME_OUT;
	write->held = 1;
	write->due_ns = times_out ? now_ns + front->params.poll_ns : PL_NEVER;
	set_time_out(front, out);
}

void pl_front_time_out(struct pl_front *front, uint64_t now_ns, struct pl_out *out)
{
	for (uint32_t i = 0; i < PL_WRITES_MAX; i++) {
		struct pl_front_write *write = &front->writes[i];
		if (write->held && write->due_ns <= now_ns)
			pl_front_answer(front, write, PL_FAILED, out);
	}
	set_time_out(front, out);
}

void pl_front_enter(struct pl_front *front, uint32_t state, struct pl_out *out)
{
	pl_state_effect(out, front->state, state);
	front->state = state;
}

void pl_front_switch(
	struct pl_front *front,
	const struct pl_message *m,
	uint32_t state,
	uint64_t now_ns,
	struct pl_out *out
)
{
	front->started_ns = now_ns;
	front->left_behind = 0;
	front->switch_from = m->from;
	front->switch_request = m->request;
	front->switch_to = m->region;
	pl_front_enter(front, state, out);
}

void pl_front_switch_done(
	struct pl_front *front, enum pl_status status, uint64_t position, struct pl_out *out
)
{
	struct pl_message *m =
		pl_send(out, (uint8_t)front->switch_from, PL_COMMAND_DONE, front->switch_request);
	m->status = (uint8_t)status;
	m->position = position;
	m->incarnation = front->epoch;
	m->region = (uint8_t)front->active;
	front->switch_from = front->switch_request = front->switch_to = front->asked = 0;
	pl_front_enter(front, front->fail_after ? PL_FRONT_FAILED : PL_FRONT_SERVES, out);
	front->fail_after = 0;
}

void pl_front_flip(struct pl_front *front, uint64_t position, uint64_t now_ns, struct pl_out *out)
{
	struct pl_record record = {.id = front->active, .value = now_ns - front->started_ns};
	front->active = front->switch_to;
	front->epoch++;
	pl_effect_in(out, PL_EFFECT_SWITCHED, front->active, record);
	pl_front_switch_done(front, PL_OK, position, out);
}

void pl_front_busy(void *state, const struct pl_message *m, uint64_t now_ns, struct pl_out *out)
{
	pl_reply(out, m, PL_WRITE_DONE, m->count == 1 ? PL_FULL : PL_FAILED);
}

/* What was dropped cannot be taken back: the switch is finished first. */
void pl_front_fail_forced(
	void *state, const struct pl_message *m, uint64_t now_ns, struct pl_out *out
)
{
	((struct pl_front *)state)->fail_after = 1;
	pl_reply(out, m, PL_COMMAND_DONE, PL_OK);
}

void pl_front_recover_forced(
	void *state, const struct pl_message *m, uint64_t now_ns, struct pl_out *out
)
{
	((struct pl_front *)state)->fail_after = 0;
	pl_reply(out, m, PL_COMMAND_DONE, PL_OK);
}

uint32_t pl_front_state_of(const void *state)
{
	return ((const struct pl_front *)state)->state;
}
