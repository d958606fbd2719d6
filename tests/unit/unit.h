/* SPDX-License-Identifier: BSD-3-Clause
 *
 * cmocka with what it needs in front of it, in the one order that works; the formatter would sort
 * it. Unit tests include this instead of <cmocka.h>.
 */
#pragma once

/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */
