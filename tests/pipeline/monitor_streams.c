/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/pipeline/monitor_streams.h"

#include <stdio.h>
#include <stdlib.h>

static const struct pl_kind queue_kind = {.name = "queue"};
static const struct pl_kind stream_kind = {.name = "stream"};
static const struct pl_kind api_kind = {.name = "api-container"};
static const struct pl_kind other_kind = {.name = "other"};

uint64_t stream_random(uint64_t *state) /* splitmix64, public domain (S. Vigna) */
{
	uint64_t z = *state += 0x9e3779b97f4a7c15;
	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
	z = (z ^ z >> 27) * 0x94d049bb133111eb;
	return z ^ z >> 31;
}

/* ---- architectures ---- */

static uint8_t
add(struct pl_topology *topology,
    const struct pl_kind *kind,
    uint8_t region,
    const char *format,
    const char *name)
{
	struct pl_machine *machine = &topology->machines[topology->count];
	machine->kind = kind;
	snprintf(machine->name, sizeof(machine->name), format, name, region);
	memset(machine->params.members, PL_NOBODY, sizeof(machine->params.members));
	machine->params.self = (uint8_t)topology->count;
	machine->params.region = region;
	return (uint8_t)topology->count++;
}

static void add_database(struct pl_topology *topology, const char *name, uint32_t members)
{
	uint8_t front = add(topology, &other_kind, 0, "%s", name);
	topology->databases[topology->database_count++] = front;
	for (uint32_t i = 0; i < members; i++)
		topology->machines[front].params.members[i] =
			add(topology, &other_kind, (uint8_t)(i + 1), "%s.%u", name);
}

static void
add_transport(struct pl_topology *topology, const struct pl_kind *kind, const char *name)
{
	uint32_t stage = topology->transport_count++;
	for (uint32_t side = 0; side < 2; side++)
		topology->transports[stage][side] =
			add(topology, kind, (uint8_t)(side + 1), "%s.%u", name);
}

void stream_topology(struct pl_topology *topology, enum stream_architecture architecture)
{
	static const char *const queues[] = {
		"inbound-queue",
		"inbound-preprocess-queue",
		"preprocess-core-queue",
		"core-postprocess-queue",
		"postprocess-outbound-queue",
		"outbound-queue",
	};
	static const char *const databases[] = {
		"inbound-database",
		"preprocess-database",
		"core-database",
		"postprocess-database",
		"outbound-database",
	};
	memset(topology, 0, sizeof(*topology));
	topology->order =
		architecture == STREAM_ACTIVE_PASSIVE ? PL_ORDER_TOTAL : PL_ORDER_PER_REGION;
	topology->source = add(topology, &other_kind, 0, "%s", "source");
	topology->destination = add(topology, &other_kind, 0, "%s", "destination");
	if (architecture == STREAM_WORKLOAD1) {
		add(topology, &api_kind, 1, "%s.%u", "receiver");
		add(topology, &api_kind, 2, "%s.%u", "receiver");
		add(topology, &api_kind, 1, "%s.%u", "validator");
		add(topology, &api_kind, 2, "%s.%u", "validator");
		add_database(topology, "receiver-database", 3);
		add_database(topology, "validator-database", 3);
		add_database(topology, "processor-database", 3);
		add_transport(topology, &stream_kind, "inbound-stream");
		add_transport(topology, &stream_kind, "outbound-stream");
		return;
	}
	for (uint32_t i = 0; i < 6; i++)
		add_transport(topology, &queue_kind, queues[i]);
	for (uint32_t i = 0; i < 5; i++)
		add_database(topology, databases[i], 2);
}

/* ---- a run ---- */

#define HOLDS_MAX (4 * STREAM_RECORDS_MAX)

struct queue {
	uint32_t ids[HOLDS_MAX];
	uint32_t head, tail;
};

struct worker {
	uint32_t phase, count;
	uint32_t ids[PL_BATCH_MAX];
};

struct run {
	struct stream *stream;
	uint64_t random;
	bool faults;
	uint32_t next; /* the record that the source publishes next */
	uint32_t before;
	uint32_t active; /* region that the async pairs' writes go to */
	struct queue queues[PL_STAGES_MAX][2];
	struct worker workers[PL_STAGES_MAX][2]; /* of the transport that they take from */
	bool rows[PL_STAGES_MAX][3][STREAM_RECORDS_MAX];
	struct queue carried[PL_STAGES_MAX][3]; /* what a member is still to get */
	bool arrived[STREAM_RECORDS_MAX];
};

static bool luck(struct run *run, uint32_t of)
{
	return run->faults && stream_random(&run->random) % of == 0;
}

static void
tell(struct run *run, enum pl_effect_kind kind, uint8_t machine, uint32_t region, uint32_t id)
{
	struct stream *stream = run->stream;
	if (stream->count == STREAM_EFFECTS_MAX)
		abort();
	stream->effects[stream->count++] = (struct pl_effect){
		.kind = (uint8_t)kind,
		.machine = machine,
		.region = (uint8_t)region,
		.record = {id, stream->values[id]},
	};
}

static void put(struct run *run, uint32_t database, uint32_t member, uint32_t id)
{
	bool *row = &run->rows[database][member][id];
	const struct pl_topology *topology = &run->stream->topology;
	const struct pl_params *front = &topology->machines[topology->databases[database]].params;
	tell(run,
	     *row ? PL_EFFECT_REWRITTEN : PL_EFFECT_WRITTEN,
	     front->members[member],
	     member + 1,
	     id);
	*row = true;
}

static void carry(struct run *run, uint32_t database, uint32_t member, uint32_t id)
{
	struct queue *queue = &run->carried[database][member];
	if (!run->rows[database][member][id])
		queue->ids[queue->tail++ % HOLDS_MAX] = id;
}

static void write_row(struct run *run, uint32_t database, uint32_t region, uint32_t id)
{
	const struct pl_topology *topology = &run->stream->topology;
	uint8_t front = topology->databases[database];
	uint32_t home =
		run->stream->architecture == STREAM_ACTIVE_ACTIVE ? region - 1 : run->active - 1;
	put(run, database, home, id);
	if (run->stream->architecture == STREAM_WORKLOAD1) {
		put(run, database, (home + 1) % 3, id);
		carry(run, database, (home + 2) % 3, id);
	} else {
		carry(run, database, 1 - home, id);
	}
	tell(run, PL_EFFECT_ANSWERED, front, region, id);
}

/* False: refused. */
static bool send(struct run *run, uint32_t stage, uint32_t region, uint32_t id)
{
	uint8_t machine = run->stream->topology.transports[stage][region - 1];
	struct queue *queue = &run->queues[stage][region - 1];
	tell(run, PL_EFFECT_SENT, machine, region, id);
	if (luck(run, 12))
		return false;
	tell(run, PL_EFFECT_ACCEPTED, machine, region, id);
	queue->ids[queue->tail++ % HOLDS_MAX] = id;
	return true;
}

static bool step_source(struct run *run)
{
	struct stream *stream = run->stream;
	if (run->next > stream->records)
		return false;
	uint32_t id = run->next;
	bool late = stream->failover_at != 0 && id >= stream->failover_at;
	uint32_t region = late ? 2 : stream->architecture == STREAM_ACTIVE_PASSIVE ? 1 : 2 - id % 2;
	for (uint32_t database = 0; database < run->before; database++) {
		tell(run, PL_EFFECT_IN_HAND, (uint8_t)(2 + 2 * database + region - 1), region, id);
		write_row(run, database, region, id);
	}
	if (!send(run, 0, region, id) || luck(run, 16))
		return true; /* refused, or it looks so: the same again */
	tell(run, PL_EFFECT_PUBLISHED, stream->topology.source, region, id);
	run->next++;
	return true;
}

static void
take(struct run *run, struct queue *queue, struct worker *worker, uint8_t machine, uint32_t region)
{
	uint32_t most = run->stream->architecture == STREAM_WORKLOAD1 ? PL_BATCH_MAX : 1;
	worker->count = 0;
	while (worker->count < most && queue->head + worker->count < queue->tail) {
		uint32_t id = queue->ids[(queue->head + worker->count) % HOLDS_MAX];
		worker->ids[worker->count++] = id;
		tell(run, PL_EFFECT_DELIVERED, machine, region, id);
	}
	worker->phase = 1;
}

static bool step_worker(struct run *run, uint32_t stage, uint32_t region)
{
	const struct pl_topology *topology = &run->stream->topology;
	uint8_t machine = topology->transports[stage][region - 1];
	struct queue *queue = &run->queues[stage][region - 1];
	struct worker *worker = &run->workers[stage][region - 1];
	bool last = stage + 1 == topology->transport_count;
	if (queue->head == queue->tail)
		return false;
	switch (worker->phase) {
	case 0:
		take(run, queue, worker, machine, region);
		break;
	case 1:
		for (uint32_t i = 0; i < worker->count && !last; i++)
			write_row(run, run->before + stage, region, worker->ids[i]);
		for (uint32_t i = 0; i < worker->count && last; i++) {
			bool *arrived = &run->arrived[worker->ids[i]];
			tell(run,
			     *arrived ? PL_EFFECT_REPEATED : PL_EFFECT_ARRIVED,
			     topology->destination,
			     region,
			     worker->ids[i]);
			*arrived = true;
		}
		worker->phase = 2;
		break;
	case 2:
		worker->phase = 3;
		for (uint32_t i = 0; i < worker->count && !last; i++)
			if (!send(run, stage + 1, region, worker->ids[i])) {
				worker->phase = 0;
				break;
			}
		break;
	default:
		for (uint32_t i = 0; i < worker->count; i++, queue->head++)
			tell(run, PL_EFFECT_REMOVED, machine, region, worker->ids[i]);
		worker->phase = 0;
		break;
	}
	if (luck(run, 20))
		worker->phase = 0; /* a crash: it begins anew with what its input holds */
	return true;
}

static bool step_carry(struct run *run, uint32_t database, uint32_t member)
{
	struct queue *queue = &run->carried[database][member];
	if (queue->head == queue->tail)
		return false;
	put(run, database, member, queue->ids[queue->head++ % HOLDS_MAX]);
	return true;
}

static bool step_any(struct run *run, uint32_t agent)
{
	const struct pl_topology *topology = &run->stream->topology;
	uint32_t workers = topology->transport_count * 2;
	if (agent == 0)
		return step_source(run);
	agent--;
	if (agent < workers)
		return step_worker(run, agent / 2, agent % 2 + 1);
	agent -= workers;
	return step_carry(run, agent / 3, agent % 3);
}

/* Until nothing moves; the source stops before record `end`. */
static void go_on(struct run *run, enum stream_manner manner, uint32_t end)
{
	const struct pl_topology *topology = &run->stream->topology;
	uint32_t agents = 1 + topology->transport_count * 2 + topology->database_count * 3;
	bool moved = true;
	for (uint32_t idle = 0; manner == STREAM_MIXED ? idle < 50 * agents : moved;) {
		if (manner == STREAM_MIXED) {
			uint32_t agent = (uint32_t)(stream_random(&run->random) % agents);
			if (agent == 0 && run->next >= end)
				idle++;
			else
				idle = step_any(run, agent) ? 0 : idle + 1;
			continue;
		}
		moved = false;
		for (uint32_t agent = 0; agent < agents; agent++)
			while (!(agent == 0 && run->next >= end) && step_any(run, agent)) {
				moved = true;
				if (agent == 0 && manner == STREAM_SINGLY)
					break;
			}
	}
}

void stream_make(
	struct stream *stream,
	enum stream_architecture architecture,
	uint32_t records,
	uint32_t failover_at,
	enum stream_manner manner,
	uint64_t seed
)
{
	static struct run run;
	memset(&run, 0, sizeof(run));
	if (records >= STREAM_RECORDS_MAX)
		abort();
	stream_topology(&stream->topology, architecture);
	stream->architecture = architecture;
	stream->records = records;
	stream->failover_at = failover_at;
	stream->count = 0;
	for (uint32_t id = 0; id <= records; id++)
		stream->values[id] = 1000 + id * 7;
	run.stream = stream;
	run.random = seed;
	run.faults = manner == STREAM_MIXED;
	run.next = 1;
	run.active = 1;
	run.before = architecture == STREAM_WORKLOAD1 ? 2 : 0;
	if (failover_at != 0) {
		go_on(&run, manner, failover_at);
		run.active = 2;
		for (uint32_t i = 0; i < stream->topology.database_count; i++)
			if (architecture != STREAM_ACTIVE_ACTIVE)
				tell(&run, PL_EFFECT_SWITCHED, stream->topology.databases[i], 2, 0);
	}
	go_on(&run, manner, records + 1);
}
