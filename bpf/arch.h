// SPDX-License-Identifier: GPL-2.0
// What differs by machine: call numbers, the call's own architecture, and its arguments.
#ifndef ETHOGRAM_ARCH_H
#define ETHOGRAM_ARCH_H

#include "events.h"
#include "kernel.h"

#if defined(__TARGET_ARCH_x86)

#define NATIVE_ARCH ARCH_X86_64
#define X32_BIT 0x40000000
#define TS_COMPAT 2

enum native_nr {
	NR_read = 0, NR_open = 2, NR_poll = 7, NR_mmap = 9, NR_mprotect = 10, NR_brk = 12,
	NR_rt_sigreturn = 15, NR_ioctl = 16, NR_select = 23, NR_mremap = 25, NR_shmat = 30, NR_dup = 32, NR_dup2 = 33, NR_pause = 34,
	NR_socket = 41, NR_connect = 42, NR_accept = 43, NR_sendto = 44, NR_sendmsg = 46,
	NR_bind = 49, NR_listen = 50, NR_clone = 56, NR_fork = 57,
	NR_vfork = 58, NR_execve = 59, NR_fcntl = 72, NR_truncate = 76, NR_ftruncate = 77, NR_rename = 82,
	NR_mkdir = 83, NR_rmdir = 84, NR_creat = 85, NR_link = 86, NR_unlink = 87, NR_symlink = 88,
	NR_chmod = 90, NR_fchmod = 91, NR_chown = 92, NR_fchown = 93, NR_lchown = 94,
	NR_ptrace = 101, NR_syslog = 103, NR_setuid = 105, NR_setgid = 106, NR_setreuid = 113,
	NR_setregid = 114, NR_setgroups = 116, NR_setresuid = 117, NR_setresgid = 119,
	NR_setfsuid = 122, NR_setfsgid = 123, NR_capset = 126, NR_rt_sigtimedwait = 128,
	NR_mknod = 133, NR_personality = 135, NR_pivot_root = 155, NR_prctl = 157, NR_chroot = 161,
	NR_settimeofday = 164, NR_mount = 165, NR_umount2 = 166, NR_swapon = 167,
	NR_swapoff = 168, NR_reboot = 169, NR_sethostname = 170, NR_setdomainname = 171,
	NR_init_module = 175, NR_delete_module = 176, NR_quotactl = 179, NR_setxattr = 188,
	NR_lsetxattr = 189, NR_fsetxattr = 190, NR_epoll_wait = 232, NR_clock_settime = 227,
	NR_kexec_load = 246, NR_add_key = 248, NR_request_key = 249, NR_keyctl = 250,
	NR_openat = 257, NR_mkdirat = 258, NR_mknodat = 259, NR_fchownat = 260, NR_unlinkat = 263,
	NR_renameat = 264, NR_linkat = 265, NR_symlinkat = 266, NR_fchmodat = 268,
	NR_pselect6 = 270, NR_ppoll = 271, NR_unshare = 272, NR_epoll_pwait = 281,
	NR_accept4 = 288, NR_dup3 = 292, NR_perf_event_open = 298, NR_sendmmsg = 307,
	NR_open_by_handle_at = 304, NR_setns = 308, NR_process_vm_writev = 311,
	NR_finit_module = 313, NR_renameat2 = 316, NR_seccomp = 317, NR_memfd_create = 319,
	NR_kexec_file_load = 320, NR_bpf = 321, NR_execveat = 322, NR_userfaultfd = 323,
	NR_pkey_mprotect = 329,
	NR_io_uring_setup = 425, NR_io_uring_enter = 426, NR_open_tree = 428, NR_move_mount = 429,
	NR_fsopen = 430, NR_fsmount = 432, NR_fspick = 433, NR_clone3 = 435,
	NR_openat2 = 437, NR_pidfd_getfd = 438, NR_epoll_pwait2 = 441, NR_mount_setattr = 442,
	NR_fchmodat2 = 452,
};

static __always_inline __u16 arch_of(struct task_struct *task, __u64 nr)
{
	if (task->thread_info.status & TS_COMPAT)
		return ARCH_I386;
	return nr & X32_BIT && (__s64)nr > 0 ? ARCH_X32 : ARCH_X86_64;
}

static __always_inline __u32 number_of(__u64 nr, __u16 arch)
{
	return arch == ARCH_X32 ? (__u32)nr & ~X32_BIT : (__u32)nr;
}

#define EXIT_NR(regs) ((__s64)(regs)->orig_ax)
#define ARG1(regs) ((regs)->di)
#define ARG2(regs) ((regs)->si)
#define ARG3(regs) ((regs)->dx)
#define ARG4(regs) ((regs)->r10)
#define ARG5(regs) ((regs)->r8)
#define ARG6(regs) ((regs)->r9)
// Of the 32-bit table, which a 64-bit process uses as well: `int $0x80`.
#define COMPAT_ARCH ARCH_I386
enum compat_nr {
	COMPAT_open = 5, COMPAT_creat = 8, COMPAT_execve = 11, COMPAT_openat = 295,
	COMPAT_execveat = 358, COMPAT_openat2 = 437,
	COMPAT_link = 9, COMPAT_unlink = 10, COMPAT_mknod = 14, COMPAT_chmod = 15,
	COMPAT_rename = 38, COMPAT_mkdir = 39, COMPAT_rmdir = 40, COMPAT_symlink = 83,
	COMPAT_truncate = 92, COMPAT_truncate64 = 193, COMPAT_lchown32 = 198, COMPAT_chown32 = 212,
	COMPAT_mkdirat = 296, COMPAT_mknodat = 297, COMPAT_fchownat = 298, COMPAT_unlinkat = 301,
	COMPAT_renameat = 302, COMPAT_linkat = 303, COMPAT_symlinkat = 304, COMPAT_fchmodat = 306,
	COMPAT_renameat2 = 353, COMPAT_fchmodat2 = 452,
	// accept() is there through socketcall() alone.
	COMPAT_socketcall = 102, COMPAT_sendmmsg = 345, COMPAT_socket = 359, COMPAT_bind = 361,
	COMPAT_connect = 362, COMPAT_listen = 363, COMPAT_accept4 = 364, COMPAT_sendto = 369,
	COMPAT_sendmsg = 370, COMPAT_accept = 100101,
};
#define COMPAT_ARG1(regs) ((__u32)(regs)->bx)
#define COMPAT_ARG2(regs) ((__u32)(regs)->cx)
#define COMPAT_ARG3(regs) ((__u32)(regs)->dx)
#define COMPAT_ARG4(regs) ((__u32)(regs)->si)
#define COMPAT_ARG5(regs) ((__u32)(regs)->di)
#define COMPAT_ARG6(regs) ((__u32)(regs)->bp)
// The native numbers of calls of that table which need privilege or are unusual, with arguments alike.
#define PAIR(compat, native) case compat: return native;
#define COMPAT_OPERATIONS \
	PAIR(15, NR_chmod) PAIR(14, NR_mknod) PAIR(21, NR_mount) PAIR(26, NR_ptrace) \
	PAIR(41, NR_dup) PAIR(52, NR_umount2) PAIR(55, NR_fcntl) PAIR(61, NR_chroot) \
	PAIR(63, NR_dup2) PAIR(74, NR_sethostname) PAIR(87, NR_swapon) PAIR(88, NR_reboot) \
	PAIR(94, NR_fchmod) PAIR(125, NR_mprotect) PAIR(128, NR_init_module) \
	PAIR(129, NR_delete_module) PAIR(172, NR_prctl) PAIR(192, NR_mmap) PAIR(213, NR_setuid) \
	PAIR(214, NR_setgid) PAIR(217, NR_pivot_root) PAIR(226, NR_setxattr) \
	PAIR(227, NR_lsetxattr) PAIR(228, NR_fsetxattr) PAIR(283, NR_kexec_load) \
	PAIR(286, NR_add_key) PAIR(287, NR_request_key) PAIR(288, NR_keyctl) PAIR(297, NR_mknodat) \
	PAIR(306, NR_fchmodat) PAIR(310, NR_unshare) PAIR(330, NR_dup3) \
	PAIR(336, NR_perf_event_open) PAIR(342, NR_open_by_handle_at) PAIR(346, NR_setns) \
	PAIR(348, NR_process_vm_writev) PAIR(350, NR_finit_module) PAIR(354, NR_seccomp) \
	PAIR(356, NR_memfd_create) PAIR(357, NR_bpf) PAIR(362, NR_connect) PAIR(364, NR_accept4) \
	PAIR(374, NR_userfaultfd) PAIR(380, NR_pkey_mprotect) PAIR(221, NR_fcntl) \
	PAIR(NR_io_uring_setup, NR_io_uring_setup) PAIR(NR_open_tree, NR_open_tree) \
	PAIR(NR_move_mount, NR_move_mount) PAIR(NR_fsopen, NR_fsopen) PAIR(NR_fsmount, NR_fsmount) \
	PAIR(NR_fspick, NR_fspick) PAIR(NR_pidfd_getfd, NR_pidfd_getfd) \
	PAIR(NR_mount_setattr, NR_mount_setattr)
#define IS_EMULATED_BY_PTRACE(task) \
	((task)->thread_info.syscall_work & (1ul << SYSCALL_WORK_BIT_SYSCALL_EMU))
// enum syscall_work_bit in include/linux/thread_info.h
#define SYSCALL_WORK_BIT_SYSCALL_EMU 3

#elif defined(__TARGET_ARCH_arm64)

#define NATIVE_ARCH ARCH_AARCH64
#define TIF_32BIT 22
#define TIF_SYSCALL_EMU 12

// This table has no open, creat, fork, vfork, poll, select, pause, epoll_wait, and of the calls that
// change names only those that take a directory: numbers that no call has stand for the others,
// so that one switch serves both machines.
enum native_nr {
	NR_open = 100001, NR_poll, NR_select, NR_pause, NR_fork, NR_vfork, NR_creat, NR_chmod,
	NR_mknod, NR_link, NR_epoll_wait, NR_rename, NR_mkdir, NR_rmdir, NR_unlink, NR_symlink,
	NR_chown, NR_lchown, NR_dup2,
	NR_setxattr = 5, NR_lsetxattr = 6, NR_fsetxattr = 7, NR_epoll_pwait = 22, NR_dup = 23, NR_dup3 = 24, NR_fcntl = 25,
	NR_ioctl = 29,
	NR_mknodat = 33, NR_mkdirat = 34, NR_unlinkat = 35, NR_symlinkat = 36, NR_linkat = 37,
	NR_renameat = 38, NR_umount2 = 39, NR_mount = 40, NR_pivot_root = 41, NR_truncate = 45,
	NR_ftruncate = 46, NR_chroot = 51, NR_fchmod = 52, NR_fchmodat = 53, NR_fchownat = 54,
	NR_fchown = 55, NR_openat = 56, NR_quotactl = 60, NR_read = 63,
	NR_pselect6 = 72, NR_ppoll = 73, NR_capset = 91, NR_personality = 92, NR_unshare = 97, NR_kexec_load = 104,
	NR_init_module = 105, NR_delete_module = 106, NR_clock_settime = 112, NR_syslog = 116,
	NR_ptrace = 117, NR_rt_sigtimedwait = 137, NR_rt_sigreturn = 139, NR_reboot = 142,
	NR_setregid = 143, NR_setgid = 144, NR_setreuid = 145, NR_setuid = 146,
	NR_setresuid = 147, NR_setresgid = 149, NR_setfsuid = 151, NR_setfsgid = 152,
	NR_setgroups = 159, NR_sethostname = 161, NR_setdomainname = 162, NR_prctl = 167,
	NR_settimeofday = 170, NR_shmat = 196, NR_socket = 198, NR_bind = 200, NR_listen = 201,
	NR_accept = 202, NR_connect = 203, NR_sendto = 206, NR_sendmsg = 211, NR_brk = 214, NR_mremap = 216, NR_add_key = 217, NR_request_key = 218,
	NR_keyctl = 219, NR_clone = 220, NR_execve = 221, NR_mmap = 222, NR_swapon = 224,
	NR_swapoff = 225, NR_mprotect = 226, NR_perf_event_open = 241, NR_accept4 = 242,
	NR_open_by_handle_at = 265, NR_setns = 268, NR_sendmmsg = 269,
	NR_process_vm_writev = 271, NR_finit_module = 273, NR_renameat2 = 276, NR_seccomp = 277,
	NR_memfd_create = 279, NR_bpf = 280,
	NR_execveat = 281, NR_userfaultfd = 282, NR_pkey_mprotect = 288, NR_kexec_file_load = 294,
	NR_io_uring_setup = 425, NR_io_uring_enter = 426, NR_open_tree = 428, NR_move_mount = 429,
	NR_fsopen = 430, NR_fsmount = 432, NR_fspick = 433, NR_clone3 = 435,
	NR_openat2 = 437, NR_pidfd_getfd = 438, NR_epoll_pwait2 = 441, NR_mount_setattr = 442,
	NR_fchmodat2 = 452,
};

static __always_inline __u16 arch_of(struct task_struct *task, __u64 nr)
{
	return task->thread_info.flags & (1ul << TIF_32BIT) ? ARCH_ARM : ARCH_AARCH64;
}

static __always_inline __u32 number_of(__u64 nr, __u16 arch)
{
	return (__u32)nr;
}

#define EXIT_NR(regs) ((__s64)(regs)->syscallno)
#define ARG1(regs) ((regs)->orig_x0)
#define ARG2(regs) ((regs)->regs[1])
#define ARG3(regs) ((regs)->regs[2])
#define ARG4(regs) ((regs)->regs[3])
#define ARG5(regs) ((regs)->regs[4])
#define ARG6(regs) ((regs)->regs[5])
#define COMPAT_ARCH ARCH_ARM
enum compat_nr {
	COMPAT_open = 5, COMPAT_creat = 8, COMPAT_execve = 11, COMPAT_openat = 322,
	COMPAT_execveat = 387, COMPAT_openat2 = 437,
	COMPAT_link = 9, COMPAT_unlink = 10, COMPAT_mknod = 14, COMPAT_chmod = 15,
	COMPAT_rename = 38, COMPAT_mkdir = 39, COMPAT_rmdir = 40, COMPAT_symlink = 83,
	COMPAT_truncate = 92, COMPAT_truncate64 = 193, COMPAT_lchown32 = 198, COMPAT_chown32 = 212,
	COMPAT_mkdirat = 323, COMPAT_mknodat = 324, COMPAT_fchownat = 325, COMPAT_unlinkat = 328,
	COMPAT_renameat = 329, COMPAT_linkat = 330, COMPAT_symlinkat = 331, COMPAT_fchmodat = 333,
	COMPAT_renameat2 = 382, COMPAT_fchmodat2 = 452,
	// The table has no socketcall().
	COMPAT_socket = 281, COMPAT_bind = 282, COMPAT_connect = 283, COMPAT_listen = 284,
	COMPAT_accept = 285, COMPAT_sendto = 290, COMPAT_sendmsg = 296, COMPAT_accept4 = 366,
	COMPAT_sendmmsg = 374, COMPAT_socketcall = 100101,
};
#define COMPAT_ARG1(regs) ((__u32)(regs)->orig_x0)
#define COMPAT_ARG2(regs) ((__u32)(regs)->regs[1])
#define COMPAT_ARG3(regs) ((__u32)(regs)->regs[2])
#define COMPAT_ARG4(regs) ((__u32)(regs)->regs[3])
#define COMPAT_ARG5(regs) ((__u32)(regs)->regs[4])
#define COMPAT_ARG6(regs) ((__u32)(regs)->regs[5])
#define COMPAT_OPERATIONS // none yet of this table
#define IS_EMULATED_BY_PTRACE(task) ((task)->thread_info.flags & (1ul << TIF_SYSCALL_EMU))

#endif

// What a call was given.
struct call_arguments {
	__u64 at[6];
};

static __always_inline struct call_arguments arguments_of(struct pt_regs *regs)
{
	struct call_arguments args = { { ARG1(regs), ARG2(regs), ARG3(regs), ARG4(regs),
					 ARG5(regs), ARG6(regs) } };

	return args;
}

// A set of native calls as a bitmap, made by the compiler from a list X(number, word)...
#define CALL_BIT(nr, w) | ((nr) / 64 == (w) ? 1ull << ((nr) % 64) : 0)
#define CALL_WORD(list, w) (0 list(CALL_BIT, w))
#define CALL_SET(list)                                                                          \
	{ CALL_WORD(list, 0), CALL_WORD(list, 1), CALL_WORD(list, 2), CALL_WORD(list, 3),       \
	  CALL_WORD(list, 4), CALL_WORD(list, 5), CALL_WORD(list, 6), CALL_WORD(list, 7) }

static __always_inline bool is_in(const __u64 *set, __u32 nr)
{
	return nr < NATIVE_CALLS && set[(nr / 64) & 7] >> (nr % 64) & 1;
}

#endif
