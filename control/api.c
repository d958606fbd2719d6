/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/api.h"

#include "config/exit_codes.h"
#include "config/log.h"
#include "control/text.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define LISTEN_BACKLOG 64

int ctl_api_open(
	struct ctl_api *api, const struct cfg_settings *settings, char *error, size_t error_bytes
)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	for (uint32_t i = 0; i < CTL_API_CONNECTIONS; i++)
		api->clients[i].fd = -1;
	api->listen_fd = -1;
	int length = snprintf(
		api->path,
		sizeof(api->path),
		"%s/%s" CTL_API_SUFFIX,
		settings->node.runtime_dir,
		settings->node.name
	);
	if (length >= (int)sizeof(address.sun_path)) {
		snprintf(
			error,
			error_bytes,
			"the path of the operator socket in %s is longer than %zu characters",
			settings->node.runtime_dir,
			sizeof(address.sun_path) - 1
		);
		return -ENAMETOOLONG;
	}
	memcpy(address.sun_path, api->path, (size_t)length + 1);
	unlink(api->path);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	/* The mode is there before the socket: nobody else can slip in between. */
	mode_t before = umask(0177);
	bool open = fd >= 0 && bind(fd, (struct sockaddr *)&address, sizeof(address)) == 0 &&
		    listen(fd, LISTEN_BACKLOG) == 0;
	int result = open ? 0 : -errno;
	umask(before);
	if (!open) {
		snprintf(error, error_bytes, "cannot open %s: %s", api->path, strerror(-result));
		if (fd >= 0)
			close(fd);
		return result;
	}
	api->listen_fd = fd;
	return 0;
}

static void drop_client(struct ctl_client *client)
{
	ctl_request_free(client->request);
	free(client->answer);
	close(client->fd);
	memset(client, 0, sizeof(*client));
	client->fd = -1;
}

void ctl_api_close(struct ctl_api *api)
{
	for (uint32_t i = 0; i < CTL_API_CONNECTIONS; i++)
		if (api->clients[i].fd >= 0)
			drop_client(&api->clients[i]);
	if (api->listen_fd >= 0) {
		close(api->listen_fd);
		unlink(api->path);
	}
	api->listen_fd = -1;
}

uint32_t ctl_api_poll_set(const struct ctl_api *api, struct pollfd *set)
{
	uint32_t count = 0;
	set[count++] = (struct pollfd){.fd = api->listen_fd, .events = POLLIN};
	for (uint32_t i = 0; i < CTL_API_CONNECTIONS; i++) {
		const struct ctl_client *client = &api->clients[i];
		/* One that waits for the dataplane has nothing to say meanwhile. */
		if (client->fd >= 0 && !client->request)
			set[count++] = (struct pollfd
			){.fd = client->fd, .events = client->answer ? POLLOUT : POLLIN};
	}
	return count;
}

/* --- Answers --- */

/* Takes the tree over. */
static void answer(struct ctl_client *client, uint64_t now_ns, json_t *tree)
{
	static const char no_memory[] = "{\"ok\": false, \"code\": 1, \"error\": \"no memory\"}";
	char *text = tree ? json_dumps(tree, JSON_COMPACT) : NULL;
	size_t bytes = strlen(text ? text : no_memory);
	json_decref(tree);
	ctl_request_free(client->request);
	client->request = NULL;
	client->answer = malloc(bytes + 1);
	if (client->answer) {
		memcpy(client->answer, text ? text : no_memory, bytes);
		client->answer[bytes] = '\n';
		client->answer_bytes = bytes + 1;
		client->deadline_ns = now_ns + CTL_API_PATIENCE_NS;
	} else {
		client->deadline_ns = 0; /* dropped in this step */
	}
	free(text);
}

static void answer_error(struct ctl_client *client, uint64_t now_ns, int code, const char *text)
{
	json_t *tree = json_object();
	json_object_set_new(tree, "ok", json_false());
	json_object_set_new(tree, "code", json_integer(code));
	json_object_set_new(tree, "error", json_string(text));
	answer(client, now_ns, tree);
}

static json_t *good_answer(void)
{
	json_t *tree = json_object();
	json_object_set_new(tree, "ok", json_true());
	return tree;
}

/* --- Requests that the dataplane answers --- */

static void start(struct ctl_api *api, struct ctl_client *client, uint64_t now_ns, uint32_t type)
{
	if (api->attach->state == CTL_ABSENT) {
		answer_error(client, now_ns, SF_EXIT_NOT_RUNNING, api->attach->why);
		return;
	}
	client->asked_ns = now_ns;
	client->request = ctl_request_start(api->requests, type, now_ns + CTL_REQUEST_PATIENCE_NS);
	if (!client->request)
		answer_error(client, now_ns, SF_EXIT_FAILED, "too many requests are under way");
	else
		client->deadline_ns = now_ns + 2 * CTL_REQUEST_PATIENCE_NS;
}

/* A mark is complete when sequencer and workers have passed it. */
static bool finish_digest(struct ctl_api *api, struct ctl_client *client, uint64_t now_ns)
{
	uint64_t sequence = client->request->value, digest = 0;
	char text[17];
	/* Before the first entry there is no state, and so nothing to sum. */
	if (sequence != 0 && !dp_shm_digest_at(api->attach->shm, sequence, &digest))
		return false;
	snprintf(text, sizeof(text), "%016" PRIx64, digest);
	json_t *tree = good_answer();
	json_object_set_new(tree, "sequence", json_integer((json_int_t)sequence));
	json_object_set_new(tree, "digest", json_string(text));
	answer(client, now_ns, tree);
	return true;
}

static void finish_ping(struct ctl_api *api, struct ctl_client *client, uint64_t now_ns)
{
	json_t *tree = good_answer();
	const struct ctl_attach *attach = api->attach;
	json_object_set_new(tree, "incarnation", json_integer((json_int_t)attach->incarnation));
	json_object_set_new(tree, "generation", json_integer((json_int_t)attach->generation));
	json_object_set_new(tree, "took_ns", json_integer((json_int_t)(now_ns - client->asked_ns)));
	json_object_set_new(
		tree,
		"dropped_messages",
		json_integer((json_int_t)(attach->dropped_incarnation + attach->dropped_generation))
	);
	json_object_set_new(
		tree, "sent_again", json_integer((json_int_t)api->requests->sent_again)
	);
	answer(client, now_ns, tree);
}

static void follow_request(struct ctl_api *api, struct ctl_client *client, uint64_t now_ns)
{
	struct ctl_request *request = client->request;
	bool attached = api->attach->state == CTL_ATTACHED;
	if (request->state == CTL_REQUEST_DONE && attached) {
		if (request->incarnation != api->attach->incarnation) {
			ctl_request_again(api->requests, request);
		} else if (request->type == DP_COMMAND_PING) {
			finish_ping(api, client, now_ns);
			return;
		} else if (finish_digest(api, client, now_ns)) {
			return;
		}
	}
	if (now_ns >= request->deadline_ns) {
		api->timed_out++;
		answer_error(client, now_ns, SF_EXIT_NOT_RUNNING, "the dataplane does not answer");
	}
}

/* --- The operator's word on roles: passed on, and that is all --- */

static void
operate(struct ctl_api *api, struct ctl_client *client, uint64_t now_ns, const char *word)
{
	static const struct {
		const char *word;
		enum rep_operation operation;
	} words[] = {
		{"switchover", REP_OPERATION_SWITCHOVER},
		{"force", REP_OPERATION_FORCE},
		{"init", REP_OPERATION_INIT},
	};
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (strcmp(word, words[i].word) != 0)
			continue;
		if (ctl_servant_operate(api->servant, words[i].operation))
			answer(client, now_ns, good_answer());
		else
			answer_error(
				client,
				now_ns,
				SF_EXIT_NOT_RUNNING,
				api->attach->state == CTL_ABSENT ? api->attach->why
								 : "the node is starting"
			);
		return;
	}
	api->bad_requests++;
	answer_error(client, now_ns, SF_EXIT_USAGE, "unknown operation");
}

static void hold(struct ctl_api *api, struct ctl_client *client, uint64_t now_ns, bool held)
{
	int result = ctl_servant_hold(api->servant, held);
	if (result == 0)
		answer(client, now_ns, good_answer());
	else
		answer_error(client, now_ns, SF_EXIT_FAILED, strerror(-result));
}

/* --- Names --- */

static void
route(struct ctl_api *api, struct ctl_client *client, uint64_t now_ns, const char *words)
{
	char error[512];
	int code;
	json_t *tree = ctl_names_take(api->names, words, &code, error, sizeof(error));
	if (tree) {
		json_object_set_new(tree, "ok", json_true());
		answer(client, now_ns, tree);
		return;
	}
	api->bad_requests += code == SF_EXIT_USAGE;
	answer_error(client, now_ns, code, error);
}

/* --- The words of a request --- */

static void take_line(struct ctl_api *api, struct ctl_client *client, uint64_t now_ns)
{
	const char *line = client->line;
	if (strcmp(line, "ping") == 0) {
		start(api, client, now_ns, DP_COMMAND_PING);
	} else if (strcmp(line, "digest current") == 0) {
		start(api, client, now_ns, DP_COMMAND_DIGEST);
	} else if (strncmp(line, "maintenance ", 12) == 0) {
		hold(api, client, now_ns, strcmp(line + 12, "on") == 0);
	} else if (strncmp(line, "operate ", 8) == 0) {
		operate(api, client, now_ns, line + 8);
	} else if (strncmp(line, "route ", 6) == 0) {
		route(api, client, now_ns, line + 6);
	} else if (strcmp(line, "events") == 0) {
		json_t *tree = ctl_events_json(api->events);
		json_object_set_new(tree, "ok", json_true());
		answer(client, now_ns, tree);
	} else {
		api->bad_requests++;
		answer_error(client, now_ns, SF_EXIT_USAGE, "unknown request");
	}
}

static void read_client(struct ctl_api *api, struct ctl_client *client, uint64_t now_ns)
{
	size_t room = sizeof(client->line) - client->line_bytes;
	ssize_t got = read(client->fd, client->line + client->line_bytes, room);
	if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR)) {
		drop_client(client);
		return;
	}
	if (got < 0)
		return;
	client->line_bytes += (size_t)got;
	char *end = memchr(client->line, '\n', client->line_bytes);
	if (end) {
		*end = 0;
		if (end > client->line && end[-1] == '\r')
			end[-1] = 0;
		take_line(api, client, now_ns);
	} else if (client->line_bytes == sizeof(client->line)) {
		api->bad_requests++;
		answer_error(client, now_ns, SF_EXIT_USAGE, "the line is too long");
	}
}

/* --- Connections --- */

static void write_client(struct ctl_client *client)
{
	ssize_t put =
		send(client->fd,
		     client->answer + client->answer_sent,
		     client->answer_bytes - client->answer_sent,
		     MSG_NOSIGNAL | MSG_DONTWAIT);
	if (put < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (put > 0)
		client->answer_sent += (size_t)put;
	if (put <= 0 || client->answer_sent == client->answer_bytes)
		drop_client(client);
}

static struct ctl_client *free_client(struct ctl_api *api)
{
	for (uint32_t i = 0; i < CTL_API_CONNECTIONS; i++)
		if (api->clients[i].fd < 0)
			return &api->clients[i];
	return NULL;
}

static void accept_clients(struct ctl_api *api, uint64_t now_ns)
{
	static const char full[] =
		"{\"ok\": false, \"code\": 1, \"error\": \"too many connections\"}\n";
	for (int i = 0; i < CTL_API_CONNECTIONS; i++) {
		int fd = accept4(api->listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd < 0)
			return;
		struct ctl_client *client = free_client(api);
		if (client) {
			client->fd = fd;
			client->deadline_ns = now_ns + CTL_API_PATIENCE_NS;
			continue;
		}
		api->refused_connections++;
		/* Best effort: whoever does not take it sees the connection end. */
		ssize_t ignored = send(fd, full, sizeof(full) - 1, MSG_NOSIGNAL | MSG_DONTWAIT);
		(void)ignored;
		close(fd);
	}
}

static void step_client(struct ctl_api *api, struct ctl_client *client, uint64_t now_ns)
{
	if (!client->request && !client->answer)
		read_client(api, client, now_ns);
	if (client->fd >= 0 && client->request)
		follow_request(api, client, now_ns);
	if (client->fd >= 0 && client->answer)
		write_client(client);
	if (client->fd >= 0 && now_ns >= client->deadline_ns) {
		api->timed_out++;
		drop_client(client);
	}
}

void ctl_api_step(struct ctl_api *api, uint64_t now_ns)
{
	accept_clients(api, now_ns);
	for (uint32_t i = 0; i < CTL_API_CONNECTIONS; i++)
		if (api->clients[i].fd >= 0)
			step_client(api, &api->clients[i], now_ns);
}
