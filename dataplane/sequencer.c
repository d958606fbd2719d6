/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/sequencer.h"

#include "dataplane/clock.h"

#include <rte_ethdev.h>

#define STATUS_INTERVAL_NS 1000000ull
#define REQUEST_DATAGRAMS 64 /* in one poll, of all rings together */

/* The sequence that every worker is past: its slot and all before may be used again. Never falls:
 * a worker that had nothing to do for long is past all that others got meanwhile, also when it then
 * gets an entry (else the room of the arena, a difference from here, would wrap). */
uint64_t dp_sequencer_workers_passed(struct dp_sequencer *sequencer)
{
	uint64_t passed = sequencer->last_appended;
	for (uint32_t i = 0; i < sequencer->worker_count; i++) {
		struct dp_worker *worker = &sequencer->workers[i];
		/* Acquire: pairs with the worker's release; its uses of the slots are over. */
		uint64_t done = __atomic_load_n(&worker->done_sequence, __ATOMIC_ACQUIRE);
		/* Relaxed: a count by itself. */
		uint64_t marks = __atomic_load_n(&worker->marks_done, __ATOMIC_RELAXED);
		/* A worker that has done all that it was given holds nothing up. Marks count, so
		 * that no more of them wait than a ring has room for (node.c). */
		if (done >= worker->pushed_sequence && marks == sequencer->marks_pushed)
			done = sequencer->last_appended;
		worker->passed_sequence = sf_max64(worker->passed_sequence, done);
		passed = sf_min64(passed, worker->passed_sequence);
	}
	return passed;
}

/* What every consumer is past, the journal too. While the state is filled in nothing counts. */
static uint64_t passed_sequence(struct dp_sequencer *sequencer)
{
	if (unlikely(sequencer->fills))
		return sequencer->core.passed_sequence;
	uint64_t passed = dp_sequencer_workers_passed(sequencer);
	if (sequencer->journal != NULL)
		passed = sf_min64(passed, dp_journal_passed(sequencer->journal));
	return sf_max64(passed, sequencer->core.passed_sequence);
}

/* Looks how far workers and journal have come, for the step; true when that alone asks for one. */
static bool consumers_call(struct dp_sequencer *sequencer)
{
	const struct dp_journal *journal = sequencer->journal;
	struct rep_core *core = &sequencer->core;
	sequencer->passed_seen = passed_sequence(sequencer);
	if (journal != NULL && core->started) {
		if (likely(!sequencer->fills))
			sequencer->durable_seen = dp_journal_durable(journal);
		if (unlikely(dp_journal_failed(journal) != 0) && core->mode != REP_MODE_HALTED) {
			rep_core_halt(core, REP_REASON_LOG_FAILED);
			sequencer->update.mode_changed = true;
		}
	}
	return rep_core_calls(core, sequencer->passed_seen, sequencer->durable_seen);
}

static bool requests_wait(const struct dp_sequencer *sequencer)
{
	for (uint32_t i = 0; i < sequencer->inbox_count; i++) {
		const struct dp_inbox *inbox = sequencer->inboxes[i];
		/* Relaxed: only a hint, the dequeue itself acquires. The consumer's side is ours.
		 */
		const struct rte_ring *ring = inbox->ring;
		if (ring != NULL
			    ? __atomic_load_n(&ring->prod.tail, __ATOMIC_RELAXED) != ring->cons.tail
			    : inbox->count > 0)
			return true;
	}
	return false;
}

/* Takes datagrams that wait, frees them, and returns how many. However many ingresses are flooded,
 * one poll takes no more than makes the heartbeat late (inv. 38): the rings share one budget, and
 * each poll begins with another one. */
static unsigned take_requests(struct dp_sequencer *sequencer)
{
	unsigned taken = 0;
	unsigned budget = REQUEST_DATAGRAMS;
	uint32_t next = sequencer->first_inbox;
	sequencer->first_inbox = next + 1 < sequencer->inbox_count ? next + 1 : 0;
	for (uint32_t i = 0; i < sequencer->inbox_count; i++) {
		struct dp_inbox *inbox = sequencer->inboxes[next];
		struct rte_mbuf *burst[REQUEST_DATAGRAMS];
		struct rte_mbuf **mbufs = inbox->mbufs;
		unsigned count = inbox->count;
		next = next + 1 < sequencer->inbox_count ? next + 1 : 0;
		if (inbox->ring != NULL) {
			mbufs = burst;
			count = rte_ring_sc_dequeue_burst(
				inbox->ring, (void **)burst, budget, NULL
			);
			budget -= count;
		}
		for (unsigned j = 0; j < count; j++) {
			if (j + 1 < count)
				rte_prefetch0(rte_pktmbuf_mtod(mbufs[j + 1], void *));
			dp_sequencer_datagram(sequencer, mbufs[j]);
		}
		if (count > 0)
			rte_pktmbuf_free_bulk(mbufs, count);
		inbox->count = 0;
		taken += count;
	}
	sf_histogram_run_end(
		&sequencer->sequenced, dp_shm_histogram(sequencer->shm, DP_STAGE_SEQUENCED)
	);
	return taken;
}

/* Hands entries that were followed to their workers, in order. */
static void
hand_on(struct dp_sequencer *sequencer, const struct rep_verdict_detail *details, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		uint64_t sequence = details[i].sequence;
		uint32_t worker = sequencer->worker_of[details[i].partition];
		sequencer->meta[sequence & sequencer->intake.arena.mask].session =
			details[i].session;
		dp_sequencer_push(sequencer, worker, sequence);
		sequencer->workers[worker].pushed_sequence = sequence;
	}
}

uint32_t dp_sequencer_follow(
	struct dp_sequencer *sequencer,
	uint64_t first,
	uint32_t count,
	enum rep_session_fault *fault
)
{
	struct rep_intake *intake = &sequencer->intake;
	uint64_t sequence = first;
	uint64_t end = first + count;
	*fault = REP_SESSION_OK;
	while (sequence < end && *fault == REP_SESSION_OK) {
		struct rep_verdict_detail details[DP_BURST];
		uint32_t followed = rep_intake_follow(
			intake,
			sequence,
			(uint32_t)sf_min64(end - sequence, DP_BURST),
			details,
			fault
		);
		hand_on(sequencer, details, followed);
		sequence += followed;
		sequencer->last_appended = sequence - 1;
		if (unlikely(intake->mark_sequence != 0)) {
			dp_sequencer_mark(sequencer, intake->mark_sequence, intake->mark_digest);
			intake->mark_sequence = 0;
		}
	}
	return (uint32_t)(sequence - first);
}

/* Follows the appended entries but for the node's own, which went to the workers when they were
 * sequenced (a step brings one kind or the other). Returns false when an entry of the peer does not
 * fit: then nothing of this update may be acknowledged. */
static bool append(struct dp_sequencer *sequencer, uint32_t own)
{
	enum rep_session_fault fault;
	const struct rep_range *range = &sequencer->update.append;
	if (own > 0) {
		sequencer->last_appended = range->first + own - 1;
		return true;
	}
	dp_sequencer_follow(sequencer, range->first, (uint32_t)range->count, &fault);
	if (likely(fault == REP_SESSION_OK))
		return true;
	sequencer->counters->bad_appended_entry++;
	rep_core_halt(&sequencer->core, REP_REASON_BAD_ENTRY);
	return false;
}

void dp_sequencer_publish_role(struct dp_sequencer *sequencer)
{
	struct dp_commit *commit = sequencer->commit;
	dp_shm_store(&commit->primary, sequencer->core.primary);
	dp_shm_store(&commit->sync, rep_core_wants_sync(&sequencer->core));
}

static void publish(struct dp_sequencer *sequencer)
{
	struct dp_commit *commit = sequencer->commit;
	const struct rep_update *update = &sequencer->update;
	if (unlikely(update->mode_changed))
		dp_sequencer_publish_role(sequencer);
	if (unlikely(commit->epoch != sequencer->core.epoch))
		dp_shm_store(&commit->epoch, sequencer->core.epoch);
	/* Release: the journal that sees it sees the entries in the arena. */
	if (commit->appended != sequencer->last_appended && likely(!sequencer->fills))
		__atomic_store_n(&commit->appended, sequencer->last_appended, __ATOMIC_RELEASE);
	/* Release: a worker that sees the numbers sees everything that led to them. */
	if (commit->committed != update->committed)
		__atomic_store_n(&commit->committed, update->committed, __ATOMIC_RELEASE);
	if (commit->confirmed_frame != update->confirmed_frame)
		__atomic_store_n(
			&commit->confirmed_frame, update->confirmed_frame, __ATOMIC_RELEASE
		);
}

/* Round trips of the bursts that are acknowledged by now. */
static void record_acknowledged(struct dp_sequencer *sequencer)
{
	struct sf_histogram *histogram = dp_shm_histogram(sequencer->shm, DP_STAGE_ACKNOWLEDGED);
	while (sequencer->burst_tail != sequencer->burst_head) {
		const struct dp_burst_mark *burst =
			&sequencer->bursts[sequencer->burst_tail % DP_BURST_LOG];
		if (burst->last_sequence > sequencer->core.acked)
			break;
		sf_histogram_record(
			histogram, dp_elapsed_ns(burst->sent_ns, sequencer->now_ns), burst->count
		);
		sequencer->burst_tail++;
	}
}

static void record_sent(struct dp_sequencer *sequencer, uint32_t count)
{
	uint64_t sent_ns = dp_now_ns();
	sf_histogram_record(
		dp_shm_histogram(sequencer->shm, DP_STAGE_SENT),
		dp_elapsed_ns(sequencer->now_ns, sent_ns),
		count
	);
	/* A log that is full for once only misses some samples. */
	if (sequencer->burst_head - sequencer->burst_tail == DP_BURST_LOG)
		return;
	sequencer->bursts[sequencer->burst_head++ % DP_BURST_LOG] = (struct dp_burst_mark){
		.last_sequence = sequencer->core.last_sequence,
		.sent_ns = sent_ns,
		.count = count,
	};
}

static void
step(struct dp_sequencer *sequencer, uint32_t frame_count, bool drained, uint32_t submitted)
{
	struct rep_event event = {
		.now_ns = sequencer->now_ns,
		.submit_count = submitted,
		.frames = sequencer->frames,
		.frame_count = frame_count,
		.rx_drained = drained,
		.reads = sequencer->reads_waiting,
		.passed_sequence = sequencer->passed_seen,
		.durable = sequencer->durable_seen,
	};
	struct rep_core *core = &sequencer->core;
	struct rep_update *update = &sequencer->update;
	bool told = sequencer->roles.told;
	if (told)
		dp_roles_event(sequencer, &event);
	rep_core_step(core, &event, update);
	sequencer->deadline_ns = 0;
	if (told && update->drop_answers)
		dp_roles_drop_answers(sequencer);
	/* The wire first: everything else overlaps the round trip. */
	bool first = core->primary;
	if (first)
		dp_sequencer_send(sequencer);
	if (first && submitted > 0)
		record_sent(sequencer, submitted);
	dp_sequencer_store(sequencer);
	if (append(sequencer, submitted)) {
		publish(sequencer);
		if (!first)
			dp_sequencer_send(sequencer);
		if (told)
			dp_roles_carry_out(sequencer);
	}
	if (first)
		record_acknowledged(sequencer);
	dp_sequencer_push_flush(sequencer);
	sequencer->reads_waiting = false;
}

/* The deadline changes with steps only; most polls come long before it. */
static bool core_is_due(struct dp_sequencer *sequencer)
{
	if (sequencer->deadline_ns == 0)
		sequencer->deadline_ns = rep_core_deadline_ns(&sequencer->core);
	return sequencer->now_ns >= sequencer->deadline_ns;
}

/* Does somebody count on this node, or does its disk lack something? */
static bool must_stay(const struct rep_core *core)
{
	return core->mode == REP_MODE_STANDBY || core->mode == REP_MODE_PAIRED ||
	       core->mode == REP_MODE_BLOCKED || core->mode == REP_MODE_CANDIDATE ||
	       core->durable < core->last_sequence;
}

/* In good order: the role is handed over, or the node taken out of the in-sync set, before it says
 * GOODBYE (P13, P14). Main decides how long that may take. */
static void leave(struct dp_sequencer *sequencer, uint32_t how)
{
	struct rep_core *core = &sequencer->core;
	if (sequencer->roles.told && core->started && how == DP_STOP_IN_ORDER) {
		if (!sequencer->leaving) {
			sequencer->leaving = sequencer->roles.operated = true;
			sequencer->roles.operation.operation = REP_OPERATION_LEAVE;
			sequencer->deadline_ns = sequencer->now_ns;
			return;
		}
		if (must_stay(core))
			return;
	}
	rep_core_leave(core, &sequencer->update);
	dp_sequencer_send(sequencer);
	if (sequencer->roles.told)
		dp_roles_carry_out(sequencer);
	/* Release: what control is to write stands in the memory file. */
	__atomic_store_n(&sequencer->left, true, __ATOMIC_RELEASE);
}

unsigned dp_sequencer_poll(void *agent)
{
	struct dp_sequencer *sequencer = agent;
	struct rte_mbuf *mbufs[DP_BURST];
	uint16_t received = dp_port_rx(sequencer->port, sequencer->port_queue, mbufs, DP_BURST);
	/* The core's time never falls, whatever the counter does on the way to another core (T08).
	 */
	sequencer->now_ns = sf_max64(sequencer->now_ns, dp_now_ns());
	uint32_t frames = received > 0 ? dp_sequencer_decode(sequencer, mbufs, received) : 0;

	/* Before the intake: a log that has ended halts the core, and then nothing is taken. */
	bool called = consumers_call(sequencer);
	if (sequencer->roles.told)
		called |= dp_roles_hear(sequencer);
	bool status_due = sequencer->now_ns >= sequencer->status_due_ns;
	unsigned requests = 0;
	uint32_t submitted = 0;
	if (status_due || requests_wait(sequencer)) {
		rep_intake_begin(
			&sequencer->intake, sequencer->now_ns + sequencer->unix_minus_monotonic_ns
		);
		if (status_due)
			dp_sequencer_expire(sequencer);
		requests = take_requests(sequencer);
		submitted = sequencer->intake.pending;
	}

	if (frames > 0 || submitted > 0 || sequencer->reads_waiting || called ||
	    core_is_due(sequencer))
		step(sequencer, frames, received < DP_BURST, submitted);
	else if (requests > 0)
		dp_sequencer_push_flush(sequencer); /* repeats only */
	if (received > 0)
		rte_pktmbuf_free_bulk(mbufs, received);
	if (sequencer->replies.open_mask != 0 || sequencer->replies.ready_count > 0)
		dp_replies_flush(&sequencer->replies);

	if (status_due || sequencer->update.mode_changed) {
		sequencer->status_due_ns = sequencer->now_ns + STATUS_INTERVAL_NS;
		dp_sequencer_status(sequencer);
		sequencer->update.mode_changed = false;
	}
	/* Relaxed: a flag by itself. */
	uint32_t stop = __atomic_load_n(sequencer->stop, __ATOMIC_RELAXED);
	if (unlikely(stop != 0 && !sequencer->left))
		leave(sequencer, stop);
	if (unlikely(sequencer->fills))
		requests += dp_roles_fill(sequencer);
	return received + requests;
}
