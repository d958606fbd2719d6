/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Streams of correct runs pass; a mutation of one is told by exactly the monitors whose rules the
 * slow judge (monitor_oracle.c) finds broken. Prints the seed and how to play it again.
 *
 * usage: test_monitors_random [SEED [MUTATIONS]]
 */
#include "tests/pipeline/monitor_streams.h"
#include "tests/unit/unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static uint64_t seed = 1;
static uint32_t mutations = 10000;

static struct stream good, bad;
static bool explain;

/* Bits of who says that something is broken, each asked alone. */
static uint64_t ask(const struct stream *stream, const uint32_t split[2])
{
	struct pl_promise promise = {.records = stream->records, .split = {split[0], split[1]}};
	static struct pl_monitors *monitors;
	static size_t bytes;
	uint64_t broken = 0;
	for (uint32_t i = 0; i < PL_MONITORS; i++) {
		if (i == PL_MONITOR_SPLIT && split[0] + split[1] == 0)
			continue;
		promise.monitors = 1ull << i;
		size_t need = pl_monitors_bytes(&stream->topology, &promise);
		if (need > bytes) {
			free(monitors);
			monitors = malloc(need);
			bytes = need;
		}
		pl_monitors_begin(monitors, &stream->topology, &promise, stream->values + 1);
		for (uint32_t j = 0; j < stream->count; j++)
			pl_monitors_see(monitors, &stream->effects[j]);
		if (!pl_monitors_end(monitors))
			broken |= 1ull << i;
		if (explain && (broken >> i & 1))
			print_error("%s\n", pl_monitors_verdict(monitors));
		assert_int_equal(pl_monitors_broken(monitors), broken >> i & 1 ? i : PL_MONITORS);
	}
	return broken;
}

static void make(uint64_t *random, enum stream_architecture architecture, uint32_t split[2])
{
	uint32_t records = 4 + (uint32_t)(stream_random(random) % 6);
	uint32_t failover = stream_random(random) % 3 ? 0 : 3;
	stream_make(&good, architecture, records, failover, STREAM_MIXED, stream_random(random));
	split[0] = split[1] = 0;
	for (uint32_t id = 1; id <= records; id++) {
		bool late = failover != 0 && id >= failover;
		bool first = architecture == STREAM_ACTIVE_PASSIVE || id % 2 == 1;
		split[late || !first]++;
	}
}

/* The same machine of the other region; itself when it has none. */
static uint8_t other_machine(const struct pl_topology *topology, uint8_t machine)
{
	for (uint32_t stage = 0; stage < topology->transport_count; stage++)
		for (uint32_t side = 0; side < 2; side++)
			if (topology->transports[stage][side] == machine)
				return topology->transports[stage][1 - side];
	for (uint32_t stage = 0; stage < topology->database_count; stage++) {
		const uint8_t *members =
			topology->machines[topology->databases[stage]].params.members;
		for (uint32_t i = 0; i < 2; i++)
			if (members[i] == machine)
				return members[1 - i];
	}
	return machine;
}

static void move(struct stream *stream, uint32_t from, uint32_t to)
{
	struct pl_effect effect = stream->effects[from];
	memmove(stream->effects + from,
		stream->effects + from + 1,
		(stream->count - from - 1) * sizeof(effect));
	memmove(stream->effects + to + 1,
		stream->effects + to,
		(stream->count - 1 - to) * sizeof(effect));
	stream->effects[to] = effect;
}

static const char *const mutation_names[] = {
	"drop",
	"duplicate",
	"swap",
	"move",
	"change the value",
	"change the region",
	"change the record",
	"cut",
};
#define MUTATIONS (sizeof(mutation_names) / sizeof(mutation_names[0]))

static uint32_t mutate(struct stream *stream, uint64_t *random)
{
	uint32_t which = (uint32_t)(stream_random(random) % MUTATIONS);
	uint32_t at = (uint32_t)(stream_random(random) % stream->count);
	uint32_t to = (uint32_t)(stream_random(random) % stream->count);
	struct pl_effect *effect = &stream->effects[at];
	switch (which) {
	case 0:
		move(stream, at, stream->count - 1);
		stream->count--;
		break;
	case 1:
		stream->effects[stream->count++] = *effect;
		move(stream, stream->count - 1, stream_random(random) % 2 ? at + 1 : to);
		break;
	case 2: {
		struct pl_effect other = stream->effects[to];
		stream->effects[to] = *effect;
		*effect = other;
		break;
	}
	case 3:
		move(stream, at, to);
		break;
	case 4:
		effect->record.value ^= 1ull << stream_random(random) % 64;
		break;
	case 5:
		effect->machine = other_machine(&stream->topology, effect->machine);
		effect->region = effect->region == 1 ? 2 : 1;
		break;
	case 6:
		effect->record.id = stream_random(random) % (stream->records + 2);
		break;
	default:
		stream->count = at;
		break;
	}
	return which;
}

static void print_names(const char *who, uint64_t broken)
{
	print_error("%s:", who);
	for (uint32_t i = 0; i < PL_MONITORS; i++)
		if (broken >> i & 1)
			print_error(" %s", pl_monitor_name(i));
	print_error("\n");
}

static void mutations_are_told_by_those_whose_rule_they_break(void **state)
{
	(void)state;
	static const uint32_t any[2];
	uint32_t told[MUTATIONS] = {0}, harmless[MUTATIONS] = {0}, by[PL_MONITORS] = {0};
	uint64_t random = seed;
	for (uint32_t i = 0; i < mutations; i++) {
		uint64_t begin = random;
		uint32_t split[2];
		make(&random, i % STREAM_ARCHITECTURES, split);
		uint64_t found = ask(&good, split);
		if (found != 0 || stream_judge(&good, split) != 0) {
			explain = true;
			ask(&good, split);
			print_names("monitors of a correct run", found);
			print_names("judge of a correct run", stream_judge(&good, split));
			fail_msg("seed %#llx, architecture %u", (unsigned long long)begin, i % 3);
		}
		memcpy(&bad, &good, offsetof(struct stream, effects));
		memcpy(bad.effects, good.effects, good.count * sizeof(good.effects[0]));
		uint32_t which = mutate(&bad, &random);
		const uint32_t *promised = i % 2 ? split : any;
		uint64_t should = stream_judge(&bad, promised);
		found = ask(&bad, promised);
		if (found != should) {
			explain = true;
			ask(&bad, promised);
			print_names("monitors", found);
			print_names("judge", should);
			fail_msg(
				"%s: seed %#llx, architecture %u, mutation %u of seed %#llx",
				mutation_names[which],
				(unsigned long long)begin,
				i % 3,
				i,
				(unsigned long long)seed
			);
		}
		(should ? told : harmless)[which]++;
		for (uint32_t j = 0; j < PL_MONITORS; j++)
			by[j] += should >> j & 1;
	}
	for (uint32_t i = 0; i < MUTATIONS; i++)
		print_message(
			"%-18s %5u told, %5u break no rule\n",
			mutation_names[i],
			told[i],
			harmless[i]
		);
	for (uint32_t i = 0; i < PL_MONITORS; i++) {
		print_message("%-18s said %u\n", pl_monitor_name(i), by[i]);
		if (mutations >= 10000)
			assert_true(by[i] > 0);
	}
}

/* Not judged: machines differ. Shows what an effect costs. */
static void an_effect_costs(void **state)
{
	(void)state;
	static const enum stream_architecture all[] = {
		STREAM_ACTIVE_PASSIVE, STREAM_ACTIVE_ACTIVE, STREAM_WORKLOAD1};
	for (uint32_t i = 0; i < STREAM_ARCHITECTURES; i++) {
		stream_make(&good, all[i], 30, 0, STREAM_MIXED, seed);
		struct pl_promise promise = {
			.records = good.records, .monitors = (1u << PL_MONITORS) - 1};
		size_t bytes = pl_monitors_bytes(&good.topology, &promise);
		struct pl_monitors *monitors = malloc(bytes);
		struct timespec from, to;
		uint64_t runs = 2000;
		clock_gettime(CLOCK_MONOTONIC, &from);
		for (uint64_t run = 0; run < runs; run++) {
			pl_monitors_begin(monitors, &good.topology, &promise, good.values + 1);
			for (uint32_t j = 0; j < good.count; j++)
				pl_monitors_see(monitors, &good.effects[j]);
			assert_true(pl_monitors_end(monitors));
		}
		clock_gettime(CLOCK_MONOTONIC, &to);
		double ns = (double)(to.tv_sec - from.tv_sec) * 1e9 +
			    (double)(to.tv_nsec - from.tv_nsec);
		print_message(
			"architecture %u: %u effects, %.1f ns each with begin and end, %zu bytes\n",
			all[i],
			good.count,
			ns / (double)(runs * good.count),
			bytes
		);
		free(monitors);
	}
}

int main(int argc, char **argv)
{
	if (argc > 1)
		seed = strtoull(argv[1], NULL, 0);
	if (argc > 2)
		mutations = (uint32_t)strtoul(argv[2], NULL, 0);
	print_message(
		"again: test_monitors_random %#llx %u\n", (unsigned long long)seed, mutations
	);
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(mutations_are_told_by_those_whose_rule_they_break),
		cmocka_unit_test(an_effect_costs),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
