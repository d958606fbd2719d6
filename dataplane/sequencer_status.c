/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What the sequencer does besides updates, about once a millisecond.
 */
#include "dataplane/clock.h"
#include "dataplane/sequencer.h"

#define COMMANDS_PER_ROUND 16

static void publish_status(struct dp_sequencer *sequencer)
{
	const struct rep_core *core = &sequencer->core;
	struct dp_shm_status *status = &sequencer->shm->status;
	/* Readers compare with CLOCK_MONOTONIC, from which the cycle counter may drift. */
	uint64_t monotonic_ns = dp_clock_monotonic_ns();
	uint64_t heard_age_ns = sequencer->now_ns - core->heard_ns;
	bool primary = core->primary;

	if (sequencer->update.mode_changed)
		dp_shm_store(&status->last_change_unix_ns, dp_clock_unix_ns());
	dp_shm_store(&status->role, primary ? REP_PRIMARY : REP_STANDBY);
	dp_shm_store(&status->mode, core->mode);
	dp_shm_store(&status->reason, core->reason);
	dp_shm_store(&status->epoch, core->epoch);
	dp_shm_store(&status->sequence, core->last_sequence);
	dp_shm_store(&status->committed, core->committed);
	dp_shm_store(&status->applied, core->passed_sequence);
	dp_shm_store(&status->durable, core->durable);
	dp_shm_store(&status->sessions, sequencer->sessions.count);
	dp_shm_store(&status->peer_incarnation, core->peer_incarnation);
	dp_shm_store(
		&status->peer_heard_ns, core->heard_frame > 0 ? monotonic_ns - heard_age_ns : 0
	);
	dp_shm_store(&status->peer_reachable, rep_core_peer_reachable(core, sequencer->now_ns));
	dp_shm_store(&status->peer_acked, primary ? core->acked : 0);
	dp_shm_store(&status->peer_durable, core->peer_durable);
	dp_shm_store(&status->peer_committed, primary ? 0 : core->committed);
	dp_shm_store(&status->rtt_ns, core->rtt_ns);
	dp_shm_store(&status->told, sequencer->roles.told);
	dp_shm_store(&status->pair_epoch, core->pair.epoch);
	dp_shm_store(&status->pair_primary, core->pair.primary);
	dp_shm_store(&status->pair_in_sync, core->pair.in_sync);
	dp_shm_store(&status->pair_holder, core->pair.holder);
	dp_shm_store(&status->record_epoch, core->record.epoch);
	dp_shm_store(&status->record_mode, core->record.mode);
	dp_shm_store(&status->amnesiac, core->record.amnesiac);
	dp_shm_store(&status->peer_mode, core->peer.mode);
	dp_shm_store(&status->arbiter_back, core->arbiter_back);
	dp_shm_store(&status->held, core->on_hold);
	dp_shm_store(&status->heartbeat_ns, monotonic_ns);
}

static void publish_core_counters(struct dp_sequencer *sequencer)
{
	const struct rep_stats *stats = &sequencer->core.stats;
	struct dp_sequencer_counters *counters = sequencer->counters;
	counters->core_frames_taken = stats->frames_taken;
	counters->core_entries_sent = stats->entries_sent;
	counters->core_entries_resent = stats->entries_resent;
	counters->core_entries_duplicate = stats->entries_duplicate;
	counters->core_entries_out_of_order = stats->entries_out_of_order;
	counters->core_entries_no_room = stats->entries_no_room;
	counters->core_naks_sent = stats->naks_sent;
	counters->core_naks_received = stats->naks_received;
	counters->core_tail_timeouts = stats->tail_timeouts;
	counters->core_dropped_epoch_stale = stats->dropped_epoch_stale;
	counters->core_dropped_epoch_higher = stats->dropped_epoch_higher;
	counters->core_dropped_other_life = stats->dropped_other_life;
	counters->core_dropped_no_link = stats->dropped_no_link;
	counters->core_dropped_bad_ack = stats->dropped_bad_ack;
	counters->core_dropped_wrong_role = stats->dropped_wrong_role;
	counters->core_own_gaps = stats->own_gaps;
	counters->core_times_blocked = stats->times_blocked;
	counters->core_dropped_no_stream = stats->dropped_no_stream;
	counters->core_entries_merged = stats->entries_merged;
	counters->core_snapshot_bytes = stats->snapshot_bytes;
	counters->core_pieces_out_of_order = stats->pieces_out_of_order;
	counters->core_step_downs = stats->step_downs;
	counters->core_refills = stats->refills;
	counters->core_entries_cut = stats->entries_cut;
	counters->core_entries_forked = stats->entries_forked;
}

/* --- Control's rings --- */

static struct rte_ring *ring_at(struct dp_shm *shm, uint64_t offset)
{
	return (struct rte_ring *)((uint8_t *)shm + offset);
}

static void answer(struct dp_sequencer *sequencer, struct dp_shm_message *message)
{
	struct rte_ring *ring = ring_at(sequencer->shm, sequencer->shm->event_ring_at);
	/* Control that does not read its events loses them; the status block has the facts. */
	if (rte_ring_sp_enqueue_elem(ring, message, sizeof(*message)) != 0)
		sequencer->counters->control_dropped++;
}

/* Control attached, or attached again: both rings start over, since a process that was killed may
 * have left one with a half-written element. */
static void grant(struct dp_sequencer *sequencer, uint64_t generation)
{
	struct dp_shm *shm = sequencer->shm;
	rte_ring_init(
		ring_at(shm, shm->command_ring_at),
		"commands",
		DP_SHM_RING_SLOTS,
		RING_F_SP_ENQ | RING_F_SC_DEQ
	);
	rte_ring_init(
		ring_at(shm, shm->event_ring_at),
		"events",
		DP_SHM_RING_SLOTS,
		RING_F_SP_ENQ | RING_F_SC_DEQ
	);
	sequencer->control_generation = generation;
	/* Release: control sees the rings ready when it sees the grant. */
	__atomic_store_n(&shm->attach.granted, generation, __ATOMIC_RELEASE);
}

static void carry_out(struct dp_sequencer *sequencer, const struct dp_shm_message *command)
{
	struct dp_shm_message done = *command;
	done.type = DP_EVENT_DONE;
	done.value = sequencer->last_appended;
	done.at = dp_clock_unix_ns();
	switch (command->type) {
	case DP_COMMAND_PING:
		break;
	case DP_COMMAND_DIGEST:
		/* Between polls the table stands exactly at the last sequence. */
		if (sequencer->last_appended > 0) {
			dp_sequencer_mark(
				sequencer, sequencer->last_appended, sequencer->sessions.digest
			);
			dp_sequencer_push_flush(sequencer);
		}
		break;
	default:
		sequencer->counters->control_dropped++;
		return;
	}
	sequencer->counters->control_commands++;
	answer(sequencer, &done);
}

/* Control may ask faster than workers answer: then its commands wait in their ring. */
static bool may_mark(const struct dp_sequencer *sequencer)
{
	for (uint32_t i = 0; i < sequencer->worker_count; i++) {
		/* Relaxed: a count by itself. */
		uint64_t done =
			__atomic_load_n(&sequencer->workers[i].marks_done, __ATOMIC_RELAXED);
		if (sequencer->marks_pushed - done >= DP_ASKED_MARKS)
			return false;
	}
	return true;
}

static void serve_control(struct dp_sequencer *sequencer)
{
	struct dp_shm *shm = sequencer->shm;
	/* Acquire: pairs with control's release when it asks. */
	uint64_t wanted = __atomic_load_n(&shm->attach.wanted, __ATOMIC_ACQUIRE);
	if (unlikely(wanted != sequencer->control_generation)) {
		grant(sequencer, wanted);
		return;
	}
	if (wanted == 0)
		return;
	if (sequencer->update.mode_changed) {
		struct dp_shm_message event = {
			.incarnation = shm->incarnation,
			.generation = sequencer->control_generation,
			.type = DP_EVENT_MODE,
			.value = (uint64_t)sequencer->core.mode << 32 | sequencer->core.reason,
			.at = dp_clock_unix_ns(),
		};
		answer(sequencer, &event);
	}
	struct rte_ring *commands = ring_at(shm, shm->command_ring_at);
	for (int i = 0; i < COMMANDS_PER_ROUND && may_mark(sequencer); i++) {
		struct dp_shm_message command;
		if (rte_ring_sc_dequeue_elem(commands, &command, sizeof(command)) != 0)
			return;
		if (command.incarnation != shm->incarnation ||
		    command.generation != sequencer->control_generation)
			sequencer->counters->control_dropped++;
		else
			carry_out(sequencer, &command);
	}
}

void dp_sequencer_status(struct dp_sequencer *sequencer)
{
	/* Also of a core that was halted outside of a step. */
	dp_sequencer_publish_role(sequencer);
	publish_status(sequencer);
	publish_core_counters(sequencer);
	serve_control(sequencer);
}

void dp_sequencer_expire(struct dp_sequencer *sequencer)
{
	if (!rep_core_serves(&sequencer->core))
		return;
	uint32_t session = rep_expiry_next(
		&sequencer->expiry,
		&sequencer->sessions,
		sequencer->core.committed,
		sequencer->settings->limits.session_timeout_ns,
		sequencer->now_ns
	);
	if (session != REP_SESSION_NONE)
		dp_sequencer_close(sequencer, session);
}
