/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The names of a zone: each stands for one of a few endpoints, by its policy (policy.h). What the
 * DNS answers from, and what operators and programs switch.
 *
 * Any thread may call any function: one lock guards the table, held for the time of a look only.
 * Names are relative to the zone ("pair1", "inbound-queue.1"), of letters, digits, '-' and '_'
 * between dots; capitals count as small letters. A name cannot be taken out again, so its index
 * stays what it is.
 */
#pragma once

#include "control/routing/policy.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#define CTL_ZONE_NAMES_MAX 64
#define CTL_ZONE_NAME_BYTES 64 /* with the final 0 */
#define CTL_ZONE_LABEL_BYTES 32
#define CTL_ZONE_TTL_MAX_S 86400
/* An unhealthy endpoint is named for want of a better one, maybe by a node that is cut off and
 * knows no better: no resolver keeps that longer, however long the TTL. */
#define CTL_ZONE_DOUBT_TTL_S 1

enum ctl_endpoint_kind {
	CTL_ENDPOINT_NODE,
	CTL_ENDPOINT_QUEUE,
	CTL_ENDPOINT_STREAM,
	CTL_ENDPOINT_API,
	CTL_ENDPOINT_KINDS,
};
const char *ctl_endpoint_kind_name(enum ctl_endpoint_kind kind);
const char *ctl_route_policy_name(enum ctl_route_policy policy);

struct ctl_zone_endpoint {
	char label[CTL_ZONE_LABEL_BYTES]; /* for people: a node's or a region's name; may be "" */
	uint32_t address;		  /* IPv4, host order; not 0 */
	uint16_t port;			  /* an A record does not tell it; for pick and status */
	uint64_t picked;		  /* counted here */
};

struct ctl_zone_name {
	char name[CTL_ZONE_NAME_BYTES];
	enum ctl_endpoint_kind kind;
	uint32_t ttl_s; /* 0 … CTL_ZONE_TTL_MAX_S; 0: no resolver keeps it */
	/* The owner calls ctl_zone_accepted; else alternate moves on with each answer. */
	bool reports_acceptance;
	bool is_followed; /* its health and choice follow a pair: nothing is switched by hand */
	bool is_silent;	  /* nothing is known: SERVFAIL, so that resolvers ask another server */
	struct ctl_route route; /* ctl_route_init: policy, count, seed */
	struct ctl_zone_endpoint endpoints[CTL_ROUTE_ENDPOINTS_MAX];
	uint64_t picked_unhealthy, picked_none, asked_silent; /* counted here */
};

struct ctl_zone {
	pthread_mutex_t lock;
	uint32_t count;
	struct ctl_zone_name names[CTL_ZONE_NAMES_MAX];
};

void ctl_zone_init(struct ctl_zone *zone);
void ctl_zone_destroy(struct ctl_zone *zone);

/* The index of the new name; -EINVAL: a name, policy, kind, TTL or address that cannot be; -EEXIST;
 * -ENOSPC. Counters begin at 0. */
int ctl_zone_add(struct ctl_zone *zone, const struct ctl_zone_name *name);
/* Index, or -ENOENT. */
int ctl_zone_find(struct ctl_zone *zone, const char *name);
/* A copy, with its counters; false: no such index. */
bool ctl_zone_look(struct ctl_zone *zone, uint32_t index, struct ctl_zone_name *copy);

enum ctl_zone_result {
	CTL_ZONE_PICKED,
	CTL_ZONE_NO_ENDPOINT, /* all are offline */
	CTL_ZONE_SILENT,
	CTL_ZONE_ONLY_BELOW, /* no such name, but one that ends in it: it exists, without records */
	CTL_ZONE_NO_NAME,
};
struct ctl_zone_pick {
	uint32_t index; /* of the name; also when no endpoint was picked */
	int endpoint;	/* or CTL_ROUTE_NONE */
	uint32_t address, ttl_s;
	uint16_t port;
	bool healthy;
};
/* Which endpoint the name stands for. answered: somebody is told: it is counted, and alternate
 * moves on unless the owner reports acceptance. */
enum ctl_zone_result
ctl_zone_pick(struct ctl_zone *zone, const char *name, bool answered, struct ctl_zone_pick *pick);

/* As the functions of policy.h; false: no such name or endpoint, or not for its policy. */
bool ctl_zone_accepted(struct ctl_zone *zone, uint32_t index, int endpoint);
bool ctl_zone_switch_to(struct ctl_zone *zone, uint32_t index, uint32_t endpoint);
bool ctl_zone_set_offline(struct ctl_zone *zone, uint32_t index, uint32_t endpoint, bool offline);
bool ctl_zone_set_weight(struct ctl_zone *zone, uint32_t index, uint32_t endpoint, uint32_t weight);
bool ctl_zone_set_healthy(struct ctl_zone *zone, uint32_t index, uint32_t endpoint, bool healthy);
bool ctl_zone_set_silent(struct ctl_zone *zone, uint32_t index, bool silent);
bool ctl_zone_set_address(
	struct ctl_zone *zone, uint32_t index, uint32_t endpoint, uint32_t address, uint16_t port
);
