/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Nodes by name. A pair's name is answered by the nodes' own name servers with the node that serves
 * (control/README.md), so a client that loses its node asks again. With a resolver of the caller's
 * choice the queries are our own (one A query over UDP, RFC 1035), and nothing waits for them;
 * without one the system's resolver is asked, which waits, and tells no TTL.
 *
 * Owner: who owns the client. Times are CLOCK_MONOTONIC ns. What comes from a name server is read
 * as strictly as a node's datagrams: only from the address that was asked, with the id and the
 * question of the query.
 */
#pragma once

#include "client/standfast.h"

#include <stddef.h>

#define CLI_LOOKUP_BYTES 512
#define CLI_HOST_BYTES 254 /* a name of DNS as text, with the final 0 */
#define CLI_MAX_RESOLVERS 4
#define CLI_LOOKUP_PATIENCE_NS 200000000ull /* for one server */
#define CLI_LOOKUP_PAUSE_NS 100000000ull    /* an answer is kept so long, whatever its TTL */
/* And not longer: who asks again has found the answer to be of no use, and a zone with a TTL of a
 * day would leave it alone for a day. */
#define CLI_LOOKUP_HOLD_MAX_NS 5000000000ull

/* ---- pure ---- */

/* An A query for name; its bytes, or 0: it is no name of DNS. */
size_t cli_lookup_write(uint8_t query[CLI_LOOKUP_BYTES], const char *name, uint16_t id);
/* The number of addresses in the answer to this query, at most room; *ttl_s: the lowest of them.
 * -ENOENT: there are none; -EAGAIN: the server could not say, or not in one datagram; -EBADMSG: it
 * is no answer to this query. */
int cli_lookup_read(
	const uint8_t *answer,
	size_t answer_bytes,
	const uint8_t *query,
	size_t query_bytes,
	uint8_t (*ips)[4],
	uint32_t room,
	uint32_t *ttl_s
);

/* ---- with sockets ---- */

struct cli_lookup {
	struct {
		char host[CLI_HOST_BYTES];
		uint16_t port;
	} names[CLI_MAX_NODES]; /* those of the nodes that are names */
	uint32_t name_count;
	struct cli_address resolvers[CLI_MAX_RESOLVERS];
	uint32_t resolver_count; /* 0: the system's */
	int fd;			 /* of the query that is under way; -1: none */
	uint32_t name;		 /* asked last */
	uint32_t resolver;	 /* to be asked next, or asked now */
	uint32_t turn;		 /* which of several addresses is given next */
	uint32_t failed_count;	 /* resolvers that gave no answer, in a row */
	uint64_t sent_ns;
	uint64_t next_ns; /* no query before: the last answer holds so long */
	uint8_t query[CLI_LOOKUP_BYTES];
	size_t query_bytes;
};

/* Reads "HOST[:PORT],…" and finds all addresses, waiting: 400 ms at most for each name and server,
 * or what the system's resolver takes. resolver: "HOST:PORT,…" as addresses; NULL or "": what
 * STANDFAST_RESOLVER in the environment says, else the system's. A name without an address now is
 * kept, and asked for later, when others have one. -EINVAL: cannot be read; -EHOSTUNREACH: there is
 * no address at all. */
int cli_lookup_open(
	struct cli_lookup *lookup,
	const char *nodes,
	const char *resolver,
	struct cli_address *found,
	uint32_t room,
	uint32_t *found_count
);
void cli_lookup_close(struct cli_lookup *lookup);

/* Without waiting (but for the system's resolver): begins a query when none is under way and the
 * last answer does not hold any more; takes the answer in. True with an address when one has come.
 * Whoever asks again was not helped: each query goes to the next server, which may know better (two
 * nodes that have lost each other differ), and of several addresses the next one is given. */
bool cli_lookup_step(struct cli_lookup *lookup, uint64_t now_ns, struct cli_address *found);
/* Nobody needs an answer any more: one that comes later is of the past. */
void cli_lookup_cancel(struct cli_lookup *lookup);
/* When cli_lookup_step is to be called again. */
uint64_t cli_lookup_expiry(const struct cli_lookup *lookup);
