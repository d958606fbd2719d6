/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Wing and Gong's search for an order of one asset's operations that a register could have gone
 * through and that agrees with real time; (operations done, state) that led nowhere are remembered
 * (Lowe). Assets are independent, so each is searched for itself (Horn and Kroening). It shares
 * only the items with the checker by versions: what an operation does is written here a second
 * time.
 */
#include "tests/history/checker.h"

#include <string.h>

struct search {
	struct hist_checker *checker;
	const struct hist_item *item[HIST_SEARCH_MAX]; /* by time of invocation */
	uint32_t count;
	uint64_t wanted; /* items with an answer: all of them have their place in the order */
	uint64_t best;	 /* most of them that were ever done */
	uint64_t generation;
	uint32_t states;
	bool values_only;
	bool gave_up;
};

struct state {
	uint64_t done;
	uint64_t version;
	int64_t value;
};

static bool refused_rightly(const struct hist_item *item, int64_t value)
{
	__int128 sum = (__int128)value + item->argument[0];
	switch (item->reason) {
	case CLI_REGISTER_MISMATCH:
		return item->opcode == CLI_REGISTER_CAS && value != item->argument[0] &&
		       value == item->value;
	case CLI_REGISTER_OVERFLOW:
		return item->opcode == CLI_REGISTER_ADD && (sum > INT64_MAX || sum < INT64_MIN);
	case CLI_REGISTER_BAD_OPERATION:
	case CLI_REASON_ASSETS_FULL:
		return true;
	}
	return false;
}

/* The effect of an update. False: it has none in this state. */
static bool change(const struct hist_item *item, struct state *state)
{
	__int128 value;
	switch (item->opcode) {
	case CLI_REGISTER_ADD:
		value = (__int128)state->value + item->argument[0];
		if (value > INT64_MAX || value < INT64_MIN)
			return false;
		break;
	case CLI_REGISTER_SET:
		value = item->argument[0];
		break;
	case CLI_REGISTER_CAS:
		if (state->value != item->argument[0])
			return false;
		value = item->argument[1];
		break;
	default:
		return false;
	}
	state->value = (int64_t)value;
	state->version++;
	return true;
}

/* Takes the state through the operation. False: it could not have had this answer here. */
static bool step(const struct search *search, const struct hist_item *item, struct state *state)
{
	bool right = false;
	switch ((enum hist_role)item->role) {
	case HIST_MAYBE:
		return change(item, state); /* without effect it is as if it had never been */
	case HIST_UPDATE:
		right = change(item, state) && state->value == item->value;
		break;
	case HIST_REFUSED:
		right = refused_rightly(item, state->value);
		break;
	case HIST_LOOK:
	case HIST_END:
		right = state->value == item->value;
		break;
	}
	return right && (search->values_only || state->version == item->version);
}

/* True: seen before. Versions do not count where answers are not compared with them. */
static bool remember(struct search *search, const struct state *state)
{
	struct hist_checker *checker = search->checker;
	uint64_t version = search->values_only ? 0 : state->version;
	uint64_t hash = (state->done ^ version * 0x9e3779b97f4a7c15ull) * 0xbf58476d1ce4e5b9ull;
	hash = (hash ^ hash >> 29 ^ (uint64_t)state->value) * 0x94d049bb133111ebull;
	for (uint64_t i = hash >> 20;; i++) {
		struct hist_state *s = &checker->state[i & checker->state_mask];
		if (s->generation != search->generation) {
			*s = (struct hist_state
			){.done = state->done,
			  .version = version,
			  .value = state->value,
			  .generation = search->generation};
			return false;
		}
		if (s->done == state->done && s->version == version && s->value == state->value)
			return true;
	}
}

/* Items that may stand next: not done, and nothing that is still to be done was answered before
 * they were sent. Of unknown operations that do the same, only the one sent first. */
static uint64_t next_items(const struct search *search, uint64_t done)
{
	uint64_t horizon = HIST_NEVER, next = 0;
	for (uint32_t i = 0; i < search->count; i++) {
		if ((done >> i & 1) == 0 && search->item[i]->returned_ns < horizon)
			horizon = search->item[i]->returned_ns;
	}
	for (uint32_t i = 0; i < search->count; i++) {
		const struct hist_item *item = search->item[i];
		bool skip = (done >> i & 1) != 0 || item->invoked_ns > horizon;
		for (uint32_t j = 0; j < i && !skip && item->role == HIST_MAYBE; j++) {
			const struct hist_item *twin = search->item[j];
			skip = (next >> j & 1) != 0 && twin->role == HIST_MAYBE &&
			       twin->opcode == item->opcode &&
			       memcmp(twin->argument, item->argument, sizeof(item->argument)) == 0;
		}
		if (!skip)
			next |= 1ull << i;
	}
	return next;
}

/* At most HIST_SEARCH_MAX deep. */
static bool explore(struct search *search, struct state state)
{
	uint64_t wanted = search->wanted;
	if (__builtin_popcountll(state.done & wanted) > __builtin_popcountll(search->best & wanted))
		search->best = state.done;
	if ((state.done & wanted) == wanted)
		return true;
	if (search->states == search->checker->limits.search_states) {
		search->gave_up = true;
		return false;
	}
	if (remember(search, &state))
		return false;
	search->states++;
	uint64_t next = next_items(search, state.done);
	/* What changes nothing and is right here may as well stand here: no choice. */
	for (uint32_t i = 0; i < search->count; i++) {
		struct state after = state;
		uint8_t role = search->item[i]->role;
		if ((next >> i & 1) == 0 || role == HIST_UPDATE || role == HIST_MAYBE)
			continue;
		after.done |= 1ull << i;
		if (step(search, search->item[i], &after))
			return explore(search, after);
	}
	for (int pass = 0; pass < 2 && !search->gave_up; pass++) {
		uint8_t role = pass == 0 ? HIST_UPDATE : HIST_MAYBE;
		for (uint32_t i = 0; i < search->count && !search->gave_up; i++) {
			struct state after = state;
			if ((next >> i & 1) == 0 || search->item[i]->role != role)
				continue;
			after.done |= 1ull << i;
			if (step(search, search->item[i], &after) && explore(search, after))
				return true;
		}
	}
	return false;
}

static void add_sorted(struct search *search, const struct hist_item *item)
{
	uint32_t i = search->count++;
	for (; i > 0 && search->item[i - 1]->invoked_ns > item->invoked_ns; i--)
		search->item[i] = search->item[i - 1];
	search->item[i] = item;
}

/* Of what could not be placed, the one answered first. */
static const struct hist_item *culprit(const struct search *search)
{
	const struct hist_item *found = NULL;
	for (uint32_t i = 0; i < search->count; i++) {
		if ((search->wanted & ~search->best) >> i & 1 &&
		    (found == NULL || search->item[i]->returned_ns < found->returned_ns))
			found = search->item[i];
	}
	return found;
}

static void search_asset(
	struct hist_checker *checker,
	uint32_t first,
	uint32_t end,
	bool values_only,
	struct hist_verdict *verdict
)
{
	struct search search = {
		.checker = checker,
		.generation = ++checker->generation,
		.values_only = values_only,
	};
	verdict->assets++;
	if (end - first > HIST_SEARCH_MAX) {
		verdict->too_large++;
		return;
	}
	for (uint32_t i = first; i < end; i++)
		add_sorted(&search, &checker->item[checker->order[i]]);
	for (uint32_t i = 0; i < search.count; i++) {
		if (search.item[i]->role != HIST_MAYBE)
			search.wanted |= 1ull << i;
	}
	bool found = explore(&search, (struct state){0});
	verdict->states += search.states;
	if (found)
		return;
	if (search.gave_up) {
		verdict->gave_up++;
		return;
	}
	const struct hist_item *item = culprit(&search);
	hist_add(
		verdict,
		HIST_NOT_LINEARIZABLE,
		item->asset_id,
		item->version,
		item->operation,
		HIST_NONE
	);
}

void hist_check_search(
	struct hist_checker *checker,
	const struct hist_history *history,
	bool values_only,
	struct hist_verdict *verdict
)
{
	if (!hist_items(checker, history, false, verdict))
		return;
	for (uint32_t i = 0, end; i < checker->items; i = end) {
		end = hist_asset_end(checker, i);
		search_asset(checker, i, end, values_only, verdict);
	}
}
