/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Instructions per update, for valgrind's callgrind (perf/run starts it; perf/README.md says what
 * is in the figures). The parts of the main job (client, node a as primary, node b as standby) take
 * turns, so that every poll finds a full burst, and time is virtual: it stands still but for a
 * fixed step per round. So the figures repeat from run to run, and what happens once a millisecond
 * weighs what it weighs at a million updates a second, however slow the counting is.
 *
 * Two arrangements: all three parts in this process, connected by rings ("ring"); or this process
 * is one of the parts, connected by memif, and the turn is a byte that goes round through standard
 * input and output ("memif"). Work is counted inside count_turn and nowhere else.
 */
#pragma once

#include "dataplane/node.h"
#include "perf/bench/engine.h"

#include <stdbool.h>

#define COUNT_BATCH 32 /* requests of a round: a full burst */
#define COUNT_OUTSTANDING \
	96 /* three bursts: asked, under way, answered; each round has one of each */
#define COUNT_ROUND_NS 32000ull /* virtual time of a round: a million updates a second */
#define COUNT_MAX_INFLIGHT 128
#define COUNT_START_NS 1000000ull /* the same while the nodes still find each other */

enum count_part { COUNT_CLIENT, COUNT_PRIMARY, COUNT_STANDBY, COUNT_PARTS };

struct count_member {
	enum count_part part;
	struct cfg_settings settings; /* nodes */
	struct dp_shm *shm;
	struct dp_node node;
	struct bench_options options; /* client */
	struct bench_transport *transport;
	struct bench_engine engine;
};

/* Ports of a member when all members are in this process: ends of ring pairs. */
struct count_ports {
	struct dp_port client[3]; /* the client's, the primary's, the standby's (leads nowhere) */
	struct dp_port nowhere;	  /* the other end of the standby's */
	struct dp_port replication[2];
};

/* Settings of a node, its files and sockets in dir. */
void count_settings(struct cfg_settings *settings, enum count_part part, const char *dir);
int count_open_rings(struct count_ports *ports, const char *dir, char *error, size_t error_bytes);
/* ports: NULL for memif. */
int count_open_node(
	struct count_member *member,
	enum count_part part,
	const char *dir,
	const struct count_ports *ports,
	char *error,
	size_t error_bytes
);
int count_open_client(
	struct count_member *member,
	const char *dir,
	const struct count_ports *ports,
	char *error,
	size_t error_bytes
);

/* The one function whose instructions are counted: a turn of one member. */
unsigned count_turn(struct count_member *member);
/* The same, not counted. */
unsigned count_idle_turn(struct count_member *member);

/* Virtual time: CLOCK_MONOTONIC and CLOCK_REALTIME of this program, and dp_now_ns. */
void count_time_start(void);
void count_time_pass(uint64_t ns);
