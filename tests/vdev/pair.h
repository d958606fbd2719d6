/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Two whole nodes in one process over ring ports: the very agents of the product, driven by hand
 * (pair_round) or on EAL lcores (pair_launch). The test plays the client with raw frames, written
 * and read here without the product's code, and sits on the replication link, where it may drop,
 * repeat, change and inject.
 *
 *   client ── outside[n] ═ ring ═ client port of node n
 *   link port of node a ═ ring ═ tap[a] ── the test ── tap[b] ═ ring ═ link port of node b
 *
 * Node 0 is "a", the primary, node 1 is "b", the standby. Everything here is for one thread, the
 * test's. A failure is a cmocka assertion.
 */
#pragma once

#include "dataplane/node.h"
#include "tests/vdev/lab.h" /* has what cmocka.h needs before it */

#include <cmocka.h>
#include <stdbool.h>
#include <stdint.h>

#define PAIR_DEADLINE_NS 20000000000ull
#define PAIR_MAX_ANSWERS 8192
#define PAIR_MAX_FRAME 2048

enum pair_verdict { PAIR_PASS, PAIR_DROP, PAIR_TWICE };

/* What one pair differs in from the usual one. */
struct pair_options {
	/* Changes the settings of a node before they are checked; NULL: as they are. */
	void (*adjust)(struct cfg_settings *settings, int node);
	uint32_t ring_slots; /* frames that a port holds; 0: 1,024 */
};

struct pair_answer {
	int node;
	uint32_t datagram; /* answers of one datagram share its number */
	uint16_t port;	   /* to which it went */
	uint32_t ip;
	uint16_t template_id;
	uint64_t client_id;
	uint64_t request_seq; /* SessionOpened: the nonce */
	uint64_t asset_id;
	uint64_t sequence;
	uint64_t asset_version;
	uint32_t epoch;
	uint16_t max_inflight;
	uint8_t status;
	uint8_t flags;
	uint16_t payload_bytes;
	uint8_t payload[1400];
};

/* What came from a node and is no UDP datagram. */
struct pair_local {
	int node;
	uint32_t bytes;
	uint8_t frame[PAIR_MAX_FRAME];
};

struct pair_side {
	struct cfg_settings settings;
	struct dp_shm *shm;
	int lock_fd;
	struct dp_port client, outside, link, tap;
	struct dp_node node;
	uint64_t frames_to_client_port; /* sent by the test */
	uint64_t frames_to_link;
};

struct pair {
	struct pair_side sides[2];
	char directory[64];
	bool launched;
	/* Sees, and may change, each frame of the link; NULL: all pass. from: the node. */
	enum pair_verdict (*judge)(struct pair *pair, int from, uint8_t *frame, uint32_t *bytes);
	void *context;
	const void *paused[8]; /* agents that pair_round passes over */
	bool deaf;	       /* nobody reads what nodes send to clients */
	uint32_t datagrams;
	uint32_t answer_head, answer_tail;
	uint32_t local_count;
	struct pair_local locals[16]; /* the first ones since pair_forget */
	struct pair_answer answers[PAIR_MAX_ANSWERS];
};

/* Once per process. */
void pair_start_eal(uint32_t lcore_count);

/* Makes both nodes; pair_make also waits until they are paired. */
struct pair *pair_make(const struct pair_options *options);
struct pair *pair_make_apart(const struct pair_options *options);
/* Waits until all is quiet, checks that every mbuf is back and every frame accounted for, and takes
 * the pair apart. */
void pair_end(struct pair *pair);

void pair_round(struct pair *pair);
void pair_rounds(struct pair *pair, unsigned count);
/* Runs the data lcores of both nodes on EAL lcores until pair_halt; meanwhile pair_round only
 * carries frames. */
void pair_launch(struct pair *pair);
void pair_halt(struct pair *pair);
uint64_t pair_now_ns(void);

#define PAIR_UNTIL(pair, condition)                                                           \
	do {                                                                                  \
		uint64_t until_ns_ = pair_now_ns() + PAIR_DEADLINE_NS;                        \
		while (!(condition)) {                                                        \
			if (pair_now_ns() > until_ns_)                                        \
				fail_msg("%s:%d: never: %s", __FILE__, __LINE__, #condition); \
			pair_round(pair);                                                     \
		}                                                                             \
	} while (0)

static inline struct dp_sequencer *pair_sequencer(struct pair *pair, int node)
{
	return pair->sides[node].node.sequencer;
}
static inline struct dp_sequencer_counters *pair_counters(struct pair *pair, int node)
{
	return &pair->sides[node].shm->sequencer;
}
static inline struct dp_ingress_counters *pair_ingress(struct pair *pair, int node)
{
	return &dp_shm_ingress(pair->sides[node].shm, 0)->counters;
}
/* Sum of all workers' counters. */
struct dp_worker_counters pair_workers(struct pair *pair, int node);
/* Of all agents that answer. */
struct dp_reply_counters pair_replies(struct pair *pair, int node);
bool pair_is_paired(struct pair *pair);
/* Both nodes have applied everything, and the same digest comes out. */
uint64_t pair_digest(struct pair *pair, int node);
void pair_settle(struct pair *pair);
void pair_check_equal(struct pair *pair);
/* Every frame that the test sent to the ports has been counted under exactly one name. */
void pair_check_counted(struct pair *pair);

/* --- The client --- */

struct pair_client {
	uint8_t mac[6];
	uint32_t ip;
	uint16_t port;
	uint64_t id;	    /* of its session */
	uint64_t seq;	    /* last request used */
	uint64_t completed; /* below this all are answered */
};

/* A datagram's UDP payload in the making. */
struct pair_datagram {
	uint32_t bytes;
	uint8_t data[PAIR_MAX_FRAME];
};

void put16(uint8_t *at, uint64_t value);
void put32(uint8_t *at, uint64_t value);
void put64(uint8_t *at, uint64_t value);
uint64_t get(const uint8_t *at, unsigned bytes);
uint16_t pair_checksum(const void *data, uint32_t bytes, uint32_t sum);

void pair_add(
	struct pair_datagram *datagram,
	uint16_t template_id,
	const void *block,
	uint16_t block_bytes,
	const void *payload,
	uint16_t payload_bytes
);
void pair_add_open(struct pair_datagram *datagram, uint64_t nonce);
void pair_add_close(struct pair_datagram *datagram, uint64_t client_id);
void pair_add_update(
	struct pair_datagram *datagram,
	uint64_t client_id,
	uint64_t request_seq,
	uint64_t first_incomplete,
	uint64_t asset_id,
	uint8_t opcode,
	uint8_t flags,
	const void *payload,
	uint16_t payload_bytes
);
/* The next request of a client: ADD, SET with one operand; GET with the read-only flag. */
void pair_add_simple(
	struct pair_datagram *datagram,
	struct pair_client *client,
	uint64_t asset_id,
	uint8_t opcode,
	int64_t operand
);

/* The whole frame; returns its bytes. */
uint32_t pair_frame(
	struct pair *pair,
	int node,
	const struct pair_client *client,
	const void *payload,
	uint32_t payload_bytes,
	uint8_t *frame
);
/* Recomputes both checksums of a frame made by pair_frame. */
void pair_seal(uint8_t *frame);
/* False when the node's port is full; then nothing was sent. */
bool pair_send_frame(struct pair *pair, int node, const void *frame, uint32_t bytes);
void pair_send(
	struct pair *pair,
	int node,
	const struct pair_client *client,
	const struct pair_datagram *datagram
);
/* Puts a frame of the test's on the link, towards a node. */
void pair_inject(struct pair *pair, int node, const void *frame, uint32_t bytes);

/* The next answer that came, or NULL. Valid until PAIR_MAX_ANSWERS more have come. */
const struct pair_answer *pair_next(struct pair *pair);
/* Waits for it. */
const struct pair_answer *pair_wait(struct pair *pair);
/* The answer to this request of this client; others that come before it are passed over. */
const struct pair_answer *
pair_wait_for(struct pair *pair, uint64_t client_id, uint64_t request_seq);
void pair_forget(struct pair *pair);

/* A client with an open session; number makes its address. */
struct pair_client pair_client(uint16_t number);
struct pair_client pair_open_session(struct pair *pair, uint16_t number);
/* One request and its answer. */
const struct pair_answer *pair_call(
	struct pair *pair,
	struct pair_client *client,
	uint64_t asset_id,
	uint8_t opcode,
	int64_t operand
);
