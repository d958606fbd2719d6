/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Kernel UDP: one unconnected, non-blocking socket for all nodes and sessions, so that a node that
 * is down shows as silence and not as an error. */
#include "client/lookup.h"
#include "perf/bench/transport.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define SOCKET_BUFFER_BYTES (8 << 20)
#define FULL_WAIT_MS 10

struct udp_transport {
	struct bench_transport base;
	int socket;
	struct cli_lookup lookup;
	struct sockaddr_in nodes[BENCH_MAX_NODES];
	struct mmsghdr out[BENCH_BURST], in[BENCH_BURST];
	struct iovec out_parts[BENCH_BURST], in_parts[BENCH_BURST];
	struct sockaddr_in from[BENCH_BURST];
	struct bench_datagram datagrams[BENCH_BURST];
	uint8_t out_bytes[BENCH_BURST][CLI_MAX_DATAGRAM_BYTES];
	uint8_t in_bytes[BENCH_BURST][2048];
};

static struct bench_datagram *udp_prepare(struct bench_transport *t, uint32_t node)
{
	return ((struct udp_transport *)t)->datagrams;
}

static void udp_send(struct bench_transport *t, uint32_t node, uint32_t count)
{
	struct udp_transport *u = (struct udp_transport *)t;
	uint32_t sent = 0;

	for (uint32_t i = 0; i < count; i++) {
		u->out_parts[i].iov_len = u->datagrams[i].length;
		u->out[i].msg_hdr.msg_name = &u->nodes[node];
	}
	while (sent < count) {
		int n = sendmmsg(u->socket, u->out + sent, count - sent, 0);
		if (n > 0) {
			sent += (uint32_t)n;
			continue;
		}
		struct pollfd writable = {.fd = u->socket, .events = POLLOUT};
		if (errno == EAGAIN && poll(&writable, 1, FULL_WAIT_MS) > 0)
			continue;
		/* The kernel refuses this datagram (no route, no memory): lost, like on a wire. */
		t->send_dropped++;
		sent++;
	}
}

static uint32_t udp_find_node(const struct bench_transport *t, uint32_t address, uint16_t port)
{
	const struct udp_transport *u = (const struct udp_transport *)t;
	for (uint32_t i = 0; i < t->node_count; i++)
		if (ntohl(u->nodes[i].sin_addr.s_addr) == address &&
		    ntohs(u->nodes[i].sin_port) == port)
			return i;
	return t->node_count;
}

static uint32_t udp_receive(struct bench_transport *t, struct bench_datagram *d)
{
	struct udp_transport *u = (struct udp_transport *)t;
	uint32_t count = 0;

	for (uint32_t i = 0; i < BENCH_BURST; i++)
		u->in[i].msg_hdr.msg_namelen = sizeof(u->from[i]);
	int n = recvmmsg(u->socket, u->in, BENCH_BURST, MSG_DONTWAIT, NULL);
	for (int i = 0; i < n; i++) {
		uint32_t address = ntohl(u->from[i].sin_addr.s_addr);
		uint32_t node = udp_find_node(t, address, ntohs(u->from[i].sin_port));
		if (node == t->node_count) {
			t->receive_ignored++;
			continue;
		}
		d[count++] = (struct bench_datagram){
			.bytes = u->in_bytes[i],
			.length = u->in[i].msg_len,
			.node = node,
		};
	}
	return count;
}

static void udp_close(struct bench_transport *t)
{
	struct udp_transport *u = (struct udp_transport *)t;
	if (u->socket >= 0)
		close(u->socket);
	cli_lookup_close(&u->lookup);
	free(u);
}

static void add_node(struct udp_transport *u, const struct cli_address *address)
{
	struct sockaddr_in *in = &u->nodes[u->base.node_count++];
	*in = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(address->port)};
	memcpy(&in->sin_addr, address->ip, sizeof(address->ip));
}

static void udp_renew(struct bench_transport *t)
{
	struct udp_transport *u = (struct udp_transport *)t;
	struct cli_address found;
	uint32_t address;
	if (!cli_lookup_step(&u->lookup, cli_now_ns(), &found))
		return;
	memcpy(&address, found.ip, sizeof(address));
	if (t->node_count < BENCH_MAX_NODES &&
	    udp_find_node(t, ntohl(address), found.port) == t->node_count)
		add_node(u, &found);
}

static int resolve_all(
	struct udp_transport *u,
	const char *nodes,
	const char *resolver,
	char *error,
	size_t error_bytes
)
{
	struct cli_address found[BENCH_MAX_NODES];
	uint32_t count;
	int result = cli_lookup_open(&u->lookup, nodes, resolver, found, BENCH_MAX_NODES, &count);
	if (result != 0) {
		snprintf(
			error,
			error_bytes,
			"udp:%s: %s",
			nodes,
			result == -EINVAL ? "not HOST:PORT,…, or --resolver is not ADDRESS:PORT,…"
					  : strerror(-result)
		);
		return result;
	}
	for (uint32_t i = 0; i < count; i++)
		add_node(u, &found[i]);
	return 0;
}

static int open_socket(struct udp_transport *u, char *error, size_t error_bytes)
{
	const int bytes = SOCKET_BUFFER_BYTES;
	u->socket = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (u->socket < 0) {
		snprintf(error, error_bytes, "UDP socket: %s", strerror(errno));
		return -errno;
	}
	/* As large as the system allows; the FORCE forms need a privilege that we may not have. */
	if (setsockopt(u->socket, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes)) != 0)
		setsockopt(u->socket, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes));
	if (setsockopt(u->socket, SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof(bytes)) != 0)
		setsockopt(u->socket, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
	return 0;
}

int bench_udp_open(
	const char *nodes,
	const char *resolver,
	struct bench_transport **transport,
	char *error,
	size_t error_bytes
)
{
	struct udp_transport *u = calloc(1, sizeof(*u));
	if (u == NULL)
		return -ENOMEM;
	u->socket = -1;
	u->lookup.fd = -1;
	u->base.prepare = udp_prepare;
	u->base.send = udp_send;
	u->base.receive = udp_receive;
	u->base.find_node = udp_find_node;
	u->base.renew = udp_renew;
	u->base.close = udp_close;
	for (uint32_t i = 0; i < BENCH_BURST; i++) {
		u->datagrams[i].bytes = u->out_bytes[i];
		u->out_parts[i].iov_base = u->out_bytes[i];
		u->out[i].msg_hdr.msg_iov = &u->out_parts[i];
		u->out[i].msg_hdr.msg_iovlen = 1;
		u->out[i].msg_hdr.msg_namelen = sizeof(struct sockaddr_in);
		u->in_parts[i].iov_base = u->in_bytes[i];
		u->in_parts[i].iov_len = sizeof(u->in_bytes[i]);
		u->in[i].msg_hdr.msg_iov = &u->in_parts[i];
		u->in[i].msg_hdr.msg_iovlen = 1;
		u->in[i].msg_hdr.msg_name = &u->from[i];
	}
	int result = resolve_all(u, nodes, resolver, error, error_bytes);
	if (result == 0)
		result = open_socket(u, error, error_bytes);
	if (result != 0) {
		udp_close(&u->base);
		return result;
	}
	*transport = &u->base;
	return 0;
}
