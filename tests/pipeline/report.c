/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/pipeline/report.h"

bool pl_as_expected(const struct pl_scenario *scenario, const struct pl_found *found)
{
	return found->broken == scenario->broken || found->broken == scenario->or_broken;
}

static double per_second(const struct pl_found *found)
{
	return found->seconds > 0 ? (double)found->steps / found->seconds : 0;
}

static void print_failover(const struct pl_found *found, FILE *to)
{
	if (found->rto_count > 0)
		fprintf(to,
			"    RTO   %.3f ms on average, %.3f ms at most (virtual: from the fault to "
			"the "
			"first arrival after the switch)\n",
			(double)found->rto_sum_ns * 1e-6 / (double)found->rto_count,
			(double)found->rto_max_ns * 1e-6);
	if (found->lost_max == 0) {
		fprintf(to, "    RPO   0\n");
		return;
	}
	fprintf(to,
		"    RPO   %.2f rows on average, %llu at most, the oldest answered %.3f ms before "
		"the switch\n",
		found->schedules ? (double)found->lost_sum / (double)found->schedules : 0,
		(unsigned long long)found->lost_max,
		(double)found->lost_max_ns * 1e-6);
}

static void print_broken(const struct pl_report *report, FILE *to)
{
	const struct pl_found *found = report->found;
	bool expected = pl_as_expected(report->scenario, found) && report->options->defects == 0;
	fprintf(to, "    %s %s\n", expected ? "found, as expected:" : "BROKEN", found->verdict);
	if (report->options->strategy == PL_STRATEGY_EXHAUSTIVE) {
		fprintf(to,
			"    after %llu states, on a path of %u deliveries\n",
			(unsigned long long)found->states,
			found->full_choices);
		return;
	}
	fprintf(to,
		"    in schedule %llu; %u choices, shortened to %u\n",
		(unsigned long long)found->schedules,
		found->full_choices,
		found->choice_count);
	fprintf(to,
		"    again: standfast-pipeline run %s --strategy %s --seed %llu --schedules 1",
		report->scenario->name,
		pl_strategy_names[report->options->strategy],
		(unsigned long long)found->seed);
	if (report->options->strategy == PL_STRATEGY_PCT)
		fprintf(to, " --change-points %u", report->options->change_points);
	fprintf(to, "%s\n", report->again);
}

void pl_report_text(const struct pl_report *report, FILE *to)
{
	const struct pl_found *found = report->found;
	const char *strategy = pl_strategy_names[report->options->strategy];
	fprintf(to, "%s: %s\n", report->scenario->name, report->scenario->about);
	fprintf(to,
		"    %-10s %llu %s, %.1f million deliveries, %.1f million/s, "
		"%llu states",
		strategy,
		(unsigned long long)found->schedules,
		report->options->strategy == PL_STRATEGY_EXHAUSTIVE ? "ends" : "schedules",
		(double)found->steps * 1e-6,
		per_second(found) * 1e-6,
		(unsigned long long)found->states);
	if (report->options->strategy == PL_STRATEGY_EXHAUSTIVE &&
	    found->broken == PL_BROKEN_NOTHING)
		fprintf(to, ", %s", found->complete ? "all there are" : "given up");
	fprintf(to, "\n");
	if (found->broken != PL_BROKEN_NOTHING)
		print_broken(report, to);
	else if (report->scenario->broken != PL_BROKEN_NOTHING)
		fprintf(to, "    not found here: %s\n", pl_broken_name(report->scenario->broken));
	if (report->scenario->failover && report->options->strategy != PL_STRATEGY_EXHAUSTIVE)
		print_failover(found, to);
	if (found->overlooked > 0)
		fprintf(to,
			"    %llu schedules ended well for the models' monitors, which had stopped "
			"looking before\n",
			(unsigned long long)found->overlooked);
}

void pl_json_text(const char *text, FILE *to)
{
	fputc('"', to);
	for (; *text; text++) {
		unsigned char c = (unsigned char)*text;
		if (c == '"' || c == '\\')
			fprintf(to, "\\%c", c);
		else if (c < 0x20)
			fprintf(to, "\\u%04x", c);
		else
			fputc(c, to);
	}
	fputc('"', to);
}

void pl_report_json(const struct pl_report *report, FILE *to)
{
	const struct pl_found *found = report->found;
	fprintf(to, "{\"scenario\":");
	pl_json_text(report->scenario->name, to);
	fprintf(to,
		",\"strategy\":\"%s\",\"seed\":%llu,\"schedules\":%llu,\"steps\":%llu,",
		pl_strategy_names[report->options->strategy],
		(unsigned long long)report->options->seed,
		(unsigned long long)found->schedules,
		(unsigned long long)found->steps);
	fprintf(to,
		"\"seconds\":%.3f,\"steps_per_second\":%.0f,\"states\":%llu,",
		found->seconds,
		per_second(found),
		(unsigned long long)found->states);
	fprintf(to,
		"\"expected\":\"%s\",\"broken\":\"%s\",\"good\":%s,",
		pl_broken_name(report->scenario->broken),
		pl_broken_name(found->broken),
		pl_as_expected(report->scenario, found) ? "true" : "false");
	if (report->options->strategy == PL_STRATEGY_EXHAUSTIVE)
		fprintf(to, "\"complete\":%s,", found->complete ? "true" : "false");
	if (found->broken != PL_BROKEN_NOTHING) {
		fprintf(to, "\"verdict\":");
		pl_json_text(found->verdict, to);
		fprintf(to,
			",\"broken_seed\":%llu,\"choices\":%u,\"shortened\":%u,",
			(unsigned long long)found->seed,
			found->full_choices,
			found->choice_count);
	}
	if (report->scenario->failover) {
		fprintf(to,
			"\"rpo_rows_max\":%llu,\"rpo_max_ns\":%llu,\"rto_max_ns\":%llu,",
			(unsigned long long)found->lost_max,
			(unsigned long long)found->lost_max_ns,
			(unsigned long long)found->rto_max_ns);
		fprintf(to,
			"\"rpo_rows_mean\":%.3f,\"rto_mean_ns\":%llu,",
			found->schedules ? (double)found->lost_sum / (double)found->schedules : 0,
			(unsigned long long
			)(found->rto_count ? found->rto_sum_ns / found->rto_count : 0));
	}
	fprintf(to, "\"overlooked\":%llu}\n", (unsigned long long)found->overlooked);
}
