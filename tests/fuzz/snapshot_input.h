/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The form in which fuzz_snapshot takes snapshots: without the zeros of the header's block, and
 * with a choice of what the target makes right before it looks, since nobody guesses a CRC.
 *
 * struct snapshot_input_head, then so many bytes of the header, then the blocks as in the file.
 */
#pragma once

#include "config/settings.h"
#include "recovery/disk.h"
#include "recovery/snapshot.h"

#include <stddef.h>

#define SNAPSHOT_INPUT_ROOM 4096
#define SNAPSHOT_INPUT_FILE_ROOM 65536
#define SNAPSHOT_INPUT_SESSIONS 6
#define SNAPSHOT_INPUT_INFLIGHT 4

#define SNAPSHOT_SEAL_HEADER 0x01 /* its CRC */
#define SNAPSHOT_SEAL_BLOCKS 0x02 /* their magic, numbers and CRCs; the header's sums of them */
#define SNAPSHOT_SEAL_SUMS 0x04	  /* counts and digests are those of what the records say */
#define SNAPSHOT_SEAL_SHAPE 0x08  /* the settings' */
#define SNAPSHOT_SEAL_ALL 0x0f

struct snapshot_input_head {
	uint16_t header_bytes; /* modulo SNAP_HEADER_BYTES + 1 */
	uint8_t seal;	       /* SNAPSHOT_SEAL_… */
	uint8_t missing;       /* so many bytes at the end */
};

extern const struct log_identity snapshot_input_identity;
/* Of the node whose snapshots these are. */
void snapshot_input_settings(struct cfg_settings *settings);

/* Valid and slightly broken inputs; each number is another. Returns the bytes, at most
 * SNAPSHOT_INPUT_ROOM; *name: for people. 0: there is no case of this number. */
size_t snapshot_input_case(uint32_t number, uint8_t *data, const char **name);
/* A valid input for a seed. */
size_t snapshot_input_random(uint64_t seed, uint8_t *data, size_t room);

/* A disk that is one file in memory, for ctl_copy_write. */
struct snapshot_input_disk {
	struct disk disk;
	_Alignas(8) uint8_t data[SNAPSHOT_INPUT_FILE_ROOM];
	uint64_t bytes;
};
void snapshot_input_disk_init(struct snapshot_input_disk *memory);
