/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Texts with a form of their own: device strings, MAC and IPv4 addresses, CPU lists. Each parser
 * returns NULL, or the part of a sentence that says what is wrong; then nothing was written.
 */
#pragma once

#include "config/settings.h"

const char *cfg_parse_device(const char *text, struct cfg_port *port);
const char *cfg_parse_mac(const char *text, uint8_t mac[6]); /* "auto" gives zeros */
const char *cfg_parse_ipv4(const char *text, uint32_t *address);
const char *cfg_parse_cpus(const char *text, char cpus[CFG_NAME_BYTES]);
const char *cfg_parse_name(const char *text);
const char *cfg_parse_path(const char *text);
const char *cfg_parse_endpoint(const char *text); /* "http://HOST:PORT", "https://[ADDRESS]:PORT" */

void cfg_format_device(const struct cfg_port *port, char *text, size_t bytes);
void cfg_format_mac(const uint8_t mac[6], char *text, size_t bytes);
void cfg_format_ipv4(uint32_t address, char *text, size_t bytes);
