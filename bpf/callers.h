// SPDX-License-Identifier: GPL-2.0
// Whose the caller is, where a program may not look into task storage.
//
// Programs of cgroups may on new kernels (on 6.18, not on 6.1). Elsewhere
// whoever may look writes what they need into a map, by exec: such a key never comes again.
#ifndef ETHOGRAM_CALLERS_H
#define ETHOGRAM_CALLERS_H

#include "arch.h"
#include "maps.h"

// In cgroup programs. Set by user space, which tries.
const volatile __u32 has_task_storage;

HASH(callers, __u64, struct owner, 65536);

static __always_inline void unpublish(__u64 exec_key)
{
	if (!has_task_storage && exec_key)
		bpf_map_delete_elem(&callers, &exec_key);
}

// The owner or the slot of a task changed.
static __always_inline void publish(const struct task_state *state)
{
	__u64 key = state->owner.exec_key;

	if (has_task_storage || !key)
		return;
	if (state->slot == NO_SLOT)
		bpf_map_delete_elem(&callers, &key);
	else if (bpf_map_update_elem(&callers, &key, &state->owner, BPF_ANY))
		count_loss(state->slot, LOSS_MAP_FULL, PLACE_TASKS, 1);
}

#endif
