/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/pipeline/live/effects.h"

#include <stdlib.h>

void pl_effects_add(
	struct pl_effects *log, uint64_t *counter, const struct pl_out *out, uint64_t now_ns
)
{
	if (out->effect_count == 0)
		return;
	uint64_t number = __atomic_fetch_add(counter, out->effect_count, __ATOMIC_RELAXED);
	for (uint32_t i = 0; i < out->effect_count; i++) {
		uint64_t chunk = log->count / PL_EFFECTS_CHUNK;
		if (chunk == PL_EFFECTS_CHUNKS) {
			log->dropped++;
			continue;
		}
		if (log->chunks[chunk] == NULL)
			log->chunks[chunk] = malloc(PL_EFFECTS_CHUNK * sizeof(struct pl_seen));
		if (log->chunks[chunk] == NULL) {
			log->dropped++;
			continue;
		}
		log->chunks[chunk][log->count % PL_EFFECTS_CHUNK] = (struct pl_seen){
			.number = number + i,
			.time_ns = now_ns,
			.effect = out->effects[i],
		};
		log->count++;
	}
}

const struct pl_seen *pl_effects_next(struct pl_effects *logs, uint32_t count)
{
	const struct pl_seen *first = NULL;
	struct pl_effects *of = NULL;
	for (uint32_t i = 0; i < count; i++) {
		struct pl_effects *log = &logs[i];
		if (log->read == log->count)
			continue;
		const struct pl_seen *seen =
			&log->chunks[log->read / PL_EFFECTS_CHUNK][log->read % PL_EFFECTS_CHUNK];
		if (first == NULL || seen->number < first->number) {
			first = seen;
			of = log;
		}
	}
	if (of)
		of->read++;
	return first;
}

void pl_effects_rewind(struct pl_effects *logs, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		logs[i].read = 0;
}

void pl_effects_free(struct pl_effects *log)
{
	for (uint32_t i = 0; i < PL_EFFECTS_CHUNKS; i++)
		free(log->chunks[i]);
	memset(log, 0, sizeof(*log));
}
