/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The primary's side of the window: entries between `acked` and `sent` are in flight.
 */
#include "replication/core_parts.h"

#define MAX_BACKOFF 6 /* the tail's timer doubles at most this often */

void rep_window_restart(struct rep_core *core, uint64_t from, uint64_t now_ns)
{
	/* A standby that restarted may hold less than it acknowledged in its former life. */
	core->acked = from;
	core->acked_ever = sf_max64(core->acked_ever, core->acked);
	core->sent = core->acked;
	core->resend_count = 0;
	core->tail_backoff = 0;
	core->progress_ns = now_ns;
}

void rep_window_acknowledge(struct rep_core *core, const struct rep_header *header, uint64_t now_ns)
{
	/* Once the record counts on it, it counts only when it knows (inv. 13). */
	bool learns = header->mode == REP_MODE_LEARNER && core->pair.in_sync != REP_BOTH_IN_SYNC;
	bool follows = header->mode == REP_MODE_STANDBY || learns;
	if (!rep_core_fixed(core) && !follows) {
		core->stats.dropped_no_stream++;
		return;
	}
	/* A stream that begins anew may still hear of what the last one sent. */
	uint64_t most = rep_core_fixed(core) ? core->sent : core->last_sequence;
	if (header->position > most) {
		core->stats.dropped_bad_ack++;
		return;
	}
	core->peer_limit = sf_max64(core->peer_limit, header->limit);
	core->peer_durable = sf_max64(core->peer_durable, header->durable);
	if (CANARY(COMMIT_MOVES_BACK)) {
		core->acked = header->position;
		return;
	}
	if (header->position <= core->acked)
		return;
	core->acked = header->position;
	core->sent = sf_max64(core->sent, core->acked);
	core->acked_ever = sf_max64(core->acked_ever, core->acked);
	core->progress_ns = now_ns;
	core->tail_backoff = 0;
}

void rep_window_nak(struct rep_core *core, const struct rep_nak *nak)
{
	core->stats.naks_received++;
	/* What is acknowledged by now, or was never sent, needs no repetition. */
	uint64_t first = sf_max64(nak->first_sequence, core->acked + 1);
	uint64_t passed = first - nak->first_sequence;
	if (first > core->sent || nak->count <= passed)
		return;
	uint64_t count = sf_min64(nak->count - passed, core->sent - first + 1);
	for (uint32_t i = 0; i < core->resend_count; i++) {
		/* A repeated NAK while the range still waits must not double it. */
		if (core->resends[i].first <= first &&
		    first < core->resends[i].first + core->resends[i].count) {
			uint64_t end = sf_max64(
				first + count, core->resends[i].first + core->resends[i].count
			);
			core->resends[i].count = end - core->resends[i].first;
			return;
		}
	}
	if (core->resend_count < REP_MAX_RESENDS)
		core->resends[core->resend_count++] =
			(struct rep_range){.first = first, .count = count};
}

static void push_data(struct rep_update *update, uint64_t first, uint64_t count, bool staged)
{
	update->send[update->send_count++] = (struct rep_send){
		.type = REP_FRAME_DATA,
		.staged = staged,
		.range = {.first = first, .count = count},
	};
}

/* How many of these entries stand in one place that they can be sent from: the arena, or what was
 * fetched out of the log. Where the first is in neither, it is asked for. */
static uint64_t sendable(struct rep_core *core, uint64_t first, uint64_t count, bool *staged)
{
	const struct rep_range *there = &core->staged;
	*staged = first < rep_core_oldest(core);
	if (!*staged || rep_core_fixed(core))
		return count;
	if (first >= there->first && first - there->first < there->count)
		return sf_min64(count, there->first + there->count - first);
	if (core->stage_wanted == 0 || first < core->stage_wanted)
		core->stage_wanted = first;
	return 0;
}

/* Leaves room in the list for the frames that are not DATA. */
static bool has_room(const struct rep_update *update)
{
	return update->send_count < REP_MAX_SENDS - REP_MAX_NAKS;
}

static void send_resends(struct rep_core *core, struct rep_update *update, uint64_t *budget)
{
	uint32_t kept = 0;
	for (uint32_t i = 0; i < core->resend_count; i++) {
		struct rep_range range = core->resends[i];
		if (range.first <= core->acked) {
			uint64_t done = sf_min64(core->acked + 1 - range.first, range.count);
			range.first += done;
			range.count -= done;
		}
		uint64_t take = has_room(update) ? sf_min64(range.count, *budget) : 0;
		bool staged = false;
		if (take > 0)
			take = sendable(core, range.first, take, &staged);
		if (take > 0) {
			if (CANARY(RETRANSMIT_SKIPS_ONE) && take > 1)
				push_data(update, range.first + 1, take - 1, staged);
			else if (!CANARY(RETRANSMIT_SKIPS_ONE))
				push_data(update, range.first, take, staged);
			core->stats.entries_resent += take;
			*budget -= take;
			range.first += take;
			range.count -= take;
		}
		if (range.count > 0)
			core->resends[kept++] = range;
	}
	core->resend_count = kept;
}

static uint64_t tail_due_ns(const struct rep_core *core)
{
	return core->progress_ns + (rep_link_rto_ns(core) << core->tail_backoff);
}

static bool catches_up(const struct rep_core *core)
{
	return !rep_core_fixed(core) && core->mode != REP_MODE_PAIRED;
}

/* What a poll brought goes out whole. A backlog goes in bounded pieces: a share of what clients
 * bring, so that it shrinks whatever they do; and more when they leave a moment free, or did not
 * for long. */
static uint64_t chunk(struct rep_core *core, uint64_t now_ns)
{
	if (!catches_up(core))
		return REP_CHUNK_ENTRIES;
	uint64_t share = (uint64_t)core->submitted * REP_CATCH_UP_SHARE;
	if (core->submitted > 0)
		core->catch_up_ns = sf_min64(now_ns + REP_CATCH_UP_REST_NS, core->catch_up_by_ns);
	if (now_ns < core->catch_up_ns)
		return share;
	core->catch_up_by_ns = now_ns + REP_CATCH_UP_PACE_NS;
	return share + REP_CATCH_UP_ENTRIES;
}

void rep_window_send(struct rep_core *core, struct rep_update *update, uint64_t now_ns)
{
	uint64_t most = chunk(core, now_ns), budget = most;
	if (core->acked < core->sent && now_ns >= tail_due_ns(core)) {
		core->stats.tail_timeouts++;
		if (core->tail_backoff < MAX_BACKOFF)
			core->tail_backoff++;
		core->progress_ns = now_ns;
		rep_window_nak(
			core,
			&(struct rep_nak){
				.first_sequence = core->acked + 1,
				.count = REP_TAIL_ENTRIES,
			}
		);
		core->stats.naks_received--; /* it was our own */
	}
	send_resends(core, update, &budget);

	/* What is in flight may have left the arena, and what was fetched: if it is lost, it is
	 * asked for again like anything else. */
	bool staged;
	if (core->stage_wanted != 0 && core->stage_wanted < core->log_first) {
		core->stream = false; /* nor is it in the log: a snapshot is the way */
		core->stage_wanted = 0;
		return;
	}
	uint64_t end = sf_min64(core->last_sequence, core->peer_limit);
	if (core->sent < end && has_room(update)) {
		uint64_t count = sf_min64(end - core->sent, most);
		count = sendable(core, core->sent + 1, count, &staged);
		if (count == 0)
			return;
		if (core->acked == core->sent)
			core->progress_ns = now_ns;
		push_data(update, core->sent + 1, count, staged);
		core->stats.entries_sent += count;
		core->sent += count;
	}
}

void rep_window_lend(struct rep_core *core, struct rep_update *update)
{
	uint64_t budget = REP_CHUNK_ENTRIES;
	/* While the state is rebuilt the arena is not what it was. */
	if (core->refill.wanted)
		core->resend_count = 0;
	if (core->resend_count > 0)
		send_resends(core, update, &budget);
}

uint64_t rep_window_deadline_ns(const struct rep_core *core)
{
	if (!core->link_up)
		return UINT64_MAX;
	/* What is being fetched from the log comes as an event. */
	bool more = core->resend_count > 0 ||
		    core->sent < sf_min64(core->last_sequence, core->peer_limit);
	if (more && core->stage_wanted == 0)
		return sf_max64(core->last_step_ns, catches_up(core) ? core->catch_up_ns : 0);
	return core->acked < core->sent ? tail_due_ns(core) : UINT64_MAX;
}
