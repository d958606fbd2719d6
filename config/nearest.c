/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The hint for a misspelt name: the known name with the least edit distance in the same group
 * (insertions, deletions, changes and swaps of neighbours count 1 each), or the same name in
 * another group.
 */
#include "config/nearest.h"

#include "config/schema.h"

#include <stdint.h>
#include <string.h>

static uint32_t least(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

uint32_t cfg_name_distance(const char *a, const char *b)
{
	uint32_t rows[3][CFG_PATH_BYTES]; /* of a's last two letters and this one */
	uint32_t b_count = (uint32_t)strlen(b);

	if (b_count >= CFG_PATH_BYTES)
		return UINT32_MAX;

	for (uint32_t j = 0; j <= b_count; j++)
		rows[0][j] = j;
	uint32_t i = 1;
	for (; a[i - 1]; i++) {
		uint32_t *now = rows[i % 3], *last = rows[(i + 2) % 3], *before = rows[(i + 1) % 3];
		now[0] = i;
		for (uint32_t j = 1; j <= b_count; j++) {
			uint32_t change = last[j - 1] + (a[i - 1] != b[j - 1]);
			now[j] = least(change, 1 + least(last[j], now[j - 1]));
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
				now[j] = least(now[j], before[j - 2] + 1);
		}
	}
	return rows[(i - 1) % 3][b_count];
}

/* The part of a row's path that follows a prefix, up to the next '.' or '['. */
static void part_after(const char *path, size_t prefix_bytes, char part[CFG_PATH_BYTES])
{
	size_t bytes = strcspn(path + prefix_bytes, ".[");
	memcpy(part, path + prefix_bytes, bytes);
	part[bytes] = 0;
}

static const char *last_part(const char *path)
{
	const char *dot = strrchr(path, '.');
	return dot ? dot + 1 : path;
}

bool cfg_path_nearest(const char *path, char hint[CFG_PATH_BYTES])
{
	const char *name = last_part(path);
	size_t prefix_bytes = (size_t)(name - path);
	uint32_t best = 2 + (uint32_t)strlen(name) / 4;
	bool found = false;

	if (strlen(path) >= CFG_PATH_BYTES)
		return false;
	for (uint32_t i = 0; i < cfg_row_count; i++) {
		char part[CFG_PATH_BYTES];
		if (strncmp(cfg_rows[i].path, path, prefix_bytes) != 0)
			continue;
		part_after(cfg_rows[i].path, prefix_bytes, part);
		uint32_t d = cfg_name_distance(name, part);
		if (d < best) {
			best = d;
			found = true;
			strcpy(hint, part);
		}
	}
	for (uint32_t i = 0; i < cfg_row_count && !found; i++) {
		if (strcmp(last_part(cfg_rows[i].path), name) != 0)
			continue;
		found = true;
		strcpy(hint, cfg_rows[i].path);
	}
	return found;
}
