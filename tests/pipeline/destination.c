/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The record destination: takes records where its DNS says, removes each at the endpoint that it
 * came from, counts distinct ones and repeats, and notifies at N distinct ones.
 *
 * params.consumers 1: one consumer, which polls where the name leads. Nothing tells it when that
 * changes, so it resolves again when no record came for poll_ns, and after a failure with back-off.
 * A record that the old endpoint still hands to it then is a stray and stays there.
 * params.consumers 2: a consumer for each region, which asks for that region's own endpoint. That
 * name is under no policy, so a region that is offline is polled like any other: it gets nothing
 * new, and what it had accepted is not stranded.
 *
 * Marks and counts are on disk: a crash loses what is under way and nothing else.
 */
#include "tests/pipeline/handlers.h"

#define LANES_MAX 2

enum lane_state { LANE_RESOLVES, LANE_ASKS, LANE_REMOVES, LANE_WAITS, LANE_STATES };
static const char *const lane_states[] = {"resolves", "asks", "removes", "waits"};

struct lane {
	uint64_t due_ns; /* waits: when it resolves again; asks: when no record came for too long */
	uint64_t back_off_ns;
	uint32_t state;
	uint32_t request;	  /* of the open question */
	uint32_t resolve_request; /* asks: resolving beside it, 0: not */
	uint32_t ask_region;	  /* what it asks its DNS for; 0: where the policy leads */
	uint32_t endpoint, region;
};

struct destination {
	struct pl_params params;
	struct pl_watch watch; /* of distinct records */
	uint64_t repeats;
	uint32_t life, last_request;
	uint32_t lane_count;
	uint32_t zero;
	struct lane lanes[LANES_MAX];
	uint64_t marks[]; /* a bit for each id */
};

static size_t destination_bytes(const struct pl_params *params)
{
	return sizeof(struct destination) + (params->ids / 64 + 1) * sizeof(uint64_t);
}

static void set_timer(const struct destination *d, struct pl_out *out)
{
	out->timer_ns = d->lanes[0].due_ns;
	if (d->lane_count > 1 && d->lanes[1].due_ns < out->timer_ns)
		out->timer_ns = d->lanes[1].due_ns;
}

static struct pl_message *
request(struct destination *d,
	uint32_t *id,
	uint8_t to,
	enum pl_message_kind kind,
	struct pl_out *out)
{
	*id = d->last_request = pl_request_after(d->last_request, d->life);
	return pl_send(out, to, kind, *id);
}

static void resolve(struct destination *d, struct lane *lane, struct pl_out *out)
{
	lane->state = LANE_RESOLVES;
	lane->due_ns = PL_NEVER;
	lane->resolve_request = 0;
	request(d, &lane->request, d->params.through, PL_RESOLVE, out)->region =
		(uint8_t)lane->ask_region;
}

static void ask(struct destination *d, struct lane *lane, uint64_t now_ns, struct pl_out *out)
{
	lane->state = LANE_ASKS;
	lane->resolve_request = 0;
	lane->due_ns = now_ns + (d->params.poll_ns ? d->params.poll_ns : 1);
	request(d, &lane->request, (uint8_t)lane->endpoint, PL_RECEIVE, out);
}

static void back_off(struct destination *d, struct lane *lane, uint64_t now_ns)
{
	lane->state = LANE_WAITS;
	lane->request = lane->resolve_request = 0;
	lane->due_ns = now_ns + pl_back_off(&lane->back_off_ns, &d->params);
}

static void begin(struct destination *d, struct pl_out *out)
{
	for (uint32_t i = 0; i < d->lane_count; i++)
		resolve(d, &d->lanes[i], out);
	set_timer(d, out);
}

static void destination_init(void *state, const struct pl_params *params, struct pl_out *out)
{
	struct destination *d = state;
	memcpy(&d->params, params, sizeof(d->params));
	d->params.scenario = NULL;
	d->lane_count = 1;
	if (params->consumers == 2) {
		d->lane_count = 2;
		d->lanes[0].ask_region = 1;
		d->lanes[1].ask_region = 2;
	} else if (pl_has(params->defects, PL_DEFECT_DOUBLE_POLL)) {
		d->lane_count = 2;
		d->lanes[1].ask_region = 2;
	}
	begin(d, out);
}

static void
arrive(struct destination *d, struct pl_record record, uint32_t region, struct pl_out *out)
{
	if (record.id == 0 || record.id > d->params.ids) {
		/* No record of this run: it has no mark, and is not counted. */
		pl_effect_in(out, PL_EFFECT_REPEATED, region, record);
		return;
	}
	uint64_t bit = 1ull << (record.id % 64), *mark = &d->marks[record.id / 64];
	bool known = *mark & bit;
	if (known && !pl_has(d->params.defects, PL_DEFECT_DESTINATION_FORGETS)) {
		d->repeats++;
		pl_effect_in(out, PL_EFFECT_REPEATED, region, record);
		return;
	}
	*mark |= bit;
	d->watch.taken++;
	pl_effect_in(out, PL_EFFECT_ARRIVED, region, record);
}

/* ---- what a lane does with an answer ---- */

static void
remove_it(struct destination *d, struct lane *lane, const struct pl_message *m, struct pl_out *out)
{
	uint8_t to = (uint8_t)lane->endpoint;
	/* As modelled: the removal goes where the name leads, wherever the record came from. */
	if (pl_has(d->params.defects, PL_DEFECT_DOUBLE_POLL) && d->params.consumers != 2)
		to = (uint8_t)d->lanes[0].endpoint;
	struct pl_message *removal = request(d, &lane->request, to, PL_REMOVE, out);
	removal->position = m->position;
	removal->incarnation = m->incarnation;
	removal->count = m->count;
	for (uint32_t i = 0; i < m->count; i++)
		removal->records[i] = m->records[i];
	lane->state = LANE_REMOVES;
	lane->due_ns = PL_NEVER;
	lane->resolve_request = 0;
}

static void lane_delivered(
	struct destination *d,
	struct lane *lane,
	const struct pl_message *m,
	uint64_t now_ns,
	struct pl_out *out
)
{
	if (m->status != PL_OK || m->count == 0 || m->count > PL_BATCH_MAX) {
		back_off(d, lane, now_ns);
		return;
	}
	for (uint32_t i = 0; i < m->count; i++)
		arrive(d, m->records[i], lane->region, out);
	remove_it(d, lane, m, out);
	pl_watch_look(&d->watch, out);
}

static void lane_removed(
	struct destination *d,
	struct lane *lane,
	const struct pl_message *m,
	uint64_t now_ns,
	struct pl_out *out
)
{
	/* NOTHING: it was removed before. Whatever still stands there is delivered again. */
	if (m->status != PL_OK && m->status != PL_NOTHING) {
		back_off(d, lane, now_ns);
		return;
	}
	lane->back_off_ns = 0;
	ask(d, lane, now_ns, out);
}

static void lane_resolved(
	struct destination *d,
	struct lane *lane,
	const struct pl_message *m,
	uint64_t now_ns,
	struct pl_out *out
)
{
	bool beside = lane->state == LANE_ASKS;
	if (m->status != PL_OK) {
		/* The name leads nowhere: what it waits for may come all the same. */
		if (!beside)
			back_off(d, lane, now_ns);
		return;
	}
	bool moved = lane->endpoint != m->argument;
	lane->endpoint = m->argument;
	lane->region = m->region;
	if (!beside || moved)
		ask(d, lane, now_ns, out);
}

/* ---- handlers: which lane is it for? ---- */

static struct lane *waiting(struct destination *d, const struct pl_message *m, uint32_t state)
{
	for (uint32_t i = 0; i < d->lane_count; i++) {
		struct lane *lane = &d->lanes[i];
		if (lane->state != state)
			continue;
		if (lane->request == m->request)
			return lane;
		if (pl_has(d->params.defects, PL_DEFECT_NO_REQUEST_IDS) &&
		    m->from == (state == LANE_RESOLVES ? d->params.through : lane->endpoint))
			return lane;
	}
	return NULL;
}

PL_ON(resolved)
{
	struct destination *d = state;
	struct lane *lane = waiting(d, m, LANE_RESOLVES);
	for (uint32_t i = 0; i < d->lane_count && !lane; i++)
		if (d->lanes[i].resolve_request == m->request && m->request != 0) {
			lane = &d->lanes[i];
			lane->resolve_request = 0;
		}
	if (!lane) {
		pl_stray(d, m, now_ns, out);
		return;
	}
	lane_resolved(d, lane, m, now_ns, out);
	set_timer(d, out);
}

PL_ON(delivered)
{
	struct destination *d = state;
	struct lane *lane = waiting(d, m, LANE_ASKS);
	if (!lane) {
		pl_stray(d, m, now_ns, out);
		return;
	}
	lane_delivered(d, lane, m, now_ns, out);
	set_timer(d, out);
}

PL_ON(removed)
{
	struct destination *d = state;
	struct lane *lane = waiting(d, m, LANE_REMOVES);
	if (!lane) {
		pl_stray(d, m, now_ns, out);
		return;
	}
	lane_removed(d, lane, m, now_ns, out);
	set_timer(d, out);
}

PL_ON(time_has_come)
{
	struct destination *d = state;
	for (uint32_t i = 0; i < d->lane_count; i++) {
		struct lane *lane = &d->lanes[i];
		if (lane->due_ns > now_ns)
			continue;
		if (lane->state == LANE_WAITS) {
			resolve(d, lane, out);
		} else if (lane->state == LANE_ASKS) {
			/* It goes on waiting where it is, and asks whether that is still right. */
			lane->due_ns = now_ns + (d->params.poll_ns ? d->params.poll_ns : 1);
			request(d, &lane->resolve_request, d->params.through, PL_RESOLVE, out)
				->region = (uint8_t)lane->ask_region;
		}
	}
	set_timer(d, out);
}

PL_ON(crash)
{
	struct destination *d = state;
	d->life++;
	d->last_request = 0;
	for (uint32_t i = 0; i < d->lane_count; i++)
		d->lanes[i].back_off_ns = d->lanes[i].endpoint = d->lanes[i].region = 0;
	pl_reply(out, m, PL_COMMAND_DONE, PL_OK);
	begin(d, out);
}

PL_ON(watch)
{
	pl_watch_set(&((struct destination *)state)->watch, m, out);
}

/* The table's state is that of the first lane; an answer finds its lane by its request. */
/* clang-format off */
#define IN_EACH_STATE                                                                              \
	[PL_RESOLVED] = resolved, [PL_DELIVERY] = delivered, [PL_REMOVE_DONE] = removed,           \
	[PL_TIMER] = time_has_come, [PL_NOTIFY_AT] = watch, [PL_CRASH] = crash,                    \
	/* It is not one of what fails. */                                                         \
	[PL_FAIL] = pl_refuse, [PL_RECOVER] = pl_agree,                                            \
	PL_NO_TRANSPORT, PL_NO_DATABASE, PL_NO_MEMBER, PL_NO_REPLICATOR, PL_NO_API, PL_NO_ROUTING, \
	PL_NO_SOURCE, PL_NO_SIDES, PL_NO_REGIONS, PL_NO_CARRYING, PL_STRAY_WATCH,                  \
	PL_STRAY_DATABASE, PL_STRAY_MEMBER, PL_STRAY_REPLICATOR, PL_STRAY_API, PL_STRAY_COMMANDS,  \
	[PL_SEND_DONE] = pl_stray
PL_HANDLERS(handlers, LANE_STATES) = {
	[LANE_RESOLVES] = {IN_EACH_STATE},
	[LANE_ASKS] = {IN_EACH_STATE},
	[LANE_REMOVES] = {IN_EACH_STATE},
	[LANE_WAITS] = {IN_EACH_STATE},
};
/* clang-format on */

static void
destination_step(void *state, const struct pl_message *m, uint64_t now_ns, struct pl_out *out)
{
	if (m->kind < PL_MESSAGE_KINDS)
		handlers[((struct destination *)state)->lanes[0].state][m->kind](
			state, m, now_ns, out
		);
}

static uint32_t destination_state_of(const void *state)
{
	return ((const struct destination *)state)->lanes[0].state;
}

const struct pl_kind pl_destination = {
	.name = "destination",
	.states = lane_states,
	.state_count = LANE_STATES,
	.bytes = destination_bytes,
	.init = destination_init,
	.step = destination_step,
	.state_of = destination_state_of,
};
