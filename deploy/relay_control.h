/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The relay's control socket: one line of text per message, one answer per message, over
 * SOCK_SEQPACKET so that a message is a message. Commands: cut WAY, heal [WAY], set WAY FAULT=…,
 * clear [WAY], stats, quit; WAY is a-b, b-a or both.
 */
#pragma once

#include "deploy/relay_way.h"

#define RELAY_ANSWER_BYTES 2048
#define RELAY_CONNECTIONS 4

struct relay_control {
	const char *path;
	int listener;
	int connections[RELAY_CONNECTIONS]; /* -1: free */
	struct relay_way *ways;		    /* a-b, b-a */
	bool quit;
};

/* 0 or a negative errno with a sentence. Removes a socket that nobody listens at; nothing else. */
int relay_control_open(
	struct relay_control *control,
	const char *path,
	struct relay_way *ways,
	char *error,
	size_t error_bytes
);
/* Answers what has come; never waits. */
void relay_control_poll(struct relay_control *control);
void relay_control_close(struct relay_control *control);

/* Executes one command; the answer begins with "error" when it is none. */
void relay_control_execute(
	struct relay_control *control, const char *command, char *answer, size_t answer_bytes
);

/* The other side: sends command to the relay at path and prints the answer. An exit code. */
int relay_control_send(const char *path, const char *command);
