/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The checkers' second half: what a node may say to a client, judged at the moment when it says it
 * against the ledger of checker.c. The numbers are those of the invariants (inv.).
 */
#include "config/bytes.h"
#include "tests/sim/sim.h"

static void
check_forgotten(struct sim *sim, const struct sim_node *node, const struct sim_message *answer)
{
	const struct sim_view *view = &sim->ledger.views[node->id];
	uint64_t session = sim_session_of(sim, view, answer->client_id);
	if (session == 0 || !view->session_open[session])
		return;
	SIM_REQUIRE(
		sim,
		answer->kind == SIM_UPDATE && answer->request_seq < view->session_first[session],
		"client %lx request %lu: FORGOTTEN, but it was not",
		answer->client_id,
		answer->request_seq
	);
}

static void check_opened(struct sim *sim, struct sim_node *node, const struct sim_message *answer)
{
	const struct sim_view *view = &sim->ledger.views[node->id];
	uint64_t session = sim_session_of(sim, view, answer->client_id);
	SIM_REQUIRE(
		sim,
		session != 0 &&
			sim_fact_of(sim, view->log[session])->request_seq == answer->request_seq,
		"SessionOpened names %lx, which is not of this nonce",
		answer->client_id
	);
	SIM_REQUIRE(
		sim,
		(answer->client_id & 0xffffffffffffull) <= node->core.committed,
		"SessionOpened %lx before it is committed",
		answer->client_id
	);
}

void sim_check_answer(struct sim *sim, struct sim_node *node, const struct sim_message *answer)
{
	sim_note(
		sim,
		SIM_NOTE_ANSWER,
		node->id,
		answer->client_id,
		answer->request_seq,
		answer->status | (uint64_t)answer->repeat << 8
	);
	if (answer->status == CLI_NOT_PRIMARY) {
		sim_count(sim, SIM_COUNT_NOT_PRIMARY);
		return;
	}
	SIM_REQUIRE(
		sim,
		rep_core_serves(&node->core),
		"node %u: answers %u while it may not (inv. 10)",
		node->id,
		answer->status
	);
	SIM_REQUIRE(
		sim,
		node->epoch_seen <= node->core.epoch,
		"node %u: answers in epoch %u though it has heard of %u (inv. 15)",
		node->id,
		node->core.epoch,
		node->epoch_seen
	);
	if (answer->status == CLI_FORGOTTEN) {
		sim_count(sim, SIM_COUNT_FORGOTTEN);
		check_forgotten(sim, node, answer);
		return;
	}
	if (answer->status != CLI_OK && answer->status != CLI_REJECTED) {
		sim_count(sim, answer->status == CLI_BUSY ? SIM_COUNT_BUSY : SIM_COUNT_OVERLOADED);
		return;
	}
	if (answer->kind == SIM_OPEN) {
		check_opened(sim, node, answer);
		return;
	}
	if (answer->kind != SIM_UPDATE)
		return;
	SIM_REQUIRE(
		sim,
		answer->sequence >= 1 && answer->sequence <= node->history_count &&
			answer->sequence <= node->committed_before,
		"answer names entry %lu, committed is %lu (inv. 8)",
		answer->sequence,
		node->committed_before
	);
	struct sim_fact *fact = sim_fact_of(sim, node->log[answer->sequence]);
	SIM_REQUIRE(
		sim,
		fact->client_id == answer->client_id && fact->request_seq == answer->request_seq,
		"answer names entry %lu, which is another request's (inv. 20)",
		answer->sequence
	);
	SIM_REQUIRE(
		sim,
		fact->status == answer->status && fact->version == answer->asset_version &&
			fact->payload_bytes == answer->payload_bytes &&
			memcmp(fact->payload, answer->payload, fact->payload_bytes) == 0,
		"answer to entry %lu: wrong result (inv. 21, 27)",
		answer->sequence
	);
	SIM_REQUIRE(
		sim,
		answer->repeat || !fact->answered,
		"entry %lu is answered as the first a second time (inv. 20)",
		answer->sequence
	);
	fact->answered |= !answer->repeat;
	sim_count(sim, answer->repeat ? SIM_COUNT_REPEATS : SIM_COUNT_UPDATES);
	if (answer->status == CLI_OK) {
		uint64_t *acked = &sim->ledger.acked_version[fact->asset_id - SIM_ASSET_BASE];
		*acked = sf_max64(*acked, fact->version);
	}
}

void sim_check_read(struct sim *sim, struct sim_node *node, const struct sim_item *item)
{
	uint64_t last_update = sf_load64(item->payload + 8);
	sim_count(sim, SIM_COUNT_READS);
	SIM_REQUIRE(
		sim,
		item->status == CLI_OK && item->payload_bytes == 16,
		"read of asset %lu: status %u",
		item->asset_id,
		item->status
	);
	SIM_REQUIRE(
		sim,
		last_update <= node->committed_before,
		"read of asset %lu shows entry %lu, committed is %lu",
		item->asset_id,
		last_update,
		node->committed_before
	);
	const struct sim_fact *fact = sim_fact_of(sim, node->log[last_update]);
	bool right = last_update == 0 ? item->asset_version == 0 && sf_load64(item->payload) == 0
				      : fact->asset_id == item->asset_id &&
						fact->version == item->asset_version &&
						(uint64_t)fact->value == sf_load64(item->payload);
	SIM_REQUIRE(sim, right, "read of asset %lu: value that was never there", item->asset_id);
	SIM_REQUIRE(
		sim,
		item->asset_version >= item->floor_version || sim->plan.ack == REP_ACK_NONE ||
			sim->plan.policy == REP_POLICY_SPLIT_ALLOWED || sim->consent || sim->over,
		"read of asset %lu: version %lu, but %lu was acknowledged before (inv. 28)",
		item->asset_id,
		item->asset_version,
		item->floor_version
	);
	const struct sim_node *other = &sim->nodes[1 - node->id];
	SIM_REQUIRE(
		sim,
		node->core.mode != REP_MODE_PAIRED || other->standby_heard >= item->sent_frame,
		"node %u: read answered, but as its standby the other heard frame %lu only, not "
		"%lu (inv. 28)",
		node->id,
		other->standby_heard,
		item->sent_frame
	);
}

void sim_check_unanswered(struct sim *sim, const struct sim_node *node, const struct sim_item *item)
{
	const struct sim_view *view = &sim->ledger.views[node->id];
	uint64_t session = sim_session_of(sim, view, item->client_id);
	sim_count(sim, SIM_COUNT_GONE);
	SIM_REQUIRE(
		sim,
		session != 0 && (!view->session_open[session] ||
				 item->request_seq < view->session_first[session]),
		"client %lx request %lu: its answer is gone too early (inv. 20)",
		item->client_id,
		item->request_seq
	);
}
