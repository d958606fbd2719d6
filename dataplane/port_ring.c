/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/port_private.h"

#include <rte_errno.h>
#include <rte_eth_ring.h>
#include <rte_ring.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_PAIRS 32
#define MAX_QUEUES 16

/* One direction has a ring per receive queue; transmit queues share them when they are more. Used
 * by the thread that opens and closes ports. */
struct direction {
	uint16_t count;
	struct rte_ring *ring[MAX_QUEUES];
};

static struct pair {
	char name[32]; /* empty: a pair without name */
	bool used;
	struct direction to[2]; /* to[i]: what end i receives */
	uint16_t port_id[2];	/* RTE_MAX_ETHPORTS: end not open */
} pairs[MAX_PAIRS];

static int
make_direction(struct direction *direction, uint16_t rx_queues, uint16_t tx_queues, uint32_t slots)
{
	bool shared = tx_queues > rx_queues;

	for (direction->count = 0; direction->count < rx_queues; direction->count++) {
		char name[RTE_RING_NAMESIZE];
		snprintf(name, sizeof(name), "sf_port_ring%u", dp_port_next_number());
		struct rte_ring *ring = rte_ring_create(
			name, slots, SOCKET_ID_ANY, RING_F_SC_DEQ | (shared ? 0 : RING_F_SP_ENQ)
		);
		if (ring == NULL)
			return -rte_errno;
		direction->ring[direction->count] = ring;
	}
	return 0;
}

static void free_pair(struct pair *pair)
{
	for (unsigned end = 0; end < 2; end++) {
		for (uint16_t q = 0; q < pair->to[end].count; q++) {
			struct rte_mbuf *frame;
			while (rte_ring_dequeue(pair->to[end].ring[q], (void **)&frame) == 0)
				rte_pktmbuf_free(frame);
			rte_ring_free(pair->to[end].ring[q]);
		}
	}
	memset(pair, 0, sizeof(*pair));
}

static int make_pair(
	const char *name,
	const uint16_t rx_queues[2],
	const uint16_t tx_queues[2],
	uint32_t slots,
	struct pair **made
)
{
	struct pair *pair = pairs;

	while (pair < pairs + MAX_PAIRS && pair->used)
		pair++;
	if (pair == pairs + MAX_PAIRS)
		return -ENOSPC;
	snprintf(pair->name, sizeof(pair->name), "%s", name);
	pair->used = true;
	pair->port_id[0] = pair->port_id[1] = RTE_MAX_ETHPORTS;
	int rc = make_direction(&pair->to[0], rx_queues[0], tx_queues[1], slots);
	if (rc == 0)
		rc = make_direction(&pair->to[1], rx_queues[1], tx_queues[0], slots);
	if (rc != 0)
		free_pair(pair);
	*made = pair;
	return rc;
}

/* Makes the DPDK port of one end. */
static int open_end(struct pair *pair, unsigned end, uint16_t tx_queues, struct dp_port *port)
{
	struct rte_ring *tx[MAX_QUEUES];
	const struct direction *out = &pair->to[!end], *in = &pair->to[end];
	char name[RTE_RING_NAMESIZE];

	for (uint16_t q = 0; q < tx_queues; q++)
		tx[q] = out->ring[q % out->count];
	snprintf(name, sizeof(name), "sf%u", dp_port_next_number());
	int id = rte_eth_from_rings(
		name, (struct rte_ring *const *)in->ring, in->count, tx, tx_queues, 0
	);
	if (id < 0)
		return rte_errno ? -rte_errno : -EIO;
	port->id = pair->port_id[end] = (uint16_t)id;
	port->kind = CFG_DEVICE_RING;
	snprintf(port->vdev, sizeof(port->vdev), "net_ring_%s", name);
	return 0;
}

int dp_port_make_named_ring(
	const struct cfg_port *config,
	const struct dp_port_needs *needs,
	struct dp_port *port,
	char *error,
	size_t error_bytes
)
{
	/* The other end's needs are not known yet: one queue, and room for several senders. */
	static const uint16_t rx_queues[2] = {1, 1}, tx_queues[2] = {MAX_QUEUES, MAX_QUEUES};
	struct pair *pair = NULL;
	int rc = 0;

	if (needs->rx_queues != 1 || needs->tx_queues > MAX_QUEUES) {
		snprintf(
			error,
			error_bytes,
			"ring:%s has 1 receive queue and up to %u transmit queues",
			config->device,
			MAX_QUEUES
		);
		return -EINVAL;
	}
	for (unsigned i = 0; i < MAX_PAIRS; i++)
		if (pairs[i].used && strcmp(pairs[i].name, config->device) == 0)
			pair = &pairs[i];
	if (pair == NULL)
		rc = make_pair(config->device, rx_queues, tx_queues, config->descriptors, &pair);
	if (rc == 0) {
		unsigned end = pair->port_id[0] == RTE_MAX_ETHPORTS ? 0 : 1;
		rc = pair->port_id[end] == RTE_MAX_ETHPORTS
			     ? open_end(pair, end, needs->tx_queues, port)
			     : -EBUSY;
	}
	if (rc != 0)
		snprintf(
			error,
			error_bytes,
			"ring:%s cannot be made: %s",
			config->device,
			rc == -EBUSY ? "both its ends are open already" : rte_strerror(-rc)
		);
	return rc;
}

void dp_port_release_rings(uint16_t port_id)
{
	for (struct pair *pair = pairs; pair < pairs + MAX_PAIRS; pair++) {
		if (!pair->used)
			continue;
		for (unsigned end = 0; end < 2; end++)
			if (pair->port_id[end] == port_id)
				pair->port_id[end] = RTE_MAX_ETHPORTS;
		if (pair->port_id[0] == RTE_MAX_ETHPORTS && pair->port_id[1] == RTE_MAX_ETHPORTS)
			free_pair(pair);
	}
}

int dp_port_open_ring_pair(
	const struct dp_port_needs *needs_a,
	const struct dp_port_needs *needs_b,
	uint16_t mtu_bytes,
	uint32_t ring_slots,
	struct dp_port *a,
	struct dp_port *b,
	char *error,
	size_t error_bytes
)
{
	const struct dp_port_needs *needs[2] = {needs_a, needs_b};
	const uint16_t rx_queues[2] = {needs_a->rx_queues, needs_b->rx_queues};
	const uint16_t tx_queues[2] = {needs_a->tx_queues, needs_b->tx_queues};
	struct cfg_port config = {.kind = CFG_DEVICE_RING, .mtu_bytes = mtu_bytes};
	struct dp_port *ports[2] = {a, b};
	struct pair *pair = NULL;
	int rc = -EINVAL;

	memset(a, 0, sizeof(*a));
	memset(b, 0, sizeof(*b));
	a->id = b->id = RTE_MAX_ETHPORTS;
	if (rx_queues[0] && rx_queues[1] && tx_queues[0] && tx_queues[1] &&
	    rx_queues[0] <= MAX_QUEUES && rx_queues[1] <= MAX_QUEUES &&
	    tx_queues[0] <= MAX_QUEUES && tx_queues[1] <= MAX_QUEUES && mtu_bytes >= 64 &&
	    mtu_bytes <= DP_MAX_FRAME_BYTES - DP_ETHERNET_OVERHEAD && ring_slots <= UINT16_MAX)
		rc = make_pair("", rx_queues, tx_queues, ring_slots, &pair);
	if (rc != 0) {
		snprintf(error, error_bytes, "ring pair cannot be made: %s", rte_strerror(-rc));
		return rc;
	}
	config.descriptors = (uint16_t)ring_slots;
	for (unsigned end = 0; rc == 0 && end < 2; end++) {
		rc = open_end(pair, end, tx_queues[end], ports[end]);
		if (rc != 0)
			snprintf(
				error,
				error_bytes,
				"%s port: DPDK cannot make a ring device: %s",
				needs[end]->name,
				rte_strerror(-rc)
			);
		else
			rc = dp_port_set_up(
				&config,
				needs[end],
				config.descriptors,
				ports[end],
				error,
				error_bytes
			);
	}
	if (rc != 0) {
		bool nobody_opened = a->id == RTE_MAX_ETHPORTS;
		dp_port_close(b);
		dp_port_close(a);
		if (nobody_opened)
			free_pair(pair);
	}
	return rc;
}
