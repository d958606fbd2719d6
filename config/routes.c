/* SPDX-License-Identifier: BSD-3-Clause */
#include "config/routes.h"

#include "config/devices.h"
#include "config/settings.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

const char *cfg_parse_domain(const char *text)
{
	size_t label = 0;

	if (strlen(text) >= CFG_ROUTE_NAME_BYTES)
		return "is longer than 63 characters";
	for (const char *at = text; *at; at++) {
		bool good = (*at >= 'a' && *at <= 'z') || (*at >= 'A' && *at <= 'Z') ||
			    (*at >= '0' && *at <= '9') || *at == '-' || *at == '_';
		if (*at == '.' && label == 0)
			return "has an empty label";
		if (*at != '.' && !good)
			return "has a character that names do not have";
		label = *at == '.' ? 0 : label + 1;
	}
	return label == 0 ? "has an empty label" : NULL;
}

/* Which of the words it is, or -1. */
static int find_word(const char *text, const char *const *words, int count)
{
	for (int i = 0; i < count; i++)
		if (strcmp(text, words[i]) == 0)
			return i;
	return -1;
}

static bool parse_number(const char *text, uint64_t least, uint64_t most, uint64_t *value)
{
	char *end;

	if (*text < '0' || *text > '9')
		return false;
	errno = 0;
	*value = strtoull(text, &end, 10);
	return errno == 0 && *end == 0 && *value >= least && *value <= most;
}

/* Cuts the text. */
static const char *parse_endpoint(char *text, struct cfg_route *route)
{
	uint32_t index = route->endpoint_count;
	uint64_t port = 0, weight = 1;
	char *star = strchr(text, '*');

	if (index == CFG_ROUTE_ENDPOINTS)
		return "has more than 8 endpoints";
	if (star)
		*star++ = 0;
	char *colon = strchr(text, ':');
	if (!colon)
		return "has an endpoint that is not ADDRESS:PORT";
	*colon++ = 0;
	if (cfg_parse_ipv4(text, &route->endpoints[index].address))
		return "has an endpoint whose address is no IPv4 address";
	if (!parse_number(colon, 1, 65535, &port))
		return "has an endpoint whose port is not 1 to 65535";
	if (star && !parse_number(star, 0, UINT32_MAX, &weight))
		return "has an endpoint whose weight is no number";
	if (star && route->policy != CFG_ROUTE_WEIGHTED)
		return "has weights, which are for the policy weighted";
	route->endpoints[index].port = (uint16_t)port;
	route->endpoints[index].weight = (uint32_t)weight;
	route->endpoint_count++;
	return NULL;
}

const char *cfg_parse_route(const char *text, struct cfg_route *route)
{
	static const char *const policies[] = {"failover", "alternate", "weighted"};
	static const char *const kinds[] = {"node", "queue", "stream", "api"};
	char copy[CFG_TEXT_BYTES], *rest = copy;

	*route = (struct cfg_route){.endpoint_count = 0};
	if (strlen(text) >= sizeof(copy))
		return "is longer than 255 characters";
	strcpy(copy, text);
	char *name = strtok_r(copy, " ", &rest);
	char *policy = strtok_r(NULL, " ", &rest);
	char *kind = strtok_r(NULL, " ", &rest);
	if (!kind)
		return "is not NAME POLICY KIND ADDRESS:PORT …";
	const char *wrong = cfg_parse_domain(name);
	if (wrong)
		return wrong;
	int which = find_word(policy, policies, 3), what = find_word(kind, kinds, 4);
	if (which < 0)
		return "has a policy that is not failover, alternate or weighted";
	if (what < 0)
		return "has a kind that is not node, queue, stream or api";
	strcpy(route->name, name);
	route->policy = (enum cfg_route_policy)which;
	route->kind = (enum cfg_route_kind)what;
	for (char *one; (one = strtok_r(NULL, " ", &rest)) != NULL;)
		if ((wrong = parse_endpoint(one, route)) != NULL)
			return wrong;
	if (route->endpoint_count == 0)
		return "has no endpoint";
	if (route->policy == CFG_ROUTE_FAILOVER && route->endpoint_count > 2)
		return "has more than the two endpoints of failover";
	return NULL;
}
