/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Checks of our own invariants, graded as in HAProxy: STATIC_CHECK for layouts and limits at
 * compile time, CHECK always on, DCHECK only in debug builds. None of them may ever look at bytes
 * that came from wire, disk, configuration or an operator: both nodes run the same input, so a
 * failing check there would kill both. Reject such input, count it, go on.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define STATIC_CHECK(condition, text) _Static_assert(condition, text)

/* Ends the process with a message. Supplied by whoever links the pure libraries (config/check.c in
 * the products); it is their only import besides memcpy, memmove, memset and memcmp. */
_Noreturn void sf_check_failed(const char *file, int line, const char *text);

#define CHECK(condition)                                                 \
	do {                                                             \
		if (__builtin_expect(!(condition), 0))                   \
			sf_check_failed(__FILE__, __LINE__, #condition); \
	} while (0)

#ifdef SF_DEBUG_CHECKS
#define DCHECK(condition) CHECK(condition)
#else
#define DCHECK(condition)                   \
	do {                                \
		(void)sizeof(!(condition)); \
	} while (0)
#endif

STATIC_CHECK(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "wire and disk formats are little-endian");
