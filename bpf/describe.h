// SPDX-License-Identifier: GPL-2.0
// What a process record says: who runs what, as whom, with what on its standard streams.
#ifndef ETHOGRAM_DESCRIBE_H
#define ETHOGRAM_DESCRIBE_H

#include "stdio.h"

// A record is put together where it is sent from: it is too large for the stack.
static __always_inline struct process_record *begin_process(struct scratch *scratch, __u32 kind)
{
	struct process_record *record = (void *)scratch->record;

	__builtin_memset(record, 0, sizeof(*record));
	record->kind = kind;
	return record;
}

static __always_inline void fill_credentials(struct process_record *record,
					     struct task_struct *task)
{
	const struct cred *cred = READABLE(task_struct, task)->cred;

	record->uid = cred->uid.val;
	record->euid = cred->euid.val;
	record->gid = cred->gid.val;
	record->egid = cred->egid.val;
	bpf_core_read(&record->caps_effective, 8, &cred->cap_effective);
	bpf_core_read(&record->caps_permitted, 8, &cred->cap_permitted);
	bpf_core_read(&record->caps_inheritable, 8, &cred->cap_inheritable);
	bpf_core_read(&record->caps_ambient, 8, &cred->cap_ambient);
	bpf_core_read(&record->caps_bounding, 8, &cred->cap_bset);
}

// What setpgid(2) and setsid(2) made of it: the host's numbers, and those of its own PID
// namespace, where the leader may have none.
static __always_inline void fill_groups(struct process_record *record, struct task_struct *task)
{
	struct pid *group = BPF_CORE_READ(task, signal, pids[PIDTYPE_PGID]);
	struct pid *session = BPF_CORE_READ(task, signal, pids[PIDTYPE_SID]);
	__u32 level = BPF_CORE_READ(task, group_leader, thread_pid, level);

	record->pgid = number_at(group, 0);
	record->sid = number_at(session, 0);
	record->ns_pgid = BPF_CORE_READ(group, level) >= level ? number_at(group, level) : 0;
	record->ns_sid = BPF_CORE_READ(session, level) >= level ? number_at(session, level) : 0;
}

static __always_inline void fill_process(struct process_record *record, struct task_struct *task,
					 struct task_state *state)
{
	struct task_struct *parent = READABLE(task_struct, task)->real_parent;

	record->time_ns = bpf_ktime_get_boot_ns();
	record->exec_key = state->owner.exec_key;
	record->parent_key = exec_key_of(parent);
	record->fork_parent_key = state->fork_parent_key;
	record->session_key = state->session_key;
	record->exe_key = state->owner.exe_key;
	record->cgroup_id = state->owner.cgroup_id;
	record->slot = state->slot;
	record->tgid = task->tgid;
	record->ns_tgid = ns_tgid_of(task);
	record->ppid = parent->tgid;
	fill_credentials(record, task);
	fill_groups(record, task);
	record->loginuid = record->sessionid = (__u32)-1;
	if (bpf_core_field_exists(task->loginuid)) {
		record->loginuid = task->loginuid.val;
		record->sessionid = task->sessionid;
	}
	namespaces_of(task, record->namespaces);
	record->host_namespace_bits = bits_of(record->namespaces);
	record->lineage = state->owner.lineage;
	record->seccomp_mode = task->seccomp.mode;
	// Since Linux commit c818c03b661c ("seccomp: Report number of loaded filters in
	// /proc/$pid/status") (v5.9).
	record->seccomp_filters = task->seccomp.filter_count.counter;
	record->flags |= task->seccomp.mode ? EVENT_SECCOMP_FILTER : 0;
	record->flags |= task->atomic_flags & (1 << PFA_NO_NEW_PRIVS_BIT) ? EVENT_NO_NEW_PRIVS : 0;
	record->flags |= state->entered_from_outside ? EVENT_ENTERED : 0;
	for (int fd = 0; fd < 3; fd++)
		record->stdio[fd] = stdio_of(file_address_of(task, fd));
}

// Path, inode and exe_key of an executable, appended after the record's head.
__noinline int describe_executable(__u64 address, struct process_record *record, __u32 *position)
{
	struct file *file = (void *)address;
	struct inode *inode;
	struct path path;
	__u64 fingerprint = 0;
	__u32 flags = 0;

	if (!file || !record || !position)
		return 0;
	inode = BPF_CORE_READ(file, f_inode);
	path.dentry = BPF_CORE_READ(file, f_path.dentry);
	path.mnt = BPF_CORE_READ(file, f_path.mnt);
	record->path_size = append_path(&path, position, &flags, &fingerprint);
	record->dev = BPF_CORE_READ(inode, i_sb, s_dev);
	record->ino = BPF_CORE_READ(inode, i_ino);
	record->nlink = BPF_CORE_READ(inode, i_nlink);
	record->ctime_ns = ctime_of(inode);
	// A file that was changed in place is another executable.
	record->exe_key = mix(mix(mix(mix(fingerprint, record->dev), record->ino),
				  BPF_CORE_READ(inode, i_generation)), record->ctime_ns) | 1;
	flags |= file_flags(inode);
	if (!record->nlink && BPF_CORE_READ(inode, i_sb, s_magic) == TMPFS_MAGIC) {
		char name[8] = {};
		const unsigned char *source = BPF_CORE_READ(path.dentry, d_name.name);

		bpf_probe_read_kernel(name, 6, source);
		if (name[0] == 'm' && name[1] == 'e' && name[2] == 'm' && name[3] == 'f' &&
		    name[4] == 'd' && name[5] == ':')
			flags |= EVENT_MEMFD;
	}
	record->flags |= flags;
	return 0;
}

static __always_inline void append_cwd(struct process_record *record, __u32 *position,
				       struct task_struct *task)
{
	struct fs_struct *fs = READABLE(task_struct, task)->fs;
	struct path cwd = {};
	__u64 ignored;
	__u32 flags = 0;

	if (!fs)
		return;
	cwd.dentry = BPF_CORE_READ(fs, pwd.dentry);
	cwd.mnt = BPF_CORE_READ(fs, pwd.mnt);
	record->cwd_size = append_path(&cwd, position, &flags, &ignored);
	record->flags |= flags & EVENT_PATH_TRUNCATED ? EVENT_CWD_TRUNCATED : 0;
}

static __always_inline __u16 append_kernel_string(struct scratch *scratch, __u32 *position,
						  const char *string)
{
	__u32 at = *position & (RECORD_ROOM - 1);
	long size = bpf_probe_read_kernel_str(&scratch->record[at], TARGET_SIZE, string);

	if (size <= 1 || size > TARGET_SIZE)
		return 0;
	if (size == TARGET_SIZE)
		((struct process_record *)scratch->record)->flags |= EVENT_PATH_TRUNCATED;
	*position = at + size - 1;
	return size - 1;
}

static __always_inline void append_arguments(struct scratch *scratch, struct process_record *record,
					     __u32 *position, struct task_struct *task)
{
	__u64 start = BPF_CORE_READ(task, mm, arg_start);
	__u64 size = BPF_CORE_READ(task, mm, arg_end) - start;
	__u32 at = *position & (RECORD_ROOM - 1);

	if (size >= ARGV_SIZE) {
		size = ARGV_SIZE - 1;
		record->flags |= EVENT_ARGV_TRUNCATED;
	}
	size &= ARGV_SIZE - 1;
	if (bpf_probe_read_user(&scratch->record[at], size, (void *)start)) {
		record->flags |= EVENT_READ_FAULT;
		return;
	}
	record->argv_size = size;
	*position = at + size;
}

static __always_inline bool send_process(struct scratch *scratch, struct process_record *record,
					 __u32 position)
{
	bool is_sent;

	if (!(record->flags & EVENT_SNAPSHOT) &&
	    !take_quota(record->slot, QUOTA_LIFE, quota_life, PLACE_PROCESSES))
		return false;
	is_sent = !bpf_ringbuf_output(&life, scratch->record, position & (RECORD_ROOM - 1),
				      BPF_RB_NO_WAKEUP);
	if (!is_sent)
		count_loss(record->slot, LOSS_RING_FULL, PLACE_PROCESSES, 1);
	if (record->flags & EVENT_READ_FAULT)
		count_loss(record->slot, LOSS_READ_FAULT, PLACE_PROCESSES, 1);
	// Arguments that are cut are flagged, and no loss: what was executed is known all the same.
	if (record->flags & EVENT_PATH_TRUNCATED)
		count_loss(record->slot, LOSS_TRUNCATED, PLACE_PROCESSES, 1);
	return is_sent;
}

#endif
