// SPDX-License-Identifier: GPL-2.0
// Whose a task is: its instance, its phase, and the slot that both have.
#ifndef ETHOGRAM_WHOSE_H
#define ETHOGRAM_WHOSE_H

#include "callers.h"

#define ROOT_CGROUP 1
#define E2BIG 7
#define EEXIST 17
#define ENOSPC 28
#define FIBONACCI 0x9E3779B97F4A7C15ull

static __always_inline __u64 mix(__u64 hash, __u64 value)
{
	hash = (hash ^ value) * FIBONACCI;
	return hash ^ (hash >> 29);
}

static __always_inline __u64 cgroup_of(struct task_struct *task)
{
	return READABLE(task_struct, task)->cgroups->dfl_cgrp->kn->id;
}

// Which mount namespace: what the kernel counts them by, of which 32 bits are enough. The inode of one
// that is gone is given to the next. Linux v6.18 gave all namespaces one count.
#define MNTNS_OF(namespace, read)                                                               \
	(bpf_core_field_exists((namespace)->ns.ns_id) ? (__u32)read(namespace, ns.ns_id) :      \
	 bpf_core_field_exists((namespace)->seq) ? (__u32)read(namespace, seq) :                \
						   (__u32)read(namespace, ns.inum))
#define LOAD(pointer, field) ((pointer)->field)

static __always_inline __u32 mntns_of(struct task_struct *task)
{
	struct nsproxy *proxy = READABLE(task_struct, task)->nsproxy; // gone while a task exits

	return proxy ? MNTNS_OF(proxy->mnt_ns, LOAD) : 0;
}

// The same of a task that the verifier does not know.
static __always_inline __u32 probed_mntns_of(struct task_struct *task)
{
	struct mnt_namespace *mnt_ns;

	if (has_rdonly_cast)
		return mntns_of(task);
	mnt_ns = BPF_CORE_READ(task, nsproxy, mnt_ns);
	return MNTNS_OF(mnt_ns, BPF_CORE_READ);
}

// Names one exec of one process on this boot: the same wherever it is computed from the task.
static __always_inline __u64 exec_key_of(struct task_struct *task)
{
	__u64 key = mix(FIBONACCI, (__u32)BPF_CORE_READ(task, tgid));

	key = mix(key, BPF_CORE_READ(task, group_leader, start_boottime));
	return mix(key, BPF_CORE_READ(task, self_exec_id)) | 1;
}

// A struct pid has a number in the PID namespace of each level, from the host's, 0, to its own.
static __always_inline void *upid_at(struct pid *pid, __u32 level)
{
	return (void *)pid + bpf_core_field_offset(struct pid, numbers) +
	       (__u64)level * bpf_core_type_size(struct upid);
}

static __always_inline __u32 number_at(struct pid *pid, __u32 level)
{
	__u32 number = 0;

	bpf_probe_read_kernel(&number, sizeof(number),
			      upid_at(pid, level) + bpf_core_field_offset(struct upid, nr));
	return number;
}

static __always_inline struct pid_namespace *pidns_at(struct pid *pid, __u32 level)
{
	struct pid_namespace *ns = NULL;

	bpf_probe_read_kernel(&ns, sizeof(ns),
			      upid_at(pid, level) + bpf_core_field_offset(struct upid, ns));
	return ns;
}

// The PID namespace that a task is in; nsproxy has the one of its future children.
static __always_inline struct pid_namespace *pidns_of(struct task_struct *task)
{
	struct pid *pid = BPF_CORE_READ(task, group_leader, thread_pid);

	return pidns_at(pid, BPF_CORE_READ(pid, level));
}

// Inodes of the namespaces that a task is in: mnt pid net uts ipc user cgroup time.
static __always_inline void namespaces_of(struct task_struct *task, __u32 *inums)
{
	struct nsproxy *proxy = PEEK(task_struct, task, nsproxy);
	struct pid_namespace *pidns = pidns_of(task);

	if (!proxy)
		return;
	inums[0] = BPF_CORE_READ(proxy, mnt_ns, ns.inum);
	inums[1] = BPF_CORE_READ(pidns, ns.inum);
	inums[2] = BPF_CORE_READ(proxy, net_ns, ns.inum);
	inums[3] = BPF_CORE_READ(proxy, uts_ns, ns.inum);
	inums[4] = BPF_CORE_READ(proxy, ipc_ns, ns.inum);
	inums[5] = BPF_CORE_READ(task, cred, user_ns, ns.inum);
	inums[6] = BPF_CORE_READ(proxy, cgroup_ns, ns.inum);
	if (bpf_core_field_exists(proxy->time_ns))
		inums[7] = BPF_CORE_READ(proxy, time_ns, ns.inum);
}

static __always_inline __u32 bits_of(const __u32 *inums)
{
	__u32 bits = 0;

	for (int i = 0; i < 8; i++)
		bits |= (inums[i] && inums[i] == host_namespaces[i]) << i;
	return bits;
}

static __always_inline __u32 ns_tgid_of(struct task_struct *task)
{
	struct pid *pid = BPF_CORE_READ(task, group_leader, thread_pid);

	return number_at(pid, BPF_CORE_READ(pid, level));
}

static __noinline bool is_recorded_mntns(__u32 mntns)
{
	__u64 *cgroup_id = NULL;

	if (mntns != host_mntns)
		cgroup_id = bpf_map_lookup_elem(&target_mntns, &mntns);
	return cgroup_id && *cgroup_id;
}

__noinline int is_recorded(__u64 cgroup_id, __u32 mntns)
{
	struct target *target = bpf_map_lookup_elem(&targets, &cgroup_id);

	if (target)
		return target->is_recorded || is_recorded_mntns(mntns);
	return record_by_default || is_recorded_mntns(mntns);
}

static __always_inline struct instance *instance_of(const struct owner *owner)
{
	struct instance_key key = { .cgroup_id = owner->cgroup_id, .mntns = owner->mntns };
	struct instance *instance = bpf_map_lookup_elem(&instances, &key);
	struct instance fresh = {};

	if (instance)
		return instance;
	bpf_map_update_elem(&instances, &key, &fresh, BPF_NOEXIST);
	return bpf_map_lookup_elem(&instances, &key);
}

__noinline int phase_of(const struct owner *owner)
{
	struct instance *instance;

	if (!owner)
		return PHASE_UNKNOWN;
	if (owner->lineage == LINEAGE_OUTSIDE)
		return PHASE_RUNTIME;
	if (owner->lineage == LINEAGE_SESSION)
		return PHASE_EXEC;
	instance = instance_of(owner);
	if (!instance)
		return PHASE_UNKNOWN;
	if (instance->is_shutting_down)
		return PHASE_SHUTDOWN;
	if (!instance->is_steady && instance->startup_ns &&
	    bpf_ktime_get_boot_ns() - instance->startup_ns > startup_max_ns)
		instance->is_steady = 1;
	return instance->is_steady ? PHASE_STEADY : PHASE_STARTUP;
}

// What the container runtime does is not judged.
static __always_inline void begin_scope(const struct slot_key *key, __u32 slot)
{
	struct scope fresh = {};

	if (!tells_news)
		return;
	if (key->phase != PHASE_RUNTIME)
		fresh.number = mix(mix(mix(FIBONACCI, key->cgroup_id), key->mntns),
				   key->phase == PHASE_EXEC) | 1;
	bpf_map_update_elem(&scopes, &slot, &fresh, BPF_ANY);
}

// Give an owner and phase a slot that nobody has, and tell user space of it: of one that it never
// hears of it could give nothing to anybody. *address* is the task's, 0 where there is none. Returns
// an error where there is one already, no room for one, or none to tell of it (ENOSPC).
__noinline int open_slot(__u64 address, struct slot_key *given, __u32 slot)
{
	struct task_struct *task = (void *)address;
	struct slot_key copy, *key = &copy; // see add_file() in names.h
	struct slot_record *record;
	__u32 inums[8] = {};
	long error;

	if (!given)
		return -EEXIST;
	copy = *given;
	record = bpf_ringbuf_reserve(&life, sizeof(*record), 0);
	if (!record)
		return -ENOSPC;
	error = bpf_map_update_elem(&slots, key, &slot, BPF_NOEXIST);
	if (error) {
		bpf_ringbuf_discard(record, BPF_RB_NO_WAKEUP);
		return error;
	}
	begin_scope(key, slot);
	record->time_ns = bpf_ktime_get_boot_ns();
	record->cgroup_id = key->cgroup_id;
	record->caps_bounding = 0;
	record->kind = RECORD_SLOT;
	record->slot = slot;
	record->phase = key->phase;
	record->mntns = key->mntns;
	record->netns = 0;
	record->tgid = 0;
	record->host_namespace_bits = 0;
	record->flags = 0;
	record->mntns_inode = 0;
	record->pad = 0;
	if (task) {
		const struct cred *cred = PEEK(task_struct, task, cred);

		bpf_core_read(&record->caps_bounding, 8, &cred->cap_bset);
		namespaces_of(task, inums);
		record->netns = inums[2];
		record->tgid = PEEK(task_struct, task, tgid);
		// It may have left the one that its owner has.
		record->mntns_inode = key->mntns == probed_mntns_of(task) ? inums[0] : 0;
		record->host_namespace_bits = bits_of(inums);
		record->flags |= PEEK(task_struct, task, seccomp.mode) ? EVENT_SECCOMP_FILTER : 0;
		record->flags |= PEEK(task_struct, task, atomic_flags) &
						 (1 << PFA_NO_NEW_PRIVS_BIT) ?
					 EVENT_NO_NEW_PRIVS : 0;
	}
	bpf_ringbuf_submit(record, BPF_RB_FORCE_WAKEUP);
	return 0;
}

// The slot of an owner in its phase; a new one from the free list where it has none yet.
__noinline int slot_of(__u64 task, const struct owner *owner, __u32 phase)
{
	__u32 slot, *known;
	struct slot_key key = {};
	int error;

	if (!owner)
		return SLOT_UNASSIGNED;
	key.cgroup_id = owner->cgroup_id;
	key.mntns = owner->mntns;
	key.phase = phase;
	known = bpf_map_lookup_elem(&slots, &key);
	if (known)
		return *known;
	if (bpf_map_pop_elem(&free_slots, &slot))
		slot = next_slot < max_slots ? __sync_fetch_and_add(&next_slot, 1) : max_slots;
	if (slot >= max_slots) {
		count_loss(SLOT_UNASSIGNED, LOSS_SLOTS_FULL, PLACE_SLOTS, 1);
		return SLOT_UNASSIGNED;
	}
	error = open_slot(task, &key, slot);
	if (!error)
		return slot;
	if (error != -EEXIST) // another CPU was first
		count_loss(SLOT_UNASSIGNED, error == -ENOSPC ? LOSS_RING_FULL : LOSS_MAP_FULL,
			   PLACE_SLOTS, 1);
	bpf_map_push_elem(&free_slots, &slot, 0);
	known = bpf_map_lookup_elem(&slots, &key);
	return known ? *known : SLOT_UNASSIGNED;
}

static __always_inline bool is_same_instance(__u64 cgroup_id, const struct owner *owner)
{
	struct target *target = bpf_map_lookup_elem(&targets, &cgroup_id);

	return target && target->instance_cgroup == owner->cgroup_id;
}

// Who joins this namespace is seen from now on. It is the last owner's, whose end forgets it.
static __always_inline void claim_mntns(const struct owner *owner)
{
	__u64 *known = bpf_map_lookup_elem(&target_mntns, &owner->mntns);

	if (known && *known == owner->cgroup_id)
		return;
	if (bpf_map_update_elem(&target_mntns, &owner->mntns, &owner->cgroup_id, BPF_ANY) == -E2BIG)
		count_loss(NO_SLOT, LOSS_MAP_FULL, PLACE_SLOTS, 1);
}

// May a mount namespace of this cgroup be an instance of its own? Unsharing without end must not
// take everybody's slots: beyond the limit it counts as the cgroup's. The root cgroup holds all
// containers on hosts whose runtimes do not use version 2.
__noinline int has_room(const struct owner *owner)
{
	struct instance_key key = {};
	__u32 one = 1, *count;
	__u64 cgroup_id;

	if (!owner)
		return false;
	key.cgroup_id = cgroup_id = owner->cgroup_id;
	key.mntns = owner->mntns;
	// A runtime joins the namespaces of its containers, which made them, without end.
	if (owner->mntns == host_mntns || owner->cgroup_id == ROOT_CGROUP ||
	    is_recorded_mntns(owner->mntns) || bpf_map_lookup_elem(&instances, &key))
		return true;
	count = bpf_map_lookup_elem(&namespace_counts, &cgroup_id);
	if (count)
		return __sync_fetch_and_add(count, 1) < max_namespaces;
	bpf_map_update_elem(&namespace_counts, &cgroup_id, &one, BPF_NOEXIST);
	return true;
}

// Whose a task is from now on that is there for the *first* time, has *moved* to another cgroup, or
// has only entered another mount namespace.
__noinline int own_anew(struct task_state *state, __u64 cgroup_id, __u32 mntns, __u32 first,
			__u32 moved)
{
	struct target *target = bpf_map_lookup_elem(&targets, &cgroup_id);
	struct instance *instance = NULL;
	struct owner next;
	__u32 is_folded;

	if (!state)
		return 0;
	next = state->owner;
	next.cgroup_id = target && target->instance_cgroup ? target->instance_cgroup : cgroup_id;
	next.mntns = mntns ? mntns : next.mntns;
	is_folded = !has_room(&next);
	if (is_folded)
		next.mntns = host_mntns;
	if (first)
		instance = instance_of(&next);
	if (first || moved || !is_folded)
		next.lineage = instance && instance->has_main ? LINEAGE_MAIN : LINEAGE_OUTSIDE;
	state->owner = next;
	state->has_owner = 1;
	return 0;
}

// A task that came into another cgroup, or from the host's mount namespace into another, is on
// its way in: it belongs to the runtime until it executes something there.
__noinline int move_in(struct task_state *state, __u64 cgroup_id, __u32 mntns)
{
	bool first, moved, is_outside, entered;

	if (!state)
		return 0;
	first = !state->has_owner;
	moved = cgroup_id != state->cgroup_id && !is_same_instance(cgroup_id, &state->owner);
	is_outside = state->mntns == host_mntns || state->owner.lineage == LINEAGE_OUTSIDE;
	entered = is_outside && mntns && mntns != state->mntns && mntns != host_mntns;
	if (first || moved || entered)
		own_anew(state, cgroup_id, mntns, first, moved);
	state->cgroup_id = cgroup_id;
	if (mntns)
		state->mntns = mntns;
	return 0;
}

static __noinline __u32 find_again(struct task_struct *task, struct task_state *state)
{
	__u64 cgroup_id, address;
	__u32 mntns;

	if (!task || !state)
		return NO_SLOT;
	// First of all: what changes while this looks must make the task look again.
	state->stamp = generation + window;
	barrier();
	state->css_set = (__u64)READABLE(task_struct, task)->cgroups;
	state->nsproxy = (__u64)READABLE(task_struct, task)->nsproxy;
	barrier();
	cgroup_id = cgroup_of(task);
	mntns = mntns_of(task);
	if ((__u32)task->tgid == recorder_tgid || task->flags & PF_KTHREAD ||
	    !is_recorded(cgroup_id, mntns ? mntns : state->mntns)) {
		state->cgroup_id = cgroup_id;
		state->mntns = mntns ? mntns : state->mntns;
		state->slot = NO_SLOT;
		publish(state);
		return NO_SLOT;
	}
	move_in(state, cgroup_id, mntns);
	if (!state->owner.exec_key)
		state->owner.exec_key = exec_key_of(task);
	if (state->owner.mntns != host_mntns)
		claim_mntns(&state->owner);
	state->phase = phase_of(&state->owner);
	state->task = (__u64)task;
	address = *(volatile __u64 *)&state->task;
	state->slot = slot_of(address, &state->owner, state->phase);
	publish(state);
	return state->slot;
}

// The task's slot, NO_SLOT where it is not recorded. Cheap when nothing changed: who moves to
// another cgroup or namespace gets another css_set or nsproxy. One that was freed and made anew at
// the same address meanwhile would hide a move; cgroup_moved makes everybody look again.
static __always_inline __u32 find_slot(struct task_struct *task, struct task_state *state)
{
	struct task_struct *now = READABLE(task_struct, task);

	if ((__u64)now->cgroups == state->css_set && (__u64)now->nsproxy == state->nsproxy &&
	    state->stamp == generation + window)
		return state->slot;
	return find_again(task, state);
}

static __always_inline struct task_state *state_of(struct task_struct *task)
{
	struct task_state *state = bpf_task_storage_get(&tasks, task, 0, 0);

	if (state)
		return state;
	state = bpf_task_storage_get(&tasks, task, 0, BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (!state) {
		count_loss(NO_SLOT, LOSS_STORAGE, PLACE_TASKS, 1);
		return NULL;
	}
	state->history = NGRAM_NONE;
	state->slot = NO_SLOT;
	return state;
}

// A thread that io_uring made works for its process: no fork told of it, and it made no call.
static __noinline struct task_state *worker_state(struct task_struct *task)
{
	struct task_state *state, *leader;

	if (!task || !(task->flags & PF_IO_WORKER))
		return NULL;
	leader = bpf_task_storage_get(&tasks, task->group_leader, 0, 0);
	if (!leader || !leader->has_owner)
		return NULL;
	state = state_of(task);
	if (!state)
		return NULL;
	state->owner = leader->owner;
	state->session_key = leader->session_key;
	state->cgroup_id = leader->cgroup_id;
	state->mntns = leader->mntns;
	state->has_owner = 1;
	return state;
}

// The state of a task that has made a call, or works for one that has.
static __always_inline struct task_state *known_state(struct task_struct *task)
{
	struct task_state *state = bpf_task_storage_get(&tasks, task, 0, 0), *worker;

	if (state && state->has_owner)
		return state;
	worker = worker_state(task);
	return worker ? worker : state;
}

// Every task looks at its instance's phase again before its next recorded call.
static __always_inline void phases_changed(void)
{
	__sync_fetch_and_add(&generation, 1);
}

// An instance serves from now on.
__noinline int now_steady(const struct owner *owner)
{
	struct instance *instance;

	if (!owner)
		return 0;
	instance = instance_of(owner);
	if (instance && !instance->is_steady) {
		instance->is_steady = 1;
		phases_changed();
	}
	return 0;
}

#endif
