/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What goes wrong in a run, and when: kills, pauses, cuts, disks, the arbiter, the operator; and
 * the end of all that.
 */
#include "config/bytes.h"
#include "tests/sim/sim.h"

void sim_faults_schedule(struct sim *sim)
{
	uint64_t wait_ns = sim->plan.interval_ns / 2 +
			   sim_below(&sim->fault_random, sim->plan.interval_ns * 8);
	sim_schedule(sim, sim->now_ns + wait_ns, SIM_EVENT_FAULT, 0, 0);
}

static uint64_t draw_duration(struct sim *sim)
{
	uint64_t window_ns = sim->plan.interval_ns * sim->plan.misses;
	return 1 + sim_below(&sim->fault_random, window_ns * 5 / 2);
}

static void cut(struct sim *sim, uint32_t directions)
{
	uint64_t for_ns = draw_duration(sim);
	sim_note(sim, SIM_NOTE_CUT, 0, directions, for_ns, 0);
	for (uint32_t i = 0; i < 2; i++)
		if (directions >> i & 1)
			sim->links[i].cut = true;
	sim_schedule(sim, sim->now_ns + for_ns, SIM_EVENT_HEAL, 0, directions);
}

static void pause_node(struct sim *sim, uint32_t id)
{
	uint64_t for_ns = draw_duration(sim);
	struct sim_node *node = &sim->nodes[id];
	if (!sim_running(node))
		return;
	sim_note(sim, SIM_NOTE_PAUSE, id, for_ns, 0, 0);
	node->paused_until_ns = sim->now_ns + for_ns;
}

void sim_kill(struct sim *sim, uint32_t id)
{
	struct sim_node *node = &sim->nodes[id];
	if (node->state == SIM_DOWN || node->life + 1 == SIM_MAX_LIVES)
		return;
	sim_count(sim, SIM_COUNT_CRASHES);
	sim_disk_kill(sim, node);
	sim_node_kill(sim, id, false);
	sim_check_crash(sim);
	node->life++;
	node->paused_until_ns = 0;
	if (sim->given == NULL)
		sim_schedule(sim, sim->now_ns + draw_duration(sim), SIM_EVENT_START, id, 0);
}

/* S16: the node comes back with an empty disk; after `standfast recover` it knows that. */
static void lose_disk(struct sim *sim, uint32_t id, bool recovered)
{
	struct sim_node *node = &sim->nodes[id];
	sim_note(sim, SIM_NOTE_DISK, id, 2, recovered, 0);
	node->disk.written = node->disk.durable = 0;
	node->disk.record = node->disk.older = (struct rep_record){.amnesiac = recovered};
	node->disk.snapshot = node->disk.log_first = 0;
	sim->wiped = true;
	sim_check_crash(sim);
	/* Both: what begins then is another pair. */
	const struct sim_node *other = &sim->nodes[1 - id];
	if (other->disk.record.mode == REP_RECORD_BLANK)
		sim->over = true;
}

/* S10: bits of the log turn while the node is down. What a snapshot covers is not read again, but
 * cannot be lent either; anything else the plan refuses, and the operator gives the node an empty
 * log. */
static void flip_log(struct sim *sim, uint32_t id)
{
	struct sim_disk *disk = &sim->nodes[id].disk;
	if (disk->durable == 0)
		return;
	uint64_t sequence = sim_between(&sim->fault_random, 1, disk->durable);
	sim_note(sim, SIM_NOTE_DISK, id, 4, sequence, disk->snapshot);
	if (SIM_CANARY(DAMAGE_IS_TAIL))
		disk->written = disk->durable = sequence - 1;
	else if (sequence <= disk->snapshot)
		disk->log_first = sf_max64(disk->log_first, sequence + 1);
	else
		lose_disk(sim, id, true);
}

static void damage_disk(struct sim *sim, uint32_t id)
{
	struct sim_node *node = &sim->nodes[id];
	if (node->state == SIM_DOWN || node->life + 1 == SIM_MAX_LIVES)
		return;
	sim_kill(sim, id);
	if (sim_chance(&sim->fault_random, 500))
		flip_log(sim, id);
	else
		lose_disk(sim, id, false);
}

/* Kills at the worst moments: the first entries are on the wire and nothing is acknowledged, or all
 * that the standby has lies beyond a gap. */
void sim_faults_kill_early(struct sim *sim)
{
	const struct rep_core *standby = &sim->nodes[1].core;
	uint32_t id = sim->plan.early_restart_node;
	bool gap = standby->last_sequence == 0 && standby->highest > 0;
	bool due = sim->ledger.fact_count >= sim->plan.early_restart || (id == 0 && gap);
	if (sim_has(sim, SIM_FAULT_RESTART) && sim->plan.early_restart != 0 && due &&
	    sim->nodes[id].life == 0)
		sim_kill(sim, id);
}

/* A node that has just entered a certain mode, for the n-th time. */
void sim_faults_kill_in_mode(struct sim *sim, uint32_t id, enum rep_mode before)
{
	const struct sim_node *node = &sim->nodes[id];
	if (!sim_has(sim, SIM_FAULT_RESTART) || sim->plan.crash_at == 0 || !sim_running(node) ||
	    node->core.mode == before || node->core.mode != (enum rep_mode)sim->plan.crash_role)
		return;
	if (++sim->crash_entries % sim->plan.crash_at == 0)
		sim_kill(sim, id);
}

static void send_arbiter_away(struct sim *sim)
{
	if (sim->arbiter.away)
		return;
	sim->arbiter.away = true;
	sim_note(sim, SIM_NOTE_ARBITER, 0, 1, 0, 0);
	sim_schedule(sim, sim->now_ns + draw_duration(sim), SIM_EVENT_ARBITER_BACK, 0, 0);
}

static void fill_disk(struct sim *sim, uint32_t id)
{
	struct sim_node *node = &sim->nodes[id];
	node->disk.full_until_ns = sim->now_ns + draw_duration(sim);
	sim_note(sim, SIM_NOTE_DISK, id, 3, node->disk.full_until_ns, 0);
}

static void operate(struct sim *sim, uint32_t id)
{
	struct sim_node *node = &sim->nodes[id];
	if (!sim_running(node) || node->stop_due)
		return;
	bool stop = sim_chance(&sim->fault_random, 400) && node->life + 1 < SIM_MAX_LIVES;
	node->operation = stop ? REP_OPERATION_LEAVE : REP_OPERATION_SWITCHOVER;
	node->stop_due = stop;
	sim_note(sim, SIM_NOTE_OPERATE, id, node->operation, 0, 0);
	if (node->core.mode == REP_MODE_PAIRED)
		sim_count(sim, SIM_COUNT_HANDOVERS);
}

/* Kinds of faults that come at moments of their own. */
static void make_node_fault(struct sim *sim, uint32_t node)
{
	struct sim_random *random = &sim->fault_random;
	switch (sim_below(random, 6)) {
	case 0:
		if (sim_has(sim, SIM_FAULT_DISK_FULL))
			fill_disk(sim, node);
		break;
	case 1:
		if (sim_has(sim, SIM_FAULT_ARBITER_AWAY))
			send_arbiter_away(sim);
		if (sim_has(sim, SIM_FAULT_ARBITER_BACK) && sim_chance(random, 300))
			sim_arbiter_restore(sim);
		break;
	case 2:
		if (sim_has(sim, SIM_FAULT_OPERATOR))
			operate(sim, node);
		break;
	case 3:
		if (sim_has(sim, SIM_FAULT_DISK_LOST) && sim_chance(random, 150))
			damage_disk(sim, node);
		break;
	case 4:
		if (!sim_has(sim, SIM_FAULT_RESTART_BOTH))
			break;
		sim_kill(sim, node);
		if (sim_chance(random, 700))
			sim_kill(sim, 1 - node);
		break;
	default:
		break;
	}
}

void sim_faults_make(struct sim *sim)
{
	struct sim_random *random = &sim->fault_random;
	uint32_t node = (uint32_t)sim_below(random, 2);
	switch (sim_below(random, 8)) {
	case 0:
		if (sim_has(sim, SIM_FAULT_CUT_BOTH))
			cut(sim, 3);
		break;
	case 1:
		if (sim_has(sim, SIM_FAULT_CUT_ONE))
			cut(sim, 1u << node);
		break;
	case 2:
		if (sim_has(sim, SIM_FAULT_PAUSE))
			pause_node(sim, node);
		break;
	case 3:
		if (sim_has(sim, SIM_FAULT_RESTART))
			sim_kill(sim, node);
		break;
	case 4:
	case 5:
		make_node_fault(sim, node);
		break;
	default:
		break;
	}
	if (sim_has(sim, SIM_FAULT_INJECT))
		for (uint64_t i = sim_below(random, 6); i > 0; i--)
			sim_network_inject(sim, (uint32_t)sim_below(random, 2));
	sim_faults_schedule(sim);
}

/* From here on everything works: links, loops, clients' network. */
void sim_calm_down(struct sim *sim)
{
	sim_note(sim, SIM_NOTE_CALM, 0, 0, 0, 0);
	sim->calm = true;
	sim->arbiter.away = false;
	for (uint32_t i = 0; i < 2; i++) {
		sim->links[i].cut = false;
		sim->nodes[i].paused_until_ns = 0;
		sim->nodes[i].disk.full_until_ns = 0;
		if (sim_running(&sim->nodes[i]))
			sim_node_wake(sim, i, sim->now_ns);
	}
}
