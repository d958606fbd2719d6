/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Runs a fuzz target over examples and damaged copies of them: bits flipped, bytes set to edge
 * values, cut, and grown. The same with the files of a folder, if one is named: a committed corpus,
 * or what libFuzzer found. SEED in the environment replays another run.
 */
#include "tests/fuzz/fuzz_target.h"
#include "tests/unit/random.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define EXAMPLES 400
#define DAMAGED_PER_EXAMPLE 200
#define ROOM 4096

static size_t damage(struct random *random, uint8_t *data, size_t bytes)
{
	static const uint8_t edges[] = {0, 1, 0x7f, 0x80, 0xfe, 0xff};
	for (uint64_t i = random_below(random, 4); i > 0 && bytes > 0; i--) {
		uint8_t *at = &data[random_below(random, bytes)];
		if (random_below(random, 2) == 0)
			*at ^= (uint8_t)(1u << random_below(random, 8));
		else
			*at = edges[random_below(random, sizeof(edges))];
	}
	if (random_below(random, 4) == 0)
		bytes = random_below(random, bytes + 1);
	else if (random_below(random, 8) == 0 && bytes + 64 < ROOM)
		bytes += random_below(random, 64);
	return bytes;
}

static void run(const uint8_t *data, size_t bytes)
{
	/* Memory of exactly this size, so that a sanitizer sees a read beyond it. */
	uint8_t *copy = malloc(bytes + 1);
	if (copy == NULL)
		abort();
	memcpy(copy, data, bytes);
	LLVMFuzzerTestOneInput(copy, bytes);
	free(copy);
}

static void run_damaged(struct random *random, const uint8_t *data, size_t bytes)
{
	static uint8_t damaged[ROOM];
	for (int k = 0; k < DAMAGED_PER_EXAMPLE; k++) {
		memset(damaged, 0, sizeof(damaged));
		memcpy(damaged, data, bytes);
		run(damaged, damage(random, damaged, bytes));
	}
}

/* A corpus holds broken inputs too, so none of them has to be accepted. Returns 0 or an errno. */
static int run_file(struct random *random, const char *folder, const char *name)
{
	static uint8_t data[ROOM + 1];
	char path[4096];
	snprintf(path, sizeof(path), "%s/%s", folder, name);
	FILE *file = fopen(path, "rb");
	if (file == NULL)
		return errno;
	size_t bytes = fread(data, 1, sizeof(data), file);
	fclose(file);
	if (bytes > ROOM)
		return EFBIG;
	run(data, bytes);
	run_damaged(random, data, bytes);
	return 0;
}

/* In the order of their names, so that a seed gives the same run everywhere. */
static int run_folder(struct random *random, const char *folder)
{
	struct dirent **entries;
	int count = scandir(folder, &entries, NULL, alphasort), files = 0, result = 0;
	if (count < 0) {
		fprintf(stderr, "%s: %s\n", folder, strerror(errno));
		return 1;
	}
	for (int i = 0; i < count; i++) {
		if (entries[i]->d_name[0] != '.' && result == 0) {
			result = run_file(random, folder, entries[i]->d_name);
			files++;
			if (result != 0)
				fprintf(stderr,
					"%s/%s: %s\n",
					folder,
					entries[i]->d_name,
					strerror(result));
		}
		free(entries[i]);
	}
	free(entries);
	if (files == 0)
		fprintf(stderr, "%s: nothing is in it\n", folder);
	else
		printf("%d files of %s\n", files, folder);
	return result != 0 || files == 0;
}

int main(int argc, char **argv)
{
	struct random random = random_seeded(random_test_seed(argv[0], 20261121));
	static uint8_t example[ROOM];
	for (int i = 1; i < argc; i++)
		if (run_folder(&random, argv[i]) != 0)
			return 1;
	for (int i = 0; i < EXAMPLES; i++) {
		uint64_t accepted = fuzz_accepted;
		size_t bytes = fuzz_example(random_u64(&random), example, ROOM);
		run(example, bytes);
		if (fuzz_accepted == accepted) {
			fprintf(stderr, "example %d was not accepted as it is\n", i);
			return 1;
		}
		run_damaged(&random, example, bytes);
	}
	printf("%" PRIu64 " inputs were accepted\n", fuzz_accepted);
	return 0;
}
