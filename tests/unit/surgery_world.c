/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/unit/surgery_world.h"

#include "config/bytes.h"
#include "control/quarantine.h"
#include "tests/unit/unit.h"

#include <stdlib.h>
#include <string.h>

#define INCARNATION 77

/* --- Making --- */

static void put_file(struct shadow *shadow, const char *path, const void *data, uint64_t bytes)
{
	struct disk *disk = shadow_disk(shadow);
	char folder[CTL_PATH_BYTES];
	int file = disk->open(disk, path, DISK_CREATE);
	assert_true(file >= 0);
	assert_int_equal(disk->write(disk, file, data, bytes, 0), 0);
	assert_int_equal(disk->sync(disk, file), 0);
	disk->close(disk, file);
	snprintf(folder, sizeof(folder), "%s", path);
	*strrchr(folder, '/') = 0;
	assert_int_equal(disk->sync_directory(disk, folder), 0);
}

struct ctl_log surgery_log(const struct surgery_world *s, struct shadow *shadow)
{
	struct ctl_log log;
	ctl_log_init(&log, &s->world->settings, shadow_disk(shadow));
	return log;
}

struct surgery_world *surgery_new(uint64_t seed, uint8_t node)
{
	struct surgery_world *s = calloc(1, sizeof(*s));
	struct ctl_snapshot snapshot;
	struct rec_plan plan;
	char text[1024];
	assert_non_null(s);
	s->world = world_make(seed, 100);
	s->world->settings.node.id = node;
	s->world->settings.arena.slots = 1024;
	snprintf(s->world->settings.log.dir, CFG_TEXT_BYTES, "/log");
	s->shadow = shadow_new();
	s->log = surgery_log(s, s->shadow);
	assert_int_equal(ctl_log_look(&s->log, true, text, sizeof(text)), 0);
	ctl_log_plan(&s->log, &plan, &snapshot, text, sizeof(text));
	assert_int_equal(plan.verdict, REC_FRESH);
	assert_int_equal(ctl_log_carry_out(&s->log, &plan, text, sizeof(text)), 0);
	assert_int_equal(ctl_log_identify(&s->log, true), 0);
	s->digests[0] = ctl_copy_digest(&s->world->copy);
	return s;
}

void surgery_free(struct surgery_world *s)
{
	for (uint32_t i = 0; i < SURGERY_MAX_ENTRIES; i++)
		free(s->entries[i]);
	ctl_log_free(&s->log);
	shadow_free(s->shadow);
	world_free(s->world);
	free(s);
}

static void keep_entry(struct surgery_world *s, const struct rep_entry *entry)
{
	uint32_t bytes = rep_entry_bytes(entry->payload_bytes);
	assert_true(entry->sequence < SURGERY_MAX_ENTRIES);
	s->entries[entry->sequence] = malloc(bytes);
	assert_non_null(s->entries[entry->sequence]);
	memcpy(s->entries[entry->sequence], entry, bytes);
	s->digests[entry->sequence] = ctl_copy_digest(&s->world->copy);
}

static void put_snapshot(struct surgery_world *s)
{
	char path[CTL_PATH_BYTES];
	struct image image = world_snapshot(s->world, &s->position);
	/* It is made for the world's own identity; here it is this node's. */
	snap_header_seal((struct snap_header *)(void *)image.data, &s->log.identity);
	s->snapshots[s->snapshot_count++] = surgery_last(s);
	ctl_snapshot_path(&s->log, surgery_last(s), path);
	put_file(s->shadow, path, image.data, image.bytes);
	free(image.data);
}

static void put_group(struct surgery_world *s, uint8_t *data, uint32_t entries, uint8_t flags)
{
	struct log_group_builder builder;
	uint64_t durable = s->position.next_sequence - 1;
	log_group_begin(
		&builder, data + s->position.offset, 8 * LOG_BLOCK_BYTES, s->position.next_sequence
	);
	for (uint32_t i = 0; i < entries; i++) {
		const struct rep_entry *entry = world_step(s->world);
		uint32_t bytes = rep_entry_bytes(entry->payload_bytes);
		void *place = log_group_room(&builder, bytes);
		assert_non_null(place);
		rep_entry_copy(place, entry);
		log_group_added(&builder, bytes, entry->crc);
		keep_entry(s, entry);
	}
	log_group_seal(
		&builder,
		&s->position,
		&s->log.identity,
		INCARNATION,
		s->world->epoch,
		durable,
		flags,
		2000
	);
}

void surgery_segment(
	struct surgery_world *s,
	uint32_t groups,
	uint32_t entries,
	uint32_t snapshots,
	bool prepared
)
{
	static _Alignas(LOG_BLOCK_BYTES) uint8_t data[SURGERY_SEGMENT_BLOCKS * LOG_BLOCK_BYTES];
	char path[CTL_PATH_BYTES];
	memset(data, 0, sizeof(data));
	s->position.segment++;
	s->position.offset = LOG_BLOCK_BYTES;
	s->position.next_sequence = surgery_last(s) + 1;
	log_segment_header_write(
		data,
		&s->log.identity,
		&s->position,
		sizeof(data),
		INCARNATION,
		s->world->epoch,
		1000
	);
	for (uint32_t g = 0; g < groups; g++) {
		put_group(s, data, entries, 0);
		if (snapshots >> g & 1)
			put_snapshot(s);
	}
	if (s->closed)
		put_group(s, data, 0, LOG_GROUP_CLOSED);
	ctl_log_path(&s->log, s->position.segment, path);
	put_file(s->shadow, path, data, prepared ? sizeof(data) : s->position.offset);
}

void surgery_prepare(struct surgery_world *s, uint32_t count)
{
	static const uint8_t zeros[4 * LOG_BLOCK_BYTES];
	char path[CTL_PATH_BYTES];
	for (uint32_t i = 1; i <= count; i++) {
		ctl_log_path(&s->log, s->position.segment + i, path);
		put_file(s->shadow, path, zeros, sizeof(zeros));
	}
}

static void copy_folder(const struct surgery_world *s, const struct ctl_log *to, const char *in)
{
	char path[CTL_PATH_BYTES];
	struct ctl_file_names names;
	snprintf(path, sizeof(path), "%.400s/%s", s->log.folder, in);
	assert_int_equal(ctl_file_names_read(s->log.disk, path, &names), 0);
	for (uint32_t i = 0; i < names.count; i++) {
		struct ctl_map map;
		snprintf(path, sizeof(path), "%.300s/%s/%.64s", s->log.folder, in, names.list[i]);
		assert_int_equal(ctl_read_file(s->log.disk, path, SNAP_MAX_BYTES, &map), 0);
		snprintf(path, sizeof(path), "%.300s/%s/%.64s", to->folder, in, names.list[i]);
		int file = to->disk->open(to->disk, path, DISK_CREATE);
		assert_true(file >= 0);
		assert_int_equal(to->disk->write(to->disk, file, map.data, map.bytes, 0), 0);
		to->disk->close(to->disk, file);
		ctl_log_unmap(&map);
	}
	ctl_file_names_free(&names);
}

void surgery_copy(const struct surgery_world *s, const struct ctl_log *to)
{
	copy_folder(s, to, "log");
	copy_folder(s, to, "snap");
}

void surgery_remove(struct shadow *shadow, const char *path)
{
	char folder[CTL_PATH_BYTES];
	struct disk *disk = shadow_disk(shadow);
	assert_int_equal(disk->remove(disk, path), 0);
	snprintf(folder, sizeof(folder), "%s", path);
	*strrchr(folder, '/') = 0;
	assert_int_equal(disk->sync_directory(disk, folder), 0);
}

void surgery_flip(struct shadow *shadow, const char *path, uint64_t at)
{
	struct disk *disk = shadow_disk(shadow);
	uint8_t byte;
	int file = disk->open(disk, path, DISK_WRITE);
	assert_true(file >= 0);
	assert_int_equal(disk->read(disk, file, &byte, 1, at), 1);
	byte ^= 4;
	assert_int_equal(disk->write(disk, file, &byte, 1, at), 0);
	assert_int_equal(disk->sync(disk, file), 0);
	disk->close(disk, file);
}

/* --- Checking --- */

static const char *problem(struct surgery_world *s, const char *what, uint64_t which)
{
	snprintf(s->problem, sizeof(s->problem), "%s: %lu", what, which);
	return s->problem;
}

bool surgery_same(const struct surgery_world *s, const struct rep_entry *entry)
{
	uint64_t sequence = entry->sequence;
	/* Its length is in the first part. */
	return sequence < SURGERY_MAX_ENTRIES && s->entries[sequence] != NULL &&
	       memcmp(s->entries[sequence], entry, REP_ENTRY_HEADER_BYTES) == 0 &&
	       memcmp(s->entries[sequence], entry, rep_entry_bytes(entry->payload_bytes)) == 0;
}

/* The entries of a segment from a place on, into the copy. */
static const char *replay_segment(
	struct surgery_world *s,
	const struct ctl_log *log,
	struct log_position *position,
	struct ctl_copy *copy
)
{
	const struct log_group *group;
	struct ctl_map map;
	const char *found = "";
	if (ctl_log_map(log, position->segment, &map) < 0)
		return problem(s, "segment cannot be read", position->segment);
	while (position->offset < map.bytes && *found == 0 &&
	       log_group_check(
		       map.data + position->offset,
		       map.bytes - position->offset,
		       &log->identity,
		       position,
		       &group
	       ) == LOG_OK) {
		const struct rep_entry *entry = log_group_first(group);
		if (group->durable > position->next_sequence - 1)
			found = problem(s, "a mark names what is not there", group->durable);
		for (uint32_t i = 0; i < group->count && *found == 0; i++) {
			if (!surgery_same(s, entry))
				found = problem(s, "entry is not what it was", entry->sequence);
			else if (entry->sequence > copy->sequence && ctl_copy_apply(copy, entry) != REP_SESSION_OK)
				found = problem(s, "entry does not fit", entry->sequence);
			entry = log_next_entry(entry);
		}
	}
	ctl_log_unmap(&map);
	return found;
}

static const char *
replay(struct surgery_world *s,
       const struct ctl_log *log,
       const struct rec_plan *plan,
       const struct snap_header *header,
       struct ctl_copy *copy)
{
	struct log_position position = plan->start;
	const char *found = "";
	if (header != NULL && !ctl_copy_load(copy, header))
		return problem(s, "snapshot does not fit", header->sequence);
	for (uint32_t i = 0; i < log->count && *found == 0; i++) {
		const struct rec_segment *segment = &log->segments[i];
		if (segment->number < plan->start.segment || segment->number > plan->last_segment)
			continue;
		if (segment->number != plan->start.segment)
			position = (struct log_position){
				.segment = segment->number,
				.offset = LOG_BLOCK_BYTES,
				.next_sequence = position.next_sequence,
				.chain = position.chain,
			};
		found = replay_segment(s, log, &position, copy);
	}
	if (*found == 0 && copy->sequence != plan->last_sequence)
		found = problem(s, "replay ends elsewhere", copy->sequence);
	if (*found == 0 && ctl_copy_digest(copy) != s->digests[copy->sequence])
		found = problem(s, "another state", copy->sequence);
	if (*found == 0 && copy->sequence > 0 && plan->position.next_sequence != copy->sequence + 1)
		found = problem(s, "goes on elsewhere", plan->position.next_sequence);
	return found;
}

const char *surgery_check_log(
	struct surgery_world *s, struct ctl_log *log, uint64_t least, uint64_t most, uint64_t *last
)
{
	struct ctl_snapshot snapshot;
	struct rec_plan plan;
	struct ctl_copy copy;
	const char *found = "";
	char text[1024];
	*last = 0;
	if (ctl_log_look(log, true, text, sizeof(text)) < 0)
		return problem(s, "no look", 0);
	ctl_log_plan(log, &plan, &snapshot, text, sizeof(text));
	ctl_log_say(log, &plan, text, sizeof(text));
	*last = plan.last_sequence;
	if (rec_refuses(plan.verdict))
		snprintf(s->problem, sizeof(s->problem), "refused: %.900s", text);
	if (rec_refuses(plan.verdict))
		found = s->problem;
	else if (plan.last_sequence < least || plan.last_sequence > most)
		found = problem(s, "ends with another entry", plan.last_sequence);
	else if (!rec_identity_used(log->identity_state))
		found = problem(s, "the identity has forgotten", log->identity_state);
	assert_int_equal(ctl_copy_init(&copy, &s->world->settings), 0);
	if (*found == 0)
		found = replay(s, log, &plan, snapshot.header, &copy);
	ctl_copy_free(&copy);
	ctl_snapshot_close(&snapshot);
	ctl_log_free(log);
	return found;
}

const char *surgery_check(
	struct surgery_world *s,
	struct shadow *shadow,
	uint64_t least,
	uint64_t most,
	uint64_t *last
)
{
	struct ctl_log log = surgery_log(s, shadow);
	return surgery_check_log(s, &log, least, most, last);
}

/* Notes the entries of a folder in quarantine. */
static void read_quarantine(
	struct surgery_world *s,
	struct shadow *shadow,
	const char *folder,
	bool *there,
	bool *snapshots
)
{
	struct ctl_log log = surgery_log(s, shadow);
	char text[1024];
	snprintf(log.folder, sizeof(log.folder), "%.400s", folder);
	if (ctl_log_look(&log, true, text, sizeof(text)) < 0)
		return;
	for (uint32_t i = 0; i < log.count; i++) {
		const struct rec_segment *segment = &log.segments[i];
		const struct log_group *group;
		struct ctl_map map;
		struct log_position position = {
			.segment = segment->number,
			.offset = LOG_BLOCK_BYTES,
			.next_sequence = segment->first_sequence,
			.chain = segment->chain,
		};
		if (ctl_log_map(&log, segment->number, &map) < 0)
			continue;
		while (position.offset < map.bytes && log_group_check(
							      map.data + position.offset,
							      map.bytes - position.offset,
							      &log.identity,
							      &position,
							      &group
						      ) == LOG_OK) {
			const struct rep_entry *entry = log_group_first(group);
			for (uint32_t j = 0; j < group->count; j++) {
				if (surgery_same(s, entry))
					there[entry->sequence] = true;
				entry = log_next_entry(entry);
			}
		}
		ctl_log_unmap(&map);
	}
	for (uint32_t i = 0; i < log.snapshot_count; i++) {
		struct ctl_snapshot snapshot;
		if (ctl_snapshot_open(&log, log.snapshots[i], &snapshot) == 0 &&
		    snapshot.header != NULL && log.snapshots[i] < SURGERY_MAX_ENTRIES)
			snapshots[log.snapshots[i]] = true;
		ctl_snapshot_close(&snapshot);
	}
	ctl_log_free(&log);
}

const char *surgery_check_quarantine(
	struct surgery_world *s,
	struct shadow *shadow,
	uint64_t first,
	uint64_t last,
	uint64_t above
)
{
	bool there[SURGERY_MAX_ENTRIES] = {0}, snapshots[SURGERY_MAX_ENTRIES] = {0};
	char above_path[CTL_PATH_BYTES], path[CTL_PATH_BYTES];
	struct ctl_file_names names;
	snprintf(above_path, sizeof(above_path), "%.400s/quarantine", s->log.folder);
	assert_int_equal(ctl_file_names_read(shadow_disk(shadow), above_path, &names), 0);
	for (uint32_t i = 0; i < names.count; i++) {
		snprintf(path, sizeof(path), "%.380s/%.100s", above_path, names.list[i]);
		read_quarantine(s, shadow, path, there, snapshots);
	}
	ctl_file_names_free(&names);
	for (uint64_t seq = first; seq <= last; seq++)
		if (!there[seq])
			return problem(s, "entry is not in quarantine", seq);
	for (uint32_t i = 0; i < s->snapshot_count; i++)
		if (s->snapshots[i] > above && !snapshots[s->snapshots[i]])
			return problem(s, "snapshot is not in quarantine", s->snapshots[i]);
	return "";
}
