/* SPDX-License-Identifier: BSD-3-Clause */
#include "recovery/disk_uring.h"

#include <errno.h>
#include <liburing.h>
#include <stdlib.h>

#define ENTRIES 4

struct uring_disk {
	struct disk disk; /* first: the caller's handle */
	struct io_uring ring;
};

/* Both results; the buffer is the kernel's until they are here, so there is no way around waiting.
 */
static int reap(struct io_uring *ring, int results[2])
{
	for (int seen = 0; seen < 2;) {
		struct io_uring_cqe *cqe;
		int result = io_uring_wait_cqe(ring, &cqe);
		if (result == -EINTR || result == -EAGAIN)
			continue;
		if (result < 0)
			return result;
		results[io_uring_cqe_get_data64(cqe) & 1] = cqe->res;
		io_uring_cqe_seen(ring, cqe);
		seen++;
	}
	return 0;
}

static int
write_and_sync(struct disk *disk, int file, const void *data, size_t bytes, uint64_t offset)
{
	struct uring_disk *self = (struct uring_disk *)disk;
	struct io_uring_sqe *write = io_uring_get_sqe(&self->ring);
	struct io_uring_sqe *sync = io_uring_get_sqe(&self->ring);
	int results[2] = {-EIO, -EIO};
	if (write == NULL || sync == NULL || bytes > UINT32_MAX)
		return -EIO;
	io_uring_prep_write(write, file, data, (unsigned)bytes, offset);
	io_uring_sqe_set_flags(write, IOSQE_IO_LINK);
	io_uring_sqe_set_data64(write, 0);
	io_uring_prep_fsync(sync, file, IORING_FSYNC_DATASYNC);
	io_uring_sqe_set_data64(sync, 1);
	int submitted = 0;
	while (io_uring_sq_ready(&self->ring) > 0 || submitted == -EINTR || submitted == -EAGAIN) {
		submitted = io_uring_submit_and_wait(&self->ring, 2);
		if (submitted < 0 && submitted != -EINTR && submitted != -EAGAIN)
			return submitted;
	}
	int result = reap(&self->ring, results);
	if (result < 0)
		return result;
	if (results[0] < 0)
		return results[0];
	/* A short write breaks the link: nothing was synced, and the rest goes the plain way. */
	if ((size_t)results[0] < bytes) {
		size_t done = (size_t)results[0];
		result = disk_real.write(
			disk, file, (const uint8_t *)data + done, bytes - done, offset + done
		);
		return result < 0 ? result : disk_real.sync(disk, file);
	}
	return results[1] < 0 ? results[1] : 0;
}

int disk_uring_open(struct disk **disk)
{
	struct uring_disk *self = calloc(1, sizeof(*self));
	if (self == NULL)
		return -ENOMEM;
	int result = io_uring_queue_init(ENTRIES, &self->ring, 0);
	if (result < 0) {
		free(self);
		return result;
	}
	self->disk = disk_real;
	self->disk.write_and_sync = write_and_sync;
	*disk = &self->disk;
	return 0;
}

void disk_uring_close(struct disk *disk)
{
	struct uring_disk *self = (struct uring_disk *)disk;
	io_uring_queue_exit(&self->ring);
	free(self);
}
