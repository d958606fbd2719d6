/* SPDX-License-Identifier: BSD-3-Clause
 *
 * One run: what is drawn from the seed, the loop over events, and the transcript. faults.c has what
 * goes wrong in it.
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
	if (note->kind == SIM_NOTE_MODE)
		printf(" %s", rep_mode_name((enum rep_mode)note->a));
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
		bool rare = fault == SIM_FAULT_DISK_LOST || fault == SIM_FAULT_DISK_FAILS ||
			    fault == SIM_FAULT_DISK_ROTS || fault == SIM_FAULT_ARBITER_BACK;
		uint32_t permille = rare ? 120 : 400;
		if (sim_chance(random, permille) && any)
			plan->faults |= 1u << fault;
	}
	/* An arbiter that forgets is beyond what is promised, but for nodes that remember. */
	if (plan->faults >> SIM_FAULT_ARBITER_BACK & 1)
		plan->faults &=
			~(1u << SIM_FAULT_RESTART | 1u << SIM_FAULT_RESTART_BOTH |
			  1u << SIM_FAULT_DISK_LOST | 1u << SIM_FAULT_DISK_FAILS |
			  1u << SIM_FAULT_OPERATOR);
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
	}
	/* At the moments that matter: a node that has just entered this mode. */
	if (sim_chance(random, 500)) {
		static const enum rep_mode modes[] = {
			REP_MODE_PAIRED,
			REP_MODE_BLOCKED,
			REP_MODE_ALONE,
			REP_MODE_STANDBY,
			REP_MODE_LEARNER,
			REP_MODE_CANDIDATE,
			REP_MODE_WAITING};
		plan->crash_role = modes[sim_below(random, 7)];
		plan->crash_at = (uint32_t)sim_between(random, 2, 8);
	}
	plan->rx_ring = (plan->faults >> SIM_FAULT_SMALL_QUEUE & 1)
				? (uint32_t)sim_between(random, 2, 16)
				: SIM_RX_RING;
}

/* The policy, and what lies behind the core: disk, control, arbiter. */
static void draw_pair(struct sim_plan *plan, struct sim_random *random)
{
	uint64_t window_ns = plan->interval_ns * plan->misses;
	uint64_t policy = sim_below(random, 100);
	plan->policy = policy < 60   ? REP_POLICY_ARBITER
		       : policy < 77 ? REP_POLICY_PRIMARY_CONTINUES
		       : policy < 94 ? REP_POLICY_STANDBY_TAKES_OVER
				     : REP_POLICY_SPLIT_ALLOWED;
	uint64_t ack = sim_below(random, 100);
	plan->ack = ack < 50 ? REP_ACK_RECEIVED : ack < 92 ? REP_ACK_DURABLE : REP_ACK_NONE;
	plan->power = sim_chance(random, 500);
	plan->sync_ns = sim_between(random, 10000, plan->interval_ns * 3);
	plan->record_ns = sim_between(random, 10000, plan->interval_ns * 2);
	plan->boot_ns = sim_between(random, 10000, window_ns);
	plan->refill_ns = sim_between(random, 10000, window_ns * 2);
	plan->stage_ns = sim_between(random, 10000, plan->interval_ns);
	plan->takeover_delay_ns = sim_between(random, plan->interval_ns, window_ns);
	plan->hold_down_ns = sim_chance(random, 300) ? window_ns : 0;
	plan->arbiter_delay_ns = sim_between(random, 10000, plan->interval_ns);
	plan->arbiter_long_ns = sim_between(random, plan->interval_ns, window_ns * 3);
	plan->ask_timeout_ns = sim_between(random, plan->interval_ns * 2, window_ns * 2);
	plan->fresh_ns = sim_between(random, plan->interval_ns * 3, window_ns * 2);
	plan->arbiter_loss = (uint32_t)sim_between(random, 20, 400);
	plan->snapshot_every = sim_chance(random, 600) ? (uint32_t)sim_between(random, 5, 60) : 0;
	plan->honest = sim_chance(random, 500);
	plan->fetch_bytes = (uint32_t)sim_between(random, 200, 5000);
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
	uint32_t least = REP_FRAME_HEADER_BYTES + (uint32_t)sizeof(struct rep_hello);
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
	struct sim_random disk = sim_stream(sim->seed, 4);
	draw_pair(plan, &disk);
	plan->slots[1] = plan->slots[0]; /* equal on both, as the configuration demands */
	plan->liveness_ns = 60 * window_ns + 4 * plan->long_delay_ns + 400 * plan->interval_ns +
			    20 * (plan->ask_timeout_ns + plan->refill_ns + plan->fresh_ns);
}

/* --- The loop --- */

static void frame_arrives(struct sim *sim, uint32_t id, uint32_t frame)
{
	struct sim_node *node = &sim->nodes[id];
	if (!sim_running(node) || node->rx_tail - node->rx_head >= sim->plan.rx_ring) {
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
	if (!sim_running(node) || node->request_tail - node->request_head >= SIM_RX_RING) {
		sim_message_release(sim, message);
		return;
	}
	node->requests[node->request_tail++ % SIM_RX_RING] = message;
	sim_node_wake(sim, id, sim->now_ns + sim_below(&node->random, 4000));
}

static void poll(struct sim *sim, uint32_t id)
{
	struct sim_node *node = &sim->nodes[id];
	enum rep_mode before = node->core.mode;
	sim_node_poll(sim, id);
	sim_faults_kill_early(sim);
	sim_faults_kill_in_mode(sim, id, before);
	/* A node that halted is started again by whoever looks after it. */
	if (sim_running(node) && node->core.mode == REP_MODE_HALTED && sim->given == NULL)
		sim_kill(sim, id);
}

static void poll_due(struct sim *sim, uint32_t id)
{
	struct sim_node *node = &sim->nodes[id];
	if (!sim_running(node) || node->next_poll_ns != sim->now_ns)
		return; /* it has polled meanwhile */
	node->next_poll_ns = UINT64_MAX;
	if (node->paused_until_ns > sim->now_ns)
		sim_node_wake(sim, id, node->paused_until_ns);
	else
		poll(sim, id);
}

/* Something that a node's control process began is done. */
static void of_control(struct sim *sim, struct sim_node *node, const struct sim_event *event)
{
	switch ((enum sim_event_kind)event->kind) {
	case SIM_EVENT_RECORD:
		if (node->state == SIM_DOWN)
			break;
		sim_disk_record_done(sim, node);
		if (node->state == SIM_BOOTING)
			sim_schedule(
				sim,
				sim->now_ns + sim_between(&node->random, 1, sim->plan.boot_ns),
				SIM_EVENT_BOOTED,
				node->id,
				node->life
			);
		else
			sim_node_wake(sim, node->id, sim->now_ns);
		break;
	case SIM_EVENT_BOOTED:
		sim_control_booted(sim, node->id);
		break;
	case SIM_EVENT_REFILL:
		if (sim_running(node))
			sim_control_refilled(sim, node);
		break;
	case SIM_EVENT_STAGE:
		if (sim_running(node))
			sim_control_staged(sim, node);
		break;
	case SIM_EVENT_PIECE:
		if (sim_running(node))
			sim_control_piece(sim, node);
		break;
	default:
		break;
	}
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
		sim_control_boot(sim, event->node);
		break;
	case SIM_EVENT_ASKED:
		sim_arbiter_asked(sim, event->argument);
		break;
	case SIM_EVENT_TOLD:
		sim_arbiter_told(sim, event->argument);
		break;
	case SIM_EVENT_ARBITER_BACK:
		sim->arbiter.away = false;
		sim_note(sim, SIM_NOTE_ARBITER, 0, 0, 0, 0);
		break;
	case SIM_EVENT_BOOTED:
	case SIM_EVENT_RECORD:
	case SIM_EVENT_REFILL:
	case SIM_EVENT_STAGE:
	case SIM_EVENT_PIECE:
		if (event->argument == sim->nodes[event->node].life)
			of_control(sim, &sim->nodes[event->node], event);
		break;
	case SIM_EVENT_FAULT:
		if (!sim->calm)
			sim_faults_make(sim);
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
	sim->calm = sim->paired = sim->over = sim->forced = sim->wiped = sim->rotted = false;
	sim->consent = false;
	sim->crash_entries = 0;
	memset(&sim->arbiter, 0, sizeof(sim->arbiter));
	sim->transcript_hash = sim->seed;
	sim->note_count = sim->steps = 0;
	sim->fault_random = sim_stream(sim->seed, 2);
	if (sim->given != NULL)
		sim->plan = *sim->given;
	else
		sim_draw_plan(sim);
	sim_network_reset(sim);
	sim_ledger_start(sim);
	sim_history_start(sim);
	struct sim_random random = sim_stream(sim->seed, 3);
	for (uint32_t i = 0; i < 2; i++) {
		struct sim_node *node = &sim->nodes[i];
		node->id = i;
		node->state = SIM_DOWN;
		node->life = 0;
		node->persisted = 0;
		memset(&node->disk, 0, sizeof(node->disk));
		memset(node->lives, 0, sizeof(node->lives));
		node->log[0] = 0;
		node->random = sim_stream(sim->seed, 10 + i);
		node->paused_until_ns = 0;
		node->next_poll_ns = UINT64_MAX;
		node->rx_head = node->rx_tail = node->request_head = node->request_tail = 0;
		node->frames_sent = node->frame_heard = node->standby_heard = 0;
		node->history_count = node->committed_before = 0;
		memset(&node->core, 0, sizeof(node->core));
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
	if (sim->given == NULL)
		sim_faults_schedule(sim);
}

/* Where only the operator can help: whoever could tell what was acknowledged has lost its disk. */
static bool helpless(const struct sim *sim)
{
	for (uint32_t i = 0; i < 2; i++) {
		const struct sim_node *node = &sim->nodes[i];
		bool waits = node->core.mode == REP_MODE_WAITING ||
			     node->core.reason == REP_REASON_NO_RIGHT || sim->arbiter.restored;
		if (!sim_running(node) || !waits)
			return false;
	}
	return sim->wiped || sim->rotted || sim->arbiter.restored;
}

/* R17: the operator takes whoever has most of what was acknowledged. */
static void force(struct sim *sim)
{
	const struct sim_view *a = &sim->ledger.views[0], *b = &sim->ledger.views[1];
	bool second = b->epoch > a->epoch || (b->epoch == a->epoch && b->count > a->count);
	struct sim_node *node = &sim->nodes[second ? 1 : 0];
	sim_count(sim, SIM_COUNT_FORCED);
	sim_note(sim, SIM_NOTE_OPERATE, node->id, REP_OPERATION_FORCE, 0, 0);
	node->operation = REP_OPERATION_FORCE;
	node->stop_due = false;
	sim->forced = true;
	sim->forced_ns = sim->now_ns;
	sim_node_wake(sim, node->id, sim->now_ns);
}

bool sim_level(const struct sim *sim)
{
	const struct sim_node *a = &sim->nodes[0], *b = &sim->nodes[1];
	const struct rep_core *core = a->core.primary ? &a->core : &b->core;
	/* After a hand-over that came to nothing it is PAIRED until the right is back. */
	enum rep_mode other = a->core.primary ? b->core.mode : a->core.mode;
	bool async = sim->plan.ack == REP_ACK_NONE && core->mode == REP_MODE_ASYNC &&
		     other == REP_MODE_LEARNER;
	bool paired = core->mode == REP_MODE_PAIRED && other == REP_MODE_STANDBY;
	return sim_running(a) && sim_running(b) && (paired || async) &&
	       a->history_count == b->history_count && core->committed == core->last_sequence;
}

/* After the faults the pair must be whole again within a bound, whatever the clients do (inv. 33).
 */
static void note_paired(struct sim *sim)
{
	uint64_t bound_ns = sim->plan.liveness_ns / 2;
	bool serves = rep_core_serves(&sim->nodes[0].core) || rep_core_serves(&sim->nodes[1].core);
	/* With an arbiter that forgot a pair can be whole at the end of the faults, and then lose
	 * the node whose disk had been stuck. */
	if (sim->paired && !serves && sim->arbiter.restored && !sim->forced)
		sim->paired = false;
	if (!sim->calm || sim->paired)
		return;
	uint64_t took_ns = sim->now_ns - sim->plan.faults_end_ns;
	if (sim->forced)
		took_ns = sim->now_ns - sim->forced_ns;
	else if (took_ns >= bound_ns && helpless(sim)) {
		force(sim);
		return;
	}
	SIM_REQUIRE(
		sim,
		took_ns < bound_ns,
		"not whole %lu ns after the faults: node 0 %s, %s; node 1 %s, %s (inv. 33)",
		took_ns,
		rep_mode_name(sim->nodes[0].core.mode),
		rep_reason_name(sim->nodes[0].core.reason),
		rep_mode_name(sim->nodes[1].core.mode),
		rep_reason_name(sim->nodes[1].core.reason)
	);
	if (!sim_level(sim))
		return;
	sim->paired = true;
	uint64_t percent = took_ns * 100 / bound_ns;
	if (percent > sim->slowest_percent) {
		sim->slowest_percent = percent;
		sim->slowest_seed = sim->seed;
	}
}

bool sim_run(struct sim *sim, uint64_t seed, const struct sim_options *options)
{
	struct sim_event event;
	sim->seed = seed;
	sim->options = *options;
	sim->given = NULL;
	running = sim;
	if (setjmp(sim->failed) != 0)
		return false;
	reset(sim);
	while (sim_next_event(sim, &event)) {
		uint64_t calm_ns = sim->forced ? sim->forced_ns : sim->plan.faults_end_ns;
		if (event.time_ns >= calm_ns + sim->plan.liveness_ns)
			break;
		if (!sim->calm && event.time_ns >= sim->plan.faults_end_ns) {
			sim->now_ns = sim->plan.faults_end_ns;
			sim_calm_down(sim);
		}
		sim->now_ns = event.time_ns;
		dispatch(sim, &event);
		if (!sim->over)
			note_paired(sim);
		if (sim->over)
			return true; /* counted: there is nothing left to compare with */
		if (sim->calm && (event.order & 63) == 0 && sim_clients_done(sim) && sim_level(sim))
			break;
	}
	sim_check_end(sim);
	sim_count(sim, SIM_COUNT_RECOVERED);
	for (uint32_t i = 0; i < 2; i++) {
		const struct rep_stats *stats = &sim->nodes[i].core.stats;
		sim->counts[SIM_COUNT_MERGED] += stats->entries_merged;
		sim->counts[SIM_COUNT_RESENT] += stats->entries_resent;
		sim->counts[SIM_COUNT_OUT_OF_ORDER] += stats->entries_out_of_order;
	}
	return true;
}

/* --- Runs of a script --- */

bool sim_play(
	struct sim *sim,
	uint64_t seed,
	const struct sim_plan *plan,
	void (*script)(struct sim *sim, void *context),
	void *context
)
{
	sim->seed = seed;
	sim->given = plan;
	running = sim;
	if (setjmp(sim->failed) != 0)
		return false;
	reset(sim);
	script(sim, context);
	return true;
}

bool sim_step(struct sim *sim, uint64_t until_ns)
{
	struct sim_event event;
	if (sim->event_count == 0 || sim->events[0].time_ns > until_ns) {
		sim->now_ns = until_ns;
		return false;
	}
	sim_next_event(sim, &event);
	sim->now_ns = event.time_ns;
	dispatch(sim, &event);
	return true;
}
