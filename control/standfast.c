/* SPDX-License-Identifier: BSD-3-Clause
 *
 * standfast: the operator's command. One row per verb; each verb is in a file of its own.
 */
#include "config/nearest.h"
#include "control/cli.h"

#include <getopt.h>
#include <stdlib.h>
#include <string.h>

enum option_bit {
	OPT_JSON = 1,
	OPT_WATCH = 2,
	OPT_ALL = 4,
	OPT_DOCS = 8,
	OPT_AT = 16,
	OPT_HGRM = 32,
	OPT_FORCE = 64,
	OPT_FOLLOW = 128,
	OPT_CLUSTER = 256 /* not a letter of getopt's */
};

static const struct {
	const char *name, *form, *summary;
	unsigned options; /* enum option_bit, besides -c and --help */
	int operands;	  /* words that may follow */
	int (*run)(struct cli *cli);
} verbs[] = {
	{"status",
	 "status [--json] [--watch]",
	 "both nodes as this one sees them",
	 OPT_JSON | OPT_WATCH,
	 0,
	 cli_status},
	{"is-primary", "is-primary", "exit 0: yes, 1: no, 3: not running", 0, 0, cli_is_primary},
	{"latency",
	 "latency [--watch] [--hgrm DIR] [--json]",
	 "what latency is made of, per stage; --watch: of each second; --hgrm: also as files",
	 OPT_JSON | OPT_WATCH | OPT_HGRM,
	 0,
	 cli_latency},
	{"counters",
	 "counters [--all] [--json]",
	 "what was done, dropped and refused; --all: zeros too (JSON always has them)",
	 OPT_JSON | OPT_ALL,
	 0,
	 cli_counters},
	{"events",
	 "events [--follow] [--json]",
	 "changes of role and mode, and why; --follow: goes on with what comes",
	 OPT_JSON | OPT_FOLLOW,
	 0,
	 cli_events},
	{"digest",
	 "digest [--at current|N] [--json]",
	 "the state's digest: equal on both nodes at the same sequence",
	 OPT_JSON | OPT_AT,
	 0,
	 cli_digest},
	{"log",
	 "log info|verify|dump|diff [DIR [DIR2]] [--at N] [--json]",
	 "a node's log, also offline: what it holds; is it whole; its entries (from N on); the "
	 "first "
	 "difference of two",
	 OPT_JSON | OPT_AT,
	 3,
	 cli_log},
	{"role",
	 "role [DIR] [--json]",
	 "a node's role record, also offline: what it remembers of its role, and is it whole",
	 OPT_JSON,
	 1,
	 cli_role},
	{"switchover",
	 "switchover [--json]",
	 "hands the primary's role to its standby: nothing is lost, and no outcome unknown",
	 OPT_JSON,
	 0,
	 cli_switchover},
	{"promote",
	 "promote --force --cluster ID [--json]",
	 "makes this node primary whatever the other one may hold; says what may be lost",
	 OPT_JSON | OPT_FORCE | OPT_CLUSTER,
	 0,
	 cli_promote},
	{"init",
	 "init [--json]",
	 "founds a pair of two blank nodes, with this one as its first primary",
	 OPT_JSON,
	 0,
	 cli_init},
	{"maintenance",
	 "maintenance on|off",
	 "on: no role changes by itself, also after a restart; stops in good order still do",
	 0,
	 1,
	 cli_maintenance},
	{"recover",
	 "recover [--force] [--json]",
	 "gives a stopped node an empty log again, as a learner; what it held goes to quarantine",
	 OPT_JSON | OPT_FORCE,
	 0,
	 cli_recover},
	{"route",
	 "route pick NAME | status [NAME] | switch|offline|online NAME ENDPOINT | weight NAME "
	 "ENDPOINT N [--json]",
	 "the name server: which endpoint a name means now; the endpoints' health; switching by "
	 "hand",
	 OPT_JSON,
	 4,
	 cli_route},
	{"check", "check -c FILE", "all errors of a configuration file", OPT_JSON, 0, cli_check},
	{"config",
	 "config dump [--docs]",
	 "effective settings with their origin; --docs: what can be set",
	 OPT_DOCS,
	 1,
	 cli_config},
	{"doctor",
	 "doctor [--json]",
	 "is this host fit: memory, CPUs, links, scheduling gaps (takes 2 s)",
	 OPT_JSON,
	 0,
	 cli_doctor},
};
#define VERBS (sizeof(verbs) / sizeof(verbs[0]))

static void help(FILE *to)
{
	fprintf(to, "usage: standfast VERB [-c FILE]\n\n");
	for (size_t i = 0; i < VERBS; i++)
		fprintf(to, "  %-42s %s\n", verbs[i].form, verbs[i].summary);
	fprintf(to,
		"\nThe node is the one of the configuration: -c FILE, else $STANDFAST_CONFIG,\n"
		"./standfast.conf, /etc/standfast/standfast.conf.\n"
		"Exit codes: 0 ok or yes, 1 failed or no, 2 usage, 3 not running, 4 data problem,\n"
		"5 refused, 78 configuration.\n");
}

static int unknown_verb(const char *given)
{
	uint32_t best = 2 + (uint32_t)strlen(given) / 4;
	const char *near = NULL;
	for (size_t i = 0; i < VERBS; i++) {
		uint32_t distance = cfg_name_distance(given, verbs[i].name);
		if (distance <= best) {
			best = distance;
			near = verbs[i].name;
		}
	}
	fprintf(stderr, "standfast: no verb \"%s\" in this version", given);
	if (near)
		fprintf(stderr, "; did you mean \"%s\"?", near);
	fprintf(stderr, "\nstandfast --help lists them\n");
	return SF_EXIT_USAGE;
}

static int usage_of(const char *form)
{
	fprintf(stderr, "usage: standfast %s\n", form);
	return SF_EXIT_USAGE;
}

struct words {
	unsigned options;
	bool help, bad;
};

/* Reads the options wherever they stand; what each verb takes is checked afterwards. */
static struct words parse(int argc, char **argv, struct cli *cli)
{
	static const struct option options[] = {
		{"config", required_argument, NULL, 'c'},
		{"json", no_argument, NULL, OPT_JSON},
		{"watch", no_argument, NULL, OPT_WATCH},
		{"all", no_argument, NULL, OPT_ALL},
		{"docs", no_argument, NULL, OPT_DOCS},
		{"at", required_argument, NULL, OPT_AT},
		{"hgrm", required_argument, NULL, OPT_HGRM},
		{"force", no_argument, NULL, OPT_FORCE},
		{"follow", no_argument, NULL, OPT_FOLLOW},
		{"cluster", required_argument, NULL, OPT_CLUSTER},
		{"help", no_argument, NULL, 'h'},
		{"version", no_argument, NULL, 'V'},
		{0},
	};
	struct words words = {0};
	for (int option; (option = getopt_long(argc, argv, "c:h", options, NULL)) != -1;) {
		if (option == '?') {
			words.bad = true;
		} else if (option == 'c') {
			cli->config = optarg;
		} else if (option == 'h') {
			words.help = true;
		} else if (option == 'V') {
			printf("standfast %s\n", SF_VERSION);
			exit(SF_EXIT_OK);
		} else {
			words.options |= (unsigned)option;
			if (option == OPT_AT)
				cli->at = optarg;
			if (option == OPT_HGRM)
				cli->hgrm = optarg;
			if (option == OPT_CLUSTER)
				cli->cluster = optarg;
		}
	}
	cli->json = words.options & OPT_JSON;
	cli->watch = words.options & OPT_WATCH;
	cli->all = words.options & OPT_ALL;
	cli->docs = words.options & OPT_DOCS;
	cli->force = words.options & OPT_FORCE;
	cli->follow = words.options & OPT_FOLLOW;
	return words;
}

int main(int argc, char **argv)
{
	static struct cli cli;
	struct words words = parse(argc, argv, &cli);
	int operands = argc - optind;
	if (operands == 0) {
		help(words.help ? stdout : stderr);
		return words.help ? SF_EXIT_OK : SF_EXIT_USAGE;
	}
	cli.verb = argv[optind];
	cli.operand = operands > 1 ? argv[optind + 1] : NULL;
	for (int i = 0; i < 3 && operands > 2 + i; i++)
		cli.more[i] = argv[optind + 2 + i];
	for (size_t i = 0; i < VERBS; i++) {
		if (strcmp(verbs[i].name, cli.verb) != 0)
			continue;
		if (words.help) {
			printf("usage: standfast %s\n\n%s\n", verbs[i].form, verbs[i].summary);
			return SF_EXIT_OK;
		}
		bool extra = operands > 1 + verbs[i].operands;
		if (words.bad || extra || (words.options & ~verbs[i].options))
			return usage_of(verbs[i].form);
		int result = verbs[i].run(&cli);
		dp_shm_detach(cli.shm);
		return result;
	}
	return unknown_verb(cli.verb);
}
