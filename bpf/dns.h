// SPDX-License-Identifier: GPL-2.0
// DNS: a reply carries the question and the answers, so that an address has the name it was asked
// for. Parsed in user space: the payload is hostile.
#ifndef ETHOGRAM_DNS_H
#define ETHOGRAM_DNS_H

#include "network.h"

#define DNS_PORT 53

struct packet {
	struct packet_record head;
	__u8 payload[PACKET_SIZE];
};

static __always_inline int transport_of(struct __sk_buff *skb, __u32 *offset, __u8 *protocol,
					__u8 *source)
{
	__u8 first;

	if (bpf_skb_load_bytes(skb, 0, &first, 1))
		return 0;
	if (first >> 4 == 4) {
		*offset = (first & 15) * 4;
		if (bpf_skb_load_bytes(skb, 9, protocol, 1) ||
		    bpf_skb_load_bytes(skb, 12, source, 4))
			return 0;
		return AF_INET;
	}
	*offset = 40; // no extension headers: resolvers send none
	if (bpf_skb_load_bytes(skb, 6, protocol, 1) || bpf_skb_load_bytes(skb, 8, source, 16))
		return 0;
	return AF_INET6;
}

static __always_inline void send_packet(struct __sk_buff *skb, struct socket_state *socket,
					__u32 slot, __u32 offset, __u32 family,
					const __u8 *source)
{
	struct packet *packet;
	__u32 size = skb->len - offset;

	if (size == 0 || skb->len <= offset ||
	    !take_quota(slot, QUOTA_PACKETS, quota_packets, PLACE_DNS))
		return;
	packet = bpf_ringbuf_reserve(&packets, sizeof(*packet), 0);
	if (!packet) {
		count_loss(slot, LOSS_RING_FULL, PLACE_DNS, 1);
		return;
	}
	if (size > PACKET_SIZE) {
		size = PACKET_SIZE;
		count_loss(slot, LOSS_TRUNCATED, PLACE_DNS, 1);
	}
	packet->head.time_ns = bpf_ktime_get_boot_ns();
	packet->head.exe_key = socket->owner.exe_key;
	packet->head.cookie = bpf_get_socket_cookie(skb);
	packet->head.kind = RECORD_PACKET;
	packet->head.slot = slot;
	packet->head.window = window;
	packet->head.payload_size = size;
	packet->head.family = family;
	packet->head.pad = 0;
	__builtin_memcpy(packet->head.resolver, source, 16);
	asm volatile("" : "+r"(size));
	if (size < 1 || size > PACKET_SIZE ||
	    bpf_skb_load_bytes(skb, offset, packet->payload, size)) {
		bpf_ringbuf_discard(packet, BPF_RB_NO_WAKEUP);
		count_loss(slot, LOSS_READ_FAULT, PLACE_DNS, 1);
		return;
	}
	bpf_ringbuf_submit(packet, BPF_RB_NO_WAKEUP);
}

SEC("cgroup_skb/ingress")
int packet_received(struct __sk_buff *skb)
{
	__u8 protocol, source[16] = {};
	struct socket_state *socket;
	struct bpf_sock *sk = skb->sk;
	__u32 offset, slot;
	__be16 port;
	int family;

	if (!armed || !sk)
		return 1;
	family = transport_of(skb, &offset, &protocol, source);
	if (!family || protocol != IPPROTO_UDP ||
	    bpf_skb_load_bytes(skb, offset, &port, 2) || port != bpf_htons(DNS_PORT))
		return 1;
	sk = bpf_sk_fullsock(sk);
	if (!sk)
		return 1;
	socket = bpf_sk_storage_get(&sockets, sk, 0, 0);
	if (!socket || is_forgotten(&socket->owner))
		return 1;
	slot = slot_of(NULL, &socket->owner, phase_of(&socket->owner));
	send_packet(skb, socket, slot, offset + 8, family, source);
	return 1;
}

#endif
