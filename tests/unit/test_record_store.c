/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The role record on a disk that loses, tears and reorders what was not synced, and fails at its
 * Nth call (faults.md P11, S04, S05, S14, S18; inv. 29 to 31): afterwards there is always the old
 * record or the new one; once both copies have it, either may rot.
 *
 * Checks say what is wrong in world->problem rather than fail, so that a canary can ask for it.
 */
#include "config/bytes.h"
#include "recovery/record_store.h"
#include "tests/unit/role_world.h"
#include "tests/unit/shadow_disk.h"
#include "tests/unit/unit.h"

#include <errno.h>
#include <stdlib.h>

#define FOLDER "/log/b"
#define WRITES 6 /* of a life */
#define MAX_TRIED 64

/* Deliberate bugs of the writer. */
enum canary {
	NONE,
	ALWAYS_COPY_0, /* in its place, whatever the other holds */
	NO_SETTLE,     /* copies in turn, and no more */
	NO_SYNC,       /* of files */
	NO_DIRECTORY_SYNC,
	SYNC_TRIED_AGAIN, /* until it says 0 */
	IN_PLACE_AT_ONCE, /* the first write of a life goes over the copy that was read */
	CANARIES,
};

struct world {
	struct shadow *shadow; /* owned */
	struct random random;
	uint64_t seed;
	enum canary canary;
	struct rec_role_store store;
	/* What may be found: the last that was durable, or one that was tried since. */
	bool have;
	struct rec_role durable;
	struct rec_role tried[MAX_TRIED];
	uint32_t tried_count;
	bool settled;	   /* durable is in both copies, and nothing was tried since */
	char problem[256]; /* the first one; "": none */
};

static void problem(struct world *world, const char *what)
{
	if (*world->problem == 0)
		snprintf(
			world->problem,
			sizeof(world->problem),
			"seed %lu, canary %d: %s",
			world->seed,
			world->canary,
			what
		);
}

static int skipped(struct disk *disk, const char *path)
{
	return 0;
}

static void set_faults(struct world *world)
{
	shadow_lie(world->shadow, world->canary == NO_SYNC, world->canary == SYNC_TRIED_AGAIN);
	if (world->canary == NO_DIRECTORY_SYNC)
		shadow_disk(world->shadow)->sync_directory = skipped;
}

static struct world *world_new(uint64_t seed, enum canary canary)
{
	struct world *world = calloc(1, sizeof(*world));
	assert_non_null(world);
	world->seed = seed;
	world->canary = canary;
	world->random = random_seeded(seed);
	world->shadow = shadow_new();
	set_faults(world);
	return world;
}

static void world_free(struct world *world)
{
	shadow_free(world->shadow);
	free(world);
}

/* --- Writing --- */

/* As the store does not: over what is there. */
static int write_over(struct world *world, uint32_t copy, const struct rec_role *role)
{
	struct disk *disk = shadow_disk(world->shadow);
	uint8_t block[REC_ROLE_BYTES];
	char path[64];
	snprintf(path, sizeof(path), FOLDER "/role.%u", copy);
	rec_role_encode(block, &role_identity, role, copy);
	int file = disk->open(disk, path, DISK_WRITE);
	if (file < 0)
		return file;
	int result = disk->write(disk, file, block, sizeof(block), 0);
	if (result == 0)
		result = disk->sync(disk, file);
	disk->close(disk, file);
	return result;
}

static int write_one(struct world *world, const struct rec_role *role)
{
	const struct rec_role_store *store = &world->store;
	uint64_t number = role->record.write_number;
	if (store->error == 0 && store->have && world->canary == ALWAYS_COPY_0 && store->holds[0])
		return write_over(world, 0, role);
	if (store->error == 0 && store->choice.copy < REC_ROLE_COPIES && store->file[0] < 0 &&
	    store->file[1] < 0 && world->canary == IN_PLACE_AT_ONCE)
		return write_over(world, store->choice.copy, role);
	if (world->canary == NO_SETTLE)
		world->store.holds[1 - number % 2] = true;
	return rec_role_store_write(&world->store, role);
}

static void try_write(struct world *world)
{
	uint64_t number = world->store.role.record.write_number + 1;
	if (world->tried_count > 0)
		number = sf_max64(
			number, world->tried[world->tried_count - 1].record.write_number + 1
		);
	/* Numbers mostly follow each other; the store must not depend on it. */
	number += random_below(&world->random, 3) == 0;
	struct rec_role role = role_random(&world->random, number);
	if (world->tried_count == MAX_TRIED)
		return;
	world->tried[world->tried_count++] = role;
	world->settled = false;
	if (write_one(world, &role) != 0)
		return;
	world->durable = role;
	world->have = true;
	world->tried_count = 0;
	world->store.role = role; /* for canaries that go round it */
	if (random_below(&world->random, 2) != 0) {
		bool done = world->canary == NO_SETTLE || rec_role_store_settle(&world->store) == 0;
		world->settled = done;
	}
}

/* inv. 31: after a failure nothing reaches the disk any more. */
static void check_ended(struct world *world)
{
	struct rec_role role = role_random(&world->random, 1000);
	uint64_t calls = shadow_calls(world->shadow);
	int error = world->store.error;
	if (error == 0)
		return;
	if (rec_role_store_write(&world->store, &role) != error ||
	    rec_role_store_settle(&world->store) != error || error > 0)
		problem(world, "a store that failed does not say so");
	if (shadow_calls(world->shadow) != calls)
		problem(world, "a store that failed writes on");
}

/* --- Reading --- */

static bool is_expected(const struct world *world, const struct rec_role *role)
{
	if (world->have && role_equal(role, &world->durable))
		return true;
	for (uint32_t i = 0; i < world->tried_count; i++)
		if (role_equal(role, &world->tried[i]))
			return true;
	return false;
}

static void open_on(struct shadow *shadow, struct rec_role_store *store)
{
	rec_role_store_open(store, shadow_disk(shadow), &role_identity, FOLDER, false);
}

/* Damages one copy of a disk: gone, zeros, half of it, or a bit. */
static void rot(struct shadow *shadow, uint32_t copy, struct random *random)
{
	struct disk *disk = shadow_disk(shadow);
	uint8_t zeros[REC_ROLE_BYTES] = {0}, byte;
	char path[64];
	snprintf(path, sizeof(path), FOLDER "/role.%u", copy);
	uint64_t how = random_below(random, 4), at = random_below(random, REC_ROLE_BYTES);
	int file = disk->open(disk, path, DISK_WRITE);
	assert_true(file >= 0);
	if (how == 0)
		assert_int_equal(disk->remove(disk, path), 0);
	else if (how == 1)
		assert_int_equal(disk->write(disk, file, zeros, sizeof(zeros), 0), 0);
	else if (how == 2)
		assert_int_equal(disk->truncate(disk, file, at), 0);
	else {
		assert_int_equal(disk->read(disk, file, &byte, 1, at), 1);
		byte ^= (uint8_t)(1 << random_below(random, 8));
		assert_int_equal(disk->write(disk, file, &byte, 1, at), 0);
	}
	disk->close(disk, file);
}

/* On a disk as a crash leaves it. */
static void check_image(struct world *world, struct shadow *image)
{
	struct rec_role_store store;
	open_on(image, &store);
	enum rec_role_verdict verdict = store.choice.verdict;
	bool good = verdict == REC_ROLE_WHOLE || verdict == REC_ROLE_ONE_BAD;
	if (!good && world->have)
		problem(world, "neither the old record nor the new one");
	else if (!good && verdict != REC_ROLE_FRESH)
		problem(world, "no record, and not as if there never was one");
	else if (good && !is_expected(world, &store.role))
		problem(world, "a record that nobody expects");
	rec_role_store_close(&store);
	for (uint32_t copy = 0; good && world->settled && copy < REC_ROLE_COPIES; copy++) {
		struct shadow *rotten = shadow_crash(image, SHADOW_LOSE_NONE, 1);
		if (store.choice.fault[copy] == REC_COPY_OK)
			rot(rotten, copy, &world->random);
		open_on(rotten, &store);
		if (store.choice.verdict != REC_ROLE_ONE_BAD ||
		    !role_equal(&store.role, &world->durable))
			problem(world, "one copy rotted, and the record is another");
		rec_role_store_close(&store);
		shadow_free(rotten);
	}
}

static void check_crashes(struct world *world)
{
	for (uint64_t i = 0; i < 4; i++) {
		enum shadow_loss loss = i == 0	 ? SHADOW_LOSE_NONE
					: i == 1 ? SHADOW_LOSE_ALL
						 : SHADOW_LOSE_SOME;
		struct shadow *image = shadow_crash(world->shadow, loss, world->seed * 10 + i);
		check_image(world, image);
		shadow_free(image);
	}
}

/* The node dies here, and goes on with what is left. */
static void crash(struct world *world)
{
	static const enum shadow_loss losses[] = {
		SHADOW_LOSE_NONE, SHADOW_LOSE_SOME, SHADOW_LOSE_ALL};
	struct shadow *left =
		shadow_crash(world->shadow, losses[random_below(&world->random, 3)], world->seed);
	rec_role_store_close(&world->store);
	shadow_free(world->shadow);
	world->shadow = left;
	set_faults(world);
}

/* --- Lives --- */

static void live(struct world *world, uint64_t nth, int error, bool on)
{
	shadow_fail(world->shadow, nth, error, on);
	open_on(world->shadow, &world->store);
	/* Two faults at once: a crash before the record was in both copies, and an error of the
	 * disk where the newer one is. Nothing is promised then. */
	if (!world->settled && (world->store.choice.fault[0] == REC_COPY_UNREADABLE ||
				world->store.choice.fault[1] == REC_COPY_UNREADABLE))
		return;
	for (uint32_t i = 0; i < WRITES && *world->problem == 0; i++) {
		try_write(world);
		/* Right here, with all that is not synced still under way. */
		check_crashes(world);
	}
	check_ended(world);
}

/* Three lives; each of them fails at a call of its own. True: the faults were all reached. */
static bool three_lives(struct world *world, uint64_t nth, int error, bool on)
{
	bool reached = false;
	for (int life = 0; life < 3 && *world->problem == 0; life++) {
		uint64_t at = life == 0 ? nth : 1 + random_below(&world->random, 40);
		live(world, at, error, on);
		reached |= life == 0 && shadow_failed(world->shadow) > 0;
		crash(world);
	}
	/* And one without, that must come out well, both copies whole. */
	if (*world->problem == 0) {
		live(world, 0, 0, false);
		if (world->store.error != 0 || !world->have)
			problem(world, "a good disk, and no record");
	}
	return reached;
}

static uint64_t every_call(enum canary canary, int error, bool on, uint64_t seeds, char found[256])
{
	uint64_t beyond = 0, nth = 1, runs = 0;
	*found = 0;
	for (; beyond < 3 && *found == 0; nth++)
		for (uint64_t seed = 0; seed < seeds && *found == 0; seed++, runs++) {
			struct world *world = world_new(nth * 1000 + seed, canary);
			bool reached = three_lives(world, nth, error, on);
			beyond += seed == 0 && !reached;
			memcpy(found, world->problem, sizeof(world->problem));
			rec_role_store_close(&world->store);
			world_free(world);
		}
	return runs;
}

static void expect_well(int error, bool on)
{
	char found[256];
	const char *count = getenv("STANDFAST_TESTS");
	bool full = count != NULL && strcmp(count, "full") == 0;
	uint64_t runs = every_call(NONE, error, on, full ? 100 : 4, found);
	if (*found)
		fail_msg("error %d%s: %s", error, on ? " from then on" : "", found);
	printf("error %d%s: %lu runs\n", error, on ? " from then on" : "", runs);
	assert_true(runs > 100);
}

static void node_when_it_dies_at_any_call_then_the_old_record_or_the_new_is_there(void **state)
{
	expect_well(EIO, true);
}

static void call_when_it_fails_with_EIO_then_the_old_record_or_the_new_is_there(void **state)
{
	expect_well(EIO, false);
}

static void call_when_it_fails_with_ENOSPC_then_the_old_record_or_the_new_is_there(void **state)
{
	expect_well(ENOSPC, false);
	expect_well(ENOSPC, true);
}

static void write_when_it_is_short_then_the_old_record_or_the_new_is_there(void **state)
{
	expect_well(SHADOW_SHORT, false);
	expect_well(SHADOW_SHORT, true);
}

static void writer_when_it_has_a_bug_then_the_check_says_so(void **state)
{
	static const char *const names[CANARIES] = {
		[ALWAYS_COPY_0] = "always copy 0",
		[NO_SETTLE] = "copies in turn only",
		[NO_SYNC] = "no sync",
		[NO_DIRECTORY_SYNC] = "no sync of the directory",
		[SYNC_TRIED_AGAIN] = "a sync tried again",
		[IN_PLACE_AT_ONCE] = "over what was read",
	};
	for (int canary = NONE + 1; canary < CANARIES; canary++) {
		char found[256];
		every_call((enum canary)canary, EIO, true, 100, found);
		printf("%s: %s\n", names[canary], found);
		if (*found == 0)
			fail_msg("not caught: %s", names[canary]);
	}
}

/* --- Particular --- */

static void store_when_new_is_fresh_and_writes_nothing_by_itself(void **state)
{
	struct shadow *shadow = shadow_new();
	struct rec_role_store store;
	char text[1024];
	open_on(shadow, &store);
	assert_int_equal(store.choice.verdict, REC_ROLE_FRESH);
	assert_int_equal(store.role.record.mode, REP_RECORD_BLANK);
	assert_int_equal(rec_role_store_settle(&store), 0);
	rec_role_store_say(&store, text, sizeof(text));
	assert_string_equal(text, rec_role_verdict_text(REC_ROLE_FRESH));
	rec_role_store_close(&store);
	struct disk *disk = shadow_disk(shadow);
	assert_int_equal(disk->open(disk, FOLDER "/role.0", DISK_READ), -ENOENT);
	shadow_free(shadow);
}

static void copies_when_written_take_turns(void **state)
{
	struct shadow *shadow = shadow_new();
	struct random random = random_seeded(4);
	struct rec_role_store store, look;
	open_on(shadow, &store);
	for (uint64_t number = 1; number <= 6; number++) {
		struct rec_role role = role_random(&random, number);
		assert_int_equal(rec_role_store_write(&store, &role), 0);
		open_on(shadow, &look);
		assert_int_equal(look.choice.copy, number % 2);
		assert_int_equal(look.choice.number[number % 2], number);
		assert_int_equal(look.choice.number[1 - number % 2], number - 1);
		assert_int_equal(rec_role_store_settle(&store), 0);
		open_on(shadow, &look);
		assert_int_equal(look.choice.number[1 - number % 2], number);
	}
	rec_role_store_close(&store);
	shadow_free(shadow);
}

/* The number is the store's when the caller forgets it, and so are cluster and node. */
static void record_when_it_has_an_old_number_gets_the_next(void **state)
{
	struct shadow *shadow = shadow_new();
	struct random random = random_seeded(5);
	struct rec_role_store store;
	struct rec_role role = role_random(&random, 7);
	open_on(shadow, &store);
	assert_int_equal(rec_role_store_write(&store, &role), 0);
	role.record.write_number = 3;
	role.record.cluster_hash = 1;
	role.record.node = 0;
	assert_int_equal(rec_role_store_write(&store, &role), 0);
	rec_role_store_close(&store);
	open_on(shadow, &store);
	assert_int_equal(store.role.record.write_number, 8);
	assert_int_equal(store.role.record.cluster_hash, role_identity.cluster_hash);
	assert_int_equal(store.role.record.node, role_identity.node);
	shadow_free(shadow);
}

/* Both rotted: blank and amnesiac, and so it stays over the next starts (inv. 18). */
static void copies_when_both_are_bad_leave_a_learner_for_good(void **state)
{
	struct shadow *shadow = shadow_new();
	struct random random = random_seeded(6);
	struct rec_role_store store;
	char text[1024];
	open_on(shadow, &store);
	struct rec_role role = role_random(&random, 1);
	assert_int_equal(rec_role_store_write(&store, &role), 0);
	assert_int_equal(rec_role_store_settle(&store), 0);
	rec_role_store_close(&store);
	rot(shadow, 0, &random);
	rot(shadow, 1, &random);
	open_on(shadow, &store);
	assert_int_equal(store.choice.verdict, REC_ROLE_BOTH_BAD);
	rec_role_store_say(&store, text, sizeof(text));
	assert_non_null(strstr(text, "learner"));
	assert_non_null(strstr(text, FOLDER "/role.1"));
	role = store.role;
	rep_record_boot(&role.record, 2, REP_ACK_DURABLE);
	assert_int_equal(rec_role_store_write(&store, &role), 0);
	rec_role_store_close(&store);
	open_on(shadow, &store);
	assert_int_equal(store.choice.verdict, REC_ROLE_ONE_BAD);
	assert_int_equal(store.role.record.mode, REP_RECORD_BLANK);
	assert_true(store.role.record.amnesiac);
	shadow_free(shadow);
}

static void record_when_another_nodes_is_refused_and_left_alone(void **state)
{
	struct shadow *shadow = shadow_new();
	struct random random = random_seeded(7);
	struct log_identity other = role_identity;
	struct rec_role_store store;
	struct rec_role role = role_random(&random, 1);
	other.node = 0;
	rec_role_store_open(&store, shadow_disk(shadow), &other, FOLDER, false);
	assert_int_equal(rec_role_store_write(&store, &role), 0);
	rec_role_store_close(&store);
	uint64_t calls;
	open_on(shadow, &store);
	assert_int_equal(store.choice.verdict, REC_ROLE_OTHER_IDENTITY);
	calls = shadow_calls(shadow);
	assert_int_equal(rec_role_store_write(&store, &role), -EBADMSG);
	assert_int_equal(rec_role_store_settle(&store), -EBADMSG);
	assert_int_equal(shadow_calls(shadow), calls);
	shadow_free(shadow);
}

/* A disk that does not give what it holds is no reason to forget it. */
static void disk_when_it_reads_nothing_then_the_start_is_refused(void **state)
{
	struct shadow *shadow = shadow_new();
	struct random random = random_seeded(8);
	struct rec_role_store store;
	struct rec_role role = role_random(&random, 1);
	open_on(shadow, &store);
	assert_int_equal(rec_role_store_write(&store, &role), 0);
	assert_int_equal(rec_role_store_settle(&store), 0);
	rec_role_store_close(&store);
	shadow_fail(shadow, 1, EIO, true);
	open_on(shadow, &store);
	assert_int_equal(store.choice.verdict, REC_ROLE_UNREADABLE);
	assert_int_equal(rec_role_store_write(&store, &role), -EBADMSG);
	shadow_fail(shadow, 1, EIO, false);
	open_on(shadow, &store);
	assert_int_equal(store.choice.verdict, REC_ROLE_ONE_BAD);
	assert_true(role_equal(&store.role, &role));
	shadow_free(shadow);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(store_when_new_is_fresh_and_writes_nothing_by_itself),
		cmocka_unit_test(copies_when_written_take_turns),
		cmocka_unit_test(record_when_it_has_an_old_number_gets_the_next),
		cmocka_unit_test(copies_when_both_are_bad_leave_a_learner_for_good),
		cmocka_unit_test(record_when_another_nodes_is_refused_and_left_alone),
		cmocka_unit_test(disk_when_it_reads_nothing_then_the_start_is_refused),
		cmocka_unit_test(
			node_when_it_dies_at_any_call_then_the_old_record_or_the_new_is_there
		),
		cmocka_unit_test(call_when_it_fails_with_EIO_then_the_old_record_or_the_new_is_there
		),
		cmocka_unit_test(
			call_when_it_fails_with_ENOSPC_then_the_old_record_or_the_new_is_there
		),
		cmocka_unit_test(write_when_it_is_short_then_the_old_record_or_the_new_is_there),
		cmocka_unit_test(writer_when_it_has_a_bug_then_the_check_says_so),
	};
	return cmocka_run_group_tests(tests, NULL, NULL) != 0;
}
