/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What a fuzz target offers, with libFuzzer's names: with -Dfuzz=true and clang, libFuzzer drives
 * it; else replay.c runs it over a bounded number of generated inputs as a normal test.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

/* A valid input for this seed, from which replay.c makes damaged ones. Returns its bytes. */
size_t fuzz_example(uint64_t seed, uint8_t *data, size_t room);

/* How many inputs got past the checks: a run in which none did has tested nothing. */
extern uint64_t fuzz_accepted;
