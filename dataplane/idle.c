/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/idle.h"

#include <rte_pause.h>

#include <sched.h>
#include <time.h>

/* Backing off: about 10 us of pauses (an empty round is some 100 ns), then a millisecond of yields,
 * then sleeps. */
#define SPIN_ROUNDS 100
#define YIELD_ROUNDS 1000
#define MIN_SLEEP_NS 1000
#define MAX_SLEEP_NS 100000

void dp_idle_init(struct dp_idle *idle, enum cfg_idle strategy)
{
	idle->strategy = strategy == CFG_IDLE_AUTO ? CFG_IDLE_YIELD : strategy;
	idle->empty_rounds = 0;
	idle->sleep_ns = MIN_SLEEP_NS;
}

static void sleep_longer(struct dp_idle *idle)
{
	struct timespec pause = {.tv_nsec = (long)idle->sleep_ns};

	/* Interrupted is as good as slept: the caller polls and comes back. */
	nanosleep(&pause, NULL);
	idle->sleep_ns *= 2;
	if (idle->sleep_ns > MAX_SLEEP_NS)
		idle->sleep_ns = MAX_SLEEP_NS;
}

static void back_off(struct dp_idle *idle)
{
	if (idle->empty_rounds < SPIN_ROUNDS + YIELD_ROUNDS)
		idle->empty_rounds++;
	if (idle->empty_rounds < SPIN_ROUNDS)
		rte_pause();
	else if (idle->empty_rounds < SPIN_ROUNDS + YIELD_ROUNDS)
		sched_yield();
	else
		sleep_longer(idle);
}

void dp_idle_round(struct dp_idle *idle, unsigned work)
{
	if (work) {
		idle->empty_rounds = 0;
		idle->sleep_ns = MIN_SLEEP_NS;
		return;
	}
	switch (idle->strategy) {
	case CFG_IDLE_SPIN:
		break;
	case CFG_IDLE_PAUSE:
		rte_pause();
		break;
	case CFG_IDLE_BACKOFF:
		back_off(idle);
		break;
	case CFG_IDLE_SLEEP:
		sleep_longer(idle);
		break;
	case CFG_IDLE_AUTO:
	case CFG_IDLE_YIELD:
		sched_yield();
		break;
	}
}

const char *dp_idle_name(enum cfg_idle strategy)
{
	static const char *const names[] = {
		[CFG_IDLE_AUTO] = "auto",
		[CFG_IDLE_SPIN] = "spin",
		[CFG_IDLE_PAUSE] = "pause",
		[CFG_IDLE_YIELD] = "yield",
		[CFG_IDLE_BACKOFF] = "backoff",
		[CFG_IDLE_SLEEP] = "sleep",
	};
	return (size_t)strategy < sizeof(names) / sizeof(names[0]) ? names[strategy] : "unknown";
}
