/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/unit/fake_node.h"

#include "client/messages.h"
#include "config/bytes.h"

#include <string.h>

struct answer_message {
	struct cli_header header;
	struct cli_update_response response;
	uint16_t payload_bytes;
	uint8_t payload[16];
} __attribute__((packed));

struct opened_message {
	struct cli_header header;
	struct cli_session_opened opened;
	uint16_t payload_bytes;
} __attribute__((packed));

void fake_node_init(struct fake_node *n, enum fake_sin sin, uint64_t sin_every)
{
	memset(n, 0, sizeof(*n));
	n->sin = sin;
	n->sin_every = sin_every;
	n->sin_countdown = sin_every;
	n->epoch = 1;
}

static bool sins_now(struct fake_node *n, enum fake_sin sin)
{
	if (n->sin != sin || --n->sin_countdown != 0)
		return false;
	n->sin_countdown = n->sin_every;
	n->sins++;
	return true;
}

static struct fake_session *find_session(struct fake_node *n, uint64_t client_id)
{
	uint64_t index = (client_id - 1) % FAKE_SESSIONS;
	return client_id != 0 && n->sessions[index].client_id == client_id ? &n->sessions[index]
									   : NULL;
}

static uint32_t
put_opened(struct fake_node *n, bool primary, const struct cli_open_session *open, uint8_t *out)
{
	struct opened_message m = {
		.header = {24, CLI_SESSION_OPENED, CLI_SCHEMA_ID, CLI_SCHEMA_VERSION},
		.opened = {.nonce = open->nonce, .epoch = n->epoch, .max_inflight = FAKE_WINDOW},
	};
	struct fake_session *s = NULL;
	m.opened.status = CLI_NOT_PRIMARY;
	for (uint32_t i = 0; primary && i < FAKE_SESSIONS && s == NULL; i++)
		if (n->sessions[i].nonce == open->nonce)
			s = &n->sessions[i];
	if (primary && s == NULL) {
		s = &n->sessions[n->sessions_opened % FAKE_SESSIONS];
		memset(s, 0, sizeof(*s));
		s->nonce = open->nonce;
		s->client_id = ++n->sessions_opened;
		n->sequence++;
	}
	if (primary) {
		m.opened.status = CLI_OK;
		m.opened.client_id = s->client_id;
	}
	memcpy(out, &m, sizeof(m));
	return sizeof(m);
}

static struct fake_state read_asset(struct fake_node *n, uint64_t asset)
{
	return sins_now(n, FAKE_READS_OLD) ? n->before[asset] : n->assets[asset];
}

static void apply(struct fake_node *n, uint64_t asset, int64_t delta)
{
	n->before[asset] = n->assets[asset];
	n->assets[asset].version++;
	n->assets[asset].value += delta;
	n->assets[asset].sequence = ++n->sequence;
}

static struct fake_state update_asset(struct fake_node *n, uint64_t asset, int64_t delta)
{
	struct fake_state old = n->assets[asset];
	apply(n, asset, delta);
	struct fake_state told = n->assets[asset];
	if (sins_now(n, FAKE_LOSES))
		n->assets[asset] = old;
	if (sins_now(n, FAKE_DOUBLES))
		apply(n, asset, delta);
	if (sins_now(n, FAKE_LIES))
		told.value++;
	return told;
}

static void answer_update(
	struct fake_node *n,
	const struct cli_update_request *r,
	const uint8_t *payload,
	struct answer_message *m
)
{
	struct fake_session *s = find_session(n, r->client_id);
	uint64_t asset = r->asset_id % FAKE_ASSETS;
	struct fake_answer *kept = s != NULL ? &s->answers[r->request_seq % FAKE_WINDOW] : NULL;

	if (s == NULL || r->request_seq < s->first_incomplete) {
		m->response.status = CLI_FORGOTTEN;
		return;
	}
	s->first_incomplete = sf_max64(s->first_incomplete, r->first_incomplete_seq);
	if (r->request_seq >= s->first_incomplete + FAKE_WINDOW) {
		m->response.status = CLI_OVERLOADED;
		return;
	}
	struct fake_state told;
	if (r->opcode == CLI_REGISTER_GET) {
		told = read_asset(n, asset);
	} else if (kept->request_seq == r->request_seq && !sins_now(n, FAKE_APPLIES_REPEAT)) {
		told = kept->state;
		m->response.flags = CLI_RESPONSE_REPEAT;
	} else {
		told = update_asset(n, asset, (int64_t)sf_load64(payload));
		*kept = (struct fake_answer){.request_seq = r->request_seq, .state = told};
	}
	m->response.asset_version = told.version;
	sf_store64(m->payload, (uint64_t)told.value);
	m->payload_bytes = 8;
	if (r->opcode == CLI_REGISTER_GET) {
		sf_store64(m->payload + 8, told.sequence);
		m->payload_bytes = 16;
	} else {
		m->response.sequence = told.sequence;
	}
}

static uint32_t put_answer(
	struct fake_node *n,
	bool primary,
	uint32_t hint_address,
	const struct cli_update_request *r,
	const uint8_t *payload,
	uint8_t *out
)
{
	struct answer_message m = {
		.header = {48, CLI_UPDATE_RESPONSE, CLI_SCHEMA_ID, CLI_SCHEMA_VERSION},
		.response =
			{
				.client_id = r->client_id,
				.request_seq = r->request_seq,
				.asset_id = r->asset_id,
				.epoch = n->epoch,
			},
	};
	if (primary) {
		answer_update(n, r, payload, &m);
	} else {
		m.response.status = CLI_NOT_PRIMARY;
		if (hint_address != 0) {
			sf_store32(m.payload, __builtin_bswap32(hint_address));
			sf_store16(m.payload + 4, CLI_DEFAULT_PORT);
			m.payload_bytes = 6;
		}
	}
	uint32_t bytes = (uint32_t)offsetof(struct answer_message, payload) + m.payload_bytes;
	memcpy(out, &m, bytes);
	return bytes;
}

uint32_t fake_node_handle(
	struct fake_node *n,
	bool primary,
	uint32_t hint_address,
	const uint8_t *in,
	uint32_t in_bytes,
	uint8_t *out
)
{
	uint32_t out_bytes = 0;
	if (primary && sins_now(n, FAKE_FORGETS))
		memset(n->sessions, 0, sizeof(n->sessions));
	while (in_bytes >= sizeof(struct cli_header)) {
		const struct cli_header *header = (const struct cli_header *)in;
		const uint8_t *block = in + sizeof(*header);
		const uint8_t *payload = block + header->block_bytes + sizeof(uint16_t);
		if (header->template_id == CLI_OPEN_SESSION)
			out_bytes += put_opened(n, primary, (const void *)block, out + out_bytes);
		else if (header->template_id == CLI_UPDATE_REQUEST)
			out_bytes += put_answer(
				n,
				primary,
				hint_address,
				(const void *)block,
				payload,
				out + out_bytes
			);
		uint32_t bytes = (uint32_t)(payload - in) + sf_load16(payload - 2);
		in += bytes;
		in_bytes -= bytes;
	}
	return out_bytes;
}
