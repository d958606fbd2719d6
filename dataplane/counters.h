/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Counters of the data path: every drop has a reason here, and `standfast counters` and the metrics
 * print these names. Each block of counters has one writer, the agent it belongs to, which adds
 * with plain stores on cache lines of its own; readers in other processes may look at any time.
 * Counters only grow; a restarted node starts at 0.
 */
#pragma once

#include <stdint.h>

/* One to a line, as the formatter would not keep them. */
/* clang-format off */
#define DP_INGRESS_COUNTERS(X) \
	X(frames) \
	X(bytes) \
	X(requests) \
	X(handed_on) \
	X(refused_whole) \
	X(arp_answered) \
	X(icmp_answered) \
	X(checksum_unverified) \
	X(drop_runt) \
	X(drop_multi_segment) \
	X(drop_foreign_mac) \
	X(drop_foreign_ethertype) \
	X(drop_arp_other) \
	X(drop_ip_header) \
	X(drop_ip_options) \
	X(drop_ip_fragment) \
	X(drop_ip_checksum) \
	X(drop_ip_length) \
	X(drop_foreign_ip) \
	X(drop_foreign_protocol) \
	X(drop_icmp_other) \
	X(drop_foreign_udp_port) \
	X(drop_udp_length) \
	X(drop_udp_checksum) \
	X(drop_framing) \
	X(drop_unknown_template) \
	X(drop_source_address) \
	X(bad_request) \

#define DP_SEQUENCER_COUNTERS(X) \
	X(updates) \
	X(reads) \
	X(repeats) \
	X(sessions_opened) \
	X(sessions_closed) \
	X(session_repeats) \
	X(refused_not_primary) \
	X(refused_busy_window) \
	X(refused_busy_side) \
	X(refused_busy_sessions) \
	X(refused_forgotten) \
	X(refused_overloaded) \
	X(refused_close) \
	X(frames_sent) \
	X(frames_received) \
	X(bytes_sent) \
	X(bytes_received) \
	X(tx_full) \
	X(tx_no_mbuf) \
	X(control_commands) \
	X(control_dropped) \
	X(drop_foreign_mac) \
	X(drop_foreign_ethertype) \
	X(drop_multi_segment) \
	X(drop_short) \
	X(drop_bad_version) \
	X(drop_other_cluster) \
	X(drop_reflected) \
	X(drop_own_id) \
	X(drop_bad_node) \
	X(drop_bad_length) \
	X(drop_bad_crc) \
	X(drop_bad_type) \
	X(drop_bad_body) \
	X(drop_bad_entry) \
	X(bad_fill) /* records of a replay that make no sense */ \
	X(bad_appended_entry) \
	X(bad_lent_entry) /* control's, of the log, does not fit a frame */ \
	X(drop_keep_full) /* pieces of a snapshot that control is behind with */ \
	X(core_frames_taken) \
	X(core_entries_sent) \
	X(core_entries_resent) \
	X(core_entries_duplicate) \
	X(core_entries_out_of_order) \
	X(core_entries_no_room) \
	X(core_naks_sent) \
	X(core_naks_received) \
	X(core_tail_timeouts) \
	X(core_dropped_epoch_stale) \
	X(core_dropped_epoch_higher) \
	X(core_dropped_other_life) \
	X(core_dropped_no_link) \
	X(core_dropped_bad_ack) \
	X(core_dropped_wrong_role) \
	X(core_own_gaps) \
	X(core_times_blocked) \
	X(core_dropped_no_stream) \
	X(core_entries_merged) \
	X(core_snapshot_bytes) \
	X(core_pieces_out_of_order) \
	X(core_step_downs) \
	X(core_refills) \
	X(core_entries_cut) \
	X(core_entries_forked)

#define DP_WORKER_COUNTERS(X) \
	X(applied) \
	X(reads) \
	X(repeats) \
	X(answers) \
	X(answer_missing) \
	X(answers_dropped) \
	X(markers)

/* Of each agent that sends answers: ingress, sequencer and every worker. */
#define DP_REPLY_COUNTERS(X) \
	X(messages) \
	X(datagrams) \
	X(tx_full) \
	X(tx_no_mbuf)

#define DP_LCORE_COUNTERS(X) \
	X(rounds) \
	X(busy_rounds) \
	X(work) \
	X(longest_round_ns)                                                                       \
	X(longest_recent_round_ns) /* of the last one to two seconds */

/* clang-format on */
#define DP_COUNTER_FIELD(name) uint64_t name;

struct dp_ingress_counters {
	DP_INGRESS_COUNTERS(DP_COUNTER_FIELD)
} __attribute__((aligned(64)));

struct dp_sequencer_counters {
	DP_SEQUENCER_COUNTERS(DP_COUNTER_FIELD)
} __attribute__((aligned(64)));

struct dp_worker_counters {
	DP_WORKER_COUNTERS(DP_COUNTER_FIELD)
} __attribute__((aligned(64)));

struct dp_reply_counters {
	DP_REPLY_COUNTERS(DP_COUNTER_FIELD)
} __attribute__((aligned(64)));

struct dp_lcore_counters {
	DP_LCORE_COUNTERS(DP_COUNTER_FIELD)
} __attribute__((aligned(64)));
