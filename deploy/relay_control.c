/* SPDX-License-Identifier: BSD-3-Clause */
#include "deploy/relay_control.h"

#include "config/exit_codes.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#define COMMAND_BYTES 512

/* ---- commands ---- */

/* The ways that a word names, as bits; 0 when it names none. */
static unsigned ways_of(const char *word)
{
	if (strcmp(word, "a-b") == 0)
		return 1;
	if (strcmp(word, "b-a") == 0)
		return 2;
	return strcmp(word, "both") == 0 ? 3 : 0;
}

__attribute__((format(printf, 3, 4))) static size_t
append(char *text, size_t bytes, const char *format, ...)
{
	size_t used = strlen(text);
	va_list list;

	va_start(list, format);
	vsnprintf(text + used, bytes - used, format, list);
	va_end(list);
	return strlen(text);
}

static void print_stats(const struct relay_way *ways, char *answer, size_t bytes)
{
	answer[0] = 0;
	for (unsigned i = 0; i < 2; i++) {
		const struct relay_way *way = &ways[i];
		const struct {
			const char *name;
			uint64_t value;
		} rows[] = {
			{"received", way->counters.received},
			{"forwarded", way->counters.forwarded},
			{"lost", way->counters.lost},
			{"duplicated", way->counters.duplicated},
			{"reordered", way->counters.reordered},
			{"corrupted", way->counters.corrupted},
			{"truncated", way->counters.truncated},
			{"cut", way->counters.cut},
			{"overflow", way->counters.overflow},
			{"no_link", way->counters.no_link},
			{"queued", way->tail - way->head + way->held_count},
		};
		append(answer, bytes, "%s\"%s\":{", i ? "," : "{", way->name);
		for (unsigned r = 0; r < sizeof(rows) / sizeof(rows[0]); r++)
			append(answer,
			       bytes,
			       "\"%s\":%llu,",
			       rows[r].name,
			       (unsigned long long)rows[r].value);
		append(answer, bytes, "\"is_cut\":%s}", way->faults.cut ? "true" : "false");
	}
	append(answer, bytes, "}\n");
}

static bool
set_faults(struct relay_way *ways, unsigned mask, const char *text, char *error, size_t error_bytes)
{
	for (unsigned i = 0; i < 2; i++)
		if ((mask & (1u << i)) && !relay_way_set(&ways[i], text, error, error_bytes))
			return false;
	return true;
}

void relay_control_execute(
	struct relay_control *control, const char *command, char *answer, size_t answer_bytes
)
{
	char verb[16] = "", way[16] = "", error[256] = "";
	int rest = 0;
	int words = sscanf(command, " %15s %15s %n", verb, way, &rest);
	unsigned mask = words >= 2 ? ways_of(way) : 3;
	bool is_cut = strcmp(verb, "cut") == 0, is_heal = strcmp(verb, "heal") == 0;
	bool is_set = strcmp(verb, "set") == 0, is_clear = strcmp(verb, "clear") == 0;
	bool has_rest = rest && command[rest];

	snprintf(answer, answer_bytes, "ok\n");
	if (words == 1 && strcmp(verb, "stats") == 0) {
		print_stats(control->ways, answer, answer_bytes);
	} else if (words == 1 && strcmp(verb, "quit") == 0) {
		control->quit = true;
	} else if (is_set && words == 2 && mask && has_rest) {
		if (!set_faults(control->ways, mask, command + rest, error, sizeof(error)))
			snprintf(answer, answer_bytes, "error: %s\n", error);
	} else if (!has_rest && mask && ((is_cut && words == 2) || is_heal || is_clear)) {
		for (unsigned i = 0; i < 2; i++) {
			if (!(mask & (1u << i)))
				continue;
			if (is_clear)
				memset(&control->ways[i].faults, 0, sizeof(struct relay_faults));
			else
				control->ways[i].faults.cut = is_cut;
		}
	} else {
		snprintf(
			answer,
			answer_bytes,
			"error: commands are: cut WAY, heal [WAY], set WAY FAULT=VALUE…, clear "
			"[WAY], stats, quit; WAY is a-b, b-a or both\n"
		);
	}
}

/* ---- the socket ---- */

static int fill_address(struct sockaddr_un *address, const char *path)
{
	memset(address, 0, sizeof(*address));
	address->sun_family = AF_UNIX;
	if (strlen(path) >= sizeof(address->sun_path))
		return -ENAMETOOLONG;
	memcpy(address->sun_path, path, strlen(path));
	return 0;
}

static int connect_to(const struct sockaddr_un *address)
{
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	if (connect(fd, (const struct sockaddr *)address, sizeof(*address)) == 0)
		return fd;
	int rc = -errno;
	close(fd);
	return rc;
}

int relay_control_open(
	struct relay_control *control,
	const char *path,
	struct relay_way *ways,
	char *error,
	size_t error_bytes
)
{
	struct sockaddr_un address;
	struct stat status;
	int rc = fill_address(&address, path);

	memset(control, 0, sizeof(*control));
	control->path = path;
	control->ways = ways;
	control->listener = -1;
	for (unsigned i = 0; i < RELAY_CONNECTIONS; i++)
		control->connections[i] = -1;
	if (rc == 0 && lstat(path, &status) == 0) {
		int other = S_ISSOCK(status.st_mode) ? connect_to(&address) : -ENOTSOCK;
		if (other >= 0) {
			close(other);
			rc = -EADDRINUSE;
		} else if (other == -ECONNREFUSED) {
			unlink(path);
		} else {
			rc = other;
		}
	}
	if (rc == 0) {
		control->listener =
			socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
		if (control->listener < 0 ||
		    bind(control->listener, (struct sockaddr *)&address, sizeof(address)) != 0 ||
		    listen(control->listener, RELAY_CONNECTIONS) != 0)
			rc = -errno;
	}
	if (rc != 0) {
		snprintf(error, error_bytes, "control socket %s: %s", path, strerror(-rc));
		if (control->listener >= 0)
			close(control->listener);
		control->listener = -1;
	}
	return rc;
}

static void serve(struct relay_control *control, int *fd)
{
	char command[COMMAND_BYTES + 1], answer[RELAY_ANSWER_BYTES];
	ssize_t bytes = recv(*fd, command, COMMAND_BYTES, MSG_DONTWAIT);

	if (bytes < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (bytes > 0) {
		command[bytes] = 0;
		relay_control_execute(control, command, answer, sizeof(answer));
		if (send(*fd, answer, strlen(answer), MSG_DONTWAIT | MSG_NOSIGNAL) > 0)
			return;
	}
	close(*fd);
	*fd = -1;
}

void relay_control_poll(struct relay_control *control)
{
	if (control->listener < 0)
		return;
	for (unsigned i = 0; i < RELAY_CONNECTIONS; i++) {
		int *fd = &control->connections[i];
		if (*fd < 0)
			*fd = accept4(control->listener, NULL, NULL, SOCK_CLOEXEC);
		if (*fd >= 0)
			serve(control, fd);
	}
}

void relay_control_close(struct relay_control *control)
{
	if (control->listener < 0)
		return;
	unlink(control->path);
	close(control->listener);
	control->listener = -1;
	for (unsigned i = 0; i < RELAY_CONNECTIONS; i++)
		if (control->connections[i] >= 0)
			close(control->connections[i]);
}

int relay_control_send(const char *path, const char *command)
{
	struct sockaddr_un address;
	struct timeval timeout = {.tv_sec = 5};
	char answer[RELAY_ANSWER_BYTES + 1];
	int fd = fill_address(&address, path);

	if (fd == 0)
		fd = connect_to(&address);
	if (fd < 0) {
		fprintf(stderr, "no relay at %s: %s\n", path, strerror(-fd));
		return SF_EXIT_NOT_RUNNING;
	}
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
	ssize_t bytes = -1;
	if (send(fd, command, strlen(command), MSG_NOSIGNAL) > 0)
		bytes = recv(fd, answer, RELAY_ANSWER_BYTES, 0);
	close(fd);
	if (bytes <= 0) {
		fprintf(stderr, "the relay at %s gives no answer\n", path);
		return SF_EXIT_FAILED;
	}
	answer[bytes] = 0;
	fputs(answer, stdout);
	return strncmp(answer, "error", 5) == 0 ? SF_EXIT_FAILED : SF_EXIT_OK;
}
