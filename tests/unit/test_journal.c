/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The journal and its two threads on a disk that loses, tears, reorders and fails (faults.md 2.4):
 * what it called durable is there after any crash, and a failure is the end of the log or does no
 * harm. Full counts: STANDFAST_TESTS=full.
 */
#include "dataplane/clock.h"
#include "tests/unit/log_world.h"
#include "tests/unit/unit.h"

#include <errno.h>
#include <string.h>

/* Bounds of waits. Both must be over: a machine that stood still for a while has used up the time
 * only. */
#define PATIENCE_NS 10000000000ull
#define PATIENCE_ROUNDS 5000
#define STILL_NS 20000000ull

static const char *const sync_names[] = {"group", "interval", "none"};

static void expect_no_problem(struct world *world)
{
	if (*world->problem)
		fail_msg("%s: %s", sync_names[world->settings.log.sync], world->problem);
}

/* --- Crashes --- */

/* A life up to its end at some moment; pictures of what a crash would leave are checked on the way.
 */
static void live(struct world *world, bool lies)
{
	struct random *random = &world->random;
	if (world_recover(world) < 0 || world_open(world) < 0) {
		world_problem(world, "no start");
		return;
	}
	shadow_lie(world->shadow, lies, false);
	uint64_t steps = 10 + random_below(random, 150);
	for (uint64_t i = 0; i < steps && *world->problem == 0; i++) {
		switch (random_below(random, 16)) {
		case 0:
			world_check_crash(world, SHADOW_LOSE_SOME);
			break;
		case 1:
			world_pause((long)random_below(random, 200000));
			break;
		case 2 ... 6:
			world_append(world, 1 + (uint32_t)random_below(random, 50));
			world_poll(world, 1);
			break;
		default:
			world_poll(world, 1 + (uint32_t)random_below(random, 4));
		}
	}
	world_check_crash(world, SHADOW_LOSE_ALL);
}

static void live_and_crash(struct world *world, uint32_t lives, bool lies)
{
	while (lives-- > 0 && *world->problem == 0) {
		live(world, lies);
		if (!world->open || *world->problem)
			break;
		switch (random_below(&world->random, 4)) {
		case 0:
			world_close(world);
			if (world_closed_short(world))
				world_problem(world, "closed, and not all is durable");
			world_crash(world, SHADOW_LOSE_ALL);
			break;
		case 1:
			world_crash(world, SHADOW_LOSE_NONE);
			break;
		default:
			world_crash(world, SHADOW_LOSE_SOME);
		}
	}
}

static void crash_seeds(enum cfg_sync sync)
{
	uint64_t base = random_test_seed("test_journal", 1);
	uint64_t seeds = getenv("SEED") ? 1 : world_full_count() ? 1000 : 60, entries = 0;
	for (uint64_t i = 0; i < seeds; i++) {
		struct world *world = world_new(base + i, sync);
		live_and_crash(world, 1 + (uint32_t)random_below(&world->random, 3), false);
		expect_no_problem(world);
		entries += world->next - 1;
		world_free(world);
	}
	printf("%s: %lu seeds, %lu entries\n", sync_names[sync], seeds, entries);
}

static void power_when_lost_with_sync_group_then_what_was_durable_is_there(void **state)
{
	crash_seeds(CFG_SYNC_GROUP);
}

static void power_when_lost_with_sync_interval_then_what_was_durable_is_there(void **state)
{
	crash_seeds(CFG_SYNC_INTERVAL);
}

static void power_when_lost_with_sync_none_then_what_was_durable_is_there(void **state)
{
	crash_seeds(CFG_SYNC_NONE);
}

static void sync_when_it_does_nothing_then_the_check_says_so(void **state)
{
	for (int sync = CFG_SYNC_GROUP; sync <= CFG_SYNC_NONE; sync++) {
		bool found = false;
		for (uint64_t seed = 1; seed < 50 && !found; seed++) {
			struct world *world = world_new(seed, (enum cfg_sync)sync);
			live_and_crash(world, 2, true);
			found = strstr(world->problem, "lost:") != NULL ||
				strstr(world->problem, "refused") != NULL;
			world_free(world);
		}
		assert_true(found);
	}
}

/* --- Failures --- */

#define FAULT_ENTRIES 60

struct outcome {
	bool reached;  /* the Nth call happened */
	bool survived; /* the journal did not end */
	bool refused;  /* it did not start */
};

/* Waits until the journal has ended, is full, or all is durable; false: neither. */
static bool settle(struct world *world)
{
	uint64_t begin_ns = dp_clock_monotonic_ns(), waited_ns = 0;
	for (int i = 0; i < PATIENCE_ROUNDS || waited_ns < PATIENCE_NS; i++) {
		waited_ns = dp_clock_monotonic_ns() - begin_ns;
		if (world->next <= FAULT_ENTRIES)
			world_append(world, 7);
		world_poll(world, 1);
		if (dp_journal_failed(&world->journal) != 0 ||
		    (dp_shm_load(&world->shm.full) != 0 && waited_ns > STILL_NS) ||
		    (world->next > FAULT_ENTRIES &&
		     dp_journal_durable(&world->journal) == world->next - 1))
			return true;
		world_pause(20000);
	}
	return false;
}

/* One life with the Nth call failing. */
static struct outcome
live_with_fault(struct world *world, uint64_t nth, int error, bool on, bool lies)
{
	struct outcome outcome = {0};
	world->most_payload = REP_MAX_PAYLOAD_BYTES;
	world->settings.log.segment_bytes = 4 * LOG_BLOCK_BYTES;
	if (world_recover(world) < 0)
		world_problem(world, "no start");
	shadow_fail(world->shadow, nth, error, on);
	shadow_lie(world->shadow, false, lies);
	outcome.refused = world_open(world) < 0;
	if (!outcome.refused) {
		/* In bursts, so that there are several groups. */
		while (world->next <= FAULT_ENTRIES && dp_journal_failed(&world->journal) == 0 &&
		       world_append(world, 7) > 0) {
			world_poll(world, 3);
			world_pause(30000);
		}
		bool settled = settle(world);
		outcome.reached = shadow_failed(world->shadow) > 0;
		outcome.survived = dp_journal_failed(&world->journal) == 0;
		if (!settled)
			world_problem(
				world,
				"call %lu: it hangs: appended %lu, written %lu, durable %lu, "
				"handed %lu, done %lu, segment %lu, prepared %lu, wanted %lu, full "
				"%lu",
				nth,
				world->next - 1,
				dp_shm_load(&world->shm.written),
				dp_journal_durable(&world->journal),
				world->journal.handed,
				dp_shm_load(&world->journal.done),
				world->journal.position.segment,
				dp_shm_load(&world->journal.prepared),
				dp_shm_load(&world->journal.wanted),
				dp_shm_load(&world->shm.full)
			);
		if (settled && outcome.survived && outcome.reached && on && error != ENOSPC)
			world_problem(world, "call %lu: it goes on without a disk", nth);
		world_pause(1000000); /* a sync that was under way has come back */
		uint64_t ended = dp_journal_durable(&world->journal);
		world_close(world);
		if (!on && dp_journal_failed(&world->journal) == 0 && world_closed_short(world))
			world_problem(world, "call %lu: closed, and not all is durable", nth);
		if (!outcome.survived && dp_journal_durable(&world->journal) > ended)
			world_problem(world, "call %lu: durable after the end", nth);
	}
	outcome.reached = shadow_failed(world->shadow) > 0;
	world_check_crash(world, SHADOW_LOSE_ALL);
	world_check_crash(world, SHADOW_LOSE_SOME);
	/* And a later life goes on, on the same disk or after a loss. */
	world_crash(world, nth % 2 ? SHADOW_LOSE_NONE : SHADOW_LOSE_SOME);
	if (*world->problem == 0 && (world_recover(world) < 0 || world_open(world) < 0))
		world_problem(world, "call %lu: no start afterwards", nth);
	if (world->open) {
		world_append(world, 10);
		world_close(world);
		world_check_crash(world, SHADOW_LOSE_ALL);
		if (world_closed_short(world))
			world_problem(world, "call %lu: the life afterwards", nth);
	}
	return outcome;
}

static void every_call_fails(int error, bool on)
{
	uint64_t refused = 0, survived = 0, ended = 0, beyond = 0;
	/* The threads do not take turns in the same way each time, so the end is not one number. */
	for (uint64_t nth = 1; beyond < 5; nth++) {
		struct world *world = world_new(nth, (enum cfg_sync)(nth % 3));
		struct outcome outcome = live_with_fault(world, nth, error, on, false);
		expect_no_problem(world);
		world_free(world);
		refused += outcome.refused;
		survived += outcome.reached && outcome.survived;
		ended += outcome.reached && !outcome.survived && !outcome.refused;
		beyond += !outcome.reached;
		assert_true(nth < 1000);
	}
	printf("error %d%s: %lu ended the log, %lu did not, %lu refused the start\n",
	       error,
	       on ? " from then on" : "",
	       ended,
	       survived,
	       refused);
	assert_true(ended > 0 && refused > 0);
}

static void call_when_it_fails_with_EIO_then_nothing_false_is_durable(void **state)
{
	every_call_fails(EIO, false);
	every_call_fails(EIO, true);
}

static void call_when_it_fails_with_ENOSPC_then_nothing_false_is_durable(void **state)
{
	every_call_fails(ENOSPC, false);
	every_call_fails(ENOSPC, true);
}

static void write_when_it_is_short_then_nothing_false_is_durable(void **state)
{
	every_call_fails(SHADOW_SHORT, false);
	every_call_fails(SHADOW_SHORT, true);
}

static void journal_when_it_goes_on_after_a_failed_sync_then_the_check_says_so(void **state)
{
	bool found = false;
	for (uint64_t nth = 1; nth < 100 && !found; nth++) {
		struct world *world = world_new(nth, CFG_SYNC_GROUP);
		live_with_fault(world, nth, EIO, false, true);
		found = strstr(world->problem, "lost:") != NULL ||
			strstr(world->problem, "refused") != NULL;
		world_free(world);
	}
	assert_true(found);
}

/* --- Room --- */

/* Appends and polls until the disk is full and nothing moves for a while, or (room) until all is
 * durable. */
static void run_until(struct world *world, bool room)
{
	uint64_t begin_ns = dp_clock_monotonic_ns(), now_ns = begin_ns, moved_ns = begin_ns;
	uint64_t last = 0;
	for (int i = 0; i < PATIENCE_ROUNDS || now_ns - begin_ns < PATIENCE_NS; i++) {
		now_ns = dp_clock_monotonic_ns();
		uint64_t durable = dp_journal_durable(&world->journal);
		bool full = dp_shm_load(&world->shm.full) != 0;
		if (durable != last)
			moved_ns = now_ns;
		last = durable;
		if (room ? world->next >= 1500 && durable == world->next - 1 && !full
			 : full && now_ns - moved_ns > 10 * STILL_NS)
			return;
		if (world->next < 1500)
			world_append(world, 20);
		world_poll(world, 2);
		world_pause(20000);
	}
	world_problem(world, "it hangs");
}

static void run_full(uint64_t reserve, uint64_t room, uint64_t segments)
{
	struct world *world = world_new(7, CFG_SYNC_GROUP);
	world->most_payload = REP_MAX_PAYLOAD_BYTES;
	world->settings.log.segment_bytes = 16 * LOG_BLOCK_BYTES;
	world->settings.log.reserve_bytes = reserve;
	assert_int_equal(world_recover(world), 0);
	shadow_limit(world->shadow, room);
	assert_int_equal(world_open(world), 0);
	run_until(world, false);
	uint64_t passed = dp_journal_passed(&world->journal);
	assert_int_equal(dp_shm_load(&world->shm.full), 1);
	assert_int_equal(dp_journal_failed(&world->journal), 0);
	/* All that was ready was used, and then nothing more is taken. */
	assert_int_equal(dp_shm_load(&world->shm.segment), segments);
	assert_true(passed > 0 && passed < world->next - 1);
	assert_int_equal(world_append(world, 1), 0);
	world_check_crash(world, SHADOW_LOSE_ALL);
	shadow_limit(world->shadow, 0);
	run_until(world, true);
	assert_int_equal(dp_shm_load(&world->shm.full), 0);
	assert_int_equal(dp_journal_durable(&world->journal), world->next - 1);
	world_close(world);
	world_check_crash(world, SHADOW_LOSE_ALL);
	expect_no_problem(world);
	world_free(world);
}

static void disk_when_full_then_the_ready_segments_are_used_and_it_goes_on_with_room(void **state)
{
	const uint64_t segment = 16 * LOG_BLOCK_BYTES, identity = LOG_BLOCK_BYTES;
	run_full(1 << 20, (1 << 20) + 3 * segment + identity, 3);
	run_full(1 << 20, (1 << 20) + 4 * segment - 1 + identity, 3);
}

/* --- What status shows --- */

static void direct_when_the_disk_has_it_then_status_says_so(void **state)
{
	for (int how = CFG_AUTO; how <= CFG_OFF; how++) {
		struct world *world = world_new(3, CFG_SYNC_GROUP);
		world->settings.log.direct = (enum cfg_tristate)how;
		assert_int_equal(world_recover(world), 0);
		assert_int_equal(world_open(world), 0);
		world_append(world, 5);
		world_close(world);
		assert_int_equal(dp_shm_load(&world->shm.direct), how != CFG_OFF);
		world_free(world);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(power_when_lost_with_sync_group_then_what_was_durable_is_there),
		cmocka_unit_test(power_when_lost_with_sync_interval_then_what_was_durable_is_there),
		cmocka_unit_test(power_when_lost_with_sync_none_then_what_was_durable_is_there),
		cmocka_unit_test(sync_when_it_does_nothing_then_the_check_says_so),
		cmocka_unit_test(call_when_it_fails_with_EIO_then_nothing_false_is_durable),
		cmocka_unit_test(call_when_it_fails_with_ENOSPC_then_nothing_false_is_durable),
		cmocka_unit_test(write_when_it_is_short_then_nothing_false_is_durable),
		cmocka_unit_test(journal_when_it_goes_on_after_a_failed_sync_then_the_check_says_so
		),
		cmocka_unit_test(
			disk_when_full_then_the_ready_segments_are_used_and_it_goes_on_with_room
		),
		cmocka_unit_test(direct_when_the_disk_has_it_then_status_says_so),
	};
	return cmocka_run_group_tests(tests, NULL, NULL) != 0;
}
