// SPDX-License-Identifier: GPL-2.0
// Standard streams: what kind of file each is, and whom a socket talks to.
#ifndef ETHOGRAM_STDIO_H
#define ETHOGRAM_STDIO_H

#include "unix.h"
#include "path.h"

#define MAJOR(dev) ((dev) >> 20)
#define MINOR(dev) ((dev) & 0xfffff)
#define TTY_MAJOR 4
#define TTYAUX_MAJOR 5
#define PTS_MAJOR_FIRST 136
#define PTS_MAJOR_LAST 143

__noinline int stdio_of(__u64 address)
{
	struct file *file = (void *)address;
	struct inode *inode;
	__u32 mode, device;

	if (!file)
		return STDIO_CLOSED;
	inode = BPF_CORE_READ(file, f_inode);
	mode = BPF_CORE_READ(inode, i_mode) & S_IFMT;
	if (mode == S_IFSOCK)
		return STDIO_SOCKET;
	if (mode == S_IFIFO)
		return STDIO_PIPE;
	if (mode == S_IFREG)
		return STDIO_FILE;
	if (mode != S_IFCHR)
		return STDIO_OTHER;
	device = BPF_CORE_READ(inode, i_rdev);
	if (MAJOR(device) == 1 && MINOR(device) == 3)
		return STDIO_NULL;
	if (MAJOR(device) == TTY_MAJOR || MAJOR(device) == TTYAUX_MAJOR ||
	    (MAJOR(device) >= PTS_MAJOR_FIRST && MAJOR(device) <= PTS_MAJOR_LAST))
		return STDIO_TTY;
	return STDIO_OTHER;
}

static __always_inline void put_addresses(struct stdio_peer *peer, struct sock *sk)
{
	__u32 address;

	peer->local_port = BPF_CORE_READ(sk, __sk_common.skc_num);
	peer->peer_port = bpf_ntohs(BPF_CORE_READ(sk, __sk_common.skc_dport));
	if (peer->family == AF_INET6) {
		bpf_core_read(peer->local_addr, 16, &sk->__sk_common.skc_v6_rcv_saddr);
		bpf_core_read(peer->peer_addr, 16, &sk->__sk_common.skc_v6_daddr);
		if (!is_v4_mapped(peer->peer_addr))
			return;
		peer->family = AF_INET;
		__builtin_memset(peer->local_addr, 0, 16);
		__builtin_memset(peer->peer_addr, 0, 16);
	}
	address = BPF_CORE_READ(sk, __sk_common.skc_rcv_saddr);
	__builtin_memcpy(peer->local_addr, &address, 4);
	address = BPF_CORE_READ(sk, __sk_common.skc_daddr);
	__builtin_memcpy(peer->peer_addr, &address, 4);
}

// The name of the other end, where it has one, says more than one's own: it is what listens.
static __always_inline struct unix_address *unix_address_of(struct sock *sk)
{
	struct unix_sock *own = (void *)sk, *other = (void *)BPF_CORE_READ(own, peer);
	struct unix_address *address = other ? BPF_CORE_READ(other, addr) : NULL;

	return address ? address : BPF_CORE_READ(own, addr);
}

__noinline int append_peer(__u64 address, __u32 fd, struct process_record *record, __u32 *position)
{
	struct file *file = (void *)address;
	struct scratch *scratch = scratch_of();
	struct stdio_peer peer = { .fd = fd };
	struct unix_address *name = NULL;
	struct socket *socket;
	struct sock *sk;
	__u32 size = 0;

	if (!scratch || !file || !record || !position)
		return 0;
	socket = BPF_CORE_READ(file, private_data);
	sk = BPF_CORE_READ(socket, sk);
	if (!sk)
		return 0;
	peer.type = BPF_CORE_READ(socket, type);
	peer.family = BPF_CORE_READ(sk, __sk_common.skc_family);
	if (peer.family == AF_INET || peer.family == AF_INET6)
		put_addresses(&peer, sk);
	if (peer.family == AF_UNIX && bpf_core_type_exists(struct unix_sock))
		name = unix_address_of(sk);
	if (name) // its length counts the family
		size = BPF_CORE_READ(name, len) - sizeof(unsigned short);
	if (size > UNIX_PATH_SIZE)
		size = 0;
	peer.path_size = size;
	record->peers_size += append(scratch, position, &peer, sizeof(peer));
	if (size)
		record->peers_size += append(scratch, position, &name->name[0].sun_path, size);
	return 0;
}

static __always_inline void append_peers(struct task_struct *task, struct process_record *record,
					 __u32 *position)
{
	for (int fd = 0; fd < 3; fd++)
		if (record->stdio[fd] == STDIO_SOCKET)
			append_peer(file_address_of(task, fd), fd, record, position);
}

#endif
