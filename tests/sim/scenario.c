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

/* --- Comparison: of what each node did, what was done, and how the record went, each in its order.
 * What the nodes did at the same time may come either way, and times and what stands in brackets
 * are for the reader only. --- */

static const char *next_line(const char *line)
{
	const char *end = strchr(line, '\n');
	return end == NULL ? line + strlen(line) : end + 1;
}

/* The next line about this subject, without its time; NULL: there is none. */
static const char *find_line(const char **rest, const char *subject, int *bytes)
{
	while (**rest != '\0') {
		const char *line = *rest + strspn(*rest, " 0123456789.");
		*rest = next_line(*rest);
		if (strncmp(line, subject, strlen(subject)) != 0)
			continue;
		*bytes = (int)strcspn(line, "(\n");
		return line;
	}
	*bytes = 0;
	return NULL;
}

static bool compare_subject(const char *expected, const char *found, const char *subject)
{
	for (;;) {
		int bytes, found_bytes;
		const char *a = find_line(&expected, subject, &bytes);
		const char *b = find_line(&found, subject, &found_bytes);
		if (a == NULL && b == NULL)
			return true;
		if (a != NULL && b != NULL && bytes == found_bytes &&
		    strncmp(a, b, (size_t)bytes) == 0)
			continue;
		snprintf(
			sim.failure,
			sizeof(sim.failure),
			"the transcript has \"%.*s\", now it is \"%.*s\"",
			bytes,
			a == NULL ? "" : a,
			found_bytes,
			b == NULL ? "" : b
		);
		return false;
	}
}

static bool compare(const char *expected, const char *found)
{
	return compare_subject(expected, found, "> ") && compare_subject(expected, found, "a ") &&
	       compare_subject(expected, found, "b ") && compare_subject(expected, found, "record");
}

/* A line is written when it is known to last: into the order of their times, then. */
static void sort_lines(char *lines)
{
	static struct {
		double time_s;
		const char *text;
	} order[SCENARIO_TRANSCRIPT_BYTES / 16];
	static char copy[SCENARIO_TRANSCRIPT_BYTES];
	uint32_t count = 0;
	snprintf(copy, sizeof(copy), "%s", lines);
	for (const char *line = copy; *line != '\0'; line = next_line(line)) {
		double time_s = strtod(line, NULL);
		uint32_t place = count++;
		for (; place > 0 && order[place - 1].time_s > time_s; place--)
			order[place] = order[place - 1];
		order[place].time_s = time_s;
		order[place].text = line;
	}
	for (uint32_t i = 0; i < count; i++) {
		size_t bytes = (size_t)(next_line(order[i].text) - order[i].text);
		memcpy(lines, order[i].text, bytes);
		lines += bytes;
	}
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
	sort_lines(scenario.transcript);
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
