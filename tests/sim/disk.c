/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A node's log as far as the core can tell: entries reach it in order, some time after they were
 * appended, and are durable some time after that. A killed process leaves what was written; a power
 * failure only what was durable, and perhaps some of the rest. The node that comes back replays it
 * as control does: session table, workers, and the newest entries into the arena.
 */
#include "config/bytes.h"
#include "tests/sim/sim.h"

void sim_disk_reset(struct sim_node *node)
{
	node->disk.written = node->disk.durable = 0;
	node->disk.busy_until_ns = 0;
}

void sim_disk_step(struct sim *sim, struct sim_node *node)
{
	struct sim_disk *disk = &node->disk;
	if (!sim->plan.log)
		return;
	if (disk->busy_until_ns != 0) {
		if (sim->now_ns < disk->busy_until_ns) {
			sim_node_wake(sim, node->id, disk->busy_until_ns);
			return;
		}
		disk->durable = disk->written;
		disk->busy_until_ns = 0;
	}
	if (node->history_count == disk->written)
		return;
	for (uint64_t seq = disk->written + 1; seq <= node->history_count; seq++) {
		const struct rep_entry *entry = rep_arena_entry(&node->intake.arena, seq);
		sim_check_wire(sim, entry, seq);
		memcpy(disk->entries[seq], entry, rep_entry_bytes(entry->payload_bytes));
	}
	disk->written = node->history_count;
	if (SIM_CANARY(DURABLE_EARLY))
		disk->durable = disk->written;
	disk->busy_until_ns = sim->now_ns + sim_between(&node->random, 1, sim->plan.sync_ns);
	sim_node_wake(sim, node->id, disk->busy_until_ns);
}

uint64_t sim_disk_passed(const struct sim *sim, const struct sim_node *node)
{
	return sim->plan.log && !SIM_CANARY(PASSES_UNLOGGED) ? node->disk.durable : UINT64_MAX;
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
	disk->busy_until_ns = 0;
}

void sim_disk_replay(struct sim *sim, struct sim_node *node, struct rep_history *history)
{
	const struct sim_disk *disk = &node->disk;
	uint64_t slots = sim->plan.slots[node->id];
	*history = (struct rep_history){.last_sequence = disk->written, .arena_first = 1};
	if (disk->written > slots)
		history->arena_first = disk->written - slots + 1;
	for (uint64_t seq = 1; seq <= disk->written; seq++) {
		const struct rep_entry *entry = (const struct rep_entry *)disk->entries[seq];
		bool update = entry->kind == REP_ENTRY_UPDATE;
		uint8_t partition = update ? rep_partition(entry->asset_id) : 0;
		uint32_t session;
		sim_check_wire(sim, entry, seq);
		if (rep_session_apply(&node->sessions, entry, partition, &session) !=
		    REP_SESSION_OK)
			sim_fail(sim, "node %u: entry %lu does not replay", node->id, seq);
		if (update)
			dp_shard_apply(
				&node->workers[partition % node->worker_count].shard, entry, session
			);
		memcpy(rep_arena_entry(&node->intake.arena, seq),
		       entry,
		       rep_entry_bytes(entry->payload_bytes));
		if (history->lineage_count == 0 || entry->epoch != history->epoch)
			history->lineage[history->lineage_count++] =
				(struct rep_lineage){.epoch = entry->epoch, .first_sequence = seq};
		history->epoch = entry->epoch;
	}
	node->history_count = disk->written;
	node->lengths[node->life] = disk->written;
}
