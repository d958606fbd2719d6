/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The real machines with one deliberate fault each, explored until a monitor says it: which one, at
 * which record and place. Without the fault the same schedules pass.
 */
#include "tests/pipeline/explore.h"
#include "tests/pipeline/files.h"
#include "tests/unit/unit.h"

#include <stdio.h>
#include <stdlib.h>

#define SCHEDULES 400

struct canary {
	enum pl_defect defect;
	const char *scenario;
	uint32_t broken; /* enum pl_monitor or pl_broken */
	const char *words;
};

#define D(name) PL_DEFECT_##name
#define M(name) PL_MONITOR_##name

/* clang-format off */
static const struct canary canaries[] = {
	{D(REMOVE_FIRST), "active-passive", M(REMOVAL), "removed from inbound-queue.1 before its row is in inbound-database"},
	{D(REMOVE_FIRST), "workload1", M(REMOVAL), "removed from inbound-stream.1 before its row is in processor-database"},
	{D(SEND_FIRST), "active-passive", M(REMOVAL), "sent to inbound-preprocess-queue.1 before its row is in inbound-database"},
	{D(SEND_FIRST), "workload1", M(REMOVAL), "sent to inbound-stream.1 before its row is in receiver-database"},
	{D(REMOVE_BEFORE_SEND), "active-active", M(REMOVAL), "removed from inbound-queue.1 before inbound-preprocess-queue.1 accepted it"},
	{D(DESTINATION_FORGETS), "unplanned-failover", M(DESTINATION), "arrived at the destination twice"},
	{D(SWITCH_UNDRAINED), "active-passive-failover", M(ORDER), "-database.2 before"},
	{D(QUEUE_LIFO), "active-passive", M(ORDER), "delivered from inbound-queue.1 where"},
	{D(QUEUE_LIFO), "active-active-f3", M(ORDER), "delivered from inbound-queue."},
	{D(QUEUE_DROPS), "active-passive", M(REMOVAL), "record 8 published by the source before inbound-queue.1 accepted it"},
	{D(REPLICATOR_DROPS), "active-passive", M(ORDER), "-database.2 before 8"},
	{D(REPLICATOR_DROPS), "active-active", M(CONVERGENCE), "record 8 is in inbound-database.2 and not in inbound-database.1"},
	{D(REPLICATOR_SWAPS), "active-passive", M(ORDER), "-database.2 before"},
	{D(MAJORITY_OF_ONE), "workload1", M(ANSWERED), "answered by receiver-database when 1 of its members held it, of 2 needed"},
	{D(ALTERNATE_ALWAYS), "region-2-faults", M(SPLIT), "accepted at inbound-queue.1, which was to get 5 of batch "},
	{D(CONTAINER_WRONG_REGION), "active-passive", M(ORDER), "record 8 sent to inbound-preprocess-queue.2, though it is in region 1's chain"},
	{D(CHANGES_VALUE), "workload1", M(COMPLETE), "record 8 written in receiver-database.1 with another value"},
	{D(NEVER_PROBES), "active-active-f3", PL_BROKEN_LIVENESS, ""}, /* nothing is lost: only late */
	{D(REMOVE_BY_POSITION), "active-passive-f5", M(REMOVAL), "removed from "},
	{D(NO_UNIQUE_KEY), "active-passive-f5", M(CONVERGENCE), "has a second row in "},
	{D(NO_REQUEST_IDS), "workload1-f2", M(ANSWERED), "answered by processor-database when 1 of its members held it"},
};
/* clang-format on */

static struct pl_topology topology;
static struct pl_scenario scenario;

static void read_scenario(const char *name)
{
	char dir[400], error[400];
	pl_files_dir(dir, sizeof(dir));
	if (pl_scenario_read(&scenario, &topology, dir, name, error, sizeof(error)) != 0)
		fail_msg("%s", error);
}

static void explore(const char *name, uint64_t defects, struct pl_found *found)
{
	static struct pl_explorer explorer;
	read_scenario(name);
	struct pl_explore_options options = {
		.strategy = PL_STRATEGY_PCT,
		.seed = 1,
		.schedules = SCHEDULES,
		.change_points = 3,
	};
	assert_true(pl_explorer_init(&explorer, &topology, &scenario, defects));
	pl_explore(&explorer, &options, found);
	free(found->choices);
	pl_explorer_free(&explorer);
}

static void each_defect_is_told_by_its_monitor(void **state)
{
	(void)state;
	uint32_t wrong = 0;
	for (size_t i = 0; i < sizeof(canaries) / sizeof(canaries[0]); i++) {
		const struct canary *canary = &canaries[i];
		struct pl_found found = {0};
		explore(canary->scenario, 1ull << canary->defect, &found);
		print_message(
			"%-22s %-24s %4llu schedules: %s\n",
			pl_defect_name(canary->defect),
			canary->scenario,
			(unsigned long long)found.schedules,
			found.verdict
		);
		wrong += found.broken != canary->broken || !strstr(found.verdict, canary->words);
	}
	assert_int_equal(wrong, 0);
}

static void without_a_defect_nothing_is_told(void **state)
{
	(void)state;
	uint32_t wrong = 0;
	for (size_t i = 0; i < sizeof(canaries) / sizeof(canaries[0]); i++) {
		struct pl_found found = {0};
		explore(canaries[i].scenario, 0, &found);
		if (found.broken != PL_BROKEN_NOTHING)
			wrong++, print_error("%s: %s\n", canaries[i].scenario, found.verdict);
	}
	assert_int_equal(wrong, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_defect_is_told_by_its_monitor),
		cmocka_unit_test(without_a_defect_nothing_is_told),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
