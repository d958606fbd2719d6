/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A scenario: a small text that says what happens to a pair, what must be so meanwhile, and, after
 * `transcript:`, what the roles do. It runs on the simulator's engine with all its checkers; only
 * the faults are the script's instead of drawn ones. README.md, "Scenarios", has the language.
 *
 * A line that cannot be read, a condition that does not hold and an invariant that is broken all
 * end the run by sim_fail.
 */
#pragma once

#include "tests/sim/sim.h"

#define SCENARIO_WORDS 16
#define SCENARIO_TRANSCRIPT_BYTES (256 * 1024)
#define SCENARIO_MS 1000000ull

/* What of a node stands in the transcript: a line is written when it changes. A reason that does
 * not last is left out, so that the transcript does not hang on a millisecond. */
#define SCENARIO_LASTS_NS (500 * SCENARIO_MS)
struct scenario_seen {
	enum sim_state state;
	enum rep_mode mode;
	enum rep_reason reason;
	uint32_t epoch;
	uint64_t entered_ns, since_ns; /* the mode; and with this reason and epoch */
	bool pending;		       /* not written yet */
	bool named;		       /* its mode is */
	uint64_t refills;
	struct rep_pair held; /* pair record in its role record */
};

struct scenario {
	const char *path;
	const char *script; /* the text before `transcript:` */
	uint64_t seed;
	struct sim_plan plan;
	bool power;    /* every kill is a power failure */
	uint32_t line; /* of the script, from 1 */
	struct scenario_seen seen[2];
	struct rep_pair seen_pair; /* the arbiter's */
	struct rep_pair saved;	   /* of `arbiter save` */
	struct rep_pair right;	   /* before something was done to it */
	uint64_t counts_before[SIM_COUNTS];
	uint64_t answered_mark; /* updates answered when a `for` began */
	uint64_t committed_top, lost;
	uint32_t transcript_bytes;
	char transcript[SCENARIO_TRANSCRIPT_BYTES];
};

/* What a script's line may begin with; a line of the header sets up the plan before the run. */
bool scenario_plan(struct scenario *scenario); /* false: its last line is bad */
void scenario_run(struct sim *sim, void *scenario);

/* Adds a line to the transcript; one without a time is the script's own. */
void scenario_write(struct scenario *scenario, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
/* Writes what has changed since it was called last. */
void scenario_watch(struct scenario *scenario, struct sim *sim);
/* The end: what has not been written because it might not last. */
void scenario_watch_end(struct scenario *scenario, const struct sim *sim);

/* Is it so? A text that cannot be read ends the run. */
bool scenario_holds(struct scenario *scenario, struct sim *sim, char **words, uint32_t count);
/* How things are, for a message. */
void scenario_describe(struct scenario *scenario, struct sim *sim, char *text, uint32_t bytes);

_Noreturn void scenario_bad_line(struct scenario *scenario, struct sim *sim, const char *what);
/* "a" or "b". */
bool scenario_node(const char *word, uint32_t *node);
bool scenario_number(const char *text, uint64_t *value);
/* "5s", "20ms", "50us". */
bool scenario_time(const char *text, uint64_t *time_ns);
bool scenario_set_timer(struct sim_plan *plan, const char *name, const char *text);
/* Copies the next line, without comment, and goes on behind it. False at the end. */
bool scenario_take_line(struct scenario *scenario, char *line, uint32_t bytes);
uint32_t scenario_split(char *line, char *words[SCENARIO_WORDS]);
