/* SPDX-License-Identifier: BSD-3-Clause
 *
 * How a machine says what it does with each message in each state: a table [state][message] of
 * handlers without a gap. What a kind of machine has no business with is an entry as well, taken
 * from here: requests are refused with their own reply, replies are strays.
 */
#pragma once

#include "tests/pipeline/machine.h"

/* The head of a handler; `m` is the message. */
#define PL_ON(name)                                                                          \
	static void name(                                                                    \
		void *state, const struct pl_message *m, uint64_t now_ns, struct pl_out *out \
	)
#define PL_HANDLERS(name, states)                          \
	static void (*const name[states][PL_MESSAGE_KINDS] \
	)(void *, const struct pl_message *, uint64_t, struct pl_out *)

/* Answers a request with its reply and FAILED; what has no reply is ignored. */
void pl_refuse(void *state, const struct pl_message *m, uint64_t now_ns, struct pl_out *out);
/* Tells of a reply that answers nothing (record: its request, its kind), and drops it. */
void pl_stray(void *state, const struct pl_message *m, uint64_t now_ns, struct pl_out *out);
void pl_ignore(void *state, const struct pl_message *m, uint64_t now_ns, struct pl_out *out);
/* A time that has come for nothing: there is none any more. */
void pl_no_timer(void *state, const struct pl_message *m, uint64_t now_ns, struct pl_out *out);
/* COMMAND_DONE: there is nothing to do, and that is well. */
void pl_agree(void *state, const struct pl_message *m, uint64_t now_ns, struct pl_out *out);
/* PL_MESSAGE_KINDS when nothing answers it. */
uint32_t pl_answer_of(uint32_t kind);

/* The state of record is `to` now. */
static inline void pl_state_effect(struct pl_out *out, uint32_t from, uint32_t to)
{
	pl_effect(out, PL_EFFECT_STATE, (struct pl_record){.id = from, .value = to});
}

static inline void
pl_effect_in(struct pl_out *out, enum pl_effect_kind kind, uint32_t region, struct pl_record record)
{
	pl_effect(out, kind, record);
	out->effects[out->effect_count - 1].region = (uint8_t)region;
}

/* 1 … 1023 lives of 4 million requests each: after a crash no id is that of the life before. */
#define PL_LIFE_BITS 22
static inline uint32_t pl_request_after(uint32_t request, uint32_t life)
{
	uint32_t mask = (1u << PL_LIFE_BITS) - 1, next = (request + 1) & mask;
	return (life & 1023) << PL_LIFE_BITS | (next ? next : 1);
}

/* A watch on how many records were taken in all; a newer one replaces it. */
struct pl_watch {
	uint64_t at; /* 0: none */
	uint64_t taken;
	uint32_t request;
	uint8_t from;
	uint8_t zero[3];
};

static inline void pl_watch_look(struct pl_watch *watch, struct pl_out *out)
{
	if (watch->at == 0 || watch->taken < watch->at)
		return;
	pl_send(out, watch->from, PL_NOTIFY, watch->request)->position = watch->at;
	watch->at = 0;
}

static inline void
pl_watch_set(struct pl_watch *watch, const struct pl_message *m, struct pl_out *out)
{
	if (m->position == 0) {
		pl_reply(out, m, PL_NOTIFY, PL_OK);
		return;
	}
	watch->at = m->position;
	watch->request = m->request;
	watch->from = m->from;
	pl_watch_look(watch, out);
}

/* Back-off: doubles from the least to the most, and begins anew after a success. */
static inline uint64_t pl_back_off(uint64_t *last_ns, const struct pl_params *params)
{
	uint64_t ns = *last_ns == 0 ? params->probe_min_ns : 2 * *last_ns;
	if (ns > params->probe_max_ns)
		ns = params->probe_max_ns;
	*last_ns = ns ? ns : 1;
	return *last_ns;
}

/* ---- entries for what a kind of machine has no business with ---- */

#define PL_NO_TRANSPORT                                                           \
	[PL_SEND] = pl_refuse, [PL_RECEIVE] = pl_refuse, [PL_REMOVE] = pl_refuse, \
	[PL_DEPTH] = pl_refuse
#define PL_NO_WATCH [PL_NOTIFY_AT] = pl_refuse
#define PL_NO_DATABASE [PL_WRITE] = pl_refuse
#define PL_NO_MEMBER [PL_MEMBER_WRITE] = pl_refuse
#define PL_NO_REPLICATOR [PL_CARRY] = pl_refuse, [PL_DRAIN] = pl_refuse
#define PL_NO_API [PL_CALL] = pl_refuse
#define PL_NO_ROUTING [PL_RESOLVE] = pl_refuse, [PL_ROUTE_USED] = pl_ignore
#define PL_NO_SOURCE [PL_PUBLISH] = pl_refuse
/* Commands: one that a machine has no use for is answered FAILED. */
#define PL_NO_SIDES [PL_SWITCH] = pl_refuse, [PL_SWITCH_FORCED] = pl_refuse
#define PL_NO_REGIONS [PL_OFFLINE] = pl_refuse, [PL_ONLINE] = pl_refuse
#define PL_NO_CARRYING [PL_STOP_CARRYING] = pl_refuse, [PL_CARRY_AGAIN] = pl_refuse
/* Replies: what was never asked. */
#define PL_STRAY_TRANSPORT \
	[PL_SEND_DONE] = pl_stray, [PL_DELIVERY] = pl_stray, [PL_REMOVE_DONE] = pl_stray
#define PL_STRAY_WATCH [PL_DEPTH_DONE] = pl_stray, [PL_NOTIFY] = pl_stray
#define PL_STRAY_DATABASE [PL_WRITE_DONE] = pl_stray
#define PL_STRAY_MEMBER [PL_MEMBER_DONE] = pl_stray
#define PL_STRAY_REPLICATOR [PL_CARRIED] = pl_stray, [PL_DRAINED] = pl_stray
#define PL_STRAY_API [PL_CALL_DONE] = pl_stray
#define PL_STRAY_ROUTING [PL_RESOLVED] = pl_stray
#define PL_STRAY_COMMANDS [PL_PUBLISHED] = pl_stray, [PL_COMMAND_DONE] = pl_stray
