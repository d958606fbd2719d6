/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/requests.h"

#include <string.h>

struct ctl_request *
ctl_request_start(struct ctl_requests *requests, uint32_t type, uint64_t deadline_ns)
{
	for (uint32_t i = 0; i < CTL_MAX_REQUESTS; i++) {
		struct ctl_request *request = &requests->items[i];
		if (request->state != CTL_REQUEST_FREE)
			continue;
		*request = (struct ctl_request){
			.state = CTL_REQUEST_UNSENT,
			.type = type,
			.id = ++requests->last_id,
			.deadline_ns = deadline_ns,
		};
		return request;
	}
	return NULL;
}

void ctl_request_free(struct ctl_request *request)
{
	if (request)
		memset(request, 0, sizeof(*request));
}

void ctl_request_again(struct ctl_requests *requests, struct ctl_request *request)
{
	request->state = CTL_REQUEST_UNSENT;
	requests->sent_again++;
}

void ctl_requests_rings_new(struct ctl_requests *requests)
{
	for (uint32_t i = 0; i < CTL_MAX_REQUESTS; i++)
		if (requests->items[i].state == CTL_REQUEST_SENT)
			ctl_request_again(requests, &requests->items[i]);
}

void ctl_requests_send(struct ctl_requests *requests, struct ctl_attach *attach)
{
	for (uint32_t i = 0; i < CTL_MAX_REQUESTS; i++) {
		struct ctl_request *request = &requests->items[i];
		if (request->state == CTL_REQUEST_UNSENT &&
		    ctl_attach_send(attach, request->type, request->id, 0))
			request->state = CTL_REQUEST_SENT;
	}
}

void ctl_requests_take(struct ctl_requests *requests, const struct dp_shm_message *message)
{
	for (uint32_t i = 0; i < CTL_MAX_REQUESTS; i++) {
		struct ctl_request *request = &requests->items[i];
		if (request->state != CTL_REQUEST_SENT || request->id != message->request)
			continue;
		request->state = CTL_REQUEST_DONE;
		request->incarnation = message->incarnation;
		request->value = message->value;
		return;
	}
	requests->dropped_answers++;
}

bool ctl_requests_waiting(const struct ctl_requests *requests)
{
	for (uint32_t i = 0; i < CTL_MAX_REQUESTS; i++)
		if (requests->items[i].state != CTL_REQUEST_FREE)
			return true;
	return false;
}
