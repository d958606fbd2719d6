/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A member of a database: the rows of one region. The record id is the unique key: the same row
 * again is well, another value under the id is a conflict. A write of an older epoch than one that
 * it has seen is refused: whoever sent it is no longer who may write here.
 */
#include "tests/pipeline/handlers.h"

enum member_state { MEMBER_SERVES, MEMBER_FAILED, MEMBER_STATES };
static const char *const member_states[] = {"serves", "failed"};

struct member {
	uint64_t defects;
	uint32_t state;
	uint32_t epoch; /* the highest that it has seen */
	uint32_t ids, row_count;
	struct pl_record rows[]; /* row `id` at id - 1; its id is 0 while there is none */
};

static size_t member_bytes(const struct pl_params *params)
{
	return sizeof(struct member) + params->ids * sizeof(struct pl_record);
}

static void member_init(void *state, const struct pl_params *params, struct pl_out *out)
{
	struct member *member = state;
	member->defects = params->defects;
	member->ids = params->ids;
	out->timer_ns = PL_NEVER;
}

static enum pl_status put(struct member *member, struct pl_record record, struct pl_out *out)
{
	if (record.id == 0 || record.id > member->ids)
		return PL_FAILED;
	struct pl_record *row = &member->rows[record.id - 1];
	if (row->id == 0) {
		*row = record;
		member->row_count++;
		pl_effect(out, PL_EFFECT_WRITTEN, record);
		return PL_OK;
	}
	if (pl_has(member->defects, PL_DEFECT_NO_UNIQUE_KEY)) {
		member->row_count++;
		pl_effect(out, PL_EFFECT_DUPLICATED, record);
		return PL_OK;
	}
	bool same = row->value == record.value;
	pl_effect(out, same ? PL_EFFECT_REWRITTEN : PL_EFFECT_CONFLICT, record);
	return same ? PL_OK : PL_CONFLICT;
}

static void answer(const struct pl_message *m, enum pl_status status, struct pl_out *out)
{
	if (m->region == 0)
		return;
	struct pl_message *done = pl_reply(out, m, PL_MEMBER_DONE, status);
	done->incarnation = m->incarnation;
	done->count = m->count;
	done->records[0] = m->records[0];
}

PL_ON(write_row)
{
	struct member *member = state;
	enum pl_status status = PL_FAILED;
	if (m->count == 1 && m->incarnation >= member->epoch) {
		member->epoch = m->incarnation;
		status = put(member, m->records[0], out);
	}
	answer(m, status, out);
}

PL_ON(write_failed)
{
	answer(m, PL_FAILED, out);
}

PL_ON(fail)
{
	((struct member *)state)->state = MEMBER_FAILED;
	pl_state_effect(out, MEMBER_SERVES, MEMBER_FAILED);
	pl_reply(out, m, PL_COMMAND_DONE, PL_OK);
}

PL_ON(recover)
{
	((struct member *)state)->state = MEMBER_SERVES;
	pl_state_effect(out, MEMBER_FAILED, MEMBER_SERVES);
	pl_reply(out, m, PL_COMMAND_DONE, PL_OK);
}

/* clang-format off */
#define NOT_A_MEMBERS_BUSINESS                                                                     \
	PL_NO_TRANSPORT, PL_NO_WATCH, PL_NO_DATABASE, PL_NO_REPLICATOR, PL_NO_API, PL_NO_ROUTING,  \
	PL_NO_SOURCE, PL_NO_SIDES, PL_NO_REGIONS, PL_NO_CARRYING, PL_STRAY_TRANSPORT,              \
	PL_STRAY_WATCH, PL_STRAY_DATABASE, PL_STRAY_MEMBER, PL_STRAY_REPLICATOR, PL_STRAY_API,     \
	PL_STRAY_ROUTING, PL_STRAY_COMMANDS, [PL_TIMER] = pl_no_timer,                             \
	/* Its rows are on disk, and it remembers nothing else. */                                 \
	[PL_CRASH] = pl_agree
PL_HANDLERS(handlers, MEMBER_STATES) = {
	[MEMBER_SERVES] = {
		[PL_MEMBER_WRITE] = write_row, [PL_FAIL] = fail, [PL_RECOVER] = pl_agree,
		NOT_A_MEMBERS_BUSINESS,
	},
	[MEMBER_FAILED] = {
		[PL_MEMBER_WRITE] = write_failed, [PL_FAIL] = pl_agree, [PL_RECOVER] = recover,
		NOT_A_MEMBERS_BUSINESS,
	},
};
/* clang-format on */

static void
member_step(void *state, const struct pl_message *m, uint64_t now_ns, struct pl_out *out)
{
	if (m->kind < PL_MESSAGE_KINDS)
		handlers[((struct member *)state)->state][m->kind](state, m, now_ns, out);
}

static uint32_t member_state_of(const void *state)
{
	return ((const struct member *)state)->state;
}

const struct pl_kind pl_member = {
	.name = "member",
	.states = member_states,
	.state_count = MEMBER_STATES,
	.bytes = member_bytes,
	.init = member_init,
	.step = member_step,
	.state_of = member_state_of,
};
