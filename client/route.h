/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Which node the client talks to. Pure: no socket, no clock. The client holds a few configured
 * addresses and the last few that nodes hinted at, and one of them is current.
 *
 * What an epoch decides (faults.md N23, C12, T02): a lower epoch than the highest seen makes a hint
 * worthless, because a deposed node sends clients to itself or to where the primary used to be. It
 * does not make an OK worthless: a node answers OK only once the entry is committed, so an answer
 * of an old primary that comes late is as true as any. Every other answer of a lower epoch speaks
 * for a node that is no longer in charge, and says no more than "ask elsewhere".
 */
#pragma once

#include "client/standfast.h"

#define CLI_MAX_LEARNED 4

struct cli_route {
	struct cli_address nodes[CLI_MAX_NODES + CLI_MAX_LEARNED];
	uint32_t configured_count;
	uint32_t learned_count;
	uint32_t learned_next;	/* oldest hint, replaced by the next new one */
	uint32_t current;	/* index into nodes */
	uint32_t rotation;	/* configured address that was tried last */
	uint32_t epoch;		/* highest seen in any answer, 0 before the first */
	uint32_t refusal_count; /* NOT_PRIMARY since the last useful answer: the back-off's exponent
				 */
	uint32_t silent_count;	/* time-outs since the current node was heard last */
	uint64_t heard_ns;	/* when it was heard last */
	bool is_lost; /* moved without a hint, and no useful answer since: nobody knows who serves
		       */
	uint64_t moved_count; /* changes of current, for the counters */
};

enum cli_route_advice {
	CLI_ROUTE_KEEP,	 /* says nothing about the current node: send the request there */
	CLI_ROUTE_NOW,	 /* moved on a fresh hint: send there at once */
	CLI_ROUTE_LATER, /* moved, or nowhere to move: back off first */
};

void cli_route_init(struct cli_route *route, const struct cli_address *nodes, uint32_t count);

/* Index of an address that is configured or was hinted at, or -1. */
int cli_route_find(const struct cli_route *route, const struct cli_address *address);

/* Any well-formed answer to this client came from nodes[from]. Returns false when its epoch is
 * lower than the highest seen. */
bool cli_route_heard(struct cli_route *route, uint32_t from, uint32_t epoch, uint64_t now_ns);

/* An answer that only a primary gives: the back-off starts anew. */
void cli_route_useful(struct cli_route *route);

/* NOT_PRIMARY (or an answer of a lower epoch: fresh is false, hint is NULL) came from nodes[from].
 * hint is NULL when the payload was empty. newer: its epoch was above all seen before it. */
enum cli_route_advice cli_route_refused(
	struct cli_route *route, uint32_t from, bool newer, const struct cli_address *hint
);

/* A name server says that the primary is there; it counts while the node is lost only. Returns true
 * when that is another node than the current one, which is moved to. */
bool cli_route_suggest(struct cli_route *route, const struct cli_address *address);

/* A copy that was sent to nodes[to] at sent_ns timed out. Moves to the next configured address once
 * the current one has been silent for two time-outs, so one lost datagram moves nobody. */
void cli_route_timed_out(struct cli_route *route, uint32_t to, uint64_t sent_ns);
