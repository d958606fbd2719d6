/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The engine's receiving side. What a datagram says is never trusted further than its length. */
#include "client/messages.h"
#include "config/bytes.h"
#include "config/hash.h"
#include "perf/bench/engine.h"

#include <stdlib.h>

#define BUSY_PAUSE_NS 200000u
#define BUSY_PAUSE_CAP_NS 10000000u
#define MAX_INFLIGHT 4096u /* more than that of a session is not used */

/* One answer with its payload, as found in a datagram. */
struct answer {
	const struct cli_update_response *fields;
	const uint8_t *payload;
	uint32_t payload_bytes;
	uint32_t node;
};

/* Answers come in runs of one session. */
static inline struct bench_session *find_session(struct bench_engine *e, uint64_t client_id)
{
	if (__builtin_expect(e->last_found->client_id == client_id && client_id != 0, 1))
		return e->last_found;
	uint32_t at = (uint32_t)sf_mix(client_id, 0) & e->by_client_id_mask;
	for (; e->by_client_id[at] != 0; at = (at + 1) & e->by_client_id_mask) {
		struct bench_session *s = &e->sessions[e->by_client_id[at] - 1];
		if (s->client_id == client_id) {
			e->last_found = s;
			return s;
		}
	}
	return NULL;
}

void bench_map_client_ids(struct bench_engine *e)
{
	memset(e->by_client_id, 0, ((size_t)e->by_client_id_mask + 1) * sizeof(uint32_t));
	for (uint32_t i = 0; i < e->session_count; i++) {
		uint64_t client_id = e->sessions[i].client_id;
		if (client_id == 0)
			continue;
		uint32_t at = (uint32_t)sf_mix(client_id, 0) & e->by_client_id_mask;
		while (e->by_client_id[at] != 0)
			at = (at + 1) & e->by_client_id_mask;
		e->by_client_id[at] = i + 1;
	}
}

/* The primary's address in a NOT_PRIMARY, or another node than the one that refused. */
static void
follow_hint(struct bench_engine *e, const struct answer *a, uint32_t epoch, uint64_t now)
{
	uint32_t nodes = e->transport->node_count;
	uint32_t hinted = nodes;

	if (a->payload_bytes == 6 && epoch >= e->epoch) {
		uint32_t address = __builtin_bswap32(sf_load32(a->payload));
		hinted = e->transport->find_node(e->transport, address, sf_load16(a->payload + 4));
	}
	if (hinted < nodes && hinted != a->node)
		bench_set_target(e, hinted, now);
	else if (hinted == nodes && a->node == e->target)
		bench_set_target(e, a->node + 1 < nodes ? a->node + 1 : 0, now);
}

/* The primary lives on this node. */
static inline void
heard_from_primary(struct bench_engine *e, uint32_t node, uint32_t epoch, uint64_t now)
{
	if (epoch < e->epoch)
		return;
	e->epoch = epoch;
	if (__builtin_expect(node != e->target, 0))
		bench_set_target(e, node, now);
	e->heard_ns = now;
}

/* The gap in the answers ends; after a long one all requests go out again at once. */
static inline void note_progress(struct bench_engine *e, uint64_t now)
{
	if (__builtin_expect(now == e->progress_ns, 1))
		return; /* noted by an earlier answer of this burst */
	uint64_t gap = bench_elapsed_ns(now, e->progress_ns);
	e->progress_ns = now;
	if (gap > e->longest_gap_ns && e->phase >= BENCH_RUNNING)
		e->longest_gap_ns = gap;
	if (__builtin_expect(gap > e->options->timeout_ns, 0))
		bench_hurry(e, now);
}

static inline void
record_answer(struct bench_engine *e, const struct bench_slot *slot, uint64_t now)
{
	e->counters.answered++;
	e->last_answer_ns = now;
	bench_latency_record(&e->latency, now - slot->intended_ns, now - slot->sent_ns);
	if (__builtin_expect(e->trace != NULL, 0) && e->trace_count < e->trace_room)
		e->trace[e->trace_count++] = (struct bench_trace){slot->intended_ns, now};
}

void bench_give_up(
	struct bench_engine *e, struct bench_session *s, struct bench_slot *slot, uint64_t now
)
{
	if (slot->kind == BENCH_UPDATE && e->options->ledger)
		bench_ledger_unknown(&e->ledger, slot->asset, slot->delta);
	if (slot->kind == BENCH_UPDATE || slot->kind == BENCH_READ) {
		/* The wait is part of the distribution, or an outage would look like less load. */
		sf_histogram_record(e->latency.intended, now - slot->intended_ns, 1);
		e->counters.unanswered++;
	}
	bench_slot_done(e, s, slot);
}

/* A second answer to an update must be the first one again. */
static void
compare_repeat(struct bench_engine *e, const struct bench_slot *slot, const struct answer *a)
{
	e->counters.duplicates++;
	if (slot->kind != BENCH_UPDATE || !slot->answered || a->fields->status != CLI_OK)
		return;
	if (a->payload_bytes != sizeof(int64_t) || (int64_t)sf_load64(a->payload) != slot->value ||
	    a->fields->sequence != slot->sequence || a->fields->asset_version != slot->version)
		e->counters.differing_repeats++;
}

static void
take_ledger_read(struct bench_engine *e, const struct bench_slot *slot, const struct answer *a)
{
	const struct bench_record read = {
		.asset = slot->asset,
		.version = a->fields->asset_version,
		.sequence = sf_load64(a->payload + 8),
		.value = (int64_t)sf_load64(a->payload),
	};
	if (slot->kind == BENCH_FIRST_READ)
		bench_ledger_first(&e->ledger, &read);
	else
		bench_ledger_last(&e->ledger, &read);
}

static void take_read(
	struct bench_engine *e,
	struct bench_session *s,
	struct bench_slot *slot,
	const struct answer *a,
	uint64_t now
)
{
	if (slot->kind != BENCH_READ) {
		take_ledger_read(e, slot, a);
		bench_slot_done(e, s, slot);
		return;
	}
	e->counters.reads++;
	if (a->fields->asset_version < slot->least_version)
		e->counters.stale_reads++;
	if (e->options->ledger) {
		const struct bench_record read = {
			.asset = slot->asset,
			.version = a->fields->asset_version,
			.sequence = sf_load64(a->payload + 8),
			.value = (int64_t)sf_load64(a->payload),
		};
		bench_ledger_add(&e->ledger, &read);
	}
	record_answer(e, slot, now);
	bench_slot_done(e, s, slot);
}

static inline void
take_ok(struct bench_engine *e,
	struct bench_session *s,
	struct bench_slot *slot,
	const struct answer *a,
	uint64_t now)
{
	uint32_t expected = slot->delta != 0 ? sizeof(int64_t) : 16;
	if (__builtin_expect(a->payload_bytes != expected, 0) ||
	    __builtin_expect(a->fields->asset_id != e->options->first_asset + slot->asset, 0)) {
		e->counters.bad_answers++;
		return;
	}
	heard_from_primary(e, a->node, a->fields->epoch, now);
	note_progress(e, now);
	if (__builtin_expect(slot->delta == 0, 0)) {
		take_read(e, s, slot, a, now);
		return;
	}
	slot->sequence = a->fields->sequence;
	slot->version = a->fields->asset_version;
	slot->value = (int64_t)sf_load64(a->payload);
	slot->answered = true;
	e->counters.acked++;
	if (e->options->ledger) {
		const struct bench_record record = {
			.asset = slot->asset,
			.delta = slot->delta,
			.version = slot->version,
			.sequence = slot->sequence,
			.value = slot->value,
		};
		bench_ledger_add(&e->ledger, &record);
	}
	record_answer(e, slot, now);
	bench_slot_done(e, s, slot);
}

/* Everything but OK, which is rare. */
static void take_refusal(
	struct bench_engine *e,
	struct bench_session *s,
	struct bench_slot *slot,
	const struct answer *a,
	uint64_t now
)
{
	struct bench_counters *c = &e->counters;
	uint64_t pause = bench_back_off(e, BUSY_PAUSE_NS, slot->attempts, BUSY_PAUSE_CAP_NS);

	switch (a->fields->status) {
	case CLI_REJECTED:
		heard_from_primary(e, a->node, a->fields->epoch, now);
		note_progress(e, now);
		c->rejected++;
		if (slot->kind == BENCH_UPDATE || slot->kind == BENCH_READ)
			record_answer(e, slot, now);
		bench_slot_done(e, s, slot);
		return;
	case CLI_FORGOTTEN:
		heard_from_primary(e, a->node, a->fields->epoch, now);
		c->forgotten++;
		s->state = BENCH_SESSION_FORGOTTEN;
		bench_give_up(e, s, slot, now);
		return;
	case CLI_NOT_PRIMARY:
		c->not_primary++;
		follow_hint(e, a, a->fields->epoch, now);
		break;
	case CLI_BUSY:
		c->busy++;
		break;
	case CLI_OVERLOADED:
		c->overloaded++;
		break;
	case CLI_BAD_REQUEST:
		c->bad_request++;
		break;
	case CLI_UNAUTHORIZED:
		c->unauthorized++;
		break;
	default:
		c->bad_answers++;
		return;
	}
	slot->retry_at_ns = now + pause;
}

static inline void take_response(struct bench_engine *e, const struct answer *a, uint64_t now)
{
	struct bench_session *s = find_session(e, a->fields->client_id);
	struct bench_slot *slot = s != NULL ? bench_slot_of(s, a->fields->request_seq) : NULL;

	if (__builtin_expect(slot == NULL || slot->request_seq != a->fields->request_seq, 0))
		e->counters.stray_answers++;
	else if (__builtin_expect(!slot->waiting, 0))
		compare_repeat(e, slot, a);
	else if (__builtin_expect(a->fields->status == CLI_OK, 1))
		take_ok(e, s, slot, a, now);
	else
		take_refusal(e, s, slot, a, now);
}

static bool give_slots(struct bench_session *s, uint32_t max_inflight)
{
	uint32_t slots = (uint32_t)sf_next_power_of_two(max_inflight);
	void *fresh = calloc(slots, sizeof(*s->slots));
	if (fresh == NULL)
		return false;
	free(s->slots);
	s->slots = fresh;
	s->slot_mask = slots - 1;
	s->max_inflight = max_inflight;
	return true;
}

static void take_opened(
	struct bench_engine *e,
	const struct cli_session_opened *opened,
	const struct answer *a,
	uint64_t now
)
{
	struct bench_session *s = NULL;
	for (uint32_t i = 0; i < e->session_count && s == NULL; i++)
		if (e->sessions[i].nonce == opened->nonce)
			s = &e->sessions[i];
	if (s == NULL || s->state != BENCH_SESSION_OPENING)
		return;
	if (opened->status == CLI_NOT_PRIMARY)
		follow_hint(e, a, opened->epoch, now);
	if (opened->status != CLI_OK) {
		s->retry_at_ns =
			now + bench_back_off(e, BUSY_PAUSE_NS, s->attempts, BUSY_PAUSE_CAP_NS);
		return;
	}
	uint32_t window = opened->max_inflight < MAX_INFLIGHT ? opened->max_inflight : MAX_INFLIGHT;
	if (opened->client_id == 0 || window == 0 || !give_slots(s, window)) {
		e->counters.bad_answers++;
		return;
	}
	heard_from_primary(e, a->node, opened->epoch, now);
	s->client_id = opened->client_id;
	s->next_seq = 1;
	s->first_incomplete = 1;
	s->state = BENCH_SESSION_OPEN;
	e->counters.sessions_opened++;
	bench_map_client_ids(e);
}

/* The answer of nearly every update, to be recognised at a glance. */
struct update_answer {
	struct cli_header header;
	struct cli_update_response response;
	uint16_t payload_bytes;
	int64_t value;
} __attribute__((packed));

static const struct update_answer plain = {
	.header =
		{
			.block_bytes = sizeof(struct cli_update_response),
			.template_id = CLI_UPDATE_RESPONSE,
			.schema_id = CLI_SCHEMA_ID,
			.version = CLI_SCHEMA_VERSION,
		},
	.payload_bytes = sizeof(int64_t),
};

/* One message at the beginning of what is left; its bytes, or 0 when it makes no sense. */
static uint32_t
take_message(struct bench_engine *e, const uint8_t *at, uint32_t left, uint32_t node, uint64_t now)
{
	const struct cli_header *header = (const struct cli_header *)at;
	if (left < sizeof(*header) + sizeof(uint16_t) || header->schema_id != CLI_SCHEMA_ID)
		return 0;
	uint32_t block = header->block_bytes;
	if (left < sizeof(*header) + block + sizeof(uint16_t))
		return 0;
	const uint8_t *length = at + sizeof(*header) + block;
	struct answer a = {
		.fields = (const struct cli_update_response *)(header + 1),
		.payload = length + sizeof(uint16_t),
		.payload_bytes = sf_load16(length),
		.node = node,
	};
	uint32_t bytes = (uint32_t)(a.payload - at) + a.payload_bytes;
	if (bytes > left)
		return 0;
	if (header->template_id == CLI_UPDATE_RESPONSE &&
	    block >= sizeof(struct cli_update_response))
		take_response(e, &a, now);
	else if (header->template_id == CLI_SESSION_OPENED && block >= sizeof(struct cli_session_opened))
		take_opened(e, (const struct cli_session_opened *)(header + 1), &a, now);
	else
		e->counters.bad_answers++;
	return bytes;
}

static inline uint32_t
take_fast(struct bench_engine *e, const uint8_t *at, uint32_t left, uint32_t node, uint64_t now)
{
	const struct update_answer *m = (const struct update_answer *)at;
	if (__builtin_expect(left < sizeof(*m), 0) ||
	    __builtin_expect(sf_load64(&m->header) != sf_load64(&plain.header), 0) ||
	    __builtin_expect(m->payload_bytes != sizeof(m->value), 0))
		return take_message(e, at, left, node, now);
	const struct answer a = {
		.fields = &m->response,
		.payload = (const uint8_t *)&m->value,
		.payload_bytes = sizeof(m->value),
		.node = node,
	};
	take_response(e, &a, now);
	return sizeof(*m);
}

unsigned bench_take_answers(struct bench_engine *e)
{
	struct bench_datagram d[BENCH_BURST];
	uint32_t count = e->transport->receive(e->transport, d);
	if (count == 0)
		return 0;
	uint64_t now = bench_now_ns();
	for (uint32_t i = 0; i < count; i++) {
		uint32_t at = 0;
		while (at < d[i].length) {
			uint32_t bytes =
				take_fast(e, d[i].bytes + at, d[i].length - at, d[i].node, now);
			if (bytes == 0) {
				e->counters.bad_answers++;
				break;
			}
			at += bytes;
		}
	}
	return count;
}
