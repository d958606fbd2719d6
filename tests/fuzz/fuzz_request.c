/* SPDX-License-Identifier: BSD-3-Clause
 *
 * libFuzzer target of the reader of client datagrams: after dp_request_check the messages are
 * walked as ingress and sequencer walk them, and whatever these would read is read. The first byte
 * says whether the input is made to look like messages, so that the fuzzer need not guess schema
 * ids.
 */
#include "dataplane/request.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

#define MAX_PAYLOAD 256

static uint64_t sum(const uint8_t *data, uint32_t bytes)
{
	uint64_t total = 0;
	for (uint32_t i = 0; i < bytes; i++)
		total += data[i];
	return total;
}

static void require(bool condition)
{
	if (!condition)
		abort();
}

/* What a good update lets its readers rely on. */
static uint64_t read_update(const uint8_t *message)
{
	const uint8_t *block = dp_request_block(message);
	const struct cli_update_request *request = (const struct cli_update_request *)block;
	require(dp_request_block_bytes(message) >= sizeof(*request));
	require(dp_request_payload_bytes(message) <= MAX_PAYLOAD);
	require(request->first_incomplete_seq >= 1);
	require(request->first_incomplete_seq <= request->request_seq);
	require((request->flags == CLI_REQUEST_READ_ONLY) ==
		(dp_request_template(message) == DP_MARK_READ));
	return sum(block, dp_request_block_bytes(message)) +
	       sum(dp_request_payload(message), dp_request_payload_bytes(message));
}

static uint64_t walk(const uint8_t *data, uint32_t bytes, const struct dp_datagram *datagram)
{
	const uint8_t *message = data, *end = data + bytes;
	uint32_t messages = 0, marked = 0;
	uint64_t total = 0;
	while (message < end) {
		const uint8_t *block = dp_request_block(message);
		switch (dp_request_template(message)) {
		case CLI_UPDATE_REQUEST:
		case DP_MARK_READ:
			total += read_update(message);
			break;
		case CLI_OPEN_SESSION:
			require(sf_load64(block) != 0);
			break;
		case CLI_CLOSE_SESSION:
			total += sf_load64(block);
			break;
		case DP_MARK_BAD_UPDATE: /* answered from these fields */
			total += sum(block, sizeof(struct cli_update_request));
			marked++;
			break;
		case DP_MARK_BAD_OPEN:
			total += sf_load64(block);
			marked++;
			break;
		case DP_MARK_BAD_TEMPLATE:
			total += sum(block, 16);
			marked++;
			break;
		case DP_MARK_UNKNOWN:
			marked++;
			break;
		default:
			abort();
		}
		messages++;
		message += dp_request_message_bytes(message);
	}
	require(message == end);
	require(messages == datagram->messages && marked == datagram->marked);
	return total;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	static struct dp_request_limits limits;
	static volatile uint64_t sink;
	struct dp_datagram datagram;
	if (bytes == 0)
		return 0;
	dp_request_limits_init(&limits, &dp_model_register, MAX_PAYLOAD);
	uint32_t count = (uint32_t)bytes - 1;
	/* Of exactly that size, so that one byte too far is seen. */
	uint8_t *copy = malloc(count > 0 ? count : 1);
	if (copy == NULL)
		return 0;
	memcpy(copy, data + 1, count);
	for (uint32_t at = 0; data[0] % 2 && at + 10 <= count;) {
		sf_store16(copy + at + 2, copy[at + 2] % 8);
		sf_store16(copy + at + 4, CLI_SCHEMA_ID);
		sf_store16(copy + at, copy[at] % 64);
		uint32_t payload_at = at + 8 + sf_load16(copy + at);
		if (payload_at + 2 > count)
			break;
		sf_store16(copy + payload_at, copy[payload_at]);
		at = payload_at + 2 + copy[payload_at];
	}
	dp_request_check(&limits, copy, count, &datagram);
	if (!datagram.broken)
		sink = walk(copy, count, &datagram);
	else
		require(datagram.broken_has_ids || datagram.broken_client_id == 0);
	(void)sink;
	free(copy);
	return 0;
}
