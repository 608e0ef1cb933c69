// SPDX-License-Identifier: GPL-2.0
// Every system call: counted on entry, with the thread's last six; errors and refusals on exit.
#ifndef ETHOGRAM_SYSCALLS_H
#define ETHOGRAM_SYSCALLS_H

#include "arguments.h"
#include "changes.h"
#include "privileges.h"
#include "socket_calls.h"
#include "unusual.h"

#define GRAM_MASK ((1ull << 60) - 1)
#define RESTART_FIRST 512

#define LOOKED_AT_CALLS(X, w) OPERATION_CALLS(X, w) CHANGE_CALLS(X, w) SOCKET_CALLS(X, w)

// Calls that wait for work. Sleeping, and waiting for a child, is what entrypoints do before.
#define WAITING_CALLS(X, w)                                                                     \
	X(NR_poll, w) X(NR_ppoll, w) X(NR_select, w) X(NR_pselect6, w) X(NR_epoll_wait, w)      \
	X(NR_epoll_pwait, w) X(NR_epoll_pwait2, w) X(NR_pause, w) X(NR_accept, w)               \
	X(NR_accept4, w) X(NR_rt_sigtimedwait, w)

static const __u64 operation_calls[NATIVE_CALLS / 64] = CALL_SET(OPERATION_CALLS);
static const __u64 looked_at_calls[NATIVE_CALLS / 64] = CALL_SET(LOOKED_AT_CALLS);

static const __u64 waiting_calls[NATIVE_CALLS / 64] = CALL_SET(WAITING_CALLS);

// Native calls whose exit means something here even where it succeeds, whatever their arguments.
#define NOTED_CALLS(X, w)                                                                       \
	LOOKED_AT_CALLS(X, w)                                                                   \
	X(NR_openat, w) X(NR_open, w) X(NR_openat2, w) X(NR_creat, w) X(NR_listen, w)

static const __u64 noted_calls[NATIVE_CALLS / 64] = CALL_SET(NOTED_CALLS);

// Every one whose exit may mean something.
#define EXIT_CALLS(X, w) NOTED_CALLS(X, w) UNUSUAL_CALLS(X, w)

static const __u64 exit_calls[NATIVE_CALLS / 64] = CALL_SET(EXIT_CALLS);

// Calls of other tables, and numbers that are no call's.
__noinline int count_odd_call(__u32 slot, __u32 nr, __u16 arch)
{
	struct call_key key = {};

	key.slot = slot;
	key.window = window;
	key.nr = nr;
	key.arch = arch;
	if (count_in(&odd_calls, &key, slot, PLACE_SYSCALLS))
		tell_call(slot, nr, arch, NEWS_ODD_CALL);
	return 0;
}

// Give a call that is new to the slot a place to be counted. Two processors may give it one each.
__noinline int take_place(__u32 slot, __u32 nr)
{
	struct slot_places *known = bpf_map_lookup_elem(&places, &slot);
	__u32 place;

	if (!known || nr >= NATIVE_CALLS)
		return NO_PLACE;
	place = __sync_fetch_and_add(&known->used, 1) + 1;
	if (place >= SLOT_CALLS)
		place = NO_PLACE;
	else
		known->numbers[place & (SLOT_CALLS - 1)] = nr;
	if (is_in(argument_calls, nr))
		place |= LOOKED_AT; // the last place becomes none by it
	known->places[nr & (NATIVE_CALLS - 1)] = place;
	tell_call(slot, nr, NATIVE_ARCH, NEWS_CALL);
	return place;
}

// A call that has no place of its own, or has an argument that is told.
__noinline int count_rare_call(__u32 slot, __u32 nr, __u16 arch, __u32 place, __u64 argument)
{
	struct slot_counts *values;

	if (arch == NATIVE_ARCH && is_in(argument_calls, nr))
		count_argument(slot, nr, argument);
	values = bpf_map_lookup_elem(&counts, &slot);
	if (values && place < NO_PLACE)
		values->calls[place & (SLOT_CALLS - 1)]++;
	else
		count_odd_call(slot, nr, arch);
	return 0;
}

static __always_inline void count_call(struct pt_regs *regs, __u32 slot, __u32 nr, __u16 arch)
{
	struct slot_places *known;
	struct slot_counts *values;
	__u32 place = NO_PLACE;

	if (arch == NATIVE_ARCH && nr < NATIVE_CALLS) {
		known = bpf_map_lookup_elem(&places, &slot);
		place = known ? known->places[nr & (NATIVE_CALLS - 1)] : NO_PLACE;
		if (!place)
			place = take_place(slot, nr);
	}
	values = bpf_map_lookup_elem(&counts, &slot);
	if (values && place < SLOT_CALLS)
		values->calls[place & (SLOT_CALLS - 1)]++;
	else
		count_rare_call(slot, nr, arch, place, argument_of(regs, nr));
}

// Put a sequence into the window's set. Returns 0 where it is there now.
__noinline int report_gram(__u64 gram, __u32 slot)
{
	struct gram_key key = {};
	__u32 value = GRAM_SEEN;

	key.gram = gram;
	key.slot = slot;
	key.window = window;
	if (bpf_map_lookup_elem(&grams, &key))
		return 0;
	if (!take_quota(slot, QUOTA_GRAMS, quota_grams, PLACE_NGRAMS))
		return 1;
	if (knows_grams && !is_known_gram(gram, slot))
		value = GRAM_NEW;
	if (!bpf_map_update_elem(&grams, &key, &value, BPF_NOEXIST)) {
		if (value == GRAM_NEW)
			tell_gram(&key);
		return 0;
	}
	if (bpf_map_lookup_elem(&grams, &key))
		return 0;
	count_loss(slot, LOSS_MAP_FULL, PLACE_NGRAMS, 1);
	return 1;
}

// The sequence that ends with this call.
static __always_inline __u64 next_gram(__u64 history, __u32 nr, __u16 arch)
{
	__u64 number = nr < GRAM_OTHER ? nr : GRAM_OTHER, table = (__u64)arch << 60;

	if ((history & ~GRAM_MASK) != table) // another architecture's table: start anew
		history = NGRAM_NONE;
	return (((history << GRAM_BITS) | number) & GRAM_MASK) | table;
}

static __always_inline void record_entry(struct fast_state *fast, struct pt_regs *regs, __u32 nr,
					 __u16 arch)
{
	__u64 gram = next_gram(fast->history, nr, arch), seen;
	__u32 index = (gram * FIBONACCI) >> 57;

	if (fast->phase == PHASE_STARTUP && is_in(waiting_calls, nr))
		fast->entered_ns = bpf_ktime_get_boot_ns();
	count_call(regs, fast->slot, nr, arch);
	fast->history = gram;
	// A cached sequence was already reported for this slot and window; both are in the salt.
	seen = gram ^ fast->salt;
	index &= NGRAM_CACHE - 1;
	if (fast->cache[index] != seen && !report_gram(gram, fast->slot))
		fast->cache[index] = seen;
}

static __always_inline void enter_fast(struct fast_state *fast, struct task_struct *task,
				       struct pt_regs *regs, long id)
{
	__u16 arch = arch_of(task, id);
	__u32 nr = number_of(id, arch);

	// Where its end is not seen, the next call looks whether this one changed whose the task is.
	if (!has_exits && (arch != NATIVE_ARCH || nr == NR_unshare || nr == NR_setns))
		fast->stamp = 0;
	fast->in_call = 1;
	fast->arch = arch;
	fast->nr = nr;
	if (fast->slot != NO_SLOT)
		record_entry(fast, regs, nr, arch);
}

// Of a task that has no element of fast_states: without a cache.
static __always_inline void enter_plain(struct task_state *state, struct task_struct *task,
					struct pt_regs *regs, long id)
{
	state->in_call = 1;
	state->seen = 1;
	state->arch = arch_of(task, id);
	state->nr = number_of(id, state->arch);
	if (state->slot == NO_SLOT)
		return;
	if (state->phase == PHASE_STARTUP && is_in(waiting_calls, state->nr))
		state->entered_ns = bpf_ktime_get_boot_ns();
	count_call(regs, state->slot, state->nr, state->arch);
	state->history = next_gram(state->history, state->nr, state->arch);
	report_gram(state->history, state->slot);
}

// The first call of a task, of a window, and after anything changed.
static __noinline int enter_again(struct pt_regs *regs, long id)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct task_state *state;
	struct fast_state *fast;

	if (!regs)
		return 0;
	state = state_of(task);
	if (!state)
		return 0;
	find_slot(task, state);
	fast = fast_of(regs);
	if (!fast)
		fast = take_fast(task, state, regs);
	if (!fast) {
		enter_plain(state, task, regs, id);
		return 0;
	}
	fast->stamp = state->stamp;
	fast->slot = state->slot;
	fast->phase = state->phase;
	fast->salt = mix(mix(FIBONACCI, window), state->slot);
	enter_fast(fast, task, regs, id);
	return 0;
}

SEC("tp_btf/sys_enter")
int BPF_PROG(syscall_enter, struct pt_regs *regs, long id)
{
	struct fast_state *fast;

	if (!armed)
		return 0;
	fast = fast_of(regs);
	if (fast && fast->stamp == generation + window)
		enter_fast(fast, task_of(fast), regs, id);
	else
		enter_again(regs, id);
	return 0;
}

static __always_inline bool is_notified(struct task_struct *task)
{
	struct seccomp_filter *filter = READABLE(task_struct, task)->seccomp.filter;

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
	if (count_in(&denials, &key, slot, PLACE_DENIED))
		tell_denied(&key, state->owner.exe_key);
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

__noinline int count_error(__u32 slot, __u32 nr, __u16 arch, __u16 errnum)
{
	struct call_key key = {};

	// What rt_sigreturn leaves in the result register is what a signal found there.
	if (arch == NATIVE_ARCH && nr == NR_rt_sigreturn)
		return 0;
	key.slot = slot;
	key.window = window;
	key.nr = nr;
	key.arch = arch;
	key.errnum = errnum;
	count_in(&errors, &key, slot, PLACE_ERRORS);
	return 0;
}

// The workload serves from its first listen, or from its first wait that is long enough.
__noinline int maybe_steady(struct task_state *state, __u32 nr, __s64 result)
{
	bool is_steady = false;

	if (!state || state->phase != PHASE_STARTUP)
		return 0;
	if (nr == NR_listen)
		is_steady = result == 0;
	else if (is_in(waiting_calls, nr))
		is_steady = bpf_ktime_get_boot_ns() - state->entered_ns >= idle_ns;
	if (is_steady)
		now_steady(&state->owner);
	return 0;
}

struct exec_call {
	const char *asked; // user memory
	__s64 result;
	__s32 directory; // AT_FDCWD, or what execveat() was given
	__u32 pad;
};

static __noinline int exec_failed(struct task_state *state, struct pt_regs *regs, __u32 nr,
				  __s64 result);
static __noinline int compat_exec_failed(struct task_state *state, struct pt_regs *regs,
					 __s64 result);

static __always_inline void compat_socket_call(struct task_state *state, struct pt_regs *regs,
					       __s64 result)
{
	if (compat_socket_call_done(state, regs, result) == NR_listen)
		maybe_steady(state, NR_listen, result);
}

static __always_inline __u32 native_operation(__u32 nr)
{
	switch (nr) {
		COMPAT_OPERATIONS
	}
	return NATIVE_CALLS;
}

static __noinline int compat_operation_done(struct task_state *state, struct pt_regs *regs, __s64 result)
{
	struct call_arguments args = {};
	__u32 nr;

	if (!state || !regs)
		return 0;
	nr = native_operation(state->nr);
	if (nr == NATIVE_CALLS)
		return 0;
	args = (struct call_arguments){ { COMPAT_ARG1(regs), COMPAT_ARG2(regs), COMPAT_ARG3(regs),
					  COMPAT_ARG4(regs), COMPAT_ARG5(regs) } };
	if (is_unusual(nr, args.at[0], args.at[1], args.at[2], args.at[3], result))
		record_unusual(state, nr, args.at[2]);
	if (is_in(operation_calls, nr))
		record_operation(state, &args, nr, result);
	return 0;
}

// A call of the 32-bit table that just returned.
static __always_inline void compat_done(struct task_state *state, struct pt_regs *regs, __s64 result)
{
	if (result < 0 && (state->nr == COMPAT_execve || state->nr == COMPAT_execveat))
		compat_exec_failed(state, regs, result);
	else if (is_compat_socket_call(state->nr))
		compat_socket_call(state, regs, result);
	else if (native_change(state->nr) != NATIVE_CALLS)
		compat_change_done(state, regs, result);
	else
		compat_open_done(state, regs, result);
	compat_operation_done(state, regs, result);
}

static __always_inline bool is_error(__s64 result)
{
	return result < 0 && result > -RESTART_FIRST;
}

// An exit that something is told of. *fast* tells what is under way, where the task has an element.
static __noinline int exit_of_note(struct pt_regs *regs, __s64 result)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct task_state *state;
	struct fast_state *fast;
	__u32 nr;

	if (!regs)
		return 0;
	state = state_of(task);
	if (!state)
		return 0;
	fast = fast_of(regs);
	if (fast) {
		state->entered_ns = fast->entered_ns;
		if (state->slot != fast->slot) {
			// It changed during the call. What the call did is told of where it began.
			state->slot = fast->slot;
			state->phase = fast->phase;
			state->stamp = 0;
		}
		state->nr = fast->nr;
		state->arch = fast->arch;
		state->in_call = fast->in_call;
		state->seen = 1;
		fast->in_call = 0;
	}
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
	if (is_error(result))
		count_error(state->slot, nr, state->arch, -result);
	if (state->arch != NATIVE_ARCH) {
		// An unshare or setns of another table.
		if ((__u64)READABLE(task_struct, task)->nsproxy != state->nsproxy)
			look_again(task, state);
		if (state->arch == COMPAT_ARCH)
			compat_done(state, regs, result);
		return 0;
	}
	if (is_open(nr)) {
		open_done(state, regs, nr, result);
		return 0;
	}
	if (result < 0 && (nr == NR_execve || nr == NR_execveat)) {
		exec_failed(state, regs, nr, result);
		return 0;
	}
	maybe_steady(state, nr, result);
	if (is_unusual(nr, ARG1(regs), ARG2(regs), ARG3(regs), ARG4(regs), result))
		record_unusual(state, nr, ARG3(regs));
	if (is_in(looked_at_calls, nr)) {
		if (is_in(socket_calls, nr))
			socket_call_done(state, regs, nr, result);
		else
			operation_done(state, regs, nr, result);
		if (is_in(change_calls, nr))
			change_done(state, regs, nr, result);
		else if (nr == NR_open_by_handle_at && result >= 0)
			handle_opened(state, regs, result);
	}
	if (nr == NR_unshare || nr == NR_setns)
		look_again(task, state);
	return 0;
}

// Does the exit of a native call mean more than whether it failed?
static __always_inline bool is_of_note(struct fast_state *fast, struct pt_regs *regs, __s64 result)
{
	__u32 nr = fast->nr;

	if (fast->phase == PHASE_STARTUP && is_in(waiting_calls, nr))
		return true;
	if (!is_in(exit_calls, nr))
		return false;
	if (is_unusual(nr, ARG1(regs), ARG2(regs), ARG3(regs), ARG4(regs), result))
		return true;
	if (!is_in(noted_calls, nr))
		return false;
	if (!is_in(socket_calls, nr) || nr == NR_listen)
		return true;
	return !is_common_call(task_of(fast), regs, nr, result);
}

SEC("tp_btf/sys_exit")
int BPF_PROG(syscall_exit, struct pt_regs *regs, long result)
{
	struct fast_state *fast;

	if (!armed)
		return 0;
	fast = fast_of(regs);
	if (!fast || !fast->in_call ||
	    (fast->slot != NO_SLOT && (fast->arch != NATIVE_ARCH || is_of_note(fast, regs, result)))) {
		exit_of_note(regs, result);
		return 0;
	}
	if (fast->slot != NO_SLOT && is_error(result)) {
		if (fast->nr == NR_execve || fast->nr == NR_execveat) {
			exit_of_note(regs, result);
			return 0;
		}
		count_error(fast->slot, fast->nr, fast->arch, -result);
	}
	fast->in_call = 0;
	return 0;
}

#endif
