/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/ingress.h"

#include "dataplane/clock.h"

#include <rte_ethdev.h>
#include <rte_mbuf_dyn.h>

#define ANNOUNCE_INTERVAL_NS 10000000000ull
#define ANNOUNCE_SOON_NS 100000000ull
#define ANNOUNCE_TIMES 3
#define CLOCK_EVERY 1024

/* The address that a request came from; false for one that no answer may go to. */
static bool client_of(const struct dp_headers *headers, struct dp_address *client)
{
	client->mac = headers->ether.src_addr;
	client->port = headers->udp.src_port;
	client->ip = headers->ip.src_addr;
	client->local_ip = headers->ip.dst_addr;
	uint32_t ip = rte_be_to_cpu_32(client->ip);
	return client->port != 0 && ip != 0 && !rte_is_multicast_ether_addr(&client->mac) &&
	       ip < DP_FIRST_GROUP_IP;
}

static void answer_bad_update(
	struct dp_ingress *ingress,
	const struct dp_address *client,
	uint64_t client_id,
	uint64_t request_seq,
	uint64_t asset_id
)
{
	struct dp_response response = {
		.client_id = client_id,
		.request_seq = request_seq,
		.asset_id = asset_id,
		.epoch = (uint32_t)dp_shm_load(&ingress->commit->epoch),
		.status = CLI_BAD_REQUEST,
	};
	dp_replies_response(&ingress->replies, client, &response);
	ingress->counters->bad_request++;
}

/* Answers the messages that were marked as bad. */
static void answer_marked(
	struct dp_ingress *ingress,
	const struct dp_address *client,
	const uint8_t *data,
	const struct dp_datagram *datagram
)
{
	for (uint32_t i = 0; i < datagram->messages; i++) {
		const uint8_t *block = dp_request_block(data);
		struct dp_opened opened;
		switch (dp_request_template(data)) {
		case DP_MARK_BAD_UPDATE:
			answer_bad_update(
				ingress,
				client,
				sf_load64(block),
				sf_load64(block + 8),
				sf_load64(block + 24)
			);
			break;
		case DP_MARK_BAD_OPEN:
			opened = (struct dp_opened){
				.nonce = sf_load64(block),
				.epoch = (uint32_t)dp_shm_load(&ingress->commit->epoch),
				.status = CLI_BAD_REQUEST,
			};
			dp_replies_opened(&ingress->replies, client, &opened);
			ingress->counters->bad_request++;
			break;
		case DP_MARK_BAD_TEMPLATE:
			answer_bad_update(
				ingress, client, sf_load64(block), sf_load64(block + 8), 0
			);
			ingress->counters->drop_unknown_template++;
			break;
		case DP_MARK_UNKNOWN:
			ingress->counters->drop_unknown_template++;
			break;
		}
		data += dp_request_message_bytes(data);
	}
}

/* May another burst be handed on? */
static inline bool inbox_has_room(const struct dp_inbox *inbox)
{
	if (inbox->ring == NULL)
		return inbox->count <= DP_INBOX_DIRECT - DP_BURST;
	/* The producer's side is ours alone; relaxed: the consumer's place is only a count here. */
	const struct rte_ring *ring = inbox->ring;
	uint32_t taken = __atomic_load_n(&ring->cons.tail, __ATOMIC_RELAXED);
	return ring->capacity - (ring->prod.tail - taken) >= DP_BURST;
}

static void
hand_on(struct dp_ingress *ingress, struct rte_mbuf *mbuf, uint32_t messages, uint64_t now_ns)
{
	struct dp_inbox *inbox = &ingress->inbox;
	*RTE_MBUF_DYNFIELD(mbuf, ingress->received_ns_offset, uint64_t *) = now_ns;
	if (inbox->ring == NULL)
		inbox->mbufs[inbox->count++] = mbuf;
	else /* there is room: only this agent fills the ring */
		CHECK(rte_ring_sp_enqueue(inbox->ring, mbuf) == 0);
	ingress->counters->handed_on++;
	ingress->counters->requests += messages;
}

/* True when the UDP checksum is right, absent, or cannot be judged. */
static bool checksum_fits(
	struct dp_ingress *ingress,
	const struct rte_mbuf *mbuf,
	const struct dp_headers *headers,
	uint32_t udp_bytes
)
{
	uint64_t flags = mbuf->ol_flags & RTE_MBUF_F_RX_L4_CKSUM_MASK;
	if (headers->udp.dgram_cksum == 0 || flags == RTE_MBUF_F_RX_L4_CKSUM_GOOD)
		return true;
	if (!ingress->verify_udp_checksum) {
		ingress->counters->checksum_unverified++;
		return true;
	}
	return dp_udp_sum(headers, udp_bytes) == 0xffff;
}

static void
receive_udp(struct dp_ingress *ingress, struct rte_mbuf *mbuf, uint32_t ip_bytes, uint64_t now_ns)
{
	struct dp_ingress_counters *counters = ingress->counters;
	struct dp_headers *headers = rte_pktmbuf_mtod(mbuf, struct dp_headers *);
	uint8_t *data = (uint8_t *)(headers + 1);
	uint32_t udp_bytes = ip_bytes - (uint32_t)sizeof(struct rte_ipv4_hdr);
	struct dp_address client;
	struct dp_datagram datagram;
	uint64_t *drop;

	drop = &counters->drop_udp_length;
	if (udp_bytes < sizeof(struct rte_udp_hdr) ||
	    rte_be_to_cpu_16(headers->udp.dgram_len) != udp_bytes)
		goto dropped;
	drop = &counters->drop_foreign_udp_port;
	if (headers->udp.dst_port != ingress->udp_port)
		goto dropped;
	drop = &counters->drop_udp_checksum;
	if (!checksum_fits(ingress, mbuf, headers, udp_bytes))
		goto dropped;
	drop = &counters->drop_source_address;
	if (!client_of(headers, &client))
		goto dropped;
	udp_bytes -= (uint32_t)sizeof(struct rte_udp_hdr);
	drop = &counters->drop_framing;
	if (udp_bytes > CLI_MAX_DATAGRAM_BYTES)
		goto dropped;

	dp_request_check(&ingress->limits, data, udp_bytes, &datagram);
	if (unlikely(datagram.broken)) {
		if (datagram.broken_has_ids)
			answer_bad_update(
				ingress,
				&client,
				datagram.broken_client_id,
				datagram.broken_request_seq,
				datagram.broken_asset_id
			);
		goto dropped;
	}
	if (unlikely(datagram.marked > 0)) {
		answer_marked(ingress, &client, data, &datagram);
		drop = &counters->refused_whole;
		if (datagram.marked == datagram.messages)
			goto dropped;
	}
	/* The mbuf ends where the datagram ends: whoever walks it needs no other length. */
	mbuf->data_len = (uint16_t)(DP_HEADERS_BYTES + udp_bytes);
	mbuf->pkt_len = mbuf->data_len;
	hand_on(ingress, mbuf, datagram.messages - datagram.marked, now_ns);
	return;
dropped:
	(*drop)++;
	rte_pktmbuf_free(mbuf);
}

static void receive_ip(struct dp_ingress *ingress, struct rte_mbuf *mbuf, uint64_t now_ns)
{
	struct dp_ingress_counters *counters = ingress->counters;
	const struct rte_ipv4_hdr *ip =
		rte_pktmbuf_mtod_offset(mbuf, void *, sizeof(struct rte_ether_hdr));
	uint32_t there = mbuf->data_len - (uint32_t)sizeof(struct rte_ether_hdr);
	uint64_t *drop;

	drop = &counters->drop_ip_header;
	if (there < sizeof(*ip) || ip->version_ihl >> 4 != 4)
		goto dropped;
	drop = &counters->drop_ip_options;
	if (ip->version_ihl != RTE_IPV4_VHL_DEF)
		goto dropped;
	/* Ethernet pads short frames, so the packet may be shorter than the frame, never longer. */
	uint32_t ip_bytes = rte_be_to_cpu_16(ip->total_length);
	drop = &counters->drop_ip_length;
	if (ip_bytes < sizeof(*ip) || ip_bytes > there)
		goto dropped;
	drop = &counters->drop_ip_checksum;
	uint64_t flags = mbuf->ol_flags & RTE_MBUF_F_RX_IP_CKSUM_MASK;
	if (flags != RTE_MBUF_F_RX_IP_CKSUM_GOOD &&
	    dp_sum_fold(dp_sum(0, ip, sizeof(*ip))) != 0xffff)
		goto dropped;
	drop = &counters->drop_foreign_ip;
	if (ip->dst_addr != ingress->address &&
	    (ip->dst_addr != ingress->service_address || ingress->service_address == 0))
		goto dropped;
	drop = &counters->drop_ip_fragment;
	if (ip->fragment_offset & rte_cpu_to_be_16(RTE_IPV4_HDR_MF_FLAG | RTE_IPV4_HDR_OFFSET_MASK))
		goto dropped;
	switch (ip->next_proto_id) {
	case IPPROTO_UDP:
		receive_udp(ingress, mbuf, ip_bytes, now_ns);
		return;
	case IPPROTO_ICMP:
		dp_ingress_icmp(ingress, mbuf, ip_bytes);
		return;
	}
	drop = &counters->drop_foreign_protocol;
dropped:
	(*drop)++;
	rte_pktmbuf_free(mbuf);
}

static void receive(struct dp_ingress *ingress, struct rte_mbuf *mbuf, uint64_t now_ns)
{
	struct dp_ingress_counters *counters = ingress->counters;
	const struct rte_ether_hdr *ether = rte_pktmbuf_mtod(mbuf, struct rte_ether_hdr *);
	uint64_t *drop;

	counters->bytes += mbuf->pkt_len;
	drop = &counters->drop_multi_segment;
	if (mbuf->nb_segs != 1)
		goto dropped;
	drop = &counters->drop_runt;
	if (mbuf->data_len < sizeof(*ether))
		goto dropped;
	drop = &counters->drop_foreign_mac;
	bool ours = dp_same_mac(&ether->dst_addr, &ingress->port->mac);
	if (!ours && !rte_is_broadcast_ether_addr(&ether->dst_addr))
		goto dropped;
	if (ether->ether_type == rte_cpu_to_be_16(RTE_ETHER_TYPE_ARP)) {
		dp_ingress_arp(ingress, mbuf);
		return;
	}
	if (!ours)
		goto dropped;
	drop = &counters->drop_foreign_ethertype;
	if (ether->ether_type != rte_cpu_to_be_16(RTE_ETHER_TYPE_IPV4))
		goto dropped;
	receive_ip(ingress, mbuf, now_ns);
	return;
dropped:
	(*drop)++;
	rte_pktmbuf_free(mbuf);
}

/* The service address comes or goes with the role. Said more than once: a frame may be lost, and
 * the node that had it may only now be giving it up (N22). */
static void move_service(struct dp_ingress *ingress, uint32_t service, uint64_t now_ns)
{
	ingress->service_address = service;
	if (service == 0 || ingress->announce_ns == UINT64_MAX)
		return;
	ingress->announce_soon = ANNOUNCE_TIMES;
	ingress->announce_ns = now_ns;
}

unsigned dp_ingress_poll(void *agent)
{
	struct dp_ingress *ingress = agent;
	struct rte_mbuf *mbufs[DP_BURST];
	/* With a full inbox nothing is taken from the port, which holds it meanwhile (D05). */
	if (!inbox_has_room(&ingress->inbox))
		return 0;
	uint16_t count = dp_port_rx(ingress->port, ingress->queue, mbufs, DP_BURST);
	/* Empty polls look at the clock only now and then: it costs as much as they do. */
	if (count == 0 && ingress->empty_polls++ % CLOCK_EVERY != 0)
		return 0;
	uint64_t now_ns = dp_now_ns();
	uint32_t service = dp_shm_load(&ingress->commit->primary) ? ingress->service_configured : 0;
	if (unlikely(service != ingress->service_address))
		move_service(ingress, service, now_ns);
	if (unlikely(now_ns >= ingress->announce_ns)) {
		bool soon = ingress->announce_soon > 0;
		ingress->announce_soon -= soon;
		ingress->announce_ns = now_ns + (soon ? ANNOUNCE_SOON_NS : ANNOUNCE_INTERVAL_NS);
		dp_ingress_announce(ingress);
	}
	if (count == 0)
		return 0;
	ingress->counters->frames += count;
	for (uint16_t i = 0; i < count; i++) {
		if (i + 1 < count)
			rte_prefetch0(rte_pktmbuf_mtod(mbufs[i + 1], void *));
		receive(ingress, mbufs[i], now_ns);
	}
	if (ingress->replies.open_mask != 0 || ingress->replies.ready_count > 0)
		dp_replies_flush(&ingress->replies);
	return count;
}
