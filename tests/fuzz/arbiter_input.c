/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/fuzz/arbiter_input.h"

#include "control/arbiter_value.h"
#include "control/etcd_json.h"
#include "tests/unit/random.h"

#include <stdio.h>
#include <string.h>

/* As etcd 3.4.23 says it. */
#define HEADER                                                                                     \
	"\"header\":{\"cluster_id\":\"324952591200643719\",\"member_id\":\"3319814642761637952\"," \
	"\"revision\":\"%u\",\"raft_term\":\"2\"}"
#define KVS                                                                                       \
	"\"kvs\":[{\"key\":\"%s\",\"create_revision\":\"2\",\"mod_revision\":\"%u\",\"version\":" \
	"\"1\",\"value\":\"%s\"}],\"count\":\"1\""

static size_t put(enum arbiter_input kind, const char *text, uint8_t *data)
{
	size_t bytes = strlen(text);
	data[0] = (uint8_t)kind;
	memcpy(data + 1, text, bytes);
	return bytes + 1;
}

static void make_exchange(
	bool made,
	const char *key64,
	const char *value64,
	unsigned revision,
	char *text,
	size_t room
)
{
	if (made)
		snprintf(
			text,
			room,
			"{" HEADER ",\"succeeded\":true,\"responses\":[{\"response_put\":{"
			"\"header\":{\"revision\":\"%u\"}}}]}",
			revision,
			revision
		);
	else
		snprintf(
			text,
			room,
			"{" HEADER ",\"responses\":[{\"response_range\":{" KVS "}}]}",
			revision + 3,
			key64,
			revision,
			value64
		);
}

static size_t make(enum arbiter_input kind, uint32_t epoch, unsigned revision, uint8_t *data)
{
	const struct rep_pair pair = {
		.epoch = epoch,
		.primary = epoch & 1,
		.in_sync = (epoch >> 1 & 1) != 0 ? 3 : (uint8_t)(1u << (epoch & 1)),
	};
	char value[CTL_ARBITER_VALUE_BYTES], text[2048];
	char key64[CTL_BASE64_BYTES(sizeof(ARBITER_INPUT_KEY))];
	char value64[CTL_BASE64_BYTES(CTL_ARBITER_VALUE_BYTES)];
	size_t bytes = ctl_value_put(&pair, ARBITER_INPUT_CLUSTER, value);
	ctl_base64_put(value, bytes, value64);
	ctl_base64_put(ARBITER_INPUT_KEY, strlen(ARBITER_INPUT_KEY), key64);
	switch (kind) {
	case ARBITER_INPUT_FILE:
		ctl_value_put_file(value, revision, text);
		break;
	case ARBITER_INPUT_RANGE:
		snprintf(
			text,
			sizeof(text),
			"{" HEADER "," KVS "}",
			revision + 3,
			key64,
			revision,
			value64
		);
		break;
	case ARBITER_INPUT_EXCHANGE:
		make_exchange((epoch & 4) != 0, key64, value64, revision, text, sizeof(text));
		break;
	case ARBITER_INPUT_LOGIN:
		snprintf(
			text,
			sizeof(text),
			"{" HEADER ",\"token\":\"QcuDxAbhOkXYHuyW.%u\"}",
			revision,
			revision
		);
		break;
	case ARBITER_INPUT_ERROR:
		snprintf(
			text,
			sizeof(text),
			"{\"error\":\"etcdserver: %u\",\"message\":\"etcdserver: %u\",\"code\":%u}",
			revision,
			revision,
			epoch & 15
		);
		break;
	case ARBITER_INPUT_BASE64:
		memcpy(text, value64, sizeof(value64));
		break;
	default:
		memcpy(text, value, sizeof(value));
		break;
	}
	return put(kind, text, data);
}

size_t arbiter_input_case(uint32_t number, uint8_t *data, const char **name)
{
	static const char *const valid[ARBITER_INPUTS] = {
		"value",
		"file",
		"range",
		"exchange",
		"login",
		"error",
		"base64",
	};
	static const struct {
		const char *name;
		enum arbiter_input kind;
		const char *text;
	} broken[] = {
		{"value-schema", ARBITER_INPUT_VALUE, "{\"schema\":2}"},
		{"value-twice",
		 ARBITER_INPUT_VALUE,
		 "{\"schema\":1,\"cluster\":\"1122334455667788\",\"epoch\":7,\"epoch\":8,"
		 "\"primary\":0,\"in_sync\":[0]}"},
		{"value-order",
		 ARBITER_INPUT_VALUE,
		 "{\"schema\":1,\"cluster\":\"1122334455667788\",\"epoch\":7,\"primary\":0,"
		 "\"in_sync\":[1,0]}"},
		{"file-crc", ARBITER_INPUT_FILE, "{}\nrevision 1 crc32c 00000000\n"},
		{"range-missing",
		 ARBITER_INPUT_RANGE,
		 "{\"header\":{\"cluster_id\":\"7\",\"revision\":\"1\"}}"},
		{"range-number",
		 ARBITER_INPUT_RANGE,
		 "{\"header\":{\"cluster_id\":7,\"revision\":1},\"count\":0}"},
		{"range-deep", ARBITER_INPUT_RANGE, "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[["},
		{"exchange-absent",
		 ARBITER_INPUT_EXCHANGE,
		 "{\"header\":{\"cluster_id\":\"7\",\"revision\":\"1\"},\"responses\":[{\"response_"
		 "range\":{}}]}"},
		{"exchange-text",
		 ARBITER_INPUT_EXCHANGE,
		 "{\"header\":{\"cluster_id\":\"7\",\"revision\":\"1\"},\"succeeded\":\"true\"}"},
		{"login-line", ARBITER_INPUT_LOGIN, "{\"token\":\"a\\r\\nb\"}"},
		{"error-page", ARBITER_INPUT_ERROR, "<html>"},
		{"base64-bits", ARBITER_INPUT_BASE64, "aGl="},
	};
	if (number < ARBITER_INPUTS) {
		*name = valid[number];
		return make((enum arbiter_input)number, 8, 12, data);
	}
	number -= ARBITER_INPUTS;
	if (number >= sizeof(broken) / sizeof(broken[0]))
		return 0;
	*name = broken[number].name;
	return put(broken[number].kind, broken[number].text, data);
}

size_t arbiter_input_random(uint64_t seed, uint8_t *data, size_t room)
{
	struct random random = random_seeded(seed);
	(void)room;
	enum arbiter_input kind = (enum arbiter_input)random_below(&random, ARBITER_INPUTS);
	uint32_t epoch = (uint32_t)random_u64(&random) >> random_below(&random, 28) | 1;
	return make(kind, epoch, 1 + (unsigned)random_below(&random, 1u << 30), data);
}
