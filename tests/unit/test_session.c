/* SPDX-License-Identifier: BSD-3-Clause */
#include "replication/session.h"
#include "tests/unit/random.h"
#include "tests/unit/unit.h"

#include <stdlib.h>
#include <string.h>

#define SESSIONS 4
#define INFLIGHT 8

struct fixture {
	struct rep_session_table table;
	void *memory;
	uint64_t sequence;
};

static void start(struct fixture *f, uint32_t sessions, uint32_t inflight)
{
	struct rep_session_limits limits = {.max_sessions = sessions, .max_inflight = inflight};
	uint64_t bytes = sf_round_up(rep_session_table_bytes(&limits), 64);
	f->memory = aligned_alloc(64, bytes);
	assert_non_null(f->memory);
	memset(f->memory, 0xa5, bytes);
	f->sequence = 0;
	rep_session_table_init(&f->table, &limits, f->memory);
}

static void stop(struct fixture *f)
{
	free(f->memory);
}

static enum rep_session_fault
apply(struct fixture *f,
      enum rep_entry_kind kind,
      uint64_t client_id,
      uint64_t request_seq,
      uint64_t first_incomplete_seq,
      uint32_t *session)
{
	struct rep_entry entry = {
		.sequence = f->sequence + 1,
		.client_id = client_id,
		.request_seq = request_seq,
		.first_incomplete_seq = first_incomplete_seq,
		.asset_id = kind == REP_ENTRY_UPDATE ? 5 : 0,
		.kind = (uint8_t)kind,
	};
	uint8_t partition = kind == REP_ENTRY_UPDATE ? rep_partition(5) : 0;
	enum rep_session_fault fault = rep_session_apply(&f->table, &entry, partition, session);
	if (fault == REP_SESSION_OK)
		f->sequence++;
	return fault;
}

static enum rep_session_fault open_session(struct fixture *f, uint64_t client_id, uint64_t nonce)
{
	uint32_t session;
	return apply(f, REP_ENTRY_OPEN, client_id, nonce, 0, &session);
}

static enum rep_session_fault
update(struct fixture *f, uint64_t client_id, uint64_t request_seq, uint64_t first)
{
	uint32_t session;
	return apply(f, REP_ENTRY_UPDATE, client_id, request_seq, first, &session);
}

static enum rep_session_fault close_session(struct fixture *f, uint64_t client_id)
{
	uint32_t session;
	return apply(f, REP_ENTRY_CLOSE, client_id, 0, 0, &session);
}

static enum rep_verdict
check(const struct fixture *f, uint64_t client_id, uint64_t request_seq, uint64_t first)
{
	struct rep_verdict_detail detail;
	return rep_session_check(&f->table, client_id, request_seq, first, &detail);
}

static void check_when_session_is_unknown_then_forgotten(void **state)
{
	struct fixture f;
	struct rep_verdict_detail detail;
	start(&f, SESSIONS, INFLIGHT);
	assert_int_equal(rep_session_check(&f.table, 77, 1, 1, &detail), REP_FORGOTTEN);
	assert_int_equal(detail.session, REP_SESSION_NONE);
	assert_int_equal(check(&f, 0, 1, 1), REP_FORGOTTEN);
	stop(&f);
}

static void check_when_request_was_applied_then_repeat_names_its_entry(void **state)
{
	struct fixture f;
	struct rep_verdict_detail detail;
	start(&f, SESSIONS, INFLIGHT);
	assert_int_equal(open_session(&f, 100, 9), REP_SESSION_OK);
	assert_int_equal(check(&f, 100, 1, 1), REP_FRESH);
	assert_int_equal(update(&f, 100, 1, 1), REP_SESSION_OK);
	assert_int_equal(update(&f, 100, 2, 1), REP_SESSION_OK);
	assert_int_equal(rep_session_check(&f.table, 100, 1, 1, &detail), REP_REPEAT);
	assert_int_equal(detail.sequence, 2);
	assert_int_equal(detail.partition, rep_partition(5));
	assert_int_equal(detail.session, rep_session_find(&f.table, 100));
	assert_int_equal(rep_session_check(&f.table, 100, 2, 1, &detail), REP_REPEAT);
	assert_int_equal(detail.sequence, 3);
	assert_int_equal(check(&f, 100, 3, 1), REP_FRESH);
	stop(&f);
}

static void check_when_at_the_window_edges_then_fresh_inside_overloaded_outside(void **state)
{
	struct fixture f;
	start(&f, SESSIONS, INFLIGHT);
	open_session(&f, 100, 9);
	assert_int_equal(check(&f, 100, INFLIGHT, 1), REP_FRESH);
	assert_int_equal(check(&f, 100, INFLIGHT + 1, 1), REP_OVERLOADED);
	assert_int_equal(check(&f, 100, UINT64_MAX, 1), REP_OVERLOADED);
	/* The request's own firstIncompleteSeq counts, though no entry said it yet. */
	assert_int_equal(check(&f, 100, INFLIGHT + 1, 2), REP_FRESH);
	assert_int_equal(check(&f, 100, UINT64_MAX, UINT64_MAX), REP_FRESH);
	assert_int_equal(update(&f, 100, INFLIGHT + 1, 1), REP_SESSION_BAD);
	assert_int_equal(update(&f, 100, INFLIGHT, 1), REP_SESSION_OK);
	assert_int_equal(update(&f, 100, INFLIGHT + 1, 2), REP_SESSION_OK);
	stop(&f);
}

static void check_when_below_first_incomplete_then_forgotten(void **state)
{
	struct fixture f;
	start(&f, SESSIONS, INFLIGHT);
	open_session(&f, 100, 9);
	for (uint64_t seq = 1; seq <= 4; seq++)
		assert_int_equal(update(&f, 100, seq, 1), REP_SESSION_OK);
	assert_int_equal(update(&f, 100, 5, 4), REP_SESSION_OK);
	for (uint64_t seq = 1; seq <= 3; seq++)
		assert_int_equal(check(&f, 100, seq, 1), REP_FORGOTTEN);
	assert_int_equal(check(&f, 100, 4, 4), REP_REPEAT);
	assert_int_equal(check(&f, 100, 5, 1), REP_REPEAT);
	assert_int_equal(update(&f, 100, 3, 1), REP_SESSION_BAD);
	/* A later entry that says less does not move it back. */
	assert_int_equal(update(&f, 100, 6, 2), REP_SESSION_OK);
	assert_int_equal(check(&f, 100, 3, 1), REP_FORGOTTEN);
	stop(&f);
}

static void check_when_the_window_wraps_its_slots_then_old_numbers_do_not_repeat(void **state)
{
	struct fixture f;
	start(&f, SESSIONS, INFLIGHT);
	open_session(&f, 100, 9);
	for (uint64_t seq = 1; seq <= 10 * INFLIGHT; seq++) {
		assert_int_equal(check(&f, 100, seq, seq), REP_FRESH);
		assert_int_equal(update(&f, 100, seq, seq), REP_SESSION_OK);
		assert_int_equal(check(&f, 100, seq, seq), REP_REPEAT);
		assert_int_equal(update(&f, 100, seq, seq), REP_SESSION_DUPLICATE);
	}
	stop(&f);
}

static void apply_when_entry_does_not_fit_then_table_is_unchanged(void **state)
{
	struct fixture f;
	uint32_t session;
	start(&f, 2, INFLIGHT);
	open_session(&f, 100, 9);
	update(&f, 100, 1, 1);
	uint64_t digest = f.table.digest;
	assert_int_equal(open_session(&f, 0, 10), REP_SESSION_BAD);
	assert_int_equal(open_session(&f, 101, 0), REP_SESSION_BAD);
	assert_int_equal(open_session(&f, 100, 10), REP_SESSION_DUPLICATE);
	assert_int_equal(open_session(&f, 101, 9), REP_SESSION_DUPLICATE);
	assert_int_equal(update(&f, 101, 1, 1), REP_SESSION_UNKNOWN);
	assert_int_equal(close_session(&f, 101), REP_SESSION_UNKNOWN);
	assert_int_equal(update(&f, 100, 1, 2), REP_SESSION_BAD);
	assert_int_equal(apply(&f, (enum rep_entry_kind)0, 100, 2, 1, &session), REP_SESSION_BAD);
	assert_int_equal(apply(&f, (enum rep_entry_kind)9, 100, 2, 1, &session), REP_SESSION_BAD);
	assert_int_equal(f.table.digest, digest);
	assert_int_equal(f.table.count, 1);
	assert_int_equal(open_session(&f, 101, 10), REP_SESSION_OK);
	assert_int_equal(open_session(&f, 102, 11), REP_SESSION_FULL);
	assert_int_equal(f.table.count, 2);
	stop(&f);
}

static void close_when_index_is_reused_then_nothing_of_the_old_session_is_left(void **state)
{
	struct fixture f;
	uint32_t first, second;
	start(&f, 1, INFLIGHT);
	apply(&f, REP_ENTRY_OPEN, 100, 9, 0, &first);
	for (uint64_t seq = 1; seq <= INFLIGHT; seq++)
		update(&f, 100, seq, 1);
	assert_int_equal(close_session(&f, 100), REP_SESSION_OK);
	assert_int_equal(rep_session_find(&f.table, 100), REP_SESSION_NONE);
	assert_int_equal(rep_session_find_nonce(&f.table, 9), REP_SESSION_NONE);
	assert_int_equal(check(&f, 100, 1, 1), REP_FORGOTTEN);
	assert_int_equal(f.table.digest, 0);

	/* The same nonce may open again once it is closed. */
	assert_int_equal(apply(&f, REP_ENTRY_OPEN, 200, 9, 0, &second), REP_SESSION_OK);
	assert_int_equal(first, second);
	for (uint64_t seq = 1; seq <= INFLIGHT; seq++)
		assert_int_equal(check(&f, 200, seq, 1), REP_FRESH);
	assert_int_equal(rep_session_find_nonce(&f.table, 9), second);
	stop(&f);
}

static void client_id_when_made_from_a_place_then_names_its_sequence(void **state)
{
	uint64_t id = rep_session_client_id(0x12345, 0x0006000000000007ull & 0xffffffffffffull);
	struct rep_session session = {.client_id = id};
	assert_int_equal(id >> 48, 0x2345);
	assert_int_equal(rep_session_open_sequence(&session), 7);
}

/* --- Digest --- */

static void digest_when_sessions_are_interleaved_then_only_places_matter(void **state)
{
	/* Two tables get the same entries; the sessions' indexes differ. */
	struct fixture f, g;
	uint32_t session;
	start(&f, SESSIONS, INFLIGHT);
	start(&g, SESSIONS, INFLIGHT);
	apply(&g, REP_ENTRY_OPEN, 999, 999, 0, &session);
	apply(&g, REP_ENTRY_OPEN, 998, 998, 0, &session);
	close_session(&g, 999);
	close_session(&g, 998);
	assert_int_equal(g.table.digest, 0);
	g.sequence = 0;
	for (int i = 0; i < 2; i++) {
		struct fixture *x = i == 0 ? &f : &g;
		open_session(x, 100, 1);
		open_session(x, 200, 2);
		update(x, 100, 1, 1);
		update(x, 200, 2, 1);
		update(x, 200, 1, 1);
		update(x, 100, 3, 2);
	}
	assert_int_not_equal(rep_session_find(&f.table, 100), rep_session_find(&g.table, 100));
	assert_int_equal(f.table.digest, g.table.digest);
	stop(&f);
	stop(&g);
}

/* The digest from scratch, by the table's documented parts only through its public state. */
static uint64_t digest_of_copy(const struct fixture *f, struct fixture *copy)
{
	/* Builds a table with the same live state from nothing, each entry at its own sequence. */
	start(copy, f->table.limits.max_sessions, f->table.limits.max_inflight);
	for (uint32_t i = 0; i < f->table.limits.max_sessions; i++) {
		const struct rep_session *s = &f->table.sessions[i];
		if (s->client_id == 0)
			continue;
		uint32_t inflight = f->table.limits.max_inflight;
		uint32_t session;
		copy->sequence = 0;
		assert_int_equal(open_session(copy, s->client_id, s->nonce), REP_SESSION_OK);
		for (uint64_t k = 0; k < inflight; k++) {
			uint64_t seq = s->first_incomplete_seq + k;
			const struct rep_session_slot *slot =
				&f->table.slots[i * inflight + (seq & (inflight - 1))];
			if (seq < s->first_incomplete_seq || slot->request_seq != seq)
				continue; /* none, or past the highest number there is */
			copy->sequence = slot->sequence - 1;
			assert_int_equal(
				apply(copy,
				      REP_ENTRY_UPDATE,
				      s->client_id,
				      seq,
				      s->first_incomplete_seq,
				      &session),
				REP_SESSION_OK
			);
		}
	}
	return copy->table.digest;
}

static void digest_when_requests_are_forgotten_then_only_live_ones_count(void **state)
{
	struct fixture f, copy;
	start(&f, SESSIONS, INFLIGHT);
	open_session(&f, 100, 1);
	for (uint64_t seq = 1; seq <= 5; seq++)
		update(&f, 100, seq, 1);
	uint64_t before = f.table.digest;
	update(&f, 100, 6, 4);
	assert_int_not_equal(f.table.digest, before);
	assert_int_equal(digest_of_copy(&f, &copy), f.table.digest);
	stop(&copy);
	stop(&f);
}

static void digest_when_first_incomplete_jumps_to_the_highest_numbers_then_still_exact(void **state)
{
	struct fixture f, copy;
	start(&f, SESSIONS, INFLIGHT);
	open_session(&f, 100, 1);
	assert_int_equal(update(&f, 100, 3, 2), REP_SESSION_OK);
	assert_int_equal(update(&f, 100, UINT64_MAX - 3, UINT64_MAX - 4), REP_SESSION_OK);
	assert_int_equal(update(&f, 100, UINT64_MAX - 1, UINT64_MAX - 1), REP_SESSION_OK);
	assert_int_equal(digest_of_copy(&f, &copy), f.table.digest);
	stop(&copy);
	assert_int_equal(update(&f, 100, UINT64_MAX, UINT64_MAX), REP_SESSION_OK);
	assert_int_equal(digest_of_copy(&f, &copy), f.table.digest);
	stop(&copy);
	close_session(&f, 100);
	assert_int_equal(f.table.digest, 0);
	stop(&f);
}

static void digest_when_any_part_differs_then_differs(void **state)
{
	uint64_t digests[7];
	for (int i = 0; i < 7; i++) {
		struct fixture f;
		start(&f, SESSIONS, INFLIGHT);
		open_session(&f, i == 1 ? 101 : 100, i == 2 ? 2 : 1);
		uint64_t client_id = i == 1 ? 101 : 100;
		if (i == 3)
			f.sequence++;
		update(&f, client_id, i == 4 ? 2 : 1, 1);
		if (i == 5)
			update(&f, client_id, 2, 1);
		if (i == 6)
			update(&f, client_id, 2, 2);
		digests[i] = f.table.digest;
		assert_int_not_equal(digests[i], 0);
		for (int k = 0; k < i; k++)
			assert_int_not_equal(digests[i], digests[k]);
		stop(&f);
	}
}

/* --- Against a reference that keeps everything in plain arrays --- */

#define REF_SESSIONS 24
#define REF_REQUESTS 4096

struct reference_session {
	uint64_t client_id, nonce, first;
	uint64_t sequence_of[REF_REQUESTS]; /* 0: never */
};

static struct reference_session *
reference_find(struct reference_session *reference, uint64_t client_id)
{
	for (int i = 0; i < REF_SESSIONS; i++)
		if (client_id != 0 && reference[i].client_id == client_id)
			return &reference[i];
	return NULL;
}

static struct reference_session *
reference_nonce(struct reference_session *reference, uint64_t nonce)
{
	for (int i = 0; i < REF_SESSIONS; i++)
		if (reference[i].client_id != 0 && reference[i].nonce == nonce)
			return &reference[i];
	return NULL;
}

static enum rep_verdict
reference_check(struct reference_session *session, uint64_t seq, uint64_t first, uint64_t *sequence)
{
	if (session == NULL || seq < session->first)
		return REP_FORGOTTEN;
	uint64_t base = first > session->first ? first : session->first;
	if (seq - base >= INFLIGHT)
		return REP_OVERLOADED;
	*sequence = session->sequence_of[seq];
	return *sequence != 0 ? REP_REPEAT : REP_FRESH;
}

static void random_update(
	struct fixture *f,
	struct reference_session *reference,
	struct random *random,
	uint64_t client_id
)
{
	struct reference_session *session = reference_find(reference, client_id);
	uint64_t base = session != NULL ? session->first : 1;
	uint64_t seq = base + random_below(random, INFLIGHT + 3);
	seq -= seq > 2 ? random_below(random, 3) : 0;
	uint64_t first = seq - random_below(random, seq < 6 ? seq : 6);
	uint64_t expected_sequence = 0;
	struct rep_verdict_detail detail = {0};
	enum rep_verdict expected = reference_check(session, seq, first, &expected_sequence);
	assert_int_equal(rep_session_check(&f->table, client_id, seq, first, &detail), expected);
	if (expected == REP_REPEAT)
		assert_int_equal(detail.sequence, expected_sequence);
	enum rep_session_fault fault = update(f, client_id, seq, first);
	assert_int_equal(fault == REP_SESSION_OK, expected == REP_FRESH);
	if (fault != REP_SESSION_OK)
		return;
	session->sequence_of[seq] = f->sequence;
	if (first > session->first)
		session->first = first;
}

static void random_open(
	struct fixture *f, struct reference_session *reference, uint64_t client_id, uint64_t nonce
)
{
	bool taken = reference_find(reference, client_id) || reference_nonce(reference, nonce);
	uint32_t free_index = REF_SESSIONS;
	for (uint32_t i = 0; i < REF_SESSIONS; i++)
		if (reference[i].client_id == 0)
			free_index = i;
	enum rep_session_fault expected = taken			       ? REP_SESSION_DUPLICATE
					  : free_index == REF_SESSIONS ? REP_SESSION_FULL
								       : REP_SESSION_OK;
	assert_int_equal(open_session(f, client_id, nonce), expected);
	if (expected == REP_SESSION_OK)
		reference[free_index] = (struct reference_session
		){.client_id = client_id, .nonce = nonce, .first = 1};
}

static void table_when_history_is_random_then_equals_the_naive_reference(void **state)
{
	/* Few ids for a small map: many collisions, and removals inside chains. */
	struct random random = random_seeded(random_test_seed("test_session", 4711));
	struct reference_session *reference =
		calloc(REF_SESSIONS, sizeof(struct reference_session));
	struct fixture f, copy;
	assert_non_null(reference);
	start(&f, REF_SESSIONS, INFLIGHT);
	for (int step = 0; step < 60000; step++) {
		uint64_t client_id = 1 + random_below(&random, 60);
		uint64_t what = random_below(&random, 100);
		struct reference_session *session = reference_find(reference, client_id);
		bool worn = session != NULL && session->first > REF_REQUESTS - 4 * INFLIGHT;
		if (what < 8 || worn) {
			assert_int_equal(
				close_session(&f, client_id),
				session != NULL ? REP_SESSION_OK : REP_SESSION_UNKNOWN
			);
			if (session != NULL)
				session->client_id = 0;
		} else if (what < 20) {
			random_open(&f, reference, client_id, 1 + random_below(&random, 60));
		} else {
			random_update(&f, reference, &random, client_id);
		}
		if (step % 500 == 0) {
			assert_int_equal(digest_of_copy(&f, &copy), f.table.digest);
			stop(&copy);
		}
		uint64_t other = 1 + random_below(&random, 60);
		assert_int_equal(
			rep_session_find(&f.table, other) != REP_SESSION_NONE,
			reference_find(reference, other) != NULL
		);
		assert_int_equal(
			rep_session_find_nonce(&f.table, other) != REP_SESSION_NONE,
			reference_nonce(reference, other) != NULL
		);
	}
	for (uint64_t client_id = 1; client_id <= 60; client_id++)
		close_session(&f, client_id);
	assert_int_equal(f.table.count, 0);
	assert_int_equal(f.table.digest, 0);
	stop(&f);
	free(reference);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(check_when_session_is_unknown_then_forgotten),
		cmocka_unit_test(check_when_request_was_applied_then_repeat_names_its_entry),
		cmocka_unit_test(check_when_at_the_window_edges_then_fresh_inside_overloaded_outside
		),
		cmocka_unit_test(check_when_below_first_incomplete_then_forgotten),
		cmocka_unit_test(
			check_when_the_window_wraps_its_slots_then_old_numbers_do_not_repeat
		),
		cmocka_unit_test(apply_when_entry_does_not_fit_then_table_is_unchanged),
		cmocka_unit_test(close_when_index_is_reused_then_nothing_of_the_old_session_is_left
		),
		cmocka_unit_test(client_id_when_made_from_a_place_then_names_its_sequence),
		cmocka_unit_test(digest_when_sessions_are_interleaved_then_only_places_matter),
		cmocka_unit_test(digest_when_requests_are_forgotten_then_only_live_ones_count),
		cmocka_unit_test(
			digest_when_first_incomplete_jumps_to_the_highest_numbers_then_still_exact
		),
		cmocka_unit_test(digest_when_any_part_differs_then_differs),
		cmocka_unit_test(table_when_history_is_random_then_equals_the_naive_reference),
	};
	return cmocka_run_group_tests(tests, NULL, NULL) != 0;
}
