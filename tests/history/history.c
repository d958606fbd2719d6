/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Appending to a history, and words for what the checkers find.
 */
#include "tests/history/history.h"

#include "config/check.h"

#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

void hist_init(struct hist_history *history, const struct hist_room *room)
{
	*history = (struct hist_history){.room = *room};
}

uint32_t hist_invoke(struct hist_history *history, const struct hist_operation *operation)
{
	if (history->operations == history->room.max_operations) {
		history->dropped++;
		return HIST_NONE;
	}
	struct hist_operation *o = &history->room.operations[history->operations];
	*o = *operation;
	o->first_answer = o->last_answer = HIST_NONE;
	return history->operations++;
}

bool hist_answer(struct hist_history *history, uint32_t operation, const struct hist_answer *answer)
{
	if (operation == HIST_NONE || history->answers == history->room.max_answers) {
		history->dropped++;
		return false;
	}
	CHECK(operation < history->operations);
	struct hist_operation *o = &history->room.operations[operation];
	uint32_t index = history->answers++;
	history->room.answers[index] = *answer;
	history->room.answers[index].next = HIST_NONE;
	if (o->first_answer == HIST_NONE)
		o->first_answer = index;
	else
		history->room.answers[o->last_answer].next = index;
	o->last_answer = index;
	return true;
}

bool hist_final(struct hist_history *history, const struct hist_final *final)
{
	if (history->finals == history->room.max_finals) {
		history->dropped++;
		return false;
	}
	history->room.finals[history->finals++] = *final;
	return true;
}

/* --- Words --- */

static const struct {
	const char *name;
	const char *text;
	bool linearizable;
} kinds[] = {
#define X(id, name, text, linearizable) {name, text, linearizable},
	HIST_KIND_LIST(X)
#undef X
};

const char *hist_kind_name(enum hist_kind kind)
{
	return kinds[kind].name;
}

const char *hist_kind_text(enum hist_kind kind)
{
	return kinds[kind].text;
}

bool hist_kind_linearizable(enum hist_kind kind)
{
	return kinds[kind].linearizable;
}

bool hist_good(const struct hist_verdict *verdict)
{
	return verdict->violations == 0 && verdict->gave_up == 0;
}

struct text {
	char *at;
	size_t room;
	int length;
};

__attribute__((format(printf, 2, 3))) static void add(struct text *text, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	int length = vsnprintf(text->at, text->room, format, arguments);
	va_end(arguments);
	if (length < 0)
		return;
	size_t used = (size_t)length < text->room ? (size_t)length : text->room;
	text->at += used;
	text->room -= used;
	text->length += length;
}

static void add_answer(struct text *text, const struct hist_answer *a)
{
	static const char *const statuses[] = {
		"OK",
		"REJECTED",
		"NOT_PRIMARY",
		"BUSY",
		"BAD_REQUEST",
		"FORGOTTEN",
		"UNAUTHORIZED",
		"OVERLOADED",
	};
	const char *status = a->status < 8 ? statuses[a->status] : "?";
	add(text, " -> %" PRIu64 " %s value %" PRId64, a->returned_ns, status, a->value);
	add(text, " version %" PRIu64 " sequence %" PRIu64, a->version, a->sequence);
	add(text, " epoch %" PRIu32 " node %u", a->epoch, a->node);
}

static void add_operation(struct text *text, const struct hist_history *history, uint32_t index)
{
	static const char *const opcodes[] = {"?", "ADD", "SET", "GET", "CAS"};
	const struct hist_operation *o = &history->room.operations[index];
	add(text, " client %" PRIu64 " request %" PRIu64, o->client_id, o->request_seq);
	if (o->line != 0)
		add(text, " (line %" PRIu32 ")", o->line);
	add(text, " %s", opcodes[o->opcode < 5 ? o->opcode : 0]);
	if (o->opcode != CLI_REGISTER_GET)
		add(text, " %" PRId64, o->argument[0]);
	if (o->opcode == CLI_REGISTER_CAS)
		add(text, " %" PRId64, o->argument[1]);
	add(text, " sent %" PRIu64, o->invoked_ns);
	if (o->first_answer == HIST_NONE)
		add(text, " never answered");
	else
		add_answer(text, &history->room.answers[o->first_answer]);
}

int hist_describe(
	const struct hist_history *history,
	const struct hist_violation *violation,
	char *text,
	size_t bytes
)
{
	struct text t = {.at = text, .room = bytes};
	add(&t, "%s: %s;", kinds[violation->kind].name, kinds[violation->kind].text);
	add(&t, " asset %" PRIu64 " version %" PRIu64, violation->asset_id, violation->version);
	if (violation->first != HIST_NONE) {
		add(&t, ":");
		add_operation(&t, history, violation->first);
	}
	if (violation->other != HIST_NONE) {
		add(&t, "; against");
		add_operation(&t, history, violation->other);
	}
	return t.length;
}
