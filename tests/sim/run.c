/* SPDX-License-Identifier: BSD-3-Clause
 *
 * One run: what is drawn from the seed, the loop over events, the faults and their end, and the
 * transcript.
 */
#include "config/bytes.h"
#include "tests/sim/sim.h"

#include <stdarg.h>
#include <stdio.h>

#define MS 1000000ull

static const char *const fault_names[SIM_FAULTS] = {
#define X(id, name) [SIM_FAULT_##id] = name,
	SIM_FAULT_LIST(X)
#undef X
};

const char *sim_fault_name(enum sim_fault fault)
{
	return fault_names[fault];
}

static const char *const count_names[SIM_COUNTS] = {
#define X(id, name) [SIM_COUNT_##id] = name,
	SIM_COUNT_LIST(X)
#undef X
};

const char *sim_count_name(enum sim_count count)
{
	return count_names[count];
}

#ifdef SF_CANARIES
enum sim_canary sim_canary;
#endif

/* --- Transcript --- */

void sim_note(
	struct sim *sim, enum sim_note_kind kind, uint32_t node, uint64_t a, uint64_t b, uint64_t c
)
{
	struct sim_note *note = &sim->notes[sim->note_count++ % SIM_NOTES];
	*note = (struct sim_note){sim->now_ns, a, b, c, (uint16_t)kind, (uint16_t)node};
	uint64_t h = sim->transcript_hash;
	h = (h ^ sim->now_ns ^ ((uint64_t)kind << 56) ^ ((uint64_t)node << 48)) *
	    0x9fb21c651e98df25ull;
	h = ((h ^ h >> 32) + a) * 0x9fb21c651e98df25ull;
	h = ((h ^ h >> 32) + b) * 0x9fb21c651e98df25ull;
	h = ((h ^ h >> 32) + c) * 0x9fb21c651e98df25ull;
	sim->transcript_hash = h ^ h >> 32;
	if (sim->options.trace)
		sim_print_note(note);
}

void sim_print_note(const struct sim_note *note)
{
	static const char *const texts[SIM_NOTES_KINDS][4] = {
#define X(id, name, a, b, c) [SIM_NOTE_##id] = {name, a, b, c},
		SIM_NOTE_LIST(X)
#undef X
	};
	const char *const *text = texts[note->kind];
	uint64_t values[3] = {note->a, note->b, note->c};
	printf("%13.6f ms %u %s", (double)note->time_ns / 1e6, note->node, text[0]);
	for (uint32_t i = 0; i < 3; i++) {
		if (text[i + 1][0] == '\0')
			continue;
		bool frame = note->kind == SIM_NOTE_SEND || note->kind == SIM_NOTE_TAKE;
		if (i == 0 && frame)
			printf(" %s", rep_frame_type_name((enum rep_frame_type)values[i]));
		else if (i == 1 && note->kind == SIM_NOTE_MODE)
			printf(" %s", rep_reason_name((enum rep_reason)values[i]));
		else if (values[i] > 1ull << 48)
			printf(" %s=%#lx", text[i + 1], values[i]);
		else
			printf(" %s=%lu", text[i + 1], values[i]);
	}
	printf("\n");
}

void sim_fail(struct sim *sim, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(sim->failure, sizeof(sim->failure), format, arguments);
	va_end(arguments);
	longjmp(sim->failed, 1);
}

/* A CHECK of the product that fails is a finding like any other. */
static struct sim *running;
void sf_check_failed(const char *file, int line, const char *text)
{
	sim_fail(running, "CHECK at %s:%d: %s", file, line, text);
}

/* --- The plan --- */

static void draw_faults(struct sim_plan *plan, struct sim_random *random)
{
	uint64_t window_ns = plan->interval_ns * plan->misses;
	plan->faults = 0;
	/* One run in sixteen has none at all. */
	bool any = !sim_chance(random, 60);
	for (uint32_t fault = 0; fault < SIM_FAULTS; fault++) {
		uint32_t permille = fault == SIM_FAULT_RESTART ? 200 : 450;
		if (sim_chance(random, permille) && any)
			plan->faults |= 1u << fault;
	}
	static const uint32_t losses[] = {5, 10, 50, 100, 300, 500};
	plan->loss = losses[sim_below(random, 6)];
	plan->duplicate = losses[sim_below(random, 6)];
	plan->corrupt = losses[sim_below(random, 5)];
	plan->long_delay = (uint32_t)sim_between(random, 1, 100);
	plan->delay_ns = sim_between(random, 1, plan->interval_ns / 4);
	plan->jitter_ns = sim_between(random, 1, plan->interval_ns);
	plan->long_delay_ns = sim_between(random, plan->interval_ns, window_ns * 3);
	plan->client_delay_ns = sim_between(random, 1, plan->interval_ns);
	plan->client_loss = (uint32_t)sim_between(random, 1, 300);
	plan->client_duplicate = (uint32_t)sim_between(random, 1, 300);
	plan->lag_ns = sim_between(random, plan->interval_ns / 10, plan->interval_ns * 3);
	if (sim_chance(random, 400)) {
		plan->early_restart = (uint32_t)sim_between(random, 1, 12);
		plan->early_restart_node = (uint32_t)sim_below(random, 2);
		/* A gap at the very beginning needs losses. */
		if (any && plan->early_restart_node == 0) {
			plan->faults |= 1u << SIM_FAULT_LOSS;
			plan->loss = 300;
		}
	}
	plan->rx_ring = (plan->faults >> SIM_FAULT_SMALL_QUEUE & 1)
				? (uint32_t)sim_between(random, 2, 16)
				: SIM_RX_RING;
}

void sim_draw_plan(struct sim *sim)
{
	struct sim_random random = sim_stream(sim->seed, 1);
	struct sim_plan *plan = &sim->plan;
	*plan = (struct sim_plan){0};
	for (uint32_t i = 0; i < 2; i++)
		plan->slots[i] = 8u << sim_below(&random, 6);
	plan->window = (uint32_t)sim_between(&random, 1, 1ull << sim_between(&random, 1, 8));
	plan->workers[0] = (uint32_t)sim_between(&random, 1, SIM_MAX_WORKERS);
	plan->workers[1] =
		1 + (plan->workers[0] - 1 + (uint32_t)sim_between(&random, 1, SIM_MAX_WORKERS - 1)
		    ) % SIM_MAX_WORKERS;
	plan->max_sessions = (uint32_t)sim_between(&random, 1, SIM_MAX_SESSIONS);
	plan->max_inflight = 1u << sim_between(&random, 1, 4);
	plan->max_payload = (uint32_t)sim_between(&random, 16, SIM_MAX_PAYLOAD);
	uint32_t least = REP_FRAME_HEADER_BYTES + rep_entry_bytes(plan->max_payload);
	plan->mtu = sim_chance(&random, 500) ? SIM_MAX_MTU
					     : (uint32_t)sim_between(&random, least, least + 300);
	plan->interval_ns = MS * sim_between(&random, 1, 10);
	plan->misses = (uint32_t)sim_between(&random, 5, 12);
	plan->retransmit_min_ns = sim_between(&random, plan->interval_ns / 8, plan->interval_ns);
	plan->clients = (uint32_t)sim_between(&random, 1, SIM_MAX_CLIENTS);
	if (plan->clients > sim->options.max_clients)
		plan->clients = sim->options.max_clients;
	plan->assets = (uint32_t)sim_between(&random, 1, SIM_MAX_ASSETS);
	plan->client_window = (uint32_t)sim_between(&random, 1, plan->max_inflight + 2);
	plan->operations = (uint32_t)sim_between(&random, 20, 400);
	plan->retry_ns_factor = (uint32_t)sim_between(&random, 1, 6);
	plan->think_ns = sim_between(&random, plan->interval_ns / 20, plan->interval_ns);
	plan->session_timeout_ns = plan->interval_ns * sim_between(&random, 20, 200);
	plan->session_min_idle_ns = plan->interval_ns * sim_between(&random, 2, 20);
	uint64_t length = sim_between(&random, 30, 120) * sim->options.max_percent / 100;
	plan->faults_end_ns = plan->interval_ns * length;
	draw_faults(plan, &random);
	plan->faults &= ~sim->options.without;
	uint64_t window_ns = plan->interval_ns * plan->misses;
	/* Drawn last, and apart: what was drawn before stays what it was. */
	struct sim_random disk = sim_stream(sim->seed, 4);
	plan->log = sim_chance(&disk, 600);
	plan->durable_acks = plan->log && sim_chance(&disk, 400);
	plan->power = sim_chance(&disk, 500);
	plan->sync_ns = sim_between(&disk, 10000, plan->interval_ns * 3);
	if (plan->log) /* equal on both nodes, as the configuration demands */
		plan->slots[1] = plan->slots[0];
	plan->liveness_ns = 4 * window_ns + 2 * plan->long_delay_ns + 250 * plan->interval_ns;
}

/* --- Faults --- */

static void schedule_fault(struct sim *sim)
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
	if (!node->running)
		return;
	sim_note(sim, SIM_NOTE_PAUSE, id, for_ns, 0, 0);
	node->paused_until_ns = sim->now_ns + for_ns;
}

static void restart_node(struct sim *sim, uint32_t id)
{
	struct sim_node *node = &sim->nodes[id];
	if (!node->running || node->life + 1 == SIM_MAX_LIVES)
		return;
	/* Both memories at once are more than a pair without a log can survive; nothing is promised
	 * then. */
	bool other_lost = id == 0 ? sim->nodes[1].life > 0 : sim->nodes[0].life > 0;
	if (!sim->plan.log && other_lost && sim->ledger.count > 0)
		return;
	const struct sim_node *other = &sim->nodes[1 - id];
	sim->exposed |= !other->running || other->history_count < sim->ledger.committed;
	bool paused = node->paused_until_ns > sim->now_ns;
	sim_disk_kill(sim, node);
	if (sim->plan.log)
		; /* it comes back with what its disk has */
	else if (id == 1)
		sim->memory_lost |= sim->ledger.committed > 0;
	else
		sim->primary_empty = sim->primary_empty || sim->ledger.count > 0;
	sim_node_stop(sim, id, !paused && sim_chance(&sim->fault_random, 400));
	node->life++;
	node->paused_until_ns = 0;
	uint64_t away_ns = draw_duration(sim);
	sim_schedule(sim, sim->now_ns + away_ns, SIM_EVENT_START, id, 0);
}

/* Restarts at the worst moments: the first entries are on the wire and nothing is acknowledged, or
 * all that the standby has lies beyond a gap. */
static void restart_early(struct sim *sim)
{
	const struct rep_core *standby = &sim->nodes[1].core;
	uint32_t id = sim->plan.early_restart_node;
	bool gap = standby->last_sequence == 0 && standby->highest > 0;
	bool due = sim->ledger.count >= sim->plan.early_restart || (id == 0 && gap);
	if (sim_has(sim, SIM_FAULT_RESTART) && sim->plan.early_restart != 0 && due &&
	    sim->nodes[id].life == 0)
		restart_node(sim, id);
}

static void make_fault(struct sim *sim)
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
		if (sim_has(sim, SIM_FAULT_RESTART) && sim_chance(random, 400))
			restart_node(sim, sim_chance(random, 250) ? 0 : 1);
		break;
	case 4:
		/* With a log both may be killed, at once or one while the other is away. */
		if (!sim->plan.log || !sim_has(sim, SIM_FAULT_RESTART))
			break;
		restart_node(sim, node);
		if (sim_chance(random, 500))
			restart_node(sim, 1 - node);
		break;
	default:
		break;
	}
	if (sim_has(sim, SIM_FAULT_INJECT))
		for (uint64_t i = sim_below(random, 6); i > 0; i--)
			sim_network_inject(sim, (uint32_t)sim_below(random, 2));
	schedule_fault(sim);
}

/* From here on everything works: links, loops, clients' network. */
static void calm_down(struct sim *sim)
{
	sim_note(sim, SIM_NOTE_CALM, 0, 0, 0, 0);
	sim->calm = true;
	sim->calm_sequence = sim->nodes[0].history_count;
	for (uint32_t i = 0; i < 2; i++) {
		sim->links[i].cut = false;
		sim->nodes[i].paused_until_ns = 0;
		if (sim->nodes[i].running)
			sim_node_wake(sim, i, sim->now_ns);
	}
}

/* --- The loop --- */

static void frame_arrives(struct sim *sim, uint32_t id, uint32_t frame)
{
	struct sim_node *node = &sim->nodes[id];
	if (!node->running || node->rx_tail - node->rx_head >= sim->plan.rx_ring) {
		sim_note(sim, SIM_NOTE_DROP, id, sim->frames[frame].bytes, 2, 0);
		sim_frame_release(sim, frame);
		return;
	}
	node->rx[node->rx_tail++ % SIM_RX_RING] = frame;
	sim_node_wake(sim, id, sim->now_ns + sim_below(&node->random, 4000));
}

static void request_arrives(struct sim *sim, uint32_t id, uint32_t message)
{
	struct sim_node *node = &sim->nodes[id];
	if (!node->running || node->request_tail - node->request_head >= SIM_RX_RING) {
		sim_message_release(sim, message);
		return;
	}
	node->requests[node->request_tail++ % SIM_RX_RING] = message;
	sim_node_wake(sim, id, sim->now_ns + sim_below(&node->random, 4000));
}

static void poll_due(struct sim *sim, uint32_t id)
{
	struct sim_node *node = &sim->nodes[id];
	if (!node->running || node->next_poll_ns != sim->now_ns)
		return; /* it has polled meanwhile */
	node->next_poll_ns = UINT64_MAX;
	if (node->paused_until_ns > sim->now_ns)
		sim_node_wake(sim, id, node->paused_until_ns);
	else
		sim_node_poll(sim, id);
	restart_early(sim);
}

static void dispatch(struct sim *sim, const struct sim_event *event)
{
	switch ((enum sim_event_kind)event->kind) {
	case SIM_EVENT_FRAME:
		frame_arrives(sim, event->node, event->argument);
		break;
	case SIM_EVENT_REQUEST:
		request_arrives(sim, event->node, event->argument);
		break;
	case SIM_EVENT_ANSWER:
		sim_client_hear(sim, &sim->messages[event->argument]);
		sim_message_release(sim, event->argument);
		break;
	case SIM_EVENT_POLL:
		poll_due(sim, event->node);
		break;
	case SIM_EVENT_CLIENT:
		sim_client_turn(sim, event->node);
		break;
	case SIM_EVENT_START:
		sim_node_start(sim, event->node);
		break;
	case SIM_EVENT_FAULT:
		if (!sim->calm)
			make_fault(sim);
		break;
	case SIM_EVENT_HEAL:
		sim_note(sim, SIM_NOTE_HEAL, 0, event->argument, 0, 0);
		for (uint32_t i = 0; i < 2; i++)
			if (event->argument >> i & 1)
				sim->links[i].cut = false;
		break;
	}
}

static void reset(struct sim *sim)
{
	sim->now_ns = 0;
	sim->calm = sim->paired = sim->memory_lost = sim->primary_empty = false;
	sim->exposed = sim->over = false;
	sim->transcript_hash = sim->seed;
	sim->note_count = sim->steps = 0;
	sim->fault_random = sim_stream(sim->seed, 2);
	sim_draw_plan(sim);
	sim_network_reset(sim);
	sim_ledger_start(sim);
	struct sim_random random = sim_stream(sim->seed, 3);
	for (uint32_t i = 0; i < 2; i++) {
		struct sim_node *node = &sim->nodes[i];
		node->id = i;
		node->running = false;
		node->life = 0;
		node->random = sim_stream(sim->seed, 10 + i);
		node->paused_until_ns = 0;
		node->next_poll_ns = UINT64_MAX;
		node->rx_head = node->rx_tail = node->request_head = node->request_tail = 0;
		node->frames_sent = node->frame_heard = 0;
		node->history_count = node->committed_before = 0;
		memset(&node->core, 0, sizeof(node->core));
		sim_disk_reset(node);
		memset(node->lengths, 0, sizeof(node->lengths));
		uint64_t incarnation = sim_between(&random, 10, 1000);
		for (uint32_t life = 0; life < SIM_MAX_LIVES; life++) {
			node->incarnations[life] = incarnation;
			incarnation += sim_between(&random, 1, 3);
		}
		uint64_t late_ns = sim_below(&random, sim->plan.interval_ns * 25);
		uint64_t start_ns = sim_has(sim, SIM_FAULT_LATE_START) ? late_ns : late_ns / 100;
		sim_schedule(sim, start_ns, SIM_EVENT_START, i, 0);
	}
	sim_clients_start(sim);
	schedule_fault(sim);
}

/* After the faults the pair must be level soon, whatever the clients do (inv. 33). What was in
 * flight may still be late, and a node may be on its way back. */
static void note_paired(struct sim *sim)
{
	const struct rep_core *core = &sim->nodes[0].core;
	uint64_t window_ns = sim->plan.interval_ns * sim->plan.misses;
	uint64_t bound_ns = window_ns + sim->plan.long_delay_ns + 15 * sim->plan.interval_ns;
	if (!sim->calm || sim->paired)
		return;
	uint64_t took_ns = sim->now_ns - sim->plan.faults_end_ns;
	bool hopeless = sim->memory_lost || sim->primary_empty || sim->nodes[0].life > 0 ||
			sim->nodes[1].life > 0;
	SIM_REQUIRE(
		sim,
		hopeless || took_ns < bound_ns,
		"not level %lu ns after the faults: mode %u, %s (inv. 33)",
		took_ns,
		core->mode,
		rep_reason_name(core->reason)
	);
	if (core->mode != REP_MODE_PAIRED || core->committed < sim->calm_sequence)
		return;
	sim->paired = true;
	uint64_t percent = took_ns * 100 / bound_ns;
	if (percent > sim->slowest_percent && !hopeless) {
		sim->slowest_percent = percent;
		sim->slowest_seed = sim->seed;
	}
}

bool sim_run(struct sim *sim, uint64_t seed, const struct sim_options *options)
{
	struct sim_event event;
	sim->seed = seed;
	sim->options = *options;
	running = sim;
	if (setjmp(sim->failed) != 0)
		return false;
	reset(sim);
	uint64_t end_ns = sim->plan.faults_end_ns + sim->plan.liveness_ns;
	while (sim_next_event(sim, &event) && event.time_ns < end_ns) {
		if (!sim->calm && event.time_ns >= sim->plan.faults_end_ns) {
			sim->now_ns = sim->plan.faults_end_ns;
			calm_down(sim);
		}
		sim->now_ns = event.time_ns;
		dispatch(sim, &event);
		if (sim->over)
			return true; /* an excused loss: there is nothing left to compare with */
		note_paired(sim);
		if (sim->calm && (event.order & 63) == 0 && sim_clients_done(sim) &&
		    sim->nodes[1].history_count == sim->nodes[0].history_count &&
		    sim->nodes[0].core.committed == sim->nodes[0].history_count)
			break;
	}
	sim_check_end(sim);
	sim_count(sim, SIM_COUNT_RECOVERED);
	for (uint32_t i = 0; i < 2; i++) {
		const struct rep_stats *stats = &sim->nodes[i].core.stats;
		sim->counts[SIM_COUNT_MERGED] += stats->entries_merged;
		sim->counts[SIM_COUNT_RESENT] += stats->entries_resent;
		sim->counts[SIM_COUNT_OUT_OF_ORDER] += stats->entries_out_of_order;
		sim->counts[SIM_COUNT_BLOCKED] += stats->times_blocked;
	}
	return true;
}
