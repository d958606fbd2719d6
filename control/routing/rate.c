/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/routing/rate.h"

#include <string.h>

#define BURST_NS 1000000000ull

void ctl_rate_init(struct ctl_rate *rate, uint64_t per_source, uint64_t all, uint64_t salt)
{
	memset(rate, 0, sizeof(*rate));
	rate->salt = salt;
	rate->source_gap_ns = BURST_NS / per_source;
	rate->all_gap_ns = BURST_NS / all;
}

static bool take(uint64_t *empty_ns, uint64_t gap_ns, uint64_t now_ns)
{
	uint64_t from_ns = *empty_ns > now_ns ? *empty_ns : now_ns;
	if (from_ns + gap_ns > now_ns + BURST_NS)
		return false;
	*empty_ns = from_ns + gap_ns;
	return true;
}

static struct ctl_rate_source *find(struct ctl_rate *rate, uint64_t key)
{
	uint64_t hash = (key ^ rate->salt) * 0x9e3779b97f4a7c15ull;
	struct ctl_rate_source *set = rate->sources[(hash >> 40) % CTL_RATE_SETS];
	struct ctl_rate_source *emptiest = &set[0];
	for (uint32_t i = 0; i < CTL_RATE_WAYS; i++) {
		if (set[i].empty_ns != 0 && set[i].key == key)
			return &set[i];
		if (set[i].empty_ns < emptiest->empty_ns)
			emptiest = &set[i];
	}
	*emptiest = (struct ctl_rate_source){.key = key};
	return emptiest;
}

enum ctl_rate_verdict ctl_rate_take(
	struct ctl_rate *rate, uint32_t address, bool proven, uint64_t now_ns, uint64_t *refused
)
{
	struct ctl_rate_source *source = find(rate, (uint64_t)proven << 32 | address >> 8);
	*refused = 0;
	/* The source first: one that has had its share takes nothing from the others'. */
	if (!take(&source->empty_ns, rate->source_gap_ns, now_ns)) {
		*refused = ++source->refused;
		return CTL_RATE_SOURCE;
	}
	source->refused = 0;
	return take(&rate->all_empty_ns[proven], rate->all_gap_ns, now_ns) ? CTL_RATE_PASS
									   : CTL_RATE_ALL;
}
