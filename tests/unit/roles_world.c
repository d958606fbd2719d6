/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/unit/roles_world.h"

#include "tests/unit/unit.h"

#include <stdlib.h>
#include <string.h>

struct world *world_new(enum rep_policy policy, enum rep_ack ack)
{
	struct world *world = calloc(1, sizeof(*world));
	assert_non_null(world);
	world->now_ns = MS;
	for (int who = 0; who < 2; who++)
		world->nodes[who].config = (struct rep_core_config){
			.link = {.cluster_tag = 7, .node = (uint8_t)who, .peer = (uint8_t)!who},
			.policy = policy,
			.ack = ack,
			.config_digest = 99,
			.slots = WORLD_SLOTS,
			.window = WORLD_SLOTS,
			.heartbeat_interval_ns = MS,
			.heartbeat_misses = 10,
			.retransmit_min_ns = 200 * US,
			.has_log = true,
			.bootstrap = true,
			.preferred_primary = WORLD_A,
			.takeover_delay_ns = 3 * MS,
			.ask_timeout_ns = 5 * MS,
			.fetch_bytes = 1024,
			.record_fresh_ns = 20 * MS,
		};
	return world;
}

void world_free(struct world *world)
{
	free(world);
}

/* --- Disks --- */

static void find_history(const struct world_node *node, struct rep_history *history)
{
	*history = (struct rep_history){.last_sequence = node->written, .arena_first = 1};
	for (uint64_t seq = 1; seq <= node->written; seq++) {
		if (node->log[seq] == history->epoch)
			continue;
		history->epoch = node->log[seq];
		rep_lineage_add(history->lineage, &history->lineage_count, history->epoch, seq);
	}
}

void world_fill_log(struct world *world, int who, uint32_t epoch, uint64_t last)
{
	struct world_node *node = &world->nodes[who];
	assert_true(last < WORLD_MAX_LOG);
	while (node->written < last)
		node->log[++node->written] = epoch;
	node->durable = last;
}

void world_fill_record(
	struct world *world,
	int who,
	enum rep_record_mode mode,
	uint32_t epoch,
	struct rep_pair pair
)
{
	world->nodes[who].disk = (struct rep_record){
		.pair = pair,
		.epoch = epoch,
		.mode = (uint8_t)mode,
		.node = (uint8_t)who,
		.amnesiac = mode == REP_RECORD_LEARNER,
		.committed = world->nodes[who].durable,
	};
}

void world_log_done(struct world *world, int who)
{
	struct world_node *node = &world->nodes[who];
	node->durable = node->written;
	node->wake = true;
}

void world_record_done(struct world *world, int who)
{
	struct world_node *node = &world->nodes[who];
	assert_true(node->write_count > 0);
	node->disk = world_wrote(world, who)->record;
	node->persisted = node->disk.write_number;
	node->wake = true;
}

static void persist(struct world *world, int who)
{
	struct world_node *node = &world->nodes[who];
	node->writes[node->write_count++ % WORLD_MAX_WRITES] = (struct world_write){
		.record = node->core.record,
		.settles = rep_core_settles(&node->core),
		.mode = node->core.mode,
	};
	if (!node->slow_record)
		world_record_done(world, who);
}

static void refill(struct world *world, int who, const struct rep_update *update)
{
	struct world_node *node = &world->nodes[who];
	struct rep_history history;
	assert_false(update->refill.snapshot); /* logs go back to the beginning here */
	node->written = node->durable = update->refill.keep;
	find_history(node, &history);
	rep_core_refilled(&node->core, update->refill.number, &history, world->now_ns);
	node->committed = node->core.committed;
	node->passed = sf_min64(node->passed, node->written);
	node->wake = true;
}

/* --- Arbiter --- */

static void answer_with(struct world *world, int who, uint64_t id, enum rep_outcome outcome)
{
	struct world_node *node = &world->nodes[who];
	node->answer = (struct rep_answer){.id = id, .outcome = outcome, .pair = world->record};
	node->wake = true;
}

/* What the register says to it. */
static enum rep_outcome carry_out(struct world *world, const struct rep_ask *ask)
{
	if (!ask->exchange)
		return REP_ANSWER_READ;
	if (!rep_pair_equal(&world->record, &ask->from))
		return REP_ANSWER_LOST;
	world->record = ask->to;
	return REP_ANSWER_WON;
}

static void take_ask(struct world *world, int who, const struct rep_ask *ask)
{
	enum world_arbiter how = ask->exchange ? world->on_exchange : world->on_read;
	assert_int_equal(world->nodes[who].config.policy, REP_POLICY_ARBITER);
	assert_true(world->asked_count < WORLD_MAX_ASKS);
	world->asked[world->asked_count++] =
		(struct world_asked){.who = who, .now_ns = world->now_ns, .ask = *ask};
	if (how == ARBITER_HOLDS)
		return;
	enum rep_outcome outcome = REP_ANSWER_UNKNOWN;
	if (how != ARBITER_FAILS)
		outcome = carry_out(world, ask);
	answer_with(world, who, ask->id, how == ARBITER_ANSWERS ? outcome : REP_ANSWER_UNKNOWN);
}

void world_arbiter_release(struct world *world, int who, bool answer)
{
	uint32_t i = world->asked_count;
	while (i > 0 && world->asked[i - 1].who != who)
		i--;
	assert_true(i > 0);
	const struct rep_ask *ask = &world->asked[i - 1].ask;
	enum rep_outcome outcome = carry_out(world, ask);
	if (answer)
		answer_with(world, who, ask->id, outcome);
}

uint32_t world_asked(const struct world *world, int who, bool exchange, uint32_t from)
{
	uint32_t count = 0;
	for (uint32_t i = from; i < world->asked_count; i++)
		count += world->asked[i].who == who && world->asked[i].ask.exchange == exchange;
	return count;
}

/* --- Link --- */

void world_cut(struct world *world, bool to_a, bool to_b)
{
	world->cut[WORLD_A] = to_a;
	world->cut[WORLD_B] = to_b;
}

static void send_frame(struct world *world, int who, const struct rep_send *send)
{
	struct world_node *node = &world->nodes[who];
	struct world_queue *wire = &world->wire[!who];
	struct world_frame frame = {.first_sequence = send->range.first};
	rep_core_header(&node->core, send, world->now_ns, &frame.header);
	switch (send->type) {
	case REP_FRAME_HELLO:
		rep_core_hello(&node->core, &frame.body.hello);
		break;
	case REP_FRAME_ADMIT:
	case REP_FRAME_SWITCHOVER:
		rep_core_change(&node->core, &frame.body.change);
		break;
	case REP_FRAME_NAK:
		frame.body.nak = (struct rep_nak){send->range.first, send->range.count};
		break;
	case REP_FRAME_FETCH:
		rep_core_fetch(&node->core, &frame.body.fetch);
		break;
	case REP_FRAME_DATA:
		frame.header.entry_count = (uint16_t)send->range.count;
		for (uint64_t i = 0; i < send->range.count; i++)
			frame.body.epochs[i] = node->log[send->range.first + i];
		break;
	default:
		break;
	}
	if (world->cut[!who] || !world->nodes[!who].up)
		return;
	assert_true(wire->count < WORLD_MAX_FRAMES);
	wire->frames[wire->count++] = frame;
}

static void send_all(struct world *world, int who, const struct rep_update *update)
{
	for (uint32_t i = 0; i < update->send_count; i++) {
		struct rep_send send = update->send[i];
		uint64_t left = send.range.count;
		if (send.type != REP_FRAME_DATA) {
			send_frame(world, who, &send);
			continue;
		}
		for (; left > 0; left -= send.range.count) {
			send.range.count = sf_min64(left, WORLD_FRAME_ENTRIES);
			send_frame(world, who, &send);
			send.range.first += send.range.count;
		}
	}
}

/* --- A poll --- */

static void
append(struct world_node *node, const struct world_frame *frames, const struct rep_update *update)
{
	for (uint32_t i = 0; i < update->store_count; i++) {
		const struct rep_store *store = &update->store[i];
		const struct world_frame *frame = &frames[store->frame];
		for (uint32_t k = store->skip; k < store->skip + store->count; k++)
			node->log[frame->first_sequence + k] = frame->body.epochs[k];
	}
	for (uint64_t i = 0; i < update->append.count; i++) {
		uint64_t seq = update->append.first + i;
		assert_int_equal(seq, node->written + 1);
		rep_core_note(&node->core, node->log[seq], seq);
		node->written = seq;
	}
	if (!node->slow_log)
		node->durable = node->written;
}

static void check(struct world *world, int who, const struct rep_update *update)
{
	struct world_node *node = &world->nodes[who];
	assert_true(update->committed >= node->committed);
	assert_true(update->committed <= node->core.last_sequence);
	for (uint64_t seq = node->committed + 1; seq <= update->committed; seq++) {
		if (!node->core.primary)
			continue;
		assert_true(rep_core_serves(&node->core));
		if (!world->forks && world->committed[seq] != 0)
			assert_int_equal(world->committed[seq], node->log[seq]);
		world->committed[seq] = node->log[seq];
	}
	node->committed = update->committed;
	if (!rep_core_serves(&node->core))
		assert_int_equal(rep_core_room(&node->core), 0);
}

static void poll(struct world *world, int who, uint32_t submit)
{
	static struct world_queue taken;
	static struct rep_frame frames[REP_MAX_FRAMES];
	static struct rep_update update;
	struct world_node *node = &world->nodes[who];
	struct world_queue *wire = &world->wire[who];
	struct rep_event event = {
		.now_ns = world->now_ns,
		.submit_count = submit,
		.frames = frames,
		.frame_count = (uint32_t)sf_min64(wire->count, REP_MAX_FRAMES),
		.passed_sequence = node->passed_is_held ? node->passed : node->written,
		.durable = node->durable,
		.persisted = node->persisted,
		.answer = node->answer.id != 0 ? &node->answer : NULL,
		.operation = node->operation,
		.staged = node->staged,
	};
	taken = *wire;
	wire->count -= event.frame_count;
	memmove(wire->frames,
		taken.frames + event.frame_count,
		wire->count * sizeof(wire->frames[0]));
	event.rx_drained = wire->count == 0;
	for (uint32_t i = 0; i < event.frame_count; i++)
		frames[i] = (struct rep_frame){
			.header = &taken.frames[i].header,
			.body = (const uint8_t *)&taken.frames[i].body,
			.first_sequence = taken.frames[i].first_sequence,
		};
	for (uint32_t i = 0; i < submit; i++)
		node->log[node->written + 1 + i] = node->core.epoch;
	node->wake = false;
	rep_core_step(&node->core, &event, &update);
	node->answer.id = 0;
	node->operation = REP_OPERATION_NONE;
	append(node, taken.frames, &update);
	check(world, who, &update);
	node->answers_dropped += update.drop_answers;
	if (update.persist)
		persist(world, who);
	if (update.ask.id != 0)
		take_ask(world, who, &update.ask);
	if (update.stage != 0) {
		node->staged = (struct rep_range){update.stage, node->written - update.stage + 1};
		node->wake = true;
	}
	send_all(world, who, &update);
	if (update.refill.number != 0)
		refill(world, who, &update);
}

static bool is_due(struct world *world, int who)
{
	struct world_node *node = &world->nodes[who];
	uint64_t passed = node->passed_is_held ? node->passed : node->written;
	return node->wake || world->wire[who].count > 0 ||
	       rep_core_deadline_ns(&node->core) <= world->now_ns ||
	       rep_core_calls(&node->core, passed, node->durable);
}

/* --- Time --- */

void world_run(struct world *world, uint64_t ns)
{
	uint64_t end_ns = world->now_ns + ns;
	while (world->now_ns < end_ns) {
		world->now_ns += WORLD_TICK_NS;
		for (int who = 0; who < 2; who++)
			if (world->nodes[who].up && is_due(world, who))
				poll(world, who, 0);
	}
}

void world_run_until(struct world *world, int who, enum rep_mode mode)
{
	uint64_t end_ns = world->now_ns + 1000 * MS;
	while (world->nodes[who].core.mode != mode && world->now_ns < end_ns)
		world_run(world, WORLD_TICK_NS);
	if (world->nodes[who].core.mode != mode)
		world_expect(world, who, mode, REP_REASON_NONE);
}

void world_stand_still(struct world *world, uint64_t ns)
{
	world->now_ns += ns;
}

void world_start(struct world *world, int who)
{
	struct world_node *node = &world->nodes[who];
	struct rep_history history;
	assert_false(node->up);
	node->config.incarnation = ++world->lives;
	assert_true(rep_core_memory_bytes(&node->config) <= sizeof(node->memory));
	rep_record_boot(&node->disk, node->config.incarnation, node->config.ack);
	node->disk.node = (uint8_t)who;
	find_history(node, &history);
	rep_core_init(&node->core, &node->config, node->memory, world->now_ns);
	rep_core_start_with(&node->core, &history, &node->disk, world->now_ns);
	node->up = true;
	node->persisted = node->disk.write_number;
	node->committed = node->core.committed;
	node->answer.id = 0;
	node->operation = REP_OPERATION_NONE;
	node->staged = (struct rep_range){0};
	node->passed_is_held = false;
	world->wire[who].count = 0;
}

void world_crash(struct world *world, int who)
{
	struct world_node *node = &world->nodes[who];
	assert_true(node->up);
	node->up = false;
	node->written = node->durable;
	world->wire[who].count = 0;
}

void world_leave(struct world *world, int who)
{
	static struct rep_update update;
	struct world_node *node = &world->nodes[who];
	rep_core_leave(&node->core, &update);
	send_all(world, who, &update);
	if (update.persist)
		persist(world, who);
	world_crash(world, who);
}

void world_pair_up(struct world *world)
{
	world_start(world, WORLD_A);
	world_start(world, WORLD_B);
	world_run_until(world, WORLD_A, REP_MODE_PAIRED);
	world_run_until(world, WORLD_B, REP_MODE_STANDBY);
	world_run(world, 2 * MS);
	world_expect(world, WORLD_A, REP_MODE_PAIRED, REP_REASON_NONE);
	world_expect(world, WORLD_B, REP_MODE_STANDBY, REP_REASON_NONE);
	world->asked_count = 0;
}

void world_submit(struct world *world, int who, uint32_t count)
{
	assert_true(count <= rep_core_room(&world->nodes[who].core));
	poll(world, who, count);
}

void world_order(struct world *world, int who, enum rep_operation operation)
{
	world->nodes[who].operation = operation;
	world->nodes[who].wake = true;
}

void world_expect(const struct world *world, int who, enum rep_mode mode, enum rep_reason reason)
{
	const struct rep_core *core = &world->nodes[who].core;
	if (core->mode != mode || core->reason != reason)
		fail_msg(
			"%c is %s (%s), not %s (%s)",
			"AB"[who],
			rep_mode_name(core->mode),
			rep_reason_name(core->reason),
			rep_mode_name(mode),
			rep_reason_name(reason)
		);
}
