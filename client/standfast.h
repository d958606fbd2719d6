/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The C client of a Standfast pair: sessions, updates and reads over UDP, exactly once.
 *
 * Two layers. The *engine* (cli_engine_*) is the protocol without sockets, clocks or threads: the
 * caller gives it time and datagrams and asks it for datagrams, the time of its next action, and
 * results; the shape is that of ngtcp2. The *client* (cli_connect, cli_call …) is a blocking user
 * of the engine on one kernel UDP socket. Neither is thread-safe: one thread at a time per object.
 *
 * What the engine does by itself: opens a session with a random nonce and repeats that nonce until
 * it is answered; gives each request its requestSeq when the first copy leaves, and repeats it with
 * that same requestSeq, under jittered exponential back-off, until it has an outcome; packs what is
 * due into one datagram; follows NOT_PRIMARY; backs off on BUSY and OVERLOADED; tells the nodes the
 * lowest requestSeq that is still open (firstIncompleteSeq, RIFL, SOSP'15); ignores duplicates; and
 * opens a new session when the old one is gone.
 *
 * Times are nanoseconds of any one monotonic clock (the client layer: cli_now_ns).
 * Errors are negative errno. Nothing that comes from the network can end the process: it is
 * dropped and counted by reason.
 *
 * Outcomes. Exactly one result is given for each request that was taken. An update is *unknown*
 * when copies of it were sent and no answer will tell any more what became of it: see
 * enum cli_outcome. An unknown update was applied once or never. It can still be applied by a
 * straying copy until a node has sequenced a later update of this session.
 */
#pragma once

#include "client/messages.h"

#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define CLI_API __attribute__((visibility("default")))
#else
#define CLI_API
#endif

#define CLI_MAX_NODES 8
#define CLI_MAX_WINDOW 4096
#define CLI_NEVER UINT64_MAX
#define CLI_NO_STATUS 0xff /* cli_result.status when no answer came at all */

struct cli_address {
	uint8_t ip[4]; /* 192.0.2.1 is {192, 0, 2, 1} */
	uint16_t port; /* the machine's own byte order */
};

struct cli_options {
	struct cli_address nodes[CLI_MAX_NODES]; /* cli_connect fills them; tried in this order */
	uint32_t node_count;
	uint32_t window;       /* requests the engine holds, 1 … CLI_MAX_WINDOW; 0 means 64. No
				* more than the session's maxInflight are on the way at once */
	uint32_t batch;	       /* most requests in one datagram; 0: as many as fit in 1,400 bytes */
	uint64_t retry_min_ns; /* first time-out and first back-off; 0 means 20 ms */
	uint64_t retry_max_ns; /* they double up to this; 0 means 1 s */
	uint64_t session_idle_ns; /* after such a pause a new session is opened first, because the
				   * node may have closed the old one, which would make the outcome
				   * unknown; 0 means 30 min (the node's default is 1 h) */
	uint64_t seed; /* of nonces and jitter; must be random (cli_connect: getrandom when 0) */
	const char
		*resolver; /* cli_connect only: name servers that names are asked of, as addresses
			    * "ADDRESS[:PORT],…"; NULL: $STANDFAST_RESOLVER, else the system's */
};

enum cli_outcome {
	CLI_OUTCOME_OK,	      /* applied exactly once, and safe */
	CLI_OUTCOME_REJECTED, /* the asset model refused it, exactly once; payload: u16 reason … */
	CLI_OUTCOME_REFUSED,  /* BAD_REQUEST or UNAUTHORIZED to the only copy: never applied */
	CLI_OUTCOME_NOT_SENT, /* no copy has left (no session before the deadline, the session was
			       * refused, or the client was closed): never applied */
	CLI_OUTCOME_UNKNOWN,  /* applied once or never, see enum cli_cause. A read is just repeated
			       */
};

enum cli_cause {
	CLI_CAUSE_ANSWER,   /* OK, REJECTED, BAD_REQUEST, UNAUTHORIZED, as status says. Unknown for
			     * the latter two when other copies were sent: such an answer speaks of
			     * its own copy only, and an earlier one may have been applied */
	CLI_CAUSE_DEADLINE, /* the request's deadline has passed */
	CLI_CAUSE_SESSION,  /* FORGOTTEN: the session of this request is gone, or, for a request
			     * that was not sent, no session could be had */
	CLI_CAUSE_CLOSED,   /* the caller closed the client */
};

struct cli_request {
	uint64_t asset_id;
	uint64_t user;	      /* comes back in the result */
	uint64_t deadline_ns; /* 0 or CLI_NEVER: none */
	const void *payload;  /* copied */
	uint16_t payload_bytes;
	uint8_t opcode;
	bool read_only;
};

struct cli_result {
	uint64_t user;
	uint64_t client_id; /* session and requestSeq it was sent under; 0 when not sent */
	uint64_t request_seq;
	uint64_t asset_id;
	uint64_t sequence; /* place in the log; 0 when not sequenced */
	uint64_t asset_version;
	uint64_t first_sent_ns; /* 0 when not sent */
	uint64_t finished_ns;
	const uint8_t *payload; /* valid until the next call with this engine or client */
	uint32_t copies;	/* how many times it was sent */
	uint32_t epoch;		/* of the answer */
	enum cli_outcome outcome;
	enum cli_cause cause;
	uint16_t payload_bytes;
	uint8_t status; /* last one heard, enum cli_status or CLI_NO_STATUS */
	bool repeat;	/* the answer was given before (flags bit 0) */
};

/* What was dropped, by reason, and what was done. */
struct cli_counters {
	uint64_t datagrams_sent, datagrams_received, requests_sent, requests_repeated;
	uint64_t results, unknown, sessions_opened, sessions_lost, moves;
	uint64_t oversize;	 /* datagram of more than 1,400 bytes */
	uint64_t foreign_source; /* sender neither configured nor hinted at */
	uint64_t short_header, wrong_schema, truncated, short_block, not_an_answer;
	uint64_t bad_value;	  /* unknown status, clientId 0, maxInflight 0, odd hint */
	uint64_t foreign_session; /* answer to another (or an earlier) session or nonce */
	uint64_t duplicate;	  /* answer to a finished request, or a second SessionOpened */
	uint64_t never_asked;	  /* answer to a requestSeq that was not sent yet */
	uint64_t stale_epoch;	  /* not OK and not REJECTED, from a deposed node */
	uint64_t not_primary, busy, overloaded, forgotten, bad_request, unauthorized;
};

enum cli_state {
	CLI_STATE_OPENING, /* asks for a session */
	CLI_STATE_OPEN,
	CLI_STATE_REFUSED, /* OpenSession got BAD_REQUEST or UNAUTHORIZED */
	CLI_STATE_CLOSED,
};

/* ---- engine ---- */

struct cli_engine;

/* -EINVAL: no node, too many, or an option out of range. -ENOMEM. All memory is taken here. */
CLI_API int
cli_engine_create(struct cli_engine **engine, const struct cli_options *options, uint64_t now_ns);
CLI_API void cli_engine_destroy(struct cli_engine *engine);

/* Takes a request. -EAGAIN: the window is full, collect results first. -EINVAL: payload longer than
 * CLI_MAX_PAYLOAD_BYTES. -EACCES: the session was refused. -ESHUTDOWN: closed. */
CLI_API int
cli_engine_submit(struct cli_engine *engine, const struct cli_request *request, uint64_t now_ns);

/* A datagram has come in. */
CLI_API void cli_engine_read(
	struct cli_engine *engine,
	const struct cli_address *from,
	const void *data,
	size_t bytes,
	uint64_t now_ns
);

/* Bytes of the next datagram to send, its destination in *to; 0 when there is none now. data must
 * have room for CLI_MAX_DATAGRAM_BYTES. Call it until 0 after submissions (all that were taken
 * before it share datagrams), after reads, and when the expiry has come; it also ends requests
 * whose deadline has passed. A datagram that could not be sent needs no care: it counts as lost. */
CLI_API size_t
cli_engine_write(struct cli_engine *engine, struct cli_address *to, void *data, uint64_t now_ns);

/* When cli_engine_write must be called even if nothing else happens; CLI_NEVER: not at all. */
CLI_API uint64_t cli_engine_expiry(const struct cli_engine *engine);

/* Next finished request, in the order of finishing; false when there is none. */
CLI_API bool cli_engine_result(struct cli_engine *engine, struct cli_result *result);

/* No node that is known answers as a primary: ask a name server, if there is one, and suggest what
 * it says. True when the suggestion is followed. */
CLI_API bool cli_engine_is_lost(const struct cli_engine *engine);
CLI_API bool cli_engine_suggest(struct cli_engine *engine, const struct cli_address *address);

/* Ends all requests (unknown or not sent); one more cli_engine_write gives the CloseSession. */
CLI_API void cli_engine_close(struct cli_engine *engine, uint64_t now_ns);

CLI_API enum cli_state cli_engine_state(const struct cli_engine *engine);
CLI_API uint64_t cli_engine_client_id(const struct cli_engine *engine);
CLI_API uint32_t cli_engine_epoch(const struct cli_engine *engine); /* highest seen */
CLI_API uint32_t cli_engine_max_inflight(const struct cli_engine *engine);
CLI_API uint64_t cli_engine_first_incomplete(const struct cli_engine *engine);
CLI_API uint32_t cli_engine_pending(const struct cli_engine *engine);	     /* taken, result not
									      * collected */
CLI_API struct cli_address cli_engine_node(const struct cli_engine *engine); /* asked now */
CLI_API void cli_engine_counters(const struct cli_engine *engine, struct cli_counters *counters);

/* ---- blocking client ---- */

struct cli_client;

CLI_API uint64_t cli_now_ns(void); /* CLOCK_MONOTONIC */

/* nodes is "HOST[:PORT],…": names are resolved to all their IPv4 addresses, the port is 9400 when
 * left out. A name is asked for again when no known node answers as a primary, not before its TTL
 * is over (with the system's resolver: at most each second, and it may wait). options may be NULL;
 * its nodes are not looked at. Waits for the session. -EINVAL: nodes cannot be read; -EHOSTUNREACH:
 * a name has no address; -ETIMEDOUT: no session within timeout_ns; -EACCES: it was refused; else
 * the errno of the socket. */
CLI_API int cli_connect(
	struct cli_client **client,
	const char *nodes,
	const struct cli_options *options,
	uint64_t timeout_ns
);

/* Sends one request and waits for its result, timeout_ns at most (0: for ever); the request's own
 * deadline_ns is not looked at. 0 means that there is a result, whatever its outcome; -EBUSY:
 * other requests are under way or their results not collected, use cli_wait. */
CLI_API int cli_call(
	struct cli_client *client,
	const struct cli_request *request,
	uint64_t timeout_ns,
	struct cli_result *result
);

/* Many in flight: cli_submit only queues (as cli_engine_submit), cli_flush sends what is queued,
 * several requests per datagram, and takes in what has come, without waiting. cli_wait flushes and
 * waits for the next result; -ETIMEDOUT: none came, the requests stay in flight; -ENOENT: nothing
 * is under way. */
CLI_API int cli_submit(struct cli_client *client, const struct cli_request *request);
CLI_API int cli_flush(struct cli_client *client);
CLI_API int cli_wait(struct cli_client *client, uint64_t timeout_ns, struct cli_result *result);

/* For the caller's own poll loop: poll the descriptor for reading until the engine's expiry, then
 * cli_flush and cli_engine_result. */
CLI_API int cli_fd(const struct cli_client *client);
CLI_API struct cli_engine *cli_engine_of(struct cli_client *client);

/* Says CloseSession (once, not answered) and frees everything; NULL is fine. */
CLI_API void cli_close(struct cli_client *client);

CLI_API const char *cli_outcome_name(enum cli_outcome outcome);
CLI_API const char *cli_status_name(uint8_t status);

#ifdef __cplusplus
}
#endif
