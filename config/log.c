/* SPDX-License-Identifier: BSD-3-Clause */
#include "config/log.h"

#include <stdio.h>
#include <time.h>
#include <unistd.h>

#define LINE_BYTES 1024

static const char *log_program = "standfast";
static const char *log_node;
static enum sf_level log_least = SF_INFO;

void sf_log_name(const char *program, const char *node)
{
	log_program = program;
	log_node = node;
}

void sf_log_level(enum sf_level least)
{
	log_least = least;
}

static size_t put_time(char *line, size_t bytes)
{
	struct timespec now;
	struct tm utc;

	clock_gettime(CLOCK_REALTIME, &now);
	if (!gmtime_r(&now.tv_sec, &utc))
		return 0;
	size_t used = strftime(line, bytes, "%Y-%m-%dT%H:%M:%S", &utc);
	return used +
	       (size_t)snprintf(line + used, bytes - used, ".%03dZ ", (int)(now.tv_nsec / 1000000));
}

/* A line goes out in one write, so that lines of several threads and processes do not mix. A line
 * that is too long is cut; what cannot be written is lost, because nothing waits for a log. */
void sf_log(enum sf_level level, const char *format, ...)
{
	static const char *const names[] = {"error", "warning", "notice", "info", "debug"};
	char line[LINE_BYTES];
	va_list arguments;

	if (level > log_least)
		return;
	size_t used = put_time(line, sizeof(line));
	int head = log_node && log_node[0] ? snprintf(
						     line + used,
						     sizeof(line) - used,
						     "%.64s[%.64s] %s: ",
						     log_program,
						     log_node,
						     names[level]
					     )
					   : snprintf(
						     line + used,
						     sizeof(line) - used,
						     "%.64s %s: ",
						     log_program,
						     names[level]
					     );
	used += (size_t)head;
	va_start(arguments, format);
	int body = vsnprintf(line + used, sizeof(line) - used, format, arguments);
	va_end(arguments);
	if (body > 0)
		used += (size_t)body;
	if (used > sizeof(line) - 2)
		used = sizeof(line) - 2;
	line[used++] = '\n';
	ssize_t written = write(STDERR_FILENO, line, used);
	(void)written;
}
