/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The pair record as text, as it stands at an arbiter: one line of compact JSON that people can
 * read,
 *
 *   {"schema":1,"cluster":"1122334455667788","epoch":7,"primary":0,"in_sync":[0,1]}
 *
 * with the cluster's identity in hexadecimal and nodes by their ids. There is one spelling of each
 * record, byte by byte, because compare-and-set compares bytes; whatever else stands there is not
 * ours (W09) and is refused, though it may mean the same.
 *
 * Pure but for jansson's memory: bytes in, values out. Never aborts on any input.
 */
#pragma once

#include "replication/record.h"

#include <stddef.h>

#define CTL_ARBITER_SCHEMA 1
#define CTL_ARBITER_VALUE_BYTES 160	/* of any record, with the final 0 */
#define CTL_ARBITER_FILE_TEXT_BYTES 256 /* of any file, with the final 0 */

enum ctl_value_fault {
	CTL_VALUE_OK,
	CTL_VALUE_NOT_JSON,
	CTL_VALUE_ODD,	   /* a member is missing, unknown, twice, or of another type */
	CTL_VALUE_SCHEMA,  /* of another release */
	CTL_VALUE_CLUSTER, /* of another pair */
	CTL_VALUE_PAIR,	   /* no pair can be so */
	CTL_VALUE_SPELLING,
	CTL_VALUE_CHECKSUM, /* of the file */
	CTL_VALUE_FAULTS,
};
/* A part of a sentence: "the value is not ours: …". */
const char *ctl_value_fault_text(enum ctl_value_fault fault);

/* Can this stand in a pair record? */
bool ctl_value_is_valid(const struct rep_pair *pair);

/* Returns the length. The pair must be valid. */
size_t
ctl_value_put(const struct rep_pair *pair, uint64_t cluster_id, char text[CTL_ARBITER_VALUE_BYTES]);
/* CTL_VALUE_OK: *pair is the record, with the arbiter as holder; else it is as it was. Reads only
 * [text, text + bytes). */
enum ctl_value_fault
ctl_value_take(const char *text, size_t bytes, uint64_t cluster_id, struct rep_pair *pair);

/* The file of the arbiter "file": the value's line, and one that says how often it was written and
 * what the CRC32C of all before the last word is:
 *
 *   revision 12 crc32c 0badcafe
 */
size_t
ctl_value_put_file(const char *value, uint64_t revision, char text[CTL_ARBITER_FILE_TEXT_BYTES]);
/* CTL_VALUE_OK: the value is the file's first *value_bytes. */
enum ctl_value_fault
ctl_value_take_file(const char *text, size_t bytes, size_t *value_bytes, uint64_t *revision);
