/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The journal's threads: the writer and the preparer of segments. They may wait as long as the disk
 * does; nobody waits for them but the arena, when it is full.
 */
#include "config/bytes.h"
#include "dataplane/clock.h"
#include "dataplane/journal.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>

#define QUICK_NS 20000L /* between looks while there was work lately */
#define SLOW_NS 500000L /* when there was none for a while */
#define QUICK_LOOKS 500 /* before it becomes slow */
#define ZERO_BYTES (1u << 20)
#define FULL_NS 100000000L /* between looks at a full disk */

void dp_journal_path(const struct dp_journal *journal, uint64_t segment, char *path, size_t bytes)
{
	char name[LOG_FILE_NAME_BYTES];
	log_file_name(name, segment);
	snprintf(path, bytes, "%s/%s", journal->folder, name);
}

static void pause_ns(long ns)
{
	struct timespec pause = {.tv_nsec = ns};
	nanosleep(&pause, NULL);
}

static bool stopping(const struct dp_journal *journal)
{
	return __atomic_load_n(&journal->stop, __ATOMIC_ACQUIRE) != 0;
}

static void fail(struct dp_journal *journal, int result)
{
	uint64_t error = (uint64_t)-result;
	dp_shm_store(&journal->shm->failed, error);
	__atomic_store_n(&journal->failed, error, __ATOMIC_RELAXED);
}

/* --- Writer --- */

struct writer {
	struct dp_journal *journal;
	int file;	  /* of the segment, or -1 */
	uint64_t segment; /* that is open */
	uint64_t synced_ns;
	bool dirty; /* written since the last sync */
};

/* What was written is durable now; but the preparer may have ended the log meanwhile, and then
 * nothing more is claimed (inv. 31). */
static int synced(struct writer *writer, uint64_t before_ns)
{
	struct dp_journal *journal = writer->journal;
	struct dp_shm_log *shm = journal->shm;
	int failed = dp_journal_failed(journal);
	if (failed != 0)
		return -failed;
	writer->synced_ns = dp_clock_monotonic_ns();
	writer->dirty = false;
	dp_shm_store(
		&shm->longest_sync_ns, sf_max64(shm->longest_sync_ns, writer->synced_ns - before_ns)
	);
	shm->syncs++;
	/* Release: pairs with the acquire of who reuses slots or acknowledges. */
	__atomic_store_n(&journal->durable, journal->written, __ATOMIC_RELEASE);
	dp_shm_store(&shm->durable, journal->written);
	return 0;
}

static int sync_file(struct writer *writer)
{
	struct dp_journal *journal = writer->journal;
	if (!writer->dirty)
		return 0;
	uint64_t before_ns = dp_clock_monotonic_ns();
	dp_shm_store(&journal->shm->writing_since_ns, before_ns);
	int result = journal->disk->sync(journal->disk, writer->file);
	dp_shm_store(&journal->shm->writing_since_ns, 0);
	return result == 0 ? synced(writer, before_ns) : result;
}

/* The segment before is complete and durable before the next one is touched. */
static int turn_to(struct writer *writer, uint64_t segment)
{
	struct dp_journal *journal = writer->journal;
	char path[512];
	int result = writer->file >= 0 ? sync_file(writer) : 0;
	if (result < 0)
		return result;
	if (writer->file >= 0)
		journal->disk->close(journal->disk, writer->file);
	dp_journal_path(journal, segment, path, sizeof(path));
	writer->file = journal->disk->open(journal->disk, path, journal->open_how);
	if (writer->file < 0)
		return writer->file;
	writer->segment = segment;
	journal->shm->rotations++;
	dp_shm_store(&journal->shm->segment, segment);
	dp_shm_store(&journal->shm->direct, journal->disk->direct(journal->disk, writer->file));
	return 0;
}

static bool syncs_all(const struct dp_journal *journal)
{
	return journal->sync == CFG_SYNC_GROUP || dp_shm_load(&journal->commit->sync) != 0;
}

/* last: nothing waits behind it, so a group's sync may go with it. */
static int write_buffer(struct writer *writer, const struct dp_journal_buffer *buffer, bool last)
{
	struct dp_journal *journal = writer->journal;
	bool sync = buffer->sync || (last && syncs_all(journal));
	bool at_once = sync && journal->disk->write_and_sync != NULL;
	int result = 0;
	if (writer->file < 0 || writer->segment != buffer->segment)
		result = turn_to(writer, buffer->segment);
	uint64_t before_ns = dp_clock_monotonic_ns();
	if (result == 0)
		result =
			(at_once ? journal->disk->write_and_sync : journal->disk->write
			)(journal->disk,
			  writer->file,
			  buffer->block + buffer->from,
			  buffer->bytes,
			  buffer->offset);
	if (result < 0)
		return result;
	writer->dirty = true;
	journal->shm->groups++;
	journal->shm->bytes += buffer->bytes;
	dp_shm_store(&journal->shm->offset, buffer->offset + buffer->bytes);
	/* Release: as for durable. */
	__atomic_store_n(&journal->written, buffer->last_sequence, __ATOMIC_RELEASE);
	dp_shm_store(&journal->shm->written, buffer->last_sequence);
	if (!at_once)
		return sync ? sync_file(writer) : 0;
	return synced(writer, before_ns);
}

/* Writes what was handed on; 1 when that was something, 0 when not, or a negative errno. */
static int write_round(struct writer *writer)
{
	struct dp_journal *journal = writer->journal;
	uint64_t handed = __atomic_load_n(&journal->handed, __ATOMIC_ACQUIRE);
	uint64_t done = journal->done;
	bool worked = done < handed;
	int result = 0;
	while (done < handed && result == 0 && dp_journal_failed(journal) == 0) {
		const struct dp_journal_buffer *buffer =
			&journal->buffers[done % journal->buffer_count];
		dp_shm_store(&journal->shm->writing_since_ns, dp_clock_monotonic_ns());
		result = write_buffer(writer, buffer, ++done == handed);
		dp_shm_store(&journal->shm->writing_since_ns, 0);
		/* One buffer at a time: the agent goes on filling behind us. */
		if (result == 0)
			__atomic_store_n(&journal->done, done, __ATOMIC_RELEASE);
	}
	if (result == 0 && syncs_all(journal))
		result = sync_file(writer);
	if (result == 0 && journal->sync == CFG_SYNC_INTERVAL && writer->dirty &&
	    dp_clock_monotonic_ns() - writer->synced_ns >= journal->sync_interval_ns)
		result = sync_file(writer);
	return result < 0 ? result : worked;
}

/* While the log is somebody else's: everything is durable, and the file closed. */
static int maybe_rest(struct writer *writer)
{
	struct dp_journal *journal = writer->journal;
	uint64_t rest = __atomic_load_n(&journal->rest, __ATOMIC_ACQUIRE);
	/* The agent may hand a mark on until it rests itself. */
	bool alone = __atomic_load_n(&journal->agent_rests, __ATOMIC_ACQUIRE) == rest &&
		     __atomic_load_n(&journal->handed, __ATOMIC_ACQUIRE) == journal->done;
	if ((rest & 1) == 0 || !alone)
		return 0;
	int result = sync_file(writer);
	if (result < 0)
		return result;
	if (writer->file >= 0)
		journal->disk->close(journal->disk, writer->file);
	writer->file = -1;
	/* Release: the files are left alone from here on. */
	__atomic_store_n(&journal->writer_rests, rest, __ATOMIC_RELEASE);
	return 0;
}

static void *write_always(void *argument)
{
	struct writer writer = {.journal = argument, .file = -1};
	struct dp_journal *journal = argument;
	uint32_t looks = 0;
	prctl(PR_SET_NAME, "sf-journal");
	prctl(PR_SET_TIMERSLACK, 1000);
	for (;;) {
		bool last = stopping(journal);
		int result = write_round(&writer);
		if (result == 0)
			result = maybe_rest(&writer);
		if (result < 0)
			fail(journal, result);
		/* Also when it was the preparer who failed: nothing is written after it. */
		if (dp_journal_failed(journal) != 0)
			break;
		if (result > 0) {
			looks = 0;
			continue;
		}
		if (last)
			break;
		/* Where nobody waits, slowly at once. */
		if (dp_journal_hurries(journal))
			pause_ns(looks++ < QUICK_LOOKS ? QUICK_NS : SLOW_NS);
		else
			pause_ns((long)journal->pace_ns / 2);
	}
	if (writer.file >= 0) {
		int result = dp_journal_failed(journal) == 0 ? sync_file(&writer) : 0;
		if (result < 0)
			fail(journal, result);
		journal->disk->close(journal->disk, writer.file);
	}
	return NULL;
}

/* --- Preparer --- */

static int fill_with_zeros(struct dp_journal *journal, int file, const void *zeros)
{
	int result = 0;
	for (uint64_t at = 0; at < journal->segment_bytes && result == 0; at += ZERO_BYTES) {
		size_t bytes = (size_t)sf_min64(ZERO_BYTES, journal->segment_bytes - at);
		result = journal->disk->write(journal->disk, file, zeros, bytes, at);
	}
	return result == 0 ? journal->disk->sync(journal->disk, file) : result;
}

static int prepare(struct dp_journal *journal, uint64_t segment, const void *zeros)
{
	struct disk *disk = journal->disk;
	char path[512];
	dp_journal_path(journal, segment, path, sizeof(path));
	int file = disk->open(disk, path, DISK_CREATE | (journal->open_how & DISK_DIRECT));
	if (file < 0)
		return file;
	int result = fill_with_zeros(journal, file, zeros);
	disk->close(disk, file);
	if (result == 0)
		result = disk->sync_directory(disk, journal->folder);
	if (result < 0)
		disk->remove(disk, path);
	return result;
}

static bool has_space(const struct dp_journal *journal)
{
	int64_t left = journal->disk->free_bytes(journal->disk, journal->folder);
	return left >= 0 && (uint64_t)left >= journal->reserve_bytes + journal->segment_bytes;
}

static void *prepare_always(void *argument)
{
	struct dp_journal *journal = argument;
	void *zeros = aligned_alloc(LOG_BLOCK_BYTES, ZERO_BYTES);
	prctl(PR_SET_NAME, "sf-prepare");
	if (zeros == NULL) {
		fail(journal, -ENOMEM);
		return NULL;
	}
	memset(zeros, 0, ZERO_BYTES);
	while (!stopping(journal)) {
		uint64_t rest = __atomic_load_n(&journal->rest, __ATOMIC_ACQUIRE);
		uint64_t begin = __atomic_load_n(&journal->begin, __ATOMIC_ACQUIRE);
		uint64_t next = sf_max64(begin, journal->prepared + 1);
		uint64_t wanted = __atomic_load_n(&journal->wanted, __ATOMIC_RELAXED);
		if (begin == 0 || next > wanted) {
			/* Release: as the writer's. */
			if (begin == 0)
				__atomic_store_n(&journal->preparer_rests, rest, __ATOMIC_RELEASE);
			pause_ns(5000000);
			continue;
		}
		bool space = has_space(journal);
		dp_shm_store(&journal->shm->preparing_since_ns, dp_clock_monotonic_ns());
		int result = space ? prepare(journal, next, zeros) : -ENOSPC;
		dp_shm_store(&journal->shm->preparing_since_ns, 0);
		dp_shm_store(&journal->shm->full, result == -ENOSPC);
		if (result == 0) {
			/* Release: the file is there before anybody counts on it. */
			__atomic_store_n(&journal->prepared, next, __ATOMIC_RELEASE);
			dp_shm_store(&journal->shm->prepared, next);
		} else if (result == -ENOSPC) {
			pause_ns(FULL_NS); /* what was written stays; more may become free */
		} else {
			fail(journal, result);
			break;
		}
	}
	free(zeros);
	return NULL;
}

/* --- Start and end --- */

int dp_journal_start_threads(struct dp_journal *journal)
{
	sigset_t all, before;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	int result = pthread_create(&journal->writer_thread, NULL, write_always, journal);
	if (result == 0) {
		result = pthread_create(&journal->preparer_thread, NULL, prepare_always, journal);
		if (result != 0) {
			__atomic_store_n(&journal->stop, 1, __ATOMIC_RELEASE);
			pthread_join(journal->writer_thread, NULL);
		}
	}
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	journal->threads_run = result == 0;
	return -result;
}

void dp_journal_join_threads(struct dp_journal *journal)
{
	__atomic_store_n(&journal->stop, 1, __ATOMIC_RELEASE);
	pthread_join(journal->writer_thread, NULL);
	pthread_join(journal->preparer_thread, NULL);
}
