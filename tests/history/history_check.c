/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Judges a history in a file: by versions all of it, by search every asset that is small enough.
 */
#include "config/exit_codes.h"
#include "tests/history/format.h"

#include <getopt.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

struct options {
	const char *file;
	bool json;
	bool search;
	uint32_t states;
};

struct text_file {
	char *text;
	size_t bytes;
	size_t lines;
};

static const char usage[] =
	"usage: history_check [--json] [--no-search] [--states N] FILE      (-: standard input)\n"
	"Judges a history of register operations as clients saw them; tests/history/README.md has "
	"the "
	"format.\n"
	"Exit: 0 no violation, 1 violation or undecided, 2 usage, 4 the file is malformed.\n";

static bool read_file(const char *path, struct text_file *file)
{
	FILE *stream = strcmp(path, "-") == 0 ? stdin : fopen(path, "rb");
	size_t room = 1 << 16, got = 1;
	if (stream == NULL)
		return false;
	file->text = malloc(room);
	while (file->text != NULL && got > 0) {
		if (file->bytes == room) {
			char *more = realloc(file->text, room *= 2);
			if (more == NULL)
				free(file->text);
			file->text = more;
			continue;
		}
		got = fread(file->text + file->bytes, 1, room - file->bytes, stream);
		file->bytes += got;
	}
	bool good = file->text != NULL && !ferror(stream);
	if (stream != stdin)
		fclose(stream);
	for (size_t i = 0; good && i < file->bytes; i++)
		file->lines += file->text[i] == '\n' ? 1 : 0;
	return good && file->lines < UINT32_MAX / 8;
}

static bool make_room(struct hist_history *history, uint32_t lines)
{
	struct hist_room room = {
		.operations = calloc(lines + 1u, sizeof(struct hist_operation)),
		.answers = calloc(lines + 1u, sizeof(struct hist_answer)),
		.finals = calloc(lines + 1u, sizeof(struct hist_final)),
		.max_operations = lines + 1u,
		.max_answers = lines + 1u,
		.max_finals = lines + 1u,
	};
	hist_init(history, &room);
	return room.operations != NULL && room.answers != NULL && room.finals != NULL;
}

/* --- What is said --- */

static const char *word(const struct hist_verdict *versions, const struct hist_verdict *search)
{
	if (versions->violations > 0 || search->violations > 0)
		return "violation";
	return hist_good(versions) && hist_good(search) ? "ok" : "undecided";
}

static void print_text(const struct hist_history *history, const struct hist_verdict *verdict)
{
	char text[1000];
	for (uint32_t i = 0; i < verdict->shown_count; i++) {
		hist_describe(history, &verdict->shown[i], text, sizeof(text));
		printf("%s\n", text);
	}
	if (verdict->violations > verdict->shown_count)
		printf("… and %" PRIu64 " more\n", verdict->violations - verdict->shown_count);
}

static void print_person(
	const struct hist_history *history,
	const struct hist_verdict *versions,
	const struct hist_verdict *search
)
{
	print_text(history, versions);
	print_text(history, search);
	printf("%" PRIu64 " assets, %" PRIu64 " updates, %" PRIu64 " reads, %" PRIu64 " unknown, ",
	       versions->assets,
	       versions->updates,
	       versions->reads,
	       versions->unknown);
	printf("%" PRIu64 " gaps filled, %" PRIu32 " final states; ",
	       versions->gaps,
	       history->finals);
	printf("searched %" PRIu64 " assets (%" PRIu64 " too large), %" PRIu64 " states; ",
	       search->assets - search->too_large,
	       search->too_large,
	       search->states);
	printf("gave up on %" PRIu64 " and %" PRIu64 "\n", versions->gave_up, search->gave_up);
	printf("%s: %" PRIu64 " violations by versions, %" PRIu64 " by search\n",
	       word(versions, search),
	       versions->violations,
	       search->violations);
}

/* Nothing in these texts needs escaping. */
static void json_operation(const struct hist_history *history, uint32_t index, const char *name)
{
	if (index == HIST_NONE)
		return;
	const struct hist_operation *o = &history->room.operations[index];
	printf(",\"%s\":{\"client\":%" PRIu64 ",\"request\":%" PRIu64 ",\"line\":%" PRIu32 "}",
	       name,
	       o->client_id,
	       o->request_seq,
	       o->line);
}

static void
json_violations(const struct hist_history *history, const struct hist_verdict *verdict, bool first)
{
	char text[1000];
	for (uint32_t i = 0; i < verdict->shown_count; i++) {
		const struct hist_violation *v = &verdict->shown[i];
		hist_describe(history, v, text, sizeof(text));
		printf("%s\n {\"kind\":\"%s\",\"asset\":%" PRIu64 ",\"version\":%" PRIu64,
		       first && i == 0 ? "" : ",",
		       hist_kind_name(v->kind),
		       v->asset_id,
		       v->version);
		json_operation(history, v->first, "operation");
		json_operation(history, v->other, "against");
		printf(",\"text\":\"%s\"}", text);
	}
}

static void print_json(
	const struct hist_history *history,
	const struct hist_verdict *versions,
	const struct hist_verdict *search
)
{
	printf("{\"verdict\":\"%s\",\"operations\":%" PRIu32,
	       word(versions, search),
	       history->operations);
	printf(",\"assets\":%" PRIu64 ",\"updates\":%" PRIu64, versions->assets, versions->updates);
	printf(",\"reads\":%" PRIu64 ",\"unknown\":%" PRIu64, versions->reads, versions->unknown);
	printf(",\"gaps_filled\":%" PRIu64 ",\"final_states\":%" PRIu32,
	       versions->gaps,
	       history->finals);
	printf(",\"searched\":%" PRIu64, search->assets - search->too_large);
	printf(",\"too_large_to_search\":%" PRIu64, search->too_large);
	printf(",\"gave_up\":%" PRIu64, versions->gave_up + search->gave_up);
	printf(",\"violations_by_versions\":%" PRIu64, versions->violations);
	printf(",\"violations_by_search\":%" PRIu64 ",\"kinds\":{", search->violations);
	bool first = true;
	for (uint32_t kind = 0; kind < HIST_KINDS; kind++) {
		uint64_t count = versions->counts[kind] + search->counts[kind];
		if (count == 0)
			continue;
		printf("%s\"%s\":%" PRIu64, first ? "" : ",", hist_kind_name(kind), count);
		first = false;
	}
	printf("},\"violations\":[");
	json_violations(history, versions, true);
	json_violations(history, search, versions->shown_count == 0);
	printf("]}\n");
}

/* --- The command --- */

static int judge(const struct hist_history *history, const struct options *options)
{
	struct hist_verdict versions = {0}, search = {0};
	struct hist_limits limits = {
		.operations = history->operations,
		.answers = history->answers,
		.finals = history->finals,
		.search_states = options->states,
	};
	struct hist_checker *checker = hist_checker_new(&limits);
	if (checker == NULL) {
		fprintf(stderr, "history_check: no memory\n");
		return SF_EXIT_DATA;
	}
	hist_check_versions(checker, history, &versions);
	if (options->search)
		hist_check_search(checker, history, false, &search);
	hist_checker_free(checker);
	if (options->json)
		print_json(history, &versions, &search);
	else
		print_person(history, &versions, &search);
	return hist_good(&versions) && hist_good(&search) ? SF_EXIT_OK : SF_EXIT_FAILED;
}

static bool parse_options(int count, char **words, struct options *options)
{
	static const struct option known[] = {
		{"json", no_argument, NULL, 'j'},
		{"no-search", no_argument, NULL, 'n'},
		{"states", required_argument, NULL, 's'},
		{"help", no_argument, NULL, 'h'},
		{0},
	};
	char *end;
	int option;
	while ((option = getopt_long(count, words, "jh", known, NULL)) != -1) {
		switch (option) {
		case 'j':
			options->json = true;
			break;
		case 'n':
			options->search = false;
			break;
		case 's':
			options->states = (uint32_t)strtoul(optarg, &end, 10);
			if (*end != '\0' || options->states == 0 || options->states > 100000000)
				return false;
			break;
		case 'h':
			fputs(usage, stdout);
			exit(SF_EXIT_OK);
		default:
			return false;
		}
	}
	options->file = words[optind];
	return optind + 1 == count;
}

int main(int count, char **words)
{
	struct options options = {.search = true};
	struct text_file file = {0};
	struct hist_history history;
	char error[200];
	if (!parse_options(count, words, &options)) {
		fputs(usage, stderr);
		return SF_EXIT_USAGE;
	}
	if (!read_file(options.file, &file) || !make_room(&history, (uint32_t)file.lines)) {
		fprintf(stderr, "history_check: %s cannot be read\n", options.file);
		return SF_EXIT_DATA;
	}
	int code = SF_EXIT_DATA;
	if (hist_parse(&history, file.text, file.bytes, error, sizeof(error)))
		code = judge(&history, &options);
	else
		fprintf(stderr, "%s: %s\n", options.file, error);
	free(file.text);
	free(history.room.operations);
	free(history.room.answers);
	free(history.room.finals);
	return code;
}
