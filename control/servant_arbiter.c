/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The servant's thread that asks the arbiter: it may wait as long as arbiter.timeout says.
 */
#include "config/log.h"
#include "control/servant_parts.h"
#include "control/text.h"

#include <sys/prctl.h>

#define PROBE_NS 60000000000ull /* between probes of an arbiter that nobody asks */

/* At the first question: by then the node is booted, and what was seen of the arbiter is known. */
static struct ctl_arbiter *arbiter_of(struct ctl_servant *servant)
{
	char error[512];
	struct rec_arbiter_seen seen = {0};
	if (servant->arbiter != NULL)
		return servant->arbiter;
	pthread_mutex_lock(&servant->lock);
	ctl_servant_open_store(servant, true);
	seen = servant->store.role.arbiter;
	servant->arbiter = ctl_arbiter_open(servant->settings, &seen, error, sizeof(error));
	pthread_mutex_unlock(&servant->lock);
	if (servant->arbiter == NULL)
		sf_log(SF_ERROR, "arbiter: %s", error);
	return servant->arbiter;
}

struct why {
	char text[DP_SHM_WHY_BYTES];
};

/* For the status: how the arbiter did. */
static void note_arbiter(struct ctl_servant *servant, bool known, const struct why *why)
{
	struct dp_shm_servant *facts = &servant->shm->servant;
	uint64_t unknown = dp_shm_load(&facts->arbiter_unknown);
	servant->probe_ns = ctl_monotonic_ns() + PROBE_NS;
	dp_shm_store(&facts->arbiter_asked, ctl_monotonic_ns());
	dp_shm_store(&facts->arbiter_unknown, known ? 0 : unknown + 1);
	if (known)
		dp_shm_store(&facts->arbiter_answered, ctl_monotonic_ns());
	dp_box_put(&facts->arbiter_why, why);
	if (!known && unknown == 0)
		sf_log(SF_WARNING, "arbiter: %s", why->text);
	else if (known && unknown > 0)
		sf_log(SF_NOTICE, "arbiter: answers again");
}

static void answer(struct ctl_servant *servant, const struct rep_ask *ask)
{
	struct dp_shm *shm = servant->shm;
	struct rep_answer answer = {.outcome = REP_ANSWER_UNKNOWN};
	struct why why = {"it cannot be opened: see control's log"};
	struct ctl_arbiter *arbiter = arbiter_of(servant);
	if (arbiter != NULL)
		ctl_arbiter_ask(arbiter, ask, &answer, why.text, sizeof(why.text));
	answer.id = ask->id;
	note_arbiter(servant, answer.outcome != REP_ANSWER_UNKNOWN, &why);
	servant->asked = ask->id;
	dp_box_put(&shm->gives.answer, &answer);
	ctl_servant_ring(shm);
}

/* Nobody has asked for a while: would it answer? (W11) */
static void probe(struct ctl_servant *servant)
{
	struct why why = {"it cannot be opened: see control's log"};
	struct ctl_arbiter *arbiter = arbiter_of(servant);
	bool good = arbiter != NULL && ctl_arbiter_probe(arbiter, why.text, sizeof(why.text));
	note_arbiter(servant, good, &why);
}

void *ctl_servant_ask_always(void *argument)
{
	struct ctl_servant *servant = argument;
	struct dp_shm *shm = servant->shm;
	prctl(PR_SET_NAME, "sf-arbiter");
	while (!ctl_servant_stopping(servant)) {
		uint32_t seen = __atomic_load_n(&shm->wants.bell, __ATOMIC_ACQUIRE);
		struct rep_ask ask;
		if (shm->wants.ask.version != 0 && dp_box_get(&shm->wants.ask, &ask) &&
		    ask.id != servant->asked) {
			answer(servant, &ask);
			continue;
		}
		/* Not before the node is booted: the role record says what was seen. */
		bool runs = dp_shm_load(&shm->fill.state) == DP_FILL_DONE;
		if (runs && ctl_monotonic_ns() >= servant->probe_ns)
			probe(servant);
		ctl_servant_wait(shm, seen);
	}
	return NULL;
}
