/* SPDX-License-Identifier: BSD-3-Clause */
#include "config/units.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

struct unit {
	const char *name;
	uint64_t factor;
};

/* From small to large: formatting takes the last one that divides. */
static const struct unit durations[] = {
	{"ns", 1},
	{"us", 1000},
	{"ms", 1000000},
	{"s", 1000000000},
	{"m", 60 * 1000000000ull},
	{"h", 3600 * 1000000000ull},
};
static const struct unit sizes[] = {
	{"B", 1},
	{"KiB", 1ull << 10},
	{"MiB", 1ull << 20},
	{"GiB", 1ull << 30},
};
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static const char *skip_blanks(const char *text)
{
	while (*text == ' ' || *text == '\t')
		text++;
	return text;
}

static const struct unit *find_unit(const struct unit *units, size_t count, const char *name)
{
	for (size_t i = 0; i < count; i++) {
		size_t bytes = strlen(units[i].name);
		if (strncmp(units[i].name, name, bytes) == 0 && *skip_blanks(name + bytes) == 0)
			return &units[i];
	}
	return NULL;
}

static enum cfg_unit_result
parse(const char *text, const struct unit *units, size_t count, uint64_t *value)
{
	uint64_t number = 0;
	bool overflow = false;

	text = skip_blanks(text);
	if (!is_digit(*text))
		return CFG_UNIT_NO_NUMBER;
	for (; is_digit(*text); text++) {
		overflow |= __builtin_mul_overflow(number, 10, &number);
		overflow |= __builtin_add_overflow(number, (uint64_t)(*text - '0'), &number);
	}
	if (*text == '.')
		return CFG_UNIT_NO_NUMBER;
	text = skip_blanks(text);
	if (*text == 0)
		return CFG_UNIT_MISSING;
	const struct unit *unit = find_unit(units, count, text);
	if (!unit)
		return CFG_UNIT_UNKNOWN;
	overflow |= __builtin_mul_overflow(number, unit->factor, &number);
	if (overflow)
		return CFG_UNIT_OVERFLOW;
	*value = number;
	return CFG_UNIT_OK;
}

enum cfg_unit_result cfg_parse_duration(const char *text, uint64_t *duration_ns)
{
	return parse(text, durations, COUNT(durations), duration_ns);
}

enum cfg_unit_result cfg_parse_size(const char *text, uint64_t *size_bytes)
{
	return parse(text, sizes, COUNT(sizes), size_bytes);
}

static const char *problem(enum cfg_unit_result result, const char *missing, const char *unknown)
{
	switch (result) {
	case CFG_UNIT_OK:
		break;
	case CFG_UNIT_NO_NUMBER:
		return "does not begin with a whole number";
	case CFG_UNIT_MISSING:
		return missing;
	case CFG_UNIT_UNKNOWN:
		return unknown;
	case CFG_UNIT_OVERFLOW:
		return "does not fit 64 bits";
	}
	return "is well-formed";
}

const char *cfg_duration_problem(enum cfg_unit_result result)
{
	return problem(
		result,
		"the unit is missing (one of ns us ms s m h)",
		"the unit is unknown (one of ns us ms s m h)"
	);
}

const char *cfg_size_problem(enum cfg_unit_result result)
{
	return problem(
		result,
		"the unit is missing (one of B KiB MiB GiB)",
		"the unit is unknown (one of B KiB MiB GiB)"
	);
}

static void format(uint64_t value, const struct unit *units, size_t count, char *text)
{
	size_t best = 0;
	for (size_t i = 1; i < count && value != 0; i++) {
		if (value % units[i].factor == 0)
			best = i;
	}
	snprintf(
		text,
		CFG_UNIT_TEXT_BYTES,
		"%" PRIu64 " %s",
		value / units[best].factor,
		units[best].name
	);
}

void cfg_format_duration(uint64_t duration_ns, char text[CFG_UNIT_TEXT_BYTES])
{
	format(duration_ns, durations, COUNT(durations), text);
}

void cfg_format_size(uint64_t size_bytes, char text[CFG_UNIT_TEXT_BYTES])
{
	format(size_bytes, sizes, COUNT(sizes), text);
}
