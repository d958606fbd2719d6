/* SPDX-License-Identifier: BSD-3-Clause
 *
 * How the load generator's datagrams reach the nodes: kernel UDP sockets (udp.c) or one DPDK memif
 * port per node with frames of our own (memif.c); tests supply a node in this process. Calls are
 * per burst, never per request, so the pointers cost nothing that counts.
 *
 * One thread. A transport never fails after it was opened: what cannot be sent is dropped and
 * counted, as on any network, and the engine's retries repair it.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define BENCH_BURST 32
#define BENCH_MAX_NODES 8

struct bench_datagram {
	uint8_t *bytes; /* UDP payload */
	uint32_t length;
	uint32_t node; /* received: from which node */
	uint64_t sum;  /* to send: ones' complement sum of the bytes, bench_sum_… below */
};

struct bench_transport {
	uint32_t node_count;
	uint64_t send_dropped;	  /* datagrams that did not fit into the device for long */
	uint64_t receive_ignored; /* frames that are not from a node or not UDP for us */

	/* BENCH_BURST datagrams to this node to fill in, each with room for
	 * CLI_MAX_DATAGRAM_BYTES: length, sum and bytes. Valid until the send. */
	struct bench_datagram *(*prepare)(struct bench_transport *t, uint32_t node);
	/* Sends the first count of them. */
	void (*send)(struct bench_transport *t, uint32_t node, uint32_t count);
	/* Up to BENCH_BURST datagrams; their bytes are valid until the next receive. */
	uint32_t (*receive)(struct bench_transport *t, struct bench_datagram *d);
	/* The node with this client address, or node_count when it is none of them. */
	uint32_t (*find_node)(const struct bench_transport *t, uint32_t address, uint16_t port);
	/* While nobody answers: asks for the nodes' names again, without waiting, and appends what
	 * is new; node_count then grows. NULL: the nodes are fixed. */
	void (*renew)(struct bench_transport *t);
	void (*close)(struct bench_transport *t);
};

/* The sum that a UDP checksum is made of: over words of any width, in the machine's byte order, as
 * long as each begins at an even offset. Whoever builds a message knows most of it beforehand. */
static inline uint64_t bench_sum_add(uint64_t sum, uint64_t word)
{
	sum += word;
	return sum + (sum < word);
}

static inline uint64_t bench_sum_bytes(const void *bytes, size_t count)
{
	const uint8_t *at = bytes;
	uint64_t sum = 0, word;
	for (; count >= sizeof(word); count -= sizeof(word), at += sizeof(word)) {
		memcpy(&word, at, sizeof(word));
		sum = bench_sum_add(sum, word);
	}
	word = 0;
	memcpy(&word, at, count);
	return bench_sum_add(sum, word);
}

/* "HOST:PORT,…" on kernel sockets; names are asked of the resolver (client/lookup.h). 0, or a
 * negative errno with a sentence in error. */
int bench_udp_open(
	const char *nodes,
	const char *resolver,
	struct bench_transport **transport,
	char *error,
	size_t error_bytes
);
