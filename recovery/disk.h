/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The one file of the product that writes to disk: every write, sync, rename and removal of log,
 * snapshots and identity goes through this table, so that the tests can put a disk below it that
 * loses, tears and reorders unsynced writes and fails at the Nth call (tests/unit/shadow_disk).
 *
 * All functions return 0 or a count, or a negative errno. Paths are absolute. Nothing is retried
 * here: a write or sync that failed is final for its file (fsyncgate; invariant 31).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum disk_open {
	DISK_READ = 1,	 /* for reading, must exist */
	DISK_WRITE = 2,	 /* for reading and writing, must exist */
	DISK_CREATE = 4, /* for reading and writing, must not exist */
	DISK_DIRECT = 8, /* O_DIRECT where the file system has it, silently without where not */
};

typedef int (*disk_each)(void *context, const char *name); /* not 0: ends the listing with it */

struct disk {
	int (*open)(struct disk *disk, const char *path, unsigned how); /* a handle, ≥ 0 */
	void (*close)(struct disk *disk, int file);
	ssize_t (*read)(struct disk *disk, int file, void *data, size_t bytes, uint64_t offset);
	/* Whole or an error. Why a write was short, the disk says when it gets the rest: a full one
	 * -ENOSPC. */
	int (*write)(struct disk *disk, int file, const void *data, size_t bytes, uint64_t offset);
	int (*sync)(struct disk *disk, int file); /* fdatasync */
	/* Both in one call to the kernel; NULL: this disk has no such way. */
	int (*write_and_sync
	)(struct disk *disk, int file, const void *data, size_t bytes, uint64_t offset);
	int (*truncate)(struct disk *disk, int file, uint64_t bytes);
	int64_t (*size)(struct disk *disk, int file);
	bool (*direct)(struct disk *disk, int file); /* O_DIRECT is really in use */
	int (*rename)(struct disk *disk, const char *from, const char *to);
	int (*remove)(struct disk *disk, const char *path);
	int (*make_directory)(struct disk *disk, const char *path); /* 0700; there already: 0 */
	int (*sync_directory)(struct disk *disk, const char *path);
	int (*list)(struct disk *disk, const char *path, disk_each each, void *context);
	int64_t (*free_bytes)(struct disk *disk, const char *path); /* of the file system */
};

/* Makes a directory and its name durable: that stands in the directory above. */
int disk_make_directory(struct disk *disk, const char *path);

/* The real one. Stateless: handles are file descriptors. */
extern struct disk disk_real;
