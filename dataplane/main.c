/* SPDX-License-Identifier: BSD-3-Clause
 *
 * standfast-dataplane -c FILE [-- EAL…]: start, watch, stop. The data lcores do the work; this
 * thread says what changed and keeps the slow figures of the status block.
 */
#include "config/exit_codes.h"
#include "config/log.h"
#include "dataplane/clock.h"
#include "dataplane/eal.h"
#include "dataplane/node.h"

#include <rte_eal.h>
#include <rte_launch.h>

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define LEAVE_NS 50000000ull	    /* for GOODBYE to go out, and answers that are under way */
#define ORDER_MOST_NS 5000000000ull /* for a stop in good order */
#define RECORD_MOST_NS 2000000000ull

static struct cfg_settings settings;
static struct dp_node node;

struct options {
	const char *file;
	int eal_count;
	char **eal;
};

static void usage(FILE *to)
{
	fputs("usage: standfast-dataplane -c FILE [-- EAL arguments]\n"
	      "Runs the data path of one node: client port, replication, assets.\n"
	      "  -c FILE     configuration (default: $STANDFAST_CONFIG, ./standfast.conf,\n"
	      "              /etc/standfast/standfast.conf)\n"
	      "  --version   print the version\n",
	      to);
}

static enum sf_exit parse_options(int argc, char **argv, struct options *options)
{
	static const struct option longs[] = {
		{"config", required_argument, NULL, 'c'},
		{"help", no_argument, NULL, 'h'},
		{"version", no_argument, NULL, 'v'},
		{0},
	};
	int c;
	while ((c = getopt_long(argc, argv, "c:h", longs, NULL)) != -1) {
		switch (c) {
		case 'c':
			options->file = optarg;
			break;
		case 'h':
			usage(stdout);
			exit(SF_EXIT_OK);
		case 'v':
			puts("standfast-dataplane " SF_VERSION);
			exit(SF_EXIT_OK);
		default:
			usage(stderr);
			return SF_EXIT_USAGE;
		}
	}
	options->eal_count = argc - optind;
	options->eal = argv + optind;
	if (options->eal_count > 0 && strcmp(argv[optind - 1], "--") != 0) {
		fprintf(stderr, "standfast-dataplane: unexpected \"%s\"\n", argv[optind]);
		usage(stderr);
		return SF_EXIT_USAGE;
	}
	return SF_EXIT_OK;
}

static enum sf_exit load(const struct options *options)
{
	struct cfg_errors errors = {0};
	const char *file = cfg_find(options->file);
	if (file == NULL) {
		fputs("standfast-dataplane: no configuration: give -c FILE\n", stderr);
		return SF_EXIT_CONFIG;
	}
	bool good = cfg_load(file, &settings, &errors);
	if (!good)
		cfg_errors_print(&errors, stderr);
	cfg_errors_free(&errors);
	return good ? SF_EXIT_OK : SF_EXIT_CONFIG;
}

static int
start_eal(const struct options *options, enum cfg_idle *auto_idle, char *error, size_t bytes)
{
	static const char *extra[CFG_MAX_EAL_ARGS + 64];
	static char prefix[2 * CFG_NAME_BYTES + 48];
	char line[1024];
	bool hugepages;
	snprintf(
		prefix,
		sizeof(prefix),
		"standfast-%s-%s-%ld",
		settings.cluster,
		settings.node.name,
		(long)getpid()
	);
	struct dp_eal_needs needs = {
		.program = "standfast-dataplane",
		.prefix = prefix,
		.memory_bytes = settings.dpdk.memory_bytes,
		.hugepages = settings.dpdk.hugepages,
		.pci = settings.client.port.kind == CFG_DEVICE_PCI ||
		       settings.replication.port.kind == CFG_DEVICE_PCI,
		.lcore_count = settings.lcore_count + 1,
		.extra = extra,
	};
	needs.cpus[0] = "any";
	for (uint32_t i = 0; i < settings.lcore_count; i++)
		needs.cpus[i + 1] = settings.lcores[i].cpus;
	for (uint32_t i = 0; i < settings.dpdk.eal_arg_count; i++)
		extra[needs.extra_count++] = settings.dpdk.eal_args[i];
	for (int i = 0; i < options->eal_count && i < 64; i++)
		extra[needs.extra_count++] = options->eal[i];
	*auto_idle = dp_eal_cpus_are_exclusive(&needs) ? CFG_IDLE_SPIN : CFG_IDLE_YIELD;
	int result = dp_eal_start(&needs, line, sizeof(line), &hugepages, error, bytes);
	if (result < 0)
		return result;
	sf_log(SF_INFO, "EAL: %s", line);
	return hugepages;
}

static int
open_ports(struct dp_port *client, struct dp_port *replication, char *error, size_t bytes)
{
	struct dp_port_needs client_needs, replication_needs;
	dp_node_port_needs(&settings, &client_needs, &replication_needs);
	int result = dp_port_open(&settings.client.port, &client_needs, client, error, bytes);
	if (result < 0)
		return result;
	result = dp_port_open(
		&settings.replication.port, &replication_needs, replication, error, bytes
	);
	if (result < 0)
		dp_port_close(client);
	return result;
}

/* --- While it runs --- */

static uint32_t mbufs_in_use(void)
{
	return dp_port_mbufs_in_use(&node.client) + dp_port_mbufs_in_use(&node.replication);
}

static void publish_slow(void)
{
	struct dp_shm *shm = node.shm;
	dp_shm_store(&shm->mbufs_in_use, mbufs_in_use());
	dp_shm_store(&shm->port_missed[0], dp_port_missed(&node.client));
	dp_shm_store(&shm->port_missed[1], dp_port_missed(&node.replication));
	dp_shm_store(&shm->link_up[0], dp_port_link_up(&node.client));
	dp_shm_store(&shm->link_up[1], dp_port_link_up(&node.replication));
}

static void say_changes(void)
{
	static uint64_t said_mode = UINT64_MAX, said_reason = UINT64_MAX;
	static const char *const modes[REP_MODES] = {
		[REP_MODE_STANDBY] = "standby",
		[REP_MODE_PAIRED] = "primary, paired",
		[REP_MODE_BLOCKED] = "primary, BLOCKED",
		[REP_MODE_HALTED] = "HALTED",
		[REP_MODE_ALONE] = "primary, alone",
		[REP_MODE_ASYNC] = "primary, asynchronous",
		[REP_MODE_WAITING] = "WAITING",
		[REP_MODE_LEARNER] = "learner",
		[REP_MODE_CANDIDATE] = "candidate",
	};
	uint64_t mode = dp_shm_load(&node.shm->status.mode);
	uint64_t reason = dp_shm_load(&node.shm->status.reason);
	if (mode == said_mode && reason == said_reason)
		return;
	said_mode = mode;
	said_reason = reason;
	bool serves_nobody =
		mode == REP_MODE_BLOCKED || mode == REP_MODE_HALTED || mode == REP_MODE_WAITING;
	sf_log(serves_nobody ? SF_WARNING : SF_NOTICE,
	       "%s%s%s (sequence %llu, committed %llu)",
	       mode < REP_MODES ? modes[mode] : "?",
	       reason == REP_REASON_NONE ? "" : ": ",
	       reason == REP_REASON_NONE ? "" : rep_reason_text((enum rep_reason)reason),
	       (unsigned long long)dp_shm_load(&node.shm->status.sequence),
	       (unsigned long long)dp_shm_load(&node.shm->status.committed));
}

/* Until a signal asks to stop, or the node must not go on. */
static enum sf_exit watch(const sigset_t *signals)
{
	uint64_t interval_ns = settings.node.status_interval_ns;
	struct timespec interval = {
		.tv_sec = (time_t)(interval_ns / 1000000000ull),
		.tv_nsec = (long)(interval_ns % 1000000000ull),
	};
	for (;;) {
		int signal_number = sigtimedwait(signals, NULL, &interval);
		publish_slow();
		say_changes();
		if (signal_number > 0) {
			sf_log(SF_NOTICE, "stopping (%s)", strsignal(signal_number));
			return SF_EXIT_OK;
		}
		if (__atomic_load_n(&node.sequencer->own_id_seen, __ATOMIC_RELAXED) != 0) {
			sf_log(SF_ERROR,
			       "another node with id %u speaks on the replication link: give "
			       "each node of cluster \"%s\" its own node.id",
			       settings.node.id,
			       settings.cluster);
			return SF_EXIT_CONFIG;
		}
	}
}

static bool has_left(void)
{
	return __atomic_load_n(&node.sequencer->left, __ATOMIC_ACQUIRE);
}

/* What is to stand in the role record after a clean stop: control has written it. */
static bool is_recorded(void)
{
	const struct rep_core *core = &node.sequencer->core;
	return !node.sequencer->roles.told ||
	       dp_shm_load(&node.shm->gives.persisted) >= core->record.write_number;
}

static bool wait_for(bool (*there)(void), uint64_t most_ns)
{
	const uint64_t look_ns = 1000000;
	struct timespec moment = {.tv_nsec = (long)look_ns};
	for (uint64_t waited_ns = 0; !there() && waited_ns < most_ns; waited_ns += look_ns)
		nanosleep(&moment, NULL);
	return there();
}

static void stop_lcores(void)
{
	__atomic_store_n(&node.stop, DP_STOP_IN_ORDER, __ATOMIC_RELAXED);
	if (!wait_for(has_left, ORDER_MOST_NS)) {
		sf_log(SF_WARNING, "nobody takes over; stopping all the same");
		__atomic_store_n(&node.stop, DP_STOP_NOW, __ATOMIC_RELAXED);
		wait_for(has_left, RECORD_MOST_NS);
	}
	nanosleep(&(struct timespec){.tv_nsec = LEAVE_NS}, NULL);
	if (!wait_for(is_recorded, RECORD_MOST_NS))
		sf_log(SF_WARNING, "control did not record that the node stopped in good order");
	__atomic_store_n(&node.finish, 1, __ATOMIC_RELAXED);
	rte_eal_mp_wait_lcore();
}

static enum sf_exit run(const struct options *options, struct dp_shm *shm)
{
	enum sf_exit code = SF_EXIT_FAILED;
	enum cfg_idle auto_idle;
	char error[512];
	struct dp_port client, replication;
	sigset_t signals;

	/* Blocked before any thread exists, so that only this one takes them. */
	sigemptyset(&signals);
	signal(SIGXFSZ, SIG_IGN); /* a write beyond a limit is an error like others */
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	pthread_sigmask(SIG_BLOCK, &signals, NULL);

	int hugepages = start_eal(options, &auto_idle, error, sizeof(error));
	if (hugepages < 0)
		goto out;
	shm->hugepages = (uint8_t)hugepages;
	dp_clock_start();
	if (open_ports(&client, &replication, error, sizeof(error)) < 0)
		goto out_eal;
	if (dp_node_create(
		    &node, &settings, shm, &client, &replication, auto_idle, error, sizeof(error)
	    ) < 0)
		goto out_ports;
	dp_shm_store(&shm->mbufs_baseline, mbufs_in_use());
	for (uint32_t i = 0; i < node.lcore_count; i++)
		rte_eal_remote_launch(dp_lcore_run, &node.lcores[i], i + 1);
	sf_log(SF_NOTICE,
	       "node \"%s\" of cluster \"%s\" runs as %s on %u lcore(s), %s, %s",
	       settings.node.name,
	       settings.cluster,
	       node.sequencer->roles.told		? "the pair record says"
	       : settings.node.role == CFG_ROLE_PRIMARY ? "primary"
							: "standby",
	       node.lcore_count,
	       dp_idle_name(node.lcores[0].idle.strategy),
	       hugepages ? "hugepages" : "no hugepages");
	error[0] = 0;
	code = watch(&signals);
	stop_lcores();
	dp_node_destroy(&node);
out_ports:
	dp_port_close(&client);
	dp_port_close(&replication);
out_eal:
	rte_eal_cleanup();
out:
	if (error[0] != 0)
		sf_log(SF_ERROR, "%s", error);
	return code;
}

int main(int argc, char **argv)
{
	struct options options = {0};
	struct dp_shm *shm;
	char error[512];
	int lock_fd;
	enum sf_exit code = parse_options(argc, argv, &options);
	if (code == SF_EXIT_OK)
		code = load(&options);
	if (code != SF_EXIT_OK)
		return code;
	sf_log_name("standfast-dataplane", settings.node.name);
	if (dp_model_find(settings.assets.model) == NULL) {
		sf_log(SF_ERROR, "assets.model: there is no model \"%s\"", settings.assets.model);
		return SF_EXIT_CONFIG;
	}
	ssize_t ring_bytes = rte_ring_get_memsize_elem(DP_SHM_MESSAGE_BYTES, DP_SHM_RING_SLOTS);
	if (dp_shm_create(&settings, (uint64_t)ring_bytes, &shm, &lock_fd, error, sizeof(error)) <
	    0) {
		sf_log(SF_ERROR, "%s", error);
		return SF_EXIT_FAILED;
	}
	return run(&options, shm);
}
