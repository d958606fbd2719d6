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

#define CTL_NAMES_PAUSE_MIN_NS 250000000ull /* between two tries to listen */
#define CTL_NAMES_PAUSE_MAX_NS 30000000000ull
#define CTL_NAMES_WHY_BYTES 256
#define CTL_NAMES_STUCK_NS 1000000000ull /* a status not written for so long says nothing */

struct ctl_names {
	const struct cfg_settings *settings; /* NULL: routing is off */
	struct ctl_zone zone;
	struct ctl_name_server *server; /* NULL: not yet; why says why not */
	char why[CTL_NAMES_WHY_BYTES];
	uint64_t next_try_ns, pause_ns;
	uint32_t pair; /* index of the pair's name */
	/* Of the server's thread: */
	struct dp_shm *shm;
	bool is_known; /* there was a look since nothing was known */
	struct ctl_health health[CTL_PAIR_NODES];
};

/* Makes the zone; nothing at all with routing.enabled = off. 0, or a negative errno with a sentence
 * in names->why: a zone that cannot be served, ever. */
int ctl_names_open(struct ctl_names *names, const struct cfg_settings *settings);
/* Each round of control: starts the server; when it cannot (the port is taken, the address is not
 * there yet), tries again with a pause that doubles up to CTL_NAMES_PAUSE_MAX_NS. True when there
 * is news for the list of events: it does not start, for another reason than before, or it does
 * at last. */
bool ctl_names_step(struct ctl_names *names, uint64_t now_ns, char *text, size_t text_bytes);
void ctl_names_close(struct ctl_names *names);

/* An operator's words behind "route ": the answer, which the caller owns; NULL with an exit code
 * and a sentence. pick NAME | status [NAME] | switch NAME ENDPOINT | offline NAME ENDPOINT | online
 * NAME ENDPOINT | weight NAME ENDPOINT N NAME with or without the zone; ENDPOINT is its number from
 * 1, its label or ADDRESS:PORT. */
json_t *ctl_names_take(
	struct ctl_names *names, const char *words, int *code, char *error, size_t error_bytes
);
