/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The command: runs scenario files, compares their transcripts, or writes them anew.
 */
#include "tests/sim/scenario.h"

#include <errno.h>
#include <getopt.h>
#include <libgen.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_FILE_BYTES (512 * 1024)
#define HEADING "transcript:\n"

static struct sim sim;
static struct scenario scenario;
static char text[MAX_FILE_BYTES];

void scenario_write(struct scenario *s, const char *format, ...)
{
	va_list arguments;
	uint32_t room = SCENARIO_TRANSCRIPT_BYTES - s->transcript_bytes;
	va_start(arguments, format);
	int bytes = vsnprintf(s->transcript + s->transcript_bytes, room, format, arguments);
	va_end(arguments);
	if (bytes < 0 || (uint32_t)bytes >= room)
		sim_fail(&sim, "the transcript is too long");
	s->transcript_bytes += (uint32_t)bytes;
}

/* --- The file --- */

static bool read_file(const char *path)
{
	FILE *file = fopen(path, "r");
	if (file == NULL)
		return false;
	size_t bytes = fread(text, 1, sizeof(text) - 1, file);
	bool good = !ferror(file) && feof(file);
	fclose(file);
	text[bytes] = '\0';
	return good;
}

static bool write_file(const char *path)
{
	FILE *file = fopen(path, "w");
	if (file == NULL)
		return false;
	fprintf(file, "%s%s%s", text, HEADING, scenario.transcript);
	return fclose(file) == 0;
}

/* Cuts the text where the transcript begins; where it is, or an empty one. */
static const char *cut_transcript(void)
{
	char *heading =
		strncmp(text, HEADING, strlen(HEADING)) == 0 ? text : strstr(text, "\n" HEADING);
	if (heading == NULL)
		return "";
	if (heading != text)
		heading++;
	*heading = '\0';
	return heading + strlen(HEADING);
}

/* --- Comparison: times are for the reader only --- */

static const char *without_time(const char *line)
{
	const char *rest = line + strspn(line, " 0123456789.");
	return rest;
}

static const char *next_line(const char *line)
{
	const char *end = strchr(line, '\n');
	return end == NULL ? line + strlen(line) : end + 1;
}

static int line_bytes(const char *line)
{
	return (int)strcspn(line, "\n");
}

/* True when equal; else says where they part. */
static bool compare(const char *expected, const char *found)
{
	for (uint32_t number = 1; *expected != '\0' || *found != '\0'; number++) {
		const char *a = without_time(expected), *b = without_time(found);
		int bytes = line_bytes(a);
		if (bytes != line_bytes(b) || strncmp(a, b, (size_t)bytes) != 0) {
			snprintf(
				sim.failure,
				sizeof(sim.failure),
				"transcript, line %u: \"%.*s\" stands there, now it is \"%.*s\"",
				number,
				bytes,
				a,
				line_bytes(b),
				b
			);
			return false;
		}
		expected = next_line(expected);
		found = next_line(found);
	}
	return true;
}

/* --- Runs --- */

/* seed 0: the scenario's own, and the transcript counts; any other draws other times. */
static bool run_file(const char *path, bool update, uint64_t seed)
{
	memset(&scenario, 0, sizeof(scenario));
	scenario.path = path;
	scenario.script = text;
	if (!read_file(path)) {
		snprintf(sim.failure, sizeof(sim.failure), "cannot read it: %s", strerror(errno));
		return false;
	}
	const char *expected = cut_transcript();
	if (!scenario_plan(&scenario)) {
		snprintf(
			sim.failure,
			sizeof(sim.failure),
			"line %u: no such setting or value",
			scenario.line
		);
		return false;
	}
	if (seed != 0)
		scenario.seed = seed;
	if (!sim_play(&sim, scenario.seed, &scenario.plan, scenario_run, &scenario))
		return false;
	if (seed != 0)
		return true;
	if (!update)
		return compare(expected, scenario.transcript);
	if (write_file(path))
		return true;
	snprintf(sim.failure, sizeof(sim.failure), "cannot write it: %s", strerror(errno));
	return false;
}

/* With many seeds: the first that fails ends it. */
static bool run_seeds(const char *path, uint64_t seeds)
{
	for (uint64_t seed = 1; seed <= seeds; seed++) {
		if (run_file(path, false, seed))
			continue;
		char message[sizeof(sim.failure)];
		memcpy(message, sim.failure, sizeof(message));
		int bytes = snprintf(sim.failure, sizeof(sim.failure), "seed %lu: ", seed);
		snprintf(
			sim.failure + bytes,
			sizeof(sim.failure) - (size_t)bytes,
			"%.*s",
			(int)(sizeof(sim.failure) - (size_t)bytes - 1),
			message
		);
		return false;
	}
	return true;
}

static void report(const char *path, bool good, bool verbose)
{
	char copy[4096];
	snprintf(copy, sizeof(copy), "%s", path);
	char *name = basename(copy);
	char *ending = strstr(name, ".scenario");
	if (ending != NULL)
		*ending = '\0';
	printf("%s: %s%s\n", name, good ? "OK" : "FAILED: ", good ? "" : sim.failure);
	if (!good && verbose)
		printf("%s", scenario.transcript);
}

static int usage(void)
{
	fprintf(stderr,
		"usage: scenario [--update] [--seeds K] [--quiet] [--trace] [--canary NAME] FILE…\n"
		"       scenario --list\n");
	return 2;
}

int main(int argc, char **argv)
{
	static const struct option long_options[] = {
		{"update", no_argument, NULL, 'u'},
		{"quiet", no_argument, NULL, 'q'},
		{"trace", no_argument, NULL, 't'},
		{"canary", required_argument, NULL, 'c'},
		{"list", no_argument, NULL, 'l'},
		{"seeds", required_argument, NULL, 's'},
		{0},
	};
	bool update = false, quiet = false;
	uint64_t seeds = 0;
	const char *canary = NULL;
	int option, failed = 0;
	while ((option = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
		switch (option) {
		case 'u':
			update = true;
			break;
		case 'q':
			quiet = true;
			break;
		case 't':
			sim.options.trace = true;
			break;
		case 'c':
			canary = optarg;
			break;
		case 'l':
			sim_list_canaries();
			return 0;
		case 's':
			if (!scenario_number(optarg, &seeds) || seeds == 0)
				return usage();
			break;
		default:
			return usage();
		}
	}
	if (optind == argc || (update && (canary != NULL || seeds > 0)))
		return usage();
	if (canary != NULL) {
		int code = sim_choose_canary(canary, argv);
		if (code != 0)
			return code;
	}
	for (int i = optind; i < argc; i++) {
		bool good = seeds > 0 ? run_seeds(argv[i], seeds) : run_file(argv[i], update, 0);
		report(argv[i], good, !quiet);
		failed += !good;
	}
	printf("%d scenarios, %d failed\n", argc - optind, failed);
	return failed == 0 ? 0 : 1;
}
