// SPDX-License-Identifier: GPL-2.0
// What the kernel side and profiler/ say to each other: ring records, map keys and map values.
//
// The mirror is ethogram/contracts/events.py; a test compares both with the object's BTF.
// Fixed widths, widest first, no holes, sizes asserted, every struct anchored (anchors.h).
// Retired bits and numbers are renamed ..._UNUSED, never reused.
#ifndef ETHOGRAM_EVENTS_H
#define ETHOGRAM_EVENTS_H

#include <linux/types.h>

#define NO_SLOT 0xffffffffu
// Counts of workloads that found no free slot; user space turns them into losses.
#define SLOT_UNASSIGNED 0u
#define NATIVE_CALLS 512
#define SLOT_CALLS 128
#define NO_PLACE 255 // a call that came when all places were taken
#define LOOKED_AT 128 // in a place: the call has an argument that is told
#define PATH_SIZE 4096
#define ARGV_SIZE 4096
#define TARGET_SIZE 256
// What resolvers send over UDP since DNS Flag Day 2020, with room.
#define PACKET_SIZE 1280
#define UNIX_PATH_SIZE 108

enum phase {
	PHASE_UNKNOWN,
	PHASE_RUNTIME,
	PHASE_STARTUP,
	PHASE_STEADY,
	PHASE_EXEC,
	PHASE_SHUTDOWN,
};

enum arch {
	ARCH_X86_64,
	ARCH_I386,
	ARCH_X32,
	ARCH_AARCH64,
	ARCH_ARM,
};

enum record_kind {
	RECORD_SLOT = 1,
	RECORD_CGROUP,
	RECORD_EXEC,
	RECORD_EXEC_FAILED,
	RECORD_FORK,
	RECORD_EXIT,
	RECORD_FILE,
	RECORD_OPERATION,
	RECORD_PACKET,
	RECORD_SEGMENT,
	RECORD_NEWS,
};

// What a news_record tells of: a record beside it, or the entry of a set that has its key.
enum news {
	NEWS_EXEC,
	NEWS_OPERATION,
	NEWS_PACKET,
	NEWS_CALL,
	NEWS_ODD_CALL,
	NEWS_FILE,
	NEWS_FLOW,
	NEWS_UNIX,
	NEWS_PRIVILEGE,
	NEWS_DENIED,
	NEWS_GRAM,
};

enum action {
	ACTION_ERRNO,
	ACTION_KILL,
	ACTION_TRAP,
	ACTION_LOG,
};

enum loss_kind {
	LOSS_RING_FULL,
	LOSS_MAP_FULL,
	LOSS_QUOTA,
	LOSS_READ_FAULT,
	LOSS_TRUNCATED,
	LOSS_RECURSION,
	LOSS_STORAGE,
	LOSS_SLOTS_FULL,
	LOSS_UNSEEN = 11, // no hook looks there yet; the numbers between are user space's
};

enum loss_place {
	PLACE_SYSCALLS,
	PLACE_ERRORS,
	PLACE_DENIED,
	PLACE_NGRAMS,
	PLACE_FILES,
	PLACE_NETWORK,
	PLACE_PRIVILEGES,
	PLACE_PROCESSES,
	PLACE_SLOTS,
	PLACE_DNS,
	PLACE_TASKS,
	PLACE_ARGUMENTS,
};

// Order of ENUMS["operation"] in contracts/tables.py.
enum operation {
	OPERATION_CAPABILITY,
	OPERATION_UNSHARE,
	OPERATION_SETNS,
	OPERATION_CLONE_NAMESPACE,
	OPERATION_MOUNT,
	OPERATION_UMOUNT,
	OPERATION_MOVE_MOUNT,
	OPERATION_OPEN_TREE,
	OPERATION_PIVOT_ROOT,
	OPERATION_CHROOT,
	OPERATION_PTRACE,
	OPERATION_PROCESS_VM_WRITE,
	OPERATION_BPF,
	OPERATION_PERF_EVENT_OPEN,
	OPERATION_LOAD_MODULE,
	OPERATION_MEMFD_CREATE,
	OPERATION_KEYCTL,
	OPERATION_USERFAULTFD,
	OPERATION_KEXEC,
	OPERATION_OPEN_BY_HANDLE,
	OPERATION_PIDFD_GETFD,
	OPERATION_SET_USER,
	OPERATION_SET_GROUP,
	OPERATION_SET_CAPABILITIES,
	OPERATION_CHMOD_SET_ID,
	OPERATION_SET_FILE_CAPABILITY,
	OPERATION_IO_URING_SETUP,
	OPERATION_REBOOT,
	OPERATION_SWAP,
	OPERATION_SET_HOSTNAME,
	OPERATION_SET_TIME,
	OPERATION_SYSLOG,
	OPERATION_QUOTA,
	OPERATION_MKNOD,
	OPERATION_SECCOMP,
	OPERATION_NO_NEW_PRIVS,
	OPERATION_LINK_UNUSED, // rows of files since ACCESS_LINK
	OPERATION_IO_URING_REQUEST,
	OPERATION_EXECUTABLE_MEMORY,
	OPERATION_INPUT_SOCKET,
	OPERATION_SET_NAME,
};

enum direction {
	DIRECTION_IN,
	DIRECTION_OUT,
	DIRECTION_LISTEN,
	DIRECTION_BIND,
};

enum access {
	ACCESS_READ = 1,
	ACCESS_WRITE = 2,
	ACCESS_EXEC = 4,
	ACCESS_CREATE = 8,
	ACCESS_TRUNCATE = 16,
	ACCESS_APPEND = 32,
	ACCESS_DIRECTORY = 64,
	ACCESS_PATH_ONLY = 128,
	ACCESS_PATH_RACY = 256,
	// Not an open: what a call did to the name.
	ACCESS_RENAME_FROM = 512,
	ACCESS_RENAME_TO = 1024,
	ACCESS_UNLINK = 2048,
	ACCESS_LINK = 4096,
	ACCESS_SYMLINK = 8192,
	ACCESS_MAKE = 16384,
	ACCESS_ATTRIBUTES = 32768,
};

enum event_flag {
	EVENT_ARGV_TRUNCATED = 2,
	EVENT_PATH_TRUNCATED = 4,
	EVENT_MEMFD = 8,
	EVENT_DELETED = 16,
	EVENT_UPPER_LAYER = 32,
	EVENT_PRIVILEGES_GAINED = 64,
	EVENT_NO_NEW_PRIVS = 128,
	EVENT_SECCOMP_FILTER = 256,
	EVENT_ENTERED = 1024,
	EVENT_CWD_TRUNCATED = 2048,
	EVENT_INTERPRETED = 4096,
	// On the wire only.
	EVENT_SNAPSHOT = 1 << 16,
	EVENT_OVERLAY = 1 << 17,
	EVENT_PATH_RACY = 1 << 18,
	EVENT_READ_FAULT = 1 << 19,
	EVENT_REMOVED = 1 << 20,
	EVENT_GRANTED = 1 << 21,
	EVENT_CREDENTIALS_BEFORE = 1 << 22, // the fields that end in _before are known
	EVENT_START = 1 << 23, // the path is the directory that the asked name starts from
};

enum stdio_kind {
	STDIO_CLOSED,
	STDIO_FILE,
	STDIO_PIPE,
	STDIO_TTY,
	STDIO_SOCKET,
	STDIO_NULL,
	STDIO_OTHER,
};

// --- ring records: kind and slot first, so that a reader can tell them apart ------------------
// Times are CLOCK_BOOTTIME nanoseconds.

struct slot_record {
	__u32 kind;
	__u32 slot;
	__u64 time_ns;
	__u64 cgroup_id;
	__u64 caps_bounding;
	__u32 phase;
	__u32 mntns;
	__u32 netns;
	__u32 tgid;
	__u32 host_namespace_bits;
	__u32 flags;
	__u32 mntns_inode; // 0: not known
	__u32 pad;
};

struct cgroup_record {
	__u32 kind;
	__u32 slot;
	__u64 time_ns;
	__u64 cgroup_id;
	__u32 flags;
	__u32 path_size;
};

// Followed by path, cwd, interpreter, script, a stdio_peer for each of the standard streams that is
// a socket, and argv (NUL after each argument), in this order.
struct process_record {
	__u32 kind;
	__u32 slot;
	__u64 time_ns;
	__u64 exec_key;
	__u64 parent_key;
	__u64 fork_parent_key;
	__u64 session_key;
	__u64 exe_key;
	__u64 cgroup_id;
	__u64 dev;
	__u64 ino;
	__u64 ctime_ns;
	__u64 caps_effective;
	__u64 caps_permitted;
	__u64 caps_inheritable;
	__u64 caps_ambient;
	__u64 caps_bounding;
	__u64 caps_effective_before;
	__u64 caps_permitted_before;
	__u32 flags;
	__u32 tgid;
	__u32 ns_tgid;
	__u32 ppid;
	__u32 uid;
	__u32 euid;
	__u32 gid;
	__u32 egid;
	__u32 euid_before;
	__u32 egid_before;
	__u32 loginuid;
	__u32 sessionid;
	__u32 pgid;
	__u32 sid;
	__u32 ns_pgid;
	__u32 ns_sid;
	__u32 nlink;
	__u32 host_namespace_bits;
	__u32 lineage;
	__u32 namespaces[8];
	__u16 path_size;
	__u16 cwd_size;
	__u16 interpreter_size;
	__u16 script_size;
	__u16 peers_size;
	__u16 argv_size;
	__u16 errnum;
	__u16 seccomp_filters;
	__u8 stdio[3];
	__u8 seccomp_mode;
};

// Followed by the path of a UNIX socket. Ports in host order, addresses in network order.
struct stdio_peer {
	__u16 fd;
	__u16 family;
	__u16 type;
	__u16 local_port;
	__u16 peer_port;
	__u16 path_size;
	__u8 local_addr[16];
	__u8 peer_addr[16];
};

struct fork_record {
	__u32 kind;
	__u32 slot;
	__u64 time_ns;
	__u64 exec_key;
	__u64 parent_key;
	__u64 session_key;
	__u64 exe_key;
	__u32 tgid;
	__u32 ns_tgid;
};

struct exit_record {
	__u32 kind;
	__u32 slot;
	__u64 time_ns;
	__u64 exec_key;
	__u32 tgid;
	__s32 exit_code;
};

// Followed by the resolved path, then by the string that was asked for. With EVENT_START nothing
// was resolved, and the path is the directory (or root) that the string starts from.
struct file_record {
	__u32 kind;
	__u32 slot;
	__u64 time_ns;
	__u64 fingerprint;
	__u64 dev;
	__u64 ino;
	__u32 window;
	__u32 flags;
	__u32 path_size;
	__u32 asked_size;
};

// Followed by the target, a string in user memory.
struct operation_record {
	__u32 kind;
	__u32 slot;
	__u64 time_ns;
	__u64 exec_key;
	__u64 argument;
	__u32 window;
	__u32 flags;
	__u16 operation;
	__u16 errnum;
	__u32 target_size;
};

// Followed by the payload of a datagram from port 53, or a part of a stream from there that begins
// at this position.
struct packet_record {
	__u32 kind;
	__u32 slot;
	__u64 time_ns;
	__u64 exe_key;
	__u64 cookie;
	__u32 window;
	__u32 payload_size;
	__u32 family;
	__u32 position;
	__u8 resolver[16];
};

// Followed by the key of the entry, in a room that fits every key.
struct news_record {
	__u32 kind;
	__u32 slot;
	__u64 time_ns;
	__u64 exec_key; // of a call: who made it; else 0
	__u32 window;
	__u16 news;
	__u16 key_size;
};

#define FIRST_WORD 64
// Key of map `passed_programs`, and what an exec's news_record is followed by: who executes what, and
// under which name. Whether it is the image's is among the flags.
struct program_key {
	__u64 exe_key;
	__u64 from_key; // what the process ran until then
	__u64 dev;
	__u64 ino;
	__u64 ctime_ns;
	__u32 slot;
	__u32 euid;
	__u32 flags;
	__u8 stdio[3];
	__u8 pad;
	__u8 first_word[FIRST_WORD]; // of its arguments, zero behind it
};

// --- maps: keys carry the window, so that a drain that overlaps the next one stays exact ------

struct slot_key {
	__u64 cgroup_id;
	__u32 mntns;
	__u32 phase;
};

struct call_key {
	__u32 slot;
	__u32 window;
	__u32 nr;
	__u16 arch;
	__u16 errnum;
};

// With is_other: values that were one too many to be told.
struct argument_key {
	__u64 value;
	__u32 slot;
	__u32 window;
	__u32 nr;
	__u32 is_other;
};

struct denied_key {
	__u64 exec_key;
	__u32 slot;
	__u32 window;
	__u32 nr;
	__u16 arch;
	__u16 errnum;
	__u32 action;
	__u32 has_errno;
};

#define GRAM_SEEN 1
#define GRAM_NEW (1u << 16) // the slot's known ones do not have it

// Value of map grams: GRAM_SEEN or GRAM_NEW.
struct gram_key {
	// Bits 60-62 hold the architecture; six numbers of ten bits, newest lowest.
	__u64 gram;
	__u32 slot;
	__u32 window;
};

struct file_key {
	__u64 fingerprint;
	__u64 ino;
	__u64 dev;
	__u64 exe_key;
	__u32 slot;
	__u32 window;
	__u32 generation;
	__u16 access;
	__u16 errnum;
};

struct flow_key {
	__u64 exe_key;
	__u32 slot;
	__u32 window;
	__u16 family;
	__u16 type;
	__u16 protocol;
	__u16 direction;
	__u16 local_port;
	__u16 peer_port;
	__u16 nat_port;
	__u16 pad;
	__u8 local_addr[16];
	__u8 peer_addr[16];
	__u8 nat_addr[16];
};

// The path is zero behind its size, so that one name is one key.
struct unix_key {
	__u64 exe_key;
	__u32 slot;
	__u32 window;
	__u16 type;
	__u8 direction;
	__u8 path_size;
	__u8 path[UNIX_PATH_SIZE];
};

// In the place of a capability: the opcode of a request of a ring, in the lowest byte.
#define RING_REQUEST 0x100u
// The same of memory made executable, with 1 where it can be written at that time and 2 where it was
// made so when it was mapped, and of a socket that became standard input, with its family.
#define EXECUTABLE_MEMORY 0x200u
#define INPUT_SOCKET 0x300u
#define BEFORE_EXEC 0x80u // in a fork that executed nothing yet

struct privilege_key {
	__u64 exec_key;
	__u32 slot;
	__u32 window;
	__u32 capability;
	__u32 granted;
};

struct loss_key {
	__u32 slot;
	__u16 kind;
	__u16 place;
};

struct use {
	__u64 calls;
	__u64 first_ns;
	__u64 last_ns; // to a jiffy
	__u64 last_jiffies;
};

struct flow_use {
	__u64 connections;
	__u64 tx_bytes;
	__u64 rx_bytes;
	__u64 cookie;
	__u64 peer_cookie;
	__u64 first_ns;
	__u64 last_ns;
};

// Few workloads make more than a hundred calls of the 512: each has a place where it is counted.
struct slot_places {
	__u16 numbers[SLOT_CALLS]; // by place; place 0 is nobody's
	__u8 places[NATIVE_CALLS]; // by number; 0: none yet; with LOOKED_AT
	__u32 used;
	__u32 pad;
};

struct slot_counts {
	__u32 calls[SLOT_CALLS]; // by place
};

// Which cgroups are recorded. A nested cgroup that a container made is its instance's.
struct target {
	__u64 instance_cgroup;
	__u32 is_recorded;
	__u32 pad;
};

// Within which a workload does something for the first time: its own phases are one, and its sessions
// another. *number* 0: nobody judges what is done there.
struct scope {
	__u64 number;
	__u64 calls[NATIVE_CALLS / 64]; // that its baseline allows
	__u64 capabilities; // whose use is not told of, because its baseline allows it
	__u32 is_muted;
	__u32 grams;	  // which of known_grams has the sequences of calls that are known; 0: none
	__u32 grams_new;  // as many others are no news in a window
	__u32 pad;
};

struct instance_key {
	__u64 cgroup_id;
	__u32 mntns;
	__u32 pad;
};

struct instance {
	__u64 startup_ns;
	__u32 init_tgid;
	__u32 has_main;
	__u32 is_steady;
	__u32 is_shutting_down;
};

_Static_assert(sizeof(struct slot_record) == 64, "mirrored by contracts/events.py");
_Static_assert(sizeof(struct cgroup_record) == 32, "mirrored by contracts/events.py");
_Static_assert(sizeof(struct process_record) == 272, "mirrored by contracts/events.py");
_Static_assert(sizeof(struct stdio_peer) == 44, "mirrored by contracts/events.py");
_Static_assert(sizeof(struct fork_record) == 56, "mirrored by contracts/events.py");
_Static_assert(sizeof(struct exit_record) == 32, "mirrored by contracts/events.py");
_Static_assert(sizeof(struct file_record) == 56, "mirrored by contracts/events.py");
_Static_assert(sizeof(struct operation_record) == 48, "mirrored by contracts/events.py");
_Static_assert(sizeof(struct packet_record) == 64, "mirrored by contracts/events.py");
_Static_assert(sizeof(struct news_record) == 32, "mirrored by contracts/events.py");
_Static_assert(sizeof(struct scope) == 96, "mirrored by contracts/events.py");
_Static_assert(sizeof(struct argument_key) == 24, "mirrored by contracts/events.py");
_Static_assert(sizeof(struct flow_key) == 80, "mirrored by contracts/events.py");
_Static_assert(sizeof(struct unix_key) == 128, "mirrored by contracts/events.py");
_Static_assert(sizeof(struct program_key) == 120, "mirrored by contracts/events.py");
_Static_assert(sizeof(struct file_key) == 48, "mirrored by contracts/events.py");

#endif
