/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The blocking client's own errors. What it does with answers is tested against the reference node
 * (tests/e2e/test_client_cross.py).
 */
#include "client/standfast.h"
#include "tests/unit/unit.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define MS 1000000ull

static void connect_when_nodes_cannot_be_read_then_einval(void **state)
{
	static const char *const bad[] = {
		"",
		",",
		":9400",
		"127.0.0.1:",
		"127.0.0.1:0",
		"127.0.0.1:65536",
		"127.0.0.1:x",
		"127.0.0.1:9400,127.0.0.1:94x",
	};
	struct cli_client *client;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(cli_connect(&client, bad[i], NULL, MS), -EINVAL);
		assert_null(client);
	}
}

static void connect_when_options_are_out_of_range_then_einval(void **state)
{
	struct cli_client *client;
	struct cli_options options = {.window = CLI_MAX_WINDOW + 1};
	assert_int_equal(cli_connect(&client, "127.0.0.1", &options, MS), -EINVAL);
}

/* A socket that takes datagrams and never answers. */
static int silent_node(char *text, size_t text_bytes)
{
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t in_bytes = sizeof(in);
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&in, sizeof(in)), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&in, &in_bytes), 0);
	snprintf(text, text_bytes, "localhost:%u", ntohs(in.sin_port));
	return fd;
}

static void connect_when_nobody_answers_then_etimedout_and_asked_repeatedly(void **state)
{
	struct cli_client *client;
	uint8_t data[2048];
	uint64_t nonce[2];
	char nodes[32];
	int fd = silent_node(nodes, sizeof(nodes));
	uint64_t begun_ns = cli_now_ns();
	assert_int_equal(cli_connect(&client, nodes, NULL, 100 * MS), -ETIMEDOUT);
	assert_true(cli_now_ns() - begun_ns >= 100 * MS);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(
			recv(fd, data, sizeof(data), MSG_DONTWAIT),
			CLI_MESSAGE_BYTES(struct cli_open_session, 0)
		);
		memcpy(&nonce[i], data + sizeof(struct cli_header), sizeof(nonce[i]));
	}
	assert_true(nonce[0] == nonce[1] && nonce[0] != 0);
	close(fd);
}

static void close_when_null_then_nothing(void **state)
{
	cli_close(NULL);
	assert_string_equal(cli_outcome_name(CLI_OUTCOME_UNKNOWN), "unknown");
	assert_string_equal(cli_outcome_name((enum cli_outcome)99), "?");
	assert_string_equal(cli_status_name(CLI_OVERLOADED), "OVERLOADED");
	assert_string_equal(cli_status_name(CLI_NO_STATUS), "none");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(connect_when_nodes_cannot_be_read_then_einval),
		cmocka_unit_test(connect_when_options_are_out_of_range_then_einval),
		cmocka_unit_test(connect_when_nobody_answers_then_etimedout_and_asked_repeatedly),
		cmocka_unit_test(close_when_null_then_nothing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
