/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The role record's bytes: what is written is read, whatever is wrong is seen (inv. 29), and the
 * table that chooses between two copies, whole (faults.md S14, S16; inv. 18, 32).
 */
#include "config/bytes.h"
#include "config/crc32c.h"
#include "recovery/record_file.h"
#include "tests/unit/role_world.h"
#include "tests/unit/unit.h"

#include <stdlib.h>

#define CRC_AT 12

typedef void choose_fn(
	struct rec_role_choice *choice,
	struct rec_role *role,
	const struct log_identity *identity,
	const struct rec_role_copy copies[2],
	bool used
);

/* Both copies as files, and what went into them. */
struct files {
	uint8_t data[2][REC_ROLE_BYTES + 1];
	struct rec_role_copy copies[2];
	struct rec_role role[2];
};

static void seal(uint8_t *block)
{
	sf_store32(block + CRC_AT, 0);
	sf_store32(block + CRC_AT, sf_crc32c_end(sf_crc32c(SF_CRC32C_INIT, block, REC_ROLE_BYTES)));
}

/* Numbers n of copy 0 and m of copy 1; one record when they are the same. */
static void make(struct files *files, uint64_t seed, uint64_t n, uint64_t m)
{
	struct random random = random_seeded(seed);
	files->role[0] = role_random(&random, n);
	files->role[1] = n == m ? files->role[0] : role_random(&random, m);
	for (uint32_t i = 0; i < 2; i++) {
		memset(files->data[i], 0, sizeof(files->data[i]));
		rec_role_encode(files->data[i], &role_identity, &files->role[i], i);
		files->copies[i] =
			(struct rec_role_copy){.data = files->data[i], .bytes = REC_ROLE_BYTES};
	}
}

/* --- One copy --- */

static void role_when_written_is_read_as_it_was(void **state)
{
	struct random random = random_seeded(random_test_seed("test_record_file", 1));
	uint8_t block[REC_ROLE_BYTES];
	for (int i = 0; i < 2000; i++) {
		struct rec_role role = role_random(&random, random_u64(&random)), read;
		assert_true(rec_role_is_valid(&role));
		rec_role_encode(block, &role_identity, &role, (uint32_t)i % 2);
		assert_int_equal(
			rec_role_decode(
				block, sizeof(block), &role_identity, (uint32_t)i % 2, &read
			),
			REC_COPY_OK
		);
		assert_true(role_equal(&role, &read));
	}
}

static void block_when_written_has_each_field_in_its_place(void **state)
{
	struct rec_role role = {
		.record =
			{.write_number = 1,
			 .incarnation = 2,
			 .boots = 3,
			 .committed = 4,
			 .final_sequence = 5,
			 .final_digest = 6,
			 .safety_hash = 7,
			 .pair = {.epoch = 11, .primary = 1, .in_sync = 3, .holder = 0xff},
			 .epoch = 12,
			 .mode = REP_RECORD_PAIRED,
			 .amnesiac = true,
			 .clean = true},
		.arbiter = {.mod_revision = 9, .cluster_id = 10, .epoch = 13},
		.written_unix_ns = 8,
		.lineage_count = 2,
		.lineage = {{.epoch = 20, .first_sequence = 21}, {22, 0, 23}},
	};
	uint8_t b[REC_ROLE_BYTES], zeros[REC_ROLE_BYTES] = {0};
	rec_role_encode(b, &role_identity, &role, 1);
	assert_memory_equal(b, "STFROLE1", 8);
	assert_int_equal(sf_load32(b + 8), REC_ROLE_VERSION);
	assert_int_equal(sf_load64(b + 16), role_identity.cluster_hash);
	for (uint64_t i = 0; i < 8; i++)
		assert_int_equal(sf_load64(b + 24 + 8 * i), i + 1);
	assert_int_equal(sf_load64(b + 88), 10);
	assert_int_equal(sf_load64(b + 96), 9);
	assert_int_equal(sf_load32(b + 104), 13);
	assert_int_equal(sf_load32(b + 108), 11);
	assert_int_equal(sf_load32(b + 112), 12);
	assert_int_equal(sf_load32(b + 116), 2);
	const uint8_t bytes[] = {1, 1, REP_RECORD_PAIRED, 3, 1, 3, 0xff, 0};
	assert_memory_equal(b + 120, bytes, sizeof(bytes));
	assert_string_equal((char *)b + 128, "test");
	assert_string_equal((char *)b + 160, "b");
	assert_int_equal(sf_load32(b + 192), 20);
	assert_int_equal(sf_load64(b + 216), 23);
	assert_memory_equal(b + 224, zeros, REC_ROLE_BYTES - 224);
	uint32_t crc = sf_load32(b + CRC_AT);
	seal(b);
	assert_int_equal(sf_load32(b + CRC_AT), crc);
}

/* With a CRC that fits: written so by nobody. */
static void block_when_it_says_what_cannot_be_is_refused(void **state)
{
	static const struct {
		uint32_t at;
		uint8_t value;
		enum rec_copy_fault fault;
	} rows[] = {
		{8, REC_ROLE_VERSION + 1, REC_COPY_BAD_VERSION},
		{8, 0, REC_COPY_BAD_VERSION},
		{16, 0, REC_COPY_OTHER_CLUSTER},
		{120, 0, REC_COPY_OTHER_NODE},
		{121, 1, REC_COPY_OTHER_PLACE},
		{122, REP_RECORD_MODES, REC_COPY_BAD_VALUE},
		{123, 4, REC_COPY_BAD_PADDING},
		{124, 2, REC_COPY_BAD_VALUE},
		{125, 7, REC_COPY_BAD_VALUE},
		{125, 0, REC_COPY_BAD_VALUE}, /* the primary is not in it */
		{126, 2, REC_COPY_BAD_VALUE},
		{127, 1, REC_COPY_BAD_PADDING},
		{116, 1, REC_COPY_BAD_PADDING}, /* an entry behind the last */
		{116, REP_MAX_LINEAGE + 1, REC_COPY_BAD_VALUE},
		{119, 0xff, REC_COPY_BAD_VALUE}, /* as many as four bytes can say */
		{192, 99, REC_COPY_BAD_VALUE},	 /* epochs that do not rise */
		{192 + 8, 99, REC_COPY_BAD_VALUE},
		{192 + 4, 1, REC_COPY_BAD_VALUE},
		{192 + 2 * 16, 1, REC_COPY_BAD_PADDING},
		{1216, 1, REC_COPY_BAD_PADDING},
		{REC_ROLE_BYTES - 1, 1, REC_COPY_BAD_PADDING},
	};
	struct rec_role role = {
		.record = {.pair = {.epoch = 4, .in_sync = 3}},
		.lineage_count = 2,
		.lineage = {{.epoch = 2, .first_sequence = 1}, {4, 0, 7}},
	};
	uint8_t block[REC_ROLE_BYTES];
	struct rec_role as_it_was = role, read = role;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		rec_role_encode(block, &role_identity, &role, 0);
		block[rows[i].at] = rows[i].value;
		seal(block);
		assert_int_equal(
			rec_role_decode(block, sizeof(block), &role_identity, 0, &read),
			rows[i].fault
		);
		assert_true(role_equal(&read, &as_it_was));
	}
}

/* One more than fit, and what follows in memory would do as one. */
static void lineage_when_too_long_is_refused_without_a_look_behind_it(void **state)
{
	struct rec_role roles[2] = {0};
	for (uint32_t i = 0; i < REP_MAX_LINEAGE; i++)
		roles[0].lineage[i] = (struct rep_lineage){.epoch = i + 1, .first_sequence = i};
	memcpy(&roles[1],
	       &(struct rep_lineage){.epoch = 1000, .first_sequence = 1000},
	       sizeof(struct rep_lineage));
	roles[0].lineage_count = REP_MAX_LINEAGE;
	assert_true(rec_role_is_valid(&roles[0]));
	roles[0].lineage_count = REP_MAX_LINEAGE + 1;
	assert_false(rec_role_is_valid(&roles[0]));
}

static void look_when_nobody_knows_whose_it_is_says_it(void **state)
{
	struct files files;
	struct log_identity whose = {0};
	make(&files, 1, 4, 5);
	assert_true(rec_role_whose(files.data[0], REC_ROLE_BYTES, &whose));
	assert_memory_equal(&whose, &role_identity, sizeof(whose));
	files.data[0][700] ^= 1;
	assert_false(rec_role_whose(files.data[0], REC_ROLE_BYTES, &whose));
	assert_false(rec_role_whose(files.data[1], 100, &whose));
}

/* --- Every byte, every length --- */

/* Damage to one copy that goes unnoticed, or costs the other one. */
static uint32_t flips_missed(choose_fn *choose, uint64_t n, uint64_t m)
{
	struct files files;
	struct rec_role_choice choice;
	struct rec_role role;
	uint32_t missed = 0;
	make(&files, n * 100 + m, n, m);
	for (uint32_t copy = 0; copy < 2; copy++)
		for (uint32_t at = 0; at < REC_ROLE_BYTES; at++)
			for (uint32_t bit = 0; bit <= 8; bit++) {
				uint8_t mask = bit < 8 ? (uint8_t)(1 << bit) : 0xff;
				files.data[copy][at] ^= mask;
				choose(&choice, &role, &role_identity, files.copies, true);
				missed += choice.verdict != REC_ROLE_ONE_BAD ||
					  choice.copy != 1 - copy ||
					  choice.fault[copy] == REC_COPY_OK ||
					  !role_equal(&role, &files.role[1 - copy]);
				files.data[copy][at] ^= mask;
			}
	choose(&choice, &role, &role_identity, files.copies, true);
	missed += choice.verdict != REC_ROLE_WHOLE;
	missed += !role_equal(&role, &files.role[n < m]);
	return missed;
}

static void byte_when_flipped_is_seen_and_the_other_copy_counts(void **state)
{
	assert_int_equal(flips_missed(rec_role_choose, 6, 6), 0);
	assert_int_equal(flips_missed(rec_role_choose, 6, 7), 0);
	assert_int_equal(flips_missed(rec_role_choose, 8, 7), 0);
}

/* Canary: makes the CRC right before it looks. */
static void choose_without_crc(
	struct rec_role_choice *choice,
	struct rec_role *role,
	const struct log_identity *identity,
	const struct rec_role_copy copies[2],
	bool used
)
{
	static uint8_t sealed[2][REC_ROLE_BYTES];
	struct rec_role_copy those[2] = {copies[0], copies[1]};
	for (int i = 0; i < 2; i++) {
		memcpy(sealed[i], copies[i].data, REC_ROLE_BYTES);
		seal(sealed[i]);
		those[i].data = sealed[i];
	}
	rec_role_choose(choice, role, identity, those, used);
}

/* Canary: copy 0, unless it is bad. */
static void choose_the_first(
	struct rec_role_choice *choice,
	struct rec_role *role,
	const struct log_identity *identity,
	const struct rec_role_copy copies[2],
	bool used
)
{
	rec_role_choose(choice, role, identity, copies, used);
	if (choice->fault[0] == REC_COPY_OK)
		rec_role_decode(copies[0].data, copies[0].bytes, identity, 0, role);
}

static void decoder_when_it_ignores_the_crc_then_the_check_says_so(void **state)
{
	assert_true(flips_missed(choose_without_crc, 6, 7) > 1000);
}

static void choice_when_it_does_not_take_the_newest_then_the_check_says_so(void **state)
{
	assert_int_equal(flips_missed(choose_the_first, 6, 7), 1);
}

static void file_when_cut_anywhere_is_seen_and_the_other_copy_counts(void **state)
{
	struct files files;
	struct rec_role_choice choice;
	struct rec_role role;
	make(&files, 3, 8, 7);
	for (uint64_t bytes = 0; bytes < REC_ROLE_BYTES; bytes++)
		for (uint32_t copy = 0; copy < 2; copy++) {
			/* Of exactly this size, so that a sanitizer sees a read beyond. */
			uint8_t *cut = malloc(bytes + 1);
			assert_non_null(cut);
			memcpy(cut, files.data[copy], bytes);
			struct rec_role_copy those[2] = {files.copies[0], files.copies[1]};
			those[copy] = (struct rec_role_copy){.data = cut, .bytes = bytes};
			rec_role_choose(&choice, &role, &role_identity, those, true);
			assert_int_equal(choice.verdict, REC_ROLE_ONE_BAD);
			assert_int_equal(
				choice.fault[copy], bytes == 0 ? REC_COPY_EMPTY : REC_COPY_SHORT
			);
			assert_true(role_equal(&role, &files.role[1 - copy]));
			those[1 - copy].bytes = bytes;
			rec_role_choose(&choice, &role, &role_identity, those, true);
			assert_int_equal(choice.verdict, REC_ROLE_BOTH_BAD);
			assert_int_equal(role.record.mode, REP_RECORD_BLANK);
			free(cut);
		}
	files.copies[0].bytes++;
	rec_role_choose(&choice, &role, &role_identity, files.copies, true);
	assert_int_equal(choice.verdict, REC_ROLE_ONE_BAD);
	assert_int_equal(choice.fault[0], REC_COPY_LONG);
}

/* --- The table --- */

enum kind { NEWER, OLDER, SAME, FORKED, FAULTS_FROM };
#define KINDS (FAULTS_FROM + REC_COPY_FAULTS - 1)

static enum rec_copy_fault fault_of(enum kind kind)
{
	return kind < FAULTS_FROM ? REC_COPY_OK : (enum rec_copy_fault)(kind - FAULTS_FROM + 1);
}

static void damage(struct files *files, uint32_t i, enum kind kind)
{
	uint8_t *block = files->data[i];
	struct rec_role_copy *copy = &files->copies[i];
	enum rec_copy_fault fault = fault_of(kind);
	if (kind < FAULTS_FROM) {
		static const uint64_t numbers[] = {
			[NEWER] = 9, [OLDER] = 7, [SAME] = 8, [FORKED] = 8};
		struct random random = random_seeded(numbers[kind]);
		struct rec_role role = role_random(&random, numbers[kind]);
		role.record.boots += kind == FORKED;
		files->role[i] = role;
		rec_role_encode(block, &role_identity, &role, i);
		return;
	}
	if (fault == REC_COPY_ABSENT || fault == REC_COPY_UNREADABLE)
		copy->state = fault;
	else if (fault == REC_COPY_EMPTY)
		memset(block, 0, REC_ROLE_BYTES);
	else if (fault == REC_COPY_SHORT || fault == REC_COPY_LONG)
		copy->bytes = fault == REC_COPY_LONG ? REC_ROLE_BYTES + 1 : 4000;
	else if (fault == REC_COPY_BAD_MAGIC || fault == REC_COPY_BAD_CRC)
		block[fault == REC_COPY_BAD_MAGIC ? 0 : 500] ^= 1;
	else {
		uint32_t at = fault == REC_COPY_BAD_VERSION	? 8
			      : fault == REC_COPY_OTHER_CLUSTER ? 16
			      : fault == REC_COPY_OTHER_NODE	? 120
			      : fault == REC_COPY_OTHER_PLACE	? 121
			      : fault == REC_COPY_BAD_PADDING	? 127
								: 122;
		block[at] ^= fault == REC_COPY_BAD_VALUE ? 0x80 : 1;
		seal(block);
	}
}

/* The table of recovery/README.md, once more and in other words. */
static enum rec_role_verdict expected(enum kind a, enum kind b, bool used)
{
	enum rec_copy_fault f[2] = {fault_of(a), fault_of(b)};
	bool version = false, other = false, error = false, file = false;
	int good = 0;
	for (int i = 0; i < 2; i++) {
		version |= f[i] == REC_COPY_BAD_VERSION;
		other |= f[i] == REC_COPY_OTHER_CLUSTER || f[i] == REC_COPY_OTHER_NODE;
		error |= f[i] == REC_COPY_UNREADABLE;
		file |= f[i] != REC_COPY_ABSENT;
		good += f[i] == REC_COPY_OK;
	}
	if (version || other)
		return version ? REC_ROLE_OTHER_VERSION : REC_ROLE_OTHER_IDENTITY;
	if (good == 2 && ((a == SAME && b == FORKED) || (a == FORKED && b == SAME)))
		return REC_ROLE_CONFLICT;
	if (good > 0)
		return good == 2 ? REC_ROLE_WHOLE : REC_ROLE_ONE_BAD;
	if (error)
		return REC_ROLE_UNREADABLE;
	if (file)
		return REC_ROLE_BOTH_BAD;
	return used ? REC_ROLE_LOST : REC_ROLE_FRESH;
}

static void check_row(enum kind a, enum kind b, bool used, uint32_t *seen)
{
	struct files files;
	struct rec_role_choice choice;
	struct rec_role role;
	make(&files, 5, 8, 8);
	damage(&files, 0, a);
	damage(&files, 1, b);
	rec_role_choose(&choice, &role, &role_identity, files.copies, used);
	assert_int_equal(choice.fault[0], fault_of(a));
	assert_int_equal(choice.fault[1], fault_of(b));
	assert_int_equal(choice.verdict, expected(a, b, used));
	seen[choice.verdict]++;
	if (choice.verdict == REC_ROLE_WHOLE || choice.verdict == REC_ROLE_ONE_BAD) {
		uint32_t other = 1 - choice.copy;
		assert_true(role_equal(&role, &files.role[choice.copy]));
		assert_int_equal(choice.fault[choice.copy], REC_COPY_OK);
		if (choice.verdict == REC_ROLE_WHOLE)
			assert_true(choice.number[choice.copy] >= choice.number[other]);
		return;
	}
	/* inv. 18: blank, and where something was, not even a founder. */
	assert_int_equal(choice.copy, REC_ROLE_COPIES);
	assert_int_equal(role.record.mode, REP_RECORD_BLANK);
	assert_int_equal(role.record.epoch, 0);
	assert_int_equal(role.record.pair.epoch, 0);
	assert_int_equal(role.record.node, role_identity.node);
	assert_int_equal(role.record.amnesiac, rec_role_learns_only(choice.verdict));
	assert_true(rec_role_is_valid(&role));
}

static void copies_when_in_any_two_states_get_the_verdict_of_the_table(void **state)
{
	uint32_t seen[REC_ROLE_VERDICTS] = {0};
	for (uint32_t a = 0; a < KINDS; a++)
		for (uint32_t b = 0; b < KINDS; b++)
			for (int used = 0; used < 2; used++)
				check_row((enum kind)a, (enum kind)b, used, seen);
	for (uint32_t v = 0; v < REC_ROLE_VERDICTS; v++) {
		enum rec_role_verdict verdict = (enum rec_role_verdict)v;
		bool well = verdict == REC_ROLE_FRESH || verdict == REC_ROLE_WHOLE;
		assert_true(seen[v] > 0);
		assert_true(strlen(rec_role_verdict_name(verdict)) > 3);
		assert_true(strlen(rec_role_verdict_text(verdict)) > 20);
		assert_int_equal(*rec_role_verdict_remedy(verdict) == 0, well);
		assert_false(rec_role_refuses(verdict) && rec_role_learns_only(verdict));
	}
	for (uint32_t f = 0; f < REC_COPY_FAULTS; f++) {
		assert_true(strlen(rec_copy_fault_name((enum rec_copy_fault)f)) > 1);
		assert_true(strlen(rec_copy_fault_text((enum rec_copy_fault)f)) > 10);
	}
	assert_string_equal(rec_copy_fault_name(REC_COPY_FAULTS), "unknown");
	assert_string_equal(rec_role_verdict_text(REC_ROLE_VERDICTS), "unknown");
}

/* S16: A's disk in B, and a disk of another cluster. */
static void disks_when_swapped_are_refused(void **state)
{
	struct files files;
	struct rec_role_choice choice;
	struct rec_role role;
	struct log_identity ours = role_identity;
	make(&files, 6, 3, 2);
	ours.node = 0;
	rec_role_choose(&choice, &role, &ours, files.copies, true);
	assert_int_equal(choice.verdict, REC_ROLE_OTHER_IDENTITY);
	assert_int_equal(choice.fault[0], REC_COPY_OTHER_NODE);
	assert_true(rec_role_refuses(choice.verdict));
	ours = role_identity;
	ours.cluster_hash++;
	rec_role_choose(&choice, &role, &ours, files.copies, true);
	assert_int_equal(choice.verdict, REC_ROLE_OTHER_IDENTITY);
	assert_int_equal(choice.fault[1], REC_COPY_OTHER_CLUSTER);
	assert_int_equal(role.record.mode, REP_RECORD_BLANK);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(role_when_written_is_read_as_it_was),
		cmocka_unit_test(block_when_written_has_each_field_in_its_place),
		cmocka_unit_test(block_when_it_says_what_cannot_be_is_refused),
		cmocka_unit_test(lineage_when_too_long_is_refused_without_a_look_behind_it),
		cmocka_unit_test(look_when_nobody_knows_whose_it_is_says_it),
		cmocka_unit_test(byte_when_flipped_is_seen_and_the_other_copy_counts),
		cmocka_unit_test(decoder_when_it_ignores_the_crc_then_the_check_says_so),
		cmocka_unit_test(choice_when_it_does_not_take_the_newest_then_the_check_says_so),
		cmocka_unit_test(file_when_cut_anywhere_is_seen_and_the_other_copy_counts),
		cmocka_unit_test(copies_when_in_any_two_states_get_the_verdict_of_the_table),
		cmocka_unit_test(disks_when_swapped_are_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL) != 0;
}
