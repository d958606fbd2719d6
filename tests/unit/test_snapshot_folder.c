/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A node's folder with a log and snapshots of it: which one a start begins with, and when it
 * refuses.
 */
#include "control/log_store.h"
#include "tests/unit/snapshot_world.h"
#include "tests/unit/unit.h"

#include <stdlib.h>
#include <string.h>

struct folder {
	struct world *world;
	char path[64];
	struct ctl_log log;
	struct log_position position; /* of the next group */
	struct log_position places[8];
	uint32_t snapshots;
	uint64_t sequences[8];
	char text[2048];
};

static void write_file(const char *path, const void *data, uint64_t bytes)
{
	disk_real.remove(&disk_real, path);
	int file = disk_real.open(&disk_real, path, DISK_CREATE);
	assert_true(file >= 0);
	assert_int_equal(disk_real.write(&disk_real, file, data, bytes, 0), 0);
	disk_real.close(&disk_real, file);
}

/* A segment of so many groups; behind each, a snapshot when its bit is set. */
static void put_segment(struct folder *f, uint32_t groups, uint32_t snapshots)
{
	static _Alignas(LOG_BLOCK_BYTES) uint8_t data[64 * LOG_BLOCK_BYTES];
	char path[CTL_PATH_BYTES];
	memset(data, 0, sizeof(data));
	f->position.segment++;
	f->position.offset = LOG_BLOCK_BYTES;
	f->position.next_sequence = f->world->copy.sequence + 1;
	log_segment_header_write(
		data, &f->log.identity, &f->position, sizeof(data), 77, f->world->epoch, 1000
	);
	for (uint32_t g = 0; g < groups; g++) {
		struct log_group_builder builder;
		uint64_t durable = f->position.next_sequence - 1;
		log_group_begin(
			&builder,
			data + f->position.offset,
			(uint32_t)(sizeof(data) - f->position.offset),
			f->position.next_sequence
		);
		for (uint32_t i = 0; i < 30; i++) {
			const struct rep_entry *entry = world_step(f->world);
			uint32_t bytes = rep_entry_bytes(entry->payload_bytes);
			void *place = log_group_room(&builder, bytes);
			assert_non_null(place);
			rep_entry_copy(place, entry);
			log_group_added(&builder, bytes, entry->crc);
		}
		log_group_seal(
			&builder,
			&f->position,
			&f->log.identity,
			77,
			f->world->epoch,
			durable,
			0,
			2000
		);
		if (!(snapshots >> g & 1))
			continue;
		struct image image = world_snapshot(f->world, &f->position);
		f->places[f->snapshots] = f->position;
		f->sequences[f->snapshots++] = f->world->copy.sequence;
		ctl_snapshot_path(&f->log, f->world->copy.sequence, path);
		write_file(path, image.data, image.bytes);
		free(image.data);
	}
	ctl_log_path(&f->log, f->position.segment, path);
	write_file(path, data, f->position.offset);
}

static void look(struct folder *f, struct rec_plan *plan, struct ctl_snapshot *snapshot)
{
	assert_int_equal(ctl_log_look(&f->log, true, f->text, sizeof(f->text)), 0);
	ctl_log_plan(&f->log, plan, snapshot, f->text, sizeof(f->text));
}

static struct folder *make_folder(uint64_t seed)
{
	struct folder *f = calloc(1, sizeof(*f));
	struct rec_plan plan;
	struct ctl_snapshot snapshot;
	assert_non_null(f);
	f->world = world_make(seed, 200);
	snprintf(f->path, sizeof(f->path), "/tmp/sfplan-XXXXXX");
	assert_non_null(mkdtemp(f->path));
	snprintf(f->world->settings.log.dir, CFG_TEXT_BYTES, "%s", f->path);
	ctl_log_init(&f->log, &f->world->settings, &disk_real);
	f->log.identity = world_identity;
	look(f, &plan, &snapshot);
	assert_int_equal(plan.verdict, REC_FRESH);
	assert_int_equal(ctl_log_carry_out(&f->log, &plan, f->text, sizeof(f->text)), 0);
	assert_int_equal(ctl_log_identify(&f->log, true), 0);
	return f;
}

static void end_folder(struct folder *f)
{
	char command[96];
	snprintf(command, sizeof(command), "rm -rf '%s'", f->path);
	assert_int_equal(system(command), 0);
	ctl_log_free(&f->log);
	world_free(f->world);
	free(f);
}

static void flip(const char *path, uint64_t at)
{
	uint8_t byte;
	int file = disk_real.open(&disk_real, path, DISK_WRITE);
	assert_true(file >= 0);
	assert_int_equal(disk_real.read(&disk_real, file, &byte, 1, at), 1);
	byte ^= 4;
	assert_int_equal(disk_real.write(&disk_real, file, &byte, 1, at), 0);
	disk_real.close(&disk_real, file);
}

static void flip_snapshot(struct folder *f, uint32_t index)
{
	char path[CTL_PATH_BYTES];
	ctl_snapshot_path(&f->log, f->sequences[index], path);
	flip(path, SNAP_HEADER_BYTES + 100);
}

static void remove_segment(struct folder *f, uint64_t number)
{
	char path[CTL_PATH_BYTES];
	ctl_log_path(&f->log, number, path);
	assert_int_equal(disk_real.remove(&disk_real, path), 0);
}

static void expect_from(struct folder *f, uint32_t index)
{
	struct rec_plan plan;
	struct ctl_snapshot snapshot;
	look(f, &plan, &snapshot);
	assert_int_equal(plan.verdict, REC_CLEAN);
	assert_non_null(snapshot.header);
	assert_int_equal(snapshot.header->sequence, f->sequences[index]);
	assert_int_equal(plan.start.segment, f->places[index].segment);
	assert_int_equal(plan.start.offset, f->places[index].offset);
	assert_int_equal(plan.last_sequence, f->world->copy.sequence);
	struct ctl_copy copy;
	assert_int_equal(ctl_copy_init(&copy, &f->world->settings), 0);
	assert_true(ctl_copy_load(&copy, snapshot.header));
	ctl_copy_free(&copy);
	ctl_snapshot_close(&snapshot);
}

static void expect_without(struct folder *f, enum rec_verdict verdict)
{
	struct rec_plan plan;
	struct ctl_snapshot snapshot;
	look(f, &plan, &snapshot);
	assert_int_equal(plan.verdict, verdict);
	assert_null(snapshot.header);
	ctl_snapshot_close(&snapshot);
}

static void folder_when_snapshots_are_damaged_then_the_older_one_then_refused(void **state)
{
	struct folder *f = make_folder(1);
	put_segment(f, 4, 0);
	put_segment(f, 4, 1 << 1);
	put_segment(f, 4, 1 << 2);
	put_segment(f, 3, 0);
	expect_from(f, 1);
	assert_int_equal(f->text[0], 0);
	flip_snapshot(f, 1);
	expect_from(f, 0);
	assert_non_null(strstr(f->text, ".snap at offset"));
	flip_snapshot(f, 0);
	/* The log has everything, from the first entry on. */
	expect_without(f, REC_CLEAN);
	remove_segment(f, 1);
	expect_without(f, REC_NO_BEGIN);
	flip_snapshot(f, 0);
	expect_from(f, 0);
	/* The newer one needs less of the log. */
	remove_segment(f, 2);
	expect_without(f, REC_NO_BEGIN);
	flip_snapshot(f, 1);
	expect_from(f, 1);
	remove_segment(f, 3);
	expect_without(f, REC_NO_BEGIN);
	end_folder(f);
}

static void folder_when_the_log_is_torn_below_a_snapshots_name_then_refused(void **state)
{
	struct folder *f = make_folder(2);
	struct rec_plan plan;
	struct ctl_snapshot snapshot;
	char path[CTL_PATH_BYTES];
	put_segment(f, 4, 1 << 1);
	put_segment(f, 4, 1 << 2);
	flip_snapshot(f, 1);
	/* Behind its place a tear is a tear, … */
	ctl_log_path(&f->log, 2, path);
	flip(path, 4 * LOG_BLOCK_BYTES + 200);
	look(f, &plan, &snapshot);
	assert_true(rec_refuses(plan.verdict) || plan.last_sequence >= f->sequences[1]);
	flip(path, 4 * LOG_BLOCK_BYTES + 200);
	ctl_snapshot_close(&snapshot);
	int file = disk_real.open(&disk_real, path, DISK_WRITE);
	assert_true(file >= 0);
	assert_int_equal(
		disk_real.truncate(&disk_real, file, f->places[1].offset + LOG_BLOCK_BYTES / 2), 0
	);
	look(f, &plan, &snapshot);
	assert_int_equal(plan.verdict, REC_TORN_TAIL);
	assert_int_equal(plan.last_sequence, f->sequences[1]);
	ctl_snapshot_close(&snapshot);
	/* … before it, it is a loss: the name says that this was durable. */
	for (uint64_t bytes = f->places[1].offset - 1; bytes >= LOG_BLOCK_BYTES; bytes -= 1500) {
		assert_int_equal(disk_real.truncate(&disk_real, file, bytes), 0);
		expect_without(f, REC_DAMAGED);
	}
	disk_real.close(&disk_real, file);
	remove_segment(f, 2);
	expect_without(f, REC_DAMAGED);
	end_folder(f);
}

static void folder_when_the_snapshot_is_of_another_log_then_refused(void **state)
{
	struct folder *f = make_folder(3), *g = make_folder(4);
	put_segment(f, 4, 1 << 3);
	put_segment(g, 4, 1 << 3);
	expect_from(f, 0);
	/* The same sequence at the same place, in the life of another log. */
	char ours[CTL_PATH_BYTES], command[3 * CTL_PATH_BYTES];
	char theirs[CTL_PATH_BYTES];
	assert_int_equal(f->sequences[0], g->sequences[0]);
	ctl_snapshot_path(&f->log, f->sequences[0], ours);
	ctl_snapshot_path(&g->log, g->sequences[0], theirs);
	snprintf(command, sizeof(command), "cp '%s' '%s'", theirs, ours);
	assert_int_equal(system(command), 0);
	struct rec_plan plan;
	struct ctl_snapshot snapshot;
	look(f, &plan, &snapshot);
	/* The log alone tells everything, so it may stand for itself; that snapshot may not. */
	assert_null(snapshot.header);
	ctl_snapshot_close(&snapshot);
	end_folder(f);
	end_folder(g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(folder_when_snapshots_are_damaged_then_the_older_one_then_refused),
		cmocka_unit_test(folder_when_the_log_is_torn_below_a_snapshots_name_then_refused),
		cmocka_unit_test(folder_when_the_snapshot_is_of_another_log_then_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
