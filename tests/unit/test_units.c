/* SPDX-License-Identifier: BSD-3-Clause */
/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */

#include "config/units.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static uint64_t duration(const char *text)
{
	uint64_t ns = 0;
	assert_int_equal(cfg_parse_duration(text, &ns), CFG_UNIT_OK);
	return ns;
}

static uint64_t size(const char *text)
{
	uint64_t bytes = 0;
	assert_int_equal(cfg_parse_size(text, &bytes), CFG_UNIT_OK);
	return bytes;
}

static void each_duration_unit_when_parsed_gives_nanoseconds(void **state)
{
	assert_int_equal(duration("7 ns"), 7);
	assert_int_equal(duration("7 us"), 7000);
	assert_int_equal(duration("250 ms"), 250000000);
	assert_int_equal(duration("250ms"), 250000000);
	assert_int_equal(duration(" 3\ts "), 3000000000ull);
	assert_int_equal(duration("2 m"), 120000000000ull);
	assert_int_equal(duration("1 h"), 3600000000000ull);
	assert_int_equal(duration("0 s"), 0);
	assert_int_equal(duration("18446744073709551615 ns"), UINT64_MAX);
}

static void each_size_unit_when_parsed_gives_bytes(void **state)
{
	assert_int_equal(size("512 B"), 512);
	assert_int_equal(size("4KiB"), 4096);
	assert_int_equal(size("64 MiB"), 64ull << 20);
	assert_int_equal(size("3 GiB"), 3ull << 30);
}

static void bad_text_when_parsed_names_the_problem_and_keeps_the_value(void **state)
{
	static const struct {
		const char *text;
		enum cfg_unit_result result;
	} rows[] = {
		{"", CFG_UNIT_NO_NUMBER},
		{"ms", CFG_UNIT_NO_NUMBER},
		{"-5 ms", CFG_UNIT_NO_NUMBER},
		{"+5 ms", CFG_UNIT_NO_NUMBER},
		{"1.5 s", CFG_UNIT_NO_NUMBER},
		{"100", CFG_UNIT_MISSING},
		{"0", CFG_UNIT_MISSING},
		{"100 ", CFG_UNIT_MISSING},
		{"100 sec", CFG_UNIT_UNKNOWN},
		{"100 MS", CFG_UNIT_UNKNOWN},
		{"1 s 5 ms", CFG_UNIT_UNKNOWN},
		{"100 MiB", CFG_UNIT_UNKNOWN},
		{"5124096 h", CFG_UNIT_OVERFLOW},
		{"18446744073709551616 ns", CFG_UNIT_OVERFLOW},
	};
	uint64_t value = 42;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_int_equal(cfg_parse_duration(rows[i].text, &value), rows[i].result);
		assert_int_equal(value, 42);
	}
	assert_int_equal(cfg_parse_size("1 MB", &value), CFG_UNIT_UNKNOWN);
	assert_int_equal(cfg_parse_size("17179869184 GiB", &value), CFG_UNIT_OVERFLOW);
	assert_int_equal(value, 42);
	assert_non_null(strstr(cfg_duration_problem(CFG_UNIT_MISSING), "ns us ms s m h"));
	assert_non_null(strstr(cfg_size_problem(CFG_UNIT_UNKNOWN), "B KiB MiB GiB"));
}

static void whole_values_when_formatted_use_the_largest_unit(void **state)
{
	char text[CFG_UNIT_TEXT_BYTES];

	cfg_format_duration(90000000000ull, text);
	assert_string_equal(text, "90 s");
	cfg_format_duration(120000000000ull, text);
	assert_string_equal(text, "2 m");
	cfg_format_duration(1500, text);
	assert_string_equal(text, "1500 ns");
	cfg_format_duration(0, text);
	assert_string_equal(text, "0 ns");
	cfg_format_size(256ull << 20, text);
	assert_string_equal(text, "256 MiB");
	cfg_format_size(1025, text);
	assert_string_equal(text, "1025 B");
}

static void any_value_when_formatted_and_parsed_is_the_same(void **state)
{
	const char *given = getenv("SEED");
	unsigned seed = given ? (unsigned)strtoul(given, NULL, 10) : (unsigned)time(NULL);

	printf("seed %u (SEED=%u repeats it)\n", seed, seed);
	srandom(seed);
	for (int i = 0; i < 20000; i++) {
		char text[CFG_UNIT_TEXT_BYTES];
		uint64_t value =
			(uint64_t)random() << 33 ^ (uint64_t)random() << 13 ^ (uint64_t)random();
		value >>= random() % 64;
		if (i % 2)
			value -= value % 3600000000000ull;
		cfg_format_duration(value, text);
		assert_int_equal(duration(text), value);
		cfg_format_size(value, text);
		assert_int_equal(size(text), value);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_duration_unit_when_parsed_gives_nanoseconds),
		cmocka_unit_test(each_size_unit_when_parsed_gives_bytes),
		cmocka_unit_test(bad_text_when_parsed_names_the_problem_and_keeps_the_value),
		cmocka_unit_test(whole_values_when_formatted_use_the_largest_unit),
		cmocka_unit_test(any_value_when_formatted_and_parsed_is_the_same),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
