/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The list of configuration errors that settings.h hands to its callers: how the loader's parts add
 * to it. Kept sorted by file and line; equal places keep the order of adding. Bounded, so that a
 * hostile file cannot make it grow.
 */
#pragma once

#include "config/settings.h"

#define CFG_MAX_ERRORS 256 /* later ones are replaced by one line that says so */

/* line 0: the file as a whole. file may be "". */
void cfg_errors_add(struct cfg_errors *errors, const char *file, int line, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

/* The same with the place as an origin of settings; no origin gives the first file, if any. */
void cfg_errors_add_at(
	struct cfg_errors *errors,
	const struct cfg_settings *settings,
	struct cfg_origin origin,
	const char *format,
	...
) __attribute__((format(printf, 4, 5)));

/* Text of a file for a message: in quotes, cut, unprintable bytes as '?'. Returns to. */
#define CFG_QUOTED_BYTES 72
const char *cfg_quote(const char *text, char to[CFG_QUOTED_BYTES]);
