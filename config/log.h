/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Lines for people, on standard error: "2026-11-20T23:10:05.123Z standfast-dataplane[a] warning:
 * …". Never called from an agent's poll: data lcores change counters and status words, and the main
 * thread says what changed.
 */
#pragma once

#include <stdarg.h>

enum sf_level { SF_ERROR, SF_WARNING, SF_NOTICE, SF_INFO, SF_DEBUG };

/* Program and node name for the lines' beginning; kept by reference. */
void sf_log_name(const char *program, const char *node);
void sf_log_level(enum sf_level least);
void sf_log(enum sf_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));
