/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/shm.h"

#include "config/bytes.h"
#include "replication/intake.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define PATH_BYTES (CFG_TEXT_BYTES + CFG_NAME_BYTES + 16)

static void path_of(const struct cfg_settings *settings, const char *suffix, char *path)
{
	snprintf(
		path, PATH_BYTES, "%s/%s%s", settings->node.runtime_dir, settings->node.name, suffix
	);
}

static uint64_t unix_ns(void)
{
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)now.tv_sec * 1000000000ull + (uint64_t)now.tv_nsec;
}

int dp_shm_make_directory(const struct cfg_settings *settings)
{
	char part[CFG_TEXT_BYTES];
	snprintf(part, sizeof(part), "%s", settings->node.runtime_dir);
	for (char *p = part + 1; *p; p++) {
		if (*p != '/')
			continue;
		*p = 0;
		if (mkdir(part, 0755) < 0 && errno != EEXIST)
			return -errno;
		*p = '/';
	}
	return mkdir(part, 0700) < 0 && errno != EEXIST ? -errno : 0;
}

static uint32_t histogram_bytes(void)
{
	return (uint32_t
	)sf_round_up(sf_histogram_bytes(DP_SHM_HISTOGRAM_DIGITS, DP_SHM_HISTOGRAM_HIGHEST_NS), 64);
}

/* The places of all parts behind the header. */
static void lay_out(struct dp_shm *shm, const struct cfg_settings *settings, uint64_t ring_bytes)
{
	uint64_t at = sf_round_up(sizeof(*shm), 64);
	shm->ingresses = settings->client.rx_queues;
	shm->workers = settings->workers;
	shm->lcores = settings->lcore_count;
	shm->histogram_bytes = histogram_bytes();
	shm->ring_bytes = sf_round_up(ring_bytes, 64);
	shm->command_ring_at = at;
	at += shm->ring_bytes;
	shm->event_ring_at = at;
	at += shm->ring_bytes;
	shm->lcores_at = at;
	at += shm->lcores * sizeof(struct dp_lcore_counters);
	shm->ingresses_at = at;
	at += shm->ingresses * sizeof(struct dp_shm_ingress);
	shm->workers_at = at;
	at += shm->workers * sizeof(struct dp_shm_worker);
	shm->histograms_at = at;
	at += (uint64_t)(DP_STAGES + shm->workers) * shm->histogram_bytes;
	at = sf_round_up(at, 4096);
	shm->fill_at = at;
	shm->fill_bytes = settings->log.enabled == CFG_ON ? DP_SHM_FILL_BYTES : 0;
	at += shm->fill_bytes;
	/* Only a node with a log has anything to lend. */
	uint64_t has_log = settings->log.enabled == CFG_ON;
	shm->stage_stride_bytes = rep_arena_stride(settings->limits.max_payload_bytes);
	shm->stage_at = at;
	at += has_log * 2 * DP_SHM_STAGE_ENTRIES * shm->stage_stride_bytes;
	shm->piece_at = at;
	at += has_log * 2 * DP_SHM_PIECE_BYTES;
	shm->keep_at = at;
	at += has_log * DP_SHM_KEEP_BYTES;
	shm->total_bytes = at;
}

static void
fill_header(struct dp_shm *shm, const struct cfg_settings *settings, uint64_t incarnation)
{
	shm->version = DP_SHM_VERSION;
	shm->header_bytes = sizeof(*shm);
	shm->incarnation = incarnation;
	shm->pid = (uint64_t)getpid();
	shm->started_unix_ns = unix_ns();
	shm->config_digest = cfg_digest(settings);
	shm->digest_interval = settings->assets.digest_interval;
	memcpy(shm->node, settings->node.name, sizeof(shm->node));
	memcpy(shm->peer, settings->peer.name, sizeof(shm->peer));
	memcpy(shm->cluster, settings->cluster, sizeof(shm->cluster));
	memcpy(shm->model, settings->assets.model, sizeof(shm->model));
	shm->ack = (uint8_t)settings->replication.ack;
	shm->node_id = settings->node.id;
	for (uint32_t i = 0; i < DP_STAGES + shm->workers; i++)
		sf_histogram_init(
			dp_shm_histogram(shm, i),
			DP_SHM_HISTOGRAM_DIGITS,
			DP_SHM_HISTOGRAM_HIGHEST_NS
		);
	/* Last: whoever sees the magic sees all of the above. */
	__atomic_store_n(&shm->magic, DP_SHM_MAGIC, __ATOMIC_RELEASE);
}

/* The life of this node before this one, from the file that it left; zeros if there is none. */
static void former_life(const struct cfg_settings *settings, uint64_t *incarnation, uint64_t *epoch)
{
	struct dp_shm *old;
	char ignored[256];
	*incarnation = *epoch = 0;
	if (dp_shm_attach_file(settings, true, &old, ignored, sizeof(ignored)) < 0)
		return;
	/* Whoever still reads the file must not take that life for ours. */
	dp_shm_store(&old->status.heartbeat_ns, 0);
	*incarnation = old->incarnation;
	*epoch = sf_max64(old->former_epoch, dp_shm_load(&old->status.epoch));
	/* Numbers that no life of a node can have reached come from a damaged file. */
	if (*epoch >= UINT32_MAX / 2 || *incarnation >= INT64_MAX)
		*incarnation = *epoch = 0;
	dp_shm_detach(old);
}

/* A lock of the open file: it ends with the process, however that ends. */
static const struct flock whole_file = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

int dp_shm_lock(
	const struct cfg_settings *settings,
	const char *suffix,
	const char *holder,
	int *fd,
	char *error,
	size_t error_bytes
)
{
	char path[PATH_BYTES];
	struct flock lock = whole_file;
	path_of(settings, suffix, path);
	int result = dp_shm_make_directory(settings);
	*fd = result < 0 ? -1 : open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (*fd < 0) {
		result = result < 0 ? result : -errno;
		snprintf(error, error_bytes, "cannot create %s: %s", path, strerror(-result));
		return result;
	}
	if (fcntl(*fd, F_OFD_SETLK, &lock) == 0)
		return 0;
	result = errno == EAGAIN || errno == EACCES ? -EEXIST : -errno;
	if (result == -EEXIST)
		snprintf(
			error,
			error_bytes,
			"%s of node \"%s\" is running already: another process holds %s",
			holder,
			settings->node.name,
			path
		);
	else
		snprintf(error, error_bytes, "cannot lock %s: %s", path, strerror(-result));
	close(*fd);
	*fd = -1;
	return result;
}

bool dp_shm_locked(const struct cfg_settings *settings, const char *suffix)
{
	char path[PATH_BYTES];
	struct flock lock = whole_file;
	path_of(settings, suffix, path);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	/* Only asks, and so never stands in the way of a process that starts just now. */
	bool locked = fcntl(fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
	close(fd);
	return locked;
}

int dp_shm_create(
	const struct cfg_settings *settings,
	uint64_t ring_bytes,
	struct dp_shm **shm,
	int *lock_fd,
	char *error,
	size_t error_bytes
)
{
	char path[PATH_BYTES], temporary[PATH_BYTES];
	struct dp_shm plan = {0};
	void *map = MAP_FAILED;
	int fd = -1;

	int result =
		dp_shm_lock(settings, DP_SHM_LOCK, "the dataplane", lock_fd, error, error_bytes);
	if (result < 0)
		return result;
	/* Lives of a node only rise, also when the wall clock was set back. */
	uint64_t former_incarnation, former_epoch;
	former_life(settings, &former_incarnation, &former_epoch);
	uint64_t incarnation = sf_max64(unix_ns(), former_incarnation + 1);
	path_of(settings, ".shm", path);
	path_of(settings, ".shm.new", temporary);
	lay_out(&plan, settings, ring_bytes);
	unlink(temporary);
	fd = open(temporary, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		goto fail;
	errno = posix_fallocate(fd, 0, (off_t)plan.total_bytes);
	if (errno != 0)
		goto fail;
	map = mmap(NULL, plan.total_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED)
		goto fail;
	*shm = map;
	lay_out(*shm, settings, ring_bytes);
	(*shm)->former_epoch = former_epoch;
	fill_header(*shm, settings, incarnation);
	if (rename(temporary, path) < 0)
		goto fail;
	close(fd);
	return 0;
fail:
	result = -errno;
	snprintf(error, error_bytes, "cannot create %s: %s", path, strerror(-result));
	if (map != MAP_FAILED)
		munmap(map, plan.total_bytes);
	if (fd >= 0)
		close(fd);
	close(*lock_fd);
	*lock_fd = -1;
	return result;
}

/* Do so many items lie between header and end, at a place that suits their type? count and
 * item_bytes are bounded by the caller (no product overflows), at is any number. */
static bool part_fits(const struct dp_shm *shm, uint64_t at, uint64_t count, uint64_t item_bytes)
{
	return at % 64 == 0 && at >= sizeof(*shm) && at <= shm->total_bytes &&
	       item_bytes <= shm->total_bytes && count * item_bytes <= shm->total_bytes - at;
}

static bool names_end(const struct dp_shm *shm)
{
	return memchr(shm->node, 0, CFG_NAME_BYTES) && memchr(shm->peer, 0, CFG_NAME_BYTES) &&
	       memchr(shm->cluster, 0, CFG_NAME_BYTES) && memchr(shm->model, 0, CFG_NAME_BYTES);
}

/* Does the file hold what its header says? It may come from another build, or be damaged. */
static const char *fault_of(const struct dp_shm *shm, uint64_t file_bytes)
{
	if (file_bytes < sizeof(*shm))
		return "too short";
	/* Acquire: with the magic come the fields that were filled in before it. */
	if (__atomic_load_n(&shm->magic, __ATOMIC_ACQUIRE) != DP_SHM_MAGIC)
		return "not a Standfast memory file";
	if (shm->version != DP_SHM_VERSION || shm->header_bytes != sizeof(*shm))
		return "of another version of Standfast";
	bool fits =
		shm->total_bytes >= sizeof(*shm) && shm->total_bytes <= file_bytes &&
		shm->workers <= CFG_MAX_WORKERS && shm->ingresses <= CFG_MAX_INGRESS &&
		shm->lcores <= CFG_MAX_LCORES &&
		part_fits(shm, shm->command_ring_at, 1, shm->ring_bytes) &&
		part_fits(shm, shm->event_ring_at, 1, shm->ring_bytes) &&
		part_fits(shm, shm->lcores_at, shm->lcores, sizeof(struct dp_lcore_counters)) &&
		part_fits(shm, shm->ingresses_at, shm->ingresses, sizeof(struct dp_shm_ingress)) &&
		part_fits(shm, shm->workers_at, shm->workers, sizeof(struct dp_shm_worker)) &&
		part_fits(
			shm, shm->histograms_at, DP_STAGES + shm->workers, shm->histogram_bytes
		) &&
		part_fits(shm, shm->fill_at, 1, shm->fill_bytes) &&
		(shm->fill_bytes == 0 ||
		 (shm->fill_bytes == DP_SHM_FILL_BYTES &&
		  part_fits(
			  shm, shm->stage_at, 2 * DP_SHM_STAGE_ENTRIES, shm->stage_stride_bytes
		  ) &&
		  part_fits(shm, shm->piece_at, 2, DP_SHM_PIECE_BYTES) &&
		  part_fits(shm, shm->keep_at, 1, DP_SHM_KEEP_BYTES))) &&
		shm->histogram_bytes == histogram_bytes();
	return fits && names_end(shm) ? NULL : "damaged";
}

int dp_shm_attach_file(
	const struct cfg_settings *settings,
	bool writable,
	struct dp_shm **shm,
	char *error,
	size_t error_bytes
)
{
	char path[PATH_BYTES];
	struct stat info;
	int result = 0;
	path_of(settings, ".shm", path);
	int fd = open(path, (writable ? O_RDWR : O_RDONLY) | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &info) < 0) {
		result = -errno;
		snprintf(error, error_bytes, "cannot open %s: %s", path, strerror(errno));
		if (fd >= 0)
			close(fd);
		return result;
	}
	uint64_t bytes = (uint64_t)info.st_size;
	void *map =
		mmap(NULL,
		     bytes > 0 ? bytes : 1,
		     PROT_READ | (writable ? PROT_WRITE : 0),
		     MAP_SHARED,
		     fd,
		     0);
	close(fd);
	if (map == MAP_FAILED) {
		result = -errno;
		snprintf(error, error_bytes, "cannot map %s: %s", path, strerror(errno));
		return result;
	}
	const char *fault = fault_of(map, bytes);
	if (fault) {
		snprintf(error, error_bytes, "%s is %s", path, fault);
		munmap(map, bytes > 0 ? bytes : 1);
		return -EINVAL;
	}
	*shm = map;
	return 0;
}

void dp_shm_detach(struct dp_shm *shm)
{
	if (shm)
		munmap(shm, shm->total_bytes);
}

bool dp_shm_alive(const struct cfg_settings *settings)
{
	return dp_shm_locked(settings, DP_SHM_LOCK);
}

bool dp_shm_replaced(const struct cfg_settings *settings, const struct dp_shm *shm)
{
	struct dp_shm *now;
	char ignored[256];
	if (dp_shm_attach_file(settings, false, &now, ignored, sizeof(ignored)) < 0)
		return false;
	bool replaced = now->incarnation != shm->incarnation;
	dp_shm_detach(now);
	return replaced;
}

/* --- Digest marks --- */

static bool find_mark(const struct dp_shm_marks *marks, uint64_t sequence, uint64_t *sum)
{
	for (uint32_t i = 0; i < DP_SHM_MAX_MARKS; i++) {
		const struct dp_shm_mark *mark = &marks->marks[i];
		/* Acquire: the sum is not loaded before the sequence that announced it. */
		if (__atomic_load_n(&mark->sequence, __ATOMIC_ACQUIRE) != sequence)
			continue;
		/* Acquire: with the sum of a later mark comes that this sequence is gone. */
		*sum = __atomic_load_n(&mark->sum, __ATOMIC_ACQUIRE);
		return dp_shm_load(&mark->sequence) == sequence;
	}
	return false;
}

bool dp_shm_digest_at(const struct dp_shm *shm, uint64_t sequence, uint64_t *digest)
{
	uint64_t sum;
	if (sequence == 0 || !find_mark(&shm->session_marks, sequence, &sum))
		return false;
	*digest = sum;
	for (uint32_t i = 0; i < shm->workers; i++) {
		if (!find_mark(&dp_shm_worker(shm, i)->marks, sequence, &sum))
			return false;
		*digest += sum;
	}
	return true;
}

bool dp_shm_digest(const struct dp_shm *shm, uint64_t *sequence, uint64_t *digest)
{
	bool found = false;
	for (uint32_t i = 0; i < DP_SHM_MAX_MARKS; i++) {
		uint64_t candidate = dp_shm_load(&shm->session_marks.marks[i].sequence);
		uint64_t value;
		if (found && candidate <= *sequence)
			continue;
		if (dp_shm_digest_at(shm, candidate, &value)) {
			*sequence = candidate;
			*digest = value;
			found = true;
		}
	}
	return found;
}
