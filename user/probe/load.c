/* SPDX-License-Identifier: Apache-2.0 */
#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "probe/load.h"
#include "probe/safety.h"
#include "spantap.skel.h"
#include "target/target.h"

#define STDIO_SILENT_NS 3000000000ull /* a client of MCP speaks as soon as it has started the server */

struct loader {
	struct spantap_bpf *bpf;
	unsigned caps; /* enum loader_cap */
	struct bpf_link *syscalls; /* NULL: not attached */
};

/* The last thing that libbpf complained about: the best description there is. */
static char complaint[512];

static int keep_complaint(enum libbpf_print_level level, const char *fmt, va_list ap)
{
	if (level == LIBBPF_WARN && !complaint[0]) {
		vsnprintf(complaint, sizeof(complaint), fmt, ap);
		complaint[strcspn(complaint, "\n")] = '\0';
	}
	return 0;
}

static int fail(struct buf *ret_error, const char *what, int err)
{
	buf_addf(ret_error, "cannot %s: %s%s%s; run 'spantap doctor' to see what this kernel and user lack", what,
		 strerror(-err), complaint[0] ? ": " : "", complaint);
	return err;
}

/* --- what the kernel has --- */

static bool has_helper(enum bpf_func_id id)
{
	return libbpf_probe_bpf_helper(BPF_PROG_TYPE_KPROBE, id, NULL) == 1;
}

static bool has_type(const char *name, unsigned kind)
{
	struct btf *btf = btf__load_vmlinux_btf();
	bool found = btf && btf__find_by_name_kind(btf, name, kind) > 0;

	btf__free(btf);
	return found;
}

static enum uprobe_kind best_kind(unsigned caps)
{
	return caps & LOADER_MULTI ? UPROBE_MULTI : UPROBE_PERF;
}

/* Each builds on those before. */
static int find_caps(unsigned without, unsigned *ret_caps)
{
	unsigned caps = 0, allowed = LOADER_ALL & ~without;

	if (allowed & LOADER_COOKIES && has_helper(BPF_FUNC_get_attach_cookie))
		caps |= LOADER_COOKIES;
	if (caps & LOADER_COOKIES && allowed & LOADER_LOOP && has_helper(BPF_FUNC_loop))
		caps |= LOADER_LOOP;
	if (caps & LOADER_LOOP && allowed & LOADER_EXACT && has_type("bpf_probe_read_user_dynptr", BTF_KIND_FUNC))
		caps |= LOADER_EXACT;
	if (caps & LOADER_LOOP && allowed & LOADER_SOCKETS && has_type("btf_trace_sock_send_length", BTF_KIND_TYPEDEF))
		caps |= LOADER_SOCKETS;
	if (caps & LOADER_COOKIES && allowed & LOADER_MULTI && uprobe_supported(UPROBE_MULTI))
		caps |= LOADER_MULTI;
	if (allowed & LOADER_RETURN_PROBE) {
		int safe = safety_return_probe(best_kind(caps));

		if (safe < 0)
			return safe;
		if (safe)
			caps |= LOADER_RETURN_PROBE;
	}
	if (!(~caps & (LOADER_LOOP | LOADER_MULTI | LOADER_RETURN_PROBE)) && allowed & LOADER_SESSION && uprobe_supported(UPROBE_SESSION))
		caps |= LOADER_SESSION;
	*ret_caps = caps;
	return 0;
}

/* --- loading --- */

/* Of programs that exist in several forms: those for this kernel. */
static void choose_programs(struct loader *l)
{
	struct spantap_bpf *b = l->bpf;
	bool loop = l->caps & LOADER_LOOP, session = l->caps & LOADER_SESSION, sockets = l->caps & LOADER_SOCKETS;
	struct bpf_program *const old[] = {b->progs.tls_write, b->progs.tls_write_ex, b->progs.tls_write_ex2,
					   b->progs.tls_read,  b->progs.tls_read_ex,  b->progs.tls_leave_no_loop,
					   b->progs.tls_flush, b->progs.tls_init,     b->progs.tls_read_flags, b->progs.go_write_no_loop,
					   b->progs.go_leave_no_loop};

	for (size_t i = 0; i < sizeof(old) / sizeof(old[0]); i++)
		bpf_program__set_autoload(old[i], !loop);
	bpf_program__set_autoload(b->progs.tls_session, session);
	bpf_program__set_autoload(b->progs.tls_enter, loop && !session);
	bpf_program__set_autoload(b->progs.tls_leave, loop && !session);
	bpf_program__set_autoload(b->progs.go_write, loop);
	bpf_program__set_autoload(b->progs.go_leave, loop);
	bpf_program__set_autoload(b->progs.on_prepare_exec, has_type("btf_trace_sched_prepare_exec", BTF_KIND_TYPEDEF));
	bpf_program__set_autoload(b->progs.on_sock_send, sockets);
	bpf_program__set_autoload(b->progs.on_sock_recv, sockets);
	bpf_program__set_autoload(b->progs.rustls_send, loop);
	bpf_program__set_autoload(b->progs.rustls_sent, loop);
	bpf_program__set_autoload(b->progs.rustls_encrypt, loop);
	bpf_program__set_autoload(b->progs.rustls_consume, loop);
	bpf_map__set_autocreate(loop ? b->maps.calls_hash : b->maps.calls, false);
}

static void set_knobs(struct loader *l)
{
	struct spantap_bpf *b = l->bpf;

	b->rodata->wake_at = bpf_map__max_entries(b->maps.data_ring) / 4;
	b->rodata->page_size = (__u32)sysconf(_SC_PAGESIZE);
	b->rodata->has_task_storage = l->caps & LOADER_LOOP;
	b->rodata->has_exact_records = l->caps & LOADER_EXACT;
	b->rodata->has_cookies = l->caps & LOADER_COOKIES;
	b->rodata->has_socket_events = l->caps & LOADER_SOCKETS;
	if (getrandom(&b->rodata->pair_key, sizeof(b->rodata->pair_key), 0) == sizeof(b->rodata->pair_key))
		b->rodata->pair_key |= 1;
	b->rodata->return_by_ret = !(l->caps & LOADER_RETURN_PROBE);
}

static enum uprobe_kind kind_of(const struct loader *l, const struct bpf_program *prog)
{
	return prog == l->bpf->progs.tls_session ? UPROBE_SESSION : best_kind(l->caps);
}

/* Programs are loaded for the interface that attaches them. */
static void set_attach_types(struct loader *l)
{
	struct bpf_program *prog;

	bpf_object__for_each_program(prog, l->bpf->obj)
		if (bpf_program__type(prog) == BPF_PROG_TYPE_KPROBE)
			bpf_program__set_expected_attach_type(prog, (enum bpf_attach_type)uprobe_attach_type(kind_of(l, prog)));
}

/* Our own ids, as the initial pid namespace sees them: a program run once in our own context. */
static int learn_self(struct loader *l)
{
	LIBBPF_OPTS(bpf_test_run_opts, opts);

	return bpf_prog_test_run_opts(bpf_program__fd(l->bpf->progs.whoami), &opts);
}

static int attach_tracepoints(struct loader *l)
{
	struct spantap_bpf *b = l->bpf;
	struct {
		struct bpf_program *prog;
		struct bpf_link **link;
	} const all[] = {
	    {b->progs.on_fork, &b->links.on_fork},         {b->progs.on_exec, &b->links.on_exec},
	    {b->progs.on_exit, &b->links.on_exit},         {b->progs.on_tcp_state, &b->links.on_tcp_state},
	    {b->progs.on_tcp_read, &b->links.on_tcp_read}, {b->progs.on_sock_send, &b->links.on_sock_send},
	    {b->progs.on_sock_recv, &b->links.on_sock_recv}, {b->progs.on_prepare_exec, &b->links.on_prepare_exec},
	};

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		if (!bpf_program__autoload(all[i].prog))
			continue;
		*all[i].link = bpf_program__attach(all[i].prog);
		if (!*all[i].link)
			return -errno;
	}
	if (l->caps & LOADER_SOCKETS)
		b->bss->control.sockets_ts = clock_boot_ns();
	return 0;
}

#ifdef SPANTAP_TEST_HOOKS
/* Tests make losses certain with a small ring, and try what older kernels do. */
static void resize_rings(struct spantap_bpf *bpf)
{
	const char *data = getenv("SPANTAP_TEST_DATA_RING"), *life = getenv("SPANTAP_TEST_LIFE_RING");

	if (data)
		bpf_map__set_max_entries(bpf->maps.data_ring, (__u32)atoi(data));
	if (life)
		bpf_map__set_max_entries(bpf->maps.life_ring, (__u32)atoi(life));
}

static unsigned test_without(void)
{
	const char *without = getenv("SPANTAP_TEST_WITHOUT");

	return without ? (unsigned)strtoul(without, NULL, 0) : 0;
}
#else
static void resize_rings(struct spantap_bpf *bpf)
{
	(void)bpf;
}

static unsigned test_without(void)
{
	return 0;
}
#endif

static int set_up(struct loader *l, unsigned without, struct buf *ret_error)
{
	int err = find_caps(without, &l->caps);

	if (err)
		return fail(ret_error, "place a return probe", err);
	l->bpf = spantap_bpf__open();
	if (!l->bpf)
		return fail(ret_error, "open the BPF object", -errno);
	resize_rings(l->bpf);
	choose_programs(l);
	set_knobs(l);
	set_attach_types(l);
	err = spantap_bpf__load(l->bpf);
	if (err)
		return fail(ret_error, "load the BPF programs", err);
	err = learn_self(l);
	if (err)
		return fail(ret_error, "run a BPF program", err);
	err = attach_tracepoints(l);
	if (err)
		return fail(ret_error, "attach to process events", err);
	return 0;
}

struct loader *loader_new(const struct loader_options *opt, struct buf *ret_error)
{
	struct loader *l = xcalloc(1, sizeof(*l));

	libbpf_set_print(keep_complaint);
	complaint[0] = '\0';
	if (set_up(l, (opt ? opt->without : 0) | test_without(), ret_error) == 0)
		return l;
	loader_free(l);
	return NULL;
}

void loader_free(struct loader *l)
{
	if (!l)
		return;
	bpf_link__destroy(l->syscalls);
	spantap_bpf__destroy(l->bpf);
	free(l);
}

unsigned loader_caps(const struct loader *l)
{
	return l->caps;
}

int loader_data_ring_fd(const struct loader *l)
{
	return bpf_map__fd(l->bpf->maps.data_ring);
}

int loader_life_ring_fd(const struct loader *l)
{
	return bpf_map__fd(l->bpf->maps.life_ring);
}

int loader_watch_ring_fd(const struct loader *l)
{
	return bpf_map__fd(l->bpf->maps.watch_ring);
}

int loader_idle_fd(const struct loader *l)
{
	return bpf_map__fd(l->bpf->maps.idle);
}

/* --- programs for functions --- */

static struct loader_program program(const struct loader *l, const struct bpf_program *prog)
{
	if (!prog)
		return (struct loader_program){.fd = -1};
	return (struct loader_program){.fd = bpf_program__fd(prog), .kind = kind_of(l, prog)};
}

/* Whether entry and return of a function belong together. */
static bool is_call(int func)
{
	return func < TARGET_NEW;
}

static struct bpf_program *go_entry(const struct loader *l, int func)
{
	const struct spantap_bpf *b = l->bpf;

	if (func == TARGET_WRITE_RECORD)
		return l->caps & LOADER_LOOP ? b->progs.go_write : b->progs.go_write_no_loop;
	return func == TARGET_READ                            ? b->progs.go_read
	       : func == TARGET_BEGIN || func == TARGET_BEGIN2 ? b->progs.go_handshake
	       : func == TARGET_FREE                         ? b->progs.go_close
							     : NULL;
}

/* Its programs need bpf_loop. */
static struct bpf_program *rustls_entry(const struct loader *l, int func)
{
	const struct spantap_bpf *b = l->bpf;

	if (!(l->caps & LOADER_LOOP))
		return NULL;
	return func == TARGET_RUSTLS_SEND      ? b->progs.rustls_send
	       : func == TARGET_RUSTLS_ENCRYPT ? b->progs.rustls_encrypt
	       : func == TARGET_RUSTLS_CONSUME ? b->progs.rustls_consume
					       : NULL;
}

struct loader_program loader_entry(const struct loader *l, uint32_t lib, int func)
{
	const struct spantap_bpf *b = l->bpf;
	struct bpf_program *const by_func[TARGET_FUNCS] = {
	    [TARGET_WRITE] = b->progs.tls_write,         [TARGET_WRITE_EX] = b->progs.tls_write_ex,
	    [TARGET_WRITE_EX2] = b->progs.tls_write_ex2, [TARGET_WRITE2] = b->progs.tls_write,
	    [TARGET_READ] = b->progs.tls_read,           [TARGET_READ_EX] = b->progs.tls_read_ex,
	    [TARGET_READ2] = b->progs.tls_read,          [TARGET_READ_FLAGS] = b->progs.tls_read_flags, [TARGET_FLUSH] = b->progs.tls_flush,
	    [TARGET_INIT] = b->progs.tls_init,           [TARGET_FREE] = b->progs.tls_free,
	    [TARGET_CTRL] = b->progs.tls_ctrl,           [TARGET_SNI] = b->progs.tls_sni,
	    [TARGET_CLEAR] = b->progs.tls_clear,         [TARGET_BEGIN] = b->progs.tls_begin,
	    [TARGET_BEGIN2] = b->progs.tls_begin,        [TARGET_HANDSHAKE] = b->progs.tls_handshake,
	};

	if (lib == EV_LIB_GO)
		return program(l, go_entry(l, func));
	if (lib == EV_LIB_RUSTLS)
		return program(l, rustls_entry(l, func));
	if (is_call(func) && l->caps & LOADER_SESSION)
		return program(l, b->progs.tls_session);
	if (is_call(func) && l->caps & LOADER_LOOP)
		return program(l, b->progs.tls_enter);
	return program(l, by_func[func]);
}

struct loader_program loader_return(const struct loader *l, uint32_t lib, int func)
{
	const struct spantap_bpf *b = l->bpf;

	if (func == TARGET_NEW)
		return program(l, b->progs.tls_new);
	if (!is_call(func) || !target_returns((enum target_func)func))
		return program(l, NULL);
	if (lib == EV_LIB_GO)
		return program(l, l->caps & LOADER_LOOP ? b->progs.go_leave : b->progs.go_leave_no_loop);
	if (lib == EV_LIB_RUSTLS)
		return program(l, l->caps & LOADER_LOOP ? b->progs.rustls_sent : NULL);
	if (l->caps & LOADER_SESSION)
		return program(l, NULL);
	return program(l, l->caps & LOADER_LOOP ? b->progs.tls_leave : b->progs.tls_leave_no_loop);
}

uint64_t loader_cookie(int func, uint32_t lib, uint64_t attached)
{
	uint32_t shape = func == TARGET_WRITE_EX || func == TARGET_READ_EX ? SHAPE_EX
			 : func == TARGET_WRITE_EX2                         ? SHAPE_EX2
			 : func == TARGET_READ_FLAGS                        ? SHAPE_FLAGS
			 : func == TARGET_FLUSH                             ? SHAPE_FLUSH
			 : func == TARGET_INIT                              ? SHAPE_INIT
									    : SHAPE_PLAIN;

	return COOKIE(lib, target_reads(func) ? EV_DIR_READ : EV_DIR_WRITE, shape, attached);
}

/* --- which processes --- */

void loader_arm(struct loader *l)
{
	l->bpf->bss->control.armed = 1;
}

void loader_follow_all(struct loader *l)
{
	l->bpf->bss->control.all = 1;
}

int loader_follow(struct loader *l, const struct ev_proc *proc)
{
	struct followed f = {.proc = *proc, .exec_ts = proc->start};
	int err = bpf_map_update_elem(bpf_map__fd(l->bpf->maps.followed), &proc->tgid, &f, BPF_NOEXIST);

	return err && errno != EEXIST ? -errno : 0;
}

bool loader_unfollow(struct loader *l, const struct ev_proc *proc)
{
	bool gone = loader_follows(l, proc) && bpf_map_delete_elem(bpf_map__fd(l->bpf->maps.followed), &proc->tgid) == 0;

	l->bpf->bss->control.epoch += gone;
	return gone;
}

bool loader_follows(const struct loader *l, const struct ev_proc *proc)
{
	struct followed f;

	return bpf_map_lookup_elem(bpf_map__fd(l->bpf->maps.followed), &proc->tgid, &f) == 0 && f.proc.start == proc->start;
}

static bool follows_tgid(const struct loader *l, __u32 tgid)
{
	struct followed f;

	return bpf_map_lookup_elem(bpf_map__fd(l->bpf->maps.followed), &tgid, &f) == 0;
}

bool loader_follows_pid(const struct loader *l, pid_t pid)
{
	return pid > 0 && (l->bpf->bss->self.level || follows_tgid(l, (__u32)pid));
}

/* Calls fn for the records that the iterator has written. */
static void each_facts(const struct buf *all, void (*fn)(void *ctx, const struct process_facts *f), void *ctx)
{
	union {
		struct process_facts facts;
		char room[sizeof(struct process_facts) + 4096];
	} one;
	uint32_t size;

	for (size_t at = 0; all->n - at >= sizeof(struct process_facts); at += size) {
		memcpy(&size, all->p + at, sizeof(size));
		if (size < sizeof(struct process_facts) || size > sizeof(one) || size > all->n - at)
			return;
		memcpy(&one, all->p + at, size); /* sizes are not multiples of 8 */
		fn(ctx, &one.facts);
	}
}

static int read_all(int fd, struct buf *ret)
{
	ssize_t n;

	do {
		buf_reserve(ret, 65536);
		n = read(fd, ret->p + ret->n, 65536);
		if (n > 0)
			ret->n += (size_t)n;
	} while (n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR)));
	return n < 0 ? -errno : 0;
}

int loader_each_process(const struct loader *l, void (*fn)(void *ctx, const struct process_facts *f), void *ctx)
{
	struct bpf_link *link = bpf_program__attach_iter(l->bpf->progs.each_process, NULL);
	int fd = link ? bpf_iter_create(bpf_link__fd(link)) : -1;
	struct buf all = {0};
	int err = fd < 0 ? -errno : read_all(fd, &all);

	if (!err)
		each_facts(&all, fn, ctx);
	buf_release(&all);
	if (fd >= 0)
		close(fd);
	bpf_link__destroy(link);
	return err;
}

int loader_select(struct loader *l, const struct select_key *key)
{
	__u32 one = 1;

	if (bpf_map_update_elem(bpf_map__fd(l->bpf->maps.selected), key, &one, BPF_ANY))
		return -errno;
	l->bpf->bss->control.select = 1;
	return 0;
}

void loader_unselect(struct loader *l, const struct select_key *key)
{
	bpf_map_delete_elem(bpf_map__fd(l->bpf->maps.selected), key);
}

void loader_follow_some(struct loader *l)
{
	l->bpf->bss->control.all = 0;
}

void loader_ask(struct loader *l)
{
	l->bpf->bss->control.ask = 1;
}

const struct self *loader_self(const struct loader *l)
{
	return &l->bpf->bss->self;
}

void loader_attached_go(struct loader *l)
{
	l->bpf->bss->control.goroutines = 1;
}

void loader_attached_late(struct loader *l)
{
	l->bpf->bss->control.attached_ts = clock_boot_ns();
}

void loader_stop(struct loader *l)
{
	l->bpf->bss->control.stop = 1;
}

/* --- connections --- */

/* Calls fn for the entries of a hash; keys may come and go meanwhile. */
static void each_entry(const struct bpf_map *map, size_t key_size, void (*fn)(void *ctx, const void *key), void *ctx)
{
	char key[64], next[64];
	uint32_t limit = 2 * bpf_map__max_entries(map);
	int fd = bpf_map__fd(map);
	bool more = bpf_map_get_next_key(fd, NULL, next) == 0;

	while (more && limit-- > 0) {
		memcpy(key, next, key_size);
		more = bpf_map_get_next_key(fd, key, next) == 0;
		fn(ctx, key);
	}
}

struct sweep_state {
	struct loader *loader;
	enum sweep which;
	loader_emit emit;
	void *ctx;
	int err;
};

static void sweep_one(void *ctx, const void *entry)
{
	struct sweep_state *s = ctx;
	int conns = bpf_map__fd(s->loader->bpf->maps.conns);
	struct conn_key key;
	struct conn_state c;

	memcpy(&key, entry, sizeof(key));
	if (bpf_map_lookup_elem(conns, &key, &c))
		return;
	bool over = c.flags & EV_CONN_FREED || !loader_follows(s->loader, &c.proc);
	bool touched = c.lost[0] | c.lost[1] | c.ignored[0] | c.ignored[1];
	if (!over && s->which != SWEEP_ALL && !(touched && s->which == SWEEP_TOUCHED))
		return;
	struct ev_conn rec = {
	    .head = {.type = EV_TOTALS, .size = sizeof(rec), .ts = clock_boot_ns()},
	    .conn = {.tls = key.tls, .gen = c.gen, .proc = c.proc},
	    .produced = {c.produced[0], c.produced[1]},
	    .lost = {c.lost[0], c.lost[1]},
	    .ignored = {c.ignored[0], c.ignored[1]},
	    .lib = c.lib,
	    .flags = c.flags | (over ? EV_CONN_FREED : 0),
	};
	int err = s->emit(s->ctx, &rec);
	if (err)
		s->err = err;
	else if (over)
		bpf_map_delete_elem(conns, &key);
}

/* Those of processes that have ended: nobody else takes them away. */
static void sweep_goroutine(void *ctx, const void *entry)
{
	const struct loader *l = ctx;
	struct goroutine_key key;
	struct followed f;

	memcpy(&key, entry, sizeof(key));
	__u32 tgid = (__u32)key.tgid;
	if (bpf_map_lookup_elem(bpf_map__fd(l->bpf->maps.followed), &tgid, &f))
		bpf_map_delete_elem(bpf_map__fd(l->bpf->maps.goroutines), &key);
}

int loader_sweep(struct loader *l, enum sweep which, loader_emit emit, void *ctx)
{
	struct sweep_state s = {.loader = l, .which = which, .emit = emit, .ctx = ctx};

	each_entry(l->bpf->maps.conns, sizeof(struct conn_key), sweep_one, &s);
	if (l->bpf->bss->control.goroutines)
		each_entry(l->bpf->maps.goroutines, sizeof(struct goroutine_key), sweep_goroutine, l);
	return s.err;
}

void loader_judge(struct loader *l, const struct verdict *v)
{
	LIBBPF_OPTS(bpf_test_run_opts, opts, .ctx_in = v, .ctx_size_in = sizeof(*v));

	bpf_prog_test_run_opts(bpf_program__fd(l->bpf->progs.judge), &opts);
}

/* --- sockets without TLS, and pipes --- */

int loader_syscalls(struct loader *l, bool on)
{
	if (on == (l->syscalls != NULL))
		return 0;
	if (!on) {
		bpf_link__destroy(l->syscalls);
		l->syscalls = NULL;
		return 0;
	}
	l->syscalls = bpf_program__attach(l->bpf->progs.on_syscall_exit);
	return l->syscalls ? 0 : -errno;
}

bool loader_has_syscalls(const struct loader *l)
{
	return l->syscalls;
}

void loader_stdio_found(struct loader *l, const struct process_facts *f)
{
	int fd = bpf_map__fd(l->bpf->maps.stdio);
	struct stdio_end end = {.conn = f->stdio[0],
				.server = f->exec.proc,
				.ts = f->exec.head.ts,
				.flags = STDIO_FOUND | STDIO_WRITE | (f->stdio_pipe ? STDIO_PIPE : 0)};

	if (!f->stdio[0] || !f->stdio[1])
		return;
	if (f->stdio[0] == f->stdio[1])
		end.flags |= STDIO_READ;
	bpf_map_update_elem(fd, &f->stdio[0], &end, BPF_NOEXIST);
	end.flags ^= STDIO_READ | STDIO_WRITE;
	if (f->stdio[0] != f->stdio[1])
		bpf_map_update_elem(fd, &f->stdio[1], &end, BPF_NOEXIST);
}

struct plain_sweep {
	struct loader *loader;
	uint64_t now;
	bool needed;
};

static bool is_ignored(const struct loader *l, uint64_t inode, uint32_t tgid)
{
	struct conn_key key = {.tls = EV_CONN_INODE | inode, .tgid = tgid};
	struct conn_state c;

	return bpf_map_lookup_elem(bpf_map__fd(l->bpf->maps.conns), &key, &c) == 0 && c.flags & EV_CONN_FINAL;
}

static void sweep_stdio(void *ctx, const void *entry)
{
	struct plain_sweep *s = ctx;
	const struct loader *l = s->loader;
	int fd = bpf_map__fd(l->bpf->maps.stdio);
	uint64_t ino;
	struct stdio_end e, first;

	memcpy(&ino, entry, sizeof(ino));
	if (bpf_map_lookup_elem(fd, &ino, &e))
		return;
	if (!loader_follows(l, &e.server)) {
		bpf_map_delete_elem(fd, &ino);
		return;
	}
	if (bpf_map_lookup_elem(fd, &e.conn, &first) || first.flags & STDIO_NOTHING)
		return;
	if (!(e.flags & STDIO_PIPE) && l->caps & LOADER_SOCKETS)
		return;
	s->needed |= first.flags & STDIO_SPOKEN ? !is_ignored(l, e.conn, first.client)
						: first.flags & STDIO_FOUND || s->now - first.ts < STDIO_SILENT_NS;
}

static void sweep_socket(void *ctx, const void *entry)
{
	struct plain_sweep *s = ctx;
	const struct loader *l = s->loader;
	int fd = bpf_map__fd(l->bpf->maps.plains);
	struct plain p;

	if (bpf_map_lookup_elem(fd, entry, &p))
		return;
	if (!follows_tgid(l, p.tgid))
		bpf_map_delete_elem(fd, entry);
	else if (!(l->caps & LOADER_SOCKETS) && p.what != PLAIN_NOTHING && p.local)
		s->needed |= !is_ignored(l, p.ino, p.tgid);
}

bool loader_sweep_plain(struct loader *l, uint64_t now)
{
	struct plain_sweep s = {.loader = l, .now = now};

	each_entry(l->bpf->maps.stdio, sizeof(uint64_t), sweep_stdio, &s);
	each_entry(l->bpf->maps.plains, sizeof(uint64_t), sweep_socket, &s);
	return s.needed;
}

void loader_llm_name(struct loader *l, const char *name, size_t n)
{
	uint64_t hash = LLM_NAME_SEED;
	uint32_t one = 1;

	for (size_t i = 0; i < n; i++)
		hash = (hash ^ (unsigned char)name[i]) * LLM_NAME_PRIME;
	bpf_map_update_elem(bpf_map__fd(l->bpf->maps.llm_names), &hash, &one, BPF_ANY);
}

/* --- what there is --- */

struct each {
	const struct loader *loader;
	void (*followed)(void *ctx, const struct followed *f);
	void (*wire)(void *ctx, const struct wire *w);
	void *ctx;
};

static void each_followed(void *ctx, const void *key)
{
	struct each *e = ctx;
	struct followed f;

	if (bpf_map_lookup_elem(bpf_map__fd(e->loader->bpf->maps.followed), key, &f) == 0)
		e->followed(e->ctx, &f);
}

void loader_each_followed(const struct loader *l, void (*fn)(void *ctx, const struct followed *f), void *ctx)
{
	struct each e = {.loader = l, .followed = fn, .ctx = ctx};

	each_entry(l->bpf->maps.followed, sizeof(uint32_t), each_followed, &e);
}

static void each_wire(void *ctx, const void *key)
{
	struct each *e = ctx;
	struct wire w;

	if (bpf_map_lookup_elem(bpf_map__fd(e->loader->bpf->maps.wires), key, &w) == 0)
		e->wire(e->ctx, &w);
}

void loader_each_wire(const struct loader *l, void (*fn)(void *ctx, const struct wire *w), void *ctx)
{
	struct each e = {.loader = l, .wire = fn, .ctx = ctx};

	each_entry(l->bpf->maps.wires, sizeof(uint64_t), each_wire, &e);
}

/* Its two positions lie on its first two pages; the payload, behind them, is not mapped. */
void loader_data_ring_fill(const struct loader *l, uint64_t *ret_used, uint64_t *ret_size)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	const char *p = mmap(NULL, 2 * page, PROT_READ, MAP_SHARED, loader_data_ring_fd(l), 0);

	*ret_size = bpf_map__max_entries(l->bpf->maps.data_ring);
	*ret_used = 0;
	if (p == MAP_FAILED)
		return;
	uint64_t taken = __atomic_load_n((const uint64_t *)(const void *)p, __ATOMIC_ACQUIRE);
	*ret_used = __atomic_load_n((const uint64_t *)(const void *)(p + page), __ATOMIC_ACQUIRE) - taken;
	munmap((void *)(uintptr_t)p, 2 * page);
}

uint64_t loader_count(const struct loader *l, enum ev_count what)
{
	int n = libbpf_num_possible_cpus();
	uint64_t *values = xcalloc((size_t)(n > 0 ? n : 1), sizeof(*values)), sum = 0;
	__u32 key = what;

	if (n > 0 && bpf_map_lookup_elem(bpf_map__fd(l->bpf->maps.counts), &key, values) == 0)
		for (int i = 0; i < n; i++)
			sum += values[i];
	free(values);
	return sum;
}
