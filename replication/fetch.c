/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Catch-up by snapshot: where the primary's log no longer reaches back to what is common, the
 * learner fetches a snapshot piece by piece. The learner asks (FETCH) and keeps the order, so the
 * primary keeps nothing but the last question. A snapshot that is replaced meanwhile begins anew.
 */
#include "replication/core_parts.h"

void rep_fetch_begin(struct rep_core *core)
{
	core->fetch.active = true;
	core->fetch.sequence = core->fetch.total = core->fetch.offset = 0;
	core->fetch.goal = 0;
	core->fetch.due_ns = core->last_step_ns;
}

/* Primary. */
void rep_fetch_asked(struct rep_core *core, const struct rep_frame *frame)
{
	struct rep_fetch fetch;
	memcpy(&fetch, frame->body, sizeof(fetch));
	if (!core->primary || core->peer.mode != REP_MODE_LEARNER) {
		core->stats.dropped_no_stream++;
		return;
	}
	core->fetch.asked = true;
	core->fetch.sequence = fetch.sequence;
	core->fetch.offset = fetch.offset;
}

/* Learner. */
void rep_fetch_piece(
	struct rep_core *core,
	const struct rep_frame *frame,
	uint32_t frame_index,
	struct rep_update *update
)
{
	struct rep_piece piece;
	memcpy(&piece, frame->body, sizeof(piece));
	uint64_t bytes = frame->body_bytes - sizeof(piece);
	if (!core->fetch.active || core->mode != REP_MODE_LEARNER || frame_index >= 32) {
		core->stats.dropped_no_stream++;
		return;
	}
	/* Another one only when it is newer, and from its beginning. */
	if (piece.sequence > core->fetch.sequence && piece.offset == 0) {
		core->fetch.sequence = piece.sequence;
		core->fetch.total = piece.total;
		core->fetch.offset = 0;
	}
	if (piece.sequence != core->fetch.sequence || piece.total != core->fetch.total ||
	    piece.offset != core->fetch.offset) {
		core->stats.pieces_out_of_order++;
		return;
	}
	update->keep.frames |= 1u << frame_index;
	core->fetch.offset += bytes;
	core->stats.snapshot_bytes += bytes;
	if (core->fetch.offset >= core->fetch.goal)
		core->fetch.due_ns = core->last_step_ns; /* the next ones */
}

/* Primary: what was asked for goes out as soon as it lies ready. */
void rep_fetch_send(struct rep_core *core, const struct rep_event *event, struct rep_update *update)
{
	const struct rep_range *there = &event->snapshot.staged;
	if (!core->fetch.asked || !core->primary)
		return;
	/* One that is not the newest any more may be gone from the disk. */
	uint64_t offset = core->fetch.offset;
	if (core->fetch.sequence != event->snapshot.newest)
		offset = 0;
	if (event->snapshot.sequence != event->snapshot.newest || offset < there->first ||
	    offset - there->first >= there->count) {
		update->stage_snapshot.wanted = event->snapshot.newest != 0;
		update->stage_snapshot.sequence = event->snapshot.newest;
		update->stage_snapshot.offset = offset;
		return;
	}
	uint64_t count = sf_min64(there->first + there->count - offset, core->config.fetch_bytes);
	update->send[update->send_count++] = (struct rep_send){
		.type = REP_FRAME_SNAPSHOT,
		.range = {.first = offset, .count = count},
	};
	core->fetch.asked = false;
}

/* Learner: asks for the next piece, or again; at the end the state is rebuilt. */
void rep_fetch_step(struct rep_core *core, struct rep_update *update, uint64_t now_ns)
{
	if (!core->fetch.active)
		return;
	if (core->fetch.total != 0 && core->fetch.offset == core->fetch.total) {
		core->fetch.active = false;
		rep_roles_refill(core, core->fetch.sequence, true);
		return;
	}
	if (now_ns < core->fetch.due_ns)
		return;
	core->fetch.goal = core->fetch.offset + core->config.fetch_bytes;
	if (core->fetch.total != 0)
		core->fetch.goal = sf_min64(core->fetch.goal, core->fetch.total);
	core->fetch.due_ns = now_ns + 4 * rep_link_rto_ns(core);
	update->send[update->send_count++] = (struct rep_send){.type = REP_FRAME_FETCH};
}

void rep_core_fetch(const struct rep_core *core, struct rep_fetch *fetch)
{
	*fetch = (struct rep_fetch){
		.sequence = core->fetch.sequence,
		.offset = core->fetch.offset,
	};
}
