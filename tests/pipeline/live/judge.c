/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/pipeline/live/judge.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void pl_live_break(struct pl_live_judgement *judgement, uint32_t broken, const char *format, ...)
{
	va_list arguments;
	if (!judgement->good)
		return;
	judgement->good = false;
	judgement->broken = broken;
	va_start(arguments, format);
	vsnprintf(judgement->verdict, sizeof(judgement->verdict), format, arguments);
	va_end(arguments);
}

static struct pl_effects *logs_of(struct pl_runtime *runtime, struct pl_effects *logs)
{
	for (uint32_t i = 0; i < runtime->thread_count; i++) {
		runtime->threads[i].effects.read = 0;
		logs[i] = runtime->threads[i].effects;
	}
	return logs;
}

static bool harms(uint32_t command)
{
	return command == PL_FAIL || command == PL_CRASH || command == PL_SWITCH ||
	       command == PL_SWITCH_FORCED || command == PL_OFFLINE;
}

static bool turns(uint32_t command)
{
	return command == PL_SWITCH || command == PL_SWITCH_FORCED || command == PL_OFFLINE;
}

/* The first fault or switch, and the end of the last switch of the failover; a scenario that turns
 * back later has that one counted too. */
static void find_times(
	const struct pl_scenario *scenario,
	const struct pl_step_times *times,
	struct pl_live_judgement *judgement
)
{
	for (uint32_t i = 0; i < scenario->step_count && i + 1 < times->count; i++) {
		const struct pl_step *step = &scenario->steps[i];
		bool command = step->op == PL_OP_COMMAND || step->op == PL_OP_COMMAND_CHOSEN;
		if (command && harms(step->command) && judgement->fault_ns == 0)
			judgement->fault_ns = times->at_ns[i];
		if (step->op == PL_OP_COMMAND && turns(step->command) && step->region != 1)
			judgement->switched_ns = times->at_ns[i + 1];
		if (step->op == PL_OP_COMMAND && step->command == PL_OFFLINE)
			judgement->switched_ns = times->at_ns[i + 1];
		/* The service is back with the first record after it, not after a later step. */
		if (step->op == PL_OP_PUBLISH_REST ||
		    (step->op == PL_OP_PUBLISH && judgement->switched_ns > 0))
			break;
	}
}

static void count(struct pl_live_judgement *judgement, const struct pl_seen *seen)
{
	judgement->effects++;
	switch (seen->effect.kind) {
	case PL_EFFECT_ARRIVED:
		judgement->last_arrival_ns = seen->time_ns;
		if (judgement->switched_ns > 0 && seen->time_ns >= judgement->switched_ns &&
		    judgement->back_ns == 0)
			judgement->back_ns = seen->time_ns;
		break;
	case PL_EFFECT_REPEATED:
		judgement->repeats++;
		break;
	case PL_EFFECT_REWRITTEN:
		judgement->rewritten++;
		break;
	case PL_EFFECT_PUBLISHED:
		if (judgement->first_ns == 0)
			judgement->first_ns = seen->time_ns;
		break;
	default:
		break;
	}
}

int pl_live_judge(
	struct pl_runtime *runtime,
	const struct pl_topology *topology,
	const struct pl_scenario *scenario,
	const struct pl_step_times *times,
	uint64_t seed,
	struct pl_live_judgement *judgement
)
{
	static struct pl_effects logs[PL_THREADS_MAX];
	uint32_t records = scenario->promise.records;
	struct pl_monitors *monitors = calloc(1, pl_monitors_bytes(topology, &scenario->promise));
	uint64_t *values = calloc(records + 1, sizeof(*values));
	const struct pl_seen *seen;
	int rc = monitors && values ? 0 : -ENOMEM;
	if (rc != 0)
		goto out;
	for (uint32_t id = 1; id <= records; id++)
		values[id - 1] = pl_value_of(seed, id);
	find_times(scenario, times, judgement);
	pl_monitors_begin(monitors, topology, &scenario->promise, values);
	logs_of(runtime, logs);
	while ((seen = pl_effects_next(logs, runtime->thread_count)) != NULL) {
		count(judgement, seen);
		pl_monitors_see(monitors, &seen->effect);
	}
	for (uint32_t i = 0; i < runtime->thread_count; i++)
		if (logs[i].dropped > 0)
			pl_live_break(
				judgement,
				PL_BROKEN_MACHINE,
				"%llu effects were not kept",
				(unsigned long long)logs[i].dropped
			);
	/* A run that was cut short says nothing of what would have come. */
	if (judgement->good)
		pl_monitors_end(monitors);
	const char *verdict = pl_monitors_verdict(monitors);
	if (verdict)
		pl_live_break(judgement, pl_monitors_broken(monitors), "%s", verdict);
	judgement->arrived = pl_monitors_arrived(monitors);
	judgement->left_behind = pl_monitors_left_behind(monitors);
out:
	free(monitors);
	free(values);
	return rc;
}

/* ---- series ---- */

#define COLUMNS (2 * PL_STAGES_MAX + 2)

/* Which column an effect counts in: at the source, in a transport, at the destination. */
static int column_of(const struct pl_topology *topology, const struct pl_effect *effect)
{
	uint32_t side = effect->region == 2;
	if (effect->kind == PL_EFFECT_PUBLISHED)
		return (int)side;
	if (effect->kind == PL_EFFECT_ARRIVED)
		return (int)(2 * (topology->transport_count + 1) + side);
	if (effect->kind != PL_EFFECT_ACCEPTED)
		return -1;
	for (uint32_t i = 0; i < topology->transport_count; i++)
		for (uint32_t r = 0; r < 2; r++)
			if (topology->transports[i][r] == effect->machine)
				return (int)(2 * (i + 1) + r);
	return -1;
}

static void write_row(FILE *file, uint64_t row, const uint32_t counts[], uint32_t columns)
{
	fprintf(file, "%.3f", (double)(row * PL_SERIES_NS) * 1e-9);
	for (uint32_t i = 0; i < columns; i++)
		fprintf(file, ",%.0f", (double)counts[i] * 1e9 / (double)PL_SERIES_NS);
	fputc('\n', file);
}

static void write_heading(FILE *file, const struct pl_topology *topology)
{
	fprintf(file, "seconds,source.1,source.2");
	for (uint32_t i = 0; i < topology->transport_count; i++)
		for (uint32_t r = 0; r < 2; r++)
			fprintf(file, ",%s", topology->machines[topology->transports[i][r]].name);
	fprintf(file, ",destination.1,destination.2\n");
}

static void write_counts(FILE *file, struct pl_runtime *runtime, const struct pl_topology *topology)
{
	static struct pl_effects logs[PL_THREADS_MAX];
	uint32_t counts[2 * (PL_STAGES_MAX + 2)] = {0};
	uint32_t columns = 2 * (topology->transport_count + 2);
	const struct pl_seen *seen;
	uint64_t row = 0;
	logs_of(runtime, logs);
	while ((seen = pl_effects_next(logs, runtime->thread_count)) != NULL) {
		int column = column_of(topology, &seen->effect);
		uint64_t at = (seen->time_ns - runtime->begin_ns) / PL_SERIES_NS;
		if (column < 0)
			continue;
		/* By their numbers, times of two threads may be a little out of order. */
		for (; row < at; row++) {
			write_row(file, row, counts, columns);
			memset(counts, 0, sizeof(counts));
		}
		counts[column]++;
	}
	write_row(file, row, counts, columns);
	memset(counts, 0, sizeof(counts));
	write_row(file, row + 1, counts, columns);
}

static void write_steps(
	FILE *file,
	const struct pl_runtime *runtime,
	const struct pl_topology *topology,
	const struct pl_scenario *scenario,
	const struct pl_step_times *times
)
{
	char text[200];
	fprintf(file, "from_s,to_s,kind,region,count,text\n");
	for (uint32_t i = 0; i + 1 < times->count; i++) {
		const struct pl_step *step = &scenario->steps[i];
		bool command = step->op == PL_OP_COMMAND || step->op == PL_OP_COMMAND_CHOSEN;
		bool is_pause = step->command == PL_STOP_CARRYING;
		const char *kind = !command			      ? "goes"
				   : turns(step->command)	      ? "switch"
				   : harms(step->command) || is_pause ? "harm"
								      : "heal";
		pl_step_text(step, topology, i, text, sizeof(text));
		fprintf(file,
			"%.4f,%.4f,%s,%u,%u,\"%s\"\n",
			(double)(times->at_ns[i] - runtime->begin_ns) * 1e-9,
			(double)(times->at_ns[i + 1] - runtime->begin_ns) * 1e-9,
			kind,
			step->region,
			step->count,
			text);
	}
}

int pl_live_write_series(
	struct pl_runtime *runtime,
	const struct pl_topology *topology,
	const struct pl_scenario *scenario,
	const struct pl_step_times *times,
	const char *folder
)
{
	char path[512];
	snprintf(path, sizeof(path), "%s/series.csv", folder);
	FILE *file = fopen(path, "w");
	if (file == NULL)
		return -errno;
	write_heading(file, topology);
	write_counts(file, runtime, topology);
	fclose(file);
	snprintf(path, sizeof(path), "%s/steps.csv", folder);
	file = fopen(path, "w");
	if (file == NULL)
		return -errno;
	write_steps(file, runtime, topology, scenario, times);
	fclose(file);
	return 0;
}
