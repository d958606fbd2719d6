/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Entries lent while the journal writes them, through several lives and all ways of syncing: dense,
 * whole, and at the end all of them.
 */
#include "control/lend.h"
#include "tests/unit/log_world.h"
#include "tests/unit/unit.h"

#include <string.h>

#define ROOM_BYTES (256u << 10)

static _Alignas(8) uint8_t buffer[ROOM_BYTES];

/* Of so many bytes; what is still in the arena is what must have come. */
static uint64_t expect(const struct world *world, uint64_t first, uint32_t count, uint64_t bytes)
{
	uint64_t at = 0;
	for (uint32_t i = 0; i < count; i++) {
		const struct rep_entry *entry = (const void *)(buffer + at);
		assert_true(at + REP_ENTRY_HEADER_BYTES <= bytes);
		assert_int_equal(entry->sequence, first + i);
		assert_int_equal(entry->crc, rep_entry_crc(entry));
		assert_int_equal(entry->epoch, world->life_of[first + i]);
		if (first + i + WORLD_SLOTS >= world->next)
			assert_memory_equal(
				entry,
				rep_arena_entry(&world->arena, first + i),
				rep_entry_bytes(entry->payload_bytes)
			);
		at += rep_entry_bytes(entry->payload_bytes);
	}
	assert_int_equal(at, bytes);
	return first + count;
}

static uint64_t lend_some(struct world *world, struct ctl_lend *lend, uint64_t next)
{
	uint32_t count;
	uint64_t bytes;
	lend->written = __atomic_load_n(&world->journal.written, __ATOMIC_ACQUIRE);
	int result = ctl_lend_read(
		lend,
		next,
		buffer,
		4096 + random_below(&world->random, ROOM_BYTES - 4096),
		&count,
		&bytes
	);
	if (result < 0)
		fail_msg("SEED=%lu: entry %lu: %d, %s", world->seed, next, result, lend->text);
	assert_true(next + count <= world->next);
	return expect(world, next, count, bytes);
}

static void live(struct world *world, struct ctl_lend *lend, uint64_t *next)
{
	uint64_t steps = 20 + random_below(&world->random, 60);
	assert_int_equal(world_recover(world), 0);
	assert_int_equal(world_open(world), 0);
	for (uint64_t i = 0; i < steps; i++) {
		world_append(world, 1 + (uint32_t)random_below(&world->random, 60));
		world_poll(world, 1 + (uint32_t)random_below(&world->random, 3));
		if (random_below(&world->random, 4) == 0)
			world_pause((long)random_below(&world->random, 300000));
		*next = lend_some(world, lend, *next);
	}
	world_close(world);
	/* The close has written what was left; each read ends at the room's end at least. */
	for (uint64_t before = 0; before != *next;) {
		before = *next;
		*next = lend_some(world, lend, *next);
	}
	if (!world_closed_short(world) && dp_journal_durable(&world->journal) == world->next - 1)
		assert_int_equal(*next, world->next);
}

static void log_when_lent_while_it_is_written_then_dense_and_whole_to_its_end(void **state)
{
	uint64_t base = random_test_seed("test_lend_journal", 1), entries = 0;
	uint64_t seeds = getenv("SEED") ? 1 : world_full_count() ? 300 : 30;
	for (uint64_t seed = base; seed < base + seeds; seed++) {
		struct world *world = world_new(seed, (enum cfg_sync)(seed % 3));
		struct ctl_lend lend;
		struct ctl_log log;
		uint64_t next = 1;
		ctl_log_init(&log, &world->settings, shadow_disk(world->shadow));
		assert_int_equal(ctl_lend_init(&lend, &log), 0);
		for (uint64_t lives = 1 + seed % 3; lives > 0; lives--)
			live(world, &lend, &next);
		assert_int_equal(lend.damage, 0);
		entries += next - 1;
		ctl_lend_close(&lend);
		world_free(world);
	}
	printf("%lu seeds, %lu entries\n", seeds, entries);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(log_when_lent_while_it_is_written_then_dense_and_whole_to_its_end),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
