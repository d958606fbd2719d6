/* SPDX-License-Identifier: BSD-3-Clause
 *
 * standfast recover: gives a stopped node an empty log again, as a learner. What it held goes to
 * quarantine, and its role record says from then on that it may lack what it acknowledged: it takes
 * all of its state from its peer, and never votes itself in.
 */
#include "control/cli.h"
#include "control/cut.h"
#include "control/text.h"
#include "recovery/record_store.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define CONTROL_LOCK ".control.lock"

/* Is this perhaps the only node that holds what was acknowledged? */
static bool may_be_the_last(const struct rec_role *role)
{
	return role->record.mode == REP_RECORD_ALONE;
}

static json_t *tree_of(const struct cli *cli, const struct ctl_cut *cut)
{
	json_t *tree = json_object();
	cli_set_text(tree, "node", cli->settings.node.name);
	cli_set(tree, "entries", cut->entries);
	cli_set(tree, "files", cut->files);
	cli_set(tree, "bytes", cut->bytes);
	json_object_set_new(
		tree, "quarantine", *cut->folder ? json_string(cut->folder) : json_null()
	);
	return tree;
}

static void draw(const json_t *tree, FILE *to)
{
	const char *folder = cli_get_text(tree, "quarantine");
	fprintf(to,
		"node       %s has an empty log, and will learn everything from its peer\n",
		cli_get_text(tree, "node"));
	if (*folder)
		fprintf(to,
			"quarantine %s: %" PRIu64 " files, %" PRIu64
			" entries of them readable (standfast log dump shows them)\n",
			folder,
			cli_get(tree, "files"),
			cli_get(tree, "entries"));
}

/* The record first: a node that forgot its log and not its role would claim to be complete. */
static int forget_role(struct rec_role_store *store)
{
	struct rec_role role = store->role;
	role.record.mode = REP_RECORD_BLANK;
	role.record.epoch = 0;
	role.record.amnesiac = true;
	role.record.clean = false;
	role.record.committed = role.record.final_sequence = role.record.final_digest = 0;
	role.record.pair = (struct rep_pair){0};
	role.lineage_count = 0;
	role.written_unix_ns = ctl_unix_ns();
	int result = rec_role_store_write(store, &role);
	return result == 0 ? rec_role_store_settle(store) : result;
}

static int recover(struct cli *cli, struct ctl_log *log, struct rec_role_store *store)
{
	struct ctl_cut cut = {0};
	char text[1024];
	rec_role_store_say(store, text, sizeof(text));
	if (rec_role_refuses(store->choice.verdict))
		return cli_fail(cli, SF_EXIT_DATA, "%s", text);
	if (may_be_the_last(&store->role) && !cli->force)
		return cli_fail(
			cli,
			SF_EXIT_REFUSED,
			"node \"%s\" was primary by itself in epoch %u: what it acknowledged then "
			"may be "
			"nowhere else. If its peer serves by now, or you give that up, say --force",
			cli->settings.node.name,
			store->role.record.epoch
		);
	int result = forget_role(store);
	if (result < 0)
		return cli_fail(
			cli,
			SF_EXIT_FAILED,
			"%s: the role record cannot be written: %s",
			log->folder,
			strerror(-result)
		);
	result = ctl_log_empty(log, &cut, text, sizeof(text));
	if (result < 0)
		return cli_fail(
			cli, result == -EBADMSG ? SF_EXIT_DATA : SF_EXIT_FAILED, "%s", text
		);
	cli_show(cli, tree_of(cli, &cut), draw);
	return SF_EXIT_OK;
}

int cli_recover(struct cli *cli)
{
	static struct rec_role_store store;
	struct ctl_log log;
	char error[512];
	int dataplane_lock = -1, control_lock = -1;
	int result = cli_load(cli);
	if (result != SF_EXIT_OK)
		return result;
	if (cli->settings.log.enabled != CFG_ON)
		return cli_fail(cli, SF_EXIT_REFUSED, "log.enabled is off: there is no log");
	/* Both, until this is done: nobody may start meanwhile. */
	if (dp_shm_make_directory(&cli->settings) < 0 ||
	    dp_shm_lock(
		    &cli->settings,
		    DP_SHM_LOCK,
		    "the dataplane",
		    &dataplane_lock,
		    error,
		    sizeof(error)
	    ) < 0 ||
	    dp_shm_lock(
		    &cli->settings,
		    CONTROL_LOCK,
		    "standfast-control",
		    &control_lock,
		    error,
		    sizeof(error)
	    ) < 0)
		return cli_fail(cli, SF_EXIT_REFUSED, "the node must be stopped first: %s", error);
	ctl_log_init(&log, &cli->settings, &disk_real);
	result = ctl_log_look_identity(&log);
	if (result < 0)
		return cli_fail(cli, SF_EXIT_FAILED, "%s: %s", log.folder, strerror(-result));
	bool used =
		log.identity_state != REC_IDENTITY_NONE && log.identity_state != REC_IDENTITY_NEW;
	rec_role_store_open(&store, &disk_real, &log.identity, log.folder, used);
	result = recover(cli, &log, &store);
	rec_role_store_close(&store);
	ctl_log_free(&log);
	return result;
}
