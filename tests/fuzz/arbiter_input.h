/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The form in which fuzz_arbiter takes texts: a byte that says what the text is, and the text.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define ARBITER_INPUT_ROOM 4096
#define ARBITER_INPUT_KEY "/standfast/demo/pair"
#define ARBITER_INPUT_CLUSTER 0x1122334455667788ull

enum arbiter_input {
	ARBITER_INPUT_VALUE,
	ARBITER_INPUT_FILE,
	ARBITER_INPUT_RANGE,
	ARBITER_INPUT_EXCHANGE,
	ARBITER_INPUT_LOGIN,
	ARBITER_INPUT_ERROR,
	ARBITER_INPUT_BASE64,
	ARBITER_INPUTS,
};

/* Valid and slightly broken inputs; each number is another. Returns the bytes, at most
 * ARBITER_INPUT_ROOM; *name: for people. 0: there is no case of this number. */
size_t arbiter_input_case(uint32_t number, uint8_t *data, const char **name);
/* A valid input for a seed. */
size_t arbiter_input_random(uint64_t seed, uint8_t *data, size_t room);
