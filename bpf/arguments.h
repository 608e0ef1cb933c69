// SPDX-License-Identifier: GPL-2.0
// The values that one argument of a few calls takes: what a seccomp filter can tell apart.
#ifndef ETHOGRAM_ARGUMENTS_H
#define ETHOGRAM_ARGUMENTS_H

#include "maps.h"
#include "privileges.h"

// Mirrored by contracts/call_arguments.py. Calls of other tables are user space's to tell.
#define ARGUMENT_CALLS(X, w)                                                                    \
	X(NR_socket, w) X(NR_clone, w) X(NR_personality, w) X(NR_ioctl, w) X(NR_prctl, w)       \
	X(NR_mprotect, w) X(NR_pkey_mprotect, w)

static const __u64 argument_calls[NATIVE_CALLS / 64] = CALL_SET(ARGUMENT_CALLS);

// Of the 64 bits what the kernel reads, or what of it is told. CLONE_NEWTIME is not clone()'s: the
// signal of the child's end is there.
static __always_inline __u64 argument_of(struct pt_regs *regs, __u32 nr)
{
	switch (nr) {
	case NR_clone:
		return ARG1(regs) & CLONE_NAMESPACES & ~CLONE_NEWTIME;
	case NR_ioctl:
		return (__u32)ARG2(regs);
	case NR_mprotect:
	case NR_pkey_mprotect:
		return ARG3(regs);
	}
	return (__u32)ARG1(regs);
}

// Who gives ever new values is told of with as many as the quota has room for, and how often others
// came: a loss would make the whole window incomplete, of which all else is known.
__noinline int count_argument(__u32 slot, __u32 nr, __u64 value)
{
	struct argument_key key = { .value = value, .slot = slot, .window = window, .nr = nr };
	__u64 one = 1, *calls = bpf_map_lookup_elem(&arguments, &key);

	if (!calls && !has_quota(slot, QUOTA_ARGUMENTS, quota_arguments)) {
		key.value = 0;
		key.is_other = 1;
		calls = bpf_map_lookup_elem(&arguments, &key);
	}
	if (!calls && bpf_map_update_elem(&arguments, &key, &one, BPF_NOEXIST) == 0)
		return 0;
	if (!calls) // another processor made it first
		calls = bpf_map_lookup_elem(&arguments, &key);
	if (calls)
		__sync_fetch_and_add(calls, 1);
	else
		count_loss(slot, LOSS_MAP_FULL, PLACE_ARGUMENTS, 1);
	return 0;
}

#endif
