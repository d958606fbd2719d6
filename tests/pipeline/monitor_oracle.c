/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The rules again, each as a question about the whole history before an effect, answered by looking
 * through all of it: slow, and nothing kept between two effects.
 */
#include "tests/pipeline/monitor_streams.h"

#define ANY 0

/* An effect with what its machine is. */
struct fact {
	int kind;
	uint32_t stage, region, id; /* of a row: the member */
	uint64_t value;
	bool transport, table, known;
};

static struct fact facts[STREAM_EFFECTS_MAX];

static struct fact fact_of(const struct stream *stream, const struct pl_effect *effect)
{
	const struct pl_topology *topology = &stream->topology;
	struct fact fact = {
		.kind = effect->kind,
		.region = effect->region,
		.id = (uint32_t)effect->record.id,
		.value = effect->record.value,
		.known = effect->record.id >= 1 && effect->record.id <= stream->records,
	};
	for (uint32_t stage = 0; stage < topology->transport_count; stage++)
		for (uint32_t side = 0; side < 2; side++)
			if (topology->transports[stage][side] == effect->machine) {
				fact.transport = true;
				fact.stage = stage;
				fact.region = side + 1;
			}
	for (uint32_t stage = 0; stage < topology->database_count; stage++) {
		uint8_t front = topology->databases[stage];
		for (uint32_t i = 0; i < 3; i++)
			if (topology->machines[front].params.members[i] == effect->machine) {
				fact.table = true;
				fact.stage = stage;
				fact.region = i + 1;
			}
		if (front == effect->machine) {
			fact.table = true;
			fact.stage = stage;
		}
	}
	return fact;
}

/* Kind, stage, region and id of each fact in one word, so that looking through all is quick; of an
 * unknown record all bits. */
static uint32_t keys[STREAM_EFFECTS_MAX];

static uint32_t key_of(int kind, uint32_t stage, uint32_t region, uint32_t id)
{
	return (uint32_t)kind << 24 | stage << 16 | region << 8 | id;
}

/* How many of the first `end` facts are like that. */
static uint32_t times(uint32_t end, int kind, uint32_t stage, uint32_t region, uint32_t id)
{
	uint32_t mask = key_of(0xff, 0xff, region == ANY ? 0 : 0xff, id == ANY ? 0 : 0xff);
	uint32_t key = key_of(kind, stage, region, id), count = 0;
	for (uint32_t i = 0; i < end; i++)
		count += (keys[i] & mask) == key;
	return count;
}

static uint32_t chain_of(uint32_t end, uint32_t id)
{
	for (uint32_t i = 0; i < end; i++)
		if (facts[i].kind == PL_EFFECT_ACCEPTED && facts[i].id == id && facts[i].known)
			return facts[i].region;
	return 0;
}

struct content {
	uint32_t ids[512];
	uint32_t count;
	bool handed_out[513]; /* so many of the first may have been handed out */
};

static void hand_out(struct content *content, const struct stream *stream, uint32_t id)
{
	bool next[513] = {false};
	for (uint32_t i = 0; i < content->count; i++) {
		bool from = i == 0 ||
			    (stream->architecture == STREAM_WORKLOAD1 && content->handed_out[i]);
		next[i + 1] = from && content->ids[i] == id;
	}
	memcpy(content->handed_out, next, sizeof(next));
}

static bool is_handed_out(const struct content *content)
{
	for (uint32_t i = 1; i <= content->count; i++)
		if (content->handed_out[i])
			return true;
	return false;
}

/* What stands in a transport, as a queue that did what it said would hold it. */
static void content_of(
	struct content *content,
	const struct stream *stream,
	uint32_t end,
	uint32_t stage,
	uint32_t region
)
{
	memset(content, 0, sizeof(*content));
	for (uint32_t i = 0; i < end; i++) {
		const struct fact *fact = &facts[i];
		if (!fact->transport || fact->stage != stage || fact->region != region ||
		    !fact->known)
			continue;
		if (fact->kind == PL_EFFECT_ACCEPTED)
			content->ids[content->count++] = fact->id;
		if (fact->kind == PL_EFFECT_DELIVERED)
			hand_out(content, stream, fact->id);
		if (fact->kind == PL_EFFECT_REMOVED && content->count > 0 &&
		    content->ids[0] == fact->id) {
			content->count--;
			memmove(content->ids,
				content->ids + 1,
				content->count * sizeof(content->ids[0]));
			memmove(content->handed_out, content->handed_out + 1, 512);
			content->handed_out[0] = false;
		}
	}
}

static uint32_t rows_of(uint32_t end, uint32_t stage, uint32_t id)
{
	uint32_t count = 0;
	for (uint32_t member = 1; member <= 3; member++)
		count += times(end, PL_EFFECT_WRITTEN, stage, member, id) > 0;
	return count;
}

static bool
stands(const struct stream *stream, uint32_t end, uint32_t stage, uint32_t region, uint32_t id)
{
	switch (stream->architecture) {
	case STREAM_ACTIVE_PASSIVE:
		return rows_of(end, stage, id) >= 1;
	case STREAM_ACTIVE_ACTIVE:
		return times(end, PL_EFFECT_WRITTEN, stage, region, id) > 0;
	default:
		return rows_of(end, stage, id) >= 2;
	}
}

/* ---- one rule each: true when the effect at `i` breaks it ---- */

static bool breaks_repeat(const struct stream *stream, uint32_t i)
{
	static struct content input;
	const struct fact *fact = &facts[i];
	uint32_t previous = 0;
	for (uint32_t j = 0; j < i; j++)
		if (facts[j].kind == fact->kind && facts[j].stage == fact->stage &&
		    facts[j].region == fact->region && facts[j].known)
			previous = facts[j].id;
	if (previous == fact->id)
		return false;
	if (fact->stage == 0)
		return true;
	content_of(&input, stream, i, fact->stage - 1, fact->region);
	bool held = false;
	for (uint32_t j = 0; j < input.count; j++)
		held |= input.ids[j] == fact->id;
	return !held || (fact->id < previous && input.ids[0] != fact->id);
}

static bool breaks_sequence(const struct stream *stream, uint32_t i)
{
	const struct fact *fact = &facts[i];
	bool total = stream->architecture == STREAM_ACTIVE_PASSIVE;
	if (times(i, fact->kind, fact->stage, fact->region, fact->id) > 0)
		return fact->kind != PL_EFFECT_DELIVERED && breaks_repeat(stream, i);
	for (uint32_t id = fact->id + 1; id <= stream->records; id++)
		if (times(i, fact->kind, fact->stage, fact->region, id) > 0)
			return true;
	if (!total || times(i, fact->kind, fact->stage, ANY, fact->id) > 0)
		return false;
	for (uint32_t id = 1; id < fact->id; id++)
		if (times(i, fact->kind, fact->stage, ANY, id) == 0)
			return true;
	return false;
}

static bool breaks_mirror(const struct stream *stream, uint32_t i)
{
	static struct content content;
	const struct fact *fact = &facts[i];
	content_of(&content, stream, i, fact->stage, fact->region);
	if (content.count == 0)
		return true;
	if (fact->kind == PL_EFFECT_REMOVED)
		return content.ids[0] != fact->id || !is_handed_out(&content);
	hand_out(&content, stream, fact->id);
	return !is_handed_out(&content);
}

static bool breaks_chain(uint32_t i)
{
	uint32_t chain = chain_of(i, facts[i].id);
	return chain != 0 && chain != facts[i].region;
}

static bool breaks_arrival_order(const struct stream *stream, uint32_t i)
{
	const struct fact *fact = &facts[i];
	if (times(i, PL_EFFECT_ARRIVED, 0, ANY, fact->id) > 0)
		return false; /* not new: somebody else's */
	if (breaks_chain(i))
		return true;
	for (uint32_t id = 1; id <= stream->records; id++) {
		bool total = stream->architecture == STREAM_ACTIVE_PASSIVE;
		if (id > fact->id &&
		    times(i, PL_EFFECT_ARRIVED, 0, total ? ANY : fact->region, id) > 0)
			return true;
		if (total && id < fact->id && times(i, PL_EFFECT_ARRIVED, 0, ANY, id) == 0)
			return true;
	}
	return false;
}

static bool breaks_order(const struct stream *stream, uint32_t i)
{
	const struct fact *fact = &facts[i];
	if (fact->transport && fact->kind <= PL_EFFECT_REMOVED) {
		if (!fact->known)
			return true;
		if (fact->kind <= PL_EFFECT_ACCEPTED && breaks_chain(i))
			return true;
		if (fact->kind != PL_EFFECT_REMOVED && breaks_sequence(stream, i))
			return true;
		return fact->kind >= PL_EFFECT_DELIVERED && breaks_mirror(stream, i);
	}
	if (fact->kind == PL_EFFECT_PUBLISHED) {
		if (!fact->known || breaks_chain(i))
			return true;
		uint32_t last = 0;
		for (uint32_t j = 0; j < i; j++)
			if (facts[j].kind == PL_EFFECT_PUBLISHED && facts[j].known)
				last = facts[j].id;
		return fact->id != last + 1;
	}
	if (fact->kind == PL_EFFECT_ARRIVED)
		return fact->known && breaks_arrival_order(stream, i);
	if (fact->kind == PL_EFFECT_WRITTEN && fact->known &&
	    stream->architecture == STREAM_ACTIVE_PASSIVE &&
	    times(i, PL_EFFECT_WRITTEN, fact->stage, fact->region, fact->id) == 0)
		return fact->id > 1 &&
		       times(i, PL_EFFECT_WRITTEN, fact->stage, fact->region, fact->id - 1) == 0;
	return false;
}

static bool breaks_removal(const struct stream *stream, uint32_t i)
{
	const struct fact *fact = &facts[i];
	uint32_t before = stream->architecture == STREAM_WORKLOAD1 ? 2 : 0;
	if (!fact->known)
		return false;
	if (fact->kind == PL_EFFECT_PUBLISHED)
		return times(i, PL_EFFECT_ACCEPTED, 0, ANY, fact->id) == 0;
	if (!fact->transport)
		return false;
	if (fact->kind == PL_EFFECT_SENT || fact->kind == PL_EFFECT_ACCEPTED) {
		if (fact->stage > 0)
			return !stands(stream, i, before + fact->stage - 1, fact->region, fact->id);
		for (uint32_t database = 0; database < before; database++)
			if (!stands(stream, i, database, fact->region, fact->id))
				return true;
	}
	if (fact->kind != PL_EFFECT_REMOVED)
		return false;
	if (fact->stage + 1 == stream->topology.transport_count)
		return times(i, PL_EFFECT_ARRIVED, 0, ANY, fact->id) == 0;
	return !stands(stream, i, before + fact->stage, fact->region, fact->id) ||
	       times(i, PL_EFFECT_ACCEPTED, fact->stage + 1, ANY, fact->id) == 0;
}

static bool breaks_convergence(uint32_t i)
{
	const struct fact *fact = &facts[i];
	bool row = fact->kind == PL_EFFECT_WRITTEN || fact->kind == PL_EFFECT_REWRITTEN;
	if (fact->kind == PL_EFFECT_DUPLICATED || fact->kind == PL_EFFECT_CONFLICT)
		return true;
	if (fact->kind == PL_EFFECT_ANSWERED)
		return !fact->known;
	if (!row)
		return false;
	if (!fact->known)
		return true;
	bool stood = times(i, PL_EFFECT_WRITTEN, fact->stage, fact->region, fact->id) > 0;
	if (stood != (fact->kind == PL_EFFECT_REWRITTEN))
		return true;
	for (uint32_t j = 0; j < i; j++)
		if (facts[j].kind == PL_EFFECT_WRITTEN && facts[j].stage == fact->stage &&
		    facts[j].id == fact->id)
			return facts[j].value != fact->value;
	return false;
}

static bool breaks_destination(const struct stream *stream, uint32_t i)
{
	const struct fact *fact = &facts[i];
	if (fact->kind != PL_EFFECT_ARRIVED && fact->kind != PL_EFFECT_REPEATED)
		return false;
	if (!fact->known || fact->value != stream->values[fact->id])
		return true;
	bool before = times(i, PL_EFFECT_ARRIVED, 0, ANY, fact->id) > 0;
	if (before != (fact->kind == PL_EFFECT_REPEATED))
		return true;
	return fact->kind == PL_EFFECT_ARRIVED && times(i,
							PL_EFFECT_DELIVERED,
							stream->topology.transport_count - 1,
							fact->region,
							fact->id) == 0;
}

static bool breaks_complete(const struct stream *stream, uint32_t i)
{
	const struct fact *fact = &facts[i];
	bool looked = fact->kind <= PL_EFFECT_REMOVED || fact->kind == PL_EFFECT_WRITTEN ||
		      fact->kind == PL_EFFECT_REWRITTEN || fact->kind == PL_EFFECT_PUBLISHED;
	return looked && fact->known && fact->value != stream->values[fact->id];
}

static bool breaks_answered(const struct stream *stream, uint32_t i)
{
	const struct fact *fact = &facts[i];
	return fact->kind == PL_EFFECT_ANSWERED && fact->known &&
	       rows_of(i, fact->stage, fact->id) <
		       (stream->architecture == STREAM_WORKLOAD1 ? 2u : 1u);
}

/* ---- at the end ---- */

static bool is_complete(const struct stream *stream, uint32_t id)
{
	uint32_t end = stream->count, transports = stream->topology.transport_count;
	bool passed = false;
	for (uint32_t region = 1; region <= 2; region++) {
		uint32_t stage = 0;
		while (stage < transports && times(end, PL_EFFECT_ACCEPTED, stage, region, id) > 0)
			stage++;
		passed |= stage == transports;
		for (stage = 0; stage < transports; stage++) {
			int32_t copies = 0;
			for (uint32_t i = 0; i < end; i++)
				if (facts[i].transport && facts[i].stage == stage &&
				    facts[i].region == region && facts[i].id == id) {
					copies += facts[i].kind == PL_EFFECT_ACCEPTED;
					copies -= facts[i].kind == PL_EFFECT_REMOVED && copies > 0;
				}
			if (copies > 0)
				return false;
		}
	}
	for (uint32_t stage = 0; stage < stream->topology.database_count; stage++)
		if (rows_of(end, stage, id) < (stream->architecture == STREAM_WORKLOAD1 ? 2u : 1u))
			return false;
	return passed && times(end, PL_EFFECT_PUBLISHED, 0, ANY, id) > 0;
}

static bool is_equal(const struct stream *stream, uint32_t stage)
{
	uint32_t members = stream->architecture == STREAM_WORKLOAD1 ? 3 : 2;
	for (uint32_t member = 1; member <= members; member++)
		if (times(stream->count, PL_EFFECT_WRITTEN, stage, member, ANY) == 0)
			return false;
	for (uint32_t id = 1; id <= stream->records; id++) {
		uint32_t rows = rows_of(stream->count, stage, id);
		if (rows != 0 && rows != members)
			return false;
	}
	return true;
}

static uint64_t judge_looked(const struct stream *stream)
{
	uint64_t broken = 0;
	uint32_t end = stream->count;
	for (uint32_t stage = 0; stage < stream->topology.transport_count; stage++) {
		for (int kind = PL_EFFECT_SENT; kind <= PL_EFFECT_DELIVERED; kind++)
			if (times(end, kind, stage, ANY, ANY) == 0)
				broken |= 1 << PL_MONITOR_ORDER;
		if (times(end, PL_EFFECT_REMOVED, stage, ANY, ANY) == 0)
			broken |= 1 << PL_MONITOR_REMOVAL;
	}
	if (times(end, PL_EFFECT_ARRIVED, 0, ANY, ANY) == 0)
		broken |= 1 << PL_MONITOR_ORDER;
	if (times(end, PL_EFFECT_PUBLISHED, 0, ANY, ANY) == 0)
		broken |= 1 << PL_MONITOR_REMOVAL;
	for (uint32_t stage = 0; stage < stream->topology.database_count; stage++) {
		if (times(end, PL_EFFECT_WRITTEN, stage, ANY, ANY) == 0)
			broken |= 1 << PL_MONITOR_ORDER;
		if (times(end, PL_EFFECT_ANSWERED, stage, ANY, ANY) == 0)
			broken |= 1 << PL_MONITOR_ANSWERED;
	}
	return broken;
}

static uint64_t judge_end(const struct stream *stream, const uint32_t split[2])
{
	uint64_t broken = judge_looked(stream);
	uint32_t got[2] = {0};
	for (uint32_t id = 1; id <= stream->records; id++) {
		if (!is_complete(stream, id))
			broken |= 1 << PL_MONITOR_COMPLETE;
		if (times(stream->count, PL_EFFECT_ARRIVED, 0, ANY, id) == 0)
			broken |= 1 << PL_MONITOR_DESTINATION;
		for (uint32_t side = 0; side < 2; side++)
			got[side] += times(stream->count, PL_EFFECT_ACCEPTED, 0, side + 1, id) > 0;
	}
	for (uint32_t stage = 0; stage < stream->topology.database_count; stage++)
		if (!is_equal(stream, stage))
			broken |= 1 << PL_MONITOR_CONVERGENCE;
	if (split[0] + split[1] != 0 && (got[0] != split[0] || got[1] != split[1]))
		broken |= 1 << PL_MONITOR_SPLIT;
	/* The new side of a planned switch has what was answered; nothing here is forced. */
	for (uint32_t i = 0; i < stream->count; i++)
		if (facts[i].kind == PL_EFFECT_SWITCHED &&
		    stream->architecture == STREAM_ACTIVE_PASSIVE)
			for (uint32_t id = 1; id <= stream->records; id++)
				if (times(i, PL_EFFECT_ANSWERED, facts[i].stage, ANY, id) > 0 &&
				    times(i, PL_EFFECT_WRITTEN, facts[i].stage, facts[i].region, id
				    ) == 0)
					broken |= 1 << PL_MONITOR_ANSWERED;
	return broken;
}

uint64_t stream_judge(const struct stream *stream, const uint32_t split[2])
{
	uint64_t broken = 0;
	for (uint32_t i = 0; i < stream->count; i++) {
		facts[i] = fact_of(stream, &stream->effects[i]);
		keys[i] =
			facts[i].known
				? key_of(facts[i].kind, facts[i].stage, facts[i].region, facts[i].id
				  )
				: UINT32_MAX;
	}
	for (uint32_t i = 0; i < stream->count; i++) {
		if (breaks_order(stream, i))
			broken |= 1 << PL_MONITOR_ORDER;
		if (breaks_removal(stream, i))
			broken |= 1 << PL_MONITOR_REMOVAL;
		if (breaks_convergence(i))
			broken |= 1 << PL_MONITOR_CONVERGENCE;
		if (breaks_destination(stream, i))
			broken |= 1 << PL_MONITOR_DESTINATION;
		if (breaks_complete(stream, i))
			broken |= 1 << PL_MONITOR_COMPLETE;
		if (breaks_answered(stream, i))
			broken |= 1 << PL_MONITOR_ANSWERED;
	}
	return broken | judge_end(stream, split);
}
