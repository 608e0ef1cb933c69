// SPDX-License-Identifier: GPL-2.0
// Names that were asked for and lead to no open file: counted by the string and the directory that
// it starts from; the first sight of each sends both.
#ifndef ETHOGRAM_NAMES_H
#define ETHOGRAM_NAMES_H

#include "path.h"

#define AT_FDCWD (-100)
#define EFAULT 14
// A name is told from another by its length, its first and its last bytes.
#define HASHED_HEAD 128
#define HASHED_TAIL 256

struct named {
	const char *asked; // user memory
	__s64 result;
	__s32 directory; // descriptor that a relative name starts from
	__u16 access;
	__u16 pad;
};

// Per CPU: the name being looked at.
struct name {
	__u8 text[PATH_SIZE + HASHED_TAIL] __attribute__((aligned(8)));
};
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct name);
} names SEC(".maps");

static __always_inline struct file_record *begin_file(struct scratch *scratch)
{
	struct file_record *record = (struct file_record *)scratch->record;

	__builtin_memset(record, 0, sizeof(*record));
	record->kind = RECORD_FILE;
	return record;
}

static __always_inline void send_file(struct scratch *scratch, struct file_record *record,
				      __u32 position)
{
	if (bpf_ringbuf_output(&paths, scratch->record,
			       position & (RECORD_ROOM - 1),
				BPF_RB_NO_WAKEUP))
		count_loss(record->slot, LOSS_RING_FULL, PLACE_FILES, 1);
}

// A file that is new in this window. Returns true where it is in the set now.
__noinline int add_file(struct file_key *given)
{
	struct use *use, fresh = { .calls = 1 };
	struct file_key copy, *key = &copy; // Linux 6.1 takes no key that only is somebody's memory

	if (!given)
		return 0;
	copy = *given;
	if (!take_quota(key->slot, QUOTA_FILES, quota_files, PLACE_FILES))
		return 0;
	fresh.first_ns = fresh.last_ns = bpf_ktime_get_boot_ns();
	fresh.last_jiffies = bpf_jiffies64();
	if (!bpf_map_update_elem(&files, key, &fresh, BPF_NOEXIST))
		return 1;
	use = bpf_map_lookup_elem(&files, key);
	if (use)
		__sync_fetch_and_add(&use->calls, 1);
	else
		count_loss(key->slot, LOSS_MAP_FULL, PLACE_FILES, 1);
	return 0;
}

// Returns true where the key is new in this window. The time is asked for once a jiffy: jiffies are
// a load, a clock is a call.
static __always_inline bool count_file(struct file_key *key)
{
	struct use *use = bpf_map_lookup_elem(&files, key);
	__u64 now = bpf_jiffies64();

	if (!use)
		return add_file(key);
	__sync_fetch_and_add(&use->calls, 1);
	if (use->last_jiffies != now) {
		use->last_jiffies = now;
		use->last_ns = bpf_ktime_get_boot_ns();
	}
	return false;
}

// Read *asked*. Returns its size without the NUL, negative where it cannot be read.
static __always_inline long read_name(struct name *name, const char *asked)
{
	long size;

	__builtin_memset(name->text, 0, HASHED_TAIL);
	size = bpf_probe_read_user_str(name->text, PATH_SIZE, asked);
	return size > 0 ? size - 1 : size; // 0 of an empty one: older kernels count no NUL there
}

// Eight bytes that may lie anywhere: the compiler would load them one by one.
static __always_inline __u64 word_at(const __u8 *address)
{
	__u64 word;

	asm volatile("%0 = *(u64 *)(%1 + 0)" : "=r"(word) : "r"(address) : "memory");
	return word;
}

static __noinline __u64 hash_of_name(struct name *name, __u32 size)
{
	__u32 tail = size > HASHED_TAIL ? size - HASHED_TAIL : 0;
	__u64 hash = FIBONACCI;

	if (!name)
		return 0;
	tail &= PATH_SIZE - 1;
	// Unrolled it would need most of the stack that all callers share.
#pragma clang loop unroll(disable)
	for (int i = 0; i < HASHED_HEAD / 8; i++)
		hash = mix(hash, word_at(&name->text[i * 8]));
#pragma clang loop unroll(disable)
	for (int i = 0; i < HASHED_TAIL / 8; i++)
		hash = mix(hash, word_at(&name->text[tail + i * 8]));
	return mix(hash, size);
}

// Where a name of the current task starts from: its root, its working directory, a descriptor.
static __always_inline bool find_start(struct path *path, __u8 first, __s32 directory)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct fs_struct *fs = BPF_CORE_READ(task, fs);
	struct file *file;

	if (first == '/') {
		path->dentry = BPF_CORE_READ(fs, root.dentry);
		path->mnt = BPF_CORE_READ(fs, root.mnt);
	} else if (directory == AT_FDCWD) {
		path->dentry = BPF_CORE_READ(fs, pwd.dentry);
		path->mnt = BPF_CORE_READ(fs, pwd.mnt);
	} else {
		file = directory < 0 ? NULL : file_of(task, directory);
		path->dentry = BPF_CORE_READ(file, f_path.dentry);
		path->mnt = BPF_CORE_READ(file, f_path.mnt);
	}
	return path->dentry && path->mnt;
}

static __noinline __u64 fingerprint_of_path(struct path *path)
{
	struct walk walk;

	if (!path)
		return 0;
	walk_from(&walk, path->dentry, path->mnt);
	walk_up(&walk);
	return walk.fingerprint;
}

// A name of *size* bytes that is in *name* already.
static __always_inline int record_read_name(struct task_state *state, struct named *named,
				       struct name *name, __u32 size)
{
	struct scratch *scratch = scratch_of();
	__u32 position = sizeof(struct file_record), flags = 0;
	struct file_record *record;
	struct file_key key = {};
	struct path start;
	__u64 fingerprint;
	bool has_start;

	if (!scratch || !state || !named || !name)
		return 0;
	has_start = find_start(&start, name->text[0], named->directory);
	key.fingerprint = hash_of_name(name, size);
	if (has_start)
		key.fingerprint = mix(key.fingerprint, fingerprint_of_path(&start));
	key.exe_key = state->owner.exe_key;
	key.slot = state->slot;
	key.window = window;
	key.access = named->access;
	key.errnum = named->result < 0 ? -named->result : 0;
	if (!count_file(&key))
		return 0;
	record = begin_file(scratch);
	if (has_start) {
		flags = EVENT_START;
		record->path_size = append_path(&start, &position, &flags, &fingerprint);
	}
	record->asked_size = append(scratch, &position, name->text, size);
	record->time_ns = bpf_ktime_get_boot_ns();
	record->fingerprint = key.fingerprint;
	record->slot = key.slot;
	record->window = key.window;
	record->flags = flags;
	if (flags & EVENT_PATH_TRUNCATED)
		count_loss(key.slot, LOSS_TRUNCATED, PLACE_FILES, 1);
	send_file(scratch, record, position);
	tell_file(&key);
	return 0;
}

__noinline int record_name(struct task_state *state, struct named *named)
{
	__u32 zero = 0;
	struct name *name = bpf_map_lookup_elem(&names, &zero);
	long size;

	if (!state || !named || !name)
		return 0;
	size = read_name(name, named->asked);
	// An empty name, or one that the kernel could not read either, is no file's.
	if (size < 0 && named->result != -EFAULT)
		count_loss(state->slot, LOSS_READ_FAULT, PLACE_FILES, 1);
	if (size > 0 && size < PATH_SIZE)
		record_read_name(state, named, name, size);
	return 0;
}

#endif
