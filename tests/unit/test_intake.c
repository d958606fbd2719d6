/* SPDX-License-Identifier: BSD-3-Clause */
#include "replication/intake.h"
#include "tests/unit/unit.h"

#include <stdlib.h>
#include <string.h>

#define MAX_PAYLOAD 20

/* A primary that is PAIRED with a standby which acknowledges when the test says so. */
struct fixture {
	struct rep_core core;
	uint64_t held[1];
	struct rep_session_table sessions;
	struct rep_intake intake;
	void *table_memory;
	uint64_t now_ns;
	uint64_t frame_number;
	uint64_t client_id; /* of the session that is open */
};

static void step(struct fixture *f, const struct rep_frame *frames, uint32_t count, uint32_t submit)
{
	struct rep_update update;
	struct rep_event event = {
		.now_ns = f->now_ns += 1000,
		.submit_count = submit,
		.frames = frames,
		.frame_count = count,
		.rx_drained = true,
		.passed_sequence = f->core.last_sequence,
	};
	rep_core_step(&f->core, &event, &update);
}

static struct rep_header
from_standby(struct fixture *f, enum rep_frame_type type, uint64_t position)
{
	return (struct rep_header){
		.version = REP_FRAME_VERSION,
		.type = (uint8_t)type,
		.source = 1,
		.destination = 0,
		.epoch = 3,
		.source_incarnation = 2,
		.destination_incarnation = 1,
		.frame_number = ++f->frame_number,
		.position = position,
		.limit = position + 64,
	};
}

static void standby_says_hello(struct fixture *f)
{
	struct rep_hello hello = {.config_digest = 9};
	struct rep_header header = from_standby(f, REP_FRAME_HELLO, 0);
	struct rep_frame frame = {.header = &header, .body = (uint8_t *)&hello};
	step(f, &frame, 1, 0);
	assert_true(rep_core_serves(&f->core));
}

static void standby_acknowledges(struct fixture *f, uint64_t position)
{
	struct rep_header header = from_standby(f, REP_FRAME_ACK, position);
	struct rep_frame frame = {.header = &header};
	step(f, &frame, 1, 0);
}

static void begin(struct fixture *f)
{
	rep_intake_begin(&f->intake, 1000000 + f->now_ns);
}

static void submit(struct fixture *f)
{
	step(f, NULL, 0, f->intake.pending);
}

static void start(struct fixture *f, bool paired, uint32_t max_sessions)
{
	static uint8_t arena[16 * 128] __attribute__((aligned(64)));
	struct rep_core_config config = {
		.link = {.node = 0, .peer = 1, .max_payload_bytes = MAX_PAYLOAD},
		.role = REP_PRIMARY,
		.epoch = 3,
		.incarnation = 1,
		.config_digest = 9,
		.slots = 16,
		.window = 8,
		.heartbeat_interval_ns = 1000000,
		.heartbeat_misses = 10,
		.retransmit_min_ns = 200000,
	};
	struct rep_session_limits limits = {.max_sessions = max_sessions, .max_inflight = 4};
	memset(f, 0, sizeof(*f));
	memset(arena, 0xee, sizeof(arena));
	f->table_memory = aligned_alloc(64, sf_round_up(rep_session_table_bytes(&limits), 64));
	assert_non_null(f->table_memory);
	rep_session_table_init(&f->sessions, &limits, f->table_memory);
	rep_core_init(&f->core, &config, f->held, f->now_ns);
	rep_core_start(&f->core, &(struct rep_history){0}, f->now_ns);
	assert_true(rep_arena_stride(MAX_PAYLOAD) <= 128);
	f->intake = (struct rep_intake){
		.core = &f->core,
		.sessions = &f->sessions,
		.arena = {.base = arena, .stride_bytes = rep_arena_stride(MAX_PAYLOAD), .mask = 15},
	};
	if (paired)
		standby_says_hello(f);
}

static void stop(struct fixture *f)
{
	free(f->table_memory);
}

static void open_one(struct fixture *f)
{
	struct rep_verdict_detail detail;
	begin(f);
	assert_int_equal(rep_intake_open(&f->intake, 55, &detail), REP_TAKEN);
	f->client_id = f->sessions.sessions[detail.session].client_id;
	submit(f);
	standby_acknowledges(f, f->core.last_sequence);
}

static enum rep_taken update_asset(
	struct fixture *f,
	uint64_t request_seq,
	uint64_t first,
	uint64_t asset_id,
	struct rep_verdict_detail *detail
)
{
	uint64_t block[4] = {f->client_id, request_seq, first, asset_id};
	return rep_intake_update(&f->intake, block, 2, "12345", 5, rep_partition(asset_id), detail);
}

static enum rep_taken update(struct fixture *f, uint64_t request_seq, uint64_t first)
{
	struct rep_verdict_detail detail;
	return update_asset(f, request_seq, first, 7, &detail);
}

static void stride_when_any_payload_then_whole_cache_lines_that_hold_it(void **state)
{
	for (uint32_t bytes = 0; bytes <= REP_MAX_PAYLOAD_BYTES; bytes++) {
		uint32_t stride = rep_arena_stride(bytes);
		assert_true(stride >= rep_entry_bytes(bytes) && stride % 64 == 0);
		assert_true(stride < rep_entry_bytes(bytes) + 64);
	}
}

static void intake_when_not_paired_then_not_primary_for_everything(void **state)
{
	struct fixture f;
	struct rep_verdict_detail detail;
	start(&f, false, 4);
	begin(&f);
	assert_int_equal(f.intake.room, 0);
	assert_int_equal(update(&f, 1, 1), REP_REFUSED_NOT_PRIMARY);
	assert_int_equal(rep_intake_open(&f.intake, 5, &detail), REP_REFUSED_NOT_PRIMARY);
	assert_int_equal(rep_intake_close(&f.intake, 5), REP_REFUSED_NOT_PRIMARY);
	assert_int_equal(f.intake.pending, 0);
	stop(&f);
}

static void update_when_fresh_then_entry_is_whole_and_sealed(void **state)
{
	struct fixture f;
	struct rep_verdict_detail detail;
	start(&f, true, 4);
	open_one(&f);
	begin(&f);
	uint64_t timestamp_ns = f.intake.timestamp_ns;
	assert_int_equal(update_asset(&f, 2, 1, 7, &detail), REP_TAKEN);
	assert_int_equal(detail.sequence, 2);
	assert_int_equal(detail.partition, rep_partition(7));
	const struct rep_entry *entry = rep_arena_entry(&f.intake.arena, 2);
	const uint8_t payload[8] = "12345\0\0\0";
	assert_int_equal(entry->sequence, 2);
	assert_int_equal(entry->epoch, 3);
	assert_int_equal(entry->timestamp_ns, timestamp_ns);
	assert_int_equal(entry->client_id, f.client_id);
	assert_int_equal(entry->request_seq, 2);
	assert_int_equal(entry->first_incomplete_seq, 1);
	assert_int_equal(entry->asset_id, 7);
	assert_int_equal(entry->payload_bytes, 5);
	assert_int_equal(entry->kind, REP_ENTRY_UPDATE);
	assert_int_equal(entry->opcode, 2);
	assert_int_equal(entry->reserved, 0);
	assert_memory_equal(entry->payload, payload, 8);
	assert_int_equal(entry->crc, rep_entry_crc(entry));
	submit(&f);
	assert_int_equal(f.core.last_sequence, 2);
	stop(&f);
}

static void update_when_repeated_then_names_the_first_whatever_asset_it_names(void **state)
{
	struct fixture f;
	struct rep_verdict_detail detail;
	start(&f, true, 4);
	open_one(&f);
	begin(&f);
	assert_int_equal(update_asset(&f, 1, 1, 7, &detail), REP_TAKEN);
	/* In the same poll, before anything was sent. */
	assert_int_equal(update_asset(&f, 1, 1, 8, &detail), REP_TAKEN_REPEAT);
	assert_int_equal(detail.sequence, 2);
	assert_int_equal(detail.partition, rep_partition(7));
	assert_int_not_equal(rep_partition(7), rep_partition(8));
	assert_int_equal(f.intake.pending, 1);
	submit(&f);
	begin(&f);
	assert_int_equal(update_asset(&f, 1, 1, 9, &detail), REP_TAKEN_REPEAT);
	assert_int_equal(detail.sequence, 2);
	assert_int_equal(f.intake.pending, 0);
	stop(&f);
}

static void update_when_numbers_are_old_or_far_then_forgotten_or_overloaded(void **state)
{
	struct fixture f;
	start(&f, true, 4);
	open_one(&f);
	begin(&f);
	assert_int_equal(update(&f, 5, 1), REP_REFUSED_OVERLOADED);
	assert_int_equal(update(&f, 4, 4), REP_TAKEN);
	assert_int_equal(update(&f, 3, 3), REP_REFUSED_FORGOTTEN);
	f.client_id++;
	assert_int_equal(update(&f, 4, 4), REP_REFUSED_FORGOTTEN);
	stop(&f);
}

static void room_when_window_is_full_then_busy_but_repeats_are_known(void **state)
{
	struct fixture f;
	struct rep_verdict_detail detail;
	start(&f, true, 4);
	open_one(&f);
	begin(&f);
	assert_int_equal(f.intake.room, 8);
	for (uint64_t seq = 1; seq <= 8; seq++)
		assert_int_equal(update(&f, seq, seq), REP_TAKEN);
	assert_int_equal(f.intake.room, 0);
	assert_int_equal(update(&f, 9, 9), REP_REFUSED_BUSY);
	assert_int_equal(update(&f, 8, 8), REP_TAKEN_REPEAT);
	assert_int_equal(rep_intake_open(&f.intake, 77, &detail), REP_REFUSED_BUSY);
	assert_int_equal(rep_intake_close(&f.intake, f.client_id), REP_REFUSED_BUSY);
	submit(&f);
	begin(&f);
	assert_int_equal(f.intake.room, 0);
	/* A refusal left no trace: once there is room the same request is fresh. */
	standby_acknowledges(&f, 6);
	begin(&f);
	assert_int_equal(f.intake.room, 5);
	assert_int_equal(update(&f, 9, 9), REP_TAKEN);
	stop(&f);
}

static void open_when_nonce_repeats_then_repeat_also_before_it_is_submitted(void **state)
{
	struct fixture f;
	struct rep_verdict_detail first, second;
	start(&f, true, 4);
	begin(&f);
	assert_int_equal(rep_intake_open(&f.intake, 55, &first), REP_TAKEN);
	assert_int_equal(rep_intake_open(&f.intake, 55, &second), REP_TAKEN_REPEAT);
	assert_int_equal(second.sequence, first.sequence);
	assert_int_equal(second.session, first.session);
	assert_int_equal(
		rep_arena_entry(&f.intake.arena, 1)->client_id, rep_session_client_id(3, 1)
	);
	assert_int_equal(rep_arena_entry(&f.intake.arena, 1)->payload_bytes, 0);
	submit(&f);
	begin(&f);
	assert_int_equal(rep_intake_open(&f.intake, 55, &second), REP_TAKEN_REPEAT);
	assert_int_equal(second.sequence, first.sequence);
	stop(&f);
}

static void open_when_nonce_is_zero_then_refused_and_nothing_aborts(void **state)
{
	struct fixture f;
	struct rep_verdict_detail detail;
	start(&f, true, 4);
	begin(&f);
	assert_int_equal(rep_intake_open(&f.intake, 0, &detail), REP_REFUSED_FORGOTTEN);
	assert_int_equal(f.intake.pending, 0);
	stop(&f);
}

static void open_when_table_is_full_then_busy_until_one_is_closed(void **state)
{
	struct fixture f;
	struct rep_verdict_detail detail;
	start(&f, true, 2);
	open_one(&f);
	begin(&f);
	assert_int_equal(rep_intake_open(&f.intake, 56, &detail), REP_TAKEN);
	assert_int_equal(rep_intake_open(&f.intake, 57, &detail), REP_REFUSED_BUSY);
	assert_int_equal(rep_intake_open(&f.intake, 56, &detail), REP_TAKEN_REPEAT);
	assert_int_equal(rep_intake_close(&f.intake, f.client_id), REP_TAKEN);
	assert_int_equal(rep_intake_close(&f.intake, f.client_id), REP_REFUSED_FORGOTTEN);
	assert_int_equal(rep_intake_open(&f.intake, 57, &detail), REP_TAKEN);
	assert_int_equal(detail.sequence, 4);
	submit(&f);
	assert_int_equal(f.core.last_sequence, 4);
	begin(&f);
	assert_int_equal(update(&f, 1, 1), REP_REFUSED_FORGOTTEN);
	stop(&f);
}

static void timestamp_when_clock_steps_back_then_never_decreases(void **state)
{
	struct fixture f;
	start(&f, true, 4);
	rep_intake_begin(&f.intake, 5000);
	rep_intake_begin(&f.intake, 4000);
	assert_int_equal(f.intake.timestamp_ns, 5000);
	stop(&f);
}

static void follow_when_entries_are_the_primarys_then_tables_are_equal(void **state)
{
	struct fixture f, g;
	struct rep_verdict_detail detail;
	start(&f, true, 4);
	open_one(&f);
	begin(&f);
	update(&f, 1, 1);
	update(&f, 3, 2);
	rep_intake_open(&f.intake, 99, &detail);
	submit(&f);
	uint8_t arena[16 * 128];
	memcpy(arena, f.intake.arena.base, sizeof(arena));
	struct rep_session_table expected = f.sessions;
	start(&g, false, 4);
	memcpy(g.intake.arena.base, arena, sizeof(arena));
	struct rep_verdict_detail details[4];
	enum rep_session_fault fault;
	assert_int_equal(rep_intake_follow(&g.intake, 1, 4, details, &fault), 4);
	assert_int_equal(fault, REP_SESSION_OK);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(details[i].sequence, i + 1);
	assert_int_equal(g.sessions.digest, expected.digest);
	/* The same entry again does not fit, and says so instead of aborting. */
	assert_int_equal(rep_intake_follow(&g.intake, 3, 2, details, &fault), 0);
	assert_int_equal(fault, REP_SESSION_DUPLICATE);
	assert_int_equal(g.sessions.digest, expected.digest);
	stop(&f);
	stop(&g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(stride_when_any_payload_then_whole_cache_lines_that_hold_it),
		cmocka_unit_test(intake_when_not_paired_then_not_primary_for_everything),
		cmocka_unit_test(update_when_fresh_then_entry_is_whole_and_sealed),
		cmocka_unit_test(update_when_repeated_then_names_the_first_whatever_asset_it_names),
		cmocka_unit_test(update_when_numbers_are_old_or_far_then_forgotten_or_overloaded),
		cmocka_unit_test(room_when_window_is_full_then_busy_but_repeats_are_known),
		cmocka_unit_test(open_when_nonce_repeats_then_repeat_also_before_it_is_submitted),
		cmocka_unit_test(open_when_nonce_is_zero_then_refused_and_nothing_aborts),
		cmocka_unit_test(open_when_table_is_full_then_busy_until_one_is_closed),
		cmocka_unit_test(timestamp_when_clock_steps_back_then_never_decreases),
		cmocka_unit_test(follow_when_entries_are_the_primarys_then_tables_are_equal),
	};
	return cmocka_run_group_tests(tests, NULL, NULL) != 0;
}
