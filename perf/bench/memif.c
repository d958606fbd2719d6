/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Opens DPDK and the memif ports for the frame transport. */
#include "perf/bench/memif.h"

#include "dataplane/eal.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MTU_BYTES 1500
#define DESCRIPTORS 1024
#define RX_MBUFS 2048
#define TX_MBUFS 1024
#define MEMORY_BYTES (128ull << 20)

/* The next item of a list with commas, copied; false at its end or when it is too long. */
static bool next_item(const char **list, char *item, size_t item_bytes)
{
	size_t length = strcspn(*list, ",");
	if (length == 0 || length >= item_bytes)
		return false;
	memcpy(item, *list, length);
	item[length] = '\0';
	*list += length + ((*list)[length] == ',');
	return true;
}

static int parse_addresses(
	const struct bench_options *o,
	uint32_t *addresses,
	uint32_t count,
	uint32_t *own,
	char *error,
	size_t error_bytes
)
{
	char item[64] = "";
	const char *rest = o->addresses;
	struct in_addr address;

	for (uint32_t i = 0; i < count; i++) {
		if (!next_item(&rest, item, sizeof(item)) ||
		    inet_pton(AF_INET, item, &address) != 1) {
			snprintf(
				error,
				error_bytes,
				"--addresses %s: %u IPv4 addresses are needed",
				o->addresses,
				count
			);
			return -EINVAL;
		}
		addresses[i] = ntohl(address.s_addr);
	}
	if (inet_pton(AF_INET, o->own_address, &address) != 1) {
		snprintf(error, error_bytes, "--own-address %s is no IPv4 address", o->own_address);
		return -EINVAL;
	}
	*own = ntohl(address.s_addr);
	return 0;
}

static int start_dpdk(const struct bench_options *o, char *error, size_t error_bytes)
{
	char prefix[64], line[1024];
	bool hugepages;
	struct dp_eal_needs needs = {
		.program = "standfast-bench",
		.prefix = prefix,
		.memory_bytes = MEMORY_BYTES,
		.hugepages = o->no_hugepages ? CFG_OFF : CFG_AUTO,
		.lcore_count = 1,
		.cpus = {o->cpu != NULL ? o->cpu : "any"},
	};
	snprintf(prefix, sizeof(prefix), "standfast-bench-%d", (int)getpid());
	return dp_eal_start(&needs, line, sizeof(line), &hugepages, error, error_bytes);
}

static int
open_port(const char *socket, uint32_t index, struct dp_port *port, char *error, size_t error_bytes)
{
	char name[16];
	struct cfg_port config = {
		.kind = CFG_DEVICE_MEMIF_CLIENT,
		.mtu_bytes = MTU_BYTES,
		.descriptors = DESCRIPTORS,
	};
	struct dp_port_needs needs = {
		.name = name,
		.owner = "bench",
		.rx_queues = 1,
		.tx_queues = 1,
		.rx_mbufs = RX_MBUFS,
		.tx_mbufs = TX_MBUFS,
	};
	snprintf(name, sizeof(name), "node%u", index);
	snprintf(config.device, sizeof(config.device), "%s", socket);
	return dp_port_open(&config, &needs, port, error, error_bytes);
}

int bench_memif_open(
	const struct bench_options *o,
	struct bench_transport **transport,
	char *error,
	size_t error_bytes
)
{
	struct dp_port ports[BENCH_MAX_NODES];
	uint32_t addresses[BENCH_MAX_NODES], own, count = 1, opened = 0;
	char socket[CFG_TEXT_BYTES];
	const char *rest = o->memif;

	for (const char *at = rest; *at != '\0'; at++)
		count += *at == ',';
	if (count > BENCH_MAX_NODES) {
		snprintf(error, error_bytes, "more than %d nodes", BENCH_MAX_NODES);
		return -EINVAL;
	}
	int result = parse_addresses(o, addresses, count, &own, error, error_bytes);
	if (result == 0)
		result = start_dpdk(o, error, error_bytes);
	while (result == 0 && opened < count) {
		if (!next_item(&rest, socket, sizeof(socket))) {
			snprintf(error, error_bytes, "--to memif:%s: bad socket name", o->memif);
			result = -EINVAL;
			break;
		}
		result = open_port(socket, opened, &ports[opened], error, error_bytes);
		opened += result == 0;
	}
	if (result == 0) {
		*transport = bench_frames_open(ports, addresses, count, own);
		result = *transport != NULL ? 0 : -ENOMEM;
	}
	while (result != 0 && opened > 0)
		dp_port_close(&ports[--opened]);
	return result;
}
