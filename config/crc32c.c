/* SPDX-License-Identifier: BSD-3-Clause */
#include "config/crc32c.h"

/* One row per byte value: eight steps of division by the reflected polynomial. */
#define STEP1(c) (((c) >> 1) ^ (((c)&1) ? 0x82f63b78u : 0))
#define STEP2(c) STEP1(STEP1(c))
#define STEP4(c) STEP2(STEP2(c))
#define ROW1(n) STEP4(STEP4((uint32_t)(n)))
#define ROW4(n) ROW1(n), ROW1((n) + 1), ROW1((n) + 2), ROW1((n) + 3)
#define ROW16(n) ROW4(n), ROW4((n) + 4), ROW4((n) + 8), ROW4((n) + 12)
#define ROW64(n) ROW16(n), ROW16((n) + 16), ROW16((n) + 32), ROW16((n) + 48)

const uint32_t sf_crc32c_table[256] = {ROW64(0), ROW64(64), ROW64(128), ROW64(192)};
