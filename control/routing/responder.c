/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/routing/responder.h"

#include "config/check.h"

#include <errno.h>
#include <ldns/ldns.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define UDP_BYTES 512 /* that every asker takes */
#define NAME_BYTES 255
#define LABEL_BYTES 63
#define FLAG_QR 0x80
#define FLAG_TC 0x02
#define FLAG_RD 0x01
#define MAX_EXTRA_RECORDS 2 /* OPT, and one of a signature */
#define SOA_REFRESH_S 3600
#define SOA_RETRY_S 600
#define SOA_EXPIRE_S 86400

STATIC_CHECK(
	CTL_DNS_HEADER_BYTES + NAME_BYTES + 4 + 11 + CTL_DNS_GROWTH_BYTES <= CTL_DNS_ANSWER_BYTES,
	"the longest question has room for its answer"
);

struct ctl_responder {
	struct ctl_zone *zone;
	ldns_rdf *origin, *server, *mailbox; /* ZONE, ns.ZONE, hostmaster.ZONE */
	uint8_t origin_wire[NAME_BYTES];     /* in small letters */
	size_t origin_bytes;
	uint32_t ttl_s, serial, address, udp_bytes_max;
	uint64_t counts[CTL_DNS_REASONS];
	uint64_t truncated;
};

const char *ctl_dns_reason_name(enum ctl_dns_reason reason)
{
	static const char *const names[CTL_DNS_REASONS] = {
		"queries",
		"answered",
		"apex",
		"nodata",
		"no_endpoint",
		"unknown_name",
		"silent_name",
		"refused",
		"bad_version",
		"not_implemented",
		"malformed",
		"too_short",
		"no_query",
		"out_of_memory",
	};
	return reason < CTL_DNS_REASONS ? names[reason] : "unknown";
}

static void count(struct ctl_responder *r, enum ctl_dns_reason reason)
{
	/* Relaxed: numbers for people, which order nothing. */
	__atomic_fetch_add(&r->counts[reason], 1, __ATOMIC_RELAXED);
}

uint64_t ctl_responder_count(const struct ctl_responder *responder, enum ctl_dns_reason reason)
{
	return __atomic_load_n(&responder->counts[reason], __ATOMIC_RELAXED);
}

uint64_t ctl_responder_truncated(const struct ctl_responder *responder)
{
	return __atomic_load_n(&responder->truncated, __ATOMIC_RELAXED);
}

/* --- Making --- */

static ldns_rdf *make_name(const char *first, const char *origin)
{
	char text[CTL_DNS_ORIGIN_BYTES + 16];
	snprintf(text, sizeof(text), "%s%s%s", first, *first ? "." : "", origin);
	return ldns_dname_new_frm_str(text);
}

int ctl_responder_create(
	struct ctl_responder **responder, const struct ctl_responder_options *options
)
{
	*responder = NULL;
	if (options->zone == NULL || strlen(options->origin) >= CTL_DNS_ORIGIN_BYTES ||
	    options->ttl_s > CTL_ZONE_TTL_MAX_S || options->udp_bytes_max > CTL_DNS_ANSWER_BYTES)
		return -EINVAL;
	struct ctl_responder *r = calloc(1, sizeof(*r));
	if (r == NULL)
		return -ENOMEM;
	r->zone = options->zone;
	r->ttl_s = options->ttl_s;
	r->serial = options->serial;
	r->address = options->address;
	r->udp_bytes_max = options->udp_bytes_max ? options->udp_bytes_max : CTL_DNS_ANSWER_BYTES;
	r->origin = make_name("", options->origin);
	r->server = make_name("ns", options->origin);
	r->mailbox = make_name("hostmaster", options->origin);
	/* The root is nobody's zone here. */
	if (!r->origin || !r->server || !r->mailbox || ldns_rdf_size(r->origin) < 3) {
		ctl_responder_destroy(r);
		return -EINVAL;
	}
	ldns_dname2canonical(r->origin);
	r->origin_bytes = ldns_rdf_size(r->origin);
	memcpy(r->origin_wire, ldns_rdf_data(r->origin), r->origin_bytes);
	*responder = r;
	return 0;
}

void ctl_responder_destroy(struct ctl_responder *responder)
{
	if (responder == NULL)
		return;
	ldns_rdf_deep_free(responder->origin);
	ldns_rdf_deep_free(responder->server);
	ldns_rdf_deep_free(responder->mailbox);
	free(responder);
}

/* --- Reading --- */

/* The bytes of header and question, when there is one question with its name written out; else 0. A
 * name that is compressed into the header would come out longer than it came in. */
static size_t question_end(const uint8_t *query, size_t bytes)
{
	size_t at = CTL_DNS_HEADER_BYTES;
	if (bytes < at || query[4] != 0 || query[5] != 1)
		return 0;
	while (at < bytes && query[at] != 0) {
		if (query[at] > LABEL_BYTES)
			return 0;
		at += 1u + query[at];
	}
	if (at + 5 > bytes || at + 1 - CTL_DNS_HEADER_BYTES > NAME_BYTES)
		return 0;
	return at + 5;
}

/* Behind question_end: one OPT at most, and that of the root (RFC 6891, 6.1.1), which the library
 * takes without a look. False for what does not end, too. */
static bool extra_records_are_good(const uint8_t *query, size_t bytes, size_t at)
{
	uint32_t opt_count = 0;
	for (uint32_t left = ldns_read_uint16(query + 10); left > 0; left--) {
		size_t begin = at;
		while (at < bytes && query[at] > 0 && query[at] <= LABEL_BYTES)
			at += 1u + query[at];
		/* A pointer ends a name; where it leads is for the library to follow. */
		at += at < bytes && query[at] != 0 ? 2 : 1;
		if (at + 10 > bytes)
			return false;
		if (ldns_read_uint16(query + at) == LDNS_RR_TYPE_OPT &&
		    (opt_count++ > 0 || query[begin] != 0))
			return false;
		at += 10u + ldns_read_uint16(query + at + 8);
	}
	return at <= bytes;
}

static uint8_t small(uint8_t c)
{
	return c >= 'A' && c <= 'Z' ? (uint8_t)(c - 'A' + 'a') : c;
}

static bool ends_in(const uint8_t *name, size_t bytes, const struct ctl_responder *r)
{
	if (bytes != r->origin_bytes)
		return false;
	for (size_t i = 0; i < bytes; i++)
		if (small(name[i]) != r->origin_wire[i])
			return false;
	return true;
}

enum place { OUTSIDE, APEX, INSIDE };

/* Where the asked name is. INSIDE: its relative name as text, or "" when no name of ours can be
 * like that (too long, or with a byte that names do not have). */
static enum place
place_of(const struct ctl_responder *r, const uint8_t *name, char text[CTL_ZONE_NAME_BYTES])
{
	size_t bytes = 1, used = 0;
	bool fits = true;
	for (size_t at = 0; name[at] != 0; at += 1u + name[at])
		bytes += 1u + name[at];
	*text = 0;
	for (size_t at = 0;; at += 1u + name[at]) {
		if (ends_in(name + at, bytes - at, r)) {
			text[fits ? used : 0] = 0;
			return at == 0 ? APEX : INSIDE;
		}
		if (name[at] == 0)
			return OUTSIDE;
		size_t length = name[at], dot = at > 0;
		if (used + dot + length >= CTL_ZONE_NAME_BYTES ||
		    memchr(name + at + 1, '.', length) != NULL ||
		    memchr(name + at + 1, 0, length) != NULL)
			fits = false;
		if (!fits)
			continue;
		if (dot)
			text[used++] = '.';
		memcpy(text + used, name + at + 1, length);
		used += length;
	}
}

/* --- Records --- */

static bool push(ldns_rr *rr, ldns_rdf *rdf)
{
	return rdf != NULL && ldns_rr_push_rdf(rr, rdf);
}

static ldns_rr *make_record(const ldns_rdf *owner, ldns_rr_type type, uint32_t ttl_s)
{
	ldns_rr *rr = ldns_rr_new();
	ldns_rdf *copy = ldns_rdf_clone(owner);
	if (rr == NULL || copy == NULL) {
		ldns_rr_free(rr);
		ldns_rdf_deep_free(copy);
		return NULL;
	}
	ldns_rr_set_owner(rr, copy);
	ldns_rr_set_type(rr, type);
	ldns_rr_set_class(rr, LDNS_RR_CLASS_IN);
	ldns_rr_set_ttl(rr, ttl_s);
	return rr;
}

static bool add(ldns_pkt *answer, ldns_pkt_section section, ldns_rr *rr, bool complete)
{
	if (rr != NULL && complete && ldns_pkt_push_rr(answer, section, rr))
		return true;
	ldns_rr_free(rr);
	return false;
}

static bool add_address(
	ldns_pkt *answer,
	ldns_pkt_section section,
	const ldns_rdf *owner,
	uint32_t ttl_s,
	uint32_t address
)
{
	uint8_t bytes[4];
	ldns_write_uint32(bytes, address);
	ldns_rr *rr = make_record(owner, LDNS_RR_TYPE_A, ttl_s);
	return add(
		answer,
		section,
		rr,
		rr != NULL && push(rr, ldns_rdf_new_frm_data(LDNS_RDF_TYPE_A, 4, bytes))
	);
}

static bool add_soa(const struct ctl_responder *r, ldns_pkt *answer, ldns_pkt_section section)
{
	const uint32_t times[] = {SOA_REFRESH_S, SOA_RETRY_S, SOA_EXPIRE_S, r->ttl_s};
	ldns_rr *rr = make_record(r->origin, LDNS_RR_TYPE_SOA, r->ttl_s);
	bool good = rr != NULL && push(rr, ldns_rdf_clone(r->server)) &&
		    push(rr, ldns_rdf_clone(r->mailbox)) &&
		    push(rr, ldns_native2rdf_int32(LDNS_RDF_TYPE_INT32, r->serial));
	for (size_t i = 0; good && i < sizeof(times) / sizeof(times[0]); i++)
		good = push(rr, ldns_native2rdf_int32(LDNS_RDF_TYPE_PERIOD, times[i]));
	return add(answer, section, rr, good);
}

static bool add_server(const struct ctl_responder *r, ldns_pkt *answer)
{
	ldns_rr *rr = make_record(r->origin, LDNS_RR_TYPE_NS, r->ttl_s);
	return add(answer,
		   LDNS_SECTION_ANSWER,
		   rr,
		   rr != NULL && push(rr, ldns_rdf_clone(r->server))) &&
	       (r->address == 0 ||
		add_address(answer, LDNS_SECTION_ADDITIONAL, r->server, r->ttl_s, r->address));
}

/* --- What is said --- */

/* Each says what is counted, CTL_DNS_OUT_OF_MEMORY when the answer could not be made. */

static enum ctl_dns_reason
deny(const struct ctl_responder *r, ldns_pkt *answer, ldns_pkt_rcode rcode, enum ctl_dns_reason why)
{
	ldns_pkt_set_rcode(answer, rcode);
	return add_soa(r, answer, LDNS_SECTION_AUTHORITY) ? why : CTL_DNS_OUT_OF_MEMORY;
}

static enum ctl_dns_reason
say_apex(const struct ctl_responder *r, ldns_pkt *answer, ldns_rr_type type)
{
	bool soa = type == LDNS_RR_TYPE_SOA || type == LDNS_RR_TYPE_ANY;
	if (!soa && type != LDNS_RR_TYPE_NS)
		return deny(r, answer, LDNS_RCODE_NOERROR, CTL_DNS_NODATA);
	bool good = soa ? add_soa(r, answer, LDNS_SECTION_ANSWER) : add_server(r, answer);
	return good ? CTL_DNS_APEX : CTL_DNS_OUT_OF_MEMORY;
}

static enum ctl_dns_reason say_name(
	const struct ctl_responder *r,
	ldns_pkt *answer,
	const ldns_rdf *owner,
	const char *name,
	ldns_rr_type type
)
{
	struct ctl_zone_pick pick;
	bool wanted = type == LDNS_RR_TYPE_A || type == LDNS_RR_TYPE_ANY;
	enum ctl_zone_result result =
		*name ? ctl_zone_pick(r->zone, name, wanted, &pick) : CTL_ZONE_NO_NAME;
	/* Also when there are names below it: it has a record of its own. */
	if ((result == CTL_ZONE_NO_NAME || result == CTL_ZONE_ONLY_BELOW) && r->address != 0 &&
	    strcasecmp(name, "ns") == 0) {
		if (!wanted)
			return deny(r, answer, LDNS_RCODE_NOERROR, CTL_DNS_NODATA);
		return add_address(answer, LDNS_SECTION_ANSWER, owner, r->ttl_s, r->address)
			       ? CTL_DNS_APEX
			       : CTL_DNS_OUT_OF_MEMORY;
	}
	if (result == CTL_ZONE_NO_NAME)
		return deny(r, answer, LDNS_RCODE_NXDOMAIN, CTL_DNS_UNKNOWN_NAME);
	if (result == CTL_ZONE_ONLY_BELOW || !wanted)
		return deny(r, answer, LDNS_RCODE_NOERROR, CTL_DNS_NODATA);
	if (result == CTL_ZONE_NO_ENDPOINT)
		return deny(r, answer, LDNS_RCODE_NOERROR, CTL_DNS_NO_ENDPOINT);
	if (result == CTL_ZONE_SILENT) {
		ldns_pkt_set_aa(answer, false);
		ldns_pkt_set_rcode(answer, LDNS_RCODE_SERVFAIL);
		return CTL_DNS_SILENT_NAME;
	}
	return add_address(answer, LDNS_SECTION_ANSWER, owner, pick.ttl_s, pick.address)
		       ? CTL_DNS_ANSWERED
		       : CTL_DNS_OUT_OF_MEMORY;
}

static enum ctl_dns_reason refuse(ldns_pkt *answer)
{
	ldns_pkt_set_aa(answer, false);
	ldns_pkt_set_rcode(answer, LDNS_RCODE_REFUSED);
	return CTL_DNS_REFUSED;
}

static enum ctl_dns_reason
say(const struct ctl_responder *r, const uint8_t *name, const ldns_pkt *query, ldns_pkt *answer)
{
	char text[CTL_ZONE_NAME_BYTES];
	const ldns_rr *question = ldns_rr_list_rr(ldns_pkt_question(query), 0);
	ldns_rr_type type = ldns_rr_get_type(question);
	if (ldns_pkt_edns(query) && ldns_pkt_edns_version(query) != 0) {
		ldns_pkt_set_aa(answer, false);
		ldns_pkt_set_edns_extended_rcode(answer, 1);
		return CTL_DNS_BAD_VERSION;
	}
	enum place place = place_of(r, name, text);
	/* Of the types that are no records only ANY has an answer: 128 to 254 are transfers, mail
	 * groups and keys of signatures. */
	if (place == OUTSIDE || ldns_rr_get_class(question) != LDNS_RR_CLASS_IN ||
	    (type >= 128 && type < LDNS_RR_TYPE_ANY) || type == LDNS_RR_TYPE_OPT)
		return refuse(answer);
	if (place == APEX)
		return say_apex(r, answer, type);
	return say_name(r, answer, ldns_rr_owner(question), text, type);
}

/* --- Writing --- */

/* Header with the query's id, opcode and RD, and no sections. */
static size_t
write_header(const uint8_t *query, uint8_t rcode, uint8_t answer[CTL_DNS_ANSWER_BYTES])
{
	memset(answer, 0, CTL_DNS_HEADER_BYTES);
	answer[0] = query[0];
	answer[1] = query[1];
	answer[2] = (uint8_t)(FLAG_QR | (query[2] & (0x78 | FLAG_RD)));
	answer[3] = rcode;
	return CTL_DNS_HEADER_BYTES;
}

/* Everything but the question and OPT is left out. */
static void truncate_answer(ldns_pkt *answer)
{
	static const ldns_pkt_section sections[] = {
		LDNS_SECTION_ANSWER, LDNS_SECTION_AUTHORITY, LDNS_SECTION_ADDITIONAL};
	ldns_pkt_set_tc(answer, true);
	ldns_pkt_set_ancount(answer, 0);
	ldns_pkt_set_nscount(answer, 0);
	ldns_pkt_set_arcount(answer, 0);
	for (size_t i = 0; i < sizeof(sections) / sizeof(sections[0]); i++) {
		ldns_rr_list *all = sections[i] == LDNS_SECTION_ANSWER ? ldns_pkt_answer(answer)
				    : sections[i] == LDNS_SECTION_AUTHORITY
					    ? ldns_pkt_authority(answer)
					    : ldns_pkt_additional(answer);
		for (ldns_rr *rr; (rr = ldns_rr_list_pop_rr(all)) != NULL;)
			ldns_rr_free(rr);
	}
}

/* 0 when it cannot be written or has more than `most` bytes. */
static size_t write_packet(const ldns_pkt *packet, uint8_t *bytes, size_t most)
{
	uint8_t *wire = NULL;
	size_t wire_bytes = 0;
	if (ldns_pkt2wire(&wire, packet, &wire_bytes) != LDNS_STATUS_OK)
		wire_bytes = 0;
	if (wire_bytes > most)
		wire_bytes = 0;
	if (wire_bytes > 0)
		memcpy(bytes, wire, wire_bytes);
	free(wire);
	return wire_bytes;
}

static size_t
most_bytes(const struct ctl_responder *r, const ldns_pkt *query, size_t query_bytes, bool is_tcp)
{
	size_t most = UDP_BYTES;
	if (is_tcp)
		return CTL_DNS_ANSWER_BYTES;
	if (ldns_pkt_edns(query) && ldns_pkt_edns_udp_size(query) > UDP_BYTES)
		most = ldns_pkt_edns_udp_size(query);
	if (most > r->udp_bytes_max)
		most = r->udp_bytes_max;
	return most < query_bytes + CTL_DNS_GROWTH_BYTES ? most
							 : query_bytes + CTL_DNS_GROWTH_BYTES;
}

/* An answer without records yet, or NULL. */
static ldns_pkt *begin_answer(const ldns_pkt *query)
{
	ldns_pkt *answer = ldns_pkt_new();
	ldns_rr *question = ldns_rr_clone(ldns_rr_list_rr(ldns_pkt_question(query), 0));
	if (answer == NULL || question == NULL ||
	    !ldns_pkt_push_rr(answer, LDNS_SECTION_QUESTION, question)) {
		ldns_pkt_free(answer);
		ldns_rr_free(question);
		return NULL;
	}
	ldns_pkt_set_id(answer, ldns_pkt_id(query));
	ldns_pkt_set_qr(answer, true);
	ldns_pkt_set_aa(answer, true);
	ldns_pkt_set_rd(answer, ldns_pkt_rd(query));
	ldns_pkt_set_opcode(answer, LDNS_PACKET_QUERY);
	if (ldns_pkt_edns(query)) {
		ldns_pkt_set_edns_udp_size(answer, CTL_DNS_ANSWER_BYTES);
		ldns_pkt_set_edns_do(answer, ldns_pkt_edns_do(query));
	}
	return answer;
}

static size_t answer_query(
	struct ctl_responder *r,
	const uint8_t *bytes,
	size_t query_bytes,
	bool is_tcp,
	const ldns_pkt *query,
	uint8_t answer_bytes[CTL_DNS_ANSWER_BYTES]
)
{
	size_t most = most_bytes(r, query, query_bytes, is_tcp), written = 0;
	ldns_pkt *answer = begin_answer(query);
	enum ctl_dns_reason reason = answer ? say(r, bytes + CTL_DNS_HEADER_BYTES, query, answer)
					    : CTL_DNS_OUT_OF_MEMORY;
	if (reason != CTL_DNS_OUT_OF_MEMORY) {
		written = write_packet(answer, answer_bytes, most);
		if (written == 0) {
			truncate_answer(answer);
			/* The question and an OPT record were in the query too. */
			written = write_packet(answer, answer_bytes, query_bytes);
			__atomic_fetch_add(&r->truncated, 1, __ATOMIC_RELAXED);
		}
	}
	count(r, written > 0 ? reason : CTL_DNS_OUT_OF_MEMORY);
	ldns_pkt_free(answer);
	return written;
}

size_t ctl_responder_answer(
	struct ctl_responder *r,
	const uint8_t *query,
	size_t query_bytes,
	bool is_tcp,
	uint8_t answer[CTL_DNS_ANSWER_BYTES]
)
{
	ldns_pkt *packet = NULL;
	size_t written;
	count(r, CTL_DNS_QUERIES);
	if (query_bytes < CTL_DNS_HEADER_BYTES) {
		if (!ctl_names_canary("miscount"))
			count(r, CTL_DNS_TOO_SHORT);
		return 0;
	}
	if (ctl_names_canary("crash") && query[2] & FLAG_TC)
		abort();
	if (query[2] & FLAG_QR) {
		count(r, CTL_DNS_NO_QUERY);
		return 0;
	}
	if (query[2] & 0x78) {
		count(r, CTL_DNS_NOT_IMPLEMENTED);
		return write_header(query, LDNS_RCODE_NOTIMPL, answer);
	}
	size_t end = question_end(query, query_bytes);
	bool good = end != 0 && !(query[2] & FLAG_TC) && ldns_read_uint16(query + 6) == 0 &&
		    ldns_read_uint16(query + 8) == 0 &&
		    ldns_read_uint16(query + 10) <= MAX_EXTRA_RECORDS &&
		    extra_records_are_good(query, query_bytes, end) &&
		    ldns_wire2pkt(&packet, query, query_bytes) == LDNS_STATUS_OK;
	if (!good) {
		count(r, CTL_DNS_MALFORMED);
		if (ctl_names_canary("amplify"))
			return CTL_DNS_HEADER_BYTES +
			       write_header(query, LDNS_RCODE_FORMERR, answer) * 9;
		return write_header(query, LDNS_RCODE_FORMERR, answer);
	}
	written = answer_query(r, query, query_bytes, is_tcp, packet, answer);
	if (!ctl_names_canary("leak"))
		ldns_pkt_free(packet);
	return written;
}

size_t
ctl_responder_defer(const uint8_t *query, size_t query_bytes, uint8_t answer[CTL_DNS_ANSWER_BYTES])
{
	size_t end = question_end(query, query_bytes);
	/* Only what a real asker would send: QR, opcode and TC are 0. */
	if (end == 0 || query[2] & ~FLAG_RD)
		return 0;
	write_header(query, LDNS_RCODE_NOERROR, answer);
	answer[2] |= FLAG_TC;
	answer[5] = 1;
	memcpy(answer + CTL_DNS_HEADER_BYTES,
	       query + CTL_DNS_HEADER_BYTES,
	       end - CTL_DNS_HEADER_BYTES);
	return end;
}
