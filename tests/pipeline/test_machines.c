/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What holds for all kinds: names, totality (each state takes each message), and a chain of all of
 * them in one region, with failures and crashes at random, in which every record arrives once and
 * in order.
 */
#include "tests/pipeline/bench.h"
#include "tests/pipeline/handlers.h"

#include <stdio.h>

static const struct pl_kind *const kinds[] = {
	&pl_queue,
	&pl_stream,
	&pl_container,
	&pl_stream_container,
	&pl_api_container,
	&pl_async_pair,
	&pl_global_table,
	&pl_majority_triple,
	&pl_member,
	&pl_replicator,
	&pl_source,
	&pl_destination,
	&pl_dns,
};
#define KINDS (sizeof(kinds) / sizeof(kinds[0]))

static uint64_t draw(uint64_t *random)
{
	*random += 0x9e3779b97f4a7c15;
	uint64_t x = *random;
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
	x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
	return x ^ (x >> 31);
}

static void defect_names_are_those_of_the_list_when_typed_with_hyphens(void **unused)
{
	static const char *const names[] = {
#define PL_X(name, text) #name,
		PL_DEFECTS(PL_X)
#undef PL_X
	};
	for (uint32_t i = 0; i < PL_DEFECT_COUNT; i++) {
		const char *typed = pl_defect_name(i);
		assert_int_equal(strlen(typed), strlen(names[i]));
		for (uint32_t c = 0; names[i][c]; c++) {
			char is = names[i][c];
			assert_int_equal(
				typed[c],
				is == '_'		 ? '-'
				: is >= 'A' && is <= 'Z' ? is + 32
							 : is
			);
		}
	}
	assert_string_equal(pl_message_name(PL_SEND), "SEND");
	assert_string_equal(pl_message_name(PL_MESSAGE_KINDS), "unknown");
	assert_string_equal(pl_effect_name(PL_EFFECT_STRAY), "STRAY");
	assert_string_equal(pl_status_name(PL_CONFLICT), "CONFLICT");
}

static bool is_command(uint32_t kind)
{
	return pl_answer_of(kind) == PL_COMMAND_DONE;
}

/* Anything that the machine may be sent, sensible or not; often the answer to what it asked. */
static struct pl_message anything(struct bench *b, const struct pl_message *asked, uint64_t *random)
{
	struct pl_message m = {0};
	uint64_t x = draw(random);
	m.kind = (uint8_t)(x % PL_MESSAGE_KINDS);
	m.from = (uint8_t)(x >> 8 & 15);
	m.request = (uint32_t)(x >> 12 & 0xfff) | 1u << 30;
	m.status = x >> 24 & 3 ? PL_OK : (uint8_t)((x >> 26) % PL_STATUSES);
	m.region = (uint8_t)(x >> 32 & 3);
	m.count = (uint8_t)((x >> 34) % (PL_BATCH_MAX + 2));
	m.position = 1 + (x >> 40 & 7);
	m.argument = (uint16_t)(x >> 44 & 3);
	m.incarnation = (uint32_t)(x >> 48 & 1) + 1;
	for (uint32_t i = 0; i < PL_BATCH_MAX; i++) {
		m.records[i].id = 1 + draw(random) % 70;
		m.records[i].value = m.records[i].id;
	}
	if ((x >> 60) == 0)
		m.kind = PL_RECOVER;
	uint32_t answer = pl_answer_of(asked->kind);
	if (asked->request != 0 && answer < PL_MESSAGE_KINDS && (x >> 56) % 2 != 0) {
		m.kind = (uint8_t)answer;
		m.from = asked->to;
		m.request = asked->request;
		m.count = answer == PL_DELIVERY ? 1 + m.count % PL_BATCH_MAX : asked->count;
		if (answer == PL_MEMBER_DONE)
			m.records[0] = asked->records[0];
	}
	m.to = b->params.self;
	return m;
}

/* Feeds it and looks for the answer to `request` of `from`. */
static uint32_t feed_and_count(
	struct bench *b,
	struct pl_message m,
	struct pl_message *asked,
	uint8_t from,
	uint32_t request,
	uint32_t answer
)
{
	uint32_t answers = 0;
	uint32_t states = b->kind->state_count;
	bench_feed(b, m);
	assert_true(b->kind->state_of(b->state) < states);
	for (uint32_t i = 0; i < b->out.message_count; i++) {
		struct pl_message *sent = &b->out.messages[i];
		if (pl_answer_of(sent->kind) < PL_MESSAGE_KINDS)
			*asked = *sent;
		answers += sent->to == from && sent->request == request && sent->kind == answer;
	}
	return answers;
}

static void each_state_takes_each_message_and_answers_commands_at_once(void **unused)
{
	for (uint32_t k = 0; k < KINDS; k++) {
		uint64_t random = 1000 + k;
		assert_true(kinds[k]->state_count <= 16);
		static uint8_t pairs[16][PL_MESSAGE_KINDS];
		memset(pairs, 0, sizeof(pairs));
		for (uint32_t run = 0; run < 600; run++) {
			struct pl_params params = bench_params();
			params.outage = run % 3;
			params.capacity = run % 16; /* none at all, too */
			params.consumers = 1 + run % 2;
			params.next = run % 5 ? PL_NOBODY : 9;
			struct bench b = bench_begin(kinds[k], params);
			struct pl_message asked = {0};
			for (uint32_t i = 0; i < b.out.message_count; i++)
				asked = b.out.messages[i];
			for (uint32_t step = 0; step < 300; step++) {
				struct pl_message m = anything(&b, &asked, &random);
				uint32_t before = kinds[k]->state_of(b.state);
				uint32_t answer = pl_answer_of(m.kind);
				uint32_t answers =
					feed_and_count(&b, m, &asked, m.from, m.request, answer);
				bool at_once = is_command(m.kind) && m.kind != PL_SWITCH &&
					       m.kind != PL_SWITCH_FORCED;
				if (at_once)
					assert_int_equal(answers, 1);
				else if (answer < PL_MESSAGE_KINDS)
					assert_true(answers <= 1);
				pairs[before][m.kind] = 1;
				b.now_ns += 10;
			}
			bench_end(&b);
		}
		for (uint32_t s = 0; s < kinds[k]->state_count; s++) {
			for (uint32_t m = 0; m < PL_MESSAGE_KINDS; m++)
				if (!pairs[s][m]) {
					print_error(
						"%s: %s in %s was never tried\n",
						kinds[k]->name,
						pl_message_name(m),
						kinds[k]->states[s]
					);
					fail();
				}
		}
	}
}

static void two_machines_are_the_same_bytes_when_they_saw_the_same(void **unused)
{
	for (uint32_t k = 0; k < KINDS; k++) {
		struct bench one = bench_of(kinds[k]), two = bench_of(kinds[k]);
		struct pl_message asked = {0}, same = {0};
		uint64_t random = 5 + k;
		size_t bytes = kinds[k]->bytes(&one.params);
		for (uint32_t step = 0; step < 2000; step++) {
			struct pl_message m = anything(&one, &asked, &random);
			feed_and_count(&one, m, &asked, 0, 0, PL_MESSAGE_KINDS);
			feed_and_count(&two, m, &same, 0, 0, PL_MESSAGE_KINDS);
			assert_memory_equal(one.state, two.state, bytes);
		}
		bench_end(&one);
		bench_end(&two);
	}
}

/* ---- a chain ---- */

enum {
	DRIVER,
	SOURCE,
	IN_DNS,
	QUEUE_1,
	QUEUE_2,
	CONTAINER_1,
	FRONT_1,
	MEMBER_11,
	MEMBER_12,
	REPLICATOR_1,
	STREAM,
	CONTAINER_2,
	FRONT_2,
	MEMBER_21,
	MEMBER_22,
	MEMBER_23,
	OUT_DNS,
	DESTINATION,
	MACHINES
};
#define CHAIN_RECORDS 30
#define INBOX 256
#define STEPS_MAX 60000

struct chain {
	const struct pl_kind *kinds[MACHINES];
	struct pl_params params[MACHINES];
	void *states[MACHINES];
	uint64_t timers[MACHINES];
	struct pl_message inbox[MACHINES][INBOX];
	uint32_t first[MACHINES], count[MACHINES];
	struct pl_out out;
	uint64_t now_ns, random, next, last_arrived;
	uint64_t rows[MACHINES];  /* of members: bits by record */
	uint32_t arrived, failed; /* failed: bits of machines */
	bool publishing, done;
};

static void deliver(struct chain *c, const struct pl_out *out, uint32_t from)
{
	c->timers[from] = out->timer_ns;
	for (uint32_t i = 0; i < out->message_count; i++) {
		uint32_t to = out->messages[i].to;
		assert_true(to < MACHINES && c->count[to] < INBOX);
		c->inbox[to][(c->first[to] + c->count[to]++) % INBOX] = out->messages[i];
	}
	for (uint32_t i = 0; i < out->effect_count; i++) {
		if (out->effects[i].kind == PL_EFFECT_WRITTEN)
			c->rows[from] |= 1ull << out->effects[i].record.id;
		if (out->effects[i].kind == PL_EFFECT_ARRIVED) {
			c->last_arrived++;
			c->arrived +=
				out->effects[i].record.id == c->last_arrived &&
				out->effects[i].record.value == pl_value_of(7, c->last_arrived);
		}
	}
}

static void step_machine(struct chain *c, uint32_t at, const struct pl_message *m)
{
	c->out.message_count = c->out.effect_count = 0;
	c->out.timer_ns = c->timers[at];
	c->out.self = (uint8_t)at;
	c->out.region = c->params[at].region;
	c->kinds[at]->step(c->states[at], m, c->now_ns, &c->out);
	deliver(c, &c->out, at);
}

static void add(struct chain *c, uint32_t at, const struct pl_kind *kind, uint8_t region)
{
	struct pl_params *p = &c->params[at];
	c->kinds[at] = kind;
	p->self = (uint8_t)at;
	p->region = region;
}

static void wire(struct chain *c, uint32_t at, uint8_t input, uint8_t database, uint8_t output)
{
	c->params[at].input = input;
	c->params[at].database = database;
	c->params[at].output = output;
}

static void build(struct chain *c, uint64_t seed, uint64_t defects)
{
	memset(c, 0, sizeof(*c));
	c->random = seed;
	c->next = 1;
	for (uint32_t i = 0; i < MACHINES; i++) {
		c->params[i] = bench_params();
		c->params[i].ids = CHAIN_RECORDS;
		c->params[i].capacity = 3 + seed % 8;
		c->params[i].outage = seed % 3;
		c->params[i].defects = defects;
		c->timers[i] = PL_NEVER;
	}
	add(c, SOURCE, &pl_source, 0);
	add(c, IN_DNS, &pl_dns, 0);
	add(c, QUEUE_1, &pl_queue, 1);
	add(c, CONTAINER_1, &pl_container, 1);
	add(c, FRONT_1, &pl_async_pair, 0);
	add(c, MEMBER_11, &pl_member, 1);
	add(c, MEMBER_12, &pl_member, 2);
	add(c, REPLICATOR_1, &pl_replicator, 0);
	add(c, STREAM, &pl_stream, 1);
	add(c, CONTAINER_2, &pl_stream_container, 1);
	add(c, FRONT_2, &pl_majority_triple, 0);
	add(c, MEMBER_21, &pl_member, 1);
	add(c, MEMBER_22, &pl_member, 2);
	add(c, MEMBER_23, &pl_member, 3);
	add(c, QUEUE_2, &pl_stream, 1);
	add(c, OUT_DNS, &pl_dns, 0);
	add(c, DESTINATION, &pl_destination, 0);
	c->params[SOURCE].through = IN_DNS;
	c->params[DESTINATION].through = OUT_DNS;
	c->params[IN_DNS].endpoints[0] = QUEUE_1;
	c->params[OUT_DNS].endpoints[0] = QUEUE_2;
	c->params[IN_DNS].endpoint_count = c->params[OUT_DNS].endpoint_count = 1;
	wire(c, CONTAINER_1, QUEUE_1, FRONT_1, STREAM);
	wire(c, CONTAINER_2, STREAM, FRONT_2, QUEUE_2);
	memcpy(c->params[FRONT_1].members, (uint8_t[]){MEMBER_11, MEMBER_12, PL_NOBODY}, 3);
	memcpy(c->params[FRONT_2].members, (uint8_t[]){MEMBER_21, MEMBER_22, MEMBER_23}, 3);
	c->params[FRONT_1].replicators[0] = REPLICATOR_1;
	for (uint32_t i = SOURCE; i < MACHINES; i++) {
		c->states[i] = calloc(1, c->kinds[i]->bytes(&c->params[i]));
		c->out.message_count = c->out.effect_count = 0;
		c->out.self = (uint8_t)i;
		c->out.region = c->params[i].region;
		c->kinds[i]->init(c->states[i], &c->params[i], &c->out);
		deliver(c, &c->out, i);
	}
}

/* To any machine; before the half of the steps only, so that it comes to an end. */
static void disturb(struct chain *c)
{
	static const uint8_t who[] = {
		QUEUE_1,
		CONTAINER_1,
		FRONT_1,
		MEMBER_11,
		MEMBER_12,
		REPLICATOR_1,
		STREAM,
		CONTAINER_2,
		FRONT_2,
		MEMBER_21,
		MEMBER_22,
		MEMBER_23,
		QUEUE_2,
	};
	static const uint8_t workers[] = {CONTAINER_1, CONTAINER_2, REPLICATOR_1, DESTINATION};
	uint64_t x = draw(&c->random);
	struct pl_message m = {.from = DRIVER, .request = 1};
	uint32_t at = who[(x >> 8) % sizeof(who)];
	switch (x % 4) {
	case 0:
		m.kind = PL_FAIL;
		c->failed |= 1u << at;
		break;
	case 1:
		m.kind = PL_CRASH;
		at = workers[(x >> 8) % sizeof(workers)];
		break;
	case 2:
		m.kind = PL_SWITCH;
		m.region = (uint8_t)(1 + (x >> 32) % 2);
		at = x >> 33 & 1 ? FRONT_1 : FRONT_2;
		break;
	default:
		m.kind = PL_RECOVER;
		c->failed &= ~(1u << at);
	}
	step_machine(c, at, &m);
}

static void recover_all(struct chain *c)
{
	struct pl_message m = {.kind = PL_RECOVER, .from = DRIVER, .request = 1};
	for (uint32_t i = SOURCE; i < MACHINES; i++)
		step_machine(c, i, &m);
	c->failed = 0;
}

static void drive(struct chain *c)
{
	while (c->count[DRIVER] > 0) {
		struct pl_message *m = &c->inbox[DRIVER][c->first[DRIVER]];
		if (m->kind == PL_PUBLISHED) {
			c->publishing = false;
			c->next = m->position;
		}
		c->first[DRIVER] = (c->first[DRIVER] + 1) % INBOX;
		c->count[DRIVER]--;
	}
	if (c->publishing || c->next > CHAIN_RECORDS)
		return;
	struct pl_message m = {.kind = PL_PUBLISH, .from = DRIVER, .request = 2};
	m.position = c->next;
	m.argument = (uint16_t)(CHAIN_RECORDS + 1 - c->next);
	c->publishing = true;
	step_machine(c, SOURCE, &m);
}

/* Runs one machine that has a message, or else the one whose time comes next. */
static bool run_one(struct chain *c)
{
	uint32_t who[MACHINES], runnable = 0, at = MACHINES;
	for (uint32_t i = SOURCE; i < MACHINES; i++)
		if (c->count[i] > 0)
			who[runnable++] = i;
	if (runnable > 0) {
		at = who[draw(&c->random) % runnable];
		struct pl_message m = c->inbox[at][c->first[at]];
		c->first[at] = (c->first[at] + 1) % INBOX;
		c->count[at]--;
		c->now_ns++;
		step_machine(c, at, &m);
		return true;
	}
	for (uint32_t i = SOURCE; i < MACHINES; i++)
		if (c->timers[i] != PL_NEVER && (at == MACHINES || c->timers[i] < c->timers[at]))
			at = i;
	if (at == MACHINES)
		return false;
	if (c->now_ns < c->timers[at])
		c->now_ns = c->timers[at];
	c->timers[at] = PL_NEVER;
	step_machine(c, at, &(struct pl_message){.kind = PL_TIMER, .from = (uint8_t)at});
	return true;
}

static bool all_have_all(const struct chain *c)
{
	static const uint8_t members[] = {MEMBER_11, MEMBER_12, MEMBER_21, MEMBER_22, MEMBER_23};
	uint64_t all = ((1ull << CHAIN_RECORDS) - 1) << 1;
	for (uint32_t i = 0; i < sizeof(members); i++)
		if (c->rows[members[i]] != all)
			return false;
	return c->last_arrived == CHAIN_RECORDS;
}

/* The records that arrived in order, if at the end all members have them all; else none. */
static uint64_t run_chain(uint64_t seed, uint64_t defects, uint64_t *steps_in_all)
{
	static struct chain c;
	build(&c, seed, defects);
	uint32_t step = 0, disturbances = (uint32_t)(seed % 40);
	for (; step < STEPS_MAX && !all_have_all(&c); step++) {
		drive(&c);
		if (step < 2000 && disturbances > 0 && draw(&c.random) % 2000 < disturbances * 3)
			disturb(&c);
		if (step == 2000)
			recover_all(&c);
		if (!run_one(&c))
			break;
	}
	uint64_t arrived = all_have_all(&c) ? c.arrived : 0;
	for (uint32_t i = SOURCE; i < MACHINES; i++)
		free(c.states[i]);
	*steps_in_all += step;
	return arrived;
}

static void chain_brings_each_record_once_and_in_order_when_its_parts_fail(void **unused)
{
	uint64_t steps = 0;
	for (uint64_t seed = 1; seed <= 1000; seed++) {
		uint64_t arrived = run_chain(seed, 0, &steps);
		if (arrived != CHAIN_RECORDS)
			print_error("seed %llu\n", (unsigned long long)seed);
		assert_int_equal(arrived, CHAIN_RECORDS);
	}
	print_message("%llu steps\n", (unsigned long long)steps);
}

/* The bound is what ends a run that lost a record, so these few are enough. */
static void chain_does_not_when_a_part_has_a_defect(void **unused)
{
	static const enum pl_defect defects[] = {
		PL_DEFECT_REMOVE_FIRST,
		PL_DEFECT_REMOVE_BEFORE_SEND,
		PL_DEFECT_QUEUE_LIFO,
		PL_DEFECT_QUEUE_DROPS,
		PL_DEFECT_CHANGES_VALUE,
		PL_DEFECT_NEVER_PROBES,
		PL_DEFECT_EDGE_RECOVERY,
		PL_DEFECT_DESTINATION_FORGETS,
		PL_DEFECT_REMOVE_BY_POSITION,
		PL_DEFECT_SWITCH_UNDRAINED,
		PL_DEFECT_REPLICATOR_DROPS,
	};
	uint64_t steps = 0;
	for (uint32_t i = 0; i < sizeof(defects) / sizeof(defects[0]); i++) {
		uint64_t seed = 1, most = 400;
		while (seed <= most && run_chain(seed, 1ull << defects[i], &steps) == CHAIN_RECORDS)
			seed++;
		print_message(
			"%s: seed %llu\n", pl_defect_name(defects[i]), (unsigned long long)seed
		);
		assert_true(seed <= most);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(defect_names_are_those_of_the_list_when_typed_with_hyphens),
		cmocka_unit_test(each_state_takes_each_message_and_answers_commands_at_once),
		cmocka_unit_test(two_machines_are_the_same_bytes_when_they_saw_the_same),
		cmocka_unit_test(chain_brings_each_record_once_and_in_order_when_its_parts_fail),
		cmocka_unit_test(chain_does_not_when_a_part_has_a_defect),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
