/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The operator API of a node: a Unix stream socket <runtime_dir>/<node>.ctl, mode 0600. A client
 * sends one line of words, gets one line of JSON, and the connection is closed (control/README.md).
 * Everything is bounded: connections, line, time. What cannot be understood gets an error answer.
 *
 * Owner: the one thread of standfast-control. Times are CLOCK_MONOTONIC in ns.
 */
#pragma once

#include "control/attach.h"
#include "control/events.h"
#include "control/names.h"
#include "control/requests.h"
#include "control/servant.h"

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CTL_API_CONNECTIONS 16
#define CTL_API_LINE_BYTES 256
#define CTL_API_PATIENCE_NS 5000000000ull /* for a client to send its line or take its answer */
#define CTL_API_SUFFIX ".ctl"

/* A client. */
struct ctl_client {
	int fd; /* -1: free */
	uint64_t deadline_ns;
	char line[CTL_API_LINE_BYTES];
	size_t line_bytes;
	struct ctl_request *request; /* waited for, or NULL */
	uint64_t asked_ns;
	char *answer; /* owned; NULL until there is one */
	size_t answer_bytes, answer_sent;
};

struct ctl_api {
	int listen_fd;
	char path[108];
	struct ctl_attach *attach;
	struct ctl_requests *requests;
	struct ctl_events *events;
	struct ctl_servant *servant;
	struct ctl_names *names;
	struct ctl_client clients[CTL_API_CONNECTIONS];
	uint64_t refused_connections;
	uint64_t bad_requests;
	uint64_t timed_out;
};

/* Opens the socket; one of a killed control is replaced (the caller holds the node's control lock).
 * 0 or a negative errno with error. */
int ctl_api_open(
	struct ctl_api *api, const struct cfg_settings *settings, char *error, size_t error_bytes
);
void ctl_api_close(struct ctl_api *api);

/* What to wait for: fills at most 1 + CTL_API_CONNECTIONS places, gives their count. */
uint32_t ctl_api_poll_set(const struct ctl_api *api, struct pollfd *set);
/* Accepts, reads, answers, closes, as far as it goes without waiting. */
void ctl_api_step(struct ctl_api *api, uint64_t now_ns);
