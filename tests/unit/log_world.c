/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/unit/log_world.h"

#include "config/bytes.h"
#include "config/check.h"
#include "config/hash.h"
#include "dataplane/clock.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>

#define STRIDE_BYTES 1408

/* --- Time: the journal's pauses are short, and its idle time passes soon --- */

struct dp_clock dp_clock = {.ns_per_cycle_q32 = 8ull << 32};

uint64_t dp_clock_monotonic_ns(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000ull + (uint64_t)now.tv_nsec;
}

/* Stands for nanosleep in the journal's files. */
int world_nanosleep(const struct timespec *pause, struct timespec *left);
int world_nanosleep(const struct timespec *pause, struct timespec *left)
{
	struct timespec shorter = *pause;
	/* dp_journal_close counts pauses of 1 ms: it must outlast a machine that stands still. */
	if (pause->tv_nsec >= 1000000)
		shorter.tv_nsec /= pause->tv_nsec >= 5000000 ? 32 : 4;
	return clock_nanosleep(CLOCK_MONOTONIC, 0, &shorter, left) == 0 ? 0 : -1;
}

void world_pause(long ns)
{
	struct timespec pause = {.tv_nsec = ns};
	clock_nanosleep(CLOCK_MONOTONIC, 0, &pause, NULL);
}

bool world_full_count(void)
{
	const char *given = getenv("STANDFAST_TESTS");
	return given != NULL && strcmp(given, "full") == 0;
}

/* --- Entries --- */

/* What the entry of this sequence and life holds. */
static void make_entry(const struct world *world, uint64_t sequence, uint8_t life, void *place)
{
	struct random random = random_seeded(sf_mix(world->seed, sequence << 8 | life));
	struct rep_entry *entry = place;
	*entry = (struct rep_entry){
		.epoch = life,
		.sequence = sequence,
		.timestamp_ns = sequence * 1000,
		.client_id = random_below(&random, 1000),
		.request_seq = sequence,
		.asset_id = random_u64(&random),
		.payload_bytes = (uint16_t)random_below(&random, world->most_payload + 1),
		.kind = REP_ENTRY_UPDATE,
	};
	uint64_t word = random_u64(&random);
	for (uint32_t i = 0; i < entry->payload_bytes; i++)
		entry->payload[i] = (uint8_t)(word >> (i % 8 * 8)) ^ (uint8_t)i;
	rep_entry_pad(entry);
	entry->crc = rep_entry_crc(entry);
}

uint32_t world_append(struct world *world, uint32_t count)
{
	uint64_t passed = dp_journal_passed(&world->journal);
	uint32_t done = 0;
	while (done < count && world->next - passed <= WORLD_SLOTS &&
	       world->next < WORLD_MAX_ENTRIES) {
		make_entry(
			world, world->next, world->life, rep_arena_entry(&world->arena, world->next)
		);
		world->life_of[world->next] = world->life;
		world->next++;
		done++;
	}
	__atomic_store_n(&world->commit.appended, world->next - 1, __ATOMIC_RELEASE);
	return done;
}

void world_poll(struct world *world, uint32_t times)
{
	while (times-- > 0)
		dp_journal_poll(&world->journal);
}

/* --- Life --- */

struct world *world_new(uint64_t seed, enum cfg_sync sync)
{
	struct world *world = aligned_alloc(64, sf_round_up(sizeof(*world), 64));
	CHECK(world != NULL);
	memset(world, 0, sizeof(*world));
	prctl(PR_SET_TIMERSLACK, 1000);
	world->seed = seed;
	world->random = random_seeded(seed);
	world->shadow = shadow_new();
	world->next = 1;
	world->arena = (struct rep_arena){
		.base = aligned_alloc(64, WORLD_SLOTS * STRIDE_BYTES),
		.stride_bytes = STRIDE_BYTES,
		.mask = WORLD_SLOTS - 1,
	};
	CHECK(world->arena.base != NULL);
	struct cfg_settings *settings = &world->settings;
	snprintf(settings->cluster, sizeof(settings->cluster), "test");
	snprintf(settings->node.name, sizeof(settings->node.name), "b");
	snprintf(settings->log.dir, sizeof(settings->log.dir), "/log");
	settings->node.id = 1;
	settings->log.enabled = CFG_ON;
	settings->log.sync = sync;
	const uint32_t payloads[] = {8, 100, REP_MAX_PAYLOAD_BYTES};
	world->most_payload = payloads[random_below(&world->random, 3)];
	settings->log.segment_bytes = (4 + random_below(&world->random, 60)) * LOG_BLOCK_BYTES;
	if (random_below(&world->random, 8) == 0)
		settings->log.segment_bytes = 1 << 20;
	settings->log.sync_interval_ns = 50000 + random_below(&world->random, 1000000);
	settings->log.buffer_bytes = (1 + random_below(&world->random, 6)) * DP_JOURNAL_GROUP_BYTES;
	return world;
}

void world_free(struct world *world)
{
	world_close(world);
	shadow_free(world->shadow);
	free(world->arena.base);
	free(world);
}

void world_problem(struct world *world, const char *format, ...)
{
	va_list list;
	if (*world->problem)
		return;
	int used = snprintf(world->problem, sizeof(world->problem), "SEED=%lu: ", world->seed);
	va_start(list, format);
	vsnprintf(world->problem + used, sizeof(world->problem) - (size_t)used, format, list);
	va_end(list);
}

int world_recover(struct world *world)
{
	char text[1024];
	struct ctl_log log;
	ctl_log_init(&log, &world->settings, shadow_disk(world->shadow));
	int result = ctl_log_look(&log, false, text, sizeof(text));
	if (result == 0) {
		rec_plan_make(
			&world->plan,
			log.identity_state,
			log.segments,
			log.count,
			&(struct rec_base){0}
		);
		ctl_log_say(&log, &world->plan, text, sizeof(text));
		if (rec_refuses(world->plan.verdict)) {
			world_problem(world, "recovery refuses: %s", text);
			result = -EBADMSG;
		}
	}
	if (result == 0)
		result = ctl_log_carry_out(&log, &world->plan, text, sizeof(text));
	if (result == 0 && world->plan.last_sequence > 0 && log.identity_state == REC_IDENTITY_NEW)
		result = ctl_log_identify(&log, true);
	ctl_log_free(&log);
	return result;
}

int world_open(struct world *world)
{
	char text[256];
	CHECK(!world->open);
	world->life++;
	world->next = world->plan.position.next_sequence;
	world->shm = (struct dp_shm_log){0};
	world->commit = (struct dp_commit){.epoch = world->life, .appended = world->next - 1};
	int result = dp_journal_open(
		&world->journal,
		&world->settings,
		shadow_disk(world->shadow),
		world->life,
		&world->arena,
		&world->commit,
		&world->shm,
		text,
		sizeof(text)
	);
	if (result < 0)
		return result;
	world->open = true;
	dp_journal_begin(&world->journal, &world->plan.position);
	return 0;
}

void world_close(struct world *world)
{
	uint64_t before_ns = dp_clock_monotonic_ns();
	if (world->open)
		dp_journal_close(&world->journal);
	world->open = false;
	world->close_ns = dp_clock_monotonic_ns() - before_ns;
}

bool world_closed_short(const struct world *world)
{
	return world->close_ns < 1000000000 &&
	       dp_journal_durable(&world->journal) != world->next - 1;
}

/* --- Checks --- */

/* The groups of a segment, entry by entry; moves *next behind them. */
static void check_segment(
	struct world *world, struct ctl_log *log, uint32_t index, uint64_t *next, uint64_t last
)
{
	const struct rec_segment *segment = &log->segments[index];
	struct ctl_map map;
	const struct log_group *group;
	uint64_t expected[STRIDE_BYTES / 8];
	if (ctl_log_map(log, segment->number, &map) < 0) {
		world_problem(world, "segment %lu cannot be read", segment->number);
		return;
	}
	struct log_position position = {
		.segment = segment->number,
		.offset = LOG_BLOCK_BYTES,
		.next_sequence = segment->first_sequence,
		.chain = segment->chain,
	};
	while (position.offset < map.bytes && *next <= last &&
	       log_group_check(
		       map.data + position.offset,
		       map.bytes - position.offset,
		       &log->identity,
		       &position,
		       &group
	       ) == LOG_OK) {
		const struct rep_entry *entry = log_group_first(group);
		for (uint32_t i = 0; i < group->count; i++, entry = log_next_entry(entry)) {
			uint8_t life = world->life_of[*next % WORLD_MAX_ENTRIES];
			make_entry(world, *next, life, expected);
			if (memcmp(entry, expected, rep_entry_bytes(entry->payload_bytes)) != 0)
				world_problem(world, "entry %lu is not what it was", *next);
			++*next;
		}
	}
	ctl_log_unmap(&map);
}

uint64_t
world_check(struct world *world, struct shadow *shadow, uint64_t least, uint64_t most, bool deep)
{
	char text[1024];
	struct ctl_log log;
	struct rec_plan plan = {0};
	ctl_log_init(&log, &world->settings, shadow_disk(shadow));
	if (ctl_log_look(&log, deep, text, sizeof(text)) < 0) {
		world_problem(world, "no look: %s", text);
	} else {
		rec_plan_make(
			&plan, log.identity_state, log.segments, log.count, &(struct rec_base){0}
		);
		ctl_log_say(&log, &plan, text, sizeof(text));
		if (rec_refuses(plan.verdict))
			world_problem(world, "refused: %s", text);
		else if (plan.last_sequence < least)
			world_problem(
				world,
				"lost: %lu of %lu durable entries are there (%s)",
				plan.last_sequence,
				least,
				text
			);
		else if (plan.last_sequence > most)
			world_problem(world, "invented: %lu of %lu", plan.last_sequence, most);
	}
	uint64_t next = 1;
	for (uint32_t i = 0; i < log.count && *world->problem == 0; i++)
		if (log.segments[i].header == LOG_OK)
			check_segment(world, &log, i, &next, plan.last_sequence);
	if (next != plan.last_sequence + 1)
		world_problem(world, "read %lu of %lu", next - 1, plan.last_sequence);
	ctl_log_free(&log);
	return plan.last_sequence;
}

void world_check_crash(struct world *world, enum shadow_loss loss)
{
	/* In this order: what is called durable now must be in the picture that follows. */
	uint64_t durable = dp_journal_durable(&world->journal);
	struct shadow *image = shadow_crash(world->shadow, loss, random_u64(&world->random));
	world_check(world, image, durable, world->next - 1, random_below(&world->random, 2));
	shadow_free(image);
}

void world_crash(struct world *world, enum shadow_loss loss)
{
	uint64_t durable = dp_journal_durable(&world->journal);
	struct shadow *image = shadow_crash(world->shadow, loss, random_u64(&world->random));
	world_close(world); /* writes to the disk that nobody looks at again */
	shadow_free(world->shadow);
	world->shadow = image;
	world_check(world, image, durable, world->next - 1, true);
}
