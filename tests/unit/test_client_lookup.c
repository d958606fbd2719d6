/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Nodes by name: what the client asks of a name server, and what it takes for an answer. With real
 * servers: tests/e2e/test_client_names.py.
 */
#include "client/lookup.h"
#include "client/route.h"
#include "tests/unit/random.h"
#include "tests/unit/unit.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

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
	assert_int_equal(
		cli_lookup_open(&lookup, "10.0.0.1,a..b", NULL, found, CLI_MAX_NODES, &count),
		-EINVAL
	);
	assert_int_equal(
		cli_lookup_open(&lookup, "a.b", "127.0.0.1:9", found, CLI_MAX_NODES, &count),
		-EHOSTUNREACH
	);
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

/* A name server of the test, on loopback. */
static int open_server(uint16_t *port)
{
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
	socklen_t bytes = sizeof(in);
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&in, sizeof(in)), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&in, &bytes), 0);
	*port = ntohs(in.sin_port);
	return fd;
}

/* Answers the query that waits there, if one does. */
static bool serve(int fd, uint8_t count, const char *records, size_t records_bytes)
{
	struct sockaddr_in from;
	socklen_t from_bytes = sizeof(from);
	uint8_t bytes[CLI_LOOKUP_BYTES];
	struct pollfd wait = {.fd = fd, .events = POLLIN};
	if (poll(&wait, 1, 50) <= 0)
		return false;
	ssize_t got = recvfrom(fd, bytes, 200, 0, (struct sockaddr *)&from, &from_bytes);
	assert_true(got > 12);
	bytes[2] = 0x85;
	bytes[7] = count;
	memcpy(bytes + got, records, records_bytes);
	got += (ssize_t)records_bytes;
	assert_int_equal(
		sendto(fd, bytes, (size_t)got, 0, (struct sockaddr *)&from, from_bytes), got
	);
	return true;
}

/* Two name servers and a lookup that knows one node by address and one by name; nobody was there at
 * the start, or it would have waited. */
struct lookup_world {
	struct cli_lookup lookup;
	int servers[2];
	uint64_t now_ns;
};

static void make_lookup_world(struct lookup_world *w)
{
	struct cli_address found[CLI_MAX_NODES];
	uint16_t ports[2];
	uint32_t count;
	/* Nobody listens at discard's port, which is told at once. */
	assert_int_equal(
		cli_lookup_open(
			&w->lookup,
			"10.0.0.9:1,pair.test:1,10.0.0.9:1",
			"127.0.0.1:9",
			found,
			CLI_MAX_NODES,
			&count
		),
		0
	);
	assert_int_equal(count, 1); /* the name has none yet, and the address comes once */
	assert_int_equal(w->lookup.name_count, 1);
	for (int i = 0; i < 2; i++)
		w->servers[i] = open_server(&ports[i]);
	w->lookup.resolver = 0;
	w->lookup.resolver_count = 2;
	for (int i = 0; i < 2; i++)
		w->lookup.resolvers[i] = (struct cli_address){{127, 0, 0, 1}, ports[i]};
	w->now_ns = cli_now_ns() + 1000 * CLI_LOOKUP_PATIENCE_NS;
}

/* Another query: which server answers it, and the last byte of the address that is told. */
static uint32_t ask_again(struct lookup_world *w, const char *records, size_t bytes, uint8_t count)
{
	struct cli_address found;
	uint32_t server = 0;
	w->now_ns += 8 * CLI_LOOKUP_PATIENCE_NS;
	assert_false(cli_lookup_step(&w->lookup, w->now_ns, &found));
	while (server < 2 && !serve(w->servers[server], count, records, bytes))
		server++;
	assert_in_range(server, 0, 1);
	struct pollfd wait = {.fd = w->lookup.fd, .events = POLLIN};
	assert_int_equal(poll(&wait, 1, 5000), 1);
	assert_true(cli_lookup_step(&w->lookup, w->now_ns, &found));
	assert_int_equal(w->lookup.fd, -1);
	return server << 8 | found.ip[3];
}

static void query_when_the_last_did_not_help_goes_to_the_next_server(void **state)
{
	static const char records[] = ADDRESS("\1", "\x0a\0\0\1") ADDRESS("\1", "\x0a\0\0\2");
	struct lookup_world w;
	uint32_t servers = 0, addresses = 0;
	(void)state;
	make_lookup_world(&w);
	for (int i = 0; i < 4; i++) {
		uint32_t got = ask_again(&w, records, sizeof(records) - 1, 2);
		servers = servers << 4 | got >> 8;
		addresses = addresses << 4 | (got & 15);
	}
	assert_true(servers == 0x0101 || servers == 0x1010);
	assert_true(addresses == 0x1212 || addresses == 0x2121);
	for (int i = 0; i < 2; i++)
		close(w.servers[i]);
	cli_lookup_close(&w.lookup);
}

static void answer_when_its_ttl_is_long_is_asked_for_again_all_the_same(void **state)
{
	static const char day[] = "\xc0\x0c\0\1\0\1\0\1\x51\x80\0\4\x0a\0\0\1";
	static const char none[] = ADDRESS("\0", "\x0a\0\0\1"), two[] = ADDRESS("\2", "\x0a\0\0\1");
	struct lookup_world w;
	(void)state;
	make_lookup_world(&w);
	ask_again(&w, day, sizeof(day) - 1, 1);
	assert_int_equal(cli_lookup_expiry(&w.lookup), w.now_ns + CLI_LOOKUP_HOLD_MAX_NS);
	w.now_ns += CLI_LOOKUP_HOLD_MAX_NS;
	ask_again(&w, none, sizeof(none) - 1, 1);
	assert_int_equal(cli_lookup_expiry(&w.lookup), w.now_ns + CLI_LOOKUP_PAUSE_NS);
	ask_again(&w, two, sizeof(two) - 1, 1);
	assert_int_equal(cli_lookup_expiry(&w.lookup), w.now_ns + 2000000000ull);
	for (int i = 0; i < 2; i++)
		close(w.servers[i]);
	cli_lookup_close(&w.lookup);
}

static void query_when_cancelled_leaves_nothing_behind(void **state)
{
	static const char records[] = ADDRESS("\1", "\x0a\0\0\1");
	struct cli_address found;
	struct lookup_world w;
	(void)state;
	make_lookup_world(&w);
	assert_false(cli_lookup_step(&w.lookup, w.now_ns, &found));
	assert_true(w.lookup.fd >= 0);
	assert_true(serve(w.servers[0], 1, records, sizeof(records) - 1));
	cli_lookup_cancel(&w.lookup);
	assert_int_equal(w.lookup.fd, -1);
	/* The answer that came is of the past: there is another query. */
	assert_false(cli_lookup_step(&w.lookup, w.now_ns, &found));
	assert_true(serve(w.servers[0], 1, records, sizeof(records) - 1));
	for (int i = 0; i < 2; i++)
		close(w.servers[i]);
	cli_lookup_close(&w.lookup);
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
		cmocka_unit_test(query_when_the_last_did_not_help_goes_to_the_next_server),
		cmocka_unit_test(answer_when_its_ttl_is_long_is_asked_for_again_all_the_same),
		cmocka_unit_test(query_when_cancelled_leaves_nothing_behind),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
