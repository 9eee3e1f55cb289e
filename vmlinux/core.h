/* SPDX-License-Identifier: (GPL-2.0-only OR MIT) */
/*
 * core.h - the few kernel types that the BPF programs read.
 *
 * Only the members that are used, in any order: every access is relocated by
 * CO-RE against the BTF of the running kernel, so offsets and the members left
 * out do not matter.  Written by hand; names as in Linux 5.10 to 7.3.
 */
#ifndef SPANTAP_VMLINUX_CORE_H
#define SPANTAP_VMLINUX_CORE_H

#include <linux/bpf.h>
#include <linux/types.h>
#include <stdbool.h>

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

typedef struct {
	int counter;
} atomic_t;

struct pid_namespace;

struct upid {
	int nr;
	struct pid_namespace *ns;
};

struct pid {
	unsigned int level;
	struct upid numbers[1];
};

struct qstr {
	const unsigned char *name;
};

struct dentry {
	struct dentry *d_parent;
	struct qstr d_name;
};

struct vfsmount {
	struct dentry *mnt_root;
};

struct mount {
	struct mount *mnt_parent;
	struct dentry *mnt_mountpoint;
	struct vfsmount mnt;
};

struct path {
	struct vfsmount *mnt;
	struct dentry *dentry;
};

struct super_block {
	__u32 s_dev;
};

struct pipe_buffer {
	unsigned int offset, len;
};

struct pipe_inode_info {
	unsigned int head, ring_size;
	struct pipe_buffer *bufs;
};

struct inode {
	struct super_block *i_sb;
	unsigned long i_ino;
	unsigned short i_mode;
	struct pipe_inode_info *i_pipe;
};

struct file {
	struct inode *f_inode;
	void *private_data;
};

struct fdtable {
	unsigned int max_fds;
	struct file **fd;
};

struct files_struct {
	struct fdtable *fdt;
};

struct fs_struct {
	struct path root, pwd;
};

struct mm_struct {
	unsigned long arg_start, arg_end;
	struct file *exe_file;
};

typedef struct {
	__u32 val;
} kuid_t;

typedef struct {
	__u32 val;
} kgid_t;

struct cred {
	kuid_t uid;
	kgid_t gid;
};

struct signal_struct {
	atomic_t live;
	int group_exit_code;
	unsigned int flags;
	unsigned long long sum_sched_runtime;
	unsigned long maxrss;
};

struct kernfs_node {
	struct kernfs_node *parent; /* until 6.14: see kernfs_parent() */
	const char *name;
	__u64 id;
};

struct cgroup {
	struct kernfs_node *kn;
};

struct cgroup_subsys_state {
	struct cgroup *cgroup;
};

enum cgroup_subsys_id {
	memory_cgrp_id = 4,
};

struct css_set {
	struct cgroup_subsys_state *subsys[1];
	struct cgroup *dfl_cgrp;
};

struct sched_entity {
	__u64 sum_exec_runtime;
};

struct in6_addr {
	union {
		__u8 u6_addr8[16];
	} in6_u;
};

struct sock_common {
	__be32 skc_daddr, skc_rcv_saddr;
	__be16 skc_dport;
	__u16 skc_num;
	unsigned short skc_family;
	struct in6_addr skc_v6_daddr, skc_v6_rcv_saddr;
};

struct socket {
	struct file *file;
	struct sock *sk;
};

struct sock {
	struct sock_common __sk_common;
	struct socket *sk_socket;
	__u16 sk_type;
};

struct tcp_sock {
	__u64 bytes_received;
};

struct unix_address {
	int len; /* of the struct sockaddr_un behind it */
};

struct unix_sock {
	struct unix_address *addr;
	struct sock *peer;
};

struct task_struct {
	void *stack;
	struct task_struct *real_parent;
	struct css_set *cgroups;
	struct sched_entity se;
	int pid, tgid;
	unsigned int flags;
	int exit_code;
	__u64 start_boottime;
	struct task_struct *group_leader;
	struct signal_struct *signal;
	struct mm_struct *mm;
	struct pid *thread_pid;
	struct fs_struct *fs;
	struct files_struct *files;
	const struct cred *cred;
	char comm[16];
};

struct linux_binprm {
	struct file *file;
};

struct seq_file;

struct bpf_iter_meta {
	struct seq_file *seq;
};

struct bpf_iter__task {
	struct bpf_iter_meta *meta;
	struct task_struct *task;
};

#if defined(__TARGET_ARCH_x86)
struct pt_regs {
	unsigned long r15, r14, r13, r12, bp, bx, r11, r10, r9, r8, ax, cx, dx, si, di, orig_ax, ip, cs, flags, sp, ss;
};
#elif defined(__TARGET_ARCH_arm64)
struct user_pt_regs {
	__u64 regs[31], sp, pc, pstate;
};
struct pt_regs {
	union {
		struct user_pt_regs user_regs;
		struct {
			__u64 regs[31], sp, pc, pstate;
		};
	};
	__u64 orig_x0;
};
#endif

#pragma clang attribute pop

#define S_IFMT 0170000 /* include/uapi/linux/stat.h */
#define S_IFIFO 0010000
#define S_IFSOCK 0140000
#define AF_UNIX 1 /* include/linux/socket.h */
#define AF_INET 2
#define AF_INET6 10
#define SIGNAL_GROUP_EXIT 4 /* include/linux/sched/signal.h */
#define PF_KTHREAD 0x00200000 /* include/linux/sched.h */

#endif
