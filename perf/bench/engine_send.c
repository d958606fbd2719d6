/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The engine's sending side: what is due, what is due again, and the search for the primary. */
#include "client/messages.h"
#include "config/bytes.h"
#include "perf/bench/engine.h"

#include <string.h>

#define LATE_NS 1000000u	/* an open-loop request sent later than this is "behind schedule" */
#define SWEEP_NS 500000u	/* between two looks at all waiting requests */
#define PROBE_NS 1000000u	/* between two probes while no answers come */
#define RETRY_CAP 4		/* times the timeout, the longest pause between retries */
#define OPEN_RETRY_NS 20000000u /* of OpenSession, whatever the requests' timeout */

/* An update of the register model as it lies in the datagram; a read is the same without delta. */
struct request_message {
	struct cli_header header;
	struct cli_update_request request;
	uint16_t payload_bytes;
	int64_t delta;
} __attribute__((packed));

#define UPDATE_BYTES sizeof(struct request_message)
#define READ_BYTES offsetof(struct request_message, delta)
STATIC_CHECK(UPDATE_BYTES == CLI_MESSAGE_BYTES(struct cli_update_request, 8), "no padding");

#define REQUEST_HEADER                                                         \
	{                                                                      \
		.block_bytes = sizeof(struct cli_update_request),              \
		.template_id = CLI_UPDATE_REQUEST, .schema_id = CLI_SCHEMA_ID, \
		.version = CLI_SCHEMA_VERSION,                                 \
	}
static const struct request_message update_template = {
	.header = REQUEST_HEADER,
	.request.opcode = CLI_REGISTER_ADD,
	.payload_bytes = sizeof(int64_t),
};
static const struct request_message read_template = {
	.header = REQUEST_HEADER,
	.request.opcode = CLI_REGISTER_GET,
	.request.flags = CLI_REQUEST_READ_ONLY,
};

/* Appends a request to a datagram. */
static inline void put_request(
	const struct bench_engine *e,
	const struct bench_session *s,
	const struct bench_slot *slot,
	struct bench_datagram *d
)
{
	struct request_message *m = (struct request_message *)(d->bytes + d->length);
	uint64_t asset_id = e->options->first_asset + slot->asset;
	uint64_t sum = d->sum;

	if (__builtin_expect(slot->delta != 0, 1)) {
		int64_t delta = slot->delta;
		uint32_t more = e->options->payload - (uint32_t)sizeof(delta);
		*m = update_template;
		m->delta = delta;
		d->length += UPDATE_BYTES + more;
		if (__builtin_expect(more != 0, 0)) {
			m->payload_bytes = (uint16_t)e->options->payload;
			memset(m + 1, 0, more); /* nothing to the sum */
		}
		sum = bench_sum_add(sum, e->update_sum);
		sum = bench_sum_add(sum, (uint64_t)delta);
	} else {
		memcpy(m, &read_template, READ_BYTES);
		d->length += READ_BYTES;
		sum = bench_sum_add(sum, e->read_sum);
	}
	m->request.client_id = s->client_id;
	sum = bench_sum_add(sum, s->client_id);
	m->request.request_seq = slot->request_seq;
	sum = bench_sum_add(sum, slot->request_seq);
	m->request.first_incomplete_seq = s->first_incomplete;
	sum = bench_sum_add(sum, s->first_incomplete);
	m->request.asset_id = asset_id;
	d->sum = bench_sum_add(sum, asset_id);
}

void bench_prepare_sums(struct bench_engine *e)
{
	struct request_message update = update_template;
	update.payload_bytes = (uint16_t)e->options->payload;
	e->update_sum = bench_sum_bytes(&update, UPDATE_BYTES);
	e->read_sum = bench_sum_bytes(&read_template, READ_BYTES);
}

/* What the plan says a new request is. */
static inline void draw_request(struct bench_engine *e, struct bench_slot *slot)
{
	uint64_t random = bench_random(e);
	slot->asset = (uint32_t)((random >> 32) * e->options->assets >> 32);
	slot->delta = (int32_t)((uint32_t)random >> 1) - (1 << 30);
	if (slot->delta == 0)
		slot->delta = 1;
	slot->kind = BENCH_UPDATE;
	if (__builtin_expect(e->read_limit != 0, 0) && (bench_random(e) >> 32) < e->read_limit) {
		slot->delta = 0;
		slot->kind = BENCH_READ;
		slot->least_version = e->ledger.assets[slot->asset].acked_version;
	}
}

/* Reads of the ledger, in the order of the assets; those already known are skipped. */
static void draw_ledger_read(struct bench_engine *e, struct bench_slot *slot)
{
	bool first = e->phase == BENCH_FIRST_READS;
	slot->asset = e->next_asset++;
	slot->delta = 0;
	slot->kind = first ? BENCH_FIRST_READ : BENCH_LAST_READ;
	slot->least_version = e->ledger.assets[slot->asset].acked_version;
}

/* Moves next_asset to one that must still be read; false when there is none in this pass. */
static bool ledger_read_is_due(struct bench_engine *e)
{
	bool first = e->phase == BENCH_FIRST_READS;
	for (; e->next_asset < e->ledger.asset_count; e->next_asset++) {
		const struct bench_asset *asset = &e->ledger.assets[e->next_asset];
		if (!(first ? asset->first_read : asset->last_read))
			return e->waiting < e->outstanding;
	}
	return false;
}

/* Open loop: the batch that is due, or what is left of it. */
static uint32_t batch_due(struct bench_engine *e, uint64_t now)
{
	if (e->batch_left == 0) {
		uint64_t due = e->start_ns + (e->due_q10 >> 10);
		if (due > now || e->remaining == 0)
			return 0;
		if (due >= e->stop_sending_ns) {
			e->remaining = 0;
			return 0;
		}
		e->batch_intended_ns = due;
		e->due_q10 += e->step_q10;
		e->batch_left = (uint32_t)sf_min64(e->options->batch, e->remaining);
	}
	return e->batch_left;
}

/* How many requests may be sent now; batch_intended_ns says when they were due. */
static uint32_t count_due(struct bench_engine *e, uint64_t now)
{
	if (e->phase == BENCH_RUNNING && e->options->rate != 0)
		return batch_due(e, now);
	e->batch_intended_ns = now;
	if (e->phase == BENCH_FIRST_READS || e->phase == BENCH_LAST_READS)
		return ledger_read_is_due(e) ? 1 : 0;
	if (e->phase != BENCH_RUNNING)
		return 0;
	if (now >= e->stop_sending_ns)
		e->remaining = 0;
	uint32_t free = e->outstanding > e->waiting ? e->outstanding - e->waiting : 0;
	return (uint32_t)sf_min64(free, e->remaining);
}

/* A session that may have one more request under way, in turn; NULL when all windows are full. */
static struct bench_session *session_with_room(struct bench_engine *e)
{
	for (uint32_t i = 0; i < e->session_count; i++) {
		uint32_t at = e->cursor;
		e->cursor = at + 1 < e->session_count ? at + 1 : 0;
		struct bench_session *s = &e->sessions[at];
		if (s->state == BENCH_SESSION_OPEN &&
		    s->next_seq - s->first_incomplete < s->max_inflight)
			return s;
	}
	return NULL;
}

static inline struct bench_slot *
new_slot(const struct bench_engine *e, struct bench_session *s, uint64_t now)
{
	struct bench_slot *slot = bench_slot_of(s, s->next_seq);
	slot->request_seq = s->next_seq++;
	slot->intended_ns = e->batch_intended_ns;
	slot->sent_ns = now;
	slot->retry_at_ns = now + e->options->timeout_ns;
	slot->attempts = 0;
	slot->waiting = true;
	slot->answered = false;
	return slot;
}

/* Fills datagrams with requests of one session; returns the datagrams used. */
static inline uint32_t fill_datagrams(
	struct bench_engine *e,
	struct bench_session *s,
	struct bench_datagram *d,
	uint32_t datagrams,
	uint32_t count,
	uint64_t now
)
{
	uint32_t used = 0;
	while (count != 0 && used < datagrams) {
		uint32_t batch = e->options->batch < count ? e->options->batch : count;
		d[used].length = 0;
		d[used].sum = 0;
		count -= batch;
		do {
			struct bench_slot *slot = new_slot(e, s, now);
			if (__builtin_expect(e->phase == BENCH_RUNNING, 1))
				draw_request(e, slot);
			else
				draw_ledger_read(e, slot);
			put_request(e, s, slot, &d[used]);
		} while (--batch != 0);
		used++;
	}
	return used;
}

static void note_sent(struct bench_engine *e, struct bench_session *s, uint32_t count, uint64_t now)
{
	if (e->waiting == 0)
		e->progress_ns = now;
	s->waiting += count;
	e->waiting += count;
	if (e->phase != BENCH_RUNNING)
		return;
	e->remaining -= count;
	e->counters.sent += count;
	if (e->options->rate == 0)
		return;
	e->batch_left -= count;
	uint64_t late = now - e->batch_intended_ns;
	if (late > e->counters.worst_behind_ns)
		e->counters.worst_behind_ns = late;
	if (late > LATE_NS)
		e->counters.behind_schedule += count;
}

unsigned bench_send_due(struct bench_engine *e, uint64_t now)
{
	struct bench_datagram *d = NULL;
	uint32_t used = 0;
	unsigned sent = 0;

	while (used < BENCH_BURST) {
		uint32_t due = count_due(e, now);
		struct bench_session *s = due != 0 ? session_with_room(e) : NULL;
		if (s == NULL)
			break;
		if (d == NULL)
			d = e->transport->prepare(e->transport, e->target);
		uint32_t room = s->max_inflight - (uint32_t)(s->next_seq - s->first_incomplete);
		uint64_t before = s->next_seq;
		used += fill_datagrams(
			e, s, d + used, BENCH_BURST - used, due < room ? due : room, now
		);
		uint32_t count = (uint32_t)(s->next_seq - before);
		note_sent(e, s, count, now);
		sent += count;
	}
	if (used != 0)
		e->transport->send(e->transport, e->target, used);
	return sent;
}

uint64_t bench_back_off(struct bench_engine *e, uint64_t base_ns, unsigned attempts, uint64_t cap)
{
	uint64_t pause = base_ns << (attempts < 16 ? attempts : 16);
	if (pause > cap)
		pause = cap;
	return pause - (pause / 4 * (bench_random(e) >> 48) >> 16);
}

void bench_set_target(struct bench_engine *e, uint32_t node, uint64_t now)
{
	if (node != e->target)
		e->counters.target_changes++;
	e->target = node;
	e->heard_ns = now;
}

/* Sends one message on its own. */
static void send_alone(
	struct bench_engine *e,
	const struct bench_session *s,
	const struct bench_slot *slot,
	uint32_t node
)
{
	struct bench_datagram *d = e->transport->prepare(e->transport, node);
	d->length = 0;
	d->sum = 0;
	put_request(e, s, slot, d);
	e->transport->send(e->transport, node, 1);
}

static void send_bytes(struct bench_engine *e, const void *bytes, uint32_t count)
{
	struct bench_datagram *d = e->transport->prepare(e->transport, e->target);
	memcpy(d->bytes, bytes, count);
	d->length = count;
	d->sum = bench_sum_bytes(bytes, count);
	e->transport->send(e->transport, e->target, 1);
}

static void
retry(struct bench_engine *e, struct bench_session *s, struct bench_slot *slot, uint64_t now)
{
	uint64_t timeout = e->options->timeout_ns;
	if (slot->attempts < UINT8_MAX)
		slot->attempts++;
	slot->retry_at_ns = now + bench_back_off(e, timeout, slot->attempts, RETRY_CAP * timeout);
	e->counters.retried++;
	send_alone(e, s, slot, e->target);
}

static void open_session(struct bench_engine *e, struct bench_session *s, uint64_t now)
{
	struct {
		struct cli_header header;
		struct cli_open_session open;
		uint16_t payload_bytes;
	} __attribute__((packed)) message = {
		.header = REQUEST_HEADER,
		.open.nonce = s->nonce,
	};
	if (s->attempts < UINT8_MAX)
		s->attempts++;
	s->retry_at_ns =
		now + bench_back_off(e, OPEN_RETRY_NS, s->attempts, RETRY_CAP * OPEN_RETRY_NS);
	message.header.template_id = CLI_OPEN_SESSION;
	message.header.block_bytes = sizeof(message.open);
	send_bytes(e, &message, sizeof(message));
}

void bench_close_sessions(struct bench_engine *e)
{
	struct {
		struct cli_header header;
		struct cli_close_session close;
		uint16_t payload_bytes;
	} __attribute__((packed)) message = {.header = REQUEST_HEADER};

	message.header.template_id = CLI_CLOSE_SESSION;
	message.header.block_bytes = sizeof(message.close);
	for (uint32_t i = 0; i < e->session_count; i++) {
		struct bench_session *s = &e->sessions[i];
		if (s->state != BENCH_SESSION_OPEN || s->waiting != 0)
			continue;
		s->state = BENCH_SESSION_CLOSED;
		message.close.client_id = s->client_id;
		send_bytes(e, &message, sizeof(message));
	}
}

static void sweep_session(struct bench_engine *e, struct bench_session *s, uint64_t now)
{
	if (s->state == BENCH_SESSION_FORGOTTEN && s->waiting == 0) {
		s->state = BENCH_SESSION_OPENING;
		s->nonce = bench_random(e) | 1;
		s->attempts = 0;
		s->retry_at_ns = now;
	}
	if (s->state == BENCH_SESSION_OPENING && now >= s->retry_at_ns)
		open_session(e, s, now);
	for (uint64_t seq = s->first_incomplete; seq < s->next_seq && s->waiting != 0; seq++) {
		struct bench_slot *slot = bench_slot_of(s, seq);
		if (slot->waiting && now >= slot->retry_at_ns)
			retry(e, s, slot, now);
	}
}

/* While no answers come, each millisecond the oldest request of some session goes to the next node
 * in turn: so the end of an outage is seen within about that time, however long the retries wait.
 */
static void probe(struct bench_engine *e, uint64_t now)
{
	e->next_probe_ns = now + PROBE_NS;
	e->probe_node = e->probe_node + 1 < e->transport->node_count ? e->probe_node + 1 : 0;
	for (uint32_t i = 0; i < e->session_count; i++) {
		struct bench_session *s = &e->sessions[i];
		if (s->waiting == 0)
			continue;
		e->counters.retried++;
		send_alone(e, s, bench_slot_of(s, s->first_incomplete), e->probe_node);
		return;
	}
}

void bench_sweep(struct bench_engine *e, uint64_t now)
{
	bool opening = e->phase == BENCH_OPENING;
	uint64_t timeout = e->options->timeout_ns;

	if (now < e->next_sweep_ns)
		return;
	e->next_sweep_ns = now + SWEEP_NS;
	uint64_t silent = bench_elapsed_ns(now, sf_max64(e->heard_ns, e->progress_ns));
	if (opening ? silent > OPEN_RETRY_NS : e->waiting != 0 && silent > timeout) {
		uint32_t next = e->target + 1;
		bench_set_target(e, next < e->transport->node_count ? next : 0, now);
		if (e->transport->renew != NULL)
			e->transport->renew(e->transport);
	}
	for (uint32_t i = 0; i < e->session_count; i++)
		sweep_session(e, &e->sessions[i], now);
	uint64_t gap = bench_elapsed_ns(now, e->progress_ns);
	if (e->waiting != 0 && gap > timeout && now >= e->next_probe_ns)
		probe(e, now);
}

void bench_hurry(struct bench_engine *e, uint64_t now)
{
	for (uint32_t i = 0; i < e->session_count; i++) {
		struct bench_session *s = &e->sessions[i];
		s->retry_at_ns = now;
		for (uint64_t seq = s->first_incomplete; seq < s->next_seq; seq++) {
			struct bench_slot *slot = bench_slot_of(s, seq);
			if (slot->waiting)
				slot->retry_at_ns =
					now + (PROBE_NS * (bench_random(e) >> 48) >> 16);
		}
	}
}
