/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The databases of a live run: Standfast pairs. A machine stands at the address of each front and
 * member: it turns WRITE into an update of the pair that holds the table, and commands into what is
 * done to the pair's processes.
 *
 * A row is an asset, table << 32 | record id, its value an i64; a write is SET, done again as often
 * as it takes with the same outcome. What stands in a node is told as an effect only when it was
 * seen: the active node's row when its answer came (of a synchronous pair both nodes' rows, which
 * the answer promises), the other node's when it was read there after a switch, or read at the end
 * from a primary whose digest is its peer's.
 *
 * Which region a node is in: node a in its pair's home region, node b in the other one.
 *
 * The owner is one thread while a run goes on, the caller before and after.
 */
#pragma once

#include "client/standfast.h"
#include "tests/pipeline/live/pairs.h"
#include "tests/pipeline/live/runtime.h"

#define PL_LIVE_SLOTS 256 /* requests on the way to all pairs */
#define PL_ERROR_BYTES 256

struct pl_live_pair {
	struct cli_client *client;
	uint8_t home, active; /* regions */
	bool synchronous;
	bool is_cut, is_down;
	char mode[16]; /* what its primary's status said at the beginning */
};

struct pl_row {
	uint64_t value, version; /* of the last answer */
	uint64_t answered_ns;
	uint8_t members; /* bits: the rows that were told */
	uint8_t pair;	 /* that answered */
	bool answered, found, left_behind;
};

struct pl_live_table {
	uint8_t front, number;
	uint8_t pairs[2]; /* by the caller's region */
	uint8_t members[PL_REGIONS_MAX];
	struct pl_row *rows; /* of record 1 … ids */
};

struct pl_live_slot {
	bool used, reads;
	uint8_t table, pair;
	struct pl_message asked;
};

enum pl_job_phase { PL_JOB_NONE, PL_JOB_ASKED, PL_JOB_READS };

/* What a command is doing; the driver gives one at a time. */
struct pl_job {
	uint8_t phase; /* enum pl_job_phase */
	uint8_t address, table;
	uint8_t pairs_left; /* bits: those of its pairs that are still to be asked */
	uint8_t pair;
	struct pl_message command;
	uint32_t tag;
	uint32_t next, open; /* of reading back */
	uint64_t begin_ns;
};

struct pl_databases {
	struct pl_runtime *runtime;
	struct pl_pairs *helper;
	uint32_t pair_count, table_count, ids;
	struct pl_live_pair pairs[PL_PAIRS_MAX];
	struct pl_live_table tables[PL_STAGES_MAX];
	uint64_t timeout_ns; /* of a write */
	uint64_t defects;
	bool loses_a_region; /* FAIL takes the lines and the node of the active region, not both */
	struct pl_job job;
	struct pl_live_slot slots[PL_LIVE_SLOTS];
	char error[PL_ERROR_BYTES]; /* of the last command that failed */
	/* Figures. */
	uint64_t writes, refused, lost_records;
	uint64_t switch_ns, switches;	      /* of pairs, until the new side serves */
	uint64_t first_lost_ns, last_lost_ns; /* answers of rows that were left behind */
	uint32_t forced;
};

extern const struct pl_kind pl_live_database;

/* Opens a client for each pair, in its namespace. 0, or -errno and a sentence. */
int pl_databases_connect(
	struct pl_databases *databases, char *const namespaces[], char *error, size_t bytes
);
void pl_databases_close(struct pl_databases *databases);
/* A run begins: no row was written. The tables' pairs are set before. */
int pl_databases_place(
	struct pl_databases *databases,
	struct pl_runtime *runtime,
	const struct pl_topology *topology,
	uint32_t thread
);
/* The run has ended, its threads too: waits until both nodes of each pair hold the same, reads all
 * rows and tells what stands in the members. False, and a sentence: they do not come together. */
bool pl_databases_check(struct pl_databases *databases, char *error, size_t bytes);

/* ---- between databases.c and its commands ---- */

void pl_databases_command(
	struct pl_databases *databases,
	uint32_t address,
	const struct pl_message *message,
	uint64_t now_ns,
	struct pl_out *out
);
/* True when it did anything. */
bool pl_databases_job(struct pl_databases *databases, uint64_t now_ns);
/* A row was read. */
void pl_databases_read(
	struct pl_databases *databases, struct pl_live_slot *slot, const struct cli_result *result
);
/* False: no slot, or the pair's client takes no more now. */
bool pl_databases_submit(
	struct pl_databases *databases,
	uint32_t table,
	uint32_t pair,
	bool reads,
	const struct pl_message *asked,
	uint64_t deadline_ns
);
/* Collects what has come from a pair. */
bool pl_databases_collect(struct pl_databases *databases, uint32_t pair, uint64_t now_ns);
/* Tells a row of a member, once. */
void pl_databases_tell(
	struct pl_databases *databases,
	const struct pl_live_table *table,
	uint32_t id,
	uint32_t region,
	struct pl_out *out
);
