/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/pipeline/live/runtime.h"

#include <rte_ring.h>

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#define BURST 16 /* messages of one machine before the next has its turn */
#define SLEEP_MOST_NS 100000000ull
#define FULL_TRIES 2000 /* of a full inbox, each after a pause */
#define FULL_PAUSE_NS 100000L
#define TIMER_SLACK_NS 5000UL
/* Senders may be preempted at any point; with relaxed tails nobody waits for them. Such a tail is
 * written as 64 bits and read as 32, which ThreadSanitizer does not see as one thing. */
#ifdef __SANITIZE_THREAD__
#define INBOX_FLAGS RING_F_SC_DEQ
#else
#define INBOX_FLAGS (RING_F_MP_RTS_ENQ | RING_F_SC_DEQ)
#endif

uint64_t pl_clock_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* ---- sending ---- */

static void wake(struct pl_thread *thread)
{
	uint64_t one = 1;
	/* Either the sleeper sees the message in its last look, or we see that it is asleep. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (__atomic_load_n(&thread->asleep, __ATOMIC_RELAXED) &&
	    __atomic_exchange_n(&thread->asleep, 0, __ATOMIC_ACQ_REL))
		(void)!write(thread->wake_fd, &one, sizeof(one));
}

static void put(struct pl_runtime *runtime, struct pl_message *message, uint64_t from_thread)
{
	struct pl_actor *to = &runtime->actors[message->to];
	struct timespec pause = {.tv_nsec = FULL_PAUSE_NS};
	if (message->to >= runtime->actor_count || to->inbox == NULL)
		return; /* nobody is there: as sent to a machine that the live mode does not have */
	for (uint32_t i = 0; i < FULL_TRIES; i++) {
		if (rte_ring_enqueue_elem(to->inbox, message, sizeof(*message)) == 0) {
			if (to->thread != &runtime->threads[from_thread])
				wake(to->thread);
			return;
		}
		if (__atomic_load_n(&runtime->stop, __ATOMIC_RELAXED))
			return;
		nanosleep(&pause, NULL);
	}
	__atomic_store_n(&runtime->overfull, message->to + 1u, __ATOMIC_RELAXED);
}

void pl_runtime_prepare(const struct pl_runtime *runtime, uint32_t address, struct pl_out *out)
{
	const struct pl_actor *actor = &runtime->actors[address];
	out->timer_ns = actor->timer_ns;
	out->message_count = out->effect_count = 0;
	out->self = (uint8_t)address;
	out->region = actor->region;
}

void pl_runtime_give(
	struct pl_runtime *runtime, uint32_t address, struct pl_out *out, uint64_t now_ns
)
{
	struct pl_actor *actor = &runtime->actors[address];
	bool soon = out->timer_ns < now_ns + PL_TIMER_LEAST_NS;
	actor->timer_ns = soon ? now_ns + PL_TIMER_LEAST_NS : out->timer_ns;
	pl_effects_add(&actor->thread->effects, &runtime->counter, out, now_ns);
	for (uint32_t i = 0; i < out->message_count; i++)
		put(runtime, &out->messages[i], (uint64_t)(actor->thread - runtime->threads));
	out->message_count = out->effect_count = 0;
}

/* ---- a thread's rounds ---- */

static void
step(struct pl_runtime *runtime, uint32_t address, const struct pl_message *message, uint64_t now_ns
)
{
	struct pl_actor *actor = &runtime->actors[address];
	struct pl_out out;
	pl_runtime_prepare(runtime, address, &out);
	actor->kind->step(actor->state, message, now_ns, &out);
	actor->handled++;
	if (actor->step_ns)
		actor->busy_until_ns = now_ns + actor->step_ns;
	pl_runtime_give(runtime, address, &out, now_ns);
}

/* True when it did anything; *due: when it has to be called again. */
static bool run_actor(struct pl_runtime *runtime, uint32_t address, uint64_t *due)
{
	struct pl_actor *actor = &runtime->actors[address];
	struct pl_message message;
	bool worked = false;
	for (uint32_t i = 0; i < BURST; i++) {
		uint64_t now_ns = pl_clock_ns();
		if (now_ns < actor->busy_until_ns) {
			*due = actor->busy_until_ns < *due ? actor->busy_until_ns : *due;
			return worked;
		}
		if (actor->timer_ns <= now_ns) {
			memset(&message, 0, sizeof(message));
			message.kind = PL_TIMER;
			message.from = message.to = (uint8_t)address;
			/* Cleared before, as in the explorer: a step that wants another sets it. */
			actor->timer_ns = PL_NEVER;
		} else if (rte_ring_dequeue_elem(actor->inbox, &message, sizeof(message)) != 0) {
			break;
		}
		step(runtime, address, &message, now_ns);
		worked = true;
	}
	uint64_t timer_ns = actor->timer_ns;
	*due = timer_ns < *due ? timer_ns : *due;
	return worked;
}

static bool anything(const struct pl_thread *thread)
{
	const struct pl_runtime *runtime = thread->runtime;
	uint64_t now_ns = pl_clock_ns();
	for (uint32_t i = 0; i < thread->actor_count; i++) {
		const struct pl_actor *actor = &runtime->actors[thread->actors[i]];
		if (now_ns >= actor->busy_until_ns && !rte_ring_empty(actor->inbox))
			return true;
	}
	return false;
}

static void sleep_until(struct pl_thread *thread, uint64_t due_ns)
{
	struct pollfd fds[PL_LISTENERS_MAX + 1] = {{.fd = thread->wake_fd, .events = POLLIN}};
	uint64_t many, now_ns = pl_clock_ns();
	uint32_t count = 1;
	__atomic_store_n(&thread->asleep, 1, __ATOMIC_SEQ_CST);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (due_ns > now_ns && !anything(thread) &&
	    !__atomic_load_n(&thread->runtime->stop, __ATOMIC_RELAXED)) {
		uint64_t ns = due_ns - now_ns;
		ns = ns > SLEEP_MOST_NS ? SLEEP_MOST_NS : ns;
		struct timespec time = {.tv_nsec = (long)ns};
		for (uint32_t i = 0; i < thread->listener_count; i++)
			if (thread->listeners[i].fd >= 0)
				fds[count++] = (struct pollfd
				){.fd = thread->listeners[i].fd, .events = POLLIN};
		thread->sleeps++;
		ppoll(fds, count, &time, NULL);
	}
	__atomic_store_n(&thread->asleep, 0, __ATOMIC_SEQ_CST);
	if (fds[0].revents)
		(void)!read(thread->wake_fd, &many, sizeof(many));
}

static void *thread_main(void *argument)
{
	struct pl_thread *thread = argument;
	struct pl_runtime *runtime = thread->runtime;
	prctl(PR_SET_NAME, thread->name);
	prctl(PR_SET_TIMERSLACK, TIMER_SLACK_NS);
	while (!__atomic_load_n(&runtime->stop, __ATOMIC_RELAXED)) {
		uint64_t due_ns = PL_NEVER;
		bool worked = false;
		for (uint32_t i = 0; i < thread->actor_count; i++)
			worked |= run_actor(runtime, thread->actors[i], &due_ns);
		for (uint32_t i = 0; i < thread->listener_count; i++) {
			struct pl_listener *listener = &thread->listeners[i];
			worked |= listener->look(listener->context, pl_clock_ns());
			uint64_t wanted_ns = listener->due(listener->context);
			due_ns = wanted_ns < due_ns ? wanted_ns : due_ns;
		}
		if (!worked)
			sleep_until(thread, due_ns);
	}
	return NULL;
}

/* ---- beginning and end ---- */

void pl_runtime_init(struct pl_runtime *runtime)
{
	memset(runtime, 0, sizeof(*runtime));
	runtime->begin_ns = pl_clock_ns();
}

int pl_runtime_thread(struct pl_runtime *runtime, const char *name)
{
	if (runtime->thread_count == PL_THREADS_MAX)
		return -ENOSPC;
	struct pl_thread *thread = &runtime->threads[runtime->thread_count];
	thread->runtime = runtime;
	snprintf(thread->name, sizeof(thread->name), "%.15s", name);
	thread->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (thread->wake_fd < 0)
		return -errno;
	return (int)runtime->thread_count++;
}

static struct rte_ring *make_inbox(void)
{
	ssize_t bytes = rte_ring_get_memsize_elem(sizeof(struct pl_message), PL_INBOX_SLOTS);
	void *memory = NULL;
	if (bytes < 0 || posix_memalign(&memory, RTE_CACHE_LINE_SIZE, (size_t)bytes) != 0)
		return NULL;
	unsigned int flags = INBOX_FLAGS;
	if (rte_ring_init(memory, "inbox", PL_INBOX_SLOTS, flags) != 0) {
		free(memory);
		return NULL;
	}
	return memory;
}

int pl_runtime_place(
	struct pl_runtime *runtime,
	uint32_t address,
	uint32_t thread,
	const struct pl_kind *kind,
	const struct pl_params *params,
	void *state
)
{
	struct pl_actor *actor = &runtime->actors[address];
	struct pl_thread *on = &runtime->threads[thread];
	actor->kind = kind;
	actor->thread = on;
	actor->timer_ns = PL_NEVER;
	actor->step_ns = params->step_ns;
	actor->region = params->region;
	actor->state = state ? state : calloc(1, kind->bytes(params));
	actor->inbox = make_inbox();
	on->actors[on->actor_count++] = (uint8_t)address;
	if (address >= runtime->actor_count)
		runtime->actor_count = address + 1;
	return actor->state && actor->inbox ? 0 : -ENOMEM;
}

void pl_runtime_listen(
	struct pl_runtime *runtime, uint32_t thread, const struct pl_listener *listener
)
{
	struct pl_thread *on = &runtime->threads[thread];
	on->listeners[on->listener_count++] = *listener;
}

int pl_runtime_begin(struct pl_runtime *runtime, const struct pl_params *params_of_machines[])
{
	struct pl_out out;
	runtime->begin_ns = pl_clock_ns();
	for (uint32_t i = 0; i < runtime->actor_count; i++) {
		struct pl_actor *actor = &runtime->actors[i];
		if (actor->kind == NULL)
			continue;
		pl_runtime_prepare(runtime, i, &out);
		if (actor->kind->init)
			actor->kind->init(actor->state, params_of_machines[i], &out);
		pl_runtime_give(runtime, i, &out, runtime->begin_ns);
	}
	for (uint32_t i = 0; i < runtime->thread_count; i++) {
		struct pl_thread *thread = &runtime->threads[i];
		int error = pthread_create(&thread->id, NULL, thread_main, thread);
		if (error != 0)
			return -error;
	}
	return 0;
}

void pl_runtime_end(struct pl_runtime *runtime)
{
	uint64_t one = 1;
	__atomic_store_n(&runtime->stop, 1, __ATOMIC_SEQ_CST);
	for (uint32_t i = 0; i < runtime->thread_count; i++) {
		struct pl_thread *thread = &runtime->threads[i];
		if (thread->id == 0)
			continue;
		(void)!write(thread->wake_fd, &one, sizeof(one));
		pthread_join(thread->id, NULL);
		thread->id = 0;
	}
}

void pl_runtime_free(struct pl_runtime *runtime)
{
	for (uint32_t i = 0; i < runtime->thread_count; i++) {
		close(runtime->threads[i].wake_fd);
		pl_effects_free(&runtime->threads[i].effects);
	}
	for (uint32_t i = 0; i < runtime->actor_count; i++) {
		struct pl_actor *actor = &runtime->actors[i];
		free(actor->inbox);
		/* An adapter's state is its own: it has no `init`. */
		if (actor->kind && actor->kind->init)
			free(actor->state);
	}
	memset(runtime, 0, sizeof(*runtime));
}
