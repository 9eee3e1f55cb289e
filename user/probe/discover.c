/* SPDX-License-Identifier: Apache-2.0 */
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"
#include "probe/discover.h"
#include "probe/mappings.h"
#include "probe/procfs.h"
#include "probe/scan.h"

#define PLAIN_NS 900000000ull /* between two looks at sockets and pipes */

struct discover {
	struct discover_conf conf;
	struct mappings *mappings;
	struct ring_buffer *watch;
	int epoll;
	bool exits;
	bool rescan; /* a process may match that is not followed */
	bool remap;  /* mapping records were lost */
	bool plain; /* sockets and pipes are to be looked through: a process has ended, or one needs system calls */
	uint64_t plain_at; /* when that was done last */
	uint64_t watch_lost;
	uint64_t looked; /* when the mappings of all were walked last */
	struct discover_stats stats;
};

/* --- files --- */

/* `since`: when the process began to use the file. */
static struct file *look_at(struct discover *d, int fd, const char *name, uint64_t since)
{
	struct file *f = NULL;

	if (fd < 0)
		return NULL;
	uint64_t failed_before = attacher_stats(d->conf.attacher)->failed;
	if (attacher_file(d->conf.attacher, fd, name, since, &f) < 0 &&
	    attacher_stats(d->conf.attacher)->failed != failed_before && attacher_error(d->conf.attacher)[0])
		log_warn("%s", attacher_error(d->conf.attacher));
	close(fd);
	return f;
}

static void on_mapping(void *ctx, const struct mapped *m)
{
	struct discover *d = ctx;
	struct files *files = attacher_files(d->conf.attacher);
	struct mapping_key key = {m->dev, m->ino};

	bool want = files_want(files, &key, m->generation);
	struct file *f = files_mapped(files, &key);

	if ((!want && !(f && f->on)) || (!d->conf.cmd && !loader_follows_pid(d->conf.loader, m->pid)))
		return;
	if (!want) {
		f->mapped = m->ts;
		return;
	}
	f = look_at(d, procfs_open_mapping(m->pid, m->addr, m->len, m->name), m->name, m->ts);
	files_map(files, &key, m->generation, f);
}

/* What one process maps now. */
struct walk {
	struct discover *d;
	uint64_t since; /* when it began to */
	uint64_t now;
};

static void on_mapped(void *ctx, pid_t pid, const struct procfs_mapping *m)
{
	struct walk *w = ctx;
	struct files *files = attacher_files(w->d->conf.attacher);
	struct mapping_key key = {(uint64_t)m->maj << 32 | m->min, m->ino};

	if (files_want(files, &key, GENERATION_UNKNOWN))
		files_map(files, &key, GENERATION_UNKNOWN,
		          look_at(w->d, procfs_open_mapping(pid, m->start, m->end - m->start, m->name),
		                  m->name, w->since));
	struct file *f = files_mapped(files, &key);
	if (f)
		f->mapped = w->now;
}

/* False: it may not be looked at, or is not visible here. */
static bool walk(struct discover *d, const struct ev_proc *proc, uint64_t since)
{
	struct walk w = {d, since, clock_boot_ns()};
	int err = proc->pid ? procfs_each_mapping((pid_t)proc->pid, on_mapped, &w) : -ESRCH;

	return !err || (proc->pid && (err == -ESRCH || err == -ENOENT));
}

struct round {
	struct discover *d;
	bool all; /* were looked at */
};

static void walk_followed(void *ctx, const struct followed *f)
{
	struct round *r = ctx;

	if (!walk(r->d, &f->proc, f->exec_ts))
		r->all = false;
}

#ifdef SPANTAP_TEST_HOOKS
static uint64_t release_ns(void)
{
	const char *ms = getenv("SPANTAP_TEST_RELEASE_MS");

	return ms ? (uint64_t)atoi(ms) * 1000000 : RELEASE_NS;
}
#else
static uint64_t release_ns(void)
{
	return RELEASE_NS;
}
#endif

/* Looks at what all followed processes map. Only when none is hidden from us may a file be said to be unused.
 */
static void walk_all(struct discover *d)
{
	struct round r = {d, true};

	d->remap = false;
	d->looked = clock_boot_ns();
	loader_each_followed(d->conf.loader, walk_followed, &r);
	if (r.all && d->looked > release_ns())
		attacher_retire(d->conf.attacher, d->looked - release_ns());
}

/* --- processes that run already --- */

/* Their records are those of a fork and of an exec, made of what the kernel and /proc say now. */
static void tell(struct discover *d, const struct process_facts *f)
{
	struct ev_fork fork = {.head = {.type = EV_FORK, .size = sizeof(fork), .ts = f->exec.head.ts},
	                       .parent = f->parent,
	                       .child = f->exec.proc};
	struct ev_exec exec = f->exec;
	struct buf rec = {0};

	buf_add(&rec, &exec, sizeof(exec));
	int cut =
	    f->exec.proc.pid ? procfs_arguments((pid_t)f->exec.proc.pid, EV_ARGV_MAX - 1, &rec) : -ESRCH;
	exec.argv_len = (uint32_t)(rec.n - sizeof(exec));
	exec.flags |= cut ? EV_EXEC_ARGV_CUT : 0;
	buf_add(&rec, f->exec.data, f->exec.cwd_len + f->exec.cgroup_len);
	exec.head.size = (uint32_t)rec.n;
	memcpy(rec.p, &exec, sizeof(exec));

	if (f->parent.tgid && d->conf.record(d->conf.ctx, &fork.head))
		d->stats.not_told++;
	if (d->conf.record(d->conf.ctx, (const struct ev_head *)(const void *)rec.p))
		d->stats.not_told++;
	buf_release(&rec);
}

static void on_followed(void *ctx, const struct process_facts *f)
{
	struct discover *d = ctx;

	if (!walk(d, &f->exec.proc, f->exec.proc.start))
		d->stats.unreadable++;
}

/* --- what only the tracepoint of system calls shows --- */

static void need_syscalls(struct discover *d)
{
	int err;

	if (loader_has_syscalls(d->conf.loader))
		return;
	err = loader_syscalls(d->conf.loader, true);
	if (err && d->stats.syscalls++ == 0)
		log_warn("cannot watch the pipes of MCP servers: %s", strerror(-err));
	else if (!err)
		d->stats.syscalls++;
	d->plain = true;
	d->plain_at = clock_boot_ns();
}

/* The tracepoint costs every process of the host: it goes as soon as nothing needs it. */
static void look_through_plain(struct discover *d)
{
	uint64_t now = clock_boot_ns();

	if (!d->plain || now - d->plain_at < PLAIN_NS)
		return;
	d->plain_at = now;
	if (!loader_sweep_plain(d->conf.loader, now))
		loader_syscalls(d->conf.loader, false);
	d->plain = loader_has_syscalls(d->conf.loader);
}

static void on_found(void *ctx, const struct process_facts *f)
{
	struct discover *d = ctx;

	d->stats.found++;
	tell(d, f);
	if (loader_follows(d->conf.loader, &f->parent)) {
		loader_stdio_found(d->conf.loader, f);
		if (f->stdio_pipe)
			need_syscalls(d);
	}
}

static const struct scan_events scan_events = {on_followed, on_found};

static int scan(struct discover *d)
{
	int err = scan_processes(d->conf.loader, d->conf.selection, &scan_events, d);

	d->rescan = false;
	select_pids_done(d->conf.selection);
	if (err == -E2BIG)
		log_warn("too many processes: not all are followed");
	else if (err)
		log_warn("cannot look at the processes that run already: %s", strerror(-err));
	return err == -E2BIG ? 0 : err;
}

/* --- the watch ring --- */

static void warn_blind(struct discover *d, const struct ev_watch *w)
{
	struct buf comm = {0}, text = {0};

	if (d->stats.blind++ == 0) {
		if (w->proc.pid)
			procfs_comm((pid_t)w->proc.pid, &comm);
		text_escape(&text, buf_slice(&comm));
		log_warn("process %u%s%s%s has ended: it had TLS on the wire, but no plaintext was seen: see "
		         "'spantap status'",
		         w->proc.pid, text.n ? " (" : "", buf_str(&text), text.n ? ")" : "");
	}
	buf_release(&comm);
	buf_release(&text);
}

/* The program itself, should its mapping record be lost; and the records of a process that the kernel hides
 * from us. */
static void on_exec(struct discover *d, const struct ev_watch *w)
{
	pid_t pid = (pid_t)w->proc.pid;

	if (!pid)
		return;
	if (d->conf.cmd && procfs_events_lost(pid) && mappings_add(d->mappings, pid) == 0)
		log_info("process %d changed its user: watched on its own", pid);
	walk(d, &w->proc, w->head.ts);
}

static int on_watch(void *ctx, void *data, size_t size)
{
	const struct ev_watch *w = data;
	struct discover *d = ctx;

	if (size < sizeof(*w))
		return 0;
	switch (w->what) {
	case EV_WATCH_EXIT:
		d->exits = d->plain = true;
		if (w->wire && !w->plain)
			warn_blind(d, w);
		break;
	case EV_WATCH_EXEC:
		on_exec(d, w);
		break;
	case EV_WATCH_ASK:
		if (w->proc.pid && d->conf.selection &&
		    select_asked(d->conf.selection, d->conf.loader, (pid_t)w->proc.pid))
			d->rescan = true;
		break;
	case EV_WATCH_PLAIN:
		need_syscalls(d);
		break;
	default:
		break;
	}
	return 0;
}

/* Words of the kernel side that were lost may have been about any process. */
static void look_for_lost(struct discover *d)
{
	uint64_t lost = loader_count(d->conf.loader, EV_COUNT_WATCH_LOST);

	if (lost == d->watch_lost)
		return;
	d->watch_lost = lost;
	d->remap = true;
	d->rescan = d->conf.selection != NULL;
}

/* --- the module --- */

static int add_fd(const struct discover *d, int fd)
{
	struct epoll_event ev = {.events = EPOLLIN};

	return epoll_ctl(d->epoll, EPOLL_CTL_ADD, fd, &ev) ? -errno : 0;
}

static int set_up(struct discover *d)
{
	int watch_fd = loader_watch_ring_fd(d->conf.loader), err;

	d->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (d->epoll < 0)
		return -errno;
	d->watch = ring_buffer__new(watch_fd, on_watch, d, NULL);
	if (!d->watch)
		return -errno;
	d->mappings = mappings_open(d->conf.cmd ? d->conf.cmd : MAPPINGS_ALL);
	if (!d->mappings)
		return -errno;
	err = add_fd(d, watch_fd);
	if (!err)
		err = add_fd(d, mappings_fd(d->mappings));
	if (!err && d->conf.selection)
		err = select_arm(d->conf.selection, d->conf.loader);
	return !err && d->conf.selection ? scan(d) : err;
}

struct discover *discover_start(const struct discover_conf *conf)
{
	struct discover *d = xcalloc(1, sizeof(*d));
	int err;

	d->conf = *conf;
	d->epoll = -1;
	d->looked = clock_boot_ns();
	err = set_up(d);
	if (!err)
		return d;
	discover_stop(d);
	errno = -err;
	return NULL;
}

int discover_select(struct discover *d, struct selection *s)
{
	int err = select_rearm(d->conf.selection, s, d->conf.loader);

	d->conf.selection = s;
	return err ? err : scan(d);
}

int discover_fd(const struct discover *d)
{
	return d->epoll;
}

void discover_work(struct discover *d, bool *ret_exits)
{
	ring_buffer__consume(d->watch);
	d->remap |= mappings_read(d->mappings, on_mapping, d);
	if (d->rescan)
		scan(d);
	*ret_exits = d->exits;
	d->exits = false;
}

void discover_tick(struct discover *d)
{
	look_for_lost(d);
	look_through_plain(d);
	if (d->rescan)
		scan(d);
	if (d->remap || clock_boot_ns() - d->looked > release_ns() / 2)
		walk_all(d);
}

void discover_stop(struct discover *d)
{
	if (!d)
		return;
	mappings_close(d->mappings);
	loader_syscalls(d->conf.loader, false);
	ring_buffer__free(d->watch);
	if (d->epoll >= 0)
		close(d->epoll);
	free(d);
}

const struct discover_stats *discover_stats(const struct discover *d)
{
	return &d->stats;
}
