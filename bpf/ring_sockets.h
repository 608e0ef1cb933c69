// SPDX-License-Identifier: GPL-2.0
// What requests of rings do with UNIX sockets, and with those of other families, when they complete.
// Internet addresses pass the hooks of network.h.
#ifndef ETHOGRAM_RING_SOCKETS_H
#define ETHOGRAM_RING_SOCKETS_H

#include "socket_calls.h"

// enum io_uring_op, which is only ever appended to.
enum ring_opcode {
	RING_SENDMSG = 9,
	RING_ACCEPT = 13,
	RING_CONNECT = 16,
	RING_OPENAT = 18,
	RING_OPENAT2 = 28,
	RING_RENAMEAT = 35,
	RING_UNLINKAT = 36,
	RING_MKDIRAT = 37,
	RING_SYMLINKAT = 38,
	RING_LINKAT = 39,
	RING_SOCKET = 45,
	RING_BIND = 56,
	RING_LISTEN = 57,
	RING_OPCODES = 64,
};

#define CQE_SKIP_SUCCESS (1 << 6) // IOSQE_CQE_SKIP_SUCCESS, the same bit in req->flags
#define FIXED_FILE (1 << 0)	  // IOSQE_FIXED_FILE: not a descriptor of the process

#define RING_BIT(opcode) (1ull << (opcode))
#define RING_ADDRESSED (RING_BIT(RING_SENDMSG) | RING_BIT(RING_CONNECT))
#define RING_SOCKETS                                                                            \
	(RING_ADDRESSED | RING_BIT(RING_ACCEPT) | RING_BIT(RING_SOCKET) | RING_BIT(RING_BIND) | \
	 RING_BIT(RING_LISTEN))

// Address of a request under way -> the UNIX address that it was given.
HASH_LRU(ring_addresses, __u64, struct unix_key, 1024);

static __always_inline void count_ring_socket(struct task_state *state, struct sock *sk,
					      struct unix_key *key)
{
	key->type = sk ? PEEK(sock, sk, sk_type) : SOCK_STREAM;
	key->exe_key = state->owner.exe_key;
	key->slot = state->slot;
	key->window = window;
	count_unix(key, sk ? PEEK(sock, sk, __sk_common.skc_cookie.counter) : 0);
}

static __always_inline bool ring_asked(void *request, __u32 opcode, struct unix_key *key)
{
	struct io_connect *connect = request;
	struct io_sr_msg *send = request;
	__u32 words[4] = {};

	if (opcode == RING_CONNECT)
		return asked_path(BPF_CORE_READ(connect, addr),
				  (__u32)BPF_CORE_READ(connect, addr_len), key);
	if (bpf_probe_read_user(words, sizeof(words), BPF_CORE_READ(send, umsg)))
		return false;
	return asked_path((const void *)((__u64)words[1] << 32 | words[0]), words[2], key);
}

static __always_inline void ring_socket_made(struct task_state *state, struct io_socket *made,
					     __s64 result)
{
	struct socket_call call = { .nr = NR_socket, .result = result };

	call.arguments[0] = (__u32)BPF_CORE_READ(made, domain);
	call.arguments[1] = (__u32)BPF_CORE_READ(made, type);
	call.arguments[2] = (__u32)BPF_CORE_READ(made, protocol);
	socket_made_of(state, &call);
}

// A request for a socket whose success will not be told.
static __noinline int keep_made_socket(struct task_state *state, struct io_kiocb *req)
{
	if (state && req && BPF_CORE_READ(req, flags) & CQE_SKIP_SUCCESS)
		ring_socket_made(state, (void *)req, 0);
	return 0;
}

// A request that was just submitted: the address that it was given is gone when it completes.
static __noinline int keep_ring_socket(struct task_state *state, struct io_kiocb *req, __u32 opcode)
{
	struct unix_key key = { .direction = DIRECTION_OUT };
	__u64 address = (__u64)req, flags;
	struct sock *sk = NULL;

	if (!state || !req)
		return 0;
	flags = BPF_CORE_READ(req, flags);
	if (!(flags & CQE_SKIP_SUCCESS)) {
		if (RING_BIT(opcode & 63) & RING_ADDRESSED && ring_asked(req, opcode, &key))
			bpf_map_update_elem(&ring_addresses, &address, &key, BPF_ANY);
		return 0;
	}
	// Success will not be told, and what the socket is bound to is not known yet.
	if (!(flags & FIXED_FILE)) // until it has its file, it has the descriptor there
		sk = socket_at(BPF_CORE_READ(req, cqe.res));
	if (sk && family_of(sk) != AF_UNIX)
		return 0;
	if (!(RING_BIT(opcode & 63) & RING_ADDRESSED))
		count_loss(state->slot, LOSS_UNSEEN, PLACE_NETWORK, 1);
	else if (ring_asked(req, opcode, &key))
		count_ring_socket(state, sk, &key);
	return 0;
}

static __always_inline bool ring_named(struct sock *sk, __u64 address, __u32 opcode, __s64 result,
				       struct unix_key *key)
{
	struct unix_key *kept;
	struct sock *peer;

	switch (opcode) {
	case RING_BIND:
		key->direction = DIRECTION_BIND;
		return result >= 0 && own_path(sk, key);
	case RING_LISTEN:
		key->direction = DIRECTION_LISTEN;
		return result >= 0 && own_path(sk, key);
	case RING_ACCEPT:
		key->direction = DIRECTION_IN;
		return result >= 0 && own_path(sk, key);
	}
	key->direction = DIRECTION_OUT;
	peer = PEEK(unix_sock, sk, peer);
	if (opcode == RING_CONNECT && result >= 0 && own_path(peer, key))
		return true;
	kept = bpf_map_lookup_elem(&ring_addresses, &address);
	if (!kept)
		return false;
	__builtin_memcpy(key->path, kept->path, sizeof(key->path));
	key->path_size = kept->path_size;
	return true;
}

// In a frame of its own: what is below it is deep.
__noinline int record_ring_made(struct task_state *state, __u64 address, __s64 result)
{
	if (state)
		ring_socket_made(state, (void *)address, result);
	return 0;
}

__noinline int record_ring_socket(struct task_state *state, __u64 address, __u32 opcode,
				  __s64 result)
{
	struct io_kiocb *req = (void *)address;
	struct unix_key key = {};
	struct sock *sk;

	if (!state)
		return 0;
	sk = socket_of_file(BPF_CORE_READ(req, file));
	if (family_of(sk) != AF_UNIX)
		return 0;
	if (ring_named(sk, address, opcode, result, &key))
		count_ring_socket(state, sk, &key);
	if (RING_BIT(opcode & 63) & RING_ADDRESSED)
		bpf_map_delete_elem(&ring_addresses, &address);
	return 0;
}

#endif
