/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/pipeline/files.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const char *pl_files_dir(char *text, size_t bytes)
{
	const char *given = getenv("STANDFAST_PIPELINE_DIR");
	if (given && given[0])
		snprintf(text, bytes, "%s", given);
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
