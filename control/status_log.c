/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The log's part of `standfast status`: the same facts as JSON and as a line.
 */
#include "control/cli.h"
#include "control/text.h"

#include <inttypes.h>
#include <string.h>

#define SLOW_DISK_NS 1000000000ull /* worth a line in the status */

static const char *io_name(uint64_t io)
{
	return io == CFG_IO_URING ? "io_uring" : io == CFG_IO_PWRITEV2 ? "pwritev2" : "none yet";
}

static const char *sync_name(uint64_t sync)
{
	static const char *const names[] = {"group", "interval", "none"};
	return sync < 3 ? names[sync] : "unknown";
}

static json_t *checkpoint_build(const struct dp_shm_checkpoint *facts)
{
	json_t *tree = json_object();
	cli_set(tree, "sequence", dp_shm_load(&facts->sequence));
	cli_set(tree, "snapshot", dp_shm_load(&facts->snapshot_sequence));
	cli_set(tree, "snapshot_unix_ns", dp_shm_load(&facts->snapshot_unix_ns));
	cli_set(tree, "snapshot_bytes", dp_shm_load(&facts->snapshot_bytes));
	cli_set(tree, "snapshot_took_ns", dp_shm_load(&facts->snapshot_took_ns));
	cli_set(tree, "snapshots", dp_shm_load(&facts->snapshots));
	cli_set(tree, "snapshots_failed", dp_shm_load(&facts->snapshots_failed));
	cli_set(tree, "segments_removed", dp_shm_load(&facts->segments_removed));
	cli_set(tree, "compared", dp_shm_load(&facts->compared));
	cli_set(tree, "audit_fault", dp_shm_load(&facts->audit_fault));
	cli_set(tree, "damage", dp_shm_load(&facts->damage));
	return tree;
}

static void checkpoint_draw(const json_t *tree, FILE *to)
{
	if (cli_get(tree, "snapshot") != 0)
		fprintf(to,
			"snapshot   at %" PRIu64 ", %.1f MiB; %" PRIu64 " digests audited\n",
			cli_get(tree, "snapshot"),
			(double)cli_get(tree, "snapshot_bytes") / 1048576,
			cli_get(tree, "compared"));
	else
		fprintf(to, "snapshot   none yet\n");
	if (cli_get(tree, "audit_fault") != 0)
		fprintf(to,
			"AUDIT      at sequence %" PRIu64
			" the state made from the log is not the dataplane's\n",
			cli_get(tree, "audit_fault"));
	if (cli_get(tree, "damage") != 0)
		fprintf(to,
			"DAMAGE     in the log behind sequence %" PRIu64
			" (standfast log verify says where)\n",
			cli_get(tree, "damage") - 1);
	if (cli_get(tree, "snapshots_failed") != 0)
		fprintf(to,
			"SNAPSHOTS  %" PRIu64 " could not be written (control's log says why)\n",
			cli_get(tree, "snapshots_failed"));
}

/* How the node's own log was read, and if it was not taken, why. */
static void set_replay(json_t *tree, const struct dp_shm_fill *fill)
{
	static const char *const names[] = {"none", "waiting", "running", "done"};
	uint64_t state = dp_shm_load(&fill->state);
	char text[DP_SHM_REFUSAL_BYTES];
	/* Acquire: pairs with control's release; the text is complete. */
	bool refused = state != DP_FILL_DONE && __atomic_load_n(&fill->refused, __ATOMIC_ACQUIRE);
	cli_set_text(tree, "replay", refused ? "refused" : state < 4 ? names[state] : "unknown");
	snprintf(text, sizeof(text), "%s", refused ? fill->refusal : "");
	json_object_set_new(tree, "refusal", refused ? json_string(text) : json_null());
}

static void set_since(json_t *tree, const char *key, uint64_t since_ns)
{
	uint64_t now_ns = ctl_monotonic_ns();
	cli_set(tree, key, since_ns != 0 && now_ns > since_ns ? now_ns - since_ns : 0);
}

json_t *cli_log_build(const struct dp_shm *shm)
{
	const struct dp_shm_log *log = &shm->log;
	json_t *tree = json_object();
	json_object_set_new(tree, "enabled", json_boolean(shm->fill_bytes != 0));
	if (shm->fill_bytes == 0)
		return tree;
	set_replay(tree, &shm->fill);
	cli_set_text(tree, "sync", sync_name(dp_shm_load(&log->sync)));
	cli_set_text(tree, "io", io_name(dp_shm_load(&log->io)));
	json_object_set_new(tree, "direct", json_boolean(dp_shm_load(&log->direct) != 0));
	cli_set(tree, "segment", dp_shm_load(&log->segment));
	cli_set(tree, "prepared", dp_shm_load(&log->prepared));
	cli_set(tree, "written", dp_shm_load(&log->written));
	cli_set(tree, "durable", dp_shm_load(&log->durable));
	cli_set(tree, "failed", dp_shm_load(&log->failed));
	set_since(tree, "writing_ns", dp_shm_load(&log->writing_since_ns));
	set_since(tree, "preparing_ns", dp_shm_load(&log->preparing_since_ns));
	json_object_set_new(tree, "full", json_boolean(dp_shm_load(&log->full) != 0));
	json_object_set_new(tree, "checkpoint", checkpoint_build(&shm->checkpoint));
	return tree;
}

void cli_log_draw(const json_t *tree, FILE *to)
{
	if (!json_is_true(json_object_get(tree, "enabled"))) {
		fprintf(to, "log        OFF (UNSAFE): nothing is kept on disk\n");
		return;
	}
	if (json_is_string(json_object_get(tree, "refusal")))
		fprintf(to, "REFUSED    %s\n", cli_get_text(tree, "refusal"));
	fprintf(to,
		"log        sync %s, %s%s, written %" PRIu64 ", durable %" PRIu64 "\n",
		cli_get_text(tree, "sync"),
		cli_get_text(tree, "io"),
		json_is_true(json_object_get(tree, "direct")) ? " past the page cache" : "",
		cli_get(tree, "written"),
		cli_get(tree, "durable"));
	if (cli_get(tree, "failed") != 0)
		fprintf(to,
			"LOG FAILED %s: this node no longer keeps anything\n",
			strerror((int)cli_get(tree, "failed")));
	if (cli_get(tree, "writing_ns") > SLOW_DISK_NS)
		fprintf(to,
			"SLOW DISK  a write of the log has been under way for %.1f s\n",
			(double)cli_get(tree, "writing_ns") / 1e9);
	if (cli_get(tree, "preparing_ns") > SLOW_DISK_NS)
		fprintf(to,
			"SLOW DISK  a segment has been in preparation for %.1f s (ready up to "
			"%" PRIu64 ")\n",
			(double)cli_get(tree, "preparing_ns") / 1e9,
			cli_get(tree, "prepared"));
	if (json_is_true(json_object_get(tree, "full")))
		fprintf(to, "DISK FULL  no segment can be prepared (log.reserve)\n");
	checkpoint_draw(json_object_get(tree, "checkpoint"), to);
}
