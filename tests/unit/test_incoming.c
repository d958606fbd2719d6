/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/unit/surgery_world.h"
int main(void)
{
	return 0;
}
