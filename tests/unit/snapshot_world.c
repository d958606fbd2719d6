/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/unit/snapshot_world.h"

#include "config/bytes.h"
#include "tests/unit/unit.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const struct log_identity world_identity = {
	.cluster_hash = 0x1122334455667788ull,
	.node = 1,
	.cluster = "test",
	.node_name = "b",
};

void world_settings(struct cfg_settings *settings)
{
	cfg_defaults(settings);
	snprintf(settings->cluster, sizeof(settings->cluster), "test");
	snprintf(settings->node.name, sizeof(settings->node.name), "b");
	settings->node.id = 1;
	settings->limits.max_sessions = WORLD_SESSIONS;
	settings->limits.max_inflight = WORLD_INFLIGHT;
	settings->assets.max = 512;
}

struct world *world_make(uint64_t seed, uint32_t assets)
{
	struct world *w = calloc(1, sizeof(*w));
	assert_non_null(w);
	w->random = random_seeded(seed);
	w->assets = assets;
	w->epoch = 3;
	world_settings(&w->settings);
	assert_int_equal(ctl_copy_init(&w->copy, &w->settings), 0);
	return w;
}

void world_free(struct world *world)
{
	ctl_copy_free(&world->copy);
	free(world);
}

/* --- Entries --- */

static void draw_open(struct world *w, struct world_client *client, struct rep_entry *entry)
{
	entry->kind = REP_ENTRY_OPEN;
	entry->client_id = rep_session_client_id(w->epoch, entry->sequence);
	entry->request_seq = random_u64(&w->random) | 1;
	entry->asset_id = random_below(&w->random, 3); /* the key */
	*client = (struct world_client
	){.client_id = entry->client_id, .first_incomplete = 1, .next_seq = 1};
}

static void draw_update(struct world *w, struct world_client *client, struct rep_entry *entry)
{
	static const uint8_t opcodes[] = {
		CLI_REGISTER_ADD, CLI_REGISTER_ADD, CLI_REGISTER_SET, CLI_REGISTER_CAS, 99};
	struct random *random = &w->random;
	/* Some numbers are left out: their requests are lost, or still under way. */
	uint64_t seq = client->next_seq + random_below(random, 3) / 2;
	if (random_below(random, 4) == 0)
		client->first_incomplete +=
			random_below(random, seq - client->first_incomplete + 1);
	if (seq - client->first_incomplete >= WORLD_INFLIGHT)
		client->first_incomplete = seq - random_below(random, WORLD_INFLIGHT);
	client->next_seq = seq + 1;
	entry->kind = REP_ENTRY_UPDATE;
	entry->client_id = client->client_id;
	entry->request_seq = seq;
	entry->first_incomplete_seq = client->first_incomplete;
	entry->asset_id = random_below(random, w->assets);
	entry->opcode = opcodes[random_below(random, sizeof(opcodes))];
	entry->payload_bytes = entry->opcode == CLI_REGISTER_CAS ? 16 : 8;
	if (random_below(random, 16) == 0)
		entry->payload_bytes = (uint16_t)random_below(random, 24);
	/* Values near the bounds overflow now and then; small ones meet a CAS. */
	sf_store64(
		entry->payload, random_below(random, 8) == 0 ? INT64_MAX : random_below(random, 4)
	);
	sf_store64(entry->payload + 8, random_below(random, 4));
}

const struct rep_entry *world_step(struct world *w)
{
	struct rep_entry *entry = (struct rep_entry *)w->entry;
	struct world_client *client = &w->clients[random_below(&w->random, WORLD_SESSIONS)];
	memset(w->entry, 0, sizeof(w->entry));
	if (random_below(&w->random, 600) == 0)
		w->epoch += 2;
	entry->epoch = w->epoch;
	entry->sequence = w->copy.sequence + 1;
	entry->timestamp_ns = 1000 + entry->sequence * 10;
	if (client->client_id == 0) {
		draw_open(w, client, entry);
	} else if (random_below(&w->random, 60) == 0) {
		entry->kind = REP_ENTRY_CLOSE;
		entry->client_id = client->client_id;
		client->client_id = 0;
	} else {
		draw_update(w, client, entry);
	}
	for (uint32_t i = entry->payload_bytes; i < 24; i++)
		entry->payload[i] = 0;
	entry->crc = rep_entry_crc(entry);
	assert_int_equal(ctl_copy_apply(&w->copy, entry), REP_SESSION_OK);
	return entry;
}

void world_steps(struct world *world, uint32_t count)
{
	while (count-- > 0)
		world_step(world);
}

/* --- Images --- */

struct image world_snapshot(const struct world *world, const struct log_position *place)
{
	char path[64];
	struct image image;
	struct snap_header header = {
		.segment = place->segment,
		.offset = place->offset,
		.chain = place->chain,
		.incarnation = 77,
		.written_unix_ns = 1000,
	};
	snprintf(path, sizeof(path), "/tmp/sfsnap-%ld-%p", (long)getpid(), (const void *)&image);
	int file = disk_real.open(&disk_real, path, DISK_CREATE);
	assert_true(file >= 0);
	assert_int_equal(
		ctl_copy_write(&world->copy, &world_identity, &disk_real, file, &header), 0
	);
	assert_int_equal(disk_real.sync(&disk_real, file), 0);
	int64_t bytes = disk_real.size(&disk_real, file);
	assert_int_equal(bytes, header.file_bytes);
	image = (struct image){.data = malloc((size_t)bytes), .bytes = (uint64_t)bytes};
	assert_non_null(image.data);
	assert_int_equal(disk_real.read(&disk_real, file, image.data, (size_t)bytes, 0), bytes);
	disk_real.close(&disk_real, file);
	assert_int_equal(disk_real.remove(&disk_real, path), 0);
	return image;
}

struct image image_copy(const struct image *image)
{
	struct image copy = {.data = malloc(image->bytes), .bytes = image->bytes};
	assert_non_null(copy.data);
	memcpy(copy.data, image->data, image->bytes);
	return copy;
}

void image_seal(struct image *image)
{
	struct snap_header *header = (struct snap_header *)(void *)image->data;
	uint64_t at = SNAP_HEADER_BYTES;
	header->blocks = 0;
	while (at + sizeof(struct snap_block) <= image->bytes) {
		struct snap_block *block = (struct snap_block *)(void *)(image->data + at);
		if (block->bytes < sizeof(*block) || block->bytes % 8 != 0 ||
		    block->bytes > SNAP_MAX_BLOCK_BYTES || block->bytes > image->bytes - at)
			break;
		snap_block_seal(block, header);
		at += block->bytes;
	}
	snap_header_seal(header, &world_identity);
}

struct snap_block *image_block(const struct image *image, uint32_t number)
{
	struct snap_block *block = (struct snap_block *)(void *)(image->data + SNAP_HEADER_BYTES);
	while (number-- > 0)
		block = (struct snap_block *)(void *)((uint8_t *)block + block->bytes);
	return block;
}

/* --- Comparing --- */

static void
expect_same_session(const struct ctl_copy *a, uint32_t at, const struct ctl_copy *b, bool answers)
{
	const struct rep_session *x = &a->sessions.sessions[at];
	uint32_t other = rep_session_find(&b->sessions, x->client_id);
	assert_int_not_equal(other, REP_SESSION_NONE);
	const struct rep_session *y = &b->sessions.sessions[other];
	assert_int_equal(rep_session_find_nonce(&b->sessions, x->nonce), other);
	assert_int_equal(x->nonce, y->nonce);
	assert_int_equal(x->key_id, y->key_id);
	assert_int_equal(x->first_incomplete_seq, y->first_incomplete_seq);
	for (uint64_t i = 0; i < WORLD_INFLIGHT; i++) {
		struct rep_verdict_detail p = {0}, q = {0};
		uint64_t seq = x->first_incomplete_seq + i;
		enum rep_verdict verdict =
			rep_session_check(&a->sessions, x->client_id, seq, 1, &p);
		assert_int_equal(
			verdict, rep_session_check(&b->sessions, x->client_id, seq, 1, &q)
		);
		if (verdict != REP_REPEAT)
			continue;
		assert_int_equal(p.sequence, q.sequence);
		if (!answers)
			continue;
		assert_int_equal(p.partition, q.partition);
		const struct dp_answer *m = dp_shard_answer(&a->shard, at, seq, p.sequence);
		const struct dp_answer *n = dp_shard_answer(&b->shard, other, seq, p.sequence);
		assert_non_null(m);
		assert_non_null(n);
		assert_int_equal(m->asset_version, n->asset_version);
		assert_int_equal(m->status, n->status);
		assert_int_equal(m->payload_bytes, n->payload_bytes);
		assert_memory_equal(m->payload, n->payload, m->payload_bytes);
	}
}

void world_expect_equal(
	const struct world *world, const struct ctl_copy *a, const struct ctl_copy *b, bool answers
)
{
	assert_int_equal(a->sessions.count, b->sessions.count);
	for (uint32_t i = 0; i < WORLD_SESSIONS; i++)
		if (a->sessions.sessions[i].client_id != 0)
			expect_same_session(a, i, b, answers);
	assert_int_equal(a->shard.asset_count, b->shard.asset_count);
	for (uint64_t id = 0; id < world->assets; id++) {
		uint8_t x[16], y[16];
		uint64_t x_version, y_version;
		struct dp_operation operation = {.asset_id = id, .opcode = CLI_REGISTER_GET};
		struct dp_result p = {.payload = x}, q = {.payload = y};
		assert_int_equal(dp_shard_read(&a->shard, &operation, &p, &x_version), CLI_OK);
		assert_int_equal(dp_shard_read(&b->shard, &operation, &q, &y_version), CLI_OK);
		assert_int_equal(x_version, y_version);
		assert_memory_equal(x, y, sizeof(x));
	}
}
