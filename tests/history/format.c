/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Histories as text, one operation a line (README.md, "File format").
 */
#include "tests/history/format.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

enum key {
	CLIENT,
	REQUEST,
	ASSET,
	DO,
	ARGS,
	INVOKE,
	RETURN,
	STATUS,
	VALUE,
	VERSION,
	SEQUENCE,
	EPOCH,
	NODE,
	REASON,
	REPEAT,
	KEYS
};
#define BIT(key) (1u << (key))

static const char *const key_names[KEYS] = {
	"client",
	"request",
	"asset",
	"do",
	"args",
	"invoke",
	"return",
	"status",
	"value",
	"version",
	"sequence",
	"epoch",
	"node",
	"reason",
	"repeat",
};
static const char *const opcode_names[] = {NULL, "add", "set", "get", "cas", NULL};
static const char *const status_names[] = {
	"ok",
	"rejected",
	"not-primary",
	"busy",
	"bad-request",
	"forgotten",
	"unauthorized",
	"overloaded",
	NULL,
};
static const char *const reason_names[] = {"none", "mismatch", "overflow", "bad-operation", NULL};

struct line {
	uint32_t seen; /* bit per key */
	uint64_t number[KEYS];
	int64_t args[2];
	uint32_t args_count;
};

struct reader {
	struct hist_history *history;
	uint32_t *index; /* of operations by (client, request), open addressing, HIST_NONE: free */
	uint32_t index_mask;
	uint32_t line_number;
	char *error;
	size_t error_bytes;
};

__attribute__((format(printf, 2, 3))) static bool
refuse(struct reader *reader, const char *format, ...)
{
	va_list arguments;
	int length = snprintf(
		reader->error, reader->error_bytes, "line %" PRIu32 ": ", reader->line_number
	);
	va_start(arguments, format);
	if (length > 0 && (size_t)length < reader->error_bytes)
		vsnprintf(
			reader->error + length,
			reader->error_bytes - (size_t)length,
			format,
			arguments
		);
	va_end(arguments);
	return false;
}

/* --- Values --- */

static bool parse_unsigned(const char *text, uint64_t *number)
{
	char *end;
	errno = 0;
	*number = strtoull(text, &end, 0);
	return *text >= '0' && *text <= '9' && *end == '\0' && errno == 0;
}

static bool parse_signed(const char *text, int64_t *number)
{
	char *end;
	errno = 0;
	*number = strtoll(text, &end, 0);
	const char *digits = *text == '-' ? text + 1 : text;
	return *digits >= '0' && *digits <= '9' && *end == '\0' && errno == 0;
}

static bool parse_name(const char *text, const char *const *names, uint64_t *number)
{
	for (uint32_t i = *names == NULL ? 1 : 0; names[i] != NULL; i++) {
		if (strcmp(text, names[i]) == 0) {
			*number = i;
			return true;
		}
	}
	return false;
}

static bool parse_args(char *text, struct line *line)
{
	char *second = strchr(text, ',');
	if (second != NULL)
		*second++ = '\0';
	line->args_count = second != NULL ? 2 : 1;
	return parse_signed(text, &line->args[0]) &&
	       (second == NULL || parse_signed(second, &line->args[1]));
}

static bool parse_value(enum key key, char *text, struct line *line)
{
	uint64_t *number = &line->number[key];
	int64_t value;
	switch (key) {
	case ARGS:
		return parse_args(text, line);
	case DO:
		return parse_name(text, opcode_names, number);
	case STATUS:
		return parse_name(text, status_names, number);
	case REASON:
		return parse_name(text, reason_names, number) ||
		       (parse_unsigned(text, number) && *number <= UINT16_MAX);
	case VALUE:
		if (!parse_signed(text, &value))
			return false;
		*number = (uint64_t)value;
		return true;
	case EPOCH:
		return parse_unsigned(text, number) && *number <= UINT32_MAX;
	case NODE:
		if (text[0] >= 'A' && text[0] <= 'Z' && text[1] == '\0') {
			*number = (uint64_t)(text[0] - 'A' + 1);
			return true;
		}
		return parse_unsigned(text, number) && *number <= UINT8_MAX;
	case REPEAT:
		return false;
	default:
		return parse_unsigned(text, number);
	}
}

static bool parse_token(struct reader *reader, char *token, struct line *line)
{
	char *value = strchr(token, '=');
	uint32_t key = 0;
	if (value != NULL)
		*value++ = '\0';
	while (key < KEYS && strcmp(token, key_names[key]) != 0)
		key++;
	if (key == KEYS)
		return refuse(reader, "unknown field \"%s\"", token);
	if ((line->seen & BIT(key)) != 0)
		return refuse(reader, "%s is there twice", token);
	line->seen |= BIT(key);
	if ((value == NULL) != (key == REPEAT))
		return refuse(reader, "%s %s", token, value == NULL ? "needs a value" : "has none");
	if (value != NULL && !parse_value(key, value, line))
		return refuse(reader, "%s has a value that cannot be: \"%s\"", token, value);
	return true;
}

/* All that is needed is there, and nothing that is neither needed nor allowed. */
static bool
check_fields(struct reader *reader, const struct line *line, uint32_t needed, uint32_t allowed)
{
	for (uint32_t key = 0; key < KEYS; key++) {
		if ((needed & ~line->seen & BIT(key)) != 0)
			return refuse(reader, "%s is missing", key_names[key]);
		if ((line->seen & ~needed & ~allowed & BIT(key)) != 0)
			return refuse(reader, "%s has no place here", key_names[key]);
	}
	return true;
}

/* --- Lines --- */

static uint32_t *place(struct reader *reader, uint64_t client_id, uint64_t request_seq)
{
	uint64_t hash = (client_id * 0x9e3779b97f4a7c15ull + request_seq) * 0xbf58476d1ce4e5b9ull;
	for (uint64_t i = hash >> 24;; i++) {
		uint32_t *slot = &reader->index[i & reader->index_mask];
		if (*slot == HIST_NONE)
			return slot;
		const struct hist_operation *o = &reader->history->room.operations[*slot];
		if (o->client_id == client_id && o->request_seq == request_seq)
			return slot;
	}
}

static bool
add_answer(struct reader *reader, const struct line *line, uint32_t operation, uint32_t also)
{
	bool read = reader->history->room.operations[operation].opcode == CLI_REGISTER_GET;
	bool ok = line->number[STATUS] == CLI_OK, rejected = line->number[STATUS] == CLI_REJECTED;
	bool mismatch = rejected && line->number[REASON] == CLI_REGISTER_MISMATCH;
	uint32_t needed = also | BIT(RETURN) | BIT(STATUS);
	/* Who writes all fields of every answer may: what says nothing with this status is not
	 * taken. */
	uint32_t allowed = BIT(VALUE) | BIT(VERSION) | BIT(SEQUENCE) | BIT(EPOCH) | BIT(REASON) |
			   BIT(NODE) | BIT(REPEAT) | (also & BIT(INVOKE) ? BIT(ARGS) : 0);
	if (ok || rejected)
		needed |= BIT(VERSION) | BIT(EPOCH);
	if (ok || (rejected && !read))
		needed |= BIT(SEQUENCE);
	if (ok || mismatch)
		needed |= BIT(VALUE);
	if (rejected)
		needed |= BIT(REASON);
	if (!check_fields(reader, line, needed, allowed))
		return false;
	struct hist_answer answer = {
		.returned_ns = line->number[RETURN],
		.sequence = ok || rejected ? line->number[SEQUENCE] : 0,
		.version = ok || rejected ? line->number[VERSION] : 0,
		.value = ok || mismatch ? (int64_t)line->number[VALUE] : 0,
		.epoch = (uint32_t)line->number[EPOCH],
		.line = reader->line_number,
		.reason = rejected ? (uint16_t)line->number[REASON] : 0,
		.status = (uint8_t)line->number[STATUS],
		.node = (uint8_t)line->number[NODE],
		.repeat = (line->seen & BIT(REPEAT)) != 0,
	};
	return hist_answer(reader->history, operation, &answer) || refuse(reader, "no room");
}

static bool add_operation(struct reader *reader, const struct line *line)
{
	static const uint8_t args[] = {0, 1, 1, 0, 2};
	uint32_t asked = BIT(CLIENT) | BIT(REQUEST) | BIT(ASSET) | BIT(DO) | BIT(INVOKE);
	uint64_t opcode = line->number[DO];
	if ((asked & ~line->seen) != 0)
		return check_fields(reader, line, asked, UINT32_MAX);
	if (line->args_count != args[opcode])
		return refuse(reader, "%s takes %u args", opcode_names[opcode], args[opcode]);
	struct hist_operation operation = {
		.client_id = line->number[CLIENT],
		.request_seq = line->number[REQUEST],
		.asset_id = line->number[ASSET],
		.invoked_ns = line->number[INVOKE],
		.argument = {line->args[0], line->args[1]},
		.line = reader->line_number,
		.opcode = (uint8_t)opcode,
	};
	uint32_t index = hist_invoke(reader->history, &operation);
	if (index == HIST_NONE)
		return refuse(reader, "no room");
	*place(reader, operation.client_id, operation.request_seq) = index;
	if ((line->seen & BIT(RETURN)) == 0)
		return check_fields(reader, line, asked, BIT(ARGS));
	return add_answer(reader, line, index, asked);
}

static bool add_again(struct reader *reader, const struct line *line)
{
	uint32_t needed = BIT(CLIENT) | BIT(REQUEST);
	if ((needed & ~line->seen) != 0)
		return check_fields(reader, line, needed, UINT32_MAX);
	uint32_t index = *place(reader, line->number[CLIENT], line->number[REQUEST]);
	if (index == HIST_NONE)
		return refuse(reader, "an answer to an operation that is not above it");
	return add_answer(reader, line, index, needed);
}

static bool add_final(struct reader *reader, const struct line *line)
{
	uint32_t needed = BIT(ASSET) | BIT(VERSION) | BIT(VALUE);
	if (!check_fields(reader, line, needed, BIT(SEQUENCE) | BIT(NODE)))
		return false;
	struct hist_final final = {
		.asset_id = line->number[ASSET],
		.version = line->number[VERSION],
		.sequence = line->number[SEQUENCE],
		.value = (int64_t)line->number[VALUE],
		.line = reader->line_number,
		.node = (uint8_t)line->number[NODE],
	};
	return hist_final(reader->history, &final) || refuse(reader, "no room");
}

static bool parse_line(struct reader *reader, char *text)
{
	struct line line = {0};
	char *rest = NULL, *word = strtok_r(text, " \t", &rest), *token;
	if (word == NULL || *word == '#')
		return true;
	while ((token = strtok_r(NULL, " \t", &rest)) != NULL) {
		if (!parse_token(reader, token, &line))
			return false;
	}
	if (strcmp(word, "op") == 0)
		return add_operation(reader, &line);
	if (strcmp(word, "again") == 0)
		return add_again(reader, &line);
	if (strcmp(word, "final") == 0)
		return add_final(reader, &line);
	return refuse(reader, "a line starts with op, again, final or #, not with \"%s\"", word);
}

bool hist_parse(
	struct hist_history *history, char *text, size_t bytes, char *error, size_t error_bytes
)
{
	struct reader reader = {.history = history, .error = error, .error_bytes = error_bytes};
	uint32_t slots = 64;
	while (slots < 2u * history->room.max_operations && slots < 1u << 31)
		slots *= 2;
	reader.index = malloc(slots * sizeof(*reader.index));
	if (reader.index == NULL)
		return refuse(&reader, "no memory for %" PRIu32 " slots", slots);
	memset(reader.index, 0xff, slots * sizeof(*reader.index));
	reader.index_mask = slots - 1;
	bool good = true;
	for (char *end; bytes > 0 && good; bytes -= (size_t)(end + 1 - text), text = end + 1) {
		reader.line_number++;
		end = memchr(text, '\n', bytes);
		if (end == NULL) {
			good = refuse(&reader, "the file ends within a line");
			break;
		}
		*end = '\0';
		good = strlen(text) == (size_t)(end - text) ? parse_line(&reader, text)
							    : refuse(&reader, "a zero byte");
	}
	free(reader.index);
	return good;
}

/* --- Writing --- */

static void print_answer(const struct hist_answer *a, FILE *file)
{
	fprintf(file, " return=%" PRIu64 " status=%s", a->returned_ns, status_names[a->status & 7]);
	if (a->status == CLI_OK ||
	    (a->status == CLI_REJECTED && a->reason == CLI_REGISTER_MISMATCH))
		fprintf(file, " value=%" PRId64, a->value);
	if (a->status == CLI_REJECTED)
		fprintf(file, " reason=%u", a->reason);
	if (a->status <= CLI_REJECTED)
		fprintf(file, " version=%" PRIu64 " sequence=%" PRIu64, a->version, a->sequence);
	fprintf(file, " epoch=%" PRIu32 " node=%u%s", a->epoch, a->node, a->repeat ? " repeat" : ""
	);
}

static void print_operation(const struct hist_operation *o, FILE *file)
{
	fprintf(file, "op client=%" PRIu64 " request=%" PRIu64, o->client_id, o->request_seq);
	fprintf(file, " asset=%" PRIu64 " do=%s", o->asset_id, opcode_names[o->opcode]);
	if (o->opcode != CLI_REGISTER_GET)
		fprintf(file, " args=%" PRId64, o->argument[0]);
	if (o->opcode == CLI_REGISTER_CAS)
		fprintf(file, ",%" PRId64, o->argument[1]);
	fprintf(file, " invoke=%" PRIu64, o->invoked_ns);
}

void hist_print(const struct hist_history *history, FILE *file)
{
	for (uint32_t i = 0; i < history->operations; i++) {
		const struct hist_operation *o = &history->room.operations[i];
		print_operation(o, file);
		for (uint32_t a = o->first_answer; a != HIST_NONE;
		     a = history->room.answers[a].next) {
			if (a != o->first_answer)
				fprintf(file,
					"again client=%" PRIu64 " request=%" PRIu64,
					o->client_id,
					o->request_seq);
			print_answer(&history->room.answers[a], file);
			fputc('\n', file);
		}
		if (o->first_answer == HIST_NONE)
			fputc('\n', file);
	}
	for (uint32_t i = 0; i < history->finals; i++) {
		const struct hist_final *f = &history->room.finals[i];
		fprintf(file, "final asset=%" PRIu64 " version=%" PRIu64, f->asset_id, f->version);
		fprintf(file, " value=%" PRId64, f->value);
		if (f->sequence != 0)
			fprintf(file, " sequence=%" PRIu64, f->sequence);
		fprintf(file, " node=%u\n", f->node);
	}
}
