/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/cli.h"

#include <signal.h>
#include <stdarg.h>
#include <time.h>

int cli_fail(const struct cli *cli, int code, const char *format, ...)
{
	char text[1024];
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	fprintf(stderr, "standfast %s: %s\n", cli->verb, text);
	if (cli->json) {
		json_t *tree = json_object();
		cli_set_text(tree, "error", text);
		cli_show(cli, tree, NULL);
	}
	return code;
}

int cli_load(struct cli *cli)
{
	struct cfg_errors errors = {0};
	cli->config_path = cfg_find(cli->config);
	if (!cli->config_path)
		return cli_fail(
			cli,
			SF_EXIT_CONFIG,
			"no configuration found: name one with -c FILE or in $STANDFAST_CONFIG"
		);
	bool good = cfg_load(cli->config_path, &cli->settings, &errors);
	size_t count = errors.count;
	if (!good)
		cfg_errors_print(&errors, stderr);
	cfg_errors_free(&errors);
	if (good)
		return SF_EXIT_OK;
	return cli_fail(
		cli,
		SF_EXIT_CONFIG,
		"%zu error%s in %s",
		count,
		count == 1 ? "" : "s",
		cli->config_path
	);
}

int cli_attach(struct cli *cli)
{
	char error[512];
	int result = cli_load(cli);
	if (result != SF_EXIT_OK)
		return result;
	if (!dp_shm_alive(&cli->settings))
		return cli_fail(
			cli, SF_EXIT_NOT_RUNNING, "node %s: not running", cli->settings.node.name
		);
	if (dp_shm_attach_file(&cli->settings, false, &cli->shm, error, sizeof(error)) < 0)
		return cli_fail(
			cli, SF_EXIT_NOT_RUNNING, "node %s: %s", cli->settings.node.name, error
		);
	return SF_EXIT_OK;
}

void cli_show(const struct cli *cli, json_t *tree, cli_draw *draw)
{
	if (cli->json) {
		json_dumpf(tree, stdout, cli->watch ? JSON_COMPACT : JSON_INDENT(2));
		putchar('\n');
	} else if (draw) {
		draw(tree, stdout);
	}
	fflush(stdout);
	json_decref(tree);
}

bool cli_wait_a_second(void)
{
	struct timespec second = {.tv_sec = 1};
	return nanosleep(&second, NULL) == 0 && !ferror(stdout);
}

void cli_set(json_t *object, const char *key, uint64_t value)
{
	json_object_set_new(object, key, json_integer((json_int_t)value));
}

void cli_set_text(json_t *object, const char *key, const char *value)
{
	json_object_set_new(object, key, json_string(value));
}

uint64_t cli_get(const json_t *object, const char *key)
{
	return (uint64_t)json_integer_value(json_object_get(object, key));
}

const char *cli_get_text(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));
	return text ? text : "";
}
