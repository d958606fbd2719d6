/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What a node's control process does for the core: boot (a new life in the role record before
 * anything else, then replay), the role record, refills, entries fetched from the log.
 */
#include "config/bytes.h"
#include "tests/sim/sim.h"

void sim_control_boot(struct sim *sim, uint32_t id)
{
	struct sim_node *node = &sim->nodes[id];
	struct rep_record record = node->disk.record;
	if (node->state != SIM_DOWN)
		return;
	node->state = SIM_BOOTING;
	rep_record_boot(&record, node->incarnations[node->life], sim->plan.ack);
	record.node = (uint8_t)id;
	sim_disk_record(sim, node, &record);
}

void sim_control_booted(struct sim *sim, uint32_t id)
{
	struct sim_node *node = &sim->nodes[id];
	if (node->state == SIM_BOOTING)
		sim_node_start(sim, node);
}

static void begin_refill(struct sim *sim, struct sim_node *node, const struct rep_update *update)
{
	node->refill_number = update->refill.number;
	node->refill_keep = update->refill.keep;
	sim_note(sim, SIM_NOTE_REFILL, node->id, update->refill.keep, node->history_count, 0);
	sim_schedule(
		sim,
		sim->now_ns + sim_between(&node->random, 1, sim->plan.refill_ns),
		SIM_EVENT_REFILL,
		node->id,
		node->life
	);
}

void sim_control_carry_out(struct sim *sim, struct sim_node *node, const struct rep_update *update)
{
	if (update->persist)
		sim_disk_record(sim, node, &node->core.record);
	if (update->drop_answers)
		sim_workers_drop(node);
	if (update->ask.id != 0)
		sim_arbiter_ask(sim, node, &update->ask);
	if (update->refill.number != 0)
		begin_refill(sim, node, update);
	bool there = update->stage >= node->staged.first &&
		     update->stage < node->staged.first + node->staged.count;
	if (update->stage != 0 && !there && node->stage_wanted == 0) {
		node->stage_wanted = update->stage;
		sim_schedule(
			sim,
			sim->now_ns + sim_between(&node->random, 1, sim->plan.stage_ns),
			SIM_EVENT_STAGE,
			node->id,
			node->life
		);
	}
}

/* The log ends with `keep`, durably; what was beyond is in quarantine; the state is that of what is
 * left. */
void sim_control_refilled(struct sim *sim, struct sim_node *node)
{
	struct rep_history history;
	uint64_t keep = node->refill_keep;
	if (!node->core.refill.wanted || node->refill_number != node->core.refill_number)
		return;
	sim_check_cut(sim, node, keep);
	sim->counts[SIM_COUNT_CUT] += node->history_count - keep;
	sim_count(sim, SIM_COUNT_REFILLS);
	sim_note(sim, SIM_NOTE_REFILL, node->id, keep, node->history_count, 1);
	for (uint64_t seq = 1; seq <= keep; seq++)
		node->disk.log[seq] = node->log[seq];
	node->disk.written = node->disk.durable = keep;
	node->disk.busy_until_ns = 0;
	sim_node_clear(sim, node);
	sim_disk_replay(sim, node, keep, &history);
	node->staged = (struct rep_range){0};
	node->stage_wanted = 0;
	node->committed_before = sf_min64(node->committed_before, keep);
	rep_core_refilled(&node->core, node->refill_number, &history, sim->now_ns);
	sim_node_wake(sim, node->id, sim->now_ns);
}

void sim_control_staged(struct sim *sim, struct sim_node *node)
{
	uint64_t first = node->stage_wanted, written = node->disk.written;
	node->staged = (struct rep_range){.first = first};
	if (first != 0 && first <= written)
		node->staged.count = sf_min64(SIM_STAGE, written - first + 1);
	node->stage_wanted = 0;
	sim_node_wake(sim, node->id, sim->now_ns);
}
