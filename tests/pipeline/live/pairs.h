/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The process that holds the Standfast pairs of a live run (live_pairs.py), and questions to it. It
 * ends, and with it all nodes and namespaces, when its input is closed, so also when this process
 * dies.
 *
 * Questions are lines; answers come in the same order. Owner: the thread that asks; one at a time.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define PL_PAIRS_MAX 4
#define PL_PAIRS_LINE 1024

struct pl_pairs {
	pid_t pid;
	int to, from; /* pipes */
	uint32_t tag; /* of the last question */
	uint32_t used;
	char buffer[PL_PAIRS_LINE];
};

/* root: the checkout. 0 or -errno. */
int pl_pairs_start(struct pl_pairs *pairs, const char *root, const char *folder, const char *name);
/* Closes the input and waits until everything is taken down, for a minute at most. */
void pl_pairs_end(struct pl_pairs *pairs);

/* Sends "VERB ARGUMENTS"; the tag of the answer. 0: the process is gone. */
uint32_t pl_pairs_ask(struct pl_pairs *pairs, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
/* An answer that has come, without waiting: its tag, 0 for none. `text` gets its words, or why it
 * failed. */
uint32_t pl_pairs_answer(struct pl_pairs *pairs, bool *good, char *text, size_t bytes);
/* Asks and waits. */
bool pl_pairs_do(
	struct pl_pairs *pairs,
	char *text,
	size_t bytes,
	uint64_t patience_ns,
	const char *format,
	...
) __attribute__((format(printf, 5, 6)));
