// SPDX-License-Identifier: GPL-2.0
// Requests of rings: counted by opcode when they are submitted; what they open or change is told
// when they complete. They pass no hook of system calls.
//
// A request is submitted by the task that fills the ring or by the ring's own polling thread, and
// may be done by a worker: all three belong to one process and share its files and directories.
#ifndef ETHOGRAM_IO_URING_H
#define ETHOGRAM_IO_URING_H

#include "changes.h"
#include "ring_sockets.h"

#define RING_NAME_SIZE 512

#define RING_OPENS (RING_BIT(RING_OPENAT) | RING_BIT(RING_OPENAT2))
#define RING_NAMED                                                                              \
	(RING_OPENS | RING_BIT(RING_RENAMEAT) | RING_BIT(RING_UNLINKAT) |                       \
	 RING_BIT(RING_MKDIRAT) | RING_BIT(RING_SYMLINKAT) | RING_BIT(RING_LINKAT))

struct ring_name {
	__s32 directory;
	__u16 access;
	__u16 size;
	char text[RING_NAME_SIZE];
};

// What is told of a request when it completes: its names are the kernel's copies, gone by then.
struct ring_request {
	__u64 open_flags;
	__u32 is_open;
	__u32 has_descriptor; // of the process; else a slot of the ring's own table
	struct ring_name names[2];
};

// Address of a request under way -> its names. Deleted when it completes; one that never says so
// makes room for others.
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1024);
	__type(key, __u64);
	__type(value, struct ring_request);
} ring_requests SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct ring_request);
} ring_scratch SEC(".maps");

// Whose the ring's thread or worker is; NULL for who is not recorded.
static __always_inline struct task_state *ring_owner(void)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct task_state *state;

	if (!armed || task->flags & PF_KTHREAD)
		return NULL;
	state = known_state(task);
	if (!state || find_slot(task, state) == NO_SLOT)
		return NULL;
	return state;
}

static __always_inline void keep_name(struct ring_name *name, struct filename *filename,
				      __s32 directory, __u16 access)
{
	const char *text = BPF_CORE_READ(filename, name);
	long size = bpf_probe_read_kernel_str(name->text, RING_NAME_SIZE, text);

	name->directory = directory;
	name->access = access;
	name->size = size > 1 ? size - 1 : 0;
}

static __always_inline void keep_open(struct ring_request *request, struct io_kiocb *req)
{
	struct io_open *open = (void *)req;
	__u64 flags = BPF_CORE_READ(open, how.flags);

	request->is_open = 1;
	request->open_flags = flags;
	request->has_descriptor = BPF_CORE_READ(open, file_slot) == 0;
	keep_name(&request->names[0], BPF_CORE_READ(open, filename), BPF_CORE_READ(open, dfd),
		  access_asked(flags));
}

static __always_inline void keep_rename(struct ring_request *request, struct io_kiocb *req)
{
	struct io_rename *rename = (void *)req;
	bool is_exchange = BPF_CORE_READ(rename, flags) & RENAME_EXCHANGE;
	__u16 both = ACCESS_RENAME_FROM | ACCESS_RENAME_TO;

	keep_name(&request->names[0], BPF_CORE_READ(rename, oldpath),
		  BPF_CORE_READ(rename, old_dfd), is_exchange ? both : ACCESS_RENAME_FROM);
	keep_name(&request->names[1], BPF_CORE_READ(rename, newpath),
		  BPF_CORE_READ(rename, new_dfd), is_exchange ? both : ACCESS_RENAME_TO);
}

static __always_inline void keep_link(struct ring_request *request, struct io_kiocb *req,
				      bool is_symlink)
{
	struct io_link *link = (void *)req;

	if (!is_symlink)
		keep_name(&request->names[0], BPF_CORE_READ(link, oldpath),
			  BPF_CORE_READ(link, old_dfd), ACCESS_LINK);
	keep_name(&request->names[1], BPF_CORE_READ(link, newpath), BPF_CORE_READ(link, new_dfd),
		  is_symlink ? ACCESS_SYMLINK : ACCESS_MAKE | ACCESS_LINK);
}

static __always_inline void keep_request(struct ring_request *request, struct io_kiocb *req,
					 __u8 opcode)
{
	struct io_unlink *unlink = (void *)req;
	struct io_mkdir *mkdir = (void *)req;

	switch (opcode) {
	case RING_OPENAT:
	case RING_OPENAT2:
		keep_open(request, req);
		break;
	case RING_RENAMEAT:
		keep_rename(request, req);
		break;
	case RING_LINKAT:
	case RING_SYMLINKAT:
		keep_link(request, req, opcode == RING_SYMLINKAT);
		break;
	case RING_UNLINKAT:
		keep_name(&request->names[0], BPF_CORE_READ(unlink, filename),
			  BPF_CORE_READ(unlink, dfd),
			  BPF_CORE_READ(unlink, flags) & AT_REMOVEDIR ?
				  ACCESS_UNLINK | ACCESS_DIRECTORY :
				  ACCESS_UNLINK);
		break;
	case RING_MKDIRAT:
		keep_name(&request->names[0], BPF_CORE_READ(mkdir, filename),
			  BPF_CORE_READ(mkdir, dfd), ACCESS_MAKE | ACCESS_DIRECTORY);
		break;
	}
}

__noinline int record_ring_name(struct task_state *state, struct ring_name *kept, __s64 result)
{
	struct named named = {};
	__u32 zero = 0;
	struct name *name = bpf_map_lookup_elem(&names, &zero);

	if (!state || !kept || !name || !kept->size)
		return 0;
	__builtin_memset(name->text, 0, HASHED_TAIL);
	if (bpf_probe_read_kernel(name->text, kept->size & (RING_NAME_SIZE - 1), kept->text))
		return 0;
	named.result = result;
	named.directory = kept->directory;
	named.access = kept->access;
	if (kept->size == RING_NAME_SIZE - 1)
		count_loss(state->slot, LOSS_TRUNCATED, PLACE_FILES, 1);
	record_read_name(state, &named, name, kept->size & (RING_NAME_SIZE - 1));
	return 0;
}

// A request that ended with *result*.
static __always_inline void record_request(struct task_state *state, struct ring_request *request,
					   __s64 result)
{
	struct open_call call = { .result = result, .open_flags = request->open_flags };

	if (request->is_open && result >= 0 && request->has_descriptor) {
		record_opened(state, &call);
		return;
	}
	// Of what lies in the ring's own table only the name is known.
	if (request->is_open && result >= 0)
		count_loss(state->slot, LOSS_UNSEEN, PLACE_FILES, 1);
	record_ring_name(state, &request->names[0], result);
	record_ring_name(state, &request->names[1], result);
}

static __always_inline int request_submitted(struct io_kiocb *req)
{
	struct task_state *state = ring_owner();
	struct privilege_key key = {};
	struct ring_request *request;
	__u64 address = (__u64)req;
	__u32 zero = 0;
	__u8 opcode;

	if (!state)
		return 0;
	opcode = BPF_CORE_READ(req, opcode);
	key.exec_key = state->owner.exec_key;
	key.slot = state->slot;
	key.window = window;
	key.capability = RING_REQUEST | opcode;
	key.granted = 1;
	if (count_in(&privileges, &key, key.slot, PLACE_PRIVILEGES))
		tell_privilege(&key, state->owner.exe_key);
	if (opcode >= RING_OPCODES || !(RING_BIT(opcode) & (RING_NAMED | RING_SOCKETS)))
		return 0;
	if (RING_BIT(opcode) & RING_SOCKETS) {
		if (!bpf_core_type_exists(struct io_open))
			return 0;
		if (opcode == RING_SOCKET)
			keep_made_socket(state, req);
		else
			keep_ring_socket(state, req, opcode);
		return 0;
	}
	request = bpf_map_lookup_elem(&ring_scratch, &zero);
	// Since Linux commit f2ccb5aed7bc ("io_uring: make io_kiocb_to_cmd() typesafe") (v6.0) the
	// commands are types of their own.
	if (!request || !bpf_core_type_exists(struct io_open)) {
		count_loss(state->slot, LOSS_UNSEEN, PLACE_FILES, 1);
		return 0;
	}
	request->is_open = 0;
	request->names[0].size = request->names[1].size = 0;
	keep_request(request, req, opcode);
	if (BPF_CORE_READ(req, flags) & CQE_SKIP_SUCCESS) {
		// Success will not be told. A failure will: then it is told twice.
		request->has_descriptor = 0;
		record_request(state, request, 0);
	}
	bpf_map_update_elem(&ring_requests, &address, request, BPF_ANY);
	return 0;
}

SEC("tp_btf/io_uring_submit_req")
int BPF_PROG(ring_submitted, struct io_kiocb *req)
{
	return request_submitted(req);
}

// Its name before Linux commit 2ad57931db64 ("io_uring: rename trace_io_uring_submit_sqe()
// tracepoint") (v6.4). Before v6.0 the request was not its first argument.
SEC("tp_btf/io_uring_submit_sqe")
int BPF_PROG(ring_submitted_by_sqe, struct io_kiocb *req)
{
	if (!bpf_core_type_exists(struct io_open))
		return 0;
	return request_submitted(req);
}

SEC("tp_btf/io_uring_complete")
int BPF_PROG(ring_completed, void *ring, void *address)
{
	struct io_kiocb *req = address;
	struct ring_request *request;
	struct task_state *state;
	__u64 key = (__u64)address;
	__u8 opcode;

	if (!armed || !req || !bpf_core_type_exists(struct io_open))
		return 0;
	opcode = BPF_CORE_READ(req, opcode);
	if (opcode >= RING_OPCODES || !(RING_BIT(opcode) & (RING_NAMED | RING_SOCKETS)))
		return 0;
	state = ring_owner();
	if (!state)
		return 0;
	if (opcode == RING_SOCKET) {
		record_ring_made(state, key, BPF_CORE_READ(req, cqe.res));
		return 0;
	}
	if (RING_BIT(opcode) & RING_SOCKETS) {
		record_ring_socket(state, key, opcode, BPF_CORE_READ(req, cqe.res));
		return 0;
	}
	request = bpf_map_lookup_elem(&ring_requests, &key);
	if (!request) {
		count_loss(state->slot, LOSS_MAP_FULL, PLACE_FILES, 1);
		return 0;
	}
	record_request(state, request, BPF_CORE_READ(req, cqe.res));
	bpf_map_delete_elem(&ring_requests, &key);
	return 0;
}

#endif
