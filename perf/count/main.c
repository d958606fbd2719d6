/* SPDX-License-Identifier: BSD-3-Clause */
#include "config/exit_codes.h"
#include "dataplane/eal.h"
#include "perf/count/count.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define WARM_UP_ROUNDS 400 /* the tables have met every session slot and every asset is there */
#define START_ROUNDS 20000

static struct count_member members[COUNT_PARTS];

static unsigned turn_of(struct count_member *member)
{
	if (member->part == COUNT_CLIENT)
		return bench_engine_round(&member->engine);
	return dp_lcore_round(&member->node.lcores[0]);
}

/* Two functions that must stay two: the counter is switched by the name of the first. */
__attribute__((noinline)) unsigned count_turn(struct count_member *member)
{
	unsigned work = turn_of(member);
	__asm__ volatile("" ::: "memory");
	return work;
}

__attribute__((noinline)) unsigned count_idle_turn(struct count_member *member)
{
	return turn_of(member);
}

static bool session_is_open(const struct count_member *member)
{
	return member->engine.sessions[0].state == BENCH_SESSION_OPEN;
}

static void say_result(const struct count_member *client, uint64_t updates, uint64_t rounds)
{
	fprintf(stderr,
		"{\"updates\": %" PRIu64 ", \"rounds\": %" PRIu64 ", \"retried\": %" PRIu64 "}\n",
		updates,
		rounds,
		client->engine.counters.retried);
}

/* --- All in this process --- */

static bool ring_rounds(uint64_t rounds, enum count_part counted, bool count)
{
	for (uint64_t i = 0; i < rounds; i++) {
		uint64_t before = members[COUNT_CLIENT].engine.counters.acked;
		count_time_pass(COUNT_ROUND_NS);
		for (int part = 0; part < COUNT_PARTS; part++) {
			if (count && part == (int)counted)
				count_turn(&members[part]);
			else
				count_idle_turn(&members[part]);
		}
		/* A counted round that was not full would spoil the figure. */
		if (count && members[COUNT_CLIENT].engine.counters.acked - before != COUNT_BATCH)
			return false;
	}
	return true;
}

static enum sf_exit run_rings(const char *dir, enum count_part counted, uint64_t rounds)
{
	struct count_member *client = &members[COUNT_CLIENT];
	struct count_ports ports;
	char error[512] = "";
	int result = count_open_rings(&ports, dir, error, sizeof(error));
	for (int part = COUNT_PRIMARY; part <= COUNT_STANDBY && result == 0; part++)
		result = count_open_node(
			&members[part], (enum count_part)part, dir, &ports, error, sizeof(error)
		);
	if (result == 0)
		result = count_open_client(client, dir, &ports, error, sizeof(error));
	if (result != 0) {
		fprintf(stderr, "count: %s\n", error);
		return SF_EXIT_FAILED;
	}
	for (int i = 0; i < START_ROUNDS && !session_is_open(client); i++) {
		count_time_pass(COUNT_START_NS);
		for (int part = 0; part < COUNT_PARTS; part++)
			count_idle_turn(&members[part]);
	}
	if (!session_is_open(client)) {
		fprintf(stderr, "count: no session was opened\n");
		return SF_EXIT_FAILED;
	}
	bench_engine_begin(&client->engine, BENCH_RUNNING);
	ring_rounds(WARM_UP_ROUNDS, counted, false);
	uint64_t before = client->engine.counters.acked;
	if (!ring_rounds(rounds, counted, true)) {
		fprintf(stderr, "count: a round was not full\n");
		return SF_EXIT_FAILED;
	}
	say_result(client, client->engine.counters.acked - before, rounds);
	return SF_EXIT_OK;
}

/* --- One part, the turn comes and goes --- */

/* What the client tells with the turn. */
enum count_token { TOKEN_START = 's', TOKEN_RUN = 'r', TOKEN_COUNT = 'c', TOKEN_END = 'e' };

static bool pass_turn(char token)
{
	return write(STDOUT_FILENO, &token, 1) == 1;
}

static bool wait_turn(char *token)
{
	ssize_t got;
	do
		got = read(STDIN_FILENO, token, 1);
	while (got < 0 && errno == EINTR);
	return got == 1;
}

static enum sf_exit follow_turns(struct count_member *member, bool counted)
{
	char token;
	while (wait_turn(&token) && token != TOKEN_END) {
		count_time_pass(token == TOKEN_START ? COUNT_START_NS : COUNT_ROUND_NS);
		if (counted && token == TOKEN_COUNT)
			count_turn(member);
		else
			count_idle_turn(member);
		if (!pass_turn(token))
			return SF_EXIT_FAILED;
	}
	pass_turn(TOKEN_END);
	return SF_EXIT_OK;
}

/* One round of everybody, begun by the client. */
static bool lead_round(struct count_member *client, char token, bool counted)
{
	count_time_pass(token == TOKEN_START ? COUNT_START_NS : COUNT_ROUND_NS);
	if (counted && token == TOKEN_COUNT)
		count_turn(client);
	else
		count_idle_turn(client);
	return pass_turn(token) && wait_turn(&token);
}

static enum sf_exit lead_turns(struct count_member *client, bool counted, uint64_t rounds)
{
	bool going = true;
	for (int i = 0; going && i < START_ROUNDS && !session_is_open(client); i++) {
		usleep(1000); /* memif connects in real time */
		going = lead_round(client, TOKEN_START, counted);
	}
	if (!going || !session_is_open(client)) {
		fprintf(stderr, "count: no session was opened\n");
		return SF_EXIT_FAILED;
	}
	bench_engine_begin(&client->engine, BENCH_RUNNING);
	for (int i = 0; going && i < WARM_UP_ROUNDS; i++)
		going = lead_round(client, TOKEN_RUN, counted);
	uint64_t before = client->engine.counters.acked;
	for (uint64_t i = 0; going && i < rounds; i++)
		going = lead_round(client, TOKEN_COUNT, counted);
	uint64_t updates = client->engine.counters.acked - before;
	pass_turn(TOKEN_END);
	if (!going || updates != rounds * COUNT_BATCH) {
		fprintf(stderr,
			"count: %" PRIu64 " updates in %" PRIu64 " rounds\n",
			updates,
			rounds);
		return SF_EXIT_FAILED;
	}
	say_result(client, updates, rounds);
	return SF_EXIT_OK;
}

static enum sf_exit run_memif(const char *dir, enum count_part part, bool counted, uint64_t rounds)
{
	struct count_member *member = &members[part];
	char error[512] = "";
	int result = part == COUNT_CLIENT
			     ? count_open_client(member, dir, NULL, error, sizeof(error))
			     : count_open_node(member, part, dir, NULL, error, sizeof(error));
	if (result != 0) {
		fprintf(stderr, "count: %s\n", error);
		return SF_EXIT_FAILED;
	}
	return part == COUNT_CLIENT ? lead_turns(member, counted, rounds)
				    : follow_turns(member, counted);
}

/* --- Start --- */

static bool start_dpdk(void)
{
	char prefix[64], line[1024], error[512];
	bool hugepages;
	struct dp_eal_needs needs = {
		.program = "count",
		.prefix = prefix,
		.memory_bytes = 192ull << 20,
		.hugepages = CFG_OFF,
		.lcore_count = 1,
		.cpus = {"any"},
	};
	snprintf(prefix, sizeof(prefix), "standfast-count-%d", (int)getpid());
	if (dp_eal_start(&needs, line, sizeof(line), &hugepages, error, sizeof(error)) == 0)
		return true;
	fprintf(stderr, "count: %s\n", error);
	return false;
}

static bool find_part(const char *name, enum count_part *part)
{
	static const char *const names[COUNT_PARTS] = {"client", "primary", "standby"};
	for (int i = 0; i < COUNT_PARTS; i++) {
		*part = (enum count_part)i;
		if (strcmp(names[i], name) == 0)
			return true;
	}
	return false;
}

int main(int argc, char **argv)
{
	enum count_part part;
	uint64_t rounds = argc > 4 ? strtoull(argv[4], NULL, 10) : 0;
	bool memif = argc > 1 && strcmp(argv[1], "memif") == 0;
	if (argc < 5 || argc > 6 || (!memif && strcmp(argv[1], "ring") != 0) ||
	    !find_part(argv[2], &part) || rounds == 0) {
		fprintf(stderr,
			"usage: count ring PART DIR ROUNDS       PART: client, primary, standby\n"
			"       count memif PART DIR ROUNDS [counted]   DIR: for sockets and "
			"files\n");
		return SF_EXIT_USAGE;
	}
	if (!start_dpdk())
		return SF_EXIT_FAILED;
	count_time_start();
	return memif ? run_memif(argv[3], part, argc == 6, rounds)
		     : run_rings(argv[3], part, rounds);
}
