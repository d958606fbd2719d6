/* SPDX-License-Identifier: BSD-3-Clause
 *
 * For the monitors' tests: the three architectures without machines, streams of effects that a
 * correct run of them could give, and a slow judge of such streams that shares no line with the
 * monitors.
 */
#pragma once

#include "tests/pipeline/monitor.h"

enum stream_architecture {
	STREAM_ACTIVE_PASSIVE,
	STREAM_ACTIVE_ACTIVE,
	STREAM_WORKLOAD1,
	STREAM_ARCHITECTURES,
};

#define STREAM_EFFECTS_MAX 16384
#define STREAM_RECORDS_MAX 160 /* an id fits a byte */

struct stream {
	enum stream_architecture architecture;
	struct pl_topology topology;
	uint32_t records;
	/* From this record on, region 2 alone gets them (0: never): at a moment when nothing
	 * moved. */
	uint32_t failover_at;
	uint64_t values[STREAM_RECORDS_MAX];
	uint32_t count;
	struct pl_effect effects[STREAM_EFFECTS_MAX];
};

enum stream_manner {
	STREAM_PILED,  /* all records pass a stage before one passes the next */
	STREAM_SINGLY, /* each record passes all before the next one comes */
	STREAM_MIXED,  /* drawn from the seed, with refusals, lost answers and crashes */
};

void stream_topology(struct pl_topology *topology, enum stream_architecture architecture);
/* Of a run without a fault that the monitors should tell. */
void stream_make(
	struct stream *stream,
	enum stream_architecture architecture,
	uint32_t records,
	uint32_t failover_at,
	enum stream_manner manner,
	uint64_t seed
);
/* Bits of enum pl_monitor: who is to say that something is broken, judged as
 * `stream->records` records with `split` (0, 0: any). */
uint64_t stream_judge(const struct stream *stream, const uint32_t split[2]);

uint64_t stream_random(uint64_t *state);
