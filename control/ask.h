/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The other end of control/api.h: one request to the node's control, one answer.
 */
#pragma once

#include "config/settings.h"

#include <jansson.h>
#include <stddef.h>

#define CTL_ASK_PATIENCE_NS 8000000000ull
#define CTL_ASK_MOST_BYTES (4u << 20)

/* Sends the words and gives the answer's tree, which the caller owns: {"ok": true, …} or
 * {"ok": false, "code", "error"}. NULL with a sentence in error: nobody serves the socket, or what
 * came is no answer; *code is then the exit code (config/exit_codes.h). */
json_t *
ctl_ask(const struct cfg_settings *settings,
	const char *words,
	int *code,
	char *error,
	size_t error_bytes);
