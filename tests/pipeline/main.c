/* SPDX-License-Identifier: BSD-3-Clause
 *
 * standfast-pipeline: lists the scenarios and runs them, explored or live.
 */
#include "config/exit_codes.h"
#include "tests/pipeline/files.h"
#include "tests/pipeline/live.h"
#include "tests/pipeline/report.h"

#include <errno.h>
#include <getopt.h>
#include <unistd.h>

#define AS_MODELLED                                                               \
	(1ull << PL_DEFECT_REMOVE_BY_POSITION | 1ull << PL_DEFECT_EDGE_RECOVERY | \
	 1ull << PL_DEFECT_NO_REQUEST_IDS | 1ull << PL_DEFECT_DOUBLE_POLL |       \
	 1ull << PL_DEFECT_NO_UNIQUE_KEY | 1ull << PL_DEFECT_MODELLED_MONITORS)

#define SHRINK_RUNS 3000

struct command {
	const char *dir, *trace;
	FILE *trace_to;			       /* explored: opened before the first scenario */
	const char *only_live, *only_explored; /* the last option given that is of one way only */
	char again[1024]; /* options that change what is found, as they were given */
	struct pl_live_options on_threads; /* what only --live knows */
	bool json, live, coverage, own_monitors, strategy_given;
	struct pl_explore_options explore;
};

struct totals {
	uint32_t passed, failed;
	int worst;
	struct pl_covered covered;
};

static const char usage_text[] =
	"usage: standfast-pipeline list [--dir DIR]\n"
	"       standfast-pipeline run SCENARIO… | all [options]\n"
	"\n"
	"  --schedules K         schedules of each strategy (1000)\n"
	"  --seed N              the first one's (1)\n"
	"  --strategy S          random, pct or exhaustive; both random and pct when not given\n"
	"  --change-points N     of pct: d - 1 (3)\n"
	"  --as-modelled         switches on what the models had wrong, and their monitors\n"
	"  --own-monitors        with --as-modelled: but judged by our monitors\n"
	"  --defect NAME         switches one deliberate fault on; `list` has the names\n"
	"  --trace FILE          writes the broken schedule as messages (\"-\": here)\n"
	"  --coverage            lists what no scenario reached\n"
	"  --states N            exhaustive: gives up behind so many (20000000)\n"
	"  --early-timers N      exhaustive: on a path (0)\n"
	"  --json                one object in a line for each exploration\n"
	"  --live                on threads, with real DNS and real databases; with it:\n"
	"    --batch N           records in a batch\n"
	"    --runs N            on the same pairs, each with the next seed\n"
	"    --out DIR           series.csv, steps.csv and the picture of the last run\n"
	"    --ack A             of the pairs: none, received or durable, instead of the "
	"databases'\n"
	"    --link-delay US     between the regions' nodes, each way, in microseconds\n"
	"    --speed NAME=US     a component is busy so long with each message\n"
	"    --threads each      one for each machine, not for each queue and its container\n"
	"    --patience S        seconds after which a run counts as stuck\n"
	"  --dir DIR             the folder with architectures/ and scenarios/\n"
	"\n"
	"exit: 0 as it should be, 1 an expected counter-example was not found, or the search for\n"
	"      all schedules was given up, 2 usage, 4 something is broken that should not\n"
	"      be, 77 nothing of it can be run here, 78 a bad file\n";

static int usage(const char *why)
{
	if (why)
		fprintf(stderr, "standfast-pipeline: %s\n", why);
	fputs(usage_text, stderr);
	return SF_EXIT_USAGE;
}

static void list_one(
	const struct command *command,
	const struct pl_scenario *scenario,
	const struct pl_topology *topology
)
{
	if (!command->json) {
		printf("%-34s %s\n", scenario->name, scenario->about);
		return;
	}
	printf("{\"scenario\":");
	pl_json_text(scenario->name, stdout);
	printf(",\"about\":");
	pl_json_text(scenario->about, stdout);
	printf(",\"architecture\":");
	pl_json_text(topology->name, stdout);
	printf(",\"records\":%u,\"expected\":\"%s\"}\n",
	       scenario->promise.records,
	       pl_broken_name(scenario->broken));
}

static int list(const struct command *command)
{
	struct pl_names names;
	char error[512];
	int exit_code = SF_EXIT_OK;
	if (!pl_files_scenarios(command->dir, &names, error, sizeof(error))) {
		fprintf(stderr, "standfast-pipeline: %s\n", error);
		return SF_EXIT_CONFIG;
	}
	for (uint32_t i = 0; i < names.count; i++) {
		static struct pl_scenario scenario;
		static struct pl_topology topology;
		if (pl_scenario_read(
			    &scenario, &topology, command->dir, names.items[i], error, sizeof(error)
		    ) == 0) {
			list_one(command, &scenario, &topology);
		} else {
			fprintf(stderr, "%s\n", error);
			exit_code = SF_EXIT_CONFIG;
		}
	}
	if (command->json)
		return exit_code;
	printf("\ndefects for --defect:\n");
	for (uint32_t i = 0; i < PL_DEFECT_COUNT; i++)
		printf("%-34s %s\n", pl_defect_name(i), pl_defect_text(i));
	return exit_code;
}

static void
write_trace(const struct command *command, struct pl_explorer *explorer, struct pl_report *report)
{
	const struct pl_found *found = report->found;
	if (command->trace_to) {
		fprintf(command->trace_to,
			"%s, %s, seed %llu%s\n",
			report->scenario->name,
			pl_strategy_names[report->options->strategy],
			(unsigned long long)found->seed,
			report->again);
		report->trace_lines = pl_trace(explorer, found, UINT32_MAX, command->trace_to);
		fflush(command->trace_to);
		return;
	}
	/* Its own counter-examples are no news. */
	if (!command->json && !pl_as_expected(report->scenario, found))
		pl_trace(explorer, found, 30, stdout);
}

static int
explore(const struct command *command,
	const struct pl_scenario *scenario,
	const struct pl_topology *topology,
	enum pl_strategy_kind strategy,
	struct totals *totals)
{
	struct pl_explorer explorer;
	struct pl_found found = {0};
	struct pl_explore_options options = command->explore;
	options.strategy = strategy;
	struct pl_report report = {scenario, topology, &options, &found, command->again, 0};
	int exit_code = SF_EXIT_FAILED;
	if (!pl_explorer_init(&explorer, topology, scenario, options.defects)) {
		fprintf(stderr, "standfast-pipeline: no memory\n");
		goto out;
	}
	pl_explore(&explorer, &options, &found);
	/* What a deliberate fault reaches is not what the machines can do. */
	if (explorer.system.defects == 0)
		pl_covered_add(&totals->covered, &explorer.system);
	if (strategy != PL_STRATEGY_EXHAUSTIVE)
		pl_shrink(&explorer, &found, SHRINK_RUNS);
	if (command->json)
		pl_report_json(&report, stdout);
	else
		pl_report_text(&report, stdout);
	if (found.broken != PL_BROKEN_NOTHING && strategy != PL_STRATEGY_EXHAUSTIVE)
		write_trace(command, &explorer, &report);
	bool given_up = strategy == PL_STRATEGY_EXHAUSTIVE && !found.complete &&
			found.broken == PL_BROKEN_NOTHING;
	if (pl_as_expected(scenario, &found) && !given_up)
		exit_code = SF_EXIT_OK;
	else
		exit_code = found.broken == PL_BROKEN_NOTHING ? SF_EXIT_FAILED : SF_EXIT_DATA;
out:
	free(found.choices);
	pl_explorer_free(&explorer);
	fflush(stdout);
	return exit_code;
}

static int
live(const struct command *command,
     const struct pl_scenario *scenario,
     const struct pl_topology *topology)
{
	struct pl_live_options options = command->on_threads;
	options.seed = command->explore.seed;
	options.defects = command->explore.defects | scenario->defects;
	options.json = command->json;
	options.trace = command->trace;
	return pl_live_run(topology, scenario, &options);
}

/* Which exit code says more of two. */
static uint32_t weight(int exit_code)
{
	static const int by_weight[] = {
		SF_EXIT_OK,
		SF_EXIT_SKIPPED,
		SF_EXIT_FAILED,
		SF_EXIT_CONFIG,
		SF_EXIT_DATA,
	};
	uint32_t i = 0, count = sizeof(by_weight) / sizeof(by_weight[0]);
	while (i < count && by_weight[i] != exit_code)
		i++;
	return i; /* what is not known weighs most */
}

static void count(struct totals *totals, int exit_code)
{
	if (exit_code == SF_EXIT_OK)
		totals->passed++;
	else if (exit_code != SF_EXIT_SKIPPED)
		totals->failed++;
	if (weight(exit_code) > weight(totals->worst))
		totals->worst = exit_code;
}

static void say_nearest(const struct command *command, const char *name)
{
	char path[512], hint[64];
	snprintf(path, sizeof(path), "%s/scenarios/%s.conf", command->dir, name);
	if (access(path, F_OK) != 0 && pl_files_nearest(command->dir, name, hint, sizeof(hint)))
		fprintf(stderr, "did you mean %s?\n", hint);
}

static void run(const struct command *command, const char *name, struct totals *totals)
{
	static struct pl_scenario scenario;
	static struct pl_topology topology;
	char error[512];
	if (pl_scenario_read(&scenario, &topology, command->dir, name, error, sizeof(error)) != 0) {
		fprintf(stderr, "%s\n", error);
		say_nearest(command, name);
		count(totals, SF_EXIT_CONFIG);
		return;
	}
	if (command->live) {
		count(totals, live(command, &scenario, &topology));
		return;
	}
	if (command->strategy_given) {
		enum pl_strategy_kind strategy = command->explore.strategy;
		count(totals, explore(command, &scenario, &topology, strategy, totals));
		return;
	}
	int random = explore(command, &scenario, &topology, PL_STRATEGY_RANDOM, totals);
	int pct = explore(command, &scenario, &topology, PL_STRATEGY_PCT, totals);
	/* A counter-example has to be found by one of them. */
	if (random == SF_EXIT_FAILED && pct == SF_EXIT_OK)
		random = SF_EXIT_OK;
	if (pct == SF_EXIT_FAILED && random == SF_EXIT_OK)
		pct = SF_EXIT_OK;
	count(totals, random);
	count(totals, pct);
}

static bool take_number(const char *text, uint64_t *number)
{
	char *end;
	errno = 0;
	if (*text < '0' || *text > '9')
		return false;
	*number = strtoull(text, &end, 10);
	return errno == 0 && *end == 0;
}

/* False: that is more than anybody needs. */
static bool keep_again(struct command *command, const char *option, const char *text)
{
	size_t used = strlen(command->again), room = sizeof(command->again) - used;
	int bytes = snprintf(command->again + used, room, " %s%s", option, text);
	return bytes > 0 && (size_t)bytes < room;
}

static bool take_defect(struct command *command, const char *name)
{
	for (uint32_t i = 0; i < PL_DEFECT_COUNT; i++)
		if (strcmp(pl_defect_name(i), name) == 0) {
			command->explore.defects |= 1ull << i;
			return keep_again(command, "--defect ", name);
		}
	return false;
}

static bool take_strategy(struct command *command, const char *name)
{
	command->strategy_given = true;
	for (uint32_t i = 0; pl_strategy_names[i]; i++)
		if (strcmp(pl_strategy_names[i], name) == 0) {
			command->explore.strategy = (enum pl_strategy_kind)i;
			return true;
		}
	return false;
}

enum choice {
	OPTION_SEED = 256,
	OPTION_SCHEDULES,
	OPTION_STRATEGY,
	OPTION_CHANGE_POINTS,
	OPTION_AS_MODELLED,
	OPTION_DEFECT,
	OPTION_OWN_MONITORS,
	OPTION_TRACE,
	OPTION_COVERAGE,
	OPTION_STATES,
	OPTION_EARLY,
	OPTION_JSON,
	OPTION_LIVE,
	OPTION_BATCH,
	OPTION_RUNS,
	OPTION_OUT,
	OPTION_ACK,
	OPTION_LINK_DELAY,
	OPTION_SPEED,
	OPTION_THREADS,
	OPTION_PATIENCE,
	OPTION_DIR,
	OPTION_HELP,
};
static const struct option options[] = {
	{"seed", required_argument, NULL, OPTION_SEED},
	{"schedules", required_argument, NULL, OPTION_SCHEDULES},
	{"strategy", required_argument, NULL, OPTION_STRATEGY},
	{"change-points", required_argument, NULL, OPTION_CHANGE_POINTS},
	{"as-modelled", no_argument, NULL, OPTION_AS_MODELLED},
	{"own-monitors", no_argument, NULL, OPTION_OWN_MONITORS},
	{"defect", required_argument, NULL, OPTION_DEFECT},
	{"trace", required_argument, NULL, OPTION_TRACE},
	{"coverage", no_argument, NULL, OPTION_COVERAGE},
	{"states", required_argument, NULL, OPTION_STATES},
	{"early-timers", required_argument, NULL, OPTION_EARLY},
	{"json", no_argument, NULL, OPTION_JSON},
	{"live", no_argument, NULL, OPTION_LIVE},
	{"batch", required_argument, NULL, OPTION_BATCH},
	{"runs", required_argument, NULL, OPTION_RUNS},
	{"out", required_argument, NULL, OPTION_OUT},
	{"ack", required_argument, NULL, OPTION_ACK},
	{"link-delay", required_argument, NULL, OPTION_LINK_DELAY},
	{"speed", required_argument, NULL, OPTION_SPEED},
	{"threads", required_argument, NULL, OPTION_THREADS},
	{"patience", required_argument, NULL, OPTION_PATIENCE},
	{"dir", required_argument, NULL, OPTION_DIR},
	{"help", no_argument, NULL, OPTION_HELP},
	{0},
};

/* Options of the live mode. */
static bool take_live(struct pl_live_options *live, int option, const char *text)
{
	uint64_t number = 0;
	bool good = take_number(text, &number);
	switch (option) {
	case OPTION_BATCH:
		live->batch = (uint32_t)number;
		return good && number > 0 && number <= PL_IDS_MAX;
	case OPTION_RUNS:
		live->runs = (uint32_t)number;
		return good && number > 0 && number <= 100000;
	case OPTION_OUT:
		live->folder = text;
		return true;
	case OPTION_ACK:
		live->ack = text;
		return strcmp(text, "none") == 0 || strcmp(text, "received") == 0 ||
		       strcmp(text, "durable") == 0;
	case OPTION_LINK_DELAY:
		live->link_delay_us = (uint32_t)number;
		return good && number <= 1000000;
	case OPTION_SPEED:
		if (live->speed_count == PL_LIVE_SPEEDS_MAX)
			return false;
		live->speeds[live->speed_count++] = text;
		return true;
	case OPTION_THREADS:
		live->thread_each = strcmp(text, "each") == 0;
		return live->thread_each || strcmp(text, "stage") == 0;
	case OPTION_PATIENCE:
		live->patience_ns = number * 1000000000u;
		return good && number > 0 && number <= 86400;
	default:
		return false;
	}
}

static bool take(struct command *command, int option, const char *text)
{
	uint64_t number = 0;
	bool good = true;
	switch (option) {
	case OPTION_SEED:
		return take_number(text, &command->explore.seed);
	case OPTION_SCHEDULES:
		return take_number(text, &command->explore.schedules) &&
		       command->explore.schedules > 0;
	case OPTION_STRATEGY:
		return take_strategy(command, text);
	case OPTION_CHANGE_POINTS:
		good = take_number(text, &number) && number <= PL_CHANGE_POINTS_MAX;
		command->explore.change_points = (uint32_t)number;
		return good;
	case OPTION_AS_MODELLED:
		command->explore.defects |= AS_MODELLED;
		return keep_again(command, "--as-modelled", "");
	case OPTION_OWN_MONITORS:
		command->own_monitors = true;
		return keep_again(command, "--own-monitors", "");
	case OPTION_DEFECT:
		return take_defect(command, text);
	case OPTION_TRACE:
		command->trace = text;
		return true;
	case OPTION_COVERAGE:
		return command->coverage = true;
	case OPTION_STATES:
		return take_number(text, &command->explore.states_most);
	case OPTION_EARLY:
		good = take_number(text, &number) && number < 64;
		command->explore.early_timers = (uint32_t)number;
		return good;
	case OPTION_JSON:
		return command->json = true;
	case OPTION_LIVE:
		return command->live = true;
	case OPTION_DIR:
		command->dir = text;
		return keep_again(command, "--dir ", text);
	default:
		return take_live(&command->on_threads, option, text);
	}
}

static int run_all(const struct command *command, char **names, int count_of_names)
{
	struct totals totals = {0};
	struct pl_names all = {0};
	char error[512];
	for (int i = 0; i < count_of_names; i++) {
		if (strcmp(names[i], "all") != 0) {
			run(command, names[i], &totals);
		} else if (pl_files_scenarios(command->dir, &all, error, sizeof(error))) {
			for (uint32_t j = 0; j < all.count; j++)
				run(command, all.items[j], &totals);
		} else {
			fprintf(stderr, "standfast-pipeline: %s\n", error);
			count(&totals, SF_EXIT_CONFIG);
		}
	}
	if (!command->json && totals.passed + totals.failed > 0) {
		if (!command->live)
			pl_covered_print(&totals.covered, command->coverage, stdout);
		printf("%u explorations as they should be, %u not\n", totals.passed, totals.failed);
	}
	/* Where some could be run, those that could not are no more than that. */
	if (totals.worst == SF_EXIT_SKIPPED && totals.passed > 0)
		return SF_EXIT_OK;
	return totals.worst;
}

static bool is_only_explored(int option)
{
	return option == OPTION_SCHEDULES || option == OPTION_STRATEGY ||
	       option == OPTION_CHANGE_POINTS || option == OPTION_COVERAGE ||
	       option == OPTION_STATES || option == OPTION_EARLY;
}

static bool is_only_live(int option)
{
	return option >= OPTION_BATCH && option <= OPTION_PATIENCE;
}

/* Options that say nothing together; NULL: all is well. */
static const char *against_each_other(const struct command *command)
{
	static char text[128];
	bool here = command->trace && strcmp(command->trace, "-") == 0;
	const char *alone = command->live ? command->only_explored : command->only_live;
	if (alone) {
		snprintf(
			text,
			sizeof(text),
			"--%s says nothing %s --live",
			alone,
			command->live ? "with" : "without"
		);
		return text;
	}
	if (here && command->json)
		return "--trace - would stand between the objects of --json: name a file";
	if (command->trace && command->strategy_given &&
	    command->explore.strategy == PL_STRATEGY_EXHAUSTIVE)
		return "--trace: the search for all schedules has none; look with random or pct";
	if (command->own_monitors && !pl_has(command->explore.defects, PL_DEFECT_MODELLED_MONITORS))
		return "--own-monitors says nothing without --as-modelled";
	return NULL;
}

/* The file is there before long runs begin, not behind them. */
static bool open_trace(struct command *command)
{
	if (!command->trace || command->live)
		return true;
	bool here = strcmp(command->trace, "-") == 0;
	command->trace_to = here ? stdout : fopen(command->trace, "w");
	if (!command->trace_to)
		fprintf(stderr, "standfast-pipeline: %s: %s\n", command->trace, strerror(errno));
	return command->trace_to != NULL;
}

int main(int argc, char **argv)
{
	struct command command = {
		.explore =
			{
				.seed = 1,
				.schedules = 1000,
				.change_points = 3,
				.states_most = 20000000,
			},
	};
	int option, index = 0;
	while ((option = getopt_long(argc, argv, "", options, &index)) != -1) {
		if (option == OPTION_HELP) {
			fputs(usage_text, stdout);
			return SF_EXIT_OK;
		}
		if (option == '?')
			return usage(NULL);
		if (!take(&command, option, optarg)) {
			fprintf(stderr,
				"standfast-pipeline: --%s: %s is nothing to choose here\n",
				options[index].name,
				optarg ? optarg : "this");
			return usage(NULL);
		}
		if (is_only_live(option))
			command.only_live = options[index].name;
		if (is_only_explored(option))
			command.only_explored = options[index].name;
	}
	const char *why = against_each_other(&command);
	if (why)
		return usage(why);
	if (command.own_monitors)
		command.explore.defects &= ~(1ull << PL_DEFECT_MODELLED_MONITORS);
	char dir[512];
	if (!command.dir)
		command.dir = pl_files_dir(dir, sizeof(dir));
	argc -= optind;
	argv += optind;
	if (argc == 1 && strcmp(argv[0], "list") == 0)
		return list(&command);
	if (argc < 2 || strcmp(argv[0], "run") != 0)
		return usage(argc == 0 ? "say what to do" : NULL);
	if (!open_trace(&command))
		return SF_EXIT_FAILED;
	int exit_code = run_all(&command, argv + 1, argc - 1);
	if (command.trace_to && command.trace_to != stdout && fclose(command.trace_to) != 0) {
		fprintf(stderr, "standfast-pipeline: %s: %s\n", command.trace, strerror(errno));
		return SF_EXIT_FAILED;
	}
	return exit_code;
}
