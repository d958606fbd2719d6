/* SPDX-License-Identifier: BSD-3-Clause */
#include "config/crc32c.h"
#include "dataplane/sequencer.h"

#include <rte_ethdev.h>

#include <string.h>

#define ETHER_BYTES ((uint32_t)sizeof(struct rte_ether_hdr))

/* --- In --- */

static void count_fault(struct dp_sequencer *sequencer, enum rep_frame_fault fault)
{
	struct dp_sequencer_counters *counters = sequencer->counters;
	uint64_t *const places[REP_FRAME_FAULTS] = {
		[REP_FRAME_SHORT] = &counters->drop_short,
		[REP_FRAME_BAD_VERSION] = &counters->drop_bad_version,
		[REP_FRAME_OTHER_CLUSTER] = &counters->drop_other_cluster,
		[REP_FRAME_REFLECTED] = &counters->drop_reflected,
		[REP_FRAME_BAD_NODE] = &counters->drop_bad_node,
		[REP_FRAME_BAD_LENGTH] = &counters->drop_bad_length,
		[REP_FRAME_BAD_CRC] = &counters->drop_bad_crc,
		[REP_FRAME_BAD_TYPE] = &counters->drop_bad_type,
		[REP_FRAME_BAD_BODY] = &counters->drop_bad_body,
		[REP_FRAME_BAD_ENTRY] = &counters->drop_bad_entry,
	};
	(*places[fault])++;
}

/* Our own node id as source: our frame on its way back, or a node that was given our id. Only while
 * no peer was met may that stop us: later it could be anybody's doing. */
static void judge_reflected(struct dp_sequencer *sequencer, const struct rep_frame *frame)
{
	if (frame->header->source_incarnation == sequencer->core.config.incarnation)
		return;
	sequencer->counters->drop_own_id++;
	if (sequencer->core.peer_incarnation == 0)
		__atomic_store_n(
			&sequencer->own_id_seen, frame->header->source_incarnation, __ATOMIC_RELAXED
		);
}

static bool is_for_us(struct dp_sequencer *sequencer, const struct rte_mbuf *mbuf)
{
	struct dp_sequencer_counters *counters = sequencer->counters;
	const struct rte_ether_hdr *ether = rte_pktmbuf_mtod(mbuf, const struct rte_ether_hdr *);
	if (mbuf->nb_segs != 1)
		counters->drop_multi_segment++;
	else if (mbuf->data_len < ETHER_BYTES)
		counters->drop_short++;
	else if (ether->ether_type != sequencer->ethertype)
		counters->drop_foreign_ethertype++;
	else if (!dp_same_mac(&ether->dst_addr, &sequencer->port->mac) && !rte_is_broadcast_ether_addr(&ether->dst_addr))
		counters->drop_foreign_mac++;
	else
		return true;
	return false;
}

uint32_t
dp_sequencer_decode(struct dp_sequencer *sequencer, struct rte_mbuf **mbufs, uint16_t count)
{
	uint32_t frames = 0;
	for (uint16_t i = 0; i < count; i++) {
		const struct rte_mbuf *mbuf = mbufs[i];
		if (i + 1 < count)
			rte_prefetch0(rte_pktmbuf_mtod(mbufs[i + 1], void *));
		sequencer->counters->bytes_received += mbuf->pkt_len;
		if (!is_for_us(sequencer, mbuf))
			continue;
		struct rep_frame *frame = &sequencer->frames[frames];
		enum rep_frame_fault fault = rep_frame_decode(
			&sequencer->core.config.link,
			rte_pktmbuf_mtod_offset(mbuf, const void *, ETHER_BYTES),
			mbuf->data_len - ETHER_BYTES,
			frame
		);
		if (likely(fault == REP_FRAME_OK)) {
			if (unlikely(
				    frame->header->type == REP_FRAME_SNAPSHOT &&
				    !dp_roles_can_keep(sequencer)
			    )) {
				sequencer->counters->drop_keep_full++; /* asked for again */
				continue;
			}
			if (unlikely(
				    frame->header->type == REP_FRAME_HELLO &&
				    !sequencer->peer_mac_known &&
				    frame->header->source_incarnation >=
					    sequencer->core.peer_incarnation
			    ))
				sequencer->peer_mac =
					rte_pktmbuf_mtod(mbuf, const struct rte_ether_hdr *)
						->src_addr;
			frames++;
			continue;
		}
		count_fault(sequencer, fault);
		if (fault == REP_FRAME_REFLECTED)
			judge_reflected(sequencer, frame);
	}
	sequencer->counters->frames_received += frames;
	return frames;
}

void dp_sequencer_store(struct dp_sequencer *sequencer)
{
	const struct rep_update *update = &sequencer->update;
	for (uint32_t i = 0; i < update->store_count; i++) {
		const struct rep_store *store = &update->store[i];
		const struct rep_frame *frame = &sequencer->frames[store->frame];
		const struct rep_entry *entry = (const struct rep_entry *)frame->body;
		for (uint32_t j = 0; j < store->skip; j++)
			entry = rep_frame_next_entry(entry);
		for (uint32_t j = 0; j < store->count; j++) {
			rep_entry_copy(
				rep_arena_entry(&sequencer->intake.arena, entry->sequence), entry
			);
			entry = rep_frame_next_entry(entry);
		}
	}
}

/* --- Out --- */

struct out {
	struct dp_sequencer *sequencer;
	uint16_t count;
	struct rte_mbuf *mbufs[DP_BURST];
};

static void flush(struct out *out)
{
	struct dp_sequencer_counters *counters = out->sequencer->counters;
	if (out->count == 0)
		return;
	uint16_t sent = dp_port_tx(
		out->sequencer->port, out->sequencer->port_queue, out->mbufs, out->count
	);
	counters->frames_sent += sent;
	if (unlikely(sent < out->count)) {
		/* As if lost on the wire: acknowledgements and timers repair it. */
		counters->tx_full += (uint64_t)(out->count - sent);
		rte_pktmbuf_free_bulk(out->mbufs + sent, out->count - sent);
	}
	out->count = 0;
}

/* An mbuf with its Ethernet header; the frame's header comes right behind. */
static struct rte_mbuf *new_frame(struct out *out)
{
	struct dp_sequencer *sequencer = out->sequencer;
	struct rte_mbuf *mbuf = rte_pktmbuf_alloc(sequencer->port->tx_pool);
	if (unlikely(mbuf == NULL)) {
		sequencer->counters->tx_no_mbuf++;
		return NULL;
	}
	struct rte_ether_hdr *ether = rte_pktmbuf_mtod(mbuf, struct rte_ether_hdr *);
	ether->dst_addr = sequencer->peer_mac;
	ether->src_addr = sequencer->port->mac;
	ether->ether_type = sequencer->ethertype;
	return mbuf;
}

static void put(struct out *out, struct rte_mbuf *mbuf, const struct rep_header *header)
{
	mbuf->data_len = (uint16_t)(ETHER_BYTES + header->bytes);
	mbuf->pkt_len = mbuf->data_len;
	out->sequencer->counters->bytes_sent += mbuf->pkt_len;
	out->mbufs[out->count++] = mbuf;
	if (out->count == DP_BURST)
		flush(out);
}

/* Of those that control has fetched from the log: control is not trusted with lengths. */
static const struct rep_entry *lent_entry(const struct dp_sequencer *sequencer, uint64_t sequence)
{
	const struct dp_give_stage *stage = &sequencer->roles.stage;
	const uint8_t *base = dp_shm_staged(sequencer->shm, stage->number);
	return (const struct rep_entry
			*)(base + (sequence - stage->range.first) * sequencer->shm->stage_stride_bytes);
}

/* Entries of the range from *sequence on, as many as a frame holds. */
static bool send_data_frame(struct out *out, const struct rep_send *send, uint64_t *sequence)
{
	struct dp_sequencer *sequencer = out->sequencer;
	uint64_t end = send->range.first + send->range.count;
	struct rte_mbuf *mbuf = new_frame(out);
	if (mbuf == NULL)
		return false;
	struct rep_header *header = rte_pktmbuf_mtod_offset(mbuf, struct rep_header *, ETHER_BYTES);
	uint8_t *body = (uint8_t *)(header + 1);
	uint32_t room = sequencer->port->mtu_bytes - REP_FRAME_HEADER_BYTES;
	uint32_t used = 0, count = 0, crc = SF_CRC32C_INIT;
	while (*sequence < end) {
		const struct rep_entry *entry =
			unlikely(send->staged)
				? lent_entry(sequencer, *sequence)
				: rep_arena_entry(&sequencer->intake.arena, *sequence);
		uint32_t bytes = rep_entry_bytes(entry->payload_bytes);
		if (used + bytes > room)
			break;
		DCHECK(entry->sequence == *sequence);
		rep_entry_copy(body + used, entry);
		crc = sf_crc32c_u32(crc, entry->crc);
		used += bytes;
		count++;
		(*sequence)++;
	}
	/* Any one entry fits (node.c), so each frame takes the range further; but what control
	 * lends may be anything. */
	CHECK(count > 0 || send->staged);
	if (unlikely(count == 0)) {
		sequencer->counters->bad_lent_entry++;
		rte_pktmbuf_free(mbuf);
		return false;
	}
	rep_core_header(&sequencer->core, send, sequencer->now_ns, header);
	rep_frame_seal_data(header, count, used, crc);
	put(out, mbuf, header);
	return true;
}

static void send_data(struct out *out, const struct rep_send *send)
{
	uint64_t sequence = send->range.first;
	while (sequence < send->range.first + send->range.count)
		if (!send_data_frame(out, send, &sequence))
			return; /* no mbuf: the rest counts as lost */
}

static void put_control(
	struct out *out, struct rte_mbuf *mbuf, const struct rep_send *send, uint32_t body_bytes
)
{
	struct dp_sequencer *sequencer = out->sequencer;
	struct rep_header *header = rte_pktmbuf_mtod_offset(mbuf, struct rep_header *, ETHER_BYTES);
	rep_core_header(&sequencer->core, send, sequencer->now_ns, header);
	rep_frame_seal(header, header + 1, body_bytes);
	put(out, mbuf, header);
}

/* Bytes of a snapshot that control has fetched. */
static void send_pieces(struct out *out, const struct rep_send *send)
{
	struct dp_sequencer *sequencer = out->sequencer;
	const struct dp_give_piece *lent = &sequencer->roles.piece;
	const uint8_t *data = dp_shm_piece(sequencer->shm, lent->number);
	uint64_t offset = send->range.first, end = offset + send->range.count;
	uint32_t most = sequencer->port->mtu_bytes - REP_FRAME_HEADER_BYTES -
			(uint32_t)sizeof(struct rep_piece);
	CHECK(offset >= lent->range.first && end <= lent->range.first + lent->range.count);
	while (offset < end) {
		struct rte_mbuf *mbuf = new_frame(out);
		if (mbuf == NULL)
			return; /* as if lost */
		uint32_t bytes = (uint32_t)sf_min64(most, end - offset);
		uint8_t *body = rte_pktmbuf_mtod_offset(
			mbuf, uint8_t *, ETHER_BYTES + REP_FRAME_HEADER_BYTES
		);
		struct rep_piece piece = {
			.sequence = lent->sequence,
			.total = lent->total,
			.offset = offset,
		};
		memcpy(body, &piece, sizeof(piece));
		memcpy(body + sizeof(piece), data + (offset - lent->range.first), bytes);
		put_control(out, mbuf, send, (uint32_t)sizeof(piece) + bytes);
		offset += bytes;
	}
}

static void send_control(struct out *out, const struct rep_send *send)
{
	struct dp_sequencer *sequencer = out->sequencer;
	struct rep_hello hello;
	struct rep_nak nak;
	struct rep_change change;
	struct rep_fetch fetch;
	const void *body = NULL;
	uint32_t body_bytes = 0;
	struct rte_mbuf *mbuf = new_frame(out);
	if (mbuf == NULL)
		return;
	if (send->type == REP_FRAME_HELLO) {
		rep_core_hello(&sequencer->core, &hello);
		body = &hello;
		body_bytes = sizeof(hello);
	} else if (send->type == REP_FRAME_NAK) {
		nak = (struct rep_nak){
			.first_sequence = send->range.first,
			.count = send->range.count,
		};
		body = &nak;
		body_bytes = sizeof(nak);
	} else if (send->type == REP_FRAME_ADMIT || send->type == REP_FRAME_SWITCHOVER) {
		rep_core_change(&sequencer->core, &change);
		body = &change;
		body_bytes = sizeof(change);
	} else if (send->type == REP_FRAME_FETCH) {
		rep_core_fetch(&sequencer->core, &fetch);
		body = &fetch;
		body_bytes = sizeof(fetch);
	}
	if (body_bytes > 0)
		memcpy(rte_pktmbuf_mtod_offset(
			       mbuf, uint8_t *, ETHER_BYTES + REP_FRAME_HEADER_BYTES
		       ),
		       body,
		       body_bytes);
	put_control(out, mbuf, send, body_bytes);
}

void dp_sequencer_send(struct dp_sequencer *sequencer)
{
	const struct rep_update *update = &sequencer->update;
	struct out out; /* its list need not be cleared */
	if (update->send_count == 0)
		return;
	out.sequencer = sequencer;
	out.count = 0;
	for (uint32_t i = 0; i < update->send_count; i++) {
		if (update->send[i].type == REP_FRAME_DATA)
			send_data(&out, &update->send[i]);
		else if (update->send[i].type == REP_FRAME_SNAPSHOT)
			send_pieces(&out, &update->send[i]);
		else
			send_control(&out, &update->send[i]);
	}
	flush(&out);
}
