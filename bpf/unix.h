// SPDX-License-Identifier: GPL-2.0
// Sockets without an Internet address, when the call that names them returns: UNIX sockets by the
// address that the kernel keeps with them, those of other families when they are made.
//
// A name that was asked for stands only where the kernel keeps none: a connect that failed, a
// datagram to a name. What io_uring connects returns from no such call.
#ifndef ETHOGRAM_UNIX_H
#define ETHOGRAM_UNIX_H

#include "network.h"
#include "path.h"

#define AF_UNIX 1
#define AF_PACKET 17
#define SOCK_RAW 3
#define SOCK_PACKET 10 // of AF_INET: the kernel makes it one of AF_PACKET
#define SOCK_TYPE_MASK 15
#define IPPROTO_MPTCP 262
#define SOCKFS_MAGIC 0x534f434b
#define FAMILY_SIZE 2

#define SOCKET_CALLS(X, w)                                                                      \
	X(NR_socket, w) X(NR_connect, w) X(NR_bind, w) X(NR_listen, w) X(NR_accept, w)          \
	X(NR_accept4, w) X(NR_sendto, w) X(NR_sendmsg, w) X(NR_sendmmsg, w)

static const __u64 socket_calls[NATIVE_CALLS / 64] = CALL_SET(SOCKET_CALLS);

// A call by its native number, whatever table it came from.
struct socket_call {
	__u64 arguments[6];
	__s64 result;
	__u32 nr;
	__u32 is_compat;
};

static __always_inline struct sock *socket_at(__u64 fd)
{
	struct file *file = file_of(bpf_get_current_task_btf(), (__u32)fd);
	struct socket *socket;

	if (!file || BPF_CORE_READ(file, f_inode, i_sb, s_magic) != SOCKFS_MAGIC)
		return NULL;
	socket = BPF_CORE_READ(file, private_data);
	return BPF_CORE_READ(socket, sk);
}

static __always_inline __u64 as_size(__u64 size)
{
	KEEP_WITHIN(size, 0, UNIX_PATH_SIZE);
	return size;
}

// The address that a socket was bound to. False where it has none.
static __noinline bool own_path(struct sock *sk, struct unix_key *key)
{
	struct unix_address *address;
	const void *path;
	__u32 size;

	if (!sk || !key)
		return false;
	address = BPF_CORE_READ((struct unix_sock *)sk, addr);
	if (!address)
		return false;
	size = BPF_CORE_READ(address, len);
	if (size <= FAMILY_SIZE)
		return false;
	size -= FAMILY_SIZE;
	path = (void *)address + bpf_core_field_offset(struct unix_address, name) + FAMILY_SIZE;
	bpf_probe_read_kernel(key->path, as_size(size), path);
	// The length of a path has its NUL in it, that of an abstract name has none.
	key->path_size = as_size(key->path[0] ? size - 1 : size);
	return true;
}

// The name in user memory, as the call would have read it.
static __noinline bool asked_path(const void *name, __u64 name_size, struct unix_key *key)
{
	__u16 family = 0;
	long size;

	if (!key || name_size <= FAMILY_SIZE ||
	    bpf_probe_read_user(&family, sizeof(family), name) || family != AF_UNIX)
		return false;
	size = as_size(name_size - FAMILY_SIZE);
	if (bpf_probe_read_user(key->path, 1, name + FAMILY_SIZE))
		return false;
	if (!key->path[0]) {
		if (bpf_probe_read_user(key->path, as_size(size), name + FAMILY_SIZE))
			return false;
		key->path_size = size;
		return true;
	}
	// Stops at its NUL, and needs room for one of its own.
	size = bpf_probe_read_user_str(key->path, as_size(size + 1), name + FAMILY_SIZE);
	if (size <= 1)
		return false;
	key->path_size = size - 1;
	return true;
}

static __always_inline void count_unix(struct unix_key *key, __u64 cookie)
{
	struct flow_use *use = bpf_map_lookup_elem(&unix_flows, key), fresh = {};

	if (!use) {
		if (!take_quota(key->slot, QUOTA_FLOWS, quota_flows, PLACE_NETWORK))
			return;
		fresh.first_ns = bpf_ktime_get_boot_ns();
		fresh.cookie = cookie;
		bpf_map_update_elem(&unix_flows, key, &fresh, BPF_NOEXIST);
		use = bpf_map_lookup_elem(&unix_flows, key);
	}
	if (!use) {
		count_loss(key->slot, LOSS_MAP_FULL, PLACE_NETWORK, 1);
		return;
	}
	use->last_ns = bpf_ktime_get_boot_ns();
	__sync_fetch_and_add(&use->connections, 1);
}

// Where a message without a connection goes. Returns false where it names nobody.
static __always_inline bool addressed(struct socket_call *call, struct unix_key *key)
{
	__u64 name = call->arguments[4], size = (__u32)call->arguments[5];

	if (call->nr != NR_sendto) { // struct msghdr, and struct mmsghdr, begin with both
		const void *message = (const void *)call->arguments[1];
		__u32 words[4] = {};

		if (bpf_probe_read_user(words, sizeof(words), message))
			return false;
		name = call->is_compat ? words[0] : (__u64)words[1] << 32 | words[0];
		size = call->is_compat ? words[1] : words[2];
	}
	return name && asked_path((const void *)name, size, key);
}

static __always_inline bool unix_named(struct socket_call *call, struct sock *sk,
				       struct unix_key *key)
{
	bool is_done = call->result >= 0;

	switch (call->nr) {
	case NR_connect:
		key->direction = DIRECTION_OUT;
		if (is_done && own_path(BPF_CORE_READ((struct unix_sock *)sk, peer), key))
			return true;
		return asked_path((const void *)call->arguments[1], (__u32)call->arguments[2], key);
	case NR_sendto:
	case NR_sendmsg:
	case NR_sendmmsg:
		key->direction = DIRECTION_OUT;
		return addressed(call, key);
	case NR_bind:
		key->direction = DIRECTION_BIND;
		return is_done && own_path(sk, key);
	case NR_listen:
		key->direction = DIRECTION_LISTEN;
		return is_done && own_path(sk, key);
	case NR_accept:
	case NR_accept4:
		key->direction = DIRECTION_IN;
		return is_done && own_path(sk, key);
	}
	return false;
}

// A socket that talks to the kernel, or that hears and sends what it likes: making it is the act.
__noinline int socket_made_of(struct task_state *state, struct socket_call *call)
{
	struct flow_key key = { .direction = DIRECTION_BIND };
	__u32 protocol;

	if (!state || !call)
		return 0;
	protocol = call->arguments[2];
	key.family = call->arguments[0];
	key.type = call->arguments[1] & SOCK_TYPE_MASK;
	if (call->result < 0 || key.family == AF_UNIX)
		return 0;
	if (key.family == AF_INET && key.type == SOCK_PACKET)
		key.family = AF_PACKET;
	if ((key.family == AF_INET || key.family == AF_INET6) && key.type != SOCK_RAW &&
	    (protocol == 0 || protocol == IPPROTO_TCP || protocol == IPPROTO_UDP ||
	     protocol == IPPROTO_MPTCP))
		return 0; // counted when it is used
	key.protocol = key.family == AF_PACKET ? bpf_ntohs(protocol) : protocol;
	key.exe_key = state->owner.exe_key;
	key.slot = state->slot;
	key.window = window;
	count_flow(&key, 0);
	return 0;
}

__noinline int record_socket_call(struct task_state *state, struct socket_call *call)
{
	struct unix_key key = {};
	struct sock *sk;
	__u64 fd;

	if (!state || !call || call->result <= -512) // it will be made again
		return 0;
	if (call->nr == NR_sendto && !call->arguments[4])
		return 0;
	if (call->nr == NR_sendto || call->nr == NR_sendmsg || call->nr == NR_sendmmsg) {
		// Most messages are of other families: their name says so at the least cost.
		if (!unix_named(call, NULL, &key))
			return 0;
	}
	fd = call->nr == NR_accept || call->nr == NR_accept4 ? call->result : call->arguments[0];
	sk = (__s64)fd >= 0 ? socket_at(fd) : NULL;
	if (!sk || BPF_CORE_READ(sk, __sk_common.skc_family) != AF_UNIX)
		return 0;
	if (!key.path_size && !unix_named(call, sk, &key))
		return 0;
	key.type = BPF_CORE_READ(sk, sk_type);
	key.exe_key = state->owner.exe_key;
	key.slot = state->slot;
	key.window = window;
	count_unix(&key, BPF_CORE_READ(sk, __sk_common.skc_cookie.counter));
	return 0;
}

static __noinline int socket_call_done(struct task_state *state, struct pt_regs *regs, __u32 nr,
				       __s64 result)
{
	struct socket_call call = { .nr = nr, .result = result };

	if (!state || !regs)
		return 0;
	call.arguments[0] = (__u32)ARG1(regs);
	call.arguments[1] = ARG2(regs);
	call.arguments[2] = ARG3(regs);
	call.arguments[4] = ARG5(regs);
	call.arguments[5] = ARG6(regs);
	if (nr == NR_socket)
		socket_made_of(state, &call);
	else
		record_socket_call(state, &call);
	return 0;
}

// What listened, or had a name for datagrams, before anybody saw it begin to.
static __always_inline void count_unix_bound(struct sock *sk, struct task_state *state)
{
	bool listens = BPF_CORE_READ(sk, __sk_common.skc_state) == TCP_LISTEN;
	struct unix_key key = { .direction = listens ? DIRECTION_LISTEN : DIRECTION_BIND };

	key.type = BPF_CORE_READ(sk, sk_type);
	if (!listens && key.type != SOCK_DGRAM)
		return; // an accepted one has its listener's address
	if (!own_path(sk, &key))
		return;
	key.exe_key = state->owner.exe_key;
	key.slot = state->slot;
	key.window = window;
	count_unix(&key, bpf_get_socket_cookie(sk));
}

#endif
