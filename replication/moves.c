/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Changes of the pair record (roles.md, section 4). A move is a compare-and-set at the arbiter or,
 * where a node holds the record itself, a write of its role record. Once issued it is never given
 * up: as long as the record stands as it was, the move may still take place, however late; so it is
 * asked for again until the record has another epoch (R6, R12). Then comes the barrier (R5, inv.
 * 12): the log is made durable, then the role record, and only then anybody is served.
 */
#include "replication/core_parts.h"

#define HOUR_NS 3600000000000ull

static bool by_arbiter(const struct rep_core *core)
{
	return core->config.policy == REP_POLICY_ARBITER;
}

bool rep_move_allowed(const struct rep_core *core)
{
	uint8_t me = core->config.link.node;
	return by_arbiter(core) || core->config.policy == REP_POLICY_SPLIT_ALLOWED ||
	       core->pair.holder == me || core->pair.epoch == 0 ||
	       (CANARY(RIGHT_KEPT) && core->primary);
}

bool rep_move_fresh(const struct rep_core *core, uint64_t since_ns, uint64_t now_ns)
{
	if (!by_arbiter(core))
		return true;
	return core->read_ns != 0 && core->read_ns >= since_ns &&
	       now_ns - core->read_ns <= core->config.record_fresh_ns;
}

/* R15: the last move of the hour is kept for a loss of the peer. */
bool rep_move_limited(const struct rep_core *core, uint64_t now_ns)
{
	const uint32_t places = sizeof(core->move_times) / sizeof(core->move_times[0]);
	uint32_t most = core->config.max_moves_per_hour, recent = 0;
	for (uint32_t i = 0; i < core->move_time_count && i < places; i++)
		recent += now_ns - core->move_times[i] < HOUR_NS;
	return most != 0 && recent + 1 >= sf_min64(most, places);
}

static void know(struct rep_core *core, const struct rep_pair *pair, uint64_t now_ns)
{
	const uint32_t places = sizeof(core->move_times) / sizeof(core->move_times[0]);
	if (pair->epoch != core->pair.epoch && core->pair.epoch != 0)
		core->move_times[core->move_time_count++ % places] = now_ns;
	core->pair = *pair;
}

bool rep_core_settles(const struct rep_core *core)
{
	return !by_arbiter(core) &&
	       (core->move.kind == REP_MOVE_GIVE || core->move.kind == REP_MOVE_ADMIT) &&
	       core->move.phase != REP_PHASE_NONE;
}

void rep_move_write(struct rep_core *core, enum rep_record_mode mode, uint32_t epoch, bool amnesiac)
{
	core->record.mode = (uint8_t)mode;
	core->record.epoch = epoch;
	core->record.amnesiac = amnesiac;
	/* A write that is to change the record is not taken back by another one. */
	bool issued = core->move.phase == REP_PHASE_ISSUED && !by_arbiter(core);
	core->record.pair = issued ? core->move.to : core->pair;
	core->record.committed = sf_min64(core->committed, core->durable);
	core->record.write_number++;
	core->persist_due = true;
}

void rep_move_begin(
	struct rep_core *core, enum rep_move_kind kind, struct rep_pair to, uint64_t now_ns
)
{
	to.holder = by_arbiter(core) ? REP_HOLDER_ARBITER : to.holder;
	core->move = (struct rep_move){
		.kind = kind,
		.phase = REP_PHASE_ISSUED,
		.from = core->pair,
		.to = to,
	};
	if (by_arbiter(core)) {
		core->next_ask_ns = now_ns;
		core->read_first = false;
	} else {
		core->record.pair = to;
		core->record.write_number++;
		core->persist_due = true;
	}
	switch (kind) {
	case REP_MOVE_GO_ALONE:
		if (core->mode != REP_MODE_PAIRED)
			rep_core_set_mode(core, REP_MODE_BLOCKED, REP_REASON_GOING_ALONE);
		break;
	case REP_MOVE_ADMIT:
		rep_core_set_mode(core, REP_MODE_BLOCKED, REP_REASON_ADMITTING);
		break;
	case REP_MOVE_GIVE:
	case REP_MOVE_TAKE:
	case REP_MOVE_NONE:
		break;
	case REP_MOVE_PROMOTE:
	case REP_MOVE_RESTART:
	case REP_MOVE_MERGE:
	case REP_MOVE_BOOTSTRAP:
	case REP_MOVE_FORCE:
		rep_core_set_mode(core, REP_MODE_CANDIDATE, REP_REASON_TAKING_OVER);
		break;
	}
}

/* The record names us alone: nothing is served before the barrier. */
static void begin_barrier(struct rep_core *core)
{
	core->epoch = core->move.to.epoch;
	core->move.phase = REP_PHASE_LOG;
	core->stream = core->draining = core->handing_over = false;
	core->resend_count = 0;
	core->change_due_ns = 0;
	core->suspect_ns = 0;
	rep_gather_restart(core);
	rep_core_set_mode(
		core, core->primary ? REP_MODE_BLOCKED : REP_MODE_CANDIDATE, REP_REASON_BARRIER
	);
}

static void learned(struct rep_core *core, uint64_t now_ns)
{
	struct rep_move *move = &core->move;
	uint8_t me = core->config.link.node;
	know(core, &move->to, now_ns);
	core->stats.moves++;
	switch (move->kind) {
	case REP_MOVE_ADMIT:
		core->epoch = move->to.epoch;
		core->change_from = move->from.epoch;
		core->change_last = core->last_sequence;
		rep_move_write(core, REP_RECORD_PAIRED, core->epoch, false);
		move->phase = REP_PHASE_RECORD;
		break;
	case REP_MOVE_GIVE:
		move->phase = REP_PHASE_NONE;
		core->change_from = move->from.epoch;
		core->hello_due = true;
		core->change_due_ns = core->handing_over ? now_ns : 0;
		break;
	case REP_MOVE_TAKE:
		/* Whoever kept all that it acknowledged may go on with it at once. */
		if (move->to.primary == me &&
		    (core->mode == REP_MODE_BLOCKED || core->mode == REP_MODE_PAIRED ||
		     core->mode == REP_MODE_STANDBY)) {
			begin_barrier(core);
			break;
		}
		move->phase = REP_PHASE_NONE;
		core->epoch = (uint32_t)sf_max64(core->epoch, move->to.epoch);
		break;
	default:
		begin_barrier(core);
		break;
	}
}

/* The record says otherwise, and will not say again what the move was from. */
static void lost(struct rep_core *core, const struct rep_pair *pair, uint64_t now_ns)
{
	know(core, pair, now_ns);
	core->move.phase = REP_PHASE_NONE;
	rep_roles_step_down(core, REP_REASON_DEPOSED);
}

void rep_move_heard(struct rep_core *core, const struct rep_pair *pair, uint64_t now_ns)
{
	if (pair->epoch > core->pair.epoch)
		know(core, pair, now_ns);
}

/* --- The arbiter --- */

static bool makes_sense(const struct rep_core *core, const struct rep_pair *pair)
{
	if (pair->epoch == 0)
		return core->pair.epoch == 0;
	return pair->primary <= 1 && pair->in_sync <= REP_BOTH_IN_SYNC &&
	       (pair->in_sync & rep_core_bit(pair->primary)) != 0 &&
	       pair->epoch >= core->pair.epoch;
}

/* The record was read and is as it stands in core->pair. */
static void reconcile(struct rep_core *core)
{
	bool has_role = core->primary || core->mode == REP_MODE_STANDBY;
	if (has_role && core->pair.epoch != core->epoch && core->move.phase == REP_PHASE_NONE)
		rep_roles_step_down(core, REP_REASON_DEPOSED);
	else if (core->mode == REP_MODE_WAITING)
		core->epoch = (uint32_t)sf_max64(core->epoch, core->pair.epoch);
}

static void take_answer(struct rep_core *core, const struct rep_answer *answer, uint64_t now_ns)
{
	if (core->ask.id == 0 || answer->id != core->ask.id)
		return; /* too late: it has been asked again */
	bool exchange = core->ask.exchange;
	core->ask.id = 0;
	core->next_ask_ns = now_ns + core->config.heartbeat_interval_ns;
	bool known = answer->outcome != REP_ANSWER_UNKNOWN;
	if (known && !makes_sense(core, &answer->pair)) {
		core->stats.arbiter_went_back++;
		core->arbiter_back = true;
		known = core->forced && core->move.phase == REP_PHASE_NONE;
	} else if (known) {
		core->arbiter_back = false;
	}
	if (CANARY(UNKNOWN_IS_WON) && exchange && !known) {
		learned(core, now_ns);
		return;
	}
	if (!known) {
		core->stats.asks_unanswered++;
		core->read_first = core->move.phase == REP_PHASE_ISSUED;
		return;
	}
	core->read_ns = core->ask_ns;
	struct rep_pair pair = answer->pair;
	pair.holder = REP_HOLDER_ARBITER;
	pair.reserved = 0;
	if (core->arbiter_back) {
		/* W08, and the operator's word: whatever stands there is what is replaced. */
		core->epoch = (uint32_t)sf_max64(core->epoch, core->pair.epoch);
		core->pair = pair;
	} else if (core->move.phase != REP_PHASE_ISSUED) {
		know(core, &pair, now_ns);
		reconcile(core);
	} else if (rep_pair_equal(&pair, &core->move.to)) {
		learned(core, now_ns);
	} else if (!rep_pair_equal(&pair, &core->move.from)) {
		lost(core, &pair, now_ns);
	} else if (CANARY(CAS_ABANDONED) && core->move.kind == REP_MOVE_ADMIT) {
		core->move.phase = REP_PHASE_NONE;
		rep_core_set_mode(core, REP_MODE_ALONE, REP_REASON_NONE);
	} else {
		core->read_first = false; /* it has not happened yet: once more */
		core->next_ask_ns = now_ns;
	}
}

static void ask(struct rep_core *core, bool wants_read, uint64_t now_ns)
{
	if (core->ask.id != 0) {
		if (now_ns - core->ask_ns < core->config.ask_timeout_ns)
			return;
		core->stats.asks_unanswered++;
		core->ask.id = 0;
		core->read_first = core->move.phase == REP_PHASE_ISSUED;
	}
	bool moving = core->move.phase == REP_PHASE_ISSUED;
	if (now_ns < core->next_ask_ns || !(moving || wants_read))
		return;
	bool exchange = moving && !core->read_first;
	core->ask = (struct rep_ask){.id = ++core->ask_count, .exchange = exchange};
	if (exchange) {
		core->ask.from = core->move.from;
		core->ask.to = core->move.to;
	}
	core->ask_ns = now_ns;
	core->ask_due = true;
	core->stats.asks++;
}

/* --- Steps --- */

void rep_move_events(struct rep_core *core, const struct rep_event *event, uint64_t now_ns)
{
	core->persisted = sf_max64(core->persisted, event->persisted);
	if (event->answer != NULL && by_arbiter(core))
		take_answer(core, event->answer, now_ns);
	if (CANARY(BOTH_AUTOMATIC) && core->move.phase == REP_PHASE_ISSUED &&
	    core->move.kind != REP_MOVE_ADMIT && core->move.kind != REP_MOVE_BOOTSTRAP)
		learned(core, now_ns);
	if (core->move.phase == REP_PHASE_ISSUED && !by_arbiter(core) && rep_move_written(core))
		learned(core, now_ns);
}

static void serve(struct rep_core *core, uint64_t now_ns)
{
	core->move.phase = REP_PHASE_NONE;
	rep_window_restart(core, core->last_sequence, now_ns);
	core->peer_durable = core->peer_limit = 0;
	bool async = core->config.ack == REP_ACK_NONE;
	rep_core_set_mode(core, async ? REP_MODE_ASYNC : REP_MODE_ALONE, REP_REASON_NONE);
}

static void pass_barrier(struct rep_core *core, uint64_t now_ns)
{
	struct rep_move *move = &core->move;
	bool log_is_safe = core->durable >= core->last_sequence || CANARY(NO_BARRIER) ||
			   CANARY(RECORD_BEFORE_LOG);
	if (move->phase == REP_PHASE_LOG && log_is_safe) {
		rep_move_write(core, REP_RECORD_ALONE, core->epoch, false);
		move->phase = REP_PHASE_RECORD;
	}
	if (move->phase != REP_PHASE_RECORD || (!rep_move_written(core) && !CANARY(NO_BARRIER)))
		return;
	if (CANARY(RECORD_BEFORE_LOG) && core->durable < core->last_sequence)
		return;
	if (move->kind != REP_MOVE_ADMIT) {
		serve(core, now_ns);
		return;
	}
	move->phase = REP_PHASE_NONE;
	core->draining = core->handing_over;
	core->change_due_ns = now_ns;
	core->admitted_ns = now_ns;
	rep_core_set_mode(core, REP_MODE_PAIRED, REP_REASON_NONE);
}

void rep_move_step(struct rep_core *core, bool wants_read, uint64_t now_ns)
{
	core->read_wanted = wants_read;
	if (core->move.phase >= REP_PHASE_LOG)
		pass_barrier(core, now_ns);
	if (by_arbiter(core))
		ask(core, wants_read, now_ns);
}

uint64_t rep_move_deadline_ns(const struct rep_core *core)
{
	if (!by_arbiter(core))
		return UINT64_MAX;
	if (core->ask.id != 0)
		return core->ask_ns + core->config.ask_timeout_ns;
	bool wanted = core->read_wanted || core->move.phase == REP_PHASE_ISSUED;
	return wanted ? core->next_ask_ns : UINT64_MAX;
}
