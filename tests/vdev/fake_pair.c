/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A pair of fake nodes (tests/unit/fake_node.h) behind memif server ports, for tests of the load
 * generator's frames without a product node: fake_pair SOCKET ADDRESS [SOCKET ADDRESS]. The first
 * one is the primary. Answers ARP and UDP; checks both checksums of every frame and ends with 1
 * when one is wrong. Prints "ready"; ends when its standard input does. */
#include "config/exit_codes.h"
#include "dataplane/eal.h"
#include "dataplane/port.h"
#include "tests/unit/fake_node.h"

#include <rte_arp.h>
#include <rte_ip.h>
#include <rte_udp.h>

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NODES 2
#define MAX_DATAGRAM 1400u
#define ROUNDS_PER_LOOK 1000u /* at standard input */

struct frame_head {
	struct rte_ether_hdr ethernet;
	struct rte_ipv4_hdr ip;
	struct rte_udp_hdr udp;
} __attribute__((packed, aligned(2)));

static struct fake_node node;
static struct dp_port ports[NODES];
static uint32_t addresses[NODES]; /* network order */
static uint64_t bad_checksums, datagrams;

static void turn_round(struct rte_ether_hdr *ethernet, const struct dp_port *port)
{
	ethernet->dst_addr = ethernet->src_addr;
	ethernet->src_addr = port->mac;
}

/* Makes the answer in place; false when there is none. */
static bool answer_arp(uint32_t i, struct rte_mbuf *frame)
{
	struct rte_ether_hdr *ethernet = rte_pktmbuf_mtod(frame, struct rte_ether_hdr *);
	struct rte_arp_hdr *arp = (struct rte_arp_hdr *)(ethernet + 1);
	if (frame->data_len < sizeof(*ethernet) + sizeof(*arp) ||
	    arp->arp_opcode != RTE_BE16(RTE_ARP_OP_REQUEST) ||
	    arp->arp_data.arp_tip != addresses[i])
		return false;
	turn_round(ethernet, &ports[i]);
	arp->arp_opcode = RTE_BE16(RTE_ARP_OP_REPLY);
	arp->arp_data.arp_tha = arp->arp_data.arp_sha;
	arp->arp_data.arp_tip = arp->arp_data.arp_sip;
	arp->arp_data.arp_sha = ports[i].mac;
	arp->arp_data.arp_sip = addresses[i];
	return true;
}

/* Checks a request frame; its datagram's bytes, 0 when it is none for us. */
static uint32_t check_udp(uint32_t i, struct rte_mbuf *frame)
{
	struct frame_head *head = rte_pktmbuf_mtod(frame, struct frame_head *);
	if (frame->data_len < sizeof(*head) || head->ip.dst_addr != addresses[i] ||
	    head->ip.next_proto_id != IPPROTO_UDP)
		return 0;
	datagrams++;
	if (rte_raw_cksum(&head->ip, sizeof(head->ip)) != 0xffff)
		bad_checksums++;
	uint16_t checksum = head->udp.dgram_cksum;
	head->udp.dgram_cksum = 0;
	if (checksum == 0 || rte_ipv4_udptcp_cksum(&head->ip, &head->udp) != checksum)
		bad_checksums++;
	return rte_be_to_cpu_16(head->udp.dgram_len) - (uint32_t)sizeof(head->udp);
}

/* Makes the frame of a request the frame of answers. */
static void
finish_answer(uint32_t i, struct rte_mbuf *frame, const uint8_t *answers, uint32_t bytes)
{
	struct frame_head *head = rte_pktmbuf_mtod(frame, struct frame_head *);
	memcpy(head + 1, answers, bytes);
	turn_round(&head->ethernet, &ports[i]);
	head->ip.dst_addr = head->ip.src_addr;
	head->ip.src_addr = addresses[i];
	uint16_t port = head->udp.dst_port;
	head->udp.dst_port = head->udp.src_port;
	head->udp.src_port = port;
	head->udp.dgram_len = rte_cpu_to_be_16((uint16_t)(sizeof(head->udp) + bytes));
	head->udp.dgram_cksum = 0;
	head->ip.total_length =
		rte_cpu_to_be_16((uint16_t)(sizeof(head->ip) + sizeof(head->udp) + bytes));
	head->ip.hdr_checksum = 0;
	head->ip.hdr_checksum = rte_ipv4_cksum(&head->ip);
	frame->data_len = (uint16_t)(sizeof(*head) + bytes);
	frame->pkt_len = frame->data_len;
}

/* Answers of a burst, gathered into as few datagrams as they fit in, as the node does. There is one
 * client in these tests, so any request's frame will do. */
struct gathered {
	struct rte_mbuf *frame; /* becomes the answer */
	uint32_t bytes;
	uint8_t answers[MAX_DATAGRAM];
};

static uint16_t flush_answers(uint32_t i, struct gathered *g, struct rte_mbuf **out, uint16_t count)
{
	if (g->bytes == 0)
		return count;
	finish_answer(i, g->frame, g->answers, g->bytes);
	out[count] = g->frame;
	g->frame = NULL;
	g->bytes = 0;
	return count + 1;
}

static uint16_t take_udp(
	uint32_t i,
	struct gathered *g,
	struct rte_mbuf *frame,
	struct rte_mbuf **out,
	uint16_t count
)
{
	uint8_t answers[4 * MAX_DATAGRAM];
	uint32_t in_bytes = check_udp(i, frame);
	uint32_t hint = i == 0 ? 0 : rte_be_to_cpu_32(addresses[0]);
	const uint8_t *in = rte_pktmbuf_mtod_offset(frame, uint8_t *, sizeof(struct frame_head));
	uint32_t bytes =
		in_bytes == 0 ? 0 : fake_node_handle(&node, i == 0, hint, in, in_bytes, answers);
	if (bytes == 0 || bytes > MAX_DATAGRAM) {
		rte_pktmbuf_free(frame);
		return count;
	}
	if (g->bytes + bytes > MAX_DATAGRAM)
		count = flush_answers(i, g, out, count);
	memcpy(g->answers + g->bytes, answers, bytes);
	g->bytes += bytes;
	if (g->frame == NULL)
		g->frame = frame;
	else
		rte_pktmbuf_free(frame);
	return count;
}

static unsigned poll_node(uint32_t i)
{
	static struct gathered gathered;
	struct rte_mbuf *frames[DP_BURST], *answers[DP_BURST];
	uint16_t count = dp_port_rx(&ports[i], 0, frames, DP_BURST), out = 0, sent = 0;
	for (uint16_t f = 0; f < count; f++) {
		uint16_t type = rte_pktmbuf_mtod(frames[f], struct rte_ether_hdr *)->ether_type;
		if (type == RTE_BE16(RTE_ETHER_TYPE_IPV4))
			out = take_udp(i, &gathered, frames[f], answers, out);
		else if (type == RTE_BE16(RTE_ETHER_TYPE_ARP) && answer_arp(i, frames[f]))
			answers[out++] = frames[f];
		else
			rte_pktmbuf_free(frames[f]);
	}
	out = flush_answers(i, &gathered, answers, out);
	for (unsigned tries = 0; sent < out && tries < 100000; tries++)
		sent += dp_port_tx(&ports[i], 0, answers + sent, out - sent);
	rte_pktmbuf_free_bulk(answers + sent, out - sent);
	return count;
}

static bool input_is_open(void)
{
	char byte;
	struct pollfd in = {.fd = STDIN_FILENO, .events = POLLIN};
	return poll(&in, 1, 0) == 0 || read(STDIN_FILENO, &byte, 1) == 1;
}

static int open_node(uint32_t i, const char *socket, const char *address, char *error, size_t bytes)
{
	char name[16];
	struct cfg_port config = {
		.kind = CFG_DEVICE_MEMIF_SERVER, .mtu_bytes = 1500, .descriptors = 1024};
	struct dp_port_needs needs = {
		.name = name,
		.owner = "fake",
		.rx_queues = 1,
		.tx_queues = 1,
		.rx_mbufs = 2048,
		.tx_mbufs = 0,
	};
	snprintf(name, sizeof(name), "node%u", i);
	snprintf(config.device, sizeof(config.device), "%s", socket);
	if (inet_pton(AF_INET, address, &addresses[i]) != 1) {
		snprintf(error, bytes, "bad address %s", address);
		return -EINVAL;
	}
	return dp_port_open(&config, &needs, &ports[i], error, bytes);
}

int main(int argc, char **argv)
{
	char error[512] = "", line[1024], prefix[64];
	bool hugepages;
	uint32_t count = (uint32_t)(argc - 1) / 2;
	struct dp_eal_needs needs = {
		.program = "fake_pair",
		.prefix = prefix,
		.memory_bytes = 96ull << 20,
		.hugepages = CFG_OFF,
		.lcore_count = 1,
		.cpus = {"any"},
	};

	if (argc != 3 && argc != 5) {
		fprintf(stderr, "usage: fake_pair SOCKET ADDRESS [SOCKET ADDRESS]\n");
		return SF_EXIT_USAGE;
	}
	fake_node_init(&node, FAKE_HONEST, 0);
	snprintf(prefix, sizeof(prefix), "fake-pair-%d", (int)getpid());
	int result = dp_eal_start(&needs, line, sizeof(line), &hugepages, error, sizeof(error));
	for (uint32_t i = 0; result == 0 && i < count; i++)
		result = open_node(i, argv[1 + 2 * i], argv[2 + 2 * i], error, sizeof(error));
	if (result != 0) {
		fprintf(stderr, "fake_pair: %s\n", error);
		return SF_EXIT_FAILED;
	}
	printf("ready\n");
	fflush(stdout);
	for (unsigned round = 0; round % ROUNDS_PER_LOOK != 0 || input_is_open(); round++) {
		unsigned work = 0;
		for (uint32_t i = 0; i < count; i++)
			work += poll_node(i);
		if (work == 0)
			sched_yield();
	}
	printf("%lu datagrams, %lu wrong checksums\n", datagrams, bad_checksums);
	for (uint32_t i = 0; i < count; i++)
		dp_port_close(&ports[i]);
	return bad_checksums == 0 ? SF_EXIT_OK : SF_EXIT_FAILED;
}
