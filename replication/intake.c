/* SPDX-License-Identifier: BSD-3-Clause */
#include "replication/intake.h"

#include "config/canary.h"

uint32_t rep_arena_stride(uint32_t max_payload_bytes)
{
	/* Whole cache lines: no line holds two entries. */
	return (uint32_t)sf_round_up(rep_entry_bytes(max_payload_bytes), 64);
}

void rep_intake_begin(struct rep_intake *intake, uint64_t timestamp_ns)
{
	intake->timestamp_ns = sf_max64(intake->timestamp_ns, timestamp_ns);
	intake->room = (uint32_t)sf_min64(rep_core_room(intake->core), REP_MAX_PER_POLL);
	intake->pending = 0;
}

/* The next free slot, its header filled but for what the request says. */
static struct rep_entry *next_entry(struct rep_intake *intake, enum rep_entry_kind kind)
{
	uint64_t sequence = intake->core->last_sequence + intake->pending + 1;
	struct rep_entry *entry = rep_arena_entry(&intake->arena, sequence);
	entry->epoch = intake->core->epoch;
	entry->sequence = sequence;
	entry->timestamp_ns = intake->timestamp_ns;
	entry->payload_bytes = 0;
	entry->kind = (uint8_t)kind;
	entry->opcode = 0;
	entry->reserved = 0;
	return entry;
}

static inline void mark(struct rep_intake *intake, uint64_t sequence)
{
	if (intake->mark_interval == 0 || sequence < intake->next_mark)
		return;
	intake->next_mark = sequence - sequence % intake->mark_interval + intake->mark_interval;
	if (sequence % intake->mark_interval != 0)
		return;
	intake->mark_sequence = sequence;
	intake->mark_digest = intake->sessions->digest;
}

/* The entry is complete and the session table has advanced by it. */
static inline void
taken(struct rep_intake *intake,
      const struct rep_entry *entry,
      uint8_t partition,
      struct rep_verdict_detail *detail)
{
	mark(intake, entry->sequence);
	detail->sequence = entry->sequence;
	detail->partition = partition;
	intake->room--;
	intake->pending++;
}

/* Seals the OPEN or CLOSE that was written and advances the session table by it. */
static void
take(struct rep_intake *intake, struct rep_entry *entry, struct rep_verdict_detail *detail)
{
	entry->crc = rep_entry_crc(entry);
	enum rep_session_fault fault =
		rep_session_apply(intake->sessions, entry, 0, &detail->session);
	/* The question came first, so what we wrote ourselves must fit (inv. 4). */
	CHECK(fault == REP_SESSION_OK);
	taken(intake, entry, 0, detail);
}

enum rep_taken rep_intake_update(
	struct rep_intake *intake,
	const void *block,
	uint8_t opcode,
	const void *payload,
	uint16_t payload_bytes,
	uint8_t partition,
	struct rep_verdict_detail *detail
)
{
	if (!rep_core_serves(intake->core))
		return REP_REFUSED_NOT_PRIMARY;
	const uint8_t *fields = block;
	enum rep_verdict verdict = rep_session_check(
		intake->sessions,
		sf_load64(fields),
		sf_load64(fields + 8),
		sf_load64(fields + 16),
		detail
	);
	bool repeated = verdict == REP_REPEAT;
	if (CANARY(REPEAT_APPLIED_TWICE) && repeated)
		verdict = REP_FRESH;
	if (CANARY(REPEAT_OTHER_ASSET) && repeated && detail->partition != partition)
		verdict = REP_FRESH;
	switch (verdict) {
	case REP_FORGOTTEN:
		return REP_REFUSED_FORGOTTEN;
	case REP_OVERLOADED:
		return REP_REFUSED_OVERLOADED;
	case REP_REPEAT:
		return REP_TAKEN_REPEAT;
	case REP_FRESH:
		break;
	}
	if (intake->room == 0)
		return REP_REFUSED_BUSY;
	struct rep_entry *entry = next_entry(intake, REP_ENTRY_UPDATE);
	memcpy(&entry->client_id, fields, 32);
	entry->opcode = opcode;
	entry->payload_bytes = payload_bytes;
	sf_copy_short(entry->payload, payload, payload_bytes);
	rep_entry_pad(entry);
	entry->crc = rep_entry_crc(entry);
	if (!repeated) /* always, but for the canaries */
		rep_session_advance(intake->sessions, entry, partition, detail->session);
	taken(intake, entry, partition, detail);
	return REP_TAKEN;
}

enum rep_taken
rep_intake_open(struct rep_intake *intake, uint64_t nonce, struct rep_verdict_detail *detail)
{
	if (!rep_core_serves(intake->core))
		return REP_REFUSED_NOT_PRIMARY;
	/* The parser has said BAD_REQUEST to 0; what slips through must not reach the CHECK below.
	 */
	if (nonce == 0)
		return REP_REFUSED_FORGOTTEN;
	detail->session = rep_session_find_nonce(intake->sessions, nonce);
	if (detail->session != REP_SESSION_NONE) {
		detail->sequence =
			rep_session_open_sequence(&intake->sessions->sessions[detail->session]);
		detail->partition = 0;
		return REP_TAKEN_REPEAT;
	}
	if (intake->room == 0 || intake->sessions->count == intake->sessions->limits.max_sessions)
		return REP_REFUSED_BUSY;
	struct rep_entry *entry = next_entry(intake, REP_ENTRY_OPEN);
	entry->client_id = rep_session_client_id(entry->epoch, entry->sequence);
	entry->request_seq = nonce;
	entry->first_incomplete_seq = 0;
	entry->asset_id = 0; /* key id: none without authentication */
	take(intake, entry, detail);
	return REP_TAKEN;
}

enum rep_taken rep_intake_close(struct rep_intake *intake, uint64_t client_id)
{
	struct rep_verdict_detail detail;
	if (!rep_core_serves(intake->core))
		return REP_REFUSED_NOT_PRIMARY;
	if (rep_session_find(intake->sessions, client_id) == REP_SESSION_NONE)
		return REP_REFUSED_FORGOTTEN;
	if (intake->room == 0)
		return REP_REFUSED_BUSY;
	struct rep_entry *entry = next_entry(intake, REP_ENTRY_CLOSE);
	entry->client_id = client_id;
	entry->request_seq = 0;
	entry->first_incomplete_seq = 0;
	entry->asset_id = 0;
	take(intake, entry, &detail);
	return REP_TAKEN;
}

static uint32_t epoch_of(const struct rep_intake *intake, uint64_t sequence)
{
	return rep_arena_entry(&intake->arena, sequence)->epoch;
}

/* Epochs only rise with the sequence: a run that ends in the one it begins with has no other. */
static void note_epochs(struct rep_intake *intake, uint64_t first, uint64_t last)
{
	uint32_t epoch = epoch_of(intake, first);
	rep_core_note(intake->core, epoch, first);
	if (__builtin_expect(epoch_of(intake, last) == epoch, 1))
		return;
	for (uint64_t sequence = first + 1; sequence <= last; sequence++)
		rep_core_note(intake->core, epoch_of(intake, sequence), sequence);
}

uint32_t rep_intake_follow(
	struct rep_intake *intake,
	uint64_t first,
	uint32_t count,
	struct rep_verdict_detail *details,
	enum rep_session_fault *fault
)
{
	uint64_t interval = intake->mark_interval;
	CHECK(intake->mark_sequence == 0);
	if (interval != 0) {
		if (intake->next_mark < first) /* only at the beginning: mark() moves it on */
			intake->next_mark = first + interval - 1 - (first - 1) % interval;
		count = (uint32_t)sf_min64(count, intake->next_mark - first + 1);
	}
	uint32_t followed = rep_session_apply_run(
		intake->sessions, &intake->arena, first, count, details, fault
	);
	if (followed > 0) {
		note_epochs(intake, first, first + followed - 1);
		mark(intake, first + followed - 1);
	}
	return followed;
}
