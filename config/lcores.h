/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The agents of lcores by name and number: ingress0…, sequencer, journal, worker0…. The number is
 * only for loops over all agents. Private to config/.
 */
#pragma once

#include "config/settings.h"

#define CFG_AGENTS (CFG_MAX_INGRESS + 2 + CFG_MAX_WORKERS)
#define CFG_AGENT_SEQUENCER CFG_MAX_INGRESS
#define CFG_AGENT_JOURNAL (CFG_MAX_INGRESS + 1)
#define CFG_AGENT_NAME_BYTES 24

bool *cfg_agent_flag(struct cfg_lcore *lcore, uint32_t agent);
bool cfg_agent_is_on(const struct cfg_lcore *lcore, uint32_t agent);
/* Is there such an agent with these numbers of queues and workers? */
bool cfg_agent_exists(const struct cfg_settings *settings, uint32_t agent);
void cfg_agent_name(uint32_t agent, char name[CFG_AGENT_NAME_BYTES]);

/* Puts the agents of a name of the file on an lcore: "worker3", "worker", "all". False with a part
 * of a sentence in why; then the lcore is unchanged. */
bool cfg_agents_add(
	const struct cfg_settings *settings,
	struct cfg_lcore *lcore,
	const char *name,
	char *why,
	size_t why_bytes
);

/* [ "ingress0", "sequencer" ] */
void cfg_agents_print(const struct cfg_lcore *lcore, FILE *to);
