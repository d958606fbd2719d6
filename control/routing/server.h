/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The name server: a responder (responder.h) behind UDP and TCP on one address and port, on a
 * thread of its own, so that neither a flood of queries nor a slow asker holds up anybody else.
 *
 * Everything is bounded: queries per second by source and in all (rate.h), datagrams per round, TCP
 * connections and their time. What is dropped is counted by reason. A source over its rate gets
 * every second time a truncated answer, so that a real asker in its name can come over TCP.
 *
 *   struct ctl_zone zone;                     the names; shared, thread-safe (zone.h)
 *   ctl_zone_init(&zone); ctl_zone_add(&zone, &name);
 *   ctl_name_server_start(&options, &server, error, sizeof(error));
 *   ctl_zone_set_offline(&zone, …);           at any time, from any thread
 *   ctl_name_server_stop(server); ctl_zone_destroy(&zone);
 */
#pragma once

#include "control/routing/responder.h"

#include <stddef.h>

#define CTL_SERVER_CONNECTIONS 32
#define CTL_SERVER_CONNECTIONS_OF_ONE 16 /* from one network of 256 addresses */
#define CTL_SERVER_QUERY_BYTES 1024	 /* of a query over TCP; a longer one ends the connection */
#define CTL_SERVER_PATIENCE_NS 2000000000ull /* for an asker over TCP to go on */
#define CTL_SERVER_QUERIES_MAX 64	     /* over one connection */

enum ctl_server_drop {
	CTL_SERVER_DATAGRAMS,	/* all that came, of which were dropped: */
	CTL_SERVER_SOURCE_OVER, /* dropped */
	CTL_SERVER_DEFERRED,	/* source over its rate: told to come over TCP */
	CTL_SERVER_ALL_OVER,	/* too many in all */
	CTL_SERVER_OVERSIZE,	/* a datagram longer than any query */
	CTL_SERVER_SEND_FAILED,
	CTL_SERVER_CONNECTS, /* all connections */
	CTL_SERVER_TCP_QUERIES,
	CTL_SERVER_TCP_EVICTED,	  /* for a newer one, when all places were taken */
	CTL_SERVER_TCP_LATE,	  /* out of patience */
	CTL_SERVER_TCP_BROKEN,	  /* a length that no query has, or the connection failed */
	CTL_SERVER_TCP_OVER,	  /* over the rate */
	CTL_SERVER_ACCEPT_FAILED, /* no descriptor or memory for a connection; pauses follow */
	CTL_SERVER_DROPS,
};
const char *ctl_server_drop_name(enum ctl_server_drop drop);

struct ctl_name_server_options {
	struct ctl_responder_options responder;
	uint32_t address;	     /* to listen on, host order; 0: all of this host */
	uint16_t port;		     /* 0: any; see ctl_name_server_port */
	uint64_t rate, rate_all;     /* queries a second by source and in all; 0: 1000 and 20000 */
	uint64_t tick_interval_ns;   /* 0: no ticks */
	void (*tick)(void *context); /* on the server's thread, about each interval */
	void *context;
};

struct ctl_name_server;

/* 0, or a negative errno with a sentence in error. */
int ctl_name_server_start(
	const struct ctl_name_server_options *options,
	struct ctl_name_server **server,
	char *error,
	size_t error_bytes
);
/* Ends the thread and everything; NULL is fine. The zone stays the caller's. */
void ctl_name_server_stop(struct ctl_name_server *server);

/* Any thread. */
uint16_t ctl_name_server_port(const struct ctl_name_server *server);
uint64_t ctl_name_server_count(const struct ctl_name_server *server, enum ctl_server_drop drop);
const struct ctl_responder *ctl_name_server_responder(const struct ctl_name_server *server);
