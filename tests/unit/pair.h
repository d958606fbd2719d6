/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Two replication cores in virtual time, for tests that read as transcripts. Node P is the primary,
 * node S the standby. Frames are really encoded and decoded; what a node does in a poll becomes one
 * line of text, for example "S 250us: append 1-2, send ACK 2". The wire is moved either by hand
 * (pair_poll, pair_deliver, pair_lose) or by pair_run_until, which polls each node when a frame
 * arrives and at its deadline. The idea of comparing such texts is Open vSwitch's.
 *
 * In every poll the harness itself asserts what always holds: committed never moves back and never
 * passes what the standby has, and what the standby appends is what the primary submitted.
 */
#pragma once

#include "replication/core.h"
#include "replication/intake.h"
#include "tests/unit/random.h"

#include <stdbool.h>
#include <stdint.h>

#define PAIR_P 0
#define PAIR_S 1
#define PAIR_MAX_SLOTS 64
#define PAIR_MAX_HISTORY 4096
#define PAIR_QUEUE 512
#define PAIR_FRAME_BYTES 1600
#define PAIR_ENTRIES_PER_FRAME 4
#define US 1000ull
#define MS 1000000ull

struct pair_frame {
	uint64_t due_ns;
	uint64_t order; /* ties in due_ns keep the order of sending */
	uint32_t bytes;
	_Alignas(8) uint8_t data[PAIR_FRAME_BYTES]; /* frame at + 2, as behind Ethernet's header */
};

struct pair_queue {
	struct pair_frame frames[PAIR_QUEUE];
	uint32_t count;
};

struct pair_node {
	struct rep_core core;
	struct rep_core_config config;
	uint64_t memory[PAIR_MAX_SLOTS / 64];
	uint8_t arena_memory[PAIR_MAX_SLOTS * 128] __attribute__((aligned(64)));
	struct rep_arena arena;
	uint64_t passed;     /* when held: consumers are past these */
	bool passed_is_held; /* otherwise consumers are past everything at once */
	bool undrained;	     /* frames are said to be left in the receive queue */
	bool paused;	     /* not polled by pair_run_until */
	bool reads;	     /* the next poll brings a read */
	uint64_t durable;    /* what the node's log is said to hold */
	uint64_t committed;
	uint64_t confirmed_frame;
	uint64_t polls;
	enum rep_mode mode;
	enum rep_reason reason;
	struct pair_queue inbox;
};

struct pair {
	uint64_t now_ns;
	uint64_t next_incarnation;
	uint64_t order;
	struct pair_node nodes[2];
	struct pair_queue wire[2]; /* to node 0, to node 1 */
	bool cut[2];		   /* towards that node */
	uint64_t delay_ns;
	struct random random;
	/* Percent, used by what is sent while not cut. */
	uint32_t lose, duplicate, reorder;
	/* CRCs of the entries that the living primary has submitted, by sequence. */
	uint32_t history[PAIR_MAX_HISTORY];
	uint64_t history_count;
	bool quiet; /* no transcript */
	char text[32768];
	uint32_t text_bytes;
};

/* A pair with 16 slots, window 8, heartbeats of 1 ms, detection after 10 ms, retransmission after
 * 200 us at the earliest. Change nodes[].config and call pair_boot for another. */
struct pair *pair_new(void);
void pair_free(struct pair *pair);
/* (Re)starts a node, empty, in a new life. */
void pair_boot(struct pair *pair, int who);
/* Boots both, runs until PAIRED and forgets the transcript. */
/* The node is killed and comes back with the first `kept` entries that it held. */
void pair_restart(struct pair *pair, int who, uint64_t kept);
struct pair *pair_new_paired(void);

/* One poll of a node with all frames of its inbox and this many new entries. */
void pair_poll(struct pair *pair, int who, uint32_t submit);
/* Moves the oldest frame (or all) of the wire to a node into its inbox. */
void pair_deliver(struct pair *pair, int who);
void pair_deliver_all(struct pair *pair, int who);
/* The oldest frame on the wire to a node is lost, or comes once more. */
void pair_lose(struct pair *pair, int who);
void pair_duplicate(struct pair *pair, int who);
/* The two oldest frames on the wire to a node change places. */
void pair_swap(struct pair *pair, int who);
/* A frame of another origin, sealed as it is, straight into a node's inbox. */
void pair_inject(struct pair *pair, int who, struct rep_header *header);
/* A NAK of the standby with these numbers, straight into the primary's inbox. */
void pair_nak(struct pair *pair, const struct rep_nak *nak);
void pair_advance(struct pair *pair, uint64_t ns);

/* Delivers and polls, in order of time, until then. Fails when a deadline comes without anything
 * being done at it again and again. */
void pair_run_until(struct pair *pair, uint64_t until_ns);
static inline void pair_run_for(struct pair *pair, uint64_t ns)
{
	pair_run_until(pair, pair->now_ns + ns);
}

/* Fails unless the transcript since the last call is this. */
void pair_expect(struct pair *pair, const char *expected);
/* Forgets it, or asks whether it contains something. */
void pair_forget(struct pair *pair);
bool pair_said(const struct pair *pair, const char *words);
void pair_expect_state(
	const struct pair *pair, int who, enum rep_mode mode, enum rep_reason reason
);
