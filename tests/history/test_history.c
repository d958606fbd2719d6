/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The checkers against histories whose truth is known: correct ones, wrong ones of each kind, and
 * random ones on which two independent checkers must agree.
 */
#include "tests/history/format.h"
#include "tests/history/mutations.h"
#include "tests/unit/unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define CORRECT 12000
#define MUTATED 500 /* of each kind */
#define TWISTED 12000

static struct hist_checker *checker;
static struct gen_plan plan;
static struct gen_history made;
static uint64_t seed;

static bool linearizable(const struct hist_verdict *verdict)
{
	for (uint32_t kind = 0; kind < HIST_KINDS; kind++) {
		if (hist_kind_linearizable(kind) && verdict->counts[kind] > 0)
			return false;
	}
	return true;
}

static void show(const struct hist_verdict *verdict, const char *title, uint64_t number)
{
	char text[1000];
	printf("%s %" PRIu64 ": %" PRIu64 " violations\n", title, number, verdict->violations);
	for (uint32_t i = 0; i < verdict->shown_count; i++) {
		hist_describe(&made.history, &verdict->shown[i], text, sizeof(text));
		printf("  %s\n", text);
	}
	if (getenv("HISTORY_DUMP") != NULL)
		hist_print(&made.history, stdout);
}

static void check(struct hist_verdict *versions, struct hist_verdict *search)
{
	memset(versions, 0, sizeof(*versions));
	memset(search, 0, sizeof(*search));
	hist_check_versions(checker, &made.history, versions);
	hist_check_search(checker, &made.history, false, search);
}

/* --- No false alarm --- */

static void check_when_history_is_correct_then_both_accept(void **state)
{
	struct hist_verdict versions, search, values;
	uint64_t operations = 0, gaps = 0, states = 0, unknown = 0;
	for (uint64_t i = 0; i < CORRECT; i++) {
		struct random random = random_seeded(seed + i);
		gen_draw(&plan, &random);
		gen_run(&plan, &random, &made);
		check(&versions, &search);
		memset(&values, 0, sizeof(values));
		hist_check_search(checker, &made.history, true, &values);
		if (!hist_good(&versions) || !hist_good(&search) || values.violations > 0) {
			show(&versions, "correct history refused by versions", i);
			show(&search, "by search", i);
			show(&values, "by search of values only", i);
			fail();
		}
		assert_int_equal(search.too_large, 0);
		operations += made.history.operations;
		unknown += versions.unknown;
		gaps += versions.gaps;
		states += search.states;
	}
	printf("%d correct histories: %" PRIu64 " operations, %" PRIu64 " unknown, %" PRIu64
	       " gaps filled, %" PRIu64 " states searched\n",
	       CORRECT,
	       operations,
	       unknown,
	       gaps,
	       states);
	assert_true(gaps > CORRECT);
}

/* --- Every canary is caught --- */

struct canary_row {
	uint32_t made;
	uint32_t wrong;
	uint32_t caught;
	uint32_t by_search;
	uint32_t undecided;
	uint64_t kinds[HIST_KINDS];
};

static void judge(const struct mutation *m, struct canary_row *row, uint64_t number)
{
	struct hist_verdict versions, search;
	uint64_t bits = 0;
	check(&versions, &search);
	row->made++;
	bool refused = search.violations > 0;
	if (versions.gave_up > 0 || (search.gave_up > 0 && !refused && !m->certain)) {
		row->undecided++;
		return;
	}
	bool wrong = m->certain || refused;
	for (uint32_t kind = 0; kind < HIST_KINDS; kind++) {
		if (versions.counts[kind] > 0)
			bits |= 1ull << kind;
		row->kinds[kind] += versions.counts[kind] > 0 ? 1 : 0;
	}
	row->wrong += wrong ? 1 : 0;
	row->by_search += refused ? 1 : 0;
	row->caught += wrong && (bits & m->claims) != 0 ? 1 : 0;
	bool agreed = linearizable(&versions) == !refused;
	if ((wrong && (bits & m->claims) == 0) || !agreed) {
		show(&versions, m->name, number);
		show(&search, "by search", number);
		fail();
	}
}

static void show_row(const struct mutation *m, const struct canary_row *row)
{
	printf("%-32s %5u %5u %6u %6u %4u ",
	       m->name,
	       row->made,
	       row->wrong,
	       row->caught,
	       row->by_search,
	       row->undecided);
	uint32_t best = 0;
	for (uint32_t kind = 0; kind < HIST_KINDS; kind++) {
		if (row->kinds[kind] > row->kinds[best])
			best = kind;
	}
	printf(" %s\n", hist_kind_name(best));
}

static void check_when_history_is_mutated_then_who_claims_it_catches_it(void **state)
{
	printf("%-32s %5s %5s %6s %6s %4s  %s\n",
	       "canary",
	       "made",
	       "wrong",
	       "caught",
	       "search",
	       "open",
	       "most often as");
	for (uint32_t k = 0; k < mutation_count; k++) {
		const struct mutation *m = &mutations[k];
		struct canary_row row = {0};
		for (uint64_t i = 0; row.made < MUTATED && i < 20 * MUTATED; i++) {
			struct random random = random_seeded(seed + 1000 * k + i);
			gen_draw(&plan, &random);
			if (m->plan != NULL && !m->plan(&plan, &random))
				continue;
			gen_run(&plan, &random, &made);
			if (m->edit == NULL || m->edit(&plan, &random, &made))
				judge(m, &row, i);
		}
		show_row(m, &row);
		assert_int_equal(row.made, MUTATED);
		assert_int_equal(row.caught, row.wrong);
		assert_true(row.wrong >= MUTATED / 5);
		assert_true(row.undecided <= MUTATED / 100);
	}
}

/* --- Agreement --- */

static void twist_answer(struct random *random)
{
	if (made.history.answers == 0)
		return;
	struct hist_answer *a = &made.answers[random_below(random, made.history.answers)];
	uint64_t shift = random_below(random, 100);
	switch (random_below(random, 6)) {
	case 0:
		a->value ^= (int64_t)random_below(random, 2);
		break;
	case 1:
		a->version += random_below(random, 2) == 0 ? 1 : a->version > 0 ? -1 : 0;
		break;
	case 2:
		a->returned_ns -= shift < a->returned_ns ? shift : 0;
		break;
	case 3:
		a->status = CLI_BUSY; /* as if it had been lost */
		break;
	case 4:
		a->reason = (uint16_t)random_below(random, 4);
		break;
	case 5:
		a->status = (uint8_t)random_below(random, 2);
		break;
	}
}

static void twist(struct random *random)
{
	struct hist_operation *o = &made.operations[random_below(random, made.history.operations)];
	switch (random_below(random, 6)) {
	case 0:
		o->argument[random_below(random, 2)] ^= (int64_t)random_below(random, 2);
		return;
	case 1:
		o->invoked_ns += random_below(random, 60);
		return;
	case 2:
		if (o->opcode != CLI_REGISTER_GET)
			o->opcode = CLI_REGISTER_ADD;
		return;
	default:
		twist_answer(random);
	}
}

static void check_when_histories_are_random_then_both_agree(void **state)
{
	struct hist_verdict versions, search, values;
	uint32_t refused = 0, undecided = 0;
	for (uint64_t i = 0; i < TWISTED; i++) {
		struct random random = random_seeded(seed ^ (i << 20));
		gen_draw(&plan, &random);
		gen_run(&plan, &random, &made);
		for (uint64_t n = 1 + random_below(&random, 3); n > 0; n--)
			twist(&random);
		check(&versions, &search);
		memset(&values, 0, sizeof(values));
		hist_check_search(checker, &made.history, true, &values);
		if (versions.gave_up > 0 || search.gave_up > 0) {
			undecided++;
			continue;
		}
		bool accepted = search.violations == 0;
		refused += accepted ? 0 : 1;
		/* What a register with versions can do, one without them can. */
		bool weaker = !accepted || values.violations == 0;
		if (linearizable(&versions) != accepted || !weaker) {
			show(&versions, "by versions", i);
			show(&search, "by search", i);
			show(&values, "by search of values only", i);
			fail();
		}
	}
	printf("%d random histories: both refuse %u, accept %u, undecided %u\n",
	       TWISTED,
	       refused,
	       TWISTED - refused - undecided,
	       undecided);
	assert_true(refused > TWISTED / 4 && TWISTED - refused > TWISTED / 10);
	assert_true(undecided < TWISTED / 100);
}

/* --- Text --- */

static void print_when_read_again_then_is_the_same_history(void **state)
{
	static struct gen_history copy;
	struct hist_room room = {
		copy.operations,
		copy.answers,
		copy.finals,
		GEN_OPERATIONS,
		GEN_ANSWERS,
		GEN_FINALS,
	};
	for (uint64_t i = 0; i < 200; i++) {
		struct random random = random_seeded(seed + i);
		char *first, *second, error[200] = "";
		size_t first_bytes, second_bytes;
		gen_draw(&plan, &random);
		gen_run(&plan, &random, &made);
		FILE *file = open_memstream(&first, &first_bytes);
		hist_print(&made.history, file);
		fclose(file);
		char *text = strdup(first);
		hist_init(&copy.history, &room);
		if (!hist_parse(&copy.history, text, first_bytes, error, sizeof(error)))
			fail_msg("%s", error);
		file = open_memstream(&second, &second_bytes);
		hist_print(&copy.history, file);
		fclose(file);
		assert_string_equal(first, second);
		assert_int_equal(copy.history.answers, made.history.answers);
		free(first);
		free(second);
		free(text);
	}
}

/* --- Limits --- */

static void append_when_no_room_is_left_then_is_counted_and_not_good(void **state)
{
	struct hist_operation operations[1], operation = {.opcode = CLI_REGISTER_ADD};
	struct hist_answer answers[1], answer = {.returned_ns = 1, .sequence = 1, .version = 1};
	struct hist_room room = {.operations = operations, .answers = answers};
	struct hist_history history;
	struct hist_verdict verdict = {0};
	room.max_operations = room.max_answers = 1;
	hist_init(&history, &room);
	assert_int_equal(hist_invoke(&history, &operation), 0);
	assert_int_equal(hist_invoke(&history, &operation), HIST_NONE);
	assert_false(hist_answer(&history, HIST_NONE, &answer));
	assert_true(hist_answer(&history, 0, &answer));
	assert_false(hist_answer(&history, 0, &answer));
	assert_int_equal(history.dropped, 3);
	hist_check_versions(checker, &history, &verdict);
	assert_int_equal(verdict.counts[HIST_INCOMPLETE], 1);
	assert_int_equal(verdict.violations, 1);
}

static void check_when_history_exceeds_limits_then_is_incomplete(void **state)
{
	struct hist_limits limits = {.operations = 1, .answers = 1, .finals = 1};
	struct hist_checker *small = hist_checker_new(&limits);
	struct random random = random_seeded(seed);
	struct hist_verdict verdict = {0};
	gen_draw(&plan, &random);
	gen_run(&plan, &random, &made);
	hist_check_versions(small, &made.history, &verdict);
	hist_check_search(small, &made.history, false, &verdict);
	assert_int_equal(verdict.counts[HIST_INCOMPLETE], 2);
	assert_false(hist_good(&verdict));
	hist_checker_free(small);
}

/* Forty unknown additions of different powers, and a sum: which of them it was is a hard question.
 */
static void check_when_limit_of_work_is_reached_then_says_so(void **state)
{
	struct hist_limits limits = {
		.operations = 64,
		.answers = 64,
		.finals = 4,
		.gap_steps = 2000,
		.search_states = 2000,
	};
	struct hist_checker *small = hist_checker_new(&limits);
	struct hist_verdict versions = {0}, search = {0};
	struct hist_room room = {
		made.operations,
		made.answers,
		made.finals,
		GEN_OPERATIONS,
		GEN_ANSWERS,
		GEN_FINALS,
	};
	hist_init(&made.history, &room);
	for (int i = 0; i < 40; i++) {
		struct hist_operation operation = {
			.client_id = 1,
			.request_seq = 1 + (uint64_t)i,
			.asset_id = 1,
			.argument = {2 * (1000 + i * i * 37)},
			.opcode = CLI_REGISTER_ADD,
		};
		hist_invoke(&made.history, &operation);
	}
	struct hist_final final = {.asset_id = 1, .version = 20, .value = 1000001};
	hist_final(&made.history, &final);
	hist_check_versions(small, &made.history, &versions);
	hist_check_search(small, &made.history, false, &search);
	assert_int_equal(versions.violations + search.violations, 0);
	assert_int_equal(versions.gave_up, 1);
	assert_int_equal(search.gave_up, 1);
	assert_false(hist_good(&versions) || hist_good(&search));
	hist_checker_free(small);
}

/* An unknown SET of this value, and an ADD of this delta that was refused after it for overflow. */
static bool explains(int64_t value, int64_t delta)
{
	struct hist_verdict versions, search;
	struct hist_room room = {
		made.operations,
		made.answers,
		made.finals,
		GEN_OPERATIONS,
		GEN_ANSWERS,
		GEN_FINALS,
	};
	struct hist_operation set = {.opcode = CLI_REGISTER_SET, .argument = {value}};
	struct hist_operation add = {
		.opcode = CLI_REGISTER_ADD,
		.argument = {delta},
		.request_seq = 1,
	};
	struct hist_answer refused = {
		.returned_ns = 9,
		.sequence = 2,
		.version = 1,
		.status = CLI_REJECTED,
		.reason = CLI_REGISTER_OVERFLOW,
	};
	hist_init(&made.history, &room);
	hist_invoke(&made.history, &set);
	hist_answer(&made.history, hist_invoke(&made.history, &add), &refused);
	check(&versions, &search);
	assert_int_equal(versions.violations == 0, search.violations == 0);
	return versions.violations == 0;
}

static void check_when_an_overflow_is_refused_then_value_was_that_far(void **state)
{
	assert_true(explains(INT64_MAX, 1));
	assert_false(explains(INT64_MAX - 1, 1));
	assert_true(explains(1, INT64_MAX));
	assert_false(explains(0, INT64_MAX));
	assert_true(explains(INT64_MIN, -1));
	assert_false(explains(INT64_MIN + 1, -1));
	assert_true(explains(-1, INT64_MIN));
	assert_false(explains(0, INT64_MIN));
	assert_false(explains(INT64_MAX, 0));
}

/* A failover that leaves many requests unanswered at once: additions of a few values, of which some
 * took place. There are very many orders, but few sums. */
static void check_when_a_burst_is_unknown_then_is_decided(void **state)
{
	struct hist_room room = {
		made.operations,
		made.answers,
		made.finals,
		GEN_OPERATIONS,
		GEN_ANSWERS,
		GEN_FINALS,
	};
	for (int wrong = 0; wrong < 2; wrong++) {
		struct hist_verdict verdict = {0};
		hist_init(&made.history, &room);
		for (int i = 0; i < 60; i++) {
			struct hist_operation operation = {
				.client_id = 1,
				.request_seq = 1 + (uint64_t)i,
				.asset_id = 1,
				.argument = {2 * (1 + i % 3)},
				.opcode = CLI_REGISTER_ADD,
			};
			hist_invoke(&made.history, &operation);
		}
		struct hist_final final = {.asset_id = 1, .version = 40, .value = 160 + wrong};
		hist_final(&made.history, &final);
		hist_check_versions(checker, &made.history, &verdict);
		assert_int_equal(verdict.gave_up, 0);
		assert_int_equal(verdict.counts[HIST_GAP], wrong);
	}
}

/* A version from nowhere must not become a loop over all of them, nor an index. */
static void check_when_version_is_absurd_then_is_a_gap(void **state)
{
	struct hist_verdict verdict = {0};
	struct hist_room room = {
		made.operations,
		made.answers,
		made.finals,
		GEN_OPERATIONS,
		GEN_ANSWERS,
		GEN_FINALS,
	};
	struct hist_operation operation = {.opcode = CLI_REGISTER_ADD, .argument = {1}};
	struct hist_answer answer = {.returned_ns = 9, .sequence = 1, .value = 1, .epoch = 2};
	for (int i = 0; i < 3; i++) {
		static const uint64_t versions[] = {UINT64_MAX, UINT64_MAX - 1, 1ull << 40};
		hist_init(&made.history, &room);
		answer.version = versions[i];
		hist_answer(&made.history, hist_invoke(&made.history, &operation), &answer);
		hist_check_versions(checker, &made.history, &verdict);
		assert_int_equal(verdict.counts[HIST_GAP], i + 1);
	}
}

/* --- Size --- */

static double now_s(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

struct shape {
	uint32_t lost_in;   /* one request in so many has no answer */
	uint32_t undone_in; /* of those, one in so many has no effect */
	uint32_t values;
	const char *name;
};

/* One client pipelines on a few assets. */
static void long_history(struct hist_history *history, uint32_t count, const struct shape *shape)
{
	int64_t value[8] = {0};
	uint64_t version[8] = {0};
	struct random random = random_seeded(seed);
	history->operations = history->answers = 0;
	for (uint32_t i = 0; i < count; i++) {
		uint64_t asset = random_below(&random, 8);
		struct hist_operation operation = {
			.client_id = 1,
			.request_seq = i + 1,
			.asset_id = asset,
			.invoked_ns = 10 * i,
			.argument = {(int64_t)random_below(&random, shape->values)},
			.opcode =
				random_below(&random, 4) == 0 ? CLI_REGISTER_SET : CLI_REGISTER_ADD,
		};
		uint32_t index = hist_invoke(history, &operation);
		bool lost = random_below(&random, shape->lost_in) == 0;
		if (lost && random_below(&random, shape->undone_in) == 0)
			continue;
		value[asset] = operation.argument[0] +
			       (operation.opcode == CLI_REGISTER_SET ? 0 : value[asset]);
		struct hist_answer answer = {
			.returned_ns = 10 * i + random_below(&random, 300),
			.sequence = i + 1,
			.version = ++version[asset],
			.value = value[asset],
			.epoch = 2,
			.node = 1,
		};
		if (!lost)
			hist_answer(history, index, &answer);
	}
}

static void check_long(
	struct hist_checker *large,
	struct hist_history *history,
	uint32_t count,
	const struct shape *shape
)
{
	struct hist_verdict verdict = {0};
	long_history(history, count, shape);
	double start = now_s();
	hist_check_versions(large, history, &verdict);
	printf("%u operations, %s: %.3f s, %" PRIu64 " unknown, %" PRIu64
	       " gaps filled, gave up on %" PRIu64 " assets\n",
	       count,
	       shape->name,
	       now_s() - start,
	       verdict.unknown,
	       verdict.gaps,
	       verdict.gave_up);
	/* Which of many unknown ones it was may be too hard for the limit, with some seeds. */
	assert_int_equal(verdict.violations, 0);
	assert_true(verdict.gave_up <= (shape->lost_in < 100 ? 1 : 0));
	assert_true(verdict.gaps > count / shape->lost_in / 3);
	history->room.answers[count / 2].value ^= 1;
	memset(&verdict, 0, sizeof(verdict));
	hist_check_versions(large, history, &verdict);
	assert_true(verdict.counts[HIST_VALUE] >= 1);
}

static void check_when_history_is_long_then_takes_little_time(void **state)
{
	static const struct shape shapes[] = {
		{200, UINT32_MAX, 1000, "few lost"},
		{100, UINT32_MAX, 1000, "all lost ones applied"},
		{100, 2, 1000, "half of the lost ones applied"},
		{20, 2, 1000000, "many lost, far values"},
		{20, 2, 2, "many lost, near values"},
		{20, 2, 50, "many lost, fifty values"},
	};
	uint32_t count = 200000;
	struct hist_limits limits = {.operations = count, .answers = count, .finals = 0};
	struct hist_checker *large = hist_checker_new(&limits);
	struct hist_room room = {
		.operations = calloc(count, sizeof(struct hist_operation)),
		.answers = calloc(count, sizeof(struct hist_answer)),
		.max_operations = count,
		.max_answers = count,
	};
	struct hist_history history;
	hist_init(&history, &room);
	for (uint32_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++)
		check_long(large, &history, count, &shapes[i]);
	free(room.operations);
	free(room.answers);
	hist_checker_free(large);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(check_when_history_is_correct_then_both_accept),
		cmocka_unit_test(check_when_history_is_mutated_then_who_claims_it_catches_it),
		cmocka_unit_test(check_when_histories_are_random_then_both_agree),
		cmocka_unit_test(print_when_read_again_then_is_the_same_history),
		cmocka_unit_test(append_when_no_room_is_left_then_is_counted_and_not_good),
		cmocka_unit_test(check_when_history_exceeds_limits_then_is_incomplete),
		cmocka_unit_test(check_when_limit_of_work_is_reached_then_says_so),
		cmocka_unit_test(check_when_an_overflow_is_refused_then_value_was_that_far),
		cmocka_unit_test(check_when_a_burst_is_unknown_then_is_decided),
		cmocka_unit_test(check_when_version_is_absurd_then_is_a_gap),
		cmocka_unit_test(check_when_history_is_long_then_takes_little_time),
	};
	struct hist_limits limits = {
		.operations = GEN_OPERATIONS,
		.answers = GEN_ANSWERS,
		.finals = GEN_FINALS,
	};
	seed = random_test_seed("test_history", 1);
	checker = hist_checker_new(&limits);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
