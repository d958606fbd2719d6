/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What asset workers do, as the dataplane does it: apply in sequence order, hold answers until the
 * entry is committed and the node serves, keep reads until a fresh echo of the standby. A worker
 * may lag behind by a drawn time.
 */
#include "config/bytes.h"
#include "tests/sim/sim.h"

static uint32_t worker_of(const struct sim_node *node, const struct sim_item *item)
{
	/* Openings belong to worker 0; a closing has nothing to do, but its slot must be passed. */
	if (item->kind == SIM_OPEN || item->kind == SIM_CLOSE)
		return 0;
	return rep_partition(item->asset_id) % node->worker_count;
}

void sim_worker_push(struct sim *sim, struct sim_node *node, const struct sim_item *item)
{
	uint32_t partition_owner = worker_of(node, item);
	/* A repeat goes to whoever applied the first entry, whatever asset it names now. */
	if (item->repeat && item->kind == SIM_UPDATE)
		partition_owner = item->status % node->worker_count;
	struct sim_worker *worker = &node->workers[partition_owner];
	SIM_REQUIRE(
		sim,
		worker->tail - worker->head < SIM_WORKER_ITEMS,
		"simulator: worker queue of node %u is full",
		node->id
	);
	worker->queue[worker->tail++ % SIM_WORKER_ITEMS] = *item;
	if (item->kind == SIM_READ || item->repeat)
		node->side_items++;
}

static void
execute(struct sim *sim, struct sim_node *node, struct sim_worker *worker, struct sim_item *item)
{
	bool primary = node->core.primary;
	if (item->kind == SIM_READ) {
		struct dp_operation operation = {
			.asset_id = item->asset_id,
			.client_id = item->client_id,
			.opcode = CLI_REGISTER_GET,
		};
		struct dp_result result = {.payload = item->payload};
		item->status = (uint8_t
		)dp_shard_read(&worker->shard, &operation, &result, &item->asset_version);
		item->payload_bytes = result.payload_bytes;
	} else if (item->kind == SIM_UPDATE && !item->repeat) {
		const struct rep_entry *entry =
			rep_arena_entry(&node->intake.arena, item->sequence);
		sim_check_wire(sim, node, entry, item->sequence);
		if (!SIM_CANARY(SKIPS_ENTRY) || item->sequence % 16 != 0 || primary)
			dp_shard_apply(&worker->shard, entry, item->session);
		if (SIM_CANARY(APPLIES_TWICE) && item->sequence % 16 == 0)
			dp_shard_apply(&worker->shard, entry, item->session);
	}
	if (item->client == UINT8_MAX || item->kind == SIM_CLOSE)
		return;
	SIM_REQUIRE(
		sim,
		worker->held_count < SIM_WORKER_ITEMS,
		"simulator: too many held answers on node %u",
		node->id
	);
	worker->held[worker->held_count++] = *item;
}

void sim_workers_run(struct sim *sim, struct sim_node *node)
{
	for (uint32_t w = 0; w < node->worker_count; w++) {
		struct sim_worker *worker = &node->workers[w];
		uint32_t budget = UINT32_MAX;
		if (worker->head == worker->tail)
			continue;
		if (sim_has(sim, SIM_FAULT_WORKER_LAG)) {
			if (worker->busy_until_ns > sim->now_ns) {
				sim_node_wake(sim, node->id, worker->busy_until_ns);
				continue;
			}
			budget = (uint32_t)sim_between(&node->random, 1, 8);
			worker->busy_until_ns =
				sim->now_ns + sim_below(&node->random, sim->plan.lag_ns);
		}
		while (worker->head != worker->tail && budget-- > 0)
			execute(sim, node, worker, &worker->queue[worker->head++ % SIM_WORKER_ITEMS]
			);
		if (worker->head != worker->tail)
			sim_node_wake(
				sim, node->id, sf_max64(worker->busy_until_ns, sim->now_ns + 1)
			);
	}
}

/* What was applied stays so; whom to tell is forgotten. */
void sim_workers_drop(struct sim_node *node)
{
	for (uint32_t w = 0; w < node->worker_count; w++) {
		struct sim_worker *worker = &node->workers[w];
		uint32_t kept = worker->head;
		for (uint32_t i = worker->head; i != worker->tail; i++) {
			struct sim_item item = worker->queue[i % SIM_WORKER_ITEMS];
			if (item.kind == SIM_READ || item.repeat)
				continue;
			item.client = UINT8_MAX;
			worker->queue[kept++ % SIM_WORKER_ITEMS] = item;
		}
		worker->tail = kept;
		worker->held_count = 0;
	}
	node->side_items = 0;
}

uint64_t sim_workers_passed(const struct sim_node *node)
{
	uint64_t oldest = node->history_count + 1;
	if (SIM_CANARY(PASSES_EARLY))
		return node->history_count;
	for (uint32_t w = 0; w < node->worker_count; w++) {
		const struct sim_worker *worker = &node->workers[w];
		for (uint32_t i = worker->head; i != worker->tail; i++) {
			const struct sim_item *item = &worker->queue[i % SIM_WORKER_ITEMS];
			if (item->kind == SIM_READ || item->repeat)
				continue;
			oldest = sf_min64(oldest, item->sequence);
			break; /* entries stand in order */
		}
		for (uint32_t i = 0; i < worker->held_count; i++)
			if (worker->held[i].kind != SIM_READ && !worker->held[i].repeat)
				oldest = sf_min64(oldest, worker->held[i].sequence);
	}
	return oldest - 1;
}

/* True when the item is done with. */
static bool
answer(struct sim *sim, struct sim_node *node, struct sim_worker *worker, struct sim_item *item)
{
	bool early =
		item->kind == SIM_READ ? SIM_CANARY(READS_UNCOMMITTED) : SIM_CANARY(ANSWERS_EARLY);
	if (node->core.committed < item->sequence && !early)
		return false;
	if (item->kind == SIM_READ && node->confirmed_frame < item->frame)
		return false;
	struct sim_message answer = {
		.kind = item->kind,
		.client = item->client,
		.epoch = node->core.epoch,
		.node = (uint8_t)node->id,
		.status = item->status,
		.repeat = item->repeat && !SIM_CANARY(REPEAT_AS_FIRST),
		.client_id = item->client_id,
		.request_seq = item->request_seq,
		.asset_id = item->asset_id,
		.sequence = item->sequence,
		.asset_version = item->asset_version,
		.payload_bytes = item->payload_bytes,
	};
	if (item->kind == SIM_READ) {
		answer.sequence = 0;
		memcpy(answer.payload, item->payload, item->payload_bytes);
		sim_check_read(sim, node, item);
	} else if (item->kind == SIM_OPEN) {
		answer.status = CLI_OK;
	} else {
		const struct dp_answer *kept = dp_shard_answer(
			&worker->shard, item->session, item->request_seq, item->sequence
		);
		if (kept == NULL) {
			sim_check_unanswered(sim, node, item);
			return true;
		}
		answer.status = kept->status;
		answer.asset_version = kept->asset_version;
		answer.payload_bytes = kept->payload_bytes;
		memcpy(answer.payload, kept->payload, kept->payload_bytes);
	}
	sim_check_answer(sim, node, &answer);
	uint32_t message = item->client == UINT8_MAX ? UINT32_MAX : sim_message_new(sim);
	if (message != UINT32_MAX) {
		sim->messages[message] = answer;
		sim_client_answer(sim, message);
	}
	return true;
}

void sim_workers_answer(struct sim *sim, struct sim_node *node)
{
	/* Blocked silence: whoever may not commit just now says nothing (inv. 10). */
	if (!rep_core_serves(&node->core) && !SIM_CANARY(ANSWERS_BLOCKED))
		return;
	for (uint32_t w = 0; w < node->worker_count; w++) {
		struct sim_worker *worker = &node->workers[w];
		uint32_t kept = 0;
		for (uint32_t i = 0; i < worker->held_count; i++) {
			struct sim_item *item = &worker->held[i];
			bool side = item->kind == SIM_READ || item->repeat;
			if (!answer(sim, node, worker, item)) {
				if (kept != i)
					worker->held[kept] = *item;
				kept++;
			} else if (side) {
				node->side_items--;
			}
		}
		worker->held_count = kept;
	}
}
