/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/ask.h"

#include "config/exit_codes.h"
#include "control/api.h"
#include "control/text.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

static int open_connection(const struct cfg_settings *settings)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	char path[CFG_TEXT_BYTES + CFG_NAME_BYTES + sizeof(CTL_API_SUFFIX) + 1];
	int length = snprintf(
		path,
		sizeof(path),
		"%s/%s" CTL_API_SUFFIX,
		settings->node.runtime_dir,
		settings->node.name
	);
	if (length >= (int)sizeof(address.sun_path))
		return -ENAMETOOLONG;
	memcpy(address.sun_path, path, (size_t)length + 1);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	/* Bounds the wait for a place in the queue of a control that does not accept. */
	struct timeval patience = {.tv_sec = 2};
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
		int result = -errno;
		close(fd);
		return result;
	}
	return fd;
}

/* Reads until the other side closes. NULL with errno. */
static char *read_all(int fd, size_t *bytes)
{
	uint64_t deadline_ns = ctl_monotonic_ns() + CTL_ASK_PATIENCE_NS;
	size_t room = 4096, used = 0;
	char *text = malloc(room);
	while (text) {
		struct pollfd wait = {.fd = fd, .events = POLLIN};
		uint64_t now_ns = ctl_monotonic_ns();
		errno = ETIMEDOUT;
		if (now_ns >= deadline_ns)
			break;
		poll(&wait, 1, (int)((deadline_ns - now_ns) / 1000000) + 1);
		ssize_t got = recv(fd, text + used, room - used, MSG_DONTWAIT);
		if (got < 0 && (errno == EAGAIN || errno == EINTR))
			continue;
		if (got < 0)
			break;
		*bytes = used += (size_t)got;
		if (got == 0)
			return text;
		if (used < room)
			continue;
		errno = EMSGSIZE;
		room *= 2;
		char *more = room <= CTL_ASK_MOST_BYTES ? realloc(text, room) : NULL;
		if (!more)
			break;
		text = more;
	}
	free(text);
	return NULL;
}

json_t *
ctl_ask(const struct cfg_settings *settings,
	const char *words,
	int *code,
	char *error,
	size_t error_bytes)
{
	char line[CTL_API_LINE_BYTES];
	size_t bytes = 0;
	*code = SF_EXIT_NOT_RUNNING;
	int fd = open_connection(settings);
	if (fd < 0) {
		snprintf(
			error,
			error_bytes,
			"control of node \"%s\" is not running (%s)",
			settings->node.name,
			strerror(-fd)
		);
		return NULL;
	}
	int length = snprintf(line, sizeof(line), "%s\n", words);
	ssize_t put = send(fd, line, (size_t)length, MSG_NOSIGNAL);
	char *text = put == length ? read_all(fd, &bytes) : NULL;
	int fault = errno;
	close(fd);
	if (!text) {
		snprintf(
			error,
			error_bytes,
			"control of node \"%s\" does not answer (%s)",
			settings->node.name,
			strerror(fault)
		);
		return NULL;
	}
	json_t *tree = json_loadb(text, bytes, 0, NULL);
	free(text);
	if (!json_is_object(tree)) {
		json_decref(tree);
		tree = NULL;
		*code = SF_EXIT_FAILED;
		snprintf(error, error_bytes, "control gave an answer that is not JSON");
	}
	return tree;
}
