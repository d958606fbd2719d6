/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Queries to the responder (control/routing/responder.h). What must hold:
 *
 * - only the given bytes are read, and nothing ends the process;
 * - every query is counted once as received, and once under what became of it;
 * - what comes back is an answer to this query: its id, its opcode, QR, never RA; the question as
 * it was, or none;
 * - over UDP it has at most CTL_DNS_GROWTH_BYTES more than the query, a truncated one no more;
 * - a source that is deferred gets no more bytes than it sent.
 */
#include "control/routing/responder.h"
#include "tests/fuzz/dns_input.h"
#include "tests/fuzz/fuzz_target.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

uint64_t fuzz_accepted;

static struct ctl_zone zone;
static struct ctl_responder *wide, *narrow;

static void need(bool good, const char *what)
{
	if (good)
		return;
	fprintf(stderr, "fuzz_dns: not so: %s\n", what);
	abort();
}

static void add(const char *text, enum ctl_route_policy policy, bool offline, bool silent)
{
	struct ctl_zone_name name = {.ttl_s = 1, .is_silent = silent};
	snprintf(name.name, sizeof(name.name), "%s", text);
	ctl_route_init(&name.route, policy, 1, 1);
	ctl_route_set_offline(&name.route, 0, offline);
	name.endpoints[0].address = 0x0a000001;
	need(ctl_zone_add(&zone, &name) >= 0, "a name of ours");
}

static void set_up(void)
{
	struct ctl_responder_options options = {
		.origin = DNS_INPUT_ORIGIN, .zone = &zone, .ttl_s = 1, .address = 0x7f000001};
	ctl_zone_init(&zone);
	add("pair1", CTL_ROUTE_FAILOVER, false, false);
	add("in", CTL_ROUTE_ALTERNATE, false, false);
	add("q.1", CTL_ROUTE_WEIGHTED, false, false);
	add("off", CTL_ROUTE_FAILOVER, true, false);
	add("silent", CTL_ROUTE_FAILOVER, false, true);
	need(ctl_responder_create(&wide, &options) == 0, "a responder");
	options.udp_bytes_max = 50;
	need(ctl_responder_create(&narrow, &options) == 0, "another responder");
}

/* All counted, and what became of them. */
static void check_counts(const struct ctl_responder *responder)
{
	uint64_t sum = 0;
	for (int i = CTL_DNS_QUERIES + 1; i < CTL_DNS_REASONS; i++)
		sum += ctl_responder_count(responder, (enum ctl_dns_reason)i);
	need(sum == ctl_responder_count(responder, CTL_DNS_QUERIES), "each is counted once");
	need(ctl_responder_count(responder, CTL_DNS_OUT_OF_MEMORY) == 0, "all could be answered");
}

static void
check_answer(const uint8_t *query, size_t bytes, bool is_tcp, const uint8_t *answer, size_t got)
{
	need(got >= CTL_DNS_HEADER_BYTES && got <= CTL_DNS_ANSWER_BYTES, "a message's length");
	need(bytes >= CTL_DNS_HEADER_BYTES && !(query[2] & 0x80), "only a query has an answer");
	need(memcmp(query, answer, 2) == 0, "the query's id");
	need((answer[2] & 0xf8) == (0x80 | (query[2] & 0x78)), "QR, and the query's opcode");
	need(!(answer[3] & 0x80), "never RA");
	need(is_tcp || got <= bytes + CTL_DNS_GROWTH_BYTES, "bounded growth");
	need(!(answer[2] & 2) || got <= bytes, "no growth when truncated");
	need(answer[4] == 0 && answer[5] <= 1, "one question at most");
	if (answer[5] == 0) {
		need(got == CTL_DNS_HEADER_BYTES, "a header and no more");
		return;
	}
	size_t end = CTL_DNS_HEADER_BYTES;
	while (query[end] != 0)
		end += 1u + query[end];
	need(memcmp(query + CTL_DNS_HEADER_BYTES,
		    answer + CTL_DNS_HEADER_BYTES,
		    end + 5 - CTL_DNS_HEADER_BYTES) == 0,
	     "the question as it was");
	fuzz_accepted += answer[7] == 1;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	uint8_t answer[CTL_DNS_ANSWER_BYTES];
	if (!wide)
		set_up();
	if (bytes == 0)
		return 0;
	/* Memory of exactly this size, so that a sanitizer sees a read beyond it. */
	size_t length = bytes - 1;
	uint8_t *query = malloc(length > 0 ? length : 1);
	need(query != NULL, "memory");
	memcpy(query, data + 1, length);
	bool is_tcp = data[0] & DNS_INPUT_TCP;
	struct ctl_responder *responder = data[0] & DNS_INPUT_NARROW ? narrow : wide;
	size_t got = ctl_responder_answer(responder, query, length, is_tcp, answer);
	if (got > 0)
		check_answer(query, length, is_tcp, answer, got);
	check_counts(responder);
	need(ctl_responder_defer(query, length, answer) <= length, "deferred without growth");
	free(query);
	return 0;
}

size_t fuzz_example(uint64_t seed, uint8_t *data, size_t room)
{
	(void)room;
	return dns_input_random(seed, data);
}
