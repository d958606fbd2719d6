/* SPDX-License-Identifier: BSD-3-Clause
 *
 * One direction of the fault-injecting relay: takes frames from one port, does to them what its
 * faults say, and sends them on by the other. The same seed, settings and frames give the same
 * faults. Owned by the relay's one thread.
 */
#pragma once

#include "dataplane/port.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RELAY_QUEUE_FRAMES 4096 /* power of two; under way in one direction */
#define RELAY_HELD_FRAMES 8	/* kept back for reordering at one time */

/* Probabilities are of 2^32 for each frame, drawn one by one in this order. */
struct relay_faults {
	uint64_t loss;
	uint64_t truncate; /* cut short to a random length of at least a header */
	uint64_t corrupt;  /* one byte is changed, anywhere in the frame */
	uint64_t duplicate;
	uint64_t reorder; /* sent after 1 to 4 later frames, or after 1 ms without any */
	uint64_t delay_ns;
	bool cut; /* everything is lost */
};

struct relay_counters {
	uint64_t received;
	uint64_t forwarded; /* copies included */
	uint64_t lost;
	uint64_t truncated;
	uint64_t corrupted;
	uint64_t duplicated;
	uint64_t reordered;
	uint64_t cut;
	uint64_t overflow; /* the queue was full, or no memory for a copy */
	uint64_t no_link;  /* nobody at the other end */
};

struct relay_queued {
	struct rte_mbuf *frame;
	uint64_t due_ns;
};

struct relay_held {
	struct rte_mbuf *frame; /* NULL: free */
	uint64_t due_ns;	/* at the latest */
	uint32_t frames_to_pass;
};

struct relay_way {
	const char *name; /* "a-b" */
	struct dp_port *from;
	struct dp_port *to;
	struct relay_faults faults;
	struct relay_counters counters;
	uint64_t seed;
	uint64_t draws;
	uint64_t link_checked_ns;
	bool link_up;
	uint32_t held_count;
	struct relay_held held[RELAY_HELD_FRAMES];
	uint32_t head; /* next to send */
	uint32_t tail; /* next free */
	struct relay_queued queue[RELAY_QUEUE_FRAMES];
};

void relay_way_init(
	struct relay_way *way,
	const char *name,
	struct dp_port *from,
	struct dp_port *to,
	uint64_t seed
);

/* One round at the monotonic time now_ns; returns the frames taken and sent. */
unsigned relay_way_poll(struct relay_way *way, uint64_t now_ns);

/* Gives back all frames under way. */
void relay_way_drain(struct relay_way *way);

/* Applies "loss=0.1 dup=0.05 reorder=0.1 corrupt=0.01 truncate=0.01 delay_us=200"; what is not
 * named stays. False with a sentence, and nothing changed, on anything else. */
bool relay_way_set(struct relay_way *way, const char *text, char *error, size_t error_bytes);
