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
	node->refill_snapshot = update->refill.snapshot;
	sim_note(sim, SIM_NOTE_REFILL, node->id, update->refill.keep, node->history_count, 0);
	sim_schedule(
		sim,
		sim->now_ns + sim_between(&node->random, 1, sim->plan.refill_ns),
		SIM_EVENT_REFILL,
		node->id,
		node->life
	);
}

/* Bytes of the log, or of the snapshot, that the core wants to send. */
static void begin_stage(struct sim *sim, struct sim_node *node, const struct rep_update *update)
{
	uint64_t ready_ns = sim->now_ns + sim_between(&node->random, 1, sim->plan.stage_ns);
	bool there = update->stage >= node->staged.first &&
		     update->stage < node->staged.first + node->staged.count;
	if (update->stage != 0 && !there && node->stage_wanted == 0) {
		node->stage_wanted = update->stage;
		sim_schedule(sim, ready_ns, SIM_EVENT_STAGE, node->id, node->life);
	}
	if (update->stage_snapshot.wanted && !node->piece_wanted) {
		node->piece_wanted = true;
		node->piece_offset = update->stage_snapshot.offset;
		node->piece_count = 0;
		sim_schedule(sim, ready_ns, SIM_EVENT_PIECE, node->id, node->life);
	}
}

void sim_control_piece(struct sim *sim, struct sim_node *node)
{
	node->piece_wanted = false;
	node->piece_sequence = node->disk.snapshot;
	uint64_t total = sim_snapshot_bytes(sim, node, node->piece_sequence);
	if (node->piece_offset < total)
		node->piece_count =
			sf_min64(total - node->piece_offset, 2ull * sim->plan.fetch_bytes);
	sim_node_wake(sim, node->id, sim->now_ns);
}

uint64_t sim_snapshot_bytes(struct sim *sim, const struct sim_node *node, uint64_t sequence)
{
	uint64_t bytes = 0;
	for (uint64_t seq = 1; seq <= sequence; seq++) {
		const struct sim_fact *fact = sim_fact_of(sim, node->disk.log[seq]);
		const struct rep_entry *entry = (const struct rep_entry *)fact->bytes;
		bytes += rep_entry_bytes(entry->payload_bytes);
	}
	return bytes;
}

void sim_snapshot_copy(
	struct sim *sim, const struct sim_node *node, uint64_t offset, uint64_t count, uint8_t *to
)
{
	uint64_t at = 0;
	for (uint64_t seq = 1; seq <= node->piece_sequence && at < offset + count; seq++) {
		const struct sim_fact *fact = sim_fact_of(sim, node->disk.log[seq]);
		const struct rep_entry *entry = (const struct rep_entry *)fact->bytes;
		uint32_t bytes = rep_entry_bytes(entry->payload_bytes);
		for (uint32_t i = 0; i < bytes; i++, at++)
			if (at >= offset && at < offset + count)
				*to++ = fact->bytes[i];
	}
}

void sim_control_keep(struct sim *sim, struct sim_node *node, const struct rep_frame *frame)
{
	struct rep_piece piece;
	memcpy(&piece, frame->body, sizeof(piece));
	uint64_t bytes = frame->body_bytes - sizeof(piece);
	if (piece.offset == 0)
		node->kept = 0;
	SIM_REQUIRE(
		sim,
		piece.offset == node->kept && piece.offset + bytes <= sizeof(node->snapshot_in),
		"node %u: keeps a piece at %lu, has %lu",
		node->id,
		piece.offset,
		node->kept
	);
	memcpy(node->snapshot_in + piece.offset, frame->body + sizeof(piece), bytes);
	node->kept += bytes;
}

/* What was received becomes the state, and all that the log says. */
static void install_snapshot(struct sim *sim, struct sim_node *node, uint64_t sequence)
{
	uint64_t at = 0;
	for (uint64_t seq = 1; seq <= sequence; seq++) {
		const struct rep_entry *entry = (const struct rep_entry *)(node->snapshot_in + at);
		SIM_REQUIRE(
			sim,
			at + REP_ENTRY_HEADER_BYTES <= node->kept && entry->sequence == seq,
			"node %u: the snapshot that came is no snapshot at entry %lu",
			node->id,
			seq
		);
		node->disk.log[seq] = sim_fact_find(sim, entry->epoch, seq);
		at += rep_entry_bytes(entry->payload_bytes);
	}
	SIM_REQUIRE(sim, at == node->kept, "node %u: bytes behind the snapshot", node->id);
	node->disk.snapshot = sequence;
	node->disk.log_first = sequence + 1;
	sim_count(sim, SIM_COUNT_SNAPSHOTS);
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
	begin_stage(sim, node, update);
}

/* The log ends with `keep`, durably; what was beyond is in quarantine; the state is that of what is
 * left. */
void sim_control_refilled(struct sim *sim, struct sim_node *node)
{
	struct rep_history history;
	uint64_t keep = node->refill_keep;
	if (!node->core.refill.wanted || node->refill_number != node->core.refill_number)
		return;
	if (!node->refill_snapshot) {
		sim_check_cut(sim, node, keep);
		sim->counts[SIM_COUNT_CUT] += node->history_count - keep;
	}
	sim_count(sim, SIM_COUNT_REFILLS);
	sim_note(sim, SIM_NOTE_REFILL, node->id, keep, node->history_count, 1);
	if (node->refill_snapshot)
		install_snapshot(sim, node, keep);
	for (uint64_t seq = 1; seq <= keep && !node->refill_snapshot; seq++)
		node->disk.log[seq] = node->log[seq];
	if (node->disk.snapshot > keep) /* of what is gone */
		node->disk.snapshot = node->disk.log_first = 0;
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
