/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What the files of the ports share: port.c opens, sizes and starts; port_device.c makes the
 * device; port_ring.c connects two ports by rings; port_memif.c lets memif peers come and go.
 */
#pragma once

#include "dataplane/port.h"

#define DP_ETHERNET_OVERHEAD 18 /* header and one VLAN tag; the FCS never reaches us */

static inline uint32_t dp_port_frame_bytes(uint16_t mtu_bytes)
{
	return (uint32_t)mtu_bytes + DP_ETHERNET_OVERHEAD;
}

/* Room of one mbuf, without headroom, so that whatever the device hands over fits in it. */
uint32_t dp_port_room_bytes(const struct cfg_port *config);

/* port_device.c: makes the device of config in DPDK (not started) and sets port->id, ->kind, ->vdev
 * and ->kernel_behind. 0 or a negative errno with a sentence. */
int dp_port_make_device(
	const struct cfg_port *config,
	const struct dp_port_needs *needs,
	struct dp_port *port,
	char *error,
	size_t error_bytes
);
/* Sets an interface's MTU by ioctl, for the tap that we made ourselves. 0 or a negative errno. */
int dp_port_set_interface_mtu(const char *interface, uint16_t mtu_bytes);
/* A number that is unique in this process, for names of devices and pools. */
unsigned dp_port_next_number(void);

/* port.c: pools, queues, start; the device is there. */
int dp_port_set_up(
	const struct cfg_port *config,
	const struct dp_port_needs *needs,
	uint16_t tx_slots, /* frames that the device may hold after tx, per queue */
	struct dp_port *port,
	char *error,
	size_t error_bytes
);

/* port_ring.c: the device of a "ring:NAME" port. The first to open a name is its one end, the
 * second its other. */
int dp_port_make_named_ring(
	const struct cfg_port *config,
	const struct dp_port_needs *needs,
	struct dp_port *port,
	char *error,
	size_t error_bytes
);
/* Forgets the rings of a port that has been closed; frees them when both ends are. */
void dp_port_release_rings(uint16_t port_id);

/* port_memif.c: path of the socket between the driver and us, beside the public one. */
void dp_memif_private_path(const struct cfg_port *config, char *path, size_t bytes);
/* Before the device is made: checks the paths and clears away what a killed process left. */
int dp_memif_prepare(const struct cfg_port *config, char *error, size_t error_bytes);
/* Takes over connecting for a configured, not started port; sets port->gate. */
int dp_memif_start(
	const struct cfg_port *config, struct dp_port *port, char *error, size_t error_bytes
);
/* Ends the thread; the port is stopped and its gate closed and freed. */
void dp_memif_stop(struct dp_port *port);
