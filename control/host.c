/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/host.h"

#include "control/text.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define HUGEPAGES "/sys/kernel/mm/hugepages"
#define NODES "/sys/devices/system/node"

bool ctl_host_text(const char *path, char *text, size_t bytes)
{
	FILE *file = fopen(path, "re");
	if (!file)
		return false;
	text[0] = 0;
	/* An empty file is readable, and says nothing. */
	if (fgets(text, (int)bytes, file))
		text[strcspn(text, "\n")] = 0;
	fclose(file);
	return true;
}

bool ctl_host_link_name(const char *path, char *text, size_t bytes)
{
	char target[512];
	ssize_t length = readlink(path, target, sizeof(target) - 1);
	if (length < 0)
		return false;
	target[length] = 0;
	const char *slash = strrchr(target, '/');
	snprintf(text, bytes, "%s", slash ? slash + 1 : target);
	return true;
}

uint64_t ctl_host_available_bytes(void)
{
	char line[256];
	uint64_t kib = 0;
	FILE *file = fopen("/proc/meminfo", "re");
	while (file && fgets(line, sizeof(line), file))
		if (sscanf(line, "MemAvailable: %" SCNu64, &kib) == 1)
			break;
	if (file)
		fclose(file);
	return kib << 10;
}

uint64_t ctl_host_free_hugepage_bytes(void)
{
	uint64_t bytes = 0;
	DIR *folder = opendir(HUGEPAGES);
	for (struct dirent *entry; folder && (entry = readdir(folder));) {
		char path[512], value[32];
		uint64_t kib;
		if (sscanf(entry->d_name, "hugepages-%" SCNu64 "kB", &kib) != 1)
			continue;
		snprintf(path, sizeof(path), HUGEPAGES "/%s/free_hugepages", entry->d_name);
		if (ctl_host_text(path, value, sizeof(value)))
			bytes += strtoull(value, NULL, 10) * (kib << 10);
	}
	if (folder)
		closedir(folder);
	return bytes;
}

uint32_t ctl_host_numa_nodes(void)
{
	uint32_t count = 0;
	unsigned number;
	DIR *folder = opendir(NODES);
	for (struct dirent *entry; folder && (entry = readdir(folder));)
		count += sscanf(entry->d_name, "node%u", &number) == 1;
	if (folder)
		closedir(folder);
	return count ? count : 1;
}

uint64_t ctl_host_worst_gap_ns(uint64_t measured_ns)
{
	uint64_t begin_ns = ctl_monotonic_ns(), last_ns = begin_ns, worst_ns = 0;
	while (last_ns - begin_ns < measured_ns) {
		uint64_t now_ns = ctl_monotonic_ns();
		if (now_ns - last_ns > worst_ns)
			worst_ns = now_ns - last_ns;
		last_ns = now_ns;
	}
	return worst_ns;
}
