// SPDX-License-Identifier: GPL-2.0
// TCP by its own states: who listens, who came, what began, and how many bytes when it ended.
#ifndef ETHOGRAM_TCP_H
#define ETHOGRAM_TCP_H

#include "network.h"

#define TCP_FIN_WAIT1 4
#define TCP_FIN_WAIT2 5
#define TCP_TIME_WAIT 6
#define TCP_LAST_ACK 9
#define TCP_CLOSING 11
#define SOCK_DONE 1 // of enum sock_flags: the other side's FIN is here

static __always_inline bool is_same_address(const __u8 *one, const __u8 *other)
{
	const __u64 *a = (const __u64 *)one, *b = (const __u64 *)other;

	return a[0] == b[0] && a[1] == b[1];
}

// Where a connection goes when a cgroup program that runs after ours sends it elsewhere than it was
// asked to, as those of cluster networks do for services: the socket has the address that the last
// of them left. The connection counts as one to the asked address by way of this one, and no more as
// one without. What runs before ours leaves no trace of what was asked, and what netfilter does
// afterwards is in no socket.
static __noinline int begins(const struct sock *sk, struct socket_state *socket)
{
	struct flow_key real = {}, key;
	struct flow_use *before, *use;

	if (!sk || !socket)
		return 0;
	key = socket->asked;
	socket->is_translated = 0;
	if (!key.peer_port)
		return 0;
	socket_flow(sk, &real);
	fold_mapped(&real);
	real.peer_port = bpf_ntohs(sk->__sk_common.skc_dport);
	if (real.peer_port == key.peer_port && is_same_address(real.peer_addr, key.peer_addr))
		return 0;
	before = bpf_map_lookup_elem(&flows, &key);
	__builtin_memcpy(key.nat_addr, real.peer_addr, sizeof(key.nat_addr));
	key.nat_port = real.peer_port;
	use = flow_of(&key);
	if (!use)
		return 0;
	if (!use->cookie)
		use->cookie = bpf_get_socket_cookie((void *)sk);
	if (before && before->connections) {
		__sync_fetch_and_add(&before->connections, -1);
		__sync_fetch_and_add(&use->connections, 1);
	}
	socket->is_translated = 1;
	return 0;
}

static __always_inline bool is_loopback(const struct flow_key *key, const __u8 *address)
{
	if (key->family == AF_INET)
		return address[0] == 127;
	return !*(__u64 *)address && *(__u64 *)(address + 8) == bpf_cpu_to_be64(1);
}

// This side began the connection, and it stands: the other end may be on this host as well.
static __noinline int connected(const struct sock *sk, __u64 cookie)
{
	struct flow_key key = {};
	struct end end = {};

	if (!sk)
		return 0;
	socket_flow(sk, &key);
	fold_mapped(&key);
	end.client_port = sk->__sk_common.skc_num;
	end.server_port = bpf_ntohs(sk->__sk_common.skc_dport);
	__builtin_memcpy(end.client_addr, key.local_addr, 16);
	__builtin_memcpy(end.server_addr, key.peer_addr, 16);
	if (is_loopback(&key, end.client_addr))
		end.netns = PEEK2(sock, sk, __sk_common.skc_net.net, ns.inum);
	bpf_map_update_elem(&ends, &end, &cookie, BPF_ANY);
	return 0;
}

// Somebody else began it. Returns the cookie of its socket where that was recorded too.
static __noinline __u64 began_by(const struct sock *sk)
{
	struct flow_key key = {};
	struct end end = {};
	__u64 *found, cookie;

	if (!sk)
		return 0;
	socket_flow(sk, &key);
	fold_mapped(&key);
	end.client_port = bpf_ntohs(sk->__sk_common.skc_dport);
	end.server_port = sk->__sk_common.skc_num;
	__builtin_memcpy(end.client_addr, key.peer_addr, 16);
	__builtin_memcpy(end.server_addr, key.local_addr, 16);
	if (is_loopback(&key, end.client_addr))
		end.netns = PEEK2(sock, sk, __sk_common.skc_net.net, ns.inum);
	found = bpf_map_lookup_elem(&ends, &end);
	if (!found)
		return 0;
	cookie = *found;
	bpf_map_delete_elem(&ends, &end);
	return cookie;
}

// This side has sent its FIN.
static __always_inline bool is_closing(int state)
{
	return state == TCP_FIN_WAIT1 || state == TCP_FIN_WAIT2 || state == TCP_TIME_WAIT ||
	       state == TCP_CLOSING || state == TCP_LAST_ACK;
}

static __always_inline void tcp_closed(const struct sock *sk, struct flow_key *key,
				       struct socket_state *socket, int old_state)
{
	__u64 sent = PEEK(tcp_sock, sk, bytes_acked), received = PEEK(tcp_sock, sk, bytes_received);
	struct flow_use *use;

	if (socket->is_inbound) {
		key->direction = DIRECTION_IN;
		key->local_port = socket->local_port;
	} else {
		key->direction = DIRECTION_OUT;
		key->peer_port = bpf_ntohs(sk->__sk_common.skc_dport);
		if (!key->peer_port)
			return; // it never was connected
		__builtin_memset(key->local_addr, 0, 16);
	}
	fold_mapped(key);
	if (key->direction == DIRECTION_OUT) {
		__builtin_memset(key->local_addr, 0, 16);
		if (socket->is_translated) {
			__builtin_memcpy(key->nat_addr, key->peer_addr, sizeof(key->nat_addr));
			__builtin_memcpy(key->peer_addr, socket->asked.peer_addr,
					 sizeof(key->peer_addr));
			key->nat_port = key->peer_port;
			key->peer_port = socket->asked.peer_port;
		}
	}
	if (is_passed(passes_flows, &passed_flows, key, &key->window))
		return;
	use = flow_of(key);
	if (!use)
		return;
	// The kernel counts what it numbers: this side's SYN where it began, and either side's FIN.
	if (sent && !socket->is_inbound)
		sent--;
	if (sent && is_closing(old_state) &&
	    PEEK(tcp_sock, sk, snd_una) == PEEK(tcp_sock, sk, write_seq))
		sent--;
	if (received && PEEK(sock, sk, __sk_common.skc_flags) & (1 << SOCK_DONE))
		received--;
	__sync_fetch_and_add(&use->tx_bytes, sent);
	__sync_fetch_and_add(&use->rx_bytes, received);
}

SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(tcp_state_set, const struct sock *sk, int old_state, int new_state)
{
	struct flow_key key = {};
	struct socket_state *socket;
	__u64 peer_cookie = 0;
	__u32 phase;

	if (!armed || sk->sk_protocol != IPPROTO_TCP)
		return 0;
	if (new_state != TCP_LISTEN && new_state != TCP_CLOSE && new_state != TCP_ESTABLISHED &&
	    new_state != TCP_SYN_SENT)
		return 0;
	socket = bpf_sk_storage_get(&sockets, (struct sock *)sk, 0, 0);
	if (new_state == TCP_SYN_SENT) {
		if (socket)
			begins(sk, socket);
		return 0;
	}
	if (new_state == TCP_ESTABLISHED && old_state != TCP_SYN_RECV) {
		if (socket && old_state == TCP_SYN_SENT)
			connected(sk, bpf_get_socket_cookie((void *)sk));
		return 0;
	}
	if (!socket || (new_state == TCP_CLOSE && is_forgotten(&socket->owner)))
		return 0;
	phase = phase_of(&socket->owner);
	key.slot = slot_of(0, &socket->owner, phase);
	key.exe_key = socket->owner.exe_key;
	socket_flow(sk, &key);
	if (new_state == TCP_CLOSE) {
		if (old_state != TCP_LISTEN)
			tcp_closed(sk, &key, socket, old_state);
		return 0;
	}
	// The kernel's choice is another one next time.
	key.local_port = socket->is_bound ? sk->__sk_common.skc_num : 0;
	key.direction = new_state == TCP_LISTEN ? DIRECTION_LISTEN : DIRECTION_IN;
	if (new_state == TCP_ESTABLISHED) {
		socket->is_inbound = 1;
		socket->local_port = key.local_port;
		peer_cookie = began_by(sk);
	}
	count_joined(&key, bpf_get_socket_cookie((void *)sk), peer_cookie);
	// The end of the call says it too, where calls are seen to end.
	if (new_state == TCP_LISTEN && phase == PHASE_STARTUP)
		now_steady(&socket->owner);
	return 0;
}

#endif
