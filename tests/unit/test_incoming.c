/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A snapshot that the other node wrote takes the place of the own log: whole or not at all, with a
 * crash and a failure at every call of the disk; the log goes on behind it, can be cut and started;
 * a bad one is refused and nothing changes.
 */
#include "control/incoming.h"
#include "control/quarantine.h"
#include "tests/unit/surgery_world.h"
#include "tests/unit/unit.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PIECE_BYTES 1300

/* The other node's world, looked at through our node's eyes. */
static struct surgery_world *make_peer(uint64_t seed, uint32_t segments)
{
	struct surgery_world *peer = surgery_new(seed, 0);
	for (uint32_t i = 0; i < segments; i++)
		surgery_segment(peer, 3, 4, i + 1 == segments ? 1 << 2 : 0, true);
	peer->world->settings.node.id = 1;
	return peer;
}

static struct surgery_world *make_own(void)
{
	struct surgery_world *own = surgery_new(2, 1);
	surgery_segment(own, 3, 4, 1 << 2, true);
	surgery_segment(own, 3, 4, 1 << 1 | 1 << 2, true);
	surgery_segment(own, 2, 3, 0, true);
	surgery_prepare(own, 2);
	return own;
}

static struct ctl_map snapshot_of(struct surgery_world *peer)
{
	char path[CTL_PATH_BYTES];
	struct ctl_map map;
	ctl_snapshot_path(&peer->log, surgery_last(peer), path);
	assert_int_equal(ctl_read_file(peer->log.disk, path, SNAP_MAX_BYTES, &map), 0);
	return map;
}

static int receive(struct ctl_incoming *incoming, const struct ctl_map *map, uint64_t sequence)
{
	char text[1024] = "";
	int result = 0;
	for (uint64_t at = 0; at < map->bytes && result == 0; at += PIECE_BYTES) {
		struct rep_piece piece = {.sequence = sequence, .total = map->bytes, .offset = at};
		result = ctl_incoming_keep(
			incoming,
			&piece,
			map->data + at,
			(uint32_t)sf_min64(PIECE_BYTES, map->bytes - at),
			text,
			sizeof(text)
		);
	}
	assert_true(result == 0 || *text);
	return result;
}

/* Receives and installs on this disk. */
static int install_on(
	struct surgery_world *own,
	struct shadow *shadow,
	const struct ctl_map *map,
	uint64_t sequence,
	struct ctl_cut *result
)
{
	struct ctl_log log = surgery_log(own, shadow);
	struct ctl_incoming incoming;
	char text[1024] = "";
	ctl_incoming_init(&incoming, &log, &own->world->settings);
	int done = receive(&incoming, map, sequence);
	if (done == 0) {
		done = ctl_incoming_install(&incoming, sequence, result, text, sizeof(text));
		assert_true(done == 0 || *text);
	}
	ctl_incoming_drop(&incoming);
	ctl_log_free(&log);
	return done;
}

/* What a start does. */
static void start_on(struct surgery_world *s, struct shadow *shadow, struct rec_plan *plan)
{
	struct ctl_log log = surgery_log(s, shadow);
	struct ctl_snapshot snapshot;
	char text[1024];
	assert_int_equal(ctl_log_look(&log, false, text, sizeof(text)), 0);
	ctl_log_plan(&log, plan, &snapshot, text, sizeof(text));
	ctl_snapshot_close(&snapshot);
	if (rec_refuses(plan->verdict))
		fail_msg("%s", text);
	assert_int_equal(ctl_log_carry_out(&log, plan, text, sizeof(text)), 0);
	ctl_log_free(&log);
}

static void expect(const char *found, const char *when, uint64_t which)
{
	if (*found)
		fail_msg("%s %lu: %s", when, which, found);
}

/* --- Whole or not at all --- */

static bool interrupt(
	struct surgery_world *own,
	struct surgery_world *peer,
	const struct ctl_map *map,
	uint64_t nth
)
{
	static const int errors[] = {EIO, ENOSPC, SHADOW_SHORT};
	uint64_t sequence = surgery_last(peer), last;
	struct shadow *disk = shadow_crash(own->shadow, SHADOW_LOSE_NONE, 1);
	struct ctl_cut result;
	struct rec_plan plan;
	shadow_fail(disk, nth, errors[nth % 3], nth / 3 % 2 == 0);
	int done = install_on(own, disk, map, sequence, &result);
	bool reached = shadow_failed(disk) > 0;
	struct shadow *left = shadow_crash(disk, (enum shadow_loss)(nth / 2 % 3), nth);
	bool is_new = *surgery_check(peer, left, sequence, sequence, &last) == 0;
	if (!is_new)
		expect(surgery_check(own, left, surgery_last(own), surgery_last(own), &last),
		       "neither is there, call",
		       nth);
	assert_true(is_new || done != 0);
	if (is_new) {
		/* A cut where it begins completes it first, like a start. */
		struct shadow *copy = shadow_crash(left, SHADOW_LOSE_NONE, nth);
		struct ctl_log log = surgery_log(own, copy);
		char text[1024];
		assert_int_equal(ctl_log_cut(&log, sequence, &result, text, sizeof(text)), 0);
		assert_int_equal(log.identity_state, REC_IDENTITY_OURS);
		ctl_log_free(&log);
		expect(surgery_check(peer, copy, sequence, sequence, &last), "cut, call", nth);
		expect(surgery_check_quarantine(own, copy, 1, surgery_last(own), 0),
		       "cut, call",
		       nth);
		shadow_free(copy);
	}
	/* Now and then it is asked for again before anything else. */
	if (nth % 3 > 0)
		start_on(own, left, &plan);
	if (is_new && nth % 3 > 0) {
		expect(surgery_check(peer, left, sequence, sequence, &last), "call", nth);
		expect(surgery_check_quarantine(own, left, 1, surgery_last(own), 0), "call", nth);
		assert_int_equal(plan.position.segment, 2);
	}
	/* Asked for again, whatever came of it. */
	shadow_free(disk);
	disk = shadow_crash(left, SHADOW_LOSE_ALL, nth);
	assert_int_equal(install_on(own, disk, map, sequence, &result), 0);
	expect(surgery_check(peer, disk, sequence, sequence, &last), "again, call", nth);
	expect(surgery_check_quarantine(own, disk, 1, surgery_last(own), 0), "again, call", nth);
	shadow_free(left);
	shadow_free(disk);
	return reached;
}

static void install_when_interrupted_at_any_call_then_the_old_log_or_the_new_one(void **state)
{
	uint64_t calls = 0;
	/* Older than own snapshots, of the same number as one of them, and newer than all. */
	for (uint32_t segments = 1; segments <= 3; segments++) {
		struct surgery_world *own = make_own(), *peer = make_peer(30 + segments, segments);
		struct ctl_map map = snapshot_of(peer);
		bool more = true;
		for (uint64_t nth = 1; more; nth++, calls++)
			more = interrupt(own, peer, &map, nth);
		ctl_log_unmap(&map);
		surgery_free(own);
		surgery_free(peer);
	}
	printf("%lu calls\n", calls);
}

static void install_when_done_then_the_old_log_is_in_quarantine_and_counted(void **state)
{
	struct surgery_world *own = make_own(), *peer = make_peer(5, 3);
	struct ctl_map map = snapshot_of(peer);
	struct ctl_log log = surgery_log(own, own->shadow);
	struct ctl_quarantine_sum sum;
	struct ctl_cut result;
	assert_int_equal(install_on(own, own->shadow, &map, surgery_last(peer), &result), 0);
	assert_int_equal(result.entries, surgery_last(own));
	assert_int_equal(result.last, surgery_last(own));
	assert_int_equal(result.files, 3 + 3);
	assert_int_equal(ctl_quarantine_measure(&log, &sum), 0);
	assert_int_equal(sum.bytes, result.bytes);
	ctl_log_unmap(&map);
	surgery_free(own);
	surgery_free(peer);
}

/* --- What comes behind it --- */

/* The peer's next entries, written by our node behind the snapshot. */
static void go_on(struct surgery_world *peer, struct shadow *shadow)
{
	struct rec_plan plan;
	start_on(peer, shadow, &plan);
	peer->log = surgery_log(peer, shadow);
	shadow_free(peer->shadow);
	peer->shadow = shadow;
	peer->position = plan.position;
	peer->position.segment--;
	surgery_segment(peer, 3, 5, 1 << 1, true);
}

static void log_when_it_goes_on_behind_the_snapshot_then_it_is_started_and_cut_there(void **state)
{
	struct surgery_world *own = make_own(), *peer = make_peer(7, 2);
	struct ctl_map map = snapshot_of(peer);
	struct ctl_cut result;
	uint64_t base = surgery_last(peer), last;
	char text[1024], path[CTL_PATH_BYTES];
	struct shadow *disk = shadow_crash(own->shadow, SHADOW_LOSE_NONE, 1);
	assert_int_equal(install_on(own, disk, &map, base, &result), 0);
	go_on(peer, disk);
	surgery_segment(peer, 2, 5, 0, true);
	peer->snapshots[0] = 0; /* under another identity */
	expect(surgery_check(peer, disk, surgery_last(peer), surgery_last(peer), &last), "on", 0);
	for (uint64_t keep = base - 1; keep <= surgery_last(peer); keep++) {
		struct shadow *copy = shadow_crash(disk, SHADOW_LOSE_NONE, 1);
		struct ctl_log log = surgery_log(peer, copy);
		int done = ctl_log_cut(&log, keep, &result, text, sizeof(text));
		assert_int_equal(done, keep < base ? -ENODATA : 0);
		if (done == 0)
			expect(surgery_check(peer, copy, keep, keep, &last), "cut", keep);
		ctl_log_free(&log);
		shadow_free(copy);
	}
	/* What was written behind it is missed when it is gone, also all of it. */
	for (uint64_t number = 3; number >= 1; number--) {
		ctl_log_path(&peer->log, number, path);
		surgery_remove(disk, path);
	}
	assert_non_null(strstr(surgery_check(peer, disk, 0, UINT64_MAX, &last), "refused"));
	ctl_log_unmap(&map);
	surgery_free(own);
	surgery_free(peer);
}

/* --- What is refused --- */

static void snapshot_when_any_part_is_bad_then_refused_and_nothing_changes(void **state)
{
	struct surgery_world *own = make_own(), *peer = make_peer(8, 2);
	struct ctl_map map = snapshot_of(peer);
	uint8_t *data = (uint8_t *)(uintptr_t)map.data;
	struct snap_header *header = (struct snap_header *)(void *)data;
	struct log_identity author = own->log.identity;
	struct ctl_cut result;
	uint64_t last, sequence = surgery_last(peer);
	author.node = 0;
	for (uint64_t at = 0; at < map.bytes; at += 1 + at / 97) {
		struct shadow *disk = shadow_crash(own->shadow, SHADOW_LOSE_NONE, 1);
		data[at] ^= 0x10;
		assert_int_equal(install_on(own, disk, &map, sequence, &result), -EBADMSG);
		data[at] ^= 0x10;
		shadow_free(disk);
	}
	/* Good in itself, and not what it says: digests, shape, cluster, number. */
	header->assets_digest++;
	snap_header_seal(header, &author);
	assert_int_equal(install_on(own, own->shadow, &map, sequence, &result), -EBADMSG);
	header->assets_digest--;
	header->shape.max_inflight++;
	snap_header_seal(header, &author);
	assert_int_equal(install_on(own, own->shadow, &map, sequence, &result), -EBADMSG);
	header->shape.max_inflight--;
	author.cluster_hash++;
	snap_header_seal(header, &author);
	assert_int_equal(install_on(own, own->shadow, &map, sequence, &result), -EBADMSG);
	author.cluster_hash--;
	snap_header_seal(header, &author);
	assert_int_equal(install_on(own, own->shadow, &map, sequence + 1, &result), -EBADMSG);
	expect(surgery_check(own, own->shadow, surgery_last(own), surgery_last(own), &last), "", 0);
	assert_int_equal(install_on(own, own->shadow, &map, sequence, &result), 0);
	ctl_log_unmap(&map);
	surgery_free(own);
	surgery_free(peer);
}

static void piece_when_it_does_not_follow_then_refused_and_a_beginning_begins_anew(void **state)
{
	struct surgery_world *own = make_own(), *peer = make_peer(9, 2);
	struct ctl_map map = snapshot_of(peer);
	struct ctl_incoming incoming;
	struct ctl_cut result;
	char text[1024];
	uint64_t sequence = surgery_last(peer);
	struct rep_piece piece = {.sequence = sequence, .total = map.bytes};
	ctl_incoming_init(&incoming, &own->log, &own->world->settings);
	piece.offset = 8;
	assert_int_equal(
		ctl_incoming_keep(&incoming, &piece, map.data, 8, text, sizeof(text)), -EINVAL
	);
	piece.offset = 0;
	assert_int_equal(ctl_incoming_keep(&incoming, &piece, map.data, 8, text, sizeof(text)), 0);
	const struct rep_piece wrong[] = {
		{.sequence = sequence, .total = map.bytes, .offset = 16},
		{.sequence = sequence, .total = map.bytes, .offset = 4},
		{.sequence = sequence + 1, .total = map.bytes, .offset = 8},
		{.sequence = sequence, .total = map.bytes + 1, .offset = 8},
		{.sequence = sequence, .total = map.bytes, .offset = map.bytes - 7},
		{.sequence = 0, .total = map.bytes, .offset = 0},
		{.sequence = sequence, .total = 7, .offset = 0},
		{.sequence = sequence, .total = UINT64_MAX, .offset = 0},
	};
	for (uint32_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		assert_int_equal(
			ctl_incoming_keep(&incoming, &wrong[i], map.data, 8, text, sizeof(text)),
			-EINVAL
		);
	assert_int_equal(incoming.bytes, 8);
	assert_int_equal(
		ctl_incoming_install(&incoming, sequence, &result, text, sizeof(text)), -EINVAL
	);
	/* A write that failed ends it; a beginning begins. */
	piece.offset = 8;
	shadow_fail(own->shadow, 1, EIO, false);
	assert_int_equal(
		ctl_incoming_keep(&incoming, &piece, map.data, 8, text, sizeof(text)), -EIO
	);
	assert_int_equal(
		ctl_incoming_keep(&incoming, &piece, map.data, 8, text, sizeof(text)), -EINVAL
	);
	assert_int_equal(receive(&incoming, &map, sequence), 0);
	assert_int_equal(ctl_incoming_install(&incoming, sequence, &result, text, sizeof(text)), 0);
	ctl_log_unmap(&map);
	surgery_free(own);
	surgery_free(peer);
}

/* --- Canaries --- */

/* Put there as it came: the place and the identity are the other node's. */
static void check_when_the_header_is_left_as_it_was_then_it_says_so(void **state)
{
	struct surgery_world *own = make_own(), *peer = make_peer(10, 2);
	struct ctl_map map = snapshot_of(peer);
	struct disk *disk = own->log.disk;
	char path[CTL_PATH_BYTES];
	uint64_t last;
	ctl_snapshot_incoming_path(&own->log, path);
	int file = disk->open(disk, path, DISK_CREATE);
	assert_int_equal(disk->write(disk, file, map.data, map.bytes, 0), 0);
	disk->close(disk, file);
	assert_int_equal(ctl_log_mark(&own->log, REC_IDENTITY_VOID, surgery_last(peer)), 0);
	assert_non_null(strstr(surgery_check(peer, own->shadow, 0, UINT64_MAX, &last), "refused"));
	ctl_log_unmap(&map);
	surgery_free(own);
	surgery_free(peer);
}

/* Under its name at once, beside the log that it is to replace. */
static void check_when_the_old_log_stays_then_it_says_so(void **state)
{
	struct surgery_world *own = make_own(), *peer = make_peer(11, 3);
	struct ctl_map map = snapshot_of(peer);
	char from[CTL_PATH_BYTES], to[CTL_PATH_BYTES];
	struct ctl_cut result;
	uint64_t last;
	struct shadow *disk = shadow_crash(own->shadow, SHADOW_LOSE_NONE, 1);
	struct ctl_log log = surgery_log(own, disk);
	assert_int_equal(install_on(own, disk, &map, surgery_last(peer), &result), 0);
	/* One own segment comes back. */
	snprintf(from, sizeof(from), "%.400s/log/00000000000000000003.seg", result.folder);
	ctl_log_path(&log, 2, to);
	assert_int_equal(log.disk->rename(log.disk, from, to), 0);
	assert_non_null(strstr(surgery_check(peer, disk, 0, UINT64_MAX, &last), "refused"));
	shadow_free(disk);
	ctl_log_unmap(&map);
	surgery_free(own);
	surgery_free(peer);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			install_when_interrupted_at_any_call_then_the_old_log_or_the_new_one
		),
		cmocka_unit_test(install_when_done_then_the_old_log_is_in_quarantine_and_counted),
		cmocka_unit_test(
			log_when_it_goes_on_behind_the_snapshot_then_it_is_started_and_cut_there
		),
		cmocka_unit_test(snapshot_when_any_part_is_bad_then_refused_and_nothing_changes),
		cmocka_unit_test(
			piece_when_it_does_not_follow_then_refused_and_a_beginning_begins_anew
		),
		cmocka_unit_test(check_when_the_header_is_left_as_it_was_then_it_says_so),
		cmocka_unit_test(check_when_the_old_log_stays_then_it_says_so),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
