/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The zone and its responder, query by query, without sockets. Answers are read with ldns; the
 * bytes that matter (question, header) are compared as bytes.
 */
#include "control/routing/responder.h"
#include "tests/unit/unit.h"

#include <ctype.h>
#include <errno.h>
#include <ldns/ldns.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define REGION1 0x0a000001u
#define REGION2 0x0a000002u
#define EDNS_BYTES 11

struct world {
	struct ctl_zone zone;
	struct ctl_responder *responder;
	uint8_t query[600], answer[CTL_DNS_ANSWER_BYTES];
	size_t query_bytes, answer_bytes;
	ldns_pkt *packet; /* the answer, read; NULL: none */
};

static struct ctl_zone_name name_of(const char *text, enum ctl_route_policy policy)
{
	struct ctl_zone_name name = {.kind = CTL_ENDPOINT_QUEUE, .ttl_s = 5};
	snprintf(name.name, sizeof(name.name), "%s", text);
	assert_true(ctl_route_init(&name.route, policy, 2, 1));
	name.endpoints[0] = (struct ctl_zone_endpoint){"one", REGION1, 53, 0};
	name.endpoints[1] = (struct ctl_zone_endpoint){"two", REGION2, 54, 0};
	return name;
}

static void make_responder(struct world *w, uint32_t udp_bytes_max)
{
	const struct ctl_responder_options options = {
		.origin = "Region.Test",
		.zone = &w->zone,
		.ttl_s = 3,
		.serial = 77,
		.address = 0x7f000001,
		.udp_bytes_max = udp_bytes_max,
	};
	ctl_responder_destroy(w->responder);
	assert_int_equal(ctl_responder_create(&w->responder, &options), 0);
}

static int make_world(void **state)
{
	struct world *w = calloc(1, sizeof(*w));
	struct ctl_zone_name name;
	ctl_zone_init(&w->zone);
	name = name_of("pair1", CTL_ROUTE_FAILOVER);
	assert_int_equal(ctl_zone_add(&w->zone, &name), 0);
	name = name_of("In-DNS", CTL_ROUTE_ALTERNATE);
	assert_int_equal(ctl_zone_add(&w->zone, &name), 1);
	name = name_of("inbound_queue.1", CTL_ROUTE_WEIGHTED);
	name.ttl_s = 0;
	assert_int_equal(ctl_zone_add(&w->zone, &name), 2);
	make_responder(w, 0);
	*state = w;
	return 0;
}

static int end_world(void **state)
{
	struct world *w = *state;
	ldns_pkt_free(w->packet);
	ctl_responder_destroy(w->responder);
	ctl_zone_destroy(&w->zone);
	free(w);
	return 0;
}

/* --- Asking --- */

/* A query with one question; edns: the size that the asker takes, 0: no OPT record. */
static void make_query(struct world *w, const char *name, unsigned type, unsigned edns)
{
	uint8_t *at = w->query;
	memcpy(at, "\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00", 12);
	at[11] = edns != 0;
	at += 12;
	for (const char *label = name; *label;) {
		size_t length = strcspn(label, ".");
		*at++ = (uint8_t)length;
		memcpy(at, label, length);
		at += length;
		label += length + (label[length] == '.');
	}
	*at++ = 0;
	ldns_write_uint16(at, (uint16_t)type);
	ldns_write_uint16(at + 2, 1);
	at += 4;
	if (edns) {
		memset(at, 0, EDNS_BYTES);
		at[2] = 41;
		ldns_write_uint16(at + 3, (uint16_t)edns);
		at += EDNS_BYTES;
	}
	w->query_bytes = (size_t)(at - w->query);
}

static void send_query(struct world *w, bool is_tcp)
{
	ldns_pkt_free(w->packet);
	w->packet = NULL;
	w->answer_bytes =
		ctl_responder_answer(w->responder, w->query, w->query_bytes, is_tcp, w->answer);
	if (w->answer_bytes == 0)
		return;
	assert_int_equal(ldns_wire2pkt(&w->packet, w->answer, w->answer_bytes), LDNS_STATUS_OK);
	assert_memory_equal(w->answer, w->query, 2);
	assert_true(ldns_pkt_qr(w->packet));
	assert_false(ldns_pkt_ra(w->packet));
	assert_true(is_tcp || w->answer_bytes <= w->query_bytes + CTL_DNS_GROWTH_BYTES);
}

/* Asks over UDP; the question comes back as it was spelled. */
static void ask(struct world *w, const char *name, unsigned type)
{
	make_query(w, name, type, 0);
	send_query(w, false);
	assert_true(w->answer_bytes >= w->query_bytes);
	assert_memory_equal(w->answer + 12, w->query + 12, w->query_bytes - 12);
}

static uint32_t address_of(const ldns_rr *rr)
{
	assert_int_equal(ldns_rr_get_type(rr), LDNS_RR_TYPE_A);
	return ldns_read_uint32(ldns_rdf_data(ldns_rr_rdf(rr, 0)));
}

static void expect_address(const struct world *w, uint32_t address, uint32_t ttl_s)
{
	assert_int_equal(ldns_pkt_get_rcode(w->packet), LDNS_RCODE_NOERROR);
	assert_true(ldns_pkt_aa(w->packet));
	assert_int_equal(ldns_pkt_ancount(w->packet), 1);
	assert_int_equal(ldns_pkt_nscount(w->packet), 0);
	const ldns_rr *rr = ldns_rr_list_rr(ldns_pkt_answer(w->packet), 0);
	assert_int_equal(address_of(rr), address);
	assert_int_equal(ldns_rr_ttl(rr), ttl_s);
}

/* No record but the SOA, which says how long that may be believed. */
static void expect_denial(const struct world *w, ldns_pkt_rcode rcode)
{
	assert_int_equal(ldns_pkt_get_rcode(w->packet), rcode);
	assert_true(ldns_pkt_aa(w->packet));
	assert_int_equal(ldns_pkt_ancount(w->packet), 0);
	assert_int_equal(ldns_pkt_nscount(w->packet), 1);
	const ldns_rr *rr = ldns_rr_list_rr(ldns_pkt_authority(w->packet), 0);
	assert_int_equal(ldns_rr_get_type(rr), LDNS_RR_TYPE_SOA);
	assert_int_equal(ldns_rr_ttl(rr), 3);
	assert_int_equal(ldns_rdf2native_int32(ldns_rr_rdf(rr, 2)), 77);
	assert_int_equal(ldns_rdf2native_int32(ldns_rr_rdf(rr, 6)), 3);
}

/* No record, no authority. */
static void expect_code(const struct world *w, ldns_pkt_rcode rcode)
{
	assert_non_null(w->packet);
	assert_int_equal(ldns_pkt_get_rcode(w->packet), rcode);
	assert_false(ldns_pkt_aa(w->packet));
	assert_int_equal(ldns_pkt_ancount(w->packet) + ldns_pkt_nscount(w->packet), 0);
}

/* --- Answers --- */

static void name_when_asked_gives_its_address(void **state)
{
	struct world *w = *state;
	ask(w, "pair1.region.test", LDNS_RR_TYPE_A);
	expect_address(w, REGION1, 5);
	assert_true(ldns_pkt_rd(w->packet));
	assert_int_equal(ctl_zone_switch_to(&w->zone, 0, 1), true);
	ask(w, "pair1.region.test", LDNS_RR_TYPE_ANY);
	expect_address(w, REGION2, 5);
	ask(w, "inbound_queue.1.region.test", LDNS_RR_TYPE_A);
	assert_int_equal(ldns_rr_ttl(ldns_rr_list_rr(ldns_pkt_answer(w->packet), 0)), 0);
	assert_int_equal(ctl_responder_count(w->responder, CTL_DNS_ANSWERED), 3);
}

static void question_when_spelled_in_any_case_comes_back_so(void **state)
{
	struct world *w = *state;
	ask(w, "pAiR1.rEGion.TESt", LDNS_RR_TYPE_A);
	expect_address(w, REGION1, 5);
	ask(w, "IN-dns.REGION.test", LDNS_RR_TYPE_A);
	expect_address(w, REGION1, 5);
	ask(w, "nO.rEGion.TESt", LDNS_RR_TYPE_A);
	expect_denial(w, LDNS_RCODE_NXDOMAIN);
}

static void alternate_when_asked_moves_on_unless_the_owner_reports(void **state)
{
	struct world *w = *state;
	struct ctl_zone_name own = name_of("own", CTL_ROUTE_ALTERNATE);
	own.reports_acceptance = true;
	assert_int_equal(ctl_zone_add(&w->zone, &own), 3);
	for (uint32_t i = 0; i < 6; i++) {
		ask(w, "in-dns.region.test", LDNS_RR_TYPE_TXT); /* no answer of it */
		ask(w, "in-dns.region.test", LDNS_RR_TYPE_A);
		expect_address(w, i % 2 ? REGION2 : REGION1, 5);
		ask(w, "own.region.test", LDNS_RR_TYPE_A);
		ask(w, "own.region.test", LDNS_RR_TYPE_A);
		expect_address(w, i % 2 ? REGION2 : REGION1, 5);
		assert_true(ctl_zone_accepted(&w->zone, 3, (int)(i % 2)));
	}
}

static void name_when_not_there_is_denied_with_the_soa(void **state)
{
	struct world *w = *state;
	static const char *const absent[] = {
		"pair2.region.test",
		"a.pair1.region.test",
		"x.1.region.test",
		"2.region.test",
		"a-label-of-63-bytes-------------------------------------------x.region.test"};
	for (size_t i = 0; i < sizeof(absent) / sizeof(absent[0]); i++) {
		ask(w, absent[i], LDNS_RR_TYPE_A);
		expect_denial(w, LDNS_RCODE_NXDOMAIN);
	}
	/* It exists, because a name is below it. */
	ask(w, "1.region.test", LDNS_RR_TYPE_A);
	expect_denial(w, LDNS_RCODE_NOERROR);
	ask(w, "pair1.region.test", LDNS_RR_TYPE_AAAA);
	expect_denial(w, LDNS_RCODE_NOERROR);
	assert_int_equal(ctl_responder_count(w->responder, CTL_DNS_UNKNOWN_NAME), 5);
	assert_int_equal(ctl_responder_count(w->responder, CTL_DNS_NODATA), 2);
	/* A dot within a label is no label's end. */
	make_query(w, "pair1xregion.test", LDNS_RR_TYPE_A, 0);
	w->query[12 + 1 + 5] = '.';
	send_query(w, false);
	expect_code(w, LDNS_RCODE_REFUSED);
	make_query(w, "inbound_queuex1.region.test", LDNS_RR_TYPE_A, 0);
	w->query[12 + 1 + 13] = '.';
	send_query(w, false);
	expect_denial(w, LDNS_RCODE_NXDOMAIN);
}

static void endpoints_when_none_can_be_given_say_so(void **state)
{
	struct world *w = *state;
	ctl_zone_set_healthy(&w->zone, 0, 0, false);
	ctl_zone_set_healthy(&w->zone, 0, 1, false);
	ask(w, "pair1.region.test", LDNS_RR_TYPE_A);
	/* Both unhealthy: the first, it shows, and nobody keeps it for long. */
	expect_address(w, REGION1, CTL_ZONE_DOUBT_TTL_S);
	struct ctl_zone_name seen;
	assert_true(ctl_zone_look(&w->zone, 0, &seen));
	assert_int_equal(seen.picked_unhealthy, 1);
	ctl_zone_set_offline(&w->zone, 0, 0, true);
	ctl_zone_set_offline(&w->zone, 0, 1, true);
	ask(w, "pair1.region.test", LDNS_RR_TYPE_A);
	expect_denial(w, LDNS_RCODE_NOERROR);
	assert_int_equal(ctl_responder_count(w->responder, CTL_DNS_NO_ENDPOINT), 1);
	ctl_zone_set_silent(&w->zone, 0, true);
	ask(w, "pair1.region.test", LDNS_RR_TYPE_A);
	expect_code(w, LDNS_RCODE_SERVFAIL);
	ctl_zone_set_silent(&w->zone, 0, false);
	ctl_zone_set_offline(&w->zone, 0, 1, false);
	ctl_zone_set_healthy(&w->zone, 0, 1, true);
	ask(w, "pair1.region.test", LDNS_RR_TYPE_A);
	expect_address(w, REGION2, 5);
}

static void apex_when_asked_has_soa_and_ns(void **state)
{
	struct world *w = *state;
	ask(w, "region.test", LDNS_RR_TYPE_SOA);
	assert_int_equal(ldns_pkt_ancount(w->packet), 1);
	ask(w, "region.TEST", LDNS_RR_TYPE_NS);
	assert_int_equal(ldns_pkt_ancount(w->packet), 1);
	assert_int_equal(ldns_pkt_arcount(w->packet), 1);
	assert_int_equal(
		address_of(ldns_rr_list_rr(ldns_pkt_additional(w->packet), 0)), 0x7f000001
	);
	ask(w, "region.test", LDNS_RR_TYPE_A);
	expect_denial(w, LDNS_RCODE_NOERROR);
	ask(w, "ns.region.test", LDNS_RR_TYPE_A);
	expect_address(w, 0x7f000001, 3);
	ask(w, "ns.region.test", LDNS_RR_TYPE_AAAA);
	expect_denial(w, LDNS_RCODE_NOERROR);
}

static void query_when_not_for_us_is_refused(void **state)
{
	struct world *w = *state;
	static const char *const others[] = {
		"", "test", "example.com", "xregion.test", "pair1.region.tes", "region.test.x"};
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		ask(w, others[i], LDNS_RR_TYPE_A);
		expect_code(w, LDNS_RCODE_REFUSED);
		assert_int_equal(w->answer_bytes, w->query_bytes);
	}
	for (unsigned type = LDNS_RR_TYPE_IXFR; type < LDNS_RR_TYPE_ANY; type++) {
		ask(w, "region.test", type);
		expect_code(w, LDNS_RCODE_REFUSED);
	}
	make_query(w, "pair1.region.test", LDNS_RR_TYPE_A, 0);
	w->query[w->query_bytes - 1] = 3; /* CHAOS */
	send_query(w, false);
	expect_code(w, LDNS_RCODE_REFUSED);
}

static void query_when_broken_is_told_in_twelve_bytes(void **state)
{
	struct world *w = *state;
	static const struct {
		uint8_t at, value, rcode;
	} broken[] = {
		{2, 0x28, LDNS_RCODE_NOTIMPL},
		{2, 0x79, LDNS_RCODE_NOTIMPL},
		{5, 0, LDNS_RCODE_FORMERR},
		{5, 2, LDNS_RCODE_FORMERR},
		{4, 1, LDNS_RCODE_FORMERR},
		{7, 1, LDNS_RCODE_FORMERR},
		{9, 1, LDNS_RCODE_FORMERR},
		{11, 1, LDNS_RCODE_FORMERR},
		{10, 1, LDNS_RCODE_FORMERR},
		{2, 2, LDNS_RCODE_FORMERR}, /* TC in a query */
		{12, 0xc0, LDNS_RCODE_FORMERR},
		{12, 64, LDNS_RCODE_FORMERR},
		{12, 30, LDNS_RCODE_FORMERR},
	};
	for (size_t i = 0; i < sizeof(broken) / sizeof(broken[0]); i++) {
		make_query(w, "pair1.region.test", LDNS_RR_TYPE_A, 0);
		w->query[broken[i].at] = broken[i].value;
		send_query(w, false);
		assert_int_equal(w->answer_bytes, 12);
		expect_code(w, broken[i].rcode);
	}
	make_query(w, "pair1.region.test", LDNS_RR_TYPE_A, 1232);
	for (size_t bytes = w->query_bytes - 1; bytes >= 12; bytes--) {
		w->query_bytes = bytes;
		send_query(w, false);
		expect_code(w, LDNS_RCODE_FORMERR);
	}
	for (size_t bytes = 0; bytes < 12; bytes++) {
		w->query_bytes = bytes;
		send_query(w, false);
		assert_null(w->packet);
	}
	assert_int_equal(ctl_responder_count(w->responder, CTL_DNS_TOO_SHORT), 12);
}

static void answer_when_sent_to_us_gets_none(void **state)
{
	struct world *w = *state;
	make_query(w, "pair1.region.test", LDNS_RR_TYPE_A, 0);
	w->query[2] |= 0x80;
	send_query(w, false);
	assert_null(w->packet);
	assert_int_equal(ctl_responder_count(w->responder, CTL_DNS_NO_QUERY), 1);
	assert_int_equal(ctl_responder_defer(w->query, w->query_bytes, w->answer), 0);
}

static void edns_when_asked_with_is_answered_with(void **state)
{
	struct world *w = *state;
	make_query(w, "pair1.region.test", LDNS_RR_TYPE_A, 4096);
	w->query[w->query_bytes - 4] = 0x80; /* DO */
	send_query(w, false);
	expect_address(w, REGION1, 5);
	assert_true(ldns_pkt_edns(w->packet));
	assert_int_equal(ldns_pkt_edns_udp_size(w->packet), CTL_DNS_ANSWER_BYTES);
	assert_true(ldns_pkt_edns_do(w->packet));
	assert_int_equal(w->answer_bytes, w->query_bytes + 16);
	ask(w, "pair1.region.test", LDNS_RR_TYPE_A);
	assert_false(ldns_pkt_edns(w->packet));
	make_query(w, "pair1.region.test", LDNS_RR_TYPE_A, 4096);
	w->query[w->query_bytes - 5] = 1; /* a version that is not there yet */
	send_query(w, false);
	assert_int_equal(ldns_pkt_edns_extended_rcode(w->packet), 1);
	assert_int_equal(ldns_pkt_ancount(w->packet), 0);
	assert_int_equal(ctl_responder_count(w->responder, CTL_DNS_BAD_VERSION), 1);
}

/* RFC 6891, 6.1.1: one OPT, of the root. */
static void edns_when_there_twice_or_of_a_name_is_malformed(void **state)
{
	struct world *w = *state;
	make_query(w, "pair1.region.test", LDNS_RR_TYPE_A, 4096);
	uint8_t *opt = w->query + w->query_bytes - EDNS_BYTES;
	memcpy(opt + EDNS_BYTES, opt, EDNS_BYTES);
	w->query_bytes += EDNS_BYTES;
	w->query[11] = 2;
	send_query(w, false);
	expect_code(w, LDNS_RCODE_FORMERR);
	/* The second one is another record, which nobody looks at. */
	opt[EDNS_BYTES + 2] = LDNS_RR_TYPE_A;
	send_query(w, false);
	expect_address(w, REGION1, 5);
	make_query(w, "pair1.region.test", LDNS_RR_TYPE_A, 4096);
	opt = w->query + w->query_bytes - EDNS_BYTES;
	memmove(opt + 1, opt, EDNS_BYTES);
	opt[0] = 0xc0;
	opt[1] = 12;
	w->query_bytes++;
	send_query(w, false);
	expect_code(w, LDNS_RCODE_FORMERR);
	assert_int_equal(ctl_responder_count(w->responder, CTL_DNS_MALFORMED), 2);
}

static void server_when_there_are_names_below_keeps_its_record(void **state)
{
	struct world *w = *state;
	struct ctl_zone_name name = name_of("x.ns", CTL_ROUTE_FAILOVER);
	assert_int_equal(ctl_zone_add(&w->zone, &name), 3);
	ask(w, "ns.region.test", LDNS_RR_TYPE_A);
	expect_address(w, 0x7f000001, 3);
	ask(w, "ns.region.test", LDNS_RR_TYPE_AAAA);
	expect_denial(w, LDNS_RCODE_NOERROR);
}

static void answer_when_longer_than_allowed_is_truncated(void **state)
{
	struct world *w = *state;
	make_responder(w, 50);
	for (unsigned edns = 0; edns <= 4096; edns += 4096) {
		make_query(w, "pair1.region.test", LDNS_RR_TYPE_A, edns);
		send_query(w, false);
		assert_true(ldns_pkt_tc(w->packet));
		assert_int_equal(ldns_pkt_ancount(w->packet), 0);
		assert_int_equal(ldns_pkt_nscount(w->packet), 0);
		assert_int_equal(w->answer_bytes, w->query_bytes);
		send_query(w, true);
		assert_false(ldns_pkt_tc(w->packet));
		expect_address(w, REGION1, 5);
	}
	assert_int_equal(ctl_responder_truncated(w->responder), 2);
}

/* The longest question that there can be, and every kind of answer to it. */
static void answer_when_question_is_longest_is_bounded(void **state)
{
	struct world *w = *state;
	char name[256] = "";
	while (strlen(name) + 2 + strlen("region.test") < 254)
		strcat(name, "x.");
	strcat(name, "region.test");
	ask(w, name, LDNS_RR_TYPE_A);
	expect_denial(w, LDNS_RCODE_NXDOMAIN);
	assert_true(w->answer_bytes <= 512);
}

static void source_when_deferred_is_told_to_come_by_tcp(void **state)
{
	struct world *w = *state;
	make_query(w, "Pair1.region.test", LDNS_RR_TYPE_A, 4096);
	size_t bytes = ctl_responder_defer(w->query, w->query_bytes, w->answer);
	assert_int_equal(bytes, w->query_bytes - EDNS_BYTES);
	assert_int_equal(ldns_wire2pkt(&w->packet, w->answer, bytes), LDNS_STATUS_OK);
	assert_true(ldns_pkt_tc(w->packet));
	assert_memory_equal(w->answer + 12, w->query + 12, bytes - 12);
	for (size_t cut = 0; cut < bytes; cut++)
		assert_int_equal(ctl_responder_defer(w->query, cut, w->answer), 0);
}

static void zone_when_given_nonsense_refuses(void **state)
{
	struct world *w = *state;
	static const char *const bad[] = {
		"", ".", "a..b", "a.", ".a", "a b", "a*", "\xc3\xa4", "PAIR1", "a/b"};
	struct ctl_zone_name name = name_of("fine", CTL_ROUTE_FAILOVER), probe;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		probe = name;
		snprintf(probe.name, sizeof(probe.name), "%s", bad[i]);
		assert_true(ctl_zone_add(&w->zone, &probe) < 0);
	}
	probe = name;
	memset(probe.name, 'a', sizeof(probe.name));
	assert_int_equal(ctl_zone_add(&w->zone, &probe), -EINVAL);
	probe = name;
	probe.endpoints[1].address = 0;
	assert_int_equal(ctl_zone_add(&w->zone, &probe), -EINVAL);
	probe = name;
	probe.ttl_s = CTL_ZONE_TTL_MAX_S + 1;
	assert_int_equal(ctl_zone_add(&w->zone, &probe), -EINVAL);
	probe = name;
	probe.route.count = 0;
	assert_int_equal(ctl_zone_add(&w->zone, &probe), -EINVAL);
	for (int i = 3; i < CTL_ZONE_NAMES_MAX; i++) {
		snprintf(name.name, sizeof(name.name), "n%d", i);
		assert_int_equal(ctl_zone_add(&w->zone, &name), i);
	}
	snprintf(name.name, sizeof(name.name), "last");
	assert_int_equal(ctl_zone_add(&w->zone, &name), -ENOSPC);
	assert_int_equal(ctl_zone_find(&w->zone, "N40"), 40);
	assert_int_equal(ctl_zone_find(&w->zone, "last"), -ENOENT);
	assert_false(ctl_zone_set_offline(&w->zone, CTL_ZONE_NAMES_MAX, 0, true));
	assert_false(ctl_zone_set_address(&w->zone, 0, 2, 1, 1));
}

static void responder_when_given_nonsense_is_not_made(void **state)
{
	struct world *w = *state;
	struct ctl_responder *none;
	char longest[CTL_DNS_ORIGIN_BYTES + 1];
	memset(longest, 'a', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = 0;
	const char *bad[] = {"", ".", "a..b", longest};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct ctl_responder_options options = {.origin = bad[i], .zone = &w->zone};
		assert_true(ctl_responder_create(&none, &options) < 0);
		assert_null(none);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make_world, end_world)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(name_when_asked_gives_its_address),
		TEST(question_when_spelled_in_any_case_comes_back_so),
		TEST(alternate_when_asked_moves_on_unless_the_owner_reports),
		TEST(name_when_not_there_is_denied_with_the_soa),
		TEST(endpoints_when_none_can_be_given_say_so),
		TEST(apex_when_asked_has_soa_and_ns),
		TEST(query_when_not_for_us_is_refused),
		TEST(query_when_broken_is_told_in_twelve_bytes),
		TEST(answer_when_sent_to_us_gets_none),
		TEST(edns_when_asked_with_is_answered_with),
		TEST(edns_when_there_twice_or_of_a_name_is_malformed),
		TEST(server_when_there_are_names_below_keeps_its_record),
		TEST(answer_when_longer_than_allowed_is_truncated),
		TEST(answer_when_question_is_longest_is_bounded),
		TEST(source_when_deferred_is_told_to_come_by_tcp),
		TEST(zone_when_given_nonsense_refuses),
		TEST(responder_when_given_nonsense_is_not_made),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
