/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What the memory file of a node that was killed says of its log at that moment.
 * usage: last_words FILE.conf
 */
#include "config/settings.h"
#include "dataplane/shm.h"

#include <inttypes.h>
#include <stdio.h>

int main(int argc, char **argv)
{
	static struct cfg_settings settings;
	struct cfg_errors errors = {0};
	struct dp_shm *shm;
	char error[512];
	if (argc != 2 || !cfg_load(argv[1], &settings, &errors)) {
		cfg_errors_print(&errors, stderr);
		return 1;
	}
	if (dp_shm_attach_file(&settings, false, &shm, error, sizeof(error)) < 0) {
		fprintf(stderr, "last_words: %s\n", error);
		return 1;
	}
	printf("sequence %" PRIu64 " committed %" PRIu64 " written %" PRIu64 " durable %" PRIu64
	       "\n",
	       dp_shm_load(&shm->status.sequence),
	       dp_shm_load(&shm->status.committed),
	       dp_shm_load(&shm->log.written),
	       dp_shm_load(&shm->log.durable));
	return 0;
}
