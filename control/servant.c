/* SPDX-License-Identifier: BSD-3-Clause */
#include "config/bytes.h"
#include "config/log.h"
#include "control/servant_parts.h"
#include "control/text.h"

#include <errno.h>
#include <inttypes.h>
#include <linux/futex.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define ROUND_NS 20000000L		/* at the latest, between two looks */
#define LOOK_NS 1000000000ull		/* between looks at what changes slowly */
#define PROBE_NS 60000000000ull		/* between probes of an arbiter that nobody asks */
#define FETCH_PATIENCE_NS 2000000000ull /* a learner that asks no more has given up */
#define NO_ENTRIES_NS 1000000L		/* before "not now" is said again */

bool ctl_servant_stopping(const struct ctl_servant *servant)
{
	return __atomic_load_n(&servant->stop, __ATOMIC_ACQUIRE) != 0;
}

/* Both threads and main change something now and then. */
void ctl_servant_ring(struct dp_shm *shm)
{
	__atomic_fetch_add(&shm->gives.bell, 1, __ATOMIC_RELEASE);
}

/* Until the sequencer rings, or a round is over. seen: the bell as it was before the last look. */
void ctl_servant_wait(struct dp_shm *shm, uint32_t seen)
{
	struct timespec most = {.tv_nsec = ROUND_NS};
	syscall(SYS_futex, &shm->wants.bell, FUTEX_WAIT, seen, &most, NULL, 0);
}

/* --- The role record --- */

void ctl_servant_open_store(struct ctl_servant *servant, bool used)
{
	if (servant->opened)
		return;
	rec_role_store_open(
		&servant->store,
		servant->log.disk,
		&servant->log.identity,
		servant->log.folder,
		used
	);
	servant->opened = true;
}

/* Writes what the core wants; the first error is the last one. */
static bool write_record(struct ctl_servant *servant, const struct dp_want_record *want)
{
	struct dp_shm *shm = servant->shm;
	struct rec_role role = servant->store.role;
	role.record = want->record;
	role.written_unix_ns = ctl_unix_ns();
	role.lineage_count = (uint32_t)sf_min64(want->lineage_count, REP_MAX_LINEAGE);
	memcpy(role.lineage, want->lineage, sizeof(role.lineage));
	struct ctl_arbiter_status status = {.alarm = CTL_ARBITER_TRUSTED};
	if (servant->arbiter != NULL)
		ctl_arbiter_status(servant->arbiter, &status);
	/* Counted in by a primary that was forced: the arbiter that it believes is ours. */
	if (status.alarm != CTL_ARBITER_TRUSTED && want->record.mode == REP_RECORD_STANDBY)
		ctl_arbiter_trust(servant->arbiter);
	if (servant->arbiter != NULL)
		role.arbiter = ctl_arbiter_seen(servant->arbiter);
	int result = -EINVAL;
	if (rec_role_is_valid(&role))
		result = rec_role_store_write(&servant->store, &role);
	if (result == 0 && want->settle)
		result = rec_role_store_settle(&servant->store);
	if (result < 0) {
		if (dp_shm_load(&shm->servant.record_error) == 0)
			sf_log(SF_ERROR,
			       "%s: the role record cannot be written: %s; the node keeps its "
			       "role, "
			       "and can take no other one until control is started again",
			       servant->log.folder,
			       strerror(-result));
		dp_shm_store(&shm->servant.record_error, (uint64_t)-result);
		return false;
	}
	dp_shm_store(&shm->servant.record_writes, shm->servant.record_writes + 1);
	dp_shm_store(&shm->gives.persisted, want->record.write_number);
	ctl_servant_ring(shm);
	return true;
}

/* True when something was written: the other copy may follow in a quieter moment. */
static bool serve_record(struct ctl_servant *servant)
{
	static struct dp_want_record want;
	struct dp_shm *shm = servant->shm;
	bool wrote = false;
	if (shm->wants.record.version == 0 || dp_shm_load(&shm->servant.record_error) != 0 ||
	    !dp_box_get(&shm->wants.record, &want) ||
	    want.record.write_number <= dp_shm_load(&shm->gives.persisted))
		return false;
	pthread_mutex_lock(&servant->lock);
	/* A control that was started again: the record of this life is there. */
	ctl_servant_open_store(servant, true);
	wrote = write_record(servant, &want);
	pthread_mutex_unlock(&servant->lock);
	return wrote;
}

static void settle(struct ctl_servant *servant)
{
	pthread_mutex_lock(&servant->lock);
	if (servant->opened && servant->store.error == 0)
		rec_role_store_settle(&servant->store);
	pthread_mutex_unlock(&servant->lock);
}

int ctl_servant_boot(
	struct ctl_servant *servant,
	uint64_t incarnation,
	bool used,
	struct rep_record *record,
	char *text,
	size_t text_bytes
)
{
	enum rep_ack ack = (enum rep_ack)servant->settings->replication.ack;
	int result = 0;
	pthread_mutex_lock(&servant->lock);
	if (servant->opened)
		rec_role_store_close(&servant->store);
	servant->opened = false;
	ctl_servant_open_store(servant, used);
	struct rec_role role = servant->store.role;
	rec_role_store_say(&servant->store, text, text_bytes);
	if (rec_role_refuses(servant->store.choice.verdict)) {
		result = -EBADMSG;
	} else {
		if (servant->store.choice.verdict != REC_ROLE_WHOLE &&
		    servant->store.choice.verdict != REC_ROLE_FRESH)
			sf_log(SF_WARNING, "role record: %s", text);
		rep_record_boot(
			&role.record, sf_max64(incarnation, role.record.incarnation + 1), ack
		);
		role.record.node = servant->settings->node.id;
		role.written_unix_ns = ctl_unix_ns();
		result = rec_role_store_write(&servant->store, &role);
		if (result < 0)
			snprintf(
				text,
				text_bytes,
				"%s: the role record cannot be written: %s",
				servant->log.folder,
				strerror(-result)
			);
		*record = servant->store.role.record;
		dp_shm_store(&servant->shm->gives.persisted, record->write_number);
	}
	pthread_mutex_unlock(&servant->lock);
	return result;
}

/* --- Loans --- */

/* Entries from first on to their places; how many. */
static uint64_t read_entries(struct ctl_servant *servant, uint64_t first, uint8_t *to)
{
	struct dp_shm *shm = servant->shm;
	uint64_t stride = shm->stage_stride_bytes, room = DP_SHM_STAGE_ENTRIES * stride, bytes;
	uint32_t count = 0;
	servant->lend.written = dp_shm_load(&shm->log.written);
	int result = ctl_lend_read(&servant->lend, first, servant->lent, room, &count, &bytes);
	if (result == -EBADMSG)
		sf_log(SF_WARNING, "log: %s; what is before it cannot be lent", servant->lend.text);
	if (result < 0)
		return 0;
	count = (uint32_t)sf_min64(count, DP_SHM_STAGE_ENTRIES);
	const uint8_t *from = servant->lent;
	for (uint32_t i = 0; i < count; i++) {
		const struct rep_entry *entry = (const void *)from;
		uint32_t whole = rep_entry_bytes(entry->payload_bytes);
		if (whole > stride)
			return i; /* of other settings */
		memcpy(to + i * stride, from, whole);
		from += whole;
	}
	return count;
}

static void say_first(struct ctl_servant *servant)
{
	uint64_t first;
	if (ctl_lend_first(&servant->lend, &first) == 0 && first != 0)
		dp_shm_store(&servant->shm->gives.log_first, first);
}

static bool lend_entries(struct ctl_servant *servant)
{
	struct dp_shm *shm = servant->shm;
	struct dp_want_stage want;
	if (shm->wants.stage.version == 0 || !dp_box_get(&shm->wants.stage, &want) ||
	    want.number == servant->stage_done)
		return false;
	struct dp_give_stage give = {.number = want.number, .range = {.first = want.first}};
	give.range.count = read_entries(servant, want.first, dp_shm_staged(shm, want.number));
	/* Written a moment ago, or gone: the core asks again, and is not to spin on it. */
	if (give.range.count == 0)
		say_first(servant);
	if (give.range.count == 0)
		nanosleep(&(struct timespec){.tv_nsec = NO_ENTRIES_NS}, NULL);
	dp_box_put(&shm->gives.stage, &give);
	servant->stage_done = want.number;
	ctl_servant_ring(shm);
	return true;
}

/* The newest snapshot on the disk; but while a learner fetches, the one that it fetches: it keeps
 * its file open, and would begin anew with each one that is written meanwhile. */
static uint64_t newest(struct ctl_servant *servant)
{
	uint64_t sequence = 0;
	bool fetches = servant->lend.sequence != 0 && servant->fetched_ns != 0 &&
		       ctl_monotonic_ns() - servant->fetched_ns < FETCH_PATIENCE_NS;
	if (fetches)
		return servant->lend.sequence;
	ctl_lend_newest(&servant->lend, &sequence);
	return sequence;
}

void ctl_servant_log_changed(struct ctl_servant *servant)
{
	__atomic_store_n(&servant->log_changed, true, __ATOMIC_RELEASE);
}

static void look_anew(struct ctl_servant *servant)
{
	if (!__atomic_exchange_n(&servant->log_changed, false, __ATOMIC_ACQUIRE))
		return;
	ctl_lend_close(&servant->lend);
	if (ctl_lend_init(&servant->lend, &servant->log) < 0)
		sf_log(SF_ERROR, "roles: no memory");
}

static void say_newest(struct ctl_servant *servant)
{
	struct dp_shm *shm = servant->shm;
	struct dp_give_piece give = {.number = servant->piece_done};
	struct dp_give_piece last = {0};
	if (dp_box_get(&shm->gives.piece, &last))
		give = last;
	give.newest = newest(servant);
	if (shm->gives.piece.version == 0 || give.newest != last.newest) {
		dp_box_put(&shm->gives.piece, &give);
		ctl_servant_ring(shm);
	}
	uint64_t before = dp_shm_load(&shm->gives.log_first);
	say_first(servant);
	if (before != dp_shm_load(&shm->gives.log_first))
		ctl_servant_ring(shm);
}

static bool lend_piece(struct ctl_servant *servant)
{
	struct dp_shm *shm = servant->shm;
	struct dp_want_piece want;
	if (shm->wants.piece.version == 0 || !dp_box_get(&shm->wants.piece, &want) ||
	    want.number == servant->piece_done)
		return false;
	struct dp_give_piece give = {.number = want.number, .range = {.first = want.offset}};
	if (servant->lend.sequence != want.sequence)
		ctl_lend_snapshot(&servant->lend, &give.sequence, &give.total);
	if (servant->lend.sequence == want.sequence)
		servant->fetched_ns = ctl_monotonic_ns();
	give.newest = newest(servant);
	ssize_t got = ctl_lend_bytes(
		&servant->lend,
		want.sequence,
		want.offset,
		dp_shm_piece(shm, want.number),
		DP_SHM_PIECE_BYTES
	);
	give.sequence = got > 0 ? want.sequence : 0;
	give.total = servant->lend.total;
	give.range.count = got > 0 ? (uint64_t)got : 0;
	if (got <= 0)
		nanosleep(&(struct timespec){.tv_nsec = NO_ENTRIES_NS}, NULL);
	dp_box_put(&shm->gives.piece, &give);
	servant->piece_done = want.number;
	ctl_servant_ring(shm);
	return true;
}

/* Pieces of a snapshot that come in: to the disk, in order. */
static bool keep_pieces(struct ctl_servant *servant)
{
	struct dp_shm *shm = servant->shm;
	char text[512];
	uint64_t taken = dp_shm_load(&shm->gives.taken);
	/* Acquire: the pieces are complete. */
	uint64_t kept = __atomic_load_n(&shm->wants.kept, __ATOMIC_ACQUIRE);
	bool any = taken != kept;
	while (taken != kept) {
		uint64_t at = taken & (DP_SHM_KEEP_BYTES - 1);
		const struct dp_kept_piece *piece =
			(const void *)((const uint8_t *)shm + shm->keep_at + at);
		if (piece->bytes == 0) {
			taken += DP_SHM_KEEP_BYTES - at;
			continue;
		}
		int result = ctl_incoming_keep(
			&servant->incoming,
			&piece->piece,
			piece + 1,
			(uint32_t)piece->bytes,
			text,
			sizeof(text)
		);
		if (result < 0)
			sf_log(SF_WARNING, "snapshot: %s", text);
		taken += sf_round_up(sizeof(*piece) + piece->bytes, 8);
	}
	/* Release: our reading comes before the sequencer's next writing there. */
	__atomic_store_n(&shm->gives.taken, taken, __ATOMIC_RELEASE);
	return any;
}

int ctl_servant_install(
	struct ctl_servant *servant, uint64_t sequence, char *text, size_t text_bytes
)
{
	pthread_mutex_lock(&servant->lock);
	keep_pieces(servant);
	struct ctl_cut cut;
	int result = ctl_incoming_install(&servant->incoming, sequence, &cut, text, text_bytes);
	pthread_mutex_unlock(&servant->lock);
	return result;
}

static void *serve(void *argument)
{
	struct ctl_servant *servant = argument;
	struct dp_shm *shm = servant->shm;
	uint64_t look_ns = 0;
	bool wrote = false;
	prctl(PR_SET_NAME, "sf-roles");
	while (!ctl_servant_stopping(servant)) {
		uint32_t seen = __atomic_load_n(&shm->wants.bell, __ATOMIC_ACQUIRE);
		bool worked = serve_record(servant);
		look_anew(servant);
		wrote |= worked;
		worked |= lend_entries(servant);
		worked |= lend_piece(servant);
		/* A refill that installs a snapshot takes what is left of it. */
		if (dp_shm_load(&shm->fill.state) == DP_FILL_DONE) {
			pthread_mutex_lock(&servant->lock);
			worked |= keep_pieces(servant);
			pthread_mutex_unlock(&servant->lock);
		}
		if (worked)
			continue;
		if (wrote)
			settle(servant);
		wrote = false;
		uint64_t now_ns = ctl_monotonic_ns();
		if (now_ns >= look_ns) {
			look_ns = now_ns + LOOK_NS;
			say_newest(servant);
		}
		ctl_servant_wait(shm, seen);
	}
	return NULL;
}

/* --- Life --- */

bool ctl_servant_wanted(const struct cfg_settings *settings)
{
	return settings->log.enabled == CFG_ON;
}

bool ctl_servant_operate(struct ctl_servant *servant, enum rep_operation operation)
{
	struct dp_give_operation give = {.operation = operation};
	if (!servant->running)
		return false;
	/* Then what the arbiter says counts, whatever it once said. */
	if (operation == REP_OPERATION_FORCE || operation == REP_OPERATION_INIT) {
		pthread_mutex_lock(&servant->lock);
		if (servant->arbiter != NULL)
			ctl_arbiter_trust(servant->arbiter);
		pthread_mutex_unlock(&servant->lock);
	}
	/* Numbers rise over controls too: what an earlier one said is not said again. */
	struct dp_give_operation last = {0};
	dp_box_get(&servant->shm->gives.operation, &last);
	give.number = last.number + 1;
	dp_box_put(&servant->shm->gives.operation, &give);
	ctl_servant_ring(servant->shm);
	return true;
}

static void held_path(const struct ctl_servant *servant, char path[CTL_PATH_BYTES])
{
	snprintf(path, CTL_PATH_BYTES, "%.480s/maintenance", servant->log.folder);
}

bool ctl_servant_is_held(const struct ctl_servant *servant)
{
	char path[CTL_PATH_BYTES];
	struct disk *disk = servant->log.disk;
	if (disk == NULL)
		return false;
	held_path(servant, path);
	int file = disk->open(disk, path, DISK_READ);
	if (file >= 0)
		disk->close(disk, file);
	return file >= 0;
}

int ctl_servant_hold(struct ctl_servant *servant, bool held)
{
	char path[CTL_PATH_BYTES];
	struct disk *disk = servant->log.disk;
	if (!servant->running)
		return -ENOTCONN;
	held_path(servant, path);
	int result = held ? disk->open(disk, path, DISK_CREATE) : disk->remove(disk, path);
	if (held && result >= 0) {
		disk->close(disk, result);
		result = 0;
	}
	if (result == -EEXIST || result == -ENOENT)
		result = 0;
	if (result == 0)
		result = disk->sync_directory(disk, servant->log.folder);
	if (result == 0)
		ctl_servant_operate(servant, held ? REP_OPERATION_HOLD : REP_OPERATION_RELEASE);
	return result;
}

/* What a control before this one has answered is not answered again. */
static void take_up(struct ctl_servant *servant)
{
	struct dp_shm *shm = servant->shm;
	struct rep_answer answer;
	struct dp_give_stage stage;
	struct dp_give_piece piece;
	if (dp_box_get(&shm->gives.answer, &answer))
		servant->asked = answer.id;
	if (dp_box_get(&shm->gives.stage, &stage))
		servant->stage_done = stage.number;
	if (dp_box_get(&shm->gives.piece, &piece))
		servant->piece_done = piece.number;
	dp_shm_store(&shm->servant.record_error, 0);
}

void ctl_servant_start(struct ctl_servant *servant, const struct cfg_settings *settings)
{
	sigset_t all, before;
	char error[512];
	ctl_servant_stop(servant);
	if (!ctl_servant_wanted(settings))
		return;
	*servant = (struct ctl_servant){.settings = settings};
	pthread_mutex_init(&servant->lock, NULL);
	if (dp_shm_attach_file(settings, true, &servant->shm, error, sizeof(error)) < 0) {
		sf_log(SF_ERROR, "%s", error);
		return;
	}
	ctl_log_init(&servant->log, settings, &disk_real);
	ctl_incoming_init(&servant->incoming, &servant->log, settings);
	int result = ctl_lend_init(&servant->lend, &servant->log);
	servant->lent = malloc(DP_SHM_STAGE_ENTRIES * servant->shm->stage_stride_bytes);
	if (servant->lent == NULL || result < 0) {
		sf_log(SF_ERROR, "roles: no memory");
		return;
	}
	take_up(servant);
	if (dp_shm_load(&servant->shm->fill.state) == DP_FILL_DONE)
		ctl_servant_open_store(servant, true);
	bool asks = settings->arbiter.kind != CFG_ARBITER_NONE;
	dp_shm_store(&servant->shm->servant.arbiter_kind, settings->arbiter.kind);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	servant->running = pthread_create(&servant->thread, NULL, serve, servant) == 0;
	if (servant->running && asks)
		servant->arbiter_runs =
			pthread_create(
				&servant->arbiter_thread, NULL, ctl_servant_ask_always, servant
			) == 0;
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (!servant->running || (asks && !servant->arbiter_runs))
		sf_log(SF_ERROR, "roles: no thread");
}

void ctl_servant_stop(struct ctl_servant *servant)
{
	if (servant->shm == NULL)
		return;
	__atomic_store_n(&servant->stop, 1, __ATOMIC_RELEASE);
	if (servant->running)
		pthread_join(servant->thread, NULL);
	if (servant->arbiter_runs)
		pthread_join(servant->arbiter_thread, NULL);
	if (servant->arbiter != NULL)
		ctl_arbiter_close(servant->arbiter);
	if (servant->opened)
		rec_role_store_close(&servant->store);
	ctl_incoming_drop(&servant->incoming);
	ctl_lend_close(&servant->lend);
	free(servant->lent);
	ctl_log_free(&servant->log);
	pthread_mutex_destroy(&servant->lock);
	dp_shm_detach(servant->shm);
	*servant = (struct ctl_servant){0};
}
