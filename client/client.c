/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The blocking client: one non-blocking kernel UDP socket and one engine.
 */
#include "client/lookup.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define READ_BURST 64 /* datagrams taken in before anything is sent again */

struct cli_client {
	int fd;
	struct cli_engine *engine;
	struct cli_lookup lookup;
};

uint64_t cli_now_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static uint64_t deadline_after(uint64_t timeout_ns)
{
	uint64_t now_ns = cli_now_ns();
	return timeout_ns == 0 || timeout_ns > CLI_NEVER - now_ns ? CLI_NEVER : now_ns + timeout_ns;
}

static void take_in(struct cli_client *client)
{
	uint8_t data[CLI_MAX_DATAGRAM_BYTES + 1]; /* one more shows an oversize one */
	for (int i = 0; i < READ_BURST; i++) {
		struct sockaddr_in in;
		struct cli_address from;
		socklen_t in_bytes = sizeof(in);
		ssize_t bytes = recvfrom(
			client->fd,
			data,
			sizeof(data),
			MSG_DONTWAIT,
			(struct sockaddr *)&in,
			&in_bytes
		);
		if (bytes < 0)
			return;
		memcpy(from.ip, &in.sin_addr, sizeof(from.ip));
		from.port = ntohs(in.sin_port);
		cli_engine_read(client->engine, &from, data, (size_t)bytes, cli_now_ns());
	}
}

static void send_out(struct cli_client *client)
{
	uint8_t data[CLI_MAX_DATAGRAM_BYTES];
	struct cli_address to;
	size_t bytes;
	while ((bytes = cli_engine_write(client->engine, &to, data, cli_now_ns())) > 0) {
		struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(to.port)};
		memcpy(&in.sin_addr, to.ip, sizeof(to.ip));
		/* What the kernel does not take is a lost datagram, and repeated as such. */
		(void
		)!sendto(client->fd, data, bytes, MSG_DONTWAIT, (struct sockaddr *)&in, sizeof(in));
	}
}

/* Asks for the names again while no node answers as a primary. */
static void follow_names(struct cli_client *client)
{
	struct cli_address found;
	if (!cli_engine_is_lost(client->engine))
		cli_lookup_cancel(&client->lookup);
	else if (cli_lookup_step(&client->lookup, cli_now_ns(), &found))
		cli_engine_suggest(client->engine, &found);
}

/* Waits for a datagram, the engine's expiry or the deadline, whichever comes first. */
static void wait_for_input(struct cli_client *client, uint64_t deadline_ns)
{
	uint64_t until_ns = cli_engine_expiry(client->engine);
	uint64_t now_ns = cli_now_ns();
	/* An answer that nobody takes in would end every wait at once. */
	bool is_lost = cli_engine_is_lost(client->engine);
	struct pollfd input[] = {
		{.fd = client->fd, .events = POLLIN},
		{.fd = is_lost ? client->lookup.fd : -1, .events = POLLIN}};
	struct timespec pause;
	if (is_lost && until_ns > cli_lookup_expiry(&client->lookup))
		until_ns = cli_lookup_expiry(&client->lookup);
	if (until_ns > deadline_ns)
		until_ns = deadline_ns;
	if (until_ns < now_ns)
		until_ns = now_ns;
	pause.tv_sec = (time_t)((until_ns - now_ns) / 1000000000u);
	pause.tv_nsec = (long)((until_ns - now_ns) % 1000000000u);
	ppoll(input, 2, until_ns == CLI_NEVER ? NULL : &pause, NULL);
}

static int open_session(struct cli_client *client, uint64_t timeout_ns)
{
	uint64_t deadline_ns = deadline_after(timeout_ns);
	for (;;) {
		follow_names(client);
		send_out(client);
		take_in(client);
		if (cli_engine_state(client->engine) == CLI_STATE_OPEN)
			return 0;
		if (cli_engine_state(client->engine) == CLI_STATE_REFUSED)
			return -EACCES;
		if (cli_now_ns() >= deadline_ns)
			return -ETIMEDOUT;
		wait_for_input(client, deadline_ns);
	}
}

int cli_connect(
	struct cli_client **out,
	const char *nodes,
	const struct cli_options *given,
	uint64_t timeout_ns
)
{
	struct cli_options options = {0};
	struct cli_client *client;
	int rc;
	*out = NULL;
	if (given != NULL)
		options = *given;
	if (options.seed == 0 &&
	    getrandom(&options.seed, sizeof(options.seed), 0) != sizeof(options.seed))
		return -EIO;
	client = calloc(1, sizeof(*client));
	if (client == NULL)
		return -ENOMEM;
	client->fd = -1;
	rc = cli_lookup_open(
		&client->lookup,
		nodes,
		options.resolver,
		options.nodes,
		CLI_MAX_NODES,
		&options.node_count
	);
	if (rc != 0)
		goto fail;
	client->fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (client->fd < 0) {
		rc = -errno;
		goto fail;
	}
	rc = cli_engine_create(&client->engine, &options, cli_now_ns());
	if (rc == 0)
		rc = open_session(client, timeout_ns);
	if (rc != 0)
		goto fail;
	*out = client;
	return 0;
fail:
	cli_close(client);
	return rc;
}

int cli_submit(struct cli_client *client, const struct cli_request *request)
{
	return cli_engine_submit(client->engine, request, cli_now_ns());
}

int cli_flush(struct cli_client *client)
{
	follow_names(client);
	send_out(client);
	take_in(client);
	send_out(client);
	return 0;
}

int cli_wait(struct cli_client *client, uint64_t timeout_ns, struct cli_result *result)
{
	uint64_t deadline_ns = deadline_after(timeout_ns);
	for (;;) {
		if (cli_engine_result(client->engine, result))
			return 0;
		if (cli_engine_pending(client->engine) == 0)
			return -ENOENT;
		follow_names(client);
		send_out(client);
		take_in(client);
		if (cli_engine_result(client->engine, result))
			return 0;
		if (cli_now_ns() >= deadline_ns)
			return -ETIMEDOUT;
		wait_for_input(client, deadline_ns);
	}
}

int cli_call(
	struct cli_client *client,
	const struct cli_request *request,
	uint64_t timeout_ns,
	struct cli_result *result
)
{
	struct cli_request one = *request;
	if (cli_engine_pending(client->engine) != 0)
		return -EBUSY;
	one.deadline_ns = deadline_after(timeout_ns);
	int rc = cli_submit(client, &one);
	/* The deadline gives every request a result, so waiting needs none of its own. */
	return rc != 0 ? rc : cli_wait(client, 0, result);
}

int cli_fd(const struct cli_client *client)
{
	return client->fd;
}

struct cli_engine *cli_engine_of(struct cli_client *client)
{
	return client->engine;
}

void cli_close(struct cli_client *client)
{
	if (client == NULL)
		return;
	if (client->engine != NULL) {
		cli_engine_close(client->engine, cli_now_ns());
		send_out(client);
		cli_engine_destroy(client->engine);
	}
	if (client->fd >= 0)
		close(client->fd);
	cli_lookup_close(&client->lookup);
	free(client);
}

const char *cli_outcome_name(enum cli_outcome outcome)
{
	static const char *const names[] = {"ok", "rejected", "refused", "not_sent", "unknown"};
	return (unsigned)outcome < sizeof(names) / sizeof(names[0]) ? names[outcome] : "?";
}

const char *cli_status_name(uint8_t status)
{
	static const char *const names[] = {
		"OK",
		"REJECTED",
		"NOT_PRIMARY",
		"BUSY",
		"BAD_REQUEST",
		"FORGOTTEN",
		"UNAUTHORIZED",
		"OVERLOADED",
	};
	return status < sizeof(names) / sizeof(names[0]) ? names[status] : "none";
}
