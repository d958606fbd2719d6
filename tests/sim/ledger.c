/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What the checkers know: every entry that was ever made, by (epoch, sequence); the state that each
 * node must have after the entries that it holds, by a register model and a single-worker reference
 * of their own; and the one history of what was committed. The numbers are those of the invariants
 * (inv.).
 */
#include "config/bytes.h"
#include "tests/sim/sim.h"

uint64_t sim_hash_bytes(const void *data, uint32_t bytes)
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
	ledger->fact_count = 0;
	ledger->committed = 0;
	memset(ledger->places, 0, sizeof(ledger->places));
	memset(ledger->acked_version, 0, sizeof(ledger->acked_version));
	memset(ledger->authors, 0, sizeof(ledger->authors));
	memset(&ledger->facts[0], 0, sizeof(ledger->facts[0]));
	ledger->history[0] = 0;
	for (uint32_t i = 0; i < 2; i++)
		sim_view_clear(sim, &ledger->views[i]);
}

void sim_view_clear(struct sim *sim, struct sim_view *view)
{
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
	view->count = view->open_sessions = 0;
	view->epoch = 0;
	view->log[0] = 0;
	memset(view->assets, 0, sizeof(view->assets));
	memset(view->set, 0, sizeof(view->set));
	rep_session_table_init(&view->sessions, &limits, view->session_memory);
	memset(view->shard_memory, 0, dp_shard_bytes(&config));
	dp_shard_init(&view->shard, &config, view->shard_memory);
}

/* --- Entries by (epoch, sequence) --- */

static uint16_t *place_of(struct sim *sim, uint32_t epoch, uint64_t sequence)
{
	struct sim_ledger *ledger = &sim->ledger;
	uint64_t place = (epoch * 0x9e3779b97f4a7c15ull ^ sequence * 0xd6e8feb86659fd93ull) >> 40;
	for (;; place++) {
		uint16_t *index = &ledger->places[place % SIM_SET_SLOTS];
		const struct sim_fact *fact = &ledger->facts[*index];
		if (*index == 0 || (fact->epoch == epoch && fact->sequence == sequence))
			return index;
	}
}

uint32_t sim_fact_find(struct sim *sim, uint32_t epoch, uint64_t sequence)
{
	return *place_of(sim, epoch, sequence);
}

/* inv. 5, 7: an epoch has one author, and an author's life its own epochs. */
static void check_author(struct sim *sim, uint32_t node, uint32_t epoch)
{
	uint32_t life = sim->nodes[node].life;
	uint32_t place = epoch % SIM_MAX_EPOCHS;
	for (uint32_t i = 0; i < SIM_MAX_EPOCHS; i++, place = (place + 1) % SIM_MAX_EPOCHS) {
		if (sim->ledger.authors[place].used && sim->ledger.authors[place].epoch != epoch)
			continue;
		if (!sim->ledger.authors[place].used) {
			sim->ledger.authors[place].used = true;
			sim->ledger.authors[place].epoch = epoch;
			sim->ledger.authors[place].node = node;
			sim->ledger.authors[place].life = life;
		}
		SIM_REQUIRE(
			sim,
			sim->ledger.authors[place].node == node &&
				sim->ledger.authors[place].life == life,
			"node %u: appends in epoch %u, which is node %u's in its life %u (inv. 5, "
			"7)",
			node,
			epoch,
			sim->ledger.authors[place].node,
			sim->ledger.authors[place].life
		);
		return;
	}
	sim_fail(sim, "simulator: too many epochs");
}

uint32_t sim_fact_new(struct sim *sim, uint32_t node, const struct rep_entry *entry)
{
	struct sim_ledger *ledger = &sim->ledger;
	const struct sim_view *view = &ledger->views[node];
	uint16_t *place = place_of(sim, entry->epoch, entry->sequence);
	SIM_REQUIRE(
		sim,
		*place == 0,
		"node %u: entry %lu of epoch %u is made a second time (inv. 4)",
		node,
		entry->sequence,
		entry->epoch
	);
	SIM_REQUIRE(sim, ledger->fact_count + 1 < SIM_MAX_FACTS, "simulator: too many entries");
	check_author(sim, node, entry->epoch);
	*place = (uint16_t)++ledger->fact_count;
	struct sim_fact *fact = &ledger->facts[*place];
	uint32_t bytes = rep_entry_bytes(entry->payload_bytes);
	*fact = (struct sim_fact){
		.epoch = entry->epoch,
		.before = view->log[view->count],
		.sequence = entry->sequence,
		.hash = sim_hash_bytes(entry, bytes),
		.client_id = entry->client_id,
		.request_seq = entry->request_seq,
		.first_incomplete_seq = entry->first_incomplete_seq,
		.asset_id = entry->asset_id,
		.timestamp_ns = entry->timestamp_ns,
		.kind = entry->kind,
		.opcode = entry->opcode,
	};
	memcpy(fact->bytes, entry, bytes);
	return *place;
}

/* --- Views --- */

uint64_t sim_session_of(struct sim *sim, const struct sim_view *view, uint64_t client_id)
{
	uint64_t sequence = client_id & 0xffffffffffffull;
	if (sequence == 0 || sequence > view->count)
		return 0;
	const struct sim_fact *fact = sim_fact_of(sim, view->log[sequence]);
	if (client_id >> 48 != (fact->epoch & 0xffff) || fact->kind != REP_ENTRY_OPEN)
		return 0;
	return sequence;
}

/* Where (client, request) is in the set, or the free place for it. */
static uint16_t *
set_place(struct sim *sim, struct sim_view *view, uint64_t client_id, uint64_t request_seq)
{
	uint64_t place = (client_id * 31 + request_seq) * 0x9e3779b97f4a7c15ull >> 50;
	for (;; place++) {
		uint16_t *sequence = &view->set[place % SIM_SET_SLOTS];
		const struct sim_fact *fact = sim_fact_of(sim, view->log[*sequence]);
		if (*sequence == 0 ||
		    (fact->client_id == client_id && fact->request_seq == request_seq))
			return sequence;
	}
}

/* The register model a second time, written from the protocol page. */
static void expect_update(struct sim_view *view, struct sim_fact *fact)
{
	const struct rep_entry *entry = (const struct rep_entry *)fact->bytes;
	const uint8_t *payload = entry->payload;
	uint32_t bytes = entry->payload_bytes;
	struct sim_asset *asset = &view->assets[fact->asset_id - SIM_ASSET_BASE];
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
		asset->last_sequence = fact->sequence;
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

static void extend_update(struct sim *sim, struct sim_view *view, struct sim_fact *fact)
{
	uint64_t session = sim_session_of(sim, view, fact->client_id);
	uint64_t seq = fact->sequence;
	SIM_REQUIRE(
		sim,
		session != 0 && view->session_open[session],
		"entry %lu: update of a session that is not open",
		seq
	);
	uint64_t *first = &view->session_first[session];
	SIM_REQUIRE(
		sim,
		fact->request_seq >= *first,
		"entry %lu: request %lu was forgotten by its client (inv. 23)",
		seq,
		fact->request_seq
	);
	*first = sf_max64(*first, fact->first_incomplete_seq);
	SIM_REQUIRE(
		sim,
		fact->request_seq - *first < sim->plan.max_inflight,
		"entry %lu: beyond the session's window",
		seq
	);
	uint16_t *place = set_place(sim, view, fact->client_id, fact->request_seq);
	SIM_REQUIRE(
		sim,
		*place == 0,
		"entry %lu: client %lx request %lu was entry %u already (inv. 19)",
		seq,
		fact->client_id,
		fact->request_seq,
		*place
	);
	*place = (uint16_t)seq;
	SIM_REQUIRE(
		sim,
		fact->asset_id - SIM_ASSET_BASE < SIM_MAX_ASSETS,
		"entry %lu: asset %lu that nobody named",
		seq,
		fact->asset_id
	);
	expect_update(view, fact);
}

static void extend_session(struct sim *sim, struct sim_view *view, const struct sim_fact *fact)
{
	if (fact->kind == REP_ENTRY_OPEN) {
		uint64_t id = (uint64_t)fact->epoch << 48 | fact->sequence;
		SIM_REQUIRE(sim, fact->client_id == id, "entry %lu: odd clientId", fact->sequence);
		view->session_open[fact->sequence] = true;
		view->session_first[fact->sequence] = 1;
		view->open_sessions++;
	} else {
		uint64_t session = sim_session_of(sim, view, fact->client_id);
		SIM_REQUIRE(
			sim,
			fact->kind == REP_ENTRY_CLOSE && session != 0 &&
				view->session_open[session],
			"entry %lu: closes what is not open",
			fact->sequence
		);
		view->session_open[session] = false;
		view->open_sessions--;
	}
	SIM_REQUIRE(
		sim,
		view->open_sessions <= sim->plan.max_sessions,
		"entry %lu: too many sessions (inv. 37)",
		fact->sequence
	);
}

/* The reference: the same history through one worker. */
static uint64_t extend_reference(struct sim *sim, struct sim_view *view, struct sim_fact *fact)
{
	const struct rep_entry *entry = (const struct rep_entry *)fact->bytes;
	bool update = entry->kind == REP_ENTRY_UPDATE;
	uint32_t session;
	enum rep_session_fault fault = rep_session_apply(
		&view->sessions, entry, update ? rep_partition(entry->asset_id) : 0, &session
	);
	SIM_REQUIRE(
		sim,
		fault == REP_SESSION_OK,
		"entry %lu: does not replay (%d)",
		fact->sequence,
		(int)fault
	);
	if (update)
		dp_shard_apply(&view->shard, entry, session);
	return view->sessions.digest + view->shard.assets_digest + view->shard.answers_digest;
}

void sim_view_extend(struct sim *sim, uint32_t node, uint32_t index)
{
	struct sim_view *view = &sim->ledger.views[node];
	struct sim_fact *fact = sim_fact_of(sim, index);
	const struct sim_fact *before = sim_fact_of(sim, view->log[view->count]);
	SIM_REQUIRE(
		sim,
		fact->sequence == view->count + 1,
		"node %u: entry %lu after %lu (inv. 4)",
		node,
		fact->sequence,
		view->count
	);
	SIM_REQUIRE(
		sim,
		fact->before == view->log[view->count],
		"node %u: entry %lu of epoch %u stands on others than its author had (inv. 4)",
		node,
		fact->sequence,
		fact->epoch
	);
	SIM_REQUIRE(
		sim,
		fact->timestamp_ns >= before->timestamp_ns,
		"entry %lu: time goes back",
		fact->sequence
	);
	SIM_REQUIRE(
		sim,
		fact->epoch >= view->epoch,
		"entry %lu: of epoch %u after %u (inv. 5)",
		fact->sequence,
		fact->epoch,
		view->epoch
	);
	SIM_REQUIRE(sim, view->count < SIM_MAX_HISTORY, "simulator: history too long");
	view->epoch = fact->epoch;
	view->log[++view->count] = index;
	if (fact->kind == REP_ENTRY_UPDATE)
		extend_update(sim, view, fact);
	else
		extend_session(sim, view, fact);
	uint64_t digest = extend_reference(sim, view, fact);
	SIM_REQUIRE(
		sim,
		!fact->known || fact->digest == digest,
		"entry %lu: the reference's digest depends on who computes it (inv. 25)",
		fact->sequence
	);
	fact->digest = digest;
	fact->known = true;
}
