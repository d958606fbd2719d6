/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/fuzz/dns_input.h"

#include "tests/unit/random.h"

#include <ctype.h>
#include <stdbool.h>
#include <string.h>

#define OPT "\0\0\x29\x10\0\0\0\0\0\0\0"
#define OPT_BYTES 11

static size_t
make(uint8_t flags, uint16_t number, const char *name, uint16_t type, bool edns, uint8_t *data)
{
	uint8_t *at = data;
	*at++ = flags;
	memcpy(at, "\0\0\1\0\0\1\0\0\0\0\0\0", 12);
	at[0] = (uint8_t)(number >> 8);
	at[1] = (uint8_t)number;
	at[11] = edns;
	at += 12;
	while (*name) {
		size_t length = strcspn(name, ".");
		*at++ = (uint8_t)length;
		memcpy(at, name, length);
		at += length;
		name += length + (name[length] == '.');
	}
	*at++ = 0;
	*at++ = (uint8_t)(type >> 8);
	*at++ = (uint8_t)type;
	*at++ = 0;
	*at++ = 1;
	if (edns) {
		memcpy(at, OPT, OPT_BYTES);
		at += OPT_BYTES;
	}
	return (size_t)(at - data);
}

size_t dns_input_case(uint32_t number, uint8_t *data, const char **name)
{
	static const struct {
		const char *name, *asked;
		uint16_t type;
		uint8_t flags;
		bool edns;
		int at, value; /* a byte that is changed; at 0: none, below 0: from the end */
	} cases[] = {
		{"a", "pair1.region.test", 1, 0, false, 0, 0},
		{"a-edns", "pair1.region.test", 1, 0, true, 0, 0},
		{"a-tcp", "in.region.test", 1, DNS_INPUT_TCP, true, 0, 0},
		{"a-narrow", "pair1.region.test", 1, DNS_INPUT_NARROW, true, 0, 0},
		{"any", "q.1.region.test", 255, 0, true, 0, 0},
		{"aaaa", "pair1.region.test", 28, 0, false, 0, 0},
		{"below", "1.region.test", 1, 0, false, 0, 0},
		{"unknown", "no.region.test", 1, 0, false, 0, 0},
		{"offline", "off.region.test", 1, 0, true, 0, 0},
		{"silent", "silent.region.test", 1, 0, true, 0, 0},
		{"soa", "region.test", 6, 0, false, 0, 0},
		{"ns", "region.test", 2, 0, true, 0, 0},
		{"server", "ns.region.test", 1, 0, false, 0, 0},
		{"outside", "example.com", 1, 0, false, 0, 0},
		{"root", "", 2, 0, false, 0, 0},
		{"transfer", "region.test", 252, DNS_INPUT_TCP, false, 0, 0},
		{"is-answer", "pair1.region.test", 1, 0, false, 3, 0x81},
		{"update", "region.test", 6, 0, false, 3, 0x28},
		{"no-question", "pair1.region.test", 1, 0, false, 6, 0},
		{"more-records", "pair1.region.test", 1, 0, true, 12, 2},
		{"pointer", "pair1.region.test", 1, 0, false, 13, 0xc0},
		{"long-label", "pair1.region.test", 1, 0, false, 13, 63},
		{"class", "pair1.region.test", 1, 0, false, -1, 3},
		{"version", "pair1.region.test", 1, 0, true, -5, 1},
		{"option", "pair1.region.test", 1, 0, true, -1, 9},
	};
	if (number >= sizeof(cases) / sizeof(cases[0]))
		return 0;
	*name = cases[number].name;
	size_t bytes =
		make(cases[number].flags,
		     (uint16_t)(number * 257),
		     cases[number].asked,
		     cases[number].type,
		     cases[number].edns,
		     data);
	int at = cases[number].at;
	if (at != 0)
		data[at > 0 ? (size_t)at : bytes - (size_t)-at] = (uint8_t)cases[number].value;
	return bytes;
}

size_t dns_input_random(uint64_t seed, uint8_t *data)
{
	static const char *const names[] = {
		"pair1.region.test", "in.region.test", "q.1.region.test"};
	struct random random = random_seeded(seed);
	char name[64];
	strcpy(name, names[random_below(&random, 3)]);
	for (char *at = name; *at; at++)
		if (random_below(&random, 2) == 0)
			*at = (char)toupper(*at);
	return make(
		random_below(&random, 2) ? DNS_INPUT_TCP : 0,
		(uint16_t)random_u64(&random),
		name,
		random_below(&random, 4) ? 1 : 255,
		random_below(&random, 2) != 0,
		data
	);
}
