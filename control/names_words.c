/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What an operator asks of the name server, and is told.
 */
#include "config/devices.h"
#include "config/exit_codes.h"
#include "control/names.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define MAX_WORDS 4
#define WORDS_BYTES 256
#define ENDPOINT_BYTES 32

struct question {
	struct ctl_names *names;
	char *words[MAX_WORDS];
	uint32_t count;
	uint32_t index; /* of the name */
	struct ctl_zone_name name;
	int code;
	char *error;
	size_t error_bytes;
};

__attribute__((format(printf, 3, 4))) static json_t *
deny(struct question *q, int code, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(q->error, q->error_bytes, format, arguments);
	va_end(arguments);
	q->code = code;
	return NULL;
}

static void set(json_t *tree, const char *key, uint64_t value)
{
	json_object_set_new(tree, key, json_integer((json_int_t)value));
}

static void set_text(json_t *tree, const char *key, const char *value)
{
	json_object_set_new(tree, key, json_string(value));
}

/* --- Trees --- */

static void set_address(json_t *tree, uint32_t address, uint16_t port)
{
	char text[ENDPOINT_BYTES];
	cfg_format_ipv4(address, text, sizeof(text));
	set_text(tree, "address", text);
	set(tree, "port", port);
}

static void set_full_name(json_t *tree, const struct ctl_names *names, const char *name)
{
	char text[CTL_ZONE_NAME_BYTES + CTL_DNS_ORIGIN_BYTES + 1];
	snprintf(text, sizeof(text), "%s.%s", name, names->settings->routing.zone);
	set_text(tree, "name", text);
}

static json_t *endpoint_build(const struct ctl_zone_name *name, uint32_t index)
{
	const struct ctl_route_endpoint *route = &name->route.endpoints[index];
	json_t *tree = json_object();
	set(tree, "number", index + 1);
	set_text(tree, "label", name->endpoints[index].label);
	set_address(tree, name->endpoints[index].address, name->endpoints[index].port);
	json_object_set_new(
		tree, "healthy", name->is_silent ? json_null() : json_boolean(route->healthy)
	);
	json_object_set_new(tree, "offline", json_boolean(route->offline));
	set(tree, "weight", route->weight);
	set(tree, "picked", name->endpoints[index].picked);
	return tree;
}

/* Who is answered now; null: nobody. Drawn at random for weighted, so not told there. */
static json_t *answer_build(const struct ctl_zone_name *name)
{
	struct ctl_route route = name->route;
	int pick = name->is_silent ? CTL_ROUTE_NONE : ctl_route_pick(&route);
	if (pick == CTL_ROUTE_NONE || route.policy == CTL_ROUTE_WEIGHTED)
		return json_null();
	return json_integer(pick + 1);
}

static json_t *name_build(const struct ctl_names *names, const struct ctl_zone_name *name)
{
	json_t *tree = json_object(), *endpoints = json_array();
	set_full_name(tree, names, name->name);
	set_text(tree, "policy", ctl_route_policy_name(name->route.policy));
	set_text(tree, "kind", ctl_endpoint_kind_name(name->kind));
	set(tree, "ttl_s", name->ttl_s);
	json_object_set_new(tree, "follows_pair", json_boolean(name->is_followed));
	json_object_set_new(tree, "known", json_boolean(!name->is_silent));
	json_object_set_new(tree, "answer", answer_build(name));
	for (uint32_t i = 0; i < name->route.count; i++)
		json_array_append_new(endpoints, endpoint_build(name, i));
	json_object_set_new(tree, "endpoints", endpoints);
	set(tree, "picked_unhealthy", name->picked_unhealthy);
	set(tree, "picked_none", name->picked_none);
	set(tree, "asked_unknown", name->asked_silent);
	return tree;
}

static json_t *counters_build(const struct ctl_name_server *server)
{
	const struct ctl_responder *responder = ctl_name_server_responder(server);
	json_t *tree = json_object(), *sockets = json_object(), *answers = json_object();
	for (int i = 0; i < CTL_SERVER_DROPS; i++)
		set(sockets,
		    ctl_server_drop_name((enum ctl_server_drop)i),
		    ctl_name_server_count(server, (enum ctl_server_drop)i));
	for (int i = 0; i < CTL_DNS_REASONS; i++)
		set(answers,
		    ctl_dns_reason_name((enum ctl_dns_reason)i),
		    ctl_responder_count(responder, (enum ctl_dns_reason)i));
	set(answers, "truncated", ctl_responder_truncated(responder));
	json_object_set_new(tree, "sockets", sockets);
	json_object_set_new(tree, "answers", answers);
	return tree;
}

/* --- Words --- */

/* With or without the zone and its last dot. */
static bool find_name(struct question *q, const char *text)
{
	char name[WORDS_BYTES];
	const char *zone = q->names->settings->routing.zone;
	snprintf(name, sizeof(name), "%s", text);
	size_t bytes = strlen(name), tail = strlen(zone);
	if (bytes > 0 && name[bytes - 1] == '.')
		name[--bytes] = 0;
	if (bytes > tail + 1 && name[bytes - tail - 1] == '.' &&
	    strcasecmp(name + bytes - tail, zone) == 0)
		name[bytes - tail - 1] = 0;
	int index = ctl_zone_find(&q->names->zone, name);
	if (index >= 0 && ctl_zone_look(&q->names->zone, (uint32_t)index, &q->name)) {
		q->index = (uint32_t)index;
		return true;
	}
	deny(q, SF_EXIT_FAILED, "no name \"%.128s\" in the zone %s", text, zone);
	return false;
}

static bool find_endpoint(struct question *q, const char *text, uint32_t *endpoint)
{
	for (uint32_t i = 0; i < q->name.route.count; i++) {
		const struct ctl_zone_endpoint *one = &q->name.endpoints[i];
		char number[ENDPOINT_BYTES], address[ENDPOINT_BYTES], whole[2 * ENDPOINT_BYTES];
		snprintf(number, sizeof(number), "%u", i + 1);
		cfg_format_ipv4(one->address, address, sizeof(address));
		snprintf(whole, sizeof(whole), "%s:%u", address, one->port);
		*endpoint = i;
		if (strcmp(text, number) == 0 || strcmp(text, whole) == 0 ||
		    strcmp(text, address) == 0 || (one->label[0] && strcmp(text, one->label) == 0))
			return true;
	}
	deny(q, SF_EXIT_FAILED, "%s has no endpoint \"%.128s\"", q->name.name, text);
	return false;
}

static json_t *take_pick(struct question *q)
{
	struct ctl_zone_pick pick;
	if (!find_name(q, q->words[1]))
		return NULL;
	switch (ctl_zone_pick(&q->names->zone, q->name.name, false, &pick)) {
	case CTL_ZONE_PICKED:
		break;
	case CTL_ZONE_SILENT:
		return deny(
			q,
			SF_EXIT_FAILED,
			"this node does not run, so its control does not know who serves; ask the "
			"other node's"
		);
	default:
		return deny(q, SF_EXIT_FAILED, "all endpoints of %s are offline", q->name.name);
	}
	json_t *tree = json_object();
	set_full_name(tree, q->names, q->name.name);
	set_text(tree, "label", q->name.endpoints[pick.endpoint].label);
	set(tree, "number", (uint64_t)pick.endpoint + 1);
	set_address(tree, pick.address, pick.port);
	json_object_set_new(tree, "healthy", json_boolean(pick.healthy));
	set(tree, "ttl_s", pick.ttl_s);
	return tree;
}

static json_t *take_status(struct question *q)
{
	const struct cfg_settings *settings = q->names->settings;
	if (q->count > 1 && !find_name(q, q->words[1]))
		return NULL;
	json_t *tree = json_object(), *list = json_array();
	set_text(tree, "zone", settings->routing.zone);
	set_address(tree, settings->routing.address, ctl_name_server_port(q->names->server));
	struct ctl_zone_name name;
	for (uint32_t i = 0; ctl_zone_look(&q->names->zone, i, &name); i++)
		if (q->count == 1 || i == q->index)
			json_array_append_new(list, name_build(q->names, &name));
	json_object_set_new(tree, "names", list);
	json_object_set_new(tree, "counters", counters_build(q->names->server));
	return tree;
}

static json_t *take_change(struct question *q)
{
	struct ctl_zone *zone = &q->names->zone;
	const char *verb = q->words[0];
	uint32_t endpoint;
	bool good;
	if (!find_name(q, q->words[1]) || !find_endpoint(q, q->words[2], &endpoint))
		return NULL;
	if (q->name.is_followed)
		return deny(
			q,
			SF_EXIT_REFUSED,
			"%s follows its pair: standfast switchover moves it",
			q->name.name
		);
	if (strcmp(verb, "switch") == 0) {
		good = ctl_zone_switch_to(zone, q->index, endpoint);
	} else if (strcmp(verb, "weight") == 0) {
		char *end;
		unsigned long weight = strtoul(q->words[3], &end, 10);
		if (q->words[3][0] < '0' || q->words[3][0] > '9' || *end || weight > UINT32_MAX)
			return deny(q, SF_EXIT_USAGE, "\"%.64s\" is no weight", q->words[3]);
		good = q->name.route.policy == CTL_ROUTE_WEIGHTED &&
		       ctl_zone_set_weight(zone, q->index, endpoint, (uint32_t)weight);
	} else {
		good = ctl_zone_set_offline(zone, q->index, endpoint, strcmp(verb, "offline") == 0);
	}
	if (!good)
		return deny(
			q,
			SF_EXIT_FAILED,
			"%s is for the policy %s; %s is %s",
			verb,
			strcmp(verb, "weight") == 0 ? "weighted" : "failover",
			q->name.name,
			ctl_route_policy_name(q->name.route.policy)
		);
	ctl_zone_look(zone, q->index, &q->name);
	return name_build(q->names, &q->name);
}

json_t *ctl_names_take(
	struct ctl_names *names, const char *words, int *code, char *error, size_t error_bytes
)
{
	static const struct {
		const char *word;
		uint32_t least, most;
		json_t *(*take)(struct question *q);
	} verbs[] = {
		{"pick", 2, 2, take_pick},
		{"status", 1, 2, take_status},
		{"switch", 3, 3, take_change},
		{"offline", 3, 3, take_change},
		{"online", 3, 3, take_change},
		{"weight", 4, 4, take_change},
	};
	struct question q = {.names = names, .error = error, .error_bytes = error_bytes};
	char copy[WORDS_BYTES], *rest = NULL;
	json_t *tree = NULL;
	snprintf(copy, sizeof(copy), "%s", words);
	char *word = strtok_r(copy, " ", &rest);
	for (; word && q.count < MAX_WORDS; word = strtok_r(NULL, " ", &rest))
		q.words[q.count++] = word;
	deny(&q, SF_EXIT_USAGE, "route pick|status|switch|offline|online|weight NAME …");
	for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++) {
		if (q.count == 0 || word || strcmp(q.words[0], verbs[i].word) != 0 ||
		    q.count < verbs[i].least || q.count > verbs[i].most)
			continue;
		if (names->server)
			tree = verbs[i].take(&q);
		else if (names->why[0])
			deny(&q,
			     SF_EXIT_FAILED,
			     "no name server runs here%s: %s",
			     names->settings ? " yet, it is tried again" : "",
			     names->why);
		else
			deny(&q,
			     SF_EXIT_FAILED,
			     "no name server runs here: routing.enabled is \"off\"");
	}
	*code = q.code;
	return tree;
}
