// SPDX-License-Identifier: GPL-2.0
// UNIX sockets by the address that the kernel keeps with them, or by the one that was asked for.
#ifndef ETHOGRAM_UNIX_H
#define ETHOGRAM_UNIX_H

#include "network.h"
#include "path.h"

#define AF_UNIX 1
#define SOCKFS_MAGIC 0x534f434b
#define FAMILY_SIZE 2

static __always_inline struct sock *socket_of_file(struct file *file)
{
	struct inode *inode;
	void *socket;

	if (!file)
		return NULL;
	inode = PEEK(file, file, f_inode);
	if (PEEK2(inode, inode, i_sb, s_magic) != SOCKFS_MAGIC)
		return NULL;
	socket = PEEK(file, file, private_data);
	return PEEK(socket, socket, sk);
}

static __always_inline struct sock *socket_at(__u64 fd)
{
	return socket_of_file(file_of(bpf_get_current_task_btf(), (__u32)fd));
}

static __always_inline __u16 family_of(struct sock *sk)
{
	return sk ? PEEK(sock, sk, __sk_common.skc_family) : 0;
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
	address = PEEK(unix_sock, sk, addr);
	if (!address)
		return false;
	size = PEEK(unix_address, address, len);
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
	struct flow_use *use, fresh = {};
	bool is_first;

	if (is_passed(passes_unix, &passed_unix, key, &key->window)) {
		if (key->direction == DIRECTION_OUT)
			count_passed_connect(key->slot);
		return;
	}
	use = bpf_map_lookup_elem(&unix_flows, key);
	is_first = !use;
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
	if (is_first)
		tell_unix(key);
}

static __always_inline void count_named(struct task_state *state, struct sock *sk,
					struct unix_key *key)
{
	key->type = PEEK(sock, sk, sk_type);
	key->exe_key = state->owner.exe_key;
	key->slot = state->slot;
	key->window = window;
	count_unix(key, PEEK(sock, sk, __sk_common.skc_cookie.counter));
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
