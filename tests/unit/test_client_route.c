/* SPDX-License-Identifier: BSD-3-Clause */
#include "client/route.h"
#include "tests/unit/unit.h"

static const struct cli_address NODES[2] = {{{10, 0, 0, 1}, 9400}, {{10, 0, 0, 2}, 9400}};

static struct cli_address hint_of(uint16_t port)
{
	return (struct cli_address){{10, 0, 0, 3}, port};
}

static void hints_when_many_then_last_four_are_known_and_configured_stay(void **state)
{
	struct cli_route route;
	struct cli_address hint;
	cli_route_init(&route, NODES, 2);
	for (uint16_t i = 1; i <= 20; i++) {
		hint = hint_of(i);
		cli_route_refused(&route, route.current, false, &hint);
		assert_int_equal(route.current, (uint32_t)cli_route_find(&route, &hint));
	}
	assert_int_equal(cli_route_find(&route, &NODES[0]), 0);
	assert_int_equal(cli_route_find(&route, &NODES[1]), 1);
	for (uint16_t i = 1; i <= 20; i++) {
		hint = hint_of(i);
		assert_int_equal(cli_route_find(&route, &hint) >= 0, i > 16);
	}
}

static void refusal_when_not_of_the_current_node_then_kept_unless_newer(void **state)
{
	struct cli_route route;
	struct cli_address hint = hint_of(1);
	cli_route_init(&route, NODES, 2);
	assert_int_equal(cli_route_refused(&route, 1, false, NULL), CLI_ROUTE_KEEP);
	assert_int_equal(cli_route_refused(&route, 1, false, &hint), CLI_ROUTE_KEEP);
	assert_int_equal(cli_route_refused(&route, 1, true, NULL), CLI_ROUTE_KEEP);
	assert_int_equal(route.current, 0);
	assert_int_equal(cli_route_refused(&route, 1, true, &hint), CLI_ROUTE_NOW);
	assert_int_equal(route.current, 2);
}

static void refusal_when_node_points_at_itself_then_the_other_is_next(void **state)
{
	struct cli_route route;
	cli_route_init(&route, NODES, 2);
	assert_int_equal(cli_route_refused(&route, 0, false, &NODES[0]), CLI_ROUTE_LATER);
	assert_int_equal(route.current, 1);
}

static void refusal_when_one_node_is_known_then_it_is_asked_later_again(void **state)
{
	struct cli_route route;
	cli_route_init(&route, NODES, 1);
	assert_int_equal(cli_route_refused(&route, 0, false, NULL), CLI_ROUTE_LATER);
	assert_int_equal(route.current, 0);
	assert_int_equal(route.moved_count, 0);
}

static void timeouts_when_node_was_heard_since_then_it_is_not_left(void **state)
{
	struct cli_route route;
	cli_route_init(&route, NODES, 2);
	for (uint64_t t = 1; t < 10; t++) {
		assert_true(cli_route_heard(&route, 0, 1, t));
		cli_route_timed_out(&route, 0, t);
	}
	assert_int_equal(route.current, 0);
	cli_route_timed_out(&route, 0, 20);
	assert_int_equal(route.current, 0);
	cli_route_timed_out(&route, 0, 20);
	assert_int_equal(route.current, 1);
	cli_route_timed_out(
		&route, 0, 20
	); /* to the node that was left: says nothing of this one */
	cli_route_timed_out(&route, 0, 20);
	assert_int_equal(route.current, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hints_when_many_then_last_four_are_known_and_configured_stay),
		cmocka_unit_test(refusal_when_not_of_the_current_node_then_kept_unless_newer),
		cmocka_unit_test(refusal_when_node_points_at_itself_then_the_other_is_next),
		cmocka_unit_test(refusal_when_one_node_is_known_then_it_is_asked_later_again),
		cmocka_unit_test(timeouts_when_node_was_heard_since_then_it_is_not_left),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
