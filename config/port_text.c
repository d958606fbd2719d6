/* SPDX-License-Identifier: BSD-3-Clause */
#include "config/port_text.h"

#include <ctype.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>

/* The path of a socket must leave room for "~PID", the private socket beside it (port_memif.c). */
#define MAX_SOCKET_PATH (sizeof(((struct sockaddr_un *)0)->sun_path) - 1 - 8)
#define MAX_RING_NAME 16

static const struct {
	const char *name;
	const char *what; /* what follows the colon */
	size_t max_chars;
} kinds[] = {
	[CFG_DEVICE_PCI] = {"pci", "a PCI address", CFG_TEXT_BYTES - 1},
	[CFG_DEVICE_MEMIF_SERVER] = {"memif-server", "the path of a socket", MAX_SOCKET_PATH},
	[CFG_DEVICE_MEMIF_CLIENT] = {"memif-client", "the path of a socket", MAX_SOCKET_PATH},
	[CFG_DEVICE_AF_PACKET] = {"af_packet", "an interface", IFNAMSIZ - 1},
	[CFG_DEVICE_AF_XDP] = {"af_xdp", "an interface", IFNAMSIZ - 1},
	[CFG_DEVICE_TAP] = {"tap", "an interface", IFNAMSIZ - 1},
	[CFG_DEVICE_RING] = {"ring", "a name", MAX_RING_NAME},
	[CFG_DEVICE_VDEV] = {"vdev", "a DPDK device such as net_null0,no-rx=1", CFG_TEXT_BYTES - 1},
};
#define KIND_COUNT (sizeof(kinds) / sizeof(kinds[0]))

const char *cfg_device_name(enum cfg_device kind)
{
	return (size_t)kind < KIND_COUNT ? kinds[kind].name : "unknown";
}

/* "0000:8a:00.0" or "8a:00.0"; full gets the long form, 12 characters. */
static bool pci_address(const char *text, char *full, size_t full_bytes)
{
	static const char pattern[] = "xxxx:xx:xx.d";
	char address[sizeof(pattern)];
	size_t length = strlen(text);

	if (length + 1 == sizeof(pattern))
		memcpy(address, text, sizeof(address));
	else if (length + 6 == sizeof(pattern))
		snprintf(address, sizeof(address), "0000:%s", text);
	else
		return false;
	for (size_t i = 0; i + 1 < sizeof(pattern); i++) {
		char c = address[i];
		bool fits = pattern[i] == 'x'	? isxdigit((unsigned char)c) != 0
			    : pattern[i] == 'd' ? c >= '0' && c <= '7'
						: c == pattern[i];
		if (!fits)
			return false;
		address[i] = (char)tolower((unsigned char)c);
	}
	snprintf(full, full_bytes, "%s", address);
	return true;
}

/* EAL splits the arguments of a device at commas, so a path or name with one could smuggle in
 * others; blanks and control characters are typing errors. */
static bool name_is_clean(enum cfg_device kind, const char *name)
{
	for (const char *c = name; *c; c++) {
		if (iscntrl((unsigned char)*c) || *c == ' ')
			return false;
		if (kind != CFG_DEVICE_VDEV && (*c == ',' || *c == '='))
			return false;
		if (*c == '/' && (kind == CFG_DEVICE_AF_PACKET || kind == CFG_DEVICE_AF_XDP ||
				  kind == CFG_DEVICE_TAP || kind == CFG_DEVICE_RING))
			return false;
	}
	return true;
}

static bool kind_of(const char *text, size_t chars, enum cfg_device *kind)
{
	for (size_t i = 0; i < KIND_COUNT; i++) {
		if (strlen(kinds[i].name) == chars && memcmp(kinds[i].name, text, chars) == 0) {
			*kind = (enum cfg_device)i;
			return true;
		}
	}
	return false;
}

bool cfg_port_parse(const char *text, struct cfg_port *port, char *error, size_t error_bytes)
{
	enum cfg_device kind;
	const char *colon = strchr(text, ':');

	if (pci_address(text, port->device, sizeof(port->device))) {
		port->kind = CFG_DEVICE_PCI;
		return true;
	}
	if (colon == NULL || !kind_of(text, (size_t)(colon - text), &kind)) {
		snprintf(
			error,
			error_bytes,
			"\"%s\" is no device: write a PCI address (0000:8a:00.0), "
			"memif-server:PATH, memif-client:PATH, af_packet:IFACE, af_xdp:IFACE, "
			"tap:IFACE, ring:NAME or vdev:NAME,ARGS",
			text
		);
		return false;
	}
	const char *name = colon + 1;
	if (kind == CFG_DEVICE_PCI) {
		if (!pci_address(name, port->device, sizeof(port->device))) {
			snprintf(
				error,
				error_bytes,
				"\"%s\" is no PCI address such as 0000:8a:00.0",
				name
			);
			return false;
		}
	} else if (*name == 0) {
		snprintf(error, error_bytes, "\"%s\": %s is missing", text, kinds[kind].what);
		return false;
	} else if (strlen(name) > kinds[kind].max_chars) {
		snprintf(
			error,
			error_bytes,
			"\"%s\": the name is longer than %zu characters",
			text,
			kinds[kind].max_chars
		);
		return false;
	} else if (!name_is_clean(kind, name)) {
		snprintf(
			error,
			error_bytes,
			"\"%s\": the name holds a character that cannot be in %s",
			text,
			kinds[kind].what
		);
		return false;
	} else {
		memcpy(port->device, name, strlen(name) + 1);
	}
	port->kind = kind;
	return true;
}

void cfg_port_print(const struct cfg_port *port, char *text, size_t text_bytes)
{
	if (port->kind == CFG_DEVICE_PCI)
		snprintf(text, text_bytes, "%s", port->device);
	else
		snprintf(text, text_bytes, "%s:%s", cfg_device_name(port->kind), port->device);
}
