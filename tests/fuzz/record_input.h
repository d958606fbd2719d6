/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The form in which fuzz_record takes the two copies of a role record: without the zeros at their
 * ends, and with a choice of what the target makes right before it looks, since nobody guesses a
 * CRC.
 *
 * struct record_input_head, then so many bytes of copy 0, then those of copy 1.
 */
#pragma once

#include "recovery/record_file.h"

#include <stddef.h>

#define RECORD_INPUT_ROOM 4096

#define RECORD_SEAL_0 0x01 /* CRC of copy 0 */
#define RECORD_SEAL_1 0x02 /* of copy 1 */
#define RECORD_ABSENT_0 0x04
#define RECORD_ABSENT_1 0x08
#define RECORD_ERROR_0 0x10 /* the disk gives an error */
#define RECORD_ERROR_1 0x20
#define RECORD_USED 0x40 /* the folder's log was used */
#define RECORD_LONG 0x80 /* files of a byte more, and not of so many less */

struct record_input_head {
	uint8_t what;	  /* RECORD_… */
	uint8_t cut[2];	  /* each file lacks 17 times so many bytes, or has so many more */
	uint8_t first_16; /* bytes of copy 0 in the input, times 16 */
};

extern const struct log_identity record_input_identity;

/* Valid and slightly broken inputs; each number is another. Returns the bytes, at most
 * RECORD_INPUT_ROOM; *name: for people. 0: there is no case of this number. */
size_t record_input_case(uint32_t number, uint8_t *data, const char **name);
/* A valid input for a seed. */
size_t record_input_random(uint64_t seed, uint8_t *data, size_t room);
