/* SPDX-License-Identifier: BSD-3-Clause */
#include "perf/bench/report.h"

#include "config/histogram_file.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#define LEAST_RATE_SHARE 0.99

void bench_result_of(
	struct bench_result *r,
	const struct bench_options *options,
	const struct bench_engine *engine,
	const struct bench_transport *transport,
	const struct bench_verdict *verdict
)
{
	const struct bench_counters *c = &engine->counters;
	memset(r, 0, sizeof(*r));
	r->options = options;
	r->engine = engine;
	r->transport = transport;
	r->verdict = *verdict;
	/* A batch stands for the time until the next one: else few requests look too fast. */
	uint64_t planned = engine->due_q10 >> 10;
	uint64_t taken = engine->last_answer_ns - engine->start_ns;
	r->seconds = (double)(taken > planned ? taken : planned) / 1e9;
	r->rate = r->seconds > 0 ? (double)c->answered / r->seconds : 0;
	r->answered_all = c->sent == c->answered;
	r->in_time = options->rate == 0 || r->rate >= LEAST_RATE_SHARE * (double)options->rate;
	r->kept = !bench_verdict_is_broken(verdict) && c->stale_reads == 0 &&
		  c->differing_repeats == 0;
}

/* Every number of the summary, once, for both forms. */
#define COUNTERS(X)          \
	X(sent)              \
	X(answered)          \
	X(acked)             \
	X(reads)             \
	X(rejected)          \
	X(unanswered)        \
	X(retried)           \
	X(duplicates)        \
	X(not_primary)       \
	X(busy)              \
	X(overloaded)        \
	X(bad_request)       \
	X(forgotten)         \
	X(unauthorized)      \
	X(bad_answers)       \
	X(stray_answers)     \
	X(stale_reads)       \
	X(differing_repeats) \
	X(target_changes)

#define VERDICT(X)          \
	X(lost_after_ack)   \
	X(applied_twice)    \
	X(wrong_values)     \
	X(wrong_order)      \
	X(unknown)          \
	X(unknown_applied)  \
	X(unchecked_assets) \
	X(undecided)

static void print_percentiles(const char *suffix, const struct sf_histogram *h, FILE *out)
{
	static const struct {
		const char *name;
		double percentile;
	} shown[] = {{"p50", 50}, {"p90", 90}, {"p99", 99}, {"p999", 99.9}, {"p9999", 99.99}};
	for (unsigned i = 0; i < sizeof(shown) / sizeof(shown[0]); i++)
		fprintf(out,
			"  \"%s%s_ns\": %" PRIu64 ",\n",
			shown[i].name,
			suffix,
			sf_histogram_percentile(h, shown[i].percentile));
	fprintf(out, "  \"max%s_ns\": %" PRIu64 ",\n", suffix, h->max);
}

void bench_print_json(const struct bench_result *r, FILE *out)
{
	const struct bench_counters *c = &r->engine->counters;
	const struct bench_options *o = r->options;

	fprintf(out, "{\n");
#define X(name) fprintf(out, "  \"" #name "\": %" PRIu64 ",\n", c->name);
	COUNTERS(X)
#undef X
#define X(name) fprintf(out, "  \"" #name "\": %" PRIu64 ",\n", r->verdict.name);
	VERDICT(X)
#undef X
	fprintf(out, "  \"rate\": %.3f,\n", r->rate);
	fprintf(out, "  \"rate_asked\": %" PRIu64 ",\n", o->rate);
	fprintf(out, "  \"seconds\": %.6f,\n", r->seconds);
	print_percentiles("", r->engine->latency.all_intended, out);
	print_percentiles("_actual", r->engine->latency.all_actual, out);
	fprintf(out, "  \"longest_gap_ns\": %" PRIu64 ",\n", r->engine->longest_gap_ns);
	fprintf(out, "  \"behind_schedule_total\": %" PRIu64 ",\n", c->behind_schedule);
	fprintf(out, "  \"worst_behind_ns\": %" PRIu64 ",\n", c->worst_behind_ns);
	fprintf(out, "  \"send_dropped\": %" PRIu64 ",\n", r->transport->send_dropped);
	fprintf(out, "  \"receive_ignored\": %" PRIu64 ",\n", r->transport->receive_ignored);
	fprintf(out, "  \"sessions\": %u,\n", r->engine->session_count);
	fprintf(out, "  \"outstanding\": %u,\n", o->outstanding);
	fprintf(out, "  \"batch\": %u,\n", o->batch);
	fprintf(out, "  \"assets\": %u,\n", o->assets);
	fprintf(out, "  \"seed\": %" PRIu64 ",\n", o->seed);
	fprintf(out, "  \"ledger\": %s,\n", o->ledger ? "true" : "false");
	fprintf(out, "  \"answered_all\": %s,\n", r->answered_all ? "true" : "false");
	fprintf(out, "  \"rate_reached\": %s,\n", r->in_time ? "true" : "false");
	fprintf(out, "  \"promises_kept\": %s\n}\n", r->kept ? "true" : "false");
}

static void print_latency(const char *name, const struct sf_histogram *h, FILE *out)
{
	fprintf(out,
		"%-9s p50 %.1f  p90 %.1f  p99 %.1f  p99.9 %.1f  max %.1f us\n",
		name,
		(double)sf_histogram_percentile(h, 50) / 1e3,
		(double)sf_histogram_percentile(h, 90) / 1e3,
		(double)sf_histogram_percentile(h, 99) / 1e3,
		(double)sf_histogram_percentile(h, 99.9) / 1e3,
		(double)h->max / 1e3);
}

static void print_verdict(const struct bench_result *r, FILE *out)
{
	const struct bench_verdict *v = &r->verdict;
	const struct bench_counters *c = &r->engine->counters;
	if (!r->options->ledger) {
		fprintf(out, "ledger    off\n");
		return;
	}
	fprintf(out,
		"ledger    %" PRIu64 " updates and %" PRIu64 " reads checked: %" PRIu64
		" lost, %" PRIu64 " applied twice, %" PRIu64 " wrong\n",
		v->updates,
		v->reads,
		v->lost_after_ack,
		v->applied_twice,
		v->wrong_values + v->wrong_order + c->stale_reads + c->differing_repeats);
	if (v->unknown != 0)
		fprintf(out,
			"          %" PRIu64 " updates of unknown outcome, %" PRIu64
			" of them applied\n",
			v->unknown,
			v->unknown_applied);
	if (v->unchecked_assets != 0)
		fprintf(out,
			"          %" PRIu64 " assets could not be read and are not checked\n",
			v->unchecked_assets);
	if (bench_verdict_is_broken(v))
		fprintf(out,
			"          first broken: asset %" PRIu64 " at version %" PRIu64 "\n",
			r->options->first_asset + v->example_asset,
			v->example_version);
}

void bench_print_text(const struct bench_result *r, FILE *out)
{
	const struct bench_counters *c = &r->engine->counters;
	const struct bench_options *o = r->options;

	fprintf(out,
		"requests  %" PRIu64 " sent, %" PRIu64 " answered, %" PRIu64 " sent again, %" PRIu64
		" rejected\n",
		c->sent,
		c->answered,
		c->retried,
		c->rejected);
	fprintf(out, "rate      %.0f a second over %.3f s", r->rate, r->seconds);
	if (o->rate != 0)
		fprintf(out,
			", asked for %" PRIu64 "%s; %" PRIu64 " sent late, the latest by %.1f us\n",
			o->rate,
			r->in_time ? "" : " (NOT REACHED)",
			c->behind_schedule,
			(double)c->worst_behind_ns / 1e3);
	else
		fprintf(out, ", %u outstanding\n", o->outstanding);
	print_latency("latency", r->engine->latency.all_intended, out);
	if (o->rate != 0)
		print_latency("  actual", r->engine->latency.all_actual, out);
	fprintf(out,
		"gap       longest time without an answer %.3f ms, primary changed %" PRIu64
		" times\n",
		(double)r->engine->longest_gap_ns / 1e6,
		c->target_changes);
	print_verdict(r, out);
	fprintf(out, "seed      %" PRIu64 "\n", o->seed);
	if (!r->answered_all)
		fprintf(out, "FAILED: %" PRIu64 " requests have no answer\n", c->sent - c->answered
		);
	if (!r->kept)
		fprintf(out, "FAILED: a promise was broken\n");
}

static void print_env(FILE *out)
{
	struct utsname host;
	char model[128] = "unknown", line[256];

	FILE *cpu = fopen("/proc/cpuinfo", "re");
	while (cpu != NULL && fgets(line, sizeof(line), cpu) != NULL)
		if (sscanf(line, "model name : %127[^\n\"\\]", model) == 1)
			break;
	if (cpu != NULL)
		fclose(cpu);
	memset(&host, 0, sizeof(host));
	uname(&host);
	fprintf(out,
		"{\n  \"version\": \"%s\",\n  \"kernel\": \"%s\",\n  \"machine\": \"%s\",\n"
		"  \"cpu\": \"%s\",\n  \"cpus\": %ld,\n  \"compiler\": \"%s\"\n}\n",
		SF_VERSION,
		host.release,
		host.machine,
		model,
		sysconf(_SC_NPROCESSORS_ONLN),
		__VERSION__);
}

static void print_trace(const struct bench_engine *e, FILE *out)
{
	uint64_t to_unix = e->start_unix_ns - e->start_ns;
	fprintf(out, "request_ts_ns,response_ts_ns\n");
	for (uint64_t i = 0; i < e->trace_count; i++)
		fprintf(out,
			"%" PRIu64 ",%" PRIu64 "\n",
			e->trace[i].intended_ns + to_unix,
			e->trace[i].answered_ns + to_unix);
}

enum text_file { SUMMARY, ENVIRONMENT, TRACE };

static int save_text(const struct bench_result *r, const char *path, enum text_file which)
{
	FILE *file = fopen(path, "we");
	if (file == NULL)
		return -errno;
	if (which == SUMMARY)
		bench_print_json(r, file);
	else if (which == ENVIRONMENT)
		print_env(file);
	else
		print_trace(r->engine, file);
	int failed = ferror(file);
	return fclose(file) != 0 || failed ? -EIO : 0;
}

int bench_save(const struct bench_result *r, char *error, size_t error_bytes)
{
	const struct bench_latency *l = &r->engine->latency;
	const char *mark = r->answered_all && r->in_time && r->kept ? "" : ".FAIL";
	char run[128], path[4096];
	int result = 0;

	if (mkdir(r->options->out, 0777) != 0 && errno != EEXIST) {
		snprintf(error, error_bytes, "%s", r->options->out);
		return -errno;
	}
	if (r->options->rate != 0)
		snprintf(run, sizeof(run), "bench_rate=%" PRIu64, r->options->rate);
	else
		snprintf(run, sizeof(run), "bench_outstanding=%u", r->options->outstanding);
	snprintf(
		run + strlen(run), sizeof(run) - strlen(run), "_burst=%u_len=8", r->options->batch
	);

#define SAVE(call, ...)                                           \
	do {                                                      \
		snprintf(path, sizeof(path), __VA_ARGS__);        \
		if (result == 0 && (result = (call)) != 0)        \
			snprintf(error, error_bytes, "%s", path); \
	} while (0)
	const char *dir = r->options->out;
	SAVE(sf_histogram_save_hgrm(l->all_intended, path), "%s/%s-intended.hgrm%s", dir, run, mark
	);
	SAVE(sf_histogram_save_hgrm(l->all_actual, path), "%s/%s-actual.hgrm%s", dir, run, mark);
	SAVE(bench_latency_save_log(l, path), "%s/%s.hlog%s", dir, run, mark);
	SAVE(save_text(r, path, SUMMARY), "%s/summary.json", dir);
	SAVE(save_text(r, path, ENVIRONMENT), "%s/env.json", dir);
	if (r->options->trace)
		SAVE(save_text(r, path, TRACE), "%s/trace.csv", dir);
#undef SAVE
	return result;
}
