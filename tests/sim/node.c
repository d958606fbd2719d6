/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A node's sequencer: one poll takes what has arrived, makes one step of the core, and carries the
 * update out in the documented order. It stands where the dataplane's sequencer stands and makes
 * the same calls.
 */
#include "config/bytes.h"
#include "tests/sim/sim.h"

#define CLUSTER_TAG 0x53494d31
#define CONFIG_DIGEST 0x1234567890abcdefull
#define UNIX_START_NS 1700000000000000000ull

void sim_node_wake(struct sim *sim, uint32_t id, uint64_t time_ns)
{
	struct sim_node *node = &sim->nodes[id];
	time_ns = sf_max64(sf_max64(time_ns, node->paused_until_ns), sim->now_ns);
	if (time_ns >= node->next_poll_ns)
		return;
	node->next_poll_ns = time_ns;
	sim_schedule(sim, time_ns, SIM_EVENT_POLL, id, 0);
}

static void start_workers(struct sim *sim, struct sim_node *node)
{
	node->worker_count = sim->plan.workers[node->id];
	for (uint32_t w = 0; w < node->worker_count; w++) {
		struct sim_worker *worker = &node->workers[w];
		struct dp_shard_config config = {
			.model = &dp_model_register,
			.workers = node->worker_count,
			.worker = w,
			.max_assets = 64,
			.max_sessions = sim->plan.max_sessions,
			.max_inflight = sim->plan.max_inflight,
			.max_answer_bytes = 256,
		};
		uint64_t bytes = dp_shard_bytes(&config);
		SIM_REQUIRE(sim, bytes <= sizeof(node->shard_memory[w]), "simulator: shard memory");
		memset(node->shard_memory[w], 0, bytes);
		dp_shard_init(&worker->shard, &config, node->shard_memory[w]);
		worker->busy_until_ns = 0;
		worker->head = worker->tail = worker->held_count = 0;
	}
}

void sim_node_clear(struct sim *sim, struct sim_node *node)
{
	struct rep_session_limits limits = {
		.max_sessions = sim->plan.max_sessions,
		.max_inflight = sim->plan.max_inflight,
	};
	node->side_items = 0;
	memset(node->arena_memory, 0, sizeof(node->arena_memory));
	rep_session_table_init(&node->sessions, &limits, node->session_memory);
	rep_expiry_init(&node->expiry, node->last_used_ns, limits.max_sessions, sim->now_ns);
	node->intake = (struct rep_intake){
		.core = &node->core,
		.sessions = &node->sessions,
		.arena =
			{
				.base = node->arena_memory,
				.stride_bytes = rep_arena_stride(sim->plan.max_payload),
				.mask = sim->plan.slots[node->id] - 1,
			},
	};
	start_workers(sim, node);
	sim_view_clear(sim, &sim->ledger.views[node->id]);
}

/* Control has made the role record ready; now memory is filled from the log. */
void sim_node_start(struct sim *sim, struct sim_node *node)
{
	const struct sim_plan *plan = &sim->plan;
	uint32_t id = node->id;
	struct rep_core_config config = {
		.link =
			{
				.cluster_tag = CLUSTER_TAG,
				.node = (uint8_t)id,
				.peer = (uint8_t)(1 - id),
				.max_payload_bytes = (uint16_t)plan->max_payload,
			},
		.policy = plan->policy,
		.ack = plan->ack,
		.incarnation = node->incarnations[node->life],
		.config_digest = CONFIG_DIGEST,
		.slots = plan->slots[id],
		.window = (uint32_t)sf_min64(plan->window, plan->slots[id]),
		.heartbeat_interval_ns = plan->interval_ns,
		.heartbeat_misses = plan->misses,
		.retransmit_min_ns = plan->retransmit_min_ns,
		.has_log = true,
		.bootstrap = true,
		.takeover_delay_ns = plan->takeover_delay_ns,
		.hold_down_ns = plan->hold_down_ns,
		.ask_timeout_ns = plan->ask_timeout_ns,
		.record_fresh_ns = plan->fresh_ns,
		.fetch_bytes = plan->fetch_bytes,
	};
	struct rep_history history;
	node->state = SIM_RUNNING;
	node->committed_before = node->frames_sent = 0;
	node->confirmed_frame = 0;
	sim->nodes[1 - id].frame_heard = sim->nodes[1 - id].standby_heard = 0;
	node->next_poll_ns = UINT64_MAX;
	node->epoch_seen = node->epoch_told = 0;
	node->answered = node->stop_due = false;
	node->operation = REP_OPERATION_NONE;
	node->staged = (struct rep_range){0};
	node->stage_wanted = 0;
	node->piece_wanted = false;
	node->piece_sequence = node->piece_count = node->kept = 0;
	node->persisted = node->disk.record.write_number;
	node->mode_before = REP_MODE_WAITING;
	rep_core_init(&node->core, &config, node->core_memory, sim->now_ns);
	sim_node_clear(sim, node);
	sim_disk_replay(sim, node, node->disk.written, &history);
	node->lives[node->life].durable = node->disk.durable;
	rep_core_start_with(&node->core, &history, &node->disk.record, sim->now_ns);
	node->committed_before = node->core.committed;
	sim_note(sim, SIM_NOTE_START, id, node->life, config.incarnation, history.last_sequence);
	sim_node_wake(sim, id, sim->now_ns);
}

/* --- Frames out --- */

static void put_header(
	struct sim *sim,
	struct sim_node *node,
	const struct rep_send *send,
	struct rep_header *header
)
{
	rep_core_header(&node->core, send, sim->now_ns, header);
	SIM_REQUIRE(
		sim,
		header->frame_number == ++node->frames_sent,
		"node %u: frame number %lu, but it is frame %lu",
		node->id,
		header->frame_number,
		node->frames_sent
	);
}

static void put_frame(struct sim *sim, struct sim_node *node, const struct rep_header *header)
{
	uint64_t third = header->type == REP_FRAME_DATA
				 ? ((const struct rep_entry *)(header + 1))->sequence
				 : header->position;
	sim_note(sim, SIM_NOTE_SEND, node->id, header->type, header->frame_number, third);
	SIM_REQUIRE(sim, header->bytes <= sim->plan.mtu, "node %u: frame beyond MTU", node->id);
	sim_network_send(sim, node->id, (const uint8_t *)header, header->bytes);
}

static void send_data(
	struct sim *sim,
	struct sim_node *node,
	const struct rep_send *send,
	struct rep_header *header
)
{
	uint64_t sequence = send->range.first;
	uint64_t end = send->range.first + send->range.count;
	if (send->staged) {
		sim->counts[SIM_COUNT_STAGED] += send->range.count;
		SIM_REQUIRE(
			sim,
			sequence >= node->staged.first &&
				end <= node->staged.first + node->staged.count,
			"node %u: sends %lu from the log, which was not fetched",
			node->id,
			sequence
		);
	}
	while (sequence < end) {
		uint8_t *body = (uint8_t *)(header + 1);
		uint32_t bytes = 0, count = 0, crc = SF_CRC32C_INIT;
		put_header(sim, node, send, header);
		while (sequence < end) {
			const struct rep_entry *entry =
				rep_arena_entry(&node->intake.arena, sequence);
			if (send->staged)
				entry = (const struct rep_entry *)sim_fact_of(
						sim, node->disk.log[sequence]
				)
						->bytes;
			sim_check_wire(sim, node, entry, sequence);
			uint32_t more = rep_entry_bytes(entry->payload_bytes);
			if (REP_FRAME_HEADER_BYTES + bytes + more > sim->plan.mtu)
				break;
			memcpy(body + bytes, entry, more);
			crc = sf_crc32c_u32(crc, entry->crc);
			bytes += more;
			count++;
			sequence++;
		}
		rep_frame_seal_data(header, count, bytes, crc);
		put_frame(sim, node, header);
	}
}

/* Bytes of a snapshot, in as many frames as the MTU asks for. */
static void send_pieces(
	struct sim *sim,
	struct sim_node *node,
	const struct rep_send *send,
	struct rep_header *header
)
{
	uint64_t offset = send->range.first, end = offset + send->range.count;
	uint64_t total = sim_snapshot_bytes(sim, node, node->piece_sequence);
	uint32_t most = sim->plan.mtu - REP_FRAME_HEADER_BYTES - sizeof(struct rep_piece);
	while (offset < end) {
		uint64_t count = sf_min64(end - offset, most);
		struct rep_piece piece = {node->piece_sequence, total, offset};
		uint8_t *body = (uint8_t *)(header + 1);
		put_header(sim, node, send, header);
		memcpy(body, &piece, sizeof(piece));
		sim_snapshot_copy(sim, node, offset, count, body + sizeof(piece));
		rep_frame_seal(header, body, (uint32_t)(sizeof(piece) + count));
		put_frame(sim, node, header);
		offset += count;
	}
}

static void send_frames(struct sim *sim, struct sim_node *node, const struct rep_update *update)
{
	_Alignas(64) uint8_t room[SIM_ETHERNET_BYTES + SIM_MAX_MTU];
	struct rep_header *header = (struct rep_header *)(room + SIM_ETHERNET_BYTES);
	for (uint32_t i = 0; i < update->send_count; i++) {
		const struct rep_send *send = &update->send[i];
		uint32_t body_bytes = 0;
		if (send->type == REP_FRAME_DATA) {
			send_data(sim, node, send, header);
			continue;
		}
		if (send->type == REP_FRAME_SNAPSHOT) {
			send_pieces(sim, node, send, header);
			continue;
		}
		put_header(sim, node, send, header);
		if (send->type == REP_FRAME_HELLO) {
			struct rep_hello hello;
			rep_core_hello(&node->core, &hello);
			memcpy(header + 1, &hello, sizeof(hello));
			body_bytes = sizeof(hello);
		} else if (send->type == REP_FRAME_NAK) {
			struct rep_nak nak = {send->range.first, send->range.count};
			memcpy(header + 1, &nak, sizeof(nak));
			body_bytes = sizeof(nak);
		} else if (send->type == REP_FRAME_ADMIT || send->type == REP_FRAME_SWITCHOVER) {
			struct rep_change change;
			rep_core_change(&node->core, &change);
			memcpy(header + 1, &change, sizeof(change));
			body_bytes = sizeof(change);
		} else if (send->type == REP_FRAME_FETCH) {
			struct rep_fetch fetch;
			rep_core_fetch(&node->core, &fetch);
			memcpy(header + 1, &fetch, sizeof(fetch));
			body_bytes = sizeof(fetch);
		}
		rep_frame_seal(header, header + 1, body_bytes);
		put_frame(sim, node, header);
	}
}

void sim_node_kill(struct sim *sim, uint32_t id, bool goodbye)
{
	struct sim_node *node = &sim->nodes[id];
	sim_note(sim, SIM_NOTE_STOP, id, goodbye, 0, 0);
	if (goodbye && sim_running(node)) {
		struct rep_update update;
		rep_core_leave(&node->core, &update);
		send_frames(sim, node, &update);
		if (update.persist) {
			node->disk.record = node->core.record;
			node->disk.writing.write_number = 0;
		}
	}
	for (; node->rx_head != node->rx_tail; node->rx_head++)
		sim_frame_release(sim, node->rx[node->rx_head % SIM_RX_RING]);
	for (; node->request_head != node->request_tail; node->request_head++)
		sim_message_release(sim, node->requests[node->request_head % SIM_RX_RING]);
	node->state = SIM_DOWN;
}

/* --- Requests in --- */

void sim_node_refuse(
	struct sim *sim,
	struct sim_node *node,
	const struct sim_message *request,
	enum cli_status status
)
{
	struct sim_message answer = *request;
	answer.status = (uint8_t)status;
	answer.repeat = false;
	answer.payload_bytes = 0;
	answer.sequence = answer.asset_version = 0;
	answer.epoch = node->core.epoch;
	answer.node = (uint8_t)node->id;
	sim_check_answer(sim, node, &answer);
	uint32_t message = sim_message_new(sim);
	if (message == UINT32_MAX)
		return;
	sim->messages[message] = answer;
	sim_client_answer(sim, message);
}

static enum cli_status status_of(enum rep_taken taken)
{
	switch (taken) {
	case REP_REFUSED_FORGOTTEN:
		return CLI_FORGOTTEN;
	case REP_REFUSED_OVERLOADED:
		return CLI_OVERLOADED;
	case REP_REFUSED_BUSY:
		return CLI_BUSY;
	case REP_REFUSED_NOT_PRIMARY:
		return CLI_NOT_PRIMARY;
	case REP_TAKEN:
	case REP_TAKEN_REPEAT:
		break;
	}
	return CLI_OK;
}

/* What one poll has taken, to be handed on after the step. */
struct batch {
	struct sim_item entries[SIM_BURST * 2 + 1];
	struct sim_item sides[SIM_BURST];
	uint32_t entry_count, side_count;
};

static enum rep_taken take_open(
	struct sim *sim,
	struct sim_node *node,
	const struct sim_message *request,
	struct batch *batch,
	struct rep_verdict_detail *detail
)
{
	enum rep_taken taken = rep_intake_open(&node->intake, request->request_seq, detail);
	bool full = node->sessions.count == sim->plan.max_sessions;
	if (taken != REP_REFUSED_BUSY || !full)
		return taken;
	uint32_t victim = rep_expiry_victim(
		&node->expiry,
		&node->sessions,
		node->core.committed,
		sim->plan.session_min_idle_ns,
		sim->now_ns
	);
	if (victim == REP_SESSION_NONE)
		return taken;
	uint64_t client_id = node->sessions.sessions[victim].client_id;
	if (rep_intake_close(&node->intake, client_id) != REP_TAKEN)
		return taken;
	sim_note(sim, SIM_NOTE_CLOSE, node->id, client_id, 1, 0);
	sim_check_taken(sim, node);
	batch->entries[batch->entry_count++] =
		(struct sim_item){.kind = SIM_CLOSE, .client = UINT8_MAX};
	return rep_intake_open(&node->intake, request->request_seq, detail);
}

static enum rep_taken take_read(
	struct sim *sim,
	struct sim_node *node,
	const struct sim_message *request,
	struct rep_verdict_detail *detail
)
{
	if (!rep_core_serves(&node->core))
		return REP_REFUSED_NOT_PRIMARY;
	detail->session = rep_session_find(&node->sessions, request->client_id);
	if (detail->session == REP_SESSION_NONE)
		return REP_REFUSED_FORGOTTEN;
	detail->sequence = 0;
	return REP_TAKEN_REPEAT; /* to the side */
}

static void take_request(
	struct sim *sim,
	struct sim_node *node,
	const struct sim_message *request,
	struct batch *batch
)
{
	struct rep_verdict_detail detail = {.session = REP_SESSION_NONE};
	enum rep_taken taken = REP_REFUSED_NOT_PRIMARY;
	switch ((enum sim_message_kind)request->kind) {
	case SIM_OPEN:
		taken = take_open(sim, node, request, batch, &detail);
		break;
	case SIM_CLOSE:
		taken = rep_intake_close(&node->intake, request->client_id);
		break;
	case SIM_UPDATE:
		taken = rep_intake_update(
			&node->intake,
			&request->client_id,
			request->opcode,
			request->payload,
			request->payload_bytes,
			rep_partition(request->asset_id),
			&detail
		);
		break;
	case SIM_READ:
		taken = take_read(sim, node, request, &detail);
		break;
	}
	if (SIM_CANARY(FORGETS_WRONGLY) && taken == REP_TAKEN_REPEAT && request->kind == SIM_UPDATE)
		taken = REP_REFUSED_FORGOTTEN;
	if (SIM_CANARY(DEPENDS_ON_ADDRESS))
		sim_note(
			sim, SIM_NOTE_TAKEN, node->id, (uint64_t)detail.session, sim->address++, 0
		);
	sim_note(sim, SIM_NOTE_TAKEN, node->id, request->client_id, request->request_seq, taken);
	if (taken == REP_TAKEN_REPEAT && node->side_items + batch->side_count >= SIM_SIDE_ITEMS)
		taken = REP_REFUSED_BUSY;
	if (taken != REP_TAKEN && taken != REP_TAKEN_REPEAT) {
		if (request->kind != SIM_CLOSE)
			sim_node_refuse(sim, node, request, status_of(taken));
		return;
	}
	struct sim_item item = {
		.kind = request->kind,
		.client = request->kind == SIM_CLOSE ? UINT8_MAX : request->client,
		.session = detail.session,
		.sequence = detail.sequence,
		.client_id = request->client_id,
		.request_seq = request->request_seq,
		.asset_id = request->asset_id,
		.floor_version = request->floor_version,
		.frame = rep_core_read_frame(&node->core),
		.sent_frame = node->frames_sent + 1,
		.repeat = taken == REP_TAKEN_REPEAT && request->kind != SIM_READ,
		.status = detail.partition, /* until it is executed */
	};
	if (request->kind == SIM_OPEN)
		item.client_id = node->sessions.sessions[detail.session].client_id;
	if (detail.session != REP_SESSION_NONE)
		rep_expiry_touch(&node->expiry, detail.session, sim->now_ns);
	if (taken == REP_TAKEN) {
		sim_check_taken(sim, node);
		batch->entries[batch->entry_count++] = item;
	} else {
		batch->sides[batch->side_count++] = item;
	}
}

static void take_requests(struct sim *sim, struct sim_node *node, struct batch *batch)
{
	bool primary = node->core.primary;
	batch->entry_count = batch->side_count = 0;
	rep_intake_begin(&node->intake, UNIX_START_NS + sim->now_ns);
	if (primary && rep_core_serves(&node->core)) {
		uint32_t idle = rep_expiry_next(
			&node->expiry,
			&node->sessions,
			node->core.committed,
			sim->plan.session_timeout_ns,
			sim->now_ns
		);
		uint64_t client_id =
			idle == REP_SESSION_NONE ? 0 : node->sessions.sessions[idle].client_id;
		if (client_id != 0 && rep_intake_close(&node->intake, client_id) == REP_TAKEN) {
			sim_note(sim, SIM_NOTE_CLOSE, node->id, client_id, 0, 0);
			sim_check_taken(sim, node);
			batch->entries[batch->entry_count++] =
				(struct sim_item){.kind = SIM_CLOSE, .client = UINT8_MAX};
		}
	}
	for (uint32_t i = 0; i < SIM_BURST && node->request_head != node->request_tail; i++) {
		uint32_t index = node->requests[node->request_head++ % SIM_RX_RING];
		take_request(sim, node, &sim->messages[index], batch);
		sim_message_release(sim, index);
	}
}

/* --- Frames in --- */

/* What this node has been told of, by a frame that its core will look at. */
static void note_frame(struct sim *sim, struct sim_node *node, const struct rep_header *header)
{
	const struct sim_node *sender = &sim->nodes[1 - node->id];
	bool present = header->source_incarnation == sender->incarnations[sender->life];
	bool to_us = header->destination_incarnation == node->incarnations[node->life];
	if (!present)
		return;
	node->frame_heard = sf_max64(node->frame_heard, header->frame_number);
	if (to_us && header->source_incarnation == node->core.peer_incarnation &&
	    !node->core.peer_left)
		node->epoch_told = (uint32_t)sf_max64(node->epoch_told, header->epoch);
}

static uint32_t
take_frames(struct sim *sim, struct sim_node *node, struct rep_frame *frames, uint32_t *indexes)
{
	uint32_t count = 0;
	for (uint32_t i = 0; i < SIM_BURST && node->rx_head != node->rx_tail; i++) {
		uint32_t index = node->rx[node->rx_head++ % SIM_RX_RING];
		struct sim_frame *frame = &sim->frames[index];
		enum rep_frame_fault fault = rep_frame_decode(
			&node->core.config.link,
			frame->room + SIM_ETHERNET_BYTES,
			frame->bytes,
			&frames[count]
		);
		if (fault != REP_FRAME_OK) {
			SIM_REQUIRE(
				sim,
				frame->damaged || frame->injected,
				"node %u: refuses a good frame: %s",
				node->id,
				rep_frame_fault_name(fault)
			);
			sim_note(
				sim, SIM_NOTE_REFUSE, node->id, fault, frame->bytes, frame->injected
			);
			sim_frame_release(sim, index);
			continue;
		}
		SIM_REQUIRE(sim, !frame->damaged, "node %u: accepts a damaged frame", node->id);
		const struct rep_header *header = frames[count].header;
		note_frame(sim, node, header);
		sim_note(
			sim,
			SIM_NOTE_TAKE,
			node->id,
			header->type,
			header->frame_number,
			header->type == REP_FRAME_DATA ? frames[count].first_sequence
						       : header->position
		);
		indexes[count++] = index;
	}
	return count;
}

static void
store(struct sim *sim,
      struct sim_node *node,
      const struct rep_store *store,
      const struct rep_frame *frame)
{
	const struct rep_entry *entry = (const struct rep_entry *)frame->body;
	SIM_REQUIRE(
		sim,
		store->skip + store->count <= frame->header->entry_count,
		"node %u: store beyond the frame",
		node->id
	);
	for (uint32_t i = 0; i < store->skip; i++)
		entry = rep_frame_next_entry(entry);
	for (uint32_t i = 0; i < store->count; i++) {
		sim_check_slot(sim, node, entry->sequence);
		memcpy(rep_arena_entry(&node->intake.arena, entry->sequence),
		       entry,
		       rep_entry_bytes(entry->payload_bytes));
		entry = rep_frame_next_entry(entry);
	}
}

/* Hands entries on in sequence order: checkers, session table (standby), workers. */
static void
append(struct sim *sim, struct sim_node *node, const struct rep_update *update, struct batch *batch)
{
	bool own = node->intake.pending > 0;
	SIM_REQUIRE(
		sim,
		update->append.count == 0 || update->append.first == node->history_count + 1,
		"node %u: appends %lu after %lu",
		node->id,
		update->append.first,
		node->history_count
	);
	for (uint64_t i = 0; i < update->append.count; i++) {
		uint64_t sequence = update->append.first + i;
		const struct rep_entry *entry = rep_arena_entry(&node->intake.arena, sequence);
		struct sim_item item = {.kind = SIM_CLOSE, .client = UINT8_MAX};
		if (own) {
			item = batch->entries[i];
		} else {
			struct rep_verdict_detail detail;
			enum rep_session_fault fault;
			rep_intake_follow(&node->intake, sequence, 1, &detail, &fault);
			item.session = detail.session;
			if (fault != REP_SESSION_OK)
				rep_core_halt(&node->core, REP_REASON_BAD_ENTRY);
			SIM_REQUIRE(
				sim,
				fault == REP_SESSION_OK,
				"node %u: entry %lu does not fit the session table (%d)",
				node->id,
				sequence,
				(int)fault
			);
			if (entry->kind == REP_ENTRY_UPDATE)
				item.kind = SIM_UPDATE;
		}
		item.sequence = sequence;
		item.asset_id = entry->asset_id;
		sim_note(
			sim,
			SIM_NOTE_APPEND,
			node->id,
			sequence,
			entry->client_id,
			entry->request_seq
		);
		sim_check_append(sim, node, entry);
		sim_worker_push(sim, node, &item);
	}
	for (uint32_t i = 0; i < batch->side_count; i++) {
		struct sim_item *item = &batch->sides[i];
		if (item->kind == SIM_READ)
			item->sequence = node->core.last_sequence;
		sim_worker_push(sim, node, item);
	}
}

/* One that stops in good order leaves when its role is over, or when nobody takes it. */
static void maybe_stop(struct sim *sim, struct sim_node *node)
{
	enum rep_mode mode = node->core.mode;
	bool busy = mode == REP_MODE_STANDBY || mode == REP_MODE_PAIRED ||
		    mode == REP_MODE_BLOCKED || mode == REP_MODE_CANDIDATE;
	if (!node->stop_due || busy || node->core.durable < node->core.last_sequence)
		return;
	sim_node_kill(sim, node->id, true);
	sim_disk_kill(sim, node);
	sim_check_crash(sim);
	node->life++;
	if (sim->given == NULL)
		sim_schedule(
			sim, sim->now_ns + sim->plan.interval_ns * 4, SIM_EVENT_START, node->id, 0
		);
}

static void fill_event(
	struct sim *sim, struct sim_node *node, const struct batch *batch, struct rep_event *event
)
{
	event->now_ns = sim->now_ns;
	event->submit_count = node->intake.pending;
	event->rx_drained = node->rx_head == node->rx_tail;
	for (uint32_t i = 0; i < batch->side_count; i++)
		event->reads |= batch->sides[i].kind == SIM_READ;
	event->passed_sequence = sf_min64(sim_workers_passed(node), sim_disk_passed(node));
	event->durable = node->disk.durable;
	event->persisted = node->persisted;
	event->answer = node->answered ? &node->answer : NULL;
	event->operation = node->operation;
	event->staged = node->staged;
	event->log_first = sf_max64(node->disk.log_first, 1);
	event->snapshot.newest = node->disk.snapshot;
	event->snapshot.sequence = node->piece_sequence;
	event->snapshot.total = sim_snapshot_bytes(sim, node, node->piece_sequence);
	event->snapshot.staged =
		(struct rep_range){.first = node->piece_offset, .count = node->piece_count};
	node->answered = false;
	node->operation = REP_OPERATION_NONE;
}

static void wake_again(struct sim *sim, struct sim_node *node)
{
	if (node->rx_head != node->rx_tail || node->request_head != node->request_tail)
		sim_node_wake(sim, node->id, sim->now_ns + 1000);
	/* A dataplane polls all the time; here a poll that would only find progress is made once.
	 */
	uint64_t passed = sf_min64(sim_workers_passed(node), sim_disk_passed(node));
	if (rep_core_calls(&node->core, passed, node->disk.durable))
		sim_node_wake(sim, node->id, sim->now_ns + 2000);
	uint64_t deadline_ns = rep_core_deadline_ns(&node->core);
	if (deadline_ns != UINT64_MAX)
		sim_node_wake(sim, node->id, sf_max64(deadline_ns, sim->now_ns + 500));
}

void sim_node_poll(struct sim *sim, uint32_t id)
{
	struct sim_node *node = &sim->nodes[id];
	struct rep_frame frames[SIM_BURST];
	uint32_t indexes[SIM_BURST];
	struct rep_update update;
	struct batch batch;

	sim->steps++;
	uint32_t frame_count = take_frames(sim, node, frames, indexes);
	sim_disk_step(sim, node); /* before requests: it may halt the core */
	take_requests(sim, node, &batch);
	struct rep_event event = {.frames = frames, .frame_count = frame_count};
	fill_event(sim, node, &batch, &event);
	rep_core_step(&node->core, &event, &update);
	node->epoch_seen = node->epoch_told;
	if (update.mode_changed)
		sim_note(
			sim,
			SIM_NOTE_MODE,
			id,
			node->core.mode,
			node->core.reason,
			node->core.last_sequence
		);
	for (uint32_t i = 0; i < update.store_count; i++)
		store(sim, node, &update.store[i], &frames[update.store[i].frame]);
	for (uint32_t i = 0; i < frame_count; i++) {
		if (update.keep.frames >> i & 1)
			sim_control_keep(sim, node, &frames[i]);
		sim_frame_release(sim, indexes[i]);
	}
	append(sim, node, &update, &batch);
	sim_control_carry_out(sim, node, &update);
	sim_disk_step(sim, node);
	node->confirmed_frame = update.confirmed_frame;
	sim_check_step(sim, node);
	/* What it says from here on, it says as a standby. */
	if (node->core.mode == REP_MODE_STANDBY)
		node->standby_heard = node->frame_heard;
	send_frames(sim, node, &update);
	sim_workers_run(sim, node);
	sim_workers_answer(sim, node);
	sim_check_digest(sim, node);
	wake_again(sim, node);
	maybe_stop(sim, node);
}
