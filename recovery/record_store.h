/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Keeps a node's role record in its folder, through a struct disk: `role.0` and `role.1`
 * (recovery/record_file.h). Owner: one thread of control.
 *
 * A write is durable when it returns 0, in one copy; rec_role_store_settle then gives it to the
 * other, so that from there on no single copy matters. A life of the node begins with new files for
 * both copies, each under a temporary name until it is synced: what was read may stand in the page
 * cache alone, and what is on disk must not be torn by its own repair. From then on a copy is
 * written in place, and only while the other is known to hold the record before.
 *
 * Nothing is tried again (inv. 31): the first write or sync that fails is the last one.
 */
#pragma once

#include "recovery/disk.h"
#include "recovery/record_file.h"

#define REC_ROLE_PATH_BYTES 512
#define REC_ROLE_FOLDER_BYTES 480 /* a folder's path and its end fit here */

struct rec_role_store {
	struct disk *disk;
	struct log_identity identity;
	char folder[REC_ROLE_FOLDER_BYTES]; /* of the node */
	int file[REC_ROLE_COPIES];	    /* made in this life; negative: not yet */
	bool holds[REC_ROLE_COPIES];	    /* `role`, durably, by a sync of this life */
	bool have;			    /* there is a record; else `role` is blank */
	bool folders;			    /* are there, durably */
	int error;			    /* that ended it: the negative errno, or 0 */
	struct rec_role_choice choice;	    /* of the opening */
	struct rec_role role;		    /* as read, then as last written */
	_Alignas(8) uint8_t block[REC_ROLE_BYTES];
};

/* Reads both copies. The verdict is in store->choice, what counts in store->role; nothing is
 * written. folder: `<log.dir>/<node>`, shorter than REC_ROLE_FOLDER_BYTES, need not be there. used:
 * the folder's identity says that its log has held an entry. A verdict that refuses ends the store:
 * each write gives -EBADMSG. */
void rec_role_store_open(
	struct rec_role_store *store,
	struct disk *disk,
	const struct log_identity *identity,
	const char *folder,
	bool used
);

/* Makes this the node's role record: 0, and it is durable; or a negative errno, and it may be that
 * or the one before, and no more is written in this life. The write number becomes the next one,
 * unless the record's is higher; cluster and node are the store's. The role must be valid
 * (rec_role_is_valid). */
int rec_role_store_write(struct rec_role_store *store, const struct rec_role *role);

/* Gives the last record to each copy that may lack it. 0, also when there is nothing to do; or a
 * negative errno, which ends the store as above, but the record stays durable. */
int rec_role_store_settle(struct rec_role_store *store);

void rec_role_store_close(struct rec_role_store *store);

/* What the opening found, for people: the verdict, each copy that is not good, the remedy. */
void rec_role_store_say(const struct rec_role_store *store, char *text, size_t text_bytes);
