/* SPDX-License-Identifier: BSD-3-Clause */
#include "recovery/record_file.h"

#include "config/bytes.h"
#include "config/crc32c.h"

#include <string.h>

#define FLAG_AMNESIAC 0x01
#define FLAG_CLEAN 0x02
#define FLAGS (FLAG_AMNESIAC | FLAG_CLEAN)
#define BOTH_NODES 0x03

/* The beginning of a block; zeros follow. Not struct rep_record: its layout may change, this one
 * has a version. */
struct block {
	uint64_t magic;
	uint32_t version;
	uint32_t crc; /* CRC32C of the whole block with this field as zero */
	uint64_t cluster_hash;
	uint64_t write_number;
	uint64_t incarnation;
	uint64_t boots;
	uint64_t committed;
	uint64_t final_sequence;
	uint64_t final_digest;
	uint64_t safety_hash;
	uint64_t written_unix_ns;
	uint64_t arbiter_cluster_id;
	uint64_t arbiter_mod_revision;
	uint32_t arbiter_epoch;
	uint32_t pair_epoch;
	uint32_t epoch;
	uint32_t lineage_count;
	uint8_t node;
	uint8_t copy;
	uint8_t mode;
	uint8_t flags;
	uint8_t pair_primary;
	uint8_t pair_in_sync;
	uint8_t pair_holder;
	uint8_t reserved;
	char cluster[LOG_NAME_BYTES];
	char node_name[LOG_NAME_BYTES];
	struct rep_lineage lineage[REP_MAX_LINEAGE];
};
STATIC_CHECK(sizeof(struct block) == 1216, "as recovery/README.md says");
STATIC_CHECK(sizeof(struct rep_record) == 80, "a new field needs a place in the block");
STATIC_CHECK(sizeof(struct rep_lineage) == 16, "stored as it is");

static const char *const fault_texts[REC_COPY_FAULTS][2] = {
	[REC_COPY_OK] = {"ok", "nothing is wrong"},
	[REC_COPY_ABSENT] = {"absent", "there is no such file"},
	[REC_COPY_UNREADABLE] = {"unreadable", "the disk gives an error"},
	[REC_COPY_EMPTY] = {"empty", "there are only zeros in it"},
	[REC_COPY_SHORT] = {"short", "the file is shorter than a record"},
	[REC_COPY_LONG] = {"long", "the file is longer than a record"},
	[REC_COPY_BAD_MAGIC] = {"bad_magic", "it does not begin as one of ours"},
	[REC_COPY_BAD_CRC] = {"bad_crc", "its checksum does not fit its bytes"},
	[REC_COPY_BAD_VERSION] = {"bad_version", "it has the format of another release"},
	[REC_COPY_OTHER_CLUSTER] = {"other_cluster", "it belongs to another cluster"},
	[REC_COPY_OTHER_NODE] = {"other_node", "it belongs to the other node"},
	[REC_COPY_OTHER_PLACE] = {"other_place", "it is the other copy under this name"},
	[REC_COPY_BAD_PADDING] = {"bad_padding", "there are bytes where only zeros belong"},
	[REC_COPY_BAD_VALUE] = {"bad_value", "it tells of a state that no node is in"},
};

#define LEARNS "the node goes on as a learner, if its peer has a role; else `standfast recover`"
static const char *const verdict_texts[REC_ROLE_VERDICTS][3] = {
	[REC_ROLE_FRESH] = {"fresh", "there is no role record, and never was one", ""},
	[REC_ROLE_WHOLE] = {"whole", "both copies of the role record are good", ""},
	[REC_ROLE_ONE_BAD] =
		{"one_bad",
		 "one copy of the role record is not good; the other one counts",
		 "the next write replaces it; if it comes back, see to the disk"},
	[REC_ROLE_LOST] =
		{"lost",
		 "there is no role record beside a log that was used: the node is blank, and may "
		 "only learn",
		 "bring role.0 and role.1 back if somebody removed them; else " LEARNS},
	[REC_ROLE_BOTH_BAD] =
		{"both_bad",
		 "no copy of the role record is good: the node is blank, and may only learn",
		 "see to the disk; " LEARNS},
	[REC_ROLE_CONFLICT] =
		{"conflict",
		 "two copies of the role record have one number and differ, so neither counts: the "
		 "node is blank, and may only learn",
		 "a file was put back from elsewhere; remove that one, or both: " LEARNS},
	[REC_ROLE_UNREADABLE] =
		{"unreadable",
		 "the disk gives errors where the role record is, and no copy is good",
		 "see to the disk, then start again; if it is lost, `standfast recover`"},
	[REC_ROLE_OTHER_IDENTITY] =
		{"other_identity",
		 "the role record belongs to another cluster or node",
		 "were disks swapped? Check `cluster`, `node` and `log.dir`, put the right files "
		 "back"},
	[REC_ROLE_OTHER_VERSION] =
		{"other_version",
		 "the role record was written by another release",
		 "start the release that wrote it"},
};

const char *rec_copy_fault_name(enum rec_copy_fault fault)
{
	return fault < REC_COPY_FAULTS ? fault_texts[fault][0] : "unknown";
}

const char *rec_copy_fault_text(enum rec_copy_fault fault)
{
	return fault < REC_COPY_FAULTS ? fault_texts[fault][1] : "unknown";
}

const char *rec_role_verdict_name(enum rec_role_verdict verdict)
{
	return verdict < REC_ROLE_VERDICTS ? verdict_texts[verdict][0] : "unknown";
}

const char *rec_role_verdict_text(enum rec_role_verdict verdict)
{
	return verdict < REC_ROLE_VERDICTS ? verdict_texts[verdict][1] : "unknown";
}

const char *rec_role_verdict_remedy(enum rec_role_verdict verdict)
{
	return verdict < REC_ROLE_VERDICTS ? verdict_texts[verdict][2] : "";
}

static bool is_zero(const void *data, uint64_t bytes)
{
	const uint8_t *p = data;
	return bytes == 0 || (p[0] == 0 && memcmp(p, p + 1, bytes - 1) == 0);
}

static uint32_t block_crc(const void *block)
{
	static const uint8_t zeros[4];
	const uint8_t *p = block;
	const uint64_t at = offsetof(struct block, crc);
	uint32_t crc = sf_crc32c(SF_CRC32C_INIT, p, at);
	crc = sf_crc32c(crc, zeros, sizeof(zeros));
	crc = sf_crc32c(crc, p + at + 4, REC_ROLE_BYTES - at - 4);
	return sf_crc32c_end(crc);
}

/* --- One copy --- */

static bool pair_is_valid(const struct rep_pair *pair)
{
	if (pair->primary > 1 || (pair->in_sync & ~BOTH_NODES) != 0 || pair->reserved != 0 ||
	    (pair->holder > 1 && pair->holder != REP_HOLDER_ARBITER))
		return false;
	return pair->epoch == 0 || (pair->in_sync >> pair->primary & 1) != 0;
}

bool rec_role_is_valid(const struct rec_role *role)
{
	const struct rep_record *record = &role->record;
	if (record->mode >= REP_RECORD_MODES || record->node > 1 ||
	    role->lineage_count > REP_MAX_LINEAGE || !pair_is_valid(&record->pair))
		return false;
	for (uint32_t i = 0; i < role->lineage_count; i++) {
		const struct rep_lineage *one = &role->lineage[i];
		if (one->reserved != 0)
			return false;
		if (i > 0 &&
		    (one->epoch <= one[-1].epoch || one->first_sequence < one[-1].first_sequence))
			return false;
	}
	return true;
}

void rec_role_encode(
	void *block, const struct log_identity *identity, const struct rec_role *role, uint32_t copy
)
{
	const struct rep_record *record = &role->record;
	struct block b = {
		.magic = REC_ROLE_MAGIC,
		.version = REC_ROLE_VERSION,
		.cluster_hash = identity->cluster_hash,
		.write_number = record->write_number,
		.incarnation = record->incarnation,
		.boots = record->boots,
		.committed = record->committed,
		.final_sequence = record->final_sequence,
		.final_digest = record->final_digest,
		.safety_hash = record->safety_hash,
		.written_unix_ns = role->written_unix_ns,
		.arbiter_cluster_id = role->arbiter.cluster_id,
		.arbiter_mod_revision = role->arbiter.mod_revision,
		.arbiter_epoch = role->arbiter.epoch,
		.pair_epoch = record->pair.epoch,
		.epoch = record->epoch,
		.lineage_count = role->lineage_count,
		.node = identity->node,
		.copy = (uint8_t)copy,
		.mode = record->mode,
		.flags = (uint8_t
		)((record->amnesiac ? FLAG_AMNESIAC : 0) | (record->clean ? FLAG_CLEAN : 0)),
		.pair_primary = record->pair.primary,
		.pair_in_sync = record->pair.in_sync,
		.pair_holder = record->pair.holder,
	};
	/* What decode would refuse would cost the node its role at the next start. */
	CHECK(copy < REC_ROLE_COPIES && identity->node <= 1 && rec_role_is_valid(role));
	memcpy(b.cluster, identity->cluster, LOG_NAME_BYTES);
	memcpy(b.node_name, identity->node_name, LOG_NAME_BYTES);
	memcpy(b.lineage, role->lineage, role->lineage_count * sizeof(b.lineage[0]));
	memset(block, 0, REC_ROLE_BYTES);
	memcpy(block, &b, sizeof(b));
	sf_store32((uint8_t *)block + offsetof(struct block, crc), block_crc(block));
}

static void take(struct rec_role *role, const struct block *b)
{
	*role = (struct rec_role){
		.record =
			{
				.write_number = b->write_number,
				.incarnation = b->incarnation,
				.boots = b->boots,
				.committed = b->committed,
				.final_sequence = b->final_sequence,
				.final_digest = b->final_digest,
				.safety_hash = b->safety_hash,
				.cluster_hash = b->cluster_hash,
				.pair =
					{
						.epoch = b->pair_epoch,
						.primary = b->pair_primary,
						.in_sync = b->pair_in_sync,
						.holder = b->pair_holder,
					},
				.epoch = b->epoch,
				.mode = b->mode,
				.node = b->node,
				.amnesiac = (b->flags & FLAG_AMNESIAC) != 0,
				.clean = (b->flags & FLAG_CLEAN) != 0,
			},
		.arbiter =
			{
				.cluster_id = b->arbiter_cluster_id,
				.mod_revision = b->arbiter_mod_revision,
				.epoch = b->arbiter_epoch,
			},
		.written_unix_ns = b->written_unix_ns,
		.lineage_count = b->lineage_count,
	};
	/* More than fit is refused right afterwards. */
	memcpy(role->lineage, b->lineage, sizeof(role->lineage));
}

/* Is it a block of ours, of this release, with the bytes that were written? */
static enum rec_copy_fault check_whole(const void *data, uint64_t bytes, struct block *b)
{
	if (is_zero(data, sf_min64(bytes, REC_ROLE_BYTES)))
		return REC_COPY_EMPTY;
	if (bytes != REC_ROLE_BYTES)
		return bytes < REC_ROLE_BYTES ? REC_COPY_SHORT : REC_COPY_LONG;
	memcpy(b, data, sizeof(*b));
	if (b->magic != REC_ROLE_MAGIC)
		return REC_COPY_BAD_MAGIC;
	if (b->crc != block_crc(data))
		return REC_COPY_BAD_CRC;
	return b->version == REC_ROLE_VERSION ? REC_COPY_OK : REC_COPY_BAD_VERSION;
}

enum rec_copy_fault rec_role_decode(
	const void *data,
	uint64_t bytes,
	const struct log_identity *identity,
	uint32_t copy,
	struct rec_role *role
)
{
	struct block b;
	struct rec_role found;
	enum rec_copy_fault fault = check_whole(data, bytes, &b);
	if (fault != REC_COPY_OK)
		return fault;
	if (b.cluster_hash != identity->cluster_hash)
		return REC_COPY_OTHER_CLUSTER;
	if (b.node != identity->node)
		return REC_COPY_OTHER_NODE;
	if (b.copy != copy)
		return REC_COPY_OTHER_PLACE;
	if (b.reserved != 0 || (b.flags & ~FLAGS) != 0 ||
	    !is_zero((const uint8_t *)data + sizeof(b), REC_ROLE_BYTES - sizeof(b)))
		return REC_COPY_BAD_PADDING;
	take(&found, &b);
	if (!rec_role_is_valid(&found))
		return REC_COPY_BAD_VALUE;
	if (!is_zero(
		    b.lineage + b.lineage_count,
		    (REP_MAX_LINEAGE - b.lineage_count) * sizeof(b.lineage[0])
	    ))
		return REC_COPY_BAD_PADDING;
	*role = found;
	return REC_COPY_OK;
}

bool rec_role_whose(const void *data, uint64_t bytes, struct log_identity *identity)
{
	struct block b;
	if (check_whole(data, bytes, &b) != REC_COPY_OK)
		return false;
	*identity = (struct log_identity){.cluster_hash = b.cluster_hash, .node = b.node};
	memcpy(identity->cluster, b.cluster, LOG_NAME_BYTES - 1);
	memcpy(identity->node_name, b.node_name, LOG_NAME_BYTES - 1);
	return true;
}

/* --- Both --- */

static bool either(const struct rec_role_choice *choice, enum rec_copy_fault fault)
{
	return choice->fault[0] == fault || choice->fault[1] == fault;
}

static bool is_same(const struct rec_role *a, const struct rec_role *b)
{
	/* Both come from take, so padding is zero too. */
	return memcmp(a, b, sizeof(*a)) == 0;
}

/* Rows of the table in their order: the first that fits counts. */
static enum rec_role_verdict
judge(const struct rec_role_choice *choice, const struct rec_role found[2], bool used)
{
	bool good[2] = {choice->fault[0] == REC_COPY_OK, choice->fault[1] == REC_COPY_OK};
	if (either(choice, REC_COPY_BAD_VERSION))
		return REC_ROLE_OTHER_VERSION;
	if (either(choice, REC_COPY_OTHER_CLUSTER) || either(choice, REC_COPY_OTHER_NODE))
		return REC_ROLE_OTHER_IDENTITY;
	if (good[0] && good[1])
		return choice->number[0] == choice->number[1] && !is_same(&found[0], &found[1])
			       ? REC_ROLE_CONFLICT
			       : REC_ROLE_WHOLE;
	if (good[0] || good[1])
		return REC_ROLE_ONE_BAD;
	if (either(choice, REC_COPY_UNREADABLE))
		return REC_ROLE_UNREADABLE;
	if (choice->fault[0] != REC_COPY_ABSENT || choice->fault[1] != REC_COPY_ABSENT)
		return REC_ROLE_BOTH_BAD;
	return used ? REC_ROLE_LOST : REC_ROLE_FRESH;
}

void rec_role_choose(
	struct rec_role_choice *choice,
	struct rec_role *role,
	const struct log_identity *identity,
	const struct rec_role_copy copies[REC_ROLE_COPIES],
	bool used
)
{
	struct rec_role found[REC_ROLE_COPIES];
	*choice = (struct rec_role_choice){.copy = REC_ROLE_COPIES};
	for (uint32_t i = 0; i < REC_ROLE_COPIES; i++) {
		const struct rec_role_copy *copy = &copies[i];
		memset(&found[i], 0, sizeof(found[i]));
		choice->fault[i] = copy->state;
		if (copy->state == REC_COPY_OK)
			choice->fault[i] =
				rec_role_decode(copy->data, copy->bytes, identity, i, &found[i]);
		choice->number[i] = found[i].record.write_number;
	}
	choice->verdict = judge(choice, found, used);
	memset(role, 0, sizeof(*role));
	role->record.cluster_hash = identity->cluster_hash;
	role->record.node = identity->node;
	role->record.mode = REP_RECORD_BLANK;
	role->record.amnesiac = rec_role_learns_only(choice->verdict);
	/* Above both, so that no later write can be older than what is lying about. */
	role->record.write_number = sf_max64(choice->number[0], choice->number[1]);
	if (choice->verdict != REC_ROLE_WHOLE && choice->verdict != REC_ROLE_ONE_BAD)
		return;
	/* With one number they are the same record. */
	choice->copy = choice->fault[0] != REC_COPY_OK ||
		       (choice->fault[1] == REC_COPY_OK && choice->number[1] > choice->number[0]);
	*role = found[choice->copy];
}
