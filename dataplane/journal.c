/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/journal.h"

#include "config/bytes.h"
#include "dataplane/clock.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#define MARK_IDLE_NS 10000000ull /* without entries, before the last mark is written */
#define ENTRIES_PER_POLL 256
#define FULL_ROUNDS 300 /* of 1 ms: the preparer has looked for room again, more than once */

/* --- Groups --- */

static uint64_t wall_ns(void)
{
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now); /* no system call */
	return (uint64_t)now.tv_sec * 1000000000ull + (uint64_t)now.tv_nsec;
}

static struct dp_journal_buffer *next_buffer(struct dp_journal *journal)
{
	return &journal->buffers[journal->handed % journal->buffer_count];
}

/* Acquire: the writer is through with the buffers before. */
static uint64_t under_way(const struct dp_journal *journal)
{
	return journal->handed - __atomic_load_n(&journal->done, __ATOMIC_ACQUIRE);
}

static bool begin_group(struct dp_journal *journal)
{
	if (under_way(journal) == journal->buffer_count)
		return false;
	struct dp_journal_buffer *buffer = next_buffer(journal);
	uint32_t room = (uint32_t
	)sf_min64(DP_JOURNAL_GROUP_BYTES, journal->segment_bytes - LOG_BLOCK_BYTES);
	log_group_begin(
		&journal->builder,
		buffer->block + LOG_BLOCK_BYTES,
		room,
		journal->position.next_sequence
	);
	journal->open = true;
	return true;
}

/* False when the group has no place yet: the next segment is not ready. */
static bool place_group(struct dp_journal *journal)
{
	uint32_t space = log_group_space(journal->builder.group->bytes);
	if (!journal->turned && journal->position.offset + space > journal->segment_bytes) {
		journal->position.segment++;
		journal->position.offset = LOG_BLOCK_BYTES;
		journal->turned = true;
		/* Relaxed: a wish. */
		__atomic_store_n(
			&journal->wanted,
			journal->position.segment + DP_JOURNAL_READY,
			__ATOMIC_RELAXED
		);
	}
	/* Acquire: pairs with the preparer's release; the file is there. */
	return journal->position.segment <= __atomic_load_n(&journal->prepared, __ATOMIC_ACQUIRE);
}

/* Seals the open group and hands it to the writer. False: there is no segment for it yet. */
static bool hand_on(struct dp_journal *journal, uint8_t flags)
{
	struct dp_journal_buffer *buffer = next_buffer(journal);
	if (!place_group(journal)) {
		journal->shm->unprepared++;
		return false;
	}
	uint32_t epoch = (uint32_t)dp_shm_load(&journal->commit->epoch);
	uint64_t unix_ns = wall_ns();
	buffer->from = LOG_BLOCK_BYTES;
	buffer->segment = journal->position.segment;
	buffer->offset = journal->position.offset;
	buffer->sync = flags != 0 || journal->builder.group->count == 0;
	if (journal->turned) {
		log_segment_header_write(
			buffer->block,
			&journal->identity,
			&journal->position,
			journal->segment_bytes,
			journal->incarnation,
			epoch,
			unix_ns
		);
		buffer->from = 0;
		buffer->offset = 0;
		journal->turned = false;
	}
	journal->marked =
		sf_min64(dp_journal_durable(journal), journal->builder.group->first_sequence - 1);
	uint32_t space = log_group_seal(
		&journal->builder,
		&journal->position,
		&journal->identity,
		journal->incarnation,
		epoch,
		journal->marked,
		flags,
		unix_ns
	);
	buffer->bytes = LOG_BLOCK_BYTES - buffer->from + space;
	buffer->last_sequence = journal->position.next_sequence - 1;
	journal->open = false;
	journal->idle_since = 0;
	if (journal->pace_ns != 0)
		journal->handed_ns = dp_now_ns();
	/* Release: the writer that sees the count sees the buffer. */
	__atomic_store_n(&journal->handed, journal->handed + 1, __ATOMIC_RELEASE);
	return true;
}

/* Copies entries into the open group until it is full or there are no more; how many. */
static unsigned gather(struct dp_journal *journal, uint64_t appended, bool *full)
{
	struct log_group_builder *builder = &journal->builder;
	uint64_t next = builder->group->first_sequence + builder->group->count;
	unsigned count = 0;
	*full = false;
	while (next <= appended && count < ENTRIES_PER_POLL) {
		const struct rep_entry *entry = rep_arena_entry(journal->arena, next);
		uint32_t bytes = rep_entry_bytes(entry->payload_bytes);
		void *room = log_group_room(builder, bytes);
		if (room == NULL) {
			*full = true;
			break;
		}
		rep_entry_copy(room, entry);
		log_group_added(builder, bytes, entry->crc);
		next++;
		count++;
	}
	return count;
}

/* After a while without entries the log itself says that all of it is durable. */
static unsigned mark_when_idle(struct dp_journal *journal)
{
	if (journal->marked == journal->position.next_sequence - 1 || under_way(journal) > 0)
		return 0;
	uint64_t now_ns = dp_now_ns();
	if (journal->idle_since == 0)
		journal->idle_since = now_ns;
	if (now_ns - journal->idle_since < MARK_IDLE_NS || !begin_group(journal))
		return 0;
	return hand_on(journal, 0);
}

static bool is_time(const struct dp_journal *journal)
{
	return dp_journal_hurries(journal) || dp_now_ns() - journal->handed_ns >= journal->pace_ns;
}

unsigned dp_journal_poll(void *agent)
{
	struct dp_journal *journal = agent;
	/* Acquire: pairs with dp_journal_begin, which may run on another lcore. */
	if (unlikely(!__atomic_load_n(&journal->begun, __ATOMIC_ACQUIRE))) {
		/* Release: our last use of everything comes before. */
		__atomic_store_n(
			&journal->agent_rests,
			__atomic_load_n(&journal->rest, __ATOMIC_ACQUIRE),
			__ATOMIC_RELEASE
		);
		return 0;
	}
	if (dp_journal_failed(journal) != 0)
		return 0;
	/* Acquire: pairs with the sequencer's release; the entries stand in the arena. */
	uint64_t appended = __atomic_load_n(&journal->commit->appended, __ATOMIC_ACQUIRE);
	if (!journal->open) {
		if (appended < journal->position.next_sequence)
			return mark_when_idle(journal);
		if (!begin_group(journal)) {
			journal->shm->held_up++;
			return 0;
		}
	}
	bool full;
	unsigned count = gather(journal, appended, &full);
	struct log_group *group = journal->builder.group;
	dp_shm_store(&journal->shm->copied, group->first_sequence + group->count - 1);
	if (full || (under_way(journal) == 0 && is_time(journal)))
		hand_on(journal, 0);
	journal->shm->entries += count;
	return count;
}

/* --- Life --- */

static int make_folders(struct dp_journal *journal, const struct cfg_settings *settings)
{
	char path[CFG_TEXT_BYTES + CFG_NAME_BYTES + 2];
	struct disk *disk = journal->disk;
	int result = disk_make_directory(disk, settings->log.dir);
	snprintf(path, sizeof(path), "%s/%s", settings->log.dir, settings->node.name);
	if (result == 0)
		result = disk_make_directory(disk, path);
	snprintf(journal->folder, sizeof(journal->folder), "%s/log", path);
	if (result == 0)
		result = disk_make_directory(disk, journal->folder);
	return result;
}

int dp_journal_open(
	struct dp_journal *journal,
	const struct cfg_settings *settings,
	struct disk *disk,
	uint64_t incarnation,
	const struct rep_arena *arena,
	const struct dp_commit *commit,
	struct dp_shm_log *shm,
	char *error,
	size_t error_bytes
)
{
	bool durable = settings->replication.ack == CFG_ACK_DURABLE;
	*journal = (struct dp_journal){
		.identity =
			{
				.cluster_hash = log_cluster_hash(settings->cluster),
				.node = settings->node.id,
			},
		.incarnation = incarnation,
		.arena = arena,
		.commit = commit,
		.disk = disk,
		.shm = shm,
		.segment_bytes = settings->log.segment_bytes / LOG_BLOCK_BYTES * LOG_BLOCK_BYTES,
		.sync_interval_ns = settings->log.sync_interval_ns,
		.reserve_bytes = settings->log.reserve_bytes,
		.sync = durable ? CFG_SYNC_GROUP : settings->log.sync,
		.open_how = DISK_WRITE | (settings->log.direct == CFG_OFF ? 0 : DISK_DIRECT),
	};
	journal->passed_when_durable = journal->sync == CFG_SYNC_GROUP;
	if (!durable)
		journal->pace_ns = DP_JOURNAL_PACE_NS;
	if (!durable && journal->sync == CFG_SYNC_INTERVAL)
		journal->pace_ns = sf_min64(journal->sync_interval_ns / 2, DP_JOURNAL_PACE_NS);
	memcpy(journal->identity.cluster, settings->cluster, LOG_NAME_BYTES);
	memcpy(journal->identity.node_name, settings->node.name, LOG_NAME_BYTES);
	uint64_t stride = DP_JOURNAL_GROUP_BYTES + LOG_BLOCK_BYTES;
	journal->buffer_count =
		(uint32_t)sf_max64(2, settings->log.buffer_bytes / DP_JOURNAL_GROUP_BYTES);
	uint64_t table = sf_round_up(
		journal->buffer_count * sizeof(struct dp_journal_buffer), LOG_BLOCK_BYTES
	);
	uint64_t bytes = table + stride * journal->buffer_count;
	int result = make_folders(journal, settings);
	if (result < 0) {
		snprintf(
			error, error_bytes, "log.dir %s: %s", settings->log.dir, strerror(-result)
		);
		return result;
	}
	journal->memory =
		mmap(NULL,
		     bytes,
		     PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE,
		     -1,
		     0);
	if (journal->memory == MAP_FAILED) {
		snprintf(error, error_bytes, "no memory for log.buffer: %s", strerror(errno));
		return -ENOMEM;
	}
	journal->buffers = journal->memory;
	for (uint32_t i = 0; i < journal->buffer_count; i++)
		journal->buffers[i].block = (uint8_t *)journal->memory + table + stride * i;
	dp_shm_store(&shm->sync, journal->sync);
	dp_shm_store(&shm->io, disk->write_and_sync != NULL ? CFG_IO_URING : CFG_IO_PWRITEV2);
	result = dp_journal_start_threads(journal);
	if (result < 0)
		snprintf(
			error,
			error_bytes,
			"the journal's threads do not start: %s",
			strerror(-result)
		);
	return result;
}

bool dp_journal_rest(struct dp_journal *journal)
{
	uint64_t rest = journal->rest;
	if ((rest & 1) == 0) {
		uint64_t appended = dp_shm_load(&journal->commit->appended);
		if (dp_journal_failed(journal) != 0 || dp_journal_durable(journal) < appended)
			return false;
		__atomic_store_n(&journal->begun, false, __ATOMIC_RELEASE);
		__atomic_store_n(&journal->begin, 0, __ATOMIC_RELEASE);
		__atomic_store_n(&journal->rest, rest + 1, __ATOMIC_RELEASE);
		return false;
	}
	/* A mark that the agent has just handed on is still the writer's. */
	return __atomic_load_n(&journal->agent_rests, __ATOMIC_ACQUIRE) == rest &&
	       __atomic_load_n(&journal->writer_rests, __ATOMIC_ACQUIRE) == rest &&
	       __atomic_load_n(&journal->preparer_rests, __ATOMIC_ACQUIRE) == rest &&
	       under_way(journal) == 0;
}

void dp_journal_begin(struct dp_journal *journal, const struct log_position *position)
{
	if ((journal->rest & 1) != 0) {
		/* What was prepared ahead is gone, or counts for nothing. */
		__atomic_store_n(&journal->prepared, 0, __ATOMIC_RELAXED);
		__atomic_store_n(&journal->rest, journal->rest + 1, __ATOMIC_RELEASE);
	}
	journal->position = *position;
	journal->position.offset = LOG_BLOCK_BYTES;
	journal->turned = true;
	journal->marked = position->next_sequence - 1;
	/* Relaxed: begin, below, is what the threads wait for. */
	__atomic_store_n(&journal->written, position->next_sequence - 1, __ATOMIC_RELAXED);
	__atomic_store_n(&journal->durable, position->next_sequence - 1, __ATOMIC_RELAXED);
	dp_shm_store(&journal->shm->copied, position->next_sequence - 1);
	dp_shm_store(&journal->shm->written, position->next_sequence - 1);
	dp_shm_store(&journal->shm->durable, position->next_sequence - 1);
	__atomic_store_n(
		&journal->wanted, position->segment + DP_JOURNAL_READY - 1, __ATOMIC_RELAXED
	);
	__atomic_store_n(&journal->begun, true, __ATOMIC_RELEASE);
	/* Release: the threads that see it see all of the above. */
	__atomic_store_n(&journal->begin, position->segment, __ATOMIC_RELEASE);
}

/* The disk is full, and all segments are used: what is left has no place. */
static bool has_no_place(const struct dp_journal *journal)
{
	return dp_shm_load(&journal->shm->full) != 0 && journal->open &&
	       journal->position.segment > __atomic_load_n(&journal->prepared, __ATOMIC_ACQUIRE);
}

void dp_journal_close(struct dp_journal *journal)
{
	struct timespec pause = {.tv_nsec = 1000000};
	int full = 0;
	if (!journal->threads_run)
		return;
	/* Bounded: a disk that stands still must not hold up the end for ever. */
	for (int i = 0; i < 5000 && journal->begun && dp_journal_failed(journal) == 0; i++) {
		bool left = journal->open || dp_shm_load(&journal->commit->appended) >=
						     journal->position.next_sequence;
		if (!left && under_way(journal) == 0 &&
		    dp_journal_durable(journal) == journal->position.next_sequence - 1) {
			if (begin_group(journal))
				hand_on(journal, LOG_GROUP_CLOSED);
			break;
		}
		if (!left && under_way(journal) == 0 && begin_group(journal))
			hand_on(journal, 0); /* a mark: it brings the sync */
		full = under_way(journal) == 0 && has_no_place(journal) ? full + 1 : 0;
		if (full == FULL_ROUNDS)
			break;
		if (dp_journal_poll(journal) == 0)
			nanosleep(&pause, NULL);
	}
	dp_journal_join_threads(journal);
	munmap(journal->memory,
	       sf_round_up(
		       journal->buffer_count * sizeof(struct dp_journal_buffer), LOG_BLOCK_BYTES
	       ) + (uint64_t)(DP_JOURNAL_GROUP_BYTES + LOG_BLOCK_BYTES) * journal->buffer_count);
	journal->threads_run = false;
}
