/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/pipeline/live/figures.h"

#include "tests/pipeline/report.h"

#include <stdlib.h>

static double ms(uint64_t ns)
{
	return (double)ns * 1e-6;
}

static double rto_ms(const struct pl_live_judgement *j)
{
	return j->back_ns > j->fault_ns && j->fault_ns > 0 ? ms(j->back_ns - j->fault_ns) : 0;
}

/* How far back what is gone reaches: from the oldest answer that was left behind to the fault, or
 * to the youngest one, as a region that is cut off goes on answering until it is dead. */
static double rpo_ms(const struct pl_live_stage *stage, const struct pl_live_judgement *j)
{
	const struct pl_databases *d = &stage->databases;
	if (d->lost_records == 0)
		return 0;
	uint64_t end_ns = j->fault_ns > d->last_lost_ns ? j->fault_ns : d->last_lost_ns;
	return ms(end_ns - d->first_lost_ns);
}

static double rate(const struct pl_live_judgement *j)
{
	return j->last_arrival_ns > j->first_ns
		       ? (double)j->arrived * 1e9 / (double)(j->last_arrival_ns - j->first_ns)
		       : 0;
}

static uint64_t duration_ns(const struct pl_live_stage *stage)
{
	const struct pl_step_times *times = &stage->times;
	return times->count > 1 ? times->at_ns[times->count - 1] - times->at_ns[0] : 0;
}

/* ---- one run ---- */

static void print_pairs(const struct pl_live_stage *stage, FILE *to)
{
	for (uint32_t i = 0; i < stage->databases.pair_count; i++)
		fprintf(to,
			"%s%s (home: region %u)",
			i ? ", " : "",
			stage->databases.pairs[i].mode,
			stage->databases.pairs[i].home);
}

static void print_text(
	const struct pl_live_stage *stage,
	uint64_t seed,
	const struct pl_live_judgement *j,
	FILE *to
)
{
	const struct pl_scenario *scenario = &stage->plan.scenario;
	const struct pl_databases *d = &stage->databases;
	fprintf(to, "%s live: %s\n", scenario->name, scenario->about);
	fprintf(to,
		"    seed %llu, %u records of %u, %.2f s, %.0f a second; %u threads\n",
		(unsigned long long)seed,
		j->arrived,
		scenario->promise.records,
		(double)duration_ns(stage) * 1e-9,
		rate(j),
		stage->runtime.thread_count);
	fprintf(to, "    pairs: ");
	print_pairs(stage, to);
	fprintf(to,
		"; %llu writes answered, %llu not, %llu done again; %llu DNS queries\n",
		(unsigned long long)d->writes,
		(unsigned long long)d->refused,
		(unsigned long long)j->rewritten,
		(unsigned long long)stage->names.queries_sent);
	if (scenario->failover)
		fprintf(to,
			"    RTO %.1f ms; RPO %llu rows, %.1f ms; %llu pairs switched in %.1f ms\n",
			rto_ms(j),
			(unsigned long long)d->lost_records,
			rpo_ms(stage, j),
			(unsigned long long)d->switches,
			d->switches ? ms(d->switch_ns) / (double)d->switches : 0);
	if (stage->plan.left_out[0])
		fprintf(to, "    %s\n", stage->plan.left_out);
	if (!j->good)
		fprintf(to, "    BROKEN %s: %s\n", pl_broken_name(j->broken), j->verdict);
	else
		fprintf(to,
			"    good: %llu effects judged, rows read back, digests equal\n",
			(unsigned long long)j->effects);
}

static void print_json(
	const struct pl_live_stage *stage,
	uint64_t seed,
	uint32_t run,
	const struct pl_live_judgement *j,
	FILE *to
)
{
	const struct pl_scenario *scenario = &stage->plan.scenario;
	const struct pl_databases *d = &stage->databases;
	fprintf(to, "{\"scenario\":");
	pl_json_text(scenario->name, to);
	fprintf(to,
		",\"live\":true,\"run\":%u,\"seed\":%llu,\"good\":%s,\"records\":%u,"
		"\"arrived\":%u,\"seconds\":%.3f,\"rate\":%.0f,\"threads\":%u,\"pairs\":[",
		run,
		(unsigned long long)seed,
		j->good ? "true" : "false",
		scenario->promise.records,
		j->arrived,
		(double)duration_ns(stage) * 1e-9,
		rate(j),
		stage->runtime.thread_count);
	for (uint32_t i = 0; i < d->pair_count; i++)
		fprintf(to,
			"%s{\"mode\":\"%s\",\"home\":%u}",
			i ? "," : "",
			d->pairs[i].mode,
			d->pairs[i].home);
	fprintf(to,
		"],\"writes\":%llu,\"refused\":%llu,\"rewritten\":%llu,\"repeats\":%llu,"
		"\"effects\":%llu,\"dns_queries\":%llu,\"failover\":%s,\"rto_ms\":%.3f,"
		"\"rpo_rows\":%llu,\"rpo_ms\":%.3f,\"switches\":%llu,\"switch_ms\":%.3f,"
		"\"broken\":\"%s\",\"verdict\":",
		(unsigned long long)d->writes,
		(unsigned long long)d->refused,
		(unsigned long long)j->rewritten,
		(unsigned long long)j->repeats,
		(unsigned long long)j->effects,
		(unsigned long long)stage->names.queries_sent,
		scenario->failover ? "true" : "false",
		rto_ms(j),
		(unsigned long long)d->lost_records,
		rpo_ms(stage, j),
		(unsigned long long)d->switches,
		d->switches ? ms(d->switch_ns) / (double)d->switches : 0,
		pl_broken_name(j->broken));
	pl_json_text(j->verdict, to);
	fprintf(to, "}\n");
}

void pl_live_print(
	const struct pl_live_stage *stage,
	const struct pl_live_options *options,
	uint64_t seed,
	uint32_t run,
	const struct pl_live_judgement *judgement,
	FILE *to
)
{
	if (options->json)
		print_json(stage, seed, run, judgement, to);
	else if (options->runs <= 1 || !judgement->good)
		print_text(stage, seed, judgement, to);
	else
		fprintf(to,
			"run %u, seed %llu: good, %u records, %.2f s, %.0f a second, RTO %.1f ms, "
			"RPO %llu rows %.1f ms\n",
			run + 1,
			(unsigned long long)seed,
			judgement->arrived,
			(double)duration_ns(stage) * 1e-9,
			rate(judgement),
			rto_ms(judgement),
			(unsigned long long)stage->databases.lost_records,
			rpo_ms(stage, judgement));
}

/* ---- several ---- */

static bool make_room(struct pl_live_figures *f)
{
	double **all[] = {&f->rto_ms, &f->rpo_rows, &f->rpo_ms, &f->rate};
	if (f->count < f->room)
		return true;
	for (uint32_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		double *more = realloc(*all[i], (f->room + 64) * sizeof(double));
		if (more == NULL)
			return false;
		*all[i] = more;
	}
	f->room += 64;
	return true;
}

void pl_live_figures_add(
	struct pl_live_figures *figures,
	const struct pl_live_stage *stage,
	const struct pl_live_judgement *judgement
)
{
	if (!make_room(figures))
		return;
	uint32_t i = figures->count++;
	figures->good += judgement->good;
	figures->rto_ms[i] = rto_ms(judgement);
	figures->rpo_rows[i] = (double)stage->databases.lost_records;
	figures->rpo_ms[i] = rpo_ms(stage, judgement);
	figures->rate[i] = rate(judgement);
	figures->records += judgement->arrived;
	figures->rewritten += judgement->rewritten;
	figures->repeats += judgement->repeats;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return x < y ? -1 : x > y;
}

static void print_spread(const char *name, double values[], uint32_t count, bool json, FILE *to)
{
	qsort(values, count, sizeof(values[0]), compare);
	double median = values[count / 2], high = values[count * 9 / 10];
	if (json)
		fprintf(to,
			",\"%s\":{\"min\":%.3f,\"p50\":%.3f,\"p90\":%.3f,\"max\":%.3f}",
			name,
			values[0],
			median,
			high,
			values[count - 1]);
	else
		fprintf(to,
			"    %-9s min %.1f, p50 %.1f, p90 %.1f, max %.1f\n",
			name,
			values[0],
			median,
			high,
			values[count - 1]);
}

void pl_live_print_figures(
	const struct pl_live_stage *stage,
	const struct pl_live_options *options,
	struct pl_live_figures *f,
	FILE *to
)
{
	const char *format = options->json
				     ? "{\"summary\":\"%s\",\"runs\":%u,\"good\":%u,"
				       "\"records\":%llu,\"rewritten\":%llu,\"repeats\":%llu"
				     : "%s live: %u runs, %u good; %llu records arrived, %llu "
				       "rows written again, %llu repeats at the destination\n";
	if (f->count == 0)
		return;
		/* Both formats take the same. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
	fprintf(to,
		format,
		stage->plan.scenario.name,
		f->count,
		f->good,
		(unsigned long long)f->records,
		(unsigned long long)f->rewritten,
		(unsigned long long)f->repeats);
#pragma GCC diagnostic pop
	print_spread("rate", f->rate, f->count, options->json, to);
	if (stage->plan.scenario.failover) {
		print_spread("rto_ms", f->rto_ms, f->count, options->json, to);
		print_spread("rpo_rows", f->rpo_rows, f->count, options->json, to);
		print_spread("rpo_ms", f->rpo_ms, f->count, options->json, to);
	}
	if (options->json)
		fprintf(to, "}\n");
}

void pl_live_figures_free(struct pl_live_figures *figures)
{
	free(figures->rto_ms);
	free(figures->rpo_rows);
	free(figures->rpo_ms);
	free(figures->rate);
	memset(figures, 0, sizeof(*figures));
}

/* ---- all effects ---- */

void pl_live_write_effects(struct pl_runtime *runtime, const struct pl_topology *topology, FILE *to)
{
	static struct pl_effects logs[PL_THREADS_MAX];
	const struct pl_seen *seen;
	for (uint32_t i = 0; i < runtime->thread_count; i++) {
		logs[i] = runtime->threads[i].effects;
		logs[i].read = 0;
	}
	while ((seen = pl_effects_next(logs, runtime->thread_count)) != NULL)
		fprintf(to,
			"%12.6f %-12s %-30s region %u record %llu value %llu\n",
			(double)(int64_t)(seen->time_ns - runtime->begin_ns) * 1e-9,
			pl_effect_name(seen->effect.kind),
			topology->machines[seen->effect.machine].name,
			seen->effect.region,
			(unsigned long long)seen->effect.record.id,
			(unsigned long long)seen->effect.record.value);
}
