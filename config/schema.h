/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The schema table: one row per setting (the idea of Redis's config.c). Loading, range checks,
 * defaults, digest, dump and reference text all come from it, so a new setting is a field in
 * settings.h and a row in schema.c. Private to config/.
 */
#pragma once

#include "config/settings.h"

#define CFG_PATH_BYTES 64
#define CFG_LCORES "dataplane.lcores" /* the one list of groups; its rows begin with "…[]." */

enum cfg_type {
	CFG_TYPE_INTEGER,
	CFG_TYPE_DURATION, /* text with unit, kept in ns */
	CFG_TYPE_SIZE,	   /* text with unit, kept in bytes */
	CFG_TYPE_WORD,	   /* one of words, kept as enum */
	/* With the default "none" or "auto", these two may also be that, kept as "". */
	CFG_TYPE_NAME,	    /* letters, digits, '.', '_', '-': may be part of a file name */
	CFG_TYPE_PATH,	    /* absolute */
	CFG_TYPE_MAC,	    /* "02:00:00:00:00:01", or "auto" kept as zeros */
	CFG_TYPE_IPV4,	    /* "10.77.0.1"; with the default "none" also that, kept as 0 */
	CFG_TYPE_DEVICE,    /* as enum cfg_device says; the field is a struct cfg_port */
	CFG_TYPE_TEXTS,	    /* array of EAL arguments */
	CFG_TYPE_ENDPOINTS, /* array of the arbiter's "http://HOST:PORT" */
	CFG_TYPE_ROUTES,    /* array of names of the zone, as config/routes.h says */
	CFG_TYPE_CPUS,	    /* "3", "0-1", "any" */
	CFG_TYPE_AGENTS,    /* array of agent names; the field is a struct cfg_lcore */
};

enum cfg_row_flags {
	CFG_REQUIRED = 1,     /* preset is an example, not a default */
	CFG_SAME = 2,	      /* must be equal on both nodes: part of the digest */
	CFG_POWER_OF_TWO = 4, /* integers */
	CFG_HEX = 8,	      /* integers: written in hexadecimal */
};

struct cfg_word {
	const char *text; /* NULL ends the list */
	uint32_t value;
};

struct cfg_row {
	const char *path; /* "client.mtu", "dataplane.lcores[].cpus" */
	enum cfg_type type;
	uint32_t flags;
	const char *preset; /* as in the file, without quotes; NULL: see help */
	uint64_t min, max;  /* integers, durations (ns), sizes (bytes) */
	const char *unit;   /* of integers, for people; may be NULL */
	const struct cfg_word *words;
	size_t offset, bytes; /* of the field in cfg_settings, or in cfg_lcore */
	const char *help;
};

extern const struct cfg_row cfg_rows[];
extern const uint32_t cfg_row_count; /* at most CFG_MAX_ROWS */

/* The row of a path, or NULL. */
const struct cfg_row *cfg_row_find(const char *path);
uint32_t cfg_row_index(const struct cfg_row *row);

/* Does any path begin with this ("client.", "dataplane.lcores[].")? */
bool cfg_path_is_prefix(const char *prefix);

/* Is the row's field in cfg_lcore? */
bool cfg_row_is_of_lcore(const struct cfg_row *row);

/* Is it an array of strings of the node? */
bool cfg_row_is_list(const struct cfg_row *row);

/* The nearest known name for an unknown path, for a hint: its last part when it is in the same
 * group, else the whole path. False when nothing is near. */
bool cfg_path_nearest(const char *path, char hint[CFG_PATH_BYTES]);
