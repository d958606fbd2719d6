/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What the clients saw, for the checkers of tests/history: they know nothing of sequences, roles or
 * logs but what stands in answers. Only where clients are honest and nothing may be lost.
 */
#include "config/bytes.h"
#include "tests/sim/sim.h"

static struct hist_checker *checker;

void sim_history_start(struct sim *sim)
{
	const struct hist_room room = {
		.operations = sim->operations,
		.answers = sim->answers,
		.finals = sim->finals,
		.max_operations = SIM_MAX_OPERATIONS,
		.max_answers = 2 * SIM_MAX_OPERATIONS,
		.max_finals = 2 * SIM_MAX_ASSETS,
	};
	hist_init(&sim->history, &room);
}

void sim_history_invoke(struct sim *sim, uint64_t client_id, struct sim_request *request)
{
	struct hist_operation operation = {
		.client_id = client_id,
		.request_seq = request->request_seq,
		.asset_id = request->asset_id,
		.invoked_ns = sim->now_ns,
		.opcode = request->opcode,
	};
	operation.argument[0] = (int64_t)sf_load64(request->payload);
	operation.argument[1] = (int64_t)sf_load64(request->payload + 8);
	request->operation = hist_invoke(&sim->history, &operation);
}

void sim_history_answer(
	struct sim *sim, const struct sim_request *request, const struct sim_message *message
)
{
	struct hist_answer answer = {
		.returned_ns = sim->now_ns,
		.sequence = message->sequence,
		.version = message->asset_version,
		.epoch = message->epoch,
		.status = message->status,
		.node = (uint8_t)(message->node + 1),
		.repeat = message->repeat,
	};
	if (message->status == CLI_OK) {
		answer.value = (int64_t)sf_load64(message->payload);
		if (request->read)
			answer.sequence = sf_load64(message->payload + 8);
	} else {
		answer.reason = sf_load16(message->payload);
		if (message->payload_bytes >= 10)
			answer.value = (int64_t)sf_load64(message->payload + 2);
	}
	hist_answer(&sim->history, request->operation, &answer);
}

void sim_history_check(struct sim *sim, const struct sim_node *primary)
{
	static const struct hist_limits limits = {
		.operations = SIM_MAX_OPERATIONS,
		.answers = 2 * SIM_MAX_OPERATIONS,
		.finals = 2 * SIM_MAX_ASSETS,
		.gap_steps = 200000,
		.search_states = 5000,
	};
	const struct sim_view *view = &sim->ledger.views[primary->id];
	struct hist_verdict verdict = {0}, searched = {0};
	if (checker == NULL)
		checker = hist_checker_new(&limits);
	SIM_REQUIRE(sim, checker != NULL, "simulator: no memory");
	for (uint32_t i = 0; i < sim->plan.assets; i++)
		hist_final(
			&sim->history,
			&(struct hist_final){
				.asset_id = SIM_ASSET_BASE + i,
				.version = view->assets[i].version,
				.sequence = view->assets[i].last_sequence,
				.value = view->assets[i].value,
				.node = (uint8_t)(primary->id + 1),
			}
		);
	hist_check_versions(checker, &sim->history, &verdict);
	hist_check_search(checker, &sim->history, false, &searched);
	sim_count(sim, SIM_COUNT_HISTORIES);
	/* Long ones are left to the first checker. */
	sim->counts[SIM_COUNT_SEARCHED] += searched.gave_up + searched.too_large == 0;
	for (uint32_t i = 0; i < HIST_KINDS; i++)
		SIM_REQUIRE(
			sim,
			verdict.counts[i] + searched.counts[i] == 0,
			"the clients' history, kind %u: by versions %lu, by search %lu (inv. 1, "
			"19-21, "
			"27, 28)",
			i,
			verdict.counts[i],
			searched.counts[i]
		);
}
