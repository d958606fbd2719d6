/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/lend.h"

#include "config/bytes.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A group that begins in a chunk's first byte is whole in it. */
#define CHUNK_BYTES (LOG_MAX_GROUP_BYTES + LOG_BLOCK_BYTES)

static void let_go(struct ctl_lend *lend)
{
	if (lend->file >= 0)
		lend->log.disk->close(lend->log.disk, lend->file);
	lend->file = -1;
	lend->left = 0;
	lend->chunk_bytes = 0;
	lend->next = 0;
}

int ctl_lend_init(struct ctl_lend *lend, const struct ctl_log *like)
{
	*lend = (struct ctl_lend){.log = *like, .file = -1, .snapshot = -1};
	lend->log.segments = NULL;
	lend->log.count = lend->log.snapshot_count = 0;
	lend->chunk = aligned_alloc(LOG_BLOCK_BYTES, CHUNK_BYTES);
	return lend->chunk != NULL ? 0 : -ENOMEM;
}

void ctl_lend_close(struct ctl_lend *lend)
{
	let_go(lend);
	if (lend->snapshot >= 0)
		lend->log.disk->close(lend->log.disk, lend->snapshot);
	lend->snapshot = -1;
	ctl_log_free(&lend->log);
	free(lend->chunk);
	lend->chunk = NULL;
}

/* --- Segments --- */

static const struct rec_segment *find(const struct ctl_lend *lend, uint64_t number)
{
	const struct ctl_log *log = &lend->log;
	uint32_t low = 0, high = log->count;
	while (low < high) {
		uint32_t middle = low + (high - low) / 2;
		if (log->segments[middle].number < number)
			low = middle + 1;
		else
			high = middle;
	}
	return low < log->count && log->segments[low].number == number ? &log->segments[low] : NULL;
}

/* One that is gone, or has no header yet, has not begun. */
static int read_header(struct ctl_lend *lend, struct rec_segment *segment)
{
	_Alignas(8) uint8_t block[LOG_BLOCK_BYTES];
	const struct log_segment_header *header = NULL;
	struct disk *disk = lend->log.disk;
	char path[CTL_PATH_BYTES];
	ctl_log_path(&lend->log, segment->number, path);
	segment->header = LOG_EMPTY;
	int file = disk->open(disk, path, DISK_READ);
	if (file < 0)
		return file == -ENOENT ? 0 : file;
	ssize_t got = disk->read(disk, file, block, sizeof(block), 0);
	disk->close(disk, file);
	if (got < 0)
		return (int)got;
	segment->header = log_segment_header_check(
		block, (uint64_t)got, &lend->log.identity, segment->number, &header
	);
	if (segment->header != LOG_OK)
		return 0;
	segment->first_sequence = header->first_sequence;
	segment->chain = header->chain;
	return 0;
}

/* From the newest that was begun back, as far as numbers and sequences are dense: the index of the
 * oldest; count: none. */
static uint32_t oldest(const struct ctl_log *log)
{
	uint32_t at = log->count;
	while (at > 0 && log->segments[at - 1].header != LOG_OK)
		at--;
	if (at == 0)
		return log->count;
	for (at--; at > 0; at--) {
		const struct rec_segment *older = &log->segments[at - 1];
		if (older->header != LOG_OK || older->number + 1 != older[1].number ||
		    older->first_sequence > older[1].first_sequence)
			break;
	}
	return at;
}

/* A header that is bad ends what can be lent, and no reading ever meets it. */
static void judge_headers(struct ctl_lend *lend)
{
	const struct ctl_log *log = &lend->log;
	uint32_t at = oldest(log);
	char path[CTL_PATH_BYTES];
	if (at == 0 || at == log->count)
		return;
	const struct rec_segment *bad = &log->segments[at - 1];
	if (bad->header == LOG_OK || bad->number + 1 != bad[1].number ||
	    bad->number == lend->bad_header)
		return;
	ctl_log_path(log, bad->number, path);
	snprintf(lend->text, sizeof(lend->text), "%.300s: %s", path, log_fault_text(bad->header));
	lend->bad_header = bad->number;
	lend->damage++;
}

/* Which segments there are now; headers that were read stay. */
static int refresh(struct ctl_lend *lend)
{
	struct ctl_log *log = &lend->log;
	struct rec_segment *before = log->segments;
	uint32_t at = log->count;
	char text[CTL_PATH_BYTES + 256];
	log->segments = NULL;
	log->count = 0;
	int result = ctl_log_look_names(log, text, sizeof(text));
	/* From the newest back: when one has begun, those before it had before we look at them. */
	for (uint32_t i = log->count; i-- > 0 && result == 0;) {
		struct rec_segment *segment = &log->segments[i];
		while (at > 0 && before[at - 1].number > segment->number)
			at--;
		if (at > 0 && before[at - 1].number == segment->number &&
		    before[at - 1].header == LOG_OK)
			*segment = before[at - 1];
		else
			result = read_header(lend, segment);
	}
	free(before);
	if (result < 0)
		ctl_log_free(log);
	judge_headers(lend);
	return result;
}

static uint64_t first_held(const struct ctl_lend *lend)
{
	uint32_t at = oldest(&lend->log);
	return at < lend->log.count ? sf_max64(lend->log.segments[at].first_sequence, lend->floor)
				    : lend->floor;
}

int ctl_lend_first(struct ctl_lend *lend, uint64_t *first)
{
	int result = refresh(lend);
	*first = result == 0 ? first_held(lend) : 0;
	return result;
}

/* --- The place --- */

static int open_segment(struct ctl_lend *lend, const struct log_position *position)
{
	char path[CTL_PATH_BYTES];
	struct disk *disk = lend->log.disk;
	ctl_log_path(&lend->log, position->segment, path);
	int file = disk->open(disk, path, DISK_READ);
	if (file < 0)
		return file;
	let_go(lend);
	lend->file = file;
	lend->position = *position;
	lend->next = position->next_sequence;
	return 0;
}

static void note_place(struct ctl_lend *lend)
{
	for (uint32_t i = 0; i < CTL_LEND_PLACES; i++)
		if (lend->places[i].segment == lend->position.segment &&
		    lend->places[i].offset == lend->position.offset)
			return;
	lend->places[lend->place_count++ % CTL_LEND_PLACES] = lend->position;
}

/* Goes to the segment, or the noted place in it, from where `first` comes soonest. */
static int seek(struct ctl_lend *lend, uint64_t first)
{
	const struct ctl_log *log = &lend->log;
	int result = refresh(lend);
	uint32_t at = oldest(log);
	if (result < 0 || at == log->count)
		return result;
	if (first < first_held(lend))
		return -ERANGE;
	while (at + 1 < log->count && log->segments[at + 1].header == LOG_OK &&
	       log->segments[at + 1].first_sequence <= first)
		at++;
	const struct rec_segment *segment = &log->segments[at];
	struct log_position place = {
		.segment = segment->number,
		.offset = LOG_BLOCK_BYTES,
		.next_sequence = segment->first_sequence,
		.chain = segment->chain,
	};
	for (uint32_t i = 0; i < CTL_LEND_PLACES; i++)
		if (lend->places[i].segment == place.segment &&
		    lend->places[i].next_sequence <= first && lend->places[i].offset > place.offset)
			place = lend->places[i];
	/* Where we are is better still, when it lies between. */
	if (lend->file >= 0 && lend->next <= first && lend->position.segment == place.segment &&
	    lend->position.offset >= place.offset)
		return 0;
	return open_segment(lend, &place);
}

/* Reads on from the place; how many bytes there are, or a negative errno. */
static ssize_t fill(struct ctl_lend *lend)
{
	note_place(lend);
	lend->chunk_at = lend->position.offset;
	lend->chunk_bytes = 0;
	ssize_t got = lend->log.disk->read(
		lend->log.disk, lend->file, lend->chunk, CHUNK_BYTES, lend->chunk_at
	);
	if (got > 0)
		lend->chunk_bytes = (uint64_t)got;
	return got;
}

/* The groups of the chunk up to the next one with entries. */
static enum log_fault step(struct ctl_lend *lend)
{
	const struct log_group *group;
	uint64_t end = lend->chunk_at + lend->chunk_bytes;
	while (lend->chunk_bytes > 0 && lend->position.offset >= lend->chunk_at &&
	       lend->position.offset < end) {
		enum log_fault fault = log_group_check(
			lend->chunk + (lend->position.offset - lend->chunk_at),
			end - lend->position.offset,
			&lend->log.identity,
			&lend->position,
			&group
		);
		if (fault != LOG_OK)
			return fault;
		if (group->count == 0)
			continue;
		lend->entry = log_group_first(group);
		lend->left = group->count;
		return LOG_OK;
	}
	return LOG_EMPTY;
}

/* What was behind the damage is what is left to lend. */
static int damaged(struct ctl_lend *lend, enum log_fault fault)
{
	char path[CTL_PATH_BYTES];
	uint64_t behind = sf_max64(lend->written, lend->position.next_sequence) + 1;
	ctl_log_path(&lend->log, lend->position.segment, path);
	snprintf(
		lend->text,
		sizeof(lend->text),
		"%.300s at offset %" PRIu64 ": %s",
		path,
		lend->position.offset,
		log_fault_text(fault)
	);
	lend->damage++;
	for (uint32_t i = lend->log.count; i-- > 0;) {
		const struct rec_segment *segment = &lend->log.segments[i];
		if (segment->number <= lend->position.segment)
			break;
		if (segment->header == LOG_OK)
			behind = segment->first_sequence;
	}
	lend->floor = sf_max64(lend->floor, sf_max64(behind, lend->position.next_sequence + 1));
	let_go(lend);
	return -EBADMSG;
}

/* The end of what can be read here. 1: the log goes on in the next segment, where the place is now;
 * 0: it ends here, for now. *begun: the segment here is complete, so a fault in it is damage. */
static int turn(struct ctl_lend *lend, bool *begun)
{
	const struct log_position *here = &lend->position;
	*begun = false;
	int result = refresh(lend);
	if (result < 0)
		return result;
	const struct rec_segment *next = find(lend, here->segment + 1);
	const struct rec_segment *behind = find(lend, here->segment + 2);
	uint32_t at = oldest(&lend->log);
	if (at < lend->log.count && lend->log.segments[at].number > here->segment + 1) {
		let_go(lend); /* removed, also what follows here */
		return -ERANGE;
	}
	/* The one behind it was begun: so was this one. */
	*begun = next != NULL &&
		 (next->header == LOG_OK || (behind != NULL && behind->header == LOG_OK));
	if (next == NULL || next->header != LOG_OK || next->chain != here->chain ||
	    next->first_sequence != here->next_sequence)
		return 0;
	struct log_position place = {
		.segment = next->number,
		.offset = LOG_BLOCK_BYTES,
		.next_sequence = next->first_sequence,
		.chain = next->chain,
	};
	result = open_segment(lend, &place);
	return result < 0 ? result : 1;
}

/* Until there is a group with entries in hand: 1. 0: there is none yet. */
static int find_group(struct ctl_lend *lend)
{
	bool complete = false; /* at the last reading here, all had been written */
	for (;;) {
		if (step(lend) == LOG_OK)
			return 1;
		/* What stands in the chunk may be older than what stands on the disk. */
		ssize_t got = fill(lend);
		if (got < 0)
			return (int)got;
		enum log_fault fault = step(lend);
		if (fault == LOG_OK)
			return 1;
		/* Marks alone: the next chunk. */
		if (lend->position.offset != lend->chunk_at) {
			complete = false;
			continue;
		}
		if (complete)
			return damaged(lend, fault);
		bool begun;
		bool missing = lend->written >= lend->position.next_sequence;
		int turned = turn(lend, &begun);
		if (turned < 0)
			return turned;
		if (turned == 0 && !begun)
			return missing ? damaged(lend, fault) : 0;
		/* Not joined by the next one: what came here meanwhile, if anything. */
		complete = turned == 0;
	}
}

/* --- Lending --- */

/* Entries of the group in hand, from `first` on; false: there is no room for the next one. */
static bool
take(struct ctl_lend *lend,
     uint64_t first,
     uint8_t *to,
     uint64_t room,
     uint32_t *count,
     uint64_t *bytes)
{
	const struct rep_entry *from = NULL;
	uint64_t taken = 0;
	bool fits = true;
	while (lend->left > 0) {
		uint32_t size = rep_entry_bytes(sf_load16(&lend->entry->payload_bytes));
		if (lend->next >= first) {
			fits = *bytes + taken + size <= room;
			if (!fits)
				break;
			from = from != NULL ? from : lend->entry;
			taken += size;
			++*count;
		}
		lend->entry = log_next_entry(lend->entry);
		lend->left--;
		lend->next++;
	}
	/* They stand one behind the other there too. */
	if (taken > 0)
		memcpy(to + *bytes, from, taken);
	*bytes += taken;
	return fits;
}

int ctl_lend_read(
	struct ctl_lend *lend,
	uint64_t first,
	void *buffer,
	uint64_t room,
	uint32_t *count,
	uint64_t *bytes
)
{
	int result = 0;
	*count = 0;
	*bytes = 0;
	if (first < lend->floor)
		return -ERANGE;
	if (lend->file < 0 || lend->next != first)
		result = seek(lend, first);
	if (result == -ENOENT) /* removed since it was listed */
		result = seek(lend, first);
	if (result < 0 || lend->file < 0)
		return result;
	for (;;) {
		if (lend->left == 0) {
			result = find_group(lend);
			if (result <= 0)
				break;
		}
		if (!take(lend, first, buffer, room, count, bytes)) {
			result = *count > 0 ? 0 : -ENOBUFS;
			break;
		}
	}
	/* What was read before the fault is lent; the fault is met again, or stands in the text. */
	return *count > 0 || result > 0 ? 0 : result;
}

/* --- Snapshot --- */

int ctl_lend_newest(struct ctl_lend *lend, uint64_t *sequence)
{
	int result = refresh(lend);
	*sequence = result == 0 && lend->log.snapshot_count > 0 ? lend->log.snapshots[0] : 0;
	return result;
}

/* The file that is judged is the one that is kept open. */
static int take_in_hand(struct ctl_lend *lend, uint64_t sequence)
{
	struct ctl_snapshot snapshot;
	struct snap_header header;
	struct disk *disk = lend->log.disk;
	char path[CTL_PATH_BYTES];
	ctl_snapshot_path(&lend->log, sequence, path);
	int file = disk->open(disk, path, DISK_READ);
	if (file < 0)
		return file;
	int result = ctl_snapshot_open(&lend->log, sequence, &snapshot);
	ssize_t got = disk->read(disk, file, &header, sizeof(header), 0);
	if (result == 0 && got < 0)
		result = (int)got;
	if (result == 0 && (snapshot.header == NULL || (size_t)got < sizeof(header) ||
			    memcmp(&header, snapshot.header, sizeof(header)) != 0))
		result = -EBADMSG;
	ctl_snapshot_close(&snapshot);
	if (result < 0) {
		disk->close(disk, file);
		return result;
	}
	if (lend->snapshot >= 0)
		disk->close(disk, lend->snapshot);
	lend->snapshot = file;
	lend->sequence = sequence;
	lend->total = header.file_bytes;
	return 0;
}

int ctl_lend_snapshot(struct ctl_lend *lend, uint64_t *sequence, uint64_t *total)
{
	uint64_t newest;
	int result = ctl_lend_newest(lend, &newest);
	/* One that is not good, or just removed, does not stop an older one. */
	for (uint32_t i = 0; i < lend->log.snapshot_count && result == 0; i++) {
		uint64_t one = lend->log.snapshots[i];
		if ((lend->snapshot >= 0 && one <= lend->sequence) || take_in_hand(lend, one) == 0)
			break;
	}
	*sequence = lend->snapshot >= 0 ? lend->sequence : 0;
	*total = lend->snapshot >= 0 ? lend->total : 0;
	return result;
}

ssize_t ctl_lend_bytes(
	struct ctl_lend *lend, uint64_t sequence, uint64_t offset, void *buffer, size_t bytes
)
{
	if (lend->snapshot < 0 || sequence != lend->sequence)
		return -ESTALE;
	if (offset >= lend->total)
		return 0;
	bytes = (size_t)sf_min64(bytes, lend->total - offset);
	return lend->log.disk->read(lend->log.disk, lend->snapshot, buffer, bytes, offset);
}
