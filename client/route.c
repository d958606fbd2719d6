/* SPDX-License-Identifier: BSD-3-Clause */
#include "client/route.h"

#include <string.h>

#define SILENT_LIMIT 2

static bool same_address(const struct cli_address *a, const struct cli_address *b)
{
	return memcmp(a->ip, b->ip, sizeof(a->ip)) == 0 && a->port == b->port;
}

void cli_route_init(struct cli_route *route, const struct cli_address *nodes, uint32_t count)
{
	*route = (struct cli_route){.configured_count = count};
	memcpy(route->nodes, nodes, count * sizeof(nodes[0]));
}

int cli_route_find(const struct cli_route *route, const struct cli_address *address)
{
	for (uint32_t i = 0; i < route->configured_count + route->learned_count; i++)
		if (same_address(&route->nodes[i], address))
			return (int)i;
	return -1;
}

bool cli_route_heard(struct cli_route *route, uint32_t from, uint32_t epoch, uint64_t now_ns)
{
	if (from == route->current) {
		route->heard_ns = now_ns;
		route->silent_count = 0;
	}
	if (epoch < route->epoch)
		return false;
	route->epoch = epoch;
	return true;
}

void cli_route_useful(struct cli_route *route)
{
	route->refusal_count = 0;
	route->is_lost = false;
}

static void move_to(struct cli_route *route, uint32_t index)
{
	if (route->current != index)
		route->moved_count++;
	route->current = index;
	route->silent_count = 0;
	route->heard_ns = 0;
}

static void rotate(struct cli_route *route)
{
	for (uint32_t i = 0; i < route->configured_count; i++) {
		route->rotation = (route->rotation + 1) % route->configured_count;
		if (route->rotation != route->current)
			break;
	}
	move_to(route, route->rotation);
	route->is_lost = true;
}

static uint32_t learn(struct cli_route *route, const struct cli_address *address)
{
	int known = cli_route_find(route, address);
	if (known >= 0)
		return (uint32_t)known;
	if (route->configured_count + route->learned_next == route->current)
		route->learned_next = (route->learned_next + 1) % CLI_MAX_LEARNED;
	uint32_t index = route->configured_count + route->learned_next;
	route->nodes[index] = *address;
	route->learned_next = (route->learned_next + 1) % CLI_MAX_LEARNED;
	if (route->learned_count < CLI_MAX_LEARNED)
		route->learned_count++;
	return index;
}

enum cli_route_advice cli_route_refused(
	struct cli_route *route, uint32_t from, bool newer, const struct cli_address *hint
)
{
	bool of_current = from == route->current;
	if (!of_current && !(newer && hint != NULL))
		return CLI_ROUTE_KEEP;
	if (hint != NULL && !same_address(hint, &route->nodes[route->current])) {
		/* Two nodes that point at each other would be a loop at the speed of the network;
		 * only the first redirect since a useful answer is followed without a pause. */
		bool first = route->refusal_count++ == 0;
		move_to(route, learn(route, hint));
		return first ? CLI_ROUTE_NOW : CLI_ROUTE_LATER;
	}
	if (!of_current)
		return CLI_ROUTE_KEEP;
	route->refusal_count++;
	rotate(route);
	return CLI_ROUTE_LATER;
}

bool cli_route_suggest(struct cli_route *route, const struct cli_address *address)
{
	if (!route->is_lost || same_address(address, &route->nodes[route->current]))
		return false;
	move_to(route, learn(route, address));
	return true;
}

void cli_route_timed_out(struct cli_route *route, uint32_t to, uint64_t sent_ns)
{
	if (to != route->current || route->heard_ns >= sent_ns)
		return;
	if (++route->silent_count >= SILENT_LIMIT)
		rotate(route);
}
