/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Answers on their way out. Packets are the cost, not bytes: answers to one client that one poll
 * produced leave in one datagram. Each agent that answers has a struct of its own and uses the TX
 * queue of its lcore; kernel-backed devices and memif are given as many TX as RX queues (node.c
 * says why), so there lcores may have to share one, under a lock. An answer that cannot be sent (no
 * mbuf, TX ring full) is dropped and counted: the client asks again and gets it as a repeat.
 */
#pragma once

#include "client/messages.h"
#include "dataplane/counters.h"
#include "dataplane/net.h"
#include "dataplane/port.h"

#include <rte_mbuf.h>
#include <rte_spinlock.h>

#include <stdbool.h>
#include <stdint.h>

#define DP_REPLIES_OPEN 16  /* datagrams that are being filled, by client */
#define DP_REPLIES_READY 64 /* full ones */

struct dp_replies {
	struct dp_reply_counters *counters;
	const struct dp_port *port;
	uint16_t queue;
	rte_spinlock_t *lock; /* NULL, or of a queue that several lcores share */
	uint16_t ready_count;
	uint16_t frame_bytes; /* no frame is longer */
	uint32_t open_mask;   /* bit per place of open */
	uint16_t udp_port;    /* ours, network order */
	struct dp_address to[DP_REPLIES_OPEN];
	struct rte_mbuf *open[DP_REPLIES_OPEN];
	struct rte_mbuf *ready[DP_REPLIES_READY];
};

void dp_replies_init(
	struct dp_replies *replies,
	const struct dp_port *port,
	uint16_t queue,
	rte_spinlock_t *lock,
	uint16_t udp_port,
	struct dp_reply_counters *counters
);

/* Sends frames of the agent's own making on its queue; what does not go is freed and counted. */
void dp_replies_send(struct dp_replies *replies, struct rte_mbuf **mbufs, uint16_t count);

/* Sends everything. Call at the end of each poll that wrote a message. */
void dp_replies_flush(struct dp_replies *replies);

/* --- The messages --- */

/* An UpdateResponse; sequence 0 for what was not sequenced. Returns false when it was dropped. */
struct dp_response {
	uint64_t client_id;
	uint64_t request_seq;
	uint64_t asset_id;
	uint64_t sequence;
	uint64_t asset_version;
	uint32_t epoch;
	enum cli_status status;
	bool repeat;
	uint16_t payload_bytes;
	const uint8_t *payload;
};
bool dp_replies_response(
	struct dp_replies *replies, const struct dp_address *to, const struct dp_response *response
);

struct dp_opened {
	uint64_t nonce;
	uint64_t client_id;
	uint32_t epoch;
	enum cli_status status;
	uint16_t max_inflight;
	uint16_t payload_bytes;
	const uint8_t *payload;
};
bool dp_replies_opened(
	struct dp_replies *replies, const struct dp_address *to, const struct dp_opened *opened
);
