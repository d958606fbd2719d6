/* SPDX-License-Identifier: BSD-3-Clause */
#include "replication/session.h"

#include "config/bytes.h"
#include "config/hash.h"

/* Keys of the digest's parts; changing one changes the digest of every node. */
#define KEY_MAP 0x53657373696f6e31ull
#define KEY_IDENTITY 0x53657373696f6e32ull

static uint32_t map_slots(const struct rep_session_limits *limits)
{
	return (uint32_t)sf_next_power_of_two(2ull * limits->max_sessions);
}

uint64_t rep_session_table_bytes(const struct rep_session_limits *limits)
{
	uint64_t sessions = limits->max_sessions;
	return sessions * sizeof(struct rep_session) +
	       sessions * limits->max_inflight * sizeof(struct rep_session_slot) +
	       2ull * map_slots(limits) * sizeof(uint32_t);
}

void rep_session_table_init(
	struct rep_session_table *table, const struct rep_session_limits *limits, void *memory
)
{
	CHECK(limits->max_sessions >= 1 && limits->max_sessions < REP_SESSION_NONE / 4);
	CHECK(sf_is_power_of_two(limits->max_inflight));
	uint32_t slots = map_slots(limits);
	memset(table, 0, sizeof(*table));
	memset(memory, 0, rep_session_table_bytes(limits));
	table->limits = *limits;
	table->map_mask = slots - 1;
	table->sessions = memory;
	table->slots = (struct rep_session_slot *)(table->sessions + limits->max_sessions);
	table->by_client =
		(uint32_t *)(table->slots + (uint64_t)limits->max_sessions * limits->max_inflight);
	table->by_nonce = table->by_client + slots;
	for (uint32_t i = 0; i < limits->max_sessions; i++)
		table->sessions[i].next_free = i + 1;
	table->sessions[limits->max_sessions - 1].next_free = REP_SESSION_NONE;
}

/* --- The two maps: open addressing with linear probing and backward-shift deletion. --- */

static inline uint32_t map_home(const struct rep_session_table *table, uint64_t key)
{
	return (uint32_t)sf_mix(KEY_MAP, key) & table->map_mask;
}

static inline uint64_t
map_key(const struct rep_session_table *table, const uint32_t *map, uint32_t place)
{
	const struct rep_session *session = &table->sessions[map[place] - 1];
	return map == table->by_client ? session->client_id : session->nonce;
}

static uint32_t map_find(const struct rep_session_table *table, const uint32_t *map, uint64_t key)
{
	for (uint32_t place = map_home(table, key); map[place] != 0;
	     place = (place + 1) & table->map_mask)
		if (map_key(table, map, place) == key)
			return map[place] - 1;
	return REP_SESSION_NONE;
}

static void map_insert(struct rep_session_table *table, uint32_t *map, uint64_t key, uint32_t index)
{
	uint32_t place = map_home(table, key);
	while (map[place] != 0)
		place = (place + 1) & table->map_mask;
	map[place] = index + 1;
}

/* Called while the session still has its keys. */
static void map_remove(struct rep_session_table *table, uint32_t *map, uint64_t key)
{
	uint32_t place = map_home(table, key);
	while (map_key(table, map, place) != key)
		place = (place + 1) & table->map_mask;
	uint32_t hole = place;
	for (;;) {
		place = (place + 1) & table->map_mask;
		if (map[place] == 0)
			break;
		uint32_t home = map_home(table, map_key(table, map, place));
		/* May move into the hole only if its home is not between hole and place. */
		if (((place - home) & table->map_mask) >= ((place - hole) & table->map_mask)) {
			map[hole] = map[place];
			hole = place;
		}
	}
	map[hole] = 0;
}

/* --- Digest --- */

static inline uint64_t session_hash(const struct rep_session *session)
{
	return session->identity_hash * session->first_incomplete_seq + session->live_hash;
}

static inline uint64_t
request_hash(const struct rep_session *session, uint64_t request_seq, uint64_t sequence)
{
	return sf_mix(session->identity_hash ^ request_seq, sequence);
}

/* --- Questions --- */

uint32_t rep_session_look_up(const struct rep_session_table *table, uint64_t client_id)
{
	return map_find(table, table->by_client, client_id);
}

uint32_t rep_session_find_nonce(const struct rep_session_table *table, uint64_t nonce)
{
	return map_find(table, table->by_nonce, nonce);
}

static inline struct rep_session_slot *
slot_of(const struct rep_session_table *table, uint32_t session, uint64_t request_seq)
{
	uint32_t inflight = table->limits.max_inflight;
	return &table->slots[(uint64_t)session * inflight + (request_seq & (inflight - 1))];
}

enum rep_verdict rep_session_check(
	const struct rep_session_table *table,
	uint64_t client_id,
	uint64_t request_seq,
	uint64_t first_incomplete_seq,
	struct rep_verdict_detail *detail
)
{
	uint32_t index = rep_session_find(table, client_id);
	detail->session = index;
	if (index == REP_SESSION_NONE)
		return REP_FORGOTTEN;
	const struct rep_session *session = &table->sessions[index];
	if (request_seq < session->first_incomplete_seq)
		return REP_FORGOTTEN;
	uint64_t first = sf_max64(session->first_incomplete_seq, first_incomplete_seq);
	if (request_seq - first >= table->limits.max_inflight)
		return REP_OVERLOADED;
	const struct rep_session_slot *slot = slot_of(table, index, request_seq);
	if (slot->request_seq != request_seq)
		return REP_FRESH;
	detail->sequence = slot->sequence;
	detail->partition = slot->partition;
	return REP_REPEAT;
}

/* --- Advancing --- */

/* The session at index has its keys: gives it its hash, empty slots, and places in the maps. */
static void occupy(struct rep_session_table *table, uint32_t index)
{
	struct rep_session *s = &table->sessions[index];
	/* Odd, so that no multiple of it is lost. */
	s->identity_hash = 1 | sf_mix(sf_mix(KEY_IDENTITY ^ s->key_id, s->client_id), s->nonce);
	memset(slot_of(table, index, 0),
	       0,
	       table->limits.max_inflight * sizeof(struct rep_session_slot));
	map_insert(table, table->by_client, s->client_id, index);
	map_insert(table, table->by_nonce, s->nonce, index);
}

static enum rep_session_fault
apply_open(struct rep_session_table *table, const struct rep_entry *entry, uint32_t *session)
{
	if (entry->client_id == 0 || entry->request_seq == 0)
		return REP_SESSION_BAD;
	if (rep_session_find(table, entry->client_id) != REP_SESSION_NONE ||
	    rep_session_find_nonce(table, entry->request_seq) != REP_SESSION_NONE)
		return REP_SESSION_DUPLICATE;
	if (table->first_free == REP_SESSION_NONE)
		return REP_SESSION_FULL;
	uint32_t index = table->first_free;
	struct rep_session *s = &table->sessions[index];
	table->first_free = s->next_free;
	table->count++;
	*s = (struct rep_session){
		.client_id = entry->client_id,
		.nonce = entry->request_seq,
		.first_incomplete_seq = 1,
		.last_sequence = entry->sequence,
		.key_id = entry->asset_id,
	};
	occupy(table, index);
	table->digest += session_hash(s);
	*session = index;
	return REP_SESSION_OK;
}

static enum rep_session_fault
apply_close(struct rep_session_table *table, const struct rep_entry *entry, uint32_t *session)
{
	uint32_t index = rep_session_find(table, entry->client_id);
	if (index == REP_SESSION_NONE)
		return REP_SESSION_UNKNOWN;
	struct rep_session *s = &table->sessions[index];
	table->digest -= session_hash(s);
	map_remove(table, table->by_client, s->client_id);
	map_remove(table, table->by_nonce, s->nonce);
	s->client_id = 0;
	s->next_free = table->first_free;
	table->first_free = index;
	table->count--;
	*session = index;
	return REP_SESSION_OK;
}

/* Takes what the client has completed out of the live hash. A window holds at most max_inflight
 * requests, so neither is the loop longer. */
static void
forget_below(struct rep_session_table *table, uint32_t index, uint64_t first_incomplete_seq)
{
	struct rep_session *s = &table->sessions[index];
	/* Counted, not compared with an end: clients may name the highest numbers there are. */
	uint64_t count = sf_min64(
		first_incomplete_seq - s->first_incomplete_seq, table->limits.max_inflight
	);
	const struct rep_session_slot *slots = slot_of(table, index, 0);
	uint32_t mask = table->limits.max_inflight - 1;
	for (uint64_t i = 0; i < count; i++) {
		uint64_t seq = s->first_incomplete_seq + i;
		const struct rep_session_slot *slot = &slots[seq & mask];
		if (slot->request_seq == seq)
			s->live_hash -= request_hash(s, seq, slot->sequence);
	}
	s->first_incomplete_seq = first_incomplete_seq;
}

/* Takes up a request that fits. The digest is a sum, so it changes by what changes. */
static inline void
advance(struct rep_session_table *table,
	const struct rep_entry *entry,
	uint8_t partition,
	uint32_t index,
	struct rep_session_slot *slot)
{
	struct rep_session *s = &table->sessions[index];
	uint64_t seq = entry->request_seq;
	if (entry->first_incomplete_seq > s->first_incomplete_seq) {
		table->digest -= session_hash(s);
		forget_below(table, index, entry->first_incomplete_seq);
		table->digest += session_hash(s);
	}
	slot->request_seq = seq;
	slot->sequence = entry->sequence;
	slot->partition = partition;
	uint64_t hash = request_hash(s, seq, entry->sequence);
	s->live_hash += hash;
	table->digest += hash;
	s->last_sequence = entry->sequence;
	table->recent = index;
}

static inline __attribute__((always_inline)) enum rep_session_fault apply_update(
	struct rep_session_table *table,
	const struct rep_entry *entry,
	uint8_t partition,
	uint32_t *session
)
{
	uint32_t index = rep_session_find(table, entry->client_id);
	if (index == REP_SESSION_NONE)
		return REP_SESSION_UNKNOWN;
	const struct rep_session *s = &table->sessions[index];
	uint64_t seq = entry->request_seq;
	uint64_t first = sf_max64(s->first_incomplete_seq, entry->first_incomplete_seq);
	if (seq < first || seq - first >= table->limits.max_inflight)
		return REP_SESSION_BAD;
	struct rep_session_slot *slot = slot_of(table, index, seq);
	if (slot->request_seq == seq)
		return REP_SESSION_DUPLICATE;

	advance(table, entry, partition, index, slot);
	*session = index;
	return REP_SESSION_OK;
}

void rep_session_advance(
	struct rep_session_table *table,
	const struct rep_entry *entry,
	uint8_t partition,
	uint32_t session
)
{
	DCHECK(table->sessions[session].client_id == entry->client_id);
	advance(table, entry, partition, session, slot_of(table, session, entry->request_seq));
}

/* Apart, so that what is rare costs the updates no register. */
static __attribute__((noinline)) enum rep_session_fault
apply_rare(struct rep_session_table *table, const struct rep_entry *entry, uint32_t *session)
{
	switch (entry->kind) {
	case REP_ENTRY_OPEN:
		return apply_open(table, entry, session);
	case REP_ENTRY_CLOSE:
		return apply_close(table, entry, session);
	}
	return REP_SESSION_BAD;
}

enum rep_session_fault rep_session_apply(
	struct rep_session_table *table,
	const struct rep_entry *entry,
	uint8_t partition,
	uint32_t *session
)
{
	if (__builtin_expect(entry->kind != REP_ENTRY_UPDATE, 0))
		return apply_rare(table, entry, session);
	return apply_update(table, entry, partition, session);
}

uint32_t rep_session_apply_run(
	struct rep_session_table *table,
	const struct rep_arena *arena,
	uint64_t first,
	uint32_t count,
	struct rep_verdict_detail *details,
	enum rep_session_fault *fault
)
{
	*fault = REP_SESSION_OK;
	for (uint32_t i = 0; i < count; i++) {
		const struct rep_entry *entry = rep_arena_entry(arena, first + i);
		struct rep_verdict_detail *detail = &details[i];
		enum rep_session_fault found;
		CHECK(entry->sequence == first + i);
		detail->sequence = first + i;
		if (__builtin_expect(entry->kind == REP_ENTRY_UPDATE, 1)) {
			detail->partition = rep_partition(entry->asset_id);
			found = apply_update(table, entry, detail->partition, &detail->session);
		} else {
			detail->partition = 0;
			found = apply_rare(table, entry, &detail->session);
		}
		if (found != REP_SESSION_OK) {
			*fault = found;
			return i;
		}
	}
	return count;
}

/* --- From a snapshot --- */

bool rep_session_restore(
	struct rep_session_table *table,
	uint32_t index,
	const struct rep_session *saved,
	const struct rep_session_slot *slots,
	uint32_t count
)
{
	uint32_t inflight = table->limits.max_inflight;
	if (index >= table->limits.max_sessions || table->sessions[index].client_id != 0 ||
	    saved->client_id == 0 || saved->nonce == 0 || saved->first_incomplete_seq == 0 ||
	    count > inflight ||
	    map_find(table, table->by_client, saved->client_id) != REP_SESSION_NONE ||
	    map_find(table, table->by_nonce, saved->nonce) != REP_SESSION_NONE)
		return false;
	struct rep_session *s = &table->sessions[index];
	*s = (struct rep_session){
		.client_id = saved->client_id,
		.nonce = saved->nonce,
		.first_incomplete_seq = saved->first_incomplete_seq,
		.last_sequence = saved->last_sequence,
		.key_id = saved->key_id,
	};
	occupy(table, index);
	table->count++;
	for (uint32_t i = 0; i < count; i++) {
		uint64_t seq = slots[i].request_seq;
		struct rep_session_slot *slot = slot_of(table, index, seq);
		if (seq < s->first_incomplete_seq || seq - s->first_incomplete_seq >= inflight ||
		    slots[i].partition >= REP_PARTITIONS || slot->request_seq != 0)
			return false;
		*slot = (struct rep_session_slot){
			.request_seq = seq,
			.sequence = slots[i].sequence,
			.partition = slots[i].partition,
		};
		s->live_hash += request_hash(s, seq, slot->sequence);
	}
	table->digest += session_hash(s);
	return true;
}

void rep_session_restored(struct rep_session_table *table)
{
	table->first_free = REP_SESSION_NONE;
	for (uint32_t i = table->limits.max_sessions; i-- > 0;) {
		if (table->sessions[i].client_id != 0)
			continue;
		table->sessions[i].next_free = table->first_free;
		table->first_free = i;
	}
}
