/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/replies.h"

#include "config/bytes.h"

#include <rte_ethdev.h>

#include <string.h>

void dp_replies_init(
	struct dp_replies *replies,
	const struct dp_port *port,
	uint16_t queue,
	rte_spinlock_t *lock,
	uint16_t udp_port,
	struct dp_reply_counters *counters
)
{
	memset(replies, 0, sizeof(*replies));
	replies->port = port;
	replies->queue = queue;
	replies->lock = lock;
	replies->frame_bytes = (uint16_t)sf_min64(
		DP_HEADERS_BYTES + CLI_MAX_DATAGRAM_BYTES,
		sizeof(struct rte_ether_hdr) + port->mtu_bytes
	);
	replies->udp_port = rte_cpu_to_be_16(udp_port);
	replies->counters = counters;
}

void dp_replies_send(struct dp_replies *replies, struct rte_mbuf **mbufs, uint16_t count)
{
	uint16_t sent = 0;
	if (replies->lock)
		rte_spinlock_lock(replies->lock);
	while (sent < count) {
		uint16_t burst = (uint16_t)sf_min64(count - sent, DP_BURST);
		uint16_t n = dp_port_tx(replies->port, replies->queue, mbufs + sent, burst);
		sent = (uint16_t)(sent + n);
		if (n < burst)
			break;
	}
	if (replies->lock)
		rte_spinlock_unlock(replies->lock);
	replies->counters->datagrams += sent;
	if (unlikely(sent < count)) {
		replies->counters->tx_full += (uint64_t)(count - sent);
		rte_pktmbuf_free_bulk(mbufs + sent, count - sent);
	}
}

static void send_ready(struct dp_replies *replies)
{
	dp_replies_send(replies, replies->ready, replies->ready_count);
	replies->ready_count = 0;
}

/* Sizes and checksums, now that the datagram is complete. */
static void finish(struct dp_replies *replies, uint32_t place)
{
	struct rte_mbuf *mbuf = replies->open[place];
	struct dp_headers *headers = rte_pktmbuf_mtod(mbuf, struct dp_headers *);
	uint16_t ip_bytes = (uint16_t)(mbuf->data_len - sizeof(struct rte_ether_hdr));
	uint16_t udp_bytes = (uint16_t)(ip_bytes - sizeof(struct rte_ipv4_hdr));
	headers->ip.total_length = rte_cpu_to_be_16(ip_bytes);
	headers->udp.dgram_len = rte_cpu_to_be_16(udp_bytes);
	if (replies->port->ip_checksum_tx_offload) {
		mbuf->ol_flags |=
			RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_IP_CKSUM | RTE_MBUF_F_TX_UDP_CKSUM;
		mbuf->l2_len = sizeof(struct rte_ether_hdr);
		mbuf->l3_len = sizeof(struct rte_ipv4_hdr);
		headers->udp.dgram_cksum = rte_ipv4_phdr_cksum(&headers->ip, mbuf->ol_flags);
	} else {
		headers->ip.hdr_checksum =
			(uint16_t)~dp_sum_fold(dp_sum(0, &headers->ip, sizeof(headers->ip)));
		uint16_t sum = (uint16_t)~dp_udp_sum(headers, udp_bytes);
		headers->udp.dgram_cksum = sum != 0 ? sum : 0xffff; /* 0 says: none */
	}
	replies->open_mask &= ~(1u << place);
	replies->ready[replies->ready_count++] = mbuf;
	if (replies->ready_count == DP_REPLIES_READY)
		send_ready(replies);
}

static bool start(struct dp_replies *replies, uint32_t place, const struct dp_address *to)
{
	struct rte_mbuf *mbuf = rte_pktmbuf_alloc(replies->port->tx_pool);
	if (unlikely(mbuf == NULL)) {
		replies->counters->tx_no_mbuf++;
		return false;
	}
	struct dp_headers *headers = rte_pktmbuf_mtod(mbuf, struct dp_headers *);
	headers->ether.dst_addr = to->mac;
	headers->ether.src_addr = replies->port->mac;
	headers->ether.ether_type = rte_cpu_to_be_16(RTE_ETHER_TYPE_IPV4);
	headers->ip = (struct rte_ipv4_hdr){
		.version_ihl = RTE_IPV4_VHL_DEF,
		.fragment_offset = rte_cpu_to_be_16(RTE_IPV4_HDR_DF_FLAG),
		.time_to_live = 64,
		.next_proto_id = IPPROTO_UDP,
		.src_addr = to->local_ip,
		.dst_addr = to->ip,
	};
	headers->udp = (struct rte_udp_hdr){
		.src_port = replies->udp_port,
		.dst_port = to->port,
	};
	mbuf->data_len = DP_HEADERS_BYTES;
	mbuf->pkt_len = DP_HEADERS_BYTES;
	replies->open[place] = mbuf;
	replies->to[place] = *to;
	replies->open_mask |= 1u << place;
	return true;
}

static inline bool has_room(const struct dp_replies *replies, uint32_t place, uint32_t bytes)
{
	return replies->open[place]->data_len + bytes <= replies->frame_bytes;
}

/* Another client's datagram, or a full one, stands in the place, or none. */
static __attribute__((noinline)) bool
make_room(struct dp_replies *replies, uint32_t place, const struct dp_address *to)
{
	if (replies->open_mask & 1u << place)
		finish(replies, place);
	return start(replies, place, to);
}

/* Room for a message of exactly this size to this client; NULL when there is no mbuf (counted). */
static inline uint8_t *
message_of(struct dp_replies *replies, const struct dp_address *to, uint32_t bytes)
{
	uint32_t place = (to->ip >> 24 ^ to->port ^ to->port >> 8) % DP_REPLIES_OPEN;
	bool fits = (replies->open_mask & 1u << place) &&
		    memcmp(&replies->to[place], to, sizeof(*to)) == 0 &&
		    has_room(replies, place, bytes);
	if (unlikely(!fits) && !make_room(replies, place, to))
		return NULL;
	struct rte_mbuf *mbuf = replies->open[place];
	uint8_t *message = rte_pktmbuf_mtod_offset(mbuf, uint8_t *, mbuf->data_len);
	mbuf->data_len = (uint16_t)(mbuf->data_len + bytes);
	mbuf->pkt_len = mbuf->data_len;
	replies->counters->messages++;
	return message;
}

void dp_replies_flush(struct dp_replies *replies)
{
	while (replies->open_mask != 0)
		finish(replies, (uint32_t)__builtin_ctz(replies->open_mask));
	if (replies->ready_count > 0)
		send_ready(replies);
}

bool dp_replies_response(
	struct dp_replies *replies, const struct dp_address *to, const struct dp_response *response
)
{
	struct {
		struct cli_header header;
		struct cli_update_response block;
		uint16_t payload_bytes;
		uint8_t payload[];
	} __attribute__((packed)) * message;
	message = (void *)message_of(replies, to, sizeof(*message) + response->payload_bytes);
	if (unlikely(message == NULL))
		return false;
	message->header = (struct cli_header){
		.block_bytes = sizeof(struct cli_update_response),
		.template_id = CLI_UPDATE_RESPONSE,
		.schema_id = CLI_SCHEMA_ID,
		.version = CLI_SCHEMA_VERSION,
	};
	message->block = (struct cli_update_response){
		.client_id = response->client_id,
		.request_seq = response->request_seq,
		.asset_id = response->asset_id,
		.sequence = response->sequence,
		.epoch = response->epoch,
		.status = (uint8_t)response->status,
		.flags = response->repeat ? CLI_RESPONSE_REPEAT : 0,
		.asset_version = response->asset_version,
	};
	message->payload_bytes = response->payload_bytes;
	if (response->payload_bytes > 0)
		sf_copy_short(message->payload, response->payload, response->payload_bytes);
	return true;
}

bool dp_replies_opened(
	struct dp_replies *replies, const struct dp_address *to, const struct dp_opened *opened
)
{
	struct {
		struct cli_header header;
		struct cli_session_opened block;
		uint16_t payload_bytes;
	} __attribute__((packed)) fixed = {
		.header =
			{
				.block_bytes = sizeof(struct cli_session_opened),
				.template_id = CLI_SESSION_OPENED,
				.schema_id = CLI_SCHEMA_ID,
				.version = CLI_SCHEMA_VERSION,
			},
		.block =
			{
				.nonce = opened->nonce,
				.client_id = opened->client_id,
				.epoch = opened->epoch,
				.status = (uint8_t)opened->status,
				.max_inflight = opened->max_inflight,
			},
		.payload_bytes = opened->payload_bytes,
	};
	uint8_t *message = message_of(replies, to, sizeof(fixed) + opened->payload_bytes);
	if (message == NULL)
		return false;
	memcpy(message, &fixed, sizeof(fixed));
	if (opened->payload_bytes > 0)
		memcpy(message + sizeof(fixed), opened->payload, opened->payload_bytes);
	return true;
}
