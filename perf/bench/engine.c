/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The engine's phases, one after the other. */
#include "perf/bench/engine.h"

#include "config/check.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#define MAX_SESSIONS 4096u
#define LEDGER_READS 64u /* reads of the ledger under way */
#define LEDGER_PASSES 3u /* over the assets, when a session was lost meanwhile */
#define OPEN_LOOP_WINDOW_NS \
	20000000ull /* sessions by default: what may be under way in that time */
#define OPEN_LOOP_MAX_SESSIONS 256u
#define MAX_RECORDS (1ull << 31) /* 64 GiB of address space, used as far as needed */

uint64_t bench_now_ns(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

uint64_t bench_unix_ns(void)
{
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static uint64_t record_room(const struct bench_options *options)
{
	return options->updates != 0 && options->updates < MAX_RECORDS ? options->updates
								       : MAX_RECORDS;
}

static int open_trace(struct bench_engine *e)
{
	uint64_t room = record_room(e->options);
	void *trace =
		mmap(NULL,
		     room * sizeof(*e->trace),
		     PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
		     -1,
		     0);
	if (trace == MAP_FAILED)
		return -ENOMEM;
	e->trace = trace;
	e->trace_room = room;
	return 0;
}

int bench_engine_open(
	struct bench_engine *e,
	const struct bench_options *options,
	struct bench_transport *transport,
	const volatile sig_atomic_t *stop
)
{
	memset(e, 0, sizeof(*e));
	e->options = options;
	e->transport = transport;
	e->stop = stop;
	/* A state of the generator that is never 0, whatever the seed. */
	e->random = options->seed * 0x9e3779b97f4a7c15ull + 1;
	e->random |= e->random == 0;
	e->read_limit = ((uint64_t)options->read_percent << 32) / 100;
	bench_prepare_sums(e);
	e->sessions = calloc(MAX_SESSIONS, sizeof(*e->sessions));
	e->last_found = e->sessions;
	e->session_room = MAX_SESSIONS;
	e->by_client_id_mask = 2 * MAX_SESSIONS - 1;
	e->by_client_id = calloc((size_t)e->by_client_id_mask + 1, sizeof(*e->by_client_id));
	int result = bench_latency_open(&e->latency, options->out != NULL, options->rate == 0);
	if (result == 0)
		result = bench_ledger_open(
			&e->ledger, options->assets, options->ledger ? record_room(options) : 1
		);
	if (result == 0 && options->trace)
		result = open_trace(e);
	if (result == 0 && (e->sessions == NULL || e->by_client_id == NULL))
		result = -ENOMEM;
	if (result != 0)
		bench_engine_close(e);
	return result;
}

void bench_engine_close(struct bench_engine *e)
{
	for (uint32_t i = 0; e->sessions != NULL && i < e->session_count; i++)
		free(e->sessions[i].slots);
	free(e->sessions);
	free(e->by_client_id);
	if (e->trace != NULL)
		munmap(e->trace, e->trace_room * sizeof(*e->trace));
	bench_latency_close(&e->latency);
	bench_ledger_close(&e->ledger);
	memset(e, 0, sizeof(*e));
}

unsigned bench_engine_round(struct bench_engine *e)
{
	uint64_t now = bench_now_ns();
	unsigned work = bench_send_due(e, now);
	unsigned answers = bench_take_answers(e);
	work += answers;
	/* After a pause of this process answers may lie there already: first take them all. */
	if (answers < BENCH_BURST)
		bench_sweep(e, now);
	if (__builtin_expect(now >= e->turn_at_ns, 0) && e->phase == BENCH_RUNNING) {
		e->turn_at_ns += BENCH_INTERVAL_NS;
		bench_latency_turn(&e->latency, e->start_unix_ns + (now - e->start_ns));
	}
	return work;
}

static void round_and_rest(struct bench_engine *e)
{
	static const struct timespec pause = {.tv_nsec = 100000};
	if (bench_engine_round(e) != 0)
		return;
	if (e->phase == BENCH_OPENING)
		nanosleep(&pause, NULL); /* nothing is measured yet, and nodes may be starting */
	else if (!e->options->spin)
		sched_yield();
}

static void begin_run(struct bench_engine *e, uint64_t now)
{
	const struct bench_options *o = e->options;
	uint64_t opened = e->counters.sessions_opened;

	memset(&e->counters, 0, sizeof(e->counters));
	e->counters.sessions_opened = opened;
	e->start_ns = now;
	e->start_unix_ns = bench_unix_ns();
	e->last_answer_ns = now;
	e->stop_sending_ns = o->updates != 0 ? UINT64_MAX : now + o->duration_ns;
	e->remaining = o->updates != 0 ? o->updates : UINT64_MAX;
	e->outstanding = o->outstanding;
	e->due_q10 = 0;
	e->step_q10 = o->rate != 0 ? o->batch * (1000000000ull * 1024) / o->rate : 0;
	e->batch_left = 0;
	e->turn_at_ns = now + BENCH_INTERVAL_NS;
	bench_latency_start(&e->latency, e->start_unix_ns);
}

void bench_engine_begin(struct bench_engine *e, enum bench_phase phase)
{
	uint64_t now = bench_now_ns();
	e->phase = phase;
	e->heard_ns = now;
	e->progress_ns = phase == BENCH_DRAINING ? e->progress_ns : now;
	if (phase == BENCH_RUNNING)
		begin_run(e, now);
	if (phase == BENCH_FIRST_READS || phase == BENCH_LAST_READS) {
		uint32_t all = 0;
		for (uint32_t i = 0; i < e->session_count; i++)
			all += e->sessions[i].max_inflight;
		e->outstanding = all < LEDGER_READS ? all : LEDGER_READS;
		e->next_asset = 0;
	}
}

/* Adds sessions up to count and waits until all are open. */
static int open_sessions(struct bench_engine *e, uint32_t count)
{
	uint64_t deadline = bench_now_ns() + e->options->drain_ns;
	bench_engine_begin(e, BENCH_OPENING);
	for (; e->session_count < count; e->session_count++) {
		struct bench_session *s = &e->sessions[e->session_count];
		s->state = BENCH_SESSION_OPENING;
		s->nonce = bench_random(e) ^ bench_unix_ns();
		s->nonce |= s->nonce == 0;
	}
	uint32_t open = 0;
	while (open < count) {
		round_and_rest(e);
		while (open < count && e->sessions[open].state == BENCH_SESSION_OPEN)
			open++;
		if (*e->stop || bench_now_ns() > deadline)
			return -ETIMEDOUT;
	}
	return 0;
}

/* Sessions that the load needs, now that a session's window is known. */
static uint32_t count_sessions(const struct bench_engine *e)
{
	const struct bench_options *o = e->options;
	uint64_t window = e->sessions[0].max_inflight;
	uint64_t needed = (o->outstanding + window - 1) / window;
	if (o->rate != 0 && o->clients == 0) {
		needed = o->rate * OPEN_LOOP_WINDOW_NS / 1000000000u / window;
		if (needed > OPEN_LOOP_MAX_SESSIONS)
			needed = OPEN_LOOP_MAX_SESSIONS;
	}
	if (needed < o->clients)
		needed = o->clients;
	if (needed < 1)
		needed = 1;
	return needed > e->session_room ? e->session_room : (uint32_t)needed;
}

/* Waits for what is under way; what does not come is given up. */
static void drain(struct bench_engine *e)
{
	uint64_t deadline = bench_now_ns() + e->options->drain_ns;
	while (e->waiting != 0 && bench_now_ns() < deadline)
		round_and_rest(e);
	uint64_t now = bench_now_ns();
	if (e->waiting != 0 && now - e->progress_ns > e->longest_gap_ns)
		e->longest_gap_ns = now - e->progress_ns;
	for (uint32_t i = 0; i < e->session_count && e->waiting != 0; i++) {
		struct bench_session *s = &e->sessions[i];
		for (uint64_t seq = s->first_incomplete; seq < s->next_seq; seq++)
			if (bench_slot_of(s, seq)->waiting)
				bench_give_up(e, s, bench_slot_of(s, seq), now);
	}
}

/* Reads every asset, again where an answer was lost with its session. */
static bool read_assets(struct bench_engine *e, enum bench_phase phase)
{
	for (uint32_t pass = 0; pass < LEDGER_PASSES; pass++) {
		uint32_t before = e->next_asset;
		bench_engine_begin(e, phase);
		uint64_t deadline = bench_now_ns() + e->options->drain_ns;
		while (e->next_asset < e->ledger.asset_count && bench_now_ns() < deadline) {
			before = e->next_asset;
			round_and_rest(e);
			if (e->next_asset != before)
				deadline = bench_now_ns() + e->options->drain_ns;
		}
		drain(e);
		uint32_t known = 0;
		for (uint32_t i = 0; i < e->ledger.asset_count; i++)
			known += phase == BENCH_FIRST_READS ? e->ledger.assets[i].first_read
							    : e->ledger.assets[i].last_read;
		if (known == e->ledger.asset_count)
			return true;
	}
	return false;
}

static bool run_is_over(const struct bench_engine *e)
{
	if (e->remaining == 0 && e->batch_left == 0)
		return true;
	return *e->stop || (e->options->ledger && bench_ledger_is_full(&e->ledger));
}

/* On its own, and never inlined, so that a profiler can be told to look at the load alone. */
__attribute__((noinline)) void bench_engine_load(struct bench_engine *e)
{
	bench_engine_begin(e, BENCH_RUNNING);
	while (!run_is_over(e))
		round_and_rest(e);
}

int bench_engine_run(struct bench_engine *e)
{
	if (open_sessions(e, 1) != 0 || open_sessions(e, count_sessions(e)) != 0)
		return -ETIMEDOUT;
	if (e->options->ledger && !read_assets(e, BENCH_FIRST_READS))
		return -ETIMEDOUT;
	bench_engine_load(e);
	bench_engine_begin(e, BENCH_DRAINING);
	drain(e);
	bench_latency_turn(&e->latency, e->start_unix_ns + (bench_now_ns() - e->start_ns));
	if (e->options->ledger)
		read_assets(e, BENCH_LAST_READS);
	bench_close_sessions(e);
	e->phase = BENCH_DONE;
	return 0;
}
