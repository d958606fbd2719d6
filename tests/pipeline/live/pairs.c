/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/pipeline/live/pairs.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define END_S 60

static void become(const int in[2], const int out[2], char *const argv[])
{
	dup2(in[0], STDIN_FILENO);
	dup2(out[1], STDOUT_FILENO);
	/* Ctrl-C goes to the foreground; this one ends by the end of its input. */
	setsid();
	execvp(argv[0], argv);
	_exit(127);
}

int pl_pairs_start(struct pl_pairs *pairs, const char *root, const char *folder, const char *name)
{
	char script[512], in_folder[256], in_name[64], python[] = "python3", no_cache[] = "-B";
	int in[2], out[2];
	memset(pairs, 0, sizeof(*pairs));
	snprintf(script, sizeof(script), "%s/tests/pipeline/live/live_pairs.py", root);
	snprintf(in_folder, sizeof(in_folder), "%s", folder);
	snprintf(in_name, sizeof(in_name), "%s", name);
	char *argv[] = {python, no_cache, script, in_folder, in_name, NULL};
	if (pipe2(in, O_CLOEXEC) != 0)
		return -errno;
	if (pipe2(out, O_CLOEXEC) != 0) {
		close(in[0]);
		close(in[1]);
		return -errno;
	}
	pairs->pid = fork();
	if (pairs->pid == 0)
		become(in, out, argv);
	close(in[0]);
	close(out[1]);
	pairs->to = in[1];
	pairs->from = out[0];
	if (pairs->pid < 0)
		return -errno;
	fcntl(pairs->from, F_SETFL, O_NONBLOCK);
	return 0;
}

void pl_pairs_end(struct pl_pairs *pairs)
{
	struct timespec pause = {.tv_nsec = 20000000};
	if (pairs->pid <= 0)
		return;
	close(pairs->to);
	for (int i = 0; i < END_S * 50; i++) {
		if (waitpid(pairs->pid, NULL, WNOHANG) != 0)
			break;
		nanosleep(&pause, NULL);
	}
	close(pairs->from);
	pairs->pid = 0;
}

static uint32_t ask(struct pl_pairs *pairs, const char *format, va_list arguments)
{
	char line[PL_PAIRS_LINE];
	int used = snprintf(line, sizeof(line), "%u ", ++pairs->tag);
	used += vsnprintf(line + used, sizeof(line) - (size_t)used - 1, format, arguments);
	if (used >= (int)sizeof(line) - 1)
		return 0;
	line[used++] = '\n';
	/* Shorter than PIPE_BUF: it goes in one piece. */
	return write(pairs->to, line, (size_t)used) == used ? pairs->tag : 0;
}

uint32_t pl_pairs_ask(struct pl_pairs *pairs, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	uint32_t tag = ask(pairs, format, arguments);
	va_end(arguments);
	return tag;
}

uint32_t pl_pairs_answer(struct pl_pairs *pairs, bool *good, char *text, size_t bytes)
{
	unsigned int tag = 0;
	char word[16];
	int at = 0;
	char *end = memchr(pairs->buffer, '\n', pairs->used);
	if (end == NULL) {
		ssize_t got =
			read(pairs->from,
			     pairs->buffer + pairs->used,
			     sizeof(pairs->buffer) - pairs->used);
		if (got <= 0)
			return 0;
		pairs->used += (uint32_t)got;
		end = memchr(pairs->buffer, '\n', pairs->used);
		if (end == NULL) {
			if (pairs->used == sizeof(pairs->buffer))
				pairs->used = 0; /* no line of ours is so long */
			return 0;
		}
	}
	*end = 0;
	if (sscanf(pairs->buffer, "%u %15s %n", &tag, word, &at) < 2)
		tag = 0;
	*good = tag != 0 && strcmp(word, "ok") == 0;
	snprintf(text, bytes, "%s", pairs->buffer + at);
	uint32_t taken = (uint32_t)(end + 1 - pairs->buffer);
	pairs->used -= taken;
	memmove(pairs->buffer, end + 1, pairs->used);
	return tag;
}

bool pl_pairs_do(
	struct pl_pairs *pairs,
	char *text,
	size_t bytes,
	uint64_t patience_ns,
	const char *format,
	...
)
{
	va_list arguments;
	bool good = false;
	va_start(arguments, format);
	uint32_t tag = ask(pairs, format, arguments);
	va_end(arguments);
	for (uint64_t waited_ns = 0; tag != 0 && waited_ns < patience_ns; waited_ns += 10000000) {
		struct pollfd fd = {.fd = pairs->from, .events = POLLIN};
		uint32_t got = pl_pairs_answer(pairs, &good, text, bytes);
		if (got == tag)
			return good;
		if (got == 0 && poll(&fd, 1, 10) == 1 && (fd.revents & POLLHUP) &&
		    !(fd.revents & POLLIN))
			break;
	}
	snprintf(text, bytes, "the pairs' process does not answer");
	return false;
}
