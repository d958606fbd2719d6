/* SPDX-License-Identifier: BSD-3-Clause */
#include "config/devices.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* sockaddr_un.sun_path holds 107 bytes and a final 0; "~PID", the private socket beside a memif
 * server's (dataplane/port_memif.c), must fit as well. */
#define SOCKET_PATH_BYTES 100
#define IFACE_BYTES 16	   /* IFNAMSIZ */
#define RING_NAME_BYTES 16 /* leaves room for DPDK's own prefixes */
#define MAX_CPU 1023

static const struct kind {
	const char *prefix;
	enum cfg_device kind;
} kinds[] = {
	{"memif-server:", CFG_DEVICE_MEMIF_SERVER},
	{"memif-client:", CFG_DEVICE_MEMIF_CLIENT},
	{"af_packet:", CFG_DEVICE_AF_PACKET},
	{"af_xdp:", CFG_DEVICE_AF_XDP},
	{"tap:", CFG_DEVICE_TAP},
	{"ring:", CFG_DEVICE_RING},
	{"vdev:", CFG_DEVICE_VDEV},
};

static bool is_word(const char *text, const char *extra)
{
	if (*text == 0)
		return false;
	for (; *text; text++) {
		if (!isalnum((unsigned char)*text) && !strchr(extra, *text))
			return false;
	}
	return true;
}

const char *cfg_parse_name(const char *text)
{
	if (!isalnum((unsigned char)text[0]) || !is_word(text, "._-"))
		return "must begin with a letter or digit and hold only letters, digits, '.', '_' "
		       "and '-'";
	return NULL;
}

const char *cfg_parse_path(const char *text)
{
	if (text[0] != '/')
		return "must be an absolute path: programs start in different folders";
	for (; *text; text++) {
		if ((unsigned char)*text < ' ' || *text == 0x7f)
			return "holds a control character";
	}
	return NULL;
}

/* Nothing but a host and a port: what else a URL may hold could only be wrong here. */
const char *cfg_parse_endpoint(const char *text)
{
	static const char form[] = "must be http://HOST:PORT or https://HOST:PORT";
	size_t scheme = strncmp(text, "http://", 7) == 0    ? 7
			: strncmp(text, "https://", 8) == 0 ? 8
							    : 0;
	const char *host = text + scheme;
	const char *colon = strrchr(host, ':');
	unsigned port = 0;

	if (scheme == 0 || colon == NULL || colon == host)
		return form;
	if (strlen(text) >= CFG_TEXT_BYTES)
		return "is too long";
	size_t host_bytes = (size_t)(colon - host);
	bool address6 = host[0] == '[' && colon[-1] == ']';
	size_t good_bytes = address6 ? 1 + strspn(host + 1, "0123456789abcdefABCDEF:.")
				     : strspn(host,
					      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
					      "0123456789.-");
	if (good_bytes != host_bytes - address6)
		return form;
	for (const char *digit = colon + 1; *digit; digit++) {
		if (*digit < '0' || *digit > '9')
			return form;
		port = port * 10 + (unsigned)(*digit - '0');
		if (port > UINT16_MAX)
			return "has a port above 65535";
	}
	return port == 0 ? form : NULL;
}

/* "8a:00.0" or "0000:8a:00.0"; kept with the domain. */
static bool parse_pci(const char *text, char address[CFG_TEXT_BYTES])
{
	static const char long_form[] = "xxxx:xx:xx.o";
	size_t bytes = strlen(text);
	bool is_short = bytes == strlen(long_form) - 5;
	const char *form = is_short ? long_form + 5 : long_form;

	if (bytes != strlen(form))
		return false;
	for (size_t i = 0; i < bytes; i++) {
		bool good = form[i] == 'x'   ? isxdigit((unsigned char)text[i])
			    : form[i] == 'o' ? text[i] >= '0' && text[i] <= '7'
					     : text[i] == form[i];
		if (!good)
			return false;
	}
	snprintf(address, CFG_TEXT_BYTES, "%s%s", is_short ? "0000:" : "", text);
	return true;
}

static const char *check_target(enum cfg_device kind, const char *target)
{
	switch (kind) {
	case CFG_DEVICE_MEMIF_SERVER:
	case CFG_DEVICE_MEMIF_CLIENT:
		if (target[0] != '/' || !is_word(target, "/._-+@"))
			return "needs an absolute socket path of letters, digits and \"/._-+@\"";
		if (strlen(target) >= SOCKET_PATH_BYTES)
			return "has a socket path of more than 99 bytes";
		return NULL;
	case CFG_DEVICE_AF_PACKET:
	case CFG_DEVICE_AF_XDP:
	case CFG_DEVICE_TAP:
		if (!is_word(target, "._-@") || strlen(target) >= IFACE_BYTES)
			return "needs the name of an interface, 1 to 15 bytes";
		return NULL;
	case CFG_DEVICE_RING:
		if (!is_word(target, "_-") || strlen(target) >= RING_NAME_BYTES)
			return "needs a name of 1 to 15 letters, digits, '_' and '-'";
		return NULL;
	case CFG_DEVICE_VDEV:
		if (strncmp(target, "net_", 4) != 0 || !is_word(target, "_,=:./-@+"))
			return "needs a DPDK device such as net_null0,copy=1";
		return NULL;
	case CFG_DEVICE_PCI:
		break;
	}
	return NULL;
}

const char *cfg_parse_device(const char *text, struct cfg_port *port)
{
	char address[CFG_TEXT_BYTES];

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		size_t bytes = strlen(kinds[i].prefix);
		if (strncmp(text, kinds[i].prefix, bytes) != 0)
			continue;
		if (strlen(text + bytes) >= CFG_TEXT_BYTES)
			return "is too long (at most 255 bytes after the colon)";
		const char *wrong = check_target(kinds[i].kind, text + bytes);
		if (wrong)
			return wrong;
		port->kind = kinds[i].kind;
		strcpy(port->device, text + bytes);
		return NULL;
	}
	if (!parse_pci(text, address))
		return "is neither a PCI address (0000:8a:00.0) nor begins with memif-server:, "
		       "memif-client:, af_packet:, af_xdp:, tap:, ring: or vdev:";
	port->kind = CFG_DEVICE_PCI;
	strcpy(port->device, address);
	return NULL;
}

void cfg_format_device(const struct cfg_port *port, char *text, size_t bytes)
{
	const char *prefix = "";
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		if (kinds[i].kind == port->kind)
			prefix = kinds[i].prefix;
	}
	snprintf(text, bytes, "%s%s", prefix, port->device);
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

const char *cfg_parse_mac(const char *text, uint8_t mac[6])
{
	static const char form[] = "is no MAC address (02:00:00:00:00:01) and not \"auto\"";
	uint8_t parsed[6];
	uint8_t any = 0;

	if (strcmp(text, "auto") == 0) {
		memset(mac, 0, 6);
		return NULL;
	}
	if (strlen(text) != 17)
		return form;
	for (int i = 0; i < 6; i++) {
		int high = hex_digit(text[3 * i]), low = hex_digit(text[3 * i + 1]);
		if (high < 0 || low < 0 || (i < 5 && text[3 * i + 2] != ':'))
			return form;
		parsed[i] = (uint8_t)(high << 4 | low);
		any |= parsed[i];
	}
	if (!any || (parsed[0] & 1))
		return "is no MAC address of one device (zero, multicast or broadcast)";
	memcpy(mac, parsed, 6);
	return NULL;
}

void cfg_format_mac(const uint8_t mac[6], char *text, size_t bytes)
{
	static const uint8_t none[6];
	if (memcmp(mac, none, 6) == 0)
		snprintf(text, bytes, "auto");
	else
		snprintf(
			text,
			bytes,
			"%02x:%02x:%02x:%02x:%02x:%02x",
			mac[0],
			mac[1],
			mac[2],
			mac[3],
			mac[4],
			mac[5]
		);
}

/* One decimal number up to most, without a leading zero; NULL when there is none, else behind it.
 */
static const char *parse_small(const char *text, uint32_t most, uint32_t *number)
{
	uint32_t value = 0;
	const char *begin = text;

	for (; isdigit((unsigned char)*text); text++) {
		value = value * 10 + (uint32_t)(*text - '0');
		if (value > most || (text > begin && *begin == '0'))
			return NULL;
	}
	*number = value;
	return text == begin ? NULL : text;
}

const char *cfg_parse_ipv4(const char *text, uint32_t *address)
{
	static const char form[] = "is no IPv4 address (10.77.0.1)";
	uint32_t parsed = 0;

	for (int i = 0; i < 4; i++) {
		uint32_t part;
		text = parse_small(text, 255, &part);
		if (!text || *text != (i < 3 ? '.' : 0))
			return form;
		text++;
		parsed = parsed << 8 | part;
	}
	if (parsed >> 24 == 0 || parsed >> 24 >= 224)
		return "is no IPv4 address of one host";
	*address = parsed;
	return NULL;
}

void cfg_format_ipv4(uint32_t address, char *text, size_t bytes)
{
	if (address == 0)
		snprintf(text, bytes, "none");
	else
		snprintf(
			text,
			bytes,
			"%u.%u.%u.%u",
			address >> 24,
			address >> 16 & 255,
			address >> 8 & 255,
			address & 255
		);
}

const char *cfg_parse_cpus(const char *text, char cpus[CFG_NAME_BYTES])
{
	static const char form[] = "must be a CPU (\"3\"), a range (\"0-1\") or \"any\"";
	uint32_t first, last;

	if (strcmp(text, "any") != 0) {
		const char *rest = parse_small(text, MAX_CPU, &first);
		last = first;
		if (rest && *rest == '-')
			rest = parse_small(rest + 1, MAX_CPU, &last);
		if (!rest || *rest || last < first)
			return form;
	}
	strcpy(cpus, text); /* at most "1023-1023" */
	return NULL;
}
