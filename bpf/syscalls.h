// SPDX-License-Identifier: GPL-2.0
// Every system call: counted on entry, with the thread's last six; errors and refusals on exit.
#ifndef ETHOGRAM_SYSCALLS_H
#define ETHOGRAM_SYSCALLS_H

#include "files.h"
#include "privileges.h"
#include "unix.h"

#define GRAM_BITS 10
#define GRAM_MASK ((1ull << 60) - 1)
#define GRAM_OTHER 1022 // a number that ten bits cannot hold; 1023 is "no call yet"
#define RESTART_FIRST 512

#define LOOKED_AT_CALLS(X, w) OPERATION_CALLS(X, w) SOCKET_CALLS(X, w)

// Calls that wait for work. Sleeping, and waiting for a child, is what entrypoints do before.
#define WAITING_CALLS(X, w)                                                                     \
	X(NR_poll, w) X(NR_ppoll, w) X(NR_select, w) X(NR_pselect6, w) X(NR_epoll_wait, w)      \
	X(NR_epoll_pwait, w) X(NR_epoll_pwait2, w) X(NR_pause, w) X(NR_accept, w)               \
	X(NR_accept4, w) X(NR_rt_sigtimedwait, w)

// All others leave after one look.
static const __u64 looked_at_calls[NATIVE_CALLS / 64] = CALL_SET(LOOKED_AT_CALLS);

static const __u64 waiting_calls[NATIVE_CALLS / 64] = CALL_SET(WAITING_CALLS);

static __always_inline void count_call(struct task_state *state, __u32 slot)
{
	if (state->arch == NATIVE_ARCH && state->nr < NATIVE_CALLS) {
		struct slot_counts *values = bpf_map_lookup_elem(&counts, &slot);

		if (values)
			values->calls[state->nr & (NATIVE_CALLS - 1)]++;
	} else {
		struct call_key key = { slot, window, state->nr, state->arch, 0 };

		count_in(&odd_calls, &key, slot, PLACE_SYSCALLS);
	}
}

static __always_inline void record_gram(struct task_state *state, __u32 slot)
{
	__u64 number = state->nr < GRAM_OTHER ? state->nr : GRAM_OTHER;
	__u64 arch = (__u64)state->arch << 60;
	__u64 gram, seen;
	__u32 index, one = 1;
	struct gram_key key;
	long error;

	if ((state->history & ~GRAM_MASK) != arch) // another architecture's table: start anew
		state->history = arch | NGRAM_NONE;
	gram = ((state->history << GRAM_BITS) | number) & GRAM_MASK;
	gram |= arch;
	state->history = gram;
	// A cached gram was already reported for this slot and window; both are mixed in.
	seen = gram ^ mix(mix(FIBONACCI, window), slot);
	index = (gram * FIBONACCI) >> 57;
	index &= NGRAM_CACHE - 1;
	if (state->cache[index] == seen)
		return;
	key.gram = gram;
	key.slot = slot;
	key.window = window;
	if (!bpf_map_lookup_elem(&grams, &key)) {
		if (!take_quota(slot, QUOTA_GRAMS, quota_grams, PLACE_NGRAMS))
			return;
		error = bpf_map_update_elem(&grams, &key, &one, BPF_NOEXIST);
		if (error && !bpf_map_lookup_elem(&grams, &key)) {
			count_loss(slot, LOSS_MAP_FULL, PLACE_NGRAMS, 1);
			return;
		}
	}
	state->cache[index] = seen;
}

SEC("tp_btf/sys_enter")
int BPF_PROG(syscall_enter, struct pt_regs *regs, long id)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct task_state *state;
	__u32 slot;

	if (!armed)
		return 0;
	state = state_of(task);
	if (!state)
		return 0;
	state->in_call = 1;
	state->seen = 1;
	state->arch = arch_of(task, id);
	state->nr = number_of(id, state->arch);
	slot = find_slot(task, state);
	if (slot == NO_SLOT)
		return 0;
	if (state->phase == PHASE_STARTUP && is_in(waiting_calls, state->nr))
		state->entered_ns = bpf_ktime_get_boot_ns();
	count_call(state, slot);
	record_gram(state, slot);
	return 0;
}

static __always_inline bool is_notified(struct task_struct *task)
{
	struct seccomp_filter *filter = task->seccomp.filter;

	for (int i = 0; i < 16 && filter; i++) {
		if (BPF_CORE_READ(filter, notif))
			return true;
		filter = BPF_CORE_READ(filter, prev);
	}
	return false;
}

static __always_inline void record_denied(struct task_struct *task, struct task_state *state,
					  __s64 nr, __s64 result, __u32 action)
{
	struct denied_key key = {};
	__u32 slot = find_slot(task, state);

	if (slot == NO_SLOT)
		return;
	key.exec_key = state->owner.exec_key;
	key.slot = slot;
	key.window = window;
	key.arch = arch_of(task, nr);
	key.nr = number_of(nr, key.arch);
	key.action = action;
	key.has_errno = action == ACTION_ERRNO;
	key.errnum = action == ACTION_ERRNO && result < 0 ? -result : 0;
	count_in(&denials, &key, slot, PLACE_DENIED);
}

// An exit without an entry, on a task that is known not to have been in a call: something
// skipped the call before the entry was traced. Seccomp, unless a tracer or a notifier did it.
static __noinline int call_skipped(struct task_struct *task, struct task_state *state,
				   struct pt_regs *regs, __s64 result)
{
	__s64 nr;
	__u32 action = ACTION_ERRNO;
	__u8 trapped;

	if (!task || !state || !regs)
		return 0;
	nr = EXIT_NR(regs);
	trapped = state->trapped;
	state->trapped = 0;
	if (task->seccomp.mode == 0 || IS_EMULATED_BY_PTRACE(task))
		return 0;
	if (nr == -1) // a tracer cancelled it, or a signal handler returned
		return 0;
	if (is_notified(task))
		return 0;
	if (task->seccomp.mode == SECCOMP_MODE_DEAD) {
		action = ACTION_KILL;
		state->killed = 1;
	} else if (trapped) {
		action = ACTION_TRAP;
	}
	record_denied(task, state, nr, result, action);
	return 0;
}

static __always_inline void record_error(struct task_state *state, __s64 result)
{
	struct call_key key = { state->slot, window, state->nr, state->arch, -result };

	count_in(&errors, &key, state->slot, PLACE_ERRORS);
}

// The workload serves from its first listen, or from its first wait that is long enough.
static __always_inline void maybe_steady(struct task_state *state, __u32 nr, __s64 result)
{
	struct instance *instance;
	bool is_steady = false;

	if (state->phase != PHASE_STARTUP)
		return;
	if (nr == NR_listen)
		is_steady = result == 0;
	else if (is_in(waiting_calls, nr))
		is_steady = bpf_ktime_get_boot_ns() - state->entered_ns >= idle_ns;
	if (!is_steady)
		return;
	instance = instance_of(&state->owner);
	if (instance && !instance->is_steady) {
		instance->is_steady = 1;
		phases_changed();
	}
}

static __always_inline bool is_open(__u32 nr)
{
	return nr == NR_openat || nr == NR_open || nr == NR_openat2 || nr == NR_creat;
}

static __noinline int record_exec_failed(struct task_state *state, struct pt_regs *regs, __u32 nr,
					 __s64 result);

SEC("tp_btf/sys_exit")
int BPF_PROG(syscall_exit, struct pt_regs *regs, long result)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct task_state *state;
	__u32 nr;

	if (!armed)
		return 0;
	state = state_of(task);
	if (!state)
		return 0;
	if (!state->in_call) {
		// The first exit of a thread that was already blocked in a call proves nothing.
		if (state->seen)
			call_skipped(task, state, regs, result);
		state->seen = 1;
		return 0;
	}
	state->in_call = 0;
	if (state->slot == NO_SLOT)
		return 0;
	nr = state->nr;
	// What rt_sigreturn leaves in the result register is what a signal found there.
	if (result < 0 && result > -RESTART_FIRST &&
	    !(state->arch == NATIVE_ARCH && nr == NR_rt_sigreturn))
		record_error(state, result);
	if (state->arch != NATIVE_ARCH) {
		if (state->arch == COMPAT_ARCH)
			compat_open_done(state, regs, result);
		return 0;
	}
	if (is_open(nr)) {
		open_done(state, regs, nr, result);
		return 0;
	}
	if (result < 0 && (nr == NR_execve || nr == NR_execveat)) {
		record_exec_failed(state, regs, nr, result);
		return 0;
	}
	maybe_steady(state, nr, result);
	if (is_in(looked_at_calls, nr)) {
		if (is_in(socket_calls, nr))
			socket_call_done(state, regs, nr, result);
		else
			record_operation(state, regs, nr, result);
	}
	return 0;
}

#endif
