/* SPDX-License-Identifier: BSD-3-Clause */
#include "replication/record.h"

#include "config/canary.h"

void rep_record_boot(struct rep_record *record, uint64_t incarnation, enum rep_ack ack)
{
	bool in_sync = record->mode == REP_RECORD_STANDBY || record->mode == REP_RECORD_PAIRED;
	bool whole = record->mode == REP_RECORD_ALONE ||
		     (in_sync && (record->clean || ack == REP_ACK_DURABLE));
	record->incarnation = incarnation;
	record->boots++;
	record->write_number++;
	record->clean = false;
	if (record->mode != REP_RECORD_BLANK && !whole && !CANARY(AMNESIA_FORGOTTEN))
		record->amnesiac = true;
}

bool rep_record_complete(const struct rep_record *record, const struct rep_pair *pair)
{
	return record->epoch == pair->epoch && !record->amnesiac &&
	       record->mode >= REP_RECORD_STANDBY;
}
