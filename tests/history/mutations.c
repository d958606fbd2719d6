/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/history/mutations.h"

#define BIT(kind) (1ull << HIST_##kind)
#define ORDER                                                                                      \
	(BIT(VERSION_TWICE) | BIT(GAP) | BIT(VALUE) | BIT(READ) | BIT(REJECTED) | BIT(REAL_TIME) | \
	 BIT(LOST) | BIT(FINAL))

static bool is_answered(const struct gen_operation *o)
{
	return o->return_ns != HIST_NEVER && o->effect_ns != HIST_NEVER;
}

static bool is_read(const struct gen_operation *o)
{
	return o->asked.opcode == CLI_REGISTER_GET;
}

static bool is_ok(const struct gen_operation *o)
{
	return is_answered(o) && o->answer.status == CLI_OK;
}

static bool is_answered_write(const struct gen_operation *o)
{
	return is_answered(o) && !is_read(o);
}

static bool is_answered_read(const struct gen_operation *o)
{
	return is_answered(o) && is_read(o) && o->same_as == HIST_NONE;
}

static bool is_ok_write(const struct gen_operation *o)
{
	return is_ok(o) && !is_read(o);
}

static bool is_unknown_write(const struct gen_operation *o)
{
	return o->return_ns == HIST_NEVER && o->effect_ns != HIST_NEVER && !is_read(o);
}

static bool is_answered_add(const struct gen_operation *o)
{
	return is_answered(o) && o->asked.opcode == CLI_REGISTER_ADD;
}

static bool is_answered_cas(const struct gen_operation *o)
{
	return is_answered(o) && o->asked.opcode == CLI_REGISTER_CAS;
}

/* The next such operation from a drawn place on. */
static struct gen_operation *
find(struct gen_plan *plan, struct random *random, bool (*wanted)(const struct gen_operation *))
{
	uint32_t start = (uint32_t)random_below(random, plan->count);
	for (uint32_t i = 0; i < plan->count; i++) {
		struct gen_operation *o = &plan->operation[(start + i) % plan->count];
		if (wanted(o))
			return o;
	}
	return NULL;
}

typedef bool pair_test(const struct gen_operation *a, const struct gen_operation *b);

static bool find_pair(
	struct gen_plan *plan,
	struct random *random,
	pair_test *wanted,
	struct gen_operation *pair[2]
)
{
	uint32_t start = (uint32_t)random_below(random, plan->count);
	for (uint32_t i = 0; i < plan->count; i++) {
		pair[0] = &plan->operation[(start + i) % plan->count];
		for (uint32_t j = 0; j < plan->count; j++) {
			pair[1] = &plan->operation[(start + j) % plan->count];
			if (i != j && wanted(pair[0], pair[1]))
				return true;
		}
	}
	return false;
}

/* Each answer that says what became of the operation. */
#define FOR_ANSWERS(made, o, answer)                                             \
	for (struct hist_answer *answer = first_answer(made, o); answer != NULL; \
	     answer = next_answer(made, answer))

static struct hist_answer *next_deciding(struct gen_history *made, uint32_t i)
{
	while (i != HIST_NONE && made->answers[i].status != CLI_OK &&
	       made->answers[i].status != CLI_REJECTED)
		i = made->answers[i].next;
	return i == HIST_NONE ? NULL : &made->answers[i];
}

static struct hist_answer *first_answer(struct gen_history *made, const struct gen_operation *o)
{
	return next_deciding(made, made->operations[o->index].first_answer);
}

static struct hist_answer *next_answer(struct gen_history *made, const struct hist_answer *answer)
{
	return next_deciding(made, answer->next);
}

/* --- Bugs of the service --- */

static bool lose_update(struct gen_plan *plan, struct random *random)
{
	struct gen_operation *o = find(plan, random, is_answered_write);
	if (o != NULL)
		o->rolled_back = true;
	return o != NULL;
}

static bool apply_twice(struct gen_plan *plan, struct random *random)
{
	struct gen_operation *o = find(plan, random, is_answered_add);
	if (o != NULL)
		o->again_ns = o->effect_ns + random_below(random, 100);
	return o != NULL;
}

static bool apply_unknown_twice(struct gen_plan *plan, struct random *random)
{
	struct gen_operation *o = find(plan, random, is_unknown_write);
	if (o != NULL)
		o->again_ns = o->effect_ns + random_below(random, 100);
	return o != NULL;
}

static bool answer_twice(struct gen_plan *plan, struct random *random)
{
	struct gen_operation *o = find(plan, random, is_answered_add);
	if (o == NULL)
		return false;
	o->again_ns = o->return_ns + random_below(random, 50);
	return o->answered_again = true;
}

static bool
differed_when_applied_again(struct gen_plan *plan, struct random *random, struct gen_history *made)
{
	for (uint32_t i = 0; i < plan->count; i++) {
		if (plan->operation[i].answered_again)
			return true; /* the second has another sequence in any case */
	}
	return false;
}

/* The first thing that happens after a failover is still answered by the old primary, which alone
 * has it. */
static bool answer_from_old_primary(struct gen_plan *plan, struct random *random)
{
	if (plan->epochs < 2)
		return false;
	uint32_t e = 1 + (uint32_t)random_below(random, plan->epochs - 1);
	struct gen_operation *o = find(plan, random, is_answered_write);
	if (o == NULL || plan->epoch[e].node == plan->epoch[e - 1].node)
		return false;
	o->asked.invoked_ns = plan->epoch[e].from_ns - 1;
	o->effect_ns = plan->epoch[e].from_ns;
	o->return_ns = o->effect_ns + 5;
	o->repeats = 0;
	return o->rolled_back = o->old_primary = true;
}

static bool in_real_time(const struct gen_operation *a, const struct gen_operation *b)
{
	return is_answered_write(a) && is_answered_write(b) &&
	       a->asked.asset_id == b->asked.asset_id && a->return_ns < b->asked.invoked_ns &&
	       b->asked.invoked_ns - a->return_ns < 100;
}

static bool reorder(struct gen_plan *plan, struct random *random)
{
	struct gen_operation *pair[2];
	if (!find_pair(plan, random, in_real_time, pair))
		return false;
	uint64_t effect_ns = pair[0]->effect_ns;
	pair[0]->effect_ns = pair[1]->effect_ns;
	pair[1]->effect_ns = effect_ns;
	return true;
}

static bool skip_version(struct gen_plan *plan, struct random *random)
{
	plan->skip_ns = random_below(random, plan->end_ns);
	return true;
}

static bool invent_update(struct gen_plan *plan, struct random *random)
{
	plan->phantom_ns = random_below(random, plan->end_ns);
	return true;
}

static bool forget_a_tail(struct gen_plan *plan, struct random *random)
{
	plan->amnesia_ns = random_below(random, plan->end_ns);
	plan->remembered_ns = plan->amnesia_ns - random_below(random, plan->amnesia_ns + 1) / 3;
	return true;
}

static bool accept_wrong_cas(struct gen_plan *plan, struct random *random)
{
	struct gen_operation *o = find(plan, random, is_answered_cas);
	if (o != NULL)
		o->accepted_wrongly = true;
	return o != NULL;
}

static bool refuse_right_cas(struct gen_plan *plan, struct random *random)
{
	struct gen_operation *o = find(plan, random, is_answered_cas);
	if (o != NULL)
		o->refused_wrongly = true;
	return o != NULL;
}

static bool
was_refused_wrongly(struct gen_plan *plan, struct random *random, struct gen_history *made)
{
	for (uint32_t i = 0; i < plan->count; i++) {
		struct gen_operation *o = &plan->operation[i];
		if (o->refused_wrongly)
			return o->answer.value == o->asked.argument[0];
	}
	return false;
}

static bool write_then_read(const struct gen_operation *write, const struct gen_operation *read)
{
	return is_answered_read(read) && is_answered_write(write) &&
	       write->asked.asset_id == read->asked.asset_id && write->effect_ns > 0 &&
	       write->return_ns < read->asked.invoked_ns;
}

static bool read_then_write(const struct gen_operation *read, const struct gen_operation *write)
{
	return is_answered_read(read) && is_answered_write(write) &&
	       write->asked.asset_id == read->asked.asset_id &&
	       read->return_ns < write->asked.invoked_ns;
}

static bool read_the_past(struct gen_plan *plan, struct random *random)
{
	struct gen_operation *pair[2];
	if (!find_pair(plan, random, write_then_read, pair))
		return false;
	pair[1]->effect_ns = pair[0]->effect_ns - 1;
	return true;
}

static bool read_the_future(struct gen_plan *plan, struct random *random)
{
	struct gen_operation *pair[2];
	if (!find_pair(plan, random, read_then_write, pair))
		return false;
	pair[0]->effect_ns = pair[1]->effect_ns + 1;
	return true;
}

/* --- Wrong answers --- */

static bool read_other_value(struct gen_plan *plan, struct random *random, struct gen_history *made)
{
	struct gen_operation *o = find(plan, random, is_answered_read);
	if (o == NULL || first_answer(made, o) == NULL)
		return false;
	first_answer(made, o)->value ^= 1 + (int64_t)random_below(random, 3);
	return true;
}

static bool
answer_off_by_one(struct gen_plan *plan, struct random *random, struct gen_history *made)
{
	struct gen_operation *o = find(plan, random, is_ok_write);
	if (o == NULL)
		return false;
	FOR_ANSWERS(made, o, answer)
	answer->value ^= 1;
	return true;
}

static bool repeat_differs(struct gen_plan *plan, struct random *random, struct gen_history *made)
{
	struct gen_operation *o = find(plan, random, is_answered_write);
	if (o == NULL)
		return false;
	struct hist_answer answer = *first_answer(made, o);
	answer.repeat = true;
	switch (random_below(random, 4)) {
	case 0:
		answer.value ^= 1;
		break;
	case 1:
		answer.version++;
		break;
	case 2:
		answer.sequence++;
		break;
	case 3:
		answer.status ^= 1;
		break;
	}
	return hist_answer(&made->history, o->index, &answer);
}

static bool two_authors(struct gen_plan *plan, struct random *random, struct gen_history *made)
{
	struct gen_operation *o = find(plan, random, is_answered_write);
	if (o == NULL)
		return false;
	struct hist_answer *one = first_answer(made, o);
	for (uint32_t i = 0; i < made->history.answers; i++) {
		struct hist_answer *other = &made->answers[i];
		bool primary = other->status == CLI_OK || other->status == CLI_REJECTED;
		if (!primary || other == one || other->epoch != one->epoch)
			continue;
		one->node = 3;
		return true;
	}
	return false;
}

static bool two_assets(const struct gen_operation *a, const struct gen_operation *b)
{
	return is_answered_write(a) && is_answered_write(b) &&
	       a->asked.asset_id != b->asked.asset_id;
}

static void set_sequence(struct gen_history *made, const struct gen_operation *o, uint64_t sequence)
{
	FOR_ANSWERS(made, o, answer)
	answer->sequence = sequence;
}

static bool sequence_twice(struct gen_plan *plan, struct random *random, struct gen_history *made)
{
	struct gen_operation *pair[2];
	if (!find_pair(plan, random, two_assets, pair))
		return false;
	set_sequence(made, pair[0], pair[1]->answer.sequence);
	return true;
}

static bool both_updated(const struct gen_operation *a, const struct gen_operation *b)
{
	return is_ok_write(a) && is_ok_write(b) && a->asked.asset_id == b->asked.asset_id;
}

static void swap_sequences(struct gen_history *made, struct gen_operation *pair[2])
{
	set_sequence(made, pair[0], pair[1]->answer.sequence);
	set_sequence(made, pair[1], pair[0]->answer.sequence);
}

static bool sequence_falls(struct gen_plan *plan, struct random *random, struct gen_history *made)
{
	struct gen_operation *pair[2];
	if (!find_pair(plan, random, both_updated, pair))
		return false;
	swap_sequences(made, pair);
	return true;
}

static bool apart_in_time(const struct gen_operation *a, const struct gen_operation *b)
{
	return two_assets(a, b) && a->return_ns < b->asked.invoked_ns && a->repeats == 0;
}

static bool assets_disagree(struct gen_plan *plan, struct random *random, struct gen_history *made)
{
	struct gen_operation *pair[2];
	if (!find_pair(plan, random, apart_in_time, pair))
		return false;
	swap_sequences(made, pair);
	return true;
}

static bool both_first_hand(const struct gen_operation *a, const struct gen_operation *b)
{
	return is_answered_write(a) && is_answered_write(b) && !a->answer.repeat &&
	       !b->answer.repeat && a->answer.sequence < b->answer.sequence;
}

static bool epoch_falls(struct gen_plan *plan, struct random *random, struct gen_history *made)
{
	struct gen_operation *pair[2];
	if (!find_pair(plan, random, both_first_hand, pair))
		return false;
	FOR_ANSWERS(made, pair[0], answer)
	{
		answer->epoch = pair[1]->answer.epoch + 50;
		answer->node = (uint8_t)(3 - pair[1]->answer.node);
	}
	return true;
}

static bool sent_after(const struct gen_operation *a, const struct gen_operation *b)
{
	return is_answered(a) && is_answered(b) && a->repeats == 0 && b->repeats == 0 &&
	       !a->answer.repeat && !b->answer.repeat && a->return_ns < b->asked.invoked_ns;
}

/* An answer of an epoch that was over when the request was sent. */
static bool
epoch_falls_in_time(struct gen_plan *plan, struct random *random, struct gen_history *made)
{
	struct gen_operation *pair[2];
	if (!find_pair(plan, random, sent_after, pair))
		return false;
	FOR_ANSWERS(made, pair[1], answer)
	{
		answer->epoch = pair[0]->answer.epoch - 1;
		answer->node = pair[0]->answer.node;
	}
	return true;
}

static bool number_twice(struct gen_plan *plan, struct random *random, struct gen_history *made)
{
	uint32_t count = made->history.operations;
	uint32_t a = (uint32_t)random_below(random, count),
		 b = (uint32_t)random_below(random, count);
	made->operations[a].client_id = made->operations[b].client_id;
	made->operations[a].request_seq = made->operations[b].request_seq;
	return a != b;
}

/* The end is as it was just before an acknowledged update. */
static bool end_without_it(struct gen_plan *plan, struct random *random, struct gen_history *made)
{
	struct gen_operation *o = find(plan, random, is_ok_write);
	if (o == NULL || plan->finals == 0)
		return false;
	for (uint32_t i = 0; i < made->history.finals; i++) {
		struct hist_final *final = &made->finals[i];
		if (final->asset_id == o->asked.asset_id) {
			final->version = o->answer.version - 1;
			final->sequence = 0;
		}
	}
	return true;
}

static bool end_other_value(struct gen_plan *plan, struct random *random, struct gen_history *made)
{
	uint64_t asset_id = 1 + random_below(random, plan->assets);
	for (uint32_t i = 0; i < made->history.finals; i++) {
		if (made->finals[i].asset_id == asset_id)
			made->finals[i].value ^= 1;
	}
	return plan->finals > 0;
}

static bool ends_differ(struct gen_plan *plan, struct random *random, struct gen_history *made)
{
	if (plan->finals < 2)
		return false;
	struct hist_final *final = &made->finals[random_below(random, made->history.finals)];
	if (random_below(random, 2) == 0)
		final->value ^= 1;
	else
		final->version++;
	return true;
}

const struct mutation mutations[] = {
	{"acknowledged update lost", lose_update, NULL, ORDER, false},
	{"applied twice", apply_twice, NULL, ORDER, false},
	{"unknown outcome applied twice", apply_unknown_twice, NULL, ORDER, false},
	{"retry applied again", answer_twice, differed_when_applied_again, BIT(REPEAT), true},
	{"repeat differs", NULL, repeat_differs, BIT(REPEAT), true},
	{"answer of an old primary", answer_from_old_primary, NULL, ORDER, false},
	{"tail forgotten at failover", forget_a_tail, NULL, ORDER, false},
	{"reordered in real time", reorder, NULL, ORDER, false},
	{"version skipped", skip_version, NULL, ORDER, false},
	{"update from nowhere", invent_update, NULL, ORDER, false},
	{"stale read", read_the_past, NULL, ORDER, false},
	{"read from the future", read_the_future, NULL, ORDER, false},
	{"read of another value", NULL, read_other_value, ORDER, false},
	{"value off by one", NULL, answer_off_by_one, ORDER, false},
	{"CAS accepted wrongly", accept_wrong_cas, NULL, ORDER, false},
	{"CAS refused wrongly", refuse_right_cas, was_refused_wrongly, BIT(REJECTED), true},
	{"end without an acknowledged one", NULL, end_without_it, BIT(LOST), true},
	{"end with another value", NULL, end_other_value, ORDER, false},
	{"nodes end differently", NULL, ends_differ, BIT(FINALS_DIFFER), true},
	{"epoch with two authors", NULL, two_authors, BIT(AUTHOR), true},
	{"epoch falls with sequence", NULL, epoch_falls, BIT(EPOCH), true},
	{"epoch falls with time", NULL, epoch_falls_in_time, BIT(EPOCH), true},
	{"sequence twice", NULL, sequence_twice, BIT(SEQUENCE_TWICE), true},
	{"sequences fall with version", NULL, sequence_falls, BIT(SEQUENCE_ORDER), true},
	{"sequences against real time", NULL, assets_disagree, BIT(SEQUENCE_ORDER), true},
	{"request number twice", NULL, number_twice, BIT(NUMBER), true},
};
const uint32_t mutation_count = sizeof(mutations) / sizeof(mutations[0]);
