/* SPDX-License-Identifier: BSD-3-Clause */
#include "config/lcores.h"

#include "config/errors.h"

#include <ctype.h>
#include <string.h>

bool *cfg_agent_flag(struct cfg_lcore *lcore, uint32_t agent)
{
	if (agent < CFG_MAX_INGRESS)
		return &lcore->ingress[agent];
	if (agent == CFG_AGENT_SEQUENCER)
		return &lcore->sequencer;
	if (agent == CFG_AGENT_JOURNAL)
		return &lcore->journal;
	return &lcore->worker[agent - CFG_AGENT_JOURNAL - 1];
}

bool cfg_agent_is_on(const struct cfg_lcore *lcore, uint32_t agent)
{
	return *cfg_agent_flag((struct cfg_lcore *)lcore, agent);
}

bool cfg_agent_exists(const struct cfg_settings *settings, uint32_t agent)
{
	if (agent < CFG_MAX_INGRESS)
		return agent < settings->client.rx_queues;
	if (agent <= CFG_AGENT_JOURNAL)
		return true;
	return agent - CFG_AGENT_JOURNAL - 1 < settings->workers;
}

void cfg_agent_name(uint32_t agent, char name[CFG_AGENT_NAME_BYTES])
{
	if (agent < CFG_MAX_INGRESS)
		snprintf(name, CFG_AGENT_NAME_BYTES, "ingress%u", agent);
	else if (agent <= CFG_AGENT_JOURNAL)
		snprintf(
			name,
			CFG_AGENT_NAME_BYTES,
			"%s",
			agent == CFG_AGENT_JOURNAL ? "journal" : "sequencer"
		);
	else
		snprintf(name, CFG_AGENT_NAME_BYTES, "worker%u", agent - CFG_AGENT_JOURNAL - 1);
}

/* "worker" names worker0, worker1, …; "worker1" only that one, and "all" each. */
static bool names(const char *text, uint32_t agent)
{
	char name[CFG_AGENT_NAME_BYTES];

	cfg_agent_name(agent, name);
	if (strcmp(text, "all") == 0 || strcmp(text, name) == 0)
		return true;
	name[strcspn(name, "0123456789")] = 0;
	return strcmp(text, name) == 0;
}

static void
unknown_agent(const struct cfg_settings *settings, const char *name, char *why, size_t why_bytes)
{
	char quoted[CFG_QUOTED_BYTES];

	for (uint32_t agent = 0; agent < CFG_AGENTS; agent++) {
		if (!names(name, agent))
			continue;
		bool ingress = agent < CFG_MAX_INGRESS;
		snprintf(
			why,
			why_bytes,
			"there is no agent %s: %s is %u",
			cfg_quote(name, quoted),
			ingress ? "client.rx_queues" : "dataplane.workers",
			ingress ? settings->client.rx_queues : settings->workers
		);
		return;
	}
	snprintf(
		why,
		why_bytes,
		"%s is no agent: ingress, ingress0…, sequencer, journal, worker, worker0… and all "
		"are",
		cfg_quote(name, quoted)
	);
}

bool cfg_agents_add(
	const struct cfg_settings *settings,
	struct cfg_lcore *lcore,
	const char *name,
	char *why,
	size_t why_bytes
)
{
	struct cfg_lcore with = *lcore;
	bool any = false;

	for (uint32_t agent = 0; agent < CFG_AGENTS; agent++) {
		char full_name[CFG_AGENT_NAME_BYTES];
		if (!cfg_agent_exists(settings, agent) || !names(name, agent))
			continue;
		bool *on = cfg_agent_flag(&with, agent);
		if (*on) {
			cfg_agent_name(agent, full_name);
			snprintf(
				why, why_bytes, "agent %s is named twice on this lcore", full_name
			);
			return false;
		}
		*on = true;
		any = true;
	}
	if (!any) {
		unknown_agent(settings, name, why, why_bytes);
		return false;
	}
	*lcore = with;
	return true;
}

void cfg_agents_print(const struct cfg_lcore *lcore, FILE *to)
{
	const char *comma = " ";

	fputs("[", to);
	for (uint32_t agent = 0; agent < CFG_AGENTS; agent++) {
		char name[CFG_AGENT_NAME_BYTES];
		if (!cfg_agent_is_on(lcore, agent))
			continue;
		cfg_agent_name(agent, name);
		fprintf(to, "%s\"%s\"", comma, name);
		comma = ", ";
	}
	fputs(" ]", to);
}

void cfg_place_all(struct cfg_settings *settings)
{
	memset(settings->lcores, 0, sizeof(settings->lcores));
	memset(settings->lcore_origins, 0, sizeof(settings->lcore_origins));
	settings->lcore_count = 1;
	strcpy(settings->lcores[0].cpus, "any");
	settings->lcores[0].idle = settings->idle;
	for (uint32_t agent = 0; agent < CFG_AGENTS; agent++)
		*cfg_agent_flag(&settings->lcores[0], agent) = cfg_agent_exists(settings, agent);
}
