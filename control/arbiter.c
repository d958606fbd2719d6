/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/arbiter.h"

#include "config/bytes.h"
#include "control/arbiter_value.h"
#include "control/arbiter_way.h"
#include "control/text.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Never a pair record, and put in its own place if it should stand there. */
#define PROBE_TEXT "probe"

struct ctl_arbiter {
	struct arbiter_way *way; /* the asking thread's */
	uint64_t cluster_id;
	uint64_t timeout_ns;
	pthread_mutex_t lock; /* of all below */
	struct rec_arbiter_seen seen;
	struct rep_pair last; /* of this life, of seen.epoch; epoch 0: none */
	struct ctl_arbiter_status status;
};

/* One question on its way. */
struct question {
	uint64_t begin_ns, deadline_ns;
	struct arbiter_found found;
	uint32_t known_epoch; /* that the asker knows of: of a change the old value's */
	struct rep_pair pair; /* of found; epoch 0: nothing is there */
	enum ctl_arbiter_alarm alarm;
	bool answered;
	bool recognised;
	char why[CTL_ARBITER_WHY_BYTES];
};

const char *ctl_arbiter_alarm_name(enum ctl_arbiter_alarm alarm)
{
	static const char *const names[CTL_ARBITER_ALARMS] = {
		[CTL_ARBITER_TRUSTED] = "trusted",
		[CTL_ARBITER_BLANK] = "blank",
		[CTL_ARBITER_WENT_BACK] = "went-back",
		[CTL_ARBITER_OTHER] = "other-arbiter",
		[CTL_ARBITER_FOREIGN] = "foreign-value",
	};
	return (unsigned)alarm < CTL_ARBITER_ALARMS ? names[alarm] : "unknown";
}

/* --- Making and ending --- */

static struct arbiter_way *
open_way(const struct cfg_settings *settings, const struct rec_arbiter_seen *seen, char *why)
{
	bool first = seen->cluster_id == 0 && seen->epoch == 0;
	switch (settings->arbiter.kind) {
	case CFG_ARBITER_FILE:
		return arbiter_open_file(settings, first, why);
	case CFG_ARBITER_ETCD:
#ifdef SF_ETCD
		return arbiter_open_etcd(settings, why);
#else
		snprintf(why, CTL_ARBITER_WHY_BYTES, "this build has no etcd");
		return NULL;
#endif
	case CFG_ARBITER_NONE:
		break;
	}
	snprintf(why, CTL_ARBITER_WHY_BYTES, "arbiter.kind is \"none\"");
	return NULL;
}

struct ctl_arbiter *ctl_arbiter_open(
	const struct cfg_settings *settings,
	const struct rec_arbiter_seen *seen,
	char *error,
	size_t error_bytes
)
{
	char why[CTL_ARBITER_WHY_BYTES] = "no memory";
	struct ctl_arbiter *arbiter = calloc(1, sizeof(*arbiter));
	if (arbiter != NULL)
		arbiter->way = open_way(settings, seen, why);
	if (arbiter == NULL || arbiter->way == NULL) {
		snprintf(error, error_bytes, "%s", why);
		free(arbiter);
		return NULL;
	}
	arbiter->cluster_id = log_cluster_hash(settings->cluster);
	arbiter->timeout_ns = settings->arbiter.timeout_ns;
	arbiter->seen = *seen;
	arbiter->status.kind = settings->arbiter.kind;
	snprintf(arbiter->status.why, sizeof(arbiter->status.why), "not asked yet");
	pthread_mutex_init(&arbiter->lock, NULL);
	return arbiter;
}

void ctl_arbiter_close(struct ctl_arbiter *arbiter)
{
	if (arbiter == NULL)
		return;
	arbiter->way->close(arbiter->way);
	pthread_mutex_destroy(&arbiter->lock);
	free(arbiter);
}

/* --- Judging --- */

__attribute__((format(printf, 3, 4))) static bool
deny(struct question *question, enum ctl_arbiter_alarm alarm, const char *format, ...)
{
	va_list arguments;
	question->alarm = alarm;
	va_start(arguments, format);
	vsnprintf(question->why, sizeof(question->why), format, arguments);
	va_end(arguments);
	return false;
}

static uint32_t least_epoch(const struct ctl_arbiter *arbiter, const struct question *question)
{
	return (uint32_t)sf_max64(arbiter->seen.epoch, question->known_epoch);
}

/* W08: does it know less than was seen, or something else? With the lock. */
static bool went_back(const struct ctl_arbiter *arbiter, struct question *question)
{
	const struct rec_arbiter_seen *seen = &arbiter->seen;
	uint32_t epoch = question->pair.epoch;
	uint64_t revision = question->found.revision;
	uint32_t known = least_epoch(arbiter, question);
	if (epoch < known)
		return !deny(
			question,
			CTL_ARBITER_WENT_BACK,
			"the arbiter says epoch %" PRIu32 ", and has said %" PRIu32
			": was it restored from a backup?",
			epoch,
			known
		);
	/* One revision is one value; a later epoch has a later revision. */
	if (revision < seen->mod_revision ||
	    (revision == seen->mod_revision && epoch != seen->epoch))
		return !deny(
			question,
			CTL_ARBITER_WENT_BACK,
			"the arbiter says revision %" PRIu64 " at epoch %" PRIu32
			", and has said %" PRIu64 " at epoch %" PRIu32,
			revision,
			epoch,
			seen->mod_revision,
			seen->epoch
		);
	if (arbiter->last.epoch == epoch && !rep_pair_equal(&arbiter->last, &question->pair))
		return !deny(
			question,
			CTL_ARBITER_WENT_BACK,
			"the arbiter says something else of epoch %" PRIu32 " than before",
			epoch
		);
	return false;
}

/* Is what was found, with question->pair taken from it, to be believed? With the lock. */
static bool judge(const struct ctl_arbiter *arbiter, struct question *question)
{
	const struct rec_arbiter_seen *seen = &arbiter->seen;
	if (CTL_ARBITER_CANARY(TRUSTS))
		return true;
	if (seen->cluster_id != 0 && question->found.id != seen->cluster_id)
		return deny(
			question,
			CTL_ARBITER_OTHER,
			"this is not the arbiter that answered before (its id is %016" PRIx64
			", and was %016" PRIx64 ")",
			question->found.id,
			seen->cluster_id
		);
	uint32_t known = least_epoch(arbiter, question);
	if (question->pair.epoch == 0)
		return known == 0 ||
		       deny(question,
			    CTL_ARBITER_BLANK,
			    "the arbiter has no pair record, and has had one of epoch %" PRIu32,
			    known);
	return !went_back(arbiter, question);
}

/* Text to pair. */
static bool understand(const struct ctl_arbiter *arbiter, struct question *question)
{
	const struct arbiter_found *found = &question->found;
	question->pair = (struct rep_pair){.holder = REP_HOLDER_ARBITER};
	if (!found->present)
		return true;
	enum ctl_value_fault fault =
		ctl_value_take(found->text, found->bytes, arbiter->cluster_id, &question->pair);
	return fault == CTL_VALUE_OK ||
	       deny(question,
		    CTL_ARBITER_FOREIGN,
		    "what stands at the arbiter is not our pair record: %s",
		    ctl_value_fault_text(fault));
}

/* An answer has come; is it good? Then it is also what was seen last. */
static bool believe(struct ctl_arbiter *arbiter, struct question *question, bool understood)
{
	pthread_mutex_lock(&arbiter->lock);
	bool good = understood && judge(arbiter, question);
	if (good && question->pair.epoch != 0) {
		arbiter->seen = (struct rec_arbiter_seen){
			.cluster_id = question->found.id,
			.mod_revision = question->found.revision,
			.epoch = question->pair.epoch,
		};
		arbiter->last = question->pair;
	}
	pthread_mutex_unlock(&arbiter->lock);
	question->answered = true;
	if (!good)
		arbiter->way->shun(arbiter->way);
	return good;
}

/* --- Asking --- */

static bool read_pair(struct ctl_arbiter *arbiter, struct question *question)
{
	enum arbiter_result result = arbiter->way->read(
		arbiter->way, question->deadline_ns, &question->found, question->why
	);
	return result == ARBITER_FOUND && believe(arbiter, question, understand(arbiter, question));
}

/* The answer to a swap was lost (W04). */
static enum rep_outcome
recognise(struct ctl_arbiter *arbiter, struct question *question, const struct rep_ask *ask)
{
	char lost[CTL_ARBITER_WHY_BYTES];
	memcpy(lost, question->why, sizeof(lost));
	if (CTL_ARBITER_CANARY(SILENCE_IS_LOST)) {
		question->pair = ask->from;
		return REP_ANSWER_LOST;
	}
	if (ctl_monotonic_ns() >= question->deadline_ns || !read_pair(arbiter, question)) {
		if (!question->answered)
			memcpy(question->why, lost, sizeof(lost));
		return REP_ANSWER_UNKNOWN;
	}
	if (rep_pair_equal(&question->pair, &ask->to)) {
		question->recognised = true;
		return REP_ANSWER_WON;
	}
	if (!rep_pair_equal(&question->pair, &ask->from))
		return REP_ANSWER_LOST;
	/* It may still arrive there. */
	snprintf(question->why, sizeof(question->why), "not changed so far: %.480s", lost);
	return REP_ANSWER_UNKNOWN;
}

/* What stands there instead, for a compare-and-set that cannot be made any more. */
static enum rep_outcome judge_other(struct question *question, const struct rep_ask *ask)
{
	if (rep_pair_equal(&question->pair, &ask->to))
		return REP_ANSWER_WON;
	if (!rep_pair_equal(&question->pair, &ask->from))
		return REP_ANSWER_LOST;
	snprintf(
		question->why,
		sizeof(question->why),
		"the arbiter did not make the change, and has the record as it was"
	);
	return REP_ANSWER_UNKNOWN;
}

static enum rep_outcome
exchange(struct ctl_arbiter *arbiter, struct question *question, const struct rep_ask *ask)
{
	char from[CTL_ARBITER_VALUE_BYTES], to[CTL_ARBITER_VALUE_BYTES];
	bool create = ask->from.epoch == 0;
	if (!create)
		ctl_value_put(&ask->from, arbiter->cluster_id, from);
	ctl_value_put(&ask->to, arbiter->cluster_id, to);
	switch (arbiter->way->swap(
		arbiter->way,
		create ? NULL : from,
		to,
		question->deadline_ns,
		&question->found,
		question->why
	)) {
	case ARBITER_SWAPPED:
		question->pair = ask->to;
		question->pair.holder = REP_HOLDER_ARBITER;
		question->pair.reserved = 0;
		return believe(arbiter, question, true) ? REP_ANSWER_WON : REP_ANSWER_UNKNOWN;
	case ARBITER_FOUND:
		if (!believe(arbiter, question, understand(arbiter, question)))
			return REP_ANSWER_UNKNOWN;
		return judge_other(question, ask);
	case ARBITER_UNKNOWN:
		return recognise(arbiter, question, ask);
	case ARBITER_SILENT:
		break;
	}
	return REP_ANSWER_UNKNOWN;
}

/* Never changes the record to what it was not, or from what is known to be gone. */
static enum rep_outcome
decide(struct ctl_arbiter *arbiter, struct question *question, const struct rep_ask *ask)
{
	if (!ask->exchange)
		return read_pair(arbiter, question) ? REP_ANSWER_READ : REP_ANSWER_UNKNOWN;
	if (!ctl_value_is_valid(&ask->to) || ask->to.epoch <= ask->from.epoch ||
	    (ask->from.epoch != 0 && !ctl_value_is_valid(&ask->from))) {
		snprintf(question->why, sizeof(question->why), "no such change can be asked for");
		return REP_ANSWER_UNKNOWN;
	}
	question->known_epoch = ask->from.epoch;
	if (ask->from.epoch < ctl_arbiter_seen(arbiter).epoch && !CTL_ARBITER_CANARY(TRUSTS))
		return read_pair(arbiter, question) ? judge_other(question, ask)
						    : REP_ANSWER_UNKNOWN;
	return exchange(arbiter, question, ask);
}

static struct question begin(const struct ctl_arbiter *arbiter)
{
	uint64_t now_ns = ctl_monotonic_ns();
	return (struct question){
		.begin_ns = now_ns,
		.deadline_ns = now_ns + arbiter->timeout_ns,
	};
}

static void note(struct ctl_arbiter *arbiter, const struct question *question)
{
	struct ctl_arbiter_status *status = &arbiter->status;
	uint64_t now_ns = ctl_monotonic_ns();
	status->reachable = question->answered;
	if (question->answered) {
		status->alarm = question->alarm;
		status->answered_ns = now_ns;
		status->longest_ns = sf_max64(status->longest_ns, now_ns - question->begin_ns);
	}
	memcpy(status->why, question->why, sizeof(status->why));
}

void ctl_arbiter_ask(
	struct ctl_arbiter *arbiter,
	const struct rep_ask *ask,
	struct rep_answer *answer,
	char *why,
	size_t why_bytes
)
{
	struct ctl_arbiter_status *status = &arbiter->status;
	struct question question = begin(arbiter);
	enum rep_outcome outcome = decide(arbiter, &question, ask);
	*answer = (struct rep_answer){.id = ask->id, .outcome = outcome};
	if (outcome != REP_ANSWER_UNKNOWN) {
		answer->pair = question.pair;
		question.why[0] = 0;
	}
	pthread_mutex_lock(&arbiter->lock);
	note(arbiter, &question);
	status->asked++;
	status->read += outcome == REP_ANSWER_READ;
	status->won += outcome == REP_ANSWER_WON;
	status->lost += outcome == REP_ANSWER_LOST;
	status->unknown += outcome == REP_ANSWER_UNKNOWN;
	status->refused += question.alarm != CTL_ARBITER_TRUSTED;
	status->recognised += question.recognised;
	pthread_mutex_unlock(&arbiter->lock);
	snprintf(why, why_bytes, "%s", question.why);
}

bool ctl_arbiter_probe(struct ctl_arbiter *arbiter, char *why, size_t why_bytes)
{
	struct question question = begin(arbiter);
	enum arbiter_result result = arbiter->way->swap(
		arbiter->way,
		PROBE_TEXT,
		PROBE_TEXT,
		question.deadline_ns,
		&question.found,
		question.why
	);
	bool good = false;
	if (result == ARBITER_FOUND)
		good = believe(arbiter, &question, understand(arbiter, &question));
	else if (result == ARBITER_SWAPPED)
		good = deny(&question, CTL_ARBITER_FOREIGN, "somebody has written a probe there");
	question.answered |= result == ARBITER_SWAPPED;
	if (good)
		question.why[0] = 0;
	pthread_mutex_lock(&arbiter->lock);
	note(arbiter, &question);
	arbiter->status.probes++;
	pthread_mutex_unlock(&arbiter->lock);
	snprintf(why, why_bytes, "%s", question.why);
	return good;
}

/* --- For any thread --- */

struct rec_arbiter_seen ctl_arbiter_seen(struct ctl_arbiter *arbiter)
{
	pthread_mutex_lock(&arbiter->lock);
	struct rec_arbiter_seen seen = arbiter->seen;
	pthread_mutex_unlock(&arbiter->lock);
	return seen;
}

void ctl_arbiter_trust(struct ctl_arbiter *arbiter)
{
	pthread_mutex_lock(&arbiter->lock);
	arbiter->seen = (struct rec_arbiter_seen){0};
	arbiter->last.epoch = 0;
	pthread_mutex_unlock(&arbiter->lock);
}

void ctl_arbiter_status(struct ctl_arbiter *arbiter, struct ctl_arbiter_status *status)
{
	pthread_mutex_lock(&arbiter->lock);
	*status = arbiter->status;
	pthread_mutex_unlock(&arbiter->lock);
}
