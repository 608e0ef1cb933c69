// SPDX-License-Identifier: GPL-2.0
// What calls do to files without opening them: rename, remove, link, make, truncate, change mode
// or owner. They are told by name, counted like opens; what has a descriptor by its file.
#ifndef ETHOGRAM_CHANGES_H
#define ETHOGRAM_CHANGES_H

#include "files.h"

#define AT_REMOVEDIR 0x200
#define RENAME_EXCHANGE 2

// Every call that change_of() looks at.
#define CHANGE_CALLS(X, w)                                                                      \
	X(NR_chmod, w) X(NR_chown, w) X(NR_fchmod, w) X(NR_fchmodat, w) X(NR_fchmodat2, w)       \
	X(NR_fchown, w) X(NR_fchownat, w) X(NR_ftruncate, w) X(NR_lchown, w) X(NR_link, w)       \
	X(NR_linkat, w) X(NR_mkdir, w) X(NR_mkdirat, w) X(NR_mknod, w) X(NR_mknodat, w)          \
	X(NR_rename, w) X(NR_renameat, w) X(NR_renameat2, w) X(NR_rmdir, w) X(NR_symlink, w)     \
	X(NR_symlinkat, w) X(NR_truncate, w) X(NR_unlink, w) X(NR_unlinkat, w)

static const __u64 change_calls[NATIVE_CALLS / 64] = CALL_SET(CHANGE_CALLS);

// One name, or an open file where *asked* is 0.
struct change {
	__u64 asked;
	__s32 directory; // or the descriptor of the file
	__u16 access;
	__u16 is_wanted;
};

struct changes {
	struct change first;
	struct change second;
};

// Per CPU: what would be too much for a stack that all callers share.
struct change_room {
	struct call_arguments arguments;
	struct changes changes;
	struct open_call opened;
	struct named named;
};
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct change_room);
} change_rooms SEC(".maps");

static __always_inline struct change_room *change_room_of(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&change_rooms, &zero);
}

static __always_inline void set_change(struct change *change, __s32 directory, __u64 asked,
				       __u16 access)
{
	change->asked = asked;
	change->directory = directory;
	change->access = access;
	change->is_wanted = 1;
}

static __always_inline void rename_of(struct changes *changes, __s32 from, __u64 old, __s32 to,
				      __u64 new, __u32 flags)
{
	__u16 both = ACCESS_RENAME_FROM | ACCESS_RENAME_TO;

	set_change(&changes->first, from, old, flags & RENAME_EXCHANGE ? both : ACCESS_RENAME_FROM);
	set_change(&changes->second, to, new, flags & RENAME_EXCHANGE ? both : ACCESS_RENAME_TO);
}

static __always_inline void link_of(struct changes *changes, __s32 from, __u64 old, __s32 to,
				    __u64 new)
{
	set_change(&changes->first, from, old, ACCESS_LINK);
	set_change(&changes->second, to, new, ACCESS_MAKE | ACCESS_LINK);
}

// What a native call changes.
static __noinline int change_of(__u32 nr, struct call_arguments *args, struct changes *changes)
{
	struct change *change = &changes->first;
	__u64 one, two, three;

	if (!args || !changes)
		return 0;
	one = args->at[0], two = args->at[1], three = args->at[2];
	switch (nr) {
	case NR_rename:
		rename_of(changes, AT_FDCWD, one, AT_FDCWD, two, 0);
		break;
	case NR_renameat:
		rename_of(changes, one, two, three, args->at[3], 0);
		break;
	case NR_renameat2:
		rename_of(changes, one, two, three, args->at[3], args->at[4]);
		break;
	case NR_link:
		link_of(changes, AT_FDCWD, one, AT_FDCWD, two);
		break;
	case NR_linkat:
		link_of(changes, one, two, three, args->at[3]);
		break;
	case NR_symlink:
		set_change(change, AT_FDCWD, two, ACCESS_SYMLINK);
		break;
	case NR_symlinkat:
		set_change(change, two, three, ACCESS_SYMLINK);
		break;
	case NR_unlink:
		set_change(change, AT_FDCWD, one, ACCESS_UNLINK);
		break;
	case NR_rmdir:
		set_change(change, AT_FDCWD, one, ACCESS_UNLINK | ACCESS_DIRECTORY);
		break;
	case NR_unlinkat:
		set_change(change, one, two,
			   ACCESS_UNLINK | (three & AT_REMOVEDIR ? ACCESS_DIRECTORY : 0));
		break;
	case NR_mkdir:
		set_change(change, AT_FDCWD, one, ACCESS_MAKE | ACCESS_DIRECTORY);
		break;
	case NR_mkdirat:
		set_change(change, one, two, ACCESS_MAKE | ACCESS_DIRECTORY);
		break;
	case NR_mknod:
		set_change(change, AT_FDCWD, one, ACCESS_MAKE);
		break;
	case NR_mknodat:
		set_change(change, one, two, ACCESS_MAKE);
		break;
	case NR_chmod:
	case NR_chown:
	case NR_lchown:
		set_change(change, AT_FDCWD, one, ACCESS_ATTRIBUTES);
		break;
	case NR_fchmodat:
	case NR_fchmodat2:
	case NR_fchownat:
		set_change(change, one, two, ACCESS_ATTRIBUTES);
		break;
	case NR_fchmod:
	case NR_fchown:
		set_change(change, one, 0, ACCESS_ATTRIBUTES);
		break;
	case NR_truncate:
		set_change(change, AT_FDCWD, one, ACCESS_TRUNCATE);
		break;
	case NR_ftruncate:
		// It is open for writing, and told as such. Other lengths are how a database, or
		// shared memory, gets its room.
		if (two == 0)
			set_change(change, one, 0, ACCESS_TRUNCATE);
		break;
	}
	return 0;
}

__noinline int record_one_change(struct task_state *state, struct change *change,
					__s64 result)
{
	struct change_room *room = change_room_of();
	__u8 first = 0;

	if (!state || !change || !room || !change->is_wanted)
		return 0;
	// AT_EMPTY_PATH: the file of the descriptor itself.
	if (change->asked && bpf_probe_read_user(&first, 1, (void *)change->asked) == 0 && !first &&
	    change->directory >= 0 && result >= 0)
		change->asked = 0;
	if (!change->asked) {
		__builtin_memset(&room->opened, 0, sizeof(room->opened));
		room->opened.result = change->directory;
		room->opened.access = change->access;
		room->opened.errnum = result < 0 ? -result : 0;
		if (file_of(bpf_get_current_task_btf(), change->directory)) // else EBADF
			record_opened(state, &room->opened);
		return 0;
	}
	room->named.asked = (const char *)change->asked;
	room->named.result = result;
	room->named.directory = change->directory;
	room->named.access = change->access;
	record_name(state, &room->named);
	return 0;
}

// What a call changed whose arguments are in this CPU's room.
__noinline int record_change(struct task_state *state, __u32 nr, __s64 result)
{
	struct change_room *room = change_room_of();

	if (!state || !room || result <= -512)
		return 0;
	__builtin_memset(&room->changes, 0, sizeof(room->changes));
	change_of(nr, &room->arguments, &room->changes);
	record_one_change(state, &room->changes.first, result);
	record_one_change(state, &room->changes.second, result);
	return 0;
}

static __always_inline void change_done(struct task_state *state, struct pt_regs *regs, __u32 nr,
					__s64 result)
{
	struct change_room *room = change_room_of();

	if (!room)
		return;
	room->arguments = arguments_of(regs);
	record_change(state, nr, result);
}

// The native number of a call of the 32-bit table that changes names.
static __always_inline __u32 native_change(__u32 nr)
{
	switch (nr) {
	case COMPAT_rename:
		return NR_rename;
	case COMPAT_renameat:
		return NR_renameat;
	case COMPAT_renameat2:
		return NR_renameat2;
	case COMPAT_link:
		return NR_link;
	case COMPAT_linkat:
		return NR_linkat;
	case COMPAT_symlink:
		return NR_symlink;
	case COMPAT_symlinkat:
		return NR_symlinkat;
	case COMPAT_unlink:
		return NR_unlink;
	case COMPAT_rmdir:
		return NR_rmdir;
	case COMPAT_unlinkat:
		return NR_unlinkat;
	case COMPAT_mkdir:
		return NR_mkdir;
	case COMPAT_mkdirat:
		return NR_mkdirat;
	case COMPAT_mknod:
		return NR_mknod;
	case COMPAT_mknodat:
		return NR_mknodat;
	case COMPAT_chmod:
	case COMPAT_chown32:
	case COMPAT_lchown32:
		return NR_chmod;
	case COMPAT_fchmodat:
	case COMPAT_fchmodat2:
	case COMPAT_fchownat:
		return NR_fchmodat;
	case COMPAT_truncate:
	case COMPAT_truncate64:
		return NR_truncate;
	}
	return NATIVE_CALLS;
}

static __always_inline int compat_change_done(struct task_state *state, struct pt_regs *regs,
					 __s64 result)
{
	struct change_room *room = change_room_of();
	__u32 nr;

	if (!state || !regs || !room)
		return 0;
	nr = native_change(state->nr);
	if (nr == NATIVE_CALLS)
		return 0;
	room->arguments =
		(struct call_arguments){ { COMPAT_ARG1(regs), COMPAT_ARG2(regs), COMPAT_ARG3(regs),
					   COMPAT_ARG4(regs), COMPAT_ARG5(regs) } };
	record_change(state, nr, result);
	return 0;
}

#endif
