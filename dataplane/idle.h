/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What a data lcore does after a round of polls that found no work (strategies as in Aeron's
 * agents): spin, pause, yield, back off (spin, then yield, then short sleeps), sleep.
 */
#pragma once

#include "config/settings.h"

#include <stdint.h>

struct dp_idle {
	enum cfg_idle strategy; /* not AUTO */
	uint32_t empty_rounds;
	uint64_t sleep_ns; /* next sleep of backoff and sleep: doubles from 1 us to 100 us */
};

void dp_idle_init(struct dp_idle *idle, enum cfg_idle strategy);
/* Call once per round with the work done in it; returns after waiting as the strategy says. */
void dp_idle_round(struct dp_idle *idle, unsigned work);
const char *dp_idle_name(enum cfg_idle strategy);
