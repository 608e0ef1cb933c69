// SPDX-License-Identifier: GPL-2.0
// DNS: a reply carries the question and the answers, so that an address has the name it was asked
// for. Put together and parsed in user space: the payload is hostile.
#ifndef ETHOGRAM_DNS_H
#define ETHOGRAM_DNS_H

#include "packet.h"

#define DNS_PORT 53
// Of one packet, which may be as long as 64 KiB where the device puts segments together.
#define SEGMENT_PARTS 6

struct packet {
	struct packet_record head;
	__u8 payload[PACKET_SIZE];
};

// The name that was asked for follows the header, and ends with a zero.
static __always_inline __u64 hash_of_question(struct packet *packet)
{
	__u64 hash = FIBONACCI;

	for (int i = 12; i < 76; i++) {
		if (!packet->payload[i])
			break;
		hash = mix(hash, packet->payload[i]);
	}
	return hash;
}

// Sends what is at *offset* as one record. Returns its size, 0 where it could not be sent.
__noinline int send_packet(struct __sk_buff *skb, struct packet_record *head, __u32 offset)
{
	struct packet *packet;
	__u64 hash, size = skb->len - offset;

	if (!head || size == 0 || skb->len <= offset ||
	    !take_quota(head->slot, QUOTA_PACKETS, quota_packets, PLACE_DNS))
		return 0;
	packet = bpf_ringbuf_reserve(&packets, sizeof(*packet), 0);
	if (!packet) {
		count_loss(head->slot, LOSS_RING_FULL, PLACE_DNS, 1);
		return 0;
	}
	KEEP_WITHIN(size, 1, PACKET_SIZE);
	head->payload_size = size;
	__builtin_memcpy(&packet->head, head, sizeof(*head));
	if (bpf_skb_load_bytes(skb, offset, packet->payload, size)) {
		bpf_ringbuf_discard(packet, BPF_RB_NO_WAKEUP);
		count_loss(head->slot, LOSS_READ_FAULT, PLACE_DNS, 1);
		return 0;
	}
	hash = tells_news ? hash_of_question(packet) : 0;
	bpf_ringbuf_submit(packet, BPF_RB_NO_WAKEUP);
	tell_record(head->slot, NEWS_PACKET, hash);
	return size;
}

static __always_inline bool begin_packet(struct __sk_buff *skb, struct bpf_sock *sk,
					 struct transport *transport, struct packet_record *head)
{
	struct socket_state *socket = bpf_sk_storage_get(&sockets, sk, 0, 0);

	if (!socket || is_forgotten(&socket->owner))
		return false;
	head->time_ns = bpf_ktime_get_boot_ns();
	head->exe_key = socket->owner.exe_key;
	head->cookie = bpf_get_socket_cookie(skb);
	head->slot = slot_of(0, &socket->owner, phase_of(&socket->owner));
	head->window = window;
	head->family = transport->family;
	__builtin_memcpy(head->resolver, transport->source, 16);
	return true;
}

// A part of a stream. Where it stands in the stream follows from what the socket has taken so far:
// the packet has not reached it yet.
static __always_inline void segment_received(struct __sk_buff *skb, struct bpf_sock *sk,
					     struct transport *transport)
{
	struct packet_record head = { .kind = RECORD_SEGMENT };
	struct bpf_tcp_sock *tcp = bpf_tcp_sock(sk);
	__u32 offset, size;
	__be32 sequence;
	__u8 words;

	if (!tcp || bpf_skb_load_bytes(skb, transport->offset + 4, &sequence, 4) ||
	    bpf_skb_load_bytes(skb, transport->offset + 12, &words, 1))
		return;
	offset = transport->offset + (words >> 4) * 4;
	if (skb->len <= offset || !begin_packet(skb, sk, transport, &head))
		return;
	head.position = bpf_ntohl(sequence) - tcp->rcv_nxt + (__u32)tcp->bytes_received;
	for (int i = 0; i < SEGMENT_PARTS && offset < skb->len; i++) {
		size = send_packet(skb, &head, offset);
		if (!size)
			return;
		offset += size;
		head.position += size;
	}
	if (offset < skb->len)
		count_loss(head.slot, LOSS_TRUNCATED, PLACE_DNS, 1);
}

// Most packets come from elsewhere: their headers, where they are plain and at hand, say so without
// a helper's call. False where they do not say it.
static __always_inline bool is_from_elsewhere(struct __sk_buff *skb)
{
	const __u8 *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	__u8 protocol;
	__be16 port;

	if (data + 22 <= end && data[0] == 0x45) { // version 4, without options
		protocol = data[9];
		port = *(__be16 *)(data + 20);
	} else if (data + 42 <= end && data[0] >> 4 == 6) {
		protocol = data[6];
		port = *(__be16 *)(data + 40);
	} else {
		return false;
	}
	return (protocol == IPPROTO_UDP || protocol == IPPROTO_TCP) && port != bpf_htons(DNS_PORT);
}

SEC("cgroup_skb/ingress")
int packet_received(struct __sk_buff *skb)
{
	struct packet_record head = { .kind = RECORD_PACKET };
	struct transport transport = {};
	struct bpf_sock *sk = skb->sk;
	__be16 port;

	if (!armed || !sk || is_from_elsewhere(skb) || !find_transport(skb, &transport))
		return 1;
	if (transport.protocol != IPPROTO_UDP && transport.protocol != IPPROTO_TCP)
		return 1;
	if (bpf_skb_load_bytes(skb, transport.offset, &port, 2) || port != bpf_htons(DNS_PORT))
		return 1;
	sk = bpf_sk_fullsock(sk);
	if (!sk)
		return 1;
	if (transport.protocol == IPPROTO_TCP) {
		segment_received(skb, sk, &transport);
		return 1;
	}
	transport.offset += 8;
	if (begin_packet(skb, sk, &transport, &head) &&
	    send_packet(skb, &head, transport.offset) == PACKET_SIZE &&
	    skb->len - transport.offset > PACKET_SIZE)
		count_loss(head.slot, LOSS_TRUNCATED, PLACE_DNS, 1);
	return 1;
}

#endif
