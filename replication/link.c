/* SPDX-License-Identifier: BSD-3-Clause */
#include "replication/core_parts.h"

static bool is_primary(enum rep_mode mode)
{
	return mode == REP_MODE_PAIRED || mode == REP_MODE_BLOCKED || mode == REP_MODE_ALONE ||
	       mode == REP_MODE_ASYNC;
}

void rep_core_set_mode(struct rep_core *core, enum rep_mode mode, enum rep_reason reason)
{
	if (core->mode == REP_MODE_HALTED)
		return;
	if (mode == REP_MODE_BLOCKED && core->mode == REP_MODE_PAIRED)
		core->stats.times_blocked++;
	if (mode != core->mode && !rep_core_fixed(core)) {
		core->role_ns = core->last_step_ns;
		core->hello_due = true;
	}
	core->mode = mode;
	core->reason = reason;
	if (!rep_core_fixed(core))
		core->primary = is_primary(mode);
}

void rep_link_drop(struct rep_core *core)
{
	core->link_up = core->stream = false;
	core->resend_count = 0;
	core->merge_end = 0;
	core->nak_due_ns = 0;
	core->hole_named = false;
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
		core->peer.mode = header->mode;
		core->peer.epoch = header->epoch;
		core->peer.described &= header->mode == core->peer.hello_mode &&
					header->epoch == core->peer.hello_epoch;
		core->peer.leaving = header->flags & REP_FLAG_LEAVING;
	}
	if (header->destination_incarnation == core->config.incarnation &&
	    header->heard_frame > core->peer_heard_frame &&
	    header->heard_frame <= core->frame_number) {
		core->peer_heard_frame = header->heard_frame;
		core->echo_ns = now_ns;
		take_sample(core, header, now_ns);
	}
	/* R13: only whoever could have promoted itself and has not confirms that nobody did. */
	bool counts = rep_core_fixed(core) ||
		      (header->mode == REP_MODE_STANDBY && header->epoch == core->epoch);
	if (counts && header->destination_incarnation == core->config.incarnation &&
	    header->heard_frame <= core->frame_number)
		core->confirmed_frame = sf_max64(core->confirmed_frame, header->heard_frame);
}

/* A life of the peer that was not known before: its frames start over, and so does the link. */
static void meet(struct rep_core *core, uint64_t incarnation)
{
	bool again = core->peer_incarnation != 0;
	core->peer_incarnation = incarnation;
	core->peer_left = false;
	core->heard_frame = 0;
	core->peer_heard_frame = core->confirmed_frame = 0;
	core->peer = (struct rep_peer){0};
	rep_link_drop(core);
	if (rep_core_fixed(core))
		rep_fixed_wait(core, again ? REP_REASON_PEER_RESTARTED : REP_REASON_START);
}

static void describe(struct rep_core *core, const struct rep_frame *frame, uint64_t now_ns)
{
	const struct rep_header *header = frame->header;
	struct rep_hello hello;
	memcpy(&hello, frame->body, sizeof(hello));
	if (header->epoch > core->epoch)
		rep_roles_higher_epoch(core, frame);
	bool known = header->destination_incarnation == core->config.incarnation;
	/* A source greets while it has no stream; who follows it tells it where it stands. */
	bool follows = core->stream && !core->primary;
	if (!(header->flags & REP_FLAG_LINK_UP) || header->epoch < core->epoch || follows)
		core->hello_due = true;
	if (hello.config_digest != core->config.config_digest) {
		core->refusal = REP_REASON_CONFIG_MISMATCH;
		return;
	}
	core->refusal = REP_REASON_NONE;
	if (hello.origin_count > REP_HELLO_ORIGINS)
		return;
	core->peer.described = true;
	core->peer.hello_mode = header->mode;
	core->peer.hello_epoch = header->epoch;
	core->peer.hello_ns = now_ns;
	core->peer.hello = hello;
	if (known && !core->link_up) {
		core->link_up = true;
		core->heard_ns = core->echo_ns = now_ns;
		core->hello_due = true;
	}
	if (core->link_up)
		rep_roles_described(core, now_ns);
}

void rep_link_receive_hello(struct rep_core *core, const struct rep_frame *frame, uint64_t now_ns)
{
	const struct rep_header *header = frame->header;

	/* Lives only rise, so a late HELLO of an earlier life cannot bring that life back. */
	if (header->source_incarnation < core->peer_incarnation ||
	    (core->peer_left && header->source_incarnation == core->peer_incarnation)) {
		core->stats.dropped_other_life++;
		return;
	}
	if (header->source_incarnation > core->peer_incarnation)
		meet(core, header->source_incarnation);
	core->stats.frames_taken++;
	bool fresh = header->frame_number > core->heard_frame;
	note_heard(core, header, now_ns);
	if (rep_core_fixed(core))
		rep_fixed_hello(core, frame, now_ns);
	else if (fresh)
		describe(core, frame, now_ns);
	else if (header->epoch > core->epoch) /* inv. 15: late, but that epoch is there */
		rep_roles_higher_epoch(core, frame);
}

/* R1: a lower epoch is told so. */
static bool epoch_fits(struct rep_core *core, const struct rep_frame *frame)
{
	const struct rep_header *header = frame->header;
	if (header->epoch == core->epoch || CANARY(STALE_EPOCH_ACCEPTED))
		return true;
	if (header->epoch < core->epoch) {
		core->stats.dropped_epoch_stale++;
		core->stale_due |= header->type != REP_FRAME_STALE;
	} else {
		core->stats.dropped_epoch_higher++;
		if (!rep_core_fixed(core))
			rep_roles_higher_epoch(core, frame);
	}
	return false;
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
	/* Who is heard is one thing, whether what it says counts another. */
	if (!rep_core_fixed(core))
		note_heard(core, header, now_ns);
	if (!epoch_fits(core, frame))
		return false;
	if (!core->link_up) {
		core->stats.dropped_no_link++;
		core->hello_due = true;
		return false;
	}
	if (rep_core_fixed(core))
		note_heard(core, header, now_ns);
	return true;
}

void rep_link_goodbye(struct rep_core *core)
{
	core->peer_left = true;
	rep_link_drop(core);
	if (rep_core_fixed(core))
		rep_fixed_wait(core, REP_REASON_PEER_LEFT);
}

uint64_t rep_link_rto_ns(const struct rep_core *core)
{
	/* A peer that was away makes long samples; a few attempts must still fit the window. */
	uint64_t most_ns = rep_link_window_ns(core) / 4;
	uint64_t rto_ns = sf_min64(core->rtt_ns + 4 * core->rtt_var_ns, most_ns);
	return sf_max64(core->config.retransmit_min_ns, rto_ns);
}

void rep_link_tick(struct rep_core *core, uint64_t now_ns)
{
	/* R14: whoever was away itself first blames itself. That speaks for a peer that was there
	 * before, not for one that is lost already: it has to be heard again. */
	bool lost = core->suspect_ns != 0 || core->reason == REP_REASON_PEER_SILENT ||
		    core->reason == REP_REASON_PEER_DEAF;
	if (now_ns - core->last_step_ns > own_gap_ns(core)) {
		core->stats.own_gaps++;
		core->disk_ns = now_ns;
		if (!lost) {
			core->heard_ns = now_ns;
			core->echo_ns = now_ns;
		}
	}
	core->last_step_ns = now_ns;
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
	uint64_t delay_ns = core->primary ? 0 : core->config.takeover_delay_ns;
	uint64_t suspect = core->heard_ns + rep_link_window_ns(core) + delay_ns + 1;
	if (core->primary)
		suspect = sf_min64(suspect, core->echo_ns + rep_link_window_ns(core) + 1);
	return suspect > core->last_step_ns ? sf_min64(due, suspect) : due;
}

bool rep_core_peer_reachable(const struct rep_core *core, uint64_t now_ns)
{
	/* Silent is also who was heard within the window, but hears nobody any more himself. */
	return core->link_up && core->reason != REP_REASON_PEER_SILENT && core->suspect_ns == 0 &&
	       now_ns - core->heard_ns <= rep_link_window_ns(core);
}
