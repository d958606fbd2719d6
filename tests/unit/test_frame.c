/* SPDX-License-Identifier: BSD-3-Clause */
#include "replication/frame.h"
#include "tests/unit/unit.h"

#include <string.h>

#define MAX_PAYLOAD 40

static const struct rep_link_identity sender = {
	.cluster_tag = 0xc1a57e, .node = 1, .peer = 2, .max_payload_bytes = MAX_PAYLOAD};
static const struct rep_link_identity receiver = {
	.cluster_tag = 0xc1a57e, .node = 2, .peer = 1, .max_payload_bytes = MAX_PAYLOAD};

/* A frame at an odd multiple of 2, as behind an Ethernet header. */
struct sample {
	uint8_t before[2];
	uint8_t data[2048];
	uint32_t bytes;
} __attribute__((aligned(8)));

static struct rep_header *header_of(struct sample *sample)
{
	return (struct rep_header *)sample->data;
}

static struct rep_entry *entry_of(struct sample *sample, uint32_t offset)
{
	return (struct rep_entry *)(sample->data + REP_FRAME_HEADER_BYTES + offset);
}

static void fill_header(struct sample *sample, enum rep_frame_type type)
{
	memset(sample, 0, sizeof(*sample));
	*header_of(sample) = (struct rep_header){
		.version = REP_FRAME_VERSION,
		.type = (uint8_t)type,
		.source = sender.node,
		.destination = sender.peer,
		.cluster_tag = sender.cluster_tag,
		.epoch = 7,
		.source_incarnation = 11,
		.destination_incarnation = 12,
		.frame_number = 100,
		.heard_frame = 99,
		.heard_age_us = 5,
		.position = 41,
		.committed = 40,
		.durable = 39,
		.limit = 1000,
		.flags = REP_FLAG_LINK_UP,
	};
}

static void seal(struct sample *sample, uint32_t body_bytes)
{
	rep_frame_seal(header_of(sample), sample->data + REP_FRAME_HEADER_BYTES, body_bytes);
	sample->bytes = REP_FRAME_HEADER_BYTES + body_bytes;
}

static void seal_data(struct sample *sample, uint32_t count)
{
	uint32_t crc = SF_CRC32C_INIT, offset = 0;
	for (uint32_t i = 0; i < count; i++) {
		struct rep_entry *entry = entry_of(sample, offset);
		crc = sf_crc32c_u32(crc, entry->crc);
		offset += rep_entry_bytes(entry->payload_bytes);
	}
	rep_frame_seal_data(header_of(sample), count, offset, crc);
	sample->bytes = REP_FRAME_HEADER_BYTES + offset;
}

/* DATA with entries 41 … of payloads 0, 9, 18 … bytes. */
static void make_data(struct sample *sample, uint32_t count)
{
	uint32_t offset = 0;
	fill_header(sample, REP_FRAME_DATA);
	for (uint32_t i = 0; i < count; i++) {
		struct rep_entry *entry = entry_of(sample, offset);
		*entry = (struct rep_entry){
			.epoch = 7,
			.sequence = 41 + i,
			.timestamp_ns = 1000 + i,
			.client_id = 1,
			.request_seq = 1 + i,
			.first_incomplete_seq = 1,
			.asset_id = 1234,
			.payload_bytes = (uint16_t)(9 * i),
			.kind = REP_ENTRY_UPDATE,
			.opcode = 2,
		};
		memset(entry->payload, 0x5a, 9 * i);
		rep_entry_pad(entry);
		entry->crc = rep_entry_crc(entry);
		offset += rep_entry_bytes(entry->payload_bytes);
	}
	seal_data(sample, count);
}

static void make_nak(struct sample *sample)
{
	fill_header(sample, REP_FRAME_NAK);
	struct rep_nak nak = {.first_sequence = 17, .count = 3};
	memcpy(sample->data + REP_FRAME_HEADER_BYTES, &nak, sizeof(nak));
	seal(sample, sizeof(nak));
}

/* Decodes a copy of exactly this many bytes, so that a sanitizer sees a read beyond them. */
static enum rep_frame_fault decode_bytes(const struct sample *sample, uint32_t bytes)
{
	uint8_t *copy = test_malloc(bytes + 2);
	struct rep_frame frame;
	memcpy(copy + 2, sample->data, bytes);
	enum rep_frame_fault fault = rep_frame_decode(&receiver, copy + 2, bytes, &frame);
	test_free(copy);
	return fault;
}

static enum rep_frame_fault decode(const struct sample *sample)
{
	return decode_bytes(sample, sample->bytes);
}

static void decode_when_data_then_entries_come_back(void **state)
{
	struct sample sample;
	struct rep_frame frame;
	make_data(&sample, 4);
	assert_int_equal(
		rep_frame_decode(&receiver, sample.data, sample.bytes, &frame), REP_FRAME_OK
	);
	assert_int_equal(frame.first_sequence, 41);
	assert_int_equal(frame.header->entry_count, 4);
	assert_int_equal(frame.header->epoch, 7);
	assert_int_equal(frame.body_bytes, sample.bytes - REP_FRAME_HEADER_BYTES);
	const struct rep_entry *entry = (const struct rep_entry *)frame.body;
	for (uint32_t i = 0; i < 4; i++, entry = rep_frame_next_entry(entry)) {
		assert_int_equal(entry->sequence, 41 + i);
		assert_int_equal(entry->payload_bytes, 9 * i);
		for (uint32_t b = 0; b < 9 * i; b++)
			assert_int_equal(entry->payload[b], 0x5a);
	}
	assert_ptr_equal(entry, sample.data + sample.bytes);
}

static void decode_when_hello_or_nak_then_body_comes_back(void **state)
{
	struct sample sample;
	struct rep_frame frame;
	struct rep_nak nak;
	make_nak(&sample);
	assert_int_equal(
		rep_frame_decode(&receiver, sample.data, sample.bytes, &frame), REP_FRAME_OK
	);
	memcpy(&nak, frame.body, sizeof(nak));
	assert_int_equal(nak.first_sequence, 17);
	assert_int_equal(nak.count, 3);

	struct rep_hello hello = {
		.last_sequence = 9, .arena_first = 3, .config_digest = 77, .last_epoch = 7};
	fill_header(&sample, REP_FRAME_HELLO);
	memcpy(sample.data + REP_FRAME_HEADER_BYTES, &hello, sizeof(hello));
	seal(&sample, sizeof(hello));
	assert_int_equal(
		rep_frame_decode(&receiver, sample.data, sample.bytes, &frame), REP_FRAME_OK
	);
	assert_memory_equal(frame.body, &hello, sizeof(hello));
}

static void decode_when_no_body_then_every_such_type_is_taken(void **state)
{
	const enum rep_frame_type types[] = {
		REP_FRAME_STALE, REP_FRAME_ACK, REP_FRAME_HEARTBEAT, REP_FRAME_GOODBYE};
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		struct sample sample;
		struct rep_frame frame;
		fill_header(&sample, types[i]);
		seal(&sample, 0);
		assert_int_equal(
			rep_frame_decode(&receiver, sample.data, sample.bytes, &frame), REP_FRAME_OK
		);
		assert_int_equal(frame.header->type, types[i]);
		assert_int_equal(frame.header->heard_frame, 99);
		assert_int_equal(frame.header->limit, 1000);
		assert_int_equal(frame.body_bytes, 0);
	}
}

static void refuse_every_flip(struct sample *sample)
{
	assert_int_equal(decode(sample), REP_FRAME_OK);
	for (uint32_t bit = 0; bit < 8 * sample->bytes; bit++) {
		sample->data[bit / 8] ^= (uint8_t)(1u << bit % 8);
		if (decode(sample) == REP_FRAME_OK)
			fail_msg("a frame with bit %u flipped was taken", bit);
		sample->data[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	assert_int_equal(decode(sample), REP_FRAME_OK);
}

static void decode_when_any_bit_is_flipped_then_refused(void **state)
{
	struct sample sample;
	make_data(&sample, 3);
	refuse_every_flip(&sample);
	make_nak(&sample);
	refuse_every_flip(&sample);
}

static void decode_when_cut_anywhere_then_refused(void **state)
{
	struct sample sample;
	make_data(&sample, 3);
	for (uint32_t bytes = 0; bytes < sample.bytes; bytes++)
		assert_int_equal(
			decode_bytes(&sample, bytes),
			bytes < REP_FRAME_HEADER_BYTES ? REP_FRAME_SHORT : REP_FRAME_BAD_LENGTH
		);
}

static void decode_when_padded_then_accepted(void **state)
{
	struct sample sample;
	make_data(&sample, 2);
	memset(sample.data + sample.bytes, 0xee, 60);
	assert_int_equal(decode_bytes(&sample, sample.bytes + 60), REP_FRAME_OK);
	make_nak(&sample);
	memset(sample.data + sample.bytes, 0xee, 60);
	assert_int_equal(decode_bytes(&sample, sample.bytes + 60), REP_FRAME_OK);
}

static void decode_when_identity_differs_then_each_has_its_reason(void **state)
{
	struct sample sample;
	fill_header(&sample, REP_FRAME_ACK);
	header_of(&sample)->cluster_tag++;
	seal(&sample, 0);
	assert_int_equal(decode(&sample), REP_FRAME_OTHER_CLUSTER);

	fill_header(&sample, REP_FRAME_ACK);
	header_of(&sample)->source = receiver.node;
	seal(&sample, 0);
	assert_int_equal(decode(&sample), REP_FRAME_REFLECTED);

	fill_header(&sample, REP_FRAME_ACK);
	header_of(&sample)->source = 3;
	seal(&sample, 0);
	assert_int_equal(decode(&sample), REP_FRAME_BAD_NODE);

	fill_header(&sample, REP_FRAME_ACK);
	header_of(&sample)->destination = 3;
	seal(&sample, 0);
	assert_int_equal(decode(&sample), REP_FRAME_BAD_NODE);

	fill_header(&sample, REP_FRAME_ACK);
	header_of(&sample)->version++;
	seal(&sample, 0);
	assert_int_equal(decode(&sample), REP_FRAME_BAD_VERSION);
}

static void decode_when_own_id_is_reflected_then_header_can_be_read(void **state)
{
	struct sample sample;
	struct rep_frame frame = {0};
	make_data(&sample, 1);
	header_of(&sample)->source = receiver.node;
	header_of(&sample)->destination = receiver.peer;
	seal_data(&sample, 1);
	assert_int_equal(
		rep_frame_decode(&receiver, sample.data, sample.bytes, &frame), REP_FRAME_REFLECTED
	);
	assert_int_equal(frame.header->source_incarnation, 11);
}

static void decode_when_header_numbers_are_impossible_then_refused(void **state)
{
	struct sample sample;
	fill_header(&sample, REP_FRAME_ACK);
	header_of(&sample)->source_incarnation = 0;
	seal(&sample, 0);
	assert_int_equal(decode(&sample), REP_FRAME_BAD_BODY);

	fill_header(&sample, REP_FRAME_ACK);
	header_of(&sample)->frame_number = 0;
	seal(&sample, 0);
	assert_int_equal(decode(&sample), REP_FRAME_BAD_BODY);

	for (uint32_t type = 0; type < 256; type++) {
		if (type >= REP_FRAME_STALE && type <= REP_FRAME_SNAPSHOT)
			continue;
		fill_header(&sample, (enum rep_frame_type)type);
		seal(&sample, 0);
		assert_int_equal(decode(&sample), REP_FRAME_BAD_TYPE);
	}

	/* The bytes field says less than a header. */
	fill_header(&sample, REP_FRAME_ACK);
	seal(&sample, 0);
	header_of(&sample)->bytes = REP_FRAME_HEADER_BYTES - 1;
	assert_int_equal(decode(&sample), REP_FRAME_BAD_LENGTH);
}

static void decode_when_body_has_wrong_size_then_refused(void **state)
{
	for (uint32_t body_bytes = 0; body_bytes <= sizeof(struct rep_hello) + 16; body_bytes++) {
		struct sample sample;
		fill_header(&sample, REP_FRAME_HELLO);
		seal(&sample, body_bytes);
		assert_int_equal(
			decode(&sample),
			body_bytes == sizeof(struct rep_hello) ? REP_FRAME_OK : REP_FRAME_BAD_BODY
		);
		fill_header(&sample, REP_FRAME_NAK);
		seal(&sample, body_bytes);
		assert_int_equal(
			decode(&sample), body_bytes == 16 ? REP_FRAME_OK : REP_FRAME_BAD_BODY
		);
		fill_header(&sample, REP_FRAME_HEARTBEAT);
		seal(&sample, body_bytes);
		assert_int_equal(
			decode(&sample), body_bytes == 0 ? REP_FRAME_OK : REP_FRAME_BAD_BODY
		);
	}
}

/* Seals as seal_data does, but with an entry count that lies. */
static void seal_count(struct sample *sample, uint32_t count, uint32_t claimed)
{
	seal_data(sample, count);
	uint32_t body_bytes = sample->bytes - REP_FRAME_HEADER_BYTES;
	uint32_t crc = SF_CRC32C_INIT, offset = 0;
	for (uint32_t i = 0; i < claimed && i < count; i++) {
		crc = sf_crc32c_u32(crc, entry_of(sample, offset)->crc);
		offset += rep_entry_bytes(entry_of(sample, offset)->payload_bytes);
	}
	rep_frame_seal_data(header_of(sample), claimed, body_bytes, crc);
}

static void decode_when_entry_count_lies_then_refused(void **state)
{
	struct sample sample;
	make_data(&sample, 3);
	seal_count(&sample, 3, 0);
	assert_int_equal(decode(&sample), REP_FRAME_BAD_BODY);
	seal_count(&sample, 3, 2);
	assert_int_equal(decode(&sample), REP_FRAME_BAD_LENGTH);
	seal_count(&sample, 3, 4);
	assert_int_equal(decode(&sample), REP_FRAME_BAD_LENGTH);
	seal_count(&sample, 3, 65535);
	assert_int_equal(decode(&sample), REP_FRAME_BAD_LENGTH);
	seal_count(&sample, 3, 3);
	assert_int_equal(decode(&sample), REP_FRAME_OK);

	/* Entries counted in a frame that has none. */
	fill_header(&sample, REP_FRAME_ACK);
	seal_count(&sample, 0, 1);
	assert_int_equal(decode(&sample), REP_FRAME_BAD_BODY);
}

/* Changes the second of three entries and seals everything as a real sender would. */
static enum rep_frame_fault decode_changed(void (*change)(struct rep_entry *entry))
{
	struct sample sample;
	make_data(&sample, 3);
	struct rep_entry *entry = entry_of(&sample, REP_ENTRY_HEADER_BYTES);
	change(entry);
	if (entry->payload_bytes <= MAX_PAYLOAD)
		entry->crc = rep_entry_crc(entry);
	uint32_t crc = SF_CRC32C_INIT, offset = 0;
	for (uint32_t i = 0; i < 3; i++) {
		crc = sf_crc32c_u32(crc, entry_of(&sample, offset)->crc);
		offset += rep_entry_bytes(9 * i);
	}
	rep_frame_seal_data(header_of(&sample), 3, offset, crc);
	return decode(&sample);
}

static void unchanged(struct rep_entry *entry)
{
}
static void skip_sequence(struct rep_entry *entry)
{
	entry->sequence++;
}
static void repeat_sequence(struct rep_entry *entry)
{
	entry->sequence--;
}
static void kind_zero(struct rep_entry *entry)
{
	entry->kind = 0;
}
static void kind_unknown(struct rep_entry *entry)
{
	entry->kind = REP_ENTRY_CLOSE + 1;
}
static void kind_close(struct rep_entry *entry)
{
	entry->kind = REP_ENTRY_CLOSE;
}
static void epoch_later(struct rep_entry *entry)
{
	entry->epoch = 8;
}
static void epoch_earlier(struct rep_entry *entry)
{
	entry->epoch = 6;
}
static void payload_too_large(struct rep_entry *entry)
{
	entry->payload_bytes = MAX_PAYLOAD + 1;
}
static void payload_huge(struct rep_entry *entry)
{
	entry->payload_bytes = 65535;
}

static void decode_when_entry_is_impossible_then_bad_entry(void **state)
{
	assert_int_equal(decode_changed(unchanged), REP_FRAME_OK);
	assert_int_equal(decode_changed(kind_close), REP_FRAME_OK);
	assert_int_equal(decode_changed(epoch_earlier), REP_FRAME_OK);
	assert_int_equal(decode_changed(skip_sequence), REP_FRAME_BAD_ENTRY);
	assert_int_equal(decode_changed(repeat_sequence), REP_FRAME_BAD_ENTRY);
	assert_int_equal(decode_changed(kind_zero), REP_FRAME_BAD_ENTRY);
	assert_int_equal(decode_changed(kind_unknown), REP_FRAME_BAD_ENTRY);
	assert_int_equal(decode_changed(epoch_later), REP_FRAME_BAD_ENTRY);
	assert_int_equal(decode_changed(payload_too_large), REP_FRAME_BAD_ENTRY);
	assert_int_equal(decode_changed(payload_huge), REP_FRAME_BAD_ENTRY);
}

static void decode_when_first_sequence_is_zero_or_wraps_then_bad_entry(void **state)
{
	struct sample sample;
	make_data(&sample, 1);
	entry_of(&sample, 0)->sequence = 0;
	entry_of(&sample, 0)->crc = rep_entry_crc(entry_of(&sample, 0));
	seal_data(&sample, 1);
	assert_int_equal(decode(&sample), REP_FRAME_BAD_ENTRY);

	make_data(&sample, 2);
	entry_of(&sample, 0)->sequence = UINT64_MAX;
	entry_of(&sample, 0)->crc = rep_entry_crc(entry_of(&sample, 0));
	entry_of(&sample, REP_ENTRY_HEADER_BYTES)->sequence = 0;
	entry_of(&sample, REP_ENTRY_HEADER_BYTES)->crc =
		rep_entry_crc(entry_of(&sample, REP_ENTRY_HEADER_BYTES));
	seal_data(&sample, 2);
	assert_int_equal(decode(&sample), REP_FRAME_BAD_ENTRY);
}

/* The frame's CRC covers the entries' CRC fields in their order. */
static void decode_when_entry_is_exchanged_for_a_valid_one_then_bad_crc(void **state)
{
	struct sample sample;
	make_data(&sample, 2);
	struct rep_entry *entry = entry_of(&sample, 0);
	entry->asset_id++;
	entry->crc = rep_entry_crc(entry);
	assert_int_equal(decode(&sample), REP_FRAME_BAD_CRC);
}

static void names_when_asked_then_every_value_has_one(void **state)
{
	for (uint32_t fault = 0; fault < REP_FRAME_FAULTS; fault++)
		assert_non_null(rep_frame_fault_name((enum rep_frame_fault)fault));
	assert_string_equal(rep_frame_fault_name(REP_FRAME_FAULTS), "unknown");
	for (uint32_t type = REP_FRAME_STALE; type <= REP_FRAME_GOODBYE; type++)
		assert_string_not_equal(rep_frame_type_name((enum rep_frame_type)type), "unknown");
	assert_string_equal(rep_frame_type_name((enum rep_frame_type)99), "unknown");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(decode_when_data_then_entries_come_back),
		cmocka_unit_test(decode_when_hello_or_nak_then_body_comes_back),
		cmocka_unit_test(decode_when_no_body_then_every_such_type_is_taken),
		cmocka_unit_test(decode_when_any_bit_is_flipped_then_refused),
		cmocka_unit_test(decode_when_cut_anywhere_then_refused),
		cmocka_unit_test(decode_when_padded_then_accepted),
		cmocka_unit_test(decode_when_identity_differs_then_each_has_its_reason),
		cmocka_unit_test(decode_when_own_id_is_reflected_then_header_can_be_read),
		cmocka_unit_test(decode_when_header_numbers_are_impossible_then_refused),
		cmocka_unit_test(decode_when_body_has_wrong_size_then_refused),
		cmocka_unit_test(decode_when_entry_count_lies_then_refused),
		cmocka_unit_test(decode_when_entry_is_impossible_then_bad_entry),
		cmocka_unit_test(decode_when_first_sequence_is_zero_or_wraps_then_bad_entry),
		cmocka_unit_test(decode_when_entry_is_exchanged_for_a_valid_one_then_bad_crc),
		cmocka_unit_test(names_when_asked_then_every_value_has_one),
	};
	return cmocka_run_group_tests(tests, NULL, NULL) != 0;
}
