// SPDX-License-Identifier: GPL-2.0
// The recorder for kernels without BTF: compiled on the node by BCC. bcc.py puts the wire structs
// and their enums before this text.
//
// Stable ABI alone: fields of tracepoints, helpers, and user registers as <asm/ptrace.h> shows
// them to user space. No struct of the kernel is read, so headers of another kernel serve as well.
#include <asm/ptrace.h>

#define PATH_SIZE 4096
#define ARGV_SIZE 4096
#define NATIVE_CALLS 512
#define SLOT_UNASSIGNED 0u
#define QUOTA_FLOWS_LIMIT 20000
#define QUOTA_RARE_LIMIT 10000 // calls of other architectures
#define FIBONACCI 0x9E3779B97F4A7C15ull
#define FNV_BASIS 0xcbf29ce484222325ull
#define FNV_PRIME 0x100000001b3ull
#define X32_BIT 0x40000000u
#define USER32_CS 0x23
#define INT_80 0x80cd // little-endian: cd 80
#define NEW_THREAD 0x00010000 // CLONE_THREAD
#define V4 2
#define V6 10
#define STREAM 1
#define TCP 6
#define SYN_SENT 2
#define LISTENING 10
#define DATA_LOC(args, field) ((const char *)(args) + ((args)->data_loc_##field & 0xffff))

struct switches {
	u32 armed;
	u32 window;
};

// What is known of a process: from its fork, or from its first exec in a recorded cgroup.
struct process_state {
	u64 exec_key;
	u64 exe_key;
	u64 process_key; // the same for its whole life, whatever it executes
	u64 fork_parent_key;
	u64 parent_process_key;
	u32 parent_tgid;
	u32 pad;
};

struct exec_event {
	struct process_record head;
	char tail[PATH_SIZE + ARGV_SIZE];
};

enum quota { QUOTA_FLOWS, QUOTA_RARE, QUOTA_KINDS };

struct slot_usage {
	u32 window[QUOTA_KINDS];
	u32 used[QUOTA_KINDS];
};

// Written by user space while the programs run.
BPF_ARRAY(switches, struct switches, 1);
// Losses that found no room in `losses`.
BPF_ARRAY(unplaced, u64, 1);
// cgroup id -> recorded or not. User space inserts and deletes.
BPF_HASH(targets, u64, struct target, 16384);
// cgroup id -> slot. User space deletes and gives the slot back.
BPF_HASH(slots, u64, u32, 16384);
BPF_QUEUE(free_slots, u32, 16384);
struct native_counts {
	u64 calls[NATIVE_CALLS];
};
// slot -> native calls, monotonic: user space takes differences. Giving calls places, as the CO-RE
// program does, needs the result of an atomic addition, which the compiler has not for this target.
BPF_PERCPU_ARRAY(counts, struct native_counts, MAX_SLOTS);
// slot -> entries made in the window of each kind. Starts anew with the window.
BPF_ARRAY(usage, struct slot_usage, MAX_SLOTS);
// Sets of a window; user space drains and deletes.
BPF_HASH(odd_calls, struct call_key, u64, 16384);
BPF_HASH(flows, struct flow_key, struct flow_use, 65536);
// Monotonic; never deleted while recording.
BPF_HASH(losses, struct loss_key, u64, 16384);
// tgid -> what is known of it. Deleted at its exit.
BPF_HASH(processes, u32, struct process_state, 65536);
// tgid -> exec under way: its arguments are there when the call returns. Deleted then, or at exit.
BPF_HASH(pending, u32, struct exec_event, 512);
BPF_PERCPU_ARRAY(scratch, struct exec_event, 1);
BPF_RINGBUF_OUTPUT(life, 4096);

// --- losses, quotas, counters -----------------------------------------------------------------

static __always_inline void count_loss(u32 slot, u16 kind, u16 place)
{
	struct loss_key key = { .slot = slot, .kind = kind, .place = place };
	u64 zero = 0, *value = losses.lookup(&key);
	int first = 0;

	if (!value) {
		losses.insert(&key, &zero);
		value = losses.lookup(&key);
	}
	if (!value)
		value = unplaced.lookup(&first);
	if (value)
		__sync_fetch_and_add(value, 1);
}

static __always_inline bool take_quota(u32 slot, u32 kind, u32 limit, u32 window, u16 place)
{
	int index = slot;
	struct slot_usage *use = usage.lookup(&index);

	if (!use)
		return true;
	if (use->window[kind] != window) {
		use->window[kind] = window;
		use->used[kind] = 0;
	}
	if (use->used[kind] >= limit) {
		count_loss(slot, LOSS_QUOTA, place);
		return false;
	}
	__sync_fetch_and_add(&use->used[kind], 1);
	return true;
}

// The compiler may not drop the mask because it knows better: the verifier wants to see it.
static __always_inline u64 bounded(u64 size, u64 limit)
{
	asm volatile("" : "+r"(size));
	return size & (limit - 1);
}

static __always_inline u64 mix(u64 hash, u64 value)
{
	hash = (hash ^ value) * FIBONACCI;
	return hash ^ (hash >> 29);
}

static __always_inline u64 key_of(u32 tgid, u64 now)
{
	return mix(mix(FIBONACCI, tgid), now) | 1;
}

// --- whose --------------------------------------------------------------------------------------

static __always_inline void announce_slot(u64 cgroup_id, u32 slot)
{
	struct slot_record record = {
		.kind = RECORD_SLOT,
		.slot = slot,
		.time_ns = bpf_ktime_get_boot_ns(),
		.cgroup_id = cgroup_id,
		.phase = PHASE_UNKNOWN,
		.mntns = HOST_MNTNS,
		.mntns_inode = HOST_MNTNS,
		.tgid = bpf_get_current_pid_tgid() >> 32,
	};

	if (life.ringbuf_output(&record, sizeof(record), BPF_RB_NO_WAKEUP))
		count_loss(slot, LOSS_RING_FULL, PLACE_SLOTS);
}

static __always_inline u32 new_slot(u64 cgroup_id)
{
	struct target *target = targets.lookup(&cgroup_id);
	u32 slot, *known;

	if (target ? !target->is_recorded : !RECORD_BY_DEFAULT)
		return NO_SLOT;
	if (bpf_get_current_pid_tgid() >> 32 == RECORDER_TGID)
		return NO_SLOT;
	if (free_slots.pop(&slot)) {
		count_loss(SLOT_UNASSIGNED, LOSS_SLOTS_FULL, PLACE_SLOTS);
		return SLOT_UNASSIGNED;
	}
	if (!slots.insert(&cgroup_id, &slot)) {
		announce_slot(cgroup_id, slot);
		return slot;
	}
	free_slots.push(&slot, 0); // another CPU was first
	known = slots.lookup(&cgroup_id);
	return known ? *known : SLOT_UNASSIGNED;
}

// The slot of the caller, NO_SLOT where it is not recorded.
static __always_inline u32 find_slot(u32 *window)
{
	u64 cgroup_id = bpf_get_current_cgroup_id();
	int first = 0;
	struct switches *now = switches.lookup(&first);
	u32 *slot;

	if (!now || !now->armed)
		return NO_SLOT;
	*window = now->window;
	slot = slots.lookup(&cgroup_id);
	if (!slot)
		return new_slot(cgroup_id);
	if (bpf_get_current_pid_tgid() >> 32 == RECORDER_TGID)
		return NO_SLOT;
	return *slot;
}

// --- system calls -------------------------------------------------------------------------------

// Registers in the order of struct pt_regs, which <asm/ptrace.h> promises to user space.
struct entry {
	u64 nr;
	u64 ip;
	u64 cs;
	u64 flags;
	u64 sp;
};

static __always_inline struct entry entry_of(const struct pt_regs *regs)
{
	struct entry entry = {};

	bpf_probe_read_kernel(&entry, sizeof(entry), &regs->orig_ax);
	return entry;
}

static __always_inline bool is_32_bit(const struct entry *entry)
{
	return (entry->cs & 0xffff) == USER32_CS;
}

// `int $0x80` works from 64-bit code too, and then only the instruction tells.
static __always_inline u16 arch_of(const struct entry *entry, u64 nr)
{
	u16 instruction = 0;

	if (is_32_bit(entry))
		return ARCH_I386;
	bpf_probe_read_user(&instruction, sizeof(instruction), (const void *)(entry->ip - 2));
	if (instruction == INT_80)
		return ARCH_I386;
	return nr & X32_BIT && (s64)nr > 0 ? ARCH_X32 : ARCH_X86_64;
}

static __always_inline void count_odd_call(u32 slot, u32 window, u32 nr, u16 arch)
{
	struct call_key key = { .slot = slot, .window = window, .nr = nr, .arch = arch };
	u64 one = 1, *value = odd_calls.lookup(&key);

	if (!value) {
		if (!take_quota(slot, QUOTA_RARE, QUOTA_RARE_LIMIT, window, PLACE_SYSCALLS))
			return;
		if (!odd_calls.insert(&key, &one))
			return;
		value = odd_calls.lookup(&key); // another CPU made it first
	}
	if (value)
		__sync_fetch_and_add(value, 1);
	else
		count_loss(slot, LOSS_MAP_FULL, PLACE_SYSCALLS);
}

int syscall_enter(struct bpf_raw_tracepoint_args *ctx)
{
	u64 nr = ctx->args[1];
	struct native_counts *values;
	struct entry entry;
	u32 window, slot = find_slot(&window);
	int index = slot;
	u16 arch;

	if (slot == NO_SLOT)
		return 0;
	entry = entry_of((const struct pt_regs *)ctx->args[0]);
	arch = arch_of(&entry, nr);
	if (arch == ARCH_X32)
		nr &= ~X32_BIT;
	if (arch != ARCH_X86_64 || nr >= NATIVE_CALLS) {
		count_odd_call(slot, window, nr, arch);
		return 0;
	}
	values = counts.lookup(&index);
	if (values)
		values->calls[nr & (NATIVE_CALLS - 1)]++;
	return 0;
}

// --- processes ----------------------------------------------------------------------------------

static __always_inline void send_exec(struct exec_event *event)
{
	u64 path_size = bounded(event->head.path_size, PATH_SIZE);
	u64 argv_size = bounded(event->head.argv_size, ARGV_SIZE);
	u32 slot = event->head.slot;

	if (life.ringbuf_output(event, sizeof(event->head) + path_size + argv_size,
				BPF_RB_NO_WAKEUP))
		count_loss(slot, LOSS_RING_FULL, PLACE_PROCESSES);
	if (event->head.flags & EVENT_READ_FAULT)
		count_loss(slot, LOSS_READ_FAULT, PLACE_PROCESSES);
	// Arguments that are cut are flagged, and no loss: what was executed is known all the same.
	if (event->head.flags & EVENT_PATH_TRUNCATED)
		count_loss(slot, LOSS_TRUNCATED, PLACE_PROCESSES);
}

static __always_inline struct exec_event *begin_exec(u32 kind, u32 slot,
						     const struct process_state *state)
{
	int first = 0;
	struct exec_event *event = scratch.lookup(&first);
	u64 ids = bpf_get_current_uid_gid();

	if (!event)
		return NULL;
	__builtin_memset(&event->head, 0, sizeof(event->head));
	event->head.kind = kind;
	event->head.slot = slot;
	event->head.time_ns = bpf_ktime_get_boot_ns();
	event->head.exec_key = state->exec_key;
	event->head.fork_parent_key = state->fork_parent_key;
	event->head.exe_key = state->exe_key;
	event->head.cgroup_id = bpf_get_current_cgroup_id();
	event->head.tgid = bpf_get_current_pid_tgid() >> 32;
	event->head.ppid = state->parent_tgid;
	event->head.namespaces[0] = HOST_MNTNS;
	event->head.uid = ids;
	event->head.gid = ids >> 32;
	return event;
}

static __always_inline void set_path(struct exec_event *event, long size)
{
	if (size <= 0 || size > PATH_SIZE) {
		event->head.flags |= EVENT_READ_FAULT;
		return;
	}
	if (size == PATH_SIZE)
		event->head.flags |= EVENT_PATH_TRUNCATED;
	event->head.path_size = size - 1;
}

// An executable is its path, all that is known of it.
static __always_inline u64 exe_key_of(const struct exec_event *event)
{
	u64 hash = FNV_BASIS;

	for (int i = 0; i < PATH_SIZE; i++) {
		if (!event->tail[i])
			break;
		hash = (hash ^ (u8)event->tail[i]) * FNV_PRIME;
	}
	return hash | 1;
}

static __always_inline u64 parent_key_of(const struct process_state *state)
{
	u32 tgid = state->parent_tgid;
	struct process_state *parent = processes.lookup(&tgid);

	if (!parent || parent->process_key != state->parent_process_key)
		return 0; // it is gone, and its number may be another's
	return parent->exec_key;
}

int exec_done(struct tracepoint__sched__sched_process_exec *args)
{
	u64 now = bpf_ktime_get_boot_ns();
	u32 window, slot = find_slot(&window), tgid = bpf_get_current_pid_tgid() >> 32;
	struct process_state state = {}, *known;
	struct exec_event *event;

	if (slot == NO_SLOT)
		return 0;
	known = processes.lookup(&tgid);
	if (known)
		state = *known;
	else
		state.process_key = key_of(tgid, now);
	state.exec_key = key_of(tgid, now);
	event = begin_exec(RECORD_EXEC, slot, &state);
	if (!event)
		return 0;
	event->tail[0] = 0;
	set_path(event, bpf_probe_read_kernel_str(event->tail, PATH_SIZE, DATA_LOC(args, filename)));
	event->head.exe_key = state.exe_key = exe_key_of(event);
	event->head.parent_key = known ? parent_key_of(&state) : 0;
	if (processes.update(&tgid, &state))
		count_loss(slot, LOSS_MAP_FULL, PLACE_TASKS);
	if (IS_LIGHT || pending.update(&tgid, event)) {
		if (!IS_LIGHT)
			count_loss(slot, LOSS_MAP_FULL, PLACE_PROCESSES);
		send_exec(event);
	}
	return 0;
}

static __always_inline u64 read_word(u64 address, bool is_32)
{
	u64 word = 0;

	bpf_probe_read_user(&word, is_32 ? 4 : 8, (const void *)address);
	return word;
}

// The new stack, as the ABI lays it out: argc, then argv. The kernel wrote it in this call and
// nobody else has it yet, so what is read is what was executed.
static __always_inline void append_arguments(struct exec_event *event, const struct entry *entry)
{
	bool is_32 = is_32_bit(entry);
	u32 word = is_32 ? 4 : 8;
	u64 at = bounded(event->head.path_size, PATH_SIZE);
	u64 argc = read_word(entry->sp, is_32) & 0xffffffff, first, last, size;
	long length;

	if (!argc)
		return;
	first = read_word(entry->sp + word, is_32);
	last = read_word(entry->sp + word * argc, is_32);
	length = bpf_probe_read_user_str(&event->tail[PATH_SIZE], ARGV_SIZE, (const void *)last);
	if (length <= 0 || last < first) {
		event->head.flags |= EVENT_READ_FAULT;
		return;
	}
	size = last - first + length;
	if (size >= ARGV_SIZE) {
		size = ARGV_SIZE - 1;
		event->head.flags |= EVENT_ARGV_TRUNCATED;
	}
	size = bounded(size, ARGV_SIZE);
	if (bpf_probe_read_user(&event->tail[at], size, (const void *)first)) {
		event->head.flags |= EVENT_READ_FAULT;
		return;
	}
	event->head.argv_size = size;
}

static __always_inline void exec_failed(const struct pt_regs *regs, bool is_at, long result)
{
	u32 window, slot = find_slot(&window), tgid = bpf_get_current_pid_tgid() >> 32;
	struct process_state state = {}, *known;
	struct exec_event *event;
	u64 asked = 0;

	if (slot == NO_SLOT)
		return;
	known = processes.lookup(&tgid);
	if (known)
		state = *known;
	event = begin_exec(RECORD_EXEC_FAILED, slot, &state);
	if (!event)
		return;
	event->head.errnum = -result;
	bpf_probe_read_kernel(&asked, sizeof(asked), is_at ? &regs->si : &regs->di);
	set_path(event, bpf_probe_read_user_str(event->tail, PATH_SIZE, (const void *)asked));
	send_exec(event);
}

int syscall_exit(struct bpf_raw_tracepoint_args *ctx)
{
	const struct pt_regs *regs = (const struct pt_regs *)ctx->args[0];
	long result = ctx->args[1];
	u32 tgid = bpf_get_current_pid_tgid() >> 32;
	struct exec_event *event;
	struct entry entry;

	if (result > 0)
		return 0;
	entry = entry_of(regs);
	switch ((u32)entry.nr) {
	case 59: case 322: // execve, execveat
	case X32_BIT | 520: case X32_BIT | 545:
	case 11: case 358: // of i386
		break;
	default:
		return 0;
	}
	if (result == 0) {
		event = pending.lookup(&tgid);
		if (!event)
			return 0;
		append_arguments(event, &entry);
		send_exec(event);
		pending.delete(&tgid);
	} else if ((entry.nr == 59 || entry.nr == 322) &&
		   arch_of(&entry, entry.nr) == ARCH_X86_64) {
		exec_failed(regs, entry.nr == 322, result);
	}
	return 0;
}

int fork_done(struct tracepoint__task__task_newtask *args)
{
	u32 window, slot, tgid = bpf_get_current_pid_tgid() >> 32, child = args->pid;
	struct fork_record record = { .kind = RECORD_FORK };
	struct process_state state = {}, *parent;

	if (args->clone_flags & NEW_THREAD)
		return 0;
	slot = find_slot(&window);
	if (slot == NO_SLOT)
		return 0;
	record.time_ns = bpf_ktime_get_boot_ns();
	state.exec_key = state.process_key = key_of(child, record.time_ns);
	state.parent_tgid = tgid;
	parent = processes.lookup(&tgid);
	if (parent) {
		state.exe_key = parent->exe_key;
		state.fork_parent_key = parent->exec_key;
		state.parent_process_key = parent->process_key;
	}
	if (processes.update(&child, &state))
		count_loss(slot, LOSS_MAP_FULL, PLACE_TASKS);
	record.slot = slot;
	record.exec_key = state.exec_key;
	record.parent_key = state.fork_parent_key;
	record.exe_key = state.exe_key;
	record.tgid = child;
	if (life.ringbuf_output(&record, sizeof(record), BPF_RB_NO_WAKEUP))
		count_loss(slot, LOSS_RING_FULL, PLACE_PROCESSES);
	return 0;
}

int exit_done(struct tracepoint__sched__sched_process_exit *args)
{
	u64 ids = bpf_get_current_pid_tgid();
	u32 tgid = ids >> 32, window, slot;
	struct exit_record record = { .kind = RECORD_EXIT, .tgid = tgid };
	struct process_state *state;
	struct exec_event *event;

	if ((u32)ids != tgid)
		return 0;
	state = processes.lookup(&tgid);
	if (!state)
		return 0;
	event = pending.lookup(&tgid);
	if (event) { // it was ended before its exec returned
		send_exec(event);
		pending.delete(&tgid);
	}
	record.time_ns = bpf_ktime_get_boot_ns();
	record.exec_key = state->exec_key;
	processes.delete(&tgid);
	slot = find_slot(&window);
	if (slot == NO_SLOT)
		return 0;
	record.slot = slot;
	if (life.ringbuf_output(&record, sizeof(record), BPF_RB_NO_WAKEUP))
		count_loss(slot, LOSS_RING_FULL, PLACE_PROCESSES);
	return 0;
}

// --- network ------------------------------------------------------------------------------------

// Fold ::ffff:a.b.c.d into a.b.c.d, so that one peer has one name.
static __always_inline void fold_mapped(struct flow_key *key, u8 *address)
{
	u32 words[4];

	__builtin_memcpy(words, address, 16);
	if (words[0] || words[1] || words[2] != 0xffff0000)
		return;
	__builtin_memset(address, 0, 16);
	__builtin_memcpy(address, &words[3], 4);
	key->family = V4;
}

static __always_inline void count_flow(struct flow_key *key)
{
	struct flow_use *use = flows.lookup(key), fresh = {};
	u64 now = bpf_ktime_get_boot_ns();

	if (!use) {
		if (!take_quota(key->slot, QUOTA_FLOWS, QUOTA_FLOWS_LIMIT, key->window, PLACE_NETWORK))
			return;
		fresh.first_ns = fresh.last_ns = now;
		flows.insert(key, &fresh);
		use = flows.lookup(key);
		if (!use) {
			count_loss(key->slot, LOSS_MAP_FULL, PLACE_NETWORK);
			return;
		}
	}
	use->last_ns = now;
	__sync_fetch_and_add(&use->connections, 1);
}

// A socket begins to connect, or to listen, in the call of its owner. Other changes of state come
// in softirq, where the current process is anybody, and are left out.
int socket_state_set(struct tracepoint__sock__inet_sock_set_state *args)
{
	struct flow_key key = { .type = STREAM, .protocol = TCP };
	u32 window, tgid = bpf_get_current_pid_tgid() >> 32;
	bool is_out = args->newstate == SYN_SENT;
	struct process_state *state;

	if (args->protocol != TCP || (!is_out && args->newstate != LISTENING))
		return 0;
	key.slot = find_slot(&window);
	if (key.slot == NO_SLOT)
		return 0;
	state = processes.lookup(&tgid);
	key.exe_key = state ? state->exe_key : 0;
	key.window = window;
	key.family = args->family;
	if (is_out) {
		key.direction = DIRECTION_OUT;
		key.peer_port = args->dport;
		if (key.family == V4)
			__builtin_memcpy(key.peer_addr, args->daddr, 4);
		else
			__builtin_memcpy(key.peer_addr, args->daddr_v6, 16);
	} else {
		key.direction = DIRECTION_LISTEN;
		key.local_port = args->sport;
		if (key.family == V4)
			__builtin_memcpy(key.local_addr, args->saddr, 4);
		else
			__builtin_memcpy(key.local_addr, args->saddr_v6, 16);
	}
	if (key.family == V6)
		fold_mapped(&key, is_out ? key.peer_addr : key.local_addr);
	count_flow(&key);
	return 0;
}

// --- cgroups ------------------------------------------------------------------------------------

static __always_inline void send_cgroup(u64 id, const char *path, u32 flags)
{
	int first = 0;
	struct exec_event *event = scratch.lookup(&first);
	struct cgroup_record *record = (void *)event;
	long size;

	if (!event)
		return;
	__builtin_memset(record, 0, sizeof(*record));
	record->kind = RECORD_CGROUP;
	record->slot = NO_SLOT;
	record->time_ns = bpf_ktime_get_boot_ns();
	record->cgroup_id = id;
	record->flags = flags;
	size = bpf_probe_read_kernel_str((char *)event + sizeof(*record), PATH_SIZE, path);
	if (size < 1 || size > PATH_SIZE)
		size = 1;
	record->path_size = size - 1;
	if (life.ringbuf_output(event, sizeof(*record) + bounded(size - 1, PATH_SIZE),
				BPF_RB_NO_WAKEUP))
		count_loss(NO_SLOT, LOSS_RING_FULL, PLACE_SLOTS);
}

int cgroup_made(struct tracepoint__cgroup__cgroup_mkdir *args)
{
	if (args->root == 0) // the unified hierarchy
		send_cgroup(args->id, DATA_LOC(args, path), 0);
	return 0;
}

int cgroup_removed(struct tracepoint__cgroup__cgroup_rmdir *args)
{
	if (args->root == 0)
		send_cgroup(args->id, DATA_LOC(args, path), EVENT_REMOVED);
	return 0;
}
