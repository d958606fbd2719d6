/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A scenario's steps, and what broke one, as text. Apart from the driver, which is pure.
 */
#include "tests/pipeline/scenario.h"

#include <stdio.h>

static const char *command_name(const struct pl_step *step, char *text, size_t bytes)
{
	const char *name = pl_message_name(step->command);
	snprintf(text, bytes, "%s", name);
	for (char *c = text; *c; c++)
		*c = *c == '_' ? ' ' : *c >= 'A' && *c <= 'Z' ? (char)(*c + 'a' - 'A') : *c;
	return text;
}

void pl_step_text(
	const struct pl_step *step,
	const struct pl_topology *topology,
	uint32_t index,
	char *text,
	size_t bytes
)
{
	char name[40];
	const char *first = step->count > 0 ? topology->machines[step->targets[0]].name : "";
	int used = snprintf(text, bytes, "step %u (line %u): ", index + 1, step->line);
	if (used < 0 || (size_t)used >= bytes)
		return;
	text += used;
	bytes -= (size_t)used;
	unsigned long long number = step->number;
	switch (step->op) {
	case PL_OP_PUBLISH:
		snprintf(text, bytes, "publish batch %llu", number);
		break;
	case PL_OP_PUBLISH_REST:
		snprintf(text, bytes, "publish what was refused");
		break;
	case PL_OP_AWAIT_SOURCE:
		snprintf(text, bytes, "await the source");
		break;
	case PL_OP_AWAIT:
		snprintf(text, bytes, "await %llu records at %s", number, first);
		break;
	case PL_OP_CHOOSE:
		snprintf(text, bytes, "choose some of %u", step->count);
		break;
	case PL_OP_DRAINED:
		snprintf(text, bytes, "until %s and %u more are empty", first, step->count - 1);
		break;
	case PL_OP_EXPECT_DEPTH:
		snprintf(
			text,
			bytes,
			"expect %llu to %llu records in %s",
			number,
			(unsigned long long)step->most,
			first
		);
		break;
	case PL_OP_WAIT:
		snprintf(text, bytes, "wait %llu ns", number);
		break;
	default:
		snprintf(
			text,
			bytes,
			"%s %s%s",
			command_name(step, name, sizeof(name)),
			step->op == PL_OP_COMMAND_CHOSEN ? "what was chosen of " : "",
			first
		);
		if (step->count > 1)
			snprintf(
				text + strlen(text),
				bytes - strlen(text),
				" and %u more",
				step->count - 1
			);
	}
}

bool pl_driver_good(const void *state, const struct pl_topology *topology, char *text, size_t bytes)
{
	struct pl_driver_fault fault;
	char step[160];
	if (!pl_driver_broken(state, &fault))
		return true;
	pl_step_text(&fault.step, topology, fault.at, step, sizeof(step));
	if (fault.step.op == PL_OP_EXPECT_DEPTH && fault.status == PL_OK)
		snprintf(text, bytes, "%s: found %llu", step, (unsigned long long)fault.found);
	else
		snprintf(
			text,
			bytes,
			"%s: %s answered %s",
			step,
			topology->machines[fault.step.targets[fault.target]].name,
			pl_status_name(fault.status)
		);
	return false;
}
