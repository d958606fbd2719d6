/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The real disk with io_uring for what the journal does most: a write and the sync that makes it
 * durable are handed to the kernel together, the second linked to the first, in one system call.
 * Everything else is disk_real's.
 *
 * Owner: one thread calls write_and_sync.
 */
#pragma once

#include "recovery/disk.h"

/* 0, or a negative errno where the kernel does not allow it (-ENOSYS, -EPERM). */
int disk_uring_open(struct disk **disk);
void disk_uring_close(struct disk *disk);
