/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The role record's decoder, and the choice between two copies, over any bytes
 * (tests/fuzz/record_input.h says how an input becomes files). What must hold:
 *
 * - only the files are read, and the same is said twice;
 * - what is taken for good is a state that a node can be in, and encoded again it gives the same
 *   bytes: nothing in a block is overlooked;
 * - what counts is one of the copies, none that is good is newer, and two of one number are equal;
 * - where none counts the record is blank (inv. 18), and amnesiac unless there never was one;
 * - a verdict has words, and a remedy unless all is well; a refusal has a cause in a copy.
 */
#include "config/bytes.h"
#include "config/crc32c.h"
#include "tests/fuzz/fuzz_target.h"
#include "tests/fuzz/record_input.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CRC_AT 12

uint64_t fuzz_accepted;

static void need(bool good, const char *what)
{
	if (good)
		return;
	fprintf(stderr, "fuzz_record: not so: %s\n", what);
	abort();
}

/* --- Input to files --- */

static void seal(uint8_t *block)
{
	sf_store32(block + CRC_AT, 0);
	sf_store32(block + CRC_AT, sf_crc32c_end(sf_crc32c(SF_CRC32C_INIT, block, REC_ROLE_BYTES)));
}

/* Memory of exactly the file's size, so that a sanitizer sees a read beyond it. */
static void unpack_copy(
	struct rec_role_copy *copy,
	const uint8_t *data,
	size_t bytes,
	uint32_t i,
	uint8_t what,
	uint8_t cut
)
{
	uint8_t block[REC_ROLE_BYTES + 17 * UINT8_MAX] = {0};
	memcpy(block, data, sf_min64(bytes, REC_ROLE_BYTES));
	if (what & RECORD_SEAL_0 << i)
		seal(block);
	*copy = (struct rec_role_copy){.state = REC_COPY_OK};
	if (what & RECORD_ABSENT_0 << i)
		copy->state = REC_COPY_ABSENT;
	else if (what & RECORD_ERROR_0 << i)
		copy->state = REC_COPY_UNREADABLE;
	copy->bytes = what & RECORD_LONG ? REC_ROLE_BYTES + 17u * cut
					 : REC_ROLE_BYTES - sf_min64(17u * cut, REC_ROLE_BYTES);
	uint8_t *file = malloc(copy->bytes + 1);
	if (file == NULL)
		abort();
	/* At the end of its memory, at any alignment. */
	memcpy(file + 1, block, copy->bytes);
	copy->data = file + 1;
}

/* --- What must hold --- */

static void check_copy(const struct rec_role_copy *copy, uint32_t i, enum rec_copy_fault said)
{
	struct rec_role role, before;
	uint8_t again[REC_ROLE_BYTES];
	memset(&role, 0x5a, sizeof(role));
	before = role;
	need(said < REC_COPY_FAULTS && strlen(rec_copy_fault_text(said)) > 5, "a known fault");
	if (copy->state != REC_COPY_OK) {
		need(said == copy->state, "a copy that is not there is not judged");
		return;
	}
	enum rec_copy_fault fault =
		rec_role_decode(copy->data, copy->bytes, &record_input_identity, i, &role);
	need(fault == said, "a copy alone is judged as one of two");
	if (fault != REC_COPY_OK) {
		need(memcmp(&role, &before, sizeof(role)) == 0, "a bad copy gives nothing");
		return;
	}
	need(copy->bytes == REC_ROLE_BYTES, "a good copy has its size");
	need(rec_role_is_valid(&role), "a good copy is a state that a node can be in");
	struct log_identity whose;
	need(rec_role_whose(copy->data, copy->bytes, &whose), "it says whose it is");
	need(whose.node == record_input_identity.node, "and that is ours");
	/* Names are for people, and not judged: whatever they are is taken over. */
	memcpy(whose.cluster, (const uint8_t *)copy->data + 128, LOG_NAME_BYTES);
	memcpy(whose.node_name, (const uint8_t *)copy->data + 160, LOG_NAME_BYTES);
	rec_role_encode(again, &whose, &role, i);
	need(memcmp(again, copy->data, REC_ROLE_BYTES) == 0, "it encodes to the same bytes");
}

static bool has(const struct rec_role_choice *choice, enum rec_copy_fault fault)
{
	return choice->fault[0] == fault || choice->fault[1] == fault;
}

static void check_words(const struct rec_role_choice *choice)
{
	enum rec_role_verdict v = choice->verdict;
	need(v < REC_ROLE_VERDICTS, "a known verdict");
	need(strlen(rec_role_verdict_name(v)) > 3 && strlen(rec_role_verdict_text(v)) > 10,
	     "with words");
	need((v == REC_ROLE_FRESH || v == REC_ROLE_WHOLE) == (*rec_role_verdict_remedy(v) == 0),
	     "with a remedy unless all is well");
	if (rec_role_refuses(v))
		need(has(choice, REC_COPY_BAD_VERSION) || has(choice, REC_COPY_OTHER_NODE) ||
			     has(choice, REC_COPY_OTHER_CLUSTER) ||
			     has(choice, REC_COPY_UNREADABLE),
		     "a refusal has its cause in a copy");
}

static void check_counted(
	const struct rec_role_choice *choice,
	const struct rec_role *role,
	const struct rec_role_copy copies[2]
)
{
	struct rec_role counted, other;
	uint32_t at = choice->copy;
	need(at < REC_ROLE_COPIES && choice->fault[at] == REC_COPY_OK, "a good copy counts");
	need(choice->number[at] >= choice->number[1 - at], "no good one is newer");
	need(rec_role_decode(
		     copies[at].data, copies[at].bytes, &record_input_identity, at, &counted
	     ) == REC_COPY_OK,
	     "it decodes");
	need(memcmp(&counted, role, sizeof(counted)) == 0, "and is what came out");
	need((choice->fault[1 - at] == REC_COPY_OK) == (choice->verdict == REC_ROLE_WHOLE),
	     "the other one is named");
	if (choice->verdict == REC_ROLE_WHOLE && choice->number[0] == choice->number[1]) {
		rec_role_decode(
			copies[1 - at].data,
			copies[1 - at].bytes,
			&record_input_identity,
			1 - at,
			&other
		);
		need(memcmp(&counted, &other, sizeof(other)) == 0, "one number, one record");
	}
}

static void
check_blank(const struct rec_role_choice *choice, const struct rec_role *role, bool used)
{
	struct rec_role blank;
	memset(&blank, 0, sizeof(blank));
	blank.record.node = record_input_identity.node;
	blank.record.cluster_hash = record_input_identity.cluster_hash;
	blank.record.amnesiac = rec_role_learns_only(choice->verdict);
	blank.record.write_number = role->record.write_number;
	need(choice->copy == REC_ROLE_COPIES, "no copy counts");
	need(memcmp(&blank, role, sizeof(blank)) == 0, "the record is blank");
	need(role->record.write_number >= choice->number[0] &&
		     role->record.write_number >= choice->number[1],
	     "and not older than what lies there");
	if (choice->verdict == REC_ROLE_FRESH)
		need(!used && choice->fault[0] == REC_COPY_ABSENT &&
			     choice->fault[1] == REC_COPY_ABSENT,
		     "a founder has found nothing");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	struct record_input_head head;
	struct rec_role_copy copies[2];
	struct rec_role_choice choice, again;
	struct rec_role role, same;
	if (bytes < sizeof(head))
		return 0;
	memcpy(&head, data, sizeof(head));
	data += sizeof(head);
	bytes -= sizeof(head);
	size_t first = (size_t)sf_min64(bytes, head.first_16 * 16u);
	unpack_copy(&copies[0], data, first, 0, head.what, head.cut[0]);
	unpack_copy(&copies[1], data + first, bytes - first, 1, head.what, head.cut[1]);
	bool used = head.what & RECORD_USED;
	rec_role_choose(&choice, &role, &record_input_identity, copies, used);
	rec_role_choose(&again, &same, &record_input_identity, copies, used);
	need(memcmp(&choice, &again, sizeof(choice)) == 0 &&
		     memcmp(&role, &same, sizeof(role)) == 0,
	     "the same is said twice");
	check_words(&choice);
	for (uint32_t i = 0; i < 2; i++)
		check_copy(&copies[i], i, choice.fault[i]);
	if (choice.verdict == REC_ROLE_WHOLE || choice.verdict == REC_ROLE_ONE_BAD) {
		check_counted(&choice, &role, copies);
		fuzz_accepted++;
	} else {
		check_blank(&choice, &role, used);
		fuzz_accepted += choice.verdict == REC_ROLE_CONFLICT;
	}
	for (uint32_t i = 0; i < 2; i++)
		free((uint8_t *)(uintptr_t)copies[i].data - 1);
	return 0;
}

size_t fuzz_example(uint64_t seed, uint8_t *data, size_t room)
{
	return record_input_random(seed, data, room);
}
