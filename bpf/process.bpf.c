// SPDX-License-Identifier: (GPL-2.0-only OR MIT)
/* process.bpf.c - fork, exec and exit of the followed processes, and which processes are followed. */
#include "calls.bpf.h"
#include "facts.bpf.h"
#include "plain.bpf.h"

char LICENSE[] SEC("license") = "Dual MIT/GPL";

const volatile __u32 page_size = 4096;

/* Run once by user space (BPF_PROG_TEST_RUN): only the kernel knows our ids in the initial pid namespace. */
SEC("raw_tp")
int whoami(void *ctx)
{
	struct task_struct *task = (void *)bpf_get_current_task();

	struct pid *pid = BPF_CORE_READ(task, group_leader, thread_pid);
	struct inode *exe = BPF_CORE_READ(task, mm, exe_file, f_inode);

	self.tgid = BPF_CORE_READ(task, tgid);
	self.level = BPF_CORE_READ(pid, level);
	bpf_probe_read_kernel(&self.ns, sizeof(self.ns),
			      (void *)pid + bpf_core_field_offset(struct pid, numbers) +
				  (self.level & 31) * bpf_core_type_size(struct upid) + bpf_core_field_offset(struct upid, ns));
	self.dev = BPF_CORE_READ(exe, i_sb, s_dev);
	self.ino = BPF_CORE_READ(exe, i_ino);
	return 0;
}

static __always_inline void watch(const struct ev_watch *what)
{
	struct ev_watch *w = bpf_ringbuf_reserve(&watch_ring, sizeof(*w), 0);

	if (!w) {
		count(EV_COUNT_WATCH_LOST, 1);
		return;
	}
	__builtin_memcpy(w, what, sizeof(*w));
	w->head.type = EV_WATCH;
	w->head.size = sizeof(*w);
	bpf_ringbuf_submit(w, BPF_RB_FORCE_WAKEUP);
}

static __always_inline void emit_fork(const struct ev_proc *parent, const struct ev_proc *child, __u64 ts)
{
	struct ev_fork *rec = bpf_ringbuf_reserve(&life_ring, sizeof(*rec), 0);

	if (!rec) {
		count(EV_COUNT_LIFE_LOST, 1);
		return;
	}
	rec->head.type = EV_FORK;
	rec->head.size = sizeof(*rec);
	rec->head.ts = ts;
	rec->parent = *parent;
	rec->child = *child;
	bpf_ringbuf_submit(rec, wake_flags(&data_ring, 0));
}

/* Follows a process from now on, as a child of `parent`; NULL: no room. */
static __always_inline struct followed *follow(struct task_struct *task, struct task_struct *parent, __u32 forked_from)
{
	struct followed new = {.proc = proc_of(task), .exec_ts = bpf_ktime_get_boot_ns(), .parent = forked_from};
	struct ev_proc from = proc_of(parent);

	if (bpf_map_update_elem(&followed, &new.proc.tgid, &new, BPF_ANY)) {
		count(EV_COUNT_PROC_UNTRACKED, 1);
		return NULL;
	}
	emit_fork(&from, &new.proc, new.exec_ts);
	return bpf_map_lookup_elem(&followed, &new.proc.tgid);
}

SEC("tp_btf/sched_process_fork")
int BPF_PROG(on_fork, struct task_struct *parent, struct task_struct *child)
{
	__u32 parent_tgid = parent->tgid, child_tgid = child->tgid, child_tid = child->pid;

	if (child_tid != child_tgid || control.stop)
		return 0; /* a thread */
	if (!bpf_map_lookup_elem(&followed, &parent_tgid)) {
		if (parent_tgid == self.tgid) {
			if (!control.armed)
				return 0;
			control.armed = 0;
		} else if (!control.all) {
			return 0;
		}
	}
	follow(child, parent, parent_tgid);
	return 0;
}

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__type(key, struct select_key);
	__type(value, __u32);
} selected SEC(".maps");

/* Whether a rule that the kernel can decide chooses the program that the current process has just executed. */
static __always_inline bool selects(struct task_struct *task, const struct inode *inode)
{
	struct select_key key = {.kind = SELECT_EXE, .a = BPF_CORE_READ(inode, i_sb, s_dev), .b = BPF_CORE_READ(inode, i_ino)};

	if (bpf_map_lookup_elem(&selected, &key))
		return true;
	key = (struct select_key){.kind = SELECT_COMM};
	bpf_probe_read_kernel_str(&key.a, EV_COMM, &task->comm); /* what stands behind its NUL is not its name */
	if (bpf_map_lookup_elem(&selected, &key))
		return true;
	key.kind = SELECT_CGROUP;
	key.b = 0;
	struct kernfs_node *node = cgroup_node(task);
	for (int i = 0; i < EV_CGROUP_DEPTH && node; i++) {
		key.a = BPF_CORE_READ(node, id);
		if (bpf_map_lookup_elem(&selected, &key))
			return true;
		node = kernfs_parent(node);
	}
	return false;
}

/* Reserves, fills and submits an exec record with room for `room` (a constant power of two) bytes of argv. */
static __always_inline bool emit_exec(struct task_struct *task, const struct ev_exec *head, __u64 arg_start,
				      __u32 argv_len, const __u32 room)
{
	struct ev_exec *rec = bpf_ringbuf_reserve(&life_ring, sizeof(*rec) + room + EXEC_TAIL, 0);

	if (!rec)
		return false;
	__builtin_memcpy(rec, head, sizeof(*rec));

	if (argv_len > room - 1)
		argv_len = room - 1;
	/* The clamp again, in a form that every verifier follows. */
	barrier_var(argv_len);
	argv_len &= room - 1;
	if (argv_len && bpf_probe_read_user(rec->data, argv_len, (void *)arg_start)) {
		argv_len = 0;
		rec->flags |= EV_EXEC_ARGV_CUT;
	}
	rec->argv_len = argv_len;
	read_cwd(task, rec, rec->data + argv_len);
	__u64 cwd_len = rec->cwd_len;
	barrier_var(cwd_len);
	if (cwd_len > EV_CWD_MAX + NAME_ROOM)
		cwd_len = EV_CWD_MAX + NAME_ROOM;
	read_cgroup(task, rec, rec->data + argv_len + cwd_len);
	rec->head.size = sizeof(*rec) + room + EXEC_TAIL;
	bpf_ringbuf_submit(rec, wake_flags(&data_ring, 0));
	return true;
}

/*
 * Before the exec (Linux 6.10, 5c5fad46e48c "tracing: Add sched_prepare_exec
 * tracepoint"): whoever started the process may write to it from the moment on
 * at which its memory is replaced, well before sched_process_exec.
 */
SEC("tp_btf/sched_prepare_exec")
int BPF_PROG(on_prepare_exec, struct task_struct *task, struct linux_binprm *bprm)
{
	struct followed *f = follow_current();
	__u32 parent_tgid = BPF_CORE_READ(task, real_parent, tgid);
	__u64 ts = bpf_ktime_get_boot_ns();

	if (f && stdio_exec(task, &f->proc, bpf_map_lookup_elem(&followed, &parent_tgid) != NULL, ts))
		plain_ask(&f->proc, ts);
	return 0;
}

SEC("tp_btf/sched_process_exec")
int BPF_PROG(on_exec, struct task_struct *task, int old_pid, struct linux_binprm *bprm)
{
	struct inode *inode = BPF_CORE_READ(bprm, file, f_inode);
	__u32 tgid = task->tgid;
	struct followed *f;

	if (control.stop)
		return 0;
	f = bpf_map_lookup_elem(&followed, &tgid);
	struct task_struct *parent = BPF_CORE_READ(task, real_parent);
	bool spantap = BPF_CORE_READ(inode, i_ino) == self.ino && BPF_CORE_READ(inode, i_sb, s_dev) == self.dev;
	bool ours = spantap || (__u32)BPF_CORE_READ(parent, tgid) == self.tgid;
	if (f && spantap && control.all) {
		bpf_map_delete_elem(&followed, &tgid);
		return 0;
	}
	if (!f && control.select && !ours && selects(task, inode))
		f = follow(task, parent, 0);
	if (!f) {
		if (control.ask && !ours) {
			struct ev_watch w = {.head.ts = bpf_ktime_get_boot_ns(),
					     .proc = proc_of(task),
					     .dev = BPF_CORE_READ(inode, i_sb, s_dev),
					     .ino = BPF_CORE_READ(inode, i_ino),
					     .what = EV_WATCH_ASK};
			watch(&w);
		}
		return 0;
	}
	thread_calls_forget();
	f->exec_ts = bpf_ktime_get_boot_ns();
	f->parent = 0;

	__u32 parent_tgid = BPF_CORE_READ(parent, tgid);
	if (stdio_exec(task, &f->proc, bpf_map_lookup_elem(&followed, &parent_tgid) != NULL, f->exec_ts))
		plain_ask(&f->proc, f->exec_ts);
	__u64 arg_start = BPF_CORE_READ(task, mm, arg_start);
	__u64 argv_len = BPF_CORE_READ(task, mm, arg_end) - arg_start;
	struct ev_exec head = {
	    .head = {.type = EV_EXEC, .ts = f->exec_ts},
	    .proc = f->proc,
	    .dev = BPF_CORE_READ(inode, i_sb, s_dev),
	    .ino = BPF_CORE_READ(inode, i_ino),
	    .uid = BPF_CORE_READ(task, cred, uid.val),
	    .gid = BPF_CORE_READ(task, cred, gid.val),
	};
	BPF_CORE_READ_INTO(&head.comm, task, comm);

	bool ok;
	if (argv_len > EV_ARGV_MAX - 1) {
		head.flags |= EV_EXEC_ARGV_CUT;
		argv_len = EV_ARGV_MAX - 1;
	}
	if (argv_len < 256)
		ok = emit_exec(task, &head, arg_start, argv_len, 256);
	else if (argv_len < 2048)
		ok = emit_exec(task, &head, arg_start, argv_len, 2048);
	else
		ok = emit_exec(task, &head, arg_start, argv_len, EV_ARGV_MAX);
	if (!ok)
		count(EV_COUNT_LIFE_LOST, 1);
	struct ev_watch w = {
	    .head.ts = head.head.ts, .proc = head.proc, .dev = head.dev, .ino = head.ino, .what = EV_WATCH_EXEC};
	watch(&w);
	return 0;
}

/*
 * Time on a CPU of a whole process, whose last thread is `task`.  Threads that
 * are gone were added up; a leader that went before waits as a zombie and was not.
 */
static __always_inline __u64 cpu_time(struct task_struct *task)
{
	struct task_struct *leader = BPF_CORE_READ(task, group_leader);
	__u64 ns = BPF_CORE_READ(task, signal, sum_sched_runtime) + BPF_CORE_READ(task, se.sum_exec_runtime);

	return leader == task ? ns : ns + BPF_CORE_READ(leader, se.sum_exec_runtime);
}

SEC("tp_btf/sched_process_exit")
int BPF_PROG(on_exit, struct task_struct *task)
{
	struct followed *f = follow_current();
	__u32 tgid = task->tgid;

	if (!f)
		return 0;
	thread_calls_forget();
	/* The process ends with its last thread. Of threads that exit at the same moment one wins the delete. */
	if (BPF_CORE_READ(task, signal, live.counter) > 0)
		return 0;
	struct ev_proc proc = f->proc;
	struct ev_watch w = {.proc = proc, .what = EV_WATCH_EXIT, .wire = f->wire, .plain = f->plain};
	if (bpf_map_delete_elem(&followed, &tgid))
		return 0;

	struct ev_exit *rec = bpf_ringbuf_reserve(&life_ring, sizeof(*rec), 0);
	if (rec) {
		rec->head.type = EV_EXIT;
		rec->head.size = sizeof(*rec);
		rec->head.ts = bpf_ktime_get_boot_ns();
		rec->proc = proc;
		rec->cpu_ns = cpu_time(task);
		rec->max_rss = BPF_CORE_READ(task, signal, maxrss) * page_size; /* do_exit() has brought it up to date */
		rec->status = BPF_CORE_READ(task, signal, flags) & SIGNAL_GROUP_EXIT
				  ? BPF_CORE_READ(task, signal, group_exit_code)
				  : BPF_CORE_READ(task, group_leader, exit_code);
		rec->pad = 0;
		bpf_ringbuf_submit(rec, wake_flags(&data_ring, 0));
	} else {
		count(EV_COUNT_LIFE_LOST, 1);
	}
	w.head.ts = bpf_ktime_get_boot_ns();
	watch(&w);
	return 0;
}
