/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/cut.h"

#include "config/bytes.h"
#include "control/quarantine.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One cut under way. */
struct surgery {
	struct ctl_log *log;
	uint64_t keep;
	struct ctl_quarantine quarantine;
	struct ctl_cut *result;
	char *text;
	size_t text_bytes;
	/* The segment that holds keep. */
	uint32_t at; /* index */
	struct ctl_map map;
	bool shortens;		 /* it loses something */
	struct log_position end; /* behind keep */
	uint64_t whole_bytes;	 /* that stay as they are */
	uint8_t *group;		 /* sealed anew, behind those; owned, NULL: none */
	uint32_t group_bytes;
};

static bool unused(const struct rec_segment *segment)
{
	return segment->header == LOG_EMPTY && segment->end == LOG_EMPTY;
}

static void folder_of(const struct ctl_log *log, const char *in, char path[CTL_PATH_BYTES])
{
	snprintf(path, CTL_PATH_BYTES, "%.450s/%s", log->folder, in);
}

/* --- What is to stay --- */

/* The same group with the entries up to keep, behind `before`. */
static int seal_shorter(struct surgery *s, const struct log_group *group)
{
	struct log_group_builder builder;
	const struct rep_entry *entry = log_group_first(group);
	uint32_t room = (uint32_t)log_group_space(group->bytes);
	s->group = aligned_alloc(LOG_BLOCK_BYTES, room);
	if (s->group == NULL)
		return -ENOMEM;
	log_group_begin(&builder, s->group, room, group->first_sequence);
	for (uint64_t seq = group->first_sequence; seq <= s->keep; seq++) {
		uint32_t bytes = rep_entry_bytes(entry->payload_bytes);
		void *place = log_group_room(&builder, bytes);
		CHECK(place != NULL);
		rep_entry_copy(place, entry);
		log_group_added(&builder, bytes, entry->crc);
		entry = log_next_entry(entry);
	}
	s->group_bytes = log_group_seal(
		&builder,
		&s->end,
		&s->log->identity,
		group->incarnation,
		group->epoch,
		group->durable,
		0,
		group->written_unix_ns
	);
	return 0;
}

/* Where keep's group ends in its segment. */
static int find_end(struct surgery *s)
{
	const struct rec_segment *segment = &s->log->segments[s->at];
	const struct log_group *group;
	int result = ctl_log_map(s->log, segment->number, &s->map);
	s->shortens = segment->last_sequence > s->keep || segment->end != LOG_EMPTY;
	s->end = (struct log_position){
		.segment = segment->number,
		.offset = LOG_BLOCK_BYTES,
		.next_sequence = segment->first_sequence,
		.chain = segment->chain,
	};
	while (result == 0 && s->end.next_sequence <= s->keep) {
		struct log_position before = s->end;
		if (s->end.offset >= s->map.bytes || log_group_check(
							     s->map.data + s->end.offset,
							     s->map.bytes - s->end.offset,
							     &s->log->identity,
							     &s->end,
							     &group
						     ) != LOG_OK)
			return -EIO; /* the look found it whole */
		s->whole_bytes = s->end.offset;
		if (s->end.next_sequence - 1 > s->keep) {
			s->end = before;
			s->whole_bytes = before.offset;
			result = seal_shorter(s, group);
		}
	}
	if (s->whole_bytes == 0)
		s->whole_bytes = LOG_BLOCK_BYTES;
	return result;
}

/* The last segment with entries up to keep; or the one that begins behind a snapshot at keep. */
static bool find_segment(struct surgery *s)
{
	bool found = false;
	for (uint32_t i = 0; i < s->log->count; i++) {
		const struct rec_segment *segment = &s->log->segments[i];
		if (segment->header != LOG_OK || segment->first_sequence > s->keep + 1 ||
		    (found && segment->first_sequence == s->keep + 1))
			continue;
		s->at = i;
		found = true;
	}
	return found;
}

static int not_possible(struct surgery *s, int result, const char *why)
{
	snprintf(
		s->text,
		s->text_bytes,
		"the log cannot be cut at entry %" PRIu64 ": %s; nothing was changed",
		s->keep,
		why
	);
	return result;
}

/* Is what would be left a log that ends with keep? */
static int judge_rest(struct surgery *s)
{
	struct ctl_log rest = *s->log;
	struct ctl_snapshot snapshot;
	struct rec_plan plan;
	char text[1024];
	uint32_t gone = 0;
	while (gone < rest.snapshot_count && rest.snapshots[gone] > s->keep)
		gone++;
	rest.snapshot_count -= gone;
	memmove(rest.snapshots, rest.snapshots + gone, rest.snapshot_count * sizeof(uint64_t));
	rest.count = s->at + 1;
	rest.segments = malloc(rest.count * sizeof(rest.segments[0]));
	if (rest.segments == NULL)
		return -ENOMEM;
	memcpy(rest.segments, s->log->segments, rest.count * sizeof(rest.segments[0]));
	struct rec_segment *last = &rest.segments[s->at];
	if (s->shortens) {
		last->last_sequence = s->keep;
		last->end_offset = s->end.offset;
		last->end_chain = s->end.chain;
		last->end = LOG_EMPTY;
		last->durable = sf_min64(last->durable, s->keep);
		last->groups_behind = last->durable_behind = 0;
	}
	ctl_log_plan(&rest, &plan, &snapshot, text, sizeof(text));
	ctl_snapshot_close(&snapshot);
	ctl_log_say(&rest, &plan, text, sizeof(text));
	free(rest.segments);
	if (plan.verdict == REC_NO_BEGIN || (plan.verdict == REC_MISSING && plan.at_segment == 0))
		return not_possible(s, -ENODATA, text);
	if (rec_refuses(plan.verdict))
		return not_possible(s, -EBADMSG, text);
	if (plan.verdict != REC_CLEAN || plan.last_sequence != s->keep)
		return not_possible(s, -EBADMSG, "what is to be kept is not whole");
	return 0;
}

static int too_far(struct surgery *s, uint64_t last)
{
	char why[64];
	snprintf(why, sizeof(why), "it ends with entry %" PRIu64, last);
	return not_possible(s, -ERANGE, why);
}

static int broken(struct surgery *s, const struct rec_segment *segment)
{
	char path[CTL_PATH_BYTES], why[CTL_PATH_BYTES + 128];
	ctl_log_path(s->log, segment->number, path);
	snprintf(
		why,
		sizeof(why),
		"%s at offset %" PRIu64 ": %s",
		path,
		segment->end_offset,
		log_fault_text(segment->end)
	);
	return not_possible(s, -EBADMSG, why);
}

static int verify(struct surgery *s)
{
	struct ctl_log *log = s->log;
	uint64_t last = log->snapshot_count > 0 ? log->snapshots[0] : 0;
	for (uint32_t i = 0; i < log->count; i++) {
		const struct rec_segment *segment = &log->segments[i];
		if (segment->header != LOG_OK)
			continue;
		last = sf_max64(last, segment->last_sequence);
		if (segment->last_sequence > s->keep)
			s->result->entries += segment->last_sequence -
					      sf_max64(segment->first_sequence - 1, s->keep);
	}
	s->result->last = last;
	if (!find_segment(s))
		return last < s->keep ? too_far(s, last)
				      : not_possible(s, -ENODATA, "it begins behind that");
	const struct rec_segment *segment = &log->segments[s->at];
	if (segment->last_sequence < s->keep && segment->end == LOG_EMPTY && last < s->keep)
		return too_far(s, last);
	if (segment->last_sequence < s->keep)
		return broken(s, segment);
	int result = find_end(s);
	return result == 0 ? judge_rest(s) : result;
}

/* --- Carrying out --- */

/* Makes a file in log/ under its name, whole and durable, over the one that bears it. */
static int
write_aside(struct ctl_log *log, const void *a, uint64_t a_bytes, const void *b, uint64_t b_bytes)
{
	char path[CTL_PATH_BYTES];
	struct disk *disk = log->disk;
	folder_of(log, "log/cut.tmp", path);
	disk->remove(disk, path); /* of a killed control */
	int file = disk->open(disk, path, DISK_CREATE);
	if (file < 0)
		return file;
	int result = disk->write(disk, file, a, a_bytes, 0);
	if (result == 0 && b_bytes > 0)
		result = disk->write(disk, file, b, b_bytes, a_bytes);
	if (result == 0)
		result = disk->sync(disk, file);
	disk->close(disk, file);
	if (result < 0)
		disk->remove(disk, path);
	return result;
}

static int take_name(struct ctl_log *log, uint64_t number)
{
	char from[CTL_PATH_BYTES], to[CTL_PATH_BYTES], folder[CTL_PATH_BYTES];
	folder_of(log, "log/cut.tmp", from);
	folder_of(log, "log", folder);
	ctl_log_path(log, number, to);
	int result = log->disk->rename(log->disk, from, to);
	return result == 0 ? log->disk->sync_directory(log->disk, folder) : result;
}

static int prepare_shorter(struct surgery *s)
{
	char name[LOG_FILE_NAME_BYTES], path[CTL_PATH_BYTES];
	uint64_t bytes = s->map.bytes;
	if (!s->shortens)
		return 0;
	log_file_name(name, s->log->segments[s->at].number);
	/* Without the zeros that were prepared behind it. */
	while (bytes > LOG_BLOCK_BYTES && s->map.data[bytes - 1] == 0)
		bytes--;
	bytes = sf_min64(sf_round_up(bytes, LOG_BLOCK_BYTES), s->map.bytes);
	int result = write_aside(s->log, s->map.data, s->whole_bytes, s->group, s->group_bytes);
	if (result < 0)
		return result;
	result = ctl_quarantine_put(&s->quarantine, "log", name, s->map.data, bytes);
	/* A disk that is full gets its room back. */
	folder_of(s->log, "log/cut.tmp", path);
	if (result < 0)
		s->log->disk->remove(s->log->disk, path);
	return result;
}

static int move_snapshots(struct surgery *s)
{
	char name[LOG_FILE_NAME_BYTES], text[256];
	struct ctl_log *log = s->log;
	int result = 0;
	/* As many as are looked at, until none of them is beyond. */
	struct ctl_log names = *log;
	names.segments = NULL;
	names.count = 0;
	while (result == 0 && names.snapshot_count > 0 && names.snapshots[0] > s->keep) {
		snap_file_name(name, names.snapshots[0]);
		result = ctl_quarantine_move(&s->quarantine, "snap", name);
		if (result == 0)
			result = ctl_log_look_names(&names, text, sizeof(text));
	}
	ctl_log_free(&names);
	return result;
}

/* A segment that is to go; what was never used holds nothing to keep. */
static int move_segment(
	struct ctl_log *log, struct ctl_quarantine *quarantine, const struct rec_segment *segment
)
{
	char name[LOG_FILE_NAME_BYTES], path[CTL_PATH_BYTES], folder[CTL_PATH_BYTES];
	log_file_name(name, segment->number);
	if (!unused(segment))
		return ctl_quarantine_move(quarantine, "log", name);
	ctl_log_path(log, segment->number, path);
	folder_of(log, "log", folder);
	int result = log->disk->remove(log->disk, path);
	return result == 0 ? log->disk->sync_directory(log->disk, folder) : result;
}

/* What was asked for is there now. */
static int settle(struct surgery *s)
{
	struct ctl_log *log = s->log;
	struct ctl_snapshot snapshot;
	struct rec_plan plan;
	char warning[1024];
	int result = ctl_log_look(log, false, s->text, s->text_bytes);
	if (result < 0)
		return result;
	ctl_log_plan(log, &plan, &snapshot, warning, sizeof(warning));
	ctl_snapshot_close(&snapshot);
	ctl_log_say(log, &plan, s->text, s->text_bytes);
	if (rec_refuses(plan.verdict) || plan.last_sequence != s->keep)
		return -EUCLEAN;
	return ctl_log_carry_out(log, &plan, s->text, s->text_bytes);
}

static int carry_out(struct surgery *s)
{
	struct ctl_log *log = s->log;
	int result = ctl_quarantine_begin(&s->quarantine, log, s->keep + 1, s->result->last);
	if (result == 0)
		result = prepare_shorter(s);
	if (result == 0)
		result = move_snapshots(s);
	for (uint32_t i = log->count; result == 0 && i-- > s->at + 1;)
		result = move_segment(log, &s->quarantine, &log->segments[i]);
	if (result == 0 && s->shortens)
		result = take_name(log, log->segments[s->at].number);
	return result;
}

static void tell(struct ctl_cut *result, const struct ctl_quarantine *quarantine)
{
	result->files += quarantine->files;
	result->bytes += quarantine->bytes;
	if (quarantine->files > 0)
		snprintf(result->folder, sizeof(result->folder), "%s", quarantine->path);
}

/* Does the log end with keep as it stands? Then a start's own work is all that is left to do. */
static int ends_there(struct surgery *s)
{
	struct ctl_snapshot snapshot;
	struct rec_plan plan;
	char warning[1024];
	ctl_log_plan(s->log, &plan, &snapshot, warning, sizeof(warning));
	ctl_snapshot_close(&snapshot);
	if (s->log->identity_state == REC_IDENTITY_VOID && !rec_refuses(plan.verdict)) {
		int result = ctl_log_give_up(s->log, s->result);
		return result < 0 ? result : ctl_log_look(s->log, true, s->text, s->text_bytes);
	}
	return !rec_refuses(plan.verdict) && plan.last_sequence == s->keep &&
	       (s->log->snapshot_count == 0 || s->log->snapshots[0] <= s->keep);
}

int ctl_log_cut(
	struct ctl_log *log, uint64_t keep, struct ctl_cut *result, char *text, size_t text_bytes
)
{
	struct surgery s = {
		.log = log, .keep = keep, .result = result, .text = text, .text_bytes = text_bytes};
	if (keep == 0)
		return ctl_log_empty(log, result, text, text_bytes);
	*result = (struct ctl_cut){0};
	snprintf(text, text_bytes, "%s", log->folder);
	int done = ctl_log_look(log, true, text, text_bytes);
	if (done < 0)
		return done;
	*text = 0;
	done = ends_there(&s);
	if (done == 0)
		done = verify(&s);
	if (done == 0) {
		done = carry_out(&s);
		tell(result, &s.quarantine);
	} else {
		result->entries = 0;
	}
	ctl_log_unmap(&s.map);
	free(s.group);
	if (done >= 0)
		done = settle(&s);
	if (done < 0 && *text == 0)
		snprintf(text, text_bytes, "%s: %s", log->folder, strerror(-done));
	return done;
}

/* --- All of it --- */

/* Reads what goes, as far as it can be read, only to count it and to name the folder. */
static void count_entries(struct ctl_log *log, struct ctl_cut *result, uint64_t *first)
{
	*first = 0;
	for (uint32_t i = 0; i < log->count; i++) {
		struct rec_segment *segment = &log->segments[i];
		struct ctl_map map;
		uint64_t number = segment->number;
		segment->header = LOG_SHORT;
		if (ctl_log_map(log, number, &map) < 0)
			continue;
		rec_scan(map.data, map.bytes, &log->identity, number, segment);
		ctl_log_unmap(&map);
		if (segment->header != LOG_OK)
			continue;
		*first = *first == 0 ? segment->first_sequence
				     : sf_min64(*first, segment->first_sequence);
		result->last = sf_max64(result->last, segment->last_sequence);
		result->entries += segment->last_sequence + 1 - segment->first_sequence;
	}
}

static bool is_there(struct disk *disk, const char *path)
{
	int file = disk->open(disk, path, DISK_READ);
	if (file >= 0)
		disk->close(disk, file);
	return file >= 0;
}

static int move_all(struct ctl_log *log, struct ctl_quarantine *quarantine, bool incoming)
{
	struct ctl_file_names names;
	char folder[CTL_PATH_BYTES];
	folder_of(log, "snap", folder);
	int result = ctl_file_names_read(log->disk, folder, &names);
	for (uint32_t i = 0; i < names.count && result == 0; i++) {
		uint64_t sequence = snap_file_sequence(names.list[i]);
		if (sequence != 0 && (sequence != log->base || incoming))
			result = ctl_quarantine_move(quarantine, "snap", names.list[i]);
	}
	ctl_file_names_free(&names);
	for (uint32_t i = log->count; i-- > 0 && result == 0;) {
		struct rec_segment *segment = &log->segments[i];
		/* Of a control that was killed here: its own work, and nothing to keep. */
		if (log->base != 0 && segment->header == LOG_OK && segment->groups == 0 &&
		    segment->end == LOG_EMPTY && segment->first_sequence == log->base + 1)
			segment->header = LOG_EMPTY;
		result = move_segment(log, quarantine, segment);
	}
	return result;
}

/* The segment that begins behind the snapshot; nothing was written to it, and its loss would be
 * seen. */
static int make_begin(struct ctl_log *log)
{
	_Alignas(LOG_BLOCK_BYTES) uint8_t blocks[2 * LOG_BLOCK_BYTES] = {0};
	char path[CTL_PATH_BYTES];
	struct snap_header header;
	ctl_snapshot_path(log, log->base, path);
	int file = log->disk->open(log->disk, path, DISK_READ);
	if (file < 0)
		return file;
	ssize_t got = log->disk->read(log->disk, file, &header, sizeof(header), 0);
	log->disk->close(log->disk, file);
	if (got < 0)
		return (int)got;
	if ((size_t)got < sizeof(header) || header.sequence != log->base ||
	    header.offset != LOG_BLOCK_BYTES)
		return -EBADMSG;
	struct log_position position = {
		.segment = header.segment,
		.offset = header.offset,
		.next_sequence = header.sequence + 1,
		.chain = header.chain,
	};
	log_segment_header_write(
		blocks,
		&log->identity,
		&position,
		sizeof(blocks),
		header.incarnation,
		header.epoch,
		header.written_unix_ns
	);
	int result = write_aside(log, blocks, sizeof(blocks), NULL, 0);
	return result == 0 ? take_name(log, header.segment) : result;
}

static int replace(struct ctl_log *log, const char *incoming, bool there)
{
	char path[CTL_PATH_BYTES], folder[CTL_PATH_BYTES];
	int result = 0;
	ctl_snapshot_path(log, log->base, path);
	folder_of(log, "snap", folder);
	if (there)
		result = log->disk->rename(log->disk, incoming, path);
	if (result == 0)
		result = log->disk->sync_directory(log->disk, folder);
	return result == 0 ? make_begin(log) : result;
}

int ctl_log_give_up(struct ctl_log *log, struct ctl_cut *result)
{
	struct ctl_quarantine quarantine = {0};
	char incoming[CTL_PATH_BYTES], text[CTL_PATH_BYTES + 256];
	uint64_t first;
	*result = (struct ctl_cut){0};
	CHECK(log->identity_state == REC_IDENTITY_VOID);
	ctl_snapshot_incoming_path(log, incoming);
	int done = ctl_log_look_names(log, text, sizeof(text));
	if (done < 0)
		return done;
	bool there = log->base != 0 && is_there(log->disk, incoming);
	count_entries(log, result, &first);
	done = ctl_quarantine_begin(&quarantine, log, sf_max64(first, 1), result->last);
	if (done == 0)
		done = move_all(log, &quarantine, there);
	tell(result, &quarantine);
	if (done == 0 && log->base != 0)
		done = replace(log, incoming, there);
	enum rec_identity state = log->base != 0 ? REC_IDENTITY_OURS : REC_IDENTITY_EMPTIED;
	if (done == 0)
		done = ctl_log_mark(log, state, 0);
	ctl_log_free(log);
	if (done == 0) {
		log->identity_state = state;
		log->base = 0;
		log->snapshot_count = 0;
	}
	return done;
}

/* Nothing of anybody else is touched. */
enum log_fault ctl_log_whose(const struct ctl_log *log)
{
	_Alignas(8) uint8_t block[LOG_BLOCK_BYTES];
	const struct log_segment_header *header;
	char path[CTL_PATH_BYTES];
	for (uint32_t i = 0; i < log->count; i++) {
		ctl_log_path(log, log->segments[i].number, path);
		int file = log->disk->open(log->disk, path, DISK_READ);
		if (file < 0)
			continue;
		ssize_t got = log->disk->read(log->disk, file, block, sizeof(block), 0);
		log->disk->close(log->disk, file);
		enum log_fault fault = log_segment_header_check(
			block,
			got > 0 ? (uint64_t)got : 0,
			&log->identity,
			log->segments[i].number,
			&header
		);
		if (fault == LOG_OTHER_CLUSTER || fault == LOG_OTHER_NODE ||
		    fault == LOG_BAD_VERSION)
			return fault;
	}
	return log->identity_state == REC_IDENTITY_OTHER ? LOG_OTHER_NODE : LOG_OK;
}

int ctl_log_empty(struct ctl_log *log, struct ctl_cut *result, char *text, size_t text_bytes)
{
	*result = (struct ctl_cut){0};
	*text = 0;
	int done = ctl_log_look_names(log, text, text_bytes);
	if (done == 0)
		done = ctl_log_look_identity(log);
	if (done == 0 && log->identity_state != REC_IDENTITY_VOID && log->count == 0 &&
	    log->snapshot_count == 0 &&
	    (log->identity_state == REC_IDENTITY_NEW || log->identity_state == REC_IDENTITY_EMPTIED
	    ))
		return 0;
	enum log_fault fault = done == 0 ? ctl_log_whose(log) : LOG_OK;
	if (fault != LOG_OK) {
		snprintf(text, text_bytes, "%s: %s", log->folder, log_fault_text(fault));
		return -EBADMSG;
	}
	if (done == 0)
		done = ctl_log_make_folders(log);
	if (done == 0)
		done = ctl_log_mark(log, REC_IDENTITY_VOID, 0);
	log->identity_state = REC_IDENTITY_VOID;
	log->base = 0;
	if (done == 0)
		done = ctl_log_give_up(log, result);
	if (done < 0 && *text == 0)
		snprintf(text, text_bytes, "%s: %s", log->folder, strerror(-done));
	return done;
}
