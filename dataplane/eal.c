/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/eal.h"

#include <rte_config.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_launch.h>
#include <rte_lcore.h>
#include <rte_log.h>
#include <rte_memory.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define MAX_ARGS 96
#define MIB (1024ull * 1024)
/* Beyond what the caller needs: EAL's own tables, device memory, malloc headers. */
#define EAL_OVERHEAD_BYTES (16 * MIB)
#define TURN_TRIES 200
#define TURN_TRY_NS 50000000

static const char hugepage_root[] = "/sys/kernel/mm/hugepages";

/* EAL keeps pointers into its arguments, so they live as long as the process. */
static struct {
	int count;
	char *item[MAX_ARGS + 1];
	size_t used;
	bool overflow;
	char text[64 * 1024];
} args;

__attribute__((format(printf, 1, 2))) static void add(const char *format, ...)
{
	va_list list;
	size_t left = sizeof(args.text) - args.used;

	va_start(list, format);
	int chars = vsnprintf(args.text + args.used, left, format, list);
	va_end(list);
	if (args.count >= MAX_ARGS || chars < 0 || (size_t)chars >= left) {
		args.overflow = true;
		return;
	}
	args.item[args.count++] = args.text + args.used;
	args.used += (size_t)chars + 1;
}

/* ---- CPUs ---- */

/* "2", "0-1", "0,2-3": adds to set; false when it is nothing of the kind. */
static bool parse_cpus(const char *text, cpu_set_t *set)
{
	const char *c = text;

	do {
		char *end;
		if (*c < '0' || *c > '9')
			return false;
		unsigned long first = strtoul(c, &end, 10), last = first;
		if (*end == '-') {
			c = end + 1;
			if (*c < '0' || *c > '9')
				return false;
			last = strtoul(c, &end, 10);
		}
		if (first > last || last >= RTE_MAX_LCORE || last >= CPU_SETSIZE)
			return false;
		for (unsigned long cpu = first; cpu <= last; cpu++)
			CPU_SET(cpu, set);
		c = end;
	} while (*c++ == ',');
	return c[-1] == 0;
}

static bool is_any(const char *cpus)
{
	return cpus == NULL || *cpus == 0 || strcmp(cpus, "any") == 0;
}

/* The CPUs of every lcore. Those that say "any" share what nobody named, or everything when all
 * CPUs are named. */
static int
resolve_cpus(const struct dp_eal_needs *needs, cpu_set_t *sets, char *error, size_t error_bytes)
{
	cpu_set_t allowed, named, rest, unused;

	CPU_ZERO(&allowed);
	if (sched_getaffinity(0, sizeof(allowed), &allowed) != 0) {
		snprintf(
			error, error_bytes, "cannot read this process's CPUs: %s", strerror(errno)
		);
		return -errno;
	}
	CPU_ZERO(&named);
	CPU_ZERO(&rest);
	for (uint32_t i = 0; i < needs->lcore_count; i++) {
		CPU_ZERO(&sets[i]);
		if (is_any(needs->cpus[i]))
			continue;
		if (!parse_cpus(needs->cpus[i], &sets[i])) {
			snprintf(
				error,
				error_bytes,
				"lcore %u: \"%s\" is no list of CPUs such as \"2\", \"0-1\" or "
				"\"any\" (numbers below %u)",
				i,
				needs->cpus[i],
				RTE_MAX_LCORE
			);
			return -EINVAL;
		}
		CPU_AND(&unused, &sets[i], &allowed);
		if (!CPU_EQUAL(&unused, &sets[i])) {
			snprintf(
				error,
				error_bytes,
				"lcore %u: this process may not use all of CPUs \"%s\" (offline, "
				"or outside its cpuset or taskset)",
				i,
				needs->cpus[i]
			);
			return -EINVAL;
		}
		CPU_OR(&named, &named, &sets[i]);
	}
	for (unsigned cpu = 0; cpu < RTE_MAX_LCORE; cpu++)
		if (CPU_ISSET(cpu, &allowed) && !CPU_ISSET(cpu, &named))
			CPU_SET(cpu, &rest);
	if (CPU_COUNT(&rest) == 0)
		rest = allowed;
	for (uint32_t i = 0; i < needs->lcore_count; i++)
		if (is_any(needs->cpus[i]))
			sets[i] = rest;
	return 0;
}

bool dp_eal_cpus_are_exclusive(const struct dp_eal_needs *needs)
{
	cpu_set_t sets[DP_EAL_MAX_LCORES], both;
	char error[256];

	if (needs->lcore_count > DP_EAL_MAX_LCORES ||
	    resolve_cpus(needs, sets, error, sizeof(error)) != 0)
		return false;
	for (uint32_t i = 1; i < needs->lcore_count; i++) {
		for (uint32_t j = 0; j < needs->lcore_count; j++) {
			CPU_AND(&both, &sets[i], &sets[j]);
			if (i != j && CPU_COUNT(&both) != 0)
				return false;
		}
	}
	return true;
}

/* "(0-1,4)": EAL's spelling of a set. */
static size_t print_set(const cpu_set_t *set, char *text, size_t bytes)
{
	size_t used = (size_t)snprintf(text, bytes, "(");
	const char *comma = "";

	for (unsigned cpu = 0; cpu < RTE_MAX_LCORE && used < bytes; cpu++) {
		if (!CPU_ISSET(cpu, set))
			continue;
		unsigned last = cpu;
		while (last + 1 < RTE_MAX_LCORE && CPU_ISSET(last + 1, set))
			last++;
		used += (size_t)snprintf(
			text + used, bytes - used, last > cpu ? "%s%u-%u" : "%s%u", comma, cpu, last
		);
		comma = ",";
		cpu = last;
	}
	if (used < bytes)
		used += (size_t)snprintf(text + used, bytes - used, ")");
	return used;
}

static int add_lcores(const struct dp_eal_needs *needs, char *error, size_t error_bytes)
{
	cpu_set_t sets[DP_EAL_MAX_LCORES];
	static char text[32 * 1024];
	size_t used = 0;
	int rc = resolve_cpus(needs, sets, error, error_bytes);

	if (rc != 0)
		return rc;
	for (uint32_t i = 0; i < needs->lcore_count && used < sizeof(text); i++) {
		used += (size_t
		)snprintf(text + used, sizeof(text) - used, "%s%u@", i ? "," : "", i);
		if (used < sizeof(text))
			used += print_set(&sets[i], text + used, sizeof(text) - used);
	}
	if (used >= sizeof(text)) {
		snprintf(error, error_bytes, "the CPU lists of the lcores are too long");
		return -E2BIG;
	}
	add("--lcores=%s", text);
	add("--main-lcore=0");
	return 0;
}

/* ---- memory ---- */

static uint64_t read_number(const char *path)
{
	unsigned long long number = 0;
	FILE *file = fopen(path, "re");

	if (file == NULL)
		return 0;
	if (fscanf(file, "%llu", &number) != 1)
		number = 0;
	fclose(file);
	return number;
}

/* Between counting free hugepages and taking them no other process of ours may do the same. The
 * descriptor of the turn, -1 for none; a holder that takes too long is not waited for. */
static int take_turn(void)
{
	const struct timespec pause = {.tv_nsec = TURN_TRY_NS};
	int fd = open(hugepage_root, O_RDONLY | O_CLOEXEC);

	for (int i = 0; fd >= 0 && i < TURN_TRIES; i++) {
		if (flock(fd, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK)
			break;
		nanosleep(&pause, NULL);
	}
	return fd;
}

static void give_turn(int fd)
{
	if (fd >= 0)
		close(fd);
}

/* Bytes in hugepages of all sizes that nobody uses and nobody has reserved. */
static uint64_t free_hugepage_bytes(void)
{
	uint64_t bytes = 0;
	DIR *directory = opendir(hugepage_root);

	if (directory == NULL)
		return 0;
	for (struct dirent *entry; (entry = readdir(directory)) != NULL;) {
		unsigned long page_kib;
		char path[320];
		if (sscanf(entry->d_name, "hugepages-%lukB", &page_kib) != 1)
			continue;
		snprintf(path, sizeof(path), "%s/%s/free_hugepages", hugepage_root, entry->d_name);
		uint64_t pages = read_number(path);
		snprintf(path, sizeof(path), "%s/%s/resv_hugepages", hugepage_root, entry->d_name);
		uint64_t reserved = read_number(path);
		if (pages > reserved)
			bytes += (pages - reserved) * page_kib * 1024;
	}
	closedir(directory);
	return bytes;
}

static uint64_t available_bytes(void)
{
	char line[256];
	unsigned long long kib = 0;
	FILE *file = fopen("/proc/meminfo", "re");

	if (file == NULL)
		return UINT64_MAX;
	while (fgets(line, sizeof(line), file))
		if (sscanf(line, "MemAvailable: %llu kB", &kib) == 1)
			break;
	fclose(file);
	return kib ? kib * 1024 : UINT64_MAX;
}

/* Places in a list by NUMA node: the highest number and one. */
static unsigned numa_nodes(void)
{
	unsigned nodes = 1;
	DIR *directory = opendir("/sys/devices/system/node");

	if (directory == NULL)
		return nodes;
	for (struct dirent *entry; (entry = readdir(directory)) != NULL;) {
		unsigned node;
		if (sscanf(entry->d_name, "node%u", &node) == 1 && node >= nodes &&
		    node < RTE_MAX_NUMA_NODES)
			nodes = node + 1;
	}
	closedir(directory);
	return nodes;
}

/* With hugepages EAL's memory would grow on demand beyond what was configured. The limit is per
 * NUMA node, and a node that is not named has none. */
static void add_memory_limit(unsigned long long mib)
{
	char list[RTE_MAX_NUMA_NODES * 24];
	size_t used = 0;
	unsigned nodes = numa_nodes();

	for (unsigned node = 0; node < nodes; node++)
		used += (size_t
		)snprintf(list + used, sizeof(list) - used, node ? ",%llu" : "%llu", mib);
	add("--socket-limit=%s", list);
}

static int
add_memory(const struct dp_eal_needs *needs, bool *hugepages, char *error, size_t error_bytes)
{
	uint64_t bytes = needs->memory_bytes + EAL_OVERHEAD_BYTES;
	unsigned long long mib = (bytes + MIB - 1) / MIB;
	uint64_t free_huge = needs->hugepages == CFG_OFF ? 0 : free_hugepage_bytes();

	*hugepages = needs->hugepages == CFG_ON ||
		     (needs->hugepages == CFG_AUTO && free_huge >= mib * MIB);
	if (*hugepages && free_huge < mib * MIB) {
		snprintf(
			error,
			error_bytes,
			"hugepages are asked for, %llu MiB are needed, %llu MiB are free: reserve "
			"more (dpdk-hugepages.py -p 2M --setup %lluM) or allow ordinary pages",
			mib,
			(unsigned long long)(free_huge / MIB),
			mib
		);
		return -ENOMEM;
	}
	if (!*hugepages && available_bytes() < mib * MIB) {
		snprintf(
			error,
			error_bytes,
			"%llu MiB of memory are needed, this host has %llu MiB available: ask for "
			"less or stop something",
			mib,
			(unsigned long long)(available_bytes() / MIB)
		);
		return -ENOMEM;
	}
	if (*hugepages) {
		/* Nothing stays behind after a kill, and no old data is ever seen. */
		add("--in-memory");
		add_memory_limit(mib);
	} else {
		add("--no-huge");
		add("--no-shconf");
	}
	/* With hugepages this takes them now, so that a lack shows at start. */
	add("-m");
	add("%llu", mib);
	return 0;
}

/* ---- start ---- */

static bool extra_names_devices(const struct dp_eal_needs *needs)
{
	for (uint32_t i = 0; i < needs->extra_count; i++) {
		const char *arg = needs->extra[i];
		if (strncmp(arg, "-a", 2) == 0 || strncmp(arg, "-b", 2) == 0 ||
		    strncmp(arg, "--allow", 7) == 0 || strncmp(arg, "--block", 7) == 0)
			return true;
	}
	return false;
}

static int
build_args(const struct dp_eal_needs *needs, bool *hugepages, char *error, size_t error_bytes)
{
	memset(&args, 0, sizeof(args));
	add("%s", needs->program);
	int rc = add_lcores(needs, error, error_bytes);
	if (rc == 0)
		rc = add_memory(needs, hugepages, error, error_bytes);
	if (rc != 0)
		return rc;
	add("--file-prefix=%s", needs->prefix);
	add("--no-telemetry");
	add("--log-level=warning");
	if (!needs->pci) {
		add("--no-pci");
		add("--iova-mode=va");
	} else if (!extra_names_devices(needs)) {
		/* A host's ports may belong to other processes: EAL shall take none by itself. An
		 * allow-list with a slot that never holds a port (the host bridge) does that; the
		 * port's device is added by name when it is opened. */
		add("-a");
		add("0000:00:00.0");
	}
	for (uint32_t i = 0; i < needs->extra_count; i++)
		add("%s", needs->extra[i]);
	if (args.overflow) {
		snprintf(error, error_bytes, "too many or too long EAL arguments");
		return -E2BIG;
	}
	return 0;
}

/* EAL wants its runtime directory's parent to exist, and takes $RUNTIME_DIRECTORY as it is, while
 * systemd writes several there with colons between them. */
static void prepare_runtime_directory(void)
{
	const char *from_systemd = getenv("RUNTIME_DIRECTORY");
	const char *base = from_systemd ? from_systemd : getenv("XDG_RUNTIME_DIR");
	char path[512];

	if (base == NULL || strlen(base) >= sizeof(path))
		return;
	snprintf(path, sizeof(path), "%.*s", (int)strcspn(base, ":"), base);
	if (from_systemd)
		setenv("RUNTIME_DIRECTORY", path, 1);
	for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = 0;
		mkdir(path, 0700);
		*slash = '/';
	}
	/* Failures do not matter: without shared configuration nothing has to be there. */
	mkdir(path, 0700);
}

static void print_line(char *line, size_t line_bytes)
{
	size_t used = 0;

	if (line_bytes)
		line[0] = 0;
	for (int i = 0; i < args.count && used < line_bytes; i++)
		used += (size_t
		)snprintf(line + used, line_bytes - used, i ? " %s" : "%s", args.item[i]);
}

/* Profiles that tune a host for packet processing leave threads alone by names with "pmd". */
static int name_thread(void *unused)
{
	char name[16];

	snprintf(name, sizeof(name), "sf-pmd-%u", rte_lcore_id());
	prctl(PR_SET_NAME, name);
	return 0;
}

/* Ordinary pages are given at the first touch, which would be in the middle of the path. */
static int
touch(const struct rte_memseg_list *list,
      const struct rte_memseg *segment,
      size_t bytes,
      void *unused)
{
	(void)list;
	(void)unused;
#ifdef MADV_POPULATE_WRITE
	if (madvise(segment->addr, bytes, MADV_POPULATE_WRITE) == 0)
		return 0;
#endif
	/* Nobody else uses this memory yet; what EAL wrote there stays. */
	volatile uint8_t *page = segment->addr;
	for (size_t at = 0; at < bytes; at += segment->hugepage_sz)
		page[at] = page[at];
	return 0;
}

static int init(const char *line, char *error, size_t error_bytes)
{
	prepare_runtime_directory();
	/* EAL would write to standard output, where our programs print results. */
	rte_openlog_stream(stderr);
	if (rte_eal_init(args.count, args.item) >= 0)
		return 0;
	int code = rte_errno ? rte_errno : EIO;
	snprintf(
		error,
		error_bytes,
		"DPDK does not start: %s (its own lines above say more; arguments: %s)",
		rte_strerror(code),
		line
	);
	return -code;
}

int dp_eal_start(
	const struct dp_eal_needs *needs,
	char *line,
	size_t line_bytes,
	bool *hugepages,
	char *error,
	size_t error_bytes
)
{
	if (needs->lcore_count < 1 || needs->lcore_count > DP_EAL_MAX_LCORES) {
		snprintf(
			error,
			error_bytes,
			"%u lcores are asked for, 1 to %u are possible",
			needs->lcore_count,
			DP_EAL_MAX_LCORES
		);
		return -EINVAL;
	}
	int turn = needs->hugepages == CFG_OFF ? -1 : take_turn();
	int rc = build_args(needs, hugepages, error, error_bytes);
	if (rc == 0) {
		print_line(line, line_bytes);
		rc = init(line, error, error_bytes);
	}
	give_turn(turn);
	if (rc != 0)
		return rc;
	/* Neither way of starting puts anything into it, and a killed process could not remove it.
	 */
	rmdir(rte_eal_get_runtime_dir());
	if (!*hugepages)
		rte_memseg_contig_walk(touch, NULL);
	if (rte_eal_mp_remote_launch(name_thread, NULL, SKIP_MAIN) == 0)
		rte_eal_mp_wait_lcore();
	return 0;
}
