/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Who a client is, as seen on the wire, and the sizes of the headers around a datagram. The node
 * speaks Ethernet, IPv4 without options, UDP.
 */
#pragma once

#include "config/check.h"
#include "dataplane/checksum.h"

#include <rte_ether.h>
#include <rte_ip.h>
#include <rte_udp.h>

#include <stdbool.h>
#include <stdint.h>

/* Where an answer goes: back to where the request came from, from the address that it was sent to.
 * Addresses and port in network order, as they stand in the packet. */
struct dp_address {
	struct rte_ether_addr mac;
	uint16_t port;
	uint32_t ip;
	uint32_t local_ip;
};
STATIC_CHECK(sizeof(struct dp_address) == 16, "copied and compared as two words");

#define DP_FIRST_GROUP_IP 0xe0000000u /* 224.0.0.0: from here on no host's own address */

static inline bool dp_same_mac(const struct rte_ether_addr *a, const struct rte_ether_addr *b)
{
	return sf_load32(a->addr_bytes) == sf_load32(b->addr_bytes) &&
	       sf_load16(a->addr_bytes + 4) == sf_load16(b->addr_bytes + 4);
}

#define DP_HEADERS_BYTES \
	(sizeof(struct rte_ether_hdr) + sizeof(struct rte_ipv4_hdr) + sizeof(struct rte_udp_hdr))

struct dp_headers {
	struct rte_ether_hdr ether;
	struct rte_ipv4_hdr ip;
	struct rte_udp_hdr udp;
} __attribute__((packed, aligned(2)));
STATIC_CHECK(sizeof(struct dp_headers) == 42, "Ethernet, IPv4, UDP");

/* Sum over a UDP datagram and its pseudo header: the two addresses stand right before the UDP
 * header, protocol and length are added. udp_bytes: of header and payload. */
static inline uint16_t dp_udp_sum(const struct dp_headers *headers, uint32_t udp_bytes)
{
	const uint32_t addresses = 2 * sizeof(uint32_t);
	STATIC_CHECK(
		offsetof(struct dp_headers, ip.src_addr) + 8 == offsetof(struct dp_headers, udp),
		"no options between"
	);
	uint64_t sum = (uint64_t)rte_cpu_to_be_16(IPPROTO_UDP) + headers->udp.dgram_len;
	return dp_sum_fold(dp_sum(sum, &headers->ip.src_addr, addresses + udp_bytes));
}
