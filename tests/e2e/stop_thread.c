/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Stops one thread of a process for a while, as no signal can: a debugger's stop.
 * usage: stop_thread PID NAME MILLISECONDS
 */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

static pid_t find(const char *pid, const char *wanted)
{
	char path[300], name[32];
	pid_t found = 0;
	snprintf(path, sizeof(path), "/proc/%s/task", pid);
	DIR *tasks = opendir(path);
	for (struct dirent *task; tasks && !found && (task = readdir(tasks)) != NULL;) {
		snprintf(path, sizeof(path), "/proc/%s/task/%.20s/comm", pid, task->d_name);
		FILE *file = fopen(path, "re");
		if (file == NULL)
			continue;
		if (fgets(name, sizeof(name), file) != NULL) {
			name[strcspn(name, "\n")] = 0;
			if (strcmp(name, wanted) == 0)
				found = (pid_t)atoi(task->d_name);
		}
		fclose(file);
	}
	if (tasks)
		closedir(tasks);
	return found;
}

int main(int argc, char **argv)
{
	if (argc != 4) {
		fprintf(stderr, "usage: stop_thread PID NAME MILLISECONDS\n");
		return 2;
	}
	pid_t thread = find(argv[1], argv[2]);
	if (thread == 0) {
		fprintf(stderr, "stop_thread: %s has no thread %s\n", argv[1], argv[2]);
		return 1;
	}
	if (ptrace(PTRACE_SEIZE, thread, NULL, NULL) != 0 ||
	    ptrace(PTRACE_INTERRUPT, thread, NULL, NULL) != 0 ||
	    waitpid(thread, NULL, __WALL) != thread) {
		fprintf(stderr, "stop_thread: %s\n", strerror(errno));
		return 1;
	}
	printf("stopped\n");
	fflush(stdout);
	usleep((useconds_t)atoi(argv[3]) * 1000);
	return ptrace(PTRACE_DETACH, thread, NULL, NULL) == 0 ? 0 : 1;
}
