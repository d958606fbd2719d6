/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Snapshots as bytes: what was written is read again, into one shard or many, and goes on as if
 * nothing had been; every damage is noticed; and nonsense under good CRCs is refused or harmless.
 */
#include "config/bytes.h"
#include "control/log_store.h"
#include "tests/unit/snapshot_world.h"
#include "tests/unit/unit.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const struct log_position place = {.segment = 3, .offset = 5 * LOG_BLOCK_BYTES, .chain = 9};
static uint64_t seed;

static uint32_t times(void)
{
	const char *tests = getenv("STANDFAST_TESTS");
	return tests != NULL && strcmp(tests, "full") == 0 ? 10 : 1;
}

static enum log_fault check(const struct image *image, const struct snap_header **header)
{
	uint64_t at;
	return snap_check(image->data, image->bytes, &world_identity, header, &at);
}

static const struct snap_header *good(const struct image *image)
{
	const struct snap_header *header = NULL;
	assert_int_equal(check(image, &header), LOG_OK);
	return header;
}

static struct ctl_copy load(const struct world *w, const struct image *image)
{
	struct ctl_copy copy;
	assert_int_equal(ctl_copy_init(&copy, &w->settings), 0);
	assert_true(ctl_copy_load(&copy, good(image)));
	return copy;
}

static void expect_same_digests(const struct ctl_copy *a, const struct ctl_copy *b)
{
	assert_int_equal(a->sessions.digest, b->sessions.digest);
	assert_int_equal(a->shard.assets_digest, b->shard.assets_digest);
	assert_int_equal(a->shard.answers_digest, b->shard.answers_digest);
	assert_int_equal(ctl_copy_digest(a), ctl_copy_digest(b));
	assert_int_equal(a->sequence, b->sequence);
	assert_int_equal(a->epoch, b->epoch);
	assert_int_equal(a->lineage_count, b->lineage_count);
	assert_memory_equal(a->lineage, b->lineage, a->lineage_count * sizeof(a->lineage[0]));
}

/* --- Round trip --- */

static void snapshot_when_loaded_then_equal_and_it_goes_on_equal(void **state)
{
	uint32_t histories = 12 * times(), entries = 0;
	for (uint32_t h = 0; h < histories; h++) {
		/* Few assets, and more than there is room for. */
		struct world *w = world_make(seed + h, h % 3 == 0 ? 3000 : 200);
		world_steps(w, 1 + (uint32_t)random_below(&w->random, h % 3 == 0 ? 9000 : 2000));
		struct image image = world_snapshot(w, &place);
		struct ctl_copy copy = load(w, &image);
		const struct snap_header *header = good(&image);
		assert_int_equal(header->sessions, w->copy.sessions.count);
		assert_int_equal(header->assets, w->copy.shard.asset_count);
		assert_int_equal(header->sequence, w->copy.sequence);
		assert_int_equal(header->segment, place.segment);
		assert_int_equal(header->offset, place.offset);
		assert_int_equal(header->chain, place.chain);
		expect_same_digests(&w->copy, &copy);
		world_expect_equal(w, &w->copy, &copy, true);
		for (uint32_t i = 0; i < 1500; i++) {
			const struct rep_entry *entry = world_step(w);
			assert_int_equal(ctl_copy_apply(&copy, entry), REP_SESSION_OK);
			expect_same_digests(&w->copy, &copy);
		}
		world_expect_equal(w, &w->copy, &copy, true);
		entries += (uint32_t)w->copy.sequence;
		/* A snapshot of what was loaded is the same snapshot but for the order in it. */
		struct image again = world_snapshot(w, &place);
		assert_int_equal(good(&again)->assets, w->copy.shard.asset_count);
		free(again.data);
		ctl_copy_free(&copy);
		free(image.data);
		world_free(w);
	}
	printf("%u histories, %u entries\n", histories, entries);
}

static struct dp_shard_config part_of(const struct world *w, uint32_t workers, uint32_t worker)
{
	struct dp_shard_config config = w->copy.shard.config;
	config.workers = workers;
	config.worker = worker;
	return config;
}

struct shards {
	uint32_t count;
	struct dp_shard shard[REP_PARTITIONS];
	void *memory[REP_PARTITIONS];
};

static void split(const struct world *w, const struct image *image, struct shards *shards)
{
	const struct snap_header *header = good(image);
	const struct snap_block *block = snap_first(header);
	for (uint32_t i = 0; i < shards->count; i++) {
		struct dp_shard_config config = part_of(w, shards->count, i);
		uint64_t bytes = sf_round_up(dp_shard_bytes(&config), 64);
		shards->memory[i] = aligned_alloc(64, bytes);
		assert_non_null(shards->memory[i]);
		memset(shards->memory[i], 0, bytes);
		dp_shard_init(&shards->shard[i], &config, shards->memory[i]);
	}
	for (uint32_t i = 0; i < header->blocks; i++, block = snap_next(block)) {
		if (block->type == SNAP_SESSIONS)
			continue;
		struct dp_shard *shard = &shards->shard[block->partition % shards->count];
		assert_true(dp_shard_restore(shard, block));
		/* Another worker's partition is refused, and so is everything twice. */
		if (shards->count > 1)
			assert_false(dp_shard_restore(
				&shards->shard[(block->partition + 1u) % shards->count], block
			));
		assert_false(dp_shard_restore(shard, block));
	}
	shards->shard[0].answers_digest = header->answers_digest;
}

static uint64_t sum_of(const struct shards *shards)
{
	uint64_t sum = 0;
	for (uint32_t i = 0; i < shards->count; i++)
		sum += shards->shard[i].assets_digest + shards->shard[i].answers_digest;
	return sum;
}

static uint32_t expect_answers(const struct world *w, const struct shards *shards)
{
	const struct rep_session_table *table = &w->copy.sessions;
	uint32_t found = 0;
	for (uint32_t i = 0; i < WORLD_SESSIONS * WORLD_INFLIGHT; i++) {
		const struct rep_session_slot *slot = &table->slots[i];
		uint32_t session = i / WORLD_INFLIGHT;
		if (table->sessions[session].client_id == 0 ||
		    !rep_session_slot_lives(&table->sessions[session], slot))
			continue;
		const struct dp_answer *a =
			dp_shard_answer(&w->copy.shard, session, slot->request_seq, slot->sequence);
		const struct dp_answer *b = dp_shard_answer(
			&shards->shard[slot->partition % shards->count],
			session,
			slot->request_seq,
			slot->sequence
		);
		assert_non_null(a);
		assert_non_null(b);
		assert_memory_equal(a, b, sizeof(*a) + a->payload_bytes);
		found++;
	}
	return found;
}

static void snapshot_when_split_over_workers_then_the_same_sum_and_answers(void **state)
{
	static const uint32_t counts[] = {1, 3, 64};
	struct world *w = world_make(seed, 3000);
	world_steps(w, 20000);
	struct image image = world_snapshot(w, &place);
	uint64_t before = w->copy.shard.assets_digest + w->copy.shard.answers_digest;
	struct shards *shards[3];
	for (uint32_t i = 0; i < 3; i++) {
		shards[i] = calloc(1, sizeof(*shards[i]));
		assert_non_null(shards[i]);
		shards[i]->count = counts[i];
		split(w, &image, shards[i]);
		assert_int_equal(sum_of(shards[i]), before);
		assert_int_equal(expect_answers(w, shards[i]), good(&image)->answers);
	}
	/* And they go on as one. */
	struct ctl_copy copy = load(w, &image);
	for (uint32_t k = 0; k < 2000; k++) {
		const struct rep_entry *entry = world_step(w);
		uint8_t partition = rep_partition(entry->asset_id);
		uint32_t session;
		assert_int_equal(
			rep_session_apply(&copy.sessions, entry, partition, &session),
			REP_SESSION_OK
		);
		for (uint32_t i = 0; i < 3 && entry->kind == REP_ENTRY_UPDATE; i++)
			dp_shard_apply(&shards[i]->shard[partition % counts[i]], entry, session);
	}
	for (uint32_t i = 0; i < 3; i++) {
		assert_int_equal(
			sum_of(shards[i]),
			w->copy.shard.assets_digest + w->copy.shard.answers_digest
		);
		for (uint32_t j = 0; j < counts[i]; j++)
			free(shards[i]->memory[j]);
		free(shards[i]);
	}
	ctl_copy_free(&copy);
	free(image.data);
	world_free(w);
}

/* --- Damage --- */

/* About 64 KiB of snapshot. */
static struct image usual(struct world **w)
{
	*w = world_make(seed + 100, 1500);
	world_steps(*w, 6000);
	struct image image = world_snapshot(*w, &place);
	assert_in_range(image.bytes, 48u << 10, 96u << 10);
	return image;
}

static void byte_when_flipped_anywhere_then_the_snapshot_is_not_good(void **state)
{
	struct world *w;
	struct image image = usual(&w);
	const struct snap_header *header;
	uint64_t flips = 0;
	for (uint64_t at = 0; at < image.bytes; at++)
		for (uint32_t bit = 0; bit < (times() > 1 ? 8 : 1); bit++, flips++) {
			uint8_t mask = (uint8_t)(1u << (at * 7 + bit) % 8);
			image.data[at] ^= mask;
			if (check(&image, &header) == LOG_OK)
				fail_msg("byte %" PRIu64 ", mask %u: not noticed", at, mask);
			image.data[at] ^= mask;
		}
	printf("%" PRIu64 " flips, all noticed\n", flips);
	good(&image);
	free(image.data);
	world_free(w);
}

static void file_when_cut_or_longer_then_the_snapshot_is_not_good(void **state)
{
	struct world *w;
	struct image image = usual(&w), cut = image;
	const struct snap_header *header;
	for (cut.bytes = 0; cut.bytes < image.bytes; cut.bytes++)
		assert_int_not_equal(check(&cut, &header), LOG_OK);
	/* With a header that says so: blocks are missing, or end in the middle of one. */
	for (uint64_t bytes = 0; bytes < image.bytes; bytes += 1 + bytes / 64) {
		cut = (struct image){.data = malloc(bytes + 1), .bytes = bytes};
		assert_non_null(cut.data);
		memcpy(cut.data, image.data, bytes);
		if (bytes >= SNAP_HEADER_BYTES) {
			struct snap_header *h = (struct snap_header *)(void *)cut.data;
			h->file_bytes = bytes;
			snap_header_seal(h, &world_identity);
		}
		assert_int_not_equal(check(&cut, &header), LOG_OK);
		free(cut.data);
	}
	for (uint64_t more = 1; more <= 8192; more += more < 64 ? 1 : 61) {
		struct image longer = {.bytes = image.bytes + more};
		longer.data = calloc(1, longer.bytes);
		assert_non_null(longer.data);
		memcpy(longer.data, image.data, image.bytes);
		assert_int_not_equal(check(&longer, &header), LOG_OK);
		((struct snap_header *)(void *)longer.data)->file_bytes = longer.bytes;
		snap_header_seal((void *)longer.data, &world_identity);
		assert_int_not_equal(check(&longer, &header), LOG_OK);
		free(longer.data);
	}
	free(image.data);
	world_free(w);
}

/* Puts a block in the place of another one; the sizes behind it move. */
static struct image with_block(
	const struct image *image, uint32_t number, const struct snap_block *block, uint32_t bytes
)
{
	uint64_t at = (uint64_t)((uint8_t *)image_block(image, number) - image->data);
	uint64_t old = image_block(image, number)->bytes;
	struct image made = {.bytes = image->bytes - old + bytes};
	made.data = malloc(made.bytes);
	assert_non_null(made.data);
	memcpy(made.data, image->data, at);
	if (bytes > 0)
		memcpy(made.data + at, block, bytes);
	memcpy(made.data + at + bytes, image->data + at + old, image->bytes - at - old);
	return made;
}

static void expect_bad(struct image image)
{
	const struct snap_header *header;
	assert_int_not_equal(check(&image, &header), LOG_OK);
	/* A header that knows the size does not help. */
	((struct snap_header *)(void *)image.data)->file_bytes = image.bytes;
	snap_header_seal((void *)image.data, &world_identity);
	assert_int_not_equal(check(&image, &header), LOG_OK);
	free(image.data);
}

static void block_when_swapped_missing_or_of_another_snapshot_then_not_good(void **state)
{
	struct world *w;
	struct image image = usual(&w);
	uint32_t blocks = good(&image)->blocks;
	/* One with the same number, of a later snapshot of this node, and of an other state that
	 * has the same sequence. */
	world_steps(w, 1);
	struct image later = world_snapshot(w, &place);
	world_free(w);
	w = world_make(seed + 101, 1500);
	world_steps(w, 6000);
	struct image other = world_snapshot(w, &place);
	assert_int_equal(good(&other)->sequence, good(&image)->sequence);
	for (uint32_t i = 0; i < blocks; i++) {
		struct snap_block *a = image_block(&image, i), *b;
		expect_bad(with_block(&image, i, NULL, 0));
		if (i < good(&later)->blocks) {
			b = image_block(&later, i);
			expect_bad(with_block(&image, i, b, b->bytes));
		}
		if (i < good(&other)->blocks) {
			b = image_block(&other, i);
			expect_bad(with_block(&image, i, b, b->bytes));
		}
		if (i + 1 == blocks)
			continue;
		b = image_block(&image, i + 1);
		struct image swapped = image_copy(&image);
		uint8_t *at = swapped.data + ((uint8_t *)a - image.data);
		memcpy(at, b, b->bytes);
		memcpy(at + b->bytes, a, a->bytes);
		expect_bad(swapped);
		expect_bad(with_block(&image, i, b, b->bytes)); /* doubled */
	}
	free(image.data);
	free(later.data);
	free(other.data);
	world_free(w);
}

static void header_when_of_another_cluster_node_or_release_then_named(void **state)
{
	struct world *w;
	struct image image = usual(&w);
	struct snap_header *h = (struct snap_header *)(void *)image.data;
	const struct snap_header *header;
	struct log_identity identity = world_identity;
	identity.cluster_hash++;
	snap_header_seal(h, &identity);
	assert_int_equal(check(&image, &header), LOG_OTHER_CLUSTER);
	identity = world_identity;
	identity.node = 0;
	snap_header_seal(h, &identity);
	assert_int_equal(check(&image, &header), LOG_OTHER_NODE);
	snap_header_seal(h, &world_identity);
	good(&image);
	/* The CRC is good, and the version is not ours: sealed, changed, and sealed by hand. */
	static const uint8_t zeros[4];
	h->version = SNAP_VERSION + 1;
	uint32_t crc = sf_crc32c(SF_CRC32C_INIT, h, offsetof(struct snap_header, crc));
	crc = sf_crc32c(crc, zeros, sizeof(zeros));
	uint32_t behind = offsetof(struct snap_header, crc) + 4;
	h->crc = sf_crc32c_end(sf_crc32c(crc, image.data + behind, SNAP_HEADER_BYTES - behind));
	assert_int_equal(check(&image, &header), LOG_BAD_VERSION);
	free(image.data);
	world_free(w);
}

static void write_to(const char *path, const struct image *image)
{
	disk_real.remove(&disk_real, path);
	int file = disk_real.open(&disk_real, path, DISK_CREATE);
	assert_true(file >= 0);
	assert_int_equal(disk_real.write(&disk_real, file, image->data, image->bytes, 0), 0);
	disk_real.close(&disk_real, file);
}

static void file_when_under_another_name_or_empty_then_not_good(void **state)
{
	struct world *w;
	struct image image = usual(&w);
	struct ctl_log log;
	struct ctl_snapshot snapshot;
	char folder[64] = "/tmp/sfsnap-XXXXXX", path[CTL_PATH_BYTES];
	assert_non_null(mkdtemp(folder));
	snprintf(w->settings.log.dir, sizeof(w->settings.log.dir), "%s", folder);
	ctl_log_init(&log, &w->settings, &disk_real);
	log.identity = world_identity;
	snprintf(path, sizeof(path), "%s/b", folder);
	assert_int_equal(mkdir(path, 0700), 0);
	snprintf(path, sizeof(path), "%s/b/snap", folder);
	assert_int_equal(mkdir(path, 0700), 0);
	uint64_t sequence = good(&image)->sequence;

	ctl_snapshot_path(&log, sequence, path);
	write_to(path, &image);
	assert_int_equal(ctl_snapshot_open(&log, sequence, &snapshot), 0);
	assert_non_null(snapshot.header);
	ctl_snapshot_close(&snapshot);
	assert_null(snapshot.header);
	disk_real.remove(&disk_real, path);
	assert_int_equal(ctl_snapshot_open(&log, sequence, &snapshot), -ENOENT);
	assert_null(snapshot.header);
	ctl_snapshot_close(&snapshot);

	ctl_snapshot_path(&log, sequence + 1, path);
	write_to(path, &image);
	assert_int_equal(ctl_snapshot_open(&log, sequence + 1, &snapshot), 0);
	assert_null(snapshot.header);
	assert_int_equal(snapshot.fault, LOG_OTHER_PLACE);
	ctl_snapshot_close(&snapshot);
	write_to(path, &(struct image){.data = image.data, .bytes = 0});
	assert_int_equal(ctl_snapshot_open(&log, sequence + 1, &snapshot), 0);
	assert_null(snapshot.header);
	ctl_snapshot_close(&snapshot);
	assert_int_equal(snap_file_sequence("00000000000000000042.snap"), 42);
	assert_int_equal(snap_file_sequence("00000000000000000042.snap.tmp"), 0);
	assert_int_equal(snap_file_sequence("00000000000000000042.seg"), 0);
	free(image.data);
	world_free(w);
	char command[96];
	snprintf(command, sizeof(command), "rm -rf '%s'", folder);
	assert_int_equal(system(command), 0);
}

/* --- Nonsense under good CRCs --- */

static void change(struct random *random, struct image *image)
{
	static const uint64_t edges[] = {0, 1, UINT64_MAX, 1ull << 63, 64, 0xffffffff, 0xffff};
	struct snap_header *header = (struct snap_header *)(void *)image->data;
	struct snap_block *block =
		image_block(image, (uint32_t)random_below(random, good(image)->blocks));
	uint64_t edge = edges[random_below(random, sizeof(edges) / sizeof(edges[0]))];
	uint64_t words = block->bytes / 8 - 3;
	switch (random_below(random, 6)) {
	case 0:
		block->count = random_below(random, 2) ? (uint32_t)edge : block->count - 1;
		break;
	case 1:
		block->type = (uint8_t)random_below(random, 6);
		break;
	case 2:
		block->partition = (uint8_t)random_u64(random);
		break;
	case 3: /* of the header: counts, digests, lineage, shape */
		sf_store64(
			(uint8_t *)header + 80 +
				8 * random_below(random, (sizeof(*header) - 80) / 8),
			edge
		);
		break;
	case 4: /* a word of a record */
		sf_store64(
			(uint8_t *)(block + 1) + 8 * random_below(random, words),
			random_below(random, 2) ? edge : random_u64(random)
		);
		break;
	default: /* the same word as in another record */
		memcpy((uint8_t *)(block + 1) + 8 * random_below(random, words),
		       (uint8_t *)(block + 1) + 8 * random_below(random, words),
		       8);
	}
}

static void records_when_nonsense_under_good_crcs_then_refused_or_the_state_is_equal(void **state)
{
	struct world *w = world_make(seed + 200, 300);
	world_steps(w, 3000);
	struct image image = world_snapshot(w, &place);
	uint32_t rounds = 3000 * times(), refused = 0, not_good = 0, equal = 0;
	for (uint32_t i = 0; i < rounds; i++) {
		struct image changed = image_copy(&image);
		const struct snap_header *header;
		struct ctl_copy copy;
		uint64_t changes = 1 + random_below(&w->random, 3) / 2;
		for (uint64_t k = 0; k < changes; k++) {
			if (k > 0 && check(&changed, &header) != LOG_OK)
				break;
			change(&w->random, &changed);
			image_seal(&changed);
		}
		assert_int_equal(ctl_copy_init(&copy, &w->settings), 0);
		if (check(&changed, &header) != LOG_OK) {
			not_good++;
		} else if (!ctl_copy_load(&copy, header)) {
			refused++;
		} else {
			equal++;
			world_expect_equal(w, &w->copy, &copy, false);
		}
		ctl_copy_free(&copy);
		free(changed.data);
	}
	printf("%u changes: %u not good, %u refused, %u loaded and equal\n",
	       rounds,
	       not_good,
	       refused,
	       equal);
	assert_true(refused > rounds / 4);
	free(image.data);
	world_free(w);
}

/* What only one field says, and no digest: each must be refused for itself. */
static void record_when_of_no_type_missing_or_twice_then_refused(void **state)
{
	struct world *w = world_make(seed + 300, 300);
	world_steps(w, 3000);
	struct image image = world_snapshot(w, &place);
	uint32_t blocks = good(&image)->blocks, answers = 0;
	for (uint32_t i = 0; i < blocks; i++) {
		struct snap_block *block = image_block(&image, i);
		struct ctl_copy copy;
		/* The block is lost, and everything is sealed without it. */
		struct image without = with_block(&image, i, NULL, 0);
		image_seal(&without);
		assert_int_equal(ctl_copy_init(&copy, &w->settings), 0);
		if (ctl_copy_load(&copy, good(&without)))
			fail_msg("block %u of type %u: not missed", i, block->type);
		ctl_copy_free(&copy);
		free(without.data);
		/* Of no type that there is. */
		struct image strange = image_copy(&image);
		image_block(&strange, i)->type = 4;
		image_seal(&strange);
		assert_int_equal(ctl_copy_init(&copy, &w->settings), 0);
		assert_false(ctl_copy_load(&copy, good(&strange)));
		ctl_copy_free(&copy);
		free(strange.data);
		answers += block->type == SNAP_ANSWERS;
	}
	assert_true(answers > 1);
	free(image.data);
	world_free(w);
}

static void shape_when_another_then_refused_and_named(void **state)
{
	struct world *w = world_make(seed + 400, 300);
	world_steps(w, 500);
	struct image image = world_snapshot(w, &place);
	const char *const names[] = {
		"limits.max_sessions", "limits.max_inflight", "limits.max_answer", "assets.max"};
	for (uint32_t i = 0; i < 4; i++) {
		struct cfg_settings settings = w->settings;
		struct snap_shape shape;
		struct ctl_copy copy;
		const char *field;
		settings.limits.max_sessions *= i == 0 ? 2 : 1;
		settings.limits.max_inflight = (uint16_t)(WORLD_INFLIGHT * (i == 1 ? 2 : 1));
		settings.limits.max_answer_bytes =
			(uint16_t)(settings.limits.max_answer_bytes - (i == 2));
		settings.assets.max *= i == 3 ? 2 : 1;
		ctl_copy_shape(&settings, &shape);
		assert_false(snap_fits(&shape, &good(&image)->shape, &field));
		assert_string_equal(field, names[i]);
		assert_int_equal(ctl_copy_init(&copy, &settings), 0);
		assert_false(ctl_copy_load(&copy, good(&image)));
		ctl_copy_free(&copy);
	}
	free(image.data);
	world_free(w);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(snapshot_when_loaded_then_equal_and_it_goes_on_equal),
		cmocka_unit_test(snapshot_when_split_over_workers_then_the_same_sum_and_answers),
		cmocka_unit_test(byte_when_flipped_anywhere_then_the_snapshot_is_not_good),
		cmocka_unit_test(file_when_cut_or_longer_then_the_snapshot_is_not_good),
		cmocka_unit_test(block_when_swapped_missing_or_of_another_snapshot_then_not_good),
		cmocka_unit_test(header_when_of_another_cluster_node_or_release_then_named),
		cmocka_unit_test(file_when_under_another_name_or_empty_then_not_good),
		cmocka_unit_test(
			records_when_nonsense_under_good_crcs_then_refused_or_the_state_is_equal
		),
		cmocka_unit_test(record_when_of_no_type_missing_or_twice_then_refused),
		cmocka_unit_test(shape_when_another_then_refused_and_named),
	};
	seed = random_test_seed(argv[0], 20261121);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
