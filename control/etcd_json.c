/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/etcd_json.h"

#include "control/arbiter_way.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---------------------------------------------------------------- base64 */

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void ctl_base64_put(const void *data, size_t bytes, char *text)
{
	const uint8_t *from = data;
	for (; bytes > 0; from += 3, bytes -= bytes < 3 ? bytes : 3) {
		uint32_t word = (uint32_t)from[0] << 16;
		word |= bytes > 1 ? (uint32_t)from[1] << 8 : 0;
		word |= bytes > 2 ? from[2] : 0;
		*text++ = digits[word >> 18];
		*text++ = digits[word >> 12 & 63];
		*text++ = bytes > 1 ? digits[word >> 6 & 63] : '=';
		*text++ = bytes > 2 ? digits[word & 63] : '=';
	}
	*text = 0;
}

static int digit_of(char c)
{
	const char *at = c != 0 ? strchr(digits, c) : NULL;
	return at != NULL ? (int)(at - digits) : -1;
}

int64_t ctl_base64_take(const char *text, void *data, size_t room)
{
	size_t length = strlen(text), used = 0;
	uint8_t *to = data;
	if (length % 4 != 0)
		return -1;
	for (size_t i = 0; i < length; i += 4) {
		bool last = i + 4 == length;
		unsigned padding = last && text[i + 3] == '=' ? 1 + (text[i + 2] == '=') : 0;
		uint32_t word = 0;
		for (unsigned k = 0; k < 4; k++) {
			int digit = k >= 4 - padding ? 0 : digit_of(text[i + k]);
			if (digit < 0)
				return -1;
			word = word << 6 | (uint32_t)digit;
		}
		/* Bits that nobody needs are zero in the one right spelling. */
		if ((word & ((1u << 8 * padding) - 1)) != 0 || used + 3 - padding > room)
			return -1;
		for (unsigned k = 0; k < 3 - padding; k++)
			to[used++] = (uint8_t)(word >> (16 - 8 * k));
	}
	return (int64_t)used;
}

static json_t *base64_json(const char *data)
{
	size_t bytes = strlen(data);
	char *text = malloc(CTL_BASE64_BYTES(bytes));
	if (text == NULL)
		return NULL;
	ctl_base64_put(data, bytes, text);
	json_t *string = json_string(text);
	free(text);
	return string;
}

/* ---------------------------------------------------------------- requests */

/* Takes the tree, which may be NULL. */
static char *dump(json_t *tree)
{
	char *text = tree != NULL ? json_dumps(tree, JSON_COMPACT) : NULL;
	json_decref(tree);
	return text;
}

char *ctl_etcd_put_range(const char *key)
{
	return dump(json_pack("{s:o}", "key", base64_json(key)));
}

char *ctl_etcd_put_exchange(const char *key, const char *from, const char *to)
{
	json_t *compare;
	if (CTL_ARBITER_CANARY(NO_COMPARE))
		compare = json_pack(
			"{s:s,s:s,s:o,s:s}",
			"target",
			"VERSION",
			"result",
			"GREATER",
			"key",
			base64_json(key),
			"version",
			"-1"
		);
	else if (from != NULL)
		compare = json_pack(
			"{s:s,s:s,s:o,s:o}",
			"target",
			"VALUE",
			"result",
			"EQUAL",
			"key",
			base64_json(key),
			"value",
			base64_json(from)
		);
	else
		compare = json_pack(
			"{s:s,s:s,s:o,s:s}",
			"target",
			"CREATE",
			"result",
			"EQUAL",
			"key",
			base64_json(key),
			"create_revision",
			"0"
		);
	return dump(json_pack(
		"{s:[o],s:[{s:{s:o,s:o}}],s:[{s:{s:o}}]}",
		"compare",
		compare,
		"success",
		"requestPut",
		"key",
		base64_json(key),
		"value",
		base64_json(to),
		"failure",
		"requestRange",
		"key",
		base64_json(key)
	));
}

char *ctl_etcd_put_login(const char *user, const char *password)
{
	return dump(json_pack("{s:s,s:s}", "name", user, "password", password));
}

/* ---------------------------------------------------------------- answers */

static bool odd(char *why, const char *text)
{
	snprintf(why, CTL_ETCD_ERROR_BYTES, "an answer that makes no sense: %s", text);
	return false;
}

/* The tree of a body, or NULL. */
static json_t *load(const char *body, size_t bytes, char *why)
{
	json_error_t error;
	if (bytes > CTL_ETCD_BODY_BYTES) {
		odd(why, "too large");
		return NULL;
	}
	json_t *tree = json_loadb(body, bytes, JSON_REJECT_DUPLICATES, &error);
	if (tree == NULL) {
		odd(why, "not JSON");
	} else if (!json_is_object(tree)) {
		odd(why, "not an object");
		json_decref(tree);
		tree = NULL;
	}
	return tree;
}

/* int64, which is a string in JSON: decimal digits without a sign, no zeros in front. */
static bool take_int64(const json_t *object, const char *name, uint64_t *number)
{
	const char *text = json_string_value(json_object_get(object, name));
	if (text == NULL || *text == 0 || (text[0] == '0' && text[1] != 0))
		return false;
	uint64_t value = 0;
	for (; *text; text++) {
		unsigned digit = (unsigned)(*text - '0');
		if (digit > 9 || __builtin_mul_overflow(value, 10, &value) ||
		    __builtin_add_overflow(value, digit, &value))
			return false;
	}
	*number = value;
	return true;
}

/* A revision is a signed number of etcd's, and never 0. */
static bool take_revision(const json_t *object, const char *name, uint64_t *revision)
{
	return take_int64(object, name, revision) && *revision != 0 && *revision <= INT64_MAX;
}

static bool take_header(const json_t *tree, struct ctl_etcd_found *found)
{
	const json_t *header = json_object_get(tree, "header");
	return json_is_object(header) && take_int64(header, "cluster_id", &found->cluster_id) &&
	       found->cluster_id != 0 && take_revision(header, "revision", &found->revision);
}

static bool take_kv(const json_t *kv, const char *key, struct ctl_etcd_found *found, char *why)
{
	uint8_t name[1024];
	const char *key_text = json_string_value(json_object_get(kv, "key"));
	const json_t *value = json_object_get(kv, "value");
	int64_t bytes = key_text != NULL ? ctl_base64_take(key_text, name, sizeof(name)) : -1;
	if (bytes < 0 || (size_t)bytes != strlen(key) || memcmp(name, key, (size_t)bytes) != 0)
		return odd(why, "another key");
	if (!take_revision(kv, "mod_revision", &found->mod_revision) ||
	    found->mod_revision > found->revision)
		return odd(why, "no mod_revision that can be");
	found->present = true;
	if (value == NULL)
		return true; /* an empty one */
	if (!json_is_string(value))
		return odd(why, "a value that is no string");
	if (json_string_length(value) > CTL_ETCD_VALUE_BYTES)
		return true; /* whatever it is, it is none of ours */
	bytes = ctl_base64_take(json_string_value(value), found->value, sizeof(found->value));
	if (bytes < 0)
		return odd(why, "a value that is not base64");
	found->value_bytes = (uint32_t)bytes;
	return true;
}

/* The part that a range answers with, also inside a transaction. */
static bool take_kvs(const json_t *range, const char *key, struct ctl_etcd_found *found, char *why)
{
	const json_t *kvs = json_object_get(range, "kvs");
	uint64_t count = 0;
	if (json_object_get(range, "count") != NULL && !take_int64(range, "count", &count))
		return odd(why, "a count that is no number");
	if (kvs != NULL && !json_is_array(kvs))
		return odd(why, "kvs that are no array");
	if (count != json_array_size(kvs) || count > 1)
		return odd(why, "not as many keys as it says");
	return count == 0 || take_kv(json_array_get(kvs, 0), key, found, why);
}

bool ctl_etcd_take_range(
	const char *body, size_t bytes, const char *key, struct ctl_etcd_found *found, char *why
)
{
	memset(found, 0, sizeof(*found));
	json_t *tree = load(body, bytes, why);
	if (tree == NULL)
		return false;
	bool good =
		take_header(tree, found) ? take_kvs(tree, key, found, why) : odd(why, "no header");
	json_decref(tree);
	return good;
}

static bool
take_responses(const json_t *tree, const char *key, struct ctl_etcd_found *found, char *why)
{
	const json_t *succeeded = json_object_get(tree, "succeeded");
	const json_t *responses = json_object_get(tree, "responses");
	const json_t *response = json_array_get(responses, 0);
	if (succeeded != NULL && !json_is_boolean(succeeded))
		return odd(why, "succeeded is neither true nor false");
	if (!json_is_array(responses) || json_array_size(responses) != 1 ||
	    json_object_size(response) != 1)
		return odd(why, "not one response");
	found->succeeded = json_is_true(succeeded);
	const json_t *put = json_object_get(response, "response_put");
	const json_t *range = json_object_get(response, "response_range");
	if (!json_is_object(found->succeeded ? put : range))
		return odd(why, "not the response that was asked for");
	if (!found->succeeded)
		return take_kvs(range, key, found, why);
	found->mod_revision = found->revision; /* what was put has the store's revision */
	return true;
}

bool ctl_etcd_take_exchange(
	const char *body, size_t bytes, const char *key, struct ctl_etcd_found *found, char *why
)
{
	memset(found, 0, sizeof(*found));
	json_t *tree = load(body, bytes, why);
	if (tree == NULL)
		return false;
	bool good = take_header(tree, found) ? take_responses(tree, key, found, why)
					     : odd(why, "no header");
	json_decref(tree);
	return good;
}

bool ctl_etcd_take_login(
	const char *body, size_t bytes, char token[CTL_ETCD_TOKEN_BYTES], char *why
)
{
	json_t *tree = load(body, bytes, why);
	if (tree == NULL)
		return false;
	const char *text = json_string_value(json_object_get(tree, "token"));
	size_t length = text != NULL ? strlen(text) : 0;
	bool good = length > 0 && length < CTL_ETCD_TOKEN_BYTES;
	/* It goes into a line of a header. */
	for (size_t i = 0; good && i < length; i++)
		good = text[i] > ' ' && text[i] < 0x7f;
	if (good)
		memcpy(token, text, length + 1);
	else
		odd(why, "no token");
	json_decref(tree);
	return good;
}

int ctl_etcd_take_error(const char *body, size_t bytes, char text[CTL_ETCD_ERROR_BYTES])
{
	char ignored[CTL_ETCD_ERROR_BYTES];
	int code = -1;
	text[0] = 0;
	json_t *tree = load(body, bytes, ignored);
	const json_t *number = json_object_get(tree, "code");
	const char *message = json_string_value(json_object_get(tree, "message"));
	if (message == NULL)
		message = json_string_value(json_object_get(tree, "error"));
	if (json_is_integer(number) && json_integer_value(number) >= 0 &&
	    json_integer_value(number) <= 16)
		code = (int)json_integer_value(number);
	size_t used = 0;
	for (; message != NULL && *message && used + 1 < CTL_ETCD_ERROR_BYTES; message++)
		text[used++] = *message >= ' ' && *message < 0x7f ? *message : '?';
	text[used] = 0;
	json_decref(tree);
	return code;
}
