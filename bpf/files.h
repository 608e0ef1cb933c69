// SPDX-License-Identifier: GPL-2.0
// Opened files: a counted set per slot and window; the first sight of each sends its path.
#ifndef ETHOGRAM_FILES_H
#define ETHOGRAM_FILES_H

#include "names.h"

#define FMODE_READ 1
#define FMODE_WRITE 2
#define FMODE_EXEC 32
#define FMODE_PATH 0x4000
#define OPEN_CREAT 0100
#define OPEN_TRUNC 01000
#define OPEN_APPEND 02000

struct open_call {
	const char *asked; // user memory; NULL where it is not known
	__u64 open_flags;
	__s64 result;
	__s32 directory;
	__u16 access; // of a file that was open before; else the open's own
	__u16 errnum;
};

static __always_inline bool is_open(__u32 nr)
{
	return nr == NR_openat || nr == NR_open || nr == NR_openat2 || nr == NR_creat;
}

static __always_inline __u16 access_of(struct file *file, struct inode *inode, __u64 open_flags)
{
	__u32 mode = PEEK(file, file, f_mode);
	__u16 access = 0;

	access |= mode & FMODE_READ ? ACCESS_READ : 0;
	access |= mode & FMODE_WRITE ? ACCESS_WRITE : 0;
	access |= mode & FMODE_EXEC ? ACCESS_EXEC : 0;
	access |= mode & FMODE_PATH ? ACCESS_PATH_ONLY : 0;
	access |= open_flags & OPEN_CREAT ? ACCESS_CREATE : 0;
	access |= open_flags & OPEN_TRUNC ? ACCESS_TRUNCATE : 0;
	access |= open_flags & OPEN_APPEND ? ACCESS_APPEND : 0;
	if ((PEEK(inode, inode, i_mode) & S_IFMT) == S_IFDIR)
		access |= ACCESS_DIRECTORY;
	return access;
}

// What a failed open would have been: there is no file to ask.
static __always_inline __u16 access_asked(__u64 open_flags)
{
	__u16 access = (open_flags & 3) == 0 ? ACCESS_READ :
		       (open_flags & 3) == 1 ? ACCESS_WRITE :
					       ACCESS_READ | ACCESS_WRITE;

	access |= open_flags & OPEN_CREAT ? ACCESS_CREATE : 0;
	access |= open_flags & OPEN_TRUNC ? ACCESS_TRUNCATE : 0;
	return access | (open_flags & OPEN_APPEND ? ACCESS_APPEND : 0);
}

// Append the string that was asked for. Returns its size without the NUL.
static __always_inline __u32 append_asked(struct scratch *scratch, __u32 *position,
					  const char *asked)
{
	__u32 at = *position & (RECORD_ROOM - 1);
	long size;

	if (!asked)
		return 0;
	size = bpf_probe_read_user_str(&scratch->record[at], PATH_SIZE, asked);
	if (size <= 1 || size > PATH_SIZE)
		return 0;
	*position = at + size - 1;
	return size - 1;
}

static __always_inline void record_open_failed(struct task_state *state, struct open_call *call)
{
	struct named named = {
		.asked = call->asked,
		.result = call->result,
		.directory = call->directory,
		.access = access_asked(call->open_flags),
	};

	record_name(state, &named);
}

// What a file is that the window's set has only now.
static __always_inline int send_opened(struct file *file, struct file_key *key, const char *asked)
{
	struct scratch *scratch = scratch_of();
	__u32 position = sizeof(struct file_record), flags = 0;
	struct file_record *record;
	__u64 fingerprint;
	struct path path;

	if (!scratch || !file || !key)
		return 0;
	record = begin_file(scratch);
	path.dentry = PEEK(file, file, f_path.dentry);
	path.mnt = PEEK(file, file, f_path.mnt);
	record->path_size = append_path(&path, &position, &flags, &fingerprint);
	record->asked_size = append_asked(scratch, &position, asked);
	record->time_ns = bpf_ktime_get_boot_ns();
	record->fingerprint = key->fingerprint;
	record->dev = key->dev;
	record->ino = key->ino;
	record->slot = key->slot;
	record->window = key->window;
	record->flags = flags | file_flags(PEEK(file, file, f_inode));
	if (flags & EVENT_PATH_TRUNCATED)
		count_loss(key->slot, LOSS_TRUNCATED, PLACE_FILES, 1);
	send_file(scratch, record, position);
	tell_file(key);
	return 0;
}

// All but what kind of access it is.
static __always_inline void fill_key(struct file_key *key, struct task_state *state,
				     struct file *file)
{
	struct inode *inode = PEEK(file, file, f_inode);

	key->fingerprint = fingerprint_of(file);
	key->ino = PEEK(inode, inode, i_ino);
	key->dev = PEEK2(inode, inode, i_sb, s_dev);
	key->generation = PEEK(inode, inode, i_generation);
	key->exe_key = state->owner.exe_key;
	key->slot = state->slot;
	key->window = window;
}

// Is this open one that is known to be allowed?
static __always_inline bool passes(struct file_key *key)
{
	struct slot_usage *use;
	__u32 slot = key->slot;
	bool is_passed;

	if (!tells_news || !passes_files || key->errnum)
		return false;
	key->window = 0;
	is_passed = bpf_map_lookup_elem(&passed_files, key);
	key->window = window;
	if (!is_passed)
		return false;
	use = bpf_map_lookup_elem(&usage, &slot);
	if (use)
		__sync_fetch_and_add(&use->passed_opens, 1);
	return true;
}

__noinline int record_opened(struct task_state *state, struct open_call *call)
{
	struct file_key key = {};
	struct inode *inode;
	struct file *file;

	if (!state || !call)
		return 0;
	file = file_of(bpf_get_current_task_btf(), call->result);
	if (!file) {
		count_loss(state->slot, LOSS_READ_FAULT, PLACE_FILES, 1);
		return 0;
	}
	fill_key(&key, state, file);
	inode = PEEK(file, file, f_inode);
	key.access = call->access ? call->access : access_of(file, inode, call->open_flags);
	key.errnum = call->errnum;
	if (!call->access && passes(&key))
		return 0;
	if (count_file(&key))
		send_opened(file, &key, call->asked);
	return 0;
}

static __always_inline void record_open(struct task_state *state, struct open_call *call)
{
	if (call->result >= 0)
		record_opened(state, call);
	else if (call->result > -512)
		record_open_failed(state, call);
}

// A native open, openat, openat2 or creat that just returned.
static __noinline int open_done(struct task_state *state, struct pt_regs *regs, __u32 nr,
				__s64 result)
{
	struct open_call call = { .result = result, .directory = AT_FDCWD };

	if (!state || !regs)
		return 0;
	if (nr == NR_open || nr == NR_creat) {
		call.asked = (const char *)ARG1(regs);
		call.open_flags = nr == NR_creat ? OPEN_CREAT | OPEN_TRUNC | 1 : ARG2(regs);
	} else {
		call.directory = ARG1(regs);
		call.asked = (const char *)ARG2(regs);
		call.open_flags = ARG3(regs);
		if (nr == NR_openat2) // struct open_how begins with its flags
			bpf_probe_read_user(&call.open_flags, 8, (void *)ARG3(regs));
	}
	record_open(state, &call);
	return 0;
}

// The same of a 32-bit table.
static __noinline int compat_open_done(struct task_state *state, struct pt_regs *regs, __s64 result)
{
	struct open_call call = { .result = result, .directory = AT_FDCWD };

	if (!state || !regs)
		return 0;
	switch (state->nr) {
	case COMPAT_open:
	case COMPAT_creat:
		call.asked = (const char *)(__u64)COMPAT_ARG1(regs);
		call.open_flags = state->nr == COMPAT_creat ? OPEN_CREAT | OPEN_TRUNC | 1 :
							      COMPAT_ARG2(regs);
		break;
	case COMPAT_openat:
	case COMPAT_openat2:
		call.directory = COMPAT_ARG1(regs);
		call.asked = (const char *)(__u64)COMPAT_ARG2(regs);
		call.open_flags = COMPAT_ARG3(regs);
		if (state->nr == COMPAT_openat2)
			bpf_probe_read_user(&call.open_flags, 8,
					    (void *)(__u64)COMPAT_ARG3(regs));
		break;
	default:
		return 0;
	}
	record_open(state, &call);
	return 0;
}

// A file that was opened by a handle, by no name at all.
static __noinline int handle_opened(struct task_state *state, struct pt_regs *regs, __s64 result)
{
	struct open_call call = { .result = result };

	if (!state || !regs)
		return 0;
	call.open_flags = ARG3(regs);
	record_opened(state, &call);
	return 0;
}

#endif
