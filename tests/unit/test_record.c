/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What a role record becomes at a boot, and whether it is complete: a row for each mode, way of
 * stopping, meaning of acknowledged and amnesia (roles.md R7; inv. 7, 11, 14, 18).
 */
#include "replication/record.h"
#include "tests/unit/unit.h"

#include <string.h>

#define ACKS 3
#define N REP_ACK_NONE
#define R REP_ACK_RECEIVED
#define D REP_ACK_DURABLE

/* Amnesiac after a boot: [stopped in good order][ack], of a record that was not before. */
static const struct {
	enum rep_record_mode mode;
	bool amnesiac[2][ACKS];
} rows[] = {
	/* Never had a role: it has nothing to forget. */
	{REP_RECORD_BLANK,
	 {[false] = {[R] = false, [D] = false, [N] = false},
	  [true] = {[R] = false, [D] = false, [N] = false}}},
	/* May lack what was acknowledged, until it is admitted; a good stop brings nothing. */
	{REP_RECORD_LEARNER,
	 {[false] = {[R] = true, [D] = true, [N] = true},
	  [true] = {[R] = true, [D] = true, [N] = true}}},
	/* In sync in memory: on disk only after a good stop, or when acknowledged means durable. */
	{REP_RECORD_STANDBY,
	 {[false] = {[R] = true, [D] = false, [N] = true},
	  [true] = {[R] = false, [D] = false, [N] = false}}},
	{REP_RECORD_PAIRED,
	 {[false] = {[R] = true, [D] = false, [N] = true},
	  [true] = {[R] = false, [D] = false, [N] = false}}},
	/* It answered only what was durable here (R3). */
	{REP_RECORD_ALONE,
	 {[false] = {[R] = false, [D] = false, [N] = false},
	  [true] = {[R] = false, [D] = false, [N] = false}}},
};

static struct rep_record record_of(uint32_t mode, bool clean, bool amnesiac)
{
	return (struct rep_record){
		.write_number = 17,
		.incarnation = 100,
		.boots = 5,
		.committed = 1000,
		.final_sequence = 1001,
		.final_digest = 77,
		.safety_hash = 88,
		.cluster_hash = 99,
		.pair = {.epoch = 12, .primary = 0, .in_sync = 3, .holder = REP_HOLDER_ARBITER},
		.epoch = 12,
		.mode = (uint8_t)mode,
		.node = 1,
		.amnesiac = amnesiac,
		.clean = clean,
	};
}

static void record_when_booted_is_amnesiac_by_the_table(void **state)
{
	assert_int_equal(sizeof(rows) / sizeof(rows[0]), REP_RECORD_MODES);
	for (uint32_t mode = 0; mode < REP_RECORD_MODES; mode++)
		for (int clean = 0; clean < 2; clean++)
			for (int ack = 0; ack < ACKS; ack++)
				for (int before = 0; before < 2; before++) {
					struct rep_record record = record_of(mode, clean, before);
					assert_int_equal(rows[mode].mode, mode);
					rep_record_boot(&record, 101, (enum rep_ack)ack);
					/* Only an admission ends it: no boot does. */
					assert_int_equal(
						record.amnesiac,
						before || rows[mode].amnesiac[clean][ack]
					);
				}
}

static void record_when_booted_is_a_new_life_and_keeps_the_rest(void **state)
{
	for (uint32_t mode = 0; mode < REP_RECORD_MODES; mode++)
		for (int clean = 0; clean < 2; clean++) {
			struct rep_record before = record_of(mode, clean, false), after = before;
			rep_record_boot(&after, 101, REP_ACK_RECEIVED);
			assert_int_equal(after.incarnation, 101);
			assert_int_equal(after.boots, before.boots + 1);
			assert_int_equal(after.write_number, before.write_number + 1);
			assert_false(after.clean); /* the next stop must earn it anew */
			after.incarnation = before.incarnation;
			after.boots = before.boots;
			after.write_number = before.write_number;
			after.clean = before.clean;
			after.amnesiac = before.amnesiac;
			assert_memory_equal(&after, &before, sizeof(after));
		}
}

/* The second start after an unclean stop must not look like one after a good stop. */
static void record_when_booted_twice_after_a_good_stop_has_lost_its_memory(void **state)
{
	struct rep_record record = record_of(REP_RECORD_STANDBY, true, false);
	rep_record_boot(&record, 101, REP_ACK_RECEIVED);
	assert_false(record.amnesiac);
	rep_record_boot(&record, 102, REP_ACK_RECEIVED);
	assert_true(record.amnesiac);
}

static void record_when_of_this_epoch_in_sync_and_not_amnesiac_is_complete(void **state)
{
	for (uint32_t mode = 0; mode < REP_RECORD_MODES; mode++)
		for (int amnesiac = 0; amnesiac < 2; amnesiac++)
			for (uint32_t epoch = 11; epoch <= 13; epoch++) {
				struct rep_record record = record_of(mode, false, amnesiac);
				struct rep_pair pair = record.pair;
				bool in_sync = mode == REP_RECORD_STANDBY ||
					       mode == REP_RECORD_PAIRED ||
					       mode == REP_RECORD_ALONE;
				pair.epoch = epoch;
				assert_int_equal(
					rep_record_complete(&record, &pair),
					epoch == 12 && in_sync && !amnesiac
				);
			}
}

static void epoch_when_next_is_higher_and_names_its_author(void **state)
{
	for (uint32_t epoch = 0; epoch < 100; epoch++)
		for (uint8_t author = 0; author < 2; author++) {
			uint32_t next = rep_next_epoch(epoch, author);
			assert_true(next > epoch && next <= epoch + 2);
			assert_int_equal(next & 1, author);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(record_when_booted_is_amnesiac_by_the_table),
		cmocka_unit_test(record_when_booted_is_a_new_life_and_keeps_the_rest),
		cmocka_unit_test(record_when_booted_twice_after_a_good_stop_has_lost_its_memory),
		cmocka_unit_test(record_when_of_this_epoch_in_sync_and_not_amnesiac_is_complete),
		cmocka_unit_test(epoch_when_next_is_higher_and_names_its_author),
	};
	return cmocka_run_group_tests(tests, NULL, NULL) != 0;
}
