// SPDX-License-Identifier: GPL-2.0
// The kernel types that the programs touch, by name only: CO-RE relocates every field.
//
// Written by hand instead of a 3 MB vmlinux.h, so that a reader sees what is relied upon. A
// suffix after three underscores is another kernel's layout of the same type.
#ifndef ETHOGRAM_KERNEL_H
#define ETHOGRAM_KERNEL_H

#include <linux/bpf.h>
#include <linux/types.h>
#include <stdbool.h>

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct list_head { struct list_head *next; }; // also stands for any one pointer in memory
struct ns_common { unsigned int inum; __u64 ns_id; };
struct mnt_namespace { struct ns_common ns; __u64 seq; };
struct pid_namespace { struct ns_common ns; };
struct uts_namespace { struct ns_common ns; };
struct ipc_namespace { struct ns_common ns; };
struct cgroup_namespace { struct ns_common ns; };
struct time_namespace { struct ns_common ns; };
struct user_namespace { struct ns_common ns; };
struct net { struct ns_common ns; };

struct nsproxy {
	struct uts_namespace *uts_ns;
	struct ipc_namespace *ipc_ns;
	struct mnt_namespace *mnt_ns;
	struct pid_namespace *pid_ns_for_children;
	struct net *net_ns;
	struct time_namespace *time_ns_for_children;
	struct time_namespace *time_ns;
	struct cgroup_namespace *cgroup_ns;
};

// Newer kernels protect the parent by RCU and call it __parent.
struct kernfs_node { struct kernfs_node *parent; __u64 id; };
struct kernfs_node___rcu { struct kernfs_node *__parent; };
struct cgroup_root { int hierarchy_id; };
struct cgroup { struct kernfs_node *kn; struct cgroup_root *root; };
struct css_set { struct cgroup *dfl_cgrp; };

typedef struct { int counter; } atomic_t;

struct upid { int nr; struct pid_namespace *ns; };
struct pid { unsigned int level; struct upid numbers[1]; };

typedef struct { unsigned int val; } kuid_t;
typedef struct { unsigned int val; } kgid_t;
// Older kernels have an array of two u32: the same eight bytes on little-endian machines.
typedef struct { __u64 val; } kernel_cap_t;

struct cred {
	kuid_t uid;
	kgid_t gid;
	kuid_t euid;
	kgid_t egid;
	kernel_cap_t cap_inheritable;
	kernel_cap_t cap_permitted;
	kernel_cap_t cap_effective;
	kernel_cap_t cap_bset;
	kernel_cap_t cap_ambient;
	struct user_namespace *user_ns;
};

struct qstr { union { struct { __u32 hash; __u32 len; }; __u64 hash_len; }; const unsigned char *name; };

struct super_block { __u32 s_dev; unsigned long s_magic; };

struct timespec64 { __s64 tv_sec; long tv_nsec; };
// Discrete integers now; older kernels have __i_ctime, still older ones i_ctime.
struct inode {
	unsigned short i_mode;
	struct super_block *i_sb;
	unsigned long i_ino;
	const unsigned int i_nlink;
	__u32 i_rdev;
	__s64 i_ctime_sec;
	__u32 i_ctime_nsec;
	__u32 i_generation;
};
struct inode___v66 { struct timespec64 __i_ctime; };
struct inode___v51 { struct timespec64 i_ctime; };

struct hlist_bl_node { struct hlist_bl_node **pprev; };
struct dentry {
	struct hlist_bl_node d_hash;
	struct dentry *d_parent;
	struct qstr d_name;
	struct inode *d_inode;
};
struct vfsmount { struct dentry *mnt_root; };
struct mount { struct mount *mnt_parent; struct dentry *mnt_mountpoint; struct vfsmount mnt; };
struct path { struct vfsmount *mnt; struct dentry *dentry; };
struct ovl_inode { struct inode vfs_inode; struct dentry *__upperdentry; };
struct file {
	unsigned int f_mode;
	unsigned int f_flags;
	struct inode *f_inode;
	struct path f_path;
	void *private_data;
};
struct fdtable { unsigned int max_fds; struct file **fd; };
struct files_struct { struct fdtable *fdt; };
struct fs_struct { struct path root, pwd; };
struct mm_struct { unsigned long arg_start, arg_end; struct file *exe_file; };

struct filename { const char *name; };
struct open_how { __u64 flags; };
struct io_cqe { __s32 res; };
struct io_kiocb { struct file *file; __u8 opcode; __u64 flags; struct io_cqe cqe; };
// What a request holds at its beginning, by its opcode.
struct io_open { int dfd; __u32 file_slot; struct filename *filename; struct open_how how; };
struct io_rename { int old_dfd, new_dfd; struct filename *oldpath, *newpath; int flags; };
struct io_link { int old_dfd, new_dfd; struct filename *oldpath, *newpath; };
struct io_unlink { int dfd; int flags; struct filename *filename; };
struct io_connect { void *addr; int addr_len; };
struct io_socket { int domain, type, protocol; };
struct io_sr_msg { void *umsg; };
struct io_mkdir { int dfd; struct filename *filename; };

struct notification;
struct seccomp_filter { struct seccomp_filter *prev; struct notification *notif; };
struct seccomp { int mode; atomic_t filter_count; struct seccomp_filter *filter; };

struct signal_struct {
	atomic_t live;
	int group_exit_code;
	unsigned int flags;
	struct pid *pids[4]; // by enum pid_type
};

#if defined(__TARGET_ARCH_x86)
struct thread_info { unsigned long flags; unsigned long syscall_work; __u32 status; };
struct pt_regs {
	unsigned long bp, r10, r8, r9, ax, cx, dx, si, di, bx, orig_ax;
};
#elif defined(__TARGET_ARCH_arm64)
struct thread_info { unsigned long flags; };
struct pt_regs { __u64 regs[31]; __u64 orig_x0; __s32 syscallno; };
#else
#error "no register access for this architecture"
#endif

struct task_struct {
	struct thread_info thread_info;
	unsigned int flags;
	unsigned int ptrace;
	int pid;
	int tgid;
	int exit_code;
	struct task_struct *real_parent;
	struct task_struct *group_leader;
	struct pid *thread_pid;
	__u64 start_boottime;
	const struct cred *real_cred;
	const struct cred *cred;
	struct fs_struct *fs;
	struct files_struct *files;
	struct nsproxy *nsproxy;
	struct signal_struct *signal;
	struct css_set *cgroups;
	struct mm_struct *mm;
	unsigned long atomic_flags;
	kuid_t loginuid;
	unsigned int sessionid;
	struct seccomp seccomp;
	__u64 self_exec_id;
};

struct linux_binprm {
	unsigned int secureexec : 1;
	struct file *file;
	struct cred *cred;
	const char *filename;
	const char *interp;
};

struct kernel_siginfo { int si_signo; int si_errno; int si_code; };

struct in6_addr { union { __u8 u6_addr8[16]; } in6_u; };
struct sock_common {
	__be32 skc_daddr;
	__be32 skc_rcv_saddr;
	__be16 skc_dport;
	__u16 skc_num;
	unsigned short skc_family;
	volatile unsigned char skc_state;
	struct in6_addr skc_v6_daddr;
	struct in6_addr skc_v6_rcv_saddr;
	struct { struct net *net; } skc_net;
	struct { __s64 counter; } skc_cookie;
	unsigned long skc_flags;
};
// Some kernels have sk_userlocks as a bit field.
struct sock {
	struct sock_common __sk_common;
	__u8 sk_userlocks;
	__u16 sk_protocol;
	__u16 sk_type;
};
struct tcp_sock { __u64 bytes_acked; __u64 bytes_received; __u32 snd_una; __u32 write_seq; };
struct socket { short type; struct sock *sk; };
struct sockaddr_un { unsigned short sun_family; char sun_path[108]; };
struct unix_address { int len; struct sockaddr_un name[1]; };
struct unix_sock { struct sock sk; struct unix_address *addr; struct sock *peer; };

struct seq_file;
struct bpf_iter_meta { struct seq_file *seq; };
struct bpf_iter__task { struct bpf_iter_meta *meta; struct task_struct *task; };
struct bpf_iter__task_file {
	struct bpf_iter_meta *meta;
	struct task_struct *task;
	__u32 fd;
	struct file *file;
};

#pragma clang attribute pop

// Keeps a u64 from *least* to *most* where the verifier sees it: older ones forget what comparing a
// copy, or half of a register, told of the whole.
#define KEEP_WITHIN(size, least, most)                                                          \
	asm volatile("if %0 >= %1 goto +1\n\t%0 = %1\n\tif %0 <= %2 goto +1\n\t%0 = %2"         \
		     : "+r"(size)                                                                \
		     : "i"(least), "i"(most))

#define PF_IO_WORKER 0x00000010
#define PF_KTHREAD 0x00200000
#define PFA_NO_NEW_PRIVS_BIT 0
#define SECCOMP_MODE_DEAD 3
#define SIGNAL_GROUP_EXIT 4
#define PIDTYPE_PGID 2
#define PIDTYPE_SID 3
#define S_IFMT 0170000
#define S_IFSOCK 0140000
#define S_IFREG 0100000
#define S_IFDIR 0040000
#define S_IFCHR 0020000
#define S_IFIFO 0010000
#define OVERLAYFS_SUPER_MAGIC 0x794c7630
#define TMPFS_MAGIC 0x01021994

#endif
