/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Frames of the replication link: what follows the 14 bytes of Ethernet header (EtherType 0x88B5).
 * One fixed header of 96 bytes in every frame, then a body by type. Everything is little-endian.
 *
 * Every frame, whatever its type, says who sent it in which life (incarnations), under which epoch,
 * the highest frame number that it heard, how far it stands and how far it may be sent to: so any
 * frame serves as heartbeat and as cumulative acknowledgement (as in QUIC and Aeron, status rides
 * on whatever goes out).
 *
 * The CRC covers the header with the CRC field as zero, then the body; of DATA bodies it covers
 * only each entry's own CRC field, which covers the entry in turn.
 */
#pragma once

#include "config/check.h"
#include "replication/entry.h"
#include "replication/record.h"

#include <stdbool.h>
#include <stdint.h>

#define REP_FRAME_VERSION 2
#define REP_ETHERTYPE 0x88b5
#define REP_FRAME_HEADER_BYTES 96

enum rep_frame_type {
	REP_FRAME_STALE = 1, /* sent to whoever uses a lower epoch than ours */
	REP_FRAME_HELLO = 2,
	REP_FRAME_DATA = 3,
	REP_FRAME_ACK = 4,
	REP_FRAME_HEARTBEAT = 5,
	REP_FRAME_NAK = 6,
	REP_FRAME_GOODBYE = 7,
	REP_FRAME_ADMIT = 8,	  /* the standby counts from this epoch on */
	REP_FRAME_SWITCHOVER = 9, /* the standby is asked to take over */
	REP_FRAME_FETCH = 10,	  /* a learner asks for a piece of a snapshot */
	REP_FRAME_SNAPSHOT = 11,  /* and gets it */
};

#define REP_FLAG_ECHO 0x01    /* the sender wants an answer at once (reads wait for it) */
#define REP_FLAG_LINK_UP 0x02 /* the sender takes the link session as established */
#define REP_FLAG_PRIMARY 0x04 /* the sender is configured or elected primary */
#define REP_FLAG_LEAVING \
	0x08 /* a standby that is about to leave: go alone, it still acknowledges */

struct rep_header {
	uint8_t version;
	uint8_t type;
	uint8_t source; /* node ids */
	uint8_t destination;
	uint32_t cluster_tag;
	uint32_t epoch;
	uint16_t bytes; /* of header and body: Ethernet pads short frames */
	uint16_t entry_count;
	uint64_t source_incarnation;
	uint64_t destination_incarnation; /* 0: not known yet */
	uint64_t frame_number;		  /* of the source in this incarnation, first is 1 */
	uint64_t heard_frame;		  /* highest frame number heard of the destination */
	uint32_t heard_age_us;		  /* since then */
	uint32_t crc;
	uint64_t position;  /* standby: all entries up to here are in its arena (cumulative ack);
			     * primary: last sequence that was sent */
	uint64_t committed; /* as the source knows it */
	uint64_t durable;   /* of the source's log */
	uint64_t limit;	    /* last sequence the source has room for now */
	uint8_t flags;
	uint8_t mode;	     /* of the source: enum rep_mode */
	uint8_t reserved[6]; /* 0 */
} __attribute__((packed, aligned(2)));
STATIC_CHECK(sizeof(struct rep_header) == REP_FRAME_HEADER_BYTES, "frame header");
STATIC_CHECK(offsetof(struct rep_header, crc) == 52, "frame header");
STATIC_CHECK(offsetof(struct rep_header, position) == 56, "frame header");

/* Where an epoch begins in a history. */
struct rep_origin {
	uint32_t epoch;
	uint32_t reserved;
	uint64_t first_sequence;
};

/* Body of HELLO: who am I, and what history do I hold? */
#define REP_HELLO_ORIGINS 64
struct rep_hello {
	uint64_t last_sequence; /* 0: none held */
	uint64_t arena_first;	/* from here on I can send what you miss */
	uint64_t config_digest;
	uint32_t last_epoch; /* of my newest entry */
	uint8_t refusal;     /* enum rep_reason: why I do not take your history; 0: I do */
	uint8_t record_mode; /* enum rep_record_mode of my role record */
	uint8_t origin_count;
	uint8_t amnesiac;			      /* of the role record: 1 or 0 */
	struct rep_pair pair;			      /* record, as I know it; epoch 0: I do not */
	struct rep_origin origins[REP_HELLO_ORIGINS]; /* the newest of my history, rising */
};
STATIC_CHECK(sizeof(struct rep_hello) == 40 + 16 * REP_HELLO_ORIGINS, "HELLO body");

/* Body of ADMIT and SWITCHOVER: the pair record that holds, and the primary's last entry. */
struct rep_change {
	uint64_t last_sequence;
	struct rep_pair pair;
	uint32_t from_epoch; /* that the record held before */
	uint32_t reserved;
};
STATIC_CHECK(sizeof(struct rep_change) == 24, "ADMIT body");

/* Body of NAK: the entries that the standby misses. */
struct rep_nak {
	uint64_t first_sequence;
	uint64_t count;
};
STATIC_CHECK(sizeof(struct rep_nak) == 16, "NAK body");

/* Body of FETCH: the bytes from offset on of the snapshot of this sequence; 0: of your newest. */
struct rep_fetch {
	uint64_t sequence;
	uint64_t offset;
};
STATIC_CHECK(sizeof(struct rep_fetch) == 16, "FETCH body");

/* Body of SNAPSHOT, before the bytes themselves: as many as the frame has room for. */
struct rep_piece {
	uint64_t sequence; /* of the snapshot */
	uint64_t total;	   /* its bytes */
	uint64_t offset;
};
STATIC_CHECK(sizeof(struct rep_piece) == 24, "SNAPSHOT body");

/* A frame that passed every check of rep_frame_decode. Points into the caller's buffer. */
struct rep_frame {
	const struct rep_header *header; /* aligned to 2 only: read fields, do not assume more */
	const uint8_t *body;
	uint32_t body_bytes;
	uint64_t first_sequence; /* DATA */
};

/* Why a frame was refused; each is a counter. */
enum rep_frame_fault {
	REP_FRAME_OK,
	REP_FRAME_SHORT, /* less than a header */
	REP_FRAME_BAD_VERSION,
	REP_FRAME_OTHER_CLUSTER,
	REP_FRAME_REFLECTED, /* our own node id as source: a loop, or a node with our id */
	REP_FRAME_BAD_NODE,
	REP_FRAME_BAD_LENGTH,
	REP_FRAME_BAD_CRC,
	REP_FRAME_BAD_TYPE,
	REP_FRAME_BAD_BODY,
	REP_FRAME_BAD_ENTRY, /* an entry's CRC, sequence, size or kind */
	REP_FRAME_FAULTS,
};
const char *rep_frame_fault_name(enum rep_frame_fault fault);
const char *rep_frame_type_name(enum rep_frame_type type);

/* Whose frames are taken. */
struct rep_link_identity {
	uint32_t cluster_tag;
	uint8_t node;
	uint8_t peer;
	uint16_t max_payload_bytes;
};

/* Checks everything about a frame that can be checked without state: sizes, identity, CRC, and for
 * DATA each entry (CRC, dense sequences, kind, payload bound). Reads only [data, data + bytes). */
enum rep_frame_fault rep_frame_decode(
	const struct rep_link_identity *identity,
	const void *data,
	uint32_t bytes,
	struct rep_frame *frame
);

/* The entries of a decoded DATA frame, one after the other: start with the body, at most
 * header->entry_count steps. */
static inline const struct rep_entry *rep_frame_next_entry(const struct rep_entry *entry)
{
	return (const struct rep_entry
			*)((const uint8_t *)entry + rep_entry_bytes(sf_load16(&entry->payload_bytes)));
}

/* Completes a frame that is all in place behind header: sets bytes, entry_count and crc. For DATA
 * body_crc is the register after the entries' CRC fields (sf_crc32c_u32 of each in turn, beginning
 * with SF_CRC32C_INIT); for other types use rep_frame_seal. */
void rep_frame_seal_data(
	struct rep_header *header, uint32_t entry_count, uint32_t body_bytes, uint32_t body_crc
);
void rep_frame_seal(struct rep_header *header, const void *body, uint32_t body_bytes);
