/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The lines of a scenario after its header: what is done, one after the other, while virtual time
 * passes.
 */
#include "config/bytes.h"
#include "tests/sim/scenario.h"

#include <stdio.h>
#include <string.h>

#define MS SCENARIO_MS
#define PATIENCE_WINDOWS 30 /* of `wait` without a limit of its own */
#define SETTLE_WINDOWS 60   /* of `settle` (inv. 33) */
#define MANY_OPERATIONS (1u << 30)

void scenario_bad_line(struct scenario *s, struct sim *sim, const char *what)
{
	sim_fail(sim, "line %u: %s", s->line, what);
}

static uint64_t window_ns(const struct sim *sim)
{
	return sim->plan.interval_ns * sim->plan.misses;
}

/* "5s", or "3 windows": how many words it took; 0: it is neither. */
static uint32_t
parse_duration(const struct sim *sim, char **words, uint32_t count, uint64_t *time_ns)
{
	uint64_t windows;
	if (count >= 1 && scenario_time(words[0], time_ns))
		return 1;
	if (count >= 2 && strncmp(words[1], "window", 6) == 0 &&
	    scenario_number(words[0], &windows)) {
		*time_ns = windows * window_ns(sim);
		return 2;
	}
	return 0;
}

/* --- Time --- */

static bool step(struct scenario *s, struct sim *sim, uint64_t until_ns)
{
	bool more = sim_step(sim, until_ns);
	scenario_watch(s, sim);
	return more;
}

static void pass(struct scenario *s, struct sim *sim, uint64_t for_ns)
{
	uint64_t until_ns = sim->now_ns + for_ns;
	while (step(s, sim, until_ns))
		;
}

_Noreturn static void
fail_condition(struct scenario *s, struct sim *sim, const char *how, char **words, uint32_t count)
{
	char condition[256] = "", state[400];
	for (uint32_t i = 0; i < count; i++) {
		strncat(condition, " ", sizeof(condition) - strlen(condition) - 1);
		strncat(condition, words[i], sizeof(condition) - strlen(condition) - 1);
	}
	scenario_describe(s, sim, state, sizeof(state));
	sim_fail(sim, "line %u: %s%s: %s", s->line, how, condition, state);
}

static void
wait_for(struct scenario *s, struct sim *sim, uint64_t for_ns, char **words, uint32_t count)
{
	uint64_t until_ns = sim->now_ns + for_ns;
	s->answered_mark = sim->counts[SIM_COUNT_UPDATES];
	while (!scenario_holds(s, sim, words, count))
		if (!step(s, sim, until_ns))
			fail_condition(s, sim, "waited in vain for", words, count);
}

/* --- What a line may do. words[0] is its name. --- */

static void do_wait(struct scenario *s, struct sim *sim, char **words, uint32_t count)
{
	uint64_t for_ns;
	uint32_t took = parse_duration(sim, words + 1, count - 1, &for_ns);
	if (took == 0)
		wait_for(s, sim, PATIENCE_WINDOWS * window_ns(sim), words + 1, count - 1);
	else if (took == count - 1)
		pass(s, sim, for_ns);
	else
		scenario_bad_line(s, sim, "wait TIME, or wait CONDITION");
}

/* within 2 windows CONDITION */
static void do_within(struct scenario *s, struct sim *sim, char **words, uint32_t count)
{
	uint64_t for_ns;
	uint32_t took = parse_duration(sim, words + 1, count - 1, &for_ns);
	if (took == 0)
		scenario_bad_line(s, sim, "within TIME CONDITION");
	wait_for(s, sim, for_ns, words + 1 + took, count - 1 - took);
}

/* Two blank nodes have become a pair; how they did is told by the scenarios of that. */
static void do_begin(struct scenario *s, struct sim *sim, char **words, uint32_t count)
{
	char text[] = "paired";
	char *condition[] = {text};
	wait_for(s, sim, PATIENCE_WINDOWS * window_ns(sim), condition, 1);
	s->transcript_bytes = 0;
	s->transcript[0] = '\0';
	for (uint32_t id = 0; id < 2; id++) {
		s->seen[id].state = SIM_BOOTING; /* tell how it stands */
		s->seen[id].pending = false;
	}
}

static void do_expect(struct scenario *s, struct sim *sim, char **words, uint32_t count)
{
	if (!scenario_holds(s, sim, words + 1, count - 1))
		fail_condition(s, sim, "it is not so:", words + 1, count - 1);
}

/* for 3 windows expect CONDITION */
static void do_for(struct scenario *s, struct sim *sim, char **words, uint32_t count)
{
	uint64_t for_ns;
	uint32_t took = parse_duration(sim, words + 1, count - 1, &for_ns);
	if (took == 0 || took + 2 > count || strcmp(words[took + 1], "expect") != 0)
		scenario_bad_line(s, sim, "for TIME expect CONDITION");
	char **condition = words + took + 2;
	uint64_t until_ns = sim->now_ns + for_ns;
	s->answered_mark = sim->counts[SIM_COUNT_UPDATES];
	do
		if (!scenario_holds(s, sim, condition, count - took - 2))
			fail_condition(
				s, sim, "it is not so any more:", condition, count - took - 2
			);
	while (step(s, sim, until_ns));
}

/* load 50: so many updates are answered from now on; load on, load off. */
static void do_load(struct scenario *s, struct sim *sim, char **words, uint32_t count)
{
	uint64_t number, before = sim->counts[SIM_COUNT_UPDATES];
	sim->operations_left = MANY_OPERATIONS;
	if (count == 2 && strcmp(words[1], "on") == 0)
		return;
	if (count == 2 && strcmp(words[1], "off") == 0) {
		sim->operations_left = 0;
		return;
	}
	if (count != 2 || !scenario_number(words[1], &number))
		scenario_bad_line(s, sim, "load NUMBER, on or off");
	uint64_t until_ns = sim->now_ns + (PATIENCE_WINDOWS + number / 10) * window_ns(sim);
	while (sim->counts[SIM_COUNT_UPDATES] < before + number)
		if (!step(s, sim, until_ns))
			fail_condition(s, sim, "the load is not answered", words, 0);
	sim->operations_left = 0;
}

/* ask b: all clients take this node for the primary now. */
static void do_ask(struct scenario *s, struct sim *sim, char **words, uint32_t count)
{
	uint32_t id;
	if (count != 2 || !scenario_node(words[1], &id))
		scenario_bad_line(s, sim, "ask a, or b");
	for (uint32_t c = 0; c < sim->plan.clients; c++)
		sim->clients[c].target = id;
}

/* --- Nodes --- */

static void kill_one(struct scenario *s, struct sim *sim, uint32_t id, bool power, bool torn)
{
	struct sim_node *node = &sim->nodes[id];
	if (node->state == SIM_DOWN || node->life + 1 == SIM_MAX_LIVES)
		scenario_bad_line(s, sim, "it is down already, or has no life left");
	if (power)
		node->disk.written = node->disk.durable;
	sim->plan.power = torn;
	sim_kill(sim, id);
}

/* kill a [power|torn]: the process; what is not durable too; or a part of that. */
static void do_kill(struct scenario *s, struct sim *sim, char **words, uint32_t count)
{
	bool torn = count == 3 && strcmp(words[2], "torn") == 0;
	bool power = (count == 3 && strcmp(words[2], "power") == 0) || (s->power && !torn);
	uint32_t id;
	if (count < 2 || count > 3 || (count == 3 && !power && !torn))
		scenario_bad_line(s, sim, "kill a, b or both, and perhaps power or torn");
	if (strcmp(words[1], "both") == 0) {
		kill_one(s, sim, 0, power, torn);
		kill_one(s, sim, 1, power, torn);
	} else if (scenario_node(words[1], &id)) {
		kill_one(s, sim, id, power, torn);
	} else {
		scenario_bad_line(s, sim, "no such node");
	}
}

/* Which nodes a line names: a bit each. */
static uint32_t nodes_of(struct scenario *s, struct sim *sim, const char *word)
{
	uint32_t id;
	if (strcmp(word, "both") == 0)
		return 3;
	if (!scenario_node(word, &id))
		scenario_bad_line(s, sim, "a, b or both");
	return 1u << id;
}

static void start(struct scenario *s, struct sim *sim, uint32_t id, char **words)
{
	if (sim->nodes[id].state != SIM_DOWN)
		scenario_bad_line(s, sim, "it is not down");
	sim_control_boot(sim, id);
}

static void wipe(struct scenario *s, struct sim *sim, uint32_t id, char **words)
{
	struct sim_node *node = &sim->nodes[id];
	if (node->state != SIM_DOWN)
		scenario_bad_line(s, sim, "only the disk of a node that is down is exchanged");
	node->disk.written = node->disk.durable = 0;
	node->disk.record = (struct rep_record){0};
	sim->wiped = true;
	sim_check_crash(sim);
}

/* pause a for 5s */
static void pause(struct scenario *s, struct sim *sim, uint32_t id, char **words)
{
	uint64_t for_ns;
	if (strcmp(words[2], "for") != 0 || !scenario_time(words[3], &for_ns))
		scenario_bad_line(s, sim, "pause NODE for TIME");
	sim->nodes[id].paused_until_ns = sim->now_ns + for_ns;
}

static void operate(struct scenario *s, struct sim *sim, uint32_t id, char **words)
{
	struct sim_node *node = &sim->nodes[id];
	if (!sim_running(node))
		scenario_bad_line(s, sim, "it does not run");
	node->operation = REP_OPERATION_SWITCHOVER;
	if (strcmp(words[0], "stop") == 0) {
		node->operation = REP_OPERATION_LEAVE;
		node->stop_due = true;
	} else if (strcmp(words[0], "force") == 0) {
		node->operation = REP_OPERATION_FORCE;
		sim->consent = true;
	}
	sim_node_wake(sim, id, sim->now_ns);
}

static void handle_disk(struct scenario *s, struct sim *sim, uint32_t id, char **words)
{
	struct sim_node *node = &sim->nodes[id];
	bool full = strcmp(words[0], "disk-full") == 0;
	if (strcmp(words[0], "disk-fails") != 0) {
		node->disk.full_until_ns = full ? UINT64_MAX : 0;
	} else if (sim_running(node)) {
		/* S05, inv. 31: of what was under way nothing is known. */
		node->disk.busy_until_ns = 0;
		rep_core_halt(&node->core, REP_REASON_LOG_FAILED);
	}
	if (sim_running(node))
		sim_node_wake(sim, id, sim->now_ns);
}

/* --- Ways and the arbiter --- */

/* Bits: a to b, b to a, a and arbiter, b and arbiter. */
static uint32_t ways_of(struct scenario *s, struct sim *sim, char **words, uint32_t count)
{
	static const struct {
		const char *name;
		uint32_t ways;
	} names[] = {
		{"both", 3},
		{"a-b", 1},
		{"b-a", 2},
		{"a-arbiter", 4},
		{"b-arbiter", 8},
		{"arbiter", 12},
		{"a", 7},
		{"b", 11},
	};
	uint32_t ways = 0;
	for (uint32_t i = 1; i < count; i++) {
		uint32_t found = 0;
		for (uint32_t n = 0; n < sizeof(names) / sizeof(names[0]); n++)
			if (strcmp(words[i], names[n].name) == 0)
				found = names[n].ways;
		if (found == 0)
			scenario_bad_line(s, sim, "no such way");
		ways |= found;
	}
	return ways;
}

static void set_ways(struct sim *sim, uint32_t ways, bool cut)
{
	for (uint32_t id = 0; id < 2; id++) {
		if (ways >> id & 1)
			sim->links[id].cut = cut;
		if (ways >> (2 + id) & 1)
			sim->arbiter.cut =
				(uint8_t)((sim->arbiter.cut & ~(1u << id)) | (uint32_t)cut << id);
	}
}

static void do_cut(struct scenario *s, struct sim *sim, char **words, uint32_t count)
{
	if (count < 2)
		scenario_bad_line(s, sim, "cut WAY…");
	set_ways(sim, ways_of(s, sim, words, count), true);
}

static void do_heal(struct scenario *s, struct sim *sim, char **words, uint32_t count)
{
	set_ways(sim, count == 1 ? 15 : ways_of(s, sim, words, count), false);
}

/* Its register is not what was last written. */
static void falsify_arbiter(struct scenario *s, struct sim *sim, struct rep_pair pair)
{
	s->right = sim->arbiter.pair;
	sim->arbiter.pair = pair;
}

static void do_arbiter(struct scenario *s, struct sim *sim, char **words, uint32_t count)
{
	struct sim_arbiter *arbiter = &sim->arbiter;
	const char *what = count == 2 ? words[1] : "";
	if (strcmp(what, "away") == 0)
		arbiter->away = true;
	else if (strcmp(what, "mute") == 0)
		arbiter->mute = true;
	else if (strcmp(what, "back") == 0)
		arbiter->away = arbiter->mute = false;
	else if (strcmp(what, "slow") == 0)
		sim->plan.arbiter_delay_ns = 300 * MS;
	else if (strcmp(what, "quick") == 0)
		sim->plan.arbiter_delay_ns = s->plan.arbiter_delay_ns;
	else if (strcmp(what, "save") == 0)
		s->saved = arbiter->pair;
	else if (strcmp(what, "restore") == 0)
		falsify_arbiter(s, sim, s->saved);
	else if (strcmp(what, "repair") == 0)
		arbiter->pair = s->right;
	else if (strcmp(what, "blank") == 0)
		falsify_arbiter(s, sim, (struct rep_pair){0});
	else
		scenario_bad_line(
			s,
			sim,
			"arbiter away, mute, back, slow, quick, save, restore, blank or repair"
		);
}

static void do_timer(struct scenario *s, struct sim *sim, char **words, uint32_t count)
{
	if (count != 3 || !scenario_set_timer(&sim->plan, words[1], words[2]))
		scenario_bad_line(s, sim, "timer NAME TIME");
}

/* The faults are over, all that is down is started; the pair must be whole again, and each client's
 * next request must finish (inv. 33). */
static void do_settle(struct scenario *s, struct sim *sim, char **words, uint32_t count)
{
	set_ways(sim, 15, false);
	sim->arbiter.mute = false;
	sim->plan.faults_end_ns = sim->now_ns;
	sim->operations_left = 0;
	sim_calm_down(sim);
	for (uint32_t id = 0; id < 2; id++)
		sim_control_boot(sim, id);
	uint64_t until_ns = sim->now_ns + SETTLE_WINDOWS * window_ns(sim);
	while (!(sim_level(sim) && sim_clients_done(sim)))
		if (!step(s, sim, until_ns))
			break;
	sim_check_end(sim);
}

/* --- The loop --- */

struct command {
	const char *name;
	void (*act)(struct scenario *s, struct sim *sim, char **words, uint32_t count);
	/* Or for each node that the second word names. */
	void (*act_on)(struct scenario *s, struct sim *sim, uint32_t node, char **words);
	uint32_t words; /* that the latter has */
	bool quiet;	/* passes time only: no line in the transcript */
};

static const struct command commands[] = {
	{"wait", do_wait, NULL, 0, true},
	{"within", do_within, NULL, 0, true},
	{"expect", do_expect, NULL, 0, true},
	{"begin", do_begin, NULL, 0, true},
	{"for", do_for, NULL, 0, true},
	{"load", do_load, NULL, 0, false},
	{"ask", do_ask, NULL, 0, false},
	{"kill", do_kill, NULL, 0, false},
	{"start", NULL, start, 2, false},
	{"stop", NULL, operate, 2, false},
	{"switchover", NULL, operate, 2, false},
	{"force", NULL, operate, 2, false},
	{"wipe", NULL, wipe, 2, false},
	{"pause", NULL, pause, 4, false},
	{"disk-full", NULL, handle_disk, 2, false},
	{"disk-ok", NULL, handle_disk, 2, false},
	{"disk-fails", NULL, handle_disk, 2, false},
	{"cut", do_cut, NULL, 0, false},
	{"heal", do_heal, NULL, 0, false},
	{"arbiter", do_arbiter, NULL, 0, false},
	{"timer", do_timer, NULL, 0, false},
	{"settle", do_settle, NULL, 0, false},
};

static void carry_out(struct scenario *s, struct sim *sim, char *line)
{
	char copy[512];
	char *words[SCENARIO_WORDS];
	snprintf(copy, sizeof(copy), "%s", line);
	uint32_t count = scenario_split(copy, words);
	if (count == 0)
		return;
	const struct command *command = NULL;
	for (uint32_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		if (strcmp(words[0], commands[i].name) == 0)
			command = &commands[i];
	if (command == NULL)
		scenario_bad_line(s, sim, "no such command");
	if (!command->quiet)
		scenario_write(s, "%7.3f > %s\n", (double)sim->now_ns / 1e9, line);
	if (command->act != NULL) {
		command->act(s, sim, words, count);
	} else {
		if (count != command->words)
			scenario_bad_line(s, sim, "words are missing, or too many");
		uint32_t nodes = nodes_of(s, sim, words[1]);
		for (uint32_t id = 0; id < 2; id++)
			if (nodes >> id & 1)
				command->act_on(s, sim, id, words);
	}
	scenario_watch(s, sim);
}

void scenario_run(struct sim *sim, void *context)
{
	struct scenario *s = context;
	char line[512];
	memcpy(s->counts_before, sim->counts, sizeof(s->counts_before));
	while (scenario_take_line(s, line, sizeof(line)))
		carry_out(s, sim, line);
	scenario_watch_end(s, sim);
	if (sim->over)
		return;
	char text[] = "lost=0";
	char *lost[] = {text};
	/* Whatever a scenario says, nothing is lost silently. */
	bool consent = sim->consent || sim->plan.ack == REP_ACK_NONE ||
		       sim->plan.policy == REP_POLICY_SPLIT_ALLOWED;
	if (!consent && !scenario_holds(s, sim, lost, 1))
		fail_condition(s, sim, "at the end it is not so:", lost, 1);
}
