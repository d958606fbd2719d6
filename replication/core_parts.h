/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The parts of the core among themselves; only replication/ includes this.
 *   history.c what each side holds, how the two compare, merge
 *   link.c    lives, HELLO, who is heard, detection
 *   window.c  primary: acknowledgements, what goes out, what goes out again
 *   gather.c  standby: gaps, what is stored, NAK
 */
#pragma once

#include "config/bytes.h"
#include "config/canary.h"
#include "replication/core.h"

/* history.c */
/* Epoch of the newest entry; 0: none held. */
static inline uint32_t rep_core_last_epoch(const struct rep_core *core)
{
	return core->lineage_count > 0 ? core->lineage[core->lineage_count - 1].epoch : 0;
}
/* Oldest entry that the arena still holds. */
uint64_t rep_core_oldest(const struct rep_core *core);
/* Do the two histories fit? REP_REASON_NONE also when the peer's is the longer one. */
enum rep_reason rep_history_judge(const struct rep_core *core, const struct rep_hello *hello);
/* Is the peer's history the newer one? */
bool rep_history_peer_is_newer(const struct rep_core *core, const struct rep_hello *hello);
/* Primary: begins to take over what the standby holds beyond us. */
void rep_merge_begin(struct rep_core *core, uint64_t end, uint64_t now_ns);
void rep_merge_step(struct rep_core *core, struct rep_update *update, uint64_t now_ns);

/* link.c */
void rep_link_receive_hello(struct rep_core *core, const struct rep_frame *frame, uint64_t now_ns);
/* True when the frame belongs to the link session, and so may act. */
bool rep_link_admits(struct rep_core *core, const struct rep_frame *frame, uint64_t now_ns);
void rep_link_goodbye(struct rep_core *core);
/* Judges the detection window and sets mode and reason. */
void rep_link_judge(struct rep_core *core, bool rx_drained, uint64_t now_ns);
uint64_t rep_link_deadline_ns(const struct rep_core *core);
uint64_t rep_link_window_ns(const struct rep_core *core);
/* Time after which something unanswered counts as lost: RFC 6298's RTO without back-off. */
uint64_t rep_link_rto_ns(const struct rep_core *core);
void rep_core_set_mode(struct rep_core *core, enum rep_mode mode, enum rep_reason reason);

/* window.c */
void rep_window_acknowledge(struct rep_core *core, const struct rep_header *header, uint64_t now);
void rep_window_restart(struct rep_core *core, uint64_t from, uint64_t now_ns);
void rep_window_nak(struct rep_core *core, const struct rep_nak *nak);
/* Standby: what a merging primary asked for. */
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
