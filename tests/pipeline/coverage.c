/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What was reached: for each kind of machine, its states, and which messages it got in each. What
 * counts as a pair that can be is written down here, message by message; where one cannot come in
 * one state, that is written down too, with the reason.
 */
#include "tests/pipeline/report.h"

#define BIT(kind) (1ull << PL_##kind)
#define FAULTS (BIT(FAIL) | BIT(RECOVER))
#define TRANSPORT (BIT(SEND) | BIT(RECEIVE) | BIT(REMOVE) | BIT(DEPTH) | BIT(NOTIFY_AT) | FAULTS)
#define WORKER (BIT(WRITE_DONE) | BIT(SEND_DONE) | BIT(TIMER) | BIT(CRASH) | FAULTS)
#define FRONT (BIT(WRITE) | BIT(MEMBER_DONE) | FAULTS)
#define CARRIES (BIT(STOP_CARRYING) | BIT(CARRY_AGAIN))

struct expected {
	const struct pl_kind *kind;
	uint64_t messages;
};

static const struct expected expected[] = {
	{&pl_queue, TRANSPORT},
	{&pl_stream, TRANSPORT},
	{&pl_container, WORKER | BIT(DELIVERY) | BIT(REMOVE_DONE)},
	{&pl_stream_container, WORKER | BIT(DELIVERY) | BIT(REMOVE_DONE)},
	{&pl_api_container, WORKER | BIT(CALL) | BIT(CALL_DONE)},
	{&pl_async_pair, FRONT | CARRIES | BIT(CARRIED) | BIT(SWITCH) | BIT(SWITCH_FORCED)},
	{&pl_global_table, FRONT | CARRIES | BIT(CARRIED)},
	{&pl_majority_triple, FRONT | BIT(SWITCH) | BIT(SWITCH_FORCED)},
	{&pl_member, BIT(MEMBER_WRITE) | FAULTS},
	{&pl_replicator, CARRIES | BIT(CARRY) | BIT(MEMBER_DONE) | BIT(DRAIN)},
	{&pl_source, BIT(PUBLISH) | BIT(RESOLVED) | BIT(SEND_DONE) | BIT(CALL_DONE) | BIT(TIMER)},
	{&pl_destination,
	 BIT(RESOLVED) | BIT(DELIVERY) | BIT(REMOVE_DONE) | BIT(NOTIFY_AT) | BIT(TIMER)},
	{&pl_dns, BIT(RESOLVE) | BIT(ROUTE_USED) | BIT(SWITCH) | BIT(OFFLINE) | BIT(ONLINE)},
	{&pl_driver,
	 BIT(NOTIFY) | BIT(COMMAND_DONE) | BIT(DEPTH_DONE) | BIT(PUBLISHED) | BIT(TIMER)},
};

struct impossible {
	const struct pl_kind *kind;
	const char *state;
	uint64_t messages;
};

/* Why they cannot be:
 *   timers    a machine has one, armed in the states where it waits and taken back when they end
 *   order     the replies of one machine come in the order of the requests, so what a life before a
 *             crash asked of input, output or DNS comes before what is asked there next (a database
 *             is more than one machine, and its answers do overtake)
 *   one       a source, a driver and an API container's caller have one question open at a time,
 * and the driver answers to nobody but the scenario */
#define ORDER_INPUT (BIT(DELIVERY) | BIT(REMOVE_DONE))
static const struct impossible impossible[] = {
	{&pl_driver, "broken", UINT64_MAX}, /* then the run is over */
	{&pl_driver, "runs", UINT64_MAX},   /* it never ends a step there */
	{&pl_driver, "done", UINT64_MAX},
	{&pl_driver, "awaits", BIT(TIMER)},
	{&pl_driver, "sleeps", BIT(DEPTH_DONE) | BIT(NOTIFY)},
	{&pl_source, "idle", BIT(TIMER)},
	{&pl_source, "resolves", BIT(TIMER) | BIT(PUBLISH)},
	{&pl_source, "publishes", BIT(RESOLVED) | BIT(TIMER) | BIT(PUBLISH)},
	{&pl_source, "waits-for-room", BIT(RESOLVED) | BIT(PUBLISH)},
	{&pl_global_table, "fenced", UINT64_MAX}, /* it has no sides to switch */
	{&pl_global_table, "forced", UINT64_MAX},
	{&pl_container, "asks", BIT(TIMER)},
	{&pl_container, "writes", ORDER_INPUT | BIT(TIMER)},
	{&pl_container, "sends", ORDER_INPUT | BIT(TIMER)},
	{&pl_container, "removes", BIT(DELIVERY) | BIT(SEND_DONE) | BIT(TIMER)},
	{&pl_container, "waits-for-room", ORDER_INPUT},
	{&pl_container, "stopped", ORDER_INPUT},
	{&pl_container, "failed", BIT(TIMER)},
	{&pl_stream_container, "asks", BIT(TIMER)},
	{&pl_stream_container, "writes", ORDER_INPUT | BIT(TIMER)},
	{&pl_stream_container, "sends", ORDER_INPUT | BIT(TIMER)},
	{&pl_stream_container, "removes", BIT(DELIVERY) | BIT(SEND_DONE) | BIT(TIMER)},
	{&pl_stream_container, "waits-for-room", ORDER_INPUT},
	{&pl_stream_container, "stopped", ORDER_INPUT},
	{&pl_stream_container, "failed", BIT(TIMER)},
	{&pl_api_container, "idle", BIT(TIMER)},
	{&pl_api_container, "writes", BIT(TIMER)},
	{&pl_api_container, "passes-on", BIT(TIMER)},
	{&pl_api_container, "stopped", BIT(TIMER)},
	{&pl_api_container, "failed", BIT(TIMER)},
};

void pl_covered_add(struct pl_covered *covered, const struct pl_system *system)
{
	for (uint32_t i = 0; i < system->kind_count; i++) {
		uint32_t j = 0;
		while (j < covered->count && covered->kinds[j] != system->kinds[i])
			j++;
		if (j == PL_COVERED_KINDS)
			continue;
		if (j == covered->count)
			covered->kinds[covered->count++] = system->kinds[i];
		for (uint32_t state = 0; state < 32; state++)
			covered->pairs[j][state] |= system->coverage.pairs[i][state];
	}
}

static uint64_t asked_of(const struct pl_kind *kind)
{
	for (uint32_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++)
		if (expected[i].kind == kind)
			return expected[i].messages;
	return 0;
}

static uint64_t can_be(const struct pl_kind *kind, const char *state)
{
	uint64_t messages = asked_of(kind);
	for (uint32_t i = 0; i < sizeof(impossible) / sizeof(impossible[0]); i++)
		if (impossible[i].kind == kind && strcmp(impossible[i].state, state) == 0)
			messages &= ~impossible[i].messages;
	return messages;
}

uint32_t pl_covered_print(const struct pl_covered *covered, bool list, FILE *to)
{
	uint32_t wrong = 0, all = 0, reached = 0, states = 0, states_reached = 0;
	for (uint32_t i = 0; i < covered->count; i++) {
		const struct pl_kind *kind = covered->kinds[i];
		for (uint32_t state = 0; state < kind->state_count && state < 32; state++) {
			uint64_t want = can_be(kind, kind->states[state]);
			uint64_t missing = want & ~covered->pairs[i][state];
			states += want != 0;
			states_reached += want != 0 && covered->pairs[i][state] != 0;
			all += (uint32_t)__builtin_popcountll(want);
			reached += (uint32_t)__builtin_popcountll(want & ~missing);
			/* What is written down as impossible, and was seen, is a lie above. */
			uint64_t lies = covered->pairs[i][state] & asked_of(kind) & ~want;
			for (; lies; lies &= lies - 1, wrong++)
				fprintf(to,
					"reached, though it cannot be: %s, %s: %s\n",
					kind->name,
					kind->states[state],
					pl_message_name((uint32_t)__builtin_ctzll(lies)));
			for (; list && missing; missing &= missing - 1)
				fprintf(to,
					"not reached: %s, %s: %s\n",
					kind->name,
					kind->states[state],
					pl_message_name((uint32_t)__builtin_ctzll(missing)));
		}
	}
	if (all == 0)
		return 0;
	uint32_t per_mille = all ? reached * 1000 / all : 0;
	fprintf(to,
		"covered: %u of %u component states; %u of %u pairs of state and message "
		"(%u.%u %%)\n",
		states_reached,
		states,
		reached,
		all,
		per_mille / 10,
		per_mille % 10);
	return wrong > 0 ? 0 : per_mille;
}
