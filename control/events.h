/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What happened to the node, newest 1024: changes of mode with their reason, and coming and going
 * of the dataplane. Kept in control's memory: it begins anew when control is restarted.
 *
 * Owner: the one thread of standfast-control.
 */
#pragma once

#include <jansson.h>
#include <stdint.h>

#define CTL_MAX_EVENTS 1024

enum ctl_event_kind {
	CTL_EVENT_ATTACHED, /* the dataplane was found; mode and reason as found */
	CTL_EVENT_MODE,	    /* mode or reason changed */
	CTL_EVENT_LOST,	    /* the dataplane ended, or was started again */
};

struct ctl_event {
	uint64_t at_unix_ns;
	uint64_t incarnation;
	enum ctl_event_kind kind;
	uint32_t mode;	 /* enum rep_mode; not of LOST */
	uint32_t reason; /* enum rep_reason; not of LOST */
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
