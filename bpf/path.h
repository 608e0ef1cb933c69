// SPDX-License-Identifier: GPL-2.0
// Paths of open files: from the dentry up through the mounts, and the fingerprint of the same.
#ifndef ETHOGRAM_PATH_H
#define ETHOGRAM_PATH_H

#include "fast.h"

#define WALK_STEPS 4096
#define WALK_STEPS_UNROLLED 64
#define WALK_STEPS_INLINE 16 // most paths, without a callback
#define RECORD_ROOM 16384

struct walk {
	struct dentry *dentry;
	struct dentry *root;
	struct mount *mount;
	__u8 *buffer; // unused while only the fingerprint is wanted
	__u64 fingerprint;
	__u32 offset;
	__u8 is_done;
	__u8 is_truncated;
	__u8 wants_path;
	__u8 pad;
};

// One buffer to walk in (a path grows from its end), one to put a record together.
// Per CPU: the tracepoints that use it run with preemption off.
struct scratch {
	__u8 walk[PATH_SIZE + 256]; // room for a component at its last byte
	__u8 record[RECORD_ROOM + 2 * PATH_SIZE]; // room for an append at its last byte
	struct walk at; // the stack that all callers share is short
};
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct scratch);
} scratches SEC(".maps");

static __always_inline struct scratch *scratch_of(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&scratches, &zero);
}

static __always_inline struct mount *mount_of(struct vfsmount *vfsmount)
{
	return (void *)vfsmount - bpf_core_field_offset(struct mount, mnt);
}

static __noinline int walk_from(struct walk *walk, struct dentry *dentry,
				struct vfsmount *vfsmount)
{
	if (!walk)
		return 0;
	__builtin_memset(walk, 0, sizeof(*walk));
	walk->dentry = dentry;
	walk->mount = mount_of(vfsmount);
	walk->root = PEEK(vfsmount, vfsmount, mnt_root);
	walk->offset = PATH_SIZE - 1;
	return 0;
}

static __always_inline void put_component(struct walk *walk, struct dentry *dentry)
{
	__u32 length = PEEK(dentry, dentry, d_name.len), offset = walk->offset;
	const unsigned char *name = PEEK(dentry, dentry, d_name.name);
	struct scratch *scratch = scratch_of();

	length &= 255; // NAME_MAX
	if (!scratch || offset < length + 1) {
		walk->is_truncated = 1;
		return;
	}
	offset = (offset - length) & (PATH_SIZE - 1);
	bpf_probe_read_kernel(&scratch->walk[offset], length, name);
	offset = (offset - 1) & (PATH_SIZE - 1);
	scratch->walk[offset] = '/';
	walk->offset = offset;
}

// One step up. Returns 1 at the top, and where the path is longer than its buffer.
static long walk_step(__u32 index, void *context)
{
	struct walk *walk = context;
	struct dentry *dentry = walk->dentry, *parent = PEEK(dentry, dentry, d_parent);

	if (dentry == walk->root || dentry == parent) {
		struct mount *mount = walk->mount, *above = PEEK(mount, mount, mnt_parent);

		if (above == mount) {
			walk->is_done = 1;
			return 1;
		}
		walk->dentry = PEEK(mount, mount, mnt_mountpoint);
		walk->root = PEEK(mount, above, mnt.mnt_root);
		walk->mount = above;
		return 0;
	}
	walk->fingerprint = mix(walk->fingerprint, PEEK(dentry, dentry, d_name.hash_len));
	if (walk->wants_path) {
		put_component(walk, dentry);
		if (walk->is_truncated)
			return 1;
	}
	walk->dentry = parent;
	return 0;
}

__noinline int walk_up(struct walk *result)
{
	struct walk walk; // the callback's context has to be on the stack

	if (!result)
		return 0;
	walk = *result;
	// bpf_loop since Linux commit e6f2dd0f8067 ("bpf: Add bpf_loop helper") (v5.17).
	if (bpf_core_enum_value_exists(enum bpf_func_id, BPF_FUNC_loop)) {
		bpf_loop(WALK_STEPS, walk_step, &walk, 0);
	} else {
		for (int i = 0; i < WALK_STEPS_UNROLLED; i++)
			if (walk_step(i, &walk))
				break;
	}
	if (!walk.is_done)
		walk.is_truncated = 1;
	*result = walk;
	return 0;
}

// The fingerprint of a walk that is short, by loads alone; 0 where it is not.
static __always_inline __u64 short_fingerprint(struct file *file)
{
	struct dentry *dentry = file->f_path.dentry;
	struct mount *mount = CAST(mount, mount_of(file->f_path.mnt));
	struct dentry *root = mount->mnt.mnt_root;
	__u64 fingerprint = 0;

	for (int i = 0; i < WALK_STEPS_INLINE; i++) {
		struct dentry *parent = dentry->d_parent;

		if (dentry == root || dentry == parent) {
			struct mount *above = mount->mnt_parent;

			if (above == mount)
				return fingerprint | 1;
			dentry = mount->mnt_mountpoint;
			root = above->mnt.mnt_root;
			mount = above;
			continue;
		}
		fingerprint = mix(fingerprint, dentry->d_name.hash_len);
		dentry = parent;
	}
	return 0;
}

static __noinline __u64 long_fingerprint(struct file *file)
{
	struct walk walk;

	if (!file)
		return 0;
	walk_from(&walk, PEEK(file, file, f_path.dentry), PEEK(file, file, f_path.mnt));
	walk_up(&walk);
	return walk.fingerprint | 1;
}

static __always_inline __u64 fingerprint_of(struct file *file)
{
	__u64 fingerprint = 0;

	if (has_rdonly_cast)
		fingerprint = short_fingerprint(CAST(file, file));
	return fingerprint ? fingerprint : long_fingerprint(file);
}

// Copy *size* bytes to the end of the record being put together.
static __always_inline __u32 append(struct scratch *scratch, __u32 *position, const void *source,
				    __u32 size)
{
	__u32 at = *position & (RECORD_ROOM - 1);

	size &= PATH_SIZE - 1;
	if (bpf_probe_read_kernel(&scratch->record[at], size, source))
		return 0;
	*position = at + size;
	return size;
}

// Append the name of the root itself, or of a file without a place in the tree: a memfd, a pipe.
static __noinline int append_leaf(struct dentry *dentry, __u32 *position)
{
	struct scratch *scratch = scratch_of();

	if (!scratch || !dentry || !position)
		return 0;
	return append(scratch, position, PEEK(dentry, dentry, d_name.name),
		      PEEK(dentry, dentry, d_name.len) & 255);
}

// Append the path of (dentry, mount). Returns its size; flags say what is wrong with it.
__noinline int append_path(struct path *path, __u32 *position, __u32 *flags, __u64 *fingerprint)
{
	struct scratch *scratch = scratch_of();
	struct walk *walk;
	struct dentry *dentry;
	struct vfsmount *mount;
	__u32 offset;
	__u64 first;

	if (!scratch || !path || !position || !flags || !fingerprint)
		return 0;
	walk = &scratch->at;
	dentry = path->dentry;
	mount = path->mnt;
	// A rename during the walk invents paths: twice the same fingerprint, or it is flagged.
	walk_from(walk, dentry, mount);
	walk_up(walk);
	first = walk->fingerprint;
	walk_from(walk, dentry, mount);
	walk->wants_path = 1;
	walk_up(walk);
	if (walk->fingerprint != first) {
		walk_from(walk, dentry, mount);
		walk_up(walk);
		first = walk->fingerprint;
		walk_from(walk, dentry, mount);
		walk->wants_path = 1;
		walk_up(walk);
		if (walk->fingerprint != first && !walk->is_truncated)
			*flags |= EVENT_PATH_RACY;
	}
	*fingerprint = first | 1;
	if (walk->is_truncated)
		*flags |= EVENT_PATH_TRUNCATED;
	offset = walk->offset & (PATH_SIZE - 1);
	if (offset == PATH_SIZE - 1)
		return append_leaf(dentry, position);
	return append(scratch, position, &scratch->walk[offset], PATH_SIZE - 1 - offset);
}

static __always_inline bool is_upper(struct inode *inode)
{
	struct ovl_inode *overlay =
		(void *)inode - bpf_core_field_offset(struct ovl_inode, vfs_inode);

	return PEEK(ovl_inode, overlay, __upperdentry) != NULL;
}

static __always_inline __u32 file_flags(struct inode *inode)
{
	__u32 flags = PEEK(inode, inode, i_nlink) ? 0 : EVENT_DELETED;

	if (PEEK2(inode, inode, i_sb, s_magic) == OVERLAYFS_SUPER_MAGIC &&
	    bpf_core_type_exists(struct ovl_inode))
		flags |= EVENT_OVERLAY | (is_upper(inode) ? EVENT_UPPER_LAYER : 0);
	return flags;
}

// Since Linux commit 4e40eff0b573 ("fs: add infrastructure for multigrain timestamps") (v6.13) a bit
// above the nanoseconds says that somebody asked for the time.
#define CTIME_NANOSECONDS 0x7fffffffu

static __always_inline __u64 ctime_of(struct inode *inode)
{
	if (bpf_core_field_exists(inode->i_ctime_sec))
		return BPF_CORE_READ(inode, i_ctime_sec) * 1000000000ull +
		       (BPF_CORE_READ(inode, i_ctime_nsec) & CTIME_NANOSECONDS);
	if (bpf_core_field_exists(((struct inode___v66 *)inode)->__i_ctime)) {
		struct inode___v66 *old = (void *)inode;

		return BPF_CORE_READ(old, __i_ctime.tv_sec) * 1000000000ull +
		       BPF_CORE_READ(old, __i_ctime.tv_nsec);
	} else {
		struct inode___v51 *old = (void *)inode;

		return BPF_CORE_READ(old, i_ctime.tv_sec) * 1000000000ull +
		       BPF_CORE_READ(old, i_ctime.tv_nsec);
	}
}

// Where a task has the open file of a descriptor; NULL where there can be none.
static __always_inline struct file **file_slot_of(struct task_struct *task, __u64 fd)
{
	struct files_struct *files = READABLE(task_struct, task)->files;
	struct fdtable *table;
	struct file **slots;

	if (!files)
		return NULL;
	table = PEEK(files_struct, files, fdt);
	if (fd >= PEEK(fdtable, table, max_fds))
		return NULL;
	slots = PEEK(fdtable, table, fd);
	return &slots[fd];
}

// The open file behind a descriptor of the current task. Another thread may replace it meanwhile.
static __always_inline struct file *file_of(struct task_struct *task, __u64 fd)
{
	struct file **slot = file_slot_of(task, fd);

	return slot ? (struct file *)PEEK(list_head, slot, next) : NULL;
}

// The same as a number, for functions that are verified once.
static __always_inline __u64 file_address_of(struct task_struct *task, __u64 fd)
{
	struct file **slot = file_slot_of(task, fd);
	__u64 address = 0;

	if (slot)
		bpf_probe_read_kernel(&address, sizeof(address), slot);
	return address;
}

#endif
