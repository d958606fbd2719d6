/* SPDX-License-Identifier: BSD-3-Clause */
#include "deploy/relay_way.h"

#include "config/bytes.h"
#include "config/hash.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HOLD_NS 1000000
#define LINK_CHECK_NS 1000000
#define HEADER_BYTES 14
#define MAX_DELAY_US 10000000

void relay_way_init(
	struct relay_way *way,
	const char *name,
	struct dp_port *from,
	struct dp_port *to,
	uint64_t seed
)
{
	memset(way, 0, sizeof(*way));
	way->name = name;
	way->from = from;
	way->to = to;
	way->seed = seed;
}

static uint64_t draw(struct relay_way *way)
{
	return sf_mix(way->seed, way->draws++);
}

static bool happens(struct relay_way *way, uint64_t probability)
{
	return probability && (uint32_t)draw(way) < probability;
}

/* ---- the queue ---- */

static void enqueue(struct relay_way *way, struct rte_mbuf *frame, uint64_t due_ns)
{
	if (way->tail - way->head == RELAY_QUEUE_FRAMES) {
		way->counters.overflow++;
		rte_pktmbuf_free(frame);
		return;
	}
	way->queue[way->tail++ % RELAY_QUEUE_FRAMES] = (struct relay_queued){frame, due_ns};
}

static void release_held(struct relay_way *way, struct relay_held *held, uint64_t now_ns)
{
	enqueue(way, held->frame, now_ns + way->faults.delay_ns);
	held->frame = NULL;
	way->held_count--;
}

static bool hold(struct relay_way *way, struct rte_mbuf *frame, uint64_t now_ns)
{
	for (unsigned i = 0; i < RELAY_HELD_FRAMES; i++) {
		if (way->held[i].frame)
			continue;
		way->held[i].frame = frame;
		way->held[i].due_ns = now_ns + HOLD_NS;
		way->held[i].frames_to_pass = 1 + (uint32_t)(draw(way) >> 32) % 4;
		way->held_count++;
		way->counters.reordered++;
		return true;
	}
	return false;
}

static void enqueue_and_count(struct relay_way *way, struct rte_mbuf *frame, uint64_t now_ns)
{
	enqueue(way, frame, now_ns + way->faults.delay_ns);
	for (unsigned i = 0; way->held_count && i < RELAY_HELD_FRAMES; i++)
		if (way->held[i].frame && --way->held[i].frames_to_pass == 0)
			release_held(way, &way->held[i], now_ns);
}

/* ---- faults ---- */

static void shorten(struct relay_way *way, struct rte_mbuf *frame)
{
	uint32_t bytes = frame->pkt_len;

	if (frame->nb_segs != 1 || bytes <= HEADER_BYTES)
		return;
	bytes = HEADER_BYTES + (uint32_t)(draw(way) >> 32) % (bytes - HEADER_BYTES);
	rte_pktmbuf_trim(frame, (uint16_t)(frame->pkt_len - bytes));
	way->counters.truncated++;
}

static void damage(struct relay_way *way, struct rte_mbuf *frame)
{
	uint64_t random = draw(way);
	uint8_t *bytes = rte_pktmbuf_mtod(frame, uint8_t *);

	if (frame->data_len == 0)
		return;
	bytes[(uint32_t)(random >> 32) % frame->data_len] ^= (uint8_t)(1 + random % 255);
	way->counters.corrupted++;
}

static void take(struct relay_way *way, struct rte_mbuf *frame, uint64_t now_ns)
{
	const struct relay_faults *faults = &way->faults;

	if (faults->cut) {
		way->counters.cut++;
		rte_pktmbuf_free(frame);
		return;
	}
	if (happens(way, faults->loss)) {
		way->counters.lost++;
		rte_pktmbuf_free(frame);
		return;
	}
	if (happens(way, faults->truncate))
		shorten(way, frame);
	if (happens(way, faults->corrupt))
		damage(way, frame);
	if (happens(way, faults->duplicate)) {
		struct rte_mbuf *copy =
			rte_pktmbuf_copy(frame, way->to->tx_pool, 0, frame->pkt_len);
		if (copy) {
			way->counters.duplicated++;
			enqueue_and_count(way, copy, now_ns);
		} else {
			way->counters.overflow++;
		}
	}
	if (happens(way, faults->reorder) && hold(way, frame, now_ns))
		return;
	enqueue_and_count(way, frame, now_ns);
}

/* ---- one round ---- */

static void drop_due(struct relay_way *way, uint64_t now_ns)
{
	while (way->head != way->tail) {
		struct relay_queued *first = &way->queue[way->head % RELAY_QUEUE_FRAMES];
		if (first->due_ns > now_ns)
			break;
		rte_pktmbuf_free(first->frame);
		way->head++;
		way->counters.no_link++;
	}
}

static unsigned send_due(struct relay_way *way, uint64_t now_ns)
{
	struct rte_mbuf *frames[DP_BURST];
	unsigned sent = 0;

	for (unsigned bursts = 0; bursts < 4; bursts++) {
		uint16_t count = 0;
		while (count < DP_BURST && way->head + count != way->tail) {
			struct relay_queued *next =
				&way->queue[(way->head + count) % RELAY_QUEUE_FRAMES];
			if (next->due_ns > now_ns)
				break;
			frames[count++] = next->frame;
		}
		if (count == 0)
			return sent;
		uint16_t taken = dp_port_tx(way->to, 0, frames, count);
		way->head += taken;
		way->counters.forwarded += taken;
		sent += taken;
		if (taken < count)
			break;
	}
	/* The device took less than there was: it is busy, or nobody is there. A wire without an
	 * end keeps nothing for later. */
	if (now_ns - way->link_checked_ns >= LINK_CHECK_NS) {
		way->link_checked_ns = now_ns;
		way->link_up = dp_port_link_up(way->to);
	}
	if (!way->link_up && sent == 0 && way->to->gate)
		drop_due(way, now_ns);
	return sent;
}

unsigned relay_way_poll(struct relay_way *way, uint64_t now_ns)
{
	struct rte_mbuf *frames[DP_BURST];
	uint16_t got = dp_port_rx(way->from, 0, frames, DP_BURST);

	way->counters.received += got;
	for (uint16_t i = 0; i < got; i++)
		take(way, frames[i], now_ns);
	for (unsigned i = 0; way->held_count && i < RELAY_HELD_FRAMES; i++)
		if (way->held[i].frame && way->held[i].due_ns <= now_ns)
			release_held(way, &way->held[i], now_ns);
	return got + send_due(way, now_ns);
}

void relay_way_drain(struct relay_way *way)
{
	for (unsigned i = 0; i < RELAY_HELD_FRAMES; i++) {
		rte_pktmbuf_free(way->held[i].frame);
		way->held[i].frame = NULL;
	}
	way->held_count = 0;
	while (way->head != way->tail)
		rte_pktmbuf_free(way->queue[way->head++ % RELAY_QUEUE_FRAMES].frame);
}

/* ---- settings ---- */

static bool set_one(struct relay_faults *faults, const char *word, char *error, size_t error_bytes)
{
	const struct {
		const char *name;
		uint64_t *probability;
	} rows[] = {
		{"loss", &faults->loss},
		{"truncate", &faults->truncate},
		{"corrupt", &faults->corrupt},
		{"dup", &faults->duplicate},
		{"reorder", &faults->reorder},
	};
	const char *equals = strchr(word, '=');
	size_t chars = equals ? (size_t)(equals - word) : 0;
	char *end = NULL;
	double value = equals ? strtod(equals + 1, &end) : -1;
	bool is_number = equals && end != equals + 1 && *end == 0 && isfinite(value) && value >= 0;

	if (is_number && chars == 8 && memcmp(word, "delay_us", 8) == 0 && value <= MAX_DELAY_US) {
		faults->delay_ns = (uint64_t)(value * 1000);
		return true;
	}
	for (unsigned i = 0; is_number && value <= 1 && i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (strlen(rows[i].name) == chars && memcmp(rows[i].name, word, chars) == 0) {
			*rows[i].probability = (uint64_t)(value * 4294967296.0);
			return true;
		}
	}
	snprintf(
		error,
		error_bytes,
		"\"%s\" is none of loss, dup, reorder, corrupt, truncate with a probability of 0 "
		"to "
		"1, or delay_us with 0 to %u",
		word,
		MAX_DELAY_US
	);
	return false;
}

bool relay_way_set(struct relay_way *way, const char *text, char *error, size_t error_bytes)
{
	struct relay_faults faults = way->faults;
	char words[256], *rest = words, *word;

	if (strlen(text) >= sizeof(words)) {
		snprintf(error, error_bytes, "too long");
		return false;
	}
	memcpy(words, text, strlen(text) + 1);
	while ((word = strsep(&rest, " \t")) != NULL)
		if (*word && !set_one(&faults, word, error, error_bytes))
			return false;
	way->faults = faults;
	return true;
}
