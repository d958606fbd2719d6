/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The parts of the core among themselves; only replication/ includes this.
 *   history.c what each side holds, how the two compare, merge
 *   link.c    lives, who is heard, round trips
 *   fixed.c   roles by configuration
 *   roles.c   roles by the pair record: without one, LEARNER, STANDBY
 *   primary.c the same: PAIRED, BLOCKED, ALONE, admission, hand-over
 *   moves.c   changes of the pair record, the arbiter, the role record
 *   fetch.c   a snapshot for a learner
 *   window.c  source: acknowledgements, what goes out, what goes out again
 *   gather.c  sink: gaps, what is stored, NAK
 */
#pragma once

#include "config/bytes.h"
#include "config/canary.h"
#include "replication/core.h"

static inline bool rep_core_fixed(const struct rep_core *core)
{
	return core->config.policy == REP_POLICY_FIXED;
}

/* history.c */
/* Epoch of the newest entry; 0: none held. */
static inline uint32_t rep_core_last_epoch(const struct rep_core *core)
{
	return core->lineage_count > 0 ? core->lineage[core->lineage_count - 1].epoch : 0;
}
/* Oldest entry that the arena still holds. */
uint64_t rep_core_oldest(const struct rep_core *core);
/* Does our history hold (epoch, sequence)? */
bool rep_history_holds(const struct rep_core *core, uint32_t epoch, uint64_t sequence);
/* Do the two histories fit? REP_REASON_NONE also when the peer's is the longer one. */
enum rep_reason rep_history_judge(const struct rep_core *core, const struct rep_hello *hello);
/* Is the peer's history the newer one? */
bool rep_history_peer_is_newer(const struct rep_core *core, const struct rep_hello *hello);
/* The last entry that both hold. 0 also when what is told of the lineages does not reach back to
 * it: then everything is fetched anew. */
uint64_t rep_history_common(const struct rep_core *core, const struct rep_hello *hello);
/* Begins to take over what the peer holds beyond us. */
void rep_merge_begin(struct rep_core *core, uint64_t end, uint64_t now_ns);
void rep_merge_step(struct rep_core *core, struct rep_update *update, uint64_t now_ns);

/* link.c */
void rep_link_receive_hello(struct rep_core *core, const struct rep_frame *frame, uint64_t now_ns);
/* True when the frame belongs to the link session, and so may act. */
bool rep_link_admits(struct rep_core *core, const struct rep_frame *frame, uint64_t now_ns);
void rep_link_goodbye(struct rep_core *core);
void rep_link_drop(struct rep_core *core);
/* R14: notices own absences. */
void rep_link_tick(struct rep_core *core, uint64_t now_ns);
static inline bool rep_link_silent(const struct rep_core *core, uint64_t window_ns)
{
	return core->last_step_ns - core->heard_ns > window_ns;
}
/* The peer does not hear us. */
static inline bool rep_link_deaf(const struct rep_core *core, uint64_t window_ns)
{
	return core->last_step_ns - core->echo_ns > window_ns;
}
uint64_t rep_link_deadline_ns(const struct rep_core *core);
uint64_t rep_link_window_ns(const struct rep_core *core);
/* Time after which something unanswered counts as lost: RFC 6298's RTO without back-off. */
uint64_t rep_link_rto_ns(const struct rep_core *core);
void rep_core_set_mode(struct rep_core *core, enum rep_mode mode, enum rep_reason reason);

/* fixed.c */
void rep_fixed_hello(struct rep_core *core, const struct rep_frame *frame, uint64_t now_ns);
/* The link is down for this reason. */
void rep_fixed_wait(struct rep_core *core, enum rep_reason reason);
void rep_fixed_judge(struct rep_core *core, bool rx_drained);

/* roles.c */
void rep_roles_start(struct rep_core *core);
/* The peer has described itself anew. */
void rep_roles_described(struct rep_core *core, uint64_t now_ns);
/* A frame of a higher epoch than ours (R1). */
void rep_roles_higher_epoch(struct rep_core *core, const struct rep_frame *frame);
void rep_roles_switchover(struct rep_core *core, const struct rep_frame *frame, uint64_t now_ns);
void rep_roles_step(
	struct rep_core *core,
	const struct rep_event *event,
	struct rep_update *update,
	uint64_t now_ns
);
uint64_t rep_roles_deadline_ns(const struct rep_core *core);
/* Ends the own history at `keep`, or replaces it by the snapshot of that sequence. */
void rep_roles_refill(struct rep_core *core, uint64_t keep, bool snapshot);
/* R10. */
void rep_roles_step_down(struct rep_core *core, enum rep_reason reason);
/* Is the peer heard, and has it described itself? */
bool rep_roles_peer_here(const struct rep_core *core);
static inline uint8_t rep_core_other(const struct rep_core *core)
{
	return core->config.link.peer;
}
static inline uint8_t rep_core_bit(uint8_t node)
{
	return (uint8_t)(1u << node);
}
#define REP_BOTH_IN_SYNC 3
/* Maintenance: no move by itself. What the operator has begun, and a peer that is stopped in good
 * order, are not held up. */
static inline bool rep_core_held(const struct rep_core *core)
{
	return core->on_hold && !core->handing_over && !core->peer.leaving;
}

/* primary.c */
void rep_primary_step(struct rep_core *core, bool rx_drained, uint64_t now_ns);
/* The peer is to be followed from here on by entries. */
void rep_primary_take_learner(struct rep_core *core, uint64_t now_ns);
void rep_primary_operation(struct rep_core *core, enum rep_operation operation, uint64_t now_ns);
uint64_t rep_primary_safe(const struct rep_core *core);

/* moves.c */
/* Has this node the say over the pair record, if need be by asking the arbiter? */
bool rep_move_allowed(const struct rep_core *core);
/* Was the record read since then, and lately? With the record on a disk it always was. */
bool rep_move_fresh(const struct rep_core *core, uint64_t since_ns, uint64_t now_ns);
bool rep_move_limited(const struct rep_core *core, uint64_t now_ns);
void rep_move_begin(
	struct rep_core *core, enum rep_move_kind kind, struct rep_pair to, uint64_t now_ns
);
/* Sets what the role record says, and has it written. */
void rep_move_write(
	struct rep_core *core, enum rep_record_mode mode, uint32_t epoch, bool amnesiac
);
static inline bool rep_move_written(const struct rep_core *core)
{
	return !core->persist_due && core->persisted >= core->record.write_number;
}
/* The record as it became known otherwise than by the arbiter's answer. */
void rep_move_heard(struct rep_core *core, const struct rep_pair *pair, uint64_t now_ns);
void rep_move_events(struct rep_core *core, const struct rep_event *event, uint64_t now_ns);
void rep_move_step(struct rep_core *core, bool wants_read, uint64_t now_ns);
uint64_t rep_move_deadline_ns(const struct rep_core *core);

/* fetch.c */
void rep_fetch_begin(struct rep_core *core);
void rep_fetch_asked(struct rep_core *core, const struct rep_frame *frame);
void rep_fetch_piece(
	struct rep_core *core,
	const struct rep_frame *frame,
	uint32_t frame_index,
	struct rep_update *update
);
void rep_fetch_send(
	struct rep_core *core, const struct rep_event *event, struct rep_update *update
);
void rep_fetch_step(struct rep_core *core, struct rep_update *update, uint64_t now_ns);

/* window.c */
void rep_window_acknowledge(struct rep_core *core, const struct rep_header *header, uint64_t now);
void rep_window_restart(struct rep_core *core, uint64_t from, uint64_t now_ns);
void rep_window_nak(struct rep_core *core, const struct rep_nak *nak);
/* What a merging primary asked for. */
void rep_window_lend(struct rep_core *core, struct rep_update *update);
void rep_window_send(struct rep_core *core, struct rep_update *update, uint64_t now_ns);
uint64_t rep_window_deadline_ns(const struct rep_core *core);

/* gather.c */
/* Entries of another author follow; what waits beyond a gap is an earlier author's. */
void rep_gather_restart(struct rep_core *core);
void rep_gather_data(
	struct rep_core *core,
	const struct rep_frame *frame,
	uint32_t frame_index,
	struct rep_update *update
);
void rep_gather_naks(struct rep_core *core, struct rep_update *update, uint64_t now_ns);
uint64_t rep_gather_deadline_ns(const struct rep_core *core);
