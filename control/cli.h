/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What the verbs of `standfast` share. A verb builds one tree of values; JSON is that tree printed,
 * text is drawn from the same tree. Results go to standard output, complaints to standard error,
 * and the exit code says what happened (config/exit_codes.h).
 *
 * The verbs that show a node read its memory file directly: they work when control is down, and
 * never disturb the data path.
 */
#pragma once

#include "config/exit_codes.h"
#include "config/settings.h"
#include "dataplane/shm.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

#define CLI_STUCK_NS 1000000000ull /* status not written for so long: the node is stuck */

struct cli {
	const char *verb;
	const char *operand;	 /* second word, or NULL */
	const char *more[3];	 /* those after it */
	const char *config;	 /* -c, or NULL */
	const char *config_path; /* the file in use, NULL when none was found */
	const char *at;
	const char *hgrm;
	const char *cluster; /* --cluster */
	bool json, watch, all, docs, force, follow;
	struct cfg_settings settings;
	struct dp_shm *shm; /* of a live node; NULL before cli_attach */
};

/* Draws a tree as text. */
typedef void cli_draw(const json_t *tree, FILE *to);

/* A complaint: on standard error, and with --json also {"error"} on standard output. Gives code. */
int cli_fail(const struct cli *cli, int code, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/* Finds and loads the configuration; SF_EXIT_CONFIG with all its errors said. */
int cli_load(struct cli *cli);
/* Loads, and maps the memory file of a node that lives; SF_EXIT_NOT_RUNNING. */
int cli_attach(struct cli *cli);
/* Prints a tree as JSON or text and lets go of it. */
void cli_show(const struct cli *cli, json_t *tree, cli_draw *draw);
/* Waits a second for --watch; false when the operator has had enough. */
bool cli_wait_a_second(void);

void cli_set(json_t *object, const char *key, uint64_t value);
void cli_set_text(json_t *object, const char *key, const char *value);
uint64_t cli_get(const json_t *object, const char *key);
/* "" when it is not a string. */
const char *cli_get_text(const json_t *object, const char *key);

/* One file each: */
int cli_status(struct cli *cli);
int cli_is_primary(struct cli *cli);
int cli_latency(struct cli *cli);
int cli_counters(struct cli *cli);
int cli_events(struct cli *cli);
int cli_digest(struct cli *cli);
int cli_check(struct cli *cli);
int cli_log(struct cli *cli);
int cli_role(struct cli *cli);
int cli_switchover(struct cli *cli);
int cli_promote(struct cli *cli);
int cli_init(struct cli *cli);
int cli_maintenance(struct cli *cli);
int cli_recover(struct cli *cli);
int cli_route(struct cli *cli);
int cli_config(struct cli *cli);
int cli_doctor(struct cli *cli);

/* All counters of a node, by block: {"ingress.0": {"frames": …}, …}. */
json_t *cli_counters_build(const struct dp_shm *shm);
/* Of these the ones that say why something was not served, without the zeros:
 * {"ingress.bad_request": 3}, summed over the ingresses. */
json_t *cli_rejected_build(const struct dp_shm *shm);
/* The log: its state for status, as JSON and as a line. */
json_t *cli_log_build(const struct dp_shm *shm);
void cli_log_draw(const json_t *tree, FILE *to);
