// SPDX-License-Identifier: GPL-2.0
// What every call looks at, found without calling a helper.
//
// Calling the helpers that name the current task and its storage costs most of what a hook on every
// call costs: where returns are hardened against SRSO, 45 of 60 ns. An array's element is found
// inline. Its index is a hash of where the task's registers lie, on top of its kernel stack: no two
// tasks have the same place at one time. A task whose element another has goes without.
#ifndef ETHOGRAM_FAST_H
#define ETHOGRAM_FAST_H

#include "news.h"

// Logarithm of the elements, which user space sizes the map by.
const volatile __u32 fast_bits = 13;

struct fast_state {
	__u64 place; // of the registers of the task that has this element; 0: nobody has it
	__u64 task;
	__u64 history;
	__u64 salt; // of the slot and the window; mixed into cached grams
	__u64 entered_ns;
	__u32 stamp;
	__u32 slot;
	__u32 phase;
	__u32 nr;
	__u16 arch;
	__u8 in_call;
	__u8 pad[5];
	__u64 cache[NGRAM_CACHE];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 8192);
	__type(key, __u32);
	__type(value, struct fast_state);
} fast_states SEC(".maps");

// Only the difference of two pointers is a number to the verifier.
static __always_inline __u64 place_of(struct pt_regs *regs)
{
	return (__u64)regs - (__u64)&armed;
}

static __always_inline struct fast_state *fast_at(__u64 place)
{
	__u32 index = (place * FIBONACCI) >> (64 - fast_bits);

	return bpf_map_lookup_elem(&fast_states, &index);
}

static __always_inline struct fast_state *fast_of(struct pt_regs *regs)
{
	__u64 place = place_of(regs);
	struct fast_state *fast = fast_at(place);

	return fast && fast->place == place ? fast : NULL;
}

static __always_inline struct fast_state *fast_of_task(struct task_struct *task)
{
	return fast_of((void *)bpf_task_pt_regs(task));
}

// The current task, which has this element.
static __always_inline struct task_struct *task_of(struct fast_state *fast)
{
	if (has_rdonly_cast)
		return CAST(task_struct, fast->task);
	return bpf_get_current_task_btf();
}

// The element of the current task, if it can have it.
static __always_inline struct fast_state *take_fast(struct task_struct *task,
						    struct task_state *state, struct pt_regs *regs)
{
	__u64 place = place_of(regs);
	struct fast_state *fast = fast_at(place);

	if (!fast || __sync_val_compare_and_swap(&fast->place, 0, place))
		return NULL;
	fast->task = (__u64)task;
	fast->history = state->history;
	fast->entered_ns = 0;
	fast->stamp = 0;
	return fast;
}

// The task has ended, or is new, with a stack that another had.
static __always_inline void free_fast(struct task_struct *task)
{
	struct fast_state *fast = fast_of_task(task);

	if (fast)
		fast->place = 0;
}

// The task's own place changed: it looks again before its next call.
static __always_inline void look_again(struct task_struct *task, struct task_state *state)
{
	struct fast_state *fast = fast_of_task(task);

	state->stamp = 0;
	if (fast)
		fast->stamp = 0;
}

// The native call that the current task is in; false where it is in none.
static __always_inline bool is_in_call(struct task_struct *task, struct task_state *state,
				       __u32 *nr)
{
	struct fast_state *fast = fast_of_task(task);

	*nr = fast ? fast->nr : state->nr;
	return fast ? fast->in_call : state->in_call;
}

#endif
