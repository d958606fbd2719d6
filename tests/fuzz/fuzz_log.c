/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The log's parsers and the plan of a recovery over any bytes (tests/fuzz/log_input.h says how an
 * input becomes files). What must hold:
 *
 * - a scan reads only the file, says the same twice, and its counts are those of a walk over the
 *   groups up to where it says that they end; every entry lies in its group;
 * - a plan has words for what it says, a remedy when it refuses, and its places are in the files;
 * - a plan that does not refuse keeps everything that any group calls durable, and a node that had
 *   a log does not come out of it with none;
 * - carried out, it leaves a log that is clean, with the same end: a second crash changes nothing;
 *   and what the journal then writes there joins it;
 * - what a start does, which reads of old segments only the headers and verifies their groups while
 *   it streams them, comes to the same as reading everything at once.
 */
#include "config/bytes.h"
#include "tests/fuzz/fuzz_target.h"
#include "tests/fuzz/log_input.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_FILES 8
#define MAX_BLOCKS 12 /* per file */
#define INCARNATION 4
#define DEEP_SEGMENTS 1 /* as a start does it (control/log_store.c) */

uint64_t fuzz_accepted;

struct files {
	uint32_t count;
	uint64_t number[MAX_FILES];
	uint8_t *data[MAX_FILES]; /* of exactly bytes, so that a sanitizer sees a read beyond */
	uint64_t bytes[MAX_FILES];
};

static void need(bool good, const char *what)
{
	if (good)
		return;
	fprintf(stderr, "fuzz_log: not so: %s\n", what);
	abort();
}

/* --- Making right --- */

static uint32_t block_crc(uint8_t *block, uint32_t crc_at)
{
	static const uint8_t zeros[4];
	memcpy(block + crc_at, zeros, sizeof(zeros));
	return sf_crc32c_end(sf_crc32c(SF_CRC32C_INIT, block, LOG_BLOCK_BYTES));
}

/* Entries as far as they lie in the file; the register over their CRCs. */
static uint32_t seal_entries(struct log_group *group, uint64_t bytes, unsigned seal)
{
	uint32_t crc = SF_CRC32C_INIT;
	uint64_t at = sizeof(*group);
	for (uint32_t i = 0; i < group->count && at + REP_ENTRY_HEADER_BYTES <= bytes; i++) {
		struct rep_entry *entry = (struct rep_entry *)((uint8_t *)group + at);
		uint64_t length = rep_entry_bytes(entry->payload_bytes);
		if (length > bytes - at)
			break;
		if (seal & LOG_SEAL_CHAIN)
			entry->sequence = group->first_sequence + i;
		if (seal & LOG_SEAL_ENTRIES)
			entry->crc = rep_entry_crc(entry);
		crc = sf_crc32c_u32(crc, entry->crc);
		at += length;
	}
	return crc;
}

static void seal_group(struct log_group *g, uint64_t bytes, struct log_position *p, unsigned seal)
{
	if (seal & LOG_SEAL_CHAIN) {
		g->chain = p->chain;
		g->segment = p->segment;
		g->offset = p->offset;
		g->first_sequence = p->next_sequence;
	}
	uint32_t crc = seal_entries(g, bytes, seal);
	if (seal & LOG_SEAL_GROUPS) {
		const uint8_t *words = (const uint8_t *)g;
		crc = sf_crc32c_u64(crc, g->magic);
		for (uint32_t at = 8; at < sizeof(*g); at += 8)
			crc = sf_crc32c_u64(crc, sf_load64(words + at));
		g->crc = sf_crc32c_end(crc);
	}
	p->chain = g->crc;
	p->next_sequence = g->first_sequence + g->count;
}

static void seal_file(uint8_t *data, uint64_t bytes, struct log_position *p, unsigned seal)
{
	struct log_segment_header *header = (struct log_segment_header *)(void *)data;
	if (bytes < LOG_BLOCK_BYTES)
		return;
	if (header->magic == LOG_SEGMENT_MAGIC && (seal & LOG_SEAL_JOINS)) {
		header->number = p->segment;
		header->chain = p->chain;
		header->first_sequence = p->next_sequence;
	}
	if (header->magic == LOG_SEGMENT_MAGIC && (seal & LOG_SEAL_HEADER))
		header->crc = block_crc(data, offsetof(struct log_segment_header, crc));
	if (header->magic == LOG_SEGMENT_MAGIC) {
		p->chain = header->chain;
		p->next_sequence = header->first_sequence;
	}
	for (p->offset = LOG_BLOCK_BYTES; p->offset < bytes;) {
		struct log_group *group = (struct log_group *)(void *)(data + p->offset);
		uint64_t space = LOG_BLOCK_BYTES;
		if (group->magic == LOG_GROUP_MAGIC) {
			seal_group(group, bytes - p->offset, p, seal);
			space = sf_max64(space, sf_round_up(group->bytes, LOG_BLOCK_BYTES));
		}
		p->offset += space;
	}
}

/* --- Input to files --- */

/* Blocks of the next file; returns what follows it in the input. */
static const uint8_t *
unpack_file(const uint8_t *at, const uint8_t *end, uint8_t *room, uint64_t *bytes)
{
	uint32_t blocks = 0;
	memset(room, 0, MAX_BLOCKS * LOG_BLOCK_BYTES);
	while (end - at >= 2) {
		uint16_t head = sf_load16(at);
		if (head >= LOG_INPUT_NEXT)
			break;
		at += 2;
		uint32_t content = head <= LOG_BLOCK_BYTES ? head : 0;
		uint32_t count = head <= LOG_BLOCK_BYTES ? 1 : 1 + (head - LOG_INPUT_ZEROS) % 16;
		content = (uint32_t)sf_min64(content, (uint64_t)(end - at));
		if (blocks < MAX_BLOCKS)
			memcpy(room + blocks * LOG_BLOCK_BYTES, at, content);
		at += content;
		blocks = (uint32_t)sf_min64(MAX_BLOCKS, blocks + count);
	}
	*bytes = (uint64_t)blocks * LOG_BLOCK_BYTES;
	return at;
}

static void unpack(struct files *files, const uint8_t *data, size_t bytes, bool seal_block)
{
	_Alignas(8) static uint8_t room[MAX_BLOCKS * LOG_BLOCK_BYTES];
	struct log_input_head head;
	struct log_position position = {.next_sequence = 1};
	const uint8_t *at = data + sizeof(head), *end = data + bytes;
	memcpy(&head, data, sizeof(head));
	*files = (struct files){0};
	while (files->count < MAX_FILES) {
		uint32_t f = files->count++;
		uint64_t length;
		position.segment++;
		if (f > 0) {
			position.segment += sf_load16(at) & 3;
			at += 2;
		}
		at = unpack_file(at, end, room, &length);
		if (seal_block && (head.seal & LOG_SEAL_HEADER))
			sf_store32(room + 12, block_crc(room, 12));
		if (!seal_block)
			seal_file(room, length, &position, head.seal);
		bool last = end - at < 2 || files->count == MAX_FILES;
		if (last)
			length -= sf_min64(length, head.cut * 97u);
		files->number[f] = position.segment;
		files->bytes[f] = length;
		files->data[f] = length > 0 ? malloc(length) : NULL;
		if (length > 0 && files->data[f] == NULL)
			abort();
		if (length > 0)
			memcpy(files->data[f], room, length);
		if (last)
			break;
	}
}

static void free_files(struct files *files)
{
	for (uint32_t f = 0; f < files->count; f++)
		free(files->data[f]);
}

/* --- A scan --- */

static bool is_zero(const uint8_t *data, uint64_t bytes)
{
	uint8_t any = 0;
	for (uint64_t i = 0; i < bytes; i++)
		any |= data[i];
	return any == 0;
}

static void check_entries(const struct log_group *group)
{
	const uint8_t *end = (const uint8_t *)group + group->bytes;
	const struct rep_entry *entry = log_group_first(group);
	for (uint32_t i = 0; i < group->count; i++) {
		const uint8_t *at = (const uint8_t *)entry;
		need(at + REP_ENTRY_HEADER_BYTES <= end, "an entry's header lies in its group");
		need(at + rep_entry_bytes(entry->payload_bytes) <= end, "and so does the entry");
		need(entry->sequence == group->first_sequence + i, "sequences are dense");
		need(entry->sequence >= group->first_sequence, "sequences do not wrap");
		entry = log_next_entry(entry);
	}
	need((const uint8_t *)entry == end, "a group ends with its last entry");
}

/* The same by another way: group after group from the beginning to where the scan says. */
static void check_walk(const uint8_t *data, uint64_t bytes, const struct rec_segment *facts)
{
	struct log_position position = {
		.segment = facts->number,
		.offset = LOG_BLOCK_BYTES,
		.next_sequence = facts->first_sequence,
		.chain = facts->chain,
	};
	uint64_t groups = 0, durable = 0;
	bool closed = false;
	const struct log_group *group;
	while (position.offset < facts->end_offset) {
		enum log_fault fault = log_group_check(
			data + position.offset,
			bytes - position.offset,
			&log_input_identity,
			&position,
			&group
		);
		need(fault == LOG_OK, "groups are whole up to the end that a scan names");
		check_entries(group);
		groups++;
		durable = sf_max64(durable, group->durable);
		closed = group->flags & LOG_GROUP_CLOSED;
	}
	need(position.offset == facts->end_offset, "the end is behind a group");
	need(groups == facts->groups && durable == facts->durable && closed == facts->closed,
	     "groups, mark and flag are those of the walk");
	need(position.next_sequence - 1 == facts->last_sequence, "so is the last sequence");
	need(position.chain == facts->end_chain, "so is the chain");
	need(facts->last_sequence >= facts->first_sequence - 1, "sequences only grow");
	if (facts->end_offset == bytes) {
		need(facts->end == LOG_EMPTY, "nothing is wrong behind the end of the file");
		return;
	}
	bool rest = is_zero(data + position.offset, bytes - position.offset);
	need((facts->end == LOG_EMPTY) == rest, "behind a whole file are only zeros");
	enum log_fault fault = log_group_check(
		data + position.offset,
		bytes - position.offset,
		&log_input_identity,
		&position,
		&group
	);
	need(fault != LOG_OK, "a scan stops at damage only");
	need(facts->end == fault || (fault == LOG_EMPTY && facts->end == LOG_BAD_PADDING),
	     "and names it");
}

static bool same_facts(const struct rec_segment *a, const struct rec_segment *b)
{
	return a->number == b->number && a->file_bytes == b->file_bytes && a->header == b->header &&
	       a->first_sequence == b->first_sequence && a->chain == b->chain &&
	       a->header_epoch == b->header_epoch && a->incarnation == b->incarnation &&
	       a->groups == b->groups && a->last_sequence == b->last_sequence &&
	       a->end_offset == b->end_offset && a->end_chain == b->end_chain &&
	       a->durable == b->durable && a->closed == b->closed && a->end == b->end &&
	       a->groups_behind == b->groups_behind && a->durable_behind == b->durable_behind;
}

static void scan(const struct files *files, struct rec_segment *facts)
{
	for (uint32_t f = 0; f < files->count; f++) {
		struct rec_segment again;
		const uint8_t *data = files->data[f];
		uint64_t bytes = files->bytes[f];
		rec_scan(data, bytes, &log_input_identity, files->number[f], &facts[f]);
		rec_scan(data, bytes, &log_input_identity, files->number[f], &again);
		need(same_facts(&facts[f], &again), "a scan says the same twice");
		need(facts[f].number == files->number[f] && facts[f].file_bytes == bytes &&
			     facts[f].header < LOG_FAULTS && facts[f].end < LOG_FAULTS,
		     "a scan names the file and known faults");
		need(facts[f].end_offset <= bytes, "the end is in the file");
		need(facts[f].groups_behind * LOG_BLOCK_BYTES <= bytes - facts[f].end_offset,
		     "what is behind the damage is in the file");
		need(strlen(log_fault_text(facts[f].end)) > 5, "a fault has a text");
		if (facts[f].header == LOG_OK)
			check_walk(data, bytes, &facts[f]);
	}
}

/* --- A plan --- */

static const struct rec_segment *
find_facts(const struct rec_segment *facts, uint32_t count, uint64_t number)
{
	for (uint32_t f = 0; f < count; f++)
		if (facts[f].number == number)
			return &facts[f];
	return NULL;
}

static void check_words(const struct rec_plan *plan)
{
	need(plan->verdict < REC_VERDICTS && plan->fault < LOG_FAULTS, "the verdict is known");
	need(strlen(rec_verdict_name(plan->verdict)) > 3, "it has a name");
	need(strlen(rec_verdict_text(plan->verdict)) > 10, "it has a text");
	need(rec_refuses(plan->verdict) == (strlen(rec_verdict_remedy(plan->verdict)) > 10),
	     "a refusal, and only that, has a remedy");
}

/* A plan that is carried out: its places. */
static void check_places(
	const struct rec_plan *plan, const struct rec_segment *facts, uint32_t count, uint64_t base
)
{
	const struct rec_segment *at = find_facts(facts, count, plan->at_segment);
	need(plan->position.offset == LOG_BLOCK_BYTES, "the journal goes on in a new segment");
	need(plan->position.segment > plan->last_segment, "behind all that stay");
	need(plan->position.next_sequence == plan->last_sequence + 1, "with the next entry");
	need(plan->last_sequence >= base, "a plan does not go behind the snapshot");
	need((plan->first_segment == 0) == (plan->last_segment == 0), "first and last segment");
	if (plan->first_segment != 0)
		need(find_facts(facts, count, plan->first_segment) != NULL &&
			     find_facts(facts, count, plan->last_segment) != NULL &&
			     plan->first_segment <= plan->last_segment,
		     "they are there");
	bool cuts = plan->verdict == REC_TORN_TAIL || plan->verdict == REC_HOLE;
	need(cuts || plan->cut_bytes == 0, "only damage is cut");
	if (!cuts)
		return;
	need(at != NULL, "what is cut is there");
	need(plan->at_offset <= at->file_bytes && plan->at_offset % LOG_BLOCK_BYTES == 0 &&
		     plan->at_offset + plan->cut_bytes == at->file_bytes,
	     "the cut lies in the file and reaches its end");
	need(at->header == LOG_OK ? plan->at_offset == at->end_offset : plan->at_offset == 0,
	     "what is whole is not cut");
}

static void check_nothing_durable_goes(
	const struct rec_plan *plan,
	enum rec_identity identity,
	const struct rec_segment *facts,
	uint32_t count
)
{
	for (uint32_t f = 0; f < count; f++) {
		need(facts[f].durable <= plan->last_sequence &&
			     facts[f].durable_behind <= plan->last_sequence,
		     "what a group calls durable stays");
		need(f == 0 || plan->last_segment == 0 ||
			     facts[f].number == facts[f - 1].number + 1,
		     "no number is missing behind a log");
	}
	need(identity != REC_IDENTITY_OURS || plan->last_sequence > 0,
	     "a node that had a log does not begin anew by itself");
	need(identity != REC_IDENTITY_OTHER, "another's log is not taken");
	need(identity != REC_IDENTITY_BAD, "nor one whose identity is unreadable");
}

/* The next life of the node writes where the plan says, and the start after it finds that too. */
static void
check_goes_on(const struct rec_plan *plan, struct rec_segment *facts, uint32_t count, uint64_t base)
{
	_Alignas(LOG_BLOCK_BYTES) static uint8_t data[2 * LOG_BLOCK_BYTES];
	struct log_position position = plan->position;
	struct log_group_builder builder;
	struct rec_plan third;
	uint64_t number = position.segment;
	while (count > 0 && facts[count - 1].header == LOG_EMPTY)
		count--;
	log_segment_header_write(
		data, &log_input_identity, &position, sizeof(data), INCARNATION, 6, 3000
	);
	log_group_begin(&builder, data + LOG_BLOCK_BYTES, LOG_BLOCK_BYTES, position.next_sequence);
	struct rep_entry *entry = log_group_room(&builder, REP_ENTRY_HEADER_BYTES);
	*entry = (struct rep_entry
	){.epoch = 6, .sequence = position.next_sequence, .kind = REP_ENTRY_OPEN};
	entry->crc = rep_entry_crc(entry);
	log_group_added(&builder, REP_ENTRY_HEADER_BYTES, entry->crc);
	log_group_seal(
		&builder,
		&position,
		&log_input_identity,
		INCARNATION,
		6,
		plan->last_sequence,
		LOG_GROUP_CLOSED,
		4000
	);
	rec_scan(data, sizeof(data), &log_input_identity, number, &facts[count]);
	rec_plan_make(&third, REC_IDENTITY_OURS, facts, count + 1, &(struct rec_base){0});
	need(third.verdict == REC_CLEAN, "what is written behind a plan joins the log");
	need(third.last_sequence == plan->last_sequence + 1 && third.last_segment == number &&
		     third.position.chain == position.chain,
	     "and is its end");
}

/* What the plan leaves on disk must be whole, and come to the same. */
static void check_carried_out(
	const struct files *files,
	const struct rec_plan *plan,
	enum rec_identity identity,
	uint64_t base
)
{
	struct files left = *files;
	struct rec_segment facts[MAX_FILES + 1];
	struct rec_plan second;
	left.count = 0;
	for (uint32_t f = 0; f < files->count; f++) {
		if (files->number[f] >= plan->position.segment)
			break;
		if (files->number[f] == plan->at_segment && plan->cut_bytes > 0)
			left.bytes[f] = plan->at_offset;
		left.count++;
	}
	scan(&left, facts);
	if (identity == REC_IDENTITY_NONE)
		identity = REC_IDENTITY_NEW;
	rec_plan_make(&second, identity, facts, left.count, &(struct rec_base){0});
	need(second.verdict == REC_CLEAN || second.verdict == REC_FRESH,
	     "a log is clean after its plan was carried out");
	need(second.last_sequence == plan->last_sequence &&
		     second.position.next_sequence == plan->position.next_sequence &&
		     second.position.chain == plan->position.chain,
	     "and goes on at the same place");
	need(plan->last_segment == 0 || second.position.segment == plan->position.segment,
	     "in the same segment");
	if (base == 0)
		check_goes_on(plan, facts, left.count, base);
}

/* --- As a start does it --- */

static void
look_shallow(const struct files *files, const struct rec_segment *deep, struct rec_segment *facts)
{
	uint32_t whole = 0;
	for (uint32_t f = files->count; f-- > 0;) {
		bool joined = f + 1 < files->count && facts[f + 1].header == LOG_OK &&
			      facts[f + 1].number == files->number[f] + 1;
		if (whole >= DEEP_SEGMENTS && joined && files->bytes[f] >= LOG_BLOCK_BYTES)
			rec_scan_header(
				files->data[f],
				files->bytes[f],
				files->bytes[f],
				&log_input_identity,
				files->number[f],
				&facts[f + 1],
				&facts[f]
			);
		else
			facts[f] = deep[f];
		whole += facts[f].groups > 0;
	}
}

/* Verifies what a plan keeps, as control/replay.c streams it. */
static bool
streams(const struct files *files, const struct rec_segment *facts, const struct rec_plan *plan)
{
	struct log_position position = {0};
	for (uint32_t f = 0; f < files->count; f++) {
		const struct rec_segment *segment = &facts[f];
		const struct log_group *group;
		enum log_fault fault = LOG_OK;
		if (segment->number < plan->first_segment || segment->number > plan->last_segment)
			continue;
		if (position.segment != 0 && (position.next_sequence != segment->first_sequence ||
					      position.chain != segment->chain))
			return false;
		position = (struct log_position){
			.segment = segment->number,
			.offset = LOG_BLOCK_BYTES,
			.next_sequence = segment->first_sequence,
			.chain = segment->chain,
		};
		uint64_t end = segment->number == plan->last_segment ? segment->end_offset
								     : segment->file_bytes;
		while (position.offset < end && fault == LOG_OK)
			fault = log_group_check(
				files->data[f] + position.offset,
				end - position.offset,
				&log_input_identity,
				&position,
				&group
			);
		if (fault != LOG_OK && fault != LOG_EMPTY)
			return false;
	}
	return position.segment == 0 || position.next_sequence == plan->last_sequence + 1;
}

static void check_start(
	const struct files *files,
	const struct rec_segment *deep,
	const struct rec_plan *plan,
	enum rec_identity identity,
	uint64_t base
)
{
	struct rec_segment facts[MAX_FILES];
	struct rec_plan start;
	bool padded = false;
	look_shallow(files, deep, facts);
	rec_plan_make(&start, identity, facts, files->count, &(struct rec_base){0});
	check_words(&start);
	bool starts = !rec_refuses(start.verdict) && (base > 0 || streams(files, facts, &start));
	if (!rec_refuses(plan->verdict)) {
		need(starts, "a log that is whole enough is taken at a start");
		need(start.verdict == plan->verdict && start.last_sequence == plan->last_sequence &&
			     start.cut_bytes == plan->cut_bytes &&
			     start.position.segment == plan->position.segment &&
			     start.position.chain == plan->position.chain,
		     "and comes to the same");
	}
	/* Bytes behind zeros in an old segment hold no entries: a start does not look there. */
	for (uint32_t f = 0; f < files->count; f++)
		padded |= deep[f].end == LOG_BAD_PADDING && facts[f].end == LOG_EMPTY;
	if (rec_refuses(plan->verdict) && base == 0 && !padded)
		need(!starts, "a log that is refused is refused at a start");
}

/* --- The targets --- */

static void run_segments(const uint8_t *data, size_t bytes)
{
	struct files files;
	struct rec_segment facts[MAX_FILES];
	struct rec_plan plan;
	struct log_input_head head;
	uint64_t groups = 0;
	memcpy(&head, data, sizeof(head));
	enum rec_identity identity = (enum rec_identity)((head.plan & 7) % 5);
	uint64_t base = 0; /* plans with snapshots: tests/unit/test_snapshot.c */
	unpack(&files, data, bytes, false);
	scan(&files, facts);
	for (uint32_t f = 0; f < files.count; f++)
		groups += facts[f].groups;
	fuzz_accepted += groups > 0;
	rec_plan_make(&plan, identity, facts, files.count, &(struct rec_base){0});
	check_words(&plan);
	if (!rec_refuses(plan.verdict)) {
		check_places(&plan, facts, files.count, base);
		check_nothing_durable_goes(&plan, identity, facts, files.count);
		check_carried_out(&files, &plan, identity, base);
	}
	check_start(&files, facts, &plan, identity, base);
	free_files(&files);
}

static void run_identity(const uint8_t *data, size_t bytes)
{
	struct files files;
	struct log_identity other = log_input_identity;
	unpack(&files, data, bytes, true);
	other.node ^= 1;
	for (uint32_t f = 0; f < files.count; f++) {
		const uint8_t *block = files.data[f];
		uint64_t length = files.bytes[f];
		enum rec_identity ours = rec_identity_check(block, length, &log_input_identity);
		enum rec_identity others = rec_identity_check(block, length, &other);
		bool is_ours = ours == REC_IDENTITY_NEW || rec_identity_used(ours);
		need(ours == rec_identity_check(block, length, &log_input_identity),
		     "an identity is judged the same twice");
		need(ours != REC_IDENTITY_NONE, "a file is never none");
		need((ours == REC_IDENTITY_BAD) == (others == REC_IDENTITY_BAD),
		     "whether it is whole does not depend on who asks");
		need(!is_ours || others == REC_IDENTITY_OTHER, "it belongs to one");
		fuzz_accepted += is_ours;
	}
	free_files(&files);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	if (bytes < sizeof(struct log_input_head))
		return 0;
	if (data[offsetof(struct log_input_head, kind)] % LOG_INPUT_KINDS == LOG_INPUT_IDENTITY)
		run_identity(data, bytes);
	else
		run_segments(data, bytes);
	return 0;
}

size_t fuzz_example(uint64_t seed, uint8_t *data, size_t room)
{
	return log_input_random(seed, data, room);
}
