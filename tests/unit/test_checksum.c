/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The wide checksum against the definition: 16-bit words, one after the other. */
#include "dataplane/checksum.h"
#include "tests/unit/random.h"
#include "tests/unit/unit.h"

#define MAX_BYTES 1500

/* RFC 1071, word by word. */
static uint16_t reference(const uint8_t *data, uint32_t bytes)
{
	uint32_t sum = 0;
	for (uint32_t i = 0; i < bytes; i += 2) {
		sum += data[i] | (i + 1 < bytes ? (uint32_t)data[i + 1] << 8 : 0);
		sum = (sum & 0xffff) + (sum >> 16);
	}
	return (uint16_t)sum;
}

static uint64_t seed_of(void)
{
	const char *text = getenv("SEED");
	return text != NULL ? strtoull(text, NULL, 0) : 7;
}

static void sum_when_any_bytes_in_any_pieces_then_as_defined(void **state)
{
	uint64_t seed = seed_of();
	struct random random = random_seeded(seed);
	uint8_t data[MAX_BYTES];
	print_message("replay: SEED=%" PRIu64 " test_checksum\n", seed);
	for (int round = 0; round < 20000; round++) {
		uint32_t bytes = (uint32_t)random_below(&random, MAX_BYTES + 1);
		/* Mostly ones makes carries, mostly zeros makes small sums. */
		uint64_t kind = random_below(&random, 3);
		for (uint32_t i = 0; i < bytes; i++)
			data[i] = kind == 0   ? (uint8_t)random_u64(&random)
				  : kind == 1 ? 0xff
					      : (uint8_t)(random_below(&random, 64) == 0);
		uint32_t cut = (uint32_t)random_below(&random, bytes / 2 + 1) * 2;
		uint64_t sum = dp_sum(dp_sum(0, data, cut), data + cut, bytes - cut);
		assert_int_equal(dp_sum_fold(sum), reference(data, bytes));
	}
}

static void fold_when_every_carry_is_there_then_nothing_is_lost(void **state)
{
	assert_int_equal(dp_sum_fold(0), 0);
	assert_int_equal(dp_sum_fold(UINT64_MAX), 0xffff);
	assert_int_equal(dp_sum_fold(0xffffffff00000001ull), 1);
	assert_int_equal(dp_sum_fold(0xffff0001ull), 1);
	assert_int_equal(dp_sum_word(UINT64_MAX, UINT64_MAX), UINT64_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sum_when_any_bytes_in_any_pieces_then_as_defined),
		cmocka_unit_test(fold_when_every_carry_is_there_then_nothing_is_lost),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
