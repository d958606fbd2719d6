/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The checker by assetVersion. The versions in the answers say which order the service claims, so
 * nothing has to be searched: the claim is laid beside what the clients saw, in O(n log n). A
 * version that nobody was told about must have been made by an operation with unknown outcome;
 * gaps.c looks for one.
 */
#include "tests/history/checker.h"

#include <stdlib.h>
#include <string.h>

static const struct hist_item *at(const struct hist_checker *checker, uint32_t place)
{
	return &checker->item[checker->order[place]];
}

static void
blame(struct hist_verdict *verdict,
      enum hist_kind kind,
      const struct hist_item *item,
      uint32_t other)
{
	hist_add(verdict, kind, item->asset_id, item->version, item->operation, other);
}

static bool is_sequenced(const struct hist_item *item)
{
	return item->role == HIST_UPDATE || item->role == HIST_REFUSED;
}

/* --- Over all assets: sequences, epochs, authors --- */

static int compare_u64(const void *left, const void *right)
{
	uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;
	return (a > b) - (a < b);
}

/* Only the primary of an epoch answers like this (inv. 6); the other node may say NOT_PRIMARY. */
static bool is_of_primary(const struct hist_answer *answer)
{
	return answer->node != 0 && (answer->status == CLI_OK || answer->status == CLI_REJECTED ||
				     answer->status == CLI_FORGOTTEN);
}

static uint32_t
answered_by(const struct hist_history *history, uint32_t epoch, uint8_t node, uint64_t *asset_id)
{
	for (uint32_t i = 0; i < history->operations; i++) {
		const struct hist_operation *o = &history->room.operations[i];
		for (uint32_t a = o->first_answer; a != HIST_NONE;
		     a = history->room.answers[a].next) {
			const struct hist_answer *answer = &history->room.answers[a];
			if (!is_of_primary(answer) || answer->epoch != epoch ||
			    answer->node != node)
				continue;
			*asset_id = o->asset_id;
			return i;
		}
	}
	return HIST_NONE;
}

static void check_authors(
	struct hist_checker *checker,
	const struct hist_history *history,
	struct hist_verdict *verdict
)
{
	uint64_t *keys = checker->scratch, asset_id = 0;
	uint32_t count = 0;
	for (uint32_t i = 0; i < history->answers; i++) {
		const struct hist_answer *answer = &history->room.answers[i];
		if (is_of_primary(answer))
			keys[count++] = (uint64_t)answer->epoch << 8 | answer->node;
	}
	qsort(keys, count, sizeof(*keys), compare_u64);
	for (uint32_t i = 1; i < count; i++) {
		if (keys[i] == keys[i - 1] || keys[i] >> 8 != keys[i - 1] >> 8)
			continue;
		uint32_t epoch = (uint32_t)(keys[i] >> 8);
		uint32_t other = answered_by(history, epoch, (uint8_t)keys[i - 1], &asset_id);
		uint32_t first = answered_by(history, epoch, (uint8_t)keys[i], &asset_id);
		hist_add(verdict, HIST_AUTHOR, asset_id, 0, first, other);
	}
}

static int by_sequence(const void *left, const void *right, void *context)
{
	const struct hist_checker *checker = context;
	const struct hist_item *a = &checker->item[*(const uint32_t *)left];
	const struct hist_item *b = &checker->item[*(const uint32_t *)right];
	return compare_u64(&a->sequence, &b->sequence);
}

/* A held answer carries the epoch that its node has when it leaves, so on one node a lagging worker
 * may answer an earlier sequence with a later epoch. On two nodes it may not: the later epoch's
 * primary sequenced what it answers for the first time. */
static void check_epoch(
	uint32_t highest[256],
	uint32_t holder[256],
	uint32_t nodes,
	const struct hist_item *item,
	struct hist_verdict *verdict
)
{
	if (item->repeat)
		return;
	for (uint32_t node = 0; node <= nodes; node++) {
		bool may_lag = node == item->node && node != 0;
		if (highest[node] > item->epoch && !may_lag) {
			blame(verdict, HIST_EPOCH, item, holder[node]);
			return;
		}
	}
	if (item->epoch >= highest[item->node]) {
		highest[item->node] = item->epoch;
		holder[item->node] = item->operation;
	}
}

/* Unique; in real time over all assets (the log is one); with epochs that do not fall. */
static void check_sequences(struct hist_checker *checker, struct hist_verdict *verdict)
{
	uint32_t *sorted = checker->maybe; /* free at this time */
	uint32_t highest[256] = {0}, holder[256], count = 0, nodes = 0;
	const struct hist_item *last = NULL, *newest = NULL;
	for (uint32_t i = 0; i < checker->items; i++) {
		if (is_sequenced(&checker->item[i]))
			sorted[count++] = i;
	}
	qsort_r(sorted, count, sizeof(*sorted), by_sequence, checker);
	for (uint32_t i = 0; i < count; i++) {
		const struct hist_item *item = &checker->item[sorted[i]];
		if (last != NULL && last->sequence == item->sequence)
			blame(verdict, HIST_SEQUENCE_TWICE, item, last->operation);
		/* newest: of all with lower sequences, the one that was sent last. */
		if (newest != NULL && newest->invoked_ns > item->returned_ns)
			blame(verdict, HIST_SEQUENCE_ORDER, newest, item->operation);
		if (newest == NULL || item->invoked_ns > newest->invoked_ns)
			newest = item;
		nodes = item->node > nodes ? item->node : nodes;
		check_epoch(highest, holder, nodes, item, verdict);
		last = item;
	}
}

static int by_invocation(const void *left, const void *right, void *context)
{
	const struct hist_checker *checker = context;
	const struct hist_item *a = &checker->item[*(const uint32_t *)left];
	const struct hist_item *b = &checker->item[*(const uint32_t *)right];
	return compare_u64(&a->invoked_ns, &b->invoked_ns);
}

static int by_return(const void *left, const void *right, void *context)
{
	const struct hist_checker *checker = context;
	const struct hist_item *a = &checker->item[*(const uint32_t *)left];
	const struct hist_item *b = &checker->item[*(const uint32_t *)right];
	return compare_u64(&a->returned_ns, &b->returned_ns);
}

/* What was sent after an answer of an epoch came is answered in that epoch or a later one: a
 * deposed primary commits and reads nothing more. Repeats of what it had committed are harmless. */
static void check_epochs_in_time(struct hist_checker *checker, struct hist_verdict *verdict)
{
	uint32_t *sent = checker->maybe, *returned = (uint32_t *)checker->scratch;
	uint32_t count = 0, past = 0;
	for (uint32_t i = 0; i < checker->items; i++) {
		const struct hist_item *item = &checker->item[i];
		if (!item->repeat && (is_sequenced(item) || item->role == HIST_LOOK))
			sent[count] = returned[count] = i, count++;
	}
	qsort_r(sent, count, sizeof(*sent), by_invocation, checker);
	qsort_r(returned, count, sizeof(*returned), by_return, checker);
	const struct hist_item *highest = NULL;
	for (uint32_t i = 0; i < count; i++) {
		const struct hist_item *item = &checker->item[sent[i]];
		for (; past < count; past++) {
			const struct hist_item *before = &checker->item[returned[past]];
			if (before->returned_ns >= item->invoked_ns)
				break;
			if (highest == NULL || before->epoch > highest->epoch)
				highest = before;
		}
		if (highest != NULL && highest->epoch > item->epoch)
			blame(verdict, HIST_EPOCH, item, highest->operation);
	}
}

/* --- One asset: order --- */

/* Whether the second must stand after the first in the asset's order, by the versions alone. */
static bool is_before(const struct hist_item *a, const struct hist_item *b)
{
	if (a->version != b->version)
		return a->version < b->version;
	return a->role == HIST_UPDATE && b->role != HIST_UPDATE;
}

/* Nothing was sent after something later in the order had been answered. Items with equal place,
 * who saw the same version, may stand in any order. */
static void check_real_time(
	struct hist_checker *checker, uint32_t first, uint32_t end, struct hist_verdict *verdict
)
{
	const struct hist_item *newest = NULL, *tied = NULL;
	for (uint32_t i = first; i < end; i++) {
		const struct hist_item *item = at(checker, i);
		if (i > first && is_before(at(checker, i - 1), item)) {
			if (tied != NULL &&
			    (newest == NULL || tied->invoked_ns > newest->invoked_ns))
				newest = tied;
			tied = NULL;
		}
		if (newest != NULL && newest->invoked_ns > item->returned_ns) {
			enum hist_kind kind = newest->role == HIST_END ? HIST_LOST : HIST_REAL_TIME;
			if (kind == HIST_LOST)
				blame(verdict, kind, item, HIST_NONE);
			else
				blame(verdict, kind, newest, item->operation);
		}
		if (tied == NULL || item->invoked_ns > tied->invoked_ns)
			tied = item;
	}
}

/* Of one version: who made it or read it names one sequence; who was refused at it has later ones.
 */
static void check_version_sequences(
	struct hist_checker *checker,
	uint32_t first,
	uint32_t end,
	const struct hist_item **last,
	struct hist_verdict *verdict
)
{
	const struct hist_item *made = NULL;
	for (uint32_t i = first; i < end; i++) {
		const struct hist_item *item = at(checker, i);
		bool tells = item->role != HIST_REFUSED &&
			     (item->role != HIST_END || item->sequence != 0);
		if (!tells)
			continue;
		if ((item->version == 0) != (item->sequence == 0))
			blame(verdict, HIST_SEQUENCE_ORDER, item, HIST_NONE);
		/* Two updates of one version are another finding. */
		else if (made != NULL && item->role != HIST_UPDATE && made->sequence != item->sequence)
			blame(verdict, HIST_SEQUENCE_ORDER, item, made->operation);
		if (made == NULL)
			made = item;
	}
	if (made != NULL && made->version != 0) {
		if (*last != NULL && made->sequence <= (*last)->sequence)
			blame(verdict, HIST_SEQUENCE_ORDER, made, (*last)->operation);
		*last = made;
	}
	for (uint32_t i = first; i < end; i++) {
		const struct hist_item *item = at(checker, i);
		if (item->role != HIST_REFUSED)
			continue;
		if (*last != NULL && item->sequence <= (*last)->sequence)
			blame(verdict, HIST_SEQUENCE_ORDER, item, (*last)->operation);
		*last = item;
	}
}

/* Sequences rise with the asset's order. */
static void check_asset_sequences(
	struct hist_checker *checker, uint32_t first, uint32_t end, struct hist_verdict *verdict
)
{
	const struct hist_item *last = NULL;
	for (uint32_t i = first, next; i < end; i = next) {
		next = i + 1;
		while (next < end && at(checker, next)->version == at(checker, i)->version)
			next++;
		check_version_sequences(checker, i, next, &last, verdict);
	}
}

/* --- One asset: values --- */

static void take_update(struct hist_checker *checker, uint32_t index, struct hist_verdict *verdict)
{
	const struct hist_item *item = &checker->item[index];
	struct hist_slot *slot = &checker->slot[item->version];
	if (slot->update != HIST_NONE) {
		blame(verdict, HIST_VERSION_TWICE, item, checker->item[slot->update].operation);
		return;
	}
	slot->update = index;
	slot->value = item->value;
	slot->known = true;
}

/* A value that a read, the end or a mismatch tells. */
static void take_value(
	struct hist_checker *checker,
	uint32_t index,
	enum hist_kind kind,
	struct hist_verdict *verdict
)
{
	const struct hist_item *item = &checker->item[index];
	struct hist_slot *slot = &checker->slot[item->version];
	if (!slot->known) {
		slot->known = true;
		slot->value = item->value;
		slot->seen = index;
		return;
	}
	uint32_t other = slot->update != HIST_NONE ? slot->update : slot->seen;
	if (slot->value != item->value)
		blame(verdict,
		      kind,
		      item,
		      other == HIST_NONE ? HIST_NONE : checker->item[other].operation);
}

static void take_refusal(struct hist_checker *checker, uint32_t index, struct hist_verdict *verdict)
{
	const struct hist_item *item = &checker->item[index];
	struct hist_slot *slot = &checker->slot[item->version];
	int64_t delta = item->argument[0];
	switch (item->reason) {
	case CLI_REGISTER_MISMATCH:
		if (item->opcode != CLI_REGISTER_CAS || item->value == item->argument[0])
			blame(verdict, HIST_REJECTED, item, HIST_NONE);
		else
			take_value(checker, index, HIST_REJECTED, verdict);
		return;
	case CLI_REGISTER_OVERFLOW:
		if (item->opcode != CLI_REGISTER_ADD || delta == 0) {
			blame(verdict, HIST_REJECTED, item, HIST_NONE);
		} else if (delta > 0) {
			int64_t least = INT64_MAX - delta + 1;
			slot->low = least > slot->low ? least : slot->low;
		} else {
			int64_t most = INT64_MIN - delta - 1;
			slot->high = most < slot->high ? most : slot->high;
		}
		return;
	case CLI_REGISTER_BAD_OPERATION:
	case CLI_REASON_ASSETS_FULL:
		return; /* does not depend on the value */
	default:
		blame(verdict, HIST_REJECTED, item, HIST_NONE);
	}
}

static void fill_slots(
	struct hist_checker *checker,
	uint32_t first,
	uint32_t end,
	uint32_t last,
	struct hist_verdict *verdict
)
{
	for (uint32_t v = 0; v <= last; v++) {
		checker->slot[v] = (struct hist_slot){
			.deadline_ns = HIST_NEVER,
			.low = INT64_MIN,
			.high = INT64_MAX,
			.update = HIST_NONE,
			.seen = HIST_NONE,
			.known = v == 0,
		};
	}
	for (uint32_t i = first; i < end; i++) {
		uint32_t index = checker->order[i];
		const struct hist_item *item = &checker->item[index];
		struct hist_slot *slot = &checker->slot[item->version];
		if (item->returned_ns < slot->deadline_ns)
			slot->deadline_ns = item->returned_ns;
		if (item->role == HIST_UPDATE)
			take_update(checker, index, verdict);
		else if (item->role == HIST_REFUSED)
			take_refusal(checker, index, verdict);
		else
			take_value(
				checker,
				index,
				item->role == HIST_END ? HIST_FINAL : HIST_READ,
				verdict
			);
	}
	for (uint32_t v = last; v-- > 0;) {
		struct hist_slot *slot = &checker->slot[v];
		if (slot[1].deadline_ns < slot->deadline_ns)
			slot->deadline_ns = slot[1].deadline_ns;
	}
}

/* What the version before must have been for this update to give its value. False: nothing can. */
static bool value_before(const struct hist_item *item, int64_t *before, bool *any)
{
	*any = false;
	switch (item->opcode) {
	case CLI_REGISTER_ADD:
		return !__builtin_sub_overflow(item->value, item->argument[0], before);
	case CLI_REGISTER_SET:
		*any = true;
		return item->value == item->argument[0];
	case CLI_REGISTER_CAS:
		*before = item->argument[0];
		return item->value == item->argument[1];
	}
	return false;
}

/* The value of each version follows from the one before; of a version that nobody was told about it
 * is what the next update says, if that says anything. */
static void check_values(struct hist_checker *checker, uint32_t last, struct hist_verdict *verdict)
{
	for (uint32_t v = 1; v <= last; v++) {
		struct hist_slot *slot = &checker->slot[v], *previous = slot - 1;
		if (slot->update == HIST_NONE)
			continue;
		const struct hist_item *item = &checker->item[slot->update];
		int64_t before = 0;
		bool any = false;
		bool follows = value_before(item, &before, &any);
		if (follows && !any && previous->known)
			follows = previous->value == before;
		if (!follows) {
			uint32_t other = previous->update;
			blame(verdict,
			      HIST_VALUE,
			      item,
			      other == HIST_NONE ? HIST_NONE : checker->item[other].operation);
		} else if (!any && !previous->known) {
			previous->known = true;
			previous->value = before;
		}
	}
}

/* What was refused for overflow would have overflown. */
static void check_refusals(
	struct hist_checker *checker, uint32_t first, uint32_t end, struct hist_verdict *verdict
)
{
	for (uint32_t i = first; i < end; i++) {
		const struct hist_item *item = at(checker, i);
		const struct hist_slot *slot = &checker->slot[item->version];
		int64_t sum;
		if (item->role != HIST_REFUSED || item->reason != CLI_REGISTER_OVERFLOW)
			continue;
		if (slot->known && !__builtin_add_overflow(slot->value, item->argument[0], &sum))
			blame(verdict, HIST_REJECTED, item, HIST_NONE);
	}
}

/* --- One asset --- */

static void
check_ends(struct hist_checker *checker, uint32_t first, uint32_t end, struct hist_verdict *verdict)
{
	const struct hist_item *one = NULL;
	for (uint32_t i = first; i < end; i++) {
		const struct hist_item *item = at(checker, i);
		if (item->role != HIST_END)
			continue;
		if (one != NULL && (one->version != item->version || one->value != item->value))
			blame(verdict, HIST_FINALS_DIFFER, item, HIST_NONE);
		one = item;
	}
}

/* How many versions the asset got, if those without a maker are not more than the operations that
 * may have made them. */
static bool find_last(
	struct hist_checker *checker,
	uint32_t first,
	uint32_t end,
	uint32_t maybes,
	uint32_t *last,
	struct hist_verdict *verdict
)
{
	uint64_t made = 0, version = 0;
	for (uint32_t i = first; i < end; i++) {
		const struct hist_item *item = at(checker, i);
		bool is_new = item->role == HIST_UPDATE &&
			      (i == first || at(checker, i - 1)->version != item->version ||
			       at(checker, i - 1)->role != HIST_UPDATE);
		made += is_new ? 1 : 0;
		version = item->version;
		if (item->role == HIST_UPDATE && version == 0) {
			blame(verdict, HIST_VALUE, item, HIST_NONE);
			return false;
		}
		if (version > made + maybes) {
			blame(verdict, HIST_GAP, item, HIST_NONE);
			return false;
		}
	}
	*last = (uint32_t)version;
	return true;
}

static void check_asset(
	struct hist_checker *checker, uint32_t first, uint32_t end, struct hist_verdict *verdict
)
{
	uint64_t asset_id = at(checker, first)->asset_id;
	uint32_t known = first, last = 0;
	while (known < end && at(checker, known)->role != HIST_MAYBE)
		known++;
	uint32_t maybes = end - known;
	for (uint32_t i = 0; i < maybes; i++)
		checker->maybe[i] = checker->order[known + i];
	verdict->assets++;
	check_asset_sequences(checker, first, known, verdict);
	check_ends(checker, first, known, verdict);
	uint64_t before = verdict->violations;
	check_real_time(checker, first, known, verdict);
	if (!find_last(checker, first, known, maybes, &last, verdict))
		return;
	fill_slots(checker, first, known, last, verdict);
	check_values(checker, last, verdict);
	check_refusals(checker, first, known, verdict);
	/* Which unknown operations fit is no question any more when the known ones do not. */
	if (verdict->violations == before)
		hist_fill_gaps(checker, asset_id, last, maybes, verdict);
}

void hist_check_versions(
	struct hist_checker *checker,
	const struct hist_history *history,
	struct hist_verdict *verdict
)
{
	if (!hist_items(checker, history, true, verdict))
		return;
	check_authors(checker, history, verdict);
	check_sequences(checker, verdict);
	check_epochs_in_time(checker, verdict);
	for (uint32_t i = 0, end; i < checker->items; i = end) {
		end = hist_asset_end(checker, i);
		check_asset(checker, i, end, verdict);
	}
}
