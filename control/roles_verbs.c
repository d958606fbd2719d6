/* SPDX-License-Identifier: BSD-3-Clause
 *
 * standfast switchover, promote, init: the operator's word on roles. Each says what it found, asks
 * control to pass the word on, and waits for what comes of it.
 */
#include "config/log.h"
#include "control/ask.h"
#include "control/cli.h"
#include "control/text.h"

#include <inttypes.h>
#include <string.h>
#include <time.h>

#define PATIENCE_NS 10000000000ull
#define LOOK_NS 5000000L

static bool pass_on(struct cli *cli, const char *words)
{
	int code;
	char error[512];
	json_t *tree = ctl_ask(&cli->settings, words, &code, error, sizeof(error));
	if (tree == NULL) {
		cli_fail(cli, code, "%s", error);
		return false;
	}
	bool good = json_is_true(json_object_get(tree, "ok"));
	if (!good)
		cli_fail(cli, SF_EXIT_FAILED, "%s", cli_get_text(tree, "error"));
	json_decref(tree);
	return good;
}

static uint64_t mode_of(const struct cli *cli)
{
	return dp_shm_load(&cli->shm->status.mode);
}

static bool is_mode(const struct cli *cli, uint64_t modes)
{
	return (modes >> mode_of(cli) & 1) != 0;
}

#define BIT(mode) (1ull << (mode))
#define SERVING (BIT(REP_MODE_PAIRED) | BIT(REP_MODE_ALONE) | BIT(REP_MODE_ASYNC))
#define FOLLOWING (BIT(REP_MODE_STANDBY) | BIT(REP_MODE_LEARNER) | BIT(REP_MODE_WAITING))

/* Until the node is in one of these modes; how long it took since the word was given, or 0: it did
 * not come. */
static uint64_t wait_for_mode(const struct cli *cli, uint64_t begin_ns, uint64_t modes)
{
	struct timespec look = {.tv_nsec = LOOK_NS};
	uint64_t now_ns = ctl_monotonic_ns();
	while (now_ns - begin_ns < PATIENCE_NS && dp_shm_alive(&cli->settings)) {
		if (is_mode(cli, modes))
			return now_ns - begin_ns + 1;
		nanosleep(&look, NULL);
		now_ns = ctl_monotonic_ns();
	}
	return 0;
}

static int show(const struct cli *cli, uint64_t took_ns, const char *done)
{
	char text[CTL_DURATION_BYTES];
	ctl_duration_text(took_ns, text);
	if (cli->json) {
		json_t *tree = json_object();
		cli_set_text(tree, "node", cli->shm->node);
		cli_set_text(tree, "role", ctl_role_name(mode_of(cli)));
		cli_set(tree, "epoch", dp_shm_load(&cli->shm->status.epoch));
		cli_set(tree, "took_ns", took_ns);
		cli_show(cli, tree, NULL);
		return SF_EXIT_OK;
	}
	printf("%s, after %s\n", done, text);
	return SF_EXIT_OK;
}

static int refuse_fixed(const struct cli *cli)
{
	return cli_fail(
		cli,
		SF_EXIT_REFUSED,
		"node \"%s\" runs without a log: its role is the configured one",
		cli->shm->node
	);
}

int cli_switchover(struct cli *cli)
{
	int result = cli_attach(cli);
	if (result != SF_EXIT_OK)
		return result;
	if (dp_shm_load(&cli->shm->status.told) == 0)
		return refuse_fixed(cli);
	if (!is_mode(cli, BIT(REP_MODE_PAIRED) | BIT(REP_MODE_ASYNC)))
		return cli_fail(
			cli,
			SF_EXIT_REFUSED,
			"node \"%s\" is %s: a role is handed over by a primary whose standby is "
			"there",
			cli->shm->node,
			ctl_mode_name(mode_of(cli))
		);
	uint64_t begin_ns = ctl_monotonic_ns();
	if (!pass_on(cli, "operate switchover"))
		return SF_EXIT_NOT_RUNNING;
	uint64_t took_ns = wait_for_mode(cli, begin_ns, FOLLOWING);
	if (took_ns == 0)
		return cli_fail(
			cli,
			SF_EXIT_FAILED,
			"the role was not handed over within %d s: node \"%s\" is %s (%s)",
			(int)(PATIENCE_NS / 1000000000ull),
			cli->shm->node,
			ctl_mode_name(mode_of(cli)),
			rep_reason_text((enum rep_reason)dp_shm_load(&cli->shm->status.reason))
		);
	return show(cli, took_ns, "the other node is primary");
}

/* What is at stake, before anything is done (R17). */
static void say_stakes(const struct cli *cli)
{
	const struct dp_shm_status *status = &cli->shm->status;
	uint64_t heard_ns = dp_shm_load(&status->peer_heard_ns);
	uint64_t now_ns = ctl_monotonic_ns();
	char text[CTL_DURATION_BYTES];
	if (cli->json)
		return;
	printf("node %s holds entries up to %" PRIu64 " (durable %" PRIu64 "), epoch %" PRIu64
	       "%s\n",
	       cli->shm->node,
	       dp_shm_load(&status->sequence),
	       dp_shm_load(&status->durable),
	       dp_shm_load(&status->epoch),
	       dp_shm_load(&status->amnesiac) ? ", and may lack what it acknowledged" : "");
	if (heard_ns == 0) {
		printf("its peer has not been heard in this life: what that one acknowledged "
		       "meanwhile is not known, and is lost here\n");
		return;
	}
	ctl_duration_text(now_ns > heard_ns ? now_ns - heard_ns : 0, text);
	printf("its peer was heard %s ago; what that one acknowledged since is lost here, and is "
	       "kept in quarantine there when it comes back\n",
	       text);
}

int cli_promote(struct cli *cli)
{
	/* Also where no node runs: it is how the command is used. */
	if (!cli->force || cli->cluster == NULL)
		return cli_fail(
			cli,
			SF_EXIT_USAGE,
			"promote is the last resort: a planned change is `standfast switchover`; "
			"else say --force and --cluster with the cluster's name"
		);
	int result = cli_attach(cli);
	if (result != SF_EXIT_OK)
		return result;
	if (dp_shm_load(&cli->shm->status.told) == 0)
		return refuse_fixed(cli);
	if (strcmp(cli->cluster, cli->shm->cluster) != 0)
		return cli_fail(
			cli,
			SF_EXIT_REFUSED,
			"this node is of cluster \"%s\": name it with --cluster",
			cli->shm->cluster
		);
	say_stakes(cli);
	bool back = dp_shm_load(&cli->shm->status.arbiter_back) != 0;
	if (is_mode(cli, SERVING) && !back)
		return cli_fail(cli, SF_EXIT_REFUSED, "node \"%s\" serves", cli->shm->node);
	uint64_t begin_ns = ctl_monotonic_ns();
	if (!pass_on(cli, "operate force"))
		return SF_EXIT_NOT_RUNNING;
	uint64_t took_ns = wait_for_mode(cli, begin_ns, SERVING);
	if (took_ns == 0)
		return cli_fail(
			cli,
			SF_EXIT_FAILED,
			"node \"%s\" does not serve yet: it is %s (%s)",
			cli->shm->node,
			ctl_mode_name(mode_of(cli)),
			rep_reason_text((enum rep_reason)dp_shm_load(&cli->shm->status.reason))
		);
	return show(cli, took_ns, "this node is primary");
}

int cli_maintenance(struct cli *cli)
{
	bool on = cli->operand != NULL && strcmp(cli->operand, "on") == 0;
	bool off = cli->operand != NULL && strcmp(cli->operand, "off") == 0;
	if (!on && !off)
		return cli_fail(cli, SF_EXIT_USAGE, "say on or off");
	int result = cli_attach(cli);
	if (result != SF_EXIT_OK)
		return result;
	if (dp_shm_load(&cli->shm->status.told) == 0)
		return refuse_fixed(cli);
	if (!pass_on(cli, on ? "maintenance on" : "maintenance off"))
		return SF_EXIT_NOT_RUNNING;
	printf(on ? "node %s takes and leaves no role by itself; say the same on its peer\n"
		  : "node %s takes and leaves roles by itself again\n",
	       cli->shm->node);
	return SF_EXIT_OK;
}

int cli_init(struct cli *cli)
{
	int result = cli_attach(cli);
	if (result != SF_EXIT_OK)
		return result;
	if (dp_shm_load(&cli->shm->status.told) == 0)
		return refuse_fixed(cli);
	if (dp_shm_load(&cli->shm->status.pair_epoch) != 0 ||
	    dp_shm_load(&cli->shm->status.sequence) != 0)
		return cli_fail(
			cli,
			SF_EXIT_REFUSED,
			"there is a pair already: its record is of epoch %" PRIu64
			", this node holds %" PRIu64 " entries",
			dp_shm_load(&cli->shm->status.pair_epoch),
			dp_shm_load(&cli->shm->status.sequence)
		);
	if (cli->settings.roles.preferred_primary != cli->shm->node_id)
		return cli_fail(
			cli,
			SF_EXIT_REFUSED,
			"roles.preferred_primary names \"%s\": a pair is founded there",
			cli->shm->peer
		);
	uint64_t begin_ns = ctl_monotonic_ns();
	if (!pass_on(cli, "operate init"))
		return SF_EXIT_NOT_RUNNING;
	uint64_t took_ns = wait_for_mode(cli, begin_ns, SERVING | BIT(REP_MODE_STANDBY));
	if (took_ns == 0)
		return cli_fail(
			cli,
			SF_EXIT_FAILED,
			"no pair yet: node \"%s\" is %s (%s); both nodes must be blank and see "
			"each "
			"other",
			cli->shm->node,
			ctl_mode_name(mode_of(cli)),
			rep_reason_text((enum rep_reason)dp_shm_load(&cli->shm->status.reason))
		);
	return show(cli, took_ns, "there is a pair");
}
