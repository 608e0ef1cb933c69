// SPDX-License-Identifier: Apache-2.0
// Calls that are refused, answered by another process, or taken away before the kernel makes them.
#ifndef KNOWN_WATCHED_H
#define KNOWN_WATCHED_H

#include <linux/poll.h>
#include <linux/prctl.h>
#include <linux/ptrace.h>
#include <sys/ioctl.h>

// ---- filters -----------------------------------------------------------------------------

struct filter_step {
	uint16_t code;
	uint8_t when_true, when_false;
	uint32_t value;
};

// A filter that answers call *nr* with *answer*; returns what seccomp() does.
static long install_filter(long nr, uint32_t answer, long flags)
{
	struct filter_step steps[] = {
		{0x20, 0, 0, 0}, // load seccomp_data.nr
		{0x15, 0, 1, (uint32_t)nr},
		{0x06, 0, 0, answer},
		{0x06, 0, 0, SECCOMP_RET_ALLOW},
	};
	struct {
		uint16_t size;
		struct filter_step *steps;
	} program = {4, steps};

	raw(SYS_prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	return raw(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program);
}

static long do_seccomp(char **words, int count)
{
	static const struct choice names[] = {
		{"errno", SECCOMP_RET_ERRNO},	  {"trap", SECCOMP_RET_TRAP},
		{"log", SECCOMP_RET_LOG},	  {"kill-process", (long)SECCOMP_RET_KILL_PROCESS},
		{"kill-thread", SECCOMP_RET_KILL_THREAD}, {"trace", SECCOMP_RET_TRACE},
		{0, 0},
	};
	long data = count > 2 ? number(words[2]) & 0xffff : 1;
	long action = choose(names, "not a seccomp action", words[1]);

	return install_filter(number(words[0]), (uint32_t)(action | data), 0);
}

static long do_strict(char **words, int count)
{
	(void)words, (void)count;
	is_strict = 1;
	return raw(SYS_prctl, PR_SET_SECCOMP, SECCOMP_MODE_STRICT);
}

// ---- a notifier --------------------------------------------------------------------------

// Answers what *listener* is asked until nobody is left to ask.
static void answer_all(long listener, const struct seccomp_notif_resp *answer)
{
	struct pollfd watched = {.fd = (int)listener, .events = POLLIN};

	while (raw(SYS_poll, &watched, 1, -1) == 1 && watched.revents & POLLIN) {
		struct seccomp_notif question = {0};
		struct seccomp_notif_resp response = *answer;

		if (raw(SYS_ioctl, listener, SECCOMP_IOCTL_NOTIF_RECV, &question) < 0)
			continue;
		response.id = question.id;
		raw(SYS_ioctl, listener, SECCOMP_IOCTL_NOTIF_SEND, &response);
	}
}

static long do_notify(char **words, int count)
{
	static const struct choice names[] = {{"answer", 0}, {"refuse", 1}, {"continue", 2}, {0, 0}};
	long how = choose(names, "not an answer (answer refuse continue)", words[1]);
	struct seccomp_notif_resp answer = {
		.val = how == 0 ? 42 : 0,
		.error = how == 1 ? -1 : 0,
		.flags = how == 2 ? SECCOMP_USER_NOTIF_FLAG_CONTINUE : 0,
	};
	int ends[2], listener = -1;
	long pid;

	if (raw(SYS_pipe2, ends, 0) < 0)
		return -1;
	pid = raw(SYS_clone, CLONE_FILES | SIGCHLD, 0, 0, 0, 0); // one table of descriptors
	if (pid == 0) {
		listener = (int)install_filter(number(words[0]), SECCOMP_RET_USER_NOTIF,
					       SECCOMP_FILTER_FLAG_NEW_LISTENER);
		raw(SYS_write, ends[1], &listener, sizeof(listener));
		if (listener >= 0)
			run_group(words + 2, count - 2);
		leave(0);
	}
	raw(SYS_read, ends[0], &listener, sizeof(listener));
	if (listener >= 0)
		answer_all(listener, &answer);
	raw(SYS_close, listener);
	raw(SYS_close, ends[0]);
	raw(SYS_close, ends[1]);
	return pid < 0 ? pid : wait_for(pid);
}

// ---- a tracer ----------------------------------------------------------------------------

#define USER_ORIG_AX 120
#define USER_AX 80
#define EVENT_STOP(status) ((status) >> 8 == (SIGTRAP | PTRACE_EVENT_SECCOMP << 8))
#define CALL_STOP(status) ((status) >> 8 == (SIGTRAP | 0x80))

enum tracer { TRACER_ALLOWS, TRACER_CANCELS, TRACER_EMULATES };

static void trace(long pid, enum tracer how)
{
	long resume = how == TRACER_EMULATES ? PTRACE_SYSEMU : PTRACE_CONT, signal = 0;
	int status;

	while (raw(SYS_wait4, pid, &status, 0, 0) == pid && (status & 0xff) == 0x7f) {
		signal = status >> 8 & 0xff;
		if (signal == SIGSTOP) {
			raw(SYS_ptrace, PTRACE_SETOPTIONS, pid, 0,
			    PTRACE_O_TRACESECCOMP | PTRACE_O_TRACESYSGOOD);
			signal = 0;
		} else if (EVENT_STOP(status) || CALL_STOP(status)) {
			long nr = -1;

			raw(SYS_ptrace, PTRACE_PEEKUSR, pid, USER_ORIG_AX, &nr);
			if (how == TRACER_CANCELS)
				raw(SYS_ptrace, PTRACE_POKEUSR, pid, USER_ORIG_AX, -1);
			if (how != TRACER_ALLOWS)
				raw(SYS_ptrace, PTRACE_POKEUSR, pid, USER_AX, 42);
			if (CALL_STOP(status) && nr == SYS_exit_group)
				raw(SYS_kill, pid, SIGKILL);
			signal = 0;
		}
		raw(SYS_ptrace, resume, pid, 0, signal);
	}
}

static long do_traced(char **words, int count)
{
	static const struct choice names[] = {
		{"allow", TRACER_ALLOWS}, {"cancel", TRACER_CANCELS},
		{"emulate", TRACER_EMULATES}, {0, 0},
	};
	enum tracer how = (enum tracer)choose(names, "not a tracer (allow cancel emulate)", words[0]);
	long pid = raw(SYS_fork);

	if (pid == 0) {
		raw(SYS_ptrace, PTRACE_TRACEME, 0, 0, 0);
		raw(SYS_kill, raw(SYS_getpid), SIGSTOP);
		run_group(words + 1, count - 1);
		leave(0);
	}
	if (pid > 0)
		trace(pid, how);
	return pid;
}

// ---- user dispatch -----------------------------------------------------------------------

static volatile char dispatch_selector;

static void stop_dispatch(int signal)
{
	(void)signal;
	dispatch_selector = SYSCALL_DISPATCH_FILTER_ALLOW;
}

static long do_user_dispatch(char **words, int count)
{
	(void)count;
	handle_signal(SIGSYS, stop_dispatch);
	if (raw(SYS_prctl, PR_SET_SYSCALL_USER_DISPATCH, PR_SYS_DISPATCH_ON, 0, 0,
		&dispatch_selector) < 0)
		return -1;
	for (long n = number(words[1]); n > 0; n--) {
		dispatch_selector = SYSCALL_DISPATCH_FILTER_BLOCK;
		raw(number(words[0]));
	}
	return raw(SYS_prctl, PR_SET_SYSCALL_USER_DISPATCH, PR_SYS_DISPATCH_OFF, 0, 0, 0);
}

#endif
