// SPDX-License-Identifier: GPL-2.0
// Capabilities that were checked, and calls that need or change privilege.
#ifndef ETHOGRAM_PRIVILEGES_H
#define ETHOGRAM_PRIVILEGES_H

#include "path.h"

#define CLONE_NEWTIME 0x00000080ull
#define CLONE_NEWNS 0x00020000ull
#define CLONE_NEWCGROUP 0x02000000ull
#define CLONE_NEWUTS 0x04000000ull
#define CLONE_NEWIPC 0x08000000ull
#define CLONE_NEWUSER 0x10000000ull
#define CLONE_NEWPID 0x20000000ull
#define CLONE_NEWNET 0x40000000ull
#define CLONE_NAMESPACES                                                                        \
	(CLONE_NEWTIME | CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC |           \
	 CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET)
#define SET_ID_BITS 06000
#define CAP_SYS_ADMIN 21
#define PR_SET_NAME 15
#define PR_SET_SECCOMP 22
#define PR_SET_NO_NEW_PRIVS 38
#define NO_OPERATION 0xffff

struct operation_call {
	__u64 argument;
	const char *target; // user memory
	__u32 operation;
	__u32 pad;
};

__noinline int send_operation(struct task_state *state, struct operation_call *call, __s64 result)
{
	struct {
		struct operation_record head;
		char target[TARGET_SIZE];
	} *record;
	__u64 hash;
	long size = 0;

	if (!state || !call || !take_quota(state->slot, QUOTA_RARE, quota_rare, PLACE_PRIVILEGES))
		return 0;
	record = bpf_ringbuf_reserve(&life, sizeof(*record), 0);
	if (!record) {
		count_loss(state->slot, LOSS_RING_FULL, PLACE_PRIVILEGES, 1);
		return 0;
	}
	if (call->target)
		size = bpf_probe_read_user_str(record->target, TARGET_SIZE, call->target);
	if (size == TARGET_SIZE)
		count_loss(state->slot, LOSS_TRUNCATED, PLACE_PRIVILEGES, 1);
	record->head.time_ns = bpf_ktime_get_boot_ns();
	record->head.exec_key = state->owner.exec_key;
	record->head.argument = call->argument;
	record->head.kind = RECORD_OPERATION;
	record->head.slot = state->slot;
	record->head.window = window;
	record->head.flags = result >= 0 ? EVENT_GRANTED : size < 0 ? EVENT_READ_FAULT : 0;
	record->head.operation = call->operation;
	record->head.errnum = result < 0 ? -result : 0;
	record->head.target_size = size > 1 ? size - 1 : 0;
	hash = mix(mix(mix(state->owner.exe_key, call->argument), call->operation), result);
	if (tells_news) // what it is about, as far as it is short
		for (int i = 0; i < 32 && i < size; i++)
			hash = mix(hash, record->target[i]);
	bpf_ringbuf_submit(record, BPF_RB_NO_WAKEUP);
	tell_record(state->slot, NEWS_OPERATION, hash);
	return 0;
}

static __always_inline __u64 clone3_flags(const void *arguments)
{
	__u64 flags = 0; // struct clone_args begins with its flags

	bpf_probe_read_user(&flags, sizeof(flags), arguments);
	return flags;
}

// Every call that operation_of() and sets_file_capability() look at: all others are spared both.
#define OPERATION_CALLS(X, w)                                                                   \
	X(NR_add_key, w) X(NR_bpf, w) X(NR_capset, w) X(NR_chmod, w) X(NR_chroot, w)             \
	X(NR_clock_settime, w) X(NR_clone, w) X(NR_clone3, w) X(NR_delete_module, w)             \
	X(NR_fchmod, w) X(NR_fchmodat, w) X(NR_fchmodat2, w) X(NR_finit_module, w)               \
	X(NR_fsetxattr, w) X(NR_init_module, w) X(NR_io_uring_setup, w) X(NR_kexec_file_load, w) \
	X(NR_kexec_load, w) X(NR_keyctl, w) X(NR_lsetxattr, w) X(NR_memfd_create, w) X(NR_mknod, \
	w) X(NR_mknodat, w) X(NR_mount, w) X(NR_move_mount, w) X(NR_open_by_handle_at, w)        \
	X(NR_open_tree, w) X(NR_perf_event_open, w) X(NR_pidfd_getfd, w) X(NR_pivot_root, w)     \
	X(NR_prctl, w) X(NR_process_vm_writev, w) X(NR_ptrace, w) X(NR_quotactl, w) X(NR_reboot, \
	w) X(NR_request_key, w) X(NR_seccomp, w) X(NR_setdomainname, w) X(NR_setfsgid, w)        \
	X(NR_setfsuid, w) X(NR_setgid, w) X(NR_setgroups, w) X(NR_sethostname, w) X(NR_setns, w) \
	X(NR_setregid, w) X(NR_setresgid, w) X(NR_setresuid, w) X(NR_setreuid, w)                \
	X(NR_settimeofday, w) X(NR_setuid, w) X(NR_setxattr, w) X(NR_swapoff, w) X(NR_swapon, w) \
	X(NR_syslog, w) X(NR_umount2, w) X(NR_unshare, w) X(NR_userfaultfd, w)                   \
	X(NR_fsopen, w) X(NR_fsmount, w) X(NR_fspick, w) X(NR_mount_setattr, w)

// How names of kernel threads begin, that no program would have by chance.
static __always_inline bool is_kernels_name(const char *name)
{
	char start[4] = {};

	if (bpf_probe_read_user(start, sizeof(start), name))
		return false;
	switch ((__u32)start[0] | (__u32)start[1] << 8 | (__u32)start[2] << 16 |
		(__u32)start[3] << 24) {
	case 'k' | 'w' << 8 | 'o' << 16 | 'r' << 24: // kworker
	case 'k' | 't' << 8 | 'h' << 16 | 'r' << 24: // kthreadd
	case 'k' | 's' << 8 | 'o' << 16 | 'f' << 24: // ksoftirqd
	case 'k' | 's' << 8 | 'w' << 16 | 'a' << 24: // kswapd
	case 'k' | 'd' << 8 | 'e' << 16 | 'v' << 24: // kdevtmpfs
	case 'k' | 'a' << 8 | 'u' << 16 | 'd' << 24: // kauditd
	case 'k' | 'b' << 8 | 'l' << 16 | 'o' << 24: // kblockd
	case 'k' | 'c' << 8 | 'o' << 16 | 'm' << 24: // kcompactd
	case 'k' | 'h' << 8 | 'u' << 16 | 'g' << 24: // khugepaged
	case 'r' | 'c' << 8 | 'u' << 16 | '_' << 24: // rcu_sched
	case 'm' | 'i' << 8 | 'g' << 16 | 'r' << 24: // migration/0
	case 'j' | 'b' << 8 | 'd' << 16 | '2' << 24: // jbd2/vda1-8
	case 'i' | 'r' << 8 | 'q' << 16 | '/' << 24:
	case 'c' | 'p' << 8 | 'u' << 16 | 'h' << 24: // cpuhp/0
		return true;
	}
	return start[0] == '[';
}

// Which operation a native call is; NO_OPERATION for nearly all.
static __always_inline __u32 operation_of(__u32 nr, const struct call_arguments *args,
					  struct operation_call *call)
{
	__u64 first = args->at[0];

	call->argument = first;
	switch (nr) {
	case NR_unshare:
		return OPERATION_UNSHARE;
	case NR_setns:
		call->argument = args->at[1];
		return OPERATION_SETNS;
	case NR_clone:
		return first & CLONE_NAMESPACES ? OPERATION_CLONE_NAMESPACE : NO_OPERATION;
	case NR_clone3:
		call->argument = clone3_flags((void *)first);
		return call->argument & CLONE_NAMESPACES ? OPERATION_CLONE_NAMESPACE :
							   NO_OPERATION;
	case NR_mount:
		call->argument = args->at[3];
		call->target = (const char *)args->at[1];
		return OPERATION_MOUNT;
	case NR_fsopen:
		call->target = (const char *)first; // the kind of file system
		return OPERATION_MOUNT;
	case NR_fspick:
	case NR_mount_setattr:
		call->target = (const char *)args->at[1];
		return OPERATION_MOUNT;
	case NR_fsmount:
		return OPERATION_MOUNT;
	case NR_umount2:
		call->target = (const char *)first;
		return OPERATION_UMOUNT;
	case NR_move_mount:
		call->target = (const char *)args->at[3];
		return OPERATION_MOVE_MOUNT;
	case NR_open_tree:
		call->target = (const char *)args->at[1];
		return OPERATION_OPEN_TREE;
	case NR_pivot_root:
		call->target = (const char *)first;
		return OPERATION_PIVOT_ROOT;
	case NR_chroot:
		call->target = (const char *)first;
		return OPERATION_CHROOT;
	case NR_ptrace:
		return OPERATION_PTRACE;
	case NR_process_vm_writev:
		return OPERATION_PROCESS_VM_WRITE;
	case NR_bpf:
		return OPERATION_BPF;
	case NR_perf_event_open:
		return OPERATION_PERF_EVENT_OPEN;
	case NR_init_module:
	case NR_finit_module:
	case NR_delete_module:
		return OPERATION_LOAD_MODULE;
	case NR_memfd_create:
		call->target = (const char *)first;
		return OPERATION_MEMFD_CREATE;
	case NR_keyctl:
	case NR_add_key:
	case NR_request_key:
		return OPERATION_KEYCTL;
	case NR_userfaultfd:
		return OPERATION_USERFAULTFD;
	case NR_kexec_load:
	case NR_kexec_file_load:
		return OPERATION_KEXEC;
	case NR_open_by_handle_at:
		return OPERATION_OPEN_BY_HANDLE;
	case NR_pidfd_getfd:
		return OPERATION_PIDFD_GETFD;
	case NR_setuid:
	case NR_setreuid:
	case NR_setresuid:
	case NR_setfsuid:
		return OPERATION_SET_USER;
	case NR_setgid:
	case NR_setregid:
	case NR_setresgid:
	case NR_setfsgid:
	case NR_setgroups:
		return OPERATION_SET_GROUP;
	case NR_capset:
		return OPERATION_SET_CAPABILITIES;
	case NR_chmod:
		call->target = (const char *)first;
		call->argument = args->at[1];
		return args->at[1] & SET_ID_BITS ? OPERATION_CHMOD_SET_ID : NO_OPERATION;
	case NR_fchmod:
		call->argument = args->at[1];
		return args->at[1] & SET_ID_BITS ? OPERATION_CHMOD_SET_ID : NO_OPERATION;
	case NR_fchmodat:
	case NR_fchmodat2:
		call->target = (const char *)args->at[1];
		call->argument = args->at[2];
		return args->at[2] & SET_ID_BITS ? OPERATION_CHMOD_SET_ID : NO_OPERATION;
	case NR_io_uring_setup:
		return OPERATION_IO_URING_SETUP;
	case NR_reboot:
		return OPERATION_REBOOT;
	case NR_swapon:
	case NR_swapoff:
		call->target = (const char *)first;
		return OPERATION_SWAP;
	case NR_sethostname:
	case NR_setdomainname:
		return OPERATION_SET_HOSTNAME;
	case NR_settimeofday:
	case NR_clock_settime:
		return OPERATION_SET_TIME;
	case NR_syslog:
		return OPERATION_SYSLOG;
	case NR_quotactl:
		return OPERATION_QUOTA;
	case NR_mknod:
		call->target = (const char *)first;
		call->argument = args->at[1];
		return OPERATION_MKNOD;
	case NR_mknodat:
		call->target = (const char *)args->at[1];
		call->argument = args->at[2];
		return OPERATION_MKNOD;
	case NR_seccomp:
		return first <= 1 ? OPERATION_SECCOMP : NO_OPERATION; // SECCOMP_SET_MODE_*
	case NR_prctl:
		call->target = (const char *)args->at[1];
		if (first == PR_SET_NAME && is_kernels_name(call->target))
			return OPERATION_SET_NAME;
		call->target = NULL;
		return first == PR_SET_SECCOMP	    ? OPERATION_SECCOMP :
		       first == PR_SET_NO_NEW_PRIVS ? OPERATION_NO_NEW_PRIVS :
						      NO_OPERATION;
	}
	return NO_OPERATION;
}

// setxattr("security.capability") gives a file capabilities.
static __always_inline bool sets_file_capability(__u32 nr, const struct call_arguments *args)
{
	char name[20] = {};
	const char wanted[20] = "security.capability";

	if (nr != NR_setxattr && nr != NR_lsetxattr && nr != NR_fsetxattr)
		return false;
	bpf_probe_read_user_str(name, sizeof(name), (void *)args->at[1]);
	for (int i = 0; i < (int)sizeof(name); i++)
		if (name[i] != wanted[i])
			return false;
	return true;
}

__noinline int record_operation(struct task_state *state, struct call_arguments *args, __u32 nr,
				__s64 result)
{
	struct operation_call call = {};

	if (!state || !args)
		return 0;
	// fork_done() told of it. The child returns from it as well, and by then another thread may
	// have changed the flags of clone3().
	if (result >= 0 && (nr == NR_clone || nr == NR_clone3))
		return 0;
	call.operation = operation_of(nr, args, &call);
	if (sets_file_capability(nr, args)) {
		call.operation = OPERATION_SET_FILE_CAPABILITY;
		call.target = nr == NR_fsetxattr ? NULL : (const char *)args->at[0];
	}
	if (call.operation != NO_OPERATION)
		send_operation(state, &call, result);
	// What is opened through a ring passes no hook of calls, and which names it connects to.
	if (call.operation == OPERATION_IO_URING_SETUP && result >= 0 && !rings_told) {
		count_loss(state->slot, LOSS_UNSEEN, PLACE_FILES, 1);
		count_loss(state->slot, LOSS_UNSEEN, PLACE_NETWORK, 1);
	}
	return 0;
}

static __always_inline void operation_done(struct task_state *state, struct pt_regs *regs, __u32 nr,
					   __s64 result)
{
	struct call_arguments args = arguments_of(regs);

	record_operation(state, &args, nr, result);
}

// Memory overcommit asks for CAP_SYS_ADMIN at every mapping and fork: a discount for the
// privileged, not a use. The tracepoint does not say so, the call under way does.
static __always_inline bool is_overcommit_check(struct task_struct *task,
						struct task_state *state, int capability)
{
	__u32 nr;

	if (capability != CAP_SYS_ADMIN)
		return false;
	if (!is_in_call(task, state, &nr)) // a page fault, or the way out of a call
		return true;
	switch (nr) {
	case NR_mmap:
	case NR_mprotect:
	case NR_brk:
	case NR_mremap:
	case NR_shmat:
	case NR_clone:
	case NR_clone3:
	case NR_fork:
	case NR_vfork:
	case NR_execve:
	case NR_execveat:
		return true;
	}
	return false;
}

// Does the slot's baseline allow to use this capability?
static __always_inline bool passes_capability(__u32 slot, int capability)
{
	struct scope *scope = tells_news ? bpf_map_lookup_elem(&scopes, &slot) : NULL;

	return scope && capability < 64 && scope->capabilities >> (capability & 63) & 1;
}

static __always_inline int count_capability(const struct cred *cred, int capability, int result)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct privilege_key key = {};
	struct task_state *state;
	__u32 slot;

	if (!armed)
		return 0;
	// An overlay file system asks with its mounter's credentials, access(2) with a copy: neither
	// is a use of what the task itself has.
	if ((unsigned long)cred != (unsigned long)READABLE(task_struct, task)->real_cred)
		return 0;
	state = known_state(task);
	if (!state)
		return 0;
	slot = find_slot(task, state);
	if (slot == NO_SLOT || is_overcommit_check(task, state, capability) ||
	    (!result && passes_capability(slot, capability)))
		return 0;
	key.exec_key = state->owner.exec_key;
	key.slot = slot;
	key.window = window;
	key.capability = capability;
	key.granted = result == 0;
	if (count_in(&privileges, &key, slot, PLACE_PRIVILEGES))
		tell_privilege(&key, state->owner.exe_key);
	return 0;
}

SEC("tp_btf/cap_capable")
int BPF_PROG(capability_checked, const struct cred *cred, struct user_namespace *target,
	     const struct user_namespace *effective, int capability, int result)
{
	return count_capability(cred, capability, result);
}

// Where there is no such tracepoint (Linux 6.1): the function's own return, which kernels may
// refuse to let programs have.
SEC("fexit/cap_capable")
int BPF_PROG(capability_returned, const struct cred *cred, struct user_namespace *target,
	     int capability, unsigned int options, int result)
{
	return count_capability(cred, capability, result);
}

#endif
