/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/pipeline/scenario.h"

#include "tests/pipeline/conf.h"

#include <stdio.h>

const char *pl_broken_name(uint32_t broken)
{
	static const char *const others[] = {"liveness", "expect", "machine", "nothing"};
	if (broken < PL_MONITORS)
		return pl_monitor_name(broken);
	return broken <= PL_BROKEN_NOTHING ? others[broken - PL_MONITORS] : "?";
}

struct reader {
	struct pl_conf *conf;
	struct pl_scenario *scenario;
	struct pl_topology *topology;
};

/* ---- steps: the key that names what is done, and what it takes ---- */

enum takes { TAKES_BATCH, TAKES_ONE, TAKES_LIST, TAKES_LIST_OR_CHOSEN, TAKES_TIME };

struct verb {
	const char *key;
	enum pl_op op;
	enum pl_message_kind command;
	enum takes takes;
	bool region; /* it must say which */
};

static const struct verb verbs[] = {
	{"publish", PL_OP_PUBLISH, 0, TAKES_BATCH, false},
	{"await", PL_OP_AWAIT, 0, TAKES_ONE, false},
	{"expect_depth", PL_OP_EXPECT_DEPTH, 0, TAKES_ONE, false},
	{"choose", PL_OP_CHOOSE, 0, TAKES_LIST, false},
	{"drained", PL_OP_DRAINED, 0, TAKES_LIST, false},
	{"wait_ns", PL_OP_WAIT, 0, TAKES_TIME, false},
	{"fail", PL_OP_COMMAND, PL_FAIL, TAKES_LIST_OR_CHOSEN, false},
	{"recover", PL_OP_COMMAND, PL_RECOVER, TAKES_LIST_OR_CHOSEN, false},
	{"crash", PL_OP_COMMAND, PL_CRASH, TAKES_LIST_OR_CHOSEN, false},
	{"stop_carrying", PL_OP_COMMAND, PL_STOP_CARRYING, TAKES_LIST, false},
	{"carry_again", PL_OP_COMMAND, PL_CARRY_AGAIN, TAKES_LIST, false},
	{"switch", PL_OP_COMMAND, PL_SWITCH, TAKES_LIST, true},
	{"switch_forced", PL_OP_COMMAND, PL_SWITCH_FORCED, TAKES_LIST, true},
	{"offline", PL_OP_COMMAND, PL_OFFLINE, TAKES_LIST, true},
	{"online", PL_OP_COMMAND, PL_ONLINE, TAKES_LIST, true},
};
#define VERBS (sizeof(verbs) / sizeof(verbs[0]))
#define WAIT_NS_MOST 3600000000000ull

/* What may stand beside a verb, by what is done. */
struct beside {
	const char *key;
	uint32_t ops;
};

#define OP(name) (1u << PL_OP_##name)
#define COMMANDS (OP(COMMAND) | OP(COMMAND_CHOSEN))
#define ASKS (COMMANDS | OP(AWAIT) | OP(DRAINED) | OP(EXPECT_DEPTH))
static const struct beside besides[] = {
	{"region", COMMANDS},
	{"records", OP(AWAIT) | OP(EXPECT_DEPTH)},
	{"most", OP(EXPECT_DEPTH)},
	{"may_fail", ASKS},
	{"at_once", COMMANDS},
};
#define BESIDES (sizeof(besides) / sizeof(besides[0]))

static void
target(struct reader *r, struct pl_step *step, const config_setting_t *at, const char *name)
{
	char quoted[CFG_QUOTED_BYTES];
	uint8_t found = pl_topology_find(r->topology, name);
	if (found == PL_NOBODY || found == r->topology->driver)
		pl_conf_fail(
			r->conf,
			at,
			"%s is not a machine of %s",
			cfg_quote(name, quoted),
			r->topology->name
		);
	else if (step->count == PL_STEP_TARGETS_MAX)
		pl_conf_fail(r->conf, at, "more than %d names", PL_STEP_TARGETS_MAX);
	else
		step->targets[step->count++] = found;
}

/* The last `choose` before this step: who may have been chosen. */
static void take_chosen(struct reader *r, struct pl_step *step, const config_setting_t *at)
{
	for (uint32_t i = r->scenario->step_count; i-- > 0;) {
		const struct pl_step *before = &r->scenario->steps[i];
		if (before->op != PL_OP_CHOOSE)
			continue;
		step->op = PL_OP_COMMAND_CHOSEN;
		step->count = before->count;
		memcpy(step->targets, before->targets, sizeof(step->targets));
		return;
	}
	pl_conf_fail(r->conf, at, "nothing was chosen before this step");
}

static void take_batch(struct reader *r, struct pl_step *step, const config_setting_t *at)
{
	const char *text = config_setting_get_string(at);
	if (text && strcmp(text, "rest") == 0)
		step->op = PL_OP_PUBLISH_REST;
	else if (!pl_setting_number(at, &step->number) || step->number < 1 ||
		 step->number > r->scenario->batches)
		pl_conf_fail(
			r->conf,
			at,
			"publish takes a batch from 1 to %u, or \"rest\"",
			r->scenario->batches
		);
}

static void take_list(struct reader *r, struct pl_step *step, const config_setting_t *at)
{
	if (!config_setting_is_list(at) && !config_setting_is_array(at)) {
		pl_conf_fail(r->conf, at, "%s takes a list of names", config_setting_name(at));
		return;
	}
	uint32_t count = (uint32_t)config_setting_length(at);
	if (count == 0)
		pl_conf_fail(r->conf, at, "the list is empty");
	for (uint32_t i = 0; i < count && !r->conf->failed; i++)
		target(r, step, at, pl_conf_element(r->conf, at, i));
}

/* Left out it would be 0, and a step that waits for nothing looks like one that waits. */
static void take_records(
	struct reader *r,
	struct pl_step *step,
	const struct verb *verb,
	const config_setting_t *group
)
{
	if (step->op == PL_OP_AWAIT_SOURCE)
		return;
	if (!config_setting_get_member(group, "records"))
		pl_conf_fail(r->conf, group, "%s needs records = N", verb->key);
	step->number = pl_conf_number(r->conf, group, "records", 0, PL_IDS_MAX);
	step->most = pl_conf_number(r->conf, group, "most", step->number, PL_IDS_MAX);
	if (step->most < step->number)
		pl_conf_fail(r->conf, group, "most is less than records");
}

static void
take(struct reader *r,
     struct pl_step *step,
     const struct verb *verb,
     const config_setting_t *group,
     const config_setting_t *at)
{
	const char *text = config_setting_get_string(at);
	switch (verb->takes) {
	case TAKES_BATCH:
		take_batch(r, step, at);
		break;
	case TAKES_ONE:
		if (!text)
			pl_conf_fail(r->conf, at, "%s takes one name", verb->key);
		else if (step->op == PL_OP_AWAIT &&
			 pl_topology_find(r->topology, text) == r->topology->source)
			step->op = PL_OP_AWAIT_SOURCE;
		else
			target(r, step, at, text);
		take_records(r, step, verb, group);
		break;
	case TAKES_TIME:
		if (!pl_setting_number(at, &step->number) || step->number > WAIT_NS_MOST)
			pl_conf_fail(
				r->conf, at, "wait_ns takes nanoseconds, 0 to %llu", WAIT_NS_MOST
			);
		break;
	default:
		if (text && strcmp(text, "chosen") == 0 && verb->takes == TAKES_LIST_OR_CHOSEN)
			take_chosen(r, step, at);
		else
			take_list(r, step, at);
	}
}

static void read_step(struct reader *r, const config_setting_t *group)
{
	struct pl_scenario *scenario = r->scenario;
	const config_setting_t *at = NULL;
	const struct verb *verb = NULL;
	if (!config_setting_is_group(group)) {
		pl_conf_fail(r->conf, group, "each step is a group: { publish = 1; }");
		return;
	}
	for (int i = 0; i < config_setting_length(group); i++) {
		const config_setting_t *member = config_setting_get_elem(group, (unsigned)i);
		const char *name = config_setting_name(member);
		const struct verb *found = NULL;
		for (uint32_t v = 0; v < VERBS; v++)
			if (strcmp(verbs[v].key, name) == 0)
				found = &verbs[v];
		bool known = false;
		for (uint32_t b = 0; b < BESIDES; b++)
			known |= strcmp(besides[b].key, name) == 0;
		if (!found && !known)
			pl_conf_fail(r->conf, member, "a step cannot do %s", name);
		else if (found && verb)
			pl_conf_fail(
				r->conf, member, "a step does one thing: %s or %s", verb->key, name
			);
		if (found) {
			verb = found;
			at = member;
		}
	}
	if (!verb)
		pl_conf_fail(r->conf, group, "this step does nothing");
	else if (scenario->step_count == PL_STEPS_MAX)
		pl_conf_fail(r->conf, group, "more than %d steps", PL_STEPS_MAX);
	if (r->conf->failed)
		return;
	struct pl_step *step = &scenario->steps[scenario->step_count];
	*step = (struct pl_step){.op = verb->op, .command = verb->command};
	step->line =
		(uint16_t)cfg_source_where(&r->conf->source, config_setting_source_line(at)).line;
	take(r, step, verb, group, at);
	step->region = (uint8_t)pl_conf_number(r->conf, group, "region", 0, 2);
	step->at_once = (uint8_t)pl_conf_number(r->conf, group, "at_once", 0, 1);
	step->may_fail = (uint8_t)pl_conf_number(r->conf, group, "may_fail", 0, 1);
	if (verb->region && step->region == 0)
		pl_conf_fail(r->conf, at, "%s needs region = 1 or 2", verb->key);
	for (uint32_t b = 0; b < BESIDES; b++)
		if (!(besides[b].ops >> step->op & 1) &&
		    config_setting_get_member(group, besides[b].key))
			pl_conf_fail(
				r->conf,
				config_setting_get_member(group, besides[b].key),
				"%s says nothing beside %s",
				besides[b].key,
				verb->key
			);
	scenario->step_count++;
}

/* ---- what it promises, and what is changed for it ---- */

static uint64_t named_bits(
	struct reader *r,
	const config_setting_t *list,
	const char *(*name_of)(uint32_t),
	uint32_t count
)
{
	uint64_t bits = 0;
	char quoted[CFG_QUOTED_BYTES];
	for (int i = 0; list && i < config_setting_length(list); i++) {
		const char *name = pl_conf_element(r->conf, list, (uint32_t)i);
		uint64_t before = bits;
		for (uint32_t j = 0; j < count; j++)
			if (strcmp(name_of(j), name) == 0)
				bits |= 1ull << j;
		if (bits == before)
			pl_conf_fail(r->conf, list, "no such name: %s", cfg_quote(name, quoted));
	}
	return bits;
}

/* Two numbers, of the whole run, or two for each batch. */
static void read_split(struct reader *r, const config_setting_t *list)
{
	const struct pl_scenario *scenario = r->scenario;
	struct pl_promise *promise = &r->scenario->promise;
	uint32_t count = (uint32_t)config_setting_length(list);
	bool by_batch = count == 2 * scenario->batches;
	if (count != 2 && !by_batch) {
		pl_conf_fail(r->conf, list, "split takes two numbers, or two for each batch");
		return;
	}
	for (uint32_t i = 0; i < count; i++) {
		uint64_t number = 0;
		if (!pl_setting_number(config_setting_get_elem(list, i), &number) ||
		    number > promise->records) {
			pl_conf_fail(
				r->conf, list, "split takes numbers from 0 to %u", promise->records
			);
			return;
		}
		promise->split[i % 2] += (uint32_t)number;
		if (by_batch)
			promise->batch_split[i / 2][i % 2] = (uint32_t)number;
	}
	promise->batch = by_batch ? scenario->batch : 0;
	bool whole = promise->split[0] + promise->split[1] == promise->records;
	for (uint32_t i = 0; by_batch && i < scenario->batches; i++)
		whole &= promise->batch_split[i][0] + promise->batch_split[i][1] == scenario->batch;
	if (!whole)
		pl_conf_fail(
			r->conf, list, "the parts of split are not %u records", promise->records
		);
}

static void read_promise(struct reader *r, const config_setting_t *root)
{
	struct pl_scenario *scenario = r->scenario;
	struct pl_promise *promise = &scenario->promise;
	config_setting_t *split = pl_conf_list(r->conf, root, "split", false);
	promise->records = scenario->batch * scenario->batches;
	promise->monitors = (1ull << PL_MONITORS) - 1;
	promise->monitors &= ~named_bits(
		r, pl_conf_list(r->conf, root, "without", false), pl_broken_name, PL_MONITORS
	);
	if (!split)
		promise->monitors &= ~(1ull << PL_MONITOR_SPLIT);
	if (split)
		read_split(r, split);
	const char *names[PL_BROKEN_NOTHING + 2] = {NULL};
	for (uint32_t i = 0; i <= PL_BROKEN_NOTHING; i++)
		names[i] = pl_broken_name(i);
	scenario->broken = pl_conf_choice(r->conf, root, "expect_broken", names, PL_BROKEN_NOTHING);
	scenario->or_broken = pl_conf_choice(r->conf, root, "or_broken", names, scenario->broken);
	/* Else it would be as expected whatever came. */
	bool either = config_setting_get_member(root, "or_broken") != NULL;
	bool broken = config_setting_get_member(root, "expect_broken") != NULL;
	if (either && (!broken || scenario->or_broken == PL_BROKEN_NOTHING ||
		       scenario->broken == PL_BROKEN_NOTHING))
		pl_conf_fail(
			r->conf,
			config_setting_get_member(root, "or_broken"),
			"or_broken is a second name beside expect_broken, and not nothing"
		);
	scenario->defects = named_bits(
		r, pl_conf_list(r->conf, root, "defects", false), pl_defect_name, PL_DEFECT_COUNT
	);
	promise->leftovers = pl_conf_number(r->conf, root, "leftovers", 0, 1) == 1;
	promise->defects = scenario->defects & 1ull << PL_DEFECT_MODELLED_MONITORS;
}

static void read_parameters(struct reader *r, const config_setting_t *group)
{
	char quoted[CFG_QUOTED_BYTES];
	if (!config_setting_is_group(group)) {
		pl_conf_fail(
			r->conf, group, "parameters are groups: { of = \"…\"; capacity = 4; }"
		);
		return;
	}
	const char *of = pl_conf_text(r->conf, group, "of", NULL);
	uint64_t machines = pl_topology_match(r->topology, of);
	if (machines == 0)
		pl_conf_fail(
			r->conf, group, "%s is not in %s", cfg_quote(of, quoted), r->topology->name
		);
	for (int i = 0; i < config_setting_length(group) && !r->conf->failed; i++) {
		const config_setting_t *member = config_setting_get_elem(group, (unsigned)i);
		const char *name = config_setting_name(member);
		uint64_t value;
		if (strcmp(name, "of") == 0)
			continue;
		if (!pl_setting_number(member, &value)) {
			pl_conf_fail(r->conf, member, "%s must be a number", name);
			return;
		}
		for (uint32_t m = 0; m < r->topology->count; m++)
			if (machines >> m & 1 &&
			    !pl_parameter_set(&r->topology->machines[m].params, name, value))
				pl_conf_fail(
					r->conf, member, "%s: no such parameter, or too much", name
				);
	}
}

static const char *const file_keys[] = {
	"name",
	"about",
	"architecture",
	"batch",
	"batches",
	"steps",
	"without",
	"split",
	"expect_broken",
	"defects",
	"parameters",
	"order",
	"failover",
	"or_broken",
	"leftovers",
	NULL,
};
static const char *const orders[] = {"total", "per-region", NULL};

static void read_rest(struct reader *r, const config_setting_t *root)
{
	struct pl_scenario *scenario = r->scenario;
	r->topology->order = pl_conf_choice(r->conf, root, "order", orders, r->topology->order);
	read_promise(r, root);
	config_setting_t *list = pl_conf_list(r->conf, root, "parameters", false);
	for (int i = 0; list && i < config_setting_length(list) && !r->conf->failed; i++)
		read_parameters(r, config_setting_get_elem(list, (unsigned)i));
	list = pl_conf_list(r->conf, root, "steps", true);
	for (int i = 0; list && i < config_setting_length(list) && !r->conf->failed; i++)
		read_step(r, config_setting_get_elem(list, (unsigned)i));
	scenario->failover = pl_conf_number(r->conf, root, "failover", 0, 1) == 1;
	r->topology->machines[r->topology->driver].params.scenario = scenario;
}

static void read_file(struct reader *r, const char *dir, const char *name)
{
	struct pl_conf *conf = r->conf;
	struct pl_scenario *scenario = r->scenario;
	config_setting_t *root = pl_conf_root(conf);
	char path[512], error[512];
	pl_conf_only(conf, root, file_keys);
	snprintf(
		scenario->name, sizeof(scenario->name), "%s", pl_conf_text(conf, root, "name", NULL)
	);
	snprintf(
		scenario->about,
		sizeof(scenario->about),
		"%s",
		pl_conf_text(conf, root, "about", "")
	);
	const char *architecture = pl_conf_text(conf, root, "architecture", NULL);
	scenario->batch = (uint32_t)pl_conf_number(conf, root, "batch", 10, 1000);
	scenario->batches = (uint32_t)pl_conf_number(conf, root, "batches", 1, PL_BATCHES_MAX);
	if (scenario->batch == 0 || scenario->batches == 0)
		pl_conf_fail(conf, NULL, "batch and batches are at least 1");
	if (!conf->failed && strcmp(scenario->name, name) != 0)
		pl_conf_fail(
			conf, config_setting_get_member(root, "name"), "the name is not the file's"
		);
	if (strchr(architecture, '/') || architecture[0] == '.')
		pl_conf_fail(
			conf,
			config_setting_get_member(root, "architecture"),
			"an architecture is a name, no path"
		);
	if (conf->failed)
		return;
	snprintf(path, sizeof(path), "%s/architectures/%s.conf", dir, architecture);
	uint32_t ids = scenario->batch * scenario->batches;
	if (pl_topology_read(r->topology, path, ids, error, sizeof(error)) != 0) {
		snprintf(conf->error, conf->bytes, "%s", error);
		conf->failed = true;
		return;
	}
	read_rest(r, root);
}

int pl_scenario_read(
	struct pl_scenario *scenario,
	struct pl_topology *topology,
	const char *dir,
	const char *name,
	char *error,
	size_t bytes
)
{
	struct pl_conf conf;
	char path[512];
	memset(scenario, 0, sizeof(*scenario));
	struct reader r = {.conf = &conf, .scenario = scenario, .topology = topology};
	snprintf(path, sizeof(path), "%s/scenarios/%s.conf", dir, name);
	if (pl_conf_open(&conf, path, error, bytes))
		read_file(&r, dir, name);
	pl_conf_close(&conf);
	return conf.failed ? -1 : 0;
}
