/* SPDX-License-Identifier: BSD-3-Clause */
#include "recovery/plan.h"

#include "config/bytes.h"

#include <string.h>

static const char *const verdict_texts[REC_VERDICTS][3] = {
	[REC_FRESH] = {"fresh", "there is no log yet", ""},
	[REC_CLEAN] = {"clean", "the log is whole", ""},
	[REC_TORN_TAIL] =
		{"torn_tail", "what was being written when the node ended is cut off", ""},
	[REC_HOLE] =
		{"hole",
		 "the disk had written later groups before earlier ones: cut at the hole",
		 ""},
	[REC_LOST] =
		{"lost",
		 "this node had a log, and no entry of it is left",
		 "bring the folder back; or `standfast recover` makes the node start anew as a "
		 "learner"},
	[REC_NO_IDENTITY] =
		{"no_identity",
		 "there is a log, and no readable identity beside it",
		 "bring the file `identity` back; or `standfast recover`"},
	[REC_OTHER_IDENTITY] =
		{"other_identity",
		 "it belongs to another cluster or node",
		 "check log.dir and the disks' places"},
	[REC_OTHER_VERSION] =
		{"other_version",
		 "it was written by another release",
		 "start the release that wrote it"},
	[REC_MISSING] =
		{"missing",
		 "a segment of the log is missing or in another's place",
		 "bring the file back; or `standfast recover` refills the node from its peer"},
	[REC_DAMAGED] =
		{"damaged",
		 "what was durable is damaged",
		 "bring the file back from a copy; or `standfast recover` refills the node from "
		 "its "
		 "peer"},
	[REC_NO_BEGIN] =
		{"no_begin",
		 "the log does not reach back to its beginning or to a snapshot",
		 "bring the older segments or a snapshot back; or `standfast recover`"},
};

const char *rec_verdict_name(enum rec_verdict verdict)
{
	return verdict < REC_VERDICTS ? verdict_texts[verdict][0] : "unknown";
}

const char *rec_verdict_text(enum rec_verdict verdict)
{
	return verdict < REC_VERDICTS ? verdict_texts[verdict][1] : "unknown";
}

const char *rec_verdict_remedy(enum rec_verdict verdict)
{
	return verdict < REC_VERDICTS ? verdict_texts[verdict][2] : "";
}

/* --- Scan --- */

static bool is_zero_to_end(const uint8_t *data, uint64_t bytes)
{
	return bytes == 0 || (data[0] == 0 && memcmp(data, data + 1, bytes - 1) == 0);
}

/* Groups that stand whole in their places behind the damage. */
static void look_behind(
	const uint8_t *data,
	uint64_t bytes,
	uint64_t from,
	const struct log_identity *identity,
	struct rec_segment *segment
)
{
	uint64_t at = from;
	while (at < bytes) {
		const struct log_group *group;
		if (log_group_check_alone(
			    data + at, bytes - at, identity, segment->number, at, &group
		    ) != LOG_OK) {
			at += LOG_BLOCK_BYTES;
			continue;
		}
		segment->groups_behind++;
		segment->durable_behind = sf_max64(segment->durable_behind, group->durable);
		at += log_group_space(group->bytes);
	}
}

void rec_scan(
	const void *data,
	uint64_t bytes,
	const struct log_identity *identity,
	uint64_t number,
	struct rec_segment *segment
)
{
	const uint8_t *p = data;
	const struct log_segment_header *header = NULL;
	*segment = (struct rec_segment){.number = number, .file_bytes = bytes, .end = LOG_EMPTY};
	segment->header = log_segment_header_check(data, bytes, identity, number, &header);
	segment->end_offset = sf_min64(bytes, LOG_BLOCK_BYTES);
	if (segment->header != LOG_OK) {
		if (!is_zero_to_end(p, bytes) && segment->header == LOG_EMPTY)
			segment->end = LOG_BAD_MAGIC; /* groups without a header before them */
		look_behind(p, bytes, LOG_BLOCK_BYTES, identity, segment);
		return;
	}
	segment->first_sequence = header->first_sequence;
	segment->chain = header->chain;
	segment->header_epoch = header->epoch;
	segment->incarnation = header->incarnation;
	struct log_position position = {
		.segment = number,
		.offset = LOG_BLOCK_BYTES,
		.next_sequence = header->first_sequence,
		.chain = header->chain,
	};
	const struct log_group *group;
	enum log_fault fault = LOG_EMPTY;
	while (position.offset < bytes &&
	       (fault = log_group_check(
			p + position.offset, bytes - position.offset, identity, &position, &group
		)) == LOG_OK) {
		segment->groups++;
		segment->durable = sf_max64(segment->durable, group->durable);
		segment->closed = group->flags & LOG_GROUP_CLOSED;
	}
	if (position.offset >= bytes)
		fault = LOG_EMPTY;
	segment->last_sequence = position.next_sequence - 1;
	segment->end_offset = position.offset;
	segment->end_chain = position.chain;
	segment->end = fault;
	if (fault == LOG_EMPTY && !is_zero_to_end(p + position.offset, bytes - position.offset))
		segment->end = LOG_BAD_PADDING;
	if (segment->end != LOG_EMPTY)
		look_behind(p, bytes, segment->end_offset + LOG_BLOCK_BYTES, identity, segment);
}

void rec_scan_header(
	const void *data,
	uint64_t bytes,
	uint64_t file_bytes,
	const struct log_identity *identity,
	uint64_t number,
	const struct rec_segment *next,
	struct rec_segment *segment
)
{
	const struct log_segment_header *header = NULL;
	*segment =
		(struct rec_segment){.number = number, .file_bytes = file_bytes, .end = LOG_EMPTY};
	segment->header = log_segment_header_check(data, bytes, identity, number, &header);
	if (segment->header != LOG_OK)
		return;
	segment->first_sequence = header->first_sequence;
	segment->chain = header->chain;
	segment->header_epoch = header->epoch;
	segment->incarnation = header->incarnation;
	segment->last_sequence = next->first_sequence - 1;
	segment->end_chain = next->chain;
	segment->end_offset = file_bytes;
}

/* --- Plan --- */

static void
refuse(struct rec_plan *plan,
       enum rec_verdict verdict,
       enum log_fault fault,
       const struct rec_segment *segment,
       uint64_t offset)
{
	plan->verdict = verdict;
	plan->fault = fault;
	plan->at_segment = segment->number;
	plan->at_offset = offset;
}

/* A header that is not as it should be; REC_CLEAN: nothing to refuse. */
static enum rec_verdict judge_header(enum log_fault fault)
{
	switch (fault) {
	case LOG_OK:
		return REC_CLEAN;
	case LOG_OTHER_CLUSTER:
	case LOG_OTHER_NODE:
		return REC_OTHER_IDENTITY;
	case LOG_BAD_VERSION:
		return REC_OTHER_VERSION;
	case LOG_OTHER_PLACE:
		return REC_MISSING;
	default:
		return REC_DAMAGED;
	}
}

/* The end of the newest segment that holds anything: clean, torn, hole or damage. Rows of the table
 * in their order. */
static void
judge_end(struct rec_plan *plan, const struct rec_segment *last, const struct rec_base *base)
{
	uint64_t lost = last->last_sequence + 1; /* the first that is not there */
	uint64_t mark = sf_max64(last->durable, last->durable_behind);
	mark = sf_max64(mark, base->durable);
	if (last->end == LOG_EMPTY && mark < lost) {
		plan->verdict = REC_CLEAN;
		return;
	}
	if (mark >= lost) {
		refuse(plan, REC_DAMAGED, last->end, last, last->end_offset);
		return;
	}
	plan->verdict = last->groups_behind > 0 ? REC_HOLE : REC_TORN_TAIL;
	plan->fault = last->end;
	plan->at_segment = last->number;
	plan->at_offset = last->end_offset;
	plan->cut_bytes = last->file_bytes - last->end_offset;
}

/* The places between segments: each is whole, and the next continues it. present counts also the
 * files behind that were never used: they were prepared one after the other, so a number that is
 * missing among them was there, and perhaps used. */
static bool judge_joins(
	struct rec_plan *plan, const struct rec_segment *segments, uint32_t count, uint32_t present
)
{
	for (uint32_t i = 0; i < present; i++) {
		const struct rec_segment *s = &segments[i];
		enum rec_verdict verdict = i < count ? judge_header(s->header) : REC_CLEAN;
		if (verdict != REC_CLEAN) {
			refuse(plan, verdict, s->header, s, 0);
			return false;
		}
		if (i == 0)
			continue;
		const struct rec_segment *before = &segments[i - 1];
		if (s->number != before->number + 1) {
			refuse(plan, REC_MISSING, LOG_OTHER_PLACE, before, before->end_offset);
			plan->at_segment = before->number + 1;
			plan->at_offset = 0;
			return false;
		}
		if (i >= count)
			continue;
		/* The segment before was whole and durable when this one began. */
		if (before->end != LOG_EMPTY) {
			refuse(plan, REC_DAMAGED, before->end, before, before->end_offset);
			return false;
		}
		if (s->first_sequence != before->last_sequence + 1 ||
		    s->chain != before->end_chain) {
			refuse(plan, REC_MISSING, LOG_BAD_CHAIN, s, 0);
			return false;
		}
	}
	return true;
}

/* The snapshot's place, in the oldest segment that is needed: it lies before the end, and where it
 * is the end of the segment, this is the group that the snapshot names. Of a place in the middle
 * replay finds that out (control/replay.c). */
static bool
judge_base(struct rec_plan *plan, const struct rec_segment *first, const struct rec_base *base)
{
	const struct log_position *place = &base->position;
	if (first->end_offset < place->offset) {
		refuse(plan, REC_DAMAGED, first->end, first, first->end_offset);
		return false;
	}
	bool at_end = first->end_offset == place->offset;
	bool at_begin = place->offset == LOG_BLOCK_BYTES;
	if ((at_end && (first->end_chain != place->chain ||
			first->last_sequence + 1 != place->next_sequence)) ||
	    (at_begin &&
	     (first->chain != place->chain || first->first_sequence != place->next_sequence))) {
		refuse(plan, REC_MISSING, LOG_BAD_CHAIN, first, place->offset);
		return false;
	}
	return true;
}

static struct log_position begin_of(const struct rec_segment *segment)
{
	return (struct log_position){
		.segment = segment->number,
		.offset = LOG_BLOCK_BYTES,
		.next_sequence = segment->first_sequence,
		.chain = segment->chain,
	};
}

/* From the first segment that is needed back to where the peer may still miss something; older ones
 * are a help and no duty, so one that does not join only ends the way. */
static struct log_position
reach_back(const struct rec_segment *first, uint32_t before, uint64_t last_sequence, uint64_t reach)
{
	while (before > 0 && first->first_sequence + reach > last_sequence + 1) {
		const struct rec_segment *older = first - 1;
		if (older->header != LOG_OK || older->number + 1 != first->number ||
		    older->last_sequence + 1 != first->first_sequence ||
		    older->end_chain != first->chain)
			break;
		first = older;
		before--;
	}
	return begin_of(first);
}

/* The log was given up, and this snapshot stands for all of it. It begins a segment, which is made
 * when the plan is carried out, so that from then on there is one to miss. */
static void plan_replaced(struct rec_plan *plan, const struct rec_base *base)
{
	const struct log_position *place = &base->position;
	plan->start = plan->reach = plan->position = *place;
	plan->position.segment = place->segment + 1;
	if (place->offset == LOG_BLOCK_BYTES)
		return;
	plan->verdict = REC_MISSING;
	plan->fault = LOG_OTHER_PLACE;
	plan->at_segment = place->segment;
	plan->at_offset = place->offset;
}

void rec_plan_make(
	struct rec_plan *plan,
	enum rec_identity identity,
	const struct rec_segment *segments,
	uint32_t count,
	const struct rec_base *base
)
{
	*plan = (struct rec_plan){.verdict = REC_CLEAN, .last_sequence = base->sequence};
	bool known = base->durable > 0; /* something was durable, whatever the log says */
	if (identity == REC_IDENTITY_VOID) {
		count = 0;
		if (base->sequence > 0) {
			plan_replaced(plan, base);
			return;
		}
	}
	/* Prepared files at the end were never used. */
	uint32_t present = count;
	while (count > 0 && segments[count - 1].header == LOG_EMPTY &&
	       segments[count - 1].end == LOG_EMPTY)
		count--;
	/* A segment whose header never reached the disk: what stands in it was not durable, unless
	 * it says so itself. */
	const struct rec_segment *headless = NULL;
	if (count > 0 && segments[count - 1].header == LOG_EMPTY)
		headless = &segments[--count];
	/* What the snapshot covers needs no log. */
	uint32_t covered = 0;
	while (base->sequence > 0 && count > 0 && segments[0].number < base->position.segment) {
		segments++;
		count--;
		present--;
		covered++;
	}

	/* Unused and headless files go away, so numbers stay dense. */
	plan->position = (struct log_position){
		.segment = count > 0	      ? segments[count - 1].number + 1
			   : headless != NULL ? headless->number
					      : 1,
		.offset = LOG_BLOCK_BYTES,
		.next_sequence = base->sequence + 1,
	};
	plan->start = plan->reach = plan->position;
	if (identity == REC_IDENTITY_OTHER) {
		plan->verdict = REC_OTHER_IDENTITY;
		return;
	}
	if (count == 0 && headless == NULL && covered == 0) {
		plan->verdict = known || identity == REC_IDENTITY_OURS ? REC_LOST
				: identity == REC_IDENTITY_BAD	       ? REC_NO_IDENTITY
								       : REC_FRESH;
		return;
	}
	if (identity != REC_IDENTITY_OURS && identity != REC_IDENTITY_NEW &&
	    identity != REC_IDENTITY_EMPTIED) {
		plan->verdict = REC_NO_IDENTITY;
		return;
	}
	if (!judge_joins(plan, segments, count, present))
		return;
	if (count == 0 && base->sequence > 0) {
		plan->verdict = REC_MISSING;
		plan->fault = LOG_OTHER_PLACE;
		plan->at_segment = base->position.segment;
		return;
	}
	if (count > 0) {
		const struct rec_segment *last = &segments[count - 1];
		const struct rec_segment *first = &segments[0];
		bool begins = base->sequence > 0
				      ? first->number == base->position.segment &&
						first->first_sequence <= base->sequence + 1
				      : first->first_sequence == 1;
		if (!begins) {
			refuse(plan, REC_NO_BEGIN, LOG_BAD_SEQUENCE, first, 0);
			return;
		}
		plan->start = base->sequence > 0 ? base->position : begin_of(first);
		if (base->sequence > 0 && !judge_base(plan, first, base))
			return;
		judge_end(plan, last, base);
		if (rec_refuses(plan->verdict))
			return;
		plan->first_segment = first->number;
		plan->last_segment = last->number;
		plan->last_sequence = sf_max64(base->sequence, last->last_sequence);
		plan->position.chain = last->end_chain;
		plan->position.next_sequence = plan->last_sequence + 1;
		plan->reach = reach_back(first, covered, plan->last_sequence, base->reach);
	}
	if (headless != NULL &&
	    sf_max64(headless->durable_behind, base->durable) > plan->last_sequence)
		refuse(plan, REC_DAMAGED, LOG_EMPTY, headless, 0);
	else if (headless != NULL && plan->verdict == REC_CLEAN) {
		plan->verdict = headless->groups_behind > 0 ? REC_HOLE : REC_TORN_TAIL;
		plan->fault = headless->end;
		plan->at_segment = headless->number;
		plan->cut_bytes = headless->file_bytes;
	}
	/* "Used" is a durable mark too: the first entry was on the disk. */
	if (identity == REC_IDENTITY_OURS && plan->last_sequence == 0 &&
	    !rec_refuses(plan->verdict))
		plan->verdict = REC_LOST;
}

/* --- Identity --- */

#define IDENTITY_MAGIC 0x314449464e445353ull /* "SSDNFID1" */

struct identity_block {
	uint64_t magic;
	uint32_t version;
	uint32_t crc; /* of the block with this field as zero */
	uint64_t cluster_hash;
	uint64_t created_unix_ns;
	uint8_t node;
	uint8_t state; /* 0 new, 1 used, 2 emptied, 3 void */
	uint8_t reserved[6];
	char cluster[LOG_NAME_BYTES];
	char node_name[LOG_NAME_BYTES];
	uint64_t base;
};

static const enum rec_identity identity_states[] = {
	REC_IDENTITY_NEW, REC_IDENTITY_OURS, REC_IDENTITY_EMPTIED, REC_IDENTITY_VOID};
#define IDENTITY_STATES (sizeof(identity_states) / sizeof(identity_states[0]))

static uint32_t identity_crc(const void *block)
{
	const uint8_t *p = block;
	static const uint8_t zeros[4];
	uint32_t crc = sf_crc32c(SF_CRC32C_INIT, p, 12);
	crc = sf_crc32c(crc, zeros, sizeof(zeros));
	return sf_crc32c_end(sf_crc32c(crc, p + 16, LOG_BLOCK_BYTES - 16));
}
STATIC_CHECK(offsetof(struct identity_block, crc) == 12, "identity_crc leaves it out");

void rec_identity_mark(
	void *block,
	const struct log_identity *identity,
	enum rec_identity state,
	uint64_t base,
	uint64_t unix_ns
)
{
	struct identity_block *id = block;
	memset(block, 0, LOG_BLOCK_BYTES);
	*id = (struct identity_block){
		.magic = IDENTITY_MAGIC,
		.version = LOG_VERSION,
		.cluster_hash = identity->cluster_hash,
		.created_unix_ns = unix_ns,
		.node = identity->node,
		.base = base,
	};
	memcpy(id->cluster, identity->cluster, LOG_NAME_BYTES);
	memcpy(id->node_name, identity->node_name, LOG_NAME_BYTES);
	while (id->state < IDENTITY_STATES && identity_states[id->state] != state)
		id->state++;
	CHECK(id->state < IDENTITY_STATES);
	id->crc = identity_crc(block);
}

void rec_identity_write(
	void *block, const struct log_identity *identity, bool used, uint64_t unix_ns
)
{
	enum rec_identity state = used ? REC_IDENTITY_OURS : REC_IDENTITY_NEW;
	rec_identity_mark(block, identity, state, 0, unix_ns);
}

uint64_t rec_identity_base(const void *block)
{
	return ((const struct identity_block *)block)->base;
}

enum rec_identity
rec_identity_check(const void *block, uint64_t bytes, const struct log_identity *identity)
{
	const struct identity_block *id = block;
	if (bytes < LOG_BLOCK_BYTES || id->magic != IDENTITY_MAGIC ||
	    id->crc != identity_crc(block) || id->version != LOG_VERSION ||
	    id->state >= IDENTITY_STATES)
		return REC_IDENTITY_BAD;
	bool ours = id->cluster_hash == identity->cluster_hash && id->node == identity->node;
	if (!ours)
		return REC_IDENTITY_OTHER;
	return identity_states[id->state];
}
