/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Histories as text, for other programs than the one that made them (README.md, "File format").
 */
#pragma once

#include "tests/history/history.h"

/* Adds what the text says; the text is written over. False: malformed, with the line in `error`. */
bool hist_parse(
	struct hist_history *history, char *text, size_t bytes, char *error, size_t error_bytes
);
/* Every opcode must be one of the register's. */
void hist_print(const struct hist_history *history, FILE *file);
