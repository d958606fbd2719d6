/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Where architectures/ and scenarios/ are, and what is in them.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PL_NAMES_MAX 256

struct pl_names {
	uint32_t count;
	char items[PL_NAMES_MAX][64]; /* sorted, without ".conf" */
};

/* $STANDFAST_PIPELINE_DIR; else beside the source, where this was built and still is; else where it
 * was installed to. Returns text. */
const char *pl_files_dir(char *text, size_t bytes);
/* False with a sentence: the folder cannot be read. */
bool pl_files_scenarios(const char *dir, struct pl_names *names, char *error, size_t bytes);
