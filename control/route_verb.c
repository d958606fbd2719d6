/* SPDX-License-Identifier: BSD-3-Clause
 *
 * standfast route: which endpoint a name stands for, the health of its endpoints, and switching by
 * hand. Control answers it.
 */
#include "control/api.h"
#include "control/ask.h"
#include "control/cli.h"

#include <inttypes.h>
#include <string.h>

static void draw_name(const json_t *name, FILE *to)
{
	const json_t *endpoint;
	size_t i;
	uint64_t answer = cli_get(name, "answer");
	fprintf(to,
		"%s  %s, %s, TTL %" PRIu64 " s\n",
		cli_get_text(name, "name"),
		cli_get_text(name, "policy"),
		cli_get_text(name, "kind"),
		cli_get(name, "ttl_s"));
	if (json_is_false(json_object_get(name, "known")))
		fprintf(to,
			"    NOTHING IS KNOWN: this node does not run; ask the other one's "
			"control\n");
	json_array_foreach(json_object_get(name, "endpoints"), i, endpoint)
	{
		bool unhealthy = json_is_false(json_object_get(endpoint, "healthy"));
		bool offline = json_is_true(json_object_get(endpoint, "offline"));
		fprintf(to,
			"  %s %" PRIu64 "  %s:%" PRIu64 "%s%s  %s%s, answered %" PRIu64,
			answer == cli_get(endpoint, "number") ? "→" : " ",
			cli_get(endpoint, "number"),
			cli_get_text(endpoint, "address"),
			cli_get(endpoint, "port"),
			*cli_get_text(endpoint, "label") ? " " : "",
			cli_get_text(endpoint, "label"),
			json_is_null(json_object_get(endpoint, "healthy")) ? "not known"
			: unhealthy					   ? "UNHEALTHY"
									   : "healthy",
			offline ? ", OFFLINE" : "",
			cli_get(endpoint, "picked"));
		if (strcmp(cli_get_text(name, "policy"), "weighted") == 0)
			fprintf(to, ", weight %" PRIu64, cli_get(endpoint, "weight"));
		fprintf(to, "\n");
	}
}

static void draw_counters(const json_t *counters, FILE *to)
{
	static const char *const blocks[] = {"sockets", "answers"};
	for (size_t i = 0; i < 2; i++) {
		const char *key, *between = " ";
		json_t *count, *block = json_object_get(counters, blocks[i]);
		fprintf(to, "%s  ", blocks[i]);
		json_object_foreach(block, key, count)
		{
			if (json_integer_value(count) == 0)
				continue;
			fprintf(to, "%s%s %lld", between, key, (long long)json_integer_value(count)
			);
			between = ", ";
		}
		fprintf(to, "\n");
	}
}

static void draw_status(const json_t *tree, FILE *to)
{
	const json_t *name;
	size_t i;
	fprintf(to,
		"zone %s, answered on %s port %" PRIu64 "\n",
		cli_get_text(tree, "zone"),
		cli_get_text(tree, "address"),
		cli_get(tree, "port"));
	json_array_foreach(json_object_get(tree, "names"), i, name) draw_name(name, to);
	draw_counters(json_object_get(tree, "counters"), to);
}

static void draw_pick(const json_t *tree, FILE *to)
{
	fprintf(to,
		"%s:%" PRIu64 "%s\n",
		cli_get_text(tree, "address"),
		cli_get(tree, "port"),
		json_is_true(json_object_get(tree, "healthy")) ? "" : " UNHEALTHY");
}

int cli_route(struct cli *cli)
{
	char words[CTL_API_LINE_BYTES], error[512];
	int code;
	cli_draw *draw = draw_name;
	if (cli->operand == NULL)
		return cli_fail(
			cli,
			SF_EXIT_USAGE,
			"route pick NAME, status [NAME], switch|offline|online NAME ENDPOINT, or "
			"weight NAME ENDPOINT N"
		);
	if (strcmp(cli->operand, "pick") == 0)
		draw = draw_pick;
	else if (strcmp(cli->operand, "status") == 0)
		draw = draw_status;
	int bytes = snprintf(words, sizeof(words), "route %s", cli->operand);
	for (size_t i = 0; i < 3 && cli->more[i] && bytes < (int)sizeof(words); i++)
		bytes +=
			snprintf(words + bytes, sizeof(words) - (size_t)bytes, " %s", cli->more[i]);
	if (bytes >= (int)sizeof(words) - 1 || strpbrk(words, "\r\n"))
		return cli_fail(
			cli, SF_EXIT_USAGE, "no name is so long, or has more than one line"
		);
	int result = cli_load(cli);
	if (result != SF_EXIT_OK)
		return result;
	json_t *tree = ctl_ask(&cli->settings, words, &code, error, sizeof(error));
	if (tree == NULL)
		return cli_fail(cli, code, "%s", error);
	if (!json_is_true(json_object_get(tree, "ok"))) {
		result = cli_fail(
			cli, (int)cli_get(tree, "code"), "%s", cli_get_text(tree, "error")
		);
		json_decref(tree);
		return result;
	}
	json_object_del(tree, "ok");
	cli_show(cli, tree, draw);
	return SF_EXIT_OK;
}
