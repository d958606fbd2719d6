/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The checkers, judged after every step of a node. What they know is in ledger.c; what may be said
 * to clients is judged in answers.c. The numbers are those of the invariants (inv.).
 */
#include "config/bytes.h"
#include "tests/sim/sim.h"

static uint64_t digest_of(const struct sim_node *node)
{
	uint64_t digest = node->sessions.digest;
	for (uint32_t w = 0; w < node->worker_count; w++)
		digest += node->workers[w].shard.assets_digest +
			  node->workers[w].shard.answers_digest;
	return digest;
}

/* By consent: two nodes may serve, or what was acknowledged may be in one memory only. */
static bool split_is_allowed(const struct sim *sim)
{
	return sim->plan.policy == REP_POLICY_SPLIT_ALLOWED || sim->consent;
}

static bool loss_is_allowed(const struct sim *sim)
{
	return split_is_allowed(sim) || sim->plan.ack == REP_ACK_NONE || sim->forced || sim->over;
}

/* --- Entries --- */

void sim_check_append(struct sim *sim, struct sim_node *node, const struct rep_entry *entry)
{
	uint64_t sequence = node->history_count + 1;
	uint32_t index = sim_fact_find(sim, entry->epoch, entry->sequence);
	const struct sim_fact *fact = sim_fact_of(sim, index);
	SIM_REQUIRE(
		sim,
		entry->sequence == sequence,
		"node %u: entry %lu stands at %lu (inv. 4)",
		node->id,
		entry->sequence,
		sequence
	);
	SIM_REQUIRE(
		sim,
		index != 0 &&
			fact->hash == sim_hash_bytes(entry, rep_entry_bytes(entry->payload_bytes)),
		"node %u: entry %lu differs from its author's (inv. 2)",
		node->id,
		sequence
	);
	struct sim_view *view = &sim->ledger.views[node->id];
	if (view->count < sequence)
		sim_view_extend(sim, node->id, index);
	node->log[sequence] = index;
	node->history_count = sequence;
	struct sim_life *life = &node->lives[node->life];
	life->length = sf_max64(life->length, sequence);
}

void sim_check_wire(
	struct sim *sim,
	const struct sim_node *node,
	const struct rep_entry *entry,
	uint64_t sequence
)
{
	const struct sim_fact *fact = sim_fact_of(sim, node->log[sequence]);
	SIM_REQUIRE(
		sim,
		entry->sequence == sequence && sequence <= node->history_count &&
			sim_hash_bytes(entry, rep_entry_bytes(entry->payload_bytes)) == fact->hash,
		"node %u: slot of entry %lu holds something else (%lu)",
		node->id,
		sequence,
		entry->sequence
	);
}

/* What the slot held must be needed by nobody: applied, answered and logged here and, on a paired
 * primary, present on the standby. */
void sim_check_slot(struct sim *sim, const struct sim_node *node, uint64_t sequence)
{
	uint32_t slots = sim->plan.slots[node->id];
	if (sequence <= slots)
		return;
	uint64_t old = sequence - slots;
	sim_count(sim, SIM_COUNT_REUSED);
	const struct sim_node *other = &sim->nodes[1 - node->id];
	uint64_t there = 0;
	for (uint32_t life = 0; life <= other->life; life++)
		there = sf_max64(there, other->lives[life].length);
	SIM_REQUIRE(
		sim,
		old <= sim_workers_passed(node),
		"node %u: slot of entry %lu reused for %lu while a worker needs it",
		node->id,
		old,
		sequence
	);
	SIM_REQUIRE(
		sim,
		old <= node->disk.durable || old > node->history_count,
		"node %u: slot of entry %lu reused before the log has it",
		node->id,
		old
	);
	SIM_REQUIRE(
		sim,
		node->core.mode != REP_MODE_PAIRED || old <= there,
		"node %u: slot of entry %lu reused before the standby has it",
		node->id,
		old
	);
}

void sim_check_taken(struct sim *sim, struct sim_node *node)
{
	uint64_t sequence = node->core.last_sequence + node->intake.pending;
	const struct rep_entry *entry = rep_arena_entry(&node->intake.arena, sequence);
	SIM_REQUIRE(
		sim,
		entry->epoch == node->core.epoch && (entry->epoch & 1) == node->id,
		"node %u: sequences in epoch %u, but is in %u (inv. 5)",
		node->id,
		entry->epoch,
		node->core.epoch
	);
	sim_check_slot(sim, node, sequence);
	SIM_REQUIRE(
		sim,
		entry->sequence == sequence,
		"entry %lu is sequenced as %lu (inv. 4)",
		entry->sequence,
		sequence
	);
	sim_view_extend(sim, node->id, sim_fact_new(sim, node->id, entry));
}

/* --- Roles --- */

/* All that was ever committed is in this node's history (inv. 1, 11). */
static uint64_t first_missing(const struct sim *sim, const uint32_t *log, uint64_t count)
{
	const struct sim_ledger *ledger = &sim->ledger;
	for (uint64_t seq = 1; seq <= ledger->committed; seq++)
		if (seq > count || log[seq] != ledger->history[seq])
			return seq;
	return 0;
}

static void check_record_says(struct sim *sim, const struct sim_node *node, bool alone)
{
	uint8_t in_sync = alone ? (uint8_t)(1u << node->id) : 3;
	const struct rep_pair *pair = sim->plan.policy == REP_POLICY_ARBITER
					      ? &sim->arbiter.pair
					      : &node->disk.record.pair;
	SIM_REQUIRE(
		sim,
		pair->epoch == node->core.epoch && pair->primary == node->id &&
			pair->in_sync == in_sync,
		"node %u: commits in epoch %u %s, but the record says epoch %u, primary %u, in "
		"sync %u (inv. 8, 9)",
		node->id,
		node->core.epoch,
		alone ? "alone" : "paired",
		pair->epoch,
		pair->primary,
		pair->in_sync
	);
}

/* A node begins to serve. */
static void check_serve(struct sim *sim, struct sim_node *node)
{
	const struct rep_core *core = &node->core;
	const struct rep_record *record = &node->disk.record;
	sim_note(sim, SIM_NOTE_SERVE, node->id, core->epoch, core->last_sequence, core->move.kind);
	/* A lone primary that restarted counts all that its disk has. */
	node->committed_before = sf_min64(node->committed_before, sim->ledger.committed);
	uint64_t missing = first_missing(sim, node->log, node->history_count);
	bool consent =
		sim->plan.ack == REP_ACK_NONE || core->move.kind == REP_MOVE_FORCE || sim->over;
	if (missing != 0 && consent) {
		/* R17, R18: it says so. */
		sim_count(sim, SIM_COUNT_EXCUSED);
		sim->counts[SIM_COUNT_LOST] += sim->ledger.committed - (missing - 1);
		sim->ledger.committed = missing - 1;
		memset(sim->ledger.acked_version, 0, sizeof(sim->ledger.acked_version));
		missing = 0;
	}
	SIM_REQUIRE(
		sim,
		missing == 0 || split_is_allowed(sim),
		"node %u: serves without entry %lu, of %lu committed (inv. 1, 11)",
		node->id,
		missing,
		sim->ledger.committed
	);
	SIM_REQUIRE(
		sim,
		record->mode == REP_RECORD_ALONE && record->epoch == core->epoch &&
			!record->amnesiac,
		"node %u: serves in epoch %u, its disk says mode %u of epoch %u (inv. 12, 18)",
		node->id,
		core->epoch,
		record->mode,
		record->epoch
	);
	SIM_REQUIRE(
		sim,
		node->disk.durable >= core->last_sequence,
		"node %u: serves with %lu entries durable of %lu (inv. 12)",
		node->id,
		node->disk.durable,
		core->last_sequence
	);
	const struct sim_node *other = &sim->nodes[1 - node->id];
	bool waits = sim_running(other) && other->core.mode == REP_MODE_WAITING &&
		     other->core.link_up && core->link_up;
	if (core->move.kind == REP_MOVE_MERGE && waits) {
		const struct sim_view *mine = &sim->ledger.views[node->id];
		const struct sim_view *theirs = &sim->ledger.views[1 - node->id];
		SIM_REQUIRE(
			sim,
			mine->epoch > theirs->epoch ||
				(mine->epoch == theirs->epoch && mine->count >= theirs->count),
			"node %u: serves the older of two histories (inv. 17)",
			node->id
		);
	}
}

static void count_role(struct sim *sim, const struct sim_node *node)
{
	enum rep_mode mode = node->core.mode;
	if (mode == REP_MODE_PAIRED && node->mode_before != REP_MODE_PAIRED)
		sim_count(
			sim,
			node->core.move.phase == REP_PHASE_ISSUED ? SIM_COUNT_RESUMED
			: node->core.move.kind == REP_MOVE_ADMIT  ? SIM_COUNT_ADMISSIONS
								  : SIM_COUNT_BLOCKED
		);
	if (mode != REP_MODE_ALONE || node->mode_before == REP_MODE_ALONE)
		return;
	switch (node->core.move.kind) {
	case REP_MOVE_PROMOTE:
		sim_count(sim, SIM_COUNT_TAKEOVERS);
		break;
	case REP_MOVE_RESTART:
		sim_count(sim, SIM_COUNT_RESTARTS);
		break;
	case REP_MOVE_MERGE:
		sim_count(sim, SIM_COUNT_MERGES);
		break;
	default:
		sim_count(sim, SIM_COUNT_ALONE);
		break;
	}
}

static void check_role(struct sim *sim, struct sim_node *node)
{
	const struct rep_core *core = &node->core;
	enum rep_mode mode = core->mode, before = node->mode_before;
	if (mode == before)
		return;
	count_role(sim, node);
	bool served =
		before == REP_MODE_PAIRED || before == REP_MODE_ALONE || before == REP_MODE_ASYNC;
	if ((mode == REP_MODE_ALONE || mode == REP_MODE_ASYNC) && !served)
		check_serve(sim, node);
	if (mode == REP_MODE_STANDBY) { /* inv. 13 */
		struct sim_life *life = &node->lives[node->life];
		life->standby_epoch = core->epoch;
		SIM_REQUIRE(
			sim,
			node->disk.record.mode == REP_RECORD_STANDBY &&
				node->disk.record.epoch == core->epoch,
			"node %u: STANDBY of epoch %u before its disk says so (R9)",
			node->id,
			core->epoch
		);
	}
	node->mode_before = mode;
}

/* --- Commits --- */

/* inv. 8: only what the life of the standby that we are paired with had, as the standby of this
 * epoch. */
static void check_paired_commit(struct sim *sim, const struct sim_node *node)
{
	const struct rep_core *core = &node->core;
	const struct sim_node *other = &sim->nodes[1 - node->id];
	const struct sim_life *life = NULL;
	for (uint32_t i = 0; i <= other->life; i++)
		if (other->incarnations[i] == core->peer_incarnation)
			life = &other->lives[i];
	SIM_REQUIRE(
		sim,
		life != NULL && life->standby_epoch == core->epoch &&
			core->committed <= life->length,
		"node %u: committed %lu in epoch %u, but its standby had %lu, as standby of %u "
		"(inv. 8)",
		node->id,
		core->committed,
		core->epoch,
		life == NULL ? 0 : life->length,
		life == NULL ? 0 : life->standby_epoch
	);
	SIM_REQUIRE(
		sim,
		sim->plan.ack != REP_ACK_DURABLE ||
			(core->committed <= life->durable && core->committed <= node->disk.durable),
		"node %u: committed %lu, durable there %lu, here %lu (inv. 8)",
		node->id,
		core->committed,
		life->durable,
		node->disk.durable
	);
}

static void check_commit(struct sim *sim, struct sim_node *node)
{
	const struct rep_core *core = &node->core;
	struct sim_ledger *ledger = &sim->ledger;
	sim_note(sim, SIM_NOTE_COMMIT, node->id, core->committed, 0, 0);
	if (!core->primary) {
		SIM_REQUIRE(
			sim,
			core->committed <= ledger->committed || loss_is_allowed(sim),
			"node %u: told that %lu are committed, it is %lu",
			node->id,
			core->committed,
			ledger->committed
		);
		return;
	}
	for (uint64_t seq = node->committed_before + 1; seq <= core->committed; seq++) {
		if (seq > ledger->committed) {
			ledger->history[seq] = node->log[seq];
			ledger->committed = seq;
		}
		SIM_REQUIRE(
			sim,
			ledger->history[seq] == node->log[seq] || split_is_allowed(sim),
			"node %u: commits another entry %lu than was committed before (inv. 2, 6)",
			node->id,
			seq
		);
	}
	if (core->mode == REP_MODE_PAIRED) {
		check_paired_commit(sim, node);
		return;
	}
	SIM_REQUIRE(
		sim,
		core->mode == REP_MODE_ALONE || core->mode == REP_MODE_ASYNC,
		"node %u: commits %lu while it may not (inv. 10), mode %u",
		node->id,
		core->committed,
		core->mode
	);
	SIM_REQUIRE(
		sim,
		core->mode == REP_MODE_ASYNC || core->committed <= node->disk.durable,
		"node %u: committed %lu alone, durable %lu (inv. 9)",
		node->id,
		core->committed,
		node->disk.durable
	);
	if (core->move.phase == REP_PHASE_NONE && !split_is_allowed(sim) && !sim->arbiter.restored)
		check_record_says(sim, node, true);
}

void sim_check_step(struct sim *sim, struct sim_node *node)
{
	const struct rep_core *core = &node->core;
	SIM_REQUIRE(
		sim,
		core->last_sequence == node->history_count,
		"node %u: says last %lu, appended %lu",
		node->id,
		core->last_sequence,
		node->history_count
	);
	SIM_REQUIRE(
		sim,
		core->committed >= node->committed_before || loss_is_allowed(sim),
		"node %u: commit index goes back from %lu to %lu (inv. 3)",
		node->id,
		node->committed_before,
		core->committed
	);
	SIM_REQUIRE(
		sim,
		core->mode != REP_MODE_HALTED || core->reason == REP_REASON_LOG_FAILED,
		"node %u: halted: %s",
		node->id,
		rep_reason_name(core->reason)
	);
	SIM_REQUIRE(
		sim,
		core->committed <= node->history_count,
		"node %u: committed %lu of %lu",
		node->id,
		core->committed,
		node->history_count
	);
	SIM_REQUIRE(
		sim,
		node->sessions.count <= sim->plan.max_sessions,
		"node %u: too many sessions (inv. 37)",
		node->id
	);
	check_role(sim, node);
	if (core->committed > node->committed_before)
		check_commit(sim, node);
	node->committed_before = core->committed;
}

/* --- Losses --- */

void sim_check_cut(struct sim *sim, const struct sim_node *node, uint64_t keep)
{
	for (uint64_t seq = keep + 1; seq <= node->history_count; seq++)
		SIM_REQUIRE(
			sim,
			seq > sim->ledger.committed || sim->ledger.history[seq] != node->log[seq] ||
				split_is_allowed(sim),
			"node %u: cuts its log to %lu, but entry %lu of it was committed (inv. 16)",
			node->id,
			keep,
			seq
		);
}

void sim_check_crash(struct sim *sim)
{
	struct sim_ledger *ledger = &sim->ledger;
	uint64_t kept = 0;
	for (uint32_t i = 0; i < 2; i++) {
		const struct sim_node *node = &sim->nodes[i];
		bool alive = sim_running(node);
		const uint32_t *log = alive ? node->log : node->disk.log;
		uint64_t count = alive ? node->history_count : node->disk.written;
		uint64_t missing = first_missing(sim, log, count);
		if (missing == 0)
			return;
		kept = sf_max64(kept, missing - 1);
	}
	if (loss_is_allowed(sim))
		return; /* counted when somebody serves again */
	SIM_REQUIRE(
		sim,
		sim->plan.ack != REP_ACK_DURABLE || sim->wiped,
		"%lu were acknowledged as durable, %lu are left (inv. 30)",
		ledger->committed,
		kept
	);
	/* Both copies are gone before either was on a disk (inv. 34). */
	sim_count(sim, SIM_COUNT_EXCUSED);
	sim->over = true;
}

/* --- Digests and the end --- */

void sim_check_digest(struct sim *sim, const struct sim_node *node)
{
	for (uint32_t w = 0; w < node->worker_count; w++)
		if (node->workers[w].head != node->workers[w].tail)
			return;
	uint64_t expected = sim_fact_of(sim, node->log[node->history_count])->digest;
	if (node->history_count == 0)
		return;
	sim_count(sim, SIM_COUNT_DIGESTS);
	SIM_REQUIRE(
		sim,
		digest_of(node) == expected,
		"node %u: digest at %lu is %lx, by replay %lx (inv. 22, 24)",
		node->id,
		node->history_count,
		digest_of(node),
		expected
	);
}

void sim_check_end(struct sim *sim)
{
	const struct sim_node *primary = &sim->nodes[0];
	if (!primary->core.primary)
		primary = &sim->nodes[1];
	const struct sim_node *standby = &sim->nodes[1 - primary->id];
	const struct rep_core *core = &primary->core;
	bool async = sim->plan.ack == REP_ACK_NONE;
	sim_note(
		sim,
		SIM_NOTE_END,
		primary->id,
		primary->history_count,
		sim_fact_of(sim, primary->log[primary->history_count])->digest,
		0
	);
	SIM_REQUIRE(
		sim,
		(core->mode == REP_MODE_PAIRED || (async && core->mode == REP_MODE_ASYNC)) &&
			sim_running(primary),
		"not PAIRED again: node 0 %s, %s; node 1 %s, %s (inv. 33)",
		rep_mode_name(sim->nodes[0].core.mode),
		rep_reason_name(sim->nodes[0].core.reason),
		rep_mode_name(sim->nodes[1].core.mode),
		rep_reason_name(sim->nodes[1].core.reason)
	);
	for (uint32_t c = 0; c < sim->plan.clients; c++)
		SIM_REQUIRE(
			sim,
			sim->clients[c].final_done,
			"client %u: its next request does not finish (inv. 33)",
			c
		);
	SIM_REQUIRE(
		sim,
		standby->history_count == primary->history_count &&
			core->committed == core->last_sequence,
		"not level: primary %lu, standby %lu, committed %lu (inv. 33)",
		primary->history_count,
		standby->history_count,
		core->committed
	);
	SIM_REQUIRE(
		sim,
		first_missing(sim, primary->log, primary->history_count) == 0 ||
			split_is_allowed(sim),
		"the end: something committed is missing (inv. 1)"
	);
	if (sim->plan.honest && !loss_is_allowed(sim))
		sim_history_check(sim, primary);
}
