/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The pair record as text: one spelling of each record, and nothing else is taken.
 */
#include "control/arbiter_value.h"
#include "tests/unit/random.h"
#include "tests/unit/unit.h"

#include <stdio.h>
#include <string.h>

#define CLUSTER 0x1122334455667788ull
#define GOOD                                                                                       \
	"{\"schema\":1,\"cluster\":\"1122334455667788\",\"epoch\":7,\"primary\":1,\"in_sync\":[0," \
	"1]}"

static enum ctl_value_fault take(const char *text)
{
	struct rep_pair pair = {0};
	return ctl_value_take(text, strlen(text), CLUSTER, &pair);
}

static void record_when_written_is_this_text(void **state)
{
	const struct rep_pair pair = {.epoch = 7, .primary = 1, .in_sync = 3};
	char text[CTL_ARBITER_VALUE_BYTES];
	assert_int_equal(ctl_value_put(&pair, CLUSTER, text), strlen(GOOD));
	assert_string_equal(text, GOOD);
}

static void records_when_read_back_are_the_same(void **state)
{
	struct random random = random_seeded(random_test_seed("test_arbiter_value", 5));
	for (int i = 0; i < 20000; i++) {
		char text[CTL_ARBITER_VALUE_BYTES];
		uint64_t cluster = random_u64(&random);
		struct rep_pair pair = {
			.epoch = (uint32_t)random_u64(&random) >> random_below(&random, 32) | 1,
			.primary = (uint8_t)random_below(&random, 2),
			.holder = REP_HOLDER_ARBITER,
		};
		pair.in_sync = (uint8_t)(1u << pair.primary | random_below(&random, 4));
		struct rep_pair back = {0};
		size_t bytes = ctl_value_put(&pair, cluster, text);
		assert_int_equal(strlen(text), bytes);
		assert_int_equal(ctl_value_take(text, bytes, cluster, &back), CTL_VALUE_OK);
		assert_memory_equal(&pair, &back, sizeof(pair));
		assert_int_equal(
			ctl_value_take(text, bytes, cluster + 1, &back), CTL_VALUE_CLUSTER
		);
	}
}

static void texts_that_are_not_ours_say_what_is_wrong(void **state)
{
	static const struct {
		const char *text;
		enum ctl_value_fault fault;
	} cases[] = {
		{GOOD, CTL_VALUE_OK},
		{"", CTL_VALUE_NOT_JSON},
		{"x", CTL_VALUE_NOT_JSON},
		{GOOD " ", CTL_VALUE_SPELLING},
		{" " GOOD, CTL_VALUE_SPELLING},
		{GOOD GOOD, CTL_VALUE_NOT_JSON},
		{GOOD "x", CTL_VALUE_NOT_JSON},
		{"7", CTL_VALUE_NOT_JSON},
		{"[]", CTL_VALUE_ODD},
		{"{}", CTL_VALUE_ODD},
		{"{\"schema\":2}", CTL_VALUE_SCHEMA},
		{"{\"schema\":0}", CTL_VALUE_SCHEMA},
		{"{\"schema\":-1}", CTL_VALUE_ODD},
		{"{\"schema\":1.0}", CTL_VALUE_ODD},
		{"{\"schema\":\"1\"}", CTL_VALUE_ODD},
		{"{\"schema\":99999999999999999999}", CTL_VALUE_NOT_JSON},
#define WITH(cluster, epoch, primary, in_sync)                                           \
	"{\"schema\":1,\"cluster\":" cluster ",\"epoch\":" epoch ",\"primary\":" primary \
	",\"in_sync\":" in_sync "}"
#define OURS "\"1122334455667788\""
		{WITH(OURS, "7", "0", "[0]"), CTL_VALUE_OK},
		{WITH("\"1122334455667789\"", "7", "0", "[0]"), CTL_VALUE_CLUSTER},
		{WITH("\"112233445566778\"", "7", "0", "[0]"), CTL_VALUE_ODD},
		{WITH("\"11223344556677889\"", "7", "0", "[0]"), CTL_VALUE_ODD},
		{WITH("\"112233445566778X\"", "7", "0", "[0]"), CTL_VALUE_ODD},
		{WITH("1122334455667788", "7", "0", "[0]"), CTL_VALUE_ODD},
		{WITH(OURS, "0", "0", "[0]"), CTL_VALUE_PAIR},
		{WITH(OURS, "4294967295", "0", "[0]"), CTL_VALUE_OK},
		{WITH(OURS, "4294967296", "0", "[0]"), CTL_VALUE_ODD},
		{WITH(OURS, "-7", "0", "[0]"), CTL_VALUE_ODD},
		{WITH(OURS, "7.0", "0", "[0]"), CTL_VALUE_ODD},
		{WITH(OURS, "7e0", "0", "[0]"), CTL_VALUE_ODD},
		{WITH(OURS, "true", "0", "[0]"), CTL_VALUE_ODD},
		{WITH(OURS, "7", "2", "[0]"), CTL_VALUE_PAIR},
		{WITH(OURS, "7", "256", "[0]"), CTL_VALUE_ODD},
		{WITH(OURS, "7", "1", "[0]"), CTL_VALUE_PAIR},
		{WITH(OURS, "7", "0", "[]"), CTL_VALUE_PAIR},
		{WITH(OURS, "7", "0", "[1,0]"), CTL_VALUE_SPELLING},
		{WITH(OURS, "7", "0", "[0,0]"), CTL_VALUE_SPELLING},
		{WITH(OURS, "7", "0", "[0, 1]"), CTL_VALUE_SPELLING},
		{WITH(OURS, "7", "0", "[0,1,0]"), CTL_VALUE_ODD},
		{WITH(OURS, "7", "0", "[2]"), CTL_VALUE_ODD},
		{WITH(OURS, "7", "0", "[\"0\"]"), CTL_VALUE_ODD},
		{WITH(OURS, "7", "0", "{\"0\":0}"), CTL_VALUE_ODD},
		{WITH(OURS, "7", "0", "[0],\"more\":1"), CTL_VALUE_ODD},
		{WITH(OURS, "7", "0", "[0],\"epoch\":7"), CTL_VALUE_NOT_JSON},
		{WITH(OURS, "7", "0", "[0],\"epoch\":8"), CTL_VALUE_NOT_JSON},
		{"{\"cluster\":" OURS ",\"schema\":1,\"epoch\":7,\"primary\":0,\"in_sync\":[0]}",
		 CTL_VALUE_SPELLING},
		{"{\"schema\":1,\"cluster\":\"\\u0031122334455667788\",\"epoch\":7,\"primary\":0,"
		 "\"in_sync\":[0]}",
		 CTL_VALUE_SPELLING},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		if (take(cases[i].text) != cases[i].fault)
			fail_msg(
				"%s: %s", cases[i].text, ctl_value_fault_text(take(cases[i].text))
			);
	}
}

static void text_when_cut_or_of_other_bytes_is_refused(void **state)
{
	struct rep_pair pair = {.epoch = 99};
	char text[] = GOOD;
	static char huge[1 << 20];
	for (size_t bytes = 0; bytes < strlen(GOOD); bytes++)
		assert_int_not_equal(ctl_value_take(GOOD, bytes, CLUSTER, &pair), CTL_VALUE_OK);
	for (size_t i = 0; i < strlen(GOOD); i++) {
		text[i] = 0;
		assert_int_not_equal(
			ctl_value_take(text, strlen(GOOD), CLUSTER, &pair), CTL_VALUE_OK
		);
		text[i] = (char)0xff;
		assert_int_not_equal(
			ctl_value_take(text, strlen(GOOD), CLUSTER, &pair), CTL_VALUE_OK
		);
		text[i] = GOOD[i];
	}
	memset(huge, '[', sizeof(huge));
	assert_int_not_equal(ctl_value_take(huge, sizeof(huge), CLUSTER, &pair), CTL_VALUE_OK);
	assert_int_equal(pair.epoch, 99); /* as it was */
}

static void file_when_written_is_these_lines_and_nothing_else(void **state)
{
	char text[CTL_ARBITER_FILE_TEXT_BYTES], changed[CTL_ARBITER_FILE_TEXT_BYTES];
	size_t value_bytes = 0, bytes = ctl_value_put_file(GOOD, 12, text);
	uint64_t revision = 0;
	assert_int_equal(strlen(text), bytes);
	assert_memory_equal(text, GOOD "\nrevision 12 crc32c ", strlen(GOOD) + 20);
	assert_int_equal(text[bytes - 1], '\n');
	assert_int_equal(ctl_value_take_file(text, bytes, &value_bytes, &revision), CTL_VALUE_OK);
	assert_int_equal(value_bytes, strlen(GOOD));
	assert_int_equal(revision, 12);
	for (size_t i = 0; i < bytes; i++) {
		assert_int_not_equal(
			ctl_value_take_file(text, i, &value_bytes, &revision), CTL_VALUE_OK
		);
		for (unsigned bit = 0; bit < 8; bit++) {
			memcpy(changed, text, bytes);
			changed[i] ^= (char)(1u << bit);
			assert_int_not_equal(
				ctl_value_take_file(changed, bytes, &value_bytes, &revision),
				CTL_VALUE_OK
			);
		}
	}
	memcpy(changed, text, bytes);
	changed[bytes] = '\n';
	assert_int_not_equal(
		ctl_value_take_file(changed, bytes + 1, &value_bytes, &revision), CTL_VALUE_OK
	);
}

static void every_fault_has_words(void **state)
{
	for (unsigned fault = 0; fault <= CTL_VALUE_FAULTS; fault++)
		assert_true(strlen(ctl_value_fault_text((enum ctl_value_fault)fault)) > 5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(record_when_written_is_this_text),
		cmocka_unit_test(records_when_read_back_are_the_same),
		cmocka_unit_test(texts_that_are_not_ours_say_what_is_wrong),
		cmocka_unit_test(text_when_cut_or_of_other_bytes_is_refused),
		cmocka_unit_test(file_when_written_is_these_lines_and_nothing_else),
		cmocka_unit_test(every_fault_has_words),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
