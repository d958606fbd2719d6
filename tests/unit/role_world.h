/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Role records for tests: any state that a node can be in, from a seed.
 */
#pragma once

#include "recovery/record_file.h"
#include "tests/unit/random.h"

#include <string.h>

static const struct log_identity role_identity = {
	.cluster_hash = 0x1122334455667788ull,
	.node = 1,
	.cluster = "test",
	.node_name = "b",
};

static inline struct rep_pair role_random_pair(struct random *random)
{
	struct rep_pair pair = {.epoch = (uint32_t)random_below(random, 1000)};
	pair.primary = (uint8_t)random_below(random, 2);
	pair.in_sync = (uint8_t)(1 << pair.primary | random_below(random, 4));
	pair.holder = (uint8_t)random_below(random, 3);
	if (pair.holder == 2)
		pair.holder = REP_HOLDER_ARBITER;
	return pair;
}

static inline struct rec_role role_random(struct random *random, uint64_t write_number)
{
	struct rec_role role;
	memset(&role, 0, sizeof(role)); /* they are compared byte by byte */
	role.record = (struct rep_record){
		.write_number = write_number,
		.incarnation = random_u64(random),
		.boots = random_u64(random),
		.committed = random_u64(random),
		.final_sequence = random_u64(random),
		.final_digest = random_u64(random),
		.safety_hash = random_u64(random),
		.cluster_hash = role_identity.cluster_hash,
		.pair = role_random_pair(random),
		.epoch = (uint32_t)random_u64(random),
		.mode = (uint8_t)random_below(random, REP_RECORD_MODES),
		.node = role_identity.node,
		.amnesiac = random_below(random, 2) == 1,
		.clean = random_below(random, 2) == 1,
	};
	role.arbiter.cluster_id = random_u64(random);
	role.arbiter.mod_revision = random_u64(random);
	role.arbiter.epoch = (uint32_t)random_u64(random);
	role.written_unix_ns = random_u64(random);
	role.lineage_count = (uint32_t)random_below(random, REP_MAX_LINEAGE + 1);
	uint32_t epoch = 0;
	uint64_t first = 0;
	for (uint32_t i = 0; i < role.lineage_count; i++) {
		epoch += 1 + (uint32_t)random_below(random, 9);
		first += random_below(random, 100);
		role.lineage[i].epoch = epoch;
		role.lineage[i].first_sequence = first;
	}
	return role;
}

static inline bool role_equal(const struct rec_role *a, const struct rec_role *b)
{
	return memcmp(a, b, sizeof(*a)) == 0;
}
