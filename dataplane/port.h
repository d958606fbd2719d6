/* SPDX-License-Identifier: BSD-3-Clause
 *
 * One Ethernet port of any kind that the configuration can name (config/settings.h, enum
 * cfg_device): opened, sized, started once and never stopped again (notes of DPDK 22.11: af_packet
 * closes its socket on stop). Every failure is a sentence for the operator, never an abort: missing
 * interface, wrong MTU, too few queues, too little memory.
 */
#pragma once

#include "config/settings.h"

#include <rte_ethdev.h>
#include <rte_ether.h>
#include <rte_mbuf.h>
#include <rte_mempool.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DP_BURST 32 /* frames per rx_burst and tx_burst, everywhere (memif: below 128) */
#define DP_MAX_FRAME_BYTES 9018

struct dp_port_gate; /* memif only, dataplane/port_memif.c */

struct dp_port_needs {
	const char *name;  /* "client", "replication": for messages and mempool names */
	const char *owner; /* node or program name, makes vdev and pool names unique */
	uint16_t rx_queues;
	uint16_t tx_queues;
	uint32_t rx_mbufs; /* of the receive pool, beyond the descriptors */
	uint32_t tx_mbufs; /* of the transmit pool; 0: no pool, the caller only forwards */
	bool promiscuous;
};

struct dp_port {
	uint16_t id; /* DPDK port id */
	enum cfg_device kind;
	uint16_t rx_queues, tx_queues; /* as started */
	uint16_t mtu_bytes;
	struct rte_ether_addr mac;
	struct rte_mempool *rx_pool; /* frames that arrive; one segment holds a whole frame */
	struct rte_mempool
		*tx_pool; /* frames that we make: apart, so a flood cannot starve heartbeats */
	bool ip_checksum_tx_offload; /* the device fills in IPv4/UDP checksums when asked */
	bool checksum_rx_known;	     /* ol_flags tell of good or bad checksums on receive */
	bool kernel_behind;	   /* af_packet, af_xdp, tap: peers on this host leave UDP checksums
				      unfinished */
	char vdev[64];		   /* name on DPDK's vdev bus; empty for PCI */
	struct dp_port_gate *gate; /* memif: closed while the peer comes or goes; else NULL */
};

/* Opens and starts a port, in any one thread at a time, after dp_eal_start. 0, or a negative errno
 * with a sentence in error. A memif client whose server is not there yet is no failure: it connects
 * when the server comes, and again after each time it went. */
int dp_port_open(
	const struct cfg_port *config,
	const struct dp_port_needs *needs,
	struct dp_port *port,
	char *error,
	size_t error_bytes
);

/* Makes a pair of ports in this process whose ends are connected by rte_rings ("ring:" devices for
 * unit tests and instruction counts): what is sent on one arrives on the other. */
int dp_port_open_ring_pair(
	const struct dp_port_needs *needs_a,
	const struct dp_port_needs *needs_b,
	uint16_t mtu_bytes,
	uint32_t ring_slots,
	struct dp_port *a,
	struct dp_port *b,
	char *error,
	size_t error_bytes
);

/* Bursts. Use these and not rte_eth_*_burst: DPDK's memif driver unmaps the shared memory in
 * another thread the moment its peer dies, also in the middle of a burst; these stand aside
 * meanwhile (0 frames). One thread per queue, as ever. Frames that dp_port_tx does not take stay
 * the caller's. A frame from memif may have several segments when the peer is not ours: check
 * nb_segs. */
uint16_t dp_port_gated_rx(
	const struct dp_port *port, uint16_t queue, struct rte_mbuf **frames, uint16_t count
);
uint16_t dp_port_gated_tx(
	const struct dp_port *port, uint16_t queue, struct rte_mbuf **frames, uint16_t count
);

/* ThreadSanitizer does not look into drivers: it is told that a frame that goes in at one end and
 * comes out at another is handed over with all that was written to it. */
#if defined(__SANITIZE_THREAD__)
#include <sanitizer/tsan_interface.h>
static inline void dp_port_give(struct rte_mbuf **frames, uint16_t count)
{
	for (uint16_t i = 0; i < count; i++)
		__tsan_release(frames[i]);
}
static inline uint16_t dp_port_take(struct rte_mbuf **frames, uint16_t count)
{
	for (uint16_t i = 0; i < count; i++)
		__tsan_acquire(frames[i]);
	return count;
}
#else
#define dp_port_give(frames, count) ((void)0)
#define dp_port_take(frames, count) (count)
#endif

static inline uint16_t
dp_port_rx(const struct dp_port *port, uint16_t queue, struct rte_mbuf **frames, uint16_t count)
{
	if (port->gate == NULL)
		count = rte_eth_rx_burst(port->id, queue, frames, count);
	else
		count = dp_port_gated_rx(port, queue, frames, count);
	return dp_port_take(frames, count);
}

static inline uint16_t
dp_port_tx(const struct dp_port *port, uint16_t queue, struct rte_mbuf **frames, uint16_t count)
{
	dp_port_give(frames, count);
	if (port->gate == NULL)
		return rte_eth_tx_burst(port->id, queue, frames, count);
	return dp_port_gated_tx(port, queue, frames, count);
}

/* Link state as the device says it: a hint only, never a decision. */
bool dp_port_link_up(const struct dp_port *port);

/* Frames the device says it lost on receive (imissed + rx_nombuf + PMD statistics), for counters.
 */
uint64_t dp_port_missed(const struct dp_port *port);

/* mbufs of both pools that are out of the pools right now (leak checks: back at baseline). */
uint32_t dp_port_mbufs_in_use(const struct dp_port *port);

/* No lcore may use the port any more, and all its mbufs are back in the pools (both ends' for
 * rings): pools with mbufs under way are kept, since somebody still points into them. */
void dp_port_close(struct dp_port *port);
