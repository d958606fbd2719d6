/* SPDX-License-Identifier: BSD-3-Clause
 *
 * An architecture's file in three passes: each component makes its machines, then what one names of
 * another becomes addresses, then the chain is walked from the source to the destination, which
 * shows whether it is one.
 */
#include "tests/pipeline/topology.h"

#include "tests/pipeline/conf.h"

#include <stdio.h>

enum shape {
	SHAPE_SINGLE,	/* one machine, of no region */
	SHAPE_REGIONAL, /* one in each region */
	SHAPE_DATABASE, /* a front, its members and replicators */
};

struct component_kind {
	const char *name;
	const struct pl_kind *kind;
	enum shape shape;
	uint32_t members, replicators;
};

static const struct component_kind kinds[] = {
	{"dns", &pl_dns, SHAPE_SINGLE, 0, 0},
	{"source", &pl_source, SHAPE_SINGLE, 0, 0},
	{"destination", &pl_destination, SHAPE_SINGLE, 0, 0},
	{"queue", &pl_queue, SHAPE_REGIONAL, 0, 0},
	{"stream", &pl_stream, SHAPE_REGIONAL, 0, 0},
	{"container", &pl_container, SHAPE_REGIONAL, 0, 0},
	{"stream-container", &pl_stream_container, SHAPE_REGIONAL, 0, 0},
	{"api-container", &pl_api_container, SHAPE_REGIONAL, 0, 0},
	{"async-pair", &pl_async_pair, SHAPE_DATABASE, 2, 1},
	{"global-table", &pl_global_table, SHAPE_DATABASE, 2, 2},
	{"majority-triple", &pl_majority_triple, SHAPE_DATABASE, 3, 0},
};

/* ---- parameters ---- */

struct parameter {
	const char *name;
	size_t offset;
	uint32_t bytes;
	uint64_t most;
};

#define NS_MOST 3600000000000ull
#define PARAMETER(field, limit)                                          \
	{                                                                \
#field, offsetof(struct pl_params, field),               \
			sizeof(((struct pl_params *)NULL)->field), limit \
	}
static const struct parameter parameters[] = {
	PARAMETER(probe_min_ns, NS_MOST),
	PARAMETER(probe_max_ns, NS_MOST),
	PARAMETER(poll_ns, NS_MOST),
	PARAMETER(ttl_ns, NS_MOST),
	PARAMETER(step_ns, NS_MOST),
	PARAMETER(capacity, 65536),
	PARAMETER(consumers, 2),
	PARAMETER(outage, 2),
};
#define PARAMETERS (sizeof(parameters) / sizeof(parameters[0]))

const char *const pl_parameter_names[] = {
	"probe_min_ns",
	"probe_max_ns",
	"poll_ns",
	"ttl_ns",
	"step_ns",
	"capacity",
	"consumers",
	"outage",
	NULL,
};

bool pl_parameter_set(struct pl_params *params, const char *name, uint64_t value)
{
	for (uint32_t i = 0; i < PARAMETERS; i++) {
		const struct parameter *p = &parameters[i];
		if (strcmp(p->name, name) != 0)
			continue;
		if (value > p->most)
			return false;
		/* Little-endian, as all machines that this runs on: the low bytes come first. */
		memcpy((char *)params + p->offset, &value, p->bytes);
		return true;
	}
	return false;
}

/* Times of the explorer, where one delivery takes 1 µs: a probe comes back between two records'
 * worth of deliveries and one batch's, so the schedules of interest are short. */
static void defaults(struct pl_params *params, uint32_t ids)
{
	*params = (struct pl_params){
		.probe_min_ns = 50000,
		.probe_max_ns = 800000,
		.poll_ns = 400000,
		.capacity = ids + 16,
		.ids = ids,
		.input = PL_NOBODY,
		.database = PL_NOBODY,
		.output = PL_NOBODY,
		.next = PL_NOBODY,
		.through = PL_NOBODY,
	};
	memset(params->members, PL_NOBODY, sizeof(params->members));
	memset(params->replicators, PL_NOBODY, sizeof(params->replicators));
	memset(params->endpoints, PL_NOBODY, sizeof(params->endpoints));
}

/* ---- names ---- */

uint8_t pl_topology_find(const struct pl_topology *topology, const char *name)
{
	for (uint32_t i = 0; i < topology->count; i++)
		if (strcmp(topology->machines[i].name, name) == 0)
			return (uint8_t)i;
	return PL_NOBODY;
}

static const struct component_kind *kind_named(const char *name)
{
	for (uint32_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (strcmp(kinds[i].name, name) == 0)
			return &kinds[i];
	return NULL;
}

uint64_t pl_topology_match(const struct pl_topology *topology, const char *name)
{
	uint8_t exact = pl_topology_find(topology, name);
	uint64_t found = exact == PL_NOBODY ? 0 : 1ull << exact;
	const struct component_kind *kind = kind_named(name);
	size_t length = strlen(name);
	for (uint32_t i = 0; i < topology->count; i++) {
		const struct pl_machine *machine = &topology->machines[i];
		bool regional = strncmp(machine->name, name, length) == 0 &&
				machine->name[length] == '.' && machine->params.region > 0;
		bool member = machine->kind == &pl_member || machine->kind == &pl_replicator;
		if ((regional && !member) || (kind && machine->kind == kind->kind))
			found |= 1ull << i;
	}
	return found;
}

/* ---- the passes ---- */

struct reader {
	struct pl_conf *conf;
	struct pl_topology *topology;
	uint32_t ids;
};

static struct pl_machine *
add(struct reader *r,
    const config_setting_t *at,
    const struct pl_kind *kind,
    const char *name,
    const char *suffix,
    uint32_t region)
{
	struct pl_topology *t = r->topology;
	char full[2 * PL_NAME_BYTES];
	snprintf(full, sizeof(full), "%s%s", name, suffix);
	if (t->count == PL_MACHINES_MAX)
		pl_conf_fail(r->conf, at, "more than %d machines", PL_MACHINES_MAX);
	else if (strlen(full) >= PL_NAME_BYTES || full[0] == 0)
		pl_conf_fail(r->conf, at, "a name has 1 to %d letters", PL_NAME_BYTES - 5);
	else if (pl_topology_find(t, full) != PL_NOBODY)
		pl_conf_fail(r->conf, at, "%s is there twice", full);
	if (r->conf->failed)
		return NULL;
	struct pl_machine *machine = &t->machines[t->count];
	memcpy(machine->name, full, strlen(full) + 1);
	machine->kind = kind;
	defaults(&machine->params, r->ids);
	machine->params.self = (uint8_t)t->count++;
	machine->params.region = (uint8_t)region;
	return machine;
}

static void set_parameters(struct reader *r, const config_setting_t *group, uint64_t machines)
{
	for (uint32_t i = 0; i < PARAMETERS; i++) {
		const char *name = parameters[i].name;
		if (!config_setting_get_member(group, name))
			continue;
		uint64_t value = pl_conf_number(r->conf, group, name, 0, parameters[i].most);
		for (uint32_t m = 0; m < r->topology->count; m++)
			if (machines >> m & 1)
				pl_parameter_set(&r->topology->machines[m].params, name, value);
	}
}

static void
make_database(struct reader *r, const config_setting_t *at, const struct component_kind *kind)
{
	static const char *const members[] = {".1", ".2", ".3"};
	static const char *const replicators[] = {".1-2", ".2-1"};
	const char *name = pl_conf_text(r->conf, at, "name", NULL);
	struct pl_machine *front = add(r, at, kind->kind, name, "", 0);
	for (uint32_t i = 0; i < kind->members; i++) {
		struct pl_machine *member = add(r, at, &pl_member, name, members[i], i + 1);
		if (!member)
			return;
		member->params.database = front->params.self;
		front->params.members[i] = member->params.self;
	}
	for (uint32_t i = 0; i < kind->replicators; i++) {
		struct pl_machine *machine =
			add(r, at, &pl_replicator, name, replicators[i], i + 1);
		if (!machine)
			return;
		memcpy(machine->params.members, front->params.members, PL_REGIONS_MAX);
		machine->params.database = front->params.self;
		/* It carries to the other side of the one that it is named after first. */
		machine->params.output = front->params.members[1 - i];
		front->params.replicators[i] = machine->params.self;
	}
}

static const char *const component_keys[] = {
	"name",
	"kind",
	"policy",
	"endpoints",
	"through",
	"input",
	"database",
	"output",
	"next",
	"capacity",
	"ttl_ns",
	"poll_ns",
	"step_ns",
	"probe_min_ns",
	"probe_max_ns",
	"consumers",
	"outage",
	NULL,
};

static void make(struct reader *r, const config_setting_t *at)
{
	if (!config_setting_is_group(at)) {
		pl_conf_fail(r->conf, at, "each component is a group: { name = …; kind = …; }");
		return;
	}
	pl_conf_only(r->conf, at, component_keys);
	const char *name = pl_conf_text(r->conf, at, "name", NULL);
	const char *kind_name = pl_conf_text(r->conf, at, "kind", NULL);
	const struct component_kind *kind = kind_named(kind_name);
	char quoted[CFG_QUOTED_BYTES];
	if (!kind)
		pl_conf_fail(r->conf, at, "no such kind: %s", cfg_quote(kind_name, quoted));
	if (r->conf->failed)
		return;
	uint32_t before = r->topology->count;
	if (kind->shape == SHAPE_SINGLE) {
		add(r, at, kind->kind, name, "", 0);
	} else if (kind->shape == SHAPE_REGIONAL) {
		add(r, at, kind->kind, name, ".1", 1);
		add(r, at, kind->kind, name, ".2", 2);
	} else {
		make_database(r, at, kind);
	}
	if (!r->conf->failed)
		set_parameters(r, at, UINT64_MAX << before);
}

/* The address that `key` of a component names, in `region` where there is one in each. */
static uint8_t
address(struct reader *r, const config_setting_t *at, const char *key, uint32_t region)
{
	const char *name = pl_conf_text(r->conf, at, key, "");
	if (name[0] == 0)
		return PL_NOBODY;
	char full[2 * PL_NAME_BYTES];
	snprintf(full, sizeof(full), "%.*s.%u", PL_NAME_BYTES, name, region);
	uint8_t found = pl_topology_find(r->topology, full);
	uint8_t single = pl_topology_find(r->topology, name);
	if (single != PL_NOBODY)
		return single; /* a database's front has the name, its members have numbers */
	char quoted[CFG_QUOTED_BYTES];
	if (found == PL_NOBODY)
		pl_conf_fail(
			r->conf,
			config_setting_get_member(at, key),
			"%s names %s, which is not here",
			key,
			cfg_quote(name, quoted)
		);
	return found;
}

static const char *const policies[] = {"failover", "alternate", "weighted", NULL};

static void link_machine(struct reader *r, const config_setting_t *at, struct pl_machine *machine)
{
	struct pl_params *params = &machine->params;
	uint32_t region = params->region ? params->region : 1;
	params->input = address(r, at, "input", region);
	if (params->database == PL_NOBODY)
		params->database = address(r, at, "database", region);
	params->output = address(r, at, "output", region);
	params->next = address(r, at, "next", region);
	params->through = address(r, at, "through", region);
	if (machine->kind != &pl_dns)
		return;
	params->policy = (uint8_t)pl_conf_choice(r->conf, at, "policy", policies, 0);
	pl_conf_text(r->conf, at, "endpoints", NULL);
	params->endpoints[0] = address(r, at, "endpoints", 1);
	params->endpoints[1] = address(r, at, "endpoints", 2);
	params->endpoint_count = 2;
}

static void link_component(struct reader *r, const config_setting_t *at)
{
	char full[2 * PL_NAME_BYTES];
	const char *name = pl_conf_text(r->conf, at, "name", NULL);
	uint8_t single = pl_topology_find(r->topology, name);
	if (single != PL_NOBODY) {
		link_machine(r, at, &r->topology->machines[single]);
		return;
	}
	for (uint32_t region = 1; region <= 2; region++) {
		snprintf(full, sizeof(full), "%.*s.%u", PL_NAME_BYTES, name, region);
		uint8_t found = pl_topology_find(r->topology, full);
		if (found != PL_NOBODY)
			link_machine(r, at, &r->topology->machines[found]);
	}
}

/* ---- the chain ---- */

static uint8_t only_one(struct reader *r, const struct pl_kind *kind, const char *what)
{
	uint8_t found = PL_NOBODY;
	for (uint32_t i = 0; i < r->topology->count; i++) {
		if (r->topology->machines[i].kind != kind)
			continue;
		if (found != PL_NOBODY)
			pl_conf_fail(r->conf, NULL, "two machines are a %s", what);
		found = (uint8_t)i;
	}
	if (found == PL_NOBODY)
		pl_conf_fail(r->conf, NULL, "no machine is a %s", what);
	return found;
}

static bool is(const struct reader *r, uint8_t at, const struct pl_kind *kind)
{
	return at < r->topology->count && r->topology->machines[at].kind == kind;
}

static bool is_transport(const struct reader *r, uint8_t at)
{
	return is(r, at, &pl_queue) || is(r, at, &pl_stream);
}

static bool is_database(const struct reader *r, uint8_t at)
{
	return is(r, at, &pl_async_pair) || is(r, at, &pl_global_table) ||
	       is(r, at, &pl_majority_triple);
}

static const struct pl_machine *reader_of(const struct reader *r, uint8_t transport)
{
	for (uint32_t i = 0; i < r->topology->count; i++)
		if (r->topology->machines[i].params.input == transport &&
		    r->topology->machines[i].kind != &pl_driver)
			return &r->topology->machines[i];
	return NULL;
}

/* One step along a region's chain; returns where it goes on, or PL_NOBODY at its end. */
static uint8_t walk(struct reader *r, uint8_t at, uint32_t region)
{
	struct pl_topology *t = r->topology;
	const struct pl_machine *worker = &t->machines[at];
	if (is_transport(r, at)) {
		if (t->transport_count == PL_STAGES_MAX) {
			pl_conf_fail(r->conf, NULL, "more than %d queues in a row", PL_STAGES_MAX);
			return PL_NOBODY;
		}
		t->transports[t->transport_count++][region] = at;
		worker = reader_of(r, at);
		if (!worker)
			return PL_NOBODY;
	}
	if (!is_database(r, worker->params.database)) {
		pl_conf_fail(r->conf, NULL, "%s has no database", worker->name);
		return PL_NOBODY;
	}
	if (t->database_count == PL_STAGES_MAX) {
		pl_conf_fail(r->conf, NULL, "more than %d databases in a row", PL_STAGES_MAX);
		return PL_NOBODY;
	}
	t->databases[t->database_count++] = worker->params.database;
	uint8_t next =
		worker->params.next != PL_NOBODY ? worker->params.next : worker->params.output;
	if (!is_transport(r, next) && !is(r, next, &pl_api_container))
		pl_conf_fail(r->conf, NULL, "%s leads nowhere", worker->name);
	return next;
}

static void walk_chain(struct reader *r)
{
	struct pl_topology *t = r->topology;
	t->in_dns = t->machines[t->source].params.through;
	t->out_dns = t->machines[t->destination].params.through;
	if (!is(r, t->in_dns, &pl_dns) || !is(r, t->out_dns, &pl_dns)) {
		pl_conf_fail(r->conf, NULL, "source and destination need a dns: through = …");
		return;
	}
	for (uint32_t region = 0; region < 2 && !r->conf->failed; region++) {
		uint8_t at = t->machines[t->in_dns].params.endpoints[region];
		uint32_t steps = 0, transports = t->transport_count;
		t->transport_count = t->database_count = 0;
		if (!is_transport(r, at) && !is(r, at, &pl_api_container))
			pl_conf_fail(
				r->conf, NULL, "%s has no endpoints", t->machines[t->in_dns].name
			);
		while (at != PL_NOBODY && !r->conf->failed && steps++ < PL_MACHINES_MAX)
			at = walk(r, at, region);
		if (r->conf->failed)
			return;
		if (at != PL_NOBODY || t->transport_count == 0)
			pl_conf_fail(r->conf, NULL, "the chain has no end");
		else if (t->transports[t->transport_count - 1][region] !=
			 t->machines[t->out_dns].params.endpoints[region])
			pl_conf_fail(
				r->conf,
				NULL,
				"the chain does not end where %s points",
				t->machines[t->out_dns].name
			);
		else if (region == 1 && transports != t->transport_count)
			pl_conf_fail(r->conf, NULL, "the two regions' chains differ");
	}
}

static void finish(struct reader *r)
{
	struct pl_topology *t = r->topology;
	t->source = only_one(r, &pl_source, "source");
	t->destination = only_one(r, &pl_destination, "destination");
	struct pl_machine *driver = add(r, NULL, &pl_driver, "driver", "", 0);
	if (!driver || r->conf->failed)
		return;
	t->driver = driver->params.self;
	driver->params.through = t->source;
	walk_chain(r);
	if (r->conf->failed)
		return;
	struct pl_params *params = &t->machines[t->destination].params;
	if (params->consumers == 0)
		params->consumers =
			t->machines[t->out_dns].params.policy == CTL_ROUTE_FAILOVER ? 1 : 2;
	struct pl_params *source = &t->machines[t->source].params;
	uint8_t first = t->machines[t->in_dns].params.endpoints[0];
	if (is(r, first, &pl_api_container))
		source->next = first;
	if (source->ttl_ns == 0)
		source->ttl_ns = t->machines[t->in_dns].params.ttl_ns;
}

static const char *const file_keys[] = {
	"name",
	"order",
	"components",
	"capacity",
	"ttl_ns",
	"poll_ns",
	"step_ns",
	"outage",
	"consumers",
	"probe_min_ns",
	"probe_max_ns",
	NULL,
};
static const char *const orders[] = {"total", "per-region", NULL};

static void read_file(struct reader *r)
{
	struct pl_topology *t = r->topology;
	config_setting_t *root = pl_conf_root(r->conf);
	pl_conf_only(r->conf, root, file_keys);
	snprintf(t->name, sizeof(t->name), "%s", pl_conf_text(r->conf, root, "name", NULL));
	t->order = pl_conf_choice(r->conf, root, "order", orders, PL_ORDER_TOTAL);
	config_setting_t *list = pl_conf_list(r->conf, root, "components", true);
	uint32_t count = list ? (uint32_t)config_setting_length(list) : 0;
	for (uint32_t i = 0; i < count && !r->conf->failed; i++)
		make(r, config_setting_get_elem(list, i));
	/* A component's own parameters go before the file's. */
	if (!r->conf->failed)
		set_parameters(r, root, UINT64_MAX);
	for (uint32_t i = 0; i < count && !r->conf->failed; i++) {
		const config_setting_t *at = config_setting_get_elem(list, i);
		const char *name = pl_conf_text(r->conf, at, "name", NULL);
		set_parameters(r, at, pl_topology_match(t, name));
		link_component(r, at);
	}
	if (!r->conf->failed)
		finish(r);
}

int pl_topology_read(
	struct pl_topology *topology, const char *path, uint32_t ids, char *error, size_t bytes
)
{
	struct pl_conf conf;
	memset(topology, 0, sizeof(*topology));
	struct reader r = {.conf = &conf, .topology = topology, .ids = ids};
	if (pl_conf_open(&conf, path, error, bytes))
		read_file(&r);
	pl_conf_close(&conf);
	return conf.failed ? -1 : 0;
}
