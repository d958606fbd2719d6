/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Replay, the dataplane's half: control verifies the node's log and puts it, group by group, into a
 * ring of bytes in the memory file (dataplane/shm.h); here its entries go the way that entries from
 * a primary go on a standby: into the arena, through the session table, to their workers. Each poll
 * takes a bounded number of them.
 *
 * A snapshot comes first, if there is one: sessions are put back here, assets and answers by their
 * workers, which read the blocks where control put them. The digests in its header decide whether
 * everything arrived.
 *
 * Blocks and entries that are here already are passed over, so a control that was killed in the
 * middle simply begins again.
 */
#include "config/bytes.h"
#include "dataplane/clock.h"
#include "dataplane/sequencer.h"

#define ENTRIES_PER_POLL 512
#define AHEAD_BYTES 2048
#define BLOCK_BUDGET 128    /* what a block of a snapshot counts for */
#define BLOCKS_UNDER_WAY 64 /* per worker, whose ring has room for many more */

static uint8_t *ring_of(const struct dp_sequencer *sequencer)
{
	return (uint8_t *)sequencer->shm + sequencer->shm->fill_at;
}

/* Gives the bytes of what was taken back to control, once no worker reads them any more. True when
 * that is so. */
static bool give_back(struct dp_sequencer *sequencer)
{
	struct dp_shm_fill *fill = &sequencer->shm->fill;
	for (uint32_t i = 0; i < sequencer->worker_count; i++) {
		const struct dp_worker *worker = &sequencer->workers[i];
		/* Acquire: pairs with the worker's release; its part of the state is seen. */
		if (__atomic_load_n(&worker->restored, __ATOMIC_ACQUIRE) != worker->restores)
			return false;
	}
	/* Release: our reading of the records comes before control writes there again. */
	if (fill->tail != sequencer->fill.taken)
		__atomic_store_n(&fill->tail, sequencer->fill.taken, __ATOMIC_RELEASE);
	return true;
}

static void pass(struct dp_sequencer *sequencer, uint32_t bytes)
{
	sequencer->fill.record_done = 0;
	sequencer->fill.group_left = 0;
	sequencer->fill.taken += bytes;
}

static void refuse(struct dp_sequencer *sequencer, uint64_t sequence)
{
	dp_shm_store(&sequencer->shm->fill.fault, sequence + 1);
	sequencer->counters->bad_fill++;
}

/* The record in hand, or NULL: there is none, or it makes no sense. */
static const struct dp_fill_record *next_record(struct dp_sequencer *sequencer)
{
	struct dp_shm_fill *fill = &sequencer->shm->fill;
	uint64_t bytes = sequencer->shm->fill_bytes;
	/* Acquire: pairs with control's release; the record is complete. */
	uint64_t taken = sequencer->fill.taken;
	uint64_t there = __atomic_load_n(&fill->head, __ATOMIC_ACQUIRE) - taken;
	if (there == 0 || dp_shm_load(&fill->fault) != 0)
		return NULL;
	uint64_t at = taken & (bytes - 1);
	const struct dp_fill_record *record = (const void *)(ring_of(sequencer) + at);
	if (there > bytes || there < sizeof(*record) || record->bytes < sizeof(*record) ||
	    record->bytes % 8 != 0 || record->bytes > there || at + record->bytes > bytes) {
		refuse(sequencer, sequencer->last_appended);
		return NULL;
	}
	return record;
}

/* --- Snapshot --- */

static bool take_header(struct dp_sequencer *sequencer, const struct snap_header *header)
{
	struct dp_fill *fill = &sequencer->fill;
	struct snap_shape shape;
	const char *field;
	if (fill->header.crc != 0) /* begun again: the same one, or none */
		return fill->header.crc == header->crc && fill->header.sequence == header->sequence;
	dp_shard_shape(&sequencer->workers[0].shard.config, &shape);
	if (sequencer->last_appended != 0 || header->sequence == 0 || header->crc == 0 ||
	    header->lineage_count > REP_MAX_LINEAGE || !snap_fits(&shape, &header->shape, &field))
		return false;
	fill->header = *header;
	return true;
}

static bool
take_block(struct dp_sequencer *sequencer, const struct dp_fill_record *record, uint32_t number)
{
	struct dp_fill *fill = &sequencer->fill;
	const struct snap_block *block = (const void *)(record + 1);
	uint32_t room = record->bytes - (uint32_t)sizeof(*record);
	if (fill->header.crc == 0 || room < sizeof(*block) || block->bytes != room ||
	    block->partition >= REP_PARTITIONS || block->number != number)
		return false;
	if (number < fill->blocks)
		return true;
	if (number > fill->blocks || fill->based)
		return false;
	fill->blocks++;
	switch (block->type) {
	case SNAP_SESSIONS:
		return snap_restore_sessions(&sequencer->sessions, block);
	case SNAP_ANSWERS:
		fill->answers += block->count;
		break;
	case SNAP_ASSETS:
		break;
	default:
		return false;
	}
	uint32_t worker = sequencer->worker_of[block->partition];
	dp_sequencer_push(
		sequencer,
		worker,
		DP_ELEMENT_BLOCK | (uint64_t)((const uint8_t *)block - ring_of(sequencer))
	);
	sequencer->workers[worker].restores++;
	return true;
}

/* Has some worker as many blocks as it may have? */
static bool workers_are_behind(const struct dp_sequencer *sequencer)
{
	for (uint32_t i = 0; i < sequencer->worker_count; i++) {
		const struct dp_worker *worker = &sequencer->workers[i];
		/* Relaxed: only for the count; give_back acquires before it gives bytes back. */
		uint64_t restored = __atomic_load_n(&worker->restored, __ATOMIC_RELAXED);
		if (worker->restores - restored >= BLOCKS_UNDER_WAY)
			return true;
	}
	return false;
}

/* All blocks are in their places, and no worker is busy with one: is this the state whose digests
 * the header has? */
static bool take_base(struct dp_sequencer *sequencer)
{
	struct dp_fill *fill = &sequencer->fill;
	const struct snap_header *header = &fill->header;
	struct rep_core *core = &sequencer->core;
	uint64_t assets_digest = 0, assets = 0;
	if (fill->based)
		return true;
	if (header->crc == 0 || fill->blocks != header->blocks)
		return false;
	for (uint32_t i = 0; i < sequencer->worker_count; i++) {
		if (sequencer->workers[i].misfit)
			return false;
		assets_digest += sequencer->workers[i].shard.assets_digest;
		assets += sequencer->workers[i].shard.asset_count;
	}
	if (assets_digest != header->assets_digest || assets != header->assets ||
	    sequencer->sessions.digest != header->sessions_digest ||
	    sequencer->sessions.count != header->sessions || fill->answers != header->answers)
		return false;
	rep_session_restored(&sequencer->sessions);
	/* The worker waits at its ring: what is written here is seen with its next element. */
	sequencer->workers[0].shard.answers_digest = header->answers_digest;
	uint32_t *count;
	struct rep_lineage *lineage = rep_core_filled(core, &count);
	memcpy(lineage, header->lineage, sizeof(header->lineage));
	*count = header->lineage_count;
	sequencer->last_appended = fill->base = header->sequence;
	fill->based = true;
	dp_shm_store(&sequencer->shm->fill.snapshot, header->sequence);
	dp_shm_store(&sequencer->shm->fill.sequence, header->sequence);
	return true;
}

/* --- Entries --- */

/* An entry whose effect is in the snapshot: the peer may miss it, so it has its place in the arena,
 * where nobody has read yet. */
static void take_covered(struct dp_sequencer *sequencer, const struct rep_entry *entry)
{
	struct dp_fill *fill = &sequencer->fill;
	if (sequencer->last_appended > fill->base)
		return; /* begun again */
	if (entry->sequence != fill->next)
		fill->first = entry->sequence;
	fill->next = entry->sequence + 1;
	rep_entry_copy(rep_arena_entry(&sequencer->intake.arena, entry->sequence), entry);
}

/* Takes entries of the group in hand, as many as have room; false when one does not fit. */
static bool take_entries(struct dp_sequencer *sequencer, const uint8_t *end, unsigned *budget)
{
	struct dp_fill *fill = &sequencer->fill;
	const struct rep_arena *arena = &sequencer->intake.arena;
	uint64_t passed = dp_sequencer_workers_passed(sequencer);
	while (fill->group_left > 0 && *budget > 0) {
		uint64_t first = sequencer->last_appended + 1;
		uint64_t room = arena->mask + 1ull - (sequencer->last_appended - passed);
		uint32_t limit = (uint32_t)sf_min64(sf_min64(room, DP_BURST), *budget);
		uint32_t count = 0;
		while (count < limit && fill->group_left > 0) {
			const struct rep_entry *entry = (const void *)fill->entry;
			/* Another CPU has just written it: brought near ahead of use. */
			__builtin_prefetch(fill->entry + AHEAD_BYTES);
			__builtin_prefetch(fill->entry + AHEAD_BYTES + 64);
			if ((uint64_t)(end - fill->entry) < REP_ENTRY_HEADER_BYTES ||
			    entry->payload_bytes > sequencer->settings->limits.max_payload_bytes ||
			    (uint64_t)(end - fill->entry) < rep_entry_bytes(entry->payload_bytes) ||
			    entry->sequence > first + count) {
				refuse(sequencer, first + count);
				return false;
			}
			if (entry->sequence == first + count) {
				rep_entry_copy(rep_arena_entry(arena, entry->sequence), entry);
				count++;
			} else if (count == 0 && entry->sequence <= fill->base) {
				take_covered(sequencer, entry);
			}
			fill->entry += rep_entry_bytes(entry->payload_bytes);
			fill->group_left--;
		}
		enum rep_session_fault fault;
		uint32_t followed = dp_sequencer_follow(sequencer, first, count, &fault);
		*budget -= sf_min64(*budget, count > 0 ? count : 1);
		dp_shm_store(&sequencer->shm->fill.sequence, sequencer->last_appended);
		if (fault != REP_SESSION_OK) {
			refuse(sequencer, first + followed);
			return false;
		}
		if (limit == 0)
			break; /* the workers are behind */
	}
	return true;
}

/* The groups of a record, one after the other; true when the record is done. */
static bool
take_groups(struct dp_sequencer *sequencer, const struct dp_fill_record *record, unsigned *budget)
{
	struct dp_fill *fill = &sequencer->fill;
	const uint8_t *data = (const uint8_t *)(record + 1);
	uint32_t bytes = record->bytes - (uint32_t)sizeof(*record);
	const uint8_t *end = data + bytes;
	while (*budget > 0) {
		if (fill->group_left > 0 && !take_entries(sequencer, end, budget))
			return false;
		if (fill->group_left > 0)
			return false;
		if (fill->record_done == bytes)
			return true;
		const struct log_group *group = (const void *)(data + fill->record_done);
		if (bytes - fill->record_done < sizeof(*group) || group->bytes < sizeof(*group) ||
		    group->bytes > LOG_MAX_GROUP_BYTES ||
		    log_group_space(group->bytes) > bytes - fill->record_done) {
			refuse(sequencer, sequencer->last_appended);
			return false;
		}
		fill->entry = (const uint8_t *)(group + 1);
		fill->group_left = group->count;
		fill->record_done += log_group_space(group->bytes);
	}
	return false;
}

static void start(struct dp_sequencer *sequencer, const struct dp_fill_end *end)
{
	struct rep_core *core = &sequencer->core;
	uint64_t last = sequencer->last_appended;
	uint64_t slots = sequencer->intake.arena.mask + 1ull;
	const struct dp_fill *fill = &sequencer->fill;
	uint64_t first = fill->next == fill->base + 1 ? fill->first : fill->base + 1;
	uint32_t *count;
	const struct rep_lineage *lineage = rep_core_filled(core, &count);
	struct rep_history history = {
		.last_sequence = last,
		.arena_first = sf_max64(first, last >= slots ? last - slots + 1 : 1),
		.epoch = end->history.epoch,
		.lineage_count = *count,
	};
	bool again = sequencer->roles.refilling == DP_REFILL_FILL;
	if (end->history.last_sequence != last || end->position.next_sequence != last + 1 ||
	    end->refill != (again ? sequencer->roles.refill.number : 0)) {
		refuse(sequencer, last);
		return;
	}
	memcpy(history.lineage, lineage, sizeof(history.lineage));
	if (history.lineage_count > 0)
		history.epoch = (uint32_t
		)sf_max64(history.epoch, history.lineage[history.lineage_count - 1].epoch);
	sequencer->commit->appended = last;
	dp_journal_begin(sequencer->journal, &end->position);
	core->on_hold = end->held != 0;
	if (again)
		rep_core_refilled(core, end->refill, &history, sequencer->now_ns);
	else if (core->config.policy != REP_POLICY_FIXED)
		rep_core_start_with(core, &history, &end->record, sequencer->now_ns);
	else
		rep_core_start(core, &history, sequencer->now_ns);
	sequencer->roles.refilling = DP_REFILL_NONE;
	sequencer->fills = false;
	sequencer->deadline_ns = 0;
	sequencer->update.mode_changed = true;
	dp_sequencer_publish_role(sequencer);
	dp_shm_store(&sequencer->shm->fill.state, DP_FILL_DONE);
}

/* Half of a snapshot is no state to go on from: not even when control begins again without it. */
static bool half_based(const struct dp_fill *fill)
{
	return fill->header.crc != 0 && !fill->based;
}

/* Takes the record in hand, or a part of it; true when it is done with. */
static bool
take(struct dp_sequencer *sequencer, const struct dp_fill_record *record, unsigned *budget)
{
	uint32_t bytes = record->bytes - (uint32_t)sizeof(*record);
	bool good = true;
	switch (record->type) {
	case DP_FILL_SKIP:
		return true;
	case DP_FILL_BEGIN:
		sequencer->fill.next_block = 0;
		dp_shm_store(&sequencer->shm->fill.state, DP_FILL_RUNNING);
		return true;
	case DP_FILL_SNAPSHOT:
		good = bytes == sizeof(struct snap_header) &&
		       take_header(sequencer, (const void *)(record + 1));
		break;
	case DP_FILL_BLOCK:
		if (workers_are_behind(sequencer)) {
			*budget = 0;
			return false;
		}
		good = take_block(sequencer, record, sequencer->fill.next_block++);
		*budget -= sf_min64(*budget, BLOCK_BUDGET);
		break;
	case DP_FILL_SNAPSHOT_END:
		dp_sequencer_push_flush(sequencer);
		if (!give_back(sequencer)) {
			*budget = 0;
			return false; /* the workers are behind */
		}
		good = take_base(sequencer);
		break;
	case DP_FILL_GROUPS:
		if (!half_based(&sequencer->fill))
			return take_groups(sequencer, record, budget);
		good = false;
		break;
	case DP_FILL_END:
		good = bytes == sizeof(struct dp_fill_end) && !half_based(&sequencer->fill);
		if (good)
			start(sequencer, (const struct dp_fill_end *)(record + 1));
		break;
	default:
		good = false;
	}
	if (!good)
		refuse(sequencer, sequencer->last_appended);
	return good;
}

unsigned dp_fill_poll(struct dp_sequencer *sequencer)
{
	unsigned budget = ENTRIES_PER_POLL;
	while (budget > 0 && sequencer->fills) {
		const struct dp_fill_record *record = next_record(sequencer);
		if (record == NULL || !take(sequencer, record, &budget))
			break;
		pass(sequencer, record->bytes);
		budget -= sf_min64(budget, 1);
	}
	dp_sequencer_push_flush(sequencer);
	give_back(sequencer);
	return ENTRIES_PER_POLL - budget;
}
