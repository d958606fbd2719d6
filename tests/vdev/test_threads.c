/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Nodes on real threads, in every way of putting their agents on lcores, under load and with
 * readers at the shared memory. In a build with -Db_sanitize=thread this is the test of all
 * hand-overs: rings, arena, side arena, commit, status block, digest marks; its twin with
 * DP_CANARY_RELAXED, in which one release is missing, must be reported there (meson.build).
 */
#include "tests/vdev/pair.h"

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>

enum { OK, REJECTED, NOT_PRIMARY, BUSY, BAD_REQUEST, FORGOTTEN, UNAUTHORIZED, OVERLOADED };
enum { ADD = 1, SET, GET, CAS };

#define AGENTS 4 /* ingress, sequencer with journal, two workers */
#define CLIENTS 8
#define REQUESTS 150 /* of each client and layout */

static uint32_t lcore_of[AGENTS];
static bool one_each; /* that layout only */

static void place(struct cfg_settings *settings, int node)
{
	settings->workers = 2;
	settings->lcore_count = 0;
	memset(settings->lcores, 0, sizeof(settings->lcores));
	for (uint32_t agent = 0; agent < AGENTS; agent++) {
		struct cfg_lcore *lcore = &settings->lcores[lcore_of[agent]];
		if (settings->lcore_count <= lcore_of[agent])
			settings->lcore_count = lcore_of[agent] + 1;
		snprintf(lcore->cpus, sizeof(lcore->cpus), "any");
		if (agent == 0)
			lcore->ingress[0] = true;
		else if (agent == 1)
			lcore->sequencer = lcore->journal = true;
		else
			lcore->worker[agent - 2] = true;
	}
	/* So small that every place is used again and again. */
	settings->arena.slots = 128;
	settings->arena.side_slots = 64;
	settings->replication.window = 64;
	settings->idle = CFG_IDLE_YIELD;
}

/* Reads what a status command reads, all the time. */
struct reader {
	pthread_t thread;
	struct pair *pair;
	uint32_t stop;
	uint64_t digests, sum;
};

static void *read_on(void *context)
{
	struct reader *reader = context;
	while (!__atomic_load_n(&reader->stop, __ATOMIC_RELAXED)) {
		for (int node = 0; node < 2; node++) {
			const struct dp_shm *shm = reader->pair->sides[node].shm;
			uint64_t sequence, digest;
			const uint64_t *status = (const uint64_t *)&shm->status;
			for (size_t i = 0; i < sizeof(shm->status) / 8; i++)
				reader->sum += dp_shm_load(&status[i]);
			reader->digests += dp_shm_digest(shm, &sequence, &digest);
		}
		sched_yield();
	}
	return NULL;
}

struct load {
	struct pair *pair;
	struct pair_client clients[CLIENTS];
	bool done[CLIENTS][REQUESTS + 1];
	uint64_t asked_ns[CLIENTS];
	unsigned left;
};

/* Adds to a small number of assets; each eighth request is a read. */
static void
add_request(struct load *load, struct pair_datagram *datagram, unsigned i, uint64_t request_seq)
{
	const struct pair_client *client = &load->clients[i];
	bool read = request_seq % 8 == 0;
	uint8_t one[8] = {1};
	pair_add_update(
		datagram,
		client->id,
		request_seq,
		client->completed,
		(i + request_seq) % 13,
		read ? GET : ADD,
		read,
		one,
		read ? 0 : 8
	);
}

/* Whatever fits the window of each; the oldest again when it has waited, or by the way, so that
 * repeats come too. */
static void ask(struct load *load)
{
	uint64_t now_ns = pair_now_ns();
	for (unsigned i = 0; i < CLIENTS; i++) {
		struct pair_client *client = &load->clients[i];
		struct pair_datagram datagram = {0};
		while (client->seq < REQUESTS && client->seq < client->completed + 12 &&
		       datagram.bytes < 500)
			add_request(load, &datagram, i, ++client->seq);
		if (client->completed <= REQUESTS && client->completed <= client->seq &&
		    (now_ns - load->asked_ns[i] > 20000000 || datagram.bytes > 0)) {
			add_request(load, &datagram, i, client->completed);
			load->asked_ns[i] = now_ns;
		}
		if (datagram.bytes > 0)
			pair_send(load->pair, 0, client, &datagram);
	}
}

static void listen_to_answers(struct load *load)
{
	const struct pair_answer *answer;
	while ((answer = pair_next(load->pair)) != NULL) {
		unsigned i = answer->port - 20001u;
		/* Of one copy, or of a request that was answered meanwhile. */
		if (answer->status == BUSY || answer->status == FORGOTTEN)
			continue;
		assert_int_equal(answer->status, OK);
		load->left -= !load->done[i][answer->request_seq];
		load->done[i][answer->request_seq] = true;
		while (load->clients[i].completed <= REQUESTS &&
		       load->done[i][load->clients[i].completed])
			load->clients[i].completed++;
	}
}

static void run_layout(void)
{
	struct load load = {.left = CLIENTS * REQUESTS};
	struct pair *pair = pair_make_apart(&(struct pair_options){.adjust = place});
	struct reader reader = {.pair = pair};
	load.pair = pair;
	assert_int_equal(pthread_create(&reader.thread, NULL, read_on, &reader), 0);
	pair_launch(pair);
	PAIR_UNTIL(pair, pair_is_paired(pair));
	for (unsigned i = 0; i < CLIENTS; i++)
		load.clients[i] = pair_open_session(pair, (uint16_t)(1 + i));
	uint64_t until_ns = pair_now_ns() + 3 * PAIR_DEADLINE_NS;
	while (load.left > 0 && pair_now_ns() < until_ns) {
		ask(&load);
		pair_round(pair);
		listen_to_answers(&load);
	}
	pair_halt(pair);
	__atomic_store_n(&reader.stop, 1, __ATOMIC_RELAXED);
	pthread_join(reader.thread, NULL);
	assert_int_equal(load.left, 0);
	pair_check_equal(pair);
	uint64_t updates = CLIENTS * (REQUESTS - REQUESTS / 8);
	assert_int_equal(pair_counters(pair, 0)->updates, updates);
	assert_int_equal(pair_workers(pair, 1).applied, updates + CLIENTS);
	assert_true(reader.digests > 0);
	pair_end(pair);
}

/* Agents onto lcores: each agent on one that is in use, or on the next one. */
static unsigned run_layouts(uint32_t agent, uint32_t used)
{
	unsigned count = 0;
	if (agent == AGENTS) {
		run_layout();
		return 1;
	}
	for (lcore_of[agent] = 0; lcore_of[agent] <= used; lcore_of[agent]++)
		count += run_layouts(agent + 1, used + (lcore_of[agent] == used));
	return count;
}

static void agents_when_on_lcores_in_any_way_then_every_request_is_applied_once(void **state)
{
	if (!one_each) {
		assert_int_equal(run_layouts(0, 0), 15); /* the partitions of a set of four */
		return;
	}
	for (uint32_t agent = 0; agent < AGENTS; agent++)
		lcore_of[agent] = agent;
	run_layout();
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(agents_when_on_lcores_in_any_way_then_every_request_is_applied_once
		),
	};
	one_each = argc > 1;
	pair_start_eal(1 + 2 * AGENTS);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
