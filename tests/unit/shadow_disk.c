/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/unit/shadow_disk.h"

#include "config/bytes.h"
#include "config/check.h"
#include "tests/unit/random.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>

#define MAX_INODES 512
#define MAX_NAMES 512
#define MAX_HANDLES 32
#define MAX_CHANGES 512
#define PATH_BYTES 160
#define DIRECTORY 0 /* inode of all directories: they hold nothing but names */

/* Bytes that were written or cut off, and not synced. */
struct pending {
	bool cut; /* a truncate to `offset`; no data */
	uint64_t offset, bytes;
	uint8_t *data;
	struct pending *next;
};

struct content {
	uint8_t *data;
	uint64_t bytes, room;
};

struct inode {
	struct content now, stable;
	struct pending *first, *last;
};

struct name {
	char path[PATH_BYTES];
	uint32_t inode;
};

struct names {
	struct name list[MAX_NAMES];
	uint32_t count;
};

/* A change of names whose directory was not synced. */
struct change {
	char from[PATH_BYTES]; /* disappears; "": nothing does */
	char to[PATH_BYTES];   /* appears; "": nothing does */
	uint32_t inode;
};

struct shadow {
	struct disk disk; /* first: handed out */
	pthread_mutex_t lock;
	struct inode inodes[MAX_INODES];
	uint32_t inode_count;
	struct names now, stable;
	struct change changes[MAX_CHANGES];
	uint32_t change_count;
	struct {
		bool used, direct, writes;
		uint32_t inode;
	} handles[MAX_HANDLES];
	uint64_t calls, fail_at, failed, limit;
	int error;
	bool fail_on, never_syncs, hides_failures;
	struct random random; /* for what a failed sync leaves */
};

static struct shadow *lock(struct disk *disk)
{
	struct shadow *shadow = (struct shadow *)(void *)disk;
	pthread_mutex_lock(&shadow->lock);
	return shadow;
}

/* Lets go, and hands the result through. */
static int64_t done(struct shadow *shadow, int64_t result)
{
	pthread_mutex_unlock(&shadow->lock);
	return result;
}

/* --- Contents --- */

static void content_size(struct content *content, uint64_t bytes)
{
	if (bytes > content->room) {
		content->room = sf_next_power_of_two(bytes);
		content->data = realloc(content->data, content->room);
		CHECK(content->data != NULL);
	}
	if (bytes > content->bytes)
		memset(content->data + content->bytes, 0, bytes - content->bytes);
	content->bytes = bytes;
}

static void
content_put(struct content *content, const uint8_t *data, uint64_t bytes, uint64_t offset)
{
	if (offset + bytes > content->bytes)
		content_size(content, offset + bytes);
	memcpy(content->data + offset, data, bytes);
}

static void content_copy(struct content *to, const struct content *from)
{
	content_size(to, from->bytes);
	if (from->bytes > 0)
		memcpy(to->data, from->data, from->bytes);
}

static void
add_pending(struct inode *inode, bool cut, const void *data, uint64_t bytes, uint64_t at)
{
	struct pending *one = calloc(1, sizeof(*one));
	CHECK(one != NULL);
	*one = (struct pending){.cut = cut, .offset = at, .bytes = bytes};
	if (bytes > 0) {
		one->data = malloc(bytes);
		CHECK(one->data != NULL);
		memcpy(one->data, data, bytes);
	}
	if (inode->last != NULL)
		inode->last->next = one;
	else
		inode->first = one;
	inode->last = one;
}

static void drop_pending(struct inode *inode)
{
	for (struct pending *one = inode->first, *next; one != NULL; one = next) {
		next = one->next;
		free(one->data);
		free(one);
	}
	inode->first = inode->last = NULL;
}

/* Some of its sectors, with luck all. The file may have grown without them. */
static void put_sectors(struct content *to, const struct pending *one, struct random *random)
{
	uint64_t kind = random_below(random, 4); /* lost, whole, torn, a first part */
	if (kind == 0)
		return;
	uint64_t kept = kind == 3 ? random_below(random, one->bytes + 1) : one->bytes;
	if (kind == 2 && random_below(random, 2) == 0)
		content_size(to, sf_max64(to->bytes, one->offset + one->bytes));
	for (uint64_t at = 0; at < kept;) {
		uint64_t in_sector = (one->offset + at) % SHADOW_SECTOR_BYTES;
		uint64_t bytes = sf_min64(SHADOW_SECTOR_BYTES - in_sector, one->bytes - at);
		if (kind != 2 || random_below(random, 2) == 0)
			content_put(to, one->data + at, bytes, one->offset + at);
		at += bytes;
	}
}

static void settle(struct content *to, const struct inode *inode, struct random *random)
{
	for (const struct pending *one = inode->first; one != NULL; one = one->next) {
		if (!one->cut)
			put_sectors(to, one, random);
		else if (random_below(random, 2) == 0)
			content_size(to, one->offset);
	}
}

/* --- Names --- */

static struct name *find(struct names *names, const char *path)
{
	for (uint32_t i = 0; i < names->count; i++)
		if (strcmp(names->list[i].path, path) == 0)
			return &names->list[i];
	return NULL;
}

/* Is path an entry of this directory (any of them, when it is NULL and has the path's parent)? */
static bool is_in(const char *path, const char *directory)
{
	size_t length = strlen(directory);
	return strncmp(path, directory, length) == 0 && path[length] == '/' &&
	       strchr(path + length + 1, '/') == NULL;
}

static bool has_parent(struct names *names, const char *path)
{
	char parent[PATH_BYTES];
	snprintf(parent, sizeof(parent), "%s", path);
	*strrchr(parent, '/') = 0;
	const struct name *name = find(names, parent);
	return *parent == 0 || (name != NULL && name->inode == DIRECTORY);
}

static void names_apply(struct names *names, const struct change *change)
{
	const char *gone[2] = {change->from, change->to};
	for (int i = 0; i < 2; i++) {
		struct name *name = *gone[i] ? find(names, gone[i]) : NULL;
		if (name != NULL)
			*name = names->list[--names->count];
	}
	if (*change->to) {
		CHECK(names->count < MAX_NAMES);
		struct name *name = &names->list[names->count++];
		memcpy(name->path, change->to, PATH_BYTES);
		name->inode = change->inode;
	}
}

static void change_names(struct shadow *shadow, const char *from, const char *to, uint32_t inode)
{
	CHECK(shadow->change_count < MAX_CHANGES);
	struct change *change = &shadow->changes[shadow->change_count++];
	*change = (struct change){.inode = inode};
	snprintf(change->from, PATH_BYTES, "%s", from);
	snprintf(change->to, PATH_BYTES, "%s", to);
	names_apply(&shadow->now, change);
}

/* What lies in a directory whose own name is gone is gone as well. */
static void drop_orphans(struct names *names)
{
	bool dropped = true;
	while (dropped) { /* each round drops one, so it ends */
		dropped = false;
		for (uint32_t i = 0; i < names->count && !dropped; i++) {
			dropped = !has_parent(names, names->list[i].path);
			if (dropped)
				names->list[i] = names->list[--names->count];
		}
	}
}

/* --- Faults --- */

/* Counts a call; its error, if it is to fail. */
static int fault(struct shadow *shadow)
{
	shadow->calls++;
	if (shadow->fail_at == 0 || shadow->calls < shadow->fail_at ||
	    (shadow->calls > shadow->fail_at && !shadow->fail_on))
		return 0;
	shadow->failed++;
	return shadow->error == SHADOW_SHORT ? -EIO : -shadow->error;
}

static uint64_t used_bytes(struct shadow *shadow)
{
	uint64_t used = 0;
	for (uint32_t i = 0; i < shadow->now.count; i++)
		used += shadow->inodes[shadow->now.list[i].inode].now.bytes;
	return used;
}

/* --- The table --- */

static uint32_t new_inode(struct shadow *shadow)
{
	CHECK(shadow->inode_count < MAX_INODES);
	return shadow->inode_count++;
}

static int open_locked(struct shadow *shadow, const char *path, unsigned how)
{
	int error = fault(shadow);
	struct name *name = find(&shadow->now, path);
	int handle = 0;
	if (error != 0)
		return error;
	if (how & DISK_CREATE) {
		if (name != NULL)
			return -EEXIST;
		if (!has_parent(&shadow->now, path))
			return -ENOENT;
		change_names(shadow, "", path, new_inode(shadow));
		name = find(&shadow->now, path);
	}
	if (name == NULL || name->inode == DIRECTORY)
		return name == NULL ? -ENOENT : -EISDIR;
	while (handle < MAX_HANDLES && shadow->handles[handle].used)
		handle++;
	if (handle == MAX_HANDLES)
		return -EMFILE;
	shadow->handles[handle].used = true;
	shadow->handles[handle].direct = how & DISK_DIRECT;
	shadow->handles[handle].writes = how & (DISK_WRITE | DISK_CREATE);
	shadow->handles[handle].inode = name->inode;
	return handle;
}

static int shadow_open(struct disk *disk, const char *path, unsigned how)
{
	struct shadow *shadow = lock(disk);
	return (int)done(shadow, open_locked(shadow, path, how));
}

/* With the lock. A handle that was closed is an error of the caller's. */
static struct inode *inode_of(struct shadow *shadow, int file)
{
	CHECK(file >= 0 && file < MAX_HANDLES && shadow->handles[file].used);
	return &shadow->inodes[shadow->handles[file].inode];
}

static void shadow_close(struct disk *disk, int file)
{
	struct shadow *shadow = lock(disk);
	inode_of(shadow, file);
	shadow->handles[file].used = false;
	done(shadow, 0);
}

static ssize_t shadow_read(struct disk *disk, int file, void *data, size_t bytes, uint64_t offset)
{
	struct shadow *shadow = lock(disk);
	struct inode *inode = inode_of(shadow, file);
	int error = fault(shadow);
	if (error != 0)
		return done(shadow, error);
	uint64_t there = inode->now.bytes > offset ? inode->now.bytes - offset : 0;
	bytes = (size_t)sf_min64(bytes, there);
	if (bytes > 0)
		memcpy(data, inode->now.data + offset, bytes);
	return done(shadow, (int64_t)bytes);
}

static int
write_locked(struct shadow *shadow, int file, const void *data, size_t bytes, uint64_t offset)
{
	struct inode *inode = inode_of(shadow, file);
	uint64_t alignment = (uint64_t)(uintptr_t)data | bytes | offset;
	if (!shadow->handles[file].writes)
		return -EBADF;
	if (shadow->handles[file].direct && alignment % 4096 != 0)
		return -EINVAL;
	int error = fault(shadow);
	if (error != 0 && shadow->error == SHADOW_SHORT)
		bytes /= 2;
	else if (error != 0)
		return error;
	uint64_t end = offset + bytes;
	uint64_t growth = end > inode->now.bytes ? end - inode->now.bytes : 0;
	uint64_t used = shadow->limit > 0 && growth > 0 ? used_bytes(shadow) : 0;
	if (shadow->limit > 0 && growth > 0 && used + growth > shadow->limit) {
		uint64_t missing = sf_min64(bytes, used + growth - shadow->limit);
		bytes -= missing;
		error = -ENOSPC;
	}
	if (bytes > 0) {
		content_put(&inode->now, data, bytes, offset);
		add_pending(inode, false, data, bytes, offset);
	}
	return error;
}

static int
shadow_write(struct disk *disk, int file, const void *data, size_t bytes, uint64_t offset)
{
	struct shadow *shadow = lock(disk);
	return (int)done(shadow, write_locked(shadow, file, data, bytes, offset));
}

static int sync_locked(struct shadow *shadow, int file)
{
	struct inode *inode = inode_of(shadow, file);
	int error = fault(shadow);
	if (shadow->never_syncs)
		return 0;
	if (error != 0)
		settle(&inode->stable, inode, &shadow->random);
	else
		for (struct pending *one = inode->first; one != NULL; one = one->next) {
			if (one->cut)
				content_size(&inode->stable, one->offset);
			else
				content_put(&inode->stable, one->data, one->bytes, one->offset);
		}
	drop_pending(inode);
	return shadow->hides_failures ? 0 : error;
}

static int shadow_sync(struct disk *disk, int file)
{
	struct shadow *shadow = lock(disk);
	return (int)done(shadow, sync_locked(shadow, file));
}

static int shadow_truncate(struct disk *disk, int file, uint64_t bytes)
{
	struct shadow *shadow = lock(disk);
	struct inode *inode = inode_of(shadow, file);
	int error = fault(shadow);
	if (error == 0) {
		content_size(&inode->now, bytes);
		add_pending(inode, true, NULL, 0, bytes);
	}
	return (int)done(shadow, error);
}

static int64_t shadow_size(struct disk *disk, int file)
{
	struct shadow *shadow = lock(disk);
	return done(shadow, (int64_t)inode_of(shadow, file)->now.bytes);
}

static bool shadow_direct(struct disk *disk, int file)
{
	struct shadow *shadow = lock(disk);
	inode_of(shadow, file);
	return done(shadow, shadow->handles[file].direct);
}

static int shadow_rename(struct disk *disk, const char *from, const char *to)
{
	struct shadow *shadow = lock(disk);
	int error = fault(shadow);
	struct name *name = find(&shadow->now, from);
	if (error == 0 && name == NULL)
		error = -ENOENT;
	if (error == 0)
		change_names(shadow, from, to, name->inode);
	return (int)done(shadow, error);
}

static int shadow_remove(struct disk *disk, const char *path)
{
	struct shadow *shadow = lock(disk);
	int error = fault(shadow);
	if (error == 0 && find(&shadow->now, path) == NULL)
		error = -ENOENT;
	if (error == 0)
		change_names(shadow, path, "", 0);
	return (int)done(shadow, error);
}

static int shadow_make_directory(struct disk *disk, const char *path)
{
	struct shadow *shadow = lock(disk);
	int error = fault(shadow);
	if (error == 0 && !has_parent(&shadow->now, path))
		error = -ENOENT;
	if (error == 0 && find(&shadow->now, path) == NULL)
		change_names(shadow, "", path, DIRECTORY);
	return (int)done(shadow, error);
}

static int shadow_sync_directory(struct disk *disk, const char *path)
{
	struct shadow *shadow = lock(disk);
	const char *directory = strcmp(path, "/") == 0 ? "" : path;
	int error = fault(shadow);
	if (error == 0 && *directory && find(&shadow->now, path) == NULL)
		error = -ENOENT;
	uint32_t left = 0;
	for (uint32_t i = 0; error == 0 && i < shadow->change_count; i++) {
		struct change *change = &shadow->changes[i];
		if (is_in(change->to, directory) || is_in(change->from, directory))
			names_apply(&shadow->stable, change);
		else
			shadow->changes[left++] = *change;
	}
	if (error == 0)
		shadow->change_count = left;
	return (int)done(shadow, error);
}

static int shadow_list(struct disk *disk, const char *path, disk_each each, void *context)
{
	struct shadow *shadow = lock(disk);
	int result = fault(shadow);
	if (result == 0 && find(&shadow->now, path) == NULL)
		result = -ENOENT;
	for (uint32_t i = 0; result == 0 && i < shadow->now.count; i++)
		if (is_in(shadow->now.list[i].path, path))
			result = each(context, strrchr(shadow->now.list[i].path, '/') + 1);
	return (int)done(shadow, result);
}

static int64_t shadow_free_bytes(struct disk *disk, const char *path)
{
	struct shadow *shadow = lock(disk);
	uint64_t used = used_bytes(shadow);
	if (shadow->limit == 0)
		return done(shadow, INT64_MAX);
	return done(shadow, used < shadow->limit ? (int64_t)(shadow->limit - used) : 0);
}

/* --- Life --- */

struct shadow *shadow_new(void)
{
	struct shadow *shadow = calloc(1, sizeof(*shadow));
	CHECK(shadow != NULL);
	shadow->disk = (struct disk){
		.open = shadow_open,
		.close = shadow_close,
		.read = shadow_read,
		.write = shadow_write,
		.sync = shadow_sync,
		.truncate = shadow_truncate,
		.size = shadow_size,
		.direct = shadow_direct,
		.rename = shadow_rename,
		.remove = shadow_remove,
		.make_directory = shadow_make_directory,
		.sync_directory = shadow_sync_directory,
		.list = shadow_list,
		.free_bytes = shadow_free_bytes,
	};
	pthread_mutex_init(&shadow->lock, NULL);
	shadow->inode_count = DIRECTORY + 1;
	shadow->random = random_seeded(1);
	return shadow;
}

void shadow_free(struct shadow *shadow)
{
	for (uint32_t i = 0; i < shadow->inode_count; i++) {
		free(shadow->inodes[i].now.data);
		free(shadow->inodes[i].stable.data);
		drop_pending(&shadow->inodes[i]);
	}
	pthread_mutex_destroy(&shadow->lock);
	free(shadow);
}

struct disk *shadow_disk(struct shadow *shadow)
{
	return &shadow->disk;
}

static void copy_inode(struct inode *to, const struct inode *from)
{
	content_copy(&to->now, &from->now);
	content_copy(&to->stable, &from->stable);
	for (const struct pending *one = from->first; one != NULL; one = one->next)
		add_pending(to, one->cut, one->data, one->bytes, one->offset);
}

static void crash_inode(
	struct inode *to, const struct inode *from, enum shadow_loss loss, struct random *random
)
{
	content_copy(&to->stable, &from->stable);
	if (loss == SHADOW_LOSE_SOME)
		settle(&to->stable, from, random);
	content_copy(&to->now, &to->stable);
}

struct shadow *shadow_crash(struct shadow *shadow, enum shadow_loss loss, uint64_t seed)
{
	struct shadow *after = shadow_new();
	struct random random = random_seeded(seed);
	lock(&shadow->disk);
	after->inode_count = shadow->inode_count;
	after->stable = shadow->stable;
	if (loss == SHADOW_LOSE_NONE) {
		after->now = shadow->now;
		after->change_count = shadow->change_count;
		memcpy(after->changes, shadow->changes, sizeof(after->changes));
		for (uint32_t i = 0; i < shadow->inode_count; i++)
			copy_inode(&after->inodes[i], &shadow->inodes[i]);
		done(shadow, 0);
		return after;
	}
	uint64_t kept =
		loss == SHADOW_LOSE_ALL ? 0 : random_below(&random, shadow->change_count + 1);
	for (uint64_t i = 0; i < kept; i++)
		names_apply(&after->stable, &shadow->changes[i]);
	drop_orphans(&after->stable);
	after->now = after->stable;
	for (uint32_t i = 0; i < after->now.count; i++) {
		uint32_t inode = after->now.list[i].inode;
		if (inode != DIRECTORY)
			crash_inode(&after->inodes[inode], &shadow->inodes[inode], loss, &random);
	}
	done(shadow, 0);
	return after;
}

void shadow_fail(struct shadow *shadow, uint64_t nth, int error, bool on)
{
	lock(&shadow->disk);
	shadow->fail_at = nth == 0 ? 0 : shadow->calls + nth;
	shadow->error = error;
	shadow->fail_on = on;
	shadow->failed = 0;
	done(shadow, 0);
}

uint64_t shadow_failed(struct shadow *shadow)
{
	lock(&shadow->disk);
	return (uint64_t)done(shadow, (int64_t)shadow->failed);
}

uint64_t shadow_calls(struct shadow *shadow)
{
	lock(&shadow->disk);
	return (uint64_t)done(shadow, (int64_t)shadow->calls);
}

void shadow_limit(struct shadow *shadow, uint64_t bytes)
{
	lock(&shadow->disk);
	shadow->limit = bytes;
	done(shadow, 0);
}

void shadow_lie(struct shadow *shadow, bool never_syncs, bool hides_failures)
{
	lock(&shadow->disk);
	shadow->never_syncs = never_syncs;
	shadow->hides_failures = hides_failures;
	done(shadow, 0);
}
