/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/routing/policy.h"

bool ctl_route_init(
	struct ctl_route *route, enum ctl_route_policy policy, uint32_t count, uint64_t seed
)
{
	if (count < 1 || count > CTL_ROUTE_ENDPOINTS_MAX || policy < 0 ||
	    policy >= CTL_ROUTE_POLICIES || (policy == CTL_ROUTE_FAILOVER && count > 2))
		return false;
	*route = (struct ctl_route){.policy = policy, .count = count, .random = seed};
	for (uint32_t i = 0; i < count; i++) {
		route->endpoints[i].weight = 1;
		route->endpoints[i].healthy = true;
	}
	return true;
}

/* A counter, mixed (the finaliser known as splitmix64). */
static uint64_t draw(struct ctl_route *route)
{
	uint64_t x = route->random += 0x9e3779b97f4a7c15;
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
	x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
	return x ^ (x >> 31);
}

static int pick_failover(const struct ctl_route *route)
{
	const struct ctl_route_endpoint *all = route->endpoints;
	uint32_t first = route->preferred, second = route->count - 1 - first;
	if (route->count == 1)
		return all[0].offline ? CTL_ROUTE_NONE : 0;
	if (all[first].offline)
		return all[second].offline ? CTL_ROUTE_NONE : (int)second;
	bool away = !all[first].healthy && all[second].healthy && !all[second].offline;
	return (int)(away ? second : first);
}

static int pick_alternate(const struct ctl_route *route)
{
	for (uint32_t step = 0; step < route->count; step++) {
		uint32_t index = (route->turn + step) % route->count;
		if (!route->endpoints[index].offline)
			return (int)index;
	}
	return CTL_ROUTE_NONE;
}

/* Those that take part in the draw, best rule first: healthy ones with a weight, then healthy ones
 * without, then, as if all were healthy, those with a weight, then any. */
static bool takes_part(const struct ctl_route_endpoint *endpoint, uint32_t rule)
{
	return !endpoint->offline && (rule >= 2 || endpoint->healthy) &&
	       ((rule & 1) || endpoint->weight > 0);
}

static int pick_weighted(struct ctl_route *route)
{
	for (uint32_t rule = 0; rule < 4; rule++) {
		uint64_t sum = 0;
		for (uint32_t i = 0; i < route->count; i++)
			if (takes_part(&route->endpoints[i], rule))
				sum += rule & 1 ? 1 : route->endpoints[i].weight;
		if (sum == 0)
			continue;
		/* Of 64 bits and at most 2^35 shares: the bias is below 2^-29. */
		uint64_t place = draw(route) % sum;
		for (uint32_t i = 0; i < route->count; i++) {
			if (!takes_part(&route->endpoints[i], rule))
				continue;
			uint64_t share = rule & 1 ? 1 : route->endpoints[i].weight;
			if (place < share)
				return (int)i;
			place -= share;
		}
	}
	return CTL_ROUTE_NONE;
}

int ctl_route_pick(struct ctl_route *route)
{
	switch (route->policy) {
	case CTL_ROUTE_FAILOVER:
		return pick_failover(route);
	case CTL_ROUTE_ALTERNATE:
		return pick_alternate(route);
	default:
		return pick_weighted(route);
	}
}

void ctl_route_accepted(struct ctl_route *route, int index)
{
	if (route->policy == CTL_ROUTE_ALTERNATE && index >= 0 && (uint32_t)index < route->count)
		route->turn = ((uint32_t)index + 1) % route->count;
}

bool ctl_route_switch_to(struct ctl_route *route, uint32_t index)
{
	if (route->policy != CTL_ROUTE_FAILOVER || index >= route->count)
		return false;
	route->preferred = index;
	return true;
}

bool ctl_route_set_offline(struct ctl_route *route, uint32_t index, bool offline)
{
	if (index >= route->count)
		return false;
	route->endpoints[index].offline = offline;
	return true;
}

bool ctl_route_set_weight(struct ctl_route *route, uint32_t index, uint32_t weight)
{
	if (index >= route->count)
		return false;
	route->endpoints[index].weight = weight;
	return true;
}

bool ctl_route_set_healthy(struct ctl_route *route, uint32_t index, bool healthy)
{
	if (index >= route->count)
		return false;
	route->endpoints[index].healthy = healthy;
	return true;
}

void ctl_health_init(struct ctl_health *health, bool healthy, uint64_t fall_ns, uint64_t rise_ns)
{
	*health = (struct ctl_health){.healthy = healthy, .fall_ns = fall_ns, .rise_ns = rise_ns};
}

bool ctl_health_look(struct ctl_health *health, bool good, uint64_t now_ns)
{
	if (good == health->healthy) {
		health->disagrees = false;
		return false;
	}
	if (!health->disagrees) {
		health->disagrees = true;
		health->since_ns = now_ns;
	}
	if (now_ns - health->since_ns < (good ? health->rise_ns : health->fall_ns))
		return false;
	health->healthy = good;
	health->disagrees = false;
	return true;
}
