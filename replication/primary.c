/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The primary of a pair record: PAIRED while its standby acknowledges (R2), BLOCKED when that is
 * lost or in doubt (R4, R6), ALONE by the record and its own disk (R3), admission of the standby
 * (R9), hand-over (R16).
 */
#include "replication/core_parts.h"

/* What may be answered by now. */
uint64_t rep_primary_safe(const struct rep_core *core)
{
	switch (core->mode) {
	case REP_MODE_PAIRED: { /* inv. 8 */
		uint64_t safe = core->acked;
		if (core->config.ack == REP_ACK_DURABLE && !CANARY(ACK_BEFORE_DURABLE))
			safe = sf_min64(safe, sf_min64(core->peer_durable, core->durable));
		if (CANARY(COUNTS_OWN_MEMORY) && core->config.ack == REP_ACK_DURABLE)
			safe = sf_min64(core->acked, core->peer_durable);
		return safe;
	}
	case REP_MODE_ALONE: /* inv. 9 */
		return CANARY(ALONE_FROM_MEMORY) ? core->last_sequence
						 : sf_min64(core->durable, core->last_sequence);
	case REP_MODE_ASYNC:
		return core->last_sequence;
	case REP_MODE_BLOCKED:
		return CANARY(BLOCKED_COMMITS) ? core->last_sequence : 0;
	default:
		return 0;
	}
}

void rep_primary_take_learner(struct rep_core *core, uint64_t now_ns)
{
	const struct rep_hello *hello = &core->peer.hello;
	/* It fetches a snapshot first. */
	if (hello->last_sequence + 1 < sf_min64(core->log_first, rep_core_oldest(core)))
		return;
	/* It has cut its log to what is common; a description from before that does not count. */
	if (hello->last_sequence > 0 &&
	    !rep_history_holds(core, hello->last_epoch, hello->last_sequence))
		return;
	rep_window_restart(core, hello->last_sequence, now_ns);
	core->peer_durable = 0;
	core->peer_limit = hello->last_sequence;
	core->stream = true;
}

/* Is the standby there, as the one that this epoch counts on? */
static bool standby_here(const struct rep_core *core)
{
	return core->link_up && !core->peer_left && core->peer.mode == REP_MODE_STANDBY &&
	       core->peer.epoch == core->epoch;
}

/* Is whoever was asked to take over about to do so, or may it yet? A candidate of an own copy of
 * the record does it for certain. */
static bool heir_here(const struct rep_core *core, bool patient)
{
	if (standby_here(core))
		return patient;
	patient |= core->config.policy == REP_POLICY_SPLIT_ALLOWED;
	return core->link_up && !core->peer_left && core->peer.mode == REP_MODE_CANDIDATE &&
	       core->peer.epoch == core->epoch && patient;
}

/* It was admitted a moment ago and does not know it yet. */
static bool standby_expected(const struct rep_core *core, uint64_t now_ns)
{
	return core->link_up && !core->peer_left && core->change_due_ns != 0 &&
	       core->peer.mode == REP_MODE_LEARNER &&
	       now_ns - core->admitted_ns <= rep_link_window_ns(core);
}

static bool unheard(const struct rep_core *core)
{
	uint64_t window_ns = rep_link_window_ns(core);
	return rep_link_silent(core, window_ns) || rep_link_deaf(core, window_ns);
}

static enum rep_reason reason_of_loss(const struct rep_core *core)
{
	if (core->peer_left)
		return REP_REASON_PEER_LEFT;
	if (!core->link_up || core->peer.mode == REP_MODE_WAITING)
		return REP_REASON_PEER_RESTARTED;
	/* A peer that died was last heard a little after its last echo: that is not deafness. */
	bool mute = rep_link_silent(core, rep_link_window_ns(core) / 2);
	return mute ? REP_REASON_PEER_SILENT : REP_REASON_PEER_DEAF;
}

/* The pair record becomes {me}, where the policy leaves that to us. */
static void go_alone(struct rep_core *core, uint64_t now_ns)
{
	uint8_t me = core->config.link.node;
	if (core->move.phase != REP_PHASE_NONE)
		return;
	if (!rep_move_allowed(core) || rep_core_held(core)) {
		core->reason = core->on_hold ? REP_REASON_HELD : REP_REASON_NO_RIGHT;
		return;
	}
	/* R20: never on the strength of what the record once was. */
	if (!rep_move_fresh(core, core->suspect_ns, now_ns) || core->pair.epoch != core->epoch)
		return;
	struct rep_pair to = {
		.epoch = rep_next_epoch(core->epoch, me),
		.primary = me,
		.in_sync = rep_core_bit(me),
		.holder = me,
	};
	rep_move_begin(core, REP_MOVE_GO_ALONE, to, now_ns);
}

static void paired_step(struct rep_core *core, bool rx_drained, uint64_t now_ns)
{
	bool here = standby_here(core);
	if (here)
		core->change_due_ns = 0; /* it has heard ADMIT */
	bool lost = !(here || standby_expected(core, now_ns)) || (rx_drained && unheard(core));
	if (lost) {
		core->suspect_ns = now_ns;
		core->draining = core->handing_over = false;
		core->change_due_ns = 0;
		rep_core_set_mode(core, REP_MODE_BLOCKED, reason_of_loss(core));
		return;
	}
	if (core->peer.leaving) {
		/* Still there, so that nothing stops while the record is changed. */
		if (core->suspect_ns == 0)
			core->suspect_ns = now_ns;
		go_alone(core, now_ns);
	} else if (core->config.ack == REP_ACK_NONE && !core->handing_over) {
		/* R18: the record is {P}, but for a hand-over that came to nothing. */
		if (core->suspect_ns == 0)
			core->suspect_ns = now_ns;
		if (rep_move_allowed(core))
			go_alone(core, now_ns);
	} else if (core->move.phase == REP_PHASE_NONE) {
		core->suspect_ns = 0;
	}
	if (!core->handing_over || !here)
		return;
	bool drained = core->committed == core->last_sequence && core->acked == core->committed &&
		       core->passed_sequence >= core->last_sequence;
	if (!drained)
		return;
	uint8_t other = rep_core_other(core);
	rep_core_set_mode(core, REP_MODE_BLOCKED, REP_REASON_HANDING_OVER);
	core->change_from = core->epoch;
	core->change_last = core->last_sequence;
	core->change_due_ns = now_ns;
	if (core->config.policy != REP_POLICY_PRIMARY_CONTINUES)
		return;
	/* The right goes with it. */
	core->change_due_ns = 0;
	struct rep_pair to = {
		.epoch = rep_next_epoch(core->epoch, other),
		.primary = other,
		.in_sync = rep_core_bit(other),
		.holder = other,
	};
	rep_move_begin(core, REP_MOVE_GIVE, to, now_ns);
}

static void blocked_step(struct rep_core *core, bool rx_drained, uint64_t now_ns)
{
	bool moving = core->move.phase == REP_PHASE_ISSUED;
	if (core->move.phase >= REP_PHASE_LOG || (moving && core->move.kind != REP_MOVE_GO_ALONE))
		return;
	if (core->handing_over) {
		uint64_t patience_ns = 2 * rep_link_window_ns(core);
		bool given = core->pair.primary != core->config.link.node;
		if (given) {
			/* Not ours any more, whether or not the other knows. */
			if (now_ns - core->role_ns > patience_ns)
				rep_roles_step_down(core, REP_REASON_DEPOSED);
			return;
		}
		bool patient = now_ns - core->role_ns <= patience_ns;
		if (heir_here(core, patient) && !unheard(core))
			return;
		core->handing_over = core->draining = false;
		core->change_due_ns = 0;
		core->suspect_ns = now_ns;
	}
	/* R20: the same life of the standby, still of this epoch: what it acknowledges counts, even
	 * while a move is under way. */
	bool back = standby_here(core) || (CANARY(RESUME_AFTER_RESTART) && core->link_up &&
					   core->peer.mode == REP_MODE_WAITING);
	if (back && !(rx_drained && unheard(core)) && core->pair.epoch == core->epoch &&
	    core->pair.in_sync == REP_BOTH_IN_SYNC) {
		bool level = core->acked == core->last_sequence;
		rep_core_set_mode(
			core,
			level ? REP_MODE_PAIRED : REP_MODE_BLOCKED,
			level ? REP_REASON_NONE : REP_REASON_CATCHING_UP
		);
		if (level && !moving)
			core->suspect_ns = 0;
		return;
	}
	if (core->suspect_ns == 0)
		core->suspect_ns = now_ns;
	if (!moving)
		core->reason = reason_of_loss(core);
	go_alone(core, now_ns);
}

/* R9, the part before the record is asked for. */
static void alone_step(struct rep_core *core, uint64_t now_ns)
{
	bool learns = core->stream && core->link_up && !core->peer_left &&
		      core->peer.mode == REP_MODE_LEARNER && core->peer.epoch == core->epoch;
	bool here = learns && !unheard(core);
	if (!here) {
		core->stream = learns;
		core->draining = core->handing_over = false;
		return;
	}
	/* R18: the follower of an asynchronous pair is admitted only to take over. */
	bool keeps = core->mode == REP_MODE_ASYNC && !core->handing_over;
	if (keeps || core->move.phase != REP_PHASE_NONE || rep_core_held(core))
		return;
	if (rep_move_limited(core, now_ns)) {
		core->reason = REP_REASON_FLAPPING;
		core->draining = false;
		return;
	}
	uint64_t near = core->config.slots / 8;
	if (!rep_move_fresh(core, core->role_ns, now_ns) || core->pair.epoch != core->epoch)
		return;
	/* Nobody is made to wait for a learner that is not close, or whose disk hangs. */
	bool close =
		core->last_sequence - core->acked <= near &&
		core->last_sequence - sf_min64(core->peer_durable, core->last_sequence) <= near;
	uint64_t patience_ns = rep_link_window_ns(core);
	/* Nor for one that once could not keep up, until its disk holds what was missing then. */
	bool proven = core->peer_durable >= core->drain_goal;
	if (!core->draining && (!close || !proven || now_ns < core->drain_ns))
		return;
	if (!core->draining)
		core->drain_ns = now_ns;
	core->draining = now_ns - core->drain_ns <= patience_ns;
	if (!core->draining) {
		core->drain_ns = now_ns + 2 * patience_ns;
		core->drain_goal = core->last_sequence;
		return;
	}
	bool all = core->acked == core->last_sequence && core->committed == core->last_sequence &&
		   core->peer_durable >= core->last_sequence;
	if (!all && !CANARY(ADMIT_EARLY))
		return;
	bool kept = core->config.policy != REP_POLICY_STANDBY_TAKES_OVER;
	struct rep_pair to = {
		.epoch = rep_next_epoch(core->epoch, core->config.link.node),
		.primary = core->config.link.node,
		.in_sync = REP_BOTH_IN_SYNC,
		.holder = kept ? core->config.link.node : rep_core_other(core),
	};
	rep_move_begin(core, REP_MOVE_ADMIT, to, now_ns);
}

void rep_primary_operation(struct rep_core *core, enum rep_operation operation, uint64_t now_ns)
{
	if (operation == REP_OPERATION_LEAVE)
		core->leaving = true;
	bool may = core->mode == REP_MODE_PAIRED || (core->mode == REP_MODE_ASYNC && core->stream);
	if (!may || core->move.phase != REP_PHASE_NONE)
		return;
	core->handing_over = true;
	/* An asynchronous pair drains as for an admission, from now on; a drain without a beginning
	 * would count as one that has taken too long. */
	if (core->mode == REP_MODE_PAIRED)
		core->draining = true;
	else
		core->drain_ns = now_ns;
}

void rep_primary_step(struct rep_core *core, bool rx_drained, uint64_t now_ns)
{
	if (core->mode == REP_MODE_PAIRED)
		paired_step(core, rx_drained, now_ns);
	else if (core->mode == REP_MODE_BLOCKED)
		blocked_step(core, rx_drained, now_ns);
	else
		alone_step(core, now_ns);
}
