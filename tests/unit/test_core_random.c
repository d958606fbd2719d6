/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Random runs of the pair: loss, duplication, reordering, cuts, pauses. What always holds is
 * asserted by the harness in every poll, the deadline function's honesty by its event loop; at the
 * end, with the link healed, everything must be committed on both sides.
 */
#include "tests/unit/pair.h"
#include "tests/unit/unit.h"

#include <string.h>

#define RUNS 300
#define STEPS 150

static void submit_some(struct pair *pair)
{
	uint32_t room = rep_core_room(&pair->nodes[PAIR_P].core);
	uint64_t left = PAIR_MAX_HISTORY - 1 - pair->nodes[PAIR_P].core.last_sequence;
	uint64_t bound = sf_min64(room, left);
	if (bound > 0 && !pair->nodes[PAIR_P].paused)
		pair_poll(pair, PAIR_P, 1 + (uint32_t)random_below(&pair->random, bound));
}

static void disturb(struct pair *pair)
{
	struct random *random = &pair->random;
	int who = (int)random_below(random, 2);
	switch (random_below(random, 12)) {
	case 0:
		pair->cut[who] = true;
		break;
	case 1:
	case 2:
		pair->cut[0] = pair->cut[1] = false;
		break;
	case 3:
		pair->nodes[who].paused = true;
		break;
	case 4:
	case 5:
		pair->nodes[0].paused = pair->nodes[1].paused = false;
		break;
	case 6:
		pair->nodes[who].passed_is_held = !pair->nodes[who].passed_is_held;
		pair->nodes[who].passed = pair->nodes[who].core.passed_sequence;
		break;
	case 7:
		pair->nodes[who].undrained = !pair->nodes[who].undrained;
		break;
	case 8:
		pair->nodes[PAIR_P].reads = true;
		break;
	default:
		submit_some(pair);
		break;
	}
}

static void heal(struct pair *pair)
{
	pair->lose = pair->duplicate = pair->reorder = 0;
	for (int who = 0; who < 2; who++) {
		pair->cut[who] = false;
		pair->nodes[who].paused = false;
		pair->nodes[who].undrained = false;
		pair->nodes[who].passed_is_held = false;
	}
	pair_run_for(pair, 60 * MS);
}

static void run_one(uint64_t seed)
{
	struct pair *pair = pair_new();
	struct random *random = &pair->random;
	pair->quiet = true;
	*random = random_seeded(seed);
	for (int who = 0; who < 2; who++) {
		struct rep_core_config *config = &pair->nodes[who].config;
		config->slots = 8u << seed % 4;
		config->window = 1 + (uint32_t)(seed % config->slots);
		config->heartbeat_misses = 3 + (uint32_t)(seed % 10);
	}
	pair_boot(pair, PAIR_P);
	pair_boot(pair, PAIR_S);
	pair->lose = (uint32_t)random_below(random, 40);
	pair->duplicate = (uint32_t)random_below(random, 40);
	pair->reorder = (uint32_t)random_below(random, 40);
	for (int i = 0; i < STEPS; i++) {
		disturb(pair);
		pair_run_for(
			pair, random_below(random, random_below(random, 10) == 0 ? 20 * MS : MS)
		);
	}
	heal(pair);
	const struct rep_core *p = &pair->nodes[PAIR_P].core, *s = &pair->nodes[PAIR_S].core;
	if (p->mode != REP_MODE_PAIRED || pair->nodes[PAIR_P].committed != p->last_sequence ||
	    pair->nodes[PAIR_S].committed != p->last_sequence ||
	    s->last_sequence != p->last_sequence)
		fail_msg(
			"seed %u: %s, last %u and %u, committed %u and %u",
			(unsigned)seed,
			rep_reason_name(p->reason),
			(unsigned)p->last_sequence,
			(unsigned)s->last_sequence,
			(unsigned)pair->nodes[PAIR_P].committed,
			(unsigned)pair->nodes[PAIR_S].committed
		);
	assert_int_equal(p->stats.dropped_bad_ack, 0);
	assert_int_equal(p->stats.dropped_wrong_role, 0);
	pair_free(pair);
}

static void pair_when_link_is_random_then_all_is_committed_once_healed(void **state)
{
	uint64_t seed = random_test_seed("test_core_random", 1);
	bool single = getenv("SEED") != NULL;
	for (uint64_t i = 0; i < (single ? 1 : RUNS); i++)
		run_one(seed + i);
}

/* The same seed gives the same run. */
static void pair_when_seed_is_the_same_then_run_is_the_same(void **state)
{
	uint64_t frames[2];
	for (int i = 0; i < 2; i++) {
		struct pair *pair = pair_new_paired();
		pair->quiet = true;
		pair->random = random_seeded(5);
		pair->lose = pair->reorder = 20;
		for (int k = 0; k < 50; k++) {
			submit_some(pair);
			pair_run_for(pair, 300 * US);
		}
		frames[i] = pair->nodes[PAIR_P].core.frame_number * 1000003 +
			    pair->nodes[PAIR_S].core.frame_number;
		pair_free(pair);
	}
	assert_int_equal(frames[0], frames[1]);
}

/* Between deadlines nothing becomes due: a caller that polls all the time sends no more frames. */
static void deadline_when_polled_all_the_time_then_nothing_more_is_sent(void **state)
{
	uint64_t sent[2];
	for (int i = 0; i < 2; i++) {
		struct pair *pair = pair_new_paired();
		for (uint32_t us = 0; us < 20000; us += 10) {
			pair_run_for(pair, 10 * US);
			if (i == 1) {
				pair_poll(pair, PAIR_P, 0);
				pair_poll(pair, PAIR_S, 0);
			}
		}
		sent[i] = pair->nodes[PAIR_P].core.frame_number +
			  pair->nodes[PAIR_S].core.frame_number;
		pair_free(pair);
	}
	assert_int_equal(sent[0], sent[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pair_when_link_is_random_then_all_is_committed_once_healed),
		cmocka_unit_test(pair_when_seed_is_the_same_then_run_is_the_same),
		cmocka_unit_test(deadline_when_polled_all_the_time_then_nothing_more_is_sent),
	};
	return cmocka_run_group_tests(tests, NULL, NULL) != 0;
}
