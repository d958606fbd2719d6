/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The pure parts of routing: policies, health, the rate bound, and which node a pair's name means.
 */
#include "control/routing/pair.h"
#include "control/routing/policy.h"
#include "control/routing/rate.h"
#include "tests/unit/random.h"
#include "tests/unit/unit.h"

#include <stdlib.h>
#include <string.h>

#define NONE CTL_ROUTE_NONE
#define MS 1000000ull
#define SECOND 1000000000ull

static struct ctl_route route_of(enum ctl_route_policy policy, uint32_t count)
{
	struct ctl_route route;
	assert_true(ctl_route_init(&route, policy, count, 7));
	return route;
}

static void init_when_out_of_range_is_refused(void **state)
{
	struct ctl_route route = {.random = 42}, before = route;
	(void)state;
	assert_false(ctl_route_init(&route, CTL_ROUTE_FAILOVER, 0, 1));
	assert_false(ctl_route_init(&route, CTL_ROUTE_FAILOVER, 3, 1));
	assert_false(ctl_route_init(&route, CTL_ROUTE_WEIGHTED, CTL_ROUTE_ENDPOINTS_MAX + 1, 1));
	assert_false(ctl_route_init(&route, CTL_ROUTE_POLICIES, 1, 1));
	assert_memory_equal(&route, &before, sizeof(route));
	assert_true(ctl_route_init(&route, CTL_ROUTE_ALTERNATE, CTL_ROUTE_ENDPOINTS_MAX, 1));
	assert_false(ctl_route_switch_to(&route, 0)); /* failover only */
	assert_false(ctl_route_set_offline(&route, CTL_ROUTE_ENDPOINTS_MAX, true));
	assert_false(ctl_route_set_weight(&route, CTL_ROUTE_ENDPOINTS_MAX, 1));
	assert_false(ctl_route_set_healthy(&route, CTL_ROUTE_ENDPOINTS_MAX, true));
}

/* Every state of two endpoints: health, offline, switched. */
static void failover_when_in_any_state_follows_the_table(void **state)
{
	static const struct {
		const char *healthy, *offline; /* which of them */
		int preferred, pick;
	} table[] = {
		{"01", "", 0, 0},      {"1", "", 0, 1},	    {"0", "", 0, 0},	  {"", "", 0, 0},
		{"01", "", 1, 1},      {"1", "", 1, 1},	    {"0", "", 1, 0},	  {"", "", 1, 1},
		{"01", "0", 0, 1},     {"1", "0", 0, 1},    {"0", "0", 0, 1},	  {"", "0", 0, 1},
		{"01", "1", 0, 0},     {"1", "1", 0, 0},    {"0", "1", 0, 0},	  {"", "1", 0, 0},
		{"01", "0", 1, 1},     {"0", "0", 1, 1},    {"01", "1", 1, 0},	  {"1", "1", 1, 0},
		{"01", "01", 0, NONE}, {"", "01", 1, NONE}, {"0", "01", 1, NONE},
	};
	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		struct ctl_route route = route_of(CTL_ROUTE_FAILOVER, 2);
		for (uint32_t k = 0; k < 2; k++) {
			ctl_route_set_healthy(
				&route, k, strchr(table[i].healthy, '0' + (int)k) != NULL
			);
			ctl_route_set_offline(
				&route, k, strchr(table[i].offline, '0' + (int)k) != NULL
			);
		}
		assert_true(ctl_route_switch_to(&route, (uint32_t)table[i].preferred));
		for (int again = 0; again < 3; again++) {
			if (ctl_route_pick(&route) != table[i].pick)
				fail_msg("row %zu", i);
			ctl_route_accepted(&route, table[i].pick); /* nothing to it */
		}
	}
}

static void failover_when_alone_is_picked_also_unhealthy(void **state)
{
	struct ctl_route route = route_of(CTL_ROUTE_FAILOVER, 1);
	(void)state;
	ctl_route_set_healthy(&route, 0, false);
	assert_int_equal(ctl_route_pick(&route), 0);
	assert_false(ctl_route_switch_to(&route, 1));
	ctl_route_set_offline(&route, 0, true);
	assert_int_equal(ctl_route_pick(&route), NONE);
}

static void alternate_when_accepted_only_then_moves_on(void **state)
{
	struct ctl_route route = route_of(CTL_ROUTE_ALTERNATE, 2);
	(void)state;
	for (int i = 0; i < 10; i++) {
		for (int repeat = 0; repeat < 3; repeat++)
			assert_int_equal(ctl_route_pick(&route), i % 2);
		ctl_route_accepted(&route, NONE);
		ctl_route_accepted(&route, 2);
		assert_int_equal(ctl_route_pick(&route), i % 2);
		ctl_route_accepted(&route, i % 2);
	}
}

static void alternate_when_one_is_offline_skips_it_and_keeps_the_order(void **state)
{
	struct ctl_route route = route_of(CTL_ROUTE_ALTERNATE, 3);
	static const int expected[] = {0, 2, 0, 2};
	(void)state;
	ctl_route_set_offline(&route, 1, true);
	for (size_t i = 0; i < 4; i++) {
		assert_int_equal(ctl_route_pick(&route), expected[i]);
		ctl_route_accepted(&route, expected[i]);
	}
	ctl_route_set_offline(&route, 1, false);
	assert_int_equal(ctl_route_pick(&route), 0);
	ctl_route_accepted(&route, 0);
	assert_int_equal(ctl_route_pick(&route), 1);
	/* Strict: health is not its affair. */
	ctl_route_set_healthy(&route, 1, false);
	assert_int_equal(ctl_route_pick(&route), 1);
	for (uint32_t i = 0; i < 3; i++)
		ctl_route_set_offline(&route, i, true);
	assert_int_equal(ctl_route_pick(&route), NONE);
}

#define DRAWS 60000
/* Each endpoint gets its share of so many draws, within five standard deviations. */
static void expect_shares(struct ctl_route *route, const double *shares)
{
	uint32_t counts[CTL_ROUTE_ENDPOINTS_MAX] = {0};
	for (uint32_t i = 0; i < DRAWS; i++) {
		int pick = ctl_route_pick(route);
		assert_in_range(pick, 0, route->count - 1);
		counts[pick]++;
	}
	for (uint32_t i = 0; i < route->count; i++) {
		double expected = DRAWS * shares[i], off = (double)counts[i] - expected;
		double variance = DRAWS * shares[i] * (1 - shares[i]);
		if (off * off > 25 * variance + 0.5)
			fail_msg(
				"endpoint %u: %u of %u, %g expected", i, counts[i], DRAWS, expected
			);
	}
}

static void weighted_when_in_any_state_draws_by_route_53s_rules(void **state)
{
	static const struct {
		uint32_t weights[3];
		const char *healthy, *offline;
		double shares[3];
	} table[] = {
		{{1, 1, 1}, "012", "", {1 / 3., 1 / 3., 1 / 3.}},
		{{1, 3, 0}, "012", "", {.25, .75, 0}},
		{{1, 3, 4}, "02", "", {.2, 0, .8}},
		/* Weight 0 only when all others are unhealthy. */
		{{1, 3, 0}, "02", "", {1, 0, 0}},
		{{1, 3, 0}, "2", "", {0, 0, 1}},
		{{5, 0, 0}, "12", "", {0, .5, .5}},
		/* All unhealthy counts as all healthy. */
		{{1, 3, 0}, "", "", {.25, .75, 0}},
		/* All weights 0: all alike. */
		{{0, 0, 0}, "012", "", {1 / 3., 1 / 3., 1 / 3.}},
		{{0, 0, 0}, "", "", {1 / 3., 1 / 3., 1 / 3.}},
		{{0, 0, 0}, "12", "", {0, .5, .5}},
		/* Offline is weight 0 and more. */
		{{1, 3, 4}, "012", "1", {.2, 0, .8}},
		{{1, 3, 0}, "012", "01", {0, 0, 1}},
		{{1, 3, 4}, "0", "0", {0, 3 / 7., 4 / 7.}},
		{{1, 3, 4}, "", "02", {0, 1, 0}},
		{{UINT32_MAX, UINT32_MAX, 0}, "012", "", {.5, .5, 0}},
	};
	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		struct ctl_route route = route_of(CTL_ROUTE_WEIGHTED, 3);
		for (uint32_t k = 0; k < 3; k++) {
			ctl_route_set_weight(&route, k, table[i].weights[k]);
			ctl_route_set_healthy(
				&route, k, strchr(table[i].healthy, '0' + (int)k) != NULL
			);
			ctl_route_set_offline(
				&route, k, strchr(table[i].offline, '0' + (int)k) != NULL
			);
		}
		expect_shares(&route, table[i].shares);
	}
}

static void weighted_when_all_are_offline_picks_none(void **state)
{
	struct ctl_route route = route_of(CTL_ROUTE_WEIGHTED, 2);
	(void)state;
	ctl_route_set_offline(&route, 0, true);
	ctl_route_set_offline(&route, 1, true);
	assert_int_equal(ctl_route_pick(&route), NONE);
}

static void weighted_when_seeded_alike_draws_alike(void **state)
{
	struct ctl_route a = route_of(CTL_ROUTE_WEIGHTED, 8), b = a, other;
	uint32_t same = 0;
	(void)state;
	assert_true(ctl_route_init(&other, CTL_ROUTE_WEIGHTED, 8, 8));
	for (int i = 0; i < 1000; i++) {
		int pick = ctl_route_pick(&a);
		assert_int_equal(pick, ctl_route_pick(&b));
		same += pick == ctl_route_pick(&other);
	}
	assert_in_range(same, 60, 200); /* 125 of independent ones */
}

static void health_when_looks_disagree_turns_after_its_threshold(void **state)
{
	struct ctl_health health;
	(void)state;
	ctl_health_init(&health, true, 300 * MS, 500 * MS);
	assert_false(ctl_health_look(&health, false, 1000 * MS));
	assert_false(ctl_health_look(&health, false, 1299 * MS));
	assert_false(ctl_health_look(&health, true, 1299 * MS)); /* begins anew */
	assert_false(ctl_health_look(&health, false, 1400 * MS));
	assert_false(ctl_health_look(&health, false, 1699 * MS));
	assert_true(health.healthy);
	assert_true(ctl_health_look(&health, false, 1700 * MS));
	assert_false(health.healthy);
	assert_false(ctl_health_look(&health, false, 9000 * MS));
	assert_false(ctl_health_look(&health, true, 9000 * MS));
	assert_false(ctl_health_look(&health, true, 9499 * MS));
	assert_true(ctl_health_look(&health, true, 9500 * MS));
	assert_true(health.healthy);
}

static void health_when_without_threshold_turns_at_once(void **state)
{
	struct ctl_health health;
	(void)state;
	ctl_health_init(&health, false, 0, 0);
	assert_true(ctl_health_look(&health, true, 5));
	assert_true(ctl_health_look(&health, false, 5));
	assert_false(ctl_health_look(&health, false, 6));
}

/* --- The pair's name --- */

static void pair_when_in_any_state_names_who_serves(void **state)
{
	enum { DEAD = 1, TOLD = 2, HEARD = 4, RECORD1 = 8, OWN_PRIMARY = 16, OWN = 32, PEER = 64 };
	static const struct {
		int view;
		const char *
			answer; /* "a" is this node, "b" the peer; small: it serves, capital: not */
	} table[] = {
		{DEAD | TOLD | HEARD | OWN | OWN_PRIMARY, "?"},
		{TOLD | HEARD | OWN | OWN_PRIMARY, "a"},
		{TOLD | OWN | OWN_PRIMARY, "a"},		/* alone */
		{TOLD | HEARD | OWN | OWN_PRIMARY | PEER, "a"}, /* its own word comes first */
		{TOLD | HEARD | RECORD1 | PEER, "b"},		/* standby of a primary */
		{TOLD | HEARD | RECORD1, "B"},			/* whose primary is blocked */
		{TOLD | RECORD1 | PEER, "B"},			/* whose primary is silent */
		{TOLD | HEARD | OWN_PRIMARY, "A"},		/* blocked */
		{TOLD, "A"},					/* waits, and may be it */
		{TOLD | RECORD1, "B"},				/* waits for the other */
		{HEARD, "b"},					/* standby without a log */
		{0, "B"},
		{HEARD | OWN_PRIMARY, "A"}, /* blocked, without a log */
		{OWN | OWN_PRIMARY, "a"},
	};
	(void)state;
	for (size_t i = 0; i < 2 * sizeof(table) / sizeof(table[0]); i++) {
		int v = table[i / 2].view;
		uint8_t own = i & 1;
		struct ctl_pair_view view = {
			.is_alive = !(v & DEAD),
			.is_told = v & TOLD,
			.peer_is_heard = v & HEARD,
			.own_id = own,
			.record_primary = v & RECORD1 ? !own : own,
			.record_is_there = true,
			.own_is_primary = v & OWN_PRIMARY,
			.own_serves = v & OWN,
			.peer_serves = v & PEER,
		};
		struct ctl_pair_verdict verdict = ctl_pair_judge(&view);
		bool both = verdict.serves[0] && verdict.serves[1];
		bool any = verdict.serves[0] || verdict.serves[1];
		uint8_t named = any ? verdict.serves[1] : verdict.first;
		char answer[2] = {(char)((any ? 'a' : 'A') + (named != own)), 0};
		if (both || strcmp(verdict.is_silent ? "?" : answer, table[i / 2].answer) != 0)
			fail_msg("row %zu as node %u: %s", i / 2, own, answer);
	}
}

/* --- The rate bound --- */

static struct ctl_rate *rate_of(uint64_t per_source, uint64_t all)
{
	struct ctl_rate *rate = malloc(sizeof(*rate));
	assert_non_null(rate);
	ctl_rate_init(rate, per_source, all, 99);
	return rate;
}

/* Passed in so many seconds, at ten times the rate that is allowed; no two runs overlap. */
static uint32_t passed_of(struct ctl_rate *rate, uint32_t address, bool proven, uint32_t seconds)
{
	uint64_t refused;
	uint32_t passed = 0;
	static uint64_t now_ns = SECOND;
	for (uint64_t i = 0; i < seconds * 1000ull; i++, now_ns += MS)
		passed += ctl_rate_take(rate, address, proven, now_ns, &refused) == CTL_RATE_PASS;
	return passed;
}

static void rate_when_a_source_asks_too_often_gets_its_share(void **state)
{
	struct ctl_rate *rate = rate_of(100, 100000);
	(void)state;
	assert_in_range(passed_of(rate, 0x0a000001, false, 10), 1090, 1101);
	/* The same network of 256 addresses. */
	assert_in_range(passed_of(rate, 0x0a0000fe, false, 1), 90, 101);
	/* Others, and the same over a connection. */
	assert_in_range(passed_of(rate, 0x0a000101, false, 1), 190, 201);
	assert_in_range(passed_of(rate, 0x0a000001, true, 1), 190, 201);
	free(rate);
}

static void rate_when_refused_counts_in_a_row(void **state)
{
	struct ctl_rate *rate = rate_of(1, 1000);
	uint64_t refused;
	(void)state;
	assert_int_equal(ctl_rate_take(rate, 1, false, SECOND, &refused), CTL_RATE_PASS);
	assert_int_equal(refused, 0);
	for (uint64_t i = 1; i < 5; i++) {
		assert_int_equal(ctl_rate_take(rate, 1, false, SECOND, &refused), CTL_RATE_SOURCE);
		assert_int_equal(refused, i);
	}
	assert_int_equal(ctl_rate_take(rate, 1, false, 2 * SECOND, &refused), CTL_RATE_PASS);
	free(rate);
}

/* Sources without end, as a sender of made-up addresses has them: the table forgets, the bound in
 * all holds, and a source that asks little is served when the flood is over. */
static void rate_when_sources_are_made_up_holds_in_all(void **state)
{
	struct ctl_rate *rate = rate_of(10, 1000);
	struct random random = random_seeded(random_test_seed("test_routing", 5));
	uint64_t refused;
	uint32_t passed = 0;
	(void)state;
	for (uint64_t i = 0; i < 200000; i++)
		passed += ctl_rate_take(
				  rate,
				  (uint32_t)random_u64(&random),
				  false,
				  SECOND + i * (MS / 100),
				  &refused
			  ) == CTL_RATE_PASS;
	assert_in_range(passed, 2900, 3001); /* two seconds and the burst */
	/* The last of them met a full bucket; who comes over a connection has another. */
	assert_int_equal(ctl_rate_take(rate, 77, false, 3 * SECOND, &refused), CTL_RATE_PASS);
	while (ctl_rate_take(rate, (uint32_t)random_u64(&random), false, 3 * SECOND, &refused) !=
	       CTL_RATE_ALL)
		;
	assert_int_equal(ctl_rate_take(rate, 77, true, 3 * SECOND, &refused), CTL_RATE_PASS);
	assert_int_equal(ctl_rate_take(rate, 77, false, 5 * SECOND, &refused), CTL_RATE_PASS);
	free(rate);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(init_when_out_of_range_is_refused),
		cmocka_unit_test(failover_when_in_any_state_follows_the_table),
		cmocka_unit_test(failover_when_alone_is_picked_also_unhealthy),
		cmocka_unit_test(alternate_when_accepted_only_then_moves_on),
		cmocka_unit_test(alternate_when_one_is_offline_skips_it_and_keeps_the_order),
		cmocka_unit_test(weighted_when_in_any_state_draws_by_route_53s_rules),
		cmocka_unit_test(weighted_when_all_are_offline_picks_none),
		cmocka_unit_test(weighted_when_seeded_alike_draws_alike),
		cmocka_unit_test(health_when_looks_disagree_turns_after_its_threshold),
		cmocka_unit_test(health_when_without_threshold_turns_at_once),
		cmocka_unit_test(pair_when_in_any_state_names_who_serves),
		cmocka_unit_test(rate_when_a_source_asks_too_often_gets_its_share),
		cmocka_unit_test(rate_when_refused_counts_in_a_row),
		cmocka_unit_test(rate_when_sources_are_made_up_holds_in_all),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
