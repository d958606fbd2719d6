/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Every bound of a node reached: window, arena, side arena, sessions, buffers, rings.
 */
#include "config/bytes.h"
#include "tests/vdev/pair.h"

#include <string.h>

enum { OK, REJECTED, NOT_PRIMARY, BUSY, BAD_REQUEST, FORGOTTEN, UNAUTHORIZED, OVERLOADED };
enum { ADD = 1, SET, GET, CAS };

#define CLIENTS 32

/* As many sessions as wanted, so that maxInflight is not the bound that is met. */
static void open_all(struct pair *pair, struct pair_client *clients, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		clients[i] = pair_open_session(pair, (uint16_t)(i + 1));
}

/* count requests to one asset, from all clients in turn; their answers are not awaited. */
static void send_many(
	struct pair *pair,
	struct pair_client *clients,
	unsigned count,
	uint64_t asset,
	uint8_t opcode
)
{
	for (unsigned i = 0; i < count; i++) {
		struct pair_datagram datagram = {0};
		struct pair_client *client = &clients[i % CLIENTS];
		pair_add_simple(&datagram, client, asset, opcode, 1);
		pair_send(pair, 0, client, &datagram);
		if (i % 64 == 63)
			pair_rounds(pair, 3);
	}
	pair_rounds(pair, 3);
}

struct outcome {
	unsigned ok, busy, other;
};

static struct outcome collect(struct pair *pair, unsigned count)
{
	struct outcome outcome = {0};
	for (unsigned i = 0; i < count; i++) {
		const struct pair_answer *answer = pair_wait(pair);
		outcome.ok += answer->status == OK;
		outcome.busy += answer->status == BUSY;
		outcome.other += answer->status != OK && answer->status != BUSY;
		if (answer->status == BUSY)
			assert_int_equal(answer->sequence, 0);
	}
	return outcome;
}

static void busy_when_the_window_is_full_then_the_rest_is_applied_once(void **state)
{
	struct pair *pair = pair_make(NULL);
	struct pair_client clients[CLIENTS];
	open_all(pair, clients, CLIENTS);
	pair_settle(pair);
	pair->paused[0] = pair_sequencer(pair, 1);
	send_many(pair, clients, 600, 7, ADD); /* the window is 512 */
	pair->paused[0] = NULL;
	struct outcome outcome = collect(pair, 600);
	assert_int_equal(outcome.ok, 512);
	assert_int_equal(outcome.busy, 88);
	assert_int_equal(pair_counters(pair, 0)->refused_busy_window, 88);
	pair_check_equal(pair);
	assert_int_equal(pair_workers(pair, 0).applied, 512 + CLIENTS);
	pair_end(pair);
}

static void two_workers(struct cfg_settings *settings, int node)
{
	settings->workers = 2;
}

/* An asset of this worker. */
static uint64_t asset_of(struct pair *pair, unsigned worker)
{
	uint64_t asset = 1;
	while (pair_sequencer(pair, 0)->worker_of[rep_partition(asset)] != worker)
		asset++;
	return asset;
}

static void slow_worker_when_others_fill_the_arena_then_busy_and_nothing_is_overwritten(void **state
)
{
	struct pair *pair = pair_make(&(struct pair_options){.adjust = two_workers});
	struct pair_client clients[CLIENTS];
	struct dp_sequencer *sequencer = pair_sequencer(pair, 0);
	uint64_t passed = 0;
	open_all(pair, clients, CLIENTS);
	uint64_t asset[2] = {asset_of(pair, 0), asset_of(pair, 1)};
	/* Worker 1 has nothing to do for twice the arena; clients complete as they go. */
	for (unsigned i = 0; i < 2100; i++) {
		assert_int_equal(
			pair_call(pair, &clients[i % CLIENTS], asset[0], ADD, 1)->status, OK
		);
		assert_true(sequencer->core.passed_sequence >= passed);
		passed = sequencer->core.passed_sequence;
	}
	/* Then it gets one entry and does not look at it. */
	struct pair_datagram datagram = {0};
	pair->paused[0] = &pair->sides[0].node.workers[1];
	pair_add_simple(&datagram, &clients[0], asset[1], SET, 77);
	pair_send(pair, 0, &clients[0], &datagram);
	pair_rounds(pair, 10);
	uint64_t sequence = sequencer->core.last_sequence;
	unsigned ok = 0, busy = 0;
	for (unsigned i = 0; i < 1100; i++) {
		struct pair_client *client = &clients[1 + i % (CLIENTS - 1)];
		const struct pair_answer *answer = pair_call(pair, client, asset[0], ADD, 1);
		ok += answer->status == OK;
		busy += answer->status == BUSY;
		if (answer->status == BUSY) { /* never finished: the number is still to be used */
			client->seq--;
			client->completed = client->seq + 1;
		}
		assert_true(sequencer->core.passed_sequence >= passed);
		passed = sequencer->core.passed_sequence;
	}
	assert_int_equal(ok + busy, 1100);
	assert_true(passed < sequence);
	assert_int_equal(sequencer->core.last_sequence - passed, 1024);
	pair->paused[0] = NULL;
	const struct pair_answer *answer = pair_wait_for(pair, clients[0].id, clients[0].seq);
	assert_int_equal(answer->sequence, sequence);
	assert_int_equal(get(answer->payload, 8), 77);
	pair_check_equal(pair);
	pair_end(pair);
}

static void busy_when_the_side_arena_is_full_then_reads_and_repeats_go_on_later(void **state)
{
	struct pair *pair = pair_make(NULL);
	struct pair_client clients[CLIENTS];
	open_all(pair, clients, CLIENTS);
	assert_int_equal(pair_call(pair, &clients[0], 7, SET, 5)->status, OK);
	clients[0].completed = 1;
	pair_settle(pair);
	pair->paused[0] = pair_sequencer(pair, 1);
	send_many(pair, clients, 100, 7, GET); /* 64 places */
	struct pair_datagram repeat = {0};
	uint8_t payload[8] = {0};
	pair_add_update(&repeat, clients[0].id, 1, 1, 7, SET, 0, payload, 8);
	pair_add_open(&repeat, 0x1000001);
	pair_send(pair, 0, &clients[0], &repeat);
	struct outcome outcome = collect(pair, 38);
	assert_int_equal(outcome.busy, 38);
	assert_int_equal(pair_counters(pair, 0)->refused_busy_side, 38);
	pair->paused[0] = NULL;
	outcome = collect(pair, 64);
	assert_int_equal(outcome.ok, 64);
	pair_send(pair, 0, &clients[0], &repeat);
	assert_int_equal(pair_wait(pair)->flags, 1);
	assert_int_equal(pair_wait(pair)->client_id, clients[0].id);
	pair_end(pair);
}

static void small_table(struct cfg_settings *settings, int node)
{
	settings->limits.max_sessions = 4;
	settings->limits.session_min_idle_ns = 50000000;
	settings->limits.session_timeout_ns = 400000000;
}

static uint8_t try_open(struct pair *pair, uint64_t nonce, uint64_t *client_id)
{
	struct pair_client client = pair_client(99);
	struct pair_datagram datagram = {0};
	pair_add_open(&datagram, nonce);
	pair_send(pair, 0, &client, &datagram);
	const struct pair_answer *answer = pair_wait(pair);
	while (answer->template_id != 4)
		answer = pair_wait(pair);
	assert_int_equal(answer->request_seq, nonce);
	*client_id = answer->client_id;
	return answer->status;
}

static void session_table_when_full_then_the_longest_idle_goes_and_only_if_idle(void **state)
{
	struct pair *pair = pair_make(&(struct pair_options){.adjust = small_table});
	struct pair_client clients[4];
	uint64_t id = 0, again = 0;
	open_all(pair, clients, 4);
	/* All young: nobody goes. */
	assert_int_equal(try_open(pair, 50, &id), BUSY);
	assert_int_equal(id, 0);
	assert_int_equal(pair_counters(pair, 0)->refused_busy_sessions, 1);
	assert_int_equal(pair_counters(pair, 0)->refused_busy_window, 0);
	uint64_t start_ns = pair_now_ns();
	while (pair_now_ns() - start_ns < 60000000) {
		pair_call(pair, &clients[0], 7, GET, 0);
		pair_call(pair, &clients[2], 7, GET, 0);
		pair_call(pair, &clients[3], 7, GET, 0);
	}
	/* Client 1 is the one that was idle. */
	assert_int_equal(try_open(pair, 51, &id), OK);
	assert_int_not_equal(id, 0);
	assert_int_equal(pair_call(pair, &clients[0], 7, ADD, 1)->status, OK);
	assert_int_equal(pair_call(pair, &clients[1], 7, ADD, 1)->status, FORGOTTEN);
	assert_int_equal(pair_call(pair, &clients[1], 7, GET, 0)->status, FORGOTTEN);
	assert_int_equal(pair_sequencer(pair, 0)->sessions.count, 4);
	/* The same nonce while it lives: the same session. */
	assert_int_equal(try_open(pair, 51, &again), OK);
	assert_int_equal(again, id);
	pair_check_equal(pair);
	/* In the end all time out, on both nodes. */
	PAIR_UNTIL(pair, pair_sequencer(pair, 0)->sessions.count == 0);
	PAIR_UNTIL(pair, pair_sequencer(pair, 1)->sessions.count == 0);
	assert_int_equal(pair_counters(pair, 0)->sessions_closed, 5);
	assert_int_equal(pair_call(pair, &clients[0], 7, ADD, 1)->status, FORGOTTEN);
	/* And the nonce of a closed one opens another. */
	assert_int_equal(try_open(pair, 51, &again), OK);
	assert_int_not_equal(again, id);
	pair_check_equal(pair);
	pair_end(pair);
}

static void session_when_closed_by_its_client_then_forgotten(void **state)
{
	struct pair *pair = pair_make(NULL);
	struct pair_client client = pair_open_session(pair, 1);
	struct pair_datagram datagram = {0};
	pair_add_simple(&datagram, &client, 7, ADD, 1);
	pair_add_close(&datagram, client.id);
	pair_add_close(&datagram, client.id); /* unknown by now: not answered either */
	pair_add_simple(&datagram, &client, 7, ADD, 1);
	pair_send(pair, 0, &client, &datagram);
	assert_int_equal(pair_wait_for(pair, client.id, 2)->status, FORGOTTEN);
	assert_int_equal(pair_wait_for(pair, client.id, 1)->status, OK);
	pair_check_equal(pair);
	assert_int_equal(pair_sequencer(pair, 1)->sessions.count, 0);
	assert_int_equal(pair_sequencer(pair, 0)->core.last_sequence, 3);
	assert_int_equal(pair_counters(pair, 0)->refused_close, 1);
	pair_rounds(pair, 20);
	assert_null(pair_next(pair));
	pair_end(pair);
}

static void session_when_its_client_is_refused_all_the_time_then_not_idle(void **state)
{
	struct pair *pair = pair_make(&(struct pair_options){.adjust = small_table});
	struct pair_client client = pair_open_session(pair, 1);
	uint64_t start_ns = pair_now_ns();
	while (pair_now_ns() - start_ns < 600000000) {
		struct pair_datagram datagram = {0};
		client.seq = 1000;
		pair_add_simple(&datagram, &client, 7, ADD, 1);
		pair_send(pair, 0, &client, &datagram);
		assert_int_equal(pair_wait(pair)->status, OVERLOADED);
	}
	assert_int_equal(pair_sequencer(pair, 0)->sessions.count, 1);
	pair_end(pair);
}

static void node_when_acks_want_a_log_then_refused_with_a_sentence(void **state)
{
	static struct dp_node node;
	struct pair *pair = pair_make(NULL);
	struct pair_side *side = &pair->sides[0];
	struct cfg_settings settings = side->settings;
	char error[256] = "";
	settings.replication.ack = CFG_ACK_DURABLE;
	int result = dp_node_create(
		&node,
		&settings,
		side->shm,
		&side->client,
		&side->link,
		CFG_IDLE_YIELD,
		error,
		sizeof(error)
	);
	assert_int_equal(result, -ENOTSUP);
	assert_non_null(strstr(error, "replication.ack"));
	pair_end(pair);
}

/* Takes every buffer out of a pool, and gives them back. */
static struct rte_mbuf *hoard[8192];
static unsigned hoarded;

static void take_all(struct rte_mempool *pool)
{
	while (hoarded < 8192 && (hoard[hoarded] = rte_pktmbuf_alloc(pool)) != NULL)
		hoarded++;
	assert_true(hoarded < 8192);
}

static void give_back(void)
{
	rte_pktmbuf_free_bulk(hoard, hoarded);
	hoarded = 0;
}

static void buffers_when_used_up_then_counted_and_back_afterwards(void **state)
{
	struct pair *pair = pair_make(NULL);
	struct pair_client clients[CLIENTS];
	open_all(pair, clients, CLIENTS);
	take_all(pair->sides[0].client.tx_pool);
	send_many(pair, clients, 200, 7, ADD);
	pair_settle(pair);
	assert_null(pair_next(pair));
	assert_true(pair_replies(pair, 0).tx_no_mbuf > 0);
	assert_int_equal(pair_counters(pair, 0)->updates, 200);
	assert_true(pair_is_paired(pair)); /* the link's buffers are others */
	give_back();
	/* What was not answered is asked again. */
	for (unsigned i = 0; i < CLIENTS; i++) {
		struct pair_datagram datagram = {0};
		uint8_t payload[8] = {1};
		pair_add_update(&datagram, clients[i].id, clients[i].seq, 1, 7, ADD, 0, payload, 8);
		pair_send(pair, 0, &clients[i], &datagram);
		const struct pair_answer *answer =
			pair_wait_for(pair, clients[i].id, clients[i].seq);
		assert_int_equal(answer->status, OK);
		assert_int_equal(answer->flags, 1);
	}
	pair_check_equal(pair);
	pair_end(pair);
}

static void transmit_ring_when_full_then_counted_and_back_afterwards(void **state)
{
	struct pair *pair = pair_make(&(struct pair_options){.ring_slots = 64});
	struct pair_client clients[CLIENTS];
	open_all(pair, clients, CLIENTS);
	pair->deaf = true;
	for (unsigned i = 0; i < 40; i++)
		send_many(pair, clients, 8, 7, ADD);
	pair_settle(pair);
	assert_true(pair_replies(pair, 0).tx_full > 0);
	assert_int_equal(pair_replies(pair, 0).tx_no_mbuf, 0);
	pair->deaf = false;
	pair_rounds(pair, 50);
	pair_forget(pair);
	assert_int_equal(pair_call(pair, &clients[5], 7, GET, 0)->status, OK);
	pair_check_equal(pair);
	pair_end(pair);
}

static void link_buffers_when_used_up_then_counted_and_everything_committed(void **state)
{
	struct pair *pair = pair_make(NULL);
	struct pair_client clients[CLIENTS];
	open_all(pair, clients, CLIENTS);
	take_all(pair->sides[0].link.tx_pool);
	send_many(pair, clients, 400, 7, ADD);
	assert_null(pair_next(pair));
	assert_true(pair_counters(pair, 0)->tx_no_mbuf > 0);
	give_back();
	pair_check_equal(pair);
	assert_int_equal(
		pair_sequencer(pair, 1)->core.last_sequence,
		pair_counters(pair, 0)->updates + CLIENTS
	);
	pair_end(pair);
}

static void two_lcores(struct cfg_settings *settings, int node)
{
	settings->lcore_count = 2;
	memset(settings->lcores, 0, sizeof(settings->lcores));
	settings->lcores[0].ingress[0] = true;
	settings->lcores[1].sequencer = true;
	settings->lcores[1].journal = true;
	for (uint32_t i = 0; i < settings->workers; i++)
		settings->lcores[1].worker[i] = true;
}

static void inbox_when_full_then_the_port_holds_the_rest(void **state)
{
	struct pair *pair = pair_make(&(struct pair_options){.adjust = two_lcores});
	struct pair_client client = pair_open_session(pair, 1);
	struct dp_ingress_counters *ingress = pair_ingress(pair, 0);
	uint64_t before = ingress->handed_on;
	pair->paused[0] = pair_sequencer(pair, 0);
	for (unsigned i = 0; i < 1200; i++) {
		struct pair_datagram datagram = {0};
		client.seq = i % 60;
		pair_add_simple(&datagram, &client, 7, ADD, 1);
		pair_send(pair, 0, &client, &datagram);
		if (i % 32 == 31)
			pair_round(pair);
	}
	pair_rounds(pair, 50);
	assert_in_range(ingress->handed_on - before, 1024 - 32, 1024);
	pair->paused[0] = NULL;
	PAIR_UNTIL(pair, ingress->frames == pair->sides[0].frames_to_client_port);
	assert_int_equal(ingress->handed_on - before, 1200);
	pair_check_equal(pair);
	assert_int_equal(pair_counters(pair, 0)->updates, 60);
	pair_end(pair);
}

static void node_when_destroyed_with_waiting_datagrams_then_no_buffer_is_lost(void **state)
{
	struct pair *pair = pair_make(&(struct pair_options){.adjust = two_lcores});
	struct pair_client client = pair_open_session(pair, 1);
	struct pair_datagram datagram = {0};
	pair->paused[0] = pair_sequencer(pair, 0);
	pair_add_simple(&datagram, &client, 7, ADD, 1);
	pair_send(pair, 0, &client, &datagram);
	pair_rounds(pair, 3);
	assert_int_equal(dp_port_mbufs_in_use(&pair->sides[0].outside), 1);
	dp_node_destroy(&pair->sides[0].node);
	assert_int_equal(dp_port_mbufs_in_use(&pair->sides[0].outside), 0);
	pair->sides[0].node.settings = NULL;
	/* pair_make of the next test takes the rest apart. */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(busy_when_the_window_is_full_then_the_rest_is_applied_once),
		cmocka_unit_test(
			slow_worker_when_others_fill_the_arena_then_busy_and_nothing_is_overwritten
		),
		cmocka_unit_test(busy_when_the_side_arena_is_full_then_reads_and_repeats_go_on_later
		),
		cmocka_unit_test(session_table_when_full_then_the_longest_idle_goes_and_only_if_idle
		),
		cmocka_unit_test(session_when_closed_by_its_client_then_forgotten),
		cmocka_unit_test(session_when_its_client_is_refused_all_the_time_then_not_idle),
		cmocka_unit_test(node_when_acks_want_a_log_then_refused_with_a_sentence),
		cmocka_unit_test(buffers_when_used_up_then_counted_and_back_afterwards),
		cmocka_unit_test(transmit_ring_when_full_then_counted_and_back_afterwards),
		cmocka_unit_test(link_buffers_when_used_up_then_counted_and_everything_committed),
		cmocka_unit_test(node_when_destroyed_with_waiting_datagrams_then_no_buffer_is_lost),
		cmocka_unit_test(inbox_when_full_then_the_port_holds_the_rest),
	};
	pair_start_eal(1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
