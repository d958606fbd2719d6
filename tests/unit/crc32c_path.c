/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Built twice: with SSE4.2 (PATH_NAME crc32c_by_instruction) and without (crc32c_by_table), so that
 * one test can compare the two.
 */
#include "config/crc32c.h"

#include <stdbool.h>

uint32_t PATH_NAME(const void *data, uint64_t bytes, bool *instruction);
uint32_t PATH_NAME(const void *data, uint64_t bytes, bool *instruction)
{
#ifdef __SSE4_2__
	*instruction = true;
#else
	*instruction = false;
#endif
	return sf_crc32c_end(sf_crc32c(SF_CRC32C_INIT, data, bytes));
}
