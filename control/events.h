/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What happened to the node, newest 1024: changes of mode with their reason, coming and going of
 * the dataplane, how its log was read. Kept in control's memory: it begins anew when control is
 * restarted.
 *
 * Owner: the one thread of standfast-control.
 */
#pragma once

#include <jansson.h>
#include <stdint.h>

#define CTL_MAX_EVENTS 1024
#define CTL_EVENT_TEXT_BYTES 512

enum ctl_event_kind {
	CTL_EVENT_ATTACHED, /* the dataplane was found; mode and reason as found */
	CTL_EVENT_MODE,	    /* mode or reason changed */
	CTL_EVENT_LOST,	    /* the dataplane ended, or was started again */
	CTL_EVENT_REPLAYED, /* the node has its state from snapshot and log; text says how much */
	CTL_EVENT_REFUSED,  /* it does not get it; text says why, and what helps */
	CTL_EVENT_NAMES,    /* the name server cannot listen; it does at last */
	CTL_EVENT_AUDIT, /* control's copy of the state is not the dataplane's, or cannot be made */
};

struct ctl_event {
	uint64_t at_unix_ns;
	uint64_t incarnation;
	enum ctl_event_kind kind;
	uint32_t mode;			 /* enum rep_mode; of ATTACHED and MODE */
	uint32_t reason;		 /* enum rep_reason; the same */
	char text[CTL_EVENT_TEXT_BYTES]; /* of the others */
};

struct ctl_events {
	uint64_t count; /* ever; the place is count % CTL_MAX_EVENTS */
	struct ctl_event items[CTL_MAX_EVENTS];
};

/* Adds in place of the oldest, and writes a log line. */
void ctl_events_add(struct ctl_events *events, const struct ctl_event *event);
/* Oldest first: {"total", "events": [{"number", "at", "event", "mode", "reason", "text",
 * "incarnation"}]}. The caller owns the result; NULL: no memory. */
json_t *ctl_events_json(const struct ctl_events *events);
