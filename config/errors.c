/* SPDX-License-Identifier: BSD-3-Clause */
#include "config/errors.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

static int compare(const struct cfg_error *a, const struct cfg_error *b)
{
	int order = strcmp(a->file, b->file);
	if (order != 0)
		return order;
	return (a->line > b->line) - (a->line < b->line);
}

/* A long path keeps its end: that is what tells files apart. */
static void copy_path(char to[CFG_TEXT_BYTES], const char *path)
{
	size_t bytes = strlen(path);
	if (bytes >= CFG_TEXT_BYTES)
		path += bytes - (CFG_TEXT_BYTES - 1);
	snprintf(to, CFG_TEXT_BYTES, "%s", path);
}

static void insert(struct cfg_errors *errors, const struct cfg_error *error)
{
	struct cfg_error *items = realloc(errors->items, (errors->count + 1) * sizeof(*items));
	if (!items)
		return; /* The caller of the loader still hears that it failed. */
	errors->items = items;
	size_t at = errors->count++;
	for (; at > 0 && compare(error, &items[at - 1]) < 0; at--)
		items[at] = items[at - 1];
	items[at] = *error;
}

static void
add(struct cfg_errors *errors, const char *file, int line, const char *format, va_list arguments)
{
	struct cfg_error error = {.line = line};

	errors->found++;
	if (errors->count > CFG_MAX_ERRORS)
		return;
	copy_path(error.file, file);
	if (errors->count == CFG_MAX_ERRORS) {
		error.line = 0;
		snprintf(
			error.text,
			sizeof(error.text),
			"more than %d errors: the rest is not shown",
			CFG_MAX_ERRORS
		);
	} else {
		vsnprintf(error.text, sizeof(error.text), format, arguments);
	}
	insert(errors, &error);
}

void cfg_errors_add(struct cfg_errors *errors, const char *file, int line, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	add(errors, file, line, format, arguments);
	va_end(arguments);
}

void cfg_errors_add_at(
	struct cfg_errors *errors,
	const struct cfg_settings *settings,
	struct cfg_origin origin,
	const char *format,
	...
)
{
	va_list arguments;
	uint16_t file = origin.file > 0 && origin.file <= CFG_MAX_FILES ? origin.file - 1 : 0;
	va_start(arguments, format);
	add(errors, settings->files[file], origin.line, format, arguments);
	va_end(arguments);
}

const char *cfg_quote(const char *text, char to[CFG_QUOTED_BYTES])
{
	size_t used = 0;
	to[used++] = '"';
	for (; *text && used < CFG_QUOTED_BYTES - 6; text++)
		to[used++] = *text < ' ' || *text == 0x7f ? '?' : *text;
	snprintf(to + used, CFG_QUOTED_BYTES - used, "%s\"", *text ? "..." : "");
	return to;
}

void cfg_errors_print(const struct cfg_errors *errors, FILE *to)
{
	for (size_t i = 0; i < errors->count; i++) {
		const struct cfg_error *error = &errors->items[i];
		if (error->file[0])
			fprintf(to, "%s:", error->file);
		if (error->line)
			fprintf(to, "%d:", error->line);
		fprintf(to, "%s%s\n", error->file[0] || error->line ? " " : "", error->text);
	}
}

void cfg_errors_free(struct cfg_errors *errors)
{
	free(errors->items);
	*errors = (struct cfg_errors){0};
}
