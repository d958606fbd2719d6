/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The memory file: made, mapped, refused when it is not whole, locked, replaced; lives that only
 * rise; digest marks read while another thread writes them.
 */
#include "dataplane/shm.h"
#include "tests/unit/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define RING_BYTES (64 * 1024 + 384)

struct fixture {
	char folder[64];
	struct cfg_settings settings;
	struct dp_shm *shm; /* as created */
	int lock_fd;
	char error[512];
};

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	snprintf(f->folder, sizeof(f->folder), "/tmp/sfshm-XXXXXX");
	if (!mkdtemp(f->folder))
		return -1;
	cfg_defaults(&f->settings);
	snprintf(f->settings.cluster, CFG_NAME_BYTES, "test");
	snprintf(f->settings.node.name, CFG_NAME_BYTES, "a");
	snprintf(f->settings.peer.name, CFG_NAME_BYTES, "b");
	snprintf(f->settings.node.runtime_dir, CFG_TEXT_BYTES, "%s/deep/er", f->folder);
	f->settings.workers = 3;
	f->settings.client.rx_queues = 2;
	f->settings.lcore_count = 2;
	f->lock_fd = -1;
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;
	char command[128];
	if (f->lock_fd >= 0)
		close(f->lock_fd);
	dp_shm_detach(f->shm);
	snprintf(command, sizeof(command), "rm -rf '%s'", f->folder);
	int result = system(command);
	free(f);
	return result;
}

static int create(struct fixture *f)
{
	return dp_shm_create(
		&f->settings, RING_BYTES, &f->shm, &f->lock_fd, f->error, sizeof(f->error)
	);
}

/* What a kill leaves: the file, and no lock. */
static void end(struct fixture *f)
{
	close(f->lock_fd);
	f->lock_fd = -1;
	dp_shm_detach(f->shm);
	f->shm = NULL;
}

static int attach(struct fixture *f, bool writable, struct dp_shm **shm)
{
	*shm = NULL;
	return dp_shm_attach_file(&f->settings, writable, shm, f->error, sizeof(f->error));
}

static void path_of(const struct fixture *f, char path[512])
{
	snprintf(path, 512, "%s/a.shm", f->settings.node.runtime_dir);
}

static void file_when_created_is_seen_by_another_mapping(void **state)
{
	struct fixture *f = *state;
	struct dp_shm *seen, *written;
	struct stat info;
	char path[512];
	assert_int_equal(attach(f, false, &seen), -ENOENT);
	assert_false(dp_shm_alive(&f->settings));
	assert_int_equal(create(f), 0);
	assert_true(dp_shm_alive(&f->settings));
	assert_int_equal(attach(f, false, &seen), 0);
	assert_int_equal(attach(f, true, &written), 0);
	assert_string_equal(seen->node, "a");
	assert_string_equal(seen->peer, "b");
	assert_int_equal(seen->workers, 3);
	dp_shm_store(&f->shm->status.sequence, 42);
	assert_int_equal(dp_shm_load(&seen->status.sequence), 42);
	dp_shm_store(&written->attach.wanted, 7);
	assert_int_equal(dp_shm_load(&f->shm->attach.wanted), 7);
	dp_shm_store(&dp_shm_worker(f->shm, 2)->counters.markers, 9);
	assert_int_equal(dp_shm_load(&dp_shm_worker(seen, 2)->counters.markers), 9);
	path_of(f, path);
	assert_int_equal(stat(path, &info), 0);
	assert_int_equal(info.st_mode & 0777, 0600);
	dp_shm_detach(seen);
	dp_shm_detach(written);
}

/* Every byte of every part is written: parts that overlap would show, and so would one that lies
 * outside of the file. */
static void parts_when_filled_do_not_touch_each_other(void **state)
{
	struct fixture *f = *state;
	assert_int_equal(create(f), 0);
	struct dp_shm *shm = f->shm;
	const struct {
		void *at;
		uint64_t bytes;
	} parts[] = {
		{(uint8_t *)shm + shm->command_ring_at, RING_BYTES},
		{(uint8_t *)shm + shm->event_ring_at, RING_BYTES},
		{dp_shm_lcore(shm, 0), 2 * sizeof(struct dp_lcore_counters)},
		{dp_shm_ingress(shm, 0), 2 * sizeof(struct dp_shm_ingress)},
		{dp_shm_worker(shm, 0), 3 * sizeof(struct dp_shm_worker)},
		{dp_shm_histogram(shm, 0), (DP_STAGES + 3) * (uint64_t)shm->histogram_bytes},
	};
	size_t count = sizeof(parts) / sizeof(parts[0]);
	for (size_t i = 0; i < count; i++) {
		assert_int_equal((uintptr_t)parts[i].at % 64, 0);
		memset(parts[i].at, (int)i + 1, parts[i].bytes);
	}
	for (size_t i = 0; i < count; i++)
		for (uint64_t j = 0; j < parts[i].bytes; j++)
			assert_int_equal(((uint8_t *)parts[i].at)[j], i + 1);
	assert_int_equal(shm->magic, DP_SHM_MAGIC);
	assert_int_equal(shm->workers, 3);
}

static void node_when_started_twice_is_refused_the_second_time(void **state)
{
	struct fixture *f = *state;
	struct dp_shm *other = NULL;
	int other_fd = -1;
	assert_int_equal(create(f), 0);
	uint64_t incarnation = f->shm->incarnation;
	assert_int_equal(
		dp_shm_create(
			&f->settings, RING_BYTES, &other, &other_fd, f->error, sizeof(f->error)
		),
		-EEXIST
	);
	assert_non_null(strstr(f->error, "running already"));
	assert_int_equal(other_fd, -1);
	assert_false(dp_shm_replaced(&f->settings, f->shm));
	assert_int_equal(f->shm->incarnation, incarnation);
}

static void node_when_its_process_was_killed_is_not_alive(void **state)
{
	struct fixture *f = *state;
	int ready[2];
	char byte;
	assert_int_equal(pipe(ready), 0);
	pid_t child = fork();
	if (child == 0) {
		if (create(f) == 0 && write(ready[1], "x", 1) == 1)
			for (;;)
				pause();
		_exit(1);
	}
	assert_int_equal(read(ready[0], &byte, 1), 1);
	assert_true(dp_shm_alive(&f->settings));
	kill(child, SIGKILL);
	assert_int_equal(waitpid(child, NULL, 0), child);
	assert_false(dp_shm_alive(&f->settings));
	assert_int_equal(create(f), 0);
	close(ready[0]);
	close(ready[1]);
}

static void *ask_all_the_time(void *argument)
{
	struct fixture *f = argument;
	for (int i = 0; i < 20000; i++)
		dp_shm_alive(&f->settings);
	return NULL;
}

/* Whoever asks whether a node lives must not keep it from starting. */
static void node_when_asked_about_meanwhile_starts_all_the_same(void **state)
{
	struct fixture *f = *state;
	pthread_t asker;
	assert_int_equal(pthread_create(&asker, NULL, ask_all_the_time, f), 0);
	int refused = 0;
	for (int i = 0; i < 200; i++) {
		if (create(f) == 0)
			end(f);
		else
			refused++;
	}
	pthread_join(asker, NULL);
	assert_int_equal(refused, 0);
}

static void incarnation_when_the_clock_went_back_rises_all_the_same(void **state)
{
	struct fixture *f = *state;
	struct dp_shm *old;
	assert_int_equal(create(f), 0);
	uint64_t last = f->shm->incarnation;
	/* As if that life had begun an hour from now. */
	uint64_t future = last + 3600ull * 1000000000ull;
	f->shm->incarnation = future;
	assert_int_equal(attach(f, false, &old), 0);
	end(f);
	for (int i = 0; i < 5; i++) {
		assert_int_equal(create(f), 0);
		assert_true(f->shm->incarnation > future);
		assert_true(dp_shm_replaced(&f->settings, old));
		future = f->shm->incarnation;
		end(f);
	}
	dp_shm_detach(old);
}

static void former_life_when_its_numbers_are_damaged_then_left_aside(void **state)
{
	struct fixture *f = *state;
	assert_int_equal(create(f), 0);
	f->shm->former_epoch = UINT64_MAX;
	f->shm->incarnation = UINT64_MAX;
	end(f);
	assert_int_equal(create(f), 0);
	assert_int_equal(f->shm->former_epoch, 0);
	assert_true(f->shm->incarnation < INT64_MAX);
	end(f);
}

static void put(const struct fixture *f, const void *bytes, size_t count)
{
	char path[512];
	path_of(f, path);
	/* A new file each time: some file systems sync one that is cut and written again. */
	unlink(path);
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes, count), count);
	close(fd);
}

static void file_when_truncated_is_refused_at_every_length(void **state)
{
	struct fixture *f = *state;
	struct dp_shm *shm;
	assert_int_equal(create(f), 0);
	uint64_t total = f->shm->total_bytes;
	uint8_t *image = malloc(total);
	memcpy(image, f->shm, total);
	end(f);
	for (uint64_t bytes = 0; bytes < total; bytes += bytes < 2 * sizeof(*shm) ? 1 : 4093) {
		put(f, image, bytes);
		assert_int_equal(attach(f, false, &shm), -EINVAL);
		assert_true(strlen(f->error) > 0);
	}
	put(f, image, total);
	assert_int_equal(attach(f, false, &shm), 0);
	dp_shm_detach(shm);
	free(image);
}

/* Whatever numbers stand in the header: refused, or every part lies inside. Reading all parts of an
 * accepted file proves it (and ASan or the kernel objects when not). */
static uint64_t read_everything(const struct dp_shm *shm)
{
	uint64_t sum = shm->command_ring_at + shm->event_ring_at, sequence, digest;
	for (uint32_t i = 0; i < shm->ingresses; i++)
		sum += dp_shm_ingress(shm, i)->replies.messages;
	for (uint32_t i = 0; i < shm->lcores; i++)
		sum += dp_shm_lcore(shm, i)->rounds;
	for (uint32_t i = 0; i < DP_STAGES + shm->workers; i++)
		sum += ((uint8_t *)dp_shm_histogram(shm, i))[shm->histogram_bytes - 1];
	sum += ((const uint8_t *)shm)[shm->command_ring_at + shm->ring_bytes - 1];
	sum += ((const uint8_t *)shm)[shm->event_ring_at + shm->ring_bytes - 1];
	if (dp_shm_digest(shm, &sequence, &digest))
		sum += digest;
	return sum;
}

static void file_when_damaged_is_refused_or_harmless(void **state)
{
	struct fixture *f = *state;
	struct dp_shm *shm;
	unsigned seed = (unsigned)time(NULL);
	printf("seed %u\n", seed);
	srandom(seed);
	assert_int_equal(create(f), 0);
	uint64_t total = f->shm->total_bytes;
	uint64_t *image = malloc(total);
	memcpy(image, f->shm, total);
	end(f);
	put(f, image, total);
	size_t words = offsetof(struct dp_shm, attach) / 8;
	int refused = 0;
	char path[512];
	path_of(f, path);
	int fd = open(path, O_WRONLY);
	for (int i = 0; i < 20000; i++) {
		static const uint64_t odd[] = {
			0, 1, 63, 64, 4096, 1ull << 31, 1ull << 32, 1ull << 63, UINT64_MAX};
		uint64_t header[sizeof(*shm) / 8];
		size_t at = (size_t)random() % words;
		memcpy(header, image, sizeof(header));
		if (random() % 2)
			header[at] = odd[(size_t)random() % (sizeof(odd) / 8)] + header[at] % 2;
		else
			header[at] ^= 1ull << (random() % 64);
		assert_int_equal(pwrite(fd, header, sizeof(header), 0), sizeof(header));
		if (attach(f, false, &shm) < 0) {
			refused++;
		} else {
			static volatile uint64_t sink;
			sink = sink + read_everything(shm);
			dp_shm_detach(shm);
		}
	}
	assert_in_range(refused, 2000, 19999);
	close(fd);
	free(image);
}

/* --- Digest marks --- */

static void mark(struct dp_shm *shm, uint64_t sequence)
{
	dp_shm_marks_add(&shm->session_marks, sequence, sequence * 3);
	for (uint32_t i = 0; i < shm->workers; i++)
		dp_shm_marks_add(&dp_shm_worker(shm, i)->marks, sequence, sequence * (5 + i));
}

static uint64_t digest_of(const struct dp_shm *shm, uint64_t sequence)
{
	uint64_t sum = sequence * 3;
	for (uint32_t i = 0; i < shm->workers; i++)
		sum += sequence * (5 + i);
	return sum;
}

static void digest_when_a_worker_has_not_marked_yet_is_the_one_before(void **state)
{
	struct fixture *f = *state;
	uint64_t sequence, digest;
	assert_int_equal(create(f), 0);
	assert_false(dp_shm_digest(f->shm, &sequence, &digest));
	assert_false(dp_shm_digest_at(f->shm, 0, &digest));
	mark(f->shm, 100);
	assert_true(dp_shm_digest(f->shm, &sequence, &digest));
	assert_int_equal(sequence, 100);
	assert_int_equal(digest, digest_of(f->shm, 100));
	dp_shm_marks_add(&f->shm->session_marks, 200, 600);
	dp_shm_marks_add(&dp_shm_worker(f->shm, 0)->marks, 200, 1000);
	assert_false(dp_shm_digest_at(f->shm, 200, &digest));
	assert_true(dp_shm_digest(f->shm, &sequence, &digest));
	assert_int_equal(sequence, 100);
	/* Twelve more: the first ones are gone. */
	for (uint64_t s = 300; s < 312; s++)
		mark(f->shm, s);
	assert_false(dp_shm_digest_at(f->shm, 100, &digest));
	assert_false(dp_shm_digest_at(f->shm, 303, &digest));
	assert_true(dp_shm_digest_at(f->shm, 304, &digest));
	assert_int_equal(digest, digest_of(f->shm, 304));
	assert_true(dp_shm_digest(f->shm, &sequence, &digest));
	assert_int_equal(sequence, 311);
}

struct race {
	struct dp_shm *shm;
	bool stop;
};

static void *write_marks(void *argument)
{
	struct race *race = argument;
	for (uint64_t sequence = 1; !__atomic_load_n(&race->stop, __ATOMIC_RELAXED); sequence++)
		mark(race->shm, sequence);
	return NULL;
}

/* A sum of one mark with the sequence of another would be a false alarm of diverged nodes. */
static void digest_when_marks_are_written_meanwhile_is_never_mixed(void **state)
{
	struct fixture *f = *state;
	struct race race = {0};
	pthread_t writer;
	struct timespec now;
	uint64_t found = 0, sequence, digest;
	assert_int_equal(create(f), 0);
	race.shm = f->shm;
	assert_int_equal(pthread_create(&writer, NULL, write_marks, &race), 0);
	clock_gettime(CLOCK_MONOTONIC, &now);
	time_t begin = now.tv_sec;
	/* All marks are asked for, the one that is being replaced among them. */
	while (now.tv_sec - begin < 3) {
		for (uint64_t i = 0; i < 8000; i++) {
			sequence = dp_shm_load(&f->shm->session_marks.marks[i % 8].sequence);
			if (!dp_shm_digest_at(f->shm, sequence, &digest))
				continue;
			found++;
			if (digest != digest_of(f->shm, sequence)) {
				__atomic_store_n(&race.stop, true, __ATOMIC_RELAXED);
				pthread_join(writer, NULL);
				fail_msg("mixed digest at %" PRIu64, sequence);
			}
		}
		clock_gettime(CLOCK_MONOTONIC, &now);
	}
	__atomic_store_n(&race.stop, true, __ATOMIC_RELAXED);
	pthread_join(writer, NULL);
	printf("%" PRIu64 " digests, %" PRIu64 " marks\n", found, f->shm->session_marks.next);
	assert_true(found > 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(file_when_created_is_seen_by_another_mapping),
		TEST(parts_when_filled_do_not_touch_each_other),
		TEST(node_when_started_twice_is_refused_the_second_time),
		TEST(node_when_its_process_was_killed_is_not_alive),
		TEST(node_when_asked_about_meanwhile_starts_all_the_same),
		TEST(former_life_when_its_numbers_are_damaged_then_left_aside),
		TEST(incarnation_when_the_clock_went_back_rises_all_the_same),
		TEST(file_when_truncated_is_refused_at_every_length),
		TEST(file_when_damaged_is_refused_or_harmless),
		TEST(digest_when_a_worker_has_not_marked_yet_is_the_one_before),
		TEST(digest_when_marks_are_written_meanwhile_is_never_mixed),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
