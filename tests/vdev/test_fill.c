/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A node that is filled by hand through the ring in its memory file: a snapshot and groups in the
 * order that control keeps, and in every other one. Whatever comes, the node does not end and does
 * not start with a state that is not whole.
 */
#include "config/bytes.h"
#include "tests/unit/snapshot_world.h"
#include "tests/vdev/pair.h"

#include <stdlib.h>
#include <string.h>

#define NODE 1 /* the standby, with three workers; the other one has no log */
#define MAX_RECORDS 512
#define GROUPS 12
#define PER_GROUP 20

static struct image image;
static struct world *world;	   /* behind all groups */
static uint64_t based_at;	   /* the snapshot's sequence */
static uint64_t snapshot_digest;   /* there */
static struct dp_fill_end the_end; /* behind all groups */
static struct dp_fill_end at_base; /* behind the snapshot alone */
static _Alignas(LOG_BLOCK_BYTES) uint8_t groups[GROUPS][LOG_BLOCK_BYTES];
static struct log_position position = {.segment = 1, .offset = LOG_BLOCK_BYTES, .next_sequence = 1};

/* --- What there is to be filled --- */

static void put_group(uint32_t number)
{
	struct log_group_builder builder;
	log_group_begin(&builder, groups[number], LOG_BLOCK_BYTES, position.next_sequence);
	for (uint32_t i = 0; i < PER_GROUP; i++) {
		const struct rep_entry *entry = world_step(world);
		uint32_t bytes = rep_entry_bytes(entry->payload_bytes);
		void *room = log_group_room(&builder, bytes);
		assert_non_null(room);
		rep_entry_copy(room, entry);
		log_group_added(&builder, bytes, entry->crc);
	}
	log_group_seal(
		&builder,
		&position,
		&world_identity,
		7,
		world->epoch,
		position.next_sequence - 1,
		0,
		1
	);
}

static struct dp_fill_end end_here(void)
{
	struct dp_fill_end end = {
		.history = {.last_sequence = world->copy.sequence, .epoch = world->epoch},
		.position = position,
		.durable = world->copy.sequence,
	};
	end.position.segment++;
	return end;
}

/* The snapshot lies behind half of the groups. */
static void make_history(void)
{
	world = world_make(1, 300);
	for (uint32_t i = 0; i < GROUPS; i++) {
		if (i == GROUPS / 2) {
			image = world_snapshot(world, &position);
			based_at = world->copy.sequence;
			snapshot_digest = ctl_copy_digest(&world->copy);
			at_base = end_here();
		}
		put_group(i);
	}
	the_end = end_here();
}

/* --- The node --- */

static char folder[64];

static void with_log(struct cfg_settings *settings, int node)
{
	settings->limits.max_sessions = WORLD_SESSIONS;
	settings->limits.max_inflight = WORLD_INFLIGHT;
	settings->assets.max = 512;
	if (node != NODE)
		return;
	settings->log.enabled = CFG_ON;
	settings->log.segment_bytes = 1 << 20;
	settings->log.reserve_bytes = 0;
	snprintf(settings->log.dir, sizeof(settings->log.dir), "%s", folder);
}

/* Frames that come before the start are not the core's. */
static enum pair_verdict drop_all(struct pair *pair, int from, uint8_t *frame, uint32_t *bytes)
{
	return PAIR_DROP;
}

struct filler {
	struct pair *pair;
	struct dp_shm *shm;
};

static struct filler begin(void)
{
	struct filler f;
	lab_make_directory(folder, sizeof(folder));
	f.pair = pair_make_apart(&(struct pair_options){.adjust = with_log});
	f.pair->judge = drop_all;
	f.shm = f.pair->sides[NODE].shm;
	assert_int_equal(f.shm->fill.state, DP_FILL_WANTED);
	return f;
}

static void finish(struct filler *f)
{
	pair_end(f->pair);
	lab_remove(folder);
}

/* Puts a record into the ring; bytes: what its header says of the part behind it. */
static void
put_raw(struct filler *f, uint32_t type, const void *data, uint32_t bytes, uint32_t said)
{
	struct dp_shm_fill *fill = &f->shm->fill;
	uint8_t *ring = (uint8_t *)f->shm + f->shm->fill_at;
	uint32_t all = (uint32_t)sf_round_up(sizeof(struct dp_fill_record) + bytes, 8);
	uint64_t at = fill->head & (f->shm->fill_bytes - 1);
	if (at + all > f->shm->fill_bytes) {
		uint32_t rest = (uint32_t)(f->shm->fill_bytes - at);
		*(struct dp_fill_record *)(void *)(ring + at) =
			(struct dp_fill_record){.bytes = rest, .type = DP_FILL_SKIP};
		__atomic_store_n(&fill->head, fill->head + rest, __ATOMIC_RELEASE);
		at = 0;
	}
	PAIR_UNTIL(f->pair, fill->head + all - fill->tail <= f->shm->fill_bytes || fill->fault);
	if (fill->head + all - fill->tail > f->shm->fill_bytes)
		return;
	struct dp_fill_record *record = (void *)(ring + at);
	*record = (struct dp_fill_record){.bytes = said, .type = type};
	if (data != NULL)
		memcpy(record + 1, data, bytes);
	else
		memset(record + 1, 0, bytes);
	__atomic_store_n(&fill->head, fill->head + all, __ATOMIC_RELEASE);
}

static void put(struct filler *f, uint32_t type, const void *data, uint32_t bytes)
{
	put_raw(f, type, data, bytes, (uint32_t)sizeof(struct dp_fill_record) + bytes);
}

static const struct snap_header *header(void)
{
	return (const struct snap_header *)(void *)image.data;
}

static void put_header(struct filler *f)
{
	put(f, DP_FILL_SNAPSHOT, header(), sizeof(struct snap_header));
}

static void put_block(struct filler *f, uint32_t number)
{
	const struct snap_block *block = image_block(&image, number);
	put(f, DP_FILL_BLOCK, block, block->bytes);
}

static void put_blocks(struct filler *f, uint32_t from, uint32_t to)
{
	while (from < to)
		put_block(f, from++);
}

static void put_snapshot(struct filler *f)
{
	put_header(f);
	put_blocks(f, 0, header()->blocks);
	put(f, DP_FILL_SNAPSHOT_END, NULL, 0);
}

static void put_groups(struct filler *f, uint32_t from, uint32_t to)
{
	put(f, DP_FILL_GROUPS, groups[from], (to - from) * LOG_BLOCK_BYTES);
}

static void put_end(struct filler *f, const struct dp_fill_end *end)
{
	put(f, DP_FILL_END, end, sizeof(*end));
}

static void expect_started(struct filler *f, uint64_t digest, uint64_t first_in_arena)
{
	PAIR_UNTIL(f->pair, f->shm->fill.state == DP_FILL_DONE || f->shm->fill.fault != 0);
	assert_int_equal(f->shm->fill.fault, 0);
	pair_rounds(f->pair, 20);
	assert_true(pair_sequencer(f->pair, NODE)->core.started);
	assert_int_equal(pair_digest(f->pair, NODE), digest);
	assert_int_equal(pair_sequencer(f->pair, NODE)->core.arena_first, first_in_arena);
	assert_int_equal(f->shm->fill.tail, f->shm->fill.head);
}

static void expect_refused(struct filler *f)
{
	PAIR_UNTIL(f->pair, f->shm->fill.fault != 0 || f->shm->fill.state == DP_FILL_DONE);
	assert_int_not_equal(f->shm->fill.fault, 0);
	/* And it stays so, whatever comes. */
	put(f, DP_FILL_BEGIN, NULL, 0);
	put_end(f, &the_end);
	pair_rounds(f->pair, 20);
	assert_int_not_equal(f->shm->fill.state, DP_FILL_DONE);
	assert_false(pair_sequencer(f->pair, NODE)->core.started);
	assert_true(pair_counters(f->pair, NODE)->bad_fill >= 1);
}

/* --- Good orders --- */

static void order_when_good_then_started_with_the_digest(void **state)
{
	struct filler f = begin();
	put(&f, DP_FILL_BEGIN, NULL, 0);
	put_snapshot(&f);
	PAIR_UNTIL(f.pair, f.shm->fill.snapshot == based_at || f.shm->fill.fault);
	put_groups(&f, 0, GROUPS);
	put_end(&f, &the_end);
	expect_started(&f, ctl_copy_digest(&world->copy), 1);
	finish(&f);
	/* Nothing behind the snapshot, and nothing before it. */
	f = begin();
	put(&f, DP_FILL_BEGIN, NULL, 0);
	put_snapshot(&f);
	put_end(&f, &at_base);
	expect_started(&f, snapshot_digest, based_at + 1);
	finish(&f);
	/* Without a snapshot. */
	f = begin();
	put(&f, DP_FILL_BEGIN, NULL, 0);
	put_groups(&f, 0, 3);
	put_groups(&f, 3, GROUPS);
	put_end(&f, &the_end);
	expect_started(&f, ctl_copy_digest(&world->copy), 1);
	finish(&f);
	/* A part of what the snapshot covers. */
	f = begin();
	put(&f, DP_FILL_BEGIN, NULL, 0);
	put_snapshot(&f);
	put_groups(&f, 2, GROUPS);
	put_end(&f, &the_end);
	expect_started(&f, ctl_copy_digest(&world->copy), 2 * PER_GROUP + 1);
	finish(&f);
}

static void hole_when_in_what_is_covered_then_the_arena_begins_behind_it(void **state)
{
	struct filler f = begin();
	put(&f, DP_FILL_BEGIN, NULL, 0);
	put_snapshot(&f);
	put_groups(&f, 1, 3);
	put_groups(&f, 4, GROUPS);
	put_end(&f, &the_end);
	expect_started(&f, ctl_copy_digest(&world->copy), 4 * PER_GROUP + 1);
	finish(&f);
	/* It ends before the snapshot's place: control fell back. */
	f = begin();
	put(&f, DP_FILL_BEGIN, NULL, 0);
	put_snapshot(&f);
	put_groups(&f, 0, 4);
	put_groups(&f, GROUPS / 2, GROUPS);
	put_end(&f, &the_end);
	expect_started(&f, ctl_copy_digest(&world->copy), based_at + 1);
	finish(&f);
}

/* Control is killed behind each record in turn, and begins again. */
static void control_when_it_begins_again_then_started_all_the_same(void **state)
{
	uint32_t blocks = header()->blocks, steps = blocks + 6;
	for (uint32_t stop = 0; stop < steps; stop += 1 + stop / 6) {
		struct filler f = begin();
		for (uint32_t life = 0; life < 3; life++) {
			uint32_t end = life < 2 ? stop : UINT32_MAX, step = 0;
			put(&f, DP_FILL_BEGIN, NULL, 0);
			if (step++ < end)
				put_header(&f);
			for (uint32_t i = 0; i < blocks; i++)
				if (step++ < end)
					put_block(&f, i);
			if (step++ < end)
				put(&f, DP_FILL_SNAPSHOT_END, NULL, 0);
			for (uint32_t i = 0; i < 3; i++)
				if (step++ < end)
					put_groups(&f, i * 4, i * 4 + 4);
			if (stop % 2 == 0)
				pair_rounds(f.pair, 10);
		}
		put_end(&f, &the_end);
		expect_started(&f, ctl_copy_digest(&world->copy), 1);
		finish(&f);
	}
}

static void many_small_blocks_when_workers_stand_still_then_they_are_waited_for(void **state)
{
	/* More blocks for one worker than its ring holds. */
	struct filler f = begin();
	struct snap_header many = *header();
	struct snap_block block = {.bytes = sizeof(block), .type = SNAP_ASSETS};
	struct pair_side *side = &f.pair->sides[NODE];
	for (uint32_t i = 0; i < side->settings.workers; i++)
		f.pair->paused[i] = &side->node.workers[i];
	many.blocks = 20000;
	put(&f, DP_FILL_BEGIN, NULL, 0);
	put(&f, DP_FILL_SNAPSHOT, &many, sizeof(many));
	for (uint32_t i = 0; i < many.blocks; i++) {
		block.number = i;
		put(&f, DP_FILL_BLOCK, &block, sizeof(block));
	}
	pair_rounds(f.pair, 500);
	assert_int_equal(f.shm->fill.fault, 0);
	memset(f.pair->paused, 0, sizeof(f.pair->paused));
	PAIR_UNTIL(f.pair, f.shm->fill.tail == f.shm->fill.head);
	assert_int_equal(f.shm->fill.fault, 0);
	/* It is not the state that the header names. */
	put(&f, DP_FILL_SNAPSHOT_END, NULL, 0);
	expect_refused(&f);
	finish(&f);
}

/* --- Nonsense --- */

enum nonsense {
	END_AT_ONCE_WITH_ENTRIES,
	END_BEFORE_SNAPSHOT_END,
	END_BEFORE_BLOCKS_AS_IF_EMPTY,
	GROUPS_BEFORE_SNAPSHOT_END,
	SNAPSHOT_END_WITHOUT_SNAPSHOT,
	SNAPSHOT_END_TOO_EARLY,
	SNAPSHOT_BEHIND_ENTRIES,
	SNAPSHOT_SHORT,
	SNAPSHOT_LONG,
	SNAPSHOT_OF_OTHER_SHAPE,
	SNAPSHOT_OF_OTHER_MODEL,
	SNAPSHOT_WITHOUT_SEQUENCE,
	SNAPSHOT_LINEAGE_TOO_LONG,
	SNAPSHOT_SECOND,
	SNAPSHOT_OTHER_DIGEST,
	SNAPSHOT_OTHER_COUNT,
	BLOCK_WITHOUT_SNAPSHOT,
	BLOCK_SKIPPED,
	BLOCK_TWICE,
	BLOCK_SIZE_OTHER_THAN_RECORD,
	BLOCK_WITHOUT_ROOM,
	BLOCK_OF_NO_PARTITION,
	BLOCK_OF_NO_TYPE,
	BLOCK_OF_OTHER_PARTITION,
	BLOCK_COUNT_TOO_HIGH,
	BLOCK_BEHIND_SNAPSHOT_END,
	BLOCK_OF_ANSWERS_EMPTIED,
	GROUPS_SKIPPED,
	GROUPS_CUT,
	GROUP_LENGTH_ZERO,
	GROUP_LENGTH_WRAPS,
	GROUP_COUNT_TOO_HIGH,
	GROUP_ENTRY_PAYLOAD_TOO_LONG,
	GROUP_ENTRY_OF_NO_KIND,
	END_SHORT,
	END_OTHER_SEQUENCE,
	END_OTHER_POSITION,
	RECORD_OF_NO_TYPE,
	RECORD_TOO_SHORT,
	RECORD_NOT_OF_EIGHT,
	RECORD_BEYOND_HEAD,
	RECORD_OF_ZERO_BYTES,
	NONSENSE,
};

static void put_header_changed(struct filler *f, enum nonsense what)
{
	struct snap_header h = *header();
	h.shape.max_assets += what == SNAPSHOT_OF_OTHER_SHAPE;
	h.shape.model[0] = (char)(h.shape.model[0] + (what == SNAPSHOT_OF_OTHER_MODEL));
	h.sequence = what == SNAPSHOT_WITHOUT_SEQUENCE ? 0 : h.sequence;
	h.lineage_count = what == SNAPSHOT_LINEAGE_TOO_LONG ? REP_MAX_LINEAGE + 1 : h.lineage_count;
	h.assets_digest += what == SNAPSHOT_OTHER_DIGEST;
	h.answers += what == SNAPSHOT_OTHER_COUNT;
	put(f, DP_FILL_SNAPSHOT, &h, sizeof(h));
}

static void put_block_changed(struct filler *f, enum nonsense what)
{
	uint32_t number = 0, more = what == BLOCK_WITHOUT_ROOM ? 16 : 0;
	uint8_t type = what == BLOCK_OF_ANSWERS_EMPTIED ? SNAP_ANSWERS : SNAP_ASSETS;
	while (image_block(&image, number)->type != type)
		number++;
	struct snap_block *block = image_block(&image, number);
	struct snap_block *changed = malloc(block->bytes);
	assert_non_null(changed);
	memcpy(changed, block, block->bytes);
	changed->bytes += what == BLOCK_SIZE_OTHER_THAN_RECORD ? 8 : 0;
	changed->partition = what == BLOCK_OF_NO_PARTITION	? REP_PARTITIONS
			     : what == BLOCK_OF_OTHER_PARTITION ? block->partition + 1
								: block->partition;
	changed->type = what == BLOCK_OF_NO_TYPE ? 9 : block->type;
	changed->count += what == BLOCK_COUNT_TOO_HIGH ? 1000 : 0;
	if (what == BLOCK_OF_ANSWERS_EMPTIED) {
		changed->count = 0;
		changed->bytes = sizeof(*changed);
	}
	put_header(f);
	put_blocks(f, 0, number);
	uint32_t bytes = what == BLOCK_OF_ANSWERS_EMPTIED ? changed->bytes : block->bytes;
	put(f, DP_FILL_BLOCK, changed, more > 0 ? more : bytes);
	put_blocks(f, number + 1, header()->blocks);
	put(f, DP_FILL_SNAPSHOT_END, NULL, 0);
	free(changed);
}

static void put_group_changed(struct filler *f, enum nonsense what)
{
	static _Alignas(LOG_BLOCK_BYTES) uint8_t data[2 * LOG_BLOCK_BYTES];
	struct log_group *group = (void *)data;
	memcpy(data, groups[0], sizeof(data));
	struct rep_entry *first = (void *)(group + 1);
	if (what == GROUP_LENGTH_ZERO)
		group->bytes = 0;
	if (what == GROUP_LENGTH_WRAPS) {
		group->bytes = UINT32_MAX;
		group->count = 0;
	}
	if (what == GROUP_COUNT_TOO_HIGH)
		group->count = UINT32_MAX;
	if (what == GROUP_ENTRY_PAYLOAD_TOO_LONG)
		first->payload_bytes = UINT16_MAX;
	if (what == GROUP_ENTRY_OF_NO_KIND)
		first->kind = 77;
	put(f, DP_FILL_GROUPS, data, what == GROUPS_CUT ? LOG_BLOCK_BYTES + 64 : sizeof(data));
	if (what == GROUPS_SKIPPED)
		put_groups(f, 3, 4);
}

/* Entries behind the snapshot, and in their midst one that it covers and whose place in the arena
 * is that of the entry before. */
static void put_interleaved(struct filler *f)
{
	static _Alignas(LOG_BLOCK_BYTES) uint8_t data[LOG_BLOCK_BYTES];
	uint64_t slots = f->pair->sides[NODE].settings.arena.slots;
	struct world *w = world_make(2, 300);
	struct image before = image;
	struct rep_entry *entry = NULL;
	struct log_group *group = (void *)data;
	world_steps(w, (uint32_t)slots + 100);
	image = world_snapshot(w, &position);
	put_snapshot(f);
	memset(data, 0, sizeof(data));
	*group = (struct log_group){.bytes = sizeof(*group), .count = 3};
	for (uint32_t i = 0; i < 3; i++) {
		entry = (void *)(data + group->bytes);
		if (i != 1)
			world_step(w);
		rep_entry_copy(entry, (const void *)w->entry);
		if (i == 1)
			entry->sequence -= slots;
		group->bytes += rep_entry_bytes(entry->payload_bytes);
	}
	put(f, DP_FILL_GROUPS, data, sizeof(data));
	struct dp_fill_end end = at_base;
	end.history.last_sequence = w->copy.sequence;
	end.position.next_sequence = w->copy.sequence + 1;
	put_end(f, &end);
	/* It is passed over: the state is the right one, and the arena begins behind the snapshot.
	 */
	expect_started(f, ctl_copy_digest(&w->copy), w->copy.sequence - 1);
	free(image.data);
	image = before;
	world_free(w);
}

static void put_nonsense(struct filler *f, enum nonsense what)
{
	struct snap_header other = *header();
	struct dp_fill_end end = the_end, empty = {.position = the_end.position};
	put(f, DP_FILL_BEGIN, NULL, 0);
	switch (what) {
	case END_AT_ONCE_WITH_ENTRIES:
		put_end(f, &end);
		break;
	case END_BEFORE_SNAPSHOT_END:
		put_header(f);
		put_blocks(f, 0, header()->blocks);
		put_end(f, &at_base);
		break;
	case END_BEFORE_BLOCKS_AS_IF_EMPTY:
		put_header(f);
		put_blocks(f, 0, 2);
		put(f, DP_FILL_BEGIN, NULL, 0); /* control begins again, and finds no snapshot */
		empty.position.next_sequence = 1;
		put_end(f, &empty);
		break;
	case GROUPS_BEFORE_SNAPSHOT_END:
		put_header(f);
		put_blocks(f, 0, 2);
		put(f, DP_FILL_BEGIN, NULL, 0);
		put_groups(f, 0, GROUPS);
		put_end(f, &end);
		break;
	case SNAPSHOT_END_WITHOUT_SNAPSHOT:
		put(f, DP_FILL_SNAPSHOT_END, NULL, 0);
		break;
	case SNAPSHOT_END_TOO_EARLY:
		put_header(f);
		put_blocks(f, 0, header()->blocks - 1);
		put(f, DP_FILL_SNAPSHOT_END, NULL, 0);
		break;
	case SNAPSHOT_BEHIND_ENTRIES:
		put_groups(f, 0, 1);
		put_snapshot(f);
		break;
	case SNAPSHOT_SHORT:
		put(f, DP_FILL_SNAPSHOT, header(), sizeof(struct snap_header) - 8);
		break;
	case SNAPSHOT_LONG:
		put(f, DP_FILL_SNAPSHOT, header(), sizeof(struct snap_header) + 8);
		break;
	case SNAPSHOT_SECOND:
		put_header(f);
		other.crc++;
		put(f, DP_FILL_SNAPSHOT, &other, sizeof(other));
		break;
	case SNAPSHOT_OF_OTHER_SHAPE:
	case SNAPSHOT_OF_OTHER_MODEL:
	case SNAPSHOT_WITHOUT_SEQUENCE:
	case SNAPSHOT_LINEAGE_TOO_LONG:
	case SNAPSHOT_OTHER_DIGEST:
	case SNAPSHOT_OTHER_COUNT:
		put_header_changed(f, what);
		put_blocks(f, 0, header()->blocks);
		put(f, DP_FILL_SNAPSHOT_END, NULL, 0);
		break;
	case BLOCK_WITHOUT_SNAPSHOT:
		put_block(f, 0);
		break;
	case BLOCK_SKIPPED:
		put_header(f);
		put_block(f, 1);
		break;
	case BLOCK_TWICE:
		put_header(f);
		put_block(f, 0);
		put_block(f, 0);
		break;
	case BLOCK_BEHIND_SNAPSHOT_END:
		put_snapshot(f);
		put_block(f, 0);
		break;
	case BLOCK_SIZE_OTHER_THAN_RECORD:
	case BLOCK_WITHOUT_ROOM:
	case BLOCK_OF_NO_PARTITION:
	case BLOCK_OF_NO_TYPE:
	case BLOCK_OF_OTHER_PARTITION:
	case BLOCK_COUNT_TOO_HIGH:
	case BLOCK_OF_ANSWERS_EMPTIED:
		put_block_changed(f, what);
		break;
	case GROUPS_SKIPPED:
	case GROUPS_CUT:
	case GROUP_LENGTH_ZERO:
	case GROUP_LENGTH_WRAPS:
	case GROUP_COUNT_TOO_HIGH:
	case GROUP_ENTRY_PAYLOAD_TOO_LONG:
	case GROUP_ENTRY_OF_NO_KIND:
		put_group_changed(f, what);
		break;
	case END_SHORT:
		put_groups(f, 0, GROUPS);
		put(f, DP_FILL_END, &end, sizeof(end) - 8);
		break;
	case END_OTHER_SEQUENCE:
	case END_OTHER_POSITION:
		put_groups(f, 0, GROUPS);
		end.history.last_sequence += what == END_OTHER_SEQUENCE;
		end.position.next_sequence += what == END_OTHER_POSITION;
		put_end(f, &end);
		break;
	case RECORD_OF_NO_TYPE:
		put(f, 99, NULL, 0);
		break;
	case RECORD_TOO_SHORT:
		put_raw(f, DP_FILL_BEGIN, NULL, 8, 4);
		break;
	case RECORD_NOT_OF_EIGHT:
		put_raw(f, DP_FILL_BEGIN, NULL, 8, 12);
		break;
	case RECORD_BEYOND_HEAD:
		put_raw(f, DP_FILL_GROUPS, NULL, 8, 1 << 20);
		break;
	case RECORD_OF_ZERO_BYTES:
	default:
		put_raw(f, DP_FILL_BEGIN, NULL, 8, 0);
	}
}

static void nonsense_when_filled_in_then_refused_and_not_started(void **state)
{
	for (int what = 0; what < NONSENSE; what++) {
		struct filler f = begin();
		print_message("nonsense %d\n", what);
		put_nonsense(&f, (enum nonsense)what);
		expect_refused(&f);
		finish(&f);
	}
}

static void covered_entry_when_among_others_then_it_takes_no_place(void **state)
{
	struct filler f = begin();
	put(&f, DP_FILL_BEGIN, NULL, 0);
	put_interleaved(&f);
	finish(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(order_when_good_then_started_with_the_digest),
		cmocka_unit_test(hole_when_in_what_is_covered_then_the_arena_begins_behind_it),
		cmocka_unit_test(control_when_it_begins_again_then_started_all_the_same),
		cmocka_unit_test(many_small_blocks_when_workers_stand_still_then_they_are_waited_for
		),
		cmocka_unit_test(covered_entry_when_among_others_then_it_takes_no_place),
		cmocka_unit_test(nonsense_when_filled_in_then_refused_and_not_started),
	};
	pair_start_eal(1);
	make_history();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
