/* SPDX-License-Identifier: BSD-3-Clause */
#include "config/check.h"

#include <stdio.h>
#include <stdlib.h>

void sf_check_failed(const char *file, int line, const char *text)
{
	fprintf(stderr, "%s:%d: broken invariant: %s\n", file, line, text);
	abort();
}
