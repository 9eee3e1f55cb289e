// SPDX-License-Identifier: (GPL-2.0-only OR MIT)
/*
 * iter.bpf.c - the processes that run already, read from the kernel.
 *
 * An iterator (Linux 5.8, eaaacd23910f "bpf: Add task and task/file iterator
 * targets"): each read(2) runs the program on the next tasks of our own pid
 * namespace.  So a process that is found has the same (tgid, start), device
 * and cgroup as in the records of its later life; /proc has its start only in
 * clock ticks, and its pid only as the namespace sees it.
 */
#include "facts.bpf.h"
#include "stdio.bpf.h"

struct facts_room {
	struct process_facts facts;
	__u8 tail[EXEC_TAIL];
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct facts_room);
} facts_room SEC(".maps");

static __always_inline void read_cgroups(struct task_struct *task, __u64 *ret)
{
	struct kernfs_node *node = cgroup_node(task);

	for (int i = 0; i < EV_CGROUP_DEPTH; i++) {
		ret[i] = node ? BPF_CORE_READ(node, id) : 0;
		if (node)
			node = kernfs_parent(node);
	}
}

static __always_inline void read_facts(struct task_struct *task, struct ev_exec *e)
{
	struct inode *exe = BPF_CORE_READ(task, mm, exe_file, f_inode);

	__builtin_memset(e, 0, sizeof(*e));
	e->head.type = EV_EXEC;
	e->head.ts = bpf_ktime_get_boot_ns();
	e->proc = proc_of(task);
	e->flags = EV_EXEC_FOUND;
	if (exe) { /* else its first thread has ended, others run on */
		e->dev = BPF_CORE_READ(exe, i_sb, s_dev);
		e->ino = BPF_CORE_READ(exe, i_ino);
	}
	e->uid = BPF_CORE_READ(task, cred, uid.val);
	e->gid = BPF_CORE_READ(task, cred, gid.val);
	BPF_CORE_READ_INTO(&e->comm, task, comm);
}

SEC("iter/task")
int each_process(struct bpf_iter__task *ctx)
{
	struct task_struct *task = ctx->task;
	__u32 zero = 0;
	struct facts_room *room = bpf_map_lookup_elem(&facts_room, &zero);

	if (!task || !room || task->pid != task->tgid || task->flags & PF_KTHREAD)
		return 0;
	if (BPF_CORE_READ(task, signal, live.counter) <= 0)
		return 0; /* it has ended, its parent has not looked yet */

	struct process_facts *f = &room->facts;
	read_facts(task, &f->exec);
	f->parent = proc_of(BPF_CORE_READ(task, real_parent));
	read_cgroups(task, f->cgroups);
	f->stdio_pipe = 0;
	f->pad2 = 0;
	for (__u32 fd = 0; fd < 2; fd++)
		f->stdio[fd] = stdio_inode(task, fd, false, &f->stdio_pipe);
	read_cwd(task, &f->exec, room->tail);
	__u64 cwd_len = f->exec.cwd_len;
	barrier_var(cwd_len);
	if (cwd_len > EV_CWD_MAX + NAME_ROOM)
		cwd_len = EV_CWD_MAX + NAME_ROOM;
	read_cgroup(task, &f->exec, room->tail + cwd_len);
	__u64 size = sizeof(*f) + cwd_len + f->exec.cgroup_len;
	f->size = size;
	barrier_var(size);
	if (size > sizeof(*room))
		size = sizeof(*room);
	bpf_seq_write(ctx->meta->seq, room, size);
	return 0;
}
