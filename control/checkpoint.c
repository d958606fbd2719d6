/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/checkpoint.h"

#include "config/bytes.h"
#include "config/log.h"
#include "control/log_store.h"
#include "control/text.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define CHUNK_BYTES (LOG_MAX_GROUP_BYTES + LOG_BLOCK_BYTES)
#define ROUND_NS 50000000ull
#define LOOK_NS 100000000ull
#define NICE 19 /* the data path's threads come first where they share a CPU */
#define LOOKS 5
#define KEPT 2		      /* snapshots; with a full disk one */
#define ROOM_NS 1000000000ull /* between looks for room on a full disk */

struct tail {
	struct ctl_checkpoint *checkpoint;
	const struct cfg_settings *settings;
	struct dp_shm *shm;
	struct dp_shm_checkpoint *facts;
	struct ctl_log log;
	struct ctl_copy copy;
	struct ctl_audit audit;
	struct log_position position; /* of the next group to read */
	struct log_position held;     /* behind the last group with entries: the copy's place */
	int file;		      /* of position.segment, or -1 */
	uint64_t file_bytes;
	uint8_t *chunk;
	uint64_t written_ns; /* when the last snapshot was */
	uint64_t look_ns;
	bool sound; /* no alarm yet */
};

/* --- Audit --- */

void ctl_audit_note(struct ctl_audit *audit, uint64_t sequence, uint64_t digest)
{
	audit->marks[audit->next++ % DP_SHM_MAX_MARKS] =
		(struct dp_shm_mark){.sequence = sequence, .sum = digest};
}

bool ctl_audit_compare(struct ctl_audit *audit, struct dp_shm *shm)
{
	for (uint32_t i = 0; i < DP_SHM_MAX_MARKS; i++) {
		struct dp_shm_mark *mark = &audit->marks[i];
		uint64_t digest;
		if (mark->sequence == 0 || !dp_shm_digest_at(shm, mark->sequence, &digest))
			continue;
		if (digest != mark->sum) {
			dp_shm_store(&shm->checkpoint.audit_fault, mark->sequence);
			return false;
		}
		mark->sequence = 0;
		dp_shm_store(&shm->checkpoint.compared, shm->checkpoint.compared + 1);
	}
	return true;
}

/* --- Reading on --- */

static bool stopping(struct tail *t)
{
	uint64_t now_ns = ctl_monotonic_ns();
	if (__atomic_load_n(&t->checkpoint->stop, __ATOMIC_ACQUIRE))
		return true;
	if (now_ns < t->look_ns)
		return false;
	t->look_ns = now_ns + LOOK_NS;
	return !dp_shm_alive(t->settings) || dp_shm_replaced(t->settings, t->shm);
}

/* text is there. */
static void raise_alarm(struct tail *t)
{
	t->sound = false;
	__atomic_store_n(&t->checkpoint->alarm, 1, __ATOMIC_RELEASE);
}

static void alarm_damage(struct tail *t, enum log_fault fault)
{
	char path[CTL_PATH_BYTES];
	ctl_log_path(&t->log, t->position.segment, path);
	dp_shm_store(&t->facts->damage, t->copy.sequence + 1);
	snprintf(
		t->checkpoint->text,
		sizeof(t->checkpoint->text),
		"checkpoint: %.300s at offset %" PRIu64 ": %s; no more snapshots are written",
		path,
		t->position.offset,
		log_fault_text(fault)
	);
	raise_alarm(t);
}

static bool open_segment(struct tail *t)
{
	char path[CTL_PATH_BYTES];
	struct disk *disk = t->log.disk;
	if (t->file >= 0)
		return true;
	ctl_log_path(&t->log, t->position.segment, path);
	t->file = disk->open(disk, path, DISK_READ);
	if (t->file < 0)
		return false;
	int64_t size = disk->size(disk, t->file);
	t->file_bytes = size > 0 ? (uint64_t)size : 0;
	return true;
}

/* The next segment goes on from here, if it was begun. */
static bool turn(struct tail *t)
{
	struct disk *disk = t->log.disk;
	const struct log_segment_header *header;
	char path[CTL_PATH_BYTES];
	uint64_t next = t->position.segment + 1;
	ctl_log_path(&t->log, next, path);
	int file = disk->open(disk, path, DISK_READ);
	if (file < 0)
		return false;
	ssize_t got = disk->read(disk, file, t->chunk, LOG_BLOCK_BYTES, 0);
	enum log_fault fault = log_segment_header_check(
		t->chunk, got > 0 ? (uint64_t)got : 0, &t->log.identity, next, &header
	);
	if (fault != LOG_OK) {
		disk->close(disk, file); /* prepared, and not begun */
		return false;
	}
	int64_t size = disk->size(disk, file);
	disk->close(disk, t->file);
	t->file = file;
	t->file_bytes = size > 0 ? (uint64_t)size : 0;
	if (header->chain != t->position.chain ||
	    header->first_sequence != t->position.next_sequence) {
		alarm_damage(t, LOG_BAD_CHAIN);
		return false;
	}
	t->position.segment = next;
	t->position.offset = LOG_BLOCK_BYTES;
	return true;
}

static bool apply(struct tail *t, const struct log_group *group)
{
	const struct rep_entry *entry = log_group_first(group);
	uint64_t interval = t->shm->digest_interval;
	for (uint32_t i = 0; i < group->count; i++, entry = log_next_entry(entry)) {
		if (entry->sequence <= t->copy.sequence)
			continue;
		if (ctl_copy_apply(&t->copy, entry) != REP_SESSION_OK)
			return false;
		if (interval != 0 && entry->sequence % interval == 0)
			ctl_audit_note(&t->audit, entry->sequence, ctl_copy_digest(&t->copy));
	}
	return true;
}

/* Takes groups that are durable, of one chunk at most; false when there are none now. */
static bool advance(struct tail *t, uint64_t durable)
{
	struct disk *disk = t->log.disk;
	uint64_t done = 0;
	if (!open_segment(t))
		return false;
	ssize_t got = t->position.offset < t->file_bytes
			      ? disk->read(disk, t->file, t->chunk, CHUNK_BYTES, t->position.offset)
			      : 0;
	while (got > 0 && done < (uint64_t)got && t->copy.sequence < durable) {
		struct log_position before = t->position;
		const struct log_group *group;
		enum log_fault fault = log_group_check(
			t->chunk + done,
			(uint64_t)got - done,
			&t->log.identity,
			&t->position,
			&group
		);
		if (fault == LOG_SHORT && done > 0)
			return true; /* the rest of it comes with the next chunk */
		if (fault != LOG_OK)
			break; /* the end of the segment, or of what is written */
		if (t->position.next_sequence - 1 > durable) {
			t->position = before;
			return done > 0;
		}
		if (!apply(t, group)) {
			alarm_damage(t, LOG_BAD_ENTRY);
			return false;
		}
		done += log_group_space(group->bytes);
		if (group->count > 0)
			t->held = t->position;
	}
	if (done > 0)
		return true;
	return t->copy.sequence < durable && turn(t);
}

/* --- Snapshots --- */

static uint64_t place_of(struct tail *t, uint64_t sequence)
{
	struct ctl_snapshot snapshot;
	uint64_t segment = 0;
	if (ctl_snapshot_open(&t->log, sequence, &snapshot) == 0 && snapshot.header != NULL)
		segment = snapshot.header->segment;
	ctl_snapshot_close(&snapshot);
	return segment;
}

/* Is everything before this segment older than what the arena holds, and a peer may ask for? */
static bool beyond_reach(struct tail *t, uint64_t segment)
{
	struct disk *disk = t->log.disk;
	const struct log_segment_header *header = NULL;
	char path[CTL_PATH_BYTES];
	ctl_log_path(&t->log, segment, path);
	int file = disk->open(disk, path, DISK_READ);
	if (file < 0)
		return false;
	ssize_t got = disk->read(disk, file, t->chunk, LOG_BLOCK_BYTES, 0);
	disk->close(disk, file);
	return log_segment_header_check(
		       t->chunk, got > 0 ? (uint64_t)got : 0, &t->log.identity, segment, &header
	       ) == LOG_OK &&
	       header->first_sequence + t->log.reach <= t->copy.sequence;
}

/* The disk has no room for the log's next segment. */
static bool is_full(const struct tail *t)
{
	return dp_shm_load(&t->shm->log.full) != 0;
}

/* What two good snapshots no longer need; of a full disk, what one does not, or there would never
 * be a second one. The oldest segments go first, so what remains is dense whenever this ends. */
static int clean_up(struct tail *t)
{
	const uint32_t kept = is_full(t) ? 1 : KEPT;
	char path[CTL_PATH_BYTES], error[256];
	struct disk *disk = t->log.disk;
	uint32_t good = 0;
	uint64_t segment = 0;
	int result = 0;
	if (ctl_log_look_names(&t->log, error, sizeof(error)) < 0)
		return -EIO;
	for (uint32_t i = 0; i < t->log.snapshot_count && result == 0; i++) {
		uint64_t found = good < kept ? place_of(t, t->log.snapshots[i]) : 0;
		if (found != 0) {
			good++;
			segment = found;
			continue;
		}
		if (good < kept)
			continue; /* not good, and newer ones are too few: it may tell something */
		ctl_snapshot_path(&t->log, t->log.snapshots[i], path);
		result = disk->remove(disk, path);
	}
	for (uint32_t i = 0; good == kept && i + 1 < t->log.count && result == 0; i++) {
		if (t->log.segments[i].number >= segment ||
		    !beyond_reach(t, t->log.segments[i + 1].number))
			break;
		ctl_log_path(&t->log, t->log.segments[i].number, path);
		result = disk->remove(disk, path);
		if (result == 0)
			dp_shm_store(&t->facts->segments_removed, t->facts->segments_removed + 1);
	}
	snprintf(path, sizeof(path), "%.480s/log", t->log.folder);
	if (result == 0)
		result = disk->sync_directory(disk, path);
	return result;
}

static int write_file(struct tail *t, const char *temporary, struct snap_header *header)
{
	struct disk *disk = t->log.disk;
	disk->remove(disk, temporary); /* of a killed control */
	int file = disk->open(disk, temporary, DISK_CREATE);
	if (file < 0)
		return file;
	int result = ctl_copy_write(&t->copy, &t->log.identity, disk, file, header);
	if (result == 0)
		result = disk->sync(disk, file);
	disk->close(disk, file);
	return result;
}

static int write_snapshot(struct tail *t)
{
	struct snap_header *header = calloc(1, sizeof(*header));
	char path[CTL_PATH_BYTES], temporary[CTL_PATH_BYTES + 8];
	struct disk *disk = t->log.disk;
	struct ctl_snapshot snapshot = {0};
	uint64_t began_ns = ctl_monotonic_ns();
	if (header == NULL)
		return -ENOMEM;
	header->segment = t->held.segment;
	header->offset = t->held.offset;
	header->chain = t->held.chain;
	header->sequence = t->copy.sequence;
	header->incarnation = t->shm->incarnation;
	header->written_unix_ns = ctl_unix_ns();
	ctl_snapshot_path(&t->log, t->copy.sequence, path);
	snprintf(temporary, sizeof(temporary), "%s.tmp", path);
	int result = write_file(t, temporary, header);
	if (result == 0)
		result = disk->rename(disk, temporary, path);
	else
		disk->remove(disk, temporary);
	if (result == 0) {
		*strrchr(temporary, '/') = 0;
		result = disk->sync_directory(disk, temporary);
	}
	/* Good is what can be read again. */
	if (result == 0)
		result = ctl_snapshot_open(&t->log, t->copy.sequence, &snapshot);
	if (result == 0 && snapshot.header == NULL) {
		result = -EIO;
		disk->remove(disk, path);
	}
	ctl_snapshot_close(&snapshot);
	if (result == 0) {
		dp_shm_store(&t->facts->snapshot_unix_ns, header->written_unix_ns);
		dp_shm_store(&t->facts->snapshot_bytes, header->file_bytes);
		dp_shm_store(&t->facts->snapshot_took_ns, ctl_monotonic_ns() - began_ns);
		dp_shm_store(&t->facts->snapshots, t->facts->snapshots + 1);
		dp_shm_store(&t->facts->snapshot_sequence, t->copy.sequence);
		result = clean_up(t);
	}
	free(header);
	return result;
}

static void snapshot_when_due(struct tail *t)
{
	uint64_t now_ns = ctl_monotonic_ns();
	uint64_t entries = t->copy.sequence - dp_shm_load(&t->facts->snapshot_sequence);
	bool room = is_full(t) && now_ns - t->written_ns >= ROOM_NS;
	bool due = now_ns - t->written_ns >= t->settings->log.snapshot_interval_ns ||
		   entries >= t->settings->log.snapshot_entries || room;
	if (!due || !t->sound || (entries == 0 && !room))
		return;
	/* A failure too: it is not tried again at once. */
	int result = entries > 0 ? write_snapshot(t) : clean_up(t);
	t->written_ns = ctl_monotonic_ns();
	if (result < 0) {
		dp_shm_store(&t->facts->snapshots_failed, t->facts->snapshots_failed + 1);
		if (!room || result != -ENOSPC) /* a full disk is in the status already */
			sf_log(SF_ERROR,
			       "snapshot at %" PRIu64 ": %s",
			       t->copy.sequence,
			       strerror(-result));
	}
}

/* --- The thread --- */

static void pause_ns(uint64_t ns)
{
	struct timespec pause = {.tv_nsec = (long)ns};
	nanosleep(&pause, NULL);
}

/* The copy as the disk has it: the newest good snapshot, and where the log goes on. */
static bool begin(struct tail *t)
{
	struct ctl_snapshot snapshot;
	struct rec_plan plan;
	char text[1024];
	int result = ctl_copy_init(&t->copy, t->settings);
	ctl_log_init(&t->log, t->settings, &disk_real);
	t->chunk = aligned_alloc(LOG_BLOCK_BYTES, CHUNK_BYTES);
	if (result < 0 || t->chunk == NULL) {
		sf_log(SF_ERROR, "checkpoint: no memory for a copy of the state");
		return false;
	}
	/* The log is being written: a look may find a group that is half there. */
	for (int look = 0; look == 0 || (look < LOOKS && rec_refuses(plan.verdict)); look++) {
		if (ctl_log_look(&t->log, false, text, sizeof(text)) < 0) {
			sf_log(SF_ERROR, "checkpoint: %s", text);
			return false;
		}
		ctl_log_plan(&t->log, &plan, &snapshot, text, sizeof(text));
	}
	if (rec_refuses(plan.verdict)) {
		ctl_log_say(&t->log, &plan, text, sizeof(text));
		sf_log(SF_ERROR, "checkpoint: %s", text);
		dp_shm_store(&t->facts->damage, 1);
		return false;
	}
	t->position = t->held = plan.start;
	bool good = true;
	if (snapshot.header != NULL) {
		good = ctl_copy_load(&t->copy, snapshot.header);
		dp_shm_store(&t->facts->snapshot_sequence, snapshot.header->sequence);
		dp_shm_store(&t->facts->snapshot_unix_ns, snapshot.header->written_unix_ns);
		dp_shm_store(&t->facts->snapshot_bytes, snapshot.header->file_bytes);
	}
	if (!good)
		sf_log(SF_ERROR, "checkpoint: the newest snapshot does not fit the settings");
	ctl_snapshot_close(&snapshot);
	return good;
}

static void follow(struct tail *t)
{
	while (!stopping(t)) {
		/* What is not committed may be cut away again: no snapshot holds it. */
		uint64_t durable = sf_min64(
			dp_shm_load(&t->shm->log.durable), dp_shm_load(&t->shm->status.committed)
		);
		bool moved = t->sound && t->copy.sequence < durable && advance(t, durable);
		dp_shm_store(&t->facts->sequence, t->copy.sequence);
		if (t->sound && !ctl_audit_compare(&t->audit, t->shm)) {
			snprintf(
				t->checkpoint->text,
				sizeof(t->checkpoint->text),
				"AUDIT: at sequence %" PRIu64
				" the state made from the log is not the dataplane's; no more "
				"snapshots are written",
				dp_shm_load(&t->facts->audit_fault)
			);
			raise_alarm(t);
		}
		snapshot_when_due(t);
		if (!moved)
			pause_ns(ROUND_NS);
	}
}

static void *run_checkpoint(void *argument)
{
	struct ctl_checkpoint *checkpoint = argument;
	struct tail tail = {
		.checkpoint = checkpoint,
		.settings = checkpoint->settings,
		.file = -1,
		.sound = true,
	};
	char error[512];
	prctl(PR_SET_NAME, "sf-checkpoint");
	setpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid), NICE);
	if (dp_shm_attach_file(tail.settings, true, &tail.shm, error, sizeof(error)) < 0)
		return NULL;
	tail.facts = &tail.shm->checkpoint;
	memset(tail.facts, 0, sizeof(*tail.facts));
	while (dp_shm_load(&tail.shm->fill.state) != DP_FILL_DONE && !stopping(&tail))
		pause_ns(ROUND_NS);
	tail.written_ns = ctl_monotonic_ns();
	if (!stopping(&tail) && begin(&tail))
		follow(&tail);
	if (tail.file >= 0)
		tail.log.disk->close(tail.log.disk, tail.file);
	free(tail.chunk);
	ctl_copy_free(&tail.copy);
	ctl_log_free(&tail.log);
	dp_shm_detach(tail.shm);
	return NULL;
}

void ctl_checkpoint_start(struct ctl_checkpoint *checkpoint, const struct cfg_settings *settings)
{
	sigset_t all, before;
	ctl_checkpoint_stop(checkpoint);
	if (settings->log.enabled != CFG_ON)
		return;
	*checkpoint = (struct ctl_checkpoint){.settings = settings};
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	checkpoint->running =
		pthread_create(&checkpoint->thread, NULL, run_checkpoint, checkpoint) == 0;
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (!checkpoint->running)
		sf_log(SF_ERROR, "checkpoint: no thread");
}

void ctl_checkpoint_stop(struct ctl_checkpoint *checkpoint)
{
	if (!checkpoint->running)
		return;
	__atomic_store_n(&checkpoint->stop, 1, __ATOMIC_RELEASE);
	pthread_join(checkpoint->thread, NULL);
	checkpoint->running = false;
}
