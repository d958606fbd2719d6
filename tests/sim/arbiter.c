/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The arbiter: one register with compare-and-set that does not forget. Questions and answers may be
 * lost, each by itself, and be as late as they like; while it is away, nobody answers.
 */
#include "config/bytes.h"
#include "tests/sim/sim.h"

static uint64_t arrival_ns(struct sim *sim)
{
	struct sim_random *random = &sim->fault_random;
	uint64_t longest_ns = sim->plan.arbiter_delay_ns;
	if (sim_has(sim, SIM_FAULT_ARBITER_SLOW) && sim_chance(random, 200))
		longest_ns = sim->plan.arbiter_long_ns;
	return sim->now_ns + sim_between(random, 1, longest_ns);
}

static bool is_lost(struct sim *sim)
{
	return sim_has(sim, SIM_FAULT_ARBITER_LOSES) &&
	       sim_chance(&sim->fault_random, sim->plan.arbiter_loss);
}

void sim_arbiter_ask(struct sim *sim, const struct sim_node *node, const struct rep_ask *ask)
{
	sim_note(sim, SIM_NOTE_ASK, node->id, ask->id, ask->exchange ? ask->to.epoch : 0, 0);
	if (is_lost(sim))
		return;
	for (uint32_t i = 0; i < SIM_QUESTIONS; i++) {
		struct sim_question *question = &sim->arbiter.questions[i];
		if (question->used)
			continue;
		*question = (struct sim_question){
			.used = true,
			.node = node->id,
			.life = node->life,
			.ask = *ask,
		};
		sim_schedule(sim, arrival_ns(sim), SIM_EVENT_ASKED, node->id, i);
		return;
	}
}

void sim_arbiter_restore(struct sim *sim)
{
	struct sim_arbiter *arbiter = &sim->arbiter;
	if (arbiter->old_count < 2 || arbiter->restored)
		return;
	/* A node that does not know how far it was cannot know that it went back. */
	for (uint32_t i = 0; i < 2; i++)
		if (!sim_running(&sim->nodes[i]) ||
		    sim->nodes[i].core.pair.epoch != arbiter->pair.epoch)
			return;
	uint32_t back = (uint32_t)sim_between(&sim->fault_random, 1, arbiter->old_count);
	if (back > 16)
		back = 16;
	arbiter->pair = arbiter->old[(arbiter->old_count - back) % 16];
	arbiter->restored = true;
	sim_count(sim, SIM_COUNT_ARBITER_RESTORED);
	sim_note(sim, SIM_NOTE_ARBITER, 0, 2, arbiter->pair.epoch, 0);
}

void sim_arbiter_asked(struct sim *sim, uint32_t index)
{
	struct sim_arbiter *arbiter = &sim->arbiter;
	struct sim_question *question = &arbiter->questions[index];
	const struct rep_ask *ask = &question->ask;
	struct rep_answer *answer = &question->answer;
	if (arbiter->away || (arbiter->cut >> question->node & 1) != 0) {
		question->used = false;
		return;
	}
	*answer = (struct rep_answer){.id = ask->id, .outcome = REP_ANSWER_READ};
	if (ask->exchange) {
		bool won = rep_pair_equal(&arbiter->pair, &ask->from);
		answer->outcome = won ? REP_ANSWER_WON : REP_ANSWER_LOST;
		if (won) {
			arbiter->old[arbiter->old_count++ % 16] = arbiter->pair;
			arbiter->pair = ask->to;
		}
	}
	answer->pair = arbiter->pair;
	sim_note(
		sim,
		SIM_NOTE_DECIDE,
		question->node,
		answer->outcome,
		arbiter->pair.epoch,
		arbiter->pair.primary | (uint64_t)arbiter->pair.in_sync << 8
	);
	if (is_lost(sim) || arbiter->mute) {
		question->used = false;
		return;
	}
	sim_schedule(sim, arrival_ns(sim), SIM_EVENT_TOLD, question->node, index);
}

void sim_arbiter_told(struct sim *sim, uint32_t index)
{
	struct sim_question *question = &sim->arbiter.questions[index];
	struct sim_node *node = &sim->nodes[question->node];
	question->used = false;
	if (!sim_running(node) || node->life != question->life || node->answered ||
	    (sim->arbiter.cut >> node->id & 1) != 0)
		return;
	node->answered = true;
	node->answer = question->answer;
	if (sim_has(sim, SIM_FAULT_ARBITER_LOSES) && sim_chance(&sim->fault_random, 250)) {
		node->answer.outcome = REP_ANSWER_UNKNOWN;
		sim_count(sim, SIM_COUNT_UNKNOWN);
	}
	sim_node_wake(sim, node->id, sim->now_ns);
}
