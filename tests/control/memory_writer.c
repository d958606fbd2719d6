/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The dataplane's side of the memory file for tests of control and of the standfast command: what a
 * real dataplane cannot be brought to do on demand (stay silent, send messages of another life,
 * write given numbers). Rings and file are the real ones.
 *
 * memory_writer FILE; commands on standard input, one per line, each answered by "ok":
 *   mode MODE REASON   sets the status, sends the event
 *   sequence N         sequence, committed and applied
 *   mark N SUM         a digest mark of sequencer and worker at N; the digest is twice SUM
 *   record STAGE NS    one latency
 *   role ROLE          enum rep_role, which a node without a pair record has
 *   peer HEARD MODE    what was heard of it
 *   pair EPOCH PRIMARY the pair record, by which roles are from then on
 *   freeze | thaw      stops and resumes writing the status
 *   foreign            sends answers and events of other incarnations and generations
 *   mute | talk        stops and resumes answering commands and granting rings
 *   quit
 */
#include "dataplane/shm.h"

#include <rte_ring.h>

#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define LIFE_NS 120000000000ull

struct writer {
	struct cfg_settings settings;
	struct dp_shm *shm;
	struct rte_ring *commands, *events;
	uint64_t generation;
	bool mute, frozen;
};
static struct writer writer;

static uint64_t read_clock(clockid_t clock)
{
	struct timespec now;
	clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * 1000000000ull + (uint64_t)now.tv_nsec;
}

static void send_message(const struct dp_shm_message *message)
{
	if (writer.generation)
		rte_ring_enqueue_elem(writer.events, (void *)(uintptr_t)message, sizeof(*message));
}

static void grant(void)
{
	struct dp_shm_attach *attach = &writer.shm->attach;
	uint64_t wanted = __atomic_load_n(&attach->wanted, __ATOMIC_ACQUIRE);
	if (wanted == writer.generation)
		return;
	unsigned flags = RING_F_SP_ENQ | RING_F_SC_DEQ;
	rte_ring_init(writer.commands, "commands", DP_SHM_RING_SLOTS, flags);
	rte_ring_init(writer.events, "events", DP_SHM_RING_SLOTS, flags);
	writer.generation = wanted;
	/* Release: whoever sees the grant sees the rings. */
	__atomic_store_n(&attach->granted, wanted, __ATOMIC_RELEASE);
}

static void mark(uint64_t sequence, uint64_t sum)
{
	dp_shm_marks_add(&writer.shm->session_marks, sequence, sum);
	for (uint32_t i = 0; i < writer.shm->workers; i++)
		dp_shm_marks_add(&dp_shm_worker(writer.shm, i)->marks, sequence, sum);
}

static void answer_commands(void)
{
	struct dp_shm_message message;
	while (writer.generation &&
	       rte_ring_dequeue_elem(writer.commands, &message, sizeof(message)) == 0) {
		if (message.incarnation != writer.shm->incarnation ||
		    message.generation != writer.generation)
			continue;
		message.value = 0;
		if (message.type == DP_COMMAND_DIGEST) {
			message.value = writer.shm->status.sequence;
			mark(message.value, 1000 + message.value);
		}
		message.type = DP_EVENT_DONE;
		send_message(&message);
	}
}

static void set_mode(uint64_t mode, uint64_t reason)
{
	struct dp_shm_status *status = &writer.shm->status;
	struct dp_shm_message message = {
		.incarnation = writer.shm->incarnation,
		.generation = writer.generation,
		.type = DP_EVENT_MODE,
		.value = mode << 32 | reason,
		.at = read_clock(CLOCK_REALTIME),
	};
	dp_shm_store(&status->mode, mode);
	dp_shm_store(&status->reason, reason);
	dp_shm_store(&status->last_change_unix_ns, message.at);
	send_message(&message);
}

static void send_foreign(void)
{
	struct dp_shm_message message = {
		.incarnation = writer.shm->incarnation - 1,
		.generation = writer.generation,
		.type = DP_EVENT_MODE,
		.value = 3ull << 32,
	};
	send_message(&message);
	message.incarnation++;
	message.generation--;
	send_message(&message);
	message.generation++;
	message.type = DP_EVENT_DONE; /* to nobody */
	message.request = UINT64_MAX;
	send_message(&message);
	message.type = 4711;
	send_message(&message);
}

static bool obey(const char *line)
{
	struct dp_shm_status *status = &writer.shm->status;
	uint64_t a = 0, b = 0;
	if (strncmp(line, "quit", 4) == 0)
		return false;
	if (sscanf(line, "mode %" SCNu64 " %" SCNu64, &a, &b) == 2) {
		set_mode(a, b);
	} else if (sscanf(line, "sequence %" SCNu64, &a) == 1) {
		dp_shm_store(&status->sequence, a);
		dp_shm_store(&status->committed, a);
		dp_shm_store(&status->applied, a);
	} else if (sscanf(line, "mark %" SCNu64 " %" SCNu64, &a, &b) == 2) {
		mark(a, b);
	} else if (sscanf(line, "record %" SCNu64 " %" SCNu64, &a, &b) == 2) {
		sf_histogram_record(dp_shm_histogram(writer.shm, (uint32_t)(a % DP_STAGES)), b, 1);
	} else if (sscanf(line, "role %" SCNu64, &a) == 1) {
		dp_shm_store(&status->role, a);
	} else if (sscanf(line, "peer %" SCNu64 " %" SCNu64, &a, &b) == 2) {
		dp_shm_store(&status->peer_reachable, a);
		dp_shm_store(&status->peer_mode, b);
	} else if (sscanf(line, "pair %" SCNu64 " %" SCNu64, &a, &b) == 2) {
		dp_shm_store(&status->told, 1);
		dp_shm_store(&status->pair_epoch, a);
		dp_shm_store(&status->pair_primary, b);
	} else if (strncmp(line, "freeze", 6) == 0 || strncmp(line, "thaw", 4) == 0) {
		writer.frozen = line[0] == 'f';
	} else if (strncmp(line, "foreign", 7) == 0) {
		send_foreign();
	} else if (strncmp(line, "mute", 4) == 0) {
		writer.mute = true;
	} else if (strncmp(line, "talk", 4) == 0) {
		writer.mute = false;
	}
	printf("ok\n");
	fflush(stdout);
	return true;
}

static bool round_of(void)
{
	char line[256];
	struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
	if (!writer.frozen)
		dp_shm_store(&writer.shm->status.heartbeat_ns, read_clock(CLOCK_MONOTONIC));
	if (!writer.mute) {
		grant();
		answer_commands();
	}
	if (poll(&input, 1, 1) <= 0)
		return true;
	return fgets(line, sizeof(line), stdin) && obey(line);
}

static bool start(const char *path)
{
	char error[512];
	int lock_fd;
	struct cfg_errors errors = {0};
	if (!cfg_load(path, &writer.settings, &errors)) {
		cfg_errors_print(&errors, stderr);
		return false;
	}
	uint64_t ring_bytes =
		(uint64_t)rte_ring_get_memsize_elem(DP_SHM_MESSAGE_BYTES, DP_SHM_RING_SLOTS);
	int result = dp_shm_create(
		&writer.settings, ring_bytes, &writer.shm, &lock_fd, error, sizeof(error)
	);
	if (result < 0) {
		fprintf(stderr, "%s\n", error);
		return false;
	}
	writer.commands = (void *)((uint8_t *)writer.shm + writer.shm->command_ring_at);
	writer.events = (void *)((uint8_t *)writer.shm + writer.shm->event_ring_at);
	writer.shm->status.role = writer.settings.node.role == CFG_ROLE_PRIMARY ? 0 : 1;
	writer.shm->status.mode = writer.shm->status.role == 0 ? 2 : 0;
	writer.shm->status.reason = 1;
	writer.shm->status.epoch = 1;
	return true;
}

int main(int argc, char **argv)
{
	uint64_t end_ns = read_clock(CLOCK_MONOTONIC) + LIFE_NS;
	if (argc != 2 || !start(argv[1]))
		return 1;
	setvbuf(stdin, NULL, _IONBF, 0);
	printf("ok\n");
	fflush(stdout);
	while (read_clock(CLOCK_MONOTONIC) < end_ns && round_of())
		;
	return 0;
}
