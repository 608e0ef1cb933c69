// SPDX-License-Identifier: GPL-2.0
// Opened files by the hook of the security modules, where the kernel lets programs have it: those
// that no call tells of, as message queues, and what fanotify or a 32-bit call opens by handle. It
// sees a file that is about to be opened: not what was asked for, and no failure.
//
// It may be preempted, so that it uses nothing that belongs to the CPU.
#ifndef ETHOGRAM_OPTIONAL_H
#define ETHOGRAM_OPTIONAL_H

#include "files.h"

#define DELETED_SIZE 10 // " (deleted)"
#define FMODE_NOACCOUNT 0x20000000 // a file below another: what overlayfs opens for an open

volatile __u32 file_open_asked;	    // it has run: user space tries whether the kernel asks it

struct opened_record {
	struct file_record head;
	char path[PATH_SIZE];
};

static __always_inline bool is_exec(__u32 nr, __u16 arch)
{
	return arch == COMPAT_ARCH ? nr == COMPAT_execve || nr == COMPAT_execveat :
				     nr == NR_execve || nr == NR_execveat;
}

// Is it told by what a call or a request returns, or as what was executed?
static __always_inline bool is_told_elsewhere(struct task_struct *task)
{
	struct pt_regs *regs = (struct pt_regs *)bpf_task_pt_regs(task);
	__u64 id = EXIT_NR(regs);
	__u16 arch = arch_of(task, id);
	__u32 nr = number_of(id, arch);

	if (task->flags & PF_IO_WORKER || is_exec(nr, arch))
		return true;
	if (arch == COMPAT_ARCH)
		return nr == COMPAT_open || nr == COMPAT_creat || nr == COMPAT_openat ||
		       nr == COMPAT_openat2 || nr == NR_io_uring_enter;
	return arch == NATIVE_ARCH &&
	       (is_open(nr) || nr == NR_open_by_handle_at || nr == NR_io_uring_enter);
}

// bpf_d_path() says behind the path that it is no more.
static __always_inline bool has_suffix(struct file *file)
{
	struct dentry *dentry = PEEK(file, file, f_path.dentry);

	return !PEEK(dentry, dentry, d_hash.pprev) && PEEK(dentry, dentry, d_parent) != dentry;
}

static __always_inline void send_path(struct file *file, struct file_key *key)
{
	struct opened_record *record = bpf_ringbuf_reserve(&paths, sizeof(*record), 0);
	struct inode *inode = PEEK(file, file, f_inode);
	long size;

	if (!record) {
		count_loss(key->slot, LOSS_RING_FULL, PLACE_FILES, 1);
		return;
	}
	size = bpf_d_path(&file->f_path, record->path, PATH_SIZE);
	if (size <= 0 || size > PATH_SIZE) {
		bpf_ringbuf_discard(record, BPF_RB_NO_WAKEUP);
		count_loss(key->slot, LOSS_READ_FAULT, PLACE_FILES, 1);
		return;
	}
	__builtin_memset(&record->head, 0, sizeof(record->head));
	record->head.kind = RECORD_FILE;
	record->head.time_ns = bpf_ktime_get_boot_ns();
	record->head.fingerprint = key->fingerprint;
	record->head.dev = key->dev;
	record->head.ino = key->ino;
	record->head.slot = key->slot;
	record->head.window = key->window;
	record->head.path_size = size - 1;
	if (has_suffix(file) && size > DELETED_SIZE)
		record->head.path_size -= DELETED_SIZE;
	record->head.flags = file_flags(inode);
	bpf_ringbuf_submit(record, BPF_RB_NO_WAKEUP);
}

SEC("lsm/file_open")
int BPF_PROG(file_opened, struct file *file, int result)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct file_key key = {};
	struct task_state *state;

	if (!file_open_asked)
		file_open_asked = 1;
	if (!armed || task->flags & PF_KTHREAD || file->f_mode & FMODE_NOACCOUNT ||
	    is_told_elsewhere(task))
		return result;
	state = state_of(task);
	if (!state || find_slot(task, state) == NO_SLOT)
		return result;
	fill_key(&key, state, file);
	key.access = access_of(file, PEEK(file, file, f_inode), file->f_flags);
	if (count_file(&key))
		send_path(file, &key);
	return result;
}

#endif
