/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Device strings of ports, as people write them in settings and on command lines
 * ("memif-server:/run/x.sock", "af_packet:eth1", "0000:8a:00.0"), to and from struct cfg_port.
 */
#pragma once

#include "config/settings.h"

#include <stdbool.h>
#include <stddef.h>

/* Sets kind and device of port and leaves the rest alone. False with a sentence in error when the
 * text names no device: unknown kind, missing or too long name, bad PCI address. */
bool cfg_port_parse(const char *text, struct cfg_port *port, char *error, size_t error_bytes);

/* The prefix of a kind as written ("memif-server"); "pci" for PCI, which is written without one. */
const char *cfg_device_name(enum cfg_device kind);

/* The text that cfg_port_parse would read back; always ends with 0. */
void cfg_port_print(const struct cfg_port *port, char *text, size_t text_bytes);
