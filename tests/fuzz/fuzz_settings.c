/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Coverage-guided input for cfg_load: whatever the bytes are, it comes back, says yes or lists
 * errors, and what it accepts passes its own checks and prints. Built with clang only; run it
 * longer by hand: fuzz_settings -max_total_time=600 CORPUS_FOLDER config/examples
 */
#include "config/settings.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

/* libconfig 1.5 loses its string buffer when a syntax error ends a text inside a string. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
	return "leak:strbuf_append\n";
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	static struct cfg_settings settings;
	struct cfg_errors errors = {0};
	char path[64];
	FILE *to = fopen("/dev/null", "w");
	int fd = memfd_create("fuzz.conf", MFD_CLOEXEC);

	if (!to || fd < 0 || write(fd, data, bytes) != (ssize_t)bytes)
		abort();
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (cfg_load(path, &settings, &errors)) {
		if (errors.count != 0 || !cfg_check(&settings, &errors))
			abort();
		cfg_dump(&settings, to);
		(void)cfg_digest(&settings);
	} else if (errors.count == 0) {
		abort();
	}
	cfg_errors_print(&errors, to);
	cfg_errors_free(&errors);
	close(fd);
	fclose(to);
	return 0;
}
