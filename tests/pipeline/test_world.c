/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The scheduler, with toy machines: order of messages, time, busy machines, room, fairness, replay,
 * copies.
 */
#include "tests/pipeline/explore.h"

/* cmocka.h needs these before it. */
#include <setjmp.h>
#include <stdarg.h>

/* clang-format off */
#include <cmocka.h>
/* clang-format on */

struct toy {
	uint64_t next, seen, timers, first_ns, last_ns;
};

static size_t toy_bytes(const struct pl_params *params)
{
	return sizeof(struct toy);
}

static uint32_t toy_state_of(const void *state)
{
	return 0;
}

static const char *const toy_states[] = {"toy"};

/* Sends 4 numbered messages at a time to params.output until 40 were sent; its timer paces it. */
static void talker_init(void *state, const struct pl_params *params, struct pl_out *out)
{
	struct toy *toy = state;
	toy->seen = params->output;
	out->timer_ns = 5000;
}

static void
talker_step(void *state, const struct pl_message *message, uint64_t now_ns, struct pl_out *out)
{
	struct toy *toy = state;
	if (message->kind != PL_TIMER)
		return;
	toy->timers++;
	if (toy->timers == 1)
		toy->first_ns = now_ns;
	for (uint32_t i = 0; i < 4; i++)
		pl_send(out, (uint8_t)toy->seen, PL_SEND, 1)->position = ++toy->next;
	out->timer_ns = toy->next < 40 ? now_ns + 5000 : PL_NEVER;
}

/* Counts what comes in order; next stays behind when it does not. */
static void
listener_step(void *state, const struct pl_message *message, uint64_t now_ns, struct pl_out *out)
{
	struct toy *toy = state;
	if (message->kind == PL_SEND && message->position == toy->next + 1)
		toy->next++;
	toy->seen++;
	toy->last_ns = now_ns;
}

static void listener_init(void *state, const struct pl_params *params, struct pl_out *out)
{
}

/* Sends itself a message for ever; with `capacity` two, and so more and more. */
static void looper_init(void *state, const struct pl_params *params, struct pl_out *out)
{
	((struct toy *)state)->timers = params->capacity;
	pl_send(out, params->self, PL_RECEIVE, 1);
}

static void
looper_step(void *state, const struct pl_message *message, uint64_t now_ns, struct pl_out *out)
{
	struct toy *toy = state;
	toy->seen++;
	for (uint64_t i = 0; i < toy->timers; i++)
		pl_send(out, out->self, PL_RECEIVE, 1);
}

#define TOY(name)                                                                       \
	{                                                                               \
#name, toy_states, 1, toy_bytes, name##_init, name##_step, toy_state_of \
	}
static const struct pl_kind talker = TOY(talker), listener = TOY(listener), looper = TOY(looper);

struct fixture {
	struct pl_topology topology;
	struct pl_scenario scenario;
	struct pl_explorer explorer;
};

static struct pl_machine *add(struct fixture *f, const struct pl_kind *kind)
{
	struct pl_machine *machine = &f->topology.machines[f->topology.count];
	snprintf(machine->name, sizeof(machine->name), "%s-%u", kind->name, f->topology.count);
	machine->kind = kind;
	machine->params.self = (uint8_t)f->topology.count++;
	machine->params.probe_max_ns = 100000;
	return machine;
}

/* The driver waits for ever, unless there are no steps. */
static struct fixture *begin(uint32_t steps)
{
	struct fixture *f = calloc(1, sizeof(*f));
	assert_non_null(f);
	f->topology.driver = 0;
	f->scenario.batch = f->scenario.batches = 1;
	f->scenario.promise.records = 1;
	f->scenario.step_count = steps;
	f->scenario.steps[0] =
		(struct pl_step){.op = PL_OP_AWAIT, .count = 1, .targets = {1}, .number = 1};
	add(f, &pl_driver)->params.scenario = &f->scenario;
	return f;
}

static void init(struct fixture *f)
{
	assert_true(pl_explorer_init(&f->explorer, &f->topology, &f->scenario, 0));
}

static void end(struct fixture *f)
{
	pl_explorer_free(&f->explorer);
	free(f);
}

static uint32_t run(struct fixture *f, enum pl_strategy_kind kind, uint64_t seed)
{
	struct pl_strategy strategy;
	pl_strategy_begin(&strategy, kind, 1000, 3, seed);
	return pl_explorer_run(&f->explorer, &strategy, seed);
}

static struct toy *toy_at(struct fixture *f, uint32_t machine)
{
	return pl_world_state(&f->explorer.system, f->explorer.world, machine);
}

static uint64_t hash_of(const struct pl_system *system, struct pl_world *world)
{
	pl_world_rehash(system, world, PL_MACHINES_MAX);
	return pl_world_hash(system, world);
}

static struct fixture *talk(void)
{
	struct fixture *f = begin(1);
	add(f, &listener);
	add(f, &talker)->params.output = 1;
	add(f, &looper);
	return f;
}

static void messages_of_one_sender_arrive_in_order_under_every_strategy(void **state)
{
	struct fixture *f = talk();
	init(f);
	for (uint64_t seed = 0; seed < 50; seed++)
		for (uint32_t kind = 0; kind <= PL_STRATEGY_PCT; kind++) {
			run(f, kind, seed);
			assert_int_equal(toy_at(f, 1)->next, 40);
		}
	end(f);
}

static void a_timer_comes_at_its_time_when_nothing_else_can_run(void **state)
{
	struct fixture *f = begin(1);
	add(f, &listener);
	add(f, &talker)->params.output = 1;
	init(f);
	assert_int_equal(run(f, PL_STRATEGY_RANDOM, 1), PL_BROKEN_LIVENESS);
	assert_int_equal(toy_at(f, 2)->timers, 10);
	/* The time jumped to 5 µs, and the delivery itself took 1 µs. */
	assert_int_equal(toy_at(f, 2)->first_ns, 6000);
	assert_in_range(f->explorer.world->now_ns, 60000, 80000);
	end(f);
}

static void a_slow_machine_is_kept_busy_and_the_others_go_on(void **state)
{
	struct fixture *f = begin(1);
	add(f, &listener)->params.step_ns = 100000;
	add(f, &talker)->params.output = 1;
	init(f);
	run(f, PL_STRATEGY_RANDOM, 1);
	assert_int_equal(toy_at(f, 1)->next, 40);
	assert_in_range(toy_at(f, 1)->last_ns, 39 * 100000, 42 * 100000);
	end(f);
}

static void too_many_messages_under_way_is_told(void **state)
{
	struct fixture *f = begin(1);
	add(f, &listener);
	add(f, &looper)->params.capacity = 2;
	init(f);
	assert_int_equal(run(f, PL_STRATEGY_RANDOM, 1), PL_BROKEN_MACHINE);
	assert_non_null(strstr(f->explorer.system.verdict, "messages under way"));
	end(f);
}

static void going_round_and_round_ends_as_a_liveness_verdict(void **state)
{
	struct fixture *f = begin(1);
	add(f, &listener);
	add(f, &looper)->params.capacity = 1;
	init(f);
	assert_int_equal(run(f, PL_STRATEGY_PCT, 1), PL_BROKEN_LIVENESS);
	assert_int_equal(f->explorer.world->steps, f->explorer.system.steps_most);
	end(f);
}

static void nobody_waits_for_ever_under_pct(void **state)
{
	struct fixture *f = talk();
	f->topology.machines[3].params.capacity = 1;
	init(f);
	/* Whatever the priorities: the loop, which could always run, holds nobody up for good. */
	for (uint64_t seed = 0; seed < 100; seed++) {
		assert_int_equal(run(f, PL_STRATEGY_PCT, seed), PL_BROKEN_LIVENESS);
		assert_int_equal(toy_at(f, 1)->next, 40);
	}
	end(f);
}

static void the_same_seed_gives_the_same_schedule_and_another_one_another(void **state)
{
	struct fixture *f = talk();
	init(f);
	for (uint32_t kind = 0; kind <= PL_STRATEGY_PCT; kind++) {
		run(f, kind, 7);
		uint64_t hash = hash_of(&f->explorer.system, f->explorer.world);
		uint32_t count = f->explorer.choice_count;
		uint8_t *choices = malloc(count);
		assert_non_null(choices);
		memcpy(choices, f->explorer.choices, count);
		run(f, kind, 8);
		run(f, kind, 7);
		assert_int_equal(f->explorer.choice_count, count);
		assert_memory_equal(f->explorer.choices, choices, count);
		assert_int_equal(hash_of(&f->explorer.system, f->explorer.world), hash);
		/* And its list of choices is the same schedule again. */
		struct pl_strategy list;
		pl_strategy_replay(&list, choices, count);
		pl_explorer_run(&f->explorer, &list, 7);
		assert_int_equal(hash_of(&f->explorer.system, f->explorer.world), hash);
		bool another = false;
		for (uint64_t seed = 9; seed < 30 && !another; seed++) {
			run(f, kind, seed);
			another = f->explorer.choice_count != count ||
				  memcmp(f->explorer.choices, choices, count) != 0;
		}
		assert_true(another);
		free(choices);
	}
	end(f);
}

static void a_copy_of_a_world_goes_on_as_the_world_does(void **state)
{
	struct fixture *f = talk();
	init(f);
	struct pl_system *system = &f->explorer.system;
	struct pl_world *world = f->explorer.world, *copy = pl_world_new(system);
	struct pl_strategy strategy;
	assert_non_null(copy);
	pl_world_begin(system, world, 3);
	pl_strategy_begin(&strategy, PL_STRATEGY_RANDOM, 1000, 3, 3);
	for (uint32_t step = 0; step < 60; step++) {
		if (!(pl_world_ready(world) | pl_world_due(world)))
			assert_true(pl_world_jump(system, world));
		memcpy(copy, world, pl_world_bytes(system, world));
		uint32_t actor =
			pl_strategy_pick(&strategy, pl_world_ready(world), pl_world_due(world));
		uint64_t before = hash_of(system, world);
		pl_world_step(system, world, actor);
		assert_int_equal(hash_of(system, copy), before);
		pl_world_step(system, copy, actor);
		assert_int_equal(hash_of(system, copy), hash_of(system, world));
		if (toy_at(f, 2)->next == 40)
			break;
	}
	free(copy);
	end(f);
}

static void a_set_keeps_what_it_got_while_it_grows(void **state)
{
	struct pl_set set;
	assert_true(pl_set_init(&set, 2));
	for (uint64_t i = 0; i < 10000; i++)
		assert_true(pl_set_add(&set, pl_value_of(1, i) << 32 | i));
	for (uint64_t i = 0; i < 10000; i++)
		assert_false(pl_set_add(&set, pl_value_of(1, i) << 32 | i));
	assert_int_equal(set.count, 10000);
	pl_set_free(&set);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(messages_of_one_sender_arrive_in_order_under_every_strategy),
		cmocka_unit_test(a_timer_comes_at_its_time_when_nothing_else_can_run),
		cmocka_unit_test(a_slow_machine_is_kept_busy_and_the_others_go_on),
		cmocka_unit_test(too_many_messages_under_way_is_told),
		cmocka_unit_test(going_round_and_round_ends_as_a_liveness_verdict),
		cmocka_unit_test(nobody_waits_for_ever_under_pct),
		cmocka_unit_test(the_same_seed_gives_the_same_schedule_and_another_one_another),
		cmocka_unit_test(a_copy_of_a_world_goes_on_as_the_world_does),
		cmocka_unit_test(a_set_keeps_what_it_got_while_it_grows),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
