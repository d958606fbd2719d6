/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/events.h"

#include "config/log.h"
#include "control/text.h"
#include "replication/core.h"

static const char *kind_name(enum ctl_event_kind kind)
{
	static const char *const names[] = {
		"attached", "mode", "lost", "replayed", "refused", "names", "audit"};
	return names[kind];
}

static bool has_mode(const struct ctl_event *event)
{
	return event->kind == CTL_EVENT_ATTACHED || event->kind == CTL_EVENT_MODE;
}

static const char *text_of(const struct ctl_event *event)
{
	return has_mode(event) ? rep_reason_text(event->reason) : event->text;
}

static void log_event(const struct ctl_event *event)
{
	const char *mode = ctl_mode_name(event->mode);
	bool bad = has_mode(event) &&
		   (event->mode == REP_MODE_BLOCKED || event->mode == REP_MODE_HALTED);
	switch (event->kind) {
	case CTL_EVENT_ATTACHED:
		sf_log(SF_NOTICE, "attached to the dataplane: %s: %s", mode, text_of(event));
		break;
	case CTL_EVENT_MODE:
		sf_log(bad ? SF_WARNING : SF_NOTICE, "%s: %s", mode, text_of(event));
		break;
	case CTL_EVENT_LOST:
	case CTL_EVENT_NAMES:
		sf_log(SF_WARNING, "%s", text_of(event));
		break;
	case CTL_EVENT_REPLAYED:
		sf_log(SF_NOTICE, "%s", text_of(event));
		break;
	case CTL_EVENT_REFUSED:
	case CTL_EVENT_AUDIT:
		sf_log(SF_ERROR, "%s", text_of(event));
		break;
	}
}

void ctl_events_add(struct ctl_events *events, const struct ctl_event *event)
{
	events->items[events->count++ % CTL_MAX_EVENTS] = *event;
	log_event(event);
}

static json_t *one_json(const struct ctl_event *event, uint64_t number)
{
	char at[CTL_TIME_BYTES];
	json_t *json = json_object();
	ctl_time_text(event->at_unix_ns, at);
	json_object_set_new(json, "number", json_integer((json_int_t)number));
	json_object_set_new(json, "at", json_string(at));
	json_object_set_new(json, "event", json_string(kind_name(event->kind)));
	json_object_set_new(json, "incarnation", json_integer((json_int_t)event->incarnation));
	bool mode = has_mode(event);
	json_object_set_new(
		json, "mode", mode ? json_string(ctl_mode_name(event->mode)) : json_null()
	);
	json_object_set_new(
		json, "reason", mode ? json_string(rep_reason_name(event->reason)) : json_null()
	);
	json_object_set_new(json, "text", json_string(text_of(event)));
	return json;
}

json_t *ctl_events_json(const struct ctl_events *events)
{
	json_t *json = json_object(), *list = json_array();
	uint64_t first = events->count > CTL_MAX_EVENTS ? events->count - CTL_MAX_EVENTS : 0;
	for (uint64_t i = first; i < events->count; i++)
		json_array_append_new(list, one_json(&events->items[i % CTL_MAX_EVENTS], i + 1));
	json_object_set_new(json, "total", json_integer((json_int_t)events->count));
	json_object_set_new(json, "events", list);
	return json;
}
