/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What must not be able to hurt: everything that a client network or a replication link can carry.
 * Each frame must end in the counter that is meant for it, change no state that it has no right to
 * change, and never stand in the way of a good client (faults.md N12 to N15, C10).
 */
#include "config/bytes.h"
#include "replication/frame.h"
#include "tests/vdev/pair.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { OK, REJECTED, NOT_PRIMARY, BUSY, BAD_REQUEST, FORGOTTEN, UNAUTHORIZED, OVERLOADED };
enum { ADD = 1, SET, GET, CAS };

static uint64_t random_state;

static uint32_t draw(uint32_t below)
{
	random_state = random_state * 6364136223846793005ull + 1442695040888963407ull;
	return (uint32_t)(random_state >> 33) % below;
}

static void seed(void)
{
	const char *given = getenv("SEED");
	random_state = given ? strtoull(given, NULL, 10) : pair_now_ns();
	printf("SEED=%llu replays this test\n", (unsigned long long)random_state);
}

/* A good client whose next request must be answered, whatever came before. */
static void check_good(struct pair *pair, struct pair_client *client)
{
	pair_forget(pair);
	const struct pair_answer *answer = pair_call(pair, client, 7, ADD, 1);
	assert_int_equal(answer->status, OK);
	assert_int_equal(get(answer->payload, 8), client->seq);
	assert_int_equal(answer->asset_version, client->seq);
}

/* --- The client port --- */

struct shot {
	struct pair *pair;
	struct pair_client good, bad;
	uint8_t frame[PAIR_MAX_FRAME];
	uint32_t bytes;
};

/* A good frame of the bad client: an ADD of its own, as fresh as ever. */
static void aim(struct shot *shot)
{
	struct pair_datagram datagram = {0};
	uint8_t payload[8] = {1};
	pair_add_update(&datagram, shot->bad.id, 1, 1, 8, ADD, 0, payload, 8);
	shot->bytes =
		pair_frame(shot->pair, 0, &shot->bad, datagram.data, datagram.bytes, shot->frame);
}

/* Exactly this counter goes up by one, nothing is answered, and the good client is served. */
static void fire(struct shot *shot, const uint64_t *counter, const char *what)
{
	struct pair *pair = shot->pair;
	pair_settle(pair);
	uint64_t before = *counter, digest = pair_digest(pair, 0);
	uint64_t frames = pair_ingress(pair, 0)->frames;
	pair_forget(pair);
	assert_true(pair_send_frame(pair, 0, shot->frame, shot->bytes));
	PAIR_UNTIL(pair, pair_ingress(pair, 0)->frames == frames + 1);
	pair_settle(pair);
	if (*counter != before + 1 || pair_next(pair) != NULL || pair->local_count > 0)
		fail_msg("%s: counted %d times", what, (int)(*counter - before));
	assert_int_equal(pair_digest(pair, 0), digest);
	check_good(pair, &shot->good);
	pair_check_counted(pair);
}

static void frames_when_not_for_us_or_not_sound_then_counted_by_reason(void **state)
{
	struct pair *pair = pair_make(NULL);
	struct shot s = {.pair = pair};
	struct dp_ingress_counters *c = pair_ingress(pair, 0);
	s.good = pair_open_session(pair, 1);
	s.bad = pair_open_session(pair, 2);
#define SHOT(counter, ...)                           \
	do {                                         \
		aim(&s);                             \
		uint8_t *f = s.frame;                \
		(void)f;                             \
		__VA_ARGS__;                         \
		fire(&s, &c->counter, #__VA_ARGS__); \
	} while (0)
	for (uint32_t bytes = 1; bytes < 14; bytes++)
		SHOT(drop_runt, s.bytes = bytes);
	SHOT(drop_foreign_mac, f[5] ^= 1);
	SHOT(drop_foreign_mac, memset(f, 0xff, 6)); /* broadcast that is no ARP */
	SHOT(drop_foreign_mac, f[0] = 0x01, f[1] = 0, f[2] = 0x5e);
	SHOT(drop_foreign_ethertype, f[12] = 0x86, f[13] = 0xdd);
	SHOT(drop_foreign_ethertype, f[12] = 0x81, f[13] = 0x00); /* VLAN */
	SHOT(drop_foreign_ethertype, f[12] = 0x88, f[13] = 0xb5);
	for (uint32_t bytes = 14; bytes < 34; bytes++)
		SHOT(drop_ip_header, s.bytes = bytes);
	SHOT(drop_ip_header, f[14] = 0x65);
	SHOT(drop_ip_options, f[14] = 0x46);
	SHOT(drop_ip_options, f[14] = 0x44);
	SHOT(drop_ip_length, f[16] = 0, f[17] = 19, pair_seal(f));
	SHOT(drop_ip_length, f[16] = 0, f[17] = 0, pair_seal(f));
	SHOT(drop_ip_length, f[17]++, pair_seal(f));
	SHOT(drop_ip_length, f[16] = 0xff, f[17] = 0xff, pair_seal(f));
	for (uint32_t bytes = 34; bytes < 100; bytes++)
		SHOT(drop_ip_length, s.bytes = bytes);
	SHOT(drop_ip_checksum, f[24] ^= 0x40);
	SHOT(drop_ip_checksum, f[22]--); /* TTL */
	SHOT(drop_foreign_ip, f[33]++, pair_seal(f));
	SHOT(drop_foreign_ip, memset(f + 30, 0xff, 4), pair_seal(f));
	SHOT(drop_ip_fragment, f[20] = 0x20, pair_seal(f)); /* more fragments */
	SHOT(drop_ip_fragment, f[21] = 1, pair_seal(f));
	SHOT(drop_foreign_protocol, f[23] = 6, pair_seal(f));
	SHOT(drop_foreign_protocol, f[23] = 0, pair_seal(f));
	SHOT(drop_udp_length, f[39]++, pair_seal(f));
	SHOT(drop_udp_length, f[39]--, pair_seal(f));
	SHOT(drop_udp_length, f[38] = 0, f[39] = 0, f[40] = f[41] = 0);
	SHOT(drop_udp_length,
	     f[16] = 0,
	     f[17] = 27,
	     s.bytes = 41,
	     f[38] = 0,
	     f[39] = 7,
	     pair_seal(f));
	SHOT(drop_foreign_udp_port, f[37]++, pair_seal(f));
	SHOT(drop_udp_checksum, f[40] ^= 1);
	SHOT(drop_udp_checksum, f[60] ^= 1); /* in the payload */
	SHOT(drop_udp_checksum, f[35] ^= 1); /* another source port */
	SHOT(drop_source_address, f[34] = f[35] = 0, pair_seal(f));
	SHOT(drop_source_address, f[6] |= 1);
	SHOT(drop_source_address, memset(f + 26, 0, 4), pair_seal(f));
	SHOT(drop_source_address, f[26] = 224, pair_seal(f));
	SHOT(drop_source_address, memset(f + 26, 0xff, 4), pair_seal(f));
	SHOT(drop_framing, f[16] = 0, f[17] = 28, f[38] = 0, f[39] = 8, pair_seal(f)); /* empty */
	SHOT(drop_framing, f[46]++, pair_seal(f));				       /* schema */
	SHOT(drop_framing, f[44] = 3, f[42] = 15, pair_seal(f)); /* OpenSession too short */
	SHOT(drop_icmp_other, f[23] = 1, pair_seal(f));
	SHOT(drop_arp_other, f[12] = 8, f[13] = 6);
	SHOT(drop_arp_other, memset(f, 0xff, 6), f[12] = 8, f[13] = 6, s.bytes = 41);
	/* A datagram of 1,401 bytes. */
	aim(&s);
	uint8_t long_payload[1401] = {0};
	s.bytes = pair_frame(pair, 0, &s.bad, long_payload, 1401, s.frame);
	fire(&s, &c->drop_framing, "1401 bytes");
	pair_end(pair);
}

static void datagrams_when_unusual_but_good_then_answered(void **state)
{
	struct pair *pair = pair_make(NULL);
	struct shot s = {.pair = pair};
	s.bad = pair_open_session(pair, 2);
	s.good = pair_open_session(pair, 1);
	for (unsigned i = 0; i < 4; i++) {
		aim(&s);
		if (i == 1) /* no checksum */
			s.frame[40] = s.frame[41] = 0;
		if (i == 2) { /* padded, with whatever */
			memset(s.frame + s.bytes, 0xee, 200);
			s.bytes += 200;
		}
		if (i == 3) { /* don't fragment, other service, TTL 1 */
			s.frame[20] = 0x40;
			s.frame[15] = 0xb8;
			s.frame[22] = 1;
			pair_seal(s.frame);
		}
		assert_true(pair_send_frame(pair, 0, s.frame, s.bytes));
		const struct pair_answer *answer = pair_wait_for(pair, s.bad.id, 1);
		assert_int_equal(answer->status, OK);
		assert_int_equal(answer->flags, i > 0);
	}
	/* 1,400 bytes exactly, of many messages. */
	struct pair_datagram datagram = {0};
	for (unsigned i = 0; i < 23; i++)
		pair_add_simple(&datagram, &s.good, 7, ADD, 1);
	uint8_t unknown[56] = {0};
	pair_add(&datagram, 77, unknown, 56, NULL, 0);
	assert_int_equal(datagram.bytes, 1400);
	pair_send(pair, 0, &s.good, &datagram);
	assert_int_equal(pair_wait_for(pair, s.good.id, 23)->status, OK);
	pair_end(pair);
}

static void mbuf_when_of_several_segments_then_dropped_on_both_ports(void **state)
{
	struct pair *pair = pair_make(NULL);
	struct pair_side *side = &pair->sides[0];
	struct dp_port *from[2] = {&side->outside, &side->tap};
	for (unsigned i = 0; i < 2; i++) {
		struct rte_mbuf *a = rte_pktmbuf_alloc(from[i]->tx_pool);
		struct rte_mbuf *b = rte_pktmbuf_alloc(from[i]->tx_pool);
		rte_pktmbuf_append(a, 100);
		rte_pktmbuf_append(b, 100);
		assert_int_equal(rte_pktmbuf_chain(a, b), 0);
		assert_int_equal(dp_port_tx(from[i], 0, &a, 1), 1);
	}
	side->frames_to_client_port++;
	side->frames_to_link++;
	PAIR_UNTIL(pair, pair_ingress(pair, 0)->drop_multi_segment == 1);
	PAIR_UNTIL(pair, pair_counters(pair, 0)->drop_multi_segment == 1);
	pair_end(pair);
}

/* --- ARP and ICMP --- */

static uint32_t make_arp(struct pair *pair, uint8_t *f, uint32_t target)
{
	static const uint8_t fixed[] = {8, 6, 0, 1, 8, 0, 6,  4,  0, 1,
					2, 0, 0, 0, 0, 9, 10, 77, 0, 9};
	memset(f, 0, 60);
	memset(f, 0xff, 6);
	memcpy(f + 6, "\x02\0\0\0\0\x09", 6);
	memcpy(f + 12, fixed, sizeof(fixed));
	for (unsigned i = 0; i < 4; i++)
		f[38 + i] = (uint8_t)(target >> (24 - 8 * i));
	return 60;
}

static void arp_when_for_us_then_answered_else_not(void **state)
{
	struct pair *pair = pair_make(NULL);
	struct dp_ingress_counters *c = pair_ingress(pair, 0);
	uint32_t ours = pair->sides[0].settings.client.address;
	uint8_t f[64];
	pair_rounds(pair, 2);
	pair_forget(pair); /* the announcements */
	pair_send_frame(pair, 0, f, make_arp(pair, f, ours));
	PAIR_UNTIL(pair, pair->local_count == 1);
	const uint8_t *answer = pair->locals[0].frame;
	assert_memory_equal(answer, "\x02\0\0\0\0\x09", 6);
	assert_int_equal(answer[21], 2);
	assert_memory_equal(answer + 22, &pair->sides[0].client.mac, 6);
	assert_memory_equal(answer + 28, "\x0a\x4d\0\1", 4);
	assert_memory_equal(answer + 32, "\x02\0\0\0\0\x09\x0a\x4d\0\x09", 10);
	pair_forget(pair);
	static const uint8_t places[] = {15, 16, 18, 19, 21, 41};
	for (unsigned i = 0; i < sizeof(places); i++) {
		make_arp(pair, f, ours);
		f[places[i]]++;
		pair_send_frame(pair, 0, f, 60);
	}
	make_arp(pair, f, ours);
	pair_send_frame(pair, 0, f, 41); /* cut off */
	make_arp(pair, f, 0);
	pair_send_frame(pair, 0, f, 60); /* the absent service address */
	make_arp(pair, f, ours);
	memset(f + 22, 0xff, 6); /* asks for an answer to everybody */
	pair_send_frame(pair, 0, f, 60);
	PAIR_UNTIL(pair, c->drop_arp_other == sizeof(places) + 3);
	pair_rounds(pair, 5);
	assert_int_equal(pair->local_count, 0);
	assert_int_equal(c->arp_answered, 1);
	pair_end(pair);
}

static uint32_t make_echo(struct pair *pair, uint8_t *f, uint32_t data_bytes)
{
	struct pair_client client = pair_client(3);
	uint8_t icmp[PAIR_MAX_FRAME] = {8, 0};
	for (uint32_t i = 0; i < data_bytes; i++)
		icmp[8 + i] = (uint8_t)i;
	uint16_t sum = pair_checksum(icmp, 8 + data_bytes, 0);
	icmp[2] = (uint8_t)(sum >> 8);
	icmp[3] = (uint8_t)sum;
	/* A UDP frame whose UDP part becomes ICMP. */
	uint8_t shell[PAIR_MAX_FRAME] = {0};
	uint32_t bytes = pair_frame(pair, 0, &client, shell, data_bytes, f);
	f[23] = 1;
	f[24] = f[25] = 0;
	sum = pair_checksum(f + 14, 20, 0);
	f[24] = (uint8_t)(sum >> 8);
	f[25] = (uint8_t)sum;
	memcpy(f + 34, icmp, 8 + data_bytes);
	return bytes;
}

static void echo_when_sound_then_answered_else_not(void **state)
{
	struct pair *pair = pair_make(NULL);
	struct dp_ingress_counters *c = pair_ingress(pair, 0);
	static const uint32_t sizes[] = {0, 1, 56, 1472};
	uint8_t f[PAIR_MAX_FRAME];
	pair_rounds(pair, 2);
	for (unsigned i = 0; i < 4; i++) {
		pair_forget(pair);
		uint32_t bytes = make_echo(pair, f, sizes[i]);
		pair_send_frame(pair, 0, f, bytes);
		PAIR_UNTIL(pair, pair->local_count == 1);
		const struct pair_local *local = &pair->locals[0];
		assert_int_equal(local->bytes, bytes);
		assert_int_equal(local->frame[34], 0);
		assert_int_equal(pair_checksum(local->frame + 14, 20, 0), 0);
		assert_int_equal(pair_checksum(local->frame + 34, 8 + sizes[i], 0), 0);
		assert_memory_equal(local->frame + 42, f + 42, sizes[i]);
		assert_memory_equal(local->frame, f + 6, 6);
		assert_memory_equal(local->frame + 26, f + 30, 4);
		assert_memory_equal(local->frame + 30, f + 26, 4);
	}
	pair_forget(pair);
	uint32_t bytes = make_echo(pair, f, 56);
	f[60] ^= 1; /* bad checksum */
	pair_send_frame(pair, 0, f, bytes);
	bytes = make_echo(pair, f, 56);
	f[6] |= 1; /* to a group it would go */
	pair_send_frame(pair, 0, f, bytes);
	bytes = make_echo(pair, f, 56);
	f[34] = 13;
	f[36]--; /* a timestamp request with its checksum */
	pair_send_frame(pair, 0, f, bytes);
	PAIR_UNTIL(pair, c->drop_icmp_other == 3);
	/* Longer than any buffer says a packet can be: says so itself, and is not believed. */
	bytes = make_echo(pair, f, 56);
	f[16] = 0x40;
	pair_send_frame(pair, 0, f, bytes);
	PAIR_UNTIL(pair, c->drop_ip_length == 1);
	assert_int_equal(c->icmp_answered, 4);
	assert_int_equal(pair->local_count, 0);
	pair_end(pair);
}

/* --- Damage --- */

/* Six messages of every kind. */
static uint32_t mixed(struct pair *pair, struct pair_client *client, uint8_t *frame)
{
	struct pair_datagram datagram = {0};
	uint8_t payload[16] = {1};
	pair_add_update(&datagram, client->id, 1, 1, 8, ADD, 0, payload, 8);
	pair_add_update(&datagram, client->id, 2, 1, 8, GET, 1, NULL, 0);
	pair_add_open(&datagram, 0xabcdef);
	pair_add_update(&datagram, client->id, 3, 1, 9, CAS, 0, payload, 16);
	pair_add_close(&datagram, 12345);
	pair_add_update(&datagram, client->id, 4, 1, 9, SET, 0, payload, 8);
	return pair_frame(pair, 0, client, datagram.data, datagram.bytes, frame);
}

static void datagram_when_cut_anywhere_then_dropped_whole_or_taken_whole(void **state)
{
	struct pair *pair = pair_make(NULL);
	struct pair_client good = pair_open_session(pair, 1), bad = pair_open_session(pair, 2);
	uint8_t whole[PAIR_MAX_FRAME], frame[PAIR_MAX_FRAME];
	uint32_t bytes = mixed(pair, &bad, whole);
	struct dp_ingress_counters *c = pair_ingress(pair, 0);
	pair_settle(pair);
	for (uint32_t cut = 42; cut < bytes; cut++) {
		uint64_t dropped = c->drop_framing, handed = c->handed_on, frames = c->frames;
		uint32_t udp = cut - 34, ip = cut - 14;
		memcpy(frame, whole, cut);
		frame[16] = (uint8_t)(ip >> 8);
		frame[17] = (uint8_t)ip;
		frame[38] = (uint8_t)(udp >> 8);
		frame[39] = (uint8_t)udp;
		pair_seal(frame);
		pair_forget(pair);
		pair_send_frame(pair, 0, frame, cut);
		PAIR_UNTIL(pair, c->frames == frames + 1);
		assert_int_equal(c->drop_framing - dropped + c->handed_on - handed, 1);
		/* Amplification: what comes back is bounded by what came. */
		uint32_t payload = cut - 42, answered = 0;
		pair_rounds(pair, 6);
		const struct pair_answer *answer;
		while ((answer = pair_next(pair)) != NULL)
			answered += (answer->template_id == 2 ? 58u : 34u) + answer->payload_bytes;
		assert_true(answered <= 4 * payload + 256);
		if (cut % 16 == 0)
			check_good(pair, &good);
	}
	check_good(pair, &good);
	pair_check_equal(pair);
	pair_end(pair);
}

static void request_when_any_bit_flips_then_counted_or_answered_and_state_stays_sound(void **state)
{
	struct pair *pair = pair_make(NULL);
	struct pair_client good = pair_open_session(pair, 1), bad = pair_open_session(pair, 2);
	uint8_t whole[PAIR_MAX_FRAME], frame[PAIR_MAX_FRAME];
	struct dp_ingress_counters *c = pair_ingress(pair, 0);
	struct dp_sequencer *sequencer = pair_sequencer(pair, 0);
	uint32_t bytes = mixed(pair, &bad, whole);
	for (uint32_t bit = 0; bit < bytes * 8; bit++) {
		memcpy(frame, whole, bytes);
		frame[bit / 8] ^= (uint8_t)(1 << bit % 8);
		/* The link's damage is for the checksums; behind them stands a client's damage. */
		bool sealed = bit >= 42 * 8;
		if (sealed)
			pair_seal(frame);
		uint64_t frames = c->frames, requests = c->requests;
		pair_settle(pair);
		uint64_t sequence = sequencer->core.last_sequence, digest = pair_digest(pair, 0);
		pair_forget(pair);
		pair_send_frame(pair, 0, frame, bytes);
		PAIR_UNTIL(pair, c->frames == frames + 1);
		pair_settle(pair);
		pair_check_counted(pair);
		/* The state stands still unless something was sequenced. */
		if (sequencer->core.last_sequence == sequence)
			assert_int_equal(pair_digest(pair, 0), digest);
		if (c->requests == requests)
			assert_int_equal(sequencer->core.last_sequence, sequence);
		/* Outside the covered addresses (MAC, padding) a flip in a header is noticed. */
		if (!sealed && bit >= 14 * 8)
			assert_int_equal(c->requests, requests);
		if (bit % 64 == 0)
			check_good(pair, &good);
	}
	check_good(pair, &good);
	pair_check_equal(pair);
	pair_end(pair);
}

static void garbage_when_sent_to_both_ports_then_counted_and_the_good_client_served(void **state)
{
	struct pair *pair = pair_make(NULL);
	struct pair_client good = pair_open_session(pair, 1), bad = pair_open_session(pair, 2);
	uint8_t frame[PAIR_MAX_FRAME];
	seed();
	for (unsigned i = 0; i < 4000; i++) {
		uint32_t bytes = 1 + draw(1500);
		for (uint32_t j = 0; j < bytes; j++)
			frame[j] = (uint8_t)draw(256);
		/* More and more of it is right, so that every stage gets its share. */
		uint32_t kind = draw(6);
		if (kind >= 1)
			memcpy(frame, &pair->sides[0].client.mac, 6);
		if (kind == 3 || kind == 4) {
			struct pair_datagram datagram = {.bytes = draw(1450)};
			for (uint32_t j = 0; j < datagram.bytes; j++)
				datagram.data[j] = (uint8_t)draw(256);
			if (kind == 4 && datagram.bytes > 60) {
				put16(datagram.data, draw(64));
				put16(datagram.data + 2, draw(6));
				put16(datagram.data + 4, 0x5346);
				put64(datagram.data + 8, bad.id);
				put64(datagram.data + 16, 1 + draw(8));
				put64(datagram.data + 24, draw(3));
			}
			bytes = pair_frame(pair, 0, &bad, datagram.data, datagram.bytes, frame);
		}
		if (kind == 2)
			frame[12] = 8, frame[13] = draw(2) ? 0 : 6;
		if (draw(2) || kind >= 3) {
			pair_send_frame(pair, (int)draw(2), frame, bytes);
		} else {
			if (kind >= 1)
				memset(frame, 0xff, 6), frame[12] = 0x88, frame[13] = 0xb5;
			pair_inject(pair, (int)draw(2), frame, bytes);
		}
		if (i % 8 == 7)
			pair_rounds(pair, 1);
		if (i % 200 == 199)
			check_good(pair, &good);
		pair_forget(pair);
	}
	check_good(pair, &good);
	pair_check_equal(pair);
	pair_end(pair);
}

/* --- The replication port --- */

struct wire {
	uint8_t ether[14];
	struct rep_header header;
	uint8_t body[sizeof(struct rep_hello) + 64];
} __attribute__((packed, aligned(2)));

/* A frame as the peer of node would send it next. */
static void forge(struct pair *pair, int node, uint8_t type, struct wire *wire)
{
	const struct rep_core *peer = &pair_sequencer(pair, !node)->core;
	memset(wire, 0, sizeof(*wire));
	memcpy(wire->ether, &pair->sides[node].link.mac, 6);
	memcpy(wire->ether + 6, &pair->sides[!node].link.mac, 6);
	wire->ether[12] = 0x88;
	wire->ether[13] = 0xb5;
	wire->header = (struct rep_header){
		.version = REP_FRAME_VERSION,
		.type = type,
		.source = peer->config.link.node,
		.destination = peer->config.link.peer,
		.cluster_tag = peer->config.link.cluster_tag,
		.epoch = peer->epoch,
		.source_incarnation = peer->config.incarnation,
		.destination_incarnation = peer->peer_incarnation,
		.frame_number = 1, /* old news, but well-formed */
		.position = peer->last_sequence,
		.committed = peer->committed,
		.flags = REP_FLAG_LINK_UP,
	};
}

static void shoot(struct pair *pair, int node, struct wire *wire, uint32_t body_bytes)
{
	rep_frame_seal(&wire->header, wire->body, body_bytes);
	pair_inject(pair, node, wire, 14 + REP_FRAME_HEADER_BYTES + body_bytes);
	pair_rounds(pair, 2);
}

static void link_frames_when_forged_or_broken_then_counted_by_reason(void **state)
{
	struct pair *pair = pair_make(NULL);
	struct pair_client good = pair_open_session(pair, 1);
	struct dp_sequencer_counters *c = pair_counters(pair, 0);
	const struct rep_stats *stats = &pair_sequencer(pair, 0)->core.stats;
	struct wire w;
	check_good(pair, &good);
#define LINK(counter, type, body_bytes, ...)                        \
	do {                                                        \
		uint64_t before = (counter);                        \
		forge(pair, 0, (type), &w);                         \
		__VA_ARGS__;                                        \
		shoot(pair, 0, &w, (body_bytes));                   \
		if ((counter) != before + 1)                        \
			fail_msg("%s: %s", #counter, #__VA_ARGS__); \
		check_good(pair, &good);                            \
	} while (0)
	LINK(c->drop_foreign_ethertype, REP_FRAME_ACK, 0, w.ether[13] = 0xb6);
	LINK(c->drop_foreign_mac, REP_FRAME_ACK, 0, w.ether[5] ^= 1);
	LINK(c->drop_bad_version, REP_FRAME_ACK, 0, w.header.version = 1);
	LINK(c->drop_other_cluster, REP_FRAME_ACK, 0, w.header.cluster_tag++);
	LINK(c->drop_bad_type, 0, 0, );
	LINK(c->drop_bad_type, 99, 0, );
	LINK(c->drop_bad_body, REP_FRAME_ACK, 1, );
	LINK(c->drop_bad_body, REP_FRAME_HELLO, sizeof(struct rep_hello) - 1, );
	LINK(c->drop_bad_body, REP_FRAME_NAK, 17, );
	LINK(c->drop_bad_body, REP_FRAME_ACK, 0, w.header.frame_number = 0);
	LINK(c->drop_bad_body, REP_FRAME_ACK, 0, w.header.source_incarnation = 0);
	LINK(c->drop_bad_node, REP_FRAME_ACK, 0, w.header.source = 7);
	LINK(c->drop_bad_node, REP_FRAME_ACK, 0, w.header.destination = 1);
	LINK(c->drop_reflected, REP_FRAME_ACK, 0, w.header.source = 0);
	assert_int_equal(c->drop_own_id, 1);
	/* Somebody with our id, once a peer is known: counted, and no more than that. */
	assert_int_equal(pair_sequencer(pair, 0)->own_id_seen, 0);
	LINK(stats->dropped_other_life, REP_FRAME_ACK, 0, w.header.source_incarnation--);
	LINK(stats->dropped_other_life, REP_FRAME_ACK, 0, w.header.destination_incarnation++);
	LINK(stats->dropped_other_life,
	     REP_FRAME_HELLO,
	     sizeof(struct rep_hello),
	     w.header.source_incarnation--);
	LINK(stats->dropped_epoch_stale, REP_FRAME_ACK, 0, w.header.epoch--);
	LINK(stats->dropped_epoch_higher, REP_FRAME_ACK, 0, w.header.epoch++);
	LINK(stats->dropped_epoch_higher, REP_FRAME_STALE, 0, w.header.epoch++);
	LINK(stats->frames_taken, REP_FRAME_STALE, 0, );
	LINK(stats->dropped_bad_ack, REP_FRAME_ACK, 0, w.header.position += 1000);
	LINK(stats->dropped_bad_ack, REP_FRAME_ACK, 0, w.header.position = UINT64_MAX);
	LINK(stats->naks_received, REP_FRAME_NAK, 16, );
	LINK(stats->naks_received, REP_FRAME_NAK, 16, memset(w.body, 0xff, 16));
	LINK(stats->naks_received,
	     REP_FRAME_NAK,
	     16,
	     put64(w.body, 1),
	     put64(w.body + 8, UINT64_MAX));
	LINK(stats->naks_received, REP_FRAME_NAK, 16, put64(w.body + 8, UINT64_MAX));
	LINK(stats->frames_taken,
	     REP_FRAME_ACK,
	     0,
	     w.header.limit = UINT64_MAX,
	     w.header.heard_frame = UINT64_MAX,
	     w.header.heard_age_us = UINT32_MAX);
	/* Lengths, behind the CRC's back. */
	forge(pair, 0, REP_FRAME_ACK, &w);
	rep_frame_seal(&w.header, w.body, 0);
	for (uint32_t bytes = 1; bytes < 14 + REP_FRAME_HEADER_BYTES; bytes++)
		pair_inject(pair, 0, &w, bytes);
	pair_rounds(pair, 6);
	assert_int_equal(c->drop_short, 13 + REP_FRAME_HEADER_BYTES);
	w.header.bytes++;
	pair_inject(pair, 0, &w, 14 + REP_FRAME_HEADER_BYTES);
	w.header.bytes = 95;
	pair_inject(pair, 0, &w, 14 + REP_FRAME_HEADER_BYTES);
	pair_rounds(pair, 2);
	assert_int_equal(c->drop_bad_length, 2);
	/* Every bit of a frame. */
	forge(pair, 0, REP_FRAME_NAK, &w);
	rep_frame_seal(&w.header, w.body, 16);
	uint64_t taken = c->frames_received;
	uint64_t before = stats->naks_received;
	for (uint32_t bit = 14 * 8; bit < 8 * (14 + REP_FRAME_HEADER_BYTES + 16); bit++) {
		((uint8_t *)&w)[bit / 8] ^= (uint8_t)(1 << bit % 8);
		pair_inject(pair, 0, &w, 14 + REP_FRAME_HEADER_BYTES + 16);
		((uint8_t *)&w)[bit / 8] ^= (uint8_t)(1 << bit % 8);
		pair_rounds(pair, 1);
	}
	assert_int_equal(stats->naks_received, before);
	assert_true(c->frames_received >= taken);
	check_good(pair, &good);
	assert_true(pair_is_paired(pair));
	pair_check_equal(pair);
	pair_end(pair);
}

/* Frames of the link, kept and sent again much later (N20). */
static uint8_t tape[2][64][PAIR_MAX_FRAME];
static uint32_t tape_bytes[2][64], tape_count[2];

static enum pair_verdict record(struct pair *pair, int from, uint8_t *frame, uint32_t *bytes)
{
	if (tape_count[from] < 64 && *bytes <= PAIR_MAX_FRAME) {
		memcpy(tape[from][tape_count[from]], frame, *bytes);
		tape_bytes[from][tape_count[from]++] = *bytes;
	}
	return PAIR_PASS;
}

static void link_frames_when_replayed_then_nothing_changes(void **state)
{
	struct pair *pair = pair_make_apart(NULL);
	pair->judge = record;
	PAIR_UNTIL(pair, pair_is_paired(pair));
	struct pair_client good = pair_open_session(pair, 1);
	for (unsigned i = 0; i < 20; i++)
		check_good(pair, &good);
	pair->judge = NULL;
	pair_settle(pair);
	assert_true(tape_count[0] > 10 && tape_count[1] > 10);
	uint64_t digest = pair_digest(pair, 0);
	for (unsigned round = 0; round < 3; round++)
		for (int from = 0; from < 2; from++)
			for (uint32_t i = 0; i < tape_count[from]; i++) {
				/* To whom it was sent, and back to its sender. */
				pair_inject(pair, !from, tape[from][i], tape_bytes[from][i]);
				pair_inject(pair, from, tape[from][i], tape_bytes[from][i]);
				pair_rounds(pair, 1);
			}
	pair_settle(pair);
	assert_int_equal(pair_digest(pair, 0), digest);
	assert_int_equal(pair_sequencer(pair, 0)->own_id_seen, 0);
	assert_int_equal(pair_counters(pair, 0)->drop_own_id, 0); /* its own, not another's */
	assert_true(pair_is_paired(pair));
	assert_true(pair_sequencer(pair, 1)->core.stats.entries_duplicate > 0);
	check_good(pair, &good);
	pair_check_equal(pair);
	pair_end(pair);
}

static enum pair_verdict drop_all(struct pair *pair, int from, uint8_t *frame, uint32_t *bytes)
{
	return PAIR_DROP;
}

static void own_id_when_heard_before_any_peer_then_the_main_thread_is_told(void **state)
{
	struct pair *pair = pair_make_apart(NULL);
	struct wire w;
	pair->judge = drop_all;
	pair_rounds(pair, 4);
	forge(pair, 0, REP_FRAME_HELLO, &w);
	w.header.source = 0;
	w.header.source_incarnation = 4711;
	shoot(pair, 0, &w, sizeof(struct rep_hello));
	assert_int_equal(pair_sequencer(pair, 0)->own_id_seen, 4711);
	assert_int_equal(pair_sequencer(pair, 1)->own_id_seen, 0);
	pair_end(pair);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(frames_when_not_for_us_or_not_sound_then_counted_by_reason),
		cmocka_unit_test(datagrams_when_unusual_but_good_then_answered),
		cmocka_unit_test(mbuf_when_of_several_segments_then_dropped_on_both_ports),
		cmocka_unit_test(arp_when_for_us_then_answered_else_not),
		cmocka_unit_test(echo_when_sound_then_answered_else_not),
		cmocka_unit_test(datagram_when_cut_anywhere_then_dropped_whole_or_taken_whole),
		cmocka_unit_test(
			request_when_any_bit_flips_then_counted_or_answered_and_state_stays_sound
		),
		cmocka_unit_test(
			garbage_when_sent_to_both_ports_then_counted_and_the_good_client_served
		),
		cmocka_unit_test(link_frames_when_forged_or_broken_then_counted_by_reason),
		cmocka_unit_test(link_frames_when_replayed_then_nothing_changes),
		cmocka_unit_test(own_id_when_heard_before_any_peer_then_the_main_thread_is_told),
	};
	pair_start_eal(1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
