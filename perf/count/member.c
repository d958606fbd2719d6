/* SPDX-License-Identifier: BSD-3-Clause */
#include "perf/bench/memif.h"
#include "perf/count/count.h"

#include <rte_ring.h>

#include <stdio.h>
#include <string.h>

#define PRIMARY_ADDRESS 0x0a4d0001u /* 10.77.0.1 */
#define STANDBY_ADDRESS 0x0a4d0002u
#define CLIENT_ADDRESS 0x0a4d0064u
#define RING_SLOTS 1024

static const struct dp_port_needs bench_needs = {
	.name = "bench",
	.owner = "bench",
	.rx_queues = 1,
	.tx_queues = 1,
	.rx_mbufs = 2048,
	.tx_mbufs = 1024,
};

static void
set_socket(struct cfg_port *port, enum cfg_device kind, const char *dir, const char *name)
{
	port->kind = kind;
	snprintf(port->device, sizeof(port->device), "%.200s/%s.sock", dir, name);
}

void count_settings(struct cfg_settings *settings, enum count_part part, const char *dir)
{
	bool primary = part == COUNT_PRIMARY;
	cfg_defaults(settings);
	settings->log.enabled = CFG_OFF;
	snprintf(settings->node.name, sizeof(settings->node.name), primary ? "a" : "b");
	snprintf(settings->peer.name, sizeof(settings->peer.name), primary ? "b" : "a");
	snprintf(settings->node.runtime_dir, sizeof(settings->node.runtime_dir), "%.200s", dir);
	settings->node.id = primary ? 0 : 1;
	settings->node.role = primary ? CFG_ROLE_PRIMARY : CFG_ROLE_STANDBY;
	settings->client.address = primary ? PRIMARY_ADDRESS : STANDBY_ADDRESS;
	settings->client.service_address = 0;
	settings->peer.address = primary ? STANDBY_ADDRESS : PRIMARY_ADDRESS;
	set_socket(
		&settings->client.port,
		CFG_DEVICE_MEMIF_SERVER,
		dir,
		primary ? "client-a" : "client-b"
	);
	set_socket(
		&settings->replication.port,
		primary ? CFG_DEVICE_MEMIF_SERVER : CFG_DEVICE_MEMIF_CLIENT,
		dir,
		"replication"
	);
	/* Nobody shall be suspected, and nothing sent again, while the members take their turns. */
	settings->replication.heartbeat_interval_ns = 1000000000ull;
	settings->replication.heartbeat_misses = 60;
	settings->replication.retransmit_min_ns = 1000000000ull;
	settings->limits.max_inflight = COUNT_MAX_INFLIGHT;
	cfg_place_all(settings);
}

int count_open_rings(struct count_ports *ports, const char *dir, char *error, size_t error_bytes)
{
	struct dp_port_needs client[2], replication[2];
	struct cfg_settings settings;
	for (int i = 0; i < 2; i++) {
		count_settings(&settings, i == 0 ? COUNT_PRIMARY : COUNT_STANDBY, dir);
		dp_node_port_needs(&settings, &client[i], &replication[i]);
		client[i].owner = replication[i].owner = i == 0 ? "a" : "b";
	}
	int result = dp_port_open_ring_pair(
		&bench_needs,
		&client[0],
		1500,
		RING_SLOTS,
		&ports->client[COUNT_CLIENT],
		&ports->client[COUNT_PRIMARY],
		error,
		error_bytes
	);
	if (result == 0)
		result = dp_port_open_ring_pair(
			&bench_needs,
			&client[1],
			1500,
			RING_SLOTS,
			&ports->nowhere,
			&ports->client[COUNT_STANDBY],
			error,
			error_bytes
		);
	if (result == 0)
		result = dp_port_open_ring_pair(
			&replication[0],
			&replication[1],
			1500,
			RING_SLOTS,
			&ports->replication[0],
			&ports->replication[1],
			error,
			error_bytes
		);
	return result;
}

int count_open_node(
	struct count_member *member,
	enum count_part part,
	const char *dir,
	const struct count_ports *ports,
	char *error,
	size_t error_bytes
)
{
	static int lock_fd; /* held until the process ends */
	struct dp_port_needs client_needs, replication_needs;
	struct dp_port client, replication;
	ssize_t ring_bytes = rte_ring_get_memsize_elem(DP_SHM_MESSAGE_BYTES, DP_SHM_RING_SLOTS);

	member->part = part;
	count_settings(&member->settings, part, dir);
	int result = dp_shm_create(
		&member->settings, (uint64_t)ring_bytes, &member->shm, &lock_fd, error, error_bytes
	);
	if (result < 0)
		return result;
	if (ports != NULL) {
		client = ports->client[part];
		replication = ports->replication[part == COUNT_PRIMARY ? 0 : 1];
	} else {
		dp_node_port_needs(&member->settings, &client_needs, &replication_needs);
		result = dp_port_open(
			&member->settings.client.port, &client_needs, &client, error, error_bytes
		);
		if (result == 0)
			result = dp_port_open(
				&member->settings.replication.port,
				&replication_needs,
				&replication,
				error,
				error_bytes
			);
		if (result < 0)
			return result;
	}
	return dp_node_create(
		&member->node,
		&member->settings,
		member->shm,
		&client,
		&replication,
		CFG_IDLE_YIELD,
		error,
		error_bytes
	);
}

int count_open_client(
	struct count_member *member,
	const char *dir,
	const struct count_ports *ports,
	char *error,
	size_t error_bytes
)
{
	static const uint32_t address = PRIMARY_ADDRESS;
	static volatile sig_atomic_t stop;
	struct cfg_port config = {.mtu_bytes = 1500, .descriptors = RING_SLOTS};
	struct dp_port port;

	member->part = COUNT_CLIENT;
	member->options = (struct bench_options){
		.outstanding = COUNT_OUTSTANDING,
		.batch = 1,
		.payload = 8,
		.assets = 1024,
		.first_asset = 1,
		.seed = 1,
		.updates = UINT64_MAX,
		.timeout_ns = 100000000ull,
		.drain_ns = 10000000000ull,
	};
	if (ports != NULL) {
		port = ports->client[COUNT_CLIENT];
	} else {
		set_socket(&config, CFG_DEVICE_MEMIF_CLIENT, dir, "client-a");
		int result = dp_port_open(&config, &bench_needs, &port, error, error_bytes);
		if (result < 0)
			return result;
	}
	member->transport = bench_frames_open(&port, &address, 1, CLIENT_ADDRESS);
	if (member->transport == NULL) {
		snprintf(error, error_bytes, "no memory");
		return -1;
	}
	int result = bench_engine_open(&member->engine, &member->options, member->transport, &stop);
	if (result < 0) {
		snprintf(error, error_bytes, "the engine does not open: %s", strerror(-result));
		return result;
	}
	/* One session, which opens as soon as a node answers. */
	member->engine.session_count = 1;
	member->engine.sessions[0].state = BENCH_SESSION_OPENING;
	member->engine.sessions[0].nonce = 1;
	bench_engine_begin(&member->engine, BENCH_OPENING);
	return 0;
}
