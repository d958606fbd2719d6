/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Histories: what a node holds, in which epochs it was written, and how it compares with what the
 * peer holds. One author per epoch makes (epoch, sequence) the identity of an entry; so one history
 * is the beginning of another when the other's lineage holds the place of its last entry.
 */
#include "replication/core_parts.h"

void rep_lineage_add(
	struct rep_lineage lineage[REP_MAX_LINEAGE],
	uint32_t *count,
	uint32_t epoch,
	uint64_t first_sequence
)
{
	if (*count == REP_MAX_LINEAGE) {
		memmove(lineage, lineage + 1, (REP_MAX_LINEAGE - 1) * sizeof(lineage[0]));
		(*count)--;
	}
	lineage[(*count)++] =
		(struct rep_lineage){.epoch = epoch, .first_sequence = first_sequence};
}

void rep_core_begin_epoch(struct rep_core *core, uint32_t epoch, uint64_t first_sequence)
{
	uint32_t *count;
	struct rep_lineage *lineage = rep_core_filled(core, &count);
	if (*count == 0 || lineage[*count - 1].epoch != epoch)
		rep_lineage_add(lineage, count, epoch, first_sequence);
}

struct rep_lineage *rep_core_filled(struct rep_core *core, uint32_t **count)
{
	*count = core->refill.wanted ? &core->filled_count : &core->lineage_count;
	return core->refill.wanted ? core->filled : core->lineage;
}

static void hold(struct rep_core *core, const struct rep_history *history, uint64_t now_ns)
{
	CHECK(history->lineage_count <= REP_MAX_LINEAGE);
	core->last_sequence = core->highest = core->nak_mark = history->last_sequence;
	core->known_position = history->last_sequence;
	core->arena_first = sf_max64(history->arena_first, 1);
	core->arena_top = 0;
	core->passed_sequence = 0;
	core->durable = 0;
	core->lineage_count = history->lineage_count;
	memcpy(core->lineage, history->lineage, sizeof(core->lineage));
	core->heard_ns = core->echo_ns = core->last_step_ns = now_ns;
}

void rep_core_start(struct rep_core *core, const struct rep_history *history, uint64_t now_ns)
{
	CHECK(!core->started);
	core->started = true;
	hold(core, history, now_ns);
	/* inv. 7: never again in an epoch of an earlier life; its lowest bit names the author. */
	if (rep_core_fixed(core) && core->config.role == REP_PRIMARY) {
		if (core->epoch <= history->epoch)
			core->epoch = ((history->epoch | 1) + 1) | core->config.link.node;
	} else {
		core->epoch = (uint32_t)sf_max64(core->epoch, history->epoch);
	}
	core->last_sent_ns = core->last_hello_ns = now_ns;
	core->last_stale_ns = now_ns;
	core->hello_due = true;
	rep_core_set_mode(core, core->mode, REP_REASON_START);
}

/* The last entry that was written in this epoch or before. */
static uint64_t last_until(const struct rep_history *history, uint32_t epoch)
{
	for (uint32_t i = 0; i < history->lineage_count; i++)
		if (history->lineage[i].epoch > epoch)
			return history->lineage[i].first_sequence - 1;
	return history->last_sequence;
}

void rep_core_start_with(
	struct rep_core *core,
	const struct rep_history *history,
	const struct rep_record *record,
	uint64_t now_ns
)
{
	CHECK(!rep_core_fixed(core));
	core->config.incarnation = record->incarnation;
	core->record = *record;
	core->persisted = record->write_number;
	core->pair = record->pair;
	core->epoch = (uint32_t)sf_max64(record->epoch, record->pair.epoch);
	core->committed = sf_min64(record->committed, history->last_sequence);
	/* What a lone primary had on its disk, it may have acknowledged; but not what it wrote in a
	 * later epoch, when this is the older copy of its record. */
	if (record->mode == REP_RECORD_ALONE && !record->amnesiac)
		core->committed = last_until(history, record->epoch);
	rep_core_start(core, history, now_ns);
	core->role_ns = now_ns;
}

void rep_core_refilled(
	struct rep_core *core, uint64_t number, const struct rep_history *history, uint64_t now_ns
)
{
	if (!core->refill.wanted || number != core->refill_number)
		return;
	core->refill.wanted = false;
	if (core->last_sequence > history->last_sequence)
		core->stats.entries_cut += core->last_sequence - history->last_sequence;
	hold(core, history, now_ns);
	core->committed = sf_min64(core->committed, history->last_sequence);
	/* A snapshot holds nothing that was not committed. */
	if (core->refill.snapshot)
		core->committed = history->last_sequence;
	memset(core->held, 0, rep_core_memory_bytes(&core->config));
	rep_core_set_mode(core, REP_MODE_WAITING, REP_REASON_START);
	core->role_ns = now_ns; /* what the peer said before was about another history */
	core->hello_due = true;
}

void rep_core_history(const struct rep_core *core, struct rep_history *history)
{
	*history = (struct rep_history){
		.last_sequence = core->last_sequence,
		.arena_first = rep_core_oldest(core),
		.epoch = core->epoch,
		.lineage_count = core->lineage_count,
	};
	memcpy(history->lineage, core->lineage, sizeof(history->lineage));
}

uint64_t rep_core_oldest(const struct rep_core *core)
{
	uint64_t slots = core->config.slots;
	/* What waited beyond a gap has taken the slots of older entries, whatever became of it. */
	uint64_t top = sf_max64(core->last_sequence, core->arena_top);
	uint64_t first = top >= slots ? top - slots + 1 : 1;
	return sf_max64(first, core->arena_first);
}

bool rep_history_peer_is_newer(const struct rep_core *core, const struct rep_hello *hello)
{
	uint32_t epoch = rep_core_last_epoch(core);
	if (hello->last_epoch != epoch)
		return hello->last_epoch > epoch;
	return hello->last_sequence > core->last_sequence;
}

static uint64_t last_of(const struct rep_core *core, uint32_t i)
{
	bool newest = i + 1 == core->lineage_count;
	return newest ? core->last_sequence : core->lineage[i + 1].first_sequence - 1;
}

bool rep_history_holds(const struct rep_core *core, uint32_t epoch, uint64_t sequence)
{
	for (uint32_t i = 0; i < core->lineage_count; i++) {
		if (core->lineage[i].epoch == epoch)
			return sequence >= core->lineage[i].first_sequence &&
			       sequence <= last_of(core, i);
	}
	return false;
}

uint64_t rep_history_common(const struct rep_core *core, const struct rep_hello *hello)
{
	for (uint32_t i = core->lineage_count; i-- > 0;) {
		for (uint32_t k = hello->origin_count; k-- > 0;) {
			const struct rep_origin *theirs = &hello->origins[k];
			if (theirs->epoch != core->lineage[i].epoch)
				continue;
			/* The author gave it one beginning; anything else is no kin of ours. */
			if (theirs->first_sequence != core->lineage[i].first_sequence)
				return 0;
			uint64_t last = k + 1 == hello->origin_count
						? hello->last_sequence
						: hello->origins[k + 1].first_sequence - 1;
			return sf_min64(last, last_of(core, i));
		}
	}
	return 0;
}

enum rep_reason rep_history_judge(const struct rep_core *core, const struct rep_hello *hello)
{
	if (rep_history_peer_is_newer(core, hello)) {
		/* The peer judges whether ours is a part of its own; what it misses to lend us, it
		 * says itself. */
		if (core->last_sequence + 1 < hello->arena_first)
			return REP_REASON_HISTORY_GONE;
		return REP_REASON_NONE;
	}
	if (hello->last_sequence > 0 &&
	    !rep_history_holds(core, hello->last_epoch, hello->last_sequence))
		return REP_REASON_OTHER_HISTORY;
	if (hello->last_sequence + 1 < rep_core_oldest(core))
		return REP_REASON_HISTORY_GONE;
	return REP_REASON_NONE;
}

/* --- Merge --- */

void rep_merge_begin(struct rep_core *core, uint64_t end, uint64_t now_ns)
{
	core->merge_end = CANARY(MERGE_SKIPS_ONE) ? end - 1 : end;
	core->known_position = core->merge_end;
	core->nak_due_ns = now_ns; /* asked for at once */
	rep_core_set_mode(
		core, rep_core_fixed(core) ? REP_MODE_BLOCKED : core->mode, REP_REASON_MERGING
	);
	if (core->last_sequence >= core->merge_end)
		core->merge_end = 0;
}

void rep_merge_step(struct rep_core *core, struct rep_update *update, uint64_t now_ns)
{
	if (core->last_sequence < core->merge_end) {
		rep_gather_naks(core, update, now_ns);
		return;
	}
	core->merge_end = 0;
	core->nak_due_ns = 0;
	rep_window_restart(core, core->last_sequence, now_ns);
	/* What was acknowledged in former lives is on both sides now; PAIRED follows. */
	core->hello_due = false;
}
