/* SPDX-License-Identifier: BSD-3-Clause */
#include "client/engine_state.h"
#include "client/wire.h"
#include "config/bytes.h"

#include <errno.h>
#include <stdlib.h>

/* ---- lists and randomness ---- */

static void list_push(struct cli_engine *engine, struct cli_list *list, uint32_t index)
{
	engine->slots[index].next = CLI_NONE;
	if (list->tail == CLI_NONE)
		list->head = index;
	else
		engine->slots[list->tail].next = index;
	list->tail = index;
}

static uint32_t list_pop(struct cli_engine *engine, struct cli_list *list)
{
	uint32_t index = list->head;
	if (index == CLI_NONE)
		return index;
	list->head = engine->slots[index].next;
	if (list->head == CLI_NONE)
		list->tail = CLI_NONE;
	return index;
}

/* SplitMix64 (Steele, Lea, Flood 2014): one state word, and every seed gives another stream. */
static uint64_t next_random(struct cli_engine *engine)
{
	uint64_t z = engine->random_state += 0x9e3779b97f4a7c15ull;
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
	return z ^ (z >> 31);
}

uint64_t cli_engine_pause(struct cli_engine *engine, uint32_t attempts)
{
	uint64_t pause_ns = engine->options.retry_min_ns;
	for (uint32_t i = 1; i < attempts && pause_ns < engine->options.retry_max_ns; i++)
		pause_ns *= 2;
	pause_ns = sf_min64(pause_ns, engine->options.retry_max_ns);
	return pause_ns - next_random(engine) % (pause_ns / 2 + 1);
}

static uint64_t later(uint64_t now_ns, uint64_t pause_ns)
{
	return now_ns > CLI_NEVER - pause_ns ? CLI_NEVER : now_ns + pause_ns;
}

/* ---- life ---- */

void cli_engine_reopen(struct cli_engine *engine, uint64_t now_ns)
{
	engine->state = CLI_STATE_OPENING;
	engine->client_id = 0;
	engine->max_inflight = 0;
	do
		engine->nonce = next_random(engine);
	while (engine->nonce == 0);
	engine->open_attempts = 0;
	engine->open_awaiting = false;
	engine->open_due_ns = now_ns;
	engine->next_seq = 1;
	engine->first_incomplete = 1;
	engine->wake_ns = 0;
}

static bool take_options(struct cli_options *options)
{
	if (options->window == 0)
		options->window = 64;
	if (options->batch == 0)
		options->batch = CLI_MAX_DATAGRAM_BYTES;
	if (options->retry_min_ns == 0)
		options->retry_min_ns = 20 * 1000 * 1000ull;
	if (options->retry_max_ns == 0)
		options->retry_max_ns = 1000 * 1000 * 1000ull;
	if (options->session_idle_ns == 0)
		options->session_idle_ns = 1800 * 1000 * 1000 * 1000ull;
	if (options->node_count == 0 || options->node_count > CLI_MAX_NODES)
		return false;
	return options->window <= CLI_MAX_WINDOW && options->retry_max_ns < CLI_NEVER / 4 &&
	       options->retry_min_ns <= options->retry_max_ns;
}

int cli_engine_create(struct cli_engine **out, const struct cli_options *given, uint64_t now_ns)
{
	struct cli_options options = *given;
	*out = NULL;
	if (!take_options(&options))
		return -EINVAL;
	uint32_t ring = (uint32_t)sf_next_power_of_two(options.window);
	struct cli_engine *engine = calloc(1, sizeof(*engine));
	if (engine == NULL)
		return -ENOMEM;
	engine->slots = calloc(options.window, sizeof(engine->slots[0]));
	engine->window = malloc(ring * sizeof(engine->window[0]));
	if (engine->slots == NULL || engine->window == NULL) {
		cli_engine_destroy(engine);
		return -ENOMEM;
	}
	engine->options = options;
	engine->window_mask = ring - 1;
	engine->free = engine->queued = engine->done = (struct cli_list){CLI_NONE, CLI_NONE};
	for (uint32_t i = 0; i < ring; i++)
		engine->window[i] = CLI_NONE;
	for (uint32_t i = 0; i < options.window; i++)
		list_push(engine, &engine->free, i);
	engine->random_state = options.seed;
	cli_route_init(&engine->route, options.nodes, options.node_count);
	cli_engine_reopen(engine, now_ns);
	*out = engine;
	return 0;
}

void cli_engine_destroy(struct cli_engine *engine)
{
	if (engine == NULL)
		return;
	free(engine->window);
	free(engine->slots);
	free(engine);
}

/* ---- outcomes ---- */

void cli_engine_finish(
	struct cli_engine *engine,
	struct cli_slot *slot,
	enum cli_outcome outcome,
	enum cli_cause cause,
	uint64_t now_ns
)
{
	slot->result.outcome = outcome;
	slot->result.cause = cause;
	slot->result.finished_ns = now_ns;
	engine->counters.results++;
	engine->counters.unknown += outcome == CLI_OUTCOME_UNKNOWN;
	if (slot->result.request_seq != 0)
		engine->window[slot->result.request_seq & engine->window_mask] = CLI_NONE;
	list_push(engine, &engine->done, (uint32_t)(slot - engine->slots));
	/* Also an unknown request is behind us: it is never sent again, and a node that learns so
	 * applies no straying copy of it any more. Without this the window would stay shut. */
	while (engine->first_incomplete < engine->next_seq &&
	       engine->window[engine->first_incomplete & engine->window_mask] == CLI_NONE)
		engine->first_incomplete++;
	engine->wake_ns = 0;
}

void cli_engine_drop_queued(
	struct cli_engine *engine, enum cli_cause cause, uint8_t status, uint64_t now_ns
)
{
	uint32_t index;
	while ((index = list_pop(engine, &engine->queued)) != CLI_NONE) {
		engine->slots[index].result.status = status;
		cli_engine_finish(
			engine, &engine->slots[index], CLI_OUTCOME_NOT_SENT, cause, now_ns
		);
	}
}

void cli_engine_drop_sent(struct cli_engine *engine, enum cli_cause cause, uint64_t now_ns)
{
	for (uint64_t seq = engine->first_incomplete; seq < engine->next_seq; seq++) {
		uint32_t index = engine->window[seq & engine->window_mask];
		if (index != CLI_NONE)
			cli_engine_finish(
				engine, &engine->slots[index], CLI_OUTCOME_UNKNOWN, cause, now_ns
			);
	}
}

static void expire_sent(struct cli_engine *engine, uint64_t now_ns)
{
	for (uint64_t seq = engine->first_incomplete; seq < engine->next_seq; seq++) {
		uint32_t index = engine->window[seq & engine->window_mask];
		if (index != CLI_NONE && engine->slots[index].deadline_ns <= now_ns)
			cli_engine_finish(
				engine,
				&engine->slots[index],
				CLI_OUTCOME_UNKNOWN,
				CLI_CAUSE_DEADLINE,
				now_ns
			);
	}
}

static void expire_queued(struct cli_engine *engine, uint64_t now_ns)
{
	struct cli_list old = engine->queued;
	uint32_t index;
	engine->queued = (struct cli_list){CLI_NONE, CLI_NONE};
	while ((index = list_pop(engine, &old)) != CLI_NONE) {
		struct cli_slot *slot = &engine->slots[index];
		if (slot->deadline_ns > now_ns)
			list_push(engine, &engine->queued, index);
		else
			cli_engine_finish(
				engine, slot, CLI_OUTCOME_NOT_SENT, CLI_CAUSE_DEADLINE, now_ns
			);
	}
}

/* ---- what the caller does ---- */

int cli_engine_submit(struct cli_engine *engine, const struct cli_request *request, uint64_t now_ns)
{
	if (engine->state == CLI_STATE_CLOSED)
		return -ESHUTDOWN;
	if (engine->state == CLI_STATE_REFUSED)
		return -EACCES;
	if (request->payload_bytes > CLI_MAX_PAYLOAD_BYTES)
		return -EINVAL;
	uint32_t index = list_pop(engine, &engine->free);
	if (index == CLI_NONE)
		return -EAGAIN;
	struct cli_slot *slot = &engine->slots[index];
	slot->result = (struct cli_result){
		.user = request->user,
		.asset_id = request->asset_id,
		.status = CLI_NO_STATUS,
	};
	slot->deadline_ns = request->deadline_ns == 0 ? CLI_NEVER : request->deadline_ns;
	slot->opcode = request->opcode;
	slot->read_only = request->read_only;
	slot->request_bytes = request->payload_bytes;
	slot->attempts = 0;
	slot->awaiting = false;
	if (request->payload_bytes > 0)
		memcpy(slot->bytes, request->payload, request->payload_bytes);
	list_push(engine, &engine->queued, index);
	engine->pending_count++;
	cli_engine_wake(engine, now_ns);
	return 0;
}

bool cli_engine_result(struct cli_engine *engine, struct cli_result *result)
{
	uint32_t index = list_pop(engine, &engine->done);
	if (index == CLI_NONE)
		return false;
	*result = engine->slots[index].result;
	result->payload = engine->slots[index].bytes;
	list_push(engine, &engine->free, index);
	engine->pending_count--;
	return true;
}

void cli_engine_close(struct cli_engine *engine, uint64_t now_ns)
{
	if (engine->state == CLI_STATE_CLOSED)
		return;
	cli_engine_drop_sent(engine, CLI_CAUSE_CLOSED, now_ns);
	cli_engine_drop_queued(engine, CLI_CAUSE_CLOSED, CLI_NO_STATUS, now_ns);
	engine->say_close = engine->state == CLI_STATE_OPEN;
	engine->state = CLI_STATE_CLOSED;
}

/* ---- what goes out ---- */

static size_t write_close(struct cli_engine *engine, void *data)
{
	struct cli_close_session block = {.client_id = engine->client_id};
	size_t bytes = 0;
	engine->say_close = false;
	cli_wire_append(
		data,
		&bytes,
		CLI_MAX_DATAGRAM_BYTES,
		CLI_CLOSE_SESSION,
		&block,
		sizeof(block),
		NULL,
		0
	);
	return bytes;
}

static size_t write_open(struct cli_engine *engine, void *data, uint64_t now_ns)
{
	if (engine->open_due_ns > now_ns)
		return 0;
	if (engine->open_awaiting) {
		engine->open_awaiting = false;
		cli_route_timed_out(&engine->route, engine->open_target, engine->open_sent_ns);
	}
	if (engine->hold_ns > now_ns)
		return 0;
	struct cli_open_session block = {.nonce = engine->nonce};
	size_t bytes = 0;
	cli_wire_append(
		data,
		&bytes,
		CLI_MAX_DATAGRAM_BYTES,
		CLI_OPEN_SESSION,
		&block,
		sizeof(block),
		NULL,
		0
	);
	engine->open_target = engine->route.current;
	engine->open_sent_ns = now_ns;
	engine->open_due_ns = later(now_ns, cli_engine_pause(engine, ++engine->open_attempts));
	engine->open_awaiting = true;
	return bytes;
}

/* Tells the route which copies were never answered, before it is decided where the next ones go. */
static void note_timeouts(struct cli_engine *engine, uint64_t now_ns)
{
	for (uint64_t seq = engine->first_incomplete; seq < engine->next_seq; seq++) {
		uint32_t index = engine->window[seq & engine->window_mask];
		if (index == CLI_NONE)
			continue;
		struct cli_slot *slot = &engine->slots[index];
		if (!slot->awaiting || slot->due_ns > now_ns)
			continue;
		slot->awaiting = false;
		cli_route_timed_out(&engine->route, slot->target, slot->sent_ns);
	}
}

static bool append_copy(
	struct cli_engine *engine, struct cli_slot *slot, void *data, size_t *bytes, uint64_t now_ns
)
{
	struct cli_update_request block = {
		.client_id = engine->client_id,
		.request_seq = slot->result.request_seq,
		.first_incomplete_seq = engine->first_incomplete,
		.asset_id = slot->result.asset_id,
		.opcode = slot->opcode,
		.flags = slot->read_only ? CLI_REQUEST_READ_ONLY : 0,
	};
	if (!cli_wire_append(
		    data,
		    bytes,
		    CLI_MAX_DATAGRAM_BYTES,
		    CLI_UPDATE_REQUEST,
		    &block,
		    sizeof(block),
		    slot->bytes,
		    slot->request_bytes
	    ))
		return false;
	if (slot->result.copies++ == 0)
		slot->result.first_sent_ns = now_ns;
	else
		engine->counters.requests_repeated++;
	engine->counters.requests_sent++;
	slot->sent_ns = now_ns;
	slot->target = engine->route.current;
	slot->due_ns = later(now_ns, cli_engine_pause(engine, ++slot->attempts));
	slot->awaiting = true;
	engine->used_ns = now_ns;
	return true;
}

static bool window_has_room(const struct cli_engine *engine)
{
	uint64_t limit = sf_min64(engine->options.window, engine->max_inflight);
	return engine->next_seq - engine->first_incomplete < limit;
}

/* First copies: the request gets its requestSeq here and not when it was submitted, so that what
 * has not left yet can move to a new session. */
static uint32_t
append_fresh(struct cli_engine *engine, void *data, size_t *bytes, uint32_t room, uint64_t now_ns)
{
	uint32_t count = 0;
	while (count < room && engine->queued.head != CLI_NONE && window_has_room(engine)) {
		uint32_t index = engine->queued.head;
		struct cli_slot *slot = &engine->slots[index];
		slot->result.request_seq = engine->next_seq;
		slot->result.client_id = engine->client_id;
		if (!append_copy(engine, slot, data, bytes, now_ns)) {
			slot->result.request_seq = 0;
			slot->result.client_id = 0;
			break;
		}
		list_pop(engine, &engine->queued);
		engine->window[engine->next_seq & engine->window_mask] = index;
		engine->next_seq++;
		count++;
	}
	return count;
}

static size_t write_requests(struct cli_engine *engine, void *data, uint64_t now_ns)
{
	size_t bytes = 0;
	uint32_t room = engine->options.batch;
	note_timeouts(engine, now_ns);
	if (engine->hold_ns > now_ns)
		return 0;
	for (uint64_t seq = engine->first_incomplete; seq < engine->next_seq && room > 0; seq++) {
		uint32_t index = engine->window[seq & engine->window_mask];
		if (index == CLI_NONE || engine->slots[index].due_ns > now_ns)
			continue;
		if (!append_copy(engine, &engine->slots[index], data, &bytes, now_ns))
			return bytes;
		room--;
	}
	if (engine->fresh_ns <= now_ns)
		append_fresh(engine, data, &bytes, room, now_ns);
	return bytes;
}

static uint64_t next_wake(const struct cli_engine *engine)
{
	uint64_t wake_ns = CLI_NEVER;
	if (engine->state == CLI_STATE_OPENING)
		wake_ns = sf_max64(engine->open_due_ns, engine->hold_ns);
	for (uint64_t seq = engine->first_incomplete; seq < engine->next_seq; seq++) {
		uint32_t index = engine->window[seq & engine->window_mask];
		if (index == CLI_NONE)
			continue;
		const struct cli_slot *slot = &engine->slots[index];
		wake_ns = sf_min64(wake_ns, sf_max64(slot->due_ns, engine->hold_ns));
		wake_ns = sf_min64(wake_ns, slot->deadline_ns);
	}
	for (uint32_t i = engine->queued.head; i != CLI_NONE; i = engine->slots[i].next)
		wake_ns = sf_min64(wake_ns, engine->slots[i].deadline_ns);
	if (engine->state == CLI_STATE_OPEN && engine->queued.head != CLI_NONE &&
	    window_has_room(engine))
		wake_ns = sf_min64(wake_ns, sf_max64(engine->fresh_ns, engine->hold_ns));
	return wake_ns;
}

size_t
cli_engine_write(struct cli_engine *engine, struct cli_address *to, void *data, uint64_t now_ns)
{
	size_t bytes = 0;
	if (engine->say_close) {
		bytes = write_close(engine, data);
	} else if (engine->state == CLI_STATE_CLOSED || engine->state == CLI_STATE_REFUSED || now_ns < engine->wake_ns) {
		return 0;
	} else {
		expire_sent(engine, now_ns);
		expire_queued(engine, now_ns);
		if (engine->state == CLI_STATE_OPEN && engine->queued.head != CLI_NONE &&
		    engine->next_seq == engine->first_incomplete &&
		    now_ns > later(engine->used_ns, engine->options.session_idle_ns))
			cli_engine_reopen(engine, now_ns);
		bytes = engine->state == CLI_STATE_OPENING ? write_open(engine, data, now_ns)
							   : write_requests(engine, data, now_ns);
		if (bytes == 0)
			engine->wake_ns = next_wake(engine);
	}
	if (bytes > 0) {
		*to = engine->route.nodes[engine->route.current];
		engine->counters.datagrams_sent++;
	}
	return bytes;
}

uint64_t cli_engine_expiry(const struct cli_engine *engine)
{
	if (engine->say_close)
		return 0;
	if (engine->state == CLI_STATE_CLOSED || engine->state == CLI_STATE_REFUSED)
		return CLI_NEVER;
	return engine->wake_ns;
}

bool cli_engine_suggest(struct cli_engine *engine, const struct cli_address *address)
{
	if (!cli_route_suggest(&engine->route, address))
		return false;
	engine->hold_ns = 0;
	engine->wake_ns = 0;
	return true;
}

/* ---- what can be asked ---- */

bool cli_engine_is_lost(const struct cli_engine *engine)
{
	return engine->route.is_lost &&
	       (engine->state == CLI_STATE_OPENING || engine->pending_count > 0);
}

enum cli_state cli_engine_state(const struct cli_engine *engine)
{
	return engine->state;
}

uint64_t cli_engine_client_id(const struct cli_engine *engine)
{
	return engine->client_id;
}

uint32_t cli_engine_epoch(const struct cli_engine *engine)
{
	return engine->route.epoch;
}

uint32_t cli_engine_max_inflight(const struct cli_engine *engine)
{
	return engine->max_inflight;
}

uint64_t cli_engine_first_incomplete(const struct cli_engine *engine)
{
	return engine->first_incomplete;
}

uint32_t cli_engine_pending(const struct cli_engine *engine)
{
	return engine->pending_count;
}

struct cli_address cli_engine_node(const struct cli_engine *engine)
{
	return engine->route.nodes[engine->route.current];
}

void cli_engine_counters(const struct cli_engine *engine, struct cli_counters *counters)
{
	*counters = engine->counters;
	counters->moves = engine->route.moved_count;
}
