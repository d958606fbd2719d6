/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The ledger's checker against histories of one honest register, and of dishonest ones: a checker
 * that calls everything good would fail here. */
#include "perf/bench/ledger.h"
#include "tests/unit/unit.h"

#include <stdlib.h>
#include <time.h>

#define ASSETS 4
#define UPDATES 200

/* The true state, and what the client was told. */
struct history {
	struct bench_ledger ledger;
	uint64_t version[ASSETS], last_sequence[ASSETS], sequence;
	int64_t value[ASSETS];
	uint64_t random;
};

static uint64_t next_random(struct history *h)
{
	h->random ^= h->random << 13;
	h->random ^= h->random >> 7;
	h->random ^= h->random << 17;
	return h->random;
}

static struct bench_record state_of(const struct history *h, uint32_t asset)
{
	return (struct bench_record){
		.asset = asset,
		.version = h->version[asset],
		.sequence = h->last_sequence[asset],
		.value = h->value[asset],
	};
}

static struct bench_record apply(struct history *h, uint32_t asset, int32_t delta)
{
	h->version[asset]++;
	h->value[asset] += delta;
	h->last_sequence[asset] = ++h->sequence;
	struct bench_record record = state_of(h, asset);
	record.delta = delta;
	return record;
}

static void start(struct history *h)
{
	static uint64_t seed;
	const char *given = getenv("SEED");
	if (seed == 0) {
		seed = given != NULL ? strtoull(given, NULL, 0) : (uint64_t)time(NULL);
		print_message("replay: SEED=%llu test_bench_ledger\n", (unsigned long long)seed);
	}
	*h = (struct history){.random = seed | 1};
	assert_int_equal(bench_ledger_open(&h->ledger, ASSETS, 1000000), 0);
	for (uint32_t asset = 0; asset < ASSETS; asset++) {
		for (uint32_t i = 0; i < asset; i++)
			apply(h, asset, 7); /* some assets are not new */
		struct bench_record before = state_of(h, asset);
		bench_ledger_first(&h->ledger, &before);
	}
}

static int32_t random_delta(struct history *h)
{
	return (int32_t)(next_random(h) >> 33) - (1 << 30) + 1;
}

/* Honest updates and reads; the answers are told in another order than they were given. */
static void add_good(struct history *h, uint32_t count)
{
	struct bench_record held = {0};
	bool holds = false;
	for (uint32_t i = 0; i < count; i++) {
		uint32_t asset = (uint32_t)(next_random(h) % ASSETS);
		struct bench_record record =
			i % 7 == 6 ? state_of(h, asset) : apply(h, asset, random_delta(h));
		if (!holds && i % 3 == 0) {
			held = record;
			holds = true;
			continue;
		}
		bench_ledger_add(&h->ledger, &record);
		if (holds && i % 5 == 0) {
			bench_ledger_add(&h->ledger, &held);
			holds = false;
		}
	}
	if (holds)
		bench_ledger_add(&h->ledger, &held);
}

static struct bench_verdict finish(struct history *h)
{
	struct bench_verdict verdict;
	for (uint32_t asset = 0; asset < ASSETS; asset++) {
		struct bench_record after = state_of(h, asset);
		bench_ledger_last(&h->ledger, &after);
	}
	bench_ledger_check(&h->ledger, &verdict);
	bench_ledger_close(&h->ledger);
	return verdict;
}

static void check_when_history_is_honest_then_nothing_is_broken(void **state)
{
	struct history h;
	start(&h);
	add_good(&h, UPDATES);
	struct bench_verdict v = finish(&h);
	assert_false(bench_verdict_is_broken(&v));
	assert_int_equal(v.updates + v.reads, UPDATES);
	assert_true(v.reads > 0);
	assert_int_equal(v.unchecked_assets + v.undecided + v.unknown_applied, 0);
}

static void check_when_nothing_was_done_then_nothing_is_broken(void **state)
{
	struct history h;
	start(&h);
	struct bench_verdict v = finish(&h);
	assert_false(bench_verdict_is_broken(&v));
	assert_int_equal(v.updates, 0);
}

static void check_when_unknown_ones_were_applied_or_not_then_tells_how_many(void **state)
{
	struct history h;
	start(&h);
	for (uint32_t i = 0; i < 24; i++) {
		add_good(&h, 10);
		int32_t delta = random_delta(&h);
		assert_int_equal(bench_ledger_unknown(&h.ledger, i % ASSETS, delta), 0);
		if (i % 3 == 0)
			apply(&h, i % ASSETS, delta);
	}
	struct bench_verdict v = finish(&h);
	assert_false(bench_verdict_is_broken(&v));
	assert_int_equal(v.unknown, 24);
	assert_int_equal(v.unknown_applied, 8);
}

/* Canaries: each history breaks one promise. */

static void check_when_newest_acknowledged_update_is_gone_then_says_lost(void **state)
{
	struct history h;
	start(&h);
	add_good(&h, UPDATES);
	struct bench_record before = state_of(&h, 1);
	struct bench_record gone = apply(&h, 1, 1000);
	bench_ledger_add(&h.ledger, &gone);
	h.version[1] = before.version;
	h.value[1] = before.value;
	h.last_sequence[1] = before.sequence;
	struct bench_verdict v = finish(&h);
	assert_int_equal(v.lost_after_ack, 1);
	assert_int_equal(v.example_asset, 1);
}

static void check_when_lost_version_was_given_again_then_says_lost(void **state)
{
	struct history h;
	start(&h);
	add_good(&h, UPDATES);
	struct bench_record before = state_of(&h, 2);
	struct bench_record gone = apply(&h, 2, 1000);
	bench_ledger_add(&h.ledger, &gone);
	h.version[2] = before.version;
	h.value[2] = before.value;
	h.last_sequence[2] = before.sequence;
	add_good(&h, UPDATES);
	struct bench_verdict v = finish(&h);
	assert_true(v.lost_after_ack >= 1);
}

static void check_when_an_update_is_applied_twice_then_says_so(void **state)
{
	struct history h;
	start(&h);
	add_good(&h, UPDATES);
	struct bench_record twice = apply(&h, 0, 4711);
	bench_ledger_add(&h.ledger, &twice);
	apply(&h, 0, 4711);
	add_good(&h, UPDATES);
	struct bench_verdict v = finish(&h);
	assert_int_equal(v.applied_twice, 1);
	assert_int_equal(v.lost_after_ack, 0);
}

/* An unknown update of the same asset must not hide the doubled one: its delta differs. */
static void check_when_doubled_update_hides_behind_an_unknown_one_then_is_seen(void **state)
{
	struct history h;
	start(&h);
	add_good(&h, UPDATES);
	bench_ledger_unknown(&h.ledger, 0, 815);
	struct bench_record twice = apply(&h, 0, 4711);
	bench_ledger_add(&h.ledger, &twice);
	apply(&h, 0, 4711);
	struct bench_verdict v = finish(&h);
	assert_true(bench_verdict_is_broken(&v));
	assert_int_equal(v.wrong_values, 1);
}

static void check_when_an_unknown_update_is_applied_twice_then_says_so(void **state)
{
	struct history h;
	start(&h);
	bench_ledger_unknown(&h.ledger, 3, 815);
	apply(&h, 3, 815);
	apply(&h, 3, 815);
	struct bench_verdict v = finish(&h);
	assert_int_equal(v.applied_twice, 1);
}

static void check_when_an_answer_has_a_wrong_value_then_says_so(void **state)
{
	struct history h;
	start(&h);
	add_good(&h, UPDATES);
	struct bench_record lie = apply(&h, 3, 5);
	lie.value++;
	bench_ledger_add(&h.ledger, &lie);
	add_good(&h, UPDATES);
	struct bench_verdict v = finish(&h);
	assert_true(v.wrong_values >= 1);
	assert_int_equal(v.lost_after_ack, 0);
}

static void check_when_the_final_value_is_wrong_then_says_so(void **state)
{
	struct history h;
	start(&h);
	add_good(&h, UPDATES);
	h.value[0]++;
	struct bench_verdict v = finish(&h);
	assert_int_equal(v.wrong_values, 1);
	assert_int_equal(v.example_asset, 0);
}

static void check_when_a_read_saw_what_never_was_then_says_so(void **state)
{
	struct history h;
	start(&h);
	add_good(&h, UPDATES);
	struct bench_record read = state_of(&h, 0);
	read.value -= 3;
	bench_ledger_add(&h.ledger, &read);
	struct bench_verdict v = finish(&h);
	assert_true(v.wrong_values >= 1);
}

static void check_when_sequences_contradict_versions_then_says_so(void **state)
{
	struct history h;
	start(&h);
	struct bench_record a = apply(&h, 0, 1), b = apply(&h, 0, 2);
	uint64_t swapped = a.sequence;
	a.sequence = b.sequence;
	b.sequence = swapped;
	bench_ledger_add(&h.ledger, &a);
	bench_ledger_add(&h.ledger, &b);
	struct bench_verdict v = finish(&h);
	assert_true(v.wrong_order >= 1);
}

static void check_when_an_asset_was_not_read_back_then_is_unchecked(void **state)
{
	struct history h;
	struct bench_verdict v;
	start(&h);
	add_good(&h, UPDATES);
	bench_ledger_check(&h.ledger, &v);
	bench_ledger_close(&h.ledger);
	assert_int_equal(v.unchecked_assets, ASSETS);
}

static void check_when_too_many_are_unknown_then_is_undecided_and_ends(void **state)
{
	struct history h;
	start(&h);
	for (uint32_t i = 0; i < 300; i++) {
		int32_t delta = random_delta(&h);
		bench_ledger_unknown(&h.ledger, 0, delta);
		if (i % 2)
			apply(&h, 0, delta);
	}
	struct bench_verdict v = finish(&h);
	assert_int_equal(v.undecided, 1);
	assert_false(bench_verdict_is_broken(&v));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(check_when_history_is_honest_then_nothing_is_broken),
		cmocka_unit_test(check_when_nothing_was_done_then_nothing_is_broken),
		cmocka_unit_test(check_when_unknown_ones_were_applied_or_not_then_tells_how_many),
		cmocka_unit_test(check_when_newest_acknowledged_update_is_gone_then_says_lost),
		cmocka_unit_test(check_when_lost_version_was_given_again_then_says_lost),
		cmocka_unit_test(check_when_an_update_is_applied_twice_then_says_so),
		cmocka_unit_test(check_when_doubled_update_hides_behind_an_unknown_one_then_is_seen
		),
		cmocka_unit_test(check_when_an_unknown_update_is_applied_twice_then_says_so),
		cmocka_unit_test(check_when_an_answer_has_a_wrong_value_then_says_so),
		cmocka_unit_test(check_when_the_final_value_is_wrong_then_says_so),
		cmocka_unit_test(check_when_a_read_saw_what_never_was_then_says_so),
		cmocka_unit_test(check_when_sequences_contradict_versions_then_says_so),
		cmocka_unit_test(check_when_an_asset_was_not_read_back_then_is_unchecked),
		cmocka_unit_test(check_when_too_many_are_unknown_then_is_undecided_and_ends),
	};
	return cmocka_run_group_tests(tests, NULL, NULL) != 0;
}
