/* SPDX-License-Identifier: Apache-2.0 */
#include <ctype.h>
#include <errno.h>
#include <fnmatch.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/text.h"
#include "probe/procfs.h"
#include "probe/select.h"

#define CONTAINER_ID 64 /* hexadecimal digits: docker, podman, containerd, cri-o */

/* --- parsing --- */

static bool wrong(struct buf *ret_error, const char *what, const char *text)
{
	buf_adds(ret_error, what);
	buf_adds(ret_error, " '");
	text_escape(ret_error, slice_str(text));
	buf_addc(ret_error, '\'');
	return false;
}

static bool add_pid(struct select_rule *r, struct buf *ret_error)
{
	uint64_t pid;

	if (!slice_u64(slice_str(r->text), &pid) || pid == 0 || pid > INT_MAX)
		return wrong(ret_error, "no process id:", r->text);
	pid_t leader = procfs_leader((pid_t)pid);
	if (leader < 0)
		return wrong(ret_error, "there is no process", r->text);
	if (leader != (pid_t)pid) {
		buf_addf(ret_error, "%d is a thread of process %d", (int)pid, (int)leader);
		return false;
	}
	r->pid = leader;
	return true;
}

/* The id of the cgroup at `path`, 0: there is none. */
static uint64_t cgroup_id(const char *path)
{
	struct statfs fs;
	struct stat st;

	if (statfs(path, &fs) || (fs.f_type != CGROUP2_SUPER_MAGIC && fs.f_type != CGROUP_SUPER_MAGIC))
		return 0;
	return stat(path, &st) == 0 && S_ISDIR(st.st_mode) ? st.st_ino : 0;
}

/* As a directory, else as a path in the hierarchies where they are mounted by custom. */
static bool add_cgroup(struct select_rule *r, struct buf *ret_error)
{
	static const char *const mounts[] = {"", "/sys/fs/cgroup/", "/sys/fs/cgroup/unified/",
	                                     "/sys/fs/cgroup/memory/"};
	struct buf path = {0};

	for (size_t i = 0; i < sizeof(mounts) / sizeof(mounts[0]) && !r->cgroup; i++) {
		buf_clear(&path);
		buf_addf(&path, "%s%s", mounts[i], r->text);
		r->cgroup = cgroup_id(buf_str(&path));
	}
	if (!r->cgroup) {
		buf_release(&path);
		return wrong(ret_error, "there is no cgroup", r->text);
	}
	free(r->text);
	r->text = xstrdup(buf_str(&path));
	buf_release(&path);
	return true;
}

static bool add_container(struct select_rule *r, struct buf *ret_error)
{
	size_t n = strlen(r->text);

	for (size_t i = 0; i < n; i++)
		r->text[i] = (char)tolower((unsigned char)r->text[i]);
	if (n < 1 || n > CONTAINER_ID || strspn(r->text, "0123456789abcdef") != n)
		return wrong(ret_error, "no container id (hexadecimal digits):", r->text);
	return true;
}

static bool is_pattern(const char *text)
{
	return strpbrk(text, "*?[") != NULL;
}

/* A path that is there is meant as the file it leads to. */
static bool add_exe(struct select_rule *r, struct buf *ret_error)
{
	char real[PATH_MAX];

	if (!*r->text)
		return wrong(ret_error, "no executable:", r->text);
	if (strchr(r->text, '/') && !is_pattern(r->text) && realpath(r->text, real)) {
		free(r->text);
		r->text = xstrdup(real);
	}
	return true;
}

static bool add_comm(struct select_rule *r, struct buf *ret_error)
{
	return *r->text ? true : wrong(ret_error, "no name:", r->text);
}

static const struct {
	const char *word;
	bool (*add)(struct select_rule *r, struct buf *ret_error);
} rules[] = {
    [SELECT_BY_PID] = {"process", add_pid},
    [SELECT_BY_CGROUP] = {"cgroup", add_cgroup},
    [SELECT_BY_COMM] = {"comm", add_comm},
    [SELECT_BY_EXE] = {"exe", add_exe},
    [SELECT_BY_CONTAINER] = {"container", add_container},
};

bool select_add(struct selection *s, enum select_by by, const char *text, struct buf *ret_error)
{
	struct select_rule r = {.by = by, .text = xstrdup(text)};

	if (!rules[by].add(&r, ret_error)) {
		free(r.text);
		return false;
	}
	xgrow(&s->v, &s->cap, s->n + 1, sizeof(*s->v));
	s->v[s->n++] = r;
	return true;
}

void select_release(struct selection *s)
{
	for (size_t i = 0; i < s->n; i++)
		free(s->v[i].text);
	free(s->v);
	*s = (struct selection){0};
}

void select_words(const struct selection *s, struct buf *out)
{
	if (s->n == 0)
		buf_adds(out, "the whole host");
	for (size_t i = 0; i < s->n; i++) {
		buf_addf(out, "%s%s ", i ? ", " : "", rules[s->v[i].by].word);
		text_escape(out, slice_str(s->v[i].text));
	}
}

/* --- what the kernel decides --- */

static struct select_key comm_key(const char *text)
{
	char comm[EV_COMM] = "";
	struct select_key key = {.kind = SELECT_COMM};

	snprintf(comm, sizeof(comm), "%s", text);
	memcpy(&key.a, comm, sizeof(key.a));
	memcpy(&key.b, comm + sizeof(key.a), sizeof(key.b));
	return key;
}

/* The kernel's own form of a device number, include/linux/kdev_t.h. */
static uint64_t kernel_dev(dev_t dev)
{
	return (uint64_t)major(dev) << 20 | minor(dev);
}

/* False: not before user space looks. */
static bool kernel_key(const struct select_rule *r, struct select_key *ret)
{
	struct stat st;

	if (r->by == SELECT_BY_COMM)
		*ret = comm_key(r->text);
	else if (r->by == SELECT_BY_CGROUP && r->cgroup)
		*ret = (struct select_key){.kind = SELECT_CGROUP, .a = r->cgroup};
	else if (r->by == SELECT_BY_EXE && strchr(r->text, '/') && !is_pattern(r->text) &&
	         stat(r->text, &st) == 0)
		*ret = (struct select_key){.kind = SELECT_EXE, .a = kernel_dev(st.st_dev), .b = st.st_ino};
	else
		return false;
	return true;
}

int select_arm(const struct selection *s, struct loader *l)
{
	int err = 0;

	if (s->n == 0)
		loader_follow_all(l);
	for (size_t i = 0; !err && i < s->n; i++) {
		const struct select_rule *r = &s->v[i];
		struct select_key key;

		if (kernel_key(r, &key))
			err = loader_select(l, &key);
		/* Files and cgroups may be replaced by others of the same name. */
		if (r->by != SELECT_BY_PID && r->by != SELECT_BY_COMM)
			loader_ask(l);
	}
	return err;
}

static bool asks_for(const struct selection *s, const struct select_key *key)
{
	struct select_key k;

	for (size_t i = 0; i < s->n; i++)
		if (kernel_key(&s->v[i], &k) && memcmp(&k, key, sizeof(k)) == 0)
			return true;
	return false;
}

int select_rearm(const struct selection *old, const struct selection *s, struct loader *l)
{
	struct select_key key;
	int err = select_arm(s, l);

	for (size_t i = 0; i < old->n; i++)
		if (kernel_key(&old->v[i], &key) && !asks_for(s, &key))
			loader_unselect(l, &key);
	if (s->n)
		loader_follow_some(l);
	return err;
}

/* --- what user space decides --- */

static bool exe_matches(const char *pattern, pid_t pid)
{
	char exe[PATH_MAX];

	if (pid <= 0 || procfs_exe(pid, exe, sizeof(exe)))
		return false;
	const char *base = strrchr(exe, '/');
	return fnmatch(pattern, strchr(pattern, '/') || !base ? exe : base + 1, 0) == 0;
}

/* Whether a name in a cgroup's path holds a container id that begins so: "docker-ID.scope", "libpod-ID", "ID"
 * … */
static bool names_container(struct slice name, const char *prefix)
{
	size_t digits = 0;

	for (size_t i = 0; i <= name.n; i++) {
		if (i < name.n && isxdigit((unsigned char)name.p[i])) {
			digits++;
			continue;
		}
		if (digits == CONTAINER_ID && memcmp(name.p + i - digits, prefix, strlen(prefix)) == 0)
			return true;
		digits = 0;
	}
	return false;
}

static bool in_cgroup(const struct process_facts *f, uint64_t id)
{
	for (int i = 0; id && i < EV_CGROUP_DEPTH; i++)
		if (f->cgroups[i] == id)
			return true;
	return false;
}

static bool rule_matches(const struct select_rule *r, const struct process_facts *f)
{
	switch (r->by) {
	case SELECT_BY_PID:
		return r->pid && f->exec.proc.pid == (uint32_t)r->pid;
	case SELECT_BY_CGROUP:
		return in_cgroup(f, r->cgroup);
	case SELECT_BY_COMM:
		return strncmp(r->text, f->exec.comm, EV_COMM - 1) == 0;
	case SELECT_BY_EXE:
		return exe_matches(r->text, (pid_t)f->exec.proc.pid);
	default:
		return names_container(slice_of(f->exec.data + f->exec.cwd_len, f->exec.cgroup_len), r->text);
	}
}

bool select_matches(const struct selection *s, const struct self *self, const struct process_facts *f)
{
	if (f->exec.dev == self->dev && f->exec.ino == self->ino)
		return false;
	for (size_t i = 0; i < s->n; i++)
		if (rule_matches(&s->v[i], f))
			return true;
	return s->n == 0;
}

void select_pids_done(struct selection *s)
{
	for (size_t i = 0; i < s->n; i++)
		s->v[i].pid = 0;
}

/* A cgroup that was removed and made again, as at the restart of a service, has another id. */
static bool cgroup_is_new(struct select_rule *r, struct loader *l)
{
	uint64_t id = cgroup_id(r->text);
	struct select_key key;

	if (!id || id == r->cgroup)
		return false;
	r->cgroup = id;
	if (kernel_key(r, &key))
		loader_select(l, &key);
	return true;
}

static bool container_asked(const struct select_rule *r, pid_t pid)
{
	struct buf text = {0};
	bool found = procfs_cgroups(pid, &text) == 0 && names_container(buf_slice(&text), r->text);

	buf_release(&text);
	return found;
}

bool select_asked(struct selection *s, struct loader *l, pid_t pid)
{
	for (size_t i = 0; i < s->n; i++) {
		struct select_rule *r = &s->v[i];

		if ((r->by == SELECT_BY_CGROUP && cgroup_is_new(r, l)) ||
		    (r->by == SELECT_BY_EXE && exe_matches(r->text, pid)) ||
		    (r->by == SELECT_BY_CONTAINER && container_asked(r, pid)))
			return true;
	}
	return false;
}
