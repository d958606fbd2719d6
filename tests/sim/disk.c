/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A node's disk as far as the core can tell. Entries reach the log in order, some time after they
 * were appended, and are durable some time after that. A killed process leaves what was written; a
 * power failure only what was durable, and perhaps some of the rest. A role record that is being
 * written is the old one or the new one after a crash, never neither (P11; recovery/record_file
 * proves that).
 */
#include "config/bytes.h"
#include "tests/sim/sim.h"

static void became_durable(struct sim_node *node)
{
	struct sim_life *life = &node->lives[node->life];
	life->durable = sf_max64(life->durable, node->disk.durable);
}

/* A snapshot now and then; segments go when two cover them, so the log reaches a little further
 * back than the newest one. */
static void checkpoint(struct sim *sim, struct sim_node *node)
{
	struct sim_disk *disk = &node->disk;
	uint64_t every = sim->plan.snapshot_every, sequence = node->core.committed;
	if (every == 0 || sequence < disk->snapshot + every || sequence > disk->durable)
		return;
	if (disk->snapshot != 0)
		disk->log_first = disk->snapshot + 1;
	disk->snapshot = sequence;
}

static void begin_sync(struct sim *sim, struct sim_node *node)
{
	uint64_t longest_ns = sim->plan.sync_ns;
	if (sim_has(sim, SIM_FAULT_DISK_SLOW) && sim_chance(&node->random, 50))
		longest_ns = sim->plan.long_delay_ns * 2;
	node->disk.busy_until_ns = sim->now_ns + sim_between(&node->random, 1, longest_ns);
	sim_node_wake(sim, node->id, node->disk.busy_until_ns);
}

void sim_disk_step(struct sim *sim, struct sim_node *node)
{
	struct sim_disk *disk = &node->disk;
	if (disk->busy_until_ns != 0) {
		if (sim->now_ns < disk->busy_until_ns) {
			sim_node_wake(sim, node->id, disk->busy_until_ns);
			return;
		}
		disk->busy_until_ns = 0;
		if (sim_has(sim, SIM_FAULT_DISK_FAILS) && sim_chance(&node->random, 3)) {
			/* S05, inv. 31: final for this life. */
			sim_note(sim, SIM_NOTE_DISK, node->id, 1, 0, 0);
			rep_core_halt(&node->core, REP_REASON_LOG_FAILED);
			return;
		}
		disk->durable = disk->written;
		became_durable(node);
		checkpoint(sim, node);
	}
	if (disk->full_until_ns > sim->now_ns) {
		sim_node_wake(sim, node->id, disk->full_until_ns);
		return;
	}
	if (node->history_count == disk->written || node->core.mode == REP_MODE_HALTED ||
	    node->core.refill.wanted)
		return;
	for (uint64_t seq = disk->written + 1; seq <= node->history_count; seq++) {
		sim_check_wire(sim, node, rep_arena_entry(&node->intake.arena, seq), seq);
		disk->log[seq] = node->log[seq];
	}
	disk->written = node->history_count;
	if (SIM_CANARY(DURABLE_EARLY))
		disk->durable = disk->written;
	begin_sync(sim, node);
}

uint64_t sim_disk_passed(const struct sim_node *node)
{
	return SIM_CANARY(PASSES_UNLOGGED) ? UINT64_MAX : node->disk.durable;
}

void sim_disk_kill(struct sim *sim, struct sim_node *node)
{
	struct sim_disk *disk = &node->disk;
	uint64_t kept = disk->written;
	if (sim->plan.power)
		kept = sim_between(&sim->fault_random, disk->durable, disk->written);
	if (SIM_CANARY(DURABLE_EARLY) && kept > 0)
		kept--;
	disk->written = disk->durable = kept;
	disk->busy_until_ns = disk->full_until_ns = 0;
	if (disk->writing.write_number != 0 && sim_chance(&sim->fault_random, 500)) {
		disk->older = disk->record;
		disk->record = disk->writing;
	}
	/* S14: the newest copy is damaged, and the older one counts. */
	if (sim->now_ns >= disk->settled_ns)
		disk->older = disk->record;
	if (sim_has(sim, SIM_FAULT_DISK_ROTS) && node->id == (sim->seed >> 1 & 1) &&
	    sim_chance(&sim->fault_random, 500)) {
		/* It may be that nobody is left who knows. */
		sim->rotted |= disk->record.mode != disk->older.mode ||
			       disk->record.epoch != disk->older.epoch;
		/* The store knows that there was one. */
		bool forgot = disk->record.mode != REP_RECORD_BLANK &&
			      disk->older.mode == REP_RECORD_BLANK;
		disk->record = disk->older;
		disk->record.amnesiac |= forgot;
	}
	disk->writing.write_number = disk->wanted.write_number = 0;
}

void sim_disk_replay(
	struct sim *sim, struct sim_node *node, uint64_t count, struct rep_history *history
)
{
	const struct sim_disk *disk = &node->disk;
	uint64_t slots = sim->plan.slots[node->id];
	*history = (struct rep_history){.last_sequence = count, .arena_first = 1};
	if (count > slots)
		history->arena_first = count - slots + 1;
	history->arena_first = sf_max64(history->arena_first, disk->log_first);
	node->history_count = 0;
	node->log[0] = 0;
	for (uint64_t seq = 1; seq <= count; seq++) {
		const struct sim_fact *fact = sim_fact_of(sim, disk->log[seq]);
		const struct rep_entry *entry = (const struct rep_entry *)fact->bytes;
		bool update = entry->kind == REP_ENTRY_UPDATE;
		uint8_t partition = update ? rep_partition(entry->asset_id) : 0;
		uint32_t session;
		if (rep_session_apply(&node->sessions, entry, partition, &session) !=
		    REP_SESSION_OK)
			sim_fail(sim, "node %u: entry %lu does not replay", node->id, seq);
		if (update)
			dp_shard_apply(
				&node->workers[partition % node->worker_count].shard, entry, session
			);
		if (seq >= history->arena_first)
			memcpy(rep_arena_entry(&node->intake.arena, seq),
			       entry,
			       rep_entry_bytes(entry->payload_bytes));
		if (history->lineage_count == 0 || entry->epoch != history->epoch)
			rep_lineage_add(
				history->lineage, &history->lineage_count, entry->epoch, seq
			);
		history->epoch = entry->epoch;
		sim_check_append(sim, node, entry);
	}
}

/* --- The role record --- */

static void write_record(struct sim *sim, struct sim_node *node, const struct rep_record *record)
{
	struct sim_disk *disk = &node->disk;
	disk->writing = *record;
	if (SIM_CANARY(RECORD_EARLY))
		node->persisted = record->write_number;
	uint64_t longest_ns = sim->plan.record_ns;
	if (sim_has(sim, SIM_FAULT_DISK_SLOW) && sim_chance(&node->random, 100))
		longest_ns = sim->plan.long_delay_ns;
	sim_schedule(
		sim,
		sim->now_ns + sim_between(&node->random, 1, longest_ns),
		SIM_EVENT_RECORD,
		node->id,
		node->life
	);
}

void sim_disk_record(struct sim *sim, struct sim_node *node, const struct rep_record *record)
{
	sim_note(sim, SIM_NOTE_RECORD, node->id, record->mode, record->epoch, record->amnesiac);
	if (node->disk.writing.write_number != 0)
		node->disk.wanted = *record;
	else
		write_record(sim, node, record);
}

void sim_disk_record_done(struct sim *sim, struct sim_node *node)
{
	struct sim_disk *disk = &node->disk;
	/* What gives a right away is in both copies before it counts as written. */
	disk->older = node->core.record.write_number == disk->writing.write_number &&
				      rep_core_settles(&node->core)
			      ? disk->writing
			      : disk->record;
	disk->record = disk->writing;
	disk->settled_ns = sim->now_ns + sim_between(&node->random, 1, sim->plan.record_ns);
	disk->writing.write_number = 0;
	node->persisted = sf_max64(node->persisted, disk->record.write_number);
	if (disk->wanted.write_number != 0) {
		struct rep_record next = disk->wanted;
		disk->wanted.write_number = 0;
		write_record(sim, node, &next);
	}
}
