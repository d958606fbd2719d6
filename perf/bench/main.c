/* SPDX-License-Identifier: BSD-3-Clause
 *
 * standfast-bench: the load generator (help in options.c). */
#include "config/exit_codes.h"
#include "perf/bench/memif.h"
#include "perf/bench/report.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

static volatile sig_atomic_t stop;

static void on_signal(int number)
{
	stop = number;
}

/* Ends the load and still checks it; the second signal ends the process. */
static void catch_signals(void)
{
	struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESETHAND};
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
}

static bool pin_to_cpu(const char *text)
{
	char *end;
	cpu_set_t set;
	unsigned long cpu = strtoul(text, &end, 10);
	if (*text < '0' || *text > '9' || *end != '\0' || cpu >= CPU_SETSIZE)
		return false;
	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	return sched_setaffinity(0, sizeof(set), &set) == 0;
}

static int exit_code(const struct bench_result *r)
{
	if (!r->kept)
		return SF_EXIT_DATA;
	if (!r->answered_all || r->verdict.unchecked_assets != 0)
		return SF_EXIT_FAILED;
	return SF_EXIT_OK;
}

static int report(const struct bench_options *o, struct bench_engine *e, struct bench_transport *t)
{
	struct bench_verdict verdict = {0};
	struct bench_result result;
	char error[4200] = "";

	if (o->ledger)
		bench_ledger_check(&e->ledger, &verdict);
	bench_result_of(&result, o, e, t, &verdict);
	if (o->json)
		bench_print_json(&result, stdout);
	bench_print_text(&result, o->json ? stderr : stdout);
	int saved = o->out != NULL ? bench_save(&result, error, sizeof(error)) : 0;
	if (saved != 0) {
		fprintf(stderr, "standfast-bench: %s: %s\n", error, strerror(-saved));
		return exit_code(&result) != 0 ? exit_code(&result) : SF_EXIT_FAILED;
	}
	return exit_code(&result);
}

static int run(const struct bench_options *o, struct bench_transport *t)
{
	struct bench_engine engine;
	int result = bench_engine_open(&engine, o, t, &stop);
	if (result != 0) {
		fprintf(stderr, "standfast-bench: %s\n", strerror(-result));
		return SF_EXIT_FAILED;
	}
	result = bench_engine_run(&engine);
	if (result != 0)
		fprintf(stderr,
			"standfast-bench: no node of %s answers\n",
			o->udp != NULL ? o->udp : o->memif);
	int code = result == 0 ? report(o, &engine, t) : SF_EXIT_NOT_RUNNING;
	bench_engine_close(&engine);
	return code;
}

int main(int argc, char **argv)
{
	struct bench_options options;
	struct bench_transport *transport = NULL;
	char error[512] = "";

	if (!bench_options_parse(argc, argv, &options, error, sizeof(error))) {
		if (*error == '\0')
			return SF_EXIT_OK;
		fprintf(stderr, "standfast-bench: %s (--help lists the options)\n", error);
		return SF_EXIT_USAGE;
	}
	catch_signals();
	if (options.cpu != NULL && !pin_to_cpu(options.cpu)) {
		fprintf(stderr, "standfast-bench: cannot run on CPU %s\n", options.cpu);
		return SF_EXIT_USAGE;
	}
	int result =
		options.udp != NULL
			? bench_udp_open(
				  options.udp, options.resolver, &transport, error, sizeof(error)
			  )
			: bench_memif_open(&options, &transport, error, sizeof(error));
	if (result != 0) {
		fprintf(stderr, "standfast-bench: %s\n", *error ? error : strerror(-result));
		return SF_EXIT_FAILED;
	}
	int code = run(&options, transport);
	transport->close(transport);
	return code;
}
