// SPDX-License-Identifier: GPL-2.0
// Cgroups that come and go: their paths hold the names of containers.
#ifndef ETHOGRAM_CGROUPS_H
#define ETHOGRAM_CGROUPS_H

#include "path.h"

static __always_inline __u64 parent_id(struct cgroup *cgroup)
{
	struct kernfs_node *node = cgroup->kn;
	struct kernfs_node___rcu *newer = (void *)node;

	if (bpf_core_field_exists(newer->__parent)) {
		struct kernfs_node *parent = (void *)BPF_CORE_READ(newer, __parent);

		return BPF_CORE_READ(parent, id);
	}
	return BPF_CORE_READ(node, parent, id);
}

// A container that makes cgroups below its own stays one instance. The root is nobody's own, and
// a runtime may work from a mount namespace that is not the host's.
static __always_inline bool is_made_inside(struct task_state *state, __u64 parent,
					   struct target *target)
{
	__u64 own;

	if (!state || state->slot == NO_SLOT || state->owner.mntns == host_mntns ||
	    state->owner.lineage == LINEAGE_OUTSIDE)
		return false;
	own = state->owner.cgroup_id;
	return own != ROOT_CGROUP &&
	       (parent == own || (target && target->instance_cgroup == own));
}

// A unit or container that was named is made anew: user space would learn of it too late for its
// first calls.
static __always_inline bool is_named(const char *path)
{
	struct scratch *scratch = scratch_of();
	long size;

	if (!scratch)
		return false;
	__builtin_memset(scratch->record, 0, NAMED_SIZE);
	size = bpf_probe_read_kernel_str(scratch->record, NAMED_SIZE, path);
	// What fills the room may have been cut.
	return size > 1 && size < NAMED_SIZE && bpf_map_lookup_elem(&named_cgroups, scratch->record);
}

static __always_inline void send_cgroup(__u64 id, const char *path, __u32 flags)
{
	struct scratch *scratch = scratch_of();
	struct cgroup_record record = { .kind = RECORD_CGROUP, .slot = NO_SLOT };
	long size;

	if (!scratch)
		return;
	size = bpf_probe_read_kernel_str(&scratch->record[sizeof(record)], PATH_SIZE, path);
	if (size < 1 || size > PATH_SIZE)
		size = 1;
	record.time_ns = bpf_ktime_get_boot_ns();
	record.cgroup_id = id;
	record.flags = flags;
	record.path_size = size - 1;
	__builtin_memcpy(scratch->record, &record, sizeof(record));
	if (bpf_ringbuf_output(&life, scratch->record, sizeof(record) + size - 1,
				BPF_RB_FORCE_WAKEUP))
		count_loss(NO_SLOT, LOSS_RING_FULL, PLACE_SLOTS, 1);
}

// See find_slot.
SEC("tp_btf/cgroup_attach_task")
int BPF_PROG(cgroup_moved, struct cgroup *cgroup, const char *path, struct task_struct *task,
	     bool threadgroup)
{
	phases_changed();
	return 0;
}

SEC("tp_btf/cgroup_mkdir")
int BPF_PROG(cgroup_made, struct cgroup *cgroup, const char *path)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct task_state *state = bpf_task_storage_get(&tasks, task, 0, 0);
	struct cgroup *made = READABLE(cgroup, cgroup);
	__u64 id = made->kn->id, parent;
	struct target fresh = {}, *target;

	if (made->root->hierarchy_id) // the unified hierarchy is 0
		return 0;
	parent = parent_id(made);
	target = bpf_map_lookup_elem(&targets, &parent);
	if (is_made_inside(state, parent, target)) {
		fresh.instance_cgroup = state->owner.cgroup_id;
		fresh.is_recorded = 1;
		if (bpf_map_update_elem(&targets, &id, &fresh, BPF_ANY))
			count_loss(state->slot, LOSS_MAP_FULL, PLACE_SLOTS, 1);
	} else if ((target && target->is_recorded) || is_named(path)) {
		// One that is left out says nothing of those below it.
		fresh.instance_cgroup = id;
		fresh.is_recorded = 1;
		if (bpf_map_update_elem(&targets, &id, &fresh, BPF_NOEXIST) == -E2BIG)
			count_loss(NO_SLOT, LOSS_MAP_FULL, PLACE_SLOTS, 1);
	}
	send_cgroup(id, path, 0);
	return 0;
}

SEC("tp_btf/cgroup_rmdir")
int BPF_PROG(cgroup_removed, struct cgroup *cgroup, const char *path)
{
	struct cgroup *removed = READABLE(cgroup, cgroup);
	__u64 id = removed->kn->id;

	if (removed->root->hierarchy_id)
		return 0;
	// Nothing lives there, and its id never comes again: a workload that makes cgroups without
	// end must not fill the map.
	bpf_map_delete_elem(&targets, &id);
	bpf_map_delete_elem(&namespace_counts, &id);
	send_cgroup(id, path, EVENT_REMOVED);
	return 0;
}

#endif
