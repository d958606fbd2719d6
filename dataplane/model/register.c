/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Asset model "register": a signed 64-bit value, 0 at first (client-protocol.md).
 */
#include "config/bytes.h"
#include "dataplane/model/model.h"

static enum dp_operation_kind register_kind(uint8_t opcode)
{
	switch (opcode) {
	case CLI_REGISTER_ADD:
	case CLI_REGISTER_SET:
	case CLI_REGISTER_CAS:
		return DP_OPERATION_WRITE;
	case CLI_REGISTER_GET:
		return DP_OPERATION_READ;
	}
	return DP_OPERATION_UNKNOWN;
}

static enum cli_status rejected(struct dp_result *result, enum cli_register_reason reason)
{
	sf_store16(result->payload, (uint16_t)reason);
	result->payload_bytes = 2;
	return CLI_REJECTED;
}

static enum cli_status ok(struct dp_result *result, int64_t value)
{
	sf_store64(result->payload, (uint64_t)value);
	result->payload_bytes = 8;
	return CLI_OK;
}

static enum cli_status
register_apply(void *state, const struct dp_operation *operation, struct dp_result *result)
{
	int64_t value = (int64_t)sf_load64(state);
	const uint8_t *payload = operation->payload;
	int64_t operand;

	switch (operation->opcode) {
	case CLI_REGISTER_ADD:
		if (operation->payload_bytes != 8)
			break;
		operand = (int64_t)sf_load64(payload);
		if (__builtin_add_overflow(value, operand, &value))
			return rejected(result, CLI_REGISTER_OVERFLOW);
		sf_store64(state, (uint64_t)value);
		return ok(result, value);
	case CLI_REGISTER_SET:
		if (operation->payload_bytes != 8)
			break;
		value = (int64_t)sf_load64(payload);
		sf_store64(state, (uint64_t)value);
		return ok(result, value);
	case CLI_REGISTER_CAS:
		if (operation->payload_bytes != 16)
			break;
		if (value != (int64_t)sf_load64(payload)) {
			rejected(result, CLI_REGISTER_MISMATCH);
			sf_store64(result->payload + 2, (uint64_t)value);
			result->payload_bytes = 10;
			return CLI_REJECTED;
		}
		value = (int64_t)sf_load64(payload + 8);
		sf_store64(state, (uint64_t)value);
		return ok(result, value);
	}
	return rejected(result, CLI_REGISTER_BAD_OPERATION);
}

static enum cli_status
register_read(const void *state, const struct dp_operation *operation, struct dp_result *result)
{
	if (operation->opcode != CLI_REGISTER_GET || operation->payload_bytes != 0)
		return rejected(result, CLI_REGISTER_BAD_OPERATION);
	memcpy(result->payload, state, 8);
	sf_store64(result->payload + 8, operation->last_update_sequence);
	result->payload_bytes = 16;
	return CLI_OK;
}

const struct dp_model dp_model_register = {
	.name = "register",
	.state_bytes = 8,
	.answer_bytes = 16,
	.kind = register_kind,
	.apply = register_apply,
	.read = register_read,
};
