/* SPDX-License-Identifier: BSD-3-Clause
 *
 * `standfast digest` and `events`. The newest digest and that of a sequence are read from the
 * memory file; one of this very moment, and the events, are asked of control.
 */
#include "control/ask.h"
#include "control/cli.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* Asks control; complains when there is no good answer. The caller owns *tree. */
static int ask(struct cli *cli, const char *words, json_t **tree)
{
	char error[512];
	int code;
	*tree = ctl_ask(&cli->settings, words, &code, error, sizeof(error));
	if (!*tree)
		return cli_fail(cli, code, "%s", error);
	if (json_is_true(json_object_get(*tree, "ok")))
		return SF_EXIT_OK;
	code = (int)cli_get(*tree, "code");
	cli_fail(cli, code, "%s", cli_get_text(*tree, "error"));
	json_decref(*tree);
	*tree = NULL;
	return code > 0 && code < 256 ? code : SF_EXIT_FAILED;
}

static json_t *digest_build(uint64_t sequence, const char *digest)
{
	json_t *tree = json_object();
	cli_set(tree, "sequence", sequence);
	cli_set_text(tree, "digest", digest);
	return tree;
}

static void digest_draw(const json_t *tree, FILE *to)
{
	fprintf(to,
		"%s at sequence %" PRIu64 "\n",
		cli_get_text(tree, "digest"),
		cli_get(tree, "sequence"));
}

static int show_current(struct cli *cli)
{
	json_t *answer;
	int result = ask(cli, "digest current", &answer);
	if (result != SF_EXIT_OK)
		return result;
	cli_show(
		cli,
		digest_build(cli_get(answer, "sequence"), cli_get_text(answer, "digest")),
		digest_draw
	);
	json_decref(answer);
	return SF_EXIT_OK;
}

static int show_digest(struct cli *cli, uint64_t sequence, uint64_t digest)
{
	char text[24];
	snprintf(text, sizeof(text), "%016" PRIx64, digest);
	cli_show(cli, digest_build(sequence, text), digest_draw);
	return SF_EXIT_OK;
}

int cli_digest(struct cli *cli)
{
	uint64_t sequence = 0, digest;
	char *end = NULL;
	bool current = cli->at && strcmp(cli->at, "current") == 0;
	if (cli->at && !current) {
		errno = 0;
		sequence = strtoull(cli->at, &end, 10);
		if (errno || *end || end == cli->at || cli->at[0] < '0' || cli->at[0] > '9')
			return cli_fail(
				cli, SF_EXIT_USAGE, "--at takes \"current\" or a sequence number"
			);
	}
	int result = cli_attach(cli);
	if (result != SF_EXIT_OK)
		return result;
	if (current)
		return show_current(cli);
	if (cli->at && dp_shm_digest_at(cli->shm, sequence, &digest))
		return show_digest(cli, sequence, digest);
	if (cli->at)
		return cli_fail(
			cli,
			SF_EXIT_FAILED,
			"no digest at sequence %s: the last %d are kept, one per %" PRIu64
			" entries or on request",
			cli->at,
			DP_SHM_MAX_MARKS,
			cli->shm->digest_interval
		);
	if (dp_shm_digest(cli->shm, &sequence, &digest))
		return show_digest(cli, sequence, digest);
	return cli_fail(
		cli,
		SF_EXIT_FAILED,
		"no digest yet: the first comes at sequence %" PRIu64
		"; --at current makes one now",
		cli->shm->digest_interval
	);
}

/* --- Events --- */

static void draw_event(const json_t *event, FILE *to)
{
	fprintf(to,
		"%s  %-9s %-8s %s\n",
		cli_get_text(event, "at"),
		cli_get_text(event, "event"),
		cli_get_text(event, "mode"),
		cli_get_text(event, "text"));
}

static void events_draw(const json_t *tree, FILE *to)
{
	json_t *event;
	size_t i;
	json_array_foreach(json_object_get(tree, "events"), i, event) draw_event(event, to);
}

/* Those that are new, one a line; numbers that begin anew are another life of control. */
static void show_new(const struct cli *cli, const json_t *answer, uint64_t *last)
{
	json_t *event;
	size_t i;
	if (cli_get(answer, "total") < *last)
		*last = 0;
	json_array_foreach(json_object_get(answer, "events"), i, event)
	{
		if (cli_get(event, "number") <= *last)
			continue;
		if (cli->json)
			json_dumpf(event, stdout, JSON_COMPACT);
		else
			draw_event(event, stdout);
		if (cli->json)
			putchar('\n');
	}
	*last = cli_get(answer, "total");
	fflush(stdout);
}

/* Until the operator has had enough; a control that is away is waited for. */
static int follow_events(struct cli *cli)
{
	uint64_t last = 0;
	do {
		int code;
		char error[512];
		json_t *answer = ctl_ask(&cli->settings, "events", &code, error, sizeof(error));
		if (answer != NULL)
			show_new(cli, answer, &last);
		json_decref(answer);
	} while (cli_wait_a_second());
	return SF_EXIT_OK;
}

/* Control has them also when the dataplane is gone. */
int cli_events(struct cli *cli)
{
	json_t *answer;
	int result = cli_load(cli);
	if (result == SF_EXIT_OK && cli->follow)
		return follow_events(cli);
	if (result == SF_EXIT_OK)
		result = ask(cli, "events", &answer);
	if (result != SF_EXIT_OK)
		return result;
	json_object_del(answer, "ok");
	cli_show(cli, answer, events_draw);
	return SF_EXIT_OK;
}
