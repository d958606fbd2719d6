/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The audit: digests of control's copy against the dataplane's, in a real memory file.
 */
#include "control/checkpoint.h"
#include "tests/unit/snapshot_world.h"
#include "tests/unit/unit.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct audited {
	char path[64];
	struct cfg_settings settings;
	struct dp_shm *shm;
	int lock;
	struct ctl_audit audit;
};

static struct audited *make_audited(void)
{
	struct audited *a = calloc(1, sizeof(*a));
	char error[512];
	assert_non_null(a);
	world_settings(&a->settings);
	snprintf(a->settings.peer.name, CFG_NAME_BYTES, "a");
	snprintf(a->path, sizeof(a->path), "/tmp/sfaudit-XXXXXX");
	assert_non_null(mkdtemp(a->path));
	snprintf(a->settings.node.runtime_dir, CFG_TEXT_BYTES, "%s", a->path);
	a->settings.workers = 3;
	a->settings.lcore_count = 1;
	assert_int_equal(
		dp_shm_create(&a->settings, 65536 + 384, &a->shm, &a->lock, error, sizeof(error)), 0
	);
	return a;
}

static void end_audited(struct audited *a)
{
	char command[96];
	close(a->lock);
	dp_shm_detach(a->shm);
	snprintf(command, sizeof(command), "rm -rf '%s'", a->path);
	assert_int_equal(system(command), 0);
	free(a);
}

/* The dataplane's part: the sequencer's sum, and each worker's. */
static void mark(struct audited *a, uint64_t sequence, uint32_t workers)
{
	dp_shm_marks_add(&a->shm->session_marks, sequence, sequence * 1000);
	for (uint32_t i = 0; i < workers; i++)
		dp_shm_marks_add(&dp_shm_worker(a->shm, i)->marks, sequence, sequence + i);
}

static uint64_t digest_of(uint64_t sequence)
{
	return sequence * 1003 + 3;
}

static void audit_when_digests_are_equal_then_counted_once(void **state)
{
	struct audited *a = make_audited();
	for (uint64_t i = 1; i <= 100; i++) {
		mark(a, i * 64, 3);
		ctl_audit_note(&a->audit, i * 64, digest_of(i * 64));
		assert_true(ctl_audit_compare(&a->audit, a->shm));
		assert_true(ctl_audit_compare(&a->audit, a->shm));
		assert_int_equal(a->shm->checkpoint.compared, i);
	}
	assert_int_equal(a->shm->checkpoint.audit_fault, 0);
	end_audited(a);
}

static void audit_when_one_digest_differs_then_found_and_it_stays_so(void **state)
{
	struct audited *a = make_audited();
	for (uint64_t i = 1; i <= 5; i++) {
		mark(a, i * 64, 3);
		ctl_audit_note(&a->audit, i * 64, digest_of(i * 64) + (i == 3));
	}
	assert_false(ctl_audit_compare(&a->audit, a->shm));
	assert_int_equal(a->shm->checkpoint.audit_fault, 192);
	assert_int_equal(a->shm->checkpoint.compared, 2);
	assert_false(ctl_audit_compare(&a->audit, a->shm));
	assert_int_equal(a->shm->checkpoint.audit_fault, 192);
	end_audited(a);
}

static void audit_when_marks_are_not_there_yet_then_kept(void **state)
{
	struct audited *a = make_audited();
	ctl_audit_note(&a->audit, 64, digest_of(64));
	ctl_audit_note(&a->audit, 128, digest_of(128) + 1);
	assert_true(ctl_audit_compare(&a->audit, a->shm));
	/* One worker is behind: its sum is not there. */
	mark(a, 64, 2);
	assert_true(ctl_audit_compare(&a->audit, a->shm));
	assert_int_equal(a->shm->checkpoint.compared, 0);
	dp_shm_marks_add(&dp_shm_worker(a->shm, 2)->marks, 64, 64 + 2);
	assert_true(ctl_audit_compare(&a->audit, a->shm));
	assert_int_equal(a->shm->checkpoint.compared, 1);
	mark(a, 128, 3);
	assert_false(ctl_audit_compare(&a->audit, a->shm));
	assert_int_equal(a->shm->checkpoint.audit_fault, 128);
	end_audited(a);
}

static void audit_when_marks_are_overwritten_then_forgotten(void **state)
{
	struct audited *a = make_audited();
	/* The dataplane's are gone before the copy comes so far, though they would differ. */
	ctl_audit_note(&a->audit, 64, 1);
	for (uint64_t i = 2; i <= 2 + DP_SHM_MAX_MARKS; i++)
		mark(a, i * 64, 3);
	assert_true(ctl_audit_compare(&a->audit, a->shm));
	/* And the copy's, before the dataplane comes so far. */
	for (uint64_t i = 1000; i < 1000 + DP_SHM_MAX_MARKS; i++)
		ctl_audit_note(&a->audit, i * 64, digest_of(i * 64));
	mark(a, 64, 3);
	assert_true(ctl_audit_compare(&a->audit, a->shm));
	assert_int_equal(a->shm->checkpoint.compared, 0);
	for (uint64_t i = 1000; i < 1000 + DP_SHM_MAX_MARKS; i++)
		mark(a, i * 64, 3);
	assert_true(ctl_audit_compare(&a->audit, a->shm));
	assert_int_equal(a->shm->checkpoint.compared, DP_SHM_MAX_MARKS);
	assert_int_equal(a->shm->checkpoint.audit_fault, 0);
	end_audited(a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(audit_when_digests_are_equal_then_counted_once),
		cmocka_unit_test(audit_when_one_digest_differs_then_found_and_it_stays_so),
		cmocka_unit_test(audit_when_marks_are_not_there_yet_then_kept),
		cmocka_unit_test(audit_when_marks_are_overwritten_then_forgotten),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
