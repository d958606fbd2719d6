/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The arbiter "file": CLUSTER.pair in a folder that both nodes of a host share. A change is made
 * under an exclusive flock of CLUSTER.lock: read, compare, write CLUSTER.new, sync, rename over
 * CLUSTER.pair, sync the folder. So the file is always a whole one, the old or the new.
 *
 * The kernel gives a lock up when its holder dies; a holder that is stopped keeps it. So nobody
 * waits for the lock longer than the question's time: the outcome is then unknown, or rather, as
 * nothing was done, silence, until the holder goes on or is killed. Reading needs no lock, and goes
 * on meanwhile: it makes the rename that it may have seen durable before it says what it found.
 */
#include "control/arbiter_value.h"
#include "control/arbiter_way.h"
#include "control/text.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define LOCK_PAUSE_NS 1000000

struct file_way {
	struct arbiter_way way;
	const char *dir;
	int folder; /* opened for each question: it may be another one by then (a mount) */
	char name[CFG_NAME_BYTES + 8]; /* of the record, in the folder */
	char lock_name[CFG_NAME_BYTES + 8];
	char new_name[CFG_NAME_BYTES + 8];
};

static struct file_way *of(struct arbiter_way *way)
{
	return (struct file_way *)way;
}

static void say(char *why, const char *what, const char *name, int error)
{
	snprintf(why, CTL_ARBITER_WHY_BYTES, "%s %s: %s", name, what, strerror(error));
}

static bool open_folder(struct file_way *file, char *why)
{
	file->folder = open(file->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (file->folder < 0)
		say(why, "cannot be opened", file->dir, errno);
	return file->folder >= 0;
}

/* --- Reading --- */

/* The bytes of the record's file, or a negative errno; 0 with *absent when there is none. */
static ssize_t slurp(const struct file_way *file, char *text, size_t room, bool *absent)
{
	size_t used = 0;
	int fd = openat(file->folder, file->name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	*absent = fd < 0 && errno == ENOENT;
	if (fd < 0)
		return *absent ? 0 : -errno;
	ssize_t got = 1;
	while (used < room && got > 0) {
		got = read(fd, text + used, room - used);
		used += got > 0 ? (size_t)got : 0;
	}
	int error = got < 0 ? errno : 0;
	close(fd);
	return error != 0 ? -error : (ssize_t)used;
}

/* False: an error of the disk. A file that is not whole is found, as text that nobody
 * understands. */
static bool look(const struct file_way *file, struct arbiter_found *found, char *why)
{
	char text[CTL_ARBITER_FILE_TEXT_BYTES];
	bool absent;
	memset(found, 0, sizeof(*found));
	found->id = CTL_ARBITER_FILE_ID;
	ssize_t bytes = slurp(file, text, sizeof(text), &absent);
	if (bytes < 0) {
		say(why, "cannot be read", file->name, (int)-bytes);
		return false;
	}
	found->present = !absent;
	if (!absent && ctl_value_take_file(text, (size_t)bytes, &found->bytes, &found->revision) ==
			       CTL_VALUE_OK)
		memcpy(found->text, text, found->bytes);
	return true;
}

static enum arbiter_result make_durable(const struct file_way *file, char *why)
{
	if (fsync(file->folder) == 0)
		return ARBITER_FOUND;
	say(why, "cannot be synced", "the folder", errno);
	return ARBITER_SILENT;
}

static enum arbiter_result
file_read(struct arbiter_way *way, uint64_t deadline_ns, struct arbiter_found *found, char *why)
{
	struct file_way *file = of(way);
	enum arbiter_result result = ARBITER_SILENT;
	(void)deadline_ns;
	if (!open_folder(file, why))
		return result;
	if (look(file, found, why))
		result = make_durable(file, why);
	close(file->folder);
	return result;
}

/* --- The lock --- */

/* Who removes the file while we wait for its lock leaves us with a lock of nothing. */
static bool is_named(const struct file_way *file, int fd)
{
	struct stat held, named;
	return fstat(fd, &held) == 0 &&
	       fstatat(file->folder, file->lock_name, &named, AT_SYMLINK_NOFOLLOW) == 0 &&
	       held.st_ino == named.st_ino && held.st_dev == named.st_dev;
}

/* The lock's file, locked; or -1 and why. */
static int take_lock(const struct file_way *file, uint64_t deadline_ns, char *why)
{
	const struct timespec pause = {.tv_nsec = LOCK_PAUSE_NS};
	for (;;) {
		int fd =
			openat(file->folder,
			       file->lock_name,
			       O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW,
			       0600);
		if (fd < 0) {
			say(why, "cannot be opened", file->lock_name, errno);
			return -1;
		}
		bool locked = CTL_ARBITER_CANARY(NO_LOCK) || flock(fd, LOCK_EX | LOCK_NB) == 0;
		int error = errno;
		if (locked && is_named(file, fd))
			return fd;
		close(fd);
		if (!locked && error != EWOULDBLOCK && error != EINTR) {
			say(why, "cannot be locked", file->lock_name, error);
			return -1;
		}
		if (ctl_monotonic_ns() >= deadline_ns) {
			snprintf(
				why,
				CTL_ARBITER_WHY_BYTES,
				"%s is held by another process for too long: is one stopped?",
				file->lock_name
			);
			return -1;
		}
		nanosleep(&pause, NULL);
	}
}

/* --- Writing --- */

static int write_new(const struct file_way *file, const char *text, size_t bytes)
{
	int fd =
		openat(file->folder,
		       file->new_name,
		       O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW,
		       0600);
	if (fd < 0)
		return errno;
	ssize_t put = write(fd, text, bytes);
	int error = put == (ssize_t)bytes ? 0 : put < 0 ? errno : ENOSPC;
	if (error == 0 && fsync(fd) != 0)
		error = errno;
	close(fd);
	return error;
}

static enum arbiter_result
replace(const struct file_way *file, const char *to, uint64_t revision, char *why)
{
	char text[CTL_ARBITER_FILE_TEXT_BYTES];
	size_t bytes = ctl_value_put_file(to, revision, text);
	int error = bytes == 0 ? EMSGSIZE : write_new(file, text, bytes);
	if (error == 0 && renameat(file->folder, file->new_name, file->folder, file->name) != 0)
		error = errno;
	if (error != 0) {
		say(why, "cannot be written", file->new_name, error);
		return ARBITER_SILENT;
	}
	if (fsync(file->folder) != 0) {
		say(why, "cannot be synced", "the folder", errno);
		return ARBITER_UNKNOWN;
	}
	return ARBITER_SWAPPED;
}

static bool is_equal(const struct arbiter_found *found, const char *from)
{
	if (CTL_ARBITER_CANARY(NO_COMPARE))
		return true;
	if (from == NULL || !found->present)
		return from == NULL && !found->present;
	return found->bytes == strlen(from) && memcmp(found->text, from, found->bytes) == 0;
}

static enum arbiter_result file_swap(
	struct arbiter_way *way,
	const char *from,
	const char *to,
	uint64_t deadline_ns,
	struct arbiter_found *found,
	char *why
)
{
	struct file_way *file = of(way);
	enum arbiter_result result = ARBITER_SILENT;
	if (!open_folder(file, why))
		return result;
	int lock = take_lock(file, deadline_ns, why);
	if (lock < 0) {
		close(file->folder);
		return result;
	}
	/* Who holds the lock sees what the last holder did, who may have died before its last sync.
	 */
	if (look(file, found, why))
		result = is_equal(found, from) ? replace(file, to, ++found->revision, why)
					       : make_durable(file, why);
	close(lock);
	close(file->folder);
	return result;
}

static void file_shun(struct arbiter_way *way)
{
	(void)way;
}

static void file_close(struct arbiter_way *way)
{
	free(way);
}

/* make: nothing was ever seen of it. Later a folder that is missing is one that is not mounted. */
struct arbiter_way *arbiter_open_file(const struct cfg_settings *settings, bool make, char *why)
{
	const char *dir = settings->arbiter.dir;
	struct file_way *file = calloc(1, sizeof(*file));
	if (file == NULL)
		return NULL;
	file->way = (struct arbiter_way){
		.read = file_read,
		.swap = file_swap,
		.shun = file_shun,
		.close = file_close,
	};
	snprintf(file->name, sizeof(file->name), "%s.pair", settings->cluster);
	snprintf(file->lock_name, sizeof(file->lock_name), "%s.lock", settings->cluster);
	snprintf(file->new_name, sizeof(file->new_name), "%s.new", settings->cluster);
	file->dir = dir;
	if (!make || mkdir(dir, 0700) == 0 || errno == EEXIST)
		return &file->way;
	snprintf(why, CTL_ARBITER_WHY_BYTES, "arbiter.dir %s: %s", dir, strerror(errno));
	free(file);
	return NULL;
}
