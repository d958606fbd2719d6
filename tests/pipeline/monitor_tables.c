/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What is judged at the databases.
 */
#include "tests/pipeline/monitor_state.h"

static const char *front_name(const struct pl_monitors *m, uint32_t stage)
{
	uint8_t front = m->tables[stage].front;
	return front < PL_MACHINES_MAX ? m->names[front] : "a database without a name";
}

static void judge_row_value(
	struct pl_monitors *m,
	const struct pl_effect *effect,
	uint32_t id,
	uint32_t stage,
	uint32_t region
)
{
	uint64_t *first = pl_first_value(m, id, stage);
	if (!(m->marks[id].rows[stage] & PL_ROW_MEMBERS))
		*first = effect->record.value;
	if (effect->record.value != *first)
		pl_break(
			m,
			PL_MONITOR_CONVERGENCE,
			"record %u written in %s.%u with another value than elsewhere",
			id,
			front_name(m, stage),
			region
		);
	if (effect->record.value != *pl_value(m, id))
		pl_break(
			m,
			PL_MONITOR_COMPLETE,
			"record %u written in %s.%u with another value",
			id,
			front_name(m, stage),
			region
		);
}

/* In a total order each member's new rows come without a gap; what a forced switch left behind may
 * be missing, and may come late. */
static void judge_row_order(struct pl_monitors *m, uint32_t id, uint32_t stage, uint32_t region)
{
	if (!m->total || id == 1 || m->marks[id].rows[stage] & PL_ROW_LEFT_BEHIND)
		return;
	uint8_t before = m->marks[id - 1].rows[stage];
	if (!(before >> (region - 1) & 1) && !(before & PL_ROW_LEFT_BEHIND))
		pl_break(
			m,
			PL_MONITOR_ORDER,
			"record %u written in %s.%u before %u",
			id,
			front_name(m, stage),
			region,
			id - 1
		);
}

static void see_written(
	struct pl_monitors *m,
	const struct pl_effect *effect,
	uint32_t id,
	uint32_t stage,
	uint32_t region
)
{
	struct pl_table *table = &m->tables[stage];
	uint8_t *rows = &m->marks[id].rows[stage], bit = (uint8_t)(1 << (region - 1));
	judge_row_value(m, effect, id, stage, region);
	if (*rows & bit) {
		pl_break(
			m,
			PL_MONITOR_CONVERGENCE,
			"record %u is a new row in %s.%u a second time",
			id,
			front_name(m, stage),
			region
		);
		return;
	}
	judge_row_order(m, id, stage, region);
	bool any = *rows & PL_ROW_MEMBERS;
	*rows |= bit;
	bool all = (*rows & table->all) == table->all;
	table->uneven += !any && !all;
	table->uneven -= any && all;
	table->rows[region - 1]++;
}

/* A planned switch drains first, so that the new side has all that was answered. Whether one was
 * forced is known when what it left behind is told, before or after. Only pairs: of a triple a
 * majority holds the row, wherever its first member is. */
static void see_switched(struct pl_monitors *m, uint32_t stage, uint32_t region)
{
	const struct pl_table *table = &m->tables[stage];
	if (region < 1 || region > PL_REGIONS_MAX || table->members > 2 || table->home)
		return;
	for (uint32_t id = 1; id <= m->records; id++) {
		uint8_t *rows = &m->marks[id].rows[stage];
		if (*rows & PL_ROW_ANSWERED && !(*rows >> (region - 1) & 1))
			*rows |= PL_ROW_MISSED;
	}
}

static void
see_row(struct pl_monitors *m,
	const struct pl_effect *effect,
	uint32_t id,
	uint32_t stage,
	uint32_t region)
{
	const char *name = front_name(m, stage);
	if (region < 1 || region > PL_REGIONS_MAX || !(m->tables[stage].all >> (region - 1) & 1)) {
		pl_break(
			m,
			PL_MONITOR_CONVERGENCE,
			"record %u written in %s.%u, and there is no such member",
			id,
			name,
			region
		);
		return;
	}
	switch (effect->kind) {
	case PL_EFFECT_WRITTEN:
		see_written(m, effect, id, stage, region);
		break;
	case PL_EFFECT_REWRITTEN:
		if (!(m->marks[id].rows[stage] >> (region - 1) & 1))
			pl_break(
				m,
				PL_MONITOR_CONVERGENCE,
				"record %u was taken for a row that stands in %s.%u, and it never "
				"was written there",
				id,
				name,
				region
			);
		judge_row_value(m, effect, id, stage, region);
		break;
	case PL_EFFECT_DUPLICATED:
		pl_break(
			m,
			PL_MONITOR_CONVERGENCE,
			"record %u has a second row in %s.%u",
			id,
			name,
			region
		);
		break;
	default:
		pl_break(
			m,
			PL_MONITOR_CONVERGENCE,
			"record %u came to %s.%u with another value than its row's",
			id,
			name,
			region
		);
		break;
	}
}

static void see_answered(struct pl_monitors *m, uint32_t id, uint32_t stage)
{
	struct pl_table *table = &m->tables[stage];
	uint8_t *rows = &m->marks[id].rows[stage];
	uint32_t count = (uint32_t)__builtin_popcount(*rows & PL_ROW_MEMBERS);
	if (count < table->needed)
		pl_break(
			m,
			PL_MONITOR_ANSWERED,
			"record %u answered by %s when %u of its members held it, of %u needed",
			id,
			front_name(m, stage),
			count,
			table->needed
		);
	table->answered += !(*rows & PL_ROW_ANSWERED);
	*rows |= PL_ROW_ANSWERED;
}

void pl_see_table(struct pl_monitors *m, const struct pl_effect *effect, struct pl_place at)
{
	if (effect->kind == PL_EFFECT_SWITCHED) {
		see_switched(m, at.stage, effect->region);
		return;
	}
	if (effect->record.id == 0 || effect->record.id > m->records) {
		pl_break(
			m,
			PL_MONITOR_CONVERGENCE,
			"record %llu at %s: the source has none of that number",
			(unsigned long long)effect->record.id,
			front_name(m, at.stage)
		);
		return;
	}
	uint32_t id = (uint32_t)effect->record.id;
	uint8_t *rows = &m->marks[id].rows[at.stage];
	switch (effect->kind) {
	case PL_EFFECT_ANSWERED:
		see_answered(m, id, at.stage);
		break;
	case PL_EFFECT_LEFT_BEHIND:
		m->left_behind += !(*rows & PL_ROW_LEFT_BEHIND);
		*rows |= PL_ROW_LEFT_BEHIND;
		break;
	default:
		/* A member is known by its address; a front says whose row it was. */
		see_row(m,
			effect,
			id,
			at.stage,
			at.type == PL_PLACE_MEMBER ? at.region : effect->region);
		break;
	}
}

/* ---- at the end ---- */

static void judge_equal(struct pl_monitors *m, uint32_t stage)
{
	const struct pl_table *table = &m->tables[stage];
	for (uint32_t region = 1; region <= PL_REGIONS_MAX; region++)
		if (table->all >> (region - 1) & 1 && table->rows[region - 1] == 0)
			pl_break(
				m,
				PL_MONITOR_CONVERGENCE,
				"nothing was ever written in %s.%u",
				front_name(m, stage),
				region
			);
	for (uint32_t id = 1; table->uneven != 0 && id <= m->records; id++) {
		uint32_t rows = m->marks[id].rows[stage] & table->all;
		if (rows != 0 && rows != table->all)
			pl_break(
				m,
				PL_MONITOR_CONVERGENCE,
				"record %u is in %s.%u and not in %s.%u",
				id,
				front_name(m, stage),
				(uint32_t)__builtin_ctz(rows) + 1,
				front_name(m, stage),
				(uint32_t)__builtin_ctz(table->all & ~rows) + 1
			);
	}
}

void pl_end_tables(struct pl_monitors *m)
{
	for (uint32_t stage = 0; stage < m->databases; stage++) {
		const struct pl_table *table = &m->tables[stage];
		judge_equal(m, stage);
		if (table->answered == 0)
			pl_break(
				m,
				PL_MONITOR_ANSWERED,
				"%s never answered a write",
				front_name(m, stage)
			);
		if (table->rows[0] + table->rows[1] + table->rows[2] == 0)
			pl_break(
				m,
				PL_MONITOR_ORDER,
				"nothing was ever written in %s",
				front_name(m, stage)
			);
		for (uint32_t id = 1; id <= m->records; id++) {
			uint8_t rows = m->marks[id].rows[stage];
			if (rows & PL_ROW_MISSED && !(rows & PL_ROW_LEFT_BEHIND))
				pl_break(
					m,
					PL_MONITOR_ANSWERED,
					"record %u was answered by %s, not on the side that it "
					"switched to, and not told as left behind",
					id,
					front_name(m, stage)
				);
		}
	}
	if (m->databases == 0) {
		pl_break(m, PL_MONITOR_CONVERGENCE, "the architecture has no database to look at");
		pl_break(m, PL_MONITOR_ANSWERED, "the architecture has no database to look at");
	}
}
