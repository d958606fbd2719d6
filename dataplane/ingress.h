/* SPDX-License-Identifier: BSD-3-Clause
 *
 * One per RX queue of the client port: receives, answers ARP and ICMP echo, drops and counts what
 * is not for us or not sound, and hands client datagrams to the sequencer: directly when both share
 * an lcore, else through an SPSC ring of mbufs. The messages in a handed-on datagram are
 * well-formed (dataplane/request.h).
 */
#pragma once

#include "config/settings.h"
#include "dataplane/commit.h"
#include "dataplane/counters.h"
#include "dataplane/port.h"
#include "dataplane/replies.h"
#include "dataplane/request.h"
#include "dataplane/shm.h"

#include <rte_mbuf.h>
#include <rte_ring.h>

#include <stdint.h>

#define DP_INBOX_DIRECT 128 /* datagrams that may wait for a sequencer on the same lcore */

/* From one ingress to the sequencer. */
struct dp_inbox {
	struct rte_ring *ring; /* NULL: direct */
	uint32_t count;	       /* direct only */
	struct rte_mbuf *mbufs[DP_INBOX_DIRECT];
};

struct dp_ingress {
	const struct dp_port *port;
	uint16_t queue;
	uint16_t udp_port;	  /* network order */
	uint32_t address;	  /* network order, as the next */
	uint32_t service_address; /* 0: none, or held by the peer */
	uint32_t service_configured;
	uint32_t announce_soon; /* so many more announcements come quickly */
	bool verify_udp_checksum;
	const struct dp_commit *commit;
	int received_ns_offset; /* of the mbuf field with the time of receipt */
	uint32_t empty_polls;
	uint64_t announce_ns; /* next gratuitous ARP; UINT64_MAX: never */
	struct dp_request_limits limits;
	struct dp_inbox inbox;
	struct dp_ingress_counters *counters;
	struct dp_replies replies;
};

unsigned dp_ingress_poll(void *ingress);

/* ARP and ICMP (ingress_local.c). Each takes the mbuf: it leaves as an answer or is freed. */
void dp_ingress_arp(struct dp_ingress *ingress, struct rte_mbuf *mbuf);
void dp_ingress_icmp(struct dp_ingress *ingress, struct rte_mbuf *mbuf, uint32_t ip_bytes);
void dp_ingress_announce(struct dp_ingress *ingress);
