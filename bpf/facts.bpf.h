/* SPDX-License-Identifier: (GPL-2.0-only OR MIT) */
/*
 * facts.bpf.h - what an exec record says of a process besides its arguments:
 * working directory and cgroup, read from the kernel's own structures.
 *
 * Only reads memory, so it works on any task: the current one at its exec, and
 * every one that the iterator passes.
 */
#ifndef SPANTAP_FACTS_BPF_H
#define SPANTAP_FACTS_BPF_H

#include "compat.bpf.h"
#include "events.h"

#define NAME_ROOM 256 /* NAME_MAX and its NUL */
#define EXEC_TAIL (EV_CWD_MAX + NAME_ROOM + EV_CGROUP_MAX + NAME_ROOM) /* of an exec record, behind argv */

/* The node of the process's cgroup: in the v2 hierarchy; where that is the root, in the v1 memory controller's. */
static __always_inline struct kernfs_node *cgroup_node(struct task_struct *task)
{
	struct css_set *set = BPF_CORE_READ(task, cgroups);
	struct kernfs_node *node = BPF_CORE_READ(set, dfl_cgrp, kn);

	if (kernfs_parent(node) || !bpf_core_enum_value_exists(enum cgroup_subsys_id, memory_cgrp_id))
		return node;
	struct cgroup_subsys_state *css = NULL;
	__u64 index = bpf_core_enum_value(enum cgroup_subsys_id, memory_cgrp_id);
	bpf_probe_read_kernel(&css, sizeof(css), (void *)set + bpf_core_field_offset(struct css_set, subsys) + index * sizeof(css));
	return css ? BPF_CORE_READ(css, cgroup, kn) : node;
}

/*
 * Writes the names of the working directory, innermost first, behind argv,
 * where there is room for EV_CWD_MAX + NAME_ROOM bytes.  A bounded walk up the
 * dentries, over mount points, to the process's root.  The length is kept in
 * the record, not in a register: the verifier forgets what it knew of memory,
 * so all iterations look alike to it and are verified once.
 */
static __always_inline void read_cwd(struct task_struct *task, struct ev_exec *rec, __u8 *out)
{
	volatile __u32 *len = &rec->cwd_len;
	struct fs_struct *fs = BPF_CORE_READ(task, fs);
	struct dentry *dentry = BPF_CORE_READ(fs, pwd.dentry), *root = BPF_CORE_READ(fs, root.dentry);
	struct vfsmount *mnt = BPF_CORE_READ(fs, pwd.mnt), *root_mnt = BPF_CORE_READ(fs, root.mnt);

	*len = 0;
	for (int i = 0; i < EV_CWD_DEPTH; i++) {
		if (!dentry || !mnt || (dentry == root && mnt == root_mnt))
			return;
		if (dentry == BPF_CORE_READ(mnt, mnt_root)) {
			struct mount *m = (void *)mnt - bpf_core_field_offset(struct mount, mnt);
			struct mount *up = BPF_CORE_READ(m, mnt_parent);

			if (up == m)
				return;
			dentry = BPF_CORE_READ(m, mnt_mountpoint);
			mnt = (void *)up + bpf_core_field_offset(struct mount, mnt);
			continue;
		}
		__u64 used = *len;
		if (used >= EV_CWD_MAX)
			break;
		long n = bpf_probe_read_kernel_str(out + used, NAME_ROOM, BPF_CORE_READ(dentry, d_name.name));
		if (n <= 1)
			break;
		*len = used + n;
		dentry = BPF_CORE_READ(dentry, d_parent);
	}
	rec->flags |= EV_EXEC_CWD_CUT;
}

/* The same of the process's cgroup, behind argv and cwd. */
static __always_inline void read_cgroup(struct task_struct *task, struct ev_exec *rec, __u8 *out)
{
	volatile __u32 *len = &rec->cgroup_len;
	struct kernfs_node *node = cgroup_node(task);

	rec->cgroup = BPF_CORE_READ(node, id);
	*len = 0;
	for (int i = 0; i < EV_CGROUP_DEPTH && node; i++) {
		struct kernfs_node *parent = kernfs_parent(node);
		__u64 used = *len;

		if (!parent || used >= EV_CGROUP_MAX)
			return;
		long n = bpf_probe_read_kernel_str(out + used, NAME_ROOM, BPF_CORE_READ(node, name));
		if (n <= 1)
			return;
		*len = used + n;
		node = parent;
	}
}

#endif
