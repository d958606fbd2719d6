/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Starts DPDK's environment for any of our processes (dataplane, load generator, relay, tests),
 * with arguments chosen from what the host has: with free hugepages "--in-memory", without them
 * "--no-huge --no-shconf -m N"; "--no-pci" unless a PCI device is asked for; no telemetry; a file
 * prefix of its own. One call per process, before any port is opened.
 */
#pragma once

#include "config/settings.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DP_EAL_MAX_LCORES 67

struct dp_eal_needs {
	const char *program;	     /* for messages */
	const char *prefix;	     /* file prefix, unique per process of this host */
	uint64_t memory_bytes;	     /* EAL never has more, of either kind of page */
	enum cfg_tristate hugepages; /* AUTO: when enough are free */
	bool pci;		     /* a PCI device will be used */
	uint32_t lcore_count;	     /* lcore 0 is the main lcore, data lcores are 1 … count-1 */
	const char *cpus[DP_EAL_MAX_LCORES]; /* "2", "0-1" or "any" for each lcore; "any" is what
						no lcore names, or everything when all are named */
	uint32_t extra_count; /* raw EAL arguments from configuration or after "--" */
	const char *const *extra;
};

/* 0, or a negative errno with a sentence for the operator in error. On success line holds the final
 * EAL command line (for the log) and *hugepages says what was picked. */
int dp_eal_start(
	const struct dp_eal_needs *needs,
	char *line,
	size_t line_bytes,
	bool *hugepages,
	char *error,
	size_t error_bytes
);

/* True when every data lcore has a CPU to itself that is also not another lcore's: then spinning is
 * the right idle strategy. */
bool dp_eal_cpus_are_exclusive(const struct dp_eal_needs *needs);
