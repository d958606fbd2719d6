/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Which endpoint a name stands for: the routing policies, one implementation for control's DNS, for
 * clients of a pair and for the pipelines.
 *
 *   failover   the first endpoint while it is healthy and not switched away from, else the second;
 *              when neither is healthy: the first, and it shows (Route 53's failover records)
 *   alternate  strictly one after the other, moving on only when the record was accepted; an
 *              endpoint that is offline gets nothing
 *   weighted   at random by weight; weight 0 only when all others are unhealthy; when all are
 *              unhealthy, all count as healthy (Route 53's rules); offline is weight 0 and more: it
 *              is never picked
 *
 * Pure: no I/O, no clock, no allocation; randomness is a seed given at the start, so the same calls
 * give the same picks. A struct ctl_route has no pointers and may be copied as bytes.
 * Times are nanoseconds of any one monotonic clock. One thread at a time per object.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define CTL_ROUTE_ENDPOINTS_MAX 8
#define CTL_ROUTE_NONE (-1)

enum ctl_route_policy {
	CTL_ROUTE_FAILOVER,
	CTL_ROUTE_ALTERNATE,
	CTL_ROUTE_WEIGHTED,
	CTL_ROUTE_POLICIES,
};

struct ctl_route_endpoint {
	uint32_t weight; /* of CTL_ROUTE_WEIGHTED; 1 at first */
	bool healthy;	 /* true at first */
	bool offline;	 /* by hand; false at first */
};

struct ctl_route {
	uint64_t random; /* state of the generator */
	enum ctl_route_policy policy;
	uint32_t count;
	uint32_t turn;	    /* alternate: whose turn it is */
	uint32_t preferred; /* failover: the primary endpoint; a switch by hand moves it */
	struct ctl_route_endpoint endpoints[CTL_ROUTE_ENDPOINTS_MAX];
};

/* Returns false, and leaves *route as it was, unless 1 <= count <= CTL_ROUTE_ENDPOINTS_MAX
 * (failover: 1 or 2) and the policy is one of the above. */
bool ctl_route_init(
	struct ctl_route *route, enum ctl_route_policy policy, uint32_t count, uint64_t seed
);

/* The endpoint that the name stands for now, or CTL_ROUTE_NONE when all are offline. Only weighted
 * draws, and so changes *route; the others give the same answer again until something changes. */
int ctl_route_pick(struct ctl_route *route);
/* A record that was sent to a picked endpoint was accepted: alternate moves on to the one after it.
 * Nothing for other policies and for an index out of range. */
void ctl_route_accepted(struct ctl_route *route, int index);

/* By hand. Out of range: false and no change. */
bool ctl_route_switch_to(struct ctl_route *route, uint32_t index); /* failover only */
bool ctl_route_set_offline(struct ctl_route *route, uint32_t index, bool offline);
bool ctl_route_set_weight(struct ctl_route *route, uint32_t index, uint32_t weight);
/* From health (below). */
bool ctl_route_set_healthy(struct ctl_route *route, uint32_t index, bool healthy);

/* Health of one endpoint: what is looked at each interval, with thresholds in time, so that neither
 * one bad look nor one good one turns it. */
struct ctl_health {
	uint64_t since_ns; /* of the first look of the run that disagrees with `healthy` */
	uint64_t fall_ns;  /* bad for so long without a good look between: unhealthy; 0: at once */
	uint64_t rise_ns;  /* good for so long: healthy; 0: at once */
	bool healthy;
	bool disagrees;
};
void ctl_health_init(struct ctl_health *health, bool healthy, uint64_t fall_ns, uint64_t rise_ns);
/* Returns true when `healthy` has changed. */
bool ctl_health_look(struct ctl_health *health, bool good, uint64_t now_ns);
