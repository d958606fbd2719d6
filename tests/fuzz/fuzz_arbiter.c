/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What an arbiter may say: the pair record's text, the file around it, etcd's answers
 * (tests/fuzz/arbiter_input.h). What must hold:
 *
 * - only the given bytes are read, and nothing ends the process;
 * - what is taken for a record is one that a pair can have, and written again it gives the same
 *   bytes; what is not taken leaves the caller's record as it was;
 * - an answer that counts has an id, a revision, and no more text than there is room for;
 * - a token fits into a line of a header, an error's text is printable and ends.
 */
#include "control/arbiter_value.h"
#include "control/etcd_json.h"
#include "tests/fuzz/arbiter_input.h"
#include "tests/fuzz/fuzz_target.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

uint64_t fuzz_accepted;

static void need(bool good, const char *what)
{
	if (good)
		return;
	fprintf(stderr, "fuzz_arbiter: not so: %s\n", what);
	abort();
}

static void check_value(const char *text, size_t bytes)
{
	struct rep_pair pair = {.epoch = 5, .primary = 7}, before = pair;
	char again[CTL_ARBITER_VALUE_BYTES];
	enum ctl_value_fault fault = ctl_value_take(text, bytes, ARBITER_INPUT_CLUSTER, &pair);
	need(fault < CTL_VALUE_FAULTS, "a known fault");
	if (fault != CTL_VALUE_OK) {
		need(memcmp(&pair, &before, sizeof(pair)) == 0,
		     "what is not taken changes nothing");
		return;
	}
	need(ctl_value_is_valid(&pair) && pair.holder == REP_HOLDER_ARBITER, "a pair's record");
	need(ctl_value_put(&pair, ARBITER_INPUT_CLUSTER, again) == bytes &&
		     memcmp(again, text, bytes) == 0,
	     "one spelling");
	fuzz_accepted++;
}

static void check_file(const char *text, size_t bytes)
{
	size_t value_bytes;
	uint64_t revision;
	if (ctl_value_take_file(text, bytes, &value_bytes, &revision) != CTL_VALUE_OK)
		return;
	need(value_bytes < bytes && text[value_bytes] == '\n', "the value is the first line");
	fuzz_accepted++;
	check_value(text, value_bytes);
}

static void check_answer(const char *text, size_t bytes, bool exchange)
{
	struct ctl_etcd_found found;
	char why[CTL_ETCD_ERROR_BYTES] = "";
	bool good = exchange ? ctl_etcd_take_exchange(text, bytes, ARBITER_INPUT_KEY, &found, why)
			     : ctl_etcd_take_range(text, bytes, ARBITER_INPUT_KEY, &found, why);
	if (!good) {
		need(strlen(why) > 5, "no answer says why");
		return;
	}
	need(found.cluster_id != 0 && found.revision != 0, "an answer says whose it is");
	need(!found.present || found.mod_revision <= found.revision, "revisions fit");
	need(!found.succeeded || (exchange && !found.present), "only an exchange succeeds");
	need(found.value_bytes <= sizeof(found.value), "a value has room");
	fuzz_accepted++;
	if (found.present) {
		char *copy = malloc(found.value_bytes + 1);
		need(copy != NULL, "memory");
		memcpy(copy, found.value, found.value_bytes);
		check_value(copy, found.value_bytes);
		free(copy);
	}
}

static bool is_printable(const char *text)
{
	while (*text >= ' ' && *text < 0x7f)
		text++;
	return *text == 0;
}

static void check_words(const char *text, size_t bytes, bool login)
{
	char token[CTL_ETCD_TOKEN_BYTES], why[CTL_ETCD_ERROR_BYTES];
	if (login && ctl_etcd_take_login(text, bytes, token, why)) {
		need(is_printable(token) && token[0] != 0 && strchr(token, ' ') == NULL,
		     "a token fits into a header");
		fuzz_accepted++;
	}
	if (login)
		return;
	int code = ctl_etcd_take_error(text, bytes, why);
	need(code >= -1 && code <= 16, "a code of gRPC's");
	need(is_printable(why), "an error's text can be shown");
	fuzz_accepted++;
}

static void check_base64(const char *text)
{
	uint8_t data[ARBITER_INPUT_ROOM];
	char again[CTL_BASE64_BYTES(ARBITER_INPUT_ROOM)];
	int64_t bytes = ctl_base64_take(text, data, sizeof(data));
	if (bytes < 0)
		return;
	ctl_base64_put(data, (size_t)bytes, again);
	need(strcmp(again, text) == 0, "base64 has one spelling");
	fuzz_accepted++;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	if (bytes == 0)
		return 0;
	size_t length = bytes - 1;
	bool string = data[0] % ARBITER_INPUTS == ARBITER_INPUT_BASE64;
	/* At the end of its memory, so that a sanitizer sees a read beyond it. */
	char *memory = malloc(length + 1 + string), *text = memory + 1;
	need(memory != NULL, "memory");
	memcpy(text, data + 1, length);
	switch ((enum arbiter_input)(data[0] % ARBITER_INPUTS)) {
	case ARBITER_INPUT_FILE:
		check_file(text, length);
		break;
	case ARBITER_INPUT_RANGE:
		check_answer(text, length, false);
		break;
	case ARBITER_INPUT_EXCHANGE:
		check_answer(text, length, true);
		break;
	case ARBITER_INPUT_LOGIN:
		check_words(text, length, true);
		break;
	case ARBITER_INPUT_ERROR:
		check_words(text, length, false);
		break;
	case ARBITER_INPUT_BASE64:
		text[length] = 0;
		check_base64(text);
		break;
	default:
		check_value(text, length);
		break;
	}
	free(memory);
	return 0;
}

size_t fuzz_example(uint64_t seed, uint8_t *data, size_t room)
{
	return arbiter_input_random(seed, data, room);
}
