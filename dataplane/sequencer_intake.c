/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/clock.h"
#include "dataplane/request.h"
#include "dataplane/sequencer.h"

#include <rte_mbuf_dyn.h>

#include <string.h>

/* --- To the workers --- */

void dp_sequencer_push_batch(struct dp_worker *worker)
{
	unsigned pushed = rte_ring_sp_enqueue_bulk_elem(
		worker->ring, worker->batch, sizeof(worker->batch[0]), worker->batch_count, NULL
	);
	/* A ring has room for every arena slot, every side place and the marks (node.c). */
	CHECK(pushed == worker->batch_count);
	worker->batch_count = 0;
}

void dp_sequencer_push_flush(struct dp_sequencer *sequencer)
{
	for (uint32_t i = 0; i < sequencer->worker_count; i++)
		if (sequencer->workers[i].batch_count > 0)
			dp_sequencer_push_batch(&sequencer->workers[i]);
}

void dp_sequencer_mark(struct dp_sequencer *sequencer, uint64_t sequence, uint64_t session_digest)
{
	dp_shm_marks_add(&sequencer->shm->session_marks, sequence, session_digest);
	sequencer->marks_pushed++;
	for (uint32_t i = 0; i < sequencer->worker_count; i++)
		dp_sequencer_push(sequencer, i, DP_ELEMENT_MARK | sequence);
}

/* A free place in a worker's side arena, or NULL when all are under way. */
static struct dp_side *next_side(struct dp_worker *worker)
{
	/* Acquire: pairs with the worker's release; it is through with the places before. */
	uint64_t tail = __atomic_load_n(&worker->side_tail, __ATOMIC_ACQUIRE);
	if (worker->side_head - tail > worker->side_mask)
		return NULL;
	return dp_worker_side(worker, worker->side_head);
}

static void push_side(struct dp_sequencer *sequencer, struct dp_worker *worker)
{
	dp_sequencer_push(sequencer, worker->index, DP_ELEMENT_SIDE | worker->side_head++);
}

/* --- Refusals, answered at once --- */

/* Whoever asks is not idle, even if he gets nothing now: a long BLOCKED must not end with the
 * closing of sessions whose clients never stopped trying. */
static void touch(struct dp_sequencer *sequencer, uint64_t client_id)
{
	uint32_t session = rep_session_find(&sequencer->sessions, client_id);
	if (session != REP_SESSION_NONE)
		rep_expiry_touch(&sequencer->expiry, session, sequencer->now_ns);
}

/* A standby that hears its primary names it; a BLOCKED primary names nobody. */
static uint16_t hint_bytes(const struct dp_sequencer *sequencer)
{
	bool standby = sequencer->core.mode == REP_MODE_STANDBY;
	return standby && rep_core_peer_reachable(&sequencer->core, sequencer->now_ns)
		       ? sizeof(sequencer->hint)
		       : 0;
}

static enum cli_status refusal_status(struct dp_sequencer *sequencer, enum rep_taken taken)
{
	switch (taken) {
	case REP_REFUSED_FORGOTTEN:
		sequencer->counters->refused_forgotten++;
		return CLI_FORGOTTEN;
	case REP_REFUSED_OVERLOADED:
		sequencer->counters->refused_overloaded++;
		return CLI_OVERLOADED;
	case REP_REFUSED_BUSY:
		sequencer->counters->refused_busy_window++;
		return CLI_BUSY;
	default:
		sequencer->counters->refused_not_primary++;
		return CLI_NOT_PRIMARY;
	}
}

static void refuse_update(
	struct dp_sequencer *sequencer,
	const struct dp_address *client,
	const uint8_t *block,
	enum cli_status status
)
{
	struct dp_response response = {
		.client_id = sf_load64(block),
		.request_seq = sf_load64(block + 8),
		.asset_id = sf_load64(block + 24),
		.epoch = sequencer->core.epoch,
		.status = status,
	};
	if (status == CLI_NOT_PRIMARY) {
		response.payload = sequencer->hint;
		response.payload_bytes = hint_bytes(sequencer);
	}
	touch(sequencer, response.client_id);
	dp_replies_response(&sequencer->replies, client, &response);
}

static void refuse_open(
	struct dp_sequencer *sequencer,
	const struct dp_address *client,
	uint64_t nonce,
	enum cli_status status
)
{
	struct dp_opened opened = {
		.nonce = nonce,
		.epoch = sequencer->core.epoch,
		.status = status,
	};
	if (status == CLI_NOT_PRIMARY) {
		opened.payload = sequencer->hint;
		opened.payload_bytes = hint_bytes(sequencer);
	}
	dp_replies_opened(&sequencer->replies, client, &opened);
}

/* --- Requests --- */

/* An entry was sequenced: its worker gets it in ring order, so that reads behind it see it. The
 * batch leaves for the worker when it is full or, mostly, after the frames have left for the
 * standby. Inlined: at one call an entry the call itself is a percent of the way. */
static __rte_always_inline void note_entry(
	struct dp_sequencer *sequencer,
	const struct dp_address *client,
	uint64_t received_ns,
	const struct rep_verdict_detail *detail,
	uint32_t worker
)
{
	uint64_t sequence = detail->sequence;
	struct dp_meta *meta = &sequencer->meta[sequence & sequencer->intake.arena.mask];
	meta->client = *client;
	meta->received_ns = received_ns;
	meta->session = detail->session;
	rep_expiry_touch(&sequencer->expiry, detail->session, sequencer->now_ns);
	dp_sequencer_push(sequencer, worker, sequence | DP_ELEMENT_ANSWER);
	sequencer->workers[worker].pushed_sequence = sequence;
	if (unlikely(sequencer->intake.mark_sequence == sequence)) {
		sequencer->intake.mark_sequence = 0;
		dp_sequencer_mark(sequencer, sequence, sequencer->intake.mark_digest);
	}
}

/* A repeated request: the worker that owns the first entry answers again. */
static void repeat_update(
	struct dp_sequencer *sequencer,
	const struct dp_address *client,
	const uint8_t *block,
	const struct rep_verdict_detail *detail
)
{
	struct dp_worker *worker = &sequencer->workers[sequencer->worker_of[detail->partition]];
	struct dp_side *side = next_side(worker);
	if (side == NULL) {
		sequencer->counters->refused_busy_side++;
		refuse_update(sequencer, client, block, CLI_BUSY);
		return;
	}
	side->client = *client;
	side->kind = DP_SIDE_REPEAT;
	side->client_id = sf_load64(block);
	side->request_seq = sf_load64(block + 8);
	side->asset_id = sf_load64(block + 24);
	side->sequence = detail->sequence;
	side->frame = 0;
	side->session = detail->session;
	rep_expiry_touch(&sequencer->expiry, detail->session, sequencer->now_ns);
	push_side(sequencer, worker);
	sequencer->counters->repeats++;
}

static void take_update(
	struct dp_sequencer *sequencer,
	const struct dp_address *client,
	uint64_t received_ns,
	const uint8_t *message
)
{
	const uint8_t *block = dp_request_block(message);
	struct rep_verdict_detail detail;
	uint8_t partition = rep_partition(sf_load64(block + 24));
	enum rep_taken taken = rep_intake_update(
		&sequencer->intake,
		block,
		block[offsetof(struct cli_update_request, opcode)],
		dp_request_payload(message),
		dp_request_payload_bytes(message),
		partition,
		&detail
	);
	switch (taken) {
	case REP_TAKEN:
		note_entry(
			sequencer, client, received_ns, &detail, sequencer->worker_of[partition]
		);
		sequencer->counters->updates++;
		break;
	case REP_TAKEN_REPEAT:
		repeat_update(sequencer, client, block, &detail);
		break;
	default:
		refuse_update(sequencer, client, block, refusal_status(sequencer, taken));
	}
}

/* The verdict on a read is that on an update, but what is fresh is executed instead of sequenced.
 */
static void
take_read(struct dp_sequencer *sequencer, const struct dp_address *client, const uint8_t *message)
{
	const uint8_t *block = dp_request_block(message);
	struct rep_verdict_detail detail;
	if (!rep_core_serves(&sequencer->core)) {
		sequencer->counters->refused_not_primary++;
		refuse_update(sequencer, client, block, CLI_NOT_PRIMARY);
		return;
	}
	switch (rep_session_check(
		&sequencer->sessions,
		sf_load64(block),
		sf_load64(block + 8),
		sf_load64(block + 16),
		&detail
	)) {
	case REP_REPEAT:
		repeat_update(sequencer, client, block, &detail);
		return;
	case REP_FORGOTTEN:
		sequencer->counters->refused_forgotten++;
		refuse_update(sequencer, client, block, CLI_FORGOTTEN);
		return;
	case REP_OVERLOADED:
		sequencer->counters->refused_overloaded++;
		refuse_update(sequencer, client, block, CLI_OVERLOADED);
		return;
	case REP_FRESH:
		break;
	}
	uint64_t asset_id = sf_load64(block + 24);
	struct dp_worker *worker =
		&sequencer->workers[sequencer->worker_of[rep_partition(asset_id)]];
	struct dp_side *side = next_side(worker);
	if (side == NULL) {
		sequencer->counters->refused_busy_side++;
		refuse_update(sequencer, client, block, CLI_BUSY);
		return;
	}
	side->client = *client;
	side->kind = DP_SIDE_READ;
	side->client_id = sf_load64(block);
	side->request_seq = sf_load64(block + 8);
	side->asset_id = asset_id;
	side->opcode = block[offsetof(struct cli_update_request, opcode)];
	side->session = detail.session;
	side->payload_bytes = dp_request_payload_bytes(message);
	memcpy(side->payload, dp_request_payload(message), side->payload_bytes);
	/* R13: it sees all that was sequenced before it, and is answered when all that is committed
	 * and the standby, in this epoch, has heard a frame that left after the read came. */
	side->sequence = sequencer->core.last_sequence + sequencer->intake.pending;
	side->frame = rep_core_read_frame(&sequencer->core);
	rep_expiry_touch(&sequencer->expiry, detail.session, sequencer->now_ns);
	sequencer->reads_waiting = true;
	sequencer->counters->reads++;
	push_side(sequencer, worker);
}

static void take_open(
	struct dp_sequencer *sequencer,
	const struct dp_address *client,
	uint64_t received_ns,
	const uint8_t *message
)
{
	uint64_t nonce = sf_load64(dp_request_block(message));
	struct rep_verdict_detail detail;
	enum rep_taken taken = rep_intake_open(&sequencer->intake, nonce, &detail);
	if (taken == REP_REFUSED_BUSY && sequencer->intake.room > 1) {
		/* The table is full: the session that has been idle longest may have to go. */
		uint32_t victim = rep_expiry_victim(
			&sequencer->expiry,
			&sequencer->sessions,
			sequencer->core.committed,
			sequencer->settings->limits.session_min_idle_ns,
			sequencer->now_ns
		);
		if (victim != REP_SESSION_NONE) {
			dp_sequencer_close(sequencer, victim);
			taken = rep_intake_open(&sequencer->intake, nonce, &detail);
		} else {
			sequencer->counters->refused_busy_sessions++;
			refuse_open(sequencer, client, nonce, CLI_BUSY);
			return;
		}
	}
	if (taken == REP_TAKEN) {
		note_entry(sequencer, client, received_ns, &detail, 0);
		sequencer->counters->sessions_opened++;
		return;
	}
	if (taken != REP_TAKEN_REPEAT) {
		refuse_open(sequencer, client, nonce, refusal_status(sequencer, taken));
		return;
	}
	struct dp_worker *worker = &sequencer->workers[0];
	struct dp_side *side = next_side(worker);
	if (side == NULL) {
		sequencer->counters->refused_busy_side++;
		refuse_open(sequencer, client, nonce, CLI_BUSY);
		return;
	}
	side->client = *client;
	side->kind = DP_SIDE_REPEAT_OPEN;
	side->client_id = sequencer->sessions.sessions[detail.session].client_id;
	side->request_seq = nonce;
	side->sequence = detail.sequence;
	side->frame = 0;
	rep_expiry_touch(&sequencer->expiry, detail.session, sequencer->now_ns);
	push_side(sequencer, worker);
	sequencer->counters->session_repeats++;
}

bool dp_sequencer_close(struct dp_sequencer *sequencer, uint32_t session)
{
	static const struct dp_address nobody;
	uint64_t client_id = sequencer->sessions.sessions[session].client_id;
	if (rep_intake_close(&sequencer->intake, client_id) != REP_TAKEN)
		return false; /* not now: it will be idle still at the next look */
	struct rep_verdict_detail detail = {
		.session = session,
		.sequence = sequencer->core.last_sequence + sequencer->intake.pending,
	};
	note_entry(sequencer, &nobody, sequencer->now_ns, &detail, 0);
	sequencer->counters->sessions_closed++;
	return true;
}

static void take_close(struct dp_sequencer *sequencer, const uint8_t *message)
{
	uint32_t session =
		rep_session_find(&sequencer->sessions, sf_load64(dp_request_block(message)));
	if (session == REP_SESSION_NONE || !dp_sequencer_close(sequencer, session))
		sequencer->counters->refused_close++; /* it is not answered, and ends by idleness */
}

void dp_sequencer_datagram(struct dp_sequencer *sequencer, struct rte_mbuf *mbuf)
{
	const struct dp_headers *headers = rte_pktmbuf_mtod(mbuf, const struct dp_headers *);
	const uint8_t *message = (const uint8_t *)(headers + 1);
	const uint8_t *end = rte_pktmbuf_mtod_offset(mbuf, const uint8_t *, mbuf->data_len);
	uint64_t received_ns = *RTE_MBUF_DYNFIELD(mbuf, sequencer->received_ns_offset, uint64_t *);
	uint32_t before = sequencer->intake.pending;
	struct dp_address client = {
		.mac = headers->ether.src_addr,
		.port = headers->udp.src_port,
		.ip = headers->ip.src_addr,
		.local_ip = headers->ip.dst_addr,
	};
	while (message < end) {
		switch (dp_request_template(message)) {
		case CLI_UPDATE_REQUEST:
			take_update(sequencer, &client, received_ns, message);
			break;
		case DP_MARK_READ:
			take_read(sequencer, &client, message);
			break;
		case CLI_OPEN_SESSION:
			take_open(sequencer, &client, received_ns, message);
			break;
		case CLI_CLOSE_SESSION:
			take_close(sequencer, message);
			break;
		}
		message += dp_request_message_bytes(message);
	}
	if (sequencer->intake.pending > before)
		sf_histogram_run_add(
			&sequencer->sequenced,
			dp_shm_histogram(sequencer->shm, DP_STAGE_SEQUENCED),
			/* An ingress on another lcore may have stamped it after this poll began. */
			dp_elapsed_ns(received_ns, sequencer->now_ns),
			sequencer->intake.pending - before
		);
}
