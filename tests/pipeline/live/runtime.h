/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The machines of a pipeline on threads, in real time. Each machine has an inbox, a bounded
 * rte_ring of messages, and belongs to one thread, which handles its messages one by one; a thread
 * has one or several machines. A thread with nothing to do sleeps until a message, its next timer,
 * or a descriptor that it listeners; nothing spins, because the nodes of the pairs need the CPUs.
 *
 * A full inbox means that a machine asks without waiting for answers, which none does: the run ends
 * as broken, after the sender has waited for a while.
 *
 * Adapters (what stands for a DNS or a database) are machines too; what comes to them from outside
 * comes through a listener, on the thread that handles their messages.
 *
 * Source: the actor model; the sleeping flag before a wait is Dekker's, as in every futex.
 */
#pragma once

#include "tests/pipeline/live/effects.h"
#include "tests/pipeline/topology.h"

#include <pthread.h>

#define PL_THREADS_MAX PL_MACHINES_MAX
#define PL_INBOX_SLOTS 1024
#define PL_LISTENERS_MAX 8	    /* of a thread */
#define PL_TIMER_LEAST_NS 200000ull /* no timer is due sooner: nobody polls faster */

struct rte_ring;
struct pl_runtime;
struct pl_thread;

/* Something outside that a thread listens to. `look` takes in what is there, without waiting, and
 * says whether it was anything; `due` is when it must be called even if nothing comes. */
struct pl_listener {
	int fd; /* -1: none */
	void *context;
	bool (*look)(void *context, uint64_t now_ns);
	uint64_t (*due)(void *context);
};

struct pl_actor {
	const struct pl_kind *kind;
	void *state;
	struct rte_ring *inbox;
	struct pl_thread *thread;
	uint64_t timer_ns;
	uint64_t busy_until_ns; /* its speed: the next message is kept back so long */
	uint64_t step_ns;
	uint64_t handled;
	uint8_t region;
};

struct pl_thread {
	struct pl_runtime *runtime;
	pthread_t id;
	char name[16];
	int wake_fd;
	uint32_t asleep; /* atomic */
	uint32_t actor_count, listener_count;
	uint8_t actors[PL_MACHINES_MAX];
	struct pl_listener listeners[PL_LISTENERS_MAX];
	struct pl_effects effects;
	uint64_t sleeps;
};

struct pl_runtime {
	uint64_t counter; /* of effects; atomic */
	uint64_t begin_ns;
	uint32_t stop;	   /* atomic */
	uint32_t overfull; /* address + 1 of a machine whose inbox was full; atomic */
	uint32_t thread_count, actor_count;
	struct pl_thread threads[PL_THREADS_MAX];
	struct pl_actor actors[PL_MACHINES_MAX];
};

uint64_t pl_clock_ns(void); /* CLOCK_MONOTONIC */

/* No machine yet, no thread runs. */
void pl_runtime_init(struct pl_runtime *runtime);
/* A new thread; its number, or -errno. */
int pl_runtime_thread(struct pl_runtime *runtime, const char *name);
/* The machine of this address on a thread. A state of its own is made and initialised, unless
 * `state` is given (an adapter's), which stays the caller's. -ENOMEM. Its first messages wait in
 * their inboxes, so all machines are to be there before: first place, then begin. */
int pl_runtime_place(
	struct pl_runtime *runtime,
	uint32_t address,
	uint32_t thread,
	const struct pl_kind *kind,
	const struct pl_params *params,
	void *state
);
void pl_runtime_listen(
	struct pl_runtime *runtime, uint32_t thread, const struct pl_listener *listener
);
/* Initialises the machines and starts the threads. 0 or -errno. */
int pl_runtime_begin(struct pl_runtime *runtime, const struct pl_params *params_of_machines[]);
/* Asks the threads to end and waits for them; the logs stay. */
void pl_runtime_end(struct pl_runtime *runtime);
void pl_runtime_free(struct pl_runtime *runtime);

/* For adapters, on their thread: messages and effects that are no answer to a step. */
void pl_runtime_prepare(const struct pl_runtime *runtime, uint32_t address, struct pl_out *out);
void pl_runtime_give(
	struct pl_runtime *runtime, uint32_t address, struct pl_out *out, uint64_t now_ns
);
