/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Requests to the dataplane that control waits for. Each has an id and a deadline; when the rings
 * are set up anew (either side was restarted), those without an answer are sent again. An answer to
 * an unknown id, or a second one, is dropped and counted. All commands of this version may be
 * executed twice without harm.
 *
 * Owner: the one thread of standfast-control.
 */
#pragma once

#include "control/attach.h"

#include <stdbool.h>
#include <stdint.h>

#define CTL_MAX_REQUESTS 32
#define CTL_REQUEST_PATIENCE_NS 2000000000ull

enum ctl_request_state { CTL_REQUEST_FREE, CTL_REQUEST_UNSENT, CTL_REQUEST_SENT, CTL_REQUEST_DONE };

struct ctl_request {
	enum ctl_request_state state;
	uint32_t type; /* enum dp_shm_message_type */
	uint64_t id;
	uint64_t deadline_ns;
	uint64_t incarnation; /* that answered */
	uint64_t value;	      /* of the answer */
};

struct ctl_requests {
	struct ctl_request items[CTL_MAX_REQUESTS];
	uint64_t last_id;
	uint64_t sent_again;
	uint64_t dropped_answers;
};

/* A request, to be sent at the next ctl_requests_send; NULL when too many are under way. The
 * pointer is good until ctl_request_free. */
struct ctl_request *
ctl_request_start(struct ctl_requests *requests, uint32_t type, uint64_t deadline_ns);
void ctl_request_free(struct ctl_request *request);
/* Asks again: the answer belongs to a life of the dataplane that is over. */
void ctl_request_again(struct ctl_requests *requests, struct ctl_request *request);

/* New rings: what was sent through the old ones is lost. */
void ctl_requests_rings_new(struct ctl_requests *requests);
void ctl_requests_send(struct ctl_requests *requests, struct ctl_attach *attach);
/* Gives an answer (DP_EVENT_DONE) to its request. */
void ctl_requests_take(struct ctl_requests *requests, const struct dp_shm_message *message);
bool ctl_requests_waiting(const struct ctl_requests *requests);
