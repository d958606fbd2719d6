/* SPDX-License-Identifier: BSD-3-Clause
 *
 * standfast-control: the plain process beside the dataplane. It replays the log, writes snapshots,
 * is the role machine's servant (servant.h), keeps the list of events and serves the operator API.
 * It may be killed and started at any time, and so may the dataplane: nothing that it holds is
 * needed to serve clients.
 */
#include "config/exit_codes.h"
#include "config/log.h"
#include "config/settings.h"
#include "control/api.h"
#include "control/attach.h"
#include "control/checkpoint.h"
#include "control/events.h"
#include "control/replay.h"
#include "control/requests.h"
#include "control/servant.h"
#include "control/text.h"

#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define IDLE_WAIT_NS 20000000L /* between looks into the event ring */
#define QUICK_WAIT_NS 1000000L /* while somebody waits for the dataplane */
#define MAX_MESSAGES_PER_STEP 256
#define CONTROL_LOCK ".control.lock"

static volatile sig_atomic_t stop_asked;

struct control {
	struct cfg_settings settings;
	struct ctl_attach attach;
	struct ctl_requests requests;
	struct ctl_events events;
	struct ctl_api api;
	struct ctl_replay replay;
	struct ctl_servant servant;
	struct ctl_names names;
	uint64_t refill_seen; /* number of the newest refill that was begun */
	struct ctl_checkpoint checkpoint;
	enum ctl_replay_state replay_seen;
	bool alarm_seen;
	int lock_fd;
};
static struct control control;

static void on_stop(int signal)
{
	stop_asked = 1;
}

/* The signals are let in during the wait only, so that none is missed just before it. */
static void set_up_signals(sigset_t *while_waiting)
{
	struct sigaction action = {.sa_handler = on_stop};
	sigset_t blocked;
	sigemptyset(&blocked);
	sigaddset(&blocked, SIGTERM);
	sigaddset(&blocked, SIGINT);
	sigprocmask(SIG_BLOCK, &blocked, while_waiting);
	sigdelset(while_waiting, SIGTERM);
	sigdelset(while_waiting, SIGINT);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGINT, &action, NULL);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN); /* a write beyond a limit is an error like others */
}

/* --- One round --- */

/* Nothing else touches the log meanwhile. */
static void fill(struct control *c)
{
	struct dp_want_refill want = {0};
	dp_box_get(&c->attach.shm->wants.refill, &want);
	c->refill_seen = want.number;
	ctl_checkpoint_stop(&c->checkpoint);
	ctl_replay_start(&c->replay, &c->settings, &c->servant);
	ctl_checkpoint_start(&c->checkpoint, &c->settings);
	c->replay_seen = CTL_REPLAY_NONE;
}

static void note_attached(struct control *c)
{
	const struct dp_shm_status *status = &c->attach.shm->status;
	struct ctl_event event = {
		.at_unix_ns = ctl_unix_ns(),
		.incarnation = c->attach.incarnation,
		.kind = CTL_EVENT_ATTACHED,
		.mode = (uint32_t)dp_shm_load(&status->mode),
		.reason = (uint32_t)dp_shm_load(&status->reason),
	};
	ctl_events_add(&c->events, &event);
	ctl_requests_rings_new(&c->requests);
	ctl_replay_stop(&c->replay); /* of the one before; it used the servant */
	ctl_servant_start(&c->servant, &c->settings);
	fill(c);
	c->alarm_seen = false;
}

/* The core wants its history cut, or replaced, and its state rebuilt. */
static void look_at_refill(struct control *c)
{
	struct dp_want_refill want;
	const struct dp_shm *shm = c->attach.shm;
	if (c->attach.state != CTL_ATTACHED || shm->wants.refill.version == 0 ||
	    !dp_box_get(&shm->wants.refill, &want) || want.number == c->refill_seen)
		return;
	if (dp_shm_load(&shm->fill.state) == DP_FILL_WANTED)
		fill(c);
}

static void note_lost(struct control *c)
{
	struct ctl_event event = {
		.at_unix_ns = ctl_unix_ns(),
		.incarnation = c->attach.incarnation,
		.kind = CTL_EVENT_LOST,
		.text = "the dataplane is gone",
	};
	ctl_events_add(&c->events, &event);
}

static void note_text(struct control *c, enum ctl_event_kind kind, const char *text)
{
	struct ctl_event event = {
		.at_unix_ns = ctl_unix_ns(),
		.incarnation = c->attach.incarnation,
		.kind = kind,
	};
	snprintf(event.text, sizeof(event.text), "%.500s", text);
	ctl_events_add(&c->events, &event);
}

/* What the threads have come to. */
static void look_at_threads(struct control *c)
{
	enum ctl_replay_state state = ctl_replay_look(&c->replay);
	char text[CTL_EVENT_TEXT_BYTES];
	if (state != c->replay_seen && state == CTL_REPLAY_DONE)
		note_text(c, CTL_EVENT_REPLAYED, c->replay.text);
	if (state != c->replay_seen && state == CTL_REPLAY_REFUSED) {
		snprintf(text, sizeof(text), "replay refused: %.480s", c->replay.text);
		note_text(c, CTL_EVENT_REFUSED, text);
	}
	c->replay_seen = state;
	if (ctl_checkpoint_alarm(&c->checkpoint) && !c->alarm_seen) {
		note_text(c, CTL_EVENT_AUDIT, c->checkpoint.text);
		c->alarm_seen = true;
	}
}

static void take_message(struct control *c, const struct dp_shm_message *message)
{
	if (message->type == DP_EVENT_DONE) {
		ctl_requests_take(&c->requests, message);
	} else if (message->type == DP_EVENT_MODE) {
		struct ctl_event event = {
			.at_unix_ns = message->at,
			.incarnation = message->incarnation,
			.kind = CTL_EVENT_MODE,
			.mode = (uint32_t)(message->value >> 32),
			.reason = (uint32_t)message->value,
		};
		ctl_events_add(&c->events, &event);
	}
}

static void step(struct control *c)
{
	struct dp_shm_message message;
	char text[CTL_EVENT_TEXT_BYTES];
	uint64_t now_ns = ctl_monotonic_ns();
	switch (ctl_attach_poll(&c->attach, now_ns)) {
	case CTL_CHANGE_ATTACHED:
		note_attached(c);
		break;
	case CTL_CHANGE_LOST:
		note_lost(c);
		break;
	case CTL_CHANGE_SILENT:
		sf_log(SF_WARNING, "the dataplane lives but does not set up the rings; waiting on");
		break;
	case CTL_CHANGE_NONE:
		break;
	}
	for (int i = 0; i < MAX_MESSAGES_PER_STEP; i++) {
		if (!ctl_attach_receive(&c->attach, &message))
			break;
		take_message(c, &message);
	}
	look_at_threads(c);
	look_at_refill(c);
	if (ctl_names_step(&c->names, now_ns, text, sizeof(text)))
		note_text(c, CTL_EVENT_NAMES, text);
	ctl_api_step(&c->api, now_ns);
	ctl_requests_send(&c->requests, &c->attach);
}

static void run(struct control *c, const sigset_t *while_waiting)
{
	struct pollfd set[1 + CTL_API_CONNECTIONS];
	while (!stop_asked) {
		bool quick = ctl_requests_waiting(&c->requests) || c->attach.state == CTL_ASKING;
		struct timespec wait = {.tv_nsec = quick ? QUICK_WAIT_NS : IDLE_WAIT_NS};
		uint32_t count = ctl_api_poll_set(&c->api, set);
		/* Interrupted or not, the round that follows looks at everything. */
		ppoll(set, count, &wait, while_waiting);
		step(c);
	}
}

/* --- Start --- */

static int start(struct control *c)
{
	char error[1024];
	if (dp_shm_lock(
		    &c->settings,
		    CONTROL_LOCK,
		    "standfast-control",
		    &c->lock_fd,
		    error,
		    sizeof(error)
	    ) < 0) {
		sf_log(SF_ERROR, "%s", error);
		return SF_EXIT_FAILED;
	}
	c->api.attach = &c->attach;
	c->api.requests = &c->requests;
	c->api.events = &c->events;
	c->api.servant = &c->servant;
	c->api.names = &c->names;
	int result = ctl_api_open(&c->api, &c->settings, error, sizeof(error));
	if (result < 0) {
		sf_log(SF_ERROR, "%s", error);
		return result == -ENAMETOOLONG ? SF_EXIT_CONFIG : SF_EXIT_FAILED;
	}
	/* A pair that cannot be found by its name still is a pair. */
	if (ctl_names_open(&c->names, &c->settings) < 0)
		note_text(c, CTL_EVENT_NAMES, c->names.why);
	ctl_attach_init(&c->attach, &c->settings);
	return SF_EXIT_OK;
}

static int load(const char *argument, struct cfg_settings *settings)
{
	struct cfg_errors errors = {0};
	const char *path = cfg_find(argument);
	if (!path) {
		fprintf(stderr,
			"standfast-control: no configuration found: name one with -c FILE\n");
		return SF_EXIT_CONFIG;
	}
	bool good = cfg_load(path, settings, &errors);
	if (!good)
		cfg_errors_print(&errors, stderr);
	cfg_errors_free(&errors);
	return good ? SF_EXIT_OK : SF_EXIT_CONFIG;
}

static void usage(FILE *to)
{
	fprintf(to,
		"usage: standfast-control [-c FILE]\n\n"
		"Serves the operator's commands for a node and keeps its list of events.\n"
		"Without -c: $STANDFAST_CONFIG, ./standfast.conf, /etc/standfast/standfast.conf.\n"
	);
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{"config", required_argument, NULL, 'c'},
		{"help", no_argument, NULL, 'h'},
		{"version", no_argument, NULL, 'V'},
		{0},
	};
	const char *path = NULL;
	sigset_t while_waiting;
	for (int option; (option = getopt_long(argc, argv, "c:h", options, NULL)) != -1;) {
		if (option == 'c') {
			path = optarg;
		} else if (option == 'h') {
			usage(stdout);
			return SF_EXIT_OK;
		} else if (option == 'V') {
			printf("standfast-control %s\n", SF_VERSION);
			return SF_EXIT_OK;
		} else {
			usage(stderr);
			return SF_EXIT_USAGE;
		}
	}
	if (optind != argc) {
		usage(stderr);
		return SF_EXIT_USAGE;
	}
	int result = load(path, &control.settings);
	if (result != SF_EXIT_OK)
		return result;
	sf_log_name("standfast-control", control.settings.node.name);
	set_up_signals(&while_waiting);
	result = start(&control);
	if (result != SF_EXIT_OK)
		return result;
	sf_log(SF_NOTICE, "serving %s", control.api.path);
	run(&control, &while_waiting);
	sf_log(SF_NOTICE, "stopped");
	ctl_checkpoint_stop(&control.checkpoint);
	ctl_replay_stop(&control.replay);
	ctl_servant_stop(&control.servant);
	ctl_api_close(&control.api);
	ctl_names_close(&control.names);
	ctl_attach_close(&control.attach);
	close(control.lock_fd);
	return SF_EXIT_OK;
}
