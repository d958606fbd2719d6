/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The monitors of the P models, with their weaknesses, for the table of what they miss. One judge
 * for each of the three architectures, told apart by the order and the databases' members:
 *
 *   active-passive  lists by name over both regions; each must be the source's sequence, with an
 *                   immediate repeat allowed for requests and deliveries, and none for removals and
 *                   confirmations
 *   active-active   lists by name and region; only their lengths are looked at
 *   workload1       the same with streams, APIs and three members
 *
 * What they share: the run is good as soon as the lists that exist so far are long enough; then the
 * watch ends. Rows, the destination and the members' equality are not looked at.
 *
 * Where this differs from the models, because a monitor here sees effects and no requests:
 * - a confirmation is counted when the record stands in the queue, not when its reply comes; where
 *   the models count refused sends as confirmed (active-active), so does this, at the refusal too;
 * - a request to remove is seen as its outcome, REMOVED or NOT_REMOVED, and counted for both; one
 *   that a failed queue refused is not seen at all;
 * - an insert is seen at the members and as the database's answer (for the request at its front);
 *   the requests to replicators are no effects: 2 lists less for each database of active-active, 1
 *   less for each of active-passive;
 * - a call of an API is seen when its container begins with the record (IN_HAND);
 * - workload1's repeats of a batch are those of the last five ids, not of the element a batch back.
 */
#include "tests/pipeline/monitor_state.h"

enum pl_style {
	PL_STYLE_ACTIVE_PASSIVE,
	PL_STYLE_ACTIVE_ACTIVE,
	PL_STYLE_WORKLOAD1,
};

/* Keys of a stage: transports by region (0: both); tables: caller 1, 2 then members. */
#define KEYS_PER_STAGE 8
#define KEY_MEMBER 3
#define KEY_REPLICATED 5 /* active-active: rows of the other region in member 1, 2 */

void pl_modelled_begin(struct pl_monitors *m)
{
	memset(&m->models, 0, sizeof(m->models));
	m->promise.monitors = (1u << PL_MONITORS) - 1; /* theirs is one for all */
	uint32_t members = m->databases > 0 ? m->tables[0].members : 2;
	m->models.style = m->total	? PL_STYLE_ACTIVE_PASSIVE
			  : members > 2 ? PL_STYLE_WORKLOAD1
					: PL_STYLE_ACTIVE_ACTIVE;
	uint32_t *split = m->promise.split;
	if (split[0] + split[1] == 0) {
		split[0] = m->records / 2;
		split[1] = m->records - split[0];
	}
}

/* ---- when the watch ends ---- */

static bool is_long_enough(const struct pl_monitors *m, uint32_t count)
{
	const uint32_t *split = m->promise.split;
	switch (m->models.style) {
	case PL_STYLE_ACTIVE_PASSIVE:
		return count == m->records;
	case PL_STYLE_ACTIVE_ACTIVE:
		return count == split[0] || count == split[1];
	default:
		return count == split[0] || count == 2 * split[0] || count == split[1] ||
		       count == 2 * split[1];
	}
}

static uint32_t short_lists(const struct pl_monitors *m)
{
	uint32_t wanting = 0;
	for (uint32_t map = 0; map < PL_MAPS; map++) {
		int32_t balance =
			0; /* lists as long as region 1's part, less those as region 2's */
		for (uint32_t i = 0; i < m->models.known_count[map]; i++) {
			uint32_t count = m->models.lists[map][m->models.known[map][i]].count;
			wanting += !is_long_enough(m, count);
			balance += (count == m->promise.split[0]) - (count == m->promise.split[1]);
		}
		if (m->models.style == PL_STYLE_ACTIVE_ACTIVE)
			wanting += balance != 0;
	}
	return wanting;
}

/* ---- the lists ---- */

static struct pl_list *list_of(struct pl_monitors *m, enum pl_map map, uint32_t key)
{
	return &m->models.lists[map][key];
}

static void append(struct pl_monitors *m, enum pl_map map, uint32_t key, uint32_t id)
{
	struct pl_list *list = list_of(m, map, key);
	if (list->count == 0)
		m->models.known[map][m->models.known_count[map]++] = (uint8_t)key;
	list->recent[list->count++ % PL_LIST_RECENT] = id;
	if (is_long_enough(m, list->count) && short_lists(m) == 0)
		m->models.finished = true;
}

static bool is_recent(const struct pl_list *list, uint32_t id, uint32_t depth)
{
	for (uint32_t back = 1; back <= depth && back <= list->count; back++)
		if (list->recent[(list->count - back) % PL_LIST_RECENT] == id)
			return true;
	return false;
}

/* Appends what comes next and breaks the run at anything else. */
static void append_next(
	struct pl_monitors *m,
	enum pl_map map,
	uint32_t key,
	const struct pl_effect *effect,
	uint32_t next
)
{
	uint32_t id = (uint32_t)effect->record.id;
	if (id != next || id > m->records || effect->record.value != *pl_value(m, id)) {
		pl_break(
			m,
			PL_MONITOR_ORDER,
			"record %u %s at %s where %u was to come",
			id,
			map == PL_MAP_SENT	  ? "sent"
			: map == PL_MAP_CONFIRMED ? "confirmed"
			: map == PL_MAP_DELIVERED ? "delivered"
			: map == PL_MAP_REMOVED	  ? "asked to be removed"
						  : "inserted",
			m->names[effect->machine],
			next
		);
		return;
	}
	append(m, map, key, id);
}

static void
see_active_passive(struct pl_monitors *m, const struct pl_effect *effect, struct pl_place at)
{
	uint32_t id = (uint32_t)effect->record.id, key = at.stage * KEYS_PER_STAGE;
	switch (effect->kind) {
	case PL_EFFECT_SENT:
		if (!is_recent(list_of(m, PL_MAP_SENT, key), id, 1))
			append_next(
				m, PL_MAP_SENT, key, effect, list_of(m, PL_MAP_SENT, key)->count + 1
			);
		break;
	case PL_EFFECT_ACCEPTED:
		append_next(
			m,
			PL_MAP_CONFIRMED,
			key,
			effect,
			list_of(m, PL_MAP_CONFIRMED, key)->count + 1
		);
		break;
	case PL_EFFECT_DELIVERED:
		if (!is_recent(list_of(m, PL_MAP_DELIVERED, key), id, 1))
			append_next(
				m,
				PL_MAP_DELIVERED,
				key,
				effect,
				list_of(m, PL_MAP_REMOVED, key)->count + 1
			);
		break;
	case PL_EFFECT_REMOVED:
	case PL_EFFECT_NOT_REMOVED:
		append_next(
			m, PL_MAP_REMOVED, key, effect, list_of(m, PL_MAP_REMOVED, key)->count + 1
		);
		break;
	default: /* an insert: at a member, or as the answer of the whole */
		if (at.type == PL_PLACE_MEMBER)
			key += KEY_MEMBER + at.region - 1;
		if (!is_recent(list_of(m, PL_MAP_WRITTEN, key), id, 1))
			append_next(
				m,
				PL_MAP_WRITTEN,
				key,
				effect,
				list_of(m, PL_MAP_WRITTEN, key)->count + 1
			);
		break;
	}
}

/* The key of an insert: whose row, and in which member. */
static uint32_t table_key(const struct pl_monitors *m, uint32_t id, struct pl_place at)
{
	uint32_t key = at.stage * KEYS_PER_STAGE, chain = m->marks[id].chain;
	if (at.type == PL_PLACE_FRONT)
		return key + chain;
	if (m->models.style == PL_STYLE_WORKLOAD1 || chain == at.region || at.region > PL_SIDES)
		return key + KEY_MEMBER + at.region - 1;
	return key + KEY_REPLICATED + at.region - 1;
}

static void append_new(struct pl_monitors *m, enum pl_map map, uint32_t key, uint32_t id)
{
	uint32_t depth = m->models.style == PL_STYLE_WORKLOAD1 ? PL_BATCH_MAX : 1;
	if (!is_recent(list_of(m, map, key), id, depth))
		append(m, map, key, id);
}

static void see_counting(struct pl_monitors *m, const struct pl_effect *effect, struct pl_place at)
{
	bool known = effect->record.id <= m->records;
	uint32_t id = (uint32_t)effect->record.id;
	uint32_t key = at.stage * KEYS_PER_STAGE + at.region;
	switch (effect->kind) {
	case PL_EFFECT_IN_HAND:
	case PL_EFFECT_SENT:
		if (known && m->marks[id].chain == 0)
			m->marks[id].chain = at.region;
		append_new(
			m, effect->kind == PL_EFFECT_SENT ? PL_MAP_SENT : PL_MAP_CALLED, key, id
		);
		if (m->models.style == PL_STYLE_ACTIVE_ACTIVE && effect->kind == PL_EFFECT_SENT)
			append_new(m, PL_MAP_CONFIRMED, key, id);
		break;
	case PL_EFFECT_ACCEPTED: /* seen when it was sent, or, workload1, not at all */
		break;
	case PL_EFFECT_DELIVERED:
		append_new(m, PL_MAP_DELIVERED, key, id);
		break;
	case PL_EFFECT_REMOVED:
	case PL_EFFECT_NOT_REMOVED:
		append_new(m, PL_MAP_REMOVED, key, id);
		break;
	default: {
		if (!known)
			break;
		uint8_t *rows = &m->marks[id].rows[at.stage];
		uint8_t bit = at.type == PL_PLACE_FRONT ? PL_ROW_ANSWERED
							: (uint8_t)(1 << (at.region - 1));
		if (m->models.style == PL_STYLE_WORKLOAD1 && *rows & bit)
			break;
		*rows |= bit;
		append_new(m, PL_MAP_WRITTEN, table_key(m, id, at), id);
		break;
	}
	}
}

/* What the models observe at all. */
static bool is_observed(const struct pl_effect *effect, struct pl_place at)
{
	switch (effect->kind) {
	case PL_EFFECT_SENT:
	case PL_EFFECT_ACCEPTED:
	case PL_EFFECT_DELIVERED:
	case PL_EFFECT_REMOVED:
	case PL_EFFECT_NOT_REMOVED:
		return at.type == PL_PLACE_TRANSPORT;
	case PL_EFFECT_IN_HAND:
		return at.type == PL_PLACE_API;
	case PL_EFFECT_WRITTEN:
	case PL_EFFECT_REWRITTEN:
	case PL_EFFECT_DUPLICATED:
	case PL_EFFECT_CONFLICT:
		return at.type == PL_PLACE_MEMBER || at.type == PL_PLACE_FRONT;
	case PL_EFFECT_ANSWERED:
		return at.type == PL_PLACE_FRONT;
	default:
		return false;
	}
}

void pl_modelled_see(struct pl_monitors *m, const struct pl_effect *effect, struct pl_place at)
{
	m->arrived += effect->kind == PL_EFFECT_ARRIVED; /* for reports; not judged */
	m->left_behind += effect->kind == PL_EFFECT_LEFT_BEHIND;
	if (!is_observed(effect, at))
		return;
	/* Live, a front tells its members' rows. */
	if (at.type == PL_PLACE_FRONT && effect->kind != PL_EFFECT_ANSWERED &&
	    effect->region >= 1 && effect->region <= PL_REGIONS_MAX) {
		at.type = PL_PLACE_MEMBER;
		at.region = effect->region;
	}
	if (m->models.finished) {
		m->models.overlooked++;
		/* Two events the active-active monitor does not expect any more. */
		if (m->models.style == PL_STYLE_ACTIVE_ACTIVE &&
		    (effect->kind == PL_EFFECT_SENT || at.type == PL_PLACE_MEMBER))
			pl_break(
				m,
				PL_MONITOR_COMPLETE,
				"record %u at %s after the watch had ended",
				(uint32_t)effect->record.id,
				m->names[effect->machine]
			);
		return;
	}
	if (m->models.style == PL_STYLE_ACTIVE_PASSIVE)
		see_active_passive(m, effect, at);
	else
		see_counting(m, effect, at);
}

void pl_modelled_end(struct pl_monitors *m)
{
	/* A run of which the monitor was never told passes. */
	if (m->records != 0 && !m->models.finished)
		pl_break(
			m,
			PL_MONITOR_COMPLETE,
			"%u lists are not as long as they should be",
			short_lists(m)
		);
}
