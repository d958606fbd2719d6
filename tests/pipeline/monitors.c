/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/pipeline/monitor_state.h"

static const char *const monitor_names[PL_MONITORS] = {
	[PL_MONITOR_ORDER] = "order",
	[PL_MONITOR_REMOVAL] = "removal",
	[PL_MONITOR_CONVERGENCE] = "convergence",
	[PL_MONITOR_DESTINATION] = "destination",
	[PL_MONITOR_COMPLETE] = "complete",
	[PL_MONITOR_SPLIT] = "split",
	[PL_MONITOR_ANSWERED] = "answered",
};

const char *pl_monitor_name(uint32_t monitor)
{
	return monitor < PL_MONITORS ? monitor_names[monitor] : "none";
}

static size_t __attribute__((format(printf, 3, 4)))
say(char *text, size_t bytes, const char *format, ...)
{
	va_list list;
	va_start(list, format);
	size_t used = pl_text_put(text, bytes, format, list);
	va_end(list);
	return used;
}

void pl_break(struct pl_monitors *m, enum pl_monitor monitor, const char *format, ...)
{
	if (m->broken != PL_MONITORS || !pl_judged(m, monitor))
		return;
	m->broken = (uint8_t)monitor;
	size_t used =
		say(m->verdict,
		    sizeof(m->verdict),
		    "%s%s: ",
		    m->modelled ? "as modelled, " : "",
		    monitor_names[monitor]);
	va_list list;
	va_start(list, format);
	pl_text_put(m->verdict + used, sizeof(m->verdict) - used, format, list);
	va_end(list);
}

/* ---- the block ---- */

struct layout {
	uint32_t records, ring, values_at, firsts_at, rings_at;
	size_t bytes;
};

static struct layout lay_out(const struct pl_topology *topology, const struct pl_promise *promise)
{
	struct layout layout = {
		.records = promise->records < PL_IDS_MAX ? promise->records : PL_IDS_MAX - 1};
	/* What stands in a queue is bounded by its capacity; where none is said, or it is far
	 * beyond what the run publishes, by every record and many repeats. */
	uint32_t most = 4 * layout.records + 64, capacity = 0;
	for (uint32_t stage = 0; stage < topology->transport_count; stage++)
		for (uint32_t side = 0; side < PL_SIDES; side++) {
			uint8_t machine = topology->transports[stage][side];
			if (machine >= topology->count)
				continue;
			uint32_t said = topology->machines[machine].params.capacity;
			if (said == 0)
				said = most;
			capacity = capacity > said ? capacity : said;
		}
	capacity = capacity < most ? capacity : most;
	layout.ring = 8;
	while (layout.ring < capacity)
		layout.ring *= 2;
	size_t at = sizeof(struct pl_monitors) + (layout.records + 1) * sizeof(struct pl_marks);
	layout.values_at = (uint32_t)at;
	at += (layout.records + 1) * sizeof(uint64_t);
	layout.firsts_at = (uint32_t)at;
	at += (layout.records + 1) * PL_STAGES_MAX * sizeof(uint64_t);
	layout.rings_at = (uint32_t)at;
	at += (size_t)topology->transport_count * PL_SIDES * layout.ring * sizeof(uint32_t);
	layout.bytes = (at + 7) / 8 * 8;
	return layout;
}

size_t pl_monitors_bytes(const struct pl_topology *topology, const struct pl_promise *promise)
{
	return lay_out(topology, promise).bytes;
}

static void
place(struct pl_monitors *m,
      uint8_t machine,
      enum pl_place_type type,
      uint32_t stage,
      uint32_t region)
{
	if (machine < PL_MACHINES_MAX)
		m->places[machine] = (struct pl_place
		){.type = (uint8_t)type, .stage = (uint8_t)stage, .region = (uint8_t)region};
}

static bool is_named(const struct pl_kind *kind, const char *name)
{
	return pl_text_begins(kind->name, name) && pl_text_begins(name, kind->name);
}

static void place_transports(struct pl_monitors *m, const struct pl_topology *topology)
{
	for (uint32_t stage = 0; stage < m->transports; stage++)
		for (uint32_t side = 0; side < PL_SIDES; side++) {
			uint8_t machine = topology->transports[stage][side];
			struct pl_lane *lane = &m->lanes[stage][side];
			*lane = (struct pl_lane){.machine = machine, .batches = true};
			if (machine >= topology->count)
				continue;
			/* Only a queue is known to hand out nothing but its head. */
			const struct pl_kind *kind = topology->machines[machine].kind;
			lane->batches = !(kind && is_named(kind, "queue"));
			place(m, machine, PL_PLACE_TRANSPORT, stage, side + 1);
		}
}

static void place_databases(struct pl_monitors *m, const struct pl_topology *topology)
{
	for (uint32_t stage = 0; stage < m->databases; stage++) {
		uint8_t front = topology->databases[stage];
		struct pl_table *table = &m->tables[stage];
		*table = (struct pl_table){.front = front};
		if (front >= topology->count)
			continue;
		place(m, front, PL_PLACE_FRONT, stage, 0);
		const struct pl_params *params = &topology->machines[front].params;
		for (uint32_t i = 0; i < PL_REGIONS_MAX; i++) {
			if (params->members[i] >= topology->count || params->members[i] == front)
				continue;
			place(m, params->members[i], PL_PLACE_MEMBER, stage, i + 1);
			table->members++;
			table->all |= (uint8_t)(1 << i);
		}
		table->needed = table->members > 2 ? 2 : 1;
		table->home = table->members == 2 && !m->total;
	}
}

void pl_monitors_begin(
	struct pl_monitors *m,
	const struct pl_topology *topology,
	const struct pl_promise *promise,
	const uint64_t *values
)
{
	struct layout layout = lay_out(topology, promise);
	memset(m, 0, offsetof(struct pl_monitors, names));
	memset(m->marks, 0, (layout.records + 1) * sizeof(m->marks[0]));
	m->verdict[0] = 0;
	m->models.overlooked = 0;
	m->promise = *promise;
	m->records = layout.records;
	m->ring_mask = layout.ring - 1;
	m->values_at = layout.values_at;
	m->firsts_at = layout.firsts_at;
	m->rings_at = layout.rings_at;
	m->broken = PL_MONITORS;
	m->total = topology->order == PL_ORDER_TOTAL;
	m->modelled = pl_has(promise->defects, PL_DEFECT_MODELLED_MONITORS);
	m->transports = (uint8_t)topology->transport_count;
	m->databases = (uint8_t)topology->database_count;
	/* One database between two transports each; what is more comes before the first. */
	if (m->transports > 0 && m->databases + 1 >= m->transports)
		m->before = (uint8_t)(m->databases + 1 - m->transports);
	if (layout.records > 0)
		memcpy(pl_value(m, 1), values, layout.records * sizeof(*values));
	for (uint32_t i = 0; i < topology->count && i < PL_MACHINES_MAX; i++) {
		memcpy(m->names[i], topology->machines[i].name, PL_NAME_BYTES);
		const struct pl_kind *kind = topology->machines[i].kind;
		if (kind && pl_text_begins(kind->name, "api") && m->api_count < PL_STAGES_MAX)
			place(m,
			      (uint8_t)i,
			      PL_PLACE_API,
			      m->api_count++,
			      topology->machines[i].params.region);
	}
	place_transports(m, topology);
	place_databases(m, topology);
	place(m, topology->source, PL_PLACE_SOURCE, 0, 0);
	place(m, topology->destination, PL_PLACE_DESTINATION, 0, 0);
	if (m->modelled)
		pl_modelled_begin(m);
}

/* ---- judging ---- */

bool pl_monitors_see(struct pl_monitors *m, const struct pl_effect *effect)
{
	struct pl_place at = m->places[effect->machine];
	if (m->modelled) {
		pl_modelled_see(m, effect, at);
		return m->broken == PL_MONITORS;
	}
	switch (effect->kind) {
	case PL_EFFECT_SENT:
	case PL_EFFECT_ACCEPTED:
	case PL_EFFECT_DELIVERED:
	case PL_EFFECT_REMOVED:
		if (at.type == PL_PLACE_TRANSPORT)
			pl_see_lane(m, effect, at);
		break;
	case PL_EFFECT_WRITTEN:
	case PL_EFFECT_REWRITTEN:
	case PL_EFFECT_CONFLICT:
	case PL_EFFECT_DUPLICATED:
	case PL_EFFECT_ANSWERED:
	case PL_EFFECT_LEFT_BEHIND:
	case PL_EFFECT_SWITCHED:
		if (at.type == PL_PLACE_FRONT || at.type == PL_PLACE_MEMBER)
			pl_see_table(m, effect, at);
		break;
	case PL_EFFECT_PUBLISHED:
	case PL_EFFECT_ARRIVED:
	case PL_EFFECT_REPEATED:
		pl_see_end(m, effect);
		break;
	default: /* what a machine tells of itself is not judged */
		break;
	}
	return m->broken == PL_MONITORS;
}

bool pl_monitors_end(struct pl_monitors *m)
{
	uint64_t asked = m->promise.monitors & ((1u << PL_MONITORS) - 1);
	if (m->promise.split[0] + m->promise.split[1] == 0)
		asked &= ~(1ull << PL_MONITOR_SPLIT); /* any split will do */
	if (asked == 0) {
		m->promise.monitors = 1u << PL_MONITOR_COMPLETE;
		pl_break(m, PL_MONITOR_COMPLETE, "no monitor was asked to look");
	}
	if (m->modelled) {
		pl_modelled_end(m);
		return m->broken == PL_MONITORS;
	}
	if (m->records == 0)
		for (uint32_t monitor = 0; monitor < PL_MONITORS; monitor++)
			pl_break(m, monitor, "no record was promised: nothing to look at");
	pl_end_tables(m);
	pl_end_lanes(m);
	return m->broken == PL_MONITORS;
}

/* ---- asking ---- */

const char *pl_monitors_verdict(const struct pl_monitors *m)
{
	return m->broken == PL_MONITORS ? NULL : m->verdict;
}

enum pl_monitor pl_monitors_broken(const struct pl_monitors *m)
{
	return m->broken;
}

uint32_t pl_monitors_left_behind(const struct pl_monitors *m)
{
	return m->left_behind;
}

uint32_t pl_monitors_arrived(const struct pl_monitors *m)
{
	return m->arrived;
}

uint64_t pl_monitors_overlooked(const struct pl_monitors *m)
{
	return m->models.overlooked;
}
