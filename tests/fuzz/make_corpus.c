/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Writes the corpus of a fuzz target, or checks that the committed one is what it would write;
 * built once for each, with the name of its inputs (meson.build):
 *
 *   build/tests/fuzz/make_dns_corpus tests/fuzz/corpus/dns
 *   build/tests/fuzz/make_dns_corpus --check tests/fuzz/corpus/dns
 */
#include CORPUS_HEADER

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static bool is_there(const char *path, const uint8_t *data, size_t bytes)
{
	uint8_t there[CORPUS_ROOM + 1];
	FILE *file = fopen(path, "rb");
	size_t got = file != NULL ? fread(there, 1, sizeof(there), file) : 0;
	if (file != NULL)
		fclose(file);
	return file != NULL && got == bytes && memcmp(there, data, bytes) == 0;
}

static bool write_one(const char *path, const uint8_t *data, size_t bytes)
{
	FILE *file = fopen(path, "wb");
	bool good = file != NULL && fwrite(data, 1, bytes, file) == bytes;
	return file != NULL && fclose(file) == 0 && good;
}

int main(int argc, char **argv)
{
	static uint8_t data[CORPUS_ROOM];
	bool check = argc == 3 && strcmp(argv[1], "--check") == 0;
	const char *name, *folder = argv[argc - 1];
	uint32_t number = 0;
	size_t bytes, total = 0;
	if (argc != 2 && !check) {
		fprintf(stderr, "usage: %s [--check] FOLDER\n", argv[0]);
		return 2;
	}
	while ((bytes = CORPUS_CASE(number, data, &name)) > 0) {
		char path[512];
		snprintf(path, sizeof(path), "%s/%s", folder, name);
		if (check ? !is_there(path, data, bytes) : !write_one(path, data, bytes)) {
			fprintf(stderr, "%s: %s\n", path, check ? "differs" : "not written");
			return 1;
		}
		total += bytes;
		number++;
	}
	printf("%u inputs, %zu bytes\n", number, total);
	return 0;
}
