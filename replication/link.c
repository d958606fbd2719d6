/* SPDX-License-Identifier: BSD-3-Clause */
#include "replication/core_parts.h"

void rep_core_set_mode(struct rep_core *core, enum rep_mode mode, enum rep_reason reason)
{
	if (core->mode == REP_MODE_HALTED)
		return;
	if (mode == REP_MODE_BLOCKED && core->mode == REP_MODE_PAIRED)
		core->stats.times_blocked++;
	core->mode = mode;
	core->reason = reason;
}

/* A primary is BLOCKED for it, a standby merely waits. */
static void wait_for(struct rep_core *core, enum rep_reason reason)
{
	bool primary = core->config.role == REP_PRIMARY;
	rep_core_set_mode(core, primary ? REP_MODE_BLOCKED : REP_MODE_STANDBY, reason);
}

static void drop_link(struct rep_core *core, enum rep_reason reason)
{
	core->link_up = false;
	core->resend_count = 0;
	core->merge_end = 0;
	core->nak_due_ns = 0;
	core->hole_named = false;
	wait_for(core, reason);
}

uint64_t rep_link_window_ns(const struct rep_core *core)
{
	return core->config.heartbeat_interval_ns * core->config.heartbeat_misses;
}

/* R14: an absence of our own that makes the peer's silence meaningless. */
static uint64_t own_gap_ns(const struct rep_core *core)
{
	return rep_link_window_ns(core) / 4;
}

/* RFC 6298, section 2. Frame numbers are never used twice, so an echo tells which transmission it
 * answers (as in QUIC, RFC 9002, section 5), and lost frames leave no trace in the estimate. */
static void take_sample(struct rep_core *core, const struct rep_header *header, uint64_t now_ns)
{
	if (core->frame_number - header->heard_frame >= REP_SENT_TIMES)
		return;
	uint64_t rtt = now_ns - core->sent_ns[header->heard_frame % REP_SENT_TIMES];
	uint64_t age = (uint64_t)header->heard_age_us * 1000;
	/* Longer than the detection window: that was somebody's absence, and as an estimate it
	 * would keep repair waiting for as long again. */
	if (rtt > rep_link_window_ns(core) || now_ns - core->last_step_ns > own_gap_ns(core))
		return;
	/* The peer may have kept the echo for a while: that is not the wire's. */
	rtt = rtt > age ? rtt - age : 0;
	uint64_t error = rtt > core->rtt_ns ? rtt - core->rtt_ns : core->rtt_ns - rtt;
	if (core->rtt_ns == 0) {
		core->rtt_ns = rtt;
		core->rtt_var_ns = rtt / 2;
		return;
	}
	core->rtt_var_ns += error / 4;
	core->rtt_var_ns -= core->rtt_var_ns / 4;
	core->rtt_ns += rtt / 8;
	core->rtt_ns -= core->rtt_ns / 8;
}

/* Only a frame number above all that were heard proves that the peer was alive since: duplicates
 * and late arrivals prove nothing (N20). The echo is judged the same way. */
static void note_heard(struct rep_core *core, const struct rep_header *header, uint64_t now_ns)
{
	if (header->frame_number > core->heard_frame) {
		core->heard_frame = header->frame_number;
		core->heard_ns = now_ns;
	}
	if (header->destination_incarnation == core->config.incarnation &&
	    header->heard_frame > core->peer_heard_frame &&
	    header->heard_frame <= core->frame_number) {
		core->peer_heard_frame = header->heard_frame;
		core->echo_ns = now_ns;
		take_sample(core, header, now_ns);
	}
}

/* A life of the peer that was not known before: its frames start over, and so does the link. */
static void meet(struct rep_core *core, uint64_t incarnation)
{
	bool again = core->peer_incarnation != 0;
	core->peer_incarnation = incarnation;
	core->peer_left = false;
	core->heard_frame = 0;
	core->peer_heard_frame = 0;
	drop_link(core, again ? REP_REASON_PEER_RESTARTED : REP_REASON_START);
}

static enum rep_reason
judge_hello(struct rep_core *core, const struct rep_header *header, const struct rep_hello *hello)
{
	bool primary = core->config.role == REP_PRIMARY;
	bool peer_is_primary = header->flags & REP_FLAG_PRIMARY;
	core->refusal = REP_REASON_NONE;
	if (peer_is_primary == primary)
		return REP_REASON_ROLE_CONFLICT;
	if (hello->config_digest != core->config.config_digest)
		return REP_REASON_CONFIG_MISMATCH;
	/* A standby that acknowledged entries of this life and now holds nothing has lost its disk,
	 * or has none: that is for people to look at, also when we could send it everything. */
	if (primary && !core->config.has_log && hello->last_sequence == 0 && core->acked_ever > 0 &&
	    !CANARY(EMPTY_STANDBY_TAKEN))
		return REP_REASON_PEER_LOST_MEMORY;
	core->refusal = rep_history_judge(core, hello);
	if (core->refusal != REP_REASON_NONE)
		return core->refusal;
	if (hello->refusal != REP_REASON_NONE && hello->refusal < REP_REASONS)
		return hello->refusal;
	/* The primary's epoch is the newer one, and a standby whose history fits takes it over. */
	if (primary)
		return header->epoch == core->epoch  ? REP_REASON_NONE
		       : header->epoch < core->epoch ? REP_REASON_START
						     : REP_REASON_EPOCH_MISMATCH;
	return header->epoch < core->epoch ? REP_REASON_EPOCH_MISMATCH : REP_REASON_NONE;
}

/* Both lives are known and the histories fit. */
static void
link_up(struct rep_core *core,
	const struct rep_header *header,
	const struct rep_hello *hello,
	uint64_t now_ns)
{
	uint64_t common = sf_min64(hello->last_sequence, core->last_sequence);
	core->link_up = true;
	core->heard_ns = now_ns;
	core->echo_ns = now_ns;
	core->hello_due = true;
	core->peer_limit = header->limit;
	core->peer_durable = header->durable;
	if (core->config.role == REP_PRIMARY) {
		rep_window_restart(core, common, now_ns);
		rep_core_set_mode(core, REP_MODE_BLOCKED, REP_REASON_CATCHING_UP);
		if (rep_history_peer_is_newer(core, hello) && !CANARY(LONGER_STANDBY_IGNORED)) {
			rep_gather_restart(core);
			rep_merge_begin(core, hello->last_sequence, now_ns);
		}
		return;
	}
	/* What a primary that holds less may ask for. */
	core->acked = common;
	core->sent = core->last_sequence;
	core->known_position = sf_max64(core->last_sequence, hello->last_sequence);
	rep_core_set_mode(core, REP_MODE_STANDBY, REP_REASON_NONE);
}

void rep_link_receive_hello(struct rep_core *core, const struct rep_frame *frame, uint64_t now_ns)
{
	const struct rep_header *header = frame->header;
	struct rep_hello hello;
	memcpy(&hello, frame->body, sizeof(hello));

	/* Lives only rise, so a late HELLO of an earlier life cannot bring that life back. */
	if (header->source_incarnation < core->peer_incarnation ||
	    (core->peer_left && header->source_incarnation == core->peer_incarnation)) {
		core->stats.dropped_other_life++;
		return;
	}
	if (header->source_incarnation > core->peer_incarnation)
		meet(core, header->source_incarnation);
	core->stats.frames_taken++;
	note_heard(core, header, now_ns);
	enum rep_reason fault = judge_hello(core, header, &hello);
	/* Answered at once while that brings the link nearer: two nodes that do not fit, but know
	 * each other by now, greet once each interval. */
	bool known = header->destination_incarnation == core->config.incarnation;
	if (!(header->flags & REP_FLAG_LINK_UP) && (fault == REP_REASON_NONE || !known))
		core->hello_due = true;
	if (fault != REP_REASON_NONE) {
		/* A HELLO from before the link came up may arrive late; an established link
		 * stands on fresher facts than its history. */
		if (!core->link_up)
			wait_for(core, fault);
		return;
	}
	if (core->config.role == REP_STANDBY && core->epoch != header->epoch) {
		/* What waits beyond a gap is an earlier author's: it may never have been told to
		 * anybody. */
		if (!CANARY(HELD_OF_OTHER_LIFE))
			rep_gather_restart(core);
		core->epoch = header->epoch;
	}
	if (!core->link_up && header->destination_incarnation == core->config.incarnation)
		link_up(core, header, &hello, now_ns);
}

bool rep_link_admits(struct rep_core *core, const struct rep_frame *frame, uint64_t now_ns)
{
	const struct rep_header *header = frame->header;
	if (!(CANARY(STALE_SESSION_ACK) && header->type == REP_FRAME_ACK) &&
	    (header->source_incarnation != core->peer_incarnation || core->peer_left ||
	     header->destination_incarnation != core->config.incarnation)) {
		core->stats.dropped_other_life++;
		if (header->source_incarnation > core->peer_incarnation)
			core->hello_due = true;
		return false;
	}
	if (header->epoch != core->epoch && !CANARY(STALE_EPOCH_ACCEPTED)) {
		/* R1: a lower epoch is told so. A higher one cannot be while roles are fixed. */
		if (header->epoch < core->epoch) {
			core->stats.dropped_epoch_stale++;
			core->stale_due |= header->type != REP_FRAME_STALE;
		} else {
			core->stats.dropped_epoch_higher++;
		}
		return false;
	}
	if (!core->link_up) {
		core->stats.dropped_no_link++;
		core->hello_due = true;
		return false;
	}
	note_heard(core, header, now_ns);
	return true;
}

void rep_link_goodbye(struct rep_core *core)
{
	core->peer_left = true;
	drop_link(core, REP_REASON_PEER_LEFT);
}

uint64_t rep_link_rto_ns(const struct rep_core *core)
{
	/* A peer that was away makes long samples; a few attempts must still fit the window. */
	uint64_t most_ns = rep_link_window_ns(core) / 4;
	uint64_t rto_ns = sf_min64(core->rtt_ns + 4 * core->rtt_var_ns, most_ns);
	return sf_max64(core->config.retransmit_min_ns, rto_ns);
}

void rep_link_judge(struct rep_core *core, bool rx_drained, uint64_t now_ns)
{
	uint64_t window_ns = rep_link_window_ns(core);
	/* R14: whoever was away itself first blames itself. That speaks for a peer that was there
	 * before, not for one that is lost already: it has to be heard again. */
	bool lost = core->reason == REP_REASON_PEER_SILENT || core->reason == REP_REASON_PEER_DEAF;
	if (now_ns - core->last_step_ns > own_gap_ns(core)) {
		core->stats.own_gaps++;
		if (!lost) {
			core->heard_ns = now_ns;
			core->echo_ns = now_ns;
		}
	}
	core->last_step_ns = now_ns;
	if (!core->link_up)
		return;

	bool silent = now_ns - core->heard_ns > window_ns;
	bool deaf = now_ns - core->echo_ns > window_ns;
	if (core->config.role == REP_STANDBY) {
		if (!silent)
			rep_core_set_mode(core, REP_MODE_STANDBY, REP_REASON_NONE);
		else if (rx_drained)
			rep_core_set_mode(core, REP_MODE_STANDBY, REP_REASON_PEER_SILENT);
		return;
	}
	/* A peer that died was last heard a little after its last echo: that is not deafness. */
	bool mute = now_ns - core->heard_ns > window_ns / 2;
	if (silent || deaf) {
		/* A primary judges both directions (R4), once the queue is drained. */
		if (rx_drained)
			rep_core_set_mode(
				core,
				REP_MODE_BLOCKED,
				mute ? REP_REASON_PEER_SILENT : REP_REASON_PEER_DEAF
			);
	} else if (core->merge_end != 0) {
		rep_core_set_mode(core, REP_MODE_BLOCKED, REP_REASON_MERGING);
	} else if (core->mode == REP_MODE_BLOCKED) {
		bool level = core->acked == core->last_sequence;
		rep_core_set_mode(
			core,
			level ? REP_MODE_PAIRED : REP_MODE_BLOCKED,
			level ? REP_REASON_NONE : REP_REASON_CATCHING_UP
		);
	}
}

uint64_t rep_link_deadline_ns(const struct rep_core *core)
{
	uint64_t interval_ns = core->config.heartbeat_interval_ns;
	/* A caller that comes at deadlines only must not look as if it had been away. */
	uint64_t due = core->last_step_ns + own_gap_ns(core);
	if (core->hello_due)
		due = sf_min64(due, core->last_hello_ns + core->config.retransmit_min_ns);
	if (!core->link_up)
		return sf_min64(due, core->last_hello_ns + interval_ns);
	due = sf_min64(due, core->last_sent_ns + interval_ns);
	/* The moment at which the peer starts to count as lost, when that is still to come. */
	uint64_t suspect = core->heard_ns + rep_link_window_ns(core) + 1;
	if (core->config.role == REP_PRIMARY)
		suspect = sf_min64(suspect, core->echo_ns + rep_link_window_ns(core) + 1);
	return suspect > core->last_step_ns ? sf_min64(due, suspect) : due;
}

bool rep_core_peer_reachable(const struct rep_core *core, uint64_t now_ns)
{
	/* Silent is also who was heard within the window, but hears nobody any more himself. */
	return core->link_up && core->reason != REP_REASON_PEER_SILENT &&
	       now_ns - core->heard_ns <= rep_link_window_ns(core);
}
