/* SPDX-License-Identifier: BSD-3-Clause */
#include "config/bytes.h"
#include "config/devices.h"
#include "dataplane/port_private.h"

#include <rte_bus.h>
#include <rte_dev.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_log.h>

#include <errno.h>
#include <linux/ethtool.h>
#include <linux/if_packet.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define ARGS_BYTES (2 * CFG_TEXT_BYTES)
/* The kernel's packet ring: a frame with its own header in each slot of a multiple of 1 KiB, four
 * slots in a block, so that a block is a multiple of the page and slots follow each other without
 * holes, which the driver relies on. */
#define PACKET_SLOT_UNIT 1024
#define PACKET_SLOTS_PER_BLOCK 4
#define PACKET_SLOT_HEADER (TPACKET2_HDRLEN + TPACKET_ALIGNMENT + 32)

static unsigned numbers;

unsigned dp_port_next_number(void)
{
	return numbers++;
}

__attribute__((format(printf, 4, 5))) static int
fail(int rc, char *error, size_t error_bytes, const char *format, ...)
{
	va_list list;

	va_start(list, format);
	vsnprintf(error, error_bytes, format, list);
	va_end(list);
	return -rc;
}

static uint32_t packet_slot_bytes(uint16_t mtu_bytes)
{
	return (uint32_t
	)sf_round_up(dp_port_frame_bytes(mtu_bytes) + PACKET_SLOT_HEADER, PACKET_SLOT_UNIT);
}

uint32_t dp_port_room_bytes(const struct cfg_port *config)
{
	/* af_packet in DPDK 22.11 copies what the kernel has captured without asking for the
	 * mbuf's room, and the kernel may capture up to its slot. */
	if (config->kind == CFG_DEVICE_AF_PACKET)
		return packet_slot_bytes(config->mtu_bytes);
	/* af_xdp gives the kernel whole mbufs as chunks, which have at least 2 KiB. */
	if (config->kind == CFG_DEVICE_AF_XDP && config->mtu_bytes < 2048)
		return 2048 + RTE_CACHE_LINE_SIZE;
	return (uint32_t)sf_round_up(dp_port_frame_bytes(config->mtu_bytes), RTE_CACHE_LINE_SIZE);
}

/* ---- kernel interfaces ---- */

static int interface_ioctl(const char *interface, unsigned long request, struct ifreq *ask)
{
	int rc = 0, fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	snprintf(ask->ifr_name, sizeof(ask->ifr_name), "%s", interface);
	if (ioctl(fd, request, ask) != 0)
		rc = -errno;
	close(fd);
	return rc;
}

int dp_port_set_interface_mtu(const char *interface, uint16_t mtu_bytes)
{
	struct ifreq ask = {.ifr_mtu = mtu_bytes};

	return interface_ioctl(interface, SIOCSIFMTU, &ask);
}

/* Queues by the kernel's channels; 1 when the driver does not say. */
static uint32_t interface_queues(const char *interface)
{
	struct ethtool_channels channels = {.cmd = ETHTOOL_GCHANNELS};
	struct ifreq ask = {.ifr_data = (void *)&channels};
	uint32_t count;

	if (interface_ioctl(interface, SIOCETHTOOL, &ask) != 0)
		return 1;
	count = channels.combined_count + channels.rx_count;
	return count ? count : 1;
}

/* Asked of the kernel first, because the drivers' own messages name numbers, not the cause. */
static int check_interface(const struct cfg_port *config, char *error, size_t error_bytes)
{
	struct ifreq ask = {0};
	const char *name = config->device;
	int rc = interface_ioctl(name, SIOCGIFFLAGS, &ask);

	if (rc == -ENODEV)
		return fail(
			ENODEV,
			error,
			error_bytes,
			"interface %s does not exist (in this network namespace)",
			name
		);
	if (rc != 0)
		return fail(
			-rc,
			error,
			error_bytes,
			"interface %s cannot be asked: %s",
			name,
			strerror(-rc)
		);
	if (!(ask.ifr_flags & IFF_UP))
		return fail(
			ENETDOWN,
			error,
			error_bytes,
			"interface %s is down (ip link set %s up)",
			name,
			name
		);
	rc = interface_ioctl(name, SIOCGIFMTU, &ask);
	if (rc != 0 || ask.ifr_mtu < config->mtu_bytes)
		return fail(
			EMSGSIZE,
			error,
			error_bytes,
			"interface %s has MTU %d, %u are asked for (ip link set %s mtu %u)",
			name,
			rc == 0 ? ask.ifr_mtu : 0,
			config->mtu_bytes,
			name,
			config->mtu_bytes
		);
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	if (fd < 0) {
		rc = errno;
		return fail(
			rc,
			error,
			error_bytes,
			"packets of interface %s cannot be read: %s (CAP_NET_RAW is needed)",
			name,
			strerror(rc)
		);
	}
	close(fd);
	return 0;
}

/* ---- arguments of each kind ---- */

static int memif_args(
	const struct cfg_port *config, const char *role, char *args, char *error, size_t error_bytes
)
{
	char path[CFG_TEXT_BYTES + 16];

	if (config->descriptors < 2 || config->descriptors > 1 << 14)
		return fail(
			EINVAL,
			error,
			error_bytes,
			"memif has 2 to 16384 descriptors, %u are asked for",
			config->descriptors
		);
	int rc = dp_memif_prepare(config, error, error_bytes);
	if (rc != 0)
		return rc;
	/* The driver binds or connects only to this private socket (port_memif.c). */
	dp_memif_private_path(config, path, sizeof(path));
	snprintf(
		args,
		ARGS_BYTES,
		"role=%s,id=0,socket=%s,socket-abstract=no,rsize=%d,bsize=%u",
		role,
		path,
		__builtin_ctz(config->descriptors),
		dp_port_room_bytes(config)
	);
	return 0;
}

static int af_packet_args(
	const struct cfg_port *config,
	const struct dp_port_needs *needs,
	char *args,
	char *error,
	size_t error_bytes
)
{
	uint32_t slot = packet_slot_bytes(config->mtu_bytes);
	uint32_t slots = config->descriptors;
	int rc = check_interface(config, error, error_bytes);

	if (rc != 0)
		return rc;
	if (slots < 64)
		slots = 64;
	snprintf(
		args,
		ARGS_BYTES,
		"iface=%s,qpairs=%u,blocksz=%u,framesz=%u,framecnt=%u",
		config->device,
		needs->rx_queues,
		slot * PACKET_SLOTS_PER_BLOCK,
		slot,
		slots
	);
	return 0;
}

static int af_xdp_args(
	const struct cfg_port *config,
	const struct dp_port_needs *needs,
	char *args,
	char *error,
	size_t error_bytes
)
{
	int rc = check_interface(config, error, error_bytes);
	long page_bytes = sysconf(_SC_PAGESIZE);
	/* Each frame lies in one page, behind the mbuf's header and the kernel's headroom. */
	uint32_t used = dp_port_room_bytes(config) + RTE_PKTMBUF_HEADROOM +
			(uint32_t)sizeof(struct rte_mbuf) + 64 + 256;

	if (rc != 0)
		return rc;
	if (used > page_bytes)
		return fail(
			EMSGSIZE,
			error,
			error_bytes,
			"af_xdp needs a frame to fit in a page: MTU %u is too large, %u are "
			"possible",
			config->mtu_bytes,
			(unsigned)(page_bytes - (used - config->mtu_bytes))
		);
	if (interface_queues(config->device) < needs->rx_queues)
		return fail(
			EINVAL,
			error,
			error_bytes,
			"interface %s has fewer than %u receive queues",
			config->device,
			needs->rx_queues
		);
	snprintf(
		args,
		ARGS_BYTES,
		"iface=%s,start_queue=0,queue_count=%u",
		config->device,
		needs->rx_queues
	);
	return 0;
}

static int tap_args(const struct cfg_port *config, char *args, char *error, size_t error_bytes)
{
	struct ifreq ask = {0};

	if (access("/dev/net/tun", R_OK | W_OK) != 0) {
		int rc = errno;
		return fail(
			rc,
			error,
			error_bytes,
			"/dev/net/tun cannot be used: %s (modprobe tun; CAP_NET_ADMIN is needed)",
			strerror(rc)
		);
	}
	if (interface_ioctl(config->device, SIOCGIFFLAGS, &ask) == 0)
		return fail(
			EEXIST,
			error,
			error_bytes,
			"interface %s exists already; a tap port makes its own (use af_packet:%s "
			"for one that is there)",
			config->device,
			config->device
		);
	snprintf(args, ARGS_BYTES, "iface=%s", config->device);
	return 0;
}

/* ---- making it ---- */

/* memif complains that it cannot speak with secondary processes, which we never have. */
static int quiet_add(const char *name, const char *args)
{
	int type = rte_log_register("pmd.net.memif");
	int level = type < 0 ? 0 : rte_log_get_level((uint32_t)type);

	if (level > 0 && level < (int)RTE_LOG_DEBUG)
		rte_log_set_level((uint32_t)type, RTE_LOG_CRIT);
	int rc = rte_eal_hotplug_add("vdev", name, args);
	if (level > 0)
		rte_log_set_level((uint32_t)type, (uint32_t)level);
	return rc;
}

static int
plug(const char *name, const char *args, struct dp_port *port, char *error, size_t error_bytes)
{
	uint16_t before;
	int rc;

	if (rte_eth_dev_get_port_by_name(name, &before) == 0)
		return fail(EEXIST, error, error_bytes, "DPDK device %s is in use already", name);
	rc = quiet_add(name, args);
	if (rc != 0 || rte_eth_dev_get_port_by_name(name, &port->id) != 0) {
		rc = rc < 0 ? -rc : rte_errno ? rte_errno : ENODEV;
		return fail(
			rc,
			error,
			error_bytes,
			"DPDK cannot make device %s with \"%s\": %s",
			name,
			args,
			rte_strerror(rc)
		);
	}
	snprintf(port->vdev, sizeof(port->vdev), "%s", name);
	return 0;
}

static int make_pci(const char *address, struct dp_port *port, char *error, size_t error_bytes)
{
	char path[CFG_TEXT_BYTES + 64], link[256];
	int rc = 0;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s", address);
	if (access(path, F_OK) != 0)
		return fail(
			ENODEV,
			error,
			error_bytes,
			"this host has no PCI device %s (dpdk-devbind.py -s lists them)",
			address
		);
	if (rte_eth_dev_get_port_by_name(address, &port->id) == 0)
		return 0;
	rc = rte_eal_hotplug_add("pci", address, "");
	if (rc == 0 && rte_eth_dev_get_port_by_name(address, &port->id) == 0)
		return 0;
	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/driver", address);
	ssize_t bytes = readlink(path, link, sizeof(link) - 1);
	link[bytes > 0 ? bytes : 0] = 0;
	const char *driver = strrchr(link, '/');
	return fail(
		rc < 0 ? -rc : ENODEV,
		error,
		error_bytes,
		"PCI device %s has kernel driver %s and is no DPDK port: bind it to vfio-pci "
		"(driverctl set-override %s vfio-pci), or its DPDK driver is missing",
		address,
		driver ? driver + 1 : "none",
		address
	);
}

static int make_vdev(const char *text, struct dp_port *port, char *error, size_t error_bytes)
{
	char name[64];
	size_t chars = strcspn(text, ",");

	if (chars == 0 || chars >= sizeof(name))
		return fail(EINVAL, error, error_bytes, "\"%s\" names no DPDK device", text);
	snprintf(name, sizeof(name), "%.*s", (int)chars, text);
	return plug(name, text[chars] ? text + chars + 1 : "", port, error, error_bytes);
}

int dp_port_make_device(
	const struct cfg_port *config,
	const struct dp_port_needs *needs,
	struct dp_port *port,
	char *error,
	size_t error_bytes
)
{
	static const char *const drivers[] = {
		[CFG_DEVICE_MEMIF_SERVER] = "net_memif",
		[CFG_DEVICE_MEMIF_CLIENT] = "net_memif",
		[CFG_DEVICE_AF_PACKET] = "net_af_packet",
		[CFG_DEVICE_AF_XDP] = "net_af_xdp",
		[CFG_DEVICE_TAP] = "net_tap",
	};
	char args[ARGS_BYTES] = "", name[64];
	int rc = -EINVAL;

	switch (config->kind) {
	case CFG_DEVICE_PCI:
		return make_pci(config->device, port, error, error_bytes);
	case CFG_DEVICE_RING:
		return dp_port_make_named_ring(config, needs, port, error, error_bytes);
	case CFG_DEVICE_VDEV:
		return make_vdev(config->device, port, error, error_bytes);
	case CFG_DEVICE_MEMIF_SERVER:
		rc = memif_args(config, "server", args, error, error_bytes);
		break;
	case CFG_DEVICE_MEMIF_CLIENT:
		rc = memif_args(config, "client", args, error, error_bytes);
		break;
	case CFG_DEVICE_AF_PACKET:
		rc = af_packet_args(config, needs, args, error, error_bytes);
		port->kernel_behind = true;
		break;
	case CFG_DEVICE_AF_XDP:
		rc = af_xdp_args(config, needs, args, error, error_bytes);
		port->kernel_behind = true;
		break;
	case CFG_DEVICE_TAP:
		rc = tap_args(config, args, error, error_bytes);
		port->kernel_behind = true;
		break;
	}
	if (rc != 0)
		return rc;
	snprintf(name, sizeof(name), "%s%u", drivers[config->kind], dp_port_next_number());
	return plug(name, args, port, error, error_bytes);
}
