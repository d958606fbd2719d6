/* SPDX-License-Identifier: BSD-3-Clause
 *
 * How the files of architectures/ and scenarios/ are read: libconfig behind the product's own
 * reader of configuration text, which finds what libconfig 1.5 would end the process for or get
 * wrong.
 *
 * The first error stands, as a sentence that names file and line; after it every question is
 * answered with its default, so a reader asks on and looks once at the end.
 */
#pragma once

#include "config/errors.h"
#include "config/source.h"

#include <libconfig.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pl_conf {
	config_t config;
	struct cfg_source source;
	char *error; /* the caller's, `bytes` long */
	size_t bytes;
	bool failed;
	char path[256];
};

/* False: it cannot be read, and the error says why; pl_conf_close() is due in any case. */
bool pl_conf_open(struct pl_conf *conf, const char *path, char *error, size_t bytes);
void pl_conf_close(struct pl_conf *conf);
config_setting_t *pl_conf_root(struct pl_conf *conf);

/* `at` may be NULL: the file as a whole. */
void pl_conf_fail(struct pl_conf *conf, const config_setting_t *at, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* A member of a group. `fallback` NULL: it must be there. The text lives as long as the file. */
const char *pl_conf_text(
	struct pl_conf *conf, const config_setting_t *group, const char *key, const char *fallback
);
/* 0 … most. */
uint64_t pl_conf_number(
	struct pl_conf *conf,
	const config_setting_t *group,
	const char *key,
	uint64_t fallback,
	uint64_t most
);
/* The number of a name in a list of names (NULL-terminated); `fallback` when it is not there. */
uint32_t pl_conf_choice(
	struct pl_conf *conf,
	const config_setting_t *group,
	const char *key,
	const char *const *names,
	uint32_t fallback
);
/* Every member is one of `keys` (NULL-terminated). */
void pl_conf_only(struct pl_conf *conf, const config_setting_t *group, const char *const *keys);
/* A list or array under the group; NULL when it is missing, with an error if it `must` be there. */
config_setting_t *
pl_conf_list(struct pl_conf *conf, const config_setting_t *group, const char *key, bool must);
/* The text of an element of a list. "" when it is none. */
const char *pl_conf_element(struct pl_conf *conf, const config_setting_t *list, uint32_t index);

bool pl_setting_number(const config_setting_t *setting, uint64_t *number);
