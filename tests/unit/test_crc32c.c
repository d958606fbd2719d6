/* SPDX-License-Identifier: BSD-3-Clause */
#include "config/crc32c.h"
#include "tests/unit/random.h"
#include "tests/unit/unit.h"

#include <stdbool.h>
#include <string.h>
#ifdef HAVE_ISAL
#include <isa-l/crc.h>
#endif

uint32_t crc32c_by_instruction(const void *data, uint64_t bytes, bool *instruction);
uint32_t crc32c_by_table(const void *data, uint64_t bytes, bool *instruction);

static uint32_t both(const void *data, uint64_t bytes)
{
	bool instruction, table;
	uint32_t first = crc32c_by_instruction(data, bytes, &instruction);
	uint32_t second = crc32c_by_table(data, bytes, &table);
	assert_true(instruction && !table);
	assert_int_equal(first, second);
	return first;
}

/* RFC 3720, appendix B.4, and the check value of the CRC catalogues. */
static void crc_when_known_vectors_then_known_values(void **state)
{
	uint8_t data[32];
	assert_int_equal(both("", 0), 0);
	assert_int_equal(both("123456789", 9), 0xe3069283);
	memset(data, 0, 32);
	assert_int_equal(both(data, 32), 0x8a9136aa);
	memset(data, 0xff, 32);
	assert_int_equal(both(data, 32), 0x62a8ab43);
	for (uint8_t i = 0; i < 32; i++)
		data[i] = i;
	assert_int_equal(both(data, 32), 0x46dd794e);
	for (uint8_t i = 0; i < 32; i++)
		data[i] = (uint8_t)(31 - i);
	assert_int_equal(both(data, 32), 0x113fdb5c);
}

static void crc_when_pieces_of_any_size_then_equals_the_whole(void **state)
{
	uint8_t data[64];
	struct random random = random_seeded(1);
	for (int i = 0; i < 64; i++)
		data[i] = (uint8_t)random_u64(&random);
	uint32_t whole = sf_crc32c(SF_CRC32C_INIT, data, 64);
	for (uint32_t cut = 0; cut <= 64; cut++) {
		uint32_t crc = sf_crc32c(SF_CRC32C_INIT, data, cut);
		assert_int_equal(sf_crc32c(crc, data + cut, 64 - cut), whole);
	}
	uint32_t words = SF_CRC32C_INIT, halves = SF_CRC32C_INIT, bytes = SF_CRC32C_INIT;
	for (int i = 0; i < 64; i += 8) {
		uint64_t word;
		memcpy(&word, data + i, 8);
		words = sf_crc32c_u64(words, word);
		halves = sf_crc32c_u32(halves, (uint32_t)word);
		halves = sf_crc32c_u32(halves, (uint32_t)(word >> 32));
	}
	for (int i = 0; i < 64; i++)
		bytes = sf_crc32c_u8(bytes, data[i]);
	assert_int_equal(words, whole);
	assert_int_equal(halves, whole);
	assert_int_equal(bytes, whole);
}

static void crc_when_every_length_then_paths_and_isal_agree(void **state)
{
	uint8_t data[300];
	struct random random = random_seeded(random_test_seed("test_crc32c", 20261120));
	for (uint32_t bytes = 0; bytes < 256; bytes++) {
		uint32_t offset = (uint32_t)random_below(&random, 40);
		for (uint32_t i = 0; i < sizeof(data); i++)
			data[i] = (uint8_t)random_u64(&random);
		uint32_t crc = both(data + offset, bytes);
#ifdef HAVE_ISAL
		assert_int_equal(crc, ~crc32_iscsi(data + offset, (int)bytes, SF_CRC32C_INIT));
#else
		(void)crc;
#endif
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(crc_when_known_vectors_then_known_values),
		cmocka_unit_test(crc_when_pieces_of_any_size_then_equals_the_whole),
		cmocka_unit_test(crc_when_every_length_then_paths_and_isal_agree),
	};
#ifndef HAVE_ISAL
	puts("libisal is not here: the two own paths are compared with each other only");
#endif
	return cmocka_run_group_tests(tests, NULL, NULL) != 0;
}
