/* SPDX-License-Identifier: BSD-3-Clause
 *
 * `standfast check` and `config`: what the configuration file says.
 */
#include "control/cli.h"

#include <string.h>

static void check_draw(const json_t *tree, FILE *to)
{
	fprintf(to, "%s: OK\n", cli_get_text(tree, "file"));
}

int cli_check(struct cli *cli)
{
	int result = cli_load(cli);
	if (result != SF_EXIT_OK)
		return result;
	json_t *tree = json_object();
	cli_set_text(tree, "file", cli->config_path);
	json_object_set_new(tree, "ok", json_true());
	cli_show(cli, tree, check_draw);
	return SF_EXIT_OK;
}

int cli_config(struct cli *cli)
{
	if (!cli->operand || strcmp(cli->operand, "dump") != 0)
		return cli_fail(cli, SF_EXIT_USAGE, "say: standfast config dump [--docs]");
	if (cli->docs) {
		cfg_dump_docs(stdout);
		return SF_EXIT_OK;
	}
	int result = cli_load(cli);
	if (result == SF_EXIT_OK)
		cfg_dump(&cli->settings, stdout);
	return result;
}
