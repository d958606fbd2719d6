/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Time and wires: the queue of events, the replication link with its faults, and the clients'
 * network. Frames are real bytes; damage is done to copies.
 */
#include "config/bytes.h"
#include "tests/sim/sim.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(address, bytes) ((void)(address), (void)(bytes))
#define ASAN_UNPOISON_MEMORY_REGION(address, bytes) ((void)(address), (void)(bytes))
#endif

#define NONE UINT32_MAX
#define FAST_NS 2000 /* the least delay of a frame */

void sim_network_reset(struct sim *sim)
{
	sim->event_count = sim->event_order = 0;
	for (uint32_t i = 0; i < SIM_FRAMES; i++)
		sim->frames[i].next = i + 1;
	sim->frames[SIM_FRAMES - 1].next = NONE;
	for (uint32_t i = 0; i < SIM_MESSAGES; i++)
		sim->messages[i].next = i + 1;
	sim->messages[SIM_MESSAGES - 1].next = NONE;
	sim->frame_free = sim->message_free = 0;
	for (uint32_t i = 0; i < 2; i++) {
		sim->links[i].random = sim_stream(sim->seed, 100 + i);
		sim->links[i].cut = false;
		sim->links[i].last_arrival_ns = 0;
		sim->links[i].past_count = 0;
	}
	sim->client_net_random = sim_stream(sim->seed, 110);
}

/* --- Events: a binary heap by time, then by order of arrival --- */

static inline bool before(const struct sim_event *a, const struct sim_event *b)
{
	return a->time_ns != b->time_ns ? a->time_ns < b->time_ns : a->order < b->order;
}

void sim_schedule(
	struct sim *sim,
	uint64_t time_ns,
	enum sim_event_kind kind,
	uint32_t node,
	uint32_t argument
)
{
	SIM_REQUIRE(sim, sim->event_count < SIM_EVENTS, "simulator: too many events");
	struct sim_event event = {
		.time_ns = time_ns,
		.order = sim->event_order++,
		.kind = (uint16_t)kind,
		.node = (uint16_t)node,
		.argument = argument,
	};
	uint32_t place = sim->event_count++;
	while (place > 0) {
		uint32_t parent = (place - 1) / 2;
		if (!before(&event, &sim->events[parent]))
			break;
		sim->events[place] = sim->events[parent];
		place = parent;
	}
	sim->events[place] = event;
}

bool sim_next_event(struct sim *sim, struct sim_event *event)
{
	if (sim->event_count == 0)
		return false;
	*event = sim->events[0];
	struct sim_event last = sim->events[--sim->event_count];
	uint32_t place = 0;
	for (;;) {
		uint32_t child = 2 * place + 1;
		if (child >= sim->event_count)
			break;
		if (child + 1 < sim->event_count &&
		    before(&sim->events[child + 1], &sim->events[child]))
			child++;
		if (!before(&sim->events[child], &last))
			break;
		sim->events[place] = sim->events[child];
		place = child;
	}
	sim->events[place] = last;
	return true;
}

/* --- Pools --- */

uint32_t sim_message_new(struct sim *sim)
{
	uint32_t index = sim->message_free;
	if (index != NONE)
		sim->message_free = sim->messages[index].next;
	return index;
}

void sim_message_release(struct sim *sim, uint32_t index)
{
	sim->messages[index].next = sim->message_free;
	sim->message_free = index;
}

static uint32_t frame_new(struct sim *sim, const uint8_t *data, uint32_t bytes)
{
	uint32_t index = sim->frame_free;
	if (index == NONE)
		return NONE;
	struct sim_frame *frame = &sim->frames[index];
	sim->frame_free = frame->next;
	ASAN_UNPOISON_MEMORY_REGION(frame->room, sizeof(frame->room));
	memcpy(frame->room + SIM_ETHERNET_BYTES, data, bytes);
	frame->bytes = bytes;
	frame->damaged = frame->injected = false;
	return index;
}

/* From now on the frame has its final size: reading beyond it is a bug. */
static void frame_seal(struct sim_frame *frame)
{
	uint32_t used = SIM_ETHERNET_BYTES + frame->bytes;
	ASAN_POISON_MEMORY_REGION(frame->room + used, sizeof(frame->room) - used);
}

void sim_frame_release(struct sim *sim, uint32_t index)
{
	sim->frames[index].next = sim->frame_free;
	sim->frame_free = index;
}

/* --- The replication link --- */

static void reseal(struct rep_header *header);

static void damage(struct sim *sim, struct sim_random *random, struct sim_frame *frame)
{
	uint8_t *data = frame->room + SIM_ETHERNET_BYTES;
	frame->damaged = true;
	if (sim_chance(random, 250)) {
		/* Never to the length it says that it has. */
		frame->bytes = (uint32_t)sim_below(random, frame->bytes);
	} else {
		/* An odd number of different bits cannot cancel out. */
		uint64_t bits = frame->bytes * 8ull;
		uint64_t first = sim_below(random, bits);
		uint64_t count = sim_chance(random, 500) ? 1 : 3;
		if (SIM_CANARY(DAMAGE_UNSEEN) && data[1] == REP_FRAME_ACK) {
			data[offsetof(struct rep_header, limit)] ^= 1;
			reseal((struct rep_header *)data);
			count = 0;
		}
		for (uint64_t i = 0; i < count; i++) {
			uint64_t bit = (first + i * (1 + sim_below(random, 60))) % bits;
			data[bit / 8] ^= (uint8_t)(1u << (bit % 8));
		}
	}
	sim_count(sim, SIM_COUNT_DAMAGED);
	sim_note(sim, SIM_NOTE_DAMAGE, 0, frame->bytes, 0, 0);
}

static void deliver(struct sim *sim, uint32_t from, const uint8_t *data, uint32_t bytes)
{
	struct sim_link *link = &sim->links[from];
	const struct sim_plan *plan = &sim->plan;
	struct sim_random *random = &link->random;
	uint32_t index = frame_new(sim, data, bytes);
	if (index == NONE) {
		sim_note(sim, SIM_NOTE_DROP, from, bytes, 3, 0);
		return;
	}
	struct sim_frame *frame = &sim->frames[index];
	if (sim_has(sim, SIM_FAULT_CORRUPT) && sim_chance(random, plan->corrupt))
		damage(sim, random, frame);
	frame_seal(frame);

	uint64_t delay_ns = FAST_NS + sim_below(random, plan->delay_ns);
	bool overtakes = false;
	if (sim_has(sim, SIM_FAULT_DELAY) && sim_chance(random, plan->long_delay)) {
		delay_ns += sim_below(random, plan->long_delay_ns);
		overtakes = true;
	}
	if (sim_has(sim, SIM_FAULT_REORDER)) {
		delay_ns += sim_below(random, plan->jitter_ns);
		overtakes = true;
	}
	uint64_t arrival_ns = sim->now_ns + delay_ns;
	if (!overtakes) {
		if (arrival_ns <= link->last_arrival_ns)
			arrival_ns = link->last_arrival_ns + 1;
		link->last_arrival_ns = arrival_ns;
	}
	sim_schedule(sim, arrival_ns, SIM_EVENT_FRAME, 1 - from, index);
}

void sim_network_send(struct sim *sim, uint32_t from, const uint8_t *data, uint32_t bytes)
{
	struct sim_link *link = &sim->links[from];
	struct sim_past *past = &link->past[link->past_count++ % SIM_PAST_FRAMES];
	past->bytes = bytes;
	memcpy(past->data, data, bytes);
	uint32_t copies = 1;
	if (sim_has(sim, SIM_FAULT_DUPLICATE))
		while (copies < 4 && sim_chance(&link->random, sim->plan.duplicate))
			copies++;
	for (uint32_t i = 0; i < copies; i++) {
		bool lost =
			sim_has(sim, SIM_FAULT_LOSS) && sim_chance(&link->random, sim->plan.loss);
		if (link->cut || lost)
			sim_note(sim, SIM_NOTE_DROP, from, bytes, lost, 0);
		else
			deliver(sim, from, data, bytes);
	}
}

/* --- Frames that an adversarial past could have left --- */

enum forgery {
	FORGE_REPLAY,		 /* a genuine frame again, late */
	FORGE_EPOCH_LOWER,	 /* of this life's numbers, but of an epoch that is over */
	FORGE_SOURCE_OLDER,	 /* an earlier life of the sender */
	FORGE_DESTINATION_OLDER, /* meant for an earlier life of the receiver */
	FORGE_CLUSTER,
	FORGE_REFLECTED,
	FORGE_WRONG_NODE,
	FORGE_GARBAGE,
	FORGERIES,
};

static void reseal(struct rep_header *header)
{
	uint8_t *body = (uint8_t *)header + REP_FRAME_HEADER_BYTES;
	if (header->type != REP_FRAME_DATA) {
		rep_frame_seal(header, body, header->bytes - REP_FRAME_HEADER_BYTES);
		return;
	}
	uint32_t crc = SF_CRC32C_INIT;
	uint32_t count = header->entry_count;
	struct rep_entry *entry = (struct rep_entry *)body;
	for (uint32_t i = 0; i < count; i++) {
		crc = sf_crc32c_u32(crc, entry->crc);
		entry = (struct rep_entry
				 *)((uint8_t *)entry + rep_entry_bytes(entry->payload_bytes));
	}
	rep_frame_seal_data(header, count, header->bytes - REP_FRAME_HEADER_BYTES, crc);
}

/* Other content under the same sequences, and claims that go beyond the truth: whoever takes such a
 * frame shows it. */
static void twist(struct sim *sim, struct rep_header *header, uint32_t to, bool shift)
{
	struct sim_random *random = &sim->fault_random;
	const struct rep_core *core = &sim->nodes[to].core;
	if (header->type == REP_FRAME_DATA) {
		uint64_t first = shift ? core->last_sequence + 1 : 0;
		struct rep_entry *entry =
			(struct rep_entry *)((uint8_t *)header + REP_FRAME_HEADER_BYTES);
		for (uint32_t i = 0; i < header->entry_count; i++) {
			if (first != 0)
				entry->sequence = first + i;
			entry->epoch = entry->epoch > header->epoch ? header->epoch : entry->epoch;
			entry->asset_id ^= 1;
			entry->timestamp_ns++;
			entry->crc = rep_entry_crc(entry);
			entry = (struct rep_entry
					 *)((uint8_t *)entry + rep_entry_bytes(entry->payload_bytes));
		}
	} else {
		header->position = sim_chance(random, 800) ? core->sent : sim_next(random);
		header->committed += sim_below(random, 3);
	}
	header->heard_frame = core->frame_number;
}

void sim_network_inject(struct sim *sim, uint32_t to)
{
	struct sim_random *random = &sim->fault_random;
	enum forgery kind = (enum forgery)sim_below(random, FORGERIES);
	const struct sim_link *link = &sim->links[kind == FORGE_REFLECTED ? to : 1 - to];
	_Alignas(64) uint8_t room[SIM_ETHERNET_BYTES + SIM_MAX_MTU];
	uint8_t *data = room + SIM_ETHERNET_BYTES;
	uint32_t bytes;
	if (kind == FORGE_GARBAGE || link->past_count == 0) {
		kind = FORGE_GARBAGE;
		bytes = (uint32_t)sim_below(random, 400);
		for (uint32_t i = 0; i < bytes; i++)
			data[i] = (uint8_t)sim_next(random);
		/* Some begin as if they were ours. */
		if (bytes >= REP_FRAME_HEADER_BYTES && sim_chance(random, 700)) {
			data[0] = REP_FRAME_VERSION;
			data[1] = (uint8_t)(1 + sim_below(random, 8));
			sf_store16(data + 12, (uint16_t)bytes);
			sf_store16(data + 14, (uint16_t)sim_below(random, 4));
		}
	} else {
		uint32_t there =
			link->past_count < SIM_PAST_FRAMES ? link->past_count : SIM_PAST_FRAMES;
		const struct sim_past *past = &link->past[sim_below(random, there)];
		bytes = past->bytes;
		memcpy(data, past->data, bytes);
	}
	struct rep_header *header = (struct rep_header *)data;
	if (bytes >= REP_FRAME_HEADER_BYTES)
		sim_note(sim, SIM_NOTE_INJECT, to, kind, header->type, header->frame_number);
	bool forged = true;
	switch (kind) {
	case FORGE_EPOCH_LOWER:
		/* Of an epoch that is over for the receiver too: nothing else was ever said in one
		 * that it is still in. */
		if (header->epoch > sim->nodes[to].core.epoch)
			header->epoch = sim->nodes[to].core.epoch;
		if (header->epoch > 0)
			header->epoch -= (uint32_t)sim_between(random, 1, header->epoch);
		else
			header->cluster_tag ^= 1;
		break;
	case FORGE_SOURCE_OLDER:
		header->source_incarnation -= sim_between(random, 1, 5);
		/* An earlier life may have greeted an earlier one of ours, never this one. */
		if (header->type == REP_FRAME_HELLO)
			header->destination_incarnation -= 1;
		break;
	case FORGE_DESTINATION_OLDER:
		header->destination_incarnation -= sim_between(random, 1, 5);
		break;
	case FORGE_CLUSTER:
		header->cluster_tag ^= 1u << sim_below(random, 32);
		break;
	case FORGE_WRONG_NODE:
		header->destination ^= 1;
		header->source = (uint8_t)sim_next(random);
		break;
	default:
		forged = false;
		break;
	}
	/* A HELLO that says who is there is not twisted: its claims are what it was. */
	if (forged) {
		if (header->type != REP_FRAME_HELLO)
			twist(sim, header, to, sim_chance(random, 700));
		reseal(header);
	}
	uint32_t index = frame_new(sim, data, bytes);
	if (index == NONE)
		return;
	/* A replay is a real frame: hearing it late is hearing it. */
	sim->frames[index].injected = kind != FORGE_REPLAY;
	frame_seal(&sim->frames[index]);
	sim_count(sim, SIM_COUNT_INJECTED);
	sim_schedule(sim, sim->now_ns + FAST_NS, SIM_EVENT_FRAME, to, index);
}

/* --- The clients' network: loses, repeats late, and reorders --- */

static void
client_packet(struct sim *sim, enum sim_event_kind kind, uint32_t target, uint32_t message)
{
	struct sim_random *random = &sim->client_net_random;
	const struct sim_plan *plan = &sim->plan;
	bool faulty = sim_has(sim, SIM_FAULT_CLIENT_NET);
	uint64_t delay_ns = FAST_NS + sim_below(random, plan->client_delay_ns);
	if (faulty && sim_chance(random, plan->client_duplicate)) {
		uint32_t copy = sim_message_new(sim);
		if (copy != NONE) {
			sim->messages[copy] = sim->messages[message];
			uint64_t late_ns = sim_below(random, plan->long_delay_ns * 4);
			sim_schedule(sim, sim->now_ns + delay_ns + late_ns, kind, target, copy);
		}
	}
	if (faulty && sim_chance(random, plan->client_loss))
		sim_message_release(sim, message);
	else
		sim_schedule(sim, sim->now_ns + delay_ns, kind, target, message);
}

void sim_client_send(struct sim *sim, uint32_t node, uint32_t message)
{
	client_packet(sim, SIM_EVENT_REQUEST, node, message);
}

void sim_client_answer(struct sim *sim, uint32_t message)
{
	client_packet(sim, SIM_EVENT_ANSWER, sim->messages[message].client, message);
}
