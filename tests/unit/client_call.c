/* SPDX-License-Identifier: BSD-3-Clause
 *
 * For the cross test: COUNT times ADD 1, to asset user % ASSETS, many in flight through the C
 * library, then a GET of each asset with the simple call. One line per result.
 *
 * Usage: client_call NODES COUNT ASSETS TIMEOUT_MS
 */
#include "client/standfast.h"
#include "config/bytes.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static void print_result(const struct cli_result *result)
{
	int64_t value = 0;
	if (result->outcome == CLI_OUTCOME_OK && result->payload_bytes >= sizeof(value))
		memcpy(&value, result->payload, sizeof(value));
	printf("%" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %s %" PRIu64 " %" PRIu64 " %" PRIi64
	       "\n",
	       result->user,
	       result->asset_id,
	       result->client_id,
	       result->request_seq,
	       cli_outcome_name(result->outcome),
	       result->sequence,
	       result->asset_version,
	       value);
}

static int add_many(struct cli_client *client, uint64_t count, uint64_t assets, uint64_t timeout_ns)
{
	uint64_t submitted = 0;
	struct cli_result result;
	for (uint64_t finished = 0; finished < count; finished++) {
		while (submitted < count) {
			int64_t delta = 1;
			struct cli_request request = {
				.asset_id = submitted % assets,
				.user = submitted,
				.deadline_ns = cli_now_ns() + timeout_ns,
				.payload = &delta,
				.payload_bytes = sizeof(delta),
				.opcode = CLI_REGISTER_ADD,
			};
			int rc = cli_submit(client, &request);
			if (rc == -EAGAIN)
				break;
			if (rc != 0)
				return rc;
			submitted++;
		}
		int rc = cli_wait(client, 0, &result);
		if (rc != 0)
			return rc;
		print_result(&result);
	}
	return 0;
}

int main(int argc, char **argv)
{
	struct cli_client *client;
	struct cli_result result;
	if (argc != 5)
		return 2;
	uint64_t count = strtoull(argv[2], NULL, 10);
	uint64_t assets = strtoull(argv[3], NULL, 10);
	uint64_t timeout_ns = strtoull(argv[4], NULL, 10) * 1000000;
	int rc = cli_connect(&client, argv[1], NULL, timeout_ns);
	if (rc != 0) {
		fprintf(stderr, "client_call: no session: %s\n", strerror(-rc));
		return 1;
	}
	rc = add_many(client, count, assets, timeout_ns);
	for (uint64_t asset = 0; rc == 0 && asset < assets; asset++) {
		struct cli_request request = {
			.asset_id = asset,
			.user = count + asset,
			.opcode = CLI_REGISTER_GET,
			.read_only = true,
		};
		rc = cli_call(client, &request, timeout_ns, &result);
		if (rc == 0)
			print_result(&result);
	}
	cli_close(client);
	return rc == 0 ? 0 : 1;
}
