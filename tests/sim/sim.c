/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The simulator's command: runs seeds, each twice with the transcripts compared, in a few processes
 * at once; on failure says how to see it again, and shortens it when asked. See README.md.
 */
#include "tests/sim/sim.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

struct command {
	uint64_t seed, seeds;
	uint32_t jobs;
	bool shrink;
	const char *canary;
	struct sim_options options;
};

/* What a process tells its parent. */
struct outcome {
	uint64_t runs, steps, notes;
	uint64_t counts[SIM_COUNTS], slowest_percent, slowest_seed;
	bool failed;
	uint64_t seed;
	char failure[512];
};

static struct sim sim;

static bool run_seed(uint64_t seed, const struct sim_options *options, struct outcome *outcome)
{
	bool good = sim_run(&sim, seed, options);
	uint64_t hash = sim.transcript_hash;
	outcome->runs++;
	outcome->steps += sim.steps;
	outcome->notes += sim.note_count;
	if (good && !options->trace) {
		good = sim_run(&sim, seed, options);
		if (good && sim.transcript_hash != hash) {
			good = false;
			snprintf(
				sim.failure,
				sizeof(sim.failure),
				"the second run differs from the first"
			);
		}
	}
	if (!good) {
		outcome->failed = true;
		outcome->seed = seed;
		memcpy(outcome->failure, sim.failure, sizeof(outcome->failure));
	}
	return good;
}

static void run_share(const struct command *command, uint32_t job, struct outcome *outcome)
{
	for (uint64_t i = job; i < command->seeds; i += command->jobs)
		if (!run_seed(command->seed + i, &command->options, outcome))
			break;
	memcpy(outcome->counts, sim.counts, sizeof(outcome->counts));
	outcome->slowest_percent = sim.slowest_percent;
	outcome->slowest_seed = sim.slowest_seed;
}

static int start_job(const struct command *command, uint32_t job, pid_t *pid)
{
	int pipe_fds[2];
	if (pipe(pipe_fds) != 0)
		return -errno;
	fflush(stdout);
	*pid = fork();
	if (*pid == 0) {
		struct outcome outcome = {0};
		run_share(command, job, &outcome);
		ssize_t written = write(pipe_fds[1], &outcome, sizeof(outcome));
		exit(written == (ssize_t)sizeof(outcome) ? 0 : 1); /* not _exit: coverage */
	}
	close(pipe_fds[1]);
	if (*pid < 0) {
		close(pipe_fds[0]);
		return -EAGAIN;
	}
	return pipe_fds[0];
}

/* All seeds over all jobs; the outcome names the lowest seed that failed. */
static bool run_all(const struct command *command, struct outcome *total)
{
	int fds[16];
	pid_t pids[16];
	bool whole = true;
	for (uint32_t job = 0; job < command->jobs; job++)
		fds[job] = start_job(command, job, &pids[job]);
	for (uint32_t job = 0; job < command->jobs; job++) {
		struct outcome outcome = {0};
		ssize_t bytes = fds[job] < 0 ? -1 : read(fds[job], &outcome, sizeof(outcome));
		if (fds[job] >= 0) {
			close(fds[job]);
			waitpid(pids[job], NULL, 0);
		}
		if (bytes != (ssize_t)sizeof(outcome)) {
			fprintf(stderr, "sim: job %u ended without a result\n", job);
			whole = false;
			continue;
		}
		total->runs += outcome.runs;
		total->steps += outcome.steps;
		total->notes += outcome.notes;
		for (uint32_t i = 0; i < SIM_COUNTS; i++)
			total->counts[i] += outcome.counts[i];
		if (outcome.slowest_percent > total->slowest_percent) {
			total->slowest_percent = outcome.slowest_percent;
			total->slowest_seed = outcome.slowest_seed;
		}
		if (outcome.failed && (!total->failed || outcome.seed < total->seed)) {
			total->failed = true;
			total->seed = outcome.seed;
			memcpy(total->failure, outcome.failure, sizeof(total->failure));
		}
	}
	return whole && !total->failed;
}

/* --- Failures --- */

static void print_command(const struct command *command, uint64_t seed, const struct sim_options *o)
{
	printf("  build/tests/sim/sim --seed %lu --seeds 1 --trace", seed);
	if (command->canary != NULL)
		printf(" --canary %s", command->canary);
	for (uint32_t fault = 0; fault < SIM_FAULTS; fault++)
		if (o->without >> fault & 1)
			printf(" --without %s", sim_fault_name((enum sim_fault)fault));
	if (o->max_percent != 100)
		printf(" --percent %u", o->max_percent);
	if (o->max_clients < SIM_MAX_CLIENTS)
		printf(" --clients %u", o->max_clients);
	printf("\n");
}

static void print_tail(void)
{
	uint64_t from = sim.note_count > SIM_NOTES ? sim.note_count - SIM_NOTES : 0;
	for (uint64_t i = from; i < sim.note_count; i++)
		sim_print_note(&sim.notes[i % SIM_NOTES]);
}

static bool still_fails(uint64_t seed, const struct sim_options *options)
{
	return !sim_run(&sim, seed, options);
}

/* Takes away kinds of faults one by one, then clients, then length, while the run still fails. */
static struct sim_options shorten(const struct command *command, uint64_t seed)
{
	struct sim_options best = command->options;
	for (uint32_t fault = 0; fault < SIM_FAULTS; fault++) {
		struct sim_options attempt = best;
		attempt.without |= 1u << fault;
		if (still_fails(seed, &attempt))
			best = attempt;
	}
	for (uint32_t clients = 1; clients < best.max_clients; clients++) {
		struct sim_options attempt = best;
		attempt.max_clients = clients;
		if (still_fails(seed, &attempt)) {
			best = attempt;
			break;
		}
	}
	for (uint32_t percent = 5; percent < best.max_percent; percent += 5) {
		struct sim_options attempt = best;
		attempt.max_percent = percent;
		if (still_fails(seed, &attempt)) {
			best = attempt;
			break;
		}
	}
	return best;
}

static void report_failure(const struct command *command, const struct outcome *outcome)
{
	struct sim_options options = command->options;
	if (command->shrink) {
		options = shorten(command, outcome->seed);
		printf("shortened to:\n");
		print_command(command, outcome->seed, &options);
	}
	sim_run(&sim, outcome->seed, &options);
	printf("last lines of the transcript:\n");
	print_tail();
	printf("seed %lu failed: %s\n", outcome->seed, outcome->failure);
	print_command(command, outcome->seed, &options);
}

/* --- Command line --- */

static int usage(void)
{
	fprintf(stderr,
		"usage: sim [--seed N] [--seeds K] [--canary NAME] [--shrink] [--trace] [--jobs "
		"J]\n"
		"           [--without FAULT]… [--percent P] [--clients C] [--list]\n");
	return 2;
}

static bool parse_number(const char *text, uint64_t low, uint64_t high, uint64_t *value)
{
	char *end;
	errno = 0;
	*value = strtoull(text, &end, 0);
	return errno == 0 && end != text && *end == '\0' && text[0] != '-' && *value >= low &&
	       *value <= high;
}

static void list(void)
{
	sim_list_canaries();
	for (uint32_t fault = 0; fault < SIM_FAULTS; fault++)
		printf("fault %s\n", sim_fault_name((enum sim_fault)fault));
}

static bool parse_without(const char *name, struct sim_options *options)
{
	for (uint32_t fault = 0; fault < SIM_FAULTS; fault++)
		if (strcmp(sim_fault_name((enum sim_fault)fault), name) == 0) {
			options->without |= 1u << fault;
			return true;
		}
	return false;
}

/* 0: go on; else the exit code plus one. */
static int parse(int argc, char **argv, struct command *command)
{
	static const struct option long_options[] = {
		{"seed", required_argument, NULL, 's'},
		{"seeds", required_argument, NULL, 'n'},
		{"canary", required_argument, NULL, 'c'},
		{"shrink", no_argument, NULL, 'h'},
		{"trace", no_argument, NULL, 't'},
		{"jobs", required_argument, NULL, 'j'},
		{"without", required_argument, NULL, 'w'},
		{"percent", required_argument, NULL, 'p'},
		{"clients", required_argument, NULL, 'k'},
		{"list", no_argument, NULL, 'l'},
		{0},
	};
	int option;
	uint64_t number = 0;
	while ((option = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
		bool good = true;
		switch (option) {
		case 's':
			good = parse_number(optarg, 0, UINT64_MAX, &command->seed);
			break;
		case 'n':
			good = parse_number(optarg, 1, UINT64_MAX, &command->seeds);
			break;
		case 'j':
			good = parse_number(optarg, 1, 16, &number);
			command->jobs = (uint32_t)number;
			break;
		case 'p':
			good = parse_number(optarg, 1, 100, &number);
			command->options.max_percent = (uint32_t)number;
			break;
		case 'k':
			good = parse_number(optarg, 1, SIM_MAX_CLIENTS, &number);
			command->options.max_clients = (uint32_t)number;
			break;
		case 'w':
			good = parse_without(optarg, &command->options);
			break;
		case 'c':
			command->canary = optarg;
			break;
		case 'h':
			command->shrink = true;
			break;
		case 't':
			command->options.trace = true;
			break;
		case 'l':
			list();
			return 1;
		default:
			good = false;
		}
		if (!good)
			return usage() + 1;
	}
	return optind == argc ? 0 : usage() + 1;
}

static double now_s(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
	struct command command = {
		.seed = 1,
		.seeds = 100,
		.jobs = 2,
		.options = {.max_percent = 100, .max_clients = SIM_MAX_CLIENTS},
	};
	struct outcome total = {0};
	int code = parse(argc, argv, &command);
	if (code != 0)
		return code - 1;
	if (command.canary != NULL) {
		code = sim_choose_canary(command.canary, argv);
		if (code != 0)
			return code;
	}
	double start_s = now_s();
	bool good;
	if (command.options.trace || command.seeds == 1) {
		command.jobs = 1;
		run_share(&command, 0, &total);
		good = !total.failed;
	} else {
		good = run_all(&command, &total);
	}
	if (total.failed)
		report_failure(&command, &total);
	printf("exercised, both runs of each seed:");
	for (uint32_t i = 0; i < SIM_COUNTS; i++)
		printf(" %lu %s%s",
		       total.counts[i],
		       sim_count_name((enum sim_count)i),
		       i + 1 < SIM_COUNTS ? "," : "\n");
	printf("slowest recovery: %lu %% of its bound, seed %lu\n",
	       total.slowest_percent,
	       total.slowest_seed);
	printf("sim: %s%s%s: %lu seeds from %lu, %lu polls, %lu transcript lines, %.1f s: %s\n",
	       command.canary ? "canary " : "",
	       command.canary ? command.canary : "",
	       command.canary ? "" : "no canary",
	       total.runs,
	       command.seed,
	       total.steps,
	       total.notes,
	       now_s() - start_s,
	       good ? "OK" : "FAILED");
	return good ? 0 : 1;
}
