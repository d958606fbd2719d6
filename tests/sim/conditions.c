/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What a scenario can see: its conditions, and the changes of roles that its transcript names.
 */
#include "tests/sim/scenario.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const record_names[REP_RECORD_MODES] = {
	"blank", "learner", "standby", "paired", "alone"};
static const char *const state_names[] = {"down", "booting", "running"};

bool scenario_node(const char *word, uint32_t *node)
{
	*node = (uint32_t)(word[0] - 'a');
	return *node <= 1 && word[1] == '\0';
}

bool scenario_number(const char *text, uint64_t *value)
{
	char *end;
	*value = strtoull(text, &end, 10);
	return end != text && *end == '\0';
}

/* A node that takes part and says that it serves. */
static bool serves(const struct sim *sim, uint32_t id)
{
	const struct sim_node *node = &sim->nodes[id];
	return sim_running(node) && node->paused_until_ns <= sim->now_ns &&
	       rep_core_serves(&node->core);
}

/* --- Transcript --- */

static const char *members(uint8_t in_sync)
{
	static const char *const names[] = {"{}", "{a}", "{b}", "{a, b}"};
	return names[in_sync & 3];
}

static void write_pair(
	struct scenario *s, const struct sim *sim, const char *where, const struct rep_pair *pair
)
{
	double time_s = (double)sim->now_ns / 1e9;
	if (pair->epoch == 0)
		scenario_write(s, "%7.3f %s: there is no pair\n", time_s, where);
	else
		scenario_write(
			s,
			"%7.3f %s: epoch %u, primary %c, in sync %s\n",
			time_s,
			where,
			pair->epoch,
			'a' + pair->primary,
			members(pair->in_sync)
		);
}

static void write_role(
	struct scenario *s,
	const struct scenario_seen *seen,
	uint32_t id,
	bool lasted,
	bool serves_now
)
{
	bool reason = lasted && seen->reason != REP_REASON_NONE;
	scenario_write(
		s,
		"%7.3f %c %s%s%s",
		(double)(lasted ? seen->since_ns : seen->entered_ns) / 1e9,
		'a' + id,
		rep_mode_name(seen->mode),
		reason ? " " : "",
		reason ? rep_reason_name(seen->reason) : ""
	);
	if (lasted)
		scenario_write(s, ", epoch %u", seen->epoch);
	scenario_write(s, "%s\n", serves_now ? ": serves" : "");
}

/* What was there before has ended. */
static void end_role(struct scenario *s, struct scenario_seen *seen, uint32_t id)
{
	/* Between two roles a node waits; that is no news when it is short. */
	if (seen->pending && !seen->named && seen->mode != REP_MODE_WAITING)
		write_role(s, seen, id, false, false);
	seen->pending = false;
}

static void watch_role(struct scenario *s, const struct sim *sim, uint32_t id)
{
	const struct sim_node *node = &sim->nodes[id];
	const struct rep_core *core = &node->core;
	struct scenario_seen *seen = &s->seen[id];
	bool fresh = seen->state != SIM_RUNNING;
	bool entered = fresh || core->mode != seen->mode;
	bool changed = entered || core->reason != seen->reason || core->epoch != seen->epoch;
	if (!changed && seen->pending && sim->now_ns - seen->since_ns >= SCENARIO_LASTS_NS) {
		write_role(s, seen, id, true, false);
		seen->pending = false;
		seen->named = true;
	}
	if (changed) {
		if (entered && !fresh)
			end_role(s, seen, id);
		seen->named &= !entered;
		seen->mode = core->mode;
		seen->reason = core->reason;
		seen->epoch = core->epoch;
		seen->since_ns = sim->now_ns;
		seen->entered_ns = entered ? sim->now_ns : seen->entered_ns;
		seen->pending = true;
		if (entered && rep_core_serves(core)) {
			write_role(s, seen, id, true, true);
			seen->pending = false;
			seen->named = true;
		}
	}
	if (core->stats.refills > seen->refills)
		scenario_write(
			s,
			"%7.3f (%c cuts its log: %lu of %lu entries are common)\n",
			(double)sim->now_ns / 1e9,
			'a' + id,
			core->refill.keep,
			core->last_sequence
		);
	seen->refills = core->stats.refills;
}

static void watch_node(struct scenario *s, const struct sim *sim, uint32_t id)
{
	const struct sim_node *node = &sim->nodes[id];
	struct scenario_seen *seen = &s->seen[id];
	if (node->state == SIM_RUNNING) {
		if (seen->state != SIM_RUNNING)
			seen->refills = 0;
		watch_role(s, sim, id);
	} else if (node->state != seen->state) {
		end_role(s, seen, id);
		scenario_write(
			s,
			"%7.3f %c is %s\n",
			(double)sim->now_ns / 1e9,
			'a' + id,
			state_names[node->state]
		);
	}
	seen->state = node->state;
	const struct rep_pair *held = &node->disk.record.pair;
	/* With an arbiter a node's own copy says nothing new. */
	if (sim->plan.policy == REP_POLICY_ARBITER || rep_pair_equal(held, &seen->held))
		return;
	char where[32];
	snprintf(
		where,
		sizeof(where),
		"record of %c, held by %c",
		'a' + id,
		held->holder <= 1 ? 'a' + held->holder : '?'
	);
	write_pair(s, sim, where, held);
	seen->held = *held;
}

void scenario_watch(struct scenario *s, struct sim *sim)
{
	const struct rep_pair *pair = &sim->arbiter.pair;
	if (!rep_pair_equal(pair, &s->seen_pair))
		write_pair(s, sim, "record", pair);
	s->seen_pair = *pair;
	for (uint32_t id = 0; id < 2; id++)
		watch_node(s, sim, id);
	/* The checkers have excused a loss by taking it off what was committed. */
	if (sim->ledger.committed < s->committed_top)
		s->lost += s->committed_top - sim->ledger.committed;
	s->committed_top = sim->ledger.committed;
}

void scenario_watch_end(struct scenario *s, const struct sim *sim)
{
	for (uint32_t id = 0; id < 2; id++)
		if (sim_running(&sim->nodes[id]) && s->seen[id].pending)
			write_role(s, &s->seen[id], id, true, false);
}

void scenario_describe(struct scenario *s, struct sim *sim, char *text, uint32_t bytes)
{
	uint32_t used = 0;
	for (uint32_t id = 0; id < 2; id++) {
		const struct sim_node *node = &sim->nodes[id];
		const struct rep_core *core = &node->core;
		const struct rep_record *record = &node->disk.record;
		int added = snprintf(
			text + used,
			bytes - used,
			"%s%c %s, %s %s, epoch %u, last %lu, committed %lu, disk: %s of %u%s, %lu "
			"of %lu durable",
			id == 0 ? "" : "; ",
			'a' + id,
			state_names[node->state],
			rep_mode_name(core->mode),
			rep_reason_name(core->reason),
			core->epoch,
			core->last_sequence,
			core->committed,
			record_names[record->mode % REP_RECORD_MODES],
			record->epoch,
			record->amnesiac ? ", amnesiac" : "",
			node->disk.durable,
			node->disk.written
		);
		if (added > 0)
			used += (uint32_t)added;
		if (used >= bytes)
			return;
	}
}

/* --- Tests like epoch>4 and mode=waiting|learner --- */

struct test {
	char key[32];
	char operator[3];
	const char *value;
};

static bool parse_test(const char *word, struct test *test)
{
	size_t key_bytes = strcspn(word, "=!<>");
	size_t operator_bytes = strspn(word + key_bytes, "=!<>");
	if (key_bytes >= sizeof(test->key) || operator_bytes == 0 ||
	    operator_bytes >= sizeof(test->operator))
		return false;
	memcpy(test->key, word, key_bytes);
	test->key[key_bytes] = '\0';
	memcpy(test->operator, word + key_bytes, operator_bytes);
	test->operator[operator_bytes] = '\0';
	test->value = word + key_bytes + operator_bytes;
	return *test->value != '\0';
}

static bool
test_number(struct scenario *s, struct sim *sim, const struct test *test, uint64_t found)
{
	uint64_t value;
	if (!scenario_number(test->value, &value))
		scenario_bad_line(s, sim, "this is compared with a number");
	if (strcmp(test->operator, "=") == 0)
		return found == value;
	if (strcmp(test->operator, "!=") == 0)
		return found != value;
	if (strcmp(test->operator, "<") == 0)
		return found < value;
	if (strcmp(test->operator, ">") == 0)
		return found > value;
	if (strcmp(test->operator, "<=") == 0)
		return found <= value;
	if (strcmp(test->operator, ">=") == 0)
		return found >= value;
	scenario_bad_line(s, sim, "no such comparison");
}

/* One of several names, with | between them. All that are named must exist. */
static bool
test_name(struct scenario *s, struct sim *sim, const struct test *test, const char *found)
{
	bool among = false;
	const char *name = test->value;
	while (*name != '\0') {
		size_t bytes = strcspn(name, "|");
		among |= bytes == strlen(found) && strncmp(name, found, bytes) == 0;
		name += bytes;
		name += *name == '|';
	}
	if (strcmp(test->operator, "=") == 0)
		return among;
	if (strcmp(test->operator, "!=") == 0)
		return !among;
	scenario_bad_line(s, sim, "names are equal or not");
}

static bool known_name(const struct test *test)
{
	char names[128];
	char *rest = names;
	snprintf(names, sizeof(names), "%s", test->value);
	for (char *name = strsep(&rest, "|"); name != NULL; name = strsep(&rest, "|")) {
		bool known = false;
		for (uint32_t i = 0; i < REP_MODES; i++)
			known |= strcmp(name, rep_mode_name((enum rep_mode)i)) == 0;
		for (uint32_t i = 0; i < REP_REASONS; i++)
			known |= strcmp(name, rep_reason_name((enum rep_reason)i)) == 0;
		for (uint32_t i = 0; i < REP_RECORD_MODES; i++)
			known |= strcmp(name, record_names[i]) == 0;
		for (uint32_t i = 0; i < 3; i++)
			known |= strcmp(name, state_names[i]) == 0;
		known |= strcmp(name, "yes") == 0 || strcmp(name, "no") == 0;
		if (!known)
			return false;
	}
	return true;
}

static uint64_t entries_authored(struct sim *sim, uint32_t id)
{
	uint64_t count = 0;
	for (uint32_t i = 1; i <= sim->ledger.fact_count; i++)
		count += (sim_fact_of(sim, i)->epoch & 1) == id;
	return count;
}

static bool node_number(struct sim *sim, uint32_t id, const char *key, uint64_t *found)
{
	const struct sim_node *node = &sim->nodes[id];
	const struct rep_core *core = &node->core;
	const struct {
		const char *key;
		uint64_t value;
	} numbers[] = {
		{"epoch", core->epoch},
		{"last", core->last_sequence},
		{"committed", core->committed},
		{"written", node->disk.written},
		{"durable", node->disk.durable},
		{"life", node->life},
		{"forked", core->stats.entries_forked},
		{"cut", core->stats.entries_cut},
		{"merged", core->stats.entries_merged},
		{"own_gaps", core->stats.own_gaps},
		{"step_downs", core->stats.step_downs},
		{"arbiter_went_back", core->stats.arbiter_went_back},
		{"asks_unanswered", core->stats.asks_unanswered},
		{"record_epoch", node->disk.record.epoch},
		{"authored", strcmp(key, "authored") == 0 ? entries_authored(sim, id) : 0},
	};
	for (uint32_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		if (strcmp(key, numbers[i].key) == 0) {
			*found = numbers[i].value;
			return true;
		}
	return false;
}

static bool test_node(struct scenario *s, struct sim *sim, uint32_t id, const char *word)
{
	const struct sim_node *node = &sim->nodes[id];
	const struct rep_record *record = &node->disk.record;
	struct test test;
	uint64_t found;
	if (!parse_test(word, &test))
		scenario_bad_line(s, sim, "expected something like epoch>4");
	if (node_number(sim, id, test.key, &found))
		return test_number(s, sim, &test, found);
	if (!known_name(&test))
		scenario_bad_line(s, sim, "no such name");
	bool running = sim_running(node);
	if (strcmp(test.key, "state") == 0)
		return test_name(s, sim, &test, state_names[node->state]);
	if (strcmp(test.key, "mode") == 0)
		return running && test_name(s, sim, &test, rep_mode_name(node->core.mode));
	if (strcmp(test.key, "reason") == 0)
		return running && test_name(s, sim, &test, rep_reason_name(node->core.reason));
	if (strcmp(test.key, "record") == 0)
		return test_name(s, sim, &test, record_names[record->mode % REP_RECORD_MODES]);
	if (strcmp(test.key, "amnesiac") == 0)
		return test_name(s, sim, &test, record->amnesiac ? "yes" : "no");
	scenario_bad_line(s, sim, "a node has no such property");
}

static bool
test_nodes_words(struct scenario *s, struct sim *sim, uint32_t id, char **words, uint32_t count)
{
	bool all = true;
	for (uint32_t i = 0; i < count; i++)
		all &= test_node(s, sim, id, words[i]);
	return all;
}

/* The pair record: the arbiter's, or the newest that a disk holds. */
static bool test_pair(struct scenario *s, struct sim *sim, char **words, uint32_t count)
{
	const struct rep_pair *pair = &sim->arbiter.pair, *own = &sim->nodes[0].disk.record.pair;
	if (sim->plan.policy != REP_POLICY_ARBITER) {
		pair = &sim->nodes[1].disk.record.pair;
		pair = own->epoch > pair->epoch ? own : pair;
	}
	static const char *const names[] = {"none", "a", "b", "ab"};
	bool all = true;
	for (uint32_t i = 0; i < count; i++) {
		struct test test;
		if (!parse_test(words[i], &test))
			scenario_bad_line(s, sim, "expected something like epoch>4");
		if (strcmp(test.key, "epoch") == 0)
			all &= test_number(s, sim, &test, pair->epoch);
		else if (strcmp(test.key, "primary") == 0)
			all &= test_name(s, sim, &test, pair->primary == 0 ? "a" : "b");
		else if (strcmp(test.key, "in_sync") == 0)
			all &= test_name(s, sim, &test, names[pair->in_sync & 3]);
		else
			scenario_bad_line(s, sim, "the record has no such property");
	}
	return all;
}

/* --- Losses --- */

static uint64_t missing_of(struct sim *sim, uint32_t id)
{
	const struct sim_node *node = &sim->nodes[id];
	const uint32_t *log = sim_running(node) ? node->log : node->disk.log;
	uint64_t count = sim_running(node) ? node->history_count : node->disk.written;
	uint64_t missing = 0;
	for (uint64_t seq = 1; seq <= sim->ledger.committed; seq++)
		missing += seq > count || log[seq] != sim->ledger.history[seq];
	return missing;
}

/* Entries that were committed and that whoever serves, or the better of both, does not hold. */
static uint64_t count_lost(const struct scenario *s, struct sim *sim)
{
	uint64_t a = missing_of(sim, 0), b = missing_of(sim, 1);
	if (serves(sim, 0) != serves(sim, 1))
		return s->lost + (serves(sim, 0) ? a : b);
	return s->lost + (a < b ? a : b);
}

/* --- Conditions --- */

static bool test_serving(struct scenario *s, struct sim *sim, const char *who)
{
	uint32_t found = (uint32_t)serves(sim, 0) | (uint32_t)serves(sim, 1) << 1;
	static const char *const names[] = {"none", "a", "b", "both"};
	for (uint32_t i = 0; i < 4; i++)
		if (strcmp(who, names[i]) == 0)
			return found == i;
	if (strcmp(who, "one") == 0)
		return found == 1 || found == 2;
	if (strcmp(who, "not-both") == 0)
		return found != 3;
	scenario_bad_line(s, sim, "serving: none, a, b, both, one or not-both");
}

/* Level, and the standby knows that it is one. */
static bool paired(const struct sim *sim)
{
	bool standby = sim->plan.ack == REP_ACK_NONE;
	for (uint32_t id = 0; id < 2; id++)
		standby |= sim->nodes[id].core.mode == REP_MODE_STANDBY;
	return sim_level(sim) && standby;
}

static bool clients_idle(const struct sim *sim)
{
	bool idle = true;
	for (uint32_t c = 0; c < sim->plan.clients; c++) {
		const struct sim_client *client = &sim->clients[c];
		idle &= client->client_id != 0;
		for (uint32_t i = 0; i < SIM_MAX_INFLIGHT * 2; i++)
			idle &= !client->requests[i].open;
	}
	return idle;
}

static bool test_count(struct scenario *s, struct sim *sim, const char *word)
{
	struct test test;
	if (!parse_test(word, &test))
		scenario_bad_line(s, sim, "no such condition");
	if (strcmp(test.key, "lost") == 0)
		return test_number(s, sim, &test, count_lost(s, sim));
	if (strcmp(test.key, "not_primary") == 0)
		return test_number(
			s,
			sim,
			&test,
			sim->counts[SIM_COUNT_NOT_PRIMARY] - s->counts_before[SIM_COUNT_NOT_PRIMARY]
		);
	if (strcmp(test.key, "repeats") == 0)
		return test_number(
			s,
			sim,
			&test,
			sim->counts[SIM_COUNT_REPEATS] - s->counts_before[SIM_COUNT_REPEATS]
		);
	scenario_bad_line(s, sim, "no such condition");
}

bool scenario_holds(struct scenario *s, struct sim *sim, char **words, uint32_t count)
{
	uint32_t id;
	if (count == 0)
		scenario_bad_line(s, sim, "a condition is missing");
	const char *word = words[0];
	if (count == 1 && strcmp(word, "paired") == 0)
		return paired(sim);
	if (count == 1 && strcmp(word, "silence") == 0)
		return sim->counts[SIM_COUNT_UPDATES] == s->answered_mark;
	if (count == 1 && strcmp(word, "answers") == 0)
		return sim->counts[SIM_COUNT_UPDATES] != s->answered_mark;
	if (count == 1 && strcmp(word, "idle") == 0)
		return clients_idle(sim);
	if (count == 1 && strcmp(word, "over") == 0)
		return sim->over;
	if (count == 2 && strcmp(word, "serving") == 0)
		return test_serving(s, sim, words[1]);
	if (count > 1 && strcmp(word, "primary") == 0 && scenario_node(words[1], &id))
		return serves(sim, id) && test_nodes_words(s, sim, id, words + 2, count - 2);
	if (count > 1 && strcmp(word, "record") == 0)
		return test_pair(s, sim, words + 1, count - 1);
	if (count > 1 && scenario_node(word, &id))
		return test_nodes_words(s, sim, id, words + 1, count - 1);
	if (count == 1)
		return test_count(s, sim, word);
	scenario_bad_line(s, sim, "no such condition");
}
