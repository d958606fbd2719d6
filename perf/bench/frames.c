/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The frame transport itself (perf/bench/memif.h). */
#include "client/messages.h"
#include "config/bytes.h"
#include "perf/bench/engine.h"
#include "perf/bench/memif.h"

#include <rte_arp.h>
#include <rte_byteorder.h>
#include <rte_ip.h>
#include <rte_udp.h>

#include <stdlib.h>
#include <unistd.h>

#define ARP_REFRESH_NS 1000000000u
#define ARP_RETRY_NS 10000000u
#define TX_TRIES 1000u /* polls of a full ring before the rest of a burst is dropped */
#define FIRST_PORT 32768u

struct frame_head {
	struct rte_ether_hdr ethernet;
	struct rte_ipv4_hdr ip;
	struct rte_udp_hdr udp;
} __attribute__((packed, aligned(2)));

struct frame_node {
	struct dp_port port;
	uint32_t address; /* network order, as in the frames */
	bool mac_known;
	uint64_t next_arp_ns;
	struct frame_head head; /* everything but lengths and checksums */
	uint64_t ip_sum;	/* of the head's words without the length */
	uint64_t udp_sum;	/* of pseudo header and ports without the lengths */
	/* Frames for sending, made once and kept; pkt_len says for which length the head is. */
	struct rte_mbuf *frames[BENCH_BURST];
	struct bench_datagram datagrams[BENCH_BURST]; /* in them */
};

struct frames_transport {
	struct bench_transport base;
	uint32_t own_address; /* network order */
	uint16_t own_port;    /* network order */
	uint32_t poll_next;
	uint32_t in_count;
	struct rte_mbuf *in[BENCH_BURST]; /* received, in the caller's hands */
	struct frame_node nodes[BENCH_MAX_NODES];
};

static inline uint16_t fold(uint64_t sum)
{
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16); /* at most 18 bits */
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)(sum + (sum >> 16));
}

static void prepare_head(struct frames_transport *f, struct frame_node *n)
{
	struct frame_head *head = &n->head;
	memset(head, 0, sizeof(*head));
	head->ethernet.src_addr = n->port.mac;
	head->ethernet.ether_type = RTE_BE16(RTE_ETHER_TYPE_IPV4);
	head->ip.version_ihl = RTE_IPV4_VHL_DEF;
	head->ip.fragment_offset = RTE_BE16(RTE_IPV4_HDR_DF_FLAG);
	head->ip.time_to_live = 64;
	head->ip.next_proto_id = IPPROTO_UDP;
	head->ip.src_addr = f->own_address;
	head->ip.dst_addr = n->address;
	head->udp.src_port = f->own_port;
	head->udp.dst_port = RTE_BE16(CLI_DEFAULT_PORT);
	n->ip_sum = bench_sum_bytes((const uint8_t *)&head->ip, sizeof(head->ip));
	n->udp_sum = (uint64_t)f->own_address + n->address + f->own_port + head->udp.dst_port +
		     RTE_BE16(IPPROTO_UDP);
}

/* The frame's head for a datagram of this many bytes, all but the UDP checksum. */
static void fill_head(const struct frame_node *n, struct frame_head *head, uint32_t bytes)
{
	*head = n->head;
	head->ip.total_length =
		rte_cpu_to_be_16((uint16_t)(sizeof(head->ip) + sizeof(head->udp) + bytes));
	head->ip.hdr_checksum = (uint16_t)~fold(n->ip_sum + head->ip.total_length);
	head->udp.dgram_len = rte_cpu_to_be_16((uint16_t)(sizeof(head->udp) + bytes));
}

static inline void fill_checksum(const struct frame_node *n, struct frame_head *head, uint64_t sum)
{
	/* The length counts twice: in the pseudo header and in the UDP header. */
	uint16_t checksum =
		(uint16_t)~fold(bench_sum_add(sum, n->udp_sum + 2u * head->udp.dgram_len));
	head->udp.dgram_cksum = checksum != 0 ? checksum : 0xffff;
}

/* What does not fit after many tries stays the caller's: the node is stuck or gone. */
static uint32_t transmit(struct frame_node *n, struct rte_mbuf **frames, uint32_t count)
{
	uint32_t sent = 0;
	for (uint32_t i = 0; sent < count && i < TX_TRIES; i++)
		sent += dp_port_tx(&n->port, 0, frames + sent, (uint16_t)(count - sent));
	return sent;
}

static struct bench_datagram *frames_prepare(struct bench_transport *t, uint32_t node)
{
	return ((struct frames_transport *)t)->nodes[node].datagrams;
}

static void send_arp(
	struct frames_transport *f,
	struct frame_node *n,
	struct rte_mbuf *frame,
	uint16_t opcode,
	const struct rte_ether_addr *to_mac,
	uint32_t to_address
)
{
	static const struct rte_ether_addr everybody = {{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}};
	struct {
		struct rte_ether_hdr ethernet;
		struct rte_arp_hdr arp;
	} __attribute__((packed, aligned(2))) *p = rte_pktmbuf_mtod(frame, void *);

	frame->data_len = sizeof(*p);
	frame->pkt_len = sizeof(*p);
	memset(p, 0, sizeof(*p));
	p->ethernet.dst_addr = to_mac != NULL ? *to_mac : everybody;
	p->ethernet.src_addr = n->port.mac;
	p->ethernet.ether_type = RTE_BE16(RTE_ETHER_TYPE_ARP);
	p->arp.arp_hardware = RTE_BE16(RTE_ARP_HRD_ETHER);
	p->arp.arp_protocol = RTE_BE16(RTE_ETHER_TYPE_IPV4);
	p->arp.arp_hlen = sizeof(struct rte_ether_addr);
	p->arp.arp_plen = sizeof(uint32_t);
	p->arp.arp_opcode = rte_cpu_to_be_16(opcode);
	p->arp.arp_data.arp_sha = n->port.mac;
	p->arp.arp_data.arp_sip = f->own_address;
	if (to_mac != NULL)
		p->arp.arp_data.arp_tha = *to_mac;
	p->arp.arp_data.arp_tip = to_address;
	if (transmit(n, &frame, 1) == 0)
		rte_pktmbuf_free(frame);
}

/* Asks for the node's MAC often while it is unknown, and now and then later: it may come back as
 * another one. */
static void ask_mac(struct frames_transport *f, struct frame_node *n, uint64_t now)
{
	n->next_arp_ns = now + (n->mac_known ? ARP_REFRESH_NS : ARP_RETRY_NS);
	struct rte_mbuf *frame = rte_pktmbuf_alloc(f->nodes[0].port.tx_pool);
	if (frame != NULL)
		send_arp(f, n, frame, RTE_ARP_OP_REQUEST, NULL, n->address);
}

static void frames_send(struct bench_transport *t, uint32_t node, uint32_t count)
{
	struct frames_transport *f = (struct frames_transport *)t;
	struct frame_node *n = &f->nodes[node];
	uint64_t now = bench_now_ns();

	if (now >= n->next_arp_ns)
		ask_mac(f, n, now);
	if (!n->mac_known) {
		t->send_dropped += count;
		return;
	}
	for (uint32_t i = 0; i < count; i++) {
		const struct bench_datagram *d = &n->datagrams[i];
		struct rte_mbuf *frame = n->frames[i];
		struct frame_head *head = (struct frame_head *)d->bytes - 1;
		uint32_t bytes = sizeof(*head) + d->length;
		if (__builtin_expect(frame->pkt_len != bytes, 0)) {
			frame->data_len = (uint16_t)bytes;
			frame->pkt_len = bytes;
			fill_head(n, head, d->length);
		}
		fill_checksum(n, head, d->sum);
		/* The driver copies the frame and gives its reference back; ours stays. */
		rte_mbuf_refcnt_set(frame, 2);
	}
	uint32_t sent = transmit(n, n->frames, count);
	for (uint32_t i = sent; i < count; i++)
		rte_mbuf_refcnt_set(n->frames[i], 1);
	t->send_dropped += count - sent;
}

static uint32_t frames_find_node(const struct bench_transport *t, uint32_t address, uint16_t port)
{
	const struct frames_transport *f = (const struct frames_transport *)t;
	for (uint32_t i = 0; i < t->node_count; i++)
		if (rte_be_to_cpu_32(f->nodes[i].address) == address && port == CLI_DEFAULT_PORT)
			return i;
	return t->node_count;
}

static void learn_mac(struct frame_node *n, const struct rte_ether_addr *mac)
{
	if (n->mac_known && rte_is_same_ether_addr(&n->head.ethernet.dst_addr, mac))
		return;
	n->head.ethernet.dst_addr = *mac;
	n->mac_known = true;
	for (uint32_t i = 0; i < BENCH_BURST; i++)
		n->frames[i]->pkt_len = 0; /* no frame's head is right any more */
}

/* Takes the frame when it answers with it. */
static bool take_arp(struct frames_transport *f, struct frame_node *n, struct rte_mbuf *frame)
{
	const struct rte_arp_hdr *arp = rte_pktmbuf_mtod_offset(
		frame, const struct rte_arp_hdr *, sizeof(struct rte_ether_hdr)
	);
	if (frame->data_len < sizeof(struct rte_ether_hdr) + sizeof(*arp))
		return false;
	struct rte_ether_addr mac = arp->arp_data.arp_sha;
	uint32_t address = arp->arp_data.arp_sip;
	if (address == n->address)
		learn_mac(n, &mac);
	if (arp->arp_opcode != RTE_BE16(RTE_ARP_OP_REQUEST) ||
	    arp->arp_data.arp_tip != f->own_address)
		return false;
	send_arp(f, n, frame, RTE_ARP_OP_REPLY, &mac, address);
	return true;
}

/* Is this frame a whole UDP datagram from the port's node to us? */
static inline bool is_answer(
	const struct frames_transport *f, const struct frame_node *n, const struct rte_mbuf *frame
)
{
	const struct frame_head *head = rte_pktmbuf_mtod(frame, const struct frame_head *);
	if (frame->nb_segs != 1 || frame->data_len < sizeof(*head))
		return false;
	uint32_t room = frame->data_len - (uint32_t)offsetof(struct frame_head, udp);
	uint32_t udp_bytes = rte_be_to_cpu_16(head->udp.dgram_len);
	return head->ethernet.ether_type == RTE_BE16(RTE_ETHER_TYPE_IPV4) &&
	       head->ip.version_ihl == RTE_IPV4_VHL_DEF &&
	       (head->ip.fragment_offset & RTE_BE16((uint16_t)~RTE_IPV4_HDR_DF_FLAG)) == 0 &&
	       head->ip.next_proto_id == IPPROTO_UDP && head->ip.src_addr == n->address &&
	       head->ip.dst_addr == f->own_address && head->udp.dst_port == f->own_port &&
	       udp_bytes >= sizeof(head->udp) && udp_bytes <= room;
}

static void take_other(struct frames_transport *f, struct frame_node *n, struct rte_mbuf *frame)
{
	const struct rte_ether_hdr *head = rte_pktmbuf_mtod(frame, const struct rte_ether_hdr *);
	if (frame->nb_segs == 1 && frame->data_len >= sizeof(*head) &&
	    head->ether_type == RTE_BE16(RTE_ETHER_TYPE_ARP)) {
		if (take_arp(f, n, frame))
			return;
	} else {
		f->base.receive_ignored++;
	}
	rte_pktmbuf_free(frame);
}

static uint32_t frames_receive(struct bench_transport *t, struct bench_datagram *d)
{
	struct frames_transport *f = (struct frames_transport *)t;
	struct rte_mbuf *frames[BENCH_BURST];
	uint32_t node = f->poll_next, found = 0;

	if (f->in_count != 0)
		rte_pktmbuf_free_bulk(f->in, f->in_count);
	f->in_count = 0;
	for (uint32_t i = 0; i < t->node_count && found == 0; i++) {
		node = f->poll_next;
		f->poll_next = node + 1 < t->node_count ? node + 1 : 0;
		found = dp_port_rx(&f->nodes[node].port, 0, frames, BENCH_BURST);
	}
	for (uint32_t i = 0; i < found; i++) {
		struct frame_node *n = &f->nodes[node];
		if (__builtin_expect(!is_answer(f, n, frames[i]), 0)) {
			take_other(f, n, frames[i]);
			continue;
		}
		struct frame_head *head = rte_pktmbuf_mtod(frames[i], struct frame_head *);
		d[f->in_count] = (struct bench_datagram){
			.bytes = (uint8_t *)(head + 1),
			.length =
				rte_be_to_cpu_16(head->udp.dgram_len) - (uint32_t)sizeof(head->udp),
			.node = node,
		};
		f->in[f->in_count++] = frames[i];
	}
	return f->in_count;
}

static void frames_close(struct bench_transport *t)
{
	struct frames_transport *f = (struct frames_transport *)t;
	if (f->in_count != 0)
		rte_pktmbuf_free_bulk(f->in, f->in_count);
	for (uint32_t i = 0; i < t->node_count; i++) {
		rte_pktmbuf_free_bulk(f->nodes[i].frames, BENCH_BURST);
		dp_port_close(&f->nodes[i].port);
	}
	free(f);
}

static bool make_frames(struct frame_node *n)
{
	if (rte_pktmbuf_alloc_bulk(n->port.tx_pool, n->frames, BENCH_BURST) != 0)
		return false;
	for (uint32_t i = 0; i < BENCH_BURST; i++)
		n->datagrams[i].bytes =
			rte_pktmbuf_mtod_offset(n->frames[i], uint8_t *, sizeof(struct frame_head));
	return true;
}

struct bench_transport *bench_frames_open(
	const struct dp_port *ports, const uint32_t *addresses, uint32_t count, uint32_t own_address
)
{
	struct frames_transport *f = calloc(1, sizeof(*f));
	if (f == NULL || count > BENCH_MAX_NODES) {
		free(f);
		return NULL;
	}
	f->base.node_count = count;
	f->base.prepare = frames_prepare;
	f->base.send = frames_send;
	f->base.receive = frames_receive;
	f->base.find_node = frames_find_node;
	f->base.close = frames_close;
	f->own_address = rte_cpu_to_be_32(own_address);
	/* Another one for each run, so that late answers to the last one are not taken for ours. */
	f->own_port = rte_cpu_to_be_16((uint16_t)(FIRST_PORT + (unsigned)getpid() % 28000u));
	for (uint32_t i = 0; i < count; i++) {
		f->nodes[i].port = ports[i];
		f->nodes[i].address = rte_cpu_to_be_32(addresses[i]);
		prepare_head(f, &f->nodes[i]);
		if (!make_frames(&f->nodes[i])) {
			while (i-- > 0)
				rte_pktmbuf_free_bulk(f->nodes[i].frames, BENCH_BURST);
			free(f);
			return NULL;
		}
	}
	return &f->base;
}
