/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What is said to etcd's gateway, byte by byte, and which of its answers count.
 */
#include "control/etcd_json.h"
#include "tests/unit/random.h"
#include "tests/unit/unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KEY "/a/b" /* L2EvYg== */
#define HEADER "\"header\":{\"cluster_id\":\"18446744073709551615\",\"revision\":\"9\"}"
#define KV                                                                                  \
	"{\"key\":\"L2EvYg==\",\"create_revision\":\"2\",\"mod_revision\":\"5\",\"value\":" \
	"\"aGVsbG8=\"}"
#define KVS "\"kvs\":[" KV "],\"count\":\"1\""
#define PUT "\"responses\":[{\"response_put\":{\"header\":{\"revision\":\"9\"}}}]"
#define RANGE(inside) "\"responses\":[{\"response_range\":{" inside "}}]"

static struct ctl_etcd_found found;
static char why[CTL_ETCD_ERROR_BYTES];

static bool take_range(const char *body)
{
	return ctl_etcd_take_range(body, strlen(body), KEY, &found, why);
}

static bool take_exchange(const char *body)
{
	return ctl_etcd_take_exchange(body, strlen(body), KEY, &found, why);
}

static void expect_text(char *text, const char *expected)
{
	assert_non_null(text);
	assert_string_equal(text, expected);
	free(text);
}

static void requests_when_made_are_these(void **state)
{
	expect_text(ctl_etcd_put_range(KEY), "{\"key\":\"L2EvYg==\"}");
	expect_text(
		ctl_etcd_put_exchange(KEY, "old", "new"),
		"{\"compare\":[{\"target\":\"VALUE\",\"result\":\"EQUAL\",\"key\":\"L2EvYg==\","
		"\"value\":\"b2xk\"}],\"success\":[{\"requestPut\":{\"key\":\"L2EvYg==\",\"value\":"
		"\"bmV3\"}}],\"failure\":[{\"requestRange\":{\"key\":\"L2EvYg==\"}}]}"
	);
	expect_text(
		ctl_etcd_put_exchange(KEY, NULL, "new"),
		"{\"compare\":[{\"target\":\"CREATE\",\"result\":\"EQUAL\",\"key\":\"L2EvYg==\","
		"\"create_revision\":\"0\"}],\"success\":[{\"requestPut\":{\"key\":\"L2EvYg==\","
		"\"value\":\"bmV3\"}}],\"failure\":[{\"requestRange\":{\"key\":\"L2EvYg==\"}}]}"
	);
	expect_text(
		ctl_etcd_put_login("a\"b", "c\\d"), "{\"name\":\"a\\\"b\",\"password\":\"c\\\\d\"}"
	);
}

static void range_when_it_has_the_key_gives_value_and_revision(void **state)
{
	assert_true(take_range("{" HEADER "," KVS "}"));
	assert_true(found.present);
	assert_int_equal(found.cluster_id, UINT64_MAX);
	assert_int_equal(found.revision, 9);
	assert_int_equal(found.mod_revision, 5);
	assert_int_equal(found.value_bytes, 5);
	assert_memory_equal(found.value, "hello", 5);
	assert_true(take_range("{" HEADER "}"));
	assert_false(found.present);
	assert_true(take_range("{" HEADER ",\"kvs\":[],\"of a later release\":{}}"));
	assert_false(found.present);
	/* Without a value it is empty. */
	assert_true(take_range("{" HEADER
			       ",\"kvs\":[{\"key\":\"L2EvYg==\",\"mod_revision\":\"5\"}],"
			       "\"count\":\"1\"}"));
	assert_true(found.present);
	assert_int_equal(found.value_bytes, 0);
}

static void exchange_when_made_or_not_says_so(void **state)
{
	assert_true(take_exchange("{" HEADER ",\"succeeded\":true," PUT "}"));
	assert_true(found.succeeded);
	assert_int_equal(found.mod_revision, 9);
	assert_true(take_exchange("{" HEADER "," RANGE(KVS) "}")); /* absent is false */
	assert_false(found.succeeded);
	assert_true(found.present);
	assert_int_equal(found.mod_revision, 5);
	assert_true(take_exchange("{" HEADER ",\"succeeded\":false," RANGE("") "}"));
	assert_false(found.succeeded || found.present);
}

static void ranges_that_make_no_sense_are_no_answer(void **state)
{
	static const char *const bodies[] = {
		"",
		"null",
		"[]",
		"{}",
		"{" HEADER "}x",
		"{" HEADER "} {}",
		"{" HEADER "," HEADER "}",
		"{\"header\":[]," KVS "}",
		"{\"header\":{\"revision\":\"9\"}}",
		"{\"header\":{\"cluster_id\":\"0\",\"revision\":\"9\"}}",
		"{\"header\":{\"cluster_id\":\"7\"}}",
		"{\"header\":{\"cluster_id\":7,\"revision\":9}}",
		"{\"header\":{\"cluster_id\":\"7\",\"revision\":\"-9\"}}",
		"{\"header\":{\"cluster_id\":\"7\",\"revision\":\"+9\"}}",
		"{\"header\":{\"cluster_id\":\"7\",\"revision\":\" 9\"}}",
		"{\"header\":{\"cluster_id\":\"7\",\"revision\":\"09\"}}",
		"{\"header\":{\"cluster_id\":\"7\",\"revision\":\"9.0\"}}",
		"{\"header\":{\"cluster_id\":\"7\",\"revision\":\"\"}}",
		"{\"header\":{\"cluster_id\":\"7\",\"revision\":\"0\"}}",
		"{\"header\":{\"cluster_id\":\"7\",\"revision\":\"9223372036854775808\"}}",
		"{\"header\":{\"cluster_id\":\"18446744073709551616\",\"revision\":\"9\"}}",
		"{\"header\":{\"cluster_id\":\"99999999999999999999999\",\"revision\":\"9\"}}",
		"{" HEADER ",\"kvs\":[" KV "]}",
		"{" HEADER ",\"count\":\"1\"}",
		"{" HEADER ",\"kvs\":[" KV "],\"count\":1}",
		"{" HEADER ",\"kvs\":[" KV "],\"count\":\"2\"}",
		"{" HEADER ",\"kvs\":[" KV "," KV "],\"count\":\"2\"}",
		"{" HEADER ",\"kvs\":" KV ",\"count\":\"1\"}",
		"{" HEADER ",\"kvs\":[7],\"count\":\"1\"}",
		"{" HEADER ",\"kvs\":[null],\"count\":\"1\"}",
#define ONE(inside) "{" HEADER ",\"kvs\":[{" inside "}],\"count\":\"1\"}"
		ONE(""),
		ONE("\"key\":\"L2EvYg==\""),
		ONE("\"key\":\"L2EvYw==\",\"mod_revision\":\"5\""),
		ONE("\"key\":\"\",\"mod_revision\":\"5\""),
		ONE("\"key\":7,\"mod_revision\":\"5\""),
		ONE("\"key\":\"L2EvYg==\",\"mod_revision\":5"),
		ONE("\"key\":\"L2EvYg==\",\"mod_revision\":\"10\""),
		ONE("\"key\":\"L2EvYg==\",\"mod_revision\":\"5\",\"value\":7"),
		ONE("\"key\":\"L2EvYg==\",\"mod_revision\":\"5\",\"value\":null"),
		ONE("\"key\":\"L2EvYg==\",\"mod_revision\":\"5\",\"value\":\"aGk\""),
		ONE("\"key\":\"L2EvYg==\",\"mod_revision\":\"5\",\"value\":\"aGl=\""),
		ONE("\"key\":\"L2EvYg==\",\"mod_revision\":\"5\",\"value\":\"a=k=\""),
		ONE("\"key\":\"L2EvYg==\",\"mod_revision\":\"5\",\"value\":\"aG_=\""),
		ONE("\"key\":\"L2EvYg==\",\"mod_revision\":\"5\",\"mod_revision\":\"5\""),
	};
	for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
		if (take_range(bodies[i]))
			fail_msg("taken: %s", bodies[i]);
		assert_true(strlen(why) > 10);
	}
}

static void exchanges_that_make_no_sense_are_no_answer(void **state)
{
	static const char *const bodies[] = {
		"{" HEADER "}",
		"{" HEADER ",\"succeeded\":true}",
		"{" HEADER "," PUT "}",
		"{" HEADER ",\"succeeded\":false," PUT "}",
		"{" HEADER ",\"succeeded\":true," RANGE(KVS) "}",
		"{" HEADER ",\"succeeded\":\"true\"," PUT "}",
		"{" HEADER ",\"succeeded\":1," PUT "}",
		"{" HEADER ",\"succeeded\":null," PUT "}",
		"{" HEADER ",\"succeeded\":true,\"succeeded\":true," PUT "}",
		"{\"succeeded\":true," PUT "}",
		"{" HEADER ",\"succeeded\":true,\"responses\":[]}",
		"{" HEADER ",\"succeeded\":true,\"responses\":[{}]}",
		"{" HEADER ",\"succeeded\":true,\"responses\":[null]}",
		"{" HEADER ",\"succeeded\":true,\"responses\":{\"response_put\":{}}}",
		"{" HEADER ",\"succeeded\":true,\"responses\":[{\"response_put\":null}]}",
		"{" HEADER ",\"succeeded\":true,\"responses\":[{\"response_put\":{}},{}]}",
		"{" HEADER ",\"succeeded\":true,\"responses\":[{\"response_put\":{},\"x\":1}]}",
		"{" HEADER "," RANGE("\"count\":\"1\"") "}",
	};
	for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
		if (take_exchange(bodies[i]))
			fail_msg("taken: %s", bodies[i]);
	}
}

static void bodies_when_huge_or_deep_are_no_answer(void **state)
{
	static char body[CTL_ETCD_BODY_BYTES + 2];
	size_t head = strlen("{" HEADER "}");
	memset(body, ' ', sizeof(body));
	memcpy(body, "{" HEADER "}", head);
	assert_true(ctl_etcd_take_range(body, CTL_ETCD_BODY_BYTES, KEY, &found, why));
	assert_false(ctl_etcd_take_range(body, CTL_ETCD_BODY_BYTES + 1, KEY, &found, why));
	memset(body, '[', sizeof(body));
	assert_false(ctl_etcd_take_range(body, CTL_ETCD_BODY_BYTES, KEY, &found, why));
	memset(body, 0, sizeof(body));
	assert_false(ctl_etcd_take_range(body, CTL_ETCD_BODY_BYTES, KEY, &found, why));
	memset(body, 0xff, sizeof(body));
	assert_false(ctl_etcd_take_exchange(body, CTL_ETCD_BODY_BYTES, KEY, &found, why));
}

/* A value that has no room is there all the same: somebody else's. */
static void value_when_long_is_present_and_empty(void **state)
{
	static char body[CTL_ETCD_BODY_BYTES];
	static char value[CTL_BASE64_BYTES(CTL_ETCD_VALUE_BYTES + 3)];
	static char data[CTL_ETCD_VALUE_BYTES + 3];
	for (size_t bytes = 0; bytes <= sizeof(data); bytes += 3) {
		ctl_base64_put(data, bytes, value);
		snprintf(
			body,
			sizeof(body),
			"{" HEADER ",\"kvs\":[{\"key\":\"L2EvYg==\",\"mod_revision\":\"5\","
			"\"value\":\"%s\"}],\"count\":\"1\"}",
			value
		);
		assert_true(take_range(body));
		assert_true(found.present);
		/* Longer texts are not decoded at all. */
		bool fits = strlen(value) <= CTL_ETCD_VALUE_BYTES;
		assert_int_equal(found.value_bytes, fits ? bytes : 0);
	}
}

static void token_when_it_would_break_a_header_is_none(void **state)
{
	static char token[CTL_ETCD_TOKEN_BYTES], body[2 * CTL_ETCD_TOKEN_BYTES];
	static const char *const bad[] = {
		"{}",
		"{\"token\":\"\"}",
		"{\"token\":7}",
		"{\"token\":\"a b\"}",
		"{\"token\":\"a\\r\\nX-Evil: b\"}",
		"{\"token\":\"\xc3\xa4\"}",
	};
	const char *good = "{" HEADER ",\"token\":\"abc.12\"}";
	assert_true(ctl_etcd_take_login(good, strlen(good), token, why));
	assert_string_equal(token, "abc.12");
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(ctl_etcd_take_login(bad[i], strlen(bad[i]), token, why));
	snprintf(body, sizeof(body), "{\"token\":\"%*s\"}", CTL_ETCD_TOKEN_BYTES, "x");
	for (char *c = body; *c; c++)
		*c = *c == ' ' ? 'x' : *c;
	assert_false(ctl_etcd_take_login(body, strlen(body), token, why));
	assert_string_equal(token, "abc.12");
}

static void errors_when_told_are_cut_and_printable(void **state)
{
	static const struct {
		const char *body;
		int code;
		const char *text;
	} cases[] = {
		{"{\"error\":\"a\",\"message\":\"b\",\"code\":3}", 3, "b"},
		{"{\"error\":\"a\",\"code\":16}", 16, "a"},
		{"{\"error\":\"a\",\"code\":17}", -1, "a"},
		{"{\"error\":\"a\",\"code\":-1}", -1, "a"},
		{"{\"error\":\"a\",\"code\":\"3\"}", -1, "a"},
		{"{\"message\":\"\\u001b[31m\\n\\u00e4\"}", -1, "?[31m???"},
		{"<html>", -1, ""},
		{"", -1, ""},
		{"[]", -1, ""},
	};
	char text[CTL_ETCD_ERROR_BYTES], body[1000];
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const char *given = cases[i].body;
		assert_int_equal(ctl_etcd_take_error(given, strlen(given), text), cases[i].code);
		assert_string_equal(text, cases[i].text);
	}
	snprintf(body, sizeof(body), "{\"message\":\"%0500d\"}", 0);
	ctl_etcd_take_error(body, strlen(body), text);
	assert_int_equal(strlen(text), CTL_ETCD_ERROR_BYTES - 1);
}

static void base64_when_read_back_is_the_same(void **state)
{
	struct random random = random_seeded(random_test_seed("test_etcd_json", 6));
	for (int i = 0; i < 5000; i++) {
		uint8_t data[64], back[64];
		char text[CTL_BASE64_BYTES(64)];
		size_t bytes = random_below(&random, 65);
		for (size_t k = 0; k < bytes; k++)
			data[k] = (uint8_t)random_u64(&random);
		ctl_base64_put(data, bytes, text);
		assert_int_equal(strlen(text), CTL_BASE64_BYTES(bytes) - 1);
		assert_int_equal(ctl_base64_take(text, back, bytes), bytes);
		assert_memory_equal(data, back, bytes);
		if (bytes > 0)
			assert_int_equal(ctl_base64_take(text, back, bytes - 1), -1);
	}
	static const char *const vectors[][2] = {
		{"", ""},
		{"f", "Zg=="},
		{"fo", "Zm8="},
		{"foo", "Zm9v"},
		{"foob", "Zm9vYg=="},
	};
	for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
		char text[16];
		ctl_base64_put(vectors[i][0], strlen(vectors[i][0]), text);
		assert_string_equal(text, vectors[i][1]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(requests_when_made_are_these),
		cmocka_unit_test(range_when_it_has_the_key_gives_value_and_revision),
		cmocka_unit_test(exchange_when_made_or_not_says_so),
		cmocka_unit_test(ranges_that_make_no_sense_are_no_answer),
		cmocka_unit_test(exchanges_that_make_no_sense_are_no_answer),
		cmocka_unit_test(bodies_when_huge_or_deep_are_no_answer),
		cmocka_unit_test(value_when_long_is_present_and_empty),
		cmocka_unit_test(token_when_it_would_break_a_header_is_none),
		cmocka_unit_test(errors_when_told_are_cut_and_printable),
		cmocka_unit_test(base64_when_read_back_is_the_same),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
