/* SPDX-License-Identifier: BSD-3-Clause
 *
 * read_crc FILE…: reads the files in order and computes the CRC32C of all their bytes, with the
 * code that the product uses. What a replay of the same bytes takes at the very least (perf/run
 * replay). Prints a line of JSON.
 */
#include "config/crc32c.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define PIECE_BYTES (1u << 20)

static uint64_t now_ns(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static bool read_file(const char *path, void *piece, uint32_t *crc, uint64_t *bytes)
{
	int file = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t got = file < 0 ? -1 : 1;
	/* Bounded by the file: nobody writes to it. */
	while (got > 0) {
		got = read(file, piece, PIECE_BYTES);
		if (got > 0) {
			*crc = sf_crc32c(*crc, piece, (uint64_t)got);
			*bytes += (uint64_t)got;
		}
	}
	if (got < 0)
		fprintf(stderr, "read_crc: %s: %s\n", path, strerror(errno));
	if (file >= 0)
		close(file);
	return got == 0;
}

int main(int argc, char **argv)
{
	void *piece = malloc(PIECE_BYTES);
	uint32_t crc = SF_CRC32C_INIT;
	uint64_t bytes = 0;
	if (argc < 2 || piece == NULL) {
		fprintf(stderr, "usage: read_crc FILE…\n");
		free(piece);
		return 2;
	}
	memset(piece, 0, PIECE_BYTES); /* its pages are there before the clock starts */
	uint64_t begin_ns = now_ns();
	bool good = true;
	for (int i = 1; i < argc && good; i++)
		good = read_file(argv[i], piece, &crc, &bytes);
	double seconds = (double)(now_ns() - begin_ns) / 1e9;
	free(piece);
	if (!good)
		return 1;
	printf("{\"bytes\": %" PRIu64 ", \"seconds\": %.6f, \"crc\": \"%08x\"}\n",
	       bytes,
	       seconds,
	       sf_crc32c_end(crc));
	return 0;
}
