/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/pipeline/live/run.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define LOOK_NS 2000000L
#define PATIENCE_NS 60000000000ull
#define PATIENCE_RECORD_NS 20000000ull
/* After the driver's end: so long without an effect, and the run is at rest; the monitors go on
 * looking meanwhile. */
#define QUIET_NS 200000000ull
#define QUIET_MOST_NS 5000000000ull

volatile int pl_live_interrupted;

/* ---- the driver, with a look at the clock ---- */

static struct pl_step_times *times_of_run;
static uint32_t driver_stands; /* 0 runs, 1 done, 2 broken; atomic */
static char driver_text[PL_VERDICT_MOST];
static const struct pl_topology *topology_of_run;

static void watch_driver(const void *state, uint64_t now_ns)
{
	struct pl_step_times *times = times_of_run;
	for (uint32_t at = pl_driver_at(state); times->count <= at; times->count++)
		times->at_ns[times->count] = now_ns;
	if (!pl_driver_good(state, topology_of_run, driver_text, sizeof(driver_text)))
		__atomic_store_n(&driver_stands, 2, __ATOMIC_RELEASE);
	else if (pl_driver_done(state))
		__atomic_store_n(&driver_stands, 1, __ATOMIC_RELEASE);
}

static void driver_init(void *state, const struct pl_params *params, struct pl_out *out)
{
	pl_driver.init(state, params, out);
	watch_driver(state, pl_clock_ns());
}

static void
driver_step(void *state, const struct pl_message *message, uint64_t now_ns, struct pl_out *out)
{
	pl_driver.step(state, message, now_ns, out);
	watch_driver(state, now_ns);
}

static struct pl_kind timed_driver(void)
{
	struct pl_kind kind = pl_driver;
	kind.init = driver_init;
	kind.step = driver_step;
	return kind;
}

/* ---- who runs where ---- */

static bool is_worker(const struct pl_kind *kind)
{
	return kind == &pl_container || kind == &pl_stream_container || kind == &pl_api_container;
}

/* A queue and the container that reads it share a thread, so do the APIs of a region; source,
 * destination and driver have one each. */
static uint32_t thread_key(const struct pl_topology *topology, uint32_t address, bool each)
{
	const struct pl_machine *machine = &topology->machines[address];
	if (each || !is_worker(machine->kind))
		return address;
	if (machine->kind == &pl_api_container) {
		for (uint32_t i = 0; i < address; i++)
			if (topology->machines[i].kind == &pl_api_container &&
			    topology->machines[i].params.region == machine->params.region)
				return i;
		return address;
	}
	return machine->params.input;
}

static bool by_adapter(const struct pl_kind *kind)
{
	return kind == &pl_dns || kind == &pl_async_pair || kind == &pl_global_table ||
	       kind == &pl_majority_triple || kind == &pl_member || kind == &pl_replicator;
}

static int place_machines(struct pl_live_stage *stage, bool each)
{
	static struct pl_kind driver;
	const struct pl_topology *topology = &stage->plan.topology;
	struct pl_runtime *runtime = &stage->runtime;
	int threads[PL_MACHINES_MAX], rc = 0;
	driver = timed_driver();
	for (uint32_t i = 0; i < PL_MACHINES_MAX; i++)
		threads[i] = -1;
	for (uint32_t i = 0; i < topology->count && rc == 0; i++) {
		const struct pl_machine *machine = &topology->machines[i];
		const struct pl_kind *kind = machine->kind == &pl_driver ? &driver : machine->kind;
		uint32_t key = thread_key(topology, i, each);
		if (by_adapter(machine->kind))
			continue;
		if (threads[key] < 0)
			threads[key] = pl_runtime_thread(runtime, topology->machines[key].name);
		if (threads[key] < 0)
			return threads[key];
		rc = pl_runtime_place(
			runtime, i, (uint32_t)threads[key], kind, &machine->params, NULL
		);
	}
	return rc;
}

static int place(struct pl_live_stage *stage, const struct pl_live_options *options)
{
	const struct pl_topology *topology = &stage->plan.topology;
	struct pl_runtime *runtime = &stage->runtime;
	pl_runtime_init(runtime);
	int databases = pl_runtime_thread(runtime, "databases");
	int names = pl_runtime_thread(runtime, "dns");
	if (databases < 0 || names < 0)
		return databases < 0 ? databases : names;
	int rc = pl_databases_place(&stage->databases, runtime, topology, (uint32_t)databases);
	if (rc == 0)
		rc = pl_live_names_place(&stage->names, runtime, topology, (uint32_t)names);
	return rc == 0 ? place_machines(stage, options->thread_each) : rc;
}

/* ---- a run ---- */

static void prepare(struct pl_live_stage *stage, uint64_t seed)
{
	struct pl_topology *topology = &stage->plan.topology;
	uint8_t pairs[PL_STAGES_MAX][2];
	for (uint32_t i = 0; i < topology->count; i++)
		topology->machines[i].params.seed = seed;
	pl_live_plan_tables(&stage->plan, seed, pairs);
	for (uint32_t i = 0; i < topology->database_count; i++)
		memcpy(stage->databases.tables[i].pairs, pairs[i], 2);
	memset(&stage->times, 0, sizeof(stage->times));
	times_of_run = &stage->times;
	topology_of_run = topology;
	driver_stands = 0;
	driver_text[0] = 0;
}

static void wait_for_driver(
	struct pl_live_stage *stage, uint64_t patience_ns, struct pl_live_judgement *judgement
)
{
	struct pl_runtime *runtime = &stage->runtime;
	const struct timespec look = {.tv_nsec = LOOK_NS};
	uint64_t until_ns = pl_clock_ns() + patience_ns;
	uint32_t stands;
	while ((stands = __atomic_load_n(&driver_stands, __ATOMIC_ACQUIRE)) == 0) {
		uint32_t overfull = __atomic_load_n(&runtime->overfull, __ATOMIC_RELAXED);
		if (overfull > 0) {
			pl_live_break(
				judgement,
				PL_BROKEN_MACHINE,
				"the inbox of %s is full",
				stage->plan.topology.machines[overfull - 1].name
			);
			return;
		}
		if (pl_live_interrupted || pl_clock_ns() > until_ns)
			return;
		nanosleep(&look, NULL);
	}
	if (stands == 2)
		pl_live_break(
			judgement,
			PL_BROKEN_EXPECT,
			"%s%s%s",
			driver_text,
			stage->databases.error[0] ? ": " : "",
			stage->databases.error
		);
}

static void wait_for_quiet(struct pl_runtime *runtime)
{
	const struct timespec look = {.tv_nsec = (long)QUIET_NS};
	uint64_t before, now = __atomic_load_n(&runtime->counter, __ATOMIC_RELAXED);
	for (uint64_t waited_ns = 0; waited_ns < QUIET_MOST_NS; waited_ns += QUIET_NS) {
		nanosleep(&look, NULL);
		before = now;
		now = __atomic_load_n(&runtime->counter, __ATOMIC_RELAXED);
		if (now == before)
			return;
	}
}

static void say_where_it_stands(struct pl_live_stage *stage, struct pl_live_judgement *judgement)
{
	const struct pl_scenario *scenario = &stage->plan.scenario;
	char text[200] = "its end";
	uint32_t at = stage->times.count > 0 ? stage->times.count - 1 : 0;
	if (at < scenario->step_count)
		pl_step_text(&scenario->steps[at], &stage->plan.topology, at, text, sizeof(text));
	pl_live_break(
		judgement,
		PL_BROKEN_LIVENESS,
		"%s; it stands at %s",
		pl_live_interrupted ? "interrupted" : "not done in time",
		text
	);
}

bool pl_live_one(
	struct pl_live_stage *stage,
	const struct pl_live_options *options,
	uint64_t seed,
	struct pl_live_judgement *judgement
)
{
	const struct pl_params *params[PL_MACHINES_MAX];
	const struct pl_topology *topology = &stage->plan.topology;
	const struct pl_scenario *scenario = &stage->plan.scenario;
	uint64_t patience_ns = options->patience_ns;
	char error[PL_ERROR_BYTES];
	memset(judgement, 0, sizeof(*judgement));
	judgement->good = true;
	judgement->broken = PL_BROKEN_NOTHING;
	if (patience_ns == 0)
		patience_ns = PATIENCE_NS + scenario->promise.records * PATIENCE_RECORD_NS;
	for (uint32_t i = 0; i < topology->count; i++)
		params[i] = &topology->machines[i].params;
	prepare(stage, seed);
	int rc = place(stage, options);
	if (rc == 0)
		rc = pl_runtime_begin(&stage->runtime, params);
	if (rc != 0) {
		pl_live_break(judgement, PL_BROKEN_MACHINE, "no threads: %s", strerror(-rc));
		pl_runtime_end(&stage->runtime);
		return false;
	}
	wait_for_driver(stage, patience_ns, judgement);
	bool done = __atomic_load_n(&driver_stands, __ATOMIC_ACQUIRE) == 1;
	if (done)
		wait_for_quiet(&stage->runtime);
	pl_runtime_end(&stage->runtime);
	if (!done)
		say_where_it_stands(stage, judgement);
	else if (!pl_databases_check(&stage->databases, error, sizeof(error)))
		pl_live_break(judgement, PL_MONITOR_CONVERGENCE, "%s", error);
	rc = pl_live_judge(&stage->runtime, topology, scenario, &stage->times, seed, judgement);
	return rc == 0;
}
