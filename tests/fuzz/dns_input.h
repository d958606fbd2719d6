/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The form in which fuzz_dns takes queries: a byte of dns_input_flags, and the query's bytes.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define DNS_INPUT_ROOM 1024
#define DNS_INPUT_ORIGIN "region.test"

enum dns_input_flags {
	DNS_INPUT_TCP = 1,
	DNS_INPUT_NARROW = 2, /* a responder whose answers over UDP have 50 bytes */
};

/* Valid and slightly broken queries; each number is another. Returns the bytes, at most
 * DNS_INPUT_ROOM; *name: for people. 0: there is no case of this number. */
size_t dns_input_case(uint32_t number, uint8_t *data, const char **name);
/* A query with an answer, for a seed. */
size_t dns_input_random(uint64_t seed, uint8_t *data);
