/* SPDX-License-Identifier: BSD-3-Clause
 *
 * One value of the schema: from the text or number of a file into the field that its row names, and
 * back into the text that a file would hold. base is the struct cfg_settings, or the struct
 * cfg_lcore for a row of an lcore. A bad value leaves the field as it was, returns false and says
 * why in a part of a sentence that can follow "path: ".
 */
#pragma once

#include "config/schema.h"

#include <stdbool.h>
#include <stdint.h>

#define CFG_WHY_BYTES 384
#define CFG_VALUE_BYTES (CFG_TEXT_BYTES + 64) /* a formatted value, but for arrays */

bool cfg_value_from_number(
	const struct cfg_row *row, int64_t number, void *base, char why[CFG_WHY_BYTES]
);
/* Integers are accepted as text too: the presets of the table are text. */
bool cfg_value_from_text(
	const struct cfg_row *row, const char *text, void *base, char why[CFG_WHY_BYTES]
);

/* Adds one EAL argument. */
bool cfg_value_add_eal_arg(
	const struct cfg_row *row,
	const char *text,
	struct cfg_settings *settings,
	char why[CFG_WHY_BYTES]
);

/* Adds one endpoint of the arbiter. */
bool cfg_value_add_endpoint(
	const struct cfg_row *row,
	const char *text,
	struct cfg_settings *settings,
	char why[CFG_WHY_BYTES]
);

/* Adds one name of the zone. */
bool cfg_value_add_route(
	const struct cfg_row *row,
	const char *text,
	struct cfg_settings *settings,
	char why[CFG_WHY_BYTES]
);

/* What a row wants, for messages: "a string with a unit, such as \"100 ms\"". */
void cfg_value_wanted(const struct cfg_row *row, char wanted[CFG_WHY_BYTES]);
/* "1280 to 9000 bytes"; "" for rows without a range. */
void cfg_value_range(const struct cfg_row *row, char range[CFG_WHY_BYTES]);

/* As in the file, strings in quotes. Arrays go to a stream, because they have no bound. */
void cfg_value_print(const struct cfg_row *row, const void *base, FILE *to);
