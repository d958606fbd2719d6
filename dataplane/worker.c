/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/worker.h"

#include "dataplane/clock.h"

#include <sys/mman.h>

#define FORGET_BYTES (16ull << 20) /* in one poll, whole pages */

#ifdef DP_CANARY_RELAXED /* a deliberate bug that ThreadSanitizer must report: tests/vdev */
#define RELEASE __ATOMIC_RELAXED
#else
#define RELEASE __ATOMIC_RELEASE
#endif

/* Finds an element's places in the shard, so that their cache lines come while others are applied.
 */
static inline void
locate(const struct dp_worker *worker, uint64_t element, struct dp_shard_place *place)
{
	if (element & (DP_ELEMENT_SIDE | DP_ELEMENT_MARK))
		return;
	uint64_t sequence = element & DP_ELEMENT_VALUE;
	const struct rep_entry *entry = rep_arena_entry(&worker->arena, sequence);
	if (entry->kind == REP_ENTRY_UPDATE)
		dp_shard_locate(
			&worker->shard,
			entry,
			worker->meta[sequence & worker->arena.mask].session,
			place
		);
}

static inline void
apply_entry(struct dp_worker *worker, uint64_t sequence, const struct dp_shard_place *place)
{
	const struct rep_entry *entry = rep_arena_entry(&worker->arena, sequence);
	/* Sessions are the sequencer's: an OPEN only has its answer here, a CLOSE nothing. */
	if (entry->kind == REP_ENTRY_UPDATE)
		dp_shard_apply_at(&worker->shard, entry, place);
}

static void execute_read(struct dp_worker *worker, struct dp_side *side)
{
	uint8_t answer[CLI_MAX_ANSWER_BYTES];
	struct dp_operation operation = {
		.asset_id = side->asset_id,
		.client_id = side->client_id,
		.payload = side->payload,
		.payload_bytes = side->payload_bytes,
		.opcode = side->opcode,
	};
	struct dp_result result = {.payload = answer};
	side->status =
		(uint8_t)dp_shard_read(&worker->shard, &operation, &result, &side->asset_version);
	side->payload_bytes = result.payload_bytes;
	memcpy(side->payload, answer, result.payload_bytes);
}

/* Publishes the shard's sums at a sequence: all entries up to it, and none beyond, are applied. */
static void write_mark(struct dp_worker *worker, uint64_t sequence)
{
	uint64_t sum = worker->shard.assets_digest + worker->shard.answers_digest;
	dp_shm_marks_add(&worker->shm->marks, sequence, sum);
	worker->shm->counters.markers++;
	/* Relaxed: a count by itself. */
	__atomic_store_n(&worker->marks_done, worker->marks_done + 1, __ATOMIC_RELAXED);
	dp_shm_store(&worker->shm->assets, worker->shard.asset_count);
}

static void restore(struct dp_worker *worker, uint64_t offset)
{
	if (!dp_shard_restore(&worker->shard, (const void *)(worker->fill + offset)))
		worker->misfit = true;
	dp_shm_store(&worker->shm->assets, worker->shard.asset_count);
	/* Release: the sequencer sees the shard as it is now, and may give the bytes back. */
	__atomic_store_n(&worker->restored, worker->restored + 1, RELEASE);
}

static inline void hold(struct dp_worker *worker, uint64_t element)
{
	worker->held[worker->held_head & worker->held_mask] = element;
	worker->held_head++;
}

/* The node has lost its role: what waits for an answer belongs to another primary now. */
static void reset(struct dp_worker *worker, uint64_t element)
{
	while (worker->held_tail != worker->held_head) {
		uint64_t held = worker->held[worker->held_tail++ & worker->held_mask];
		uint64_t value = held & DP_ELEMENT_VALUE;
		if (held & DP_ELEMENT_SIDE)
			/* Release: our last look at the side places. */
			__atomic_store_n(&worker->side_tail, value + 1, RELEASE);
		else
			worker->done = value;
		worker->shm->counters.answers_dropped++;
	}
	worker->generation = element & DP_ELEMENT_VALUE;
	worker->forgetting = (element & DP_ELEMENT_FORGET) == DP_ELEMENT_FORGET;
}

/* One part of it; other agents may share the lcore. The pages go back, as none were there at the
 * start: a shard of which little is in use is forgotten quickly. */
static void forget(struct dp_worker *worker)
{
	uint64_t bytes = sf_min64(FORGET_BYTES, worker->shard_bytes - worker->forgotten_bytes);
	uint8_t *at = (uint8_t *)worker->shard_memory + worker->forgotten_bytes;
	if (madvise(at, bytes, MADV_DONTNEED) < 0)
		memset(at, 0, bytes);
	worker->forgotten_bytes += bytes;
	if (worker->forgotten_bytes < worker->shard_bytes)
		return;
	struct dp_shard_config config = worker->shard.config;
	dp_shard_init(&worker->shard, &config, worker->shard_memory);
	worker->forgetting = false;
	worker->forgotten_bytes = 0;
	worker->misfit = false;
	worker->done = 0;
	dp_shm_marks_clear(&worker->shm->marks);
	dp_shm_store(&worker->shm->assets, 0);
	__atomic_store_n(&worker->done_sequence, 0, __ATOMIC_RELAXED);
	/* Release: the sequencer sees the shard, and done_sequence, as they are now. */
	__atomic_store_n(&worker->forgotten, worker->generation, RELEASE);
}

/* --- Answers --- */

/* Inlined for the sake of the call in answer_entry(), one an update. */
static __rte_always_inline void answer_kept(
	struct dp_worker *worker,
	const struct dp_address *client,
	uint32_t session,
	struct dp_response *response
)
{
	const struct dp_answer *answer =
		dp_shard_answer(&worker->shard, session, response->request_seq, response->sequence);
	if (answer == NULL) {
		/* The session table and the shard disagree; better silence than a wrong answer. */
		worker->shm->counters.answer_missing++;
		return;
	}
	response->asset_version = answer->asset_version;
	response->status = answer->status;
	response->payload = answer->payload;
	response->payload_bytes = answer->payload_bytes;
	if (dp_replies_response(&worker->replies, client, response))
		worker->shm->counters.answers++;
}

static void answer_opened(
	struct dp_worker *worker,
	const struct dp_address *client,
	uint64_t nonce,
	uint64_t client_id
)
{
	struct dp_opened opened = {
		.nonce = nonce,
		.client_id = client_id,
		.epoch = (uint32_t)dp_shm_load(&worker->commit->epoch),
		.status = CLI_OK,
		.max_inflight = worker->max_inflight,
	};
	if (dp_replies_opened(&worker->replies, client, &opened))
		worker->shm->counters.answers++;
}

static inline void answer_entry(
	struct dp_worker *worker, uint64_t sequence, uint64_t now_ns, struct sf_histogram_run *times
)
{
	const struct rep_entry *entry = rep_arena_entry(&worker->arena, sequence);
	const struct dp_meta *meta = &worker->meta[sequence & worker->arena.mask];
	if (entry->kind == REP_ENTRY_CLOSE)
		return;
	if (entry->kind == REP_ENTRY_OPEN) {
		answer_opened(worker, &meta->client, entry->request_seq, entry->client_id);
		return;
	}
	struct dp_response response = {
		.client_id = entry->client_id,
		.request_seq = entry->request_seq,
		.asset_id = entry->asset_id,
		.sequence = sequence,
		.epoch = (uint32_t)dp_shm_load(&worker->commit->epoch),
	};
	answer_kept(worker, &meta->client, meta->session, &response);
	sf_histogram_run_add(times, worker->answered, dp_elapsed_ns(meta->received_ns, now_ns), 1);
}

static void answer_side(struct dp_worker *worker, struct dp_side *side)
{
	struct dp_response response = {
		.client_id = side->client_id,
		.request_seq = side->request_seq,
		.asset_id = side->asset_id,
		.epoch = (uint32_t)dp_shm_load(&worker->commit->epoch),
	};
	switch (side->kind) {
	case DP_SIDE_READ:
		response.status = side->status;
		response.asset_version = side->asset_version;
		response.payload = side->payload;
		response.payload_bytes = side->payload_bytes;
		worker->shm->counters.reads++;
		if (dp_replies_response(&worker->replies, &side->client, &response))
			worker->shm->counters.answers++;
		break;
	case DP_SIDE_REPEAT:
		response.sequence = side->sequence;
		response.repeat = true;
		worker->shm->counters.repeats++;
		answer_kept(worker, &side->client, side->session, &response);
		break;
	case DP_SIDE_REPEAT_OPEN:
		worker->shm->counters.repeats++;
		answer_opened(worker, &side->client, side->request_seq, side->client_id);
		break;
	}
}

/* Answers in one poll: a whole window that becomes free at once (PAIRED again) must neither hold up
 * the other agents of the lcore nor overrun the TX ring. */
#define RELEASE_AT_ONCE 256

/* Answers what may be answered by now; returns how many. */
static unsigned release(struct dp_worker *worker)
{
	unsigned released = 0;
	uint64_t side_tail = worker->side_tail;
	/* Acquire: pairs with the sequencer's release in publish(); what was committed before the
	 * number was written is seen. */
	uint64_t committed = __atomic_load_n(&worker->commit->committed, __ATOMIC_ACQUIRE);
	uint64_t confirmed = __atomic_load_n(&worker->commit->confirmed_frame, __ATOMIC_ACQUIRE);
	uint64_t now_ns = 0;
	struct sf_histogram_run times = {0};

	/* Numbers of another role than the held answers' say nothing about these; the end of the
	 * role is in the ring. Looked at after the numbers: it is written before them. */
	if (unlikely(dp_shm_load(&worker->commit->generation) != worker->generation))
		return 0;

	while (worker->held_tail != worker->held_head && released < RELEASE_AT_ONCE) {
		uint64_t element = worker->held[worker->held_tail & worker->held_mask];
		uint64_t value = element & DP_ELEMENT_VALUE;
		if (element & DP_ELEMENT_SIDE) {
			struct dp_side *side = dp_worker_side(worker, value);
			if (side->sequence > committed || side->frame > confirmed)
				break;
			answer_side(worker, side);
			side_tail = value + 1;
		} else {
			if (value > committed)
				break;
			if (now_ns == 0)
				now_ns = dp_now_ns();
			answer_entry(worker, value, now_ns, &times);
			worker->done = value;
		}
		worker->held_tail++;
		released++;
	}
	sf_histogram_run_end(&times, worker->answered);
	if (released > 0) {
		dp_replies_flush(&worker->replies);
		/* Release: our last look at the side places comes before the sequencer's next
		 * writing there. */
		__atomic_store_n(&worker->side_tail, side_tail, RELEASE);
	}
	return released;
}

unsigned dp_worker_poll(void *agent)
{
	struct dp_worker *worker = agent;
	uint64_t elements[DP_BURST];
	if (unlikely(worker->forgetting)) {
		forget(worker);
		return 1;
	}
	unsigned count = rte_ring_sc_dequeue_burst_elem(
		worker->ring, elements, sizeof(elements[0]), DP_BURST, NULL
	);
	struct dp_shard_place places[DP_BURST];
	for (unsigned i = 0; i < count; i++)
		locate(worker, elements[i], &places[i]);
	unsigned applied = 0;
	for (unsigned i = 0; i < count; i++) {
		uint64_t element = elements[i];
		uint64_t value = element & DP_ELEMENT_VALUE;
		if (likely((element & (DP_ELEMENT_MARK | DP_ELEMENT_SIDE)) == 0)) {
			apply_entry(worker, value, &places[i]);
			applied++;
			if (element & DP_ELEMENT_ANSWER)
				hold(worker, element);
			else
				worker->done = value;
		} else if (element & DP_ELEMENT_MARK) {
			if (unlikely(element & DP_ELEMENT_ANSWER))
				reset(worker, element);
			else if (element & DP_ELEMENT_SIDE)
				restore(worker, value);
			else
				write_mark(worker, value);
		} else {
			struct dp_side *side = dp_worker_side(worker, value);
			if (side->kind == DP_SIDE_READ)
				execute_read(worker, side);
			hold(worker, element);
		}
	}
	worker->shm->counters.applied += applied;
	unsigned released = release(worker);
	if (count + released > 0)
		/* Release: all uses of the slots up to done come before their reuse. */
		__atomic_store_n(&worker->done_sequence, worker->done, RELEASE);
	return count + released;
}
