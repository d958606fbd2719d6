/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Nodes by name: what the client asks of a name server, and what it takes for an answer. With real
 * servers: tests/e2e/test_client_names.py.
 */
#include "client/lookup.h"
#include "client/route.h"
#include "tests/unit/random.h"
#include "tests/unit/unit.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define ADDRESS(a, b) "\xc0\x0c\0\1\0\1\0\0\0" a "\0\4" b
#define ALIAS "\xc0\x0c\0\5\0\1\0\0\0\1\0\2\xc0\x0c"

struct answer {
	uint8_t query[CLI_LOOKUP_BYTES], bytes[CLI_LOOKUP_BYTES];
	size_t query_bytes, length;
};

/* An answer with these records to a query for a name. */
static struct answer answer_of(uint8_t count, const char *records, size_t records_bytes)
{
	struct answer a;
	a.query_bytes = cli_lookup_write(a.query, "pair1.Region.test", 0x1234);
	assert_true(a.query_bytes > 0);
	memcpy(a.bytes, a.query, a.query_bytes);
	a.bytes[2] = 0x85;
	a.bytes[7] = count;
	memcpy(a.bytes + a.query_bytes, records, records_bytes);
	a.length = a.query_bytes + records_bytes;
	return a;
}
#define ANSWER(count, records) answer_of((count), (records), sizeof(records) - 1)

static int read_answer(const struct answer *a, uint8_t (*ips)[4], uint32_t *ttl_s)
{
	return cli_lookup_read(a->bytes, a->length, a->query, a->query_bytes, ips, 2, ttl_s);
}

static void query_when_written_is_dns(void **state)
{
	static const uint8_t expected[] = "\xab\xcd\1\0\0\1\0\0\0\0\0\0\1a\2bc\0\0\1\0\1";
	uint8_t query[CLI_LOOKUP_BYTES];
	char longest[300];
	(void)state;
	assert_int_equal(cli_lookup_write(query, "a.bc", 0xabcd), sizeof(expected) - 1);
	assert_memory_equal(query, expected, sizeof(expected) - 1);
	assert_int_equal(cli_lookup_write(query, "a.bc.", 0xabcd), sizeof(expected) - 1);
	memset(longest, 'a', sizeof(longest));
	for (size_t i = 63; i < sizeof(longest); i += 64)
		longest[i] = '.';
	longest[253] = 0;
	assert_true(cli_lookup_write(query, longest, 1) > 253);
	longest[253] = 'a';
	longest[254] = 0;
	assert_int_equal(cli_lookup_write(query, longest, 1), 0);
	for (size_t i = 0; i < 4; i++)
		assert_int_equal(
			cli_lookup_write(query, (const char *[]){"", ".", "a..b", ".a"}[i], 1), 0
		);
	memset(longest, 'a', 64);
	longest[64] = 0;
	assert_int_equal(cli_lookup_write(query, longest, 1), 0);
}

static void answer_when_good_gives_addresses_and_the_lowest_ttl(void **state)
{
	uint8_t ips[2][4];
	uint32_t ttl_s;
	struct answer a = ANSWER(1, ADDRESS("\7", "\x0a\0\0\1"));
	(void)state;
	assert_int_equal(read_answer(&a, ips, &ttl_s), 1);
	assert_memory_equal(ips[0], "\x0a\0\0\1", 4);
	assert_int_equal(ttl_s, 7);
	a =
		ANSWER(4,
		       ALIAS ADDRESS("\7", "\x0a\0\0\1") ADDRESS("\3", "\x0a\0\0\2")
			       ADDRESS("\4", "\x0a\0\0\3"));
	assert_int_equal(read_answer(&a, ips, &ttl_s), 2); /* as many as there is room for */
	assert_memory_equal(ips[1], "\x0a\0\0\2", 4);
	assert_int_equal(ttl_s, 3);
}

static void answer_when_not_good_says_why(void **state)
{
	static const struct {
		size_t at;
		uint8_t value;
		int result;
	} table[] = {
		{0, 0x13, -EBADMSG},
		{2, 0x05, -EBADMSG},
		{14, 'x', -EBADMSG},
		{2, 0x87, -EAGAIN},
		{3, 2, -EAGAIN},
		{3, 5, -EAGAIN},
		{7, 0, -ENOENT},
		{7, 2, -EBADMSG},
		{6, 1, -EBADMSG},
	};
	uint8_t ips[2][4];
	uint32_t ttl_s;
	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		struct answer a = ANSWER(1, ADDRESS("\7", "\x0a\0\0\1"));
		a.bytes[table[i].at] = table[i].value;
		assert_int_equal(read_answer(&a, ips, &ttl_s), table[i].result);
	}
	struct answer a = ANSWER(1, ADDRESS("\7", "\x0a\0\0\1"));
	for (; a.length > 0; a.length--)
		if (a.length < a.query_bytes + 16)
			assert_int_equal(read_answer(&a, ips, &ttl_s), -EBADMSG);
}

/* Bytes that a name server might send; memory of just their size, for a sanitizer. */
static void answer_when_damaged_is_read_within_its_bytes(void **state)
{
	struct random random = random_seeded(random_test_seed("test_client_lookup", 3));
	uint8_t ips[2][4];
	uint32_t ttl_s, taken = 0;
	(void)state;
	for (int i = 0; i < 200000; i++) {
		struct answer a = ANSWER(2, ALIAS ADDRESS("\7", "\x0a\0\0\1"));
		size_t length = a.length;
		for (uint64_t k = random_below(&random, 3); k > 0; k--)
			a.bytes[2 + random_below(&random, length - 2)] =
				(uint8_t)random_u64(&random);
		if (random_below(&random, 3) == 0)
			length = random_below(&random, length + 1);
		uint8_t *copy = malloc(length > 0 ? length : 1);
		assert_non_null(copy);
		memcpy(copy, a.bytes, length);
		int count = cli_lookup_read(copy, length, a.query, a.query_bytes, ips, 2, &ttl_s);
		assert_true(count >= -EBADMSG && count <= 2 && count != 0);
		taken += count > 0;
		free(copy);
	}
	assert_in_range(taken, 10000, 199999);
}

static void suggestion_when_a_node_serves_is_not_followed(void **state)
{
	static const struct cli_address nodes[] = {{{10, 0, 0, 1}, 9400}, {{10, 0, 0, 2}, 9400}};
	struct cli_route route;
	(void)state;
	cli_route_init(&route, nodes, 1);
	assert_false(cli_route_suggest(&route, &nodes[1]));
	cli_route_timed_out(&route, 0, 5);
	cli_route_timed_out(&route, 0, 6);
	assert_false(cli_route_suggest(&route, &nodes[0])); /* it is asked already */
	assert_true(cli_route_suggest(&route, &nodes[1]));
	assert_int_equal(cli_route_find(&route, &nodes[1]), (int)route.current);
	cli_route_useful(&route);
	assert_false(cli_route_suggest(&route, &nodes[0]));
	cli_route_refused(&route, route.current, false, NULL);
	assert_int_equal(route.current, 0);
	assert_true(cli_route_suggest(&route, &nodes[1]));
}

static void nodes_when_they_cannot_be_read_are_refused(void **state)
{
	struct cli_lookup lookup;
	struct cli_address found[CLI_MAX_NODES];
	uint32_t count;
	static const char *const bad[] = {"name", "1.2.3.4:0", "1.2.3.4:x", ":53", ","};
	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(
			cli_lookup_open(&lookup, "10.0.0.1", bad[i], found, CLI_MAX_NODES, &count),
			-EINVAL
		);
	assert_int_equal(
		cli_lookup_open(
			&lookup, "10.0.0.1:1,10.0.0.2", "127.0.0.1", found, CLI_MAX_NODES, &count
		),
		0
	);
	assert_int_equal(count, 2);
	assert_int_equal(found[1].port, CLI_DEFAULT_PORT);
	assert_int_equal(lookup.resolvers[0].port, 53);
	/* Nothing is a name, so nothing is asked for again. */
	assert_int_equal(cli_lookup_expiry(&lookup), CLI_NEVER);
	assert_false(cli_lookup_step(&lookup, 1, found));
	cli_lookup_close(&lookup);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(query_when_written_is_dns),
		cmocka_unit_test(answer_when_good_gives_addresses_and_the_lowest_ttl),
		cmocka_unit_test(answer_when_not_good_says_why),
		cmocka_unit_test(answer_when_damaged_is_read_within_its_bytes),
		cmocka_unit_test(suggestion_when_a_node_serves_is_not_followed),
		cmocka_unit_test(nodes_when_they_cannot_be_read_are_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
