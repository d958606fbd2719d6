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

/* $STANDFAST_PIPELINE_DIR; else what was installed with this program, wherever its tree stands now;
 * else beside the source, where this was built and still is; else where it was to be installed.
 * Returns text. */
const char *pl_files_dir(char *text, size_t bytes);
/* False with a sentence: the folder cannot be read. */
bool pl_files_scenarios(const char *dir, struct pl_names *names, char *error, size_t bytes);
/* The scenario whose name is nearest to one that is not there; false: none is near. */
bool pl_files_nearest(const char *dir, const char *name, char *hint, size_t bytes);
