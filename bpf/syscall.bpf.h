/* SPDX-License-Identifier: (GPL-2.0-only OR MIT) */
/*
 * syscall.bpf.h - the system call that the thread is in: its descriptor, its
 * user memory, and the file behind the descriptor.
 *
 * All of it is read from the registers with which the thread entered the
 * kernel, so a program that runs inside of the call or at its end needs to
 * have seen nothing of its beginning.
 */
#ifndef SPANTAP_SYSCALL_BPF_H
#define SPANTAP_SYSCALL_BPF_H

#include <asm/unistd.h>
#include "calls.bpf.h"
#include "compat.bpf.h"

#define KERNEL_STACK_SIZE 16384 /* THREAD_SIZE of x86-64 and arm64 with 4 KiB pages */
#define MSG_PEEK          2     /* include/linux/socket.h */
#define MSG_TRUNC         0x20

/* The registers with which the thread entered the kernel: bpf_task_pt_regs(), Linux 5.15, dd6e10fbd9fb;
 * before, as task_pt_regs() does. */
static __always_inline struct pt_regs *user_registers(void)
{
	if (has_task_storage)
		return (void *)bpf_task_pt_regs(bpf_get_current_task_btf());
	struct task_struct *task = (void *)bpf_get_current_task();
	return (void *)BPF_CORE_READ(task, stack) + KERNEL_STACK_SIZE - bpf_core_type_size(struct pt_regs);
}

struct user_iovec {
	__u64 base, len;
};

static __always_inline void first_iovec(struct transfer *t, __u64 iov, __u64 n)
{
	struct user_iovec v = {0};

	if (!n || bpf_probe_read_user(&v, sizeof(v), (void *)iov))
		return;
	t->buf = v.base;
	t->room = v.len;
	t->iov = iov + sizeof(v);
	t->iovs = n - 1;
}

/* False: the call is none that transfers bytes between user memory and a pipe or a socket. */
static __always_inline bool transfer_of(struct pt_regs *regs, struct transfer *t)
{
#if defined(__TARGET_ARCH_x86)
	__u64 nr = BPF_CORE_READ(regs, orig_ax), a0 = BPF_CORE_READ(regs, di), a1 = BPF_CORE_READ(regs, si),
	      a2 = BPF_CORE_READ(regs, dx), a3 = BPF_CORE_READ(regs, r10);
#elif defined(__TARGET_ARCH_arm64)
	__u64 nr = BPF_CORE_READ(regs, regs[8]), a0 = BPF_CORE_READ(regs, orig_x0),
	      a1 = BPF_CORE_READ(regs, regs[1]), a2 = BPF_CORE_READ(regs, regs[2]),
	      a3 = BPF_CORE_READ(regs, regs[3]);
#endif
	struct {
		__u64 name, namelen, iov, iovs;
	} msg;

	__builtin_memset(t, 0, sizeof(*t));
	t->fd = (__u32)a0;
	t->dir = nr == __NR_read || nr == __NR_readv || nr == __NR_recvfrom || nr == __NR_recvmsg
	             ? EV_DIR_READ
	             : EV_DIR_WRITE;
	switch (nr) {
	case __NR_recvfrom:
		t->flags = a3;
		/* fall through */
	case __NR_read:
	case __NR_write:
	case __NR_sendto:
		t->buf = a1;
		t->room = a2;
		return true;
	case __NR_recvmsg:
		t->flags = a2;
		/* fall through */
	case __NR_sendmsg:
		if (bpf_probe_read_user(&msg, sizeof(msg), (void *)a1))
			return true;
		first_iovec(t, msg.iov, msg.iovs);
		return true;
	case __NR_readv:
	case __NR_writev:
		first_iovec(t, a1, a2);
		return true;
	default:
		return false;
	}
}

/* NULL: the descriptor is not open. */
static __always_inline struct file *file_of(struct task_struct *task, __u64 fd)
{
	struct fdtable *fdt = BPF_CORE_READ(task, files, fdt);
	struct file **at = BPF_CORE_READ(fdt, fd), *file = NULL;

	if (!at || fd >= BPF_CORE_READ(fdt, max_fds))
		return NULL;
	bpf_probe_read_kernel(&file, sizeof(file), at + fd);
	return file;
}

static __always_inline __u32 file_type(struct file *file)
{
	return BPF_CORE_READ(file, f_inode, i_mode) & S_IFMT;
}

static __always_inline struct sock *file_sock(struct file *file)
{
	struct socket *socket = BPF_CORE_READ(file, private_data);

	return BPF_CORE_READ(socket, sk);
}

/* The inode of a socket; 0: nobody has accepted it yet, or it is closed. */
static __always_inline __u64 sock_inode(struct sock *sk)
{
	return BPF_CORE_READ(sk, sk_socket, file, f_inode, i_ino);
}

#endif
