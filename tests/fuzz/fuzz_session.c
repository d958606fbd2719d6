/* SPDX-License-Identifier: BSD-3-Clause
 *
 * rep_session_apply over a sequence of entries made from the input: whatever they say, the table
 * stays whole, a refused entry changes nothing, and after closing every session the digest is 0.
 */
#include "replication/session.h"
#include "tests/fuzz/fuzz_target.h"
#include "tests/unit/random.h"

#include <stdlib.h>
#include <string.h>

#define SESSIONS 8
#define INFLIGHT 4
#define RECORD_BYTES 5 /* kind and a hint, client, request, first incomplete, spread */

uint64_t fuzz_accepted;

/* Small numbers mostly; the top bits choose the neighbourhood of 2^64. */
static uint64_t number(uint8_t byte)
{
	return byte < 0xf0 ? byte : UINT64_MAX - (byte & 0x0f);
}

static enum rep_session_fault
apply_record(struct rep_session_table *table, const uint8_t *record, uint64_t sequence)
{
	struct rep_entry entry = {
		.sequence = sequence,
		.kind = record[0] & 7,
		.client_id = record[1] % 16,
		.request_seq = number(record[2]),
		.first_incomplete_seq = number(record[3]),
		.asset_id = record[4],
	};
	struct rep_verdict_detail detail;
	uint32_t session = REP_SESSION_NONE;
	uint64_t digest = table->digest;
	uint32_t count = table->count;
	bool update = entry.kind == REP_ENTRY_UPDATE;
	bool usable =
		entry.first_incomplete_seq >= 1 && entry.first_incomplete_seq <= entry.request_seq;
	enum rep_verdict verdict = rep_session_check(
		table, entry.client_id, entry.request_seq, entry.first_incomplete_seq, &detail
	);
	enum rep_session_fault fault =
		rep_session_apply(table, &entry, rep_partition(entry.asset_id), &session);
	if (fault != REP_SESSION_OK && (table->digest != digest || table->count != count))
		abort();
	if (fault == REP_SESSION_OK && session >= SESSIONS)
		abort();
	/* What the verdict promised is what applying does. */
	if (update && usable && (verdict == REP_FRESH) != (fault == REP_SESSION_OK))
		abort();
	return fault;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	static uint8_t memory[65536] __attribute__((aligned(64)));
	struct rep_session_limits limits = {.max_sessions = SESSIONS, .max_inflight = INFLIGHT};
	struct rep_session_table table;
	uint64_t sequence = 0;
	uint32_t session;
	if (rep_session_table_bytes(&limits) > sizeof(memory))
		abort();
	rep_session_table_init(&table, &limits, memory);
	for (; bytes >= RECORD_BYTES; bytes -= RECORD_BYTES, data += RECORD_BYTES)
		if (apply_record(&table, data, sequence + 1) == REP_SESSION_OK)
			sequence++;
	fuzz_accepted += sequence;
	for (uint64_t client_id = 1; client_id < 16; client_id++) {
		struct rep_entry entry = {
			.sequence = ++sequence, .kind = REP_ENTRY_CLOSE, .client_id = client_id};
		bool open = rep_session_find(&table, client_id) != REP_SESSION_NONE;
		if ((rep_session_apply(&table, &entry, 0, &session) == REP_SESSION_OK) != open)
			abort();
	}
	if (table.count != 0 || table.digest != 0)
		abort();
	return 0;
}

size_t fuzz_example(uint64_t seed, uint8_t *data, size_t room)
{
	struct random random = random_seeded(seed);
	size_t records = 1 + random_below(&random, 200), at = 0;
	for (size_t i = 0; i < records && at + RECORD_BYTES <= room; i++, at += RECORD_BYTES) {
		bool open = i == 0 || random_below(&random, 8) == 0;
		uint8_t first = (uint8_t)(1 + random_below(&random, 8));
		data[at] = open ? REP_ENTRY_OPEN : REP_ENTRY_UPDATE;
		if (i > 0 && random_below(&random, 16) == 0)
			data[at] = REP_ENTRY_CLOSE;
		data[at + 1] = (uint8_t)(1 + random_below(&random, 12));
		data[at + 2] = (uint8_t)(first + random_below(&random, INFLIGHT + 1));
		data[at + 3] = first;
		data[at + 4] = (uint8_t)random_u64(&random);
	}
	return at;
}
