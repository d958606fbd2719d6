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

#define BENCH_BURST 32
#define BENCH_MAX_NODES 8

struct bench_datagram {
	uint8_t *bytes; /* UDP payload */
	uint32_t length;
	uint32_t node; /* received: from which node */
};

struct bench_transport {
	uint32_t node_count;
	uint64_t send_dropped;	  /* datagrams that did not fit into the device for long */
	uint64_t receive_ignored; /* frames that are not from a node or not UDP for us */

	/* Fills in the bytes of up to count datagrams, at most BENCH_BURST, each with room for
	 * CLI_MAX_DATAGRAM_BYTES; returns how many. They may be written until the next send, which
	 * names a prefix of them; those that are not sent are offered again. */
	uint32_t (*prepare)(struct bench_transport *t, struct bench_datagram *d, uint32_t count);
	/* Sends count datagrams, as prepared, to one node. */
	void (*send
	)(struct bench_transport *t, uint32_t node, const struct bench_datagram *d, uint32_t count);
	/* Up to BENCH_BURST datagrams; their bytes are valid until the next receive. */
	uint32_t (*receive)(struct bench_transport *t, struct bench_datagram *d);
	/* The node with this client address, or node_count when it is none of them. */
	uint32_t (*find_node)(const struct bench_transport *t, uint32_t address, uint16_t port);
	void (*close)(struct bench_transport *t);
};

/* "HOST:PORT,…" on kernel sockets. 0, or a negative errno with a sentence in error. */
int bench_udp_open(
	const char *nodes, struct bench_transport **transport, char *error, size_t error_bytes
);
