/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The sequencer: owns the replication core, the session table and the replication port. One poll
 * takes what both ports brought, makes one step of the core and carries its update out.
 *   sequencer.c         the poll and the carrying out
 *   sequencer_intake.c  client requests: verdicts, refusals, reads, repeats
 *   sequencer_link.c    frames of the replication link, in and out
 *   sequencer_status.c  status block, control's rings, marks, session expiry: once a millisecond
 */
#pragma once

#include "dataplane/ingress.h"
#include "dataplane/journal.h"
#include "dataplane/worker.h"
#include "replication/expiry.h"
#include "replication/intake.h"

#include <rte_ring.h>

#include <stdint.h>

#define DP_BURST_LOG \
	4096 /* bursts of entries in flight whose round trip is measured; power of two */

/* The entries of one poll, for the histogram of acknowledgement. */
struct dp_burst_mark {
	uint64_t last_sequence;
	uint64_t sent_ns;
	uint32_t count;
};

/* How far the replay has come (fill.c). */
struct dp_fill {
	uint64_t taken;	      /* place of the record in hand; before it, all are taken */
	uint64_t base;	      /* sequence of the snapshot; entries begin behind it */
	uint32_t record_done; /* bytes of the record in hand that are done with */
	uint32_t group_left;  /* entries of the group in hand that are still to be taken */
	const uint8_t *entry; /* the next of them */
	uint32_t next_block;  /* of the snapshot, in this run of control */
	uint32_t blocks;      /* of it that are taken */
	uint64_t answers;     /* in those */
	bool based;	      /* the snapshot is in */
	/* Entries that are in the snapshot, and in the arena for the peer: dense from first on. */
	uint64_t first, next;
	struct snap_header header; /* crc 0: no snapshot was begun */
};

enum dp_stop {
	DP_STOP_NOT,
	DP_STOP_IN_ORDER, /* hand over, be taken out of the pair; then GOODBYE */
	DP_STOP_NOW,	  /* GOODBYE, and serve no more */
};

/* What is between the core and control (sequencer_roles.c). */
enum dp_refill {
	DP_REFILL_NONE,
	DP_REFILL_REST,	  /* until everything is on the disk, and nobody writes there */
	DP_REFILL_FORGET, /* until the workers have forgotten their state */
	DP_REFILL_FILL,	  /* until control has filled the node again */
};
struct dp_roles {
	bool told;	/* roles are by the pair record: control is asked and heard */
	uint64_t heard; /* control's bell */
	uint64_t persisted, log_first;
	bool answered, operated; /* since the last step */
	struct rep_answer answer;
	struct dp_give_operation operation;
	struct dp_give_stage stage; /* entries in use */
	struct dp_give_piece piece; /* bytes in use */
	uint64_t newest_snapshot;
	uint64_t stage_number, piece_number; /* of the last question */
	struct dp_want_record want_record;
	struct dp_want_refill refill;
	enum dp_refill refilling;
};

struct dp_sequencer {
	/* Written at start. */
	const struct cfg_settings *settings;
	struct dp_shm *shm;
	const struct dp_port *port;
	uint16_t port_queue; /* of the replication port */
	uint16_t ethertype;  /* network order */
	uint32_t inbox_count;
	struct dp_inbox *inboxes[CFG_MAX_INGRESS];
	uint32_t worker_count;
	struct dp_worker *workers;
	uint8_t worker_of[REP_PARTITIONS];
	struct dp_meta *meta;
	struct dp_commit *commit; /* published to the workers */
	int received_ns_offset;
	uint64_t unix_minus_monotonic_ns;
	uint8_t hint[6];      /* the peer's address for NOT_PRIMARY, as in the protocol */
	const uint32_t *stop; /* enum dp_stop */

	/* Own state. */
	struct rep_core core;
	struct rep_session_table sessions;
	struct rep_intake intake;
	struct rep_expiry expiry;
	struct rep_update update;
	struct dp_replies replies;
	struct dp_sequencer_counters *counters;
	struct rte_ether_addr peer_mac;
	bool peer_mac_known;
	bool reads_waiting; /* a read came with this poll */
	bool leaving;
	bool left;	      /* read by the main thread */
	uint32_t first_inbox; /* of the next poll */
	uint64_t now_ns;
	struct sf_histogram_run sequenced; /* of this poll, on its way into the histogram */
	uint64_t last_appended;		   /* entries up to here are the workers' */
	uint64_t status_due_ns;
	bool fills; /* the state is being filled in: until the core is started, and in a refill */
	struct dp_fill fill;
	struct dp_roles roles;
	uint64_t generation;	    /* commit.h */
	struct dp_journal *journal; /* NULL: log.enabled = off */
	uint64_t passed_seen;	    /* by every consumer, as this poll found it */
	uint64_t durable_seen;
	uint64_t deadline_ns; /* of the core; 0: not asked since its last step */
	uint64_t control_generation;
	uint64_t marks_pushed; /* to each worker */
	struct rep_frame frames[DP_BURST];
	uint64_t burst_head, burst_tail;
	struct dp_burst_mark bursts[DP_BURST_LOG];

	/* Read by the main thread: a node with our own id speaks on the link (0: none). */
	uint64_t own_id_seen;
};

unsigned dp_sequencer_poll(void *sequencer);

/* --- sequencer_intake.c --- */
/* All requests of one datagram. */
void dp_sequencer_datagram(struct dp_sequencer *sequencer, struct rte_mbuf *mbuf);
/* Closes a session for its client or for idleness, as an entry; false when that cannot be now. */
bool dp_sequencer_close(struct dp_sequencer *sequencer, uint32_t session);
/* Puts an element into a worker's ring with the next flush. */
void dp_sequencer_push_batch(struct dp_worker *worker);
static inline void
dp_sequencer_push(struct dp_sequencer *sequencer, uint32_t index, uint64_t element)
{
	struct dp_worker *worker = &sequencer->workers[index];
	worker->batch[worker->batch_count++] = element;
	if (worker->batch_count == DP_BURST)
		dp_sequencer_push_batch(worker);
}
void dp_sequencer_push_flush(struct dp_sequencer *sequencer);
void dp_sequencer_mark(struct dp_sequencer *sequencer, uint64_t sequence, uint64_t session_digest);

/* --- sequencer_link.c --- */
/* Decodes a received burst into sequencer->frames; returns their count. The mbufs stay the
 * caller's, and must live until the update is carried out. */
uint32_t
dp_sequencer_decode(struct dp_sequencer *sequencer, struct rte_mbuf **mbufs, uint16_t count);
/* Copies what the update stores from the frames into the arena. */
void dp_sequencer_store(struct dp_sequencer *sequencer);
/* Encodes and sends all frames of the update. */
void dp_sequencer_send(struct dp_sequencer *sequencer);

/* --- sequencer_roles.c --- */
/* Takes what control gave; true when the core is to hear of it in a step. */
bool dp_roles_hear(struct dp_sequencer *sequencer);
void dp_roles_event(struct dp_sequencer *sequencer, struct rep_event *event);
/* What the update wants of control. */
void dp_roles_carry_out(struct dp_sequencer *sequencer);
/* Before anything of the update is published. */
void dp_roles_drop_answers(struct dp_sequencer *sequencer);
bool dp_roles_can_keep(const struct dp_sequencer *sequencer);
/* Goes on with the filling of the state, at the start or again; returns the work done. */
unsigned dp_roles_fill(struct dp_sequencer *sequencer);

/* --- fill.c --- */
/* While the core is not started, or refilled: takes what control fills in; returns the work done.
 */
unsigned dp_fill_poll(struct dp_sequencer *sequencer);

/* --- sequencer.c --- */
/* Follows entries that stand in the arena: session table, then their workers. Returns how many
 * fitted; *fault says why the next one did not. */
uint32_t dp_sequencer_follow(
	struct dp_sequencer *sequencer,
	uint64_t first,
	uint32_t count,
	enum rep_session_fault *fault
);
/* To the agents that go by the node's role; whenever the mode has changed. */
void dp_sequencer_publish_role(struct dp_sequencer *sequencer);
/* The sequence that every worker is past. */
uint64_t dp_sequencer_workers_passed(struct dp_sequencer *sequencer);

/* --- sequencer_status.c --- */
void dp_sequencer_status(struct dp_sequencer *sequencer);
/* Closes a session that has timed out, if one is found; before the poll's requests are taken. */
void dp_sequencer_expire(struct dp_sequencer *sequencer);
