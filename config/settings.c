/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Loading: the joined source goes through libconfig, one walk takes each value through its row of
 * the schema, the lcores follow when the numbers of queues and workers are known, and the relations
 * come last. Nothing stops at the first mistake but a syntax error, behind which there is no tree.
 */
#include "config/settings.h"

#include "config/check.h"
#include "config/errors.h"
#include "config/lcores.h"
#include "config/relations.h"
#include "config/schema.h"
#include "config/source.h"
#include "config/values.h"

#include <libconfig.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct loader {
	config_t config;
	struct cfg_source source;
	struct cfg_settings *settings;
	struct cfg_errors *errors;
	bool seen[CFG_MAX_ROWS];
	bool bad[CFG_MAX_ROWS]; /* written in the file, and refused */
	config_setting_t *lcores;
};

/* ---------------------------------------------------------------- places and types */

static struct cfg_source_line where(const struct loader *loader, const config_setting_t *setting)
{
	return cfg_source_where(&loader->source, config_setting_source_line(setting));
}

static struct cfg_origin origin_of(const struct loader *loader, const config_setting_t *setting)
{
	struct cfg_source_line line = where(loader, setting);
	return (struct cfg_origin){.file = line.file, .line = line.line};
}

#define DENY(loader, setting, ...)                                                                \
	cfg_errors_add_at(                                                                        \
		(loader)->errors, (loader)->settings, origin_of((loader), (setting)), __VA_ARGS__ \
	)

static const char *type_name(const config_setting_t *setting)
{
	switch (config_setting_type(setting)) {
	case CONFIG_TYPE_GROUP:
		return "a group { }";
	case CONFIG_TYPE_LIST:
		return "a list ( )";
	case CONFIG_TYPE_ARRAY:
		return "an array [ ]";
	case CONFIG_TYPE_INT:
	case CONFIG_TYPE_INT64:
		return "an integer";
	case CONFIG_TYPE_FLOAT:
		return "a number with a fraction";
	case CONFIG_TYPE_BOOL:
		return "true or false";
	case CONFIG_TYPE_STRING:
		return "a string";
	default:
		return "something else";
	}
}

static bool is_integer(const config_setting_t *setting)
{
	int type = config_setting_type(setting);
	return type == CONFIG_TYPE_INT || type == CONFIG_TYPE_INT64;
}

static bool is_string(const config_setting_t *setting)
{
	return config_setting_type(setting) == CONFIG_TYPE_STRING;
}

static bool is_sequence(const config_setting_t *setting)
{
	int type = config_setting_type(setting);
	return type == CONFIG_TYPE_ARRAY || type == CONFIG_TYPE_LIST;
}

/* ---------------------------------------------------------------- values */

static void deny_type(
	struct loader *loader,
	const struct cfg_row *row,
	const config_setting_t *setting,
	const char *shown
)
{
	char wanted[CFG_WHY_BYTES];

	cfg_value_wanted(row, wanted);
	if (is_integer(setting) && (row->type == CFG_TYPE_DURATION || row->type == CFG_TYPE_SIZE))
		DENY(loader, setting, "%s: the unit is missing: expected %.300s", shown, wanted);
	else
		DENY(loader,
		     setting,
		     "%s: expected %.300s, found %s",
		     shown,
		     wanted,
		     type_name(setting));
}

static bool take_scalar(
	struct loader *loader,
	const struct cfg_row *row,
	const config_setting_t *setting,
	const char *shown,
	void *base
)
{
	char why[CFG_WHY_BYTES];
	bool number = row->type == CFG_TYPE_INTEGER;
	bool taken;

	if (number ? !is_integer(setting) : !is_string(setting)) {
		deny_type(loader, row, setting, shown);
		return false;
	}
	if (number && where(loader, setting).overflow)
		return false; /* The source's scan has said what is wrong. */
	if (!number)
		taken = cfg_value_from_text(row, config_setting_get_string(setting), base, why);
	else if (config_setting_type(setting) == CONFIG_TYPE_INT)
		taken = cfg_value_from_number(row, config_setting_get_int(setting), base, why);
	else
		taken = cfg_value_from_number(row, config_setting_get_int64(setting), base, why);
	if (!taken)
		DENY(loader, setting, "%s: %s", shown, why);
	return taken;
}

static bool add_text(
	struct loader *loader,
	const struct cfg_row *row,
	const char *text,
	struct cfg_lcore *lcore,
	char why[CFG_WHY_BYTES]
)
{
	if (lcore)
		return cfg_agents_add(loader->settings, lcore, text, why, CFG_WHY_BYTES);
	if (row->type == CFG_TYPE_ENDPOINTS)
		return cfg_value_add_endpoint(row, text, loader->settings, why);
	if (row->type == CFG_TYPE_ROUTES)
		return cfg_value_add_route(row, text, loader->settings, why);
	return cfg_value_add_eal_arg(row, text, loader->settings, why);
}

/* Arrays of strings: EAL arguments, endpoints, names, or the agents of an lcore. */
static bool take_texts(
	struct loader *loader,
	const struct cfg_row *row,
	config_setting_t *setting,
	const char *shown,
	struct cfg_lcore *lcore
)
{
	char why[CFG_WHY_BYTES];
	bool good = true;

	if (!is_sequence(setting)) {
		deny_type(loader, row, setting, shown);
		return false;
	}
	for (int i = 0; i < config_setting_length(setting); i++) {
		const config_setting_t *item = config_setting_get_elem(setting, (unsigned)i);
		if (!is_string(item)) {
			DENY(loader, item, "%s: expected strings, found %s", shown, type_name(item)
			);
			good = false;
			continue;
		}
		const char *text = config_setting_get_string(item);
		bool added = add_text(loader, row, text, lcore, why);
		if (!added)
			DENY(loader, item, "%s: %s", shown, why);
		good &= added;
	}
	return good;
}

static void
take(struct loader *loader,
     const struct cfg_row *row,
     config_setting_t *setting,
     const char *shown,
     struct cfg_lcore *lcore)
{
	uint32_t index = cfg_row_index(row);
	void *base = lcore ? (void *)lcore : (void *)loader->settings;
	bool texts = cfg_row_is_list(row) || row->type == CFG_TYPE_AGENTS;
	bool good = texts ? take_texts(loader, row, setting, shown, lcore)
			  : take_scalar(loader, row, setting, shown, base);

	loader->seen[index] = true;
	if (!good)
		loader->bad[index] = true;
	else if (!lcore)
		loader->settings->origins[index] = origin_of(loader, setting);
}

/* ---------------------------------------------------------------- the walk */

static void deny_unknown(
	struct loader *loader, const config_setting_t *setting, const char *path, const char *shown
)
{
	char hint[CFG_PATH_BYTES], quoted[CFG_QUOTED_BYTES];
	const char *kind = config_setting_is_group(setting) ? "group" : "setting";

	if (cfg_path_nearest(path, hint))
		DENY(loader,
		     setting,
		     "unknown %s %s; did you mean \"%s\"?",
		     kind,
		     cfg_quote(shown, quoted),
		     hint);
	else
		DENY(loader, setting, "unknown %s %s", kind, cfg_quote(shown, quoted));
}

/* prefix is "" or ends in '.'; its length is bounded by the table's paths. */
static void walk_group(struct loader *loader, config_setting_t *group, const char *prefix)
{
	char path[CFG_TEXT_BYTES], inside[CFG_TEXT_BYTES + 4];

	for (int i = 0; i < config_setting_length(group); i++) {
		config_setting_t *setting = config_setting_get_elem(group, (unsigned)i);
		const char *name = config_setting_name(setting);
		snprintf(path, sizeof(path), "%s%.128s", prefix, name ? name : "");
		const struct cfg_row *row = cfg_row_find(path);
		if (row) {
			take(loader, row, setting, path, NULL);
			continue;
		}
		snprintf(inside, sizeof(inside), "%s.", path);
		if (strcmp(path, CFG_LCORES) == 0 && is_sequence(setting)) {
			loader->lcores = setting;
		} else if (strcmp(path, CFG_LCORES) == 0) {
			DENY(loader,
			     setting,
			     "%s: expected a list of groups ( { }, … ), found %s",
			     path,
			     type_name(setting));
			loader->bad[cfg_row_index(cfg_row_find(CFG_LCORES "[].agents"))] = true;
		} else if (!cfg_path_is_prefix(inside)) {
			deny_unknown(loader, setting, path, path);
		} else if (!config_setting_is_group(setting)) {
			DENY(loader,
			     setting,
			     "%s: expected a group { }, found %s",
			     path,
			     type_name(setting));
		} else {
			walk_group(loader, setting, inside);
		}
	}
}

/* ---------------------------------------------------------------- lcores */

static void take_lcore(struct loader *loader, config_setting_t *group, uint32_t index)
{
	struct cfg_lcore *lcore = &loader->settings->lcores[index];
	const struct cfg_row *agents = cfg_row_find(CFG_LCORES "[].agents");
	char path[CFG_TEXT_BYTES], shown[CFG_TEXT_BYTES];
	bool has_agents = false;

	*lcore = (struct cfg_lcore){.cpus = "any", .idle = loader->settings->idle};
	loader->settings->lcore_origins[index] = origin_of(loader, group);
	for (int i = 0; i < config_setting_length(group); i++) {
		config_setting_t *setting = config_setting_get_elem(group, (unsigned)i);
		const char *name = config_setting_name(setting);
		snprintf(path, sizeof(path), CFG_LCORES "[].%.128s", name ? name : "");
		snprintf(shown, sizeof(shown), CFG_LCORES "[%u].%.128s", index, name ? name : "");
		const struct cfg_row *row = cfg_row_find(path);
		if (!row) {
			deny_unknown(loader, setting, path, shown);
			continue;
		}
		if (row == agents) {
			has_agents = config_setting_length(setting) > 0 || !is_sequence(setting);
			loader->settings->lcore_origins[index] = origin_of(loader, setting);
		}
		take(loader, row, setting, shown, lcore);
	}
	if (!has_agents)
		DENY(loader, group, CFG_LCORES "[%u]: names no agents", index);
}

/* A journal that is named nowhere reads the arena where the sequencer fills it. */
static void place_journal(struct cfg_settings *settings)
{
	for (uint32_t i = 0; i < settings->lcore_count; i++) {
		if (settings->lcores[i].journal)
			return;
	}
	for (uint32_t i = 0; i < settings->lcore_count; i++) {
		if (settings->lcores[i].sequencer) {
			settings->lcores[i].journal = true;
			return;
		}
	}
}

static void take_lcores(struct loader *loader)
{
	struct cfg_settings *settings = loader->settings;
	uint32_t agents = cfg_row_index(cfg_row_find(CFG_LCORES "[].agents"));
	/* With a refused number of workers the names cannot be judged: accept all that exist. */
	uint16_t rx_queues = settings->client.rx_queues;
	uint32_t workers = settings->workers;

	cfg_place_all(settings);
	if (!loader->lcores || config_setting_length(loader->lcores) == 0)
		return;
	if (loader->bad[cfg_row_index(cfg_row_find("client.rx_queues"))])
		settings->client.rx_queues = CFG_MAX_INGRESS;
	if (loader->bad[cfg_row_index(cfg_row_find("dataplane.workers"))])
		settings->workers = CFG_MAX_WORKERS;
	settings->lcore_count = 0;
	for (int i = 0; i < config_setting_length(loader->lcores); i++) {
		config_setting_t *item = config_setting_get_elem(loader->lcores, (unsigned)i);
		if (!config_setting_is_group(item)) {
			DENY(loader,
			     item,
			     CFG_LCORES "[%d]: expected a group { }, found %s",
			     i,
			     type_name(item));
			loader->bad[agents] = true;
		} else if (settings->lcore_count == CFG_MAX_LCORES) {
			DENY(loader, item, CFG_LCORES ": more than %d", CFG_MAX_LCORES);
			loader->bad[agents] = true;
			break;
		} else {
			take_lcore(loader, item, settings->lcore_count++);
		}
	}
	place_journal(settings);
	settings->client.rx_queues = rx_queues;
	settings->workers = workers;
}

/* ---------------------------------------------------------------- loading */

/* A group's line, when there is one, is the best place for what is missing in it. */
static void check_required(struct loader *loader)
{
	for (uint32_t i = 0; i < cfg_row_count; i++) {
		const struct cfg_row *row = &cfg_rows[i];
		char group[CFG_PATH_BYTES];
		struct cfg_origin origin = {0};

		if (!(row->flags & CFG_REQUIRED) || loader->seen[i] || cfg_row_is_of_lcore(row))
			continue;
		loader->bad[i] = true;
		if (loader->source.incomplete)
			continue; /* It may be in the include that could not be read. */
		snprintf(group, sizeof(group), "%.*s", (int)strcspn(row->path, "."), row->path);
		const config_setting_t *found = config_lookup(&loader->config, group);
		if (found)
			origin = origin_of(loader, found);
		cfg_errors_add_at(
			loader->errors,
			loader->settings,
			origin,
			"%s: required and missing (for example %s)",
			row->path,
			row->preset
		);
	}
}

static bool parse(struct loader *loader)
{
	/* Our scan has put the includes in place; a folder that cannot be keeps libconfig from
	 * opening anything of its own. */
	config_set_include_dir(&loader->config, "/dev/null/none");
	if (config_read_string(&loader->config, loader->source.text))
		return true;
	struct cfg_source_line line =
		cfg_source_where(&loader->source, (unsigned)config_error_line(&loader->config));
	const char *text = config_error_text(&loader->config);
	bool syntax = !text || strcmp(text, "syntax error") == 0;
	cfg_errors_add(
		loader->errors,
		loader->source.files[line.file - 1],
		line.line,
		"%s; nothing more was checked",
		syntax ? "syntax error here or just before (name = value; or name: { ... };)" : text
	);
	return false;
}

static void load(struct loader *loader, const char *path)
{
	cfg_source_read(&loader->source, path, loader->errors);
	memcpy(loader->settings->files, loader->source.files, sizeof(loader->source.files));
	if (loader->source.broken || !parse(loader))
		return;
	walk_group(loader, config_root_setting(&loader->config), "");
	take_lcores(loader);
	check_required(loader);
	cfg_relations_check(loader->settings, loader->bad, loader->errors);
}

bool cfg_load(const char *path, struct cfg_settings *settings, struct cfg_errors *errors)
{
	struct loader loader = {.settings = settings, .errors = errors};
	size_t before = errors->found;

	cfg_defaults(settings);
	config_init(&loader.config);
	load(&loader, path);
	config_destroy(&loader.config);
	cfg_source_free(&loader.source);
	return errors->found == before;
}

void cfg_defaults(struct cfg_settings *settings)
{
	char why[CFG_WHY_BYTES];

	memset(settings, 0, sizeof(*settings));
	for (uint32_t i = 0; i < cfg_row_count; i++) {
		const struct cfg_row *row = &cfg_rows[i];
		if (cfg_row_is_list(row) || cfg_row_is_of_lcore(row))
			continue;
		CHECK(cfg_value_from_text(row, row->preset, settings, why)); /* our own table */
	}
	cfg_place_all(settings);
}

const char *cfg_find(const char *argument)
{
	static const char *const places[] = {"./standfast.conf", "/etc/standfast/standfast.conf"};
	const char *named = argument ? argument : getenv("STANDFAST_CONFIG");

	if (named && (argument || named[0]))
		return named;
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		if (access(places[i], F_OK) == 0)
			return places[i];
	}
	return NULL;
}
