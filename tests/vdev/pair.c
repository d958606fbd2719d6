/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/vdev/pair.h"

#include "dataplane/clock.h"

#include <rte_launch.h>
#include <rte_lcore.h>

#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CLIENT_MTU 1500

uint64_t pair_now_ns(void)
{
	return lab_now_ns();
}

void pair_start_eal(uint32_t lcore_count)
{
	if (!lab_start_eal(384, lcore_count))
		exit(1);
	dp_clock_start();
}

/* --- Making and ending --- */

static void base_settings(struct cfg_settings *s, int node, const char *directory)
{
	cfg_defaults(s);
	s->log.enabled = CFG_OFF; /* no control process is here to replay it */
	snprintf(s->cluster, sizeof(s->cluster), "pair");
	snprintf(s->node.name, sizeof(s->node.name), "%c", 'a' + node);
	snprintf(s->peer.name, sizeof(s->peer.name), "%c", 'b' - node);
	snprintf(s->node.runtime_dir, sizeof(s->node.runtime_dir), "%s", directory);
	s->node.id = (uint8_t)node;
	s->node.role = node == 0 ? CFG_ROLE_PRIMARY : CFG_ROLE_STANDBY;
	s->client.address = 0x0a4d0001u + (uint32_t)node;
	s->peer.address = 0x0a4d0002u - (uint32_t)node;
	s->client.verify_udp_checksum = CFG_ON;
	s->client.port.mtu_bytes = CLIENT_MTU;
	/* The machine is slow and shared: what is late is not dead. */
	s->replication.heartbeat_interval_ns = 20000000;
	s->replication.heartbeat_misses = 50;
	s->replication.window = 512;
	s->arena.slots = 1024;
	s->arena.side_slots = 64;
	s->limits.max_sessions = 64;
	s->assets.max = 4096;
	s->assets.digest_interval = 64;
	s->workers = node == 0 ? 1 : 3;
	s->idle = CFG_IDLE_YIELD;
}

static void open_ports(struct pair_side *side, const struct pair_options *options)
{
	struct dp_port_needs client, link, other;
	uint32_t slots = options->ring_slots ? options->ring_slots : 1024;
	char error[512];
	dp_node_port_needs(&side->settings, &client, &link);
	client.rx_mbufs = link.rx_mbufs = 64;
	client.tx_mbufs = link.tx_mbufs = 1023;
	other = (struct dp_port_needs){
		.name = "outside",
		.owner = side->settings.node.name,
		.rx_queues = 1,
		.tx_queues = 1,
		.rx_mbufs = 64,
		.tx_mbufs = 2047,
	};
	if (dp_port_open_ring_pair(
		    &client,
		    &other,
		    side->settings.client.port.mtu_bytes,
		    slots,
		    &side->client,
		    &side->outside,
		    error,
		    sizeof(error)
	    ) != 0)
		fail_msg("%s", error);
	other.name = "tap";
	if (dp_port_open_ring_pair(
		    &link,
		    &other,
		    side->settings.replication.port.mtu_bytes,
		    slots,
		    &side->link,
		    &side->tap,
		    error,
		    sizeof(error)
	    ) != 0)
		fail_msg("%s", error);
}

static void make_side(struct pair *pair, int node, const struct pair_options *options)
{
	struct pair_side *side = &pair->sides[node];
	struct cfg_settings *settings = &side->settings;
	struct cfg_errors errors = {0};
	char error[512];
	base_settings(settings, node, pair->directory);
	cfg_place_all(settings);
	if (options->adjust != NULL) {
		uint32_t workers = settings->workers;
		options->adjust(settings, node);
		if (settings->workers != workers && settings->lcore_count == 1)
			cfg_place_all(settings);
	}
	if (!cfg_check(settings, &errors)) {
		cfg_errors_print(&errors, stderr);
		fail();
	}
	ssize_t ring_bytes = rte_ring_get_memsize_elem(DP_SHM_MESSAGE_BYTES, DP_SHM_RING_SLOTS);
	if (dp_shm_create(
		    settings, (uint64_t)ring_bytes, &side->shm, &side->lock_fd, error, sizeof(error)
	    ) < 0)
		fail_msg("%s", error);
	/* Epochs are in clientIds and so in digests: not of the clock, that two pairs compare. */
	side->shm->former_epoch = sf_max64(side->shm->former_epoch, 1 << 30);
	open_ports(side, options);
	if (dp_node_create(
		    &side->node,
		    settings,
		    side->shm,
		    &side->client,
		    &side->link,
		    CFG_IDLE_YIELD,
		    error,
		    sizeof(error)
	    ) < 0)
		fail_msg("%s", error);
}

/* Of a test that failed: the next one must find its names free. */
static struct pair *left_behind;

static void take_apart(struct pair *pair)
{
	for (int node = 0; node < 2; node++) {
		struct pair_side *side = &pair->sides[node];
		struct dp_port *ports[] = {&side->client, &side->outside, &side->link, &side->tap};
		if (side->node.settings != NULL)
			dp_node_destroy(&side->node);
		for (unsigned i = 0; i < 4; i++)
			if (side->shm != NULL)
				dp_port_close(ports[i]);
		dp_shm_detach(side->shm);
		if (side->lock_fd > 0)
			close(side->lock_fd);
	}
	lab_remove(pair->directory);
	free(pair);
	left_behind = NULL;
}

struct pair *pair_make_apart(const struct pair_options *options)
{
	static const struct pair_options usual;
	if (left_behind != NULL) {
		pair_halt(left_behind);
		take_apart(left_behind);
	}
	struct pair *pair = calloc(1, sizeof(*pair));
	assert_non_null(pair);
	left_behind = pair;
	lab_make_directory(pair->directory, sizeof(pair->directory));
	for (int node = 0; node < 2; node++)
		make_side(pair, node, options ? options : &usual);
	return pair;
}

bool pair_is_paired(struct pair *pair)
{
	return dp_shm_load(&pair->sides[0].shm->status.mode) == REP_MODE_PAIRED;
}

struct pair *pair_make(const struct pair_options *options)
{
	struct pair *pair = pair_make_apart(options);
	PAIR_UNTIL(pair, pair_is_paired(pair));
	return pair;
}

static uint32_t mbufs_in_use(struct pair *pair)
{
	uint32_t count = 0;
	for (int node = 0; node < 2; node++) {
		struct pair_side *side = &pair->sides[node];
		count += dp_port_mbufs_in_use(&side->client) + dp_port_mbufs_in_use(&side->outside);
		count += dp_port_mbufs_in_use(&side->link) + dp_port_mbufs_in_use(&side->tap);
	}
	return count;
}

void pair_end(struct pair *pair)
{
	pair_halt(pair);
	memset(pair->paused, 0, sizeof(pair->paused));
	pair->judge = NULL;
	pair->deaf = false;
	pair_rounds(pair, 8);
	pair_check_counted(pair);
	take_apart(pair);
}

/* --- Rounds --- */

static void carry(struct pair *pair, int from)
{
	struct pair_side *source = &pair->sides[from], *sink = &pair->sides[!from];
	struct rte_mbuf *burst[DP_BURST];
	uint16_t count = dp_port_rx(&source->tap, 0, burst, DP_BURST);
	for (uint16_t i = 0; i < count; i++) {
		uint8_t *frame = rte_pktmbuf_mtod(burst[i], uint8_t *);
		uint32_t bytes = burst[i]->data_len;
		enum pair_verdict verdict =
			pair->judge ? pair->judge(pair, from, frame, &bytes) : PAIR_PASS;
		burst[i]->data_len = (uint16_t)bytes;
		burst[i]->pkt_len = bytes;
		if (verdict == PAIR_TWICE)
			pair_inject(pair, !from, frame, bytes);
		if (verdict != PAIR_DROP && dp_port_tx(&sink->tap, 0, &burst[i], 1) == 1)
			sink->frames_to_link++;
		else
			rte_pktmbuf_free(burst[i]);
	}
}

static void read_message(
	struct pair *pair,
	struct pair_answer *answer,
	const uint8_t *message,
	uint32_t left,
	uint32_t *bytes
)
{
	assert_true(left >= 10);
	uint32_t block_bytes = (uint32_t)get(message, 2);
	answer->template_id = (uint16_t)get(message + 2, 2);
	assert_int_equal(get(message + 4, 2), 0x5346);
	assert_int_equal(get(message + 6, 2), 1);
	assert_true(left >= 10 + block_bytes);
	const uint8_t *block = message + 8;
	answer->payload_bytes = (uint16_t)get(block + block_bytes, 2);
	*bytes = 10 + block_bytes + answer->payload_bytes;
	assert_true(left >= *bytes);
	memcpy(answer->payload, block + block_bytes + 2, answer->payload_bytes);
	if (answer->template_id == 2) {
		assert_int_equal(block_bytes, 48);
		answer->client_id = get(block, 8);
		answer->request_seq = get(block + 8, 8);
		answer->asset_id = get(block + 16, 8);
		answer->sequence = get(block + 24, 8);
		answer->epoch = (uint32_t)get(block + 32, 4);
		answer->status = block[36];
		answer->flags = block[37];
		assert_int_equal(get(block + 38, 2), 0);
		answer->asset_version = get(block + 40, 8);
	} else {
		assert_int_equal(answer->template_id, 4);
		assert_int_equal(block_bytes, 24);
		answer->request_seq = get(block, 8);
		answer->client_id = get(block + 8, 8);
		answer->epoch = (uint32_t)get(block + 16, 4);
		answer->status = block[20];
		answer->flags = block[21];
		answer->max_inflight = (uint16_t)get(block + 22, 2);
	}
}

static void read_frame(struct pair *pair, int node, const uint8_t *frame, uint32_t bytes)
{
	struct pair_side *side = &pair->sides[node];
	assert_true(bytes >= 14 && bytes <= 14u + side->settings.client.port.mtu_bytes);
	assert_memory_equal(frame + 6, &side->client.mac, 6);
	const uint8_t *ip = frame + 14, *udp = frame + 34;
	if (frame[12] != 8 || frame[13] != 0 || ip[9] != 17) {
		if (pair->local_count < 16) {
			struct pair_local *local = &pair->locals[pair->local_count++];
			local->node = node;
			local->bytes = bytes;
			memcpy(local->frame, frame, bytes);
		}
		return;
	}
	/* The network byte order here is read by hand, as a client's kernel would. */
	uint32_t ip_bytes = (uint32_t)ip[2] << 8 | ip[3];
	uint32_t udp_bytes = (uint32_t)udp[4] << 8 | udp[5];
	assert_int_equal(ip[0], 0x45);
	assert_int_equal(14 + ip_bytes, bytes);
	assert_int_equal(udp_bytes + 20, ip_bytes);
	assert_int_equal(pair_checksum(ip, 20, 0), 0);
	assert_int_equal(pair_checksum(ip + 12, ip_bytes - 12, 17 + udp_bytes), 0);
	assert_int_equal((uint32_t)udp[0] << 8 | udp[1], side->settings.client.udp_port);
	assert_true(udp_bytes - 8 <= 1400);
	const uint8_t *message = frame + 42, *end = frame + bytes;
	pair->datagrams++;
	while (message < end) {
		struct pair_answer *answer = &pair->answers[pair->answer_head % PAIR_MAX_ANSWERS];
		uint32_t used = 0;
		memset(answer, 0, offsetof(struct pair_answer, payload));
		answer->node = node;
		answer->datagram = pair->datagrams;
		answer->port = (uint16_t)(udp[2] << 8 | udp[3]);
		answer->ip = (uint32_t)ip[16] << 24 | (uint32_t)ip[17] << 16 |
			     (uint32_t)ip[18] << 8 | ip[19];
		read_message(pair, answer, message, (uint32_t)(end - message), &used);
		message += used;
		assert_true(pair->answer_head - pair->answer_tail < PAIR_MAX_ANSWERS);
		pair->answer_head++;
	}
}

static void hear(struct pair *pair, int node)
{
	struct rte_mbuf *burst[DP_BURST];
	if (pair->deaf)
		return;
	uint16_t count = dp_port_rx(&pair->sides[node].outside, 0, burst, DP_BURST);
	for (uint16_t i = 0; i < count; i++) {
		uint8_t copy[PAIR_MAX_FRAME];
		uint32_t bytes = burst[i]->data_len;
		assert_int_equal(burst[i]->nb_segs, 1);
		assert_true(bytes <= sizeof(copy));
		memcpy(copy, rte_pktmbuf_mtod(burst[i], uint8_t *), bytes);
		rte_pktmbuf_free(burst[i]);
		read_frame(pair, node, copy, bytes);
	}
}

static bool is_paused(const struct pair *pair, const void *agent)
{
	for (unsigned i = 0; i < 8; i++)
		if (pair->paused[i] == agent)
			return true;
	return false;
}

static void run_agents(struct pair *pair, struct dp_node *node)
{
	for (uint32_t i = 0; i < node->lcore_count; i++) {
		struct dp_lcore *lcore = &node->lcores[i];
		for (uint32_t j = 0; j < lcore->agent_count; j++)
			if (!is_paused(pair, lcore->agents[j].agent))
				lcore->agents[j].poll(lcore->agents[j].agent);
	}
}

void pair_round(struct pair *pair)
{
	for (int node = 0; node < 2; node++) {
		if (!pair->launched)
			run_agents(pair, &pair->sides[node].node);
		carry(pair, node);
		hear(pair, node);
	}
	if (pair->launched)
		sched_yield();
}

void pair_rounds(struct pair *pair, unsigned count)
{
	while (count-- > 0)
		pair_round(pair);
}

/* A thread's end as this program sees it: EAL's own wait is not known to ThreadSanitizer. */
static uint32_t lcores_running;

static int run_lcore(void *lcore)
{
	int result = dp_lcore_run(lcore);
	/* Release: whoever sees the count sees all that this lcore has written. */
	__atomic_sub_fetch(&lcores_running, 1, __ATOMIC_RELEASE);
	return result;
}

void pair_launch(struct pair *pair)
{
	unsigned lcore_id = rte_get_next_lcore(-1, 1, 0);
	for (int node = 0; node < 2; node++) {
		struct dp_node *n = &pair->sides[node].node;
		n->finish = 0;
		for (uint32_t i = 0; i < n->lcore_count; i++) {
			assert_true(lcore_id < RTE_MAX_LCORE);
			__atomic_add_fetch(&lcores_running, 1, __ATOMIC_RELAXED);
			assert_int_equal(
				rte_eal_remote_launch(run_lcore, &n->lcores[i], lcore_id), 0
			);
			lcore_id = rte_get_next_lcore(lcore_id, 1, 0);
		}
	}
	pair->launched = true;
}

void pair_halt(struct pair *pair)
{
	if (!pair->launched)
		return;
	for (int node = 0; node < 2; node++)
		__atomic_store_n(&pair->sides[node].node.finish, 1, __ATOMIC_RELAXED);
	while (__atomic_load_n(&lcores_running, __ATOMIC_ACQUIRE) > 0)
		sched_yield();
	rte_eal_mp_wait_lcore();
	pair->launched = false;
}

/* --- What to look at --- */

struct dp_worker_counters pair_workers(struct pair *pair, int node)
{
	struct dp_worker_counters sum = {0};
	uint64_t *to = (uint64_t *)&sum;
	for (uint32_t i = 0; i < pair->sides[node].shm->workers; i++) {
		const uint64_t *from =
			(const uint64_t *)&dp_shm_worker(pair->sides[node].shm, i)->counters;
		for (size_t j = 0; j < sizeof(sum) / sizeof(*to); j++)
			to[j] += from[j];
	}
	return sum;
}

static void add_replies(struct dp_reply_counters *sum, const struct dp_reply_counters *one)
{
	sum->messages += one->messages;
	sum->datagrams += one->datagrams;
	sum->tx_full += one->tx_full;
	sum->tx_no_mbuf += one->tx_no_mbuf;
}

struct dp_reply_counters pair_replies(struct pair *pair, int node)
{
	struct dp_shm *shm = pair->sides[node].shm;
	struct dp_reply_counters sum = shm->sequencer_replies;
	for (uint32_t i = 0; i < shm->workers; i++)
		add_replies(&sum, &dp_shm_worker(shm, i)->replies);
	for (uint32_t i = 0; i < shm->ingresses; i++)
		add_replies(&sum, &dp_shm_ingress(shm, i)->replies);
	return sum;
}

uint64_t pair_digest(struct pair *pair, int node)
{
	struct dp_node *n = &pair->sides[node].node;
	uint64_t digest = n->sequencer->sessions.digest;
	for (uint32_t i = 0; i < n->settings->workers; i++)
		digest += n->workers[i].shard.assets_digest + n->workers[i].shard.answers_digest;
	return digest;
}

static bool is_settled(struct pair *pair)
{
	uint64_t last = pair_sequencer(pair, 0)->core.last_sequence;
	for (int node = 0; node < 2; node++) {
		const struct rep_core *core = &pair_sequencer(pair, node)->core;
		if (core->last_sequence != last || core->committed != last ||
		    core->passed_sequence != last)
			return false;
	}
	return true;
}

void pair_settle(struct pair *pair)
{
	assert_false(pair->launched);
	PAIR_UNTIL(pair, is_settled(pair));
	pair_rounds(pair, 4);
}

void pair_check_equal(struct pair *pair)
{
	pair_settle(pair);
	assert_int_equal(pair_digest(pair, 0), pair_digest(pair, 1));
}

void pair_check_counted(struct pair *pair)
{
	/* Heartbeats go on, so nothing is under way only between two rounds. */
	PAIR_UNTIL(pair, mbufs_in_use(pair) == 0);
	for (int node = 0; node < 2; node++) {
		const struct dp_ingress_counters *in = pair_ingress(pair, node);
		uint64_t named =
			in->handed_on + in->refused_whole + in->arp_answered + in->icmp_answered;
		/* Every counter that begins with drop_ is of whole frames, but one. */
#define X(name)                              \
	if (strncmp(#name, "drop_", 5) == 0) \
		named += in->name;
		DP_INGRESS_COUNTERS(X)
#undef X
		named -= in->drop_unknown_template;
		assert_int_equal(in->frames, pair->sides[node].frames_to_client_port);
		assert_int_equal(named, in->frames);

		const struct dp_sequencer_counters *s = pair_counters(pair, node);
		uint64_t frames = s->frames_received;
#define X(name)                              \
	if (strncmp(#name, "drop_", 5) == 0) \
		frames += s->name;
		DP_SEQUENCER_COUNTERS(X)
#undef X
		frames -= s->drop_own_id; /* in drop_reflected already */
		assert_int_equal(frames, pair->sides[node].frames_to_link);
		/* Read at the core: the shared block is up to a millisecond behind. */
		const struct rep_core *core = &pair_sequencer(pair, node)->core;
		if (core->started && core->mode != REP_MODE_HALTED)
			assert_int_equal(
				s->frames_received,
				core->stats.frames_taken + core->stats.dropped_other_life +
					core->stats.dropped_epoch_stale +
					core->stats.dropped_epoch_higher +
					core->stats.dropped_no_link
			);
	}
}

/* --- Bytes --- */

static void put(uint8_t *at, uint64_t value, unsigned bytes)
{
	for (unsigned i = 0; i < bytes; i++)
		at[i] = (uint8_t)(value >> 8 * i);
}

void put16(uint8_t *at, uint64_t value)
{
	put(at, value, 2);
}

void put32(uint8_t *at, uint64_t value)
{
	put(at, value, 4);
}

void put64(uint8_t *at, uint64_t value)
{
	put(at, value, 8);
}

uint64_t get(const uint8_t *at, unsigned bytes)
{
	uint64_t value = 0;
	for (unsigned i = bytes; i > 0; i--)
		value = value << 8 | at[i - 1];
	return value;
}

/* RFC 1071, in network byte order as a number. */
uint16_t pair_checksum(const void *data, uint32_t bytes, uint32_t sum)
{
	const uint8_t *at = data;
	for (uint32_t i = 0; i < bytes; i++)
		sum += i % 2 ? at[i] : (uint32_t)at[i] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

static void put_big(uint8_t *at, uint64_t value, unsigned bytes)
{
	for (unsigned i = 0; i < bytes; i++)
		at[i] = (uint8_t)(value >> 8 * (bytes - 1 - i));
}

/* --- Messages --- */

void pair_add(
	struct pair_datagram *datagram,
	uint16_t template_id,
	const void *block,
	uint16_t block_bytes,
	const void *payload,
	uint16_t payload_bytes
)
{
	uint8_t *at = datagram->data + datagram->bytes;
	assert_true(datagram->bytes + 10 + block_bytes + payload_bytes <= PAIR_MAX_FRAME);
	put16(at, block_bytes);
	put16(at + 2, template_id);
	put16(at + 4, 0x5346);
	put16(at + 6, 1);
	memcpy(at + 8, block, block_bytes);
	put16(at + 8 + block_bytes, payload_bytes);
	if (payload_bytes > 0)
		memcpy(at + 10 + block_bytes, payload, payload_bytes);
	datagram->bytes += 10u + block_bytes + payload_bytes;
}

void pair_add_open(struct pair_datagram *datagram, uint64_t nonce)
{
	uint8_t block[16] = {0};
	put64(block, nonce);
	pair_add(datagram, 3, block, 16, NULL, 0);
}

void pair_add_close(struct pair_datagram *datagram, uint64_t client_id)
{
	uint8_t block[8];
	put64(block, client_id);
	pair_add(datagram, 5, block, 8, NULL, 0);
}

void pair_add_update(
	struct pair_datagram *datagram,
	uint64_t client_id,
	uint64_t request_seq,
	uint64_t first_incomplete,
	uint64_t asset_id,
	uint8_t opcode,
	uint8_t flags,
	const void *payload,
	uint16_t payload_bytes
)
{
	uint8_t block[40] = {0};
	put64(block, client_id);
	put64(block + 8, request_seq);
	put64(block + 16, first_incomplete);
	put64(block + 24, asset_id);
	block[32] = opcode;
	block[33] = flags;
	pair_add(datagram, 1, block, 40, payload, payload_bytes);
}

void pair_add_simple(
	struct pair_datagram *datagram,
	struct pair_client *client,
	uint64_t asset_id,
	uint8_t opcode,
	int64_t operand
)
{
	uint8_t payload[8];
	bool read = opcode == 3;
	put64(payload, (uint64_t)operand);
	client->seq++;
	pair_add_update(
		datagram,
		client->id,
		client->seq,
		client->completed,
		asset_id,
		opcode,
		read,
		payload,
		read ? 0 : 8
	);
}

void pair_seal(uint8_t *frame)
{
	uint8_t *ip = frame + 14, *udp = frame + 34;
	uint32_t udp_bytes = (uint32_t)udp[4] << 8 | udp[5];
	put16(ip + 10, 0);
	put_big(ip + 10, pair_checksum(ip, 20, 0), 2);
	put16(udp + 6, 0);
	uint16_t sum = pair_checksum(ip + 12, 8 + udp_bytes, 17 + udp_bytes);
	put_big(udp + 6, sum ? sum : 0xffff, 2);
}

uint32_t pair_frame(
	struct pair *pair,
	int node,
	const struct pair_client *client,
	const void *payload,
	uint32_t payload_bytes,
	uint8_t *frame
)
{
	struct pair_side *side = &pair->sides[node];
	uint8_t *ip = frame + 14, *udp = frame + 34;
	assert_true(42 + payload_bytes <= PAIR_MAX_FRAME);
	memset(frame, 0, 42);
	memcpy(frame, &side->client.mac, 6);
	memcpy(frame + 6, client->mac, 6);
	put_big(frame + 12, 0x0800, 2);
	ip[0] = 0x45;
	put_big(ip + 2, 28 + payload_bytes, 2);
	ip[8] = 64;
	ip[9] = 17;
	put_big(ip + 12, client->ip, 4);
	put_big(ip + 16, side->settings.client.address, 4);
	put_big(udp, client->port, 2);
	put_big(udp + 2, side->settings.client.udp_port, 2);
	put_big(udp + 4, 8 + payload_bytes, 2);
	memcpy(frame + 42, payload, payload_bytes);
	pair_seal(frame);
	return 42 + payload_bytes;
}

/* --- Sending --- */

static bool send_on(struct dp_port *port, const void *frame, uint32_t bytes)
{
	struct rte_mbuf *mbuf = rte_pktmbuf_alloc(port->tx_pool);
	assert_non_null(mbuf);
	uint8_t *at = (uint8_t *)rte_pktmbuf_append(mbuf, (uint16_t)bytes);
	assert_non_null(at);
	memcpy(at, frame, bytes);
	if (dp_port_tx(port, 0, &mbuf, 1) == 1)
		return true;
	rte_pktmbuf_free(mbuf);
	return false;
}

bool pair_send_frame(struct pair *pair, int node, const void *frame, uint32_t bytes)
{
	struct pair_side *side = &pair->sides[node];
	bool sent = send_on(&side->outside, frame, bytes);
	side->frames_to_client_port += sent;
	return sent;
}

void pair_send(
	struct pair *pair,
	int node,
	const struct pair_client *client,
	const struct pair_datagram *datagram
)
{
	uint8_t frame[PAIR_MAX_FRAME];
	uint32_t bytes = pair_frame(pair, node, client, datagram->data, datagram->bytes, frame);
	assert_true(pair_send_frame(pair, node, frame, bytes));
}

void pair_inject(struct pair *pair, int node, const void *frame, uint32_t bytes)
{
	struct pair_side *side = &pair->sides[node];
	side->frames_to_link += send_on(&side->tap, frame, bytes);
}

/* --- Answers --- */

const struct pair_answer *pair_next(struct pair *pair)
{
	if (pair->answer_tail == pair->answer_head)
		return NULL;
	return &pair->answers[pair->answer_tail++ % PAIR_MAX_ANSWERS];
}

const struct pair_answer *pair_wait(struct pair *pair)
{
	const struct pair_answer *answer = NULL;
	PAIR_UNTIL(pair, (answer = pair_next(pair)) != NULL);
	return answer;
}

const struct pair_answer *pair_wait_for(struct pair *pair, uint64_t client_id, uint64_t request_seq)
{
	for (;;) {
		const struct pair_answer *answer = pair_wait(pair);
		if (answer->template_id == 2 && answer->client_id == client_id &&
		    answer->request_seq == request_seq)
			return answer;
	}
}

void pair_forget(struct pair *pair)
{
	pair->answer_tail = pair->answer_head;
	pair->local_count = 0;
}

struct pair_client pair_client(uint16_t number)
{
	return (struct pair_client){
		.mac = {2, 0, 0, 0, (uint8_t)(number >> 8), (uint8_t)number},
		.ip = 0x0a4d1000u + number,
		.port = (uint16_t)(20000 + number),
		.completed = 1,
	};
}

struct pair_client pair_open_session(struct pair *pair, uint16_t number)
{
	struct pair_client client = pair_client(number);
	struct pair_datagram datagram = {0};
	pair_add_open(&datagram, 0x1000000u + number);
	pair_send(pair, 0, &client, &datagram);
	const struct pair_answer *answer = pair_wait(pair);
	assert_int_equal(answer->template_id, 4);
	assert_int_equal(answer->status, 0);
	assert_int_equal(answer->request_seq, 0x1000000u + number);
	assert_int_not_equal(answer->client_id, 0);
	client.id = answer->client_id;
	return client;
}

const struct pair_answer *pair_call(
	struct pair *pair,
	struct pair_client *client,
	uint64_t asset_id,
	uint8_t opcode,
	int64_t operand
)
{
	struct pair_datagram datagram = {0};
	pair_add_simple(&datagram, client, asset_id, opcode, operand);
	pair_send(pair, 0, client, &datagram);
	const struct pair_answer *answer = pair_wait_for(pair, client->id, client->seq);
	client->completed = client->seq + 1;
	return answer;
}
