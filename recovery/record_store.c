/* SPDX-License-Identifier: BSD-3-Clause */
#include "recovery/record_store.h"

#include "config/bytes.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static void path_of(const struct rec_role_store *store, uint32_t copy, const char *end, char *path)
{
	snprintf(path, REC_ROLE_PATH_BYTES, "%s/role.%u%s", store->folder, copy, end);
}

/* Takes one byte more than belongs there, to see a file that is too long. */
static void
read_copy(struct rec_role_store *store, uint32_t number, uint8_t *data, struct rec_role_copy *copy)
{
	char path[REC_ROLE_PATH_BYTES];
	path_of(store, number, "", path);
	*copy = (struct rec_role_copy){.state = REC_COPY_OK, .data = data};
	int file = store->disk->open(store->disk, path, DISK_READ);
	if (file < 0) {
		copy->state = file == -ENOENT ? REC_COPY_ABSENT : REC_COPY_UNREADABLE;
		return;
	}
	ssize_t got = store->disk->read(store->disk, file, data, REC_ROLE_BYTES + 1, 0);
	store->disk->close(store->disk, file);
	if (got < 0)
		copy->state = REC_COPY_UNREADABLE;
	else
		copy->bytes = (uint64_t)got;
}

void rec_role_store_open(
	struct rec_role_store *store,
	struct disk *disk,
	const struct log_identity *identity,
	const char *folder,
	bool used
)
{
	uint8_t data[REC_ROLE_COPIES][REC_ROLE_BYTES + 1];
	struct rec_role_copy copies[REC_ROLE_COPIES];
	*store = (struct rec_role_store){
		.disk = disk,
		.identity = *identity,
		.file = {-1, -1},
	};
	CHECK(strlen(folder) < sizeof(store->folder));
	memcpy(store->folder, folder, strlen(folder) + 1);
	for (uint32_t i = 0; i < REC_ROLE_COPIES; i++)
		read_copy(store, i, data[i], &copies[i]);
	rec_role_choose(&store->choice, &store->role, identity, copies, used);
	store->have = store->choice.copy < REC_ROLE_COPIES;
	if (rec_role_refuses(store->choice.verdict))
		store->error = -EBADMSG;
}

/* The node's folder and the one above. */
static int make_folders(struct rec_role_store *store)
{
	char above[REC_ROLE_FOLDER_BYTES];
	int result = 0;
	if (store->folders)
		return 0;
	memcpy(above, store->folder, sizeof(above));
	char *end = strrchr(above, '/');
	if (end != NULL && end != above) {
		*end = 0;
		result = disk_make_directory(store->disk, above);
	}
	if (result == 0)
		result = disk_make_directory(store->disk, store->folder);
	store->folders = result == 0;
	return result;
}

/* The block as a new file under this copy's name: before the last sync the old one is whole. */
static int replace(struct rec_role_store *store, uint32_t copy)
{
	char path[REC_ROLE_PATH_BYTES], temporary[REC_ROLE_PATH_BYTES];
	struct disk *disk = store->disk;
	int result = make_folders(store);
	if (result < 0)
		return result;
	path_of(store, copy, "", path);
	path_of(store, copy, ".tmp", temporary);
	disk->remove(disk, temporary); /* of a life that was killed */
	int file = disk->open(disk, temporary, DISK_CREATE);
	if (file < 0)
		return file;
	result = disk->write(disk, file, store->block, sizeof(store->block), 0);
	if (result == 0)
		result = disk->sync(disk, file);
	if (result == 0)
		result = disk->rename(disk, temporary, path);
	if (result == 0)
		result = disk->sync_directory(disk, store->folder);
	if (result == 0)
		store->file[copy] = file;
	else
		disk->close(disk, file);
	return result;
}

static int put(struct rec_role_store *store, uint32_t copy, const struct rec_role *role)
{
	struct disk *disk = store->disk;
	int result;
	store->holds[copy] = false;
	rec_role_encode(store->block, &store->identity, role, copy);
	if (store->file[copy] < 0) {
		result = replace(store, copy);
	} else {
		result =
			disk->write(disk, store->file[copy], store->block, sizeof(store->block), 0);
		if (result == 0)
			result = disk->sync(disk, store->file[copy]);
	}
	store->holds[copy] = result == 0;
	store->error = result;
	return result;
}

int rec_role_store_write(struct rec_role_store *store, const struct rec_role *role)
{
	struct rec_role next = *role;
	uint64_t number = sf_max64(role->record.write_number, store->role.record.write_number + 1);
	uint32_t first = number % REC_ROLE_COPIES, other = 1 - first;
	if (store->error != 0)
		return store->error;
	/* While the first is written, the other is all that there is. */
	if (store->have && !store->holds[other] && put(store, other, &store->role) != 0)
		return store->error;
	next.record.write_number = number;
	next.record.cluster_hash = store->identity.cluster_hash;
	next.record.node = store->identity.node;
	if (put(store, first, &next) != 0)
		return store->error;
	store->role = next;
	store->have = true;
	store->holds[other] = false;
	return 0;
}

int rec_role_store_settle(struct rec_role_store *store)
{
	for (uint32_t i = 0; i < REC_ROLE_COPIES && store->have && store->error == 0; i++)
		if (!store->holds[i])
			put(store, i, &store->role);
	return store->error;
}

void rec_role_store_close(struct rec_role_store *store)
{
	for (uint32_t i = 0; i < REC_ROLE_COPIES; i++) {
		if (store->file[i] >= 0)
			store->disk->close(store->disk, store->file[i]);
		store->file[i] = -1;
	}
	store->error = -EBADF; /* nothing more is written */
}

void rec_role_store_say(const struct rec_role_store *store, char *text, size_t text_bytes)
{
	const struct rec_role_choice *choice = &store->choice;
	char path[REC_ROLE_PATH_BYTES];
	size_t used =
		(size_t)snprintf(text, text_bytes, "%s", rec_role_verdict_text(choice->verdict));
	for (uint32_t i = 0; i < REC_ROLE_COPIES && used < text_bytes; i++) {
		if (choice->fault[i] == REC_COPY_OK || choice->verdict == REC_ROLE_FRESH)
			continue;
		path_of(store, i, "", path);
		used += (size_t)snprintf(
			text + used,
			text_bytes - used,
			"; %s: %s",
			path,
			rec_copy_fault_text(choice->fault[i])
		);
	}
	if (used < text_bytes && *rec_role_verdict_remedy(choice->verdict))
		snprintf(
			text + used,
			text_bytes - used,
			"; %s",
			rec_role_verdict_remedy(choice->verdict)
		);
}
