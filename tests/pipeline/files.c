/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/pipeline/files.h"

#include "config/nearest.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* PREFIX/bin/PROGRAM and PREFIX/DATADIR belong together, also where the tree was moved. */
static bool beside_program(char *text, size_t bytes)
{
	char program[PATH_MAX];
	ssize_t count = readlink("/proc/self/exe", program, sizeof(program) - 1);
	if (count <= 0)
		return false;
	program[count] = 0;
	for (int i = 0; i < 2; i++) {
		char *slash = strrchr(program, '/');
		if (!slash)
			return false;
		*slash = 0;
	}
	int used = snprintf(text, bytes, "%s/" PL_DATA_IN_PREFIX, program);
	return used > 0 && (size_t)used < bytes && access(text, R_OK) == 0;
}

const char *pl_files_dir(char *text, size_t bytes)
{
	const char *given = getenv("STANDFAST_PIPELINE_DIR");
	if (given && given[0])
		snprintf(text, bytes, "%s", given);
	else if (beside_program(text, bytes))
		return text;
	else if (access(PL_SOURCE_DIR "/scenarios", R_OK) == 0)
		snprintf(text, bytes, "%s", PL_SOURCE_DIR);
	else
		snprintf(text, bytes, "%s", PL_DATA_DIR);
	return text;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(a, b);
}

bool pl_files_scenarios(const char *dir, struct pl_names *names, char *error, size_t bytes)
{
	char path[512];
	struct dirent *entry;
	names->count = 0;
	snprintf(path, sizeof(path), "%s/scenarios", dir);
	DIR *folder = opendir(path);
	if (!folder) {
		snprintf(error, bytes, "%s: %s", path, strerror(errno));
		return false;
	}
	while ((entry = readdir(folder)) && names->count < PL_NAMES_MAX) {
		size_t length = strlen(entry->d_name);
		if (length < 6 || length - 5 >= sizeof(names->items[0]) ||
		    strcmp(entry->d_name + length - 5, ".conf") != 0 || entry->d_name[0] == '.')
			continue;
		char *item = names->items[names->count++];
		memcpy(item, entry->d_name, length - 5);
		item[length - 5] = 0;
	}
	closedir(folder);
	qsort(names->items, names->count, sizeof(names->items[0]), by_name);
	return true;
}

bool pl_files_nearest(const char *dir, const char *name, char *hint, size_t bytes)
{
	struct pl_names names;
	uint32_t least = 1 + (uint32_t)strlen(name) / 3; /* more is another name */
	bool found = false;
	char error[512];
	if (!pl_files_scenarios(dir, &names, error, sizeof(error)))
		return false;
	for (uint32_t i = 0; i < names.count; i++) {
		uint32_t distance = cfg_name_distance(name, names.items[i]);
		if (distance > least || (found && distance == least))
			continue;
		least = distance;
		found = true;
		snprintf(hint, bytes, "%s", names.items[i]);
	}
	return found;
}
