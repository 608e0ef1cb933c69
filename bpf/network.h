// SPDX-License-Identifier: GPL-2.0
// Who talks to whom. Outgoing: the kernel's copy of the address, in the caller's context.
// Incoming: TCP's own state, with the owner that the listener's socket carries; `current` in
// softirq is often the peer and never asked.
#ifndef ETHOGRAM_NETWORK_H
#define ETHOGRAM_NETWORK_H

#include "news.h"

#define AF_INET 2
#define AF_INET6 10
#define SOCK_STREAM 1
#define SOCK_DGRAM 2
#define IPPROTO_TCP 6
#define IPPROTO_UDP 17
#define TCP_ESTABLISHED 1
#define TCP_SYN_SENT 2
#define TCP_SYN_RECV 3
#define TCP_CLOSE 7
#define TCP_LISTEN 10

static __always_inline bool is_v4_mapped(const __u8 *address)
{
	const __u32 *words = (const __u32 *)address;

	return !words[0] && !words[1] && words[2] == bpf_htonl(0xffff);
}

// Fold ::ffff:a.b.c.d into a.b.c.d, so that one peer has one name.
static __always_inline void fold_mapped(struct flow_key *key)
{
	if (key->family != AF_INET6)
		return;
	if (is_v4_mapped(key->peer_addr) || is_v4_mapped(key->local_addr)) {
		__builtin_memcpy(key->peer_addr, key->peer_addr + 12, 4);
		__builtin_memset(key->peer_addr + 4, 0, 12);
		__builtin_memcpy(key->local_addr, key->local_addr + 12, 4);
		__builtin_memset(key->local_addr + 4, 0, 12);
		key->family = AF_INET;
	}
}

static __always_inline struct flow_use *flow_of(struct flow_key *key)
{
	struct flow_use *use = bpf_map_lookup_elem(&flows, key), fresh = {};

	if (use) {
		use->last_ns = bpf_ktime_get_boot_ns();
		return use;
	}
	if (!take_quota(key->slot, QUOTA_FLOWS, quota_flows, PLACE_NETWORK))
		return NULL;
	fresh.first_ns = fresh.last_ns = bpf_ktime_get_boot_ns();
	bpf_map_update_elem(&flows, key, &fresh, BPF_NOEXIST);
	use = bpf_map_lookup_elem(&flows, key);
	if (!use)
		count_loss(key->slot, LOSS_MAP_FULL, PLACE_NETWORK, 1);
	return use;
}

// Is this peer one that is known to be allowed?
static __always_inline bool is_passed(__u32 has_any, void *map, void *key,
					__u32 *key_window)
{
	bool found;

	if (!tells_news || !has_any)
		return false;
	*key_window = 0;
	found = bpf_map_lookup_elem(map, key);
	*key_window = window;
	return found;
}

static __always_inline void count_passed_connect(__u32 slot)
{
	struct slot_usage *use = bpf_map_lookup_elem(&usage, &slot);

	if (use)
		__sync_fetch_and_add(&use->passed_connects, 1);
}

static __always_inline void count_joined(struct flow_key *key, __u64 cookie, __u64 peer_cookie)
{
	struct flow_use *use;
	bool is_first;

	fold_mapped(key);
	if (is_passed(passes_flows, &passed_flows, key, &key->window)) {
		if (key->direction == DIRECTION_OUT)
			count_passed_connect(key->slot);
		return;
	}
	use = flow_of(key);
	if (!use)
		return;
	is_first = !use->connections;
	__sync_fetch_and_add(&use->connections, 1);
	if (!use->cookie) {
		use->cookie = cookie;
		use->peer_cookie = peer_cookie;
	}
	if (is_first)
		tell_flow(key);
}

static __always_inline void count_flow(struct flow_key *key, __u64 cookie)
{
	count_joined(key, cookie, 0);
}

// --- outgoing, and binds: the caller is `current` ---------------------------------------------

static __always_inline const struct owner *caller_of_exec(struct task_struct *task, __u32 *slot)
{
	__u64 key = exec_key_of(task);
	struct owner *owner = bpf_map_lookup_elem(&callers, &key);

	if (!owner || !is_recorded(owner->cgroup_id, owner->mntns))
		return NULL;
	*slot = slot_of(0, owner, phase_of(owner));
	return owner;
}

// Who calls; NULL where it is not recorded.
static __always_inline const struct owner *caller(__u32 *slot)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct task_state *state;

	if (!armed)
		return NULL;
	if (!has_task_storage)
		return caller_of_exec(task, slot);
	state = known_state(task);
	if (!state)
		return NULL;
	*slot = find_slot(task, state);
	return *slot == NO_SLOT ? NULL : &state->owner;
}

// The caller's socket, which is the caller's own where no other was seen to make it: MPTCP makes
// the TCP sockets below its own in the kernel.
static __always_inline struct socket_state *socket_of(struct bpf_sock *sk,
						      const struct owner *owner, __u32 slot)
{
	struct socket_state *socket;

	if (!sk)
		return NULL;
	socket = bpf_sk_storage_get(&sockets, sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
	if (!socket)
		count_loss(slot, LOSS_STORAGE, PLACE_NETWORK, 1);
	else if (!socket->owner.exec_key)
		socket->owner = *owner;
	return socket;
}

static __always_inline void caller_flow(struct bpf_sock_addr *context, struct flow_key *key,
					const struct owner *owner, __u32 slot)
{
	key->exe_key = owner->exe_key;
	key->slot = slot;
	key->window = window;
	key->family = context->family;
	key->type = context->type;
	key->protocol = context->protocol;
}

static __always_inline void put_v4(__u8 *to, __u32 address)
{
	__builtin_memcpy(to, &address, 4);
}

static __always_inline void put_v6(__u8 *to, struct bpf_sock_addr *context)
{
	__u32 words[4];

	words[0] = context->user_ip6[0];
	words[1] = context->user_ip6[1];
	words[2] = context->user_ip6[2];
	words[3] = context->user_ip6[3];
	__builtin_memcpy(to, words, 16);
}

static __always_inline int connecting(struct bpf_sock_addr *context, bool is_v6)
{
	struct flow_key key = { .direction = DIRECTION_OUT };
	struct socket_state *socket;
	struct bpf_sock *sk = context->sk;
	const struct owner *owner;
	__u32 slot;

	owner = caller(&slot);
	if (!owner)
		return 1;
	caller_flow(context, &key, owner, slot);
	key.peer_port = bpf_ntohs((__u16)context->user_port);
	if (is_v6)
		put_v6(key.peer_addr, context);
	else
		put_v4(key.peer_addr, context->user_ip4);
	socket = socket_of(sk, owner, slot);
	// A datagram socket with a port of its own answers: its peers are clients.
	if (sk && socket && socket->is_bound && context->type != SOCK_STREAM) {
		key.direction = DIRECTION_IN;
		key.peer_port = 0;
		key.local_port = sk->src_port;
	}
	count_flow(&key, bpf_get_socket_cookie(context));
	if (socket && context->type == SOCK_STREAM)
		socket->asked = key;
	return 1;
}

SEC("cgroup/connect4")
int socket_connect4(struct bpf_sock_addr *context)
{
	return connecting(context, false);
}

SEC("cgroup/connect6")
int socket_connect6(struct bpf_sock_addr *context)
{
	return connecting(context, true);
}

SEC("cgroup/sendmsg4")
int socket_send4(struct bpf_sock_addr *context)
{
	// A v4-mapped sendto() arrives here with the family of its socket.
	return connecting(context, false);
}

SEC("cgroup/sendmsg6")
int socket_send6(struct bpf_sock_addr *context)
{
	return connecting(context, true);
}

static __always_inline int binding(struct bpf_sock_addr *context, bool is_v6)
{
	struct flow_key key = { .direction = DIRECTION_BIND };
	struct socket_state *socket;
	const struct owner *owner;
	__u32 slot;

	owner = caller(&slot);
	if (!owner)
		return 1;
	socket = socket_of(context->sk, owner, slot);
	if (!context->user_port)
		return 1;
	if (socket)
		socket->is_bound = 1;
	caller_flow(context, &key, owner, slot);
	key.local_port = bpf_ntohs((__u16)context->user_port);
	if (is_v6)
		put_v6(key.local_addr, context);
	else
		put_v4(key.local_addr, context->user_ip4);
	count_flow(&key, bpf_get_socket_cookie(context));
	return 1;
}

SEC("cgroup/bind4")
int socket_bind4(struct bpf_sock_addr *context)
{
	return binding(context, false);
}

SEC("cgroup/bind6")
int socket_bind6(struct bpf_sock_addr *context)
{
	return binding(context, true);
}

SEC("cgroup/sock_create")
int socket_made(struct bpf_sock *sk)
{
	struct socket_state *socket;
	const struct owner *owner;
	__u32 slot;

	owner = caller(&slot);
	if (!owner)
		return 1;
	socket = bpf_sk_storage_get(&sockets, sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
	if (socket)
		socket->owner = *owner;
	else
		count_loss(slot, LOSS_STORAGE, PLACE_NETWORK, 1);
	return 1;
}

// --- TCP: the socket says whose it is ---------------------------------------------------------

static __always_inline void socket_flow(const struct sock *sk, struct flow_key *key)
{
	key->family = sk->__sk_common.skc_family;
	key->type = SOCK_STREAM;
	key->protocol = IPPROTO_TCP;
	key->window = window;
	if (key->family == AF_INET) {
		put_v4(key->peer_addr, sk->__sk_common.skc_daddr);
		put_v4(key->local_addr, sk->__sk_common.skc_rcv_saddr);
	} else {
		bpf_core_read(key->peer_addr, 16, &sk->__sk_common.skc_v6_daddr);
		bpf_core_read(key->local_addr, 16, &sk->__sk_common.skc_v6_rcv_saddr);
	}
}

// An owner that user space forgot: its socket outlived it, in other hands or until a peer that
// never answers was given up. A slot would be for nobody.
static __noinline bool is_forgotten(const struct owner *owner)
{
	struct instance_key instance = {};
	struct slot_key runtime = {};

	if (!owner)
		return true;
	instance.cgroup_id = runtime.cgroup_id = owner->cgroup_id;
	instance.mntns = runtime.mntns = owner->mntns;
	runtime.phase = PHASE_RUNTIME;
	return !bpf_map_lookup_elem(&instances, &instance) &&
	       !bpf_map_lookup_elem(&slots, &runtime);
}

#endif
