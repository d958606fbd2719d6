/* SPDX-License-Identifier: BSD-3-Clause */
#include "replication/expiry.h"
#include "tests/unit/unit.h"

#include <stdlib.h>

#define SESSIONS 20
#define TIMEOUT_NS 1000
#define MIN_IDLE_NS 200

struct fixture {
	struct rep_session_table table;
	struct rep_expiry expiry;
	uint64_t last_used_ns[SESSIONS];
	void *memory;
	uint64_t sequence;
};

/* Opens this many sessions; the entry of session i is sequence i + 1. */
static void start(struct fixture *f, uint32_t open, uint64_t now_ns)
{
	struct rep_session_limits limits = {.max_sessions = SESSIONS, .max_inflight = 4};
	f->memory = aligned_alloc(64, sf_round_up(rep_session_table_bytes(&limits), 64));
	assert_non_null(f->memory);
	rep_session_table_init(&f->table, &limits, f->memory);
	rep_expiry_init(&f->expiry, f->last_used_ns, SESSIONS, now_ns);
	for (uint32_t i = 0; i < open; i++) {
		uint32_t session;
		struct rep_entry entry = {
			.sequence = i + 1,
			.client_id = 100 + i,
			.request_seq = 1 + i,
			.kind = REP_ENTRY_OPEN,
		};
		assert_int_equal(rep_session_apply(&f->table, &entry, 0, &session), REP_SESSION_OK);
		assert_int_equal(session, i);
	}
	f->sequence = open;
}

static uint32_t next(struct fixture *f, uint64_t committed, uint64_t now_ns)
{
	return rep_expiry_next(&f->expiry, &f->table, committed, TIMEOUT_NS, now_ns);
}

static uint32_t victim(struct fixture *f, uint64_t committed, uint64_t now_ns)
{
	return rep_expiry_victim(&f->expiry, &f->table, committed, MIN_IDLE_NS, now_ns);
}

static void next_when_idle_longer_than_timeout_then_names_it_and_not_before(void **state)
{
	struct fixture f;
	start(&f, 1, 50);
	for (int i = 0; i < 2 * SESSIONS; i++)
		assert_int_equal(next(&f, 1, 50 + TIMEOUT_NS), REP_SESSION_NONE);
	uint32_t found = REP_SESSION_NONE;
	for (int i = 0; i < SESSIONS && found == REP_SESSION_NONE; i++)
		found = next(&f, 1, 51 + TIMEOUT_NS);
	assert_int_equal(found, 0);
	free(f.memory);
}

static void next_when_called_often_then_every_session_is_looked_at(void **state)
{
	struct fixture f;
	bool seen[SESSIONS] = {false};
	start(&f, SESSIONS, 0);
	for (int i = 0; i < 3 * SESSIONS; i++) {
		uint32_t found = next(&f, f.sequence, 2 * TIMEOUT_NS);
		assert_int_not_equal(found, REP_SESSION_NONE);
		seen[found] = true;
	}
	for (int i = 0; i < SESSIONS; i++)
		assert_true(seen[i]);
	free(f.memory);
}

static void next_when_something_is_not_committed_then_session_stays(void **state)
{
	struct fixture f;
	start(&f, 2, 0);
	for (int i = 0; i < SESSIONS; i++)
		assert_int_not_equal(next(&f, 1, 2 * TIMEOUT_NS), 1);
	uint32_t found = 0;
	for (int i = 0; i < SESSIONS && found != 1; i++)
		found = next(&f, 2, 2 * TIMEOUT_NS);
	assert_int_equal(found, 1);
	free(f.memory);
}

static void next_when_touched_then_idle_time_starts_over(void **state)
{
	struct fixture f;
	start(&f, 1, 0);
	rep_expiry_touch(&f.expiry, 0, 900);
	for (int i = 0; i < SESSIONS; i++)
		assert_int_equal(next(&f, 1, 900 + TIMEOUT_NS), REP_SESSION_NONE);
	free(f.memory);
}

static void victim_when_several_are_idle_then_the_one_idle_longest(void **state)
{
	struct fixture f;
	start(&f, 3, 0);
	rep_expiry_touch(&f.expiry, 0, 30);
	rep_expiry_touch(&f.expiry, 1, 10);
	rep_expiry_touch(&f.expiry, 2, 20);
	assert_int_equal(victim(&f, 3, 10 + MIN_IDLE_NS + 30), 1);
	/* Its newest entry is not committed yet: the next longest. */
	assert_int_equal(victim(&f, 1, 10 + MIN_IDLE_NS + 31), 0);
	free(f.memory);
}

static void victim_when_asked_again_at_the_same_moment_then_none(void **state)
{
	struct fixture f;
	start(&f, 2, 10);
	assert_int_equal(victim(&f, 2, 10 + MIN_IDLE_NS + 5), 0);
	assert_int_equal(victim(&f, 2, 10 + MIN_IDLE_NS + 5), REP_SESSION_NONE);
	assert_int_equal(victim(&f, 2, 10 + MIN_IDLE_NS + 6), 0);
	free(f.memory);
}

static void victim_when_none_is_idle_enough_then_search_rests_for_a_hundredth(void **state)
{
	struct fixture f;
	start(&f, 1, 100);
	assert_int_equal(victim(&f, 1, 100 + MIN_IDLE_NS), REP_SESSION_NONE);
	assert_int_equal(victim(&f, 1, 100 + MIN_IDLE_NS + 1), REP_SESSION_NONE);
	assert_int_equal(victim(&f, 1, 100 + MIN_IDLE_NS + MIN_IDLE_NS / 100), 0);
	free(f.memory);
}

static void victim_when_table_is_empty_then_none(void **state)
{
	struct fixture f;
	start(&f, 0, 0);
	assert_int_equal(victim(&f, 100, 1000000), REP_SESSION_NONE);
	assert_int_equal(next(&f, 100, 1000000), REP_SESSION_NONE);
	free(f.memory);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(next_when_idle_longer_than_timeout_then_names_it_and_not_before),
		cmocka_unit_test(next_when_called_often_then_every_session_is_looked_at),
		cmocka_unit_test(next_when_something_is_not_committed_then_session_stays),
		cmocka_unit_test(next_when_touched_then_idle_time_starts_over),
		cmocka_unit_test(victim_when_several_are_idle_then_the_one_idle_longest),
		cmocka_unit_test(victim_when_asked_again_at_the_same_moment_then_none),
		cmocka_unit_test(victim_when_none_is_idle_enough_then_search_rests_for_a_hundredth),
		cmocka_unit_test(victim_when_table_is_empty_then_none),
	};
	return cmocka_run_group_tests(tests, NULL, NULL) != 0;
}
