/* SPDX-License-Identifier: BSD-3-Clause
 *
 * How far a misspelt name is from a known one, for hints: insertions, deletions, changes and swaps
 * of neighbours count 1 each.
 */
#pragma once

#include <stdint.h>

/* known: shorter than 64 bytes (else UINT32_MAX); given: any length. */
uint32_t cfg_name_distance(const char *given, const char *known);
