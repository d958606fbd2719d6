/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A name of the zone as a line of text: "NAME POLICY KIND ADDRESS:PORT[*WEIGHT] …", such as
 * "orders weighted api 10.0.0.1:8080*3 10.0.0.2:8080". Names are relative to routing.zone.
 */
#pragma once

#include <stdint.h>

#define CFG_ROUTE_ENDPOINTS 8
#define CFG_ROUTE_NAME_BYTES 64

enum cfg_route_policy { CFG_ROUTE_FAILOVER, CFG_ROUTE_ALTERNATE, CFG_ROUTE_WEIGHTED };
enum cfg_route_kind { CFG_ROUTE_NODE, CFG_ROUTE_QUEUE, CFG_ROUTE_STREAM, CFG_ROUTE_API };

struct cfg_route {
	char name[CFG_ROUTE_NAME_BYTES];
	enum cfg_route_policy policy;
	enum cfg_route_kind kind;
	uint32_t endpoint_count;
	struct {
		uint32_t address; /* IPv4, host order */
		uint16_t port;
		uint32_t weight;
	} endpoints[CFG_ROUTE_ENDPOINTS];
};

/* NULL, or the part of a sentence that says what is wrong; then *route is undefined. */
const char *cfg_parse_route(const char *text, struct cfg_route *route);

/* A name of DNS, one label or several: letters, digits, '-' and '_' between dots, labels of at most
 * 63, all below 64 characters. NULL, or what is wrong. */
const char *cfg_parse_domain(const char *text);
