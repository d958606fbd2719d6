/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The driver: a scenario's steps as a machine. It has one question open at a time, beside the
 * publication that goes on while it does other things.
 */
#include "tests/pipeline/scenario.h"

#define DRAIN_POLL_NS 20000

enum driver_state { DRIVER_RUNS, DRIVER_AWAITS, DRIVER_SLEEPS, DRIVER_DONE, DRIVER_BROKEN };
static const char *const driver_states[] = {"runs", "awaits", "sleeps", "done", "broken"};

struct driver {
	uint8_t state;
	uint8_t source;	 /* its address */
	uint8_t target;	 /* which of the step's targets comes next */
	bool publishing; /* PUBLISHED is due */
	bool slept;	 /* the step's time has come */
	bool edge;	 /* as modelled: a recovery is not confirmed, so it is not waited for */
	bool paused;	 /* it had more to send than goes into one step */
	uint8_t status;	 /* of the answer that broke it */
	uint32_t at, step_count, batch;
	uint32_t request;	  /* the last one given away */
	uint32_t asked;		  /* the open question's, 0: none */
	uint32_t publish_request; /* the publication's */
	uint32_t unanswered;	  /* commands that are not waited for */
	uint64_t next, end; /* of the last publication: first refused record, first behind it */
	uint64_t chosen;    /* bits by address */
	uint64_t random, found;
	struct pl_step steps[]; /* step_count */
};

static size_t driver_bytes(const struct pl_params *params)
{
	return sizeof(struct driver) + params->scenario->step_count * sizeof(struct pl_step);
}

static struct pl_message *
ask(struct driver *d, struct pl_out *out, uint8_t to, enum pl_message_kind kind)
{
	d->asked = ++d->request;
	d->state = DRIVER_AWAITS;
	return pl_send(out, to, kind, d->asked);
}

static void break_it(struct driver *d, uint8_t status, uint64_t found)
{
	d->state = DRIVER_BROKEN;
	d->status = status;
	d->found = found;
}

static void next_step(struct driver *d)
{
	d->at++;
	d->target = 0;
	d->asked = 0;
	d->slept = false;
}

static void publish(struct driver *d, struct pl_out *out, uint64_t first, uint64_t count)
{
	if (count > 0) {
		d->publishing = true;
		d->publish_request = ++d->request;
		d->next = first;
		d->end = first + count;
		struct pl_message *message =
			pl_send(out, d->source, PL_PUBLISH, d->publish_request);
		message->position = first;
		message->argument = (uint16_t)count;
	}
	next_step(d);
}

uint64_t pl_driver_choice(const struct pl_step *step, uint64_t seed)
{
	/* As the models do: first how many, then which, so that few and many are equally likely. */
	uint64_t chosen = 0;
	uint32_t left = step->count, take = 1 + (uint32_t)(pl_value_of(seed, 1) % left);
	for (uint32_t i = 0; i < step->count; i++, left--) {
		if (pl_value_of(seed, 2 + i) % left >= take)
			continue;
		take--;
		chosen |= 1ull << step->targets[i];
	}
	return chosen;
}

static void choose(struct driver *d, const struct pl_step *step)
{
	d->chosen = pl_driver_choice(step, d->random);
	next_step(d);
}

static void command(struct driver *d, const struct pl_step *step, struct pl_out *out)
{
	bool chosen = step->op == PL_OP_COMMAND_CHOSEN;
	while (d->target < step->count && chosen && !(d->chosen >> step->targets[d->target] & 1))
		d->target++;
	if (d->target == step->count) {
		next_step(d);
		return;
	}
	if (!step->at_once && !(d->edge && step->command == PL_RECOVER)) {
		ask(d, out, step->targets[d->target], step->command)->region = step->region;
		return;
	}
	uint8_t to = step->targets[d->target++];
	pl_send(out, to, step->command, ++d->request)->region = step->region;
	d->unanswered++;
}

static void sleep_for(struct driver *d, struct pl_out *out, uint64_t now_ns, uint64_t ns)
{
	d->state = DRIVER_SLEEPS;
	out->timer_ns = now_ns + ns;
}

/* Begins the step that it stands at; true when the next one may begin at once. */
static bool begin(struct driver *d, uint64_t now_ns, struct pl_out *out)
{
	const struct pl_step *step = &d->steps[d->at];
	uint32_t at = d->at, target = d->target;
	switch (step->op) {
	case PL_OP_PUBLISH:
		if (!d->publishing)
			publish(d, out, (step->number - 1) * d->batch + 1, d->batch);
		break;
	case PL_OP_PUBLISH_REST:
		if (!d->publishing)
			publish(d, out, d->next, d->end - d->next);
		break;
	case PL_OP_AWAIT_SOURCE:
		if (!d->publishing)
			next_step(d);
		break;
	case PL_OP_AWAIT:
		ask(d, out, step->targets[0], PL_NOTIFY_AT)->position = step->number;
		break;
	case PL_OP_COMMAND:
	case PL_OP_COMMAND_CHOSEN:
		command(d, step, out);
		break;
	case PL_OP_CHOOSE:
		choose(d, step);
		break;
	case PL_OP_DRAINED:
		if (d->target == step->count)
			next_step(d);
		else
			ask(d, out, step->targets[d->target], PL_DEPTH);
		break;
	case PL_OP_EXPECT_DEPTH:
		ask(d, out, step->targets[0], PL_DEPTH);
		break;
	default:
		if (d->slept)
			next_step(d);
		else
			sleep_for(d, out, now_ns, step->number);
	}
	return d->at != at || d->target != target;
}

static void go_on(struct driver *d, uint64_t now_ns, struct pl_out *out)
{
	d->state = DRIVER_RUNS;
	d->asked = 0;
	/* A step sends at most one message; there is room for eight, and the rest comes after a
	 * moment. */
	while (d->at < d->step_count && d->state == DRIVER_RUNS &&
	       out->message_count < PL_OUT_MESSAGES_MAX && begin(d, now_ns, out))
		;
	if (d->at < d->step_count && out->message_count == PL_OUT_MESSAGES_MAX &&
	    d->state == DRIVER_RUNS) {
		d->paused = true;
		sleep_for(d, out, now_ns, 1);
	}
	if (d->at < d->step_count && d->state == DRIVER_RUNS)
		d->state = DRIVER_AWAITS;
	if (d->at == d->step_count)
		d->state = d->publishing || d->unanswered > 0 ? DRIVER_AWAITS : DRIVER_DONE;
}

static void driver_init(void *state, const struct pl_params *params, struct pl_out *out)
{
	struct driver *d = state;
	d->step_count = params->scenario->step_count;
	d->batch = params->scenario->batch;
	d->source = params->through;
	d->edge = pl_has(params->defects, PL_DEFECT_EDGE_RECOVERY);
	d->random = params->seed;
	d->next = d->end = 1;
	memcpy(d->steps, params->scenario->steps, d->step_count * sizeof(d->steps[0]));
	go_on(d, 0, out);
}

static void
answered(struct driver *d, const struct pl_message *message, uint64_t now_ns, struct pl_out *out)
{
	const struct pl_step *step = &d->steps[d->at];
	if (message->status != PL_OK && !step->may_fail) {
		break_it(d, message->status, 0);
		return;
	}
	switch (step->op) {
	case PL_OP_DRAINED:
		if (message->position > 0) {
			d->asked = 0;
			sleep_for(d, out, now_ns, DRAIN_POLL_NS);
			return;
		}
		d->target++;
		break;
	case PL_OP_EXPECT_DEPTH:
		if (message->position < step->number || message->position > step->most) {
			break_it(d, PL_OK, message->position);
			return;
		}
		next_step(d);
		break;
	case PL_OP_AWAIT:
		next_step(d);
		break;
	default:
		d->target++;
	}
	go_on(d, now_ns, out);
}

static void
driver_step(void *state, const struct pl_message *message, uint64_t now_ns, struct pl_out *out)
{
	struct driver *d = state;
	if (d->state == DRIVER_BROKEN)
		return;
	if (message->kind == PL_TIMER) {
		out->timer_ns = PL_NEVER;
		if (d->state != DRIVER_SLEEPS)
			return;
		d->slept = !d->paused;
		d->paused = false;
		go_on(d, now_ns, out);
		return;
	}
	if (message->kind == PL_PUBLISHED && message->request == d->publish_request &&
	    d->publishing) {
		d->publishing = false;
		d->next = message->position;
		/* A step that waits for it goes on; one that waits for another answer does not. */
		if (d->asked == 0 && d->state != DRIVER_SLEEPS)
			go_on(d, now_ns, out);
		return;
	}
	bool answer = message->kind == PL_NOTIFY || message->kind == PL_COMMAND_DONE ||
		      message->kind == PL_DEPTH_DONE;
	if (answer && d->asked != 0 && message->request == d->asked) {
		answered(d, message, now_ns, out);
	} else if (message->kind == PL_COMMAND_DONE && d->unanswered > 0) {
		d->unanswered--;
		if (d->at == d->step_count && d->state == DRIVER_AWAITS)
			go_on(d, now_ns, out);
	} else {
		pl_effect(out, PL_EFFECT_STRAY, (struct pl_record){0});
	}
}

static uint32_t driver_state_of(const void *state)
{
	return ((const struct driver *)state)->state;
}

const struct pl_kind pl_driver = {
	.name = "driver",
	.states = driver_states,
	.state_count = sizeof(driver_states) / sizeof(driver_states[0]),
	.bytes = driver_bytes,
	.init = driver_init,
	.step = driver_step,
	.state_of = driver_state_of,
};

bool pl_driver_done(const void *state)
{
	return ((const struct driver *)state)->state == DRIVER_DONE;
}

uint32_t pl_driver_at(const void *state)
{
	return ((const struct driver *)state)->at;
}

bool pl_driver_sleeps(const void *state)
{
	const struct driver *d = state;
	return d->state == DRIVER_SLEEPS && d->steps[d->at].op == PL_OP_WAIT;
}

bool pl_driver_broken(const void *state, struct pl_driver_fault *fault)
{
	const struct driver *d = state;
	if (d->state != DRIVER_BROKEN)
		return false;
	*fault = (struct pl_driver_fault){
		.step = d->steps[d->at],
		.at = d->at,
		.target = d->target,
		.status = d->status,
		.found = d->found,
	};
	return true;
}
