/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Architectures and scenarios: each file of ours is read; a wrong one gets a sentence with file and
 * line; one that was cut or changed anywhere never ends the process.
 */
#include "tests/pipeline/explore.h"
#include "tests/pipeline/files.h"
#include "tests/pipeline/scenario.h"

/* cmocka.h needs these before it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* clang-format off */
#include <cmocka.h>
/* clang-format on */

static char dir[] = "/tmp/pl-files-XXXXXX";
static struct pl_scenario scenario;
static struct pl_topology topology;
static char error[512];

static void put(const char *folder, const char *name, const char *text, size_t bytes)
{
	char path[256];
	snprintf(path, sizeof(path), "%s/%s/%s.conf", dir, folder, name);
	FILE *file = fopen(path, "w");
	assert_non_null(file);
	assert_int_equal(fwrite(text, 1, bytes, file), bytes);
	assert_int_equal(fclose(file), 0);
}

static size_t get(const char *folder, const char *name, char *text, size_t bytes)
{
	char path[256];
	snprintf(path, sizeof(path), "%s/%s/%s.conf", PL_SOURCE_DIR, folder, name);
	FILE *file = fopen(path, "r");
	assert_non_null(file);
	size_t count = fread(text, 1, bytes, file);
	fclose(file);
	return count;
}

static int make_dir(void **state)
{
	char path[256], text[8192];
	if (!mkdtemp(dir))
		return -1;
	snprintf(path, sizeof(path), "%s/scenarios", dir);
	mkdir(path, 0700);
	snprintf(path, sizeof(path), "%s/architectures", dir);
	mkdir(path, 0700);
	size_t bytes = get("architectures", "active-passive-small", text, sizeof(text));
	put("architectures", "small", text, bytes);
	return 0;
}

static int remove_dir(void **state)
{
	char command[300];
	snprintf(command, sizeof(command), "rm -r %s", dir);
	return system(command);
}

static void every_scenario_of_ours_is_read(void **state)
{
	struct pl_names names;
	assert_true(pl_files_scenarios(PL_SOURCE_DIR, &names, error, sizeof(error)));
	assert_in_range(names.count, 30, PL_NAMES_MAX);
	for (uint32_t i = 0; i < names.count; i++) {
		if (pl_scenario_read(
			    &scenario,
			    &topology,
			    PL_SOURCE_DIR,
			    names.items[i],
			    error,
			    sizeof(error)
		    ) != 0)
			fail_msg("%s", error);
		assert_true(scenario.about[0] != 0);
		assert_true(topology.transport_count > 0 && topology.database_count > 0);
	}
}

static void architectures_have_the_machines_of_the_page(void **state)
{
	assert_int_equal(
		pl_scenario_read(
			&scenario, &topology, PL_SOURCE_DIR, "active-passive", error, sizeof(error)
		),
		0
	);
	assert_int_equal(topology.transport_count, 6);
	assert_int_equal(topology.database_count, 5);
	uint8_t found = pl_topology_find(&topology, "core-container.2");
	const struct pl_params *params = &topology.machines[found].params;
	assert_string_equal(topology.machines[params->input].name, "preprocess-core-queue.2");
	assert_string_equal(topology.machines[params->output].name, "core-postprocess-queue.2");
	assert_string_equal(topology.machines[params->database].name, "core-database");
	assert_int_equal(
		pl_scenario_read(
			&scenario, &topology, PL_SOURCE_DIR, "workload1", error, sizeof(error)
		),
		0
	);
	assert_int_equal(topology.transport_count, 2);
	assert_int_equal(topology.database_count, 3);
	assert_string_equal(topology.machines[topology.databases[0]].name, "receiver-database");
}

struct bad {
	const char *steps, *head, *says; /* head: lines before the steps */
};

static const struct bad bad_scenarios[] = {
	{"{ publish = 3; }", "", "t.conf:6: publish takes a batch from 1 to 2, or \"rest\""},
	{"{ publish = 1; fail = [ \"source\" ]; }", "", "t.conf:6: a step does one thing"},
	{"{ fail = [ \"nobody\" ]; }", "", "t.conf:6: \"nobody\" is not a machine of"},
	{"{ fail = \"chosen\"; }", "", "t.conf:6: nothing was chosen before this step"},
	{"{ fail = [ ]; }", "", "t.conf:6: the list is empty"},
	{"{ switch = [ \"in-dns\" ]; }", "", "t.conf:6: switch needs region = 1 or 2"},
	{"{ dance = 1; }", "", "t.conf:6: a step cannot do dance"},
	{"7", "", "each step is a group"},
	{"{ }", "", "this step does nothing"},
	{"{ await = 7; }", "", "t.conf:6: await takes one name"},
	{"{ publish = 1; }", "colour = 1;", "t.conf:5: colour means nothing here"},
	{"{ publish = 1; }", "expect_broken = \"luck\";", "t.conf:5: expect_broken cannot be"},
	{"{ publish = 1; }", "defects = [ \"luck\" ];", "t.conf:5: no such name: \"luck\""},
	{"{ publish = 1; }", "split = [ 1 ];", "t.conf:5: split takes two numbers"},
	{"{ publish = 1; }", "parameters = ( { of = \"x\"; } );", "\"x\" is not in"},
	{"{ publish = 1; }",
	 "parameters = ( { of = \"queue\"; size = 1; } );",
	 "t.conf:5: size: no such parameter"},
	{"{ publish = 1; }", "batch = \"many\";", "t.conf:5: batch must be a whole number"},
	{"{ publish = 1", "", "t.conf:"},
	/* What would pass without having looked. */
	{"{ await = \"destination\"; }", "", "t.conf:6: await needs records = N"},
	{"{ expect_depth = \"in-queue.1\"; most = 4; }", "", "expect_depth needs records = N"},
	{"{ expect_depth = \"in-queue.1\"; records = 4; most = 3; }", "", "most is less than"},
	{"{ publish = 1; records = 3; }", "", "t.conf:6: records says nothing beside publish"},
	{"{ await = \"source\"; records = 3; }", "", "records says nothing beside await"},
	{"{ fail = [ \"in-queue.1\" ]; most = 3; }", "", "most says nothing beside fail"},
	{"{ wait_ns = 9223372036854775807L; }", "", "t.conf:6: wait_ns takes nanoseconds"},
	{"{ publish = 1; }", "or_broken = \"order\";", "t.conf:5: or_broken is a second name"},
	{"{ publish = 1; }",
	 "expect_broken = \"order\"; or_broken = \"nothing\";",
	 "t.conf:5: or_broken is a second name"},
	{"{ publish = 1; }", "split = [ 0, 0 ];", "t.conf:5: the parts of split are not 20"},
	{"{ publish = 1; }", "split = [ 9, 10 ];", "t.conf:5: the parts of split are not 20"},
	{"{ publish = 1; }", "split = [ 9, 2, 1, 8 ];", "t.conf:5: the parts of split are not"},
	{"{ publish = 1; }", "split = [ 21, -1 ];", "t.conf:5: split takes numbers from"},
};

static void a_wrong_scenario_gets_a_sentence_with_file_and_line(void **state)
{
	for (uint32_t i = 0; i < sizeof(bad_scenarios) / sizeof(bad_scenarios[0]); i++) {
		const struct bad *bad = &bad_scenarios[i];
		char text[1024];
		int bytes = snprintf(
			text,
			sizeof(text),
			"name = \"t\";\nabout = \"\";\narchitecture = \"small\";\nbatches = 2;\n"
			"%s\nsteps = ( %s );\n",
			bad->head,
			bad->steps
		);
		put("scenarios", "t", text, (size_t)bytes);
		error[0] = 0;
		assert_int_equal(
			pl_scenario_read(&scenario, &topology, dir, "t", error, sizeof(error)), -1
		);
		if (!strstr(error, bad->says))
			fail_msg("\"%s\" is not in \"%s\"", bad->says, error);
	}
	assert_int_equal(
		pl_scenario_read(&scenario, &topology, dir, "none", error, sizeof(error)), -1
	);
	assert_non_null(strstr(error, "none.conf"));
}

static const char *const bad_architectures[][2] = {
	{"name = \"a\"; components = ( { name = \"q\"; kind = \"box\"; } );", "no such kind"},
	{"name = \"a\"; components = ( { name = \"q\"; kind = \"queue\"; },\n"
	 "{ name = \"q\"; kind = \"queue\"; } );",
	 "q.1 is there twice"},
	{"name = \"a\"; components = ( { name = \"q\"; kind = \"dns\"; endpoints = \"x\"; } );",
	 "endpoints names \"x\", which is not here"},
	{"name = \"a\"; components = ( );", "no machine is a source"},
	{"name = \"a\";", "components is missing"},
	{"components = 1; name = \"a\";", "components must be a list"},
	{"name = \"a\"; components = ( { name = \"q\"; kind = \"queue\"; capacity = -1; } );",
	 "capacity must be a whole number"},
};

static void a_wrong_architecture_gets_a_sentence_with_file_and_line(void **state)
{
	char path[256];
	for (uint32_t i = 0; i < sizeof(bad_architectures) / sizeof(bad_architectures[0]); i++) {
		put("architectures", "a", bad_architectures[i][0], strlen(bad_architectures[i][0]));
		snprintf(path, sizeof(path), "%s/architectures/a.conf", dir);
		error[0] = 0;
		assert_int_equal(pl_topology_read(&topology, path, 10, error, sizeof(error)), -1);
		assert_non_null(strstr(error, "a.conf"));
		if (!strstr(error, bad_architectures[i][1]))
			fail_msg("\"%s\" is not in \"%s\"", bad_architectures[i][1], error);
	}
}

/* What was read is run, once: whatever it says, the run comes to an end, well or not. */
static uint32_t read_and_run(const char *scenario_name)
{
	static struct pl_explorer explorer;
	if (pl_scenario_read(&scenario, &topology, dir, scenario_name, error, sizeof(error)) != 0)
		return 0;
	assert_in_range(scenario.promise.records, 1, PL_IDS_MAX);
	if (scenario.promise.records > 1000)
		return 1;
	assert_true(pl_explorer_init(&explorer, &topology, &scenario, 0));
	assert_in_range(explorer.expected_steps, 0, explorer.system.steps_most);
	pl_explorer_free(&explorer);
	return 1;
}

/* Cut at many places, and with a byte changed at many: it is read or refused, and nothing else. */
static void torn(const char *folder, const char *from, const char *scenario_name)
{
	char text[8192], changed[8192];
	size_t bytes = get(folder, from, text, sizeof(text));
	uint32_t refused = 0, run = 0;
	for (size_t at = 0; at < bytes; at += 3) {
		put(folder, from, text, at);
		refused += read_and_run(scenario_name) == 0;
		memcpy(changed, text, bytes);
		changed[at] = "\"(){};=\n9\xff"[at % 10];
		put(folder, from, changed, bytes);
		uint32_t good = read_and_run(scenario_name);
		refused += good == 0;
		run += good;
	}
	assert_true(refused > bytes / 3);
	assert_true(run > 10);
	put(folder, from, text, bytes);
}

static void torn_files_are_refused_and_never_end_the_process(void **state)
{
	char text[8192];
	size_t bytes = get("architectures", "active-passive-small", text, sizeof(text));
	put("architectures", "active-passive-small", text, bytes);
	bytes = get("scenarios", "small", text, sizeof(text));
	put("scenarios", "small", text, bytes);
	torn("scenarios", "small", "small");
	torn("architectures", "active-passive-small", "small");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_scenario_of_ours_is_read),
		cmocka_unit_test(architectures_have_the_machines_of_the_page),
		cmocka_unit_test(a_wrong_scenario_gets_a_sentence_with_file_and_line),
		cmocka_unit_test(a_wrong_architecture_gets_a_sentence_with_file_and_line),
		cmocka_unit_test(torn_files_are_refused_and_never_end_the_process),
	};
	return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
