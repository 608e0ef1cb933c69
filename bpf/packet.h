// SPDX-License-Identifier: GPL-2.0
// Where the transport header of a packet is.
#ifndef ETHOGRAM_PACKET_H
#define ETHOGRAM_PACKET_H

#include "network.h"

#define IPPROTO_HOPOPTS 0
#define IPPROTO_ROUTING 43
#define IPPROTO_FRAGMENT 44
#define IPPROTO_DSTOPTS 60
#define EXTENSION_HEADERS 6

struct transport {
	__u32 family;
	__u32 offset;
	__u32 protocol;
	__u8 source[16];
};

// Where the transport header begins, behind what IPv6 puts before it. False for a later fragment:
// it has none.
static __always_inline bool find_v6_transport(struct __sk_buff *skb, struct transport *found)
{
	__u8 protocol, header[8];

	if (bpf_skb_load_bytes(skb, 6, &protocol, 1) ||
	    bpf_skb_load_bytes(skb, 8, found->source, 16))
		return false;
	found->offset = 40;
	for (int i = 0; i < EXTENSION_HEADERS; i++) {
		if (protocol != IPPROTO_HOPOPTS && protocol != IPPROTO_ROUTING &&
		    protocol != IPPROTO_FRAGMENT && protocol != IPPROTO_DSTOPTS)
			break;
		if (bpf_skb_load_bytes(skb, found->offset, header, sizeof(header)) ||
		    (protocol == IPPROTO_FRAGMENT && (header[2] || header[3] & 0xf8)))
			return false;
		found->offset += protocol == IPPROTO_FRAGMENT ? 8 : (header[1] + 1) * 8;
		protocol = header[0];
	}
	found->family = AF_INET6;
	found->protocol = protocol;
	return true;
}

static __always_inline bool find_transport(struct __sk_buff *skb, struct transport *found)
{
	__u8 first, protocol;

	if (bpf_skb_load_bytes(skb, 0, &first, 1))
		return false;
	if (first >> 4 != 4)
		return find_v6_transport(skb, found);
	if (bpf_skb_load_bytes(skb, 9, &protocol, 1) ||
	    bpf_skb_load_bytes(skb, 12, found->source, 4))
		return false;
	found->offset = (first & 15) * 4;
	found->family = AF_INET;
	found->protocol = protocol;
	return true;
}

#endif
