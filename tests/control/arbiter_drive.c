/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Asks an arbiter as control does, for tests/control/test_arbiter_*.py.
 *
 *   arbiter_drive talk CONFIG [ID REVISION EPOCH]
 *       one question a line on standard input, one line of JSON for each: "read",
 *       "swap EPOCH PRIMARY SET EPOCH PRIMARY SET" (from, to; SET: bit per node), "probe", "seen",
 *       "trust", "status". What was seen before may be given.
 *   arbiter_drive race CONFIG ROUNDS CONTENDERS processes|threads
 *       in each round all ask at once for another change of the same record. Exit 0 when exactly
 *       one won in each, everybody else was told who, and the record says so; 4 when not.
 *   arbiter_drive churn CONFIG NODE
 *       changes the record again and again until it is killed; a line for each change that it won.
 *   arbiter_drive has-etcd
 *       exit 0 when this build has the arbiter "etcd".
 *
 * The twin arbiter_drive_canary has a deliberate bug, which ARBITER_CANARY names (a number of enum
 * arbiter_canary).
 */
#include "config/exit_codes.h"
#include "control/arbiter.h"
#include "control/arbiter_way.h"
#include "control/text.h"

#include <inttypes.h>
#include <jansson.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define MAX_CONTENDERS 16
#define LINE_BYTES 256

#ifdef CTL_ARBITER_CANARIES
enum arbiter_canary arbiter_canary;
#endif

static struct cfg_settings settings;
static const char *const outcomes[] = {
	[REP_ANSWER_READ] = "read",
	[REP_ANSWER_WON] = "won",
	[REP_ANSWER_LOST] = "lost",
	[REP_ANSWER_UNKNOWN] = "unknown",
};

static void load(const char *path)
{
	struct cfg_errors errors = {0};
	if (cfg_load(path, &settings, &errors))
		return;
	cfg_errors_print(&errors, stderr);
	exit(SF_EXIT_CONFIG);
}

static struct ctl_arbiter *open_arbiter(const struct rec_arbiter_seen *seen)
{
	char error[CTL_ARBITER_WHY_BYTES];
	struct ctl_arbiter *arbiter = ctl_arbiter_open(&settings, seen, error, sizeof(error));
	if (arbiter == NULL) {
		fprintf(stderr, "arbiter_drive: %s\n", error);
		exit(SF_EXIT_REFUSED);
	}
	return arbiter;
}

/* --- talk --- */

static void say(json_t *object)
{
	char *text = json_dumps(object, JSON_COMPACT);
	puts(text);
	fflush(stdout);
	free(text);
	json_decref(object);
}

static void talk_ask(struct ctl_arbiter *arbiter, const struct rep_ask *ask)
{
	char why[CTL_ARBITER_WHY_BYTES];
	struct rep_answer answer;
	uint64_t begin_ns = ctl_monotonic_ns();
	ctl_arbiter_ask(arbiter, ask, &answer, why, sizeof(why));
	say(json_pack(
		"{s:s,s:I,s:i,s:i,s:b,s:s,s:f}",
		"outcome",
		outcomes[answer.outcome],
		"epoch",
		(json_int_t)answer.pair.epoch,
		"primary",
		answer.pair.primary,
		"in_sync",
		answer.pair.in_sync,
		"good_id",
		answer.id == ask->id,
		"why",
		why,
		"took_ms",
		(double)(ctl_monotonic_ns() - begin_ns) / 1e6
	));
}

static void talk_status(struct ctl_arbiter *arbiter)
{
	struct ctl_arbiter_status s;
	ctl_arbiter_status(arbiter, &s);
	say(json_pack(
		"{s:b,s:s,s:s,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I}",
		"reachable",
		s.reachable,
		"alarm",
		ctl_arbiter_alarm_name(s.alarm),
		"why",
		s.why,
		"asked",
		(json_int_t)s.asked,
		"read",
		(json_int_t)s.read,
		"won",
		(json_int_t)s.won,
		"lost",
		(json_int_t)s.lost,
		"unknown",
		(json_int_t)s.unknown,
		"recognised",
		(json_int_t)s.recognised,
		"refused",
		(json_int_t)s.refused,
		"probes",
		(json_int_t)s.probes
	));
}

static void talk_line(struct ctl_arbiter *arbiter, const char *line, uint64_t number)
{
	struct rep_ask ask = {.id = number};
	struct rec_arbiter_seen seen = ctl_arbiter_seen(arbiter);
	char why[CTL_ARBITER_WHY_BYTES];
	unsigned v[6];
	if (strcmp(line, "read") == 0) {
		talk_ask(arbiter, &ask);
	} else if (sscanf(line, "swap %u %u %u %u %u %u", v, v + 1, v + 2, v + 3, v + 4, v + 5) == 6) {
		ask.exchange = true;
		ask.from = (struct rep_pair){v[0], (uint8_t)v[1], (uint8_t)v[2], 0xff, 0};
		ask.to = (struct rep_pair){v[3], (uint8_t)v[4], (uint8_t)v[5], 0xff, 0};
		talk_ask(arbiter, &ask);
	} else if (strcmp(line, "probe") == 0) {
		bool good = ctl_arbiter_probe(arbiter, why, sizeof(why));
		say(json_pack("{s:b,s:s}", "good", good, "why", why));
	} else if (strcmp(line, "seen") == 0) {
		char id[32];
		snprintf(id, sizeof(id), "%" PRIu64, seen.cluster_id);
		say(json_pack(
			"{s:s,s:I,s:I}",
			"id",
			id,
			"revision",
			(json_int_t)seen.mod_revision,
			"epoch",
			(json_int_t)seen.epoch
		));
	} else if (strcmp(line, "trust") == 0) {
		ctl_arbiter_trust(arbiter);
		say(json_pack("{}"));
	} else {
		talk_status(arbiter);
	}
}

/* As another thread of control: for the thread sanitizer. */
static atomic_bool talked;
static void *watch(void *argument)
{
	struct ctl_arbiter *arbiter = argument;
	struct ctl_arbiter_status status;
	while (!atomic_load(&talked)) {
		ctl_arbiter_status(arbiter, &status);
		if (status.won > status.asked || ctl_arbiter_seen(arbiter).reserved != 0)
			abort();
		usleep(1000);
	}
	return NULL;
}

static int talk(int argc, char **argv)
{
	struct rec_arbiter_seen seen = {0};
	char line[LINE_BYTES];
	uint64_t number = 0;
	if (argc == 6) {
		seen.cluster_id = strtoull(argv[3], NULL, 10);
		seen.mod_revision = strtoull(argv[4], NULL, 10);
		seen.epoch = (uint32_t)strtoul(argv[5], NULL, 10);
	}
	struct ctl_arbiter *arbiter = open_arbiter(&seen);
	pthread_t watcher;
	if (pthread_create(&watcher, NULL, watch, arbiter) != 0)
		return SF_EXIT_FAILED;
	while (fgets(line, sizeof(line), stdin) != NULL) {
		line[strcspn(line, "\n")] = 0;
		talk_line(arbiter, line, ++number);
	}
	atomic_store(&talked, true);
	pthread_join(watcher, NULL);
	ctl_arbiter_close(arbiter);
	return SF_EXIT_OK;
}

/* --- race --- */

struct race {
	pthread_barrier_t barrier;
	uint32_t rounds, contenders;
	struct rep_pair base; /* of this round */
	struct {
		struct rep_answer answer;
		struct rep_pair to;
		uint32_t unknown;
	} entries[MAX_CONTENDERS];
	uint64_t unknown;
	char fault[256];
};

struct contender {
	struct race *race;
	uint32_t number;
};

/* A question until its outcome is certain, as the core does it: a change whose outcome is unknown
 * is followed by reading, and is made again while the record has not changed. */
static void ask_on(struct ctl_arbiter *arbiter, struct race *race, uint32_t number)
{
	static _Thread_local uint64_t ids;
	struct rep_answer *answer = &race->entries[number].answer;
	const struct rep_pair *from = &race->base, *to = &race->entries[number].to;
	struct rep_ask ask = {.exchange = true, .from = *from, .to = *to};
	char why[CTL_ARBITER_WHY_BYTES];
	for (;;) {
		ask.id = ++ids;
		ctl_arbiter_ask(arbiter, &ask, answer, why, sizeof(why));
		if (answer->outcome == REP_ANSWER_UNKNOWN) {
			race->entries[number].unknown++;
			if (race->entries[number].unknown % 20 == 0)
				fprintf(stderr, "contender %u: %s\n", number, why);
			ask.exchange = false;
			continue;
		}
		if (answer->outcome != REP_ANSWER_READ)
			return;
		ask.exchange = rep_pair_equal(&answer->pair, from);
		if (ask.exchange)
			continue;
		answer->outcome =
			rep_pair_equal(&answer->pair, to) ? REP_ANSWER_WON : REP_ANSWER_LOST;
		return;
	}
}

static void judge_round(struct race *race, struct ctl_arbiter *arbiter, uint32_t round)
{
	uint32_t winners = 0, winner = 0, told = 0;
	struct rep_ask ask = {.id = 1};
	struct rep_answer answer;
	char why[CTL_ARBITER_WHY_BYTES];
	for (uint32_t i = 0; i < race->contenders; i++) {
		race->unknown += race->entries[i].unknown;
		if (race->entries[i].answer.outcome != REP_ANSWER_WON)
			continue;
		winners++;
		winner = i;
	}
	const struct rep_pair *won = &race->entries[winner].to;
	for (uint32_t i = 0; i < race->contenders; i++)
		told += rep_pair_equal(&race->entries[i].answer.pair, won);
	do
		ctl_arbiter_ask(arbiter, &ask, &answer, why, sizeof(why));
	while (answer.outcome == REP_ANSWER_UNKNOWN && race->unknown++ < 1000);
	bool good = winners == 1 && told == race->contenders && answer.outcome == REP_ANSWER_READ &&
		    rep_pair_equal(&answer.pair, won) && won->epoch > race->base.epoch;
	if (!good)
		snprintf(
			race->fault,
			sizeof(race->fault),
			"round %u: %u winners, %u of %u were told epoch %u, the record is %s %u, "
			"was %u",
			round,
			winners,
			told,
			race->contenders,
			won->epoch,
			outcomes[answer.outcome],
			answer.pair.epoch,
			race->base.epoch
		);
	race->base = answer.pair;
}

static void *contend(void *argument)
{
	const struct contender *me = argument;
	struct race *race = me->race;
	const struct rec_arbiter_seen nothing = {0};
	struct ctl_arbiter *arbiter = open_arbiter(&nothing);
	for (uint32_t round = 1; round <= race->rounds && race->fault[0] == 0; round++) {
		uint8_t node = me->number & 1;
		/* An epoch has one author. */
		race->entries[me->number].to = (struct rep_pair){
			.epoch = race->base.epoch + 1 + me->number,
			.primary = node,
			.in_sync = (uint8_t)(1u << node),
			.holder = REP_HOLDER_ARBITER,
		};
		race->entries[me->number].unknown = 0;
		pthread_barrier_wait(&race->barrier);
		ask_on(arbiter, race, me->number);
		pthread_barrier_wait(&race->barrier);
		if (me->number == 0)
			judge_round(race, arbiter, round);
		pthread_barrier_wait(&race->barrier);
	}
	ctl_arbiter_close(arbiter);
	return NULL;
}

static void run_threads(struct race *race)
{
	struct contender contenders[MAX_CONTENDERS];
	pthread_t threads[MAX_CONTENDERS];
	for (uint32_t i = 0; i < race->contenders; i++) {
		contenders[i] = (struct contender){race, i};
		if (pthread_create(&threads[i], NULL, contend, &contenders[i]) != 0)
			exit(SF_EXIT_FAILED);
	}
	for (uint32_t i = 0; i < race->contenders; i++)
		pthread_join(threads[i], NULL);
}

static void run_processes(struct race *race)
{
	pid_t pids[MAX_CONTENDERS];
	for (uint32_t i = 0; i < race->contenders; i++) {
		struct contender me = {race, i};
		pids[i] = fork();
		if (pids[i] == 0) {
			contend(&me);
			exit(0);
		}
	}
	for (uint32_t i = 0; i < race->contenders; i++) {
		int status;
		waitpid(pids[i], &status, 0);
		if (status != 0)
			snprintf(
				race->fault,
				sizeof(race->fault),
				"contender %u: status %d",
				i,
				status
			);
	}
}

static int race_main(char **argv)
{
	pthread_barrierattr_t shared;
	struct race *race =
		mmap(NULL, sizeof(*race), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0
		);
	if (race == MAP_FAILED)
		return SF_EXIT_FAILED;
	race->rounds = (uint32_t)strtoul(argv[3], NULL, 10);
	race->contenders = (uint32_t)strtoul(argv[4], NULL, 10);
	if (race->contenders < 2 || race->contenders > MAX_CONTENDERS)
		return SF_EXIT_USAGE;
	/* From the record that is there. */
	const struct rec_arbiter_seen nothing = {0};
	struct ctl_arbiter *arbiter = open_arbiter(&nothing);
	struct rep_ask ask = {.id = 1};
	struct rep_answer answer;
	char why[CTL_ARBITER_WHY_BYTES];
	ctl_arbiter_ask(arbiter, &ask, &answer, why, sizeof(why));
	race->base = answer.pair;
	ctl_arbiter_close(arbiter);
	if (answer.outcome != REP_ANSWER_READ) {
		fprintf(stderr, "arbiter_drive: %s\n", why);
		return SF_EXIT_FAILED;
	}
	pthread_barrierattr_init(&shared);
	pthread_barrierattr_setpshared(&shared, PTHREAD_PROCESS_SHARED);
	pthread_barrier_init(&race->barrier, &shared, race->contenders);
	uint64_t begin_ns = ctl_monotonic_ns();
	if (strcmp(argv[5], "threads") == 0)
		run_threads(race);
	else
		run_processes(race);
	printf("%u rounds of %u %s in %.1f s, %" PRIu64 " unknown outcomes, epoch %u%s%s\n",
	       race->rounds,
	       race->contenders,
	       argv[5],
	       (double)(ctl_monotonic_ns() - begin_ns) / 1e9,
	       race->unknown,
	       race->base.epoch,
	       race->fault[0] ? ": " : "",
	       race->fault);
	return race->fault[0] ? SF_EXIT_DATA : SF_EXIT_OK;
}

/* --- churn --- */

static _Noreturn void churn(char **argv)
{
	const struct rec_arbiter_seen nothing = {0};
	uint8_t node = (uint8_t)(strtoul(argv[3], NULL, 10) & 1);
	struct ctl_arbiter *arbiter = open_arbiter(&nothing);
	struct rep_pair last = {0};
	char why[CTL_ARBITER_WHY_BYTES];
	for (uint64_t id = 1;; id++) {
		struct rep_ask ask = {.id = id, .exchange = last.epoch != 0, .from = last};
		struct rep_answer answer;
		ask.to = (struct rep_pair){
			.epoch = rep_next_epoch(last.epoch, node),
			.primary = node,
			.in_sync = (uint8_t)(1u << node),
			.holder = REP_HOLDER_ARBITER,
		};
		ctl_arbiter_ask(arbiter, &ask, &answer, why, sizeof(why));
		if (answer.outcome == REP_ANSWER_UNKNOWN) {
			printf("unknown %u %u %s\n", last.epoch, ask.to.epoch, why);
			last.epoch = 0;
		} else {
			if (answer.outcome == REP_ANSWER_WON)
				printf("won %u %u\n", last.epoch, ask.to.epoch);
			last = answer.pair;
		}
		fflush(stdout);
	}
}

int main(int argc, char **argv)
{
	signal(SIGPIPE, SIG_IGN);
#ifdef CTL_ARBITER_CANARIES
	const char *canary = getenv("ARBITER_CANARY");
	arbiter_canary = canary != NULL ? (enum arbiter_canary)strtoul(canary, NULL, 10) : 0;
#endif
	if (argc == 2 && strcmp(argv[1], "has-etcd") == 0)
		return cfg_has_etcd() ? SF_EXIT_OK : SF_EXIT_FAILED;
	if (argc < 3) {
		fprintf(stderr, "usage: arbiter_drive talk|race|churn CONFIG …\n");
		return SF_EXIT_USAGE;
	}
	load(argv[2]);
	if (strcmp(argv[1], "talk") == 0)
		return talk(argc, argv);
	if (strcmp(argv[1], "race") == 0 && argc == 6)
		return race_main(argv);
	if (strcmp(argv[1], "churn") == 0 && argc == 4)
		churn(argv);
	return SF_EXIT_USAGE;
}
