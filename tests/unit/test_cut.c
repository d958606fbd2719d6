/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Cutting a log at every entry, and giving it up, with a crash and a failure at every call of the
 * disk (faults.md inv. 16, S07 to S09, S19): what remains is the log up to there, or one that holds
 * more; what went can be read in quarantine; what cannot be done is said and nothing moves.
 */
#include "control/cut.h"
#include "control/quarantine.h"
#include "tests/unit/surgery_world.h"
#include "tests/unit/unit.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define ALL UINT64_MAX

static int
cut_on(struct surgery_world *s,
       struct shadow *shadow,
       uint64_t keep,
       struct ctl_cut *result,
       char *text)
{
	struct ctl_log log = surgery_log(s, shadow);
	int done = ctl_log_cut(&log, keep, result, text, 1024);
	ctl_log_free(&log);
	return done;
}

static void expect_cut(struct surgery_world *s, struct shadow *shadow, uint64_t keep)
{
	struct ctl_cut result;
	uint64_t last;
	char text[1024];
	int done = cut_on(s, shadow, keep, &result, text);
	if (done != 0)
		fail_msg("cut at %lu: %d, %s", keep, done, text);
	const char *found = surgery_check(s, shadow, keep, keep, &last);
	if (*found)
		fail_msg("cut at %lu: %s", keep, found);
}

static void expect_in_quarantine(struct surgery_world *s, struct shadow *shadow, uint64_t keep)
{
	const char *found = surgery_check_quarantine(s, shadow, keep + 1, surgery_last(s), keep);
	if (*found)
		fail_msg("cut at %lu: %s", keep, found);
}

/* Several lives: segments of several groups, some that end with a mark, snapshots in the middle and
 * at an end, and files that were prepared. */
static struct surgery_world *three_segments(uint64_t seed, uint32_t snapshots)
{
	struct surgery_world *s = surgery_new(seed, 1);
	surgery_segment(s, 3, 5, snapshots & 7, false);
	s->closed = true;
	surgery_segment(s, 3, 1, snapshots >> 3 & 7, true);
	surgery_segment(s, 2, 6, snapshots >> 6 & 3, true);
	surgery_prepare(s, seed % 3);
	return s;
}

static void log_when_cut_at_any_entry_then_the_prefix_remains_and_the_rest_is_readable(void **state)
{
	static const uint32_t snapshots[] = {
		0, 1 << 1, 1 << 2 | 1 << 4, 1 << 0 | 1 << 5 | 1 << 6, 255};
	for (uint64_t i = 0; i < sizeof(snapshots) / sizeof(snapshots[0]); i++) {
		struct surgery_world *s = three_segments(i + 1, snapshots[i]);
		for (uint64_t keep = 0; keep <= surgery_last(s); keep++) {
			struct shadow *disk = shadow_crash(s->shadow, SHADOW_LOSE_NONE, 1);
			struct ctl_quarantine_sum sum, again;
			struct ctl_log log = surgery_log(s, disk);
			struct ctl_cut result;
			char text[1024];
			uint64_t last;
			assert_int_equal(cut_on(s, disk, keep, &result, text), 0);
			assert_int_equal(result.entries, surgery_last(s) - keep);
			assert_int_equal(result.last, keep < surgery_last(s) ? surgery_last(s) : 0);
			expect_in_quarantine(s, disk, keep);
			assert_int_equal(ctl_quarantine_measure(&log, &sum), 0);
			assert_int_equal(sum.bytes, result.bytes);
			assert_int_equal(sum.files, result.files);
			assert_int_equal(sum.folders, keep < surgery_last(s));
			assert_int_equal(*result.folder != 0, keep < surgery_last(s));
			/* Durable, and again it is nothing. */
			struct shadow *bare = shadow_crash(disk, SHADOW_LOSE_ALL, 1);
			const char *found = surgery_check(s, bare, keep, keep, &last);
			if (*found)
				fail_msg("cut at %lu: %s", keep, found);
			expect_in_quarantine(s, bare, keep);
			expect_cut(s, disk, keep);
			assert_int_equal(ctl_quarantine_measure(&log, &again), 0);
			assert_memory_equal(&sum, &again, sizeof(sum));
			/* And further back. */
			if (keep > 2)
				expect_cut(s, disk, keep / 2);
			shadow_free(bare);
			shadow_free(disk);
		}
		surgery_free(s);
	}
}

/* Fails the Nth call of a cut, then a crash, then the cut again. False: it has fewer calls. */
static bool interrupt(struct surgery_world *s, uint64_t keep, uint64_t nth, int error, bool on)
{
	static const enum shadow_loss losses[] = {
		SHADOW_LOSE_SOME, SHADOW_LOSE_ALL, SHADOW_LOSE_NONE, SHADOW_LOSE_SOME};
	struct shadow *disk = shadow_crash(s->shadow, SHADOW_LOSE_NONE, 1);
	struct ctl_cut result;
	char text[1024];
	uint64_t last;
	shadow_fail(disk, nth, error, on);
	int done = cut_on(s, disk, keep, &result, text);
	bool reached = shadow_failed(disk) > 0;
	if (done != 0 && *text == 0)
		fail_msg("cut at %lu, call %lu: %d without a word", keep, nth, done);
	struct shadow *left = shadow_crash(disk, losses[(nth + keep) % 4], nth);
	const char *found = surgery_check(s, left, keep, done == 0 ? keep : surgery_last(s), &last);
	if (*found)
		fail_msg("cut at %lu, call %lu, then %s", keep, nth, found);
	expect_cut(s, left, keep);
	expect_in_quarantine(s, left, keep);
	shadow_free(left);
	shadow_free(disk);
	return reached;
}

static void cut_when_interrupted_at_any_call_then_it_is_whole_and_can_be_asked_again(void **state)
{
	static const int errors[] = {EIO, ENOSPC, SHADOW_SHORT};
	uint64_t calls = 0;
	for (uint64_t seed = 1; seed <= 2; seed++) {
		struct surgery_world *s =
			three_segments(seed, seed == 1 ? 1 << 1 | 1 << 5 | 1 << 6 : 1 << 2);
		for (uint64_t keep = 0; keep <= surgery_last(s);
		     keep += seed == 2 || keep % 3 ? seed + 1 : 1)
			for (uint64_t nth = 1, more = 1; more; nth++, calls++)
				more = interrupt(
					s,
					keep,
					nth,
					errors[(nth + keep) % 3],
					(nth + keep) / 3 % 2 == 0
				);
		surgery_free(s);
	}
	printf("%lu calls\n", calls);
}

/* The log begins with a snapshot: its first segments are gone. */
static struct surgery_world *without_beginning(void)
{
	struct surgery_world *s = surgery_new(9, 1);
	char path[CTL_PATH_BYTES];
	surgery_segment(s, 3, 4, 0, true);
	surgery_segment(s, 3, 4, 1 << 1, true);
	surgery_segment(s, 3, 4, 1 << 0, true);
	ctl_log_path(&s->log, 1, path);
	surgery_remove(s->shadow, path);
	return s;
}

static void cut_when_it_is_not_possible_then_it_says_so_and_nothing_moves(void **state)
{
	struct surgery_world *s = without_beginning();
	struct ctl_quarantine_sum sum;
	struct ctl_cut result;
	char text[1024], path[CTL_PATH_BYTES];
	uint64_t last, oldest = s->snapshots[0];
	assert_int_equal(cut_on(s, s->shadow, surgery_last(s) + 1, &result, text), -ERANGE);
	assert_non_null(strstr(text, "it ends with entry 36"));
	for (uint64_t keep = 1; keep < oldest; keep++) {
		assert_int_equal(cut_on(s, s->shadow, keep, &result, text), -ENODATA);
		assert_non_null(strstr(text, "nothing was changed"));
	}
	for (uint64_t keep = oldest; keep <= surgery_last(s); keep++) {
		struct shadow *disk = shadow_crash(s->shadow, SHADOW_LOSE_NONE, 1);
		expect_cut(s, disk, keep);
		shadow_free(disk);
	}
	/* Damage in what is to be kept, and in what is not. */
	ctl_log_path(&s->log, 3, path);
	surgery_flip(s->shadow, path, 2 * LOG_BLOCK_BYTES + 200);
	for (uint64_t keep = oldest; keep <= surgery_last(s); keep++) {
		struct shadow *disk = shadow_crash(s->shadow, SHADOW_LOSE_NONE, 1);
		struct ctl_log log = surgery_log(s, disk);
		if (keep <= 28) {
			expect_cut(s, disk, keep);
		} else {
			assert_int_equal(cut_on(s, disk, keep, &result, text), -EBADMSG);
			assert_non_null(strstr(text, "00000000000000000003.seg at offset 8192"));
			assert_int_equal(ctl_quarantine_measure(&log, &sum), 0);
			assert_int_equal(sum.folders, 0);
		}
		shadow_free(disk);
	}
	assert_string_not_equal(surgery_check(s, s->shadow, 0, ALL, &last), "");
	surgery_free(s);
}

static void disk_when_it_is_full_then_nothing_moved_and_the_log_is_as_it_was(void **state)
{
	struct surgery_world *s = three_segments(3, 1 << 1);
	struct ctl_cut result;
	char text[1024];
	uint64_t last, used = 0;
	struct shadow *disk = shadow_crash(s->shadow, SHADOW_LOSE_NONE, 1);
	shadow_limit(disk, 1ull << 40);
	used = (1ull << 40) - (uint64_t)shadow_disk(disk)->free_bytes(shadow_disk(disk), "/log");
	for (uint64_t room = 0; room <= 64; room++) {
		shadow_limit(disk, used + room * LOG_BLOCK_BYTES + 1);
		int done = cut_on(s, disk, 7, &result, text);
		assert_true(done == 0 || done == -ENOSPC);
		assert_string_equal(
			surgery_check(
				s, disk, done == 0 ? 7 : surgery_last(s), done == 0 ? 7 : ALL, &last
			),
			""
		);
		if (done == 0)
			break;
		assert_true(room < 64);
	}
	assert_string_equal(surgery_check_quarantine(s, disk, 8, surgery_last(s), 7), "");
	shadow_free(disk);
	surgery_free(s);
}

/* The same calls on a file system as it is. */
static void folder_when_on_a_real_disk_then_cut_and_emptied_there_too(void **state)
{
	struct surgery_world *s = three_segments(3, 1 << 1 | 1 << 6);
	struct ctl_quarantine_sum sum;
	struct ctl_cut result;
	struct ctl_log log;
	char root[] = "/tmp/sfcut-XXXXXX", text[1024], command[64];
	uint64_t last, bytes = 0;
	assert_non_null(mkdtemp(root));
	snprintf(s->world->settings.log.dir, CFG_TEXT_BYTES, "%s", root);
	ctl_log_init(&log, &s->world->settings, &disk_real);
	assert_int_equal(ctl_log_make_folders(&log), 0);
	assert_int_equal(ctl_log_identify(&log, true), 0);
	surgery_copy(s, &log);
	assert_string_equal(
		surgery_check_log(s, &log, surgery_last(s), surgery_last(s), &last), ""
	);
	for (uint64_t keep = surgery_last(s); keep > 0; keep -= sf_min64(keep, 5)) {
		assert_int_equal(ctl_log_cut(&log, keep, &result, text, sizeof(text)), 0);
		assert_string_equal(surgery_check_log(s, &log, keep, keep, &last), "");
		bytes += result.bytes;
	}
	assert_int_equal(ctl_log_empty(&log, &result, text, sizeof(text)), 0);
	assert_string_equal(surgery_check_log(s, &log, 0, 0, &last), "");
	assert_int_equal(ctl_quarantine_measure(&log, &sum), 0);
	assert_int_equal(sum.bytes, bytes + result.bytes);
	snprintf(command, sizeof(command), "rm -rf '%s'", root);
	assert_int_equal(system(command), 0);
	ctl_log_free(&log);
	surgery_free(s);
}

/* --- All of it --- */

static int empty_on(struct surgery_world *s, struct shadow *shadow, struct ctl_cut *result)
{
	char text[1024];
	struct ctl_log log = surgery_log(s, shadow);
	int done = ctl_log_empty(&log, result, text, sizeof(text));
	ctl_log_free(&log);
	return done;
}

static void log_when_emptied_then_a_crash_leaves_the_old_one_or_none(void **state)
{
	struct surgery_world *s = without_beginning();
	uint64_t first = 13; /* the segments before are gone */
	bool more = true;
	for (uint64_t nth = 1; more; nth++) {
		struct shadow *disk = shadow_crash(s->shadow, SHADOW_LOSE_NONE, 1);
		struct ctl_cut result;
		uint64_t last;
		shadow_fail(disk, nth, nth % 2 ? EIO : ENOSPC, nth / 2 % 2);
		int done = empty_on(s, disk, &result);
		more = shadow_failed(disk) > 0;
		struct shadow *left = shadow_crash(disk, (enum shadow_loss)(nth % 3), nth);
		const char *found = surgery_check(s, left, 0, ALL, &last);
		if (*found || (last != 0 && (done == 0 || last != surgery_last(s))))
			fail_msg("call %lu: %s, %lu", nth, found, last);
		/* A start carries out what is left to do, and loses nothing of it. */
		struct ctl_log log = surgery_log(s, left);
		struct ctl_snapshot snapshot;
		struct rec_plan plan;
		char text[1024];
		assert_int_equal(ctl_log_look(&log, false, text, sizeof(text)), 0);
		ctl_log_plan(&log, &plan, &snapshot, text, sizeof(text));
		ctl_snapshot_close(&snapshot);
		assert_int_equal(ctl_log_carry_out(&log, &plan, text, sizeof(text)), 0);
		assert_int_equal(ctl_log_look(&log, true, text, sizeof(text)), 0);
		if (last == 0) {
			assert_int_equal(plan.verdict, REC_FRESH);
			assert_int_equal(plan.position.segment, 1);
			assert_int_equal(plan.position.next_sequence, 1);
			assert_int_equal(log.identity_state, REC_IDENTITY_EMPTIED);
			assert_int_equal(log.count, 0);
			assert_int_equal(log.snapshot_count, 0);
			found = surgery_check_quarantine(s, left, first, surgery_last(s), 0);
			assert_string_equal(found, "");
		}
		ctl_log_free(&log);
		assert_int_equal(empty_on(s, left, &result), 0);
		assert_string_equal(surgery_check(s, left, 0, 0, &last), "");
		shadow_free(left);
		shadow_free(disk);
	}
	surgery_free(s);
}

static void log_when_refused_then_it_can_be_emptied_and_what_is_anothers_cannot(void **state)
{
	struct surgery_world *s = three_segments(4, 1 << 1);
	struct ctl_cut result;
	char path[CTL_PATH_BYTES];
	uint64_t last;
	ctl_log_path(&s->log, 2, path);
	surgery_flip(s->shadow, path, LOG_BLOCK_BYTES + 100);
	snprintf(path, sizeof(path), "%.400s/identity", s->log.folder);
	surgery_remove(s->shadow, path);
	assert_string_not_equal(surgery_check(s, s->shadow, 0, ALL, &last), "");
	struct shadow *disk = shadow_crash(s->shadow, SHADOW_LOSE_NONE, 1);
	assert_int_equal(empty_on(s, disk, &result), 0);
	assert_string_equal(surgery_check(s, disk, 0, 0, &last), "");
	assert_int_equal(result.entries, surgery_last(s) - 3); /* those that can be read */
	shadow_free(disk);
	s->world->settings.node.id = 0;
	assert_int_equal(empty_on(s, s->shadow, &result), -EBADMSG);
	surgery_free(s);
}

/* --- Canaries --- */

static void check_when_one_entry_too_many_is_left_then_it_says_so(void **state)
{
	struct surgery_world *s = three_segments(5, 1 << 1);
	struct ctl_cut result;
	char text[1024], path[2 * CTL_PATH_BYTES];
	uint64_t last;
	assert_int_equal(cut_on(s, s->shadow, 9, &result, text), 0);
	assert_non_null(strstr(surgery_check(s, s->shadow, 8, 8, &last), "another entry: 9"));
	assert_string_equal(surgery_check_quarantine(s, s->shadow, 10, surgery_last(s), 9), "");
	/* What is not in quarantine is missed there. */
	snprintf(path, sizeof(path), "%s/log/00000000000000000002.seg", result.folder);
	surgery_remove(s->shadow, path);
	assert_non_null(
		strstr(surgery_check_quarantine(s, s->shadow, 10, surgery_last(s), 9),
		       "not in quarantine: 16")
	);
	surgery_free(s);
}

/* A state that is another one than the prefix's, in entries that are all good. */
static void check_when_the_state_is_another_then_it_says_so(void **state)
{
	struct surgery_world *s = three_segments(6, 0);
	uint64_t last;
	expect_cut(s, s->shadow, 9);
	s->digests[9] ^= 1;
	assert_non_null(strstr(surgery_check(s, s->shadow, 9, 9, &last), "another state"));
	surgery_free(s);
}

/* The order: were segments moved before the snapshots, a crash between would be a refusal. */
static void check_when_segments_go_before_snapshots_then_it_says_so(void **state)
{
	struct surgery_world *s = three_segments(7, 1 << 1 | 1 << 6);
	char path[CTL_PATH_BYTES];
	uint64_t last;
	for (uint64_t number = s->position.segment + 7 % 3; number >= 3; number--) {
		ctl_log_path(&s->log, number, path);
		surgery_remove(s->shadow, path);
	}
	assert_non_null(strstr(surgery_check(s, s->shadow, 0, ALL, &last), "refused"));
	surgery_free(s);
}

static void check_when_syncs_do_nothing_then_it_says_so(void **state)
{
	bool found = false;
	for (uint64_t keep = 1; keep < 20 && !found; keep++) {
		struct surgery_world *s = three_segments(8, 1 << 1 | 1 << 6);
		struct ctl_cut result;
		char text[1024];
		uint64_t last;
		shadow_lie(s->shadow, true, false);
		assert_int_equal(cut_on(s, s->shadow, keep, &result, text), 0);
		struct shadow *left = shadow_crash(s->shadow, SHADOW_LOSE_ALL, keep);
		found = *surgery_check(s, left, keep, keep, &last) != 0;
		shadow_free(left);
		surgery_free(s);
	}
	assert_true(found);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			log_when_cut_at_any_entry_then_the_prefix_remains_and_the_rest_is_readable
		),
		cmocka_unit_test(
			cut_when_interrupted_at_any_call_then_it_is_whole_and_can_be_asked_again
		),
		cmocka_unit_test(cut_when_it_is_not_possible_then_it_says_so_and_nothing_moves),
		cmocka_unit_test(disk_when_it_is_full_then_nothing_moved_and_the_log_is_as_it_was),
		cmocka_unit_test(folder_when_on_a_real_disk_then_cut_and_emptied_there_too),
		cmocka_unit_test(log_when_emptied_then_a_crash_leaves_the_old_one_or_none),
		cmocka_unit_test(log_when_refused_then_it_can_be_emptied_and_what_is_anothers_cannot
		),
		cmocka_unit_test(check_when_one_entry_too_many_is_left_then_it_says_so),
		cmocka_unit_test(check_when_the_state_is_another_then_it_says_so),
		cmocka_unit_test(check_when_segments_go_before_snapshots_then_it_says_so),
		cmocka_unit_test(check_when_syncs_do_nothing_then_it_says_so),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
