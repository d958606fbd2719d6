/* SPDX-License-Identifier: BSD-3-Clause
 *
 * cmocka with the headers that it needs before it (it includes none itself), in their order. */
#pragma once

/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */
