/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Durations and sizes as people write them: a whole number and a unit, "250 ms" or "64MiB". A
 * number without a unit is refused, because a wrong guess of the unit is a factor of a thousand; 0
 * needs one too. Used by the configuration and by the programs' options.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define CFG_UNIT_TEXT_BYTES 32 /* enough for every formatted duration or size */

enum cfg_unit_result {
	CFG_UNIT_OK,
	CFG_UNIT_NO_NUMBER, /* does not begin with a whole number, or has a fraction or a sign */
	CFG_UNIT_MISSING,   /* a number alone */
	CFG_UNIT_UNKNOWN,   /* what follows the number is no unit of this kind */
	CFG_UNIT_OVERFLOW,  /* does not fit 64 bits */
};

/* ns us ms s m h. The result is written only when CFG_UNIT_OK is returned. */
enum cfg_unit_result cfg_parse_duration(const char *text, uint64_t *duration_ns);
/* B KiB MiB GiB */
enum cfg_unit_result cfg_parse_size(const char *text, uint64_t *size_bytes);

/* A sentence part for a result: "the unit is missing (one of ns us ms s m h)". */
const char *cfg_duration_problem(enum cfg_unit_result result);
const char *cfg_size_problem(enum cfg_unit_result result);

/* The largest unit that gives a whole number, "90 s" and not "1.5 m": parsing it gives the same
 * value again. */
void cfg_format_duration(uint64_t duration_ns, char text[CFG_UNIT_TEXT_BYTES]);
void cfg_format_size(uint64_t size_bytes, char text[CFG_UNIT_TEXT_BYTES]);
