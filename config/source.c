/* SPDX-License-Identifier: BSD-3-Clause */
#include "config/source.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PATH_BYTES 1024

/* One file under way. Names of included files are relative to its folder. */
struct reader {
	struct cfg_source *source;
	struct cfg_errors *errors;
	const char *path;
	uint16_t file; /* as in cfg_origin */
	const char *data;
	size_t bytes;
	size_t at;
	uint32_t line;
	uint32_t name_line; /* of the joined text: where the last name was; a value follows it */
};

static void read_file(
	struct cfg_source *source,
	struct cfg_errors *errors,
	const char *path,
	const struct reader *parent
);

/* ---------------------------------------------------------------- writing the joined text */

static void map_line(const struct reader *r)
{
	r->source->lines[r->source->line_count] =
		(struct cfg_source_line){.file = r->file, .line = (uint16_t)r->line};
}

static void broken(struct reader *r, uint32_t line, const char *text)
{
	cfg_errors_add(r->errors, r->path, (int)line, "%s", text);
	r->source->broken = true;
}

static void put(struct reader *r, char c)
{
	struct cfg_source *source = r->source;

	if (source->text_bytes == CFG_SOURCE_MAX_BYTES) {
		if (!source->broken)
			broken(r, r->line, "more text than a configuration may have (1 MiB)");
		return;
	}
	source->text[source->text_bytes++] = c;
	if (c != '\n')
		return;
	if (source->line_count == CFG_SOURCE_MAX_LINES) {
		if (!source->broken)
			broken(r, r->line, "more lines than a configuration may have (60000)");
		return;
	}
	source->line_count++;
	map_line(r);
}

static char peek(const struct reader *r, size_t ahead)
{
	return r->at + ahead < r->bytes ? r->data[r->at + ahead] : 0;
}

static void take(struct reader *r)
{
	char c = r->data[r->at++];
	if (c == '\n')
		r->line++;
	if (c == 0)
		broken(r, r->line, "a zero byte: this is no text file");
	put(r, c);
}

static void take_count(struct reader *r, size_t count)
{
	while (count-- > 0 && r->at < r->bytes)
		take(r);
}

/* ---------------------------------------------------------------- the scan */

static void scan_string(struct reader *r)
{
	uint32_t begun = r->line;
	take(r);
	while (r->at < r->bytes && peek(r, 0) != '"')
		take_count(r, peek(r, 0) == '\\' ? 2 : 1);
	if (r->at == r->bytes)
		broken(r, begun, "the string that begins here is never closed");
	else
		take(r);
}

static void scan_comment(struct reader *r)
{
	uint32_t begun = r->line;
	take_count(r, 2);
	while (r->at < r->bytes && !(peek(r, 0) == '*' && peek(r, 1) == '/'))
		take(r);
	if (r->at == r->bytes)
		broken(r, begun, "the comment that begins here is never closed");
	else
		take_count(r, 2);
}

/* libconfig 1.5 cuts a number that has no L to 32 bits and one with L to 64, and says nothing. */
static bool fits(const char *number, size_t digits_at, int base, bool has_l)
{
	errno = 0;
	unsigned long long value = strtoull(number + digits_at, NULL, base);
	bool negative = number[0] == '-';
	unsigned long long limit = has_l ? INT64_MAX : INT32_MAX;

	return errno == 0 && value <= limit + (negative ? 1 : 0);
}

static void scan_number(struct reader *r)
{
	char number[48] = {0}; /* longer ones cannot fit anyway, their first digits tell */
	size_t length = 0;
	size_t digits_at = peek(r, 0) == '-' || peek(r, 0) == '+' ? 1 : 0;
	bool hex = peek(r, digits_at) == '0' && (peek(r, digits_at + 1) | 0x20) == 'x';
	uint32_t line = r->source->line_count;

	while (r->at < r->bytes) {
		char c = peek(r, 0);
		bool sign = (c == '-' || c == '+') && length == 0;
		if (!sign && !isalnum((unsigned char)c) && c != '.')
			break;
		if (length < sizeof(number) - 1)
			number[length++] = c;
		take(r);
	}
	size_t head = digits_at + (hex ? 2 : 0);
	size_t digits = strspn(number + head, hex ? "0123456789abcdefABCDEF" : "0123456789");
	const char *tail = number + head + digits;
	bool has_l = tail[0] == 'L';
	if (tail[0] && strcmp(tail, "L") != 0 && strcmp(tail, "LL") != 0)
		return; /* A float, or nonsense that libconfig will refuse. */
	if (fits(number, head, hex ? 16 : 10, has_l))
		return;
	r->source->lines[line].overflow = true;
	r->source->lines[r->name_line].overflow = true;
	cfg_errors_add(
		r->errors,
		r->path,
		(int)r->line,
		"the number %s does not fit %d bits and would be read as another one%s",
		number,
		has_l ? 64 : 32,
		has_l ? "" : "; end large numbers with L"
	);
}

static bool is_name(char c, bool first)
{
	return isalpha((unsigned char)c) || c == '*' || c == '_' ||
	       (!first && (isdigit((unsigned char)c) || c == '-'));
}

static bool begins_number(const struct reader *r)
{
	char c = peek(r, 0);
	if (c == '-' || c == '+')
		c = peek(r, 1);
	return isdigit((unsigned char)c);
}

static void skip_blanks(struct reader *r)
{
	while (peek(r, 0) == ' ' || peek(r, 0) == '\t')
		take(r);
}

/* At "@include": replaces the directive by the file's text. */
static void scan_include(struct reader *r)
{
	char name[PATH_BYTES], path[PATH_BYTES];
	size_t used = 0;

	r->at += strlen("@include");
	while (peek(r, 0) == ' ' || peek(r, 0) == '\t')
		r->at++;
	if (peek(r, 0) != '"') {
		broken(r, r->line, "@include needs a file name in quotes");
		return;
	}
	for (r->at++; peek(r, 0) != '"'; r->at++) {
		if (peek(r, 0) == 0 || peek(r, 0) == '\n' || used == sizeof(name) - 1) {
			broken(r, r->line, "the file name of @include is not closed or too long");
			return;
		}
		name[used++] = peek(r, 0);
	}
	r->at++;
	name[used] = 0;
	const char *slash = name[0] == '/' ? NULL : strrchr(r->path, '/');
	int folder = slash ? (int)(slash - r->path) + 1 : 0;
	if (snprintf(path, sizeof(path), "%.*s%s", folder, r->path, name) >= (int)sizeof(path)) {
		broken(r, r->line, "the file name of @include is too long");
		return;
	}
	read_file(r->source, r->errors, path, r);
	map_line(r);
}

static void scan(struct reader *r)
{
	bool line_begins = true;

	r->name_line = r->source->line_count;
	map_line(r);
	while (r->at < r->bytes && !r->source->broken) {
		char c = peek(r, 0);
		bool began = line_begins;
		line_begins = c == '\n';
		if (c == '"') {
			scan_string(r);
		} else if (c == '/' && peek(r, 1) == '*') {
			scan_comment(r);
		} else if (c == '#' || (c == '/' && peek(r, 1) == '/')) {
			while (r->at < r->bytes && peek(r, 0) != '\n')
				take(r);
		} else if (began && (c == ' ' || c == '\t')) {
			skip_blanks(r);
			line_begins = true;
		} else if (began && strncmp(r->data + r->at, "@include", 8) == 0) {
			scan_include(r);
			line_begins = true; /* the included text ends in a newline */
		} else if (is_name(c, true)) {
			r->name_line = r->source->line_count;
			while (r->at < r->bytes && is_name(peek(r, 0), false))
				take(r);
		} else if (begins_number(r)) {
			scan_number(r);
		} else {
			take(r);
		}
	}
}

/* ---------------------------------------------------------------- files */

/* A negative errno, or 0 with the whole file in *data (owned by the caller) and a 0 behind it. */
static int slurp(const char *path, char **data, size_t *bytes)
{
	struct stat status;
	int result = 0;
	/* O_NONBLOCK: a named pipe must not hang us. */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

	if (fd < 0)
		return -errno;
	*data = malloc(CFG_SOURCE_MAX_BYTES + 2);
	*bytes = 0;
	if (!*data || fstat(fd, &status) < 0) {
		result = *data ? -errno : -ENOMEM;
	} else if (!S_ISREG(status.st_mode)) {
		result = S_ISDIR(status.st_mode) ? -EISDIR : -EINVAL;
	} else {
		ssize_t got;
		while ((got = read(fd, *data + *bytes, CFG_SOURCE_MAX_BYTES + 1 - *bytes)) > 0)
			*bytes += (size_t)got;
		if (got < 0)
			result = -errno;
		else if (*bytes > CFG_SOURCE_MAX_BYTES)
			result = -EFBIG;
		(*data)[*bytes] = 0;
	}
	close(fd);
	if (result < 0) {
		free(*data);
		*data = NULL;
	}
	return result;
}

static void cannot_read(
	struct cfg_errors *errors, const char *path, const struct reader *parent, const char *why
)
{
	if (parent)
		cfg_errors_add(
			errors,
			parent->path,
			(int)parent->line,
			"cannot read the included file %s: %s",
			path,
			why
		);
	else
		cfg_errors_add(errors, path, 0, "cannot read the configuration: %s", why);
}

static void read_file(
	struct cfg_source *source,
	struct cfg_errors *errors,
	const char *path,
	const struct reader *parent
)
{
	struct reader r = {.source = source, .errors = errors, .path = path, .line = 1};
	char *data = NULL;

	if (source->file_count == CFG_MAX_FILES) {
		cannot_read(errors, path, parent, "more than 16 files; does one include itself?");
		source->broken = true;
		return;
	}
	int result = slurp(path, &data, &r.bytes);
	if (result < 0) {
		cannot_read(
			errors,
			path,
			parent,
			result == -EINVAL ? "it is no regular file" : strerror(-result)
		);
		source->incomplete = true;
		source->broken |= parent == NULL;
		return;
	}
	r.data = data;
	snprintf(source->files[source->file_count++], CFG_TEXT_BYTES, "%s", path);
	r.file = source->file_count;
	scan(&r);
	if (parent && !source->broken && r.bytes > 0 && data[r.bytes - 1] != '\n')
		put(&r, '\n');
	free(data);
}

void cfg_source_read(struct cfg_source *source, const char *path, struct cfg_errors *errors)
{
	*source = (struct cfg_source){.line_count = 1};
	source->text = malloc(CFG_SOURCE_MAX_BYTES + 1);
	source->lines = calloc(CFG_SOURCE_MAX_LINES + 1, sizeof(*source->lines));
	if (!source->text || !source->lines) {
		cfg_errors_add(errors, path, 0, "no memory to read the configuration");
		source->broken = true;
		return;
	}
	read_file(source, errors, path, NULL);
	source->text[source->text_bytes] = 0;
}

void cfg_source_free(struct cfg_source *source)
{
	free(source->text);
	free(source->lines);
	*source = (struct cfg_source){0};
}

struct cfg_source_line cfg_source_where(const struct cfg_source *source, unsigned line)
{
	if (line < 1)
		line = 1;
	if (line > source->line_count)
		line = source->line_count;
	return source->lines[line];
}
