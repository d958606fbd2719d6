/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What a host on an Ethernet must answer besides its service: ARP requests for its addresses and
 * ICMP echo. Answers are written into the received mbuf.
 */
#include "dataplane/ingress.h"

#include <rte_arp.h>
#include <rte_icmp.h>

#include <string.h>

static bool is_ours(const struct dp_ingress *ingress, uint32_t ip)
{
	return ip == ingress->address || (ip == ingress->service_address && ip != 0);
}

void dp_ingress_arp(struct dp_ingress *ingress, struct rte_mbuf *mbuf)
{
	struct rte_ether_hdr *ether = rte_pktmbuf_mtod(mbuf, struct rte_ether_hdr *);
	struct rte_arp_hdr *arp = (struct rte_arp_hdr *)(ether + 1);
	bool whole = mbuf->data_len >= sizeof(*ether) + sizeof(*arp);
	if (!whole || arp->arp_hardware != rte_cpu_to_be_16(RTE_ARP_HRD_ETHER) ||
	    arp->arp_protocol != rte_cpu_to_be_16(RTE_ETHER_TYPE_IPV4) ||
	    arp->arp_hlen != RTE_ETHER_ADDR_LEN || arp->arp_plen != 4 ||
	    arp->arp_opcode != rte_cpu_to_be_16(RTE_ARP_OP_REQUEST) ||
	    rte_is_multicast_ether_addr(&arp->arp_data.arp_sha) || /* nobody's: no echo to all */
	    !is_ours(ingress, arp->arp_data.arp_tip)) {
		ingress->counters->drop_arp_other++;
		rte_pktmbuf_free(mbuf);
		return;
	}
	uint32_t asked = arp->arp_data.arp_tip;
	arp->arp_opcode = rte_cpu_to_be_16(RTE_ARP_OP_REPLY);
	arp->arp_data.arp_tha = arp->arp_data.arp_sha;
	arp->arp_data.arp_tip = arp->arp_data.arp_sip;
	arp->arp_data.arp_sha = ingress->port->mac;
	arp->arp_data.arp_sip = asked;
	ether->dst_addr = arp->arp_data.arp_tha;
	ether->src_addr = ingress->port->mac;
	ingress->counters->arp_answered++;
	dp_replies_send(&ingress->replies, &mbuf, 1);
}

/* Tells everybody on the client network where an address of ours is. */
static void announce(struct dp_ingress *ingress, uint32_t ip)
{
	struct rte_mbuf *mbuf = rte_pktmbuf_alloc(ingress->port->tx_pool);
	if (mbuf == NULL) {
		ingress->replies.counters->tx_no_mbuf++;
		return;
	}
	struct rte_ether_hdr *ether = (struct rte_ether_hdr *)rte_pktmbuf_append(
		mbuf, sizeof(struct rte_ether_hdr) + sizeof(struct rte_arp_hdr)
	);
	struct rte_arp_hdr *arp = (struct rte_arp_hdr *)(ether + 1);
	memset(&ether->dst_addr, 0xff, sizeof(ether->dst_addr));
	ether->src_addr = ingress->port->mac;
	ether->ether_type = rte_cpu_to_be_16(RTE_ETHER_TYPE_ARP);
	*arp = (struct rte_arp_hdr){
		.arp_hardware = rte_cpu_to_be_16(RTE_ARP_HRD_ETHER),
		.arp_protocol = rte_cpu_to_be_16(RTE_ETHER_TYPE_IPV4),
		.arp_hlen = RTE_ETHER_ADDR_LEN,
		.arp_plen = 4,
		.arp_opcode = rte_cpu_to_be_16(RTE_ARP_OP_REQUEST),
		.arp_data =
			{
				.arp_sha = ingress->port->mac,
				.arp_sip = ip,
				.arp_tip = ip,
			},
	};
	dp_replies_send(&ingress->replies, &mbuf, 1);
}

void dp_ingress_announce(struct dp_ingress *ingress)
{
	announce(ingress, ingress->address);
	if (ingress->service_address != 0)
		announce(ingress, ingress->service_address);
}

void dp_ingress_icmp(struct dp_ingress *ingress, struct rte_mbuf *mbuf, uint32_t ip_bytes)
{
	struct rte_ether_hdr *ether = rte_pktmbuf_mtod(mbuf, struct rte_ether_hdr *);
	struct rte_ipv4_hdr *ip = (struct rte_ipv4_hdr *)(ether + 1);
	struct rte_icmp_hdr *icmp = (struct rte_icmp_hdr *)(ip + 1);
	/* The sum over a sound message with its checksum is all ones. */
	uint32_t source = rte_be_to_cpu_32(ip->src_addr);
	bool answerable = source != 0 && source < DP_FIRST_GROUP_IP &&
			  !rte_is_multicast_ether_addr(&ether->src_addr);
	if (!answerable || ip_bytes < sizeof(*ip) + sizeof(*icmp) ||
	    icmp->icmp_type != RTE_IP_ICMP_ECHO_REQUEST || icmp->icmp_code != 0 ||
	    rte_raw_cksum(icmp, ip_bytes - sizeof(*ip)) != 0xffff) {
		ingress->counters->drop_icmp_other++;
		rte_pktmbuf_free(mbuf);
		return;
	}
	uint32_t asked = ip->dst_addr;
	ip->dst_addr = ip->src_addr;
	ip->src_addr = asked;
	ip->time_to_live = 64;
	ip->hdr_checksum = 0;
	ip->hdr_checksum = rte_ipv4_cksum(ip);
	icmp->icmp_type = RTE_IP_ICMP_ECHO_REPLY;
	icmp->icmp_cksum = 0;
	icmp->icmp_cksum = (uint16_t)~rte_raw_cksum(icmp, ip_bytes - sizeof(*ip));
	ether->dst_addr = ether->src_addr;
	ether->src_addr = ingress->port->mac;
	mbuf->data_len = (uint16_t)(sizeof(*ether) + ip_bytes);
	mbuf->pkt_len = mbuf->data_len;
	mbuf->ol_flags = 0;
	ingress->counters->icmp_answered++;
	dp_replies_send(&ingress->replies, &mbuf, 1);
}
