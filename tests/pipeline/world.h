/* SPDX-License-Identifier: BSD-3-Clause
 *
 * All machines of a scenario in virtual time. Each has an inbox, in order of sending; one delivery
 * takes 1 µs (and the receiver's step_ns more, for which it stays busy); when nothing can be
 * delivered, time jumps to the next timer or to the end of the next busy spell. Who is next is the
 * caller's choice, so a schedule is a list of choices, and the same choices give the same run.
 *
 * A choice is an "actor": 0 … 63 is the machine of that address taking the oldest message of its
 * inbox, 64 … 127 the same machine's timer, once it is due. Messages and timers of one machine are
 * two actors because which of them comes first is up to nobody.
 *
 * A world is one block without pointers: it may be copied (pl_world_bytes() of it) and hashed; what
 * does not change while it runs is in struct pl_system. One thread at a time.
 */
#pragma once

#include "tests/pipeline/scenario.h"

#include <stdio.h>

#define PL_ACTORS (2 * PL_MACHINES_MAX)
#define PL_SLOTS 2048 /* messages under way, in the whole world */
#define PL_NO_SLOT 0xffff
#define PL_TICK_NS 1000
#define PL_VERDICT_MOST 400

struct pl_slot {
	uint16_t next;
	struct pl_message message;
};

struct pl_world {
	uint64_t now_ns;
	uint64_t look_ns;     /* no timer is due and no one's busy spell ends before */
	uint64_t progress_ns; /* when a record last moved on */
	uint64_t ready, due;  /* machines with a message; with a timer whose time has come */
	uint64_t armed, busy; /* with a timer; busy until busy_ns */
	uint64_t timer_ns[PL_MACHINES_MAX];
	uint64_t busy_ns[PL_MACHINES_MAX];
	uint16_t head[PL_MACHINES_MAX], tail[PL_MACHINES_MAX];
	uint8_t state[PL_MACHINES_MAX]; /* state_of() each */
	uint16_t free, used;		/* slots: given back, and how many were ever taken */
	uint8_t broken;			/* enum pl_broken or pl_monitor */
	uint32_t steps;
	uint32_t driver_at;  /* the step that the driver stands at */
	uint64_t components; /* hash of the vector of component states */
	/* For RTO: the first fault or switch, the last switch, and the first arrival from the
	 * region that was switched to. */
	uint64_t fault_ns, switched_ns, back_ns;
	uint64_t lost_ns; /* RPO: how long ago the oldest row that was left behind was answered */
	uint8_t new_region;
	/* Of each machine's state and of the monitors, as pl_world_rehash() left them. */
	uint64_t hashes[PL_MACHINES_MAX + 1];
	/* then the machines' states, the monitors, and the slots */
};

/* What is seen of each delivery by whoever asked to see it. */
struct pl_watcher {
	void (*delivery
	)(void *context,
	  const struct pl_world *world,
	  uint32_t actor,
	  const struct pl_message *message);
	void (*effect)(void *context, const struct pl_world *world, const struct pl_effect *effect);
	void *context;
};

struct pl_coverage {
	uint64_t pairs[PL_MACHINES_MAX][32]; /* [kind's number][state]: bits by message */
};

struct pl_system {
	const struct pl_topology *topology;
	const struct pl_scenario *scenario;
	uint64_t defects;
	uint64_t tick_ns;    /* 0: untimed (exhaustive) */
	uint64_t settle_ns;  /* done, and no record moved for so long: the end */
	uint64_t stuck_ns;   /* not done, and the same: never */
	uint32_t steps_most; /* livelock */
	uint32_t kind_count;
	const struct pl_kind *kinds[PL_MACHINES_MAX]; /* distinct ones */
	uint8_t kind_of[PL_MACHINES_MAX];
	uint32_t offsets[PL_MACHINES_MAX]; /* of the machines' states in the block */
	uint32_t monitors_at, slots_at, bytes;
	struct pl_params params[PL_MACHINES_MAX];
	uint64_t *values;      /* owned; of record 1 …, for the monitors */
	uint64_t *answered_ns; /* owned; failover only: [record][database's address] */
	struct pl_coverage coverage;
	struct pl_watcher watcher;
	char verdict[PL_VERDICT_MOST]; /* of the last world that broke */
	struct pl_out out;
};

/* Returns false with a sentence in system->verdict. To be freed in any case. */
bool pl_system_init(
	struct pl_system *system,
	const struct pl_topology *topology,
	const struct pl_scenario *scenario,
	uint64_t defects
);
void pl_system_free(struct pl_system *system);

/* A block of system->bytes; NULL without memory. */
struct pl_world *pl_world_new(const struct pl_system *system);
/* As at the beginning, with this seed. */
void pl_world_begin(struct pl_system *system, struct pl_world *world, uint64_t seed);
/* How much of the block says anything now. */
size_t pl_world_bytes(const struct pl_system *system, const struct pl_world *world);
/* Undoes the last step, which was this machine's, by the copy from before it. */
void pl_world_take_back(
	const struct pl_system *system,
	struct pl_world *world,
	const struct pl_world *before,
	uint32_t machine
);
/* After a step of this machine; PL_MACHINES_MAX: of all. What pl_world_hash() needs to be cheap. */
void pl_world_rehash(const struct pl_system *system, struct pl_world *world, uint32_t machine);
/* Equal for worlds that go on equally; times count from now. */
uint64_t pl_world_hash(const struct pl_system *system, const struct pl_world *world);

/* Who may run: messages and timers. */
static inline uint64_t pl_world_ready(const struct pl_world *world)
{
	return world->ready & ~world->busy;
}

static inline uint64_t pl_world_due(const struct pl_world *world)
{
	return world->due & ~world->busy;
}

/* One delivery to an actor that may run. False: something broke. */
bool pl_world_step(struct pl_system *system, struct pl_world *world, uint32_t actor);
/* Nothing can be delivered now: time jumps. False: the run has ended, well or not. */
bool pl_world_jump(struct pl_system *system, struct pl_world *world);
/* The earliest timer comes now, although there is something to deliver (untimed only). */
bool pl_world_early(struct pl_world *world);
void pl_world_break(
	struct pl_system *system, struct pl_world *world, uint32_t broken, const char *format, ...
) __attribute__((format(printf, 4, 5)));

void *
pl_world_state(const struct pl_system *system, const struct pl_world *world, uint32_t machine);
struct pl_monitors *pl_world_monitors(const struct pl_system *system, const struct pl_world *world);
