/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Reads a clock and allocates: check_symbols.py must find both when this stands among the pure
 * libraries.
 */
#include <stdlib.h>
#include <time.h>

void *rep_impure_canary(struct timespec *now);
void *rep_impure_canary(struct timespec *now)
{
	clock_gettime(CLOCK_MONOTONIC, now);
	return malloc((size_t)now->tv_nsec + 1);
}
