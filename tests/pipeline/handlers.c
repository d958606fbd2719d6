/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/pipeline/handlers.h"

uint32_t pl_answer_of(uint32_t kind)
{
	static const uint8_t answers[PL_MESSAGE_KINDS] = {
		[PL_SEND] = PL_SEND_DONE,
		[PL_RECEIVE] = PL_DELIVERY,
		[PL_REMOVE] = PL_REMOVE_DONE,
		[PL_DEPTH] = PL_DEPTH_DONE,
		[PL_NOTIFY_AT] = PL_NOTIFY,
		[PL_WRITE] = PL_WRITE_DONE,
		[PL_MEMBER_WRITE] = PL_MEMBER_DONE,
		[PL_CARRY] = PL_CARRIED,
		[PL_DRAIN] = PL_DRAINED,
		[PL_CALL] = PL_CALL_DONE,
		[PL_RESOLVE] = PL_RESOLVED,
		[PL_FAIL] = PL_COMMAND_DONE,
		[PL_RECOVER] = PL_COMMAND_DONE,
		[PL_CRASH] = PL_COMMAND_DONE,
		[PL_SWITCH] = PL_COMMAND_DONE,
		[PL_SWITCH_FORCED] = PL_COMMAND_DONE,
		[PL_OFFLINE] = PL_COMMAND_DONE,
		[PL_ONLINE] = PL_COMMAND_DONE,
		[PL_STOP_CARRYING] = PL_COMMAND_DONE,
		[PL_CARRY_AGAIN] = PL_COMMAND_DONE,
		[PL_PUBLISH] = PL_PUBLISHED,
	};
	/* 0 is SEND, a request: no reply has this number. */
	return kind < PL_MESSAGE_KINDS && answers[kind] ? answers[kind] : PL_MESSAGE_KINDS;
}

void pl_refuse(void *state, const struct pl_message *m, uint64_t now_ns, struct pl_out *out)
{
	uint32_t answer = pl_answer_of(m->kind);
	if (answer == PL_MESSAGE_KINDS || (m->kind == PL_MEMBER_WRITE && m->region == 0))
		return;
	pl_reply(out, m, answer, PL_FAILED);
}

void pl_stray(void *state, const struct pl_message *m, uint64_t now_ns, struct pl_out *out)
{
	pl_effect(out, PL_EFFECT_STRAY, (struct pl_record){.id = m->request, .value = m->kind});
}

void pl_ignore(void *state, const struct pl_message *m, uint64_t now_ns, struct pl_out *out)
{
}

void pl_no_timer(void *state, const struct pl_message *m, uint64_t now_ns, struct pl_out *out)
{
	out->timer_ns = PL_NEVER;
}

void pl_agree(void *state, const struct pl_message *m, uint64_t now_ns, struct pl_out *out)
{
	pl_reply(out, m, PL_COMMAND_DONE, PL_OK);
}
