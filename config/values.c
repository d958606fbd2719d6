/* SPDX-License-Identifier: BSD-3-Clause */
#include "config/values.h"

#include "config/bytes.h"
#include "config/devices.h"
#include "config/errors.h"
#include "config/lcores.h"
#include "config/routes.h"
#include "config/units.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* ---------------------------------------------------------------- fields */

static void store(const struct cfg_row *row, void *base, uint64_t value)
{
	uint8_t *field = (uint8_t *)base + row->offset;
	/* The low bytes come first on every machine that we build for (config/check.h). */
	memcpy(field, &value, row->bytes);
}

static uint64_t load(const struct cfg_row *row, const void *base)
{
	const uint8_t *field = (const uint8_t *)base + row->offset;
	uint64_t value = 0;
	memcpy(&value, field, row->bytes);
	return value;
}

static void format_number(const struct cfg_row *row, uint64_t value, char *text)
{
	if (row->type == CFG_TYPE_DURATION)
		cfg_format_duration(value, text);
	else if (row->type == CFG_TYPE_SIZE)
		cfg_format_size(value, text);
	else
		snprintf(
			text,
			CFG_UNIT_TEXT_BYTES,
			row->flags & CFG_HEX ? "0x%" PRIX64 : "%" PRIu64,
			value
		);
}

void cfg_value_range(const struct cfg_row *row, char range[CFG_WHY_BYTES])
{
	char least[CFG_UNIT_TEXT_BYTES], most[CFG_UNIT_TEXT_BYTES];

	range[0] = 0;
	if (row->max == 0)
		return;
	format_number(row, row->min, least);
	format_number(row, row->max, most);
	snprintf(
		range,
		CFG_WHY_BYTES,
		"%s to %s%s%s%s",
		least,
		most,
		row->unit ? " " : "",
		row->unit ? row->unit : "",
		row->flags & CFG_POWER_OF_TWO ? ", a power of two" : ""
	);
}

static void print_words(const struct cfg_row *row, char *text, size_t bytes)
{
	size_t used = 0;
	text[0] = 0;
	for (const struct cfg_word *word = row->words; word->text && used < bytes; word++)
		used += (size_t)snprintf(
			text + used,
			bytes - used,
			"%s\"%s\"",
			word == row->words ? "" : ", ",
			word->text
		);
}

/* What a row's default calls it when there is none. */
static bool is_absence(const struct cfg_row *row, const char *text)
{
	return strcmp(row->preset, text) == 0 &&
	       (strcmp(text, "none") == 0 || strcmp(text, "auto") == 0);
}

void cfg_value_wanted(const struct cfg_row *row, char wanted[CFG_WHY_BYTES])
{
	char words[CFG_WHY_BYTES - 16];

	switch (row->type) {
	case CFG_TYPE_NAME:
	case CFG_TYPE_PATH:
		if (!is_absence(row, row->preset))
			break;
		snprintf(
			wanted,
			CFG_WHY_BYTES,
			"a string: %s, or \"%s\"",
			row->type == CFG_TYPE_NAME ? "a name" : "an absolute path",
			row->preset
		);
		return;
	case CFG_TYPE_INTEGER:
		snprintf(wanted, CFG_WHY_BYTES, "an integer such as %s", row->preset);
		return;
	case CFG_TYPE_DURATION:
	case CFG_TYPE_SIZE:
		snprintf(
			wanted, CFG_WHY_BYTES, "a string with a unit, such as \"%s\"", row->preset
		);
		return;
	case CFG_TYPE_WORD:
		print_words(row, words, sizeof(words));
		snprintf(wanted, CFG_WHY_BYTES, "one of %s", words);
		return;
	case CFG_TYPE_TEXTS:
	case CFG_TYPE_ENDPOINTS:
	case CFG_TYPE_ROUTES:
	case CFG_TYPE_AGENTS:
		snprintf(wanted, CFG_WHY_BYTES, "an array of strings");
		return;
	default:
		break;
	}
	snprintf(wanted, CFG_WHY_BYTES, "a string such as \"%s\"", row->preset);
}

/* ---------------------------------------------------------------- into a field */

static bool
store_in_range(const struct cfg_row *row, uint64_t value, void *base, char why[CFG_WHY_BYTES])
{
	char text[CFG_UNIT_TEXT_BYTES], range[CFG_WHY_BYTES];

	if (value < row->min || value > row->max ||
	    (row->flags & CFG_POWER_OF_TWO && !sf_is_power_of_two(value))) {
		bool outside = value < row->min || value > row->max;
		format_number(row, value, text);
		cfg_value_range(row, range);
		snprintf(
			why,
			CFG_WHY_BYTES,
			"%s is %s: %.300s",
			text,
			outside ? "out of range" : "no power of two",
			range
		);
		return false;
	}
	store(row, base, value);
	return true;
}

bool cfg_value_from_number(
	const struct cfg_row *row, int64_t number, void *base, char why[CFG_WHY_BYTES]
)
{
	char range[CFG_WHY_BYTES];

	if (number < 0) {
		cfg_value_range(row, range);
		snprintf(why, CFG_WHY_BYTES, "%" PRId64 " is out of range: %.300s", number, range);
		return false;
	}
	return store_in_range(row, (uint64_t)number, base, why);
}

static bool
from_unit_text(const struct cfg_row *row, const char *text, void *base, char why[CFG_WHY_BYTES])
{
	char quoted[CFG_QUOTED_BYTES];
	uint64_t value;
	bool duration = row->type == CFG_TYPE_DURATION;
	enum cfg_unit_result result =
		duration ? cfg_parse_duration(text, &value) : cfg_parse_size(text, &value);

	if (result == CFG_UNIT_OK)
		return store_in_range(row, value, base, why);
	snprintf(
		why,
		CFG_WHY_BYTES,
		"%s: %s",
		cfg_quote(text, quoted),
		duration ? cfg_duration_problem(result) : cfg_size_problem(result)
	);
	return false;
}

static bool
from_word(const struct cfg_row *row, const char *text, void *base, char why[CFG_WHY_BYTES])
{
	char quoted[CFG_QUOTED_BYTES], words[CFG_WHY_BYTES - 100];

	for (const struct cfg_word *word = row->words; word->text; word++) {
		if (strcmp(word->text, text) == 0) {
			store(row, base, word->value);
			return true;
		}
	}
	print_words(row, words, sizeof(words));
	snprintf(why, CFG_WHY_BYTES, "%s is not one of %s", cfg_quote(text, quoted), words);
	return false;
}

static const char *copy_text(const struct cfg_row *row, const char *text, char *field)
{
	if (is_absence(row, text)) {
		*field = 0;
		return NULL;
	}
	const char *wrong =
		row->type == CFG_TYPE_NAME ? cfg_parse_name(text) : cfg_parse_path(text);
	if (!wrong)
		strcpy(field, text); /* its length was checked */
	return wrong;
}

/* Texts with a form of their own; NULL when stored, else what is wrong. */
static const char *from_formed_text(const struct cfg_row *row, const char *text, void *base)
{
	void *field = (uint8_t *)base + row->offset;

	switch (row->type) {
	case CFG_TYPE_NAME:
	case CFG_TYPE_PATH:
		return copy_text(row, text, field);
	case CFG_TYPE_MAC:
		return cfg_parse_mac(text, field);
	case CFG_TYPE_IPV4:
		if (is_absence(row, text)) {
			store(row, base, 0);
			return NULL;
		}
		return cfg_parse_ipv4(text, field);
	case CFG_TYPE_DEVICE:
		return cfg_parse_device(text, field);
	case CFG_TYPE_CPUS:
		return cfg_parse_cpus(text, field);
	default:
		return "cannot be a string";
	}
}

static bool too_long(const struct cfg_row *row, const char *text, char why[CFG_WHY_BYTES])
{
	bool copied = row->type == CFG_TYPE_NAME || row->type == CFG_TYPE_PATH;
	if (!copied || strlen(text) < row->bytes)
		return false;
	snprintf(
		why,
		CFG_WHY_BYTES,
		"a text of %zu bytes is too long: at most %zu",
		strlen(text),
		row->bytes - 1
	);
	return true;
}

bool cfg_value_from_text(
	const struct cfg_row *row, const char *text, void *base, char why[CFG_WHY_BYTES]
)
{
	char quoted[CFG_QUOTED_BYTES];

	if (row->type == CFG_TYPE_DURATION || row->type == CFG_TYPE_SIZE)
		return from_unit_text(row, text, base, why);
	if (row->type == CFG_TYPE_WORD)
		return from_word(row, text, base, why);
	if (row->type == CFG_TYPE_INTEGER)
		return cfg_value_from_number(row, strtoll(text, NULL, 0), base, why);
	if (too_long(row, text, why))
		return false;
	const char *wrong = from_formed_text(row, text, base);
	if (wrong)
		snprintf(why, CFG_WHY_BYTES, "%s %s", cfg_quote(text, quoted), wrong);
	return wrong == NULL;
}

bool cfg_value_add_eal_arg(
	const struct cfg_row *row,
	const char *text,
	struct cfg_settings *settings,
	char why[CFG_WHY_BYTES]
)
{
	size_t length = strlen(text);

	if (settings->dpdk.eal_arg_count == CFG_MAX_EAL_ARGS) {
		snprintf(why, CFG_WHY_BYTES, "more than %d arguments", CFG_MAX_EAL_ARGS);
		return false;
	}
	if (length == 0 || length >= CFG_TEXT_BYTES) {
		snprintf(
			why,
			CFG_WHY_BYTES,
			"an argument of %zu bytes: 1 to %d are possible",
			length,
			CFG_TEXT_BYTES - 1
		);
		return false;
	}
	strcpy(settings->dpdk.eal_args[settings->dpdk.eal_arg_count++], text);
	return true;
}

bool cfg_value_add_endpoint(
	const struct cfg_row *row,
	const char *text,
	struct cfg_settings *settings,
	char why[CFG_WHY_BYTES]
)
{
	char quoted[CFG_QUOTED_BYTES];
	const char *wrong = cfg_parse_endpoint(text);

	if (settings->arbiter.endpoint_count == CFG_MAX_ENDPOINTS) {
		snprintf(why, CFG_WHY_BYTES, "more than %d endpoints", CFG_MAX_ENDPOINTS);
		return false;
	}
	if (wrong) {
		snprintf(why, CFG_WHY_BYTES, "%s %s", cfg_quote(text, quoted), wrong);
		return false;
	}
	strcpy(settings->arbiter.endpoints[settings->arbiter.endpoint_count++], text);
	return true;
}

bool cfg_value_add_route(
	const struct cfg_row *row,
	const char *text,
	struct cfg_settings *settings,
	char why[CFG_WHY_BYTES]
)
{
	char quoted[CFG_QUOTED_BYTES];
	struct cfg_route route;
	const char *wrong = cfg_parse_route(text, &route);

	if (settings->routing.name_count == CFG_MAX_ROUTES) {
		snprintf(why, CFG_WHY_BYTES, "more than %d names", CFG_MAX_ROUTES);
		return false;
	}
	if (wrong) {
		snprintf(why, CFG_WHY_BYTES, "%s %s", cfg_quote(text, quoted), wrong);
		return false;
	}
	strcpy(settings->routing.names[settings->routing.name_count++], text);
	return true;
}

/* ---------------------------------------------------------------- and back */

static void print_quoted(const char *text, FILE *to)
{
	fputc('"', to);
	for (; *text; text++) {
		if (*text == '"' || *text == '\\')
			fputc('\\', to);
		fputc(*text, to);
	}
	fputc('"', to);
}

static void print_texts(const char (*texts)[CFG_TEXT_BYTES], uint32_t count, FILE *to)
{
	fputs("[", to);
	for (uint32_t i = 0; i < count; i++) {
		fputs(i == 0 ? " " : ", ", to);
		print_quoted(texts[i], to);
	}
	fputs(" ]", to);
}

static const char *word_of(const struct cfg_row *row, uint64_t value)
{
	for (const struct cfg_word *word = row->words; word->text; word++) {
		if (word->value == value)
			return word->text;
	}
	return "?";
}

void cfg_value_print(const struct cfg_row *row, const void *base, FILE *to)
{
	char text[CFG_VALUE_BYTES] = "";
	const void *field = (const uint8_t *)base + row->offset;
	const struct cfg_settings *settings = base;

	switch (row->type) {
	case CFG_TYPE_INTEGER:
		format_number(row, load(row, base), text);
		fputs(text, to);
		return;
	case CFG_TYPE_DURATION:
	case CFG_TYPE_SIZE:
		format_number(row, load(row, base), text);
		break;
	case CFG_TYPE_WORD:
		snprintf(text, sizeof(text), "%s", word_of(row, load(row, base)));
		break;
	case CFG_TYPE_NAME:
	case CFG_TYPE_PATH:
	case CFG_TYPE_CPUS:
		snprintf(text, sizeof(text), "%s", (const char *)field);
		if (text[0] == 0)
			snprintf(text, sizeof(text), "%s", row->preset);
		break;
	case CFG_TYPE_MAC:
		cfg_format_mac(field, text, sizeof(text));
		break;
	case CFG_TYPE_IPV4:
		cfg_format_ipv4((uint32_t)load(row, base), text, sizeof(text));
		break;
	case CFG_TYPE_DEVICE:
		cfg_format_device(field, text, sizeof(text));
		break;
	case CFG_TYPE_TEXTS:
		print_texts(settings->dpdk.eal_args, settings->dpdk.eal_arg_count, to);
		return;
	case CFG_TYPE_ENDPOINTS:
		print_texts(settings->arbiter.endpoints, settings->arbiter.endpoint_count, to);
		return;
	case CFG_TYPE_ROUTES:
		print_texts(settings->routing.names, settings->routing.name_count, to);
		return;
	case CFG_TYPE_AGENTS:
		cfg_agents_print(base, to);
		return;
	}
	print_quoted(text, to);
}
