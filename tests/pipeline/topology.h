/* SPDX-License-Identifier: BSD-3-Clause
 *
 * An architecture: which machines there are, what they are called and who talks to whom. Read from
 * architectures/NAME.conf (libconfig); adding one is adding a file.
 *
 * Names. A component with an instance in each region is NAME.1 and NAME.2 (inbound-queue.1). A
 * database is one component: its front is NAME (inbound-database), its members are NAME.1, NAME.2
 * (and NAME.3), its replicators NAME.1-2 and NAME.2-1 (async pair: NAME.1-2 alone, which turns).
 */
#pragma once

#include "tests/pipeline/machine.h"

#define PL_NAME_BYTES 48
#define PL_STAGES_MAX 8

enum pl_order {
	PL_ORDER_TOTAL,	     /* active-passive: the source's order, everywhere */
	PL_ORDER_PER_REGION, /* each region's own */
};

struct pl_machine {
	char name[PL_NAME_BYTES];
	const struct pl_kind *kind;
	struct pl_params params;
};

struct pl_topology {
	char name[PL_NAME_BYTES];
	enum pl_order order;
	uint32_t count;
	struct pl_machine machines[PL_MACHINES_MAX];
	/* What a record passes, first to last: the queues and streams, and the databases (fronts).
	 * In workload1 the first two databases come before the first stream. */
	uint32_t transport_count, database_count;
	uint8_t transports[PL_STAGES_MAX][2]; /* of region 1 and 2 */
	uint8_t databases[PL_STAGES_MAX];
	uint8_t source, destination, driver; /* the driver is the scenario itself */
	uint8_t in_dns, out_dns;
};

/* The defaults of every params.* that an architecture file does not name. `ids` and `capacity` come
 * from the scenario. Returns 0, or -1 with a sentence that names file and line. */
int pl_topology_read(
	struct pl_topology *topology, const char *path, uint32_t ids, char *error, size_t bytes
);
/* Its address, or PL_NOBODY. */
uint8_t pl_topology_find(const struct pl_topology *topology, const char *name);
/* All that a name stands for: a machine, a component ("core-container": both regions' instances,
 * and a database's front), or all of a kind ("queue"). */
uint64_t pl_topology_match(const struct pl_topology *topology, const char *name);

/* The parameters that a file may set for a component, and a scenario for what it names. */
extern const char *const pl_parameter_names[]; /* NULL at the end */
/* False: no such name, or more than it may be. */
bool pl_parameter_set(struct pl_params *params, const char *name, uint64_t value);
