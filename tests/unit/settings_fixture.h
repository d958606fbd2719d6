/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Configuration files for tests: each test has a folder of its own, writes files into it, loads one
 * and compares all errors, with file and line, in order.
 */
#pragma once

/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */

#include "config/settings.h"

#include <stdbool.h>

/* A whole file whose errors can be told by line: node's extra is on line 2, peer on 3, client's on
 * 5, replication's on 8, the rest from 10 on. */
#define CONF(node, client, replication, rest)                                      \
	"cluster = \"c\";\n"                                                       \
	"node: { name = \"a\"; id = 0; role = \"primary\"; " node " };\n"          \
	"peer: { name = \"b\"; address = \"10.0.0.2\"; };\n"                       \
	"client: { device = \"ring:c\"; address = \"10.0.0.1\";\n" client "\n};\n" \
	"replication: { device = \"ring:r\";\n" replication "\n};\n" rest "\n"

struct fixture {
	char folder[64];
	struct cfg_settings settings;
	struct cfg_errors errors;
};

int fixture_setup(void **state);
int fixture_teardown(void **state);

/* The file's path, in a buffer that the next call overwrites. */
const char *fixture_write(struct fixture *f, const char *name, const char *text, size_t bytes);

/* Loads text as "main.conf" (NULL: it is there already). */
bool fixture_load(struct fixture *f, const char *text);

/* Loads text, and the errors must be exactly these: "main.conf:5: client.mtu: 100 is out" each,
 * complete or cut at the end; NULL ends the list. */
void expect_errors(struct fixture *f, const char *text, ...);
/* The same for what the last load found. */
void expect_found(struct fixture *f, const char *const *expected, size_t count);
