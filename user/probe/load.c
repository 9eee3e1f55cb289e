/* SPDX-License-Identifier: Apache-2.0 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "probe/load.h"
#include "probe/safety.h"
#include "../../bpf/state.h"
#include "spantap.skel.h"
#include "target/target.h"

struct loader {
	struct spantap_bpf *bpf;
	bool loop; /* the kernel has bpf_loop */
	bool multi; /* uprobe.multi links, else perf-event uprobes */
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

/* Our own ids, as the initial pid namespace sees them: a program run once in our own context. */
static int learn_self(struct loader *l)
{
	LIBBPF_OPTS(bpf_test_run_opts, opts);

	return bpf_prog_test_run_opts(bpf_program__fd(l->bpf->progs.whoami), &opts);
}

static int attach_process_programs(struct loader *l)
{
	struct spantap_bpf *b = l->bpf;

	b->links.on_fork = bpf_program__attach(b->progs.on_fork);
	b->links.on_exec = b->links.on_fork ? bpf_program__attach(b->progs.on_exec) : NULL;
	b->links.on_exit = b->links.on_exec ? bpf_program__attach(b->progs.on_exit) : NULL;
	return b->links.on_exit ? 0 : -errno;
}

/* Of the programs that exist with and without bpf_loop: those that this kernel accepts. */
static void choose_programs(struct loader *l)
{
	struct spantap_bpf *b = l->bpf;

	l->loop = libbpf_probe_bpf_helper(BPF_PROG_TYPE_KPROBE, BPF_FUNC_loop, NULL) == 1;
	bpf_program__set_autoload(b->progs.tls_write_return, l->loop);
	bpf_program__set_autoload(b->progs.tls_read_return, l->loop);
	bpf_program__set_autoload(b->progs.tls_write_return_no_loop, !l->loop);
	bpf_program__set_autoload(b->progs.tls_read_return_no_loop, !l->loop);
}

#ifdef SPANTAP_TEST_HOOKS
/* Tests make losses certain with a small ring. */
static void resize_rings(struct spantap_bpf *bpf)
{
	const char *data = getenv("SPANTAP_TEST_DATA_RING"), *life = getenv("SPANTAP_TEST_LIFE_RING");

	if (data)
		bpf_map__set_max_entries(bpf->maps.data_ring, (__u32)atoi(data));
	if (life)
		bpf_map__set_max_entries(bpf->maps.life_ring, (__u32)atoi(life));
}
#else
static void resize_rings(struct spantap_bpf *bpf)
{
	(void)bpf;
}
#endif

/* Programs of uprobe.multi links are loaded with another attach type. */
static void load_for_multi(struct spantap_bpf *bpf)
{
	enum bpf_prog_type type;
	enum bpf_attach_type multi; /* BPF_TRACE_UPROBE_MULTI, which older headers do not have */
	struct bpf_program *prog;

	if (libbpf_prog_type_by_name("uprobe.multi", &type, &multi))
		return;
	bpf_object__for_each_program(prog, bpf->obj)
		if (bpf_program__type(prog) == type)
			bpf_program__set_expected_attach_type(prog, multi);
}

static int set_up(struct loader *l, struct buf *ret_error)
{
	int err;

	l->bpf = spantap_bpf__open();
	if (!l->bpf)
		return fail(ret_error, "open the BPF object", -errno);
	if (l->multi)
		load_for_multi(l->bpf);
	resize_rings(l->bpf);
	l->bpf->rodata->wake_at = bpf_map__max_entries(l->bpf->maps.data_ring) / 4;
	choose_programs(l);
	err = spantap_bpf__load(l->bpf);
	if (err)
		return fail(ret_error, "load the BPF programs", err);
	err = learn_self(l);
	if (err)
		return fail(ret_error, "run a BPF program", err);
	err = attach_process_programs(l);
	if (err)
		return fail(ret_error, "attach to process events", err);
	err = safety_return_probe(loader_return(l, TARGET_READ), l->multi);
	if (err < 0)
		return fail(ret_error, "place a return probe", err);
	if (err == 0) {
		buf_adds(ret_error, "on this kernel a return probe kills programs that have a seccomp filter: use Linux 6.14 "
				    "or later, or a stable release with the fix");
		return -EOPNOTSUPP;
	}
	return 0;
}

struct loader *loader_new(struct buf *ret_error)
{
	struct loader *l = xcalloc(1, sizeof(*l));

	libbpf_set_print(keep_complaint);
	for (l->multi = true;; l->multi = false) {
		complaint[0] = '\0';
		buf_clear(ret_error);
		if (set_up(l, ret_error) == 0)
			return l;
		if (!l->multi)
			break;
		spantap_bpf__destroy(l->bpf); /* a kernel before 6.6, most likely: the other interface */
	}
	loader_free(l);
	return NULL;
}

void loader_free(struct loader *l)
{
	if (!l)
		return;
	spantap_bpf__destroy(l->bpf);
	free(l);
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

struct bpf_program *loader_entry(const struct loader *l, int func)
{
	struct bpf_program *const programs[TARGET_FUNCS] = {
	    [TARGET_WRITE] = l->bpf->progs.tls_write,         [TARGET_WRITE_EX] = l->bpf->progs.tls_write_ex,
	    [TARGET_WRITE_EX2] = l->bpf->progs.tls_write_ex2, [TARGET_READ] = l->bpf->progs.tls_read,
	    [TARGET_READ_EX] = l->bpf->progs.tls_read_ex,     [TARGET_FREE] = l->bpf->progs.tls_free,
	};

	return programs[func];
}

struct bpf_program *loader_return(const struct loader *l, int func)
{
	if (func == TARGET_WRITE || func == TARGET_WRITE_EX || func == TARGET_WRITE_EX2)
		return l->loop ? l->bpf->progs.tls_write_return : l->bpf->progs.tls_write_return_no_loop;
	if (func == TARGET_READ || func == TARGET_READ_EX)
		return l->loop ? l->bpf->progs.tls_read_return : l->bpf->progs.tls_read_return_no_loop;
	if (func == TARGET_NEW)
		return l->bpf->progs.tls_new_return;
	return NULL;
}

bool loader_multi(const struct loader *l)
{
	return l->multi;
}

void loader_arm(struct loader *l)
{
	l->bpf->bss->control.armed = 1;
}

void loader_attached_late(struct loader *l)
{
	l->bpf->bss->control.attached_ts = clock_boot_ns();
}

void loader_stop(struct loader *l)
{
	l->bpf->bss->control.stop = 1;
}

static bool process_lives(const struct loader *l, const struct ev_proc *proc)
{
	struct followed now;

	return bpf_map_lookup_elem(bpf_map__fd(l->bpf->maps.followed), &proc->tgid, &now) == 0 &&
	       now.proc.start == proc->start;
}

void loader_sweep(struct loader *l, bool all, loader_emit emit, void *ctx)
{
	int conns = bpf_map__fd(l->bpf->maps.conns);
	uint32_t limit = 2 * bpf_map__max_entries(l->bpf->maps.conns); /* keys may come and go while we walk */
	struct conn_key key, next;
	bool more = bpf_map_get_next_key(conns, NULL, &next) == 0;

	while (more && limit-- > 0) {
		struct conn_state c;

		key = next;
		more = bpf_map_get_next_key(conns, &key, &next) == 0;
		if (bpf_map_lookup_elem(conns, &key, &c))
			continue;
		bool over = c.flags & EV_CONN_FREED || !process_lives(l, &c.proc);
		if (!over && !all)
			continue;
		struct ev_conn rec = {
		    .head = {.type = EV_TOTALS, .size = sizeof(rec), .ts = clock_boot_ns()},
		    .conn = {.tls = key.tls, .gen = c.gen, .proc = c.proc},
		    .produced = {c.produced[0], c.produced[1]},
		    .lost = {c.lost[0], c.lost[1]},
		    .lib = c.lib,
		    .flags = c.flags | (over ? EV_CONN_FREED : 0),
		};
		if (emit(ctx, &rec) == 0 && over)
			bpf_map_delete_elem(conns, &key);
	}
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
