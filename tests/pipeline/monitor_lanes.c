/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What is judged at the transports, the source and the destination.
 */
#include "tests/pipeline/monitor_state.h"

static const char *const lane_words[PL_LANE_EVENTS] = {
	[PL_LANE_SENT] = "sent to",
	[PL_LANE_ACCEPTED] = "accepted at",
	[PL_LANE_DELIVERED] = "delivered from",
	[PL_LANE_REMOVED] = "removed from",
};

static const char *lane_name(const struct pl_monitors *m, uint32_t stage, uint32_t region)
{
	uint8_t machine = m->lanes[stage][region - 1].machine;
	return machine < PL_MACHINES_MAX ? m->names[machine] : "a transport without a name";
}

static const char *table_name(const struct pl_monitors *m, uint32_t stage)
{
	uint8_t front = m->tables[stage].front;
	return front < PL_MACHINES_MAX ? m->names[front] : "a database without a name";
}

/* Set in an effect's region by who has none. */
static bool is_side(uint32_t region)
{
	return region >= 1 && region <= PL_SIDES;
}

static bool marked(const struct pl_monitors *m, uint32_t id, uint32_t stage, int event)
{
	return ((m->marks[id].lane[stage][0] | m->marks[id].lane[stage][1]) >> event & 1) != 0;
}

/* ---- order ---- */

/* A redo begins with what the worker's input still holds, at its head, and goes on from there; the
 * source has nothing behind it, so it may only say its last record again. */
static bool may_repeat(
	struct pl_monitors *m,
	const struct pl_lane *lane,
	int event,
	uint32_t id,
	struct pl_place at
)
{
	uint32_t previous = lane->previous[event];
	if (id == previous)
		return true;
	if (at.stage == 0)
		return false;
	const struct pl_lane *input = &m->lanes[at.stage - 1][at.region - 1];
	if (!(m->marks[id].lane[at.stage - 1][at.region - 1] & PL_LANE_COPIES))
		return false;
	/* A stream behind a stream may hold one redo after another, and hand them out as one. */
	if (id > previous || (input->batches && at.stage > 1))
		return true;
	return input->head != input->tail &&
	       id == *pl_ring(m, at.stage - 1, at.region - 1, input->head);
}

/* SENT, ACCEPTED and DELIVERED, before the mark is set. */
static void judge_sequence(
	struct pl_monitors *m, struct pl_lane *lane, int event, uint32_t id, struct pl_place at
)
{
	const char *word = lane_words[event], *name = lane_name(m, at.stage, at.region);
	if (m->marks[id].lane[at.stage][at.region - 1] >> event & 1) {
		/* What is handed out again is the mirror's to judge. */
		if (event != PL_LANE_DELIVERED && !may_repeat(m, lane, event, id, at))
			pl_break(
				m,
				PL_MONITOR_ORDER,
				"record %u %s %s again, after %u",
				id,
				word,
				name,
				lane->previous[event]
			);
		return;
	}
	if (id < lane->last[event])
		pl_break(
			m,
			PL_MONITOR_ORDER,
			"record %u %s %s after %u",
			id,
			word,
			name,
			lane->last[event]
		);
	lane->last[event] = id;
	if (marked(m, id, at.stage, event))
		return; /* new here, not new at this stage: the chain is judged elsewhere */
	m->distinct[at.stage][event]++;
	if (m->total && id != m->distinct[at.stage][event])
		pl_break(
			m,
			PL_MONITOR_ORDER,
			"record %u %s %s where %u was to come",
			id,
			word,
			name,
			m->distinct[at.stage][event]
		);
}

/* What a queue hands out is its head; a stream may go on from what it handed out, or begin at its
 * head again. */
static void
judge_delivery(struct pl_monitors *m, struct pl_lane *lane, uint32_t id, struct pl_place at)
{
	const char *name = lane_name(m, at.stage, at.region);
	if (lane->head == lane->tail) {
		pl_break(
			m,
			PL_MONITOR_ORDER,
			"record %u delivered from %s, where nothing stands",
			id,
			name
		);
		return;
	}
	uint32_t side = at.region - 1;
	uint64_t from = lane->batches ? lane->handed_out | 1 : 1, handed_out = 0;
	for (; from != 0; from &= from - 1) {
		uint32_t offset = (uint32_t)__builtin_ctzll(from);
		if (offset < lane->tail - lane->head &&
		    *pl_ring(m, at.stage, side, lane->head + offset) == id)
			handed_out |= 1ull << (offset < PL_HANDED_OUT_MAX ? offset + 1 : offset);
	}
	if (handed_out == 0)
		pl_break(
			m,
			PL_MONITOR_ORDER,
			"record %u delivered from %s before %u",
			id,
			name,
			*pl_ring(m, at.stage, side, lane->head)
		);
	lane->handed_out = handed_out;
}

static void
judge_removed_order(struct pl_monitors *m, struct pl_lane *lane, uint32_t id, struct pl_place at)
{
	const char *name = lane_name(m, at.stage, at.region);
	if (lane->head == lane->tail) {
		pl_break(
			m,
			PL_MONITOR_ORDER,
			"record %u removed from %s, where nothing stands",
			id,
			name
		);
		return;
	}
	uint32_t head = *pl_ring(m, at.stage, at.region - 1, lane->head);
	if (head != id) {
		pl_break(
			m, PL_MONITOR_ORDER, "record %u removed from %s before %u", id, name, head
		);
		return;
	}
	if (lane->handed_out == 0)
		pl_break(
			m,
			PL_MONITOR_ORDER,
			"record %u removed from %s, which never handed it out",
			id,
			name
		);
	lane->handed_out = lane->handed_out >> 1 & ~1ull;
	lane->head++;
}

static void keep(struct pl_monitors *m, struct pl_lane *lane, uint32_t id, struct pl_place at)
{
	if (lane->tail - lane->head > m->ring_mask) {
		pl_break(
			m,
			PL_MONITOR_ORDER,
			"record %u accepted at %s beyond its capacity",
			id,
			lane_name(m, at.stage, at.region)
		);
		return;
	}
	*pl_ring(m, at.stage, at.region - 1, lane->tail++) = id;
}

/* Each record stays in the region that accepted it first. */
static void
judge_chain(struct pl_monitors *m, uint32_t id, uint32_t region, const char *word, const char *name)
{
	uint8_t chain = m->marks[id].chain;
	if (chain != 0 && region != chain)
		pl_break(
			m,
			PL_MONITOR_ORDER,
			"record %u %s %s, though it is in region %u's chain",
			id,
			word,
			name,
			chain
		);
}

/* ---- removal ---- */

static void judge_written_before(struct pl_monitors *m, uint32_t id, int event, struct pl_place at)
{
	uint32_t first = at.stage == 0 ? 0 : m->before + at.stage - 1u;
	uint32_t end = m->before + at.stage;
	for (uint32_t database = first; database < end; database++)
		if (!pl_row_stands(m, id, database, at.region))
			pl_break(
				m,
				PL_MONITOR_REMOVAL,
				"record %u %s %s before its row is in %s",
				id,
				lane_words[event],
				lane_name(m, at.stage, at.region),
				table_name(m, database)
			);
}

static void judge_let_go(struct pl_monitors *m, uint32_t id, struct pl_place at)
{
	const char *name = lane_name(m, at.stage, at.region);
	uint32_t next = at.stage + 1u;
	if (next == m->transports) {
		if (!(m->marks[id].ends & PL_END_ARRIVED))
			pl_break(
				m,
				PL_MONITOR_REMOVAL,
				"record %u removed from %s before it arrived at the destination",
				id,
				name
			);
		return;
	}
	uint32_t database = m->before + at.stage;
	if (!pl_row_stands(m, id, database, at.region))
		pl_break(
			m,
			PL_MONITOR_REMOVAL,
			"record %u removed from %s before its row is in %s",
			id,
			name,
			table_name(m, database)
		);
	else if (!marked(m, id, next, PL_LANE_ACCEPTED))
		pl_break(
			m,
			PL_MONITOR_REMOVAL,
			"record %u removed from %s before %s accepted it",
			id,
			name,
			lane_name(m, next, at.region)
		);
}

/* ---- what comes ---- */

/* Too many of one batch are told at once; too few are too many elsewhere, or missing in the end. */
static void judge_batch_split(struct pl_monitors *m, uint32_t id, struct pl_place at)
{
	uint32_t batch = (id - 1) / m->promise.batch;
	if (batch >= PL_BATCHES_MAX)
		return;
	uint32_t promised = m->promise.batch_split[batch][at.region - 1];
	if (++m->batch_split[batch][at.region - 1] > promised)
		pl_break(
			m,
			PL_MONITOR_SPLIT,
			"record %u accepted at %s, which was to get %u of batch %u only",
			id,
			lane_name(m, at.stage, at.region),
			promised,
			batch + 1
		);
}

static void judge_split(struct pl_monitors *m, uint32_t id, struct pl_place at)
{
	const uint32_t *split = m->promise.split;
	if (at.stage != 0 || split[0] + split[1] == 0)
		return;
	if (m->promise.batch > 0)
		judge_batch_split(m, id, at);
	if (++m->split[at.region - 1] > split[at.region - 1])
		pl_break(
			m,
			PL_MONITOR_SPLIT,
			"record %u accepted at %s, which was to get %u only",
			id,
			lane_name(m, at.stage, at.region),
			split[at.region - 1]
		);
}

void pl_see_lane(struct pl_monitors *m, const struct pl_effect *effect, struct pl_place at)
{
	static const uint8_t events[PL_EFFECT_KINDS] = {
		[PL_EFFECT_SENT] = PL_LANE_SENT,
		[PL_EFFECT_ACCEPTED] = PL_LANE_ACCEPTED,
		[PL_EFFECT_DELIVERED] = PL_LANE_DELIVERED,
		[PL_EFFECT_REMOVED] = PL_LANE_REMOVED,
	};
	int event = events[effect->kind];
	if (effect->record.id == 0 || effect->record.id > m->records) {
		pl_break(
			m,
			PL_MONITOR_ORDER,
			"record %llu %s %s: the source has none of that number",
			(unsigned long long)effect->record.id,
			lane_words[event],
			lane_name(m, at.stage, at.region)
		);
		return;
	}
	uint32_t id = (uint32_t)effect->record.id;
	struct pl_lane *lane = &m->lanes[at.stage][at.region - 1];
	uint8_t *mark = &m->marks[id].lane[at.stage][at.region - 1];
	if (effect->record.value != *pl_value(m, id))
		pl_break(
			m,
			PL_MONITOR_COMPLETE,
			"record %u %s %s with another value",
			id,
			lane_words[event],
			lane_name(m, at.stage, at.region)
		);
	if (event <= PL_LANE_ACCEPTED) {
		if (m->marks[id].chain != at.region)
			judge_chain(
				m,
				id,
				at.region,
				lane_words[event],
				lane_name(m, at.stage, at.region)
			);
		judge_written_before(m, id, event, at);
	}
	if (event != PL_LANE_REMOVED)
		judge_sequence(m, lane, event, id, at);
	switch (event) {
	case PL_LANE_ACCEPTED:
		if (m->marks[id].chain == 0)
			m->marks[id].chain = at.region;
		if (!(*mark >> PL_LANE_ACCEPTED & 1))
			judge_split(m, id, at);
		keep(m, lane, id, at);
		if (*mark < PL_LANE_COPIES) {
			*mark += PL_LANE_COPY;
			m->standing++;
		}
		break;
	case PL_LANE_DELIVERED:
		judge_delivery(m, lane, id, at);
		break;
	case PL_LANE_REMOVED:
		judge_let_go(m, id, at);
		judge_removed_order(m, lane, id, at);
		if (*mark & PL_LANE_COPIES && *mark < PL_LANE_COPIES) {
			*mark -= PL_LANE_COPY;
			m->standing--;
		}
		m->distinct[at.stage][event] += !marked(m, id, at.stage, event);
		break;
	default:
		break;
	}
	lane->previous[event] = id;
	*mark |= (uint8_t)(1 << event);
}

static void see_published(struct pl_monitors *m, uint32_t id, uint32_t region)
{
	if (id != m->published_last + 1)
		pl_break(
			m,
			PL_MONITOR_ORDER,
			"record %u published by the source after %u",
			id,
			m->published_last
		);
	m->published_last = id;
	if (is_side(region))
		judge_chain(m, id, region, "published", "to the other region");
	if (m->transports > 0 && !marked(m, id, 0, PL_LANE_ACCEPTED))
		pl_break(
			m,
			PL_MONITOR_REMOVAL,
			"record %u published by the source before %s accepted it",
			id,
			lane_name(m, 0, is_side(region) ? region : 1)
		);
	if (!(m->marks[id].ends & PL_END_PUBLISHED))
		m->published++;
	m->marks[id].ends |= PL_END_PUBLISHED;
}

static void judge_arrival_order(struct pl_monitors *m, uint32_t id, uint32_t region)
{
	if (m->total) {
		if (id != m->arrived + 1)
			pl_break(
				m,
				PL_MONITOR_ORDER,
				"record %u arrived at the destination where %u was to come",
				id,
				m->arrived + 1
			);
		return;
	}
	if (!is_side(region))
		return;
	uint32_t *last = &m->arrived_last[region - 1];
	if (id < *last)
		pl_break(
			m,
			PL_MONITOR_ORDER,
			"record %u arrived at the destination from region %u after %u",
			id,
			region,
			*last
		);
	*last = id;
}

static void see_arrived(struct pl_monitors *m, uint32_t id, uint32_t region, bool repeated)
{
	struct pl_marks *marks = &m->marks[id];
	bool before = marks->ends & PL_END_ARRIVED;
	if (repeated) {
		if (!before)
			pl_break(
				m,
				PL_MONITOR_DESTINATION,
				"record %u was taken for a repeat, and never arrived",
				id
			);
		return;
	}
	if (before) {
		pl_break(
			m, PL_MONITOR_DESTINATION, "record %u arrived at the destination twice", id
		);
		return;
	}
	uint32_t stage = m->transports - 1u;
	if (m->transports > 0 &&
	    (is_side(region) ? !(marks->lane[stage][region - 1] >> PL_LANE_DELIVERED & 1)
			     : !marked(m, id, stage, PL_LANE_DELIVERED)))
		pl_break(
			m,
			PL_MONITOR_DESTINATION,
			"record %u arrived at the destination, and %s never handed it out",
			id,
			lane_name(m, stage, is_side(region) ? region : 1)
		);
	if (is_side(region))
		judge_chain(m, id, region, "arrived", "from the other region");
	judge_arrival_order(m, id, region);
	marks->ends |= PL_END_ARRIVED;
	m->arrived++;
}

void pl_see_end(struct pl_monitors *m, const struct pl_effect *effect)
{
	bool source = effect->kind == PL_EFFECT_PUBLISHED;
	if (effect->record.id == 0 || effect->record.id > m->records) {
		pl_break(
			m,
			source ? PL_MONITOR_ORDER : PL_MONITOR_DESTINATION,
			"record %llu %s: the source has none of that number",
			(unsigned long long)effect->record.id,
			source ? "published" : "arrived at the destination"
		);
		return;
	}
	uint32_t id = (uint32_t)effect->record.id;
	if (effect->record.value != *pl_value(m, id))
		pl_break(
			m,
			source ? PL_MONITOR_COMPLETE : PL_MONITOR_DESTINATION,
			"record %u %s with another value",
			id,
			source ? "published by the source" : "arrived at the destination"
		);
	if (source)
		see_published(m, id, effect->region);
	else
		see_arrived(m, id, effect->region, effect->kind == PL_EFFECT_REPEATED);
}

/* ---- at the end ---- */

/* The first transport of the region that got furthest which did not accept it. */
static void complete_record(struct pl_monitors *m, uint32_t id)
{
	uint32_t reached[PL_SIDES] = {0};
	for (uint32_t side = 0; side < PL_SIDES; side++)
		while (reached[side] < m->transports &&
		       m->marks[id].lane[reached[side]][side] >> PL_LANE_ACCEPTED & 1)
			reached[side]++;
	uint32_t side = reached[1] > reached[0];
	if (reached[side] < m->transports)
		pl_break(
			m,
			PL_MONITOR_COMPLETE,
			"record %u was never accepted at %s",
			id,
			lane_name(m, reached[side], side + 1)
		);
	for (uint32_t database = 0; database < m->databases; database++) {
		uint32_t rows = m->marks[id].rows[database] & PL_ROW_MEMBERS;
		if ((uint32_t)__builtin_popcount(rows) < m->tables[database].needed)
			pl_break(
				m,
				PL_MONITOR_COMPLETE,
				"record %u was never written in %s",
				id,
				table_name(m, database)
			);
	}
	if (!(m->marks[id].ends & PL_END_PUBLISHED))
		pl_break(m, PL_MONITOR_COMPLETE, "record %u was never published", id);
}

static void judge_nothing_stands(struct pl_monitors *m)
{
	for (uint32_t id = 1; id <= m->records; id++)
		for (uint32_t stage = 0; stage < m->transports; stage++)
			for (uint32_t side = 0; side < PL_SIDES; side++)
				if (m->marks[id].lane[stage][side] & PL_LANE_COPIES)
					pl_break(
						m,
						PL_MONITOR_COMPLETE,
						"record %u still stands in %s",
						id,
						lane_name(m, stage, side + 1)
					);
}

static void judge_looked(struct pl_monitors *m)
{
	for (uint32_t stage = 0; stage < m->transports; stage++)
		for (int event = 0; event < PL_LANE_EVENTS; event++)
			if (m->distinct[stage][event] == 0)
				pl_break(
					m,
					event == PL_LANE_REMOVED ? PL_MONITOR_REMOVAL
								 : PL_MONITOR_ORDER,
					"nothing was ever %s %s",
					lane_words[event],
					lane_name(m, stage, 1)
				);
	if (m->published == 0)
		pl_break(m, PL_MONITOR_REMOVAL, "nothing was ever published");
	if (m->arrived == 0)
		pl_break(m, PL_MONITOR_ORDER, "nothing ever arrived at the destination");
	if (m->transports == 0)
		pl_break(m, PL_MONITOR_COMPLETE, "the architecture has no transport to look at");
}

void pl_end_lanes(struct pl_monitors *m)
{
	if (pl_judged(m, PL_MONITOR_COMPLETE) && m->broken == PL_MONITORS)
		for (uint32_t id = 1; id <= m->records; id++)
			complete_record(m, id);
	if (m->standing != 0 && !m->promise.leftovers)
		judge_nothing_stands(m);
	if (m->arrived != m->records)
		for (uint32_t id = 1; id <= m->records; id++)
			if (!(m->marks[id].ends & PL_END_ARRIVED))
				pl_break(
					m,
					PL_MONITOR_DESTINATION,
					"record %u never arrived at the destination",
					id
				);
	const uint32_t *split = m->promise.split;
	for (uint32_t side = 0; split[0] + split[1] != 0 && side < PL_SIDES; side++)
		if (m->split[side] != split[side])
			pl_break(
				m,
				PL_MONITOR_SPLIT,
				"region %u got %u records, and was to get %u",
				side + 1,
				m->split[side],
				split[side]
			);
	judge_looked(m);
}
