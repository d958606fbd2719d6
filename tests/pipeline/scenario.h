/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A scenario: what is done to an architecture, step by step, and what it promises. Read from
 * scenarios/NAME.conf (libconfig); README.md has the format; adding one is adding a file.
 *
 * The driver is the machine that does it: one step after the other, the next one when what the
 * step asked for was answered. It sends ordinary messages, so the explorer and the live mode run
 * it as they run any machine.
 */
#pragma once

#include "tests/pipeline/monitor.h"
#include "tests/pipeline/topology.h"

#define PL_STEPS_MAX 128
#define PL_STEP_TARGETS_MAX 40
#define PL_ABOUT_BYTES 160

enum pl_op {
	PL_OP_PUBLISH,	    /* batch `number`; goes on at once */
	PL_OP_PUBLISH_REST, /* of the last batch, what was refused */
	PL_OP_AWAIT_SOURCE, /* until the last batch was accepted, or refused */
	PL_OP_AWAIT,	    /* until targets[0] has taken `number` records in all */
	PL_OP_COMMAND,	    /* `command` to each target, one after the other */
	PL_OP_COMMAND_CHOSEN,
	PL_OP_CHOOSE,	    /* a random non-empty subset of the targets */
	PL_OP_DRAINED,	    /* until each target is empty, in this order */
	PL_OP_EXPECT_DEPTH, /* `number` … `most` records wait in targets[0] */
	PL_OP_WAIT,	    /* `number` ns */
	PL_OPS,
};

struct pl_step {
	uint8_t op;	 /* enum pl_op */
	uint8_t command; /* enum pl_message_kind */
	uint8_t region;
	uint8_t may_fail; /* a command that is refused is no fault */
	uint8_t at_once;  /* commands: the answer is not waited for, nor looked at */
	uint8_t count;
	uint8_t targets[PL_STEP_TARGETS_MAX];
	uint16_t line; /* in the file */
	uint64_t number, most;
};

/* What must break, where the file says so: a monitor, or one of these. */
enum pl_broken {
	PL_BROKEN_LIVENESS = PL_MONITORS, /* it does not come to its end */
	PL_BROKEN_EXPECT,		  /* a step was refused, or found something else */
	PL_BROKEN_MACHINE,		  /* an invariant of a machine or of the explorer */
	PL_BROKEN_NOTHING,
};

struct pl_scenario {
	char name[PL_NAME_BYTES], about[PL_ABOUT_BYTES];
	uint32_t batch, batches;
	struct pl_promise promise;
	uint32_t broken;    /* enum pl_monitor or pl_broken: what must be found */
	uint32_t or_broken; /* or this, where one cause shows in two ways; else the same */
	uint64_t defects;   /* switched on by the file */
	bool failover;	    /* RPO and RTO are told */
	uint32_t step_count;
	struct pl_step steps[PL_STEPS_MAX];
};

/* DIR/scenarios/NAME.conf and the architecture that it names, with the scenario's own parameters.
 * Returns 0, or -1 with a sentence that names file and line. */
int pl_scenario_read(
	struct pl_scenario *scenario,
	struct pl_topology *topology,
	const char *dir,
	const char *name,
	char *error,
	size_t bytes
);
const char *pl_broken_name(uint32_t broken); /* "order" … "liveness", "nothing" */

/* The targets of a `choose` that the driver with this seed takes: bits by address. */
uint64_t pl_driver_choice(const struct pl_step *step, uint64_t seed);

/* ---- the driver's state, as the explorer and the live mode look at it ---- */

bool pl_driver_done(const void *state);
/* 0 … step_count: where it stands. */
uint32_t pl_driver_at(const void *state);
/* It waits for time, not for a machine. */
bool pl_driver_sleeps(const void *state);
struct pl_driver_fault {
	struct pl_step step;
	uint32_t at, target; /* which step, and which of its targets */
	uint8_t status;	     /* of the answer; OK: the depth was another one */
	uint64_t found;
};
/* True: a step was refused or found something else. */
bool pl_driver_broken(const void *state, struct pl_driver_fault *fault);

/* ---- as text: driver_text.c ---- */

/* False: a step was refused or found something else; the text says which. */
bool pl_driver_good(
	const void *state, const struct pl_topology *topology, char *text, size_t bytes
);
/* "step 4 (line 12): await destination, 20 records" */
void pl_step_text(
	const struct pl_step *step,
	const struct pl_topology *topology,
	uint32_t index,
	char *text,
	size_t bytes
);
