/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/routing/zone.h"

#include <errno.h>
#include <string.h>

#define LABEL_MAX 63

const char *ctl_endpoint_kind_name(enum ctl_endpoint_kind kind)
{
	static const char *const names[CTL_ENDPOINT_KINDS] = {"node", "queue", "stream", "api"};
	return kind < CTL_ENDPOINT_KINDS ? names[kind] : "unknown";
}

const char *ctl_route_policy_name(enum ctl_route_policy policy)
{
	static const char *const names[CTL_ROUTE_POLICIES] = {"failover", "alternate", "weighted"};
	return policy < CTL_ROUTE_POLICIES ? names[policy] : "unknown";
}

void ctl_zone_init(struct ctl_zone *zone)
{
	memset(zone, 0, sizeof(*zone));
	pthread_mutex_init(&zone->lock, NULL);
}

void ctl_zone_destroy(struct ctl_zone *zone)
{
	pthread_mutex_destroy(&zone->lock);
}

static char small(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

/* In small letters into the table's own room; false: it is no name. */
static bool take_name(const char *from, char to[CTL_ZONE_NAME_BYTES])
{
	size_t label = 0, i;
	memset(to, 0, CTL_ZONE_NAME_BYTES);
	for (i = 0; i < CTL_ZONE_NAME_BYTES && from[i] != 0; i++) {
		char c = small(from[i]);
		bool good =
			(c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
		if (c == '.' ? label == 0 : !good || label == LABEL_MAX)
			return false;
		label = c == '.' ? 0 : label + 1;
		to[i] = c;
	}
	return i < CTL_ZONE_NAME_BYTES && label > 0;
}

static bool is_same(const char *known, const char *asked)
{
	while (*known != 0 && *known == small(*asked))
		known++, asked++;
	return *known == 0 && *asked == 0;
}

/* "inbound.1" is below "1". */
static bool is_below(const char *known, const char *above)
{
	size_t known_length = strlen(known), above_length = strlen(above);
	return known_length > above_length + 1 && known[known_length - above_length - 1] == '.' &&
	       is_same(known + known_length - above_length, above);
}

static int find(const struct ctl_zone *zone, const char *name)
{
	for (uint32_t i = 0; i < zone->count; i++)
		if (is_same(zone->names[i].name, name))
			return (int)i;
	return -ENOENT;
}

static bool is_complete(const struct ctl_zone_name *name)
{
	struct ctl_route probe;
	if (name->kind >= CTL_ENDPOINT_KINDS || name->ttl_s > CTL_ZONE_TTL_MAX_S ||
	    !ctl_route_init(&probe, name->route.policy, name->route.count, 0))
		return false;
	for (uint32_t i = 0; i < name->route.count; i++)
		if (name->endpoints[i].address == 0 ||
		    memchr(name->endpoints[i].label, 0, CTL_ZONE_LABEL_BYTES) == NULL)
			return false;
	return true;
}

int ctl_zone_add(struct ctl_zone *zone, const struct ctl_zone_name *given)
{
	struct ctl_zone_name name = *given;
	if (!is_complete(&name) || memchr(given->name, 0, sizeof(given->name)) == NULL ||
	    !take_name(given->name, name.name))
		return -EINVAL;
	for (uint32_t i = 0; i < CTL_ROUTE_ENDPOINTS_MAX; i++)
		name.endpoints[i].picked = 0;
	name.picked_unhealthy = name.picked_none = name.asked_silent = 0;
	pthread_mutex_lock(&zone->lock);
	int result = -ENOSPC;
	if (find(zone, name.name) >= 0) {
		result = -EEXIST;
	} else if (zone->count < CTL_ZONE_NAMES_MAX) {
		result = (int)zone->count;
		zone->names[zone->count++] = name;
	}
	pthread_mutex_unlock(&zone->lock);
	return result;
}

int ctl_zone_find(struct ctl_zone *zone, const char *name)
{
	pthread_mutex_lock(&zone->lock);
	int result = find(zone, name);
	pthread_mutex_unlock(&zone->lock);
	return result;
}

bool ctl_zone_look(struct ctl_zone *zone, uint32_t index, struct ctl_zone_name *copy)
{
	pthread_mutex_lock(&zone->lock);
	bool found = index < zone->count;
	if (found)
		*copy = zone->names[index];
	pthread_mutex_unlock(&zone->lock);
	return found;
}

static enum ctl_zone_result
pick_of(struct ctl_zone_name *name, bool answered, struct ctl_zone_pick *pick)
{
	pick->ttl_s = name->ttl_s;
	if (name->is_silent) {
		name->asked_silent += answered;
		return CTL_ZONE_SILENT;
	}
	int endpoint = pick->endpoint = ctl_route_pick(&name->route);
	if (endpoint == CTL_ROUTE_NONE) {
		name->picked_none += answered;
		return CTL_ZONE_NO_ENDPOINT;
	}
	pick->address = name->endpoints[endpoint].address;
	pick->port = name->endpoints[endpoint].port;
	pick->healthy = name->route.endpoints[endpoint].healthy;
	if (!pick->healthy && pick->ttl_s > CTL_ZONE_DOUBT_TTL_S)
		pick->ttl_s = CTL_ZONE_DOUBT_TTL_S;
	if (answered) {
		name->endpoints[endpoint].picked++;
		name->picked_unhealthy += !pick->healthy;
		if (!name->reports_acceptance)
			ctl_route_accepted(&name->route, endpoint);
	}
	return CTL_ZONE_PICKED;
}

enum ctl_zone_result
ctl_zone_pick(struct ctl_zone *zone, const char *name, bool answered, struct ctl_zone_pick *pick)
{
	enum ctl_zone_result result = CTL_ZONE_NO_NAME;
	*pick = (struct ctl_zone_pick){.endpoint = CTL_ROUTE_NONE};
	pthread_mutex_lock(&zone->lock);
	int index = find(zone, name);
	if (index >= 0) {
		pick->index = (uint32_t)index;
		result = pick_of(&zone->names[index], answered, pick);
	}
	for (uint32_t i = 0; index < 0 && i < zone->count; i++)
		if (is_below(zone->names[i].name, name))
			result = CTL_ZONE_ONLY_BELOW;
	pthread_mutex_unlock(&zone->lock);
	return result;
}

/* --- Changes --- */

/* The name with the lock held, or NULL without it. */
static struct ctl_zone_name *hold(struct ctl_zone *zone, uint32_t index)
{
	pthread_mutex_lock(&zone->lock);
	if (index < zone->count)
		return &zone->names[index];
	pthread_mutex_unlock(&zone->lock);
	return NULL;
}

static bool release(struct ctl_zone *zone, bool result)
{
	pthread_mutex_unlock(&zone->lock);
	return result;
}

bool ctl_zone_accepted(struct ctl_zone *zone, uint32_t index, int endpoint)
{
	struct ctl_zone_name *name = hold(zone, index);
	if (name == NULL)
		return false;
	ctl_route_accepted(&name->route, endpoint);
	return release(zone, endpoint >= 0 && (uint32_t)endpoint < name->route.count);
}

bool ctl_zone_switch_to(struct ctl_zone *zone, uint32_t index, uint32_t endpoint)
{
	struct ctl_zone_name *name = hold(zone, index);
	return name != NULL && release(zone, ctl_route_switch_to(&name->route, endpoint));
}

bool ctl_zone_set_offline(struct ctl_zone *zone, uint32_t index, uint32_t endpoint, bool offline)
{
	struct ctl_zone_name *name = hold(zone, index);
	return name != NULL &&
	       release(zone, ctl_route_set_offline(&name->route, endpoint, offline));
}

bool ctl_zone_set_weight(struct ctl_zone *zone, uint32_t index, uint32_t endpoint, uint32_t weight)
{
	struct ctl_zone_name *name = hold(zone, index);
	return name != NULL && release(zone, ctl_route_set_weight(&name->route, endpoint, weight));
}

bool ctl_zone_set_healthy(struct ctl_zone *zone, uint32_t index, uint32_t endpoint, bool healthy)
{
	struct ctl_zone_name *name = hold(zone, index);
	return name != NULL &&
	       release(zone, ctl_route_set_healthy(&name->route, endpoint, healthy));
}

bool ctl_zone_set_silent(struct ctl_zone *zone, uint32_t index, bool silent)
{
	struct ctl_zone_name *name = hold(zone, index);
	if (name == NULL)
		return false;
	name->is_silent = silent;
	return release(zone, true);
}

bool ctl_zone_set_address(
	struct ctl_zone *zone, uint32_t index, uint32_t endpoint, uint32_t address, uint16_t port
)
{
	struct ctl_zone_name *name = hold(zone, index);
	if (name == NULL)
		return false;
	bool good = endpoint < name->route.count && address != 0;
	if (good) {
		name->endpoints[endpoint].address = address;
		name->endpoints[endpoint].port = port;
	}
	return release(zone, good);
}
