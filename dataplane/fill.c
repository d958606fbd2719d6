/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Replay, the dataplane's half: control verifies the node's log and puts it, group by group, into a
 * ring of bytes in the memory file (dataplane/shm.h); here its entries go the way that entries from
 * a primary go on a standby: into the arena, through the session table, to their workers. Each poll
 * takes a bounded number of them.
 *
 * Entries that are here already are passed over, so a control that was killed in the middle simply
 * begins again.
 */
#include "config/bytes.h"
#include "dataplane/clock.h"
#include "dataplane/sequencer.h"

#define ENTRIES_PER_POLL 512

static uint8_t *ring_of(const struct dp_sequencer *sequencer)
{
	return (uint8_t *)sequencer->shm + sequencer->shm->fill_at;
}

static void pass(struct dp_sequencer *sequencer, uint32_t bytes)
{
	struct dp_shm_fill *fill = &sequencer->shm->fill;
	sequencer->fill.record_done = 0;
	sequencer->fill.group_left = 0;
	/* Release: our reading of the record comes before control writes there again. */
	__atomic_store_n(&fill->tail, fill->tail + bytes, __ATOMIC_RELEASE);
}

static void refuse(struct dp_sequencer *sequencer, uint64_t sequence)
{
	dp_shm_store(&sequencer->shm->fill.fault, sequence + 1);
	sequencer->counters->bad_fill++;
}

/* The record at the tail, or NULL: there is none, or it makes no sense. */
static const struct dp_fill_record *next_record(struct dp_sequencer *sequencer)
{
	struct dp_shm_fill *fill = &sequencer->shm->fill;
	uint64_t bytes = sequencer->shm->fill_bytes;
	/* Acquire: pairs with control's release; the record is complete. */
	uint64_t there = __atomic_load_n(&fill->head, __ATOMIC_ACQUIRE) - fill->tail;
	if (there == 0 || dp_shm_load(&fill->fault) != 0)
		return NULL;
	uint64_t at = fill->tail & (bytes - 1);
	const struct dp_fill_record *record = (const void *)(ring_of(sequencer) + at);
	if (there > bytes || there < sizeof(*record) || record->bytes < sizeof(*record) ||
	    record->bytes % 8 != 0 || record->bytes > there || at + record->bytes > bytes) {
		refuse(sequencer, sequencer->last_appended);
		return NULL;
	}
	return record;
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
	struct rep_history history = {
		.last_sequence = last,
		.arena_first = sf_max64(sequencer->fill.base, last >= slots ? last - slots : 0) + 1,
		.epoch = end->history.epoch,
		.lineage_count = core->lineage_count,
	};
	if (end->history.last_sequence != last || end->position.next_sequence != last + 1) {
		refuse(sequencer, last);
		return;
	}
	memcpy(history.lineage, core->lineage, sizeof(history.lineage));
	if (history.lineage_count > 0)
		history.epoch = (uint32_t
		)sf_max64(history.epoch, history.lineage[history.lineage_count - 1].epoch);
	sequencer->commit->appended = last;
	dp_journal_begin(sequencer->journal, &end->position);
	rep_core_start(core, &history, sequencer->now_ns);
	sequencer->deadline_ns = 0;
	sequencer->update.mode_changed = true;
	dp_shm_store(&sequencer->shm->fill.state, DP_FILL_DONE);
}

unsigned dp_fill_poll(struct dp_sequencer *sequencer)
{
	unsigned budget = ENTRIES_PER_POLL;
	while (budget > 0 && !sequencer->core.started) {
		const struct dp_fill_record *record = next_record(sequencer);
		if (record == NULL)
			break;
		switch (record->type) {
		case DP_FILL_BEGIN:
			dp_shm_store(&sequencer->shm->fill.state, DP_FILL_RUNNING);
			break;
		case DP_FILL_SKIP:
			break;
		case DP_FILL_GROUPS:
			if (!take_groups(sequencer, record, &budget)) {
				dp_sequencer_push_flush(sequencer);
				return ENTRIES_PER_POLL - budget;
			}
			break;
		case DP_FILL_END:
			if (record->bytes == sizeof(*record) + sizeof(struct dp_fill_end)) {
				start(sequencer, (const struct dp_fill_end *)(record + 1));
				break;
			}
			/* fall through */
		default:
			refuse(sequencer, sequencer->last_appended);
			return 1;
		}
		pass(sequencer, record->bytes);
		budget--;
	}
	dp_sequencer_push_flush(sequencer);
	return ENTRIES_PER_POLL - budget;
}
