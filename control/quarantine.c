/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/quarantine.h"

#include "config/bytes.h"
#include "control/text.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define WRITE_BYTES (1u << 20)

/* --- Names --- */

static int note_name(void *context, const char *name)
{
	struct ctl_file_names *names = context;
	if (names->count == names->room) {
		uint32_t room = names->room > 0 ? 2 * names->room : 16;
		void *more = realloc(names->list, (size_t)room * sizeof(names->list[0]));
		if (more == NULL)
			return -ENOMEM;
		names->list = more;
		names->room = room;
	}
	snprintf(names->list[names->count++], sizeof(names->list[0]), "%s", name);
	return 0;
}

int ctl_file_names_read(struct disk *disk, const char *path, struct ctl_file_names *names)
{
	*names = (struct ctl_file_names){0};
	int result = disk->list(disk, path, note_name, names);
	return result == -ENOENT || result == -ENOTDIR ? 0 : result;
}

void ctl_file_names_free(struct ctl_file_names *names)
{
	free(names->list);
	*names = (struct ctl_file_names){0};
}

/* --- Filling --- */

int ctl_quarantine_begin(
	struct ctl_quarantine *quarantine, const struct ctl_log *log, uint64_t first, uint64_t last
)
{
	char above[CTL_PATH_BYTES], name[128], when[CTL_TIME_BYTES] = "";
	time_t seconds = (time_t)(ctl_unix_ns() / 1000000000);
	struct ctl_file_names names;
	struct tm utc;
	bool taken = true;
	*quarantine = (struct ctl_quarantine){.log = log};
	snprintf(above, sizeof(above), "%.300s/quarantine", log->folder);
	int result = ctl_file_names_read(log->disk, above, &names);
	if (result == 0 && gmtime_r(&seconds, &utc))
		strftime(when, sizeof(when), "%Y%m%dT%H%M%SZ", &utc);
	/* Numbers of segments come again behind a cut: a name never does. */
	for (unsigned n = 1; result == 0 && taken; n++) {
		int used =
			snprintf(name, sizeof(name), "%s-%" PRIu64 "-%" PRIu64, when, first, last);
		if (n > 1)
			snprintf(name + used, sizeof(name) - (size_t)used, "-%u", n);
		taken = false;
		for (uint32_t i = 0; i < names.count; i++)
			taken = taken || strcmp(names.list[i], name) == 0;
	}
	ctl_file_names_free(&names);
	snprintf(quarantine->path, sizeof(quarantine->path), "%.300s/%s", above, name);
	return result;
}

static int make(struct ctl_quarantine *quarantine, const char *in)
{
	struct disk *disk = quarantine->log->disk;
	char path[CTL_PATH_BYTES];
	int result = 0;
	snprintf(path, sizeof(path), "%.300s/quarantine", quarantine->log->folder);
	if (!quarantine->made)
		result = disk_make_directory(disk, path);
	if (result == 0 && !quarantine->made)
		result = disk_make_directory(disk, quarantine->path);
	quarantine->made = result == 0;
	snprintf(path, sizeof(path), "%.480s/%s", quarantine->path, in);
	return result == 0 ? disk_make_directory(disk, path) : result;
}

int ctl_quarantine_move(struct ctl_quarantine *quarantine, const char *in, const char *name)
{
	struct disk *disk = quarantine->log->disk;
	char from[CTL_PATH_BYTES], to[CTL_PATH_BYTES];
	int64_t size = 0;
	int result = make(quarantine, in);
	if (result < 0)
		return result;
	snprintf(from, sizeof(from), "%.400s/%s/%.64s", quarantine->log->folder, in, name);
	snprintf(to, sizeof(to), "%.400s/%s/%.64s", quarantine->path, in, name);
	int file = disk->open(disk, from, DISK_READ);
	if (file == -ENOENT)
		return file;
	if (file >= 0) {
		size = disk->size(disk, file);
		disk->close(disk, file);
	}
	result = disk->rename(disk, from, to);
	*strrchr(from, '/') = 0;
	*strrchr(to, '/') = 0;
	/* First where it is to be found, then where it is not any more. */
	if (result == 0)
		result = disk->sync_directory(disk, to);
	if (result == 0)
		result = disk->sync_directory(disk, from);
	if (result == 0) {
		quarantine->files++;
		quarantine->bytes += size > 0 ? (uint64_t)size : 0;
	}
	return result;
}

int ctl_quarantine_put(
	struct ctl_quarantine *quarantine,
	const char *in,
	const char *name,
	const void *data,
	uint64_t bytes
)
{
	struct disk *disk = quarantine->log->disk;
	char path[CTL_PATH_BYTES], temporary[CTL_PATH_BYTES];
	int result = make(quarantine, in);
	snprintf(path, sizeof(path), "%.400s/%s/%.64s", quarantine->path, in, name);
	/* What is there in part must not be taken for the whole. */
	snprintf(temporary, sizeof(temporary), "%.500s.tmp", path);
	int file = result == 0 ? disk->open(disk, temporary, DISK_CREATE) : result;
	if (file < 0)
		return file;
	for (uint64_t at = 0; at < bytes && result == 0; at += WRITE_BYTES)
		result = disk->write(
			disk,
			file,
			(const uint8_t *)data + at,
			(size_t)sf_min64(WRITE_BYTES, bytes - at),
			at
		);
	if (result == 0)
		result = disk->sync(disk, file);
	disk->close(disk, file);
	if (result == 0)
		result = disk->rename(disk, temporary, path);
	else
		disk->remove(disk, temporary);
	*strrchr(path, '/') = 0;
	if (result == 0)
		result = disk->sync_directory(disk, path);
	if (result == 0) {
		quarantine->files++;
		quarantine->bytes += bytes;
	}
	return result;
}

/* --- Measuring --- */

static int measure_folder(struct disk *disk, const char *folder, struct ctl_quarantine_sum *sum)
{
	struct ctl_file_names names;
	char path[CTL_PATH_BYTES];
	int result = ctl_file_names_read(disk, folder, &names);
	for (uint32_t i = 0; i < names.count && result == 0; i++) {
		snprintf(path, sizeof(path), "%.400s/%.100s", folder, names.list[i]);
		int file = disk->open(disk, path, DISK_READ);
		if (file == -EISDIR || file == -ENOENT)
			continue; /* not ours, or just removed */
		int64_t size = file >= 0 ? disk->size(disk, file) : file;
		if (file >= 0)
			disk->close(disk, file);
		if (size < 0)
			result = (int)size;
		else
			sum->bytes += (uint64_t)size;
		sum->files += size >= 0;
	}
	ctl_file_names_free(&names);
	return result;
}

int ctl_quarantine_measure(const struct ctl_log *log, struct ctl_quarantine_sum *sum)
{
	struct ctl_file_names names;
	char above[CTL_PATH_BYTES], path[CTL_PATH_BYTES];
	*sum = (struct ctl_quarantine_sum){0};
	snprintf(above, sizeof(above), "%.300s/quarantine", log->folder);
	int result = ctl_file_names_read(log->disk, above, &names);
	for (uint32_t i = 0; i < names.count && result == 0; i++) {
		sum->folders++;
		snprintf(path, sizeof(path), "%.320s/%.100s/log", above, names.list[i]);
		result = measure_folder(log->disk, path, sum);
		snprintf(path, sizeof(path), "%.320s/%.100s/snap", above, names.list[i]);
		if (result == 0)
			result = measure_folder(log->disk, path, sum);
	}
	ctl_file_names_free(&names);
	return result;
}
