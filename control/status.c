/* SPDX-License-Identifier: BSD-3-Clause
 *
 * `standfast status` and `is-primary`: both nodes as this one sees them.
 */
#include "control/cli.h"
#include "control/text.h"
#include "replication/core.h"

#include <inttypes.h>
#include <string.h>

#define CONTROL_BEAT_PATIENCE_NS 1000000000ull

/* Not JSON's business to guess: what is not known is null. */
static void set_known(json_t *object, const char *key, bool known, uint64_t value)
{
	if (known)
		cli_set(object, key, value);
	else
		json_object_set_new(object, key, json_null());
}

static uint64_t age_of(uint64_t now, uint64_t then)
{
	return now > then ? now - then : 0;
}

static json_t *peer_build(const struct dp_shm *shm, uint64_t mode, uint64_t now_ns)
{
	const struct dp_shm_status *status = &shm->status;
	uint64_t heard_ns = dp_shm_load(&status->peer_heard_ns);
	bool heard = heard_ns != 0;
	bool primary = strcmp(ctl_role_name(mode), "primary") == 0;
	bool told = dp_shm_load(&status->told) != 0;
	bool conflict = dp_shm_load(&status->reason) == REP_REASON_ROLE_CONFLICT;
	bool peer_primary = (dp_shm_load(&status->role) == REP_PRIMARY) == conflict;
	json_t *peer = json_object();

	cli_set_text(peer, "node", shm->peer);
	json_object_set_new(
		peer, "reachable", json_boolean(dp_shm_load(&status->peer_reachable) != 0)
	);
	set_known(peer, "heartbeat_age_ns", heard, age_of(now_ns, heard_ns));
	set_known(peer, "acked", heard && primary, dp_shm_load(&status->peer_acked));
	set_known(peer, "durable", heard && primary, dp_shm_load(&status->peer_durable));
	set_known(peer, "committed", heard, dp_shm_load(&status->peer_committed));
	set_known(peer, "incarnation", heard, dp_shm_load(&status->peer_incarnation));
	set_known(peer, "rtt_ns", heard, dp_shm_load(&status->rtt_ns));
	json_object_set_new(
		peer,
		"role",
		!heard ? json_null()
		: told ? json_string(ctl_role_name(dp_shm_load(&status->peer_mode)))
		       : json_string(peer_primary ? "primary" : "standby")
	);
	return peer;
}

static json_t *change_build(const struct dp_shm_status *status)
{
	char at[CTL_TIME_BYTES];
	uint64_t at_unix_ns = dp_shm_load(&status->last_change_unix_ns);
	enum rep_reason reason = (enum rep_reason)dp_shm_load(&status->reason);
	json_t *change = json_object();
	ctl_time_text(at_unix_ns, at);
	json_object_set_new(change, "at", at_unix_ns ? json_string(at) : json_null());
	set_known(change, "age_ns", at_unix_ns != 0, age_of(ctl_unix_ns(), at_unix_ns));
	cli_set_text(change, "reason", rep_reason_name(reason));
	cli_set_text(change, "text", rep_reason_text(reason));
	return change;
}

/* By the pair record as this node knows it; without one both are, as configured. */
static json_t *in_sync_build(const struct dp_shm *shm)
{
	const struct dp_shm_status *status = &shm->status;
	bool told = dp_shm_load(&status->told) != 0;
	bool first = told ? dp_shm_load(&status->pair_primary) == shm->node_id
			  : dp_shm_load(&status->role) == REP_PRIMARY;
	uint64_t set = told ? dp_shm_load(&status->pair_in_sync) : 3;
	json_t *list = json_array();
	for (int i = 0; i < 2; i++) {
		bool own = first == (i == 0); /* the primary comes first */
		uint32_t id = own ? shm->node_id : !shm->node_id;
		if (set >> id & 1)
			json_array_append_new(list, json_string(own ? shm->node : shm->peer));
	}
	return list;
}

static json_t *arbiter_build(const struct dp_shm *shm)
{
	static const char *const kinds[] = {"none", "file", "etcd"};
	const struct dp_shm_servant *servant = &shm->servant;
	uint64_t kind = dp_shm_load(&servant->arbiter_kind);
	struct {
		char text[DP_SHM_WHY_BYTES];
	} why;
	json_t *tree = json_object();
	bool none = kind == CFG_ARBITER_NONE || kind >= 3;
	bool asked = dp_shm_load(&servant->arbiter_asked) != 0;
	bool good = dp_shm_load(&servant->arbiter_unknown) == 0;
	cli_set_text(tree, "kind", none ? "none" : kinds[kind]);
	json_object_set_new(tree, "reachable", none || !asked ? json_null() : json_boolean(good));
	if (none)
		return tree;
	if (!good && dp_box_get(&servant->arbiter_why, &why)) {
		why.text[sizeof(why.text) - 1] = 0;
		cli_set_text(tree, "why", why.text);
	}
	json_object_set_new(
		tree, "went_back", json_boolean(dp_shm_load(&shm->status.arbiter_back) != 0)
	);
	return tree;
}

/* Whose move it is when this node cannot serve or follow; null: nobody's. */
static json_t *waits_for_build(const struct dp_shm *shm)
{
	const struct dp_shm_status *status = &shm->status;
	if (dp_shm_load(&status->told) == 0)
		return json_null();
	switch ((enum rep_reason)dp_shm_load(&status->reason)) {
	case REP_REASON_WAIT_PRIMARY:
	case REP_REASON_WAIT_PEER:
	case REP_REASON_NO_RIGHT:
	case REP_REASON_GAVE_UP:
		return json_string(shm->peer);
	case REP_REASON_ARBITER_SILENT:
		return json_string("arbiter");
	case REP_REASON_PEER_BLANK:
	case REP_REASON_ARBITER_BACK:
		return json_string("operator");
	default:
		return json_null();
	}
}

/* What the roles are by; null without a log: then they are as configured. */
static json_t *pair_build(const struct dp_shm *shm)
{
	const struct dp_shm_status *status = &shm->status;
	uint64_t holder = dp_shm_load(&status->pair_holder);
	if (dp_shm_load(&status->told) == 0)
		return json_null();
	json_t *tree = json_object();
	cli_set(tree, "epoch", dp_shm_load(&status->pair_epoch));
	cli_set_text(
		tree,
		"primary",
		dp_shm_load(&status->pair_epoch) == 0		     ? "none"
		: dp_shm_load(&status->pair_primary) == shm->node_id ? shm->node
								     : shm->peer
	);
	cli_set_text(
		tree,
		"holder",
		holder == REP_HOLDER_ARBITER ? "arbiter"
		: holder == shm->node_id     ? shm->node
					     : shm->peer
	);
	json_object_set_new(tree, "maintenance", json_boolean(dp_shm_load(&status->held) != 0));
	json_object_set_new(tree, "lost_memory", json_boolean(dp_shm_load(&status->amnesiac) != 0));
	json_object_set_new(
		tree,
		"record_error",
		dp_shm_load(&shm->servant.record_error) == 0
			? json_null()
			: json_string(strerror((int)dp_shm_load(&shm->servant.record_error)))
	);
	return tree;
}

static const char *ack_name(uint8_t ack)
{
	static const char *const names[] = {"received", "durable", "none"};
	return ack < 3 ? names[ack] : "unknown";
}

/* What was fixed at the node's start. */
static void set_start(json_t *tree, const struct dp_shm *shm)
{
	char started[CTL_TIME_BYTES], digest[24];
	ctl_time_text(shm->started_unix_ns, started);
	snprintf(digest, sizeof(digest), "%016" PRIx64, shm->config_digest);
	cli_set_text(tree, "ack", ack_name(shm->ack));
	cli_set_text(tree, "model", shm->model);
	cli_set(tree, "workers", shm->workers);
	cli_set_text(tree, "config_digest", digest);
	json_object_set_new(tree, "hugepages", json_boolean(shm->hugepages));
	cli_set(tree, "pid", shm->pid);
	cli_set(tree, "incarnation", shm->incarnation);
	cli_set_text(tree, "started", started);
	cli_set(tree, "uptime_ns", age_of(ctl_unix_ns(), shm->started_unix_ns));
}

/* Role and mode as words; a node that has written no status yet is still starting. */
static void set_role(json_t *tree, const struct dp_shm_status *status, uint64_t mode)
{
	bool starting = dp_shm_load(&status->heartbeat_ns) == 0;
	cli_set_text(tree, "role", starting ? "waiting" : ctl_role_name(mode));
	cli_set_text(tree, "mode", starting ? "starting" : ctl_mode_name(mode));
}

static bool control_is_up(const struct dp_shm *shm, uint64_t now_ns)
{
	uint64_t beat_ns = dp_shm_load(&shm->attach.control_heartbeat_ns);
	return beat_ns != 0 && age_of(now_ns, beat_ns) < CONTROL_BEAT_PATIENCE_NS;
}

static json_t *status_build(const struct dp_shm *shm)
{
	const struct dp_shm_status *status = &shm->status;
	uint64_t mode = dp_shm_load(&status->mode);
	uint64_t now_ns = ctl_monotonic_ns();
	uint64_t beat_ns = dp_shm_load(&status->heartbeat_ns);
	json_t *tree = json_object();

	cli_set_text(tree, "node", shm->node);
	cli_set_text(tree, "cluster", shm->cluster);
	set_role(tree, status, mode);
	json_object_set_new(
		tree, "stuck", json_boolean(beat_ns && age_of(now_ns, beat_ns) > CLI_STUCK_NS)
	);
	set_known(tree, "status_age_ns", beat_ns != 0, age_of(now_ns, beat_ns));
	cli_set(tree, "epoch", dp_shm_load(&status->epoch));
	cli_set(tree, "sequence", dp_shm_load(&status->sequence));
	cli_set(tree, "committed", dp_shm_load(&status->committed));
	cli_set(tree, "applied", dp_shm_load(&status->applied));
	cli_set(tree, "durable", dp_shm_load(&status->durable));
	json_object_set_new(tree, "in_sync", in_sync_build(shm));
	json_object_set_new(tree, "peer", peer_build(shm, mode, now_ns));
	json_object_set_new(tree, "arbiter", arbiter_build(shm));
	json_object_set_new(tree, "pair", pair_build(shm));
	json_object_set_new(tree, "last_change", change_build(status));
	json_object_set_new(tree, "waits_for", waits_for_build(shm));
	json_object_set_new(tree, "log", cli_log_build(shm));
	json_object_set_new(tree, "rejected", cli_rejected_build(shm));
	cli_set(tree, "sessions", dp_shm_load(&status->sessions));
	cli_set_text(tree, "control", control_is_up(shm, now_ns) ? "up" : "down");
	set_start(tree, shm);
	return tree;
}

/* --- Text --- */

static void draw_peer(const json_t *tree, FILE *to)
{
	const json_t *peer = json_object_get(tree, "peer");
	const json_t *age = json_object_get(peer, "heartbeat_age_ns");
	const json_t *acked = json_object_get(peer, "acked");
	char text[CTL_DURATION_BYTES];
	ctl_duration_text((uint64_t)json_integer_value(age), text);
	fprintf(to, "peer       %s: ", cli_get_text(peer, "node"));
	if (!json_is_integer(age)) {
		fprintf(to, "never heard\n");
		return;
	}
	fprintf(to,
		"%s, %s, heard %s ago",
		cli_get_text(peer, "role"),
		json_is_true(json_object_get(peer, "reachable")) ? "reachable" : "NOT REACHABLE",
		text);
	if (json_is_integer(acked)) {
		uint64_t has = (uint64_t)json_integer_value(acked);
		fprintf(to,
			", has %" PRIu64 " (%" PRIu64 " behind)",
			has,
			age_of(cli_get(tree, "sequence"), has));
	}
	fprintf(to, "\n");
}

static void draw_rejected(const json_t *tree, FILE *to)
{
	json_t *rejected = json_object_get(tree, "rejected"), *count;
	const char *reason;
	const char *between = " ";
	fprintf(to, "rejected  ");
	if (json_object_size(rejected) == 0)
		fprintf(to, " nothing");
	json_object_foreach(rejected, reason, count)
	{
		fprintf(to, "%s%s %lld", between, reason, (long long)json_integer_value(count));
		between = ", ";
	}
	fprintf(to, "\n");
}

/* For whom, in words that name it: the operator may have to go there. */
static void draw_wait(const json_t *tree, FILE *to)
{
	const char *whom = cli_get_text(tree, "waits_for");
	if (strcmp(whom, "arbiter") == 0)
		fprintf(to, "waits for  the arbiter\n");
	else if (strcmp(whom, "operator") == 0)
		fprintf(to, "waits for  the operator's word: standfast promote --force\n");
	else if (*whom)
		fprintf(to, "waits for  node \"%s\", its peer\n", whom);
}

static void draw_mode(const json_t *tree, FILE *to)
{
	const json_t *change = json_object_get(tree, "last_change");
	char text[CTL_DURATION_BYTES];
	bool calm = strcmp(cli_get_text(tree, "mode"), "blocked") != 0 &&
		    strcmp(cli_get_text(tree, "mode"), "halted") != 0;
	fprintf(to, "node       %s", cli_get_text(tree, "node"));
	fprintf(to, " (cluster %s)\n", cli_get_text(tree, "cluster"));
	/* A standby has only one mode, of the same name. */
	const char *role = cli_get_text(tree, "role"), *mode = cli_get_text(tree, "mode");
	bool same = strcmp(role, mode) == 0;
	fprintf(to,
		"role       %s%s%s%s",
		role,
		same ? "" : ", ",
		same ? "" : mode,
		calm ? "" : ": SERVES NOBODY");
	if (json_is_string(json_object_get(change, "at"))) {
		ctl_duration_text(cli_get(change, "age_ns"), text);
		fprintf(to, ", for %s (since %s)", text, cli_get_text(change, "at"));
	}
	fprintf(to, "\n");
	if (strcmp(cli_get_text(change, "reason"), "none") != 0)
		fprintf(to, "why        %s\n", cli_get_text(change, "text"));
	draw_wait(tree, to);
	if (json_is_true(json_object_get(tree, "stuck"))) {
		ctl_duration_text(cli_get(tree, "status_age_ns"), text);
		fprintf(to, "STUCK      the process lives but has done nothing for %s\n", text);
	}
}

static void draw_arbiter(const json_t *tree, FILE *to)
{
	const json_t *arbiter = json_object_get(tree, "arbiter");
	const json_t *reachable = json_object_get(arbiter, "reachable");
	const json_t *pair = json_object_get(tree, "pair");
	fprintf(to, "arbiter    %s", cli_get_text(arbiter, "kind"));
	if (json_is_false(reachable))
		fprintf(to, ": NOT REACHABLE: %s", cli_get_text(arbiter, "why"));
	if (json_is_true(json_object_get(arbiter, "went_back")))
		fprintf(to, ": SAYS LESS THAN IT ONCE SAID");
	if (json_is_object(pair))
		fprintf(to,
			"; pair record of epoch %" PRIu64 ", primary %s, held by %s",
			cli_get(pair, "epoch"),
			cli_get_text(pair, "primary"),
			cli_get_text(pair, "holder"));
	fprintf(to, "\n");
	if (json_is_true(json_object_get(pair, "maintenance")))
		fprintf(to, "MAINTENANCE  roles change only when the operator says so\n");
	if (json_is_string(json_object_get(pair, "record_error")))
		fprintf(to,
			"ROLE       the role record cannot be written: %s\n",
			cli_get_text(pair, "record_error"));
}

static void status_draw(const json_t *tree, FILE *to)
{
	const json_t *in_sync = json_object_get(tree, "in_sync");
	char uptime[CTL_DURATION_BYTES];
	ctl_duration_text(cli_get(tree, "uptime_ns"), uptime);
	draw_mode(tree, to);
	draw_peer(tree, to);
	fprintf(to,
		"entries    epoch %" PRIu64 ", sequence %" PRIu64 ", committed %" PRIu64
		", applied %" PRIu64 ", durable %" PRIu64 "\n",
		cli_get(tree, "epoch"),
		cli_get(tree, "sequence"),
		cli_get(tree, "committed"),
		cli_get(tree, "applied"),
		cli_get(tree, "durable"));
	const char *between = "in sync    ";
	for (size_t i = 0; i < json_array_size(in_sync); i++, between = ", ")
		fprintf(to, "%s%s", between, json_string_value(json_array_get(in_sync, i)));
	fprintf(to, json_array_size(in_sync) > 0 ? "\n" : "in sync    nobody yet\n");
	fprintf(to,
		"sessions   %" PRIu64 ", model %s, ack %s\n",
		cli_get(tree, "sessions"),
		cli_get_text(tree, "model"),
		cli_get_text(tree, "ack"));
	cli_log_draw(json_object_get(tree, "log"), to);
	draw_rejected(tree, to);
	draw_arbiter(tree, to);
	fprintf(to, "control    %s\n", cli_get_text(tree, "control"));
	fprintf(to, "up         %s, pid %" PRIu64 "\n", uptime, cli_get(tree, "pid"));
}

/* --- Verbs --- */

/* A node that ends and comes back while it is watched is followed. */
static void watch_status(struct cli *cli)
{
	do {
		if (!cli->json)
			printf("\033[H\033[2J");
		if (!cli->shm || !dp_shm_alive(&cli->settings) ||
		    dp_shm_replaced(&cli->settings, cli->shm)) {
			dp_shm_detach(cli->shm);
			cli->shm = NULL;
			cli_attach(cli);
		}
		if (cli->shm)
			cli_show(cli, status_build(cli->shm), status_draw);
	} while (cli_wait_a_second());
}

int cli_status(struct cli *cli)
{
	int result = cli_attach(cli);
	if (result != SF_EXIT_OK)
		return result;
	if (cli->watch)
		watch_status(cli);
	else
		cli_show(cli, status_build(cli->shm), status_draw);
	return SF_EXIT_OK;
}

/* A node that is stuck answers nobody, whatever it was last. */
int cli_is_primary(struct cli *cli)
{
	int result = cli_attach(cli);
	if (result != SF_EXIT_OK)
		return result;
	const struct dp_shm_status *status = &cli->shm->status;
	uint64_t beat_ns = dp_shm_load(&status->heartbeat_ns);
	bool stuck = age_of(ctl_monotonic_ns(), beat_ns) > CLI_STUCK_NS;
	uint64_t mode = dp_shm_load(&status->mode);
	bool yes = beat_ns != 0 && !stuck && strcmp(ctl_role_name(mode), "primary") == 0;
	printf("%s\n", yes ? "yes" : "no");
	return yes ? SF_EXIT_OK : SF_EXIT_FAILED;
}
