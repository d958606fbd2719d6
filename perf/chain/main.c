/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The floor under our latency and the mark for our rate: client → P → S → P → client, with the same
 * ports, the same sizes of frames, the same placement and idle strategy as the two nodes, and with
 * standfast-bench as the client, but each stage only swaps headers. No order, no copy, no check, no
 * state: a request becomes a frame of a DATA frame's size, S returns it at an ACK's size, P turns
 * it into a datagram of an answer's size. Every frame on its own, as an echo does.
 *
 * usage: chain primary|standby DIR IDLE      sockets in DIR; runs until killed
 */
#include "client/messages.h"
#include "config/bytes.h"
#include "config/exit_codes.h"
#include "dataplane/eal.h"
#include "dataplane/idle.h"
#include "dataplane/port.h"

#include <rte_arp.h>
#include <rte_ip.h>
#include <rte_launch.h>
#include <rte_udp.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define REPLICATION_ETHERTYPE 0x88b5
/* As replication/frame.h and entry.h have them: a header of 96 bytes, an entry of 64 + 8. */
#define ACK_BYTES ((uint16_t)(sizeof(struct rte_ether_hdr) + 96))
#define DATA_BYTES ((uint16_t)(ACK_BYTES + 64 + 8))
#define NODE_ADDRESS RTE_IPV4(10, 77, 0, 1)

/* A register update as the bench sends it, and the answer that takes its place. */
struct request {
	struct rte_ether_hdr ether;
	struct rte_ipv4_hdr ip;
	struct rte_udp_hdr udp;
	struct cli_header header;
	struct cli_update_request block;
	uint16_t payload_bytes;
	int64_t delta;
} __attribute__((packed, aligned(2)));
STATIC_CHECK(sizeof(struct request) <= ACK_BYTES, "what P needs again comes back with the ACK");

struct answer {
	struct rte_ether_hdr ether;
	struct rte_ipv4_hdr ip;
	struct rte_udp_hdr udp;
	struct cli_header header;
	struct cli_update_response block;
	uint16_t payload_bytes;
	int64_t value;
} __attribute__((packed, aligned(2)));

struct opened {
	struct rte_ether_hdr ether;
	struct rte_ipv4_hdr ip;
	struct rte_udp_hdr udp;
	struct cli_header header;
	struct cli_session_opened block;
	uint16_t payload_bytes;
} __attribute__((packed, aligned(2)));

struct chain {
	bool primary;
	struct dp_port client, replication;
	struct rte_ether_addr client_mac;
	struct rte_ether_addr peer_mac; /* broadcast: memif is a wire with two ends */
	struct dp_idle idle;
};

static void set_length(struct rte_mbuf *mbuf, uint16_t bytes)
{
	mbuf->data_len = bytes;
	mbuf->pkt_len = bytes;
}

static void send_all(const struct dp_port *port, struct rte_mbuf **mbufs, uint16_t count)
{
	uint16_t sent = count > 0 ? dp_port_tx(port, 0, mbufs, count) : 0;
	if (sent < count)
		rte_pktmbuf_free_bulk(mbufs + sent, count - sent);
}

/* Addresses of a datagram turned round, its lengths set. */
static void turn_round(struct rte_ipv4_hdr *ip, struct rte_udp_hdr *udp, uint32_t frame_bytes)
{
	uint32_t address = ip->dst_addr;
	ip->dst_addr = ip->src_addr;
	ip->src_addr = address;
	uint16_t port = udp->dst_port;
	udp->dst_port = udp->src_port;
	udp->src_port = port;
	uint32_t ip_bytes = frame_bytes - (uint32_t)sizeof(struct rte_ether_hdr);
	ip->total_length = rte_cpu_to_be_16((uint16_t)ip_bytes);
	udp->dgram_len = rte_cpu_to_be_16((uint16_t)(ip_bytes - sizeof(*ip)));
	udp->dgram_cksum = 0;
}

/* ARP and OpenSession, so that the bench gets going; false for what is neither. */
static bool answer_setup(struct chain *chain, struct rte_mbuf *mbuf)
{
	struct rte_ether_hdr *ether = rte_pktmbuf_mtod(mbuf, struct rte_ether_hdr *);
	if (ether->ether_type == RTE_BE16(RTE_ETHER_TYPE_ARP)) {
		struct rte_arp_hdr *arp = (struct rte_arp_hdr *)(ether + 1);
		uint32_t asked = arp->arp_data.arp_tip;
		if (asked != rte_cpu_to_be_32(NODE_ADDRESS))
			return false;
		chain->client_mac = ether->src_addr;
		arp->arp_opcode = RTE_BE16(RTE_ARP_OP_REPLY);
		arp->arp_data.arp_tha = arp->arp_data.arp_sha;
		arp->arp_data.arp_tip = arp->arp_data.arp_sip;
		arp->arp_data.arp_sha = chain->client.mac;
		arp->arp_data.arp_sip = asked;
	} else {
		struct opened *opened = rte_pktmbuf_mtod(mbuf, struct opened *);
		if (mbuf->data_len < sizeof(struct cli_open_session) ||
		    opened->header.template_id != CLI_OPEN_SESSION)
			return false;
		uint64_t nonce = opened->block.nonce; /* stands where OpenSession has it */
		opened->header.template_id = CLI_SESSION_OPENED;
		opened->header.block_bytes = sizeof(opened->block);
		opened->block = (struct cli_session_opened){
			.nonce = nonce,
			.client_id = nonce,
			.epoch = 2,
			.status = CLI_OK,
			.max_inflight = 64,
		};
		opened->payload_bytes = 0;
		set_length(mbuf, sizeof(*opened));
		turn_round(&opened->ip, &opened->udp, sizeof(*opened));
	}
	ether->dst_addr = chain->client_mac;
	ether->src_addr = chain->client.mac;
	send_all(&chain->client, &mbuf, 1);
	return true;
}

/* Client → P → S. */
static unsigned forward_requests(struct chain *chain)
{
	struct rte_mbuf *mbufs[DP_BURST];
	uint16_t received = dp_port_rx(&chain->client, 0, mbufs, DP_BURST), kept = 0;
	for (uint16_t i = 0; i < received; i++) {
		struct request *request = rte_pktmbuf_mtod(mbufs[i], struct request *);
		if (unlikely(
			    mbufs[i]->data_len < sizeof(*request) ||
			    request->header.template_id != CLI_UPDATE_REQUEST
		    )) {
			if (!answer_setup(chain, mbufs[i]))
				rte_pktmbuf_free(mbufs[i]);
			continue;
		}
		request->ether.dst_addr = chain->peer_mac;
		request->ether.src_addr = chain->replication.mac;
		request->ether.ether_type = RTE_BE16(REPLICATION_ETHERTYPE);
		set_length(mbufs[i], DATA_BYTES);
		mbufs[kept++] = mbufs[i];
	}
	send_all(&chain->replication, mbufs, kept);
	return received;
}

/* S → P → client. */
static unsigned return_answers(struct chain *chain)
{
	struct rte_mbuf *mbufs[DP_BURST];
	uint16_t received = dp_port_rx(&chain->replication, 0, mbufs, DP_BURST);
	for (uint16_t i = 0; i < received; i++) {
		struct answer *answer = rte_pktmbuf_mtod(mbufs[i], struct answer *);
		struct cli_update_request asked = ((struct request *)(void *)answer)->block;
		int64_t delta = ((struct request *)(void *)answer)->delta;
		answer->ether.dst_addr = chain->client_mac;
		answer->ether.src_addr = chain->client.mac;
		answer->ether.ether_type = RTE_BE16(RTE_ETHER_TYPE_IPV4);
		turn_round(&answer->ip, &answer->udp, sizeof(*answer));
		answer->header.template_id = CLI_UPDATE_RESPONSE;
		answer->header.block_bytes = sizeof(answer->block);
		answer->block = (struct cli_update_response){
			.client_id = asked.client_id,
			.request_seq = asked.request_seq,
			.asset_id = asked.asset_id,
			.sequence = asked.request_seq,
			.epoch = 2,
			.status = CLI_OK,
			.asset_version = 1,
		};
		answer->payload_bytes = sizeof(answer->value);
		answer->value = delta;
		set_length(mbufs[i], sizeof(*answer));
	}
	send_all(&chain->client, mbufs, received);
	return received;
}

/* P → S → P. */
static unsigned return_acks(struct chain *chain)
{
	struct rte_mbuf *mbufs[DP_BURST];
	uint16_t received = dp_port_rx(&chain->replication, 0, mbufs, DP_BURST);
	for (uint16_t i = 0; i < received; i++) {
		struct rte_ether_hdr *ether = rte_pktmbuf_mtod(mbufs[i], struct rte_ether_hdr *);
		ether->dst_addr = ether->src_addr;
		ether->src_addr = chain->replication.mac;
		set_length(mbufs[i], ACK_BYTES);
	}
	send_all(&chain->replication, mbufs, received);
	return received;
}

static int run(void *argument)
{
	struct chain *chain = argument;
	for (;;) {
		unsigned work;
		if (chain->primary)
			work = forward_requests(chain) + return_answers(chain);
		else
			work = return_acks(chain);
		dp_idle_round(&chain->idle, work);
	}
	return 0;
}

static int open_port(
	const char *dir,
	const char *name,
	enum cfg_device kind,
	struct dp_port *port,
	char *error,
	size_t error_bytes
)
{
	struct cfg_port config = {.kind = kind, .mtu_bytes = 1500, .descriptors = 1024};
	struct dp_port_needs needs = {
		.name = name,
		.owner = "chain",
		.rx_queues = 1,
		.tx_queues = 1,
		.rx_mbufs = 4096,
		.tx_mbufs = 1024,
	};
	snprintf(config.device, sizeof(config.device), "%.200s/%s.sock", dir, name);
	return dp_port_open(&config, &needs, port, error, error_bytes);
}

static bool find_idle(const char *name, enum cfg_idle *idle)
{
	for (*idle = CFG_IDLE_SPIN; *idle <= CFG_IDLE_SLEEP; (*idle)++)
		if (strcmp(dp_idle_name(*idle), name) == 0)
			return true;
	return false;
}

static int start(struct chain *chain, const char *dir, char *error, size_t error_bytes)
{
	static char prefix[64], line[1024];
	bool hugepages;
	/* As the dataplane: the main thread waits, one data lcore works. */
	struct dp_eal_needs needs = {
		.program = "chain",
		.prefix = prefix,
		.memory_bytes = 128ull << 20,
		.hugepages = CFG_AUTO,
		.lcore_count = 2,
		.cpus = {"any", "any"},
	};
	snprintf(prefix, sizeof(prefix), "standfast-chain-%d", (int)getpid());
	int result = dp_eal_start(&needs, line, sizeof(line), &hugepages, error, error_bytes);
	if (result == 0 && chain->primary)
		result = open_port(
			dir, "client-a", CFG_DEVICE_MEMIF_SERVER, &chain->client, error, error_bytes
		);
	if (result == 0)
		result = open_port(
			dir,
			"replication",
			chain->primary ? CFG_DEVICE_MEMIF_SERVER : CFG_DEVICE_MEMIF_CLIENT,
			&chain->replication,
			error,
			error_bytes
		);
	return result;
}

int main(int argc, char **argv)
{
	static struct chain chain = {
		.peer_mac = {{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}},
	};
	enum cfg_idle idle;
	char error[512] = "";
	chain.primary = argc == 4 && strcmp(argv[1], "primary") == 0;
	if (argc != 4 || (!chain.primary && strcmp(argv[1], "standby") != 0) ||
	    !find_idle(argv[3], &idle)) {
		fprintf(stderr, "usage: chain primary|standby DIR IDLE\n");
		return SF_EXIT_USAGE;
	}
	dp_idle_init(&chain.idle, idle);
	if (start(&chain, argv[2], error, sizeof(error)) != 0) {
		fprintf(stderr, "chain: %s\n", error);
		return SF_EXIT_FAILED;
	}
	rte_eal_remote_launch(run, &chain, 1);
	rte_eal_mp_wait_lcore();
	return SF_EXIT_OK;
}
