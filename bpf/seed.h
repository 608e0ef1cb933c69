// SPDX-License-Identifier: GPL-2.0
// What ran before recording began: iterators that user space reads once, after attaching.
#ifndef ETHOGRAM_SEED_H
#define ETHOGRAM_SEED_H

#include "network.h"
#include "processes.h"
#include "tcp.h"
#include "unix.h"

#define ANCESTRY 64
#define SOCK_BINDPORT_LOCK 8

struct climb {
	struct task_struct *at;
	__u32 mntns;
};

static long climb_step(__u32 index, void *context)
{
	struct climb *climb = context;
	struct task_struct *at = climb->at, *parent = BPF_CORE_READ(at, real_parent);

	if (ns_tgid_of(at) == 1 ||
	    probed_mntns_of(parent) != climb->mntns)
		return 1;
	climb->at = parent;
	return 0;
}

// The root of a task's tree within its mount namespace: process 1 of its PID namespace, or what
// entered from outside. Outside of containers every process that was there is its own.
static __always_inline struct task_struct *root_of(struct task_struct *task, __u32 mntns)
{
	struct climb climb = { .at = BPF_CORE_READ(task, group_leader), .mntns = mntns };

	if (mntns == host_mntns)
		return climb.at;
	// Verified once; see walk_up().
	if (bpf_core_enum_value_exists(enum bpf_func_id, BPF_FUNC_loop)) {
		bpf_loop(ANCESTRY, climb_step, &climb, 0);
	} else {
		for (int i = 0; i < ANCESTRY; i++)
			if (climb_step(i, &climb))
				break;
	}
	return climb.at;
}

static __always_inline void describe_snapshot(struct task_struct *task, struct task_state *state)
{
	struct file *file = BPF_CORE_READ(task, mm, exe_file);
	struct scratch *scratch = scratch_of();
	struct process_record *record;
	__u32 position = sizeof(*record);

	if (!scratch || !file)
		return;
	record = begin_process(scratch, RECORD_EXEC);
	fill_process(record, task, state);
	record->time_ns = BPF_CORE_READ(task, group_leader, start_boottime);
	record->flags |= EVENT_SNAPSHOT;
	describe_executable((__u64)file, record, &position);
	append_peers(task, record, &position);
	state->owner.exe_key = record->exe_key;
	send_process(scratch, record, position);
}

// The host's namespaces are process 1's, found up the tree from whoever reads this: /proc/1 may
// be hidden from it, or be another process in its PID namespace.
SEC("iter/task")
int host_seed(struct bpf_iter__task *context)
{
	struct task_struct *task = bpf_get_current_task_btf();
	__u32 inums[8] = {};

	if (host_namespaces[0])
		return 0;
	for (int i = 0; i < ANCESTRY && BPF_CORE_READ(task, tgid) > 1; i++)
		task = BPF_CORE_READ(task, real_parent);
	inums[0] = BPF_CORE_READ(task, nsproxy, mnt_ns, ns.inum);
	inums[1] = BPF_CORE_READ(task, nsproxy, pid_ns_for_children, ns.inum);
	inums[2] = BPF_CORE_READ(task, nsproxy, net_ns, ns.inum);
	inums[3] = BPF_CORE_READ(task, nsproxy, uts_ns, ns.inum);
	inums[4] = BPF_CORE_READ(task, nsproxy, ipc_ns, ns.inum);
	inums[5] = BPF_CORE_READ(task, cred, user_ns, ns.inum);
	inums[6] = BPF_CORE_READ(task, nsproxy, cgroup_ns, ns.inum);
	inums[7] = BPF_CORE_READ(task, nsproxy, time_ns, ns.inum);
	host_mntns = probed_mntns_of(task);
	for (int i = 0; i < 8; i++)
		host_namespaces[i] = inums[i];
	return 0;
}

SEC("iter/task")
int tasks_seed(struct bpf_iter__task *context)
{
	struct task_struct *task = context->task, *root;
	struct task_state *state, *leader;
	struct instance *instance;

	if (!task || task->flags & PF_KTHREAD || !READABLE(task_struct, task)->nsproxy)
		return 0;
	state = bpf_task_storage_get(&tasks, task, 0, BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (!state || state->has_owner)
		return 0;
	state->history = NGRAM_NONE;
	state->slot = NO_SLOT;
	if (!is_recorded(cgroup_of(task), mntns_of(task)) || (__u32)task->tgid == recorder_tgid)
		return 0;
	move_in(state, cgroup_of(task), mntns_of(task));
	state->owner.exec_key = exec_key_of(task);
	root = root_of(task, state->mntns);
	state->session_key = exec_key_of(root);
	state->owner.lineage = state->mntns == host_mntns || ns_tgid_of(root) == 1 ?
				       LINEAGE_MAIN : LINEAGE_SESSION;
	state->entered_from_outside = state->owner.lineage == LINEAGE_SESSION;
	instance = instance_of(&state->owner);
	if (instance && state->owner.lineage == LINEAGE_MAIN && !instance->has_main) {
		instance->has_main = 1;
		instance->is_steady = 1;
		instance->init_tgid = task->tgid;
	}
	state->stamp = 0;
	find_again(task, state);
	if (task->pid == task->tgid) {
		describe_snapshot(task, state);
		publish(state);
		return 0;
	}
	leader = bpf_task_storage_get(&tasks, task->group_leader, 0, 0);
	if (leader)
		state->owner.exe_key = leader->owner.exe_key;
	publish(state);
	return 0;
}

// What listened, or had a port of its own for datagrams, before anybody saw it begin to.
static __always_inline void count_bound(struct sock *sk, struct task_state *state, bool is_bound)
{
	bool is_udp = sk->sk_protocol == IPPROTO_UDP;
	struct flow_key key = { .direction = is_udp ? DIRECTION_BIND : DIRECTION_LISTEN };

	if (!is_udp && (sk->sk_protocol != IPPROTO_TCP ||
			sk->__sk_common.skc_state != TCP_LISTEN))
		return;
	socket_flow(sk, &key);
	if (key.family != AF_INET && key.family != AF_INET6)
		return;
	__builtin_memset(key.peer_addr, 0, sizeof(key.peer_addr));
	key.type = sk->sk_type;
	key.protocol = sk->sk_protocol;
	key.slot = state->slot;
	key.exe_key = state->owner.exe_key;
	key.local_port = is_bound ? sk->__sk_common.skc_num : 0;
	count_flow(&key, bpf_get_socket_cookie(sk));
}

// Sockets that were open: whoever holds them owns them. One whose port the kernel chose is not
// bound: its peers are not clients.
SEC("iter/task_file")
int sockets_seed(struct bpf_iter__task_file *context)
{
	struct task_struct *task = context->task;
	struct file *file = context->file;
	struct socket_state *owned;
	struct task_state *state;
	struct socket *socket;
	struct sock *sk;

	if (!task || !file)
		return 0;
	socket = bpf_sock_from_file(file);
	if (!socket)
		return 0;
	sk = socket->sk;
	if (!sk)
		return 0;
	state = bpf_task_storage_get(&tasks, task, 0, 0);
	if (!state || state->slot == NO_SLOT || !state->has_owner)
		return 0;
	owned = bpf_sk_storage_get(&sockets, sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
	if (!owned || owned->owner.exec_key)
		return 0;
	owned->owner = state->owner;
	if (sk->__sk_common.skc_family == AF_UNIX) {
		count_unix_bound(sk, state);
		return 0;
	}
	owned->is_bound =
		(BPF_CORE_READ_BITFIELD_PROBED(sk, sk_userlocks) & SOCK_BINDPORT_LOCK) != 0;
	if (owned->is_bound || sk->__sk_common.skc_state == TCP_LISTEN)
		count_bound(sk, state, owned->is_bound);
	return 0;
}

#endif
