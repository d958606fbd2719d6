/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What the monitors keep: one block without pointers. For each record a line of marks, one byte for
 * each place, so that every rule is a look at bits; for each transport a mirror, the ids that stand
 * in it as its effects tell it, so that what it hands out can be compared with what it took.
 * Nothing here is read from a machine.
 *
 * Stages. Transports are numbered first to last, and so are databases; `before` databases come
 * before the first transport (workload1: 2), then one between two transports each.
 */
#pragma once

#include "tests/pipeline/monitor.h"

#include <stdarg.h>

#define PL_SIDES 2 /* regions that have transports */

/* Marks of a record at a transport of a region. The first three have an order to keep. */
enum pl_lane_event {
	PL_LANE_SENT,
	PL_LANE_ACCEPTED,
	PL_LANE_DELIVERED,
	PL_LANE_REMOVED,
	PL_LANE_EVENTS,
};

#define PL_LANE_COPY 0x10 /* one of what stands there */
#define PL_LANE_COPIES 0xf0

/* Marks of a record at a database: bits 0 … 2 are the members that hold its row. */
#define PL_ROW_MEMBERS 0x07
#define PL_ROW_ANSWERED 0x08
#define PL_ROW_LEFT_BEHIND 0x10
#define PL_ROW_MISSED 0x20 /* answered, and not on the side that the database switched to */

/* Marks of a record at the ends. */
#define PL_END_PUBLISHED 0x01
#define PL_END_ARRIVED 0x02

struct pl_marks {
	/* Bits of enum pl_lane_event; above them how often it stands there, at most 15, and then
	 * for good. */
	uint8_t lane[PL_STAGES_MAX][PL_SIDES];
	uint8_t rows[PL_STAGES_MAX];
	uint8_t ends;
	uint8_t chain; /* the region that accepted it first; 0: none yet */
	uint8_t spare[6];
};

/* A transport of one region. Positions count what it ever accepted: it holds head … tail - 1. */
struct pl_lane {
	uint32_t head, tail;
	/* Bit n: n records from the head on may be what was handed out. More than one bit when the
	 * same record stands there twice, so that one does not know which was meant. */
	uint64_t handed_out;
	uint32_t last[PL_LANE_EVENTS];	   /* highest id that was new here */
	uint32_t previous[PL_LANE_EVENTS]; /* the last id, new or not */
	uint8_t machine;		   /* its address */
	bool batches;			   /* hands out more than its head */
	uint8_t spare[6];
};
#define PL_HANDED_OUT_MAX 63

struct pl_table {
	uint32_t rows[PL_REGIONS_MAX]; /* that stand in each member */
	uint32_t uneven;	       /* records in some members and not in all */
	uint32_t answered;
	uint8_t front;		      /* its address */
	uint8_t members, all, needed; /* how many; their bits; how many make an answer */
	bool home;		      /* the caller's region must hold the row before it goes on */
	uint8_t spare[3];
};

enum pl_place_type {
	PL_PLACE_NONE,
	PL_PLACE_TRANSPORT,
	PL_PLACE_FRONT,
	PL_PLACE_MEMBER,
	PL_PLACE_SOURCE,
	PL_PLACE_DESTINATION,
	PL_PLACE_API,
};

struct pl_place {
	uint8_t type, stage, region, spare;
};

/* The models' monitors: lists of which only the length and the last few ids matter. */
#define PL_LIST_RECENT 8
struct pl_list {
	uint32_t count, removed;
	uint32_t recent[PL_LIST_RECENT];
};
enum pl_map {
	PL_MAP_CALLED,
	PL_MAP_SENT,
	PL_MAP_CONFIRMED,
	PL_MAP_DELIVERED,
	PL_MAP_REMOVED,
	PL_MAP_WRITTEN,
	PL_MAPS,
};
#define PL_MAP_KEYS (PL_STAGES_MAX * 8)
struct pl_modelled {
	struct pl_list lists[PL_MAPS][PL_MAP_KEYS];
	uint8_t known[PL_MAPS][PL_MAP_KEYS]; /* the keys that exist so far, in order of coming */
	uint8_t known_count[PL_MAPS];
	uint8_t style; /* enum pl_style of monitor_modelled.c */
	bool finished;
	uint64_t overlooked;
};

struct pl_monitors {
	struct pl_promise promise;
	uint32_t records;
	uint32_t ring_mask;			 /* ids that a mirror can hold, less one */
	uint32_t rings_at, values_at, firsts_at; /* bytes from the block's beginning */
	uint32_t arrived, published, left_behind;
	uint32_t arrived_last[PL_SIDES]; /* highest id that came from a region */
	uint32_t published_last;
	uint32_t split[PL_SIDES], batch_split[PL_BATCHES_MAX][PL_SIDES];
	uint32_t distinct[PL_STAGES_MAX][PL_LANE_EVENTS]; /* over both regions */
	uint32_t standing;				  /* records that transports hold */
	uint8_t transports, databases, before;
	bool total, modelled;
	uint8_t broken; /* enum pl_monitor */
	uint8_t api_count;
	struct pl_place places[256]; /* by address */
	struct pl_lane lanes[PL_STAGES_MAX][PL_SIDES];
	struct pl_table tables[PL_STAGES_MAX];
	char names[PL_MACHINES_MAX][PL_NAME_BYTES];
	char verdict[PL_VERDICT_BYTES];
	struct pl_modelled models;
	struct pl_marks marks[]; /* of record 0, which is none, and 1 … records */
	/* Then, at their places: the source's values; for each record and database the value that
	 * came first; the mirrors' ids. */
};

static inline uint64_t *pl_value(struct pl_monitors *m, uint32_t id)
{
	return (uint64_t *)((char *)m + m->values_at) + id;
}

static inline uint64_t *pl_first_value(struct pl_monitors *m, uint32_t id, uint32_t database)
{
	return (uint64_t *)((char *)m + m->firsts_at) + (size_t)id * PL_STAGES_MAX + database;
}

static inline uint32_t *
pl_ring(struct pl_monitors *m, uint32_t stage, uint32_t side, uint32_t position)
{
	return (uint32_t *)((char *)m + m->rings_at) +
	       (size_t)(stage * PL_SIDES + side) * (m->ring_mask + 1) + (position & m->ring_mask);
}

static inline bool pl_judged(const struct pl_monitors *m, enum pl_monitor monitor)
{
	return m->promise.monitors >> monitor & 1;
}

/* The row stands where it must before the record may go on from `region`. */
static inline bool
pl_row_stands(const struct pl_monitors *m, uint32_t id, uint32_t database, uint32_t region)
{
	const struct pl_table *table = &m->tables[database];
	uint32_t rows = m->marks[id].rows[database] & PL_ROW_MEMBERS;
	if (table->home)
		return rows >> (region - 1) & 1;
	return (uint32_t)__builtin_popcount(rows) >= table->needed;
}

/* Says the first verdict, if the scenario promised what is broken. */
void pl_break(struct pl_monitors *m, enum pl_monitor monitor, const char *format, ...)
	__attribute__((cold, noinline, format(printf, 3, 4)));

/* monitor_text.c: as vsnprintf(), of %s, %u, %llu and %%; returns what it wrote, which always ends
 * in a zero byte. */
size_t pl_text_put(char *text, size_t bytes, const char *format, va_list list);
bool pl_text_begins(const char *text, const char *what);

/* monitor_lanes.c: transports and ends. */
void pl_see_lane(struct pl_monitors *m, const struct pl_effect *effect, struct pl_place place);
void pl_see_end(struct pl_monitors *m, const struct pl_effect *effect);
void pl_end_lanes(struct pl_monitors *m);
/* monitor_tables.c: databases. */
void pl_see_table(struct pl_monitors *m, const struct pl_effect *effect, struct pl_place place);
void pl_end_tables(struct pl_monitors *m);
/* monitor_modelled.c */
void pl_modelled_begin(struct pl_monitors *m);
void pl_modelled_see(struct pl_monitors *m, const struct pl_effect *effect, struct pl_place place);
void pl_modelled_end(struct pl_monitors *m);
