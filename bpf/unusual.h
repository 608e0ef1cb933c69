// SPDX-License-Identifier: GPL-2.0
// What common calls do that is seldom done: make memory executable that no file is behind, and put
// a socket where a process reads its input. Both are counted by process.
#ifndef ETHOGRAM_UNUSUAL_H
#define ETHOGRAM_UNUSUAL_H

#include "privileges.h"
#include "stdio.h"

#define PROT_WRITE 2
#define PROT_EXEC 4
#define MAP_ANONYMOUS 0x20
#define PF_FORKNOEXEC 0x40
#define F_DUPFD 0
#define F_DUPFD_CLOEXEC 1030

#define MEMORY_CALLS(X, w) X(NR_mmap, w) X(NR_mprotect, w) X(NR_pkey_mprotect, w)
#define INPUT_CALLS(X, w)                                                                       \
	X(NR_dup, w) X(NR_dup2, w) X(NR_dup3, w) X(NR_fcntl, w) X(NR_connect, w)                \
	X(NR_accept, w) X(NR_accept4, w) X(NR_pidfd_getfd, w)
#define UNUSUAL_CALLS(X, w) MEMORY_CALLS(X, w) INPUT_CALLS(X, w)

static const __u64 memory_calls[NATIVE_CALLS / 64] = CALL_SET(MEMORY_CALLS);
static const __u64 input_calls[NATIVE_CALLS / 64] = CALL_SET(INPUT_CALLS);

// Is this call one that record_unusual() tells of? Programs map the code of their files without
// PROT_WRITE, and make code of what they wrote by mprotect().
static __always_inline bool is_unusual(__u32 nr, __u64 first, __u64 second, __u64 third, __u64 fourth,
				       __s64 result)
{
	switch (nr) {
	case NR_mmap:
		return third & PROT_EXEC && (third & PROT_WRITE || fourth & MAP_ANONYMOUS) &&
		       (result > 0 || result < -4095);
	case NR_mprotect:
	case NR_pkey_mprotect:
		return third & PROT_EXEC && result == 0;
	case NR_fcntl:
		return result == 0 && (second == F_DUPFD || second == F_DUPFD_CLOEXEC);
	case NR_connect:
		return (__u32)first == 0;
	case NR_dup:
	case NR_dup2:
	case NR_dup3:
	case NR_accept:
	case NR_accept4:
	case NR_pidfd_getfd:
		return result == 0;
	}
	return false;
}

__noinline int record_unusual(struct task_state *state, __u32 nr, __u64 protection)
{
	struct privilege_key key = { .granted = 1 };

	if (!state)
		return 0;
	if (is_in(input_calls, nr)) {
		__u64 address = file_address_of(bpf_get_current_task_btf(), 0);

		if (stdio_of(address) != STDIO_SOCKET)
			return 0;
		key.capability = INPUT_SOCKET | (family_of(socket_at(0)) & 0x7f);
		if (READABLE(task_struct, bpf_get_current_task_btf())->flags & PF_FORKNOEXEC)
			key.capability |= BEFORE_EXEC;
	} else {
		key.capability = EXECUTABLE_MEMORY | (protection & PROT_WRITE ? 1 : 0) |
				 (nr == NR_mmap ? 2 : 0);
	}
	key.exec_key = state->owner.exec_key;
	key.slot = state->slot;
	key.window = window;
	count_in(&privileges, &key, state->slot, PLACE_PRIVILEGES);
	return 0;
}

#endif
