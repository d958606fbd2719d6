/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/fuzz/record_input.h"

#include "config/bytes.h"
#include "tests/unit/random.h"

#include <string.h>

#define SEAL (RECORD_SEAL_0 | RECORD_SEAL_1)

const struct log_identity record_input_identity = {
	.cluster_hash = 0x1122334455667788ull,
	.node = 1,
	.cluster = "test",
	.node_name = "b",
};

enum record_case {
	CASE_SETTLED,
	CASE_SECOND_NEWER,
	CASE_FIRST_NEWER,
	CASE_LONG_LINEAGE,
	CASE_BLANK,
	CASE_ALONE,
	CASE_FRESH,
	CASE_LOST,
	CASE_ONE_ABSENT,
	CASE_ONE_FLIPPED,
	CASE_ONE_ERROR,
	CASE_BOTH_FLIPPED,
	CASE_BOTH_ERROR,
	CASE_ZEROS,
	CASE_SHORT,
	CASE_LONG,
	CASE_CONFLICT,
	CASE_SWAPPED,
	CASE_OTHER_NODE,
	CASE_OTHER_CLUSTER,
	CASE_OTHER_VERSION,
	CASE_BAD_MODE,
	CASE_BAD_PAIR,
	CASE_BAD_LINEAGE,
	CASE_LINEAGE_TOO_LONG,
	CASE_BAD_PADDING,
	CASES,
};
static const char *const case_names[CASES] = {
	"settled",	 "second-newer", "first-newer", "long-lineage", "blank",
	"alone",	 "fresh",	 "lost",	"one-absent",	"one-flipped",
	"one-error",	 "both-flipped", "both-error",	"zeros",	"short",
	"long",		 "conflict",	 "swapped",	"other-node",	"other-cluster",
	"other-version", "bad-mode",	 "bad-pair",	"bad-lineage",	"lineage-too-long",
	"bad-padding",
};

static uint8_t copies[2][REC_ROLE_BYTES];

static struct rec_role role_of(uint64_t number, enum rep_record_mode mode, uint32_t lineage)
{
	struct rec_role role = {
		.record =
			{
				.write_number = number,
				.incarnation = 5,
				.boots = 3,
				.committed = 100,
				.safety_hash = 77,
				.pair = {.epoch = 9, .primary = 1, .in_sync = 3, .holder = 0xff},
				.epoch = 9,
				.mode = (uint8_t)mode,
			},
		.arbiter = {.cluster_id = 4, .mod_revision = 6, .epoch = 9},
		.written_unix_ns = 1000 + number,
		.lineage_count = lineage,
	};
	for (uint32_t i = 0; i < lineage; i++) {
		role.lineage[i].epoch = 1 + 2 * i;
		role.lineage[i].first_sequence = 1 + 10 * i;
	}
	return role;
}

static void put(uint32_t copy, const struct rec_role *role)
{
	rec_role_encode(copies[copy], &record_input_identity, role, copy);
}

static uint32_t length_of(uint32_t copy)
{
	uint32_t bytes = REC_ROLE_BYTES;
	while (bytes > 0 && copies[copy][bytes - 1] == 0)
		bytes--;
	return bytes;
}

static size_t pack(struct record_input_head head, uint8_t *data)
{
	uint32_t first = (uint32_t)sf_round_up(length_of(0), 16), second = length_of(1);
	if (sizeof(head) + first + second > RECORD_INPUT_ROOM || first / 16 > UINT8_MAX)
		return 0;
	head.first_16 = (uint8_t)(first / 16);
	memcpy(data, &head, sizeof(head));
	memcpy(data + sizeof(head), copies[0], first);
	memcpy(data + sizeof(head) + first, copies[1], second);
	return sizeof(head) + first + second;
}

/* What is in the files, and what is said beside them. */
static void break_files(enum record_case which, struct record_input_head *head)
{
	switch (which) {
	case CASE_FRESH:
	case CASE_LOST:
		memset(copies, 0, sizeof(copies));
		head->what = RECORD_ABSENT_0 | RECORD_ABSENT_1;
		head->what |= which == CASE_LOST ? RECORD_USED : 0;
		break;
	case CASE_ONE_ABSENT:
		memset(copies[1], 0, REC_ROLE_BYTES);
		head->what = RECORD_ABSENT_1;
		break;
	case CASE_BOTH_FLIPPED:
		copies[1][200] ^= 8;
		copies[0][30] ^= 1;
		break;
	case CASE_ONE_FLIPPED:
		copies[0][30] ^= 1;
		break;
	case CASE_ONE_ERROR:
		head->what = RECORD_ERROR_0;
		break;
	case CASE_BOTH_ERROR:
		head->what = RECORD_ERROR_0 | RECORD_ERROR_1;
		break;
	case CASE_ZEROS:
		memset(copies, 0, sizeof(copies));
		break;
	case CASE_SHORT:
		head->cut[0] = 200;
		break;
	case CASE_LONG:
		head->what = RECORD_LONG;
		head->cut[1] = 1;
		break;
	default:
		break;
	}
}

/* Bytes that somebody sealed. */
static void break_blocks(enum record_case which, struct record_input_head *head)
{
	static const struct {
		enum record_case which;
		uint16_t at;
		uint8_t value;
	} rows[] = {
		{CASE_CONFLICT, 40, 9},
		{CASE_OTHER_NODE, 120, 0},
		{CASE_OTHER_CLUSTER, 16, 0},
		{CASE_OTHER_VERSION, 8, 2},
		{CASE_BAD_MODE, 122, 99},
		{CASE_BAD_PAIR, 125, 1},
		{CASE_BAD_LINEAGE, 192, 77},
		{CASE_LINEAGE_TOO_LONG, 117, 1},
		{CASE_BAD_PADDING, 1300, 1},
	};
	uint8_t saved[REC_ROLE_BYTES];
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (rows[i].which == which) {
			copies[1][rows[i].at] = rows[i].value;
			head->what = SEAL;
		}
	if (which == CASE_SWAPPED) {
		memcpy(saved, copies[0], sizeof(saved));
		memcpy(copies[0], copies[1], sizeof(saved));
		memcpy(copies[1], saved, sizeof(saved));
	}
}

size_t record_input_case(uint32_t number, uint8_t *data, const char **name)
{
	enum record_case which = (enum record_case)number;
	struct record_input_head head = {0};
	if (number >= CASES)
		return 0;
	*name = case_names[which];
	enum rep_record_mode mode = which == CASE_BLANK	  ? REP_RECORD_BLANK
				    : which == CASE_ALONE ? REP_RECORD_ALONE
							  : REP_RECORD_STANDBY;
	uint32_t lineage = which == CASE_LONG_LINEAGE ? REP_MAX_LINEAGE : 3;
	struct rec_role role = role_of(6, mode, lineage);
	put(0, &role);
	put(1, &role);
	role = role_of(7, REP_RECORD_LEARNER, lineage);
	if (which == CASE_SECOND_NEWER || which == CASE_FIRST_NEWER)
		put(which == CASE_SECOND_NEWER, &role);
	break_files(which, &head);
	break_blocks(which, &head);
	return pack(head, data);
}

size_t record_input_random(uint64_t seed, uint8_t *data, size_t room)
{
	struct random random = random_seeded(seed);
	struct record_input_head head = {.what = (uint8_t)random_below(&random, 4)};
	uint8_t whole[RECORD_INPUT_ROOM];
	for (uint32_t i = 0; i < 2; i++) {
		struct rec_role role =
			role_of(6 + random_below(&random, 2) * i,
				REP_RECORD_STANDBY,
				(uint32_t)random_below(&random, 8) * (6 + i));
		role.record.amnesiac = random_below(&random, 2) == 1;
		role.record.committed = random_u64(&random);
		put(i, &role);
	}
	if (random_below(&random, 4) == 0)
		head.what |= RECORD_ABSENT_0 << random_below(&random, 4);
	size_t bytes = pack(head, whole);
	if (bytes == 0 || bytes > room)
		return 0;
	memcpy(data, whole, bytes);
	return bytes;
}
