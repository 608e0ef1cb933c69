// SPDX-License-Identifier: Apache-2.0
// Sockets for known: each function says in its comment which calls it makes.
#ifndef KNOWN_NETWORK_H
#define KNOWN_NETWORK_H

#include "raw.h"

#define INET 2
#define INET6 10
#define UNIX 1
#define STREAM 1
#define DATAGRAM 2
#define CLOEXEC 02000000

struct address {
	uint16_t family, port;
	union {
		struct {
			uint32_t v4;
			uint8_t zero[8];
		};
		struct {
			uint32_t flow;
			uint8_t v6[16];
			uint32_t scope;
		};
		char path[108];
	};
	uint32_t size;
};

static int listener = -1;

// How calls of sockets are made: natively, or through int 0x80 by their numbers or by socketcall().
enum table { NATIVE, DIRECT, MULTIPLEXED };
static enum table socket_table;
// This program is linked to lie below 4 GiB, where i386's pointers reach.
static uint32_t low_words[6];
static char low_bytes[2][512];

struct socket_number {
	long native, direct, multiplexed;
};

static const struct socket_number socket_numbers[] = {
	{SYS_socket, 359, 1}, {SYS_bind, 361, 2},	{SYS_connect, 362, 3}, {SYS_listen, 363, 4},
	{SYS_accept4, 364, 18}, {SYS_sendto, 369, 11}, {SYS_sendmsg, 370, 16},
	{SYS_sendmmsg, 345, 20},
};

static long low(int room, long pointer, long size)
{
	memcpy(low_bytes[room], (const void *)pointer, (size_t)size);
	return (long)low_bytes[room];
}

// Pointers are moved where the call's table reaches, but those of messages: they lie there.
static long socket_call(long nr, long a, long b, long c, long d, long e, long f)
{
	const struct socket_number *found = socket_numbers;
	long args[6], packed[6] = {0, (long)low_words, 0, 0, 0, 0};

	if (socket_table == NATIVE)
		return raw6(nr, a, b, c, d, e, f);
	while (found->native != nr)
		found++;
	if (nr == SYS_bind || nr == SYS_connect || nr == SYS_sendto)
		b = low(0, b, c);
	if (nr == SYS_sendto)
		e = low(1, e, f);
	args[0] = a, args[1] = b, args[2] = c, args[3] = d, args[4] = e, args[5] = f;
	if (socket_table == DIRECT)
		return raw_int80(found->direct, args);
	for (int i = 0; i < 6; i++)
		low_words[i] = (uint32_t)args[i];
	packed[0] = found->multiplexed;
	return raw_int80(102, packed);
}

// Four decimal parts with dots, network order; false when it is something else.
static int parse_v4(const char *text, uint8_t *out)
{
	for (int part = 0; part < 4; part++) {
		unsigned value = 0;
		int digits = 0;

		for (; *text >= '0' && *text <= '9' && digits < 3; text++, digits++)
			value = value * 10 + (unsigned)(*text - '0');
		if (!digits || value > 255 || *text != (part < 3 ? '.' : 0))
			return 0;
		out[part] = (uint8_t)value;
		text++;
	}
	return 1;
}

static unsigned hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return (unsigned)(c - '0');
	if (c >= 'a' && c <= 'f')
		return (unsigned)(c - 'a') + 10;
	return 16;
}

// Groups of lower-case hex, one `::`, and a dotted IPv4 end.
static int parse_v6(const char *text, uint8_t *out)
{
	uint8_t bytes[16] = {0};
	int size = 0, gap = -1;

	if (text[0] == ':' && text[1] == ':')
		gap = 0, text += 2;
	while (*text && size < 16) {
		unsigned value = 0;
		int digits = 0;

		if (size <= 12 && parse_v4(text, bytes + size)) {
			size += 4;
			text = "";
			break;
		}
		for (; hex_digit(*text) < 16 && digits < 4; text++, digits++)
			value = value * 16 + hex_digit(*text);
		if (!digits)
			return 0;
		bytes[size++] = (uint8_t)(value >> 8);
		bytes[size++] = (uint8_t)value;
		if (text[0] == ':' && text[1] == ':' && gap < 0)
			gap = size, text += 2;
		else if (text[0] == ':' && text[1])
			text++;
		else
			break;
	}
	if (*text || (gap < 0 && size != 16))
		return 0;
	if (gap < 0)
		gap = size;
	memset(out, 0, 16);
	memcpy(out, bytes, (size_t)gap);
	memcpy(out + 16 - (size - gap), bytes + gap, (size_t)(size - gap));
	return 1;
}

static struct address internet(int family, const char *host, const char *port)
{
	struct address at;
	long value = number(port);

	memset(&at, 0, sizeof(at));
	at.family = (uint16_t)family;
	at.port = (uint16_t)((value & 255) << 8 | (value >> 8 & 255));
	at.size = family == INET ? 16 : 28;
	if (family == INET ? !parse_v4(host, (uint8_t *)&at.v4) : !parse_v6(host, at.v6))
		usage_error(family == INET ? "not an IPv4 address" : "not an IPv6 address", host);
	return at;
}

// `@name` is an abstract name, anything else a path.
static struct address local(const char *path)
{
	struct address at;
	size_t size = length_of(path);

	memset(&at, 0, sizeof(at));
	if (size >= sizeof(at.path) - 2)
		usage_error("longer than a unix address", path);
	at.family = UNIX;
	// struct sockaddr_un has its path where the port of the others is.
	memcpy((char *)&at + 2, path, size);
	if (path[0] == '@')
		((char *)&at)[2] = 0;
	at.size = (uint32_t)(2 + size + (path[0] != '@'));
	return at;
}

// socket, connect, close. Returns what connect() returned.
static long do_connect(const struct address *to)
{
	long fd = socket_call(SYS_socket, to->family, STREAM | CLOEXEC, 0, 0, 0, 0);
	long ret;

	if (fd < 0)
		return fd;
	ret = socket_call(SYS_connect, fd, (long)to, to->size, 0, 0, 0);
	raw(SYS_close, fd);
	return ret;
}

// socket, setsockopt (SO_REUSEADDR), bind, listen; the socket stays open for `accept`.
static long do_listen(const struct address *at)
{
	int one = 1;
	long ret, fd = socket_call(SYS_socket, at->family, STREAM | CLOEXEC, 0, 0, 0, 0);

	if (fd < 0)
		return fd;
	raw(SYS_setsockopt, fd, 1, 2, &one, sizeof(one));
	ret = socket_call(SYS_bind, fd, (long)at, at->size, 0, 0, 0);
	if (ret == 0)
		ret = socket_call(SYS_listen, fd, 1024, 0, 0, 0, 0);
	listener = (int)fd;
	return ret;
}

// accept4 and close, for each.
static long do_accept(long times)
{
	long ret = 0;

	while (times-- > 0) {
		ret = socket_call(SYS_accept4, listener, 0, 0, CLOEXEC, 0, 0);
		if (ret >= 0)
			raw(SYS_close, ret);
	}
	return ret;
}

// socket, sendto, close. Returns what sendto() returned.
static long do_udp(const struct address *to, const char *text)
{
	long ret, fd = socket_call(SYS_socket, to->family, DATAGRAM | CLOEXEC, 0, 0, 0, 0);

	if (fd < 0)
		return fd;
	ret = socket_call(SYS_sendto, fd, (long)text, (long)length_of(text), 0, (long)to, to->size);
	raw(SYS_close, fd);
	return ret;
}

struct message {
	uint64_t name;
	uint32_t name_size, pad, rest[11], size;
};

struct low_message {
	uint32_t name, name_size, rest[5], size;
};

#define MESSAGES 24

// socket, sendmmsg of N empty messages (sendmsg for one), close; `#` in the path is a letter, from a on.
static long do_messages(const char *path, long count)
{
	static struct message messages[MESSAGES];
	static struct low_message low_messages[MESSAGES];
	static struct address to[MESSAGES];
	long at = socket_table == NATIVE ? (long)messages : (long)low_messages;
	long ret, fd = socket_call(SYS_socket, UNIX, DATAGRAM | CLOEXEC, 0, 0, 0, 0);

	if (fd < 0 || count > MESSAGES)
		return fd;
	for (int i = 0; i < count; i++) {
		to[i] = local(path);
		for (char *c = (char *)&to[i] + 3; *c; c++)
			*c = *c == '#' ? (char)('a' + i) : *c;
		messages[i].name = (uint64_t)&to[i];
		low_messages[i].name = (uint32_t)(uint64_t)&to[i];
		messages[i].name_size = low_messages[i].name_size = to[i].size;
	}
	if (count == 1)
		ret = socket_call(SYS_sendmsg, fd, at, 0, 0, 0, 0);
	else
		ret = socket_call(SYS_sendmmsg, fd, at, count, 0, 0, 0);
	raw(SYS_close, fd);
	return ret;
}

// socket, bind, then recvfrom and sendto (the same bytes back) for each, close.
static long do_udp_serve(const struct address *at, long times)
{
	char bytes[2048];
	long ret, fd = raw(SYS_socket, at->family, DATAGRAM | CLOEXEC, 0);

	if (fd < 0)
		return fd;
	ret = raw(SYS_bind, fd, at, at->size);
	while (ret >= 0 && times-- > 0) {
		struct address peer;
		uint32_t size = sizeof(peer);

		ret = raw(SYS_recvfrom, fd, bytes, sizeof(bytes), 0, &peer, &size);
		if (ret >= 0)
			ret = raw(SYS_sendto, fd, bytes, ret, 0, &peer, size);
	}
	raw(SYS_close, fd);
	return ret;
}

#endif
