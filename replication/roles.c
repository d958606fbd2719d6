/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Roles by the pair record (roles.md): what a node does that is no primary. WAITING looks for a
 * primary to learn from, or for the right to be one (R11); LEARNER is sent what it misses (R8, R9);
 * STANDBY acknowledges, and takes over when the primary is lost (R5).
 */
#include "replication/core_parts.h"

#define FORCED_EPOCHS (1u << 16) /* far beyond whatever the other side may reach meanwhile */

bool rep_roles_peer_here(const struct rep_core *core)
{
	return core->link_up && core->peer.described && !core->peer_left &&
	       !rep_link_silent(core, rep_link_window_ns(core));
}

static bool peer_is(const struct rep_core *core, enum rep_mode mode)
{
	return rep_roles_peer_here(core) && core->peer.mode == mode;
}

static bool peer_blank(const struct rep_core *core)
{
	return core->peer.hello.record_mode == REP_RECORD_BLANK;
}

void rep_roles_step_down(struct rep_core *core, enum rep_reason reason)
{
	if (core->mode == REP_MODE_HALTED)
		return;
	core->stats.step_downs++;
	core->drop_answers_due |= core->primary || core->mode == REP_MODE_CANDIDATE;
	core->move.phase = REP_PHASE_NONE;
	core->stream = core->draining = core->handing_over = false;
	core->resend_count = 0;
	core->merge_end = 0;
	core->change_due_ns = core->suspect_ns = 0;
	core->admission.epoch = 0;
	rep_gather_restart(core);
	rep_core_set_mode(core, REP_MODE_WAITING, reason);
	if (core->record.mode != REP_RECORD_LEARNER && core->record.mode != REP_RECORD_BLANK)
		rep_move_write(core, REP_RECORD_LEARNER, core->record.epoch, true);
}

void rep_roles_higher_epoch(struct rep_core *core, const struct rep_frame *frame)
{
	const struct rep_header *header = frame->header;
	struct rep_change change;
	/* The peer has read of a move of ours, whose answer has not come yet. */
	if (core->move.phase == REP_PHASE_ISSUED && header->epoch == core->move.to.epoch) {
		core->read_first = true;
		return;
	}
	if (core->mode == REP_MODE_LEARNER) {
		if (header->type == REP_FRAME_ADMIT && core->admission.epoch == 0) {
			memcpy(&change, frame->body, sizeof(change));
			/* R9: at exactly that length, and by the record that it came from. */
			bool fits = change.from_epoch == core->epoch &&
				    change.last_sequence == core->last_sequence &&
				    core->highest == core->last_sequence &&
				    change.pair.epoch == header->epoch &&
				    change.pair.in_sync == REP_BOTH_IN_SYNC;
			if (fits)
				core->admission = change.pair;
		}
		/* Whom we learn from counts us in, or is about to; ADMIT will be told again. But
		 * not when it has moved on since. */
		bool admits = header->mode == REP_MODE_PAIRED || header->mode == REP_MODE_BLOCKED;
		bool same = core->admission.epoch == 0 || core->admission.epoch == header->epoch;
		if (admits && same && core->stream)
			return;
		rep_core_set_mode(core, REP_MODE_WAITING, REP_REASON_DEPOSED);
		core->stream = core->fetch.active = false;
		core->admission.epoch = 0;
	} else if (core->mode != REP_MODE_WAITING) {
		rep_roles_step_down(core, REP_REASON_DEPOSED);
	}
	core->epoch = header->epoch;
	core->merge_end = 0;
	core->hello_due = true;
}

void rep_roles_described(struct rep_core *core, uint64_t now_ns)
{
	const struct rep_pair *pair = &core->peer.hello.pair;
	uint8_t me = core->config.link.node;
	/* A learner hears of it by ADMIT; a blank node has no say. */
	if (core->config.policy != REP_POLICY_ARBITER && pair->epoch > core->pair.epoch &&
	    core->mode != REP_MODE_LEARNER && core->record.mode != REP_RECORD_BLANK) {
		/* The right to change the record has been given to us; or this is how it stands. */
		if (pair->holder == me && core->move.phase == REP_PHASE_NONE)
			rep_move_begin(core, REP_MOVE_TAKE, *pair, now_ns);
		else if (pair->holder != me && core->move.phase == REP_PHASE_NONE)
			rep_move_heard(core, pair, now_ns);
	}
	if (core->mode == REP_MODE_WAITING) {
		/* What a merging primary may ask for. */
		core->sent = core->last_sequence;
		core->acked =
			sf_min64(core->last_sequence, rep_history_common(core, &core->peer.hello));
	}
	/* The primary's log has moved on meanwhile. */
	if (core->mode == REP_MODE_LEARNER && !core->fetch.active && core->admission.epoch == 0 &&
	    core->peer.hello_epoch == core->epoch &&
	    core->last_sequence + 1 < core->peer.hello.arena_first)
		rep_fetch_begin(core);
	if (!core->primary)
		return;
	bool follows = core->peer.mode == REP_MODE_LEARNER || core->peer.mode == REP_MODE_STANDBY;
	if (!follows)
		core->stream = false;
	else if (core->peer.hello_epoch == core->epoch && !core->stream)
		rep_primary_take_learner(core, now_ns);
}

void rep_roles_switchover(struct rep_core *core, const struct rep_frame *frame, uint64_t now_ns)
{
	struct rep_change change;
	memcpy(&change, frame->body, sizeof(change));
	uint8_t me = core->config.link.node;
	if (core->mode != REP_MODE_STANDBY || core->move.phase != REP_PHASE_NONE ||
	    change.last_sequence != core->last_sequence)
		return;
	if (core->config.policy == REP_POLICY_PRIMARY_CONTINUES) {
		if (change.pair.holder == me && change.pair.epoch > core->pair.epoch)
			rep_move_begin(core, REP_MOVE_TAKE, change.pair, now_ns);
		return;
	}
	core->handing_over = true; /* standby_step sees it as a lost primary */
}

/* --- WAITING --- */

/* What is beyond `keep` is in nobody's history. */
void rep_roles_refill(struct rep_core *core, uint64_t keep, bool snapshot)
{
	core->refill.wanted = true;
	core->refill.keep = keep;
	core->refill.snapshot = snapshot;
	core->stream = false;
	core->refill_number++;
	core->filled_count = 0;
	core->refill_due = true;
	core->stats.refills++;
	core->merge_end = 0;
	rep_core_set_mode(core, REP_MODE_WAITING, REP_REASON_REFILLING);
}

/* Everything beyond what is common goes, when there is anything. False: not yet, or never. */
static bool cut_to_common(struct rep_core *core)
{
	uint64_t common = rep_history_common(core, &core->peer.hello);
	if (CANARY(CUT_TOO_FAR) && common > 0)
		common--;
	/* Only by consent of the operator there can be two (R17, R18, N3). */
	bool forked = core->peer.hello_epoch >= core->record.epoch + FORCED_EPOCHS / 2 ||
		      core->config.policy == REP_POLICY_SPLIT_ALLOWED ||
		      core->config.ack == REP_ACK_NONE;
	if (core->last_sequence == common || CANARY(STATE_SURVIVES))
		return true;
	if (common < core->committed && !forked) {
		rep_core_halt(core, REP_REASON_OTHER_HISTORY); /* inv. 16 */
		return false;
	}
	if (common < core->committed)
		core->stats.entries_forked += core->committed - common;
	rep_roles_refill(core, common, false);
	return false;
}

/* A primary serves: its history is the one (R8). */
static void follow(struct rep_core *core)
{
	core->merge_end = 0;
	/* Before anything is cut the disk says that this node no longer counts. */
	if (core->record.mode != REP_RECORD_LEARNER || !core->record.amnesiac) {
		rep_move_write(core, REP_RECORD_LEARNER, core->record.epoch, true);
		core->reason = REP_REASON_CATCHING_UP;
	}
	if (!rep_move_written(core))
		return;
	/* Its log no longer reaches back to what is common: all of its state is fetched instead. */
	const struct rep_hello *hello = &core->peer.hello;
	bool fetch = rep_history_common(core, hello) + 1 < hello->arena_first;
	if (!fetch && !cut_to_common(core))
		return;
	if (fetch)
		rep_fetch_begin(core);
	core->stream = true;
	core->epoch = core->peer.hello_epoch;
	core->led_ns = core->last_step_ns;
	rep_gather_restart(core);
	rep_core_set_mode(core, REP_MODE_LEARNER, REP_REASON_CATCHING_UP);
}

static bool peer_serves(const struct rep_core *core)
{
	return (peer_is(core, REP_MODE_ALONE) || peer_is(core, REP_MODE_ASYNC)) &&
	       core->peer.epoch >= core->epoch && core->peer.epoch >= core->pair.epoch &&
	       core->peer.hello_ns >= core->role_ns; /* it knows of all that it sent us before */
}

/* True when nothing of the peer's is missing any more and the log is durable. */
static bool merged(struct rep_core *core, uint64_t now_ns)
{
	const struct rep_hello *hello = &core->peer.hello;
	if (rep_history_peer_is_newer(core, hello) && !CANARY(LONGER_STANDBY_IGNORED)) {
		core->reason = REP_REASON_MERGING;
		if (core->peer.epoch != core->epoch || core->peer.hello_epoch != core->epoch)
			return false; /* they agree on it first */
		if (!cut_to_common(core) || core->merge_end != 0)
			return false;
		rep_gather_restart(core);
		rep_merge_begin(core, hello->last_sequence, now_ns);
		return false;
	}
	return core->merge_end == 0;
}

static void stand(struct rep_core *core, enum rep_move_kind kind, uint64_t now_ns)
{
	uint8_t me = core->config.link.node;
	bool held = rep_core_held(core) && kind != REP_MOVE_FORCE;
	if (!rep_move_allowed(core) || held) {
		core->reason = held ? REP_REASON_HELD : REP_REASON_NO_RIGHT;
		return;
	}
	core->merge_end = 0;
	uint32_t beyond = kind == REP_MOVE_FORCE ? FORCED_EPOCHS : 0;
	uint32_t known = (uint32_t)sf_max64(core->pair.epoch, core->epoch);
	uint32_t from = kind == REP_MOVE_FORCE ? known : core->pair.epoch;
	struct rep_pair to = {
		.epoch = rep_next_epoch(from + beyond, me),
		.primary = me,
		.in_sync = rep_core_bit(me),
		.holder = me,
	};
	if (CANARY(SAME_EPOCH) && kind == REP_MOVE_RESTART) {
		core->move = (struct rep_move){kind, REP_PHASE_LOG, core->pair, core->pair};
		core->epoch = core->pair.epoch;
		rep_core_set_mode(core, REP_MODE_CANDIDATE, REP_REASON_BARRIER);
		return;
	}
	rep_move_begin(core, kind, to, now_ns);
}

/* R19: two blank nodes make a pair. Its first primary is blank no more before it asks for it. */
static void bootstrap(struct rep_core *core, uint64_t now_ns)
{
	core->reason = REP_REASON_NO_RECORD;
	bool me = core->config.preferred_primary == core->config.link.node;
	/* A node that lost its record, and knows that, founds nothing. */
	bool fresh = core->last_sequence == 0 && core->record.epoch == 0 &&
		     (core->record.mode != REP_RECORD_BLANK || !core->record.amnesiac);
	bool peer_fresh = peer_blank(core) && !core->peer.hello.amnesiac &&
			  core->peer.hello.last_sequence == 0;
	if (!core->config.bootstrap || !me || !peer_is(core, REP_MODE_WAITING) || !fresh ||
	    !peer_fresh || !rep_move_fresh(core, core->role_ns, now_ns))
		return;
	if (core->record.mode == REP_RECORD_BLANK)
		rep_move_write(core, REP_RECORD_LEARNER, 0, true);
	else if (rep_move_written(core))
		stand(core, REP_MOVE_BOOTSTRAP, now_ns);
}

/* May the record's primary go on by itself after a restart, with what its disk holds? */
static bool may_restart(const struct rep_core *core)
{
	const struct rep_record *record = &core->record;
	uint8_t me = core->config.link.node;
	bool lone = core->pair.in_sync == rep_core_bit(me);
	if (CANARY(LAST_PRIMARY_SERVES) ||
	    (CANARY(BLANK_SERVES) && record->mode == REP_RECORD_BLANK))
		return true;
	if (lone && rep_record_complete(record, &core->pair))
		return record->mode == REP_RECORD_ALONE;
	/* The move to {P} was not learned: nothing was served in its epoch, and all that was
	 * acknowledged before is here. */
	bool held = record->mode == REP_RECORD_PAIRED || record->mode == REP_RECORD_ALONE;
	return lone && held && !record->amnesiac &&
	       rep_next_epoch(record->epoch, me) == core->pair.epoch;
}

/* A move that was found to have taken place is noted before the next one is made. */
static void restart(struct rep_core *core, uint64_t now_ns)
{
	bool noted = CANARY(LAST_PRIMARY_SERVES) || CANARY(BLANK_SERVES);
	if (core->record.epoch != core->pair.epoch && !noted)
		rep_move_write(core, REP_RECORD_ALONE, core->pair.epoch, false);
	else if (rep_move_written(core))
		stand(core, REP_MOVE_RESTART, now_ns);
}

/* Both were in sync and the own disk holds all that was acknowledged: either may go on, the last
 * primary first. */
static void stand_complete(struct rep_core *core, bool mine, uint64_t now_ns)
{
	uint64_t grace_ns = rep_link_window_ns(core) + core->config.takeover_delay_ns;
	core->reason = REP_REASON_WAIT_PEER;
	/* A primary that has lost its disk will not be one again: it is as if it were away. */
	bool away = !rep_roles_peer_here(core) || (!mine && peer_blank(core));
	if (peer_is(core, REP_MODE_WAITING) && !away) {
		if (mine && merged(core, now_ns))
			stand(core, REP_MOVE_MERGE, now_ns);
		return;
	}
	if (!mine)
		grace_ns += grace_ns;
	if (away && now_ns - core->role_ns > grace_ns)
		stand(core, mine ? REP_MOVE_RESTART : REP_MOVE_PROMOTE, now_ns);
}

/* N2: who holds the record as standby, and cannot use it or is to leave, gives it away. */
static bool give_back(struct rep_core *core, uint64_t now_ns)
{
	uint8_t me = core->config.link.node, other = rep_core_other(core);
	if (core->config.policy != REP_POLICY_STANDBY_TAKES_OVER || core->pair.holder != me ||
	    core->pair.primary != other || core->pair.in_sync != REP_BOTH_IN_SYNC)
		return false;
	if (peer_is(core, REP_MODE_WAITING) && peer_blank(core))
		return false; /* neither can it */
	bool complete = rep_record_complete(&core->record, &core->pair);
	if (complete && !core->leaving && !peer_is(core, REP_MODE_WAITING) &&
	    !peer_is(core, REP_MODE_BLOCKED))
		return false;
	struct rep_pair to = {
		.epoch = rep_next_epoch(core->pair.epoch, other),
		.primary = other,
		.in_sync = rep_core_bit(other),
		.holder = other,
	};
	rep_move_begin(core, REP_MOVE_GIVE, to, now_ns);
	return true;
}

/* R11, without a primary that serves. */
static void decide(struct rep_core *core, uint64_t now_ns)
{
	uint8_t me = core->config.link.node;
	bool mine = core->pair.primary == me;
	if (core->pair.epoch == 0) {
		bootstrap(core, now_ns);
		return;
	}
	core->reason = mine ? REP_REASON_WAIT_PEER : REP_REASON_WAIT_PRIMARY;
	bool blank = core->record.mode == REP_RECORD_BLANK && !CANARY(BLANK_SERVES);
	if (blank || give_back(core, now_ns))
		return; /* inv. 18 */
	if (mine && may_restart(core)) {
		restart(core, now_ns);
		return;
	}
	bool both = core->pair.in_sync == REP_BOTH_IN_SYNC;
	if (both && rep_record_complete(&core->record, &core->pair)) {
		stand_complete(core, mine, now_ns);
		return;
	}
	if (!mine || !peer_is(core, REP_MODE_WAITING)) {
		core->merge_end = 0;
		return;
	}
	/* A wiped disk has no say in what was acknowledged. But the pair may just be coming into
	 * being: whoever never was in any epoch has been named by its own unlearned moves only. */
	bool first = core->record.epoch == 0 && core->last_sequence == 0 &&
		     core->pair.in_sync == rep_core_bit(me);
	if (peer_blank(core) && !first) {
		core->reason = REP_REASON_PEER_BLANK;
		return;
	}
	if (merged(core, now_ns) && rep_move_allowed(core))
		stand(core, REP_MOVE_MERGE, now_ns);
}

static void waiting_step(struct rep_core *core, uint64_t now_ns)
{
	/* Histories are compared when nothing has just been added to ours. */
	if (core->refill.wanted || core->move.phase != REP_PHASE_NONE || !core->noted)
		return;
	if (core->refusal == REP_REASON_CONFIG_MISMATCH) {
		core->reason = REP_REASON_CONFIG_MISMATCH;
		return;
	}
	if (core->leaving)
		return;
	if (peer_serves(core) && !core->forced) {
		follow(core);
		return;
	}
	if (!rep_move_fresh(core, core->role_ns, now_ns)) {
		if (core->merge_end == 0)
			core->reason = core->arbiter_back ? REP_REASON_ARBITER_BACK
							  : REP_REASON_ARBITER_SILENT;
		return;
	}
	if (core->forced) {
		core->forced = false;
		core->pair.holder = core->config.link.node;
		stand(core, REP_MOVE_FORCE, now_ns);
		return;
	}
	decide(core, now_ns);
}

/* --- LEARNER --- */

static void learner_step(struct rep_core *core, struct rep_update *update, uint64_t now_ns)
{
	rep_fetch_step(core, update, now_ns);
	if (core->refill.wanted)
		return;
	if (core->admission.epoch != 0) {
		if (core->record.epoch != core->admission.epoch) {
			core->pair = core->admission;
			rep_move_write(core, REP_RECORD_STANDBY, core->admission.epoch, false);
		}
		if (!rep_move_written(core) && !CANARY(STANDBY_BEFORE_RECORD))
			return;
		core->epoch = core->admission.epoch;
		core->admission.epoch = 0;
		core->admitted_ns = core->last_step_ns;
		core->ack_due = true;
		rep_core_set_mode(core, REP_MODE_STANDBY, REP_REASON_NONE);
		return;
	}
	if (core->peer.epoch == core->epoch)
		core->led_ns = core->last_step_ns;
	bool lasts = core->last_step_ns - core->led_ns <= 2 * rep_link_window_ns(core);
	bool heard = core->link_up && !core->peer_left &&
		     !rep_link_silent(core, rep_link_window_ns(core));
	if (heard && lasts && core->stream && core->peer.mode != REP_MODE_WAITING &&
	    core->peer.mode != REP_MODE_CANDIDATE)
		return;
	core->stream = core->fetch.active = false;
	rep_core_set_mode(core, REP_MODE_WAITING, REP_REASON_PEER_SILENT);
}

/* --- STANDBY --- */

static bool primary_lost(const struct rep_core *core, bool rx_drained)
{
	uint64_t window_ns = rep_link_window_ns(core) + core->config.takeover_delay_ns;
	if (!core->link_up || core->peer_left)
		return true;
	if (core->peer.mode == REP_MODE_WAITING || core->peer.mode == REP_MODE_CANDIDATE)
		return true;
	/* One that does not hear us commits nothing with us, and may be able to do nothing about
	 * it: its frames alone do not make it a primary. */
	return rx_drained && (rep_link_silent(core, window_ns) || rep_link_deaf(core, window_ns));
}

static void standby_step(struct rep_core *core, bool rx_drained, uint64_t now_ns)
{
	uint8_t me = core->config.link.node;
	if (core->move.phase != REP_PHASE_NONE)
		return;
	if (core->leaving && give_back(core, now_ns))
		return;
	/* It goes on acknowledging until the primary has heard that it need not count on that. */
	if (core->pair.epoch > core->epoch &&
	    now_ns - core->last_hello_ns >= core->config.heartbeat_interval_ns)
		core->hello_due = true;
	core->handing_over &= core->peer.mode == REP_MODE_BLOCKED;
	bool asked = core->handing_over;
	/* A primary that hands over may still be heard; one that is back as it was is not lost. */
	if (!primary_lost(core, rx_drained) && !asked) {
		core->suspect_ns = 0;
		rep_core_set_mode(core, REP_MODE_STANDBY, REP_REASON_NONE);
		return;
	}
	if (core->suspect_ns == 0)
		core->suspect_ns = now_ns;
	bool gone = !core->link_up || core->peer.mode == REP_MODE_WAITING;
	bool mute = rep_link_silent(core, rep_link_window_ns(core));
	bool deaf = !mute && rep_link_deaf(core, rep_link_window_ns(core));
	core->reason = asked  ? REP_REASON_HANDING_OVER
		       : gone ? REP_REASON_PEER_RESTARTED
		       : deaf ? REP_REASON_PEER_DEAF
			      : REP_REASON_PEER_SILENT;
	if (rep_core_held(core)) {
		core->reason = REP_REASON_HELD;
		return;
	}
	bool follows = core->config.policy == REP_POLICY_PRIMARY_CONTINUES;
	if (follows || !rep_move_allowed(core)) {
		core->reason = follows ? core->reason : REP_REASON_NO_RIGHT;
		/* It has lost its memory, and takes ours. */
		if (core->peer.described && core->peer.mode == REP_MODE_WAITING)
			rep_roles_step_down(core, REP_REASON_GAVE_UP);
		return;
	}
	if (!asked && now_ns - core->admitted_ns < core->config.hold_down_ns)
		return; /* R15 */
	bool as_expected = core->pair.epoch == core->epoch &&
			   core->pair.in_sync == REP_BOTH_IN_SYNC && core->pair.primary != me;
	if (CANARY(PROMOTE_UNREAD) && core->pair.epoch == core->epoch) {
		/* It takes its own guess for the arbiter's word. */
		stand(core, REP_MOVE_PROMOTE, now_ns);
		core->move.phase = REP_PHASE_LOG;
		core->epoch = core->move.to.epoch;
		core->pair = core->move.to;
		return;
	}
	if (!rep_move_fresh(core, core->suspect_ns, now_ns) || !as_expected)
		return;
	stand(core, REP_MOVE_PROMOTE, now_ns);
	core->handing_over = false;
}

/* --- All of them --- */

void rep_roles_start(struct rep_core *core)
{
	core->primary = false;
	core->mode = REP_MODE_WAITING;
}

/* S01, S02, P18: a node whose disk hangs leaves the in-sync set, or its role, while the other one
 * is there; it learns until its log has caught up. */
static void judge_disk(struct rep_core *core, uint64_t now_ns)
{
	bool waits = core->last_sequence - sf_min64(core->durable, core->last_sequence) >=
		     core->config.slots / 2;
	bool stuck = waits && core->last_step_ns - core->disk_ns > 2 * rep_link_window_ns(core);
	core->disk_stuck = stuck;
	bool other_may = core->config.policy == REP_POLICY_ARBITER ||
			 core->config.policy == REP_POLICY_STANDBY_TAKES_OVER;
	/* It stays as long as nobody could be named instead. */
	bool primary = core->mode == REP_MODE_PAIRED && other_may &&
		       rep_move_fresh(core, core->disk_ns, now_ns);
	/* One that is about to leave cannot take over. */
	if (core->peer.leaving)
		return;
	if (stuck && (core->mode == REP_MODE_STANDBY || primary) &&
	    core->move.phase == REP_PHASE_NONE && rep_roles_peer_here(core))
		rep_roles_step_down(core, REP_REASON_DISK_STUCK);
}

static bool wants_read(const struct rep_core *core, uint64_t now_ns)
{
	switch (core->mode) {
	case REP_MODE_WAITING:
		return !core->refill.wanted && (!peer_serves(core) || core->forced);
	case REP_MODE_STANDBY:
	case REP_MODE_PAIRED:
	case REP_MODE_BLOCKED:
		return core->suspect_ns != 0 || core->peer.leaving || core->disk_stuck;
	case REP_MODE_ASYNC:
		return core->handing_over && !rep_move_fresh(core, core->role_ns, now_ns);
	case REP_MODE_ALONE:
		return core->stream && !rep_move_fresh(core, core->role_ns, now_ns);
	default:
		return false;
	}
}

void rep_roles_step(
	struct rep_core *core,
	const struct rep_event *event,
	struct rep_update *update,
	uint64_t now_ns
)
{
	rep_move_events(core, event, now_ns);
	/* One that serves has no need of it, unless its record is gone. */
	bool force = event->operation == REP_OPERATION_FORCE &&
		     (!rep_core_serves(core) || core->arbiter_back);
	if (force) {
		if (core->mode != REP_MODE_WAITING)
			rep_roles_step_down(core, REP_REASON_GAVE_UP);
		core->forced = true;
		core->leaving = false;
	} else if (event->operation == REP_OPERATION_INIT) {
		core->config.bootstrap = true;
	} else if (event->operation == REP_OPERATION_HOLD || event->operation == REP_OPERATION_RELEASE) {
		core->on_hold = event->operation == REP_OPERATION_HOLD;
	} else if (event->operation != REP_OPERATION_NONE && event->operation != REP_OPERATION_FORCE) {
		rep_primary_operation(core, event->operation, now_ns);
	}

	judge_disk(core, now_ns);
	if (core->mode == REP_MODE_WAITING)
		waiting_step(core, now_ns);
	else if (core->mode == REP_MODE_LEARNER)
		learner_step(core, update, now_ns);
	else if (core->mode == REP_MODE_STANDBY)
		standby_step(core, event->rx_drained, now_ns);
	else if (core->primary)
		rep_primary_step(core, event->rx_drained, now_ns);
	rep_fetch_send(core, event, update);
	rep_move_step(core, wants_read(core, now_ns), now_ns);

	update->persist = core->persist_due;
	core->persist_due = false;
	update->drop_answers = core->drop_answers_due && !CANARY(ANSWER_SURVIVES);
	core->drop_answers_due = false;
	if (core->ask_due)
		update->ask = core->ask;
	core->ask_due = false;
	if (core->refill_due) {
		update->refill.number = core->refill_number;
		update->refill.keep = core->refill.keep;
		update->refill.snapshot = core->refill.snapshot;
	}
	core->refill_due = false;
}

uint64_t rep_roles_deadline_ns(const struct rep_core *core)
{
	uint64_t due = rep_move_deadline_ns(core);
	if (core->change_due_ns != 0)
		due = sf_min64(due, core->change_due_ns);
	if (core->fetch.active)
		due = sf_min64(due, core->fetch.due_ns);
	/* Between roles: look about at least as often as the peer speaks. */
	if (core->mode != REP_MODE_PAIRED && core->mode != REP_MODE_STANDBY)
		due = sf_min64(due, core->last_step_ns + core->config.heartbeat_interval_ns);
	return due;
}
