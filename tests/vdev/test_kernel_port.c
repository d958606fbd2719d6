/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Ports with the kernel behind them, each in a network namespace of its own:
 * test_kernel_port af_packet | af_xdp | tap. Skips when the machine refuses namespaces or the kind.
 */
#include "config/exit_codes.h"
#include "tests/vdev/lab.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define SECONDS 60
#define FRAMES 2000

static int skip(const char *why)
{
	printf("skipped: %s\n", why);
	return SF_EXIT_SKIPPED;
}

static bool make_veth(unsigned mtu_bytes)
{
	return lab_run(
		"ip link add va mtu %u numrxqueues 1 numtxqueues 1 type veth peer name vb mtu %u "
		"numrxqueues 1 numtxqueues 1 && sysctl -qw net.ipv6.conf.va.disable_ipv6=1 "
		"net.ipv6.conf.vb.disable_ipv6=1; ip link set va up && ip link set vb up",
		mtu_bytes,
		mtu_bytes
	);
}

/* Both ends of a veth pair as ports of one process. */
static int veth(const char *kind, uint16_t mtu_bytes)
{
	struct dp_port a, b;
	char device[32];

	if (!lab_enter_namespace() || !make_veth(mtu_bytes))
		return skip("no network namespace or no veth on this machine");
	LAB_CHECK(lab_start_eal(192, 1));
	snprintf(device, sizeof(device), "%s:va", kind);
	if (!lab_open(device, mtu_bytes, &a))
		return strcmp(kind, "af_xdp") == 0 ? skip("this kernel refuses AF_XDP") : 1;
	snprintf(device, sizeof(device), "%s:vb", kind);
	LAB_CHECK(lab_open(device, mtu_bytes, &b));
	LAB_CHECK(a.kernel_behind && a.mtu_bytes == mtu_bytes);
	LAB_CHECK(lab_exchange(&a, &b, FRAMES, mtu_bytes + 14u));
	LAB_CHECK(lab_exchange(&b, &a, FRAMES, mtu_bytes + 14u));
	dp_port_close(&a);
	dp_port_close(&b);
	return 0;
}

static int af_packet_1500(void *unused)
{
	return veth("af_packet", 1500);
}

static int af_packet_9000(void *unused)
{
	return veth("af_packet", 9000);
}

static int af_xdp_1500(void *unused)
{
	return veth("af_xdp", 1500);
}

/* Frames through the kernel's side of the tap, by a packet socket. */
static bool tap_exchange(struct dp_port *port, int fd)
{
	uint64_t deadline_ns = lab_now_ns() + 10000000000ull;
	uint32_t to_port = 0, to_kernel = 0;
	struct rte_mbuf *frames[DP_BURST], *frame;

	while ((to_port < FRAMES || to_kernel < FRAMES) && lab_now_ns() < deadline_ns) {
		uint32_t number = 0;
		char bytes[2048];
		frame = lab_make_frame(port->tx_pool, to_port, 200);
		if (frame == NULL)
			return false;
		if (to_port < FRAMES)
			(void)!send(fd, rte_pktmbuf_mtod(frame, void *), frame->data_len, 0);
		if (to_kernel >= FRAMES || dp_port_tx(port, 0, &frame, 1) == 0)
			rte_pktmbuf_free(frame);
		uint16_t got = dp_port_rx(port, 0, frames, DP_BURST);
		for (uint16_t i = 0; i < got; i++) {
			int kind = lab_read_frame(frames[i], &number);
			rte_pktmbuf_free(frames[i]);
			if (kind < 0)
				return false;
			to_port += kind > 0;
		}
		while (recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT) == 200)
			to_kernel++;
	}
	printf("tap: %u frames to the port, %u to the kernel\n", to_port, to_kernel);
	return to_port >= FRAMES && to_kernel >= FRAMES;
}

static int tap(void *unused)
{
	struct dp_port port;
	struct sockaddr_ll address = {
		.sll_family = AF_PACKET,
		.sll_protocol = htons(LAB_ETHERTYPE),
	};

	if (!lab_enter_namespace())
		return skip("no network namespace on this machine");
	LAB_CHECK(lab_start_eal(128, 1));
	if (access("/dev/net/tun", R_OK | W_OK) != 0)
		return skip("no /dev/net/tun on this machine");
	LAB_CHECK(lab_open("tap:sftap", 1600, &port));
	LAB_CHECK(lab_run("ip link show sftap | grep -q 'mtu 1600' && ip link set sftap up"));
	int fd = socket(AF_PACKET, SOCK_RAW, htons(LAB_ETHERTYPE));
	address.sll_ifindex = (int)if_nametoindex("sftap");
	LAB_CHECK(fd >= 0 && bind(fd, (struct sockaddr *)&address, sizeof(address)) == 0);
	LAB_CHECK(tap_exchange(&port, fd));
	close(fd);
	dp_port_close(&port);
	LAB_CHECK(if_nametoindex("sftap") == 0);
	return 0;
}

int main(int argc, char **argv)
{
	const char *kind = argc > 1 ? argv[1] : "";
	int rc;

	if (strcmp(kind, "af_packet") == 0) {
		rc = lab_wait(lab_fork(af_packet_1500, NULL), SECONDS);
		if (rc == 0)
			rc = lab_wait(lab_fork(af_packet_9000, NULL), SECONDS);
	} else if (strcmp(kind, "af_xdp") == 0) {
		rc = lab_wait(lab_fork(af_xdp_1500, NULL), SECONDS);
	} else if (strcmp(kind, "tap") == 0) {
		rc = lab_wait(lab_fork(tap, NULL), SECONDS);
	} else {
		fprintf(stderr, "usage: test_kernel_port af_packet | af_xdp | tap\n");
		return SF_EXIT_USAGE;
	}
	return rc == SF_EXIT_SKIPPED ? rc : rc == 0 ? SF_EXIT_OK : SF_EXIT_FAILED;
}
