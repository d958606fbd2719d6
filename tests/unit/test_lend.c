/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Entries and snapshots lent from a log while it grows, while segments go, and where it is damaged:
 * each entry is byte for byte what was written, and nothing that is not whole is lent.
 */
#include "control/lend.h"
#include "tests/unit/surgery_world.h"
#include "tests/unit/unit.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define ROOM_BYTES (64u << 10)
#define LARGEST_BYTES 96 /* of an entry here */

static _Alignas(8) uint8_t buffer[ROOM_BYTES];

static struct surgery_world *make_log(uint64_t seed)
{
	struct surgery_world *s = surgery_new(seed, 1);
	surgery_segment(s, 3, 5, 0, false);
	s->closed = true;
	surgery_segment(s, 4, 7, 1 << 1, true);
	surgery_segment(s, 0, 0, 0, true); /* a life without entries */
	surgery_segment(s, 2, 9, 1 << 0, true);
	return s;
}

static void begin(struct surgery_world *s, struct ctl_lend *lend)
{
	assert_int_equal(ctl_lend_init(lend, &s->log), 0);
}

/* Are these the entries from first on? "" or what is wrong. */
static const char *
compare(struct surgery_world *s, uint64_t first, const uint8_t *data, uint32_t count, uint64_t bytes
)
{
	uint64_t at = 0;
	for (uint32_t i = 0; i < count; i++) {
		const struct rep_entry *entry = (const void *)(data + at);
		uint32_t size = at + REP_ENTRY_HEADER_BYTES <= bytes
					? rep_entry_bytes(entry->payload_bytes)
					: ROOM_BYTES;
		if (at + size > bytes)
			return "less than was said";
		if (entry->sequence != first + i || !surgery_same(s, entry))
			return "another entry";
		at += size;
	}
	return at == bytes ? "" : "more than was said";
}

/* Reads up to the end, as much at a time as fits; the first entry that is not there. */
static uint64_t
read_on(struct surgery_world *s, struct ctl_lend *lend, uint64_t first, uint64_t room)
{
	uint32_t count = 1;
	uint64_t bytes;
	while (count > 0) {
		int result = ctl_lend_read(lend, first, buffer, room, &count, &bytes);
		if (result < 0)
			fail_msg("entry %lu: %d, %s", first, result, lend->text);
		assert_true(bytes <= room);
		assert_string_equal(compare(s, first, buffer, count, bytes), "");
		first += count;
	}
	return first;
}

static void entries_when_read_from_any_and_in_any_portion_then_as_they_were_written(void **state)
{
	struct surgery_world *s = make_log(1);
	struct ctl_lend lend, fresh;
	uint64_t first, last = surgery_last(s);
	begin(s, &lend);
	assert_int_equal(ctl_lend_first(&lend, &first), 0);
	assert_int_equal(first, 1);
	for (uint64_t from = 1; from <= last + 1; from++)
		for (uint64_t room = LARGEST_BYTES; room <= ROOM_BYTES; room *= 3) {
			begin(s, &fresh);
			assert_int_equal(read_on(s, &fresh, from, room), last + 1);
			/* The same reader, wherever it stands. */
			assert_int_equal(read_on(s, &lend, from, room), last + 1);
			ctl_lend_close(&fresh);
		}
	uint32_t count;
	uint64_t bytes;
	assert_int_equal(ctl_lend_read(&lend, 1, buffer, 8, &count, &bytes), -ENOBUFS);
	assert_int_equal(ctl_lend_read(&lend, last + 50, buffer, ROOM_BYTES, &count, &bytes), 0);
	assert_int_equal(count, 0);
	assert_int_equal(lend.damage, 0);
	ctl_lend_close(&lend);
	surgery_free(s);
}

/* The newest segment becomes longer byte by byte, as a write does that is under way. */
static void segment_when_it_grows_then_only_whole_groups_are_lent(void **state)
{
	struct surgery_world *s = make_log(2);
	struct disk *disk = shadow_disk(s->shadow);
	struct ctl_lend lend;
	struct ctl_map map;
	char path[CTL_PATH_BYTES];
	uint64_t before = surgery_last(s), next = 1, steps = 0;
	begin(s, &lend);
	next = read_on(s, &lend, next, ROOM_BYTES);
	assert_int_equal(next, before + 1);
	surgery_segment(s, 6, 4, 0, false);
	ctl_log_path(&s->log, s->position.segment, path);
	assert_int_equal(ctl_read_file(disk, path, LOG_MAX_SEGMENT_BYTES, &map), 0);
	surgery_remove(s->shadow, path);
	/* As the preparer leaves it, then in pieces of any size. */
	surgery_prepare(s, 0);
	int file = disk->open(disk, path, DISK_CREATE);
	assert_true(file >= 0);
	uint8_t *zeros = calloc(1, map.bytes);
	assert_int_equal(disk->write(disk, file, zeros, map.bytes, 0), 0);
	free(zeros);
	for (uint64_t at = 0; at < map.bytes; steps++) {
		uint64_t bytes = sf_min64(1 + steps * 37 % 700, map.bytes - at);
		assert_int_equal(disk->write(disk, file, map.data + at, bytes, at), 0);
		at += bytes;
		uint64_t whole = at >= map.bytes	    ? 6
				 : at < 2 * LOG_BLOCK_BYTES ? 0
							    : at / LOG_BLOCK_BYTES - 1;
		next = read_on(s, &lend, next, ROOM_BYTES);
		/* A group may be whole before its padding is there: that is zero already. */
		assert_true(next == before + 1 + 4 * whole || next == before + 1 + 4 * (whole + 1));
	}
	assert_int_equal(next, surgery_last(s) + 1);
	assert_int_equal(lend.damage, 0);
	disk->close(disk, file);
	ctl_log_unmap(&map);
	ctl_lend_close(&lend);
	surgery_free(s);
}

/* A disk on which the journal writes a good deal, over two turns, at the Nth opening or reading. */
struct busy_disk {
	struct disk disk; /* first: handed out */
	struct disk *under;
	const struct ctl_log *log;
	struct ctl_map maps[3]; /* of segments 2 to 4, as they are in the end */
	uint64_t calls, at;
};

static void write_on(struct busy_disk *busy)
{
	char path[CTL_PATH_BYTES];
	if (++busy->calls != busy->at)
		return;
	for (uint64_t i = 0; i < 3; i++) {
		ctl_log_path(busy->log, 2 + i, path);
		int file = busy->under->open(busy->under, path, DISK_WRITE);
		assert_true(file >= 0);
		assert_int_equal(
			busy->under->write(
				busy->under, file, busy->maps[i].data, busy->maps[i].bytes, 0
			),
			0
		);
		busy->under->close(busy->under, file);
	}
}

static int busy_open(struct disk *disk, const char *path, unsigned how)
{
	struct busy_disk *busy = (struct busy_disk *)(void *)disk;
	write_on(busy);
	return busy->under->open(busy->under, path, how);
}

static ssize_t busy_read(struct disk *disk, int file, void *data, size_t bytes, uint64_t offset)
{
	struct busy_disk *busy = (struct busy_disk *)(void *)disk;
	write_on(busy);
	return busy->under->read(busy->under, file, data, bytes, offset);
}

static int busy_list(struct disk *disk, const char *path, disk_each each, void *context)
{
	struct busy_disk *busy = (struct busy_disk *)(void *)disk;
	return busy->under->list(busy->under, path, each, context);
}

static void busy_close(struct disk *disk, int file)
{
	struct busy_disk *busy = (struct busy_disk *)(void *)disk;
	busy->under->close(busy->under, file);
}

/* kept: blocks of segment 2 that are there from the beginning; the rest, and all of what follows,
 * is zeros then. False: the reading has fewer calls. */
static bool read_while_busy(struct surgery_world *s, uint64_t kept, uint64_t at)
{
	static const uint8_t zeros[SURGERY_SEGMENT_BLOCKS * LOG_BLOCK_BYTES];
	struct shadow *shadow = shadow_crash(s->shadow, SHADOW_LOSE_NONE, 1);
	struct ctl_log log = surgery_log(s, shadow);
	struct busy_disk busy = {.under = log.disk, .log = &log};
	struct ctl_lend lend;
	char path[CTL_PATH_BYTES];
	for (uint64_t i = 0; i < 3; i++) {
		uint64_t from = i == 0 ? kept * LOG_BLOCK_BYTES : 0;
		ctl_log_path(&log, 2 + i, path);
		assert_int_equal(
			ctl_read_file(log.disk, path, LOG_MAX_SEGMENT_BYTES, &busy.maps[i]), 0
		);
		int file = log.disk->open(log.disk, path, DISK_WRITE);
		assert_int_equal(
			log.disk->write(log.disk, file, zeros, busy.maps[i].bytes - from, from), 0
		);
		log.disk->close(log.disk, file);
	}
	busy.disk = *log.disk;
	busy.disk.open = busy_open;
	busy.disk.read = busy_read;
	busy.disk.list = busy_list;
	busy.disk.close = busy_close;
	struct ctl_log same = log;
	same.disk = &busy.disk;
	assert_int_equal(ctl_lend_init(&lend, &same), 0);
	busy.at = at;
	uint64_t next = read_on(s, &lend, 1, ROOM_BYTES);
	bool reached = busy.calls >= at;
	if (reached)
		next = read_on(s, &lend, next, ROOM_BYTES);
	if (*lend.text || (reached && next != surgery_last(s) + 1))
		fail_msg("%lu blocks, call %lu: entry %lu, %s", kept, at, next, lend.text);
	ctl_lend_close(&lend);
	for (uint64_t i = 0; i < 3; i++)
		ctl_log_unmap(&busy.maps[i]);
	shadow_free(shadow);
	return reached;
}

static void log_when_much_is_written_at_any_call_then_it_is_no_damage(void **state)
{
	struct surgery_world *s = surgery_new(8, 1);
	surgery_segment(s, 3, 5, 0, false);
	for (uint32_t i = 0; i < 3; i++)
		surgery_segment(s, 4, 3, 0, true);
	for (uint64_t kept = 0; kept <= 5; kept++)
		for (uint64_t at = 1; read_while_busy(s, kept, at);)
			at++;
	surgery_free(s);
}

static void segments_when_removed_then_first_rises_and_reading_goes_on(void **state)
{
	struct surgery_world *s = make_log(3);
	struct ctl_lend lend, other;
	char path[CTL_PATH_BYTES];
	uint32_t count;
	uint64_t bytes, first;
	begin(s, &lend);
	begin(s, &other);
	/* In the middle of the first one, which is then removed: what is open can still be read. */
	assert_int_equal(ctl_lend_read(&lend, 1, buffer, 3 * LARGEST_BYTES, &count, &bytes), 0);
	uint64_t next = 1 + count;
	ctl_log_path(&s->log, 1, path);
	surgery_remove(s->shadow, path);
	assert_int_equal(ctl_lend_first(&lend, &first), 0);
	assert_int_equal(first, 16);
	assert_int_equal(ctl_lend_read(&other, 15, buffer, ROOM_BYTES, &count, &bytes), -ERANGE);
	assert_int_equal(read_on(s, &lend, next, ROOM_BYTES), surgery_last(s) + 1);
	assert_int_equal(ctl_lend_read(&lend, 1, buffer, ROOM_BYTES, &count, &bytes), -ERANGE);
	/* And with what follows here: it has to go on elsewhere. */
	surgery_segment(s, 3, 3, 0, true);
	assert_int_equal(ctl_lend_read(&other, 16, buffer, LARGEST_BYTES, &count, &bytes), 0);
	for (uint64_t number = 2; number <= 4; number++) {
		ctl_log_path(&s->log, number, path);
		surgery_remove(s->shadow, path);
	}
	int result = 0;
	for (next = 16 + count; result == 0; next += count) {
		result = ctl_lend_read(&other, next, buffer, ROOM_BYTES, &count, &bytes);
		assert_true(result < 0 || count > 0);
	}
	assert_int_equal(result, -ERANGE);
	assert_int_equal(next, 44);
	assert_int_equal(ctl_lend_first(&other, &first), 0);
	assert_int_equal(first, 62);
	assert_int_equal(read_on(s, &other, first, ROOM_BYTES), surgery_last(s) + 1);
	assert_int_equal(other.damage, 0);
	ctl_lend_close(&lend);
	ctl_lend_close(&other);
	surgery_free(s);
}

/* --- Damage --- */

/* Any byte of any group: what is lent is right, and ends before the damage. */
static void group_when_any_byte_is_flipped_then_it_is_never_lent(void **state)
{
	struct surgery_world *s = make_log(4);
	char path[CTL_PATH_BYTES];
	uint64_t last = surgery_last(s);
	for (uint64_t number = 1; number <= 4; number++) {
		uint64_t end = number == 2 ? 5 * LOG_BLOCK_BYTES : 3 * LOG_BLOCK_BYTES;
		for (uint64_t at = 0; at < end; at += 1 + at % 61) {
			struct shadow *disk = shadow_crash(s->shadow, SHADOW_LOSE_NONE, 1);
			struct ctl_log log = surgery_log(s, disk);
			struct ctl_lend lend;
			uint32_t count;
			uint64_t bytes, next = 1, first;
			int result = 0;
			ctl_log_path(&log, number, path);
			surgery_flip(disk, path, at);
			assert_int_equal(ctl_lend_init(&lend, &log), 0);
			lend.written = last;
			while (result == 0 && next <= last) {
				result = ctl_lend_read(
					&lend, next, buffer, ROOM_BYTES, &count, &bytes
				);
				assert_string_equal(compare(s, next, buffer, count, bytes), "");
				if (result == 0 && count == 0)
					break;
				next += count;
			}
			/* It is met, and said, unless nothing was lost by it: the life without
			 * entries, zeros behind the last group, the oldest header. */
			assert_int_equal(ctl_lend_first(&lend, &first), 0);
			if (next <= last) {
				if (result == 0 || *lend.text == 0 || lend.damage != 1)
					fail_msg("%lu of %lu: nothing is said", at, number);
				assert_true(first > next);
			}
			/* Behind it all is lent again. */
			if (first <= last)
				assert_int_equal(read_on(s, &lend, first, ROOM_BYTES), last + 1);
			ctl_lend_close(&lend);
			shadow_free(disk);
		}
	}
	surgery_free(s);
}

/* A checker that looks away: compare must say so when a damaged group is lent. */
static void check_when_a_damaged_group_is_lent_then_it_says_so(void **state)
{
	struct surgery_world *s = make_log(5);
	struct ctl_lend lend;
	uint32_t count;
	uint64_t bytes;
	begin(s, &lend);
	assert_int_equal(ctl_lend_read(&lend, 3, buffer, ROOM_BYTES, &count, &bytes), 0);
	assert_string_equal(compare(s, 3, buffer, count, bytes), "");
	for (uint64_t at = 0; at < bytes; at += 13) {
		buffer[at] ^= 1;
		assert_string_not_equal(compare(s, 3, buffer, count, bytes), "");
		buffer[at] ^= 1;
	}
	assert_string_not_equal(compare(s, 4, buffer, count, bytes), "");
	assert_string_not_equal(compare(s, 3, buffer, count - 1, bytes), "");
	ctl_lend_close(&lend);
	surgery_free(s);
}

static void disk_when_a_call_fails_then_it_says_so_and_the_next_read_goes_on(void **state)
{
	struct surgery_world *s = make_log(6);
	for (uint64_t nth = 1; nth < 60; nth++) {
		struct ctl_lend lend;
		uint32_t count;
		uint64_t bytes, next = 1;
		begin(s, &lend);
		shadow_fail(s->shadow, nth, EIO, false);
		for (int i = 0; i < 100 && next <= surgery_last(s); i++) {
			int result = ctl_lend_read(&lend, next, buffer, 700, &count, &bytes);
			assert_true(result == 0 || result == -EIO || result == -ERANGE);
			assert_string_equal(compare(s, next, buffer, count, bytes), "");
			next += count;
		}
		assert_int_equal(next, surgery_last(s) + 1);
		assert_int_equal(lend.damage, 0);
		ctl_lend_close(&lend);
	}
	shadow_fail(s->shadow, 0, 0, false);
	surgery_free(s);
}

/* --- Snapshots --- */

static void
expect_snapshot(struct surgery_world *s, struct ctl_lend *lend, const struct ctl_map *map)
{
	uint64_t at = 0;
	ssize_t got;
	while ((got = ctl_lend_bytes(lend, lend->sequence, at, buffer, 1000)) > 0) {
		assert_memory_equal(buffer, map->data + at, got);
		at += (uint64_t)got;
	}
	assert_int_equal(got, 0);
	assert_int_equal(at, map->bytes);
	assert_int_equal(lend->total, map->bytes);
}

static void snapshot_when_replaced_then_the_one_in_hand_is_lent_to_its_end(void **state)
{
	struct surgery_world *s = make_log(7);
	struct ctl_lend lend;
	struct ctl_map old, new;
	char path[CTL_PATH_BYTES];
	uint64_t sequence, total, newest;
	begin(s, &lend);
	ctl_snapshot_path(&s->log, s->snapshots[0], path);
	assert_int_equal(ctl_read_file(s->log.disk, path, SNAP_MAX_BYTES, &old), 0);
	ctl_snapshot_path(&s->log, s->snapshots[1], path);
	assert_int_equal(ctl_read_file(s->log.disk, path, SNAP_MAX_BYTES, &new), 0);
	/* One that is not good is passed over. */
	surgery_flip(s->shadow, path, SNAP_HEADER_BYTES + 9);
	assert_int_equal(ctl_lend_snapshot(&lend, &sequence, &total), 0);
	assert_int_equal(sequence, s->snapshots[0]);
	assert_int_equal(ctl_lend_newest(&lend, &newest), 0);
	assert_int_equal(newest, s->snapshots[1]);
	expect_snapshot(s, &lend, &old);
	surgery_flip(s->shadow, path, SNAP_HEADER_BYTES + 9);
	/* The checkpoint thread removes it: it is in hand, and can be read to its end. */
	ctl_snapshot_path(&s->log, s->snapshots[0], path);
	surgery_remove(s->shadow, path);
	expect_snapshot(s, &lend, &old);
	assert_int_equal(ctl_lend_snapshot(&lend, &sequence, &total), 0);
	assert_int_equal(sequence, s->snapshots[1]);
	assert_int_equal(ctl_lend_bytes(&lend, s->snapshots[0], 0, buffer, 8), -ESTALE);
	expect_snapshot(s, &lend, &new);
	ctl_lend_close(&lend);
	begin(s, &lend);
	surgery_remove(s->shadow, (ctl_snapshot_path(&s->log, s->snapshots[1], path), path));
	assert_int_equal(ctl_lend_snapshot(&lend, &sequence, &total), 0);
	assert_int_equal(sequence, 0);
	assert_int_equal(ctl_lend_bytes(&lend, s->snapshots[1], 0, buffer, 8), -ESTALE);
	ctl_lend_close(&lend);
	ctl_log_unmap(&old);
	ctl_log_unmap(&new);
	surgery_free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			entries_when_read_from_any_and_in_any_portion_then_as_they_were_written
		),
		cmocka_unit_test(segment_when_it_grows_then_only_whole_groups_are_lent),
		cmocka_unit_test(log_when_much_is_written_at_any_call_then_it_is_no_damage),
		cmocka_unit_test(segments_when_removed_then_first_rises_and_reading_goes_on),
		cmocka_unit_test(group_when_any_byte_is_flipped_then_it_is_never_lent),
		cmocka_unit_test(check_when_a_damaged_group_is_lent_then_it_says_so),
		cmocka_unit_test(disk_when_a_call_fails_then_it_says_so_and_the_next_read_goes_on),
		cmocka_unit_test(snapshot_when_replaced_then_the_one_in_hand_is_lent_to_its_end),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
