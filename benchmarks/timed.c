// SPDX-License-Identifier: Apache-2.0
// timed OUTPUT CGROUP COMMAND...: runs COMMAND in CGROUP (`-`: where we are), and writes to OUTPUT
// "ELAPSED PROCESSOR STATUS": nanoseconds that passed, that it and its children took of the
// processors, and its wait status. Under a tracer these are the traced program's own.
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static long long now(void)
{
	struct timespec at;

	clock_gettime(CLOCK_MONOTONIC, &at);
	return at.tv_sec * 1000000000ll + at.tv_nsec;
}

static long long of(struct timeval value)
{
	return value.tv_sec * 1000000000ll + value.tv_usec * 1000ll;
}

static int join(const char *cgroup)
{
	char path[4096];
	int fd, is_done;

	if (!strcmp(cgroup, "-"))
		return 1;
	snprintf(path, sizeof(path), "%s/cgroup.procs", cgroup);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	is_done = fd >= 0 && write(fd, "0", 1) == 1;
	if (!is_done)
		perror(path);
	if (fd >= 0)
		close(fd);
	return is_done;
}

int main(int count, char **words)
{
	struct rusage usage;
	long long began;
	FILE *output;
	int status;
	pid_t pid;

	if (count < 4 || !join(words[2]))
		return 2;
	began = now();
	pid = fork();
	if (pid == 0) {
		close_range(3, ~0u, 0); // perf leaves some open
		execvp(words[3], words + 3);
		perror(words[3]);
		_exit(127);
	}
	if (pid < 0 || wait4(pid, &status, 0, &usage) != pid)
		return 2;
	output = fopen(words[1], "we");
	if (!output)
		return 2;
	fprintf(output, "%lld %lld %d\n", now() - began, of(usage.ru_utime) + of(usage.ru_stime),
		status);
	return fclose(output) != 0;
}
