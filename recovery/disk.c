/* SPDX-License-Identifier: BSD-3-Clause */
#include "recovery/disk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

static int real_open(struct disk *disk, const char *path, unsigned how)
{
	int flags = O_CLOEXEC | O_NOFOLLOW;
	flags |= how & (DISK_WRITE | DISK_CREATE) ? O_RDWR : O_RDONLY;
	if (how & DISK_CREATE)
		flags |= O_CREAT | O_EXCL;
	int file = -1;
	if (how & DISK_DIRECT)
		file = open(path, flags | O_DIRECT, 0600);
	if (file < 0 && (how & DISK_DIRECT) && errno == EINVAL) {
		/* The file system has no O_DIRECT; open may have made the file all the same. */
		file = open(path, flags & ~O_EXCL, 0600);
	} else if (file < 0 && !(how & DISK_DIRECT)) {
		file = open(path, flags, 0600);
	}
	return file >= 0 ? file : -errno;
}

static void real_close(struct disk *disk, int file)
{
	close(file);
}

static ssize_t real_read(struct disk *disk, int file, void *data, size_t bytes, uint64_t offset)
{
	size_t done = 0;
	while (done < bytes) {
		ssize_t got =
			pread(file, (uint8_t *)data + done, bytes - done, (off_t)(offset + done));
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -errno;
		if (got == 0)
			break;
		done += (size_t)got;
	}
	return (ssize_t)done;
}

static int real_write(struct disk *disk, int file, const void *data, size_t bytes, uint64_t offset)
{
	size_t done = 0;
	while (done < bytes) {
		ssize_t put = pwrite(
			file, (const uint8_t *)data + done, bytes - done, (off_t)(offset + done)
		);
		if (put < 0 && errno == EINTR)
			continue;
		if (put < 0)
			return -errno;
		if (put == 0)
			return -EIO;
		done += (size_t)put;
	}
	return 0;
}

static int real_sync(struct disk *disk, int file)
{
	return fdatasync(file) == 0 ? 0 : -errno;
}

static int real_truncate(struct disk *disk, int file, uint64_t bytes)
{
	return ftruncate(file, (off_t)bytes) == 0 ? 0 : -errno;
}

static int64_t real_size(struct disk *disk, int file)
{
	struct stat status;
	return fstat(file, &status) == 0 ? status.st_size : -errno;
}

static bool real_direct(struct disk *disk, int file)
{
	int flags = fcntl(file, F_GETFL);
	return flags >= 0 && (flags & O_DIRECT) != 0;
}

static int real_rename(struct disk *disk, const char *from, const char *to)
{
	return rename(from, to) == 0 ? 0 : -errno;
}

static int real_remove(struct disk *disk, const char *path)
{
	return unlink(path) == 0 ? 0 : -errno;
}

static int real_make_directory(struct disk *disk, const char *path)
{
	return mkdir(path, 0700) == 0 || errno == EEXIST ? 0 : -errno;
}

static int real_sync_directory(struct disk *disk, const char *path)
{
	int result = 0;
	int file = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (file < 0)
		return -errno;
	if (fsync(file) != 0)
		result = -errno;
	close(file);
	return result;
}

static int real_list(struct disk *disk, const char *path, disk_each each, void *context)
{
	int result = 0;
	DIR *directory = opendir(path);
	if (directory == NULL)
		return -errno;
	for (struct dirent *entry; result == 0 && (entry = readdir(directory)) != NULL;)
		if (entry->d_name[0] != '.')
			result = each(context, entry->d_name);
	closedir(directory);
	return result;
}

static int64_t real_free_bytes(struct disk *disk, const char *path)
{
	struct statvfs status;
	if (statvfs(path, &status) != 0)
		return -errno;
	return (int64_t)((uint64_t)status.f_bavail * status.f_frsize);
}

int disk_make_directory(struct disk *disk, const char *path)
{
	char above[PATH_MAX];
	int result = disk->make_directory(disk, path);
	size_t length = strlen(path);
	if (result < 0)
		return result;
	if (length >= sizeof(above))
		return -ENAMETOOLONG;
	memcpy(above, path, length + 1);
	while (length > 0 && above[length - 1] != '/')
		length--;
	above[length > 1 ? length - 1 : length] = 0;
	result = *above ? disk->sync_directory(disk, above) : 0;
	/* We made nothing in a directory that we may not even read: it was there before. */
	return result == -EACCES ? 0 : result;
}

struct disk disk_real = {
	.open = real_open,
	.close = real_close,
	.read = real_read,
	.write = real_write,
	.sync = real_sync,
	.truncate = real_truncate,
	.size = real_size,
	.direct = real_direct,
	.rename = real_rename,
	.remove = real_remove,
	.make_directory = real_make_directory,
	.sync_directory = real_sync_directory,
	.list = real_list,
	.free_bytes = real_free_bytes,
};
