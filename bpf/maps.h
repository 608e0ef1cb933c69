// SPDX-License-Identifier: GPL-2.0
// Configuration, maps, and the counting of what could not be recorded.
#ifndef ETHOGRAM_MAPS_H
#define ETHOGRAM_MAPS_H

#include "events.h"
#include "gram_hash.h"
#include "kernel.h"

// --- configuration: set before loading ------------------------------------------------------
const volatile __u32 recorder_tgid;
const volatile __u32 record_by_default;	 // 1: a cgroup that no target names is recorded
const volatile __u64 startup_max_ns = 60000000000ull;
const volatile __u64 idle_ns = 500000000ull;
const volatile __u32 max_namespaces = 32; // with a slot of their own, in one cgroup
const volatile __u32 max_slots = 1024;
const volatile __u32 has_exits = 1; // calls are seen to return
const volatile __u32 quota_files = 60000;
const volatile __u32 quota_grams = 60000;
const volatile __u32 quota_flows = 20000;
const volatile __u32 quota_rare = 10000; // errors, denials, privileges, operations, odd calls
const volatile __u32 quota_arguments = 256; // different ones; how often each came is counted
const volatile __u32 quota_packets = 5000;
const volatile __u32 tells_news; // 1: what is done for the first time is told at once
const volatile __u32 quota_news = 512;
const volatile __u32 knows_grams; // 1: known_grams is filled, and others are told
const volatile __u32 quota_grams_told = 16;
const volatile __u32 quota_life = 50000; // execs that succeed or fail, and forks

// Is there a bpf_rdonly_cast? Linux commit a35b9af4ec2c ("bpf: Add a kfunc for generic type cast")
// (v6.2). User space reads it from the kernel's BTF, and takes an object without it where there is none.
#ifdef WITHOUT_RDONLY_CAST
#define has_rdonly_cast 0
#define CAST(type, pointer) ((struct type *)(pointer))
#else
#define has_rdonly_cast 1
#define CAST(type, pointer)                                                                     \
	((struct type *)bpf_rdonly_cast((void *)(pointer), bpf_core_type_id_kernel(struct type)))
extern void *bpf_rdonly_cast(void *object, __u32 type) __ksym;
#endif

// --- switches: written by user space while the programs run -----------------------------------
volatile __u32 armed;
volatile __u32 window;
// Raised here when an instance's phase changes. A task looks again when generation + window
// differs from what it saw: both only grow.
volatile __u32 generation = 1;
volatile __u64 losses_unplaced;
volatile __u32 news_generation; // raised where everything is to be news again
volatile __u32 passes_files; // 1: passed_files has entries
volatile __u32 passes_flows; // and passed_flows
volatile __u32 passes_unix; // and passed_unix
volatile __u32 passes_programs; // 1: passed_programs has entries
volatile __u32 is_woken; // user space was, and clears it before it looks at the rings
__u32 next_slot = 1; // the first that was never taken
volatile __u32 rings_told; // 1: what is opened through a ring is told when it completes
// Process 1's: mnt pid net uts ipc user cgroup time. Filled by host_seed before anything attaches.
volatile __u32 host_namespaces[8];
volatile __u32 host_mntns; // as mntns_of() has it

#define NGRAM_CACHE 128
#define NGRAM_NONE 0x0fffffffffffffffull // six times 1023: no call yet

// A field of a kernel struct: a load where the pointer can be cast, else a helper's call, which
// costs ten times as much.
#define PEEK(type, pointer, field)                                                              \
	(has_rdonly_cast ? CAST(type, pointer)->field :                                         \
			   BPF_CORE_READ((struct type *)(pointer), field))
#define PEEK2(type, pointer, field, next)                                                       \
	(has_rdonly_cast ? CAST(type, pointer)->field->next :                                   \
			   BPF_CORE_READ((struct type *)(pointer), field, next))

// The same pointer, for reading. The verifier looks each pointer field of a trusted pointer up in the
// kernel's BTF by name, from end to end, each time it comes by.
#define READABLE(type, pointer) (has_rdonly_cast ? CAST(type, pointer) : (pointer))

enum lineage {
	LINEAGE_UNSET,
	LINEAGE_OUTSIDE, // of the container runtime, or still on its way in
	LINEAGE_MAIN,	 // descends from the entrypoint
	LINEAGE_SESSION, // descends from a process that entered later
};

// Whose a task, or a socket, is.
struct owner {
	__u64 cgroup_id;
	__u64 exec_key;
	__u64 exe_key;
	__u32 mntns;
	__u32 lineage;
};

// Of a task that has an element of fast_states, what is in both is stale here, but while an exit
// is looked at.
struct task_state {
	struct owner owner;
	__u64 session_key;
	__u64 fork_parent_key;
	__u64 history;
	__u64 entered_ns; // in startup only: when the call under way began
	__u64 cgroup_id;  // as last seen; owner.cgroup_id is the instance's
	__u64 task;	  // its address: kept, it is a number to the verifier
	__u64 css_set;	  // and nsproxy: pointers that say that nothing changed
	__u64 nsproxy;
	__u32 mntns;
	__u32 stamp;
	__u32 slot;
	__u32 phase;
	__u32 nr;
	__u16 arch;
	__u8 in_call;
	__u8 seen;
	__u8 trapped;
	__u8 killed;
	__u8 has_owner;
	__u8 entered_from_outside;
	__u8 has_before;
	__u8 pad[3];
	__u64 caps_effective_before; // while it executes: what it had until then
	__u64 caps_permitted_before;
	__u32 euid_before;
	__u32 egid_before;
	__u32 has_ended; // of a leader: the end of its process was told
	__u32 more_pad;
};

// A TCP connection as its server sees it. Loopback addresses are one network namespace's alone.
struct end {
	__u8 client_addr[16];
	__u8 server_addr[16];
	__u16 client_port;
	__u16 server_port;
	__u32 netns;
};

struct socket_state {
	struct owner owner;
	__u8 is_bound;
	__u8 is_inbound;
	__u16 local_port; // of an accepted one: it is gone when the socket closes
	__u8 is_translated;
	__u8 pad[3];
	struct flow_key asked; // what a TCP connection was counted as when it was asked for
};

// key: task. Freed with the task.
struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct task_state);
} tasks SEC(".maps");

// key: socket; an accepted socket starts with a copy of its listener's. Freed with the socket.
struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC | BPF_F_CLONE);
	__type(key, int);
	__type(value, struct socket_state);
} sockets SEC(".maps");

#define HASH(name, key_type, value_type, size)                                                  \
	struct {                                                                                \
		__uint(type, BPF_MAP_TYPE_HASH);                                                \
		__uint(map_flags, BPF_F_NO_PREALLOC);                                           \
		__uint(max_entries, size);                                                      \
		__type(key, key_type);                                                          \
		__type(value, value_type);                                                      \
	} name SEC(".maps")

// What is not deleted makes room when it is the oldest.
#define HASH_LRU(name, key_type, value_type, size)                                              \
	struct {                                                                                \
		__uint(type, BPF_MAP_TYPE_LRU_HASH);                                            \
		__uint(max_entries, size);                                                      \
		__type(key, key_type);                                                          \
		__type(value, value_type);                                                      \
	} name SEC(".maps")

// cgroup id -> recorded or not. User space, and cgroup_made for nested ones; deleted with the cgroup.
HASH(targets, __u64, struct target, 16384);
// The path of a cgroup that user space wants recorded whenever it is made, padded with zeros. A longer
// one is user space's to look out for. Never deleted.
#define NAMED_SIZE 256
struct named_cgroup {
	__u8 path[NAMED_SIZE];
};
HASH(named_cgroups, struct named_cgroup, __u32, 1024);
// Mount namespaces of recorded containers, so that a process that has only joined the namespace
// is seen. Inserted here, deleted by user space with the container.
HASH(target_mntns, __u32, __u64, 16384);
// cgroup id -> mount namespaces that made an instance of their own in it. Deleted with the cgroup.
HASH(namespace_counts, __u64, __u32, 16384);
// What is known of an instance's life. User space deletes.
HASH(instances, struct instance_key, struct instance, 16384);
// (cgroup, mount namespace, phase) -> slot. User space deletes and gives the slot back.
HASH(slots, struct slot_key, __u32, 16384);

struct {
	__uint(type, BPF_MAP_TYPE_QUEUE);
	__uint(max_entries, 16384);
	__uint(key_size, 0);
	__type(value, __u32);
} free_slots SEC(".maps");

// slot -> which of its counters is which call's. User space clears it with the slot.
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1024);
	__type(key, __u32);
	__type(value, struct slot_places);
} places SEC(".maps");

// slot -> native calls, monotonic, and they wrap: user space takes differences. max_entries of
// this and of all maps by slot are set at load.
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1024);
	__type(key, __u32);
	__type(value, struct slot_counts);
} counts SEC(".maps");

enum quota {
	QUOTA_FILES,
	QUOTA_GRAMS,
	QUOTA_FLOWS,
	QUOTA_RARE,
	QUOTA_PACKETS,
	QUOTA_LIFE,
	QUOTA_ARGUMENTS,
	QUOTA_NEWS,
	QUOTA_GRAMS_NEW,
	QUOTA_GRAMS_TOLD,
	QUOTA_KINDS
};
struct slot_usage {
	__u32 window[QUOTA_KINDS];
	__u32 used[QUOTA_KINDS];
	__u64 passed_opens; // of files in passed_files; monotonic
	__u64 passed_connects; // to peers in passed_flows and passed_unix; monotonic
};
// slot -> entries made in the window of each kind. Starts anew with the window.
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1024);
	__type(key, __u32);
	__type(value, struct slot_usage);
} usage SEC(".maps");

// slot -> within what news are told, made with the slot. User space adds what is allowed there.
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1024);
	__type(key, __u32);
	__type(value, struct scope);
} scopes SEC(".maps");

// Sequences of calls that a model knows, two bits for each. User space fills it; 0 stays empty.
struct gram_map {
	__u64 bits[(1 << GRAM_MAP_BITS) / 64];
};
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 128);
	__type(key, __u32);
	__type(value, struct gram_map);
} known_grams SEC(".maps");

// Sets and counters of a window; user space drains and deletes. Each has room for three times what
// one slot may make.
HASH(odd_calls, struct call_key, __u64, 65536);
HASH(errors, struct call_key, __u64, 65536);
HASH(arguments, struct argument_key, __u64, 65536);
HASH(denials, struct denied_key, __u64, 65536);
HASH(grams, struct gram_key, __u32, 262144);
HASH(files, struct file_key, struct use, 262144);
// Opens that were judged and are allowed, with window 0: they are counted by slot, and no more is
// told of them. User space fills it; of what has no room all is told. The whole key decides.
HASH(passed_files, struct file_key, __u32, 32768);
// The same of peers and of what is listened on.
HASH(passed_flows, struct flow_key, __u32, 16384);
HASH(passed_unix, struct unix_key, __u32, 8192);
// Execs that were judged and are allowed, whatever their arguments: they are told as ever, and are no
// news. User space fills it.
HASH(passed_programs, struct program_key, __u32, 8192);
HASH(flows, struct flow_key, struct flow_use, 65536);
// Connections that this side began -> cookie of the socket, for the other side if it is here.
HASH_LRU(ends, struct end, __u64, 8192);
HASH(unix_flows, struct unix_key, struct flow_use, 65536);
HASH(privileges, struct privilege_key, __u64, 65536);
// Monotonic; never deleted while recording.
HASH(losses, struct loss_key, __u64, 16384);

// Process life and what is sensitive has a ring of its own. User space polls all three on its
// own clock; only a new cgroup or slot wakes it, because its name may not be there for long, and news.
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 24);
} life SEC(".maps");
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 25);
} paths SEC(".maps");
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 22);
} packets SEC(".maps");

// Functions that are not static are verified once, and not again at each call with what is known
// there: attaching takes a third of the time for it.
__noinline int count_loss(__u32 slot, __u16 kind, __u16 place, __u64 count)
{
	struct loss_key key = { .slot = slot, .kind = kind, .place = place };
	__u64 *value = bpf_map_lookup_elem(&losses, &key);

	if (!value) {
		__u64 zero = 0;

		bpf_map_update_elem(&losses, &key, &zero, BPF_NOEXIST);
		value = bpf_map_lookup_elem(&losses, &key);
	}
	if (value)
		__sync_fetch_and_add(value, count);
	else
		__sync_fetch_and_add(&losses_unplaced, count);
	return 0;
}

// Is there room for one more entry of this kind in the slot's window?
__noinline int has_quota(__u32 slot, __u32 kind, __u32 limit)
{
	struct slot_usage *use = bpf_map_lookup_elem(&usage, &slot);
	__u32 now = window;

	if (!use || kind >= QUOTA_KINDS)
		return 1;
	if (use->window[kind] != now) {
		use->window[kind] = now;
		use->used[kind] = 0;
	}
	if (use->used[kind] >= limit)
		return 0;
	__sync_fetch_and_add(&use->used[kind], 1);
	return 1;
}

// The same, counting the loss if there is none.
__noinline int take_quota(__u32 slot, __u32 kind, __u32 limit, __u16 place)
{
	if (has_quota(slot, kind, limit))
		return 1;
	count_loss(slot, LOSS_QUOTA, place, 1);
	return 0;
}

// Add to a counter of a window's set, making the entry within the slot's quota. Returns true where it
// was made.
static __always_inline bool count_in(void *map, void *key, __u32 slot, __u16 place)
{
	__u64 one = 1, *value = bpf_map_lookup_elem(map, key);
	long error;

	if (value) {
		__sync_fetch_and_add(value, 1);
		return false;
	}
	if (!take_quota(slot, QUOTA_RARE, quota_rare, place))
		return false;
	error = bpf_map_update_elem(map, key, &one, BPF_NOEXIST);
	if (!error)
		return true;
	value = bpf_map_lookup_elem(map, key); // another CPU made it first
	if (value)
		__sync_fetch_and_add(value, 1);
	else
		count_loss(slot, LOSS_MAP_FULL, place, 1);
	return false;
}

#endif
