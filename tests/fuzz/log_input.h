/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The form in which fuzz_log takes logs: segment files without their zeros, so that an input has
 * hundreds of bytes where the files have tens of thousands, and a mutation seldom hits nothing.
 *
 * Four bytes of choices (struct log_input_head), then chunks, each with 16 bits in front:
 *   0 … 4096      a block that begins with so many bytes, which follow; the rest of it is zero
 *   … 0xfeff      one to 16 blocks of zeros
 *   0xff00 …      the next file; its number is one to four higher
 */
#pragma once

#include "recovery/plan.h"

#include <stddef.h>

#define LOG_INPUT_ROOM 4096
#define LOG_INPUT_ZEROS 0x1001
#define LOG_INPUT_NEXT 0xff00

enum log_input_kind { LOG_INPUT_SEGMENTS, LOG_INPUT_IDENTITY, LOG_INPUT_KINDS };

/* What the target makes right before it looks: nobody guesses a CRC. */
#define LOG_SEAL_HEADER 0x01  /* CRC of the segment headers, or of the identity */
#define LOG_SEAL_ENTRIES 0x02 /* CRC of each entry */
#define LOG_SEAL_GROUPS 0x04  /* CRC of each group */
#define LOG_SEAL_CHAIN 0x08   /* place, chain and sequences of groups and entries */
#define LOG_SEAL_JOINS 0x10   /* number, chain and first sequence of the headers */

struct log_input_head {
	uint8_t kind; /* enum log_input_kind, modulo LOG_INPUT_KINDS */
	uint8_t seal; /* LOG_SEAL_… */
	uint8_t cut;  /* the last file lacks 97 times so many bytes */
	uint8_t plan; /* bits 0 to 2: enum rec_identity; the others: base sequence */
};

extern const struct log_identity log_input_identity;

/* Valid and slightly broken inputs; each number is another. Returns the bytes, at most
 * LOG_INPUT_ROOM; *name: for people. 0: there is no case of this number. */
size_t log_input_case(uint32_t number, uint8_t *data, const char **name);
/* A valid input for a seed. */
size_t log_input_random(uint64_t seed, uint8_t *data, size_t room);
