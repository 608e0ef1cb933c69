// SPDX-License-Identifier: GPL-2.0
// Sockets without an Internet address, when the call that names them returns: UNIX sockets by their
// names, those of other families when they are made.
//
// A name that was asked for stands only where the kernel keeps none: a connect that failed, a
// datagram to a name.
#ifndef ETHOGRAM_SOCKET_CALLS_H
#define ETHOGRAM_SOCKET_CALLS_H

#include "unix.h"

#define AF_PACKET 17
#define SOCK_RAW 3
#define SOCK_PACKET 10 // of AF_INET: the kernel makes it one of AF_PACKET
#define SOCK_TYPE_MASK 15
#define IPPROTO_MPTCP 262
#define MESSAGES_MAX 16 // of one sendmmsg, whose names are looked at
#define MESSAGE_SIZE 64 // struct mmsghdr
#define COMPAT_MESSAGE_SIZE 32

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
	struct sock *peer;

	switch (call->nr) {
	case NR_connect:
		key->direction = DIRECTION_OUT;
		peer = PEEK(unix_sock, sk, peer);
		if (is_done && own_path(peer, key))
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

static __always_inline bool is_internet(__u32 family)
{
	return family == AF_INET || family == AF_INET6;
}

// Counted when it is used, not when it is made.
static __always_inline bool is_common_socket(__u16 family, __u16 type, __u32 protocol)
{
	return is_internet(family) && type != SOCK_RAW &&
	       !(family == AF_INET && type == SOCK_PACKET) &&
	       (protocol == 0 || protocol == IPPROTO_TCP || protocol == IPPROTO_UDP ||
		protocol == IPPROTO_MPTCP);
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
	if (call->result < 0 || key.family == AF_UNIX ||
	    is_common_socket(key.family, key.type, protocol))
		return 0;
	if (key.family == AF_INET && key.type == SOCK_PACKET)
		key.family = AF_PACKET;
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
	if (family_of(sk) != AF_UNIX || (!key.path_size && !unix_named(call, sk, &key)))
		return 0;
	count_named(state, sk, &key);
	return 0;
}

// Each message has a name of its own. The one after those that were sent failed.
static __always_inline void record_messages(struct task_state *state, struct socket_call *call)
{
	__u32 asked = call->arguments[2], sent = call->result < 0 ? 0 : call->result;
	__u32 tried = sent < asked ? sent + 1 : sent;

	if (!tried || family_of(socket_at(call->arguments[0])) != AF_UNIX)
		return;
	for (int i = 0; i < MESSAGES_MAX; i++) {
		if (i >= tried)
			return;
		record_socket_call(state, call);
		call->arguments[1] += call->is_compat ? COMPAT_MESSAGE_SIZE : MESSAGE_SIZE;
	}
	if (tried > MESSAGES_MAX)
		count_loss(state->slot, LOSS_UNSEEN, PLACE_NETWORK, tried - MESSAGES_MAX);
}

__noinline int record_any_socket_call(struct task_state *state, struct socket_call *call)
{
	if (!state || !call)
		return 0;
	if (call->nr == NR_socket)
		socket_made_of(state, call);
	else if (call->nr == NR_sendmmsg)
		record_messages(state, call);
	else
		record_socket_call(state, call);
	return 0;
}

// A call of the current task of which record_any_socket_call() would tell nothing, found out at
// less cost: servers make these calls for every request. Not all that could be known is asked.
static __noinline bool is_common_call(struct task_struct *task, struct pt_regs *regs, __u32 nr,
				      __s64 result)
{
	__u64 fd, name = 1;
	struct sock *sk;

	if (!task || !regs)
		return false;
	fd = ARG1(regs);
	if (nr == NR_sendto && !ARG5(regs))
		return true;
	if (nr == NR_socket)
		return is_common_socket(ARG1(regs), ARG2(regs) & SOCK_TYPE_MASK, ARG3(regs));
	if (!has_rdonly_cast) // asking would cost what it saves
		return false;
	if (nr == NR_accept || nr == NR_accept4) {
		if (result < 0)
			return true;
		fd = result;
	}
	sk = socket_of_file(file_of(task, (__u32)fd));
	if (is_internet(family_of(sk)))
		return true;
	if (nr != NR_sendmsg)
		return false;
	return !bpf_probe_read_user(&name, sizeof(name), (const void *)ARG2(regs)) && !name;
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
	record_any_socket_call(state, &call);
	return 0;
}

// The native number of a call of the 32-bit table that is about a socket.
static __always_inline __u32 native_socket_call(__u32 nr)
{
	switch (nr) {
	case COMPAT_socket:
		return NR_socket;
	case COMPAT_bind:
		return NR_bind;
	case COMPAT_connect:
		return NR_connect;
	case COMPAT_listen:
		return NR_listen;
	case COMPAT_accept:
		return NR_accept;
	case COMPAT_accept4:
		return NR_accept4;
	case COMPAT_sendto:
		return NR_sendto;
	case COMPAT_sendmsg:
		return NR_sendmsg;
	case COMPAT_sendmmsg:
		return NR_sendmmsg;
	}
	return NATIVE_CALLS;
}

// The same of what socketcall() was asked to do: SYS_SOCKET and so on in linux/net.h.
static __always_inline __u32 multiplexed_call(__u32 what)
{
	switch (what) {
	case 1:
		return NR_socket;
	case 2:
		return NR_bind;
	case 3:
		return NR_connect;
	case 4:
		return NR_listen;
	case 5:
		return NR_accept;
	case 11:
		return NR_sendto;
	case 16:
		return NR_sendmsg;
	case 18:
		return NR_accept4;
	case 20:
		return NR_sendmmsg;
	}
	return NATIVE_CALLS;
}

static __always_inline bool is_compat_socket_call(__u32 nr)
{
	return nr == COMPAT_socketcall || native_socket_call(nr) != NATIVE_CALLS;
}

// Returns the native number of what was done.
static __noinline __u32 compat_socket_call_done(struct task_state *state, struct pt_regs *regs,
						__s64 result)
{
	struct socket_call call = { .result = result, .is_compat = 1 };
	__u32 words[6] = {};

	if (!state || !regs)
		return NATIVE_CALLS;
	if (state->nr == COMPAT_socketcall) {
		const void *from = (const void *)(__u64)COMPAT_ARG2(regs);
		long error;

		call.nr = multiplexed_call(COMPAT_ARG1(regs));
		// No more than the call has: what follows may be another page.
		if (call.nr == NR_sendto)
			error = bpf_probe_read_user(words, sizeof(words), from);
		else if (call.nr == NR_listen)
			error = bpf_probe_read_user(words, 2 * sizeof(words[0]), from);
		else
			error = bpf_probe_read_user(words, 3 * sizeof(words[0]), from);
		if (error || call.nr == NATIVE_CALLS)
			return NATIVE_CALLS;
	} else {
		call.nr = native_socket_call(state->nr);
		words[0] = COMPAT_ARG1(regs);
		words[1] = COMPAT_ARG2(regs);
		words[2] = COMPAT_ARG3(regs);
		words[4] = COMPAT_ARG5(regs);
		words[5] = COMPAT_ARG6(regs);
	}
	call.arguments[0] = words[0];
	call.arguments[1] = words[1];
	call.arguments[2] = words[2];
	call.arguments[4] = words[4];
	call.arguments[5] = words[5];
	record_any_socket_call(state, &call);
	return call.nr;
}

#endif
