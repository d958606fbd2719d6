/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Control's carrying out of a plan, interrupted and failing at every call (faults.md S07 to S09,
 * S18, S19): the next look gives an equivalent plan, and what it went on from stays.
 */
#include "tests/unit/log_world.h"
#include "tests/unit/unit.h"

#include <errno.h>
#include <string.h>

#define FIRST_SEGMENT "/log/b/log/00000000000000000001.seg"

struct start {
	struct rec_plan plan;
	enum rec_identity identity;
};

/* Looks, plans and carries out on this disk; `used`: then the identity, if there are entries. */
static int start_on(struct world *world, struct shadow *shadow, bool used, struct start *start)
{
	char text[1024];
	struct ctl_log log;
	*start = (struct start){0};
	ctl_log_init(&log, &world->settings, shadow_disk(shadow));
	int result = ctl_log_look(&log, false, text, sizeof(text));
	if (result == 0) {
		rec_plan_make(
			&start->plan,
			log.identity_state,
			log.segments,
			log.count,
			&(struct rec_base){0}
		);
		start->identity = log.identity_state;
		if (rec_refuses(start->plan.verdict)) {
			ctl_log_say(&log, &start->plan, text, sizeof(text));
			world_problem(world, "refused: %s", text);
			result = -EBADMSG;
		}
	}
	if (result == 0)
		result = ctl_log_carry_out(&log, &start->plan, text, sizeof(text));
	if (result == 0 && used && start->plan.last_sequence > 0)
		result = ctl_log_identify(&log, true);
	ctl_log_free(&log);
	return result;
}

/* What must not change by an interruption: where the log ends, and where it goes on. */
static void same_plan(struct world *world, const struct rec_plan *a, const struct rec_plan *b)
{
	if (a->last_sequence != b->last_sequence ||
	    a->position.next_sequence != b->position.next_sequence ||
	    a->position.segment != b->position.segment || a->position.chain != b->position.chain)
		world_problem(
			world,
			"the plan was %s up to %lu in %lu, and is %s up to %lu in %lu",
			rec_verdict_name(a->verdict),
			a->last_sequence,
			a->position.segment,
			rec_verdict_name(b->verdict),
			b->last_sequence,
			b->position.segment
		);
}

/* A disk as a crash in the middle of a life leaves it. */
static struct world *crashed_world(uint64_t seed)
{
	struct world *world = world_new(seed, (enum cfg_sync)(seed % 3));
	uint64_t lives = seed % 8 ? 1 + random_below(&world->random, 2) : 0;
	/* Small segments, so that there is no end of a segment in every other picture. */
	world->settings.log.segment_bytes = 8 * LOG_BLOCK_BYTES;
	for (uint64_t i = 0; i < lives; i++) {
		assert_int_equal(world_recover(world), 0);
		assert_int_equal(world_open(world), 0);
		uint64_t bursts = 5 + random_below(&world->random, 40);
		for (uint64_t j = 0; j < bursts; j++) {
			world_append(world, 1 + (uint32_t)random_below(&world->random, 20));
			world_poll(world, 4);
			world_pause((long)random_below(&world->random, 100000));
		}
		world_crash(
			world, random_below(&world->random, 4) ? SHADOW_LOSE_SOME : SHADOW_LOSE_NONE
		);
	}
	return world;
}

/* Fails the Nth call of a start, then the power fails. False: the start has fewer calls. */
static bool
interrupt(struct world *world, uint64_t nth, int error, bool on, const struct start *whole)
{
	struct start cut, after, again;
	/* The same loss for each N, or there would be another plan to compare with. */
	struct shadow *disk = shadow_crash(world->shadow, SHADOW_LOSE_NONE, 1);
	shadow_fail(disk, nth, error, on);
	int result = start_on(world, disk, true, &cut);
	bool reached = shadow_failed(disk) > 0;
	if (reached && on && result == 0)
		world_problem(world, "call %lu failed, and nobody says so", nth);
	/* Nothing that was not durable counts until the plan was carried out, so a loss now may
	 * only take what a loss before could have taken as well. */
	struct shadow *lost = shadow_crash(disk, SHADOW_LOSE_SOME, nth);
	struct shadow *kept = shadow_crash(disk, SHADOW_LOSE_NONE, nth);
	if (start_on(world, kept, false, &after) != 0)
		world_problem(world, "call %lu: no start afterwards", nth);
	same_plan(world, &whole->plan, &after.plan);
	if (start_on(world, lost, true, &after) != 0)
		world_problem(world, "call %lu: no start after the loss", nth);
	if (result == 0)
		same_plan(world, &whole->plan, &after.plan);
	if (whole->identity == REC_IDENTITY_OURS && after.identity != REC_IDENTITY_OURS)
		world_problem(world, "call %lu: the identity has forgotten", nth);
	/* Now the plan is carried out, and no loss can take anything away. */
	struct shadow *bare = shadow_crash(lost, SHADOW_LOSE_ALL, nth);
	if (start_on(world, bare, false, &again) != 0)
		world_problem(world, "call %lu: no start at the end", nth);
	same_plan(world, &after.plan, &again.plan);
	if (again.plan.verdict != REC_CLEAN && again.plan.verdict != REC_FRESH)
		world_problem(
			world, "call %lu: %s after all", nth, rec_verdict_name(again.plan.verdict)
		);
	if (again.plan.last_sequence > 0 && again.identity != REC_IDENTITY_OURS)
		world_problem(world, "call %lu: the identity is not durable", nth);
	shadow_free(bare);
	shadow_free(kept);
	shadow_free(lost);
	shadow_free(disk);
	return reached;
}

static void start_when_interrupted_at_any_call_then_the_next_one_has_the_same_plan(void **state)
{
	uint64_t base = random_test_seed("test_log_store", 1), verdicts[REC_VERDICTS] = {0},
		 calls = 0;
	uint64_t seeds = getenv("SEED") ? 1 : world_full_count() ? 1000 : 60;
	for (uint64_t seed = base; seed < base + seeds; seed++) {
		struct world *world = crashed_world(seed);
		/* Nothing is pending here: what is there is what the plan is made of. */
		struct shadow *shadow = world->shadow;
		world->shadow = shadow_crash(shadow, SHADOW_LOSE_SOME, seed);
		shadow_free(shadow);
		struct shadow *copy = shadow_crash(world->shadow, SHADOW_LOSE_NONE, 1);
		struct start whole;
		assert_int_equal(start_on(world, copy, true, &whole), 0);
		shadow_free(copy);
		verdicts[whole.plan.verdict]++;
		const int errors[] = {EIO, ENOSPC, SHADOW_SHORT};
		for (uint64_t nth = 1, more = 1; more && *world->problem == 0; nth++, calls++)
			more = interrupt(
				world, nth, errors[(nth + seed) % 3], (nth + seed) / 3 % 2, &whole
			);
		if (*world->problem)
			fail_msg("%s", world->problem);
		world_free(world);
	}
	for (int v = 0; v < REC_VERDICTS; v++)
		if (verdicts[v] > 0)
			printf("%s: %lu  ", rec_verdict_name((enum rec_verdict)v), verdicts[v]);
	printf("%lu calls\n", calls);
	if (seeds > 1)
		assert_true(verdicts[REC_TORN_TAIL] + verdicts[REC_HOLE] > 0);
}

/* What a killed dataplane left unsynced is durable once control went on from it. */
static struct world *killed_and_started(uint64_t seed, bool lies)
{
	struct start start;
	struct world *world = world_new(seed, CFG_SYNC_NONE);
	struct disk *disk;
	assert_int_equal(world_recover(world), 0);
	assert_int_equal(world_open(world), 0);
	world_append(world, 50);
	for (int i = 0; i < 20000 && dp_shm_load(&world->shm.written) < 10; i++) {
		world_poll(world, 1);
		world_pause(20000);
	}
	world_crash(world, SHADOW_LOSE_NONE);
	disk = shadow_disk(world->shadow);
	if (seed % 2) {
		/* Its sync failed on top: the page cache says that all is well. */
		int file = disk->open(disk, FIRST_SEGMENT, DISK_WRITE);
		assert_true(file >= 0);
		shadow_fail(world->shadow, 1, EIO, false);
		assert_int_equal(disk->sync(disk, file), -EIO);
		shadow_fail(world->shadow, 0, 0, false);
		disk->close(disk, file);
	}
	shadow_lie(world->shadow, lies, false);
	assert_int_equal(start_on(world, world->shadow, true, &start), 0);
	assert_true(start.plan.last_sequence >= 10);
	struct shadow *image = shadow_crash(world->shadow, SHADOW_LOSE_ALL, seed);
	world_check(world, image, start.plan.last_sequence, world->next - 1, true);
	shadow_free(image);
	return world;
}

static void node_when_killed_and_started_then_power_may_fail(void **state)
{
	for (uint64_t seed = 1; seed <= 30; seed++) {
		struct world *world = killed_and_started(seed, false);
		if (*world->problem)
			fail_msg("%s", world->problem);
		world_free(world);
	}
}

static void control_when_it_does_not_sync_then_the_check_says_so(void **state)
{
	bool found = false;
	for (uint64_t seed = 1; seed <= 30 && !found; seed++) {
		struct world *world = killed_and_started(seed, true);
		found = *world->problem != 0;
		world_free(world);
	}
	assert_true(found);
}

/* Only the files that were prepared are left of a log that was used. */
static void used_segments_when_gone_then_the_prepared_ones_do_not_make_it_a_new_log(void **state)
{
	char path[CTL_PATH_BYTES];
	struct ctl_log log;
	struct rec_plan plan;
	struct world *world = world_new(5, CFG_SYNC_GROUP);
	assert_int_equal(world_recover(world), 0);
	assert_int_equal(world_open(world), 0);
	world_append(world, 5);
	world_close(world);
	struct disk *disk = shadow_disk(world->shadow);
	ctl_log_init(&log, &world->settings, disk);
	assert_int_equal(ctl_log_identify(&log, true), 0);
	assert_int_equal(ctl_log_look(&log, false, path, sizeof(path)), 0);
	assert_int_equal(log.count, 2); /* one of them was only prepared */
	ctl_log_path(&log, 1, path);
	assert_int_equal(disk->remove(disk, path), 0);
	assert_int_equal(ctl_log_look(&log, false, path, sizeof(path)), 0);
	assert_int_equal(log.count, 1);
	rec_plan_make(&plan, log.identity_state, log.segments, log.count, &(struct rec_base){0});
	assert_int_equal(plan.verdict, REC_LOST);
	ctl_log_free(&log);
	world_free(world);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			start_when_interrupted_at_any_call_then_the_next_one_has_the_same_plan
		),
		cmocka_unit_test(node_when_killed_and_started_then_power_may_fail),
		cmocka_unit_test(control_when_it_does_not_sync_then_the_check_says_so),
		cmocka_unit_test(
			used_segments_when_gone_then_the_prepared_ones_do_not_make_it_a_new_log
		),
	};
	return cmocka_run_group_tests(tests, NULL, NULL) != 0;
}
