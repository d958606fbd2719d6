/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The standby's side: entries arrive in any order; those beyond a gap wait in their arena slots, a
 * bit each, until the gap is filled.
 */
#include "replication/core_parts.h"

static inline uint64_t *word_of(const struct rep_core *core, uint64_t sequence, uint64_t *bit)
{
	uint64_t slot = sequence & (core->config.slots - 1);
	*bit = 1ull << (slot % 64);
	return &core->held[slot / 64];
}

static inline bool is_held(const struct rep_core *core, uint64_t sequence)
{
	uint64_t bit;
	return *word_of(core, sequence, &bit) & bit;
}

/* Moves over everything that is there without a gap. */
static void close_gap(struct rep_core *core)
{
	while (core->last_sequence < core->highest) {
		uint64_t bit;
		uint64_t *word = word_of(core, core->last_sequence + 1, &bit);
		if (!(*word & bit))
			break;
		*word &= ~bit;
		core->last_sequence++;
	}
}

static void store(struct rep_update *update, uint32_t frame, uint32_t skip, uint32_t count)
{
	update->store[update->store_count++] =
		(struct rep_store){.frame = frame, .skip = skip, .count = count};
}

void rep_gather_restart(struct rep_core *core)
{
	if (CANARY(HELD_OF_OTHER_LIFE))
		return;
	memset(core->held, 0, rep_core_memory_bytes(&core->config));
	core->highest = core->last_sequence;
	core->known_position = core->last_sequence;
	core->nak_due_ns = 0;
}

void rep_gather_data(
	struct rep_core *core,
	const struct rep_frame *frame,
	uint32_t frame_index,
	struct rep_update *update
)
{
	uint64_t first = frame->first_sequence;
	uint64_t end = first + frame->header->entry_count; /* one past the last */
	uint64_t limit = core->passed_sequence + core->config.slots;
	core->ack_due = true;
	if (end > limit + 1) {
		core->stats.entries_no_room += end - sf_max64(first, limit + 1);
		end = sf_max64(first, limit + 1);
	}
	uint64_t from = sf_max64(first, core->last_sequence + 1);
	if (from > first)
		core->stats.entries_duplicate += sf_min64(from, end) - first;
	if (from >= end)
		return;

	/* In order and nothing kept beyond: no bit is touched. */
	if (from == core->last_sequence + 1 && core->highest == core->last_sequence) {
		if (update->store_count == REP_MAX_STORES)
			return;
		store(update, frame_index, (uint32_t)(from - first), (uint32_t)(end - from));
		core->last_sequence = end - 1;
		core->highest = core->last_sequence;
		return;
	}

	/* Otherwise each run of entries that are not there yet is a store of its own. */
	uint64_t seq = from;
	while (seq < end && update->store_count < REP_MAX_STORES) {
		if (is_held(core, seq)) {
			core->stats.entries_duplicate++;
			seq++;
			continue;
		}
		uint64_t run = seq;
		while (run < end && !is_held(core, run)) {
			uint64_t bit;
			uint64_t *word = word_of(core, run, &bit);
			*word |= bit;
			run++;
		}
		store(update, frame_index, (uint32_t)(seq - first), (uint32_t)(run - seq));
		if (seq > core->last_sequence + 1)
			core->stats.entries_out_of_order += run - seq;
		core->highest = sf_max64(core->highest, run - 1);
		core->arena_top = sf_max64(core->arena_top, core->highest);
		seq = run;
	}
	close_gap(core);
}

void rep_gather_naks(struct rep_core *core, struct rep_update *update, uint64_t now_ns)
{
	bool hole = core->highest > core->last_sequence;
	if (!hole && core->known_position <= core->last_sequence) {
		core->nak_due_ns = 0;
		core->hole_named = false;
		return;
	}
	/* A hole is named at once: the link does not reorder by itself. A missing tail may still be
	 * under way. */
	bool moved = core->last_sequence != core->nak_mark;
	core->nak_mark = core->last_sequence;
	/* A tail that still arrives is late, not lost: naming it would send it twice to a standby
	 * that is behind as it is. */
	if (core->nak_due_ns == 0 || (!hole && moved))
		core->nak_due_ns = now_ns + rep_link_rto_ns(core);
	if (hole && !core->hole_named)
		core->nak_due_ns = now_ns;
	core->hole_named = hole;
	if (now_ns < core->nak_due_ns)
		return;
	core->nak_due_ns = now_ns + rep_link_rto_ns(core);

	uint64_t end = sf_max64(core->highest, core->known_position);
	uint64_t limit = core->passed_sequence + core->config.slots;
	uint64_t scanned = 0;
	uint64_t seq = core->last_sequence + 1;
	end = sf_min64(end, limit);
	for (uint32_t named = 0; named < REP_MAX_NAKS && seq <= end; named++) {
		uint64_t first = seq;
		while (seq <= core->highest && !is_held(core, seq))
			seq++;
		/* Nothing is held beyond `highest`: the rest is one gap, however long. */
		if (seq > core->highest || seq > end)
			seq = end + 1;
		update->send[update->send_count++] = (struct rep_send){
			.type = REP_FRAME_NAK,
			.range = {.first = first, .count = seq - first},
		};
		core->stats.naks_sent++;
		/* The work of a step is bounded; what lies further on is named next time. */
		while (seq <= core->highest && is_held(core, seq) && scanned++ < REP_CHUNK_ENTRIES)
			seq++;
		if (scanned >= REP_CHUNK_ENTRIES)
			break;
	}
}

uint64_t rep_gather_deadline_ns(const struct rep_core *core)
{
	return core->link_up && core->nak_due_ns != 0 ? core->nak_due_ns : UINT64_MAX;
}
