/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What else comes from the schema table: the digest that the nodes compare, the effective values,
 * and the reference of all settings.
 */
#include "config/bytes.h"
#include "config/hash.h"
#include "config/schema.h"
#include "config/values.h"

#include <string.h>

/* Grows when a row's meaning changes, so that nodes of two versions see that they differ. */
#define DIGEST_VERSION 1

static uint64_t hash_bytes(uint64_t h, const void *bytes, size_t count)
{
	const uint8_t *p = bytes;
	h = sf_mix(h, count);
	for (; count > 0; p += 8, count -= count < 8 ? count : 8) {
		uint64_t word = 0;
		memcpy(&word, p, count < 8 ? count : 8);
		h = sf_mix(h, word);
	}
	return h;
}

/* Path and value: a text counts up to its end, so what lies behind it in the array does not. */
static uint64_t hash_row(uint64_t h, const struct cfg_row *row, const struct cfg_settings *settings)
{
	const char *field = (const char *)settings + row->offset;
	bool is_text = row->type == CFG_TYPE_NAME || row->type == CFG_TYPE_PATH;

	h = hash_bytes(h, row->path, strlen(row->path));
	return hash_bytes(h, field, is_text ? strnlen(field, row->bytes) : row->bytes);
}

uint64_t cfg_digest(const struct cfg_settings *settings)
{
	uint64_t h = DIGEST_VERSION;

	for (uint32_t i = 0; i < cfg_row_count; i++) {
		if (cfg_rows[i].flags & CFG_SAME)
			h = hash_row(h, &cfg_rows[i], settings);
	}
	return h;
}

static void dump_origin(const struct cfg_settings *settings, struct cfg_origin origin, FILE *to)
{
	if (origin.file == 0 || origin.file > CFG_MAX_FILES)
		fputs(";  // default\n", to);
	else
		fprintf(to, ";  // %s:%u\n", settings->files[origin.file - 1], origin.line);
}

static void dump_lcore(const struct cfg_settings *settings, uint32_t index, FILE *to)
{
	size_t head = strlen(CFG_LCORES "[].");

	for (uint32_t i = 0; i < cfg_row_count; i++) {
		if (!cfg_row_is_of_lcore(&cfg_rows[i]))
			continue;
		fprintf(to, CFG_LCORES "[%u].%s = ", index, cfg_rows[i].path + head);
		cfg_value_print(&cfg_rows[i], &settings->lcores[index], to);
		dump_origin(settings, settings->lcore_origins[index], to);
	}
}

void cfg_dump(const struct cfg_settings *settings, FILE *to)
{
	bool lcores_done = false;

	for (uint32_t i = 0; i < cfg_row_count; i++) {
		if (cfg_row_is_of_lcore(&cfg_rows[i])) {
			for (uint32_t k = 0; !lcores_done && k < settings->lcore_count; k++)
				dump_lcore(settings, k, to);
			lcores_done = true;
			continue;
		}
		fprintf(to, "%s = ", cfg_rows[i].path);
		cfg_value_print(&cfg_rows[i], settings, to);
		dump_origin(settings, settings->origins[i], to);
	}
}

static void dump_row_docs(const struct cfg_row *row, FILE *to)
{
	char wanted[CFG_WHY_BYTES], range[CFG_WHY_BYTES];

	cfg_value_wanted(row, wanted);
	cfg_value_range(row, range);
	fprintf(to, "%s\n    %s", row->path, wanted);
	if (range[0])
		fprintf(to, "; %s", range);
	if (row->flags & CFG_REQUIRED)
		fputs("; required", to);
	else if (row->preset)
		fprintf(to, "; default %s", row->preset);
	if (row->flags & CFG_SAME)
		fputs("; must be equal on both nodes", to);
	fprintf(to, "\n    %s\n\n", row->help);
}

void cfg_dump_docs(FILE *to)
{
	for (uint32_t i = 0; i < cfg_row_count; i++)
		dump_row_docs(&cfg_rows[i], to);
}
