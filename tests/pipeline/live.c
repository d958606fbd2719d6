/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The live mode as a command: pairs up, runs, figures, everything down.
 */
#include "tests/pipeline/live.h"

#include "config/exit_codes.h"
#include "tests/pipeline/live/figures.h"
#include "tests/pipeline/live/run.h"
#include "tests/pipeline/report.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define UP_NS 90000000000ull
#define HOME_NS 60000000000ull
#define TIMEOUT_NS 400000000ull /* of a database's answer */
#define MARGIN 1024		/* assets beyond the rows */

static int
skip(const struct pl_live_options *options, const struct pl_scenario *scenario, const char *why)
{
	if (options->json) {
		printf("{\"scenario\":");
		pl_json_text(scenario->name, stdout);
		printf(",\"skipped\":");
		pl_json_text(why, stdout);
		printf("}\n");
		return SF_EXIT_SKIPPED;
	}
	printf("%s live: skipped: %s\n", scenario->name, why);
	return SF_EXIT_SKIPPED;
}

static void interrupted(int number)
{
	(void)number;
	pl_live_interrupted = 1;
}

static void catch_signals(void)
{
	struct sigaction action = {.sa_handler = interrupted};
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGHUP, &action, NULL);
	action.sa_handler = SIG_IGN;
	sigaction(SIGPIPE, &action, NULL);
}

/* The checkout: where the laboratory is. */
static const char *checkout(char *text)
{
	const char *given = getenv("STANDFAST_ROOT");
	char path[PATH_MAX];
	snprintf(path, sizeof(path), "%s", given ? given : PL_SOURCE_DIR "/../..");
	return realpath(path, text);
}

/* ---- pairs ---- */

static bool bring_up(struct pl_live_stage *stage, const char *root, char *error, size_t bytes)
{
	struct pl_live_plan *plan = &stage->plan;
	char folder[64], name[32], words[128] = "", text[PL_PAIRS_LINE];
	char *namespaces[PL_PAIRS_MAX] = {NULL};
	uint64_t rows = plan->topology.database_count;
	rows *= plan->topology.machines[plan->topology.source].params.ids + 1u;
	snprintf(folder, sizeof(folder), "/tmp/sf-live-%d", (int)getpid());
	snprintf(name, sizeof(name), "live%d", (int)getpid());
	int rc = pl_pairs_start(&stage->helper, root, folder, name);
	if (rc != 0) {
		snprintf(error, bytes, "python3: %s", strerror(-rc));
		return false;
	}
	for (uint32_t i = 0; i < plan->pair_count; i++) {
		size_t used = strlen(words);
		snprintf(words + used, sizeof(words) - used, " %s", plan->acks[i]);
	}
	if (!pl_pairs_do(
		    &stage->helper,
		    text,
		    sizeof(text),
		    UP_NS,
		    "up %llu%s",
		    (unsigned long long)rows + MARGIN,
		    words
	    )) {
		snprintf(error, bytes, "no pairs: %.400s", text);
		return false;
	}
	char *rest = NULL, *word = strtok_r(text, " ", &rest);
	for (uint32_t i = 0; i < plan->pair_count && word; i++) {
		namespaces[i] = word;
		word = strtok_r(NULL, " ", &rest);
	}
	struct pl_databases *databases = &stage->databases;
	databases->helper = &stage->helper;
	databases->pair_count = plan->pair_count;
	databases->timeout_ns = TIMEOUT_NS;
	databases->loses_a_region = plan->loses_a_region;
	for (uint32_t i = 0; i < plan->pair_count; i++) {
		databases->pairs[i].home = plan->homes[i];
		databases->pairs[i].synchronous = strcmp(plan->acks[i], "none") != 0;
		if (namespaces[i] == NULL) {
			snprintf(error, bytes, "too few pairs");
			return false;
		}
	}
	return pl_databases_connect(databases, namespaces, error, bytes) == 0;
}

/* What status says of the pairs, which is what the report tells. */
static bool look_at_pairs(struct pl_live_stage *stage, char *error, size_t bytes)
{
	char text[PL_PAIRS_LINE], node[16];
	for (uint32_t i = 0; i < stage->databases.pair_count; i++) {
		struct pl_live_pair *pair = &stage->databases.pairs[i];
		const char *wanted = pair->synchronous ? "paired" : "async";
		bool good =
			pl_pairs_do(&stage->helper, text, sizeof(text), HOME_NS, "status %u", i);
		if (!good || sscanf(text, "%15s %15s", node, pair->mode) != 2 ||
		    strcmp(pair->mode, wanted) != 0) {
			snprintf(error, bytes, "pair %u is not %s: %.200s", i, wanted, text);
			return false;
		}
	}
	return true;
}

static bool bring_home(
	struct pl_live_stage *stage,
	const struct pl_live_options *options,
	char *error,
	size_t bytes
)
{
	char text[PL_PAIRS_LINE];
	for (uint32_t i = 0; i < stage->databases.pair_count; i++) {
		bool good = pl_pairs_do(
			&stage->helper,
			text,
			sizeof(text),
			HOME_NS,
			"home %u %u",
			i,
			options->link_delay_us
		);
		if (!good) {
			snprintf(error, bytes, "pair %u does not come home: %.200s", i, text);
			return false;
		}
	}
	return true;
}

/* ---- pictures ---- */

static void
draw(struct pl_live_stage *stage, const struct pl_live_options *options, const char *root)
{
	char script[PATH_MAX + 64], folder[PATH_MAX], name[PL_NAME_BYTES];
	char python[] = "python3", no_cache[] = "-B";
	if (mkdir(options->folder, 0777) != 0 && errno != EEXIST)
		fprintf(stderr, "%s: %s\n", options->folder, strerror(errno));
	if (pl_live_write_series(
		    &stage->runtime,
		    &stage->plan.topology,
		    &stage->plan.scenario,
		    &stage->times,
		    options->folder
	    ) != 0) {
		fprintf(stderr, "%s: the series cannot be written\n", options->folder);
		return;
	}
	snprintf(script, sizeof(script), "%s/tests/pipeline/live/picture.py", root);
	snprintf(folder, sizeof(folder), "%s", options->folder);
	snprintf(name, sizeof(name), "%s", stage->plan.scenario.name);
	char *argv[] = {python, no_cache, script, folder, name, NULL};
	pid_t pid = fork();
	if (pid == 0) {
		execvp(argv[0], argv);
		_exit(127);
	}
	if (pid > 0)
		waitpid(pid, NULL, 0);
}

static void write_trace(struct pl_live_stage *stage, const char *path)
{
	FILE *to = strcmp(path, "-") == 0 ? stdout : fopen(path, "w");
	if (to == NULL) {
		fprintf(stderr, "%s: %s\n", path, strerror(errno));
		return;
	}
	pl_live_write_effects(&stage->runtime, &stage->plan.topology, to);
	if (to != stdout)
		fclose(to);
}

/* ---- all runs ---- */

static int
run_all(struct pl_live_stage *stage, const struct pl_live_options *options, const char *root)
{
	struct pl_live_judgement judgement;
	struct pl_live_figures figures = {0};
	char error[512];
	uint32_t runs = options->runs > 0 ? options->runs : 1;
	int exit_code = SF_EXIT_OK;
	for (uint32_t i = 0; i < runs && exit_code == SF_EXIT_OK && !pl_live_interrupted; i++) {
		uint64_t seed = options->seed + i;
		if (!bring_home(stage, options, error, sizeof(error)) ||
		    !look_at_pairs(stage, error, sizeof(error))) {
			fprintf(stderr, "%s live: %s\n", stage->plan.scenario.name, error);
			exit_code = SF_EXIT_FAILED;
			break;
		}
		stage->databases.defects = options->defects;
		pl_live_one(stage, options, seed, &judgement);
		pl_live_figures_add(&figures, stage, &judgement);
		bool last = i + 1 == runs || !judgement.good || pl_live_interrupted;
		pl_live_print(stage, options, seed, i, &judgement, stdout);
		if (!judgement.good)
			exit_code = judgement.broken == PL_BROKEN_LIVENESS ? SF_EXIT_FAILED
									   : SF_EXIT_DATA;
		if (last && options->folder)
			draw(stage, options, root);
		if (last && options->trace)
			write_trace(stage, options->trace);
		pl_runtime_free(&stage->runtime);
		fflush(stdout);
	}
	if (runs > 1)
		pl_live_print_figures(stage, options, &figures, stdout);
	pl_live_figures_free(&figures);
	return pl_live_interrupted ? SF_EXIT_FAILED : exit_code;
}

int pl_live_run(
	const struct pl_topology *topology,
	const struct pl_scenario *scenario,
	const struct pl_live_options *options
)
{
	static struct pl_live_stage stage;
	char error[512], root[PATH_MAX];
	int exit_code = SF_EXIT_FAILED;
	if (geteuid() != 0)
		return skip(options, scenario, "network namespaces need root");
	memset(&stage, 0, sizeof(stage));
	if (!pl_live_plan(&stage.plan, topology, scenario, options, error, sizeof(error)))
		return skip(options, scenario, error);
	if (checkout(root) == NULL)
		return skip(
			options,
			scenario,
			"there is no checkout here with the laboratory (STANDFAST_ROOT)"
		);
	catch_signals();
	if (!bring_up(&stage, root, error, sizeof(error))) {
		fprintf(stderr, "%s live: %s\n", scenario->name, error);
	} else if (pl_live_names_start(&stage.names, error, sizeof(error)) != 0) {
		fprintf(stderr, "%s live: %s\n", scenario->name, error);
		pl_live_names_stop(&stage.names);
	} else {
		exit_code = run_all(&stage, options, root);
		pl_live_names_stop(&stage.names);
	}
	pl_databases_close(&stage.databases);
	pl_pairs_end(&stage.helper);
	return exit_code;
}
