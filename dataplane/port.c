/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/port.h"

#include "config/bytes.h"
#include "config/devices.h"
#include "dataplane/port_private.h"

#include <rte_dev.h>
#include <rte_errno.h>
#include <rte_lcore.h>
#include <rte_malloc.h>

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Room in a pool's cache of each lcore: a few bursts, so that most bursts do not touch the pool. */
#define CACHE_MBUFS 128
/* Rings of an af_xdp queue, always of this size: fill, receive, and frames copied for transmit. */
#define XDP_RING_MBUFS (3 * 2048)

__attribute__((format(printf, 5, 6))) static int
fail(int rc,
     const struct dp_port_needs *needs,
     char *error,
     size_t error_bytes,
     const char *format,
     ...)
{
	va_list list;
	int used = snprintf(error, error_bytes, "%s port: ", needs->name);

	va_start(list, format);
	if (used >= 0 && (size_t)used < error_bytes)
		vsnprintf(error + used, error_bytes - (size_t)used, format, list);
	va_end(list);
	return -rc;
}

static int check_numbers(
	const struct cfg_port *config,
	const struct dp_port_needs *needs,
	char *error,
	size_t error_bytes
)
{
	if (config->mtu_bytes < 64 || config->mtu_bytes > DP_MAX_FRAME_BYTES - DP_ETHERNET_OVERHEAD)
		return fail(
			EINVAL,
			needs,
			error,
			error_bytes,
			"MTU %u is not between 64 and %u",
			config->mtu_bytes,
			DP_MAX_FRAME_BYTES - DP_ETHERNET_OVERHEAD
		);
	if (!sf_is_power_of_two(config->descriptors))
		return fail(
			EINVAL,
			needs,
			error,
			error_bytes,
			"%u descriptors are no power of two",
			config->descriptors
		);
	if (needs->rx_queues == 0 || needs->tx_queues == 0)
		return fail(EINVAL, needs, error, error_bytes, "no queues are asked for");
	return 0;
}

static struct rte_mempool *make_pool(
	const struct dp_port_needs *needs,
	const char *what,
	uint32_t mbufs,
	uint32_t room_bytes,
	int socket,
	char *error,
	size_t error_bytes
)
{
	char name[RTE_MEMPOOL_NAMESIZE];
	uint32_t room = room_bytes + RTE_PKTMBUF_HEADROOM;
	/* Every lcore's cache may hold half as much again as its size. */
	uint32_t count = mbufs + rte_lcore_count() * (CACHE_MBUFS + CACHE_MBUFS / 2);

	snprintf(
		name,
		sizeof(name),
		"%.10s.%.6s.%s%u",
		needs->owner,
		needs->name,
		what,
		dp_port_next_number()
	);
	struct rte_mempool *pool =
		rte_pktmbuf_pool_create(name, count, CACHE_MBUFS, 0, (uint16_t)room, socket);
	if (pool == NULL)
		fail(0,
		     needs,
		     error,
		     error_bytes,
		     "no memory for %u %s buffers of %u bytes (%u MiB): %s; raise dpdk.memory",
		     count,
		     strcmp(what, "rx") == 0 ? "receive" : "transmit",
		     room,
		     (unsigned)(((uint64_t)count * (room + 256)) >> 20),
		     rte_strerror(rte_errno));
	return pool;
}

/* The configuration that we want, as far as the device has it. */
static int configure(
	const struct cfg_port *config,
	const struct dp_port_needs *needs,
	const struct rte_eth_dev_info *info,
	struct dp_port *port,
	char *error,
	size_t error_bytes
)
{
	const uint64_t tx_checksums = RTE_ETH_TX_OFFLOAD_IPV4_CKSUM | RTE_ETH_TX_OFFLOAD_UDP_CKSUM;
	const uint64_t rx_checksums = RTE_ETH_RX_OFFLOAD_IPV4_CKSUM | RTE_ETH_RX_OFFLOAD_UDP_CKSUM;
	struct rte_eth_conf conf = {0};
	/* The tap driver only computes in software what we compute better ourselves. */
	bool offload = config->kind == CFG_DEVICE_PCI || config->kind == CFG_DEVICE_VDEV;

	if (offload && (info->tx_offload_capa & tx_checksums) == tx_checksums) {
		conf.txmode.offloads |= tx_checksums;
		port->ip_checksum_tx_offload = true;
	}
	if (offload && (info->rx_offload_capa & rx_checksums) == rx_checksums) {
		conf.rxmode.offloads |= rx_checksums;
		port->checksum_rx_known = true;
	}
	uint64_t spread =
		info->flow_type_rss_offloads & (RTE_ETH_RSS_IPV4 | RTE_ETH_RSS_NONFRAG_IPV4_UDP);
	if (config->kind == CFG_DEVICE_PCI && needs->rx_queues > 1 && spread) {
		conf.rxmode.mq_mode = RTE_ETH_MQ_RX_RSS;
		conf.rx_adv_conf.rss_conf.rss_hf = spread;
	}
	/* Virtual devices of 22.11 claim a limit of 1,500 bytes and have none: their buffers
	 * decide, and we have made those. */
	if (config->kind == CFG_DEVICE_PCI)
		conf.rxmode.mtu = config->mtu_bytes;
	int rc = rte_eth_dev_configure(port->id, port->rx_queues, port->tx_queues, &conf);
	if (rc != 0)
		return fail(
			-rc,
			needs,
			error,
			error_bytes,
			"the device refuses %u receive and %u transmit queues with MTU %u: %s",
			port->rx_queues,
			port->tx_queues,
			config->mtu_bytes,
			rte_strerror(-rc)
		);
	return 0;
}

static int check_queues(
	const struct cfg_port *config,
	const struct dp_port_needs *needs,
	const struct rte_eth_dev_info *info,
	char *error,
	size_t error_bytes
)
{
	char device[CFG_TEXT_BYTES + 32];
	cfg_format_device(config, device, sizeof(device));
	if (needs->rx_queues > info->max_rx_queues || needs->tx_queues > info->max_tx_queues)
		return fail(
			EINVAL,
			needs,
			error,
			error_bytes,
			"%s has %u receive and %u transmit queues, %u and %u are needed",
			device,
			info->max_rx_queues,
			info->max_tx_queues,
			needs->rx_queues,
			needs->tx_queues
		);
	/* These come in pairs, and the kernel would spread frames over receive queues that nobody
	 * polls. */
	bool pairs = config->kind == CFG_DEVICE_AF_PACKET || config->kind == CFG_DEVICE_AF_XDP ||
		     config->kind == CFG_DEVICE_TAP;
	if (pairs && needs->rx_queues != needs->tx_queues)
		return fail(
			EINVAL,
			needs,
			error,
			error_bytes,
			"%s has as many transmit as receive queues; %u receive and %u transmit "
			"queues are needed",
			device,
			needs->rx_queues,
			needs->tx_queues
		);
	return 0;
}

static int set_up_queues(
	const struct cfg_port *config,
	const struct dp_port_needs *needs,
	uint16_t tx_slots,
	const struct rte_eth_dev_info *info,
	struct dp_port *port,
	char *error,
	size_t error_bytes
)
{
	uint16_t rx_slots = config->descriptors, slots = config->descriptors;
	int socket = rte_eth_dev_socket_id(port->id);
	uint32_t room = dp_port_room_bytes(config);
	int rc = rte_eth_dev_adjust_nb_rx_tx_desc(port->id, &rx_slots, &slots);

	if (rc != 0)
		return fail(
			-rc,
			needs,
			error,
			error_bytes,
			"the device refuses %u descriptors per queue: %s",
			config->descriptors,
			rte_strerror(-rc)
		);
	uint32_t held = config->kind == CFG_DEVICE_AF_XDP ? XDP_RING_MBUFS : rx_slots;
	if (info->max_rx_pktlen && config->kind == CFG_DEVICE_PCI && info->min_rx_bufsize > room)
		room = info->min_rx_bufsize;
	port->rx_pool = make_pool(
		needs,
		"rx",
		needs->rx_mbufs + (uint32_t)port->rx_queues * held,
		room,
		socket,
		error,
		error_bytes
	);
	if (port->rx_pool == NULL)
		return -ENOMEM;
	if (needs->tx_mbufs) {
		port->tx_pool = make_pool(
			needs,
			"tx",
			needs->tx_mbufs + (uint32_t)port->tx_queues * tx_slots,
			room,
			socket,
			error,
			error_bytes
		);
		if (port->tx_pool == NULL)
			return -ENOMEM;
	}
	for (uint16_t q = 0; rc == 0 && q < port->rx_queues; q++)
		rc = rte_eth_rx_queue_setup(
			port->id, q, rx_slots, (unsigned)socket, NULL, port->rx_pool
		);
	for (uint16_t q = 0; rc == 0 && q < port->tx_queues; q++)
		rc = rte_eth_tx_queue_setup(port->id, q, slots, (unsigned)socket, NULL);
	if (rc != 0)
		return fail(
			-rc,
			needs,
			error,
			error_bytes,
			"the device refuses its queues of %u and %u descriptors: %s",
			rx_slots,
			slots,
			rte_strerror(-rc)
		);
	return 0;
}

static int
set_mtu(const struct cfg_port *config,
	const struct dp_port_needs *needs,
	const struct dp_port *port,
	char *error,
	size_t error_bytes)
{
	int rc = 0;

	if (config->kind == CFG_DEVICE_TAP)
		rc = dp_port_set_interface_mtu(config->device, config->mtu_bytes);
	else if (config->kind == CFG_DEVICE_PCI)
		rc = rte_eth_dev_set_mtu(port->id, config->mtu_bytes);
	if (rc == -ENOTSUP)
		rc = 0; /* rxmode.mtu has said it already */
	if (rc != 0)
		return fail(
			-rc,
			needs,
			error,
			error_bytes,
			"the device refuses MTU %u: %s",
			config->mtu_bytes,
			rte_strerror(-rc)
		);
	return 0;
}

/* A configured address is given to real devices; of a kernel interface we leave the address alone
 * and listen to everything. */
static int set_address(
	const struct cfg_port *config,
	const struct dp_port_needs *needs,
	struct dp_port *port,
	char *error,
	size_t error_bytes
)
{
	struct rte_ether_addr wanted;
	bool promiscuous = needs->promiscuous;
	int rc = rte_eth_macaddr_get(port->id, &port->mac);

	memcpy(&wanted, config->mac, sizeof(wanted));
	if (rc == 0 && !rte_is_zero_ether_addr(&wanted)) {
		if (config->kind == CFG_DEVICE_PCI)
			rc = rte_eth_dev_default_mac_addr_set(port->id, &wanted);
		else
			promiscuous = true;
		port->mac = wanted;
	}
	if (rc != 0)
		return fail(
			-rc,
			needs,
			error,
			error_bytes,
			"the device refuses its MAC address: %s",
			rte_strerror(-rc)
		);
	if (promiscuous) {
		rc = rte_eth_promiscuous_enable(port->id);
		/* Virtual devices without the notion pass everything anyway. */
		if (rc != 0 && (rc != -ENOTSUP || config->kind == CFG_DEVICE_PCI))
			return fail(
				-rc,
				needs,
				error,
				error_bytes,
				"the device refuses to be promiscuous: %s",
				rte_strerror(-rc)
			);
	}
	return 0;
}

int dp_port_set_up(
	const struct cfg_port *config,
	const struct dp_port_needs *needs,
	uint16_t tx_slots,
	struct dp_port *port,
	char *error,
	size_t error_bytes
)
{
	struct rte_eth_dev_info info;
	int rc = rte_eth_dev_info_get(port->id, &info);

	port->rx_queues = needs->rx_queues;
	port->tx_queues = needs->tx_queues;
	port->mtu_bytes = config->mtu_bytes;
	if (rc != 0)
		return fail(-rc, needs, error, error_bytes, "the device gives no information");
	rc = check_queues(config, needs, &info, error, error_bytes);
	if (rc == 0)
		rc = configure(config, needs, &info, port, error, error_bytes);
	if (rc == 0)
		rc = set_up_queues(config, needs, tx_slots, &info, port, error, error_bytes);
	if (rc == 0)
		rc = set_mtu(config, needs, port, error, error_bytes);
	if (rc != 0)
		return rc;
	if (config->kind == CFG_DEVICE_MEMIF_SERVER || config->kind == CFG_DEVICE_MEMIF_CLIENT) {
		rc = dp_memif_start(config, port, error, error_bytes);
	} else {
		rc = rte_eth_dev_start(port->id);
		if (rc != 0)
			fail(0,
			     needs,
			     error,
			     error_bytes,
			     "it does not start: %s",
			     rte_strerror(-rc));
	}
	if (rc == 0)
		rc = set_address(config, needs, port, error, error_bytes);
	return rc;
}

int dp_port_open(
	const struct cfg_port *config,
	const struct dp_port_needs *needs,
	struct dp_port *port,
	char *error,
	size_t error_bytes
)
{
	/* Only hardware and af_xdp keep frames after tx; a ring's frames lie in its slots. */
	bool keeps = config->kind == CFG_DEVICE_PCI || config->kind == CFG_DEVICE_AF_XDP ||
		     config->kind == CFG_DEVICE_VDEV || config->kind == CFG_DEVICE_RING;
	char reason[512] = "";

	memset(port, 0, sizeof(*port));
	port->id = RTE_MAX_ETHPORTS;
	port->kind = config->kind;
	int rc = check_numbers(config, needs, error, error_bytes);
	if (rc != 0)
		return rc;
	rc = dp_port_make_device(config, needs, port, reason, sizeof(reason));
	if (rc != 0)
		fail(0, needs, error, error_bytes, "%s", reason);
	else
		rc = dp_port_set_up(
			config, needs, keeps ? config->descriptors : 0, port, error, error_bytes
		);
	if (rc != 0)
		dp_port_close(port);
	return rc;
}

bool dp_port_link_up(const struct dp_port *port)
{
	struct rte_eth_link link;

	return rte_eth_link_get_nowait(port->id, &link) == 0 && link.link_status == RTE_ETH_LINK_UP;
}

uint64_t dp_port_missed(const struct dp_port *port)
{
	struct rte_eth_stats stats;

	if (rte_eth_stats_get(port->id, &stats) != 0)
		return 0;
	return stats.imissed + stats.ierrors + stats.rx_nombuf;
}

uint32_t dp_port_mbufs_in_use(const struct dp_port *port)
{
	uint32_t count = port->rx_pool ? rte_mempool_in_use_count(port->rx_pool) : 0;

	return count + (port->tx_pool ? rte_mempool_in_use_count(port->tx_pool) : 0);
}

static void free_pool(struct rte_mempool *pool)
{
	if (pool && rte_mempool_in_use_count(pool) == 0)
		rte_mempool_free(pool);
}

void dp_port_close(struct dp_port *port)
{
	struct rte_eth_dev_info info;

	if (rte_eth_dev_is_valid_port(port->id)) {
		bool known = rte_eth_dev_info_get(port->id, &info) == 0;
		dp_memif_stop(port);
		rte_eth_dev_stop(port->id);
		rte_eth_dev_close(port->id);
		dp_port_release_rings(port->id);
		/* Named by the bus, not by its pointer, since closing may have freed the device. */
		if (known && port->vdev[0])
			rte_eal_hotplug_remove("vdev", port->vdev);
	}
	free_pool(port->rx_pool);
	free_pool(port->tx_pool);
	memset(port, 0, sizeof(*port));
	port->id = RTE_MAX_ETHPORTS;
}
