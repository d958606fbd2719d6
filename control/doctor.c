/* SPDX-License-Identifier: BSD-3-Clause
 *
 * `standfast doctor`: is this host fit to run a node, and this node in particular when there is a
 * configuration? "bad" means that the node will not start or not hold; "note" costs speed only.
 */
#include "control/cli.h"
#include "control/host.h"
#include "control/text.h"

#include <errno.h>
#include <inttypes.h>
#include <sched.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#define GAP_MEASURED_NS 2000000000ull
#define GAP_GOOD_NS 100000ull /* isolated CPUs stay below */

enum state { GOOD, NOTE, BAD };

/* One finding; advice may be NULL. */
static void
add(json_t *list, enum state state, const char *name, const char *advice, const char *format, ...)
	__attribute__((format(printf, 5, 6)));
static void
add(json_t *list, enum state state, const char *name, const char *advice, const char *format, ...)
{
	static const char *const states[] = {"ok", "note", "bad"};
	char found[512];
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(found, sizeof(found), format, arguments);
	va_end(arguments);
	json_t *item = json_object();
	cli_set_text(item, "name", name);
	cli_set_text(item, "state", states[state]);
	cli_set_text(item, "found", found);
	json_object_set_new(item, "advice", advice ? json_string(advice) : json_null());
	json_array_append_new(list, item);
}

static void look_at_memory(json_t *list, const struct cfg_settings *settings)
{
	uint64_t available = ctl_host_available_bytes(), huge = ctl_host_free_hugepage_bytes();
	uint64_t needed = settings ? settings->dpdk.memory_bytes : 0;
	bool required = settings && settings->dpdk.hugepages == CFG_ON;
	add(list,
	    available < needed ? BAD : GOOD,
	    "memory",
	    available < needed ? "dpdk.memory asks for more than is free" : NULL,
	    "%" PRIu64 " MiB available",
	    available >> 20);
	add(list,
	    huge == 0 || huge < needed ? (required ? BAD : NOTE) : GOOD,
	    "hugepages",
	    huge == 0 || huge < needed
		    ? "the node runs without, slower: sysctl vm.nr_hugepages=512 gives 1 GiB"
		    : NULL,
	    "%" PRIu64 " MiB free",
	    huge >> 20);
	struct rlimit limit = {0};
	getrlimit(RLIMIT_MEMLOCK, &limit);
	if (limit.rlim_cur == RLIM_INFINITY)
		add(list, GOOD, "memlock", NULL, "unlimited");
	else
		add(list,
		    NOTE,
		    "memlock",
		    "ulimit -l unlimited, or LimitMEMLOCK=infinity: NICs and af_xdp need it",
		    "%" PRIu64 " KiB",
		    (uint64_t)limit.rlim_cur >> 10);
}

/* Configured CPUs that this process may not use; "" when all may. */
static void missing_cpus(const struct cfg_settings *settings, const cpu_set_t *allowed, char *text)
{
	text[0] = 0;
	for (uint32_t i = 0; settings && i < settings->lcore_count; i++) {
		int first = 0, last = 0;
		const char *cpus = settings->lcores[i].cpus;
		int count = sscanf(cpus, "%d-%d", &first, &last);
		last = count == 2 ? last : first;
		for (int cpu = first; count >= 1 && cpu <= last; cpu++)
			if (cpu < 0 || cpu >= CPU_SETSIZE || !CPU_ISSET((size_t)cpu, allowed)) {
				snprintf(text, CFG_NAME_BYTES, "%s", cpus);
				return;
			}
	}
}

static void look_at_cpus(json_t *list, const struct cfg_settings *settings)
{
	cpu_set_t allowed;
	char isolated[256], missing[CFG_NAME_BYTES];
	CPU_ZERO(&allowed);
	sched_getaffinity(0, sizeof(allowed), &allowed);
	missing_cpus(settings, &allowed, missing);
	add(list,
	    missing[0] ? BAD : GOOD,
	    "cpus",
	    missing[0] ? "dataplane.lcores names CPUs that are not there or not allowed" : NULL,
	    "%d usable%s%s",
	    CPU_COUNT(&allowed),
	    missing[0] ? ", missing: " : "",
	    missing);
	bool some = ctl_host_text("/sys/devices/system/cpu/isolated", isolated, sizeof(isolated));
	some = some && isolated[0] && strcmp(isolated, "(null)") != 0;
	add(list,
	    some ? GOOD : NOTE,
	    "isolation",
	    some ? NULL : "isolcpus=… nohz_full=… rcu_nocbs=… keep the kernel off the data CPUs",
	    "%s",
	    some ? isolated : "none");
	char governor[64], clock[64];
	if (!ctl_host_text(
		    "/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor",
		    governor,
		    sizeof(governor)
	    ))
		add(list, GOOD, "governor", NULL, "not visible here (virtual machine)");
	else if (strcmp(governor, "performance") == 0)
		add(list, GOOD, "governor", NULL, "performance");
	else
		add(list, NOTE, "governor", "cpupower frequency-set -g performance", "%s", governor
		);
	if (ctl_host_text(
		    "/sys/devices/system/clocksource/clocksource0/current_clocksource",
		    clock,
		    sizeof(clock)
	    ))
		add(list,
		    strcmp(clock, "tsc") == 0 ? GOOD : NOTE,
		    "clock",
		    strcmp(clock, "tsc") == 0 ? NULL : "reading the time may cost a system call",
		    "%s",
		    clock);
	/* Seen with Linux 6.18: the group of a thread that yields is hardly charged for its time,
	 * and the kernel's own threads on that CPU, which complete writes, stood still for minutes.
	 */
	char autogroup[8];
	if (ctl_host_text("/proc/sys/kernel/sched_autogroup_enabled", autogroup, sizeof(autogroup)))
		add(list,
		    autogroup[0] == '0' ? GOOD : NOTE,
		    "autogroup",
		    autogroup[0] == '0' ? NULL
					: "sysctl kernel.sched_autogroup_enabled=0, or lcores that "
					  "yield may hold up the disk",
		    "%s",
		    autogroup[0] == '0' ? "off" : "on");
	add(list,
	    ctl_host_numa_nodes() > 1 ? NOTE : GOOD,
	    "numa",
	    ctl_host_numa_nodes() > 1 ? "keep data CPUs, memory and NIC on one node" : NULL,
	    "%u node%s",
	    ctl_host_numa_nodes(),
	    ctl_host_numa_nodes() > 1 ? "s" : "");
}

static void look_at_port(json_t *list, const char *name, const struct cfg_port *port)
{
	char path[CFG_TEXT_BYTES + 64], value[64];
	if (port->kind == CFG_DEVICE_PCI) {
		snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/driver", port->device);
		bool bound = ctl_host_link_name(path, value, sizeof(value));
		add(list,
		    bound ? GOOD : BAD,
		    name,
		    bound ? NULL : "no such device, or no driver: dpdk-devbind.py --status",
		    "%s: %s",
		    port->device,
		    bound ? value : "not there");
	} else if (port->kind == CFG_DEVICE_AF_PACKET || port->kind == CFG_DEVICE_AF_XDP) {
		snprintf(path, sizeof(path), "/sys/class/net/%s/operstate", port->device);
		bool there = ctl_host_text(path, value, sizeof(value));
		bool down = there && strcmp(value, "down") == 0;
		add(list,
		    !there || down ? BAD : GOOD,
		    name,
		    !there ? "no such interface in this network namespace"
		    : down ? "ip link set it up"
			   : NULL,
		    "%s: %s",
		    port->device,
		    there ? value : "not there");
	} else {
		add(list, GOOD, name, NULL, "a device in software: nothing to check");
	}
}

static void look_at_gap(json_t *list, const struct cfg_settings *settings)
{
	char text[CTL_DURATION_BYTES], window_text[CTL_DURATION_BYTES];
	uint64_t gap_ns = ctl_host_worst_gap_ns(GAP_MEASURED_NS);
	ctl_duration_text(gap_ns, text);
	if (settings) {
		uint64_t window_ns = settings->replication.heartbeat_interval_ns *
				     settings->replication.heartbeat_misses;
		ctl_duration_text(window_ns, window_text);
		if (gap_ns > window_ns / 2) {
			add(list,
			    BAD,
			    "gap",
			    "a busy loop was stopped for more than half of the detection window: "
			    "raise heartbeat_interval, or isolate CPUs",
			    "worst %s in 2 s; detection window %s",
			    text,
			    window_text);
			return;
		}
	}
	add(list,
	    gap_ns > GAP_GOOD_NS ? NOTE : GOOD,
	    "gap",
	    gap_ns > GAP_GOOD_NS ? "latency has a tail this long: isolate the data CPUs" : NULL,
	    "a busy loop was stopped for at most %s in 2 s",
	    text);
}

static void doctor_draw(const json_t *tree, FILE *to)
{
	json_t *item;
	size_t i;
	json_array_foreach(json_object_get(tree, "checks"), i, item)
	{
		const char *advice = cli_get_text(item, "advice");
		fprintf(to,
			"%-5s %-12s %s\n",
			cli_get_text(item, "state"),
			cli_get_text(item, "name"),
			cli_get_text(item, "found"));
		if (advice[0])
			fprintf(to, "%-5s %-12s   → %s\n", "", "", advice);
	}
}

static bool any_bad(const json_t *list)
{
	json_t *item;
	size_t i;
	json_array_foreach(
		list, i, item
	) if (strcmp(cli_get_text(item, "state"), "bad") == 0) return true;
	return false;
}

int cli_doctor(struct cli *cli)
{
	const struct cfg_settings *settings = NULL;
	/* The host can be looked at before there is a configuration. */
	if (cfg_find(cli->config)) {
		int result = cli_load(cli);
		if (result != SF_EXIT_OK)
			return result;
		settings = &cli->settings;
	}
	json_t *tree = json_object(), *list = json_array();
	json_object_set_new(tree, "checks", list);
	look_at_memory(list, settings);
	look_at_cpus(list, settings);
	if (settings) {
		look_at_port(list, "client", &settings->client.port);
		look_at_port(list, "replication", &settings->replication.port);
	}
	look_at_gap(list, settings);
	int result = any_bad(list) ? SF_EXIT_FAILED : SF_EXIT_OK;
	cli_show(cli, tree, doctor_draw);
	return result;
}
