/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Control's side of the memory file (dataplane/shm.h): finds the file of the node, asks for rings
 * of its own generation, beats its heart there, and notices when the dataplane ended or was started
 * again. A state machine that never blocks: the caller passes the time and calls often.
 *
 * What arrives in the rings and is not of this incarnation and generation is dropped and counted.
 *
 * Owner: the one thread of standfast-control. Times are CLOCK_MONOTONIC in ns. DPDK's ring headers
 * are used in attach.c only, and no DPDK library.
 */
#pragma once

#include "config/settings.h"
#include "dataplane/shm.h"

#include <stdbool.h>
#include <stdint.h>

#define CTL_LOOK_INTERVAL_NS 100000000ull /* between looks at the file, and heartbeats */
#define CTL_GRANT_PATIENCE_NS 2000000000ull

enum ctl_attach_state {
	CTL_ABSENT,   /* no live dataplane */
	CTL_ASKING,   /* a dataplane lives, and has not yet set up our rings */
	CTL_ATTACHED, /* rings are usable */
};

enum ctl_attach_change {
	CTL_CHANGE_NONE,
	CTL_CHANGE_ATTACHED, /* new rings: what was under way must be sent again */
	CTL_CHANGE_LOST,     /* the rings are gone */
	CTL_CHANGE_SILENT,   /* asked for rings, and no answer within CTL_GRANT_PATIENCE_NS */
};

struct ctl_attach {
	const struct cfg_settings *settings;
	enum ctl_attach_state state;
	struct dp_shm *shm; /* NULL while ABSENT; mapped for writing */
	void *command_ring; /* struct rte_ring in the file; valid while ATTACHED */
	void *event_ring;
	uint64_t incarnation; /* of the dataplane, while not ABSENT */
	uint64_t generation;  /* ours */
	uint64_t look_ns;     /* when the file is looked at next */
	uint64_t asked_ns;
	bool silent;   /* said so already */
	char why[512]; /* why ABSENT, for people */

	uint64_t attached_count;
	uint64_t dropped_incarnation;
	uint64_t dropped_generation;
	uint64_t ring_full;
};

void ctl_attach_init(struct ctl_attach *attach, const struct cfg_settings *settings);
/* Looks at the file when that is due. Call at least each 100 ms. */
enum ctl_attach_change ctl_attach_poll(struct ctl_attach *attach, uint64_t now_ns);
void ctl_attach_close(struct ctl_attach *attach);

/* Sends a command; false when there is no ring or no room in it. */
bool ctl_attach_send(struct ctl_attach *attach, uint32_t type, uint64_t request, uint64_t value);
/* Takes the next message meant for us; false when there is none. */
bool ctl_attach_receive(struct ctl_attach *attach, struct dp_shm_message *message);
