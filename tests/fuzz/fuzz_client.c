/* SPDX-License-Identifier: BSD-3-Clause
 *
 * libFuzzer target of the client engine's input. The first byte of each chunk says what happens:
 * time goes on, a request is submitted, results are collected, or a datagram comes in, whose
 * clientId, requestSeq and nonce are made to fit half of the time, so that the fuzzer need not
 * guess 64 bits. Every request must get exactly one result.
 */
#include "client/standfast.h"
#include "config/bytes.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static const struct cli_address NODES[2] = {{{10, 0, 0, 1}, 9400}, {{10, 0, 0, 2}, 9400}};

struct fuzz {
	struct cli_engine *engine;
	uint64_t now_ns, nonce, submitted, finished;
};

static void send_all(struct fuzz *f)
{
	uint8_t out[CLI_MAX_DATAGRAM_BYTES];
	struct cli_address to;
	size_t bytes;
	while ((bytes = cli_engine_write(f->engine, &to, out, f->now_ns)) > 0)
		if (sf_load16(out + 2) == CLI_OPEN_SESSION)
			f->nonce = sf_load64(out + sizeof(struct cli_header));
}

static void collect(struct fuzz *f)
{
	struct cli_result result;
	while (cli_engine_result(f->engine, &result)) {
		volatile uint8_t last = 0;
		if (result.payload_bytes > 0)
			last = result.payload[result.payload_bytes - 1];
		(void)last;
		f->finished++;
	}
}

static void take_datagram(struct fuzz *f, const uint8_t *data, size_t bytes, bool fit)
{
	/* Of exactly that size, so that one byte too far is seen. */
	uint8_t *copy = malloc(bytes > 0 ? bytes : 1);
	if (copy == NULL)
		return;
	memcpy(copy, data, bytes);
	if (fit && bytes >= 8) {
		sf_store16(copy + 4, CLI_SCHEMA_ID);
		sf_store16(copy + 6, CLI_SCHEMA_VERSION);
	}
	if (fit && bytes >= 24 && sf_load16(copy + 2) == CLI_SESSION_OPENED)
		sf_store64(copy + 8, f->nonce);
	if (fit && bytes >= 24 && sf_load16(copy + 2) == CLI_UPDATE_RESPONSE) {
		sf_store64(copy + 8, cli_engine_client_id(f->engine));
		sf_store64(copy + 16, cli_engine_first_incomplete(f->engine) + copy[16] % 8);
	}
	cli_engine_read(f->engine, &NODES[data[0] & 1], copy, bytes, f->now_ns);
	free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	struct cli_options options = {
		.nodes = {NODES[0], NODES[1]},
		.node_count = 2,
		.window = 8,
		.seed = 1,
	};
	struct fuzz f = {.now_ns = 1};
	if (cli_engine_create(&f.engine, &options, f.now_ns) != 0)
		return 0;
	while (bytes >= 2) {
		uint8_t what = data[0];
		size_t chunk_bytes = sf_min64(data[1] * 4u, bytes - 2);
		struct cli_request request = {
			.payload = data + 2,
			.payload_bytes = (uint16_t)chunk_bytes,
			.read_only = what & 8,
			.deadline_ns = what & 16 ? f.now_ns + 30000000 : 0,
		};
		if (what & 1)
			f.now_ns += (uint64_t)what * 1000000;
		if (what & 2)
			f.submitted += cli_engine_submit(f.engine, &request, f.now_ns) == 0;
		send_all(&f);
		if (chunk_bytes > 0)
			take_datagram(&f, data + 2, chunk_bytes, what & 4);
		if (what & 32)
			collect(&f);
		data += 2 + chunk_bytes;
		bytes -= 2 + chunk_bytes;
	}
	cli_engine_close(f.engine, f.now_ns);
	send_all(&f);
	collect(&f);
	if (f.submitted != f.finished)
		abort();
	cli_engine_destroy(f.engine);
	return 0;
}
