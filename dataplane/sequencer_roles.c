/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What the core wants of control, and what came of it (shm.h: wants and gives); and the rebuilding
 * of the node's state when its history is cut or replaced (design.md, section 3: held answers and
 * step-down).
 */
#include "dataplane/clock.h"
#include "dataplane/sequencer.h"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The one system call of the data path: for changes of roles only. */
static void ring_bell(struct dp_shm_wants *wants)
{
	__atomic_store_n(&wants->bell, wants->bell + 1, __ATOMIC_RELEASE);
	syscall(SYS_futex, &wants->bell, FUTEX_WAKE, INT32_MAX, NULL, NULL, 0);
}

/* --- What came --- */

/* Control has changed something. True: the core is to hear of it. */
bool dp_roles_hear(struct dp_sequencer *sequencer)
{
	const struct dp_shm_gives *gives = &sequencer->shm->gives;
	struct dp_roles *roles = &sequencer->roles;
	struct rep_answer answer;
	struct dp_give_operation operation;
	struct dp_give_stage stage;
	struct dp_give_piece piece;
	/* Acquire: pairs with control's release; all that it changed before is seen. */
	uint64_t bell = __atomic_load_n(&gives->bell, __ATOMIC_ACQUIRE);
	if (bell == roles->heard)
		return false;
	bool whole = true;
	roles->persisted = dp_shm_load(&gives->persisted);
	roles->log_first = dp_shm_load(&gives->log_first);
	if (gives->answer.version != 0 && (whole &= dp_box_get(&gives->answer, &answer)) &&
	    answer.id != roles->answer.id) {
		roles->answer = answer;
		roles->answered = true;
	}
	if (gives->operation.version != 0 && (whole &= dp_box_get(&gives->operation, &operation)) &&
	    operation.number != roles->operation.number) {
		roles->operation = operation;
		roles->operated = true;
	}
	if (gives->stage.version != 0 && (whole &= dp_box_get(&gives->stage, &stage)) &&
	    stage.number == roles->stage_number && stage.range.count <= DP_SHM_STAGE_ENTRIES) {
		roles->stage = stage;
		dp_shm_store(&sequencer->shm->wants.staged_taken, stage.number);
	}
	if (gives->piece.version != 0 && (whole &= dp_box_get(&gives->piece, &piece)) &&
	    piece.range.count <= DP_SHM_PIECE_BYTES) {
		roles->newest_snapshot = piece.newest;
		if (piece.number == roles->piece_number) {
			roles->piece = piece;
			dp_shm_store(&sequencer->shm->wants.piece_taken, piece.number);
		}
	}
	if (whole) /* else it is being written: look again */
		roles->heard = bell;
	return true;
}

void dp_roles_event(struct dp_sequencer *sequencer, struct rep_event *event)
{
	struct dp_roles *roles = &sequencer->roles;
	event->persisted = roles->persisted;
	event->log_first = roles->log_first;
	event->staged = roles->stage.range;
	event->snapshot.newest = roles->newest_snapshot;
	event->snapshot.sequence = roles->piece.sequence;
	event->snapshot.total = roles->piece.total;
	event->snapshot.staged = roles->piece.range;
	event->answer = roles->answered ? &roles->answer : NULL;
	event->operation = REP_OPERATION_NONE;
	if (roles->operated && roles->operation.operation < REP_OPERATIONS)
		event->operation = (enum rep_operation)roles->operation.operation;
	roles->answered = roles->operated = false;
}

/* --- What is wanted --- */

static void want_record(struct dp_sequencer *sequencer)
{
	const struct rep_core *core = &sequencer->core;
	struct dp_want_record *want = &sequencer->roles.want_record;
	*want = (struct dp_want_record){
		.record = core->record,
		.settle = rep_core_settles(core),
		.lineage_count = core->lineage_count,
	};
	memcpy(want->lineage, core->lineage, sizeof(want->lineage));
	dp_box_put(&sequencer->shm->wants.record, want);
}

/* One question at a time: until it is answered another one waits, and the core asks again. */
static bool want_entries(struct dp_sequencer *sequencer)
{
	struct dp_roles *roles = &sequencer->roles;
	if (roles->stage.number != roles->stage_number)
		return false;
	struct dp_want_stage want = {++roles->stage_number, sequencer->update.stage};
	dp_box_put(&sequencer->shm->wants.stage, &want);
	return true;
}

static bool want_piece(struct dp_sequencer *sequencer)
{
	struct dp_roles *roles = &sequencer->roles;
	const struct rep_update *update = &sequencer->update;
	if (roles->piece.number != roles->piece_number)
		return false;
	struct dp_want_piece want = {
		.number = ++roles->piece_number,
		.sequence = update->stage_snapshot.sequence,
		.offset = update->stage_snapshot.offset,
	};
	dp_box_put(&sequencer->shm->wants.piece, &want);
	return true;
}

/* Room for a piece in one place of the keep ring; NULL: control is behind. */
static struct dp_kept_piece *keep_room(struct dp_sequencer *sequencer, uint64_t bytes)
{
	struct dp_shm *shm = sequencer->shm;
	uint8_t *ring = (uint8_t *)shm + shm->keep_at;
	/* Acquire: control has read what it passed. */
	uint64_t taken = __atomic_load_n(&shm->gives.taken, __ATOMIC_ACQUIRE);
	uint64_t at = shm->wants.kept & (DP_SHM_KEEP_BYTES - 1);
	uint64_t rest = DP_SHM_KEEP_BYTES - at;
	uint64_t free_bytes = DP_SHM_KEEP_BYTES - (shm->wants.kept - taken);
	if (free_bytes < bytes || (rest < bytes && free_bytes < rest + bytes))
		return NULL;
	if (rest < bytes) {
		*(struct dp_kept_piece *)(ring + at) = (struct dp_kept_piece){0};
		__atomic_store_n(&shm->wants.kept, shm->wants.kept + rest, __ATOMIC_RELEASE);
		at = 0;
	}
	return (struct dp_kept_piece *)(ring + at);
}

/* May frames with pieces of a snapshot be shown to the core? What it takes must have room. */
bool dp_roles_can_keep(const struct dp_sequencer *sequencer)
{
	const struct dp_shm *shm = sequencer->shm;
	uint64_t taken = __atomic_load_n(&shm->gives.taken, __ATOMIC_ACQUIRE);
	return shm->wants.kept - taken <= DP_SHM_KEEP_BYTES / 2;
}

static void keep(struct dp_sequencer *sequencer)
{
	struct dp_shm *shm = sequencer->shm;
	for (uint32_t i = 0; i < DP_BURST; i++) {
		const struct rep_frame *frame = &sequencer->frames[i];
		if ((sequencer->update.keep.frames >> i & 1) == 0)
			continue;
		uint64_t data = frame->body_bytes - sizeof(struct rep_piece);
		uint64_t bytes = sf_round_up(sizeof(struct dp_kept_piece) + data, 8);
		struct dp_kept_piece *place = keep_room(sequencer, bytes);
		CHECK(place != NULL); /* dp_roles_can_keep */
		place->bytes = data;
		memcpy(&place->piece, frame->body, sizeof(place->piece));
		memcpy(place + 1, frame->body + sizeof(struct rep_piece), data);
		/* Release: the piece is complete. */
		__atomic_store_n(&shm->wants.kept, shm->wants.kept + bytes, __ATOMIC_RELEASE);
	}
}

void dp_roles_carry_out(struct dp_sequencer *sequencer)
{
	const struct rep_update *update = &sequencer->update;
	struct dp_shm_wants *wants = &sequencer->shm->wants;
	bool changed = update->persist || update->ask.id != 0 || update->keep.frames != 0;
	if (update->persist)
		want_record(sequencer);
	if (update->ask.id != 0)
		dp_box_put(&wants->ask, &update->ask);
	if (update->keep.frames != 0)
		keep(sequencer);
	if (update->stage != 0)
		changed |= want_entries(sequencer);
	if (update->stage_snapshot.wanted)
		changed |= want_piece(sequencer);
	if (update->refill.number != 0) {
		sequencer->roles.refill = (struct dp_want_refill){
			.number = update->refill.number,
			.keep = update->refill.keep,
			.snapshot = update->refill.snapshot,
		};
		sequencer->roles.refilling = DP_REFILL_REST;
		sequencer->fills = true;
	}
	if (changed)
		ring_bell(wants);
}

/* --- The end of a role --- */

static void push_to_all(struct dp_sequencer *sequencer, uint64_t element)
{
	/* Before anything that comes later is published: commit.h. */
	__atomic_store_n(&sequencer->commit->generation, ++sequencer->generation, __ATOMIC_RELEASE);
	for (uint32_t i = 0; i < sequencer->worker_count; i++)
		dp_sequencer_push(sequencer, i, element | sequencer->generation);
	dp_sequencer_push_flush(sequencer);
}

void dp_roles_drop_answers(struct dp_sequencer *sequencer)
{
	push_to_all(sequencer, DP_ELEMENT_RESET);
}

/* --- Rebuilding the state --- */

static bool all_forgotten(const struct dp_sequencer *sequencer)
{
	for (uint32_t i = 0; i < sequencer->worker_count; i++)
		/* Acquire: pairs with the worker's release; its shard is empty. */
		if (__atomic_load_n(&sequencer->workers[i].forgotten, __ATOMIC_ACQUIRE) !=
		    sequencer->generation)
			return false;
	return true;
}

/* Everything that entries have led to. The arena's slots are filled anew. */
static void forget_own(struct dp_sequencer *sequencer)
{
	struct rep_session_limits limits = sequencer->sessions.limits;
	rep_session_table_init(&sequencer->sessions, &limits, sequencer->sessions.sessions);
	rep_expiry_init(
		&sequencer->expiry,
		sequencer->expiry.last_used_ns,
		limits.max_sessions,
		sequencer->now_ns
	);
	sequencer->intake.next_mark = sequencer->intake.mark_sequence = 0;
	sequencer->last_appended = 0;
	sequencer->fill = (struct dp_fill){.taken = sequencer->fill.taken};
	sequencer->burst_tail = sequencer->burst_head;
	dp_shm_marks_clear(&sequencer->shm->session_marks);
	for (uint32_t i = 0; i < sequencer->worker_count; i++) {
		struct dp_worker *worker = &sequencer->workers[i];
		worker->pushed_sequence = worker->passed_sequence = 0;
	}
}

static void ask_for_fill(struct dp_sequencer *sequencer)
{
	struct dp_shm *shm = sequencer->shm;
	/* What an earlier replay left in the ring is not for this one. */
	dp_shm_store(&shm->fill.fault, 0);
	dp_shm_store(&shm->fill.sequence, 0);
	dp_shm_store(&shm->fill.snapshot, 0);
	dp_box_put(&shm->wants.refill, &sequencer->roles.refill);
	dp_shm_store(&shm->fill.state, DP_FILL_WANTED);
	ring_bell(&shm->wants);
}

/* Step by step, while the poll goes on: heartbeats leave, and nothing is served. Returns the work
 * done. */
unsigned dp_roles_fill(struct dp_sequencer *sequencer)
{
	struct dp_roles *roles = &sequencer->roles;
	switch (roles->refilling) {
	case DP_REFILL_NONE: /* the node's start */
		return dp_fill_poll(sequencer);
	case DP_REFILL_REST:
		if (!dp_journal_rest(sequencer->journal))
			return 0;
		push_to_all(sequencer, DP_ELEMENT_FORGET);
		roles->refilling = DP_REFILL_FORGET;
		return 1;
	case DP_REFILL_FORGET:
		if (!all_forgotten(sequencer))
			return 0;
		forget_own(sequencer);
		ask_for_fill(sequencer);
		roles->refilling = DP_REFILL_FILL;
		return 1;
	case DP_REFILL_FILL:
		return dp_fill_poll(sequencer);
	}
	return 0;
}
