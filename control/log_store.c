/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/log_store.h"

#include "control/text.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

void ctl_log_init(struct ctl_log *log, const struct cfg_settings *settings, struct disk *disk)
{
	*log = (struct ctl_log){
		.identity =
			{
				.cluster_hash = log_cluster_hash(settings->cluster),
				.node = settings->node.id,
			},
		.disk = disk,
	};
	memcpy(log->identity.cluster, settings->cluster, LOG_NAME_BYTES);
	memcpy(log->identity.node_name, settings->node.name, LOG_NAME_BYTES);
	snprintf(log->folder, sizeof(log->folder), "%s/%s", settings->log.dir, settings->node.name);
}

void ctl_log_free(struct ctl_log *log)
{
	free(log->segments);
	log->segments = NULL;
	log->count = 0;
}

void ctl_log_path(const struct ctl_log *log, uint64_t number, char path[CTL_PATH_BYTES])
{
	char name[LOG_FILE_NAME_BYTES];
	log_file_name(name, number);
	snprintf(path, CTL_PATH_BYTES, "%.450s/log/%s", log->folder, name);
}

int ctl_log_map(const struct ctl_log *log, uint64_t number, struct ctl_segment_map *map)
{
	char path[CTL_PATH_BYTES];
	struct stat status;
	int result = 0;
	*map = (struct ctl_segment_map){0};
	ctl_log_path(log, number, path);
	int file = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (file < 0)
		return -errno;
	if (fstat(file, &status) != 0 || (uint64_t)status.st_size > LOG_MAX_SEGMENT_BYTES) {
		result = -EFBIG;
	} else if (status.st_size > 0) {
		void *data = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_SHARED, file, 0);
		if (data == MAP_FAILED) {
			result = -errno;
		} else {
			map->data = data;
			map->bytes = (uint64_t)status.st_size;
			madvise(data, map->bytes, MADV_SEQUENTIAL);
		}
	}
	close(file);
	return result;
}

void ctl_log_unmap(struct ctl_segment_map *map)
{
	if (map->data != NULL)
		munmap((void *)(uintptr_t)map->data, map->bytes);
	map->data = NULL;
}

/* --- Looking --- */

static int note_name(void *context, const char *name)
{
	struct ctl_log *log = context;
	uint64_t number = log_file_number(name);
	if (number == 0)
		return 0;
	if (log->count == REC_MAX_SEGMENTS)
		return -E2BIG;
	if ((log->count & (log->count + 1)) == 0 || log->segments == NULL) {
		size_t room = ((size_t)log->count + 1) * 2 * sizeof(struct rec_segment);
		void *more = realloc(log->segments, room);
		if (more == NULL)
			return -ENOMEM;
		log->segments = more;
	}
	log->segments[log->count++] = (struct rec_segment){.number = number};
	return 0;
}

static int by_number(const void *a, const void *b)
{
	uint64_t x = ((const struct rec_segment *)a)->number;
	uint64_t y = ((const struct rec_segment *)b)->number;
	return x < y ? -1 : x > y;
}

static int look_at_identity(struct ctl_log *log)
{
	char path[CTL_PATH_BYTES];
	_Alignas(8) uint8_t block[LOG_BLOCK_BYTES];
	snprintf(path, sizeof(path), "%.480s/identity", log->folder);
	int file = log->disk->open(log->disk, path, DISK_READ);
	if (file == -ENOENT) {
		log->identity_state = REC_IDENTITY_NONE;
		return 0;
	}
	if (file < 0)
		return file;
	ssize_t got = log->disk->read(log->disk, file, block, sizeof(block), 0);
	log->disk->close(log->disk, file);
	if (got < 0)
		return (int)got;
	log->identity_state = rec_identity_check(block, (uint64_t)got, &log->identity);
	return 0;
}

int ctl_log_look(struct ctl_log *log, bool deep, char *error, size_t error_bytes)
{
	char path[CTL_PATH_BYTES];
	ctl_log_free(log);
	snprintf(path, sizeof(path), "%.480s/log", log->folder);
	int result = log->disk->list(log->disk, path, note_name, log);
	if (result == -ENOENT)
		result = 0;
	if (result == 0) {
		result = look_at_identity(log);
		snprintf(path, sizeof(path), "%.480s/identity", log->folder);
	}
	if (log->count > 1)
		qsort(log->segments, log->count, sizeof(log->segments[0]), by_number);
	unsigned whole = 0;
	for (uint32_t i = log->count; result == 0 && i-- > 0;) {
		struct rec_segment *segment = &log->segments[i];
		struct ctl_segment_map map;
		result = ctl_log_map(log, segment->number, &map);
		if (result < 0) {
			ctl_log_path(log, segment->number, path);
			break;
		}
		bool joined = i + 1 < log->count && segment[1].header == LOG_OK &&
			      segment[1].number == segment->number + 1;
		if (!deep && whole >= 2 && joined && map.bytes >= LOG_BLOCK_BYTES)
			rec_scan_header(
				map.data,
				map.bytes,
				&log->identity,
				segment->number,
				&segment[1],
				segment
			);
		else
			rec_scan(map.data, map.bytes, &log->identity, segment->number, segment);
		whole += segment->groups > 0;
		ctl_log_unmap(&map);
	}
	if (result < 0)
		snprintf(
			error,
			error_bytes,
			"%s: %s; see to the disk, then start standfast-control again",
			path,
			strerror(-result)
		);
	return result;
}

/* --- Carrying out --- */

static int cut(struct ctl_log *log, const struct rec_plan *plan)
{
	char path[CTL_PATH_BYTES];
	ctl_log_path(log, plan->at_segment, path);
	int file = log->disk->open(log->disk, path, DISK_WRITE);
	if (file < 0)
		return file;
	int result = log->disk->truncate(log->disk, file, plan->at_offset);
	if (result == 0)
		result = log->disk->sync(log->disk, file);
	log->disk->close(log->disk, file);
	return result;
}

int ctl_log_identify(struct ctl_log *log, bool used)
{
	char path[CTL_PATH_BYTES], temporary[CTL_PATH_BYTES];
	_Alignas(8) uint8_t block[LOG_BLOCK_BYTES];
	struct disk *disk = log->disk;
	snprintf(path, sizeof(path), "%.480s/identity", log->folder);
	snprintf(temporary, sizeof(temporary), "%.480s/identity.tmp", log->folder);
	rec_identity_write(block, &log->identity, used, ctl_unix_ns());
	disk->remove(disk, temporary); /* of a killed control */
	int file = disk->open(disk, temporary, DISK_CREATE);
	if (file < 0)
		return file;
	int result = disk->write(disk, file, block, sizeof(block), 0);
	if (result == 0)
		result = disk->sync(disk, file);
	disk->close(disk, file);
	if (result == 0)
		result = disk->rename(disk, temporary, path);
	return result == 0 ? disk->sync_directory(disk, log->folder) : result;
}

static int make_folders(struct ctl_log *log)
{
	char path[CTL_PATH_BYTES];
	struct disk *disk = log->disk;
	snprintf(path, sizeof(path), "%s", log->folder);
	*strrchr(path, '/') = 0;
	int result = disk->make_directory(disk, path);
	if (result == 0)
		result = disk->make_directory(disk, log->folder);
	snprintf(path, sizeof(path), "%.480s/log", log->folder);
	if (result == 0)
		result = disk->make_directory(disk, path);
	snprintf(path, sizeof(path), "%.480s/snap", log->folder);
	if (result == 0)
		result = disk->make_directory(disk, path);
	return result == 0 ? disk->sync_directory(disk, log->folder) : result;
}

int ctl_log_carry_out(
	struct ctl_log *log, const struct rec_plan *plan, char *error, size_t error_bytes
)
{
	char path[CTL_PATH_BYTES], folder[CTL_PATH_BYTES];
	int result = make_folders(log);
	snprintf(folder, sizeof(folder), "%.480s/log", log->folder);
	/* From the newest on, each for good before the next: a crash leaves no number out. */
	for (uint32_t i = log->count; result == 0 && i-- > 0;) {
		if (log->segments[i].number < plan->position.segment)
			break;
		ctl_log_path(log, log->segments[i].number, path);
		result = log->disk->remove(log->disk, path);
		if (result == 0)
			result = log->disk->sync_directory(log->disk, folder);
	}
	if (result == 0 && plan->cut_bytes > 0 && plan->at_segment < plan->position.segment)
		result = cut(log, plan);
	if (result == 0)
		result = log->disk->sync_directory(log->disk, folder);
	if (result == 0 && log->identity_state == REC_IDENTITY_NONE)
		result = ctl_log_identify(log, false);
	if (result < 0)
		snprintf(error, error_bytes, "%s: %s", log->folder, strerror(-result));
	return result;
}

void ctl_log_say(
	const struct ctl_log *log, const struct rec_plan *plan, char *text, size_t text_bytes
)
{
	char path[CTL_PATH_BYTES] = "";
	int used = snprintf(text, text_bytes, "%s", rec_verdict_text(plan->verdict));
	if (plan->at_segment != 0) {
		ctl_log_path(log, plan->at_segment, path);
		used += snprintf(
			text + used,
			text_bytes - (size_t)used,
			": %s at offset %" PRIu64 ": %s",
			path,
			plan->at_offset,
			log_fault_text(plan->fault)
		);
	} else if (rec_refuses(plan->verdict)) {
		used += snprintf(text + used, text_bytes - (size_t)used, ": %s", log->folder);
	}
	if ((size_t)used < text_bytes && *rec_verdict_remedy(plan->verdict))
		snprintf(
			text + used,
			text_bytes - (size_t)used,
			"; %s",
			rec_verdict_remedy(plan->verdict)
		);
}
