/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The checkers. They keep their own ledger: the one history with a hash per entry, a register model
 * of their own, and a reference node that replays the history with a single
 * worker for its digest. The numbers are those of the invariants (inv.).
 */
#include "config/bytes.h"
#include "tests/sim/sim.h"

static uint64_t hash_bytes(const void *data, uint32_t bytes)
{
	const uint8_t *p = data;
	uint64_t h = 0xcbf29ce484222325ull ^ bytes;
	for (uint32_t i = 0; i < bytes; i += 8) {
		h = (h ^ sf_load64(p + i)) * 0x100000001b3ull;
		h ^= h >> 29;
	}
	return h;
}

void sim_ledger_start(struct sim *sim)
{
	struct sim_ledger *ledger = &sim->ledger;
	struct rep_session_limits limits = {
		.max_sessions = sim->plan.max_sessions,
		.max_inflight = sim->plan.max_inflight,
	};
	struct dp_shard_config config = {
		.model = &dp_model_register,
		.workers = 1,
		.max_assets = 64,
		.max_sessions = limits.max_sessions,
		.max_inflight = limits.max_inflight,
		.max_answer_bytes = 256,
	};
	ledger->count = ledger->open_sessions = ledger->committed = 0;
	ledger->epoch = 0;
	memset(ledger->assets, 0, sizeof(ledger->assets));
	memset(ledger->set, 0, sizeof(ledger->set));
	memset(&ledger->facts[0], 0, sizeof(ledger->facts[0]));
	rep_session_table_init(&ledger->sessions, &limits, ledger->session_memory);
	memset(ledger->shard_memory, 0, dp_shard_bytes(&config));
	dp_shard_init(&ledger->shard, &config, ledger->shard_memory);
}

/* --- The history --- */

/* The opening entry of a session, by the place that its clientId names. */
struct sim_fact *sim_session_of(struct sim_ledger *ledger, uint64_t client_id)
{
	uint64_t sequence = client_id & 0xffffffffffffull;
	if (sequence == 0 || sequence > ledger->count ||
	    client_id >> 48 != ledger->facts[sequence].epoch)
		return NULL;
	struct sim_fact *fact = &ledger->facts[sequence];
	return fact->kind == REP_ENTRY_OPEN ? fact : NULL;
}

/* Where (client, request) is in the set, or the free place for it. */
static uint64_t *set_place(struct sim_ledger *ledger, uint64_t client_id, uint64_t request_seq)
{
	uint64_t place = (client_id * 31 + request_seq) * 0x9e3779b97f4a7c15ull >> 51;
	for (;; place++) {
		uint64_t *sequence = &ledger->set[place % SIM_SET_SLOTS];
		const struct sim_fact *fact = &ledger->facts[*sequence];
		if (*sequence == 0 ||
		    (fact->client_id == client_id && fact->request_seq == request_seq))
			return sequence;
	}
}

/* The register model a second time, written from the protocol page. */
static void expect_update(
	struct sim_ledger *ledger, struct sim_fact *fact, const uint8_t *payload, uint32_t bytes
)
{
	struct sim_asset *asset = &ledger->assets[fact->asset_id - SIM_ASSET_BASE];
	__int128 value = asset->value;
	int reason = 0;
	bool mismatch = false;
	if (fact->opcode == CLI_REGISTER_ADD && bytes == 8) {
		value += (int64_t)sf_load64(payload);
		if (value > INT64_MAX || value < INT64_MIN)
			reason = CLI_REGISTER_OVERFLOW;
	} else if (fact->opcode == CLI_REGISTER_SET && bytes == 8) {
		value = (int64_t)sf_load64(payload);
	} else if (fact->opcode == CLI_REGISTER_CAS && bytes == 16) {
		mismatch = value != (int64_t)sf_load64(payload);
		reason = mismatch ? CLI_REGISTER_MISMATCH : 0;
		value = (int64_t)sf_load64(payload + 8);
	} else {
		reason = CLI_REGISTER_BAD_OPERATION;
	}
	fact->status = reason == 0 ? CLI_OK : CLI_REJECTED;
	if (reason == 0) {
		asset->value = (int64_t)value;
		asset->version++;
		asset->last_sequence = ledger->count;
		sf_store64(fact->payload, (uint64_t)asset->value);
		fact->payload_bytes = 8;
	} else {
		sf_store16(fact->payload, (uint16_t)reason);
		fact->payload_bytes = mismatch ? 10 : 2;
		if (mismatch)
			sf_store64(fact->payload + 2, (uint64_t)asset->value);
	}
	fact->version = asset->version;
	fact->value = asset->value;
}

static void extend_update(struct sim *sim, struct sim_fact *fact, const struct rep_entry *entry)
{
	struct sim_ledger *ledger = &sim->ledger;
	struct sim_fact *session = sim_session_of(ledger, fact->client_id);
	SIM_REQUIRE(
		sim,
		session != NULL && session->session_open,
		"entry %lu: update of a session that is not open",
		ledger->count
	);
	SIM_REQUIRE(
		sim,
		fact->request_seq >= session->session_first,
		"entry %lu: request %lu was forgotten by its client (inv. 23)",
		ledger->count,
		fact->request_seq
	);
	session->session_first = sf_max64(session->session_first, fact->first_incomplete_seq);
	SIM_REQUIRE(
		sim,
		fact->request_seq - session->session_first < sim->plan.max_inflight,
		"entry %lu: beyond the session's window",
		ledger->count
	);
	uint64_t *place = set_place(ledger, fact->client_id, fact->request_seq);
	SIM_REQUIRE(
		sim,
		*place == 0,
		"entry %lu: client %lx request %lu was entry %lu already (inv. 19)",
		ledger->count,
		fact->client_id,
		fact->request_seq,
		*place
	);
	*place = ledger->count;
	SIM_REQUIRE(
		sim,
		fact->asset_id - SIM_ASSET_BASE < SIM_MAX_ASSETS,
		"entry %lu: asset %lu that nobody named",
		ledger->count,
		fact->asset_id
	);
	expect_update(ledger, fact, entry->payload, entry->payload_bytes);
}

static void extend_session(struct sim *sim, struct sim_fact *fact)
{
	struct sim_ledger *ledger = &sim->ledger;
	if (fact->kind == REP_ENTRY_OPEN) {
		uint64_t id = (uint64_t)fact->epoch << 48 | ledger->count;
		SIM_REQUIRE(sim, fact->client_id == id, "entry %lu: odd clientId", ledger->count);
		fact->session_open = true;
		fact->session_first = 1;
		ledger->open_sessions++;
	} else {
		struct sim_fact *session = sim_session_of(ledger, fact->client_id);
		SIM_REQUIRE(
			sim,
			fact->kind == REP_ENTRY_CLOSE && session != NULL && session->session_open,
			"entry %lu: closes what is not open",
			ledger->count
		);
		session->session_open = false;
		sim_count(sim, SIM_COUNT_CLOSED);
		ledger->open_sessions--;
	}
	SIM_REQUIRE(
		sim,
		ledger->open_sessions <= sim->plan.max_sessions,
		"entry %lu: too many sessions (inv. 37)",
		ledger->count
	);
}

static uint64_t digest_of(const struct sim_node *node)
{
	uint64_t digest = node->sessions.digest;
	for (uint32_t w = 0; w < node->worker_count; w++)
		digest += node->workers[w].shard.assets_digest +
			  node->workers[w].shard.answers_digest;
	return digest;
}

/* The reference: the same history through one worker. */
static void extend_reference(struct sim *sim, struct sim_fact *fact, const struct rep_entry *entry)
{
	struct sim_ledger *ledger = &sim->ledger;
	uint32_t session;
	bool update = entry->kind == REP_ENTRY_UPDATE;
	enum rep_session_fault fault = rep_session_apply(
		&ledger->sessions, entry, update ? rep_partition(entry->asset_id) : 0, &session
	);
	SIM_REQUIRE(
		sim,
		fault == REP_SESSION_OK,
		"entry %lu: does not replay (%d)",
		ledger->count,
		(int)fault
	);
	if (update)
		dp_shard_apply(&ledger->shard, entry, session);
	fact->digest = ledger->sessions.digest + ledger->shard.assets_digest +
		       ledger->shard.answers_digest;
}

static void extend_history(struct sim *sim, const struct rep_entry *entry, uint64_t hash)
{
	struct sim_ledger *ledger = &sim->ledger;
	SIM_REQUIRE(sim, ledger->count < SIM_MAX_HISTORY, "simulator: history too long");
	struct sim_fact *fact = &ledger->facts[++ledger->count];
	*fact = (struct sim_fact){
		.epoch = entry->epoch,
		.hash = hash,
		.client_id = entry->client_id,
		.request_seq = entry->request_seq,
		.first_incomplete_seq = entry->first_incomplete_seq,
		.asset_id = entry->asset_id,
		.timestamp_ns = entry->timestamp_ns,
		.kind = entry->kind,
		.opcode = entry->opcode,
	};
	SIM_REQUIRE(
		sim,
		fact->timestamp_ns >= fact[-1].timestamp_ns,
		"entry %lu: time goes back",
		ledger->count
	);
	SIM_REQUIRE(
		sim,
		entry->epoch >= ledger->epoch,
		"entry %lu: of epoch %u after %u (inv. 5)",
		ledger->count,
		entry->epoch,
		ledger->epoch
	);
	ledger->epoch = entry->epoch;
	memcpy(ledger->entries[ledger->count], entry, rep_entry_bytes(entry->payload_bytes));
	if (fact->kind == REP_ENTRY_UPDATE)
		extend_update(sim, fact, entry);
	else
		extend_session(sim, fact);
	extend_reference(sim, fact, entry);
}

void sim_check_append(struct sim *sim, struct sim_node *node, const struct rep_entry *entry)
{
	struct sim_ledger *ledger = &sim->ledger;
	uint64_t sequence = node->history_count + 1;
	uint64_t hash = hash_bytes(entry, rep_entry_bytes(entry->payload_bytes));
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
		sequence <= ledger->count && hash == ledger->facts[sequence].hash,
		"node %u: entry %lu differs from the primary's (inv. 2)",
		node->id,
		sequence
	);
	node->history_count = sequence;
	node->lengths[node->life] = sequence;
}

void sim_check_wire(struct sim *sim, const struct rep_entry *entry, uint64_t sequence)
{
	SIM_REQUIRE(
		sim,
		entry->sequence == sequence && sequence <= sim->ledger.count &&
			hash_bytes(entry, rep_entry_bytes(entry->payload_bytes)) ==
				sim->ledger.facts[sequence].hash,
		"arena: slot of entry %lu holds something else (%lu)",
		sequence,
		entry->sequence
	);
}

/* What the slot held must be needed by nobody: applied and answered here and, on the primary,
 * present on the standby. */
void sim_check_slot(struct sim *sim, const struct sim_node *node, uint64_t sequence)
{
	uint32_t slots = sim->plan.slots[node->id];
	if (sequence <= slots)
		return;
	uint64_t old = sequence - slots;
	sim_count(sim, SIM_COUNT_REUSED);
	const struct sim_node *standby = &sim->nodes[1];
	uint64_t there = 0;
	for (uint32_t life = 0; life <= standby->life; life++)
		there = sf_max64(there, standby->lengths[life]);
	SIM_REQUIRE(
		sim,
		old <= sim_workers_passed(node),
		"node %u: slot of entry %lu reused for %lu while a consumer needs it",
		node->id,
		old,
		sequence
	);
	SIM_REQUIRE(
		sim,
		node->id == 1 || old <= there,
		"node 0: slot of entry %lu reused before the standby has it",
		old
	);
}

void sim_check_taken(struct sim *sim, const struct sim_node *node)
{
	uint64_t sequence = node->core.last_sequence + node->intake.pending;
	const struct rep_entry *entry = rep_arena_entry(&node->intake.arena, sequence);
	SIM_REQUIRE(
		sim,
		entry->epoch == SIM_EPOCH + 2 * node->life,
		"entry %lu: sequenced in epoch %u (inv. 7)",
		sequence,
		entry->epoch
	);
	sim_check_slot(sim, node, sequence);
	SIM_REQUIRE(
		sim,
		entry->sequence == sequence && sequence == sim->ledger.count + 1,
		"entry %lu is sequenced as %lu (inv. 4)",
		entry->sequence,
		sequence
	);
	extend_history(sim, entry, hash_bytes(entry, rep_entry_bytes(entry->payload_bytes)));
}

void sim_check_step(struct sim *sim, struct sim_node *node)
{
	const struct rep_core *core = &node->core;
	const struct sim_node *standby = &sim->nodes[1];
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
		core->committed >= node->committed_before,
		"node %u: commit index goes back from %lu to %lu (inv. 3)",
		node->id,
		node->committed_before,
		core->committed
	);
	SIM_REQUIRE(sim, core->mode != REP_MODE_HALTED, "node %u: halted", node->id);
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
	if (core->committed == node->committed_before)
		return;
	sim_note(sim, SIM_NOTE_COMMIT, node->id, core->committed, 0, 0);
	node->committed_before = core->committed;
	if (node->id == 1) {
		SIM_REQUIRE(
			sim,
			core->committed <= sim->ledger.committed,
			"node 1: committed %lu, the primary %lu",
			core->committed,
			sim->ledger.committed
		);
		return;
	}
	sim->ledger.committed = sf_max64(sim->ledger.committed, core->committed);
	/* inv. 8: only what the life of the standby that we are paired with really had. */
	uint64_t there = 0;
	for (uint32_t life = 0; life <= standby->life; life++)
		if (standby->incarnations[life] == core->peer_incarnation) {
			there = standby->lengths[life];
			sim->memory_lost |=
				!sim->plan.log && (life < standby->life || !standby->running);
		}
	SIM_REQUIRE(
		sim,
		core->committed <= there,
		"node 0: committed %lu, but the standby had %lu (inv. 8), peer life %lu",
		core->committed,
		there,
		core->peer_incarnation
	);
	SIM_REQUIRE(
		sim, core->mode == REP_MODE_PAIRED, "node 0: commits while not PAIRED (inv. 10)"
	);
}

/* The history ends with its first `count` entries: what came after is nowhere any more. */
static void cut_history(struct sim *sim, uint64_t count)
{
	static uint8_t entries[SIM_MAX_HISTORY + 1][SIM_MAX_ENTRY];
	uint64_t committed = sim->ledger.committed;
	memcpy(entries, sim->ledger.entries, sizeof(entries[0]) * (count + 1));
	sim->counts[SIM_COUNT_CUT_OFF] += sim->ledger.count - count;
	sim_ledger_start(sim);
	for (uint64_t seq = 1; seq <= count; seq++) {
		const struct rep_entry *entry = (const struct rep_entry *)entries[seq];
		extend_history(
			sim, entry, hash_bytes(entry, rep_entry_bytes(entry->payload_bytes))
		);
	}
	sim->ledger.committed = sf_min64(committed, count);
}

void sim_check_paired(struct sim *sim, const struct sim_node *node)
{
	uint64_t held = node->core.last_sequence;
	uint64_t synced = sf_max64(sim->nodes[0].disk.durable, sim->nodes[1].disk.durable);
	sim->primary_empty = false;
	if (held == sim->ledger.count) {
		sim->exposed = false;
		return;
	}
	SIM_REQUIRE(sim, held < sim->ledger.count, "PAIRED with %lu unknown entries", held);
	if (held < sim->ledger.committed) {
		SIM_REQUIRE(
			sim,
			sim->exposed && !sim->plan.durable_acks && held >= synced,
			"PAIRED at %lu, but %lu were acknowledged, and %lu were on a disk (inv. 1, "
			"34)",
			held,
			sim->ledger.committed,
			synced
		);
		sim_count(sim, SIM_COUNT_EXCUSED);
		sim->over = true;
		return;
	}
	sim->exposed = false;
	cut_history(sim, held);
}

/* --- Digests and the end --- */

void sim_check_digest(struct sim *sim, const struct sim_node *node)
{
	for (uint32_t w = 0; w < node->worker_count; w++)
		if (node->workers[w].head != node->workers[w].tail)
			return;
	uint64_t expected = sim->ledger.facts[node->history_count].digest;
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
	const struct sim_node *standby = &sim->nodes[1];
	const struct rep_core *core = &primary->core;
	sim_note(
		sim,
		SIM_NOTE_END,
		0,
		primary->history_count,
		sim->ledger.facts[primary->history_count].digest,
		0
	);
	if (sim->primary_empty) {
		/* It takes over what the standby's arena still holds from the beginning. */
		sim_count(sim, SIM_COUNT_PRIMARY_LOST);
		SIM_REQUIRE(
			sim,
			sf_max64(standby->history_count, standby->core.arena_top) >
					sim->plan.slots[1] &&
				core->mode == REP_MODE_BLOCKED &&
				core->reason == REP_REASON_HISTORY_GONE,
			"the primary lost its memory, but is %u, %s",
			core->mode,
			rep_reason_name(core->reason)
		);
		return;
	}
	bool may_have_lost = !sim->plan.log && standby->life > 0 && core->acked_ever > 0;
	if (sim->memory_lost || (may_have_lost && core->mode != REP_MODE_PAIRED)) {
		SIM_REQUIRE(
			sim,
			core->mode == REP_MODE_BLOCKED &&
				core->reason == REP_REASON_PEER_LOST_MEMORY,
			"the standby lost its memory, but the primary is %u, %s",
			core->mode,
			rep_reason_name(core->reason)
		);
		sim_count(sim, SIM_COUNT_MEMORY_LOST);
		return;
	}
	SIM_REQUIRE(
		sim,
		core->mode == REP_MODE_PAIRED,
		"not PAIRED again: mode %u, %s (inv. 33)",
		core->mode,
		rep_reason_name(core->reason)
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
}
