/* SPDX-License-Identifier: BSD-3-Clause
 *
 * An authoritative DNS responder: the bytes of a query in, the bytes of an answer out, no sockets
 * (RFC 1035, 2308, 6891, 8482). One zone, whose names are those of a struct ctl_zone; each has one
 * A record, the endpoint that it stands for at this moment.
 *
 *   a name, type A or ANY        its address, TTL as configured (unhealthy: 1 s at most), AA
 *   a name, any other type       NODATA: no record, the zone's SOA
 *   all endpoints offline        the same
 *   nothing is known about it    SERVFAIL: resolvers ask the zone's other server
 *   no such name in the zone     NXDOMAIN with SOA
 *   the zone itself              SOA, NS; ns.ZONE has the server's own address, if it is given
 *   outside the zone, a transfer, a class that is not IN     REFUSED
 *   another opcode               NOTIMP; a query that cannot be read: FORMERR (12 bytes each)
 *   EDNS above version 0         BADVERS
 *   an answer, or less than a header: silence, so that two servers cannot answer each other
 *
 * The question is echoed as it was spelled (0x20), RD and the OPT record too. Nothing is looked up
 * elsewhere. Amplification: over UDP an answer has at most CTL_DNS_GROWTH_BYTES more than its
 * query; whatever would be longer, or longer than the asker takes, goes out truncated (TC) and
 * empty, which is never longer than the query, and the asker comes again over TCP.
 *
 * Owner: one thread per responder; the counters may be read by any.
 */
#pragma once

#include "control/routing/zone.h"

#include <stddef.h>
#include <stdint.h>

#define CTL_DNS_ORIGIN_BYTES 128  /* the zone's name as text, with the final 0 */
#define CTL_DNS_ANSWER_BYTES 1232 /* no answer is longer; the size that EDNS is told */
#define CTL_DNS_GROWTH_BYTES 64
#define CTL_DNS_HEADER_BYTES 12

enum ctl_dns_reason {
	CTL_DNS_QUERIES, /* all, of which: */
	CTL_DNS_ANSWERED,
	CTL_DNS_APEX, /* SOA, NS, and the server's own address */
	CTL_DNS_NODATA,
	CTL_DNS_NO_ENDPOINT, /* NODATA because all are offline */
	CTL_DNS_UNKNOWN_NAME,
	CTL_DNS_SILENT_NAME, /* SERVFAIL */
	CTL_DNS_REFUSED,
	CTL_DNS_BAD_VERSION,
	CTL_DNS_NOT_IMPLEMENTED,
	CTL_DNS_MALFORMED,
	CTL_DNS_TOO_SHORT,     /* no answer */
	CTL_DNS_NO_QUERY,      /* no answer: QR was set */
	CTL_DNS_OUT_OF_MEMORY, /* no answer */
	CTL_DNS_REASONS,       /* how many there are */
};
const char *ctl_dns_reason_name(enum ctl_dns_reason reason);

struct ctl_responder_options {
	const char *origin;	/* "standfast.test" */
	struct ctl_zone *zone;	/* stays the caller's */
	uint32_t ttl_s;		/* of SOA and NS, and of what is not there */
	uint32_t serial;	/* of the SOA */
	uint32_t address;	/* of ns.ZONE, host order; 0: it has none */
	uint32_t udp_bytes_max; /* 0: CTL_DNS_ANSWER_BYTES; for tests of truncation */
};

/* Deliberate bugs that the tests must notice, compiled into a twin of the tests' program only. */
#ifdef CTL_NAMES_CANARIES
bool ctl_names_canary(const char *name);
#else
#define ctl_names_canary(name) false
#endif

struct ctl_responder;

/* -EINVAL: the origin is no name, or an option is out of range; -ENOMEM. */
int ctl_responder_create(
	struct ctl_responder **responder, const struct ctl_responder_options *options
);
void ctl_responder_destroy(struct ctl_responder *responder);

/* The bytes of the answer, 0: none is given. */
size_t ctl_responder_answer(
	struct ctl_responder *responder,
	const uint8_t *query,
	size_t query_bytes,
	bool is_tcp,
	uint8_t answer[CTL_DNS_ANSWER_BYTES]
);

/* For a source that asks too often: truncated, without looking at more than the header and the
 * length of the question; a real asker comes again over TCP. Never longer than the query; 0: none.
 */
size_t
ctl_responder_defer(const uint8_t *query, size_t query_bytes, uint8_t answer[CTL_DNS_ANSWER_BYTES]);

uint64_t ctl_responder_count(const struct ctl_responder *responder, enum ctl_dns_reason reason);
uint64_t ctl_responder_truncated(const struct ctl_responder *responder);
