// SPDX-License-Identifier: GPL-2.0
// The life of processes: exec, failed exec, fork, exit, and the signal that ends an instance.
#ifndef ETHOGRAM_PROCESSES_H
#define ETHOGRAM_PROCESSES_H

#include "describe.h"
#include "syscalls.h"

#define SIGINT 2
#define SIGQUIT 3
#define SIGKILL 9
#define SIGTERM 15
#define SIGSYS 31
#define SYS_SECCOMP_CODE 1
#define SIGNAL_IGNORED 1 // TRACE_SIGNAL_IGNORED in include/trace/events/signal.h

// The first exec of a task that came from outside makes it part of the instance: its
// entrypoint if there was none yet, else a session.
static __always_inline void enter_instance(struct task_struct *task, struct task_state *state)
{
	struct instance *instance;

	if (state->owner.lineage != LINEAGE_OUTSIDE)
		return;
	instance = instance_of(&state->owner);
	if (!instance)
		return;
	if (!__sync_val_compare_and_swap(&instance->has_main, 0, 1)) {
		instance->startup_ns = bpf_ktime_get_boot_ns();
		instance->init_tgid = task->tgid;
		state->owner.lineage = LINEAGE_MAIN;
	} else {
		state->owner.lineage = LINEAGE_SESSION;
		state->entered_from_outside = 1;
	}
	state->session_key = state->owner.exec_key;
	look_again(task, state); // its own phase changed
	find_slot(task, state);
}

// begin_new_exec() names the task after its executable just before it takes the new credentials,
// with the thread group down to this thread: here it still has those that it executes with. (The
// tracepoint made for that, sched_prepare_exec, came in v6.10.)
SEC("tp_btf/task_rename")
int BPF_PROG(task_renamed, struct task_struct *task, const char *name)
{
	const struct cred *cred = READABLE(task_struct, task)->cred;
	struct task_state *state;

	if (!armed || task->flags & PF_KTHREAD)
		return 0;
	state = state_of(task);
	if (!state)
		return 0;
	state->euid_before = cred->euid.val;
	state->egid_before = cred->egid.val;
	bpf_core_read(&state->caps_effective_before, 8, &cred->cap_effective);
	bpf_core_read(&state->caps_permitted_before, 8, &cred->cap_permitted);
	state->has_before = 1;
	return 0;
}

static __always_inline void fill_before(struct process_record *record, struct task_state *state)
{
	if (!state->has_before)
		return;
	state->has_before = 0;
	record->flags |= EVENT_CREDENTIALS_BEFORE;
	record->euid_before = state->euid_before;
	record->egid_before = state->egid_before;
	record->caps_effective_before = state->caps_effective_before;
	record->caps_permitted_before = state->caps_permitted_before;
}

// Who executes what, without its arguments but the first.
static __always_inline void fill_program(struct program_key *key, struct process_record *record,
					 __u64 from_key, const char *first_word)
{
	__builtin_memset(key, 0, sizeof(*key));
	key->exe_key = record->exe_key;
	key->from_key = from_key;
	key->dev = record->dev;
	key->ino = record->ino;
	key->ctime_ns = record->ctime_ns;
	key->slot = record->slot;
	key->euid = record->euid;
	key->flags = record->flags;
	for (int fd = 0; fd < 3; fd++)
		key->stdio[fd] = record->stdio[fd];
	if (record->argv_size)
		bpf_probe_read_kernel_str(key->first_word, FIRST_WORD, first_word);
}

// An exec is like another where executable, arguments, user, standard streams and what the process
// ran before are: one that talks to a socket is like no other. One that passes may have any
// arguments.
__noinline int tell_exec(struct scratch *scratch, struct process_record *record, __u32 position,
			 __u64 from_key)
{
	__u32 zero = 0, size;
	struct name *name = bpf_map_lookup_elem(&names, &zero);
	struct program_key *key;
	__u64 hash;

	if (!scratch || !record || !name)
		return 0;
	position = (position - record->argv_size) & (RECORD_ROOM - 1);
	key = (void *)&name->text[PATH_SIZE / 2];
	fill_program(key, record, from_key, (char *)&scratch->record[position]);
	if (passes_programs && !record->peers_size && bpf_map_lookup_elem(&passed_programs, key))
		return 0;
	hash = mix(mix(mix(record->exe_key, record->euid), record->flags), from_key);
	hash = mix(hash, record->stdio[0] | record->stdio[1] << 8 | record->stdio[2] << 16);
	if (record->peers_size)
		hash = mix(hash, record->time_ns);
	size = record->argv_size < HASHED_TAIL ? record->argv_size : HASHED_TAIL - 1;
	__builtin_memset(name->text, 0, HASHED_TAIL);
	bpf_probe_read_kernel(name->text, size & (HASHED_TAIL - 1), &scratch->record[position]);
	if (is_news(record->slot, NEWS_EXEC, mix(hash, hash_of_name(name, size))))
		send_news(record->slot, NEWS_EXEC, key, sizeof(*key));
	return 0;
}

static __always_inline void describe_exec(struct scratch *scratch, struct process_record *record,
					  struct task_struct *task, struct linux_binprm *binprm)
{
	__u32 position = sizeof(*record);
	const char *name = BPF_CORE_READ(binprm, filename);
	const char *interpreter = BPF_CORE_READ(binprm, interp);
	__u64 from_key = record->exe_key;

	describe_executable((__u64)BPF_CORE_READ(binprm, file), record, &position);
	append_cwd(record, &position, task);
	if (interpreter != name) {
		record->flags |= EVENT_INTERPRETED;
		record->interpreter_size = append_kernel_string(scratch, &position, interpreter);
		record->script_size = append_kernel_string(scratch, &position, name);
	}
	append_peers(task, record, &position);
	append_arguments(scratch, record, &position, task);
	// What user space is not told of it cannot judge.
	if (send_process(scratch, record, position) && tells_news)
		tell_exec(scratch, record, position, from_key);
}

SEC("tp_btf/sched_process_exec")
int BPF_PROG(exec_done, struct task_struct *task, int old_pid, struct linux_binprm *binprm)
{
	struct scratch *scratch = scratch_of();
	struct task_state *state;
	struct process_record *record;

	// Until what runs was looked at, only that says whose a task is: to take this one for the
	// entrypoint would begin an old instance anew.
	state = armed ? state_of(task) : bpf_task_storage_get(&tasks, task, 0, 0);
	if (!scratch || !state || (!armed && !state->has_owner) || find_slot(task, state) == NO_SLOT)
		return 0;
	unpublish(state->owner.exec_key);
	state->owner.exec_key = exec_key_of(task);
	enter_instance(task, state);
	record = begin_process(scratch, RECORD_EXEC);
	fill_process(record, task, state);
	fill_before(record, state);
	if (BPF_CORE_READ_BITFIELD_PROBED(binprm, secureexec))
		record->flags |= EVENT_PRIVILEGES_GAINED;
	describe_exec(scratch, record, task, binprm);
	state->owner.exe_key = record->exe_key;
	publish(state);
	return 0;
}

// The path of a directory that execveat() was given, and the slash after it; of the file itself
// where the name is empty.
static __always_inline __u32 append_directory(struct scratch *scratch, struct process_record *record,
					      __u32 *position, struct exec_call *call)
{
	struct file *file = file_of(bpf_get_current_task_btf(), (__u64)(__s64)call->directory);
	__u64 ignored;
	__u32 flags = 0, size;
	struct path path;
	char first = 0;

	bpf_probe_read_user(&first, 1, call->asked);
	if (!file || first == '/')
		return 0;
	path.dentry = BPF_CORE_READ(file, f_path.dentry);
	path.mnt = BPF_CORE_READ(file, f_path.mnt);
	size = append_path(&path, position, &flags, &ignored);
	record->flags |= flags & EVENT_PATH_TRUNCATED;
	return size + (first ? append(scratch, position, "/", 1) : 0);
}

__noinline int record_exec_failed(struct task_state *state, struct exec_call *call)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct scratch *scratch = scratch_of();
	struct process_record *record;
	__u32 position = sizeof(*record);

	if (!scratch || !state || !call)
		return 0;
	record = begin_process(scratch, RECORD_EXEC_FAILED);
	fill_process(record, task, state);
	record->errnum = -call->result;
	if (call->directory != AT_FDCWD)
		record->path_size = append_directory(scratch, record, &position, call);
	record->path_size += append_asked(scratch, &position, call->asked);
	append_cwd(record, &position, task);
	append_peers(task, record, &position);
	send_process(scratch, record, position);
	return 0;
}

static __noinline int exec_failed(struct task_state *state, struct pt_regs *regs, __u32 nr,
				  __s64 result)
{
	struct exec_call call = { .directory = AT_FDCWD, .result = result };

	if (!state || !regs)
		return 0;
	if (nr == NR_execveat)
		call.directory = ARG1(regs);
	call.asked = (const char *)(nr == NR_execveat ? ARG2(regs) : ARG1(regs));
	record_exec_failed(state, &call);
	return 0;
}

// The same of a 32-bit table.
static __noinline int compat_exec_failed(struct task_state *state, struct pt_regs *regs,
					 __s64 result)
{
	struct exec_call call = { .directory = AT_FDCWD, .result = result };

	if (!state || !regs)
		return 0;
	if (state->nr == COMPAT_execveat)
		call.directory = COMPAT_ARG1(regs);
	call.asked = (const char *)(__u64)(state->nr == COMPAT_execveat ? COMPAT_ARG2(regs) :
									  COMPAT_ARG1(regs));
	record_exec_failed(state, &call);
	return 0;
}

static __always_inline void send_fork(struct task_struct *child, struct task_state *state)
{
	struct fork_record *record;

	if (!take_quota(state->slot, QUOTA_LIFE, quota_life, PLACE_PROCESSES))
		return;
	record = bpf_ringbuf_reserve(&life, sizeof(*record), 0);
	if (!record) {
		count_loss(state->slot, LOSS_RING_FULL, PLACE_PROCESSES, 1);
		return;
	}
	record->time_ns = bpf_ktime_get_boot_ns();
	record->exec_key = state->owner.exec_key;
	record->parent_key = state->fork_parent_key;
	record->session_key = state->session_key;
	record->exe_key = state->owner.exe_key;
	record->kind = RECORD_FORK;
	record->slot = state->slot;
	record->tgid = child->tgid;
	record->ns_tgid = ns_tgid_of(child);
	bpf_ringbuf_submit(record, BPF_RB_NO_WAKEUP);
}

// In which namespaces one nsproxy differs from another, in the flags of clone(2).
__noinline int namespaces_between(__u64 one, __u64 other)
{
	struct nsproxy *before = (void *)one, *own = (void *)other;
	__u64 flags = 0;

	if (!before || !own || before == own)
		return 0;
#define MADE(field, flag)                                                                       \
	(BPF_CORE_READ(own, field) != BPF_CORE_READ(before, field) ? (flag) : 0)
	flags |= MADE(mnt_ns, CLONE_NEWNS) | MADE(uts_ns, CLONE_NEWUTS) |
		 MADE(ipc_ns, CLONE_NEWIPC) | MADE(net_ns, CLONE_NEWNET) |
		 MADE(cgroup_ns, CLONE_NEWCGROUP) | MADE(pid_ns_for_children, CLONE_NEWPID);
	// A parent that has unshared its time only sends its children there.
	if (bpf_core_field_exists(own->time_ns_for_children))
		flags |= MADE(time_ns_for_children, CLONE_NEWTIME);
#undef MADE
	return flags;
}

// The namespaces that a new task has of its own: from what it has.
static __always_inline __u64 namespaces_made(struct task_struct *parent, struct task_struct *child)
{
	__u64 flags = (__u32)namespaces_between((__u64)BPF_CORE_READ(parent, nsproxy),
						(__u64)BPF_CORE_READ(child, nsproxy));

	if (BPF_CORE_READ(child, cred, user_ns) != BPF_CORE_READ(parent, cred, user_ns))
		flags |= CLONE_NEWUSER;
	return flags;
}

static __noinline int record_namespaces(struct task_state *from, __u64 flags)
{
	struct operation_call call = { .operation = OPERATION_CLONE_NAMESPACE };

	if (!from)
		return 0;
	call.argument = flags;
	send_operation(from, &call, 0);
	return 0;
}

SEC("tp_btf/sched_process_fork")
int BPF_PROG(fork_done, struct task_struct *parent, struct task_struct *child)
{
	struct task_state *from = bpf_task_storage_get(&tasks, parent, 0, 0), *state;
	struct fast_state *fast;
	__u64 made;

	free_fast(child);
	if (!from || !from->has_owner)
		return 0;
	state = bpf_task_storage_get(&tasks, child, 0, BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (!state) {
		count_loss(from->slot, LOSS_STORAGE, PLACE_TASKS, 1);
		return 0;
	}
	state->owner = from->owner;
	state->session_key = from->session_key;
	state->fork_parent_key = from->fork_parent_key;
	state->history = NGRAM_NONE;
	state->cgroup_id = from->cgroup_id;
	state->css_set = from->css_set;
	state->nsproxy = from->nsproxy;
	state->mntns = from->mntns;
	state->slot = from->slot;
	state->phase = from->phase;
	state->stamp = from->stamp;
	state->entered_from_outside = from->entered_from_outside;
	state->has_owner = 1;
	// The child's first exit is of the call that made it. Of one that may be over when recording
	// begins nothing is known.
	state->seen = state->in_call = armed != 0;
	fast = fast_of_task(parent);
	state->nr = fast ? fast->nr : from->nr;
	state->arch = fast ? fast->arch : from->arch;
	made = from->slot == NO_SLOT ? 0 : namespaces_made(parent, child);
	if (made)
		record_namespaces(from, made);
	if (child->tgid == parent->tgid)
		return 0;
	state->owner.exec_key = exec_key_of(child);
	state->fork_parent_key = from->owner.exec_key;
	publish(state);
	if (state->slot != NO_SLOT)
		send_fork(child, state);
	return 0;
}

// Threads that end last may each see that no other lives: the first of them tells the end. Their
// leader stays until all of them are gone.
static __always_inline bool is_first_to_end(struct task_struct *task)
{
	struct task_state *leader = bpf_task_storage_get(&tasks, task->group_leader, 0, 0);

	return !leader || !__sync_val_compare_and_swap(&leader->has_ended, 0, 1);
}

SEC("tp_btf/sched_process_exit")
int BPF_PROG(exit_done, struct task_struct *task)
{
	struct task_state *state = bpf_task_storage_get(&tasks, task, 0, 0);
	struct signal_struct *process = READABLE(task_struct, task)->signal;
	struct exit_record *record;

	free_fast(task);
	if (state && process->live.counter == 0)
		unpublish(state->owner.exec_key);
	if (!state || !armed || find_slot(task, state) == NO_SLOT)
		return 0;
	// Strict mode and SECCOMP_RET_KILL_THREAD raise neither a signal nor an exit of the call.
	if (task->seccomp.mode == SECCOMP_MODE_DEAD && !state->killed) {
		struct pt_regs *regs = (void *)bpf_task_pt_regs(task);

		state->killed = 1;
		record_denied(task, state, EXIT_NR(regs), 0, ACTION_KILL);
	}
	// The process ends with its last thread. Its leader may be gone long before: one that another
	// thread of it executes in place of, too.
	if (process->live.counter || !is_first_to_end(task))
		return 0;
	record = bpf_ringbuf_reserve(&life, sizeof(*record), 0);
	if (!record) {
		count_loss(state->slot, LOSS_RING_FULL, PLACE_PROCESSES, 1);
		return 0;
	}
	record->time_ns = bpf_ktime_get_boot_ns();
	record->exec_key = state->owner.exec_key;
	record->kind = RECORD_EXIT;
	record->slot = state->slot;
	record->tgid = task->tgid;
	record->exit_code = process->flags & SIGNAL_GROUP_EXIT ?
				    process->group_exit_code :
				    BPF_CORE_READ(task, group_leader, exit_code);
	bpf_ringbuf_submit(record, BPF_RB_NO_WAKEUP);
	return 0;
}

SEC("tp_btf/signal_generate")
int BPF_PROG(signal_sent, int signal, struct kernel_siginfo *info, struct task_struct *task, int group,
	     int result)
{
	struct task_state *state, *sender;
	struct instance *instance;

	if (signal == SIGSYS) {
		struct kernel_siginfo copy = {};

		state = bpf_task_storage_get(&tasks, task, 0, 0);
		// SEND_SIG_NOINFO and SEND_SIG_PRIV are the pointers 0 and 1.
		if (state && (unsigned long)info > 1 &&
		    !bpf_core_read(&copy, sizeof(copy), info) &&
		    copy.si_code == SYS_SECCOMP_CODE)
			state->trapped = 1;
		return 0;
	}
	if (signal != SIGTERM && signal != SIGINT && signal != SIGQUIT && signal != SIGKILL)
		return 0;
	state = bpf_task_storage_get(&tasks, task, 0, 0);
	if (!state || !state->has_owner || state->owner.lineage != LINEAGE_MAIN)
		return 0;
	// What the workload sends itself, to be ignored, ends nothing: it would choose its phase.
	sender = bpf_task_storage_get(&tasks, bpf_get_current_task_btf(), 0, 0);
	if (result == SIGNAL_IGNORED && sender && sender->has_owner &&
	    sender->owner.lineage == LINEAGE_MAIN &&
	    sender->owner.cgroup_id == state->owner.cgroup_id)
		return 0;
	instance = instance_of(&state->owner);
	if (instance && instance->init_tgid == (__u32)task->tgid &&
	    !instance->is_shutting_down) {
		instance->is_shutting_down = 1;
		phases_changed();
	}
	return 0;
}

#endif
