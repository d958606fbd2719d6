/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The DNS of a live run: control's name server with a zone of its own on a port of the loopback,
 * and the machine that stands for it in the chain. RESOLVE is a real query over UDP, whose A record
 * says the region (127.77.DNS.REGION); what a record's acceptance, a switch or a region taken
 * offline changes, is changed in the server's table of names. A RESOLVE that names a region asks
 * for that region's own name (1.out-dns), which is under no policy.
 *
 * A query that is not answered in time is sent again; after a few times RESOLVED says FAILED.
 */
#pragma once

#include "control/routing/server.h"
#include "tests/pipeline/live/runtime.h"

#define PL_LIVE_NAMES 2 /* in-DNS, out-DNS */
#define PL_LIVE_QUERIES 64

struct pl_query {
	uint64_t sent_ns;
	struct pl_message asked;
	uint16_t id;
	uint8_t name, region, tries;
	bool is_open;
};

struct pl_live_names {
	struct pl_runtime *runtime;
	struct ctl_zone zone;
	struct ctl_name_server *server;
	int fd;
	uint16_t next_id;
	uint32_t count;
	struct {
		struct pl_live_names *names;
		struct pl_params params;
		uint32_t index; /* in the zone */
	} machines[PL_LIVE_NAMES];
	struct pl_query queries[PL_LIVE_QUERIES];
	uint64_t queries_sent, repeated, failed, strange;
};

/* Server and socket. 0, or -errno and a sentence. */
int pl_live_names_start(struct pl_live_names *names, char *error, size_t bytes);
void pl_live_names_stop(struct pl_live_names *names);
/* Each run begins with a table as in the architecture; the machines go on this thread. */
int pl_live_names_place(
	struct pl_live_names *names,
	struct pl_runtime *runtime,
	const struct pl_topology *topology,
	uint32_t thread
);

extern const struct pl_kind pl_live_dns;
