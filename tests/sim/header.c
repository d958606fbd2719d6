/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The text of a scenario: its lines and words, and the header, which makes the plan.
 */
#include "config/bytes.h"
#include "tests/sim/scenario.h"

#include <stdio.h>
#include <string.h>

#define MS SCENARIO_MS

uint32_t scenario_split(char *line, char *words[SCENARIO_WORDS])
{
	uint32_t count = 0;
	for (char *word = strsep(&line, " \t"); word != NULL; word = strsep(&line, " \t"))
		if (*word != '\0' && count < SCENARIO_WORDS)
			words[count++] = word;
	return count;
}

/* "5s", "20ms", "50us". */
bool scenario_time(const char *text, uint64_t *time_ns)
{
	char unit[4];
	unsigned long value;
	if (sscanf(text, "%lu%3s", &value, unit) != 2)
		return false;
	if (strcmp(unit, "s") == 0)
		*time_ns = value * 1000 * MS;
	else if (strcmp(unit, "ms") == 0)
		*time_ns = value * MS;
	else if (strcmp(unit, "us") == 0)
		*time_ns = value * MS / 1000;
	else
		return false;
	return true;
}

static void start_plan(struct sim_plan *plan)
{
	*plan = (struct sim_plan){
		.slots = {64, 64},
		.workers = {2, 3},
		.window = 64,
		.max_sessions = SIM_MAX_SESSIONS,
		.max_inflight = 8,
		.max_payload = SIM_MAX_PAYLOAD,
		.mtu = SIM_MAX_MTU,
		.interval_ns = 100 * MS,
		.misses = 10,
		.retransmit_min_ns = 20 * MS,
		.session_timeout_ns = 1000000 * MS,
		.session_min_idle_ns = 100000 * MS,
		.delay_ns = MS / 5,
		.jitter_ns = MS / 5,
		.long_delay_ns = 1000 * MS,
		.client_delay_ns = MS,
		.rx_ring = SIM_RX_RING,
		.clients = 2,
		.assets = 4,
		.client_window = 4,
		.retry_ns_factor = 3,
		.think_ns = 200 * MS,
		.faults_end_ns = UINT64_MAX / 2,
		.policy = REP_POLICY_ARBITER,
		.ack = REP_ACK_RECEIVED,
		.sync_ns = 4 * MS,
		.record_ns = 4 * MS,
		.boot_ns = 300 * MS,
		.refill_ns = 50 * MS,
		.stage_ns = 2 * MS,
		.takeover_delay_ns = 200 * MS,
		.ask_timeout_ns = 500 * MS,
		.arbiter_delay_ns = 2 * MS,
		.arbiter_long_ns = 2 * MS,
		.fresh_ns = 1000 * MS,
	};
}

/* The same in the header and later. */
bool scenario_set_timer(struct sim_plan *plan, const char *name, const char *text)
{
	const struct {
		const char *name;
		uint64_t *place;
	} timers[] = {
		{"interval", &plan->interval_ns},
		{"sync", &plan->sync_ns},
		{"record", &plan->record_ns},
		{"boot", &plan->boot_ns},
		{"refill", &plan->refill_ns},
		{"takeover", &plan->takeover_delay_ns},
		{"hold_down", &plan->hold_down_ns},
		{"arbiter", &plan->arbiter_delay_ns},
		{"ask", &plan->ask_timeout_ns},
		{"fresh", &plan->fresh_ns},
		{"delay", &plan->delay_ns},
		{"think", &plan->think_ns},
	};
	for (uint32_t i = 0; i < sizeof(timers) / sizeof(timers[0]); i++)
		if (strcmp(name, timers[i].name) == 0)
			return scenario_time(text, timers[i].place) && *timers[i].place > 0;
	return false;
}

static bool set_by_name(const char *const *names, uint32_t count, const char *name, uint32_t *value)
{
	for (uint32_t i = 0; i < count; i++)
		if (names[i] != NULL && strcmp(names[i], name) == 0) {
			*value = i;
			return true;
		}
	return false;
}

/* True: a line of the header, and taken; *bad when it cannot be. */
static bool header_line(struct scenario *s, char **words, uint32_t count, bool *bad)
{
	static const char *const policies[] = {NULL, "W", "N1", "N2", "N3"};
	static const char *const acks[] = {"received", "durable", "none"};
	uint32_t value = 0;
	uint64_t number = 0;
	*bad = true;
	if (count == 2 && strcmp(words[0], "policy") == 0) {
		*bad = !set_by_name(policies, 5, words[1], &value);
		s->plan.policy = (enum rep_policy)value;
	} else if (count == 2 && strcmp(words[0], "ack") == 0) {
		*bad = !set_by_name(acks, 3, words[1], &value);
		s->plan.ack = (enum rep_ack)value;
	} else if (count == 2 && strcmp(words[0], "power") == 0) {
		s->power = strcmp(words[1], "on") == 0;
		*bad = !s->power && strcmp(words[1], "off") != 0;
	} else if (count == 2 && strcmp(words[0], "seed") == 0) {
		*bad = !scenario_number(words[1], &s->seed);
	} else if (count == 2 && strcmp(words[0], "clients") == 0) {
		*bad = !scenario_number(words[1], &number) || number > SIM_MAX_CLIENTS;
		s->plan.clients = (uint32_t)number;
	} else if (count == 2 && strcmp(words[0], "slots") == 0) {
		*bad = !scenario_number(words[1], &number) || number < 8 ||
		       number > SIM_MAX_SLOTS || !sf_is_power_of_two(number);
		s->plan.slots[0] = s->plan.slots[1] = s->plan.window = (uint32_t)number;
	} else if (count == 3 && strcmp(words[0], "timer") == 0) {
		*bad = !scenario_set_timer(&s->plan, words[1], words[2]);
	} else {
		return false;
	}
	return true;
}

/* Copies the next line, without comment, and goes on behind it. False at the end. */
bool scenario_take_line(struct scenario *s, char *line, uint32_t bytes)
{
	if (*s->script == '\0')
		return false;
	size_t length = strcspn(s->script, "\n");
	snprintf(line, bytes, "%.*s", (int)length, s->script);
	s->script += length + (s->script[length] == '\n');
	s->line++;
	line[strcspn(line, "#")] = '\0';
	for (size_t end = strlen(line); end > 0 && line[end - 1] == ' '; end--)
		line[end - 1] = '\0';
	return true;
}

bool scenario_plan(struct scenario *s)
{
	char line[512];
	char *words[SCENARIO_WORDS];
	bool bad = false;
	s->seed = 1;
	start_plan(&s->plan);
	for (;;) {
		const char *script = s->script;
		uint32_t number = s->line;
		if (!scenario_take_line(s, line, sizeof(line)))
			return true;
		uint32_t count = scenario_split(line, words);
		if (count == 0)
			continue;
		if (!header_line(s, words, count, &bad)) {
			s->script = script;
			s->line = number;
			return true;
		}
		if (bad)
			return false;
	}
}
