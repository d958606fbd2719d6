/* SPDX-License-Identifier: BSD-3-Clause
 * Exit codes of every program (operator-interface.md). */
#pragma once

enum sf_exit {
	SF_EXIT_OK = 0,
	SF_EXIT_FAILED = 1,
	SF_EXIT_USAGE = 2,
	SF_EXIT_NOT_RUNNING = 3,
	SF_EXIT_DATA = 4,    /* data problem or broken invariant */
	SF_EXIT_REFUSED = 5, /* would lose data or split */
	SF_EXIT_SKIPPED = 77,
	SF_EXIT_CONFIG = 78,
};
