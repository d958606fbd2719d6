/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/replay.h"

#include "config/bytes.h"
#include "config/log.h"
#include "control/copy.h"
#include "control/cut.h"
#include "control/log_store.h"
#include "control/servant.h"
#include "control/text.h"
#include "dataplane/shm.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#define CHUNK_BYTES (LOG_MAX_GROUP_BYTES + LOG_BLOCK_BYTES)
#define WAIT_NS 20000L
#define LOOK_NS 100000000ull /* between looks whether the dataplane lives */
#define SAY_NS 1000000000ull
#define USED_PATIENCE_LOOKS 36000

struct run {
	struct ctl_replay *replay;
	struct dp_shm *shm;
	struct ctl_log log;
	struct rec_plan plan;
	struct ctl_snapshot snapshot;
	uint64_t head; /* of the ring, ours */
	uint64_t look_ns, say_ns;
	uint32_t epoch;		      /* of the newest entry */
	struct dp_want_refill refill; /* number 0: the node's start */
	struct rep_record record;     /* at the start */
	bool fell_back;		      /* there was damage in what the snapshot covers */
};

static void finish(struct ctl_replay *replay, enum ctl_replay_state state)
{
	__atomic_store_n(&replay->state, state, __ATOMIC_RELEASE);
}

static bool refuse(struct run *run)
{
	struct dp_shm_fill *shared = &run->shm->fill;
	snprintf(shared->refusal, sizeof(shared->refusal), "%s", run->replay->text);
	/* Release: the text is complete. */
	__atomic_store_n(&shared->refused, 1, __ATOMIC_RELEASE);
	finish(run->replay, CTL_REPLAY_REFUSED);
	return false;
}

static bool refuse_file(struct run *run, const char *path, int error)
{
	snprintf(
		run->replay->text,
		sizeof(run->replay->text),
		"%s: %s; see to the disk, then start standfast-control again",
		path,
		strerror(error)
	);
	return refuse(run);
}

/* --- Ring --- */

static void say_progress(struct run *run, uint64_t now_ns)
{
	struct ctl_replay *replay = run->replay;
	if (now_ns < run->say_ns)
		return;
	run->say_ns = now_ns + SAY_NS;
	double seconds = (double)(now_ns - replay->started_ns) / 1e9;
	double rate = (double)replay->bytes / seconds;
	uint64_t left = replay->total_bytes - sf_min64(replay->bytes, replay->total_bytes);
	sf_log(SF_NOTICE,
	       "replay: %" PRIu64
	       " entries, %.0f a second, %.0f MiB/s; %.0f MiB left, about %.0f s",
	       replay->entries,
	       (double)replay->entries / seconds,
	       rate / 1048576,
	       (double)left / 1048576,
	       rate > 0 ? (double)left / rate : 0.0);
}

/* False when this replay is over: stopped, or nobody takes what we fill in. */
static bool goes_on(struct run *run)
{
	uint64_t now_ns = ctl_monotonic_ns();
	if (__atomic_load_n(&run->replay->stop, __ATOMIC_ACQUIRE))
		return false;
	if (dp_shm_load(&run->shm->fill.fault) != 0)
		return false;
	say_progress(run, now_ns);
	if (now_ns < run->look_ns)
		return true;
	run->look_ns = now_ns + LOOK_NS;
	return dp_shm_alive(run->replay->settings) &&
	       !dp_shm_replaced(run->replay->settings, run->shm);
}

/* Room for so many bytes in one piece at the head; NULL when the replay is over. */
static void *room(struct run *run, uint64_t bytes)
{
	struct timespec pause = {.tv_nsec = WAIT_NS};
	uint64_t size = run->shm->fill_bytes;
	uint8_t *ring = (uint8_t *)run->shm + run->shm->fill_at;
	for (;;) {
		/* Acquire: the dataplane has read what it passed. */
		uint64_t tail = __atomic_load_n(&run->shm->fill.tail, __ATOMIC_ACQUIRE);
		uint64_t at = run->head & (size - 1);
		uint64_t free_bytes = size - (run->head - tail);
		if (at + bytes <= size && free_bytes >= bytes)
			return ring + at;
		if (at + bytes > size && free_bytes >= size - at) {
			*(struct dp_fill_record *)(ring + at) = (struct dp_fill_record
			){.bytes = (uint32_t)(size - at), .type = DP_FILL_SKIP};
			run->head += size - at;
			__atomic_store_n(&run->shm->fill.head, run->head, __ATOMIC_RELEASE);
			continue;
		}
		if (!goes_on(run))
			return NULL;
		nanosleep(&pause, NULL);
	}
}

static void publish(struct run *run, struct dp_fill_record *record, uint32_t type, uint32_t bytes)
{
	record->type = type;
	record->bytes = (uint32_t)sizeof(*record) + bytes;
	run->head += record->bytes;
	/* Release: the record is complete. */
	__atomic_store_n(&run->shm->fill.head, run->head, __ATOMIC_RELEASE);
}

/* --- Groups --- */

/* Is this place before the one where the snapshot's log goes on? */
static bool covered(const struct run *run, const struct log_position *position)
{
	const struct log_position *base = &run->plan.start;
	return run->snapshot.header != NULL &&
	       (position->segment < base->segment ||
		(position->segment == base->segment && position->offset < base->offset));
}

static bool damaged(struct run *run, const struct log_position *position, enum log_fault fault)
{
	struct rec_plan found = {
		.verdict = REC_DAMAGED,
		.fault = fault,
		.at_segment = position->segment,
		.at_offset = position->offset,
	};
	ctl_log_say(&run->log, &found, run->replay->text, sizeof(run->replay->text));
	if (!covered(run, position))
		return refuse(run);
	sf_log(SF_WARNING, "replay: %s; the snapshot covers it", run->replay->text);
	run->fell_back = true;
	return false;
}

/* A group from `before` to `behind`: the one that ends at the snapshot's place is the one that the
 * snapshot names, and none lies across it. */
static bool
joins(const struct run *run, const struct log_position *before, const struct log_position *behind)
{
	const struct log_position *base = &run->plan.start;
	if (!covered(run, before) || covered(run, behind))
		return true;
	return behind->offset == base->offset && behind->chain == base->chain &&
	       behind->next_sequence == base->next_sequence;
}

/* Verifies the groups of a chunk in their place; how many bytes of whole groups there are. */
static uint32_t
verify(struct run *run,
       const uint8_t *data,
       uint64_t bytes,
       struct log_position *position,
       enum log_fault *fault)
{
	uint32_t done = 0;
	*fault = LOG_EMPTY;
	while (done < bytes) {
		const struct log_group *group;
		struct log_position before = *position;
		*fault = log_group_check(
			data + done, bytes - done, &run->log.identity, position, &group
		);
		if (*fault == LOG_OK && !joins(run, &before, position)) {
			*position = before;
			*fault = LOG_BAD_CHAIN;
		}
		if (*fault != LOG_OK)
			break;
		done += log_group_space(group->bytes);
		run->replay->entries += group->count;
		run->epoch = (uint32_t)sf_max64(run->epoch, group->epoch);
	}
	return done;
}

/* --- Snapshot --- */

static bool put(struct run *run, uint32_t type, const void *data, uint32_t bytes)
{
	struct dp_fill_record *record = room(run, sizeof(*record) + bytes);
	if (record == NULL)
		return false;
	if (bytes > 0)
		memcpy(record + 1, data, bytes);
	publish(run, record, type, bytes);
	return true;
}

static bool stream_snapshot(struct run *run)
{
	const struct snap_header *header = run->snapshot.header;
	if (header == NULL)
		return true;
	const struct snap_block *block = snap_first(header);
	bool good = put(run, DP_FILL_SNAPSHOT, header, sizeof(*header));
	for (uint32_t i = 0; i < header->blocks && good; i++, block = snap_next(block)) {
		good = put(run, DP_FILL_BLOCK, block, block->bytes);
		run->replay->bytes += block->bytes;
	}
	run->epoch = header->epoch;
	return good && put(run, DP_FILL_SNAPSHOT_END, NULL, 0);
}

/* --- Log --- */

/* Streams one segment from the place where position stands; moves it to the segment's end. */
static bool
stream_segment(struct run *run, const struct rec_segment *segment, struct log_position *position)
{
	char path[CTL_PATH_BYTES];
	struct disk *disk = run->log.disk;
	bool last = segment->number == run->plan.last_segment;
	uint64_t end = last ? segment->end_offset : segment->file_bytes;
	ctl_log_path(&run->log, segment->number, path);
	int file = disk->open(disk, path, DISK_READ);
	if (file < 0)
		return refuse_file(run, path, -file);
	bool good = true;
	while (good && position->offset < end) {
		struct dp_fill_record *record = room(run, sizeof(*record) + CHUNK_BYTES);
		enum log_fault fault = LOG_EMPTY;
		if (record == NULL) {
			good = false;
			break;
		}
		uint8_t *data = (uint8_t *)(record + 1);
		ssize_t got = disk->read(
			disk,
			file,
			data,
			(size_t)sf_min64(CHUNK_BYTES, end - position->offset),
			position->offset
		);
		if (got < 0) {
			good = refuse_file(run, path, (int)-got);
			break;
		}
		uint32_t done = verify(run, data, (uint64_t)got, position, &fault);
		run->replay->bytes += done;
		if (done > 0)
			publish(run, record, DP_FILL_GROUPS, done);
		else if (fault == LOG_EMPTY)
			break; /* the rest of the segment was not used */
		else
			good = damaged(run, position, fault);
		good = good && goes_on(run);
	}
	disk->close(disk, file);
	return good;
}

static bool stream_from(struct run *run, const struct log_position *from)
{
	struct log_position position = *from;
	for (uint32_t i = 0; i < run->log.count; i++) {
		const struct rec_segment *segment = &run->log.segments[i];
		if (segment->number < from->segment || segment->number > run->plan.last_segment)
			continue;
		if (segment->number != from->segment) {
			if (position.next_sequence != segment->first_sequence ||
			    position.chain != segment->chain)
				return damaged(run, &position, LOG_BAD_CHAIN);
			position.segment = segment->number;
			position.offset = LOG_BLOCK_BYTES;
		}
		run->epoch = (uint32_t)sf_max64(run->epoch, segment->header_epoch);
		if (!stream_segment(run, segment, &position))
			return false;
	}
	return true;
}

/* Also what is in the snapshot already, as far back as the peer may still want it. */
static bool stream(struct run *run)
{
	return stream_from(run, &run->plan.reach) ||
	       (run->fell_back && stream_from(run, &run->plan.start));
}

/* --- The whole --- */

/* Of another model, or other bounds? Then its records mean something else. */
static bool judge_snapshot(struct run *run)
{
	const struct snap_header *header = run->snapshot.header;
	struct snap_shape ours;
	const char *field;
	char path[CTL_PATH_BYTES];
	if (header == NULL)
		return true;
	ctl_copy_shape(run->replay->settings, &ours);
	if (snap_fits(&ours, &header->shape, &field))
		return true;
	ctl_snapshot_path(&run->log, header->sequence, path);
	snprintf(
		run->replay->text,
		sizeof(run->replay->text),
		"%s was made with another value of %s; start with that one",
		path,
		field
	);
	return refuse(run);
}

/* The core has decided where the node's history ends. */
static bool change_log(struct run *run)
{
	struct ctl_replay *replay = run->replay;
	struct ctl_cut cut = {0};
	int result = 0;
	if (run->refill.number == 0)
		return true;
	if (run->refill.snapshot) {
		result = ctl_servant_install(
			replay->servant, run->refill.keep, replay->text, sizeof(replay->text)
		);
		/* Not whole (control was started again meanwhile), or not good: the node goes on
		 * with what it has, and fetches it again. */
		if (result == -EINVAL || result == -EBADMSG) {
			sf_log(SF_WARNING, "snapshot from the peer: %s", replay->text);
			result = 0;
		}
	} else {
		result = ctl_log_cut(
			&run->log, run->refill.keep, &cut, replay->text, sizeof(replay->text)
		);
		/* Nothing of ours leads to that entry: then all comes from the peer. */
		if (result == -ENODATA)
			result = ctl_log_empty(&run->log, &cut, replay->text, sizeof(replay->text));
	}
	ctl_servant_log_changed(replay->servant);
	if (result < 0)
		return refuse(run);
	if (cut.entries > 0)
		sf_log(SF_WARNING,
		       "log: %" PRIu64 " entries behind %" PRIu64
		       " are not the primary's; they are in %s",
		       cut.entries,
		       run->refill.keep,
		       cut.folder);
	return true;
}

/* The role record comes to life with the node. */
static bool boot(struct run *run)
{
	struct ctl_replay *replay = run->replay;
	bool used = rec_identity_used(run->log.identity_state);
	if (run->refill.number != 0 || !ctl_servant_wanted(replay->settings))
		return true;
	return ctl_servant_boot(
		       replay->servant,
		       run->shm->incarnation,
		       used,
		       &run->record,
		       replay->text,
		       sizeof(replay->text)
	       ) == 0 ||
	       refuse(run);
}

static bool plan(struct run *run)
{
	struct ctl_replay *replay = run->replay;
	char warning[1024];
	ctl_log_init(&run->log, replay->settings, &disk_real);
	if (!change_log(run))
		return false;
	if (ctl_log_look(&run->log, false, replay->text, sizeof(replay->text)) < 0)
		return refuse(run);
	ctl_log_plan(&run->log, &run->plan, &run->snapshot, warning, sizeof(warning));
	if (*warning)
		sf_log(SF_WARNING, "snapshot passed over: %s", warning);
	ctl_log_say(&run->log, &run->plan, replay->text, sizeof(replay->text));
	if (rec_refuses(run->plan.verdict))
		return refuse(run);
	if (!judge_snapshot(run))
		return false;
	for (uint32_t i = 0; i < run->log.count; i++)
		if (run->log.segments[i].number >= run->plan.reach.segment)
			replay->total_bytes += run->log.segments[i].end_offset;
	if (run->snapshot.header != NULL) {
		replay->total_bytes += run->snapshot.map.bytes;
		sf_log(SF_NOTICE,
		       "snapshot at %" PRIu64 ": %" PRIu64 " assets, %" PRIu64 " sessions",
		       run->snapshot.header->sequence,
		       run->snapshot.header->assets,
		       run->snapshot.header->sessions);
	}
	sf_log(SF_NOTICE,
	       "log: %s; entries up to %" PRIu64 ", %" PRIu64 " bytes cut",
	       replay->text,
	       run->plan.last_sequence,
	       run->plan.cut_bytes);
	return true;
}

/* Only when every group has proved whole: a log that is refused stays as it was found. */
static bool carry_out(struct run *run)
{
	struct ctl_replay *replay = run->replay;
	return ctl_log_carry_out(&run->log, &run->plan, replay->text, sizeof(replay->text)) == 0 ||
	       refuse(run);
}

static bool put_end(struct run *run)
{
	struct dp_fill_end end = {
		.history = {.last_sequence = run->plan.last_sequence, .epoch = run->epoch},
		.position = run->plan.position,
		.durable = run->plan.last_sequence,
		.refill = run->refill.number,
		.held = ctl_servant_is_held(run->replay->servant),
		.record = run->record,
	};
	return put(run, DP_FILL_END, &end, sizeof(end));
}

/* The identity says that the log holds something, as soon as it does. */
static void wait_until_used(struct run *run)
{
	struct timespec pause = {.tv_nsec = LOOK_NS};
	if (run->log.identity_state == REC_IDENTITY_OURS)
		return;
	while (dp_shm_load(&run->shm->log.durable) == 0) {
		if (!goes_on(run))
			return;
		nanosleep(&pause, NULL);
	}
	int result = ctl_log_identify(&run->log, true);
	if (result < 0)
		sf_log(SF_WARNING, "%s/identity: %s", run->log.folder, strerror(-result));
}

static void fill(struct run *run)
{
	struct ctl_replay *replay = run->replay;
	struct timespec pause = {.tv_nsec = 1000000};
	run->head = dp_shm_load(&run->shm->fill.head);
	dp_shm_store(&run->shm->fill.refused, 0);
	/* Never written before the first refill of this dataplane. */
	if (run->shm->wants.refill.version != 0 &&
	    !dp_box_get(&run->shm->wants.refill, &run->refill))
		return;
	if (!plan(run) || !put(run, DP_FILL_BEGIN, NULL, 0) || !stream_snapshot(run) ||
	    !stream(run) || !carry_out(run) || !boot(run) || !put_end(run))
		return;
	while (dp_shm_load(&run->shm->fill.state) != DP_FILL_DONE) {
		if (!goes_on(run))
			return;
		nanosleep(&pause, NULL);
	}
	double seconds = (double)(ctl_monotonic_ns() - replay->started_ns) / 1e9;
	run->say_ns = UINT64_MAX;
	snprintf(
		replay->text,
		sizeof(replay->text),
		"replay done: snapshot at %" PRIu64 ", %" PRIu64
		" entries in %.3f s, %.0f a second; goes on at %" PRIu64,
		run->snapshot.header != NULL ? run->snapshot.header->sequence : 0,
		replay->entries,
		seconds,
		(double)replay->entries / seconds,
		run->plan.last_sequence + 1
	);
	finish(replay, CTL_REPLAY_DONE);
	wait_until_used(run);
}

static void *run_replay(void *argument)
{
	struct run run = {.replay = argument};
	struct ctl_replay *replay = argument;
	char error[512];
	prctl(PR_SET_NAME, "sf-replay");
	if (dp_shm_attach_file(replay->settings, true, &run.shm, error, sizeof(error)) == 0) {
		uint64_t state = dp_shm_load(&run.shm->fill.state);
		run.say_ns = replay->started_ns + SAY_NS;
		if (state == DP_FILL_WANTED || state == DP_FILL_RUNNING)
			fill(&run);
		if (dp_shm_load(&run.shm->fill.fault) != 0 &&
		    ctl_replay_look(replay) == CTL_REPLAY_RUNNING) {
			snprintf(
				replay->text,
				sizeof(replay->text),
				"the dataplane does not take entry %" PRIu64
				": the log and its settings do not fit each other; start the node "
				"with the settings that it had",
				dp_shm_load(&run.shm->fill.fault)
			);
			refuse(&run);
		}
		ctl_snapshot_close(&run.snapshot);
		ctl_log_free(&run.log);
		dp_shm_detach(run.shm);
	}
	if (ctl_replay_look(replay) == CTL_REPLAY_RUNNING)
		finish(replay, CTL_REPLAY_ENDED);
	return NULL;
}

void ctl_replay_start(
	struct ctl_replay *replay, const struct cfg_settings *settings, struct ctl_servant *servant
)
{
	sigset_t all, before;
	ctl_replay_stop(replay);
	if (settings->log.enabled != CFG_ON)
		return;
	*replay = (struct ctl_replay){
		.settings = settings,
		.servant = servant,
		.state = CTL_REPLAY_RUNNING,
		.started_ns = ctl_monotonic_ns(),
	};
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	replay->running = pthread_create(&replay->thread, NULL, run_replay, replay) == 0;
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (!replay->running)
		sf_log(SF_ERROR, "replay: no thread");
}

void ctl_replay_stop(struct ctl_replay *replay)
{
	if (!replay->running)
		return;
	__atomic_store_n(&replay->stop, 1, __ATOMIC_RELEASE);
	pthread_join(replay->thread, NULL);
	replay->running = false;
}

enum ctl_replay_state ctl_replay_look(const struct ctl_replay *replay)
{
	return (enum ctl_replay_state)__atomic_load_n(&replay->state, __ATOMIC_ACQUIRE);
}
