/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/unit/pair.h"

#include "tests/unit/unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PAYLOAD_BYTES 8

static void say(struct pair *pair, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void say(struct pair *pair, const char *format, ...)
{
	if (pair->quiet)
		return;
	va_list arguments;
	va_start(arguments, format);
	uint32_t room = (uint32_t)sizeof(pair->text) - pair->text_bytes;
	int bytes = vsnprintf(pair->text + pair->text_bytes, room, format, arguments);
	va_end(arguments);
	if (bytes < 0 || (uint32_t)bytes >= room)
		fail_msg("the transcript is full");
	pair->text_bytes += (uint32_t)bytes;
}

static const char *mode_name(enum rep_mode mode)
{
	static const char *const names[] = {
		[REP_MODE_STANDBY] = "STANDBY",
		[REP_MODE_PAIRED] = "PAIRED",
		[REP_MODE_BLOCKED] = "BLOCKED",
		[REP_MODE_HALTED] = "HALTED",
	};
	return names[mode];
}

struct pair *pair_new(void)
{
	struct pair *pair = calloc(1, sizeof(*pair));
	assert_non_null(pair);
	pair->next_incarnation = 1;
	pair->delay_ns = 50 * US;
	pair->now_ns = MS;
	pair->random = random_seeded(1);
	for (int who = 0; who < 2; who++)
		pair->nodes[who].config = (struct rep_core_config){
			.link =
				{.cluster_tag = 7,
				 .node = (uint8_t)who,
				 .peer = (uint8_t)!who,
				 .max_payload_bytes = PAYLOAD_BYTES},
			.role = who == PAIR_P ? REP_PRIMARY : REP_STANDBY,
			.epoch = 5,
			.config_digest = 99,
			.slots = 16,
			.window = 8,
			.heartbeat_interval_ns = MS,
			.heartbeat_misses = 10,
			.retransmit_min_ns = 200 * US,
		};
	return pair;
}

void pair_free(struct pair *pair)
{
	free(pair);
}

static void boot(struct pair *pair, int who, const struct rep_history *history)
{
	struct pair_node *node = &pair->nodes[who];
	node->config.incarnation = pair->next_incarnation++;
	/* inv. 7: each life of a primary has an epoch of its own. */
	if (node->config.role == REP_PRIMARY && node->core.started)
		node->config.epoch += 2;
	node->arena = (struct rep_arena){
		.base = node->arena_memory,
		.stride_bytes = rep_arena_stride(PAYLOAD_BYTES),
		.mask = node->config.slots - 1,
	};
	assert_true(node->config.slots <= PAIR_MAX_SLOTS);
	assert_true(rep_core_memory_bytes(&node->config) <= sizeof(node->memory));
	if (history->last_sequence == 0)
		memset(node->arena_memory, 0, sizeof(node->arena_memory));
	rep_core_init(&node->core, &node->config, node->memory, pair->now_ns);
	rep_core_start(&node->core, history, pair->now_ns);
	node->passed = node->committed = node->confirmed_frame = 0;
	node->passed_is_held = node->undrained = node->paused = node->reads = false;
	node->mode = node->core.mode;
	node->reason = node->core.reason;
	node->inbox.count = 0;
}

void pair_boot(struct pair *pair, int who)
{
	boot(pair, who, &(struct rep_history){0});
}

void pair_restart(struct pair *pair, int who, uint64_t kept)
{
	struct rep_history history;
	rep_core_history(&pair->nodes[who].core, &history);
	assert_true(kept <= history.last_sequence);
	history.last_sequence = kept;
	while (history.lineage_count > 0 &&
	       history.lineage[history.lineage_count - 1].first_sequence > kept)
		history.lineage_count--;
	boot(pair, who, &history);
}

struct pair *pair_new_paired(void)
{
	struct pair *pair = pair_new();
	pair_boot(pair, PAIR_P);
	pair_boot(pair, PAIR_S);
	pair_run_for(pair, 2 * MS + 500 * US);
	pair_expect_state(pair, PAIR_P, REP_MODE_PAIRED, REP_REASON_NONE);
	pair_expect_state(pair, PAIR_S, REP_MODE_STANDBY, REP_REASON_NONE);
	pair->wire[0].count = pair->wire[1].count = 0;
	pair_forget(pair);
	return pair;
}

/* --- Wire --- */

static void remove_frame(struct pair_queue *queue, uint32_t index)
{
	queue->count--;
	memmove(&queue->frames[index],
		&queue->frames[index + 1],
		(queue->count - index) * sizeof(queue->frames[0]));
}

static void add_frame(struct pair_queue *queue, const struct pair_frame *frame)
{
	if (queue->count == PAIR_QUEUE)
		return; /* as a full queue of a real port */
	queue->frames[queue->count++] = *frame;
}

static void put_on_wire(struct pair *pair, int from, struct pair_frame *frame)
{
	int to = !from;
	if (pair->cut[to])
		return;
	if (pair->lose && random_below(&pair->random, 100) < pair->lose)
		return;
	uint32_t copies = 1;
	if (pair->duplicate && random_below(&pair->random, 100) < pair->duplicate)
		copies = 2;
	for (uint32_t i = 0; i < copies; i++) {
		frame->due_ns = pair->now_ns + pair->delay_ns;
		if (pair->reorder && random_below(&pair->random, 100) < pair->reorder)
			frame->due_ns += random_below(&pair->random, 20 * pair->delay_ns);
		frame->order = pair->order++;
		add_frame(&pair->wire[to], frame);
	}
}

void pair_deliver(struct pair *pair, int who)
{
	assert_true(pair->wire[who].count > 0);
	add_frame(&pair->nodes[who].inbox, &pair->wire[who].frames[0]);
	remove_frame(&pair->wire[who], 0);
}

void pair_deliver_all(struct pair *pair, int who)
{
	while (pair->wire[who].count > 0)
		pair_deliver(pair, who);
}

void pair_lose(struct pair *pair, int who)
{
	assert_true(pair->wire[who].count > 0);
	remove_frame(&pair->wire[who], 0);
}

void pair_duplicate(struct pair *pair, int who)
{
	assert_true(pair->wire[who].count > 0);
	add_frame(&pair->wire[who], &pair->wire[who].frames[0]);
}

void pair_swap(struct pair *pair, int who)
{
	struct pair_queue *wire = &pair->wire[who];
	assert_true(wire->count > 1);
	struct pair_frame first = wire->frames[0];
	wire->frames[0] = wire->frames[1];
	wire->frames[1] = first;
}

void pair_inject(struct pair *pair, int who, struct rep_header *header)
{
	struct pair_frame frame = {.bytes = REP_FRAME_HEADER_BYTES};
	rep_frame_seal(header, NULL, 0);
	memcpy(frame.data + 2, header, sizeof(*header));
	add_frame(&pair->nodes[who].inbox, &frame);
}

void pair_advance(struct pair *pair, uint64_t ns)
{
	pair->now_ns += ns;
}

void pair_nak(struct pair *pair, const struct rep_nak *nak)
{
	struct pair_node *s = &pair->nodes[PAIR_S];
	struct pair_frame frame = {0};
	struct rep_header *header = (struct rep_header *)(frame.data + 2);
	uint8_t *body = frame.data + 2 + REP_FRAME_HEADER_BYTES;
	rep_core_header(&s->core, &(struct rep_send){.type = REP_FRAME_NAK}, pair->now_ns, header);
	memcpy(body, nak, sizeof(*nak));
	rep_frame_seal(header, body, sizeof(*nak));
	frame.bytes = header->bytes;
	add_frame(&pair->nodes[PAIR_P].inbox, &frame);
}

/* --- A poll --- */

static void fill_entries(struct pair *pair, struct pair_node *node, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		uint64_t sequence = node->core.last_sequence + 1 + i;
		struct rep_entry *entry = rep_arena_entry(&node->arena, sequence);
		*entry = (struct rep_entry){
			.epoch = node->core.epoch,
			.sequence = sequence,
			.client_id = node->config.incarnation,
			.request_seq = sequence,
			.first_incomplete_seq = sequence,
			.payload_bytes = PAYLOAD_BYTES,
			.kind = REP_ENTRY_UPDATE,
		};
		sf_store64(entry->payload, random_u64(&pair->random));
		entry->crc = rep_entry_crc(entry);
		assert_true(sequence < PAIR_MAX_HISTORY);
		pair->history[sequence] = entry->crc;
		pair->history_count = sequence;
	}
}

/* Step 1 of what core.h asks of the caller. */
static void
store(struct pair_node *node, const struct rep_frame *frames, const struct rep_update *update)
{
	assert_true(update->store_count <= REP_MAX_STORES);
	for (uint32_t i = 0; i < update->store_count; i++) {
		const struct rep_store *s = &update->store[i];
		const struct rep_entry *entry = (const struct rep_entry *)frames[s->frame].body;
		assert_true(s->skip + s->count <= frames[s->frame].header->entry_count);
		for (uint32_t k = 0; k < s->skip; k++)
			entry = rep_frame_next_entry(entry);
		for (uint32_t k = 0; k < s->count; k++, entry = rep_frame_next_entry(entry))
			memcpy(rep_arena_entry(&node->arena, entry->sequence),
			       entry,
			       rep_entry_bytes(entry->payload_bytes));
	}
}

static void append(struct pair *pair, int who, const struct rep_range *range)
{
	struct pair_node *node = &pair->nodes[who];
	for (uint64_t seq = range->first; seq < range->first + range->count; seq++) {
		const struct rep_entry *entry = rep_arena_entry(&node->arena, seq);
		assert_int_equal(entry->sequence, seq);
		assert_int_equal(rep_entry_crc(entry), entry->crc);
		rep_core_note(&node->core, entry->epoch, seq);
		/* inv. 4: one content per place, whoever holds it. */
		if (node->config.role == REP_STANDBY &&
		    entry->epoch == pair->nodes[!who].core.epoch) {
			assert_true(seq <= pair->history_count);
			assert_int_equal(entry->crc, pair->history[seq]);
		}
	}
}

static void emit(struct pair *pair, int who, const struct rep_send *send, struct pair_frame *frame)
{
	struct pair_node *node = &pair->nodes[who];
	struct rep_header *header = (struct rep_header *)(frame->data + 2);
	uint8_t *body = frame->data + 2 + REP_FRAME_HEADER_BYTES;
	rep_core_header(&node->core, send, pair->now_ns, header);
	const char *name = rep_frame_type_name(send->type);
	uint64_t first = send->range.first, last = first + send->range.count - 1;
	struct rep_nak nak = {.first_sequence = first, .count = send->range.count};
	struct rep_hello hello;
	uint32_t offset = 0, crc = SF_CRC32C_INIT;

	switch (send->type) {
	case REP_FRAME_HELLO:
		rep_core_hello(&node->core, &hello);
		memcpy(body, &hello, sizeof(hello));
		rep_frame_seal(header, body, sizeof(hello));
		say(pair,
		    " HELLO %u%s",
		    (unsigned)hello.last_sequence,
		    header->flags & REP_FLAG_LINK_UP ? " up" : "");
		break;
	case REP_FRAME_NAK:
		memcpy(body, &nak, sizeof(nak));
		rep_frame_seal(header, body, sizeof(nak));
		say(pair, " NAK %u-%u", (unsigned)first, (unsigned)last);
		break;
	case REP_FRAME_DATA:
		for (uint64_t seq = first; seq <= last; seq++) {
			const struct rep_entry *entry = rep_arena_entry(&node->arena, seq);
			assert_int_equal(entry->sequence, seq);
			crc = sf_crc32c_u32(crc, entry->crc);
			memcpy(body + offset, entry, rep_entry_bytes(entry->payload_bytes));
			offset += rep_entry_bytes(entry->payload_bytes);
		}
		rep_frame_seal_data(header, (uint32_t)send->range.count, offset, crc);
		say(pair, " DATA %u-%u", (unsigned)first, (unsigned)last);
		break;
	default:
		rep_frame_seal(header, body, 0);
		say(pair, " %s", name);
		if (node->config.role == REP_STANDBY)
			say(pair, " %u", (unsigned)header->position);
		if (header->flags & REP_FLAG_ECHO)
			say(pair, " echo");
		break;
	}
	frame->bytes = header->bytes;
	put_on_wire(pair, who, frame);
}

static void send_all(struct pair *pair, int who, const struct rep_update *update)
{
	assert_true(update->send_count <= REP_MAX_SENDS);
	for (uint32_t i = 0; i < update->send_count; i++) {
		struct rep_send send = update->send[i];
		struct pair_frame frame;
		uint64_t left = send.type == REP_FRAME_DATA ? send.range.count : 1;
		while (left > 0) {
			if (send.type == REP_FRAME_DATA)
				send.range.count = sf_min64(left, PAIR_ENTRIES_PER_FRAME);
			emit(pair, who, &send, &frame);
			left -= send.type == REP_FRAME_DATA ? send.range.count : 1;
			send.range.first += send.range.count;
		}
	}
}

static void check_always(struct pair *pair, int who, const struct rep_update *update)
{
	struct pair_node *node = &pair->nodes[who], *peer = &pair->nodes[!who];
	assert_true(update->committed >= node->committed); /* inv. 3 */
	assert_true(update->committed <= node->core.last_sequence);
	if (node->config.role == REP_PRIMARY && update->committed > node->committed) {
		/* inv. 8: the standby of this life has it. */
		assert_int_equal(node->core.mode, REP_MODE_PAIRED);
		assert_true(update->committed <= peer->core.last_sequence);
	}
	assert_true(update->confirmed_frame <= node->core.frame_number);
	assert_true(rep_core_room(&node->core) <= node->config.window);
}

void pair_poll(struct pair *pair, int who, uint32_t submit)
{
	static struct rep_frame frames[PAIR_QUEUE];
	static struct pair_queue queue; /* the update's stores point into it */
	static struct rep_update update;
	struct pair_node *node = &pair->nodes[who];
	queue.count = node->inbox.count;
	memcpy(queue.frames, node->inbox.frames, queue.count * sizeof(queue.frames[0]));
	node->inbox.count = 0;
	struct rep_event event = {
		.now_ns = pair->now_ns,
		.submit_count = submit,
		.frames = frames,
		.rx_drained = !node->undrained,
		.reads = node->reads,
		.durable = node->durable,
		.passed_sequence = node->passed_is_held ? node->passed : node->core.last_sequence,
	};
	for (uint32_t i = 0; i < queue.count; i++) {
		enum rep_frame_fault fault = rep_frame_decode(
			&node->config.link,
			queue.frames[i].data + 2,
			queue.frames[i].bytes,
			&frames[event.frame_count]
		);
		assert_int_equal(fault, REP_FRAME_OK);
		event.frame_count++;
	}
	uint32_t room = rep_core_room(&node->core);
	assert_true(submit <= room);
	fill_entries(pair, node, submit);
	rep_core_step(&node->core, &event, &update);
	node->polls++;
	node->reads = false;

	uint32_t begin = pair->text_bytes;
	say(pair, "%c %uus:", "PS"[who], (unsigned)(pair->now_ns / US));
	uint32_t empty = pair->text_bytes;
	store(node, frames, &update);
	append(pair, who, &update.append);
	if (update.append.count > 0)
		say(pair,
		    " append %u-%u",
		    (unsigned)update.append.first,
		    (unsigned)(update.append.first + update.append.count - 1));
	check_always(pair, who, &update);
	if (update.committed != node->committed)
		say(pair, " commit %u", (unsigned)update.committed);
	assert_int_equal(
		update.mode_changed,
		node->core.mode != node->mode || node->core.reason != node->reason
	);
	if (update.mode_changed)
		say(pair,
		    " ->%s(%s)",
		    mode_name(node->core.mode),
		    rep_reason_name(node->core.reason));
	node->committed = update.committed;
	node->confirmed_frame = update.confirmed_frame;
	node->mode = node->core.mode;
	node->reason = node->core.reason;
	if (update.send_count > 0)
		say(pair, " send");
	send_all(pair, who, &update);
	if (pair->text_bytes == empty)
		pair->text_bytes = begin; /* nothing happened */
	else
		say(pair, "\n");
	pair->text[pair->text_bytes] = 0;
}

/* --- Running --- */

static uint32_t next_frame(const struct pair_queue *wire)
{
	uint32_t best = 0;
	for (uint32_t i = 1; i < wire->count; i++)
		if (wire->frames[i].due_ns < wire->frames[best].due_ns ||
		    (wire->frames[i].due_ns == wire->frames[best].due_ns &&
		     wire->frames[i].order < wire->frames[best].order))
			best = i;
	return best;
}

/* Moves what has arrived by now into the inboxes; true if anything did. */
static bool take_arrived(struct pair *pair, int who)
{
	struct pair_queue *wire = &pair->wire[who];
	bool any = false;
	while (wire->count > 0) {
		uint32_t index = next_frame(wire);
		if (wire->frames[index].due_ns > pair->now_ns)
			break;
		add_frame(&pair->nodes[who].inbox, &wire->frames[index]);
		remove_frame(wire, index);
		any = true;
	}
	return any;
}

static uint64_t next_time(const struct pair *pair)
{
	uint64_t next = UINT64_MAX;
	for (int who = 0; who < 2; who++) {
		const struct pair_queue *wire = &pair->wire[who];
		if (wire->count > 0)
			next = sf_min64(next, wire->frames[next_frame(wire)].due_ns);
		if (!pair->nodes[who].paused)
			next = sf_min64(next, rep_core_deadline_ns(&pair->nodes[who].core));
	}
	return sf_max64(next, pair->now_ns);
}

void pair_run_until(struct pair *pair, uint64_t until_ns)
{
	uint32_t at_once = 0;
	uint64_t last_ns = pair->now_ns;
	for (;;) {
		uint64_t next = next_time(pair);
		if (next > until_ns)
			break;
		at_once = next == last_ns ? at_once + 1 : 0;
		/* A backlog of a whole arena is a few steps; more at one moment is a busy loop. */
		if (at_once > 20)
			fail_msg(
				"a deadline at %u us is due again and again", (unsigned)(next / US)
			);
		last_ns = pair->now_ns = next;
		for (int who = 0; who < 2; who++) {
			struct pair_node *node = &pair->nodes[who];
			bool arrived = take_arrived(pair, who);
			if (!node->paused &&
			    (arrived || rep_core_deadline_ns(&node->core) <= pair->now_ns))
				pair_poll(pair, who, 0);
		}
	}
	pair->now_ns = until_ns;
}

/* --- Transcript --- */

void pair_forget(struct pair *pair)
{
	pair->text_bytes = 0;
	pair->text[0] = 0;
}

void pair_expect(struct pair *pair, const char *expected)
{
	if (strcmp(pair->text, expected) != 0) {
		fprintf(stderr, "--- expected\n%s--- happened\n%s---\n", expected, pair->text);
		fail_msg("another transcript than expected");
	}
	pair_forget(pair);
}

bool pair_said(const struct pair *pair, const char *words)
{
	return strstr(pair->text, words) != NULL;
}

void pair_expect_state(const struct pair *pair, int who, enum rep_mode mode, enum rep_reason reason)
{
	const struct rep_core *core = &pair->nodes[who].core;
	if (core->mode != mode || core->reason != reason)
		fail_msg(
			"%c is %s(%s), not %s(%s)",
			"PS"[who],
			mode_name(core->mode),
			rep_reason_name(core->reason),
			mode_name(mode),
			rep_reason_name(reason)
		);
}
