/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The real disk, in a temporary folder: what the shadow disk promises holds for it as well.
 */
#include "config/check.h"
#include "recovery/disk.h"
#include "recovery/disk_uring.h"
#include "tests/unit/unit.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

static char folder[] = "/tmp/standfast-disk-XXXXXX";
static char path[64], other[64];

static int make_folder(void **state)
{
	if (mkdtemp(folder) == NULL)
		return -1;
	snprintf(path, sizeof(path), "%s/file", folder);
	snprintf(other, sizeof(other), "%s/sub", folder);
	return 0;
}

static int remove_folder(void **state)
{
	return rmdir(folder);
}

/* The limit of a file's size makes the kernel write a part, and name the reason afterwards. */
static void write_when_cut_short_then_the_reason_is_said(void **state)
{
	struct rlimit before, limit;
	static uint8_t data[8192];
	struct disk *disk = &disk_real;
	int file = disk->open(disk, path, DISK_CREATE);
	assert_true(file >= 0);
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	limit = before;
	limit.rlim_cur = 4096;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
	int result = disk->write(disk, file, data, sizeof(data), 0);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
	assert_int_equal(result, -EFBIG);
	assert_int_equal(disk->size(disk, file), 4096);
	disk->close(disk, file);
	assert_int_equal(disk->remove(disk, path), 0);
}

static void file_when_written_synced_cut_and_renamed_then_read_back(void **state)
{
	struct disk *disk = &disk_real;
	char data[100] = "abc", back[100];
	assert_int_equal(disk->open(disk, path, DISK_WRITE), -ENOENT);
	int file = disk->open(disk, path, DISK_CREATE);
	assert_int_equal(disk->open(disk, path, DISK_CREATE), -EEXIST);
	assert_int_equal(disk->write(disk, file, data, sizeof(data), 0), 0);
	assert_int_equal(disk->sync(disk, file), 0);
	assert_false(disk->direct(disk, file));
	assert_int_equal(disk->truncate(disk, file, 50), 0);
	assert_int_equal(disk->read(disk, file, back, sizeof(back), 0), 50);
	assert_memory_equal(data, back, 50);
	disk->close(disk, file);
	assert_int_equal(disk->rename(disk, path, other), 0);
	assert_int_equal(disk->open(disk, path, DISK_READ), -ENOENT);
	assert_int_equal(disk->remove(disk, other), 0);
	assert_int_equal(disk->remove(disk, other), -ENOENT);
	assert_true(disk->free_bytes(disk, folder) > 0);
}

static void directory_when_made_twice_then_it_is_there(void **state)
{
	assert_int_equal(disk_make_directory(&disk_real, other), 0);
	assert_int_equal(disk_make_directory(&disk_real, other), 0);
	assert_int_equal(disk_make_directory(&disk_real, "/nowhere/at/all"), -ENOENT);
	assert_int_equal(rmdir(other), 0);
}

/* What goes to the kernel in one call does the same as two, and fails as they do. */
static void write_and_sync_by_io_uring_is_both(void **state)
{
	struct rlimit before, limit;
	static uint8_t data[8192], back[8192];
	struct disk *disk;
	if (disk_uring_open(&disk) < 0)
		skip(); /* the kernel does not allow it here */
	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)(i * 7);
	int file = disk->open(disk, path, DISK_CREATE);
	assert_true(file >= 0);
	for (uint64_t i = 0; i < 100; i++)
		assert_int_equal(
			disk->write_and_sync(disk, file, data, sizeof(data), i * sizeof(data)), 0
		);
	assert_int_equal(disk->size(disk, file), 100 * sizeof(data));
	assert_int_equal(
		disk->read(disk, file, back, sizeof(back), 99 * sizeof(data)), sizeof(back)
	);
	assert_memory_equal(data, back, sizeof(data));

	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	limit = before;
	limit.rlim_cur = 100 * sizeof(data) + 4096;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
	int result = disk->write_and_sync(disk, file, data, sizeof(data), 100 * sizeof(data));
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
	assert_int_equal(result, -EFBIG);
	disk->close(disk, file);
	assert_int_equal(disk->write_and_sync(disk, file, data, sizeof(data), 0), -EBADF);

	file = disk->open(disk, path, DISK_READ);
	assert_int_equal(disk->write_and_sync(disk, file, data, sizeof(data), 0), -EBADF);
	disk->close(disk, file);
	assert_int_equal(disk->remove(disk, path), 0);
	disk_uring_close(disk);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(write_when_cut_short_then_the_reason_is_said),
		cmocka_unit_test(file_when_written_synced_cut_and_renamed_then_read_back),
		cmocka_unit_test(write_and_sync_by_io_uring_is_both),
		cmocka_unit_test(directory_when_made_twice_then_it_is_there),
	};
	return cmocka_run_group_tests(tests, make_folder, remove_folder) != 0;
}
