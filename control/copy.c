/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/copy.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

static struct dp_shard_config shard_config(const struct cfg_settings *settings)
{
	return (struct dp_shard_config){
		.model = dp_model_find(settings->assets.model),
		.workers = 1,
		.max_assets = settings->assets.max,
		.max_sessions = settings->limits.max_sessions,
		.max_inflight = settings->limits.max_inflight,
		.max_answer_bytes = settings->limits.max_answer_bytes,
	};
}

int ctl_copy_init(struct ctl_copy *copy, const struct cfg_settings *settings)
{
	struct rep_session_limits limits = {
		.max_sessions = settings->limits.max_sessions,
		.max_inflight = settings->limits.max_inflight,
	};
	struct dp_shard_config config = shard_config(settings);
	*copy = (struct ctl_copy){0};
	if (config.model == NULL)
		return -ENOENT;
	uint64_t sessions = sf_round_up(rep_session_table_bytes(&limits), 64);
	copy->memory_bytes = sessions + dp_shard_bytes(&config);
	/* Zero pages that cost nothing until they are used. */
	copy->memory =
		mmap(NULL,
		     copy->memory_bytes,
		     PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
		     -1,
		     0);
	if (copy->memory == MAP_FAILED) {
		copy->memory = NULL;
		return -ENOMEM;
	}
	rep_session_table_init(&copy->sessions, &limits, copy->memory);
	dp_shard_init(&copy->shard, &config, (uint8_t *)copy->memory + sessions);
	return 0;
}

void ctl_copy_free(struct ctl_copy *copy)
{
	if (copy->memory != NULL)
		munmap(copy->memory, copy->memory_bytes);
	copy->memory = NULL;
}

enum rep_session_fault ctl_copy_apply(struct ctl_copy *copy, const struct rep_entry *entry)
{
	uint32_t session;
	bool update = entry->kind == REP_ENTRY_UPDATE;
	enum rep_session_fault fault = rep_session_apply(
		&copy->sessions, entry, update ? rep_partition(entry->asset_id) : 0, &session
	);
	if (fault != REP_SESSION_OK)
		return fault;
	if (update)
		dp_shard_apply(&copy->shard, entry, session);
	copy->sequence = entry->sequence;
	if (copy->lineage_count == 0 ||
	    copy->lineage[copy->lineage_count - 1].epoch != entry->epoch)
		rep_lineage_add(copy->lineage, &copy->lineage_count, entry->epoch, entry->sequence);
	copy->epoch = (uint32_t)sf_max64(copy->epoch, entry->epoch);
	return REP_SESSION_OK;
}

uint64_t ctl_copy_digest(const struct ctl_copy *copy)
{
	return copy->sessions.digest + copy->shard.assets_digest + copy->shard.answers_digest;
}

void ctl_copy_shape(const struct cfg_settings *settings, struct snap_shape *shape)
{
	struct dp_shard_config config = shard_config(settings);
	*shape = (struct snap_shape){0};
	if (config.model != NULL)
		dp_shard_shape(&config, shape);
}

/* --- Reading --- */

/* No digest covers the answers that are kept: each live request must have its own, and there are no
 * others. */
static bool answers_are_whole(const struct ctl_copy *copy, uint64_t restored)
{
	const struct rep_session_table *table = &copy->sessions;
	uint32_t inflight = table->limits.max_inflight;
	uint64_t live = 0;
	for (uint32_t i = 0; i < table->limits.max_sessions; i++) {
		const struct rep_session *session = &table->sessions[i];
		const struct rep_session_slot *slot = &table->slots[(uint64_t)i * inflight];
		for (uint32_t j = 0; session->client_id != 0 && j < inflight; j++, slot++) {
			if (!rep_session_slot_lives(session, slot))
				continue;
			live++;
			if (dp_shard_answer(&copy->shard, i, slot->request_seq, slot->sequence) ==
			    NULL)
				return false;
		}
	}
	return live == restored;
}

bool ctl_copy_load(struct ctl_copy *copy, const struct snap_header *header)
{
	const struct snap_block *block = snap_first(header);
	struct snap_shape shape;
	const char *field;
	uint64_t answers = 0;
	dp_shard_shape(&copy->shard.config, &shape);
	if (!snap_fits(&shape, &header->shape, &field))
		return false;
	for (uint32_t i = 0; i < header->blocks; i++, block = snap_next(block)) {
		bool fits = block->type == SNAP_SESSIONS
				    ? snap_restore_sessions(&copy->sessions, block)
				    : dp_shard_restore(&copy->shard, block);
		if (!fits)
			return false;
		answers += block->type == SNAP_ANSWERS ? block->count : 0;
	}
	rep_session_restored(&copy->sessions);
	copy->shard.answers_digest = header->answers_digest;
	copy->sequence = header->sequence;
	copy->epoch = header->epoch;
	copy->lineage_count = header->lineage_count;
	memcpy(copy->lineage, header->lineage, sizeof(copy->lineage));
	return copy->shard.assets_digest == header->assets_digest &&
	       copy->sessions.digest == header->sessions_digest &&
	       copy->shard.asset_count == header->assets &&
	       copy->sessions.count == header->sessions && answers == header->answers &&
	       answers_are_whole(copy, answers);
}

/* --- Writing --- */

struct writer {
	const struct ctl_copy *copy;
	struct disk *disk;
	int file;
	struct snap_header *header;
	struct snap_block *block; /* SNAP_MAX_BLOCK_BYTES */
	uint64_t offset;
	int result;
};

static void begin_block(struct writer *w, enum snap_type type, uint8_t partition)
{
	*w->block = (struct snap_block
	){.bytes = sizeof(*w->block), .type = (uint8_t)type, .partition = partition};
}

static void end_block(struct writer *w)
{
	if (w->block->count == 0 || w->result != 0)
		return;
	snap_block_seal(w->block, w->header);
	w->result = w->disk->write(w->disk, w->file, w->block, w->block->bytes, w->offset);
	w->offset += w->block->bytes;
}

/* Room for so many bytes of the block in hand; what is full is written first. */
static void *room(struct writer *w, uint32_t bytes)
{
	if (w->block->bytes + bytes > SNAP_MAX_BLOCK_BYTES) {
		end_block(w);
		begin_block(w, w->block->type, w->block->partition);
	}
	return (uint8_t *)w->block + w->block->bytes;
}

static void write_sessions(struct writer *w)
{
	const struct rep_session_table *table = &w->copy->sessions;
	uint32_t inflight = table->limits.max_inflight;
	begin_block(w, SNAP_SESSIONS, 0);
	for (uint32_t i = 0; i < table->limits.max_sessions && w->result == 0; i++) {
		const struct rep_session *session = &table->sessions[i];
		const struct rep_session_slot *slots = &table->slots[(uint64_t)i * inflight];
		if (session->client_id == 0)
			continue;
		struct snap_session *saved =
			room(w, (uint32_t)(sizeof(*saved) + inflight * sizeof(*slots)));
		struct rep_session_slot *to = (struct rep_session_slot *)(saved + 1);
		*saved = (struct snap_session){
			.index = i,
			.client_id = session->client_id,
			.nonce = session->nonce,
			.first_incomplete_seq = session->first_incomplete_seq,
			.last_sequence = session->last_sequence,
			.key_id = session->key_id,
		};
		for (uint32_t j = 0; j < inflight; j++)
			if (rep_session_slot_lives(session, &slots[j]))
				to[saved->live++] = (struct rep_session_slot){
					.request_seq = slots[j].request_seq,
					.sequence = slots[j].sequence,
					.partition = slots[j].partition,
				};
		w->block->bytes += (uint32_t)(sizeof(*saved) + saved->live * sizeof(*slots));
		w->block->count++;
		w->header->sessions++;
	}
	end_block(w);
}

static void write_assets(struct writer *w, uint8_t partition)
{
	uint32_t cursor = 0;
	for (uint32_t bytes = 1; bytes > 0 && w->result == 0;) {
		uint32_t count;
		begin_block(w, SNAP_ASSETS, partition);
		bytes = dp_shard_save_assets(
			&w->copy->shard,
			partition,
			&cursor,
			w->block + 1,
			SNAP_MAX_BLOCK_BYTES - (uint32_t)sizeof(*w->block),
			&count
		);
		w->block->bytes += bytes;
		w->block->count = count;
		w->header->assets += count;
		end_block(w);
	}
}

/* The answers of live requests, by the partition of their asset: each goes to one worker. The order
 * is made by counting, so a snapshot costs one look at the sessions however many partitions there
 * are. */
struct live {
	uint32_t session;
	uint32_t slot;
};

static struct live *sort_live(const struct rep_session_table *table, uint64_t first[])
{
	uint32_t inflight = table->limits.max_inflight;
	uint64_t next[REP_PARTITIONS];
	struct live *live = NULL;
	memset(first, 0, (REP_PARTITIONS + 1) * sizeof(first[0]));
	for (int pass = 0; pass < 2; pass++) {
		for (uint32_t i = 0; i < table->limits.max_sessions; i++) {
			const struct rep_session *session = &table->sessions[i];
			const struct rep_session_slot *slots =
				&table->slots[(uint64_t)i * inflight];
			for (uint32_t j = 0; session->client_id != 0 && j < inflight; j++) {
				if (!rep_session_slot_lives(session, &slots[j]))
					continue;
				if (pass == 0)
					first[slots[j].partition + 1]++;
				else
					live[next[slots[j].partition]++] =
						(struct live){.session = i, .slot = j};
			}
		}
		if (pass == 1)
			break;
		for (uint32_t p = 0; p < REP_PARTITIONS; p++) {
			first[p + 1] += first[p];
			next[p] = first[p];
		}
		live = malloc((first[REP_PARTITIONS] + 1) * sizeof(*live));
		if (live == NULL)
			return NULL;
	}
	return live;
}

static void write_answers(struct writer *w)
{
	const struct rep_session_table *table = &w->copy->sessions;
	uint64_t first[REP_PARTITIONS + 1];
	struct live *live = sort_live(table, first);
	if (live == NULL) {
		w->result = -ENOMEM;
		return;
	}
	for (uint32_t p = 0; p < REP_PARTITIONS; p++) {
		begin_block(w, SNAP_ANSWERS, (uint8_t)p);
		for (uint64_t i = first[p]; i < first[p + 1] && w->result == 0; i++) {
			uint64_t place = (uint64_t)live[i].session * table->limits.max_inflight;
			uint32_t bytes;
			void *to = room(w, snap_answer_bytes(w->copy->shard.answer_limit));
			if (!dp_shard_save_answer(
				    &w->copy->shard,
				    live[i].session,
				    &table->slots[place + live[i].slot],
				    to,
				    &bytes
			    )) {
				w->result = -EUCLEAN;
				break;
			}
			w->block->bytes += bytes;
			w->block->count++;
			w->header->answers++;
		}
		end_block(w);
	}
	free(live);
}

int ctl_copy_write(
	const struct ctl_copy *copy,
	const struct log_identity *identity,
	struct disk *disk,
	int file,
	struct snap_header *header
)
{
	void *first = calloc(1, SNAP_HEADER_BYTES);
	struct writer w = {
		.copy = copy,
		.disk = disk,
		.file = file,
		.header = header,
		.block = malloc(SNAP_MAX_BLOCK_BYTES),
		.offset = SNAP_HEADER_BYTES,
	};
	if (first == NULL || w.block == NULL) {
		w.result = -ENOMEM;
	} else {
		header->sequence = copy->sequence;
		header->epoch = copy->epoch;
		header->lineage_count = copy->lineage_count;
		memcpy(header->lineage, copy->lineage, sizeof(header->lineage));
		header->sessions_digest = copy->sessions.digest;
		header->assets_digest = copy->shard.assets_digest;
		header->answers_digest = copy->shard.answers_digest;
		dp_shard_shape(&copy->shard.config, &header->shape);
		write_sessions(&w);
		for (uint32_t p = 0; p < REP_PARTITIONS; p++)
			write_assets(&w, (uint8_t)p);
		write_answers(&w);
	}
	if (w.result == 0) {
		memcpy(first, header, sizeof(*header));
		snap_header_seal(first, identity);
		memcpy(header, first, sizeof(*header));
		w.result = disk->write(disk, file, first, SNAP_HEADER_BYTES, 0);
	}
	free(first);
	free(w.block);
	return w.result;
}
