/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/incoming.h"

#include "control/copy.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define FIRST_SEGMENT 1

static void temporary_path(const struct ctl_incoming *incoming, char path[CTL_PATH_BYTES])
{
	snprintf(path, CTL_PATH_BYTES, "%.450s/snap/incoming.tmp", incoming->log->folder);
}

static int say(int result, char *text, size_t text_bytes, const char *what)
{
	if (result < 0)
		snprintf(text, text_bytes, "%s: %s", what, strerror(-result));
	return result;
}

void ctl_incoming_init(
	struct ctl_incoming *incoming, struct ctl_log *log, const struct cfg_settings *settings
)
{
	*incoming = (struct ctl_incoming){.log = log, .settings = settings, .file = -1};
}

static void forget(struct ctl_incoming *incoming)
{
	struct disk *disk = incoming->log->disk;
	if (incoming->file >= 0)
		disk->close(disk, incoming->file);
	ctl_incoming_init(incoming, incoming->log, incoming->settings);
}

void ctl_incoming_drop(struct ctl_incoming *incoming)
{
	char path[CTL_PATH_BYTES];
	temporary_path(incoming, path);
	forget(incoming);
	incoming->log->disk->remove(incoming->log->disk, path);
}

/* --- Pieces --- */

static int begin(struct ctl_incoming *incoming, const struct rep_piece *piece)
{
	char path[CTL_PATH_BYTES];
	struct disk *disk = incoming->log->disk;
	ctl_incoming_drop(incoming); /* the one before, or of a killed control */
	temporary_path(incoming, path);
	int result = ctl_log_make_folders(incoming->log);
	if (result == 0)
		result = incoming->file = disk->open(disk, path, DISK_CREATE);
	if (result < 0) {
		incoming->file = -1;
		return result;
	}
	incoming->sequence = piece->sequence;
	incoming->total = piece->total;
	return 0;
}

int ctl_incoming_keep(
	struct ctl_incoming *incoming,
	const struct rep_piece *piece,
	const void *data,
	uint32_t bytes,
	char *text,
	size_t text_bytes
)
{
	struct disk *disk = incoming->log->disk;
	char path[CTL_PATH_BYTES];
	int result = 0;
	bool fits = piece->sequence != 0 && piece->total <= SNAP_MAX_BYTES &&
		    piece->offset <= piece->total && bytes <= piece->total - piece->offset;
	bool follows = incoming->file >= 0 && piece->sequence == incoming->sequence &&
		       piece->total == incoming->total && piece->offset == incoming->bytes;
	if (!fits || (piece->offset != 0 && !follows)) {
		snprintf(
			text,
			text_bytes,
			"a piece at %" PRIu64 " of snapshot %" PRIu64 " does not follow: %" PRIu64
			" of %" PRIu64 " bytes of %" PRIu64 " are here",
			piece->offset,
			piece->sequence,
			incoming->bytes,
			incoming->total,
			incoming->sequence
		);
		return -EINVAL;
	}
	temporary_path(incoming, path);
	if (piece->offset == 0)
		result = begin(incoming, piece);
	if (result == 0 && bytes > 0)
		result = disk->write(disk, incoming->file, data, bytes, piece->offset);
	if (result == 0)
		incoming->bytes += bytes;
	else
		forget(incoming);
	return say(result, text, text_bytes, path);
}

/* --- Installing --- */

static int not_good(char *text, size_t text_bytes, uint64_t sequence, const char *why, uint64_t at)
{
	snprintf(
		text,
		text_bytes,
		"snapshot %" PRIu64 " of the peer, offset %" PRIu64 ": %s",
		sequence,
		at,
		why
	);
	return -EBADMSG;
}

/* Is it the whole state that its author had, and one for our settings? */
static int
verify(const struct ctl_incoming *incoming, const struct ctl_map *map, char *text, size_t text_bytes
)
{
	struct log_identity author = incoming->log->identity;
	const struct snap_header *header = NULL;
	struct snap_shape ours;
	struct ctl_copy copy;
	const char *field;
	uint64_t at = 0;
	/* Either node may have made it: as of cluster and content it is judged all the same. */
	if (map->bytes >= sizeof(*header))
		author.node = ((const struct snap_header *)(const void *)map->data)->node;
	enum log_fault fault = snap_check(map->data, map->bytes, &author, &header, &at);
	if (fault != LOG_OK)
		return not_good(text, text_bytes, incoming->sequence, log_fault_text(fault), at);
	if (header->sequence != incoming->sequence)
		return not_good(text, text_bytes, incoming->sequence, "it is another one", 0);
	ctl_copy_shape(incoming->settings, &ours);
	if (!snap_fits(&ours, &header->shape, &field)) {
		char why[128];
		snprintf(why, sizeof(why), "it was made with another value of %s", field);
		return not_good(text, text_bytes, incoming->sequence, why, 0);
	}
	int result = ctl_copy_init(&copy, incoming->settings);
	if (result < 0)
		return say(result, text, text_bytes, "a copy of the state");
	bool loads = ctl_copy_load(&copy, header);
	ctl_copy_free(&copy);
	return loads ? 0
		     : not_good(
			       text,
			       text_bytes,
			       incoming->sequence,
			       "what it holds is not the state whose digests it names",
			       0
		       );
}

/* The header becomes one of our log. */
static int adopt(struct ctl_incoming *incoming, const struct ctl_map *map)
{
	_Alignas(8) uint8_t block[SNAP_HEADER_BYTES];
	struct disk *disk = incoming->log->disk;
	struct snap_header *header = (struct snap_header *)(void *)block;
	memcpy(block, map->data, sizeof(block));
	header->segment = FIRST_SEGMENT;
	header->offset = LOG_BLOCK_BYTES;
	header->chain = header->blocks > 0 ? header->blocks_crc : 0;
	snap_header_seal(header, &incoming->log->identity);
	int result = disk->write(disk, incoming->file, block, sizeof(block), 0);
	return result == 0 ? disk->sync(disk, incoming->file) : result;
}

/* What lies under its first name now is whole and ours. */
static int put_in_reach(struct ctl_incoming *incoming)
{
	char from[CTL_PATH_BYTES], to[CTL_PATH_BYTES];
	struct disk *disk = incoming->log->disk;
	const struct snap_header *header;
	struct ctl_map map;
	uint64_t at;
	temporary_path(incoming, from);
	ctl_snapshot_incoming_path(incoming->log, to);
	/* Good is what can be read again. */
	int result = ctl_read_file(disk, from, SNAP_MAX_BYTES, &map);
	if (result == 0 &&
	    snap_check(map.data, map.bytes, &incoming->log->identity, &header, &at) != LOG_OK)
		result = -EIO;
	ctl_log_unmap(&map);
	if (result == 0)
		result = disk->rename(disk, from, to);
	*strrchr(to, '/') = 0;
	return result == 0 ? disk->sync_directory(disk, to) : result;
}

static int exchange(struct ctl_incoming *incoming, struct ctl_cut *result)
{
	struct ctl_log *log = incoming->log;
	uint64_t sequence = incoming->sequence;
	int done = 0;
	/* Another one that is half in place is completed: it stands under the name that we need. */
	if (log->identity_state == REC_IDENTITY_VOID)
		done = ctl_log_give_up(log, result);
	if (done == 0)
		done = put_in_reach(incoming);
	if (done == 0)
		done = ctl_log_mark(log, REC_IDENTITY_VOID, sequence);
	if (done < 0)
		return done;
	log->identity_state = REC_IDENTITY_VOID;
	log->base = sequence;
	return ctl_log_give_up(log, result);
}

int ctl_incoming_install(
	struct ctl_incoming *incoming,
	uint64_t sequence,
	struct ctl_cut *result,
	char *text,
	size_t text_bytes
)
{
	struct ctl_log *log = incoming->log;
	struct ctl_map map;
	char path[CTL_PATH_BYTES];
	*result = (struct ctl_cut){0};
	if (incoming->file < 0 || sequence != incoming->sequence ||
	    incoming->bytes != incoming->total) {
		snprintf(
			text,
			text_bytes,
			"snapshot %" PRIu64 " is not here: %" PRIu64 " of %" PRIu64
			" bytes of %" PRIu64,
			sequence,
			incoming->bytes,
			incoming->total,
			incoming->sequence
		);
		return -EINVAL;
	}
	temporary_path(incoming, path);
	int done = ctl_log_look_names(log, text, text_bytes);
	if (done == 0)
		done = say(ctl_log_look_identity(log), text, text_bytes, log->folder);
	enum log_fault fault = done == 0 ? ctl_log_whose(log) : LOG_OK;
	if (fault != LOG_OK) {
		snprintf(text, text_bytes, "%s: %s", log->folder, log_fault_text(fault));
		done = -EBADMSG;
	}
	if (done < 0)
		return done;
	done = say(ctl_read_file(log->disk, path, SNAP_MAX_BYTES, &map), text, text_bytes, path);
	if (done == 0)
		done = verify(incoming, &map, text, text_bytes);
	if (done == 0) {
		done = say(adopt(incoming, &map), text, text_bytes, path);
		if (done == 0)
			done = say(exchange(incoming, result), text, text_bytes, log->folder);
	}
	ctl_log_unmap(&map);
	/* Good or not, it is no use any more. */
	if (done != -ENOMEM)
		ctl_incoming_drop(incoming);
	return done;
}
