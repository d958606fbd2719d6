/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Two replication cores with roles by the pair record, and the ideal world around them: a link
 * that loses a frame only where the test cuts it, disks that are done at once or when the test says
 * so, an arbiter that answers as it is told to, virtual time in steps of WORLD_TICK_NS. A node is
 * polled when something has come for it and at its deadline.
 *
 * In every poll the harness itself asserts that `committed` never falls while a node lives, that
 * only a node that serves commits, and that one place never holds two committed entries (inv. 1).
 */
#pragma once

#include "replication/core.h"

#include <stdbool.h>
#include <stdint.h>

#define WORLD_A 0 /* the preferred primary */
#define WORLD_B 1
#define WORLD_SLOTS 16
#define WORLD_MAX_LOG 1024
#define WORLD_MAX_FRAMES 256
#define WORLD_MAX_ASKS 4096
#define WORLD_MAX_WRITES 512
#define WORLD_FRAME_ENTRIES 16
#define WORLD_TICK_NS (100 * US)
#define US 1000ull
#define MS 1000000ull
#define HOUR (3600 * 1000 * MS)

struct world_frame {
	struct rep_header header;
	_Alignas(8) union {
		struct rep_hello hello;
		struct rep_change change;
		struct rep_nak nak;
		struct rep_fetch fetch;
		uint32_t epochs[WORLD_FRAME_ENTRIES]; /* of DATA: all that an entry is here */
	} body;
	uint64_t first_sequence;
};

struct world_queue {
	struct world_frame frames[WORLD_MAX_FRAMES];
	uint32_t count;
};

/* A write of the role record, as it was asked for. */
struct world_write {
	struct rep_record record;
	bool settles;
	enum rep_mode mode; /* of the node */
};

struct world_node {
	struct rep_core core;
	struct rep_core_config config;
	uint64_t memory[1];
	bool up;
	/* Disk. */
	bool slow_log, slow_record;  /* done when the test says so */
	uint32_t log[WORLD_MAX_LOG]; /* the epoch of each entry; it stands for its content */
	uint64_t written;
	uint64_t durable;
	struct rep_record disk;
	uint64_t persisted;
	struct world_write writes[WORLD_MAX_WRITES];
	uint32_t write_count;
	/* What the next poll brings. */
	struct rep_answer answer;
	enum rep_operation operation;
	struct rep_range staged;
	bool wake, passed_is_held;
	uint64_t passed;
	uint64_t committed;
	uint32_t answers_dropped;
};

/* What becomes of a question to the arbiter. */
enum world_arbiter {
	ARBITER_ANSWERS,
	ARBITER_HOLDS,	   /* until world_arbiter_release, or for ever */
	ARBITER_FAILS,	   /* nothing is done, and the answer says nothing */
	ARBITER_DOES_ONLY, /* it is done, but the answer says nothing */
};

struct world_asked {
	int who;
	uint64_t now_ns;
	struct rep_ask ask;
};

struct world {
	uint64_t now_ns;
	uint64_t lives;
	struct world_node nodes[2];
	struct world_queue wire[2]; /* to that node */
	bool cut[2];		    /* towards that node */
	struct rep_pair record;	    /* at the arbiter */
	enum world_arbiter on_read, on_exchange;
	struct world_asked asked[WORLD_MAX_ASKS];
	uint32_t asked_count;
	bool forks; /* by consent of the operator one place may hold two entries */
	uint32_t committed[WORLD_MAX_LOG]; /* the epoch of the entry that was committed there */
};

/* Two nodes, not started, heartbeats of 1 ms, detection after 10 ms, the standby 3 ms later. Change
 * nodes[].config, then world_start. */
struct world *world_new(enum rep_policy policy, enum rep_ack ack);
void world_free(struct world *world);
/* A new life with what the disk holds. */
void world_start(struct world *world, int who);
/* Memory is gone, and what was not durable. */
void world_crash(struct world *world, int who);
/* Stops in good order: GOODBYE, and the role record of a clean stop if there is one to write. */
void world_leave(struct world *world, int who);
/* What a node that has not been started finds on its disk. */
void world_fill_log(struct world *world, int who, uint32_t epoch, uint64_t last);
void world_fill_record(
	struct world *world,
	int who,
	enum rep_record_mode mode,
	uint32_t epoch,
	struct rep_pair pair
);

/* Both start blank; A is PAIRED and B STANDBY. */
void world_pair_up(struct world *world);
void world_run(struct world *world, uint64_t ns);
/* Fails when the mode is not reached within a second. */
void world_run_until(struct world *world, int who, enum rep_mode mode);
/* Nobody does anything for so long. */
void world_stand_still(struct world *world, uint64_t ns);
void world_submit(struct world *world, int who, uint32_t count);
void world_order(struct world *world, int who, enum rep_operation operation);
void world_cut(struct world *world, bool to_a, bool to_b);

/* The slow disk has done all that it was asked for. */
void world_log_done(struct world *world, int who);
void world_record_done(struct world *world, int who);
/* The newest question of a node takes place now; and its answer arrives, or does not. */
void world_arbiter_release(struct world *world, int who, bool answer);
/* Questions of this kind since `from`. */
uint32_t world_asked(const struct world *world, int who, bool exchange, uint32_t from);

void world_expect(const struct world *world, int who, enum rep_mode mode, enum rep_reason reason);
static inline struct rep_core *world_core(struct world *world, int who)
{
	return &world->nodes[who].core;
}
/* The newest write of the role record. */
static inline const struct world_write *world_wrote(const struct world *world, int who)
{
	const struct world_node *node = &world->nodes[who];
	return &node->writes[(node->write_count - 1) % WORLD_MAX_WRITES];
}
