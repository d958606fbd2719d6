/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A program with a name server of its own, as control/routing/server.h says: two names, switched by
 * lines on standard input. For the tests of the server, and for its twin with deliberate bugs.
 *
 * name_server RATE RATE_ALL UDP_BYTES_MAX [CANARY]; CANARY any: no bug, but all addresses of the
 * host are listened on; prints the port; each line is answered by one: offline NAME ENDPOINT |
 * online NAME ENDPOINT | switch NAME ENDPOINT | accepted NAME ENDPOINT address NAME ENDPOINT NUMBER
 * its IPv4 address from then on, as a number counters           "name=count …" of all
 */
#include "control/routing/server.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LIFE_S 300

#ifdef CTL_NAMES_CANARIES
static const char *canary = "";
bool ctl_names_canary(const char *name)
{
	return strcmp(name, canary) == 0;
}
#endif

static int add(struct ctl_zone *zone, const char *text, enum ctl_route_policy policy, bool reports)
{
	struct ctl_zone_name name = {
		.kind = CTL_ENDPOINT_STREAM, .ttl_s = 0, .reports_acceptance = reports};
	snprintf(name.name, sizeof(name.name), "%s", text);
	ctl_route_init(&name.route, policy, 2, 1);
	for (uint32_t i = 0; i < 2; i++)
		name.endpoints[i] =
			(struct ctl_zone_endpoint){.address = 0x0a000001 + i, .port = 1};
	return ctl_zone_add(zone, &name);
}

static void print_counters(const struct ctl_name_server *server)
{
	for (int i = 0; i < CTL_SERVER_DROPS; i++)
		printf("%s=%" PRIu64 " ",
		       ctl_server_drop_name((enum ctl_server_drop)i),
		       ctl_name_server_count(server, (enum ctl_server_drop)i));
	for (int i = 0; i < CTL_DNS_REASONS; i++)
		printf("%s=%" PRIu64 " ",
		       ctl_dns_reason_name((enum ctl_dns_reason)i),
		       ctl_responder_count(
			       ctl_name_server_responder(server), (enum ctl_dns_reason)i
		       ));
	printf("truncated=%" PRIu64 "\n",
	       ctl_responder_truncated(ctl_name_server_responder(server)));
}

static bool obey(struct ctl_zone *zone, const char *line)
{
	char verb[16], name[64];
	unsigned endpoint, address = 0;
	if (sscanf(line, "%15s %63s %u %u", verb, name, &endpoint, &address) < 3)
		return false;
	int index = ctl_zone_find(zone, name);
	if (index < 0)
		return false;
	if (strcmp(verb, "switch") == 0)
		return ctl_zone_switch_to(zone, (uint32_t)index, endpoint);
	if (strcmp(verb, "accepted") == 0)
		return ctl_zone_accepted(zone, (uint32_t)index, (int)endpoint);
	if (strcmp(verb, "address") == 0)
		return ctl_zone_set_address(zone, (uint32_t)index, endpoint, address, 1);
	return ctl_zone_set_offline(zone, (uint32_t)index, endpoint, strcmp(verb, "offline") == 0);
}

int main(int argc, char **argv)
{
	static struct ctl_zone zone;
	struct ctl_name_server *server;
	char line[256], error[256];
	if (argc < 4)
		return 2;
#ifdef CTL_NAMES_CANARIES
	canary = argc > 4 ? argv[4] : "";
#endif
	alarm(LIFE_S);
	ctl_zone_init(&zone);
	if (add(&zone, "in-dns", CTL_ROUTE_FAILOVER, false) < 0 ||
	    add(&zone, "own", CTL_ROUTE_ALTERNATE, true) < 0)
		return 1;
	const struct ctl_name_server_options options = {
		.responder =
			{.origin = "region.test",
			 .zone = &zone,
			 .address = 0x7f000001,
			 .udp_bytes_max = (uint32_t)atoi(argv[3])},
		.address = argc > 4 && strcmp(argv[4], "any") == 0 ? 0 : 0x7f000001,
		.rate = strtoull(argv[1], NULL, 10),
		.rate_all = strtoull(argv[2], NULL, 10),
	};
	if (ctl_name_server_start(&options, &server, error, sizeof(error)) < 0) {
		fprintf(stderr, "%s\n", error);
		return 1;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	printf("%u\n", ctl_name_server_port(server));
	while (fgets(line, sizeof(line), stdin)) {
		if (strncmp(line, "counters", 8) == 0)
			print_counters(server);
		else
			puts(obey(&zone, line) ? "ok" : "no");
	}
	ctl_name_server_stop(server);
	ctl_zone_destroy(&zone);
	return 0;
}
