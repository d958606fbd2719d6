/* SPDX-License-Identifier: BSD-3-Clause */
#include "config/histogram.h"
#include "tests/unit/unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define HOUR_NS 3600000000000ull
#define TEN_SECONDS_NS 10000000000ull

static struct sf_histogram *new_histogram(uint32_t digits, uint64_t highest)
{
	struct sf_histogram *h = malloc(sf_histogram_bytes(digits, highest));
	assert_non_null(h);
	sf_histogram_init(h, digits, highest);
	return h;
}

static void slots_when_shape_is_known_then_match_the_published_sizes(void **state)
{
	assert_int_equal(sf_histogram_slots(2, TEN_SECONDS_NS), SF_HISTOGRAM_2D_10S_COUNTS);
	assert_int_equal(sf_histogram_slots(3, HOUR_NS), 33 * 1024);
	assert_int_equal(sf_histogram_buckets(3, HOUR_NS), 32);
}

/* Every slot's first and last value map to it, and slots follow one another without a gap. */
static void index_when_walked_over_all_slots_then_is_contiguous(void **state)
{
	for (uint32_t digits = 2; digits <= 3; digits++) {
		struct sf_histogram *h = new_histogram(digits, HOUR_NS);
		uint64_t next = 0;
		for (uint32_t i = 0; i < h->count_slots; i++) {
			uint64_t low = sf_histogram_value_at(h, i);
			uint64_t high = sf_histogram_highest_equivalent(h, low);
			assert_int_equal(low, next);
			assert_int_equal(sf_histogram_index(h, low), i);
			assert_int_equal(sf_histogram_index(h, high), i);
			assert_int_equal(sf_histogram_highest_equivalent(h, high), high);
			uint64_t middle = sf_histogram_median_equivalent(h, high);
			assert_true(middle >= low && middle <= high);
			/* Resolution: a slot is never wider than the digits promise. */
			assert_true((high - low) * (digits == 2 ? 100 : 1000) <= high);
			next = high + 1;
		}
		assert_true(next > HOUR_NS);
		free(h);
	}
}

static void statistics_when_empty_then_are_zero(void **state)
{
	struct sf_histogram *h = new_histogram(3, HOUR_NS);
	assert_int_equal(sf_histogram_percentile(h, 0), 0);
	assert_int_equal(sf_histogram_percentile(h, 50), 0);
	assert_int_equal(sf_histogram_percentile(h, 100), 0);
	assert_true(sf_histogram_mean(h) == 0 && sf_histogram_stddev(h) == 0);
	assert_true(h->min == UINT64_MAX);
	free(h);
}

static void record_when_value_is_zero_then_counts_in_slot_zero(void **state)
{
	struct sf_histogram *h = new_histogram(3, HOUR_NS);
	sf_histogram_record(h, 0, 7);
	assert_int_equal(h->counts[0], 7);
	assert_int_equal(h->total, 7);
	assert_int_equal(h->min, 0);
	assert_int_equal(h->max, 0);
	assert_int_equal(sf_histogram_percentile(h, 99), 0);
	free(h);
}

static void record_when_value_is_above_highest_then_is_clipped_and_said(void **state)
{
	struct sf_histogram *h = new_histogram(2, TEN_SECONDS_NS);
	sf_histogram_record(h, TEN_SECONDS_NS, 1);
	assert_int_equal(h->clipped, 0);
	sf_histogram_record(h, TEN_SECONDS_NS + 1, 2);
	sf_histogram_record(h, UINT64_MAX, 1);
	assert_int_equal(h->clipped, 3);
	assert_int_equal(h->max, TEN_SECONDS_NS);
	assert_int_equal(h->total, 4);
	assert_int_equal(h->counts[sf_histogram_index(h, TEN_SECONDS_NS)], 4);
	free(h);
}

static void percentile_when_values_are_one_to_thousand_then_is_exact(void **state)
{
	struct sf_histogram *h = new_histogram(3, HOUR_NS);
	for (uint64_t v = 1; v <= 1000; v++)
		sf_histogram_record(h, v, 1);
	assert_int_equal(sf_histogram_percentile(h, 0), 1);
	assert_int_equal(sf_histogram_percentile(h, 50), 500);
	assert_int_equal(sf_histogram_percentile(h, 90), 900);
	assert_int_equal(sf_histogram_percentile(h, 99), 990);
	assert_int_equal(sf_histogram_percentile(h, 99.9), 999);
	assert_int_equal(sf_histogram_percentile(h, 99.91), 1000);
	assert_int_equal(sf_histogram_percentile(h, 100), 1000);
	assert_true(sf_histogram_mean(h) == 500.5);
	/* sqrt((1000^2 - 1) / 12) */
	double away = sf_histogram_stddev(h) - 288.67499025720953;
	assert_true(away < 1e-9 && away > -1e-9);
	free(h);
}

static void percentile_when_counts_are_huge_then_does_not_overflow(void **state)
{
	struct sf_histogram *h = new_histogram(3, HOUR_NS);
	sf_histogram_record(h, 1000, 1ull << 40);
	sf_histogram_record(h, 2000, 1);
	assert_int_equal(sf_histogram_percentile(h, 99.999), 1000);
	assert_int_equal(sf_histogram_percentile(h, 100), 2000);
	free(h);
}

/* Within the promised error of the exact answer, on random values; and a sum of two halves is the
 * same histogram as the whole. */
static void add_when_parts_are_random_then_equals_the_whole(void **state)
{
	uint64_t seed = (uint64_t)time(NULL);
	const char *given = getenv("SEED");
	if (given != NULL)
		seed = strtoull(given, NULL, 0);
	print_message("replay: SEED=%llu test_histogram\n", (unsigned long long)seed);
	struct sf_histogram *whole = new_histogram(3, HOUR_NS);
	struct sf_histogram *part[2] = {new_histogram(3, HOUR_NS), new_histogram(3, HOUR_NS)};
	uint64_t x = seed | 1;
	for (uint32_t i = 0; i < 20000; i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		uint64_t value = x >> (x & 31) >> 21;
		sf_histogram_record(whole, value, 1 + (x >> 60));
		sf_histogram_record(part[x >> 63], value, 1 + (x >> 60));
		uint64_t kept = value > HOUR_NS ? HOUR_NS : value;
		uint64_t shown = sf_histogram_highest_equivalent(whole, kept);
		assert_true(shown >= kept && shown - kept <= kept / 1000);
	}
	sf_histogram_add(part[0], part[1]);
	assert_memory_equal(part[0], whole, sf_histogram_bytes(3, HOUR_NS));
	sf_histogram_reset(whole);
	assert_int_equal(whole->total, 0);
	assert_int_equal(sf_histogram_percentile(whole, 100), 0);
	free(part[0]);
	free(part[1]);
	free(whole);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(slots_when_shape_is_known_then_match_the_published_sizes),
		cmocka_unit_test(index_when_walked_over_all_slots_then_is_contiguous),
		cmocka_unit_test(statistics_when_empty_then_are_zero),
		cmocka_unit_test(record_when_value_is_zero_then_counts_in_slot_zero),
		cmocka_unit_test(record_when_value_is_above_highest_then_is_clipped_and_said),
		cmocka_unit_test(percentile_when_values_are_one_to_thousand_then_is_exact),
		cmocka_unit_test(percentile_when_counts_are_huge_then_does_not_overflow),
		cmocka_unit_test(add_when_parts_are_random_then_equals_the_whole),
	};
	return cmocka_run_group_tests(tests, NULL, NULL) != 0;
}
