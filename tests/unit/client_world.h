/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What the client engine's tests share: an engine in virtual time, everything that it sent, and
 * answers made by hand. No socket, no clock.
 */
#pragma once

#include "client/standfast.h"
#include "tests/unit/unit.h"

#include <string.h>

#define MS 1000000ull
#define CLIENT_ID 0x0001000000000001ull

static const struct cli_address NODE_A = {{10, 0, 0, 1}, 9400};
static const struct cli_address NODE_B = {{10, 0, 0, 2}, 9400};
static const struct cli_address NODE_C = {{10, 0, 0, 3}, 9401};

/* One message that the engine sent. */
struct sent {
	uint16_t template_id;
	uint16_t payload_bytes;
	uint32_t datagram; /* which datagram it was in, from 0 */
	struct cli_address to;
	uint64_t at_ns;
	uint64_t nonce;
	struct cli_update_request request;
	uint8_t payload[CLI_MAX_PAYLOAD_BYTES];
};

struct world {
	struct cli_engine *engine;
	uint64_t now_ns;
	uint32_t sent_count, datagram_count;
	struct sent sent[512];
	/* the answer under construction */
	uint8_t data[4096];
	size_t bytes;
};

static inline void keep_sent(
	struct world *w,
	const struct cli_header *header,
	const uint8_t *block,
	struct cli_address to
)
{
	assert_true(w->sent_count < 512);
	struct sent *sent = &w->sent[w->sent_count++];
	*sent = (struct sent){
		.template_id = header->template_id,
		.datagram = w->datagram_count,
		.to = to,
		.at_ns = w->now_ns,
	};
	memcpy(&sent->payload_bytes, block + header->block_bytes, 2);
	memcpy(sent->payload, block + header->block_bytes + 2, sent->payload_bytes);
	if (header->template_id == CLI_UPDATE_REQUEST)
		memcpy(&sent->request, block, sizeof(sent->request));
	else
		memcpy(&sent->nonce, block, sizeof(sent->nonce)); /* of CloseSession: clientId */
}

/* Lets the engine send all that it wants to send now. */
static inline void pump(struct world *w)
{
	uint8_t data[CLI_MAX_DATAGRAM_BYTES];
	struct cli_address to;
	size_t bytes;
	while ((bytes = cli_engine_write(w->engine, &to, data, w->now_ns)) > 0) {
		assert_true(bytes <= CLI_MAX_DATAGRAM_BYTES);
		for (size_t at = 0; at < bytes;) {
			struct cli_header header;
			memcpy(&header, data + at, sizeof(header));
			assert_int_equal(header.schema_id, CLI_SCHEMA_ID);
			assert_int_equal(header.version, CLI_SCHEMA_VERSION);
			keep_sent(w, &header, data + at + sizeof(header), to);
			at += sizeof(header) + header.block_bytes + 2 +
			      w->sent[w->sent_count - 1].payload_bytes;
			assert_true(at <= bytes);
		}
		w->datagram_count++;
	}
}

/* Lets the engine send what is due now, or else goes to its next due time; returns how long that
 * was, in ns. */
static inline uint64_t run_to_expiry(struct world *w)
{
	uint64_t before_ns = w->now_ns;
	uint32_t sent_count = w->sent_count;
	pump(w);
	if (w->sent_count > sent_count)
		return 0;
	uint64_t expiry_ns = cli_engine_expiry(w->engine);
	assert_true(expiry_ns != CLI_NEVER);
	if (expiry_ns > w->now_ns)
		w->now_ns = expiry_ns;
	pump(w);
	return w->now_ns - before_ns;
}

static inline const struct sent *last_sent(const struct world *w)
{
	assert_true(w->sent_count > 0);
	return &w->sent[w->sent_count - 1];
}

static inline bool went_to(const struct sent *sent, struct cli_address node)
{
	return memcmp(sent->to.ip, node.ip, 4) == 0 && sent->to.port == node.port;
}

static inline void put(struct world *w, const void *data, size_t bytes)
{
	memcpy(w->data + w->bytes, data, bytes);
	w->bytes += bytes;
}

static inline void
put_message(struct world *w, uint16_t id, const void *block, uint16_t block_bytes)
{
	struct cli_header header = {block_bytes, id, CLI_SCHEMA_ID, CLI_SCHEMA_VERSION};
	put(w, &header, sizeof(header));
	put(w, block, block_bytes);
}

static inline void put_payload(struct world *w, const void *payload, uint16_t bytes)
{
	put(w, &bytes, sizeof(bytes));
	if (bytes > 0)
		put(w, payload, bytes);
}

static inline void put_hint(struct world *w, const struct cli_address *hint)
{
	uint8_t payload[6];
	if (hint == NULL) {
		put_payload(w, NULL, 0);
		return;
	}
	memcpy(payload, hint->ip, 4);
	memcpy(payload + 4, &hint->port, 2);
	put_payload(w, payload, 6);
}

/* Gives the engine what was put together. */
static inline void deliver(struct world *w, struct cli_address from)
{
	cli_engine_read(w->engine, &from, w->data, w->bytes, w->now_ns);
	w->bytes = 0;
}

static inline struct cli_update_response
response_to(const struct world *w, uint64_t seq, uint8_t status, uint32_t epoch)
{
	return (struct cli_update_response){
		.client_id = cli_engine_client_id(w->engine),
		.request_seq = seq,
		.sequence = status <= CLI_REJECTED ? 100 + seq : 0,
		.epoch = epoch,
		.status = status,
	};
}

static inline void
answer(struct world *w,
       struct cli_address from,
       uint64_t seq,
       uint8_t status,
       uint32_t epoch,
       const struct cli_address *hint)
{
	struct cli_update_response response = response_to(w, seq, status, epoch);
	put_message(w, CLI_UPDATE_RESPONSE, &response, sizeof(response));
	put_hint(w, hint);
	deliver(w, from);
}

static inline void
opened(struct world *w,
       struct cli_address from,
       uint8_t status,
       uint32_t epoch,
       uint64_t client_id,
       const struct cli_address *hint)
{
	struct cli_session_opened opened = {
		.nonce = last_sent(w)->nonce,
		.client_id = client_id,
		.epoch = epoch,
		.status = status,
		.max_inflight = 8,
	};
	put_message(w, CLI_SESSION_OPENED, &opened, sizeof(opened));
	put_hint(w, hint);
	deliver(w, from);
}

static inline int submit(struct world *w, uint64_t user)
{
	int64_t delta = (int64_t)user;
	struct cli_request request = {
		.asset_id = 7,
		.user = user,
		.payload = &delta,
		.payload_bytes = sizeof(delta),
		.opcode = CLI_REGISTER_ADD,
	};
	return cli_engine_submit(w->engine, &request, w->now_ns);
}

static inline struct cli_counters counters_of(const struct world *w)
{
	struct cli_counters counters;
	cli_engine_counters(w->engine, &counters);
	return counters;
}

static inline struct cli_result next_result(struct world *w)
{
	struct cli_result result;
	assert_true(cli_engine_result(w->engine, &result));
	return result;
}

static inline void assert_no_result(struct world *w)
{
	struct cli_result result;
	assert_false(cli_engine_result(w->engine, &result));
}

/* An engine that knows nodes A and B; nothing has been sent yet. */
static inline void begin(struct world *w, uint32_t window)
{
	struct cli_options options = {
		.nodes = {NODE_A, NODE_B},
		.node_count = 2,
		.window = window,
		.retry_min_ns = 20 * MS,
		.retry_max_ns = 1000 * MS,
		.seed = 42,
	};
	*w = (struct world){.now_ns = 1000 * MS};
	assert_int_equal(cli_engine_create(&w->engine, &options, w->now_ns), 0);
}

/* … and has a session with A in epoch 4, with maxInflight 8. */
static inline void begin_open(struct world *w, uint32_t window)
{
	begin(w, window);
	pump(w);
	opened(w, NODE_A, CLI_OK, 4, CLIENT_ID, NULL);
	assert_int_equal(cli_engine_state(w->engine), CLI_STATE_OPEN);
	w->sent_count = 0;
	w->datagram_count = 0;
}

static inline void end(struct world *w)
{
	cli_engine_destroy(w->engine);
}
