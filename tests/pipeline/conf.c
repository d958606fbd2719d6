/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/pipeline/conf.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void keep(struct pl_conf *conf, const char *file, int line, const char *text)
{
	if (conf->failed)
		return;
	conf->failed = true;
	if (line > 0)
		snprintf(conf->error, conf->bytes, "%s:%d: %s", file, line, text);
	else
		snprintf(conf->error, conf->bytes, "%s: %s", file, text);
}

bool pl_conf_open(struct pl_conf *conf, const char *path, char *error, size_t bytes)
{
	*conf = (struct pl_conf){.error = error, .bytes = bytes};
	snprintf(conf->path, sizeof(conf->path), "%s", path);
	config_init(&conf->config);
	struct cfg_errors errors = {0};
	cfg_source_read(&conf->source, path, &errors);
	if (errors.count > 0)
		keep(conf, errors.items[0].file, errors.items[0].line, errors.items[0].text);
	else if (conf->source.broken)
		keep(conf, path, 0, "cannot be read");
	cfg_errors_free(&errors);
	if (conf->failed)
		return false;
	if (config_read_string(&conf->config, conf->source.text) == CONFIG_TRUE)
		return true;
	struct cfg_source_line at =
		cfg_source_where(&conf->source, (unsigned)config_error_line(&conf->config));
	keep(conf, conf->source.files[at.file - 1], at.line, config_error_text(&conf->config));
	return false;
}

void pl_conf_close(struct pl_conf *conf)
{
	config_destroy(&conf->config);
	cfg_source_free(&conf->source);
}

config_setting_t *pl_conf_root(struct pl_conf *conf)
{
	return config_root_setting(&conf->config);
}

void pl_conf_fail(struct pl_conf *conf, const config_setting_t *at, const char *format, ...)
{
	char text[320];
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	unsigned line = at ? config_setting_source_line(at) : 0;
	if (line == 0) {
		keep(conf, conf->path, 0, text);
		return;
	}
	struct cfg_source_line from = cfg_source_where(&conf->source, line);
	keep(conf, conf->source.files[from.file - 1], from.line, text);
}

const char *pl_conf_text(
	struct pl_conf *conf, const config_setting_t *group, const char *key, const char *fallback
)
{
	const config_setting_t *setting = config_setting_get_member(group, key);
	if (!setting) {
		if (!fallback)
			pl_conf_fail(conf, group, "%s is missing", key);
		return fallback ? fallback : "";
	}
	const char *text = config_setting_get_string(setting);
	if (!text)
		pl_conf_fail(conf, setting, "%s must be a text in quotes", key);
	return text ? text : fallback ? fallback : "";
}

bool pl_setting_number(const config_setting_t *setting, uint64_t *number)
{
	int type = config_setting_type(setting);
	if (type != CONFIG_TYPE_INT && type != CONFIG_TYPE_INT64)
		return false;
	int64_t value = type == CONFIG_TYPE_INT ? config_setting_get_int(setting)
						: config_setting_get_int64(setting);
	if (value < 0)
		return false;
	*number = (uint64_t)value;
	return true;
}

uint64_t pl_conf_number(
	struct pl_conf *conf,
	const config_setting_t *group,
	const char *key,
	uint64_t fallback,
	uint64_t most
)
{
	const config_setting_t *setting = config_setting_get_member(group, key);
	uint64_t number;
	if (!setting)
		return fallback;
	if (pl_setting_number(setting, &number) && number <= most)
		return number;
	pl_conf_fail(
		conf,
		setting,
		"%s must be a whole number from 0 to %llu",
		key,
		(unsigned long long)most
	);
	return fallback;
}

uint32_t pl_conf_choice(
	struct pl_conf *conf,
	const config_setting_t *group,
	const char *key,
	const char *const *names,
	uint32_t fallback
)
{
	const config_setting_t *setting = config_setting_get_member(group, key);
	if (!setting)
		return fallback;
	const char *text = pl_conf_text(conf, group, key, "");
	char all[200] = "";
	for (uint32_t i = 0; names[i]; i++) {
		if (strcmp(names[i], text) == 0)
			return i;
		size_t used = strlen(all);
		snprintf(all + used, sizeof(all) - used, "%s%s", i ? ", " : "", names[i]);
	}
	char quoted[CFG_QUOTED_BYTES];
	pl_conf_fail(
		conf, setting, "%s cannot be %s; it is one of %s", key, cfg_quote(text, quoted), all
	);
	return fallback;
}

void pl_conf_only(struct pl_conf *conf, const config_setting_t *group, const char *const *keys)
{
	for (int i = 0; i < config_setting_length(group); i++) {
		const config_setting_t *member = config_setting_get_elem(group, (unsigned)i);
		const char *name = config_setting_name(member);
		bool known = false;
		for (uint32_t j = 0; keys[j] && name; j++)
			known |= strcmp(keys[j], name) == 0;
		if (!known)
			pl_conf_fail(conf, member, "%s means nothing here", name ? name : "this");
	}
}

config_setting_t *
pl_conf_list(struct pl_conf *conf, const config_setting_t *group, const char *key, bool must)
{
	config_setting_t *setting = config_setting_get_member(group, key);
	if (!setting) {
		if (must)
			pl_conf_fail(conf, group, "%s is missing", key);
		return NULL;
	}
	if (config_setting_is_list(setting) || config_setting_is_array(setting))
		return setting;
	pl_conf_fail(conf, setting, "%s must be a list: ( … ) or [ … ]", key);
	return NULL;
}

const char *pl_conf_element(struct pl_conf *conf, const config_setting_t *list, uint32_t index)
{
	const config_setting_t *element = config_setting_get_elem(list, index);
	const char *text = element ? config_setting_get_string(element) : NULL;
	if (!text)
		pl_conf_fail(
			conf, element ? element : list, "each element must be a text in quotes"
		);
	return text ? text : "";
}
