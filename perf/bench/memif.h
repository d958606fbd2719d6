/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The transport that makes its own frames: Ethernet, IPv4 and UDP over one DPDK port per node. ARP
 * requests for our address are answered, the nodes' MACs learned by ARP. Both checksums of a frame
 * are filled in, as a real client's would be; those of received frames are not verified: memif is
 * memory, and a wrong answer would break the ledger.
 */
#pragma once

#include "dataplane/port.h"
#include "perf/bench/options.h"
#include "perf/bench/transport.h"

/* Starts DPDK and opens a memif client per socket. A node that is not there yet is no error. */
int bench_memif_open(
	const struct bench_options *options,
	struct bench_transport **transport,
	char *error,
	size_t error_bytes
);

/* The same on ports that are open already and belong to the transport from then on. They must copy
 * what they send, as memif does, because frames are kept and used again. Addresses are IPv4 in host
 * order, one per port; NULL: no memory, and the ports are still the caller's. */
struct bench_transport *bench_frames_open(
	const struct dp_port *ports, const uint32_t *addresses, uint32_t count, uint32_t own_address
);
