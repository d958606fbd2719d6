/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What the engine makes of datagrams. Which answers of a lower epoch count is said in route.h.
 */
#include "client/engine_state.h"
#include "client/wire.h"
#include "config/bytes.h"

/* Parses the hint of NOT_PRIMARY. NULL: none, or none that can be used. */
static const struct cli_address *
read_hint(struct cli_engine *engine, const struct cli_message *message, struct cli_address *hint)
{
	if (message->payload_bytes == 0)
		return NULL;
	if (message->payload_bytes != sizeof(hint->ip) + sizeof(uint16_t)) {
		engine->counters.bad_value++;
		return NULL;
	}
	memcpy(hint->ip, message->payload, sizeof(hint->ip));
	hint->port = sf_load16(message->payload + sizeof(hint->ip));
	if (hint->port == 0 || sf_load32(hint->ip) == 0) {
		engine->counters.bad_value++;
		return NULL;
	}
	return hint;
}

/* A node said that it is not, or is no longer, in charge. */
static void take_refusal(
	struct cli_engine *engine,
	uint32_t from,
	bool newer,
	const struct cli_address *hint,
	uint64_t now_ns
)
{
	switch (cli_route_refused(&engine->route, from, newer, hint)) {
	case CLI_ROUTE_NOW:
		engine->hold_ns = 0;
		break;
	case CLI_ROUTE_LATER:
		engine->hold_ns = now_ns + cli_engine_pause(engine, engine->route.refusal_count);
		break;
	case CLI_ROUTE_KEEP:
		break;
	}
}

/* One answer's way through the route: what its epoch and sender say. */
struct heard {
	uint32_t from;
	bool newer; /* epoch above all that were seen before */
	bool stale; /* epoch below one that was seen before */
};

static struct heard hear(struct cli_engine *engine, uint32_t from, uint32_t epoch, uint64_t now_ns)
{
	struct heard heard = {.from = from, .newer = epoch > engine->route.epoch};
	heard.stale = !cli_route_heard(&engine->route, from, epoch, now_ns);
	return heard;
}

static void finish_with_answer(
	struct cli_engine *engine,
	struct cli_slot *slot,
	const struct cli_update_response *response,
	const struct cli_message *message,
	uint64_t now_ns
)
{
	struct cli_result *result = &slot->result;
	enum cli_outcome outcome = CLI_OUTCOME_OK;
	if (response->status == CLI_REJECTED)
		outcome = CLI_OUTCOME_REJECTED;
	else if (response->status != CLI_OK)
		/* This copy was refused. Only when there was no other, and a read has no effect
		 * anyway, does that say something about the request. */
		outcome = result->copies == 1 || slot->read_only ? CLI_OUTCOME_REFUSED
								 : CLI_OUTCOME_UNKNOWN;
	result->sequence = response->sequence;
	result->asset_version = response->asset_version;
	result->epoch = response->epoch;
	result->status = response->status;
	result->repeat = (response->flags & CLI_RESPONSE_REPEAT) != 0;
	result->payload_bytes = message->payload_bytes;
	memcpy(slot->bytes, message->payload, message->payload_bytes);
	cli_engine_finish(engine, slot, outcome, CLI_CAUSE_ANSWER, now_ns);
}

static void back_off(struct cli_engine *engine, struct cli_slot *slot, uint64_t now_ns)
{
	cli_route_useful(&engine->route);
	slot->awaiting = false;
	slot->due_ns = now_ns + cli_engine_pause(engine, slot->attempts);
	engine->fresh_ns = sf_max64(engine->fresh_ns, slot->due_ns);
	engine->wake_ns = 0;
}

static void answer_slot(
	struct cli_engine *engine,
	struct cli_slot *slot,
	const struct cli_update_response *response,
	const struct cli_message *message,
	struct heard heard,
	uint64_t now_ns
)
{
	struct cli_counters *counters = &engine->counters;
	struct cli_address address;
	const struct cli_address *hint = NULL;
	uint8_t status = response->status;
	if (heard.stale && status != CLI_OK && status != CLI_REJECTED) {
		counters->stale_epoch++;
		status = CLI_NOT_PRIMARY;
	} else {
		slot->result.status = status;
		if (status == CLI_NOT_PRIMARY)
			hint = read_hint(engine, message, &address);
	}

	switch (status) {
	case CLI_NOT_PRIMARY: {
		counters->not_primary++;
		/* A newer copy may be on its way to another node already; leave that one alone. */
		bool last_copy = slot->target == heard.from;
		take_refusal(engine, heard.from, heard.newer, hint, now_ns);
		if (last_copy) {
			slot->awaiting = false;
			slot->due_ns = now_ns;
			engine->wake_ns = 0;
		}
		break;
	}
	case CLI_BUSY:
	case CLI_OVERLOADED:
		counters->busy += status == CLI_BUSY;
		counters->overloaded += status == CLI_OVERLOADED;
		back_off(engine, slot, now_ns);
		break;
	case CLI_FORGOTTEN:
		/* This client never sends a firstIncompleteSeq above an open requestSeq, so it can
		 * only be the session that is gone, and with it the answers to all that was sent.
		 */
		counters->forgotten++;
		counters->sessions_lost++;
		slot->result.epoch = response->epoch;
		cli_engine_drop_sent(engine, CLI_CAUSE_SESSION, now_ns);
		cli_engine_reopen(engine, now_ns);
		break;
	default:
		cli_route_useful(&engine->route);
		counters->bad_request += status == CLI_BAD_REQUEST;
		counters->unauthorized += status == CLI_UNAUTHORIZED;
		finish_with_answer(engine, slot, response, message, now_ns);
		break;
	}
}

static void read_response(
	struct cli_engine *engine, uint32_t from, const struct cli_message *message, uint64_t now_ns
)
{
	struct cli_update_response response;
	memcpy(&response, message->block, sizeof(response));
	if (response.status > CLI_OVERLOADED || message->payload_bytes > CLI_MAX_ANSWER_BYTES) {
		engine->counters.bad_value++;
		return;
	}
	if (engine->state != CLI_STATE_OPEN || response.client_id != engine->client_id) {
		engine->counters.foreign_session++;
		return;
	}
	if (response.request_seq == 0 || response.request_seq >= engine->next_seq) {
		engine->counters.never_asked++;
		return;
	}
	struct heard heard = hear(engine, from, response.epoch, now_ns);
	uint32_t index = CLI_NONE;
	if (response.request_seq >= engine->first_incomplete)
		index = engine->window[response.request_seq & engine->window_mask];
	if (index == CLI_NONE) {
		engine->counters.duplicate++;
		return;
	}
	answer_slot(engine, &engine->slots[index], &response, message, heard, now_ns);
}

static void
session_is_open(struct cli_engine *engine, const struct cli_session_opened *opened, uint64_t now_ns)
{
	if (opened->client_id == 0 || opened->max_inflight == 0) {
		engine->counters.bad_value++;
		return;
	}
	cli_route_useful(&engine->route);
	engine->counters.sessions_opened++;
	engine->state = CLI_STATE_OPEN;
	engine->client_id = opened->client_id;
	engine->max_inflight = opened->max_inflight;
	engine->used_ns = now_ns;
	engine->hold_ns = 0;
	engine->fresh_ns = 0;
	engine->wake_ns = 0;
}

static void read_opened(
	struct cli_engine *engine, uint32_t from, const struct cli_message *message, uint64_t now_ns
)
{
	struct cli_session_opened opened;
	struct cli_address address;
	const struct cli_address *hint = NULL;
	memcpy(&opened, message->block, sizeof(opened));
	if (opened.nonce != engine->nonce || engine->state == CLI_STATE_CLOSED) {
		engine->counters.foreign_session++;
		return;
	}
	if (engine->state != CLI_STATE_OPENING) {
		engine->counters.duplicate++;
		return;
	}
	struct heard heard = hear(engine, from, opened.epoch, now_ns);
	if (heard.stale && opened.status != CLI_OK) {
		engine->counters.stale_epoch++;
		opened.status = CLI_NOT_PRIMARY;
	} else if (opened.status == CLI_NOT_PRIMARY) {
		hint = read_hint(engine, message, &address);
	}

	switch (opened.status) {
	case CLI_OK:
		session_is_open(engine, &opened, now_ns);
		break;
	case CLI_NOT_PRIMARY: {
		engine->counters.not_primary++;
		bool last_copy = engine->open_target == from;
		take_refusal(engine, from, heard.newer, hint, now_ns);
		if (last_copy) {
			engine->open_awaiting = false;
			engine->open_due_ns = now_ns;
		}
		break;
	}
	case CLI_BUSY:
		engine->counters.busy++;
		cli_route_useful(&engine->route);
		engine->open_awaiting = false;
		engine->open_due_ns = now_ns + cli_engine_pause(engine, engine->open_attempts);
		break;
	case CLI_BAD_REQUEST:
	case CLI_UNAUTHORIZED:
		engine->counters.bad_request += opened.status == CLI_BAD_REQUEST;
		engine->counters.unauthorized += opened.status == CLI_UNAUTHORIZED;
		engine->state = CLI_STATE_REFUSED;
		cli_engine_drop_queued(engine, CLI_CAUSE_SESSION, opened.status, now_ns);
		break;
	default:
		engine->counters.bad_value++;
		break;
	}
	engine->wake_ns = 0;
}

static void count_broken(struct cli_counters *counters, enum cli_wire_reason reason)
{
	switch (reason) {
	case CLI_WIRE_SHORT_HEADER:
		counters->short_header++;
		break;
	case CLI_WIRE_WRONG_SCHEMA:
		counters->wrong_schema++;
		break;
	case CLI_WIRE_TRUNCATED:
		counters->truncated++;
		break;
	case CLI_WIRE_SHORT_BLOCK:
		counters->short_block++;
		break;
	case CLI_WIRE_NOT_AN_ANSWER:
		counters->not_an_answer++;
		break;
	case CLI_WIRE_OK:
	case CLI_WIRE_END:
		break;
	}
}

void cli_engine_read(
	struct cli_engine *engine,
	const struct cli_address *from,
	const void *data,
	size_t bytes,
	uint64_t now_ns
)
{
	struct cli_counters *counters = &engine->counters;
	struct cli_cursor cursor = {data, bytes};
	struct cli_message message;
	enum cli_wire_reason reason;
	counters->datagrams_received++;
	if (bytes > CLI_MAX_DATAGRAM_BYTES) {
		counters->oversize++;
		return;
	}
	int sender = cli_route_find(&engine->route, from);
	if (sender < 0) {
		counters->foreign_source++;
		return;
	}
	for (;;) {
		reason = cli_wire_next(&cursor, &message);
		count_broken(counters, reason);
		if (reason == CLI_WIRE_NOT_AN_ANSWER)
			continue;
		if (reason != CLI_WIRE_OK)
			return;
		if (message.template_id == CLI_UPDATE_RESPONSE)
			read_response(engine, (uint32_t)sender, &message, now_ns);
		else
			read_opened(engine, (uint32_t)sender, &message, now_ns);
	}
}
