/* SPDX-License-Identifier: BSD-3-Clause */
#include "replication/core.h"

#include "replication/core_parts.h"

#ifdef SF_CANARIES
enum sf_canary sf_canary;
#endif

static const char *const reason_names[REP_REASONS][2] = {
	[REP_REASON_NONE] = {"none", "nothing is wrong"},
	[REP_REASON_START] = {"start", "the peer has not been heard yet"},
	[REP_REASON_PEER_SILENT] =
		{"peer_silent", "nothing was heard from the peer within the detection window"},
	[REP_REASON_PEER_DEAF] =
		{"peer_deaf", "the peer is heard but does not hear us: the link is cut one way"},
	[REP_REASON_PEER_LEFT] = {"peer_left", "the peer was stopped"},
	[REP_REASON_PEER_RESTARTED] =
		{"peer_restarted", "the peer has restarted and is being greeted"},
	[REP_REASON_CATCHING_UP] = {"catching_up", "the standby is being sent what it missed"},
	[REP_REASON_PEER_LOST_MEMORY] =
		{"peer_lost_memory", "the standby restarted empty: its log is off or was lost"},
	[REP_REASON_HISTORY_GONE] = {"history_gone", "what the standby misses has left the arena"},
	[REP_REASON_OTHER_HISTORY] =
		{"other_history",
		 "the nodes hold different entries, neither is a part of the other"},
	[REP_REASON_ROLE_CONFLICT] =
		{"role_conflict", "both nodes are configured with the same role"},
	[REP_REASON_CONFIG_MISMATCH] =
		{"config_mismatch", "settings that must be equal on both nodes differ"},
	[REP_REASON_EPOCH_MISMATCH] = {"epoch_mismatch", "the nodes are in different epochs"},
	[REP_REASON_BAD_ENTRY] =
		{"bad_entry", "an entry from the peer did not fit the session table"},
	[REP_REASON_REPLAYING] = {"replaying", "the node's own log is being read"},
	[REP_REASON_MERGING] =
		{"merging", "what only the standby holds is being taken over from it"},
	[REP_REASON_LOG_FAILED] = {"log_failed", "a write or sync of the log failed"},
	[REP_REASON_NO_RECORD] =
		{"no_record", "the node is blank and there is no pair yet: `standfast init`"},
	[REP_REASON_ARBITER_SILENT] = {"arbiter_silent", "the arbiter has not answered"},
	[REP_REASON_ARBITER_BACK] =
		{"arbiter_back", "the arbiter says less than it once said: was it restored?"},
	[REP_REASON_WAIT_PRIMARY] =
		{"wait_primary", "the pair record names the peer: only it may serve"},
	[REP_REASON_WAIT_PEER] =
		{"wait_peer", "the peer may hold acknowledged updates that this node lacks"},
	[REP_REASON_PEER_BLANK] =
		{"peer_blank", "the peer has lost everything, and this node may lack what it held"},
	[REP_REASON_REFILLING] = {"refilling", "own state is being rebuilt from the log"},
	[REP_REASON_GOING_ALONE] =
		{"going_alone", "the pair record is being changed to this node alone"},
	[REP_REASON_TAKING_OVER] =
		{"taking_over", "the pair record is being asked to name this node"},
	[REP_REASON_BARRIER] = {"barrier", "log and role record are being made durable"},
	[REP_REASON_ADMITTING] = {"admitting", "the standby is being counted in"},
	[REP_REASON_HANDING_OVER] = {"handing_over", "the standby was asked to take over"},
	[REP_REASON_FLAPPING] = {"flapping", "too many role changes within the hour"},
	[REP_REASON_DEPOSED] = {"deposed", "a newer epoch was seen"},
	[REP_REASON_GAVE_UP] = {"gave_up", "so that the primary can take over what is held here"},
	[REP_REASON_DISK_STUCK] =
		{"disk_stuck", "the own log makes no progress: the disk hangs or is full"},
	[REP_REASON_NO_RIGHT] =
		{"no_right", "the policy leaves this change to the peer or to the operator"},
	[REP_REASON_HELD] = {"held", "maintenance: roles change only when the operator says so"},
};

const char *rep_mode_name(enum rep_mode mode)
{
	static const char *const names[REP_MODES] = {
		"standby",
		"paired",
		"blocked",
		"halted",
		"alone",
		"async",
		"waiting",
		"learner",
		"candidate",
	};
	return mode < REP_MODES ? names[mode] : "unknown";
}

const char *rep_reason_name(enum rep_reason reason)
{
	return reason < REP_REASONS ? reason_names[reason][0] : "unknown";
}

const char *rep_reason_text(enum rep_reason reason)
{
	return reason < REP_REASONS ? reason_names[reason][1] : "unknown";
}

uint64_t rep_core_memory_bytes(const struct rep_core_config *config)
{
	return sf_round_up(config->slots, 64) / 8;
}

void rep_core_init(
	struct rep_core *core, const struct rep_core_config *config, void *memory, uint64_t now_ns
)
{
	CHECK(sf_is_power_of_two(config->slots) && config->slots >= 8);
	CHECK(config->window >= 1 && config->window <= config->slots);
	CHECK(config->incarnation != 0 && config->heartbeat_misses > 0);
	CHECK(config->policy == REP_POLICY_FIXED || config->has_log);
	memset(core, 0, sizeof(*core));
	memset(memory, 0, rep_core_memory_bytes(config));
	core->config = *config;
	core->epoch = config->epoch;
	core->held = memory;
	core->primary = config->role == REP_PRIMARY;
	core->mode = core->primary ? REP_MODE_BLOCKED : REP_MODE_STANDBY;
	if (!rep_core_fixed(core))
		rep_roles_start(core);
	core->reason = REP_REASON_REPLAYING;
	core->heard_ns = core->echo_ns = core->last_step_ns = now_ns;
	core->last_sent_ns = core->last_hello_ns = now_ns;
	core->last_stale_ns = now_ns;
	core->hello_due = true;
	core->log_first = 1;
}

/* Without a standby that counts, a slot is free when the own consumers, the journal among them, are
 * past it. The follower of an asynchronous pair bounds what can be lost (R18), unless it is being
 * sent what has left the arena, or is itself lost: nobody takes that one out of the pair record. */
static uint32_t room_alone(const struct rep_core *core)
{
	uint64_t floor = core->passed_sequence;
	if (core->draining)
		return 0;
	uint64_t window_ns = rep_link_window_ns(core);
	bool near = core->last_sequence - core->acked <= core->config.slots;
	bool heard = !rep_link_silent(core, window_ns) && !rep_link_deaf(core, window_ns);
	if (core->mode == REP_MODE_ASYNC && core->stream && near && heard)
		floor = sf_min64(floor, core->acked);
	return (uint32_t)(core->config.slots - (core->last_sequence - floor));
}

uint32_t rep_core_room(const struct rep_core *core)
{
	if (core->mode == REP_MODE_ALONE || core->mode == REP_MODE_ASYNC)
		return room_alone(core);
	if (core->mode != REP_MODE_PAIRED || core->draining)
		return 0;
	/* A slot is free again when all consumers are past it and the standby has it. */
	uint64_t floor = sf_min64(core->passed_sequence, core->acked);
	uint64_t slots = core->config.slots - (core->last_sequence - floor);
	uint64_t window = core->config.window - (core->last_sequence - core->acked);
	/* What the standby's log does not hold yet must stay in our arena, in case the standby is
	 * killed: its limit is a whole arena beyond that. */
	uint64_t peer =
		core->peer_limit > core->last_sequence ? core->peer_limit - core->last_sequence : 0;
	if (core->config.has_log)
		slots = sf_min64(slots, peer);
	if (CANARY(WRONG_WINDOW_EDGE))
		return core->config.slots + 1 - (uint32_t)(core->last_sequence - floor);
	return (uint32_t)sf_min64(slots, window);
}

/* Do entries flow from us to the peer? And from the peer to us? */
static bool is_source(const struct rep_core *core)
{
	return core->primary && core->merge_end == 0 && (rep_core_fixed(core) || core->stream);
}

static bool is_sink(const struct rep_core *core)
{
	if (core->merge_end != 0)
		return true;
	if (rep_core_fixed(core))
		return !core->primary;
	return core->mode == REP_MODE_STANDBY ||
	       (core->mode == REP_MODE_LEARNER && core->admission.epoch == 0 && !core->fetch.active
	       );
}

/* Frames that are neither entries nor about them. */
static void receive_other(
	struct rep_core *core,
	const struct rep_frame *frame,
	uint32_t index,
	struct rep_update *update,
	uint64_t now_ns
)
{
	switch (frame->header->type) {
	case REP_FRAME_FETCH:
		rep_fetch_asked(core, frame);
		break;
	case REP_FRAME_SNAPSHOT:
		rep_fetch_piece(core, frame, index, update);
		break;
	case REP_FRAME_GOODBYE:
		rep_link_goodbye(core);
		break;
	case REP_FRAME_ADMIT:
		core->ack_due = true; /* known already */
		break;
	case REP_FRAME_SWITCHOVER:
		if (!rep_core_fixed(core))
			rep_roles_switchover(core, frame, now_ns);
		break;
	default:
		break;
	}
}

static void
receive(struct rep_core *core,
	const struct rep_frame *frame,
	uint32_t index,
	struct rep_update *update,
	uint64_t now_ns)
{
	const struct rep_header *header = frame->header;
	if (!core->started) {
		core->stats.dropped_not_started++;
		return;
	}
	if (header->type == REP_FRAME_HELLO) {
		rep_link_receive_hello(core, frame, now_ns);
		return;
	}
	if (!rep_link_admits(core, frame, now_ns))
		return;
	core->stats.frames_taken++;
	core->echo_due |= (header->flags & REP_FLAG_ECHO) != 0 && core->mode != REP_MODE_CANDIDATE;
	if (is_source(core))
		rep_window_acknowledge(core, header, now_ns);
	else
		core->known_position = sf_max64(core->known_position, header->position);
	/* What a merging primary holds by now is lent no more: a late NAK must not find slots that
	 * have been used again. */
	if (!core->primary)
		core->acked = sf_max64(core->acked, sf_min64(header->position, core->sent));

	struct rep_nak nak;
	switch (header->type) {
	case REP_FRAME_DATA:
		if (is_sink(core))
			rep_gather_data(core, frame, index, update);
		else
			core->stats.dropped_wrong_role++;
		break;
	case REP_FRAME_NAK:
		memcpy(&nak, frame->body, sizeof(nak));
		/* Whoever waits lends what it holds to a primary that merges. */
		if (rep_core_fixed(core) || is_source(core) || core->mode == REP_MODE_WAITING)
			rep_window_nak(core, &nak);
		break;
	default:
		receive_other(core, frame, index, update, now_ns);
		break;
	}
	if (!core->primary && is_sink(core) && core->merge_end == 0)
		core->committed =
			sf_max64(core->committed, sf_min64(header->committed, core->last_sequence));
}

static void push(struct rep_update *update, enum rep_frame_type type, uint8_t flags)
{
	update->send[update->send_count++] = (struct rep_send){.type = type, .flags = flags};
}

/* Frames that carry no entries: at most one of each kind, and none that another makes needless. */
static void
send_control(struct rep_core *core, struct rep_update *update, bool reads, uint64_t now_ns)
{
	uint64_t interval_ns = core->config.heartbeat_interval_ns;
	if (core->stale_due && now_ns - core->last_stale_ns >= interval_ns) {
		push(update, REP_FRAME_STALE, 0);
		core->last_stale_ns = now_ns;
		core->stale_due = false;
	}
	/* Two sides that answer each other's HELLO must not start a storm. */
	bool hello =
		core->hello_due && now_ns - core->last_hello_ns >= core->config.retransmit_min_ns;
	if (hello || (!core->link_up && now_ns - core->last_hello_ns >= interval_ns)) {
		push(update, REP_FRAME_HELLO, 0);
		core->last_hello_ns = now_ns;
		core->hello_due = false;
	}
	if (!core->link_up)
		return;
	if (core->change_due_ns != 0 && now_ns >= core->change_due_ns) {
		bool asks = core->handing_over && core->mode == REP_MODE_BLOCKED;
		push(update, asks ? REP_FRAME_SWITCHOVER : REP_FRAME_ADMIT, 0);
		core->change_due_ns = now_ns + rep_link_rto_ns(core);
	}
	/* Between roles there is nothing else to say than who one is. */
	if (!rep_core_fixed(core) && !core->stream && !hello &&
	    now_ns - core->last_hello_ns >= interval_ns) {
		push(update, REP_FRAME_HELLO, 0);
		core->last_hello_ns = now_ns;
	}
	bool answer = core->ack_due || core->echo_due;
	/* DATA comes first in the list, and a standby acknowledges it at once: reads need no more.
	 */
	bool data = update->send_count > 0 && update->send[0].type == REP_FRAME_DATA;
	bool beat = now_ns - core->last_sent_ns >= interval_ns;
	if (answer)
		push(update, REP_FRAME_ACK, 0);
	else if (reads && !data)
		push(update, REP_FRAME_HEARTBEAT, REP_FLAG_ECHO);
	else if (beat && update->send_count == 0)
		push(update, REP_FRAME_HEARTBEAT, 0);
	core->ack_due = core->echo_due = false;
}

static void
stream_step(struct rep_core *core, struct rep_update *update, uint64_t last_before, uint64_t now_ns)
{
	if (core->merge_end != 0) {
		core->stats.entries_merged += core->last_sequence - last_before;
		rep_merge_step(core, update, now_ns);
	} else if (core->link_up && is_source(core)) {
		rep_window_send(core, update, now_ns);
	} else if (core->link_up && !core->primary) {
		rep_window_lend(core, update);
		if (!is_sink(core))
			return;
		rep_gather_naks(core, update, now_ns);
		bool durable =
			core->config.ack == REP_ACK_DURABLE || core->mode == REP_MODE_LEARNER;
		core->ack_due |= rep_core_calls(core, core->passed_sequence, core->durable) ||
				 (durable && core->durable > core->told_durable);
	}
}

/* What may be answered. */
static void commit(struct rep_core *core)
{
	uint64_t safe = 0;
	if (!core->primary)
		return;
	if (!rep_core_fixed(core)) {
		safe = rep_primary_safe(core);
	} else if (core->mode == REP_MODE_PAIRED || CANARY(BLOCKED_COMMITS)) {
		/* inv. 8, inv. 10: only what the standby of this epoch and life has. */
		safe = core->acked;
		if (core->config.ack == REP_ACK_DURABLE && !CANARY(ACK_BEFORE_DURABLE))
			safe = sf_min64(safe, core->peer_durable);
	}
	/* inv. 3: a standby that came back with less does not undo what was committed. */
	bool back = CANARY(COMMIT_MOVES_BACK) && core->mode == REP_MODE_PAIRED;
	if (back || safe > core->committed)
		core->committed = safe;
}

/* The frame number up to which reads are confirmed. */
static uint64_t confirmed(const struct rep_core *core)
{
	if (CANARY(READ_WITHOUT_ECHO))
		return core->frame_number + 1;
	if (core->mode == REP_MODE_ALONE || core->mode == REP_MODE_ASYNC)
		return UINT64_MAX; /* nobody else can have become primary (R13) */
	return core->mode == REP_MODE_PAIRED ? core->confirmed_frame : 0;
}

void rep_core_step(struct rep_core *core, const struct rep_event *event, struct rep_update *update)
{
	uint64_t now_ns = event->now_ns;
	enum rep_mode mode_before = core->mode;
	enum rep_reason reason_before = core->reason;
	uint64_t last_before = core->last_sequence;
	update->store_count = update->send_count = 0;
	update->mode_changed = update->persist = update->drop_answers = false;
	update->ask.id = update->refill.number = update->stage = 0;
	update->stage_snapshot.wanted = false;
	update->keep.frames = 0;
	CHECK(event->submit_count <= rep_core_room(core));
	CHECK(event->passed_sequence <= core->last_sequence);
	core->passed_sequence = event->passed_sequence;
	if (event->durable > core->durable || event->durable >= core->last_sequence)
		core->disk_ns = now_ns;
	core->durable = event->durable;
	core->staged = event->staged;
	if (event->log_first != 0)
		core->log_first = event->log_first;
	core->submitted = event->submit_count;
	if (event->submit_count > 0)
		rep_core_note(core, core->epoch, core->last_sequence + 1);
	core->last_sequence += event->submit_count;

	if (core->mode != REP_MODE_HALTED && !core->started) {
		core->stats.dropped_not_started += event->frame_count;
		core->last_step_ns = now_ns;
	} else if (core->mode != REP_MODE_HALTED) {
		for (uint32_t i = 0; i < event->frame_count; i++)
			receive(core, &event->frames[i], i, update, now_ns);
		rep_link_tick(core, now_ns);
		core->noted = core->mode != REP_MODE_WAITING ||
			      core->last_sequence == last_before + event->submit_count;
		if (rep_core_fixed(core))
			rep_fixed_judge(core, event->rx_drained);
		else
			rep_roles_step(core, event, update, now_ns);
		core->stage_wanted = 0;
		stream_step(core, update, last_before, now_ns);
		update->stage = core->stage_wanted;
		send_control(core, update, event->reads, now_ns);
	}

	commit(core);
	update->append.first = last_before + 1;
	update->append.count = core->last_sequence - last_before;
	update->committed = core->committed;
	update->confirmed_frame = confirmed(core);
	update->mode_changed = core->mode != mode_before || core->reason != reason_before;
}

uint64_t rep_core_deadline_ns(const struct rep_core *core)
{
	if (core->mode == REP_MODE_HALTED || !core->started)
		return UINT64_MAX;
	/* Something was added, and not yet looked at. */
	bool judged = rep_core_fixed(core) ? core->reason != REP_REASON_MERGING : core->noted;
	if (!judged && core->merge_end == 0)
		return core->last_step_ns;
	uint64_t due = rep_link_deadline_ns(core);
	if (!rep_core_fixed(core))
		due = sf_min64(due, rep_roles_deadline_ns(core));
	if (is_source(core))
		due = sf_min64(due, rep_window_deadline_ns(core));
	else if (is_sink(core))
		due = sf_min64(due, rep_gather_deadline_ns(core));
	return due;
}

void rep_core_header(
	struct rep_core *core,
	const struct rep_send *send,
	uint64_t now_ns,
	struct rep_header *header
)
{
	bool primary = core->primary;
	uint64_t age_us = core->heard_frame == 0 ? 0 : (now_ns - core->heard_ns) / 1000;
	uint64_t position = primary ? core->sent : core->last_sequence;
	if (CANARY(ACK_BEFORE_RECEIPT) && !primary)
		position = sf_max64(core->highest, core->known_position);
	*header = (struct rep_header){
		.version = REP_FRAME_VERSION,
		.type = (uint8_t)send->type,
		.source = core->config.link.node,
		.destination = core->config.link.peer,
		.cluster_tag = core->config.link.cluster_tag,
		.epoch = core->epoch,
		.source_incarnation = core->config.incarnation,
		.destination_incarnation = core->peer_incarnation,
		.frame_number = ++core->frame_number,
		.heard_frame = core->heard_frame,
		.heard_age_us = (uint32_t)sf_min64(age_us, UINT32_MAX),
		.position = position,
		.committed = core->committed,
		.durable = core->durable,
		.limit = core->passed_sequence + core->config.slots,
		.flags = (uint8_t
		)(send->flags | (core->link_up ? REP_FLAG_LINK_UP : 0) |
		  (primary ? REP_FLAG_PRIMARY : 0) |
		  (core->leaving && core->mode == REP_MODE_STANDBY ? REP_FLAG_LEAVING : 0)),
		.mode = (uint8_t)core->mode,
	};
	if (CANARY(CANDIDATE_ACKS) && core->mode == REP_MODE_CANDIDATE)
		header->mode = REP_MODE_STANDBY;
	core->last_sent_ns = now_ns;
	core->sent_ns[core->frame_number % REP_SENT_TIMES] = now_ns;
	core->told_limit = header->limit;
	core->told_durable = header->durable;
}

void rep_core_hello(const struct rep_core *core, struct rep_hello *hello)
{
	*hello = (struct rep_hello){
		.last_sequence = core->last_sequence,
		.arena_first = rep_core_fixed(core)
				       ? rep_core_oldest(core)
				       : sf_min64(core->log_first, rep_core_oldest(core)),
		.config_digest = core->config.config_digest,
		.last_epoch = rep_core_last_epoch(core),
		.refusal = core->refusal,
		.record_mode = core->record.mode,
		.amnesiac = core->record.amnesiac,
		.pair = core->pair,
	};
	uint32_t count = (uint32_t)sf_min64(core->lineage_count, REP_HELLO_ORIGINS);
	const struct rep_lineage *from = core->lineage + core->lineage_count - count;
	for (uint32_t i = 0; i < count; i++)
		hello->origins[i] = (struct rep_origin){
			.epoch = from[i].epoch,
			.first_sequence = from[i].first_sequence,
		};
	hello->origin_count = (uint8_t)count;
}

void rep_core_change(const struct rep_core *core, struct rep_change *change)
{
	*change = (struct rep_change){
		.last_sequence = core->change_last,
		.pair = core->pair,
		.from_epoch = core->change_from,
	};
}

void rep_core_halt(struct rep_core *core, enum rep_reason reason)
{
	rep_core_set_mode(core, REP_MODE_HALTED, reason);
	core->link_up = false;
}

void rep_core_leave(struct rep_core *core, struct rep_update *update)
{
	update->store_count = update->send_count = 0;
	update->append = (struct rep_range){.first = core->last_sequence + 1};
	update->committed = core->committed;
	update->confirmed_frame = 0;
	update->mode_changed = true;
	update->persist = update->drop_answers = false;
	update->ask.id = update->refill.number = update->stage = 0;
	update->stage_snapshot.wanted = false;
	update->keep.frames = 0;
	if (core->link_up)
		push(update, REP_FRAME_GOODBYE, 0);
	if (!rep_core_fixed(core) && core->started && core->durable >= core->last_sequence &&
	    !core->refill.wanted) {
		core->record.clean = true;
		core->record.final_sequence = core->last_sequence;
		core->record.write_number++;
		update->persist = true;
	}
	rep_core_halt(core, REP_REASON_PEER_LEFT);
}
