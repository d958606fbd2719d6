/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/arbiter_value.h"

#include "config/crc32c.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CLUSTER_DIGITS 16

const char *ctl_value_fault_text(enum ctl_value_fault fault)
{
	static const char *const texts[CTL_VALUE_FAULTS] = {
		[CTL_VALUE_OK] = "nothing is wrong",
		[CTL_VALUE_NOT_JSON] = "it is not JSON",
		[CTL_VALUE_ODD] = "it does not have the members of a pair record",
		[CTL_VALUE_SCHEMA] = "it is of another release's schema",
		[CTL_VALUE_CLUSTER] = "it is another cluster's",
		[CTL_VALUE_PAIR] = "no pair can be in that state",
		[CTL_VALUE_SPELLING] = "it is not written as this program writes it",
		[CTL_VALUE_CHECKSUM] = "its checksum does not fit",
	};
	return (unsigned)fault < CTL_VALUE_FAULTS ? texts[fault] : "unknown";
}

bool ctl_value_is_valid(const struct rep_pair *pair)
{
	return pair->epoch != 0 && pair->primary <= 1 && pair->in_sync <= 3 &&
	       (pair->in_sync >> pair->primary & 1) != 0;
}

/* --- Writing --- */

size_t
ctl_value_put(const struct rep_pair *pair, uint64_t cluster_id, char text[CTL_ARBITER_VALUE_BYTES])
{
	static const char *const sets[] = {"", "0", "1", "0,1"};
	/* All of it is numbers: nothing needs escaping, and the spelling is ours. */
	int bytes = snprintf(
		text,
		CTL_ARBITER_VALUE_BYTES,
		"{\"schema\":%d,\"cluster\":\"%016" PRIx64 "\",\"epoch\":%" PRIu32
		",\"primary\":%u,\"in_sync\":[%s]}",
		CTL_ARBITER_SCHEMA,
		cluster_id,
		pair->epoch,
		pair->primary,
		sets[pair->in_sync & 3]
	);
	return bytes > 0 && bytes < CTL_ARBITER_VALUE_BYTES ? (size_t)bytes : 0;
}

size_t
ctl_value_put_file(const char *value, uint64_t revision, char text[CTL_ARBITER_FILE_TEXT_BYTES])
{
	int bytes = snprintf(
		text,
		CTL_ARBITER_FILE_TEXT_BYTES,
		"%s\nrevision %" PRIu64 " crc32c ",
		value,
		revision
	);
	if (bytes < 0 || bytes + 10 > CTL_ARBITER_FILE_TEXT_BYTES)
		return 0;
	uint32_t crc = sf_crc32c_end(sf_crc32c(SF_CRC32C_INIT, text, (size_t)bytes));
	snprintf(text + bytes, 10, "%08" PRIx32 "\n", crc);
	return (size_t)bytes + 9;
}

/* --- Reading --- */

static bool take_number(const json_t *object, const char *name, uint64_t most, uint64_t *number)
{
	const json_t *member = json_object_get(object, name);
	json_int_t value = json_integer_value(member);
	if (!json_is_integer(member) || value < 0 || (uint64_t)value > most)
		return false;
	*number = (uint64_t)value;
	return true;
}

static bool take_cluster(const json_t *object, uint64_t *cluster_id)
{
	const char *text = json_string_value(json_object_get(object, "cluster"));
	if (text == NULL || strlen(text) != CLUSTER_DIGITS ||
	    strspn(text, "0123456789abcdef") != CLUSTER_DIGITS)
		return false;
	*cluster_id = strtoull(text, NULL, 16);
	return true;
}

static bool take_set(const json_t *object, uint8_t *set)
{
	const json_t *array = json_object_get(object, "in_sync");
	size_t count = json_array_size(array);
	if (!json_is_array(array) || count > 2)
		return false;
	*set = 0;
	for (size_t i = 0; i < count; i++) {
		const json_t *item = json_array_get(array, i);
		json_int_t node = json_integer_value(item);
		if (!json_is_integer(item) || node < 0 || node > 1)
			return false;
		*set |= (uint8_t)(1u << node);
	}
	return true;
}

static enum ctl_value_fault take(const json_t *object, uint64_t cluster_id, struct rep_pair *pair)
{
	struct rep_pair found = {.holder = REP_HOLDER_ARBITER};
	uint64_t schema, cluster, epoch, primary;
	if (!json_is_object(object) || !take_number(object, "schema", INT64_MAX, &schema))
		return CTL_VALUE_ODD;
	/* Of another schema nothing else is known. */
	if (schema != CTL_ARBITER_SCHEMA)
		return CTL_VALUE_SCHEMA;
	if (json_object_size(object) != 5 || !take_cluster(object, &cluster) ||
	    !take_number(object, "epoch", UINT32_MAX, &epoch) ||
	    !take_number(object, "primary", UINT8_MAX, &primary) ||
	    !take_set(object, &found.in_sync))
		return CTL_VALUE_ODD;
	if (cluster != cluster_id)
		return CTL_VALUE_CLUSTER;
	found.epoch = (uint32_t)epoch;
	found.primary = (uint8_t)primary;
	if (!ctl_value_is_valid(&found))
		return CTL_VALUE_PAIR;
	*pair = found;
	return CTL_VALUE_OK;
}

enum ctl_value_fault
ctl_value_take(const char *text, size_t bytes, uint64_t cluster_id, struct rep_pair *pair)
{
	char own[CTL_ARBITER_VALUE_BYTES];
	struct rep_pair found = *pair;
	if (bytes >= CTL_ARBITER_VALUE_BYTES * 8)
		return CTL_VALUE_ODD; /* nothing of ours, whatever it is */
	json_t *object = json_loadb(text, bytes, JSON_REJECT_DUPLICATES, NULL);
	if (object == NULL)
		return CTL_VALUE_NOT_JSON;
	enum ctl_value_fault fault = take(object, cluster_id, &found);
	json_decref(object);
	if (fault != CTL_VALUE_OK)
		return fault;
	if (ctl_value_put(&found, cluster_id, own) != bytes || memcmp(own, text, bytes) != 0)
		return CTL_VALUE_SPELLING;
	*pair = found;
	return CTL_VALUE_OK;
}

enum ctl_value_fault
ctl_value_take_file(const char *text, size_t bytes, size_t *value_bytes, uint64_t *revision)
{
	char copy[CTL_ARBITER_FILE_TEXT_BYTES], own[CTL_ARBITER_FILE_TEXT_BYTES];
	uint64_t number;
	if (bytes == 0 || bytes >= sizeof(copy) || memchr(text, 0, bytes) != NULL)
		return CTL_VALUE_ODD;
	memcpy(copy, text, bytes);
	copy[bytes] = 0;
	char *line = strchr(copy, '\n');
	if (line == NULL)
		return CTL_VALUE_ODD;
	*line++ = 0;
	if (sscanf(line, "revision %" SCNu64 " crc32c ", &number) != 1)
		return CTL_VALUE_ODD;
	/* Written again it must be the same: that judges the number's spelling and the CRC. */
	if (ctl_value_put_file(copy, number, own) != bytes || memcmp(own, text, bytes) != 0)
		return CTL_VALUE_CHECKSUM;
	*value_bytes = (size_t)(line - copy) - 1;
	*revision = number;
	return CTL_VALUE_OK;
}
