/* SPDX-License-Identifier: BSD-3-Clause
 *
 * From a history to items: which answer of a request decides, and whether the others equal it.
 */
#include "tests/history/checker.h"

#include <stdlib.h>
#include <string.h>

void hist_add(
	struct hist_verdict *verdict,
	enum hist_kind kind,
	uint64_t asset_id,
	uint64_t version,
	uint32_t first,
	uint32_t other
)
{
	verdict->violations++;
	verdict->counts[kind]++;
	if (verdict->shown_count == HIST_SHOWN)
		return;
	verdict->shown[verdict->shown_count++] = (struct hist_violation){
		.kind = kind,
		.asset_id = asset_id,
		.version = version,
		.first = first,
		.other = other,
	};
}

static bool is_write(uint8_t opcode)
{
	return opcode == CLI_REGISTER_ADD || opcode == CLI_REGISTER_SET ||
	       opcode == CLI_REGISTER_CAS;
}

/* Only these two say what became of a request: the other statuses speak of one copy of it, and
 * FORGOTTEN says that nobody knows (client-protocol.md). */
static bool decides(const struct hist_answer *answer)
{
	return answer->status == CLI_OK || answer->status == CLI_REJECTED;
}

static bool same_answer(const struct hist_answer *a, const struct hist_answer *b)
{
	return a->status == b->status && a->version == b->version && a->sequence == b->sequence &&
	       a->reason == b->reason && a->value == b->value;
}

static bool possible(const struct hist_operation *o, const struct hist_answer *answer)
{
	if (answer->returned_ns < o->invoked_ns || answer->returned_ns == HIST_NEVER)
		return false;
	return o->opcode == CLI_REGISTER_GET || answer->sequence != 0;
}

static struct hist_item *add_item(
	struct hist_checker *checker,
	const struct hist_history *history,
	uint32_t operation,
	const struct hist_answer *answer,
	enum hist_role role
)
{
	const struct hist_operation *o = &history->room.operations[operation];
	struct hist_item *item = &checker->item[checker->items++];
	*item = (struct hist_item){
		.asset_id = o->asset_id,
		.version = UINT64_MAX,
		.invoked_ns = o->invoked_ns,
		.returned_ns = HIST_NEVER,
		.argument = {o->argument[0], o->opcode == CLI_REGISTER_CAS ? o->argument[1] : 0},
		.operation = operation,
		.opcode = o->opcode,
		.role = (uint8_t)role,
	};
	if (answer == NULL)
		return item;
	item->version = answer->version;
	item->sequence = answer->sequence;
	item->returned_ns = answer->returned_ns;
	item->value = answer->value;
	item->epoch = answer->epoch;
	item->reason = answer->reason;
	item->node = answer->node;
	item->repeat = answer->repeat;
	return item;
}

/* A repeated read is executed again, so each answer is a read of its own. */
static void add_reads(
	struct hist_checker *checker,
	const struct hist_history *history,
	uint32_t operation,
	struct hist_verdict *verdict
)
{
	const struct hist_operation *o = &history->room.operations[operation];
	for (uint32_t i = o->first_answer; i != HIST_NONE; i = history->room.answers[i].next) {
		const struct hist_answer *answer = &history->room.answers[i];
		if (answer->status != CLI_OK)
			continue;
		if (!possible(o, answer))
			hist_add(
				verdict,
				HIST_ANSWER,
				o->asset_id,
				answer->version,
				operation,
				HIST_NONE
			);
		else
			add_item(checker, history, operation, answer, HIST_LOOK);
		verdict->reads++;
	}
}

static void add_update(
	struct hist_checker *checker,
	const struct hist_history *history,
	uint32_t operation,
	struct hist_verdict *verdict
)
{
	const struct hist_operation *o = &history->room.operations[operation];
	const struct hist_answer *first = NULL, *original = NULL;
	for (uint32_t i = o->first_answer; i != HIST_NONE; i = history->room.answers[i].next) {
		const struct hist_answer *answer = &history->room.answers[i];
		if (!decides(answer))
			continue;
		if (!possible(o, answer)) {
			hist_add(
				verdict,
				HIST_ANSWER,
				o->asset_id,
				answer->version,
				operation,
				HIST_NONE
			);
			continue;
		}
		if (first != NULL && !same_answer(first, answer))
			hist_add(
				verdict,
				HIST_REPEAT,
				o->asset_id,
				answer->version,
				operation,
				HIST_NONE
			);
		if (original == NULL && !answer->repeat)
			original = answer;
		if (first == NULL || answer->returned_ns < first->returned_ns)
			first = answer;
	}
	if (first == NULL) {
		verdict->unknown++;
		if (is_write(o->opcode))
			add_item(checker, history, operation, NULL, HIST_MAYBE);
		return;
	}
	enum hist_role role = first->status == CLI_OK ? HIST_UPDATE : HIST_REFUSED;
	struct hist_item *item = add_item(checker, history, operation, first, role);
	/* Where the answer came from is known best from the one that is no repeat. */
	if (original != NULL) {
		item->epoch = original->epoch;
		item->node = original->node;
		item->repeat = false;
	}
	verdict->updates++;
}

static void add_ends(struct hist_checker *checker, const struct hist_history *history)
{
	for (uint32_t i = 0; i < history->finals; i++) {
		const struct hist_final *final = &history->room.finals[i];
		checker->item[checker->items++] = (struct hist_item){
			.asset_id = final->asset_id,
			.version = final->version,
			.sequence = final->sequence,
			.invoked_ns = HIST_NEVER,
			.returned_ns = HIST_NEVER,
			.value = final->value,
			.operation = HIST_NONE,
			.node = final->node,
			.role = HIST_END,
		};
	}
}

static int compare_u64(uint64_t a, uint64_t b)
{
	return (a > b) - (a < b);
}

static int by_number(const void *left, const void *right, void *context)
{
	const struct hist_history *history = context;
	const struct hist_operation *a = &history->room.operations[*(const uint32_t *)left];
	const struct hist_operation *b = &history->room.operations[*(const uint32_t *)right];
	int c = compare_u64(a->client_id, b->client_id);
	return c != 0 ? c : compare_u64(a->request_seq, b->request_seq);
}

static void check_numbers(
	struct hist_checker *checker,
	const struct hist_history *history,
	struct hist_verdict *verdict
)
{
	for (uint32_t i = 0; i < history->operations; i++)
		checker->order[i] = i;
	qsort_r(checker->order, history->operations, sizeof(uint32_t), by_number, (void *)history);
	for (uint32_t i = 1; i < history->operations; i++) {
		uint32_t one = checker->order[i - 1], next = checker->order[i];
		if (by_number(&one, &next, (void *)history) == 0)
			hist_add(
				verdict,
				HIST_NUMBER,
				history->room.operations[next].asset_id,
				0,
				next,
				one
			);
	}
}

/* By asset, version, the update before those who saw it, refused ones by sequence. */
static int by_place(const void *left, const void *right, void *context)
{
	const struct hist_checker *checker = context;
	uint32_t l = *(const uint32_t *)left, r = *(const uint32_t *)right;
	const struct hist_item *a = &checker->item[l], *b = &checker->item[r];
	int c = compare_u64(a->asset_id, b->asset_id);
	if (c == 0)
		c = compare_u64(a->version, b->version);
	if (c == 0)
		c = (int)a->role - (int)b->role;
	if (c == 0)
		c = compare_u64(a->sequence, b->sequence);
	if (c == 0)
		c = compare_u64(a->invoked_ns, b->invoked_ns);
	return c != 0 ? c : compare_u64(l, r);
}

bool hist_items(
	struct hist_checker *checker,
	const struct hist_history *history,
	bool judge,
	struct hist_verdict *verdict
)
{
	const struct hist_limits *limits = &checker->limits;
	struct hist_verdict unjudged = {0};
	struct hist_verdict *v = judge ? verdict : &unjudged;
	bool fits = history->operations <= limits->operations &&
		    history->answers <= limits->answers && history->finals <= limits->finals;
	if (!fits || history->dropped > 0) {
		hist_add(verdict, HIST_INCOMPLETE, 0, 0, HIST_NONE, HIST_NONE);
		if (!fits)
			return false;
	}
	checker->items = 0;
	if (judge)
		check_numbers(checker, history, v);
	for (uint32_t i = 0; i < history->operations; i++) {
		if (history->room.operations[i].opcode == CLI_REGISTER_GET)
			add_reads(checker, history, i, v);
		else
			add_update(checker, history, i, v);
	}
	add_ends(checker, history);
	for (uint32_t i = 0; i < checker->items; i++)
		checker->order[i] = i;
	qsort_r(checker->order, checker->items, sizeof(uint32_t), by_place, checker);
	return true;
}

uint32_t hist_asset_end(const struct hist_checker *checker, uint32_t first)
{
	uint64_t asset_id = checker->item[checker->order[first]].asset_id;
	uint32_t end = first + 1;
	while (end < checker->items && checker->item[checker->order[end]].asset_id == asset_id)
		end++;
	return end;
}

/* --- Memory --- */

struct hist_checker *hist_checker_new(const struct hist_limits *limits)
{
	struct hist_checker *c = calloc(1, sizeof(*c));
	if (c == NULL)
		return NULL;
	c->limits = *limits;
	if (c->limits.gap_steps == 0)
		c->limits.gap_steps = 20000000;
	if (c->limits.search_states == 0)
		c->limits.search_states = 100000;
	c->max_items = limits->operations + limits->answers + limits->finals + 1;
	uint64_t states = 64;
	while (states < 2ull * c->limits.search_states)
		states *= 2;
	c->state_mask = states - 1;
	size_t count = (size_t)c->max_items + 1;
	c->item = calloc(count, sizeof(*c->item));
	c->order = calloc(count, sizeof(*c->order));
	c->slot = calloc(count, sizeof(*c->slot));
	c->run = calloc(count, sizeof(*c->run));
	c->place = calloc(count, sizeof(*c->place));
	c->like = calloc(count, sizeof(*c->like));
	c->maybe = calloc(count, sizeof(*c->maybe));
	c->used = calloc(count, sizeof(*c->used));
	c->scratch = calloc(count, sizeof(*c->scratch));
	c->state = calloc(states, sizeof(*c->state));
	if (c->item != NULL && c->order != NULL && c->slot != NULL && c->run != NULL &&
	    c->place != NULL && c->like != NULL && c->maybe != NULL && c->used != NULL &&
	    c->scratch != NULL && c->state != NULL)
		return c;
	hist_checker_free(c);
	return NULL;
}

void hist_checker_free(struct hist_checker *checker)
{
	if (checker == NULL)
		return;
	free(checker->item);
	free(checker->order);
	free(checker->slot);
	free(checker->run);
	free(checker->place);
	free(checker->like);
	free(checker->maybe);
	free(checker->used);
	free(checker->scratch);
	free(checker->state);
	free(checker);
}
