/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/node.h"

#include "dataplane/clock.h"
#include "recovery/disk_uring.h"

#include <rte_errno.h>
#include <rte_mbuf_dyn.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#define INBOX_SLOTS 1024
#define SPARE_MBUFS 4096
#define RECORD_FRESH_NS 1000000000ull /* R20 */

/* A TX queue per lcore; kernel-backed devices have their queues in pairs, and with memif it is the
 * other end that decides how many there are: a client with one receives nothing from the others. */
static uint32_t client_tx_queues(const struct cfg_settings *settings)
{
	switch (settings->client.port.kind) {
	case CFG_DEVICE_AF_PACKET:
	case CFG_DEVICE_AF_XDP:
	case CFG_DEVICE_TAP:
	case CFG_DEVICE_MEMIF_SERVER:
	case CFG_DEVICE_MEMIF_CLIENT:
		return settings->client.rx_queues;
	default:
		return settings->lcore_count;
	}
}

void dp_node_port_needs(
	const struct cfg_settings *settings,
	struct dp_port_needs *client,
	struct dp_port_needs *replication
)
{
	uint32_t tx_queues = client_tx_queues(settings);
	*client = (struct dp_port_needs){
		.name = "client",
		.owner = settings->node.name,
		.rx_queues = settings->client.rx_queues,
		.tx_queues = (uint16_t)tx_queues,
		.rx_mbufs = settings->client.rx_queues * (INBOX_SLOTS + SPARE_MBUFS),
		.tx_mbufs = tx_queues * (settings->client.port.descriptors + SPARE_MBUFS),
	};
	*replication = (struct dp_port_needs){
		.name = "replication",
		.owner = settings->node.name,
		.rx_queues = 1,
		.tx_queues = 1,
		.rx_mbufs = SPARE_MBUFS,
		.tx_mbufs = settings->replication.port.descriptors + SPARE_MBUFS,
	};
}

/* --- Memory: fresh zero pages, huge ones where the kernel gives them. --- */

static void *map(struct dp_node *node, uint64_t bytes)
{
	void *memory =
		mmap(NULL,
		     bytes,
		     PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
		     -1,
		     0);
	if (memory == MAP_FAILED)
		return NULL;
	madvise(memory, bytes, MADV_HUGEPAGE); /* a wish: fails where huge pages are off */
	node->mappings[node->mapping_count].memory = memory;
	node->mappings[node->mapping_count].bytes = bytes;
	node->mapping_count++;
	return memory;
}

/* The same, with every page in place before it is needed. */
static void *map_now(struct dp_node *node, uint64_t bytes)
{
	void *memory = map(node, bytes);
	if (memory != NULL && madvise(memory, bytes, MADV_POPULATE_WRITE) < 0 && errno == ENOMEM)
		return NULL;
	return memory;
}

static struct rte_ring *make_ring(
	const struct dp_node *node, const char *what, uint32_t index, uint32_t element, uint32_t n
)
{
	char name[RTE_RING_NAMESIZE];
	snprintf(name, sizeof(name), "%.8s_%s%u", node->settings->node.name, what, index);
	return rte_ring_create_elem(
		name, element, n, SOCKET_ID_ANY, RING_F_SP_ENQ | RING_F_SC_DEQ | RING_F_EXACT_SZ
	);
}

/* --- Where agents run --- */

static uint32_t lcore_of_sequencer(const struct cfg_settings *settings)
{
	for (uint32_t i = 0; i < settings->lcore_count; i++)
		if (settings->lcores[i].sequencer)
			return i;
	return 0;
}

/* A journal that is named nowhere is with the sequencer. */
static uint32_t lcore_of_journal(const struct cfg_settings *settings)
{
	for (uint32_t i = 0; i < settings->lcore_count; i++)
		if (settings->lcores[i].journal)
			return i;
	return lcore_of_sequencer(settings);
}

static uint32_t lcore_of_ingress(const struct cfg_settings *settings, uint32_t ingress)
{
	for (uint32_t i = 0; i < settings->lcore_count; i++)
		if (settings->lcores[i].ingress[ingress])
			return i;
	return 0;
}

static uint32_t lcore_of_worker(const struct cfg_settings *settings, uint32_t worker)
{
	for (uint32_t i = 0; i < settings->lcore_count; i++)
		if (settings->lcores[i].worker[worker])
			return i;
	return 0;
}

static void add_agent(struct dp_lcore *lcore, unsigned (*poll)(void *), void *agent)
{
	lcore->agents[lcore->agent_count++] = (struct dp_agent){.poll = poll, .agent = agent};
}

/* In the order in which an update passes them. */
static void place_agents(struct dp_node *node, enum cfg_idle auto_idle)
{
	const struct cfg_settings *settings = node->settings;
	for (uint32_t i = 0; i < node->lcore_count; i++) {
		struct dp_lcore *lcore = &node->lcores[i];
		enum cfg_idle idle = settings->lcores[i].idle;
		if (idle == CFG_IDLE_AUTO)
			idle = settings->idle;
		if (idle == CFG_IDLE_AUTO)
			idle = auto_idle;
		lcore->node = node;
		lcore->counters = dp_shm_lcore(node->shm, i);
		dp_idle_init(&lcore->idle, idle);
	}
	for (uint32_t i = 0; i < settings->client.rx_queues; i++)
		add_agent(
			&node->lcores[lcore_of_ingress(settings, i)],
			dp_ingress_poll,
			&node->ingresses[i]
		);
	add_agent(&node->lcores[lcore_of_sequencer(settings)], dp_sequencer_poll, node->sequencer);
	if (settings->log.enabled == CFG_ON)
		add_agent(
			&node->lcores[lcore_of_journal(settings)], dp_journal_poll, &node->journal
		);
	for (uint32_t i = 0; i < settings->workers; i++)
		add_agent(
			&node->lcores[lcore_of_worker(settings, i)],
			dp_worker_poll,
			&node->workers[i]
		);
}

/* --- Agents --- */

static void init_replies(
	struct dp_node *node,
	struct dp_replies *replies,
	uint32_t lcore,
	struct dp_reply_counters *counters
)
{
	uint32_t queues = client_tx_queues(node->settings);
	dp_replies_init(
		replies,
		&node->client,
		(uint16_t)(lcore % queues),
		node->settings->lcore_count > queues ? &node->client_tx_lock : NULL,
		node->settings->client.udp_port,
		counters
	);
}

static int
create_ingresses(struct dp_node *node, const struct dp_model *model, int received_ns_offset)
{
	const struct cfg_settings *settings = node->settings;
	node->ingresses = map_now(node, settings->client.rx_queues * sizeof(*node->ingresses));
	if (node->ingresses == NULL)
		return -ENOMEM;
	for (uint32_t i = 0; i < settings->client.rx_queues; i++) {
		struct dp_ingress *ingress = &node->ingresses[i];
		struct dp_shm_ingress *shm = dp_shm_ingress(node->shm, i);
		uint32_t lcore = lcore_of_ingress(settings, i);
		ingress->port = &node->client;
		ingress->queue = (uint16_t)i;
		ingress->udp_port = rte_cpu_to_be_16(settings->client.udp_port);
		ingress->address = rte_cpu_to_be_32(settings->client.address);
		/* Held by the primary. */
		ingress->service_configured = rte_cpu_to_be_32(settings->client.service_address);
		ingress->verify_udp_checksum = settings->client.verify_udp_checksum == CFG_ON ||
					       (settings->client.verify_udp_checksum == CFG_AUTO &&
						!node->client.kernel_behind);
		ingress->commit = &node->commit;
		ingress->received_ns_offset = received_ns_offset;
		ingress->announce_ns = i == 0 ? 0 : UINT64_MAX;
		ingress->counters = &shm->counters;
		dp_request_limits_init(&ingress->limits, model, settings->limits.max_payload_bytes);
		init_replies(node, &ingress->replies, lcore, &shm->replies);
		if (lcore != lcore_of_sequencer(settings)) {
			ingress->inbox.ring = make_ring(node, "in", i, sizeof(void *), INBOX_SLOTS);
			if (ingress->inbox.ring == NULL)
				return -rte_errno;
		}
	}
	return 0;
}

static int create_worker(struct dp_node *node, uint32_t index, const struct dp_model *model)
{
	const struct cfg_settings *settings = node->settings;
	struct dp_worker *worker = &node->workers[index];
	struct dp_shm_worker *shm = dp_shm_worker(node->shm, index);
	/* Everything that can be under way at once fits, so a push never fails. */
	uint32_t marks = settings->arena.slots / settings->assets.digest_interval + 2;
	uint32_t elements =
		settings->arena.slots + settings->arena.side_slots + marks + DP_ASKED_MARKS;
	uint32_t side_payload = settings->limits.max_payload_bytes;
	struct dp_shard_config config = {
		.model = model,
		.workers = settings->workers,
		.worker = index,
		.max_assets = settings->assets.max,
		.max_sessions = settings->limits.max_sessions,
		.max_inflight = settings->limits.max_inflight,
		.max_answer_bytes = settings->limits.max_answer_bytes,
	};
	if (side_payload < settings->limits.max_answer_bytes)
		side_payload = settings->limits.max_answer_bytes;

	worker->index = index;
	worker->max_inflight = settings->limits.max_inflight;
	worker->commit = &node->commit;
	worker->arena = node->sequencer->intake.arena;
	worker->meta = node->sequencer->meta;
	worker->fill = (const uint8_t *)node->shm + node->shm->fill_at;
	worker->shm = shm;
	worker->answered = dp_shm_histogram(node->shm, DP_STAGES + index);
	worker->side_stride_bytes =
		(uint32_t)sf_round_up(sizeof(struct dp_side) + side_payload, 64);
	worker->side_mask = settings->arena.side_slots - 1;
	worker->held_mask = (uint32_t)sf_next_power_of_two(elements) - 1;
	worker->ring = make_ring(node, "w", index, sizeof(uint64_t), elements);
	if (worker->ring == NULL)
		return -rte_errno;
	worker->side = map(node, (uint64_t)worker->side_stride_bytes * settings->arena.side_slots);
	worker->held = map_now(node, (worker->held_mask + 1ull) * sizeof(uint64_t));
	void *shard = map(node, dp_shard_bytes(&config));
	if (worker->side == NULL || worker->held == NULL || shard == NULL)
		return -ENOMEM;
	dp_shard_init(&worker->shard, &config, shard);
	worker->shard_memory = shard;
	worker->shard_bytes = dp_shard_bytes(&config);
	init_replies(node, &worker->replies, lcore_of_worker(settings, index), &shm->replies);
	return 0;
}

static uint32_t cluster_tag(const char *cluster)
{
	return sf_crc32c_end(sf_crc32c(SF_CRC32C_INIT, cluster, strlen(cluster)));
}

/* Where the pair record is kept. Without a log there is none: roles are as configured, for benches.
 */
static enum rep_policy policy_of(const struct cfg_settings *settings)
{
	static const enum rep_policy policies[] = {
		[CFG_PRIMARY_CONTINUES] = REP_POLICY_PRIMARY_CONTINUES,
		[CFG_STANDBY_TAKES_OVER] = REP_POLICY_STANDBY_TAKES_OVER,
		[CFG_SPLIT_ALLOWED] = REP_POLICY_SPLIT_ALLOWED,
	};
	if (settings->log.enabled != CFG_ON)
		return REP_POLICY_FIXED;
	if (settings->arbiter.kind != CFG_ARBITER_NONE)
		return REP_POLICY_ARBITER;
	return policies[settings->roles.lost_peer];
}

static void core_config(const struct dp_node *node, struct rep_core_config *config)
{
	const struct cfg_settings *settings = node->settings;
	*config = (struct rep_core_config){
		.link =
			{
				.cluster_tag = cluster_tag(settings->cluster),
				.node = settings->node.id,
				.peer = (uint8_t)!settings->node.id,
				.max_payload_bytes = settings->limits.max_payload_bytes,
			},
		.role = settings->node.role == CFG_ROLE_PRIMARY ? REP_PRIMARY : REP_STANDBY,
		.epoch = (uint32_t)node->commit.epoch,
		.incarnation = node->shm->incarnation,
		.config_digest = node->shm->config_digest,
		.slots = settings->arena.slots,
		.window = settings->replication.window,
		.heartbeat_interval_ns = settings->replication.heartbeat_interval_ns,
		.heartbeat_misses = settings->replication.heartbeat_misses,
		.retransmit_min_ns = settings->replication.retransmit_min_ns,
		.has_log = settings->log.enabled == CFG_ON,
		.ack = (enum rep_ack)settings->replication.ack,
		.policy = policy_of(settings),
		.preferred_primary = settings->roles.preferred_primary,
		.bootstrap = settings->roles.bootstrap == CFG_BOOTSTRAP_AUTO,
		.takeover_delay_ns = settings->roles.takeover_delay_ns,
		.hold_down_ns = settings->roles.hold_down_ns,
		.max_moves_per_hour = settings->roles.max_changes_per_hour,
		.fetch_bytes = DP_SHM_PIECE_BYTES / 2,
		/* The arbiter's own time-out comes first. */
		.ask_timeout_ns = 2 * settings->arbiter.timeout_ns,
		.record_fresh_ns = RECORD_FRESH_NS,
	};
	STATIC_CHECK(
		(int)CFG_ACK_RECEIVED == REP_ACK_RECEIVED &&
			(int)CFG_ACK_DURABLE == REP_ACK_DURABLE &&
			(int)CFG_ACK_NONE == REP_ACK_NONE,
		"the words of the configuration are the core's"
	);
}

static int create_sequencer(struct dp_node *node, int received_ns_offset)
{
	const struct cfg_settings *settings = node->settings;
	struct dp_sequencer *sequencer = map_now(node, sizeof(*sequencer));
	struct rep_session_limits limits = {
		.max_sessions = settings->limits.max_sessions,
		.max_inflight = settings->limits.max_inflight,
	};
	struct rep_core_config config;
	if (sequencer == NULL)
		return -ENOMEM;
	node->sequencer = sequencer;
	core_config(node, &config);
	uint32_t stride = rep_arena_stride(settings->limits.max_payload_bytes);
	uint8_t *arena = map_now(node, (uint64_t)stride * settings->arena.slots);
	void *held = map_now(node, rep_core_memory_bytes(&config));
	void *sessions = map(node, rep_session_table_bytes(&limits));
	uint64_t *last_used = map_now(node, limits.max_sessions * sizeof(uint64_t));
	sequencer->meta = map_now(node, settings->arena.slots * sizeof(struct dp_meta));
	if (arena == NULL || held == NULL || sessions == NULL || last_used == NULL ||
	    sequencer->meta == NULL)
		return -ENOMEM;

	uint64_t now_ns = dp_now_ns();
	sequencer->settings = settings;
	sequencer->shm = node->shm;
	sequencer->port = &node->replication;
	sequencer->ethertype = rte_cpu_to_be_16(settings->replication.ethertype);
	sequencer->worker_count = settings->workers;
	sequencer->received_ns_offset = received_ns_offset;
	sequencer->unix_minus_monotonic_ns = dp_clock_unix_ns() - now_ns;
	sequencer->stop = &node->stop;
	sequencer->commit = &node->commit;
	sequencer->counters = &node->shm->sequencer;
	for (uint32_t i = 0; i < REP_PARTITIONS; i++)
		sequencer->worker_of[i] = (uint8_t)(i % settings->workers);
	sf_store32(sequencer->hint, rte_cpu_to_be_32(settings->peer.address));
	sf_store16(sequencer->hint + 4, settings->peer.port);
	memcpy(&sequencer->peer_mac, settings->replication.peer_mac, RTE_ETHER_ADDR_LEN);
	sequencer->peer_mac_known = !rte_is_zero_ether_addr(&sequencer->peer_mac);
	if (!sequencer->peer_mac_known)
		memset(&sequencer->peer_mac, 0xff, RTE_ETHER_ADDR_LEN);

	rep_core_init(&sequencer->core, &config, held, now_ns);
	sequencer->roles.told = config.policy != REP_POLICY_FIXED;
	dp_sequencer_publish_role(sequencer);
	sequencer->fills = settings->log.enabled == CFG_ON;
	if (!sequencer->fills)
		rep_core_start(&sequencer->core, &(struct rep_history){0}, now_ns);
	rep_session_table_init(&sequencer->sessions, &limits, sessions);
	rep_expiry_init(&sequencer->expiry, last_used, limits.max_sessions, now_ns);
	sequencer->intake = (struct rep_intake){
		.core = &sequencer->core,
		.sessions = &sequencer->sessions,
		.arena =
			{
				.base = arena,
				.stride_bytes = stride,
				.mask = settings->arena.slots - 1,
			},
		.mark_interval = settings->assets.digest_interval,
	};
	init_replies(
		node,
		&sequencer->replies,
		lcore_of_sequencer(settings),
		&node->shm->sequencer_replies
	);
	return 0;
}

static int
create_agents(struct dp_node *node, const struct dp_model *model, enum cfg_idle auto_idle)
{
	const struct cfg_settings *settings = node->settings;
	/* The time of receipt travels with a datagram from ingress to sequencer. */
	static const struct rte_mbuf_dynfield field = {
		.name = "standfast_received_ns",
		.size = sizeof(uint64_t),
		.align = __alignof__(uint64_t),
	};
	int offset = rte_mbuf_dynfield_register(&field);
	if (offset < 0)
		return -rte_errno;
	int result = create_sequencer(node, offset);
	if (result == 0)
		result = create_ingresses(node, model, offset);
	if (result < 0)
		return result;
	node->workers = map_now(node, settings->workers * sizeof(*node->workers));
	if (node->workers == NULL)
		return -ENOMEM;
	for (uint32_t i = 0; i < settings->workers && result == 0; i++)
		result = create_worker(node, i, model);
	if (result < 0)
		return result;
	node->sequencer->workers = node->workers;
	node->sequencer->inbox_count = settings->client.rx_queues;
	for (uint32_t i = 0; i < settings->client.rx_queues; i++)
		node->sequencer->inboxes[i] = &node->ingresses[i].inbox;
	node->lcore_count = settings->lcore_count;
	node->lcores = map_now(node, node->lcore_count * sizeof(*node->lcores));
	if (node->lcores == NULL)
		return -ENOMEM;
	place_agents(node, auto_idle);
	return 0;
}

/* The epoch of a primary's life. Until a role record exists it is made from the clock and from what
 * the life before left behind: a node never writes in an epoch that it used before (inv. 7).
 * Author-tagged: the lowest bit is the node. */
static uint32_t first_epoch(uint8_t node_id, const struct dp_shm *shm)
{
	const uint64_t begin_unix_s = 1767225600; /* 2026-01-01 */
	uint64_t unix_s = dp_clock_unix_ns() / 1000000000ull;
	uint64_t epoch = (unix_s > begin_unix_s ? unix_s - begin_unix_s : 1) << 1 | node_id;
	epoch = sf_max64(epoch, shm->former_epoch + 1);
	return (uint32_t)(epoch + ((epoch ^ node_id) & 1));
}

/* How the journal's thread writes: log.io. */
static int open_disk(struct dp_node *node, char *error, size_t error_bytes)
{
	enum cfg_io io = node->settings->log.io;
	int result = -ENOSYS;
	node->disk = &disk_real;
	if (io != CFG_IO_PWRITEV2)
		result = disk_uring_open(&node->disk);
	if (result < 0 && io == CFG_IO_URING) {
		snprintf(
			error,
			error_bytes,
			"log.io: the kernel gives no io_uring: %s",
			strerror(-result)
		);
		return result;
	}
	return 0;
}

int dp_node_create(
	struct dp_node *node,
	const struct cfg_settings *settings,
	struct dp_shm *shm,
	const struct dp_port *client,
	const struct dp_port *replication,
	enum cfg_idle auto_idle,
	char *error,
	size_t error_bytes
)
{
	const struct dp_model *model = dp_model_find(settings->assets.model);
	memset(node, 0, sizeof(*node));
	node->settings = settings;
	node->shm = shm;
	node->client = *client;
	node->replication = *replication;
	if (settings->node.role == CFG_ROLE_PRIMARY && policy_of(settings) == REP_POLICY_FIXED)
		node->commit.epoch = first_epoch(settings->node.id, shm);
	if (model == NULL) {
		snprintf(
			error, error_bytes, "there is no asset model \"%s\"", settings->assets.model
		);
		return -ENOENT;
	}
	if (settings->replication.ack == CFG_ACK_DURABLE && settings->log.enabled != CFG_ON) {
		snprintf(
			error,
			error_bytes,
			"replication.ack = \"durable\" without log.enabled = \"on\": there is no "
			"log "
			"to wait for"
		);
		return -ENOTSUP;
	}
	uint32_t frame_bytes =
		REP_FRAME_HEADER_BYTES + rep_entry_bytes(settings->limits.max_payload_bytes);
	if (frame_bytes > replication->mtu_bytes) {
		snprintf(
			error,
			error_bytes,
			"an entry with limits.max_payload = %u makes a frame of %u bytes, more "
			"than the replication port's MTU of %u",
			settings->limits.max_payload_bytes,
			frame_bytes,
			replication->mtu_bytes
		);
		return -EMSGSIZE;
	}
	int result = create_agents(node, model, auto_idle);
	if (result < 0) {
		snprintf(
			error,
			error_bytes,
			"the node cannot get its memory (arena, rings, assets): %s",
			strerror(-result)
		);
		dp_node_destroy(node);
		return result;
	}
	if (settings->log.enabled == CFG_ON)
		result = open_disk(node, error, error_bytes);
	if (result == 0 && settings->log.enabled == CFG_ON) {
		result = dp_journal_open(
			&node->journal,
			settings,
			node->disk,
			shm->incarnation,
			&node->sequencer->intake.arena,
			&node->commit,
			&shm->log,
			error,
			error_bytes
		);
		node->sequencer->journal = &node->journal;
		dp_shm_store(&shm->fill.state, DP_FILL_WANTED);
	}
	if (result < 0)
		dp_node_destroy(node);
	return result;
}

/* With the datagrams that nobody will take any more. */
static void free_inbox(struct dp_inbox *inbox)
{
	struct rte_mbuf *mbuf;
	rte_pktmbuf_free_bulk(inbox->mbufs, inbox->count);
	inbox->count = 0;
	while (inbox->ring != NULL && rte_ring_sc_dequeue(inbox->ring, (void **)&mbuf) == 0)
		rte_pktmbuf_free(mbuf);
	rte_ring_free(inbox->ring);
}

void dp_node_destroy(struct dp_node *node)
{
	const struct cfg_settings *settings = node->settings;
	dp_journal_close(&node->journal);
	if (node->disk != NULL && node->disk != &disk_real)
		disk_uring_close(node->disk);
	node->disk = NULL;
	for (uint32_t i = 0; node->workers && i < settings->workers; i++)
		rte_ring_free(node->workers[i].ring);
	for (uint32_t i = 0; node->ingresses && i < settings->client.rx_queues; i++)
		free_inbox(&node->ingresses[i].inbox);
	for (uint32_t i = 0; i < node->mapping_count; i++)
		munmap(node->mappings[i].memory, node->mappings[i].bytes);
	node->mapping_count = 0;
}

unsigned dp_lcore_round(struct dp_lcore *lcore)
{
	unsigned work = 0;
	for (uint32_t i = 0; i < lcore->agent_count; i++)
		work += lcore->agents[i].poll(lcore->agents[i].agent);
	return work;
}

static uint64_t cycles_in_ns(uint64_t cycles)
{
	return (uint64_t)((double)cycles * 1e9 / (double)rte_get_tsc_hz());
}

/* The longest rounds, between one reading of the counter and the next: of the whole life, of this
 * second and of the one before. */
struct longest {
	uint64_t ever, now, before;
	uint64_t second_ends;
};

static __attribute__((noinline)) void note_long_round(
	struct dp_lcore_counters *counters, struct longest *longest, uint64_t now, uint64_t took
)
{
	if (now >= longest->second_ends) {
		longest->before = longest->now;
		longest->now = 0;
		longest->second_ends = now + rte_get_tsc_hz();
	}
	longest->now = sf_max64(longest->now, took);
	longest->ever = sf_max64(longest->ever, took);
	counters->longest_round_ns = cycles_in_ns(longest->ever);
	counters->longest_recent_round_ns = cycles_in_ns(sf_max64(longest->now, longest->before));
}

int dp_lcore_run(void *argument)
{
	struct dp_lcore *lcore = argument;
	uint64_t last = rte_rdtsc();
	struct longest longest = {.second_ends = last};
	/* Relaxed: a flag by itself. */
	while (!__atomic_load_n(&lcore->node->finish, __ATOMIC_RELAXED)) {
		unsigned work = dp_lcore_round(lcore);
		uint64_t now = rte_rdtsc();
		lcore->counters->rounds++;
		lcore->counters->busy_rounds += work > 0;
		lcore->counters->work += work;
		if (unlikely(now - last > longest.now || now >= longest.second_ends))
			note_long_round(lcore->counters, &longest, now, now - last);
		last = now;
		dp_idle_round(&lcore->idle, work);
	}
	return 0;
}
