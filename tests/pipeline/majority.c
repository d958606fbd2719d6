/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The front of the majority triple. A write goes to the active region's member; when that one has
 * answered, to the other two. It is answered OK when any two distinct members have it, for that
 * very request, and FAILED when two have not; the third's answer is waited for by nobody. A member
 * that did not take a row gets it later: what each one lacks is kept, in order, and tried again
 * with back-off; when there is no room to keep more, writes are answered FULL.
 *
 * The order of members is the active region's, the next one's, the third. SWITCH fences, lets the
 * writes under way end and flips; SWITCH_FORCED flips at once. Neither leaves anything behind: what
 * was answered stands in two members.
 */
#include "tests/pipeline/front.h"

struct majority_lag {
	uint32_t first, count; /* ring of what the member lacks */
	uint32_t request;      /* of the one that is tried again now, 0: none */
	uint32_t zero;
};

struct majority {
	struct pl_front front;
	struct majority_lag lags[PL_REGIONS_MAX];
	struct pl_record lacking[]; /* a ring of capacity for each member */
};

static size_t majority_bytes(const struct pl_params *params)
{
	return sizeof(struct majority) +
	       (size_t)PL_REGIONS_MAX * params->capacity * sizeof(struct pl_record);
}

static void majority_init(void *state, const struct pl_params *params, struct pl_out *out)
{
	pl_front_init(state, params, out);
}

static struct pl_record *lacking_at(struct majority *d, uint32_t member, uint32_t index)
{
	uint32_t capacity = d->front.params.capacity, slot = d->lags[member].first + index;
	return &d->lacking[member * capacity + (slot < capacity ? slot : slot - capacity)];
}

/* Each write under way may become one more row that a member lacks. */
static bool has_room(const struct majority *d)
{
	uint32_t under_way = 0;
	for (uint32_t i = 0; i < PL_WRITES_MAX; i++)
		under_way += d->front.writes[i].caller_request != 0;
	for (uint32_t i = 0; i < PL_REGIONS_MAX; i++) {
		uint32_t may_come = d->lags[i].count + d->front.outstanding[i] + under_way;
		if (may_come >= d->front.params.capacity)
			return false;
	}
	return true;
}

static void begin_write(struct majority *d, struct pl_front_write *write, struct pl_out *out)
{
	write->region = (uint8_t)d->front.active;
	pl_front_to_member(&d->front, write, d->front.active - 1, out);
}

PL_ON(write_row)
{
	struct majority *d = state;
	struct pl_front_write *write = NULL;
	if (m->count != 1) {
		pl_reply(out, m, PL_WRITE_DONE, PL_FAILED);
		return;
	}
	if (has_room(d))
		write = pl_front_take(&d->front, m);
	if (write)
		begin_write(d, write, out);
	else
		pl_reply(out, m, PL_WRITE_DONE, PL_FULL);
}

PL_ON(write_failed)
{
	pl_front_hold(state, m, now_ns, out);
}

static void lag_later(struct majority *d, uint64_t now_ns, struct pl_out *out)
{
	/* While the database is failed, its timer belongs to the writes that are held. */
	if (d->front.state != PL_FRONT_FAILED && out->timer_ns == PL_NEVER)
		out->timer_ns = now_ns + pl_back_off(&d->front.back_off_ns, &d->front.params);
}

static void lag_send(struct majority *d, uint32_t member, struct pl_out *out)
{
	struct majority_lag *lag = &d->lags[member];
	if (lag->count == 0 || lag->request != 0)
		return;
	lag->request = pl_front_request(&d->front);
	struct pl_message *m =
		pl_send(out, d->front.params.members[member], PL_MEMBER_WRITE, lag->request);
	m->region = (uint8_t)(member + 1);
	m->incarnation = d->front.epoch;
	m->count = 1;
	m->records[0] = *lacking_at(d, member, 0);
}

static void lag_answered(
	struct majority *d,
	uint32_t member,
	enum pl_status status,
	uint64_t now_ns,
	struct pl_out *out
)
{
	struct majority_lag *lag = &d->lags[member];
	lag->request = 0;
	if (status == PL_FAILED) {
		lag_later(d, now_ns, out);
		return;
	}
	d->front.back_off_ns = 0;
	*lacking_at(d, member, 0) = (struct pl_record){0};
	lag->first = lag->first + 1 < d->front.params.capacity ? lag->first + 1 : 0;
	lag->count--;
	lag_send(d, member, out);
}

PL_ON(try_lags)
{
	struct majority *d = state;
	out->timer_ns = PL_NEVER;
	for (uint32_t i = 0; i < PL_REGIONS_MAX; i++)
		lag_send(d, i, out);
}

/* As modelled: an answer is for whatever is waited for. */
static struct pl_front_write *oldest(struct majority *d)
{
	struct pl_front_write *found = NULL;
	for (uint32_t i = 0; i < PL_WRITES_MAX; i++) {
		struct pl_front_write *write = &d->front.writes[i];
		if (write->caller_request != 0 && !write->held &&
		    (!found || write->request < found->request))
			found = write;
	}
	return found;
}

static uint32_t bits(uint32_t x)
{
	return (uint32_t)__builtin_popcount(x);
}

/* Has this write come to its end? Then it is answered. */
static void judge(struct majority *d, struct pl_front_write *write, struct pl_out *out)
{
	uint32_t have = bits(write->acks), need = 2;
	if (pl_has(d->front.params.defects, PL_DEFECT_NO_REQUEST_IDS))
		have = write->count;
	if (pl_has(d->front.params.defects, PL_DEFECT_MAJORITY_OF_ONE))
		need = 1;
	if (have >= need)
		pl_front_answer(&d->front, write, PL_OK, out);
	else if (bits(write->nays) >= 2)
		pl_front_answer(&d->front, write, write->conflict ? PL_CONFLICT : PL_FAILED, out);
}

static void flip_when_quiet(struct majority *d, uint64_t now_ns, struct pl_out *out)
{
	if (d->front.state == PL_FRONT_FENCED && !pl_front_under_way(&d->front))
		pl_front_flip(&d->front, now_ns - d->front.started_ns, now_ns, out);
}

PL_ON(member_done)
{
	struct majority *d = state;
	uint32_t member = pl_front_member(&d->front, m->from);
	if (member == PL_REGIONS_MAX || m->request == 0) {
		pl_stray(d, m, now_ns, out);
		return;
	}
	if (m->request == d->lags[member].request) {
		lag_answered(d, member, m->status, now_ns, out);
		return;
	}
	if (d->front.outstanding[member] == 0) {
		pl_stray(d, m, now_ns, out);
		return;
	}
	d->front.outstanding[member]--;
	if (m->status == PL_FAILED) {
		*lacking_at(d, member, d->lags[member].count++) = m->records[0];
		lag_later(d, now_ns, out);
	}
	struct pl_front_write *write = pl_front_find(&d->front, m->request);
	if (!write && pl_has(d->front.params.defects, PL_DEFECT_NO_REQUEST_IDS))
		write = oldest(d);
	if (!write)
		return; /* the third's: its write was answered without it */
	if (!write->asked_all && m->request == write->request) {
		uint32_t next = (member + 1) % PL_REGIONS_MAX;
		write->asked_all = 1;
		pl_front_to_member(&d->front, write, next, out);
		pl_front_to_member(&d->front, write, (next + 1) % PL_REGIONS_MAX, out);
	}
	if (m->status == PL_OK) {
		write->acks |= (uint8_t)(1u << member);
		write->count++;
	} else {
		write->nays |= (uint8_t)(1u << member);
		write->conflict |= m->status == PL_CONFLICT;
	}
	judge(d, write, out);
	flip_when_quiet(d, now_ns, out);
}

static bool may_switch(const struct majority *d, const struct pl_message *m, struct pl_out *out)
{
	if (m->region < 1 || m->region > PL_REGIONS_MAX) {
		pl_reply(out, m, PL_COMMAND_DONE, PL_FAILED);
		return false;
	}
	if (m->region == d->front.active) {
		pl_reply(out, m, PL_COMMAND_DONE, PL_OK)->incarnation = d->front.epoch;
		return false;
	}
	return true;
}

PL_ON(switch_planned)
{
	struct majority *d = state;
	if (!may_switch(d, m, out))
		return;
	pl_front_switch(&d->front, m, PL_FRONT_FENCED, now_ns, out);
	flip_when_quiet(d, now_ns, out);
}

PL_ON(switch_forced)
{
	struct majority *d = state;
	if (!may_switch(d, m, out))
		return;
	if (d->front.state == PL_FRONT_FENCED)
		pl_front_switch_done(&d->front, PL_FAILED, 0, out); /* the planned one */
	pl_front_switch(&d->front, m, PL_FRONT_FENCED, now_ns, out);
	pl_front_flip(&d->front, 0, now_ns, out);
}

PL_ON(fail)
{
	struct majority *d = state;
	if (d->front.state == PL_FRONT_FENCED)
		pl_front_switch_done(&d->front, PL_FAILED, 0, out);
	pl_front_enter(&d->front, PL_FRONT_FAILED, out);
	out->timer_ns = PL_NEVER;
	pl_reply(out, m, PL_COMMAND_DONE, PL_OK);
}

PL_ON(recover)
{
	struct majority *d = state;
	pl_front_enter(&d->front, PL_FRONT_SERVES, out);
	out->timer_ns = PL_NEVER;
	pl_reply(out, m, PL_COMMAND_DONE, PL_OK);
	for (uint32_t i = 0; i < PL_WRITES_MAX; i++) {
		struct pl_front_write *write = &d->front.writes[i];
		if (!write->held)
			continue;
		write->held = 0;
		write->due_ns = 0;
		/* It counts among those under way already. */
		if (has_room(d))
			begin_write(d, write, out);
		else
			pl_front_answer(&d->front, write, PL_FULL, out);
	}
	for (uint32_t i = 0; i < PL_REGIONS_MAX; i++)
		if (d->lags[i].count > 0)
			lag_later(d, now_ns, out);
}

PL_ON(time_out)
{
	pl_front_time_out(state, now_ns, out);
}

/* clang-format off */
#define IN_EACH_STATE                                                                              \
	PL_NOT_A_FRONTS_BUSINESS, PL_NO_CARRYING, PL_STRAY_REPLICATOR,                             \
	[PL_MEMBER_DONE] = member_done, [PL_COMMAND_DONE] = pl_stray
#define MAJORITY_STATES (PL_FRONT_FENCED + 1)
PL_HANDLERS(handlers, MAJORITY_STATES) = {
	[PL_FRONT_SERVES] = {
		[PL_WRITE] = write_row, [PL_SWITCH] = switch_planned,
		[PL_SWITCH_FORCED] = switch_forced, [PL_FAIL] = fail, [PL_RECOVER] = pl_agree,
		[PL_TIMER] = try_lags, IN_EACH_STATE,
	},
	[PL_FRONT_FENCED] = {
		[PL_WRITE] = pl_front_busy, [PL_SWITCH] = pl_refuse,
		[PL_SWITCH_FORCED] = switch_forced, [PL_FAIL] = fail, [PL_RECOVER] = pl_agree,
		[PL_TIMER] = try_lags, IN_EACH_STATE,
	},
	[PL_FRONT_FAILED] = {
		[PL_WRITE] = write_failed, [PL_SWITCH] = pl_refuse, [PL_SWITCH_FORCED] = pl_refuse,
		[PL_FAIL] = pl_agree, [PL_RECOVER] = recover, [PL_TIMER] = time_out, IN_EACH_STATE,
	},
};
/* clang-format on */

static void
majority_step(void *state, const struct pl_message *m, uint64_t now_ns, struct pl_out *out)
{
	if (m->kind < PL_MESSAGE_KINDS)
		handlers[((struct pl_front *)state)->state][m->kind](state, m, now_ns, out);
}

const struct pl_kind pl_majority_triple = {
	.name = "majority-triple",
	.states = pl_front_states,
	.state_count = MAJORITY_STATES,
	.bytes = majority_bytes,
	.init = majority_init,
	.step = majority_step,
	.state_of = pl_front_state_of,
};
