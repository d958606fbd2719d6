/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The deliberate bugs by name, for the commands. They are compiled into a twin of each command
 * only, which stands beside it and is called NAME-canary.
 */
#include "tests/sim/sim.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

/* Of the product, then of the simulator. */
static const char *const canary_names[] = {
#define X(id, name) [SF_CANARY_##id] = name,
	SF_CANARY_LIST(X)
#undef X
#define X(id, name) [SF_CANARY_COUNT + SIM_CANARY_##id] = name,
		SIM_CANARY_LIST(X)
#undef X
};
#define CANARIES (sizeof(canary_names) / sizeof(canary_names[0]))

void sim_list_canaries(void)
{
	for (size_t i = 0; i < CANARIES; i++)
		if (canary_names[i] != NULL)
			printf("canary %s\n", canary_names[i]);
}

int sim_choose_canary(const char *name, char **argv)
{
	size_t found = 0;
	for (size_t i = 0; i < CANARIES; i++)
		if (canary_names[i] != NULL && strcmp(canary_names[i], name) == 0)
			found = i;
	if (found == 0) {
		fprintf(stderr, "no canary \"%s\"; --list names them\n", name);
		return 2;
	}
#ifdef SF_CANARIES
	if (found < SF_CANARY_COUNT)
		sf_canary = (enum sf_canary)found;
	else
		sim_canary = (enum sim_canary)(found - SF_CANARY_COUNT);
	return 0;
#else
	char path[PATH_MAX], twin[PATH_MAX + 16];
	ssize_t bytes = readlink("/proc/self/exe", path, sizeof(path) - 1);
	if (bytes > 0) {
		path[bytes] = '\0';
		snprintf(twin, sizeof(twin), "%s-canary", path);
		execv(twin, argv);
	}
	fprintf(stderr, "cannot start %s: %s\n", twin, strerror(errno));
	return 1;
#endif
}
