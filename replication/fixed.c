/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Roles by configuration: they never change, and without its standby a primary is BLOCKED.
 */
#include "replication/core_parts.h"

/* A primary is BLOCKED for it, a standby merely waits. */
void rep_fixed_wait(struct rep_core *core, enum rep_reason reason)
{
	bool primary = core->config.role == REP_PRIMARY;
	rep_core_set_mode(core, primary ? REP_MODE_BLOCKED : REP_MODE_STANDBY, reason);
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
	if (primary && !core->config.has_log && hello->last_sequence == 0 && core->acked_ever > 0)
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

void rep_fixed_hello(struct rep_core *core, const struct rep_frame *frame, uint64_t now_ns)
{
	const struct rep_header *header = frame->header;
	struct rep_hello hello;
	memcpy(&hello, frame->body, sizeof(hello));
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
			rep_fixed_wait(core, fault);
		return;
	}
	if (core->config.role == REP_STANDBY && core->epoch != header->epoch) {
		/* What waits beyond a gap is an earlier author's: it may never have been told to
		 * anybody. */
		rep_gather_restart(core);
		core->epoch = header->epoch;
	}
	if (!core->link_up && header->destination_incarnation == core->config.incarnation)
		link_up(core, header, &hello, now_ns);
}

void rep_fixed_judge(struct rep_core *core, bool rx_drained)
{
	uint64_t window_ns = rep_link_window_ns(core);
	bool silent = rep_link_silent(core, window_ns);
	bool deaf = rep_link_deaf(core, window_ns);
	if (!core->link_up)
		return;
	if (core->config.role == REP_STANDBY) {
		if (!silent)
			rep_core_set_mode(core, REP_MODE_STANDBY, REP_REASON_NONE);
		else if (rx_drained)
			rep_core_set_mode(core, REP_MODE_STANDBY, REP_REASON_PEER_SILENT);
		return;
	}
	/* A peer that died was last heard a little after its last echo: that is not deafness. */
	bool mute = rep_link_silent(core, window_ns / 2);
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
