/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The text of a configuration file with its includes in place, and for each of its lines the file
 * and line that it came from. We read and join the files ourselves, and libconfig 1.5 sees one
 * string: left alone it ends the process when an included name is a directory, gives no reason for
 * a missing file, finds includes relative to one folder only, cuts the text at a zero byte, counts
 * lines in 16 bits, and takes 99999999999 for 1215752191. The scan on the way finds all of this.
 */
#pragma once

#include "config/errors.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CFG_SOURCE_MAX_BYTES (1u << 20)
#define CFG_SOURCE_MAX_LINES 60000u /* libconfig keeps a line number in 16 bits */

struct cfg_source_line {
	uint16_t file; /* as in cfg_origin */
	uint16_t line; /* in that file */
	bool overflow; /* a number on it was reported already: its value means nothing */
};

struct cfg_source {
	char *text; /* owned, ends with 0 */
	size_t text_bytes;
	struct cfg_source_line *lines; /* owned; index 1 is the first line of text */
	uint32_t line_count;
	char files[CFG_MAX_FILES][CFG_TEXT_BYTES];
	uint16_t file_count;
	bool incomplete; /* an include is missing: what is not in text may be in there */
	bool broken;	 /* not worth parsing; an error says why */
};

/* Reads path and its includes; what is wrong goes to errors. The source can be used unless broken,
 * and must be freed in any case. */
void cfg_source_read(struct cfg_source *source, const char *path, struct cfg_errors *errors);
void cfg_source_free(struct cfg_source *source);

/* Where a line of text came from; lines out of range give the nearest one. */
struct cfg_source_line cfg_source_where(const struct cfg_source *source, unsigned line);
