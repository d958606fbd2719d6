/* SPDX-License-Identifier: BSD-3-Clause
 *
 * standfast-relay: stands between two ports of the laboratory and forwards frames both ways, with
 * seeded faults for each direction that can be changed while it runs (relay_control.h).
 */
#include "config/devices.h"
#include "config/exit_codes.h"
#include "dataplane/eal.h"
#include "dataplane/idle.h"
#include "deploy/relay_control.h"
#include "deploy/relay_way.h"

#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define MAX_SETS 8
#define MAX_EAL_ARGS 16
/* Often enough for a person, rare enough for the frames. */
#define CONTROL_INTERVAL_NS 200000

static const char usage[] =
	"usage: standfast-relay --a DEVICE --b DEVICE [--control PATH] [--seed N] [--mtu BYTES]\n"
	"                       [--idle yield|spin|pause|backoff|sleep] [--cpus LIST]\n"
	"                       [--descriptors N] [--set 'WAY FAULT=VALUE ...'] [--no-hugepages]\n"
	"                       [-- EAL ARGUMENTS]\n"
	"       standfast-relay --send PATH COMMAND\n"
	"DEVICE is memif-client:PATH, memif-server:PATH, af_packet:IFACE, a PCI address, ...;\n"
	"WAY is a-b, b-a or both; COMMAND is cut WAY, heal [WAY], set WAY FAULT=VALUE ...,\n"
	"clear [WAY], stats or quit; FAULT is loss, dup, reorder, corrupt, truncate (0 to 1)\n"
	"or delay_us.\n";

struct options {
	struct cfg_port ports[2];
	bool has_port[2];
	const char *control;
	const char *cpus;
	uint64_t seed;
	enum cfg_idle idle;
	bool no_hugepages;
	unsigned set_count;
	const char *sets[MAX_SETS];
	uint32_t eal_arg_count;
	const char *eal_args[MAX_EAL_ARGS];
};

static volatile sig_atomic_t stopped;

static void on_signal(int unused)
{
	stopped = 1;
}

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

/* ---- options ---- */

static bool parse_number(const char *text, uint64_t most, uint64_t *number)
{
	char *end;

	if (*text < '0' || *text > '9')
		return false;
	*number = strtoull(text, &end, 10);
	return *end == 0 && *number <= most;
}

static bool parse_idle(const char *text, enum cfg_idle *idle)
{
	for (int i = CFG_IDLE_SPIN; i <= CFG_IDLE_SLEEP; i++) {
		if (strcmp(text, dp_idle_name((enum cfg_idle)i)) == 0) {
			*idle = (enum cfg_idle)i;
			return true;
		}
	}
	return false;
}

static bool parse_device(struct options *options, int end, const char *text)
{
	const char *fault = cfg_parse_device(text, &options->ports[end]);

	options->has_port[end] = fault == NULL;
	if (fault)
		fprintf(stderr, "standfast-relay: \"%s\" %s\n", text, fault);
	return options->has_port[end];
}

static bool parse_option(struct options *options, int letter, const char *value)
{
	uint64_t number;

	switch (letter) {
	case 'a':
		return parse_device(options, 0, value);
	case 'b':
		return parse_device(options, 1, value);
	case 'c':
		options->control = value;
		return true;
	case 's':
		return parse_number(value, UINT64_MAX, &options->seed);
	case 'm':
		if (!parse_number(value, DP_MAX_FRAME_BYTES, &number))
			return false;
		options->ports[0].mtu_bytes = options->ports[1].mtu_bytes = (uint16_t)number;
		return true;
	case 'd':
		if (!parse_number(value, 16384, &number))
			return false;
		options->ports[0].descriptors = options->ports[1].descriptors = (uint16_t)number;
		return true;
	case 'i':
		return parse_idle(value, &options->idle);
	case 'p':
		options->cpus = value;
		return true;
	case 'n':
		options->no_hugepages = true;
		return true;
	case 'f':
		if (options->set_count == MAX_SETS)
			return false;
		options->sets[options->set_count++] = value;
		return true;
	default:
		return false;
	}
}

static bool parse_options(int argc, char **argv, struct options *options)
{
	static const struct option longs[] = {
		{"a", required_argument, NULL, 'a'},
		{"b", required_argument, NULL, 'b'},
		{"control", required_argument, NULL, 'c'},
		{"seed", required_argument, NULL, 's'},
		{"mtu", required_argument, NULL, 'm'},
		{"descriptors", required_argument, NULL, 'd'},
		{"idle", required_argument, NULL, 'i'},
		{"cpus", required_argument, NULL, 'p'},
		{"set", required_argument, NULL, 'f'},
		{"no-hugepages", no_argument, NULL, 'n'},
		{0},
	};
	int letter;

	while ((letter = getopt_long_only(argc, argv, "+", longs, NULL)) != -1) {
		if (!parse_option(options, letter, optarg)) {
			if (letter != '?')
				fprintf(stderr, "standfast-relay: \"%s\" is not possible\n", optarg
				);
			return false;
		}
	}
	while (optind < argc && options->eal_arg_count < MAX_EAL_ARGS)
		options->eal_args[options->eal_arg_count++] = argv[optind++];
	return options->has_port[0] && options->has_port[1] && optind == argc;
}

/* ---- running ---- */

static bool start_eal(const struct options *options, uint32_t rx_mbufs, uint32_t tx_mbufs)
{
	char prefix[32], line[4096], error[8192];
	bool hugepages;
	uint64_t mbuf_bytes = options->ports[0].mtu_bytes + 1024u;
	struct dp_eal_needs needs = {
		.program = "standfast-relay",
		.prefix = prefix,
		.memory_bytes = 2 * (rx_mbufs + tx_mbufs + 4096) * mbuf_bytes + (32 << 20),
		.hugepages = options->no_hugepages ? CFG_OFF : CFG_AUTO,
		.pci = options->ports[0].kind == CFG_DEVICE_PCI ||
		       options->ports[1].kind == CFG_DEVICE_PCI,
		.lcore_count = 1,
		.cpus = {options->cpus},
		.extra_count = options->eal_arg_count,
		.extra = options->eal_args,
	};

	snprintf(prefix, sizeof(prefix), "sfrelay%d", (int)getpid());
	if (dp_eal_start(&needs, line, sizeof(line), &hugepages, error, sizeof(error)) == 0)
		return true;
	fprintf(stderr, "standfast-relay: %s\n", error);
	return false;
}

static bool open_ports(const struct options *options, struct dp_port *ports)
{
	struct dp_port_needs needs = {
		.owner = "relay",
		.rx_queues = 1,
		.tx_queues = 1,
		.rx_mbufs = 2 * RELAY_QUEUE_FRAMES,
		.tx_mbufs = RELAY_QUEUE_FRAMES,
		.promiscuous = true,
	};
	char error[1024];

	if (!start_eal(options, needs.rx_mbufs, needs.tx_mbufs))
		return false;
	for (int i = 0; i < 2; i++) {
		needs.name = i ? "b" : "a";
		if (dp_port_open(&options->ports[i], &needs, &ports[i], error, sizeof(error)) == 0)
			continue;
		fprintf(stderr, "standfast-relay: %s\n", error);
		if (i)
			dp_port_close(&ports[0]);
		return false;
	}
	return true;
}

static bool apply_sets(const struct options *options, struct relay_control *control)
{
	for (unsigned i = 0; i < options->set_count; i++) {
		char command[300], answer[RELAY_ANSWER_BYTES];
		snprintf(command, sizeof(command), "set %s", options->sets[i]);
		relay_control_execute(control, command, answer, sizeof(answer));
		if (strncmp(answer, "error", 5) == 0) {
			fprintf(stderr, "standfast-relay: --set: %s", answer);
			return false;
		}
	}
	return true;
}

static void relay(struct relay_way *ways, struct relay_control *control, enum cfg_idle strategy)
{
	struct dp_idle idle;
	uint64_t next_control_ns = 0;

	dp_idle_init(&idle, strategy);
	while (!stopped && !control->quit) {
		uint64_t now = now_ns();
		unsigned work = relay_way_poll(&ways[0], now);
		work += relay_way_poll(&ways[1], now);
		if (now >= next_control_ns) {
			next_control_ns = now + CONTROL_INTERVAL_NS;
			relay_control_poll(control);
		}
		dp_idle_round(&idle, work);
	}
}

int main(int argc, char **argv)
{
	static struct relay_way ways[2];
	struct options options = {.seed = 1, .idle = CFG_IDLE_YIELD};
	struct relay_control control = {.listener = -1, .ways = ways};
	struct dp_port ports[2];
	char error[512];

	if (argc == 4 && strcmp(argv[1], "--send") == 0)
		return relay_control_send(argv[2], argv[3]);
	if (argc == 2 && strcmp(argv[1], "--help") == 0) {
		fputs(usage, stdout);
		return SF_EXIT_OK;
	}
	for (int i = 0; i < 2; i++) {
		options.ports[i].mtu_bytes = 1500;
		options.ports[i].descriptors = 1024;
	}
	if (!parse_options(argc, argv, &options)) {
		fputs(usage, stderr);
		return SF_EXIT_USAGE;
	}
	signal(SIGINT, on_signal);
	signal(SIGTERM, on_signal);
	relay_way_init(&ways[0], "a-b", &ports[0], &ports[1], options.seed);
	relay_way_init(&ways[1], "b-a", &ports[1], &ports[0], ~options.seed);
	if (!apply_sets(&options, &control))
		return SF_EXIT_USAGE;
	if (!open_ports(&options, ports))
		return SF_EXIT_FAILED;
	int rc = 0;
	/* Last, so that whoever sees the socket finds a working relay. */
	if (options.control)
		rc = relay_control_open(&control, options.control, ways, error, sizeof(error));
	if (rc == 0)
		relay(ways, &control, options.idle);
	else
		fprintf(stderr, "standfast-relay: %s\n", error);
	relay_control_close(&control);
	relay_way_drain(&ways[0]);
	relay_way_drain(&ways[1]);
	dp_port_close(&ports[0]);
	dp_port_close(&ports[1]);
	return rc == 0 ? SF_EXIT_OK : SF_EXIT_FAILED;
}
