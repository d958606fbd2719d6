/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Each rule of the monitors with a fault planted in a correct stream of effects: who says it, that
 * nobody else would have, and the words that name record and place.
 */
#include "tests/pipeline/monitor_state.h"
#include "tests/pipeline/monitor_streams.h"
#include "tests/unit/unit.h"

#include <stdio.h>
#include <stdlib.h>

#define ALL ((1ull << PL_MONITORS) - 1)

static struct stream stream;
static char verdict[PL_VERDICT_BYTES];
static uint64_t overlooked;

/* Who broke the run, PL_MONITORS when nobody did. */
static enum pl_monitor judge(struct pl_promise promise)
{
	size_t bytes = pl_monitors_bytes(&stream.topology, &promise);
	struct pl_monitors *monitors = malloc(bytes);
	memset(monitors, 0xa5, bytes); /* whatever stood there must not matter */
	pl_monitors_begin(monitors, &stream.topology, &promise, stream.values + 1);
	for (uint32_t i = 0; i < stream.count; i++)
		pl_monitors_see(monitors, &stream.effects[i]);
	bool good = pl_monitors_end(monitors);
	enum pl_monitor broken = pl_monitors_broken(monitors);
	assert_int_equal(good, broken == PL_MONITORS);
	assert_int_equal(good, pl_monitors_verdict(monitors) == NULL);
	snprintf(verdict, sizeof(verdict), "%s", good ? "" : pl_monitors_verdict(monitors));
	overlooked = pl_monitors_overlooked(monitors);
	free(monitors);
	return broken;
}

static uint8_t machine_of(const char *name)
{
	for (uint32_t i = 0; i < stream.topology.count; i++)
		if (strcmp(stream.topology.machines[i].name, name) == 0)
			return (uint8_t)i;
	fail_msg("no machine %s", name);
	return 0;
}

/* The first effect like that. */
static uint32_t find(enum pl_effect_kind kind, const char *name, uint64_t id)
{
	uint8_t machine = machine_of(name);
	for (uint32_t i = 0; i < stream.count; i++)
		if (stream.effects[i].kind == kind && stream.effects[i].machine == machine &&
		    stream.effects[i].record.id == id)
			return i;
	fail_msg("no %s of %llu at %s", name, (unsigned long long)id, name);
	return 0;
}

static void drop(uint32_t at)
{
	memmove(stream.effects + at,
		stream.effects + at + 1,
		(--stream.count - at) * sizeof(stream.effects[0]));
}

static void insert(uint32_t at, struct pl_effect effect)
{
	memmove(stream.effects + at + 1,
		stream.effects + at,
		(stream.count++ - at) * sizeof(stream.effects[0]));
	stream.effects[at] = effect;
}

enum act {
	DROP,
	TWICE,	     /* the same again behind it */
	BEFORE,	     /* moved before the first effect `other` */
	VALUE,	     /* another value */
	AS,	     /* it is of another kind: `other_kind` */
	ALSO_AS,     /* and before it one of kind `other_kind`, at `other` */
	ALSO_NUMBER, /* and before it one of kind `other_kind`, at `other`, of record `other_id` */
	LOSE,	     /* it and all that comes of that record behind it */
};

struct canary {
	const char *name;
	enum stream_architecture architecture;
	enum act act;
	enum pl_effect_kind kind;
	const char *machine;
	uint64_t id;
	enum pl_effect_kind other_kind;
	const char *other;
	uint64_t other_id;
	enum pl_monitor monitor;
	bool only; /* no other monitor would have said anything */
	const char *words;
};

#define AP STREAM_ACTIVE_PASSIVE
#define AA STREAM_ACTIVE_ACTIVE
#define W1 STREAM_WORKLOAD1
#define K(name) PL_EFFECT_##name
#define M(name) PL_MONITOR_##name

/* clang-format off */
static const struct canary canaries[] = {
	/* order */
	{"sent out of order", AP, BEFORE, K(SENT), "inbound-queue.1", 3, K(SENT), "inbound-queue.1", 2,
	 M(ORDER), true, "order: record 3 sent to inbound-queue.1 where 2 was to come"},
	{"sent out of order in a region", AA, BEFORE, K(SENT), "inbound-queue.1", 3, K(SENT), "inbound-queue.1", 1,
	 M(ORDER), true, "order: record 1 sent to inbound-queue.1 after 3"},
	{"accepted in the wrong order", AP, BEFORE, K(ACCEPTED), "inbound-queue.1", 3, K(ACCEPTED), "inbound-queue.1", 2,
	 M(ORDER), true, "order: record 3 accepted at inbound-queue.1 where 2 was to come"},
	{"a queue hands out a younger record", AP, BEFORE, K(DELIVERED), "core-postprocess-queue.1", 3,
	 K(DELIVERED), "core-postprocess-queue.1", 1,
	 M(ORDER), true, "order: record 3 delivered from core-postprocess-queue.1 where 1 was to come"},
	{"a region's queue hands out a younger record", AA, BEFORE, K(DELIVERED), "outbound-queue.2", 4,
	 K(DELIVERED), "outbound-queue.2", 2,
	 M(ORDER), true, "order: record 4 delivered from outbound-queue.2 before 2"},
	{"a stream skips one", W1, DROP, K(DELIVERED), "inbound-stream.2", 4, 0, 0, 0,
	 M(ORDER), true, "order: record 6 delivered from inbound-stream.2 before 2"},
	{"a removal takes one that stands no more", AP, TWICE, K(REMOVED), "inbound-queue.1", 6, 0, 0, 0,
	 M(ORDER), true, "order: record 6 removed from inbound-queue.1, where nothing stands"},
	{"removed without a delivery", AP, DROP, K(DELIVERED), "outbound-queue.1", 6, 0, 0, 0,
	 M(ORDER), false, "order: record 6 removed from outbound-queue.1, which never handed it out"},
	{"an old record is sent again", AP, ALSO_NUMBER, K(SENT), "inbound-queue.1", 4, K(SENT), "inbound-queue.1", 2,
	 M(ORDER), true, "order: record 2 sent to inbound-queue.1 again, after 3"},
	{"sent to the other region", AP, ALSO_AS, K(SENT), "core-postprocess-queue.1", 4,
	 K(SENT), "core-postprocess-queue.2", 0,
	 M(ORDER), true, "order: record 4 sent to core-postprocess-queue.2, though it is in region 1's chain"},
	{"a member gets rows in the wrong order", AP, BEFORE, K(WRITTEN), "core-database.2", 5,
	 K(WRITTEN), "core-database.2", 4,
	 M(ORDER), true, "order: record 5 written in core-database.2 before 4"},
	{"published in the wrong order", AP, BEFORE, K(PUBLISHED), "source", 2, K(PUBLISHED), "source", 1,
	 M(ORDER), false, "order: record 2 published by the source after 0"},
	{"a record from nowhere in a queue", AP, ALSO_NUMBER, K(SENT), "inbound-queue.1", 4, K(SENT), "inbound-queue.1", 77,
	 M(ORDER), true, "order: record 77 sent to inbound-queue.1: the source has none of that number"},
	/* removal */
	{"removed before it is written", AP, BEFORE, K(REMOVED), "inbound-queue.1", 2, K(WRITTEN), "inbound-database.1", 2,
	 M(REMOVAL), true, "removal: record 2 removed from inbound-queue.1 before its row is in inbound-database"},
	{"removed before it is sent on", AP, BEFORE, K(REMOVED), "inbound-queue.1", 2, K(SENT), "inbound-preprocess-queue.1", 2,
	 M(REMOVAL), true, "removal: record 2 removed from inbound-queue.1 before inbound-preprocess-queue.1 accepted it"},
	{"sent on before it is written", AP, BEFORE, K(SENT), "inbound-preprocess-queue.1", 2, K(WRITTEN), "inbound-database.1", 2,
	 M(REMOVAL), true, "removal: record 2 sent to inbound-preprocess-queue.1 before its row is in inbound-database"},
	{"an API publishes before it writes", W1, BEFORE, K(SENT), "inbound-stream.1", 3, K(WRITTEN), "validator-database.2", 3,
	 M(REMOVAL), true, "removal: record 3 sent to inbound-stream.1 before its row is in validator-database"},
	{"only the other region's member has it", AA, BEFORE, K(WRITTEN), "core-database.2", 1, K(WRITTEN), "core-database.1", 1,
	 PL_MONITORS, false, ""}, /* a row may come early; who waits for its own is not wronged */
	{"removed before it arrived", AP, BEFORE, K(REMOVED), "outbound-queue.1", 2, K(ARRIVED), "destination", 2,
	 M(REMOVAL), true, "removal: record 2 removed from outbound-queue.1 before it arrived at the destination"},
	{"published before it is accepted", AP, BEFORE, K(PUBLISHED), "source", 4, K(ACCEPTED), "inbound-queue.1", 4,
	 M(REMOVAL), true, "removal: record 4 published by the source before inbound-queue.1 accepted it"},
	/* convergence */
	{"a replicator loses the last one", AP, DROP, K(WRITTEN), "core-database.2", 6, 0, 0, 0,
	 M(CONVERGENCE), true, "convergence: record 6 is in core-database.1 and not in core-database.2"},
	{"a replicator loses one", AA, DROP, K(WRITTEN), "core-database.2", 3, 0, 0, 0,
	 M(CONVERGENCE), true, "convergence: record 3 is in core-database.1 and not in core-database.2"},
	{"a third member is forgotten", W1, DROP, K(WRITTEN), "processor-database.3", 3, 0, 0, 0,
	 M(CONVERGENCE), true, "convergence: record 3 is in processor-database.1 and not in processor-database.3"},
	{"a row is new twice", AP, TWICE, K(WRITTEN), "core-database.1", 3, 0, 0, 0,
	 M(CONVERGENCE), true, "convergence: record 3 is a new row in core-database.1 a second time"},
	{"a second row", AP, ALSO_AS, K(SENT), "core-postprocess-queue.1", 3, K(DUPLICATED), "core-database.1", 0,
	 M(CONVERGENCE), true, "convergence: record 3 has a second row in core-database.1"},
	{"another value under the id", AP, ALSO_AS, K(SENT), "core-postprocess-queue.1", 3, K(CONFLICT), "core-database.1", 0,
	 M(CONVERGENCE), true, "convergence: record 3 came to core-database.1 with another value than its row's"},
	{"a repeat that never was new", AP, AS, K(WRITTEN), "core-database.2", 6, K(REWRITTEN), 0, 0,
	 M(CONVERGENCE), true, "convergence: record 6 was taken for a row that stands in core-database.2"},
	{"members disagree on a value", AP, VALUE, K(WRITTEN), "core-database.2", 3, 0, 0, 0,
	 M(CONVERGENCE), false, "convergence: record 3 written in core-database.2 with another value than elsewhere"},
	/* destination */
	{"arrived twice", AP, TWICE, K(ARRIVED), "destination", 3, 0, 0, 0,
	 M(DESTINATION), true, "destination: record 3 arrived at the destination twice"},
	{"arrived changed", AP, VALUE, K(ARRIVED), "destination", 3, 0, 0, 0,
	 M(DESTINATION), true, "destination: record 3 arrived at the destination with another value"},
	{"arrived from nowhere", AP, ALSO_NUMBER, K(ARRIVED), "destination", 3, K(ARRIVED), "destination", 99,
	 M(DESTINATION), true, "destination: record 99 arrived at the destination: the source has none of that number"},
	{"arrived before it was handed out", AP, BEFORE, K(ARRIVED), "destination", 3, K(DELIVERED), "outbound-queue.1", 3,
	 M(DESTINATION), true, "destination: record 3 arrived at the destination, and outbound-queue.1 never handed it out"},
	{"taken for a repeat", AP, ALSO_AS, K(ARRIVED), "destination", 3, K(REPEATED), "destination", 0,
	 M(DESTINATION), true, "destination: record 3 was taken for a repeat, and never arrived"},
	{"thrown away at the destination", W1, DROP, K(ARRIVED), "destination", 3, 0, 0, 0,
	 M(REMOVAL), false, "removal: record 3 removed from outbound-stream.1 before it arrived"},
	/* complete */
	{"a container changes a value", AP, VALUE, K(SENT), "core-postprocess-queue.1", 3, 0, 0, 0,
	 M(COMPLETE), true, "complete: record 3 sent to core-postprocess-queue.1 with another value"},
	{"never published", AP, DROP, K(PUBLISHED), "source", 6, 0, 0, 0,
	 M(COMPLETE), true, "complete: record 6 was never published"},
	{"stands at the end", AP, DROP, K(REMOVED), "preprocess-core-queue.1", 6, 0, 0, 0,
	 M(COMPLETE), true, "complete: record 6 still stands in preprocess-core-queue.1"},
	{"lost on its way", AP, LOSE, K(SENT), "preprocess-core-queue.1", 6, 0, 0, 0,
	 M(COMPLETE), false, "complete: record 6 was never accepted at preprocess-core-queue.1"},
	{"lost on its way in a region", AA, LOSE, K(SENT), "preprocess-core-queue.2", 6, 0, 0, 0,
	 M(COMPLETE), false, "complete: record 6 was never accepted at preprocess-core-queue.2"},
	/* split */
	{"a record more for one region", AA, ALSO_AS, K(SENT), "inbound-queue.1", 1, K(ACCEPTED), "inbound-queue.2", 0,
	 M(SPLIT), false, "split: record 6 accepted at inbound-queue.2, which was to get 3 only"},
	/* answered */
	{"a majority of one", W1, BEFORE, K(ANSWERED), "processor-database", 3, K(WRITTEN), "processor-database.2", 3,
	 M(ANSWERED), true, "answered: record 3 answered by processor-database when 1 of its members held it, of 2 needed"},
	{"an answer without a row", AP, BEFORE, K(ANSWERED), "core-database", 3, K(WRITTEN), "core-database.1", 3,
	 M(ANSWERED), true, "answered: record 3 answered by core-database when 0 of its members held it, of 1 needed"},
	{"switched without draining", AP, ALSO_NUMBER, K(WRITTEN), "core-database.2", 3, K(SWITCHED), "core-database", 0,
	 M(ANSWERED), true, "answered: record 3 was answered by core-database, not on the side that it switched to"},
};
/* clang-format on */

static uint8_t side_of(uint8_t machine)
{
	uint8_t region = stream.topology.machines[machine].params.region;
	return region ? region : 2; /* only a switch is of no region here; it goes to 2 */
}

static void plant(const struct canary *canary)
{
	uint32_t at = find(canary->kind, canary->machine, canary->id);
	struct pl_effect effect = stream.effects[at];
	switch (canary->act) {
	case DROP:
		drop(at);
		break;
	case TWICE:
		insert(at + 1, effect);
		break;
	case BEFORE:
		drop(at);
		insert(find(canary->other_kind, canary->other, canary->other_id), effect);
		break;
	case VALUE:
		stream.effects[at].record.value++;
		break;
	case AS:
		stream.effects[at].kind = (uint8_t)canary->other_kind;
		break;
	case ALSO_NUMBER:
		effect.record.id = canary->other_id;
		effect.record.value =
			canary->other_id <= stream.records ? stream.values[canary->other_id] : 0;
		/* fall through */
	case ALSO_AS:
		effect.kind = (uint8_t)canary->other_kind;
		effect.machine = machine_of(canary->other);
		if (effect.machine != stream.topology.destination)
			effect.region = side_of(effect.machine);
		insert(at, effect);
		break;
	case LOSE:
		for (uint32_t i = at; i < stream.count;)
			if (stream.effects[i].record.id == canary->id &&
			    stream.effects[i].kind != PL_EFFECT_REMOVED)
				drop(i);
			else
				i++;
		break;
	}
}

static struct pl_promise promise_of(enum stream_architecture architecture)
{
	struct pl_promise promise = {.records = stream.records, .monitors = ALL};
	promise.split[0] = architecture == AP ? stream.records : stream.records / 2;
	promise.split[1] = stream.records - promise.split[0];
	return promise;
}

static void each_fault_is_told_by_its_monitor_with_record_and_place(void **state)
{
	(void)state;
	uint32_t wrong = 0;
	for (size_t i = 0; i < sizeof(canaries) / sizeof(canaries[0]); i++) {
		const struct canary *canary = &canaries[i];
		stream_make(&stream, canary->architecture, 6, 0, STREAM_PILED, 0);
		struct pl_promise promise = promise_of(canary->architecture);
		assert_int_equal(judge(promise), PL_MONITORS);
		plant(canary);
		if (canary->monitor == PL_MONITORS) {
			assert_int_equal(judge(promise), PL_MONITORS);
			continue;
		}
		promise.monitors = 1ull << canary->monitor;
		assert_int_equal(judge(promise), canary->monitor);
		if (strncmp(verdict, canary->words, strlen(canary->words)) != 0)
			wrong++, print_error(
					 "%s:\n  said      %s\n  should be %s\n",
					 canary->name,
					 verdict,
					 canary->words
				 );
		print_message("%-45s %s\n", canary->name, verdict);
		promise.monitors = ALL & ~promise.monitors;
		if ((judge(promise) == PL_MONITORS) != canary->only)
			wrong++, print_error(
					 "%s: the others %s\n",
					 canary->name,
					 canary->only ? verdict : "say nothing"
				 );
	}
	assert_int_equal(wrong, 0);
}

static void correct_runs_pass_in_every_manner(void **state)
{
	(void)state;
	for (uint32_t architecture = 0; architecture < STREAM_ARCHITECTURES; architecture++)
		for (uint32_t manner = STREAM_PILED; manner <= STREAM_MIXED; manner++)
			for (uint32_t failover = 0; failover <= 11; failover += 11) {
				stream_make(&stream, architecture, 30, failover, manner, 7);
				struct pl_promise promise = {.records = 30, .monitors = ALL};
				if (judge(promise) != PL_MONITORS)
					fail_msg("%u %u: %s", architecture, manner, verdict);
			}
}

/* The order that active-passive promises does not hold for active-active. */
static void a_total_order_is_broken_by_two_regions(void **state)
{
	(void)state;
	stream_make(&stream, AA, 10, 0, STREAM_PILED, 0);
	stream.topology.order = PL_ORDER_TOTAL;
	assert_int_equal(
		judge((struct pl_promise){.records = 10, .monitors = ALL}), PL_MONITOR_ORDER
	);
}

static void nothing_passes_without_having_looked(void **state)
{
	(void)state;
	for (uint32_t architecture = 0; architecture < STREAM_ARCHITECTURES; architecture++)
		for (uint32_t monitor = 0; monitor < PL_MONITORS; monitor++) {
			stream_make(&stream, architecture, 6, 0, STREAM_PILED, 0);
			struct pl_promise promise = promise_of(architecture);
			promise.monitors = 1ull << monitor;
			uint32_t count = stream.count;
			assert_int_equal(judge(promise), PL_MONITORS);
			stream.count = 0; /* nothing happened */
			assert_int_equal(judge(promise), monitor);
			stream.count = count;
			promise.monitors = 0; /* nobody looks */
			assert_int_equal(judge(promise), PL_MONITOR_COMPLETE);
			promise.monitors = 1ull << monitor;
			promise.records = 0; /* nothing to look at */
			stream.count = 0;
			assert_true(judge(promise) != PL_MONITORS);
			promise = promise_of(architecture);
			stream.topology.transport_count = stream.topology.database_count = 0;
			assert_true(judge(promise) != PL_MONITORS);
		}
}

/* One effect of each kind at each place is a place reached: without them it is not. */
static void each_place_must_have_been_reached(void **state)
{
	(void)state;
	for (uint32_t architecture = 0; architecture < STREAM_ARCHITECTURES; architecture++) {
		stream_make(&stream, architecture, 6, 0, STREAM_PILED, 0);
		uint32_t machines = stream.topology.count;
		for (uint32_t machine = 0; machine < machines; machine++) {
			stream_make(&stream, architecture, 6, 0, STREAM_PILED, 0);
			bool any = false;
			for (uint32_t i = 0; i < stream.count;) {
				bool its = stream.effects[i].machine == machine &&
					   stream.effects[i].kind != PL_EFFECT_IN_HAND;
				any |= its;
				if (its)
					drop(i);
				else
					i++;
			}
			if (any && judge(promise_of(architecture)) == PL_MONITORS)
				fail_msg("%s", stream.topology.machines[machine].name);
		}
	}
}

static void a_forced_switch_that_tells_what_it_left_is_not_a_planned_one(void **state)
{
	(void)state;
	for (int told_before = 0; told_before < 2; told_before++) {
		stream_make(&stream, AP, 6, 0, STREAM_PILED, 0);
		uint8_t front = machine_of("core-database");
		uint32_t at = find(PL_EFFECT_WRITTEN, "core-database.2", 5);
		insert(at,
		       (struct pl_effect){.kind = PL_EFFECT_SWITCHED, .machine = front, .region = 2}
		);
		for (uint64_t id = 5; id <= 6; id++)
			insert(told_before ? at : at + 1,
			       (struct pl_effect){
				       .kind = PL_EFFECT_LEFT_BEHIND,
				       .machine = front,
				       .region = 2,
				       .record = {id, stream.values[id]},
			       });
		struct pl_promise promise = {.records = 6, .monitors = ALL};
		assert_int_equal(judge(promise), PL_MONITORS);
		drop(find(PL_EFFECT_LEFT_BEHIND, "core-database", 6));
		assert_int_equal(judge(promise), PL_MONITOR_ANSWERED);
	}
}

static void leftovers_may_stand_where_a_region_was_lost(void **state)
{
	(void)state;
	stream_make(&stream, AP, 6, 0, STREAM_PILED, 0);
	drop(find(PL_EFFECT_REMOVED, "preprocess-core-queue.1", 6));
	struct pl_promise promise = {.records = 6, .monitors = ALL};
	assert_int_equal(judge(promise), PL_MONITOR_COMPLETE);
	promise.leftovers = true;
	assert_int_equal(judge(promise), PL_MONITORS);
}

/* ---- as modelled ---- */

static struct pl_promise modelled(uint32_t first, uint32_t second)
{
	return (struct pl_promise){
		.records = stream.records,
		.monitors = ALL,
		.split = {first, second},
		.defects = 1ull << PL_DEFECT_MODELLED_MONITORS,
	};
}

static void as_modelled_correct_runs_pass(void **state)
{
	(void)state;
	stream_make(&stream, AP, 30, 0, STREAM_SINGLY, 0);
	assert_int_equal(judge(modelled(30, 0)), PL_MONITORS);
	assert_int_equal(overlooked, 0);
	stream_make(&stream, AA, 10, 0, STREAM_SINGLY, 0);
	assert_int_equal(judge(modelled(5, 5)), PL_MONITORS);
	assert_int_equal(overlooked, 0);
	stream_make(&stream, W1, 50, 0, STREAM_SINGLY, 0);
	assert_int_equal(judge(modelled(25, 25)), PL_MONITORS);
}

/* Batch 1 makes every list long enough, so all that the failover does is overlooked, a hundred lost
 * records included. */
static void as_modelled_the_failover_of_workload1_is_not_looked_at(void **state)
{
	(void)state;
	stream_make(&stream, W1, 150, 51, STREAM_SINGLY, 0);
	assert_int_equal(judge(modelled(25, 125)), PL_MONITORS);
	assert_true(overlooked > 1000);
	for (uint32_t i = 0; i < stream.count;)
		if (stream.effects[i].record.id > 50)
			drop(i);
		else
			i++;
	assert_int_equal(judge(modelled(25, 125)), PL_MONITORS);
	struct pl_promise own = {.records = 150, .monitors = ALL};
	assert_true(judge(own) != PL_MONITORS);
}

/* The source fills the first queue before a container runs: the lists that exist are long enough.
 */
static void as_modelled_a_full_first_queue_is_all(void **state)
{
	(void)state;
	stream_make(&stream, AP, 10, 0, STREAM_PILED, 0);
	stream.count = find(PL_EFFECT_PUBLISHED, "source", 10) + 1;
	assert_int_equal(judge(modelled(10, 0)), PL_MONITORS);
	struct pl_promise own = {.records = 10, .monitors = ALL};
	assert_true(judge(own) != PL_MONITORS);
}

static void as_modelled_the_destination_and_equality_are_not_seen(void **state)
{
	(void)state;
	static const struct {
		enum stream_architecture architecture;
		enum pl_effect_kind kind;
		const char *machine;
		enum act act;
	} unseen[] = {
		{AP, PL_EFFECT_ARRIVED, "destination", DROP},
		{AP, PL_EFFECT_ARRIVED, "destination", TWICE},
		{AA, PL_EFFECT_SENT, "core-postprocess-queue.1", VALUE},
		{AA, PL_EFFECT_WRITTEN, "core-database.2", VALUE},
		{AA, PL_EFFECT_WRITTEN, "core-database.2", TWICE},
		{AA, PL_EFFECT_ACCEPTED, "core-postprocess-queue.1", DROP},
	};
	for (size_t i = 0; i < sizeof(unseen) / sizeof(unseen[0]); i++) {
		stream_make(&stream, unseen[i].architecture, 10, 0, STREAM_SINGLY, 0);
		plant(&(struct canary){
			.act = unseen[i].act,
			.kind = unseen[i].kind,
			.machine = unseen[i].machine,
			.id = 3,
		});
		bool passive = unseen[i].architecture == AP;
		assert_int_equal(judge(modelled(passive ? 10 : 5, passive ? 0 : 5)), PL_MONITORS);
		assert_true(
			judge((struct pl_promise){.records = 10, .monitors = ALL}) != PL_MONITORS
		);
	}
}

/* What is right to do again after a lost answer breaks a run there. */
static void as_modelled_a_lost_answer_is_a_false_alarm(void **state)
{
	(void)state;
	stream_make(&stream, AP, 10, 0, STREAM_SINGLY, 0);
	uint32_t at = find(PL_EFFECT_REMOVED, "inbound-queue.1", 4);
	struct pl_effect effect = stream.effects[at];
	effect.kind = PL_EFFECT_NOT_REMOVED; /* asked for again: nothing stands there */
	insert(at + 1, effect);
	assert_int_equal(judge(modelled(10, 0)), PL_MONITOR_ORDER);
	assert_int_equal(judge((struct pl_promise){.records = 10, .monitors = ALL}), PL_MONITORS);
}

/* They do see what they count. */
static void as_modelled_what_is_counted_is_missed_when_it_is_lost(void **state)
{
	(void)state;
	stream_make(&stream, AP, 10, 0, STREAM_SINGLY, 0);
	drop(find(PL_EFFECT_WRITTEN, "core-database.2", 10));
	assert_int_equal(judge(modelled(10, 0)), PL_MONITOR_COMPLETE);
	stream_make(&stream, AP, 10, 0, STREAM_SINGLY, 0);
	drop(find(PL_EFFECT_WRITTEN, "core-database.2", 3));
	assert_int_equal(judge(modelled(10, 0)), PL_MONITOR_ORDER);
	stream_make(&stream, AA, 10, 0, STREAM_SINGLY, 0);
	drop(find(PL_EFFECT_DELIVERED, "core-postprocess-queue.2", 4));
	assert_int_equal(judge(modelled(5, 5)), PL_MONITOR_COMPLETE);
}

static void __attribute__((format(printf, 2, 3))) as_text(char text[24], const char *format, ...)
{
	va_list list;
	va_start(list, format);
	size_t used = pl_text_put(text, 24, format, list);
	va_end(list);
	assert_int_equal(used, strlen(text));
}

static void a_verdict_is_cut_where_its_room_ends(void **state)
{
	char text[24];
	as_text(text, "%u %s%%%llu", 0u, "of", (unsigned long long)UINT64_MAX);
	assert_string_equal(text, "0 of%184467440737095516");
	as_text(text, "%s", "a name that is longer than the room");
	assert_string_equal(text, "a name that is longer t");
	assert_true(pl_text_begins("api-container", "api") && !pl_text_begins("ap", "api"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(correct_runs_pass_in_every_manner),
		cmocka_unit_test(each_fault_is_told_by_its_monitor_with_record_and_place),
		cmocka_unit_test(a_total_order_is_broken_by_two_regions),
		cmocka_unit_test(nothing_passes_without_having_looked),
		cmocka_unit_test(each_place_must_have_been_reached),
		cmocka_unit_test(a_forced_switch_that_tells_what_it_left_is_not_a_planned_one),
		cmocka_unit_test(a_verdict_is_cut_where_its_room_ends),
		cmocka_unit_test(leftovers_may_stand_where_a_region_was_lost),
		cmocka_unit_test(as_modelled_correct_runs_pass),
		cmocka_unit_test(as_modelled_the_failover_of_workload1_is_not_looked_at),
		cmocka_unit_test(as_modelled_a_full_first_queue_is_all),
		cmocka_unit_test(as_modelled_the_destination_and_equality_are_not_seen),
		cmocka_unit_test(as_modelled_a_lost_answer_is_a_false_alarm),
		cmocka_unit_test(as_modelled_what_is_counted_is_missed_when_it_is_lost),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
