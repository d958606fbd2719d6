/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Control's name server: the zone of the settings (routing.*), with the pair's name in front, which
 * follows the node's status (routing/pair.h), and the configured names, which only the operator
 * switches. It runs on the name server's thread and reads the memory file through a mapping of its
 * own, so it goes on answering while control is busy, and while the dataplane comes and goes.
 *
 * Owner: the one thread of standfast-control opens, closes and takes words.
 */
#pragma once

#include "config/settings.h"
#include "control/routing/pair.h"
#include "control/routing/server.h"
#include "dataplane/shm.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#define CTL_NAMES_STUCK_NS 1000000000ull /* a status not written for so long says nothing */

struct ctl_names {
	const struct cfg_settings *settings; /* NULL: routing is off */
	struct ctl_zone zone;
	struct ctl_name_server *server;
	uint32_t pair; /* index of the pair's name */
	/* Of the server's thread: */
	struct dp_shm *shm;
	bool is_known; /* there was a look since nothing was known */
	struct ctl_health health[CTL_PAIR_NODES];
};

/* Nothing at all with routing.enabled = off. 0, or a negative errno with a sentence in error. */
int ctl_names_open(
	struct ctl_names *names,
	const struct cfg_settings *settings,
	char *error,
	size_t error_bytes
);
void ctl_names_close(struct ctl_names *names);

/* An operator's words behind "route ": the answer, which the caller owns; NULL with an exit code
 * and a sentence. pick NAME | status [NAME] | switch NAME ENDPOINT | offline NAME ENDPOINT | online
 * NAME ENDPOINT | weight NAME ENDPOINT N NAME with or without the zone; ENDPOINT is its number from
 * 1, its label or ADDRESS:PORT. */
json_t *ctl_names_take(
	struct ctl_names *names, const char *words, int *code, char *error, size_t error_bytes
);
