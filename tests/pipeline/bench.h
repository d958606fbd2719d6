/* SPDX-License-Identifier: BSD-3-Clause
 *
 * One machine on a bench: a test feeds it messages and reads what it gives out.
 */
#pragma once

/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */

#include "tests/pipeline/machine.h"

#include <stdlib.h>

#define BENCH_SELF 10
#define BENCH_ASKER 20 /* who asks it, where that does not matter */

struct bench {
	const struct pl_kind *kind;
	struct pl_params params;
	void *state;
	uint64_t now_ns;
	struct pl_out out; /* of the last message; timer_ns stands */
};

static inline struct pl_params bench_params(void)
{
	struct pl_params params = {
		.seed = 7,
		.probe_min_ns = 100,
		.probe_max_ns = 400,
		.poll_ns = 1000,
		.capacity = 16,
		.ids = 64,
		.self = BENCH_SELF,
		.region = 1,
		.input = 1,
		.database = 3,
		.output = 5,
		.next = PL_NOBODY,
		.through = 7,
		.members = {11, 12, 13},
		.replicators = {14, 15},
		.endpoints = {1, 2},
		.endpoint_count = 2,
		.consumers = 1,
	};
	return params;
}

static inline void bench_fresh_out(struct bench *b)
{
	b->out.message_count = b->out.effect_count = 0;
	b->out.self = b->params.self;
	b->out.region = b->params.region;
}

static inline struct bench bench_begin(const struct pl_kind *kind, struct pl_params params)
{
	struct bench b = {.kind = kind, .params = params};
	b.state = calloc(1, kind->bytes(&params));
	assert_non_null(b.state);
	b.out.timer_ns = PL_NEVER;
	bench_fresh_out(&b);
	kind->init(b.state, &params, &b.out);
	return b;
}

static inline struct bench bench_of(const struct pl_kind *kind)
{
	return bench_begin(kind, bench_params());
}

static inline void bench_end(struct bench *b)
{
	free(b->state);
}

static inline struct pl_message say(enum pl_message_kind kind, uint8_t from, uint32_t request)
{
	struct pl_message m = {.kind = kind, .from = from, .to = BENCH_SELF, .request = request};
	return m;
}

static inline struct pl_message
say_record(enum pl_message_kind kind, uint8_t from, uint32_t request, uint64_t id)
{
	struct pl_message m = say(kind, from, request);
	m.count = 1;
	m.records[0].id = id;
	m.records[0].value = 100 * id;
	return m;
}

static inline void bench_feed(struct bench *b, struct pl_message m)
{
	bench_fresh_out(b);
	b->kind->step(b->state, &m, b->now_ns, &b->out);
	assert_true(b->out.message_count <= PL_OUT_MESSAGES_MAX);
	assert_true(b->out.effect_count <= PL_OUT_EFFECTS_MAX);
}

/* Lets the time come that it set. */
static inline void bench_timer(struct bench *b)
{
	assert_true(b->out.timer_ns != PL_NEVER);
	if (b->out.timer_ns > b->now_ns)
		b->now_ns = b->out.timer_ns;
	b->out.timer_ns = PL_NEVER;
	bench_feed(b, say(PL_TIMER, BENCH_SELF, 0));
}

/* Of the last message: what it sent of this kind (the first one), or NULL. */
static inline struct pl_message *bench_sent(struct bench *b, enum pl_message_kind kind)
{
	for (uint32_t i = 0; i < b->out.message_count; i++)
		if (b->out.messages[i].kind == kind)
			return &b->out.messages[i];
	return NULL;
}

/* The one message that it sent. */
static inline struct pl_message *bench_only(struct bench *b, enum pl_message_kind kind)
{
	assert_int_equal(b->out.message_count, 1);
	assert_string_equal(pl_message_name(b->out.messages[0].kind), pl_message_name(kind));
	return &b->out.messages[0];
}

static inline uint32_t bench_effects(const struct bench *b, enum pl_effect_kind kind)
{
	uint32_t count = 0;
	for (uint32_t i = 0; i < b->out.effect_count; i++)
		count += b->out.effects[i].kind == kind;
	return count;
}

static inline const char *bench_state(const struct bench *b)
{
	return b->kind->states[b->kind->state_of(b->state)];
}

/* The answer to `asked`: its kind, its request, from whom it went to. */
static inline struct pl_message
bench_answer(const struct pl_message *asked, enum pl_message_kind kind, enum pl_status status)
{
	struct pl_message m = say(kind, asked->to, asked->request);
	m.status = (uint8_t)status;
	return m;
}

/* Sends a command and wants this answer to it. */
static inline void
bench_command(struct bench *b, enum pl_message_kind kind, uint8_t region, enum pl_status status)
{
	struct pl_message m = say(kind, BENCH_ASKER, 999);
	m.region = region;
	bench_feed(b, m);
	struct pl_message *done = NULL;
	for (uint32_t i = 0; i < b->out.message_count; i++)
		if (b->out.messages[i].kind == PL_COMMAND_DONE && b->out.messages[i].request == 999)
			done = &b->out.messages[i];
	assert_non_null(done);
	assert_string_equal(pl_status_name(done->status), pl_status_name(status));
}
