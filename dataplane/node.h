/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A node: all agents, put together from the settings, and the lcores that run them. Everything is
 * allocated here, once; nothing grows later. The process has one node; tests and instruction counts
 * put two into one process and call the agents' polls themselves.
 */
#pragma once

#include "config/settings.h"
#include "dataplane/idle.h"
#include "dataplane/ingress.h"
#include "dataplane/port.h"
#include "dataplane/sequencer.h"
#include "dataplane/shm.h"
#include "dataplane/worker.h"

#define DP_MAX_AGENTS (CFG_MAX_INGRESS + CFG_MAX_WORKERS + 1)

struct dp_agent {
	unsigned (*poll)(void *agent);
	void *agent;
};

struct dp_lcore {
	struct dp_node *node;
	uint32_t agent_count;
	struct dp_agent agents[DP_MAX_AGENTS];
	struct dp_idle idle;
	struct dp_lcore_counters *counters;
} __attribute__((aligned(64)));

struct dp_node {
	const struct cfg_settings *settings;
	struct dp_shm *shm;
	struct dp_port client;
	struct dp_port replication;
	uint32_t stop;	 /* writer: main thread; nonzero: say GOODBYE, serve no more */
	uint32_t finish; /* writer: main thread; nonzero: leave the lcore loops */
	rte_spinlock_t client_tx_lock; /* when lcores share TX queues of the client port */
	struct dp_commit commit;
	struct dp_journal journal; /* with log.enabled only */
	struct disk *disk;	   /* its: disk_real, or one of our own with io_uring */
	struct dp_sequencer *sequencer;
	struct dp_ingress *ingresses;
	struct dp_worker *workers;
	uint32_t lcore_count;
	struct dp_lcore *lcores;
	uint32_t mapping_count; /* memory of the node */
	struct {
		void *memory;
		uint64_t bytes;
	} mappings[3 * CFG_MAX_WORKERS + 16];
};

/* What the node asks of its ports (queues, buffers). */
void dp_node_port_needs(
	const struct cfg_settings *settings,
	struct dp_port_needs *client,
	struct dp_port_needs *replication
);

/* Puts a node together on open ports (copied) and its memory file. Every idle strategy of AUTO
 * becomes auto_idle. 0 or a negative errno with a sentence in error; on failure nothing is left. */
int dp_node_create(
	struct dp_node *node,
	const struct cfg_settings *settings,
	struct dp_shm *shm,
	const struct dp_port *client,
	const struct dp_port *replication,
	enum cfg_idle auto_idle,
	char *error,
	size_t error_bytes
);
void dp_node_destroy(struct dp_node *node);

/* One round of all agents of an lcore; the work done. */
unsigned dp_lcore_round(struct dp_lcore *lcore);
/* Runs until node->finish; the signature of an lcore function. */
int dp_lcore_run(void *lcore);
