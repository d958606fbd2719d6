/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/attach.h"

#include "config/bytes.h"

#include <rte_ring.h>

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define RECEIVE_LIMIT (2 * DP_SHM_RING_SLOTS) /* messages looked at in one call */

void ctl_attach_init(struct ctl_attach *attach, const struct cfg_settings *settings)
{
	memset(attach, 0, sizeof(*attach));
	attach->settings = settings;
	snprintf(attach->why, sizeof(attach->why), "not looked for yet");
}

void ctl_attach_close(struct ctl_attach *attach)
{
	/* Down at once, not only when the last beat has become old. */
	if (attach->shm)
		dp_shm_store(&attach->shm->attach.control_heartbeat_ns, 0);
	dp_shm_detach(attach->shm);
	attach->shm = NULL;
	attach->command_ring = attach->event_ring = NULL;
	attach->state = CTL_ABSENT;
}

static enum ctl_attach_change lose(struct ctl_attach *attach, const char *why)
{
	bool had_rings = attach->state == CTL_ATTACHED;
	snprintf(attach->why, sizeof(attach->why), "%s", why);
	ctl_attach_close(attach);
	return had_rings ? CTL_CHANGE_LOST : CTL_CHANGE_NONE;
}

/* The ring lies in a file: its numbers are used only when they fit. */
static bool ring_fits(const struct dp_shm *shm, const struct rte_ring *ring)
{
	return ring->size == DP_SHM_RING_SLOTS && ring->mask == ring->size - 1 &&
	       ring->capacity <= ring->size &&
	       sizeof(*ring) + (uint64_t)ring->size * DP_SHM_MESSAGE_BYTES <= shm->ring_bytes;
}

static void ask(struct ctl_attach *attach, uint64_t now_ns)
{
	struct dp_shm_attach *part = &attach->shm->attach;
	uint64_t highest = sf_max64(dp_shm_load(&part->granted), dp_shm_load(&part->wanted));
	attach->command_ring = attach->event_ring = NULL;
	attach->generation = highest + 1;
	attach->asked_ns = now_ns;
	attach->silent = false;
	attach->state = CTL_ASKING;
	dp_shm_store(&part->control_pid, (uint64_t)getpid());
	dp_shm_store(&part->control_heartbeat_ns, now_ns);
	/* Release: the dataplane that sees the wish sees whose it is. */
	__atomic_store_n(&part->wanted, attach->generation, __ATOMIC_RELEASE);
}

static void find(struct ctl_attach *attach, uint64_t now_ns)
{
	struct dp_shm *shm = NULL;
	if (!dp_shm_alive(attach->settings)) {
		snprintf(attach->why, sizeof(attach->why), "the dataplane is not running");
		return;
	}
	if (dp_shm_attach_file(attach->settings, true, &shm, attach->why, sizeof(attach->why)) < 0)
		return;
	attach->shm = shm;
	attach->incarnation = shm->incarnation;
	ask(attach, now_ns);
}

static enum ctl_attach_change take_grant(struct ctl_attach *attach, uint64_t now_ns)
{
	struct dp_shm *shm = attach->shm;
	/* Acquire: with the grant come the rings that were initialised before it. */
	if (__atomic_load_n(&shm->attach.granted, __ATOMIC_ACQUIRE) != attach->generation) {
		if (attach->silent || now_ns - attach->asked_ns < CTL_GRANT_PATIENCE_NS)
			return CTL_CHANGE_NONE;
		attach->silent = true;
		return CTL_CHANGE_SILENT;
	}
	void *command = (uint8_t *)shm + shm->command_ring_at;
	void *event = (uint8_t *)shm + shm->event_ring_at;
	if (!ring_fits(shm, command) || !ring_fits(shm, event))
		return lose(attach, "the rings in the memory file are damaged");
	attach->command_ring = command;
	attach->event_ring = event;
	attach->state = CTL_ATTACHED;
	attach->attached_count++;
	return CTL_CHANGE_ATTACHED;
}

/* What needs system calls, each CTL_LOOK_INTERVAL_NS. */
static enum ctl_attach_change look(struct ctl_attach *attach, uint64_t now_ns)
{
	if (attach->state == CTL_ABSENT) {
		find(attach, now_ns);
		return CTL_CHANGE_NONE;
	}
	/* A dataplane that was started again: its file is found at the next look. */
	if (dp_shm_replaced(attach->settings, attach->shm))
		return lose(attach, "the dataplane was started again");
	if (!dp_shm_alive(attach->settings))
		return lose(attach, "the dataplane is not running");
	dp_shm_store(&attach->shm->attach.control_heartbeat_ns, now_ns);
	return CTL_CHANGE_NONE;
}

enum ctl_attach_change ctl_attach_poll(struct ctl_attach *attach, uint64_t now_ns)
{
	if (now_ns >= attach->look_ns) {
		attach->look_ns = now_ns + CTL_LOOK_INTERVAL_NS;
		enum ctl_attach_change change = look(attach, now_ns);
		if (change != CTL_CHANGE_NONE)
			return change;
	}
	if (attach->state == CTL_ASKING)
		return take_grant(attach, now_ns);
	/* Somebody else asked for the rings: they are not ours any more. */
	if (attach->state == CTL_ATTACHED &&
	    dp_shm_load(&attach->shm->attach.wanted) != attach->generation)
		return lose(attach, "another process has asked for the rings");
	return CTL_CHANGE_NONE;
}

bool ctl_attach_send(struct ctl_attach *attach, uint32_t type, uint64_t request, uint64_t value)
{
	if (attach->state != CTL_ATTACHED)
		return false;
	struct dp_shm_message message = {
		.incarnation = attach->incarnation,
		.generation = attach->generation,
		.request = request,
		.type = type,
		.value = value,
	};
	if (rte_ring_sp_enqueue_bulk_elem(
		    attach->command_ring, &message, DP_SHM_MESSAGE_BYTES, 1, NULL
	    ) == 1)
		return true;
	attach->ring_full++;
	return false;
}

bool ctl_attach_receive(struct ctl_attach *attach, struct dp_shm_message *message)
{
	for (int i = 0; attach->state == CTL_ATTACHED && i < RECEIVE_LIMIT; i++) {
		if (rte_ring_sc_dequeue_bulk_elem(
			    attach->event_ring, message, DP_SHM_MESSAGE_BYTES, 1, NULL
		    ) != 1)
			return false;
		if (message->incarnation != attach->incarnation)
			attach->dropped_incarnation++;
		else if (message->generation != attach->generation)
			attach->dropped_generation++;
		else
			return true;
	}
	return false;
}
