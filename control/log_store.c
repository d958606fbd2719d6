/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/log_store.h"

#include "config/bytes.h"
#include "control/cut.h"
#include "control/text.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define HUGE_BYTES (2ull << 20)
#define CHUNK_BYTES (1u << 20)

void ctl_log_init(struct ctl_log *log, const struct cfg_settings *settings, struct disk *disk)
{
	*log = (struct ctl_log){
		.identity =
			{
				.cluster_hash = log_cluster_hash(settings->cluster),
				.node = settings->node.id,
			},
		.disk = disk,
		.reach = settings->arena.slots,
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

/* most: reads no more than this; limit: a longer file is refused. */
static int
read_file(struct disk *disk, const char *path, uint64_t most, uint64_t limit, struct ctl_map *map)
{
	int result = 0;
	*map = (struct ctl_map){0};
	int file = disk->open(disk, path, DISK_READ);
	if (file < 0)
		return file;
	int64_t size = disk->size(disk, file);
	if (size < 0 || (uint64_t)size > limit)
		result = size < 0 ? (int)size : -EFBIG;
	if (result == 0 && size > 0) {
		size_t bytes = (size_t)sf_min64((uint64_t)size, most);
		bool large = bytes >= HUGE_BYTES;
		uint64_t alignment = large ? HUGE_BYTES : LOG_BLOCK_BYTES;
		uint8_t *data = aligned_alloc(alignment, sf_round_up(bytes, alignment));
		/* Else a fault for each 4 KiB costs more than the reading. */
		if (data != NULL && large)
			madvise(data, sf_round_up(bytes, HUGE_BYTES), MADV_HUGEPAGE);
		ssize_t got = data != NULL ? disk->read(disk, file, data, bytes, 0) : -ENOMEM;
		if (got > 0) {
			map->data = data;
			map->bytes = (uint64_t)got;
			map->file_bytes = (uint64_t)size;
		} else {
			free(data);
			result = (int)got;
		}
	}
	disk->close(disk, file);
	return result;
}

int ctl_read_file(struct disk *disk, const char *path, uint64_t limit, struct ctl_map *map)
{
	return read_file(disk, path, limit, limit, map);
}

static int
read_segment(const struct ctl_log *log, uint64_t number, uint64_t most, struct ctl_map *map)
{
	char path[CTL_PATH_BYTES];
	ctl_log_path(log, number, path);
	return read_file(log->disk, path, most, LOG_MAX_SEGMENT_BYTES, map);
}

int ctl_log_map(const struct ctl_log *log, uint64_t number, struct ctl_map *map)
{
	return read_segment(log, number, LOG_MAX_SEGMENT_BYTES, map);
}

void ctl_log_unmap(struct ctl_map *map)
{
	free((void *)(uintptr_t)map->data);
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

static int note_snapshot(void *context, const char *name)
{
	struct ctl_log *log = context;
	uint64_t sequence = snap_file_sequence(name);
	if (sequence == 0)
		return 0;
	/* Newest first; what does not fit any more is the oldest. */
	uint32_t at = log->snapshot_count;
	while (at > 0 && log->snapshots[at - 1] < sequence)
		at--;
	if (log->snapshot_count < CTL_MAX_SNAPSHOTS)
		log->snapshot_count++;
	for (uint32_t i = log->snapshot_count - 1; i > at; i--)
		log->snapshots[i] = log->snapshots[i - 1];
	if (at < CTL_MAX_SNAPSHOTS)
		log->snapshots[at] = sequence;
	return 0;
}

static int by_number(const void *a, const void *b)
{
	uint64_t x = ((const struct rec_segment *)a)->number;
	uint64_t y = ((const struct rec_segment *)b)->number;
	return x < y ? -1 : x > y;
}

int ctl_log_look_identity(struct ctl_log *log)
{
	char path[CTL_PATH_BYTES];
	_Alignas(8) uint8_t block[LOG_BLOCK_BYTES];
	snprintf(path, sizeof(path), "%.480s/identity", log->folder);
	log->base = 0;
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
	if (log->identity_state != REC_IDENTITY_VOID)
		return 0;
	ctl_log_free(log);
	log->base = rec_identity_base(block);
	log->snapshots[0] = log->base;
	log->snapshot_count = log->base != 0;
	return 0;
}

static int fail(const char *path, int result, char *error, size_t error_bytes)
{
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

int ctl_log_look_names(struct ctl_log *log, char *error, size_t error_bytes)
{
	char path[CTL_PATH_BYTES];
	ctl_log_free(log);
	log->snapshot_count = 0;
	snprintf(path, sizeof(path), "%.480s/log", log->folder);
	int result = log->disk->list(log->disk, path, note_name, log);
	if (result == 0 || result == -ENOENT) {
		snprintf(path, sizeof(path), "%.480s/snap", log->folder);
		result = log->disk->list(log->disk, path, note_snapshot, log);
	}
	if (result == -ENOENT)
		result = 0;
	if (log->count > 1)
		qsort(log->segments, log->count, sizeof(log->segments[0]), by_number);
	return fail(log->folder, result, error, error_bytes);
}

/* 1 when the file holds nothing but zeros: it was prepared and not used. 0, or a negative errno. */
static int is_unused(const struct ctl_log *log, uint64_t number, uint8_t *chunk, uint64_t *bytes)
{
	char path[CTL_PATH_BYTES];
	ssize_t got;
	bool zero = true;
	ctl_log_path(log, number, path);
	int file = log->disk->open(log->disk, path, DISK_READ);
	if (file < 0)
		return file;
	for (*bytes = 0; zero; *bytes += (uint64_t)got) {
		/* The first block decides nearly always. */
		size_t wanted = *bytes == 0 ? LOG_BLOCK_BYTES : CHUNK_BYTES;
		got = log->disk->read(log->disk, file, chunk, wanted, *bytes);
		if (got <= 0)
			break;
		zero = chunk[0] == 0 && memcmp(chunk, chunk + 1, (size_t)got - 1) == 0;
	}
	log->disk->close(log->disk, file);
	return zero && got < 0 ? (int)got : zero && *bytes >= LOG_BLOCK_BYTES;
}

int ctl_log_look(struct ctl_log *log, bool deep, char *error, size_t error_bytes)
{
	char path[CTL_PATH_BYTES];
	int result = ctl_log_look_names(log, error, error_bytes);
	if (result < 0)
		return result;
	result = ctl_log_look_identity(log);
	snprintf(path, sizeof(path), "%.480s/identity", log->folder);
	uint8_t *chunk = malloc(CHUNK_BYTES);
	if (chunk == NULL)
		result = -ENOMEM;
	unsigned whole = 0;
	for (uint32_t i = log->count; result == 0 && i-- > 0;) {
		struct rec_segment *segment = &log->segments[i];
		struct ctl_map map;
		uint64_t bytes;
		if (whole == 0 && is_unused(log, segment->number, chunk, &bytes) == 1) {
			memset(chunk, 0, LOG_BLOCK_BYTES);
			rec_scan(chunk, LOG_BLOCK_BYTES, &log->identity, segment->number, segment);
			segment->file_bytes = bytes;
			continue;
		}
		bool joined = i + 1 < log->count && segment[1].header == LOG_OK &&
			      segment[1].number == segment->number + 1;
		bool header_only = !deep && whole >= 1 && joined;
		result = read_segment(
			log,
			segment->number,
			header_only ? LOG_BLOCK_BYTES : LOG_MAX_SEGMENT_BYTES,
			&map
		);
		if (result < 0) {
			ctl_log_path(log, segment->number, path);
			break;
		}
		if (header_only)
			rec_scan_header(
				map.data,
				map.bytes,
				map.file_bytes,
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
	free(chunk);
	return fail(path, result, error, error_bytes);
}

/* --- Snapshots and plan --- */

void ctl_snapshot_path(const struct ctl_log *log, uint64_t sequence, char path[CTL_PATH_BYTES])
{
	char name[LOG_FILE_NAME_BYTES];
	snap_file_name(name, sequence);
	snprintf(path, CTL_PATH_BYTES, "%.450s/snap/%s", log->folder, name);
}

void ctl_snapshot_incoming_path(const struct ctl_log *log, char path[CTL_PATH_BYTES])
{
	snprintf(path, CTL_PATH_BYTES, "%.450s/snap/incoming.snap", log->folder);
}

int ctl_snapshot_open(const struct ctl_log *log, uint64_t sequence, struct ctl_snapshot *snapshot)
{
	char path[CTL_PATH_BYTES];
	int result = -ENOENT;
	*snapshot = (struct ctl_snapshot){.fault = LOG_SHORT};
	ctl_snapshot_incoming_path(log, path);
	/* What bears its name may still be an own one that is to go. */
	if (log->identity_state == REC_IDENTITY_VOID && log->base == sequence)
		result = read_file(log->disk, path, SNAP_MAX_BYTES, SNAP_MAX_BYTES, &snapshot->map);
	ctl_snapshot_path(log, sequence, path);
	if (result == -ENOENT)
		result = read_file(log->disk, path, SNAP_MAX_BYTES, SNAP_MAX_BYTES, &snapshot->map);
	if (result < 0 || snapshot->map.data == NULL)
		return result;
	snapshot->fault = snap_check(
		snapshot->map.data,
		snapshot->map.bytes,
		&log->identity,
		&snapshot->header,
		&snapshot->at
	);
	if (snapshot->header != NULL && snapshot->header->sequence != sequence) {
		snapshot->fault = LOG_OTHER_PLACE;
		snapshot->header = NULL;
	}
	return 0;
}

void ctl_snapshot_close(struct ctl_snapshot *snapshot)
{
	ctl_log_unmap(&snapshot->map);
	snapshot->header = NULL;
}

static void
warn(char *warning, size_t bytes, const char *path, const struct ctl_snapshot *snapshot, int result)
{
	size_t used = strlen(warning);
	snprintf(
		warning + used,
		bytes - used,
		"%s%s at offset %" PRIu64 ": %s",
		used > 0 ? "; " : "",
		path,
		snapshot->at,
		result < 0 ? strerror(-result) : log_fault_text(snapshot->fault)
	);
}

void ctl_log_plan(
	const struct ctl_log *log,
	struct rec_plan *plan,
	struct ctl_snapshot *snapshot,
	char *warning,
	size_t warning_bytes
)
{
	struct rec_plan refusal;
	bool refused = false;
	/* A file gets its name only when it is whole, and holds only what was durable: so its name
	 * says what was durable, also when it is damaged. */
	struct rec_base base = {
		.durable = log->snapshot_count > 0 ? log->snapshots[0] : 0,
		.reach = log->reach,
	};
	warning[0] = 0;
	for (uint32_t i = 0; i < log->snapshot_count; i++) {
		char path[CTL_PATH_BYTES];
		int result = ctl_snapshot_open(log, log->snapshots[i], snapshot);
		const struct snap_header *header = snapshot->header;
		if (header == NULL) {
			ctl_snapshot_path(log, log->snapshots[i], path);
			warn(warning, warning_bytes, path, snapshot, result);
			ctl_snapshot_close(snapshot);
			continue;
		}
		base.sequence = header->sequence;
		base.position = (struct log_position){
			.segment = header->segment,
			.offset = header->offset,
			.next_sequence = header->sequence + 1,
			.chain = header->chain,
		};
		rec_plan_make(plan, log->identity_state, log->segments, log->count, &base);
		if (!rec_refuses(plan->verdict))
			return;
		if (!refused)
			refusal = *plan;
		refused = true;
		ctl_snapshot_close(snapshot);
	}
	*snapshot = (struct ctl_snapshot){0};
	base.sequence = 0;
	base.position = (struct log_position){0};
	rec_plan_make(plan, log->identity_state, log->segments, log->count, &base);
	if (rec_refuses(plan->verdict) && refused)
		*plan = refusal;
}

/* --- Carrying out --- */

/* Where the part of a segment begins that nothing calls durable: behind the last group whose
 * entries a mark reaches. */
static uint64_t end_of_durable(
	const struct ctl_log *log, const struct rec_segment *segment, const struct ctl_map *map
)
{
	const struct log_group *group;
	uint64_t end = 0; /* with the header */
	struct log_position position = {
		.segment = segment->number,
		.offset = LOG_BLOCK_BYTES,
		.next_sequence = segment->first_sequence,
		.chain = segment->chain,
	};
	uint64_t limit = sf_min64(segment->end_offset, map->bytes);
	while (position.offset < limit && log_group_check(
						  map->data + position.offset,
						  limit - position.offset,
						  &log->identity,
						  &position,
						  &group
					  ) == LOG_OK) {
		if (position.next_sequence - 1 > segment->durable)
			break;
		if (group->count > 0)
			end = position.offset;
	}
	return end;
}

/* The newest segment, once more: what was read of it may stand in the page cache alone, of a
 * dataplane that was killed before its sync, or whose sync failed, after which another one says 0
 * and does nothing. The log goes on behind it as behind something durable, so it is cut, written
 * again as far as no mark reaches, and synced. */
static int make_durable(struct ctl_log *log, const struct rec_plan *plan)
{
	char path[CTL_PATH_BYTES];
	struct ctl_map map;
	struct disk *disk = log->disk;
	const struct rec_segment *segment = NULL;
	for (uint32_t i = 0; i < log->count; i++)
		if (log->segments[i].number == plan->last_segment)
			segment = &log->segments[i];
	if (segment == NULL)
		return 0;
	int result = read_segment(log, segment->number, segment->end_offset, &map);
	if (result < 0)
		return result;
	uint64_t from = end_of_durable(log, segment, &map);
	uint64_t end = sf_min64(segment->end_offset, map.bytes);
	ctl_log_path(log, segment->number, path);
	int file = disk->open(disk, path, DISK_WRITE);
	if (file < 0) {
		result = file;
	} else {
		if (plan->cut_bytes > 0 && plan->at_segment == segment->number)
			result = disk->truncate(disk, file, plan->at_offset);
		if (result == 0 && from < end)
			result = disk->write(disk, file, map.data + from, end - from, from);
		if (result == 0)
			result = disk->sync(disk, file);
		disk->close(disk, file);
	}
	ctl_log_unmap(&map);
	return result;
}

int ctl_log_mark(struct ctl_log *log, enum rec_identity state, uint64_t base)
{
	char path[CTL_PATH_BYTES], temporary[CTL_PATH_BYTES];
	_Alignas(8) uint8_t block[LOG_BLOCK_BYTES];
	struct disk *disk = log->disk;
	snprintf(path, sizeof(path), "%.480s/identity", log->folder);
	snprintf(temporary, sizeof(temporary), "%.480s/identity.tmp", log->folder);
	rec_identity_mark(block, &log->identity, state, base, ctl_unix_ns());
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

int ctl_log_identify(struct ctl_log *log, bool used)
{
	return ctl_log_mark(log, used ? REC_IDENTITY_OURS : REC_IDENTITY_NEW, 0);
}

int ctl_log_make_folders(struct ctl_log *log)
{
	char path[CTL_PATH_BYTES];
	struct disk *disk = log->disk;
	snprintf(path, sizeof(path), "%s", log->folder);
	*strrchr(path, '/') = 0;
	int result = disk_make_directory(disk, path);
	if (result == 0)
		result = disk_make_directory(disk, log->folder);
	snprintf(path, sizeof(path), "%.480s/log", log->folder);
	if (result == 0)
		result = disk_make_directory(disk, path);
	snprintf(path, sizeof(path), "%.480s/snap", log->folder);
	if (result == 0)
		result = disk_make_directory(disk, path);
	return result;
}

int ctl_log_carry_out(
	struct ctl_log *log, const struct rec_plan *plan, char *error, size_t error_bytes
)
{
	char path[CTL_PATH_BYTES], folder[CTL_PATH_BYTES];
	struct ctl_cut cut;
	int result = ctl_log_make_folders(log);
	if (result == 0 && log->identity_state == REC_IDENTITY_VOID)
		result = ctl_log_give_up(log, &cut);
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
	if (result == 0 && plan->last_segment != 0)
		result = make_durable(log, plan);
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
