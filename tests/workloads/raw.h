// SPDX-License-Identifier: Apache-2.0
// System calls without a C library, so that a process makes the calls it was asked for and no other.
#ifndef KNOWN_RAW_H
#define KNOWN_RAW_H

#ifndef __x86_64__
#error "known is written for x86-64: its raw calls, int 0x80 and x32 are of that machine"
#endif

#include <linux/fcntl.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <linux/signal.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/syscall.h>

#define X32_BIT 0x40000000L

static char **environment;
// Strict mode kills exit_group(), so the end of the process asks for exit() then.
static int is_strict;

static long raw6(long nr, long a, long b, long c, long d, long e, long f)
{
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = e;
	register long r9 __asm__("r9") = f;
	long ret;

	__asm__ volatile("syscall"
			 : "=a"(ret)
			 : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	return ret;
}

#define RAW_1(nr) raw6(nr, 0, 0, 0, 0, 0, 0)
#define RAW_2(nr, a) raw6(nr, (long)(a), 0, 0, 0, 0, 0)
#define RAW_3(nr, a, b) raw6(nr, (long)(a), (long)(b), 0, 0, 0, 0)
#define RAW_4(nr, a, b, c) raw6(nr, (long)(a), (long)(b), (long)(c), 0, 0, 0)
#define RAW_5(nr, a, b, c, d) raw6(nr, (long)(a), (long)(b), (long)(c), (long)(d), 0, 0)
#define RAW_6(nr, a, b, c, d, e) \
	raw6(nr, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), 0)
#define RAW_7(nr, a, b, c, d, e, f) \
	raw6(nr, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), (long)(f))
#define RAW_PICK(a, b, c, d, e, f, g, name, ...) name
#define raw(...) \
	RAW_PICK(__VA_ARGS__, RAW_7, RAW_6, RAW_5, RAW_4, RAW_3, RAW_2, RAW_1, 0)(__VA_ARGS__)

// The i386 entry of a 64-bit process: numbers and argument registers are i386's.
static long raw_int80(long nr, const long *args)
{
	long ret;

	__asm__ volatile("push %%rbp\n\tmov %7, %%rbp\n\tint $0x80\n\tpop %%rbp"
			 : "=a"(ret)
			 : "a"(nr), "b"(args[0]), "c"(args[1]), "d"(args[2]), "S"(args[3]),
			   "D"(args[4]), "r"(args[5])
			 : "r8", "r9", "r10", "r11", "memory");
	return ret;
}

// The child of vfork() runs on its parent's stack: the return address must not be there.
long raw_vfork(void) __attribute__((returns_twice));
__asm__(".globl raw_vfork\nraw_vfork:\n\tpop %rdx\n\tmov $58, %eax\n\tsyscall\n\tpush %rdx\n\tret\n");

// Runs function(argument) in a clone with a stack of its own, then exit(0) of that thread alone.
long raw_clone(long flags, void *stack_top, void (*function)(void *), void *argument);
__asm__(".globl raw_clone\nraw_clone:\n\tmov %rdx, %r8\n\tmov %rcx, %r9\n\txor %edx, %edx\n\t"
	"xor %r10d, %r10d\n\tmov $56, %eax\n\tsyscall\n\ttest %rax, %rax\n\tjz 1f\n\tret\n"
	"1:\txor %ebp, %ebp\n\tmov %r9, %rdi\n\tcall *%r8\n\txor %edi, %edi\n\tmov $60, %eax\n\t"
	"syscall\n");

void raw_sigreturn(void);
__asm__(".globl raw_sigreturn\nraw_sigreturn:\n\tmov $15, %eax\n\tsyscall\n");

void *memset(void *to, int byte, size_t size)
{
	for (unsigned char *at = to; size--; at++)
		*at = (unsigned char)byte;
	return to;
}

void *memcpy(void *to, const void *from, size_t size)
{
	for (size_t i = 0; i < size; i++)
		((char *)to)[i] = ((const char *)from)[i];
	return to;
}

static size_t length_of(const char *text)
{
	size_t size = 0;

	while (text[size])
		size++;
	return size;
}

static int same(const char *a, const char *b)
{
	while (*a && *a == *b)
		a++, b++;
	return *a == *b;
}

static void say(int fd, const char *text)
{
	raw(SYS_write, fd, text, length_of(text));
}

static __attribute__((noreturn)) void leave(long code)
{
	raw(is_strict ? SYS_exit : SYS_exit_group, code);
	__builtin_trap();
}

static __attribute__((noreturn)) void usage_error(const char *what, const char *word)
{
	say(2, "error: ");
	say(2, what);
	say(2, ": `");
	say(2, word);
	say(2, "`\n\nhint: see `known --help`\n");
	leave(2);
}

// Decimal, 0x hexadecimal or 0 octal, with an optional minus.
static long number(const char *text)
{
	const char *at = text;
	unsigned long value = 0;
	unsigned base = 10;
	int is_negative = *at == '-';

	at += is_negative;
	if (at[0] == '0' && at[1] == 'x')
		base = 16, at += 2;
	else if (at[0] == '0' && at[1])
		base = 8, at++;
	if (!*at)
		usage_error("not a number", text);
	for (; *at; at++) {
		unsigned digit = *at >= 'a' ? (unsigned)(*at - 'a') + 10 : (unsigned)(*at - '0');

		if (digit >= base)
			usage_error("not a number", text);
		value = value * base + digit;
	}
	return is_negative ? -(long)value : (long)value;
}

static char *put_number(char *at, long value)
{
	char digits[24];
	int size = 0;
	unsigned long rest = value < 0 ? -(unsigned long)value : (unsigned long)value;

	if (value < 0)
		*at++ = '-';
	do {
		digits[size++] = (char)('0' + rest % 10);
	} while (rest /= 10);
	while (size)
		*at++ = digits[--size];
	*at = 0;
	return at;
}

#endif
